/**
 * `node bench/defaults.js`: what each client of Node.js does when it is told nothing, seen by one server on this machine. The
 * table of docs/migrating/README.md comes from here, urllib3's column and the time-outs aside. Needs `npm ci` in bench/ and a built ferropool.
 */
import { createServer, request as nodeRequest } from 'node:http';
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { locate } from './packages.js';

const [{ default: axios }, { got }, { request: undiciRequest }, { PoolManager }] = await Promise.all(
  ['axios', 'got', 'undici', 'ferropool'].map((name) => import(locate(name))),
);

/** Path and query → how often it was asked for. */
const asked = new Map();
let opened = 0;

async function answer(request, response) {
  const { pathname } = new URL(request.url, 'http://origin.invalid');
  asked.set(request.url, (asked.get(request.url) ?? 0) + 1);
  const body = Buffer.concat(await request.toArray()).toString();
  const [, word] = pathname.split('/');
  if (/^30\d$/.test(word)) response.writeHead(Number(word), { location: '/echo' }).end();
  else if (/^[45]\d\d$/.test(word))
    response.writeHead(Number(word), word === '429' ? { 'retry-after': '1' } : {}).end();
  else if (word === 'loop') response.writeHead(302, { location: request.url }).end();
  else if (word === 'away') response.writeHead(302, { location: `http://127.0.0.1:${port}/echo` }).end();
  else if (word === 'reset') request.socket.destroy();
  else if (word === 'gzip') response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('x'.repeat(500)));
  else if (word === 'wait') setTimeout(() => response.end(), 100);
  else response.end(JSON.stringify({ method: request.method, body, headers: request.headers }));
}

// "localhost" and "127.0.0.1" are two origins, whichever family the first one means.
const server = createServer((request, response) => void answer(request, response).catch(() => response.destroy()));
server.keepAliveTimeout = 0;
server.on('connection', () => (opened += 1));
await new Promise((resolve) => server.listen(0, 'localhost', resolve));
const { port, address } = server.address();
if (address !== '127.0.0.1')
  await new Promise((resolve) => createServer(server.listeners('request')[0]).listen(port, '127.0.0.1', resolve));
const origin = `http://localhost:${port}`;

const manager = new PoolManager();
/** Each gives status and body of `(method, url, headers, body)`, everything else left as the client has it. */
const clients = {
  async undici(method, url, headers, body) {
    const response = await undiciRequest(url, { method, headers, body });
    return { status: response.statusCode, body: Buffer.from(await response.body.arrayBuffer()) };
  },
  async fetch(method, url, headers, body) {
    const response = await fetch(url, { method, headers, body });
    return { status: response.status, body: Buffer.from(await response.arrayBuffer()) };
  },
  async got(method, url, headers, body) {
    const response = await got(url, { method, headers, body, responseType: 'buffer' });
    return { status: response.statusCode, body: response.body };
  },
  async axios(method, url, headers, data) {
    const response = await axios({ method, url, headers, data, responseType: 'arraybuffer' });
    return { status: response.status, body: response.data };
  },
  'node:http': (method, url, headers, body) =>
    new Promise((resolve, reject) => {
      const request = nodeRequest(url, { method, headers }, async (response) => {
        const all = await response.toArray();
        resolve({ status: response.statusCode, body: Buffer.concat(all) });
      });
      request.on('error', reject).end(body);
    }),
  async ferropool(method, url, headers, body) {
    const response = await manager.request(method, url, { headers, body });
    return { status: response.status, body: response.data };
  },
};

/** What is asked of each: a question, and how its answer is read off. */
const questions = {
  'Accept-Encoding': async (ask) => json(await ask('GET', '/echo')).headers['accept-encoding'] ?? 'none',
  'User-Agent': async (ask) => json(await ask('GET', '/echo')).headers['user-agent'] ?? 'none',
  'a gzip body that nobody asked for': async (ask) =>
    (await ask('GET', '/gzip')).body.length === 500 ? 'decoded' : 'as it is',
  'http://user:password@host/': (ask, name, client) =>
    client('GET', `http://user:password@localhost:${port}/echo`, {}).then(
      (answered) => json(answered).headers.authorization?.split(' ')[0] ?? 'not sent',
      (error) => error.name,
    ),
  'redirects followed': async (ask, name) => `${(await counted(ask, 'GET', `/loop?${name}`)).times - 1}`,
  'a POST that meets 301': (ask) => methodBehind(ask, 301),
  'a POST that meets 302': (ask) => methodBehind(ask, 302),
  'a POST that meets 303': (ask) => methodBehind(ask, 303),
  'Authorization, Cookie, X-Api-Key to another origin': async (ask) => {
    const answered = await ask('GET', '/away', { Authorization: 'a', Cookie: 'b=c', 'X-Api-Key': 'd' });
    if (answered.status !== 200) return '';
    const { headers } = json(answered);
    return ['authorization', 'cookie', 'x-api-key'].map((name) => (name in headers ? 'kept' : 'removed')).join(', ');
  },
  'a reset under a GET': (ask, name) => outcome(ask, 'GET', `/reset?get-${name}`),
  'a reset under a POST': (ask, name) => outcome(ask, 'POST', `/reset?post-${name}`),
  'a 404': (ask, name) => outcome(ask, 'GET', `/404?${name}`),
  'a 503': (ask, name) => outcome(ask, 'GET', `/503?${name}`),
  '429 with Retry-After: 1': (ask, name) => outcome(ask, 'GET', `/429?${name}`),
  'connections opened by 100 calls at once, one being kept from before': async (ask) => {
    opened = 0;
    await Promise.all(Array.from({ length: 100 }, () => ask('GET', '/wait')));
    return `${opened}`;
  },
  'the next call, 6 s later': async (ask) => {
    await pause(6_000);
    opened = 0;
    await ask('GET', '/echo');
    return opened === 0 ? 'kept connection' : 'new connection';
  },
};

const columns = [];
for (const [name, client] of Object.entries(clients)) {
  const ask = (method, path, headers = {}) =>
    client(method, origin + path, headers, method === 'POST' ? 'x=1' : undefined);
  const column = {};
  for (const [question, look] of Object.entries(questions)) column[question] = await look(ask, name, client);
  columns.push(column);
}
const lines = Object.keys(questions).map((question) => [question, ...columns.map((column) => column[question])]);
for (const cells of [['', ...Object.keys(clients)], Array(columns.length + 1).fill('---'), ...lines])
  console.log(`| ${cells.join(' | ')} |`);
process.exit(0);

function json({ body }) {
  return JSON.parse(body.toString());
}

async function methodBehind(ask, status) {
  const answered = await ask('POST', `/${status}`, { 'content-type': 'text/plain' });
  return answered.status === 200 ? json(answered).method : 'not followed';
}

/** How often the server saw it, and what the caller got in the end. */
async function counted(ask, method, path) {
  const end = await ask(method, path).then(
    ({ status }) => `${status}`,
    ({ code, cause }) => `error ${code ?? cause?.code ?? ''}`.trim(),
  );
  return { end, times: asked.get(path) ?? 0 };
}

async function outcome(ask, method, path) {
  const began = performance.now();
  const { end, times } = await counted(ask, method, path);
  return `${times} × in ${((performance.now() - began) / 1_000).toFixed(1)} s, then ${end}`;
}

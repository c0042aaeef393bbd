/**
 * The messages that docs/errors.md prints are those that the product makes: each is made here, and looked up in the page.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  HTTPConnectionPool,
  HTTPSConnectionPool,
  PoolManager,
  ProxyManager,
  Retry,
  type PoolOptions,
} from '../index.ts';
import { root } from '../scripts/run.js';
import { closedPort } from './support/fixtures.ts';

const page = readFileSync(path.join(root, 'docs', 'errors.md'), 'utf8');
const section = page.split('## As they are printed\n')[1]?.split('\n## ')[0] ?? '';
const printed = [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, message = '']) => message);

const servers: Server[] = [];
const sockets = new Set<Socket>();
test.after.always(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.on('connection', (socket) => sockets.add(socket.on('error', () => {})));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** Says this to each request, and hangs up. */
const saying = (text: string): Promise<number> =>
  listen(createTcpServer((socket) => socket.once('data', () => socket.end(text))));
/** Hangs up once something of a body in chunks is there: then it was taken from its source. */
const takingSome = (): Promise<number> =>
  listen(
    createTcpServer((socket) => {
      let got = '';
      socket.on('data', (piece: Buffer) => {
        got += piece.toString();
        if (got.includes('one')) socket.end();
      });
    }),
  );
const silent = (): Promise<number> => listen(createTcpServer((socket) => socket.resume()));
const site = (): Promise<number> =>
  listen(
    createServer((request, response) => {
      if (request.url === '/loop') response.writeHead(302, { location: '/loop' }).end();
      else if (request.url === '/busy') response.writeHead(503).end();
      else response.end('hello');
    }),
  );

const bare = (port: number, options: PoolOptions = {}): HTTPConnectionPool =>
  new HTTPConnectionPool('localhost', { port, retries: false, resolve: { localhost: '127.0.0.1' }, ...options });

/** Where the page has 100 ms: the call has to get as far as the message says within that time, which may take longer. */
const LONG = 700;

/** A server, and what is asked of it. */
const cases: [start: (t: ExecutionContext) => Promise<number>, ask: (port: number) => unknown][] = [
  [closedPort, (port) => bare(port).request('GET', '/')],
  [closedPort, (port) => bare(port, { retries: 3 }).request('GET', '/?token=secret')],
  [closedPort, () => new HTTPConnectionPool('no-such-host.invalid', { retries: false }).request('GET', '/')],
  [
    silent,
    (port) =>
      new HTTPSConnectionPool('localhost', { port, retries: false, timeout: { connect: LONG } }).request('GET', '/'),
  ],
  [silent, (port) => bare(port, { timeout: { read: 100 } }).request('GET', '/')],
  [silent, (port) => bare(port, { timeout: { total: LONG } }).request('GET', '/')],
  [
    silent,
    async (port) => {
      const pool = bare(port, { block: true });
      const holder = pool.request('GET', '/').catch(() => {});
      await pool.request('GET', '/', { poolTimeout: 50 }).finally(() => pool.close({ timeout: 0 }));
      await holder;
    },
  ],
  [
    site,
    async (port) => {
      const pool = bare(port);
      await pool.close();
      await pool.request('GET', '/');
    },
  ],
  [site, (port) => bare(port).request('GET', 'http://example.com/')],
  [() => saying(''), (port) => bare(port).request('GET', '/')],
  [() => saying(''), (port) => bare(port, { retries: 3 }).request('POST', '/')],
  [() => saying('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort'), (port) => bare(port).request('GET', '/')],
  [
    () => saying('HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello'),
    (port) => bare(port).request('GET', '/'),
  ],
  [site, (port) => bare(port, { limits: { decoded: 3 } }).request('GET', '/')],
  [site, (port) => bare(port, { retries: 3 }).request('GET', '/loop')],
  [site, (port) => bare(port, { retries: new Retry({ total: 1, statusForcelist: [503] }) }).request('GET', '/busy')],
  [takingSome, (port) => bare(port, { retries: 3 }).request('PUT', '/', { body: pieces() })],
  [site, (port) => new PoolManager({ denyAddresses: 'private' }).request('GET', `http://localhost:${port}/`)],
  [
    closedPort,
    (port) => new ProxyManager(`http://localhost:${port}`, { retries: false }).request('GET', 'http://example.com/'),
  ],
  [
    () => saying('HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n'),
    (port) => new ProxyManager(`http://localhost:${port}`, { retries: false }).request('GET', 'https://example.com/'),
  ],
  [site, (port) => new HTTPSConnectionPool('localhost', { port, retries: false }).request('GET', '/')],
  [site, (port) => new PoolManager().request('GET', `localhost:${port}/`)],
  [site, () => new PoolManager().request('GET', 'example.com/')],
  [
    site,
    async (port) => {
      const response = await bare(port).request('GET', '/', { preloadContent: false });
      try {
        return response.data;
      } finally {
        response.close();
      }
    },
  ],
  [site, (port) => bare(port, { timeuot: 3 } as PoolOptions)],
  [site, (port) => bare(port, { timeout: 0.5 })],
];

async function* pieces(): AsyncGenerator<string> {
  yield 'one';
  yield 'two';
}

test('docs: each message that docs/errors.md prints is one that is made', async (t) => {
  const made: string[] = [];
  for (const [start, ask] of cases) {
    const port = await start(t);
    const error = await t.throwsAsync(async () => ask(port), { instanceOf: Error });
    const shown = error.name === 'ProxyError' ? '3128' : '8080';
    const message = error.message.replaceAll(String(port), shown).replace(`=${LONG} ms`, '=100 ms');
    made.push(`${error.name}: ${message}`);
  }
  // Systems have words and numbers of their own for a refused connection and a name; the page has those of Linux.
  const ofSystem = (message: string): boolean => /Errno|service not known/.test(message);
  const shared = process.platform === 'linux' ? printed : printed.filter((message) => !ofSystem(message));
  t.deepEqual(
    made.filter((message) => shared.includes(message) || process.platform === 'linux'),
    shared,
  );
});

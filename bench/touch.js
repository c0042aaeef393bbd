/**
 * What it costs the JavaScript thread to touch a thing: CPU of that thread for one small request, 100 at a time, and how much more
 * of it each of what a program may do with a request or its response. The kinds take turns, so that what slows the machine
 * down slows all of them. Needs a built package.
 *
 *   node bench/touch.js [--requests N] [--rounds N]
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cpuTimes } from './machine.js';
import { percentile } from './statistics.js';

const WIDTH = 100;
const text = 'A body of one hundred and eighty-three bytes. '.repeat(4).slice(0, 183);
const rows = Array.from({ length: 120 }, (_, id) => ({ id, name: `row ${id}`, tags: ['one', 'two'], at: 1.5 * id }));
const document = JSON.stringify(rows).slice(0, 10_240);

if (process.send) serve();
else await measure();

function serve() {
  const server = createServer((request, response) => {
    request.resume();
    const body = request.url === '/json' ? JSON.stringify(rows) : request.url === '/text' ? document : text;
    response.setHeader('content-type', request.url === '/json' ? 'application/json' : 'text/plain; charset=utf-8');
    response.setHeader('cache-control', 'no-store');
    response.setHeader('x-request-id', '0123456789abcdef');
    response.setHeader('content-length', Buffer.byteLength(body));
    response.end(body);
  });
  server.listen(0, '127.0.0.1', () => process.send(server.address().port));
  process.on('disconnect', () => process.exit(0));
}

/** A name, and one request with what is done to it. */
function kindsFor(pool, manager, origin) {
  const ask = (options, path = '/') => pool.request('GET', path, options);
  const listener = () => {};
  return [
    ['status alone', async () => (await ask()).status],
    ['data', async () => (await ask()).data],
    ['text()', async () => (await ask()).text()],
    ["headers['content-type']", async () => (await ask()).headers['content-type']],
    ['all headers, iterated over', async () => [...(await ask()).headers]],
    ['timings', async () => (await ask()).timings],
    ['connection', async () => (await ask()).connection],
    ['retries.history', async () => (await ask()).retries?.history],
    ['headers of its own: 4', () => ask({ headers: { accept: '*/*', 'x-a': '1', 'x-b': '2', 'x-c': '3' } })],
    ['json of its own: 100 bytes', () => pool.request('POST', '/', { json: { item: 1, text: 'x'.repeat(80) } })],
    ['timeout of its own', () => ask({ timeout: 5_000 })],
    ['fields: 2', () => ask({ fields: { q: 'urllib3', v: '1.0' } })],
    ['AbortSignal.timeout()', () => ask({ signal: AbortSignal.timeout(10_000) })],
    ['preloadContent: false, read()', async () => (await ask({ preloadContent: false })).read()],
    ['a manager', () => manager.request('GET', `${origin}/`)],
    ['10 KiB: data', async () => (await ask(undefined, '/text')).data],
    ['10 KiB: text()', async () => (await ask(undefined, '/text')).text()],
    ['8 KiB of JSON: json()', async () => (await ask(undefined, '/json')).json()],
    [
      'a channel is listened to',
      () => ask(),
      () => subscribe('ferropool:request:end', listener),
      () => unsubscribe('ferropool:request:end', listener),
    ],
  ].map(([name, one, before, after]) => ({ name, one, before, after, costs: [] }));
}

async function measure() {
  const { values } = parseArgs({
    options: { requests: { type: 'string', default: '10000' }, rounds: { type: 'string', default: '9' } },
  });
  const { HTTPConnectionPool, PoolManager } = await import('../dist/index.js');
  const server = fork(fileURLToPath(import.meta.url), [], { execArgv: [] });
  const [port] = await once(server, 'message');
  const pool = new HTTPConnectionPool('127.0.0.1', { port, maxsize: WIDTH, block: true });
  const manager = new PoolManager({ maxsize: WIDTH });
  const kinds = kindsFor(pool, manager, `http://127.0.0.1:${port}`);
  for (let round = 0; round <= Number(values.rounds); round += 1) {
    for (const { one, before, after, costs } of kinds) {
      before?.();
      const cost = await costOf(one, Number(values.requests));
      after?.();
      // The first round is V8's.
      if (round > 0) costs.push(cost);
    }
  }
  const middle = ({ costs }) =>
    percentile(
      costs.toSorted((one, other) => one - other),
      0.5,
    );
  const plain = middle(kinds[0]);
  console.log(
    `CPU of the JavaScript thread, µs a request, medians of ${values.rounds} rounds of ${values.requests} requests, ${WIDTH} at a time\n`,
  );
  for (const kind of kinds) {
    const [least, most] = [Math.min(...kind.costs), Math.max(...kind.costs)];
    const more = kind === kinds[0] ? '' : `+${(middle(kind) - plain).toFixed(1)}`;
    console.log(
      `${kind.name.padEnd(32)} ${middle(kind).toFixed(1).padStart(6)}  ${more.padStart(6)}  (${least.toFixed(1)}–${most.toFixed(1)})`,
    );
  }
  await pool.close();
  await manager.close();
  server.disconnect();
}

async function costOf(one, requests) {
  const started = cpuTimes().main;
  let left = requests;
  await Promise.all(
    Array.from({ length: WIDTH }, async () => {
      while (left > 0) {
        left -= 1;
        await one();
      }
    }),
  );
  return (cpuTimes().main - started) / requests;
}

/**
 * Long runs that show what a short test cannot: that nothing is mixed up in a million requests, that memory stays flat,
 * that every worker ends well. Not part of `npm test`; needs a built package (`npm run build`).
 *
 *   node bench/soak.js tokens|waiters|workers|aborts [--requests N] [--minutes M]
 *   node bench/soak.js streams [--gib 20] [--minutes M]
 *   node bench/soak.js bombs|gc [--requests N] [--minutes M]
 *   node bench/soak.js crawl|signal|asking [--requests N] [--minutes M]
 *   node bench/soak.js handshakes|h2|proxies-memory|proxies-dying [--requests N] [--minutes M]
 *   node bench/soak.js restart [--seconds S]
 *
 * `--minutes` (default 10) ends a run early; what it had done until then is judged all the same.
 */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';

import * as product from '../dist/index.js';
import { asking } from './soak/asking.js';
import { bombs } from './soak/bombs.js';
import { books, clock, lanes, Memory } from './soak/common.js';
import { crawl } from './soak/crawl.js';
import { gc } from './soak/gc.js';
import { h2 } from './soak/h2.js';
import { handshakes } from './soak/handshakes.js';
import { proxiesDying } from './soak/proxies-dying.js';
import { proxiesMemory } from './soak/proxies-memory.js';
import { restart } from './soak/restart.js';
import { signal } from './soak/signal.js';
import { streams } from './soak/streams.js';

const { HTTPConnectionPool, HTTPError } = product;

/** How often a large answer repeats its token. */
const LARGE = 2_000;
/** A million requests, one in a hundred broken in one of four ways: no response is another's, and memory is flat. */
async function tokens(count) {
  const server = await startServer();
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, maxsize: 100, block: true });
  const broken = ['/reset', '/short', '/nonsense', '/more'];
  const memory = new Memory();
  const seen = { mixed: 0, failed: 0, unclassified: 0 };
  const done = await lanes(count, 100, async (n) => {
    memory.look();
    const token = `token-${n}-${(n * 7_919) % 1_000_003}`;
    const path = n % 100 === 0 ? broken[(n / 100) % 4] : n % 50 === 7 ? '/large' : '/';
    try {
      const response = await pool.request('GET', path, { headers: { 'x-token': token } });
      const wanted = path === '/large' ? token.repeat(LARGE) : token;
      if (response.headers.get('x-token') !== token || response.text() !== wanted) seen.mixed += 1;
    } catch (error) {
      seen.failed += 1;
      if (!(error instanceof HTTPError) || error.code === 'ERR_INTERNAL' || n % 100 !== 0) seen.unclassified += 1;
    }
  });
  const complaints = [...books(pool.stats()), ...memory.complaints()];
  if (seen.mixed > 0) complaints.push(`${seen.mixed} responses were another's`);
  if (seen.unclassified > 0) complaints.push(`${seen.unclassified} errors that nothing explains`);
  console.log(`${done} requests, ${seen.failed} failed as they had to; ${memory.toString()}`);
  await pool.close();
  server.stop();
  return complaints;
}

/** So many requests at once on four connections: they are served in the order in which they were made. */
async function waiters(count) {
  const server = await startServer();
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, maxsize: 4, block: true });
  await pool.warm(4);
  const before = process.memoryUsage().rss;
  const order = [];
  const flying = Array.from({ length: count }, (_, n) =>
    pool.request('GET', '/', { headers: { 'x-token': String(n) } }).then((response) => {
      order.push(n);
      return response.text() === String(n);
    }),
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  const each = (process.memoryUsage().rss - before) / count;
  const served = (await Promise.all(flying)).filter(Boolean).length;
  // Four are under way at a time: their answers may overtake one another by that much, and no more.
  let most = 0;
  for (const [place, n] of order.entries()) most = Math.max(most, Math.abs(place - n));
  console.log(`${served} of ${count} served, at most ${most} places out of turn, ${Math.round(each)} bytes a waiter`);
  const complaints = books(pool.stats());
  if (served !== count) complaints.push(`${count - served} were not served`);
  if (most > 8) complaints.push(`one was ${most} places out of turn`);
  await pool.close();
  server.stop();
  return complaints;
}

/** Workers ended with requests in flight, eight at a time. */
async function workers(count) {
  const server = await startServer();
  const memory = new Memory();
  const script = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.product).then(async ({ HTTPConnectionPool }) => {
      const pool = new HTTPConnectionPool('127.0.0.1', { port: workerData.port, maxsize: 8, block: true });
      const again = async (path) => { for (;;) await pool.request('GET', path, { headers: { 'x-token': 't' } }); };
      for (const path of ['/', '/', '/large', '/', '/late', '/late', '/large', '/']) void again(path);
      await pool.request('GET', '/', { headers: { 'x-token': 't' } });
      parentPort.postMessage('busy');
    });
  `;
  const workerData = { port: server.port, product: new URL('../dist/index.js', import.meta.url).href };
  const ended = await lanes(count, 8, async (n) => {
    const worker = new Worker(script, { eval: true, workerData });
    const gone = once(worker, 'exit');
    await Promise.race([once(worker, 'message'), gone]);
    for (let turn = 0; turn < n % 7; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    await worker.terminate();
    await gone;
    memory.look();
  });
  console.log(`${ended} workers ended; ${memory.toString()}`);
  server.stop();
  return memory.complaints();
}

/** Aborts at random moments, with what is served checked. */
async function aborts(count) {
  const server = await startServer();
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, maxsize: 16, block: true });
  const memory = new Memory();
  const seen = { aborted: 0, served: 0, mixed: 0, other: 0 };
  const done = await lanes(count, 32, async (n) => {
    memory.look();
    const token = `t${n}`;
    const path = n % 3 === 0 ? '/large' : n % 7 === 0 ? '/late' : '/';
    const controller = new AbortController();
    const asked = pool.request('GET', path, { headers: { 'x-token': token }, signal: controller.signal });
    const check = async () => {
      try {
        const response = await asked;
        seen.served += 1;
        if (response.text() !== (path === '/large' ? token.repeat(LARGE) : token)) seen.mixed += 1;
      } catch (error) {
        if (error === controller.signal.reason) seen.aborted += 1;
        else seen.other += 1;
      }
    };
    const checked = check();
    // A third is left alone; of the rest some at once, most while it is under way, some too late.
    if (n % 3 === 1) await checked;
    const wait = Math.random() * 8;
    if (wait > 0.5) await Promise.race([checked, new Promise((resolve) => setTimeout(resolve, wait))]);
    controller.abort();
    await checked;
  });
  // What was aborted last may still be on its way out; these come after it.
  await Promise.all(Array.from({ length: 16 }, () => pool.request('GET', '/', { headers: { 'x-token': 't' } })));
  console.log(`${done} requests: ${seen.aborted} aborted, ${seen.served} served; ${memory.toString()}`);
  const complaints = [...books(pool.stats()), ...memory.complaints()];
  if (seen.mixed > 0) complaints.push(`${seen.mixed} responses were another's`);
  if (seen.other > 0) complaints.push(`${seen.other} rejected with something else than the signal's reason`);
  await pool.close();
  server.stop();
  return complaints;
}

/** In a thread of its own, so that the memory and the event loop that are watched are the client's. */
async function startServer() {
  const script = `(${serve.toString()})(require('node:worker_threads').parentPort, require('node:http'), ${LARGE})`;
  const worker = new Worker(script, { eval: true });
  const [port] = await once(worker, 'message');
  return { port, stop: () => void worker.terminate() };
}

function serve(parent, { createServer }, large) {
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const token = String(request.headers['x-token']);
    const { socket, url } = request;
    const plain = `HTTP/1.1 200 OK\r\nx-token: ${token}\r\nContent-Length: ${token.length}\r\n\r\n${token}`;
    if (url === '/reset') return socket.resetAndDestroy();
    if (url === '/nonsense') return socket.end(`HTTP/1.1 2x0 OK\r\n\r\n${token}`);
    if (url === '/more') return socket.write(`${plain}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong`);
    response.setHeader('x-token', token);
    if (url === '/short') {
      response.setHeader('content-length', token.length + 10);
      response.write(token);
      return setImmediate(() => socket.destroy());
    }
    if (url === '/late') return setTimeout(() => response.end(token), 3);
    return response.end(url === '/large' ? token.repeat(large) : token);
  });
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
  server.listen(0, '127.0.0.1', () => parent.postMessage(server.address().port));
}

const runs = {
  tokens: [tokens, 1_000_000],
  waiters: [waiters, 100_000],
  workers: [workers, 1_000],
  aborts: [aborts, 100_000],
  streams: [streams, 20],
  bombs: [bombs, 1_000],
  gc: [gc, 100_000],
  crawl: [judged(crawl), 100_000],
  signal: [judged(signal), 100_000],
  asking: [judged(asking), 5_000],
  handshakes: [judged(handshakes), 20_000],
  h2: [judged(h2), 2_000_000],
  'proxies-memory': [judged(proxiesMemory), 20_000],
  'proxies-dying': [judged(proxiesDying), 50_000],
  restart: [(seconds) => judged(restart)(undefined, { seconds }), 120],
};

/** A run that specs make too, on a smaller scale: it gives a line for each of its checks. */
function judged(run) {
  return async (requests, size = { requests }) => {
    const { lines, complaints } = await run(product, size);
    for (const line of lines) console.log(line);
    return complaints;
  };
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    requests: { type: 'string' },
    gib: { type: 'string' },
    seconds: { type: 'string' },
    minutes: { type: 'string', default: '10' },
  },
});
const chosen = runs[positionals[0]];
if (!chosen) {
  console.error(`There is no run "${positionals[0] ?? ''}"; there are: ${Object.keys(runs).join(', ')}.`);
  process.exit(2);
}
const measures = { streams: values.gib, restart: values.seconds };
const [name] = positionals;
const amount = Number((Object.hasOwn(measures, name) ? measures[name] : values.requests) ?? chosen[1]);
clock.began = performance.now();
clock.deadline = clock.began + Number(values.minutes) * 60_000;
const complaints = await chosen[0](amount);
console.log(`${positionals[0]}: ${((performance.now() - clock.began) / 1000).toFixed(1)} s`);
for (const complaint of complaints) console.log(`✘ ${complaint}`);
process.exit(complaints.length === 0 ? 0 : 1);

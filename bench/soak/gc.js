/** Responses that nobody reads and nobody closes: their connections come back when the collector has found them. */
import { HTTPConnectionPool } from '../../dist/index.js';
import { startServerProcess } from './child.js';
import { books, clock, exposeGc, Memory } from './common.js';

const width = 64;

/** Small ones, whose rest is drained, and large ones, whose connection is given up. */
const sizes = [1_000, 50_000, 4_000_000];

/** `count` responses, so many at a time; the next ones can only be asked for when the collector has freed the pool. */
export async function gc(count) {
  const collect = exposeGc();
  const server = await startServerProcess();
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, maxsize: width, block: true });
  const memory = new Memory();
  let [dropped, stuck] = [0, 0];
  while (dropped < count && stuck === 0 && performance.now() < clock.deadline) {
    await drop(pool, dropped);
    dropped += width;
    stuck = await freed(pool, collect);
    if (dropped === 10 * width) memory.warm();
  }
  const { opened, closed, idle, leased } = pool.stats();
  console.log(
    `${dropped} responses dropped: ${opened} connections opened, ${closed} closed, ${idle} idle, ${leased} leased; ${memory.toString()}`,
  );
  const complaints = [...books(pool.stats()), ...memory.above(32), ...memory.complaints()];
  if (stuck > 0) complaints.push(`${stuck} connections did not come back within ${freedWithin / 1000} s`);
  await pool.close({ timeout: 5_000 });
  await server.stop();
  return complaints;
}

/** A function of its own, so that nothing on the caller's stack holds a response. */
async function drop(pool, from) {
  const asked = Array.from({ length: width }, (_, n) =>
    pool.request('GET', `/bytes/${sizes[(from + n) % sizes.length]}/${n}`, {
      preloadContent: false,
      poolTimeout: freedWithin,
    }),
  );
  for (const { status } of await Promise.all(asked))
    if (status !== 200) throw new Error(`the server answered ${status}`);
}

/** Collects until every lease is back; how many are not when the time is up. */
async function freed(pool, collect) {
  for (const until = performance.now() + freedWithin; performance.now() < until;) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
    if (pool.stats().leased === 0) return 0;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return pool.stats().leased;
}

const freedWithin = 10_000;

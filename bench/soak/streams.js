/**
 * Streamed bodies by the gigabyte: half of their readers slow, some of them gone before the end, and uploads among them.
 * Memory has to stay where it was when the run was warm: back-pressure is what keeps a body out of it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { HTTPConnectionPool, HTTPError } from '../../dist/index.js';
import { startServerProcess } from './child.js';
import { books, clock, lanes, Memory, settled, texts } from './common.js';
import { patternAt } from './pattern.js';

const mebibyte = 1_048_576;
const bodySize = 16 * mebibyte;
const width = 16;

/** So many MiB above the warm base are allowed. */
const mostGrowth = 64;

/** `gibibytes` in all, whole bodies; 50 more for each of them are abandoned. */
export async function streams(gibibytes) {
  const server = await startServerProcess();
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, maxsize: width, block: true });
  const memory = new Memory();
  const seen = { bytes: 0, abandoned: 0, wrong: texts(), failed: texts() };
  const start = process.memoryUsage.rss() / mebibyte;
  const turn = (n) => one(pool, n, seen);

  const wholes = Math.max(Math.ceil((gibibytes * 1024) / 16), 2 * width);
  const abandoned = Math.round(50 * gibibytes);
  // What there is when every lane has had a slow and a quick body is the base.
  await lanes(2 * width, width, turn);
  memory.warm();
  // The abandoned ones are spread over the run: every so many bodies one.
  const count = wholes - 2 * width + abandoned;
  const isAbandoned = (n) => Math.floor((n * abandoned) / count) > Math.floor(((n - 1) * abandoned) / count);
  await lanes(count, width, (n) => (isAbandoned(n) ? abandon(pool, n, seen) : turn(n)));
  await settled(pool);

  const { opened, reused } = pool.stats();
  console.log(
    `${(seen.bytes / 2 ** 30).toFixed(1)} GiB in ${((performance.now() - clock.began) / 1000).toFixed(0)} s, ` +
      `${seen.abandoned} bodies abandoned, ${opened} connections opened, ${reused} reused; ` +
      `memory at the start ${start.toFixed(0)} MiB; ${memory.toString()}`,
  );
  const complaints = [...books(pool.stats()), ...memory.above(mostGrowth), ...memory.complaints()];
  if (seen.wrong.length > 0) complaints.push(`${seen.wrong.length} bodies were wrong: ${seen.wrong[0]}`);
  if (seen.failed.length > 0) complaints.push(`${seen.failed.length} failed: ${seen.failed[0]}`);
  await pool.close({ timeout: 5_000 });
  await server.stop();
  return complaints;
}

async function one(pool, n, seen) {
  try {
    await (n % 8 === 0 ? upload(pool, n, seen) : download(pool, n, seen));
  } catch (error) {
    seen.failed.push(describe(error));
  }
}

async function download(pool, n, seen) {
  const response = await pool.request('GET', target(n), { preloadContent: false });
  const pause = pauses(n);
  let at = 0;
  for await (const piece of n % 3 === 0 ? response.stream(100_000) : response) {
    const right = piece[0] === patternAt(n, at) && piece.at(-1) === patternAt(n, at + piece.length - 1);
    if (!right) seen.wrong.push(`body ${n} at ${at}`);
    at += piece.length;
    seen.bytes += piece.length;
    await pause();
  }
  if (at !== bodySize) seen.wrong.push(`body ${n} has ${at} bytes`);
}

/** The slow side of an upload is the one that produces it. */
async function upload(pool, n, seen) {
  const piece = Buffer.alloc(65_536, n);
  const pause = pauses(n >> 3);
  async function* pieces() {
    for (let sent = 0; sent < bodySize; sent += piece.length) {
      await pause();
      yield piece;
    }
  }
  const headers = (n >> 4) % 2 === 0 ? { 'content-length': String(bodySize) } : {};
  const response = await pool.request('POST', '/count', { body: pieces(), headers });
  if (response.text() !== String(bodySize)) seen.wrong.push(`upload ${n} arrived as ${response.text()}`);
  seen.bytes += bodySize;
}

/** In four ways: the loop left, closed unread, closed after a piece, aborted in the middle. */
async function abandon(pool, n, seen) {
  const controller = new AbortController();
  const way = n % 4;
  try {
    const options = { preloadContent: false, ...(way === 3 && { signal: controller.signal }) };
    const response = await pool.request('GET', target(n), options);
    seen.abandoned += 1;
    if (way === 1) {
      response.close();
      return;
    }
    let left = 1 + (n % 5);
    for await (const piece of response) {
      seen.bytes += piece.length;
      left -= 1;
      if (left > 0) continue;
      if (way === 0) break;
      if (way === 2) {
        response.close();
        return;
      }
      controller.abort();
    }
    if (way === 3) seen.wrong.push(`body ${n} went on after its abort`);
  } catch (error) {
    if (way !== 3 || error !== controller.signal.reason) seen.failed.push(describe(error));
  }
}

function target(n) {
  return `/bytes/${bodySize}/${n}${n % 5 === 0 ? '?chunked' : ''}`;
}

/** Every second one waits for a millisecond after each piece, and longer after every sixteenth. */
function pauses(n) {
  if (n % 2 === 0) return async () => undefined;
  let turn = 0;
  return () => {
    turn += 1;
    return sleep(turn % 16 === 0 ? 15 : 1);
  };
}

function describe(error) {
  const coded = error instanceof HTTPError && error.code && error.code !== 'ERR_INTERNAL';
  return `${coded ? error.code : 'without a code'}: ${error?.message}`;
}

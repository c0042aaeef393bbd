/**
 * Streams of HTTP/2 against a server that says GOAWAY every so many streams, and resets every hundredth: half GETs, half
 * POSTs, each with a number in its path, a POST in its body too, and every answer has to be that number.
 *
 * Retries are off, so what is seen is the pool's own doing: it sends again what the server says it did not do, once. What
 * holds for each request: one outcome; done at most once; once if it succeeded; not at all if it was refused.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { buildCeiling } from '../prepare.js';
import { lanes, Memory, settled } from './common.js';

/** How many requests are under way: more than the server takes on one connection. */
const WIDTH = 100;

/** From so many on it is a long run. */
const LONG = 1_000_000;

const SUCCEEDED = 1;
const REFUSED = 2;
const RESET = 3;
const ODD = 4;

/** Those that the server did not do, by its own word (RFC 9113 §6.8, §8.7). */
const unprocessed = new Set(['ERR_H2_REFUSED', 'ERR_H2_GOAWAY']);

/**
 * So many requests with this build of the product, a GOAWAY after so many streams.
 *
 * @param {{ HTTPConnectionPool: any, HTTPError: any }} product
 * @param {{ requests: number, streams?: number }} size
 * @returns {Promise<{ lines: string[], complaints: string[] }>}
 */
export async function h2({ HTTPConnectionPool, HTTPError }, { requests, streams = 1_000 }) {
  const ceiling = buildCeiling();
  if (!ceiling) return { lines: [], complaints: ['the server (bench/ceiling) could not be built'] };
  const directory = mkdtempSync(join(tmpdir(), 'ferropool-h2-'));
  const file = join(directory, 'done');
  const server = spawn(ceiling, ['h2', String(requests), file, String(streams)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const said = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
  const port = Number((await said.next()).value);
  const pool = new HTTPConnectionPool('127.0.0.1', {
    port,
    http2: 'prior-knowledge',
    maxsize: 8,
    block: true,
    retries: false,
  });

  const outcomes = new Uint8Array(requests + 1);
  /** @type {Map<string, number>} */
  const reasons = new Map();
  const odd = [];
  const memory = new Memory();
  const settle = (n, outcome) => {
    if (outcomes[n] !== 0) odd.push(`request ${n} ended twice`);
    outcomes[n] = outcome;
  };
  const fail = (n, error) => {
    const known = error instanceof HTTPError && typeof error.reason === 'string';
    const reason = known ? error.reason : (error.code ?? error.name);
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    if (unprocessed.has(reason)) return settle(n, REFUSED);
    // A stream that was reset before its answer, or in the middle of it.
    if (reason === 'ERR_H2_RESET' || error.code === 'ERR_INCOMPLETE_READ') return settle(n, RESET);
    if (odd.length < 5) odd.push(`request ${n}: ${error.name} ${error.code} ${reason}: ${error.message}`);
    return settle(n, ODD);
  };
  const one = async (n) => {
    memory.look();
    const request = n % 2 === 0 ? pool.request('GET', `/${n}`) : pool.request('POST', `/${n}`, { body: String(n) });
    let response;
    try {
      response = await request;
    } catch (error) {
      return fail(n, error);
    }
    if (response.status === 200 && response.text() === String(n)) return settle(n, SUCCEEDED);
    odd.push(`request ${n} had another's answer: ${response.status} ${response.text()}`);
    return settle(n, ODD);
  };
  const began = performance.now();
  const count = await lanes(requests, WIDTH, one);
  const seconds = (performance.now() - began) / 1_000;
  await settled(pool);
  const { opened, closed, idle, leased, waiting } = pool.stats();
  await pool.close();

  const gone = once(server, 'exit');
  server.stdin.end();
  const told = JSON.parse((await said.next()).value);
  await gone;
  const done = readFileSync(file);
  rmSync(directory, { recursive: true });

  const lines = [];
  const complaints = [];
  const check = (holds, line) => {
    lines.push(`${holds ? '✔' : '✘'} ${line}`);
    if (!holds) complaints.push(line);
  };
  const tally = (outcome, wrong) => {
    const all = { total: 0, wrong: 0, did: 0 };
    for (let n = 1; n <= count; n += 1) {
      if (outcomes[n] !== outcome) continue;
      all.total += 1;
      all.did += done[n];
      if (wrong(done[n])) all.wrong += 1;
    }
    return all;
  };
  lines.push(
    `  ${count} requests in ${seconds.toFixed(1)} s (${Math.round(count / seconds)} a second) on ${told.connections} connections`,
    `  the server said GOAWAY ${told.goaways} times, reset ${told.resets} streams and left ${told.undone} undone; ${JSON.stringify(Object.fromEntries(reasons))}`,
  );
  const [succeeded, refused, reset] = [
    tally(SUCCEEDED, (times) => times !== 1),
    tally(REFUSED, (times) => times !== 0),
    tally(RESET, (times) => times > 1),
  ];
  const missing = tally(0, () => true).total;
  let twice = 0;
  for (const times of done) if (times > 1) twice += 1;
  check(
    missing === 0 && odd.length === 0,
    `each has one outcome that is documented; ${odd.slice(0, 5).join('; ') || 'no other'}`,
  );
  check(twice === 0, `${twice} were done more than once`);
  check(
    succeeded.total > count * 0.95 && succeeded.wrong === 0,
    `${succeeded.total} succeeded, ${succeeded.wrong} of them were not done once`,
  );
  check(refused.wrong === 0, `${refused.total} were refused, ${refused.wrong} of them were done`);
  check(reset.wrong === 0, `${reset.total} were reset, ${reset.did} of them were done`);
  check(told.wrong === 0, `${told.wrong} requests were not what was sent`);
  const due = Math.floor(count / streams / 2);
  check(told.goaways >= due && told.undone > 0, `${told.goaways} GOAWAYs, ${told.undone} streams that were not done`);
  check(
    leased === 0 && waiting === 0 && opened === closed + idle,
    `at the end ${leased} leased, ${waiting} waiting; ${opened} opened = ${closed} closed + ${idle} idle`,
  );
  const grown = memory.complaints(count >= LONG);
  check(grown.length === 0, grown[0] ?? memory.toString());
  return { lines, complaints };
}

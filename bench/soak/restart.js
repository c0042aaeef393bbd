/**
 * A server that is killed and started again and again under load (SIGKILL: its system closes or resets what it had open).
 *
 * GETs are retried and all succeed. A POST is not: who sends it again may have it done twice. So of those under way when the
 * server dies some reject, each with what is known: `sent` is false if the peer cannot have seen it (nobody listened, or
 * its connection was dead before a byte was taken), and true if it may have been served, or may not. What holds for every
 * POST: it is served at most once; one that resolved was served; one that says it was not sent was not.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { texts } from './common.js';

/** Milliseconds from one kill to the next. */
const PERIOD = 2_000;

/**
 * Runs for so many seconds with this build of the product.
 *
 * @param {{ HTTPConnectionPool: any, Retry: any, HTTPError: any }} product
 * @param {{ seconds: number, width?: number }} size
 * @returns {Promise<{ lines: string[], complaints: string[] }>}
 */
export async function restart({ HTTPConnectionPool, Retry, HTTPError }, { seconds, width = 50 }) {
  const directory = mkdtempSync(join(tmpdir(), 'ferropool-restart-'));
  const file = join(directory, 'served');
  writeFileSync(file, '');
  const script = fileURLToPath(new URL('restart-server.js', import.meta.url));
  const start = async (port) => {
    const child = fork(script, [String(port), file], { execArgv: [] });
    const [message] = await once(child, 'message');
    return { child, port: message.port };
  };
  const first = await start(0);
  const { port } = first;
  let { child } = first;
  const pool = new HTTPConnectionPool('127.0.0.1', { port, maxsize: width, block: true });
  const persistent = new Retry({ total: 10, backoffFactor: 100 });
  const end = performance.now() + seconds * 1_000;
  const gets = { ok: 0, failed: texts() };
  /** @type {Map<string, 'served' | 'sent' | 'unsent'>} */
  const posts = new Map();
  const unexpected = texts();
  let [next, kills, most, live] = [0, 0, 0, true];

  const get = async () => {
    const response = await pool.request('GET', '/', { retries: persistent });
    if (response.status !== 200 || response.text() !== 'here') throw new Error(`not the answer: ${response.status}`);
    gets.ok += 1;
  };
  const post = async () => {
    next += 1;
    const id = `post-${next}`;
    try {
      const response = await pool.request('POST', '/', { body: id, retries: 0 });
      if (response.text() !== id) throw new Error(`another's answer: ${response.text()}`);
      posts.set(id, 'served');
    } catch (error) {
      if (!(error instanceof HTTPError) || typeof error.sent !== 'boolean')
        unexpected.push(`${error?.name}: ${error?.message}`);
      posts.set(id, error.sent ? 'sent' : 'unsent');
      // Whoever is refused at once would fill the time until the server is back with nothing but that.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const lane = async (_, n) => {
    while (performance.now() < end) {
      const { leased, idle } = pool.pool;
      most = Math.max(most, leased + idle);
      if (n % 2 === 0) await get().catch((error) => gets.failed.push(`${error.name}: ${error.message}`));
      else await post();
    }
  };
  const killer = async () => {
    while (performance.now() + PERIOD < end) {
      await new Promise((resolve) => setTimeout(resolve, PERIOD));
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
      kills += 1;
      ({ child } = await start(port));
    }
    live = false;
  };
  await Promise.all([killer(), ...Array.from({ length: width }, lane)]);

  const { leased, waiting, opened, closed, idle, staleReplays } = pool.stats();
  await pool.close();
  const gone = once(child, 'exit');
  child.disconnect();
  await gone;
  const served = new Map();
  for (const id of readFileSync(file, 'latin1').split('\n')) if (id !== '') served.set(id, (served.get(id) ?? 0) + 1);
  rmSync(directory, { recursive: true });

  const lines = [];
  const complaints = [];
  const check = (holds, line) => {
    lines.push(`${holds ? '✔' : '✘'} ${line}`);
    if (!holds) complaints.push(line);
  };
  const of = (outcome) => [...posts].filter(([, known]) => known === outcome).map(([id]) => id);
  const [done, sent, unsent] = [of('served'), of('sent'), of('unsent')];
  // A busy machine needs its time to start a process.
  check(!live && kills >= Math.floor(seconds / 4), `the server was killed ${kills} times in ${seconds} s`);
  check(
    gets.failed.length === 0 && gets.ok > 0,
    `${gets.ok} GETs succeeded, ${gets.failed.length} failed ${gets.failed.join('; ').slice(0, 300)}`,
  );
  const twice = [...served].filter(([, times]) => times > 1).length;
  check(twice === 0, `${posts.size} POSTs, ${served.size} served, ${twice} of them more than once`);
  const missing = done.filter((id) => !served.has(id)).length;
  check(done.length > 0 && missing === 0, `${done.length} POSTs resolved, ${missing} of them were not served`);
  const denied = unsent.filter((id) => served.has(id)).length;
  check(denied === 0, `${unsent.length} POSTs rejected as not sent, ${denied} of them were served`);
  const maybe = sent.filter((id) => served.has(id)).length;
  check(
    unexpected.length === 0,
    `${sent.length} POSTs rejected as sent, ${maybe} of them were served; ${unexpected.length} errors that nothing explains ${unexpected[0] ?? ''}`,
  );
  check(most <= width, `at most ${most} connections at once of ${width}, ${staleReplays} replays`);
  check(
    leased === 0 && waiting === 0 && opened === closed + idle,
    `at the end ${leased} leased, ${waiting} waiting; ${opened} opened = ${closed} closed + ${idle} idle`,
  );
  return { lines, complaints };
}

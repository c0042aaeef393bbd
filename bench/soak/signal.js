/** Many requests with one signal that lives longer than all of them: it keeps nothing of them (THR-912). */
import { getEventListeners, once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { lanes, Memory } from './common.js';

/** From so many requests on it is a long run. */
const LONG = 50_000;

const script = `
  const { parentPort } = require('node:worker_threads');
  const server = require('node:http').createServer({ keepAliveTimeout: 60000 }, (_, response) => response.end('here'));
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
`;

/**
 * Makes so many requests with this build of the product.
 *
 * @param {{ HTTPConnectionPool: any }} product
 * @param {{ requests: number, width?: number }} size
 * @returns {Promise<{ lines: string[], complaints: string[] }>}
 */
export async function signal({ HTTPConnectionPool }, { requests, width = 50 }) {
  const worker = new Worker(script, { eval: true });
  const [port] = await once(worker, 'message');
  const pool = new HTTPConnectionPool('127.0.0.1', { port, maxsize: width, block: true });
  const controller = new AbortController();
  const warnings = [];
  const warned = (warning) => warnings.push(`${warning.name}: ${warning.message}`);
  process.on('warning', warned);
  const memory = new Memory();
  let [most, fewest, served] = [0, Infinity, 0];
  const done = await lanes(requests, width, async () => {
    memory.look();
    const asked = pool.request('GET', '/', { signal: controller.signal });
    const listeners = getEventListeners(controller.signal, 'abort').length;
    most = Math.max(most, listeners);
    fewest = Math.min(fewest, listeners);
    if ((await asked).text() === 'here') served += 1;
  });
  const after = getEventListeners(controller.signal, 'abort').length;
  // Warnings come a turn later.
  await new Promise((resolve) => setImmediate(resolve));
  controller.abort(new Error('the end'));
  const late = await pool.request('GET', '/', { signal: controller.signal }).then(
    () => null,
    (error) => error,
  );
  process.off('warning', warned);
  const { leased, waiting, opened, closed, idle } = pool.stats();
  await pool.close();
  await worker.terminate();

  const lines = [];
  const complaints = [];
  const check = (holds, line) => {
    lines.push(`${holds ? '✔' : '✘'} ${line}`);
    if (!holds) complaints.push(line);
  };
  check(served === done, `${served} of ${done} requests served with one signal`);
  check(most === 1 && fewest === 1, `${fewest} to ${most} listeners while they ran`);
  check(after === 0, `${after} listeners afterwards`);
  check(warnings.length === 0, `${warnings.length} warnings ${warnings[0] ?? ''}`);
  check(late === controller.signal.reason, 'once it is aborted, a request rejects with its reason');
  check(
    leased === 0 && waiting === 0 && opened === closed + idle,
    `at the end ${leased} leased, ${waiting} waiting; ${opened} opened = ${closed} closed + ${idle} idle`,
  );
  const grown = memory.complaints(done >= LONG);
  check(grown.length === 0, grown[0] ?? memory.toString());
  return { lines, complaints };
}

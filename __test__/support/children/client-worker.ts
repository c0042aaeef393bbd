/** A worker that makes requests: `mode` 'busy' has many in flight for ever, 'once' makes some and ends by itself. */
import { parentPort, workerData } from 'node:worker_threads';

import { HTTPConnectionPool } from '../../../index.ts';

const { port, mode } = workerData as { port: number; mode: 'busy' | 'once' };
const pool = new HTTPConnectionPool('127.0.0.1', { port, maxsize: 8, block: true });
const first = await pool.request('GET', `/token-${mode}`);
if (first.text() !== `/token-${mode}`) throw new Error(`another's response: ${first.text()}`);
if (mode === 'once') {
  const responses = await Promise.all(Array.from({ length: 20 }, (_, n) => pool.request('GET', `/${n}`)));
  for (const [n, response] of responses.entries()) {
    if (response.text() !== `/${n}`) throw new Error(`another's response: ${response.text()}`);
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
  parentPort?.postMessage('done');
} else {
  // Fast ones, slow ones and large ones, so that the end comes upon every state.
  const again = async (path: string): Promise<void> => {
    for (;;) await pool.request('GET', path);
  };
  for (let n = 0; n < 12; n += 1) void again(['/quick', '/slow', '/large'][n % 3] ?? '/');
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
  parentPort?.postMessage('busy');
}

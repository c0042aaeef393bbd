/**
 * A worker that makes requests: `mode` 'busy' has many in flight for ever, 'streams' reads many bodies in pieces for ever,
 * 'once' makes some and ends by itself.
 */
import { parentPort, workerData } from 'node:worker_threads';

import { HTTPConnectionPool } from '../../../index.ts';

const { port, mode } = workerData as { port: number; mode: 'busy' | 'streams' | 'once' };
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
  const again = async (path: string, n: number): Promise<void> => {
    for (;;) {
      const response = await pool.request('GET', path, { preloadContent: mode === 'busy' });
      if (mode === 'busy' || n % 4 === 0) continue;
      if (n % 4 === 1) await response.read(10);
      else if (n % 4 === 2) for await (const piece of response.stream(1_000)) if (piece.length === 0) break;
      await response.read();
    }
  };
  for (let n = 0; n < 12; n += 1) void again(['/quick', '/slow', '/large'][n % 3] ?? '/', n);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
  parentPort?.postMessage(mode);
}

/** A worker with streams in flight for ever: small ones, ones that are held, and ones that are read by pieces. */
import { parentPort, workerData } from 'node:worker_threads';

import { HTTPConnectionPool } from '../../../index.ts';

const { port } = workerData as { port: number };
const pool = new HTTPConnectionPool('127.0.0.1', { port, http2: 'prior-knowledge' });
const first = await pool.request('GET', '/token');
if (first.text() !== '/token') throw new Error(`another's response: ${first.text()}`);
const again = async (path: string): Promise<void> => {
  for (;;) {
    const response = await pool.request('GET', path, { preloadContent: path !== '/large' });
    if (path === '/large') await response.read(10);
  }
};
for (let n = 0; n < 30; n += 1) void again(['/quick', '/never', '/large'][n % 3] ?? '/');
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
parentPort?.postMessage('busy');

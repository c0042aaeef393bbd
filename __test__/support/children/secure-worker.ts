/** A worker that makes handshakes for ever: each request closes its connection, and some never come to an end. */
import { parentPort, workerData } from 'node:worker_threads';

import { HTTPSConnectionPool } from '../../../index.ts';

const { port, stuck, ca } = workerData as { port: number; stuck: number; ca: string };
const options = { maxsize: 8, caCertData: ca, resolve: { localhost: '127.0.0.1' }, retries: false } as const;
const pool = new HTTPSConnectionPool('localhost', { port, ...options });
const never = new HTTPSConnectionPool('localhost', { port: stuck, ...options });
const first = await pool.request('GET', '/token');
if (first.text() !== '/token') throw new Error(`another's response: ${first.text()}`);
const again = async (): Promise<void> => {
  for (;;) await pool.request('GET', '/', { headers: { connection: 'close' } });
};
for (let n = 0; n < 6; n += 1) void again();
for (let n = 0; n < 4; n += 1) void never.request('GET', '/');
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
parentPort?.postMessage('busy');

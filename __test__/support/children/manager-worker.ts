/** A manager in a worker: `once` makes requests and closes it, `busy` says so in the middle of many and goes on. */
import { parentPort, workerData } from 'node:worker_threads';

import { PoolManager } from '../../../index.ts';

const { ports, mode } = workerData as { ports: number[]; mode: 'once' | 'busy' };
const manager = new PoolManager({ maxTotalConnections: 2 });
const ask = async (n: number): Promise<void> => {
  const at = n % ports.length;
  const pool = n % 2 === 0 ? manager : manager.connectionFromHost('127.0.0.1', { port: ports[at] ?? 0 });
  const response = await pool.request('GET', n % 2 === 0 ? `http://127.0.0.1:${ports[at]}/${n}` : `/${n}`);
  if (response.text() !== `/${n}`) throw new Error("another's response");
};
if (mode === 'once') {
  await Promise.all(Array.from({ length: 40 }, (_, n) => ask(n)));
  await manager.close();
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
  parentPort?.postMessage('done');
} else {
  let n = 0;
  const loops = Array.from({ length: 8 }, async () => {
    for (;;) {
      await ask((n += 1));
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
      if (n === 40) parentPort?.postMessage('busy');
    }
  });
  await Promise.all(loops);
}

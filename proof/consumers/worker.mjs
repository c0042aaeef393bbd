/** A worker of `items.mjs`: loads the package and does what it was told. */
import { parentPort, workerData } from 'node:worker_threads';
import { HTTPConnectionPool } from 'ferropool';

const { kind, where } = workerData;
const pool = new HTTPConnectionPool('127.0.0.1', { port: where.port });
if (kind === 'request') {
  const { status, data } = await pool.request('GET', '/plain');
  if (status !== 200 || data.length !== 9000) throw new Error(`${status}, ${data.length} bytes`);
}
if (kind === 'terminated') {
  const response = await pool.request('GET', '/endless', { preloadContent: false });
  await response.read1();
  parentPort?.postMessage('done', []);
  await response.read1();
}
await pool.close();
parentPort?.postMessage('done', []);

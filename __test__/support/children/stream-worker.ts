/** A worker that reads a large body: says `begun` after its first piece, and at the end what it has read. */
import { parentPort, workerData } from 'node:worker_threads';

import { HTTPConnectionPool } from '../../../index.ts';
import { Follower } from '../../servers/pattern.ts';

const { port, seed, size, way } = workerData as { port: number; seed: number; size: number; way: string };
const pool = new HTTPConnectionPool('127.0.0.1', { port });
const response = await pool.request('GET', `/bytes/${seed}/${size}`, { preloadContent: false });
const follower = new Follower(seed);
const tell = (what: unknown): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
  parentPort?.postMessage(what);
};
if (way === 'rest') {
  follower.take(await response.read(1000));
  tell('begun');
  follower.take(await response.read());
} else {
  for await (const piece of way === 'readable' ? response.toReadable() : response) {
    follower.take(piece as Buffer);
    tell('begun');
  }
}
tell(`${follower.at} read, ${follower.wrong} wrong`);

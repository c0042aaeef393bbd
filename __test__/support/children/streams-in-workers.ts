/** Two workers read at a time, and one of them is ended in the middle; prints how many of the others were right. */
import { bodyServer } from '../../servers/bodies.ts';
import { message, worker } from './in-workers.ts';

const size = 96 * 1024 * 1024;
const server = await bodyServer();
let right = 0;
for (let round = 0; round < 3; round += 1) {
  const way = ['pieces', 'rest', 'readable'][round % 3];
  const [ended, other] = [0, 1].map((n) =>
    worker('stream-worker.ts', { port: server.port, seed: round * 2 + n, size, way }),
  );
  if (ended === undefined || other === undefined) break;
  const done = message(other, `${size} read, 0 wrong`).then(() => (right += 1));
  await message(ended, 'begun');
  await ended.thread.terminate();
  await ended.exited;
  await done;
  await other.exited;
}
await server.close();
console.log(JSON.stringify({ right }));

/** Ends workers with streams in flight, four at a time; prints what that cost. Argument: rounds. */
import { each, h2Server } from '../../servers/h2-raw.ts';
import { answer } from '../../servers/h2-frames.ts';
import { message, worker } from './in-workers.ts';

const rounds = Number(process.argv[2]);
const large = Buffer.alloc(256 * 1024, 'x');
const server = await h2Server(
  each(async (request, peer) => {
    if (request.path === '/large') await peer.pour(request, large);
    else if (request.path !== '/never') await peer.send(answer(request.id, request.path));
  }),
);
let ended = 0;
const resident: number[] = [];
for (let round = 0; round < rounds; round += 1) {
  await Promise.all(
    Array.from({ length: 4 }, async (_, n) => {
      const one = worker('h2-worker.ts', { port: server.port });
      await message(one, 'busy');
      // Not all at the same point.
      for (let turn = 0; turn < (round + n) % 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      await one.thread.terminate();
      await one.exited;
      ended += 1;
    }),
  );
  resident.push(process.memoryUsage().rss);
}
for (const peer of server.peers) await peer.gone();
const sockets = server.peers.filter(({ ended: gone }) => !gone).length;
const { failure } = server;
await server.close().catch(() => undefined);
console.log(JSON.stringify({ ended, sockets, connections: server.peers.length, resident, failure: String(failure) }));

/**
 * Ends workers with requests in flight, four at a time; prints what that cost. Arguments: rounds of four, and what the
 * workers do (`busy`, or `streams`).
 */
import { httpServer } from '../../servers/http.ts';
import { message, worker } from './in-workers.ts';

const rounds = Number(process.argv[2]);
const mode = process.argv[3] ?? 'busy';
const large = Buffer.alloc(256 * 1024, 'x');
const server = await httpServer((request, response) => {
  const { url } = request;
  if (url === '/slow') setTimeout(() => response.end(url), 5);
  else response.end(url === '/large' ? large : url);
});
const resident: number[] = [];
let ended = 0;
for (let round = 0; round < rounds; round += 1) {
  await Promise.all(
    Array.from({ length: 4 }, async (_, n) => {
      const one = worker('client-worker.ts', { port: server.port, mode });
      await message(one, mode);
      // Not all at the same point.
      for (let turn = 0; turn < (round + n) % 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      await one.thread.terminate();
      await one.exited;
      ended += 1;
    }),
  );
  resident.push(process.memoryUsage().rss);
}
const open = (): number => server.sockets.filter((socket) => !socket.destroyed).length;
for (const until = Date.now() + 30_000; open() > 0 && Date.now() < until;)
  await new Promise((resolve) => setImmediate(resolve));
const sockets = open();
await server.close();
console.log(JSON.stringify({ ended, resident, sockets }));

/** Managers in workers, some of which are ended in the middle of their requests. Prints how many did their work. */
import { httpServer } from '../../servers/http.ts';
import { message, worker } from './in-workers.ts';

const servers = await Promise.all(
  [0, 1, 2].map(() => httpServer((request, response) => void setTimeout(() => response.end(request.url), 1))),
);
const ports = servers.map((server) => server.port);
let [done, ended] = [0, 0];
for (let round = 0; round < 3; round += 1) {
  const workers = Array.from({ length: 4 }, async (_, n) => {
    const busy = n % 2 === 0;
    const one = worker('manager-worker.ts', { ports, mode: busy ? 'busy' : 'once' });
    await message(one, busy ? 'busy' : 'done');
    if (busy) await one.thread.terminate();
    const code = await one.exited;
    if (busy && code === 1) ended += 1;
    if (!busy && code === 0) done += 1;
  });
  await Promise.all(workers);
}
const open = (): number => servers.flatMap((server) => server.sockets).filter((socket) => !socket.destroyed).length;
for (const until = Date.now() + 30_000; open() > 0 && Date.now() < until;)
  await new Promise((turn) => setImmediate(turn));
console.log(JSON.stringify({ done, ended, open: open() }));
for (const server of servers) await server.close();

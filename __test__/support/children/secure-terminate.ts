/** Ends workers in the middle of handshakes, four at a time; prints what that cost. Argument: rounds of four. */
import { rawServer } from '../../servers/raw.ts';
import { httpsServer } from '../../servers/tls.ts';
import { usual } from '../pki.ts';
import { message, worker } from './in-workers.ts';

const rounds = Number(process.argv[2]);
const server = await httpsServer((request, response) => response.end(request.url));
const stuck = await rawServer((peer) => peer.gone());
const data = { port: server.port, stuck: stuck.port, ca: usual().ca.pem };
const resident: number[] = [];
let ended = 0;
for (let round = 0; round < rounds; round += 1) {
  await Promise.all(
    Array.from({ length: 4 }, async (_, n) => {
      const one = worker('secure-worker.ts', data);
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
const open = (): number =>
  [...server.sockets, ...stuck.peers.filter((peer) => !peer.ended).map(({ socket }) => socket)].filter(
    (socket) => !socket.destroyed,
  ).length;
for (const until = Date.now() + 30_000; open() > 0 && Date.now() < until;)
  await new Promise((resolve) => setImmediate(resolve));
const sockets = open();
await server.close();
await stuck.close();
console.log(JSON.stringify({ ended, sockets, resident, shaken: server.shaken.length > ended }));

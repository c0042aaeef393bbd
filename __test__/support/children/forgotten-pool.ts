/** POOL-20: of two pools with an idle connection each, one is forgotten. Says which connections the collector closed. */
import { HTTPConnectionPool } from '../../../index.ts';
import { answers, rawServer, reply } from '../../servers/raw.ts';

const server = await rawServer(answers(reply('x')));
const held = new HTTPConnectionPool('127.0.0.1', { port: server.port });
await held.request('GET', '/held');

/** In a function of its own: its frame would hold the pool. */
async function useAndForget(): Promise<void> {
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port });
  await pool.request('GET', '/forgotten');
}
await useAndForget();

const [first, second] = server.peers;
for (let tries = 0; tries < 500; tries += 1) {
  if (second?.ended === true) break;
  globalThis.gc?.();
  // Finalisers run between turns.
  await new Promise((resolve) => setTimeout(resolve, 10));
}
const response = await held.request('GET', '/again');
const outcome = { forgotten: second?.ended, held: first?.ended, status: response.status, sockets: server.peers.length };
await held.close();
await server.close();
console.log(JSON.stringify(outcome));

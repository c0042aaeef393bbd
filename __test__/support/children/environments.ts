/**
 * The addon in the main thread and in eight workers, twice over; with the argument `workers-only` never in the main
 * thread. Prints how many workers did their work.
 */
import { httpServer } from '../../servers/http.ts';
import { message, worker } from './in-workers.ts';

const server = await httpServer((request, response) => response.end(request.url));
const main = process.argv[2] !== 'workers-only';
let done = 0;
for (let round = 0; round < 2; round += 1) {
  const workers = Array.from({ length: 8 }, async () => {
    const one = worker('client-worker.ts', { port: server.port, mode: 'once' });
    await message(one, 'done');
    if ((await one.exited) === 0) done += 1;
  });
  if (main) {
    const { HTTPConnectionPool } = await import('../../../index.ts');
    const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port });
    const response = await pool.request('GET', `/main-${round}`);
    if (response.text() !== `/main-${round}`) throw new Error("another's response");
    await pool.close();
  }
  await Promise.all(workers);
}
await server.close();
console.log(JSON.stringify({ done }));

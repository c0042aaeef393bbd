/** Code of the user that throws where a completion calls it, and that submits and closes there. Prints what came of it. */
import { HTTPConnectionPool } from '../../../index.ts';
import { httpServer } from '../../servers/http.ts';

const server = await httpServer((request, response) => {
  if (request.url !== '/never') response.end(request.url);
});
const pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port: server.port, maxsize: 2, block: true });

const unhandled: string[] = [];
process.on('unhandledRejection', (reason) => unhandled.push((reason as Error).message));
const uncaught: string[] = [];
process.on('uncaughtException', (error) => uncaught.push(error.message));

const served = await Promise.all(
  Array.from({ length: 50 }, async (_, n) => {
    const response = pool.request('GET', `/${n}`);
    void response.then(() => {
      throw new Error('thrown in a continuation');
    });
    return (await response).text() === `/${n}`;
  }),
);

// A listener of the signal that throws, before ours and after it.
const controller = new AbortController();
const throwing = (): void => {
  throw new Error('thrown in a listener');
};
controller.signal.addEventListener('abort', throwing);
const aborted = pool.request('GET', '/never', { signal: controller.signal }).then(
  () => 'served',
  (error: unknown) => (error as Error).name,
);
controller.signal.addEventListener('abort', throwing);
controller.abort();

// Submitting, and closing the very pool, where a completion is delivered.
const inside = await pool.request('GET', '/outer').then(async (outer) => {
  const inner = await pool.request('GET', '/inner');
  await pool.close();
  return [outer.text(), inner.text()];
});
const after = await pool.request('GET', '/').catch((error: unknown) => (error as { code: string }).code);
await new Promise((resolve) => setImmediate(resolve));
await server.close();
console.log(
  JSON.stringify({
    served: served.filter(Boolean).length,
    unhandled: unhandled.length,
    uncaught,
    aborted: await aborted,
    inside,
    after,
  }),
);

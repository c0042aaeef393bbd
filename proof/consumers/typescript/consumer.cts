/** A TypeScript user of the package, in a CommonJS module. What must not compile is marked. */
import ferropool = require('ferropool');

async function ask(): Promise<number> {
  const options: ferropool.PoolOptions = { port: 8080, maxsize: 1, block: undefined };
  const pool = new ferropool.HTTPConnectionPool('localhost', options);
  const response = await pool.request('GET', '/');
  const text: string = response.text();
  await pool.close();
  return response.status + text.length;
}

const wasRefused = (error: unknown): boolean =>
  error instanceof ferropool.NewConnectionError && error.code === 'ECONNREFUSED';

// @ts-expect-error A host is a string: if this compiled, the types would be `any`.
const wrongHost = new ferropool.HTTPConnectionPool(42);
// @ts-expect-error There is no such option.
const wrongOption = new ferropool.HTTPConnectionPool('localhost', { maxSize: 1 });

export = { ask, wasRefused, wrongHost, wrongOption };

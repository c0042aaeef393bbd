/** A TypeScript user of the package, in an ES module. What must not compile is marked. */
import { HTTPConnectionPool, HTTPError, PoolManager, Retry, Timeout } from 'ferropool';
import type { HTTPResponse, PoolOptions, RequestOptions } from 'ferropool';

// With `exactOptionalPropertyTypes` or without: an option that is undefined is one that was not given.
const options: PoolOptions = { port: 8080, maxsize: 2, block: undefined, timeout: new Timeout({ connect: 1_000 }) };
const pool = new HTTPConnectionPool('localhost', options);
const asked: RequestOptions = { fields: { q: 'urllib3' }, retries: new Retry({ total: 2 }), headers: undefined };
const response: HTTPResponse = await pool.request('GET', '/search', asked);
const status: number = response.status;
const data: Buffer = response.data;
const type: string | undefined = response.headers['content-type'];
for await (const piece of response) console.log(piece.length, status, data.length, type);
response.toReadable().pipe(process.stdout);

try {
  await new PoolManager({ numPools: 4 }).request('GET', 'http://localhost/');
} catch (error) {
  if (error instanceof HTTPError) console.log(error.code, error.phase, error.attempts);
}
await pool.close();

// @ts-expect-error A host is a string: if this compiled, the types would be `any`.
export const wrongHost = new HTTPConnectionPool(42);
// @ts-expect-error There is no such option.
export const wrongOption = new HTTPConnectionPool('localhost', { maxSize: 1 });
// @ts-expect-error A status is a number.
export const wrongType: string = response.status;
// @ts-expect-error The stream is Node's, and has no such method: if this compiled, it would be `any`.
response.toReadable().pour(process.stdout);

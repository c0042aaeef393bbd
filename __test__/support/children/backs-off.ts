/**
 * A process with a request whose next attempt is an hour away. Arguments: port, way. It ends by itself:
 *
 *   abort    once the request is aborted
 *   total    once the request's deadline has come
 *   close    once the pool is closed
 */
import { HTTPConnectionPool, type HTTPError } from '../../../index.ts';

const [port, way] = process.argv.slice(2);
const pool = new HTTPConnectionPool('127.0.0.1', { port: Number(port) });
const aborter = new AbortController();
const timeout = way === 'total' ? { total: 300 } : null;
// The server asks for an hour.
const call = pool.request('GET', '/', { signal: aborter.signal, timeout });
call.catch((error: HTTPError) => console.log(error.code));
while (pool.numRequests === 0 || pool.stats().leased > 0) await new Promise((resolve) => setTimeout(resolve, 5));
console.log('waits');
if (way === 'abort') aborter.abort(Object.assign(new Error('enough'), { code: 'ENOUGH' }));
if (way === 'close') await pool.close();

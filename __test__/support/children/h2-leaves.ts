/**
 * A process that ends in one of several ways while a pool speaks HTTP/2. Arguments: port, way.
 *
 *   idle     one request, then nothing more to do: it ends by itself with the exit code that was set
 *   pending  ends by itself once a slow request has been answered
 *   exit     process.exit(5) with streams in flight
 */
import { HTTPConnectionPool } from '../../../index.ts';

const [port, way] = process.argv.slice(2);
const options = { port: Number(port), http2: 'prior-knowledge' as const };
const pool = new HTTPConnectionPool('127.0.0.1', options);
await pool.request('GET', '/');
console.log('ready');
if (way === 'idle') {
  process.exitCode = 7;
} else if (way === 'pending') {
  void pool.request('GET', '/slow').then((response) => console.log(`answered ${response.status}`));
} else {
  for (let n = 0; n < 20; n += 1) void pool.request('GET', '/never');
  await new Promise((resolve) => setImmediate(resolve));
  process.exit(5);
}

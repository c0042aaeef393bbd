/**
 * A process that ends in one of several ways while a pool is there. Arguments: port, way.
 *
 *   idle     one request, then nothing more to do: it ends by itself with the exit code that was set
 *   pending  ends by itself once a slow request has been answered
 *   exit     process.exit(5) with requests in flight
 *   busy     has requests in flight until it is killed
 */
import { HTTPConnectionPool } from '../../../index.ts';

const [port, way] = process.argv.slice(2);
const pool = new HTTPConnectionPool('127.0.0.1', { port: Number(port), maxsize: 4 });
await pool.request('GET', '/');
console.log('ready');
if (way === 'idle') {
  process.exitCode = 7;
} else if (way === 'pending') {
  void pool.request('GET', '/slow').then((response) => console.log(`answered ${response.status}`));
} else {
  const flying = Array.from({ length: 8 }, () => pool.request('GET', '/never'));
  await new Promise((resolve) => setImmediate(resolve));
  if (way === 'exit') process.exit(5);
  console.log('busy');
  await Promise.all(flying);
}

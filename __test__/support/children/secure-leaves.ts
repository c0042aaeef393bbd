/**
 * A process that ends while a pool of https is there. Arguments: port, way, a CA as PEM.
 *
 *   idle   one request, then nothing more to do: it ends by itself with the exit code that was set
 *   exit   process.exit(5) with handshakes under way
 */
import { HTTPSConnectionPool } from '../../../index.ts';

const [port, way, ca = ''] = process.argv.slice(2);
const pool = new HTTPSConnectionPool('localhost', {
  port: Number(port),
  maxsize: 16,
  resolve: { localhost: '127.0.0.1' },
  caCertData: ca,
});
await pool.request('GET', '/');
console.log('ready');
if (way === 'idle') {
  process.exitCode = 7;
} else {
  for (let n = 0; n < 16; n += 1) void pool.request('GET', '/');
  await new Promise((resolve) => setImmediate(resolve));
  process.exit(5);
}

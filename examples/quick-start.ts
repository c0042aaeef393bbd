/**
 * The example every reader of the README sees first, printing what it gets.
 * `npm start` runs it against a server on this machine; by hand: `node --import=tsx examples/quick-start.ts PORT`.
 */
import { HTTPConnectionPool } from 'ferropool';

const port = Number(process.argv[2] ?? process.env['PORT'] ?? 8080);

const pool = new HTTPConnectionPool('localhost', { port, maxsize: 1 });
let r = await pool.request('GET', '/search', { fields: { q: 'urllib3', v: '1.0' } });
console.log(r.status); // 200
console.log(r.headers['content-type']); // 'text/javascript; charset=utf-8'
console.log(r.data); // Buffer: the whole, decoded body
r = await pool.request('GET', '/search', { fields: { q: 'python', v: '1.0' } });
console.log(pool.numConnections); // 1
console.log(pool.numRequests); // 2

{
  await using pool = new HTTPConnectionPool('localhost', { port, maxsize: 1 });
  await pool.request('GET', '/');
  console.log(pool.pool); // PoolView: { idle: 1, leased: 0, waiting: 0, maxsize: 1 }
} // cleared here; pool.pool is null and a request rejects with ClosedPoolError

await pool.close();

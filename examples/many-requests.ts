/**
 * Many pages of one host, ten at a time: a pool as large as the concurrency, waiting instead of opening more.
 * `node --import=tsx examples/many-requests.ts PORT`, where PORT is a server's on this machine.
 */
import { HTTPConnectionPool } from 'ferropool';

const port = Number(process.argv[2] ?? process.env['PORT'] ?? 8080);

await using pool = new HTTPConnectionPool('localhost', { port, maxsize: 10, block: true, timeout: 10_000 });

const pages = Array.from({ length: 100 }, (_, n) => ({ url: `/articles/${(n % 4) + 1}`, tag: n }));
const found = new Map<number, number>();
let failures = 0;
for await (const settled of pool.requestMany(pages)) {
  if (settled.ok) found.set(settled.response.status, (found.get(settled.response.status) ?? 0) + 1);
  else failures += 1;
}

for (const [status, count] of found) console.log(`${status}: ${count} pages`);
const { opened, reused, latency } = pool.stats();
console.log(`${failures} failed; ${opened} connections opened, used again ${reused} times`);
console.log(`half of the pages took less than ${latency?.total.p50.toFixed(2)} ms`);

/**
 * Many names that lead to one server, through one manager. Arguments: port, how many, and whether a `map` or a `function`
 * knows the addresses. Prints the resident memory after each tenth, the most pools there were, and what was lost.
 */
import { PoolManager } from '../../../index.ts';

const [port, count, way] = process.argv.slice(2);
const collect = (globalThis as unknown as { gc: () => void }).gc;
const names = (n: number): string => `h${n}.test`;
const resolve =
  way === 'map'
    ? Object.fromEntries(Array.from({ length: Number(count) }, (_, n) => [names(n), `127.0.0.1:${port}`]))
    : () => [{ address: '127.0.0.1', port: Number(port) }];
const manager = new PoolManager({ numPools: 50, maxTotalConnections: 20, resolve });
const resident: number[] = [];
let [most, live, served] = [0, 0, 0];
const tenth = Number(count) / 10;
for (let round = 0; round < 10; round += 1) {
  const urls = Array.from({ length: tenth }, (_, n) => `http://${names(round * tenth + n)}/`);
  for await (const settled of manager.requestMany(urls, { concurrency: 20 })) {
    if (settled.ok && settled.response.status === 200) served += 1;
    if (served % 50 !== 0) continue;
    most = Math.max(most, manager.pools.size);
    live = Math.max(live, manager.stats().live);
  }
  collect();
  await new Promise((resolve_) => setImmediate(resolve_));
  collect();
  resident.push(process.memoryUsage.rss());
}
const { opened, closed, idle, leased } = manager.stats();
await manager.close();
console.log(JSON.stringify({ served, most, live, opened, lost: opened - closed - idle - leased, resident }));

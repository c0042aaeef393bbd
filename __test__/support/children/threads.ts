/** Prints the names of this process's threads that come with the product, under many pools, requests and names. */
import { readdirSync, readFileSync } from 'node:fs';

import { HTTPConnectionPool } from '../../../index.ts';

const port = Number(process.argv[2]);
const names = (): string[] =>
  readdirSync('/proc/self/task')
    .map((task) => readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim())
    .filter((name) => name.startsWith('ferropool'))
    .toSorted();
const all = readdirSync('/proc/self/task').length;
const pools = Array.from({ length: 40 }, () => new HTTPConnectionPool('localhost', { port, maxsize: 4, block: true }));
const flying = pools.flatMap((pool) => Array.from({ length: 10 }, () => pool.request('GET', '/')));
let most = names().length;
for (const one of flying) {
  await one;
  most = Math.max(most, names().length);
}
const added = readdirSync('/proc/self/task').length - all;
console.log(
  JSON.stringify({
    served: flying.length,
    most,
    names: [...new Set(names())],
    io: names().filter((n) => n === 'ferropool-io').length,
    added,
  }),
);
await Promise.all(pools.map((pool) => pool.close()));

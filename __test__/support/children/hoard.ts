/**
 * Many large bodies that nobody reads on, then one that is read, and a preloaded one, then all of them. Arguments: port,
 * streams, MiB of each, memoryBudget (0 for the default), I/O threads. Prints the growth in MiB while they lay there, and what
 * was read.
 */
import { configure, HTTPConnectionPool } from '../../../index.ts';
import { Follower } from '../../servers/pattern.ts';
import { levelled, MIB, peak } from './resident-peak.ts';

const [port = 0, streams = 0, each = 0, memoryBudget = 0, ioThreads = 1] = process.argv.slice(2).map(Number);
configure({ ioThreads, ...(memoryBudget > 0 ? { memoryBudget } : {}) });
const pools = Array.from({ length: ioThreads }, () => {
  return new HTTPConnectionPool('127.0.0.1', { port, maxsize: streams / ioThreads + 2 });
});
const other = new HTTPConnectionPool('127.0.0.1', { port });

/** A body, of which the first piece was taken: so its reading has begun, and more is on its way. */
async function begun(seed: number): Promise<() => Promise<Follower>> {
  const pool = pools[seed % ioThreads] as HTTPConnectionPool;
  const response = await pool.request('GET', `/bytes/${seed}/${each * MIB}`, { preloadContent: false });
  const follower = new Follower(seed);
  const pieces = response[Symbol.asyncIterator]();
  const take = async (): Promise<boolean> => {
    const { done, value } = await pieces.next();
    if (done !== true) follower.take(value);
    return done !== true;
  };
  await take();
  return async () => {
    while (await take());
    return follower;
  };
}

// What everything takes that the first of its kind brings into memory, the pattern's blocks too.
await (
  await begun(0)
)();
await other.request('GET', '/bytes/0/65536');
for (const pool of pools) await pool.warm(streams / ioThreads);
const before = levelled();
const hoard = await Promise.all(Array.from({ length: streams }, (_, seed) => begun(seed)));
const sent = Number((await other.request('GET', '/quiet')).text());
const grown = peak() - before;
const one = await (await begun(7))();
const preloaded = (await other.request('GET', `/bytes/9/${each * MIB}`)).data;
const check = new Follower(9);
check.take(preloaded);
const pressed = { bytes: one.at, wrong: one.wrong, preloaded: check.at, preloadedWrong: check.wrong };
let [read, wrong] = [0, 0];
// Some at a time: what is read together may lie around together.
while (hoard.length > 0) {
  for (const { at, wrong: more } of await Promise.all(hoard.splice(0, 20).map((rest) => rest()))) {
    read += at;
    wrong += more;
  }
}
const stats = pools.map((pool) => pool.stats());
const leased = Math.max(...stats.map((each) => each.leased));
const waiting = Math.max(...stats.map((each) => each.waiting));
await Promise.all([...pools, other].map((pool) => pool.close()));
console.log(JSON.stringify({ grown, sent, pressed, read, wrong, leased, waiting }));

/** Managers and pools on two I/O threads. Argument: the server's port. Prints the threads that there are, and what was served. */
import { readdirSync, readFileSync } from 'node:fs';

import { configure, HTTPConnectionPool, PoolManager } from '../../../index.ts';

const port = Number(process.argv[2]);
const threads = (): Map<string, string> =>
  new Map(
    readdirSync('/proc/self/task').map((task) => [task, readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim()]),
  );
const io = (): string[] => [...threads()].filter(([, name]) => name === 'ferropool-io').map(([task]) => task);
/** Ticks of a processor that each I/O thread has had. */
const ticks = (): number[] =>
  io().map((task) => {
    const [, rest = ''] = readFileSync(`/proc/self/task/${task}/stat`, 'utf8').split(') ');
    const words = rest.split(' ');
    return Number(words[11]) + Number(words[12]);
  });
const counts = [io().length];
configure({ ioThreads: 2 });
counts.push(io().length);
/** A thread has its name a moment after it has begun. */
async function settled(wanted: number): Promise<void> {
  for (const until = Date.now() + 30_000; io().length < wanted && Date.now() < until;) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  counts.push(io().length);
}
const first = new PoolManager();
await settled(1);
const second = new PoolManager();
await settled(2);
const others = [new PoolManager(), new PoolManager(), new HTTPConnectionPool('localhost', { port, maxsize: 4 })];
const codes: (string | undefined)[] = [];
for (const ioThreads of [3, 1]) {
  try {
    configure({ ioThreads });
    codes.push('nothing was thrown');
  } catch (error) {
    codes.push((error as { code?: string }).code);
  }
}
// What they are already is no change.
configure({ ioThreads: 2 });
let served = 0;
let most = 0;
for (let round = 0; round < 10; round += 1) {
  const calls = [first, second, ...others].flatMap((one, n) =>
    Array.from({ length: 100 }, async (_, k) => {
      const base = one instanceof PoolManager ? `http://localhost:${port}` : '';
      const response = await one.request('GET', `${base}/${n}-${k}`);
      if (response.text() === `/${n}-${k}`) served += 1;
    }),
  );
  await Promise.all(calls);
  most = Math.max(most, [...threads().values()].filter((name) => name.startsWith('ferropool')).length);
}
counts.push(io().length);
const busy = ticks().filter((one) => one > 0).length;
await Promise.all([first, second, ...others].map((one) => one.close()));
console.log(JSON.stringify({ counts, codes, served, most, busy }));

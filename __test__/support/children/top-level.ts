/** The module-level `request` in a process of its own, which ends by itself. Argument: a URL. */
import { readdirSync, readFileSync } from 'node:fs';

import { request } from '../../../index.ts';

/** I/O threads of the product; where nothing tells, what is expected. */
function threads(expected: number): number {
  if (process.platform !== 'linux') return expected;
  const names = readdirSync('/proc/self/task').map((task) =>
    readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim(),
  );
  return names.filter((name) => name === 'ferropool-io').length;
}

const before = threads(0);
const { status } = await request('GET', process.argv[2] ?? '');
console.log(JSON.stringify({ threads: [before, threads(1)], status }));

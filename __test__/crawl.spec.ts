/** A crawl over many hosts, small: `bench/soak.js crawl` makes the large one. */
import test from 'ava';

import { crawl } from '../bench/soak/crawl.js';
import * as product from '../index.ts';
import { clocked } from './support/clocked.ts';

/** Bounds on what happens within a time, and on memory: a machine that stood still breaks them. */
const CLOCKS = / in \d+ ms | within a pause|MiB/;
/** What else did not hold, in any attempt: that has to hold each time. */
const lasting: string[] = [];

clocked(
  'THR-1010 THR-1011 THR-1213: a crawl of 200 hosts: one documented outcome each, and every bound holds',
  async (t) => {
    const size = { requests: 4_000, hosts: 200, width: 100, connections: 60, hot: 4 };
    const { lines, complaints } = await crawl(product, size);
    for (const line of lines) t.log(line);
    lasting.push(...complaints.filter((complaint) => !CLOCKS.test(complaint)));
    t.deepEqual(complaints, []);
  },
);

test.serial('THR-1010 THR-1011: in no attempt was an outcome, a count or the books another', (t) => {
  t.deepEqual(lasting, []);
});

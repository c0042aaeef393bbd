/** A crawl over many hosts, small: `bench/soak.js crawl` makes the large one. */
import { crawl } from '../bench/soak/crawl.js';
import * as product from '../index.ts';
import { clocked, within } from './support/clocked.ts';

/** What is complained of is a bound on what happens within a time, or on memory. */
const CLOCKS = / in \d+ ms | within a pause|MiB/;

clocked(
  'THR-1010 THR-1011 THR-1213: a crawl of 200 hosts: one documented outcome each, and every bound holds',
  async (t) => {
    const size = { requests: 4_000, hosts: 200, width: 100, connections: 60, hot: 4 };
    const { lines, complaints } = await crawl(product, size);
    for (const line of lines) t.log(line);
    t.deepEqual(
      complaints.filter((complaint) => !CLOCKS.test(complaint)),
      [],
    );
    within(t, complaints.length === 0, complaints.join('; '));
  },
);

/** What only shows after many requests, small: `bench/soak.js` makes the long ones. */
import test from 'ava';

import { restart } from '../bench/soak/restart.js';
import { signal } from '../bench/soak/signal.js';
import * as product from '../index.ts';

test.serial(
  'THR-912: 10,000 requests with one signal: one listener while they run, none after, no warning',
  async (t) => {
    const { lines, complaints } = await signal(product, { requests: 10_000 });
    for (const line of lines) t.log(line);
    t.deepEqual(complaints, []);
  },
);

test.serial('THR-1206: a server that is killed under load: GETs succeed, no POST is served twice', async (t) => {
  const { lines, complaints } = await restart(product, { seconds: 8 });
  for (const line of lines) t.log(line);
  t.deepEqual(complaints, []);
});

/** Managers as a part of a process: its descriptors and ports, its threads and workers, its memory, collection, a fall. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';

import { httpServer } from './servers/http.ts';
import { outcome } from './support/child.ts';
import { clockedOnLinux, within } from './support/clocked.ts';

/** What only Linux can show. */
function onLinux(title: string, run: (t: ExecutionContext) => Promise<void>): void {
  if (process.platform === 'linux') test.serial(title, run);
}

/** Whether this machine lets anybody make a network of his own. */
function hasNetworks(): boolean {
  try {
    execFileSync('unshare', ['-rn', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

type Tally = Record<string, number>;

// Who finds no descriptor waits a second for one: how many are served meanwhile is the machine's, too.
clockedOnLinux(
  'THR-1001: a thousand requests with 64 descriptors end well or with EMFILE, and it recovers',
  async (t) => {
    const server = await httpServer((_, response) => void setTimeout(() => response.end('x'), 20));
    t.teardown(() => server.close());
    const seen = await outcome<{
      many: Tally;
      lost: number;
      after: Tally;
      none: { value: Tally; took: number; busy: number };
      again: Tally;
    }>('shortage.ts', ['files', server.port], { under: ['sh', '-c', 'ulimit -n 64 && exec "$0" "$@"'] });
    t.log(seen);
    const { '200 ok': served = 0, 'NewConnectionError EMFILE': refused = 0, ...rest } = seen.many;
    t.deepEqual(rest, {});
    t.is(served + refused, 1_000);
    within(t, served > 100);
    t.is(seen.lost, 0);
    t.deepEqual(seen.after, { '200 ok': 20 });
    // With none at all: a while of patience, without a spin, and then its code; for a name as for an address.
    const { took, busy, value } = seen.none;
    t.is(value['NewConnectionError EMFILE'], 1);
    t.is(
      Object.values(value).reduce((sum, one) => sum + one, 0),
      2,
    );
    t.is(value['200 ok'], undefined);
    within(t, took >= 900 && took < 5_000, `${took} ms`);
    within(t, busy < took / 2, `${busy} ms of ${took} ms on a processor`);
    t.deepEqual(seen.again, { '200 ok': 1 });
  },
);

// Two hundred have to have had one of sixteen ports within a second.
clockedOnLinux(
  'THR-1002: with sixteen ports who finds none waits, and then has EADDRNOTAVAIL; it recovers',
  async (t) => {
    if (!hasNetworks()) {
      t.log('this machine lets nobody make a network of his own');
      t.pass();
      return;
    }
    const range = 'ip link set lo up && echo "32768 32783" > /proc/sys/net/ipv4/ip_local_port_range';
    const seen = await outcome<{
      many: Tally;
      none: { value: string[]; took: number; busy: number };
      held: Tally;
      again: Tally;
      lost: number;
    }>('shortage.ts', ['ports'], { under: ['unshare', '-rn', 'sh', '-c', `${range} && exec "$0" "$@"`] });
    t.log(seen);
    t.deepEqual(seen.many, { '200 ok': 200 });
    t.deepEqual(seen.none.value, ['NewConnectionError', 'EADDRNOTAVAIL', 'connect']);
    within(t, seen.none.took >= 900 && seen.none.took < 10_000, `${seen.none.took} ms`);
    within(t, seen.none.busy < seen.none.took / 2, `${seen.none.busy} ms on a processor`);
    const { '200 ok': served = 0, 'NewConnectionError EADDRNOTAVAIL': refused = 0, ...rest } = seen.held;
    t.deepEqual(rest, {});
    t.is(served + refused, 20);
    within(t, served > 0 && served <= 16);
    t.deepEqual(seen.again, { '200 ok': 1 });
    t.is(seen.lost, 0);
  },
);

onLinux('MGR-14: a zone reaches the dialler as a name and as a number, and no server', async (t) => {
  if (!hasNetworks()) {
    t.log('this machine lets nobody make a network of his own');
    t.pass();
    return;
  }
  const address = 'ip link set lo up && ip -6 address add fe80::1/64 dev lo nodad && exec "$0" "$@"';
  const seen = await outcome('zoned.ts', [], { under: ['unshare', '-rn', 'sh', '-c', address] });
  t.deepEqual(seen, {
    'http://[fe80::1%25lo]:9000/': ['[fe80::1]:9000', 'fe80::1', false],
    'http://[fe80::1%lo]:9000/': ['[fe80::1]:9000', 'fe80::1', true],
    'http://[FE80:0::1%25lo]:9000/': ['[fe80::1]:9000', 'fe80::1', true],
    'http://[fe80::1%251]:9000/': ['[fe80::1]:9000', 'fe80::1', false],
    'http://[fe80::1%25none]:9000/': 'NameResolutionError',
  });
});

onLinux(
  'THR-1219: a peer that is gone without a word is noticed by read, and by TCP keep-alive where nobody asks',
  async (t) => {
    if (!hasNetworks()) {
      t.log('this machine lets nobody make a network of his own');
      t.pass();
      return;
    }
    const under = ['unshare', '-rn', 'sh', '-c', 'ip link set lo up && exec "$0" "$@"'];
    const seen = await outcome('half-open.ts', [], { under });
    t.deepEqual(seen, {
      idle: 2,
      failed: { code: 'ERR_READ_TIMEOUT', phase: 'headers' },
      live: 0,
      closed: 2,
      opened: 2,
    });
  },
);

for (const [way, names] of [
  ['function', 20_000],
  ['map', 4_000],
] as const) {
  clockedOnLinux(
    `THR-1011: ${names} names by a ${way} on one server: bounded pools, flat memory, nothing lost`,
    async (t) => {
      const server = await httpServer((_, response) => response.end('x'));
      t.teardown(() => server.close());
      const seen = await outcome<{
        served: number;
        most: number;
        live: number;
        opened: number;
        lost: number;
        resident: number[];
      }>('many-names.ts', [server.port, names, way], { node: ['--expose-gc'] });
      t.like(seen, { served: names, most: 50, opened: names, lost: 0 });
      t.true(seen.live <= 20, `${seen.live} connections at once`);
      const [third = 0, last = 0] = [seen.resident[2], seen.resident.at(-1)];
      const text = `resident: ${seen.resident.map((bytes) => Math.round(bytes / 1_048_576)).join(' ')} MiB`;
      t.log(text);
      // 14,000 connections alone take some 10 MiB until the allocator has settled. A pool's own memory would be 40 more.
      within(t, last - third < 24 * 1_048_576, text);
    },
  );
}

onLinux('THR-1014: with ioThreads: 2 there are exactly two, both at work, and at most eight for names', async (t) => {
  const server = await httpServer((request, response) => response.end(request.url));
  t.teardown(() => server.close());
  const seen = await outcome<{ counts: number[]; codes: string[]; served: number; most: number; busy: number }>(
    'two-threads.ts',
    [server.port],
  );
  t.deepEqual(seen.counts, [0, 0, 1, 2, 2]);
  t.deepEqual(seen.codes, ['ERR_ENGINE_STARTED', 'ERR_ENGINE_STARTED']);
  t.is(seen.served, 5_000);
  t.true(seen.most <= 10, `${seen.most} threads`);
  t.is(seen.busy, 2);
});

onLinux('THR-1014: with dnsThreads: 1 eight I/O threads look names up on one', async (t) => {
  const server = await httpServer((_, response) => response.end('x'));
  t.teardown(() => server.close());
  t.deepEqual(await outcome('dns-threads.ts', [server.port]), { served: 8, most: 1, refused: 'ERR_ENGINE_STARTED' });
});

test.serial('POOL-20 MGR-04: managers and their pools are collected, and what is held stays open', async (t) => {
  t.deepEqual(await outcome('managers-collected.ts', [], { node: ['--expose-gc'] }), {
    orphan: ['1/works', 0],
    manager: '000',
    kept: ['100', true],
    same: 20,
    forgotten: ['111 true', '011'],
    wrong: 0,
    all: '000',
  });
});

test.serial('THR-1101: managers in workers, some of them ended in the middle of their requests', async (t) => {
  t.deepEqual(await outcome('managers-in-workers.ts', []), { done: 6, ended: 6, open: 0 });
});

test.serial(
  'THR-1110 THR-1010: a manager, its pools and its figures outlive the fall of their I/O thread',
  async (t) => {
    const faults = fileURLToPath(new URL('../native/ferropool.faults.node', import.meta.url));
    t.true(existsSync(faults), 'npm run build:faults makes the addon for this test');
    const node = ['--conditions=ferropool-faults', '--expose-gc'];
    const lost = Array.from({ length: 6 }, () => 'ERR_INTERNAL').join(' ');
    t.deepEqual(await outcome('managers-fallen.ts', [], { node }), {
      // lost, opened, idle, leased, waiting, requests
      before: '0/ 1/ 2/',
      counted: [
        [0, 3, 3, 0, 0, 3],
        [0, 1, 1, 0, 0, 1],
      ],
      'in flight': lost,
      fallen: [
        [0, 4, 0, 0, 0, 6],
        [0, 1, 0, 0, 0, 2],
      ],
      after: '0/a 1/b 1/c 2/d',
      same: [true, true, 4],
      'counted on': [
        [0, 8, 3, 0, 0, 10],
        [0, 3, 2, 0, 0, 4],
      ],
      'orphan before': `2/x${' 0/y'.repeat(8)}`,
      'orphan after': `2/x${' 1/y'.repeat(8)} 2/z`,
      // To whom a function of the caller's answers is nobody else, on whatever thread.
      'late answer': ['ERR_INTERNAL', 'own=late'],
      closed: 'ERR_POOL_CLOSED ERR_POOL_CLOSED 1/open',
      report: 0,
      end: 0,
    });
  },
);

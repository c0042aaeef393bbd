/** What bodies cost in memory, however large they are and whatever their readers do. Measured in processes of their own. */
import test from 'ava';

import { configure } from '../index.ts';
import { bodyServer } from './servers/bodies.ts';
import type { Peer } from './servers/raw.ts';
import { bombResponse, BOMBS } from './support/bombs.ts';
import { outcome } from './support/child.ts';
import { scripted, served, target } from './support/fixtures.ts';
import { clockedOnLinux, within } from './support/clocked.ts';

const MIB = 1024 * 1024;
/** Ends what hangs: on a machine that is three times overcommitted what takes ten seconds alone has taken fifty. */
const LONG = 220_000;
// The children read their memory from /proc: elsewhere there is no such test.

for (const [name, memoryBudget, most, ioThreads] of [
  ['the default memoryBudget', 0, 256, 1],
  ['the default memoryBudget of two I/O threads together', 0, 256, 2],
  ['a memoryBudget of 32 MiB', 32 * MIB, 32, 1],
] as const) {
  clockedOnLinux(`THR-1005: 200 bodies that nobody reads on stay within ${name}, and hold up nobody`, async (t) => {
    const server = await bodyServer();
    t.teardown(() => server.close());
    const [streams, each] = [200, 16];
    const args = [server.port, streams, each, memoryBudget, ioThreads];
    const seen = await outcome<Hoard>('hoard.ts', args, { patience: LONG });
    // The blocks in which the bytes lie are up to a third larger, and every connection reads into one of its own. Without a
    // budget these would be 500 MiB.
    within(t, seen.grown < most * 1.35 + 45, `${seen.grown} MiB`);
    // The servers were stopped: the rest is what kernels hold for sockets.
    within(t, seen.sent < (streams * each * MIB * 3) / 4, `${seen.sent / MIB} MiB`);
    t.deepEqual(seen.pressed, { bytes: each * MIB, wrong: 0, preloaded: each * MIB, preloadedWrong: 0 });
    t.is(seen.read, streams * each * MIB);
    t.is(seen.wrong, 0);
    t.like(seen, { leased: 0, waiting: 0 });
  });
}

clockedOnLinux(
  'THR-213: a bomb that is read piece by piece is refused at its limit, and costs a few MiB on the way',
  async (t) => {
    const { server } = await scripted(t, bombs);
    const run = (coding: string, limits: object): Promise<Bomb> => {
      const options = JSON.stringify({ preloadContent: false, ...limits });
      return outcome<Bomb>('bomb.ts', [server.port, `/${coding}`, options]);
    };
    for (const [coding, { window }] of Object.entries(BOMBS)) {
      const limited = await run(coding, { limits: { decoded: 64 * MIB, ratio: null } });
      t.like(limited, { code: 'ERR_TOO_LARGE', limit: 'decoded', allowed: 64 * MIB }, coding);
      t.true(limited.length <= 64 * MIB && limited.length > 63 * MIB, `${coding}: ${limited.length} bytes were given`);
      within(t, limited.grown < (64 + 4 + window) * MIB, `${coding}: ${limited.grown / MIB} MiB`);
      // By itself a stream has no limit of size, and deflate's worst ratio is none of a bomb: ten GiB would pass.
      if (coding === 'gzip') continue;
      const usual = await run(coding, {});
      t.like(usual, { code: 'ERR_TOO_LARGE', limit: 'ratio' }, coding);
      within(t, usual.grown < (32 + window) * MIB, `${coding}: ${usual.grown / MIB} MiB`);
    }
  },
);

clockedOnLinux(
  'THR-216 DEC-11 DEC-12: ten bytes of a bomb cost one step of it, and what nobody reads is not decoded',
  async (t) => {
    const { server } = await scripted(t, bombs);
    for (const [coding, { window }] of Object.entries(BOMBS)) {
      const seen = await outcome<Record<string, SmallRead>>('small-reads.ts', [server.port, coding]);
      for (const [name, { opened, grown, decoded, read }] of Object.entries(seen)) {
        if (name.startsWith('warm-up')) continue;
        within(t, opened < (window + 2) * MIB, `${coding} ${name}: ${opened / MIB} MiB when it came`);
        // What is drained passes through the buffer that sockets are read into.
        within(t, grown < (name === 'drained' ? 4 : 1) * MIB, `${coding} ${name}: ${grown / MIB} MiB`);
        t.is(read, ['drained', 'released', 'closed'].includes(name) ? 0 : 10);
        t.true(decoded <= 128 * 1024, `${coding} ${name}: ${decoded} bytes were decoded`);
      }
    }
  },
);

async function bombs(peer: Peer): Promise<void> {
  for (;;) await peer.write(bombResponse(target(await peer.request()).slice(1)));
}

interface Bomb {
  code?: string;
  limit?: string;
  allowed?: number;
  length: number;
  grown: number;
}

interface SmallRead {
  opened: number;
  grown: number;
  decoded: number;
  read: number;
}

interface Hoard {
  grown: number;
  sent: number;
  pressed: { bytes: number; wrong: number; preloaded: number; preloadedWrong: number };
  read: number;
  wrong: number;
  leased: number;
}

for (const way of ['pieces', 'stream', 'readable'] as const) {
  clockedOnLinux(
    `THR-1005: a reader that pauses stops the server, and memory does not grow meanwhile (${way})`,
    async (t) => {
      const server = await bodyServer();
      t.teardown(() => server.close());
      const { pauses, grown, read, wrong } = await outcome<Paused>('paused.ts', [server.port, way]);
      t.is(pauses.length, 3);
      for (const pause of pauses) {
        t.is(pause.later, pause.sent);
        // What is ahead of the reader: its window, and what kernels hold for a socket.
        within(t, pause.sent - pause.read < 40 * MIB, `${(pause.sent - pause.read) / MIB} MiB ahead`);
        within(t, pause.grown < 4, `${pause.grown} MiB`);
      }
      within(t, grown < 64, `${grown} MiB`);
      t.deepEqual([read, wrong], [256 * MIB, 0]);
    },
  );
}

for (const kind of ['whole', 'pieces']) {
  clockedOnLinux(
    `THR-1005: a body that has been sent costs nothing while its response goes on (${kind})`,
    async (t) => {
      const { server } = await served(t, (request, response) => {
        if (request.url === '/small') response.end('ok');
        else request.resume().on('end', () => response.write('x'));
      });
      const [bodies, each] = [12, 10];
      const node = ['--expose-gc'];
      const { grown } = await outcome<{ grown: number }>('sent-bodies.ts', [server.port, bodies, each, kind], { node });
      within(t, grown < (bodies * each) / 3, `${grown} MiB`);
    },
  );
}

clockedOnLinux(
  'THR-1006: ten thousand responses that nobody reads or holds cost no connection, no memory and one warning',
  async (t) => {
    const server = await bodyServer();
    t.teardown(() => server.close());
    const options = { node: ['--expose-gc'], patience: LONG };
    const seen = await outcome<Dropped>('dropped.ts', [server.port, 10_000], options);
    t.is(seen.opened, seen.closed + seen.idle);
    t.like(seen, { leased: 0, waiting: 0, warnings: ['FERROPOOL_BODY_UNREAD'] });
    // A third of them is too large to be drained. Another third is drained; of that some more take longer than a drain may
    // where others use the machine: 33 together each time that it stands still.
    within(t, seen.abandoned >= 3_300 && seen.abandoned < 3_400, `${seen.abandoned} abandoned`);
    within(t, seen.grown < 32, `${seen.grown} MiB`);
    await server.gone(seen.opened);
  },
);

clockedOnLinux('THR-1007 THR-1017: a GiB costs a window however it is read, and nothing once it is over', async (t) => {
  const server = await bodyServer();
  t.teardown(() => server.close());
  const node = ['--expose-gc'];
  const { left, ...ways } = await outcome<Gigabytes>('downloads.ts', [server.port, 'gigabytes'], { node });
  t.is(Object.keys(ways).length, 3);
  for (const [name, { at, wrong, grown }] of Object.entries(ways)) {
    t.deepEqual([at, wrong], [1024 * MIB, 0], name);
    within(t, grown < 64, `${name}: ${grown} MiB`);
  }
  within(t, left < 20, `${left} MiB`);
});

clockedOnLinux(
  'READ-12: more than 2 GiB are read in parts; as a whole 4 GiB are too many, and known to be at once',
  async (t) => {
    const server = await bodyServer();
    t.teardown(() => server.close());
    const { parts, announced, preloaded } = await outcome<Beyond>('downloads.ts', [server.port, 'beyond']);
    const size = 2_200 * MIB;
    t.deepEqual(parts, { at: size, wrong: 0, remaining: [100 * MIB, 0], bytesRead: size });
    t.like(announced, { code: 'ERR_TOO_LARGE', limit: 'decoded', allowed: 2 ** 32 - 1 });
    t.like(preloaded, { code: 'ERR_TOO_LARGE', limit: 'decoded', allowed: 256 * MIB });
    for (const { grown } of [announced, preloaded]) within(t, grown < 1, `${grown} MiB`);
  },
);

clockedOnLinux(
  'READ-13: a body that is read whole is there once, and of a part only that part is decoded',
  async (t) => {
    const server = await bodyServer();
    t.teardown(() => server.close());
    const node = ['--expose-gc'];
    const names = ['preloaded', 'read()', 'after a piece'];
    const least = new Map<string, number>();
    // What else a process does in the meantime only adds to its memory: the least of three is what the body takes.
    for (let run = 0; run < 3; run += 1) {
      const seen = await outcome<Record<string, Whole>>('downloads.ts', [server.port, 'whole'], { node });
      for (const name of names) {
        const { at, wrong, grown } = seen[name] as Whole;
        t.deepEqual([at, wrong], [10 * MIB, 0], name);
        least.set(name, Math.min(least.get(name) ?? Infinity, grown));
      }
    }
    // It, and the block of 4 MiB in which it began; twice would be 20.
    for (const [name, grown] of least) within(t, grown < 17, `${name}: ${grown} MiB`);
    const part = await outcome<Part>('downloads.ts', [server.port, 'decoded'], { node });
    t.is(part.at, 1_000_000);
    t.true(part.decoded - part.decodedBefore < 2 * MIB);
    within(t, part.grown < 4, `${part.grown} MiB`);
  },
);

interface Paused {
  pauses: { read: number; sent: number; later: number; grown: number }[];
  grown: number;
  read: number;
  wrong: number;
}

interface Dropped {
  opened: number;
  closed: number;
  idle: number;
  abandoned: number;
  grown: number;
}

interface Whole {
  at: number;
  wrong: number;
  grown: number;
}

type Gigabytes = Record<'pieces' | 'read(n)' | 'stream(n)', Whole> & { left: number };

interface Beyond {
  parts: object;
  announced: Bomb;
  preloaded: Bomb;
}

interface Part {
  at: number;
  decoded: number;
  decodedBefore: number;
  grown: number;
}

test('configure: bad settings are refused', (t) => {
  const refused = (options: unknown, type: typeof TypeError | typeof RangeError, code: string, said: RegExp): void => {
    const error = t.throws(() => configure(options as object), { instanceOf: type, message: said });
    t.is((error as { code?: string } | undefined)?.code, code);
  };
  for (const options of [null, undefined, 1, 'memoryBudget', []])
    refused(options, TypeError, 'ERR_INVALID_OPTION', /object/);
  for (const value of [null, '1', 1n, true, {}]) {
    refused({ memoryBudget: value }, TypeError, 'ERR_INVALID_OPTION', /^memoryBudget is an integer/);
  }
  for (const value of [0, -1, 1.5, Number.NaN, Infinity, 2 ** 53]) {
    refused({ memoryBudget: value }, RangeError, 'ERR_INVALID_OPTION', /^memoryBudget is an integer from 1/);
  }
  refused({ memorybudget: 1 }, TypeError, 'ERR_INVALID_OPTION', /did you mean 'memoryBudget'/);
  for (const value of [null, '1', true]) {
    refused({ ioThreads: value }, TypeError, 'ERR_INVALID_OPTION', /^ioThreads is an integer/);
    refused({ dnsThreads: value }, TypeError, 'ERR_INVALID_OPTION', /^dnsThreads is an integer/);
  }
  for (const value of [0, -1, 1.5, 1_025]) {
    refused({ dnsThreads: value }, RangeError, 'ERR_INVALID_OPTION', /^dnsThreads is an integer from 1 to 1024/);
  }
  for (const value of [0, -1, 1.5, 65]) {
    refused({ ioThreads: value }, RangeError, 'ERR_INVALID_OPTION', /^ioThreads is an integer from 1 to 64/);
  }
  for (const name of ['ioThreads', 'dnsThreads']) t.notThrows(() => configure({ [name]: undefined }));
  // Everybody's is nobody's own.
  const prototype = Object.prototype as Record<string, unknown>;
  try {
    prototype['memoryBudget'] = 'polluted';
    t.notThrows(() => configure({}));
  } finally {
    delete prototype['memoryBudget'];
  }
});

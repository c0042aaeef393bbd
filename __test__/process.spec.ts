/** The product as a part of a process: how it begins and ends, its threads and workers, its memory, and its own bugs. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import test, { type ExecutionContext } from 'ava';

import { httpServer } from './servers/http.ts';
import { rawServer, reply } from './servers/raw.ts';
import { outcome, start } from './support/child.ts';
import { clocked, clockedOnLinux, within } from './support/clocked.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Answers `/`, keeps `/slow` waiting for a while and `/never` for ever. */
async function patientServer(t: {
  teardown(run: () => Promise<void>): void;
}): Promise<{ port: number; asked: Promise<void> }> {
  let seen = (): void => {};
  const asked = new Promise<void>((resolve) => (seen = resolve));
  const server = await httpServer((request, response) => {
    if (request.url !== '/') seen();
    if (request.url === '/slow') setTimeout(() => response.end('slow'), 400);
    else if (request.url !== '/never') response.end('ok');
  });
  t.teardown(() => server.close());
  return { port: server.port, asked };
}

clocked('THR-1103: an idle pool does not hold the process, and the exit code stays', async (t) => {
  const { port } = await patientServer(t);
  const { code, lines, stderr, lingered } = await start('leaves.ts', [port, 'idle']).ended;
  t.deepEqual([code, lines, stderr], [7, ['ready'], '']);
  within(t, lingered < 1_000, `${lingered} ms`);
});

clocked('THR-1103: a request in flight holds the process until it is answered', async (t) => {
  const { port } = await patientServer(t);
  const { code, lines, stderr, lingered } = await start('leaves.ts', [port, 'pending']).ended;
  t.deepEqual([code, lines, stderr], [0, ['ready', 'answered 200'], '']);
  within(t, lingered < 1_000, `${lingered} ms`);
});

clocked('THR-1103: process.exit with requests in flight keeps its code', async (t) => {
  const { port } = await patientServer(t);
  const { code, signal, stderr, lingered } = await start('leaves.ts', [port, 'exit']).ended;
  t.deepEqual([code, signal, stderr], [5, null, '']);
  within(t, lingered < 1_000, `${lingered} ms`);
});

clocked('THR-1103: SIGTERM with requests in flight ends the process at once', async (t) => {
  const { port, asked } = await patientServer(t);
  const child = start('leaves.ts', [port, 'busy']);
  await child.says('busy');
  await asked;
  const before = performance.now();
  child.process.kill('SIGTERM');
  const { code, signal, stderr } = await child.ended;
  t.deepEqual([code, signal, stderr], [null, 'SIGTERM', '']);
  within(t, performance.now() - before < 1_000);
});

clocked('THR-1101: workers ended with requests in flight crash nothing and leave nothing', async (t) => {
  // A hundred workers begin: a minute and more on a busy machine.
  const { ended, resident } = await outcome<{ ended: number; resident: number[] }>('terminate.ts', [25], {
    patience: 300_000,
  });
  t.is(ended, 100);
  const [third = 0, last = 0] = [resident[8], resident.at(-1)];
  within(t, last < third * 1.25, `resident: ${resident.map((bytes) => Math.round(bytes / 1_048_576)).join(' ')} MiB`);
});

test.serial('THR-1101: a worker that is ended in the middle of a body disturbs nobody who reads another', async (t) => {
  t.deepEqual(await outcome('streams-in-workers.ts'), { right: 3 });
});

test.serial('THR-1106: the main thread and eight workers each have an engine, twice over', async (t) => {
  t.deepEqual(await outcome('environments.ts'), { done: 16 });
});

test.serial('THR-1106: the addon in workers alone', async (t) => {
  t.deepEqual(await outcome('environments.ts', ['workers-only']), { done: 16 });
});

/** What only /proc can show. */
function onLinux(title: string, run: (t: ExecutionContext) => Promise<void>): void {
  if (process.platform === 'linux') test.serial(title, run);
}

onLinux('THR-1107: a forked process and cluster workers have engines of their own and share no socket', async (t) => {
  const server = await httpServer((request, response) => response.end(request.url));
  t.teardown(() => server.close());
  const seen = await outcome('forks.ts', [server.port]);
  t.deepEqual(seen, { served: ['/forked', '/clustered', '/clustered'], shared: 0, mine: 1, reused: true, opened: 1 });
  t.is(server.sockets.length, 4);
});

const faults = ['--conditions=ferropool-faults'];

test.serial(
  'THR-1109, THR-1110: a panic of ours becomes ERR_INTERNAL, and the process and its engine live',
  async (t) => {
    t.true(existsSync(`${root}/native/ferropool.faults.node`), 'npm run build:faults makes the addon for this test');
    const report = await outcome<Record<string, string>>('faults.ts', [], { node: faults });
    const lives = '/ok 100000 /ok';
    t.deepEqual(report, {
      'parse-url': 'ERR_INTERNAL',
      'proxy-for': 'ERR_INTERNAL',
      'charset-of': 'ERR_INTERNAL',
      'decode-text': 'ERR_INTERNAL',
      open: 'ERR_INTERNAL',
      figures: 'ERR_INTERNAL',
      stats: 'ERR_INTERNAL',
      'is-same-host': 'ERR_INTERNAL',
      'absolute-url': 'ERR_INTERNAL',
      // Called past the facade, which is what names the code.
      describe: 'GenericFailure',
      engine: 'GenericFailure',
      ring: 'GenericFailure',
      forget: 'GenericFailure',
      submit: 'ERR_INTERNAL ERR_INTERNAL ERR_INTERNAL',
      'after submit': '/ok',
      drain: lives,
      'wake-up': lives,
      needed: lives,
      'take-body': lives,
      'drain for good': 'ERR_INTERNAL',
      task: 'ERR_INTERNAL',
      'after task': '/ok',
      thread: 'ERR_INTERNAL ERR_INTERNAL',
      'after thread': '/ok',
      revive: 'ERR_INTERNAL',
      'after revive': '/ok',
      'wake-up for good': 'ERR_INTERNAL',
    });
  },
);

test('THR-1109: every export catches a panic of ours, and a test can make it panic', (t) => {
  const source = readFileSync(`${root}/crate/binding/lib.rs`, 'utf8');
  const found = source.matchAll(/#\[napi(?<how>\([^)]*\))?\]\s+pub fn (?<name>\w+)\([^)]*\)[^{]*\{\s+(?<first>.*)/g);
  const exported = [...found].map(({ groups = {} }) => groups);
  t.true(exported.length >= 15, `${exported.length} exports`);
  for (const { how = '', name, first = '' } of exported) {
    t.regex(how, /catch_unwind/, name);
    if (name !== 'arm_fault') t.regex(first, /^trip\("/, name);
  }
});

test.serial(
  'THR-1112: code of the user that throws, submits or closes in a completion harms no other request',
  async (t) => {
    t.deepEqual(await outcome('throws.ts'), {
      served: 50,
      unhandled: 50,
      uncaught: ['thrown in a listener'],
      aborted: 'AbortError',
      inside: ['/outer', '/inner'],
      after: 'ERR_POOL_CLOSED',
    });
  },
);

test.serial('THR-1114: collecting pools, responses and bodies under way damages nothing that is held', async (t) => {
  const seen = await outcome('collects.ts', ['stress'], { node: ['--expose-gc', '--no-warnings'] });
  t.deepEqual(seen, { checked: 480, wrong: 0, closed: true });
});

test.serial(
  'POOL-20: a pool nobody holds closes its connections when it is collected, one that is held stays open',
  async (t) => {
    t.deepEqual(await outcome('collects.ts', ['pools'], { node: ['--expose-gc'] }), {
      before: 4,
      only: true,
      reused: true,
    });
  },
);

test.serial('THR-1116: no promise of ours is left to reject unhandled', async (t) => {
  const seen = await outcome<{ codes: string[]; served: number }>('strict.ts', [], {
    node: ['--unhandled-rejections=strict'],
  });
  t.deepEqual(seen.codes, [
    'AbortError',
    'ECONNREFUSED',
    'ERR_HOST_CHANGED',
    'ERR_INCOMPLETE_READ',
    'ERR_POOL_CLOSED',
    'ERR_PROTOCOL',
    'ERR_READ_TIMEOUT',
    'TimeoutError',
  ]);
  t.is(seen.served, 6);
});

clockedOnLinux(
  'THR-1007: bodies of 1 MiB in a loop that never rests, and a hundred at once, stay within bounds',
  async (t) => {
    const body = 'x'.repeat(1024 * 1024);
    const server = await rawServer(async (peer) => {
      for (;;) {
        await peer.request();
        await peer.write(reply(body));
      }
    });
    t.teardown(() => server.close());
    const seen = await outcome<{ mebibytes: number; looped: number; burst: number }>('resident.ts', [
      server.port,
      600,
      3,
    ]);
    t.is(seen.mebibytes, 901);
    within(t, seen.looped < 200, `600 MiB one by one took ${seen.looped} MiB`);
    // A hundred are live at once.
    within(t, seen.burst < 300, `three times 100 MiB at once took ${seen.burst} MiB`);
  },
);

onLinux('THR-1014: one I/O thread and at most eight for names, whatever the load', async (t) => {
  const server = await httpServer((_, response) => response.end());
  t.teardown(() => server.close());
  const seen = await outcome<{ served: number; most: number; names: string[]; io: number; added: number }>(
    'threads.ts',
    [server.port],
  );
  t.is(seen.served, 400);
  t.is(seen.io, 1);
  t.true(seen.most <= 9, `${seen.most} threads`);
  t.true(seen.added <= 9, `${seen.added} threads more than before`);
  t.deepEqual(
    seen.names.filter((name) => !['ferropool-dns', 'ferropool-io'].includes(name)),
    [],
  );
});

test.serial('require() gives the classes that import gives', async (t) => {
  const code = `
    const required = require('ferropool');
    import('ferropool').then((imported) => {
      const names = Object.keys(imported).filter((name) => name !== 'default' && name !== 'module.exports');
      console.log(names.length > 30 && names.every((name) => required[name] === imported[name]));
    });
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=commonjs', '--eval', code], {
    cwd: root,
  });
  t.is(stdout, 'true\n');
});

/**
 * Files that the command-line tools gzip, brotli and zstd made, served by nginx under their coding: decoded as a whole,
 * by `read(n)` and by iteration, left alone where that is asked for, and refused where the web's limits are passed.
 */
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';

import { DecodeError, ResponseTooLarge, type HTTPConnectionPool, type RequestOptions } from '../../index.ts';
import { overNginx, rejection } from '../support/fixtures.ts';

const LINES = Array.from({ length: 9_000 }, (_, nth) => `line ${nth} of a text, ${(nth * 2_654_435_761) % 2 ** 32}\n`);
const TEXT = Buffer.from(LINES.join(''));
const LARGE_SIZE = 20 << 20;

/** What is coded. The large one repeats itself far apart, so that the strongest settings are done with it in seconds. */
const INPUTS = {
  text: TEXT,
  zeros: Buffer.alloc(1 << 20),
  random: randomBytes(300_000),
  empty: Buffer.alloc(0),
  byte: Buffer.from('x'),
  large: Buffer.alloc(LARGE_SIZE, Buffer.concat([Buffer.from('---\n'), TEXT, randomBytes(5_000)])),
} as const;
type Input = keyof typeof INPUTS;
const EVERY = Object.keys(INPUTS) as Input[];

/** A tool, its options, and where it may be told apart from others. */
interface Tool {
  readonly coding: 'gzip' | 'br' | 'zstd';
  readonly command: string;
  readonly args: readonly string[];
  readonly ids: string;
}

const TOOLS: readonly Tool[] = [
  { coding: 'gzip', command: 'gzip', args: ['-1'], ids: 'DEC-01' },
  { coding: 'gzip', command: 'gzip', args: ['-9', '--no-name'], ids: 'DEC-01' },
  { coding: 'br', command: 'brotli', args: ['-q', '1'], ids: 'DEC-01' },
  { coding: 'br', command: 'brotli', args: ['-q', '11'], ids: 'DEC-01' },
  { coding: 'br', command: 'brotli', args: ['-q', '5', '-w', '24'], ids: 'DEC-01' },
  { coding: 'zstd', command: 'zstd', args: ['-1'], ids: 'DEC-01' },
  // Its window is the 8 MiB that RFC 9659 section 3 allows.
  { coding: 'zstd', command: 'zstd', args: ['-19'], ids: 'DEC-01, THR-228' },
  { coding: 'zstd', command: 'zstd', args: ['-3', '--no-check'], ids: 'DEC-01' },
];

for (const tool of TOOLS) {
  const called = [tool.command, ...tool.args].join(' ');
  test.serial(`${tool.ids}: what "${called}" makes decodes whole, by read(n) and by iteration`, async (t) => {
    const bench = workbench(t);
    const files = new Map(EVERY.map((name) => [name, bench.coded(tool, name)]));
    const pool = await serving(t, tool.coding, files);
    for (const [name, file] of files) await decodes(t, pool, name, INPUTS[name], file);
    t.is(pool.stats().opened, 1);
    t.deepEqual(pool.stats().errors, {});
  });
}

test.serial('DEC-03: members of gzip are joined, each with its name in its head, and padding is ignored', async (t) => {
  const bench = workbench(t);
  const gzip = (...args: string[]): Tool => ({ coding: 'gzip', command: 'gzip', args, ids: '' });
  const text = bench.coded(gzip('-9', '--name'), 'text');
  t.is((text[3] ?? 0) & 0x08, 0x08, 'FNAME');
  t.is(text.subarray(10, 15).toString('latin1'), 'text\0');
  const zeros = bench.coded(gzip('-1'), 'zeros');
  const empty = bench.coded(gzip('-6', '--no-name'), 'empty');
  const random = bench.coded(gzip('-9'), 'random');
  const joined = Buffer.concat([text, zeros, empty, random, text]);
  const expected = Buffer.concat([INPUTS.text, INPUTS.zeros, INPUTS.random, INPUTS.text]);
  // As tape blocks are filled up.
  const padded = Buffer.concat([joined, Buffer.alloc(10_240 - (joined.length % 10_240))]);
  const member = bench.coded(gzip('-1'), 'byte');
  const many = Buffer.concat(Array.from({ length: 2_000 }, () => member));
  const files = { joined, padded, many };
  const pool = await serving(t, 'gzip', new Map(Object.entries(files)));
  await decodes(t, pool, 'joined', expected, joined);
  await decodes(t, pool, 'padded', expected, padded);
  await decodes(t, pool, 'many', Buffer.alloc(2_000, 'x'), many);
  t.is(pool.stats().opened, 1);
});

test.serial('DEC-04: frames of zstd are joined, skippable ones skipped, whatever the read size', async (t) => {
  const bench = workbench(t);
  const zstd = (...args: string[]): Tool => ({ coding: 'zstd', command: 'zstd', args, ids: '' });
  // RFC 8878 section 3.1.2.
  const skippable = Buffer.from([0x5f, 0x2a, 0x4d, 0x18, 5, 0, 0, 0, 1, 2, 3, 4, 5]);
  const byte = bench.coded(zstd('-1'), 'byte');
  const joined = Buffer.concat([
    skippable,
    bench.coded(zstd('-19'), 'text'),
    bench.coded(zstd('-1', '--no-check'), 'zeros'),
    skippable,
    skippable,
    bench.coded(zstd('-1'), 'empty'),
    bench.coded(zstd('-3', '--no-check'), 'random'),
    byte,
    skippable,
  ]);
  const expected = Buffer.concat([INPUTS.text, INPUTS.zeros, INPUTS.random, INPUTS.byte]);
  const bytes = Buffer.concat(Array.from({ length: 2_000 }, (_, nth) => (nth % 7 === 0 ? skippable : byte)));
  const count = 2_000 - Math.ceil(2_000 / 7);
  const pool = await serving(t, 'zstd', new Map(Object.entries({ joined, bytes })));
  await decodes(t, pool, 'joined', expected, joined);
  await decodes(t, pool, 'bytes', Buffer.alloc(count, 'x'), bytes);
  for (const amount of [1, 7, 999]) {
    const response = await pool.request('GET', '/bytes', { preloadContent: false });
    t.is((await inPieces(t, response, amount)).toString(), 'x'.repeat(count));
  }
  t.is(pool.stats().opened, 1);
});

test.serial('THR-228: a window of zstd over 8 MiB is a DecodeError, and the bytes are there undecoded', async (t) => {
  const bench = workbench(t);
  const zstd = (...args: string[]): Tool => ({ coding: 'zstd', command: 'zstd', args, ids: '' });
  const ultra = ['--ultra', '-22', '--long=27'];
  const large = bench.coded(zstd(...ultra), 'large');
  // From a pipe nobody knows the size beforehand, so that the head has the window that was asked for.
  const piped = bench.piped('zstd', [...ultra, '-1'], INPUTS.large);
  // Its window is no larger than its content.
  const small = bench.coded(zstd(...ultra), 'text');
  const pool = await serving(t, 'zstd', new Map(Object.entries({ large, piped, small })));
  await decodes(t, pool, 'small', INPUTS.text, small);
  for (const [name, file] of Object.entries({ large, piped })) {
    const refused = { reason: 'ERR_DECODE_WINDOW' };
    t.like(await rejection(pool.request('GET', `/${name}`), DecodeError), refused);
    const read = await pool.request('GET', `/${name}`, { preloadContent: false });
    t.like(await rejection(read.read(1), DecodeError), refused);
    const iterated = await pool.request('GET', `/${name}`, { preloadContent: false });
    t.like(await rejection(iterated[Symbol.asyncIterator]().next(), DecodeError), refused);
    sameBytes(t, (await pool.request('GET', `/${name}`, { decodeContent: false })).data, file);
  }
});

test.serial('THR-229: brotli with a large window is a DecodeError, and the bytes are there undecoded', async (t) => {
  const bench = workbench(t);
  const files = new Map<string, Buffer>();
  for (const window of [25, 30]) {
    const tool: Tool = { coding: 'br', command: 'brotli', args: ['-q', '5', `--large_window=${window}`], ids: '' };
    const file = bench.coded(tool, 'text');
    t.is(file[0], 0x11, 'where RFC 7932 section 9.1 has no window');
    files.set(`w${window}`, file);
  }
  const pool = await serving(t, 'br', files);
  for (const [name, file] of files) {
    await rejection(pool.request('GET', `/${name}`), DecodeError);
    const read = await pool.request('GET', `/${name}`, { preloadContent: false });
    await rejection(read.read(1), DecodeError);
    sameBytes(t, (await pool.request('GET', `/${name}`, { decodeContent: false })).data, file);
  }
});

test.serial(
  'THR-213: 20 MiB of zeros, of a few bytes, are too large by the ratio, and decode where none is set',
  async (t) => {
    const bench = workbench(t);
    const zeros = Buffer.alloc(LARGE_SIZE);
    const made: readonly (readonly [Tool['coding'], string, string[]])[] = [
      ['br', 'brotli', ['-q', '9']],
      ['zstd', 'zstd', ['-19']],
    ];
    for (const [coding, command, args] of made) {
      const file = bench.piped(command, args, zeros);
      t.true(file.length * 1_100 < LARGE_SIZE);
      const pool = await serving(t, coding, new Map([['zeros', file]]));
      t.is((await rejection(pool.request('GET', '/zeros'), ResponseTooLarge)).limit, 'ratio');
      await decodes(t, pool, 'zeros', zeros, file, { limits: { ratio: null } });
    }
  },
);

test.serial('DEC-06: what a tool made and lost its end is a DecodeError, however it is read', async (t) => {
  const bench = workbench(t);
  for (const tool of TOOLS.filter(({ args }) => args.length === 1 || args[1] === '1')) {
    const file = bench.coded(tool, 'text').subarray(0, -1);
    const pool = await serving(t, tool.coding, new Map([['cut', file]]));
    await rejection(pool.request('GET', '/cut'), DecodeError);
    const response = await pool.request('GET', '/cut', { preloadContent: false });
    await rejection(inPieces(t, response, 1_000), DecodeError);
    sameBytes(t, (await pool.request('GET', '/cut', { decodeContent: false })).data, file);
  }
});

/** Where a test's files are made. */
interface Workbench {
  /** What a tool makes of an input, as a file beside it. */
  readonly coded: (tool: Tool, input: Input) => Buffer;
  /** What a tool makes of what comes by a pipe. */
  readonly piped: (command: string, args: readonly string[], input: Buffer) => Buffer;
}

function workbench(t: ExecutionContext): Workbench {
  const folder = mkdtempSync(path.join(tmpdir(), 'ferropool-coded-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const ran = (command: string, args: readonly string[], input?: Buffer): Buffer => {
    const { error, status, stdout, stderr } = spawnSync(command, args, {
      cwd: folder,
      maxBuffer: 2 * LARGE_SIZE,
      timeout: PATIENCE,
      ...(input !== undefined && { input }),
    });
    if (error !== undefined && 'code' in error && error.code === 'ENOENT') throw new Error(missing(command));
    if (error !== undefined || status !== 0) {
      throw new Error(`${command} ended with ${status}: ${stderr.toString()}`, { cause: error });
    }
    return stdout;
  };
  return {
    coded({ command, args }, input) {
      writeFileSync(path.join(folder, input), INPUTS[input]);
      return ran(command, [...args, '-c', input]);
    },
    piped: (command, args, input) => ran(command, [...args, '-c'], input),
  };
}

/** A pool over an nginx that serves these files, all under this coding. */
async function serving(
  t: ExecutionContext,
  coding: string,
  files: ReadonlyMap<string, Buffer>,
): Promise<HTTPConnectionPool> {
  const server = `add_header Content-Encoding ${coding}; add_header X-Request $connection_requests;`;
  const { pool } = await overNginx(t, { server, files: Object.fromEntries(files) });
  return pool;
}

/** A body as it was before it was coded, in each way of reading it, and as it was sent. */
async function decodes(
  t: ExecutionContext,
  pool: HTTPConnectionPool,
  name: string,
  expected: Buffer,
  file: Buffer,
  options: RequestOptions = {},
): Promise<void> {
  const streamed = (more: RequestOptions = {}): ReturnType<HTTPConnectionPool['request']> =>
    pool.request('GET', `/${name}`, { ...options, ...more, preloadContent: false });

  const preloaded = await pool.request('GET', `/${name}`, options);
  sameBytes(t, preloaded.data, expected);
  t.is(preloaded.bytesRead, file.length);
  t.is(preloaded.headers.get('content-length'), String(file.length));

  for (const amount of [65_537, 3 << 20]) sameBytes(t, await inPieces(t, await streamed(), amount), expected);

  const iterated: Buffer[] = [];
  for await (const piece of await streamed()) iterated.push(piece);
  sameBytes(t, Buffer.concat(iterated), expected);

  sameBytes(t, (await pool.request('GET', `/${name}`, { ...options, decodeContent: false })).data, file);
  sameBytes(t, await inPieces(t, await streamed({ decodeContent: false }), 65_537), file);
}

/** The body by reads of so many bytes, of which only the last may be shorter. */
async function inPieces(
  t: ExecutionContext,
  response: { read(amount: number): Promise<Buffer> },
  amount: number,
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let full = true; full;) {
    const piece = await response.read(amount);
    pieces.push(piece);
    full = piece.length === amount;
  }
  t.is((await response.read(amount)).length, 0, 'nothing is behind the end');
  return Buffer.concat(pieces);
}

/** Does not print megabytes. */
function sameBytes(t: ExecutionContext, found: Buffer, expected: Buffer): void {
  t.is(found.length, expected.length);
  t.is(sha256(found), sha256(expected));
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function missing(command: string): string {
  return `There is no ${command} on PATH. The specs of __test__/nginx need gzip, brotli and zstd; \`npm test\` does without.`;
}

/** How long a tool may take for a file. */
const PATIENCE = 50_000;

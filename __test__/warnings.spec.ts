/** What people are told: warnings of the process, how they are silenced, and the lines of `NODE_DEBUG=ferropool`. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import test from 'ava';

import { disableWarnings } from '../index.ts';
import { CODES } from '../facade/warnings.ts';
import { root } from '../scripts/run.js';
import { outcome, start } from './support/child.ts';

interface Warned {
  seen: { name: string; code?: string }[];
  surplus: number;
}

const SHORT = 'FERROPOOL_SHORT_TIMEOUT';
const FULL = 'FERROPOOL_POOL_FULL';
const UNREAD = 'FERROPOOL_BODY_UNREAD';
const ALL = [SHORT, FULL, UNREAD];

async function warned(...silenced: string[]): Promise<Warned> {
  return outcome<Warned>('warns.ts', silenced, { node: ['--no-warnings'] });
}

test('WARN-04 WART-08: each warning comes once, with a type and a code, and is counted from then on', async (t) => {
  const { seen, surplus } = await warned();
  t.deepEqual(seen, [...ALL.map((code) => ({ name: 'FerropoolWarning', code })), { name: 'ProgramWarning' }]);
  t.is(surplus, 3);
});

for (const [silenced, left] of [
  ['all', []],
  ['FerropoolWarning', []],
  ['InsecureRequestWarning', ALL],
  [FULL, [SHORT, UNREAD]],
  [SHORT, [FULL, UNREAD]],
  [UNREAD, [SHORT, FULL]],
] as const) {
  test(`WARN-04: disableWarnings silences ${silenced} and nothing else`, async (t) => {
    const { seen, surplus } = await warned(silenced);
    t.deepEqual(
      seen.map(({ code }) => code),
      [...left, undefined],
    );
    t.is(surplus, 3);
  });
}

test('WARN-04: disableWarnings refuses what is no category', (t) => {
  for (const wrong of ['', 'ferropoolwarning', 'FERROPOOL', 'DeprecationWarning', null, 1, {}, ['FerropoolWarning']]) {
    t.throws(() => disableWarnings(wrong as never), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_OPTION',
      message: /is no warning; there are FerropoolWarning, /,
    });
  }
});

test('WARN-04: every warning goes through the one place, and has its line in the documentation', (t) => {
  const sources = (folder: string, ending: string): string[] =>
    readdirSync(path.join(root, folder), { recursive: true })
      .map((name) => path.posix.join(folder, String(name).replaceAll(path.sep, '/')))
      .filter((name) => name.endsWith(ending));
  const read = (name: string): string => readFileSync(path.join(root, name), 'utf8');
  const emitters = sources('facade', '.ts').filter((name) => read(name).includes('process.emitWarning'));
  t.deepEqual(emitters, ['facade/warnings.ts']);
  const told = sources('crate/binding', '.rs').flatMap((name) =>
    [...read(name).matchAll(/"code": "(FERROPOOL_\w+)"/g)].map(([, code = '']) => code),
  );
  t.true(told.length >= 3);
  const known: readonly string[] = CODES;
  t.deepEqual(
    told.filter((code) => !known.includes(code)),
    [],
  );
  const page = read('docs/observability.md');
  t.deepEqual(
    known.filter((code) => !page.includes(`| \`${code}\` |`)),
    [],
  );
});

async function debugged(section: string): Promise<{ port: string; lines: string[]; stderr: string }> {
  const { code, lines, stderr } = await start('debugged.ts', [], { env: { NODE_DEBUG: section } }).ended;
  if (code !== 0) throw new Error(stderr);
  const prefix = /^FERROPOOL \d+: /;
  const written = stderr
    .split('\n')
    .filter((line) => prefix.test(line))
    .map((line) => line.replace(prefix, ''));
  return { port: lines.at(-1) ?? '', lines: written, stderr };
}

test('WARN-05: NODE_DEBUG=ferropool writes urllib3’s lines, without a secret in them', async (t) => {
  const { port, lines, stderr } = await debugged('ferropool');
  t.notRegex(stderr, /s3cret/);
  const at = `localhost:${port}`;
  t.deepEqual(lines, [
    `Starting new HTTP connection (1): ${at}`,
    `http://${at} "GET /path HTTP/1.1" 200 183`,
    `http://${at} "GET /chunked HTTP/1.1" 201 none`,
    `http://${at} "G\\u000aET /a%0Ab HTTP/1.1" failed: TypeError ERR_INVALID_METHOD`,
    `http://${at} "GET /silent HTTP/1.1" failed: TimeoutError`,
    `Closed HTTP connection (1): ${at}: aborted`,
    'Starting new HTTP connection (1): plain.test:80',
    'http://plain.test:80 "POST /form HTTP/1.1" 200 183',
    'Closed HTTP connection (1): plain.test:80: closed',
    'Starting new HTTP connection (1): again.test:80',
    'Closed HTTP connection (1): again.test:80: failed',
    'Starting new HTTP connection (2): again.test:80',
    'Redirecting http://again.test/moved -> http://again.test/broken',
    'Retrying after connection broken by ProtocolError ERR_PROTOCOL: http://again.test/broken',
    'Retry: http://again.test/broken',
    'http://again.test:80 "GET /broken HTTP/1.1" 200 183',
    'Closed HTTP connection (2): again.test:80: closed',
  ]);
});

test('WARN-05: without it there is none', async (t) => {
  t.deepEqual((await debugged('net')).lines, []);
});

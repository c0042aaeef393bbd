/** Header dictionaries: urllib3's programs, our sources and index access, and what hostile names must not do. */
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import test from 'ava';
import { HTTPHeaderDict, SKIP_HEADER, headersFromLines, wireLines } from '../facade/headers.ts';
import type { HeaderSource } from '../facade/headers.ts';
import { vectors } from './support/vectors.ts';
import type { Raised } from './support/vectors.ts';

type Pairs = [string, string][];
type Step = { op: [string, ...unknown[]] } & ({ value: unknown } | { error: Raised });
interface Program {
  program: Step[];
  keys: string[];
  size: number;
  get: Record<string, string>;
  getlist: Record<string, string[]>;
  iteritems: Pairs;
  itermerged: Pairs;
  repr: string;
  missing: [null, []];
}

const invalid = { instanceOf: TypeError, code: 'ERR_INVALID_HEADER' };

/** What `{ ...headers }` copies. */
const spread = (headers: object): object => ({ ...headers });

/** Runs one operation; gives the dictionary that the next one works on, and the operation's own answer. */
function run(headers: HTTPHeaderDict, [name, ...given]: Step['op']): [HTTPHeaderDict, unknown] {
  const [first, second, third] = given as [string, string, boolean?];
  switch (name) {
    case 'init':
      return [new HTTPHeaderDict(given[0] as Pairs), null];
    case 'add':
      headers.add(first, second, { combine: third === true });
      return [headers, null];
    case 'set':
      headers.set(first, second);
      return [headers, null];
    case 'delete':
      return [headers, headers.delete(first)];
    case 'discard':
      return [headers, headers.discard(first) ?? null];
    case 'extend':
      headers.extend(given[0] as Pairs);
      return [headers, null];
    case 'update':
      headers.update(given[0] as Pairs);
      return [headers, null];
    case 'setdefault':
      return [headers, given.length > 1 ? headers.setDefault(first, second) : headers.setDefault(first)];
    case 'pop':
      return [headers, headers.pop(first)];
    case 'union':
      return [headers.union(given[0] as Pairs), null];
    case 'unionRight':
      return [new HTTPHeaderDict(given[0] as Pairs).union(headers), null];
    case 'methodChange':
      for (const field of BODY_FIELDS) headers.discard(field);
      return [headers, null];
    default:
      throw new Error(`the vectors have an operation that this test does not know: ${name}`);
  }
}

/** What a redirect drops with its body: the core's list, held against urllib3's. */
const BODY_FIELDS = [
  ...(/BODY_FIELDS: [^=]*= \[([^\]]*)\]/
    .exec(readFileSync(new URL('../crate/policy/src/redirect.rs', import.meta.url), 'utf8'))?.[1]
    ?.matchAll(/"([^"]+)"/g) ?? []),
].map(([, field]) => String(field));

/** The ledger's row that an operation is about. */
const rows: Record<string, string> = {
  set: 'HDICT-04',
  add: 'HDICT-05',
  extend: 'HDICT-06',
  update: 'HDICT-06',
  delete: 'HDICT-07',
  discard: 'HDICT-07',
  pop: 'HDICT-08',
  setdefault: 'HDICT-08',
  union: 'HDICT-11',
  unionRight: 'HDICT-11',
  methodChange: 'HDICT-15',
};

for (const { program, ...state } of vectors<Program>('header-dict.json')) {
  const title = program.map(({ op: [name, ...given] }) => `${name}(${JSON.stringify(given).slice(1, -1)})`).join(' ');
  const ids = new Set([
    'HDICT-02',
    'HDICT-03',
    'HDICT-09',
    'HDICT-14',
    ...program.map(({ op: [name] }) => rows[name] ?? 'HDICT-01'),
  ]);
  test(`${[...ids].toSorted().join(', ')}: as urllib3, ${title.slice(0, 150)}`, (t) => {
    let headers = new HTTPHeaderDict();
    for (const step of program) {
      if ('error' in step && step.op[0] === 'pop') {
        t.throws(() => run(headers, step.op), { instanceOf: RangeError, code: 'ERR_INVALID_HEADER' });
        continue;
      }
      const [next, answer] = run(headers, step.op);
      headers = next;
      // HDICT-07: ours says whether the name was there, as a Map does; urllib3 throws when it was not.
      if (step.op[0] === 'delete') t.is(answer, !('error' in step));
      else if ('value' in step) t.is(answer, step.value);
    }
    t.deepEqual([...headers.keys()], state.keys);
    t.is(headers.size, state.size);
    for (const [name, value] of Object.entries(state.get)) t.is(headers.get(name.toUpperCase()), value);
    for (const [name, values] of Object.entries(state.getlist))
      t.deepEqual(headers.getlist(name.toLowerCase()), values);
    t.deepEqual([...headers.items()], state.iteritems);
    t.deepEqual([...headers.merged()], state.itermerged);
    t.is(String(headers), state.repr);
    t.deepEqual([headers.get('missing', null), headers.getAll('missing')], state.missing);
  });
}

/** Keys and index access without `get`: the least that urllib3 takes too. */
class Bag {
  readonly 'X-A' = '1';
  readonly 'x-b' = ['2', '3'];
  keys(): string[] {
    return ['X-A', 'x-b'];
  }
}

const expected: Pairs = [
  ['X-A', '1'],
  ['x-b', '2'],
  ['x-b', '3'],
];
const sources: [name: string, source: unknown][] = [
  ['an object', { 'X-A': '1', 'x-b': ['2', '3'], absent: undefined }],
  ['an object without prototype', Object.assign(Object.create(null), { 'X-A': '1', 'x-b': ['2', '3'] })],
  ['pairs', expected],
  ['a generator', expected.values()],
  [
    'a Map',
    new Map<string, unknown>([
      ['X-A', '1'],
      ['x-b', ['2', '3']],
    ]),
  ],
  ['another dictionary', new HTTPHeaderDict(expected)],
  ['keys and index access', new Bag()],
  ['keys and get', { keys: () => ['X-A', 'x-b'], get: (name: string) => (name === 'X-A' ? '1' : ['2', '3']) }],
  ['its own JSON', JSON.parse(JSON.stringify(new HTTPHeaderDict(expected)))],
];
for (const [name, source] of sources) {
  test(`HDICT-01: a dictionary is made from ${name}, and extended by it`, (t) => {
    const made = new HTTPHeaderDict(source as HeaderSource);
    t.deepEqual([...made], expected);
    t.deepEqual([...new HTTPHeaderDict().extend(made)], expected);
  });
}

test("HDICT-01: fetch's Headers and an iterator that can be read once are sources too", (t) => {
  t.is(new HTTPHeaderDict(new Headers({ 'x-a': '1' })).get('X-A'), '1');
  t.deepEqual([...new HTTPHeaderDict(expected.values())], expected);
  t.is(new HTTPHeaderDict().size, 0);
  t.is(new HTTPHeaderDict(null).size, 0);
});

const refused: [name: string, source: unknown][] = [
  ['a string', 'a: 1'],
  ['a number', 3],
  ['a function', () => ({})],
  ['a flat list', ['a', '1']],
  ['a triple', [['a', '1', '2']]],
  ['a value that is a boolean', { a: true }],
  ['a list with an object', { a: ['1', {}] }],
  ['a list with SKIP_HEADER', { a: ['1', SKIP_HEADER] }],
  ['a symbol that is not ours', { a: Symbol('x') }],
  ['a name that is a number', [[1, '1']]],
  ['a name that is a symbol', new Map([[Symbol('x'), '1']])],
];
for (const [name, source] of refused) {
  test(`HDICT-11, HDICT-13: ${name} is refused by all that take a source`, (t) => {
    const headers = new HTTPHeaderDict({ keep: '1' });
    t.throws(() => new HTTPHeaderDict(source as HeaderSource), invalid);
    t.throws(() => headers.extend(source as HeaderSource), invalid);
    t.throws(() => headers.update(source as HeaderSource), invalid);
    t.throws(() => headers.union(source as HeaderSource), invalid);
    t.throws(() => wireLines(source as HeaderSource), invalid);
    t.false(headers.equals(source));
    t.deepEqual([...headers], [['keep', '1']]);
  });
}

test('HDICT-13: a name that is no string is an error in every method, and a value is text', (t) => {
  const headers = new HTTPHeaderDict({ '3': 'x' });
  const name = 3 as unknown as string;
  const calls = [
    () => headers.get(name),
    () => headers.getAll(name),
    () => headers.has(name),
    () => headers.set(name, 'x'),
    () => headers.add(name, 'x'),
    () => headers.delete(name),
    () => headers.discard(name),
    () => headers.pop(name),
    () => headers.setDefault(name),
    () => headers.get(Buffer.from('3') as unknown as string),
    () => headers.set('a', true as unknown as string),
    () => headers.add('3', null as unknown as string),
  ];
  for (const call of calls) t.throws(call, invalid);
  t.deepEqual([...headers], [['3', 'x']]);
  t.throws(() => headers.set('authorization', ['secret'] as unknown as string), {
    ...invalid,
    message: "the value of header 'authorization' is a string, a number or bytes, not an array",
  });
});

test('HDR-04: a number is its text, and bytes are kept whatever they are', (t) => {
  const every = Uint8Array.from({ length: 256 }, (_, at) => at);
  const headers = new HTTPHeaderDict({ n: 1.5, b: every, list: [0, Buffer.from('é'), 'x'] });
  headers.set('m', -1).add('m', every.subarray(233, 234));
  t.is(headers.get('n'), '1.5');
  t.deepEqual(Buffer.from(headers.get('b') ?? '', 'latin1'), Buffer.from(every));
  t.deepEqual(headers.getAll('list'), ['0', 'Ã©', 'x']);
  t.deepEqual(headers.getAll('m'), ['-1', 'é']);
  t.deepEqual(wireLines({ n: 2, b: Buffer.from([0xff]) }), ['n', '2', 'b', 'ÿ']);
});

test('HDICT-03, HDICT-16: each Set-Cookie line is read by itself, and the list is the caller’s own', (t) => {
  const headers = headersFromLines(['set-cookie', 'a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT', 'set-cookie', 'b=2']);
  const lines = ['a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT', 'b=2'];
  t.deepEqual(headers.getAll('Set-Cookie'), lines);
  headers.getAll('set-cookie').push('c=3');
  headers.add('Set-Cookie', 'd=4');
  headers.getAll('set-cookie').push('c=3');
  t.deepEqual(headers.getAll('set-cookie'), [...lines, 'd=4']);
  t.deepEqual(headers.getAll('none'), []);
  t.is(headers.getlist('none', null), null);
});

test('HDICT-05: combining is kept by copy and extend', (t) => {
  const headers = new HTTPHeaderDict().add('a', '1').add('A', '2').add('a', '3', { combine: true });
  t.deepEqual(headers.copy().getAll('a'), ['1', '2, 3']);
  t.deepEqual(new HTTPHeaderDict({ A: '0' }).extend(headers).getAll('a'), ['0', '1', '2, 3']);
});

test('HDICT-06: a second source is a TypeError; a dictionary can extend itself', (t) => {
  const headers = new HTTPHeaderDict({ a: '1' });
  const extend = headers.extend.bind(headers) as (...sources: unknown[]) => unknown;
  t.throws(() => extend({ b: '2' }, { c: '3' }), invalid);
  t.throws(() => new (HTTPHeaderDict as unknown as new (...sources: unknown[]) => unknown)({}, {}), invalid);
  t.deepEqual([...headers.extend()], [['a', '1']]);
  t.deepEqual(headers.extend(headers).getAll('a'), ['1', '1']);
});

test('HDICT-04, HDICT-06: update replaces all lines of a name by all that the source has for it', (t) => {
  const headers = new HTTPHeaderDict({ Cookie: ['a', 'b'], x: '1', gone: '1' });
  headers.update(new HTTPHeaderDict({ cookie: ['c', 'd'] })).update({ X: '2', gone: [] });
  t.deepEqual(wireLines(headers), ['cookie', 'c', 'cookie', 'd', 'X', '2']);
  t.is(headers.size, 2);
});

test('HDICT-07, HDICT-08: delete tells whether a name was there, discard and pop with a fallback never throw', (t) => {
  const headers = new HTTPHeaderDict({ A: ['1', '2'], b: '3' });
  t.true(headers.delete('B'));
  t.false(headers.delete('B'));
  t.is(headers.discard('B'), undefined);
  t.is(headers.pop('b', null), null);
  t.is(headers.pop('b', undefined), undefined);
  t.is(headers.pop('a'), '1, 2');
  t.is(headers.setDefault('c'), '');
  t.is(headers.setDefault('C', 'x'), '');
});

test('HDICT-09: size counts names, and a pair is there when one line is exactly that', (t) => {
  const headers = new HTTPHeaderDict({ Cookie: ['a', 'b'], x: 'c, d' });
  t.is(headers.size, 2);
  t.is([...headers].length, 3);
  t.true(headers.has('cookie', 'a'));
  t.true(headers.has('cookie', 'b'));
  t.false(headers.has('cookie', 'a, b'));
  t.false(headers.has('x', 'd'));
});

test('HDICT-10: equal are the same names in any case with the same joined values', (t) => {
  const headers = new HTTPHeaderDict({ Cookie: ['a', 'b'], x: '1' });
  t.true(headers.equals(new HTTPHeaderDict({ X: '1', cookie: 'a, b' })));
  t.true(headers.equals({ X: '1', cookie: 'a, b' }));
  t.true(
    headers.equals([
      ['COOKIE', 'a'],
      ['x', '1'],
      ['cookie', 'b'],
    ]),
  );
  t.true(
    headers.equals(
      new Map([
        ['x', '1'],
        ['cookie', 'a, b'],
      ]),
    ),
  );
  t.false(headers.equals({ x: '1' }));
  t.false(headers.equals({ x: '1', cookie: 'a, b', more: '1' }));
  t.false(headers.equals({ x: '1', cookie: 'a,b' }));
  t.false(headers.equals({ x: '1', biscuit: 'a, b' }));
  for (const other of [undefined, null, 2, 'x', Symbol('x')]) t.false(headers.equals(other));
});

test('HDICT-10: an error of the other side is not taken for being unequal', (t) => {
  const source = (function* source() {
    yield ['a', '1'];
    throw Object.assign(new TypeError('theirs'), { code: 'ERR_THEIRS' });
  })();
  t.throws(() => new HTTPHeaderDict().equals(source), { message: 'theirs' });
});

test('HDICT-11, HDICT-12: union and copy leave their operands alone', (t) => {
  const headers = new HTTPHeaderDict({ Cookie: 'a' });
  const other = new HTTPHeaderDict({ cookie: 'b', x: '1' });
  const both = headers.union(other);
  t.deepEqual(
    [...both],
    [
      ['Cookie', 'a'],
      ['Cookie', 'b'],
      ['x', '1'],
    ],
  );
  t.throws(() => headers.union(undefined as unknown as HeaderSource), invalid);
  t.throws(() => headers.union(null as unknown as HeaderSource), invalid);
  const copy = both.copy();
  t.true(copy.equals(both));
  copy.add('Cookie', 'c');
  both.set('x', '2');
  t.deepEqual(copy.getAll('cookie'), ['a', 'b', 'c']);
  t.is(copy.get('x'), '1');
  t.deepEqual(both.getAll('cookie'), ['a', 'b']);
  t.deepEqual([...headers], [['Cookie', 'a']]);
  t.deepEqual(
    [...other],
    [
      ['cookie', 'b'],
      ['x', '1'],
    ],
  );
});

test('HDICT-14: the string form quotes, and the inspector shows it', (t) => {
  const headers = new HTTPHeaderDict({ Cookie: ['foo', 'bar'], "it's": 'x\ty', 'user-agent': SKIP_HEADER });
  const form = `HTTPHeaderDict({'Cookie': 'foo, bar', "it's": 'x\\ty', 'user-agent': SKIP_HEADER})`;
  t.is(String(headers), form);
  t.is(inspect(headers), form);
});

test('HDICT-17: a header named like a method is reachable, and index access never shadows one', (t) => {
  const names = [
    'get',
    'keys',
    'constructor',
    'toJSON',
    'size',
    'hasOwnProperty',
    '__proto__',
    'then',
    'Symbol(lines)',
  ];
  const headers = new HTTPHeaderDict(names.map((name): [string, string] => [name, `of ${name}`]));
  for (const name of names) t.is(headers.get(name), `of ${name}`);
  t.is(typeof headers.get, 'function');
  t.is(headers.size, names.length);
  t.is(headers.constructor, HTTPHeaderDict);
  t.is(headers.constructor.name, 'HTTPHeaderDict');
  t.true(headers.hasOwnProperty('then'));
  t.is(headers['then'], 'of then');
  t.is(Object.getPrototypeOf(headers), HTTPHeaderDict.prototype);
  t.is(JSON.parse(JSON.stringify(headers)).get, 'of get');
  t.deepEqual(Object.entries(spread(headers)), [
    ['then', 'of then'],
    ['Symbol(lines)', 'of Symbol(lines)'],
  ]);
});

test('RESP-03: a response’s lines keep order and repeats, and read by index in any case', (t) => {
  const headers = headersFromLines(['date', 'now', 'set-cookie', 'a', 'content-type', 'text/html', 'set-cookie', 'b']);
  t.is(headers['Content-Type'], 'text/html');
  t.is(headers['SET-COOKIE'], 'a, b');
  t.is(headers['x-none'], undefined);
  t.true('Content-Type' in headers);
  t.false('x-none' in headers);
  t.true(headers instanceof HTTPHeaderDict);
  t.deepEqual([...headers.keys()], ['date', 'set-cookie', 'content-type']);
  t.deepEqual(spread(headers), { date: 'now', 'set-cookie': 'a, b', 'content-type': 'text/html' });
  t.deepEqual(Object.keys(headers), ['date', 'set-cookie', 'content-type']);
  t.is(headers['set-cookie'], 'a, b');
});

test('index access only reads: writing and deleting name the method to use', (t) => {
  const headers = new HTTPHeaderDict({ a: '1' }) as Record<string, unknown>;
  t.throws(() => (headers['a'] = '2'), { ...invalid, message: /headers\.set\('a', value\)/ });
  t.throws(() => delete headers['b'], { ...invalid, message: /headers\.delete\('b'\)/ });
  t.throws(() => Object.freeze(headers), { instanceOf: TypeError });
  t.deepEqual(spread(headers), { a: '1' });
  t.is(Object.getOwnPropertySymbols(headers).length, 0);
});

test('HDR-05: one line a value, grouped at the name’s first place, spelled as first given', (t) => {
  const headers = new HTTPHeaderDict([
    ['Cookie', 'a'],
    ['X', '1'],
    ['cookie', 'b'],
  ]);
  headers.add('COOKIE', 'c', { combine: true });
  t.deepEqual(wireLines(headers), ['Cookie', 'a', 'Cookie', 'b, c', 'X', '1']);
  t.deepEqual(
    wireLines([
      ['Cookie', 'a'],
      ['X', '1'],
      ['cookie', 'b'],
    ]),
    ['Cookie', 'a', 'Cookie', 'b', 'X', '1'],
  );
  t.deepEqual(wireLines({ Accept: ['a', 'b'], none: undefined, x: '' }), ['Accept', 'a', 'Accept', 'b', 'x', '']);
  t.deepEqual(wireLines(headersFromLines(['b', '1', 'a', '2', 'b', '3'])), ['b', '1', 'b', '3', 'a', '2']);
});

test('SKIP_HEADER is held as a value: the name is there, without text, until it is set or removed', (t) => {
  const headers = new HTTPHeaderDict({ 'User-Agent': SKIP_HEADER, a: '1' });
  t.true(headers.has('user-agent'));
  t.true(headers.has('user-agent', SKIP_HEADER));
  t.is(headers.get('user-agent'), undefined);
  t.is(headers['user-agent'], undefined);
  t.deepEqual(headers.getAll('user-agent'), []);
  t.deepEqual([...headers], [['a', '1']]);
  t.deepEqual([...headers.merged()], [['a', '1']]);
  t.deepEqual(spread(headers), { a: '1' });
  headers.add('user-agent', 'x').add('user-agent', 'y', { combine: true });
  t.deepEqual(wireLines(headers), ['User-Agent', SKIP_HEADER, 'a', '1']);
  t.deepEqual(wireLines({ host: SKIP_HEADER, b: null }), ['host', SKIP_HEADER, 'b', SKIP_HEADER]);
  const json = JSON.parse(JSON.stringify(headers)) as HeaderSource;
  t.deepEqual(json, { 'User-Agent': null, a: '1' });
  t.deepEqual(wireLines(new HTTPHeaderDict(json)), wireLines(headers));
  t.true(headers.equals(json));
  t.false(headers.equals({ a: '1', 'user-agent': '' }));
  t.deepEqual(
    [...headers.set('User-Agent', 'z')],
    [
      ['User-Agent', 'z'],
      ['a', '1'],
    ],
  );
});

test('THR-123: hundreds of Set-Cookie lines and one of 64 KiB keep their order, each readable by itself', (t) => {
  const cookies = Array.from({ length: 200 }, (_, at) => (at === 100 ? `big=${'x'.repeat(65_532)}` : `c${at}=${at}`));
  const headers = headersFromLines(cookies.flatMap((cookie) => ['set-cookie', cookie]));
  t.deepEqual(headers.getlist('Set-Cookie'), cookies);
  t.is(headers.getlist('set-cookie').length, 200);
});

test('THR-124: hostile names are plain data and touch no prototype', (t) => {
  const hostile = JSON.parse('{"__proto__": "polluted", "constructor": "c", "prototype": "p"}') as HeaderSource;
  for (const headers of [
    new HTTPHeaderDict(hostile),
    headersFromLines(['__proto__', 'polluted', 'constructor', 'c', 'prototype', 'p']),
  ]) {
    t.is(headers.get('__proto__'), 'polluted');
    t.is(headers.get('__PROTO__'), 'polluted');
    t.is(headers.get('constructor'), 'c');
    t.deepEqual([...headers.keys()], ['__proto__', 'constructor', 'prototype']);
    const json = headers.toJSON();
    t.is(Object.getPrototypeOf(json), null);
    t.deepEqual(Object.keys(json), ['__proto__', 'constructor', 'prototype']);
    t.true(new HTTPHeaderDict(JSON.parse(JSON.stringify(headers)) as HeaderSource).equals(headers));
    t.is(Object.getPrototypeOf(spread(headers)), Object.prototype);
    t.is(({} as Record<string, unknown>)['polluted'], undefined);
    t.is(Object.getPrototypeOf(headers), HTTPHeaderDict.prototype);
  }
  t.is(new HTTPHeaderDict().get('__proto__'), undefined);
  t.is(new HTTPHeaderDict().get('constructor'), undefined);
  t.false(new HTTPHeaderDict().has('__proto__'));
});

test('THR-124: one name in any case ten thousand times is one name, in linear time', (t) => {
  const spelling = (at: number): string => (at % 2 === 0 ? 'X-Flood' : 'x-flood');
  const build = (count: number): HTTPHeaderDict => {
    const headers = new HTTPHeaderDict();
    for (let at = 0; at < count; at += 1) headers.add(spelling(at), String(at));
    const flood = headersFromLines(Array.from({ length: count * 2 }, (_, at) => (at % 2 === 0 ? 'x-flood' : `${at}`)));
    t.is(flood.getAll('x-flood').length, count);
    return headers;
  };
  /** The least of several runs: what the work costs without the machine's other business. */
  const time = (count: number): number => {
    let least = Infinity;
    for (let round = 0; round < 9; round += 1) {
      const from = process.hrtime.bigint();
      build(count);
      least = Math.min(least, Number(process.hrtime.bigint() - from));
    }
    return least;
  };
  const headers = build(10_000);
  t.is(headers.size, 1);
  t.deepEqual(headers.getAll('X-FLOOD').slice(0, 3), ['0', '1', '2']);
  t.is(headers.getAll('X-FLOOD').length, 10_000);
  const [small, large] = [time(1_000), time(50_000)];
  // Linear is 50, quadratic is 2,500: between them there is room for a machine that has other things to do.
  t.true(large / small < 500, `${large} ns for 50,000 lines, ${small} ns for 1,000`);
});

test('THR-522: only own properties are read, of objects and of options', (t) => {
  const prototype = Object.prototype as Record<string, unknown>;
  const polluted = ['x-evil', 'combine', 'keys', 'get'];
  try {
    prototype['x-evil'] = 'evil';
    prototype['combine'] = true;
    prototype['keys'] = () => ['x-evil'];
    prototype['get'] = () => 'evil';
    const headers = new HTTPHeaderDict({ a: '1' }).add('a', '2', {});
    t.deepEqual(
      [...headers],
      [
        ['a', '1'],
        ['a', '2'],
      ],
    );
    t.deepEqual(wireLines({ a: '1' }), ['a', '1']);
    t.is(headers.get('x-evil'), undefined);
  } finally {
    for (const name of polluted) delete prototype[name];
  }
  class Inherited {
    own = '1';
  }
  (Inherited.prototype as unknown as Record<string, string>)['inherited'] = '2';
  t.deepEqual([...new HTTPHeaderDict(new Inherited() as unknown as HeaderSource)], [['own', '1']]);
});

test('THR-510: a name that is none is refused without being shown, and add() takes its one option', (t) => {
  const headers = new HTTPHeaderDict();
  const secret = { token: 'SECRET' } as unknown as string;
  for (const call of [
    () => (headers.set as (name: string) => unknown)(secret),
    () => headers.set(secret, 5),
    () => (headers.add as (name: string) => unknown)(secret),
    () => headers.setDefault(secret),
    () => new HTTPHeaderDict([[secret, true as never]]),
    () => headers.pop(secret),
  ]) {
    const thrown = t.throws(call, {
      code: 'ERR_INVALID_HEADER',
      message: /^a header's name is a string, not an object$/,
    });
    t.notRegex(thrown.message, /SECRET/);
  }
  for (const [options, message] of [
    [{ bogus: 1 }, "add has no option 'bogus'; it has combine"],
    [true, 'add takes an object of options, not a boolean'],
    [null, 'add takes an object of options, not null'],
    [{ combine: 'yes' }, 'combine is a boolean, not a string'],
  ] as const) {
    t.throws(() => headers.add('a', 'b', options as never), { instanceOf: TypeError, message });
  }
  t.is(headers.size, 0);
});

test('names that members have are in toJSON() and in iteration, not in a spread', (t) => {
  const fields = { size: '1', get: '2', items: '3', update: '4', x: '5' };
  const headers = new HTTPHeaderDict(fields);
  const spread: object = Object.assign({}, headers);
  t.deepEqual(spread, { x: '5' });
  t.deepEqual(Object.keys(headers), ['x']);
  t.deepEqual({ ...headers.toJSON() }, fields);
  t.deepEqual(Object.fromEntries(headers), fields);
  t.is(headers.get('size'), '1');
});

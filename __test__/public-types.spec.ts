/** The checks of the public types are seen to complain: on texts of their own, each with one fault. */
import test from 'ava';

import { arranged, groupsOf } from '../scripts/arrange.js';
import { undocumented } from '../scripts/documented.js';
import { declarationsIn } from '../scripts/public-types.js';
import { pagesOf } from '../scripts/reference.js';
import { typeComplaints, untested } from '../scripts/types.js';
import { Editor } from './support/editor.ts';

const INDEX = `
// About this file.

// Pools: where connections are kept.
export { Pool, Other } from './a.ts';
export type { Options } from './b.ts';

// Errors: what goes wrong.
export { Wrong } from './c.ts';
`;

const TYPES = `
/** What a pool takes. */
export interface Options {
  /** How many. Default 1. */
  size?: number | undefined;
}
/** A pool: see {@link Options.size}. */
export declare class Pool {
  #private;
  /** Makes one. */
  constructor(options?: Options);
  /**
   * Asks.
   *
   * @throws (rejects with) {@link Wrong}.
   * @example
   * const pool = new Pool({ size: 2 });
   * console.log(await pool.ask()); // yes
   */
  ask(): Promise<string>;
}
/** It went wrong. */
export declare class Wrong extends Error {
}
export {
  Wrong as Other,
};
export {};
`;

const GROUPS = groupsOf(INDEX);

test('groups are begun by comments before exports, and a comment about the file begins none', (t) => {
  t.deepEqual(GROUPS, [
    { title: 'Pools', about: 'where connections are kept.', names: ['Pool', 'Other', 'Options'], types: ['Options'] },
    { title: 'Errors', about: 'what goes wrong.', names: ['Wrong'], types: [] },
  ]);
  t.throws(() => groupsOf("export { Pool } from './a.ts';"), { message: /begins with a group/ });
});

test('types are arranged as their groups are, and nothing is lost', (t) => {
  const text = arranged(TYPES, GROUPS);
  const order = [
    '// Pools',
    'class Pool',
    'Wrong as Other',
    'interface Options',
    '// Errors',
    'class Wrong',
    'export {};',
  ];
  const places = order.map((part) => text.indexOf(part));
  t.deepEqual(
    places,
    places.toSorted((a, b) => a - b),
  );
  t.true(places.every((place) => place >= 0));
  t.false(text.includes('Of no group'));
  t.true(arranged(`${TYPES}\ndeclare const stray: number;`, GROUPS).includes('// Of no group.\n\ndeclare const stray'));
  t.true(arranged('export type A = [\n  string,\n  number\n];', []).includes('type A = [string, number];'));
});

test('a class that is exported as a type alone is declared, and cannot be taken for a value', (t) => {
  const groups = [{ title: 'All', about: 'of it.', names: ['A', 'B', 'C'], types: ['B', 'C'] }];
  const text = 'export declare class A {}\n/** Of B. */\nexport declare abstract class B {}\nexport interface C {}\n';
  const built = arranged(text, groups);
  t.true(built.includes('export declare class A {}'));
  t.true(built.includes('/** Of B. */\ndeclare abstract class B {}\n\nexport type { B };'), built);
  t.true(built.includes('export interface C {}'));
});

test('a long union has a line for each member, a condition one for each outcome, a short one is left alone', (t) => {
  const long = 'A'.repeat(60);
  const broken = (type: string): string =>
    /export type T[^;]+;/.exec(arranged(`export type T = ${type};`, []))?.[0] ?? '';
  t.is(
    broken(`${long} | (() => B | C) | "${long}"`),
    `export type T =\n  | ${long}\n  | (() => B | C)\n  | "${long}";`,
  );
  t.is(broken(`${long} extends ${long} ? B : C`), `export type T = ${long} extends ${long}\n  ? B\n  : C;`);
  t.is(broken('A | B'), 'export type T = A | B;');
});

test('what is documented passes; what is not is named, with its line', (t) => {
  t.deepEqual(undocumented(TYPES, GROUPS), []);
  const without = (comment: string): string[] => undocumented(TYPES.replace(comment, ''), GROUPS);
  t.deepEqual(without('/** What a pool takes. */'), ['3: Options has no doc comment']);
  t.deepEqual(without('/** How many. Default 1. */'), ['5: Options.size has no doc comment']);
  t.deepEqual(without('/** Makes one. */'), ['11: Pool.constructor has no doc comment']);
  t.deepEqual(undocumented(TYPES.replace('Makes one.', ''), GROUPS), ['11: Pool.constructor has no doc comment']);
});

test('names that leak, exports that are not there and links that lead nowhere are named', (t) => {
  const leaking = `${TYPES}\n/** Ours. */\nexport interface Inner {\n  /** Ours. */\n  x: 1;\n}`;
  t.deepEqual(undocumented(leaking, GROUPS), ['31: Inner is no export of index.ts: a name leaks']);
  const more = [...GROUPS, { title: 'More', about: 'none', names: ['Gone'], types: [] }];
  t.deepEqual(undocumented(TYPES, more), ['1: Gone is exported by index.ts and not declared']);
  const dangling = undocumented(TYPES.replace('Options.size}', 'Options.count}'), GROUPS);
  t.deepEqual(dangling, ['8: Pool links to Options.count, which is nowhere']);
});

test('a tag that nobody reads is refused rather than lost', (t) => {
  t.throws(() => declarationsIn('/**\n * A.\n *\n * @remarks more\n */\nexport type A = 1;'), { message: /@remarks/ });
});

test('the reference has a page a group, whose examples are programs and whose links lead somewhere', (t) => {
  const pages = pagesOf(TYPES, GROUPS);
  t.deepEqual([...pages.keys()], ['pools.md', 'errors.md', 'README.md']);
  const page = pages.get('pools.md') ?? '';
  t.true(page.includes("```ts\nimport { Pool } from 'ferropool';\n\nconst pool = new Pool({ size: 2 });\n"));
  t.true(page.includes('A pool: see [`Options.size`](#Options.size).'));
  t.true(page.includes('- rejects with: [`Wrong`](errors.md#wrong).'));
  t.true(page.includes('| <a id="Options.size"></a>`size?` | `number` | How many. Default 1. |'));
  t.true(page.includes('## Other\n\nThe same class as [`Wrong`](errors.md#wrong).'));
});

test('an export that no test of types uses is named', (t) => {
  const tests = new Map([['types-x.spec-d.ts', "import { Pool, type Options } from '../index.ts';"]]);
  t.deepEqual(untested(tests, GROUPS), ['Other', 'Wrong']);
  t.deepEqual(untested(), []);
});

test('what compiles and should not, and a message that is another one, are named', (t) => {
  const tests = new Map([
    ['types-together.spec-d.ts', `// @ts-expect-error -- another message\nexport const x: 5 = 6;\n`],
    ['types-y.spec-d.ts', `// @ts-expect-error -- it does\nexport const y: 5 = 5;\n`],
  ]);
  const complaints = typeComplaints(tests).filter((line) => !line.includes('no test of types uses it'));
  t.true(complaints.some((line) => /^tsc, .*types-y\.spec-d\.ts:1: TS2578: Unused '@ts-expect-error'/.test(line)));
  t.true(complaints.some((line) => /^the older compiler, .*types-y/.test(line)));
  t.true(complaints.some((line) => line.startsWith('types-together.spec-d.ts:1 another message: the compiler says')));
});

test('an editor offers the options of a request, its methods and the codes of an error, and shows what they mean', (t) => {
  const editor = new Editor();
  const ask = (code: string): ReturnType<Editor['ask']> =>
    editor.ask(
      `import { HTTPConnectionPool, HTTPError } from 'ferropool';\ndeclare const pool: HTTPConnectionPool;\n${code}`,
    );
  const options = ask("void pool.request('POST', '/', { ^ });").offered;
  t.true(['body', 'fields', 'json', 'timeout'].every((name) => options.includes(name)));
  t.false(options.includes('proxy'));
  t.true(ask("void pool.request('POST', '/', { body: 'x', limits: { ^ } });").offered.includes('decoded'));
  t.true(ask("void pool.request('POST', '/', { onProgress: (progress) => progress.^ });").offered.includes('bytes'));
  t.true(ask("void pool.request('^', '/');").offered.includes('PATCH'));
  t.true(ask("declare const e: HTTPError; switch (e.code) { case '^': }").offered.includes('ERR_READ_TIMEOUT'));
  const { shown, comment } = ask("void pool.request^('POST', '/', { json: 5 });");
  t.regex(shown, /options\?: RequestOptions \| undefined\): Promise<HTTPResponse>$/);
  t.regex(comment, /^Makes a request/);
  t.regex(
    ask("void pool.request('POST', '/', { json: 5, poolTimeout^: 5 });").comment,
    /in milliseconds.*0 does not wait/s,
  );
});

/** How the code in the pages is found, and what is held against what it prints. That it compiles and runs is `npm run check`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { root } from '../scripts/run.js';
import {
  fenceComplaints,
  firstUnprinted,
  promisesOf,
  snippetFailures,
  snippetsOf,
  snippetTypeErrors,
} from '../scripts/snippets.js';

const fenced = (words: string, code: string): string => `\`\`\`${words}\n${code}\n\`\`\`\n\n`;

test('the code of a page is found with its line, its language, and what is done with it', (t) => {
  const text = [
    '# A\n\n',
    fenced('ts', 'const a = 1;'),
    fenced('ts no-run', 'never();'),
    fenced('ts no-compile', 'type A;'),
    fenced('sh', 'ls'),
    fenced('js', 'b();\nc();'),
    fenced('cjs', 'd();'),
  ].join('');
  t.deepEqual(snippetsOf(text), [
    { line: 3, extension: 'ts', code: 'const a = 1;', compiles: true, runs: true },
    { line: 7, extension: 'ts', code: 'never();', compiles: true, runs: false },
    { line: 11, extension: 'ts', code: 'type A;', compiles: false, runs: false },
    { line: 19, extension: 'mjs', code: 'b();\nc();', compiles: false, runs: true },
    { line: 24, extension: 'cjs', code: 'd();', compiles: false, runs: true },
  ]);
  t.deepEqual(fenceComplaints(text), []);
});

test('the code in a list, between tildes, or with a fence in it is found as well', (t) => {
  const text =
    '1. a\n\n    ```ts\n    if (a) {\n      b();\n    }\n    ```\n\n~~~js\nc();\n~~~\n\n````js\nd(`\n```\n`);\n````\n';
  t.deepEqual(
    snippetsOf(text).map(({ line, code }) => [line, code]),
    [
      [3, 'if (a) {\n  b();\n}'],
      [9, 'c();'],
      [13, 'd(`\n```\n`);'],
    ],
  );
});

for (const words of [
  'ts title=x',
  'tsx',
  'TS',
  'typescript',
  'javascript no-run',
  'js no-run twice',
  'sh no-run',
  '',
]) {
  test(`a fence that nobody knows is no way past the checks: "${words}"`, (t) => {
    const complaints = fenceComplaints(`\n${fenced(words, 'a();')}`);
    t.is(complaints.length, 1);
    t.true(complaints[0]?.startsWith(`2 has the fence "${words}"; known are ts, js, cjs, alone or with no-run`));
  });
}

test('a fence without an end is found', (t) => {
  t.deepEqual(fenceComplaints(`${fenced('ts', 'a();')}\`\`\`js\nb();\n`), ['5 has a fence without an end']);
});

/** A page below target/, by its name from the root. */
function page(t: ExecutionContext, text: string): string {
  const folder = mkdtempSync(path.join(root, 'target', 'page-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(path.join(folder, 'page.md'), text);
  return path.relative(root, path.join(folder, 'page.md'));
}

test('a block that does not run is compiled all the same, and one that is no program is not', async (t) => {
  const file = page(t, fenced('ts no-run', 'const a: string = 1;') + fenced('ts no-compile', 'const a: string = 1;'));
  const [said = '', ...more] = snippetTypeErrors([file]);
  t.regex(said, /page\.md:2 error TS2322/);
  t.deepEqual(more, []);
  t.deepEqual(await snippetFailures([file]), []);
});

test('a page with nothing to compile is no error of the compiler', (t) => {
  t.deepEqual(snippetTypeErrors([page(t, fenced('js', 'a();'))]), []);
});

test('what a block does not print, and how it fails, is said with its line', async (t) => {
  const file = page(t, fenced('js', 'console.log(1 + 1); // 3') + fenced('js', "\nthrow new Error('on purpose');"));
  const said = await snippetFailures([file]);
  t.is(said.length, 2);
  t.regex(said.join('\n'), /page\.md:1 does not print "3", but:\s+2$/m);
  t.regex(said.join('\n'), /page\.md:5 ended with 1: .*on purpose/s);
});

test('what comments say is printed has to be, in their order; "…" is anything, and an explanation is none of it', (t) => {
  const code =
    "console.log(a); // 200\nconsole.log(b);\n// { a: 1,\n//   b: 'x' }\nb(); // not printed\nconsole.log(c); // 3: three";
  const promises = promisesOf(code);
  t.deepEqual(promises, ['200', '{ a: 1,', "b: 'x' }", '3: three']);
  t.is(firstUnprinted(promises, "200\n{ a: 1, b: 'x' }\n3\n"), null);
  t.is(firstUnprinted(promises, "{ a: 1, b: 'x' }\n200\n3\n"), '{ a: 1,');
  t.is(firstUnprinted(promises, "200\n{ a: 1, b: 'x' }\n33\n"), '3: three');
  t.is(firstUnprinted(['a … c', '…'], 'a b b c'), null);
  t.is(firstUnprinted(['a … c'], 'a b b'), 'a … c');
});

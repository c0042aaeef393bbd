/**
 * docs/parity.md against the list of urllib3's symbols, against the package, and against the ledgers: nothing of urllib3 is
 * passed over, no name is promised that is not there, and no behaviour goes without a test or a reason.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import * as ferropool from '../index.ts';
import { root } from '../scripts/run.js';

const read = (...parts: string[]): string => readFileSync(path.join(root, ...parts), 'utf8');
const page = read('docs', 'parity.md');
const types = read('index.d.ts');
const ID = /\b[A-Z][A-Z\d]{1,7}-\d{2,4}\b/g;
const DECLARED = /^(?:export )?(?:declare )?(?:abstract )?(?:class|interface|type|const|function) (\w+)/;
const exported: Record<string, unknown> = { ...ferropool };

/** Every declaration of the types, by its name. */
const declarations = new Map(
  types
    .split(/^(?=\/\*\*|export |declare )/m)
    .map((text) => [DECLARED.exec(text)?.[1] ?? '', text] as const)
    .filter(([name]) => name !== ''),
);

const { symbols, urllib3 } = JSON.parse(read('docs', 'ledger', 'urllib3-symbols.json')) as {
  urllib3: string;
  symbols: { symbol: string; kind: string }[];
};

/** Four cells each: urllib3's names, the verdict, ours, why. */
const rows = page
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => line.split('|').slice(1, -1));

test(`parity: each symbol of urllib3 has one line in docs/parity.md, and each line is a symbol's`, (t) => {
  const named = rows.flatMap(([theirs]) => spans(theirs));
  t.true(symbols.length > 700);
  t.deepEqual(named.toSorted(), symbols.map(({ symbol }) => symbol.replace(/^urllib3\./, '')).toSorted());
  t.true(page.includes(`urllib3 ${urllib3}`));
});

test('parity: each line has a verdict, and whatever is not the same says why', (t) => {
  const verdicts = ['same', 'different', 'left out'];
  const counts = verdicts.map((verdict) =>
    rows.filter(([, given]) => given?.trim() === verdict).reduce((sum, [theirs]) => sum + spans(theirs).length, 0),
  );
  t.is(
    counts.reduce((sum, count) => sum + count),
    symbols.length,
  );
  const [same, different, leftOut] = counts;
  t.true(page.includes(`${same} are the same, ${different} are different, ${leftOut} were left out`));
  const unexplained = rows
    .filter(([, verdict]) => verdict?.trim() !== 'same')
    .filter(([, , , why]) => !/[a-z]{2}/.test(why ?? ''));
  t.deepEqual(unexplained, []);
  t.deepEqual(
    rows.filter(([, verdict, ours]) => verdict?.trim() === 'same' && spans(ours).length === 0),
    [],
  );
});

test('parity: each name of ours is there', (t) => {
  const ours = rows.flatMap(([, , names]) => spans(names));
  t.true(ours.length > 300);
  t.deepEqual(
    [...new Set(ours)].filter((name) => !isThere(name)),
    [],
  );
  for (const wrong of [
    'Nothing',
    'Retry(nothing)',
    'Retry.nothing',
    'HTTPConnectionPool.request(nothing)',
    'HTTPConnection(maxsize)',
  ]) {
    t.false(isThere(wrong), wrong);
  }
});

test('parity: each row of the ledgers that docs/parity.md names is there', (t) => {
  const named = [...page.matchAll(ID)].map(([id]) => id);
  t.true(named.length > 300);
  t.deepEqual(
    [...new Set(named)].filter((id) => !ledger().has(id)),
    [],
  );
});

test('parity: each row of the ledgers is named by a test, or docs/parity.md says why there is none', (t) => {
  const tested = new Set(testTexts().flatMap((text) => [...text.matchAll(ID)].map(([id]) => id)));
  const section = page.split('## Rows of the ledgers without a test')[1] ?? '';
  const excused = [...section.matchAll(/^\| ([A-Z\d]+-\d+) \| (.+) \|$/gm)].map(([, id = '']) => id);
  t.true(excused.length > 0 && ledger().size > 500);
  t.deepEqual(
    [...ledger()].filter((id) => !tested.has(id) && !excused.includes(id)),
    [],
  );
  t.deepEqual(
    excused.filter((id) => tested.has(id)),
    [],
    'these have a test by now',
  );
});

test('parity: a row that only a comment of a spec names has no test', (t) => {
  const text = "/**\n * AAA-01\n */\n// AAA-02\nconst a = 1; // AAA-03\n/* AAA-04 */\ntest('AAA-05: x', f);\n";
  t.deepEqual(withoutComments(text).match(ID), ['AAA-05']);
});

/** The rows of both ledgers, by their ids. */
function ledger(): Set<string> {
  const lines = ['urllib3-parity.md', 'threats.md'].flatMap((name) => read('docs', 'ledger', name).split('\n'));
  return new Set(lines.flatMap((line) => /^[\s|*\-#`[]*([A-Z][A-Z\d]{1,7}-\d{2,4})\b/.exec(line)?.[1] ?? []));
}

/** What may name a row: the specs and what they are made of, and Rust files with tests. */
function testTexts(): string[] {
  const files = ['__test__', 'crate', 'fuzz', 'build.rs'].flatMap((folder) =>
    folder.endsWith('.rs')
      ? folder
      : readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
          path.join(folder, name),
        ),
  );
  return files
    .filter((file) => !file.split(path.sep).some((part) => part === 'target' || part === 'node_modules'))
    .filter((file) => (file.startsWith('__test__') ? /\.[mc]?ts$/.test(file) : file.endsWith('.rs')))
    .map((file) => ({ file, text: read(file) }))
    .filter(
      ({ file, text }) => !file.endsWith('.rs') || file.split(path.sep).includes('tests') || text.includes('test]'),
    )
    .map(({ file, text }) => (file.endsWith('.rs') ? text : withoutComments(text)));
}

/** A test in Rust has its rows in a comment above it. One in TypeScript has them in its title; a comment there proves nothing. */
function withoutComments(text: string): string {
  return text
    .replaceAll(/^\s*\/\*[\s\S]*?\*\//gm, '')
    .split('\n')
    .map((line) => line.replace(/(^|\s)\/\/.*$/, ''))
    .join('\n');
}

function spans(cell: string | undefined): string[] {
  return [...(cell ?? '').matchAll(/`([^`]+)`/g)].map(([, span = '']) => span);
}

/** `Name`, `Name.member`, `Name(parameter)`, `Name.member(parameter)`: exported, and known to the types. */
function isThere(name: string): boolean {
  const [, owner = '', member, parameter] = /^(\w+)(?:\.(\w+))?(?:\((\w+)\))?$/.exec(name) ?? [];
  const declared = declaration(owner);
  if (declared === null) return false;
  // What is a class or a function in the types must be one in the package.
  if (/^export declare (abstract )?class|^export declare function/.test(declared) && !isAbstract(owner)) {
    if (typeof exported[owner] !== 'function') return false;
  }
  if (member !== undefined && !hasMember(owner, member)) return false;
  if (parameter === undefined) return true;
  return signatures(owner, member).some(
    (signature) => new RegExp(`\\b${parameter}\\??:`).test(signature) || optionsOf(signature).has(parameter),
  );
}

/** Classes that nobody makes are exported as far as others are made of them. */
function isAbstract(owner: string): boolean {
  return new RegExp(`declare abstract class ${owner}\\b`).test(types);
}

function declaration(name: string): string | null {
  const alias = new RegExp(`\\b(\\w+) as ${name}\\b`).exec(types)?.[1];
  return declarations.get(alias ?? name) ?? null;
}

/** The declarations of a class or interface and of what it extends. */
function family(name: string): string[] {
  const own = declaration(name) ?? '';
  const head = own.split('{')[0] ?? '';
  const dictionary = name === 'HTTPHeaderDict' ? ['HTTPHeaderDictConstructor', 'HeaderDict'] : [];
  const parents = [...(/extends ([\w\s,<>"|]+)/.exec(head)?.[1] ?? '').matchAll(/\w+/g)].map(([parent]) => parent);
  return [own, ...[...parents, ...dictionary].filter((parent) => parent !== name).flatMap(family)];
}

function hasMember(owner: string, member: string): boolean {
  const value = exported[owner];
  if (typeof value === 'function' && (member in value || (value.prototype !== undefined && member in value.prototype)))
    return true;
  return family(owner).some((text) => new RegExp(`^ {2}(?:readonly |static )*${member}\\??:`, 'm').test(text));
}

/** How a constructor, a method or a function is called: each of its declarations, parameters included. */
function signatures(owner: string, member: string | undefined): string[] {
  if (member === undefined && declaration(owner)?.startsWith('export declare function') === true)
    return [declaration(owner) ?? ''];
  const called = member ?? '(?:constructor|new )';
  const texts = family(owner).flatMap((text) =>
    [...text.matchAll(new RegExp(`^ {2}(?:static )?${called}(?:<[^(]*>)?\\([\\s\\S]*?;$`, 'gm'))].map(
      ([found]) => found,
    ),
  );
  // A class without a constructor of its own has its parent's; with one it has that alone.
  const generic = /extends RequestMethods<(\w+)>/.exec((declaration(owner) ?? '').split('{')[0] ?? '')?.[1];
  const options = generic ?? 'RequestOptions';
  const asked = texts.map((text) => text.replaceAll(/\bOptions\b/g, options));
  return member === undefined ? asked.slice(0, 1) : asked;
}

/** The properties of all types that a signature names, and of those that they are made of. */
function optionsOf(signature: string, seen: Set<string> = new Set()): Set<string> {
  const found = new Set<string>();
  for (const [type] of signature.matchAll(/\b[A-Z]\w+\b/g)) {
    if (seen.has(type)) continue;
    seen.add(type);
    const text = declaration(type);
    if (text === null || /^(export )?declare/.test(text)) continue;
    for (const [, property = ''] of text.matchAll(/^ {2}(?:readonly )?(\w+)\??:/gm)) found.add(property);
    // Of an interface what it extends, of an alias what it is made of.
    const head = text.includes('interface') ? (text.split('{')[0] ?? '') : text;
    for (const property of optionsOf(head.replaceAll(/"\w+"/g, ''), seen)) found.add(property);
    for (const [, how, names = ''] of head.matchAll(/(Pick|Omit)<[\w<>]+, ((?:"\w+"[ |]*)+)>/g)) {
      for (const [, property = ''] of names.matchAll(/"(\w+)"/g)) {
        if (how === 'Pick') found.add(property);
        else found.delete(property);
      }
    }
  }
  return found;
}

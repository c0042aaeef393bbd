/**
 * The house's own rules, checked from its files: who imports whom, what is packed, what the lock files and binaries hold.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { generatedFrom } from '../scripts/generate.js';
import { importViolations, unsafeViolations, violations } from '../scripts/imports.js';
import { complaints, isAllowed, lockedPackages } from '../scripts/licences.js';
import { root } from '../scripts/run.js';

const read = (...parts: string[]): string => readFileSync(path.join(root, ...parts), 'utf8');
const manifest = JSON.parse(read('package.json')) as Record<string, Record<string, unknown> & string[]>;

test('imports go from index.ts to the facade, to its boundary, to the addon, and unsafe stands in one file', (t) => {
  t.deepEqual(violations(), []);
});

const directions: [name: string, file: string, code: string, allowed: boolean][] = [
  ['index.ts may export from the facade', 'index.ts', "export { Retry } from './facade/retry.ts';", true],
  ['index.ts may not reach the boundary', 'index.ts', "export * from './facade/boundary/engine.ts';", false],
  ['index.ts may not export an adapter', 'index.ts', "export * from './facade/adapters/fetch.ts';", false],
  ['the facade may use the boundary', 'facade/pools.ts', "import { submit } from './boundary/engine.ts';", true],
  ['the facade may use Node', 'facade/pools.ts', "import { Buffer } from 'node:buffer';", true],
  ['the facade may not use index.ts', 'facade/pools.ts', "import type { Retry } from '../index.ts';", false],
  ['the facade may not use a package', 'facade/pools.ts', "import ky from 'ky';", false],
  ['the facade may not import a package late', 'facade/pools.ts', "const ky = await import('ky');", false],
  [
    'the facade may not load the addon',
    'facade/pools.ts',
    "createRequire(import.meta.url)('#ferropool-addon');",
    false,
  ],
  ['the boundary may not look up', 'facade/boundary/marshal.ts', "import { PoolError } from '../errors.ts';", false],
  ['the boundary may use its neighbours', 'facade/boundary/marshal.ts', "import { load } from './load.ts';", true],
  ['the boundary leaves the addon to the loader', 'facade/boundary/engine.ts', "require('../x.node');", false],
  [
    'the loader loads the addon',
    'facade/boundary/load.ts',
    "createRequire(import.meta.url)('#ferropool-addon');",
    true,
  ],
  ['a comment may speak of the addon', 'facade/pools.ts', "// '#ferropool-addon' is the loader's business", true],
  ['an address in quotes starts no comment', 'facade/pools.ts', "const a = 'http://x'; import('ky');", false],
];
for (const [name, file, code, allowed] of directions) {
  test(`imports: ${name}`, (t) => {
    t.is(importViolations(file, code).length === 0, allowed);
  });
}

test('unsafe in Rust is found in code, and only in code', (t) => {
  t.is(unsafeViolations('crate/binding/engine.rs', 'fn f() { unsafe { g() } }').length, 1);
  t.deepEqual(unsafeViolations('crate/binding/ffi.rs', 'fn f() { unsafe { g() } }'), []);
  t.deepEqual(
    unsafeViolations('crate/core/src/a.rs', '// unsafe\nconst A: &str = "unsafe"; #![forbid(unsafe_code)]'),
    [],
  );
});

test('THR-1303: no locked crate is below the floor that an advisory has set, and all come from the registry', (t) => {
  const packages = lockedPackages(read('Cargo.lock'));
  t.true(packages.length > 50);
  t.deepEqual(complaints(packages), []);
});

test('THR-1303: a crate below its floor, from elsewhere, banned or oddly licensed is named', (t) => {
  const registry = 'registry+https://registry.invalid/index';
  const given = [
    { name: 'hyper', version: '1.11.9', source: registry, license: 'MIT' },
    { name: 'h2', version: '0.4.20', source: registry, license: 'MIT' },
    { name: 'a', version: '1.0.0', source: 'git+https://git.invalid/a', license: 'MIT' },
    { name: 'openssl', version: '1.0.0', source: registry, license: 'Apache-2.0' },
    { name: 'b', version: '1.0.0', source: registry, license: 'MIT AND GPL-3.0' },
    { name: 'c', version: '1.0.0', source: registry, license: null },
    { name: 'ours', version: '0.1.0', source: null, license: null },
  ];
  t.deepEqual(complaints(given), [
    'hyper 1.11.9 is below its floor 1.12.0',
    'a 1.0.0 comes from git+https://git.invalid/a, not from the registry',
    'openssl 1.0.0 is banned',
    'b 1.0.0 has the licence MIT AND GPL-3.0',
    'c 1.0.0 names no licence',
  ]);
});

const licences: [expression: string, allowed: boolean][] = [
  ['MIT', true],
  ['MIT/Apache-2.0', true],
  ['GPL-3.0 OR MIT', true],
  ['GPL-3.0 AND MIT', false],
  ['(GPL-3.0 OR MIT) AND ISC', true],
  ['Apache-2.0 WITH LLVM-exception', true],
  ['GPL-3.0 WITH Classpath-exception-2.0', false],
  ['MIT ISC', false],
];
for (const [expression, allowed] of licences) {
  test(`licences: ${expression} is ${allowed ? 'allowed' : 'refused'}`, (t) => {
    t.is(isAllowed(expression), allowed);
  });
}

test('THR-1304: the package has no run-time dependency from elsewhere and no script that runs at its users', (t) => {
  const {
    scripts = {},
    dependencies = {},
    optionalDependencies = {},
  } = manifest as Record<string, Record<string, string>>;
  t.deepEqual(Object.keys(dependencies), []);
  t.deepEqual(
    Object.keys(optionalDependencies).filter((name) => !/^(@ferropool\/|ferropool-)/.test(name)),
    [],
  );
  const atUsers = ['preinstall', 'install', 'postinstall', 'prepublish', 'preprepare', 'prepare', 'postprepare'];
  t.deepEqual(
    atUsers.filter((name) => name in scripts),
    [],
  );
});

test('what is packed is a list, and every name in it begins at the root', (t) => {
  const files = manifest['files'];
  t.truthy(files);
  t.deepEqual(
    files?.filter((name) => !name.startsWith('/') || name.includes('*')),
    [],
  );
});

test('THR-1311: the switches that make the addon fail on purpose are in the binary for tests, and not in the published one', (t) => {
  const knowsFaults = (name: string): boolean => readFileSync(path.join(root, 'native', name)).includes('armFault');
  t.true(knowsFaults('ferropool.faults.node'));
  t.false(knowsFaults('ferropool.node'));
});

test('THR-1310: CI has a read-only token, no action that is not pinned by hash, no pull_request_target', (t) => {
  const folder = path.join(root, '.github', 'workflows');
  const workflows = existsSync(folder) ? readdirSync(folder).map((name) => read('.github', 'workflows', name)) : [];
  t.true(workflows.length > 0);
  for (const text of workflows) {
    t.regex(text, /^permissions:\n {2}contents: read$/m);
    t.false(text.includes('pull_request_target'));
    for (const [, action = ''] of text.matchAll(/uses:\s*(\S+)/g)) t.regex(action, /^\.\/|@[0-9a-f]{40}$/);
  }
});

test('what the addon says becomes one constant a number, a list stays one, and the machine stays out', (t) => {
  const answer = {
    version: '1.2.3',
    target: 'a-machine',
    errors: [{ code: 'ERR_A', className: 'A' }],
    methods: ['', "it's"],
    record: { LENGTH: 0, poolId: 4 },
  };
  const [, ...lines] = generatedFrom(JSON.stringify(answer)).split(/ \*\/\n\n|\n\n/);
  t.deepEqual(lines, [
    "export const VERSION = '1.2.3';",
    "export const ERRORS = [\n  { code: 'ERR_A', className: 'A' },\n] as const;",
    "export const METHODS = [\n  '',\n  'it\\'s',\n] as const;",
    'export const RECORD_LENGTH = 0;\nexport const RECORD_POOL_ID = 4;\n',
  ]);
});

test('the built package calls each class by the name that it is exported under', async (t) => {
  const built = (await import('ferropool')) as Record<string, unknown>;
  const classes = Object.entries(built).filter(([name, value]) => /^[A-Z]/.test(name) && typeof value === 'function');
  t.true(classes.length > 30);
  t.false('CLASSES' in built);
  for (const [name, value] of classes) {
    // urllib3's second name of it.
    t.is((value as { name: string }).name, name === 'ConnectionError' ? 'ProtocolError' : name);
  }
});

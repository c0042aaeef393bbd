/**
 * `npm run check`: what goes stale without anybody noticing. Each check gives its complaints as sentences; all run.
 * Needs a built package (`npm run build`, `npm test`).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { makeDts } from './build.js';
import { undocumented } from './documented.js';
import { generatedFile, generatedIsFresh } from './generate.js';
import { stalePages } from './reference.js';
import { staleFiles } from './platforms.js';
import { ask, root, tool } from './run.js';
import { snippetFailures, snippetTypeErrors, unknownFences } from './snippets.js';
import { typeComplaints } from './types.js';

/** How many test files there are. A run that finds fewer has lost some; whoever adds one raises the figure. */
const EXPECTED = { specs: 134, nginx: 11, rust: 23 };

/** Lines, tests left out: a file that outgrows this holds two ideas. */
const LONGEST_FILE = 600;

const checks = {
  'index.d.ts is what the facade says': publicTypes,
  'index.d.ts stands alone': selfContainedTypes,
  'index.d.ts: each export and member has a doc comment, and no other name is there': documentedTypes,
  'index.d.ts: what must compile does, what must not does not': () => typeComplaints(),
  'docs/reference is what the doc comments say': reference,
  "facade/boundary/generated.ts is what the addon's describe() says": generatedTables,
  'npm/ and the table of the loader are what scripts/platforms.js says': platformFiles,
  'README and docs: every fence is known': () => unknownFences(['README.md', ...markdownIn('docs')]),
  'README and docs: the code compiles': () => snippetTypeErrors(['README.md', ...markdownIn('docs')]),
  'README and docs: the code runs': () => snippetFailures(['README.md', ...markdownIn('docs')]),
  'no path of a machine, no registry host': machineTraces,
  'package-lock.json has no resolved addresses': lockFile,
  'no test file is lost': testFiles,
  'nothing is left undone or skipped': leftUndone,
  [`no file is longer than ${LONGEST_FILE} lines`]: longFiles,
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  const complaints = await check();
  console.log(`${complaints.length === 0 ? '✔' : '✘'} ${name}`);
  for (const line of complaints) console.log(`    ${line}`);
  if (complaints.length > 0) failed += 1;
}
console.log(`\n${Object.keys(checks).length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

async function publicTypes() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ferropool-dts-'));
  try {
    const fresh = path.join(folder, 'index.d.ts');
    if (!(await makeDts(fresh))) return ['the types could not be bundled'];
    const committed = path.join(root, 'index.d.ts');
    const same = existsSync(committed) && readFileSync(committed, 'utf8') === readFileSync(fresh, 'utf8');
    return same
      ? []
      : ['index.d.ts is stale; run `npm run build` and read the difference: it is the review of the API'];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Users' compilers pass over an error in it in silence, and take what it names for `any`. */
function selfContainedTypes() {
  const options =
    '--ignoreConfig --noEmit --strict --skipLibCheck false --target es2023 --module nodenext --types node';
  const all = [tool('typescript', 'tsc'), ...options.split(' '), 'index.d.ts'];
  const done = spawnSync(process.execPath, all, { cwd: root, encoding: 'utf8' });
  return done.status === 0 ? [] : done.stdout.trim().split('\n');
}

function documentedTypes() {
  return undocumented(readFileSync(path.join(root, 'index.d.ts'), 'utf8')).map((said) => `index.d.ts:${said}`);
}

function reference() {
  return stalePages().map((name) => `docs/reference/${name} is stale; run \`npm run reference\``);
}

function generatedTables() {
  return generatedIsFresh() ? [] : [`${path.relative(root, generatedFile)} is stale; run \`npm run generate\``];
}

function platformFiles() {
  return staleFiles().map((file) => `${file} is stale; run \`node scripts/platforms.js --write\``);
}

function machineTraces() {
  const host = /^[a-z]+:\/\/([^/]+)/.exec(ask('npm', ['config', 'get', 'registry'], { shell: true }) ?? '')?.[1];
  const folders = [os.homedir(), path.dirname(root)]
    .filter((folder) => folder.length > 1)
    .map((folder) => `${folder}${path.sep}`);
  const traces = [host, ...folders].filter(Boolean);
  return tracked((file) => file !== 'Cargo.lock').flatMap((file) => {
    const text = readFileSync(path.join(root, file), 'utf8');
    return traces.filter((trace) => text.includes(trace)).map((trace) => `${file} has ${trace}`);
  });
}

function lockFile() {
  return tracked((file) => file.endsWith('package-lock.json')).flatMap((file) =>
    /"resolved": *"https?:/.test(readFileSync(path.join(root, file), 'utf8'))
      ? [`${file} names where packages were fetched from`]
      : [],
  );
}

function testFiles() {
  const count = (folder, ending) =>
    existsSync(path.join(root, folder))
      ? readdirSync(path.join(root, folder)).filter((name) => name.endsWith(ending)).length
      : 0;
  const found = {
    specs: count('__test__', '.spec.ts'),
    nginx: count('__test__/nginx', '.spec.ts'),
    rust: count('crate/policy/tests', '.rs') + count('crate/core/tests', '.rs'),
  };
  return Object.entries(found)
    .filter(([kind, number]) => number !== EXPECTED[kind])
    .map(([kind, number]) => `${kind}: ${EXPECTED[kind]} expected in scripts/check.js, ${number} found`);
}

function leftUndone() {
  // A bracket in each word keeps this file from finding itself. `.skip(` is an iterator's method in Rust.
  const everywhere = /\b([T]ODO|[F]IXME|[X]XX)\b/;
  const patterns = {
    rs: /\b(tod[o]|unimplemente[d])!\(|#\[ignor[e]/,
    js: /\btest\.(ski[p]|tod[o]|onl[y]|failin[g])\b/,
  };
  return tracked(isCode).flatMap((file) => {
    const own = file.endsWith('.rs') ? patterns.rs : patterns.js;
    const left = (line) => everywhere.test(line) || own.test(line);
    return linesOf(file).flatMap((line, index) => (left(line) ? [`${file}:${index + 1} ${line.trim()}`] : []));
  });
}

function longFiles() {
  const isTest = (file) => /(^|\/)(__test__|tests?)\/|\/tests\.rs$/.test(file);
  const isGenerated = (file) => file === 'index.d.ts' || file.endsWith('/generated.ts');
  return tracked((file) => isCode(file) && !isTest(file) && !isGenerated(file)).flatMap((file) => {
    const lines = linesOf(file);
    const tests = lines.indexOf('#[cfg(test)]');
    const length = tests === -1 ? lines.length : tests;
    return length > LONGEST_FILE ? [`${file} has ${length} lines`] : [];
  });
}

function markdownIn(folder) {
  return tracked((file) => file.startsWith(`${folder}/`) && file.endsWith('.md') && !file.startsWith('docs/ledger/'));
}

function isCode(file) {
  return /\.(ts|js|mjs|rs)$/.test(file);
}

function linesOf(file) {
  return readFileSync(path.join(root, file), 'utf8').split('\n');
}

/** The files of the repository, new ones too, ignored ones not. */
function tracked(wanted) {
  const listed = ask('git', ['ls-files', '--cached', '--others', '--exclude-standard']);
  if (listed === null) throw new Error('git is needed to list the files of the repository');
  return listed.split('\n').filter((file) => file !== '' && existsSync(path.join(root, file)) && wanted(file));
}

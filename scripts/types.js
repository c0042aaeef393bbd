/**
 * The tests of types (`__test__/types*.spec-d.ts`) once more, as users meet the types: against the built index.d.ts, by the compiler
 * of today with and without `exactOptionalPropertyTypes`, and by an older one. `node scripts/types.js` says what it finds.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { groupsOf } from './arrange.js';
import { olderCompiler } from './public-types.js';
import { root, tool } from './run.js';

const EXPECTED_ERROR = /^\s*\/\/ @ts-expect-error -- (.*)$/;
/** Of these the words behind `@ts-expect-error` are the compiler's. */
const WITH_MESSAGES = /^types-together\b/;

/** The tests of types by their names. */
function typeTests() {
  const folder = path.join(root, '__test__');
  const names = readdirSync(folder).filter((name) => /^types.*\.spec-d\.ts$/.test(name));
  return new Map(names.map((name) => [name, readFileSync(path.join(folder, name), 'utf8')]));
}

/** Exports that no test of types uses: the compiler sees to it that what is imported is used. */
export function untested(tests = typeTests(), groups = groupsOf()) {
  const imported = new Set(
    [...tests.values()].flatMap((text) =>
      [...text.matchAll(/import \{([^}]*)\} from '\.\.\/index\.ts'/g)].flatMap(([, list]) => list.match(/\w+/g) ?? []),
    ),
  );
  return groups.flatMap(({ names }) => names).filter((name) => !imported.has(name));
}

/** What is wrong with the built types, one complaint a sentence. */
export function typeComplaints(tests = typeTests()) {
  const complaints = untested(tests).map((name) => `${name} is exported, and no test of types uses it`);
  const built = [...tests].map(([name, text]) => [
    name,
    text.replaceAll("'../index.ts'", "'ferropool'").replaceAll("'../facade/", "'../../facade/"),
  ]);
  for (const [compiler, exact] of [
    [tool('typescript', 'tsc'), true],
    [tool('typescript', 'tsc'), false],
    [olderCompiler, false],
  ]) {
    const which = `${compiler === olderCompiler ? 'the older compiler' : 'tsc'}, exactOptionalPropertyTypes ${exact}`;
    complaints.push(...compiled(built, compiler, exact).map((line) => `${which}: ${line}`));
  }
  return [...complaints, ...otherMessages(built)];
}

/** Lines on which the compiler does not say what the test says that it does. */
function otherMessages(built) {
  const wanted = built.filter(([name]) => WITH_MESSAGES.test(name));
  const bare = wanted.map(([name, text]) => [name, text.replaceAll('// @ts-expect-error', '// expected')]);
  const said = compiled(bare, tool('typescript', 'tsc'), true);
  return wanted.flatMap(([name, text]) =>
    text.split('\n').flatMap((line, index) => {
      const [, message] = EXPECTED_ERROR.exec(line) ?? [];
      if (message === undefined) return [];
      const here = said.filter((one) => one.startsWith(`${name}:${index + 2}:`));
      return here.some((one) => one.includes(message))
        ? []
        : [`${name}:${index + 1} ${message}: the compiler says ${here[0] ?? 'nothing'}`];
    }),
  );
}

/** What a compiler says of these texts: `name:line: message`, each with its first line. */
function compiled(texts, compiler, exact) {
  const folder = path.join(root, 'target', `types-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  try {
    for (const [name, text] of texts) writeFileSync(path.join(folder, name), text);
    const compilerOptions = { exactOptionalPropertyTypes: exact, skipLibCheck: false };
    const settings = { extends: '../../tsconfig.json', compilerOptions, include: ['*.ts'], exclude: [] };
    writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(settings));
    const done = spawnSync(process.execPath, [compiler, '-p', folder, '--pretty', 'false'], {
      cwd: root,
      encoding: 'utf8',
    });
    return done.stdout
      .split('\n')
      .filter((line) => line.includes('error TS'))
      .map((line) => line.replace(/^(?:.*[/\\])?([^/\\(]+)\((\d+),\d+\): error/, '$1:$2:'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === import.meta.filename) {
  const complaints = typeComplaints();
  for (const line of complaints) console.log(line);
  console.log(`${complaints.length} complaints`);
  process.exitCode = complaints.length === 0 ? 0 : 1;
}

/**
 * Whether everything that is locked is held against the advisories of the day, and moved by pull requests. The programs that
 * ask are stand-ins: what is tested is who is asked about what.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { load } from 'js-yaml';
import { root } from '../scripts/run.js';

const read = (...parts: string[]): string => readFileSync(path.join(root, ...parts), 'utf8');
const foldersOf = (pattern: string): string[] =>
  execFileSync('git', ['ls-files', pattern], { cwd: root, encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((file) => path.posix.dirname(file));

/** Runs the command of the house; `bad` is a part of the one call that finds something. */
function supply(t: ExecutionContext, checks: string[], bad = 'none') {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ferropool-advisories-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const [, pinned = ''] = /^const DENY = '(.*)';$/m.exec(read('scripts', 'supply.js')) ?? [];
  for (const name of ['npm', 'cargo-deny']) {
    const program = `#!${process.execPath}
const words = process.argv.slice(2).join(' ');
if (words === '--version') console.log('cargo-deny ${pinned}');
else require('node:fs').appendFileSync(${JSON.stringify(path.join(folder, 'calls'))}, '${name} ' + words + '\\n');
process.exitCode = words.includes(${JSON.stringify(bad)}) ? 1 : 0;
`;
    writeFileSync(path.join(folder, name), program);
    chmodSync(path.join(folder, name), 0o755);
  }
  const { status } = spawnSync(process.execPath, [path.join(root, 'scripts', 'supply.js'), ...checks], {
    env: { ...process.env, PATH: `${folder}${path.delimiter}${process.env['PATH'] ?? ''}` },
  });
  return { status, calls: readFileSync(path.join(folder, 'calls'), 'utf8').trim().split('\n') };
}

/** Who is to be asked about what. */
function questions(): string[] {
  const crates = foldersOf('*Cargo.lock').map((folder) => {
    const manifest = path.posix.join(folder, 'Cargo.toml');
    return `cargo-deny --locked --manifest-path ${manifest} --workspace --config deny.toml check advisories`;
  });
  const packages = foldersOf('*package-lock.json').filter((folder) => folder !== 'proof');
  return [...crates, ...packages.map((folder) => `npm --prefix ${folder} audit --package-lock-only`)];
}

test('THR-1301: all that is locked is held against the advisories, but for what is old on purpose', (t) => {
  t.deepEqual(supply(t, ['advisories']), { status: 0, calls: questions() });
  const said = questions().join('\n');
  for (const part of [' Cargo.toml', ' fuzz/Cargo.toml', 'loom/Cargo.toml', '--prefix . ', '--prefix bench ']) {
    t.true(said.includes(part), part);
  }
});

for (const bad of [' fuzz/Cargo.toml', '--prefix . ']) {
  test(`THR-1301: what one of them finds fails the check, and the others are asked all the same: ${bad.trim()}`, (t) => {
    t.deepEqual(supply(t, ['advisories'], bad), { status: 1, calls: questions() });
  });
}

test('THR-1301: licences and bans are asked of the product, sources of every crate that is built', (t) => {
  const { status, calls } = supply(t, ['deny']);
  t.is(status, 0);
  t.deepEqual(
    calls.map((call) => call.replace(/^.* --manifest-path (\S+) .* check /, '$1: ')),
    foldersOf('*Cargo.lock').map((folder) =>
      folder === '.' ? 'Cargo.toml: bans licenses sources' : `${folder}/Cargo.toml: sources`,
    ),
  );
});

interface Workflow {
  on: Record<string, unknown>;
  jobs: Record<string, { steps: { run?: string }[] }>;
}

test('THR-1301: advisories are asked for daily and on every change, by the command that anybody can run', (t) => {
  const { on, jobs } = load(read('.github', 'workflows', 'advisories.yml')) as Workflow;
  t.deepEqual(Object.keys(on).toSorted(), ['pull_request', 'push', 'schedule', 'workflow_dispatch']);
  t.regex(JSON.stringify(on['schedule']), /"cron":"\d+ \d+ \* \* \*"/);
  const commands = Object.values(jobs).flatMap(({ steps }) => steps.flatMap(({ run }) => run ?? []));
  t.deepEqual(commands, ['npm run supply -- deny advisories']);
});

interface Update {
  'package-ecosystem': string;
  directory?: string;
  directories?: string[];
}

test('THR-1301: every lock file is moved by pull requests', (t) => {
  const { updates } = load(read('.github', 'dependabot.yml')) as { updates: Update[] };
  const asked = (ecosystem: string): string[] =>
    updates
      .filter((one) => one['package-ecosystem'] === ecosystem)
      .flatMap(({ directory, directories = [] }) => [...directories, ...(directory === undefined ? [] : [directory])])
      .map((folder) => path.posix.relative('/', folder) || '.')
      .toSorted();
  t.deepEqual(asked('cargo'), foldersOf('*Cargo.lock').toSorted());
  t.deepEqual(asked('npm'), foldersOf('*package-lock.json').toSorted());
  t.deepEqual(asked('pip'), foldersOf('*requirements.txt').toSorted());
});

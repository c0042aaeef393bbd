/** A release: what it is made of, what keeps it from being made, and how it is published, with a stand-in for npm. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { platforms } from '../scripts/platforms.js';
import { gather } from '../scripts/release-gather.js';
import { changesOf } from '../scripts/release-notes.js';
import { recordComplaints } from '../scripts/release-record.js';
import { PAGES, publishOrder, unreadiness } from '../scripts/release.js';
import { root } from '../scripts/run.js';
import { integrityOf } from '../scripts/supply-tarball.js';

function folderOf(t: ExecutionContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ferropool-release-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('THR-1306: ferropool is published after its binaries', (t) => {
  const named = ['ferropool', '@ferropool/a', '@ferropool/b'].map((name) => ({ name }));
  t.deepEqual(
    publishOrder(named).map(({ name }) => name),
    ['@ferropool/a', '@ferropool/b', 'ferropool'],
  );
});

/** A stand-in for npm that writes down how it is called; `there` has what `npm view` finds. */
function publishing(
  t: ExecutionContext,
  there: Record<string, string>,
  env: Record<string, string> = {},
  change: (folder: string) => void = () => {},
) {
  const folder = folderOf(t);
  mkdirSync(path.join(folder, 'tarballs'));
  const packages = ['@ferropool/a', '@ferropool/b', 'ferropool'].map((name) => {
    const file = `${name.replace('@ferropool/', 'binding-')}.tgz`;
    writeFileSync(path.join(folder, 'tarballs', file), name);
    return { file, name, integrity: integrityOf(Buffer.from(name)) };
  });
  const written = JSON.stringify({ version: '1.2.3', packages });
  writeFileSync(path.join(folder, 'release.json'), written);
  change(folder);
  writeFileSync(path.join(folder, 'there.json'), JSON.stringify(there));
  writeFileSync(
    path.join(folder, 'npm'),
    `#!${process.execPath}
const { appendFileSync, readFileSync } = require('node:fs');
const [verb, what] = process.argv.slice(2);
const there = JSON.parse(readFileSync(${JSON.stringify(path.join(folder, 'there.json'))}, 'utf8'));
if (verb === '--version') { console.log(process.env.NPM_IS); process.exit(); }
appendFileSync(${JSON.stringify(path.join(folder, 'calls'))}, process.argv.slice(2).join(' ') + '\\n');
if (verb === 'view' && what in there) console.log(JSON.stringify(there[what]));
if (verb === 'view' && !(what in there)) { console.error('npm error code E404'); process.exit(1); }
`,
  );
  chmodSync(path.join(folder, 'npm'), 0o755);
  const done = spawnSync(process.execPath, [path.join(root, 'scripts', 'release-publish.js')], {
    encoding: 'utf8',
    env: {
      PATH: `${folder}${path.delimiter}${process.env['PATH'] ?? ''}`,
      FERROPOOL_RELEASE: folder,
      NPM_IS: '11.10.0',
      ACTIONS_ID_TOKEN_REQUEST_URL: 'http://127.0.0.1:1/',
      RELEASE_SHA256: createHash('sha256').update(written).digest('hex'),
      ...env,
    },
  });
  let calls: string[] = [];
  try {
    calls = readFileSync(path.join(folder, 'calls'), 'utf8').trim().split('\n');
  } catch {
    // npm was not called.
  }
  return { status: done.status, said: `${done.stdout}${done.stderr}`, calls, folder };
}

test('THR-1306: publishing goes in order, with provenance, and passes over what is there with the same bytes', (t) => {
  const { status, calls, folder } = publishing(t, { '@ferropool/a@1.2.3': integrityOf(Buffer.from('@ferropool/a')) });
  t.is(status, 0);
  const options = '--provenance --access public --ignore-scripts --tag latest';
  t.deepEqual(calls, [
    'view @ferropool/a@1.2.3 dist.integrity --json',
    'view @ferropool/b@1.2.3 dist.integrity --json',
    `publish ${path.join(folder, 'tarballs', 'binding-b.tgz')} ${options}`,
    'view ferropool@1.2.3 dist.integrity --json',
    `publish ${path.join(folder, 'tarballs', 'ferropool.tgz')} ${options}`,
  ]);
});

test('THR-1306: publishing stops where the same version is there with other bytes', (t) => {
  const { status, said, calls } = publishing(t, { '@ferropool/a@1.2.3': 'sha512-other' });
  t.is(status, 1);
  t.regex(said, /is there already, with other bytes/);
  t.deepEqual(calls, ['view @ferropool/a@1.2.3 dist.integrity --json']);
});

test('THR-1306: an npm that would want a token publishes nothing', (t) => {
  const { status, said, calls } = publishing(t, {}, { NPM_IS: '10.9.0' });
  t.is(status, 1);
  t.regex(said, /npm 10\.9\.0 cannot publish without a token/);
  t.deepEqual(calls, []);
});

test('THR-1306: outside of the workflow nothing is published', (t) => {
  const { status, calls } = publishing(t, {}, { ACTIONS_ID_TOKEN_REQUEST_URL: '' });
  t.is(status, 1);
  t.deepEqual(calls, []);
});

test('THR-1306: nothing is published where a tarball is not the one that was tested, or the record is another', (t) => {
  const cases: [change: (folder: string) => void, says: RegExp][] = [
    [
      (folder) => writeFileSync(path.join(folder, 'tarballs', 'ferropool.tgz'), 'evil'),
      /ferropool\.tgz has not the bytes/,
    ],
    [(folder) => writeFileSync(path.join(folder, 'tarballs', 'evil.tgz'), 'evil'), /evil\.tgz is in no record/],
    [(folder) => rmSync(path.join(folder, 'tarballs', 'binding-a.tgz')), /binding-a\.tgz is missing/],
    [
      (folder) => writeFileSync(path.join(folder, 'release.json'), '{ "version": "1.2.3", "packages": [] }'),
      /release\.json is not the one/,
    ],
  ];
  for (const [change, says] of cases) {
    const { status, said, calls } = publishing(t, {}, {}, change);
    t.is(status, 1);
    t.regex(said, says);
    t.deepEqual(calls, []);
  }
  const unsaid = publishing(t, {}, { RELEASE_SHA256: '' });
  t.is(unsaid.status, 1);
  t.deepEqual(unsaid.calls, []);
});

test('THR-1308: a bill of materials that was changed after the tests is found before it is signed', (t) => {
  const folder = folderOf(t);
  mkdirSync(path.join(folder, 'tarballs'));
  mkdirSync(path.join(folder, 'sbom'));
  writeFileSync(path.join(folder, 'tarballs', 'a.tgz'), 'a');
  const integrity = integrityOf(Buffer.from('a'));
  const written = JSON.stringify({
    version: '1.0.0',
    packages: [{ file: 'a.tgz', name: 'a', integrity, sbom: 'a.cdx.json', sbomIntegrity: integrity }],
  });
  writeFileSync(path.join(folder, 'release.json'), written);
  const sha256 = createHash('sha256').update(written).digest('hex');
  t.deepEqual(recordComplaints(folder, sha256), ['a.cdx.json is missing']);
  writeFileSync(path.join(folder, 'sbom', 'a.cdx.json'), 'b');
  t.deepEqual(recordComplaints(folder, sha256), ['a.cdx.json has not the bytes that were tested']);
  writeFileSync(path.join(folder, 'sbom', 'a.cdx.json'), 'a');
  t.deepEqual(recordComplaints(folder, sha256), []);
  t.deepEqual(recordComplaints(folder, ''), ['release.json is not the one that was written after the tests']);
  t.is(recordComplaints(folder, undefined).length, 1);
});

test('THR-1306: of each build job the binary of its own platform is taken, and nothing where one has left another', (t) => {
  const built = path.join(folderOf(t), 'built');
  const binaries = path.join(built, '..', 'binaries');
  for (const { name, file } of platforms) {
    mkdirSync(path.join(built, `binary-${name}`), { recursive: true });
    writeFileSync(path.join(built, `binary-${name}`, file), name);
  }
  const [one, other] = platforms;
  if (!one || !other) throw new Error('no platforms');
  const evil = path.join(built, `binary-${one.name}`, other.file);
  writeFileSync(evil, 'evil');
  t.deepEqual(gather(built, binaries), [`binary-${one.name} has ${other.file}`]);
  t.throws(() => readdirSync(binaries));
  rmSync(evil);
  mkdirSync(path.join(built, 'binary-plan9'));
  t.deepEqual(gather(built, binaries), ['binary-plan9 is of no platform']);
  rmSync(path.join(built, 'binary-plan9'), { recursive: true });
  t.deepEqual(gather(built, binaries), []);
  for (const { name, file } of platforms) t.is(readFileSync(path.join(binaries, file), 'utf8'), name);
  rmSync(path.join(built, `binary-${other.name}`), { recursive: true });
  t.deepEqual(gather(built, binaries), [`binary-${other.name} has no ${other.file}`]);
});

const changelog = [
  '# Changelog\n',
  '## Unreleased\n\n- a\n',
  '## 1.0.0 (2026-01-02)\n\n- b\n- c\n',
  '## 0.9.0-rc.1 (2026-01-01)\n\n- d\n',
  '## 0.8.0 (not released yet)\n\n- e\n',
  '## 0.7.0\n\n- f\n',
  '## 0.6.0 (2025-12-01)\n',
].join('\n');

test('what changed in a version is what stands below its heading, which has a date', (t) => {
  t.is(changesOf('1.0.0', changelog), '- b\n- c');
  t.is(changesOf('0.9.0-rc.1', changelog), '- d');
  for (const version of ['1.0', '1.0.00', '0.9.0', '0.8.0', '0.7.0', '0.6.0', 'Unreleased']) {
    t.is(changesOf(version, changelog), null, version);
  }
});

test('a version is ready where the tag, the changelog and the tree say so', (t) => {
  const manifest = { repository: 'https://127.0.0.1/x' };
  const unready = (version: string, tag: string | null, dirty: string | null = '', its: object = manifest): string[] =>
    unreadiness(version, its, tag, { changelog, dirty, pages: [['README.md', '# x\n\nIt is published.\n']] });
  t.deepEqual(unready('1.0.0', 'v1.0.0'), []);
  t.deepEqual(unready('1.0.0', null), []);
  t.regex(unready('0.9.0', null).join('\n'), /^CHANGELOG\.md says nothing below "## 0\.9\.0 \(date\)"$/);
  t.regex(unready('0.8.0', null).join('\n'), /^CHANGELOG\.md says nothing/);
  t.deepEqual(unready('1.0.0', 'v1.0.1'), ['the tag is v1.0.1 and not v1.0.0']);
  t.regex(unready('1.0.0', null, ' M x').join('\n'), /^the working tree is not clean/);
  t.regex(unready('1.0.0', null, null).join('\n'), /^the working tree is not clean/);
  t.regex(unready('1.0.0', null, '', {}).join('\n'), /^package\.json names no repository/);
});

test('a version is not ready while its pages say that it is not published, or not built or run somewhere', (t) => {
  const manifest = { repository: 'https://127.0.0.1/x' };
  const pages: [string, string][] = [
    ['README.md', '# x\n\n(1.0.0 is not published yet.)\n\n| a | built, not run yet |\n| b | not built yet |\n'],
    ['docs/platforms.md', 'It is run; a thing not yet run is named elsewhere.\n'],
  ];
  t.deepEqual(unreadiness('1.0.0', manifest, 'v1.0.0', { changelog, dirty: '', pages }), [
    'README.md:3 says "not published yet", and a user of the release would read it',
    'README.md:5 says "not run yet", and a user of the release would read it',
    'README.md:6 says "not built yet", and a user of the release would read it',
  ]);
  const windows: [string, string][] = [['docs/releasing.md', '**For Windows nothing was ever built**, not by hand.\n']];
  t.deepEqual(unreadiness('1.0.0', manifest, 'v1.0.0', { changelog, dirty: '', pages: windows }), [
    'docs/releasing.md:1 says "was ever built", and a user of the release would read it',
  ]);
  // What is packed is among what is read.
  const real = unreadiness('1.0.0', manifest, null, { changelog, dirty: '' });
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
  t.is(
    real.some((line) => line.startsWith('README.md:')),
    /not (published|built|run) yet/.test(readme),
  );
});

test('the steps of a release name the pages that keep one back, after the run that shows where it works and before the tag', (t) => {
  const text = readFileSync(path.join(root, 'docs', 'releasing.md'), 'utf8');
  const steps = text
    .slice(text.indexOf('\n## A release\n'), text.indexOf('\n## What runs\n'))
    .split(/\n(?=\d+\. \*\*)/);
  const nth = (wanted: string): number => steps.findIndex((step) => step.includes(wanted));
  t.deepEqual(
    steps.slice(1).map((step) => parseInt(step, 10)),
    steps.slice(1).map((_, at) => at + 1),
  );
  for (const page of PAGES) t.is(nth(page), nth('**Say where it runs.**'), page);
  t.true(nth('**Try the workflow.**') > 0);
  t.true(nth('**Try the workflow.**') < nth('**Say where it runs.**'));
  t.true(nth('**Say where it runs.**') < nth('**Tag.**'));
});

/** What is published: which files, which manifests, and that one set of classes and types is behind both ways to load it. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import test, { type ExecutionContext } from 'ava';

import { documents } from '../scripts/documents.js';
import { manifestOfMain, packAll, packFolder, stageMain } from '../scripts/pack.js';
import { manifestOf, platforms } from '../scripts/platforms.js';
import { root, tool } from '../scripts/run.js';
import { HOST, project } from './support/project.ts';

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly files: readonly string[];
  readonly bin?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Packed {
  readonly name: string;
  readonly filename: string;
  readonly integrity: string;
  readonly files: readonly { readonly path: string; readonly mode: number }[];
}

const source = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as Manifest;

function emptyFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'ferropool-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const sorted = (files: Iterable<string>): string[] => [...files].toSorted();

/** A link of Markdown to a file, without what stands behind its `#`. */
const LINK = /\]\((?!https?:|#)([^)#\s]+)/g;

test('THR-1309: the packages have these files and no others, and what was packed before is gone', (t) => {
  const release = emptyFolder(t);
  mkdirSync(path.join(release, 'tarballs'));
  writeFileSync(path.join(release, 'tarballs', 'ferropool-0.0.1.tgz'), '');
  const [main, platform, ...more] = packAll({ host: true, release }) as Packed[];
  t.deepEqual(more, []);
  t.is(main?.filename, `ferropool-${source.version}.tgz`);
  const programs = Object.values(source.bin ?? {}).map((file) => path.posix.normalize(file));
  const usual = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'];
  t.deepEqual(
    sorted((main?.files ?? []).map((file) => file.path)),
    sorted([
      ...usual,
      ...documents(),
      ...programs,
      'dist/index.cjs',
      'dist/index.js',
      'dist/load.cjs',
      'index.d.cts',
      'index.d.ts',
    ]),
  );
  for (const file of main?.files ?? []) t.is(file.mode & 0o111, programs.includes(file.path) ? 0o111 : 0, file.path);
  t.is(platform?.filename, `ferropool-binding-${HOST.name}-${source.version}.tgz`);
  t.deepEqual(
    sorted((platform?.files ?? []).map((file) => file.path)),
    sorted(['LICENSE', 'README.md', 'THIRD-PARTY-NOTICES.txt', HOST.file, 'package.json']),
  );
  t.deepEqual(
    sorted(readdirSync(path.join(release, 'tarballs'))),
    sorted([main?.filename ?? '', platform?.filename ?? '']),
  );
});

test('what the pages of the package and its types lead to is in the package', (t) => {
  const packed = new Set([...documents(), 'CHANGELOG.md', 'LICENSE', 'README.md', 'index.d.ts']);
  const targets = (page: string): string[] =>
    // What stands in code is no link.
    [
      ...readFileSync(path.join(root, page), 'utf8')
        .replaceAll(/^```.*?^```$/gms, '')
        .matchAll(LINK),
    ].map(([, target = '']) => path.posix.join(path.posix.dirname(page), target));
  const isThere = (target: string): boolean =>
    packed.has(target) || [...packed].some((file) => file.startsWith(`${target}/`));
  const pages = [...packed].filter((file) => file.endsWith('.md'));
  const lost = pages.flatMap((page) =>
    targets(page)
      .filter((target) => !isThere(target))
      .map((to) => `${page}: ${to}`),
  );
  t.deepEqual(lost, []);
  t.true(pages.flatMap(targets).length > 300);
  const named = [...readFileSync(path.join(root, 'index.d.ts'), 'utf8').matchAll(/\b(docs\/[\w/-]+\.md)/g)];
  t.true(named.length > 0);
  t.deepEqual([...new Set(named.map(([file]) => file).filter((target) => !isThere(target)))], []);
  t.true([...packed].every((file) => !file.startsWith('docs/ledger/')));
});

test('THR-1308: the same files are packed to the same bytes', (t) => {
  const folder = emptyFolder(t);
  const packed = ['one', 'other'].map((name) => {
    stageMain(path.join(folder, name, 'stage'));
    return packFolder(path.join(folder, name, 'stage'), path.join(folder, name)) as Packed;
  });
  t.is(packed[0]?.integrity, packed[1]?.integrity);
});

test('THR-1304: the published manifests have only what a user needs: no script, no dependency from elsewhere', (t) => {
  const main = manifestOfMain(source) as unknown as Manifest;
  const usual =
    'name version description keywords license type engines main types exports sideEffects files optionalDependencies';
  const told = ['author', 'homepage', 'repository', 'bugs', 'bin'].filter((key) => key in source);
  t.deepEqual(sorted(Object.keys(main)), sorted([...usual.split(' '), ...told]));
  t.deepEqual(main.optionalDependencies, Object.fromEntries(platforms.map((one) => [one.package, source.version])));
  for (const platform of platforms) {
    const { name, version, files, ...manifest } = manifestOf(platform, source) as Manifest & Record<string, unknown>;
    t.deepEqual([name, version], [platform.package, source.version]);
    t.deepEqual(files, [`/${platform.file}`, '/THIRD-PARTY-NOTICES.txt']);
    t.deepEqual([manifest['os'], manifest['cpu']], [[platform.os], [platform.cpu]]);
    t.deepEqual(manifest['libc'], platform.libc === null ? undefined : [platform.libc]);
    for (const key of ['scripts', 'dependencies', 'optionalDependencies', 'bundleDependencies'])
      t.false(key in manifest);
  }
});

test('THR-1304: the manifest of the repository cannot be published by mistake', (t) => {
  t.is((source as unknown as { private: boolean }).private, true);
});

test('THR-1311: what is published does not know the addon for tests', (t) => {
  t.false('imports' in manifestOfMain(source));
  t.false(JSON.stringify(manifestOfMain(source, { binary: true })).includes('faults'));
});

test('import and require give the same classes', (t) => {
  const { folder, write, installBinary } = project(t);
  installBinary();
  write(
    'both.cjs',
    `const required = require('ferropool');
     import('ferropool').then((imported) => {
       const names = Object.keys(imported);
       const pool = new required.HTTPConnectionPool('127.0.0.1');
       console.log(names.length > 50 && names.every((name) => required[name] === imported[name]));
       console.log(pool instanceof imported.HTTPConnectionPool);
     });`,
  );
  const { stdout, stderr } = spawnSync(process.execPath, ['both.cjs'], { cwd: folder, encoding: 'utf8' });
  t.deepEqual([stdout, stderr], ['true\ntrue\n', '']);
});

test('both kinds of modules have one set of types', (t) => {
  const { folder, write } = project(t);
  for (const name of ['@types', 'undici-types']) {
    symlinkSync(path.join(root, 'node_modules', name), path.join(folder, 'node_modules', name), 'junction');
  }
  write(
    'common.cts',
    `import ferropool = require('ferropool');
     const options: ferropool.RequestOptions = { headers: { 'user-agent': ferropool.SKIP_HEADER } };
     export = { options, pool: new ferropool.HTTPConnectionPool('127.0.0.1') };`,
  );
  write(
    'module.mts',
    `import { HTTPConnectionPool, type RequestOptions, SKIP_HEADER } from 'ferropool';
     import common from './common.cjs';
     const pool: HTTPConnectionPool = common.pool;
     const options: RequestOptions = common.options;
     export const response = pool.request('GET', '/', { ...options, headers: { accept: '*/*', 'user-agent': SKIP_HEADER } });
     const unlike: string = common.pool; // what is wrong is found
     void unlike;`,
  );
  const options = '--noEmit --strict --skipLibCheck false --target es2023 --module node16 --types node --pretty false';
  const all = [tool('typescript', 'tsc'), ...options.split(' '), 'module.mts'];
  const { stdout } = spawnSync(process.execPath, all, { cwd: folder, encoding: 'utf8' });
  const errors = stdout.trim().split('\n');
  t.is(errors.length, 1, stdout);
  t.regex(
    errors[0] ?? '',
    /^module\.mts\(\d+,\d+\): error TS2322: Type 'HTTPConnectionPool' is not assignable to type 'string'/,
  );
});

/**
 * `npm run release:dry [-- --all] [-- --tag vVERSION] [-- --only NAME,…]`: everything of a release but the publishing. It checks that all
 * files name one version, that what is generated is fresh, that the binaries in release/binaries are whole; packs them,
 * looks into the tarballs, writes a bill of materials for each binary, and release/release.json: what would be published,
 * in which order. It asks no registry and changes no file that git knows.
 *
 * What cannot be made on this machine is named and is no failure (`--only` names what shall be there); with `--all` it is one, and so is everything else that
 * a real release needs (a clean tree, a heading in the changelog, binaries that name their crates).
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { complaintsAbout } from './binaries.js';
import { build } from './build.js';
import { lockedPackages } from './licences.js';
import { notices, noticesFile } from './notices.js';
import { packAll } from './pack.js';
import { isBuiltHere, platforms, staleFiles } from './platforms.js';
import { changesOf } from './release-notes.js';
import { ask, root } from './run.js';
import { sbomFolder, sbomName, writeSboms } from './sbom.js';
import { integrityOf, manifestIn, tarballComplaints } from './supply-tarball.js';

const at = (...parts) => path.join(root, ...parts);
const read = (...parts) => readFileSync(at(...parts), 'utf8');

/** Every place that names the version, with what it says there. */
export function versionsNamed() {
  const json = (file) => JSON.parse(read(file));
  const locked = lockedPackages(read('Cargo.lock'));
  const ours = ['ferropool', 'ferropool-core', 'ferropool-policy'].map((name) => [
    `Cargo.lock, ${name}`,
    locked.find((one) => one.name === name)?.version,
  ]);
  const lock = json('package-lock.json');
  return [
    ['package.json', json('package.json').version],
    ['package-lock.json', lock.version],
    ['package-lock.json, the package', lock.packages[''].version],
    ['Cargo.toml', /^\[workspace\.package\]\nversion = "(.*)"$/m.exec(read('Cargo.toml'))?.[1]],
    ...ours,
    ['facade/boundary/generated.ts', /VERSION = '(.*)'/.exec(read('facade', 'boundary', 'generated.ts'))?.[1]],
    ...platforms.map(({ name }) => [`npm/${name}/package.json`, json(`npm/${name}/package.json`).version]),
  ];
}

/** Those that do not say `version`, as sentences. */
export function versionComplaints(version, named = versionsNamed()) {
  return named
    .filter(([, said]) => said !== version)
    .map(([place, said]) => `${place} has ${said ?? 'no version'}, not ${version}`);
}

/** What users read of where ferropool runs and where it is to be had. The first is in the package. */
export const PAGES = ['README.md', 'docs/platforms.md', 'docs/releasing.md'];

/** Words that a release makes untrue, as `[file, line, words]`. */
function outdated(pages) {
  return pages.flatMap(([file, text]) =>
    text.split('\n').flatMap((line, nth) => {
      const said = /\bnot (published|built|run) yet\b|\bwas ever (built|run)\b/.exec(line)?.[0];
      return said === undefined ? [] : [[file, nth + 1, said]];
    }),
  );
}

/** What keeps a version from being released, though it does not keep anybody from trying: wrong only with `--all`. */
export function unreadiness(
  version,
  manifest,
  tag,
  {
    changelog = read('CHANGELOG.md'),
    dirty = ask('git', ['status', '--porcelain']),
    pages = PAGES.map((file) => [file, read(file)]),
  } = {},
) {
  return [
    dirty === '' ? null : 'the working tree is not clean: what would be released is in no commit',
    changesOf(version, changelog) === null ? `CHANGELOG.md says nothing below "## ${version} (date)"` : null,
    // npm refuses a provenance that names another repository than the manifest.
    manifest.repository ? null : 'package.json names no repository, and npm takes no provenance without',
    tag === null || tag === `v${version}` ? null : `the tag is ${tag} and not v${version}`,
    ...outdated(pages).map(
      ([file, line, said]) => `${file}:${line} says "${said}", and a user of the release would read it`,
    ),
  ].filter((line) => line !== null);
}

function staleness() {
  const stale = staleFiles();
  if (!existsSync(noticesFile) || readFileSync(noticesFile, 'utf8') !== notices()) stale.push('the notices');
  return stale.map((file) => `${file} is stale; see CONTRIBUTING.md for what writes it`);
}

/** Words that would show which machine a package was made on. */
function traces() {
  const host = /^[a-z]+:\/\/([^/]+)/.exec(ask('npm', ['config', 'get', 'registry'], { shell: true }) ?? '')?.[1];
  const folders = [os.homedir(), root].filter((folder) => folder.length > 1).map((folder) => `${folder}${path.sep}`);
  return [host, ...folders].filter(Boolean);
}

/** The tarballs in the order they are published: ferropool itself last, so that nobody gets it without its binaries. */
export function publishOrder(packages) {
  const isMain = ({ name }) => name === 'ferropool';
  return [...packages.filter((one) => !isMain(one)), ...packages.filter(isMain)];
}

/** The bill of materials of a platform's package, as the record of a release has it. */
function billOf(platform) {
  const sbom = sbomName(platform);
  return { sbom, sbomIntegrity: integrityOf(readFileSync(path.join(sbomFolder, sbom))) };
}

/** Why there is no binary for a platform here. */
function whyMissing(platform) {
  const { os: system } = platform;
  if (isBuiltHere(platform)) return 'not built yet: `npm run build:all`';
  return `needs ${{ win32: 'Windows', darwin: 'macOS', linux: 'Linux' }[system]}: the release workflow builds it`;
}

function kilobytes(bytes) {
  return `${(bytes / 1024).toFixed(1)} KiB`;
}

async function main(words) {
  const all = words.includes('--all');
  const only = words.includes('--only') ? (words[words.indexOf('--only') + 1] ?? '').split(',') : null;
  const tag = words.includes('--tag') ? (words[words.indexOf('--tag') + 1] ?? '') : null;
  const manifest = JSON.parse(read('package.json'));
  const { version } = manifest;
  let failed = 0;
  const step = (name, complaints, notes = []) => {
    console.log(`${complaints.length === 0 ? '✔' : '✘'} ${name}`);
    for (const line of complaints) console.log(`    ${line}`);
    for (const line of notes) console.log(`    (${line})`);
    if (complaints.length > 0) failed += 1;
  };

  console.log(`ferropool ${version}\n`);
  const unready = unreadiness(version, manifest, tag);
  step('ready to be released', all ? unready : [], all ? [] : unready);
  step('one version everywhere', versionComplaints(version));
  step('what is generated is fresh', staleness());
  const built = platforms.filter(({ file }) => existsSync(at('release', 'binaries', file)));
  const missing = platforms.filter((one) => !built.includes(one)).map((one) => [one, whyMissing(one)]);
  const needed = missing.filter(([one]) => all || (isBuiltHere(one) && (only === null || only.includes(one.name))));
  const said = ([one, why]) => `no binary for ${one.name}: ${why}`;
  step(all ? 'a binary for each platform' : 'a binary for each platform of this machine', needed.map(said));
  step('the binaries are whole', complaintsAbout(at('release', 'binaries'), built));
  if (built.length === 0) return 1;
  const types = read('index.d.ts');
  if (!(await build(['js', 'dts']))) return 1;
  const fresh = read('index.d.ts') === types;
  // It is built into its place, and that is a file of git's: what stood there stays.
  if (!fresh) writeFileSync(at('index.d.ts'), types);
  step('index.d.ts is what the facade says', fresh ? [] : ['it is stale; run `npm run build` and read the difference']);

  const packages = packAll().map(({ filename, size, entryCount }) => {
    const tgz = readFileSync(at('release', 'tarballs', filename));
    return {
      file: filename,
      name: manifestIn(tgz).name,
      size,
      files: entryCount,
      integrity: integrityOf(tgz),
      tgz,
    };
  });
  const judged = { version, traces: traces() };
  step(
    'the tarballs have what they should, and nothing else',
    packages.flatMap(({ tgz }) => tarballComplaints(tgz, judged)),
  );
  const { written, complaints } = writeSboms({ required: all });
  const silent = written
    .filter(({ audited }) => !audited)
    .map(({ platform }) => `${platform.file} does not name its crates`);
  step('a bill of materials for each binary', complaints, all ? [] : silent);

  const ordered = publishOrder(packages).map(({ file, name, size, files, integrity }) => {
    const platform = platforms.find((one) => one.package === name);
    return { file, name, size, files, integrity, ...(platform ? billOf(platform) : {}) };
  });
  mkdirSync(at('release'), { recursive: true });
  writeFileSync(at('release', 'release.json'), `${JSON.stringify({ version, packages: ordered }, null, 2)}\n`);
  console.log('\nWould be published, in this order:\n');
  for (const [index, { file, name, size, files, integrity }] of ordered.entries()) {
    console.log(`${String(index + 1).padStart(2)}. ${name}@${version}`);
    console.log(`    release/tarballs/${file}, ${kilobytes(size)}, ${files} files\n    ${integrity}`);
  }
  if (missing.length > 0) console.log(`\nMissing:\n${missing.map((one) => `  ${said(one)}`).join('\n')}`);
  console.log(`\n${failed === 0 ? 'Whole.' : `${failed} checks failed.`} Nothing was published.`);
  return failed === 0 ? 0 : 1;
}

if (process.argv[1] === import.meta.filename) process.exitCode = await main(process.argv.slice(2));

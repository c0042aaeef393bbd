/**
 * Reads what `cargo auditable` has put into a binary: the crates that it was built from, as JSON, compressed, in a section
 * named `.dep-v0`. Whoever has the file alone can ask which versions are in it.
 */
import { inflateSync } from 'node:zlib';
import { sectionOf } from './formats.js';

const SECTION = '.dep-v0';

/** No list of crates is larger; a broken file must not make us unpack for ever. */
const LARGEST = 8 << 20;

/** `{ packages: [{ name, version, source, kind, dependencies, root }] }`, or null where the binary has no such section. */
export function auditData(bytes) {
  const section = sectionOf(bytes, SECTION);
  return section === null ? null : JSON.parse(inflateSync(section, { maxOutputLength: LARGEST }).toString('utf8'));
}

/** `name@version` of the crates whose code is in the binary, sorted; those that only built it are left out. */
export function auditedCrates(data) {
  return data.packages
    .filter(({ kind = 'runtime' }) => kind === 'runtime')
    .map(({ name, version }) => `${name}@${version}`)
    .toSorted();
}

/**
 * What is in a tarball that would be published, and what is wrong with it. It is judged from its own bytes, as whoever
 * installs it gets them, and not from the folder that it was made from.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { complaintsOf } from './binaries.js';
import { documents } from './documents.js';
import { manifestOfMain } from './pack.js';
import { manifestOf, platforms } from './platforms.js';
import { root } from './run.js';
import { secretsIn } from './secrets.js';
import { entriesOf } from './tar.js';

/**
 * The files that each kind of package has, no more and no less, but for the main one's documents. `dist/cli.js` comes with
 * the manifest's `bin`.
 */
const MAIN_FILES = [
  'CHANGELOG.md',
  'LICENSE',
  'README.md',
  'dist/index.cjs',
  'dist/index.js',
  'dist/load.cjs',
  'index.d.cts',
  'index.d.ts',
  'package.json',
];
const PLATFORM_FILES = ['LICENSE', 'README.md', 'THIRD-PARTY-NOTICES.txt', 'package.json'];

/** What a manifest may have. All else is either for those who work on the package, or makes npm do something. */
const MAIN_KEYS = new Set([
  'name',
  'version',
  'description',
  'keywords',
  'license',
  'author',
  'homepage',
  'repository',
  'bugs',
  'type',
  'engines',
  'main',
  'types',
  'bin',
  'exports',
  'sideEffects',
  'files',
  'optionalDependencies',
]);
const PLATFORM_KEYS = new Set([
  'name',
  'version',
  'description',
  'license',
  'author',
  'homepage',
  'repository',
  'bugs',
  'type',
  'engines',
  'os',
  'cpu',
  'libc',
  'main',
  'files',
]);

/**
 * What shows an editor or a reviewer something else than what runs: marks that turn the direction of a text, or have no width,
 * and maps that bring a source of their own along.
 */
const UNSEEN = /[\u061C\u200B-\u200F\u202A-\u202E\u2060-\u2064\u2066-\u2069\uFEFF\u{E0000}-\u{E007F}]/u;
const MAP = /[#@]\s*sourceMappingURL\s*=/;
const CODE = /\.([cm]?[jt]s|json)$/;

/** What npm compares after a download. */
export function integrityOf(tgz) {
  return `sha512-${createHash('sha512').update(tgz).digest('base64')}`;
}

/** The manifest in a .tgz. */
export function manifestIn(tgz) {
  return JSON.parse(textOfManifest(entriesOf(tgz)));
}

function textOfManifest(entries) {
  const entry = entries.find(({ name }) => name === 'package/package.json');
  if (!entry) throw new Error('a package without package.json');
  return entry.bytes.toString('utf8');
}

/**
 * What is wrong with a package, as sentences. `version` is the one that is released; `traces` are words of this machine
 * that must not be in what is published (folders, hosts); `source` is the manifest of the repository; `binary` judges the
 * binary of a platform.
 *
 * @param {Buffer} tgz
 * @param {{
 *   version: string,
 *   traces?: string[],
 *   source?: Record<string, any>,
 *   binary?: (bytes: Buffer, platform: (typeof platforms)[number]) => string[],
 * }} options
 */
export function tarballComplaints(tgz, { version, traces = [], source = ours(), binary = complaintsOf }) {
  let entries;
  let manifest;
  try {
    entries = entriesOf(tgz);
    manifest = JSON.parse(textOfManifest(entries));
  } catch (error) {
    return [`a tarball cannot be read: ${error.message}`];
  }
  const platform = platforms.find((one) => one.package === manifest?.name);
  if (!platform && manifest?.name !== 'ferropool') return [`${manifest?.name}: is a name of no package of ours`];
  const released = { ...source, version };
  const expected = platform ? manifestOf(platform, released) : manifestOfMain(released);
  return [
    ...manifestComplaints(entries, expected, platform),
    ...fileComplaints(entries, expected, platform),
    ...contentComplaints(entries, traces),
    ...entries
      .filter(({ name }) => platform && name === `package/${platform.file}`)
      .flatMap(({ name, bytes }) => binary(bytes, platform).map((line) => `${name}: ${line}`)),
  ].map((line) => `${manifest.name}: ${line}`);
}

function ours() {
  return JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
}

/** It has to be the very one that the repository's gives, and to have no more than what stands above, whatever that gives. */
function manifestComplaints(entries, expected, platform) {
  const written = textOfManifest(entries);
  const manifest = JSON.parse(written);
  const keys = platform ? PLATFORM_KEYS : MAIN_KEYS;
  const more = Object.keys(manifest).filter((key) => !keys.has(key));
  const both = new Set([...Object.keys(manifest), ...Object.keys(expected)]);
  const found = [
    ...more.map((key) => `its manifest has "${key}"`),
    ...[...both]
      .filter((key) => !more.includes(key) && JSON.stringify(manifest[key]) !== JSON.stringify(expected[key]))
      .map((key) => `its manifest has not the "${key}" that the repository gives it`),
  ];
  // A key that stands there twice is seen by none of the above.
  const same = written === `${JSON.stringify(expected, null, 2)}\n`;
  return found.length > 0 || same ? found : ['its manifest is not written as the repository writes it'];
}

function fileComplaints(entries, manifest, platform) {
  const names = entries.map(({ name }) => name.replace(/^package\//, ''));
  const programs = pathsIn(manifest.bin);
  const wanted = new Set([
    ...(platform ? [...PLATFORM_FILES, platform.file] : [...MAIN_FILES, ...documents()]),
    ...[manifest.main, manifest.types, manifest.bin, manifest.exports].flatMap((value) => pathsIn(value)),
  ]);
  const lower = names.map((name) => name.toLowerCase());
  return [
    ...names.filter((name) => !wanted.has(name)).map((name) => `${name} is packed, and on no list`),
    ...[...wanted].filter((name) => !names.includes(name)).map((name) => `${name} is not packed`),
    // Where a file system knows no capitals, the second takes the place of the first.
    ...names.filter((_, index) => lower.indexOf(lower[index]) !== index).map((name) => `${name} is packed twice`),
    ...entries
      .filter(({ type, name }) => type !== '0' || !name.startsWith('package/') || name.includes('..'))
      .map(({ name }) => `${name} is no plain file of the package`),
    ...entries
      .filter(({ mode, name }) => mode !== (programs.includes(name.replace(/^package\//, '')) ? 0o755 : 0o644))
      .map(({ mode, name }) => `${name} has the mode ${mode.toString(8)}`),
    ...entries.filter(({ bytes }) => bytes.length === 0).map(({ name }) => `${name} is empty`),
  ];
}

/** The files that a field of a manifest names, whichever way it does: `./a`, or in objects of conditions and names. */
function pathsIn(value) {
  if (typeof value === 'string') return [value.replace(/^\.\//, '')];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap((one) => pathsIn(one)) : [];
}

function contentComplaints(entries, traces) {
  return entries
    .filter(({ name }) => !name.endsWith('.node'))
    .flatMap(({ name, bytes }) => {
      const said = bytes.toString('utf8');
      const isCode = CODE.test(name);
      return [
        ...secretsIn(said).map((kind) => `${name} has ${kind}`),
        ...(isCode && UNSEEN.test(said) ? [`${name} has characters that nobody sees`] : []),
        ...(isCode && MAP.test(said) ? [`${name} has a source map`] : []),
        ...traces.filter((trace) => said.includes(trace)).map((trace) => `${name} has ${trace}`),
      ];
    });
}

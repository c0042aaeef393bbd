/** What `npm run pack` has written: the tarballs, their manifests, their files. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { platforms } from '../platforms.js';
import { root } from '../run.js';
import { entriesOf } from '../tar.js';

/** Where `npm run pack` puts them. */
export const tarballs = path.join(root, 'release', 'tarballs');

/** The packed packages: `{ name, version, file, manifest, entries, packed, unpacked, integrity, shasum }`. */
export function packedPackages(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.tgz'))
    .toSorted()
    .map((name) => describe(path.join(folder, name)));
}

function describe(file) {
  const bytes = readFileSync(file);
  const entries = entriesOf(bytes).map((one) => ({ ...one, name: one.name.replace(/^package\//, '') }));
  const manifest = JSON.parse(entries.find(({ name }) => name === 'package.json').bytes.toString('utf8'));
  return {
    name: manifest.name,
    version: manifest.version,
    platform: platforms.find((one) => one.package === manifest.name) ?? null,
    file,
    manifest,
    entries,
    packed: statSync(file).size,
    unpacked: entries.reduce((sum, { bytes: { length } }) => sum + length, 0),
    integrity: `sha512-${createHash('sha512').update(bytes).digest('base64')}`,
    shasum: createHash('sha1').update(bytes).digest('hex'),
  };
}

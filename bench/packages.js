/**
 * Where the measured packages are. Found before any clock runs, so that no client's cold start contains the search.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The URL of what `import` finds: ferropool is this repository, by the root's own `exports`; the others are installed here. */
export function locate(name) {
  if (name !== 'ferropool') return import.meta.resolve(name);
  const root = new URL('../package.json', import.meta.url);
  return new URL(JSON.parse(readFileSync(root, 'utf8')).exports['.'].default, root).href;
}

/** The version in the package's own manifest, found upwards from its entry; many `exports` hide the manifest. */
export function versionOf(name) {
  let folder = path.dirname(fileURLToPath(locate(name)));
  while (folder !== path.dirname(folder)) {
    const manifest = readManifest(path.join(folder, 'package.json'));
    if (manifest?.name === name) return manifest.version;
    folder = path.dirname(folder);
  }
  return 'unknown';
}

function readManifest(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return null;
    throw error;
  }
}

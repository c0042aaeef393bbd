/**
 * The pages that go with the package: what the README leads to, so that whoever has installed it can read on without a
 * network. Not among them are the ledgers, which are for those who work on it.
 */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { root } from './run.js';

const FOLDERS = ['docs', 'examples', path.join('bench', 'results')];
const PAGES = ['ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md', 'bench/README.md'];

/** Whether a file of this name, as a tarball has it, is such a page. */
function isDocument(name) {
  return (
    PAGES.includes(name) ||
    /^docs\/(?!ledger\/)([\w-]+\/)*[\w-]+\.(md|svg)$/.test(name) ||
    /^examples\/[\w-]+\.ts$/.test(name) ||
    /^bench\/results\/(latest\.md|[\w-]+\.svg)$/.test(name)
  );
}

/** Their names, in order, with `/` on every system. */
export function documents() {
  const found = FOLDERS.flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)).replaceAll('\\', '/')),
  );
  return [...PAGES, ...found].filter((name) => isDocument(name)).toSorted();
}

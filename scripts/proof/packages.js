/** The packed packages looked at without installing them: their size, their manifests, what publint and attw say. */
import assert from 'node:assert/strict';
import process from 'node:process';
import { documents } from '../documents.js';
import { command } from './tools.js';
import { succeed } from './harness.js';

/** What is not documentation: two bundles and the modules around one, types twice, the manifest, README, LICENSE, CHANGELOG. */
const CODE_FILES = 10;

const KiB = 1024;
const MiB = 1024 * KiB;

/**
 * The size budget: what 0.1.0 had, and about a tenth to spare. A main package that grows past it has taken something in
 * that is neither the facade nor the command line; a platform package grows with its binary and with nothing else.
 * Each new file is a decision, so files have nothing to spare.
 */
export const budget = {
  /** 368 KiB, 1,290 KiB: a little more than half is documentation, the bundle and the types are the rest. */
  main: { packed: 405 * KiB, unpacked: 1_420 * KiB, files: CODE_FILES + documents().length },
  /** 3.65 MiB, 8.6 MiB for Linux on x64, the largest. */
  platform: { packed: 4.1 * MiB, unpacked: 9.5 * MiB, files: 5 },
};

/** npm runs these by itself when it installs, packs or removes a package. */
const LIFE_CYCLE = /^(pre|post)?(install|uninstall|prepare|publish|pack|prepublish|prepublishOnly|dependencies)$/;

export function packageChecks(packages) {
  const main = packages.find(({ platform }) => platform === null);
  const binaries = packages.filter(({ platform }) => platform !== null);
  return [
    ...packages.map((one) => ({ name: `${one.name}: within its size budget`, run: () => withinBudget(one) })),
    ...packages.map((one) => ({
      name: `${one.name}: has no script and no file that starts one`,
      run: () => noScripts(one),
    })),
    { name: `${main.name}: depends on its platform packages alone, at its own version`, run: () => dependencies(main) },
    { name: `${main.name}: publint`, run: () => publint(main) },
    { name: `${main.name}: attw, by the strictest profile`, run: () => attw(main) },
    ...binaries.map((one) => ({ name: `${one.name}: publint`, run: () => publint(one) })),
  ];
}

function withinBudget({ platform, packed, unpacked, entries }) {
  const allowed = platform === null ? budget.main : budget.platform;
  const found = { packed, unpacked, files: entries.length };
  const over = Object.keys(allowed).filter((what) => found[what] > allowed[what]);
  const told = `${size(packed)} packed, ${size(unpacked)} unpacked, ${entries.length} files`;
  assert.equal(
    over.length,
    0,
    `${told}; allowed are ${size(allowed.packed)}, ${size(allowed.unpacked)}, ${allowed.files}`,
  );
  return told;
}

export const size = (bytes) => (bytes < MiB ? `${(bytes / KiB).toFixed(1)} KiB` : `${(bytes / MiB).toFixed(2)} MiB`);

function noScripts({ manifest, entries }) {
  assert.deepEqual(
    Object.keys(manifest.scripts ?? {}).filter((name) => LIFE_CYCLE.test(name)),
    [],
  );
  assert.deepEqual(Object.keys(manifest.scripts ?? {}), []);
  assert.equal(manifest.gypfile, undefined);
  // npm builds a package with such a file, whatever its scripts are.
  assert.deepEqual(
    entries.filter(({ name }) => name.endsWith('.gyp')).map(({ name }) => name),
    [],
  );
}

function dependencies({ manifest }) {
  for (const kind of ['dependencies', 'peerDependencies', 'bundleDependencies', 'bundledDependencies']) {
    assert.deepEqual(Object.keys(manifest[kind] ?? {}), [], kind);
  }
  const optional = Object.entries(manifest.optionalDependencies ?? {});
  assert.equal(optional.length, 8);
  for (const [name, range] of optional) {
    assert.match(name, /^@ferropool\/binding-/);
    assert.equal(range, manifest.version, name);
  }
}

async function publint({ file }) {
  const said = await succeed([process.execPath, command('publint'), 'run', file, '--strict', '--pack', 'false']);
  assert.match(said, /All good!/);
}

async function attw({ file }) {
  await succeed([
    process.execPath,
    command('@arethetypeswrong/cli', 'attw'),
    file,
    '--profile',
    'strict',
    '--no-color',
    '--no-emoji',
  ]);
}

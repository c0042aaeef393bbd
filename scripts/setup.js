/**
 * What a machine needs before anything can be built: looks, and says in one plain sentence what to install.
 * Installs the development packages when they are absent or older than the lock file. No dependency:
 * this runs on a fresh clone.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { ask, root, runPatiently } from './run.js';

const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const cargoToml = readFileSync(path.join(root, 'Cargo.toml'), 'utf8');

const missing = nodeComplaint() ?? rustComplaint() ?? compilerComplaint();
if (missing) {
  console.error(missing);
  process.exit(1);
}

if (packagesAreOld()) {
  console.log('Installing the development packages (npm ci) …');
  const status = runPatiently(process.platform === 'win32' ? 'npm.cmd' : 'npm', ['ci', '--ignore-scripts'], {
    shell: process.platform === 'win32',
  });
  if (status !== 0) {
    console.error('The development packages could not be installed; see what npm says above.');
    process.exit(1);
  }
}

function nodeComplaint() {
  const floor = manifest.engines.node.replace('>=', '');
  return atLeast(process.versions.node, floor)
    ? null
    : `Node.js ${floor} or newer is needed and this is ${process.versions.node}; please install a newer Node.js.`;
}

function rustComplaint() {
  const floor = /^rust-version = "([^"]+)"/m.exec(cargoToml)[1];
  const hint = `please install Rust ${floor} or newer with rustup (rustup.rs).`;
  const version = ask('cargo', ['--version']);
  if (version === null) return `Rust's cargo was not found; ${hint}`;
  const found = /\d+\.\d+\.\d+/.exec(version)?.[0] ?? '0.0.0';
  return atLeast(found, floor) ? null : `cargo ${found} is too old; ${hint}`;
}

/** zstd and the allocator compile C; MSVC's compiler is found by cargo itself, so Windows is not asked. */
function compilerComplaint() {
  if (process.platform === 'win32') return null;
  const candidates = [process.env.CC, 'cc', 'gcc', 'clang'].filter(Boolean);
  if (candidates.some((name) => ask(name, ['--version']) !== null)) return null;
  const packages = process.platform === 'darwin' ? '`xcode-select --install`' : 'build-essential, or gcc and libc6-dev';
  return `No C compiler was found (cc, gcc or clang); please install one (${packages}).`;
}

function packagesAreOld() {
  const installed = path.join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installed)) return true;
  return statSync(installed).mtimeMs < statSync(path.join(root, 'package-lock.json')).mtimeMs;
}

function atLeast(version, floor) {
  const wanted = floor.split('.').map(Number);
  const given = version.split('.').map((part) => Number.parseInt(part, 10));
  for (const [index, part] of wanted.entries()) {
    if ((given[index] ?? 0) !== part) return (given[index] ?? 0) > part;
  }
  return true;
}

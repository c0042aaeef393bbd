/**
 * What the proof needs beside the tarballs: runtimes, compilers, package managers and linters, from the lock file of
 * `proof/`. They are installed there without their scripts.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { root, runPatiently } from '../run.js';

export const proof = path.join(root, 'proof');
export const consumers = path.join(proof, 'consumers');
const modules = path.join(proof, 'node_modules');

/** Installs them when they are absent or older than the lock file; false when that failed. */
export function installTools() {
  const installed = path.join(modules, '.package-lock.json');
  const lock = path.join(proof, 'package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return true;
  console.log('Installing runtimes, compilers and package managers (in proof/) …');
  // By force, since the Node.js for arm64 is wanted on x64 too, where qemu runs it.
  const words = ['ci', '--force', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  return runPatiently('npm', words, { cwd: proof }) === 0;
}

/** A file of a package of `proof/node_modules`. */
export const inTools = (name, ...rest) => path.join(modules, name, ...rest);

/** Without the `v` that some packages put before it. */
export const versionOf = (name) =>
  JSON.parse(readFileSync(inTools(name, 'package.json'), 'utf8')).version.replace(/^v/, '');

/** The script behind a command of such a package. */
export function command(name, word = name.split('/').at(-1)) {
  const { bin } = JSON.parse(readFileSync(inTools(name, 'package.json'), 'utf8'));
  return inTools(name, typeof bin === 'string' ? bin : bin[word]);
}

/** Where a program of the system is; null when it is not there. */
export const onPath = (program) =>
  (process.env.PATH ?? '')
    .split(path.delimiter)
    .map((folder) => path.join(folder, program))
    .find((file) => existsSync(file)) ?? null;

/** Deno takes the node_modules that npm has made as they are. */
export const DENO = ['--quiet', '--node-modules-dir=manual'];

const onX64 = process.platform === 'linux' && process.arch === 'x64';
const elsewhere = 'its binary here is for Linux on x64';

/** The program of a Node.js that was installed here; null where it does not run. */
export const nodeProgram = (name) => (onX64 ? inTools(name, 'bin', 'node') : null);

/** `{ name, version, command, platform, needs, slow }`; `command` runs a script. */
export function runtimes() {
  const node = (name) => ({
    name: `Node.js ${versionOf(name)}`,
    command: [inTools(name, 'bin', 'node')],
    platform: 'linux-x64-gnu',
    needs: onX64 ? null : elsewhere,
  });
  return [
    ...['node-20', 'node-22', 'node-24', 'node-newest'].map(node),
    {
      name: `Bun ${versionOf('bun')}`,
      command: [inTools('bun', 'bin', 'bun'), 'run'],
      platform: 'linux-x64-gnu',
      needs: onX64 ? null : elsewhere,
    },
    {
      name: `Deno ${versionOf('deno')}`,
      command: [inTools('deno', 'deno'), 'run', '-A', ...DENO],
      platform: 'linux-x64-gnu',
      needs: onX64 ? null : elsewhere,
    },
    emulated(),
  ];
}

/** Debian's libraries for arm64, under its qemu. */
function emulated() {
  const libraries = '/usr/aarch64-linux-gnu';
  const qemu = onPath('qemu-aarch64-static');
  const lacking = qemu === null || !existsSync(path.join(libraries, 'lib', 'libstdc++.so.6'));
  return {
    name: `Node.js ${versionOf('node-arm64')} for arm64 under qemu`,
    command: [qemu, '-L', libraries, inTools('node-arm64', 'bin', 'node')],
    platform: 'linux-arm64-gnu',
    needs: lacking ? 'qemu-user-static or the libraries for arm64 are missing' : null,
    slow: true,
  };
}

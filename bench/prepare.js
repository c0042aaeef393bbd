/** What a run needs beside ferropool itself: the rivals of bench/package.json, and the ceiling's binary. */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ask, root, run, runPatiently } from '../scripts/run.js';

const bench = fileURLToPath(new URL('.', import.meta.url));

/** Installs the rivals when they are absent or older than the lock file; false when that failed. */
export function installRivals() {
  const installed = path.join(bench, 'node_modules', '.package-lock.json');
  const lock = path.join(bench, 'package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return true;
  console.log('Installing the clients to compare with (in bench/) …');
  const onWindows = process.platform === 'win32';
  // Not `npm ci`: it wants every platform's optional package of the lock file to be had, wherever it runs.
  const words = ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'];
  return runPatiently(onWindows ? 'npm.cmd' : 'npm', words, { cwd: bench, shell: onWindows }) === 0;
}

/** Builds the ceiling unless it is fresh; gives the path of its binary, or null when that failed. */
export function buildCeiling() {
  if (ask('cargo', ['--version']) === null) return null;
  if (run('cargo', ['build', '--quiet', '--release', '--locked', '-p', 'ferropool-ceiling']) !== 0) return null;
  const target = path.resolve(root, process.env.CARGO_TARGET_DIR ?? 'target');
  return path.join(target, 'release', process.platform === 'win32' ? 'ferropool-ceiling.exe' : 'ferropool-ceiling');
}

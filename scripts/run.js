/**
 * Starts other programs for the house's commands: plain inheritance of the terminal, or line by line.
 * No dependency, since `scripts/setup.js` runs before `node_modules` exists.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { createInterface } from 'node:readline';

/** The repository's root, whatever the working directory is. */
export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/[/\\]$/, '');

/** Runs a program with the terminal inherited; gives its exit status (1 when a signal ended it or it could not start). */
export function run(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (done.error) console.error(`${command} did not start: ${done.error.message}`);
  return done.status ?? 1;
}

/** How often what comes from a network is asked for, and the milliseconds before each further time. */
const PAUSES = [0, 10_000, 30_000];

/** Like `run`, for what fetches: what is not to be had now may be to be had in a moment. */
export function runPatiently(command, args, options = {}) {
  let status = 1;
  for (const pause of PAUSES) {
    if (pause > 0) {
      console.log(`${command} ended with status ${status}; once more in ${pause / 1_000} s …`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pause);
    }
    status = run(command, args, options);
    if (status === 0) break;
  }
  return status;
}

/** The same for what does its work in promises. */
export async function patiently(work) {
  for (const pause of PAUSES.slice(1)) {
    try {
      return await work();
    } catch (error) {
      console.log(`${error.message}\nOnce more in ${pause / 1_000} s …`);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
  return work();
}

/** Runs a program quietly; gives its trimmed standard output, or null when it is missing or fails. */
export function ask(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, ...options });
  return done.status === 0 ? done.stdout.trim() : null;
}

/** The files that git knows, by a pattern of its own (`*.lock`). */
export function trackedFiles(pattern) {
  return (ask('git', ['ls-files', pattern]) ?? '').split('\n').filter((file) => file !== '');
}

/** Runs a program, hands over each line of its standard output as it comes; resolves with its exit status. */
export function follow(command, args, onLine, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'], ...options });
    let status = 1;
    let open = 2;
    // The last lines may still be on their way when the process is gone: both ends have to be seen.
    const end = () => {
      open -= 1;
      if (open === 0) resolve(status);
    };
    createInterface({ input: child.stdout }).on('line', onLine).on('close', end);
    child.on('error', (error) => {
      console.error(`${command} did not start: ${error.message}`);
      end();
    });
    child.on('exit', (code) => {
      status = code ?? 1;
      end();
    });
  });
}

/**
 * The script behind a command of a development package (`tool('typescript', 'tsc')`), for `node` to run: the links in
 * `node_modules/.bin` are shell scripts on Windows.
 */
export function tool(packageName, command = packageName) {
  const folder = path.join(root, 'node_modules', packageName);
  if (!existsSync(folder)) throw new Error(`${packageName} is not installed; run \`npm ci\``);
  const { bin } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
  return path.join(folder, typeof bin === 'string' ? bin : bin[command]);
}

/** Runs a command of a development package with the terminal inherited; gives its exit status. */
export function runTool([packageName, command], args) {
  return run(process.execPath, [tool(packageName, command), ...args]);
}

/** The loader that lets this Node run TypeScript sources; Node 24 needs none for what the sources use. */
export const typescriptLoader = Number(process.versions.node.split('.')[0]) >= 24 ? [] : ['--import=tsx'];

/** Runs the checks of the proof, two at a time, and tells what became of each; starts the programs they need. */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';

/** How many checks run at once. More would make those about time fail on a small machine. */
const AT_ONCE = 2;

/** The folder of everything that a run makes; gone when the process ends. */
export const scratch = mkdtempSync(path.join(os.tmpdir(), 'ferropool-proof-'));
process.once('exit', () => rmSync(scratch, { recursive: true, force: true, maxRetries: 3 }));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

/** An empty folder with these files: path → text. */
export function project(name, files = {}) {
  const folder = path.join(scratch, name);
  mkdirSync(folder, { recursive: true });
  for (const [file, text] of Object.entries(files)) {
    const target = path.join(folder, file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, typeof text === 'string' ? text : `${JSON.stringify(text, null, 2)}\n`);
  }
  return folder;
}

/** A copy of a project, so that a check may change it. */
export function copyOf(folder, name) {
  const target = path.join(scratch, name);
  cpSync(folder, target, { recursive: true, verbatimSymlinks: true });
  return target;
}

/** The environment without what npm and a user's own settings put there: a proof is of the package alone. */
export function cleanEnvironment(extra = {}) {
  const foreign =
    /^(npm_|yarn_|pnpm_|bun_|deno_|node_options$|node_path$|init_cwd$|force_color$|no_color$|(https?|all|no)_proxy$)/i;
  const kept = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  return { ...Object.fromEntries(kept), ...extra };
}

/**
 * Runs a program to its end, or for `patience` milliseconds, which end what hangs and are enough on a busy machine; gives
 * its status, signal and what it said.
 */
export function exec([command, ...args], { cwd = scratch, env = cleanEnvironment(), patience = 600_000 } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'])
      child[stream].setEncoding('utf8').on('data', (text) => (said[stream] += text));
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, patience);
    child.once('error', (error) => resolve({ status: null, signal: null, late, ...said, stderr: error.message }));
    child.once('close', (status, signal) => {
      clearTimeout(timer);
      resolve({ status, signal, late, ...said });
    });
  });
}

/** Like `exec`, and throws with what was said when the status is not 0. Gives standard output. */
export async function succeed(command, options) {
  const done = await exec(command, options);
  if (done.status !== 0) throw failureOf(command, done);
  return done.stdout;
}

/** What to throw for a program that failed: how it ended and the last of what it said. */
export function failureOf([program], { status, signal, late, stdout, stderr }) {
  const how = late ? 'did not end in time' : `ended with ${signal ?? `status ${status}`}`;
  return new Error(`${path.basename(program)} ${how}\n${lastLines(`${stdout}\n${stderr}`)}`);
}

function lastLines(text, most = 15) {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(-most).join('\n');
}

/**
 * Runs checks: `{ name, run, needs?, known? }`. `needs` is what is missing for it, as a sentence, or null. `known` says why
 * it is known not to work; it then passes by failing as `known.error` says, so that a change is seen.
 */
export async function runChecks(checks, { mustRun }) {
  const count = { passed: 0, failed: 0, skipped: 0 };
  const failures = [];
  const waiting = [...checks];
  const told = new Map();
  const say = (sign, check, rest, time = '') => {
    told.set(check, `${sign} ${check.name}${rest}`);
    console.log(`${sign} ${check.name}${rest}${time}`);
  };
  async function lane() {
    for (let check = waiting.shift(); check; check = waiting.shift()) {
      const missing = check.needs ?? null;
      if (missing !== null) {
        count[mustRun ? 'failed' : 'skipped'] += 1;
        say(mustRun ? '✘' : '-', check, `: not run, ${missing}`);
        if (mustRun) failures.push(check.name);
        continue;
      }
      const began = performance.now();
      let error = null;
      let figures = '';
      try {
        figures = (await check.run()) ?? '';
      } catch (caught) {
        error = caught;
      }
      const verdict = judge(check, error);
      const took = ` (${((performance.now() - began) / 1000).toFixed(1)} s)`;
      count[verdict.good ? 'passed' : 'failed'] += 1;
      if (!verdict.good) failures.push(check.name);
      say(verdict.good ? '✔' : '✘', check, `${figures === '' ? '' : `: ${figures}`}${verdict.note}`, took);
      for (const line of verdict.lines) console.log(`    ${line}`);
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  // In the order in which the checks were given, whichever ended first.
  return { ...count, failures, lines: checks.map((check) => told.get(check)) };
}

function judge({ known }, error) {
  if (known === undefined) {
    return { good: error === null, note: '', lines: error === null ? [] : explain(error).split('\n') };
  }
  if (error === null)
    return { good: false, note: ': known not to work, and works now', lines: [`known: ${known.reason}`] };
  if (!known.error.test(explain(error))) {
    return { good: false, note: ': fails otherwise than is known', lines: explain(error).split('\n') };
  }
  return { good: true, note: `: known not to work: ${known.reason}`, lines: [] };
}

const explain = (error) => (error instanceof Error ? error.message : String(error));

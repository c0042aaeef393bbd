/**
 * A project of somebody else that has ferropool in its node_modules, laid out as npm would from the packages, with whatever
 * is wrong with it that a test wants.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import type { ExecutionContext } from 'ava';

import { stageMain, stagePlatform } from '../../scripts/pack.js';
import { hostPlatform } from '../../scripts/platforms.js';
import { root } from '../../scripts/run.js';

/** The binary that is built here. */
export const BINARY = path.join(root, 'native', 'ferropool.node');

/** This platform, as the list has it. */
export const HOST = host();

/** A project's folder, and what is in it. */
export interface Project {
  readonly folder: string;
  /** Where ferropool itself is. */
  readonly main: string;
  /** Writes a file, by its path in the project. */
  readonly write: (file: string, content: string | Uint8Array) => void;
  /** Installs this platform's package, with these bytes in place of the binary. */
  readonly installBinary: (bytes?: Uint8Array) => void;
  /** Imports ferropool in a process of its own. */
  readonly load: (options?: LoadOptions) => Promise<Loaded>;
}

/** How a project's process is started. */
export interface LoadOptions {
  /** Code that runs before. */
  readonly before?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** What came of it: `error` is what the import threw. */
export interface Loaded {
  readonly works: boolean;
  readonly error: { readonly message: string; readonly code: string; readonly cause: string | null } | null;
  /** What else was said. */
  readonly stderr: string;
}

const PROGRAM = `
const answer = { works: false, error: null };
try {
  const { HTTPConnectionPool, parseUrl } = await import('ferropool');
  answer.works = typeof HTTPConnectionPool === 'function' && parseUrl('http://a.test/b').path === '/b';
} catch (error) {
  answer.error = { message: error.message, code: error.code ?? null, cause: error.cause?.message ?? null };
}
console.log(JSON.stringify(answer));
`;

/** Makes a project without a binary; removed at the test's end. `own`: ferropool has one in itself. */
export function project(t: ExecutionContext, { own = false } = {}): Project {
  const folder = mkdtempSync(path.join(tmpdir(), 'ferropool-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const main = path.join(folder, 'node_modules', 'ferropool');
  stageMain(main, own ? BINARY : undefined);
  const write = (file: string, content: string | Uint8Array): void => {
    const full = path.join(folder, file);
    mkdirSync(path.dirname(full), { recursive: true });
    writeFileSync(full, content);
  };
  write('package.json', '{ "private": true }\n');
  write('program.mjs', PROGRAM);
  return {
    folder,
    main,
    write,
    installBinary: (bytes) => {
      const place = path.join('node_modules', HOST.package);
      stagePlatform(HOST, path.join(folder, place), BINARY);
      if (bytes !== undefined) write(path.join(place, HOST.file), bytes);
    },
    load: (options = {}) => load(folder, options),
  };
}

/** The bytes of the binary that is built here, with one text in place of another of the same length. */
export function patched(from: string, to: string): Buffer {
  const bytes = readFileSync(BINARY);
  const found = bytes.indexOf(from);
  if (found === -1 || from.length !== to.length) throw new Error(`${from} cannot become ${to}`);
  for (let at = found; at !== -1; at = bytes.indexOf(from, at)) bytes.write(to, at, 'latin1');
  return bytes;
}

function load(folder: string, { before, cwd = folder, env = {} }: LoadOptions): Promise<Loaded> {
  const imports = before === undefined ? [] : [`--import=data:text/javascript,${encodeURIComponent(before)}`];
  const all = [...imports, path.join(folder, 'program.mjs')];
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      all,
      { cwd, env: { ...process.env, ...env }, timeout: 120_000, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        if (error) reject(new Error(`${error.message} ${stderr}`));
        else resolve({ ...(JSON.parse(stdout) as Omit<Loaded, 'stderr'>), stderr });
      },
    );
  });
}

function host(): NonNullable<ReturnType<typeof hostPlatform>> {
  const found = hostPlatform();
  if (found === undefined) throw new Error('there is no package for this platform');
  return found;
}

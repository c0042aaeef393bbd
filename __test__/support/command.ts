/** The command as it is installed: `dist/cli.js` in a process of its own, and what it needs around it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { httpServer } from '../servers/http.ts';

const program = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** How a process ended: by a code or by a signal. */
export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process that has not ended. */
export interface Running {
  readonly child: ReturnType<typeof spawn>;
  readonly ended: Promise<Outcome>;
}

/** What surrounds a process. */
export interface Around {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Of the standard input; `null` leaves it open. */
  readonly input?: string | null;
  /** A file in place of the standard output. */
  readonly stdout?: number;
}

/** Starts the command. */
export function begin(words: readonly string[], { env = {}, cwd, input = '', stdout }: Around = {}): Running {
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/proxy|color|NODE_/i.test(name)),
  );
  const child = spawn(process.execPath, [program, ...words], {
    env: { ...inherited, ...env },
    cwd,
    stdio: ['pipe', stdout ?? 'pipe', 'pipe'],
    timeout: 120_000,
    // The command hears the others.
    killSignal: 'SIGKILL',
  });
  const pieces = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  child.stdout?.on('data', (piece: Buffer) => pieces.stdout.push(piece));
  child.stderr?.on('data', (piece: Buffer) => pieces.stderr.push(piece));
  child.stdin?.on('error', () => {});
  if (input !== null) child.stdin?.end(input);
  const ended = once(child, 'close').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
    stdout: Buffer.concat(pieces.stdout).toString(),
    stderr: Buffer.concat(pieces.stderr).toString(),
  }));
  return { child, ended };
}

/** Runs it to its end. */
export function ferropool(words: readonly string[], around: Around = {}): Promise<Outcome> {
  return begin(words, around).ended;
}

/** An empty folder for one test. */
export function folder(t: ExecutionContext): string {
  const made = mkdtempSync(path.join(os.tmpdir(), 'ferropool-cli-'));
  t.teardown(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** A server for one test: its URL. */
export async function served(t: ExecutionContext, handler: RequestListener): Promise<string> {
  const server = await httpServer(handler);
  t.teardown(() => server.close());
  return `http://127.0.0.1:${server.port}`;
}

/**
 * Starts a script of `support/children` as a process of its own and follows what it says: for what only a whole process
 * can show (how it ends, its threads, its memory). Every wait has an end.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { typescriptLoader } from '../../scripts/run.js';

/** How a child ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly lines: readonly string[];
  readonly stderr: string;
  /** Milliseconds from its last line to its end. */
  readonly lingered: number;
}

/** A running child. */
export interface Child {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Waits until it has said this line; rejects when it ends before. */
  says(line: string): Promise<void>;
}

/** Options of {@link start}. */
export interface StartOptions {
  /** For `node` itself. */
  node?: readonly string[];
  /** Milliseconds; then it is killed. Default 120,000: what is judged by the clock is judged by the spec, this ends what hangs. */
  patience?: number;
  /** On top of this process's own. */
  env?: Readonly<Record<string, string>>;
  /** A command that runs the rest of its arguments: with other limits, in a network of its own. */
  under?: readonly string[];
}

/** Starts `support/children/<name>`. */
export function start(name: string, args: readonly (string | number)[] = [], options: StartOptions = {}): Child {
  const script = fileURLToPath(new URL(`children/${name}`, import.meta.url));
  const loader: readonly string[] = typescriptLoader;
  const node = [process.execPath, ...(options.node ?? []), ...loader, script, ...args.map(String)];
  const [command = '', ...words] = [...(options.under ?? []), ...node];
  const child = spawn(command, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    timeout: options.patience ?? 120_000,
    killSignal: 'SIGKILL',
  });
  const lines: string[] = [];
  let [rest, stderr, over] = ['', '', false];
  let last = performance.now();
  let waiting: (() => void)[] = [];
  const wake = (): void => {
    const woken = waiting;
    waiting = [];
    for (const one of woken) one();
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const pieces = (rest + text).split('\n');
    rest = pieces.pop() ?? '';
    lines.push(...pieces);
    last = performance.now();
    wake();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  let exited = 0;
  child.on('exit', () => (exited = performance.now()));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      over = true;
      if (rest !== '') lines.push(rest);
      wake();
      resolve({ code, signal, lines, stderr, lingered: Math.max(0, exited - last) });
    });
  });
  const says = async (line: string): Promise<void> => {
    while (!lines.includes(line)) {
      if (over) throw new Error(`it ended and never said ${JSON.stringify(line)}: ${lines.join('; ')} ${stderr}`);
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };
  return { process: child, ended, says };
}

/** Runs a child to its end, which must be a good one; the JSON of its last line. */
export async function outcome<Result>(
  name: string,
  args: readonly (string | number)[] = [],
  options: StartOptions = {},
): Promise<Result> {
  const { code, signal, lines, stderr } = await start(name, args, options).ended;
  if (code !== 0) throw new Error(`${name} ended with ${signal ?? code}: ${lines.join('; ')} ${stderr}`);
  return JSON.parse(lines.at(-1) ?? 'null') as Result;
}

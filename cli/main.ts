/** `ferropool`, the command of the package. */
import os from 'node:os';
import process from 'node:process';
import { command, EXIT } from './command.ts';
import { OutputError, removeLeftovers } from './sink.ts';

const { stdin, stdout, stderr, env, argv } = process;

// Everybody on this machine may list processes and their arguments, which may be passwords. (On Windows it would be the
// title of the terminal.)
if (process.platform !== 'win32') process.title = 'ferropool';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const controller = new AbortController();
let caught: (typeof SIGNALS)[number] | null = null;

// The first one ends what is in hand and lets it be told; the second ends the process.
function interrupt(name: (typeof SIGNALS)[number]): void {
  if (caught !== null) return fall(name);
  caught = name;
  controller.abort(new Error('interrupted'));
  return undefined;
}
for (const name of SIGNALS) process.on(name, interrupt);

/** Ends by the signal: an exit would wait for what the system has in hand, as for somebody to open the other end of a FIFO. */
function fall(name: (typeof SIGNALS)[number]): void {
  removeLeftovers();
  for (const each of SIGNALS) process.off(each, interrupt);
  if (process.platform === 'win32') process.exit(codeOf(name));
  process.kill(process.pid, name);
}

/** As a shell has it. */
function codeOf(name: (typeof SIGNALS)[number]): number {
  return 128 + os.constants.signals[name];
}

let isLost = false;
/** The output takes no more. */
function lost(error: NodeJS.ErrnoException): void {
  // Whoever read it has enough; there is nobody to complain to.
  if (error.code === 'EPIPE') process.exit(EXIT.pipe);
  if (isLost) return;
  isLost = true;
  stderr.write(`ferropool: ${error.message}\n`, () => process.exit(EXIT.failed));
}
stdout.on('error', lost);
stderr.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? EXIT.pipe : EXIT.failed));

try {
  const code = await command(argv.slice(2), { stdin, stdout, stderr, env, signal: controller.signal });
  process.exitCode = code === EXIT.interrupted && caught !== null ? codeOf(caught) : code;
} catch (error) {
  if (error instanceof OutputError) lost(error);
  else {
    // Most often the binary of this platform is not there, and the message says so.
    stderr.write(`ferropool: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = EXIT.failed;
  }
}
if (caught !== null) {
  const name = caught;
  stdin.destroy();
  // Whatever is still waited for then was waited for in vain.
  setTimeout(() => fall(name), 200).unref();
}

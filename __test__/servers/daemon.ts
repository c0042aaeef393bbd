/** A server of somebody else's as a child of this process: what it says in its log is what tests wait for. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';

/** How long it may take for any one step. */
const PATIENCE = 60_000;

/** How one is started. */
export interface DaemonOptions {
  /** In its environment beside this process's. */
  readonly env?: NodeJS.ProcessEnv;
  /** It has children that do not end with it: signals go to all of them. */
  readonly isFamily?: boolean;
}

/** A running server. */
export class Daemon {
  readonly #name: string;
  readonly #isFamily: boolean;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #forget: () => void;
  #log = '';
  #over = false;
  #waiting: (() => void)[] = [];

  /** Starts it; `missing` is what the log says where there is no such program. */
  constructor(
    program: string,
    words: readonly string[],
    missing: string,
    { env, isFamily = false }: DaemonOptions = {},
  ) {
    this.#name = program;
    this.#isFamily = isFamily;
    this.#child = spawn(program, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: isFamily,
      // Debian keeps them where only root's PATH looks.
      env: { ...process.env, PATH: [process.env['PATH'], '/usr/sbin', '/usr/local/sbin'].join(path.delimiter), ...env },
    });
    for (const output of [this.#child.stdout, this.#child.stderr]) {
      output?.setEncoding('utf8').on('data', (text: string) => {
        this.#log += text;
        this.#wake();
      });
    }
    this.#ended = this.#end(missing);
    const last = (): void => this.signal('SIGTERM');
    process.once('exit', last);
    this.#forget = () => process.off('exit', last);
  }

  /** All that it has said. */
  get log(): string {
    return this.#log;
  }

  /** Waits until the log has a match of this behind `from`, and gives it. */
  async says(pattern: RegExp, from = 0): Promise<RegExpExecArray> {
    const until = performance.now() + PATIENCE;
    for (;;) {
      const match = pattern.exec(this.#log.slice(from));
      if (match !== null) return match;
      const left = until - performance.now();
      if (this.#over || left <= 0) throw new Error(`${this.#name} never said ${pattern}:\n${this.#log}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Waits until it listens on this port of 127.0.0.1, by what the system says: for who does not say so, or too early. */
  async listens(port: number): Promise<void> {
    for (const until = performance.now() + PATIENCE; ;) {
      if (this.#over || performance.now() > until) throw new Error(`${this.#name} never listened:\n${this.#log}`);
      if (isListening(this.#child.pid ?? 0, port)) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Sends it a signal. */
  signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (!this.#isFamily || pid === undefined || this.#over) {
      this.#child.kill(signal);
      return;
    }
    try {
      process.kill(-pid, signal);
    } catch {
      // All of them have ended.
    }
  }

  /** Ends it. */
  async close(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.signal(signal);
    const killed = setTimeout(() => this.signal('SIGKILL'), PATIENCE);
    await this.#ended;
    clearTimeout(killed);
    this.#forget();
  }

  async #end(missing: string): Promise<void> {
    try {
      await once(this.#child, 'close');
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      this.#log += code === 'ENOENT' ? missing : message;
    }
    this.#over = true;
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** Whether a process has a socket that listens on this port of 127.0.0.1 (proc(5)). Another's would answer a connection too. */
function isListening(pid: number, port: number): boolean {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = readFileSync('/proc/net/tcp', 'latin1').split('\n');
  const sockets = lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, at, , state]) => at === local && state === '0A');
  const inodes = new Set(sockets.map(({ 9: inode }) => `socket:[${inode}]`));
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => inodes.has(readlinkSync(`/proc/${pid}/fd/${fd}`)));
  } catch {
    // It has ended, or a descriptor was closed meanwhile.
    return false;
  }
}

/** A port that was free a moment ago. Somebody else may take it, so whoever uses it tries again. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts a server on a free port; again where the port was taken in between. */
export async function started<Server extends { readonly ready: Promise<unknown>; close(): Promise<void> }>(
  start: (port: number) => Server,
): Promise<Server> {
  for (let attempt = 1; ; attempt += 1) {
    const server = start(await freePort());
    try {
      await server.ready;
      return server;
    } catch (error) {
      await server.close();
      if (attempt === 3 || !/Address already in use/i.test((error as Error).message)) throw error;
    }
  }
}

/** A server of somebody else's as a child of this process: what it says in its log is what tests wait for. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';

/** How long it may take for any one step. */
const PATIENCE = 10_000;

/** A running server. */
export class Daemon {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #forget: () => void;
  #log = '';
  #over = false;
  #waiting: (() => void)[] = [];

  /** Starts it; `missing` is what the log says where there is no such program. */
  constructor(program: string, words: readonly string[], missing: string) {
    this.#name = program;
    this.#child = spawn(program, words, {
      stdio: ['ignore', 'ignore', 'pipe'],
      // Debian keeps them where only root's PATH looks.
      env: { ...process.env, PATH: [process.env['PATH'], '/usr/sbin', '/usr/local/sbin'].join(path.delimiter) },
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#log += text;
      this.#wake();
    });
    this.#ended = this.#end(missing);
    const last = (): void => void this.#child.kill('SIGTERM');
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

  /** Sends it a signal. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it. */
  async close(): Promise<void> {
    this.#child.kill('SIGTERM');
    const killed = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE);
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

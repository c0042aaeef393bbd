/**
 * A real nginx on a free loopback port: a master with one worker, in a folder of its own, as a child of this process.
 * What it says in its log is what tests wait for.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** What a test's nginx is to be. */
export interface NginxSetup {
  /** Directives of its only `server`. */
  readonly server: string;
  /** Directives of `http`. */
  readonly http?: string;
  /** Files under its document root, by name. */
  readonly files?: { readonly [name: string]: string | Uint8Array };
}

/** How long nginx may take for any one step. */
const PATIENCE = 10_000;

/** A running nginx. Every response names its connection (`X-Connection`) and which request it was there (`X-Request`). */
export class Nginx {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #ended: Promise<unknown>;
  readonly #forget: () => void;
  #log = '';
  #over = false;
  #waiting: (() => void)[] = [];

  /** @internal Use {@link nginx}. */
  constructor(port: number, folder: string) {
    this.port = port;
    this.#folder = folder;
    this.#child = spawn('nginx', ['-p', folder, '-e', 'stderr', '-c', path.join(folder, 'nginx.conf')], {
      stdio: ['ignore', 'ignore', 'pipe'],
      // Debian keeps it where only root's PATH looks.
      env: { ...process.env, PATH: [process.env['PATH'], '/usr/sbin', '/usr/local/sbin'].join(path.delimiter) },
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#log += text;
      this.#wake();
    });
    this.#ended = this.#end();
    const last = (): void => void this.#child.kill('SIGTERM');
    process.once('exit', last);
    this.#forget = () => process.off('exit', last);
  }

  /** The process id of the worker that was started last. */
  get worker(): number {
    return Number([...this.#log.matchAll(new RegExp(STARTED, 'g'))].at(-1)?.[1]);
  }

  /** A line for each request that was answered: method, target and status. Whole for workers that have gone. */
  get answered(): string[] {
    return readFileSync(path.join(this.#folder, 'access.log'), 'utf8').split('\n').slice(0, -1);
  }

  /** Waits until the log has a match of this behind `from`. */
  async says(pattern: RegExp, from = 0): Promise<void> {
    const until = performance.now() + PATIENCE;
    while (!pattern.test(this.#log.slice(from))) {
      const left = until - performance.now();
      if (this.#over || left <= 0) throw new Error(`nginx never said ${pattern}:\n${this.#log}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** `nginx -s reload`: a new worker takes over, the old one ends its requests and goes; resolves when it has gone. */
  async reload(): Promise<void> {
    const { worker } = this;
    this.#child.kill('SIGHUP');
    await this.says(new RegExp(`worker process ${worker} exited with code 0`));
  }

  /** The worker dies with all its connections; resolves when there is another. */
  async crash(): Promise<void> {
    const { worker } = this;
    const from = this.#log.length;
    process.kill(worker, 'SIGKILL');
    await this.says(new RegExp(`worker process ${worker} exited on signal 9`), from);
    await this.says(STARTED, from);
  }

  /** Ends it and removes what it wrote. */
  async close(): Promise<void> {
    this.#child.kill('SIGTERM');
    const killed = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE);
    await this.#ended;
    clearTimeout(killed);
    this.#forget();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #end(): Promise<void> {
    try {
      await once(this.#child, 'close');
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      this.#log += code === 'ENOENT' ? MISSING : message;
    }
    this.#over = true;
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** Starts nginx; rejects with its log when it does not start. */
export async function nginx(setup: NginxSetup): Promise<Nginx> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const folder = mkdtempSync(path.join(tmpdir(), 'ferropool-nginx-'));
    // Started by root it serves as somebody else, who has to be able to read this.
    chmodSync(folder, 0o755);
    mkdirSync(path.join(folder, 'root'));
    for (const [name, body] of Object.entries(setup.files ?? {})) writeFileSync(path.join(folder, 'root', name), body);
    writeFileSync(path.join(folder, 'nginx.conf'), configuration(port, setup));
    const server = new Nginx(port, folder);
    try {
      await server.says(STARTED);
      return server;
    } catch (error) {
      await server.close();
      // Somebody else may have taken the port in between.
      if (attempt === 3 || !/Address already in use/.test((error as Error).message)) throw error;
    }
  }
}

function configuration(port: number, { server, http = '' }: NginxSetup): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`);
  return `
daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid nginx.pid;
error_log stderr notice;
events { worker_connections 4096; }
http {
  ${temporary.join('\n  ')}
  log_format answered '$request_method $request_uri $status';
  access_log access.log answered;
  default_type text/plain;
  add_header X-Connection $connection always;
  add_header X-Request $connection_requests always;
  ${http}
  server {
    listen 127.0.0.1:${port} backlog=4096;
    root root;
    ${server}
  }
}
`;
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const STARTED = /start worker process (\d+)/;
const MISSING =
  'There is no nginx on PATH, nor in /usr/sbin or /usr/local/sbin. ' +
  'The specs of __test__/nginx need one (1.19.5 or later); `npm test` does without.';

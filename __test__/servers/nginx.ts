/**
 * A real nginx on a free loopback port: a master with one worker, in a folder of its own, as a child of this process.
 * What it says in its log is what tests wait for.
 */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { Daemon, started } from './daemon.ts';

/** What a test's nginx is to be. */
export interface NginxSetup {
  /** Directives of its only `server`. */
  readonly server: string;
  /** Directives of `http`; `PORT` in them is the server's port. */
  readonly http?: string;
  /** Files under its document root, by name. */
  readonly files?: { readonly [name: string]: string | Uint8Array };
  /** What its port speaks: plain HTTP unless it is said; `h2` offers HTTP/2 beside HTTP/1.1. */
  readonly speaks?: 'https' | 'h2';
  /** Files beside its configuration, by name: certificates and keys, which directives name as they are. */
  readonly secrets?: { readonly [name: string]: string };
}

/** A running nginx. Every response names its connection (`X-Connection`) and which request it was there (`X-Request`). */
export class Nginx {
  readonly port: number;
  /** When it listens. */
  readonly ready: Promise<unknown>;
  readonly #daemon: Daemon;
  readonly #folder: string;

  /** @internal Use {@link nginx}. */
  constructor(port: number, folder: string) {
    this.port = port;
    this.#folder = folder;
    this.#daemon = new Daemon('nginx', ['-p', folder, '-e', 'stderr', '-c', path.join(folder, 'nginx.conf')], MISSING);
    this.ready = this.#daemon.says(STARTED);
  }

  /** The process id of the worker that was started last. */
  get worker(): number {
    return Number([...this.#daemon.log.matchAll(new RegExp(STARTED, 'g'))].at(-1)?.[1]);
  }

  /** A line for each request that was answered: method, target and status. Whole for workers that have gone. */
  get answered(): string[] {
    return readFileSync(path.join(this.#folder, 'access.log'), 'utf8').split('\n').slice(0, -1);
  }

  /** Waits until the log has a match of this behind `from`. */
  async says(pattern: RegExp, from = 0): Promise<void> {
    await this.#daemon.says(pattern, from);
  }

  /** `nginx -s reload`: a new worker takes over, the old one ends its requests and goes; resolves when it has gone. */
  async reload(): Promise<void> {
    const { worker } = this;
    this.#daemon.signal('SIGHUP');
    await this.says(new RegExp(`worker process ${worker} exited with code 0`));
  }

  /** The worker dies with all its connections; resolves when there is another. */
  async crash(): Promise<void> {
    const { worker } = this;
    const from = this.#daemon.log.length;
    process.kill(worker, 'SIGKILL');
    await this.says(new RegExp(`worker process ${worker} exited on signal 9`), from);
    await this.says(STARTED, from);
  }

  /** Writes a file beside its configuration, for a reload to find. */
  write(name: string, text: string): void {
    writeFileSync(path.join(this.#folder, name), text);
  }

  /** Ends it and removes what it wrote. */
  async close(): Promise<void> {
    await this.#daemon.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Starts nginx; rejects with its log when it does not start. */
export function nginx(setup: NginxSetup): Promise<Nginx> {
  return started((port) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'ferropool-nginx-'));
    // Started by root it serves as somebody else, who has to be able to read this.
    chmodSync(folder, 0o755);
    mkdirSync(path.join(folder, 'root'));
    for (const [name, body] of Object.entries(setup.files ?? {})) writeFileSync(path.join(folder, 'root', name), body);
    for (const [name, text] of Object.entries(setup.secrets ?? {})) writeFileSync(path.join(folder, name), text);
    writeFileSync(path.join(folder, 'nginx.conf'), configuration(port, setup));
    return new Nginx(port, folder);
  });
}

function configuration(port: number, { server, http = '', speaks }: NginxSetup): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`);
  const secure = speaks === undefined ? '' : speaks === 'h2' ? ' ssl http2' : ' ssl';
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
  ${http.replaceAll('PORT', String(port))}
  server {
    listen 127.0.0.1:${port}${secure} backlog=4096;
    root root;
    ${server}
  }
}
`;
}

const STARTED = /start worker process (\d+)/;
const MISSING =
  'There is no nginx on PATH, nor in /usr/sbin or /usr/local/sbin. ' +
  'The specs of __test__/nginx need one (1.19.5 or later); `npm test` does without.';

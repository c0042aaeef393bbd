/**
 * A real h2o on a free loopback port, over TLS: it hands every request on to a server behind it. Over HTTP/2 and HTTP/1.1 it
 * is another implementation than nginx, with other habits.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { Daemon, started } from './daemon.ts';
import type { Pair } from './openssl.ts';

/** What a test's h2o is to be. */
export interface H2oSetup {
  /** Its certificate, with the chain that it sends. */
  readonly pair: Pair;
  /** The port of the server behind it. */
  readonly behind: number;
  /** More lines of its configuration's first level. */
  readonly more?: string;
}

/** A running h2o. */
export class H2o {
  readonly port: number;
  /** When it listens. */
  readonly ready: Promise<unknown>;
  readonly #daemon: Daemon;
  readonly #folder: string;

  /** @internal Use {@link h2o}. */
  constructor(port: number, folder: string) {
    this.port = port;
    this.#folder = folder;
    // As a master it can be reloaded.
    this.#daemon = new Daemon('h2o', ['-m', 'master', '-c', path.join(folder, 'h2o.conf')], MISSING);
    this.ready = this.#daemon.says(READY);
  }

  /** A new worker takes over, the old one says GOAWAY, ends its requests and goes; resolves when it has gone. */
  async reload(): Promise<void> {
    const from = this.#daemon.log.length;
    this.#daemon.signal('SIGHUP');
    await this.#daemon.says(/old worker \d+ died, status:0/, from);
  }

  /** Ends it and removes what it wrote. */
  async close(): Promise<void> {
    await this.#daemon.close();
    // Where the master had to be killed its workers are still there.
    for (const [, worker] of this.#daemon.log.matchAll(/starting new worker (\d+)/g)) {
      if (this.#daemon.log.includes(`worker ${worker} died`)) continue;
      try {
        process.kill(Number(worker), 'SIGKILL');
      } catch {
        // It ended by itself.
      }
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Starts h2o; rejects with its log when it does not start. */
export function h2o(setup: H2oSetup): Promise<H2o> {
  return started((port) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'ferropool-h2o-'));
    chmodSync(folder, 0o755);
    writeFileSync(path.join(folder, 'server.pem'), setup.pair.certificate);
    writeFileSync(path.join(folder, 'server.key'), setup.pair.key);
    writeFileSync(path.join(folder, 'h2o.conf'), configuration(port, folder, setup));
    return new H2o(port, folder);
  });
}

function configuration(port: number, folder: string, { behind, more = '' }: H2oSetup): string {
  return `num-threads: 1
pid-file: ${path.join(folder, 'h2o.pid')}
limit-request-body: 1073741824
${more}
listen:
  host: 127.0.0.1
  port: ${port}
  ssl:
    certificate-file: ${path.join(folder, 'server.pem')}
    key-file: ${path.join(folder, 'server.key')}
    minimum-version: TLSv1.2
    ocsp-update-interval: 0
hosts:
  default:
    paths:
      /:
        proxy.reverse.url: "http://127.0.0.1:${behind}/"
        proxy.preserve-host: ON
        proxy.timeout.io: 60000
`;
}

const READY = /is ready to serve requests/;
const MISSING =
  "There is no h2o on PATH. The specs of __test__/nginx need Debian's (2.2 or later); `npm test` does without.";

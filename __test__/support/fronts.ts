/**
 * Two real servers, nginx and h2o, each over TLS with HTTP/1.1 and HTTP/2, in front of the same server behind them, and that
 * one by itself: what one table of checks runs against.
 */
import type { ExecutionContext } from 'ava';

import { HTTPSConnectionPool, type PoolOptions, type TLSOptions } from '../../index.ts';
import { backend, secureBackend } from '../servers/backend.ts';
import { h2o } from '../servers/h2o.ts';
import { nginx } from '../servers/nginx.ts';
import { hierarchy, type Hierarchy } from '../servers/openssl.ts';

/** A server and a protocol. */
export interface Front {
  readonly server: 'nginx' | 'h2o' | 'node';
  readonly protocol: 'http/1.1' | 'h2';
  /** For titles. */
  readonly name: string;
}

/** All six. */
export const FRONTS: readonly Front[] = (['nginx', 'h2o', 'node'] as const).flatMap((server) =>
  (['http/1.1', 'h2'] as const).map((protocol) => ({ server, protocol, name: `${server} with ${protocol}` })),
);

/** What a test works with. */
export interface Fronted {
  readonly pool: HTTPSConnectionPool;
  readonly port: number;
  /** `https://localhost:port`. */
  readonly origin: string;
  /** The server takes what it was told anew, and old connections end in order; Node's own cannot. */
  reload(): Promise<void>;
}

/** One set of certificates for a process: to make one takes a while. */
export function certificates(): Hierarchy {
  made ??= hierarchy();
  return made;
}

/** What a pool of these specs is told before all else: it asks for `localhost` at the loopback address. */
export function trusting(): PoolOptions & TLSOptions {
  return { caCertData: certificates().root.certificate, resolve: { localhost: '127.0.0.1' }, retries: false };
}

/** A pool for `localhost` and this port, closed at the test's end; then its books must balance (THR-1010). */
export function pooled(
  t: ExecutionContext,
  port: number,
  options: PoolOptions & TLSOptions = {},
  host = 'localhost',
): HTTPSConnectionPool {
  const pool = new HTTPSConnectionPool(host, { ...trusting(), ...options, port });
  t.teardown(async () => {
    await pool.close({ timeout: 0 });
    const { opened, closed, idle, leased } = pool.stats();
    if (opened !== closed + idle + leased || idle !== 0 || leased !== 0) {
      throw new Error(`the books do not balance: ${JSON.stringify({ opened, closed, idle, leased })}`);
    }
  });
  return pool;
}

/** A pool over one of the six. */
export async function fronted(
  t: ExecutionContext,
  { server, protocol }: Front,
  options: PoolOptions & TLSOptions = {},
): Promise<Fronted> {
  const http2 = protocol === 'h2' ? { http2: true } : {};
  if (server === 'node') {
    const alone = await secureBackend(certificates().chained);
    t.teardown(() => alone.close());
    const pool = pooled(t, alone.port, { ...http2, ...options });
    const reload = (): Promise<void> => Promise.reject(new Error('it cannot'));
    return { pool, port: alone.port, origin: `https://localhost:${alone.port}`, reload };
  }
  const behind = await backend();
  const { chained } = certificates();
  const front =
    server === 'h2o'
      ? await h2o({ pair: chained, behind: behind.port })
      : await nginx({ ...secured(chained), speaks: 'h2', server: passing(behind.port) });
  t.teardown(async () => {
    // A request that nobody answers would hold up the end of whoever hands it on.
    await behind.close();
    await front.close();
  });
  const { port } = front;
  const pool = pooled(t, port, { ...http2, ...options });
  return { pool, port, origin: `https://localhost:${port}`, reload: () => front.reload() };
}

/** What an nginx needs to speak TLS with this certificate. */
export function secured({ certificate, key }: { readonly certificate: string; readonly key: string }): {
  readonly http: string;
  readonly secrets: { readonly [name: string]: string };
} {
  return {
    // Before 1.23.4 its own default has no TLS 1.3.
    http: 'ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate server.pem; ssl_certificate_key server.key;',
    secrets: { 'server.pem': certificate, 'server.key': key },
  };
}

/** An nginx that hands on everything as it comes. */
function passing(behind: number): string {
  return `client_max_body_size 0; keepalive_requests 100000; location / {
    proxy_pass http://127.0.0.1:${behind}; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_set_header Host $http_host; proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 60s;
  }`;
}

let made: Hierarchy | undefined;

/**
 * Origins that can only be reached through a proxy, since nobody may look up their names, a proxy that knows the way, and a
 * manager that uses it, for one test. When it ends the manager's books must balance (THR-1010).
 */
import type http from 'node:http';
import { text } from 'node:stream/consumers';
import type { ExecutionContext } from 'ava';

import { PoolManager, type HTTPResponse, type PoolManagerOptions } from '../../index.ts';
import { httpServer, type HttpServer } from '../servers/http.ts';
import { proxyServer, type Proxy, type ProxyOptions } from '../servers/proxy.ts';
import { socksServer, type SocksOptions, type SocksServer } from '../servers/socks.ts';
import { httpsServer, type TlsServer, type TlsServerOptions } from '../servers/tls.ts';
import { usual } from './pki.ts';
import { kept } from './street.ts';

/** What an origin says: what it was asked. */
export interface Told {
  /** Which origin it is. */
  readonly origin: 'http' | 'https';
  readonly method: string;
  /** The second word of the request line. */
  readonly target: string;
  readonly lines: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** Two origins, each of any name. */
export interface Origins {
  readonly http: HttpServer;
  readonly https: TlsServer;
  /** What they were asked, in order. */
  readonly asked: Told[];
  /** For a proxy: `h.test` and `other.test` at port 80, `s.test` and others at port 443. */
  readonly routes: Readonly<Record<string, number>>;
}

/** Names of https origins that have a certificate. */
const SECURE = ['s.test', 'second.test', 's.test.', 'localhost'];
/** Names of http origins. */
const PLAIN = ['h.test', 'h.test.', 'other.test', 'third.test'];

let certified: TlsServerOptions | undefined;

/** A certificate for all https origins, by the usual authority. */
export function certificate(): TlsServerOptions {
  certified ??= usual().ca.issue({
    name: 'origin',
    san: [...SECURE.map((name) => `dns:${name.replace(/\.$/, '')}`), 'ip:127.0.0.1', 'ip:::1'],
  }).identity;
  return certified;
}

/**
 * Starts them. They answer with what they were asked, as JSON; to `/to/STATUS/URL` with that status and a Location; to
 * `/status/STATUS` with that; to `/bytes/N` with so many.
 */
export async function origins(t: ExecutionContext, tls: TlsServerOptions = {}): Promise<Origins> {
  const asked: Told[] = [];
  const handler =
    (origin: 'http' | 'https'): http.RequestListener =>
    async (request, response) => {
      const { method = '', url = '', rawHeaders } = request;
      const lines = rawHeaders.flatMap((name, at): [string, string][] =>
        at % 2 === 0 ? [[name, rawHeaders[at + 1] ?? '']] : [],
      );
      const body = await text(request).catch(() => null);
      if (body === null) return;
      const told = { origin, method, target: url, lines, body };
      asked.push(told);
      const [, kind, first = '', rest = ''] = /^\/([a-z]+)\/(\d+)(?:\/(.*))?$/.exec(url) ?? [];
      if (kind === 'to') response.writeHead(Number(first), { location: decodeURIComponent(rest) });
      if (kind === 'status') response.statusCode = Number(first);
      response.end(kind === 'bytes' ? Buffer.alloc(Number(first), 'bytes') : JSON.stringify(told));
    };
  const plain = await httpServer(handler('http'));
  t.teardown(() => plain.close());
  const secure = await httpsServer(handler('https'), { ...certificate(), ...tls });
  t.teardown(() => secure.close());
  const routes = Object.fromEntries([
    ...PLAIN.map((name) => [`${name}:80`, plain.port] as const),
    ...SECURE.map((name) => [`${name}:443`, secure.port] as const),
  ]);
  return { http: plain, https: secure, asked, routes };
}

/** What an origin told. */
export function toldBy(response: HTTPResponse): Told {
  return response.json<Told>();
}

/** The names that it was shown, in lower case and sorted. */
export function namesIn({ lines }: Pick<Told, 'lines'>): string[] {
  return lines.map(([name]) => name.toLowerCase()).toSorted();
}

/** A proxy, closed at the test's end. */
export async function proxied(t: ExecutionContext, options: ProxyOptions = {}): Promise<Proxy> {
  const proxy = await proxyServer(options);
  t.teardown(() => proxy.close());
  return proxy;
}

/** One of SOCKS. */
export async function socksed(t: ExecutionContext, options: SocksOptions = {}): Promise<SocksServer> {
  const proxy = await socksServer(options);
  t.teardown(() => proxy.close());
  return proxy;
}

/** Trusts the usual authority and tries nothing again, unless it is told otherwise. */
export function trusting<Options extends object>(options: Options): Options & { caCertData: string; retries: false } {
  return { caCertData: usual().ca.pem, retries: false, ...options };
}

/** A manager that goes through a proxy, closed at the test's end: its books must balance then. */
export function through(t: ExecutionContext, url: string | null, options: PoolManagerOptions = {}): PoolManager {
  return kept(t, new PoolManager(trusting({ ...(url === null ? {} : { proxy: url }), ...options })));
}

export { kept } from './street.ts';

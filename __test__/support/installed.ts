/**
 * Every proxy that is installed with each of its protocols, in front of the same servers: what one table of checks runs
 * against. Managers that leave names to the proxy have a resolver that fails when it is asked.
 */
import type { ExecutionContext } from 'ava';

import { ProxyManager, SOCKSProxyManager, type PoolManager, type PoolManagerOptions } from '../../index.ts';
import { backend, secureBackend, type BackendOptions } from '../servers/backend.ts';
import {
  CREDENTIALS,
  dante,
  microsocks,
  NAMES,
  PLAIN_CREDENTIALS,
  squid,
  ssh,
  tinyproxy,
  type InstalledProxy,
} from '../servers/installed-proxies.ts';
import { certificate, type Pair } from '../servers/openssl.ts';
import { certificates } from './fronts.ts';

/** A proxy and what is spoken to it. */
export interface Route {
  readonly make: 'squid' | 'tinyproxy' | 'Dante' | 'microsocks' | 'ssh -D';
  readonly scheme: 'http' | 'https' | 'socks4' | 'socks4a' | 'socks5' | 'socks5h';
  /** Who has to be named in its URL; `null` where nobody is asked for. */
  readonly credentials: { readonly username: string; readonly password: string } | null;
  /** For titles. */
  readonly name: string;
  start(): Promise<InstalledProxy>;
}

const DANTE = { make: 'Dante', credentials: null, start: () => dante(false) } as const;
const SSH = { make: 'ssh -D', credentials: null, start: ssh } as const;

/** All of them. Dante takes a name of version 4a for an address that begins with 0. */
export const ROUTES: readonly Route[] = (
  [
    { make: 'squid', scheme: 'http', credentials: CREDENTIALS, start: () => squid() },
    { make: 'squid', scheme: 'https', credentials: CREDENTIALS, start: () => squid(identity()) },
    { make: 'tinyproxy', scheme: 'http', credentials: PLAIN_CREDENTIALS, start: tinyproxy },
    { ...DANTE, scheme: 'socks4' },
    { ...DANTE, scheme: 'socks5' },
    { ...DANTE, scheme: 'socks5h' },
    { make: 'Dante', scheme: 'socks5', credentials: CREDENTIALS, start: () => dante(true) },
    { make: 'Dante', scheme: 'socks5h', credentials: CREDENTIALS, start: () => dante(true) },
    { make: 'microsocks', scheme: 'socks5', credentials: CREDENTIALS, start: microsocks },
    { make: 'microsocks', scheme: 'socks5h', credentials: CREDENTIALS, start: microsocks },
    { ...SSH, scheme: 'socks4' },
    { ...SSH, scheme: 'socks4a' },
    { ...SSH, scheme: 'socks5' },
    { ...SSH, scheme: 'socks5h' },
  ] as const
).map((route) => ({ ...route, name: named(route) }));

/** What stands behind it. */
export type Target = 'http' | 'https' | 'h2';

/** A route and what is asked for on it. */
export interface Way {
  readonly route: Route;
  readonly target: Target;
  /** Whether the proxy is given requests, and not a connection to pass on. */
  readonly forwards: boolean;
  /** For titles. */
  readonly name: string;
}

/** Each route with each target. */
export const WAYS: readonly Way[] = ROUTES.flatMap((route) =>
  (['http', 'https', 'h2'] as const).map((target) => ({
    route,
    target,
    forwards: !isSocks(route) && target === 'http',
    name: `${target} through ${route.name}`,
  })),
);

/** Whether a route is one of SOCKS. */
export function isSocks({ scheme }: Route): boolean {
  return scheme.startsWith('socks');
}

/** The route of this name. */
export function route(make: Route['make'], scheme: Route['scheme'], asks = false): Route {
  const found = ROUTES.find((one) => one.make === make && one.scheme === scheme && (!asks || one.credentials !== null));
  if (found === undefined) throw new Error(`there is no ${make} with ${scheme}`);
  return found;
}

/** What a test works with. */
export interface Installed {
  readonly proxy: InstalledProxy;
  /** The proxy's URL, with credentials. */
  readonly url: string;
  readonly manager: PoolManager;
}

/** Starts the proxy of a route, with a manager behind it; both are closed at the test's end. */
export async function behind(t: ExecutionContext, route: Route, options: PoolManagerOptions = {}): Promise<Installed> {
  const proxy = await route.start();
  t.teardown(() => proxy.close());
  const url = urlOf(route, proxy);
  return { proxy, url, manager: managed(t, route, url, options) };
}

/** A manager behind the proxy of this URL, closed at the test's end; then its books must balance (THR-1010). */
export function managed(t: ExecutionContext, of: Route, url: string, options: PoolManagerOptions = {}): PoolManager {
  const all = { ...told(of), ...options };
  const manager = isSocks(of) ? new SOCKSProxyManager(url, all) : new ProxyManager(url, all);
  t.teardown(async () => {
    await manager.close({ timeout: 0 });
    const { opened, closed, idle, leased } = manager.stats();
    if (opened !== closed + idle + leased || idle !== 0 || leased !== 0) {
      throw new Error(`the books do not balance: ${JSON.stringify({ opened, closed, idle, leased })}`);
    }
  });
  return manager;
}

/** What a manager of these specs is told before all else. */
export function told({ scheme }: Pick<Route, 'scheme'>): PoolManagerOptions {
  const isLocal = scheme === 'socks4' || scheme === 'socks5';
  // A function is asked for addresses too.
  const asked = (host: string): string => {
    if (host === '127.0.0.1') return host;
    throw new Error(`${host} was looked up here`);
  };
  return {
    caCertData: certificates().root.certificate,
    retries: false,
    resolve: isLocal ? NAMES : asked,
  };
}

/** With the credentials that the proxy wants, unless others are given. */
export function urlOf({ scheme, credentials }: Route, { port }: InstalledProxy, others = credentials): string {
  const user = others === null ? '' : `${encodeURIComponent(others.username)}:${encodeURIComponent(others.password)}@`;
  return `${scheme}://${user}127.0.0.1:${port}`;
}

/** The server behind, for this test; gives the URL of a path of it. */
export async function origin(
  t: ExecutionContext,
  target: Target,
  options: BackendOptions = {},
  name = 'ferro.test',
): Promise<(path: string) => string> {
  const server = target === 'http' ? await backend(options) : await secureBackend(certificates().chained, options);
  t.teardown(() => server.close());
  return (path) => `${target === 'http' ? 'http' : 'https'}://${name}:${server.port}${path}`;
}

/** Whether the connections of this way outlive a request: tinyproxy ends every one that it forwards on, and does not say so. */
export function keeps({ route: { make }, forwards }: Way): boolean {
  return make !== 'tinyproxy' || !forwards;
}

/** What a manager needs for this way. */
export function speaking(way: Way): PoolManagerOptions {
  if (!keeps(way)) return { maxRequestsPerConnection: 1 };
  return way.target === 'h2' ? { http2: true } : {};
}

/** squid sends no intermediate certificate. */
function identity(): Pair {
  const names = ['DNS:localhost', 'IP:127.0.0.1'];
  return (made ??= certificate({ name: 'a proxy', issuer: certificates().root, names }));
}

let made: Pair | undefined;

function named({ make, scheme, credentials }: Omit<Route, 'name' | 'start'>): string {
  return `${make} by ${scheme}${credentials === null ? '' : ' with a password'}`;
}

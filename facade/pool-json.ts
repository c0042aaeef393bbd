/** Pools and managers as plain data, for logs and for other threads: where they lead and what they keep to. No secrets. */
import { own } from './arguments.ts';
import type { HTTPHeaderDict } from './headers.ts';
import { Retry, type RetryJSON } from './retry.ts';
import type { PoolOptions, PoolSettings } from './options.ts';
import type { ProxyConfig } from './proxy-options.ts';
import type { Timeout, TimeoutJSON } from './timeout.ts';
import { tlsJSON, type TLSJSON, type TLSOptions } from './tls-options.ts';

/**
 * What pools and managers have in common as plain data. Of TLS what was given, but for the client's certificate, key and
 * password.
 */
export interface SettingsJSON extends TLSJSON {
  /** {@link PoolOptions.maxsize}. */
  maxsize: number;
  /** {@link PoolOptions.block}. */
  block: boolean;
  /** `new Timeout(…)` makes an equal one of it. */
  timeout: TimeoutJSON;
  /** `new Retry(…)` makes an equal one of it. */
  retries: RetryJSON;
  /** The names of its own headers: their values may be secrets. */
  headers: string[];
  /** {@link PoolOptions.http2}, unless it is off. */
  http2?: PoolOptions['http2'];
  /** The proxy's `scheme://host:port`, without credentials; where there is one. */
  proxy?: string;
  /** The names of the fields that are the proxy's; where there are any. */
  proxyHeaders?: string[];
  /** {@link PoolOptions.proxyConfig}, where it was given; of TLS what {@link TLSJSON} has. */
  proxyConfig?: Omit<ProxyConfig, 'tls'> & { tls?: TLSJSON };
  /** {@link PoolOptions.interface}, where it was given. */
  interface?: string;
  /** {@link PoolOptions.denyAddresses}, where it was given. */
  denyAddresses?: 'private' | string[];
}

/** What `JSON.stringify(pool)` writes. */
export interface PoolJSON extends SettingsJSON {
  /** The name of its class. */
  type: string;
  /** What is spoken. */
  scheme: 'http' | 'https';
  /** Normalised, as {@link HTTPConnectionPool.host}. */
  host: string;
  /** `null` is the scheme's default. */
  port: number | null;
}

/** What `JSON.stringify(manager)` writes. */
export interface ManagerJSON extends SettingsJSON {
  /** The name of its class. */
  type: string;
  /** {@link PoolManagerOptions.numPools}. */
  numPools: number;
  /** {@link PoolManagerOptions.maxTotalConnections}; 0: no bound. */
  maxTotalConnections: number;
}

/** How the peer is reached and what is spoken with it, as far as it was said. @internal */
export type SpokenJSON = Omit<SettingsJSON, 'maxsize' | 'block' | 'timeout' | 'retries' | 'headers'>;

/** Looks at the options once: whoever gave them may change them. @internal */
export function spokenJSON(
  options: PoolOptions & TLSOptions,
  { proxy, proxyHeaders }: Pick<PoolSettings, 'proxy' | 'proxyHeaders'>,
): SpokenJSON {
  const http2 = own(options, 'http2') ?? false;
  const config = own(options, 'proxyConfig') ?? null;
  const device = own(options, 'interface') ?? null;
  const denied = own(options, 'denyAddresses') ?? null;
  return {
    ...(http2 === false ? {} : { http2 }),
    ...(proxy === null ? {} : { proxy }),
    ...(proxyHeaders === null ? {} : { proxyHeaders: [...proxyHeaders.keys()] }),
    ...(config === null ? {} : { proxyConfig: configJSON(config) }),
    ...(device === null ? {} : { interface: device }),
    ...(denied === null ? {} : { denyAddresses: denied === 'private' ? denied : [...denied] }),
    ...tlsJSON(options),
  };
}

function configJSON(config: ProxyConfig): NonNullable<SettingsJSON['proxyConfig']> {
  const shown: NonNullable<SettingsJSON['proxyConfig']> = {};
  for (const name of ['useForwardingForHttps', 'assertHostname', 'assertFingerprint'] as const) {
    const value = own(config, name) ?? null;
    if (value !== null) Object.assign(shown, { [name]: value });
  }
  const tls = own(config, 'tls') ?? null;
  if (tls !== null) shown.tls = tlsJSON(tls);
  return shown;
}

/** @internal */
export function settingsJSON(
  of: {
    readonly maxsize: number;
    readonly block: boolean;
    readonly timeout: Timeout;
    readonly retries: Retry;
    readonly headers: HTTPHeaderDict;
  },
  spoken: SpokenJSON,
): SettingsJSON {
  const { maxsize, block, timeout, retries, headers } = of;
  return {
    maxsize,
    block,
    timeout: timeout.toJSON(),
    // A subclass may say more than what its constructor takes.
    retries: Retry.prototype.toJSON.call(retries),
    headers: [...headers.keys()],
    ...spoken,
  };
}

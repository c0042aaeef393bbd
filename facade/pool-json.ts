/** Pools and managers as plain data, for logs and for other threads: where they lead and what they keep to. No secrets. */
import { own } from './arguments.ts';
import type { HTTPHeaderDict } from './headers.ts';
import { Retry, type RetryJSON } from './retry.ts';
import type { PoolOptions } from './options.ts';
import type { Timeout } from './timeout.ts';
import { tlsJSON, type TLSJSON, type TLSOptions } from './tls-options.ts';

/**
 * What pools and managers have in common as plain data. Of TLS what was given, but for the client's certificate, key and
 * password.
 */
export interface SettingsJSON extends TLSJSON {
  maxsize: number;
  block: boolean;
  /** `new Timeout(…)` makes an equal one of it. */
  timeout: ReturnType<Timeout['toJSON']>;
  /** `new Retry(…)` makes an equal one of it. */
  retries: RetryJSON;
  /** The names of its own headers: their values may be secrets. */
  headers: string[];
  /** Where it is spoken. */
  http2?: PoolOptions['http2'];
}

/** What `JSON.stringify(pool)` writes. */
export interface PoolJSON extends SettingsJSON {
  /** The name of its class. */
  type: string;
  scheme: 'http' | 'https';
  host: string;
  /** `null` is the scheme's default. */
  port: number | null;
}

/** What `JSON.stringify(manager)` writes. */
export interface ManagerJSON extends SettingsJSON {
  /** The name of its class. */
  type: string;
  numPools: number;
  /** 0: no bound. */
  maxTotalConnections: number;
}

/** What is spoken with the peer, as far as it was said. @internal */
export type SpokenJSON = Pick<SettingsJSON, keyof TLSJSON | 'http2'>;

/** Looks at the options once: whoever gave them may change them. @internal */
export function spokenJSON(options: PoolOptions & TLSOptions): SpokenJSON {
  const http2 = own(options, 'http2') ?? false;
  return { ...(http2 === false ? {} : { http2 }), ...tlsJSON(options) };
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

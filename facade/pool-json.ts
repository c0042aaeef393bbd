/** Pools and managers as plain data, for logs and for other threads: where they lead and what they keep to. No secrets. */
import type { HTTPHeaderDict } from './headers.ts';
import { Retry, type RetryJSON } from './retry.ts';
import type { Timeout } from './timeout.ts';

/** What pools and managers have in common as plain data. */
export interface SettingsJSON {
  maxsize: number;
  block: boolean;
  /** `new Timeout(…)` makes an equal one of it. */
  timeout: ReturnType<Timeout['toJSON']>;
  /** `new Retry(…)` makes an equal one of it. */
  retries: RetryJSON;
  /** The names of its own headers: their values may be secrets. */
  headers: string[];
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

/** @internal */
export function settingsJSON(of: {
  readonly maxsize: number;
  readonly block: boolean;
  readonly timeout: Timeout;
  readonly retries: Retry;
  readonly headers: HTTPHeaderDict;
}): SettingsJSON {
  const { maxsize, block, timeout, retries, headers } = of;
  return {
    maxsize,
    block,
    timeout: timeout.toJSON(),
    // A subclass may say more than what its constructor takes.
    retries: Retry.prototype.toJSON.call(retries),
    headers: [...headers.keys()],
  };
}

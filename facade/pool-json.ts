/** A pool as plain data, for logs and for other threads: where it leads and what it keeps to. No secrets. */
import type { HTTPHeaderDict } from './headers.ts';
import type { Timeout } from './timeout.ts';

/** What `JSON.stringify(pool)` writes. */
export interface PoolJSON {
  /** The name of its class. */
  type: string;
  scheme: 'http' | 'https';
  host: string;
  /** `null` is the scheme's default. */
  port: number | null;
  maxsize: number;
  block: boolean;
  /** `new Timeout(…)` makes an equal one of it. */
  timeout: ReturnType<Timeout['toJSON']>;
  /** The names of its own headers: their values may be secrets. */
  headers: string[];
}

/** @internal */
export function poolJSON(pool: {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly port: number | null;
  readonly maxsize: number;
  readonly block: boolean;
  readonly timeout: Timeout;
  readonly headers: HTTPHeaderDict;
}): PoolJSON {
  const { scheme, host, port, maxsize, block, timeout, headers } = pool;
  return {
    type: pool.constructor.name,
    scheme,
    host,
    port,
    maxsize,
    block,
    timeout: timeout.toJSON(),
    headers: [...headers.keys()],
  };
}

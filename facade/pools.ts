/**
 * Pools: what the user makes, asks and closes. A call is one plain record that is handed to the engine; sockets, waiting,
 * clocks and policy are the core's.
 */
import { inspect } from 'node:util';

import { argumentError, checkNames, describe, own } from './arguments.ts';
import type { Sources } from './asking.ts';
import type { Engine, PauseRecord } from './boundary/engine.ts';
import { nextEngine } from './boundary/engines.ts';
import { text, wait } from './call.ts';
import { CODE, integer } from './checks.ts';
import { ClosedPoolError, URLSchemeUnknown, type AnyPool } from './errors.ts';
import { poolSettings, type OnPause, type PoolOptions } from './options.ts';
import { tellOfPause } from './pause.ts';
import { settingsJSON, spokenJSON, type PoolJSON, type SpokenJSON } from './pool-json.ts';
import { RequestMethods } from './requests.ts';
import { Timeout } from './timeout.ts';
import type { TLSOptions } from './tls-options.ts';
import { parseUrl } from './url.ts';

/** A pool's live figures; a fresh snapshot each time. */
export interface PoolView {
  /** Connections held by nobody. */
  readonly idle: number;
  /** Connections held by requests, those being dialled included. */
  readonly leased: number;
  /** Requests waiting for a connection. */
  readonly waiting: number;
  readonly maxsize: number;
}

/** What came of {@link ConnectionPool.close}. */
export interface CloseReport {
  /** Connections closed in all. */
  readonly closed: number;
  /** Requests that ended by themselves. */
  readonly drained: number;
  /** Requests that were cut off when the time was up. */
  readonly forced: number;
  /** Milliseconds. */
  readonly elapsed: number;
}

/** A distribution of spans, in milliseconds. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Everything that a pool counts. `opened = closed + idle + leased` at all times. */
export interface PoolStats {
  /** Open connections. */
  readonly live: number;
  readonly idle: number;
  readonly leased: number;
  readonly waiting: number;
  readonly opened: number;
  readonly closed: number;
  /** Exchanges on a connection that had carried one before. */
  readonly reused: number;
  /** Connections closed because `maxsize` idle ones were there already. */
  readonly surplus: number;
  /** Connections closed for any other reason while the pool was open. */
  readonly discarded: number;
  /** Among them: those on which bytes came that nobody had asked for. */
  readonly poisoned: number;
  /** Requests sent again because the peer had accepted nothing of them. */
  readonly staleReplays: number;
  /** Exchanges given up before their end. */
  readonly abandoned: number;
  /** Heads that `lenient` repaired. */
  readonly repaired: number;
  readonly wireBytesIn: number;
  readonly wireBytesOut: number;
  readonly decodedBytes: number;
  /** Attempts put on a connection. */
  readonly requests: number;
  /** Errors by code. */
  readonly errors: Readonly<Record<string, number>>;
  /** Milliseconds since the oldest request in flight was made. */
  readonly oldestInFlight: number | null;
  /**
   * Of requests that succeeded: how long they waited for a connection and for the head, and how long they took in all,
   * retries and redirects included. A pool that a manager made has none of its own: they are in the manager's.
   */
  readonly latency?: Readonly<Record<'pool' | 'headers' | 'total', Percentiles>>;
}

/** The common base of pools. */
export abstract class ConnectionPool extends RequestMethods {
  abstract readonly scheme: 'http' | 'https';
  /** Normalised: lower case, IDNA, brackets off an IPv6 literal. */
  abstract readonly host: string;
  /** As given; `null` is the scheme's default. */
  abstract readonly port: number | null;

  /** Closes the pool; see {@link HTTPConnectionPool.close}. */
  abstract close(options?: { timeout?: number | null | undefined }): Promise<CloseReport>;

  /** Closes the pool when a block of `await using` ends, and waits for its requests. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Closes the pool when a block of `using` ends. */
  [Symbol.dispose](): void {
    // Nobody waits for it: what it would reject with has nobody to be told.
    this.close().catch(() => undefined);
  }

  /** `HTTPConnectionPool(host='localhost', port=8080)`. */
  override toString(): string {
    return `${this.constructor.name}(host='${this.host}', port=${this.port})`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }
}

/**
 * The connections to one host, kept and reused.
 *
 * @example
 * const pool = new HTTPConnectionPool('localhost', { port: 8080, maxsize: 10, block: true });
 * const response = await pool.request('GET', '/search', { fields: { q: 'urllib3' } });
 * response.json();
 */
export class HTTPConnectionPool extends ConnectionPool {
  /** Normalised: lower case, IDNA, brackets off an IPv6 literal. */
  readonly host: string;
  /** As given; `null` is the scheme's default (80, or 443). */
  readonly port: number | null;
  /** Connections kept for reuse. */
  readonly maxsize: number;
  /** Whether a request waits at the limit. */
  readonly block: boolean;
  /** The time-outs of a request that brings none. */
  readonly timeout: Timeout;
  readonly #engine: Engine;
  readonly #handle: number;
  readonly #spoken: SpokenJSON;
  #onPause: OnPause | null = null;
  #closed = false;
  /** Of the manager that made it: not the manager itself, which may be collected before. */
  #keeper: Life | null = null;

  /**
   * Makes a pool; nothing is opened until the first request.
   *
   * @throws LocationValueError without a host, LocationParseError for what is none, TypeError or RangeError
   * ERR_INVALID_OPTION for options, InvalidHeader for headers that cannot be sent.
   */
  constructor(host: string, options: PoolOptions = {}) {
    super();
    const held = (host as unknown) instanceof Held ? (host as unknown as Held) : null;
    if (held === null && typeof host !== 'string' && host !== undefined && host !== null) {
      throw argumentError('type', CODE, `a pool's host is a string, not ${describe(host)}`);
    }
    const settings = poolSettings(options, held === null ? this.scheme : 'manager');
    this.#spoken = spokenJSON(options);
    const { wire } = settings;
    this.port = held === null ? ((wire['port'] as number | undefined) ?? null) : held.port;
    this.maxsize = (wire['maxsize'] as number | undefined) ?? 1;
    this.block = (wire['block'] as boolean | undefined) ?? false;
    this.timeout = (wire['timeout'] as Timeout | undefined) ?? Timeout.from(null);
    this.#engine = held?.engine ?? nextEngine();
    // Errors of the constructor name the host as it was given.
    this.host = held === null ? (host ?? '') : held.host;
    const made = { retries: settings.retries, sources: { jar: null, beforeAttempt: null, resolve: settings.resolve } };
    const { headers, limits } = settings;
    const ready = (handle: number, sources: Sources): void =>
      this.ready({
        engine: this.#engine,
        handle,
        headers,
        limits,
        sources,
        retries: made.retries,
        concurrency: this.maxsize,
      });
    if (held !== null) {
      this.#handle = held.handle;
      this.#keeper = held.life;
      this.#engine.handles.freeWith(this, held.handle);
      ready(held.handle, { ...made.sources, jar: held.sources.jar, beforeAttempt: held.sources.beforeAttempt });
      return;
    }
    // So that a refusal finds them.
    ready(-1, made.sources);
    this.#onPause = settings.onPause;
    const { handle, host: normalised } = this.#engine.handles.open(this, {
      ...wire,
      scheme: this.scheme,
      host: host ?? '',
    });
    this.#handle = handle;
    this.host = normalised;
    ready(handle, made.sources);
  }

  // Of the class rather than of the object: the constructor asks before a subclass has set anything.
  /** `'http'`, and `'https'` of an {@link HTTPSConnectionPool}. */
  get scheme(): 'http' | 'https' {
    return 'http';
  }

  /** Live figures; `null` once the pool is closed. */
  get pool(): PoolView | null {
    if (this.#isClosed()) return null;
    const [idle = 0, leased = 0, waiting = 0] = this.#engine.handles.figures(this.#handle);
    return { idle, leased, waiting, maxsize: this.maxsize };
  }

  /** Sockets ever opened. (urllib3 misses those that were dialled again.) */
  get numConnections(): number {
    return this.#engine.handles.figures(this.#handle)[3] ?? 0;
  }

  /** Attempts ever put on a connection. */
  get numRequests(): number {
    return this.#engine.handles.figures(this.#handle)[4] ?? 0;
  }

  /** Everything that the pool counts. */
  stats(): PoolStats {
    return JSON.parse(this.#engine.handles.stats(this.#handle)) as PoolStats;
  }

  /** Where it leads and what it keeps to, as plain data for logs; of its headers the names alone. */
  toJSON(): PoolJSON {
    const { scheme, host, port } = this;
    return { type: this.constructor.name, scheme, host, port, ...settingsJSON(this, this.#spoken) };
  }

  /** Whether a URL names this pool's host: a path does, `//other/` does not. */
  isSameHost(url: string): boolean {
    return this.#engine.handles.isSameHost(this.#handle, text(url, 'a URL'));
  }

  /**
   * Opens connections until there are `n`, and sends nothing.
   *
   * @throws (rejects with) RangeError for more than `maxsize`, ClosedPoolError, and what dialling meets.
   */
  warm(n: number): Promise<void> {
    try {
      integer(n, 'the number of connections', 0, this.maxsize);
      this.refuseClosed();
      return this.#engine.warm(this, this.#handle, n, this.asking(null));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Closes the pool: idle connections now, leased ones when their request ends or `timeout` milliseconds (default none)
   * are up. Waiting and later requests reject with ClosedPoolError. A second time does no harm.
   */
  close(options: { timeout?: number | null | undefined } = {}): Promise<CloseReport> {
    try {
      const timeout = closeTimeout(options);
      this.#closed = true;
      return this.#engine.close<CloseReport>(this, this.#handle, timeout);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** @internal */
  paused({ host, span, status }: PauseRecord): void {
    tellOfPause(this.#onPause, host, span, status);
  }

  /** @internal */
  override poolOf(): AnyPool {
    return this;
  }

  /** @internal */
  protected override named(): AnyPool {
    return this;
  }

  /** @internal */
  protected override refuseClosed(): void {
    if (this.#isClosed()) throw new ClosedPoolError(this, 'Pool is closed.', { phase: 'pool' });
  }

  #isClosed(): boolean {
    return this.#closed || this.#keeper?.closed === true;
  }
}

/**
 * The connections to one host over TLS, kept and reused. The server's certificate is checked, chain and name, unless the
 * options say otherwise. With `http2: true` requests share connections where the server speaks HTTP/2.
 *
 * @example
 * const pool = new HTTPSConnectionPool('localhost', { port: 8443, caCerts: 'ca.pem', http2: true });
 * const response = await pool.request('GET', '/');
 * response.connection?.tls?.version; // 'TLSv1.3'
 */
export class HTTPSConnectionPool extends HTTPConnectionPool {
  /**
   * Makes a pool; nothing is opened until the first request, but files that the options name are read.
   *
   * @throws as {@link HTTPConnectionPool}'s; SSLError ERR_TLS for certificates, keys, cipher suites and fingerprints that
   * cannot be used (`reason` ERR_TLS_CA, ERR_TLS_CERT, ERR_TLS_KEY, ERR_TLS_CIPHER, ERR_FINGERPRINT).
   */
  constructor(host: string, options: PoolOptions & TLSOptions = {}) {
    super(host, options);
  }

  /** `'https'`. */
  override get scheme(): 'https' {
    return 'https';
  }
}

/** Whether a manager is closed, and all its pools with it. @internal */
export interface Life {
  readonly closed: boolean;
}

/** What a manager makes a pool of, which is on its shelf already. @internal */
export class Held {
  readonly engine: Engine;
  readonly handle: number;
  readonly host: string;
  readonly port: number;
  readonly sources: Sources;
  readonly life: Life;

  constructor(engine: Engine, handle: number, to: { host: string; port: number }, sources: Sources, life: Life) {
    this.engine = engine;
    this.handle = handle;
    this.host = to.host;
    this.port = to.port;
    this.sources = sources;
    this.life = life;
  }
}

/**
 * A pool for a URL's host: https gives an {@link HTTPSConnectionPool}, everything else an {@link HTTPConnectionPool}, which
 * takes no options of TLS. The port is always shown.
 *
 * @throws LocationParseError, LocationValueError; URLSchemeUnknown for schemes but http and https; what the pool's
 * constructor throws.
 * @example
 * connectionFromUrl('http://localhost:8080/').port; // 8080
 */
export function connectionFromUrl(
  url: string,
  options: PoolOptions & TLSOptions = {},
): HTTPConnectionPool | HTTPSConnectionPool {
  const { scheme, host, port } = parseUrl(url);
  if (scheme !== null && scheme !== 'http' && scheme !== 'https')
    throw new URLSchemeUnknown(`Not supported URL scheme ${scheme}`, { scheme });
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw argumentError('type', CODE, `a pool takes an object of options, not ${describe(options)}`);
  }
  const given = own(options, 'port') ?? port;
  if (scheme === 'https') return new HTTPSConnectionPool(host ?? '', { ...options, port: given ?? 443 });
  return new HTTPConnectionPool(host ?? '', { ...options, port: given ?? 80 });
}

/** @internal */
export function closeTimeout(options: { timeout?: number | null | undefined }): number | null {
  checkNames(options, ['timeout'], 'close', CODE);
  return wait("close's timeout", own(options, 'timeout') ?? null);
}

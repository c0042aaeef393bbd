/**
 * Pools: what the user makes, asks and closes. A call is one plain record that is handed to the engine; sockets, waiting,
 * clocks and policy are the core's.
 */
import { inspect } from 'node:util';

import { argumentError, checkInherited, checkNames, checkOptions, describe, own } from './arguments.ts';
import type { Sources } from './asking.ts';
import type { Engine, PauseRecord } from './boundary/engine.ts';
import { nextEngine } from './boundary/engines.ts';
import type { Call } from './boundary/marshal.ts';
import { text, wait } from './call.ts';
import { CODE, integer } from './checks.ts';
import { ClosedPoolError, HTTPError, URLSchemeUnknown, type AnyPool } from './errors.ts';
import { ANY_POOL_NAMES, poolSettings, type OnPause, type PoolOptions } from './options.ts';
import { tellOfPause } from './pause.ts';
import { settingsJSON, spokenJSON, type PoolJSON, type SpokenJSON } from './pool-json.ts';
import { RequestMethods } from './requests.ts';
import { authority } from './secrets.ts';
import { Timeout } from './timeout.ts';
import type { TLSOptions } from './tls-options.ts';
import { parseUrl, schemeless } from './url.ts';

/** A pool's live figures; a fresh snapshot each time. */
export interface PoolView {
  /** Connections held by nobody. */
  readonly idle: number;
  /** Connections held by requests, those being dialled included. */
  readonly leased: number;
  /** Requests waiting for a connection. */
  readonly waiting: number;
  /** {@link PoolOptions.maxsize}. */
  readonly maxsize: number;
}

/** What {@link ConnectionPool.close} and {@link PoolManager.close} take. */
export interface CloseOptions {
  /**
   * Milliseconds that requests in flight may still take; then they are cut off and counted. Default none (`null`, `Infinity`): they
   * end by themselves. 0 cuts them off at once.
   */
  timeout?: number | null | undefined;
}

/** What came of {@link ConnectionPool.close}. */
export interface CloseReport {
  /** Connections closed in all. */
  readonly closed: number;
  /** Requests that ended by themselves. */
  readonly drained: number;
  /** Requests that were cut off when the time was up. */
  readonly forced: number;
  /** Milliseconds that closing took. */
  readonly elapsed: number;
}

/** A distribution of spans, in milliseconds. */
export interface Percentiles {
  /** How many spans there were. */
  readonly count: number;
  /** Half of them were no longer than this. */
  readonly p50: number;
  /** 95 of 100 were no longer than this. */
  readonly p95: number;
  /** 99 of 100 were no longer than this. */
  readonly p99: number;
  /** The longest. */
  readonly max: number;
}

/** Everything that a pool, or all pools of a manager, count. `opened = closed + idle + leased` at all times. */
export interface PoolStats {
  /** Open connections. */
  readonly live: number;
  /** Connections held by nobody, now. */
  readonly idle: number;
  /** Connections held by requests, now. */
  readonly leased: number;
  /** Requests that wait for a connection, now. */
  readonly waiting: number;
  /** Connections opened so far. */
  readonly opened: number;
  /** Connections closed so far. */
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
  /** Exchanges given up before their end: by `total`, a signal, a limit, a body that was left or that nobody read. */
  readonly abandoned: number;
  /** Heads that `lenient` repaired. */
  readonly repaired: number;
  /** Bytes behind the end of coded bodies (after gzip's last member, for one), which were ignored. */
  readonly trailingBytes: number;
  /** Bytes received, heads included, TLS's own not. */
  readonly wireBytesIn: number;
  /** Bytes sent, heads included, TLS's own not. */
  readonly wireBytesOut: number;
  /** Bytes of bodies after decoding. */
  readonly decodedBytes: number;
  /** Attempts put on a connection. */
  readonly requests: number;
  /**
   * How often requests failed, by {@link HTTPError.code}: under ERR_MAX_RETRY where retries were used up. Aborted calls are
   * not among them.
   */
  readonly errors: Readonly<Record<string, number>>;
  /** Milliseconds since the oldest request in flight was made; `null` without any. */
  readonly oldestInFlight: number | null;
  /**
   * Of requests that succeeded: how long they waited for a connection and for the head, and how long they took in all,
   * retries and redirects included. A pool that a manager made has none of its own: they are in the manager's.
   */
  readonly latency?: Readonly<Record<'pool' | 'headers' | 'total', Percentiles>>;
}

/** The common base of pools: what {@link HTTPConnectionPool} and {@link HTTPSConnectionPool} are. */
export abstract class ConnectionPool extends RequestMethods {
  /** What is spoken: `'http'`, or `'https'`. */
  abstract readonly scheme: 'http' | 'https';
  /** Normalised: lower case, IDNA, brackets off an IPv6 literal. */
  abstract readonly host: string;
  /** As given; `null` is the scheme's default. */
  abstract readonly port: number | null;
  /** See {@link HTTPConnectionPool.maxsize}. */
  abstract readonly maxsize: number;
  /** See {@link HTTPConnectionPool.block}. */
  abstract readonly block: boolean;
  /** See {@link HTTPConnectionPool.timeout}. */
  abstract readonly timeout: Timeout;
  /** See {@link HTTPConnectionPool.pool}. */
  abstract readonly pool: PoolView | null;
  /** See {@link HTTPConnectionPool.numConnections}. */
  abstract readonly numConnections: number;
  /** See {@link HTTPConnectionPool.numRequests}. */
  abstract readonly numRequests: number;

  /** See {@link HTTPConnectionPool.stats}. */
  abstract stats(): PoolStats;

  /** Closes the pool; see {@link HTTPConnectionPool.close}. */
  abstract close(options?: CloseOptions): Promise<CloseReport>;

  /** Closes the pool when a block of `await using` ends, and waits for its requests. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Closes the pool when a block of `using` ends; nobody waits for its requests, which end by themselves. */
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
 * The connections to one host over plain http, kept and reused. {@link HTTPSConnectionPool} is the one that takes options of TLS.
 * Close it when it is not needed any more: `await using` does.
 *
 * @example
 * const pool = new HTTPConnectionPool('localhost', { port: 8080, maxsize: 10, block: true });
 * const response = await pool.request('GET', '/search', { fields: { q: 'urllib3' } });
 * console.log(response.status, response.data.length > 0); // 200 true
 */
export class HTTPConnectionPool extends ConnectionPool {
  /** Normalised: lower case, IDNA, brackets off an IPv6 literal. */
  readonly host: string;
  /** As given; `null` is the scheme's default (80, or 443). */
  readonly port: number | null;
  /** Connections kept for reuse, and with {@link HTTPConnectionPool.block} the most that there can be. */
  readonly maxsize: number;
  /** Whether a request waits where all {@link HTTPConnectionPool.maxsize} connections are in use. */
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
   * @param host A name or an address, without scheme and port.
   * @throws LocationValueError without a host, LocationParseError for what is none, TypeError or RangeError
   * ERR_INVALID_OPTION for options, InvalidHeader for headers that cannot be sent, ProxySchemeUnknown for a proxy's.
   */
  constructor(host: string, options: PoolOptions = {}) {
    super();
    const held = (host as unknown) instanceof Held ? (host as unknown as Held) : null;
    if (held === null && typeof host !== 'string' && host !== undefined && host !== null) {
      throw argumentError('type', CODE, `a pool's host is a string, not ${describe(host)}`);
    }
    const settings = poolSettings(options, held === null ? this.scheme : 'manager');
    this.#spoken = spokenJSON(options, settings);
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
        isManager: false,
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

  /** Everything that the pool counts; a fresh snapshot each time. */
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
   * Opens connections until there are `n`, and sends nothing. urllib3 has no such method.
   *
   * @throws (rejects with) RangeError for more than `maxsize`, ClosedPoolError, and what dialling meets.
   */
  warm(n: number): Promise<void> {
    try {
      integer(n, 'the number of connections', 0, this.maxsize);
      this.refuseClosed(null);
      return this.#warmed(n);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Closes the pool: idle connections now, leased ones when their request ends or `timeout` milliseconds (default none)
   * are up. Waiting and later requests reject with ClosedPoolError. A second time does no harm.
   *
   * @throws (rejects with) TypeError or RangeError ERR_INVALID_OPTION, ERR_INVALID_TIMEOUT.
   * @example
   * const report = await pool.close({ timeout: 5_000 });
   * console.log(report.forced); // 0: nothing had to be cut off
   */
  close(options: CloseOptions = {}): Promise<CloseReport> {
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
  protected override refuseClosed(asked: Pick<Call, 'method' | 'url'> | null): void {
    if (!this.#isClosed()) return;
    const { method = null, url = null } = asked ?? {};
    const host = authority(this.host, this.port ?? (this.scheme === 'https' ? 443 : 80));
    throw new ClosedPoolError(this, 'Pool is closed.', { phase: 'pool', host, method, url });
  }

  async #warmed(n: number): Promise<void> {
    const began = performance.now();
    try {
      await this.#engine.warm(this, this.#handle, n, this.asking(null));
    } catch (error) {
      // The core's clocks are those of calls, and this is none.
      if (error instanceof HTTPError && error.elapsed === 0 && !Object.isFrozen(error)) {
        Object.assign(error, { elapsed: performance.now() - began });
      }
      throw error;
    }
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
 * console.log(response.connection?.tls?.version); // TLSv1.3
 */
export class HTTPSConnectionPool extends HTTPConnectionPool {
  /**
   * Makes a pool; nothing is opened until the first request, but files that the options name are read.
   *
   * @param host A name or an address, without scheme and port.
   * @throws as {@link HTTPConnectionPool}'s; SSLError ERR_TLS for certificates, keys, cipher suites and fingerprints that
   * cannot be used (`reason` ERR_TLS_CA, ERR_TLS_CERT, ERR_TLS_KEY, ERR_TLS_CIPHER, ERR_FINGERPRINT).
   */
  constructor(host: string, options: PoolOptions & TLSOptions = {}) {
    super(host, options);
  }

  /** `'https'`, always. */
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

/** The options of the pool that {@link connectionFromUrl} makes: none of TLS where the URL is seen to be http. */
export type OptionsFor<U extends string> =
  Lowercase<U> extends `http:${string}` ? PoolOptions : PoolOptions & TLSOptions;

/** The pool that {@link connectionFromUrl} makes, as far as the URL says while the program is compiled. */
export type PoolFor<U extends string> =
  Lowercase<U> extends `https:${string}`
    ? HTTPSConnectionPool
    : Lowercase<U> extends `http:${string}`
      ? HTTPConnectionPool
      : HTTPConnectionPool | HTTPSConnectionPool;

/**
 * A pool for a URL's host: https gives an {@link HTTPSConnectionPool}, everything else an {@link HTTPConnectionPool}, which
 * takes no options of TLS. The port is always shown.
 *
 * @param url Its scheme (default http), host and port are taken; what follows is not looked at.
 * @throws LocationParseError, LocationValueError; URLSchemeUnknown for schemes but http and https; what the pool's
 * constructor throws.
 * @example
 * console.log(connectionFromUrl('http://localhost:8080/').port); // 8080
 */
export function connectionFromUrl<U extends string>(url: U, options?: OptionsFor<U>): PoolFor<U>;
export function connectionFromUrl(
  url: string,
  options: PoolOptions & TLSOptions = {},
): HTTPConnectionPool | HTTPSConnectionPool {
  const { scheme, host, port, path } = parseUrl(url);
  if (scheme !== null && scheme !== 'http' && scheme !== 'https') {
    // `key:@host` has none: what looks like one is a user's name, which may be a secret.
    if (host === null && scheme !== 'mailto' && path?.includes('@') === true) throw schemeless(url);
    throw new URLSchemeUnknown(`Not supported URL scheme ${scheme}`, { scheme });
  }
  checkOptions(options, 'a pool', CODE);
  // What is inherited is not in the copies that the pools are made of.
  checkInherited(options, ANY_POOL_NAMES, 'a pool', CODE);
  const given = own(options, 'port') ?? port;
  if (scheme === 'https') return new HTTPSConnectionPool(host ?? '', { ...options, port: given ?? 443 });
  return new HTTPConnectionPool(host ?? '', { ...options, port: given ?? 80 });
}

/** @internal */
export function closeTimeout(options: CloseOptions): number | null {
  checkNames(options, ['timeout'], 'close', CODE);
  return wait("close's timeout", own(options, 'timeout') ?? null);
}

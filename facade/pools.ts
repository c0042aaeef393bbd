/**
 * Pools: what the user makes, asks and closes. A call is one plain record that is handed to the engine; sockets, waiting,
 * clocks and policy are the core's.
 */
import { inspect } from 'node:util';

import { argumentError, checkNames, describe, own } from './arguments.ts';
import { Engine, type ErrorRecord, type Raw } from './boundary/engine.ts';
import * as layout from './boundary/generated.ts';
import type { Call } from './boundary/marshal.ts';
import { MERGED, merge, QUERY_METHODS, text, upper, wait, wellFormed, type PoolCall } from './call.ts';
import { errorFromRecord } from './error-record.ts';
import { ClosedPoolError, URLSchemeUnknown } from './errors.ts';
import { HTTPHeaderDict } from './headers.ts';
import { isWatched, watch } from './observe.ts';
import {
  CODE,
  integer,
  notSupported,
  poolSettings,
  type Limits,
  type PoolOptions,
  type RequestOptions,
} from './options.ts';
import { poolJSON, type PoolJSON } from './pool-json.ts';
import { requestMany, type Planned, type Settled } from './request-many.ts';
import { HTTPResponse } from './response.ts';
import { Timeout } from './timeout.ts';
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
  readonly latency?: Readonly<Record<'pool' | 'headers' | 'total', Percentiles>>;
}

/** Options of {@link HTTPConnectionPool.urlopen}: a request's, without those that only merge. */
export type UrlopenOptions = Omit<RequestOptions, (typeof MERGED)[number]>;

/** The common base of pools. */
export abstract class ConnectionPool {
  abstract readonly scheme: 'http' | 'https';
  /** Normalised: lower case, IDNA, brackets off an IPv6 literal. */
  abstract readonly host: string;
  /** As given; `null` is the scheme's default. */
  abstract readonly port: number | null;

  /** Closes the pool; see {@link HTTPConnectionPool.close}. */
  abstract close(options?: { timeout?: number }): Promise<CloseReport>;

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
  toString(): string {
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
  readonly scheme = 'http' as const;
  /** Normalised: lower case, IDNA, brackets off an IPv6 literal. */
  readonly host: string;
  /** As given; `null` is the scheme's default (80). */
  readonly port: number | null;
  /** Connections kept for reuse. */
  readonly maxsize: number;
  /** Whether a request waits at the limit. */
  readonly block: boolean;
  /** The time-outs of a request that brings none. */
  readonly timeout: Timeout;
  readonly #engine: Engine;
  readonly #handle: number;
  readonly #headers: HTTPHeaderDict;
  readonly #limits: Limits;
  #closed = false;

  /**
   * Makes a pool; nothing is opened until the first request.
   *
   * @throws LocationValueError without a host, LocationParseError for what is none, TypeError or RangeError
   * ERR_INVALID_OPTION for options, InvalidHeader for headers that cannot be sent.
   */
  constructor(host: string, options: PoolOptions = {}) {
    super();
    if (typeof host !== 'string' && host !== undefined && host !== null) {
      throw argumentError('type', CODE, `a pool's host is a string, not ${describe(host)}`);
    }
    const settings = poolSettings(host ?? '', options);
    this.port = (settings['port'] as number | undefined) ?? null;
    this.maxsize = (settings['maxsize'] as number | undefined) ?? 1;
    this.block = (settings['block'] as boolean | undefined) ?? false;
    this.timeout = (settings['timeout'] as Timeout | undefined) ?? Timeout.from(null);
    // From the checked lines: the option may be an iterator, which can be read once only.
    this.#headers = new HTTPHeaderDict((settings['headers'] as [string, string | null][] | undefined) ?? []);
    this.#limits = (settings['limits'] as Limits | undefined) ?? {};
    // Errors of the constructor name the host as it was given.
    this.host = host ?? '';
    this.#engine = Engine.get();
    const { handle, host: normalised } = this.#engine.open(this, settings);
    this.#handle = handle;
    this.host = normalised;
  }

  /** Live figures; `null` once the pool is closed. */
  get pool(): PoolView | null {
    if (this.#closed) return null;
    const [idle = 0, leased = 0, waiting = 0] = this.#engine.figures(this.#handle);
    return { idle, leased, waiting, maxsize: this.maxsize };
  }

  /** Sockets ever opened. (urllib3 misses those that were dialled again.) */
  get numConnections(): number {
    return this.#engine.figures(this.#handle)[3] ?? 0;
  }

  /** Attempts ever put on a connection. */
  get numRequests(): number {
    return this.#engine.figures(this.#handle)[4] ?? 0;
  }

  /** The headers of a request that brings none; a copy. */
  get headers(): HTTPHeaderDict {
    return this.#headers.copy();
  }

  /** Everything that the pool counts. */
  stats(): PoolStats {
    return JSON.parse(this.#engine.stats(this.#handle)) as PoolStats;
  }

  /** Where it leads and what it keeps to, as plain data for logs; of its headers the names alone. */
  toJSON(): PoolJSON {
    return poolJSON(this);
  }

  /**
   * Makes a request; the method is upper-cased. `fields` go into the query for GET, HEAD, DELETE and OPTIONS, and into
   * the body for every other method.
   *
   * @throws (rejects with) everything in the documentation of errors; bad input before anything is sent.
   */
  request(method: string, url: string, options?: RequestOptions): Promise<HTTPResponse> {
    try {
      const name = upper(method);
      if (options === undefined) return this.#send(this.#call(name, url), null);
      return this.#open(name, url, options, QUERY_METHODS.has(name) ? 'query' : 'body');
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Makes a request whose `fields` go into the query, whatever the method. */
  requestEncodeUrl(method: string, url: string, options: RequestOptions = {}): Promise<HTTPResponse> {
    try {
      return this.#open(upper(method), url, options, 'query');
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Makes a request whose `fields` go into the body, whatever the method. */
  requestEncodeBody(method: string, url: string, options: RequestOptions = {}): Promise<HTTPResponse> {
    try {
      return this.#open(upper(method), url, options, 'body');
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The lowest level: the method goes out as it is given, and nothing is merged. */
  urlopen(method: string, url: string, options: UrlopenOptions = {}): Promise<HTTPResponse> {
    try {
      for (const name of MERGED) {
        if (typeof options !== 'object' || options === null || !Object.hasOwn(options, name)) continue;
        throw argumentError('type', CODE, `urlopen has no option '${name}'; use request`);
      }
      return this.#open(text(method, 'a method'), url, options, 'body');
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Makes many requests, `concurrency` (default `maxsize`) at a time, and yields each as it settles: unordered, bounded,
   * and no faster than they are taken. It never throws for a request; leaving the loop aborts what is in flight.
   *
   * @example
   * for await (const settled of pool.requestMany(['/a', '/b'])) if (settled.ok) settled.response.data;
   */
  requestMany(
    requests: Iterable<Planned> | AsyncIterable<Planned>,
    options: { concurrency?: number } = {},
  ): AsyncIterableIterator<Settled> {
    return requestMany(this, requests, options, this.maxsize);
  }

  /** Whether a URL names this pool's host: a path does, `//other/` does not. */
  isSameHost(url: string): boolean {
    return this.#engine.isSameHost(this.#handle, text(url, 'a URL'));
  }

  /**
   * Opens connections until there are `n`, and sends nothing.
   *
   * @throws (rejects with) RangeError for more than `maxsize`, ClosedPoolError, and what dialling meets.
   */
  warm(n: number): Promise<void> {
    try {
      integer(n, 'the number of connections', 0, this.maxsize);
      this.#refuseClosed();
      return this.#engine.warm(this, this.#handle, n);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Closes the pool: idle connections now, leased ones when their request ends or `timeout` milliseconds (default none)
   * are up. Waiting and later requests reject with ClosedPoolError. A second time does no harm.
   */
  close(options: { timeout?: number } = {}): Promise<CloseReport> {
    try {
      const timeout = closeTimeout(options);
      this.#closed = true;
      return this.#engine.close<CloseReport>(this, this.#handle, timeout);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** @internal */
  respond(raw: Raw): HTTPResponse {
    return HTTPResponse.fromRecord(raw);
  }

  /** @internal */
  refuse(record: ErrorRecord, url: string, cause?: unknown): Error {
    return errorFromRecord(record, { pool: this, url, cause });
  }

  /** @internal */
  locate(url: string, fields: Call['fields']): string {
    return this.#engine.absoluteUrl(this.#handle, url, fields);
  }

  #open(method: string, url: string, options: RequestOptions, fields: 'query' | 'body'): Promise<HTTPResponse> {
    const call = this.#call(method, url);
    const signal = merge(call, options, fields, this.#limits, this.#headers);
    if (signal !== null && signal.aborted) {
      call.source?.discard?.();
      return Promise.reject(signal.reason as Error);
    }
    return this.#send(call, signal);
  }

  #call(method: string, url: string): PoolCall {
    return {
      pool: this.#handle,
      method,
      url: wellFormed(text(url, 'a URL')),
      flags: 0,
      lines: null,
      fields: null,
      body: null,
      source: null,
      onProgress: null,
      accept: null,
      limits: null,
      timeout: null,
      poolTimeout: null,
    };
  }

  #send(call: PoolCall, signal: AbortSignal | null): Promise<HTTPResponse> {
    if (this.#closed) {
      call.source?.discard?.();
      this.#refuseClosed();
    }
    if (isWatched()) return watch(this, call, this.#headers, signal, () => this.#dispatch(call, signal));
    return this.#dispatch(call, signal);
  }

  #dispatch(call: PoolCall, signal: AbortSignal | null): Promise<HTTPResponse> {
    const { accept, flags } = call;
    if (accept === null) return this.#engine.request<HTTPResponse>(this, call, signal);
    const preload = (flags & layout.REQUEST_STREAM_WHOLE) !== 0;
    return this.#engine
      .request<HTTPResponse>(this, call, signal)
      .then((response) => response.acceptWith(accept, preload));
  }

  #refuseClosed(): void {
    if (this.#closed) throw new ClosedPoolError(this, 'Pool is closed.', { phase: 'pool' });
  }
}

/**
 * A pool for a URL's host: https gives an HTTPSConnectionPool once that is served, everything else an
 * {@link HTTPConnectionPool}. The port is always shown.
 *
 * @throws LocationParseError, LocationValueError; URLSchemeUnknown for schemes but http and https; TypeError
 * ERR_NOT_SUPPORTED for https.
 * @example
 * connectionFromUrl('http://localhost:8080/').port; // 8080
 */
export function connectionFromUrl(url: string, options: PoolOptions = {}): HTTPConnectionPool {
  const { scheme, host, port } = parseUrl(url);
  if (scheme === 'https') throw notSupported('https');
  if (scheme !== null && scheme !== 'http')
    throw new URLSchemeUnknown(`Not supported URL scheme ${scheme}`, { scheme });
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw argumentError('type', CODE, `a pool takes an object of options, not ${describe(options)}`);
  }
  return new HTTPConnectionPool(host ?? '', { ...options, port: own(options, 'port') ?? port ?? 80 });
}

function closeTimeout(options: { timeout?: number }): number | null {
  checkNames(options, ['timeout'], 'close', CODE);
  return wait("close's timeout", own(options, 'timeout') ?? null);
}

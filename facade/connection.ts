/**
 * One connection, outside any pool that a caller sees: urllib3's `HTTPConnection`. It is a pool of one that neither retries
 * nor follows redirects, so that everything below it is what pools have.
 */
import { inspect } from 'node:util';

import { checkNames, own } from './arguments.ts';
import { CODE } from './checks.ts';
import { ResponseNotReady } from './errors.ts';
import { POOL_NAMES, type PoolOptions, type RequestOptions, type SocketOptions } from './options.ts';
import { HTTPConnectionPool, HTTPSConnectionPool } from './pools.ts';
import type { HTTPResponse } from './response.ts';
import type { Timeout } from './timeout.ts';
import { TLS_NAMES, type TLSOptions } from './tls-options.ts';

/** Options of an {@link HTTPConnection}: a pool's, but for those about many connections and about trying again. */
export type ConnectionOptions = Omit<
  PoolOptions,
  | 'block'
  | 'idleTimeout'
  | 'maxAge'
  | 'maxRequestsPerConnection'
  | 'maxWaiting'
  | 'maxsize'
  | 'onPause'
  | 'pauseOn'
  | 'rate'
  | 'retries'
>;

/** What a request on an {@link HTTPConnection} may bring. */
export type ConnectionRequestOptions = Pick<
  RequestOptions,
  | 'body'
  | 'chunked'
  | 'decodeContent'
  | 'enforceContentLength'
  | 'headers'
  | 'json'
  | 'limits'
  | 'onProgress'
  | 'preloadContent'
  | 'signal'
  | 'timeout'
>;

/**
 * One connection to one host. A request goes out with {@link HTTPConnection.request}, and its response is taken with
 * {@link HTTPConnection.getResponse}; one at a time. Nothing is tried again and no redirect is followed.
 *
 * @example
 * const connection = new HTTPConnection('localhost', { port: 8080 });
 * await connection.request('GET', '/');
 * const response = await connection.getResponse();
 */
export class HTTPConnection {
  /** 80; 443 of an {@link HTTPSConnection}. */
  static readonly defaultPort: number = 80;
  /** What a socket has where `socketOptions` is not given. */
  static readonly defaultSocketOptions: Readonly<SocketOptions> = Object.freeze({ noDelay: true });

  /** Normalised: lower case, IDNA, brackets off an IPv6 literal. */
  readonly host: string;
  readonly port: number;
  /** The time-outs of a request that brings none. */
  readonly timeout: Timeout;
  readonly #given: { readonly host: string; readonly options: PoolOptions & TLSOptions };
  /** `null` once closed: the next one is made when it is needed. */
  #pool: HTTPConnectionPool | null;
  /** The pool's sockets when what opens one began; `null` while nothing does. */
  #before: number | null = null;
  #exchange: Exchange | null = null;
  /** The last response taken, for as long as somebody holds it. */
  #taken: WeakRef<HTTPResponse> | null = null;

  /**
   * Makes a connection; nothing is opened until {@link HTTPConnection.connect} or the first request.
   *
   * @throws as {@link HTTPConnectionPool}'s constructor.
   */
  constructor(host: string, options: ConnectionOptions = {}) {
    checkNames(options, this.#names(), 'a connection', CODE);
    const all: PoolOptions & TLSOptions = { ...options, maxsize: 1, block: true, retries: false };
    const pool = this.pooled(host, all);
    // Connections are made of the options again, and headers may come from an iterator.
    this.#given = { host, options: all.headers === undefined ? all : { ...all, headers: pool.headers } };
    this.#pool = pool;
    this.host = pool.host;
    this.port = pool.port ?? (pool.scheme === 'https' ? 443 : 80);
    this.timeout = pool.timeout;
  }

  /** Whether there is no connection: not yet, or not any more. */
  get isClosed(): boolean {
    const pool = this.#pool;
    const { idle = 0, leased = 0 } = pool?.pool ?? {};
    if (idle > 0) return false;
    return leased === 0 || this.#before === pool?.numConnections;
  }

  /** Whether there is a connection, as far as is known without writing to it. */
  get isConnected(): boolean {
    return !this.isClosed;
  }

  /** Whether the peer of the connection was verified: its chain, or its fingerprint. Never over http, and never closed. */
  get isVerified(): boolean {
    return this.isConnected && this.verifies();
  }

  /** Whether the proxy was verified; `null` without one. */
  get proxyIsVerified(): boolean | null {
    return null;
  }

  /** Whether the connection leads to a proxy. */
  get hasConnectedToProxy(): boolean {
    return false;
  }

  /** Whether a proxy is given requests to pass on. */
  get proxyIsForwarding(): boolean {
    return false;
  }

  /** Whether a proxy makes a tunnel. */
  get proxyIsTunneling(): boolean {
    return false;
  }

  /**
   * Opens the connection, and sends nothing. Does nothing if there is one.
   *
   * @throws (rejects with) what dialling meets.
   */
  async connect(): Promise<void> {
    const pool = this.#current();
    await this.#opening(pool, () => pool.warm(1));
  }

  /**
   * Sends a request, and resolves when all of it has been handed to the system, or when its response has come before. Opens
   * the connection if there is none. The method goes out as it is given; 3xx are responses like any other.
   *
   * @throws (rejects with) ResponseNotReady while the response before has not been taken, or its body not been read; what
   * dialling and sending meet; TypeError or RangeError for options.
   */
  async request(method: string, url: string, options: ConnectionRequestOptions = {}): Promise<void> {
    checkNames(options, OF_REQUESTS, 'a request on a connection', CODE);
    if (this.#exchange !== null)
      throw new ResponseNotReady('the response before has not been taken: call getResponse()');
    if (this.#taken?.deref()?.closed === false) {
      throw new ResponseNotReady('the response before has not been read: read it, or call its drainConn()');
    }
    const pool = this.#current();
    let tell = (): void => undefined;
    const sent = new Promise<void>((resolve) => {
      tell = resolve;
    });
    const response = pool.send(method, url, options, tell);
    const exchange: Exchange = { response };
    this.#exchange = exchange;
    try {
      await this.#opening(pool, () => Promise.race([sent, response]));
    } catch (error) {
      // It was not sent: there is no response to wait for.
      if (this.#exchange === exchange) this.#exchange = null;
      throw error;
    }
    // Whoever never takes it is not to hear of it as an unhandled rejection.
    response.catch(() => undefined);
  }

  /**
   * The response to the request that was sent: with its body, or (`preloadContent: false`) with its head, and then the
   * connection is taken until the body has been read, drained or closed.
   *
   * @throws (rejects with) ResponseNotReady without a request, and a second time for one; what reading meets.
   */
  async getResponse(): Promise<HTTPResponse> {
    const exchange = this.#exchange;
    if (exchange === null) throw new ResponseNotReady('no request was sent, or its response has been taken');
    this.#exchange = null;
    const response = await exchange.response;
    this.#taken = new WeakRef(response);
    return response;
  }

  /**
   * Closes the connection, now: a request in flight and a body that is being read are cut off. The next request, and
   * {@link HTTPConnection.connect}, open another. Never rejects.
   */
  async close(): Promise<void> {
    const pool = this.#pool;
    this.#exchange?.response.catch(() => undefined);
    this.#exchange = null;
    this.#taken = null;
    this.#before = null;
    this.#pool = null;
    await pool?.close({ timeout: 0 }).catch(() => undefined);
  }

  /** Closes when a block of `await using` ends. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Closes when a block of `using` ends. */
  [Symbol.dispose](): void {
    void this.close();
  }

  /** `HTTPConnection(host='localhost', port=8080)`. */
  toString(): string {
    return `${this.constructor.name}(host='${this.host}', port=${this.port})`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  /** Whether what there is has been verified, as it would not be there otherwise. @internal */
  protected verifies(): boolean {
    return false;
  }

  /** What a connection of this class is a pool of. @internal */
  protected pooled(host: string, options: PoolOptions & TLSOptions): HTTPConnectionPool {
    return new HTTPConnectionPool(host, options);
  }

  /** Remembers how many sockets there were: while one is being opened the pool's figures count it already. */
  async #opening(pool: HTTPConnectionPool, open: () => Promise<unknown>): Promise<void> {
    this.#before = pool.pool?.idle === 0 ? pool.numConnections : null;
    try {
      await open();
    } finally {
      if (this.#pool === pool) this.#before = null;
    }
  }

  #current(): HTTPConnectionPool {
    return (this.#pool ??= this.pooled(this.#given.host, this.#given.options));
  }

  #names(): readonly string[] {
    const names = POOL_NAMES.filter((name) => !OF_POOLS.has(name));
    return this instanceof HTTPSConnection ? [...names, ...TLS_NAMES] : names;
  }
}

/**
 * One connection to one host over TLS: an {@link HTTPConnection} with the options of TLS.
 *
 * @example
 * const connection = new HTTPSConnection('localhost', { port: 8443, caCerts: 'ca.pem' });
 */
export class HTTPSConnection extends HTTPConnection {
  static override readonly defaultPort: number = 443;
  readonly #verifies: boolean;

  /**
   * Makes a connection; nothing is opened, but files that the options name are read.
   *
   * @throws as {@link HTTPSConnectionPool}'s constructor.
   */
  constructor(host: string, options: ConnectionOptions & TLSOptions = {}) {
    super(host, options);
    const reqs = own(options, 'certReqs') ?? 'required';
    // Nobody gets a connection to a peer that does not pass the checks.
    this.#verifies = !/none$/i.test(reqs) || (own(options, 'assertFingerprint') ?? null) !== null;
  }

  /** @internal */
  protected override verifies(): boolean {
    return this.#verifies;
  }

  /** @internal */
  protected override pooled(host: string, options: PoolOptions & TLSOptions): HTTPConnectionPool {
    return new HTTPSConnectionPool(host, options);
  }
}

interface Exchange {
  readonly response: Promise<HTTPResponse>;
}

/** What has a meaning only where there are several connections, or several attempts. */
const OF_POOLS: ReadonlySet<string> = new Set([
  'block',
  'idleTimeout',
  'maxAge',
  'maxRequestsPerConnection',
  'maxWaiting',
  'maxsize',
  'onPause',
  'pauseOn',
  'rate',
  'retries',
]);
const OF_REQUESTS: readonly string[] = [
  'body',
  'chunked',
  'decodeContent',
  'enforceContentLength',
  'headers',
  'json',
  'limits',
  'onProgress',
  'preloadContent',
  'signal',
  'timeout',
];

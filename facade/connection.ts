/**
 * One connection, outside any pool that a caller sees: urllib3's `HTTPConnection`. It is a pool of one that neither retries
 * nor follows redirects, so that everything below it is what pools have.
 */
import { inspect } from 'node:util';

import { argumentError, checkNames, describe, own } from './arguments.ts';
import { discardBody } from './body.ts';
import { text } from './call.ts';
import { CODE, integer } from './checks.ts';
import { LocationParseError, ResponseNotReady } from './errors.ts';
import type { HeaderSource } from './headers.ts';
import { POOL_NAMES, type PoolOptions, type RequestOptions, type SocketOptions } from './options.ts';
import { HTTPConnectionPool, HTTPSConnectionPool } from './pools.ts';
import { NamedProxy, proxySettings, wayThrough, type ProxyWay } from './proxy-options.ts';
import type { HTTPResponse } from './response.ts';
import type { Timeout } from './timeout.ts';
import type { Method, Together } from './together.ts';
import { TLS_NAMES, type TLSOptions } from './tls-options.ts';

/**
 * Options of an {@link HTTPConnection}: a pool's, but for those about many connections and about trying again. `proxyConfig`
 * without `proxy` is for {@link HTTPConnection.setTunnel}.
 */
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
 * console.log(response.status); // 200
 */
export class HTTPConnection {
  /** 80; 443 of an {@link HTTPSConnection}. */
  static readonly defaultPort: number = 80;
  /** What a socket has where `socketOptions` is not given. */
  static readonly defaultSocketOptions: Readonly<SocketOptions> = Object.freeze({ noDelay: true });

  /** Normalised: lower case, IDNA, brackets off an IPv6 literal. */
  readonly host: string;
  /** Where it is connected to: the scheme's where none was given. */
  readonly port: number;
  /** The time-outs of a request that brings none. */
  readonly timeout: Timeout;
  readonly #given: Made;
  /** How it leads through the proxy of its options, or of its tunnel; `null` where there is none. */
  #way: ProxyWay | null;
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
    const proxied = proxySettings(options);
    const all: PoolOptions & TLSOptions = { ...options, maxsize: 1, block: true, retries: false };
    // Connections are made of the options again, and headers may come from an iterator.
    if (proxied.headers !== null) all.proxyHeaders = proxied.headers;
    const proxyConfig = own(options, 'proxyConfig') ?? null;
    // A tunnel may be set later.
    if (proxied.wire === null) all.proxyConfig = null;
    const pool = this.pooled(host, all);
    if (all.headers !== undefined) all.headers = pool.headers;
    this.#given = { host, options: all, proxyConfig, way: wayThrough(proxied, pool.scheme) };
    this.#way = this.#given.way;
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

  /**
   * Whether the peer of the connection was verified: its chain, or its fingerprint. Never over http, never closed, and never
   * where a proxy is given requests to pass on: what is behind it is for the proxy to verify.
   */
  get isVerified(): boolean {
    return this.isConnected && this.#way?.forwards !== true && this.verifies();
  }

  /** Whether the proxy was verified; `null` without a proxy, and while there is no connection. */
  get proxyIsVerified(): boolean | null {
    return this.#way !== null && this.isConnected ? this.#way.verifies : null;
  }

  /** Whether there is a connection, and it leads through a proxy. */
  get hasConnectedToProxy(): boolean {
    return this.#way !== null && this.isConnected;
  }

  /** Whether a proxy is given requests to pass on. */
  get proxyIsForwarding(): boolean {
    return this.#way?.forwards === true;
  }

  /** Whether a proxy makes a tunnel, or is SOCKS, which is the same to what is sent. */
  get proxyIsTunneling(): boolean {
    return this.#way?.forwards === false;
  }

  /**
   * From now on this connection's own host is a proxy, which is asked for a tunnel (CONNECT) to another: that one is what
   * requests, the Host field and certificates name. Until {@link HTTPConnection.close}, which forgets it.
   *
   * @param host the target, or `host:port`.
   * @param port default: {@link HTTPConnection.defaultPort} of the class.
   * @param headers fields of the CONNECT; `null` is none.
   * @param scheme how the proxy is spoken to; TLS to it is as `proxyConfig` says.
   * @throws TypeError ERR_INVALID_OPTION for another scheme, and where the options name a proxy; Error ERR_NOT_READY once there
   * is a connection; as the constructor for host and headers.
   */
  setTunnel(
    host: string,
    port: number | null = null,
    headers: HeaderSource | null = null,
    scheme: 'http' | 'https' = 'http',
  ): void {
    if (scheme !== 'http' && scheme !== 'https') {
      const given = typeof scheme === 'string' ? `'${String(scheme).slice(0, 32)}'` : describe(scheme);
      const message = `Invalid proxy scheme for tunneling: ${given}, must be either 'http' or 'https'`;
      throw argumentError('type', CODE, message);
    }
    if (this.#given.way !== null) throw argumentError('type', CODE, 'the connection has a proxy: its options name one');
    if (this.#before !== null || this.#exchange !== null || this.isConnected) {
      const message = "Can't set up tunnel for established connection";
      throw Object.assign(new Error(message), { code: 'ERR_NOT_READY' });
    }
    const target = hostPort(text(host, 'a host'), port);
    const at = this.host.includes(':') ? `[${this.host}]` : this.host;
    const options: PoolOptions & TLSOptions = {
      ...this.#given.options,
      port: target.port,
      proxy: new NamedProxy(`${scheme}://${at}:${this.port}`, { alwaysTunnels: true }) as never,
      proxyHeaders: headers,
      proxyConfig: this.#given.proxyConfig,
    };
    const proxied = proxySettings(options);
    const pool = this.pooled(target.host, { ...options, proxyHeaders: proxied.headers });
    this.#pool?.close({ timeout: 0 }).catch(() => undefined);
    this.#pool = pool;
    this.#way = wayThrough(proxied, pool.scheme);
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
  async request<Given extends ConnectionRequestOptions | object>(
    method: Method,
    url: string,
    options?: Together<Given, ConnectionRequestOptions, 'body'>,
  ): Promise<void> {
    const given: ConnectionRequestOptions = options === undefined ? {} : options;
    try {
      this.#checkRequest(given);
    } catch (error) {
      // That it is not its turn yet costs a request nothing.
      if (!(error instanceof ResponseNotReady)) discardBody(given);
      throw error;
    }
    const pool = this.#current();
    let tell = (): void => undefined;
    const sent = new Promise<void>((resolve) => {
      tell = resolve;
    });
    const response = pool.send(method, url, given, tell);
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

  #checkRequest(options: ConnectionRequestOptions): void {
    checkNames(options, OF_REQUESTS, 'a request on a connection', CODE);
    if (this.#exchange !== null)
      throw new ResponseNotReady('the response before has not been taken: call getResponse()');
    if (this.#taken?.deref()?.closed === false) {
      throw new ResponseNotReady('the response before has not been read: read it, or call its drainConn()');
    }
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
   * Closes the connection, now: a request in flight and a body that is being read are cut off, and a tunnel is forgotten. The
   * next request, and {@link HTTPConnection.connect}, open another. Never rejects.
   */
  async close(): Promise<void> {
    const pool = this.#pool;
    this.#exchange?.response.catch(() => undefined);
    this.#exchange = null;
    this.#taken = null;
    this.#before = null;
    this.#pool = null;
    this.#way = this.#given.way;
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
 * await connection.connect();
 * console.log(connection.isVerified); // true
 */
export class HTTPSConnection extends HTTPConnection {
  /** 443. */
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

/** `host:port`, as http.client takes it apart; brackets stay. */
function hostPort(host: string, port: number | null): { host: string; port: number | null } {
  if (port !== null) return { host, port: integer(port, 'port', 0, 65_535) };
  const [, name = host, digits = ''] = /^(\[[^\]]*\]|[^:]*):([^:\]]*)$/.exec(host) ?? [];
  if (name === host || digits === '') return { host: name, port: null };
  const number = Number(digits);
  if (/^\d+$/.test(digits) && number <= 65_535) return { host: name, port: number };
  throw new LocationParseError(`the port of a tunnel's target is a number up to 65535`, { location: host });
}

/** What a connection is made of, each time anew. */
interface Made {
  readonly host: string;
  readonly options: PoolOptions & TLSOptions;
  /** Also where there is no proxy yet. */
  readonly proxyConfig: NonNullable<PoolOptions['proxyConfig']> | null;
  readonly way: ProxyWay | null;
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

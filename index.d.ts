// The public types of ferropool, generated from the facade by `npm run build:dts`. Its difference is the review of the API.

/// <reference types="node" />

import { Readable } from 'node:stream';

// Pools: the connections to one host, kept and reused.

/**
 * The connections to one host over plain http, kept and reused. {@link HTTPSConnectionPool} is the one that takes options of TLS.
 * Close it when it is not needed any more: `await using` does.
 *
 * @example
 * const pool = new HTTPConnectionPool('localhost', { port: 8080, maxsize: 10, block: true });
 * const response = await pool.request('GET', '/search', { fields: { q: 'urllib3' } });
 * console.log(response.status, response.data.length > 0); // 200 true
 */
export declare class HTTPConnectionPool extends ConnectionPool {
  #private;
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
  /**
   * Makes a pool; nothing is opened until the first request.
   *
   * @param host A name or an address, without scheme and port.
   * @throws LocationValueError without a host, LocationParseError for what is none, TypeError or RangeError
   * ERR_INVALID_OPTION for options, InvalidHeader for headers that cannot be sent, ProxySchemeUnknown for a proxy's.
   */
  constructor(host: string, options?: PoolOptions);
  /** `'http'`, and `'https'` of an {@link HTTPSConnectionPool}. */
  get scheme(): "http" | "https";
  /** Live figures; `null` once the pool is closed. */
  get pool(): PoolView | null;
  /** Sockets ever opened. (urllib3 misses those that were dialled again.) */
  get numConnections(): number;
  /** Attempts ever put on a connection. */
  get numRequests(): number;
  /** Everything that the pool counts; a fresh snapshot each time. */
  stats(): PoolStats;
  /** Where it leads and what it keeps to, as plain data for logs; of its headers the names alone. */
  toJSON(): PoolJSON;
  /** Whether a URL names this pool's host: a path does, `//other/` does not. */
  isSameHost(url: string): boolean;
  /**
   * Opens connections until there are `n`, and sends nothing. urllib3 has no such method.
   *
   * @throws (rejects with) RangeError for more than `maxsize`, ClosedPoolError, and what dialling meets.
   */
  warm(n: number): Promise<void>;
  /**
   * Closes the pool: idle connections now, leased ones when their request ends or `timeout` milliseconds (default none)
   * are up. Waiting and later requests reject with ClosedPoolError. A second time does no harm.
   *
   * @throws (rejects with) TypeError or RangeError ERR_INVALID_OPTION, ERR_INVALID_TIMEOUT.
   * @example
   * const report = await pool.close({ timeout: 5_000 });
   * console.log(report.forced); // 0: nothing had to be cut off
   */
  close(options?: CloseOptions): Promise<CloseReport>;
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
export declare class HTTPSConnectionPool extends HTTPConnectionPool {
  /**
   * Makes a pool; nothing is opened until the first request, but files that the options name are read.
   *
   * @param host A name or an address, without scheme and port.
   * @throws as {@link HTTPConnectionPool}'s; SSLError ERR_TLS for certificates, keys, cipher suites and fingerprints that
   * cannot be used (`reason` ERR_TLS_CA, ERR_TLS_CERT, ERR_TLS_KEY, ERR_TLS_CIPHER, ERR_FINGERPRINT).
   */
  constructor(host: string, options?: PoolOptions & TLSOptions);
  /** `'https'`, always. */
  get scheme(): "https";
}

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
export declare function connectionFromUrl<U extends string>(url: U, options?: OptionsFor<U>): PoolFor<U>;

/** The common base of pools: what {@link HTTPConnectionPool} and {@link HTTPSConnectionPool} are. */
export declare abstract class ConnectionPool extends RequestMethods {
  /** What is spoken: `'http'`, or `'https'`. */
  abstract readonly scheme: "http" | "https";
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
  [Symbol.asyncDispose](): Promise<void>;
  /** Closes the pool when a block of `using` ends; nobody waits for its requests, which end by themselves. */
  [Symbol.dispose](): void;
  /** `HTTPConnectionPool(host='localhost', port=8080)`. */
  toString(): string;
}

/**
 * How requests are made: what pools and managers have in common, urllib3's `RequestMethods`. `Options` are those of a request:
 * {@link RequestOptions} of a pool, {@link ManagerRequestOptions} of a manager.
 *
 * Every method that gives a promise checks its arguments before anything is sent, and rejects (it never throws) with a TypeError or
 * RangeError where they are no good. Two bodies among the options of one request (`body`, `json`, `fields`) do not compile where both
 * are certain to be there, nor does `releaseConn: true` with `preloadContent: false`. Other combinations, of the items of
 * {@link RequestMethods.requestMany} and of what pools and managers are made with, are refused when they are given.
 */
declare abstract class RequestMethods<Options extends RequestOptions = RequestOptions> {
  #private;
  /** The `Retry` of a request that brings none: {@link Retry.DEFAULT}, a total of 3, where nothing else was said. */
  get retries(): Retry;
  /** The headers of a request that brings none; a copy. Empty where nothing was said. */
  get headers(): HTTPHeaderDict;
  /**
   * Makes a request, tries it again and follows redirects as its {@link Retry} says, and resolves with the response, whatever
   * its status. `fields` go into the query for GET, HEAD, DELETE and OPTIONS, and into the body for every other method.
   *
   * @param method In any case: it goes out in upper case.
   * @param url Of a pool a path or a URL of its host, of a manager an absolute URL. A string: of a `URL` object its `href`.
   * @throws (rejects with) {@link HTTPError}s, each with its `code`; TypeError or RangeError ERR_INVALID_OPTION, ERR_INVALID_TIMEOUT,
   * ERR_INVALID_METHOD, ERR_INVALID_URL or ERR_INVALID_BODY for arguments; the `reason` of its signal.
   * @example
   * const response = await pool.request('POST', '/echo', { json: { id: 1 }, timeout: { total: 5_000 } });
   * console.log(response.status); // 200
   */
  request<M extends Method, Given extends RequestOptions | object>(method: M, url: string, options?: Together<Given, Options, FieldsGo<M>>): Promise<HTTPResponse>;
  /**
   * Makes a request whose `fields` go into the query, whatever the method. urllib3's `request_encode_url`.
   *
   * @throws (rejects with) what {@link RequestMethods.request} does.
   */
  requestEncodeUrl<M extends Method, Given extends RequestOptions | object>(method: M, url: string, options?: Together<Given, Options, "query">): Promise<HTTPResponse>;
  /**
   * Makes a request whose `fields` go into the body, whatever the method. urllib3's `request_encode_body`.
   *
   * @throws (rejects with) what {@link RequestMethods.request} does.
   */
  requestEncodeBody<M extends Method, Given extends RequestOptions | object>(method: M, url: string, options?: Together<Given, Options, "body">): Promise<HTTPResponse>;
  /**
   * The lowest level: the method goes out as it is given, in whatever case, and no option is merged into another. Retries and
   * redirects are as with {@link RequestMethods.request}, which does not come through here (urllib3's does): a subclass that means
   * every request overrides both.
   *
   * @throws (rejects with) what {@link RequestMethods.request} does.
   */
  urlopen<M extends Method, Given extends RequestOptions | object>(method: M, url: string, options?: Together<Given, UrlopenOptions<Options>, "body">): Promise<HTTPResponse>;
  /**
   * Makes many requests, `concurrency` at a time (default: a pool's `maxsize`, 64 for a manager), and yields each as it
   * settles: unordered, bounded, and no faster than they are taken. A request that fails is yielded too (`ok: false`). Leaving the
   * loop before its end aborts what is in flight, and with it bodies that are read in pieces; after its end they can be read on.
   * urllib3 has no such method.
   *
   * @param requests URLs, or what a request is made of; an iterable that is asked for more when there is room.
   * @throws TypeError or RangeError ERR_INVALID_OPTION for arguments; while iterating whatever `requests` throws itself.
   * @example
   * for await (const settled of pool.requestMany(['/a', '/b'], { concurrency: 2 })) {
   *   if (settled.ok) console.log(settled.index, settled.response.status);
   *   else console.error(settled.index, settled.error.message);
   * }
   */
  requestMany(requests: Iterable<Planned<Options>> | AsyncIterable<Planned<Options>>, options?: ManyOptions): AsyncIterableIterator<Settled<Options>>;
}

export type { RequestMethods };

/** Options of an {@link HTTPConnectionPool}. An {@link HTTPSConnectionPool} takes {@link TLSOptions} besides. `undefined` is the default everywhere. */
export interface PoolOptions {
  /** Where the host is connected to, 0 to 65,535. Default (`null` too): the scheme's, 80 or 443. */
  port?: number | null | undefined;
  /** Connections kept for reuse; with `block` also the most that can exist. At least 1. Default 1. */
  maxsize?: number | undefined;
  /**
   * At the limit: `true` waits in order of arrival for a connection, `false` (default) opens an extra one that is closed
   * after use (counted in `stats().surplus`, warned about once a pool).
   */
  block?: boolean | undefined;
  /** Requests that may wait for a connection; one more rejects with {@link EmptyPoolError} at once. Default 0: no bound. */
  maxWaiting?: number | undefined;
  /** Of requests that bring none: milliseconds, or a {@link Timeout}. Default (`null` too) none: what is not set never fires. */
  timeout?: TimeoutLike;
  /**
   * Sent with every request that does not give its own {@link RequestOptions.headers}, which replace them. Default (`null`) none. What is of an
   * interface is spread, `{ ...own }`: it has no index signature.
   */
  headers?: HeaderSource | null | undefined;
  /** What Accept-Encoding asks for: `true` for {@link ACCEPT_ENCODING}, a string for itself. Default `false`: `identity`, as in urllib3. */
  acceptEncoding?: boolean | string | undefined;
  /**
   * The proxy that connections lead to: `http`, `https`, `socks4`, `socks4a`, `socks5` or `socks5h`, with credentials in its
   * URL if it wants some. http origins are asked for through the first two, everything else goes through a tunnel. Default
   * none (`null`). What cannot be used is a {@link ProxySchemeUnknown} or {@link LocationParseError}. Not together with `unixSocket`.
   */
  proxy?: string | URL | null | undefined;
  /**
   * Fields that an http or https proxy alone is shown: on CONNECT, and over the request's own where it is handed on. Of a pool
   * without `proxy` a TypeError; of a manager without one they go to each proxy that its requests name. Default none.
   */
  proxyHeaders?: HeaderSource | null | undefined;
  /** How an https proxy is spoken to. Default none. Of a pool without `proxy` a TypeError. */
  proxyConfig?: ProxyConfig | null | undefined;
  /**
   * Addresses that are never connected to, judged when a name has been resolved, on each hop: `'private'` (everything that is
   * not public), or networks (`'10.0.0.0/8'`, `'::1'`; `'private'` may be among them). AddressDenied then. Not together with a proxy
   * that resolves names (http, https, socks4a, socks5h), nor with `unixSocket`. Default none.
   */
  denyAddresses?: "private" | readonly string[] | null | undefined;
  /** The network interface that sockets are bound to, by its name (`'eth0'`). Default (`null`): the system's choice. Linux and macOS. */
  interface?: string | null | undefined;
  /**
   * Where the client side of sockets is bound: an IP address, with any port where none is given. Default (`null`): the system's choice.
   * urllib3's `source_address`.
   */
  localAddress?: string | LocalAddress | null | undefined;
  /**
   * Path of a Unix socket to connect to; the host is still what requests name. Default none (`null`). Not together with `proxy`,
   * `localAddress`, `interface` or `denyAddresses`: TypeError.
   */
  unixSocket?: string | null | undefined;
  /** What is set on sockets before they connect. Default `{ noDelay: true }`; `null` or `{}` sets nothing. */
  socketOptions?: SocketOptions | null | undefined;
  /** TCP keep-alive probes. Default `false`: none; `true` is a first one after 60,000 ms. */
  keepAlive?: boolean | KeepAlive | undefined;
  /** Milliseconds after which an idle connection is closed. Default 0: never. */
  idleTimeout?: number | undefined;
  /** Milliseconds after which a connection is not used again. Default 0: never. */
  maxAge?: number | undefined;
  /** Requests after which a connection is not used again. Default 0: never. */
  maxRequestsPerConnection?: number | undefined;
  /**
   * Speak HTTP/2. `true` offers it by ALPN (RFC 7301), so that over https the server chooses, and HTTP/1.1 is what is left;
   * over http it has no effect. `'prior-knowledge'` speaks it at once over http (RFC 9113, 3.3) and is a TypeError for an
   * https pool; of a manager it means that for http, and `true` for https. Then `maxsize` counts connections, each of which
   * carries as many requests at once as the server allows. Default `false`.
   */
  http2?: boolean | "prior-knowledge" | undefined;
  /**
   * Take what browsers and curl take of a response's head (a blank before a colon, folded lines); what was repaired is in
   * {@link HTTPResponse.defects}. Default `true`; `false` is RFC 9112 to the letter, and everything else a {@link ProtocolError}.
   */
  lenient?: boolean | undefined;
  /** What a response may cost, where its request does not say. Default (`null`): those of {@link Limits}. */
  limits?: Limits | null | undefined;
  /**
   * Milliseconds after which a streamed body whose reading has not begun is let go. Default 60,000; 0 is never. Once begun,
   * only garbage collection lets go.
   */
  unreadTimeout?: number | undefined;
  /**
   * Addresses that are not looked up: `host` or `host:port` to `address` or `address:port`, or a function that is asked
   * with each new connection: a string, a list, `{ address, port }`s, or `null` for the system to be asked. The Host field
   * keeps the name.
   */
  resolve?: {
    readonly [name: string]: string;
  } | Resolve | null | undefined;
  /**
   * What is tried again: a total, `false` for nothing (errors as they are, redirects returned), or a {@link Retry}.
   * Default (`null` too): {@link Retry.DEFAULT}, a total of 3.
   */
  retries?: RetryLike;
  /** Attempts a second for each host, above 0, retries and redirects included. Default none (`null`). Waiting is under `poolTimeout`. */
  rate?: number | null | undefined;
  /**
   * Statuses, of 429 and 503, whose Retry-After pauses all requests to their host, for `retries.retryAfterMax` at most.
   * Default none (`null`). Waiting is under `poolTimeout`; the request itself goes by its `retries`.
   */
  pauseOn?: readonly (429 | 503)[] | null | undefined;
  /** Hears of each pause, once; again where it becomes longer by a second or more. Default nobody (`null`). */
  onPause?: OnPause | null | undefined;
}

/** What a response may cost; past a limit it rejects with {@link ResponseTooLarge}, whose `limit` is the name here. urllib3 has none. */
export interface Limits {
  /** Bytes of the head, 1 to 67,108,864. Default 262,144; a request can lower its pool's, not raise it. */
  headerBytes?: number | undefined;
  /** Field lines of the head, 1 to 24,000. Default 256; a request can lower its pool's, not raise it. */
  headerCount?: number | undefined;
  /** Bytes of the body on the wire, before decoding. Default none (`null`); 0 allows no body. */
  wire?: number | null | undefined;
  /**
   * Bytes of the body after decoding. Default 268,435,456 for a body that is preloaded, and none (`null`) for one that is read
   * in pieces; 0 allows no body. What becomes one Buffer has 4 GiB less one byte at the most, whatever is set.
   */
  decoded?: number | null | undefined;
  /** Decoded bytes for each byte on the wire, above 0; judged once past 8 MiB. Default 1,100; `null` for no limit. */
  ratio?: number | null | undefined;
  /** Codings of Content-Encoding one upon the other; one more is a {@link DecodeError}. 0 to 5. Default 5. */
  codings?: number | undefined;
}

/** Options of sockets before they connect. Given, they replace the default, which is `{ noDelay: true }`. urllib3's `socket_options`. */
export interface SocketOptions {
  /** TCP_NODELAY: small packets go out at once. Default off, where the object is given. */
  noDelay?: boolean | undefined;
  /** SO_RCVBUF, in bytes, at least 1. Default: the system's. */
  receiveBuffer?: number | undefined;
  /** SO_SNDBUF, in bytes, at least 1. Default: the system's. */
  sendBuffer?: number | undefined;
}

/** TCP keep-alive probes: how a peer that has gone without a word is found out. */
export interface KeepAlive {
  /** Milliseconds of silence before the first probe, 1 to 32,767,000; rounded up to whole seconds. Default 60,000. */
  idle?: number | undefined;
  /** Milliseconds between probes, 1 to 32,767,000; rounded up to whole seconds. Default: the system's. */
  interval?: number | undefined;
  /** Probes without an answer before the connection is given up, 1 to 127. Default: the system's. */
  count?: number | undefined;
}

/** Where the client side of sockets is bound: see {@link PoolOptions.localAddress}. */
export interface LocalAddress {
  /** An IP address of this machine. */
  address: string;
  /** 0 to 65,535. Default (0 too): any that is free. */
  port?: number | undefined;
}

/** Hears that a host is left alone until then; `retryAfter` in milliseconds. */
export type OnPause = (host: string, until: Date, reason: PauseReason) => void;

/** Why a host is left alone. */
export interface PauseReason {
  /** The status of the answer: 429 or 503. */
  status: number;
  /** Milliseconds that its Retry-After asked for. */
  retryAfter: number;
}

/**
 * Knows the addresses of names: asked with each new connection (see {@link PoolOptions.resolve}). Its signal is aborted when the call
 * is over; what it throws the call rejects with.
 */
export type Resolve = (host: string, port: number, signal: AbortSignal) => Resolved | Promise<Resolved>;

/** What {@link Resolve} gives: addresses in the order in which they are tried, or `null` for the system to be asked. */
export type Resolved = string | ResolvedAddress | readonly string[] | readonly ResolvedAddress[] | null;

/** An IP address, and a port where it is not the URL's. */
export interface ResolvedAddress {
  /** An IP address, without brackets. */
  readonly address: string;
  /** Default: the URL's. */
  readonly port?: number | undefined;
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

/** The options of the pool that {@link connectionFromUrl} makes: none of TLS where the URL is seen to be http. */
export type OptionsFor<U extends string> = Lowercase<U> extends `http:${string}`
  ? PoolOptions
  : PoolOptions & TLSOptions;

/** The pool that {@link connectionFromUrl} makes, as far as the URL says while the program is compiled. */
export type PoolFor<U extends string> = Lowercase<U> extends `https:${string}`
  ? HTTPSConnectionPool
  : Lowercase<U> extends `http:${string}`
  ? HTTPConnectionPool
  : HTTPConnectionPool | HTTPSConnectionPool;

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

// Managers: many hosts through one object, and one request without any.

/**
 * Many hosts through one object: a pool for each, made when it is first needed. What it sends needs absolute URLs; redirects may lead
 * from host to host. `await using` forgets its pools, {@link PoolManager.close} ends it.
 *
 * @example
 * const manager = new PoolManager({ retries: 5, timeout: { connect: 2_000, read: 10_000 } });
 * const response = await manager.request('GET', 'http://localhost:8080/');
 * console.log(response.status, manager.pools.size); // 200 1
 */
export declare class PoolManager extends RequestMethods<ManagerRequestOptions> {
  #private;
  /**
   * Makes a manager; nothing is opened until the first request.
   *
   * @throws TypeError or RangeError ERR_INVALID_OPTION for options, InvalidHeader for headers that cannot be sent,
   * ProxySchemeUnknown and LocationParseError for a proxy's URL.
   */
  constructor(options?: PoolManagerOptions);
  /** `scheme://host:port` of the proxy, without credentials; `null` without one. */
  get proxy(): string | null;
  /** The fields that proxies alone are shown; a copy, empty where none were given. */
  get proxyHeaders(): HTTPHeaderDict;
  /** How an https proxy is spoken to, as far as it was said; a copy, empty where nothing was. */
  get proxyConfig(): ProxyConfig;
  /** The pools that the manager keeps, as they are at each look; none once it is closed. */
  get pools(): PoolCollection;
  /**
   * The pool for a host, made if there is none. Equal settings give the same pool; a pool that is held stays usable when
   * the manager has forgotten it.
   *
   * @throws LocationValueError without a host, URLSchemeUnknown, TypeError or RangeError ERR_INVALID_OPTION; SSLError for
   * files of TLS's options that cannot be used.
   */
  connectionFromHost(host: string, options?: HostOptions): HTTPConnectionPool;
  /**
   * The pool for a URL's host.
   *
   * @throws as {@link PoolManager.connectionFromHost}; LocationParseError; LocationValueError without a scheme.
   */
  connectionFromUrl(url: string, poolKwargs?: PoolKwargs | null): HTTPConnectionPool;
  /**
   * The pool for `{ scheme, host, port, ...settings }`: {@link PoolManager.connectionFromHost} with everything in one object.
   *
   * @throws as {@link PoolManager.connectionFromHost}.
   */
  connectionFromContext(context: HostContext & PoolKwargs): HTTPConnectionPool;
  /** Everything that all pools count together, those that are gone included; a fresh snapshot each time. */
  stats(): PoolStats;
  /** Forgets all pools: idle connections close, requests in flight finish. The manager stays usable. */
  clear(): void;
  /**
   * Closes the manager and all its pools, those that are held too: idle connections now, leased ones when their request ends
   * or `timeout` milliseconds (default none) are up. Waiting and later requests reject with ClosedPoolError. A second time does no
   * harm. urllib3 has no such method.
   *
   * @throws (rejects with) TypeError or RangeError ERR_INVALID_OPTION, ERR_INVALID_TIMEOUT.
   */
  close(options?: CloseOptions): Promise<CloseReport>;
  /** Forgets all pools when a block of `await using` ends, as urllib3's `with` does. */
  [Symbol.asyncDispose](): Promise<void>;
  /** Forgets all pools when a block of `using` ends, as {@link PoolManager.clear} does. */
  [Symbol.dispose](): void;
  /** What it keeps to, as plain data for logs; of its headers the names alone. */
  toJSON(): ManagerJSON;
  /** `PoolManager(pools=3)`. */
  toString(): string;
}

/**
 * Options of a {@link PoolManager}: its own, and those of the pools that it makes, with other defaults. Those of TLS are for
 * its https pools; files that they name are read when the first of those is made.
 */
export interface PoolManagerOptions extends Omit<PoolOptions, "port">, TLSOptions {
  /** Pools that are kept; the least recently used goes for one more. Default 1,000 (urllib3's: 10); 0 keeps none. */
  numPools?: number | undefined;
  /**
   * Connections over all pools, those being made and those of forgotten pools included. At the limit the connection of
   * another pool that has been idle longest is closed; where none is idle, requests wait in order of arrival, whatever
   * their host. Default 512; 0 or `null`: no bound.
   */
  maxTotalConnections?: number | null | undefined;
  /** Connections kept to one host, and the most that there can be. At least 1. Default 64 (urllib3's: 1). */
  maxsize?: number | undefined;
  /** Wait for a connection where there are `maxsize` to a host already. Default `true` (urllib3's: `false`). */
  block?: boolean | undefined;
  /** Cookies: asked before each attempt, told of each answer, hop by hop. Default none (`null`). */
  jar?: CookieJar | null | undefined;
  /** Waited for before each attempt of each hop; may change its headers. What it throws rejects the request. Default none (`null`). */
  beforeAttempt?: BeforeAttempt | null | undefined;
}

/**
 * Settings of one pool of a manager, over the manager's; `null` removes one. Manners towards hosts (`rate`, `pauseOn`,
 * `onPause`) hold for all pools of a host and are not among them.
 */
export type PoolKwargs = {
  readonly [Name in Exclude<keyof (PoolOptions & TLSOptions), "port" | "rate" | "pauseOn" | "onPause">]?: (PoolOptions & TLSOptions)[Name] | null | undefined;
};

/** What {@link PoolManager.connectionFromHost} takes besides the host. */
export interface HostOptions {
  /** Default (`null`): the scheme's. */
  port?: number | null | undefined;
  /** `'http'` or `'https'`. Default `'http'`. */
  scheme?: string | undefined;
  /** Settings of this pool over the manager's. Default none (`null`): the manager's. */
  poolKwargs?: PoolKwargs | null | undefined;
}

/** What {@link PoolManager.connectionFromContext} takes, together with {@link PoolKwargs}. */
export interface HostContext {
  /** `'http'` or `'https'`. Default `'http'`. */
  scheme?: string | undefined;
  /** A name or an address. */
  host: string;
  /** Default (`null`): the scheme's. */
  port?: number | null | undefined;
}

/** A manager's pools, the least recently used first. */
export interface PoolCollection extends Iterable<HTTPConnectionPool> {
  /** How many there are. */
  readonly size: number;
}

/**
 * Makes one request on a manager that all callers of this thread share. Its `timeout` is 3,000 ms where none is given (`null` is
 * none); everything else is as of {@link RequestMethods.request}. For more than a script make a {@link PoolManager}.
 *
 * @throws (rejects with) what {@link RequestMethods.request} does; TypeError ERR_INVALID_OPTION for other options.
 * @example
 * const response = await request('GET', 'http://localhost:8080/');
 * console.log(response.status); // 200
 */
export declare function request<M extends Method, Given extends SimpleOptions | object>(method: M, url: string, options?: Together<Given, SimpleOptions, FieldsGo<M>>): Promise<HTTPResponse>;

/** Options of {@link request}: those that urllib3's has, a `signal`, and a `proxy`. */
export interface SimpleOptions extends Pick<ManagerRequestOptions, "body" | "decodeContent" | "fields" | "headers" | "json" | "preloadContent" | "proxy" | "redirect" | "retries" | "signal"> {
  /** {@link RequestOptions.timeout}. Default 3,000 ms, to connect and between two pieces of an answer; `null` is none. */
  timeout?: ManagerRequestOptions["timeout"];
}

/**
 * A cookie jar, as `tough-cookie`'s `CookieJar` is one.
 *
 * @example
 * import { CookieJar } from 'tough-cookie';
 * const manager = new PoolManager({ jar: new CookieJar() });
 */
export interface CookieJar {
  /** The cookies for this URL, as the Cookie field has them; empty for none. */
  getCookieString(url: string): string | Promise<string>;
  /** Takes a Set-Cookie line that came from this URL. What it throws (the cookie is not for this site) is not the request's. */
  setCookie(line: string, url: string): unknown;
}

/** An attempt that is about to be made: what {@link BeforeAttempt} is told. */
export interface AttemptInfo {
  /** From 1, within the hop; an attempt that got no connection counts too, unlike in {@link HTTPError.attempts}. */
  readonly number: number;
  /** Redirects followed so far: 0 for the URL that was asked for. */
  readonly hop: number;
  /** As it goes out; GET after a 303. */
  readonly method: string;
  /** Absolute, with its query. */
  readonly url: string;
  /** Of this attempt alone: what is changed here is sent, and forgotten. */
  readonly headers: HTTPHeaderDict;
  /** What the attempt before met, if it met no answer; otherwise `null`. */
  readonly error: Error | null;
}

/**
 * Waited for before each attempt of each hop (see {@link PoolManagerOptions.beforeAttempt}). Its signal is aborted when the call is over;
 * what it throws the call rejects with, and what it returns is not looked at.
 */
export type BeforeAttempt = (attempt: AttemptInfo, signal: AbortSignal) => unknown;

// Proxies: connections that lead through another server.

/**
 * The proxy that the environment names for a URL, to be given as `proxy`; `null` for none. It is what `HTTP_PROXY` or
 * `HTTPS_PROXY` says, by the URL's scheme, or else `ALL_PROXY`, unless `NO_PROXY` names the host. The same in lower case comes
 * first; `HTTP_PROXY` is not believed where `REQUEST_METHOD` is set. A value without a scheme is an http proxy. The result
 * may hold a password.
 *
 * `NO_PROXY` has entries between commas or blanks: `*`; `example.com` for a host and what is below it, `.example.com` or
 * `*.example.com` for what is below it only; addresses in any spelling, networks (`10.0.0.0/8`, `fd00::/8`) and ranges
 * (`192.0.2.1-192.0.2.9`); each host with a port (`example.com:8080`) or for all. `localhost` and the addresses of this machine
 * stand for each other; without an entry they are reached through the proxy. No name is looked up.
 *
 * @param env where the variables are. Default `process.env`, as it is now.
 * @throws LocationParseError, LocationValueError without scheme or host, URLSchemeUnknown for anything but http and https;
 * TypeError for arguments of another type.
 * @example
 * const env = { HTTPS_PROXY: 'proxy.example:3128', NO_PROXY: '.b.example' };
 * console.log(proxyFromEnv('https://a.example/', env)); // http://proxy.example:3128
 * console.log(proxyFromEnv('https://a.b.example/', env)); // null
 */
export declare function proxyFromEnv(url: string | URL, env?: {
  readonly [name: string]: string | undefined;
}): string | null;

/**
 * A manager behind an http or https proxy. Requests for http hosts are handed to the proxy, over connections that all hosts
 * share; those for https hosts go through tunnels, which the proxy cannot look into.
 *
 * @example
 * const manager = new ProxyManager('http://user:password@localhost:3128');
 * const response = await manager.request('GET', 'http://localhost:8080/');
 * console.log(response.status, response.connection?.proxy); // 200 http://localhost:3128
 */
export declare class ProxyManager extends PoolManager {
  /**
   * Makes a manager; nothing is opened until the first request.
   *
   * @throws ProxySchemeUnknown for a URL without a scheme or with any but http and https; LocationParseError,
   * LocationValueError; TypeError or RangeError ERR_INVALID_OPTION; InvalidHeader; SSLError for files that options of TLS to
   * the proxy name.
   */
  constructor(proxyUrl: string | URL, options?: ProxyManagerOptions);
  /** `scheme://host:port` of the proxy, without credentials. */
  get proxy(): string;
}

/**
 * A {@link ProxyManager}. urllib3's `proxy_from_url`.
 *
 * @throws as its constructor.
 * @example
 * const manager = proxyFromUrl('http://localhost:3128', { proxyHeaders: { 'X-Team': 'crawl' } });
 * console.log(manager.proxy); // http://localhost:3128
 */
export declare function proxyFromUrl(url: string | URL, options?: ProxyManagerOptions): ProxyManager;

/**
 * A manager behind a SOCKS proxy. `socks5` and `socks4` look names up here and send addresses, `socks5h` and `socks4a` send the
 * names; `socks4` knows IPv4 only.
 *
 * @example
 * const manager = new SOCKSProxyManager('socks5h://localhost:1080', { username: 'user', password: 'secret' });
 * console.log(manager.proxy); // socks5h://localhost:1080
 */
export declare class SOCKSProxyManager extends PoolManager {
  /**
   * Makes a manager; nothing is opened until the first request.
   *
   * @throws ProxySchemeUnknown for any other scheme; otherwise as {@link ProxyManager}'s.
   */
  constructor(proxyUrl: string | URL, options?: SOCKSProxyManagerOptions);
  /** `scheme://host:port` of the proxy, without credentials. */
  get proxy(): string;
}

/**
 * Options of a {@link ProxyManager}: a manager's, and what the proxy is to be told. `unixSocket` is not among them, since it is the
 * proxy that is connected to, and `denyAddresses` has to be empty: it is the proxy that looks names up.
 */
export interface ProxyManagerOptions extends Omit<PoolManagerOptions, "proxy" | "proxyConfig" | "unixSocket"> {
  /**
   * TLS to an https proxy, whole: given, none of the manager's own options of TLS reaches it. Default: the manager's authorities
   * (`caCerts`, `caCertDir`, `caCertData`), `certReqs` and bounds on versions hold for the proxy too. urllib3's
   * `proxy_ssl_context`.
   */
  proxyTls?: TLSOptions | null | undefined;
  /** {@link ProxyConfig.useForwardingForHttps}. Default `false`; without effect on an http proxy. */
  useForwardingForHttps?: boolean | null | undefined;
  /** {@link ProxyConfig.assertHostname}. Default: the proxy's host. */
  proxyAssertHostname?: string | false | null | undefined;
  /** {@link ProxyConfig.assertFingerprint}. Default none. */
  proxyAssertFingerprint?: string | null | undefined;
}

/**
 * Options of a {@link SOCKSProxyManager}: a manager's, and who we are to the proxy. SOCKS has no fields and no TLS of its own.
 * `denyAddresses` is for `socks5` and `socks4` alone, which leave names to us.
 */
export interface SOCKSProxyManagerOptions extends Omit<PoolManagerOptions, "proxy" | "proxyHeaders" | "proxyConfig" | "unixSocket"> {
  /** In place of the URL's; SOCKS5 takes 1 to 255 bytes. SOCKS4 knows it as the user id. Default (`null`): the URL's. */
  username?: string | null | undefined;
  /** In place of the URL's; SOCKS5 takes 255 bytes at most; SOCKS4 has none (TypeError; one in the URL is not sent). Default (`null`): the URL's. */
  password?: string | null | undefined;
}

/** How an https proxy is spoken to. Without effect for any other. */
export interface ProxyConfig {
  /**
   * TLS to the proxy, whole: given, nothing of the pool's own options of TLS reaches it. Default: the pool's authorities
   * (`caCerts`, `caCertDir`, `caCertData`), `certReqs` and bounds on versions hold for the proxy too, and nothing else of them
   * does. urllib3's `proxy_ssl_context`.
   */
  tls?: TLSOptions | null | undefined;
  /**
   * Hand https requests to the proxy as they are, in place of a tunnel: the proxy reads them, and it is the proxy that
   * verifies the server. Default `false`. urllib3's `use_forwarding_for_https`.
   */
  useForwardingForHttps?: boolean | null | undefined;
  /** As {@link TLSOptions.assertHostname}, of the proxy. Default: its host. urllib3's `proxy_assert_hostname`. */
  assertHostname?: string | false | null | undefined;
  /** As {@link TLSOptions.assertFingerprint}, of the proxy. Default none. urllib3's `proxy_assert_fingerprint`. */
  assertFingerprint?: string | null | undefined;
}

// Requests: what may be sent, one at a time or many.

/**
 * Everything that a request may bring. `body`, `json` and `fields` that go into the body exclude one another: two of them do not
 * compile where both are certain to be there, and are a TypeError otherwise. `undefined` is the default everywhere.
 */
export interface RequestOptions {
  /**
   * For the query, or as a form in the body (see {@link HTTPConnectionPool.request}): an object, a `Map`, or pairs (order
   * and repeats are kept). Several values of one name are pairs: `[['tag', 'red'], ['tag', 'green']]`. A list is no such thing,
   * but a file, `[name, content]`. Files, Blobs, {@link RequestField}s and a `FormData` need the body.
   */
  fields?: FieldSource | FormFields | FormData | null | undefined;
  /** Fields in the body as multipart/form-data (`true`, the default) or application/x-www-form-urlencoded. */
  encodeMultipart?: boolean | undefined;
  /** The boundary of a multipart body. Default (`null` too): 32 random hexadecimal digits. It must not occur in the data. */
  multipartBoundary?: string | null | undefined;
  /**
   * In place of the pool's headers, all of them ({@link HTTPHeaderDict.union} adds to those). `null` is the pool's.
   * {@link SKIP_HEADER} as a value leaves a line out that would be sent by default.
   */
  headers?: HeaderSource | null | undefined;
  /**
   * Sent as compact JSON with `Content-Type: application/json`, unless the headers name a type. `null` is "none": the JSON text
   * `null` is a `body`.
   */
  json?: unknown;
  /**
   * The body. A string goes out as UTF-8, bytes are copied before the call returns. Everything else is read while the
   * request is sent and no faster than the server takes it; it belongs to the request, which destroys, cancels or returns
   * it when it is not wanted any more. Of unknown length (streams, iterables, functions) it is sent in chunks, a piece
   * each, unless the headers have a Content-Length, which must be right.
   */
  body?: RequestBody | null | undefined;
  /** In place of the pool's: milliseconds, or a {@link Timeout}. `null` is no time-out at all. */
  timeout?: TimeoutLike;
  /** How long to wait for a connection, in milliseconds; then {@link EmptyPoolError}. Default (`null`) for ever; 0 does not wait. */
  poolTimeout?: number | null | undefined;
  /** Undo Content-Encoding. Default `true`; `false` gives the bytes as they came. */
  decodeContent?: boolean | undefined;
  /** A body shorter than announced is an error ({@link ProtocolError} ERR_INCOMPLETE_READ). Default `true`. */
  enforceContentLength?: boolean | undefined;
  /** Refuse a URL of another host ({@link HostChangedError}). Default `true`; without effect on a manager. */
  assertSameHost?: boolean | undefined;
  /** Frame the body by chunks even though its length is known. Default `false`. */
  chunked?: boolean | undefined;
  /**
   * Hears of both bodies, ten times a second at most and once at the end; what it throws ends the call. A promise of its own is not
   * waited for: what it rejects with ends the call too, unless that is over by then. Default nobody (`null`).
   */
  onProgress?: ((progress: Progress) => void) | null | undefined;
  /** Each in place of the pool's; but a head may cost no more than the pool was made for. Default (`null`): the pool's. */
  limits?: Limits | null | undefined;
  /** Aborts the call, its body and its retries included: it rejects with the signal's own `reason`. Default none (`null`). */
  signal?: AbortSignal | null | undefined;
  /** In place of the pool's: a total, `false` for nothing, or a {@link Retry}. Default (`null`): the pool's. */
  retries?: RetryLike;
  /** Follow redirects, as many as `retries` allow. Default `true`; `false` gives the 3xx. */
  redirect?: boolean | undefined;
  /** Read and decode the body before the response is given. Default `true`; `false` gives it with its head. */
  preloadContent?: boolean | undefined;
  /**
   * Asked when the head is there. `false` ends the request without its body: it resolves with empty data and
   * `accepted === false`. A throw rejects the call. Default: everything is accepted (`null`).
   */
  accept?: ((head: Head) => boolean) | null | undefined;
  /** Here because urllib3 has it, and without effect; but `true` excludes `preloadContent: false`, as there. Default `null`. */
  releaseConn?: boolean | null | undefined;
}

/** Everything that a request of a manager may bring: a pool's options, and a way of its own. */
export interface ManagerRequestOptions extends RequestOptions {
  /**
   * The proxy of this one and of the hops that it is redirected to, in place of the manager's;
   * `false` is none, `null` (default) the manager's. A pool has no such option: its way is chosen when it is made.
   */
  proxy?: string | URL | false | null | undefined;
}

/** How far a body has come: what {@link RequestOptions.onProgress} hears. */
export interface Progress {
  /** `up` is the request's body, `down` the response's. */
  readonly direction: "up" | "down";
  /** Bytes so far; of a response those on the wire. */
  readonly bytes: number;
  /** Bytes in all, `null` where that is not known. */
  readonly total: number | null;
}

/**
 * Options of {@link RequestMethods.urlopen}: a request's, but for those that are merged into others before it is sent (`fields`,
 * `json`, `encodeMultipart`, `multipartBoundary`).
 */
export type UrlopenOptions<Options extends RequestOptions =
  | RequestOptions> = Omit<Options, "fields"
  | "json"
  | "encodeMultipart"
  | "multipartBoundary">;

/** The methods that most requests have, for editors to offer; any other will do. */
export type Method =
  | "GET"
  | "HEAD"
  | "POST"
  | "PUT"
  | "PATCH"
  | "DELETE"
  | "OPTIONS"
  | "TRACE"
  | (string & Record<never, never>);

/**
 * What a request takes: `Options`, for what the caller wrote (`Given`). Given a combination that is refused at run time, the option
 * that is one too many has the type {@link NotTogether} in place of its own. Given `fields` or `headers` that do not fit as they
 * are, each of their values is {@link Looked} at. Of a type parameter, what its constraint has is known.
 * `Given` may be any object: were it only `Options`, the compiler would make these of whatever is none, and look no further.
 */
export type Together<Given, Options, Go extends "query" | "body"> = [Given] extends [object]
  ? Excluded<Given, Go> extends [infer Option extends string, infer Other extends string]
  ? Omit<Options, Option> & Record<Option, NotTogether<Option, Other>>
  : Fits<Given, "fields", IsFlat<Given, Go>> extends Record<"fields", never>
  ? Looked<Given, Options, IsFlat<Given, Go>>
  : Fits<Given, "headers", IsFlat<Given, Go>> extends Record<"headers", never>
  ? Looked<Given, Options, IsFlat<Given, Go>>
  : Options
  : Options & Pick<Given, keyof Given>;

/** The two options that exclude one another in what was `Given`, the one that is to blame first; `null` for none. */
export type Excluded<Given, Go extends "query" | "body"> = Has<Given, "body" | "json"> extends true
  ? ["json", "body"]
  : Has<Given, "fields" | "body"> extends true
  ? [Go] extends ["body"]
  ? ["fields", "body"]
  : null
  : Has<Given, "fields" | "json"> extends true
  ? [Go] extends ["body"]
  ? ["fields", "json"]
  : null
  : [Given] extends [Record<"releaseConn", true> & Record<"preloadContent", false>]
  ? ["releaseConn", "preloadContent"]
  : null;

/** The type of an option that excludes another one which is there too: a sentence, for the compiler to say what is wrong. */
export type NotTogether<Option extends string, Other extends string> = `'${Option}' and '${Other}' exclude one another: give one of them`;

/**
 * Where the `fields` of a request go: into the query for GET, HEAD, DELETE and OPTIONS, into the body for every other method.
 * Both, where the method is not known to the compiler.
 */
export type FieldsGo<M extends string> = string extends M
  ? "query" | "body"
  : M extends unknown
  ? Uppercase<M> extends "GET" | "HEAD" | "DELETE" | "OPTIONS"
  ? "query"
  : "body"
  : never;

/** Whether fields are certain to become a query, or a urlencoded body, which have neither lists nor files. */
export type IsFlat<Given, Go extends "query" | "body"> = [Go] extends ["query"]
  ? true
  : [Given] extends [Record<"encodeMultipart", false>]
  ? true
  : false;

/**
 * The option of this name by itself, with `true` for its type, or `never` if that does not fit as it is: because it is an interface,
 * which has no index signature, or has what a flat form has no place for.
 */
export type Fits<Given, Option extends "fields" | "headers", Flat extends boolean> = {
  [Name in keyof Given & Option]: Name extends "headers" ? [
    NonNullable<Given[Name]>
  ] extends [HeaderSource] ? true : never : [
    NonNullable<Given[Name]>
  ] extends [FieldSource | FormFields | FormData] ? Flat extends true ? [
    Extract<Given[Name], FieldSource>
  ] extends [never] ? never : true : true : never;
};

/** `Options` with the types that are wanted for the single values of `fields` and `headers`. */
export type Looked<Given, Options, Flat extends boolean> = {
  [Name in keyof Options]: Name extends "fields" ? FieldsFor<Name extends keyof Given ? NonNullable<Given[Name]> : never, Flat> | null | undefined : Name extends "headers" ? HeadersFor<Name extends keyof Given ? NonNullable<Given[Name]> : never> | null | undefined : Options[Name];
};

/** What `fields` of the type `Source` have to be: lists and files only where there are parts for them. */
export type FieldsFor<Source, Flat extends boolean> = Source extends FieldSource ? FieldSource : Source extends Iterable<unknown> | ((...args: never) => unknown) ? Flat extends true ? FieldSource : FieldSource | FormFields | FormData : {
  readonly [Name in keyof Source]: Flat extends true ? [
    Extract<Source[Name], readonly unknown[] | Blob | RequestField>
  ] extends [never] ? FieldValue | undefined : NoSuchField : FormFieldValue | undefined;
};

/** The type of a list or a file that is a field of a query or a urlencoded body: a sentence, for the compiler to say what is wrong. */
export type NoSuchField = "a list or a file is no field here: for several values of one name give pairs, [['a', 1], ['a', 2]]";

/** Whether these are there for certain, and neither `null` nor `undefined`. (In tuples: of a union, in every member.) */
export type Has<Given, Names extends string> = [Given] extends [Record<Names, Present>] ? true : false;

/** Every value but `null` and `undefined`. */
export type Present = object | string | number | boolean | bigint | symbol;

/**
 * A request's body. A function is called when the body is needed, and again if it is needed again; its framing is by
 * chunks unless the headers have a Content-Length.
 */
export type RequestBody = BodyData | (() => BodyData | Promise<BodyData>);

/** What a body can be but a function that makes one. */
export type BodyData =
  | BodyPiece
  | URLSearchParams
  | FormData
  | Blob
  | NodeJS.ReadableStream
  | ReadableStream
  | Iterable<BodyPiece>
  | AsyncIterable<BodyPiece>;

/** A piece of a body: a string goes out as UTF-8. */
export type BodyPiece = string | ArrayBuffer | SharedArrayBuffer | ArrayBufferView;

/** What {@link RequestMethods.requestMany} takes besides the requests. */
export interface ManyOptions {
  /** How many are made at once, at least 1. Default: a pool's {@link PoolOptions.maxsize}, 64 for a manager. */
  concurrency?: number | undefined;
}

/** A request to be made: a URL (GET), or a URL with the options that `request` takes. */
export type Planned<Options extends RequestOptions = RequestOptions> = string | (PlannedRequest & Options);

/** What a {@link Planned} request has besides the options of one. */
export interface PlannedRequest {
  /** Default `'GET'`. */
  method?: Method | undefined;
  /** As the argument of `request`. */
  url: string;
  /** Yours: handed back untouched. Default none. */
  tag?: unknown;
}

/** A request that was made, and what came of it: `ok` says which. */
export type Settled<Options extends RequestOptions = RequestOptions> = Answered<Options> | Failed<Options>;

/** A {@link Settled} request that has a response, whatever its status. */
export interface Answered<Options extends RequestOptions = RequestOptions> {
  /** Always true. */
  ok: true;
  /** Its place in the input, from 0. */
  index: number;
  /** What was given. */
  request: Planned<Options>;
  /** What `request` would have resolved with. */
  response: HTTPResponse;
}

/** A {@link Settled} request that has none. */
export interface Failed<Options extends RequestOptions = RequestOptions> {
  /** Always false. */
  ok: false;
  /** Its place in the input, from 0. */
  index: number;
  /** What was given. */
  request: Planned<Options>;
  /**
   * What `request` would have rejected with: an {@link HTTPError}, a TypeError or RangeError for arguments, its signal's `reason`. Where
   * that is no Error (a signal may be aborted with anything, and functions of yours may throw it) it is the `cause` of one.
   */
  error: Error & {
    readonly code?: ErrorCode | number | undefined;
  };
}

// Forms: fields in a query or in a body, and files.

/** Form fields: an object, a `Map`, or pairs. Order and repeats are kept; `undefined` is left out. */
export type FieldSource = Iterable<readonly [string, FieldValue | undefined]> | {
  readonly [name: string]: FieldValue | undefined;
};

/** A value of a form field in a query or in a urlencoded body: numbers and booleans are their text, bytes are taken as they are and percent-encoded. */
export type FieldValue = string | number | bigint | boolean | null | ArrayBuffer | ArrayBufferView;

/** What a part can hold: text goes out as UTF-8, a number or boolean as its text. */
export type FieldData = string | number | bigint | boolean | ArrayBuffer | ArrayBufferView | Blob;

/** A multipart form's fields: an object, a `Map`, pairs or {@link RequestField}s. Order and repeats are kept. */
export type FormFields = Iterable<readonly [string, FormFieldValue | undefined] | RequestField> | {
  readonly [name: string]: FormFieldValue | undefined;
};

/**
 * A value of a multipart form's field. A file is `[filename, data]`, whose type is guessed from its name, or
 * `[filename, data, contentType]`, where `null` is "no type" and every other has a `/`: three values of one name are pairs. A `File` is a file under its own name, a `Blob` one that
 * is called `blob`.
 */
export type FormFieldValue =
  | FieldData
  | null
  | readonly [filename: string | Uint8Array | null, data: FieldData]
  | readonly [filename: string | Uint8Array | null, data: FieldData, contentType: string | null | undefined]
  | RequestField;

/**
 * One part of a multipart body: for headers that a plain value cannot have. It has only the headers that it was given
 * until {@link RequestField.makeMultipart} writes the usual ones.
 *
 * @example
 * const bytes = Buffer.from('a picture');
 * const field = new RequestField('photo', bytes, { filename: 'a.jpg', headers: { 'X-Taken': '2024' } });
 * field.makeMultipart({ contentType: 'image/jpeg' });
 * await pool.request('POST', '/photos', { fields: [field] });
 */
export declare class RequestField {
  #private;
  /** What the server knows the field by. */
  readonly name: string;
  /** What the file is called; `null` for none. */
  readonly filename: string | null;
  /** What the part holds. */
  data: FieldData;
  /** The part's headers, in an object without a prototype. */
  readonly headers: PartHeaders;
  /**
   * Makes a part with the headers that it is given, and no other.
   *
   * @param name Bytes are read as UTF-8, here and in a file name.
   * @throws TypeError ERR_INVALID_OPTION for a wrong type or an unknown option, ERR_INVALID_BODY for bytes that are no
   * UTF-8.
   */
  constructor(name: string | Uint8Array, data: FieldData, options?: RequestFieldOptions);
  /**
   * Makes the field that a name and a value of `fields` stand for, and makes it multipart. urllib3's `from_tuples`.
   *
   * @throws TypeError ERR_INVALID_OPTION for what is no value.
   */
  static fromTuples(name: string | Uint8Array, value: Exclude<FormFieldValue, RequestField>, options?: {
    headerFormatter?: HeaderFormatter | null | undefined;
  }): RequestField;
  /**
   * Writes Content-Disposition with the name and the file name, Content-Type and Content-Location; each replaces what
   * was there.
   *
   * @throws TypeError ERR_INVALID_OPTION for a wrong type or an unknown option.
   */
  makeMultipart(options?: MakeMultipartOptions): void;
  /**
   * The head of the part, with the empty line that ends it: Content-Disposition, Content-Type, Content-Location, then
   * the others in their order. Names are taken as they are spelled.
   *
   * @throws TypeError ERR_INVALID_BODY for a header that would not be one line: CR, LF or NUL in it, or a name that
   * cannot be one.
   */
  renderHeaders(): string;
}

/** Writes one parameter of Content-Disposition: `name="value"` from the name and the value. urllib3's `header_formatter`. */
export type HeaderFormatter = (name: string, value: string) => string;

/** What {@link RequestField.makeMultipart} writes. */
export interface MakeMultipartOptions {
  /** The first word of Content-Disposition. Default (`null`) `form-data`. */
  contentDisposition?: string | null | undefined;
  /** The part's Content-Type. Default none (`null`). */
  contentType?: string | null | undefined;
  /** The part's Content-Location. Default none (`null`). */
  contentLocation?: string | null | undefined;
}

/** A part's headers by name; `null`, `undefined` and the empty string are left out. */
export type PartHeaders = Record<string, string | null | undefined>;

/** Options of a {@link RequestField}. */
export interface RequestFieldOptions {
  /** What the file is called; bytes are read as UTF-8. Default none (`null`); an empty one is kept. */
  filename?: string | Uint8Array | null | undefined;
  /** The part's headers at first. Default none. */
  headers?: Iterable<readonly [string, string | null | undefined]> | Readonly<PartHeaders> | null | undefined;
  /** How `name` and `filename` are written. Default: as HTML does, `name="value"` with LF, CR and `"` escaped. */
  headerFormatter?: HeaderFormatter | null | undefined;
}

/** A new boundary: 128 random bits as 32 hexadecimal digits, which nobody can guess. urllib3's `choose_boundary`. */
export declare function chooseBoundary(): string;

/**
 * Encodes fields as multipart/form-data. urllib3's `encode_multipart_formdata`.
 *
 * @param boundary Default: a new one from {@link chooseBoundary}. One of RFC 2046's, which must not stand in the data.
 * @returns The body and its content type.
 * @throws TypeError ERR_INVALID_OPTION for fields or a boundary that are none; ERR_INVALID_BODY for a boundary that
 * occurs in the data, a part's header that would not be one line, and a Blob: it cannot be read at once.
 * @example
 * const [body, contentType] = encodeMultipartFormdata({ name: 'Ada', photo: ['ada.png', Buffer.from('a picture')] }, 'edge');
 * console.log(body.length > 0, contentType); // true multipart/form-data; boundary=edge
 */
export declare function encodeMultipartFormdata(fields: FormFields | FormData, boundary?: string | null): [Buffer, string];

/**
 * Guesses a media type from the extension of a file name: `image/jpeg` for `photo.JPG`. A compression's extension is
 * passed over, so `a.tar.gz` is `application/x-tar`, and `a.gz` alone is not known. urllib3's `guess_content_type`.
 *
 * @param filename A name or a path; without one there is nothing to guess from.
 * @param fallback For what is not known. Default `application/octet-stream`.
 * @throws TypeError ERR_INVALID_OPTION for what is no string.
 */
export declare function guessContentType(filename: string | null | undefined, fallback?: string): string;

// Responses: the head, the body at once or in pieces, and where it came from.

/**
 * A response: with its body read and decoded, or (`preloadContent: false`) with a body that is still to be read.
 *
 * @example
 * const response = await pool.request('GET', '/large', { preloadContent: false });
 * for await (const piece of response) console.log(piece.length);
 */
export declare class HTTPResponse {
  #private;
  /** The status code, 100 to 999. */
  readonly status: number;
  /** False if {@link RequestOptions.accept} was asked and did not want the body, which is empty then; true otherwise. */
  readonly accepted: boolean;
  /**
   * A response of one's own, for tests of code that takes one.
   *
   * @throws TypeError ERR_INVALID_BODY, ERR_INVALID_OPTION; RangeError for a status out of range.
   * @example
   * const response = new HTTPResponse('{"ok":true}', { headers: { 'content-type': 'application/json' } });
   * console.log(response.json()); // { ok: true }
   */
  constructor(body?: BodyPiece | null, init?: HTTPResponseInit);
  /** Makes a response of one's own (of a subclass, one of that), as the constructor does, and throws what it throws. */
  static from<Own extends HTTPResponse>(this: new (body?: BodyPiece | null, init?: HTTPResponseInit) => Own, body?: BodyPiece | null, init?: HTTPResponseInit): Own;
  /** The reason phrase as the peer sent it, `''` where it sent none. */
  get reason(): string | null;
  /** 10 for HTTP/1.0, 11 for HTTP/1.1, 20 for HTTP/2: the peer's. */
  get version(): 10 | 11 | 20;
  /** `HTTP/1.1` and so on: the peer's (urllib3's is the client's). */
  get versionString(): string;
  /** The header fields: lower-case names in order of first appearance. */
  get headers(): HTTPHeaderDict;
  /**
   * The fields after a chunked body, without those that do not belong there (RFC 9110, 6.5.1). Empty until the end of a
   * streamed body has come.
   */
  get trailers(): HTTPHeaderDict;
  /**
   * The whole, decoded body. A view into memory that it may share with up to 64 KiB of neighbours; copy it
   * (`Buffer.from(r.data)`) to keep a small one for long.
   *
   * @throws ResponseNotRead for a streamed body that was not read by one `read()`, or was drained.
   */
  get data(): Buffer;
  /**
   * The body as JSON. It must be UTF-8 without a byte order mark (RFC 8259, 8.1); `JSON.parse(response.text())` takes one with
   * a mark.
   *
   * @throws SyntaxError for what is no JSON, TypeError ERR_INVALID_BODY for what is no UTF-8.
   */
  json<T = unknown>(): T;
  /**
   * The body as text, by the given charset or by {@link HTTPResponse.charset}. Malformed sequences become U+FFFD.
   *
   * @throws RangeError ERR_INVALID_OPTION for a charset that is no label of the WHATWG Encoding standard.
   */
  text(charset?: string): string;
  /** Which charset {@link HTTPResponse.text} takes, and what says so. */
  get charset(): Charset;
  /** The absolute URL that this is the response of, redirects followed, without user info. */
  get url(): string;
  /**
   * The `Retry` that was left, its `history` the events before this response; `null` for a response of one's own.
   *
   * @example
   * const response = await pool.request('GET', '/');
   * console.log(response.retries?.history.map(({ redirectLocation }) => redirectLocation)); // []
   */
  get retries(): Retry | null;
  /** Exchanges begun for it, after a redirect those of the last hop: 1 unless the request was made again. */
  get attempts(): number;
  /** What `lenient` tolerated in the head, a line each; empty for a clean one. */
  get defects(): string[];
  /** How long each phase took; `null` for a response of one's own. Of a streamed body `body` and `total` come at its end. */
  get timings(): Timings | null;
  /** The connection it came on; `null` for a response of one's own. */
  get connection(): ConnectionInfo | null;
  /** Whether the body was framed by chunks. */
  get chunked(): boolean;
  /** Bytes of the body on the wire, before decoding; of a streamed one those of what has been read. */
  get bytesRead(): number;
  /** Bytes of the body on the wire that have not been read, `null` where no length was announced. */
  get lengthRemaining(): number | null;
  /** Whether the body has been read to its end, or to where it failed, or closed. Always, when preloaded. */
  get closed(): boolean;
  /**
   * Reads exactly `amount` decoded bytes: fewer at the end, or before an error, which the next read rejects with, so that the
   * end is where a read is empty. Without an amount (or with `null` or -1) everything that is left, which then is
   * {@link HTTPResponse.data} too if nothing was read before.
   *
   * @throws (rejects with) ProtocolError (its `partial` what had come), DecodeError, ReadTimeoutError, ResponseTooLarge, or
   * the signal's reason; RangeError or TypeError ERR_INVALID_OPTION.
   */
  read(amount?: number | null): Promise<Buffer>;
  /**
   * Reads what is at hand, decoded: at least one byte unless at the end, at most `amount` (default: all of it).
   *
   * @throws (rejects with) what {@link HTTPResponse.read} does.
   */
  read1(amount?: number | null): Promise<Buffer>;
  /**
   * Fills `target` with decoded bytes and gives their number: fewer than its length at the end, or before an error, which the next
   * read rejects with; 0 at the end alone. urllib3's `readinto`.
   *
   * @throws (rejects with) what {@link HTTPResponse.read} does.
   */
  readInto(target: Uint8Array | Uint8ClampedArray): Promise<number>;
  /**
   * Pieces of exactly `amount` decoded bytes (default 65,536), the last one smaller. With `null` a body of known length is
   * one piece, any other comes as it arrives. Leaving the loop lets go of the response.
   */
  stream(amount?: number | null): AsyncIterableIterator<Buffer>;
  /** Pieces as they arrive, without a copy. (urllib3 gives lines here; see {@link HTTPResponse.lines}.) */
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer>;
  /** Lines of the decoded body as bytes, each with its line feed, the last one as it is. Leaving the loop lets go of the response. */
  lines(): AsyncIterableIterator<Buffer>;
  /** The body as a stream of the web's. Cancelling it lets go of the response. */
  toWeb(): ReadableStream<Uint8Array>;
  /** The body as a stream of Node's. Destroying it lets go of the response. */
  toReadable(): Readable;
  /**
   * As a `Response` of `fetch`. What was decoded loses Content-Encoding and Content-Length.
   *
   * @throws RangeError for a status that `Response` cannot have (outside 200 to 599).
   */
  toResponse(): Response;
  /**
   * Reads and drops the rest without decoding it, so that the connection can be used again. What goes wrong meanwhile
   * costs the connection and nothing else.
   */
  drainConn(): Promise<void>;
  /**
   * Gives the connection back: it is kept if 64 KiB at most are left and come at once, and closed otherwise. A later read
   * fails, unless the body was read to its end.
   */
  releaseConn(): void;
  /**
   * Closes the connection of a body whose last byte has not come; it is back in the pool otherwise. A read in progress
   * fails (one of so many bytes gives those it has), and so does a later one, unless the body was read to its end.
   */
  close(): void;
  /** The Location of a 301, 302, 303, 307 or 308 (`null` if it has none); `false` for every other status. */
  getRedirectLocation(): string | null | false;
  /**
   * Gives the response itself for a status below 400, and throws for every other. urllib3 has no such method.
   *
   * @throws ResponseError ERR_STATUS that names the status and the URL without its query.
   */
  raiseForStatus(): this;
  /** `HTTPResponse(status=200, url='http://…')`. */
  toString(): string;
}

/** The head of a response: what {@link RequestOptions.accept} is asked about. */
export interface Head {
  /** The status code. */
  readonly status: number;
  /** The reason phrase, `''` where none was sent. */
  readonly reason: string | null;
  /** The header fields. */
  readonly headers: HTTPHeaderDict;
  /** What it answers: absolute, without user info. */
  readonly url: string;
}

/** What a response of one's own is made of. */
export interface HTTPResponseInit {
  /** 100 to 999. Default 200. */
  status?: number | undefined;
  /** Default none. */
  headers?: HeaderSource | undefined;
  /** The reason phrase. Default `null`. */
  reason?: string | null | undefined;
  /** What it is the response of; user info in it is left out, as of every response's. Default `''`. */
  url?: string | undefined;
}

/** How long each phase of the last attempt took, in milliseconds; `null`: it did not happen. `total` is the whole call. */
export interface Timings {
  /** Waiting for a connection. */
  readonly pool: number | null;
  /** Resolving the name. */
  readonly dns: number | null;
  /** Connecting. */
  readonly connect: number | null;
  /** What a proxy took: TLS with it, CONNECT, SOCKS. */
  readonly proxy: number | null;
  /** The TLS handshake. */
  readonly tls: number | null;
  /** Until the kernel had the whole request. */
  readonly send: number | null;
  /** From there to the response's head. */
  readonly headers: number | null;
  /**
   * From the end of the core's work (of a body in pieces: from the head) to JavaScript: how long a busy thread let it lie. No
   * part of `total`, and never `null`.
   */
  readonly deliver: number;
  /** From the head to the end of the body. */
  readonly body: number | null;
  /** The whole call, earlier attempts and hops included, to the end of the body; without `deliver`. */
  readonly total: number | null;
}

/** A charset and where it was found. */
export interface Charset {
  /** WHATWG's name in lower case: `utf-8`, `windows-1252`, `shift_jis`. */
  readonly name: string;
  /** What said so: a byte order mark, Content-Type, an HTML meta element, or nothing. */
  readonly from: "bom" | "header" | "meta" | "default";
}

/** The connection that a response came on. Stays readable after the connection has gone. */
export interface ConnectionInfo {
  /** The connection's number, unique in its thread. */
  readonly id: number;
  /** The peer's address, or the path of its Unix socket. */
  readonly remoteAddress: string;
  /** The peer's port; 0 of a Unix socket. */
  readonly remotePort: number;
  /** Our own address; empty for a Unix socket. */
  readonly localAddress: string;
  /** Our own port; 0 of a Unix socket. */
  readonly localPort: number;
  /** Whether it had carried an exchange before. */
  readonly reused: boolean;
  /** What was spoken on it. */
  readonly protocol: "http/1.1" | "http/1.0" | "h2";
  /** The proxy that it leads through, without credentials: `http://localhost:3128`. `null` without one. */
  readonly proxy: string | null;
  /** Each address that was tried, in order, the last one successfully. */
  readonly triedAddresses: readonly TriedAddress[];
  /** `null` over plain http. */
  readonly tls: TLSInfo | null;
}

/** What a TLS handshake agreed on, and whom it met. */
export interface TLSInfo {
  /** `'TLSv1.3'` or `'TLSv1.2'`. */
  readonly version: string;
  /** The cipher suite's name. */
  readonly cipher: string;
  /** Whether a session was resumed, in place of a full handshake. */
  readonly resumed: boolean;
  /** Whether the peer was verified: its chain was checked, or its fingerprint. */
  readonly verified: boolean;
  /** The name that was sent (SNI); `null` where none was, as for addresses. */
  readonly serverName: string | null;
  /** The peer's certificates as it sent them, its own first. */
  readonly chain: readonly CertificateInfo[];
}

/** An address that was tried when a connection was made. */
export interface TriedAddress {
  /** `address:port`, or the path of a Unix socket. */
  readonly address: string;
  /** What the system said; `null` of the one that took the connection. */
  readonly error: string | null;
  /** Milliseconds that trying it took. */
  readonly elapsed: number;
}

/** A certificate as the peer sent it. One that cannot be read has empty texts and invalid dates, and its bytes all the same. */
export interface CertificateInfo {
  /** Whose it is, as in RFC 4514: `CN=example.com,O=Example`. */
  readonly subject: string;
  /** Who signed it, as in RFC 4514. */
  readonly issuer: string;
  /** Not valid before. */
  readonly validFrom: Date;
  /** Not valid after. */
  readonly validTo: Date;
  /** The names it is for, as Node.js has them: `DNS:example.com`, `IP Address:127.0.0.1`. */
  readonly subjectAltName: readonly string[];
  /** The hash of its DER as Node.js writes it, `8A:5D:26:…`: an `assertFingerprint`. */
  readonly sha256: string;
  /** Its DER. Not enumerable. */
  readonly raw: Buffer;
}

// Headers: names without case, values with their order.

/**
 * A case-insensitive dictionary of header fields that keeps order, spelling and repeats.
 *
 * `headers['content-type']` reads like `headers.get('content-type')`, except for names that are members (`get`, `size`, `items`,
 * `update`, `constructor`): there the member wins, and `get(name)` reads the header. So `{ ...headers }` and `Object.keys` are
 * without such names, and `toJSON()` and `[...headers]` have them all. Index access only reads; `set` writes.
 *
 * @example
 * const headers = new HTTPHeaderDict({ Accept: 'text/html' });
 * headers.add('Cookie', 'a=1').add('cookie', 'b=2');
 * console.log(headers['COOKIE']); // a=1, b=2
 * console.log([...headers]); // [ [ 'Accept', 'text/html' ], [ 'Cookie', 'a=1' ], [ 'Cookie', 'b=2' ] ]
 */
export type HTTPHeaderDict = HeaderDict & {
  readonly [name: string]: string | undefined;
};

/** Makes an {@link HTTPHeaderDict}: see {@link HTTPHeaderDictConstructor}. */
export declare const HTTPHeaderDict: HTTPHeaderDictConstructor;

/**
 * As a header's value: leave out the line that would be sent by default. For `accept-encoding`, `host` and `user-agent`
 * only; a request with it on another name is refused.
 *
 * @example
 * await pool.request('GET', '/', { headers: { 'user-agent': SKIP_HEADER } });
 */
export declare const SKIP_HEADER: unique symbol;

/** The methods of an {@link HTTPHeaderDict}, which adds index access to them; not to be constructed itself. */
declare class HeaderDict {
  /** How many names there are (not lines). */
  get size(): number;
  /** The values under this name joined by `, `, or the fallback (default `undefined`) when there is none. */
  get(name: string): string | undefined;
  get<F>(name: string, fallback: F): string | F;
  /**
   * Each line under this name by itself, or the fallback (default an empty array) when there is none: the way to read
   * Set-Cookie, whose values hold commas of their own.
   */
  getAll(name: string): string[];
  getAll<F>(name: string, fallback: F): string[] | F;
  /** urllib3's name of {@link HeaderDict.getAll}. */
  getlist(name: string): string[];
  getlist<F>(name: string, fallback: F): string[] | F;
  /** Replaces all lines of a name and its spelling by one line; the name keeps its place. The value is never split. */
  set(name: string, value: HeaderInput): this;
  /**
   * Adds a line below those of the same name, which keep their spelling. With `combine` (default false) it is appended to the last of
   * them instead, after `, `. A name that is left out ({@link SKIP_HEADER}) stays so until it is set or removed.
   *
   * @throws TypeError ERR_INVALID_HEADER for a name or value of a wrong type, ERR_INVALID_OPTION for options of one.
   */
  add(name: string, value: HeaderInput, options?: {
    combine?: boolean | undefined;
  }): this;
  /** Adds every line of the source and overwrites nothing. urllib3's `|=` too. */
  extend<Source extends object>(source?: HeaderSource | HeadersFor<Source>, ...more: never[]): this;
  /** Replaces each name that the source has; of several pairs with one name the last stays. */
  update<Source extends object>(source: HeaderSource | HeadersFor<Source>): this;
  /**
   * A new dictionary with the lines of this one, then those of the other; neither is changed. urllib3's `|` operator.
   *
   * @example
   * await pool.request('GET', '/', { headers: pool.headers.union({ accept: 'text/html' }) });
   */
  union<Source extends object>(other: HeaderSource | HeadersFor<Source>): HTTPHeaderDict;
  /** Removes a name, if it is there. */
  discard(name: string): void;
  /** Removes a name and says whether it was there. (urllib3's `del` throws when it was not.) */
  delete(name: string): boolean;
  /**
   * Removes a name and gives its joined values.
   *
   * @throws RangeError ERR_INVALID_HEADER when the name is absent and no fallback was given.
   */
  pop(name: string): string;
  pop<F>(name: string, fallback: F): string | F;
  /** The joined values of a name, which is set to this value first (default empty) when it is absent. */
  setDefault(name: string, value?: string): string;
  /** Whether a name is there; with a value, whether one of its lines is exactly that. */
  has(name: string, value?: HeaderValue): boolean;
  /** The names, as first spelled, in the order of their first lines. */
  keys(): IterableIterator<string>;
  /** Every line by itself as `[name, value]`, the lines of a name together, spelled as its first. */
  entries(): IterableIterator<[string, string]>;
  /** urllib3's name of {@link HeaderDict.entries} (`iteritems` too). */
  items(): IterableIterator<[string, string]>;
  /** The same as {@link HeaderDict.entries}. */
  [Symbol.iterator](): IterableIterator<[string, string]>;
  /** Every name once as `[name, values joined by ", "]`. urllib3's `itermerged`. */
  merged(): IterableIterator<[string, string]>;
  /** An independent dictionary with the same lines. */
  copy(): HTTPHeaderDict;
  /**
   * Whether the other has the same names (any case, any order) with the same joined values. The other may be anything
   * that a dictionary can be made from; all else is unequal.
   */
  equals(other: unknown): boolean;
  /**
   * An object without a prototype, from which the constructor makes an equal dictionary: a string for one line, an
   * array for several, `null` for {@link SKIP_HEADER}. Also what to hand to `structuredClone`, which takes no Proxy.
   * It has every name, `{ ...headers }` those that no member is called like. To others the lines are handed one by one, so that
   * each Set-Cookie stays by itself.
   *
   * @example
   * const headers = new HTTPHeaderDict([['Vary', 'Accept'], ['Set-Cookie', 'a=1'], ['Set-Cookie', 'b=2']]);
   * const ofFetch = new Headers([...headers]);
   * console.log(ofFetch.getSetCookie().length); // 2
   * const ofNode = [...headers].flat(); // what writeHead() of a server takes
   * console.log(ofNode.length); // 6
   */
  toJSON(): Record<string, string | string[] | null>;
  /** `HTTPHeaderDict({'Cookie': 'foo, bar'})`. It shows every value: headers may hold secrets. */
  toString(): string;
}

export type { HeaderDict };

/**
 * What becomes a header line: a number is its text; bytes, which may be of any encoding, are kept as the text whose characters have
 * their numbers, and go out as they were.
 */
export type HeaderInput = HeaderValue | number | Uint8Array;

/**
 * Everything a header dictionary is made from: another one, pairs (an array, a `Map`, fetch's `Headers`, a generator),
 * a plain object, or anything with `keys()` and either `get(name)` or index access. Only own properties of objects are
 * read; `undefined` in an object is absent.
 */
export type HeaderSource = HeaderDict | Iterable<readonly [string, HeaderValues]> | {
  keys(): Iterable<string>;
  get(name: string): HeaderValues | undefined;
} | {
  readonly [name: string]: HeaderValues | undefined;
};

/**
 * What a dictionary is made from, given a `Source`: a {@link HeaderSource} or, of an interface (which has no index signature), an
 * object with a value for each of its names.
 */
export type HeadersFor<Source> = Source extends HeaderSource | Iterable<unknown> | ((...args: never) => unknown) ? HeaderSource : {
  readonly [Name in keyof Source]: HeaderValues | undefined;
};

/** What a header line can hold: text, or {@link SKIP_HEADER}. */
export type HeaderValue = string | typeof SKIP_HEADER;

/** A value or, for a name with several lines, the values in order. `null` is {@link SKIP_HEADER}, as `toJSON` writes it. */
export type HeaderValues = HeaderInput | null | readonly (string | number | Uint8Array)[];

/** The constructor of {@link HTTPHeaderDict}. */
export interface HTTPHeaderDictConstructor {
  /**
   * Takes every line of the source: repeated names in pairs add up.
   *
   * @throws TypeError ERR_INVALID_HEADER for what is no source, a name that is no string, a value that is no string,
   * number, bytes or {@link SKIP_HEADER}.
   */
  new <Source extends object>(source?: HeaderSource | HeadersFor<Source> | null): HTTPHeaderDict;
  /** What all of them inherit. */
  readonly prototype: HTTPHeaderDict;
}

/** What `acceptEncoding: true` sends: every coding that a response is decoded from. */
export declare const ACCEPT_ENCODING = "gzip,deflate,br,zstd";

/**
 * Makes a plain object of headers, lower-case names in a fixed order. urllib3's `make_headers`.
 *
 * @throws TypeError ERR_INVALID_OPTION for a wrong type, an unknown option, or credentials that their encoding has not.
 * The message never repeats credentials.
 * @example
 * console.log(makeHeaders({ acceptEncoding: true, basicAuth: 'user:secret' }));
 * // { 'accept-encoding': 'gzip,deflate,br,zstd', authorization: 'Basic dXNlcjpzZWNyZXQ=' }
 */
export declare function makeHeaders(options?: MakeHeadersOptions): Record<string, string>;

/** How credentials become bytes. `latin1` is HTTP's tradition; `utf-8` is what RFC 7617, section 2.1, lets a server ask for. */
export type CredentialsEncoding = "latin1" | "utf-8";

/** What {@link makeHeaders} can make. Whatever is absent, `null`, `false` or empty adds no header. */
export interface MakeHeadersOptions {
  /** `true` adds `connection: keep-alive`. Default false. */
  keepAlive?: boolean | null | undefined;
  /** `true` adds `accept-encoding` with {@link ACCEPT_ENCODING}; a list is joined by `,`; a string goes as it is. Default false. */
  acceptEncoding?: boolean | string | readonly string[] | null | undefined;
  /** Adds `user-agent`. */
  userAgent?: string | null | undefined;
  /** `user:password`: adds `authorization: Basic …`. */
  basicAuth?: string | null | undefined;
  /** `user:password`: adds `proxy-authorization: Basic …`. */
  proxyBasicAuth?: string | null | undefined;
  /** `true` adds `cache-control: no-cache`. Default false. */
  disableCache?: boolean | null | undefined;
  /** For `basicAuth`. Default `latin1`, which refuses characters that it does not have. */
  basicAuthEncoding?: CredentialsEncoding | undefined;
  /** For `proxyBasicAuth`. Default `latin1`, which refuses characters that it does not have. */
  proxyBasicAuthEncoding?: CredentialsEncoding | undefined;
}

// Time-outs: how long a request may take.

/**
 * How long a request may take, in milliseconds. Nothing is limited that is not set: there is no hidden default.
 *
 * Unlike urllib3 it counts milliseconds, keeps no clock (there is no `clone` or `start_connect`), and takes `Infinity`
 * for none.
 *
 * @example
 * const timeout = new Timeout({ connect: 2_000, read: 10_000, total: 60_000 });
 * await pool.request('GET', '/', { timeout });
 */
export declare class Timeout {
  /** The deadline over the whole call, or `null` for none. */
  readonly total: number | null;
  /** As given; {@link Timeout.connectTimeout} has `total` in it. `null` for none. */
  readonly connect: number | null;
  /** As given; {@link Timeout.readTimeout} has `total` in it. `null` for none. */
  readonly read: number | null;
  /**
   * Turns an option's value into a `Timeout`: a bare number sets `connect` and `read`, not `total`; `null` and
   * `undefined` are no limit at all. urllib3's `Timeout.from_float`.
   *
   * @throws RangeError or TypeError ERR_INVALID_TIMEOUT as the constructor does.
   */
  static from(value: TimeoutLike): Timeout;
  /**
   * Takes the spans in milliseconds. A span below 50 ms warns once a process: it was probably meant in seconds.
   *
   * @throws RangeError ERR_INVALID_TIMEOUT for 0, less, NaN, and anything below 1 (no millisecond is a time-out).
   * @throws TypeError ERR_INVALID_TIMEOUT for what is neither a number nor `null`, and for unknown options.
   */
  constructor(options?: TimeoutOptions);
  /** How long connecting may take: the lesser of `connect` and `total`, or `null`. urllib3's `connect_timeout`. */
  get connectTimeout(): number | null;
  /** How long silence may last at the start: the lesser of `read` and `total`, or `null`. urllib3's `read_timeout`. */
  get readTimeout(): number | null;
  /** What {@link Timeout.readTimeout} is when so many milliseconds of `total` are gone; never below 0. */
  readTimeoutAfter(elapsed: number): number | null;
  /** The three spans; the constructor makes an equal `Timeout` of them. */
  toJSON(): TimeoutJSON;
  /** `Timeout(connect=1000, read=2000, total=null)`. */
  toString(): string;
}

/** The spans of a {@link Timeout}, in milliseconds. `null`, `undefined` and `Infinity` mean none. */
export interface TimeoutOptions {
  /**
   * A deadline over the whole call: names, connecting, sending, the body, retries and redirects. Default none. Leads to
   * ConnectTimeoutError (cut while dialling) or ReadTimeoutError (later), both ERR_TOTAL_TIMEOUT. (urllib3's bounds one
   * attempt's connect and first bytes only.)
   */
  total?: number | null | undefined;
  /** Resolving, connecting, the proxy's steps and TLS together. Default none. Leads to ConnectTimeoutError ERR_CONNECT_TIMEOUT. */
  connect?: number | null | undefined;
  /**
   * The longest silence: before the head, between two pieces of the body, or while the peer takes no byte of the request.
   * Default none. Leads to ReadTimeoutError ERR_READ_TIMEOUT or ERR_SEND_TIMEOUT.
   */
  read?: number | null | undefined;
}

/** Everything that is taken for a `timeout` option: a number is `connect` and `read`, in milliseconds; `null` and `undefined` are none. */
export type TimeoutLike = Timeout | (TimeoutOptions & {
  connectTimeout?: never;
  readTimeout?: never;
  readTimeoutAfter?: never;
}) | number | null | undefined;

/** A {@link Timeout} as plain data; the constructor makes an equal one of it. */
export interface TimeoutJSON {
  /** {@link Timeout.total}. */
  total: number | null;
  /** {@link Timeout.connect}. */
  connect: number | null;
  /** {@link Timeout.read}. */
  read: number | null;
}

// Retries: what is tried again, how often, and after how long; redirects too.

/**
 * What is tried again, how often, and after how long. Immutable: one value serves any number of requests.
 *
 * A subclass may override {@link Retry.increment}, {@link Retry.isRetry} and the others that answer a question; it is
 * asked then. Its constructor has to take {@link RetryOptions}, since every event makes another value of the same class.
 *
 * @example
 * const retries = new Retry({ total: 5, statusForcelist: [502, 503, 504], backoffFactor: 200 });
 * await pool.request('GET', '/', { retries });
 */
export declare class Retry {
  #private;
  /** The methods that may be made twice (RFC 9110, section 9.2.2). */
  static readonly DEFAULT_ALLOWED_METHODS: readonly string[];
  /** The headers that are secrets of an origin or a proxy. */
  static readonly DEFAULT_REMOVE_HEADERS_ON_REDIRECT: readonly string[];
  /** The statuses whose Retry-After makes them worth another try. */
  static readonly RETRY_AFTER_STATUS_CODES: readonly number[];
  /** Milliseconds: 2 minutes. */
  static readonly DEFAULT_BACKOFF_MAX: number;
  /** Milliseconds: 6 hours. */
  static readonly DEFAULT_RETRY_AFTER_MAX: number;
  /** What a request has that says nothing: a total of 3. (urllib3's can be replaced; here each pool has its `retries`.) */
  static readonly DEFAULT: Retry;
  /** What is left of {@link RetryOptions.total}. */
  readonly total: RetryCount;
  /** What is left of {@link RetryOptions.connect}. */
  readonly connect: RetryCount;
  /** What is left of {@link RetryOptions.read}. */
  readonly read: RetryCount;
  /** What is left of {@link RetryOptions.redirect}. */
  readonly redirect: RetryCount;
  /** What is left of {@link RetryOptions.status}. */
  readonly status: RetryCount;
  /** What is left of {@link RetryOptions.other}. */
  readonly other: RetryCount;
  /** {@link RetryOptions.allowedMethods}, as they were given; `null` is every method. */
  readonly allowedMethods: readonly string[] | null;
  /** {@link RetryOptions.statusForcelist}. */
  readonly statusForcelist: readonly number[];
  /** {@link RetryOptions.backoffFactor}. */
  readonly backoffFactor: number;
  /** {@link RetryOptions.backoffMin}. */
  readonly backoffMin: number;
  /** {@link RetryOptions.backoffMax}. */
  readonly backoffMax: number;
  /** {@link RetryOptions.backoffJitter}. */
  readonly backoffJitter: number;
  /** {@link RetryOptions.raiseOnRedirect}. */
  readonly raiseOnRedirect: boolean;
  /** {@link RetryOptions.raiseOnStatus}. */
  readonly raiseOnStatus: boolean;
  /** {@link RetryOptions.respectRetryAfterHeader}. */
  readonly respectRetryAfterHeader: boolean;
  /** {@link RetryOptions.removeHeadersOnRedirect}, in lower case. */
  readonly removeHeadersOnRedirect: readonly string[];
  /** {@link RetryOptions.retryAfterMax}. */
  readonly retryAfterMax: number;
  /** What happened so far, in order. */
  readonly history: readonly RequestHistory[];
  /**
   * Turns an option's value into a `Retry`: `null` and `undefined` are `options.default`, or {@link Retry.DEFAULT}; a
   * `Retry` is itself; anything else is a total. `redirect: false` (or anything else that is falsy but `undefined`) makes
   * redirects be returned, unless a `Retry` was given. urllib3's `Retry.from_int`.
   *
   * @throws TypeError or RangeError ERR_INVALID_OPTION as the constructor does.
   */
  static fromInt(retries?: RetryLike, options?: {
    redirect?: boolean | number | null | undefined;
    default?: RetryLike;
  }): Retry;
  /**
   * Takes the parameters; what is not given has urllib3's default.
   *
   * @throws TypeError ERR_INVALID_OPTION for a wrong type or an unknown parameter; RangeError for a number out of range, and
   * for a time strictly between 0 and 1, which was meant in seconds.
   */
  constructor(options?: RetryOptions);
  /** The same with these parameters changed, of the same class. */
  with(changes?: RetryOptions): this;
  /** urllib3's name of {@link Retry.with}. */
  new(changes?: RetryOptions): this;
  /**
   * What is left after this event, with the event in its history.
   *
   * @throws The error itself where its kind is switched off or never retried, or where the server may have acted on the request
   * (a read error, or one of TLS that broke after it went out) and the method is not allowed; MaxRetryError when nothing is left, its `reason` the error or a ResponseError that says what there was too
   * much of; TypeError ERR_INVALID_OPTION for arguments of a wrong type.
   */
  increment(method: string | null, url: string, event?: RetryEvent): this;
  /**
   * Whether an answer of this status is retried: the method is allowed, and the status is in
   * {@link Retry.statusForcelist}, or is one of {@link Retry.RETRY_AFTER_STATUS_CODES} with a Retry-After that is heeded.
   *
   * @throws TypeError or RangeError ERR_INVALID_OPTION for arguments of a wrong type, and for what is no status.
   */
  isRetry(method: string, status: number, hasRetryAfter?: boolean): boolean;
  /** Whether any counter is below 0. */
  isExhausted(): boolean;
  /** Milliseconds of back-off before the next attempt, by the errors and statuses since the last redirect. */
  getBackoffTime(): number;
  /**
   * Milliseconds that the value of a Retry-After field asks for, {@link Retry.retryAfterMax} at most: of seconds, or of a
   * date; 0 for one that has passed.
   *
   * @throws InvalidHeader for anything else.
   */
  parseRetryAfter(value: string): number;
  /**
   * Milliseconds that this response asks to wait for, or `null` where it has no Retry-After or one that cannot be read. (Of
   * the latter urllib3 makes an error: what a server sends must not fail a request.)
   *
   * @throws TypeError ERR_INVALID_OPTION for what is no response.
   */
  getRetryAfter(response: RetriedResponse): number | null;
  /** `Retry(total=10, connect=null, read=null, redirect=null, status=null)`. */
  toString(): string;
  /** Every parameter but the history; the constructor makes an equal `Retry` of it. */
  toJSON(): RetryJSON;
}

/** The parameters of a {@link Retry}. Times are milliseconds, urllib3's are seconds. */
export interface RetryOptions {
  /** Events of every kind together. Default 10. `true` is 1. `false`: no error is retried or wrapped, no redirect followed. */
  total?: RetryCount | true | undefined;
  /** Errors before there was a connection, whatever the method. Default `null`. */
  connect?: RetryCount | undefined;
  /** Errors after the request may have been seen. Default `null`. */
  read?: RetryCount | undefined;
  /** Redirects followed. Default `null`. `false` is 0 with `raiseOnRedirect: false`. */
  redirect?: RetryCount | undefined;
  /** Answers retried because of their status. Default `null`. */
  status?: RetryCount | undefined;
  /** Errors of any other kind. Default `null`. */
  other?: RetryCount | undefined;
  /**
   * Methods that are sent again after an error of what had been sent, or because of a status, in any case. `null` or `false`:
   * every one; an empty list: none (urllib3 2.8 takes it for every one). Default {@link Retry.DEFAULT_ALLOWED_METHODS}.
   */
  allowedMethods?: (Iterable<string> & object) | false | null | undefined;
  /** Statuses whose answers are retried, for methods of {@link RetryOptions.allowedMethods}. Default (`null`) none. */
  statusForcelist?: Iterable<number> | null | undefined;
  /** Milliseconds: the second retry waits twice this, each further one twice as long as the one before. Default 0: none waits. */
  backoffFactor?: number | undefined;
  /** Milliseconds: the least wait before a retry after an error or a status, the first one too. Default 0. urllib3 has none. */
  backoffMin?: number | undefined;
  /** Milliseconds: the most that a back-off can be, {@link RetryOptions.backoffMin} included. Default 120,000. */
  backoffMax?: number | undefined;
  /** Milliseconds: from the second retry on a back-off is longer by a random part of this. Default 0. */
  backoffJitter?: number | undefined;
  /** Too many redirects are a MaxRetryError; `false`: the last 3xx is the answer. Default true. */
  raiseOnRedirect?: boolean | undefined;
  /** Too many statuses are a MaxRetryError; `false`: the last answer is returned. Default true. */
  raiseOnStatus?: boolean | undefined;
  /** Heed a Retry-After field, in a redirect too. Default true. */
  respectRetryAfterHeader?: boolean | undefined;
  /**
   * Header names, in any case, that do not go to another origin. A list replaces the default, an empty one keeps all.
   * Default {@link Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT}.
   */
  removeHeadersOnRedirect?: (Iterable<string> & object) | undefined;
  /** Milliseconds: a longer Retry-After is cut to this. Default 21,600,000, 6 hours. */
  retryAfterMax?: number | undefined;
  /** What happened so far. Default nothing. */
  history?: Iterable<RequestHistory> | undefined;
}

/**
 * How many more of something: a whole number, which 0 allows none of, and below 0 says that it is used up (what is left after the last);
 * `null` is not counted here (`total` alone bounds it), `false` is not even once.
 */
export type RetryCount = number | false | null;

/** Everything that is taken for a `retries` option: a number is a total, `false` none at all, `true` 1; `null` and `undefined` are the default. */
export type RetryLike = Retry | number | boolean | null | undefined;

/** One event of a call: an error, a redirect that was followed, a status that was retried. */
export interface RequestHistory {
  /** The method of the next request: GET after a 303. */
  readonly method: string;
  /** What was asked. */
  readonly url: string;
  /** What went wrong, or `null`. */
  readonly error: Error | null;
  /** The answer's status, or `null`. */
  readonly status: number | null;
  /** The answer's Location as it was received, or `null`. */
  readonly redirectLocation: string | null;
}

/** What happened to an attempt; without an error and a response it is an answer of which nothing is known. */
export interface RetryEvent {
  /** The answer that came. Default none (`null`). */
  response?: RetriedResponse | null | undefined;
  /** What went wrong; it is looked at first. Default nothing (`null`). */
  error?: Error | null | undefined;
  /** For {@link MaxRetryError}. Default `null`. */
  pool?: AnyPool | null | undefined;
}

/** A response, as far as a {@link Retry} looks at it. */
export interface RetriedResponse {
  /** The status code. */
  readonly status: number;
  /** Where Retry-After is looked for. */
  readonly headers: {
    get(name: string): string | null | undefined;
  };
  /** {@link HTTPResponse.getRedirectLocation}. */
  getRedirectLocation(): string | null | false;
}

/** A {@link Retry} as plain data; the constructor makes an equal one of it, but for the history, which stays behind. */
export interface RetryJSON {
  /** {@link RetryOptions.total}. */
  total: RetryCount;
  /** {@link RetryOptions.connect}. */
  connect: RetryCount;
  /** {@link RetryOptions.read}. */
  read: RetryCount;
  /** {@link RetryOptions.redirect}. */
  redirect: RetryCount;
  /** {@link RetryOptions.status}. */
  status: RetryCount;
  /** {@link RetryOptions.other}. */
  other: RetryCount;
  /** {@link RetryOptions.allowedMethods}, as they were given; `null` is every method. */
  allowedMethods: readonly string[] | null;
  /** {@link RetryOptions.statusForcelist}. */
  statusForcelist: readonly number[];
  /** {@link RetryOptions.backoffFactor}. */
  backoffFactor: number;
  /** {@link RetryOptions.backoffMin}. */
  backoffMin: number;
  /** {@link RetryOptions.backoffMax}. */
  backoffMax: number;
  /** {@link RetryOptions.backoffJitter}. */
  backoffJitter: number;
  /** {@link RetryOptions.raiseOnRedirect}. */
  raiseOnRedirect: boolean;
  /** {@link RetryOptions.raiseOnStatus}. */
  raiseOnStatus: boolean;
  /** {@link RetryOptions.respectRetryAfterHeader}. */
  respectRetryAfterHeader: boolean;
  /** {@link RetryOptions.removeHeadersOnRedirect}. */
  removeHeadersOnRedirect: readonly string[];
  /** {@link RetryOptions.retryAfterMax}. */
  retryAfterMax: number;
}

// TLS: whom to trust, and who we are.

/**
 * Options of TLS, for an {@link HTTPSConnectionPool}, and for a {@link PoolManager} as far as it makes such pools. `null` is
 * the same as not giving an option. Files are read when a pool is made; one that cannot be read, a key that does not fit its
 * certificate and the like are an SSLError then.
 */
export interface TLSOptions {
  /**
   * Whether the server's certificate is checked; `null` is refused. Default `'required'`: its chain and its name are. `'optional'` means the
   * same to a client. `'none'` checks nothing but a fingerprint, and says so in an InsecureRequestWarning, once a pool.
   * urllib3's names are taken too. urllib3's `cert_reqs`; Node's `rejectUnauthorized`.
   */
  certReqs?: CertReqs | undefined;
  /**
   * Whom to trust: paths of PEM files, PEM texts (told by their `-----BEGIN`), or `'system'` for the system's store. Given,
   * this, `caCertDir` and `caCertData` together are all that is trusted. Default: Mozilla's roots, which are compiled in, and
   * what the environment says (`NODE_EXTRA_CA_CERTS`, `SSL_CERT_FILE`, `SSL_CERT_DIR`, `NODE_USE_SYSTEM_CA`). urllib3's
   * `ca_certs`; Node's `ca`.
   */
  caCerts?: string | readonly string[] | null | undefined;
  /** Whom to trust: a directory, of which every PEM file is read. Default none. urllib3's `ca_cert_dir`. */
  caCertDir?: string | null | undefined;
  /** Whom to trust: PEM text, as a string or as bytes, or one certificate's DER. Default none. urllib3's `ca_cert_data`. */
  caCertData?: CertificateData | readonly CertificateData[] | null | undefined;
  /**
   * The client's certificate: the path of a PEM file with the certificate, the intermediates after it and, if there is no
   * `keyFile`, its key; or that PEM itself. Default none. urllib3's `cert_file`.
   */
  certFile?: string | null | undefined;
  /** The same as PEM text. Not together with `certFile`. */
  cert?: string | Uint8Array | null | undefined;
  /** The path of a PEM file with the client's key. Default: it is with the certificate. urllib3's `key_file`. */
  keyFile?: string | null | undefined;
  /** The same as PEM text. Not together with `keyFile`. */
  key?: string | Uint8Array | null | undefined;
  /** What an encrypted key is opened with; without effect on any other. Default none. urllib3's `key_password`. */
  keyPassword?: string | Uint8Array | null | undefined;
  /**
   * The name that the certificate is checked for, in place of `serverHostname` and the host; `false` checks the chain and no
   * name. Not a name together with `certReqs: 'none'`. urllib3's `assert_hostname`.
   */
  assertHostname?: string | false | null | undefined;
  /**
   * What the server's own certificate hashes to: MD5, SHA-1 or SHA-256 in hexadecimal (colons and either case allowed), by
   * its length. It replaces the check of the name, and is checked under `certReqs: 'none'` too. What is no fingerprint is an
   * SSLError. Default none. urllib3's `assert_fingerprint`.
   */
  assertFingerprint?: string | null | undefined;
  /** The name that is sent (SNI) and checked in place of the host. Default: the host. urllib3's `server_hostname`. */
  serverHostname?: string | null | undefined;
  /** Default `'TLSv1.2'`; nothing older is spoken at all. urllib3's `ssl_minimum_version`. */
  sslMinimumVersion?: TLSVersion | null | undefined;
  /** Default none. Not below `sslMinimumVersion`. urllib3's `ssl_maximum_version`. */
  sslMaximumVersion?: TLSVersion | null | undefined;
  /**
   * Cipher suites by rustls' or IANA's names, in order of preference; nothing else is offered. Default: rustls' choice. An
   * OpenSSL cipher string is refused. urllib3's `ciphers`.
   */
  ciphers?: string | readonly string[] | null | undefined;
  /**
   * A file (made with mode 0600) that the secrets of each connection are appended to, for tools that read captures;
   * `true` takes its path from the variable `SSLKEYLOGFILE`, in which `$NAME` and `${NAME}` are replaced; unset or empty it
   * means none. Default none: the variable alone does nothing. Refused in a setuid process.
   */
  keyLogFile?: string | boolean | null | undefined;
}

/** How a server is verified: see {@link TLSOptions.certReqs}. */
export type CertReqs =
  | "required"
  | "optional"
  | "none"
  | "CERT_REQUIRED"
  | "CERT_OPTIONAL"
  | "CERT_NONE"
  | "REQUIRED"
  | "OPTIONAL"
  | "NONE";

/** PEM text, as a string or as bytes, or DER. */
export type CertificateData = string | Uint8Array;

/** The versions of TLS that there are. */
export type TLSVersion = "TLSv1.2" | "TLSv1.3";

/** Options of TLS as plain data. */
export type TLSJSON = Omit<TLSOptions, "cert" | "key" | "keyPassword">;

/**
 * Throws unless a certificate (its DER) has this fingerprint: MD5, SHA-1 or SHA-256 in hexadecimal by its length, colons and either
 * case allowed. urllib3's `assert_fingerprint`; for a pool there is the option of this name.
 *
 * @throws SSLError ERR_TLS (`reason` ERR_FINGERPRINT) if it has not, for what is no fingerprint, and without a certificate;
 * TypeError ERR_INVALID_OPTION.
 * @example
 * const pool = new HTTPSConnectionPool('localhost', { port: 8443, caCerts: 'ca.pem' });
 * const response = await pool.request('GET', '/');
 * const [leaf] = response.connection?.tls?.chain ?? [];
 * if (leaf !== undefined) assertFingerprint(leaf.raw, leaf.sha256);
 */
export declare function assertFingerprint(certificate: Uint8Array | null | undefined, fingerprint: string): void;

// One connection: outside any pool.

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
export declare class HTTPConnection {
  #private;
  /** 80; 443 of an {@link HTTPSConnection}. */
  static readonly defaultPort: number;
  /** What a socket has where `socketOptions` is not given. */
  static readonly defaultSocketOptions: Readonly<SocketOptions>;
  /** Normalised: lower case, IDNA, brackets off an IPv6 literal. */
  readonly host: string;
  /** Where it is connected to: the scheme's where none was given. */
  readonly port: number;
  /** The time-outs of a request that brings none. */
  readonly timeout: Timeout;
  /**
   * Makes a connection; nothing is opened until {@link HTTPConnection.connect} or the first request.
   *
   * @throws as {@link HTTPConnectionPool}'s constructor.
   */
  constructor(host: string, options?: ConnectionOptions);
  /** Whether there is no connection: not yet, or not any more. */
  get isClosed(): boolean;
  /** Whether there is a connection, as far as is known without writing to it. */
  get isConnected(): boolean;
  /**
   * Whether the peer of the connection was verified: its chain, or its fingerprint. Never over http, never closed, and never
   * where a proxy is given requests to pass on: what is behind it is for the proxy to verify.
   */
  get isVerified(): boolean;
  /** Whether the proxy was verified; `null` without a proxy, and while there is no connection. */
  get proxyIsVerified(): boolean | null;
  /** Whether there is a connection, and it leads through a proxy. */
  get hasConnectedToProxy(): boolean;
  /** Whether a proxy is given requests to pass on. */
  get proxyIsForwarding(): boolean;
  /** Whether a proxy makes a tunnel, or is SOCKS, which is the same to what is sent. */
  get proxyIsTunneling(): boolean;
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
  setTunnel(host: string, port?: number | null, headers?: HeaderSource | null, scheme?: "http" | "https"): void;
  /**
   * Opens the connection, and sends nothing. Does nothing if there is one.
   *
   * @throws (rejects with) what dialling meets.
   */
  connect(): Promise<void>;
  /**
   * Sends a request, and resolves when all of it has been handed to the system, or when its response has come before. Opens
   * the connection if there is none. The method goes out as it is given; 3xx are responses like any other.
   *
   * @throws (rejects with) ResponseNotReady while the response before has not been taken, or its body not been read; what
   * dialling and sending meet; TypeError or RangeError for options.
   */
  request<Given extends ConnectionRequestOptions | object>(method: Method, url: string, options?: Together<Given, ConnectionRequestOptions, "body">): Promise<void>;
  /**
   * The response to the request that was sent: with its body, or (`preloadContent: false`) with its head, and then the
   * connection is taken until the body has been read, drained or closed.
   *
   * @throws (rejects with) ResponseNotReady without a request, and a second time for one; what reading meets.
   */
  getResponse(): Promise<HTTPResponse>;
  /**
   * Closes the connection, now: a request in flight and a body that is being read are cut off, and a tunnel is forgotten. The
   * next request, and {@link HTTPConnection.connect}, open another. Never rejects.
   */
  close(): Promise<void>;
  /** Closes when a block of `await using` ends. */
  [Symbol.asyncDispose](): Promise<void>;
  /** Closes when a block of `using` ends. */
  [Symbol.dispose](): void;
  /** `HTTPConnection(host='localhost', port=8080)`. */
  toString(): string;
}

/**
 * One connection to one host over TLS: an {@link HTTPConnection} with the options of TLS.
 *
 * @example
 * const connection = new HTTPSConnection('localhost', { port: 8443, caCerts: 'ca.pem' });
 * await connection.connect();
 * console.log(connection.isVerified); // true
 */
export declare class HTTPSConnection extends HTTPConnection {
  #private;
  /** 443. */
  static readonly defaultPort: number;
  /**
   * Makes a connection; nothing is opened, but files that the options name are read.
   *
   * @throws as {@link HTTPSConnectionPool}'s constructor.
   */
  constructor(host: string, options?: ConnectionOptions & TLSOptions);
}

/**
 * Options of an {@link HTTPConnection}: a pool's, but for those about many connections and about trying again. `proxyConfig`
 * without `proxy` is for {@link HTTPConnection.setTunnel}.
 */
export type ConnectionOptions = Omit<PoolOptions, "block" | "idleTimeout" | "maxAge" | "maxRequestsPerConnection" | "maxWaiting" | "maxsize" | "onPause" | "pauseOn" | "rate" | "retries">;

/** What a request on an {@link HTTPConnection} may bring. */
export type ConnectionRequestOptions = Pick<RequestOptions, "body" | "chunked" | "decodeContent" | "enforceContentLength" | "headers" | "json" | "limits" | "onProgress" | "preloadContent" | "signal" | "timeout">;

// Errors: everything that goes wrong with a request.

/**
 * The root of the tree: whatever goes wrong with a request is one of these. Wrong arguments are Node's own `TypeError` and
 * `RangeError` (with a `code` too), and an aborted call rejects with its signal's `reason`. By itself it is ERR_INTERNAL: a bug of
 * ferropool. Match on {@link HTTPError.code}: `instanceof` says no where two copies of the package are loaded.
 *
 * @example
 * try {
 *   await request('GET', 'http://localhost:8080/never', { timeout: { read: 60 } });
 * } catch (error) {
 *   if (!(error instanceof HTTPError)) throw error;
 *   console.log(error.code, error.phase, error.sent); // ERR_MAX_RETRY headers true
 * }
 */
export declare class HTTPError extends Error {
  /** What happened, as one stable word to match on; the system's (`ECONNREFUSED`) where it gave one. */
  readonly code: ErrorCode;
  /** Where it happened; `null` before a request began. */
  readonly phase: Phase | null;
  /** When `phase` is `'total'`: the phase that the deadline cut. Otherwise `null`. */
  readonly during: Phase | null;
  /** `host:port` that the request was for; `null` where that is not known. */
  readonly host: string | null;
  /**
   * Exchanges begun on a connection, after a redirect those of the last hop: 0 where no connection could be made, however
   * often that was tried ({@link HTTPError.history} has each).
   */
  readonly attempts: number;
  /** Milliseconds since the call began; of a response whose body has not ended, since the last attempt of it began. */
  readonly elapsed: number;
  /** Whether the peer may have seen a byte of the request: `false` means that it is safe to ask again. */
  readonly sent: boolean;
  /** A finer reason on the code, or `null`; for {@link MaxRetryError} the last error. */
  readonly reason: string | Error | null;
  /** Of the request, after a 303 that of the last hop; `null` of what is about no request. */
  readonly method: string | null;
  /**
   * What was requested, without user info and query (those of {@link RequestError}s have it), absolute after a redirect; `null` of
   * what is about no request.
   */
  readonly url: string | null;
  /** What came before, in order: errors and answers that were tried again, redirects. Absent if nothing did. Not enumerable. */
  readonly history?: readonly RequestHistory[];
  /** Makes one, for tests of code that catches it: `details` are what it is to know. */
  constructor(message?: string, details?: ErrorDetails);
  /** Plain data that survives JSON and `structuredClone`, causes and history in turn. No password, no query, no body. */
  toJSON(): ErrorJSON;
}

/** Something about a pool: the parent of those below. Its message begins with the pool. */
export declare class PoolError extends HTTPError {
  /** The pool, or `null` outside one. Not enumerable: a logged error does not drag its pool along. */
  readonly pool: AnyPool | null;
  /** Makes one, for tests: as {@link HTTPError}, with the pool that it is about. */
  constructor(pool: AnyPool | null, message?: string, details?: ErrorDetails);
}

/** No connection became free within `poolTimeout`, or `maxWaiting` requests wait already. ERR_POOL_EMPTY. */
export declare class EmptyPoolError extends PoolError {
}

/** A connection came back to a full blocking pool: a bug of ours. ERR_POOL_FULL. */
export declare class FullPoolError extends PoolError {
}

/** The pool is closed, or was while the request waited. ERR_POOL_CLOSED. */
export declare class ClosedPoolError extends PoolError {
}

/** Something about one request of a pool: the parent of those below. */
export declare class RequestError extends PoolError {
  /** What was requested, without user info. */
  readonly url: string;
  /** Makes one, for tests: as {@link PoolError}, with the URL, whose user info is left out. */
  constructor(pool: AnyPool | null, url: string, message?: string, details?: ErrorDetails);
}

/** The `Retry` gave up. ERR_MAX_RETRY; `reason` (also the `cause`) has the last error with its own code. */
export declare class MaxRetryError extends RequestError {
  /** The last error, or {@link ResponseError} when it was an answer that used up the retries. */
  readonly reason: (Error & Partial<Pick<ResponseError, "code" | "phase" | "status">>) | null;
  /** Makes one, for tests: `reason` becomes the `cause`; `note` says why there was no further attempt. */
  constructor(pool: AnyPool | null, url: string, reason?: Error | null, details?: ErrorDetails, note?: string);
}

/** A URL of another host was given to a pool. ERR_HOST_CHANGED. */
export declare class HostChangedError extends RequestError {
  /** The `Retry` of the request, or a number. */
  readonly retries: unknown;
  /** Makes one, for tests; the message is made from the URL. */
  constructor(pool: AnyPool | null, url: string, retries?: unknown, details?: ErrorDetails);
}

/**
 * The peer was silent for longer than `read` (ERR_READ_TIMEOUT), took no byte for that long (ERR_SEND_TIMEOUT), or `total`
 * ran out after dialling (ERR_TOTAL_TIMEOUT). Also `instanceof` {@link TimeoutError}.
 */
export declare class ReadTimeoutError extends RequestError {
}

/**
 * A time-out of either kind: the parent of {@link ConnectTimeoutError}, and `instanceof` says yes for {@link ReadTimeoutError}
 * too. As in urllib3 every {@link NewConnectionError} is one as well; {@link HTTPError.code} tells them apart.
 */
export declare class TimeoutError extends HTTPError {
  /** In urllib3 ReadTimeoutError has two parents; here `instanceof` knows of the second. */
  static [Symbol.hasInstance](value: unknown): boolean;
}

/** Dialling took longer than `connect` (ERR_CONNECT_TIMEOUT) or than `total` (ERR_TOTAL_TIMEOUT). */
export declare class ConnectTimeoutError extends TimeoutError {
}

/** No connection could be made: the system's code (`ECONNREFUSED`), or ERR_CONNECT where there is none. */
export declare class NewConnectionError extends ConnectTimeoutError {
  /** The IP address tried (last), or `null`. With {@link NewConnectionError.port} it stands for urllib3's `conn`. */
  readonly address: string | null;
  /** The port tried, or `null`. */
  readonly port: number | null;
  /** Makes one, for tests: as {@link HTTPError}, with where the connection was to lead. */
  constructor(message?: string, details?: ErrorDetails & {
    address?: string | null | undefined;
    port?: number | null | undefined;
  });
}

/** The name did not resolve. ERR_DNS. */
export declare class NameResolutionError extends NewConnectionError {
}

/**
 * TLS failed: handshake, certificate, name, fingerprint, a record; or what the options of TLS name cannot be used. ERR_TLS;
 * `reason` says which check it was, in Node.js' words where it has some (`CERT_HAS_EXPIRED`).
 */
export declare class SSLError extends HTTPError {
  /** Which check it was: `CERT_HAS_EXPIRED`, `ERR_FINGERPRINT` and so on; `null` where there is no word for it. */
  readonly reason: string | null;
  /**
   * The certificates as the peer sent them, its own first; empty where none came. Not enumerable: a logged error does not
   * drag their bytes along.
   */
  readonly chain: readonly CertificateInfo[];
  /** The name that the certificate was checked for; `null` where no name was. */
  readonly assertedName: string | null;
  /** Makes one, for tests: as {@link HTTPError}, with what was shown by the server, and the name it had to have. */
  constructor(message?: string, details?: ErrorDetails & {
    chain?: readonly CertificateInfo[] | undefined;
    assertedName?: string | null | undefined;
  });
}

/**
 * The proxy could not be reached, or would not serve: until a tunnel stands, whatever fails is its failure. ERR_PROXY. Where
 * it refused CONNECT, its answer is here; not enumerable but for the status: proxies quote what they were sent.
 */
export declare class ProxyError extends HTTPError {
  /** What went wrong between us and the proxy (also the `cause`), with the system's code if it gave one; or `null`. */
  readonly originalError: Error | null;
  /** The status of a refused CONNECT (407: it wants credentials), or `null`. */
  readonly status: number | null;
  /** Of a refused CONNECT: the header lines, or `null`. */
  readonly headers: HTTPHeaderDict | null;
  /** Of a refused CONNECT: how the answer's body begins (64 KiB at most), or `null`. */
  readonly body: Buffer | null;
  /** Makes one, for tests: as {@link HTTPError}, with the error before it, which becomes the `cause`. */
  constructor(message?: string, originalError?: Error | null, details?: ErrorDetails & {
    status?: number | null | undefined;
    headers?: HTTPHeaderDict | null | undefined;
    body?: Buffer | null | undefined;
  });
}

/** The body does not decode as its Content-Encoding says. ERR_DECODE. */
export declare class DecodeError extends HTTPError {
}

/**
 * The peer broke the protocol or hung up. ERR_PROTOCOL; ERR_INCOMPLETE_READ or ERR_CHUNK for a body that broke off, whose
 * `cause` is {@link IncompleteRead} or {@link InvalidChunkLength}. `ConnectionError` is the same class.
 */
export declare class ProtocolError extends HTTPError {
  /** Which rule the peer broke: a word of the table in docs/errors.md; `null` where there is none. */
  readonly reason: string | null;
  /** What had arrived of a body that broke off, or `null`. */
  readonly partial: Buffer | null;
  /** How many more bytes were announced, or `null`. */
  readonly expected: number | null;
  /** Makes one, for tests: as {@link HTTPError}, with what there was of a body. */
  constructor(message?: string, details?: ErrorDetails & {
    partial?: Buffer | null | undefined;
    expected?: number | null | undefined;
  });
}

export { ProtocolError as ConnectionError };

/** The body ended early. ERR_INCOMPLETE_READ; found as the `cause` of a {@link ProtocolError}. */
export declare class IncompleteRead extends HTTPError {
  /** What had arrived and was not given out before: everything of a body that is read at once. (urllib3's is a count.) */
  readonly partial: Buffer;
  /** How many more bytes were announced, or `null` when no length was. */
  readonly expected: number | null;
  /** Makes one, for tests; `received` counts what was given out before too. Default: as much as `partial` has. */
  constructor(partial: Buffer, expected: number | null, details?: ErrorDetails & {
    received?: number | null | undefined;
  });
}

/** A chunk's size, extension or line end is wrong. ERR_CHUNK; found as the `cause` of a {@link ProtocolError}. */
export declare class InvalidChunkLength extends HTTPError {
  /** What stood for a size, escaped, or `null` when it is not known. */
  readonly length: string | null;
  /** What had arrived of the body. */
  readonly partial: Buffer;
  /** Always `null` for a chunked body; here because urllib3's has it. */
  readonly expected: number | null;
  /** Makes one, for tests; the message says what stood for a size. */
  constructor(length: string | null, partial: Buffer, expected?: number | null, details?: ErrorDetails);
}

/**
 * An answer that counts as a failure. ERR_MAX_RETRY as the `reason` of a {@link MaxRetryError}: too many redirects, a status in
 * `statusForcelist`. ERR_STATUS of {@link HTTPResponse.raiseForStatus}.
 */
export declare class ResponseError extends HTTPError {
  /** The answer's status, or `null`. */
  readonly status: number | null;
  /** Makes one, for tests: as {@link HTTPError}, with the status. */
  constructor(message?: string, details?: ErrorDetails & {
    status?: number | null | undefined;
  });
}

/** A header field that cannot be sent (nothing was), or a Retry-After that {@link Retry.parseRetryAfter} cannot read. ERR_INVALID_HEADER. */
export declare class InvalidHeader extends HTTPError {
}

/** A head whose lines cannot be told apart. ERR_INVALID_HEADER. Here so that code which names it works: none is thrown. */
export declare class HeaderParsingError extends HTTPError {
}

/** A URL or host lacks something that is needed. ERR_INVALID_URL; nothing was sent. */
export declare class LocationValueError extends HTTPError {
}

/** A URL or host that cannot be parsed. ERR_INVALID_URL; nothing was sent. */
export declare class LocationParseError extends LocationValueError {
  /** What could not be parsed, without user info and query; `null` when it is not known. */
  readonly location: string | null;
  /** Makes one, for tests: as {@link HTTPError}, with what could not be parsed. */
  constructor(message?: string, details?: ErrorDetails & {
    location?: string | null | undefined;
  });
}

/** A scheme other than http and https. ERR_INVALID_URL; nothing was sent. */
export declare class URLSchemeUnknown extends LocationValueError {
  /** The scheme, or `null` when there is none. */
  readonly scheme: string | null;
  /** Makes one, for tests: as {@link HTTPError}, with the scheme. */
  constructor(message?: string, details?: ErrorDetails & {
    scheme?: string | null | undefined;
  });
}

/** A proxy's scheme that is not known, or not of the kind that the manager takes. ERR_INVALID_URL; nothing was sent. */
export declare class ProxySchemeUnknown extends URLSchemeUnknown {
}

/** A combination of proxy and target that cannot work; an argument's error, outside the tree as in urllib3. ERR_NOT_SUPPORTED. */
export declare class ProxySchemeUnsupported extends TypeError {
  /** What happened, as one stable word to match on. */
  readonly code = "ERR_NOT_SUPPORTED";
}

/** A body that was consumed would have to be sent again. ERR_UNREWINDABLE. */
export declare class UnrewindableBodyError extends HTTPError {
}

/** A response was asked for before a request, or a request made before the last response was taken. ERR_NOT_READY. */
export declare class ResponseNotReady extends HTTPError {
}

/** The body was not read yet. ERR_NOT_READ. urllib3 has no such error: it reads at once. */
export declare class ResponseNotRead extends HTTPError {
}

/** The response passed a limit. ERR_TOO_LARGE; never retried. urllib3 has no limits. */
export declare class ResponseTooLarge extends HTTPError {
  /** Which limit: the name of the option in {@link Limits}. */
  readonly limit: string;
  /** What that option allows, in its own unit. */
  readonly allowed: number;
  /** Makes one, for tests: `limit` is the name of the limit, `allowed` its figure. */
  constructor(message: string, limit: string, allowed: number, details?: ErrorDetails);
}

/** `denyAddresses` forbids every address of the host. ERR_ADDRESS_DENIED; never retried. */
export declare class AddressDenied extends HTTPError {
}

/**
 * The codes of {@link HTTPError}s, which editors offer for `switch (error.code)`: the product's own, and those of the system that
 * are met most. There are more of the system's, so that any string will do. docs/errors.md says of each what happened and what to do.
 */
export type ErrorCode =
  | "ERR_POOL_EMPTY"
  | "ERR_POOL_FULL"
  | "ERR_POOL_CLOSED"
  | "ERR_MAX_RETRY"
  | "ERR_STATUS"
  | "ERR_HOST_CHANGED"
  | "ERR_CONNECT_TIMEOUT"
  | "ERR_READ_TIMEOUT"
  | "ERR_SEND_TIMEOUT"
  | "ERR_TOTAL_TIMEOUT"
  | "ERR_UNREAD_TIMEOUT"
  | "ERR_DNS"
  | "ERR_CONNECT"
  | "ERR_ADDRESS_DENIED"
  | "ERR_PROXY"
  | "ERR_TLS"
  | "ERR_PROTOCOL"
  | "ERR_INCOMPLETE_READ"
  | "ERR_CHUNK"
  | "ERR_DECODE"
  | "ERR_TOO_LARGE"
  | "ERR_UNREWINDABLE"
  | "ERR_INVALID_BODY"
  | "ERR_INVALID_HEADER"
  | "ERR_INVALID_URL"
  | "ERR_NOT_READ"
  | "ERR_NOT_READY"
  | "ERR_INTERNAL"
  | "EACCES"
  | "EADDRNOTAVAIL"
  | "ECONNREFUSED"
  | "ECONNRESET"
  | "EHOSTUNREACH"
  | "EMFILE"
  | "ENETUNREACH"
  | "ETIMEDOUT"
  | (string & Record<never, never>);

/** Where in a request's life something happened: the word for it in errors, timings and documentation. */
export type Phase = "pool" | "dns" | "connect" | "proxy" | "tls" | "send" | "headers" | "body" | "total";

/** What an {@link HTTPError} is made of; the defaults are those of a request that never began. */
export interface ErrorDetails {
  /** {@link HTTPError.code}. Default: that of the class. */
  code?: ErrorCode | undefined;
  /** {@link HTTPError.phase}. Default `null`. */
  phase?: Phase | null | undefined;
  /** {@link HTTPError.during}. Default `null`. */
  during?: Phase | null | undefined;
  /** {@link HTTPError.host}. Default `null`. */
  host?: string | null | undefined;
  /** {@link HTTPError.attempts}. Default 0. */
  attempts?: number | undefined;
  /** {@link HTTPError.elapsed}, in milliseconds. Default 0. */
  elapsed?: number | undefined;
  /** {@link HTTPError.sent}. Default false. */
  sent?: boolean | undefined;
  /** {@link HTTPError.reason}. Default `null`. */
  reason?: string | null | undefined;
  /** {@link HTTPError.method}. Default `null`. */
  method?: string | null | undefined;
  /** {@link HTTPError.url}, whose user info and query are left out. Default `null`. */
  url?: string | null | undefined;
  /** What lies below, as every `Error` of JavaScript has it. Default: no `cause` at all. */
  cause?: unknown;
}

/** An error as plain data, for logs and for other threads: without secrets (user info, query) and without bodies. */
export interface ErrorJSON {
  /** The name of the class. */
  name: string;
  /** {@link HTTPError.code}; `null` of an error that has none. */
  code: string | null;
  /** What a person reads. */
  message: string;
  /** The error below, in turn; `null` where there is none, or where it is no `Error`. Eight deep at most. */
  cause: ErrorJSON | null;
  /** Whatever else the class knows and is no object; of bytes their number, under `…Length`. */
  [field: string]: unknown;
}

/** A pool, as far as an error knows it: what it calls itself. */
export interface AnyPool {
  /** What a message calls it: `HTTPConnectionPool(host='localhost', port=8080)`. */
  toString(): string;
}

// Watching: figures, notices, warnings, and settings of the whole thread.

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
  readonly latency?: Readonly<Record<"pool" | "headers" | "total", Percentiles>>;
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

/** What `JSON.stringify(pool)` writes. */
export interface PoolJSON extends SettingsJSON {
  /** The name of its class. */
  type: string;
  /** What is spoken. */
  scheme: "http" | "https";
  /** Normalised, as {@link HTTPConnectionPool.host}. */
  host: string;
  /** `null` is the scheme's default. */
  port: number | null;
}

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
  http2?: PoolOptions["http2"];
  /** The proxy's `scheme://host:port`, without credentials; where there is one. */
  proxy?: string;
  /** The names of the fields that are the proxy's; where there are any. */
  proxyHeaders?: string[];
  /** {@link PoolOptions.proxyConfig}, where it was given; of TLS what {@link TLSJSON} has. */
  proxyConfig?: Omit<ProxyConfig, "tls"> & {
    tls?: TLSJSON;
  };
  /** {@link PoolOptions.interface}, where it was given. */
  interface?: string;
  /** {@link PoolOptions.denyAddresses}, where it was given. */
  denyAddresses?: "private" | string[];
}

/**
 * Settings of the whole thread; each worker has its own. What is not given stays as it is.
 *
 * @throws TypeError or RangeError ERR_INVALID_OPTION; Error ERR_ENGINE_STARTED for `ioThreads` and
 * `dnsThreads` once there is a pool.
 * @example
 * configure({ memoryBudget: 64 * 1024 * 1024 });
 */
export declare function configure(options: Configuration): void;

/** What {@link configure} takes. */
export interface Configuration {
  /**
   * Bytes of streamed bodies that may have been read off the wire without having been taken, in all pools of this thread
   * together; the memory that they lie in is up to a third more. Past it sockets are not read, so that their peers stop
   * sending; a body of which nothing lies around still gets its next piece. Preloaded bodies are bounded by
   * `limits.decoded` instead. Default 268,435,456.
   */
  memoryBudget?: number | undefined;
  /**
   * I/O threads of this thread's pools and managers; each of those lives whole on one of them, given out in turn. Default 1:
   * one fills a core with tens of thousands of requests a second. To be said before the first pool is made.
   */
  ioThreads?: number | undefined;
  /**
   * Names that the whole process looks up at once, each on a thread of its own: so many can hang before another has to wait.
   * A look-up that hangs although nobody waits for it any more does not count (up to 96 of those; the system cannot be
   * stopped once it asks). Default 32, most 1,024. To be said before the first pool is made; where several workers say it,
   * the last one is heeded.
   */
  dnsThreads?: number | undefined;
  /**
   * Whose channels of `node:diagnostics_channel` are published on: our own, or undici's (`undici:request:create` and so on)
   * too, so that what is written for undici (OpenTelemetry's instrumentation) sees our calls. Default `['ferropool']`.
   */
  diagnostics?: readonly ("ferropool" | "undici")[] | undefined;
}

/**
 * Silences warnings of this thread: those of one type, the one with this code, or all. There is no way back, as in urllib3.
 *
 * @throws TypeError ERR_INVALID_OPTION for what is no category.
 * @example
 * disableWarnings('FERROPOOL_POOL_FULL');
 */
export declare function disableWarnings(category?: WarningCategory): void;

/** What {@link disableWarnings} silences: a type of warnings (`warning.name`), or one of them (`warning.code`). */
export type WarningCategory =
  | "FerropoolWarning"
  | "InsecureRequestWarning"
  | "FERROPOOL_BODY_UNREAD"
  | "FERROPOOL_EXTRA_CERTS"
  | "FERROPOOL_INSECURE_REQUEST"
  | "FERROPOOL_POOL_FULL"
  | "FERROPOOL_POOL_STARVING"
  | "FERROPOOL_SHORT_TIMEOUT";

/** `ferropool:connection:open` and `ferropool:connection:close`. */
export interface ConnectionNotice {
  /** The host that the pool leads to. */
  readonly host: string;
  /** Its port. */
  readonly port: number;
  /** The peer's address, or the path of its Unix socket. */
  readonly remoteAddress: string;
  /** What is spoken on it. */
  readonly protocol: "http/1.1" | "h2";
  /** The proxy that it leads through, without credentials; `null` without one. */
  readonly proxy: string | null;
  /** Why it closed: a word of the table in docs/observability.md. `null` for one that opened. */
  readonly reason: string | null;
}

/** A call, in all notices about it the same object. */
export interface ObservedRequest {
  /** Unique in its thread. */
  readonly id: number;
  /** The method of the call; redirects may change it later. */
  readonly method: string;
  /** Absolute, without user info, with its query. */
  readonly url: string;
  /**
   * A copy of the call's own headers or, if it brings none, of its pool's; the values of credentials are `<hidden>`. Host,
   * Content-Length and what else is added on the way are not among them.
   */
  readonly headers: HTTPHeaderDict;
  /**
   * Adds a header line to this call, while `ferropool:request:start` is published.
   *
   * @throws TypeError ERR_INVALID_HEADER for what no header can hold, and later. A line that must not be sent rejects the call.
   */
  addHeader(name: string, value: string | number | Uint8Array): void;
}

/** `ferropool:request:end`: the body has come to its end, or its reader has let go of it. */
export interface RequestEndNotice {
  /** The call that has ended. */
  readonly request: ObservedRequest;
  /** {@link HTTPResponse.timings}. */
  readonly timings: Timings | null;
  /** Bytes of the body on the wire. */
  readonly bytesRead: number;
}

/** `ferropool:request:error`: the call rejects, or its streamed body breaks. */
export interface RequestErrorNotice {
  /** The call that has failed. */
  readonly request: ObservedRequest;
  /** An error, or whatever the call's signal was aborted with. */
  readonly error: unknown;
}

/** `ferropool:request:headers`: the response is given to the caller, or its head to {@link RequestOptions.accept}. */
export interface RequestHeadersNotice {
  /** The call that it answers. */
  readonly request: ObservedRequest;
  /** The status code. */
  readonly status: number;
  /** The response's; a copy, in which the values of Set-Cookie are `<hidden>`. */
  readonly headers: HTTPHeaderDict;
}

/** `ferropool:request:start`: published in the caller's context, before anything of the call has been written down. */
export interface RequestStartNotice {
  /** The call that is about to be made. */
  readonly request: ObservedRequest;
}

// URLs: taken apart as urllib3 does.

/**
 * Takes a URL apart and normalises it (RFC 3986; hosts by IDNA 2008). Text without a scheme is read as an authority
 * unless it begins with `/`. urllib3's `util.parse_url`, but that valid percent escapes stay as they are.
 *
 * @throws TypeError for anything but a string, LocationParseError ERR_INVALID_URL for what is no URL.
 * @example
 * console.log(parseUrl('HTTP://User@Example.com:80/a b?c').url); // http://User@example.com:80/a%20b?c
 */
export declare function parseUrl(text: string): Url;

/** A URL taken apart and normalised by {@link parseUrl}; an absent part is `null`. Immutable. urllib3's `Url`. */
export declare class Url {
  #private;
  /** `http` and so on, in lower case. */
  readonly scheme: string | null;
  /** The user info, `user:password`, still percent-encoded. */
  readonly auth: string | null;
  /** Lower case, IDNA-encoded; an IPv6 literal keeps its brackets. */
  readonly host: string | null;
  /** As it stands in the URL: `null` when absent, not the scheme's. */
  readonly port: number | null;
  /** `null` when absent, `''` when a query or fragment follows at once. */
  readonly path: string | null;
  /** Without its `?`, percent-encoded. */
  readonly query: string | null;
  /** Without its `#`, percent-encoded. */
  readonly fragment: string | null;
  /** Of {@link parseUrl} alone. */
  private constructor();
  /** The whole, normalised, as text. */
  get url(): string;
  /** The host; urllib3's other name of it. */
  get hostname(): string | null;
  /** The path (`/` when absent) and the query: what a request line has. */
  get requestUri(): string;
  /** `host:port`; the host alone without a port. */
  get netloc(): string | null;
  /** `user:password@host:port`, as far as they are there. */
  get authority(): string | null;
  /** User and password, percent-decoded; the password is `null` without a colon, the whole `null` without user info. */
  get authDecoded(): [user: string, password: string | null] | null;
  /** `user:password`, percent-decoded, as Basic authentication wants it. */
  get authDecodedJoined(): string | null;
  /** The whole, as text. */
  toString(): string;
  /** The parts, as plain data. */
  toJSON(): UrlParts;
}

/** The parts of a {@link Url} as plain data; an absent one is `null`. */
export interface UrlParts {
  /** {@link Url.scheme}. */
  readonly scheme: string | null;
  /** {@link Url.auth}: it may hold a password. */
  readonly auth: string | null;
  /** {@link Url.host}. */
  readonly host: string | null;
  /** {@link Url.port}. */
  readonly port: number | null;
  /** {@link Url.path}. */
  readonly path: string | null;
  /** {@link Url.query}. */
  readonly query: string | null;
  /** {@link Url.fragment}. */
  readonly fragment: string | null;
}

export {};

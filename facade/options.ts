/**
 * What pools and requests may be told: one descriptor an option, so that a new one touches its descriptor, its use, its
 * test and its documentation, and nothing else. A wrong type is refused here; what a value means is the core's to judge.
 */
import { isIP } from 'node:net';

import { argumentError, checkNames } from './arguments.ts';
import type { Resolve } from './asking.ts';
import type { RequestBody } from './body.ts';
import { bytesOf } from './bytes.ts';
import {
  bare,
  boolean,
  CODE,
  functionOf,
  integer,
  mapped,
  milliseconds,
  MOST,
  positive,
  record,
  size,
  string,
  wrong,
  type Check,
} from './checks.ts';
import { SEVERAL, type FormFields } from './fields.ts';
import { HTTPHeaderDict, wireLines, type HeaderSource } from './headers.ts';
import { optionsOf } from './hints.ts';
import { ACCEPT_ENCODING } from './make-headers.ts';
import { PROXY_NAMES, proxySettings, refuseWithoutProxy, type ProxyConfig } from './proxy-options.ts';
import type { Head } from './response.ts';
import { Retry, type RetryLike } from './retry.ts';
import { Timeout, type TimeoutLike } from './timeout.ts';
import { TLS_NAMES, tlsWire, type TLSOptions } from './tls-options.ts';
import { parseUrl } from './url.ts';

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
  denyAddresses?: 'private' | readonly string[] | null | undefined;
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
  http2?: boolean | 'prior-knowledge' | undefined;
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
  resolve?: { readonly [name: string]: string } | Resolve | null | undefined;
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

/** Hears that a host is left alone until then; `retryAfter` in milliseconds. */
export type OnPause = (host: string, until: Date, reason: PauseReason) => void;

/** Why a host is left alone. */
export interface PauseReason {
  /** The status of the answer: 429 or 503. */
  status: number;
  /** Milliseconds that its Retry-After asked for. */
  retryAfter: number;
}

/** Where the client side of sockets is bound: see {@link PoolOptions.localAddress}. */
export interface LocalAddress {
  /** An IP address of this machine. */
  address: string;
  /** 0 to 65,535. Default (0 too): any that is free. */
  port?: number | undefined;
}

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
  readonly direction: 'up' | 'down';
  /** Bytes so far; of a response those on the wire. */
  readonly bytes: number;
  /** Bytes in all, `null` where that is not known. */
  readonly total: number | null;
}

/** A value of a form field in a query or in a urlencoded body: numbers and booleans are their text, bytes are taken as they are and percent-encoded. */
export type FieldValue = string | number | bigint | boolean | null | ArrayBuffer | ArrayBufferView;

/** Form fields: an object, a `Map`, or pairs. Order and repeats are kept; `undefined` is left out. */
export type FieldSource =
  | Iterable<readonly [string, FieldValue | undefined]>
  | { readonly [name: string]: FieldValue | undefined };

/** A pool's options, checked. @internal */
export interface PoolSettings {
  /** The record that the core takes. */
  readonly wire: Record<string, unknown>;
  readonly headers: HTTPHeaderDict;
  readonly limits: Limits;
  readonly retries: Retry;
  readonly resolve: Resolve | null;
  readonly onPause: OnPause | null;
  /** The proxy's URL without credentials, and what was said for it alone. */
  readonly proxy: string | null;
  readonly proxyHeaders: HTTPHeaderDict | null;
}

/** Whose options they are: a pool's of one scheme, or a manager's, which makes both. @internal */
export type OptionsOf = 'http' | 'https' | 'manager';

/**
 * Checks a pool's options.
 *
 * @throws TypeError or RangeError ERR_INVALID_OPTION.
 * @internal
 */
export function poolSettings(options: PoolOptions & TLSOptions, of: OptionsOf): PoolSettings {
  checkPoolNames(options, of);
  const wire = bare([]);
  let retries: Retry = Retry.DEFAULT;
  let resolve: Resolve | null = null;
  let onPause: OnPause | null = null;
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (TLS_NAMES.includes(name) || isOfProxies(name)) continue;
    if (name === 'retries') {
      retries = Retry.fromInt(value as RetryLike);
      wire['retries'] = Retry.prototype.toJSON.call(retries);
      if (!Retry.isPlain(retries)) wire['retriesAsk'] = numberOf(retries);
    } else if (name === 'resolve' && typeof value === 'function') {
      resolve = value as Resolve;
      wire['resolveAsks'] = numberOf(resolve);
    } else if (name === 'onPause') {
      if (value !== null) onPause = functionOf(value, name) as OnPause;
    } else {
      const checked = (POOL[name as keyof typeof POOL] as Check)(value, name);
      if (checked !== undefined) wire[name] = checked;
    }
  }
  if (of !== 'http') wire['tls'] = tlsWire(options);
  if (of === 'https' && wire['http2'] === 'prior-knowledge') {
    const message = "http2: 'prior-knowledge' is for http; over https true lets the server choose";
    throw argumentError('type', CODE, message);
  }
  const { wire: proxy, shown, headers: proxyHeaders } = proxySettings(options);
  if (proxy !== null) wire['proxy'] = proxy;
  else if (of !== 'manager') refuseWithoutProxy(options);
  // From the checked lines: the option may be an iterator, which can be read once only.
  const headers = new HTTPHeaderDict((wire['headers'] as [string, string | null][] | undefined) ?? []);
  const limits = (wire['limits'] as Limits | undefined) ?? {};
  return { wire, headers, limits, retries, resolve, onPause, proxy: shown, proxyHeaders };
}

function isOfProxies(name: string): boolean {
  return (PROXY_NAMES as readonly string[]).includes(name);
}

/** THR-323: an option that would be silently without effect could be one that somebody's safety hangs on. */
function checkPoolNames(options: PoolOptions & TLSOptions, of: OptionsOf): void {
  if (of !== 'http') return checkNames(options, ANY_POOL_NAMES, 'a pool', CODE);
  for (const name of TLS_NAMES) {
    if (typeof options !== 'object' || options === null || !Object.hasOwn(options, name)) continue;
    throw argumentError('type', CODE, `a pool for http has no option '${name}', which is HTTPSConnectionPool's`);
  }
  checkNames(options, POOL_NAMES, 'a pool', CODE);
}

/** The same number for the same function or subclass's object, so that pools which differ in it are told apart. */
function numberOf(code: object): number {
  let number = NUMBERS.get(code);
  if (number === undefined) {
    numbered += 1;
    number = numbered;
    NUMBERS.set(code, number);
  }
  return number;
}

const NUMBERS: WeakMap<object, number> = new WeakMap();
let numbered = 0;

/**
 * Checks limits and writes them as the core takes them, over the given ones.
 *
 * @internal
 */
export function limitsText(base: Limits, limits: unknown): string {
  return JSON.stringify({ ...base, ...limitsOf(limits, 'limits') });
}

/**
 * Names and values in turn.
 *
 * @throws TypeError ERR_INVALID_OPTION.
 * @internal
 */
export function fieldPairs(source: unknown): (string | Uint8Array)[] {
  if (typeof source !== 'object' || source === null) throw fieldError(source);
  const pairs: Iterable<unknown> = Symbol.iterator in source ? (source as Iterable<unknown>) : Object.entries(source);
  const out: (string | Uint8Array)[] = [];
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length !== 2) throw fieldError(pair);
    const [name, value] = pair as [unknown, unknown];
    if (typeof name !== 'string') throw fieldError(name);
    if (value !== undefined) out.push(name, fieldText(name, value));
  }
  return out;
}

/** As the core reads it: an IP address, with a port or none, IPv6 in brackets where one follows. */
function isAddress(value: string): boolean {
  const [, bracketed, plain, port] = /^(?:(\[[^\]]*\])|([^:]*))(?::([^:]*))?$/.exec(value) ?? [];
  const address = bracketed ?? plain;
  if (address === undefined) return isIP(value) === 6;
  if (port !== undefined && !(/^\d+$/.test(port) && Number(port) <= 65_535)) return false;
  return bracketed === undefined ? isIP(address) === 4 : isIP(address.slice(1, -1)) !== 0;
}

/** The host as the core has it: a name that is not ASCII never comes to it as it was written. */
function hostKey(key: string): string {
  if (key === '' || /[\s/?#@\\]/.test(key)) {
    throw argumentError('type', CODE, `resolve['${key}'] has no host, or 'host:port', for its name`);
  }
  if (!/[^\0-\x7f]/.test(key)) return key;
  const [, name = key, port = ''] = /^(.*?)(:\d*)?$/s.exec(key) ?? [];
  return `${parseUrl(`http://${name}`).host ?? name}${port}`;
}

const probes: Check = (value, name) => integer(value, name, 1, 127);

/** One an option. */
const POOL = {
  port: (value, name) => (value === null ? undefined : integer(value, name, 0, 65_535)),
  maxsize: (value, name) => integer(value, name, 1, MOST),
  block: boolean,
  maxWaiting: (value, name) => integer(value, name, 0, MOST),
  timeout: (value) => Timeout.from(value as TimeoutLike),
  headers: (value) => (value === null ? undefined : headerLines(value as HeaderSource)),
  acceptEncoding: (value, name) => {
    if (typeof value === 'string') return value;
    if (typeof value !== 'boolean') throw wrong(name, 'a boolean or a string', value);
    return value ? ACCEPT_ENCODING : undefined;
  },
  localAddress: (value, name) => {
    if (value === null) return undefined;
    if (typeof value === 'string') return { address: value, port: 0 };
    const { address, port } = record(value, name, ['address', 'port'], 'an IP address, { address, port } or null');
    if (typeof address !== 'string') throw wrong(`${name}.address`, 'an IP address', address);
    return { address, port: port === undefined ? 0 : integer(port, `${name}.port`, 0, 65_535) };
  },
  denyAddresses: (value, name) => {
    if (value === null) return undefined;
    if (value === 'private') return ['private'];
    if (typeof value === 'string') {
      throw argumentError('type', CODE, `${name} is 'private' or an array of networks; a single network is one too`);
    }
    if (!Array.isArray(value)) throw wrong(name, "'private' or an array of networks", value);
    return value.map((one: unknown) => string(one, `a network of ${name}`));
  },
  interface: (value, name) => (value === null ? undefined : string(value, name)),
  unixSocket: (value, name) => (value === null ? undefined : string(value, name)),
  socketOptions: (value, name) => {
    if (value === null) return {};
    const given = record(value, name, ['noDelay', 'receiveBuffer', 'sendBuffer'], 'an object or null');
    return mapped(given, { noDelay: boolean, receiveBuffer: size, sendBuffer: size }, name);
  },
  keepAlive: (value, name) => {
    if (value === false) return undefined;
    if (value === true) return {};
    const given = record(value, name, ['idle', 'interval', 'count'], 'a boolean or { idle, interval, count }');
    return mapped(given, { idle: milliseconds, interval: milliseconds, count: probes }, name);
  },
  idleTimeout: milliseconds,
  maxAge: milliseconds,
  maxRequestsPerConnection: (value, name) => integer(value, name, 0, MOST),
  http2: (value, name) => {
    if (value === 'prior-knowledge') return value;
    if (typeof value !== 'boolean') throw wrong(name, "a boolean or 'prior-knowledge'", value);
    return value ? 'on' : undefined;
  },
  lenient: boolean,
  limits: (value, name) => (value === null ? undefined : limitsOf(value, name)),
  unreadTimeout: milliseconds,
  resolve: (value, name) => {
    if (value === null) return undefined;
    const given = record(value, name, null, 'an object of addresses, a function or null');
    return bare(
      Object.entries(given).map(([host, address]) => {
        const wanted = "an 'address' or 'address:port'";
        if (typeof address !== 'string') throw wrong(`${name}['${host}']`, wanted, address);
        if (isAddress(address)) return [hostKey(host), address];
        throw argumentError('type', CODE, `${name}['${host}'] is ${wanted}, and this is neither`);
      }),
    );
  },
  rate: (value, name) => (value === null ? undefined : positive(value, name)),
  pauseOn: (value, name) => {
    if (value === null) return undefined;
    if (!Array.isArray(value)) throw wrong(name, 'an array of 429 and 503', value);
    for (const status of value as unknown[]) {
      if (status === 429 || status === 503) continue;
      if (typeof status !== 'number') throw wrong(`a status of ${name}`, '429 or 503', status);
      throw argumentError('range', CODE, `a status of ${name} is 429 or 503, not ${status}`);
    }
    return [...(value as number[])];
  },
} satisfies Record<Exclude<keyof PoolOptions, 'retries' | 'onPause' | (typeof PROXY_NAMES)[number]>, Check>;

/** @internal */
export const POOL_NAMES: readonly string[] = [...Object.keys(POOL), 'retries', 'onPause', ...PROXY_NAMES];
/** @internal */
export const ANY_POOL_NAMES: readonly string[] = [...POOL_NAMES, ...TLS_NAMES];
optionsOf('a pool or a manager', POOL_NAMES);
optionsOf('an HTTPSConnectionPool or a manager', TLS_NAMES);

function limitsOf(value: unknown, name: string): Limits {
  const given = record(value, name, ['headerBytes', 'headerCount', 'wire', 'decoded', 'ratio', 'codings']);
  const orNone =
    (check: Check): Check =>
    (one, path) =>
      one === null || one === Infinity ? null : check(one, path);
  const checks = {
    headerBytes: (one: unknown, path: string) => integer(one, path, 1, MOST_HEAD),
    headerCount: (one: unknown, path: string) => integer(one, path, 1, MOST_LINES),
    wire: orNone((one, path) => integer(one, path, 0, Number.MAX_SAFE_INTEGER)),
    decoded: orNone((one, path) => integer(one, path, 0, Number.MAX_SAFE_INTEGER)),
    ratio: orNone((one, path) => positive(one, path)),
    codings: (one: unknown, path: string) => integer(one, path, 0, 5),
  };
  return mapped(given, checks, name);
}

function headerLines(source: HeaderSource): [string, string | null][] {
  const lines = wireLines(source);
  const out: [string, string | null][] = [];
  for (let at = 0; at < lines.length; at += 2) {
    const value = lines[at + 1];
    out.push([lines[at] as string, typeof value === 'string' ? value : null]);
  }
  return out;
}

function fieldText(name: string, value: unknown): string | Uint8Array {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(value);
    default: {
      if (value === null) return 'null';
      const bytes = bytesOf(value);
      // A copy: the response's url is written from it when somebody asks.
      if (bytes !== null) return Buffer.from(bytes);
      const one = 'a string, a number, a boolean or bytes';
      if (!Array.isArray(value)) throw wrong(`the field '${name}'`, one, value);
      throw argumentError('type', CODE, `the field '${name}' is ${one}, not an array; ${SEVERAL}`);
    }
  }
}

function fieldError(given: unknown): Error {
  return wrong('fields', 'an object, a Map or pairs of a name and a value', given);
}

const MOST_HEAD = 64 * 1024 * 1024;
/** As many as the core's map of header fields can hold. */
const MOST_LINES = 24_000;

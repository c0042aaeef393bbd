/**
 * What pools and requests may be told: one descriptor an option, so that a new one touches its descriptor, its use, its
 * test and its documentation, and nothing else. A wrong type is refused here; what a value means is the core's to judge.
 */
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
  notSupported,
  positive,
  record,
  size,
  string,
  wrong,
  type Check,
} from './checks.ts';
import type { FormFields } from './fields.ts';
import { HTTPHeaderDict, wireLines, type HeaderSource } from './headers.ts';
import { ACCEPT_ENCODING } from './make-headers.ts';
import type { Head } from './response.ts';
import { Retry, type RetryLike } from './retry.ts';
import { Timeout, type TimeoutLike } from './timeout.ts';
import { TLS_NAMES, tlsWire, type TLSOptions } from './tls-options.ts';

/** What a response may cost; past a limit it rejects with ResponseTooLarge, whose `limit` is the name here. */
export interface Limits {
  /** Bytes of the head. Default 262,144; a request can lower its pool's, not raise it. */
  headerBytes?: number | undefined;
  /** Field lines of the head, 24,000 at most. Default 256; a request can lower its pool's, not raise it. */
  headerCount?: number | undefined;
  /** Bytes of the body on the wire. Default none (`null`). */
  wire?: number | null | undefined;
  /** Bytes of the body after decoding. Default 268,435,456; `null` for none. */
  decoded?: number | null | undefined;
  /** Decoded bytes for each byte on the wire, judged once past 8 MiB. Default 1,100; `null` for none. */
  ratio?: number | null | undefined;
  /** Codings in a chain; one more is a DecodeError. Default 5. */
  codings?: number | undefined;
}

/** Options of sockets before they connect. Given, they replace the default, which is `{ noDelay: true }`. */
export interface SocketOptions {
  /** TCP_NODELAY. */
  noDelay?: boolean | undefined;
  /** SO_RCVBUF, bytes. */
  receiveBuffer?: number | undefined;
  /** SO_SNDBUF, bytes. */
  sendBuffer?: number | undefined;
}

/** TCP keep-alive probes. */
export interface KeepAlive {
  /** Milliseconds of silence before the first probe. Default 60,000. */
  idle?: number | undefined;
  /** Milliseconds between probes. Default: the system's. */
  interval?: number | undefined;
  /** Probes without an answer before the connection is given up. Default: the system's. */
  count?: number | undefined;
}

/** Options of an {@link HTTPConnectionPool}. */
export interface PoolOptions {
  /** Default: the scheme's (80, or 443). */
  port?: number | null | undefined;
  /** Connections kept for reuse; with `block` also the most that can exist. Default 1, at least 1. */
  maxsize?: number | undefined;
  /**
   * At the limit: `true` waits in order of arrival for a connection, `false` (default) opens an extra one that is closed
   * after use (counted in `stats().surplus`, warned about once a pool).
   */
  block?: boolean | undefined;
  /** Requests that may wait for a connection; one more rejects with EmptyPoolError at once. Default 0: no bound. */
  maxWaiting?: number | undefined;
  /** Milliseconds, or a {@link Timeout}. Default none: what is not set never fires. */
  timeout?: TimeoutLike;
  /** Sent with every request that does not give its own headers. Default none. */
  headers?: HeaderSource | undefined;
  /** `true` asks for `gzip,deflate,br,zstd`, a string for itself. Default `false`: `identity`, as in urllib3. */
  acceptEncoding?: boolean | string | undefined;
  /** Where the client side of sockets is bound. Default: the system's choice. urllib3's `source_address`. */
  localAddress?: string | { address: string; port?: number } | undefined;
  /** Path of a Unix socket to connect to; the host is still what requests name. Default none. */
  unixSocket?: string | undefined;
  /** Default `{ noDelay: true }`; `null` or `{}` sets none. */
  socketOptions?: SocketOptions | null | undefined;
  /** Default off; `true` for probes after 60 s. */
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
  /** Take what browsers and curl take of a head. Default `true`; `false` is RFC 9112 to the letter. */
  lenient?: boolean | undefined;
  /** What a response may cost. */
  limits?: Limits | undefined;
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
  resolve?: { readonly [name: string]: string } | Resolve | undefined;
  /**
   * What is tried again: a total, `false` for nothing (errors as they are, redirects returned), or a {@link Retry}.
   * Default (`null` too): {@link Retry.DEFAULT}, a total of 3.
   */
  retries?: RetryLike;
  /** Attempts a second for each host, retries and redirects included. Default none. Waiting for it is under `poolTimeout`. */
  rate?: number | null | undefined;
  /**
   * Statuses, of 429 and 503, whose Retry-After pauses all requests to their host, for `retries.retryAfterMax` at most.
   * Default none. Waiting is under `poolTimeout`; the request itself goes by its `retries`.
   */
  pauseOn?: readonly (429 | 503)[] | null | undefined;
  /** Hears of each pause, once; again where it becomes longer by a second or more. Default none. */
  onPause?: OnPause | null | undefined;
}

/** Hears that a host is left alone until then; `retryAfter` in milliseconds. */
export type OnPause = (host: string, until: Date, reason: { status: number; retryAfter: number }) => void;

/** Everything that a request may bring. */
export interface RequestOptions {
  /**
   * For the query, or as a form in the body (see {@link HTTPConnectionPool.request}): an object, a `Map`, or pairs (order
   * and repeats are kept). Files, Blobs, {@link RequestField}s and a `FormData` need the body.
   */
  fields?: FieldSource | FormFields | FormData | null | undefined;
  /** Fields in the body as multipart/form-data (`true`, the default) or application/x-www-form-urlencoded. */
  encodeMultipart?: boolean | undefined;
  /** Of a multipart body. Default: 32 random hexadecimal digits. It must not occur in the data. */
  multipartBoundary?: string | null | undefined;
  /** In place of the pool's headers. */
  headers?: HeaderSource | null | undefined;
  /** Sent as compact JSON with `Content-Type: application/json`, unless the headers name a type. `null` is "none". */
  json?: unknown;
  /**
   * The body. A string goes out as UTF-8, bytes are copied before the call returns. Everything else is read while the
   * request is sent and no faster than the server takes it; it belongs to the request, which destroys, cancels or returns
   * it when it is not wanted any more. Of unknown length (streams, iterables, functions) it is sent in chunks, a piece
   * each, unless the headers have a Content-Length, which must be right.
   */
  body?: RequestBody | null | undefined;
  /** In place of the pool's. */
  timeout?: TimeoutLike;
  /** How long to wait for a connection, in milliseconds. Default none: for ever. */
  poolTimeout?: number | null | undefined;
  /** Undo Content-Encoding. Default `true`. */
  decodeContent?: boolean | undefined;
  /** A body shorter than announced is an error. Default `true`. */
  enforceContentLength?: boolean | undefined;
  /** Refuse a URL of another host (HostChangedError). Default `true`. */
  assertSameHost?: boolean | undefined;
  /** Frame the body by chunks even though its length is known. Default `false`. */
  chunked?: boolean | undefined;
  /** Hears of both bodies, ten times a second at most and once at the end; what it throws ends the call. */
  onProgress?: ((progress: Progress) => void) | null | undefined;
  /** Each in place of the pool's; but a head may cost no more than the pool was made for. */
  limits?: Limits | null | undefined;
  /** Aborts the call: it rejects with the signal's own reason. */
  signal?: AbortSignal | null | undefined;
  /** In place of the pool's; `null` is the pool's. */
  retries?: RetryLike;
  /** Follow redirects. Default `true`; `false` gives the 3xx. */
  redirect?: boolean | undefined;
  /** Read and decode the body before the response is given. Default `true`; `false` gives it with its head. */
  preloadContent?: boolean | undefined;
  /**
   * Asked when the head is there. `false` ends the request without its body: it resolves with empty data and
   * `accepted === false`. A throw rejects the call.
   */
  accept?: ((head: Head) => boolean) | null | undefined;
  /** As in urllib3; `true` excludes `preloadContent: false`. Without effect otherwise. */
  releaseConn?: boolean | null | undefined;
}

/** How far a body has come. */
export interface Progress {
  /** `up` is the request's body, `down` the response's. */
  readonly direction: 'up' | 'down';
  /** Bytes so far; of a response those on the wire. */
  readonly bytes: number;
  /** Bytes in all, `null` where that is not known. */
  readonly total: number | null;
}

/** A value of a form field in a query. */
export type FieldValue = string | number | bigint | boolean | null | ArrayBuffer | ArrayBufferView;

/** Form fields. */
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
    if (TLS_NAMES.includes(name)) continue;
    if (LATER.includes(name)) throw notSupported(name);
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
  // From the checked lines: the option may be an iterator, which can be read once only.
  const headers = new HTTPHeaderDict((wire['headers'] as [string, string | null][] | undefined) ?? []);
  return { wire, headers, limits: (wire['limits'] as Limits | undefined) ?? {}, retries, resolve, onPause };
}

/** THR-323: an option that would be silently without effect could be one that somebody's safety hangs on. */
function checkPoolNames(options: PoolOptions & TLSOptions, of: OptionsOf): void {
  if (of !== 'http') return checkNames(options, [...POOL_NAMES, ...TLS_NAMES], 'a pool', CODE);
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

/** One an option. */
const POOL = {
  port: (value, name) => (value === null ? undefined : integer(value, name, 0, 65_535)),
  maxsize: (value, name) => integer(value, name, 1, MOST),
  block: boolean,
  maxWaiting: (value, name) => integer(value, name, 0, MOST),
  timeout: (value) => Timeout.from(value as TimeoutLike),
  headers: (value) => headerLines(value as HeaderSource),
  acceptEncoding: (value, name) => {
    if (typeof value === 'string') return value;
    return boolean(value, name) ? ACCEPT_ENCODING : undefined;
  },
  localAddress: (value, name) => {
    if (typeof value === 'string') return { address: value, port: 0 };
    const { address, port } = record(value, name, ['address', 'port']);
    if (typeof address !== 'string') throw wrong(`${name}.address`, 'an IP address', address);
    return { address, port: port === undefined ? 0 : integer(port, `${name}.port`, 0, 65_535) };
  },
  unixSocket: string,
  socketOptions: (value, name) => {
    if (value === null) return {};
    const given = record(value, name, ['noDelay', 'receiveBuffer', 'sendBuffer']);
    return mapped(given, { noDelay: boolean, receiveBuffer: size, sendBuffer: size }, name);
  },
  keepAlive: (value, name) => {
    if (value === false) return undefined;
    if (value === true) return {};
    const given = record(value, name, ['idle', 'interval', 'count']);
    return mapped(given, { idle: milliseconds, interval: milliseconds, count: size }, name);
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
  limits: limitsOf,
  unreadTimeout: milliseconds,
  resolve: (value, name) => {
    const given = record(value, name, null);
    for (const [host, address] of Object.entries(given)) {
      if (typeof address !== 'string') throw wrong(`${name}['${host}']`, "an 'address' or 'address:port'", address);
    }
    return given;
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
} satisfies Record<Exclude<keyof PoolOptions, 'retries' | 'onPause'>, Check>;

/** Pool options of the contract that later versions serve. */
const LATER: readonly string[] = ['denyAddresses', 'interface', 'proxy', 'proxyConfig', 'proxyHeaders'];
/** @internal */
export const POOL_NAMES: readonly string[] = [...Object.keys(POOL), 'retries', 'onPause', ...LATER];

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
      throw wrong(`the field '${name}'`, 'a string, a number, a boolean or bytes', value);
    }
  }
}

function fieldError(given: unknown): Error {
  return wrong('fields', 'an object, a Map or pairs of a name and a value', given);
}

const MOST_HEAD = 64 * 1024 * 1024;
/** As many as the core's map of header fields can hold. */
const MOST_LINES = 24_000;

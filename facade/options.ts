/**
 * What pools and requests may be told: one descriptor an option, so that a new one touches its descriptor, its use, its
 * test and its documentation, and nothing else. A wrong type is refused here; what a value means is the core's to judge.
 */
import { isAnyArrayBuffer, isUint8Array } from 'node:util/types';

import { argumentError, checkNames, describe } from './arguments.ts';
import type { Resolve } from './asking.ts';
import type { RequestBody } from './body.ts';
import type { FormFields } from './fields.ts';
import { HTTPHeaderDict, wireLines, type HeaderSource } from './headers.ts';
import { ACCEPT_ENCODING } from './make-headers.ts';
import type { Head } from './response.ts';
import { Retry, type RetryLike } from './retry.ts';
import { Timeout, type TimeoutLike } from './timeout.ts';

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
  /** Default: the scheme's (80). */
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

/**
 * Checks a pool's options.
 *
 * @throws TypeError or RangeError ERR_INVALID_OPTION.
 * @internal
 */
export function poolSettings(options: PoolOptions): PoolSettings {
  checkNames(options, POOL_NAMES, 'a pool', CODE);
  const wire = bare([]);
  let retries: Retry = Retry.DEFAULT;
  let resolve: Resolve | null = null;
  let onPause: OnPause | null = null;
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
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
  // From the checked lines: the option may be an iterator, which can be read once only.
  const headers = new HTTPHeaderDict((wire['headers'] as [string, string | null][] | undefined) ?? []);
  return { wire, headers, limits: (wire['limits'] as Limits | undefined) ?? {}, retries, resolve, onPause };
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

/** @internal */
export function functionOf(value: unknown, name: string): unknown {
  if (typeof value !== 'function') throw wrong(name, 'a function', value);
  return value;
}

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

/**
 * Bytes of a buffer or view, or `null` for anything else.
 *
 * @throws TypeError ERR_INVALID_BODY for memory that was transferred away.
 * @internal
 */
export function bytesOf(value: unknown): Uint8Array | null {
  if (isPlain(value) && value.byteLength > 0) return value;
  if (!ArrayBuffer.isView(value) && !isAnyArrayBuffer(value)) return null;
  try {
    if (!ArrayBuffer.isView(value)) return new Uint8Array(value);
    // Only a constructor tells an empty array from one whose memory is gone. It copies what is there, whatever the array
    // itself says of its length.
    if (isUint8Array(value)) return new Uint8Array(value);
    const whole = new Uint8Array(value.buffer);
    const view = whole.subarray(value.byteOffset, value.byteOffset + value.byteLength);
    return isPlain(view) ? view : Uint8Array.from(view);
  } catch {
    throw argumentError('type', 'ERR_INVALID_BODY', 'the memory was transferred away: its ArrayBuffer is detached');
  }
}

/**
 * Bytes whose length is what it says: no class, property or Proxy of the caller's own stands between. What lies about its
 * length, or runs code when it is asked, would break into a record that is being written down.
 */
function isPlain(value: unknown): value is Uint8Array {
  if (!isUint8Array(value) || Object.hasOwn(value, 'byteLength') || Object.hasOwn(value, 'length')) return false;
  const type: unknown = Object.getPrototypeOf(value);
  return type === Buffer.prototype || type === Uint8Array.prototype;
}

/** @internal */
export function notSupported(what: string): Error {
  return argumentError('type', 'ERR_NOT_SUPPORTED', `${what} is not supported by this version of ferropool`);
}

/** @internal */
export const CODE = 'ERR_INVALID_OPTION';

type Check = (value: unknown, name: string) => unknown;

/** One an option: returns what the core gets, `undefined` for nothing. */
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
const LATER: readonly string[] = ['denyAddresses', 'http2', 'interface', 'proxy', 'proxyConfig', 'proxyHeaders'];
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

function record(value: unknown, name: string, known: readonly string[] | null): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(name, 'an object', value);
  if (known !== null) checkNames(value, known, name, CODE);
  return bare(Object.entries(value).filter(([, one]) => one !== undefined));
}

/** Without a prototype: what is read of it and is not there is not found in a polluted one either. */
function bare(entries: [string, unknown][]): Record<string, unknown> {
  return Object.assign(Object.create(null) as Record<string, unknown>, Object.fromEntries(entries));
}

function mapped(given: Record<string, unknown>, checks: Record<string, Check>, name: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).map(([key, one]) => [key, checks[key]?.(one, `${name}.${key}`)]));
}

/** @internal */
export function boolean(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw wrong(name, 'a boolean', value);
  return value;
}

function string(value: unknown, name: string): string {
  if (typeof value !== 'string' || value === '') throw wrong(name, 'a string that is not empty', value);
  return value;
}

/** @internal */
export function integer(value: unknown, name: string, least: number, most: number): number {
  if (typeof value !== 'number') throw wrong(name, 'an integer', value);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw argumentError('range', CODE, `${name} is an integer from ${least} to ${most}, not ${value}`);
  }
  return value;
}

function size(value: unknown, name: string): number {
  return integer(value, name, 1, MOST);
}

function positive(value: unknown, name: string): number {
  if (typeof value !== 'number') throw wrong(name, 'a number', value);
  if (!(value > 0 && value < Infinity)) throw argumentError('range', CODE, `${name} is greater than 0, not ${value}`);
  return value;
}

/** Milliseconds; 0 and `Infinity` are "none". */
function milliseconds(value: unknown, name: string): number {
  if (typeof value !== 'number') throw wrong(name, 'a number of milliseconds', value);
  if (value === Infinity) return 0;
  if (!(value >= 0)) throw argumentError('range', CODE, `${name} is at least 0, not ${value}`);
  if (value > 0 && value < 1) {
    const hint = `${name} is ${value}, but spans are in milliseconds; ${value} s would be ${value * 1000}`;
    throw argumentError('range', CODE, hint);
  }
  return value;
}

function wrong(name: string, wanted: string, given: unknown): Error {
  return argumentError('type', CODE, `${name} is ${wanted}, not ${describe(given)}`);
}

const MOST = 2 ** 32 - 1;
const MOST_HEAD = 64 * 1024 * 1024;
/** As many as the core's map of header fields can hold. */
const MOST_LINES = 24_000;

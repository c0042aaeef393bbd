/**
 * What can go wrong, as urllib3's tree of classes with Node's habits: a stable `code` to match on, the underlying error
 * as `cause`. Here is what the classes are and hold; which of them a failure becomes stands in `error-record.ts`.
 *
 * Wrong arguments are Node's own `TypeError` and `RangeError` with a `code`; an aborted signal rejects with its own
 * reason. Neither is in the tree.
 *
 * Structured cloning (a worker's `postMessage`) turns any error into a bare `Error` without `name` and `code`; send
 * `error.toJSON()`, which keeps both.
 */

import type { CertificateInfo } from './certificates.ts';
import type { RequestHistory } from './retry.ts';

/** Where in a request's life something happened: the word for it in errors, timings and documentation. */
export type Phase = 'pool' | 'dns' | 'connect' | 'proxy' | 'tls' | 'send' | 'headers' | 'body' | 'total';

/** What every error of the tree may know; the defaults are those of a request that never began. */
export interface ErrorDetails {
  /** Default: the class's own. */
  code?: string;
  /** Default `null`. */
  phase?: Phase | null;
  /** For a `total` deadline the phase that it cut. Default `null`. */
  during?: Phase | null;
  /** Default `null`. */
  host?: string | null;
  /** Default 0. */
  attempts?: number;
  /** Milliseconds. Default 0. */
  elapsed?: number;
  /** Default false. */
  sent?: boolean;
  /** Default `null`. */
  reason?: string | null;
  /** Default: none. */
  cause?: unknown;
}

/** An error as plain data, for logs and for other threads: without secrets (user info, query) and without bodies. */
export interface ErrorJSON {
  name: string;
  code: string | null;
  message: string;
  cause: ErrorJSON | null;
  [field: string]: unknown;
}

/** A pool, as far as an error knows it: what it calls itself. */
export interface AnyPool {
  toString(): string;
}

/** The root: everything that the product throws, but for wrong arguments and aborts. ERR_INTERNAL by itself. */
export class HTTPError extends Error {
  /** Stable; one of the product's `ERR_…`, or the system's (`ECONNREFUSED`) where it gave one. */
  readonly code: string;
  /** Where it happened, or `null`. */
  readonly phase: Phase | null;
  /** When `phase` is `'total'`: the phase that the deadline cut. */
  readonly during: Phase | null;
  /** `host:port` that the request was for, or `null`. */
  readonly host: string | null;
  /** Exchanges begun in the call so far. */
  readonly attempts: number;
  /** Milliseconds since the call began. */
  readonly elapsed: number;
  /** Whether the peer may have seen a byte of the request. */
  readonly sent: boolean;
  /** A finer reason on the code, or `null`; for {@link MaxRetryError} the last error. */
  readonly reason: string | Error | null;
  /** What came before, in order, if anything did: errors and answers that were tried again, redirects. Not enumerable. */
  declare readonly history?: readonly RequestHistory[];

  constructor(message = '', details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = details.code ?? 'ERR_INTERNAL';
    this.phase = details.phase ?? null;
    this.during = details.during ?? null;
    this.host = details.host ?? null;
    this.attempts = details.attempts ?? 0;
    this.elapsed = details.elapsed ?? 0;
    this.sent = details.sent ?? false;
    this.reason = details.reason ?? null;
  }

  /** Plain data that survives JSON and `structuredClone`. */
  toJSON(): ErrorJSON {
    return plain(this, 0);
  }
}

/** Something about a pool. Its message begins with the pool. */
export class PoolError extends HTTPError {
  /** The pool, or `null` outside one. Not enumerable: a logged error does not drag its pool along. */
  declare readonly pool: AnyPool | null;

  constructor(pool: AnyPool | null, message = '', details: ErrorDetails = {}) {
    super(pool === null ? message : `${String(pool)}: ${message}`, details);
    Object.defineProperty(this, 'pool', { value: pool, enumerable: false });
  }
}

/** No connection became free within `poolTimeout`, or `maxWaiting` requests wait already. ERR_POOL_EMPTY. */
export class EmptyPoolError extends PoolError {
  constructor(pool: AnyPool | null, message = '', details: ErrorDetails = {}) {
    super(pool, message, withCode('ERR_POOL_EMPTY', details));
  }
}

/** A connection came back to a full blocking pool: a bug of ours. ERR_POOL_FULL. */
export class FullPoolError extends PoolError {
  constructor(pool: AnyPool | null, message = '', details: ErrorDetails = {}) {
    super(pool, message, withCode('ERR_POOL_FULL', details));
  }
}

/** The pool is closed, or was while the request waited. ERR_POOL_CLOSED. */
export class ClosedPoolError extends PoolError {
  constructor(pool: AnyPool | null, message = '', details: ErrorDetails = {}) {
    super(pool, message, withCode('ERR_POOL_CLOSED', details));
  }
}

/** Something about one request of a pool. */
export class RequestError extends PoolError {
  /** What was requested, without user info. */
  readonly url: string;

  constructor(pool: AnyPool | null, url: string, message = '', details: ErrorDetails = {}) {
    super(pool, message, details);
    this.url = withoutUserInfo(url);
  }
}

/** The `Retry` gave up. ERR_MAX_RETRY; `reason` (also the `cause`) has the last error with its own code. */
export class MaxRetryError extends RequestError {
  /** The last error, or {@link ResponseError} when it was an answer that used up the retries. */
  declare readonly reason: Error | null;

  /** The note says why there was no further attempt, where that is not plain. */
  constructor(pool: AnyPool | null, url: string, reason: Error | null, details: ErrorDetails = {}, note = '') {
    const caused = reason === null ? 'null' : `${reason.name}: ${reason.message}`;
    const message = `Max retries exceeded with url: ${withoutSecrets(url)} (Caused by ${caused})`;
    const cause = reason === null ? {} : { cause: reason };
    super(pool, url, note === '' ? message : `${message}; ${note}`, {
      ...withCode('ERR_MAX_RETRY', details),
      ...cause,
    });
    Object.defineProperty(this, 'reason', { value: reason, enumerable: false });
  }
}

/** A URL of another host was given to a pool. ERR_HOST_CHANGED. */
export class HostChangedError extends RequestError {
  /** The `Retry` of the request, or a number. */
  readonly retries: unknown;

  constructor(pool: AnyPool | null, url: string, retries: unknown = 3, details: ErrorDetails = {}) {
    const message = `Tried to open a foreign host with url: ${withoutSecrets(url)}`;
    super(pool, url, message, withCode('ERR_HOST_CHANGED', details));
    this.retries = retries;
  }
}

/**
 * The peer was silent for longer than `read` (ERR_READ_TIMEOUT), took no byte for that long (ERR_SEND_TIMEOUT), or `total`
 * ran out after dialling (ERR_TOTAL_TIMEOUT). Also `instanceof` {@link TimeoutError}.
 */
export class ReadTimeoutError extends RequestError {
  constructor(pool: AnyPool | null, url: string, message = '', details: ErrorDetails = {}) {
    super(pool, url, message, withCode('ERR_READ_TIMEOUT', details));
  }
}

/** A time-out of either kind. */
export class TimeoutError extends HTTPError {
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_TOTAL_TIMEOUT', details));
  }

  /** In urllib3 ReadTimeoutError has two parents; here `instanceof` knows of the second. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    const has = Function.prototype[Symbol.hasInstance];
    // Subclasses inherit this method, and no ReadTimeoutError is one of them.
    return has.call(this, value) || (this === TimeoutError && has.call(ReadTimeoutError, value));
  }
}

/** Dialling took longer than `connect` (ERR_CONNECT_TIMEOUT) or than `total` (ERR_TOTAL_TIMEOUT). */
export class ConnectTimeoutError extends TimeoutError {
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_CONNECT_TIMEOUT', details));
  }
}

/** No connection could be made: the system's code (`ECONNREFUSED`), or ERR_CONNECT where there is none. */
export class NewConnectionError extends ConnectTimeoutError {
  /** The IP address tried (last), or `null`. With {@link NewConnectionError.port} it stands for urllib3's `conn`. */
  readonly address: string | null;
  /** The port tried, or `null`. */
  readonly port: number | null;

  constructor(message = '', details: ErrorDetails & { address?: string | null; port?: number | null } = {}) {
    super(message, withCode('ERR_CONNECT', details));
    this.address = details.address ?? null;
    this.port = details.port ?? null;
  }
}

/** The name did not resolve. ERR_DNS. */
export class NameResolutionError extends NewConnectionError {
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_DNS', details));
  }
}

/**
 * TLS failed: handshake, certificate, name, fingerprint, a record; or what the options of TLS name cannot be used. ERR_TLS;
 * `reason` says which check it was, in Node.js' words where it has some (`CERT_HAS_EXPIRED`).
 */
export class SSLError extends HTTPError {
  /** Which check it was. */
  declare readonly reason: string | null;
  /**
   * The certificates as the peer sent them, its own first; empty where none came. Not enumerable: a logged error does not
   * drag their bytes along.
   */
  declare readonly chain: readonly CertificateInfo[];
  /** The name that the certificate was checked for; `null` where no name was. */
  readonly assertedName: string | null;

  constructor(
    message = '',
    details: ErrorDetails & { chain?: readonly CertificateInfo[]; assertedName?: string | null } = {},
  ) {
    super(message, withCode('ERR_TLS', details));
    Object.defineProperty(this, 'chain', { value: details.chain ?? [], enumerable: false, configurable: true });
    this.assertedName = details.assertedName ?? null;
  }
}

/** The proxy could not be reached, or would not serve. ERR_PROXY. */
export class ProxyError extends HTTPError {
  /** What went wrong between us and the proxy (also the `cause`), or `null`. */
  declare readonly originalError: Error | null;
  /** Of a refused CONNECT, or `null`. */
  readonly status: number | null;
  /** Of a refused CONNECT: the header lines, or `null`. */
  readonly headers: object | null;
  /** Of a refused CONNECT: how the answer's body begins, or `null`. */
  readonly body: Buffer | null;

  constructor(
    message = '',
    originalError: Error | null = null,
    details: ErrorDetails & { status?: number | null; headers?: object | null; body?: Buffer | null } = {},
  ) {
    super(message, { ...withCode('ERR_PROXY', details), ...(originalError === null ? {} : { cause: originalError }) });
    Object.defineProperty(this, 'originalError', { value: originalError, enumerable: false });
    this.status = details.status ?? null;
    this.headers = details.headers ?? null;
    this.body = details.body ?? null;
  }
}

/** The body does not decode as its Content-Encoding says. ERR_DECODE. */
export class DecodeError extends HTTPError {
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_DECODE', details));
  }
}

/**
 * The peer broke the protocol or hung up. ERR_PROTOCOL; ERR_INCOMPLETE_READ or ERR_CHUNK for a body that broke off, whose
 * `cause` is {@link IncompleteRead} or {@link InvalidChunkLength}. `ConnectionError` is the same class.
 */
export class ProtocolError extends HTTPError {
  declare readonly reason: string | null;
  /** What had arrived of a body that broke off, or `null`. */
  readonly partial: Buffer | null;
  /** How many more bytes were announced, or `null`. */
  readonly expected: number | null;

  constructor(message = '', details: ErrorDetails & { partial?: Buffer | null; expected?: number | null } = {}) {
    super(message, withCode('ERR_PROTOCOL', details));
    this.partial = details.partial ?? null;
    this.expected = details.expected ?? null;
  }
}

export { ProtocolError as ConnectionError };

/** The body ended early. ERR_INCOMPLETE_READ; found as the `cause` of a {@link ProtocolError}. */
export class IncompleteRead extends HTTPError {
  /** What had arrived and was not given out before: everything of a body that is read at once. (urllib3's is a count.) */
  readonly partial: Buffer;
  /** How many more bytes were announced, or `null` when no length was. */
  readonly expected: number | null;

  constructor(partial: Buffer, expected: number | null, details: ErrorDetails & { received?: number | null } = {}) {
    const more = expected === null ? '' : `, ${expected} more expected`;
    super(
      `IncompleteRead(${details.received ?? partial.length} bytes read${more})`,
      withCode('ERR_INCOMPLETE_READ', details),
    );
    this.partial = partial;
    this.expected = expected;
  }
}

/** A chunk's size, extension or line end is wrong. ERR_CHUNK; found as the `cause` of a {@link ProtocolError}. */
export class InvalidChunkLength extends HTTPError {
  /** What stood for a size, escaped, or `null` when it is not known. */
  readonly length: string | null;
  /** What had arrived of the body. */
  readonly partial: Buffer;
  /** Always `null` for a chunked body; here because urllib3's has it. */
  readonly expected: number | null;

  constructor(length: string | null, partial: Buffer, expected: number | null = null, details: ErrorDetails = {}) {
    const what = length === null ? 'got a wrong chunk' : `got length ${length}`;
    super(`InvalidChunkLength(${what}, ${partial.length} bytes read)`, withCode('ERR_CHUNK', details));
    this.length = length;
    this.partial = partial;
    this.expected = expected;
  }
}

/**
 * An answer that counts as a failure: too many redirects, a status in `statusForcelist`, a status that `raiseForStatus`
 * was asked about. The `reason` of {@link MaxRetryError}, whose code it has.
 */
export class ResponseError extends HTTPError {
  /** The answer's status, or `null`. */
  readonly status: number | null;

  constructor(message = '', details: ErrorDetails & { status?: number | null } = {}) {
    super(message, withCode('ERR_MAX_RETRY', details));
    this.status = details.status ?? null;
  }
}

/** A header field that cannot be sent or must not be believed. ERR_INVALID_HEADER. */
export class InvalidHeader extends HTTPError {
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_INVALID_HEADER', details));
  }
}

/** A head whose lines cannot be told apart. ERR_INVALID_HEADER. */
export class HeaderParsingError extends HTTPError {
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_INVALID_HEADER', details));
  }
}

/** A URL or host lacks something that is needed. ERR_INVALID_URL. */
export class LocationValueError extends HTTPError {
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_INVALID_URL', details));
  }
}

/** A URL or host that cannot be parsed. ERR_INVALID_URL. */
export class LocationParseError extends LocationValueError {
  /** What could not be parsed, without user info and query; `null` when it is not known. */
  readonly location: string | null;

  constructor(message = '', details: ErrorDetails & { location?: string | null } = {}) {
    super(message, details);
    this.location = details.location == null ? null : withoutSecrets(details.location);
  }
}

/** A scheme other than http and https. ERR_INVALID_URL. */
export class URLSchemeUnknown extends LocationValueError {
  /** The scheme, or `null` when there is none. */
  readonly scheme: string | null;

  constructor(message = '', details: ErrorDetails & { scheme?: string | null } = {}) {
    super(message, details);
    this.scheme = details.scheme ?? null;
  }
}

/** A proxy's scheme that is not known. ERR_INVALID_URL. */
export class ProxySchemeUnknown extends URLSchemeUnknown {}

/** A combination of proxy and target that cannot work; an argument's error, outside the tree as in urllib3. ERR_NOT_SUPPORTED. */
export class ProxySchemeUnsupported extends TypeError {
  readonly code = 'ERR_NOT_SUPPORTED';
}

/** A body that was consumed would have to be sent again. ERR_UNREWINDABLE. */
export class UnrewindableBodyError extends HTTPError {
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_UNREWINDABLE', details));
  }
}

/** A response was asked for before a request. ERR_NOT_READY. */
export class ResponseNotReady extends HTTPError {
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_NOT_READY', details));
  }
}

/** The body was not read yet. ERR_NOT_READ. urllib3 has no such error: it reads at once. */
export class ResponseNotRead extends HTTPError {
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_NOT_READ', details));
  }
}

/** The response passed a limit. ERR_TOO_LARGE; never retried. urllib3 has no limits. */
export class ResponseTooLarge extends HTTPError {
  /** The name of the option in `limits`. */
  readonly limit: string;
  /** What it allows. */
  readonly allowed: number;

  constructor(message: string, limit: string, allowed: number, details: ErrorDetails = {}) {
    super(message, withCode('ERR_TOO_LARGE', details));
    this.limit = limit;
    this.allowed = allowed;
  }
}

/** `denyAddresses` forbids every address of the host. ERR_ADDRESS_DENIED; never retried. */
export class AddressDenied extends HTTPError {
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_ADDRESS_DENIED', details));
  }
}

/** Every class by its name; the names are set from here, so that no bundler's renaming reaches `error.name`. @internal */
export const CLASSES = {
  HTTPError,
  PoolError,
  EmptyPoolError,
  FullPoolError,
  ClosedPoolError,
  RequestError,
  MaxRetryError,
  HostChangedError,
  ReadTimeoutError,
  TimeoutError,
  ConnectTimeoutError,
  NewConnectionError,
  NameResolutionError,
  SSLError,
  ProxyError,
  DecodeError,
  ProtocolError,
  IncompleteRead,
  InvalidChunkLength,
  ResponseError,
  InvalidHeader,
  HeaderParsingError,
  LocationValueError,
  LocationParseError,
  URLSchemeUnknown,
  ProxySchemeUnknown,
  ProxySchemeUnsupported,
  UnrewindableBodyError,
  ResponseNotReady,
  ResponseNotRead,
  ResponseTooLarge,
  AddressDenied,
};
for (const [name, type] of Object.entries(CLASSES)) {
  Object.defineProperty(type.prototype, 'name', { value: name, writable: true, configurable: true });
}

function withCode<T extends ErrorDetails>(code: string, details: T): T & { code: string } {
  return { code, ...details };
}

/** An error and what it is caused by; objects and bytes stay behind, as they may be secret or large. */
function plain(error: Error, depth: number): ErrorJSON {
  const out: ErrorJSON = { name: error.name, code: null, message: error.message, cause: null };
  for (const [field, value] of Object.entries(error)) {
    if (Buffer.isBuffer(value)) out[`${field}Length`] = value.length;
    else if (field === 'url' && typeof value === 'string') out[field] = withoutSecrets(value);
    else if (value === null || typeof value !== 'object') out[field] = value;
  }
  if (depth >= DEEPEST) return out;
  if (error.cause instanceof Error) out.cause = plain(error.cause, depth + 1);
  if (error instanceof HTTPError && error.history !== undefined) {
    out['history'] = error.history.map((past) => ({
      ...past,
      url: withoutSecrets(past.url),
      error: past.error === null ? null : plain(past.error, depth + 1),
      redirectLocation: past.redirectLocation === null ? null : withoutSecrets(past.redirectLocation),
    }));
  }
  if (error instanceof SSLError && error.chain.length > 0) {
    out['chain'] = error.chain.map(({ subject, issuer, subjectAltName, sha256, validFrom, validTo }) => ({
      subject,
      issuer,
      subjectAltName: [...subjectAltName],
      sha256,
      validFrom: date(validFrom),
      validTo: date(validTo),
    }));
  }
  if (error instanceof AggregateError) {
    out['errors'] = error.errors.filter((each) => each instanceof Error).map((each) => plain(each, depth + 1));
  }
  return out;
}

/** `null` for a date that could not be read, as JSON has it. */
function date(of: Date): string | null {
  return of.toJSON();
}

/** User info is everything between `//` and the last `@` of the authority (RFC 3986, section 3.2.1). @internal */
export function withoutUserInfo(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:)?\/\/[^/?#]*@/i, '$1//').replace(/^[^/?#]*@/, '');
}

/** Without user info and query. @internal */
export function withoutSecrets(url: string): string {
  return withoutUserInfo(url).replace(/[?#].*$/s, '');
}

/** How far a chain of causes is followed; a longer one is a ring. */
const DEEPEST = 8;

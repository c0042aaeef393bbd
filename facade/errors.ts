/**
 * What can go wrong, as urllib3's tree of classes with Node's habits: a stable `code` to match on, the underlying error
 * as `cause`. Here is what the classes are and hold; which of them a failure becomes stands in `error-record.ts`.
 *
 * Not in the tree: wrong arguments, Node's own `TypeError` and `RangeError` with a `code`; an aborted signal's own reason.
 *
 * Structured cloning (a worker's `postMessage`) turns any error into a bare `Error` without `name` and `code`; send
 * `error.toJSON()`, which keeps both.
 */
import { inspect } from 'node:util';
import type { CertificateInfo } from './certificates.ts';
import { checkNames } from './arguments.ts';
import type { ErrorCode } from './error-codes.ts';
import {
  checkUrl,
  DETAILS,
  withCode,
  type AnyPool,
  type ErrorDetails,
  type ErrorJSON,
  type Phase,
} from './error-details.ts';
import { inspected, type Inspecting } from './error-inspect.ts';
import type { HTTPHeaderDict } from './headers.ts';
import type { RequestHistory } from './retry.ts';
import { withoutSecrets, withoutUserInfo } from './secrets.ts';

export type { AnyPool, ErrorDetails, ErrorJSON, Phase } from './error-details.ts';

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
export class HTTPError extends Error {
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
  declare readonly history?: readonly RequestHistory[];

  /** Makes one, for tests of code that catches it: `details` are what it is to know. */
  constructor(message = '', details: ErrorDetails = {}) {
    checkNames(details, DETAILS, 'an error', 'ERR_INVALID_OPTION', 'docs/reference/errors.md');
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = details.code ?? 'ERR_INTERNAL';
    this.phase = details.phase ?? null;
    this.during = details.during ?? null;
    this.host = details.host ?? null;
    this.attempts = details.attempts ?? 0;
    this.elapsed = details.elapsed ?? 0;
    this.sent = details.sent ?? false;
    this.reason = details.reason ?? null;
    this.method = details.method ?? null;
    this.url = shownUrl(details.url);
  }

  /** Plain data that survives JSON and `structuredClone`, causes and history in turn. No password, no query, no body. */
  toJSON(): ErrorJSON {
    return plain(this, 0);
  }

  /** @internal */
  [inspect.custom](depth: number | null, options: Inspecting, format: typeof inspect): string {
    return inspected(this, depth, options, format);
  }
}

/** Something about a pool: the parent of those below. Its message begins with the pool. */
export class PoolError extends HTTPError {
  /** The pool, or `null` outside one. Not enumerable: a logged error does not drag its pool along. */
  declare readonly pool: AnyPool | null;

  /** Makes one, for tests: as {@link HTTPError}, with the pool that it is about. */
  constructor(pool: AnyPool | null, message = '', details: ErrorDetails = {}) {
    super(pool === null ? message : `${String(pool)}: ${message}`, details);
    Object.defineProperty(this, 'pool', { value: pool, enumerable: false });
  }
}

/** No connection became free within `poolTimeout`, or `maxWaiting` requests wait already. ERR_POOL_EMPTY. */
export class EmptyPoolError extends PoolError {
  /** @internal */
  constructor(pool: AnyPool | null, message = '', details: ErrorDetails = {}) {
    super(pool, message, withCode('ERR_POOL_EMPTY', details));
  }
}

/** A connection came back to a full blocking pool: a bug of ours. ERR_POOL_FULL. */
export class FullPoolError extends PoolError {
  /** @internal */
  constructor(pool: AnyPool | null, message = '', details: ErrorDetails = {}) {
    super(pool, message, withCode('ERR_POOL_FULL', details));
  }
}

/** The pool is closed, or was while the request waited. ERR_POOL_CLOSED. */
export class ClosedPoolError extends PoolError {
  /** @internal */
  constructor(pool: AnyPool | null, message = '', details: ErrorDetails = {}) {
    super(pool, message, withCode('ERR_POOL_CLOSED', details));
  }
}

/** Something about one request of a pool: the parent of those below. */
export class RequestError extends PoolError {
  /** What was requested, without user info. */
  declare readonly url: string;

  /** Makes one, for tests: as {@link PoolError}, with the URL, whose user info is left out. */
  constructor(pool: AnyPool | null, url: string, message = '', details: ErrorDetails = {}) {
    checkUrl(url);
    super(pool, message, details);
    Object.assign(this, { url: withoutUserInfo(url) });
  }
}

/** The `Retry` gave up. ERR_MAX_RETRY; `reason` (also the `cause`) has the last error with its own code. */
export class MaxRetryError extends RequestError {
  /** The last error, or {@link ResponseError} when it was an answer that used up the retries. */
  declare readonly reason: (Error & Partial<Pick<ResponseError, 'code' | 'phase' | 'status'>>) | null;

  /** Makes one, for tests: `reason` becomes the `cause`; `note` says why there was no further attempt. */
  constructor(pool: AnyPool | null, url: string, reason: Error | null = null, details: ErrorDetails = {}, note = '') {
    checkUrl(url);
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

  /** Makes one, for tests; the message is made from the URL. */
  constructor(pool: AnyPool | null, url: string, retries: unknown = 3, details: ErrorDetails = {}) {
    checkUrl(url);
    const shown = withoutSecrets(url);
    const named = shown === '' ? '' : ` ${shown}`;
    super(
      pool,
      url,
      `Tried to open a foreign host with url:${named}${noPath(shown)}`,
      withCode('ERR_HOST_CHANGED', details),
    );
    this.retries = retries;
  }
}

/**
 * The peer was silent for longer than `read` (ERR_READ_TIMEOUT), took no byte for that long (ERR_SEND_TIMEOUT), or `total`
 * ran out after dialling (ERR_TOTAL_TIMEOUT). Also `instanceof` {@link TimeoutError}.
 */
export class ReadTimeoutError extends RequestError {
  /** @internal */
  constructor(pool: AnyPool | null, url: string, message = '', details: ErrorDetails = {}) {
    super(pool, url, message, withCode('ERR_READ_TIMEOUT', details));
  }
}

/**
 * A time-out of either kind: the parent of {@link ConnectTimeoutError}, and `instanceof` says yes for {@link ReadTimeoutError}
 * too. As in urllib3 every {@link NewConnectionError} is one as well; {@link HTTPError.code} tells them apart.
 */
export class TimeoutError extends HTTPError {
  /** @internal */
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
  /** @internal */
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

  /** Makes one, for tests: as {@link HTTPError}, with where the connection was to lead. */
  constructor(
    message = '',
    details: ErrorDetails & { address?: string | null | undefined; port?: number | null | undefined } = {},
  ) {
    super(message, withCode('ERR_CONNECT', details));
    this.address = details.address ?? null;
    this.port = details.port ?? null;
  }
}

/** The name did not resolve. ERR_DNS. */
export class NameResolutionError extends NewConnectionError {
  /** @internal */
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_DNS', details));
  }
}

/**
 * TLS failed: handshake, certificate, name, fingerprint, a record; or what the options of TLS name cannot be used. ERR_TLS;
 * `reason` says which check it was, in Node.js' words where it has some (`CERT_HAS_EXPIRED`).
 */
export class SSLError extends HTTPError {
  /** Which check it was: `CERT_HAS_EXPIRED`, `ERR_FINGERPRINT` and so on; `null` where there is no word for it. */
  declare readonly reason: string | null;
  /**
   * The certificates as the peer sent them, its own first; empty where none came. Not enumerable: a logged error does not
   * drag their bytes along.
   */
  declare readonly chain: readonly CertificateInfo[];
  /** The name that the certificate was checked for; `null` where no name was. */
  readonly assertedName: string | null;

  /** Makes one, for tests: as {@link HTTPError}, with what was shown by the server, and the name it had to have. */
  constructor(
    message = '',
    details: ErrorDetails & {
      chain?: readonly CertificateInfo[] | undefined;
      assertedName?: string | null | undefined;
    } = {},
  ) {
    super(message, withCode('ERR_TLS', details));
    Object.defineProperty(this, 'chain', { value: details.chain ?? [], enumerable: false, configurable: true });
    this.assertedName = details.assertedName ?? null;
  }
}

/**
 * The proxy could not be reached, or would not serve: until a tunnel stands, whatever fails is its failure. ERR_PROXY. Where
 * it refused CONNECT, its answer is here; not enumerable but for the status: proxies quote what they were sent.
 */
export class ProxyError extends HTTPError {
  /** What went wrong between us and the proxy (also the `cause`), with the system's code if it gave one; or `null`. */
  declare readonly originalError: Error | null;
  /** The status of a refused CONNECT (407: it wants credentials), or `null`. */
  readonly status: number | null;
  /** Of a refused CONNECT: the header lines, or `null`. */
  declare readonly headers: HTTPHeaderDict | null;
  /** Of a refused CONNECT: how the answer's body begins (64 KiB at most), or `null`. */
  declare readonly body: Buffer | null;

  /** Makes one, for tests: as {@link HTTPError}, with the error before it, which becomes the `cause`. */
  constructor(
    message = '',
    originalError: Error | null = null,
    details: ErrorDetails & {
      status?: number | null | undefined;
      headers?: HTTPHeaderDict | null | undefined;
      body?: Buffer | null | undefined;
    } = {},
  ) {
    super(message, { ...withCode('ERR_PROXY', details), ...(originalError === null ? {} : { cause: originalError }) });
    this.status = details.status ?? null;
    const hidden = { originalError, headers: details.headers ?? null, body: details.body ?? null };
    for (const [name, value] of Object.entries(hidden)) Object.defineProperty(this, name, { value, enumerable: false });
  }
}

/** The body does not decode as its Content-Encoding says. ERR_DECODE. */
export class DecodeError extends HTTPError {
  /** @internal */
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_DECODE', details));
  }
}

/**
 * The peer broke the protocol or hung up. ERR_PROTOCOL; ERR_INCOMPLETE_READ or ERR_CHUNK for a body that broke off, whose
 * `cause` is {@link IncompleteRead} or {@link InvalidChunkLength}. `ConnectionError` is the same class.
 */
export class ProtocolError extends HTTPError {
  /** Which rule the peer broke: a word of the table in docs/errors.md; `null` where there is none. */
  declare readonly reason: string | null;
  /** What had arrived of a body that broke off, or `null`. */
  readonly partial: Buffer | null;
  /** How many more bytes were announced, or `null`. */
  readonly expected: number | null;

  /** Makes one, for tests: as {@link HTTPError}, with what there was of a body. */
  constructor(
    message = '',
    details: ErrorDetails & { partial?: Buffer | null | undefined; expected?: number | null | undefined } = {},
  ) {
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

  /** Makes one, for tests; `received` counts what was given out before too. Default: as much as `partial` has. */
  constructor(
    partial: Buffer,
    expected: number | null,
    details: ErrorDetails & { received?: number | null | undefined } = {},
  ) {
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

  /** Makes one, for tests; the message says what stood for a size. */
  constructor(length: string | null, partial: Buffer, expected: number | null = null, details: ErrorDetails = {}) {
    const what = length === null ? 'got a wrong chunk' : `got length ${length}`;
    super(`InvalidChunkLength(${what}, ${partial.length} bytes read)`, withCode('ERR_CHUNK', details));
    this.length = length;
    this.partial = partial;
    this.expected = expected;
  }
}

/**
 * An answer that counts as a failure. ERR_MAX_RETRY as the `reason` of a {@link MaxRetryError}: too many redirects, a status in
 * `statusForcelist`. ERR_STATUS of {@link HTTPResponse.raiseForStatus}.
 */
export class ResponseError extends HTTPError {
  /** The answer's status, or `null`. */
  readonly status: number | null;

  /** Makes one, for tests: as {@link HTTPError}, with the status. */
  constructor(message = '', details: ErrorDetails & { status?: number | null | undefined } = {}) {
    super(message, withCode('ERR_MAX_RETRY', details));
    this.status = details.status ?? null;
  }
}

/** A header field that cannot be sent (nothing was), or a Retry-After that {@link Retry.parseRetryAfter} cannot read. ERR_INVALID_HEADER. */
export class InvalidHeader extends HTTPError {
  /** @internal */
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_INVALID_HEADER', details));
  }
}

/** A head whose lines cannot be told apart. ERR_INVALID_HEADER. Here so that code which names it works: none is thrown. */
export class HeaderParsingError extends HTTPError {
  /** @internal */
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_INVALID_HEADER', details));
  }
}

/** A URL or host lacks something that is needed. ERR_INVALID_URL; nothing was sent. */
export class LocationValueError extends HTTPError {
  /** @internal */
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_INVALID_URL', details));
  }
}

/** A URL or host that cannot be parsed. ERR_INVALID_URL; nothing was sent. */
export class LocationParseError extends LocationValueError {
  /** What could not be parsed, without user info and query; `null` when it is not known. */
  readonly location: string | null;

  /** Makes one, for tests: as {@link HTTPError}, with what could not be parsed. */
  constructor(message = '', details: ErrorDetails & { location?: string | null | undefined } = {}) {
    super(message, details);
    this.location = shownUrl(details.location, 'location');
  }
}

/** A scheme other than http and https. ERR_INVALID_URL; nothing was sent. */
export class URLSchemeUnknown extends LocationValueError {
  /** The scheme, or `null` when there is none. */
  readonly scheme: string | null;

  /** Makes one, for tests: as {@link HTTPError}, with the scheme. */
  constructor(message = '', details: ErrorDetails & { scheme?: string | null | undefined } = {}) {
    super(message, details);
    this.scheme = details.scheme ?? null;
  }
}

/** A proxy's scheme that is not known, or not of the kind that the manager takes. ERR_INVALID_URL; nothing was sent. */
export class ProxySchemeUnknown extends URLSchemeUnknown {}

/** A combination of proxy and target that cannot work; an argument's error, outside the tree as in urllib3. ERR_NOT_SUPPORTED. */
export class ProxySchemeUnsupported extends TypeError {
  /** What happened, as one stable word to match on. */
  readonly code = 'ERR_NOT_SUPPORTED';
}

/** A body that was consumed would have to be sent again. ERR_UNREWINDABLE. */
export class UnrewindableBodyError extends HTTPError {
  /** @internal */
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_UNREWINDABLE', details));
  }
}

/** A response was asked for before a request, or a request made before the last response was taken. ERR_NOT_READY. */
export class ResponseNotReady extends HTTPError {
  /** @internal */
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_NOT_READY', details));
  }
}

/** The body was not read yet. ERR_NOT_READ. urllib3 has no such error: it reads at once. */
export class ResponseNotRead extends HTTPError {
  /** @internal */
  constructor(message = '', details: ErrorDetails = {}) {
    super(message, withCode('ERR_NOT_READ', details));
  }
}

/** The response passed a limit. ERR_TOO_LARGE; never retried. urllib3 has no limits. */
export class ResponseTooLarge extends HTTPError {
  /** Which limit: the name of the option in {@link Limits}. */
  readonly limit: string;
  /** What that option allows, in its own unit. */
  readonly allowed: number;

  /** Makes one, for tests: `limit` is the name of the limit, `allowed` its figure. */
  constructor(message: string, limit: string, allowed: number, details: ErrorDetails = {}) {
    super(message, withCode('ERR_TOO_LARGE', details));
    this.limit = limit;
    this.allowed = allowed;
  }
}

/** `denyAddresses` forbids every address of the host. ERR_ADDRESS_DENIED; never retried. */
export class AddressDenied extends HTTPError {
  /** @internal */
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

/** Of what names a host by mistake: nobody finds one in `?page=2`. */
function noPath(url: string): string {
  if (url === '*') return " ('*' is for OPTIONS alone)";
  return /^([a-z][a-z\d+.-]*:)?\/\//i.test(url) ? '' : " (a path begins with '/')";
}

/** As every error tells one. */
function shownUrl(url: unknown, name?: 'location'): string | null {
  if (url === null || url === undefined) return null;
  checkUrl(url, name);
  return withoutSecrets(url);
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
  if (error instanceof ProxyError && error.body !== null) out['bodyLength'] = error.body.length;
  if (error instanceof SSLError && error.chain.length > 0) {
    out['chain'] = error.chain.map(({ subject, issuer, subjectAltName, sha256, validFrom, validTo }) => ({
      subject,
      issuer,
      subjectAltName: [...subjectAltName],
      sha256,
      // `null` for a date that could not be read.
      validFrom: validFrom.toJSON(),
      validTo: validTo.toJSON(),
    }));
  }
  if (error instanceof AggregateError) {
    out['errors'] = error.errors.filter((each) => each instanceof Error).map((each) => plain(each, depth + 1));
  }
  return out;
}

/** How far a chain of causes is followed; a longer one is a ring. */
const DEEPEST = 8;

// The public types of ferropool, generated from the facade by `npm run build:dts`. Its difference is the review of the API.

import { Readable } from 'node:stream';

/**
 * As a header's value: leave out the line that would be sent by default. For `accept-encoding`, `host` and `user-agent`
 * only; a request with it on another name is refused.
 *
 * @example
 * new HTTPHeaderDict({ 'User-Agent': SKIP_HEADER });
 */
export declare const SKIP_HEADER: unique symbol;
/** What a line can hold: text, or {@link SKIP_HEADER}. */
export type HeaderValue = string | typeof SKIP_HEADER;
/**
 * What becomes a line: a number is its text; bytes, which may be any encoding, are kept as the text whose characters have
 * their numbers and go out as they were (HDR-04).
 */
export type HeaderInput = HeaderValue | number | Uint8Array;
/** A value or, for a name with several lines, the values in order. `null` is {@link SKIP_HEADER}, as `toJSON` writes it. */
export type HeaderValues = HeaderInput | null | readonly (string | number | Uint8Array)[];
/**
 * Everything a header dictionary is made from: another one, pairs (an array, a `Map`, fetch's `Headers`, a generator),
 * a plain object, or anything with `keys()` and either `get(name)` or index access. Only own properties of objects are
 * read; `undefined` in an object is absent.
 */
export type HeaderSource = HeaderDict | Iterable<readonly [
  string,
  HeaderValues
]> | {
  keys(): Iterable<string>;
  get(name: string): HeaderValues | undefined;
} | {
  readonly [name: string]: HeaderValues | undefined;
};
declare class HeaderDict {
  constructor(source?: HeaderSource | null, ...more: never[]);
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
   * Adds a line below those of the same name, which keep their spelling. With `combine` it is appended to the last of
   * them instead, after `, `. A name that is left out ({@link SKIP_HEADER}) stays so until it is set or removed.
   */
  add(name: string, value: HeaderInput, options?: {
    combine?: boolean;
  }): this;
  /** Adds every line of the source and overwrites nothing. urllib3's `|=` too. */
  extend(source?: HeaderSource, ...more: never[]): this;
  /** Replaces each name that the source has; of several pairs with one name the last stays. */
  update(source: HeaderSource): this;
  /**
   * A new dictionary with the lines of this one, then those of the other; neither is changed. urllib3's `|` operator.
   *
   * @example
   * manager.request('GET', url, { headers: manager.headers.union({ accept: 'text/html' }) });
   */
  union(other: HeaderSource): HTTPHeaderDict;
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
  entries(): IterableIterator<[
    string,
    string
  ]>;
  /** urllib3's name of {@link HeaderDict.entries} (`iteritems` too). */
  items(): IterableIterator<[
    string,
    string
  ]>;
  /** {@link HeaderDict.entries}. */
  [Symbol.iterator](): IterableIterator<[
    string,
    string
  ]>;
  /** Every name once as `[name, values joined by ", "]`. urllib3's `itermerged`. */
  merged(): IterableIterator<[
    string,
    string
  ]>;
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
   */
  toJSON(): Record<string, string | string[] | null>;
  /** `HTTPHeaderDict({'Cookie': 'foo, bar'})`. It shows every value: headers may hold secrets. */
  toString(): string;
}
/**
 * A case-insensitive dictionary of header fields that keeps order, spelling and repeats.
 *
 * `headers['content-type']` reads like `headers.get('content-type')`, except for names that are methods (`get`, `keys`,
 * `constructor`): there the method wins, and `get(name)` reads the header. Index access only reads; `set` writes.
 *
 * @example
 * const headers = new HTTPHeaderDict({ Accept: 'text/html' });
 * headers.add('Cookie', 'a=1').add('cookie', 'b=2');
 * headers['COOKIE']; // 'a=1, b=2'
 * [...headers]; // [['Accept', 'text/html'], ['Cookie', 'a=1'], ['Cookie', 'b=2']]
 */
export type HTTPHeaderDict = HeaderDict & {
  readonly [name: string]: string | undefined;
};
/** The constructor of {@link HTTPHeaderDict}. */
export interface HTTPHeaderDictConstructor {
  /**
   * Takes every line of the source: repeated names in pairs add up.
   *
   * @throws TypeError ERR_INVALID_HEADER for what is no source, a name that is no string, a value that is no string,
   * number, bytes or {@link SKIP_HEADER}.
   */
  new (source?: HeaderSource | null): HTTPHeaderDict;
  readonly prototype: HTTPHeaderDict;
}
export declare const HTTPHeaderDict: HTTPHeaderDictConstructor;
/** An attempt that is about to be made. */
export interface AttemptInfo {
  /** From 1, within the hop. */
  readonly number: number;
  /** Redirects followed so far. */
  readonly hop: number;
  readonly method: string;
  /** Absolute. */
  readonly url: string;
  /** Of this attempt alone: what is changed here is sent, and forgotten. */
  readonly headers: HTTPHeaderDict;
  /** What the attempt before met, if it met no answer. */
  readonly error: Error | null;
}
/** What may be an address: see {@link PoolOptions.resolve}. */
export type Resolved = string | ResolvedAddress | readonly string[] | readonly ResolvedAddress[] | null;
/** An IP address, and a port where it is not the URL's. */
export interface ResolvedAddress {
  readonly address: string;
  readonly port?: number | undefined;
}
/** A function that knows addresses. */
export type Resolve = (host: string, port: number, signal: AbortSignal) => Resolved | Promise<Resolved>;
/** A gate before each attempt. */
export type BeforeAttempt = (attempt: AttemptInfo, signal: AbortSignal) => unknown;
/** A piece of a body: a string goes out as UTF-8. */
export type BodyPiece = string | ArrayBuffer | SharedArrayBuffer | ArrayBufferView;
/** What a body can be but a function that makes one. */
export type BodyData = BodyPiece | URLSearchParams | FormData | Blob | NodeJS.ReadableStream | ReadableStream | Iterable<BodyPiece> | AsyncIterable<BodyPiece>;
/**
 * A request's body. A function is called when the body is needed, and again if it is needed again; its framing is by
 * chunks unless the headers have a Content-Length.
 */
export type RequestBody = BodyData | (() => BodyData | Promise<BodyData>);
/** What a part can hold: text goes out as UTF-8, a number or boolean as its text. */
export type FieldData = string | number | bigint | boolean | ArrayBuffer | ArrayBufferView | Blob;
/**
 * A value of a multipart form's field. A file is `[filename, data]`, whose type is guessed from its name, or
 * `[filename, data, contentType]`, where `null` is "no type". A `File` is a file under its own name, a `Blob` one that
 * is called `blob`.
 */
export type FormFieldValue = FieldData | null | readonly [
  filename: string | Uint8Array | null,
  data: FieldData
] | readonly [
  filename: string | Uint8Array | null,
  data: FieldData,
  contentType: string | null | undefined
] | RequestField;
/** A multipart form's fields: an object, a `Map`, pairs or {@link RequestField}s. Order and repeats are kept. */
export type FormFields = Iterable<readonly [
  string,
  FormFieldValue | undefined
] | RequestField> | {
  readonly [name: string]: FormFieldValue | undefined;
};
/** Writes one parameter of Content-Disposition. */
export type HeaderFormatter = (name: string, value: string) => string;
/** A part's headers by name; `null`, `undefined` and the empty string are left out. */
export type PartHeaders = Record<string, string | null | undefined>;
/** Options of a {@link RequestField}. */
export interface RequestFieldOptions {
  /** Default none; an empty one is kept. */
  filename?: string | Uint8Array | null | undefined;
  /** The part's headers at first. Default none. */
  headers?: Iterable<readonly [
    string,
    string | null | undefined
  ]> | Readonly<PartHeaders> | null | undefined;
  /** How `name` and `filename` are written. Default: as HTML does, `name="value"` with LF, CR and `"` escaped. */
  headerFormatter?: HeaderFormatter | null | undefined;
}
/** What {@link RequestField.makeMultipart} writes. */
export interface MakeMultipartOptions {
  /** Default `form-data`. */
  contentDisposition?: string | null | undefined;
  /** Default none. */
  contentType?: string | null | undefined;
  /** Default none. */
  contentLocation?: string | null | undefined;
}
/**
 * One part of a multipart body: for headers that a plain value cannot have. It has only the headers that it was given
 * until {@link RequestField.makeMultipart} writes the usual ones.
 *
 * @example
 * const field = new RequestField('photo', bytes, { filename: 'a.jpg', headers: { 'X-Taken': '2024' } });
 * field.makeMultipart({ contentType: 'image/jpeg' });
 * await pool.request('POST', '/photos', { fields: [field] });
 */
export declare class RequestField {
  #private;
  /** What the server knows the field by. */
  readonly name: string;
  /** `null` for none. */
  readonly filename: string | null;
  /** What the part holds. */
  data: FieldData;
  /** The part's headers, in an object without a prototype. */
  readonly headers: PartHeaders;
  /**
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
    headerFormatter?: HeaderFormatter | null;
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
/** A charset and where it was found. */
export interface Charset {
  /** WHATWG's name in lower case: `utf-8`, `windows-1252`, `shift_jis`. */
  readonly name: string;
  /** What said so: a byte order mark, Content-Type, an HTML meta element, or nothing. */
  readonly from: "bom" | "header" | "meta" | "default";
}
/** A certificate. What cannot be read has empty texts and invalid dates, and its bytes all the same. */
export interface CertificateInfo {
  /** As in RFC 4514, `CN=example.com,O=Example`. */
  readonly subject: string;
  readonly issuer: string;
  readonly validFrom: Date;
  readonly validTo: Date;
  /** As Node.js has them: `DNS:example.com`, `IP Address:127.0.0.1`. */
  readonly subjectAltName: readonly string[];
  /** The hash of its DER as Node.js writes it, `8A:5D:26:…`: an `assertFingerprint`. */
  readonly sha256: string;
  /** Its DER. Not enumerable. */
  readonly raw: Buffer;
}
/**
 * Whether a certificate (its DER) has this fingerprint: MD5, SHA-1 or SHA-256 in hexadecimal by its length, colons and either
 * case allowed. urllib3's `assert_fingerprint`; for a pool there is the option of this name.
 *
 * @throws SSLError ERR_TLS (`reason` ERR_FINGERPRINT) if it has not, for what is no fingerprint, and without a certificate;
 * TypeError ERR_INVALID_OPTION.
 * @example
 * assertFingerprint(response.connection.tls.chain[0].raw, '8A:5D:26:…');
 */
export declare function assertFingerprint(certificate: Uint8Array | null | undefined, fingerprint: string): void;
/** The connection that a response came on. Stays readable after the connection has gone. */
export interface ConnectionInfo {
  /** The connection's number, unique in its thread. */
  readonly id: number;
  /** The peer's address, or the path of its Unix socket. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Whether it had carried an exchange before. */
  readonly reused: boolean;
  readonly protocol: "http/1.1" | "http/1.0" | "h2";
  readonly proxy: string | null;
  /** Each address that was tried, in order, the last one successfully. */
  readonly triedAddresses: readonly {
    readonly address: string;
    readonly error: string | null;
    readonly elapsed: number;
  }[];
  /** `null` where there is none. */
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
/** Where in a request's life something happened: the word for it in errors, timings and documentation. */
export type Phase = "pool" | "dns" | "connect" | "proxy" | "tls" | "send" | "headers" | "body" | "total";
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
export declare class HTTPError extends Error {
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
  readonly history?: readonly RequestHistory[];
  constructor(message?: string, details?: ErrorDetails);
  /** Plain data that survives JSON and `structuredClone`. */
  toJSON(): ErrorJSON;
}
/** Something about a pool. Its message begins with the pool. */
export declare class PoolError extends HTTPError {
  /** The pool, or `null` outside one. Not enumerable: a logged error does not drag its pool along. */
  readonly pool: AnyPool | null;
  constructor(pool: AnyPool | null, message?: string, details?: ErrorDetails);
}
/** No connection became free within `poolTimeout`, or `maxWaiting` requests wait already. ERR_POOL_EMPTY. */
export declare class EmptyPoolError extends PoolError {
  constructor(pool: AnyPool | null, message?: string, details?: ErrorDetails);
}
/** A connection came back to a full blocking pool: a bug of ours. ERR_POOL_FULL. */
export declare class FullPoolError extends PoolError {
  constructor(pool: AnyPool | null, message?: string, details?: ErrorDetails);
}
/** The pool is closed, or was while the request waited. ERR_POOL_CLOSED. */
export declare class ClosedPoolError extends PoolError {
  constructor(pool: AnyPool | null, message?: string, details?: ErrorDetails);
}
/** Something about one request of a pool. */
export declare class RequestError extends PoolError {
  /** What was requested, without user info. */
  readonly url: string;
  constructor(pool: AnyPool | null, url: string, message?: string, details?: ErrorDetails);
}
/** The `Retry` gave up. ERR_MAX_RETRY; `reason` (also the `cause`) has the last error with its own code. */
export declare class MaxRetryError extends RequestError {
  /** The last error, or {@link ResponseError} when it was an answer that used up the retries. */
  readonly reason: Error | null;
  /** The note says why there was no further attempt, where that is not plain. */
  constructor(pool: AnyPool | null, url: string, reason: Error | null, details?: ErrorDetails, note?: string);
}
/** A URL of another host was given to a pool. ERR_HOST_CHANGED. */
export declare class HostChangedError extends RequestError {
  /** The `Retry` of the request, or a number. */
  readonly retries: unknown;
  constructor(pool: AnyPool | null, url: string, retries?: unknown, details?: ErrorDetails);
}
/**
 * The peer was silent for longer than `read` (ERR_READ_TIMEOUT), took no byte for that long (ERR_SEND_TIMEOUT), or `total`
 * ran out after dialling (ERR_TOTAL_TIMEOUT). Also `instanceof` {@link TimeoutError}.
 */
export declare class ReadTimeoutError extends RequestError {
  constructor(pool: AnyPool | null, url: string, message?: string, details?: ErrorDetails);
}
/** A time-out of either kind. */
export declare class TimeoutError extends HTTPError {
  constructor(message?: string, details?: ErrorDetails);
  /** In urllib3 ReadTimeoutError has two parents; here `instanceof` knows of the second. */
  static [Symbol.hasInstance](value: unknown): boolean;
}
/** Dialling took longer than `connect` (ERR_CONNECT_TIMEOUT) or than `total` (ERR_TOTAL_TIMEOUT). */
export declare class ConnectTimeoutError extends TimeoutError {
  constructor(message?: string, details?: ErrorDetails);
}
/** No connection could be made: the system's code (`ECONNREFUSED`), or ERR_CONNECT where there is none. */
export declare class NewConnectionError extends ConnectTimeoutError {
  /** The IP address tried (last), or `null`. With {@link NewConnectionError.port} it stands for urllib3's `conn`. */
  readonly address: string | null;
  /** The port tried, or `null`. */
  readonly port: number | null;
  constructor(message?: string, details?: ErrorDetails & {
    address?: string | null;
    port?: number | null;
  });
}
/** The name did not resolve. ERR_DNS. */
export declare class NameResolutionError extends NewConnectionError {
  constructor(message?: string, details?: ErrorDetails);
}
/**
 * TLS failed: handshake, certificate, name, fingerprint, a record; or what the options of TLS name cannot be used. ERR_TLS;
 * `reason` says which check it was, in Node.js' words where it has some (`CERT_HAS_EXPIRED`).
 */
export declare class SSLError extends HTTPError {
  /** Which check it was. */
  readonly reason: string | null;
  /**
   * The certificates as the peer sent them, its own first; empty where none came. Not enumerable: a logged error does not
   * drag their bytes along.
   */
  readonly chain: readonly CertificateInfo[];
  /** The name that the certificate was checked for; `null` where no name was. */
  readonly assertedName: string | null;
  constructor(message?: string, details?: ErrorDetails & {
    chain?: readonly CertificateInfo[];
    assertedName?: string | null;
  });
}
/** The proxy could not be reached, or would not serve. ERR_PROXY. */
export declare class ProxyError extends HTTPError {
  /** What went wrong between us and the proxy (also the `cause`), or `null`. */
  readonly originalError: Error | null;
  /** Of a refused CONNECT, or `null`. */
  readonly status: number | null;
  /** Of a refused CONNECT: the header lines, or `null`. */
  readonly headers: object | null;
  /** Of a refused CONNECT: how the answer's body begins, or `null`. */
  readonly body: Buffer | null;
  constructor(message?: string, originalError?: Error | null, details?: ErrorDetails & {
    status?: number | null;
    headers?: object | null;
    body?: Buffer | null;
  });
}
/** The body does not decode as its Content-Encoding says. ERR_DECODE. */
export declare class DecodeError extends HTTPError {
  constructor(message?: string, details?: ErrorDetails);
}
/**
 * The peer broke the protocol or hung up. ERR_PROTOCOL; ERR_INCOMPLETE_READ or ERR_CHUNK for a body that broke off, whose
 * `cause` is {@link IncompleteRead} or {@link InvalidChunkLength}. `ConnectionError` is the same class.
 */
export declare class ProtocolError extends HTTPError {
  readonly reason: string | null;
  /** What had arrived of a body that broke off, or `null`. */
  readonly partial: Buffer | null;
  /** How many more bytes were announced, or `null`. */
  readonly expected: number | null;
  constructor(message?: string, details?: ErrorDetails & {
    partial?: Buffer | null;
    expected?: number | null;
  });
}
/** The body ended early. ERR_INCOMPLETE_READ; found as the `cause` of a {@link ProtocolError}. */
export declare class IncompleteRead extends HTTPError {
  /** What had arrived and was not given out before: everything of a body that is read at once. (urllib3's is a count.) */
  readonly partial: Buffer;
  /** How many more bytes were announced, or `null` when no length was. */
  readonly expected: number | null;
  constructor(partial: Buffer, expected: number | null, details?: ErrorDetails & {
    received?: number | null;
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
  constructor(length: string | null, partial: Buffer, expected?: number | null, details?: ErrorDetails);
}
/**
 * An answer that counts as a failure: too many redirects, a status in `statusForcelist`, a status that `raiseForStatus`
 * was asked about. The `reason` of {@link MaxRetryError}, whose code it has.
 */
export declare class ResponseError extends HTTPError {
  /** The answer's status, or `null`. */
  readonly status: number | null;
  constructor(message?: string, details?: ErrorDetails & {
    status?: number | null;
  });
}
/** A header field that cannot be sent or must not be believed. ERR_INVALID_HEADER. */
export declare class InvalidHeader extends HTTPError {
  constructor(message?: string, details?: ErrorDetails);
}
/** A head whose lines cannot be told apart. ERR_INVALID_HEADER. */
export declare class HeaderParsingError extends HTTPError {
  constructor(message?: string, details?: ErrorDetails);
}
/** A URL or host lacks something that is needed. ERR_INVALID_URL. */
export declare class LocationValueError extends HTTPError {
  constructor(message?: string, details?: ErrorDetails);
}
/** A URL or host that cannot be parsed. ERR_INVALID_URL. */
export declare class LocationParseError extends LocationValueError {
  /** What could not be parsed, without user info and query; `null` when it is not known. */
  readonly location: string | null;
  constructor(message?: string, details?: ErrorDetails & {
    location?: string | null;
  });
}
/** A scheme other than http and https. ERR_INVALID_URL. */
export declare class URLSchemeUnknown extends LocationValueError {
  /** The scheme, or `null` when there is none. */
  readonly scheme: string | null;
  constructor(message?: string, details?: ErrorDetails & {
    scheme?: string | null;
  });
}
/** A proxy's scheme that is not known. ERR_INVALID_URL. */
export declare class ProxySchemeUnknown extends URLSchemeUnknown {
}
/** A combination of proxy and target that cannot work; an argument's error, outside the tree as in urllib3. ERR_NOT_SUPPORTED. */
export declare class ProxySchemeUnsupported extends TypeError {
  readonly code = "ERR_NOT_SUPPORTED";
}
/** A body that was consumed would have to be sent again. ERR_UNREWINDABLE. */
export declare class UnrewindableBodyError extends HTTPError {
  constructor(message?: string, details?: ErrorDetails);
}
/** A response was asked for before a request. ERR_NOT_READY. */
export declare class ResponseNotReady extends HTTPError {
  constructor(message?: string, details?: ErrorDetails);
}
/** The body was not read yet. ERR_NOT_READ. urllib3 has no such error: it reads at once. */
export declare class ResponseNotRead extends HTTPError {
  constructor(message?: string, details?: ErrorDetails);
}
/** The response passed a limit. ERR_TOO_LARGE; never retried. urllib3 has no limits. */
export declare class ResponseTooLarge extends HTTPError {
  /** The name of the option in `limits`. */
  readonly limit: string;
  /** What it allows. */
  readonly allowed: number;
  constructor(message: string, limit: string, allowed: number, details?: ErrorDetails);
}
/** `denyAddresses` forbids every address of the host. ERR_ADDRESS_DENIED; never retried. */
export declare class AddressDenied extends HTTPError {
  constructor(message?: string, details?: ErrorDetails);
}
/** How many more of something: a whole number; `null` is not counted here, `false` is not even once. */
export type RetryCount = number | false | null;
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
/** The parameters of a {@link Retry}. Times are milliseconds. */
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
   * Methods that are sent again after a read error or because of a status, in any case. `null` or `false`: every one; an
   * empty list: none (urllib3 2.8 takes it for every one). Default {@link Retry.DEFAULT_ALLOWED_METHODS}.
   */
  allowedMethods?: Iterable<string> | false | null | undefined;
  /** Statuses to retry. Default none. */
  statusForcelist?: Iterable<number> | null | undefined;
  /** The second retry waits twice this, each further one twice as long as the one before. Default 0. */
  backoffFactor?: number | undefined;
  /** Least wait before a retry after an error or a status, the first one too. Default 0. urllib3 has none. */
  backoffMin?: number | undefined;
  /** Most that a back-off can be, {@link RetryOptions.backoffMin} included. Default 120,000. */
  backoffMax?: number | undefined;
  /** From the second retry on a back-off is longer by a random part of this. Default 0. */
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
  removeHeadersOnRedirect?: Iterable<string> | undefined;
  /** A longer Retry-After is cut to this. Default 21,600,000. */
  retryAfterMax?: number | undefined;
  /** What happened so far. Default nothing. */
  history?: Iterable<RequestHistory> | undefined;
}
/** A {@link Retry} as plain data; the constructor makes an equal one of it, but for the history, which stays behind. */
export interface RetryJSON {
  total: RetryCount;
  connect: RetryCount;
  read: RetryCount;
  redirect: RetryCount;
  status: RetryCount;
  other: RetryCount;
  allowedMethods: readonly string[] | null;
  statusForcelist: readonly number[];
  backoffFactor: number;
  backoffMin: number;
  backoffMax: number;
  backoffJitter: number;
  raiseOnRedirect: boolean;
  raiseOnStatus: boolean;
  respectRetryAfterHeader: boolean;
  removeHeadersOnRedirect: readonly string[];
  retryAfterMax: number;
}
/** Everything that is taken for a `retries` option: `null` and `undefined` are the default, a number is a total. */
export type RetryLike = Retry | number | boolean | null | undefined;
/** A response, as far as a {@link Retry} looks at it. */
export interface RetriedResponse {
  readonly status: number;
  readonly headers: {
    get(name: string): string | null | undefined;
  };
  getRedirectLocation(): string | null | false;
}
/** What happened to an attempt; without an error and a response it is an answer of which nothing is known. */
export interface RetryEvent {
  response?: RetriedResponse | null | undefined;
  error?: Error | null | undefined;
  /** For {@link MaxRetryError}. Default `null`. */
  pool?: AnyPool | null | undefined;
}
/**
 * What is tried again, how often, and after how long. Immutable: one value serves any number of requests.
 *
 * A subclass may override {@link Retry.increment}, {@link Retry.isRetry} and the others that answer a question; it is
 * asked then. Its constructor has to take {@link RetryOptions}, since every event makes another value of the same class.
 *
 * @example
 * new Retry({ total: 5, statusForcelist: [502, 503, 504], backoffFactor: 200 });
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
  readonly total: RetryCount;
  readonly connect: RetryCount;
  readonly read: RetryCount;
  readonly redirect: RetryCount;
  readonly status: RetryCount;
  readonly other: RetryCount;
  /** `null` is every method. */
  readonly allowedMethods: readonly string[] | null;
  readonly statusForcelist: readonly number[];
  readonly backoffFactor: number;
  readonly backoffMin: number;
  readonly backoffMax: number;
  readonly backoffJitter: number;
  readonly raiseOnRedirect: boolean;
  readonly raiseOnStatus: boolean;
  readonly respectRetryAfterHeader: boolean;
  /** In lower case. */
  readonly removeHeadersOnRedirect: readonly string[];
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
   * @throws The error itself where its kind is switched off or never retried, or a read error of a method that is not
   * allowed; MaxRetryError when nothing is left, its `reason` the error or a ResponseError that says what there was too
   * much of.
   */
  increment(method: string | null, url: string, event?: RetryEvent): this;
  /**
   * Whether an answer of this status is retried: the method is allowed, and the status is in
   * {@link Retry.statusForcelist}, or is one of {@link Retry.RETRY_AFTER_STATUS_CODES} with a Retry-After that is heeded.
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
   */
  getRetryAfter(response: RetriedResponse): number | null;
  /** `Retry(total=10, connect=null, read=null, redirect=null, status=null)`. */
  toString(): string;
  /** Every parameter but the history; the constructor makes an equal `Retry` of it. */
  toJSON(): RetryJSON;
}
/** How long each phase of the last attempt took, in milliseconds; `null`: it did not happen. `total` is the whole call. */
export interface Timings {
  /** Waiting for a connection. */
  readonly pool: number | null;
  /** Resolving the name. */
  readonly dns: number | null;
  /** Connecting. */
  readonly connect: number | null;
  /** CONNECT and SOCKS steps. */
  readonly proxy: number | null;
  /** The TLS handshake. */
  readonly tls: number | null;
  /** Until the kernel had the whole request. */
  readonly send: number | null;
  /** From there to the response's head. */
  readonly headers: number | null;
  /** From the completion to JavaScript: how long a busy thread let it lie. */
  readonly deliver: number;
  /** From the head to the end of the body. */
  readonly body: number | null;
  /** The whole call, up to the completion. */
  readonly total: number | null;
}
/** What a response of one's own is made of. */
export interface HTTPResponseInit {
  /** Default 200. */
  status?: number | undefined;
  headers?: HeaderSource | undefined;
  /** Default `null`. */
  reason?: string | null | undefined;
  /** Default `''`. */
  url?: string | undefined;
}
/**
 * A response: with its body read and decoded, or (`preloadContent: false`) with a body that is still to be read.
 *
 * @example
 * const response = await pool.request('GET', '/large', { preloadContent: false });
 * for await (const piece of response) file.write(piece);
 */
export declare class HTTPResponse {
  #private;
  /** The status code, 100 to 999. */
  readonly status: number;
  /** False if `accept` was asked and did not want the body, which is empty then. */
  readonly accepted: boolean;
  /**
   * A response of one's own, for tests of code that takes one.
   *
   * @throws TypeError ERR_INVALID_BODY, ERR_INVALID_OPTION; RangeError for a status out of range.
   * @example
   * new HTTPResponse('{"ok":true}', { status: 200, headers: { 'content-type': 'application/json' } }).json();
   */
  constructor(body?: string | Uint8Array | null, init?: HTTPResponseInit);
  /** Makes a response of one's own, as the constructor does. */
  static from(body?: string | Uint8Array | null, init?: HTTPResponseInit): HTTPResponse;
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
   * @throws ResponseNotRead for a streamed body that was not read by one `read()`.
   */
  get data(): Buffer;
  /**
   * The body as JSON. It must be UTF-8 (RFC 8259, 8.1).
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
   * response.retries?.history.map(({ redirectLocation }) => redirectLocation);
   */
  get retries(): Retry | null;
  /** Exchanges made for it: 1 unless the request was made again. */
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
  /** Bytes of the body on the wire that have not been read, `null` where no length was announced. 0 when preloaded. */
  get lengthRemaining(): number | null;
  /** Whether the body has been read to its end, or closed. Always, when preloaded. */
  get closed(): boolean;
  /**
   * Reads exactly `amount` decoded bytes, fewer only at the end; everything that is left without an amount (or with `null`
   * or -1), which then is {@link HTTPResponse.data} too if nothing was read before. Empty at the end.
   *
   * @throws (rejects with) ProtocolError (its `partial` what had come), DecodeError, ReadTimeoutError, ResponseTooLarge, or
   * the signal's reason; RangeError or TypeError ERR_INVALID_OPTION.
   */
  read(amount?: number | null): Promise<Buffer>;
  /** Reads what is at hand, decoded: at least one byte unless at the end, at most `amount`. */
  read1(amount?: number | null): Promise<Buffer>;
  /** Fills `target`; how many bytes there were: fewer than its length at the end only, 0 after it. */
  readInto(target: Uint8Array): Promise<number>;
  /**
   * Pieces of exactly `amount` decoded bytes (default 65,536), the last one smaller. With `null` a body of known length is
   * one piece, any other comes as it arrives. Leaving the loop lets go of the response.
   */
  stream(amount?: number | null): AsyncIterableIterator<Buffer>;
  /** Pieces as they arrive, without a copy. (urllib3 gives lines here; see {@link HTTPResponse.lines}.) */
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer>;
  /** Lines, each with its line feed, the last one as it is. */
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
  /** Gives the connection back: it is kept if 64 KiB at most are left and come at once, and closed otherwise. */
  releaseConn(): void;
  /** Closes the connection of a body that has not been read to its end. A read in progress fails. */
  close(): void;
  /** The Location of a 301, 302, 303, 307 or 308 (`null` if it has none); `false` for every other status. */
  getRedirectLocation(): string | null | false;
  /**
   * Itself for a status below 400.
   *
   * @throws ResponseError that names the status and the URL without its query.
   */
  raiseForStatus(): this;
  /** `HTTPResponse(status=200, url='http://…')`. */
  toString(): string;
}
/** What `accept` is asked about. */
export interface Head {
  readonly status: number;
  readonly reason: string | null;
  readonly headers: HTTPHeaderDict;
  /** Absolute. */
  readonly url: string;
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
/** Everything that is taken for a `timeout` option. */
export type TimeoutLike = Timeout | TimeoutOptions | number | null | undefined;
/**
 * How long a request may take, in milliseconds. Nothing is limited that is not set: there is no hidden default.
 *
 * Unlike urllib3 it counts milliseconds, keeps no clock (there is no `clone` or `start_connect`), and takes `Infinity`
 * for none.
 *
 * @example
 * new Timeout({ connect: 2_000, read: 10_000, total: 60_000 });
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
  toJSON(): {
    total: number | null;
    connect: number | null;
    read: number | null;
  };
  /** `Timeout(connect=1000, read=2000, total=null)`. */
  toString(): string;
}
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
  localAddress?: string | {
    address: string;
    port?: number;
  } | undefined;
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
  http2?: boolean | "prior-knowledge" | undefined;
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
  resolve?: {
    readonly [name: string]: string;
  } | Resolve | undefined;
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
export type OnPause = (host: string, until: Date, reason: {
  status: number;
  retryAfter: number;
}) => void;
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
  readonly direction: "up" | "down";
  /** Bytes so far; of a response those on the wire. */
  readonly bytes: number;
  /** Bytes in all, `null` where that is not known. */
  readonly total: number | null;
}
/** A value of a form field in a query. */
export type FieldValue = string | number | bigint | boolean | null | ArrayBuffer | ArrayBufferView;
/** Form fields. */
export type FieldSource = Iterable<readonly [
  string,
  FieldValue | undefined
]> | {
  readonly [name: string]: FieldValue | undefined;
};
/**
 * Options of TLS, for an {@link HTTPSConnectionPool}, and for a {@link PoolManager} as far as it makes such pools. `null` is
 * the same as not giving an option. Files are read when a pool is made; one that cannot be read, a key that does not fit its
 * certificate and the like are an SSLError then.
 */
export interface TLSOptions {
  /**
   * Whether the server's certificate is checked. Default `'required'`: its chain and its name are. `'optional'` means the
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
export type CertReqs = "required" | "optional" | "none" | "CERT_REQUIRED" | "CERT_OPTIONAL" | "CERT_NONE" | "REQUIRED" | "OPTIONAL" | "NONE";
/** The versions of TLS that there are. */
export type TLSVersion = "TLSv1.2" | "TLSv1.3";
/** PEM text, as a string or as bytes, or DER. */
export type CertificateData = string | Uint8Array;
/** Options of TLS as plain data. */
export type TLSJSON = Omit<TLSOptions, "cert" | "key" | "keyPassword">;
/**
 * What pools and managers have in common as plain data. Of TLS what was given, but for the client's certificate, key and
 * password.
 */
export interface SettingsJSON extends TLSJSON {
  maxsize: number;
  block: boolean;
  /** `new Timeout(…)` makes an equal one of it. */
  timeout: ReturnType<Timeout["toJSON"]>;
  /** `new Retry(…)` makes an equal one of it. */
  retries: RetryJSON;
  /** The names of its own headers: their values may be secrets. */
  headers: string[];
  /** Where it is spoken. */
  http2?: PoolOptions["http2"];
}
/** What `JSON.stringify(pool)` writes. */
export interface PoolJSON extends SettingsJSON {
  /** The name of its class. */
  type: string;
  scheme: "http" | "https";
  host: string;
  /** `null` is the scheme's default. */
  port: number | null;
}
/** What `JSON.stringify(manager)` writes. */
export interface ManagerJSON extends SettingsJSON {
  /** The name of its class. */
  type: string;
  numPools: number;
  /** 0: no bound. */
  maxTotalConnections: number;
}
/** Who makes calls: turns what comes back into what the user sees. */
export interface Owner {
  /** What judges a call that brings nothing of its own. */
  readonly retries: object;
}
/** A request to be made: a URL, or a URL with what `request` takes. `tag` is handed back untouched. */
export type Planned = string | ({
  method?: string;
  url: string;
  tag?: unknown;
} & RequestOptions);
/** A request that was made: its place in the input, itself, and what came of it. */
export type Settled = {
  index: number;
  request: Planned;
} & ({
  ok: true;
  response: HTTPResponse;
} | {
  ok: false;
  error: Error;
});
/** Options of {@link RequestMethods.urlopen}: a request's, without those that only merge. */
export type UrlopenOptions = Omit<RequestOptions, "fields" | "json" | "encodeMultipart" | "multipartBoundary">;
/** How requests are made: urllib3's `RequestMethods`. */
export declare abstract class RequestMethods implements Owner {
  #private;
  /** What judges a request that brings nothing of its own. */
  get retries(): Retry;
  /** The headers of a request that brings none; a copy. */
  get headers(): HTTPHeaderDict;
  /**
   * Makes a request; the method is upper-cased. `fields` go into the query for GET, HEAD, DELETE and OPTIONS, and into
   * the body for every other method.
   *
   * @throws (rejects with) everything in the documentation of errors; bad input before anything is sent.
   */
  request(method: string, url: string, options?: RequestOptions): Promise<HTTPResponse>;
  /** Makes a request whose `fields` go into the query, whatever the method. */
  requestEncodeUrl(method: string, url: string, options?: RequestOptions): Promise<HTTPResponse>;
  /** Makes a request whose `fields` go into the body, whatever the method. */
  requestEncodeBody(method: string, url: string, options?: RequestOptions): Promise<HTTPResponse>;
  /** The lowest level: the method goes out as it is given, and nothing is merged. */
  urlopen(method: string, url: string, options?: UrlopenOptions): Promise<HTTPResponse>;
  /**
   * Makes many requests, `concurrency` at a time (default: a pool's `maxsize`, 64 for a manager), and yields each as it
   * settles: unordered, bounded, and no faster than they are taken. It never throws for a request; leaving the loop aborts
   * what is in flight.
   *
   * @example
   * for await (const settled of pool.requestMany(['/a', '/b'])) if (settled.ok) settled.response.data;
   */
  requestMany(requests: Iterable<Planned> | AsyncIterable<Planned>, options?: {
    concurrency?: number | undefined;
  }): AsyncIterableIterator<Settled>;
}
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
  /**
   * Of requests that succeeded: how long they waited for a connection and for the head, and how long they took in all,
   * retries and redirects included. A pool that a manager made has none of its own: they are in the manager's.
   */
  readonly latency?: Readonly<Record<"pool" | "headers" | "total", Percentiles>>;
}
/** The common base of pools. */
export declare abstract class ConnectionPool extends RequestMethods {
  abstract readonly scheme: "http" | "https";
  /** Normalised: lower case, IDNA, brackets off an IPv6 literal. */
  abstract readonly host: string;
  /** As given; `null` is the scheme's default. */
  abstract readonly port: number | null;
  /** Closes the pool; see {@link HTTPConnectionPool.close}. */
  abstract close(options?: {
    timeout?: number | null | undefined;
  }): Promise<CloseReport>;
  /** Closes the pool when a block of `await using` ends, and waits for its requests. */
  [Symbol.asyncDispose](): Promise<void>;
  /** Closes the pool when a block of `using` ends. */
  [Symbol.dispose](): void;
  /** `HTTPConnectionPool(host='localhost', port=8080)`. */
  toString(): string;
}
/**
 * The connections to one host, kept and reused.
 *
 * @example
 * const pool = new HTTPConnectionPool('localhost', { port: 8080, maxsize: 10, block: true });
 * const response = await pool.request('GET', '/search', { fields: { q: 'urllib3' } });
 * response.json();
 */
export declare class HTTPConnectionPool extends ConnectionPool {
  #private;
  /** Normalised: lower case, IDNA, brackets off an IPv6 literal. */
  readonly host: string;
  /** As given; `null` is the scheme's default (80, or 443). */
  readonly port: number | null;
  /** Connections kept for reuse. */
  readonly maxsize: number;
  /** Whether a request waits at the limit. */
  readonly block: boolean;
  /** The time-outs of a request that brings none. */
  readonly timeout: Timeout;
  /**
   * Makes a pool; nothing is opened until the first request.
   *
   * @throws LocationValueError without a host, LocationParseError for what is none, TypeError or RangeError
   * ERR_INVALID_OPTION for options, InvalidHeader for headers that cannot be sent.
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
  /** Everything that the pool counts. */
  stats(): PoolStats;
  /** Where it leads and what it keeps to, as plain data for logs; of its headers the names alone. */
  toJSON(): PoolJSON;
  /** Whether a URL names this pool's host: a path does, `//other/` does not. */
  isSameHost(url: string): boolean;
  /**
   * Opens connections until there are `n`, and sends nothing.
   *
   * @throws (rejects with) RangeError for more than `maxsize`, ClosedPoolError, and what dialling meets.
   */
  warm(n: number): Promise<void>;
  /**
   * Closes the pool: idle connections now, leased ones when their request ends or `timeout` milliseconds (default none)
   * are up. Waiting and later requests reject with ClosedPoolError. A second time does no harm.
   */
  close(options?: {
    timeout?: number | null | undefined;
  }): Promise<CloseReport>;
}
/**
 * The connections to one host over TLS, kept and reused. The server's certificate is checked, chain and name, unless the
 * options say otherwise. With `http2: true` requests share connections where the server speaks HTTP/2.
 *
 * @example
 * const pool = new HTTPSConnectionPool('localhost', { port: 8443, caCerts: 'ca.pem', http2: true });
 * const response = await pool.request('GET', '/');
 * response.connection?.tls?.version; // 'TLSv1.3'
 */
export declare class HTTPSConnectionPool extends HTTPConnectionPool {
  /**
   * Makes a pool; nothing is opened until the first request, but files that the options name are read.
   *
   * @throws as {@link HTTPConnectionPool}'s; SSLError ERR_TLS for certificates, keys, cipher suites and fingerprints that
   * cannot be used (`reason` ERR_TLS_CA, ERR_TLS_CERT, ERR_TLS_KEY, ERR_TLS_CIPHER, ERR_FINGERPRINT).
   */
  constructor(host: string, options?: PoolOptions & TLSOptions);
  /** `'https'`. */
  get scheme(): "https";
}
/**
 * A pool for a URL's host: https gives an {@link HTTPSConnectionPool}, everything else an {@link HTTPConnectionPool}, which
 * takes no options of TLS. The port is always shown.
 *
 * @throws LocationParseError, LocationValueError; URLSchemeUnknown for schemes but http and https; what the pool's
 * constructor throws.
 * @example
 * connectionFromUrl('http://localhost:8080/').port; // 8080
 */
export declare function connectionFromUrl(url: string, options?: PoolOptions & TLSOptions): HTTPConnectionPool | HTTPSConnectionPool;
/** Options of an {@link HTTPConnection}: a pool's, but for those about many connections and about trying again. */
export type ConnectionOptions = Omit<PoolOptions, "block" | "idleTimeout" | "maxAge" | "maxRequestsPerConnection" | "maxWaiting" | "maxsize" | "onPause" | "pauseOn" | "rate" | "retries">;
/** What a request on an {@link HTTPConnection} may bring. */
export type ConnectionRequestOptions = Pick<RequestOptions, "body" | "chunked" | "decodeContent" | "enforceContentLength" | "headers" | "json" | "limits" | "onProgress" | "preloadContent" | "signal" | "timeout">;
/**
 * One connection to one host. A request goes out with {@link HTTPConnection.request}, and its response is taken with
 * {@link HTTPConnection.getResponse}; one at a time. Nothing is tried again and no redirect is followed.
 *
 * @example
 * const connection = new HTTPConnection('localhost', { port: 8080 });
 * await connection.request('GET', '/');
 * const response = await connection.getResponse();
 */
export declare class HTTPConnection {
  #private;
  /** 80; 443 of an {@link HTTPSConnection}. */
  static readonly defaultPort: number;
  /** What a socket has where `socketOptions` is not given. */
  static readonly defaultSocketOptions: Readonly<SocketOptions>;
  /** Normalised: lower case, IDNA, brackets off an IPv6 literal. */
  readonly host: string;
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
  /** Whether the peer of the connection was verified: its chain, or its fingerprint. Never over http, and never closed. */
  get isVerified(): boolean;
  /** Whether the proxy was verified; `null` without one. */
  get proxyIsVerified(): boolean | null;
  /** Whether the connection leads to a proxy. */
  get hasConnectedToProxy(): boolean;
  /** Whether a proxy is given requests to pass on. */
  get proxyIsForwarding(): boolean;
  /** Whether a proxy makes a tunnel. */
  get proxyIsTunneling(): boolean;
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
  request(method: string, url: string, options?: ConnectionRequestOptions): Promise<void>;
  /**
   * The response to the request that was sent: with its body, or (`preloadContent: false`) with its head, and then the
   * connection is taken until the body has been read, drained or closed.
   *
   * @throws (rejects with) ResponseNotReady without a request, and a second time for one; what reading meets.
   */
  getResponse(): Promise<HTTPResponse>;
  /**
   * Closes the connection, now: a request in flight and a body that is being read are cut off. The next request, and
   * {@link HTTPConnection.connect}, open another. Never rejects.
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
 */
export declare class HTTPSConnection extends HTTPConnection {
  #private;
  static readonly defaultPort: number;
  /**
   * Makes a connection; nothing is opened, but files that the options name are read.
   *
   * @throws as {@link HTTPSConnectionPool}'s constructor.
   */
  constructor(host: string, options?: ConnectionOptions & TLSOptions);
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
/**
 * Options of a {@link PoolManager}: its own, and those of the pools that it makes, with other defaults. Those of TLS are for
 * its https pools; files that they name are read when the first of those is made.
 */
export interface PoolManagerOptions extends Omit<PoolOptions, "port">, TLSOptions {
  /** Pools that are kept; the least recently used goes for one more. Default 1,000; 0 keeps none. */
  numPools?: number | undefined;
  /**
   * Connections over all pools, those being made and those of forgotten pools included. At the limit the connection of
   * another pool that has been idle longest is closed; where none is idle, requests wait in order of arrival, whatever
   * their host. Default 512; 0 or `null`: no bound.
   */
  maxTotalConnections?: number | null | undefined;
  /** Connections kept to one host, and the most that there can be. Default 64. */
  maxsize?: number | undefined;
  /** Default `true`. */
  block?: boolean | undefined;
  /** Cookies: asked before each attempt, told of each answer. */
  jar?: CookieJar | null | undefined;
  /** Waited for before each attempt of each hop; may change its headers. What it throws rejects the request. */
  beforeAttempt?: BeforeAttempt | null | undefined;
}
/**
 * Settings of one pool of a manager, over the manager's; `null` removes one. Manners towards hosts (`rate`, `pauseOn`,
 * `onPause`) hold for all pools of a host and are not among them.
 */
export type PoolKwargs = {
  readonly [Name in Exclude<keyof (PoolOptions & TLSOptions), "port" | "rate" | "pauseOn" | "onPause">]?: (PoolOptions & TLSOptions)[Name] | null | undefined;
};
/** A manager's pools, the least recently used first. */
export interface PoolCollection extends Iterable<HTTPConnectionPool> {
  readonly size: number;
}
/**
 * Many hosts through one object: a pool for each, made when it is first needed.
 *
 * @example
 * const manager = new PoolManager({ retries: 5, timeout: { connect: 2_000, read: 10_000 } });
 * const response = await manager.request('GET', 'http://localhost:8080/');
 */
export declare class PoolManager extends RequestMethods {
  #private;
  /**
   * Makes a manager; nothing is opened until the first request.
   *
   * @throws TypeError or RangeError ERR_INVALID_OPTION for options, InvalidHeader for headers that cannot be sent.
   */
  constructor(options?: PoolManagerOptions);
  /** The pools that the manager keeps. */
  get pools(): PoolCollection;
  /**
   * The pool for a host, made if there is none. Equal settings give the same pool; a pool that is held stays usable when
   * the manager has forgotten it.
   *
   * @throws LocationValueError without a host, URLSchemeUnknown, TypeError or RangeError ERR_INVALID_OPTION; SSLError for
   * files of TLS's options that cannot be used.
   */
  connectionFromHost(host: string, options?: {
    port?: number | null | undefined;
    scheme?: string | undefined;
    poolKwargs?: PoolKwargs | null | undefined;
  }): HTTPConnectionPool;
  /**
   * The pool for a URL's host.
   *
   * @throws as {@link PoolManager.connectionFromHost}; LocationParseError; LocationValueError without a scheme.
   */
  connectionFromUrl(url: string, poolKwargs?: PoolKwargs | null): HTTPConnectionPool;
  /** The pool for `{ scheme, host, port, ...settings }`. */
  connectionFromContext(context: {
    scheme?: string | undefined;
    host: string;
    port?: number | null | undefined;
  } & PoolKwargs): HTTPConnectionPool;
  /** Everything that all pools count together, those that are gone included. */
  stats(): PoolStats;
  /** Forgets all pools: idle connections close, requests in flight finish. The manager stays usable. */
  clear(): void;
  /**
   * Closes the manager and all its pools, those that are held too: idle connections now, leased ones when their request ends
   * or `timeout` milliseconds (default none) are up. Waiting and later requests reject with ClosedPoolError.
   */
  close(options?: {
    timeout?: number | null | undefined;
  }): Promise<CloseReport>;
  /** Forgets all pools when a block of `await using` ends, as urllib3's `with` does. */
  [Symbol.asyncDispose](): Promise<void>;
  /** Forgets all pools when a block of `using` ends. */
  [Symbol.dispose](): void;
  /** What it keeps to, as plain data for logs; of its headers the names alone. */
  toJSON(): ManagerJSON;
  /** `PoolManager(pools=3)`. */
  toString(): string;
}
/** Options of {@link request}: those of urllib3's, and a signal. */
export type SimpleOptions = Pick<RequestOptions, "body" | "decodeContent" | "fields" | "headers" | "json" | "preloadContent" | "redirect" | "retries" | "signal" | "timeout">;
/**
 * Makes one request on a manager that all callers of this thread share. Its `timeout` is 3 s where none is given (`null` for
 * none); everything else is a request's default. For more than a script make a {@link PoolManager}.
 *
 * @throws (rejects with) what {@link PoolManager.request} does; TypeError ERR_INVALID_OPTION for other options.
 * @example
 * const response = await request('GET', 'http://localhost:8080/');
 */
export declare function request(method: string, url: string, options?: SimpleOptions): Promise<HTTPResponse>;
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
   * Whose channels of `node:diagnostics_channel` are published on: our own, or undici's (`undici:request:create` and so on)
   * too, so that what is written for undici (OpenTelemetry's instrumentation) sees our calls. Default `['ferropool']`.
   */
  diagnostics?: readonly ("ferropool" | "undici")[] | undefined;
}
/**
 * Settings of the whole thread; each worker has its own. What is not given stays as it is.
 *
 * @throws TypeError or RangeError ERR_INVALID_OPTION; Error ERR_ENGINE_STARTED for `ioThreads` once there is a pool;
 * TypeError ERR_NOT_SUPPORTED for `dnsThreads`.
 * @example
 * configure({ memoryBudget: 64 * 1024 * 1024 });
 */
export declare function configure(options: Configuration): void;
/** What {@link disableWarnings} silences: a type of warnings (`warning.name`), or one of them (`warning.code`). */
export type WarningCategory = "FerropoolWarning" | "InsecureRequestWarning" | "FERROPOOL_BODY_UNREAD" | "FERROPOOL_EXTRA_CERTS" | "FERROPOOL_INSECURE_REQUEST" | "FERROPOOL_POOL_FULL" | "FERROPOOL_POOL_STARVING" | "FERROPOOL_SHORT_TIMEOUT";
/**
 * Silences warnings of this thread: those of one type, the one with this code, or all. There is no way back, as in urllib3.
 *
 * @throws TypeError ERR_INVALID_OPTION for what is no category.
 * @example
 * disableWarnings('FERROPOOL_POOL_FULL');
 */
export declare function disableWarnings(category?: WarningCategory): void;
/** A call, in all notices about it the same object. */
export interface ObservedRequest {
  /** Unique in its thread. */
  readonly id: number;
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
/** `ferropool:request:start`: published in the caller's context, before anything of the call has been written down. */
export interface RequestStartNotice {
  readonly request: ObservedRequest;
}
/** `ferropool:request:headers`: the response is given to the caller. */
export interface RequestHeadersNotice {
  readonly request: ObservedRequest;
  readonly status: number;
  /** A copy; the values of Set-Cookie are `<hidden>`. */
  readonly headers: HTTPHeaderDict;
}
/** `ferropool:request:end`: the body has come to its end, or its reader has let go of it. */
export interface RequestEndNotice {
  readonly request: ObservedRequest;
  readonly timings: Timings | null;
  /** Bytes of the body on the wire. */
  readonly bytesRead: number;
}
/** `ferropool:request:error`: the call rejects, or its streamed body breaks. */
export interface RequestErrorNotice {
  readonly request: ObservedRequest;
  /** An error, or whatever the call's signal was aborted with. */
  readonly error: unknown;
}
/** `ferropool:connection:open` and `ferropool:connection:close`. */
export interface ConnectionNotice {
  /** Where the pool leads. */
  readonly host: string;
  readonly port: number;
  /** The peer's address, or the path of its Unix socket. */
  readonly remoteAddress: string;
  readonly protocol: "http/1.1" | "h2";
  /** Why it closed: a word of the table in docs/observability.md. `null` for one that opened. */
  readonly reason: string | null;
}
/**
 * Guesses a media type from the extension of a file name: `image/jpeg` for `photo.JPG`. A compression's extension is
 * passed over, so `a.tar.gz` is `application/x-tar`, and `a.gz` alone is not known. urllib3's `guess_content_type`.
 *
 * @param filename A name or a path; without one there is nothing to guess from.
 * @param fallback For what is not known. Default `application/octet-stream`.
 * @throws TypeError ERR_INVALID_OPTION for what is no string.
 */
export declare function guessContentType(filename: string | null | undefined, fallback?: string): string;
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
 * const [body, contentType] = encodeMultipartFormdata({ name: 'Ada', photo: ['ada.png', bytes] });
 */
export declare function encodeMultipartFormdata(fields: FormFields | FormData, boundary?: string | null): [
  Buffer,
  string
];
/** What `acceptEncoding: true` sends: every coding that a response is decoded from. */
export declare const ACCEPT_ENCODING = "gzip,deflate,br,zstd";
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
/**
 * Makes a plain object of headers, lower-case names in a fixed order. urllib3's `make_headers`.
 *
 * @throws TypeError ERR_INVALID_OPTION for a wrong type, an unknown option, or credentials that their encoding has not.
 * The message never repeats credentials.
 * @example
 * makeHeaders({ acceptEncoding: true, basicAuth: 'user:secret' });
 * // { 'accept-encoding': 'gzip,deflate,br,zstd', authorization: 'Basic dXNlcjpzZWNyZXQ=' }
 */
export declare function makeHeaders(options?: MakeHeadersOptions): Record<string, string>;
/** A URL's parts; an absent part is `null`. */
export declare class Url {
  #private;
  /** `http`, lower case. */
  readonly scheme: string | null;
  /** `user:password`, still percent-encoded. */
  readonly auth: string | null;
  /** Lower case, IDNA-encoded; an IPv6 literal keeps its brackets. */
  readonly host: string | null;
  readonly port: number | null;
  /** `null` when absent, `''` when a query or fragment follows at once. */
  readonly path: string | null;
  readonly query: string | null;
  readonly fragment: string | null;
  /** The whole, as text. */
  get url(): string;
  /** The host; urllib3's other name of it. */
  get hostname(): string | null;
  /** The path (`/` when absent) and the query: what a request line has. */
  get requestUri(): string;
  /** `host:port`. */
  get netloc(): string | null;
  /** `user:password@host:port`. */
  get authority(): string | null;
  /** User and password, percent-decoded; the password is `null` without a colon, the whole `null` without user info. */
  get authDecoded(): [
    user: string,
    password: string | null
  ] | null;
  /** `user:password`, percent-decoded, as Basic authentication wants it. */
  get authDecodedJoined(): string | null;
  /** The whole, as text. */
  toString(): string;
  /** The parts. */
  toJSON(): Parts;
}
/** What a URL is made of. */
export interface Parts {
  readonly scheme: string | null;
  readonly auth: string | null;
  readonly host: string | null;
  readonly port: number | null;
  readonly path: string | null;
  readonly query: string | null;
  readonly fragment: string | null;
}
/**
 * Takes a URL apart and normalises it (RFC 3986; hosts by IDNA 2008). Text without a scheme is read as an authority
 * unless it begins with `/`. urllib3's `util.parse_url`, but that valid percent escapes stay as they are.
 *
 * @throws TypeError for anything but a string, LocationParseError ERR_INVALID_URL for what is no URL.
 * @example
 * parseUrl('HTTP://User@Example.com:80/a b?c').url; // 'http://User@example.com:80/a%20b?c'
 */
export declare function parseUrl(text: string): Url;

export {
  ProtocolError as ConnectionError,
};

export {};

/**
 * What comes back. A response is a place in a block of completions; its headers, body, text and timings are made when
 * they are first touched, so that what nobody looks at costs nothing.
 */
import { isUtf8 } from 'node:buffer';

import { argumentError, checkNames, describe, own } from './arguments.ts';
import type { ConnectionFacts, Raw } from './boundary/engine.ts';
import * as layout from './boundary/generated.ts';
import { decodeText, sniff, type Charset } from './charset.ts';
import { ResponseError } from './errors.ts';
import { headersFromLines, HTTPHeaderDict, type HeaderSource } from './headers.ts';

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
  readonly protocol: 'http/1.1' | 'http/1.0' | 'h2';
  readonly proxy: string | null;
  /** Each address that was tried, in order, the last one successfully. */
  readonly triedAddresses: readonly {
    readonly address: string;
    readonly error: string | null;
    readonly elapsed: number;
  }[];
  readonly tls: null;
}

/** What a response of one's own is made of. */
export interface HTTPResponseInit {
  /** Default 200. */
  status?: number;
  headers?: HeaderSource;
  /** Default `null`. */
  reason?: string | null;
  /** Default `''`. */
  url?: string;
}

/** A response whose body has been read and decoded. */
export class HTTPResponse {
  /** The status code, 100 to 999. */
  readonly status: number;
  #raw: Raw | null;
  #made: Made | null;
  #headers: HTTPHeaderDict | null = null;
  #trailers: HTTPHeaderDict | null = null;
  #data: Buffer | null = null;

  /**
   * A response of one's own, for tests of code that takes one.
   *
   * @throws TypeError ERR_INVALID_BODY, ERR_INVALID_OPTION; RangeError for a status out of range.
   * @example
   * new HTTPResponse('{"ok":true}', { status: 200, headers: { 'content-type': 'application/json' } }).json();
   */
  constructor(body: string | Uint8Array | null = null, init: HTTPResponseInit = {}) {
    if (body instanceof Private) {
      const { raw } = body;
      this.#raw = raw;
      this.#made = null;
      this.status = (raw.slab.words[raw.base + layout.RESPONSE_STATUS] as number) & 0xffff;
      return;
    }
    checkNames(init, ['status', 'headers', 'reason', 'url'], 'HTTPResponse', 'ERR_INVALID_OPTION');
    const status = own(init, 'status') ?? 200;
    if (!Number.isInteger(status) || status < 100 || status > 999) {
      throw argumentError('range', 'ERR_INVALID_OPTION', `status is an integer from 100 to 999, not ${String(status)}`);
    }
    this.status = status;
    this.#raw = null;
    this.#made = { reason: own(init, 'reason') ?? null, url: own(init, 'url') ?? '' };
    this.#headers = new HTTPHeaderDict(own(init, 'headers') ?? {});
    this.#data = bytesOf(body);
  }

  /** @internal */
  static fromRecord(raw: Raw): HTTPResponse {
    return new HTTPResponse(new Private(raw) as never);
  }

  /** The reason phrase as the peer sent it, `''` where it sent none. */
  get reason(): string | null {
    if (this.#raw === null) return this.#made?.reason ?? null;
    return this.#flag(layout.RESPONSE_REASON) ? (this.#head()[0] ?? '') : null;
  }

  /** 10 for HTTP/1.0, 11 for HTTP/1.1, 20 for HTTP/2: the peer's. */
  get version(): 10 | 11 | 20 {
    return this.#raw === null ? 11 : ((this.#word(layout.RESPONSE_STATUS) >>> 16) as 10 | 11 | 20);
  }

  /** `HTTP/1.1` and so on: the peer's (urllib3's is the client's). */
  get versionString(): string {
    return `HTTP/${this.version === 20 ? '2' : (this.version / 10).toFixed(1)}`;
  }

  /** The header fields: lower-case names in order of first appearance. */
  get headers(): HTTPHeaderDict {
    return (this.#headers ??= headersFromLines(this.#head().slice(1, -1)));
  }

  /** The fields after a chunked body, without those that do not belong there (RFC 9110, 6.5.1). */
  get trailers(): HTTPHeaderDict {
    return (this.#trailers ??= headersFromLines(this.#trailerLines()));
  }

  /**
   * The whole, decoded body. A view into memory that it may share with up to 64 KiB of neighbours; copy it
   * (`Buffer.from(r.data)`) to keep a small one for long.
   */
  get data(): Buffer {
    return (this.#data ??= this.#body());
  }

  /**
   * The body as JSON. It must be UTF-8 (RFC 8259, 8.1).
   *
   * @throws SyntaxError for what is no JSON, TypeError ERR_INVALID_BODY for what is no UTF-8.
   */
  json<T = unknown>(): T {
    const { data } = this;
    if (!isUtf8(data)) throw argumentError('type', 'ERR_INVALID_BODY', 'the body is not UTF-8, so it is no JSON');
    return JSON.parse(data.toString('utf8')) as T;
  }

  /**
   * The body as text, by the given charset or by {@link HTTPResponse.charset}. Malformed sequences become U+FFFD.
   *
   * @throws RangeError ERR_INVALID_OPTION for a charset that is no label of the WHATWG Encoding standard.
   */
  text(charset?: string): string {
    return decodeText(this.data, charset ?? this.charset.name);
  }

  /** Which charset {@link HTTPResponse.text} takes, and what says so. */
  get charset(): Charset {
    return sniff(this.data, this.headers.get('content-type'));
  }

  /** The absolute URL that this is the response of, without user info. */
  get url(): string {
    if (this.#made === null) {
      const { owner, url, fields } = this.#raw as Raw;
      this.#made = { reason: null, url: owner.locate(url, fields) };
    }
    return this.#made.url;
  }

  /** Exchanges made for it: 1 unless the request was made again. */
  get attempts(): number {
    return this.#raw === null ? 1 : this.#word(layout.RESPONSE_ATTEMPTS);
  }

  /** What `lenient` tolerated in the head, a line each; empty for a clean one. */
  get defects(): string[] {
    const length = this.#raw === null ? 0 : this.#word(layout.RESPONSE_DEFECTS);
    if (length === 0) return [];
    const at = this.#start() + this.#word(layout.RESPONSE_HEAD) + this.#word(layout.RESPONSE_TRAILERS);
    return JSON.parse((this.#raw as Raw).slab.bytes.toString('utf8', at, at + length)) as string[];
  }

  /** How long each phase took; `null` for a response of one's own. */
  get timings(): Timings | null {
    if (this.#raw === null) return null;
    const { slab, base } = this.#raw;
    const at = (nth: number): number | null => {
      const span = slab.floats[base + layout.RESPONSE_TIMINGS + nth] as number;
      return Number.isNaN(span) ? null : span;
    };
    return {
      pool: at(0),
      dns: at(1),
      connect: at(2),
      proxy: at(3),
      tls: at(4),
      send: at(5),
      headers: at(6),
      deliver: at(7) ?? 0,
      body: at(8),
      total: at(9),
    };
  }

  /** The connection it came on; `null` for a response of one's own. */
  get connection(): ConnectionInfo | null {
    const raw = this.#raw;
    if (raw === null || raw.connection === null) return null;
    const facts = JSON.parse(raw.connection) as ConnectionFacts;
    return {
      ...facts,
      reused: this.#flag(layout.RESPONSE_REUSED),
      protocol: this.version === 10 ? 'http/1.0' : 'http/1.1',
      proxy: null,
      tls: null,
    };
  }

  /** Whether the body was framed by chunks. */
  get chunked(): boolean {
    return this.#raw !== null && this.#flag(layout.RESPONSE_CHUNKED);
  }

  /** Bytes of the body on the wire, before decoding. */
  get bytesRead(): number {
    if (this.#raw === null) return this.data.length;
    return this.#raw.slab.doubles[(this.#raw.base + layout.RESPONSE_WIRE) >> 1] as number;
  }

  /** Bytes of the body that have not been read: 0, it is preloaded. */
  get lengthRemaining(): number | null {
    return 0;
  }

  /** Whether the body has been read to its end: it is preloaded. */
  get closed(): boolean {
    return true;
  }

  /** The Location of a 301, 302, 303, 307 or 308 (`null` if it has none); `false` for every other status. */
  getRedirectLocation(): string | null | false {
    return REDIRECTS.has(this.status) ? (this.headers.get('location') ?? null) : false;
  }

  /**
   * Itself for a status below 400.
   *
   * @throws ResponseError that names the status and the URL without its query.
   */
  raiseForStatus(): this {
    const { status, reason } = this;
    if (status < 400) return this;
    const [url = ''] = this.url.split(/[?#]/, 1);
    const said = reason === null || reason === '' ? `${status}` : `${status} ${reason}`;
    throw new ResponseError(url === '' ? said : `${said} for ${url}`, { status, attempts: this.attempts, sent: true });
  }

  /** `HTTPResponse(status=200, url='http://…')`. */
  toString(): string {
    return `HTTPResponse(status=${this.status}, url='${this.url}')`;
  }

  #word(at: number): number {
    const { slab, base } = this.#raw as Raw;
    return slab.words[base + at] as number;
  }

  #flag(flag: number): boolean {
    return this.#raw !== null && (this.#word(layout.RESPONSE_FLAGS) & flag) !== 0;
  }

  /** Where the part after the fixed one begins. */
  #start(): number {
    return ((this.#raw as Raw).base << 2) + layout.RESPONSE_FIXED;
  }

  /** Reason, then names and values in turn, then an empty text. Bytes become the code points of the same number. */
  #head(): string[] {
    if (this.#raw === null) return ['', ''];
    const start = this.#start();
    return this.#raw.slab.bytes.toString('latin1', start, start + this.#word(layout.RESPONSE_HEAD)).split('\n');
  }

  #trailerLines(): string[] {
    if (this.#raw === null) return [];
    const start = this.#start() + this.#word(layout.RESPONSE_HEAD);
    const text = this.#raw.slab.bytes.toString('latin1', start, start + this.#word(layout.RESPONSE_TRAILERS));
    return text.split('\n').slice(0, -1);
  }

  #body(): Buffer {
    const raw = this.#raw;
    if (raw === null) return EMPTY;
    if (raw.external !== null) return raw.external;
    const before =
      this.#word(layout.RESPONSE_HEAD) + this.#word(layout.RESPONSE_TRAILERS) + this.#word(layout.RESPONSE_DEFECTS);
    const start = this.#start() + before;
    return raw.slab.bytes.subarray(start, start + this.#word(layout.RESPONSE_BODY));
  }
}

/** Passes a record through the public constructor, which a user cannot do. */
class Private {
  readonly raw: Raw;

  constructor(raw: Raw) {
    this.raw = raw;
  }
}

interface Made {
  readonly reason: string | null;
  readonly url: string;
}

function bytesOf(body: unknown): Buffer {
  if (body === null || body === undefined) return EMPTY;
  if (typeof body === 'string') return Buffer.from(body);
  if (body instanceof Uint8Array) return Buffer.from(body);
  throw argumentError(
    'type',
    'ERR_INVALID_BODY',
    `a response's body is a string, bytes or null, not ${describe(body)}`,
  );
}

const EMPTY: Buffer = Buffer.alloc(0);
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * What comes back. A response is a place in a block of completions; its headers, body, text and timings are made when
 * they are first touched, so that what nobody looks at costs nothing.
 */
import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';
import { inspect } from 'node:util';
import { isUint8Array, isUint8ClampedArray } from 'node:util/types';

import { argumentError, describe, forgive } from './arguments.ts';
import type { BodyPiece } from './body.ts';
import type { Raw, StoryRecord } from './boundary/engine.ts';
import * as layout from './boundary/generated.ts';
import { Inflow, type Carrier } from './boundary/stream.ts';
import { decodeText, sniff, type Charset } from './charset.ts';
import { connectionInfo, type ConnectionInfo } from './connection-info.ts';
import { ResponseError, type ErrorDetails } from './errors.ts';
import { headersFromLines, HTTPHeaderDict } from './headers.ts';
import { amountOf, BodyReader } from './reader.ts';
import { historyOf } from './history.ts';
import { ownParts, type HTTPResponseInit, type Made } from './response-own.ts';
import { Retry } from './retry.ts';
import { measured, type Timings } from './timings.ts';
import { hostOf } from './url.ts';

export type { HTTPResponseInit } from './response-own.ts';
export type { Timings } from './timings.ts';

/**
 * A response: with its body read and decoded, or (`preloadContent: false`) with a body that is still to be read.
 *
 * @example
 * const response = await pool.request('GET', '/large', { preloadContent: false });
 * for await (const piece of response) console.log(piece.length);
 */
export class HTTPResponse {
  /** The status code, 100 to 999. */
  readonly status: number;
  #raw: Raw | null;
  #made: Made | null;
  #headers: HTTPHeaderDict | null = null;
  #trailers: HTTPHeaderDict | null = null;
  #data: Buffer | null = null;
  #reader: BodyReader | null = null;
  #retries: Retry | null = null;
  /** False if {@link RequestOptions.accept} was asked and did not want the body, which is empty then; true otherwise. */
  readonly accepted: boolean = true;

  /**
   * A response of one's own, for tests of code that takes one.
   *
   * @throws TypeError ERR_INVALID_BODY, ERR_INVALID_OPTION; RangeError for a status out of range.
   * @example
   * const response = new HTTPResponse('{"ok":true}', { headers: { 'content-type': 'application/json' } });
   * console.log(response.json()); // { ok: true }
   */
  constructor(body: BodyPiece | null = null, init: HTTPResponseInit = {}) {
    if (body instanceof Private) {
      const { raw } = body;
      this.#raw = raw;
      this.#made = null;
      this.status = (raw.slab.words[raw.base + layout.RESPONSE_STATUS] as number) & 0xffff;
      if (raw.inflow !== null) {
        this.#reader = new BodyReader(raw.inflow, { length: this.#announced(), raw: this.#isRaw() });
        raw.inflow.watch?.(this.#reader);
      }
      return;
    }
    const { status, made, headers, data } = ownParts(body, init);
    this.status = status;
    this.#raw = null;
    this.#made = made;
    this.#headers = headers;
    this.#data = data;
  }

  /** Makes a response of one's own (of a subclass, one of that), as the constructor does, and throws what it throws. */
  static from<Own extends HTTPResponse>(
    this: new (body?: BodyPiece | null, init?: HTTPResponseInit) => Own,
    body: BodyPiece | null = null,
    init: HTTPResponseInit = {},
  ): Own {
    // Also where it is called by itself.
    const Made = typeof this === 'function' ? this : (HTTPResponse as unknown as typeof this);
    return new Made(body, init);
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

  /**
   * The fields after a chunked body, without those that do not belong there (RFC 9110, 6.5.1). Empty until the end of a
   * streamed body has come.
   */
  get trailers(): HTTPHeaderDict {
    if (this.#trailers !== null) return this.#trailers;
    const lines = this.#trailerLines();
    if (lines === null) return new HTTPHeaderDict();
    return (this.#trailers = headersFromLines(lines));
  }

  /**
   * The whole, decoded body. A view into memory that it may share with up to 64 KiB of neighbours; copy it
   * (`Buffer.from(r.data)`) to keep a small one for long.
   *
   * @throws ResponseNotRead for a streamed body that was not read by one `read()`, or was drained.
   */
  get data(): Buffer {
    return (this.#data ??= this.#raw?.inflow ? (this.#reader as BodyReader).data(() => this.#known()) : this.#body());
  }

  /**
   * The body as JSON. It must be UTF-8 without a byte order mark (RFC 8259, 8.1); `JSON.parse(response.text())` takes one with
   * a mark.
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

  /** The absolute URL that this is the response of, redirects followed, without user info. */
  get url(): string {
    if (this.#made === null) {
      const { owner, url, fields } = this.#raw as Raw;
      this.#made = { reason: null, url: this.#notes().story?.url ?? owner.locate(url, fields) };
    }
    return this.#made.url;
  }

  /**
   * The `Retry` that was left, its `history` the events before this response; `null` for a response of one's own.
   *
   * @example
   * const response = await pool.request('GET', '/');
   * console.log(response.retries?.history.map(({ redirectLocation }) => redirectLocation)); // []
   */
  get retries(): Retry | null {
    if (this.#raw === null) return null;
    return (this.#retries ??= this.#left(this.#raw));
  }

  /** Exchanges begun for it, after a redirect those of the last hop: 1 unless the request was made again. */
  get attempts(): number {
    return this.#raw === null ? 1 : this.#word(layout.RESPONSE_ATTEMPTS);
  }

  /** What `lenient` tolerated in the head, a line each; empty for a clean one. */
  get defects(): string[] {
    return this.#notes().defects;
  }

  /** How long each phase took; `null` for a response of one's own. Of a streamed body `body` and `total` come at its end. */
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
      body: at(8) ?? measured(this.#raw.inflow?.ending?.body),
      total: at(9) ?? measured(this.#raw.inflow?.ending?.total),
    };
  }

  /** The connection it came on; `null` for a response of one's own. */
  get connection(): ConnectionInfo | null {
    const raw = this.#raw;
    if (raw === null || raw.connection === null) return null;
    return connectionInfo(raw.connection, this.#flag(layout.RESPONSE_REUSED), this.version);
  }

  /** Whether the body was framed by chunks. */
  get chunked(): boolean {
    return this.#raw !== null && this.#flag(layout.RESPONSE_CHUNKED);
  }

  /** Bytes of the body on the wire, before decoding; of a streamed one those of what has been read. */
  get bytesRead(): number {
    if (this.#raw === null) return this.data.length;
    if (this.#raw.inflow !== null) return (this.#reader as BodyReader).bytesRead;
    return this.#raw.slab.doubles[(this.#raw.base + layout.RESPONSE_WIRE) >> 1] as number;
  }

  /** Bytes of the body on the wire that have not been read, `null` where no length was announced. */
  get lengthRemaining(): number | null {
    if (this.#raw === null) return 0;
    if (this.#raw.inflow !== null) return (this.#reader as BodyReader).lengthRemaining;
    const bodiless = BODILESS.has(this.status) || this.#method() === 'HEAD';
    return bodiless || (!this.chunked && this.headers.has('content-length')) ? 0 : null;
  }

  /** Whether the body has been read to its end, or to where it failed, or closed. Always, when preloaded. */
  get closed(): boolean {
    return this.#raw?.inflow ? (this.#reader as BodyReader).closed : true;
  }

  /**
   * Reads exactly `amount` decoded bytes: fewer at the end, or before an error, which the next read rejects with, so that the
   * end is where a read is empty. Without an amount (or with `null` or -1) everything that is left, which then is
   * {@link HTTPResponse.data} too if nothing was read before.
   *
   * @throws (rejects with) ProtocolError (its `partial` what had come), DecodeError, ReadTimeoutError, ResponseTooLarge, or
   * the signal's reason; RangeError or TypeError ERR_INVALID_OPTION.
   */
  read(amount?: number | null): Promise<Buffer> {
    try {
      const wanted = amountOf(amount, 'read');
      return wanted === null ? this.#reading().readAll() : this.#reading().readExactly(wanted);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Reads what is at hand, decoded: at least one byte unless at the end, at most `amount` (default: all of it).
   *
   * @throws (rejects with) what {@link HTTPResponse.read} does.
   */
  read1(amount?: number | null): Promise<Buffer> {
    try {
      return this.#reading().readSome(amountOf(amount, 'read1') ?? Infinity);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Fills `target` with decoded bytes and gives their number: fewer than its length at the end, or before an error, which the next
   * read rejects with; 0 at the end alone. urllib3's `readinto`.
   *
   * @throws (rejects with) what {@link HTTPResponse.read} does.
   */
  readInto(target: Uint8Array | Uint8ClampedArray): Promise<number> {
    if (!isUint8Array(target) && !isUint8ClampedArray(target)) {
      const message = `readInto takes a Uint8Array, not ${describe(target)}`;
      return Promise.reject(argumentError('type', 'ERR_INVALID_OPTION', message));
    }
    return this.#reading().readInto(target);
  }

  /**
   * Pieces of exactly `amount` decoded bytes (default 65,536), the last one smaller. With `null` a body of known length is
   * one piece, any other comes as it arrives. Leaving the loop lets go of the response.
   */
  stream(amount: number | null = STREAM): AsyncIterableIterator<Buffer> {
    const wanted = amountOf(amount, 'stream');
    const reader = this.#reading();
    if (wanted === null) return this.chunked ? reader.pieces() : reader.whole();
    return wanted === 0 ? reader.none() : reader.exactly(wanted);
  }

  /** Pieces as they arrive, without a copy. (urllib3 gives lines here; see {@link HTTPResponse.lines}.) */
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer> {
    return this.#reading().pieces();
  }

  /** Lines of the decoded body as bytes, each with its line feed, the last one as it is. Leaving the loop lets go of the response. */
  lines(): AsyncIterableIterator<Buffer> {
    return this.#reading().lines();
  }

  /** The body as a stream of the web's. Cancelling it lets go of the response. */
  toWeb(): ReadableStream<Uint8Array> {
    return this.#reading().toWeb();
  }

  /** The body as a stream of Node's. Destroying it lets go of the response. */
  toReadable(): Readable {
    return this.#reading().toReadable();
  }

  /**
   * As a `Response` of `fetch`. What was decoded loses Content-Encoding and Content-Length.
   *
   * @throws RangeError for a status that `Response` cannot have (outside 200 to 599).
   */
  toResponse(): Response {
    const { status } = this;
    if (status < 200 || status > 599) {
      throw argumentError('range', 'ERR_INVALID_OPTION', `a Response has a status from 200 to 599, not ${status}`);
    }
    const headers = new Headers();
    const decoded = this.#isDecoded();
    for (const [name, value] of this.headers.entries()) {
      const dropped = decoded && (name === 'content-encoding' || name === 'content-length');
      if (!dropped) headers.append(name, value);
    }
    const statusText = (this.reason ?? '').replace(/[^\t\x20-\x7e\x80-\xff]/g, '');
    if (!NULL_BODIES.has(status)) return new Response(this.toWeb(), { status, statusText, headers });
    // A 205 may have one on the wire, which nobody can read now.
    this.releaseConn();
    return new Response(null, { status, statusText, headers });
  }

  /**
   * Reads and drops the rest without decoding it, so that the connection can be used again. What goes wrong meanwhile
   * costs the connection and nothing else.
   */
  async drainConn(): Promise<void> {
    if (this.#raw?.inflow) await (this.#reader as BodyReader).drain();
  }

  /**
   * Gives the connection back: it is kept if 64 KiB at most are left and come at once, and closed otherwise. A later read
   * fails, unless the body was read to its end.
   */
  releaseConn(): void {
    if (this.#raw?.inflow) (this.#reader as BodyReader).release(() => this.#known());
  }

  /**
   * Closes the connection of a body whose last byte has not come; it is back in the pool otherwise. A read in progress
   * fails (one of so many bytes gives those it has), and so does a later one, unless the body was read to its end.
   */
  close(): void {
    if (this.#raw?.inflow) (this.#reader as BodyReader).close(() => this.#known());
  }

  /** The body that is still to be read; it does not lead back here. @internal */
  get inflow(): Inflow | null {
    return this.#raw?.inflow ?? null;
  }

  /** @internal */
  async acceptWith(accept: (head: Head) => boolean, preload: boolean): Promise<this> {
    try {
      const { status, reason, headers, url } = this;
      const answer: unknown = accept({ status, reason, headers, url });
      if (typeof answer !== 'boolean') {
        forgive(answer);
        throw argumentError('type', 'ERR_INVALID_OPTION', `accept answers true or false, not ${describe(answer)}`);
      }
      if (!answer) {
        (this as { accepted: boolean }).accepted = false;
        this.#data = EMPTY;
        this.#reader?.decline();
      } else if (preload) {
        this.#data = await (this.#reader as BodyReader).readAll();
      }
      return this;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The Location of a 301, 302, 303, 307 or 308 (`null` if it has none); `false` for every other status. */
  getRedirectLocation(): string | null | false {
    return REDIRECTS.has(this.status) ? (this.headers.get('location') ?? null) : false;
  }

  /**
   * Gives the response itself for a status below 400, and throws for every other. urllib3 has no such method.
   *
   * @throws ResponseError ERR_STATUS that names the status and the URL without its query.
   */
  raiseForStatus(): this {
    const { status, reason } = this;
    if (status < 400) return this;
    const [url = ''] = this.url.split(/[?#]/, 1);
    const said = reason === null || reason === '' ? `${status}` : `${status} ${reason}`;
    throw new ResponseError(url === '' ? said : `${said} for ${url}`, { ...this.#known(), code: 'ERR_STATUS', status });
  }

  /** Of the last hop's request. */
  #method(): string | null {
    return this.#notes().story?.history.at(-1)?.method ?? this.#raw?.method ?? null;
  }

  /** What an error about this response says of its request. */
  #known(): ErrorDetails {
    const { url, attempts } = this;
    return {
      method: this.#method(),
      url: url === '' ? null : url,
      host: hostOf(url),
      attempts,
      elapsed: this.timings?.total ?? this.#soFar(),
      sent: true,
    };
  }

  /** What is known of how long ago the call began before the end of its body has come: nobody counts the attempts before. */
  #soFar(): number {
    if (this.#raw === null || this.#reader === null) return 0;
    const { slab, base } = this.#raw;
    // The eight phases to the head, and to JavaScript; NaN is one that did not happen.
    const spans = slab.floats.subarray(base + layout.RESPONSE_TIMINGS, base + layout.RESPONSE_TIMINGS + 8);
    return spans.reduce((all, span) => all + (span || 0), 0) + performance.now() - this.#reader.began;
  }

  /** `HTTPResponse(status=200, url='http://…')`. */
  toString(): string {
    return `HTTPResponse(status=${this.status}, url='${this.url}')`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  #word(at: number): number {
    const { slab, base } = this.#raw as Raw;
    return slab.words[base + at] as number;
  }

  #flag(flag: number): boolean {
    return this.#raw !== null && (this.#word(layout.RESPONSE_FLAGS) & flag) !== 0;
  }

  /** What there is to say beside the head: most responses have nothing. */
  #notes(): Notes {
    const length = this.#raw === null ? 0 : this.#word(layout.RESPONSE_NOTES);
    if (length === 0) return { defects: [], story: null };
    const at = this.#start() + this.#word(layout.RESPONSE_HEAD) + this.#word(layout.RESPONSE_TRAILERS);
    return JSON.parse((this.#raw as Raw).slab.bytes.toString('utf8', at, at + length)) as Notes;
  }

  #left({ retries: judge, owner }: Raw): Retry {
    const retries = judge as Retry;
    const { story } = this.#notes();
    // One that decided for itself has counted for itself.
    if (story === null || !Retry.isPlain(retries)) return retries;
    return retries.left(story.retries, historyOf(story.history, owner));
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

  /** What there is to be read: the body that comes, or the one that is there. */
  #reading(): BodyReader {
    if (this.#reader === null) {
      const { data } = this;
      const inflow = new Inflow(NOBODY, 0, 0, 0);
      inflow.push(data, data.length);
      inflow.end({ trailers: '', read: true, wire: data.length, body: Number.NaN, total: Number.NaN });
      this.#reader = new BodyReader(inflow, { length: data.length, raw: true });
    }
    return this.#reader;
  }

  #announced(): number | null {
    const { slab, base } = this.#raw as Raw;
    const length = slab.doubles[(base + layout.RESPONSE_WIRE) >> 1] as number;
    return Number.isNaN(length) ? null : length;
  }

  /** Whether the body is not what came over the wire: every coding is one that is undone. */
  #isDecoded(): boolean {
    const raw = this.#raw;
    if (raw === null || raw.undecoded) return false;
    const codings = (this.headers.get('content-encoding') ?? '')
      .split(',')
      .map((coding) => coding.trim().toLowerCase())
      .filter((coding) => !NOTHING.has(coding));
    return codings.length > 0 && codings.every((coding) => CODINGS.has(coding));
  }

  /** Whether the body is what came over the wire: no coding is undone, of the content or of the transfer. */
  #isRaw(): boolean {
    const transfer = this.headers.get('transfer-encoding') ?? 'chunked';
    return !this.#isDecoded() && transfer.trim().toLowerCase() === 'chunked';
  }

  /** `null` while they are still to come. */
  #trailerLines(): string[] | null {
    if (this.#raw === null) return [];
    if (this.#raw.inflow !== null) return this.#raw.inflow.ending?.trailers.split('\n').slice(0, -1) ?? null;
    const start = this.#start() + this.#word(layout.RESPONSE_HEAD);
    const text = this.#raw.slab.bytes.toString('latin1', start, start + this.#word(layout.RESPONSE_TRAILERS));
    return text.split('\n').slice(0, -1);
  }

  #body(): Buffer {
    const raw = this.#raw;
    if (raw === null) return EMPTY;
    if (raw.external !== null) return raw.external;
    const before =
      this.#word(layout.RESPONSE_HEAD) + this.#word(layout.RESPONSE_TRAILERS) + this.#word(layout.RESPONSE_NOTES);
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

interface Notes {
  readonly defects: string[];
  readonly story: StoryRecord | null;
}

const EMPTY: Buffer = Buffer.alloc(0);
/** A body that is here asks nobody for anything. */
const NOBODY: Carrier = { order() {}, piece() {}, finish() {}, hold() {} };
/** Bytes of a piece of `stream`. */
const STREAM = 65_536;
const CODINGS: ReadonlySet<string> = new Set(['gzip', 'x-gzip', 'deflate', 'br', 'zstd']);
/** Members of Content-Encoding that mean nothing. */
const NOTHING: ReadonlySet<string> = new Set(['', 'identity', 'none']);
/** Statuses of which `Response` takes no body. */
const NULL_BODIES: ReadonlySet<number> = new Set([204, 205, 304]);
const BODILESS: ReadonlySet<number> = new Set([204, 304]);
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * Calls to records, mirroring `crate/binding/marshal.rs`: a request is written straight into the buffer that is handed
 * over with the next batch. Nothing is judged here but what cannot be written down.
 */
import * as layout from './generated.ts';
import type { Source } from './stream.ts';

/** A request's parts as the facade has merged them. Absent parts are `null`, so that the shape never changes. */
export interface Call {
  /** The pool's handle. */
  pool: number;
  method: string;
  url: string;
  /** Flags of the layout but the method and those that follow from the parts. */
  flags: number;
  /** Names and values in turn, a symbol for a line that is left out; `null`: the pool's own. */
  lines: readonly (string | symbol)[] | null;
  /** Names and values in turn, for the query. */
  fields: readonly (string | Uint8Array)[] | null;
  body: string | Uint8Array | null;
  /** Where the body comes from, if it comes in pieces. */
  source: Source | null;
  /** Who hears of progress; a promise where that is still busy with it. */
  onProgress: ((direction: 'up' | 'down', bytes: number, total: number | null) => Promise<unknown> | null) | null;
  /** Who hears that the request's last byte has been sent. */
  onSent: (() => void) | null;
  /** As JSON. */
  limits: string | null;
  /** The URL of the call's own proxy. */
  proxy: string | null;
  /** The call's own `Retry`, as JSON. */
  retries: string | null;
  /** Milliseconds; `null` is none. */
  timeout: { connect: number | null; read: number | null; total: number | null } | null;
  poolTimeout: number | null;
}

/** The buffer that submissions are written into. */
export class Batch {
  bytes: Buffer = Buffer.allocUnsafeSlow(CAPACITY);
  #words: Uint32Array = new Uint32Array(this.bytes.buffer);
  #doubles: Float64Array = new Float64Array(this.bytes.buffer);
  /** Bytes written. */
  used = 0;
  /** Calls among them. */
  calls = 0;

  /** Whether a record of at most so many bytes fits. */
  fits(most: number): boolean {
    return this.used + most <= this.bytes.length;
  }

  /**
   * Makes room for one large record; the buffer must be empty.
   *
   * @throws RangeError ERR_INVALID_BODY for more than a record's places can name.
   */
  grow(most: number): void {
    if (most > LARGEST) {
      const message = `a request of ${most} bytes is too large: its parts have at most ${LARGEST} bytes together`;
      throw Object.assign(new RangeError(message), { code: 'ERR_INVALID_BODY' });
    }
    this.#take(Buffer.allocUnsafeSlow(align(most)));
  }

  /** Whether it was made for one large record. */
  get enlarged(): boolean {
    return this.bytes.length !== CAPACITY;
  }

  /** Empty again, at its usual size. */
  reset(): void {
    this.used = 0;
    this.calls = 0;
    if (this.enlarged) this.#take(Buffer.allocUnsafeSlow(CAPACITY));
  }

  /** The ids of the calls written: requests, `warm` and `close`. */
  *ids(): Generator<[slot: number, generation: number]> {
    const words = this.#words;
    for (let at = 0; at < this.used; at += words[(at >> 2) + layout.RECORD_LENGTH] as number) {
      const base = at >> 2;
      const kind = words[base + layout.RECORD_KIND];
      if (!COMPLETING.has(kind as number)) continue;
      yield [words[base + layout.RECORD_SLOT] as number, words[base + layout.RECORD_GENERATION] as number];
    }
  }

  /** Writes a request. Throws before anything counts as written. */
  request(slot: number, generation: number, call: Call): void {
    const { bytes } = this;
    const words = this.#words;
    const start = this.used;
    const base = start >> 2;
    const known = METHOD_NUMBERS.get(call.method) ?? 0;
    let { flags } = call;
    let at = start + layout.REQUEST_FIXED;
    let before = at;
    at = writeText(bytes, at, call.url);
    words[base + layout.REQUEST_URL] = at - before;
    before = at;
    if (known === 0) at = writeText(bytes, at, call.method);
    words[base + layout.REQUEST_METHOD] = at - before;
    flags |= known;
    words[base + layout.REQUEST_LINES] = 0;
    const { lines, fields, body, source, limits, proxy, retries, timeout } = call;
    if (call.onSent !== null) flags |= layout.REQUEST_TELLS_SENT;
    if (lines !== null) {
      flags |= layout.REQUEST_HAS_HEADERS;
      words[base + layout.REQUEST_LINES] = lines.length >> 1;
      at = writeLines(bytes, at, lines);
    }
    words[base + layout.REQUEST_FIELDS] = 0;
    if (fields !== null) {
      words[base + layout.REQUEST_FIELDS] = fields.length >> 1;
      at = writeFields(bytes, at, fields);
    }
    words[base + layout.REQUEST_BODY] = 0;
    if (body !== null) {
      flags |= layout.REQUEST_HAS_BODY;
      before = at;
      at = writeEither(bytes, at, body);
      words[base + layout.REQUEST_BODY] = at - before;
    } else if (source !== null) {
      flags |= layout.REQUEST_HAS_BODY | layout.REQUEST_PIECES;
      at = bytes.writeDoubleLE(source.length ?? Number.NaN, at);
      words[base + layout.REQUEST_BODY] = 8;
    }
    words[base + layout.REQUEST_LIMITS] = 0;
    if (limits !== null) {
      before = at;
      at = writeText(bytes, at, limits);
      words[base + layout.REQUEST_LIMITS] = at - before;
    }
    words[base + layout.REQUEST_RETRIES] = 0;
    if (retries !== null) {
      before = at;
      at = writeText(bytes, at, retries);
      words[base + layout.REQUEST_RETRIES] = at - before;
    }
    words[base + layout.REQUEST_PROXY] = 0;
    if (proxy !== null) {
      before = at;
      at = writeText(bytes, at, proxy);
      words[base + layout.REQUEST_PROXY] = at - before;
    }
    if (timeout !== null) {
      flags |= layout.REQUEST_HAS_TIMEOUT;
      const doubles = this.#doubles;
      const first = start >> 3;
      doubles[first + (layout.REQUEST_CONNECT >> 1)] = timeout.connect ?? Number.NaN;
      doubles[first + (layout.REQUEST_READ >> 1)] = timeout.read ?? Number.NaN;
      doubles[first + (layout.REQUEST_TOTAL >> 1)] = timeout.total ?? Number.NaN;
    }
    if (call.poolTimeout !== null) {
      flags |= layout.REQUEST_HAS_POOL_TIMEOUT;
      this.#doubles[(start >> 3) + (layout.REQUEST_POOL_TIMEOUT >> 1)] = call.poolTimeout;
    }
    words[base + layout.REQUEST_FLAGS] = flags;
    this.#end(base, layout.SUBMISSION_REQUEST, slot, generation, call.pool, at);
  }

  /** Writes a submission that has no payload. */
  control(kind: number, slot: number, generation: number, pool: number, count = 0, span: number = Number.NaN): void {
    const base = this.used >> 2;
    this.#words[base + layout.REQUEST_URL] = count;
    this.#doubles[(this.used >> 3) + (layout.REQUEST_POOL_TIMEOUT >> 1)] = span;
    this.#end(base, kind, slot, generation, pool, this.used + layout.REQUEST_FIXED);
  }

  /** Writes a submission that is a request's body, or a part of it. */
  payload(kind: number, slot: number, generation: number, payload: string | Uint8Array): void {
    const start = this.used;
    const at = writeEither(this.bytes, start + layout.REQUEST_FIXED, payload);
    this.#words[(start >> 2) + layout.REQUEST_URL] = at - start - layout.REQUEST_FIXED;
    this.#end(start >> 2, kind, slot, generation, 0, at);
  }

  #end(base: number, kind: number, slot: number, generation: number, pool: number, at: number): void {
    const words = this.#words;
    const end = align(at);
    words[base + layout.RECORD_LENGTH] = end - this.used;
    words[base + layout.RECORD_KIND] = kind;
    words[base + layout.RECORD_SLOT] = slot;
    words[base + layout.RECORD_GENERATION] = generation;
    words[base + layout.RECORD_POOL] = pool;
    this.used = end;
  }

  #take(bytes: Buffer): void {
    this.bytes = bytes;
    this.#words = new Uint32Array(bytes.buffer);
    this.#doubles = new Float64Array(bytes.buffer);
  }
}

/** A header that has no bytes to write down: the only thing that is judged before the core sees a request. */
export class Unsendable extends Error {}

/** The most bytes that a request's record can take. */
export function requestBound(call: Call): number {
  let most = layout.REQUEST_FIXED + 8 + (call.url.length + call.method.length) * 3;
  const { lines, fields, body, limits, proxy, retries } = call;
  if (lines !== null) for (const part of lines) most += 8 + (typeof part === 'string' ? part.length : 0);
  if (fields !== null) for (const part of fields) most += 8 + bound(part);
  if (body !== null) most += bound(body);
  if (limits !== null) most += limits.length * 3;
  if (proxy !== null) most += proxy.length * 3;
  if (retries !== null) most += retries.length * 3;
  return most;
}

function bound(part: string | Uint8Array): number {
  return typeof part === 'string' ? part.length * 3 : part.byteLength;
}

/** UTF-8. The short and plain (most URLs) byte by byte, which is quicker than the call. */
function writeText(bytes: Buffer, at: number, text: string): number {
  const { length } = text;
  if (length > SHORT) return at + bytes.write(text, at);
  for (let i = 0; i < length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return at + bytes.write(text, at);
    bytes[at + i] = unit;
  }
  return at + length;
}

function writeEither(bytes: Buffer, at: number, part: string | Uint8Array): number {
  if (typeof part === 'string') return writeText(bytes, at, part);
  bytes.set(part, at);
  return at + part.byteLength;
}

/** ISO-8859-1, as header values go out (HDR-04). */
function writeLatin1(bytes: Buffer, at: number, text: string, name: string): number {
  const { length } = text;
  for (let i = 0; i < length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit > 0xff) {
      throw new Unsendable(`the header '${name}' holds a character beyond ISO-8859-1; pass its bytes as a Buffer`);
    }
    bytes[at + i] = unit;
  }
  return at + length;
}

function writeLines(bytes: Buffer, from: number, lines: readonly (string | symbol)[]): number {
  let at = from;
  for (let i = 0; i < lines.length; i += 2) {
    const name = lines[i] as string;
    const value = lines[i + 1];
    writeNumber(bytes, at, name.length);
    writeNumber(bytes, at + 4, typeof value === 'string' ? value.length : layout.REQUEST_SKIP);
    at = writeLatin1(bytes, at + 8, name, name);
    if (typeof value === 'string') at = writeLatin1(bytes, at, value, name);
  }
  return at;
}

function writeFields(bytes: Buffer, from: number, fields: readonly (string | Uint8Array)[]): number {
  let at = from;
  for (let i = 0; i < fields.length; i += 2) {
    const name = at + 8;
    const value = writeEither(bytes, name, fields[i] ?? '');
    const end = writeEither(bytes, value, fields[i + 1] ?? '');
    writeNumber(bytes, at, value - name);
    writeNumber(bytes, at + 4, end - value);
    at = end;
  }
  return at;
}

/** Little-endian, as every machine that Node runs on prebuilt is; the loader refuses others. */
function writeNumber(bytes: Buffer, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

function align(length: number): number {
  return (length + 7) & ~7;
}

const METHOD_NUMBERS: Map<string, number> = new Map(
  layout.METHODS.map((name, at) => [name, at] as const).filter(([, at]) => at > 0),
);
/** Submissions that a completion answers. */
const COMPLETING: ReadonlySet<number> = new Set([
  layout.SUBMISSION_REQUEST,
  layout.SUBMISSION_WARM,
  layout.SUBMISSION_CLOSE,
]);
/** Bytes of a batch; a fuller one is handed over before the microtask. */
const CAPACITY = 64 * 1024;
/** Places are computed in 32 bits with a sign. */
const LARGEST = 2 ** 31 - 8;
const SHORT = 64;

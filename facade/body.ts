/**
 * A request's body: from whatever holds it to bytes that are there as a whole, or to a source that is asked for pieces
 * while the request is being sent. What is here decides nothing about framing but what it knows of the length.
 *
 * A source belongs to the request from the call on: once nobody wants it (any more), a stream is destroyed or cancelled
 * and an iterator returned, at once and even while a piece of it is waited for.
 */
import { Readable } from 'node:stream';

import { argumentError, describe } from './arguments.ts';
import type { Pieces, Source } from './boundary/stream.ts';
import { requestFields, type FormFields } from './fields.ts';
import { multipartParts } from './multipart.ts';
import { bytesOf } from './options.ts';
import { encodeFormUrlencoded } from './urlencoded.ts';

/** A piece of a body: a string goes out as UTF-8. */
export type BodyPiece = string | ArrayBuffer | SharedArrayBuffer | ArrayBufferView;

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

/**
 * A request's body. A function is called when the body is needed, and again if it is needed again; its framing is by
 * chunks unless the headers have a Content-Length.
 */
export type RequestBody = BodyData | (() => BodyData | Promise<BodyData>);

/** A body as the request takes it: one of `whole` and `source` is there. @internal */
export interface Body {
  readonly whole: string | Uint8Array | null;
  readonly source: Source | null;
  /** What the body says of itself, unless the headers do. */
  readonly contentType: string | null;
}

/** How form fields are written into a body. @internal */
export interface FormOptions {
  readonly encodeMultipart: boolean;
  readonly boundary: string | null;
}

/**
 * What the `body` option stands for. Nothing is read of a source yet.
 *
 * @throws TypeError ERR_INVALID_BODY for what is no body, and for a stream of which nothing can come.
 * @internal
 */
export function bodyFrom(value: unknown, boundary: string | null): Body {
  if (typeof value === 'string') return whole(value);
  const bytes = bytesOf(value);
  if (bytes !== null) return whole(bytes);
  if (typeof value === 'function') return sourced(new Made(value as () => unknown));
  if (typeof value !== 'object' || value === null) throw noBody(value);
  if (value instanceof URLSearchParams)
    return whole(value.toString(), 'application/x-www-form-urlencoded;charset=UTF-8');
  if (value instanceof FormData) return multipart(value, boundary);
  if (value instanceof Blob) return sourced(new InParts([value], value.size), value.type === '' ? null : value.type);
  if (isWebStream(value)) return sourced(new OfWebStream(value));
  if (isReadable(value)) return sourced(new OfReadable(value));
  if (Array.isArray(value)) return sourced(ofArray(value));
  if (has(value, Symbol.asyncIterator)) {
    return sourced(new OfIterable(() => (value as AsyncIterable<unknown>)[Symbol.asyncIterator](), true));
  }
  if (has(value, Symbol.iterator)) {
    return sourced(new OfIterable(() => (value as Iterable<unknown>)[Symbol.iterator](), false));
  }
  throw noBody(value);
}

/**
 * Form fields as a body; `null` without any, which is no body (REQ-05).
 *
 * @throws TypeError ERR_INVALID_OPTION and ERR_INVALID_BODY as the encodings do.
 * @internal
 */
export function bodyOfFields(fields: unknown, { encodeMultipart, boundary }: FormOptions): Body | null {
  if (!encodeMultipart) {
    const text = encodeFormUrlencoded(fields as Parameters<typeof encodeFormUrlencoded>[0]);
    return text === '' ? null : whole(text, 'application/x-www-form-urlencoded');
  }
  if (fields instanceof FormData) return fields.keys().next().done === true ? null : multipart(fields, boundary);
  const parts = [...requestFields(fields)];
  return parts.length === 0 ? null : multipart(parts, boundary);
}

/**
 * The lines with a Content-Type behind them, unless there is one in whatever case. The lines given are not touched.
 *
 * @internal
 */
export function withContentType<Value>(lines: readonly (string | Value)[], type: string): readonly (string | Value)[] {
  for (let at = 0; at < lines.length; at += 2) {
    const name = lines[at];
    if (typeof name === 'string' && name.length === 12 && name.toLowerCase() === 'content-type') return lines;
  }
  return [...lines, 'Content-Type', type];
}

/** Pieces of bytes and Blobs in their order. Each is read from its start, however often. */
class InParts implements Source {
  readonly length: number;
  readonly #parts: readonly (Uint8Array | Blob)[];

  constructor(parts: readonly (Uint8Array | Blob)[], length: number) {
    this.#parts = parts;
    this.length = length;
  }

  open(): Pieces {
    const parts = this.#parts;
    let [nth, at] = [0, 0];
    return {
      next() {
        const part = parts[nth];
        if (part === undefined) return null;
        if (!(part instanceof Blob)) {
          nth += 1;
          return part;
        }
        const end = Math.min(at + BLOB_PIECE, part.size);
        const piece = part.slice(at, end);
        at = end;
        if (at === part.size) [nth, at] = [nth + 1, 0];
        return piece.arrayBuffer().then((bytes) => new Uint8Array(bytes));
      },
      cancel() {
        // A read of a Blob cannot be called back, and holds nothing.
      },
    };
  }
}

/** An iterable, of either kind. */
class OfIterable implements Source {
  readonly length = null;
  readonly #begin: () => Iterator<unknown> | AsyncIterator<unknown>;
  readonly #waits: boolean;

  constructor(begin: () => Iterator<unknown> | AsyncIterator<unknown>, waits: boolean) {
    this.#begin = begin;
    this.#waits = waits;
  }

  open(): Pieces {
    return new Iterated(this.#begin(), this.#waits);
  }
}

class Iterated implements Pieces {
  readonly #iterator: Iterator<unknown> | AsyncIterator<unknown>;
  readonly #waits: boolean;
  #running = false;
  #over = false;
  /** Cancelled from within: the iterator could not be returned then. */
  #late = false;

  constructor(iterator: Iterator<unknown> | AsyncIterator<unknown>, waits: boolean) {
    this.#iterator = iterator;
    this.#waits = waits;
  }

  next(): Uint8Array | null | Promise<Uint8Array | null> {
    this.#running = true;
    let step;
    try {
      step = this.#iterator.next();
    } catch (error) {
      this.#over = true;
      throw error;
    } finally {
      this.#running = false;
    }
    if (this.#late) this.#leave();
    return this.#waits ? this.#awaited(step) : this.#taken(step);
  }

  cancel(): void {
    if (this.#over) return;
    if (this.#running) this.#late = true;
    else this.#leave();
  }

  async #awaited(step: unknown): Promise<Uint8Array | null> {
    let result;
    try {
      result = await step;
    } catch (error) {
      this.#over = true;
      throw error;
    }
    return this.#taken(result);
  }

  #taken(result: unknown): Uint8Array | null {
    if (typeof result !== 'object' || result === null) {
      throw argumentError('type', CODE, `a body's iterator gives objects, not ${describe(result)}`);
    }
    const { done, value } = result as IteratorResult<unknown>;
    if (done !== true) return pieceOf(value);
    this.#over = true;
    return null;
  }

  #leave(): void {
    this.#over = true;
    quietly(() => this.#iterator.return?.());
  }
}

/** One of Node's streams, or of their like. It can be read once. */
class OfReadable implements Source, Pieces {
  readonly length = null;
  readonly #stream: Readable;
  #watching = false;
  #begun = false;
  #over = false;
  #ended = false;
  #failure: { readonly error: unknown } | null = null;
  #wake: (() => void) | null = null;

  constructor(stream: Readable) {
    refuseSpent(stream);
    this.#stream = stream;
  }

  /** A stream may fail before anybody has asked it for anything; without a listener that would be the process's end. */
  accept(): void {
    if (this.#watching || this.#over) return;
    this.#watching = true;
    this.#stream.on('error', this.#onError).on('end', this.#onEnd).on('close', this.#onClose);
  }

  open(): Pieces {
    this.accept();
    // Somebody else has read it to its end in the meantime.
    if (this.#ended) throw spent('a stream that has ended');
    this.#begun = true;
    this.#stream.on('readable', this.#onReadable);
    return this;
  }

  next(): Uint8Array | null | Promise<Uint8Array | null> {
    const piece = this.#read();
    return piece === undefined ? this.#later() : piece;
  }

  cancel(): void {
    if (this.#over) return;
    const stream = this.#stream;
    this.#release();
    if (stream.closed) return;
    // What it says on its way out is nobody's business any more.
    const forgive = (): void => undefined;
    stream.on('error', forgive).once('close', () => stream.off('error', forgive));
    stream.destroy();
  }

  discard(): void {
    this.cancel();
  }

  async #later(): Promise<Uint8Array | null> {
    for (;;) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
      const piece = this.#read();
      if (piece !== undefined) return piece;
    }
  }

  /** `undefined` if there is nothing yet. */
  #read(): Uint8Array | null | undefined {
    if (this.#over) return null;
    if (this.#failure !== null) throw this.#failure.error;
    const stream = this.#stream;
    const chunk: unknown = stream.read();
    if (chunk !== null) return pieceOf(chunk);
    if (this.#ended) {
      this.#release();
      return null;
    }
    // Not every stream says that it is closed.
    if (stream.destroyed && stream.closed) throw this.#broken();
    return undefined;
  }

  readonly #onReadable = (): void => this.#rouse();

  readonly #onError = (error: unknown): void => {
    this.#failure ??= { error };
    this.#rouse();
  };

  readonly #onEnd = (): void => {
    this.#ended = true;
    this.#rouse();
  };

  readonly #onClose = (): void => {
    if (!this.#ended) this.#failure ??= { error: this.#broken() };
    this.#rouse();
  };

  #broken(): unknown {
    const error = new Error('the stream was closed before its end');
    return this.#stream.errored ?? Object.assign(error, { code: 'ERR_STREAM_PREMATURE_CLOSE' });
  }

  #rouse(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  #release(): void {
    this.#over = true;
    const stream = this.#stream;
    stream.off('error', this.#onError).off('end', this.#onEnd).off('close', this.#onClose);
    if (this.#begun) stream.off('readable', this.#onReadable);
    this.#rouse();
  }
}

/** A stream of the web's. It can be read once. */
class OfWebStream implements Source, Pieces {
  readonly length = null;
  readonly #stream: ReadableStream;
  #reader: ReadableStreamDefaultReader | null = null;

  constructor(stream: ReadableStream) {
    if (stream.locked) throw spent('a ReadableStream that is locked to another reader');
    if (isDisturbed(stream)) throw spent('a ReadableStream that was read from or cancelled before');
    this.#stream = stream;
  }

  open(): Pieces {
    this.#reader = this.#stream.getReader();
    return this;
  }

  async next(): Promise<Uint8Array | null> {
    const reader = this.#reader;
    if (reader === null) return null;
    const { done, value } = (await reader.read()) as { done: boolean; value?: unknown };
    if (!done) return pieceOf(value);
    // Cancelled meanwhile, it is let go already.
    if (this.#reader !== null) reader.releaseLock();
    this.#reader = null;
    return null;
  }

  cancel(): void {
    const reader = this.#reader;
    this.#reader = null;
    if (reader === null) return;
    quietly(() => reader.cancel());
    reader.releaseLock();
  }

  discard(): void {
    if (!this.#stream.locked) quietly(() => this.#stream.cancel());
  }
}

/** What a function makes once it is needed: the head is out by then, so that nothing in it can come from there. */
class Made implements Source {
  readonly length = null;
  readonly #make: () => unknown;

  constructor(make: () => unknown) {
    this.#make = make;
  }

  open(): Pieces {
    const make = this.#make;
    let inner: Pieces | null = null;
    let cancelled = false;
    return {
      async next() {
        if (inner === null) {
          const made = ofMade(await make());
          if (cancelled) {
            made.discard?.();
            return null;
          }
          made.accept?.();
          inner = made.open();
        }
        return inner.next();
      },
      cancel() {
        cancelled = true;
        inner?.cancel();
      },
    };
  }
}

function ofMade(value: unknown): Source {
  if (typeof value === 'function') throw argumentError('type', CODE, 'a function makes a body, not another function');
  if (value instanceof FormData) {
    const hint = 'pass it as the body itself: it can be sent again as it is';
    throw argumentError(
      'type',
      CODE,
      `a FormData is of no use from a function, since its boundary stands in the head; ${hint}`,
    );
  }
  const { whole: all, source } = bodyFrom(value, null);
  return source ?? ofArray([all]);
}

/** An array is sent as it was when the call was made; its pieces are read as they go. */
function ofArray(pieces: readonly unknown[]): Source {
  const kept = [...pieces];
  for (const piece of kept) if (typeof piece !== 'string') pieceOf(piece);
  return new OfIterable(() => kept[Symbol.iterator](), false);
}

function multipart(fields: FormFields | FormData, boundary: string | null): Body {
  const { contentType, length, parts } = multipartParts(fields, boundary);
  const [first] = parts;
  if (parts.length === 1 && Buffer.isBuffer(first)) return whole(first, contentType);
  return sourced(new InParts(parts, length), contentType);
}

function whole(all: string | Uint8Array, contentType: string | null = null): Body {
  return { whole: all, source: null, contentType };
}

function sourced(source: Source, contentType: string | null = null): Body {
  return { whole: null, source, contentType };
}

function pieceOf(value: unknown): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value);
  const bytes = bytesOf(value);
  if (bytes === null)
    throw argumentError('type', CODE, `a piece of a body is a string or bytes, not ${describe(value)}`);
  // Another thread may be writing to shared memory, and not every function takes it.
  return bytes.buffer instanceof ArrayBuffer ? bytes : Buffer.from(bytes);
}

function isWebStream(value: object): value is ReadableStream {
  return value instanceof ReadableStream || typeof Reflect.get(value, 'getReader') === 'function';
}

/** By what it can do: there are others than Node's own. */
function isReadable(value: object): value is Readable {
  if (value instanceof Readable) return true;
  return ['read', 'on', 'off', 'destroy'].every((name) => typeof Reflect.get(value, name) === 'function');
}

function isDisturbed(stream: ReadableStream): boolean {
  return Readable.isDisturbed(stream as unknown as Readable);
}

function refuseSpent(stream: Readable): void {
  if (stream.errored != null) throw spent('a stream that has failed', stream.errored);
  if (stream.destroyed) throw spent('a stream that was destroyed');
  if (stream.readableEnded) throw spent('a stream that has ended');
  // A Duplex that has no readable side.
  if (!stream.readable) throw spent('a stream that is not readable');
}

function spent(what: string, cause?: unknown): Error {
  const error = argumentError('type', CODE, `'body' is ${what}: nothing can be sent from it`);
  return cause === undefined ? error : Object.assign(error, { cause });
}

/** Whether it iterates; a plain object only by itself, or a polluted prototype would speak for it. */
function has(value: object, method: symbol): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  const plain = prototype === null || prototype === Object.prototype;
  return typeof Reflect.get(value, method) === 'function' && (!plain || Object.hasOwn(value, method));
}

/** Does it, and whatever comes of that is nobody's business. */
function quietly(act: () => unknown): void {
  try {
    Promise.resolve(act()).catch(() => undefined);
  } catch {
    // As much as a rejection.
  }
}

function noBody(value: unknown): Error {
  const bytes = 'bytes (Buffer, ArrayBuffer or a view)';
  const kinds = `a string, ${bytes}, URLSearchParams, FormData, a Blob, a stream, a function that makes one of them, or iterable`;
  return argumentError('type', CODE, `'body' must be ${kinds}. Instead was ${describe(value)}`);
}

const CODE = 'ERR_INVALID_BODY';
/** Bytes that are read of a Blob at once. */
const BLOB_PIECE = 128 * 1024;

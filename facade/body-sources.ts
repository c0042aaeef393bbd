/**
 * Where the pieces of a request's body come from: one class for each way of having them. All are pulled, and nothing is
 * read before the first pull. A source belongs to the request from the call on: once nobody wants it (any more), a stream
 * is destroyed or cancelled and an iterator returned, at once and even while a piece of it is waited for.
 *
 * @internal
 */
import { AsyncResource } from 'node:async_hooks';
import { Readable } from 'node:stream';

import { argumentError, describe } from './arguments.ts';
import type { Pieces, Source } from './boundary/stream.ts';
import { bytesOf } from './bytes.ts';

/** Pieces of bytes and Blobs in their order. Each is read from its start, however often. */
export class InParts implements Source {
  readonly again = true;
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
export class OfIterable implements Source {
  readonly length = null;
  readonly again: boolean;
  readonly #begin: () => Iterator<unknown> | AsyncIterator<unknown>;
  readonly #waits: boolean;

  /** An iterable of the caller's is taken for one that can be read once (BODY-15); `again` says otherwise. */
  constructor(begin: () => Iterator<unknown> | AsyncIterator<unknown>, waits: boolean, again = false) {
    this.again = again;
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
export class OfReadable implements Source, Pieces {
  readonly length = null;
  readonly again = false;
  readonly #stream: Readable;
  #watching = false;
  #begun = false;
  #over = false;
  #ended = false;
  /** It has said so: `closed` is true before its last error is out. */
  #closed = false;
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
    if (this.#closed) return;
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
    this.#closed = true;
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
export class OfWebStream implements Source, Pieces {
  readonly length = null;
  readonly again = false;
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

/**
 * A source whose pieces the caller's code makes: that runs where the call was made, as `AsyncLocalStorage` has it, and not where
 * whichever call it was woke the engine.
 */
export class InContext implements Source {
  readonly #source: Source;
  readonly #context: AsyncResource = new AsyncResource('FERROPOOL_CALL');

  constructor(source: Source) {
    this.#source = source;
  }

  get length(): number | null {
    return this.#source.length;
  }

  get again(): boolean {
    return this.#source.again;
  }

  accept(): void {
    this.#source.accept?.();
  }

  open(): Pieces {
    const context = this.#context;
    const pieces = context.runInAsyncScope(() => this.#source.open());
    return {
      next: () => context.runInAsyncScope(() => pieces.next()),
      cancel: () => context.runInAsyncScope(() => pieces.cancel()),
    };
  }

  discard(): void {
    this.#context.runInAsyncScope(() => this.#source.discard?.());
  }
}

/** What a function makes once it is needed: the head is out by then, so that nothing in it can come from there. */
export class Made implements Source {
  readonly length = null;
  readonly again = true;
  readonly #make: () => unknown;
  readonly #sourceOf: (made: unknown) => Source;

  constructor(make: () => unknown, sourceOf: (made: unknown) => Source) {
    this.#make = make;
    this.#sourceOf = sourceOf;
  }

  open(): Pieces {
    const [make, sourceOf] = [this.#make, this.#sourceOf];
    let inner: Pieces | null = null;
    let cancelled = false;
    return {
      async next() {
        if (inner === null) {
          const made = sourceOf(await make());
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

/** An array is sent as it was when the call was made; its pieces are read as they go. */
export function ofArray(pieces: readonly unknown[]): Source {
  const kept = [...pieces];
  for (const piece of kept) if (typeof piece !== 'string') pieceOf(piece);
  return new OfIterable(() => kept[Symbol.iterator](), false, true);
}

function pieceOf(value: unknown): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value);
  const bytes = bytesOf(value);
  if (bytes === null)
    throw argumentError('type', CODE, `a piece of a body is a string or bytes, not ${describe(value)}`);
  // Another thread may be writing to shared memory, and not every function takes it.
  return bytes.buffer instanceof ArrayBuffer ? bytes : Buffer.from(bytes);
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

/** Does it, and whatever comes of that is nobody's business. */
function quietly(act: () => unknown): void {
  try {
    Promise.resolve(act()).catch(() => undefined);
  } catch {
    // As much as a rejection.
  }
}

const CODE = 'ERR_INVALID_BODY';
/** Bytes that are read of a Blob at once. */
const BLOB_PIECE = 128 * 1024;

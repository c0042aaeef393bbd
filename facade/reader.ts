/**
 * Reading a body in pieces: urllib3's ways (exact amounts, whatever is at hand, lines) and Node's (async iteration,
 * streams) over one queue. A reader that takes nothing is given nothing more, and in the end the peer's socket stops.
 *
 * Reads are served one after the other. What is buffered comes before the end, and before an error.
 */
import { Readable } from 'node:stream';

import { argumentError, describe } from './arguments.ts';
import type { Inflow } from './boundary/stream.ts';
import { IncompleteRead, InvalidChunkLength, ProtocolError, ResponseNotRead, ResponseTooLarge } from './errors.ts';
import type { ErrorDetails } from './errors.ts';
import { Gathered } from './gathered.ts';
import { leavable } from './leavable.ts';

/** What a reader has to know of its response. */
export interface Announced {
  /** Bytes on the wire that were announced, `null` for none. */
  readonly length: number | null;
  /** What comes is what is on the wire. */
  readonly raw: boolean;
}

/** What a response knows of its request, for an error; asked when there is one. */
type Known = () => ErrorDetails;

/** A body that is being read. @internal */
export class BodyReader {
  readonly #inflow: Inflow;
  readonly #announced: Announced;
  /** When the head was here, by the clock of `performance`. */
  readonly began = performance.now();
  /** Bytes given out. */
  #given = 0;
  #data: Buffer | null = null;
  #turn: Promise<unknown> | null = null;
  /** Whether the reader has seen the end: the last byte where the length is known, else a read that gave nothing. */
  #seen = false;
  #closed = false;
  /** Whether what was left was dropped: what is read after that is not the whole. */
  #drained = false;
  /** Whether a read has met what the body failed of. */
  #failed = false;
  /** What a read is told that comes after the letting go of a body whose end nobody has seen. */
  #cut: (() => ProtocolError) | null = null;

  constructor(inflow: Inflow, announced: Announced) {
    this.#inflow = inflow;
    this.#announced = announced;
    if (announced.length === 0) this.#seen = true;
  }

  /** The whole body, once it has been read in one go. */
  data(known: Known): Buffer {
    if (this.#data !== null) return this.#data;
    if (this.#given > 0)
      throw new ResponseNotRead('the body was read in pieces, so it is not kept as a whole', known());
    if (this.#drained) throw new ResponseNotRead('the body was drained: drainConn() drops it', known());
    throw new ResponseNotRead(
      this.#closed
        ? 'the body was let go of before it was read'
        : 'the body has not been read (preloadContent: false); await read() first, or iterate over it',
      known(),
    );
  }

  get closed(): boolean {
    if (this.#closed || this.#seen || this.#failed) return true;
    // Of a decoded body the end may come after its last byte has been taken.
    const { ending, buffered } = this.#inflow;
    return ending?.read === true && buffered === 0 && this.#announced.length !== null;
  }

  /** Raw bytes taken off the wire by what has been read. */
  get bytesRead(): number {
    const { ending, buffered, wire } = this.#inflow;
    if (ending !== null && buffered === 0) return ending.wire;
    return this.#announced.raw ? this.#given : wire;
  }

  get lengthRemaining(): number | null {
    const { length } = this.#announced;
    return length === null ? null : Math.max(0, length - this.bytesRead);
  }

  /** Everything that is left. */
  readAll(): Promise<Buffer> {
    return this.#exclusive(async () => {
      const inflow = this.#inflow;
      const first = this.#given === 0;
      if (!inflow.over) {
        inflow.askRest();
        while (!inflow.over) await inflow.wait();
      }
      const { rest } = inflow;
      const before: Buffer[] = [];
      let length = 0;
      for (let piece = inflow.take(); piece !== null; piece = inflow.take()) {
        before.push(piece);
        length += piece.length;
      }
      if (inflow.failure !== null) {
        this.#failed = true;
        throw withPartial(inflow.failure.error, before);
      }
      if (this.#cut !== null) throw this.#cut();
      inflow.rest = null;
      let all: Buffer;
      if (rest !== null && rest.headroom === length) {
        all = rest.bytes;
        let at = 0;
        for (const piece of before) at += piece.copy(all, at);
      } else {
        if (rest !== null) before.push(rest.bytes.subarray(rest.headroom));
        all = before.length === 1 ? (before[0] as Buffer) : Buffer.concat(before);
      }
      this.#give(all.length);
      this.#seen = true;
      if (first && this.#data === null && !this.#closed && !this.#drained) this.#data = all;
      return all;
    });
  }

  /** Exactly so many bytes while there are so many. */
  readExactly(amount: number): Promise<Buffer> {
    if (amount === 0) return Promise.resolve(EMPTY);
    const piece = this.#turn === null && this.#inflow.buffered >= amount ? this.#inflow.take(amount) : null;
    if (piece !== null && piece.length === amount) return Promise.resolve(this.#gave(piece));
    return this.#exclusive(() => this.#collect(amount, piece));
  }

  async #collect(amount: number, begun: Buffer | null): Promise<Buffer> {
    const inflow = this.#inflow;
    const gathered = new Gathered();
    if (begun !== null) gathered.add(begun);
    while (gathered.length < amount) {
      const piece = inflow.take(amount - gathered.length);
      if (piece !== null) {
        gathered.add(piece);
        continue;
      }
      if (inflow.over) {
        this.#short(gathered.length);
        break;
      }
      inflow.want(Math.min(Math.max(amount - gathered.length, STEP), WINDOW));
      await inflow.wait();
    }
    return this.#gave(gathered.take());
  }

  /** What is at hand, at most so many bytes; waits for something. */
  readSome(most: number): Promise<Buffer> {
    if (most === 0) return Promise.resolve(EMPTY);
    return this.#exclusive(async () => this.#gave((await this.#piece(STEP, 0, most)) ?? EMPTY));
  }

  /** Fills as much of `target` as it can; how much. */
  readInto(target: Uint8Array | Uint8ClampedArray): Promise<number> {
    return this.#exclusive(async () => {
      const inflow = this.#inflow;
      const room = roomOf(target);
      let filled = 0;
      while (filled < target.length) {
        const piece = inflow.take(target.length - filled);
        if (piece !== null) {
          target.set(piece, filled);
          filled += piece.length;
          continue;
        }
        if (inflow.over) {
          this.#short(filled);
          break;
        }
        inflow.want(Math.min(Math.max(target.length - filled, STEP), WINDOW));
        await inflow.wait();
      }
      this.#give(filled);
      // 0 would say that the body is over.
      if (target.length < room) throw noMemory();
      return filled;
    });
  }

  /** The next piece as it came, with more on its way; `null` at the end. */
  nextPiece(): Promise<Buffer | null> | Buffer {
    if (this.#turn === null) {
      const piece = this.#inflow.take();
      if (piece !== null) {
        this.#inflow.want(WINDOW, WINDOW >> 1);
        return this.#gave(piece);
      }
    }
    const inflow = this.#inflow;
    if (this.#turn === null && !inflow.over) {
      // By hand: a queue of one costs two promises, not six.
      inflow.want(WINDOW, WINDOW >> 1);
      const later = (): Promise<Buffer | null> | Buffer | null => {
        const came = inflow.take();
        if (came === null && !inflow.over) {
          inflow.want(WINDOW, WINDOW >> 1);
          return inflow.wait().then(later);
        }
        if (this.#turn === mine) this.#turn = null;
        if (came === null) {
          this.#endOrThrow();
          return null;
        }
        inflow.want(WINDOW, WINDOW >> 1);
        return this.#gave(came);
      };
      const mine: Promise<Buffer | null> = inflow.wait().then(later);
      return (this.#turn = mine);
    }
    return this.#exclusive(async () => {
      const piece = await this.#piece(WINDOW, WINDOW >> 1, Infinity);
      return piece === null ? null : this.#gave(piece);
    });
  }

  /** Pieces as they come. */
  pieces(): AsyncIterableIterator<Buffer> {
    return new Pieces(this);
  }

  /** Pieces of exactly so many bytes, the last one smaller. */
  exactly(amount: number): AsyncIterableIterator<Buffer> {
    return this.#leavable((isLeft) => this.#exactly(amount, isLeft));
  }

  async *#exactly(amount: number, isLeft: () => boolean): AsyncGenerator<Buffer, void, undefined> {
    let done = false;
    try {
      for (;;) {
        this.#inflow.want(Math.max(WINDOW, amount), WINDOW >> 1);
        const piece = await this.readExactly(amount);
        if (piece.length === 0) break;
        // A `next` that waited for more of it must not take it for the last one: after it the iteration is over.
        if (piece.length < amount && isLeft()) this.#endOrThrow();
        yield piece;
      }
      done = true;
    } finally {
      if (!done) this.leave();
    }
  }

  /** Everything as one piece. */
  whole(): AsyncIterableIterator<Buffer> {
    return this.#leavable(() => this.#whole());
  }

  async *#whole(): AsyncGenerator<Buffer, void, undefined> {
    const all = await this.readAll();
    if (all.length > 0) yield all;
  }

  /** Nothing. */
  async *none(): AsyncGenerator<Buffer, void, undefined> {
    // An iteration of pieces of no bytes is over before it begins.
  }

  /** Lines, each with its line feed; the last one as it is. */
  lines(): AsyncIterableIterator<Buffer> {
    return this.#leavable(() => this.#lines());
  }

  async *#lines(): AsyncGenerator<Buffer, void, undefined> {
    let done = false;
    const begun = new Gathered();
    try {
      for (let piece = await this.nextPiece(); piece !== null; piece = await this.nextPiece()) {
        let from = 0;
        for (let at = piece.indexOf(LINE_FEED); at !== -1; at = piece.indexOf(LINE_FEED, from)) {
          const end = piece.subarray(from, at + 1);
          from = at + 1;
          begun.add(end);
          yield begun.take();
        }
        if (from === piece.length) continue;
        begun.add(piece.subarray(from));
        if (begun.length > LONGEST_LINE) {
          throw new ResponseTooLarge(`a line has more than ${LONGEST_LINE} bytes`, 'decoded', LONGEST_LINE, {
            phase: 'body',
            sent: true,
          });
        }
      }
      done = true;
    } finally {
      if (!done) this.leave();
    }
    if (begun.length > 0) yield begun.take();
  }

  #leavable(begin: (isLeft: () => boolean) => AsyncGenerator<Buffer, void, undefined>): AsyncIterableIterator<Buffer> {
    let left = false;
    const leave = (): void => {
      left = true;
      // Streams return to what has come to its end too: then there is nothing to let go of.
      if (!this.closed) this.leave();
    };
    return leavable(
      begin(() => left),
      leave,
    );
  }

  /** As a stream of Node's. Destroyed early, it closes the response. */
  toReadable(): Readable {
    let pushing = false;
    let asked = false;
    const push = async (readable: Readable): Promise<void> => {
      asked = true;
      // Node asks again after each piece: whoever answers already goes on.
      if (pushing) return;
      pushing = true;
      try {
        for (;;) {
          const piece = await this.nextPiece();
          asked = false;
          const more = readable.push(piece);
          if (piece === null) return;
          if (more || asked) continue;
          pushing = false;
          return;
        }
      } catch (error) {
        readable.destroy(error as Error);
      }
    };
    return new Readable({
      highWaterMark: STEP,
      read() {
        void push(this);
      },
      destroy: (error, callback) => {
        this.leave();
        callback(error);
      },
    });
  }

  /** As a stream of the web's. Cancelled, it closes the response. */
  toWeb(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const piece = await this.nextPiece();
          if (piece === null) controller.close();
          else controller.enqueue(piece);
        },
        cancel: () => this.leave(),
      },
      { highWaterMark: 0 },
    );
  }

  /**
   * Reads and drops the rest, undecoded, once the reads that wait have been served; whatever goes wrong costs the
   * connection and nothing else.
   */
  drain(): Promise<void> {
    return this.#exclusive(async () => {
      if (this.#closed) return;
      if (!this.#seen) this.#drained = true;
      const inflow = this.#inflow;
      inflow.drain();
      while (!inflow.over) await inflow.wait();
      inflow.failure = null;
      inflow.ending ??= { ...NOTHING, wire: inflow.wire };
      this.#seen = true;
    });
  }

  /** An iteration that is left: as a stream of Node's that is left, it lets go of its source. */
  leave(): void {
    this.#close(true);
  }

  /** The connection is closed. */
  close(known: Known): void {
    this.#close(false, known);
  }

  /** The connection is kept if only a little is left, closed otherwise. */
  release(known: Known): void {
    this.#close(true, known);
  }

  /** As {@link BodyReader.release}, of a body that `accept` has done without: it is empty, and not cut. */
  decline(): void {
    this.#seen = true;
    this.#close(true);
  }

  #close(gently: boolean, known: Known | null = null): void {
    if (this.#closed) return;
    this.#closed = true;
    const inflow = this.#inflow;
    const reading = this.#turn !== null && !inflow.over;
    const atEnd = this.#seen || (inflow.ending?.read === true && inflow.buffered === 0 && inflow.rest === null);
    if (!atEnd && inflow.failure === null) {
      this.#cut = cutOff(gently, { received: this.bytesRead, expected: this.lengthRemaining }, known);
    }
    inflow.letGo(gently);
    if (reading && this.#cut !== null) inflow.fail(this.#cut());
    // The call itself has ended well: it is a later read that must not take this for the body's end.
    else if (!inflow.over) inflow.end({ ...NOTHING, wire: inflow.wire });
  }

  async #piece(ahead: number, slack: number, most: number): Promise<Buffer | null> {
    const inflow = this.#inflow;
    for (;;) {
      const piece = inflow.take(most);
      if (piece !== null) {
        if (slack > 0) inflow.want(ahead, slack);
        return piece;
      }
      if (inflow.over) {
        this.#endOrThrow();
        return null;
      }
      inflow.want(ahead, slack);
      await inflow.wait();
    }
  }

  /** Fewer bytes were there than were asked for: the end has been seen, unless an error waits in its place. */
  #short(read: number): void {
    if (read === 0) this.#endOrThrow();
    else if (this.#inflow.failure === null && this.#cut === null) this.#seen = true;
  }

  #endOrThrow(): void {
    const { failure } = this.#inflow;
    if (failure !== null) {
      this.#failed = true;
      throw failure.error;
    }
    if (this.#cut !== null) throw this.#cut();
    this.#seen = true;
  }

  #gave(piece: Buffer): Buffer {
    this.#give(piece.length);
    return piece;
  }

  #give(bytes: number): void {
    this.#given += bytes;
    const { ending, buffered } = this.#inflow;
    const { length, raw } = this.#announced;
    if (length === null || buffered > 0) return;
    if (ending?.read === true || (raw && this.#given >= length)) this.#seen = true;
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#turn;
    const mine = before === null ? work() : before.then(work, work);
    this.#turn = mine;
    const clear = (): void => {
      if (this.#turn === mine) this.#turn = null;
    };
    mine.then(clear, clear);
    return mine;
  }
}

/** By hand: an async generator costs three promises a piece. */
class Pieces implements AsyncIterableIterator<Buffer> {
  readonly #reader: BodyReader;
  #left = false;

  constructor(reader: BodyReader) {
    this.#reader = reader;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Buffer>> {
    if (this.#left) return Promise.resolve(DONE);
    const piece = this.#reader.nextPiece();
    if (piece instanceof Promise) return piece.then(result);
    return Promise.resolve({ done: false, value: piece });
  }

  return(): Promise<IteratorResult<Buffer>> {
    this.#left = true;
    this.#reader.leave();
    return Promise.resolve(DONE);
  }
}

/** The length of an array whose memory is there: one that was transferred away says 0 as an empty one does. */
function roomOf(target: Uint8Array | Uint8ClampedArray): number {
  if (target.length > 0) return target.length;
  try {
    return new Uint8Array(target).length;
  } catch {
    throw noMemory();
  }
}

function noMemory(): Error {
  const message = 'the memory of what readInto fills is gone: its ArrayBuffer was transferred away or made smaller';
  return argumentError('type', 'ERR_INVALID_OPTION', message);
}

function result(piece: Buffer | null): IteratorResult<Buffer> {
  return piece === null ? DONE : { done: false, value: piece };
}

/**
 * Checks how many bytes are asked for: `null` is all of them.
 *
 * @throws TypeError or RangeError ERR_INVALID_OPTION.
 * @internal
 */
export function amountOf(value: unknown, what: string): number | null {
  if (value === undefined || value === null || value === -1) return null;
  if (typeof value !== 'number') {
    throw argumentError('type', 'ERR_INVALID_OPTION', `${what} takes a number of bytes, not ${describe(value)}`);
  }
  if (!Number.isInteger(value) || value < 0) {
    throw argumentError('range', 'ERR_INVALID_OPTION', `${what} takes a whole number of bytes, not ${value}`);
  }
  return value;
}

/** A body that was let go of looks like a whole one to whoever reads on, unless that fails. */
function cutOff(
  gently: boolean,
  { received, expected }: { received: number; expected: number | null },
  known: Known | null,
): () => ProtocolError {
  return () => {
    const details = { ...known?.(), ...BROKEN };
    const cause = new IncompleteRead(EMPTY, expected, { ...details, received });
    const message = `Connection broken: ${gently ? LET_GO : CLOSED}: ${cause.message}`;
    return new ProtocolError(message, { ...details, code: cause.code, partial: EMPTY, expected, cause });
  };
}

/** An error that broke off a read of everything has what came before it. */
function withPartial(error: unknown, before: Buffer[]): unknown {
  if (before.length === 0 || !(error instanceof ProtocolError)) return error;
  const partial = Buffer.concat(error.partial === null ? before : [...before, error.partial]);
  Object.assign(error, { partial });
  const { cause } = error;
  if (cause instanceof IncompleteRead || cause instanceof InvalidChunkLength) Object.assign(cause, { partial });
  return error;
}

const EMPTY: Buffer = Buffer.alloc(0);
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };
const NOTHING = { trailers: '', read: false, wire: 0, body: Number.NaN, total: Number.NaN };
const BROKEN = { phase: 'body', sent: true } as const;
const CLOSED = "close() was called before the body's end";
const LET_GO =
  "the response was let go of before the body's end, by releaseConn(), or by a loop or stream over it that was left";
const LINE_FEED = 0x0a;
/** Bytes that are asked for when few are wanted. */
const STEP = 64 * 1024;
/** Bytes that are here or on their way while a body is read piece by piece. */
const WINDOW = 2 * 1024 * 1024;
/** A line is put together in memory. */
const LONGEST_LINE = 256 * 1024 * 1024;

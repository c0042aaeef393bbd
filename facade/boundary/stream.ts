/**
 * Bodies in pieces, mirroring `crate/binding/stream.rs`. A response's comes as it is granted, a request's goes as there is
 * room for it: neither side ever pushes.
 */
import { setImmediate } from 'node:timers/promises';
import { markAsUntransferable } from 'node:worker_threads';

import * as layout from './generated.ts';

/** What a body in pieces asks of its engine. */
export interface Carrier {
  /** Submits what becomes of a response's body. */
  order(kind: number, slot: number, generation: number, bytes: number, taken: number): void;
  /** Submits a piece of a request's body. */
  piece(slot: number, generation: number, bytes: Uint8Array): void;
  /** Submits that a request's body has ended, or failed and why. */
  finish(slot: number, generation: number, failure: string | null): void;
  /** The event loop stays alive while somebody waits. */
  hold(on: boolean): void;
}

/** What is known once a response's body has ended. */
export interface Ending {
  /** Names and values in turn, a line feed after each. */
  readonly trailers: string;
  /** By reading, not by being let go of. */
  readonly read: boolean;
  /** Bytes of the body on the wire. */
  readonly wire: number;
  /** Milliseconds from the head, and of the whole call. */
  readonly body: number;
  readonly total: number;
}

/**
 * A response's body as it comes. The engine holds it while it is open, so it must not lead to the response: that one's
 * collection is how a body that nobody reads is noticed.
 */
export class Inflow {
  readonly #carrier: Carrier;
  readonly #slot: number;
  readonly #generation: number;
  #pieces: Buffer[] = [];
  /** The first piece's place. */
  #first = 0;
  /** Bytes on the wire when each piece came. */
  #wires: number[] = [];
  /** Where the latest small pieces lie, and how much of it they fill. */
  #block: Buffer = EMPTY;
  #filled = 0;
  #granted: number;
  #taken = 0;
  #wake: (() => void) | null = null;
  #waiting: Promise<void> | null = null;
  #began = false;
  /** The core stands still until it hears what was taken. */
  #pressed = false;
  /** Nobody wants what still comes. */
  #dropping = false;
  /** Somebody wants to hear that nothing more will come. */
  #over: (() => void) | null = null;
  /** Bytes that have come and were not taken. */
  buffered = 0;
  /** Bytes of the body on the wire, up to the last piece that was taken from. */
  wire = 0;
  /** Set once the core has nothing more to say. */
  ending: Ending | null = null;
  /** What it failed with; whatever is buffered comes first. */
  failure: { readonly error: unknown } | null = null;
  /** The rest that was asked for, and the bytes in front of it that are free. */
  rest: { readonly bytes: Buffer; readonly headroom: number } | null = null;

  /** Its reader's collection tells that nobody can read the body any more. */
  watch: ((reader: object) => void) | null = null;

  constructor(carrier: Carrier, slot: number, generation: number, granted: number) {
    this.#carrier = carrier;
    this.#slot = slot;
    this.#generation = generation;
    this.#granted = granted;
  }

  /** Nothing more will come. */
  get over(): boolean {
    return this.ending !== null || this.failure !== null;
  }

  /** Resolves when nothing more will come from the core, read or not. It asks for nothing and holds nothing. */
  whenOver(): Promise<void> {
    if (this.over) return Promise.resolve();
    const before = this.#over;
    return new Promise((resolve) => {
      this.#over = () => {
        before?.();
        resolve();
      };
    });
  }

  /**
   * Sees to it that so many bytes are here or on their way. With `slack` there may be so many less before more are asked
   * for: not every piece should cost a submission.
   */
  want(bytes: number, slack: number = 0): void {
    if (this.over) return;
    const coming = this.buffered + this.#granted;
    if (this.#began && coming + slack >= bytes) return;
    this.#began = true;
    const more = Math.min(Math.max(bytes - coming, 0), MOST_GRANTED);
    this.#granted += more;
    this.#order(layout.SUBMISSION_GRANT, more);
  }

  /** The next piece, or at most so many bytes of it; `null` if none is here. */
  take(most: number = Infinity): Buffer | null {
    const piece = this.#pieces[this.#first];
    if (piece === undefined) return null;
    if (!this.#began && !this.over) {
      // What was read ahead was there: the reading has begun all the same.
      this.#began = true;
      this.#order(layout.SUBMISSION_GRANT, 0);
    }
    let taken = piece;
    this.wire = this.#wires[this.#first] as number;
    if (piece.length > most) {
      taken = piece.subarray(0, most);
      this.#pieces[this.#first] = piece.subarray(most);
    } else {
      this.#pieces[this.#first] = EMPTY;
      this.#first += 1;
      if (this.#first > MOST_GAPS || this.#first === this.#pieces.length) {
        this.#pieces.splice(0, this.#first);
        this.#wires.splice(0, this.#first);
        this.#first = 0;
      }
    }
    this.buffered -= taken.length;
    this.#taken += taken.length;
    if (this.#pressed) this.#tell();
    return taken;
  }

  /**
   * Resolves when something has come, or nothing more will. The event loop stays alive meanwhile.
   */
  wait(): Promise<void> {
    if (this.over) return Promise.resolve();
    if (this.#waiting === null) {
      this.#carrier.hold(true);
      this.#waiting = new Promise((resolve) => (this.#wake = resolve));
    }
    return this.#waiting;
  }

  /** Asks for all that is left, in one block; it comes as {@link Inflow.rest}. */
  askRest(): void {
    if (!this.over) this.#order(layout.SUBMISSION_REST, this.buffered);
  }

  /** Asks for the end, without what is before it. */
  drain(): void {
    this.drop();
    if (!this.over) this.#order(layout.SUBMISSION_DRAIN, 0);
  }

  /** Nobody will read it: its connection is closed, or (`gently`) a small rest is drained to keep it. */
  letGo(gently: boolean): void {
    this.drop();
    if (!this.over) this.#order(gently ? layout.SUBMISSION_RELEASE : layout.SUBMISSION_SHUT, 0);
  }

  /** Nobody can read it any more, nor will anybody ask. @internal */
  forsake(): void {
    this.drop();
    if (!this.over) this.#order(layout.SUBMISSION_FORSAKE, 0);
  }

  /** Until another piece comes, what is taken is told at once. @internal */
  press(): void {
    this.#pressed = true;
    if (this.#taken > 0) this.#tell();
  }

  /** What has come and was not taken is given to nobody. @internal */
  drop(): void {
    this.#dropping = true;
    this.#pieces = [];
    this.#wires = [];
    this.#first = 0;
    this.#block = EMPTY;
    this.#filled = 0;
    this.buffered = 0;
  }

  /** A piece came. @internal */
  push(bytes: Buffer, wire: number): void {
    // It was on its way already.
    if (this.#dropping) return;
    this.#pieces.push(bytes);
    this.#wires.push(wire);
    this.#came(bytes.length);
  }

  /**
   * A small piece came, in memory that has others in it: unread, it would hold theirs too. So it is copied behind those
   * before it; where a reader has left a few of them lying, it is made one with the last. @internal
   */
  copy(from: Buffer, start: number, length: number, wire: number): void {
    if (this.#dropping) return;
    const end = start + length;
    if (length > BLOCK / 4) {
      const alone = blockOf(length);
      from.copy(alone, 0, start, end);
      return this.push(alone, wire);
    }
    if (length > this.#block.length - this.#filled) {
      // The first is often the only one.
      const room = this.#block.length === 0 ? length : Math.max(this.#block.length * 2, length * 4);
      this.#block = blockOf(Math.min(room, BLOCK));
      this.#filled = 0;
    }
    const at = this.#filled;
    this.#filled += from.copy(this.#block, at, start, end);
    const last = this.#pieces.length - 1;
    const before = this.#pieces[last] as Buffer;
    if (last - this.#first < FEW || before.buffer !== this.#block.buffer) {
      return this.push(length === this.#block.length ? this.#block : this.#block.subarray(at, this.#filled), wire);
    }
    this.#came(length);
    this.#pieces[last] = this.#block.subarray(at - before.length, this.#filled);
    this.#wires[last] = wire;
  }

  #came(bytes: number): void {
    this.#pressed = false;
    this.#granted = Math.max(0, this.#granted - Math.max(bytes, layout.FLOW_LEAST));
    this.buffered += bytes;
    this.#rouse();
  }

  /** The rest came. @internal */
  finish(bytes: Buffer, headroom: number): void {
    this.rest = { bytes, headroom };
  }

  /** The end came. @internal */
  end(ending: Ending): void {
    this.ending = ending;
    this.#over?.();
    this.#rouse();
  }

  /** It failed. @internal */
  fail(error: unknown): void {
    if (this.over) return;
    this.failure = { error };
    this.#over?.();
    this.#rouse();
  }

  #tell(): void {
    if (!this.over) this.#order(layout.SUBMISSION_GRANT, 0);
  }

  #order(kind: number, bytes: number): void {
    this.#carrier.order(kind, this.#slot, this.#generation, bytes, this.#taken);
    this.#taken = 0;
  }

  #rouse(): void {
    const wake = this.#wake;
    if (wake === null) return;
    this.#wake = null;
    this.#waiting = null;
    this.#carrier.hold(false);
    wake();
  }
}

/** Where a request's body comes from. */
export interface Source {
  /** Bytes in all, `null` where that is not known. */
  readonly length: number | null;
  /** The request is on its way; it may be long before anything is wanted. */
  accept?(): void;
  /** Whether it can be begun more than once. */
  readonly again: boolean;
  /** Begins it, from its start. */
  open(): Pieces;
  /** It will not be begun: what it holds is let go. */
  discard?(): void;
}

/** A body's pieces, one after the other. */
export interface Pieces {
  /** The next one, `null` at the end. */
  next(): Uint8Array | null | Promise<Uint8Array | null>;
  /** Nobody wants the rest. */
  cancel(): void;
}

/** A request's body as it goes: begun when there is room for its first piece, and never sooner. */
export class Outflow {
  readonly #source: Source;
  #pieces: Pieces | null = null;
  #room = 0;
  #state: 'idle' | 'pumping' | 'over' = 'idle';
  /** What the source failed with. */
  failure: { readonly error: unknown } | null = null;

  constructor(source: Source) {
    this.#source = source;
    source.accept?.();
  }

  /** There is room for so many more bytes. @internal */
  want(carrier: Carrier, slot: number, generation: number, bytes: number): void {
    this.#room += bytes;
    if (this.#state === 'idle') void this.#pump(carrier, slot, generation);
  }

  /**
   * The same body from its beginning, if it can be produced again; the body so far is not wanted any more.
   *
   * @internal
   */
  renewed(): Outflow | null {
    if (!this.#source.again) return null;
    this.stop();
    return new Outflow(this.#source);
  }

  /** Bytes in all, `null` where that is not known. @internal */
  get length(): number | null {
    return this.#source.length;
  }

  /** Nobody wants the rest. @internal */
  stop(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    try {
      if (this.#pieces === null) this.#source.discard?.();
      else this.#pieces.cancel();
    } catch {
      // A source that cannot even be cancelled has nobody left to be told.
    }
  }

  async #pump(carrier: Carrier, slot: number, generation: number): Promise<void> {
    this.#state = 'pumping';
    try {
      this.#pieces ??= this.#source.open();
      for (let nth = 1; this.#room > 0; nth += 1) {
        // A source without end whose pieces are empty, or there at once, must leave others their turn.
        if (nth % A_TURN === 0) await setImmediate();
        if (this.#isOver()) return;
        const step = this.#pieces.next();
        const piece = step instanceof Promise ? await step : step;
        if (this.#isOver()) return;
        if (piece === null) {
          this.#state = 'over';
          carrier.finish(slot, generation, null);
          return;
        }
        // What a piece has too much is not owed: the core forgets it too.
        if (piece.length > 0) this.#room = Math.max(0, this.#room - Math.max(piece.length, layout.FLOW_LEAST));
        if (piece.length > 0) carrier.piece(slot, generation, piece);
      }
      this.#state = 'idle';
    } catch (error) {
      if (this.#isOver()) return;
      this.failure = { error };
      this.stop();
      carrier.finish(slot, generation, saying(error));
    }
  }

  #isOver(): boolean {
    return this.#state === 'over';
  }
}

/** Memory for small pieces. Transferred to another thread with one of them, it would be gone for those that still wait in it. */
function blockOf(size: number): Buffer {
  const block = Buffer.allocUnsafeSlow(size);
  markAsUntransferable(block.buffer);
  return block;
}

/** What a source's error says, with its name: the error itself is the caller's to see, as the cause. */
function saying(error: unknown): string {
  try {
    return String(error);
  } catch {
    return 'it threw what has no text';
  }
}

const EMPTY: Buffer = Buffer.alloc(0);
/** A number in a record has 32 bits. */
const MOST_GRANTED = 2 ** 31;
/** Pieces of a request's body that are taken in one turn of the event loop. */
const A_TURN = 256;
/** Bytes of a block that small pieces are copied into; one that would fill a quarter of it has memory of its own. */
const BLOCK = 16 * 1024;
/** Pieces that lie around as they came; small ones behind them are put together. */
const FEW = 16;
/** Places at the front of the queue that are empty before it is moved up. */
const MOST_GAPS = 64;

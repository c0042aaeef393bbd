/**
 * An environment's engine, mirroring `crate/binding/engine.rs`: calls go out in batches, one hand-over a microtask;
 * completions come in blocks, one wake-up for all there is.
 *
 * Records are copied into slabs that JavaScript made, so that a small response costs no native object: its parts are
 * views, made when they are first touched. A slab lives as long as any response in it.
 */
import { DRAIN_AGAIN, DRAIN_TRIES, EXTERNAL_MOST, FALLEN, LARGE_PIECE, MOST_SAID, SLAB } from './bounds.ts';
import * as layout from './generated.ts';
import { Handles } from './handles.ts';
import { addon, guarded, panicked } from './load.ts';
import { LoopHold } from './loop.ts';
import { Batch, requestBound, Unsendable, type Call } from './marshal.ts';
import { Connections, warned } from './notices.ts';
import {
  innermost,
  LOST,
  newSlab,
  nothing,
  OpenHeads,
  refusal,
  settle,
  unsendable,
  type Answerer,
  type ErrorRecord,
  type Owner,
  type Pending,
  type Question,
  type Raw,
} from './records.ts';
import { Signals } from './signals.ts';
import { Slots } from './slots.ts';
import { Inflow, Outflow, type Carrier } from './stream.ts';
import { Sweeper } from './sweeper.ts';

export type {
  Answerer,
  ConnectionFacts,
  ErrorRecord,
  Owner,
  PastRecord,
  PauseRecord,
  Pending,
  Question,
  Raw,
  Slab,
  StoryRecord,
} from './records.ts';

/** One I/O thread's. */
export class Engine implements Carrier {
  readonly #native = guarded(() => new addon.Engine(() => this.#onWake()));
  /** Pools and managers, by the handles that the addon knows them by. */
  readonly handles: Handles = new Handles(this.#native, (handle) => this.#forget(handle));
  readonly #batch = new Batch();
  #scheduled = false;
  readonly #slots = new Slots<Pending>();
  readonly #connections = new Connections();
  readonly #signals = new Signals<Pending>((pending, reason) => this.#cut(pending, reason));
  readonly #unread = new FinalizationRegistry<WeakRef<Inflow>>((inflow) => inflow.deref()?.forsake());
  readonly #sweeper = new Sweeper();
  /** For readers that wait for bodies. */
  readonly #loop = new LoopHold((on) => guarded(() => this.#native.hold(on)));
  #slab = newSlab(SLAB);
  /** Bytes of the slab that hold records, and those of them that have been delivered. */
  #filled = 0;
  #delivered = 0;
  readonly #heads = new OpenHeads();
  /** The I/O thread has fallen; the next hand-over starts another. */
  #fallen = false;
  /** Drains that failed one after the other. */
  #failures = 0;

  /** A manager forgets its pools. */
  clear(handle: number): void {
    // What was asked for before is in flight.
    this.#flush();
    this.handles.clear(handle);
  }

  /** Writes the call down and hands it over with the others of this turn. */
  request<T>(
    owner: Owner,
    call: Call,
    signal: AbortSignal | null,
    retries: object,
    asking: Answerer | null,
  ): Promise<T> {
    const batch = this.#batch;
    // First: a stream's own code runs in here. It may throw, and it may make calls.
    const outflow = call.source === null ? null : new Outflow(call.source);
    const most = requestBound(call);
    if (!batch.fits(most)) this.#makeRoom(most);
    const slot = this.#slots.reserve();
    const generation = this.#slots.generation(slot);
    try {
      batch.request(slot, generation, call);
    } catch (error) {
      this.#slots.giveBack(slot);
      if (batch.enlarged) batch.reset();
      outflow?.stop();
      throw error instanceof Unsendable ? owner.refuse(unsendable(error.message), call.url, call.method) : error;
    }
    batch.calls += 1;
    this.#schedule();
    const outcome = new Promise<T>((resolve, reject) => {
      const { method, url, flags, fields, proxy, onProgress, onSent } = call;
      const pending: Pending = {
        resolve,
        reject,
        inflow: null,
        outflow,
        onProgress,
        onSent,
        flags,
        owner,
        method,
        url,
        fields,
        proxy,
        signal,
        asking,
        retries,
        slot,
        generation,
      };
      this.#slots.keep(pending);
      if (signal !== null) this.#signals.watch(signal, pending);
    });
    // A small call written behind a large one would keep the whole buffer in memory for as long as it takes.
    if (batch.enlarged) this.#flush();
    return outcome;
  }

  /** Bytes of streamed bodies that may lie around without having been taken. */
  allow(bytes: number): void {
    guarded(() => this.#native.budget(bytes));
  }

  /** Opens connections. */
  warm(owner: Owner, handle: number, count: number, asking: Answerer | null): Promise<void> {
    return this.#control<void>(layout.SUBMISSION_WARM, owner, handle, count, Number.NaN, asking);
  }

  /** Closes a pool; `timeout` in milliseconds, or `null` to wait for every lease. */
  close<T>(owner: Owner, handle: number, timeout: number | null): Promise<T> {
    return this.#control<T>(layout.SUBMISSION_CLOSE, owner, handle, 0, timeout ?? Number.NaN);
  }

  #control<T>(
    kind: number,
    owner: Owner,
    handle: number,
    count: number,
    span: number,
    asking: Answerer | null = null,
  ): Promise<T> {
    if (!this.#batch.fits(layout.REQUEST_FIXED)) this.#flush();
    const slot = this.#slots.reserve();
    const generation = this.#slots.generation(slot);
    this.#batch.control(kind, slot, generation, handle, count, span);
    this.#batch.calls += 1;
    this.#schedule();
    return new Promise<T>((resolve, reject) => {
      const rest = {
        inflow: null,
        outflow: null,
        onProgress: null,
        onSent: null,
        flags: 0,
        method: null,
        url: '',
        fields: null,
        proxy: null,
        signal: null,
        retries: owner.retries,
      };
      this.#slots.keep({ resolve, reject, owner, slot, generation, asking, ...rest });
    });
  }

  /** @internal */
  order(kind: number, slot: number, generation: number, bytes: number, taken: number): void {
    if (!this.#batch.fits(layout.REQUEST_FIXED)) this.#flush();
    this.#batch.control(kind, slot, generation, 0, bytes, taken);
    this.#schedule();
  }

  /** @internal */
  piece(slot: number, generation: number, bytes: Uint8Array): void {
    if (bytes.length < LARGE_PIECE) {
      this.#payload(layout.SUBMISSION_PIECE, slot, generation, bytes);
      return;
    }
    // Behind what was written before it.
    this.#flush();
    if (!this.#fallen) guarded(() => this.#native.push(slot, generation, bytes));
  }

  /** @internal */
  finish(slot: number, generation: number, failure: string | null): void {
    if (failure === null) this.#payload(layout.SUBMISSION_FINISH, slot, generation, '');
    else this.#payload(layout.SUBMISSION_BREAK, slot, generation, failure.slice(0, MOST_SAID));
  }

  /** @internal */
  hold(on: boolean): void {
    this.#loop.change(on);
  }

  #payload(kind: number, slot: number, generation: number, payload: string | Uint8Array): void {
    const most = layout.REQUEST_FIXED + payload.length * 3 + 8;
    if (!this.#batch.fits(most)) this.#makeRoom(most);
    this.#batch.payload(kind, slot, generation, payload);
    this.#schedule();
    // An answer can be as large as a jar, which servers fill.
    if (this.#batch.enlarged) this.#flush();
  }

  /** Takes a call out that has ended. */
  #take(slot: number, generation: number): Pending | null {
    const pending = this.#slots.take(slot, generation);
    if (pending === null) return null;
    if (pending.signal !== null) this.#signals.unwatch(pending.signal, pending);
    // Whatever became of the call, nobody wants more of its body, or its answers.
    pending.outflow?.stop();
    pending.asking?.end();
    return pending;
  }

  /** The call that a record is about, which goes on. */
  #peek(base: number): Pending | null {
    const { words } = this.#slab;
    return this.#slots.find(
      words[base + layout.RECORD_SLOT] as number,
      words[base + layout.RECORD_GENERATION] as number,
    );
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#handOver);
  }

  readonly #handOver = (): void => {
    this.#scheduled = false;
    this.#flush();
  };

  /** Whatever becomes of the hand-over, each call in it ends: by its completion, or here. */
  #flush(): void {
    const batch = this.#batch;
    if (batch.used === 0) return;
    const { bytes, used, calls } = batch;
    const records = used === bytes.length ? bytes : bytes.subarray(0, used);
    try {
      if (this.#fallen) this.#revive();
      this.#native.submit(records, calls);
    } catch (error) {
      this.#lose([...batch.ids()], { ...LOST, message: panicked(error), sent: false });
    }
    batch.reset();
  }

  #makeRoom(most: number): void {
    this.#flush();
    if (!this.#batch.fits(most)) this.#batch.grow(most);
  }

  /** What is not delivered now is not lost: a drain that failed is tried again in another turn. */
  #onWake(): void {
    try {
      this.#drain();
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      if (this.#failures < DRAIN_TRIES) {
        setImmediate(() => this.#onWake());
        return;
      }
      this.#failures = 0;
      this.#delivered = this.#filled;
      this.#lose(this.#slots.ids(), { ...LOST, message: panicked(error) });
      // Nobody rings again before this has been answered.
      setTimeout(() => this.#onWake(), DRAIN_AGAIN);
    }
  }

  #drain(): void {
    // Some may be left of a drain that failed.
    let external = this.#deliver();
    for (;;) {
      const from = this.#filled;
      const drained = this.#native.drain(this.#slab.bytes, from);
      if (drained === FALLEN) return this.#fall();
      const more = drained < 0;
      const end = from + (more ? ~drained : drained);
      this.#filled = end;
      const delivered = this.#deliver();
      external += delivered;
      this.#sweeper.note(delivered);
      if (!more) return;
      // V8 frees what was handed over only between turns: the rest waits for the next one.
      if (external > EXTERNAL_MOST) return this.#native.ring();
      const needed = this.#native.needed();
      if (needed > this.#slab.bytes.length - this.#filled) this.#renewSlab(needed);
      else if (end === from) throw new Error('a completion does not add up');
    }
  }

  #renewSlab(least: number): void {
    this.#heads.moveOut();
    this.#slab = newSlab(Math.max(SLAB, (least + 7) & ~7));
    this.#filled = 0;
    this.#delivered = 0;
  }

  /** Delivers the records that have not been; how many bytes came beside them. */
  #deliver(): number {
    const { words } = this.#slab;
    const end = this.#filled;
    let external = 0;
    while (this.#delivered < end) {
      const base = this.#delivered >> 2;
      const length = words[base + layout.RECORD_LENGTH] as number;
      switch (words[base + layout.RECORD_KIND]) {
        case layout.COMPLETION_RESPONSE:
          external += this.#respond(base);
          break;
        case layout.COMPLETION_ERROR:
          external += this.#fail(base);
          break;
        case layout.COMPLETION_PIECE:
          external += this.#piece(base);
          break;
        case layout.COMPLETION_END:
          this.#end(base);
          break;
        case layout.COMPLETION_WANT: {
          const pending = this.#peek(base);
          pending?.outflow?.want(this, pending.slot, pending.generation, this.#double(base + layout.FLOW_COUNT));
          break;
        }
        case layout.COMPLETION_PRESS:
          this.#peek(base)?.inflow?.press();
          break;
        case layout.COMPLETION_PROGRESS:
          this.#progress(base);
          break;
        case layout.COMPLETION_QUESTION:
          this.#question(base);
          break;
        default:
          this.#notice(base);
      }
      this.#delivered += length;
    }
    return external;
  }

  #respond(base: number): number {
    const { words } = this.#slab;
    const slot = words[base + layout.RECORD_SLOT] as number;
    const generation = words[base + layout.RECORD_GENERATION] as number;
    let external: Buffer | null = null;
    if (((words[base + layout.RESPONSE_FLAGS] as number) & layout.RESPONSE_EXTERNAL) !== 0) {
      external = this.#native.takeBody(slot, generation);
    }
    const streamed = ((words[base + layout.RESPONSE_FLAGS] as number) & layout.RESPONSE_STREAM) !== 0;
    const pending = streamed ? this.#peek(base) : this.#take(slot, generation);
    if (pending !== null) {
      const inflow = streamed ? this.#stream(pending) : null;
      const connection = words[base + layout.RESPONSE_CONNECTION] as number;
      const raw: Raw = {
        slab: this.#slab,
        base,
        external,
        inflow,
        undecoded: (pending.flags & layout.REQUEST_RAW) !== 0,
        owner: pending.owner,
        method: pending.method,
        url: pending.url,
        fields: pending.fields,
        connection: this.#connections.get(connection),
        retries: pending.retries,
      };
      if (inflow !== null) this.#heads.note(raw);
      const { resolve, reject } = pending;
      // A promise leads to its response, whose collection is how a body that nobody reads is noticed.
      pending.inflow = inflow;
      pending.resolve = nothing;
      pending.reject = nothing;
      try {
        resolve(pending.owner.respond(raw) as never);
      } catch (error) {
        inflow?.letGo(false);
        reject(error);
      }
    }
    return external === null ? 0 : external.length;
  }

  #question(base: number): void {
    const pending = this.#peek(base);
    // Its call may have ended meanwhile; the core knows by then.
    if (pending === null || pending.asking === null) return;
    const question = JSON.parse(this.#text(base)) as Question;
    void this.#answer(pending.asking, question, pending);
  }

  async #answer(asking: Answerer, question: Question, pending: Pending): Promise<void> {
    this.#payload(layout.SUBMISSION_ANSWER, question.number, 0, await asking.answer(question, pending));
  }

  #piece(base: number): number {
    const { words, bytes } = this.#slab;
    const flags = words[base + layout.FLOW_FLAGS] as number;
    const length = words[base + layout.FLOW_BYTES] as number;
    const external = (flags & layout.RESPONSE_EXTERNAL) !== 0;
    const slot = words[base + layout.RECORD_SLOT] as number;
    const piece = external ? this.#native.takeBody(slot, words[base + layout.RECORD_GENERATION] as number) : null;
    const inflow = this.#peek(base)?.inflow ?? null;
    const start = (base << 2) + layout.FLOW_FIXED;
    if ((flags & layout.FLOW_REST) !== 0) {
      inflow?.finish(piece ?? bytes.subarray(start, start + length), words[base + layout.FLOW_FIRST] as number);
    } else if (piece === null) inflow?.copy(bytes, start, length, this.#double(base + layout.FLOW_COUNT));
    else inflow?.push(piece, this.#double(base + layout.FLOW_COUNT));
    return external ? length : 0;
  }

  #end(base: number): void {
    const { words, bytes, floats } = this.#slab;
    const pending = this.#take(
      words[base + layout.RECORD_SLOT] as number,
      words[base + layout.RECORD_GENERATION] as number,
    );
    const start = (base << 2) + layout.FLOW_FIXED;
    pending?.inflow?.end({
      trailers: bytes.toString('latin1', start, start + (words[base + layout.FLOW_BYTES] as number)),
      read: ((words[base + layout.FLOW_FLAGS] as number) & layout.FLOW_READ) !== 0,
      wire: this.#double(base + layout.FLOW_COUNT),
      body: floats[base + layout.FLOW_FIRST] as number,
      total: floats[base + layout.FLOW_SECOND] as number,
    });
  }

  #progress(base: number): void {
    const total = this.#double(base + layout.FLOW_TOTAL);
    const flags = this.#slab.words[base + layout.FLOW_FLAGS] as number;
    const up = (flags & layout.FLOW_UP) !== 0;
    const pending = this.#peek(base);
    if ((flags & layout.FLOW_SENT) !== 0) {
      pending?.onSent?.();
      return;
    }
    if (pending === null || pending.onProgress === null) return;
    const bytes = this.#double(base + layout.FLOW_COUNT);
    try {
      const busy = pending.onProgress(up ? 'up' : 'down', bytes, Number.isNaN(total) ? null : total);
      // Nobody waits for it: it may fail when the call is over, and then it failed for nobody.
      busy?.catch((error: unknown) => {
        if (this.#slots.find(pending.slot, pending.generation) === pending) this.#cut(pending, error);
      });
    } catch (error) {
      // What the caller's function throws ends his call.
      this.#cut(pending, error);
    }
  }

  #double(at: number): number {
    return this.#slab.doubles[at >> 1] as number;
  }

  /** From here on the call is a body. */
  #stream({ slot, generation, flags }: Pending): Inflow {
    const asked = flags & layout.REQUEST_STREAM_ASKS;
    const inflow = new Inflow(this, slot, generation, asked === 0 ? layout.FLOW_UNASKED : 0);
    inflow.watch = (reader) => this.#unread.register(reader, new WeakRef(inflow));
    return inflow;
  }

  #fail(base: number): number {
    const { words, bytes } = this.#slab;
    const slot = words[base + layout.RECORD_SLOT] as number;
    const generation = words[base + layout.RECORD_GENERATION] as number;
    const text = (base << 2) + layout.NOTICE_FIXED;
    const length = words[base + layout.NOTICE_TEXT] as number;
    const record = JSON.parse(bytes.toString('utf8', text, text + length)) as ErrorRecord;
    let external = 0;
    if (words[base + layout.NOTICE_HAS_PARTIAL] === 1) {
      let partial: Buffer;
      if (((words[base + layout.NOTICE_FLAGS] as number) & layout.RESPONSE_EXTERNAL) !== 0) {
        partial = this.#native.takeBody(slot, generation);
        external = partial.length;
      } else {
        const from = text + length;
        partial = Buffer.from(bytes.subarray(from, from + (words[base + layout.NOTICE_PARTIAL] as number)));
      }
      innermost(record).partial = partial;
    }
    const pending = this.#take(slot, generation);
    // Of a body that was let go unread, a read after that gives nothing.
    if (record.code === 'ERR_UNREAD_TIMEOUT') pending?.inflow?.drop();
    // An aborted call was rejected with the signal's own reason already; this is for one that nobody aborted.
    if (pending !== null)
      settle(pending, pending.signal?.aborted === true ? pending.signal.reason : refusal(pending, record));
    return external;
  }

  /** The JSON of a notice. */
  #text(base: number): string {
    const { words, bytes } = this.#slab;
    const at = (base << 2) + layout.NOTICE_FIXED;
    return bytes.toString('utf8', at, at + (words[base + layout.NOTICE_TEXT] as number));
  }

  #notice(base: number): void {
    const { words } = this.#slab;
    const json = this.#text(base);
    const slot = words[base + layout.RECORD_SLOT] as number;
    switch (words[base + layout.RECORD_KIND]) {
      case layout.COMPLETION_REPLY: {
        const pending = this.#take(slot, words[base + layout.RECORD_GENERATION] as number);
        const value: unknown = JSON.parse(json);
        pending?.resolve((value ?? undefined) as never);
        break;
      }
      case layout.COMPLETION_OPENED:
        this.#connections.opened(slot, json);
        break;
      case layout.COMPLETION_CLOSED:
        this.#connections.closed(slot, json);
        break;
      case layout.COMPLETION_PAUSED:
        this.handles.paused(slot, json);
        break;
      case layout.COMPLETION_WARNING:
        warned(json);
        break;
      default:
        throw new Error(`ERR_INTERNAL: a completion of unknown kind ${words[base + layout.RECORD_KIND]}`);
    }
  }

  /** The I/O thread died of a bug of ours: what was in flight is lost and says so, what comes next is served again. */
  #fall(): void {
    if (this.#fallen) return;
    this.#fallen = true;
    // The addon has let go of the event loop: what lets go of it once more would let go of the next thread's calls.
    this.#loop.forget();
    this.#connections.fell();
    const waiting = new Set([...this.#batch.ids()].map(([slot]) => slot));
    // What has not been handed over yet goes to the next thread.
    this.#lose(
      this.#slots.ids().filter(([slot]) => !waiting.has(slot)),
      LOST,
    );
  }

  #revive(): void {
    this.#native.revive();
    this.#fallen = false;
  }

  #lose(calls: [slot: number, generation: number][], record: ErrorRecord): void {
    for (const [slot, generation] of calls) {
      const pending = this.#take(slot, generation);
      if (pending !== null) settle(pending, refusal(pending, record));
    }
  }

  #forget(handle: number): void {
    if (!this.#batch.fits(layout.REQUEST_FIXED)) this.#flush();
    this.#batch.control(layout.SUBMISSION_FORGET, 0, 0, handle);
    // At once: the handle may be given to another pool as soon as it is free.
    this.#flush();
  }

  /** The promise rejects now; the slot stays until the core has let go. */
  #cut(pending: Pending, error: unknown): void {
    const { slot, generation } = pending;
    settle(pending, error);
    pending.outflow?.stop();
    pending.asking?.end();
    if (!this.#batch.fits(layout.REQUEST_FIXED)) this.#flush();
    this.#batch.control(layout.SUBMISSION_ABORT, slot, generation, 0);
    this.#schedule();
  }
}

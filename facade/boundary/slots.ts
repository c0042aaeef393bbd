/**
 * Where calls that have not completed are kept. A call's id is a slot and the slot's generation, so that what comes too late
 * for one call never finds the next one in its place.
 */

/** What is kept. */
export interface Kept {
  readonly slot: number;
  readonly generation: number;
}

/** Calls by their ids. */
export class Slots<C extends Kept> {
  readonly #calls: (C | null)[] = [];
  readonly #generations: number[] = [];
  readonly #free: number[] = [];

  /** A slot that nobody has. */
  reserve(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    this.#generations.push(0);
    return this.#calls.push(null) - 1;
  }

  /** The generation that a reserved slot's call will have. */
  generation(slot: number): number {
    return this.#generations[slot] as number;
  }

  /** Gives a reserved slot back that came to nothing. */
  giveBack(slot: number): void {
    this.#free.push(slot);
  }

  keep(call: C): void {
    this.#calls[call.slot] = call;
  }

  find(slot: number, generation: number): C | null {
    const call = this.#calls[slot];
    return call === null || call === undefined || call.generation !== generation ? null : call;
  }

  /** Takes a call out. */
  take(slot: number, generation: number): C | null {
    const call = this.find(slot, generation);
    if (call === null) return null;
    this.#calls[slot] = null;
    this.#generations[slot] = (generation + 1) >>> 0;
    this.#free.push(slot);
    return call;
  }

  /** The ids of all. */
  ids(): [slot: number, generation: number][] {
    return this.#calls.filter((one) => one !== null).map(({ slot, generation }) => [slot, generation]);
  }
}

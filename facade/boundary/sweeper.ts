/**
 * V8 frees memory that it was handed only with a collection, and starts one for it only when there are 64 MiB: a full one.
 * Asked for memory of its own while it holds much young memory, it collects the young alone, which is far cheaper; so it is
 * asked for a little now and then.
 */
export class Sweeper {
  /** Bytes handed over since V8 was last asked for memory of its own. */
  #unswept = 0;

  /** So many bytes more were handed over. */
  note(external: number): void {
    this.#unswept += external;
    if (this.#unswept < SWEEP_EVERY) return;
    this.#unswept = 0;
    // Its own, not a part of Node's pool.
    void new ArrayBuffer(8);
  }
}

/** V8 collects its young memory when that holds 32 MiB: it gets the occasion this often. */
const SWEEP_EVERY = 2 * 1024 * 1024;

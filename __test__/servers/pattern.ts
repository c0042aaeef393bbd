/** What the large bodies of the tests consist of: blocks that tell whose body they belong to, and where in it they are. */

/** Bytes of a block. */
export const BLOCK = 64 * 1024;

/** The block of this body at this place, which is a multiple of {@link BLOCK}. */
export function blockAt(seed: number, at: number): Buffer {
  const byte = (seed * 31 + (at / BLOCK) * 7) % 256;
  return (blocks[byte] ??= Buffer.alloc(BLOCK, byte));
}

/** Follows a body that comes in pieces of any size. */
export class Follower {
  readonly #seed: number;
  /** Bytes so far. */
  at = 0;
  /** Bytes that were another's, or in another place. */
  wrong = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Takes in the next piece. */
  take(piece: Uint8Array): void {
    for (let from = 0; from < piece.length;) {
      const within = this.at % BLOCK;
      const length = Math.min(BLOCK - within, piece.length - from);
      const wanted = blockAt(this.#seed, this.at - within).subarray(within, within + length);
      if (!wanted.equals(piece.subarray(from, from + length))) this.wrong += length;
      from += length;
      this.at += length;
    }
  }
}

const blocks: (Buffer | undefined)[] = [];

/**
 * Pieces that become one. Small ones are copied together: each by itself costs far more memory than it has bytes.
 */

/** @internal */
export class Gathered {
  #pieces: Buffer[] = [];
  /** Where small pieces go, behind each other; it is the last of the pieces, once it has any. */
  #block: Buffer | null = null;
  #used = 0;
  length = 0;

  add(piece: Buffer): void {
    this.length += piece.length;
    if (piece.length >= WORTH_KEEPING || this.#pieces.length < FEW) {
      this.#seal();
      this.#pieces.push(piece);
      return;
    }
    let at = 0;
    while (at < piece.length) {
      if (this.#block === null || this.#used === this.#block.length) {
        this.#seal();
        this.#block = Buffer.allocUnsafeSlow(BLOCK);
      }
      const copied = piece.copy(this.#block, this.#used, at);
      this.#used += copied;
      at += copied;
    }
  }

  /** All of them; it is empty then. */
  take(): Buffer {
    this.#seal();
    const [first, second] = this.#pieces;
    const all = first !== undefined && second === undefined ? first : Buffer.concat(this.#pieces, this.length);
    this.#pieces = [];
    this.length = 0;
    return all;
  }

  #seal(): void {
    if (this.#block !== null) this.#pieces.push(this.#block.subarray(0, this.#used));
    this.#block = null;
    this.#used = 0;
  }
}

/** Bytes of the blocks into which small pieces are copied. */
const BLOCK = 64 * 1024;
/** Pieces that are put together when they are few, or as large as this, are not copied first. */
const FEW = 16;
const WORTH_KEEPING = 16 * 1024;

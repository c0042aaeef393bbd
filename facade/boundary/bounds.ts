/** What the engine keeps to. */

/** Bytes of a slab: the most that one small response can keep alive. */
export const SLAB: number = 64 * 1024;
/** Bytes of a piece that is handed over by itself. */
export const LARGE_PIECE: number = 16 * 1024;
/** Characters of what a failed source says. */
export const MOST_SAID: number = 1024;
/** Bytes handed over in one turn. */
export const EXTERNAL_MOST: number = 64 * 1024 * 1024;
/** A drain that fails so often at a stretch will not succeed. */
export const DRAIN_TRIES: number = 8;
/** Milliseconds until it is tried all the same. */
export const DRAIN_AGAIN: number = 500;
/** What `drain` says when there is no I/O thread any more. */
export const FALLEN: number = -(2 ** 31);

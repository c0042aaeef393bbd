/** What a streamed body of a long run is made of: blocks of one byte each, the next block's byte being the next number. */
export const blockSize = 65_536;
export const patterns = 251;

/** The byte at a place of the body that begins with `seed`. */
export function patternAt(seed, place) {
  return (seed + Math.floor(place / blockSize)) % patterns;
}

/**
 * Streamed bodies: what they are made of, how a client's reading of one is checked, and how both directions are measured.
 * A streamed body is never in one place, so it is looked at as it goes by; what is measured is MiB, not requests.
 */
import { performance } from 'node:perf_hooks';
import { cpuTimes, peakMemory } from './machine.js';

export const mebibyte = 1_048_576;

/** Each MiB begins with its number in so many digits; the run's token comes next. */
const stamp = 8;
const token = 8;

/** The pieces of the body that is downloaded: a block of 1 MiB again and again, each time with its number. */
export function* wirePieces(block, size) {
  for (let number = 0; number * mebibyte < size; number += 1) {
    const piece = Buffer.from(block);
    piece.write(String(number).padStart(stamp, '0'), 0, 'latin1');
    yield piece;
  }
}

/** The pieces of the body that is uploaded: the same Buffer again, so that making it costs nothing. */
export function* uploadPieces(size) {
  for (let left = size; left > 0; left -= uploadPiece.length) {
    yield left >= uploadPiece.length ? uploadPiece : uploadPiece.subarray(0, left);
  }
}

const uploadPiece = Buffer.alloc(64 * 1024, 'u');

/**
 * Watches a body go by: `take` each piece, then `end`. The first bytes of every MiB are compared and the last ones of
 * all, and everything where it is thorough. A piece that is missing, doubled or in the wrong place does not pass.
 */
export function watchBody(block, size, thorough) {
  const { places, bytes } = watched(block, size);
  let [at, next] = [0, 0];
  return {
    take(piece) {
      const end = at + piece.length;
      while (next < places.length && places[next] < end) {
        if (piece[places[next] - at] !== bytes[next])
          throw new Error(`the byte at ${places[next]} is not the expected one`);
        next += 1;
      }
      if (thorough) compare(piece, at, block);
      at = end;
    },
    end() {
      if (at !== size) throw new Error(`a body of ${at} bytes is not the expected one of ${size}`);
    },
  };
}

/** Where to look and what is there; made once. */
function watched(block, size) {
  if (known?.size === size) return known;
  const [places, bytes] = [[], []];
  const watch = (place, byte) => {
    places.push(place);
    bytes.push(byte);
  };
  for (let number = 0; number * mebibyte < size; number += 1) {
    const digits = String(number).padStart(stamp, '0');
    for (let n = 0; n < stamp; n += 1) watch(number * mebibyte + n, digits.charCodeAt(n));
    for (let n = stamp; n < stamp + token; n += 1) watch(number * mebibyte + n, block[n]);
  }
  for (let n = token; n > 0; n -= 1) watch(size - n, block[block.length - n]);
  known = { size, places, bytes };
  return known;
}

let known;

/** All of a piece but the stamps, which are watched anyway. */
function compare(piece, at, block) {
  for (let done = 0; done < piece.length;) {
    const within = (at + done) % mebibyte;
    const length = Math.min(piece.length - done, mebibyte - within);
    const from = Math.min(Math.max(stamp - within, 0), length);
    const [theirs, ours] = [piece.subarray(done + from, done + length), block.subarray(within + from, within + length)];
    if (Buffer.compare(theirs, ours) !== 0)
      throw new Error(`between ${at + done} and ${at + done + length} a byte is wrong`);
    done += length;
  }
}

/**
 * One body after the other: a thorough one at first, others until the client has had its time to warm up, then whole
 * bodies until the measured time is over. From the end of one to the end of another, so none is counted in part.
 */
export async function measureStream(opened, { kind, path }, { seconds, warmup, size }, block) {
  const down = async (thorough) => {
    const watch = watchBody(block, size, thorough);
    await opened.down(path, (piece) => watch.take(piece));
    watch.end();
  };
  const up = async () => {
    const counted = await opened.up(path, uploadPieces(size), size);
    if (Number(counted) !== size) throw new Error(`the server counted ${counted} of ${size} bytes`);
  };
  const one = kind === 'stream-up' ? up : down;

  const began = performance.now();
  await one(true);
  while (performance.now() - began < warmup.atMost * 1000) await one(false);
  const before = { at: performance.now(), cpu: cpuTimes() };
  let requests = 0;
  while (requests === 0 || performance.now() - before.at < seconds * 1000) {
    await one(false);
    requests += 1;
  }
  const after = { at: performance.now(), cpu: cpuTimes() };
  return figures(requests, (requests * size) / mebibyte, before, after);
}

function figures(requests, amount, before, after) {
  const seconds = (after.at - before.at) / 1000;
  const each = (from, to) => (from === null || to === null ? null : (to - from) / amount);
  return {
    requests,
    seconds,
    rate: amount / seconds,
    main: each(before.cpu.main, after.cpu.main),
    process: each(before.cpu.process, after.cpu.process),
    rss: peakMemory(),
  };
}

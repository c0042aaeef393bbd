/** What the long runs share: the clock, lanes of work, resident memory over time, and the pool's books. */
import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** When the run began and when it has to end early; set by whoever starts it. */
export const clock = { began: 0, deadline: Infinity };

const mebibytes = () => process.memoryUsage.rss() / 1_048_576;

/** Resident memory over a run: flat when the last third is no higher than the second by more than a tenth. */
export class Memory {
  #samples = [];
  #next = 0;
  #base = null;
  #peak = 0;

  look() {
    const now = performance.now();
    if (now < this.#next) return;
    this.#next = now + 250;
    this.#samples.push([(now - clock.began) / 60_000, mebibytes()]);
  }

  /** From here on the peak counts, and is compared with what there is now; looked at all the time, whoever calls. */
  warm() {
    this.#base = mebibytes();
    this.#peak = this.#base;
    const see = () => {
      this.#peak = Math.max(this.#peak, mebibytes());
      this.look();
    };
    setInterval(see, 5).unref();
  }

  /** Complains when the peak since `warm()` is more than so many MiB above what there was then. */
  above(most) {
    const grown = this.#peak - this.#base;
    if (grown <= most) return [];
    return [`memory rose by ${grown.toFixed(0)} MiB over ${this.#base.toFixed(0)}, at most ${most} are allowed`];
  }

  /** A run that is not `long` has a heap that is still finding its size, whatever it does: 32 MiB are allowed besides. */
  complaints(long = true) {
    const slack = long ? 0 : 32;
    const third = this.#samples.length / 3;
    if (third < 4) return [];
    const most = (samples) => Math.max(...samples.map(([, size]) => size));
    const [second, last] = [
      most(this.#samples.slice(Math.floor(third), Math.floor(2 * third))),
      most(this.#samples.slice(Math.floor(2 * third))),
    ];
    return last > second * 1.1 + slack ? [`memory grew from ${second.toFixed(0)} to ${last.toFixed(0)} MiB`] : [];
  }

  /** Least squares over the last two thirds. */
  toString() {
    if (this.#samples.length < 3) return 'too short a run to tell its memory';
    const late = this.#samples.slice(Math.floor(this.#samples.length / 3));
    const mean = (place) => late.reduce((sum, sample) => sum + sample[place], 0) / late.length;
    const [x, y] = [mean(0), mean(1)];
    const slope =
      late.reduce((sum, [minute, size]) => sum + (minute - x) * (size - y), 0) /
      late.reduce((sum, [minute]) => sum + (minute - x) ** 2, 0);
    const range =
      this.#base === null
        ? ''
        : `warm ${this.#base.toFixed(0)}, peak ${this.#peak.toFixed(0)}, end ${mebibytes().toFixed(0)}; `;
    return `memory ${range}${y.toFixed(0)} MiB, ${slope.toFixed(1)} MiB a minute`;
  }
}

/** The collector, in a process that was started without `--expose-gc` too. */
export function exposeGc() {
  if (globalThis.gc) return globalThis.gc;
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc');
}

/**
 * Resident MiB when nothing is left to collect or to give back: allocators take their time, on a busy machine the more, so
 * the least that there is until for some seconds it has not become less.
 */
export async function restingMemory(seconds = 3) {
  const collect = exposeGc();
  const end = performance.now() + 20_000;
  let least = Infinity;
  for (let until = 0; until === 0 || performance.now() < Math.min(until, end);) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 250));
    const now = mebibytes();
    if (now < least - 0.5) until = performance.now() + seconds * 1_000;
    least = Math.min(least, now);
  }
  return least;
}

/** How many descriptors this process has; `null` where nobody tells. */
export function descriptors() {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return null;
  }
}

/** How many it has when those that are being closed are: this many, or it is a fault. */
export async function descriptorsLeft(due) {
  for (const until = performance.now() + 30_000; descriptors() !== due && performance.now() < until;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return descriptors();
}

export function books({ opened, closed, idle, leased, waiting }) {
  if (opened === closed + idle + leased && leased === 0 && waiting === 0) return [];
  return [`the pool's books do not balance: ${JSON.stringify({ opened, closed, idle, leased, waiting })}`];
}

/** What a connection still owes (a body that was left is being drained) is settled within this, or it is a fault. */
export async function settled(pool, within = 60_000) {
  for (const until = performance.now() + within; performance.now() < until;) {
    const { opened, closed, idle, leased } = pool.stats();
    if (leased === 0 && opened === closed + idle) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Runs `one` for 1 to `count`, so many at a time, until the time is up; how many it did. */
export async function lanes(count, width, one) {
  let next = 0;
  const lane = async () => {
    while (next < count && performance.now() < clock.deadline) {
      next += 1;
      await one(next);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  return next;
}

/**
 * An empty list of complaints.
 *
 * @returns {string[]}
 */
export const texts = () => [];

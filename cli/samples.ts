/** Figures by the million, and what percentiles they have. Pure. */

/** A distribution; milliseconds where spans were measured. */
export interface Distribution {
  readonly count: number;
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Keeps eight bytes a figure. */
export class Samples {
  #kept = new Float64Array(64);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(figure: number): void {
    if (this.#count === this.#kept.length) {
      const more = new Float64Array(this.#count * 2);
      more.set(this.#kept);
      this.#kept = more;
    }
    this.#kept[this.#count] = figure;
    this.#count += 1;
  }

  /** `null` without a figure. A percentile is the least figure that so many per cent do not pass (nearest rank). */
  distribution(): Distribution | null {
    const total = this.#count;
    if (total === 0) return null;
    const sorted = this.#kept.slice(0, total).toSorted();
    const at = (share: number): number => sorted[Math.max(Math.ceil(share * total) - 1, 0)] ?? 0;
    const mean = sorted.reduce((sum, figure) => sum + figure, 0) / total;
    return { count: total, min: at(0), mean, p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99), max: at(1) };
  }
}

/** One request many times: what it took, what came of it. */
import { performance } from 'node:perf_hooks';
import type { HTTPResponse, PoolStats } from 'ferropool';
import { insist, type Job, type Run } from './exchange.ts';
import { Samples, type Distribution } from './samples.ts';
import { PHASES } from './waterfall.ts';

/** What a load came to. */
export interface Load {
  readonly index: number;
  readonly method: string;
  readonly url: string;
  /** How many requests there were to be, and at once. */
  readonly requested: number;
  readonly concurrency: number;
  readonly answered: number;
  readonly failed: number;
  /** Whether it ended before its time. */
  readonly interrupted: boolean;
  /** Milliseconds. */
  readonly elapsed: number;
  readonly perSecond: number;
  /** `total`, and each phase that happened, in its order. */
  readonly latency: Readonly<Record<string, Distribution>>;
  readonly statuses: Readonly<Record<string, number>>;
  readonly versions: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
  /** The first error of each code. */
  readonly examples: readonly unknown[];
  readonly connections: { readonly opened: number; readonly reused: number };
  readonly bytes: { readonly wireIn: number; readonly wireOut: number; readonly decoded: number };
}

/** Never rejects; hears with each request that ends how many have. */
export async function load(run: Run, job: Job, watch: (ended: number) => void): Promise<Load> {
  const { settings, manager, signal } = run;
  const requested = settings.repeat ?? 1;
  const tally = new Tally();
  const stats = manager.stats();
  const began = performance.now();
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < requested && !signal.aborted) {
      next += 1;
      try {
        tally.answered(await once(run, job, tally));
      } catch (error) {
        if (signal.aborted) return;
        tally.failed(error);
      }
      watch(tally.ended);
    }
  };
  await Promise.all(Array.from({ length: Math.min(settings.concurrency, requested) }, work));
  const elapsed = performance.now() - began;
  return {
    index: job.index,
    method: job.method,
    url: job.url,
    requested,
    concurrency: settings.concurrency,
    interrupted: tally.ended < requested,
    elapsed,
    perSecond: elapsed > 0 ? (tally.ended / elapsed) * 1_000 : 0,
    ...tally.figures(stats, manager.stats()),
  };
}

/** A response whose body has been read to its end. */
async function once(
  { manager, settings, signal }: Run,
  { method, url, options, refused }: Job,
  tally: Tally,
): Promise<HTTPResponse> {
  if (refused !== undefined) throw refused;
  const response = await manager.request(method, url, { ...options, preloadContent: false, signal });
  for await (const piece of response) tally.decoded += piece.length;
  insist(settings, response);
  return response;
}

/** Counts what came of requests. */
class Tally {
  ended = 0;
  decoded = 0;
  #answered = 0;
  #failed = 0;
  readonly #latency = new Map([...PHASES, 'total'].map((phase) => [phase, new Samples()]));
  readonly #statuses = new Map<string, number>();
  readonly #versions = new Map<string, number>();
  readonly #errors = new Map<string, number>();
  readonly #examples: unknown[] = [];

  answered(response: HTTPResponse): void {
    this.ended += 1;
    this.#answered += 1;
    more(this.#statuses, String(response.status));
    more(this.#versions, response.versionString);
    const { timings } = response;
    if (timings === null) return;
    for (const [phase, samples] of this.#latency) {
      const took = timings[phase as 'total'];
      if (took !== null) samples.add(took);
    }
  }

  failed(error: unknown): void {
    this.ended += 1;
    this.#failed += 1;
    const code = codeOf(error);
    if (!this.#errors.has(code)) this.#examples.push(error);
    more(this.#errors, code);
  }

  figures(before: PoolStats, after: PoolStats) {
    const latency = [...this.#latency].flatMap(([phase, samples]) => {
      const distribution = samples.distribution();
      return distribution === null ? [] : [[phase, distribution] as const];
    });
    return {
      answered: this.#answered,
      failed: this.#failed,
      latency: Object.fromEntries(latency),
      statuses: Object.fromEntries(this.#statuses),
      versions: Object.fromEntries(this.#versions),
      errors: Object.fromEntries(this.#errors),
      examples: this.#examples,
      connections: { opened: after.opened - before.opened, reused: after.reused - before.reused },
      bytes: {
        wireIn: after.wireBytesIn - before.wireBytesIn,
        wireOut: after.wireBytesOut - before.wireBytesOut,
        decoded: this.decoded,
      },
    };
  }
}

function more(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function codeOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  return typeof code === 'string' ? code : typeof name === 'string' ? name : 'unknown';
}

/**
 * What holds for all pools of a thread rather than for one of them. A setting is remembered: it costs no engine to make
 * one, and the order of this and the first pool does not matter.
 */
import { argumentError, checkNames, describe } from './arguments.ts';
import { allow, canResolveOn, canSpread, resolveOn, spread } from './boundary/engines.ts';
import { CODE, integer } from './checks.ts';
import { publishOn, SUITES, type Suite } from './observe.ts';

/** What {@link configure} takes. */
export interface Configuration {
  /**
   * Bytes of streamed bodies that may have been read off the wire without having been taken, in all pools of this thread
   * together; the memory that they lie in is up to a third more. Past it sockets are not read, so that their peers stop
   * sending; a body of which nothing lies around still gets its next piece. Preloaded bodies are bounded by
   * `limits.decoded` instead. Default 268,435,456.
   */
  memoryBudget?: number | undefined;
  /**
   * I/O threads of this thread's pools and managers; each of those lives whole on one of them, given out in turn. Default 1:
   * one fills a core with tens of thousands of requests a second. To be said before the first pool is made.
   */
  ioThreads?: number | undefined;
  /**
   * Names that the whole process looks up at once, each on a thread of its own: so many can hang before another has to wait.
   * A look-up that hangs although nobody waits for it any more does not count (up to 96 of those; the system cannot be
   * stopped once it asks). Default 32, most 1,024. To be said before the first pool is made; where several workers say it,
   * the last one is heeded.
   */
  dnsThreads?: number | undefined;
  /**
   * Whose channels of `node:diagnostics_channel` are published on: our own, or undici's (`undici:request:create` and so on)
   * too, so that what is written for undici (OpenTelemetry's instrumentation) sees our calls. Default `['ferropool']`.
   */
  diagnostics?: readonly ('ferropool' | 'undici')[] | undefined;
}

/**
 * Settings of the whole thread; each worker has its own. What is not given stays as it is.
 *
 * @throws TypeError or RangeError ERR_INVALID_OPTION; Error ERR_ENGINE_STARTED for `ioThreads` and
 * `dnsThreads` once there is a pool.
 * @example
 * configure({ memoryBudget: 64 * 1024 * 1024 });
 */
export function configure(options: Configuration): void {
  checkNames(options, KNOWN, 'configure', 'ERR_INVALID_OPTION');
  // What a getter gives is looked at once, and nothing is changed before everything has been checked.
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const changes = given.map(([name, value]) => {
    switch (name) {
      case 'diagnostics': {
        const suites = suitesOf(value);
        return () => publishOn(suites);
      }
      case 'ioThreads': {
        const threads = integer(value, name, 1, MOST_THREADS);
        if (!canSpread(threads)) throw started(name);
        return () => spread(threads);
      }
      case 'dnsThreads': {
        const threads = integer(value, name, 1, MOST_DNS_THREADS);
        if (!canResolveOn(threads)) throw started(name);
        return () => resolveOn(threads);
      }
      default: {
        const budget = integer(value, name, 1, Number.MAX_SAFE_INTEGER);
        return () => allow(budget);
      }
    }
  });
  for (const change of changes) change();
}

function started(name: string): Error {
  const message = `${name} is to be configured before the first pool is made`;
  return Object.assign(new Error(message), { code: 'ERR_ENGINE_STARTED' });
}

function suitesOf(value: unknown): Suite[] {
  if (!Array.isArray(value)) {
    throw argumentError('type', CODE, `diagnostics is an array of ${KNOWN_SUITES}, not ${describe(value)}`);
  }
  return value.map((one: unknown) => {
    const suite = SUITES.find((known) => known === one);
    if (suite !== undefined) return suite;
    const named = typeof one === 'string' ? `'${one}'` : describe(one);
    throw argumentError('type', CODE, `diagnostics has ${KNOWN_SUITES}, not ${named}`);
  });
}

const KNOWN: readonly string[] = ['memoryBudget', 'ioThreads', 'dnsThreads', 'diagnostics'];
const KNOWN_SUITES: string = SUITES.map((name) => `'${name}'`).join(' and ');
const MOST_THREADS = 64;
const MOST_DNS_THREADS = 1_024;

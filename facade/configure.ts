/**
 * What holds for all pools of a thread rather than for one of them. A setting is remembered: it costs no engine to make
 * one, and the order of this and the first pool does not matter.
 */
import { argumentError, checkNames, describe } from './arguments.ts';
import { allow, canSpread, spread } from './boundary/engines.ts';
import { CODE, integer, notSupported } from './checks.ts';
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
   * Whose channels of `node:diagnostics_channel` are published on: our own, or undici's (`undici:request:create` and so on)
   * too, so that what is written for undici (OpenTelemetry's instrumentation) sees our calls. Default `['ferropool']`.
   */
  diagnostics?: readonly ('ferropool' | 'undici')[] | undefined;
}

/**
 * Settings of the whole thread; each worker has its own. What is not given stays as it is.
 *
 * @throws TypeError or RangeError ERR_INVALID_OPTION; Error ERR_ENGINE_STARTED for `ioThreads` once there is a pool;
 * TypeError ERR_NOT_SUPPORTED for `dnsThreads`.
 * @example
 * configure({ memoryBudget: 64 * 1024 * 1024 });
 */
export function configure(options: Configuration): void {
  checkNames(options, [...KNOWN, ...LATER], 'configure', 'ERR_INVALID_OPTION');
  // What a getter gives is looked at once, and nothing is changed before everything has been checked.
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  for (const [name] of given) if (LATER.includes(name)) throw notSupported(name);
  const changes = given.map(([name, value]) => {
    switch (name) {
      case 'diagnostics': {
        const suites = suitesOf(value);
        return () => publishOn(suites);
      }
      case 'ioThreads': {
        const threads = integer(value, name, 1, MOST_THREADS);
        if (!canSpread(threads)) {
          const message = 'ioThreads is to be configured before the first pool is made';
          throw Object.assign(new Error(message), { code: 'ERR_ENGINE_STARTED' });
        }
        return () => spread(threads);
      }
      default: {
        const budget = integer(value, name, 1, Number.MAX_SAFE_INTEGER);
        return () => allow(budget);
      }
    }
  });
  for (const change of changes) change();
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

const KNOWN: readonly string[] = ['memoryBudget', 'ioThreads', 'diagnostics'];
const LATER: readonly string[] = ['dnsThreads'];
const KNOWN_SUITES: string = SUITES.map((name) => `'${name}'`).join(' and ');
const MOST_THREADS = 64;

/**
 * What holds for all pools of a thread rather than for one of them. A setting is remembered: it costs no engine to make
 * one, and the order of this and the first pool does not matter.
 */
import { checkNames } from './arguments.ts';
import { Engine } from './boundary/engine.ts';
import { integer, notSupported } from './options.ts';

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
}

/**
 * Settings of the whole thread; each worker has its own. What is not given stays as it is.
 *
 * @throws TypeError or RangeError ERR_INVALID_OPTION; Error ERR_ENGINE_STARTED for `ioThreads` once there is a pool;
 * TypeError ERR_NOT_SUPPORTED for `dnsThreads` and `diagnostics`.
 * @example
 * configure({ memoryBudget: 64 * 1024 * 1024 });
 */
export function configure(options: Configuration): void {
  checkNames(options, [...KNOWN, ...LATER], 'configure', 'ERR_INVALID_OPTION');
  // What a getter gives is looked at once, and nothing is changed before everything has been checked.
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  for (const [name] of given) if (LATER.includes(name)) throw notSupported(name);
  const [budget, threads] = ['memoryBudget', 'ioThreads'].map((wanted) => given.find(([name]) => name === wanted)?.[1]);
  if (budget !== undefined) integer(budget, 'memoryBudget', 1, Number.MAX_SAFE_INTEGER);
  if (threads !== undefined && !Engine.spread(integer(threads, 'ioThreads', 1, MOST_THREADS))) {
    const message = 'ioThreads is to be configured before the first pool is made';
    throw Object.assign(new Error(message), { code: 'ERR_ENGINE_STARTED' });
  }
  if (budget !== undefined) Engine.allow(budget as number);
}

const KNOWN: readonly string[] = ['memoryBudget', 'ioThreads'];
const LATER: readonly string[] = ['dnsThreads', 'diagnostics'];
const MOST_THREADS = 64;

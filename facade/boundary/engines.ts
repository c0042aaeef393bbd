/** The engines of an environment: one I/O thread each, started by the first pool or manager that is to live there. */
import { Engine } from './engine.ts';
import { addon, guarded } from './load.ts';

const engines: Engine[] = [];
let threads = 1;
/** On how many names are looked up; the whole process has them together. */
let resolvers = 32;
/** How often an engine was asked for. */
let asked = 0;
/** Bytes that they may let lie around together. */
let allowed = 256 * 1024 * 1024;

/** One of them, in turn: a pool or a manager lives whole on the one it was given. */
export function nextEngine(): Engine {
  const nth = asked % threads;
  asked += 1;
  let engine = engines[nth];
  if (engine === undefined) {
    engine = new Engine();
    engine.allow(share(allowed));
    engines[nth] = engine;
  }
  return engine;
}

/** Whether there can still be so many. */
export function canSpread(over: number): boolean {
  return engines.length === 0 || over === threads;
}

/** How many there are to be. */
export function spread(over: number): void {
  threads = over;
}

/** Whether there can still be so many threads for names. */
export function canResolveOn(most: number): boolean {
  return engines.length === 0 || most === resolvers;
}

/** How many threads for names there are to be at most. */
export function resolveOn(most: number): void {
  resolvers = most;
  guarded(() => addon.limitDnsThreads(most));
}

/** Bytes of streamed bodies that may lie around without having been taken; an engine that is still to start heeds it. */
export function allow(bytes: number): void {
  allowed = bytes;
  for (const engine of engines) engine?.allow(share(bytes));
}

/** The budget is one, over all threads. */
function share(bytes: number): number {
  return Math.ceil(bytes / threads);
}

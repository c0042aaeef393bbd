/**
 * The signals that may end calls: one listener a signal, however many calls it has.
 */

/** Calls by their signals. */
export class Signals<C> {
  readonly #watches: WeakMap<AbortSignal, Watch<C>> = new WeakMap();
  readonly #abort: (call: C, reason: unknown) => void;

  /** `abort` is called for each call of a signal that fires. */
  constructor(abort: (call: C, reason: unknown) => void) {
    this.#abort = abort;
  }

  watch(signal: AbortSignal, call: C): void {
    let watch = this.#watches.get(signal);
    if (watch === undefined) {
      const calls = new Set<C>();
      const listener = (): void => {
        this.#watches.delete(signal);
        for (const one of calls) this.#abort(one, signal.reason);
      };
      watch = { calls, listener };
      this.#watches.set(signal, watch);
      signal.addEventListener('abort', listener, { once: true });
    }
    watch.calls.add(call);
  }

  unwatch(signal: AbortSignal, call: C): void {
    const watch = this.#watches.get(signal);
    if (watch === undefined) return;
    watch.calls.delete(call);
    if (watch.calls.size > 0) return;
    this.#watches.delete(signal);
    signal.removeEventListener('abort', watch.listener);
  }
}

interface Watch<C> {
  calls: Set<C>;
  listener: () => void;
}

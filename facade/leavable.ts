/**
 * Iterations by generators that can be left while they wait. A generator by itself answers `return` and `throw` only once its pending
 * `next` is done, which may be never, and before its first `next` it runs nothing for them, not even a `finally`.
 */

/** The same generator; whoever leaves it calls `leave` first, which is to end what its pending `next` waits for. @internal */
export function leavable<T>(
  steps: AsyncGenerator<T, void, undefined>,
  leave: () => void,
): AsyncGenerator<T, void, undefined> {
  for (const name of ['return', 'throw'] as const) {
    const end = steps[name].bind(steps) as (given?: unknown) => Promise<IteratorResult<T, void>>;
    const value: typeof end = (given) => {
      leave();
      return end(given);
    };
    Object.defineProperty(steps, name, { value, configurable: true, writable: true });
  }
  return steps;
}

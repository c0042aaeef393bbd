/**
 * Many requests, a bounded number at a time, each yielded as it settles.
 */
import { argumentError, checkNames, describe, own } from './arguments.ts';
import { CODE, integer } from './checks.ts';
import type { RequestOptions } from './options.ts';
import type { HTTPResponse } from './response.ts';

/** A request to be made: a URL, or a URL with what `request` takes. `tag` is handed back untouched. */
export type Planned = string | ({ method?: string; url: string; tag?: unknown } & RequestOptions);

/** A request that was made: its place in the input, itself, and what came of it. */
export type Settled = { index: number; request: Planned } & (
  | { ok: true; response: HTTPResponse }
  | { ok: false; error: Error }
);

interface Requester {
  request(method: string, url: string, options?: RequestOptions): Promise<HTTPResponse>;
}

/**
 * The generator behind `requestMany` of pools and managers.
 *
 * @internal
 */
export function requestMany(
  requester: Requester,
  requests: Iterable<Planned> | AsyncIterable<Planned>,
  options: { concurrency?: number | undefined },
  usual: number,
): AsyncIterableIterator<Settled> {
  checkNames(options, ['concurrency'], 'requestMany', CODE);
  const concurrency = own(options, 'concurrency') ?? usual;
  integer(concurrency, 'concurrency', 1, 2 ** 32 - 1);
  if (
    typeof requests !== 'object' ||
    requests === null ||
    !(Symbol.iterator in requests || Symbol.asyncIterator in requests)
  ) {
    throw argumentError('type', CODE, `requests is an iterable, not ${describe(requests)}`);
  }
  return run(requester, requests, concurrency);
}

async function* run(
  requester: Requester,
  requests: Iterable<Planned> | AsyncIterable<Planned>,
  concurrency: number,
): AsyncGenerator<Settled, void, undefined> {
  const leave = new AbortController();
  const source: Iterator<Planned> | AsyncIterator<Planned> =
    Symbol.asyncIterator in requests ? requests[Symbol.asyncIterator]() : requests[Symbol.iterator]();
  const settled: Settled[] = [];
  let wake: (() => void) | null = null;
  let flying = 0;
  let index = 0;
  let state = 'ready' as 'ready' | 'pulling' | 'ended';
  let failure = null as { error: unknown } | null;
  const settle = (one: Settled): void => {
    flying -= 1;
    settled.push(one);
    wake?.();
  };
  const launch = (request: Planned): void => {
    const at = index;
    index += 1;
    flying += 1;
    issue(requester, request, leave.signal).then(
      (response) => settle({ index: at, request, ok: true, response }),
      (error: unknown) => settle({ index: at, request, ok: false, error: error as Error }),
    );
  };
  // Beside the waiting, not before it: a source may have nothing to give until somebody has seen a response.
  const pull = async (): Promise<void> => {
    state = 'pulling';
    try {
      const next = await source.next();
      state = next.done === true ? 'ended' : 'ready';
      if (next.done !== true && !leave.signal.aborted) launch(next.value);
    } catch (error) {
      state = 'ended';
      failure = { error };
    }
    wake?.();
  };
  try {
    for (;;) {
      const one = settled.shift();
      // What is settled but not taken counts too: a slow consumer slows the requests.
      if (state === 'ready' && flying + settled.length + (one === undefined ? 0 : 1) < concurrency) void pull();
      if (one !== undefined) yield one;
      else if (failure !== null) throw failure.error;
      else if (state === 'ended' && flying === 0) return;
      else await new Promise<void>((resolve) => (wake = resolve));
      wake = null;
    }
  } finally {
    leave.abort();
    // A generator answers `return` only once its pending `next` is done: that may be never.
    if (state === 'ready') await source.return?.();
    else if (state === 'pulling') Promise.resolve(source.return?.()).catch(() => {});
  }
}

function issue(requester: Requester, request: Planned, leave: AbortSignal): Promise<HTTPResponse> {
  if (typeof request === 'string') return requester.request('GET', request, { signal: leave });
  if (typeof request !== 'object' || request === null) {
    return Promise.reject(argumentError('type', CODE, `a request is a URL or an object, not ${describe(request)}`));
  }
  const { tag: _tag, method: _method, url: _url, ...options } = request;
  const signal = own(options, 'signal');
  const both = signal instanceof AbortSignal ? AbortSignal.any([signal, leave]) : (signal ?? leave);
  return requester.request(own(request, 'method') ?? 'GET', own(request, 'url') as string, {
    ...options,
    signal: both,
  });
}

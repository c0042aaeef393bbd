/**
 * Many requests, a bounded number at a time, each yielded as it settles.
 */
import { argumentError, describe } from './arguments.ts';
import { integer, type RequestOptions } from './options.ts';
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
  options: { concurrency?: number },
  usual: number,
): AsyncIterableIterator<Settled> {
  const concurrency = options.concurrency ?? usual;
  integer(concurrency, 'concurrency', 1, 2 ** 32 - 1);
  if (typeof requests !== 'object' || requests === null || !(Symbol.iterator in requests || Symbol.asyncIterator in requests)) {
    throw argumentError('type', 'ERR_INVALID_OPTION', `requests is an iterable, not ${describe(requests)}`);
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
  let ended = false;
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
  try {
    for (;;) {
      // What is settled but not taken counts too: a slow consumer slows the requests.
      while (!ended && flying + settled.length < concurrency) {
        const next = await source.next();
        if (next.done === true) ended = true;
        else launch(next.value);
      }
      const one = settled.shift();
      if (one !== undefined) yield one;
      else if (flying > 0) await new Promise<void>((resolve) => (wake = resolve));
      else if (ended) return;
      wake = null;
    }
  } finally {
    leave.abort();
    if (!ended) await source.return?.();
  }
}

function issue(requester: Requester, request: Planned, leave: AbortSignal): Promise<HTTPResponse> {
  if (typeof request === 'string') return requester.request('GET', request, { signal: leave });
  if (typeof request !== 'object' || request === null) {
    return Promise.reject(argumentError('type', 'ERR_INVALID_OPTION', `a request is a URL or an object, not ${describe(request)}`));
  }
  const { method = 'GET', url, tag: _, ...options } = request;
  const { signal } = options;
  const both = signal instanceof AbortSignal ? AbortSignal.any([signal, leave]) : leave;
  return requester.request(method, url, { ...options, signal: both });
}

/**
 * Many requests, a bounded number at a time, each yielded as it settles.
 */
import { isNativeError } from 'node:util/types';

import { argumentError, checkNames, describe, own } from './arguments.ts';
import { CODE, integer } from './checks.ts';
import type { ErrorCode } from './error-codes.ts';
import type { ManagerRequestOptions, RequestOptions } from './options.ts';
import type { HTTPResponse } from './response.ts';
import type { Method } from './together.ts';

/** A request to be made: a URL (GET), or a URL with the options that `request` takes. */
export type Planned<Options extends RequestOptions = RequestOptions> = string | (PlannedRequest & Options);

/** What a {@link Planned} request has besides the options of one. */
export interface PlannedRequest {
  /** Default `'GET'`. */
  method?: Method | undefined;
  /** As the argument of `request`. */
  url: string;
  /** Yours: handed back untouched. Default none. */
  tag?: unknown;
}

/** A request that was made, and what came of it: `ok` says which. */
export type Settled<Options extends RequestOptions = RequestOptions> = Answered<Options> | Failed<Options>;

/** What {@link RequestMethods.requestMany} takes besides the requests. */
export interface ManyOptions {
  /** How many are made at once, at least 1. Default: a pool's {@link PoolOptions.maxsize}, 64 for a manager. */
  concurrency?: number | undefined;
}

/** A {@link Settled} request that has a response, whatever its status. */
export interface Answered<Options extends RequestOptions = RequestOptions> {
  /** Always true. */
  ok: true;
  /** Its place in the input, from 0. */
  index: number;
  /** What was given. */
  request: Planned<Options>;
  /** What `request` would have resolved with. */
  response: HTTPResponse;
}

/** A {@link Settled} request that has none. */
export interface Failed<Options extends RequestOptions = RequestOptions> {
  /** Always false. */
  ok: false;
  /** Its place in the input, from 0. */
  index: number;
  /** What was given. */
  request: Planned<Options>;
  /**
   * What `request` would have rejected with: an {@link HTTPError}, a TypeError or RangeError for arguments, its signal's `reason`. Where
   * that is no Error (a signal may be aborted with anything, and functions of yours may throw it) it is the `cause` of one.
   */
  error: Error & { readonly code?: ErrorCode | number | undefined };
}

/** Whoever makes them judges what they may bring. */
type AnyPlanned = Planned<ManagerRequestOptions>;
type AnySettled = Settled<ManagerRequestOptions>;

interface Requester {
  request(method: string, url: string, options?: ManagerRequestOptions): Promise<HTTPResponse>;
}

/**
 * The generator behind `requestMany` of pools and managers.
 *
 * @internal
 */
export function requestMany(
  requester: Requester,
  requests: Iterable<AnyPlanned> | AsyncIterable<AnyPlanned>,
  options: ManyOptions,
  usual: number,
): AsyncIterableIterator<AnySettled> {
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
  requests: Iterable<AnyPlanned> | AsyncIterable<AnyPlanned>,
  concurrency: number,
): AsyncGenerator<AnySettled, void, undefined> {
  const leave = new AbortController();
  const source: Iterator<AnyPlanned> | AsyncIterator<AnyPlanned> =
    Symbol.asyncIterator in requests ? requests[Symbol.asyncIterator]() : requests[Symbol.iterator]();
  const settled: AnySettled[] = [];
  let wake: (() => void) | null = null;
  let flying = 0;
  let index = 0;
  let state = 'ready' as 'ready' | 'pulling' | 'ended';
  let failure = null as { error: unknown } | null;
  let isThrough = false;
  const settle = (one: AnySettled): void => {
    flying -= 1;
    settled.push(one);
    wake?.();
  };
  const launch = (request: AnyPlanned): void => {
    const at = index;
    index += 1;
    flying += 1;
    issue(requester, request, leave.signal).then(
      (response) => settle({ index: at, request, ok: true, response }),
      (error: unknown) => settle({ index: at, request, ok: false, error: asError(error) }),
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
      else if (state === 'ended' && flying === 0) {
        isThrough = true;
        return;
      } else await new Promise<void>((resolve) => (wake = resolve));
      wake = null;
    }
  } finally {
    // Who has taken everything may still be reading bodies in pieces.
    if (!isThrough) leave.abort();
    // A generator answers `return` only once its pending `next` is done: that may be never.
    if (state === 'ready') await source.return?.();
    else if (state === 'pulling') Promise.resolve(source.return?.()).catch(() => {});
  }
}

/** Whoever goes through the results reads messages and codes of what is no Error otherwise. */
function asError(error: unknown): Error {
  if (error instanceof Error || isNativeError(error)) return error;
  return new Error('the request rejected with what is no Error', { cause: error });
}

function issue(requester: Requester, request: AnyPlanned, leave: AbortSignal): Promise<HTTPResponse> {
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

/**
 * Many requests, a bounded number at a time, each yielded as it settles.
 */
import { isNativeError } from 'node:util/types';

import { argumentError, checkInherited, checkNames, describe, own } from './arguments.ts';
import { discardBody } from './body.ts';
import { Signals } from './boundary/signals.ts';
import { REQUEST_NAMES } from './call.ts';
import { CODE, integer } from './checks.ts';
import type { ErrorCode } from './error-codes.ts';
import { leavable } from './leavable.ts';
import type { ManagerRequestOptions, RequestOptions } from './options.ts';
import { HTTPResponse } from './response.ts';
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

function run(
  requester: Requester,
  requests: Iterable<AnyPlanned> | AsyncIterable<AnyPlanned>,
  concurrency: number,
): AsyncIterableIterator<AnySettled> {
  const flight = new Flight(requester);
  return leavable(go(flight, requests, concurrency), () => flight.leave());
}

async function* go(
  flight: Flight,
  requests: Iterable<AnyPlanned> | AsyncIterable<AnyPlanned>,
  concurrency: number,
): AsyncGenerator<AnySettled, void, undefined> {
  const source: Iterator<AnyPlanned> | AsyncIterator<AnyPlanned> =
    Symbol.asyncIterator in requests ? requests[Symbol.asyncIterator]() : requests[Symbol.iterator]();
  const settled: AnySettled[] = [];
  let flying = 0;
  let index = 0;
  let state = 'ready' as 'ready' | 'pulling' | 'ended';
  let failure = null as { error: unknown } | null;
  const settle = (one: AnySettled): void => {
    flying -= 1;
    settled.push(one);
    flight.wake?.();
  };
  const launch = (request: AnyPlanned): void => {
    const at = index;
    index += 1;
    flying += 1;
    flight.issue(request).then(
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
      if (next.done !== true && !flight.isLeft) launch(next.value);
    } catch (error) {
      state = 'ended';
      failure = { error };
    }
    flight.wake?.();
  };
  try {
    while (!flight.isLeft) {
      const one = settled.shift();
      // What is settled but not taken counts too: a slow consumer slows the requests.
      if (state === 'ready' && flying + settled.length + (one === undefined ? 0 : 1) < concurrency) void pull();
      if (one !== undefined) yield one;
      else if (failure !== null) throw failure.error;
      else if (state === 'ended' && flying === 0) {
        flight.isThrough = true;
        return;
      } else if (!flight.isLeft) await new Promise<void>((resolve) => (flight.wake = resolve));
      flight.wake = null;
    }
  } finally {
    flight.leave();
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

/** The requests of one iteration: what makes them, and what ends those that are under way. */
class Flight {
  readonly #requester: Requester;
  readonly #leaving = new AbortController();
  /** Those that have a signal of their own, by it and by the one of them all: what `AbortSignal.any` made would be kept by both. */
  readonly #signals = new Signals<AbortController>((one, reason) => one.abort(reason));
  /** Everything was taken. Who has taken it may still be reading bodies in pieces. */
  isThrough = false;
  /** Ends the wait for something to be settled. */
  wake: (() => void) | null = null;

  constructor(requester: Requester) {
    this.#requester = requester;
  }

  get isLeft(): boolean {
    return this.#leaving.signal.aborted;
  }

  leave(): void {
    if (this.isThrough || this.isLeft) return;
    this.#leaving.abort();
    this.wake?.();
  }

  /** Rejects for whatever an item is, and does: it may have getters. */
  issue(request: AnyPlanned): Promise<HTTPResponse> {
    if (typeof request === 'string') {
      return this.#requester.request('GET', request, { signal: this.#leaving.signal });
    }
    try {
      if (typeof request !== 'object' || request === null) {
        throw argumentError('type', CODE, `a request is a URL or an object, not ${describe(request)}`);
      }
      checkInherited(request, ITEM_NAMES, 'a request', CODE);
      // Read once, and only what it has by itself.
      return this.#issue({ ...request });
    } catch (error) {
      discardBody(request);
      return Promise.reject(error);
    }
  }

  #issue(request: PlannedRequest & ManagerRequestOptions): Promise<HTTPResponse> {
    const { tag: _tag, method: _method, url: _url, ...options } = request;
    const signal = own(options, 'signal');
    const leaving = this.#leaving.signal;
    const ask = (until: AbortSignal): Promise<HTTPResponse> =>
      this.#requester.request(own(request, 'method') ?? 'GET', own(request, 'url') as string, {
        ...options,
        signal: until,
      });
    // What is no signal is refused as one.
    if (!(signal instanceof AbortSignal)) return ask(signal ?? leaving);
    if (signal.aborted || leaving.aborted) return ask(signal.aborted ? signal : leaving);
    const both = new AbortController();
    this.#signals.watch(signal, both);
    this.#signals.watch(leaving, both);
    const over = (): void => {
      this.#signals.unwatch(signal, both);
      this.#signals.unwatch(leaving, both);
    };
    // A subclass's `request` may give anything, and throw.
    return (async () => {
      try {
        const response = await ask(both.signal);
        const inflow = response instanceof HTTPResponse ? response.inflow : null;
        if (inflow === null) over();
        else void inflow.whenOver().then(over);
        return response;
      } catch (error) {
        over();
        throw error;
      }
    })();
  }
}

const ITEM_NAMES: readonly string[] = [...REQUEST_NAMES, 'method', 'tag', 'url'];

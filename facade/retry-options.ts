/** The parameters of a `Retry`, and what its methods are given: each is checked here, and said to be wrong without being shown. */
import { argumentError, describe } from './arguments.ts';
import { CODE, wrong } from './checks.ts';

/** @internal */
export const ALLOWED_METHODS: readonly string[] = Object.freeze(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PUT', 'TRACE']);
/** @internal */
export const REMOVED: readonly string[] = Object.freeze(['authorization', 'cookie', 'proxy-authorization']);
/** @internal */
export const BACKOFF_MAX: number = 120_000;
/** @internal */
export const RETRY_AFTER_MAX: number = 21_600_000;
const NOTHING: readonly RequestHistory[] = Object.freeze([]);
/** @internal */
export const NAMES = [
  'total',
  'connect',
  'read',
  'redirect',
  'status',
  'other',
  'allowedMethods',
  'statusForcelist',
  'backoffFactor',
  'backoffMin',
  'backoffMax',
  'backoffJitter',
  'raiseOnRedirect',
  'raiseOnStatus',
  'respectRetryAfterHeader',
  'removeHeadersOnRedirect',
  'retryAfterMax',
  'history',
] as const satisfies readonly (keyof RetryOptions)[];

/**
 * How many more of something: a whole number, which 0 allows none of, and below 0 says that it is used up (what is left after the last);
 * `null` is not counted here (`total` alone bounds it), `false` is not even once.
 */
export type RetryCount = number | false | null;

/** One event of a call: an error, a redirect that was followed, a status that was retried. */
export interface RequestHistory {
  /** The method of the next request: GET after a 303. */
  readonly method: string;
  /** What was asked. */
  readonly url: string;
  /** What went wrong, or `null`. */
  readonly error: Error | null;
  /** The answer's status, or `null`. */
  readonly status: number | null;
  /** The answer's Location as it was received, or `null`. */
  readonly redirectLocation: string | null;
}

/** The parameters of a {@link Retry}. Times are milliseconds, urllib3's are seconds. */
export interface RetryOptions {
  /** Events of every kind together. Default 10. `true` is 1. `false`: no error is retried or wrapped, no redirect followed. */
  total?: RetryCount | true | undefined;
  /** Errors before there was a connection, whatever the method. Default `null`. */
  connect?: RetryCount | undefined;
  /** Errors after the request may have been seen. Default `null`. */
  read?: RetryCount | undefined;
  /** Redirects followed. Default `null`. `false` is 0 with `raiseOnRedirect: false`. */
  redirect?: RetryCount | undefined;
  /** Answers retried because of their status. Default `null`. */
  status?: RetryCount | undefined;
  /** Errors of any other kind. Default `null`. */
  other?: RetryCount | undefined;
  /**
   * Methods that are sent again after an error of what had been sent, or because of a status, in any case. `null` or `false`:
   * every one; an empty list: none (urllib3 2.8 takes it for every one). Default {@link Retry.DEFAULT_ALLOWED_METHODS}.
   */
  allowedMethods?: (Iterable<string> & object) | false | null | undefined;
  /** Statuses whose answers are retried, for methods of {@link RetryOptions.allowedMethods}. Default (`null`) none. */
  statusForcelist?: Iterable<number> | null | undefined;
  /** Milliseconds: the second retry waits twice this, each further one twice as long as the one before. Default 0: none waits. */
  backoffFactor?: number | undefined;
  /** Milliseconds: the least wait before a retry after an error or a status, the first one too. Default 0. urllib3 has none. */
  backoffMin?: number | undefined;
  /** Milliseconds: the most that a back-off can be, {@link RetryOptions.backoffMin} included. Default 120,000. */
  backoffMax?: number | undefined;
  /** Milliseconds: from the second retry on a back-off is longer by a random part of this. Default 0. */
  backoffJitter?: number | undefined;
  /** Too many redirects are a MaxRetryError; `false`: the last 3xx is the answer. Default true. */
  raiseOnRedirect?: boolean | undefined;
  /** Too many statuses are a MaxRetryError; `false`: the last answer is returned. Default true. */
  raiseOnStatus?: boolean | undefined;
  /** Heed a Retry-After field, in a redirect too. Default true. */
  respectRetryAfterHeader?: boolean | undefined;
  /**
   * Header names, in any case, that do not go to another origin. A list replaces the default, an empty one keeps all.
   * Default {@link Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT}.
   */
  removeHeadersOnRedirect?: (Iterable<string> & object) | undefined;
  /** Milliseconds: a longer Retry-After is cut to this. Default 21,600,000, 6 hours. */
  retryAfterMax?: number | undefined;
  /** What happened so far. Default nothing. */
  history?: Iterable<RequestHistory> | undefined;
}

/** A response, as far as a {@link Retry} looks at it. */
export interface RetriedResponse {
  /** The status code. */
  readonly status: number;
  /** Where Retry-After is looked for. */
  readonly headers: { get(name: string): string | null | undefined };
  /** {@link HTTPResponse.getRedirectLocation}. */
  getRedirectLocation(): string | null | false;
}

/** @internal */
export function count(name: string, given: unknown, otherwise: RetryCount): RetryCount {
  if (given === undefined) return otherwise;
  if (given === null || given === false) return given;
  if (typeof given !== 'number') {
    throw argumentError('type', CODE, `${name} is a whole number, null or false, not ${describe(given)}`);
  }
  if (!Number.isSafeInteger(given)) {
    const hint = given === Infinity ? '; null does not count' : '';
    throw argumentError('range', CODE, `${name} is a whole number, not ${given}${hint}`);
  }
  return given;
}

/** The value is not shown: it may be anything, a request with its headers too. @internal */
export function isText(given: unknown, said: string): void {
  if (typeof given !== 'string') throw argumentError('type', CODE, `${said}, not ${describe(given)}`);
}

/** As far as it is looked at: of a subclass's own making it may have no more. @internal */
export function checkResponse(given: unknown, needed: readonly (keyof RetriedResponse)[]): void {
  const { status, headers, getRedirectLocation } = (given ?? {}) as { readonly [K in keyof RetriedResponse]?: unknown };
  const has = {
    status: typeof status === 'number',
    headers: typeof (headers as { readonly get?: unknown } | null | undefined)?.get === 'function',
    getRedirectLocation: typeof getRedirectLocation === 'function',
  };
  if (needed.every((name) => has[name])) return;
  throw wrong('response', 'a response, with a status, headers and getRedirectLocation()', given);
}

/** @internal */
export function time(name: string, given: unknown, otherwise: number): number {
  if (given === undefined) return otherwise;
  if (typeof given !== 'number') {
    throw argumentError('type', CODE, `${name} is a number of milliseconds, not ${describe(given)}`);
  }
  if (given > 0 && given < 1) {
    const meant = `; ${given} s would be ${given * 1000}`;
    throw argumentError('range', CODE, `${name} is ${given}, but times are in milliseconds${meant}`);
  }
  if (!(given >= 0 && given < Infinity)) {
    throw argumentError('range', CODE, `${name} is a finite number of milliseconds from 0 on, not ${given}`);
  }
  return given;
}

/** @internal */
export function flag(name: string, given: unknown): boolean {
  if (given === undefined) return true;
  if (typeof given === 'boolean') return given;
  throw argumentError('type', CODE, `${name} is true or false, not ${describe(given)}`);
}

/** @internal */
export function methods(given: Iterable<string> | false | null | undefined): readonly string[] | null {
  if (given === undefined) return ALLOWED_METHODS;
  if (given === null || given === false) return null;
  return Object.freeze(listed('allowedMethods', 'string', given));
}

/** @internal */
export function statuses(given: Iterable<number> | null | undefined): readonly number[] {
  const list = given === undefined || given === null ? [] : listed('statusForcelist', 'number', given);
  for (const status of list) {
    if (!Number.isInteger(status) || status < 100 || status > 999) {
      throw argumentError('range', CODE, `statusForcelist has integers from 100 to 999, not ${status}`);
    }
  }
  return Object.freeze(list);
}

/** @internal */
export function removed(given: Iterable<string> | undefined): readonly string[] {
  if (given === undefined) return REMOVED;
  return Object.freeze(listed('removeHeadersOnRedirect', 'string', given).map((name) => name.toLowerCase()));
}

/** @internal */
export function past(given: Iterable<RequestHistory> | undefined): readonly RequestHistory[] {
  return given === undefined ? NOTHING : Object.freeze(listed('history', 'object', given));
}

/** A string is iterable too, but its letters are not what was meant. */
function listed<T extends string | number | object>(name: string, type: string, given: Iterable<T>): T[] {
  if (typeof given !== 'object' || given === null || typeof given[Symbol.iterator] !== 'function') {
    throw argumentError('type', CODE, `${name} is an array or another iterable, not ${describe(given)}`);
  }
  const list = [...given];
  for (const item of list) {
    if (typeof item === type && item !== null) continue;
    throw argumentError('type', CODE, `${name} has items of the type ${type}, not ${describe(item)}`);
  }
  return list;
}

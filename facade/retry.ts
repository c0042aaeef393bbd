/**
 * What is tried again, and how often, as an immutable value. It decides nothing here: each method asks the core's policy,
 * the one that the request loop asks, so that the two cannot disagree.
 */
import { inspect } from 'node:util';

import { argumentError, checkNames, describe, own } from './arguments.ts';
import { ERRORS } from './boundary/generated.ts';
import { addon, guarded } from './boundary/load.ts';
import {
  ConnectTimeoutError,
  HTTPError,
  InvalidHeader,
  MaxRetryError,
  ProtocolError,
  ProxyError,
  ReadTimeoutError,
  ResponseError,
} from './errors.ts';
import type { AnyPool, ErrorDetails } from './errors.ts';

const CODE = 'ERR_INVALID_OPTION';
// The class makes its default while it is made itself: what that needs stands before it.
const ALLOWED_METHODS: readonly string[] = Object.freeze(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PUT', 'TRACE']);
const REMOVED: readonly string[] = Object.freeze(['authorization', 'cookie', 'proxy-authorization']);
const BACKOFF_MAX = 120_000;
const RETRY_AFTER_MAX = 21_600_000;
const NOTHING: readonly RequestHistory[] = Object.freeze([]);
const NAMES = [
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
/** The methods that answer a question of the loop. */
const DECIDING = [
  'increment',
  'isRetry',
  'isExhausted',
  'getBackoffTime',
  'parseRetryAfter',
  'getRetryAfter',
] as const satisfies readonly (keyof Retry)[];

/** How many more of something: a whole number; `null` is not counted here, `false` is not even once. */
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

/** The parameters of a {@link Retry}. Times are milliseconds. */
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
   * Methods that are sent again after a read error or because of a status, in any case. `null` or `false`: every one; an
   * empty list: none (urllib3 2.8 takes it for every one). Default {@link Retry.DEFAULT_ALLOWED_METHODS}.
   */
  allowedMethods?: Iterable<string> | false | null | undefined;
  /** Statuses to retry. Default none. */
  statusForcelist?: Iterable<number> | null | undefined;
  /** The second retry waits twice this, each further one twice as long as the one before. Default 0. */
  backoffFactor?: number | undefined;
  /** Least wait before a retry after an error or a status, the first one too. Default 0. urllib3 has none. */
  backoffMin?: number | undefined;
  /** Most that a back-off can be, {@link RetryOptions.backoffMin} included. Default 120,000. */
  backoffMax?: number | undefined;
  /** From the second retry on a back-off is longer by a random part of this. Default 0. */
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
  removeHeadersOnRedirect?: Iterable<string> | undefined;
  /** A longer Retry-After is cut to this. Default 21,600,000. */
  retryAfterMax?: number | undefined;
  /** What happened so far. Default nothing. */
  history?: Iterable<RequestHistory> | undefined;
}

/** A {@link Retry} as plain data; the constructor makes an equal one of it, but for the history, which stays behind. */
export interface RetryJSON {
  total: RetryCount;
  connect: RetryCount;
  read: RetryCount;
  redirect: RetryCount;
  status: RetryCount;
  other: RetryCount;
  allowedMethods: readonly string[] | null;
  statusForcelist: readonly number[];
  backoffFactor: number;
  backoffMin: number;
  backoffMax: number;
  backoffJitter: number;
  raiseOnRedirect: boolean;
  raiseOnStatus: boolean;
  respectRetryAfterHeader: boolean;
  removeHeadersOnRedirect: readonly string[];
  retryAfterMax: number;
}

/** The counters of a {@link Retry}. */
export type RetryCounts = Pick<RetryJSON, 'total' | 'connect' | 'read' | 'redirect' | 'status' | 'other'>;

/** Everything that is taken for a `retries` option: `null` and `undefined` are the default, a number is a total. */
export type RetryLike = Retry | number | boolean | null | undefined;

/** A response, as far as a {@link Retry} looks at it. */
export interface RetriedResponse {
  readonly status: number;
  readonly headers: { get(name: string): string | null | undefined };
  getRedirectLocation(): string | null | false;
}

/** What happened to an attempt; without an error and a response it is an answer of which nothing is known. */
export interface RetryEvent {
  response?: RetriedResponse | null | undefined;
  error?: Error | null | undefined;
  /** For {@link MaxRetryError}. Default `null`. */
  pool?: AnyPool | null | undefined;
}

/**
 * What is tried again, how often, and after how long. Immutable: one value serves any number of requests.
 *
 * A subclass may override {@link Retry.increment}, {@link Retry.isRetry} and the others that answer a question; it is
 * asked then. Its constructor has to take {@link RetryOptions}, since every event makes another value of the same class.
 *
 * @example
 * new Retry({ total: 5, statusForcelist: [502, 503, 504], backoffFactor: 200 });
 */
export class Retry {
  /** The methods that may be made twice (RFC 9110, section 9.2.2). */
  static readonly DEFAULT_ALLOWED_METHODS: readonly string[] = ALLOWED_METHODS;
  /** The headers that are secrets of an origin or a proxy. */
  static readonly DEFAULT_REMOVE_HEADERS_ON_REDIRECT: readonly string[] = REMOVED;
  /** The statuses whose Retry-After makes them worth another try. */
  static readonly RETRY_AFTER_STATUS_CODES: readonly number[] = Object.freeze([413, 429, 503]);
  /** Milliseconds: 2 minutes. */
  static readonly DEFAULT_BACKOFF_MAX: number = BACKOFF_MAX;
  /** Milliseconds: 6 hours. */
  static readonly DEFAULT_RETRY_AFTER_MAX: number = RETRY_AFTER_MAX;
  /** What a request has that says nothing: a total of 3. (urllib3's can be replaced; here each pool has its `retries`.) */
  static readonly DEFAULT: Retry = new Retry({ total: 3 });

  readonly total: RetryCount;
  readonly connect: RetryCount;
  readonly read: RetryCount;
  readonly redirect: RetryCount;
  readonly status: RetryCount;
  readonly other: RetryCount;
  /** `null` is every method. */
  readonly allowedMethods: readonly string[] | null;
  readonly statusForcelist: readonly number[];
  readonly backoffFactor: number;
  readonly backoffMin: number;
  readonly backoffMax: number;
  readonly backoffJitter: number;
  readonly raiseOnRedirect: boolean;
  readonly raiseOnStatus: boolean;
  readonly respectRetryAfterHeader: boolean;
  /** In lower case. */
  readonly removeHeadersOnRedirect: readonly string[];
  readonly retryAfterMax: number;
  /** What happened so far, in order. */
  readonly history: readonly RequestHistory[];
  #wire: string | null = null;

  /**
   * Turns an option's value into a `Retry`: `null` and `undefined` are `options.default`, or {@link Retry.DEFAULT}; a
   * `Retry` is itself; anything else is a total. `redirect: false` (or anything else that is falsy but `undefined`) makes
   * redirects be returned, unless a `Retry` was given. urllib3's `Retry.from_int`.
   *
   * @throws TypeError or RangeError ERR_INVALID_OPTION as the constructor does.
   */
  static fromInt(
    retries?: RetryLike,
    options: { redirect?: boolean | number | null | undefined; default?: RetryLike } = {},
  ): Retry {
    checkNames(options, ['redirect', 'default'], 'Retry.fromInt', CODE);
    const wanted = retries ?? own(options, 'default') ?? this.DEFAULT;
    if (wanted instanceof Retry) return wanted;
    const redirect = own(options, 'redirect');
    return new this({ total: wanted, redirect: redirect === undefined || redirect ? null : false });
  }

  /**
   * Takes the parameters; what is not given has urllib3's default.
   *
   * @throws TypeError ERR_INVALID_OPTION for a wrong type or an unknown parameter; RangeError for a number out of range, and
   * for a time strictly between 0 and 1, which was meant in seconds.
   */
  constructor(options: RetryOptions = {}) {
    checkNames(options, NAMES, 'Retry', CODE);
    const given = <K extends keyof RetryOptions>(name: K): RetryOptions[K] => own(options, name);
    const total = count('total', given('total'), 10);
    const redirect = count('redirect', given('redirect'), null);
    const returned = total === false || redirect === false;
    this.total = total;
    this.connect = count('connect', given('connect'), null);
    this.read = count('read', given('read'), null);
    this.redirect = returned ? 0 : redirect;
    this.status = count('status', given('status'), null);
    this.other = count('other', given('other'), null);
    this.allowedMethods = methods(given('allowedMethods'));
    this.statusForcelist = statuses(given('statusForcelist'));
    this.backoffFactor = time('backoffFactor', given('backoffFactor'), 0);
    this.backoffMin = time('backoffMin', given('backoffMin'), 0);
    this.backoffMax = time('backoffMax', given('backoffMax'), BACKOFF_MAX);
    this.backoffJitter = time('backoffJitter', given('backoffJitter'), 0);
    this.raiseOnRedirect = flag('raiseOnRedirect', given('raiseOnRedirect')) && !returned;
    this.raiseOnStatus = flag('raiseOnStatus', given('raiseOnStatus'));
    this.respectRetryAfterHeader = flag('respectRetryAfterHeader', given('respectRetryAfterHeader'));
    this.removeHeadersOnRedirect = removed(given('removeHeadersOnRedirect'));
    this.retryAfterMax = time('retryAfterMax', given('retryAfterMax'), RETRY_AFTER_MAX);
    this.history = past(given('history'));
    // A subclass has fields of its own to set yet.
    if (new.target === Retry) Object.freeze(this);
  }

  /** The same with these parameters changed, of the same class. */
  with(changes: RetryOptions = {}): this {
    const make = this.constructor as new (options: RetryOptions) => this;
    const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
    return new make({ ...Retry.prototype.toJSON.call(this), history: this.history, ...given });
  }

  /** urllib3's name of {@link Retry.with}. */
  new(changes: RetryOptions = {}): this {
    return this.with(changes);
  }

  /**
   * What is left after this event, with the event in its history.
   *
   * @throws The error itself where its kind is switched off or never retried, or a read error of a method that is not
   * allowed; MaxRetryError when nothing is left, its `reason` the error or a ResponseError that says what there was too
   * much of.
   */
  increment(method: string | null, url: string, event: RetryEvent = {}): this {
    checkNames(event, ['response', 'error', 'pool'], 'increment', CODE);
    const error = own(event, 'error') ?? null;
    const response = own(event, 'response') ?? null;
    const location = (error === null && response?.getRedirectLocation()) || null;
    const status = error === null ? (response?.status ?? null) : null;
    const happened =
      error !== null
        ? { error: kindOf(error) }
        : location !== null
          ? 'redirect'
          : status !== null && status !== 0
            ? { status }
            : 'answer';
    const answer = JSON.parse(
      guarded(() => addon.retryIncrement(this.wire(), method ?? '', JSON.stringify(happened))),
    ) as Verdict;
    if ('rethrow' in answer) {
      // Only an error is ever thrown as it is.
      throw error ?? new ResponseError(answer.rethrow ?? '', { status });
    }
    const entry: RequestHistory = Object.freeze({
      method: method ?? '',
      url,
      error,
      status,
      redirectLocation: location,
    });
    const next = this.left(answer.left, [...this.history, entry]);
    if (!next.isExhausted()) return next;
    const reason = error ?? new ResponseError(answer.said ?? '', { status, sent: true, phase: 'headers' });
    throw new MaxRetryError(own(event, 'pool') ?? null, url, reason, toldBy(reason));
  }

  /**
   * Whether an answer of this status is retried: the method is allowed, and the status is in
   * {@link Retry.statusForcelist}, or is one of {@link Retry.RETRY_AFTER_STATUS_CODES} with a Retry-After that is heeded.
   */
  isRetry(method: string, status: number, hasRetryAfter = false): boolean {
    return guarded(() => addon.retryIsRetry(this.wire(), method, status, hasRetryAfter));
  }

  /** Whether any counter is below 0. */
  isExhausted(): boolean {
    return guarded(() => addon.retryIsExhausted(this.wire()));
  }

  /** Milliseconds of back-off before the next attempt, by the errors and statuses since the last redirect. */
  getBackoffTime(): number {
    const last = this.history.findLastIndex((entry) => entry.redirectLocation !== null);
    const inARow = this.history.length - 1 - last;
    return guarded(() => addon.retryBackoff(this.wire(), inARow, Math.random()));
  }

  /**
   * Milliseconds that the value of a Retry-After field asks for, {@link Retry.retryAfterMax} at most: of seconds, or of a
   * date; 0 for one that has passed.
   *
   * @throws InvalidHeader for anything else.
   */
  parseRetryAfter(value: string): number {
    const delay = this.#readRetryAfter(value);
    if (delay === null) throw new InvalidHeader(`Invalid Retry-After header: ${JSON.stringify(value).slice(1, -1)}`);
    return delay;
  }

  /**
   * Milliseconds that this response asks to wait for, or `null` where it has no Retry-After or one that cannot be read. (Of
   * the latter urllib3 makes an error: what a server sends must not fail a request.)
   */
  getRetryAfter(response: RetriedResponse): number | null {
    const value = response.headers.get('retry-after') ?? null;
    if (value === null) return null;
    try {
      return this.parseRetryAfter(value);
    } catch (error) {
      if (error instanceof InvalidHeader) return null;
      throw error;
    }
  }

  /** `Retry(total=10, connect=null, read=null, redirect=null, status=null)`. */
  toString(): string {
    const name = this.constructor === Retry ? 'Retry' : this.constructor.name;
    const { total, connect, read, redirect, status } = this;
    return `${name}(total=${total}, connect=${connect}, read=${read}, redirect=${redirect}, status=${status})`;
  }

  /** Every parameter but the history; the constructor makes an equal `Retry` of it. */
  toJSON(): RetryJSON {
    return {
      total: this.total,
      connect: this.connect,
      read: this.read,
      redirect: this.redirect,
      status: this.status,
      other: this.other,
      allowedMethods: this.allowedMethods,
      statusForcelist: this.statusForcelist,
      backoffFactor: this.backoffFactor,
      backoffMin: this.backoffMin,
      backoffMax: this.backoffMax,
      backoffJitter: this.backoffJitter,
      raiseOnRedirect: this.raiseOnRedirect,
      raiseOnStatus: this.raiseOnStatus,
      respectRetryAfterHeader: this.respectRetryAfterHeader,
      removeHeadersOnRedirect: this.removeHeadersOnRedirect,
      retryAfterMax: this.retryAfterMax,
    };
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  /**
   * Whether no method that decides is a subclass's own: then the core decides alone.
   *
   * @internal
   */
  static isPlain(retry: Retry): boolean {
    return DECIDING.every((name) => retry[name] === Retry.prototype[name]);
  }

  /**
   * The settings as the core reads them.
   *
   * @internal
   */
  wire(): string {
    // Not `this.toJSON()`: a subclass may say more there than the core knows.
    this.#wire ??= JSON.stringify(Retry.prototype.toJSON.call(this));
    return this.#wire;
  }

  /**
   * The same with what is left and what has happened.
   *
   * @internal
   */
  left(counts: RetryCounts, history: readonly RequestHistory[]): this {
    const { total, connect, read, redirect, status, other } = counts;
    return this.with({ total, connect, read, redirect, status, other, history });
  }

  #readRetryAfter(value: string): number | null {
    if (typeof value !== 'string') {
      throw argumentError('type', CODE, `the value of a header is a string, not ${describe(value)}`);
    }
    return guarded(() => addon.retryAfter(this.wire(), value, Date.now()));
  }
}

/** What the core says of an event: what it leaves and what a ResponseError would say, or that its error is thrown. */
type Verdict = { left: RetryCounts; said: string | null } | { rethrow: string | null };

/** What the policy takes an error for, by its own table; `null` is never retried. */
function kindOf(error: Error): 'connect' | 'read' | 'other' | null {
  // urllib3 looks into it for this one question.
  if (error instanceof ProxyError) return error.originalError instanceof ConnectTimeoutError ? 'connect' : 'other';
  // The peer did not look at the request, which is as if there had been no connection.
  if (error instanceof ProtocolError && UNPROCESSED.has(error.reason)) return 'connect';
  const { code } = error as { code?: unknown };
  const row = ERRORS.find((known) => known.className === error.name && known.code === code);
  if (row !== undefined) return row.retried;
  // A class of somebody's own, or a code of the system's.
  if (error instanceof ConnectTimeoutError) return 'connect';
  return error instanceof ReadTimeoutError || error instanceof ProtocolError ? 'read' : 'other';
}

/** Reasons of HTTP/2's that have the class and the code of others. */
const UNPROCESSED: ReadonlySet<unknown> = new Set(['ERR_H2_GOAWAY', 'ERR_H2_REFUSED']);

/** What is known of the call by what it gave up on. */
function toldBy(reason: Error): ErrorDetails {
  if (!(reason instanceof HTTPError)) return {};
  const { phase, during, host, attempts, elapsed, sent } = reason;
  return { phase, during, host, attempts, elapsed, sent };
}

function count(name: string, given: RetryCount | true | undefined, otherwise: RetryCount): RetryCount {
  if (given === undefined) return otherwise;
  if (given === null || given === false) return given;
  if (given === true) return 1;
  if (typeof given !== 'number') {
    throw argumentError('type', CODE, `${name} is a whole number, null or false, not ${describe(given)}`);
  }
  if (!Number.isSafeInteger(given)) {
    const hint = given === Infinity ? '; null does not count' : '';
    throw argumentError('range', CODE, `${name} is a whole number, not ${given}${hint}`);
  }
  return given;
}

function time(name: string, given: unknown, otherwise: number): number {
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

function flag(name: string, given: unknown): boolean {
  if (given === undefined) return true;
  if (typeof given === 'boolean') return given;
  throw argumentError('type', CODE, `${name} is true or false, not ${describe(given)}`);
}

function methods(given: Iterable<string> | false | null | undefined): readonly string[] | null {
  if (given === undefined) return ALLOWED_METHODS;
  if (given === null || given === false) return null;
  return Object.freeze(listed('allowedMethods', 'string', given));
}

function statuses(given: Iterable<number> | null | undefined): readonly number[] {
  const list = given === undefined || given === null ? [] : listed('statusForcelist', 'number', given);
  for (const status of list) {
    if (!Number.isInteger(status) || status < 100 || status > 999) {
      throw argumentError('range', CODE, `statusForcelist has integers from 100 to 999, not ${status}`);
    }
  }
  return Object.freeze(list);
}

function removed(given: Iterable<string> | undefined): readonly string[] {
  if (given === undefined) return REMOVED;
  return Object.freeze(listed('removeHeadersOnRedirect', 'string', given).map((name) => name.toLowerCase()));
}

function past(given: Iterable<RequestHistory> | undefined): readonly RequestHistory[] {
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

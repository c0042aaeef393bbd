/**
 * What is tried again, and how often, as an immutable value. It decides nothing here: each method asks the core's policy,
 * the one that the request loop asks, so that the two cannot disagree.
 */
import { inspect } from 'node:util';
import { isNativeError } from 'node:util/types';

import { argumentError, checkInherited, checkNames, checkOptions, describe, own } from './arguments.ts';
import { ERRORS } from './boundary/generated.ts';
import { addon, guarded } from './boundary/load.ts';
import { says } from './boundary/records.ts';
import { boolean, CODE, integer, wrong } from './checks.ts';
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
import type { AnyPool, ErrorDetails, Phase } from './errors.ts';
import {
  ALLOWED_METHODS,
  BACKOFF_MAX,
  checkResponse,
  count,
  flag,
  isText,
  methods,
  NAMES,
  past,
  REMOVED,
  removed,
  RETRY_AFTER_MAX,
  statuses,
  time,
} from './retry-options.ts';
import type { RequestHistory, RetriedResponse, RetryCount, RetryOptions } from './retry-options.ts';

export type { RequestHistory, RetriedResponse, RetryCount, RetryOptions } from './retry-options.ts';

/** The methods that answer a question of the loop. */
const DECIDING = [
  'increment',
  'isRetry',
  'isExhausted',
  'getBackoffTime',
  'parseRetryAfter',
  'getRetryAfter',
] as const satisfies readonly (keyof Retry)[];

/** A {@link Retry} as plain data; the constructor makes an equal one of it, but for the history, which stays behind. */
export interface RetryJSON {
  /** {@link RetryOptions.total}. */
  total: RetryCount;
  /** {@link RetryOptions.connect}. */
  connect: RetryCount;
  /** {@link RetryOptions.read}. */
  read: RetryCount;
  /** {@link RetryOptions.redirect}. */
  redirect: RetryCount;
  /** {@link RetryOptions.status}. */
  status: RetryCount;
  /** {@link RetryOptions.other}. */
  other: RetryCount;
  /** {@link RetryOptions.allowedMethods}, as they were given; `null` is every method. */
  allowedMethods: readonly string[] | null;
  /** {@link RetryOptions.statusForcelist}. */
  statusForcelist: readonly number[];
  /** {@link RetryOptions.backoffFactor}. */
  backoffFactor: number;
  /** {@link RetryOptions.backoffMin}. */
  backoffMin: number;
  /** {@link RetryOptions.backoffMax}. */
  backoffMax: number;
  /** {@link RetryOptions.backoffJitter}. */
  backoffJitter: number;
  /** {@link RetryOptions.raiseOnRedirect}. */
  raiseOnRedirect: boolean;
  /** {@link RetryOptions.raiseOnStatus}. */
  raiseOnStatus: boolean;
  /** {@link RetryOptions.respectRetryAfterHeader}. */
  respectRetryAfterHeader: boolean;
  /** {@link RetryOptions.removeHeadersOnRedirect}. */
  removeHeadersOnRedirect: readonly string[];
  /** {@link RetryOptions.retryAfterMax}. */
  retryAfterMax: number;
}

/** The counters of a {@link Retry}. */
export type RetryCounts = Pick<RetryJSON, 'total' | 'connect' | 'read' | 'redirect' | 'status' | 'other'>;

/** Everything that is taken for a `retries` option: a number is a total, `false` none at all, `true` 1; `null` and `undefined` are the default. */
export type RetryLike = Retry | number | boolean | null | undefined;

/** What happened to an attempt; without an error and a response it is an answer of which nothing is known. */
export interface RetryEvent {
  /** The answer that came. Default none (`null`). */
  response?: RetriedResponse | null | undefined;
  /** What went wrong; it is looked at first. Default nothing (`null`). */
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
 * const retries = new Retry({ total: 5, statusForcelist: [502, 503, 504], backoffFactor: 200 });
 * await pool.request('GET', '/', { retries });
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

  /** What is left of {@link RetryOptions.total}. */
  readonly total: RetryCount;
  /** What is left of {@link RetryOptions.connect}. */
  readonly connect: RetryCount;
  /** What is left of {@link RetryOptions.read}. */
  readonly read: RetryCount;
  /** What is left of {@link RetryOptions.redirect}. */
  readonly redirect: RetryCount;
  /** What is left of {@link RetryOptions.status}. */
  readonly status: RetryCount;
  /** What is left of {@link RetryOptions.other}. */
  readonly other: RetryCount;
  /** {@link RetryOptions.allowedMethods}, as they were given; `null` is every method. */
  readonly allowedMethods: readonly string[] | null;
  /** {@link RetryOptions.statusForcelist}. */
  readonly statusForcelist: readonly number[];
  /** {@link RetryOptions.backoffFactor}. */
  readonly backoffFactor: number;
  /** {@link RetryOptions.backoffMin}. */
  readonly backoffMin: number;
  /** {@link RetryOptions.backoffMax}. */
  readonly backoffMax: number;
  /** {@link RetryOptions.backoffJitter}. */
  readonly backoffJitter: number;
  /** {@link RetryOptions.raiseOnRedirect}. */
  readonly raiseOnRedirect: boolean;
  /** {@link RetryOptions.raiseOnStatus}. */
  readonly raiseOnStatus: boolean;
  /** {@link RetryOptions.respectRetryAfterHeader}. */
  readonly respectRetryAfterHeader: boolean;
  /** {@link RetryOptions.removeHeadersOnRedirect}, in lower case. */
  readonly removeHeadersOnRedirect: readonly string[];
  /** {@link RetryOptions.retryAfterMax}. */
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
    if (typeof wanted !== 'number' && typeof wanted !== 'boolean') {
      const taken = 'retries takes a number, false, null or new Retry({ … })';
      throw argumentError('type', CODE, `${taken}, not ${describe(wanted)}`);
    }
    if (wanted !== true) count('retries', wanted, null);
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
    const counted = (name: keyof RetryCounts): RetryCount => count(name, given(name), null);
    const total = given('total') === true ? 1 : count('total', given('total'), 10);
    const redirect = counted('redirect');
    const returned = total === false || redirect === false;
    this.total = total;
    this.connect = counted('connect');
    this.read = counted('read');
    this.redirect = returned ? 0 : redirect;
    this.status = counted('status');
    this.other = counted('other');
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
    // Names are for the constructor to judge: a subclass may have some of its own.
    checkOptions(changes, 'Retry', CODE);
    checkInherited(changes, NAMES, 'Retry', CODE);
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
   * @throws The error itself where its kind is switched off or never retried, or where the server may have acted on the request
   * (a read error, or one of TLS that broke after it went out) and the method is not allowed; MaxRetryError when nothing is left, its `reason` the error or a ResponseError that says what there was too
   * much of; TypeError ERR_INVALID_OPTION for arguments of a wrong type.
   */
  increment(method: string | null, url: string, event: RetryEvent = {}): this {
    if (method !== null && method !== undefined) isText(method, 'a method is a string or null');
    isText(url, 'a URL is a string');
    checkNames(event, ['response', 'error', 'pool'], 'increment', CODE);
    const error = own(event, 'error') ?? null;
    const response = own(event, 'response') ?? null;
    if (error !== null && !(error instanceof Error) && !isNativeError(error)) throw wrong('error', 'an Error', error);
    if (response !== null) checkResponse(response, ['status', 'getRedirectLocation']);
    const location = (error === null && response?.getRedirectLocation()) || null;
    const status = error === null ? (response?.status ?? null) : null;
    const happened =
      error !== null
        ? { error: classOf(error) }
        : location !== null
          ? 'redirect'
          : status !== null && status !== 0
            ? { status }
            : 'answer';
    const answer = JSON.parse(
      guarded(() => addon.retryIncrement(this.wire(), method ?? '', JSON.stringify(happened))),
    ) as Verdict;
    if (says(answer, 'rethrow')) {
      // Only an error is ever thrown as it is.
      throw error ?? new ResponseError(answer.rethrow ?? '', { status, method, url });
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
    const reason = error ?? new ResponseError(answer.said ?? '', { status, sent: true, phase: 'headers', method, url });
    throw new MaxRetryError(own(event, 'pool') ?? null, url, reason, { ...toldBy(reason), method });
  }

  /**
   * Whether an answer of this status is retried: the method is allowed, and the status is in
   * {@link Retry.statusForcelist}, or is one of {@link Retry.RETRY_AFTER_STATUS_CODES} with a Retry-After that is heeded.
   *
   * @throws TypeError or RangeError ERR_INVALID_OPTION for arguments of a wrong type, and for what is no status.
   */
  isRetry(method: string, status: number, hasRetryAfter = false): boolean {
    isText(method, 'a method is a string');
    integer(status, 'status', 0, 999);
    boolean(hasRetryAfter, 'hasRetryAfter');
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
   *
   * @throws TypeError ERR_INVALID_OPTION for what is no response.
   */
  getRetryAfter(response: RetriedResponse): number | null {
    checkResponse(response, ['headers']);
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

/** {@link kindOf}; and what broke when the request had gone out is a class by itself, as in `class_of_error` of the policy. */
function classOf(error: Error): Class | 'otherSent' | null {
  const kind = kindOf(error);
  const wentOut = error instanceof HTTPError && error.sent && (error.phase === null || !BEFORE.has(error.phase));
  return kind === 'other' && wentOut ? 'otherSent' : kind;
}

type Class = 'connect' | 'read' | 'other';

/** While a connection is made: the attempt has sent nothing, whatever its call has. */
const BEFORE: ReadonlySet<Phase> = new Set<Phase>(['pool', 'dns', 'connect', 'proxy', 'tls']);

/** What the policy takes an error for, by its own table; `null` is never retried. */
function kindOf(error: Error): Class | null {
  // urllib3 looks into it for this one question.
  if (error instanceof ProxyError) return error.originalError instanceof ConnectTimeoutError ? 'connect' : 'other';
  // The peer did not look at the request, which is as if there had been no connection.
  if (error instanceof ProtocolError && UNPROCESSED.has(error.reason)) return 'connect';
  // An answer that somebody made an error of: whether it is asked for again was for its status to say.
  if (error instanceof ResponseError) return null;
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

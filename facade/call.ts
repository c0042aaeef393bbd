/**
 * From a request's options to the record that the engine takes. A wrong type is refused here; what a value means is the
 * core's to judge.
 */
import { AsyncResource } from 'node:async_hooks';

import { argumentError, checkInherited, checkNames, checkOptions, describe } from './arguments.ts';
import { putBody } from './body.ts';
import * as layout from './boundary/generated.ts';
import type { Call } from './boundary/marshal.ts';
import { boolean, CODE } from './checks.ts';
import { wireLines, type HeaderSource, type HTTPHeaderDict } from './headers.ts';
import { optionsOf } from './hints.ts';
import { fieldPairs, limitsText, type Limits, type ManagerRequestOptions, type RequestOptions } from './options.ts';
import { urlOf } from './proxy-options.ts';
import type { Head } from './response.ts';
import { Retry, type RetryLike } from './retry.ts';
import { Timeout } from './timeout.ts';

/** A call, and what is done with its head. @internal */
export interface PoolCall extends Call {
  accept: ((head: Head) => boolean) | null;
  /** The call's own; `null`: its pool's. */
  retry: Retry | null;
}

/** What a pool has for calls that bring nothing of their own. @internal */
export interface Usual {
  readonly limits: Limits;
  readonly headers: HTTPHeaderDict;
  /** Whether calls may name a proxy of their own. */
  readonly isManager: boolean;
}

/** Takes a request's options over into the call; the signal, if there is one. Only own properties count. @internal */
export function merge(
  call: PoolCall,
  options: ManagerRequestOptions,
  fieldsGo: 'query' | 'body',
  usual: Usual,
): AbortSignal | null {
  if (typeof options !== 'object' || options === null) checkOptions(options, 'a request', CODE);
  let signal: AbortSignal | null = null;
  let releases = false;
  let retries: unknown = null;
  let json: unknown = null;
  let fields: unknown = null;
  let given: unknown = null;
  let encodeMultipart = true;
  let boundary: string | null = null;
  const names = Object.keys(options);
  // A Promise, a Date, a Map: nothing of them would be looked at.
  if (names.length === 0 || Array.isArray(options)) checkOptions(options, 'a request', CODE);
  if (Object.getPrototypeOf(options) !== Object.prototype) checkInherited(options, REQUEST_NAMES, 'a request', CODE);
  for (const name of names) {
    const value: unknown = options[name as keyof ManagerRequestOptions];
    if (value === undefined) continue;
    switch (name) {
      case 'fields':
        fields = value;
        break;
      case 'encodeMultipart':
        encodeMultipart = boolean(value, name);
        break;
      case 'multipartBoundary':
        boundary = boundaryOf(value);
        break;
      case 'headers':
        if (value !== null) call.lines = wireLines(value as HeaderSource);
        break;
      case 'json':
        json = value;
        break;
      case 'body':
        given = value;
        break;
      case 'onProgress':
        if (value !== null) hear(call, value);
        break;
      case 'timeout':
        call.timeout = Timeout.from(value);
        break;
      case 'poolTimeout':
        call.poolTimeout = wait(name, value);
        break;
      case 'decodeContent':
        if (!boolean(value, name)) call.flags |= layout.REQUEST_RAW;
        break;
      case 'enforceContentLength':
        if (!boolean(value, name)) call.flags |= layout.REQUEST_ANY_LENGTH;
        break;
      case 'assertSameHost':
        if (!boolean(value, name)) call.flags |= layout.REQUEST_ANY_HOST;
        break;
      case 'chunked':
        if (boolean(value, name)) call.flags |= layout.REQUEST_CHUNKED;
        break;
      case 'limits':
        if (value !== null) call.limits = limitsText(usual.limits, value);
        break;
      case 'proxy':
        if (value !== null) leadBy(call, value, usual);
        break;
      case 'signal':
        signal = signalOf(value);
        break;
      case 'retries':
        if (value !== null) retries = value;
        break;
      case 'redirect':
        if (!boolean(value, name)) call.flags |= layout.REQUEST_STAY;
        break;
      case 'preloadContent':
        if (!boolean(value, name)) call.flags |= layout.REQUEST_STREAM;
        break;
      case 'accept':
        if (value !== null) call.accept = acceptOf(value);
        break;
      case 'releaseConn':
        // A connection goes back when its body has been read, whatever this says; with a body still to be read it cannot.
        releases = value !== null && boolean(value, name);
        break;
      default:
        refuseUnknown(name);
    }
  }
  if (retries !== null) judgeBy(call, retries);
  if (releases && (call.flags & layout.REQUEST_STREAM) !== 0) {
    throw argumentError(
      'type',
      CODE,
      'releaseConn: true with preloadContent: false would give away a body that is being read',
    );
  }
  if (call.accept !== null) {
    const preload = (call.flags & layout.REQUEST_STREAM) === 0;
    call.flags |= layout.REQUEST_STREAM | layout.REQUEST_STREAM_ASKS | (preload ? layout.REQUEST_STREAM_WHOLE : 0);
  }
  let form: unknown = null;
  if (fields !== null && fieldsGo === 'query') {
    const pairs = fieldPairs(fields);
    if (pairs.length > 0) call.fields = pairs;
  } else {
    form = fields;
  }
  if (given !== null || json !== null || form !== null) {
    putBody(call, { body: given, json, form, encodeMultipart, boundary }, usual.headers);
  }
  if ((call.flags & layout.REQUEST_ABORTABLE) === 0 && signal !== null) call.flags |= layout.REQUEST_ABORTABLE;
  return signal;
}

/** A call's own proxy, or none. */
function leadBy(call: Call, value: unknown, { isManager }: Usual): void {
  if (!isManager) {
    const message = "a pool's way is chosen when it is made: give it `proxy`, or ask a manager";
    throw argumentError('type', CODE, message);
  }
  if (value === false) {
    call.flags |= layout.REQUEST_DIRECT;
    return;
  }
  const url = urlOf(value, 'proxy');
  // To the core no text is no proxy of its own, and the request must not go another way than it was told.
  if (url === '') throw argumentError('type', CODE, "proxy is a proxy's URL, false or null, and this one is empty");
  call.proxy = wellFormed(url);
}

/** A call's own `Retry` replaces its pool's (MGR-13). */
function judgeBy(call: PoolCall, value: unknown): void {
  const redirect = (call.flags & layout.REQUEST_STAY) === 0;
  const retry = value instanceof Retry ? value : counted(value as RetryLike, redirect);
  call.retry = retry;
  call.retries = retry.wire();
  if (Retry.isPlain(retry)) call.flags &= ~layout.REQUEST_ASK_VERDICT;
  else call.flags |= layout.REQUEST_ASK_VERDICT;
}

/** The few totals that everybody uses are made once. */
function counted(total: RetryLike, redirect: boolean): Retry {
  const made = redirect ? COUNTED.get(total) : undefined;
  if (made !== undefined) return made;
  const retry = Retry.fromInt(total, { redirect });
  if (redirect && COUNTED.size < MOST_COUNTED) COUNTED.set(total, retry);
  return retry;
}

const COUNTED: Map<RetryLike, Retry> = new Map();
const MOST_COUNTED = 32;

function boundaryOf(value: unknown): string | null {
  if (value === null || typeof value === 'string') return value;
  throw argumentError('type', CODE, `multipartBoundary is a string, not ${describe(value)}`);
}

function hear(call: Call, listener: unknown): void {
  if (typeof listener !== 'function') {
    throw argumentError('type', CODE, `onProgress is a function, not ${describe(listener)}`);
  }
  const hears = listener as NonNullable<RequestOptions['onProgress']>;
  const context = new AsyncResource('FERROPOOL_CALL');
  call.onProgress = (direction, bytes, total) => {
    const heard: unknown = context.runInAsyncScope(hears, null, { direction, bytes, total });
    return isThenable(heard) ? Promise.resolve(heard) : null;
  };
  // What it throws ends the call.
  call.flags |= layout.REQUEST_PROGRESS | layout.REQUEST_ABORTABLE;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'then') === 'function';
}

function acceptOf(value: unknown): (head: Head) => boolean {
  if (typeof value === 'function') return value as (head: Head) => boolean;
  throw argumentError('type', CODE, `accept is a function of the head, not ${describe(value)}`);
}

function signalOf(value: unknown): AbortSignal | null {
  if (value === null) return null;
  if (value instanceof AbortSignal) return value;
  const given = value instanceof AbortController ? 'an AbortController: give its signal' : describe(value);
  throw argumentError('type', CODE, `signal is an AbortSignal, not ${given}`);
}

/** Milliseconds: a span as every other, but that 0 does not wait at all. @internal */
export function wait(name: string, value: unknown): number | null {
  if (value === null || value === Infinity) return null;
  if (typeof value !== 'number') {
    throw argumentError(
      'type',
      'ERR_INVALID_TIMEOUT',
      `${name} is a number of milliseconds or null, not ${describe(value)}`,
    );
  }
  if (!(value >= 0)) throw argumentError('range', 'ERR_INVALID_TIMEOUT', `${name} is at least 0, not ${value}`);
  if (value > 0 && value < 1) {
    const hint = `${name} is ${value}, but time-outs are in milliseconds; ${value} s would be ${value * 1000}`;
    throw argumentError('range', 'ERR_INVALID_TIMEOUT', hint);
  }
  return value;
}

/** Off the hot path: the check that every other options object has, for the same words. */
function refuseUnknown(name: string): never {
  checkNames({ [name]: true }, REQUEST_NAMES, 'a request', CODE);
  throw argumentError('type', CODE, `a request has no option '${name}'`);
}

/** ASCII alone: `'poſt'.toUpperCase()` would be a POST. @internal */
export function upper(method: unknown): string {
  if (typeof method === 'string' && UPPER.has(method)) return method;
  return text(method, 'a method').replace(/[a-z]+/g, (letters) => letters.toUpperCase());
}

/** @internal */
export function text(value: unknown, what: string): string {
  if (typeof value === 'string') return value;
  const code = what === 'a method' ? 'ERR_INVALID_METHOD' : 'ERR_INVALID_URL';
  const hint = value instanceof URL && what === 'a URL' ? ': give its href' : '';
  throw argumentError('type', code, `${what} is a string, not ${describe(value)}${hint}`);
}

/** Half a surrogate pair has no UTF-8: escaped as its three bytes, which is what every other character would become. @internal */
export function wellFormed(url: string): string {
  if (!HALF.test(url)) return url;
  return url.replace(HALVES, (half) => {
    const unit = half.charCodeAt(0);
    const bytes = [0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f)];
    return bytes.map((byte) => `%${byte.toString(16).toUpperCase()}`).join('');
  });
}

const HALF = /\p{Surrogate}/u;
const HALVES = /\p{Surrogate}/gu;
/** @internal */
export const REQUEST_NAMES: readonly string[] = [
  'accept',
  'assertSameHost',
  'body',
  'chunked',
  'decodeContent',
  'encodeMultipart',
  'enforceContentLength',
  'fields',
  'headers',
  'json',
  'limits',
  'multipartBoundary',
  'onProgress',
  'poolTimeout',
  'preloadContent',
  'proxy',
  'redirect',
  'releaseConn',
  'retries',
  'signal',
  'timeout',
];
optionsOf('a request', REQUEST_NAMES);
/** What is merged into another option before a request is sent. @internal */
export const MERGED = ['fields', 'json', 'encodeMultipart', 'multipartBoundary'] as const;
const UPPER: ReadonlySet<string> = new Set(layout.METHODS.slice(1));
/** urllib3's: these methods have no body that fields could go into. @internal */
export const QUERY_METHODS: ReadonlySet<string> = new Set(['DELETE', 'GET', 'HEAD', 'OPTIONS']);

/**
 * Answers to what the core asks of the caller: cookies, a gate before each attempt, the verdict of a `Retry` of the caller's
 * own, an address, a body again. The loop is the core's; here is only who knows.
 */
import { AsyncResource } from 'node:async_hooks';
import { isPromise } from 'node:util/types';

import { argumentError, describe, forgive } from './arguments.ts';
import type { Answerer, ErrorRecord, Pending, Question } from './boundary/engine.ts';
import { revived, says } from './boundary/records.ts';
import type { CookieJar } from './cookies.ts';
import { HTTPError, MaxRetryError } from './errors.ts';
import { HTTPHeaderDict, wireLines } from './headers.ts';
import { HTTPResponse } from './response.ts';
import { Retry, type RequestHistory, type RetryEvent } from './retry.ts';

/** An attempt that is about to be made: what {@link BeforeAttempt} is told. */
export interface AttemptInfo {
  /** From 1, within the hop; an attempt that got no connection counts too, unlike in {@link HTTPError.attempts}. */
  readonly number: number;
  /** Redirects followed so far: 0 for the URL that was asked for. */
  readonly hop: number;
  /** As it goes out; GET after a 303. */
  readonly method: string;
  /** Absolute, with its query. */
  readonly url: string;
  /** Of this attempt alone: what is changed here is sent, and forgotten. */
  readonly headers: HTTPHeaderDict;
  /** What the attempt before met, if it met no answer; otherwise `null`. */
  readonly error: Error | null;
}

/** What {@link Resolve} gives: addresses in the order in which they are tried, or `null` for the system to be asked. */
export type Resolved = string | ResolvedAddress | readonly string[] | readonly ResolvedAddress[] | null;

/** An IP address, and a port where it is not the URL's. */
export interface ResolvedAddress {
  /** An IP address, without brackets. */
  readonly address: string;
  /** Default: the URL's. */
  readonly port?: number | undefined;
}

/**
 * Knows the addresses of names: asked with each new connection (see {@link PoolOptions.resolve}). Its signal is aborted when the call
 * is over; what it throws the call rejects with.
 */
export type Resolve = (host: string, port: number, signal: AbortSignal) => Resolved | Promise<Resolved>;

/**
 * Waited for before each attempt of each hop (see {@link PoolManagerOptions.beforeAttempt}). Its signal is aborted when the call is over;
 * what it throws the call rejects with, and what it returns is not looked at.
 */
export type BeforeAttempt = (attempt: AttemptInfo, signal: AbortSignal) => unknown;

/** Whom a call's questions go to. @internal */
export interface Sources {
  readonly jar: CookieJar | null;
  readonly beforeAttempt: BeforeAttempt | null;
  readonly resolve: Resolve | null;
}

/** Answers the questions of one call. @internal */
export class Asking implements Answerer {
  readonly #sources: Sources;
  /** Whoever is asked is asked where the call was made. */
  readonly #context: AsyncResource = new AsyncResource('FERROPOOL_CALL');
  #retry: Retry;
  #aborter: AbortController | null = null;
  #ended = false;
  #thrown: { readonly error: unknown } | null = null;
  /** What a `Retry` of the caller's own ended the call with, and what had happened before. */
  #judged: Judged | null = null;

  constructor(sources: Sources, retry: Retry) {
    this.#sources = sources;
    this.#retry = retry;
  }

  end(): void {
    this.#ended = true;
    this.#aborter?.abort();
  }

  async answer(question: Question, pending: Pending): Promise<string> {
    try {
      return JSON.stringify(await this.#context.runInAsyncScope(() => this.#reply(question as Asked, pending)));
    } catch (error) {
      this.#thrown ??= { error };
      return JSON.stringify({ kind: 'threw' });
    }
  }

  /** What the call rejects with, if a function threw. */
  rejection(record: ErrorRecord): { readonly error: unknown } | null {
    if (this.#judged !== null && this.#judged.error === this.#thrown?.error) complete(this.#judged, record);
    return this.#thrown;
  }

  /** Aborted when the call is over. */
  get #signal(): AbortSignal {
    this.#aborter ??= new AbortController();
    if (this.#ended) this.#aborter.abort();
    return this.#aborter.signal;
  }

  async #reply(question: Asked, pending: Pending): Promise<unknown> {
    const { jar, beforeAttempt, resolve } = this.#sources;
    switch (question.kind) {
      case 'cookies': {
        const text: unknown = await jar?.getCookieString(question.url);
        if (text !== undefined && text !== null && typeof text !== 'string') {
          throw argumentError('type', CODE, `a jar's getCookieString gives a string, not ${describe(text)}`);
        }
        return { kind: 'text', text: typeof text === 'string' ? scalars(text) : null };
      }
      case 'setCookies':
        for (const line of question.lines) await this.#store(line, question.url);
        return { kind: 'done' };
      case 'gate':
        return { kind: 'lines', lines: await this.#gate(question, pending, beforeAttempt as BeforeAttempt) };
      case 'verdict':
        return this.#verdict(question, pending);
      case 'resolve':
        return { kind: 'addresses', addresses: await this.#resolve(question, resolve as Resolve) };
      default:
        return this.#body(pending);
    }
  }

  /**
   * A cookie that the jar does not take (another site's, a bad one) is no error of the request's: jars say so by throwing, and
   * some a TypeError (tough-cookie, for a Domain that is no host). Any server could end requests otherwise.
   */
  async #store(line: string, url: string): Promise<void> {
    try {
      await this.#sources.jar?.setCookie(line, url);
    } catch {
      // The line is the server's, and whether it becomes a cookie the jar's own business.
    }
  }

  async #gate(question: Asked & { kind: 'gate' }, pending: Pending, gate: BeforeAttempt): Promise<unknown> {
    const headers = new HTTPHeaderDict();
    const skipped = question.lines.filter(([, value]) => value === null);
    for (const [name, value] of question.lines) if (value !== null) headers.add(name, value);
    const { attempt: number, hop, method, url } = question;
    const error = question.error === null ? null : pending.owner.refuse(question.error, url, method);
    const before = written(headers);
    await gate({ number, hop, method, url, headers, error }, this.#signal);
    const after = written(headers);
    if (JSON.stringify(after) === JSON.stringify(before)) return null;
    return [...skipped.filter(([name]) => !headers.has(name)), ...after];
  }

  /** As urllib3's loop goes, with the caller's own methods. */
  #verdict(question: Asked & { kind: 'verdict' }, pending: Pending): unknown {
    const { method, url, event, redirect } = question;
    const retry = this.#retry;
    const { owner } = pending;
    const pool = owner.poolOf(url);
    if (says(event, 'error')) {
      this.#go(method, url, { error: owner.refuse(revived(event.error), url, method), pool }, pending);
      return { kind: 'again', delay: this.#backOff() };
    }
    const response = new HTTPResponse(null, { status: event.status, headers: event.headers, url });
    const leads = event.location !== null && redirect && retry.redirect !== false && retry.total !== false;
    if (!leads) {
      const again = retry.isRetry(method, event.status, response.headers.has('retry-after'));
      if (typeof again !== 'boolean') throw misused('isRetry gives true or false', again);
      if (!again) return { kind: 'give' };
    }
    try {
      // As the core notes it; HEAD stays HEAD.
      const next = leads && event.status === 303 && method !== 'HEAD' ? 'GET' : method;
      this.#go(next, url, { response, pool }, pending, method);
    } catch (error) {
      // What else an override throws is no word about the answer.
      if (!(error instanceof MaxRetryError) || (leads ? retry.raiseOnRedirect : retry.raiseOnStatus)) throw error;
      return { kind: 'give' };
    }
    const asked = retry.respectRetryAfterHeader ? retry.getRetryAfter(response) : null;
    const delay = asked === null ? 0 : span('getRetryAfter', asked);
    return { kind: 'again', delay: delay > 0 || leads ? delay : this.#backOff() };
  }

  /** `asked`: the method of the request that met this, where the next one has another. */
  #go(method: string, url: string, event: RetryEvent, pending: Pending, asked: string = method): void {
    const retry = this.#retry;
    let left;
    try {
      left = retry.increment(method, url, event);
    } catch (error) {
      if (error instanceof HTTPError) this.#judged = { error, history: retry.history, method, asked };
      throw error;
    }
    if (!(left instanceof Retry)) throw misused('increment gives a Retry', left);
    this.#retry = left;
    pending.retries = left;
  }

  #backOff(): number {
    return span('getBackoffTime', this.#retry.getBackoffTime());
  }

  async #resolve({ host, port }: Asked & { kind: 'resolve' }, resolve: Resolve): Promise<string[] | null> {
    const given: unknown = await resolve(host, port, this.#signal);
    if (given === null || given === undefined) return null;
    const list: readonly unknown[] = Array.isArray(given) ? given : [given];
    // A hole of a list is `undefined` in it, and is refused as one.
    return Array.from(list, (one) => {
      if (typeof one === 'string') return scalars(one);
      const { address, port: own } = (typeof one === 'object' && one !== null ? one : {}) as Record<string, unknown>;
      if (typeof address !== 'string' || !(own === undefined || (typeof own === 'number' && Number.isInteger(own)))) {
        const wanted = 'an address, a list of them, or of { address, port }, or null';
        throw argumentError('type', CODE, `resolve gives ${wanted}, not ${describe(one)}`);
      }
      const shown = scalars(address);
      if (own === undefined) return shown;
      return shown.includes(':') && !shown.startsWith('[') ? `[${shown}]:${own}` : `${shown}:${own}`;
    });
  }

  #body(pending: Pending): unknown {
    const renewed = pending.outflow?.renewed() ?? null;
    if (renewed === null) return { kind: 'noBody' };
    pending.outflow = renewed;
    return { kind: 'body', length: renewed.length };
  }
}

/** A question, as the core writes it. */
type Asked = Question &
  (
    | { kind: 'cookies'; url: string }
    | { kind: 'setCookies'; url: string; lines: string[] }
    | {
        kind: 'gate';
        attempt: number;
        hop: number;
        method: string;
        url: string;
        lines: [name: string, value: string | null][];
        error: ErrorRecord | null;
      }
    | {
        kind: 'verdict';
        method: string;
        url: string;
        redirect: boolean;
        event:
          | { error: ErrorRecord }
          | { status: number; headers: [name: string, value: string][]; location: string | null };
      }
    | { kind: 'resolve'; host: string; port: number }
    | { kind: 'body' }
  );

interface Judged {
  readonly error: HTTPError;
  readonly history: readonly RequestHistory[];
  /** What the `Retry` was told, and what the request was made with. */
  readonly method: string;
  readonly asked: string;
}

/** Adds what only the core knows: a `Retry` that gives up on an answer knows nothing of the call. */
function complete({ error, history, method, asked }: Judged, { host, attempts, elapsed, sent }: ErrorRecord): void {
  for (const told of [error, error.reason]) {
    // One that has its host was told by the core, or by another call.
    if (!(told instanceof HTTPError) || told.host !== null || Object.isFrozen(told)) continue;
    Object.assign(told, { host, attempts, elapsed, sent, ...(told.method === method ? { method: asked } : {}) });
  }
  if (history.length === 0 || Object.hasOwn(error, 'history') || !Object.isExtensible(error)) return;
  Object.defineProperty(error, 'history', { value: history, enumerable: false });
}

/** Milliseconds as an override gave them. */
function span(name: string, given: unknown): number {
  if (typeof given !== 'number') throw misused(`${name} gives a number of milliseconds`, given);
  if (given >= 0 && given < Infinity) return given;
  throw argumentError('range', CODE, `${name} gives a finite number of milliseconds from 0 on, not ${given}`);
}

function misused(wanted: string, given: unknown): Error {
  forgive(given);
  return argumentError('type', CODE, `a Retry's ${wanted}, not ${isPromise(given) ? 'a promise' : describe(given)}`);
}

/** Each line as the core reads it: `null` leaves out what would be sent by default, as in the headers of a request. */
function written(headers: HTTPHeaderDict): [name: string, value: string | null][] {
  const lines = wireLines(headers);
  return Array.from({ length: lines.length >> 1 }, (_, at) => {
    const value = lines[2 * at + 1];
    return [scalars(lines[2 * at] as string), typeof value === 'string' ? scalars(value) : null];
  });
}

/** Half a surrogate pair is no text that another language could read; whoever judges the answer finds something wrong in it. */
function scalars(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd');
}

const CODE = 'ERR_INVALID_OPTION';

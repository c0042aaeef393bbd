/**
 * What pools and managers have in common: how a request is made of its options and handed to the engine, and what comes
 * back. Where a URL leads is not decided here.
 */
import { argumentError } from './arguments.ts';
import { Asking, type Sources } from './asking.ts';
import type { Engine, ErrorRecord, Owner, Raw } from './boundary/engine.ts';
import * as layout from './boundary/generated.ts';
import type { Call } from './boundary/marshal.ts';
import { MERGED, merge, QUERY_METHODS, text, upper, wellFormed, type PoolCall } from './call.ts';
import { CODE } from './checks.ts';
import { errorFromRecord } from './error-record.ts';
import type { AnyPool } from './errors.ts';
import type { HTTPHeaderDict } from './headers.ts';
import type { Limits, RequestOptions } from './options.ts';
import { isWatched, watch } from './observe.ts';
import { requestMany, type Planned, type Settled } from './request-many.ts';
import { HTTPResponse } from './response.ts';
import { Retry } from './retry.ts';

/** Options of {@link RequestMethods.urlopen}: a request's, without those that only merge. */
export type UrlopenOptions = Omit<RequestOptions, 'fields' | 'json' | 'encodeMultipart' | 'multipartBoundary'>;

/** What a maker of requests is made of. @internal */
export interface Requesting {
  readonly engine: Engine;
  readonly handle: number;
  readonly headers: HTTPHeaderDict;
  readonly limits: Limits;
  readonly retries: Retry;
  readonly sources: Sources;
  /** How many requests {@link RequestMethods.requestMany} makes at once. */
  readonly concurrency: number;
}

/** How requests are made: urllib3's `RequestMethods`. */
export abstract class RequestMethods implements Owner {
  #with: Requesting | null = null;
  /** Flags of every call: whom the core asks. */
  #flags = 0;
  /** Whether every call has somebody who answers. */
  #asks = false;

  /** What judges a request that brings nothing of its own. */
  get retries(): Retry {
    return this.#made.retries;
  }

  /** The headers of a request that brings none; a copy. */
  get headers(): HTTPHeaderDict {
    return this.#made.headers.copy();
  }

  /**
   * Makes a request; the method is upper-cased. `fields` go into the query for GET, HEAD, DELETE and OPTIONS, and into
   * the body for every other method.
   *
   * @throws (rejects with) everything in the documentation of errors; bad input before anything is sent.
   */
  request(method: string, url: string, options?: RequestOptions): Promise<HTTPResponse> {
    try {
      const name = upper(method);
      if (options === undefined) return this.#send(this.#call(name, url), null);
      return this.#open(name, url, options, QUERY_METHODS.has(name) ? 'query' : 'body');
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Makes a request whose `fields` go into the query, whatever the method. */
  requestEncodeUrl(method: string, url: string, options: RequestOptions = {}): Promise<HTTPResponse> {
    try {
      return this.#open(upper(method), url, options, 'query');
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Makes a request whose `fields` go into the body, whatever the method. */
  requestEncodeBody(method: string, url: string, options: RequestOptions = {}): Promise<HTTPResponse> {
    try {
      return this.#open(upper(method), url, options, 'body');
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The lowest level: the method goes out as it is given, and nothing is merged. */
  urlopen(method: string, url: string, options: UrlopenOptions = {}): Promise<HTTPResponse> {
    try {
      for (const name of MERGED) {
        if (typeof options !== 'object' || options === null || !Object.hasOwn(options, name)) continue;
        throw argumentError('type', CODE, `urlopen has no option '${name}'; use request`);
      }
      return this.#open(text(method, 'a method'), url, options, 'body');
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Makes many requests, `concurrency` at a time (default: a pool's `maxsize`, 64 for a manager), and yields each as it
   * settles: unordered, bounded, and no faster than they are taken. It never throws for a request; leaving the loop aborts
   * what is in flight.
   *
   * @example
   * for await (const settled of pool.requestMany(['/a', '/b'])) if (settled.ok) settled.response.data;
   */
  requestMany(
    requests: Iterable<Planned> | AsyncIterable<Planned>,
    options: { concurrency?: number | undefined } = {},
  ): AsyncIterableIterator<Settled> {
    return requestMany(this, requests, options, this.#made.concurrency);
  }

  /** As {@link RequestMethods.urlopen}, and tells when the request has been sent, or its response came before. @internal */
  send(method: string, url: string, options: RequestOptions, onSent: () => void): Promise<HTTPResponse> {
    try {
      return this.#open(text(method, 'a method'), url, options, 'body', onSent);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** @internal */
  respond(raw: Raw): HTTPResponse {
    return HTTPResponse.fromRecord(raw);
  }

  /** @internal */
  refuse(record: ErrorRecord, url: string, cause?: unknown): Error {
    const asked = record.url ?? url;
    return errorFromRecord(record, { pool: this.named(record, asked), url: asked, cause });
  }

  /** @internal */
  locate(url: string, fields: Call['fields']): string {
    const { engine, handle } = this.#made;
    return engine.handles.absoluteUrl(handle, url, fields);
  }

  /** @internal */
  abstract poolOf(url: string): AnyPool | null;

  /** What an error calls the pool that it is about. @internal */
  protected abstract named(record: ErrorRecord, url: string): AnyPool | null;

  /** Throws if no request may be made any more. @internal */
  protected abstract refuseClosed(): void;

  /** Everything is checked: from now on requests can be made. @internal */
  protected ready(made: Requesting): void {
    const { jar, beforeAttempt, resolve } = made.sources;
    if (jar !== null) this.#flags |= layout.REQUEST_ASK_COOKIES;
    if (beforeAttempt !== null) this.#flags |= layout.REQUEST_ASK_GATE;
    if (!Retry.isPlain(made.retries)) this.#flags |= layout.REQUEST_ASK_VERDICT;
    this.#asks = this.#flags !== 0 || resolve !== null;
    this.#with = made;
  }

  /** Who answers the core's questions about a call; `null` where there can be none. @internal */
  protected asking(call: PoolCall | null): Asking | null {
    const own = call?.retry ?? null;
    if (!this.#asks && call?.source == null && (own === null || Retry.isPlain(own))) return null;
    const { sources, retries } = this.#made;
    return new Asking(sources, own ?? retries);
  }

  get #made(): Requesting {
    // Only a constructor that throws leaves it open.
    if (this.#with === null) throw new Error('the constructor has not ended');
    return this.#with;
  }

  #open(
    method: string,
    url: string,
    options: RequestOptions,
    fields: 'query' | 'body',
    onSent: (() => void) | null = null,
  ): Promise<HTTPResponse> {
    const call = this.#call(method, url);
    call.onSent = onSent;
    const { limits, headers } = this.#made;
    const signal = merge(call, options, fields, { limits, headers });
    if (signal !== null && signal.aborted) {
      call.source?.discard?.();
      return Promise.reject(signal.reason as Error);
    }
    return this.#send(call, signal);
  }

  #call(method: string, url: string): PoolCall {
    return {
      pool: this.#made.handle,
      method,
      url: wellFormed(text(url, 'a URL')),
      flags: this.#flags,
      lines: null,
      fields: null,
      body: null,
      source: null,
      onProgress: null,
      onSent: null,
      accept: null,
      limits: null,
      retries: null,
      retry: null,
      timeout: null,
      poolTimeout: null,
    };
  }

  #send(call: PoolCall, signal: AbortSignal | null): Promise<HTTPResponse> {
    const made = this.#made;
    try {
      this.refuseClosed();
    } catch (error) {
      call.source?.discard?.();
      throw error;
    }
    // Once a call, whatever attempts it takes.
    if (isWatched()) return watch(this, call, made.headers, signal, () => this.#dispatch(call, signal));
    return this.#dispatch(call, signal);
  }

  #dispatch(call: PoolCall, signal: AbortSignal | null): Promise<HTTPResponse> {
    const made = this.#made;
    const { accept, flags } = call;
    const outcome = made.engine.request<HTTPResponse>(
      this,
      call,
      signal,
      call.retry ?? made.retries,
      this.asking(call),
    );
    if (accept === null) return outcome;
    const preload = (flags & layout.REQUEST_STREAM_WHOLE) !== 0;
    return outcome.then((response) => response.acceptWith(accept, preload));
  }
}

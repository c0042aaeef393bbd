/**
 * What pools and managers have in common: how a request is made of its options and handed to the engine, and what comes
 * back. Where a URL leads is not decided here.
 */
import { argumentError } from './arguments.ts';
import { Asking, type Sources } from './asking.ts';
import { discardBody } from './body.ts';
import type { Engine, ErrorRecord, Raw } from './boundary/engine.ts';
import * as layout from './boundary/generated.ts';
import type { Call } from './boundary/marshal.ts';
import { PROXY_URL } from './boundary/records.ts';
import { MERGED, merge, QUERY_METHODS, text, upper, wellFormed, type PoolCall } from './call.ts';
import { CODE } from './checks.ts';
import { errorFromRecord } from './error-record.ts';
import type { AnyPool } from './errors.ts';
import type { HTTPHeaderDict } from './headers.ts';
import type { Limits, ManagerRequestOptions, RequestOptions } from './options.ts';
import { isWatched, watch } from './observe.ts';
import { requestMany, type ManyOptions, type Planned, type Settled } from './request-many.ts';
import { HTTPResponse } from './response.ts';
import { Retry } from './retry.ts';
import type { FieldsGo, Method, Together } from './together.ts';

/**
 * Options of {@link RequestMethods.urlopen}: a request's, but for those that are merged into others before it is sent (`fields`,
 * `json`, `encodeMultipart`, `multipartBoundary`).
 */
export type UrlopenOptions<Options extends RequestOptions = RequestOptions> = Omit<
  Options,
  'fields' | 'json' | 'encodeMultipart' | 'multipartBoundary'
>;

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
  /** Whether its requests may lead anywhere, each by a proxy of its own. */
  readonly isManager: boolean;
}

/**
 * How requests are made: what pools and managers have in common, urllib3's `RequestMethods`. `Options` are those of a request:
 * {@link RequestOptions} of a pool, {@link ManagerRequestOptions} of a manager.
 *
 * Every method that gives a promise checks its arguments before anything is sent, and rejects (it never throws) with a TypeError or
 * RangeError where they are no good. Two bodies among the options of one request (`body`, `json`, `fields`) do not compile where both
 * are certain to be there, nor does `releaseConn: true` with `preloadContent: false`. Other combinations, of the items of
 * {@link RequestMethods.requestMany} and of what pools and managers are made with, are refused when they are given.
 */
export abstract class RequestMethods<Options extends RequestOptions = RequestOptions> {
  #with: Requesting | null = null;
  /** Flags of every call: whom the core asks. */
  #flags = 0;
  /** Whether every call has somebody who answers. */
  #asks = false;

  /** The `Retry` of a request that brings none: {@link Retry.DEFAULT}, a total of 3, where nothing else was said. */
  get retries(): Retry {
    return this.#made.retries;
  }

  /** The headers of a request that brings none; a copy. Empty where nothing was said. */
  get headers(): HTTPHeaderDict {
    return this.#made.headers.copy();
  }

  /**
   * Makes a request, tries it again and follows redirects as its {@link Retry} says, and resolves with the response, whatever
   * its status. `fields` go into the query for GET, HEAD, DELETE and OPTIONS, and into the body for every other method.
   *
   * @param method In any case: it goes out in upper case.
   * @param url Of a pool a path or a URL of its host, of a manager an absolute URL. A string: of a `URL` object its `href`.
   * @throws (rejects with) {@link HTTPError}s, each with its `code`; TypeError or RangeError ERR_INVALID_OPTION, ERR_INVALID_TIMEOUT,
   * ERR_INVALID_METHOD, ERR_INVALID_URL or ERR_INVALID_BODY for arguments; the `reason` of its signal.
   * @example
   * const response = await pool.request('POST', '/echo', { json: { id: 1 }, timeout: { total: 5_000 } });
   * console.log(response.status); // 200
   */
  request<M extends Method, Given extends RequestOptions | object>(
    method: M,
    url: string,
    options?: Together<Given, Options, FieldsGo<M>>,
  ): Promise<HTTPResponse> {
    try {
      const name = upper(method);
      if (options === undefined) return this.#send(this.#call(name, url), null);
      return this.#open(name, url, options, QUERY_METHODS.has(name) ? 'query' : 'body');
    } catch (error) {
      discardBody(options);
      return Promise.reject(error);
    }
  }

  /**
   * Makes a request whose `fields` go into the query, whatever the method. urllib3's `request_encode_url`.
   *
   * @throws (rejects with) what {@link RequestMethods.request} does.
   */
  requestEncodeUrl<M extends Method, Given extends RequestOptions | object>(
    method: M,
    url: string,
    options?: Together<Given, Options, 'query'>,
  ): Promise<HTTPResponse> {
    try {
      return this.#open(upper(method), url, options === undefined ? {} : options, 'query');
    } catch (error) {
      discardBody(options);
      return Promise.reject(error);
    }
  }

  /**
   * Makes a request whose `fields` go into the body, whatever the method. urllib3's `request_encode_body`.
   *
   * @throws (rejects with) what {@link RequestMethods.request} does.
   */
  requestEncodeBody<M extends Method, Given extends RequestOptions | object>(
    method: M,
    url: string,
    options?: Together<Given, Options, 'body'>,
  ): Promise<HTTPResponse> {
    try {
      return this.#open(upper(method), url, options === undefined ? {} : options, 'body');
    } catch (error) {
      discardBody(options);
      return Promise.reject(error);
    }
  }

  /**
   * The lowest level: the method goes out as it is given, in whatever case, and no option is merged into another. Retries and
   * redirects are as with {@link RequestMethods.request}, which does not come through here (urllib3's does): a subclass that means
   * every request overrides both.
   *
   * @throws (rejects with) what {@link RequestMethods.request} does.
   */
  urlopen<M extends Method, Given extends RequestOptions | object>(
    method: M,
    url: string,
    options?: Together<Given, UrlopenOptions<Options>, 'body'>,
  ): Promise<HTTPResponse> {
    try {
      for (const name of MERGED) {
        if (typeof options !== 'object' || options === null || !Object.hasOwn(options, name)) continue;
        throw argumentError('type', CODE, `urlopen has no option '${name}'; use request`);
      }
      return this.#open(text(method, 'a method'), url, options === undefined ? {} : options, 'body');
    } catch (error) {
      discardBody(options);
      return Promise.reject(error);
    }
  }

  /**
   * Makes many requests, `concurrency` at a time (default: a pool's `maxsize`, 64 for a manager), and yields each as it
   * settles: unordered, bounded, and no faster than they are taken. A request that fails is yielded too (`ok: false`). Leaving the
   * loop before its end aborts what is in flight, and with it bodies that are read in pieces; after its end they can be read on.
   * urllib3 has no such method.
   *
   * @param requests URLs, or what a request is made of; an iterable that is asked for more when there is room.
   * @throws TypeError or RangeError ERR_INVALID_OPTION for arguments; while iterating whatever `requests` throws itself.
   * @example
   * for await (const settled of pool.requestMany(['/a', '/b'], { concurrency: 2 })) {
   *   if (settled.ok) console.log(settled.index, settled.response.status);
   *   else console.error(settled.index, settled.error.message);
   * }
   */
  requestMany(
    requests: Iterable<Planned<Options>> | AsyncIterable<Planned<Options>>,
    options: ManyOptions = {},
  ): AsyncIterableIterator<Settled<Options>> {
    // What a pool's requests cannot bring they do not bring: it would refuse them.
    const planned = requests as Iterable<Planned<ManagerRequestOptions>>;
    const requester = this as RequestMethods<ManagerRequestOptions>;
    return requestMany(requester, planned, options, this.#made.concurrency) as AsyncIterableIterator<Settled<Options>>;
  }

  /** As {@link RequestMethods.urlopen}, and tells when the request has been sent, or its response came before. @internal */
  send(method: string, url: string, options: RequestOptions, onSent: () => void): Promise<HTTPResponse> {
    try {
      return this.#open(text(method, 'a method'), url, options, 'body', onSent);
    } catch (error) {
      discardBody(options);
      return Promise.reject(error);
    }
  }

  /** @internal */
  respond(raw: Raw): HTTPResponse {
    return HTTPResponse.fromRecord(raw);
  }

  /** @internal */
  refuse(record: ErrorRecord, url: string, method: string | null, cause?: unknown): Error {
    // A proxy's URL was not where redirects led.
    const asked = record.reason === PROXY_URL ? url : (record.url ?? url);
    return errorFromRecord(record, { pool: this.named(record, asked), url: asked, method, cause, owner: this });
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

  /** Throws if no request may be made any more; given the one that was to be. @internal */
  protected abstract refuseClosed(asked: Pick<Call, 'method' | 'url'> | null): void;

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
    const signal = merge(call, options, fields, this.#made);
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
      proxy: null,
      retries: null,
      retry: null,
      timeout: null,
      poolTimeout: null,
    };
  }

  #send(call: PoolCall, signal: AbortSignal | null): Promise<HTTPResponse> {
    const made = this.#made;
    try {
      this.refuseClosed(call);
    } catch (error) {
      call.source?.discard?.();
      throw error;
    }
    const { accept } = call;
    const preload = (call.flags & layout.REQUEST_STREAM_WHOLE) !== 0;
    const goOn =
      accept === null ? null : (response: HTTPResponse): Promise<HTTPResponse> => response.acceptWith(accept, preload);
    // Once a call, whatever attempts it takes.
    if (isWatched()) return watch(this, call, made.headers, signal, () => this.#dispatch(call, signal), goOn);
    const outcome = this.#dispatch(call, signal);
    return goOn === null ? outcome : outcome.then(goOn);
  }

  #dispatch(call: PoolCall, signal: AbortSignal | null): Promise<HTTPResponse> {
    const made = this.#made;
    return made.engine.request<HTTPResponse>(this, call, signal, call.retry ?? made.retries, this.asking(call));
  }
}

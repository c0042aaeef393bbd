/**
 * Our own channels of `node:diagnostics_channel`: what happens to calls and to connections, for whoever subscribes. A
 * subscriber that throws is Node.js's to report (an uncaught exception); the call does not notice.
 */
import { channel, type Channel } from 'node:diagnostics_channel';

import type { ConnectionFacts } from './boundary/engine.ts';
import type { HTTPHeaderDict } from './headers.ts';
import type { HTTPResponse, Timings } from './response.ts';
import { withoutCredentials, type CallEnd, type Follower, type Seen } from './seen.ts';

/** A call, in all notices about it the same object. */
export interface ObservedRequest {
  /** Unique in its thread. */
  readonly id: number;
  /** The method of the call; redirects may change it later. */
  readonly method: string;
  /** Absolute, without user info, with its query. */
  readonly url: string;
  /**
   * A copy of the call's own headers or, if it brings none, of its pool's; the values of credentials are `<hidden>`. Host,
   * Content-Length and what else is added on the way are not among them.
   */
  readonly headers: HTTPHeaderDict;
  /**
   * Adds a header line to this call, while `ferropool:request:start` is published.
   *
   * @throws TypeError ERR_INVALID_HEADER for what no header can hold, and later. A line that must not be sent rejects the call.
   */
  addHeader(name: string, value: string | number | Uint8Array): void;
}

/** `ferropool:request:start`: published in the caller's context, before anything of the call has been written down. */
export interface RequestStartNotice {
  /** The call that is about to be made. */
  readonly request: ObservedRequest;
}

/** `ferropool:request:headers`: the response is given to the caller, or its head to {@link RequestOptions.accept}. */
export interface RequestHeadersNotice {
  /** The call that it answers. */
  readonly request: ObservedRequest;
  /** The status code. */
  readonly status: number;
  /** The response's; a copy, in which the values of Set-Cookie are `<hidden>`. */
  readonly headers: HTTPHeaderDict;
}

/** `ferropool:request:end`: the body has come to its end, or its reader has let go of it. */
export interface RequestEndNotice {
  /** The call that has ended. */
  readonly request: ObservedRequest;
  /** {@link HTTPResponse.timings}. */
  readonly timings: Timings | null;
  /** Bytes of the body on the wire. */
  readonly bytesRead: number;
}

/** `ferropool:request:error`: the call rejects, or its streamed body breaks. */
export interface RequestErrorNotice {
  /** The call that has failed. */
  readonly request: ObservedRequest;
  /** An error, or whatever the call's signal was aborted with. */
  readonly error: unknown;
}

/** `ferropool:connection:open` and `ferropool:connection:close`. */
export interface ConnectionNotice {
  /** The host that the pool leads to. */
  readonly host: string;
  /** Its port. */
  readonly port: number;
  /** The peer's address, or the path of its Unix socket. */
  readonly remoteAddress: string;
  /** What is spoken on it. */
  readonly protocol: 'http/1.1' | 'h2';
  /** The proxy that it leads through, without credentials; `null` without one. */
  readonly proxy: string | null;
  /** Why it closed: a word of the table in docs/observability.md. `null` for one that opened. */
  readonly reason: string | null;
}

// Held here: one that nobody holds is collected, and its subscribers with it.
const started: Channel = channel('ferropool:request:start');
const headed: Channel = channel('ferropool:request:headers');
const ended: Channel = channel('ferropool:request:end');
const failed: Channel = channel('ferropool:request:error');
const opened: Channel = channel('ferropool:connection:open');
const closed: Channel = channel('ferropool:connection:close');

/** @internal */
export function areChannelsHeard(): boolean {
  return started.hasSubscribers || headed.hasSubscribers || ended.hasSubscribers || failed.hasSubscribers;
}

/** A call's notices. The first is published when it is made. @internal */
export class ChannelEvents implements Follower {
  readonly #request: ObservedRequest;

  constructor(seen: Seen) {
    this.#request = seen;
    started.publish({ request: seen } satisfies RequestStartNotice);
  }

  head(response: HTTPResponse): void {
    if (!headed.hasSubscribers) return;
    const headers = withoutCredentials(response.headers);
    headed.publish({ request: this.#request, status: response.status, headers } satisfies RequestHeadersNotice);
  }

  end({ timings, bytesRead }: CallEnd): void {
    ended.publish({ request: this.#request, timings, bytesRead } satisfies RequestEndNotice);
  }

  error(error: unknown): void {
    failed.publish({ request: this.#request, error } satisfies RequestErrorNotice);
  }
}

/** @internal */
export function tellOpened(facts: () => ConnectionFacts): void {
  if (opened.hasSubscribers) opened.publish(notice(facts(), null));
}

/** @internal */
export function tellClosed(facts: () => ConnectionFacts, reason: string): void {
  if (closed.hasSubscribers) closed.publish(notice(facts(), reason));
}

function notice(
  { pool: { host, port }, remoteAddress, protocol, proxy }: ConnectionFacts,
  reason: string | null,
): ConnectionNotice {
  return { host, port, remoteAddress, protocol, proxy: proxy?.url ?? null, reason };
}

/** What others may know of a call: the shape in which it is told to channels and logs, without credentials. */
import { HTTPHeaderDict } from './headers.ts';
import type { HTTPResponse, Timings } from './response.ts';

/** A call as far as others may know it. @internal */
export interface Seen {
  /** Unique in its thread. */
  readonly id: number;
  readonly method: string;
  /** Absolute, without user info. */
  readonly url: string;
  /** Its own or its pool's, with credentials left out; what the core adds is not among them. */
  readonly headers: HTTPHeaderDict;
  /** Adds a line to the request, until the beginning has been told. */
  addHeader(name: string, value: string | number | Uint8Array): void;
}

/** What is known when the body has ended. @internal */
export interface CallEnd {
  readonly timings: Timings | null;
  /** Of the body, on the wire. */
  readonly bytesRead: number;
  /** Names and values in turn. */
  readonly trailers: readonly string[];
}

/** Follows one call: its head, if there is one, then either its end or its error. @internal */
export interface Follower {
  head(response: HTTPResponse): void;
  end(end: CallEnd): void;
  error(error: unknown): void;
}

/** A copy without what nobody but the server is to see (THR-510). @internal */
export function withoutCredentials(headers: HTTPHeaderDict): HTTPHeaderDict {
  const out = new HTTPHeaderDict();
  for (const [name, value] of headers) out.add(name, CREDENTIALS.has(name.toLowerCase()) ? HIDDEN : value);
  return out;
}

const CREDENTIALS: ReadonlySet<string> = new Set(['authorization', 'cookie', 'proxy-authorization', 'set-cookie']);
const HIDDEN = '<hidden>';

/** What came of one request, as plain data: what reports and documents are made from. */
import type { Charset, ConnectionInfo, RequestHistory, Timings } from 'ferropool';

/** A response, of which the body has gone where it should. */
export interface Answer {
  readonly status: number;
  readonly reason: string | null;
  /** `HTTP/1.1`, `HTTP/2`. */
  readonly version: string;
  /** The last one, after redirects. */
  readonly url: string;
  /** A line each. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly trailers: readonly (readonly [name: string, value: string])[];
  readonly defects: readonly string[];
  readonly timings: Timings;
  readonly connection: ConnectionInfo | null;
  readonly attempts: number;
  readonly history: readonly RequestHistory[];
  readonly body: BodyFacts;
}

/** A body that was counted and not kept. */
export interface BodyFacts {
  readonly wireBytes: number;
  readonly decodedBytes: number;
  /** Content-Encoding as it came, `null` for none. */
  readonly coding: string | null;
  /** Whether it was undone. */
  readonly decoded: boolean;
  /** `null` where there is no text. */
  readonly charset: Charset | null;
  /** The file that has it, `null` for none. */
  readonly savedTo: string | null;
}

/** A request that was made: its answer, or what it failed with, or both, where a body broke off. */
export interface Result {
  /** Its place on the command line, from 0. */
  readonly index: number;
  readonly method: string;
  /** As given, but with a scheme. */
  readonly url: string;
  readonly answer: Answer | null;
  readonly error: unknown;
  /** Milliseconds from the call to its end, by the clock of this process. */
  readonly elapsed: number;
}

/** The lines under a name, joined. */
export function valueOf(answer: Answer, wanted: string): string | null {
  const values = answer.headers.filter(([name]) => name === wanted).map(([, value]) => value);
  return values.length === 0 ? null : values.join(', ');
}

/** Days until a date, rounded down; `null` for a date that could not be read. */
export function daysLeft(date: Date, now: number): number | null {
  const days = Math.floor((date.getTime() - now) / 86_400_000);
  return Number.isNaN(days) ? null : days;
}

/**
 * A URL, or a reference to one, without user and password. What stands before an `@` and makes no authority may be the beginning of a password that was to
 * be encoded: `http://user:pass/word@host`.
 */
export function withoutUser(url: string): string {
  const rest = url.replace(/^((?:[a-z][a-z0-9+.-]*:)?\/\/)[^/?#]*@/i, '$1');
  return rest.includes('@') && !BEGINNING.test(rest) ? `…${rest.slice(rest.lastIndexOf('@'))}` : rest;
}

/** A host and perhaps its port; or neither, where a path, a query or a fragment is all there is. */
const BEGINNING =
  /^(?:[a-z][a-z0-9+.-]*:)?\/\/(?:\[[^\]]*\]|[^:/?#]+)(?::\d+|:(?!\/\/))?(?=[/?#]|$)|^(?:\/(?!\/)|[?#])/i;

/** Without user, password, query and fragment, as an error's `toJSON` writes it. */
export function withoutSecrets(url: string): string {
  return withoutUser(url).replace(/[?#].*$/s, '');
}

/** Whether the field is a URL and nothing else. */
export function isReference(name: string): boolean {
  return name === 'location' || name === 'content-location';
}

/** Of a request that never began. */
export const NO_TIMINGS = {
  pool: null,
  dns: null,
  connect: null,
  proxy: null,
  tls: null,
  send: null,
  headers: null,
  deliver: 0,
  body: null,
  total: null,
};

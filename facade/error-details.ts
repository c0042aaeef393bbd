/** What an error is told when it is made, and what it tells as plain data. The classes are in `errors.ts`. */
import { argumentError, describe } from './arguments.ts';
import type { ErrorCode } from './error-codes.ts';

/** Where in a request's life something happened: the word for it in errors, timings and documentation. */
export type Phase = 'pool' | 'dns' | 'connect' | 'proxy' | 'tls' | 'send' | 'headers' | 'body' | 'total';

/** What an {@link HTTPError} is made of; the defaults are those of a request that never began. */
export interface ErrorDetails {
  /** {@link HTTPError.code}. Default: that of the class. */
  code?: ErrorCode | undefined;
  /** {@link HTTPError.phase}. Default `null`. */
  phase?: Phase | null | undefined;
  /** {@link HTTPError.during}. Default `null`. */
  during?: Phase | null | undefined;
  /** {@link HTTPError.host}. Default `null`. */
  host?: string | null | undefined;
  /** {@link HTTPError.attempts}. Default 0. */
  attempts?: number | undefined;
  /** {@link HTTPError.elapsed}, in milliseconds. Default 0. */
  elapsed?: number | undefined;
  /** {@link HTTPError.sent}. Default false. */
  sent?: boolean | undefined;
  /** {@link HTTPError.reason}. Default `null`. */
  reason?: string | null | undefined;
  /** {@link HTTPError.method}. Default `null`. */
  method?: string | null | undefined;
  /** {@link HTTPError.url}, whose user info and query are left out. Default `null`. */
  url?: string | null | undefined;
  /** What lies below, as every `Error` of JavaScript has it. Default: no `cause` at all. */
  cause?: unknown;
}

/** An error as plain data, for logs and for other threads: without secrets (user info, query) and without bodies. */
export interface ErrorJSON {
  /** The name of the class. */
  name: string;
  /** {@link HTTPError.code}; `null` of an error that has none. */
  code: string | null;
  /** What a person reads. */
  message: string;
  /** The error below, in turn; `null` where there is none, or where it is no `Error`. Eight deep at most. */
  cause: ErrorJSON | null;
  /** Whatever else the class knows and is no object; of bytes their number, under `…Length`. */
  [field: string]: unknown;
}

/** A pool, as far as an error knows it: what it calls itself. */
export interface AnyPool {
  /** What a message calls it: `HTTPConnectionPool(host='localhost', port=8080)`. */
  toString(): string;
}

/** Every name of a detail, those of single classes too. @internal */
export const DETAILS: readonly string[] = [
  'code',
  'phase',
  'during',
  'host',
  'attempts',
  'elapsed',
  'sent',
  'reason',
  'method',
  'url',
  'cause',
  'address',
  'port',
  'chain',
  'assertedName',
  'status',
  'headers',
  'body',
  'partial',
  'expected',
  'received',
  'location',
  'scheme',
];

/** A URL, or what was to be one, that an error is told. @internal */
export function checkUrl(url: unknown, name: 'url' | 'location' = 'url'): asserts url is string {
  if (typeof url === 'string') return;
  throw argumentError('type', 'ERR_INVALID_OPTION', `an error's ${name} is a string, not ${describe(url)}`);
}

/** With the code of a class, unless there is one. @internal */
export function withCode<T extends ErrorDetails>(code: string, details: T): T & { code: string } {
  return { ...details, code: details.code ?? code };
}

/** What a program may do with errors: codes and phases are words that editors offer, classes know what they hold. Nothing here runs. */
import type { ERRORS } from '../facade/boundary/generated.ts';
import {
  AddressDenied,
  ClosedPoolError,
  ConnectionError,
  ConnectTimeoutError,
  DecodeError,
  EmptyPoolError,
  FullPoolError,
  HeaderParsingError,
  HostChangedError,
  HTTPError,
  IncompleteRead,
  InvalidChunkLength,
  InvalidHeader,
  LocationParseError,
  LocationValueError,
  MaxRetryError,
  NameResolutionError,
  NewConnectionError,
  PoolError,
  ProtocolError,
  ProxyError,
  ProxySchemeUnknown,
  ProxySchemeUnsupported,
  ReadTimeoutError,
  RequestError,
  ResponseError,
  ResponseNotRead,
  ResponseNotReady,
  ResponseTooLarge,
  SSLError,
  TimeoutError,
  UnrewindableBodyError,
  URLSchemeUnknown,
  type AnyPool,
  type Answered,
  type ErrorCode,
  type ErrorDetails,
  type ErrorJSON,
  type Failed,
  type Phase,
  type RequestHistory,
  type Settled,
} from '../index.ts';

/** The product's own codes among those that editors offer. */
type Known = Extract<ErrorCode, `ERR_${string}`>;
type OfArguments =
  | 'ERR_INVALID_METHOD'
  | 'ERR_INVALID_TIMEOUT'
  | 'ERR_INVALID_OPTION'
  | 'ERR_NOT_SUPPORTED'
  | 'ERR_ABORTED';
type Told = Exclude<(typeof ERRORS)[number]['code'], OfArguments>;
/** Every code that the core gives an `HTTPError` is one that editors offer. */
export const ALL_OFFERED: [Exclude<Told, Known>] extends [never] ? true : false = true;

/** A code is compared with words, those of the system's that are not listed among them. */
export function advice(error: HTTPError): string {
  switch (error.code) {
    case 'ERR_READ_TIMEOUT':
    case 'ERR_SEND_TIMEOUT':
      return 'slow';
    case 'ECONNREFUSED':
    case 'EPIPE':
      return 'away';
    default: {
      const phase: Phase | null = error.phase;
      return `${phase ?? 'before'} ${error.code.toLowerCase()}`;
    }
  }
}

/** What each class knows beside what all do. */
export function known(error: unknown): unknown {
  if (error instanceof NewConnectionError) return [error.address?.trim(), error.port?.toFixed()];
  if (error instanceof ReadTimeoutError) return [error.url.trim(), error.pool?.toString()];
  if (error instanceof MaxRetryError) return [error.reason?.message, error.reason?.code?.startsWith('ERR_')];
  if (error instanceof SSLError) return [error.reason?.trim(), error.chain[0]?.subject, error.assertedName?.trim()];
  if (error instanceof ProxyError) return [error.status?.toFixed(), error.headers?.get('via'), error.body?.length];
  if (error instanceof ConnectionError) return [error.partial?.length, error.expected?.toFixed(), error.reason?.trim()];
  if (error instanceof IncompleteRead) return [error.partial.length, error.expected?.toFixed()];
  if (error instanceof InvalidChunkLength) return [error.length?.trim(), error.partial.length];
  if (error instanceof ResponseTooLarge) return [error.limit.trim(), error.allowed.toFixed()];
  if (error instanceof ResponseError) return error.status?.toFixed();
  if (error instanceof LocationParseError) return error.location?.trim();
  if (error instanceof URLSchemeUnknown) return error.scheme?.trim();
  if (error instanceof HostChangedError) return error.retries;
  if (error instanceof ProxySchemeUnsupported) return error.code satisfies 'ERR_NOT_SUPPORTED';
  if (!(error instanceof HTTPError)) return null;
  const history: readonly RequestHistory[] | undefined = error.history;
  const json: ErrorJSON = error.toJSON();
  // @ts-expect-error -- an error is a record of what happened
  error.code = 'ERR_OTHER';
  return [history, json.cause?.code, error.sent ? error.attempts : error.elapsed, error.during, error.host];
}

/** Each can be made, for tests of code that catches it. */
export function made(pool: AnyPool, details: ErrorDetails, maybe: string | undefined): HTTPError[] {
  const all: HTTPError[] = [
    new HTTPError('x', { ...details, code: 'EPIPE', phase: 'send', sent: true }),
    ...[PoolError, EmptyPoolError, FullPoolError, ClosedPoolError].map((Class) => new Class(pool, 'x', details)),
    ...[RequestError, ReadTimeoutError].map((Class) => new Class(null, '/', 'x', details)),
    new MaxRetryError(pool, '/', new Error('x'), details, 'note'),
    new HostChangedError(pool, '/', 3, details),
    new NewConnectionError('x', { address: '::1', port: 80, code: maybe, phase: undefined, attempts: undefined }),
    new ProxyError('x', null, { status: undefined, headers: undefined, body: undefined, host: maybe }),
    new SSLError('x', { reason: 'CERT_HAS_EXPIRED', assertedName: null }),
    new ProxyError('x', new Error('y'), { status: 407 }),
    new ProtocolError('x', { partial: Buffer.alloc(0), expected: 3 }),
    new IncompleteRead(Buffer.alloc(0), null, { received: 5 }),
    new InvalidChunkLength('zz', Buffer.alloc(0)),
    new ResponseError('x', { status: 503 }),
    new LocationParseError('x', { location: '::' }),
    new URLSchemeUnknown('x', { scheme: 'ftp' }),
    new ProxySchemeUnknown('x', { scheme: 'ftp' }),
    new ResponseTooLarge('x', 'decoded', 5),
    ...[TimeoutError, ConnectTimeoutError, NameResolutionError, DecodeError, InvalidHeader, HeaderParsingError].map(
      (Class) => new Class('x', details),
    ),
    ...[LocationValueError, UnrewindableBodyError, ResponseNotReady, ResponseNotRead, AddressDenied].map(
      (Class) => new Class('x', details),
    ),
  ];
  // @ts-expect-error -- there is no such phase
  all.push(new HTTPError('x', { phase: 'later' }));
  return all;
}

/** `ok` says which of the two it is. */
export function sorted(all: readonly Settled[]): [Answered[], Failed[]] {
  const answered = all.filter((one) => one.ok);
  const failed = all.filter((one) => !one.ok);
  // @ts-expect-error -- what failed has no response
  failed[0]?.response.status.toFixed();
  return [answered, failed];
}

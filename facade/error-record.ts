/**
 * From the core's record of a failure to the object that a request rejects with. The core has decided what happened;
 * here it gets its class, its pool and its causes. Nobody parses a message.
 */
import {
  CLASSES,
  HostChangedError,
  HTTPError,
  IncompleteRead,
  InvalidChunkLength,
  LocationParseError,
  MaxRetryError,
  NameResolutionError,
  NewConnectionError,
  ProtocolError,
  ProxyError,
  ProxySchemeUnknown,
  ResponseError,
  ResponseTooLarge,
  SSLError,
  URLSchemeUnknown,
} from './errors.ts';
import type { AnyPool, ErrorDetails, Phase } from './errors.ts';
import type { ErrorRecord } from './boundary/engine.ts';
import { PROXY_URL, type Owner } from './boundary/records.ts';
import { withChain } from './certificates.ts';
import { OF_SYSTEM } from './error-inspect.ts';
import { HTTPHeaderDict } from './headers.ts';
import { historyOf } from './history.ts';

export type { ErrorRecord };

/** What only the facade knows: whose request it was, and what it failed with where that is an object already (`cause`). @internal */
export interface ErrorContext {
  pool: AnyPool | null;
  url: string;
  /** `null` or absent: it is about no request. */
  method?: string | null;
  cause?: unknown;
  /** Whose request it was: what came before may have been another host's. */
  owner?: Pick<Owner, 'refuse'>;
  /** It is a proxy that was not reached: what the pool leads to is not what this is about. */
  ofProxy?: boolean;
}

/**
 * Makes the object for a record. A class that is not known becomes an {@link HTTPError}: reporting a failure never fails.
 *
 * @internal
 */
export function errorFromRecord(record: ErrorRecord, context: ErrorContext): Error {
  // What happened last says what was asked then: GET after a 303.
  const error = made(record, { ...context, method: record.history.at(-1)?.method ?? context.method ?? null });
  // RETRY-12: what was tried before is no secret of the last attempt's.
  if (record.history.length > 0) {
    const { pool } = context;
    const owner = context.owner ?? {
      refuse: (past: ErrorRecord, url: string, method: string) => errorFromRecord(past, { pool, url, method }),
    };
    Object.defineProperty(error, 'history', { value: historyOf(record.history, owner), enumerable: false });
  }
  return error;
}

function made(record: ErrorRecord, context: ErrorContext): Error {
  const { message } = record;
  const { pool, url, method = null } = context;
  const inner = record.className === 'ProxyError' ? { ...context, ofProxy: true } : context;
  const below = record.below === null ? null : errorFromRecord(record.below, inner);
  const cause = context.cause ?? below ?? causeOf(record);
  const details: ErrorDetails = {
    code: record.code,
    phase: record.phase as Phase | null,
    during: record.during as Phase | null,
    host: inBrackets(record.host),
    attempts: record.attempts,
    elapsed: record.elapsed,
    sent: record.sent,
    reason: record.reason,
    method,
    // Of no request it is a host that a pool was to be of; a proxy's is not what was asked for.
    url: method === null || record.reason === PROXY_URL ? null : url,
    ...(cause === null ? {} : { cause }),
  };
  switch (record.className) {
    case 'TypeError':
      return Object.assign(new TypeError(message), bare(record));
    case 'RangeError':
      return Object.assign(new RangeError(message), bare(record));
    case 'Error':
      return Object.assign(new Error(message), bare(record));
    case 'MaxRetryError':
      if (below !== null) return new MaxRetryError(pool, url, below, details);
      return new MaxRetryError(pool, url, new ResponseError(message, { method, url }), details);
    case 'HostChangedError':
      return new HostChangedError(pool, url, 3, details);
    case 'ReadTimeoutError':
    case 'RequestError':
      return new CLASSES[record.className](pool, url, message, details);
    case 'PoolError':
    case 'EmptyPoolError':
    case 'FullPoolError':
    case 'ClosedPoolError':
      return new CLASSES[record.className](pool, message, details);
    case 'NewConnectionError':
    case 'NameResolutionError':
      return notConnected(record, details, context);
    case 'ProxyError':
      return new ProxyError(saying(message, record.below ?? record), cause instanceof Error ? cause : null, {
        ...details,
        ...refusal(record),
      });
    case 'ProtocolError':
      return broken(record, details);
    case 'ResponseError':
      return new ResponseError(message, { ...details, status: record.status });
    case 'LocationParseError':
      return new LocationParseError(message, { ...details, location: url === '' ? null : url });
    case 'URLSchemeUnknown':
      return new URLSchemeUnknown(message, { ...details, scheme: /^([^:/?#]+):/.exec(url)?.[1] ?? null });
    case 'ProxySchemeUnknown':
      // What stands before a port is no scheme.
      return new ProxySchemeUnknown(message, { ...details, scheme: /^([^:/?#]+):\/\//.exec(url)?.[1] ?? null });
    case 'ResponseTooLarge':
      return new ResponseTooLarge(message, record.limit ?? '', record.allowed ?? 0, details);
    case 'SSLError': {
      const failed = new SSLError(message, { ...details, assertedName: record.asserted });
      return withChain(failed, record.chain ?? [], false);
    }
    case 'TimeoutError':
    case 'ConnectTimeoutError':
    case 'DecodeError':
    case 'InvalidHeader':
    case 'HeaderParsingError':
    case 'LocationValueError':
    case 'UnrewindableBodyError':
    case 'ResponseNotReady':
    case 'ResponseNotRead':
    case 'AddressDenied':
      return new CLASSES[record.className](message, details);
    default:
      return new HTTPError(message, details);
  }
}

/** `host:port`, an IPv6 literal in brackets as in a URL. */
function inBrackets(host: string | null): string | null {
  return host?.replace(/^([^[\]]*:[^[\]]*):(\d+)$/, '[$1]:$2') ?? null;
}

/** The proxy's answer, where it gave one. */
function refusal({ refusal: answer }: ErrorRecord): Pick<ProxyError, 'status' | 'headers' | 'body'> {
  if (answer === null) return { status: null, headers: null, body: null };
  const { status, headers, body } = answer;
  return { status, headers: new HTTPHeaderDict(headers), body: Buffer.from(body, 'base64') };
}

/**
 * The system's code of the address that failed last becomes the error's own, and stands in the message. The core tells of
 * that one first.
 */
function notConnected(record: ErrorRecord, details: ErrorDetails, context: ErrorContext): NewConnectionError {
  const [last] = record.causes;
  const code = record.code === 'ERR_CONNECT' ? (last?.code ?? record.code) : record.code;
  const said = saying(record.message, record);
  // As urllib3 has it: the connection that was not made comes first. A name that does not resolve is in its own message, and
  // a proxy in that of the ProxyError around it.
  const [, host, at] = /^(.*):(\d+)$/.exec(record.host ?? '') ?? [];
  const named = record.className === 'NameResolutionError' || host === undefined || context.ofProxy === true;
  const message = named
    ? said
    : `${isSecure(context.pool) ? 'HTTPSConnection' : 'HTTPConnection'}(host='${host}', port=${at}): ${said}`;
  // `ip:port`, the IP of the sixth version in brackets; anything else is a Unix socket's path.
  const [, bracketed, ip, port] = /^(?:\[(.+)\]|([^:/]+)):(\d+)$/.exec(last?.address ?? '') ?? [];
  const address = bracketed ?? ip ?? last?.address ?? null;
  const type = record.className === 'NameResolutionError' ? NameResolutionError : NewConnectionError;
  return new type(message, { ...details, code, address, port: port === undefined ? null : Number(port) });
}

/** With the system's code, unless it stands there: logs are searched for it. */
function saying(message: string, { causes: [last] }: ErrorRecord): string {
  const system = last?.code ?? null;
  return system === null || message.includes(system) ? message : `${message} (${system})`;
}

/** Pools and their names have a scheme. */
function isSecure(pool: AnyPool | null): boolean {
  return (pool as { scheme?: unknown } | null)?.scheme === 'https';
}

/** A body that broke off has a cause of a class of its own, between the error and what the system said. */
function broken(record: ErrorRecord, details: ErrorDetails): ProtocolError {
  const { partial, expected, received } = record;
  const outer = { ...details, partial, expected };
  const inner = partial ?? Buffer.alloc(0);
  switch (record.code) {
    case 'ERR_INCOMPLETE_READ':
      return new ProtocolError(record.message, {
        ...outer,
        cause: new IncompleteRead(inner, expected, { ...details, received }),
      });
    case 'ERR_CHUNK':
      return new ProtocolError(record.message, {
        ...outer,
        cause: new InvalidChunkLength(null, inner, expected, details),
      });
    default:
      return new ProtocolError(record.message, outer);
  }
}

function causeOf(record: ErrorRecord): Error | null {
  const errors = record.causes.map(({ code, message, address }) =>
    ofSystem(
      Object.assign(new Error(message), {
        ...(code === null ? {} : { code }),
        ...(address === null ? {} : { address }),
      }),
    ),
  );
  if (errors.length <= 1) return errors[0] ?? null;
  return ofSystem(new AggregateError(errors, `${errors.length} addresses were tried`));
}

function ofSystem<E extends Error>(error: E): E {
  OF_SYSTEM.add(error);
  return error;
}

/** Node's own errors carry the code, and the finer reason if there is one. */
function bare(record: ErrorRecord): { code: string; reason?: string } {
  return record.reason === null ? { code: record.code } : { code: record.code, reason: record.reason };
}

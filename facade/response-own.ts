/** A response of one's own: what it may be made of. */
import { argumentError, checkNames, describe, own } from './arguments.ts';
import { bytesOf } from './bytes.ts';
import { CODE, integer, wrong } from './checks.ts';
import { HTTPHeaderDict, type HeaderSource } from './headers.ts';
import { withoutUserInfo } from './secrets.ts';

/** What a response of one's own is made of. */
export interface HTTPResponseInit {
  /** 100 to 999. Default 200. */
  status?: number | undefined;
  /** Default none. */
  headers?: HeaderSource | undefined;
  /** The reason phrase. Default `null`. */
  reason?: string | null | undefined;
  /** What it is the response of; user info in it is left out, as of every response's. Default `''`. */
  url?: string | undefined;
}

/** What is known of it besides the body, once it has been looked at. @internal */
export interface Made {
  readonly reason: string | null;
  readonly url: string;
}

/** What such a response has. @internal */
export interface OwnParts {
  readonly status: number;
  readonly made: Made;
  readonly headers: HTTPHeaderDict;
  readonly data: Buffer;
}

/**
 * Checks what a response is to be made of.
 *
 * @throws TypeError ERR_INVALID_BODY, ERR_INVALID_OPTION, ERR_INVALID_HEADER; RangeError for a status out of range.
 * @internal
 */
export function ownParts(body: unknown, init: HTTPResponseInit): OwnParts {
  checkNames(init, ['status', 'headers', 'reason', 'url'], 'HTTPResponse', CODE);
  const { status = 200, url = '' } = { status: own(init, 'status'), url: own(init, 'url') };
  const reason = own(init, 'reason') ?? null;
  integer(status, 'status', 100, 999);
  if (reason !== null && typeof reason !== 'string') throw wrong('reason', 'a string or null', reason);
  if (typeof url !== 'string') throw wrong('url', 'a string', url);
  return {
    status,
    made: { reason, url: withoutUserInfo(url) },
    headers: new HTTPHeaderDict(own(init, 'headers') ?? {}),
    data: copied(body),
  };
}

/** Its own from now on: what becomes of the caller's memory is nobody's business. */
function copied(body: unknown): Buffer {
  if (body === null || body === undefined) return Buffer.alloc(0);
  if (typeof body === 'string') return Buffer.from(body);
  const bytes = bytesOf(body);
  if (bytes !== null) return Buffer.from(bytes);
  throw argumentError(
    'type',
    'ERR_INVALID_BODY',
    `a response's body is a string, bytes or null, not ${describe(body)}`,
  );
}

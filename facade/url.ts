/**
 * URLs as urllib3 takes them apart. One parser, in the core, feeds pools, Host, target and this: all name the same host.
 */
import { argumentError, describe } from './arguments.ts';
import type { ErrorRecord } from './boundary/engine.ts';
import { addon, guarded } from './boundary/load.ts';
import { errorFromRecord } from './error-record.ts';

/** A URL's parts; an absent part is `null`. */
export class Url {
  /** `http`, lower case. */
  readonly scheme: string | null;
  /** `user:password`, still percent-encoded. */
  readonly auth: string | null;
  /** Lower case, IDNA-encoded; an IPv6 literal keeps its brackets. */
  readonly host: string | null;
  readonly port: number | null;
  /** `null` when absent, `''` when a query or fragment follows at once. */
  readonly path: string | null;
  readonly query: string | null;
  readonly fragment: string | null;
  readonly #derived: Derived;

  /** @internal */
  constructor(parts: Parts & Derived) {
    this.scheme = parts.scheme;
    this.auth = parts.auth;
    this.host = parts.host;
    this.port = parts.port;
    this.path = parts.path;
    this.query = parts.query;
    this.fragment = parts.fragment;
    this.#derived = parts;
    Object.freeze(this);
  }

  /** The whole, as text. */
  get url(): string {
    return this.#derived.url;
  }

  /** The host; urllib3's other name of it. */
  get hostname(): string | null {
    return this.host;
  }

  /** The path (`/` when absent) and the query: what a request line has. */
  get requestUri(): string {
    return this.#derived.requestUri;
  }

  /** `host:port`. */
  get netloc(): string | null {
    return this.#derived.netloc;
  }

  /** `user:password@host:port`. */
  get authority(): string | null {
    return this.#derived.authority;
  }

  /** User and password, percent-decoded; the password is `null` without a colon, the whole `null` without user info. */
  get authDecoded(): [user: string, password: string | null] | null {
    return this.#derived.authDecoded;
  }

  /** `user:password`, percent-decoded, as Basic authentication wants it. */
  get authDecodedJoined(): string | null {
    const decoded = this.authDecoded;
    return decoded === null ? null : `${decoded[0]}:${decoded[1] ?? ''}`;
  }

  /** The whole, as text. */
  toString(): string {
    return this.url;
  }

  /** The parts. */
  toJSON(): Parts {
    const { scheme, auth, host, port, path, query, fragment } = this;
    return { scheme, auth, host, port, path, query, fragment };
  }
}

/** What a URL is made of. */
export interface Parts {
  readonly scheme: string | null;
  readonly auth: string | null;
  readonly host: string | null;
  readonly port: number | null;
  readonly path: string | null;
  readonly query: string | null;
  readonly fragment: string | null;
}

interface Derived {
  readonly url: string;
  readonly requestUri: string;
  readonly netloc: string | null;
  readonly authority: string | null;
  readonly authDecoded: [user: string, password: string | null] | null;
}

/**
 * Takes a URL apart and normalises it (RFC 3986; hosts by IDNA 2008). Text without a scheme is read as an authority
 * unless it begins with `/`. urllib3's `util.parse_url`, but that valid percent escapes stay as they are.
 *
 * @throws TypeError for anything but a string, LocationParseError ERR_INVALID_URL for what is no URL.
 * @example
 * parseUrl('HTTP://User@Example.com:80/a b?c').url; // 'http://User@example.com:80/a%20b?c'
 */
export function parseUrl(text: string): Url {
  if (typeof text !== 'string') {
    throw argumentError('type', 'ERR_INVALID_URL', `a URL is a string, not ${describe(text)}`);
  }
  // By code units: a lone surrogate must arrive as it is.
  const units = Uint16Array.from({ length: text.length }, (_, at) => text.charCodeAt(at));
  const answer = JSON.parse(guarded(() => addon.parseUrl(units))) as
    | { value: Parts & Derived }
    | { error: ErrorRecord };
  if ('error' in answer) throw errorFromRecord(answer.error, { pool: {}, url: text });
  return new Url(answer.value);
}

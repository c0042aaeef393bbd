/**
 * URLs as urllib3 takes them apart. One parser, in the core, feeds pools, Host, target and this: all name the same host.
 */
import { argumentError, describe } from './arguments.ts';
import type { ErrorRecord } from './boundary/engine.ts';
import { addon, guarded } from './boundary/load.ts';
import { says } from './boundary/records.ts';
import { errorFromRecord } from './error-record.ts';
import { LocationValueError } from './errors.ts';
import { authority, withoutSecrets } from './secrets.ts';

/** Who may make a {@link Url}. */
const PARSED: unique symbol = Symbol('parsed');

/** A URL taken apart and normalised by {@link parseUrl}; an absent part is `null`. Immutable. urllib3's `Url`. */
export class Url {
  /** `http` and so on, in lower case. */
  readonly scheme: string | null;
  /** The user info, `user:password`, still percent-encoded. */
  readonly auth: string | null;
  /** Lower case, IDNA-encoded; an IPv6 literal keeps its brackets. */
  readonly host: string | null;
  /** As it stands in the URL: `null` when absent, not the scheme's. */
  readonly port: number | null;
  /** `null` when absent, `''` when a query or fragment follows at once. */
  readonly path: string | null;
  /** Without its `?`, percent-encoded. */
  readonly query: string | null;
  /** Without its `#`, percent-encoded. */
  readonly fragment: string | null;
  readonly #derived: Derived;

  /** Of {@link parseUrl} alone. */
  private constructor(parts: UrlParts & Derived, key: symbol) {
    if (key !== PARSED) throw argumentError('type', 'ERR_INVALID_URL', 'a Url is made by parseUrl(text)');
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

  /** @internal */
  static of(parts: UrlParts & Derived): Url {
    return new Url(parts, PARSED);
  }

  /** The whole, normalised, as text. */
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

  /** `host:port`; the host alone without a port. */
  get netloc(): string | null {
    return this.#derived.netloc;
  }

  /** `user:password@host:port`, as far as they are there. */
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

  /** The parts, as plain data. */
  toJSON(): UrlParts {
    const { scheme, auth, host, port, path, query, fragment } = this;
    return { scheme, auth, host, port, path, query, fragment };
  }
}

/** The parts of a {@link Url} as plain data; an absent one is `null`. */
export interface UrlParts {
  /** {@link Url.scheme}. */
  readonly scheme: string | null;
  /** {@link Url.auth}: it may hold a password. */
  readonly auth: string | null;
  /** {@link Url.host}. */
  readonly host: string | null;
  /** {@link Url.port}. */
  readonly port: number | null;
  /** {@link Url.path}. */
  readonly path: string | null;
  /** {@link Url.query}. */
  readonly query: string | null;
  /** {@link Url.fragment}. */
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
 * console.log(parseUrl('HTTP://User@Example.com:80/a b?c').url); // http://User@example.com:80/a%20b?c
 */
export function parseUrl(text: string): Url {
  if (typeof text !== 'string') {
    const hint = (text as unknown) instanceof URL ? ': give its href' : '';
    throw argumentError('type', 'ERR_INVALID_URL', `a URL is a string, not ${describe(text)}${hint}`);
  }
  // By code units: a lone surrogate must arrive as it is.
  const units = Uint16Array.from({ length: text.length }, (_, at) => text.charCodeAt(at));
  const answer = JSON.parse(guarded(() => addon.parseUrl(units))) as
    | { value: UrlParts & Derived }
    | { error: ErrorRecord };
  if (says(answer, 'error')) throw errorFromRecord(answer.error, { pool: {}, url: text });
  return Url.of(answer.value);
}

/** `host:port` of a URL as errors say it; `null` of what has no host, or is no URL. @internal */
export function hostOf(url: string): string | null {
  try {
    const { scheme, host, port } = parseUrl(url);
    return host === null ? null : authority(host, port ?? (scheme === 'https' ? 443 : 80));
  } catch {
    return null;
  }
}

/** The error for a URL that does not say how it is to be asked for. @internal */
export function schemeless(url: string): LocationValueError {
  return new LocationValueError(`No scheme specified: '${withoutSecrets(url)}'; write http:// or https:// in front`);
}

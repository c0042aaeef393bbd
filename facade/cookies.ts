/**
 * The shape of a cookie jar: what `tough-cookie` and its like have. The jar is the caller's and decides everything; it is
 * asked before each attempt and told of each answer, redirects and retries included, with the URL of that very hop.
 */
import { argumentError, describe } from './arguments.ts';

/**
 * A cookie jar, as `tough-cookie`'s `CookieJar` is one.
 *
 * @example
 * import { CookieJar } from 'tough-cookie';
 * const manager = new PoolManager({ jar: new CookieJar() });
 */
export interface CookieJar {
  /** The cookies for this URL, as the Cookie field has them; empty for none. */
  getCookieString(url: string): string | Promise<string>;
  /** Takes a Set-Cookie line that came from this URL. What it throws (the cookie is not for this site) is not the request's. */
  setCookie(line: string, url: string): unknown;
}

/** @internal */
export function jarOf(value: unknown, name: string): CookieJar {
  const has = (method: string): boolean =>
    typeof value === 'object' && value !== null && typeof Reflect.get(value, method) === 'function';
  if (has('getCookieString') && has('setCookie')) return value as CookieJar;
  const shape = 'an object with getCookieString(url) and setCookie(line, url)';
  throw argumentError('type', 'ERR_INVALID_OPTION', `${name} is ${shape}, not ${describe(value)}`);
}

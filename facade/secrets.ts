/** What of a URL may be shown: in messages, in logs, in what is published about requests. */

/**
 * User info is everything between `//` and the last `@` of the authority (RFC 3986, section 3.2.1). What stands there and is
 * no authority may be the beginning of a password that was to be encoded: `http://user:pass/word@host`.
 *
 * @internal
 */
export function withoutUserInfo(url: string): string {
  const rest = url.replace(/^([a-z][a-z0-9+.-]*:)?\/\/[^/?#]*@/i, '$1//').replace(/^[^/?#]*@/, '');
  return rest.includes('@') && !BEGINNING.test(rest) ? `…${rest.slice(rest.lastIndexOf('@'))}` : rest;
}

/** Without user info and query. @internal */
export function withoutSecrets(url: string): string {
  return withoutUserInfo(url).replace(/[?#].*$/s, '');
}

/** `host:port`, an IPv6 literal in brackets as in a URL. @internal */
export function authority(host: string, port: number): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * A host and its port, and what may follow them; or a path, a query or a fragment alone. A scheme that has no `//`, or something
 * in front of it, is no host: what follows that may be user info.
 */
const BEGINNING =
  /^(?:(?:[a-z][a-z0-9+.-]*:)?\/\/(?:\[[^\]]*\]|[^:/?#]+)(?::\d+|:(?!\/\/))?(?=[/?#]|$)|(?:\[[^\]]*\]|[^:/?#]+)(?::\d+)?(?=[?#]|\/(?!\/)|$)|\/(?!\/)|[?#])/i;

/** What to do about an error, in the command's own words: docs/errors.md and docs/tls.md say it for programs. */

/** By the finer reason, or by the system's code. These say more than the code. */
const BY_REASON: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'the server should send its intermediate certificate; a private authority is named with --cacert FILE',
  SELF_SIGNED_CERT_IN_CHAIN: 'name that root with --cacert FILE, if you trust it',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'name the certificate itself with --cacert FILE, if you trust it',
  CERT_HAS_EXPIRED: "the server's to renew; is the clock of this machine right?",
  CERT_NOT_YET_VALID: "the server's to mend; is the clock of this machine right?",
  ERR_TLS_CERT_ALTNAME_INVALID: 'ask for one of the names that it is for; --resolve says where that one is',
  ERR_TLS_VERSION: "the server's to update: it speaks neither TLS 1.2 nor 1.3",
  ERR_TLS_ALPN: 'look whether --http1 or --h2 is what the server speaks',
  ERR_NOT_TLS: 'is it an http: URL, or another port?',
  ERR_TLS_CLIENT_CERT: 'give --cert FILE and --key FILE, with the intermediates in the first',
  ERR_TLS_ALERT: 'does the server have this name, and a cipher suite in common?',
  ERR_TLS_EOF: "the server's log may know why",
  ERR_TLS_CA: 'look at the file of --cacert, and at SSL_CERT_FILE and SSL_CERT_DIR',
  ERR_TLS_CERT: 'look at the file of --cert',
  ERR_TLS_KEY: 'look at the file of --key, and at --pass',
  ERR_PROXY_URL: 'look at --proxy, http_proxy, https_proxy and all_proxy',
  ERR_SOCKS_AUTH: 'look at the user and the password in the URL of the proxy',
  ERR_H2_GOAWAY: 'ask again: the server did not look at it',
  ERR_H2_REFUSED: 'ask again: the server did not look at it',
  ECONNREFUSED: 'is the server up, and is it this port?',
  ECONNRESET: 'the server, or something on the way, hung up; ask again',
  EHOSTUNREACH: 'is there a way from here to this network?',
  ENETUNREACH: 'is there a way from here to this network?',
  EMFILE: 'too many open files: raise `ulimit -n`, or lower --concurrency',
  EADDRNOTAVAIL: 'no port is left on this side: lower --concurrency, or wait a minute',
};

/** Our own word for a URL that is none and came from a server. */
export const BAD_REDIRECT = 'BAD_REDIRECT';

/** By code: every code that a request can end with. */
const BY_CODE: Readonly<Record<string, string>> = {
  ERR_POOL_EMPTY: 'ask for less at once with --concurrency',
  ERR_POOL_CLOSED: 'this would be a bug of ferropool; please report it',
  ERR_POOL_FULL: 'this would be a bug of ferropool; please report it',
  ERR_HOST_CHANGED: 'this would be a bug of ferropool; please report it',
  ERR_DNS: 'check the name; --resolve HOST:PORT:ADDRESS does without a look-up',
  ERR_CONNECT: 'is the server up, and is there a way to it?',
  ERR_CONNECT_TIMEOUT: 'check the network, or raise --connect-timeout',
  ERR_PROXY: 'look at --proxy or http_proxy: is it up, is it one, and what does it allow?',
  ERR_ADDRESS_DENIED: 'the address is not allowed',
  ERR_TLS: 'the server, or something on the way, speaks TLS badly',
  ERR_SEND_TIMEOUT: 'the server takes nothing any more; it may act on what it has',
  ERR_READ_TIMEOUT: 'raise --timeout if the server is only slow',
  ERR_TOTAL_TIMEOUT: 'raise --timeout if the server is only slow',
  ERR_MAX_RETRY: 'raise --retries or --max-redirects, or look at what happened before',
  ERR_UNREWINDABLE: 'send a file (-d @FILE) in place of the standard input',
  ERR_PROTOCOL: 'ask again; does the server speak HTTP at this port?',
  ERR_INCOMPLETE_READ: 'ask again: the body broke off',
  ERR_CHUNK: 'the server, or something before it, is broken',
  ERR_DECODE: '--raw takes the body as it was sent',
  ERR_TOO_LARGE: 'the server sent more than a client should take',
  ERR_INVALID_HEADER: 'look at --header; nothing was sent',
  ERR_INVALID_URL: 'look at the URL; nothing was sent',
  [BAD_REDIRECT]: 'the server redirects there; without --location its answer is shown',
  ERR_INVALID_BODY: 'look at what was to be sent',
  ERR_UNREAD_TIMEOUT: 'this would be a bug of ferropool; please report it',
  ERR_ABORTED: 'this would be a bug of ferropool; please report it',
  ERR_STATUS: 'this would be a bug of ferropool; please report it',
  ERR_INTERNAL: 'this would be a bug of ferropool; please report it',
  ERR_INVALID_METHOD: 'look at --request; nothing was sent',
  ERR_INVALID_OPTION: 'look at the options; nothing was sent',
  ERR_NOT_SUPPORTED: 'this system cannot do it; leave the option out',
  ERR_NO_H2: 'leave out --h2',
  ENOSPC: 'make room on the disk',
  EISDIR: 'name a file: that is a folder',
  ENOENT: 'look at the path: there is no such file or folder',
  EACCES: 'look at who may read and write there',
};

/** The remedy for the first of these words that has one. */
export function remedyFor(words: readonly (string | null | undefined)[]): string | null {
  const known = words.filter((word) => word !== null && word !== undefined);
  const found = known.find((word) => Object.hasOwn(BY_REASON, word) || Object.hasOwn(BY_CODE, word));
  return found === undefined ? null : (BY_REASON[found] ?? BY_CODE[found] ?? null);
}

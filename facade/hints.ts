/**
 * What was probably meant by an option that is none: one of a similar name, one that is another object's, or what other
 * clients have it for.
 */

/** What is meant by a name that is not known, as far as that can be told; else which page has the known ones. @internal */
export function hintAt(name: string, known: readonly string[], page: string): string {
  const said = SAID_OF.find(({ names, where }) => names.includes(name) && where.every((one) => known.includes(one)));
  if (said !== undefined) return said.hint;
  const meant = ELSEWHERE.get(name) ?? name;
  if (known.includes(meant)) return `did you mean '${meant}'?`;
  // Of Timeout, Retry and the like nobody else's options are wanted.
  const owner = ['headers', 'timeout'].every((one) => known.includes(one))
    ? OWNERS.find(({ names }) => names.includes(meant))
    : undefined;
  if (owner !== undefined) {
    return meant === name
      ? `'${name}' is an option of ${owner.whose}`
      : `did you mean '${meant}'? It is an option of ${owner.whose}`;
  }
  const near = nearest(name, known);
  if (near !== null) return `did you mean '${near}'?`;
  return known.length > MOST_LISTED ? `${page} lists what it has` : `it has ${known.join(', ')}`;
}

/** Says whose options these are, for those who give them to another. @internal */
export function optionsOf(whose: string, names: readonly string[]): void {
  OWNERS.push({ whose, names });
}

/** Who has which options, the first that is named before the others. */
const OWNERS: { readonly whose: string; readonly names: readonly string[] }[] = [];

/** The known name that is closest, if it is close enough to be what was meant. */
function nearest(name: string, known: readonly string[]): string | null {
  let best: string | null = null;
  // Of a short name nearly every other is two steps away.
  let least = (name.length <= SHORT ? 1 : Math.max(2, Math.floor(name.length / 3))) + 1;
  for (const candidate of known) {
    // A name this much longer can only be further away, so an enormous one costs nothing.
    if (Math.abs(candidate.length - name.length) >= least) continue;
    const steps = distance(name.toLowerCase(), candidate.toLowerCase());
    if (steps < least) [best, least] = [candidate, steps];
  }
  return best;
}

/** Levenshtein's distance, a row at a time; two neighbours that stand the wrong way round are one step. */
export function distance(from: string, to: string): number {
  let before: number[] = [];
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const swap = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      const turned = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      const least = Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
      next.push(turned ? Math.min(least, (before[j - 2] ?? 0) + 1) : least);
    }
    before = row;
    row = next;
  }
  return row[to.length] ?? 0;
}

/** Letters of a name of which one wrong is all that a slip can be. */
const SHORT = 4;
/** The names of longer lists say nothing any more. */
const MOST_LISTED = 12;

/** What other clients have an option for and is something else here, where these options (of a request, or of what makes it) are. */
const SAID_OF: readonly { names: readonly string[]; where: readonly string[]; hint: string }[] = [
  {
    names: ['params', 'query', 'searchParams', 'qs'],
    where: ['fields'],
    hint: "did you mean 'fields'? requestEncodeUrl puts them into the query whatever the method",
  },
  { names: ['data', 'payload'], where: ['body'], hint: "did you mean 'body'? A form is 'fields', JSON is 'json'" },
  {
    names: ['form', 'formData', 'files'],
    where: ['fields'],
    hint: "did you mean 'fields'? A POST has them as a form, a file among them as [filename, data]",
  },
  {
    names: ['url', 'uri', 'method'],
    where: ['headers', 'body'],
    hint: 'method and URL come before the options: request(method, url, options)',
  },
  {
    names: ['followRedirect', 'followRedirects', 'maxRedirects', 'maxRedirections'],
    where: ['headers', 'retries'],
    hint: "'redirect: false' of a request follows none, 'retries: new Retry({ total: 3, redirect: 1 })' at most one",
  },
  {
    names: ['port', 'host', 'hostname'],
    where: ['numPools'],
    hint: "a manager's requests name host and port in their URLs",
  },
  { names: ['host', 'hostname'], where: ['maxsize'], hint: 'the host comes before the options' },
  { names: ['maxHeaderSize'], where: ['limits'], hint: "did you mean 'limits: { headerBytes }'?" },
  {
    names: ['maxResponseSize', 'maxContentLength'],
    where: ['limits'],
    hint: "did you mean 'limits: { decoded }'? On the wire it is 'limits: { wire }'",
  },
  {
    names: ['decompress'],
    where: ['maxsize'],
    hint: "'acceptEncoding: true' asks for coded bodies, 'decodeContent: false' of a request leaves them as they are",
  },
  {
    names: ['family', 'autoSelectFamily'],
    where: ['headers', 'timeout'],
    hint: "addresses of both families are tried; 'resolve' of a pool or a manager may give those of one",
  },
  {
    names: ['agent', 'client', 'dispatcher', 'httpAgent', 'httpsAgent'],
    where: ['headers', 'timeout'],
    hint: "make an HTTPConnectionPool or a PoolManager of your own; a proxy is its 'proxy'",
  },
  {
    names: ['auth', 'user', 'username', 'password'],
    where: ['proxyTls'],
    hint: "a proxy's user and password stand in its URL: 'http://user:password@localhost:3128'",
  },
  {
    names: ['auth', 'user', 'username', 'password'],
    where: ['headers', 'timeout'],
    hint: 'did you mean \'headers: makeHeaders({ basicAuth: "user:password" })\'?',
  },
  {
    names: ['responseType', 'encoding'],
    where: ['headers', 'timeout'],
    hint: 'a response has json(), text() and data (bytes)',
  },
  {
    names: ['baseURL', 'baseUrl', 'prefixUrl'],
    where: ['headers', 'timeout'],
    hint: 'connectionFromUrl makes a pool of a URL, and its requests take paths',
  },
  {
    names: ['validateStatus', 'throwHttpErrors', 'throwOnError'],
    where: ['headers', 'timeout'],
    hint: 'every status is an answer: response.raiseForStatus() makes an error of 400 and above',
  },
];

/** What Node.js, undici and requests call an option that has another name here, and no similar one. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ['ALPNProtocols', 'http2'],
  ['allowH2', 'http2'],
  ['auth', 'basicAuth'],
  ['bodyTimeout', 'timeout'],
  ['ca', 'caCerts'],
  ['checkServerIdentity', 'assertHostname'],
  ['clientTtl', 'maxAge'],
  ['connections', 'maxsize'],
  ['connectTimeout', 'timeout'],
  ['cookieJar', 'jar'],
  ['decompress', 'decodeContent'],
  ['dnsLookup', 'resolve'],
  ['headersTimeout', 'timeout'],
  ['insecureHTTPParser', 'lenient'],
  ['keepAliveTimeout', 'idleTimeout'],
  ['lookup', 'resolve'],
  ['maxFreeSockets', 'maxsize'],
  ['maxRedirects', 'redirect'],
  ['maxRequestsPerClient', 'maxRequestsPerConnection'],
  ['maxRetries', 'retries'],
  ['maxSockets', 'maxsize'],
  ['maxTotalSockets', 'maxTotalConnections'],
  ['maxVersion', 'sslMaximumVersion'],
  ['minVersion', 'sslMinimumVersion'],
  ['passphrase', 'keyPassword'],
  ['proxies', 'proxy'],
  ['rejectUnauthorized', 'certReqs'],
  ['retry', 'retries'],
  ['servername', 'serverHostname'],
  ['socketPath', 'unixSocket'],
  ['strictContentLength', 'enforceContentLength'],
  ['token', 'proxyHeaders'],
  ['verify', 'certReqs'],
]);

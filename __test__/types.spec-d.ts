/**
 * What a program may write, held against the types alone: the compiler is the test (`npm run lint`), nothing here runs.
 */
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import {
  assertFingerprint,
  configure,
  connectionFromUrl,
  encodeMultipartFormdata,
  HTTPConnection,
  HTTPConnectionPool,
  HTTPSConnection,
  HTTPSConnectionPool,
  HTTPResponse,
  PoolManager,
  proxyFromEnv,
  proxyFromUrl,
  ProxyError,
  ProxyManager,
  RequestField,
  Retry,
  SOCKSProxyManager,
  SSLError,
  type CertificateInfo,
  type ConnectionOptions,
  type CookieJar,
  type FormFields,
  type Head,
  type ManagerJSON,
  type ManagerRequestOptions,
  type Planned,
  type PoolKwargs,
  type Progress,
  type ProxyConfig,
  type ProxyManagerOptions,
  type TLSOptions,
} from '../index.ts';

/** Every way of reading has the type that Node and the web give it. */
export async function reading(pool: HTTPConnectionPool, signal: AbortSignal): Promise<void> {
  const response = await pool.request('GET', '/', { preloadContent: false, signal });
  const web: ReadableStream<Uint8Array> = response.toWeb();
  const fetched: Response = new Response(web);
  const piece: Buffer = await response.read(10);
  const filled: number = await response.readInto(piece);
  await pipeline(response, process.stdout);
  await pipeline(response.toReadable(), process.stdout);
  for await (const line of response.lines()) line.toString();
  HTTPResponse.from(null, { status: filled }).raiseForStatus().json<{ a: 1 }>().a.toFixed();
  response.toResponse().headers.forEach((value) => fetched.headers.append('x', value));
  // @ts-expect-error -- an amount is a number of bytes
  await response.read('10');
}

/** Every kind of body, and an option that may be undefined. */
export async function sending(pool: HTTPConnectionPool, maybe: string | undefined): Promise<void> {
  const bodies = [
    createReadStream('x'),
    new ReadableStream<Uint8Array>(),
    Readable.toWeb(createReadStream('x')),
    (await fetch('http://localhost/')).body,
    new Uint8Array(3).buffer,
    new FormData(),
    new Blob(['x']),
    ['a', Buffer.from('b')],
    () => createReadStream('x'),
    async () => new Blob(['x']),
    await pool.request('GET', '/', { preloadContent: false }),
    maybe,
  ];
  for (const body of bodies) await pool.request('POST', '/', { body });
  // @ts-expect-error -- JSON has an option of its own
  await pool.request('POST', '/', { body: { a: 1 } });
  // @ts-expect-error -- a Promise has to be awaited
  await pool.request('POST', '/', { body: Promise.resolve('x') });
}

/** Every kind of form, and what listens. */
export async function forms(pool: HTTPConnectionPool, maybe: string | undefined): Promise<void> {
  const forms: FormFields[] = [
    { a: maybe, b: ['f', Buffer.from('x'), null], c: new File([], 'x'), d: 5 },
    new Map([['a', 'b']]),
    new URLSearchParams('a=b'),
    [['a', 'b'], new RequestField('x', 'y')],
  ];
  for (const fields of forms) {
    const [body, contentType] = encodeMultipartFormdata(fields, maybe);
    await pool.request('POST', '/', { body, headers: { 'content-type': contentType } });
    await pool.request('POST', '/', { fields, onProgress: ({ bytes, total }: Progress) => void [bytes, total] });
  }
  await pool.request('POST', '/', { accept: (head: Head) => head.headers['content-type'] === maybe });
  // @ts-expect-error -- accept answers at once
  await pool.request('POST', '/', { accept: async () => true });
  configure({ memoryBudget: 1 });
  await pool.close({ timeout: null });
}

/** A policy: every kind of iterable, a subclass that keeps its class, and data that makes an equal one. */
export function retrying(pool: HTTPConnectionPool, maybe: number | undefined): void {
  class Patient extends Retry {
    readonly extra = 1;
    override isRetry(method: string, status: number, hasRetryAfter?: boolean): boolean {
      return status === 202 || super.isRetry(method, status, hasRetryAfter);
    }
  }
  const retry = new Patient({ total: maybe, allowedMethods: new Set(['POST']), statusForcelist: new Set([503]) });
  retry
    .with({ read: false })
    .increment('GET', '/', { error: new Error('x'), pool })
    .extra.toFixed();
  const location: string | null | undefined = new Retry(retry.toJSON()).history.at(-1)?.redirectLocation;
  Retry.fromInt(location === null ? false : 3, { redirect: false, default: retry })
    .getBackoffTime()
    .toFixed();
  // @ts-expect-error -- it never changes
  retry.total = 1;
  // @ts-expect-error -- a status is a number
  void new Retry({ statusForcelist: ['503'] });
}

/** A manager: what each function is given and may give back, and what is no option of it. */
export async function managing(jar: CookieJar, maybe: number | undefined, none: null): Promise<void> {
  const manager = new PoolManager({
    jar,
    numPools: maybe,
    maxTotalConnections: none,
    pauseOn: [429, 503],
    onPause: (host, until, { status, retryAfter }) => void [host.length, until.getTime(), status + retryAfter],
    resolve: async (host, port, signal) => (signal.aborted ? null : [{ address: host, port }]),
    beforeAttempt: async ({ headers, number, hop, error }, signal) => {
      headers.set('x', `${number} ${hop} ${error?.message} ${signal.aborted}`);
    },
  });
  const kwargs: PoolKwargs = { timeout: null, maxsize: maybe };
  manager.connectionFromHost('h', { port: maybe, scheme: undefined, poolKwargs: kwargs }).host.trim();
  manager.connectionFromContext({ host: 'h', port: null, block: undefined }).host.trim();
  for (const pool of manager.pools) pool.pool?.idle.toFixed();
  for await (const settled of manager.requestMany(['http://h', { url: 'http://h', tag: 1 }], { concurrency: maybe })) {
    if (settled.ok) settled.response.status.toFixed();
    else settled.error.message.trim();
  }
  const json: ManagerJSON = manager.toJSON();
  new Retry(json.retries).getBackoffTime().toFixed();
  await manager.close({ timeout: maybe });
  // @ts-expect-error -- a manager has no port
  void new PoolManager({ port: 80 });
  // @ts-expect-error -- no other status asks for a pause
  void new PoolManager({ pauseOn: [500] });
  // @ts-expect-error -- a host's manners are the manager's
  manager.connectionFromUrl('http://h', { rate: 1 });
  // @ts-expect-error -- cookies are a manager's
  void new HTTPConnectionPool('h', { jar });
  // @ts-expect-error -- a URL is a string
  await manager.request('GET', new URL('http://h'));
}

/** TLS: what its options are, where they stand, and what is told of a connection. */
export async function securing(pem: string, bytes: Uint8Array, maybe: string | undefined): Promise<void> {
  const options: TLSOptions = {
    certReqs: 'optional',
    caCerts: [pem, 'system'],
    caCertData: [bytes, pem],
    cert: bytes,
    key: pem,
    keyPassword: maybe,
    assertHostname: false,
    assertFingerprint: null,
    sslMinimumVersion: 'TLSv1.3',
    ciphers: ['TLS13_AES_128_GCM_SHA256'],
    keyLogFile: true,
  };
  const pool: HTTPConnectionPool = new HTTPSConnectionPool('h', { ...options, maxsize: 3, http2: true });
  const scheme: 'https' = new HTTPSConnectionPool('h').scheme;
  connectionFromUrl(`${scheme}://h/`, options)
    .request('GET', '/')
    .catch(() => null);
  new PoolManager({ ...options, http2: 'prior-knowledge' }).connectionFromUrl('https://h', { caCerts: null });
  const { connection, version } = await pool.request('GET', '/');
  const protocol: 'http/1.0' | 'http/1.1' | 'h2' | undefined = connection?.protocol;
  const leaf: CertificateInfo | undefined = connection?.tls?.chain[0];
  if (leaf !== undefined) assertFingerprint(leaf.raw, leaf.sha256);
  const reason: string | null = new SSLError(protocol).reason;
  await pool.urlopen('GET', '/', { headers: { 'x-reason': reason ?? 'none' } });
  // @ts-expect-error -- nothing is merged there
  await pool.urlopen('GET', '/', { fields: { a: 'b' } });
  const names: readonly string[] = new SSLError(protocol).chain.flatMap((one) => one.subjectAltName);
  names.includes(String(leaf?.validTo.getTime() ?? version));
  // @ts-expect-error -- these are of https
  void new HTTPConnectionPool('h', { caCerts: pem });
  // @ts-expect-error -- it is one of a few words
  void new HTTPSConnectionPool('h', { certReqs: 'maybe' });
  // @ts-expect-error -- to some it would mean "none"
  void new HTTPSConnectionPool('h', { certReqs: null });
  // @ts-expect-error -- nothing below 1.2 is spoken
  void new HTTPSConnectionPool('h', { sslMinimumVersion: 'TLSv1.1' });
  // @ts-expect-error -- a name, or false
  void new HTTPSConnectionPool('h', { assertHostname: true });
  // @ts-expect-error -- a word, not a version
  void new HTTPSConnectionPool('h', { http2: 'h2' });
}

/** One connection: a request is sent, a response is taken. */
export async function single(options: ConnectionOptions & TLSOptions): Promise<void> {
  const connection: HTTPConnection = new HTTPSConnection('h', options);
  const sent: void = await connection.request('GET', '/', { headers: { a: 'b' }, preloadContent: false });
  const response: HTTPResponse = await connection.getResponse();
  const state: boolean | null = connection.isVerified || connection.proxyIsVerified;
  void [sent, response, state, HTTPConnection.defaultPort.toFixed()];
  // @ts-expect-error -- it is one
  void new HTTPConnection('h', { maxsize: 2 });
  // @ts-expect-error -- nothing is tried again
  await connection.request('GET', '/', { retries: 3 });
  // @ts-expect-error -- these are of https
  void new HTTPConnection('h', { caCerts: 'x' });
}

/** Proxies, by all their names. */
export async function leading(maybe: string | null | undefined): Promise<void> {
  const proxyConfig: ProxyConfig = { tls: { caCerts: 'ca.pem' }, useForwardingForHttps: true, assertHostname: false };
  const manager = new PoolManager({ proxy: maybe, proxyHeaders: { a: ['1', '2'] }, proxyConfig });
  const shown: string | null = manager.proxy;
  const options: ProxyManagerOptions = { proxyTls: { certReqs: 'none' }, proxyAssertFingerprint: shown, numPools: 3 };
  const url: string = new ProxyManager(new URL('http://p'), options).proxy;
  const json: string | undefined = proxyFromUrl(url).toJSON().proxy;
  await new SOCKSProxyManager('socks5h://p', { username: maybe, denyAddresses: null }).request('GET', 'http://h/');
  for (const proxy of [maybe, new URL('http://p'), false] as const)
    await manager.request('GET', 'http://h/', { proxy });
  await manager.request('GET', 'http://h/', { proxy: proxyFromEnv('http://h/', { HTTP_PROXY: json }) ?? false });
  const variables: Readonly<Record<string, string | undefined>> = process.env;
  for (const env of [variables, { no_proxy: '*' }]) proxyFromEnv('http://h/', env)?.trim();
  // @ts-expect-error -- a variable is text
  proxyFromEnv('http://h/', { HTTP_PROXY: 5 });
  manager.connectionFromHost('h', { poolKwargs: { proxy: null, interface: 'lo', denyAddresses: ['private', '::1'] } });
  new HTTPConnection('p').setTunnel('h', 443, [['a', 'b']], 'https');
  new HTTPConnection('p').setTunnel('h', null, null, 'https');
  new HTTPConnection('h', { proxy: url, proxyConfig }).setTunnel('h');
  const refused = new ProxyError('no', null, { status: 407 });
  const said: string[] | undefined = refused.headers?.getlist('proxy-authenticate');
  const begun: number | undefined = refused.body?.length;
  for (const each of [said, begun]) String(each);
  const pool = manager.connectionFromHost('h');
  // @ts-expect-error -- a pool's way is chosen when it is made
  await pool.request('GET', '/', { proxy: url });
  // @ts-expect-error -- in bulk too
  pool.requestMany([{ url: '/', proxy: url }]);
  const planned: Planned<ManagerRequestOptions>[] = [{ url: 'http://h/', proxy: url }];
  for await (const settled of manager.requestMany(planned)) settled.index.toFixed();
  // @ts-expect-error -- `true` is no proxy
  await manager.request('GET', 'http://h/', { proxy: true });
  // @ts-expect-error -- the URL is the first argument
  proxyFromUrl('http://p', { proxy: 'http://q' });
  // @ts-expect-error -- one word, or a list
  manager.connectionFromUrl('http://h/', { denyAddresses: 'public' });
}

/** The rest of the surface: every name that is exported has a place where a program would write it. Nothing here runs. */
import {
  ACCEPT_ENCODING,
  chooseBoundary,
  configure,
  ConnectionPool,
  disableWarnings,
  guessContentType,
  HTTPConnection,
  HTTPHeaderDict,
  HTTPResponse,
  makeHeaders,
  parseUrl,
  PoolManager,
  RequestField,
  Retry,
  SKIP_HEADER,
  SOCKSProxyManager,
  Timeout,
  type AttemptInfo,
  type BeforeAttempt,
  type BodyData,
  type BodyPiece,
  type CertificateData,
  type CertReqs,
  type Charset,
  type CloseOptions,
  type CloseReport,
  type Configuration,
  type ConnectionInfo,
  type ConnectionNotice,
  type ConnectionRequestOptions,
  type CredentialsEncoding,
  type FieldData,
  type FieldSource,
  type FieldValue,
  type FormFieldValue,
  type HeaderDict,
  type RequestMethods,
  type HeaderFormatter,
  type HeaderInput,
  type HeaderSource,
  type HeaderValue,
  type HeaderValues,
  type HostContext,
  type HostOptions,
  type HTTPConnectionPool,
  type HTTPHeaderDictConstructor,
  type HTTPResponseInit,
  type KeepAlive,
  type Limits,
  type LocalAddress,
  type MakeHeadersOptions,
  type MakeMultipartOptions,
  type ManyOptions,
  type ObservedRequest,
  type OnPause,
  type PartHeaders,
  type PauseReason,
  type Percentiles,
  type PlannedRequest,
  type PoolCollection,
  type PoolJSON,
  type PoolManagerOptions,
  type PoolOptions,
  type PoolStats,
  type PoolView,
  type RequestBody,
  type RequestEndNotice,
  type RequestErrorNotice,
  type RequestFieldOptions,
  type RequestHeadersNotice,
  type RequestHistory,
  type RequestStartNotice,
  type Resolve,
  type Resolved,
  type ResolvedAddress,
  type RetriedResponse,
  type RetryCount,
  type RetryEvent,
  type RetryJSON,
  type RetryLike,
  type RetryOptions,
  type SettingsJSON,
  type SocketOptions,
  type SOCKSProxyManagerOptions,
  type TimeoutJSON,
  type TimeoutLike,
  type TimeoutOptions,
  type Timings,
  type TLSInfo,
  type TLSJSON,
  type TLSOptions,
  type TLSVersion,
  type TriedAddress,
  type UrlopenOptions,
  type Url,
  type UrlParts,
  type WarningCategory,
} from '../index.ts';

/** Options of a pool, piece by piece. */
export function pooling(maybe: number | undefined): PoolOptions {
  const limits: Limits = { wire: null, decoded: maybe, codings: 0 };
  const socketOptions: SocketOptions = { noDelay: true, sendBuffer: maybe };
  const keepAlive: KeepAlive = { idle: 1_000, count: maybe };
  const localAddress: LocalAddress = { address: '127.0.0.1', port: maybe };
  const onPause: OnPause = (host: string, until: Date, { status, retryAfter }: PauseReason) =>
    void [host, until, status.toFixed(), retryAfter.toFixed()];
  const address: ResolvedAddress = { address: '127.0.0.1', port: maybe };
  const resolve: Resolve = (host: string): Resolved => (host === 'h' ? [address] : null);
  // @ts-expect-error -- a limit is a number of bytes
  void ({ wire: '5' } satisfies Limits);
  // @ts-expect-error -- `null` would be no limit of what has one always
  void ({ headerBytes: null } satisfies Limits);
  // @ts-expect-error -- seconds are not told from milliseconds by a word
  void ({ idleTimeout: '5s' } satisfies PoolOptions);
  return { limits, socketOptions, keepAlive, localAddress, onPause, resolve, http2: 'prior-knowledge', pauseOn: [429] };
}

/** What pools and managers tell of themselves. */
export async function telling(pool: HTTPConnectionPool, manager: PoolManager): Promise<CloseReport> {
  const view: PoolView | null = pool.pool;
  const stats: PoolStats = manager.stats();
  const latency: Percentiles | undefined = stats.latency?.total;
  const json: PoolJSON = pool.toJSON();
  const settings: SettingsJSON = json;
  const pools: PoolCollection = manager.pools;
  const host: HostOptions = { scheme: 'https', poolKwargs: { maxsize: 2 } };
  const context: HostContext = { host: 'h' };
  void [view?.idle, latency?.p99, settings.maxsize, pools.size, manager.connectionFromHost('h', host)];
  manager.connectionFromContext(context).isSameHost('/');
  const any: ConnectionPool = pool;
  void (any instanceof ConnectionPool);
  void [
    any.pool?.idle,
    any.numConnections,
    any.numRequests,
    any.maxsize,
    any.block,
    any.timeout.read,
    any.stats().live,
  ];
  // @ts-expect-error -- it is the parent of pools, and none itself
  void new ConnectionPool();
  const close: CloseOptions = { timeout: 5 };
  return await any.close(close);
}

/** Managers: the gate before an attempt, and SOCKS. */
export function managers(): PoolManager[] {
  const beforeAttempt: BeforeAttempt = async (attempt: AttemptInfo, signal: AbortSignal) => {
    attempt.headers.set('x-attempt', attempt.number);
    await Promise.resolve(signal);
  };
  const options: PoolManagerOptions = { beforeAttempt, numPools: 5, caCerts: 'ca.pem' };
  const socks: SOCKSProxyManagerOptions = { username: 'u', password: null, denyAddresses: 'private' };
  return [new PoolManager(options), new SOCKSProxyManager('socks5://p', socks)];
}

/** Bodies, forms and what belongs to them. */
export async function sending(pool: HTTPConnectionPool, many: ManyOptions): Promise<void> {
  const piece: BodyPiece = new Uint8Array(3);
  const data: BodyData = [piece, 'x'];
  const body: RequestBody = () => data;
  const lowest: UrlopenOptions = { body, chunked: true };
  await pool.urlopen('PURGE', '/', lowest);
  const planned: PlannedRequest = { url: '/', method: many.concurrency === 1 ? 'HEAD' : undefined, tag: undefined };
  for await (const { index } of pool.requestMany([planned, '/x'], many)) index.toFixed();
  const value: FieldValue = 5n;
  const source: FieldSource = { a: value };
  const file: FieldData = new Blob(['x']);
  const part: FormFieldValue = ['f.txt', file, 'text/plain'];
  await pool.request('POST', '/', { fields: { a: part } });
  await pool.request('GET', '/', { fields: source });
  const headerFormatter: HeaderFormatter = (name, given) => `${name}=${given}`;
  const headers: PartHeaders = { 'X-Part': '1', 'X-None': undefined };
  const options: RequestFieldOptions = { filename: null, headers, headerFormatter };
  const written: MakeMultipartOptions = { contentType: guessContentType('a.jpg') };
  new RequestField('a', 'b', options).makeMultipart(written);
  const single: ConnectionRequestOptions = { body: chooseBoundary(), preloadContent: false };
  await new HTTPConnection('h').request('PUT', '/', single);
  // @ts-expect-error -- a body has no numbers
  void ([1, 2] satisfies RequestBody);
}

/** Headers: what they are made of, what they give. */
export function heading(maybe: string | undefined): string | undefined {
  const line: HeaderValue = SKIP_HEADER;
  const input: HeaderInput = 5;
  const values: HeaderValues = ['a', Buffer.from('b')];
  const source: HeaderSource = { a: values, b: line, c: input, d: maybe };
  const Class: HTTPHeaderDictConstructor = HTTPHeaderDict;
  const dict: HTTPHeaderDict = new Class(source);
  const methods: HeaderDict = dict;
  const encoding: CredentialsEncoding = 'utf-8';
  const options: MakeHeadersOptions = {
    acceptEncoding: ACCEPT_ENCODING,
    basicAuth: 'a:b',
    basicAuthEncoding: encoding,
  };
  dict.extend(makeHeaders(options));
  // @ts-expect-error -- by index it is only read
  dict['a'] = 'b';
  // @ts-expect-error -- a value is text, a number or bytes
  dict.set('a', true);
  return methods.get('a', dict['a']);
}

/** Responses: what they know of their way here. */
export function answered(init: HTTPResponseInit): (string | number | null)[] {
  const response = new HTTPResponse('x', init);
  const timings: Timings | null = response.timings;
  const charset: Charset = response.charset;
  const connection: ConnectionInfo | null = response.connection;
  const tls: TLSInfo | null = connection?.tls ?? null;
  const tried: readonly TriedAddress[] = connection?.triedAddresses ?? [];
  const version: 10 | 11 | 20 = response.version;
  // @ts-expect-error -- what came is not changed
  response.status = version;
  const unknown: unknown = response.json();
  return [timings?.total ?? null, charset.from, tls?.cipher ?? null, tried[0]?.error ?? null, String(unknown)];
}

/** Policies: time-outs and retries, with their plain data. */
export function judging(): void {
  const spans: TimeoutOptions = { total: Infinity, read: null };
  const likes: TimeoutLike[] = [5, spans, new Timeout(spans), null, undefined];
  const json: TimeoutJSON = new Timeout(spans).toJSON();
  void [likes, new Timeout(json)];
  const count: RetryCount = false;
  const options: RetryOptions = { total: 5, read: count, statusForcelist: new Set([503]) };
  const retries: RetryLike[] = [3, false, true, null, new Retry(options)];
  const response: RetriedResponse = new HTTPResponse();
  const event: RetryEvent = { response };
  const history: readonly RequestHistory[] = new Retry(options).increment('GET', '/', event).history;
  const plain: RetryJSON = new Retry(options).toJSON();
  void [retries, history, new Retry(plain)];
  // @ts-expect-error -- a span is a number of milliseconds
  void new Timeout({ total: '5' });
  // @ts-expect-error -- there is no such counter
  void new Retry({ redirects: 5 });
  // @ts-expect-error -- a text has letters, and no methods
  void new Retry({ allowedMethods: 'GET' });
  // @ts-expect-error -- nor names
  void new Retry({ removeHeadersOnRedirect: 'cookie' });
  void new Retry({ allowedMethods: new Set(['GET']), removeHeadersOnRedirect: ['cookie'] });
  // @ts-expect-error -- that is what a Timeout says, and `read` what it is told
  likes.push({ connect: 1000, readTimeout: 5000 });
  // @ts-expect-error -- `connect`
  likes.push({ total: 1000, connectTimeout: 5000 });
}

/** TLS: words, and data. */
export function securing(pem: CertificateData): TLSOptions {
  const certReqs: CertReqs = 'CERT_REQUIRED';
  const sslMinimumVersion: TLSVersion = 'TLSv1.2';
  const json: TLSJSON = { certReqs };
  // @ts-expect-error -- a key stays where it is
  void json.key;
  return { ...json, sslMinimumVersion, caCertData: [pem] };
}

/** What is published, and settings of the thread. */
export function watching(): void {
  const started = ({ request }: RequestStartNotice): void => request.addHeader('x', 1);
  const headed = ({ request, status }: RequestHeadersNotice): ObservedRequest => (status > 0 ? request : request);
  const ended = ({ bytesRead, timings }: RequestEndNotice): number => timings?.body ?? bytesRead;
  const failed = ({ error }: RequestErrorNotice): unknown => error;
  const opened = ({ reason, remoteAddress }: ConnectionNotice): string => reason ?? remoteAddress;
  void [started, headed, ended, failed, opened];
  const settings: Configuration = { ioThreads: 2, diagnostics: ['ferropool', 'undici'] };
  configure(settings);
  const category: WarningCategory = 'FERROPOOL_SHORT_TIMEOUT';
  disableWarnings(category);
  // @ts-expect-error -- there is no such warning
  disableWarnings('FERROPOOL_OTHER');
  // @ts-expect-error -- whose channels?
  configure({ diagnostics: ['got'] });
}

/** What is a type alone: nothing of that name is there when the program runs. */
export function told(methods: RequestMethods, headers: HeaderDict): boolean {
  // @ts-expect-error -- no class to ask about
  const isPool = methods instanceof RequestMethods;
  // @ts-expect-error -- nor this
  return isPool || headers instanceof HeaderDict;
}

/** URLs, taken apart. */
export function taking(): UrlParts {
  const url: Url = parseUrl('http://h/');
  const pair: [user: string, password: string | null] | null = url.authDecoded;
  // @ts-expect-error -- only parseUrl makes one
  void new Url({ scheme: pair?.[0] });
  return url.toJSON();
}

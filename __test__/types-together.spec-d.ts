/**
 * Which combinations of options compile. What follows `@ts-expect-error --` is what the compiler says there, and is held against
 * it by `npm run check`: a message has to name the option. Nothing here runs.
 */
import {
  connectionFromUrl,
  HTTPConnection,
  HTTPConnectionPool,
  type HTTPSConnectionPool,
  PoolManager,
  ProxyManager,
  request,
  SOCKSProxyManager,
  type Excluded,
  type FieldsGo,
  type FormFields,
  type Has,
  type HTTPResponse,
  type ManagerRequestOptions,
  type Method,
  type NotTogether,
  type OptionsFor,
  type PoolFor,
  type PoolOptions,
  type Present,
  type RequestMethods,
  type RequestOptions,
  type SimpleOptions,
  type TLSOptions,
  type Together,
} from '../index.ts';

type Pool = HTTPConnectionPool;
type Either = HTTPConnectionPool | PoolManager;

/** Two bodies, wherever a request is made. */
export async function twoBodies(pool: Pool, manager: PoolManager, either: Either): Promise<void> {
  // @ts-expect-error -- 'json' and 'body' exclude one another: give one of them
  await pool.request('POST', '/', { body: 'x', json: { a: 1 } });
  // @ts-expect-error -- 'fields' and 'body' exclude one another: give one of them
  await pool.request('POST', '/', { body: 'x', fields: { a: 'b' } });
  // @ts-expect-error -- 'fields' and 'json' exclude one another: give one of them
  await pool.request('PUT', '/', { json: [1], fields: { a: 'b' } });
  // @ts-expect-error -- 'json' and 'body' exclude one another: give one of them
  await pool.request('GET', '/', { body: 'x', json: 'x' });
  // @ts-expect-error -- 'json' and 'body' exclude one another: give one of them
  await pool.requestEncodeUrl('POST', '/', { body: 'x', json: 5 });
  // @ts-expect-error -- 'fields' and 'body' exclude one another: give one of them
  await pool.requestEncodeBody('GET', '/', { body: 'x', fields: { a: 'b' } });
  // @ts-expect-error -- 'fields' and 'body' exclude one another: give one of them
  await manager.request('patch', 'http://h', { body: 'x', fields: { a: 'b' }, proxy: false });
  // @ts-expect-error -- 'json' and 'body' exclude one another: give one of them
  await either.request('POST', 'http://h', { body: 'x', json: {} });
  // @ts-expect-error -- 'fields' and 'body' exclude one another: give one of them
  await request('PUT', 'http://h', { body: 'x', fields: { a: 'b' } });
  // @ts-expect-error -- 'json' and 'body' exclude one another: give one of them
  await new HTTPConnection('h').request('PUT', '/', { body: 'x', json: 1 });
}

/** What else is refused when it is written down. */
export async function others(pool: Pool, name: string): Promise<void> {
  // @ts-expect-error -- 'releaseConn' and 'preloadContent' exclude one another: give one of them
  await pool.request('GET', '/', { releaseConn: true, preloadContent: false });
  // @ts-expect-error -- 'releaseConn' and 'preloadContent' exclude one another: give one of them
  await pool.urlopen('GET', '/', { releaseConn: true, preloadContent: false });
  // @ts-expect-error -- 'timeot' does not exist in type 'RequestOptions'. Did you mean to write 'timeout'?
  await pool.request('POST', '/', { timeot: 5 });
  // @ts-expect-error -- 'proxy' does not exist in type 'RequestOptions'
  await pool.request('GET', '/', { proxy: 'http://p' });
  // @ts-expect-error -- 'fields' does not exist in type 'UrlopenOptions<RequestOptions>'
  await pool.urlopen('POST', '/', { fields: { a: 'b' } });
  // @ts-expect-error -- 'a' does not exist in type
  await pool.request('POST', '/', { body: { a: 1 } });
  // @ts-expect-error -- 'chunked' does not exist in type 'SimpleOptions'
  await request('POST', 'http://h', { body: 'x', chunked: true });
  // @ts-expect-error -- 'caCerts' does not exist in type 'PoolOptions'
  void new HTTPConnectionPool('h', { caCerts: 'ca.pem' });
  // @ts-expect-error -- 'caCerts' does not exist in type
  void new HTTPConnection('h', { caCerts: 'ca.pem' });
  // @ts-expect-error -- 'caCerts' does not exist in type 'PoolOptions'
  void connectionFromUrl('http://h/', { caCerts: 'ca.pem' });
  // @ts-expect-error -- 'unixSocket' does not exist in type 'ProxyManagerOptions'
  void new ProxyManager('http://p', { unixSocket: name });
  // @ts-expect-error -- 'unixSocket' does not exist in type 'SOCKSProxyManagerOptions'
  void new SOCKSProxyManager('socks5://p', { unixSocket: name });
  // @ts-expect-error -- 'proxyHeaders' does not exist in type 'SOCKSProxyManagerOptions'
  void new SOCKSProxyManager('socks5://p', { proxyHeaders: {} });
  // @ts-expect-error -- 'username' does not exist in type 'ProxyManagerOptions'
  void new ProxyManager('http://p', { username: name });
}

/** What may be absent may stand beside the others: whether it is there is seen when the call is made. */
export async function uncertain(pool: Pool, maybe: string | undefined, method: string, given: unknown): Promise<void> {
  await pool.request('POST', '/', { body: maybe, json: maybe, fields: maybe === undefined ? undefined : { a: maybe } });
  await pool.request('POST', '/', { body: 'x', json: given });
  await pool.request('POST', '/', { body: 'x', json: null, fields: undefined });
  const written = { body: 'x', json: undefined };
  await pool.request('POST', '/', written);
  // Fields in the query stand beside a body, and where a method leads is not always known.
  await pool.request('GET', '/', { body: 'x', fields: { a: 'b' } });
  await pool.request('delete', '/', { json: {}, fields: { a: 'b' } });
  await pool.request(method, '/', { json: {}, fields: { a: 'b' } });
  await pool.requestEncodeUrl('POST', '/', { json: {}, fields: { a: 'b' } });
  const get: Method = 'GET';
  await pool.request(get, '/', { body: 'x', fields: { a: 'b' } });
}

/** Whoever wraps a request passes options on: as they are, in parts, with more. */
export async function wrapped(
  pool: Pool,
  either: Either,
  options: RequestOptions,
  simple: SimpleOptions,
): Promise<void> {
  await pool.request('POST', '/', options);
  await either.request('POST', 'http://h', options);
  await request('POST', 'http://h', simple);
  await pool.request('POST', '/', { ...options, body: 'x' });
  await pool.request('POST', '/', { ...options, timeout: 5 });
  const get = (more?: RequestOptions): Promise<HTTPResponse> => either.request('GET', 'http://h', more);
  const part = (more: Pick<RequestOptions, 'body' | 'json'>): Promise<HTTPResponse> => pool.request('POST', '/', more);
  const without = (more: Omit<RequestOptions, 'body'>): Promise<HTTPResponse> => pool.request('POST', '/', more);
  const own = (more: Own): Promise<HTTPResponse> => pool.request('POST', '/', more);
  const one = (more: { body: string } | { json: object }): Promise<HTTPResponse> => pool.request('POST', '/', more);
  const traced = ({ trace, ...rest }: Traced): Promise<HTTPResponse> => pool.request('POST', trace, rest);
  const generic = <T extends RequestOptions>(more: T): Promise<HTTPResponse> => pool.request('GET', '/', more);
  for (const call of [get, part, without, own, traced, generic]) await call({ trace: '/' });
  await one({ body: 'x' });
  const args: Parameters<Pool['request']> = ['GET', '/', { timeout: 5 }];
  await pool.request(...args);
  const bound = pool.request.bind(pool);
  await bound('GET', '/');
  const client: Client = pool;
  const fake: Pick<Pool, 'request'> = {
    request: (name: string, url: string, more?: RequestOptions) => client.request(name, url, more),
  };
  await fake.request('GET', '/', { body: 'x' });
  await anyOf(pool, new PoolManager());
}

interface Own {
  body?: string;
  json?: object;
}

interface Traced extends RequestOptions {
  trace: string;
}

interface Client {
  request(method: string, url: string, options?: RequestOptions): Promise<HTTPResponse>;
}

async function anyOf(one: RequestMethods, other: RequestMethods<ManagerRequestOptions>): Promise<void> {
  await one.request('GET', '/');
  await other.request('GET', 'http://h', { proxy: false, onProgress: ({ bytes }) => void bytes.toFixed() });
}

/** A subclass may say its request's types as they were before. */
export class Logged extends PoolManager {
  override request(method: string, url: string, options?: ManagerRequestOptions): Promise<HTTPResponse> {
    return super.request(method, url, { ...options, redirect: false });
  }
}

/** Options of pools may be extended, and say what they are for. */
export interface Settings extends PoolOptions, TLSOptions {
  region: string;
}

/** What is inside a value is known through all this: a callback's arguments, tuples, words. */
export async function inferred(pool: Pool, maybe: string | undefined, forms: FormFields): Promise<void> {
  await pool.request('POST', '/', { fields: { a: maybe, b: ['f.txt', Buffer.from('x'), null], c: 5 } });
  await pool.request('POST', '/', {
    fields: [
      ['a', 'b'],
      ['c', 1],
    ],
    headers: { a: ['b', 'c'] },
  });
  await pool.request('POST', '/', { fields: forms, accept: (head) => head.status.toFixed() === '200' });
  await pool.request('PURGE', '/', { onProgress: ({ bytes, total }) => void [bytes.toFixed(), total], retries: false });
}

/** A URL that is written down says which pool there will be. */
export function byUrl(url: string, options: PoolOptions & TLSOptions): void {
  const plain: HTTPConnectionPool = connectionFromUrl('HTTP://h');
  const secure: HTTPSConnectionPool = connectionFromUrl('https://h', { caCerts: 'ca.pem' });
  const some: PoolFor<string> = connectionFromUrl(url, options);
  const taken: OptionsFor<'https://h'> = options;
  // @ts-expect-error -- is not assignable to type 'HTTPSConnectionPool'
  const wrong: HTTPSConnectionPool = some;
  void [plain, secure, taken, wrong];
}

/** The parts of the rule, as other libraries may want them. */
export function parts(): void {
  const go: FieldsGo<'get'> = 'query';
  const both: FieldsGo<string> = 'body';
  const has: Has<{ a: 1; b: string }, 'a' | 'b'> = true;
  const hasNot: Has<{ a?: 1 }, 'a'> = false;
  const excluded: Excluded<{ body: string; json: number }, 'query'> = ['json', 'body'];
  const nothing: Excluded<{ body: string; fields: object }, 'query'> = null;
  const said: NotTogether<'a', 'b'> = "'a' and 'b' exclude one another: give one of them";
  const plain: Together<{ body: string }, RequestOptions, 'body'> = { body: 'x', timeout: 5 };
  const here: Present = 0;
  void [go, both, has, hasNot, excluded, nothing, said, plain, here];
}

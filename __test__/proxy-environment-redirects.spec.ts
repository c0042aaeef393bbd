/** Redirects while the proxy changes: each hop goes where the environment says, and what one proxy is told no other peer hears. */
import test, { type ExecutionContext } from 'ava';

import { Retry, type PoolManagerOptions, type RequestOptions } from '../index.ts';
import { basic, type Proxy, type ProxyOptions } from './servers/proxy.ts';
import { inEnvironment } from './support/environment.ts';
import { kept, namesIn, origins, proxied, trusting, type Told } from './support/proxied.ts';

/** `http` leads through `a`, `https` through `b`, and `near.test` is reached without either. */
interface Scene {
  readonly a: Proxy;
  readonly b: Proxy;
  readonly asked: Told[];
  readonly near: string;
  /** Follows redirects from a URL; each other hop is one that the one before leads to. */
  readonly follow: (urls: readonly string[], options?: RequestOptions) => Promise<string | null | undefined>;
}

const PASSWORDS = { a: 'user:of a', b: 'user:of b' };

async function scene(t: ExecutionContext, options: PoolManagerOptions = {}, second: ProxyOptions = {}): Promise<Scene> {
  const there = await origins(t);
  const routes = { ...there.routes, 'near.test': there.http.port };
  const a = await proxied(t, { routes, credentials: PASSWORDS.a });
  const b = await proxied(t, { routes, credentials: PASSWORDS.b, ...second });
  const manager = kept(
    t,
    inEnvironment(
      {
        http_proxy: `http://user:of%20a@127.0.0.1:${a.port}`,
        https_proxy: b.url.replace('//', '//user:of%20b@'),
        no_proxy: 'near.test',
      },
      trusting({ retries: 5, resolve: { 'near.test': '127.0.0.1' }, ...options }),
    ),
  );
  const near = `http://near.test:${there.http.port}/near`;
  const follow: Scene['follow'] = async (urls, own = {}) => {
    const [first = ''] = urls
      .toReversed()
      .reduce<string[]>(
        ([next], url) => [next === undefined ? url : `${new URL(url).origin}/to/302/${encodeURIComponent(next)}`],
        [],
      );
    return (await manager.request('GET', first, own)).url;
  };
  return { a, b, asked: there.asked, near, follow };
}

/** What a proxy was asked, and who it was told that we are. */
function seenBy(proxy: Proxy): string[] {
  return proxy.asked.map(
    (one) => `${one.method} ${new URL(`x://${hostOf(one.target)}`).hostname} ${one.all('proxy-authorization').join()}`,
  );
}

function hostOf(target: string): string {
  return target.includes('://') ? new URL(target).host : target;
}

const [plain, other, secure] = ['http://h.test/h', 'http://other.test/o', 'https://s.test/s'];
const [BY_A, BY_B] = [basic(PASSWORDS.a), basic(PASSWORDS.b)];

const CHAINS: readonly (readonly [name: string, urls: (near: string) => string[], a: string[], b: string[]])[] = [
  ['one proxy, two hosts', () => [plain, other], [`GET h.test ${BY_A}`, `GET other.test ${BY_A}`], []],
  ['http to https', () => [plain, secure], [`GET h.test ${BY_A}`], [`CONNECT s.test ${BY_B}`]],
  ['https to http', () => [secure, plain], [`GET h.test ${BY_A}`], [`CONNECT s.test ${BY_B}`]],
  ['to one of NO_PROXY', (near) => [plain, near], [`GET h.test ${BY_A}`], []],
  ['https to one of NO_PROXY', (near) => [secure, near], [], [`CONNECT s.test ${BY_B}`]],
  ['from one of NO_PROXY', (near) => [near, plain], [`GET h.test ${BY_A}`], []],
  ['from one of NO_PROXY to https', (near) => [near, secure], [], [`CONNECT s.test ${BY_B}`]],
  [
    'through all, and back',
    (near) => [plain, near, secure, other, near, plain],
    [`GET h.test ${BY_A}`, `GET other.test ${BY_A}`, `GET h.test ${BY_A}`],
    [`CONNECT s.test ${BY_B}`],
  ],
];

for (const [name, urls, a, b] of CHAINS) {
  test(`THR-612 PROXY-23 THR-701: ${name}: each hop is asked of its own proxy, who alone is told who we are`, async (t) => {
    const scenery = await scene(t);
    const chain = urls(scenery.near);
    t.is(await scenery.follow(chain), chain.at(-1));
    t.deepEqual([seenBy(scenery.a), seenBy(scenery.b)], [a, b]);
    t.is(scenery.asked.length, chain.length);
    for (const told of scenery.asked) t.false(namesIn(told).includes('proxy-authorization'), told.target);
  });
}

test('THR-612 PROXY-23: a redirect off the https proxy that forwards, to the other proxy, and back', async (t) => {
  const { a, b, asked, near, follow } = await scene(t, { proxyConfig: { useForwardingForHttps: true } }, { tls: {} });
  t.is(await follow([secure, plain, 'https://second.test/', near, secure]), secure);
  t.deepEqual(seenBy(a), [`GET h.test ${BY_A}`]);
  t.deepEqual(seenBy(b), [`GET s.test ${BY_B}`, `GET second.test ${BY_B}`, `GET s.test ${BY_B}`]);
  for (const told of asked) t.false(namesIn(told).includes('proxy-authorization'));
});

// Whatever says so: the fields of a request, or of the manager, and even where the caller wants them kept.
const WRITTEN: readonly (readonly [string, PoolManagerOptions, RequestOptions])[] = [
  ['the request’s headers', {}, { headers: { 'Proxy-Authorization': 'mine' } }],
  [
    'the request’s headers, which are to be kept',
    {},
    { headers: { 'proxy-authorization': 'mine' }, retries: new Retry({ redirect: 5, removeHeadersOnRedirect: [] }) },
  ],
  ['the manager’s headers', { headers: { 'PROXY-Authorization': 'mine' } }, {}],
];

for (const [where, options, own] of WRITTEN) {
  test(`THR-612 THR-701: a Proxy-Authorization in ${where} is for no origin, and no proxy but the first`, async (t) => {
    // Where the URL has no credentials, the caller’s own word counts.
    const { a, asked, near, follow } = await scene(t, options);
    await follow([plain, near], own);
    await follow([near, plain], own);
    await follow([near], own);
    await follow([secure], own);
    await follow([secure, near, secure], own);
    for (const told of asked) t.false(namesIn(told).includes('proxy-authorization'), told.target);
    t.true(a.asked.length > 0);
  });
}

test('THR-612: a Proxy-Authorization of the caller’s does not go from one proxy to another that passes requests on', async (t) => {
  const there = await origins(t);
  const a = await proxied(t, { routes: there.routes });
  const b = await proxied(t, { routes: there.routes, tls: {} });
  const manager = kept(
    t,
    inEnvironment(
      { http_proxy: a.url, https_proxy: b.url },
      trusting({ proxyConfig: { useForwardingForHttps: true } }),
    ),
  );
  await manager.request('GET', `http://h.test/to/302/${encodeURIComponent(secure)}`, {
    headers: { 'Proxy-Authorization': 'mine' },
    retries: new Retry({ redirect: 5, removeHeadersOnRedirect: [] }),
  });
  t.deepEqual([seenBy(a), seenBy(b)], [['GET h.test mine'], ['GET s.test ']]);
  t.false(there.asked.some((told) => namesIn(told).includes('proxy-authorization')));
});

/** What a whole process makes of the environment's proxies: managers under NODE_USE_ENV_PROXY=1, and nobody else ever. */
import test, { type ExecutionContext } from 'ava';

import { basic, type Proxy } from './servers/proxy.ts';
import { outcome } from './support/child.ts';
import { usual } from './support/pki.ts';
import { namesIn, origins, proxied, type Origins } from './support/proxied.ts';

/** By the way of asking: the proxy, `null` for none, or the name of an error. */
type Report = Record<string, string | null>;

interface Scene {
  readonly there: Origins;
  readonly proxy: Proxy;
  /** That no variable names. */
  readonly own: Proxy;
  readonly run: (env: Readonly<Record<string, string>>) => Promise<Report>;
}

/** Nothing that this process has of its own reaches the child. */
const NONE = Object.fromEntries(
  ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy']
    .flatMap((name) => [name, name.toUpperCase()])
    .map((name) => [name, '']),
);

async function scene(t: ExecutionContext, credentials?: string): Promise<Scene> {
  const there = await origins(t);
  const routes = { 'h.test': there.http.port, 's.test': there.https.port, 'near.test': there.http.port };
  const proxy = await proxied(t, { routes, ...(credentials === undefined ? {} : { credentials }) });
  const own = await proxied(t, { routes });
  const work = JSON.stringify({
    http: there.http.port,
    https: there.https.port,
    authority: usual().ca.pem,
    own: own.url,
  });
  return {
    there,
    proxy,
    own,
    run: (env) => outcome<Report>('environment-proxies.ts', [work], { env: { ...NONE, ...env } }),
  };
}

test('PROXY-22: under NODE_USE_ENV_PROXY=1 managers and `request` use the environment’s proxies, bare pools never', async (t) => {
  const { there, proxy, own, run } = await scene(t, 'user:p@ss');
  const url = `http://user:p%40ss@127.0.0.1:${proxy.port}`;
  t.deepEqual(
    await run({
      NODE_USE_ENV_PROXY: '1',
      HTTP_PROXY: url,
      https_proxy: url.slice('http://'.length),
      NO_PROXY: 'near.test',
    }),
    {
      request: proxy.url,
      manager: proxy.url,
      'manager, https': proxy.url,
      'manager, NO_PROXY': null,
      'manager, proxy: null': proxy.url,
      'manager, proxy: false': null,
      'manager, proxy: its own': own.url,
      'manager, redirect': null,
      'pool of a manager': proxy.url,
      ProxyManager: own.url,
      'bare pool': null,
      'bare pool, https': null,
      connection: null,
    },
  );
  for (const one of proxy.asked) t.deepEqual(one.all('proxy-authorization'), [basic('user:p@ss')], String(one));
  // THR-701: nobody else is shown who we are to it.
  for (const told of [...own.asked.map(({ names }) => names), ...there.asked.map(namesIn)]) {
    t.false(told.includes('proxy-authorization'));
  }
});

for (const value of ['', '0', 'true', '1 ']) {
  test(`PROXY-22: with NODE_USE_ENV_PROXY=${JSON.stringify(value)} nothing is read`, async (t) => {
    const { proxy, own, run } = await scene(t);
    const report = await run({
      NODE_USE_ENV_PROXY: value,
      HTTP_PROXY: proxy.url,
      https_proxy: proxy.url,
      ALL_PROXY: proxy.url,
    });
    for (const [what, found] of Object.entries(report)) {
      t.is(found, ['manager, proxy: its own', 'ProxyManager'].includes(what) ? own.url : null, what);
    }
    t.is(proxy.sockets.length, 0);
  });
}

test('PROXY-22 THR-715: a value that is no proxy fails the requests that would use it, and no others', async (t) => {
  const { own, run } = await scene(t);
  const report = await run({ NODE_USE_ENV_PROXY: '1', HTTP_PROXY: 'gopher://p', NO_PROXY: 'near.test' });
  t.like(report, {
    request: 'ProxySchemeUnknown null',
    manager: 'ProxySchemeUnknown null',
    'manager, https': null,
    'manager, NO_PROXY': null,
    'manager, proxy: false': null,
    'manager, proxy: its own': own.url,
    ProxyManager: own.url,
    'bare pool': null,
  });
});

test('THR-712: in a CGI process HTTP_PROXY is its client’s word, and nobody heeds it', async (t) => {
  const { proxy, run } = await scene(t);
  const report = await run({
    NODE_USE_ENV_PROXY: '1',
    REQUEST_METHOD: 'GET',
    HTTP_PROXY: 'http://127.0.0.1:1',
    HTTPS_PROXY: proxy.url,
  });
  t.like(report, { request: null, manager: null, 'manager, https': proxy.url, 'bare pool': null });
});

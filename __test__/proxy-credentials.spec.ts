/** Who is shown what: credentials of a proxy are for that proxy alone, those of an origin for the origin alone. */
import { inspect } from 'node:util';
import test from 'ava';

import { HTTPError, PoolManager, ProxyManager } from '../index.ts';
import { basic, type ProxyOptions } from './servers/proxy.ts';
import { rejection } from './support/fixtures.ts';
import { kept, namesIn, origins, proxied, socksed, through, toldBy, trusting } from './support/proxied.ts';

const SCHEMES = { http: {}, https: { tls: {} } } as const satisfies Record<string, ProxyOptions>;

/** A URL with this before its host. */
function withUserInfo(url: string, userInfo: string): string {
  return url.replace('//', `//${userInfo}@`);
}

for (const [scheme, options] of Object.entries(SCHEMES)) {
  test(`PROXY-07 WART-10: credentials in the URL are shown to an ${scheme} proxy with each request, and on CONNECT`, async (t) => {
    const { routes, asked } = await origins(t);
    const proxy = await proxied(t, { ...options, routes, credentials: 'user:pass word' });
    const manager = kept(t, new ProxyManager(withUserInfo(proxy.url, 'user:pass%20word'), trusting({})));
    for (const url of ['http://h.test/', 'http://other.test/', 'https://s.test/', 'https://s.test/again']) {
      const { status, connection } = await manager.request('GET', url);
      t.is(status, 200, url);
      t.is(connection?.proxy, proxy.url);
    }
    t.deepEqual(
      proxy.asked.map((one) => one.all('proxy-authorization')),
      proxy.asked.map(() => [basic('user:pass word')]),
    );
    t.is(proxy.asked.length, 3);
    // THR-701: inside the tunnel, nothing of it.
    for (const told of asked.filter(({ origin }) => origin === 'https')) {
      t.deepEqual(
        namesIn(told).filter((name) => name.startsWith('proxy')),
        [],
      );
    }
  });

  test(`PROXY-07: a Proxy-Authorization among proxyHeaders beats the URL of an ${scheme} proxy, in any case`, async (t) => {
    const { routes } = await origins(t);
    const proxy = await proxied(t, { ...options, routes, credentials: 'other:one' });
    const manager = through(t, withUserInfo(proxy.url, 'user:pass'), {
      proxyHeaders: { 'proxy-AUTHORIZATION': basic('other:one') },
    });
    for (const url of ['http://h.test/', 'https://s.test/']) t.is((await manager.request('GET', url)).status, 200);
    for (const one of proxy.asked) t.deepEqual(one.all('proxy-authorization'), [basic('other:one')]);
  });

  test(`THR-701: what a request tells its origin is nothing to an ${scheme} proxy’s CONNECT, nor the other way`, async (t) => {
    const { routes, asked } = await origins(t);
    const proxy = await proxied(t, { ...options, routes });
    const manager = through(t, withUserInfo(proxy.url, 'user:pass'), {
      headers: { Authorization: 'Bearer mine', Cookie: 'of=mine' },
      proxyHeaders: { 'X-Proxy': '1' },
    });
    await manager.request('GET', 'https://s.test/');
    const connect = await proxy.asks(1);
    t.deepEqual(connect.names.filter(notUsual), ['proxy-authorization', 'x-proxy']);
    t.deepEqual(namesIn(asked[0] ?? { lines: [] }).filter(notUsual), ['authorization', 'cookie']);
    t.false(JSON.stringify(asked).includes('pass'));
  });
}

test('PROXY-07: a proxy that wants other credentials says 407: an answer where the request was forwarded, an error on CONNECT', async (t) => {
  const { routes } = await origins(t);
  const proxy = await proxied(t, { routes, credentials: 'user:pass' });
  for (const userInfo of ['', 'user:wrong', 'user:pass%', 'user']) {
    const url = userInfo === '' ? proxy.url : withUserInfo(proxy.url, userInfo);
    const manager = through(t, url);
    const answer = await manager.request('GET', 'http://h.test/');
    t.is(answer.status, 407);
    t.is(answer.headers.get('proxy-authenticate'), 'Basic realm="here"');
    const error = await rejection(manager.request('GET', 'https://s.test/'), HTTPError);
    t.like(error, { name: 'ProxyError', status: 407 });
    // Nothing is tried by itself.
    t.is(proxy.asked.splice(0).length, 2, userInfo);
  }
});

const DECODED: readonly [userInfo: string, credentials: string][] = [
  ['u:p', 'u:p'],
  ['u%40example.com:p%3Aq%2F%3F%23', 'u@example.com:p:q/?#'],
  ['u:p%25%34%31', 'u:p%41'],
  ['u:a:b', 'u:a:b'],
  ['u', 'u:'],
  [':p', ':p'],
  ['u:', 'u:'],
  ['u%3Ax:p', 'u:x:p'],
  ['%75:%70', 'u:p'],
  ['user:p%40@w', 'user:p@@w'],
  ['%C3%BC:%E2%82%AC', 'ü:€'],
  ['ü:€', 'ü:€'],
  ['u:%FF', 'u:\u00ff'],
];
for (const [userInfo, credentials] of DECODED) {
  test(`THR-715: user info is decoded once: ${userInfo}`, async (t) => {
    const { routes } = await origins(t);
    const proxy = await proxied(t, { routes });
    const manager = through(t, withUserInfo(proxy.url, userInfo));
    await manager.request('GET', 'http://h.test/');
    await manager.request('GET', 'https://s.test/');
    // One octet is no UTF-8, and goes as it is.
    const wanted = credentials === 'u:\u00ff' ? 'Basic dTr/' : basic(credentials);
    for (const one of proxy.asked) t.deepEqual(one.all('proxy-authorization'), [wanted]);
    t.is(proxy.asked.length, 2);
  });
}

test('THR-701 WART-10: user info of the target reaches neither proxy nor origin', async (t) => {
  const { routes, asked } = await origins(t);
  for (const options of Object.values(SCHEMES)) {
    const proxy = await proxied(t, { ...options, routes });
    const manager = through(t, proxy.url);
    for (const url of ['http://me:secret@h.test/', 'https://me:secret@s.test/']) await manager.request('GET', url);
    const seen = JSON.stringify([proxy.asked, asked]);
    t.false(/secret|me:|bWU6/.test(seen), seen);
  }
});

test('THR-701 THR-612: a redirect takes credentials of the proxy to no origin, whatever way leads there', async (t) => {
  const { routes, asked, http } = await origins(t);
  const proxy = await proxied(t, { routes, credentials: 'user:pass' });
  const manager = through(t, withUserInfo(proxy.url, 'user:pass'), { retries: 5, proxyHeaders: { 'X-Proxy': '1' } });
  const [last, second] = ['https://second.test/end', 'https://s.test/to/302/'];
  const url = `http://h.test/to/302/${encodeURIComponent(second + encodeURIComponent(last))}`;
  const response = await manager.request('GET', url, { headers: { Authorization: 'mine' } });
  t.is(response.url, last);
  t.deepEqual(proxy.asked.map(String), [`GET ${url}`, 'CONNECT s.test:443', 'CONNECT second.test:443']);
  for (const told of asked.filter(({ origin }) => origin === 'https')) {
    t.deepEqual(namesIn(told).filter(notUsual), [], told.target);
  }
  // Past the proxy, to the same host, on a manager that has one.
  asked.splice(0);
  const direct = through(t, withUserInfo(proxy.url, 'user:pass'), {
    resolve: { 'h.test': `127.0.0.1:${http.port}` },
    proxyHeaders: { 'X-Proxy': '1' },
  });
  t.is(toldBy(await direct.request('GET', 'http://h.test/', { proxy: false })).origin, 'http');
  t.deepEqual(namesIn(asked[0] ?? { lines: [] }).filter(notUsual), []);
});

test('THR-612: what a caller writes as Proxy-Authorization into a request’s headers goes no further than one host', async (t) => {
  const { routes, asked } = await origins(t);
  const proxy = await proxied(t, { routes });
  const manager = through(t, proxy.url, { retries: 5 });
  await manager.request('GET', `http://h.test/to/302/${encodeURIComponent('https://s.test/')}`, {
    headers: { 'Proxy-Authorization': 'mine' },
  });
  t.deepEqual(proxy.asked[0]?.all('proxy-authorization'), ['mine']);
  t.deepEqual(proxy.asked[1]?.all('proxy-authorization'), []);
  const secure = asked.find(({ origin }) => origin === 'https');
  t.false(namesIn(secure ?? { lines: [] }).includes('proxy-authorization'));
});

test('THR-701: what a caller writes as Proxy-Authorization into headers is not for an origin behind a tunnel, nor for one without', async (t) => {
  const { routes, asked, http } = await origins(t);
  const [proxy, socks] = [await proxied(t, { routes }), await socksed(t, { routes })];
  const headers = { 'proxy-AUTHORIZATION': 'hidden', Authorization: 'mine' };
  const manager = through(t, proxy.url, { headers, resolve: { 'h.test': `127.0.0.1:${http.port}` } });
  for (const own of [{}, { headers }]) {
    await manager.request('GET', 'https://s.test/', own);
    await manager.request('POST', 'https://s.test/', { ...own, body: 'x' });
    await manager.request('GET', 'https://s.test/', { ...own, proxy: socks.url('socks5h') });
    await manager.request('GET', 'http://h.test/', { ...own, proxy: socks.url('socks5h') });
    await manager.request('GET', 'http://h.test/', { ...own, proxy: false });
  }
  t.is(asked.length, 10);
  for (const told of asked) {
    t.true(namesIn(told).includes('authorization'));
    t.false(namesIn(told).includes('proxy-authorization'), told.target);
  }
  // Where the proxy has the request itself, it is the proxy's.
  await manager.request('GET', 'http://h.test/');
  t.deepEqual(proxy.asked.at(-1)?.all('proxy-authorization'), ['hidden']);
});

test('THR-701: a proxy of a request’s own is not shown the manager’s credentials and headers, which are the manager’s proxy’s', async (t) => {
  const { routes } = await origins(t);
  const [own, other] = [await proxied(t, { routes }), await proxied(t, { routes })];
  const manager = through(t, withUserInfo(own.url, 'user:pass'), { proxyHeaders: { 'X-Proxy': '1' } });
  for (const url of ['http://h.test/', 'https://s.test/']) {
    await manager.request('GET', url);
    await manager.request('GET', url, { proxy: other.url });
    await manager.request('GET', url, { proxy: withUserInfo(other.url, 'a:b') });
  }
  for (const one of own.asked) t.deepEqual(one.names.filter(notUsual), ['proxy-authorization', 'x-proxy']);
  t.deepEqual(
    other.asked.map((one) => one.all('proxy-authorization')),
    [[], [basic('a:b')], [], [basic('a:b')]],
  );
  for (const one of other.asked) t.deepEqual(one.all('x-proxy'), []);
  // Where the manager has none of its own, its headers are for whichever proxy a request names.
  const without = through(t, null, { proxyHeaders: { 'X-Proxy': '2' } });
  await without.request('GET', 'http://h.test/', { proxy: own.url });
  await without.request('GET', 'https://s.test/', { proxy: other.url });
  t.deepEqual([own.asked.at(-1)?.all('x-proxy'), other.asked.at(-1)?.all('x-proxy')], [['2'], ['2']]);
});

/** All that somebody may print of it. */
function shown(value: unknown): string {
  return [inspect(value, { depth: 8, showHidden: true }), JSON.stringify(value), String(value)].join('\n');
}

test('THR-715: credentials of a proxy are in nothing that is printed: managers, pools, errors, connections', async (t) => {
  const { routes } = await origins(t);
  const proxy = await proxied(t, { routes });
  const url = withUserInfo(proxy.url, 'name:hidden%20word');
  const manager = through(t, url, { proxyHeaders: { 'X-Token': 'hidden' } });
  const response = await manager.request('GET', 'https://s.test/');
  const pool = manager.connectionFromUrl('https://s.test/');
  const printed = [manager, pool, response.connection, response].map(shown);
  for (const [to, own] of [
    ['https://nobody.test/', null],
    ['http://h.test/', `http://name:hidden@127.0.0.1:1`],
    ['https://s.test/', `http://name:hidden@127.0.0.1:1`],
    ['http://h.test/', `socks5h://name:hidden@127.0.0.1:1`],
    ['http://h.test/', `http://name:hidden@nobody..test`],
    ['http://h.test/', `ftp://name:hidden@nobody.test`],
    ['http://h.test/', `name:hidden@nobody.test`],
  ] as const) {
    const error = await manager.request('GET', to, { proxy: own }).then(
      () => t.fail(`${to} by ${own}`),
      (error: unknown) => error,
    );
    printed.push(shown(error), (error as Error).stack ?? '');
  }
  for (const text of printed) t.false(/hidden|bmFtZTpoaWRkZW4/.test(text), text);
  t.throws(() => new ProxyManager('ftp://name:hidden@h'), { message: /^(?!.*hidden)/ });
  t.throws(() => new PoolManager({ proxy: 'ftp://name:hidden@h' }), { message: /^(?!.*hidden)/ });
});

test('PROXY-07: credentials go with the answer to nothing that a proxy asks for of its own: no second attempt after 407', async (t) => {
  const { routes } = await origins(t);
  let asked = 0;
  const proxy = await proxied(t, {
    routes,
    manner: (_, socket) => {
      asked += 1;
      socket.write(
        'HTTP/1.1 407 Again\r\nProxy-Authenticate: Digest realm="x", nonce="y"\r\nContent-Length: 0\r\n\r\n',
      );
      return 'mine';
    },
  });
  const manager = through(t, withUserInfo(proxy.url, 'user:pass'));
  t.is((await manager.request('GET', 'http://h.test/')).status, 407);
  t.like(await rejection(manager.request('GET', 'https://s.test/'), HTTPError), { name: 'ProxyError', status: 407 });
  t.is(asked, 2);
});

/** What every request has. */
function notUsual(name: string): boolean {
  return !['host', 'user-agent', 'accept', 'accept-encoding', 'connection'].includes(name);
}

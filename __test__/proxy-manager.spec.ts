/** Managers behind one proxy, as objects: how they are made, what they say of themselves, and which pools they give. */
import { inspect } from 'node:util';
import test from 'ava';

import {
  HTTPConnectionPool,
  HTTPHeaderDict,
  HTTPSConnectionPool,
  PoolManager,
  ProxyError,
  proxyFromUrl,
  ProxyManager,
  ProxySchemeUnknown,
  Retry,
  SOCKSProxyManager,
  Timeout,
  type ProxyManagerOptions,
} from '../index.ts';
import { Notices } from './support/notices.ts';
import { kept, origins, proxied, through, trusting } from './support/proxied.ts';
import { closedPort, rejection } from './support/fixtures.ts';
import { usual } from './support/pki.ts';

const SECRET = /s3cret|user|czNjcmV0/;

test('PROXY-01: scheme and host in any case, the port of the scheme unless there is one', (t) => {
  const urls: [string, string][] = [
    ['http://P.test', 'http://p.test:80'],
    ['HTTPS://p.TEST/', 'https://p.test:443'],
    ['http://p.test:0', 'http://p.test:0'],
    ['http://user:s3cret@p.test:3128/path?query', 'http://p.test:3128'],
    ['http://[::1]:3128', 'http://[::1]:3128'],
  ];
  for (const [url, shown] of urls) {
    t.is(new ProxyManager(url).proxy, shown);
    t.is(proxyFromUrl(new URL(url)).proxy, shown);
    t.is(new PoolManager({ proxy: url }).proxy, shown);
  }
  t.is(new PoolManager().proxy, null);
  const made = proxyFromUrl('http://p.test', { numPools: 3, maxsize: 2 });
  t.true(made instanceof ProxyManager);
  t.like(made.toJSON(), { type: 'ProxyManager', numPools: 3, maxsize: 2, block: true });
});

test('PROXY-01 PROXY-21: what is no proxy of HTTP is refused, a pool in its place too', (t) => {
  const none = 'Proxy URL had no scheme, should start with http:// or https://';
  const socks = 'Proxy URL had unsupported scheme ';
  const cases: [url: string, message: string, scheme: string | null][] = [
    ['127.0.0.1', none, null],
    ['localhost:8080', none, null],
    ['', none, null],
    ['user:s3cret@p.test:1', none, null],
    ['ftp://user:s3cret@p.test', 'Proxy URL had unsupported scheme ftp, should use http:// or https://', 'ftp'],
    ['socks5://user:s3cret@p', `${socks}socks5, should use http:// or https://; SOCKSProxyManager takes it`, 'socks5'],
    [
      'SOCKS4A://user:s3cret@p',
      `${socks}socks4a, should use http:// or https://; SOCKSProxyManager takes it`,
      'socks4a',
    ],
    ['socks6://user:s3cret@p', `${socks}socks6, should use http:// or https://`, 'socks6'],
  ];
  for (const [url, message, scheme] of cases) {
    for (const make of [() => new ProxyManager(url), () => proxyFromUrl(url)]) {
      const error = t.throws(make, { instanceOf: ProxySchemeUnknown, code: 'ERR_INVALID_URL', message }, url);
      t.is(error.scheme, scheme, url);
      t.is(error.reason, 'ERR_PROXY_URL', url);
      t.notRegex(JSON.stringify(error) + inspect(error), SECRET);
    }
  }
  t.throws(() => new ProxyManager('http://'), { name: 'LocationValueError' });
  for (const wrong of [
    new HTTPConnectionPool('p.test'),
    new ProxyManager('http://p'),
    1,
    null,
    undefined,
    ['http://p'],
  ]) {
    const message = /^proxyUrl is a proxy's URL, not /;
    t.throws(() => new ProxyManager(wrong as never), { instanceOf: TypeError, code: 'ERR_INVALID_OPTION', message });
  }
  for (const wrong of [null, 1, []]) {
    const message = /^a proxy manager takes an object of options, not /;
    t.throws(() => new ProxyManager('http://p', wrong as ProxyManagerOptions), { instanceOf: TypeError, message });
  }
});

test('SOCKS-01: a SOCKSProxyManager is for SOCKS, and a PoolManager’s proxy may be any', (t) => {
  for (const scheme of ['socks4', 'socks4a', 'socks5', 'socks5h', 'SOCKS5']) {
    const url = `${scheme}://user:s3cret@P.test`;
    t.is(new SOCKSProxyManager(url).proxy, `${scheme.toLowerCase()}://p.test:1080`);
    t.is(new PoolManager({ proxy: url }).proxy, `${scheme.toLowerCase()}://p.test:1080`);
  }
  for (const [url, said] of [
    ['http://user:s3cret@p.test', /^Unable to determine SOCKS version from scheme http; ProxyManager takes it$/],
    ['HTTPS://user:s3cret@p.test', /^Unable to determine SOCKS version from scheme https; ProxyManager takes it$/],
    ['socks6://user:s3cret@p.test', /^Unable to determine SOCKS version from scheme socks6$/],
    ['p.test:1080', /^Unable to determine SOCKS version from /],
  ] as const) {
    const error = t.throws(() => new SOCKSProxyManager(url), { instanceOf: ProxySchemeUnknown, message: said });
    t.notRegex(JSON.stringify(error) + inspect(error), SECRET);
  }
  const any = /^Proxy URL had unsupported scheme ftp, should use http:\/\/, https:\/\/, socks4:\/\//;
  t.throws(() => new PoolManager({ proxy: 'ftp://p' }), { instanceOf: ProxySchemeUnknown, message: any });
});

test('THR-715: no secret of a proxy is in what a manager says of itself, or its pools', (t) => {
  const { leaf } = usual();
  const url = 'https://user:s3cret@p.test:3128';
  const options: ProxyManagerOptions = {
    proxyHeaders: { 'X-Token': 's3cret' },
    proxyTls: { cert: leaf.pem, key: leaf.keyPem, assertHostname: 'a.test' },
    useForwardingForHttps: false,
    denyAddresses: [],
    interface: 'lo',
  };
  const manager = new ProxyManager(url, options);
  const pool = manager.connectionFromUrl('https://h.test/');
  const socks = new SOCKSProxyManager('socks5://p', { username: 'user', password: 's3cret' });
  for (const one of [
    manager,
    pool,
    socks,
    new PoolManager({ proxy: url }),
    new HTTPConnectionPool('h', { proxy: url }),
  ]) {
    t.notRegex(`${JSON.stringify(one)} ${inspect(one)} ${String(one)}`, /s3cret|user:|PRIVATE|BEGIN/);
  }
  for (const json of [manager.toJSON(), pool.toJSON()]) {
    t.like(json, {
      proxy: 'https://p.test:3128',
      proxyHeaders: ['X-Token'],
      proxyConfig: { useForwardingForHttps: false, tls: { assertHostname: 'a.test' } },
      interface: 'lo',
      denyAddresses: [],
    });
  }
  t.is(socks.toJSON().proxy, 'socks5://p:1080');
  const plain = new PoolManager().toJSON();
  for (const name of ['proxy', 'proxyHeaders', 'proxyConfig', 'interface', 'denyAddresses'])
    t.false(name in plain, name);
  t.is(inspect(manager), 'ProxyManager(pools=1)');
});

test('PROXY-06: what was said is told again, as copies', (t) => {
  const proxyTls = { caCerts: 'system' };
  const manager = new ProxyManager('https://p.test', {
    proxyHeaders: { 'X-A': ['1', '2'] },
    proxyTls,
    useForwardingForHttps: true,
    proxyAssertFingerprint: 'aa'.repeat(32),
  });
  t.true(manager.proxyHeaders instanceof HTTPHeaderDict);
  t.deepEqual(
    [...manager.proxyHeaders],
    [
      ['X-A', '1'],
      ['X-A', '2'],
    ],
  );
  const config = { tls: proxyTls, useForwardingForHttps: true, assertFingerprint: 'aa'.repeat(32) };
  t.deepEqual(manager.proxyConfig, config);
  Object.assign(manager.proxyConfig, { tls: null });
  t.deepEqual(manager.proxyConfig, config);
  t.deepEqual([...new PoolManager().proxyHeaders], []);
  t.deepEqual(new PoolManager().proxyConfig, {});
});

test('PROXY-02 PROXY-03: http hosts share the pool of the proxy, each https host has one of its own', (t) => {
  const manager = new ProxyManager('http://p.test:3128', { headers: { 'X-Mine': '1' } });
  const plain = manager.connectionFromHost('a.test');
  t.is(String(plain), "HTTPConnectionPool(host='p.test', port=3128)");
  t.is(manager.connectionFromUrl('http://b.test:8080/'), plain);
  const secure = manager.connectionFromHost('a.test', { scheme: 'https' });
  t.true(secure instanceof HTTPSConnectionPool);
  t.is(String(secure), "HTTPSConnectionPool(host='a.test', port=443)");
  t.not(manager.connectionFromUrl('https://b.test/'), secure);
  t.is(manager.pools.size, 3);
  t.deepEqual([...plain.headers.keys()], ['X-Mine']);
  // An https proxy is reached over TLS, whatever it is asked for.
  const over = new ProxyManager('https://p.test').connectionFromHost('a.test');
  t.is(String(over), "HTTPSConnectionPool(host='p.test', port=443)");
  // Through SOCKS everybody is reached by himself.
  const socks = new SOCKSProxyManager('socks5h://p.test').connectionFromHost('a.test');
  t.is(String(socks), "HTTPConnectionPool(host='a.test', port=80)");
});

test('PROXY-02: requestMany takes a proxy for each of its requests', async (t) => {
  const { routes } = await origins(t);
  const proxies = [await proxied(t, { routes }), await proxied(t, { routes })];
  const manager = through(t, null);
  const planned = ['https://s.test/0', 'http://h.test/1', 'https://s.test/2', 'http://h.test/3'];
  const via: (string | null | undefined)[] = [];
  for await (const settled of manager.requestMany(planned.map((url, at) => ({ url, proxy: proxies[at % 2]?.url })))) {
    if (!settled.ok) throw settled.error;
    via[settled.index] = settled.response.connection?.proxy;
  }
  t.deepEqual(
    via,
    planned.map((_, at) => proxies[at % 2]?.url),
  );
});

test('PROXY-14 THR-701: what a manager without a proxy says of proxies holds for those that its requests name', async (t) => {
  const { routes } = await origins(t);
  const secure = await proxied(t, { routes, tls: {} });
  const plain = await proxied(t, { routes });
  const { ca } = usual();
  const said = { proxyHeaders: { 'X-Team': 'crawl' }, proxyConfig: { tls: { caCertData: ca.pem } } };
  const manager = kept(t, new PoolManager({ ...said, retries: false }));
  for (const { url, asked } of [secure, plain]) {
    t.is((await manager.request('GET', 'http://h.test/', { proxy: url })).connection?.proxy, url);
    t.deepEqual(asked[0]?.all('x-team'), ['crawl']);
  }
  // Of one that has a proxy it is for that proxy alone, and whom to trust is for the manager to say.
  const own = kept(t, new PoolManager({ ...said, proxy: plain.url, retries: false }));
  const error = await rejection(own.request('GET', 'http://h.test/', { proxy: secure.url }), ProxyError);
  t.is(error.originalError?.name, 'SSLError');
  const trusts = through(t, plain.url, { proxyHeaders: said.proxyHeaders });
  await trusts.request('GET', 'http://h.test/', { proxy: secure.url });
  t.deepEqual(secure.asked.at(-1)?.all('x-team'), []);
  await trusts.request('GET', 'http://h.test/');
  t.deepEqual(plain.asked.at(-1)?.all('x-team'), ['crawl']);
});

test('MGR-06: poolKwargs lead by another proxy, or by none', async (t) => {
  const { routes, http } = await origins(t);
  const [mine, other] = [await proxied(t, { routes }), await proxied(t, { routes })];
  const resolve = { 'h.test': `127.0.0.1:${http.port}` };
  const manager = kept(t, new ProxyManager(mine.url, trusting({ resolve, proxyHeaders: { 'X-Mine': '1' } })));
  const direct = manager.connectionFromUrl('http://h.test/', { proxy: null });
  t.is(String(direct), "HTTPConnectionPool(host='h.test', port=80)");
  t.is((await direct.request('GET', '/')).connection?.proxy, null);
  const pool = manager.connectionFromUrl('https://s.test/', { proxy: other.url });
  t.is((await pool.request('GET', '/')).connection?.proxy, other.url);
  t.deepEqual(other.asked.map(String), ['CONNECT s.test:443']);
  t.false(other.asked[0]?.names.includes('x-mine'));
  t.is(mine.sockets.length, 0);
});

test('THR-715: connections are told of with their proxy, and without its credentials', async (t) => {
  const { routes } = await origins(t);
  const proxy = await proxied(t, { routes });
  const notices = new Notices(t, ['connection:open', 'connection:close']);
  const manager = through(t, proxy.url.replace('//', '//user:s3cret@'));
  await manager.request('GET', 'https://s.test/');
  await manager.request('GET', 'http://h.test/');
  await manager.request('GET', 'http://h.test/');
  await manager.close();
  for (const name of ['connection:open', 'connection:close'] as const) {
    const ours = notices.of(name).filter((notice) => notice.proxy === proxy.url);
    // A pool that a proxy passes on for leads to the proxy.
    t.deepEqual(ours.map(({ host, port }) => `${host}:${port}`).toSorted(), [`127.0.0.1:${proxy.port}`, 's.test:443']);
    t.notRegex(JSON.stringify(ours), SECRET);
  }
});

test('PROXY-08: an error of the proxy’s is a ProxyError, and the reason of a MaxRetryError', async (t) => {
  const refusing = await proxied(t, {
    manner: (_, socket) => {
      const head =
        'HTTP/1.1 501 Not Implemented\r\nX-Said: a\r\nx-said: b\r\nSet-Cookie: s3cret\r\nContent-Length: 4\r\n\r\n';
      socket.end(`${head}body`);
      return 'mine';
    },
  });
  const manager = through(t, refusing.url);
  const error = await rejection(manager.request('GET', 'https://s.test/'), ProxyError);
  t.like(error, { code: 'ERR_PROXY', phase: 'proxy', status: 501, sent: false });
  t.is(error.originalError?.message, 'Tunnel connection failed: 501 Not Implemented');
  t.is(error.cause, error.originalError);
  t.regex(error.message, /^Unable to connect to proxy 127\.0\.0\.1:\d+: .*Proxy responded with 501/);
  t.true(error.headers instanceof HTTPHeaderDict);
  t.deepEqual(error.headers?.getlist('X-Said'), ['a', 'b']);
  t.deepEqual(error.body, Buffer.from('body'));
  t.like(error.toJSON(), { name: 'ProxyError', status: 501, bodyLength: 4 });
  // Proxies quote what they were sent.
  t.notRegex(`${JSON.stringify(error)} ${inspect(error)}`, /s3cret|626f6479|62 6f 64 79/);
  const again = manager.request('GET', 'https://s.test/', { retries: 1, timeout: new Timeout({ total: 10_000 }) });
  await t.throwsAsync(again, { code: 'ERR_MAX_RETRY', message: /ProxyError/ });
  t.is(refusing.asked.length, 3);
});

test('PROXY-08: a ProxyError counts as `connect` where what kept us from the proxy does, and as `other` elsewhere', async (t) => {
  const proxy = await proxied(t, {
    manner: (_, socket) => {
      socket.end('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n');
      return 'mine';
    },
  });
  const refused = await rejection(through(t, proxy.url).request('GET', 'https://s.test/'), ProxyError);
  const port = await closedPort(t);
  const nobody = `http://127.0.0.1:${port}`;
  const gone = await rejection(through(t, nobody).request('GET', 'https://s.test/'), ProxyError);
  t.like(gone, { code: 'ERR_PROXY', phase: 'connect' });
  t.like(gone.originalError, { name: 'NewConnectionError', code: 'ECONNREFUSED', port });
  t.regex(gone.message, new RegExp(`^Unable to connect to proxy 127\\.0\\.0\\.1:${port}: .*\\(ECONNREFUSED\\)$`));
  const left = (error: Error): unknown[] => {
    const { connect, other } = new Retry({ connect: 5, other: 5 }).increment('POST', '/', { error });
    return [connect, other];
  };
  t.deepEqual(left(gone), [4, 5]);
  t.deepEqual(left(refused), [5, 4]);
  // The core counts the same way.
  const counted = new Retry({ total: 9, connect: 1, other: 0, allowedMethods: false });
  for (const [options, code] of [
    [{ retries: counted }, 'ERR_MAX_RETRY'],
    [{ retries: new Retry({ connect: 0, other: 9 }) }, 'ERR_MAX_RETRY'],
  ] as const) {
    const error = await t.throwsAsync(through(t, nobody).request('POST', 'https://s.test/', options), { code });
    t.is((error as { history?: unknown[] }).history?.length ?? 0, options.retries.connect === 1 ? 1 : 0);
  }
});

/** Which proxy a request takes, and which connections may carry it: everything that names a proxy is in a pool's key. */
import test from 'ava';

import { PoolManager, ProxyManager, type PoolKwargs, type RequestOptions } from '../index.ts';
import { rejection } from './support/fixtures.ts';
import { kept, origins, proxied, socksed, through, toldBy, trusting } from './support/proxied.ts';
import { root, usual } from './support/pki.ts';

const URLS = ['http://h.test/', 'https://s.test/'] as const;

test('THR-323 THR-710: another proxy, other credentials, headers or TLS of it: another connection, and an equal one the same', async (t) => {
  const { routes } = await origins(t);
  const [first, second] = [await proxied(t, { routes, tls: {} }), await proxied(t, { routes, tls: {} })];
  const plain = await proxied(t, { routes });
  const socks = await socksed(t, { routes });
  const client = root().issue({ name: 'client' });
  const at = first.url;
  const tls = { caCertData: usual().ca.pem + usual().stranger.pem };
  const flipped: Readonly<Record<string, PoolKwargs>> = {
    'another proxy': { proxy: second.url },
    'the same by another name': { proxy: at.replace('127.0.0.1', 'localhost'), resolve: { localhost: '127.0.0.1' } },
    'another scheme': { proxy: plain.url },
    SOCKS: { proxy: socks.url('socks5h') },
    'SOCKS with a name': { proxy: socks.url('socks5h', 'name') },
    credentials: { proxy: at.replace('//', '//user:pass@') },
    'another password': { proxy: at.replace('//', '//user:word@') },
    'another user': { proxy: at.replace('//', '//other:pass@') },
    proxyHeaders: { proxyHeaders: { 'X-A': '1' } },
    'another proxyHeaders': { proxyHeaders: { 'X-A': '2' } },
    proxyTls: { proxyConfig: { tls } },
    'proxyTls, a client certificate': { proxyConfig: { tls: { ...tls, cert: client.chain, key: client.keyPem } } },
    'proxyTls, a version': { proxyConfig: { tls: { ...tls, sslMaximumVersion: 'TLSv1.2' } } },
    'proxyTls, a fingerprint': { proxyConfig: { assertFingerprint: usual().leaf.fingerprint('sha256') } },
    'proxyTls, a name': { proxyConfig: { assertHostname: 'localhost' } },
    'proxyTls, no name': { proxyConfig: { assertHostname: false } },
    useForwardingForHttps: { proxyConfig: { useForwardingForHttps: true } },
    localAddress: { localAddress: '127.0.0.2' },
    interface: { interface: 'lo' },
    resolve: { resolve: { 'x.test': '127.0.0.1' } },
    socketOptions: { socketOptions: { noDelay: false } },
    keepAlive: { keepAlive: true },
    'no proxy': {
      proxy: null,
      resolve: { 'h.test': `127.0.0.1:${routes['h.test:80']}`, 's.test': `127.0.0.1:${routes['s.test:443']}` },
    },
  };
  for (const url of URLS) {
    const manager = through(t, at);
    const usualPool = manager.connectionFromUrl(url);
    const connections = new Set<number>();
    const connection = async (pool: typeof usualPool): Promise<{ id: number; reused: boolean }> => {
      // A pool that forwards is its proxy's, and asked for other hosts.
      const response = await pool.request('GET', url, { assertSameHost: false });
      t.is(response.status, 200);
      return response.connection as { id: number; reused: boolean };
    };
    connections.add((await connection(usualPool)).id);
    for (const [name, kwargs] of Object.entries(flipped)) {
      const pool = manager.connectionFromUrl(url, kwargs);
      t.not(pool, usualPool, name);
      const { id, reused } = await connection(pool);
      t.false(reused, `${url} ${name}`);
      t.false(connections.has(id), `${url} ${name}`);
      connections.add(id);
      // Equal by value.
      const again = manager.connectionFromUrl(url, structuredClone(kwargs));
      t.is(again, pool, name);
      t.like(await connection(again), { id, reused: true }, `${url} ${name}`);
      t.like(await connection(usualPool), { reused: true }, `${url} ${name}`);
    }
    t.is(connections.size, 1 + Object.keys(flipped).length);
  }
});

test('THR-323 THR-710: the same by a proxy of the request’s own: each names connections of its own', async (t) => {
  const { routes } = await origins(t);
  const [first, second] = [await proxied(t, { routes }), await proxied(t, { routes })];
  const socks = await socksed(t, { routes });
  const named = [
    first.url,
    second.url,
    first.url.replace('//', '//user:pass@'),
    first.url.replace('//', '//user:word@'),
    first.url.replace('//', '//other:pass@'),
    socks.url('socks5h'),
    socks.url('socks4a'),
    socks.url('socks4a', 'user'),
  ];
  for (const url of URLS) {
    const manager = through(t, null);
    const ids: (number | undefined)[] = [];
    for (const proxy of named) {
      const { connection } = await manager.request('GET', url, { proxy });
      t.is(connection?.reused, false, proxy);
      ids.push(connection?.id);
    }
    t.is(new Set(ids).size, named.length);
    for (const [nth, proxy] of named.entries()) {
      const { connection } = await manager.request('GET', url, { proxy });
      t.like(connection, { reused: true, id: ids[nth] }, proxy);
    }
  }
});

test('THR-710: a tunnel is for one origin: another host, port or scheme has one of its own', async (t) => {
  const { routes, https } = await origins(t);
  const proxy = await proxied(t, { routes: { ...routes, 's.test:8443': https.port } });
  const manager = through(t, proxy.url);
  const urls = [
    'https://s.test/',
    'https://second.test/',
    'https://s.test:8443/',
    'https://s.test./',
    'http://h.test/',
  ];
  for (const round of [false, true]) {
    for (const url of urls) t.is((await manager.request('GET', url)).connection?.reused, round, url);
  }
  t.deepEqual(proxy.asked.slice(0, 5).map(String), [
    'CONNECT s.test:443',
    'CONNECT second.test:443',
    'CONNECT s.test:8443',
    'CONNECT s.test.:443',
    'GET http://h.test/',
  ]);
  t.is(proxy.tunnels.length, 4);
});

test('PROXY-02: per request, `proxy` is one of its own, `null` the manager’s, `false` none', async (t) => {
  const { routes, http, https } = await origins(t);
  const [mine, other] = [await proxied(t, { routes }), await proxied(t, { routes })];
  const resolve = { 'h.test': `127.0.0.1:${http.port}`, 's.test': `127.0.0.1:${https.port}` };
  const manager = through(t, mine.url, { resolve });
  for (const url of URLS) {
    for (const [proxy, via] of [
      [undefined, mine.url],
      [null, mine.url],
      [other.url, other.url],
      [new URL(other.url), other.url],
      [false, null],
      [mine.url, mine.url],
    ] as const) {
      const { connection } = await manager.request('GET', url, { proxy });
      t.is(connection?.proxy, via, `${url} ${String(proxy)}`);
    }
  }
  // Forwarded each by itself; and a tunnel each for the manager's proxy and for the same as the request's own, which is not
  // shown what is meant for the manager's.
  t.is(mine.asked.length, 3 + 2);
  t.is(other.asked.length, 2 + 1);
});

test('PROXY-23 THR-612: redirects of a request keep to its own proxy, or to none', async (t) => {
  const { routes, http, https } = await origins(t);
  const [mine, other] = [await proxied(t, { routes }), await proxied(t, { routes })];
  const resolve = { 'h.test': `127.0.0.1:${http.port}`, 's.test': `127.0.0.1:${https.port}` };
  const manager = through(t, mine.url.replace('//', '//user:pass@'), { retries: 5, resolve });
  const url = `http://h.test/to/302/${encodeURIComponent('https://s.test/')}`;
  const named = await manager.request('GET', url, { proxy: other.url });
  t.is(named.connection?.proxy, other.url);
  t.deepEqual(other.asked.map(String), [`GET ${url}`, 'CONNECT s.test:443']);
  for (const one of other.asked) t.deepEqual(one.all('proxy-authorization'), []);
  const none = await manager.request('GET', url, { proxy: false });
  t.is(none.connection?.proxy, null);
  t.is(mine.sockets.length, 0);
});

test('MGR-11 PROXY-02: a proxy of its own is for requests of managers: those of pools have their pool’s', async (t) => {
  const { routes } = await origins(t);
  const proxy = await proxied(t, { routes });
  const manager = through(t, null);
  const pool = manager.connectionFromUrl('http://h.test/');
  const error = await rejection(pool.request('GET', '/', { proxy: proxy.url } as RequestOptions), TypeError);
  t.is((error as TypeError & { code: string }).code, 'ERR_INVALID_OPTION');
  for (const wrong of [1, true, {}, '']) {
    await t.throwsAsync(
      manager.request('GET', 'http://h.test/', { proxy: wrong as never }),
      undefined,
      JSON.stringify(wrong),
    );
  }
  t.is(proxy.sockets.length, 0);
});

test('THR-323 THR-710: 60 proxies in one manager, and each of 600 requests goes where it was told', async (t) => {
  const { routes } = await origins(t);
  const proxies = await Promise.all(Array.from({ length: 60 }, () => proxied(t, { routes })));
  const manager = through(t, null, { maxTotalConnections: 40 });
  const tell = async (nth: number): Promise<void> => {
    const at = (nth * 37) % proxies.length;
    const proxy = proxies[at];
    const url = nth % 2 === 0 ? `http://h.test/${nth}` : `https://s.test/${nth}`;
    const user = nth % 3 === 0 ? `user${nth % 5}:pass` : '';
    const response = await manager.request('GET', url, {
      proxy: user === '' ? (proxy?.url ?? '') : (proxy?.url.replace('//', `//${user}@`) ?? ''),
      headers: { 'X-Token': String(nth) },
    });
    const { target, lines } = toldBy(response);
    t.is(target, `/${nth}`);
    t.is(lines.find(([name]) => name === 'X-Token')?.[1], String(nth));
    t.is(response.connection?.proxy, proxy?.url);
  };
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < 600) {
      next += 1;
      await tell(next - 1);
    }
  };
  await Promise.all(Array.from({ length: 30 }, worker));
  for (const [at, proxy] of proxies.entries()) {
    for (const one of proxy.asked.filter(({ method }) => method === 'GET')) {
      const nth = Number(one.all('x-token')[0]);
      t.is((nth * 37) % proxies.length, at);
      const wanted = nth % 3 === 0 ? [`Basic ${Buffer.from(`user${nth % 5}:pass`).toString('base64')}`] : [];
      t.deepEqual(one.all('proxy-authorization'), wanted);
    }
  }
  const forwarded = proxies.flatMap((proxy) => proxy.asked.filter(({ method }) => method === 'GET'));
  t.is(forwarded.length, 300);
});

test('PROXY-22 THR-323: two managers share nothing, whatever proxies they have', async (t) => {
  const { routes } = await origins(t);
  const proxy = await proxied(t, { routes });
  const [one, other] = [through(t, proxy.url), kept(t, new ProxyManager(proxy.url, trusting({})))];
  await one.request('GET', 'https://s.test/');
  t.is((await other.request('GET', 'https://s.test/')).connection?.reused, false);
  t.is(proxy.tunnels.length, 2);
  t.true(other instanceof PoolManager);
});

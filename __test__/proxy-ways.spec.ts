/** Requests through a proxy that works: which way each takes, what the proxy is told, and what the origin sees. */
import test, { type ExecutionContext } from 'ava';

import {
  HTTPConnectionPool,
  HTTPHeaderDict,
  HTTPSConnectionPool,
  ProxyManager,
  type PoolManagerOptions,
} from '../index.ts';
import { saying, type ProxyOptions } from './servers/proxy.ts';
import { namesIn, origins, proxied, through, toldBy, trusting, kept } from './support/proxied.ts';
import { usual } from './support/pki.ts';

const SCHEMES = { http: {}, https: { tls: {} } } as const satisfies Record<string, ProxyOptions>;

for (const [scheme, options] of Object.entries(SCHEMES)) {
  test(`PROXY-02: through ${scheme} an http request is forwarded, absolute, without fragment and user info, over one pool`, async (t) => {
    const { routes, asked, https } = await origins(t);
    const proxy = await proxied(t, { ...options, routes });
    const manager = kept(t, new ProxyManager(proxy.url, trusting({})));
    for (const url of [
      'http://h.test/a?b=c#fragment',
      'http://user:secret@other.test/a/../d',
      'http://H.TEST',
      'http://third.test:80/%7e',
    ]) {
      t.is(toldBy(await manager.request('GET', url)).origin, 'http');
    }
    t.deepEqual(proxy.asked.map(String), [
      'GET http://h.test/a?b=c',
      'GET http://other.test/d',
      'GET http://h.test/',
      'GET http://third.test/%7e',
    ]);
    // One connection, one pool, whatever the host.
    t.is(proxy.sockets.length, 1);
    t.is(manager.pools.size, 1);
    t.deepEqual(
      asked.map(({ target }) => target),
      ['/a?b=c', '/d', '/', '/%7e'],
    );
    t.deepEqual(
      proxy.asked.map((one) => one.all('host').join()),
      ['h.test', 'other.test', 'h.test', 'third.test'],
    );
    t.is(https.sockets.length, 0);
    t.false(JSON.stringify([proxy.asked, asked]).includes('secret'));
  });

  test(`PROXY-03: through ${scheme} an https request takes a tunnel, a pool a target, and the proxy sees only TLS`, async (t) => {
    const { routes, https, http } = await origins(t);
    const proxy = await proxied(t, { ...options, routes });
    const manager = through(t, proxy.url);
    for (const url of ['https://s.test/private', 'https://s.test/private', 'https://second.test/private']) {
      const { connection } = await manager.request('POST', url, {
        headers: { Authorization: 'confidential' },
        body: 'confidential',
      });
      t.is(connection?.proxy, proxy.url);
      t.like(connection?.tls, { verified: true, serverName: new URL(url).hostname });
      t.is(connection?.remotePort, proxy.port);
    }
    t.deepEqual(proxy.asked.map(String), ['CONNECT s.test:443', 'CONNECT second.test:443']);
    for (const one of proxy.asked) {
      t.is(one.version, '1.1');
      t.deepEqual(one.all('host'), [one.target]);
      t.deepEqual(
        one.names.filter((name) => !['host', 'user-agent'].includes(name)),
        [],
      );
    }
    t.is(manager.pools.size, 2);
    t.is(proxy.sockets.length, 2);
    t.is(https.shaken.length, 2);
    t.is(http.sockets.length, 0);
    for (const { up, down } of proxy.tunnels) {
      // A handshake's record first, and nothing in the clear.
      t.deepEqual([up()[0], down()[0]], [22, 22]);
      for (const said of [up(), down()]) t.false(/confidential|private|HTTP\//.test(said.toString('latin1')));
    }
    t.deepEqual(
      https.shaken.map(({ servername }) => servername),
      ['s.test', 'second.test'],
    );
  });

  test(`PROXY-03: through ${scheme} a tunnel that died is dialled again`, async (t) => {
    const { routes, https } = await origins(t);
    const proxy = await proxied(t, { ...options, routes });
    const manager = through(t, proxy.url);
    for (let round = 1; round <= 3; round += 1) {
      const response = await manager.request('POST', 'https://s.test/', { body: 'once' });
      t.is(toldBy(response).body, 'once');
      t.is(response.connection?.reused, false);
      t.is(proxy.tunnels.length, round);
      await proxy.cut();
    }
    t.is(https.shaken.length, 3);
  });

  test(`PROXY-20: through ${scheme} at an address of IPv6, and to a target with a final dot`, async (t) => {
    const { routes } = await origins(t);
    const proxy = await proxied(t, { ...options, routes, listenOn: '::1' });
    t.regex(proxy.url, /\/\/\[::1\]:/);
    const manager = through(t, proxy.url);
    t.is(toldBy(await manager.request('GET', 'http://h.test/')).origin, 'http');
    const response = await manager.request('GET', 'https://s.test./');
    t.is(toldBy(response).origin, 'https');
    // Who looks the name up is told the dot (CONN-06), and Host is the target's authority (RFC 9112, section 3.2.2).
    t.is((await manager.request('GET', 'http://h.test./x')).url, 'http://h.test./x');
    t.is(response.connection?.proxy, proxy.url);
    t.is(response.connection?.remoteAddress, '::1');
    t.deepEqual(proxy.asked.map(String), ['GET http://h.test/', 'CONNECT s.test.:443', 'GET http://h.test./x']);
    t.deepEqual(proxy.asked.at(-1)?.all('host'), ['h.test.']);
  });

  test(`PROXY-23: through ${scheme} redirects keep to the proxy, from http to https and back, to other hosts`, async (t) => {
    const { routes, asked } = await origins(t);
    const proxy = await proxied(t, { ...options, routes });
    const manager = through(t, proxy.url, { retries: 10 });
    const to = (url: string): string => `/to/302/${encodeURIComponent(url)}`;
    const last = 'http://other.test/end';
    const third = `https://s.test${to(last)}`;
    const second = `http://other.test${to(third)}`;
    const response = await manager.request('GET', `http://h.test${to(second)}`);
    t.is(toldBy(response).target, '/end');
    t.deepEqual(
      asked.map(({ origin }) => origin),
      ['http', 'http', 'https', 'http'],
    );
    t.deepEqual(
      proxy.asked.map(({ method }) => method),
      ['GET', 'GET', 'CONNECT', 'GET'],
    );
    t.is(response.url, last);
    // 307 keeps a body, through a tunnel too.
    const kept = await manager.request('POST', `http://h.test/to/307/${encodeURIComponent('https://s.test/kept')}`, {
      body: 'body',
    });
    t.like(toldBy(kept), { origin: 'https', method: 'POST', body: 'body' });
  });

  test(`PROXY-02 PROXY-03: bare pools go through ${scheme} as managers do`, async (t) => {
    const { routes } = await origins(t);
    const proxy = await proxied(t, { ...options, routes });
    const proxyConfig = options === SCHEMES.https ? { tls: { caCertData: usual().ca.pem } } : null;
    const plain = new HTTPConnectionPool('h.test', { proxy: proxy.url, proxyConfig, retries: false });
    const secure = new HTTPSConnectionPool('s.test', {
      proxy: proxy.url,
      proxyConfig,
      retries: false,
      caCertData: usual().ca.pem,
    });
    t.teardown(() => Promise.all([plain.close(), secure.close()]));
    t.like(toldBy(await plain.request('GET', '/one')), { origin: 'http', target: '/one' });
    t.like(toldBy(await plain.request('GET', 'http://h.test/two')), { origin: 'http', target: '/two' });
    t.like(toldBy(await secure.request('GET', '/three')), { origin: 'https', target: '/three' });
    t.deepEqual(proxy.asked.map(String), ['GET http://h.test/one', 'GET http://h.test/two', 'CONNECT s.test:443']);
    t.is(plain.numConnections, 1);
  });
}

test('PROXY-05: useForwardingForHttps gives https requests to an https proxy as they are; an http proxy ignores it', async (t) => {
  const { routes, https } = await origins(t);
  const secure = await proxied(t, { tls: {}, routes });
  const forwarding = kept(t, new ProxyManager(secure.url, trusting({ useForwardingForHttps: true })));
  const response = await forwarding.request('GET', 'https://s.test/path?q#f');
  t.like(toldBy(response), { origin: 'https', target: '/path?q' });
  t.is(response.url, 'https://s.test/path?q');
  t.like(toldBy(await forwarding.request('POST', 'https://second.test/', { body: 'all of it' })), {
    body: 'all of it',
  });
  t.like(toldBy(await forwarding.request('GET', 'http://h.test/')), { origin: 'http' });
  t.deepEqual(secure.asked.map(String), [
    'GET https://s.test/path?q',
    'POST https://second.test/',
    'GET http://h.test/',
  ]);
  // The TLS that there is ends at the proxy.
  t.is(secure.sockets.length, 1);
  t.true(https.shaken.every(({ servername }) => servername === null));
  t.like(response.connection, { proxy: secure.url, tls: null });
  const plain = await proxied(t, { routes });
  const ignoring = kept(t, new ProxyManager(plain.url, trusting({ useForwardingForHttps: true })));
  t.like(toldBy(await ignoring.request('GET', 'https://s.test/')), { origin: 'https' });
  t.deepEqual(plain.asked.map(String), ['CONNECT s.test:443']);
});

test('PROXY-06 WART-10: a forwarded request has Accept and Host unless given, and proxyHeaders over its own whatever their case', async (t) => {
  const { routes } = await origins(t);
  const proxy = await proxied(t, { routes });
  const bare = through(t, proxy.url);
  await bare.request('GET', 'http://h.test/');
  t.deepEqual(proxy.asked[0]?.all('accept'), ['*/*']);
  t.deepEqual(proxy.asked[0]?.all('host'), ['h.test']);
  await bare.request('GET', 'http://h.test/', { headers: { host: 'mine.test', ACCEPT: 'text/html', 'X-Own': '1' } });
  t.deepEqual(proxy.asked[1]?.all('host'), ['mine.test']);
  t.deepEqual(proxy.asked[1]?.all('accept'), ['text/html']);
  t.deepEqual(proxy.asked[1]?.all('x-own'), ['1']);
  const told = through(t, proxy.url, { proxyHeaders: { 'x-own': 'proxy', accept: 'image/png', 'X-Token': 'a' } });
  await told.request('GET', 'http://h.test/', { headers: { 'X-OWN': 'request', Accept: 'text/html', 'X-Kept': '1' } });
  const last = await proxy.asks(3);
  t.deepEqual(last.all('x-own'), ['proxy']);
  t.deepEqual(last.all('accept'), ['image/png']);
  t.deepEqual(last.all('x-token'), ['a']);
  t.deepEqual(last.all('x-kept'), ['1']);
  // Each of them once.
  t.is(new Set(last.names).size, last.names.length);
});

test('PROXY-06: with a tunnel proxyHeaders are on CONNECT alone, and the request’s headers are not', async (t) => {
  const { routes, asked } = await origins(t);
  for (const options of Object.values(SCHEMES)) {
    const proxy = await proxied(t, { ...options, routes });
    const manager = through(t, proxy.url, { headers: { 'X-Manager': '1' }, proxyHeaders: { 'X-Proxy': 'yes' } });
    await manager.request('GET', 'https://s.test/');
    await manager.request('GET', 'https://s.test/', { headers: { 'X-Request': '1', Cookie: 'a=b' } });
    t.is(proxy.asked.length, 1);
    t.deepEqual(proxy.asked[0]?.all('x-proxy'), ['yes']);
    t.deepEqual(
      proxy.asked[0]?.names.filter((name) => ['x-manager', 'x-request', 'cookie', 'accept'].includes(name)),
      [],
    );
    t.false(asked.some((one) => namesIn(one).includes('x-proxy')));
    t.deepEqual(
      asked.splice(0).map((one) => namesIn(one).filter((name) => /^x-|cookie/.test(name))),
      [['x-manager'], ['cookie', 'x-request']],
    );
  }
});

test('PROXY-06 WART-10: a Host among proxyHeaders is the only one, forwarded and on CONNECT', async (t) => {
  const { routes } = await origins(t);
  const proxy = await proxied(t, { routes });
  const manager = through(t, proxy.url, { proxyHeaders: { HOST: 'mine.test', 'user-agent': 'me' } });
  for (const url of ['http://h.test/', 'https://s.test/']) await manager.request('GET', url);
  for (const one of proxy.asked) t.deepEqual([one.all('host'), one.all('user-agent')], [['mine.test'], ['me']]);
  t.is(proxy.asked.length, 2);
});

const SOURCES: Record<string, () => PoolManagerOptions> = {
  object: () => ({ proxyHeaders: { 'X-A': '1', 'X-B': '2' } }),
  pairs: () => ({
    proxyHeaders: [
      ['X-A', '1'],
      ['X-B', '2'],
    ],
  }),
  Map: () => ({
    proxyHeaders: new Map([
      ['X-A', '1'],
      ['X-B', '2'],
    ]),
  }),
  Headers: () => ({ proxyHeaders: new Headers({ 'X-A': '1', 'X-B': '2' }) }),
  HTTPHeaderDict: () => ({ proxyHeaders: new HTTPHeaderDict({ 'X-A': '1', 'X-B': '2' }) }),
  iterator: () => ({
    proxyHeaders: [
      ['X-A', '1'],
      ['X-B', '2'],
    ].values() as Iterable<[string, string]>,
  }),
};
for (const [kind, options] of Object.entries(SOURCES)) {
  test(`PROXY-06: proxyHeaders may be of any kind: ${kind}`, async (t) => {
    const { routes } = await origins(t);
    const proxy = await proxied(t, { routes });
    const manager = through(t, proxy.url, options());
    for (const url of ['http://h.test/', 'https://s.test/', 'https://second.test/']) await manager.request('GET', url);
    for (const one of proxy.asked) t.deepEqual([one.all('x-a'), one.all('x-b')], [['1'], ['2']], String(one));
    t.is(proxy.asked.length, 3);
  });
}

test('PROXY-22: without being asked to, a manager does not look for a proxy', async (t) => {
  const { routes } = await origins(t);
  const proxy = await proxied(t, { routes });
  const names = ['http_proxy', 'https_proxy', 'all_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'];
  const before = names.map((name) => process.env[name]);
  for (const name of names) process.env[name] = proxy.url;
  t.teardown(() => names.forEach((name, at) => restore(name, before[at])));
  const direct = await origins(t);
  const manager = through(t, null, { resolve: { 'h.test': `127.0.0.1:${direct.http.port}` } });
  const response = await manager.request('GET', 'http://h.test/');
  t.is(response.connection?.proxy, null);
  t.is(proxy.sockets.length, 0);
});

test('PROXY-02: answers of every framing come back through a forwarding proxy, HEAD and 204 among them', async (t) => {
  const { routes } = await origins(t);
  const proxy = await proxied(t, { routes });
  const manager = through(t, proxy.url);
  t.is((await manager.request('HEAD', 'http://h.test/')).data.length, 0);
  t.is((await manager.request('GET', 'http://h.test/bytes/300000')).data.length, 300_000);
  t.is((await manager.request('GET', 'http://h.test/status/204')).status, 204);
  t.is((await manager.request('GET', 'http://h.test/status/503')).status, 503);
  t.is(proxy.sockets.length, 1);
});

async function verified(t: ExecutionContext, scheme: keyof typeof SCHEMES, url: string): Promise<unknown> {
  const { routes } = await origins(t);
  const proxy = await proxied(t, { ...SCHEMES[scheme], routes });
  const { connection } = await through(t, proxy.url).request('GET', url);
  return connection?.tls?.verified ?? false;
}

test('PROXY-17: what a response says of its target: verified in a tunnel, and never where a proxy had the request', async (t) => {
  t.is(await verified(t, 'http', 'http://h.test/'), false);
  t.is(await verified(t, 'http', 'https://s.test/'), true);
  t.is(await verified(t, 'https', 'http://h.test/'), false);
  t.is(await verified(t, 'https', 'https://s.test/'), true);
});

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}

test('PROXY-02 THR-706: whatever form a pool is given a URL in, the proxy is named one authority, without a zone', async (t) => {
  const proxy = await proxied(t, {
    // In place of the origin.
    manner: saying(() => ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'], 'mine'),
  });
  for (const [host, written, sent] of [
    ['fe80::1%lo', '[fe80::1%25lo]', '[fe80::1]'],
    ['h.test.', 'h.test.', 'h.test.'],
  ] as const) {
    const pool = new HTTPConnectionPool(host, { proxy: proxy.url, retries: false });
    for (const [url, target] of [
      ['/x', '/x'],
      ['*', '/'],
      [`http://${written}/x`, '/x'],
      [`http://${written}?x`, '/?x'],
    ] as const) {
      const response = await pool.request('OPTIONS', url);
      t.true(response.url.startsWith(`http://${written}`), url);
      const asked = proxy.asked.at(-1);
      t.deepEqual([asked?.target, asked?.all('host')], [`http://${sent}${target}`, [sent]], url);
    }
    await pool.close();
  }
});

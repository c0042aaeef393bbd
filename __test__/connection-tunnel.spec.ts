/** One connection through a proxy: by CONNECT that was asked for, by its options, and what it says of itself meanwhile. */
import { createHash } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';

import {
  HTTPConnection,
  HTTPSConnection,
  ProxyError,
  type ConnectionOptions,
  type HTTPResponse,
  type TLSOptions,
} from '../index.ts';
import type { Proxy, ProxyOptions } from './servers/proxy.ts';
import { namesIn, origins, proxied, socksed, toldBy, type Origins } from './support/proxied.ts';
import { rejection } from './support/fixtures.ts';
import { usual } from './support/pki.ts';

const { ca } = usual();
const TRUST = { caCertData: ca.pem };

/** Closed at the test's end. */
function kept<Connection extends HTTPConnection>(t: ExecutionContext, connection: Connection): Connection {
  t.teardown(() => connection.close());
  return connection;
}

async function asked(connection: HTTPConnection, target = '/'): Promise<HTTPResponse> {
  await connection.request('GET', target);
  return connection.getResponse();
}

/** What a connection says of itself. */
function state(connection: HTTPConnection): unknown {
  const { isConnected, isVerified, proxyIsVerified, hasConnectedToProxy, proxyIsForwarding, proxyIsTunneling } =
    connection;
  return {
    isConnected,
    isVerified,
    proxyIsVerified,
    hasConnectedToProxy,
    forwards: proxyIsForwarding,
    tunnels: proxyIsTunneling,
  };
}

async function site(t: ExecutionContext, options: ProxyOptions = {}): Promise<{ proxy: Proxy; site: Origins }> {
  const all = await origins(t);
  return { proxy: await proxied(t, { routes: all.routes, ...options }), site: all };
}

test('CONN-04: a tunnel is asked for, and from then on everything names its target', async (t) => {
  const { proxy, site: at } = await site(t);
  const connection = kept(t, new HTTPConnection('127.0.0.1', { port: proxy.port, headers: { 'X-Mine': '1' } }));
  connection.setTunnel('h.test', 80, { 'X-Tunnel': ['1', '2'] });
  t.is(proxy.sockets.length, 0);
  const response = await asked(connection, '/path?query');
  t.is(response.url, 'http://h.test/path?query');
  t.deepEqual(proxy.asked.map(String), ['CONNECT h.test:80']);
  t.deepEqual(proxy.asked[0]?.all('x-tunnel'), ['1', '2']);
  t.false(proxy.asked[0]?.names.includes('x-mine'));
  const told = toldBy(response);
  t.like(told, { origin: 'http', target: '/path?query' });
  t.deepEqual(
    told.lines.filter(([name]) => name.toLowerCase() === 'host').map(([, value]) => value),
    ['h.test'],
  );
  t.true(namesIn(told).includes('x-mine'));
  t.false(namesIn(told).includes('x-tunnel'));
  // It is kept, as any connection.
  t.is((await asked(connection)).connection?.reused, true);
  t.is(proxy.asked.length, 1);
  t.is(at.http.sockets.length, 1);
  t.is(String(connection), `HTTPConnection(host='127.0.0.1', port=${proxy.port})`);
});

test('CONN-04: over TLS the target’s name is sent and checked, and the class’s port is the default', async (t) => {
  const { proxy, site: at } = await site(t);
  const connection = kept(t, new HTTPSConnection('127.0.0.1', { port: proxy.port, ...TRUST }));
  connection.setTunnel('s.test');
  const response = await asked(connection);
  t.is(response.url, 'https://s.test/');
  t.like(response.connection?.tls, { verified: true, serverName: 's.test' });
  t.is(response.connection?.proxy, proxy.url);
  t.deepEqual(proxy.asked.map(String), ['CONNECT s.test:443']);
  t.is(at.https.shaken.length, 1);
  // Another name than the certificate has.
  const wrong = kept(t, new HTTPSConnection('127.0.0.1', { port: proxy.port, ...TRUST, assertHostname: 'x.test' }));
  wrong.setTunnel('s.test');
  await t.throwsAsync(asked(wrong), { name: 'SSLError' });
});

test('CONN-04: host and port are taken apart as http.client does', async (t) => {
  const asks = async (host: string, port?: number | null): Promise<string | undefined> => {
    const proxy = await proxied(t, {
      manner: (_, socket) => {
        socket.end('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n');
        return 'mine';
      },
    });
    const connection = kept(t, new HTTPConnection('127.0.0.1', { port: proxy.port }));
    connection.setTunnel(host, port);
    await t.throwsAsync(connection.connect(), { instanceOf: ProxyError });
    return proxy.asked.map(String).join();
  };
  t.is(await asks('h.test:8080'), 'CONNECT h.test:8080');
  t.is(await asks('h.test:8080', null), 'CONNECT h.test:8080');
  t.is(await asks('h.test:'), 'CONNECT h.test:80');
  t.is(await asks('H.TEST', 81), 'CONNECT h.test:81');
  t.is(await asks('[::1]:82'), 'CONNECT [::1]:82');
  t.is(await asks('[::1]'), 'CONNECT [::1]:80');
  t.is(await asks('::1'), 'CONNECT [::1]:80');
  t.is(await asks('::1', 83), 'CONNECT [::1]:83');
});

test('CONN-04 PROXY-12: what no tunnel can be asked for is refused at once, and what was before holds', async (t) => {
  const { proxy } = await site(t);
  const connection = kept(t, new HTTPConnection('127.0.0.1', { port: proxy.port }));
  connection.setTunnel('h.test');
  const option = { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' } as const;
  t.throws(() => connection.setTunnel('h.test', 80, {}, 'socks' as never), {
    ...option,
    message: "Invalid proxy scheme for tunneling: 'socks', must be either 'http' or 'https'",
  });
  for (const scheme of ['', 'HTTP', null, 1]) {
    t.throws(() => connection.setTunnel('h.test', 80, {}, scheme as never), option, String(scheme));
  }
  for (const host of [1, null, undefined, ['h']]) {
    t.throws(() => connection.setTunnel(host as never), { instanceOf: TypeError, code: 'ERR_INVALID_URL' });
  }
  for (const host of [
    'h.test\r\nX: 1',
    'h test',
    'h.test\0',
    'h%zz.test',
    '',
    'user@h.test',
    'h.test:80:80',
    'h:x',
    'h:65536',
  ]) {
    t.throws(() => connection.setTunnel(host), { code: 'ERR_INVALID_URL' }, JSON.stringify(host));
  }
  for (const port of [-1, 65_536, 1.5]) t.throws(() => connection.setTunnel('h', port), { instanceOf: RangeError });
  for (const headers of [{ 'a b': '1' }, { a: '1\r\nb: 2' }, { a: '\0' }]) {
    t.throws(() => connection.setTunnel('h.test', 80, headers), { name: 'InvalidHeader' }, JSON.stringify(headers));
  }
  t.throws(() => connection.setTunnel('h.test', 80, 1 as never), { code: 'ERR_INVALID_HEADER' });
  await asked(connection);
  t.deepEqual(proxy.asked.map(String), ['CONNECT h.test:80']);
  t.deepEqual(proxy.malformed, []);
});

test('CONN-04: it is for the next connection: refused once there is one, forgotten when it is closed', async (t) => {
  const { proxy, site: at } = await site(t);
  const connection = kept(t, new HTTPConnection('127.0.0.1', { port: proxy.port }));
  const refused = {
    instanceOf: Error,
    code: 'ERR_NOT_READY',
    message: "Can't set up tunnel for established connection",
  } as const;
  const connecting = connection.connect();
  t.throws(() => connection.setTunnel('h.test'), refused);
  await connecting;
  t.throws(() => connection.setTunnel('h.test'), refused);
  await connection.close();
  connection.setTunnel('other.test');
  connection.setTunnel('h.test');
  const sending = connection.request('GET', '/');
  t.throws(() => connection.setTunnel('h.test'), refused);
  await sending;
  t.throws(() => connection.setTunnel('h.test'), refused);
  await connection.getResponse();
  t.throws(() => connection.setTunnel('h.test'), refused);
  t.deepEqual(proxy.asked.map(String), ['CONNECT h.test:80']);
  await connection.close();
  t.like(state(connection), { tunnels: false, hasConnectedToProxy: false });
  // To the host itself, which takes it for a request in origin form.
  t.is((await asked(connection)).status, 400);
  t.deepEqual(proxy.asked.map(String), ['CONNECT h.test:80', 'GET /']);
  t.is(at.http.sockets.length, 1);
});

test('CONN-04 CONN-05: a tunnel that the proxy refuses is a ProxyError, and may be tried again', async (t) => {
  let refusals = 1;
  const { proxy } = await site(t, {
    manner: (_, socket) => {
      refusals -= 1;
      if (refusals < 0) return 'serve';
      socket.end('HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n');
      return 'mine';
    },
  });
  const connection = kept(t, new HTTPConnection('127.0.0.1', { port: proxy.port }));
  connection.setTunnel('h.test');
  const error = await rejection(connection.connect(), ProxyError);
  t.like(error, { status: 407, phase: 'proxy', code: 'ERR_PROXY' });
  t.like(state(connection), { isConnected: false, hasConnectedToProxy: false, tunnels: true });
  t.is(toldBy(await asked(connection)).origin, 'http');
});

const CLASSES = { http: HTTPConnection, https: HTTPSConnection } as const;
for (const [target, host] of [
  ['http', 'h.test'],
  ['https', 's.test'],
] as const) {
  for (const scheme of ['http', 'https'] as const) {
    test(`CONN-04 PROXY-17 PROXY-19: a tunnel to ${target} through a proxy of ${scheme}, told in advance and after`, async (t) => {
      const { proxy } = await site(t, scheme === 'https' ? { tls: {} } : {});
      const options = { port: proxy.port, proxyConfig: { tls: TRUST }, ...(target === 'https' ? TRUST : {}) };
      const connection = kept(t, new CLASSES[target]('127.0.0.1', options));
      const none = { hasConnectedToProxy: false, proxyIsVerified: null, forwards: false };
      const shut = { isConnected: false, isVerified: false, ...none };
      t.deepEqual(state(connection), { ...shut, tunnels: false });
      connection.setTunnel(host, undefined, {}, scheme);
      t.deepEqual(state(connection), { ...shut, tunnels: true });
      await connection.connect();
      t.deepEqual(state(connection), {
        isConnected: true,
        isVerified: target === 'https',
        proxyIsVerified: scheme === 'https',
        hasConnectedToProxy: true,
        forwards: false,
        tunnels: true,
      });
      const { connection: facts } = await asked(connection);
      t.is(facts?.proxy, proxy.url);
      t.is(facts?.tls?.verified, target === 'https' ? true : undefined);
      await connection.close();
      t.deepEqual(state(connection), { ...shut, tunnels: false });
    });
  }
}

test('PROXY-14: TLS to a tunnel’s proxy is as proxyConfig says, or trusts whom the connection trusts', async (t) => {
  const { proxy } = await site(t, { tls: {} });
  const to = (options: ConnectionOptions & TLSOptions): HTTPSConnection => {
    const connection = kept(t, new HTTPSConnection('127.0.0.1', { port: proxy.port, ...options }));
    connection.setTunnel('s.test', 443, {}, 'https');
    return connection;
  };
  await to(TRUST).connect();
  // The target's own do not reach the proxy.
  await to({ ...TRUST, serverHostname: 's.test', assertHostname: 's.test' }).connect();
  const error = await rejection(to({ ...TRUST, proxyConfig: { tls: { caCerts: 'system' } } }).connect(), ProxyError);
  t.is(error.originalError?.name, 'SSLError');
  const unverified = to({ ...TRUST, proxyConfig: { tls: { certReqs: 'none' } } });
  await unverified.connect();
  t.deepEqual([unverified.isVerified, unverified.proxyIsVerified], [true, false]);
  const sha256 = createHash('sha256').update(usual().leaf.der).digest('hex');
  const pinned = to({ ...TRUST, proxyConfig: { tls: { certReqs: 'none' }, assertFingerprint: sha256 } });
  await pinned.connect();
  t.is(pinned.proxyIsVerified, true);
});

test('PROXY-17: a connection whose options name a proxy: forwarded it is not verified, tunnelled it is', async (t) => {
  const { proxy: plain, site: at } = await site(t);
  const secure = await proxied(t, { tls: {}, routes: at.routes });
  const cases: [HTTPConnection, unknown][] = [
    [
      new HTTPConnection('h.test', { proxy: plain.url }),
      { isVerified: false, proxyIsVerified: false, forwards: true, tunnels: false },
    ],
    [
      new HTTPConnection('h.test', { proxy: secure.url, proxyConfig: { tls: TRUST } }),
      { isVerified: false, proxyIsVerified: true, forwards: true, tunnels: false },
    ],
    [
      new HTTPSConnection('s.test', { proxy: plain.url, ...TRUST }),
      { isVerified: true, proxyIsVerified: false, forwards: false, tunnels: true },
    ],
    [
      new HTTPSConnection('s.test', { proxy: secure.url, ...TRUST }),
      { isVerified: true, proxyIsVerified: true, forwards: false, tunnels: true },
    ],
    [
      new HTTPSConnection('s.test', { proxy: secure.url, proxyConfig: { useForwardingForHttps: true }, ...TRUST }),
      { isVerified: false, proxyIsVerified: true, forwards: true, tunnels: false },
    ],
  ];
  for (const [nth, [connection, want]] of cases.entries()) {
    kept(t, connection);
    t.like(state(connection), { isVerified: false, proxyIsVerified: null, hasConnectedToProxy: false }, String(nth));
    const response = await asked(connection);
    t.deepEqual(state(connection), { isConnected: true, hasConnectedToProxy: true, ...(want as object) }, String(nth));
    t.is(response.connection?.proxy, (nth === 0 || nth === 2 ? plain : secure).url, String(nth));
    t.throws(() => connection.setTunnel('h.test'), { code: 'ERR_INVALID_OPTION', message: /has a proxy/ });
    await connection.close();
    t.like(state(connection), { isVerified: false, proxyIsVerified: null, hasConnectedToProxy: false }, String(nth));
  }
});

test('PROXY-17 SOCKS-02: through SOCKS there is a tunnel, and nobody who could be verified', async (t) => {
  const at = await origins(t);
  const socks = await socksed(t, { routes: at.routes });
  const connection = kept(t, new HTTPConnection('h.test', { proxy: socks.url('socks5h') }));
  t.like(toldBy(await asked(connection)), { origin: 'http', target: '/' });
  t.deepEqual(state(connection), {
    isConnected: true,
    isVerified: false,
    proxyIsVerified: false,
    hasConnectedToProxy: true,
    forwards: false,
    tunnels: true,
  });
});

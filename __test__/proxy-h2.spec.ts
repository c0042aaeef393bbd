/** HTTP/2 through proxies: in a tunnel or SOCKS as without them; with a proxy that is handed the request HTTP/1.1. */
import test, { type ExecutionContext } from 'ava';

import { HTTPSConnectionPool, ProxyError, type PoolManager, type PoolManagerOptions } from '../index.ts';
import { nodeServer, origin, type NodeServer, type Speaks } from './servers/h2-node.ts';
import { saying, type Proxy } from './servers/proxy.ts';
import type { SocksServer } from './servers/socks.ts';
import { rejection } from './support/fixtures.ts';
import { proxied, socksed, through } from './support/proxied.ts';
import { usual } from './support/pki.ts';

const { ca } = usual();
const IDENTITY = ca.issue({ san: ['dns:s.test', 'dns:second.test'] }).identity;

/** One origin, as `https://s.test` (or `http://h.test`), and every kind of proxy before it. */
interface Setting {
  readonly server: NodeServer;
  readonly plain: Proxy;
  readonly secure: Proxy;
  readonly socks: SocksServer;
  /** URLs of all of them. */
  readonly proxies: readonly string[];
}

async function setting(t: ExecutionContext, speaks: Speaks = 'h2'): Promise<Setting> {
  const server = await nodeServer(speaks, origin(), IDENTITY);
  t.teardown(() => server.close());
  const routes = { 's.test:443': server.port, 'second.test:443': server.port, 'h.test:80': server.port };
  const plain = await proxied(t, { routes });
  const secure = await proxied(t, { routes, tls: {} });
  const socks = await socksed(t, { routes });
  return { server, plain, secure, socks, proxies: [plain.url, secure.url, socks.url('socks5h'), socks.url('socks4a')] };
}

function h2(t: ExecutionContext, proxy: string, options: PoolManagerOptions = {}): PoolManager {
  return through(t, proxy, { http2: true, timeout: { total: 20_000 }, ...options });
}

test('H2-01 H2-06 PROXY-03 SOCKS-05: HTTP/2 by ALPN in a tunnel of every kind; many requests share one', async (t) => {
  const { proxies, server } = await setting(t);
  for (const [nth, proxy] of proxies.entries()) {
    const manager = h2(t, proxy);
    const first = await manager.request('GET', 'https://s.test/echo');
    t.like(first.connection, { protocol: 'h2', proxy });
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, at) => manager.request('POST', 'https://s.test/echo', { body: `body ${at}` })),
    );
    for (const [at, response] of answers.entries()) {
      t.is(response.json<{ body: string }>().body, `body ${at}`);
      t.is(response.connection?.id, first.connection?.id);
    }
    t.is(server.connections, nth + 1, proxy);
    const { headers } = first.json<{ headers: Record<string, string> }>();
    t.is(headers[':authority'], 's.test');
    t.deepEqual(
      Object.keys(headers).filter((name) => /proxy|^host$/.test(name)),
      [],
    );
  }
});

test('H2-06 PROXY-03: an origin that has no HTTP/2 chooses HTTP/1.1 through a tunnel', async (t) => {
  const { proxies } = await setting(t, 'https');
  for (const proxy of proxies) {
    const { connection } = await h2(t, proxy).request('GET', 'https://s.test/echo');
    t.like(connection, { protocol: 'http/1.1', proxy });
  }
});

test('H2-06 PROXY-02 PROXY-05: a proxy that is handed requests speaks HTTP/1.1, whatever the pool may speak', async (t) => {
  const { plain, secure } = await setting(t, 'https');
  const options = { proxyConfig: { useForwardingForHttps: true, tls: { caCertData: ca.pem } } };
  for (const http2 of [true, 'prior-knowledge'] as const) {
    const { connection } = await h2(t, secure.url, { http2, ...options }).request('GET', 'https://s.test/echo');
    t.like(connection, { protocol: 'http/1.1', tls: null });
    // The origin speaks TLS: the proxy says so. What it was asked is what matters.
    for (const proxy of [plain, secure]) {
      await h2(t, proxy.url, { http2 }).request('GET', 'http://h.test/echo');
      t.is(String(proxy.asked.at(-1)), 'GET http://h.test/echo');
      t.is(proxy.asked.at(-1)?.version, '1.1');
      t.deepEqual(proxy.malformed, []);
    }
  }
  t.true(secure.tls?.shaken.every(({ alpn }) => alpn === 'http/1.1'));
});

test('H2-06 SOCKS-02: HTTP/2 by prior knowledge through SOCKS', async (t) => {
  const { socks } = await setting(t, 'h2c');
  for (const scheme of ['socks5h', 'socks4a'] as const) {
    const manager = h2(t, socks.url(scheme), { http2: 'prior-knowledge' });
    const response = await manager.request('POST', 'http://h.test/echo', { body: 'whole' });
    t.like(response.connection, { protocol: 'h2', tls: null });
    t.is(response.json<{ body: string }>().body, 'whole');
  }
});

test('H2-06 PROXY-03: bodies both ways, trailers and redirects over HTTP/2 in a tunnel', async (t) => {
  const { proxies } = await setting(t);
  for (const proxy of proxies) {
    const manager = h2(t, proxy, { retries: 3 });
    t.is((await manager.request('GET', 'https://s.test/bytes/3000000')).data.length, 3_000_000);
    const up = 'x'.repeat(1_000_000);
    const echo = await manager.request('PUT', 'https://s.test/echo', { body: up });
    t.is(echo.json<{ body: string }>().body.length, up.length);
    const moved = await manager.request('GET', `https://s.test/to/302/echo`);
    t.is(moved.url, 'https://s.test/echo');
    t.is((await manager.request('GET', 'https://s.test/trailers')).trailers?.get('x-sum'), '6');
    const streamed = await manager.request('GET', 'https://s.test/bytes/5000000', { preloadContent: false });
    let length = 0;
    for await (const piece of streamed) length += piece.length;
    t.is(length, 5_000_000);
  }
});

test('PROXY-03 H2-05: a tunnel with streams that died is dialled again', async (t) => {
  const { plain, secure } = await setting(t);
  for (const proxy of [plain, secure]) {
    const manager = h2(t, proxy.url, { retries: 3 });
    for (let round = 1; round <= 3; round += 1) {
      const answers = await Promise.all(Array.from({ length: 5 }, () => manager.request('GET', 'https://s.test/echo')));
      t.deepEqual([...new Set(answers.map(({ connection }) => connection?.protocol))], ['h2']);
      t.is(proxy.tunnels.length, round);
      await proxy.cut();
    }
  }
});

test('PROXY-10 H2-05: while nobody knows what a peer speaks, a refusal is each caller’s own, and none hangs', async (t) => {
  const { plain } = await setting(t);
  const refuses = saying(() => ['HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n'], 'mine');
  let refusing = true;
  const proxy = await proxied(t, {
    routes: { 's.test:443': (await setting(t)).server.port },
    manner: (asked, socket) => (refusing ? refuses(asked, socket) : 'serve'),
  });
  const manager = h2(t, proxy.url);
  const failed = Array.from({ length: 30 }, () => rejection(manager.request('GET', 'https://s.test/echo'), ProxyError));
  for (const error of await Promise.all(failed)) t.is(error.status, 503);
  refusing = false;
  const answers = await Promise.all(Array.from({ length: 30 }, () => manager.request('GET', 'https://s.test/echo')));
  t.is(new Set(answers.map(({ connection }) => connection?.id)).size, 1);
  t.is(plain.asked.length, 0);
});

test('THR-323 THR-710: streams to one origin through two proxies, or with other credentials, are on connections of their own', async (t) => {
  const { plain, secure, socks, server } = await setting(t);
  const manager = through(t, null, { http2: true });
  const proxies = [
    plain.url,
    plain.url.replace('//', '//a:b@'),
    secure.url,
    socks.url('socks5h'),
    socks.url('socks5h', 'a:b'),
  ];
  const answers = await Promise.all(
    [...proxies, ...proxies].map((proxy) => manager.request('GET', 'https://s.test/echo', { proxy })),
  );
  t.is(new Set(answers.map(({ connection }) => connection?.id)).size, proxies.length);
  for (const [nth, { connection }] of answers.entries()) {
    t.is(connection?.id, answers[(nth + proxies.length) % answers.length]?.connection?.id);
  }
  t.is(server.connections, proxies.length);
});

test('PROXY-03: a bare pool that speaks HTTP/2 through a proxy, warmed', async (t) => {
  const { plain } = await setting(t);
  const pool = new HTTPSConnectionPool('s.test', {
    proxy: plain.url,
    http2: true,
    caCertData: ca.pem,
    retries: false,
    maxsize: 2,
  });
  t.teardown(() => pool.close({ timeout: 0 }));
  await pool.warm(1);
  t.is(plain.tunnels.length, 1);
  const { connection } = await pool.request('GET', '/echo');
  t.like(connection, { protocol: 'h2', proxy: plain.url });
  t.is(plain.tunnels.length, 1);
});

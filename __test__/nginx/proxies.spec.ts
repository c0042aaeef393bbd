/**
 * One table of what requests have to be through proxies that others made: squid and tinyproxy, which forward and make tunnels,
 * and Dante, microsocks and `ssh -D`, which speak SOCKS. Each with plain HTTP, HTTP/1.1 over TLS and HTTP/2 behind it.
 */
import { createHash } from 'node:crypto';
import test from 'ava';

import { HTTPError, ProxyError, Retry, type HTTPResponse, type PoolManager } from '../../index.ts';
import type { Echo } from '../servers/backend.ts';
import { BLOCK, blockAt, Follower } from '../servers/pattern.ts';
import { rejection } from '../support/fixtures.ts';
import { behind, isSocks, keeps, managed, origin, ROUTES, speaking, WAYS } from '../support/installed.ts';
import { until } from '../support/street.ts';

const MIB = 1024 * 1024;

for (const way of WAYS) {
  const { route, target, forwards, name } = way;
  const ids = isSocks(route)
    ? `SOCKS-02 SOCKS-03${target === 'http' ? '' : ' SOCKS-05'}`
    : forwards
      ? 'PROXY-02 PROXY-07 THR-701'
      : 'PROXY-03 PROXY-07 THR-701 THR-703';

  test.serial(`${ids} what was asked for arrives, and nothing of the proxy's: ${name}`, async (t) => {
    const at = await origin(t, target);
    const { manager, proxy, url } = await behind(t, route, speaking(way));
    for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
      const body = method === 'POST' || method === 'PUT' ? { body: 'a body' } : {};
      const response = await manager.request(method, at('/echo?a=%20b'), { ...body, headers: { 'x-mine': '1' } });
      const echo = response.json<Echo>();
      t.deepEqual([response.status, echo.method, echo.target], [200, method, '/echo?a=%20b']);
      t.is(echo.length, 'body' in body ? 6 : 0);
      t.is(echo.headers['host'], new URL(at('/')).host);
      t.is(echo.headers['x-mine'], '1');
      t.is(echo.headers['proxy-authorization'], undefined);
      t.is(echo.headers['proxy-connection'], undefined);
      t.is(echo.headers['via'] !== undefined, forwards, 'a proxy that forwards says so');
      t.is(response.version, target === 'h2' ? 20 : 11);
      const { connection, timings } = response;
      t.is(connection?.proxy, `${route.scheme}://127.0.0.1:${proxy.port}`);
      t.is(connection?.remotePort, proxy.port);
      t.is(connection?.tls === null, target === 'http', 'of TLS with the origin');
      if (!connection?.reused) t.is((timings?.proxy ?? 0) > 0, !forwards || route.scheme === 'https');
    }
    t.false(JSON.stringify(manager).includes(new URL(url).password || 'no password'));
  });

  test.serial(
    `PROXY-02 PROXY-03 connections are kept${keeps(way) ? '' : ' as long as the proxy does'}: ${name}`,
    async (t) => {
      const at = await origin(t, target);
      const { manager, proxy } = await behind(t, route, {
        http2: target === 'h2',
        retries: keeps(way) ? false : 1,
      });
      for (let turn = 1; turn <= 20; turn += 1) {
        const response = await manager.request('GET', at('/echo'));
        t.deepEqual([response.status, response.connection?.remotePort], [200, proxy.port]);
        if (keeps(way)) t.is(response.connection?.reused, turn > 1);
      }
      const { opened, requests, errors } = manager.stats();
      t.deepEqual([requests, errors], [20, {}]);
      if (keeps(way)) t.is(opened, 1);
      const [pool, ...others] = manager.pools;
      t.is(others.length, 0);
      if (keeps(way)) t.is(pool?.numConnections, 1);
    },
  );

  test.serial(`1 MiB goes, whole and in pieces: ${name}`, async (t) => {
    const at = await origin(t, target);
    const { manager, proxy } = await behind(t, route, speaking(way));
    const blocks = Array.from({ length: MIB / BLOCK }, (_, nth) => blockAt(9, nth * BLOCK));
    const whole = Buffer.concat(blocks);
    const sha256 = createHash('sha256').update(whole).digest('hex');
    for (const body of [whole, blocks]) {
      const echo = (await manager.request('POST', at('/echo'), { body })).json<Echo>();
      t.deepEqual([echo.length, echo.sha256], [MIB, sha256]);
    }
    const back = await manager.request('POST', at('/back'), { body: whole });
    t.is(back.connection?.remotePort, proxy.port);
    t.true(back.data.equals(whole));
  });

  test.serial(`8 MiB come, piece by piece: ${name}`, async (t) => {
    const at = await origin(t, target);
    const { manager, proxy } = await behind(t, route, speaking(way));
    for (const framing of ['', '?chunked']) {
      const response = await manager.request('GET', at(`/pattern/5/${8 * MIB}${framing}`), { preloadContent: false });
      t.is(response.connection?.remotePort, proxy.port);
      const follower = new Follower(5);
      for await (const piece of response) follower.take(piece);
      t.deepEqual([follower.at, follower.wrong], [8 * MIB, 0]);
    }
    if (keeps(way)) t.is(manager.stats().opened, 1);
  });

  test.serial(`200 requests at once have their own answers: ${name}`, async (t) => {
    const at = await origin(t, target);
    const { manager, proxy } = await behind(t, route, { ...speaking(way), maxsize: 20, block: true });
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, nth) => {
        const response = await manager.request('POST', at('/back'), {
          body: `number ${nth}`,
        });
        const isThrough = response.connection?.remotePort === proxy.port;
        return [response.status, response.text() === `number ${nth}`, isThrough].join(' ');
      }),
    );
    t.deepEqual(new Set(answers), new Set(['200 true true']));
    const { leased, waiting, opened } = manager.stats();
    t.deepEqual([leased, waiting], [0, 0]);
    if (keeps(way)) t.true(opened <= 20, `${opened} connections`);
  });

  test.serial(`PROXY-23 redirects lead through the proxy too, to other schemes as well: ${name}`, async (t) => {
    const [at, elsewhere] = [await origin(t, target), await origin(t, target === 'http' ? 'https' : 'http')];
    const { manager, proxy } = await behind(t, route, speaking(way));
    const wanted = elsewhere('/echo?there');
    const response = await manager.request('GET', at(`/to?${encodeURIComponent(wanted)}`), { retries: 3 });
    t.is(response.json<Echo>().target, '/echo?there');
    t.is(response.url, wanted);
    t.is(response.connection?.remotePort, proxy.port);
    t.is(response.json<Echo>().headers['proxy-authorization'], undefined);
  });

  test.serial(
    `what an origin answers is the origin's, and is asked for again where it is told to: ${name}`,
    async (t) => {
      const at = await origin(t, target);
      const { manager, proxy } = await behind(t, route, speaking(way));
      const plain = await manager.request('GET', at('/status/503'));
      t.deepEqual([plain.status, plain.text()], [503, 'a 503']);
      const retries = new Retry({ total: 3, statusForcelist: [503], backoffFactor: 0 });
      const later = await manager.request('GET', at(`/flaky/${name.replaceAll(/\W/g, '-')}/2`), { retries });
      t.deepEqual([later.status, later.text(), later.attempts], [200, 'after 2', 3]);
      t.is(later.connection?.remotePort, proxy.port);
    },
  );

  test.serial(
    `THR-1206 a proxy that dies costs what it carried, and what comes while it is away: ${name}`,
    async (t) => {
      const heard: string[] = [];
      const at = await origin(t, target, { heard: (path) => void heard.push(path) });
      const { manager, proxy, url } = await behind(t, route, speaking(way));
      const begun = await manager.request('GET', at('/begun'), { preloadContent: false });
      const waits = manager.request('POST', at('/never'), { body: 'once', timeout: { read: 20_000 } });
      const ends = rejection(waits, HTTPError);
      await until(() => heard.includes('/never'), '/never');
      await proxy.kill();
      const error = await ends;
      t.is(error.code, 'ERR_PROTOCOL', error.message);
      t.is(error.phase, 'headers');
      t.true(error.sent, 'the origin may have done it');
      const cut = await rejection(begun.read(), HTTPError);
      t.is(cut.code, 'ERR_INCOMPLETE_READ', cut.message);
      const away = await rejection(manager.request('GET', at('/echo')), HTTPError);
      if (isSocks(route)) {
        t.is(away.code, 'ECONNREFUSED');
      } else {
        t.true(away instanceof ProxyError);
        t.is((away as ProxyError).originalError?.name, 'NewConnectionError');
      }
      t.false(away.sent ?? false);
      t.regex(away.message, new RegExp(`127\\.0\\.0\\.1:${proxy.port}`));
      t.false(away.message.includes(decodeURIComponent(new URL(url).password) || 'no password'));
      // Others go on, and so does who asks another proxy.
      const other = await route.start();
      t.teardown(() => other.close());
      const next = managed(t, route, url.replace(String(proxy.port), String(other.port)), speaking(way));
      t.is((await next.request('GET', at('/echo'))).status, 200);
      settled(manager);
    },
  );
}

test.serial('PROXY-04 SOCKS-02 an origin of IPv6 through each proxy that can', async (t) => {
  for (const target of ['http', 'https'] as const) {
    const at = await origin(t, target, { host: '::1' }, '[::1]');
    for (const route of ROUTES) {
      const { manager } = await behind(t, route);
      const asked = manager.request('GET', at('/echo'));
      if (route.scheme === 'socks4' || route.scheme === 'socks4a') {
        const error = await rejection(asked, HTTPError);
        t.is(error.code, 'ERR_CONNECT', route.name);
        t.regex(error.message, /SOCKS4 knows no IPv6/);
        continue;
      }
      const response: HTTPResponse = await asked;
      t.is(response.json<Echo>().headers['host'], new URL(at('/')).host, route.name);
    }
  }
});

test.serial("PROXY-02 SOCKS-02 a name of IPv6 is the resolver's affair, here or there", async (t) => {
  const at = await origin(t, 'http', { host: '::1' }, 'six.test');
  for (const route of ROUTES.filter(({ scheme }) => scheme !== 'socks4')) {
    const { manager } = await behind(t, route);
    t.is((await manager.request('GET', at('/echo'))).status, 200, route.name);
  }
});

test.serial('THR-710 one manager has all of them, each request through its own', async (t) => {
  const [plain, secure] = [await origin(t, 'http'), await origin(t, 'https')];
  const all = await Promise.all(ROUTES.map((route) => behind(t, route)));
  const { manager } = all[ROUTES.findIndex(({ scheme }) => scheme === 'socks5h')] as { manager: PoolManager };
  const seen = new Set<string>();
  for (let turn = 1; turn <= 3; turn += 1) {
    await Promise.all(
      all.flatMap(({ proxy, url }, nth) => {
        // Whoever leaves names to the proxy has a resolver that fails.
        if (ROUTES[nth]?.scheme === 'socks4' || ROUTES[nth]?.scheme === 'socks5') return [];
        return [plain, secure].map(async (at) => {
          const retries = ROUTES[nth]?.make === 'tinyproxy' ? 1 : false;
          const response = await manager.request('GET', at('/echo'), { proxy: url, retries });
          t.is(response.connection?.remotePort, proxy.port);
          t.is(response.json<Echo>().headers['proxy-authorization'], undefined);
          seen.add(response.connection?.proxy ?? '');
        });
      }),
    );
  }
  t.is(seen.size, ROUTES.filter(({ scheme }) => scheme !== 'socks4' && scheme !== 'socks5').length);
  const direct = plain('/echo').replace('ferro.test', '127.0.0.1');
  t.is((await manager.request('GET', direct, { proxy: false })).connection?.proxy, null);
});

function settled(manager: PoolManager): void {
  const { leased, waiting, opened, closed, idle } = manager.stats();
  if (leased !== 0 || waiting !== 0 || opened !== closed + idle) {
    throw new Error(`not settled: ${JSON.stringify({ leased, waiting, opened, closed, idle })}`);
  }
}

/**
 * Behind a proxy that passes requests on all hosts share one pool; yet whatever is about a host is about that host, and not
 * about its proxy: redirects, what is taken off with them, cookies, manners, and who an error is about.
 */
import test from 'ava';

import { HTTPError, MaxRetryError, Retry, type PoolManagerOptions } from '../index.ts';
import { saying, type Asked } from './servers/proxy.ts';
import { clocked, within } from './support/clocked.ts';
import { rejection } from './support/fixtures.ts';
import { namesIn, origins, proxied, through, toldBy } from './support/proxied.ts';

const to = (location: string, status = 302): string => `/to/${status}/${encodeURIComponent(location)}`;

for (const [what, own] of Object.entries({ http: {}, https: { tls: {} } })) {
  test(`REDIR-05 THR-601 PROXY-23: what is an origin’s is taken off on the way to another, though both are one ${what} proxy’s`, async (t) => {
    const { routes, asked } = await origins(t);
    const proxy = await proxied(t, { ...own, routes });
    const manager = through(t, proxy.url, { retries: 5 });
    const headers = { Authorization: 'mine', Cookie: 'a=b', 'X-Kept': '1' };
    for (const [location, kept] of [
      ['/end', true],
      ['/end?q#f', true],
      ['http://h.test/end', true],
      ['http://h.test:80/end', true],
      ['http://other.test/end', false],
      ['//other.test/end', false],
      ['https://s.test/end', false],
    ] as const) {
      asked.splice(0);
      const response = await manager.request('GET', `http://h.test${to(location)}`, { headers });
      t.is(response.status, 200, location);
      t.is(asked.length, 2);
      const names = namesIn(asked[1] ?? { lines: [] });
      t.deepEqual(
        ['authorization', 'cookie', 'x-kept'].filter((name) => names.includes(name)),
        kept ? ['authorization', 'cookie', 'x-kept'] : ['x-kept'],
        location,
      );
      t.like(response.retries?.history[0], { status: 302, redirectLocation: location });
    }
  });
}

test('REDIR-04 PROXY-02: a relative Location is about the host that was asked for', async (t) => {
  const { routes } = await origins(t);
  const proxy = await proxied(t, { routes });
  const manager = through(t, proxy.url, { retries: 5 });
  const response = await manager.request('GET', `http://other.test${to('/end?a=b')}`);
  t.is(response.url, 'http://other.test/end?a=b');
  t.is(String(proxy.asked.at(-1)), 'GET http://other.test/end?a=b');
  t.deepEqual(proxy.asked.at(-1)?.all('host'), ['other.test']);
  const seeOther = await manager.request('POST', `http://other.test${to('/end', 303)}`, { body: 'gone' });
  t.like(toldBy(seeOther), { method: 'GET', body: '' });
  // Not followed: as it came.
  const left = await manager.request('GET', `http://other.test${to('/end')}`, { redirect: false });
  t.is(left.status, 302);
});

test('PROXY-02: cookies, and whoever waits before an attempt, hear of the origin’s URL, and not of the proxy’s', async (t) => {
  const { routes } = await origins(t);
  const sets = saying(() => ['HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n'], 'mine');
  const heard: string[] = [];
  const options: PoolManagerOptions = {
    jar: {
      getCookieString: (url) => (heard.push(`asked ${url}`), `of=${new URL(url).hostname}`),
      setCookie: (line, url) => heard.push(`told ${url} ${line}`),
    },
    beforeAttempt: ({ method, url }) => void heard.push(`${method} ${url}`),
  };
  const proxy = await proxied(t, { routes, manner: sets });
  const manager = through(t, proxy.url, options);
  for (const url of ['http://h.test/a?b', 'http://other.test/']) await manager.request('GET', url);
  t.deepEqual(heard, [
    'asked http://h.test/a?b',
    'GET http://h.test/a?b',
    'told http://h.test/a?b a=1',
    'asked http://other.test/',
    'GET http://other.test/',
    'told http://other.test/ a=1',
  ]);
  t.deepEqual(
    proxy.asked.map((one) => one.all('cookie').join()),
    ['of=h.test', 'of=other.test'],
  );
});

test('THR-1213: a host that wants to be left alone is, and others behind the same proxy are not', async (t) => {
  const { routes } = await origins(t);
  let busy = true;
  const wait = saying(
    () => ['HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'],
    'mine',
  );
  const paused: string[] = [];
  const proxy = await proxied(t, {
    routes,
    manner: (asked: Asked, socket) => (busy && asked.target.includes('//h.test') ? wait(asked, socket) : 'serve'),
  });
  const manager = through(t, proxy.url, { pauseOn: [503], onPause: (host) => paused.push(host), retries: false });
  // Before the pause begins: this thread may hear of it late.
  const began = performance.now();
  t.is((await manager.request('GET', 'http://h.test/')).status, 503);
  busy = false;
  t.deepEqual(paused, ['h.test:80']);
  const held = manager.request('GET', 'http://h.test/').then(() => performance.now() - began);
  t.is((await manager.request('GET', 'http://other.test/')).status, 200);
  const other = performance.now() - began;
  const took = await held;
  t.true(took >= 2_900, `${took} ms`);
  t.true(other < took, `${other} of ${took} ms`);
});

clocked('THR-1213: a rate is one of each host, not of their proxy', async (t) => {
  const { routes } = await origins(t);
  const proxy = await proxied(t, { routes });
  const manager = through(t, proxy.url, { rate: 2 });
  const began = performance.now();
  const at: Record<string, number> = {};
  await Promise.all(
    ['h.test', 'other.test', 'third.test'].map(async (host) => {
      // A burst of a second's, and one more.
      for (let nth = 0; nth < 3; nth += 1) await manager.request('GET', `http://${host}/`);
      at[host] = performance.now() - began;
    }),
  );
  for (const [host, took] of Object.entries(at)) within(t, took >= 480 && took < 2_500, `${host} ${took} ms`);
});

test('PROXY-02 PROXY-13: an error of a request that a proxy was handed names the origin and its pool', async (t) => {
  const { routes } = await origins(t);
  const proxy = await proxied(t, { routes, manner: saying(() => ['nonsense\r\n\r\n'], 'mine') });
  const manager = through(t, proxy.url);
  const error = await rejection(manager.request('GET', 'http://h.test:8080/a?secret'), HTTPError);
  t.like(error, { host: 'h.test:8080', phase: 'headers' });
  const spent = await rejection(
    manager.request('GET', 'http://h.test/a', { retries: new Retry({ total: 1, backoffFactor: 0 }) }),
    MaxRetryError,
  );
  t.is(String(spent.pool), "HTTPConnectionPool(host='h.test', port=80)");
  t.is(spent.url, 'http://h.test/a');
  t.is(spent.history?.[0]?.url, 'http://h.test/a');
});

test('PROXY-02: a query, an asterisk and odd paths are handed over as they would be sent', async (t) => {
  const { routes, asked } = await origins(t);
  const proxy = await proxied(t, { routes });
  const manager = through(t, proxy.url);
  for (const [method, url, fields, target] of [
    ['GET', 'http://h.test/q', { a: 'b c', d: 'ä' }, '/q?a=b+c&d=%C3%A4'],
    ['GET', 'http://h.test?x', null, '/?x'],
    ['GET', 'http://h.test/a b', null, '/a%20b'],
    ['GET', 'http://h.test//double', null, '//double'],
    ['GET', 'http://h.test/http://other.test/', null, '/http://other.test/'],
    ['OPTIONS', 'http://h.test/*', null, '/*'],
  ] as const) {
    await manager.request(method, url, { fields });
    t.is(asked.at(-1)?.target, target);
    t.is(String(proxy.asked.at(-1)), `${method} http://h.test${target}`);
  }
  // A zone is this machine's business (RFC 6874, 1).
  await manager.request('GET', 'http://[fe80::1%25lo]/');
  t.is(String(proxy.asked.at(-1)), 'GET http://[fe80::1]/');
});

/** Requests through a manager: where they go, what is sent, what it counts, and how it ends. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { networkInterfaces } from 'node:os';
import { inspect } from 'node:util';
import test from 'ava';

import {
  connectionFromUrl,
  HTTPConnectionPool,
  HTTPHeaderDict,
  PoolManager,
  type HTTPResponse,
  type Settled,
} from '../index.ts';
import { httpServer } from './servers/http.ts';
import { rawServer, reply } from './servers/raw.ts';
import { target } from './support/fixtures.ts';
import { balanced, managed, Street, sum, until } from './support/street.ts';
import { clocked, within } from './support/clocked.ts';

const get = (manager: PoolManager, url: string, options = {}): Promise<HTTPResponse> =>
  manager.request('GET', url, options);

test('MGR-03: an absent port is the scheme’s, port 0 is kept', (t) => {
  const manager = managed(t);
  t.is(manager.connectionFromHost('a').port, 80);
  t.is(manager.connectionFromUrl('http://a').port, 80);
  t.is(manager.connectionFromUrl('http://a:8080').port, 8080);
  t.is(manager.connectionFromUrl('http://a:0').port, 0);
  t.is(manager.connectionFromHost('a', { port: 0 }).port, 0);
  t.is(manager.connectionFromContext({ host: 'a', port: 0 }).port, 0);
  t.not(manager.connectionFromHost('a', { port: 0 }), manager.connectionFromHost('a'));
});

test('MGR-03: a request without a port goes to 80', async (t) => {
  const server = await httpServer((request, response) => response.end(request.headers.host));
  t.teardown(() => server.close());
  const manager = managed(t, { resolve: { 'name.test:80': `127.0.0.1:${server.port}` } });
  t.is((await get(manager, 'http://name.test/')).text(), 'name.test');
  t.is((await get(manager, 'http://name.test:80/')).text(), 'name.test');
  t.is(manager.stats().opened, 1);
});

test('MGR-03: no host is a LocationValueError, a scheme without pools URLSchemeUnknown', async (t) => {
  const manager = managed(t);
  const none = { name: 'LocationValueError', message: 'No host specified.' };
  for (const [url, shown] of [
    ['http://', 'http://'],
    ['http:///path', 'http:///path'],
    ['http://@', 'http://'],
    ['http://user:hunter2@/?hunter2', 'http:///'],
  ] as const) {
    const error = await t.throwsAsync(get(manager, url));
    t.like(error, { ...none, message: `No host specified. ('${shown}')` }, url);
    t.throws(() => manager.connectionFromUrl(url), none, url);
  }
  for (const host of ['', null, undefined]) t.throws(() => manager.connectionFromHost(host as string), none);
  const unknown = { name: 'URLSchemeUnknown', message: /^Not supported URL scheme '?ftp/ };
  t.like(await t.throwsAsync(get(manager, 'ftp://localhost/')), { name: 'URLSchemeUnknown', sent: false });
  t.throws(() => manager.connectionFromUrl('ftp://localhost/'), unknown);
  t.throws(() => manager.connectionFromHost('localhost', { scheme: 'ftp' }), unknown);
  t.throws(() => manager.connectionFromContext({ scheme: 'ftp', host: 'localhost' }), unknown);
  t.is(manager.pools.size, 0);
  t.is(manager.stats().opened, 0);
});

test('URL-16 WART-19: a URL without a scheme is refused, not guessed to be http', async (t) => {
  const manager = managed(t);
  for (const url of ['localhost/', 'localhost:8080/', '127.0.0.1:80', '//localhost/', '/path', '[::1]:80/', '?q', '']) {
    const refused = await t.throwsAsync(get(manager, url));
    t.true(
      ['LocationValueError', 'URLSchemeUnknown', 'LocationParseError'].includes(refused?.name ?? ''),
      `${url}: ${refused?.name}`,
    );
    t.throws(() => manager.connectionFromUrl(url), undefined, url);
  }
  const refused = { name: 'LocationValueError', message: /scheme/ };
  t.throws(() => manager.connectionFromUrl('//localhost/'), refused);
  t.throws(() => manager.connectionFromUrl('/path'), refused);
  t.regex((await t.throwsAsync(get(manager, '//localhost/')))?.message ?? '', /scheme/);
  t.is(manager.pools.size, 0);
});

test('POOL-24: connectionFromUrl: absent scheme is http, an absent port is shown, port 0 stays 0', (t) => {
  for (const [url, host, port] of [
    ['http://localhost:0', 'localhost', 0],
    ['http://localhost/', 'localhost', 80],
    ['localhost', 'localhost', 80],
    ['//localhost:8080', 'localhost', 8080],
    ['HTTP://LOCALHOST:81/a?b', 'localhost', 81],
    ['[::1]', '::1', 80],
  ] as const) {
    const pool = connectionFromUrl(url);
    t.true(pool instanceof HTTPConnectionPool);
    t.like(pool, { host, port, scheme: 'http' }, url);
  }
  t.is(connectionFromUrl('http://a:81/', { port: 82, maxsize: 3 }).port, 82);
  t.throws(() => connectionFromUrl('ftp://a/'), { name: 'URLSchemeUnknown' });
  t.throws(() => connectionFromUrl('http://'), { name: 'LocationValueError', message: 'No host specified.' });
  t.throws(() => connectionFromUrl('http://a/', null as never), { instanceOf: TypeError });
});

test('MGR-10 REQ-12: the target is the parsed path and query, never in absolute form', async (t) => {
  const server = await rawServer(async (peer) => {
    for (;;) await peer.write(reply(target(await peer.request())));
  });
  t.teardown(() => server.close());
  const manager = managed(t);
  for (const [given, sent] of [
    ['', '/'],
    ['/', '/'],
    ['?q=1', '/?q=1'],
    ['#fragment', '/'],
    ['/echo_uri?q=1#fragment', '/echo_uri?q=1'],
    ['/echo_uri?#', '/echo_uri?'],
    ['/echo_uri#?', '/echo_uri'],
    ['/echo_uri#?#', '/echo_uri'],
    ['/echo_uri??#', '/echo_uri??'],
    // A valid escape stays as it came: a signature may have been made over it. (urllib3 writes %3F.)
    ['/echo_uri?%3f#', '/echo_uri?%3f'],
    ['/echo_uri?%3F#', '/echo_uri?%3F'],
    ['/echo_uri?[]', '/echo_uri?%5B%5D'],
    ['/a/./b/../c', '/a/c'],
    ['/../x', '/x'],
    ['/ä b', '/%C3%A4%20b'],
    ['/http://other.test/', '/http://other.test/'],
  ] as const) {
    t.is((await get(manager, `http://127.0.0.1:${server.port}${given}`)).text(), sent, given);
  }
  const fields = { fields: { a: '1' } };
  t.is((await get(manager, `http://127.0.0.1:${server.port}/x?b#c`, fields)).text(), '/x?b&a=1');
  t.is(server.peers.length, 1);
});

test('REQ-10: headers merged by hand keep every line, and the manager’s own stay', async (t) => {
  const server = await rawServer(async (peer) => {
    for (;;) await peer.write(reply((await peer.request()).toLowerCase()));
  });
  t.teardown(() => server.close());
  const headers = new HTTPHeaderDict([
    ['Cookie-Like', 'one'],
    ['Cookie-Like', 'two'],
  ]);
  const manager = managed(t, { headers });
  const url = `http://127.0.0.1:${server.port}/`;
  const merged = manager.headers.union({ 'Cookie-Like': 'three', 'X-Extra': 'more' });
  const sent = (await get(manager, url, { headers: merged })).text();
  for (const line of ['cookie-like: one\r\n', 'cookie-like: two\r\n', 'cookie-like: three\r\n', 'x-extra: more\r\n']) {
    t.true(sent.includes(line), line);
  }
  t.deepEqual(manager.headers.getAll('cookie-like'), ['one', 'two']);
  t.deepEqual(headers.getAll('cookie-like'), ['one', 'two']);
  // A copy: what is done to it is done to nobody else.
  manager.headers.set('x-mine', '1');
  headers.set('x-late', '1');
  const plain = (await get(manager, url)).text();
  t.true(plain.includes('cookie-like: one\r\n') && plain.includes('cookie-like: two\r\n'));
  t.false(plain.includes('x-'), plain);
  // What a request brings stands in place of the manager's.
  t.false((await get(manager, url, { headers: {} })).text().includes('cookie-like'));
});

test('WART-20: compression is asked for only by acceptEncoding', async (t) => {
  const server = await httpServer((request, response) => response.end(request.headers['accept-encoding']));
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${server.port}/`;
  t.is((await get(managed(t), url)).text(), 'identity');
  t.is((await get(managed(t, { acceptEncoding: true }), url)).text(), 'gzip,deflate,br,zstd');
  t.is((await get(managed(t, { acceptEncoding: 'br' }), url)).text(), 'br');
  const manager = managed(t);
  t.is(
    (await manager.connectionFromUrl(url, { acceptEncoding: true }).request('GET', '/')).text(),
    'gzip,deflate,br,zstd',
  );
  t.is((await get(manager, url)).text(), 'identity');
});

test('WART-14 THR-1010: a manager counts sockets and attempts of all its pools, those that are gone too', async (t) => {
  const closing = await httpServer((_, response) => response.setHeader('connection', 'close').end('x'));
  t.teardown(() => closing.close());
  const street = await Street.open(t, 2, 'at once');
  const manager = managed(t, { numPools: 2 });
  const shut = `http://127.0.0.1:${closing.port}/`;
  for (let n = 0; n < 3; n += 1) {
    await get(manager, shut);
    await get(manager, street.url(0));
    await get(manager, street.url(1));
    t.true(balanced(manager.stats()));
  }
  const stats = manager.stats();
  // Of two that are kept each third one pushes the oldest out, so that none is ever used again.
  t.like(stats, { opened: 9, requests: 9, reused: 0, leased: 0, waiting: 0, idle: 2, live: 2 });
  t.is(closing.sockets.length + sum(street.accepted), 9);
  t.is(stats.decodedBytes, 3 * 1 + 6 * 2);
  t.true(stats.wireBytesIn > stats.decodedBytes && stats.wireBytesOut > 0);
  t.is(stats.latency?.total.count, 9);
  t.is(stats.oldestInFlight, null);
  await t.throwsAsync(get(manager, 'http://127.0.0.1:1/', { retries: false }));
  await t.throwsAsync(get(manager, 'nonsense'));
  t.is(sum(Object.values(manager.stats().errors)), 2);
  const pool = manager.connectionFromUrl(shut);
  await pool.request('GET', '/');
  t.deepEqual([pool.numConnections, pool.numRequests], [1, 1]);
  // Calls are timed for all pools together.
  t.is(pool.stats().latency, undefined);
  t.is(manager.stats().latency?.total.count, 10);
});

test('MGR-07 MGR-08: an http URL works whatever is said about https, whose files are looked at when a pool needs them', async (t) => {
  const manager = managed(t, { caCerts: '/no/such/file' });
  const refused = { name: 'SSLError', code: 'ERR_TLS', reason: 'ERR_TLS_CA' };
  t.like(await t.throwsAsync(get(manager, 'https://localhost/')), refused);
  t.like(
    t.throws(() => manager.connectionFromUrl('https://localhost/')),
    refused,
  );
  const street = await Street.open(t, 1, 'at once');
  t.is((await get(manager, street.url(0))).status, 200);
});

test('MGR-11: an option that no manager has is refused at construction', (t) => {
  const type = { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' };
  for (const [options, message] of [
    [{ strict: true }, /'strict'/],
    [{ maxSize: 3 }, /'maxSize'.*maxsize/],
    [{ port: 80 }, /'port'/],
    [{ host: 'a' }, /'host'/],
    [{ numPool: 3 }, /^a manager has no option 'numPool'; did you mean 'numPools'/],
    [{ numPools: '3' }, /numPools/],
    [{ maxTotalConnections: '3' }, /maxTotalConnections/],
    [{ jar: {} }, /jar/],
    [{ beforeAttempt: 1 }, /beforeAttempt/],
    [{ keyFnByScheme: {} }, /'keyFnByScheme'/],
    [null, /a manager takes/],
    [[], /a manager takes/],
    [10, /a manager takes/],
  ] as [never, RegExp][]) {
    t.throws(() => new PoolManager(options), { ...type, message });
  }
  for (const options of [{ numPools: -1 }, { numPools: 1.5 }, { maxTotalConnections: -1 }, { maxsize: 0 }]) {
    t.throws(() => new PoolManager(options), { instanceOf: RangeError, code: 'ERR_INVALID_OPTION' });
  }
  t.throws(() => new PoolManager({ headers: { 'a b': '1' } }), { name: 'InvalidHeader' });
  t.notThrows(() => new PoolManager({ numPools: undefined, maxTotalConnections: undefined, headers: undefined }));
});

test('MGR-14: an IPv6 host works in URLs, whatever its spelling, and a zone is a part of it', async (t) => {
  if (
    !Object.values(networkInterfaces())
      .flat()
      .some((one) => one?.address === '::1')
  ) {
    t.log('this machine has no IPv6 on its loopback');
    t.pass();
    return;
  }
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => response.end(request.headers.host));
  server.listen(0, '::1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as { port: number };
  const manager = managed(t);
  const plain = await get(manager, `http://[::1]:${port}/`);
  t.is(plain.text(), `[::1]:${port}`);
  t.is(plain.connection?.remoteAddress, '::1');
  t.is((await get(manager, `http://[0::0:1]:${port}/`)).connection?.reused, true);
  const pool = manager.connectionFromHost('::1', { port });
  t.is(manager.connectionFromHost('[::1]', { port }), pool);
  t.is(pool.host, '::1');
  t.is((await pool.request('GET', '/')).connection?.reused, true);
  const zoned = manager.connectionFromUrl(`http://[fe80::1%25lo]:${port}/`);
  t.is(zoned.host, 'fe80::1%lo');
  t.is(manager.connectionFromHost('fe80::1%lo', { port }), zoned);
  t.not(manager.connectionFromUrl(`http://[fe80::1]:${port}/`), zoned);
});

test('MGR-01: many hosts at once, each response its own', async (t) => {
  const street = await Street.open(t, 10, 'at once');
  const manager = managed(t, { maxsize: 3 });
  const many = Array.from({ length: 500 }, (_, n) => ({ url: street.url(n % 10, String(n)), tag: `${n % 10}/${n}` }));
  const seen: Settled[] = [];
  for await (const settled of manager.requestMany(many)) seen.push(settled);
  t.is(seen.length, 500);
  for (const settled of seen) {
    t.is(settled.ok ? settled.response.text() : settled.error, (settled.request as { tag: string }).tag);
  }
  t.true(street.accepted.every((accepted) => accepted <= 3));
});

test('MGR-01: requestMany of a manager keeps 64 in flight unless told otherwise, and stops what is left', async (t) => {
  const street = await Street.open(t, 2);
  const manager = managed(t, { maxsize: 200 });
  const endless = (function* () {
    for (let n = 0; ; n += 1) yield street.url(n % 2, String(n));
  })();
  const answers = manager.requestMany(endless);
  const first = answers.next();
  await street.holds(64);
  await until(() => manager.stats().leased === 64, '64 in flight');
  street.next();
  const one = (await first).value as Settled;
  t.true(one.ok);
  await answers.return?.();
  await until(() => manager.stats().leased === 0, 'nothing in flight');
  await until(() => sum(street.open) <= 1, 'what was in flight was cut');
});

test('MGR-01: one host’s failure is that host’s', async (t) => {
  const street = await Street.open(t, 2, 'at once');
  const manager = managed(t, { retries: false });
  const results = await Promise.allSettled([
    get(manager, street.url(0, 'a')),
    get(manager, 'http://127.0.0.1:1/'),
    get(manager, street.url(1, 'b')),
  ]);
  t.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  const { reason } = results[1] as PromiseRejectedResult;
  t.like(reason, { name: 'NewConnectionError', code: 'ECONNREFUSED', host: '127.0.0.1:1' });
});

test('THR-1217 THR-315: servers that end each connection after some requests lose none, through a manager', async (t) => {
  let asked = 0;
  const make = (): Promise<Awaited<ReturnType<typeof rawServer>>> =>
    rawServer(async (peer) => {
      for (let n = 1; n <= 10; n += 1) {
        await peer.request();
        asked += 1;
        const last = n === 10 ? 'Connection: close\r\n' : 'Keep-Alive: timeout=5, max=10\r\n';
        await peer.write(reply('x', `HTTP/1.1 200 OK\r\n${last}`));
      }
      peer.end();
    });
  const servers = await Promise.all([make(), make(), make()]);
  t.teardown(() => Promise.all(servers.map((server) => server.close())));
  const manager = managed(t, { maxTotalConnections: 4, retries: false });
  const calls = Array.from({ length: 900 }, async (_, n) => {
    const response = await get(manager, `http://127.0.0.1:${servers[n % 3]?.port}/`);
    return response.status;
  });
  t.true((await Promise.all(calls)).every((status) => status === 200));
  t.is(asked, 900);
  t.is(manager.stats().requests, 900);
  t.true(balanced(manager.stats()));
});

test('THR-1217: a manager’s own limits on connections hold in each of its pools', async (t) => {
  const street = await Street.open(t, 2, 'at once');
  const manager = managed(t, { maxRequestsPerConnection: 3 });
  for (let n = 0; n < 12; n += 1) await get(manager, street.url(n % 2));
  t.deepEqual(street.accepted, [2, 2]);
  await until(() => manager.stats().live === 0, 'all of them spent');
  const idle = managed(t, { idleTimeout: 40 });
  await get(idle, street.url(0));
  await get(idle, street.url(1));
  await until(() => idle.stats().live === 0, 'idle for too long');
  await until(() => sum(street.open) === 0, 'closed');
});

clocked('POOL-10: close lets idle connections go, leased ones finish or are cut, and reports the sums', async (t) => {
  const street = await Street.open(t, 4);
  const manager = managed(t);
  const idle = [get(manager, street.url(0)), get(manager, street.url(1))];
  await street.holds(2);
  street.next();
  street.next();
  await Promise.all(idle);
  const flying = [get(manager, street.url(0, 'served')), get(manager, street.url(2, 'served'))];
  const cut = [get(manager, street.url(3, 'cut')), get(manager, street.url(2, 'cut'))].map((one) => t.throwsAsync(one));
  await street.holds(4);
  const began = performance.now();
  const closing = manager.close({ timeout: 1_000 });
  await until(() => street.open[1] === 0, 'the idle one closed at once');
  const took = performance.now() - began;
  street.next('0/served');
  street.next('2/served');
  for (const one of await Promise.all(flying)) t.is(one.status, 200);
  const report = await closing;
  t.like(report, { closed: 5, drained: 2, forced: 2 });
  for (const one of await Promise.all(cut)) t.like(one, { name: 'ClosedPoolError' });
  const { opened, closed, idle: left, leased } = manager.stats();
  t.deepEqual([opened, closed, left, leased], [5, 5, 0, 0]);
  within(t, took < 1_000, `${took} ms`);
  within(t, report.elapsed >= 995 && report.elapsed < 4_000, `${report.elapsed} ms`);
});

test('POOL-10: close waits for a pool that was forgotten and is still in use', async (t) => {
  const street = await Street.open(t, 1);
  const manager = managed(t);
  const flying = get(manager, street.url(0));
  await street.holds(1);
  manager.clear();
  let over = false;
  const closing = manager.close().then((report) => {
    over = true;
    return report;
  });
  const again = manager.close();
  await new Promise((resolve) => setImmediate(resolve));
  t.false(over);
  street.next();
  t.is((await flying).status, 200);
  t.like(await closing, { closed: 1, drained: 1, forced: 0 });
  t.like(await again, { forced: 0 });
});

test('POOL-10: close takes a timeout and nothing else', async (t) => {
  const manager = managed(t);
  for (const [options, type] of [
    [{ timeout: -1 }, RangeError],
    [{ timeout: '1' }, TypeError],
    [{ timeOut: 1 }, TypeError],
    [null, TypeError],
  ] as const) {
    await t.throwsAsync(manager.close(options as never), { instanceOf: type });
  }
  // None of that has closed it.
  t.is(manager.connectionFromHost('a').host, 'a');
  t.like(await manager.close({ timeout: 0 }), { closed: 0, drained: 0, forced: 0 });
});

test('POOL-10: what was asked for before close is answered, though no pool of it was there yet', async (t) => {
  const street = await Street.open(t, 2, 'at once');
  const manager = managed(t);
  const calls = [get(manager, street.url(0)), get(manager, street.url(1))];
  const closing = manager.close();
  t.deepEqual(
    (await Promise.all(calls)).map((response) => response.status),
    [200, 200],
  );
  t.like(await closing, { closed: 2, drained: 2, forced: 0 });
});

test('MGR-01: a manager’s text names how many pools it has', async (t) => {
  const manager = managed(t);
  t.is(String(manager), 'PoolManager(pools=0)');
  manager.connectionFromHost('a');
  t.is(inspect(manager), 'PoolManager(pools=1)');
  class Mine extends PoolManager {}
  t.is(String(new Mine()), 'Mine(pools=0)');
});

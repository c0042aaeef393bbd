/**
 * Which pool of a manager a request or a caller is given: what tells pools apart, which of them are kept, and what becomes of
 * one that was forgotten.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';

import {
  connectionFromUrl,
  type HTTPConnectionPool,
  HTTPHeaderDict,
  PoolManager,
  Retry,
  Timeout,
  type PoolKwargs,
  type PoolOptions,
} from '../index.ts';
import type { ProxyOptions } from '../facade/proxy-options.ts';
import { reply } from './servers/raw.ts';
import { managed, Street, sum, until } from './support/street.ts';

test('MGR-01: equal scheme, host, port and settings give the same pool object, whatever the way to it', (t) => {
  const manager = managed(t);
  const pool = manager.connectionFromHost('localhost');
  for (const same of [
    manager.connectionFromHost('LocalHost'),
    manager.connectionFromHost('localhost', { port: 80 }),
    manager.connectionFromHost('localhost', { scheme: 'HTTP', poolKwargs: {} }),
    manager.connectionFromHost('localhost', { port: null, poolKwargs: null }),
    manager.connectionFromHost('localhost', { poolKwargs: { maxsize: 64, block: true } }),
    manager.connectionFromUrl('http://LOCALHOST'),
    manager.connectionFromUrl('HTTP://user:secret@localhost:80/path?query#fragment'),
    manager.connectionFromContext({ host: 'localhost' }),
    manager.connectionFromContext({ scheme: 'http', host: 'LOCALHOST', port: 80, block: true }),
  ]) {
    t.is(same, pool);
  }
  t.is(manager.pools.size, 1);
  t.deepEqual([...manager.pools], [pool]);
  t.like(pool, { host: 'localhost', port: 80, scheme: 'http', maxsize: 64, block: true });
  t.is(String(pool), "HTTPConnectionPool(host='localhost', port=80)");
});

test('MGR-01 MGR-02: another host, port or spelling of the name is another pool', (t) => {
  const manager = managed(t);
  const urls = ['http://localhost', 'http://localhost.', 'http://localhost:81', 'http://127.0.0.1', 'http://[::1]'];
  const pools = urls.map((url) => manager.connectionFromUrl(url));
  t.is(new Set(pools).size, urls.length);
  t.deepEqual(
    pools.map(({ host, port }) => `${host} ${port}`),
    ['localhost 80', 'localhost. 80', 'localhost 81', '127.0.0.1 80', '::1 80'],
  );
  // One spelling for what names one address.
  t.true(manager.connectionFromUrl('http://[0:0:0:0:0:0:0:1]/') === pools[4]);
  t.true(manager.connectionFromUrl('http://2130706433/') === pools[3]);
  t.is(manager.pools.size, urls.length);
});

test('POOL-29: two pools for one URL are two pools; only a manager shares', (t) => {
  const [one, two] = [connectionFromUrl('http://localhost/'), connectionFromUrl('http://localhost/')];
  t.not(one, two);
  const [first, second] = [managed(t), managed(t)];
  t.not(first.connectionFromUrl('http://localhost/'), second.connectionFromUrl('http://localhost/'));
});

/** Another value of every setting of a pool; what is missing here does not compile. */
const flipped = {
  maxsize: 63,
  block: false,
  maxWaiting: 5,
  timeout: 30_000,
  headers: { 'x-mine': '1' },
  acceptEncoding: true,
  localAddress: '127.0.0.2',
  interface: 'lo',
  denyAddresses: ['192.0.2.0/24'],
  unixSocket: 'a socket of the test',
  socketOptions: { noDelay: false },
  keepAlive: true,
  idleTimeout: 60_000,
  maxAge: 60_000,
  maxRequestsPerConnection: 100,
  http2: true,
  lenient: false,
  limits: { headerCount: 100 },
  unreadTimeout: 1_000,
  resolve: { 'other.test': '127.0.0.1' },
  retries: 1,
} satisfies Record<Exclude<keyof PoolOptions, 'port' | 'rate' | 'pauseOn' | 'onPause' | keyof ProxyOptions>, unknown>;

test('MGR-11: what is the whole manager’s, or the pool’s address, is refused in poolKwargs', (t) => {
  const manager = managed(t);
  for (const [name, value] of Object.entries({ port: 81, rate: 10, pauseOn: [503], onPause: () => undefined })) {
    const kwargs = { [name]: value } as PoolKwargs;
    const refused = { instanceOf: TypeError, code: 'ERR_INVALID_OPTION', message: new RegExp(`'${name}'`) };
    t.throws(() => manager.connectionFromUrl('http://h/', kwargs), refused, name);
  }
  t.is(manager.pools.size, 0);
});

for (const [name, value] of Object.entries(flipped)) {
  test(`MGR-01 THR-323: another ${name} is another pool with connections of its own, an equal one the same pool`, async (t) => {
    const street = await Street.open(t, 1, 'at once');
    let there: unknown = value;
    let accepted = (): number => street.accepted[0] ?? 0;
    if (name === 'unixSocket') {
      const folder = mkdtempSync(path.join(tmpdir(), 'ferropool-'));
      there = path.join(folder, 'socket');
      let count = 0;
      const server = net.createServer((socket) => {
        count += 1;
        socket.on('data', () => socket.write(reply('by the socket'))).on('error', () => undefined);
      });
      server.listen(there as string);
      await once(server, 'listening');
      t.teardown(() => {
        server.close();
        rmSync(folder, { recursive: true });
      });
      accepted = () => count + (street.accepted[0] ?? 0);
    }
    const manager = managed(t);
    const plain = manager.connectionFromUrl(street.url(0));
    await plain.request('GET', '/');
    await manager.request('GET', street.url(0));
    t.is(accepted(), 1);
    const poolKwargs = { [name]: there } as PoolKwargs;
    const own = manager.connectionFromUrl(street.url(0), poolKwargs);
    t.not(own, plain);
    t.is((await own.request('GET', '/')).connection?.reused, false);
    t.is(accepted(), 2);
    // Equal by value, not by identity.
    const again = manager.connectionFromUrl(street.url(0), structuredClone(poolKwargs));
    t.is(again, own);
    t.is((await again.request('GET', '/')).connection?.reused, true);
    // The setting removed is the setting not given.
    t.is(manager.connectionFromUrl(street.url(0), { [name]: undefined }), plain);
    t.is((await manager.request('GET', street.url(0))).connection?.reused, true);
    t.is(manager.pools.size, 2);
    // The same as the manager's own setting.
    const other = managed(t, { [name]: there });
    t.is(other.connectionFromUrl(street.url(0), poolKwargs), other.connectionFromUrl(street.url(0)));
    if (name !== 'maxsize' && name !== 'block') {
      t.is(other.connectionFromUrl(street.url(0), { [name]: null }).pool?.maxsize, name === 'maxsize' ? 1 : 64);
      t.is(other.pools.size, 2);
    }
  });
}

test('THR-323: functions and classes tell pools apart by their identity', async (t) => {
  class Mine extends Retry {
    override isRetry(): boolean {
      return false;
    }
  }
  const manager = managed(t);
  const [one, other] = [() => '127.0.0.1', () => '127.0.0.1'];
  const at = (poolKwargs: PoolKwargs): HTTPConnectionPool => manager.connectionFromUrl('http://name.test/', poolKwargs);
  t.is(at({ resolve: one }), at({ resolve: one }));
  t.not(at({ resolve: one }), at({ resolve: other }));
  t.not(at({ resolve: one }), at({}));
  const [mine, yours] = [new Mine({ total: 2 }), new Mine({ total: 2 })];
  t.is(at({ retries: new Retry({ total: 2 }) }), at({ retries: 2 }));
  t.not(at({ retries: mine }), at({ retries: 2 }));
  t.not(at({ retries: mine }), at({ retries: yours }));
  t.is(at({ retries: mine }).retries, mine);
});

test('MGR-06: what a manager was given is what each of its pools has, functions too', async (t) => {
  const street = await Street.open(t, 1, 'at once');
  class Mine extends Retry {
    asked = 0;
    override isRetry(...args: Parameters<Retry['isRetry']>): boolean {
      this.asked += 1;
      return super.isRetry(...args);
    }
  }
  const retries = new Mine({ total: 1 });
  const manager = managed(t, {
    headers: [
      ['X-Mine', 'a'],
      ['X-Mine', 'b'],
    ][Symbol.iterator]() as Iterable<[string, string]>,
    retries,
    timeout: new Timeout({ read: 9_000 }),
    maxsize: 7,
    resolve: () => `127.0.0.1`,
  });
  const host = `name.test:${street.port(0)}`;
  await manager.request('GET', `http://${host}/`);
  const [shelved] = [...manager.pools];
  const pools = [
    shelved,
    manager.connectionFromUrl(`http://${host}`),
    manager.connectionFromUrl(`http://${host}`, { maxsize: 8 }),
  ];
  for (const [at, pool] of pools.entries()) {
    t.is(pool?.retries, retries);
    t.is(pool?.timeout.readTimeout, 9_000);
    t.deepEqual(pool?.headers.getAll('x-mine'), ['a', 'b']);
    t.is(pool?.maxsize, at === 2 ? 8 : 7);
    t.is((await pool?.request('GET', '/'))?.text(), '0/');
  }
  const sent = street.houses[0]?.peers.map((peer) => peer.received.toString()).join('') ?? '';
  t.is(sent.match(/X-Mine: a\r\nX-Mine: b\r\n/g)?.length, 4);
  t.is(sent.match(new RegExp(`Host: ${host}`, 'gi'))?.length, 4);
});

test('MGR-06: poolKwargs merge over the manager’s settings: replace, remove, leave alone', (t) => {
  const headers = new HTTPHeaderDict({ one: '1' });
  const manager = managed(t, { maxsize: 5, timeout: 1_000, headers, idleTimeout: 9_000 });
  const plain = manager.connectionFromHost('a');
  t.like(plain, { maxsize: 5, block: true });
  t.is(plain.timeout.connectTimeout, 1_000);
  const replaced = manager.connectionFromHost('a', { poolKwargs: { maxsize: 6, timeout: { read: 2_000 } } });
  t.like(replaced, { maxsize: 6, block: true });
  t.deepEqual(replaced.timeout.toJSON(), { total: null, connect: null, read: 2_000 });
  t.is(replaced.headers.get('one'), '1');
  const removed = manager.connectionFromUrl('http://a/', { maxsize: null, timeout: null, headers: null, block: null });
  t.like(removed, { maxsize: 1, block: false });
  t.deepEqual(removed.timeout.toJSON(), { total: null, connect: null, read: null });
  t.is(removed.headers.size, 0);
  // An unknown name that is to be removed is ignored, one that is to be set is not.
  t.is(manager.connectionFromHost('a', { poolKwargs: { nonsense: null } as PoolKwargs }), plain);
  t.throws(() => manager.connectionFromHost('a', { poolKwargs: { nonsense: 1 } as PoolKwargs }), {
    instanceOf: TypeError,
    code: 'ERR_INVALID_OPTION',
    message: /'nonsense'/,
  });
  // The manager's own are as they were.
  t.is(manager.connectionFromHost('a'), plain);
  t.like(manager.connectionFromHost('b'), { maxsize: 5, block: true });
  t.is(manager.headers.get('one'), '1');
  t.is(headers.get('one'), '1');
});

test('MGR-06 MGR-11: what no pool has, and what only a manager can decide, is refused', (t) => {
  const manager = managed(t);
  const type = { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' };
  for (const [poolKwargs, message] of [
    [{ port: 81 }, /'port'/],
    [{ numPools: 1 }, /'numPools'/],
    [{ maxTotalConnections: 1 }, /'maxTotalConnections'/],
    [{ strict: true }, /'strict'/],
    [[], /poolKwargs/],
    [7, /poolKwargs/],
  ] as [PoolKwargs, RegExp][]) {
    t.throws(() => manager.connectionFromHost('a', { poolKwargs }), { ...type, message });
  }
  t.throws(() => manager.connectionFromHost('a', { poolKwargs: { maxsize: 0 } }), { instanceOf: RangeError });
  t.throws(() => manager.connectionFromContext({ host: 'a', strict: true } as never), { ...type, message: /'strict'/ });
  for (const context of [null, undefined, 'a']) t.throws(() => manager.connectionFromContext(context as never), type);
  t.throws(() => manager.connectionFromHost('a', { strict: true } as never), type);
  t.throws(() => manager.connectionFromHost('a', { port: 65_536 }), { instanceOf: RangeError });
  t.throws(() => manager.connectionFromHost('a', { port: '80' as never }), type);
  t.is(manager.pools.size, 0);
});

test('MGR-04: the least recently used pool goes for one more, and its idle connections with it', async (t) => {
  const street = await Street.open(t, 4, 'at once');
  const manager = managed(t, { numPools: 3 });
  const pools = [0, 1, 2].map((house) => manager.connectionFromUrl(street.url(house)));
  for (const house of [0, 1, 2]) await manager.request('GET', street.url(house));
  t.deepEqual([...manager.pools], pools);
  // A request is a use, and so is asking for it by name; looking at the list is none.
  await manager.request('GET', street.url(0));
  t.deepEqual([...manager.pools], [pools[1], pools[2], pools[0]]);
  manager.connectionFromUrl(street.url(1));
  t.deepEqual([...manager.pools], [pools[2], pools[0], pools[1]]);
  await manager.request('GET', street.url(3));
  t.is(manager.pools.size, 3);
  t.false([...manager.pools].includes(pools[2] as HTTPConnectionPool));
  await until(() => street.open.join('') === '1101', '2 closed');
  await until(() => manager.stats().closed === 1, 'its end is counted');
  t.like(manager.stats(), { opened: 4, closed: 1, idle: 3 });
});

test('MGR-04: by default a thousand pools are kept', async (t) => {
  const manager = managed(t);
  for (let n = 0; n < 1_003; n += 1) manager.connectionFromHost(`h${n}.test`);
  t.is(manager.pools.size, 1_000);
  const hosts = [...manager.pools].map(({ host }) => host);
  t.deepEqual([hosts[0], hosts.at(-1)], ['h3.test', 'h1002.test']);
});

test('MGR-04: a forgotten pool that somebody holds is usable, and is another one than the manager’s next', async (t) => {
  const street = await Street.open(t, 2, 'at once');
  const manager = managed(t, { numPools: 1 });
  const held = manager.connectionFromUrl(street.url(0));
  t.is((await held.request('GET', '/1')).connection?.reused, false);
  await manager.request('GET', street.url(1));
  await until(() => street.open.join('') === '01', 'its idle connection closed');
  await until(() => held.pool?.idle === 0, 'its end is counted');
  t.deepEqual(held.pool, { idle: 0, leased: 0, waiting: 0, maxsize: 64 });
  t.is((await held.request('GET', '/2')).text(), '0/2');
  t.is((await held.request('GET', '/3')).connection?.reused, true);
  const next = manager.connectionFromUrl(street.url(0));
  t.not(next, held);
  t.is((await next.request('GET', '/4')).connection?.reused, false);
  t.deepEqual([held.numConnections, held.numRequests], [2, 3]);
  t.deepEqual([next.numConnections, next.numRequests], [1, 1]);
  // The manager counts both.
  t.like(manager.stats(), { opened: 4, requests: 5 });
});

test('MGR-04: numPools: 0 keeps none, and everything works', async (t) => {
  const street = await Street.open(t, 2, 'at once');
  const manager = managed(t, { numPools: 0 });
  for (let n = 0; n < 5; n += 1) {
    const response = await manager.request('GET', street.url(n % 2, String(n)));
    t.is(response.text(), `${n % 2}/${n}`);
    t.is(response.connection?.reused, false);
  }
  await until(() => sum(street.open) === 0, 'nothing kept');
  t.is(manager.pools.size, 0);
  t.deepEqual([...manager.pools], []);
  const held = manager.connectionFromUrl(street.url(0));
  t.not(manager.connectionFromUrl(street.url(0)), held);
  await held.request('GET', '/a');
  t.is((await held.request('GET', '/b')).connection?.reused, true);
  t.is(manager.pools.size, 0);
  t.like(manager.stats(), { opened: 6, closed: 5, idle: 1, requests: 7 });
  // Fifty at once.
  const texts = await Promise.all(
    Array.from({ length: 50 }, async (_, n) => (await manager.request('GET', street.url(n % 2, `x${n}`))).text()),
  );
  t.deepEqual(
    texts,
    texts.map((_, n) => `${n % 2}/x${n}`),
  );
  manager.clear();
  await until(() => manager.stats().live === 1, 'only the held one keeps its connection');
  t.is((await held.request('GET', '/c')).connection?.reused, true);
});

test('MGR-05: clear forgets all pools; what is in flight finishes and is not kept, and the manager goes on', async (t) => {
  const street = await Street.open(t, 3);
  const manager = managed(t);
  const idle = manager.request('GET', street.url(2, 'idle'));
  await street.holds(1);
  street.next();
  await idle;
  const flying = [manager.request('GET', street.url(0, 'a')), manager.request('GET', street.url(1, 'b'))];
  await street.holds(2);
  const before = manager.connectionFromUrl(street.url(0));
  manager.clear();
  t.is(manager.pools.size, 0);
  await until(() => street.open.join('') === '110', 'the idle one closed');
  street.release();
  t.deepEqual(
    (await Promise.all(flying)).map((response) => response.text()),
    ['0/a', '1/b'],
  );
  await until(() => street.open[1] === 0, 'its connection is not kept');
  const after = manager.connectionFromUrl(street.url(0));
  t.not(after, before);
  t.is((await manager.request('GET', street.url(0, 'c'))).connection?.reused, false);
  t.is(manager.pools.size, 1);
  manager.clear();
  manager.clear();
});

test('MGR-05: leaving its scope clears a manager, which stays usable', async (t) => {
  const street = await Street.open(t, 1, 'at once');
  const kept = managed(t);
  {
    using manager = kept;
    await manager.request('GET', street.url(0));
    t.is(manager.pools.size, 1);
  }
  t.is(kept.pools.size, 0);
  await until(() => sum(street.open) === 0, 'closed');
  {
    await using manager = kept;
    t.is((await manager.request('GET', street.url(0))).status, 200);
  }
  t.is(kept.pools.size, 0);
  await kept.close();
  // Nothing to clear any more, and no harm.
  kept[Symbol.dispose]();
  await kept[Symbol.asyncDispose]();
  const closed = new PoolManager();
  await closed.close();
  await closed[Symbol.asyncDispose]();
  t.is(closed.pools.size, 0);
});

test('MGR-04: pools may be made, forgotten and listed while requests of the other thread do the same', async (t) => {
  const street = await Street.open(t, 6, 'at once');
  const manager = managed(t, { numPools: 2 });
  const state = { over: false };
  let listed = 0;
  const flying = Array.from({ length: 8 }, async (_, k) => {
    for (let n = 0; n < 60; n += 1) {
      const house = (n * 5 + k) % 6;
      const response = await manager.request('GET', street.url(house, `${k}-${n}`));
      t.is(response.text(), `${house}/${k}-${n}`);
    }
  });
  const naming = (async () => {
    for (let n = 0; !state.over; n += 1) {
      const house = n % 6;
      const pool = manager.connectionFromUrl(street.url(house));
      t.is((await pool.request('GET', `/held-${n}`)).text(), `${house}/held-${n}`);
      for (const one of manager.pools) listed += one.port === null ? 0 : 1;
      t.true(manager.pools.size <= 2);
    }
  })();
  await Promise.all(flying);
  state.over = true;
  await naming;
  t.true(listed > 0);
  manager.clear();
});

test('MGR-04: an evicted pool that is named in that moment leaks nothing', async (t) => {
  const street = await Street.open(t, 2, 'at once');
  const manager = managed(t, { numPools: 1 });
  for (let n = 0; n < 100; n += 1) {
    // On its way to the other thread while that forgets it for the second.
    const one = manager.connectionFromUrl(street.url(0));
    const [held] = await Promise.all([one.request('GET', `/${n}`), manager.request('GET', street.url(1, String(n)))]);
    t.is(held.text(), `0/${n}`);
  }
  manager.clear();
  // A held pool's idle connections are its own; a hundred such pools are waiting for the collector.
  const { opened, closed, idle, leased } = manager.stats();
  t.is(opened, closed + idle + leased);
  await manager.close();
  t.is(manager.stats().live, 0);
  await until(() => sum(street.open) === 0, 'all closed');
});

test('POOL-10: a closed manager’s pools are closed too, those that are held and those that are named late', async (t) => {
  const street = await Street.open(t, 1, 'at once');
  const manager = managed(t);
  const pool = manager.connectionFromUrl(street.url(0));
  await pool.request('GET', '/');
  t.deepEqual(pool.pool, { idle: 1, leased: 0, waiting: 0, maxsize: 64 });
  await manager.close();
  t.is(pool.pool, null);
  const closed = { name: 'ClosedPoolError', code: 'ERR_POOL_CLOSED' };
  t.like(await t.throwsAsync(pool.request('GET', '/')), closed);
  t.like(await t.throwsAsync(pool.warm(1)), closed);
  t.like(await t.throwsAsync(manager.request('GET', street.url(0))), closed);
  t.throws(() => manager.connectionFromUrl(street.url(0)), closed);
  t.throws(() => manager.connectionFromHost('a'), closed);
  t.is(manager.pools.size, 0);
  t.like(await pool.close(), { closed: 0 });
  t.like(await manager.close(), { closed: 0, drained: 0, forced: 0 });
});

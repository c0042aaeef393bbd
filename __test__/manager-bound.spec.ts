/**
 * `maxTotalConnections`: one bound over all pools of a manager, and one line for whoever waits for it.
 *
 * Servers count their open connections. Where nothing else goes on they never count more than the bound; under load one more,
 * whose end they have not heard of yet (see `Street.most`), while the manager's own figures stay exact.
 */
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import test from 'ava';

import { EmptyPoolError, Retry, type HTTPResponse, type PoolManager } from '../index.ts';
import { rawServer, reply, type Peer } from './servers/raw.ts';
import { closedPort, rejection } from './support/fixtures.ts';
import { balanced, managed, Street, sum, until } from './support/street.ts';

const get = (manager: PoolManager, url: string, options = {}): Promise<HTTPResponse> =>
  manager.request('GET', url, options);
const closedPool = { name: 'ClosedPoolError', code: 'ERR_POOL_CLOSED', phase: 'pool' };

test.serial(
  'MGR-01 THR-1010: at the bound nothing more is opened, over all hosts, whatever is asked of them',
  async (t) => {
    const street = await Street.open(t, 4, 'at once');
    const manager = managed(t, { maxTotalConnections: 5, maxsize: 3 });
    let [unbalanced, beyond] = [0, 0];
    const calls = Array.from({ length: 400 }, async (_, n) => {
      const response = await get(manager, street.url(n % 4, String(n)));
      const stats = manager.stats();
      if (!balanced(stats)) unbalanced += 1;
      if (stats.live > 5) beyond += 1;
      return response.text();
    });
    const texts = await Promise.all(calls);
    t.deepEqual(
      texts,
      texts.map((_, n) => `${n % 4}/${n}`),
    );
    t.true(street.most >= 5 && street.most <= 6, `${street.most} connections at once`);
    t.deepEqual([unbalanced, beyond], [0, 0]);
    await until(() => manager.stats().opened === sum(street.accepted), 'as many accepted as opened');
  },
);

test.serial(
  'MGR-01: with one connection for three hosts all are served in the order in which they asked',
  async (t) => {
    const street = await Street.open(t, 3);
    const manager = managed(t, { maxTotalConnections: 1 });
    const first = get(manager, street.url(0, 'first'));
    await street.holds(1);
    const asked = [1, 2, 0, 0, 2, 1, 1, 0, 2].map((house, n) => [house, String(n)] as const);
    const calls = asked.map(([house, path]) => get(manager, street.url(house, path)));
    await until(() => manager.stats().waiting === asked.length, 'all of them waiting');
    t.deepEqual(street.open, [1, 0, 0]);
    for (let n = 0; n <= asked.length; n += 1) {
      await street.holds(1);
      street.next();
    }
    await Promise.all([first, ...calls]);
    t.deepEqual(street.seen, ['0/first', ...asked.map(([house, path]) => `${house}/${path}`)]);
    t.is(street.most, 1);
    // Two of one host in succession share a connection.
    t.is(manager.stats().reused, 2);
  },
);

test.serial('MGR-01: a host that asks for more than everybody else together starves nobody', async (t) => {
  const street = await Street.open(t, 3, 'at once');
  const manager = managed(t, { maxTotalConnections: 2, maxsize: 2 });
  const state = { over: false };
  let greedy = 0;
  const greed = Array.from({ length: 8 }, async () => {
    while (!state.over) {
      await get(manager, street.url(0, 'greedy'));
      greedy += 1;
    }
  });
  await until(() => greedy > 50, 'the greedy one at work');
  const served: number[] = [];
  for (let n = 0; n < 10; n += 1) {
    const before = greedy;
    await Promise.all([get(manager, street.url(1, 'modest')), get(manager, street.url(2, 'modest'))]);
    served.push(greedy - before);
  }
  state.over = true;
  await Promise.all(greed);
  // Eight stand in line before each of ours, and join it again behind it; some are on their way.
  t.true(Math.max(...served) < 100, `between two of the others the greedy one was served ${served.join(', ')} times`);
  t.true(street.most <= 3);
});

test.serial('MGR-01: the connection that goes for another host is the one that has been idle longest', async (t) => {
  const street = await Street.open(t, 5, 'at once');
  const manager = managed(t, { maxTotalConnections: 3 });
  for (const house of [0, 1, 2]) await get(manager, street.url(house));
  // Used again, 0 is the youngest; 1 is now the oldest.
  await get(manager, street.url(0));
  await get(manager, street.url(3));
  await until(() => street.open.join('') === '10110', `1 was to go: ${street.open.join('')}`);
  await get(manager, street.url(4));
  await until(() => street.open.join('') === '10011', `2 was to go: ${street.open.join('')}`);
  t.deepEqual(street.accepted, [1, 1, 1, 1, 1]);
  t.like(manager.stats(), { opened: 5, closed: 2, idle: 3, discarded: 2 });
  t.is(street.most, 3);
});

test.serial('MGR-04: connections of pools that the manager has forgotten count', async (t) => {
  const street = await Street.open(t, 2);
  const manager = managed(t, { maxTotalConnections: 1 });
  const before = get(manager, street.url(0, 'before'));
  await street.holds(1);
  manager.clear();
  t.is(manager.pools.size, 0);
  const after = get(manager, street.url(1, 'after'));
  await until(() => manager.stats().waiting === 1, 'a waiter');
  t.deepEqual(street.accepted, [1, 0]);
  street.next();
  t.is((await before).text(), '0/before');
  await street.holds(1);
  t.deepEqual(street.open, [0, 1]);
  street.next();
  t.is((await after).text(), '1/after');
  t.is(street.most, 1);
});

test.serial('MGR-04: a pool that is held and was forgotten stands in the same line', async (t) => {
  const street = await Street.open(t, 2);
  const manager = managed(t, { maxTotalConnections: 1 });
  const pool = manager.connectionFromHost('127.0.0.1', { port: street.port(0) });
  const first = pool.request('GET', '/first');
  await street.holds(1);
  manager.clear();
  const [second, third] = [get(manager, street.url(1, 'second')), pool.request('GET', '/third')];
  await until(() => manager.stats().waiting === 2, 'two waiters');
  t.deepEqual(pool.pool, { idle: 0, leased: 1, waiting: 1, maxsize: 64 });
  street.release();
  await Promise.all([first, second, third]);
  t.deepEqual(street.seen, ['0/first', '1/second', '0/third']);
  t.is(street.most, 1);
});

for (const none of [0, null]) {
  test.serial(`MGR-01: maxTotalConnections: ${none} is no bound`, async (t) => {
    const street = await Street.open(t, 2);
    const manager = managed(t, { maxTotalConnections: none, maxsize: 400 });
    // More than the default.
    const calls = Array.from({ length: 600 }, (_, n) => get(manager, street.url(n % 2)));
    await street.holds(600);
    t.is(manager.stats().leased, 600);
    street.release();
    await Promise.all(calls);
  });
}

test.serial('MGR-01: by default there are 512 connections at most, and 64 to one host', async (t) => {
  const street = await Street.open(t, 9);
  const manager = managed(t);
  const calls = Array.from({ length: 9 * 70 }, (_, n) => get(manager, street.url(n % 9)));
  await street.holds(512);
  await until(() => manager.stats().waiting === 9 * 70 - 512, 'the rest waiting');
  t.is(manager.stats().leased, 512);
  t.true(street.open.every((open) => open <= 64));
  street.release();
  await Promise.all(calls);
  t.true(street.most <= 513, `${street.most} connections at once`);
});

test.serial(
  'POOL-07: a wait for another host’s connection ends with poolTimeout, and the place is given up',
  async (t) => {
    const street = await Street.open(t, 3);
    const manager = managed(t, { maxTotalConnections: 1 });
    const first = get(manager, street.url(0, 'first'));
    await street.holds(1);
    const began = performance.now();
    const late = await rejection(get(manager, street.url(1, 'late'), { poolTimeout: 60 }), EmptyPoolError);
    t.true(performance.now() - began >= 55);
    t.like(late, { code: 'ERR_POOL_EMPTY', phase: 'pool', sent: false, attempts: 0 });
    await rejection(get(manager, street.url(1, 'at once'), { poolTimeout: 0 }), EmptyPoolError);
    const last = get(manager, street.url(2, 'last'), { poolTimeout: 60_000 });
    await until(() => manager.stats().waiting === 1, 'one waiter');
    street.next();
    await first;
    await street.holds(1);
    street.next();
    t.is((await last).text(), '2/last');
    t.deepEqual(street.seen, ['0/first', '2/last']);
    t.like(manager.stats(), { waiting: 0, leased: 0, errors: { ERR_POOL_EMPTY: 2 } });
  },
);

test.serial('MGR-01: a total that is up in the line says so, and an abort leaves it with its own reason', async (t) => {
  const street = await Street.open(t, 4);
  const manager = managed(t, { maxTotalConnections: 1 });
  const first = get(manager, street.url(0, 'first'));
  await street.holds(1);
  const leave = new AbortController();
  const aborted = get(manager, street.url(1, 'aborted'), { signal: leave.signal });
  // Not over before all three were seen in the line.
  const late = t.throwsAsync(get(manager, street.url(2, 'late'), { timeout: { total: 1_000 }, retries: false }));
  const last = get(manager, street.url(3, 'last'));
  await until(() => manager.stats().waiting === 3, 'three waiters');
  t.like(await late, { code: 'ERR_TOTAL_TIMEOUT', phase: 'total', during: 'pool' });
  leave.abort(new Error('enough'));
  await t.throwsAsync(aborted, { message: 'enough' });
  await until(() => manager.stats().waiting === 1, 'one waiter');
  street.next();
  await first;
  await street.holds(1);
  street.next();
  t.is((await last).text(), '3/last');
  t.deepEqual(street.seen, ['0/first', '3/last']);
  t.deepEqual(street.open, [0, 0, 0, 1]);
});

test.serial('MGR-01: whoever gives up just as a connection is given to him passes it on', async (t) => {
  const street = await Street.open(t, 2, 'at once');
  const manager = managed(t, { maxTotalConnections: 1 });
  let [answered, aborted] = [0, 0];
  for (let round = 0; round < 200; round += 1) {
    const leave = new AbortController();
    const calls = [0, 1, 0, 1, 1, 0].map((house, n) =>
      get(manager, street.url(house), n % 2 === 1 ? { signal: leave.signal } : {}).then(
        () => (answered += 1),
        () => (aborted += 1),
      ),
    );
    // At another moment of the round each time: the first answer, the second, the third.
    for (let turn = 0; turn < round % 7; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    leave.abort();
    await Promise.all(calls);
  }
  t.is(answered + aborted, 1_200);
  t.true(answered >= 600 && aborted > 0, `${answered} answered, ${aborted} aborted`);
  await until(() => manager.stats().leased === 0, 'nothing leased');
  t.like(manager.stats(), { waiting: 0, leased: 0 });
  t.true(street.most <= 2);
  // The permit was not lost.
  t.is((await get(manager, street.url(1, 'after'), { poolTimeout: 20_000 })).text(), '1/after');
});

test.serial(
  'THR-1003: maxWaiting counts who waits for a slot of the pool and who waits for the manager’s bound',
  async (t) => {
    const street = await Street.open(t, 2);
    const manager = managed(t, { maxTotalConnections: 1, maxsize: 2, maxWaiting: 2 });
    const first = get(manager, street.url(0, 'first'));
    await street.holds(1);
    // One has the second slot of the pool and waits for the bound; one waits for a slot.
    const waiting = [get(manager, street.url(0, 'a')), get(manager, street.url(0, 'b'))];
    await until(() => manager.stats().waiting === 2, 'two waiters');
    const full = await rejection(get(manager, street.url(0, 'c')), EmptyPoolError);
    t.regex(full.message, /maxWaiting/);
    // Another host has its own number of waiters.
    const others = [get(manager, street.url(1, 'd')), get(manager, street.url(1, 'e'))];
    await until(() => manager.stats().waiting === 4, 'four waiters');
    await rejection(get(manager, street.url(1, 'f')), EmptyPoolError);
    street.release();
    await Promise.all([first, ...waiting, ...others]);
    t.deepEqual(street.seen, ['0/first', '0/a', '0/b', '1/d', '1/e']);
    t.like(manager.stats(), { waiting: 0, leased: 0 });
  },
);

test.serial('MGR-01: warm makes what there is room for, closes nobody’s connection for it, and counts', async (t) => {
  const street = await Street.open(t, 2, 'at once');
  const manager = managed(t, { maxTotalConnections: 4 });
  await get(manager, street.url(0));
  const pool = manager.connectionFromHost('127.0.0.1', { port: street.port(1) });
  await pool.warm(10);
  t.like(pool.pool, { idle: 3, leased: 0 });
  t.like(manager.stats(), { idle: 4, opened: 4, requests: 1 });
  await until(() => street.open.join('') === '13', 'three connections');
  await pool.warm(10);
  t.is(manager.stats().opened, 4);
  t.is((await pool.request('GET', '/warm')).connection?.reused, false);
  t.is(street.most, 4);
});

test.serial('MGR-01: a connection made ahead of any request goes to who waits already', async (t) => {
  const street = await Street.open(t, 2);
  const manager = managed(t, { maxTotalConnections: 2, maxsize: 2 });
  const pool = manager.connectionFromHost('127.0.0.1', { port: street.port(0) });
  const warming = pool.warm(2);
  const calls = [get(manager, street.url(1, 'a')), get(manager, street.url(1, 'b')), get(manager, street.url(0, 'c'))];
  await warming;
  await street.holds(2);
  street.release();
  t.deepEqual(
    (await Promise.all(calls)).map((response) => response.text()),
    ['1/a', '1/b', '0/c'],
  );
  // Two may change hands at the same moment.
  t.true(street.most <= 4);
  t.true(manager.stats().live <= 2);
});

test.serial('MGR-01: without block a pool opens more than maxsize, but not more than the bound', async (t) => {
  const street = await Street.open(t, 2);
  const manager = managed(t, { maxTotalConnections: 3, maxsize: 1, block: false });
  const calls = Array.from({ length: 6 }, (_, n) => get(manager, street.url(n % 2, String(n))));
  await street.holds(3);
  await until(() => manager.stats().waiting === 3, 'three waiters');
  t.deepEqual(street.held.toSorted(), ['0/0', '0/2', '1/1']);
  street.release();
  await Promise.all(calls);
  t.true(street.most <= 3);
  t.like(manager.stats(), { leased: 0, waiting: 0 });
});

test.serial('MGR-01: a connection that its server closes makes room for who waits', async (t) => {
  const street = await Street.open(t, 2);
  const manager = managed(t, { maxTotalConnections: 1 });
  const failed = t.throwsAsync(get(manager, street.url(0, 'cut'), { retries: false }));
  await street.holds(1);
  const next = get(manager, street.url(1, 'next'));
  await until(() => manager.stats().waiting === 1, 'a waiter');
  street.houses[0]?.peers[0]?.reset();
  t.like(await failed, { name: 'ProtocolError' });
  await street.hasSeen(2);
  street.release();
  t.is((await next).text(), '1/next');
});

test.serial('MGR-01: a dial that fails gives its leave to who waits', async (t) => {
  const street = await Street.open(t, 2);
  const port = await closedPort(t);
  const manager = managed(t, { maxTotalConnections: 1, retries: false });
  const first = get(manager, street.url(0, 'first'));
  await street.holds(1);
  const refused = Array.from({ length: 3 }, () => t.throwsAsync(get(manager, `http://127.0.0.1:${port}/`)));
  const last = get(manager, street.url(1, 'last'));
  await until(() => manager.stats().waiting === 4, 'four waiters');
  street.release();
  for (const one of await Promise.all(refused)) t.like(one, { code: 'ECONNREFUSED' });
  t.is((await last).text(), '1/last');
  await first;
});

test.serial('MGR-01: redirects across hosts take their turn, and one connection is enough for them', async (t) => {
  const street = await Street.open(t, 1, 'at once');
  const manager = managed(t, { maxTotalConnections: 1 });
  const { httpServer } = await import('./servers/http.ts');
  const leads = await httpServer((_, response) => {
    response.writeHead(302, { location: street.url(0, 'there') }).end();
  });
  t.teardown(() => leads.close());
  const texts = await Promise.all(
    Array.from({ length: 8 }, async () => (await get(manager, `http://127.0.0.1:${leads.port}/`)).text()),
  );
  t.deepEqual(new Set(texts), new Set(['0/there']));
  t.is(manager.stats().leased, 0);
  t.true(street.most <= 1);
});

test.serial('MGR-05: clear while requests wait for the bound lets them go on', async (t) => {
  const street = await Street.open(t, 3);
  const manager = managed(t, { maxTotalConnections: 1 });
  const calls = [0, 1, 2].map((house) => get(manager, street.url(house)));
  await street.holds(1);
  await until(() => manager.stats().waiting === 2, 'two waiters');
  manager.clear();
  street.release();
  t.deepEqual(
    (await Promise.all(calls)).map((response) => response.status),
    [200, 200, 200],
  );
  // None of those connections is kept: their pools were forgotten.
  await until(() => manager.stats().live === 0, 'nothing kept');
  await until(() => sum(street.open) === 0, 'all closed');
});

test.serial(
  'POOL-10: close turns away who waits for the bound, and does not count him among those that were served',
  async (t) => {
    const street = await Street.open(t, 3);
    const manager = managed(t, { maxTotalConnections: 2 });
    const served = [get(manager, street.url(0)), get(manager, street.url(1))];
    await street.holds(2);
    const waiting = [get(manager, street.url(2)), get(manager, street.url(0)), get(manager, street.url(1))];
    await until(() => manager.stats().waiting === 3, 'three waiters');
    const closing = manager.close();
    for (const one of waiting) t.like(await t.throwsAsync(one), closedPool);
    t.like(await t.throwsAsync(get(manager, street.url(0))), closedPool);
    street.release();
    t.deepEqual(
      (await Promise.all(served)).map((response) => response.status),
      [200, 200],
    );
    t.like(await closing, { closed: 2, drained: 2, forced: 0 });
    t.is(street.seen.length, 2);
  },
);

test.serial(
  'POOL-10: closing one pool of a manager turns its own waiters away and gives its places to others',
  async (t) => {
    const street = await Street.open(t, 3);
    const manager = managed(t, { maxTotalConnections: 1 });
    const pool = manager.connectionFromHost('127.0.0.1', { port: street.port(1) });
    const first = get(manager, street.url(0));
    await street.holds(1);
    const away = pool.request('GET', '/');
    const last = get(manager, street.url(2, 'last'));
    await until(() => manager.stats().waiting === 2, 'two waiters');
    const closing = pool.close();
    t.like(await t.throwsAsync(away), closedPool);
    t.like(await closing, { closed: 0, drained: 0, forced: 0 });
    street.release();
    await first;
    t.is((await last).text(), '2/last');
  },
);

/** How the first attempt ends, with its connection. */
const FIRST_ENDS: Readonly<Record<string, (peer: Peer) => Promise<void> | void>> = {
  'a status': (peer) => peer.write(reply('no', 'HTTP/1.1 503 X\r\nConnection: close\r\n')),
  'a redirect': (peer) => peer.write(reply('', 'HTTP/1.1 307 X\r\nLocation: /b\r\nConnection: close\r\n')),
  'a redirect without the body': (peer) =>
    peer.write(reply('', 'HTTP/1.1 303 X\r\nLocation: /b\r\nConnection: close\r\n')),
  'a reset': (peer) => peer.reset(),
};

for (const [what, end] of Object.entries(FIRST_ENDS)) {
  test.serial(
    `MGR-01 BODY-13: a body in pieces that is sent again does not wait for itself, after ${what}`,
    async (t) => {
      const server = await rawServer(async (peer) => {
        await peer.request();
        if (peer.number === 1) return end(peer);
        await peer.write(reply('well'));
      });
      t.teardown(() => server.close());
      const manager = managed(t, { maxTotalConnections: 1, timeout: { total: 20_000 } });
      const retries = new Retry({ total: 3, statusForcelist: [503] });
      const body = (): Readable => Readable.from([Buffer.from('two '), Buffer.from('pieces')]);
      const response = await manager.request('PUT', `http://127.0.0.1:${server.port}/`, { body, retries });
      t.is(response.text(), 'well');
      t.like(manager.stats(), { opened: 2, closed: 1 });
    },
  );
}

test.serial('MGR-01 READ-11: a coded body that is off the wire and unread holds no connection', async (t) => {
  const wire = gzipSync(Buffer.alloc(3_000_000));
  const head = 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip\r\n';
  const server = await rawServer(async (peer) => {
    await peer.request();
    await peer.write(Buffer.concat([Buffer.from(`${head}Content-Length: ${wire.length}\r\n\r\n`), wire]));
    // The client closes first, once the body has come.
    await peer.gone();
    peer.end();
  });
  t.teardown(() => server.close());
  const manager = managed(t, { maxTotalConnections: 1, timeout: { total: 20_000 } });
  const bodies: HTTPResponse[] = [];
  for (let n = 0; n < 3; n += 1) {
    bodies.push(await get(manager, `http://127.0.0.1:${server.port}/${n}`, { preloadContent: false }));
    await (await server.peer(n + 1)).gone();
  }
  for (const body of bodies) t.is((await body.read()).length, 3_000_000);
});

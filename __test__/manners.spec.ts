/** Manners towards hosts: `rate`, `pauseOn`, `onPause`. What a host gets is counted by its server. */
import type http from 'node:http';
import test, { type ExecutionContext } from 'ava';

import {
  ClosedPoolError,
  EmptyPoolError,
  HTTPConnectionPool,
  PoolManager,
  ReadTimeoutError,
  Retry,
  type PoolManagerOptions,
  type PoolOptions,
} from '../index.ts';
import { Arrivals } from '../bench/soak/arrivals.js';
import { httpServer, type HttpServer } from './servers/http.ts';
import { rejection } from './support/fixtures.ts';
import { clocked, within } from './support/clocked.ts';
import { until } from './support/street.ts';

type Answer = (request: http.IncomingMessage, response: http.ServerResponse) => void;

interface Town {
  readonly server: HttpServer;
  readonly arrivals: Arrivals;
  /** Paths by host in the order in which they came, as `host/path`. */
  readonly seen: string[];
  readonly manager: PoolManager;
}

const HOSTS = ['a.test', 'b.test'];

/** Two hosts on one server, and a manager; at its end nobody waits and nothing is held. */
async function town(
  t: ExecutionContext,
  options: PoolManagerOptions,
  answer: Answer = (_, response) => response.end(),
) {
  const arrivals = new Arrivals();
  const seen: string[] = [];
  const server = await httpServer((request, response) => {
    const host = String(request.headers.host).replace(/:\d+$/, '');
    arrivals.note(host);
    seen.push(host + String(request.url));
    answer(request, response);
  });
  const resolve = Object.fromEntries(HOSTS.map((host) => [host, `127.0.0.1:${server.port}`]));
  const manager = new PoolManager({ resolve, ...options });
  t.teardown(async () => {
    await manager.close({ timeout: 0 });
    arrivals.stop();
    await server.close();
    const { leased, idle, waiting } = manager.stats();
    if (leased + idle + waiting > 0) throw new Error(`left over: ${JSON.stringify({ leased, idle, waiting })}`);
  });
  return { server, arrivals, seen, manager } satisfies Town;
}

/** `host/path`s one after another on each of so many lanes, until the time is up, or until there are enough. */
async function saturate(
  width: number,
  until: number | (() => boolean),
  ask: (n: number) => Promise<unknown>,
): Promise<void> {
  const began = performance.now();
  const over = typeof until === 'number' ? () => performance.now() - began >= until : until;
  let n = 0;
  const lane = async (): Promise<void> => {
    while (!over()) {
      if (performance.now() - began > 60_000) throw new Error('it never came to that');
      n += 1;
      await ask(n);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
}

const tooMany: Answer = (request, response) => {
  const after = new URL(String(request.url), 'http://x').searchParams.get('after');
  if (after === null) return void response.end();
  response.writeHead(429, after === '' ? {} : { 'retry-after': after });
  return void response.end();
};

const once429 = { retries: false, pauseOn: [429] } as const;

clocked(
  'THR-1213: in no second more than the rate and 5 % of it, and no less than 95 %, over all pools of a host',
  async (t) => {
    const { manager, arrivals } = await town(t, { rate: 100, maxsize: 8 });
    // Settings of their own make pools of their own; the host is the same.
    const pools = [1, 2, 3].map((maxsize) => manager.connectionFromHost('a.test', { poolKwargs: { maxsize } }));
    t.is(manager.pools.size, 3);
    const slower = saturate(4, 3_000, () => manager.request('GET', 'http://b.test/'));
    await saturate(12, 3_000, (n) => (pools[n % 3] as HTTPConnectionPool).request('GET', '/'));
    await slower;
    for (const host of HOSTS) {
      const most = arrivals.most(host);
      within(t, most <= 105, `${host}: ${most} in a second`);
      const each = arrivals.perSecond(host, 100);
      within(t, each >= 95, `${host}: ${each} a second`);
    }
  },
);

clocked('THR-1213: retries and redirects are attempts as others are', async (t) => {
  const tries = new Map<string, number>();
  const { manager, arrivals } = await town(
    t,
    { rate: 40, retries: new Retry({ total: 5, statusForcelist: [500] }) },
    (request, response) => {
      const url = String(request.url);
      const times = (tries.get(url) ?? 0) + 1;
      tries.set(url, times);
      if (url.startsWith('/again') && times < 3) return void response.writeHead(500).end();
      if (url.startsWith('/on')) return void response.writeHead(302, { location: `http://b.test/there${url}` }).end();
      return void response.end();
    },
  );
  // Of each pair one goes to this host three times, the other once. Until there are enough: some 1,500 ms, or as long as a
  // busy machine takes for them.
  const enough = (): boolean => arrivals.count('a.test') > 50 && arrivals.count('b.test') > 5;
  await saturate(8, enough, async (n) => {
    const response = await manager.request('GET', `http://a.test/${n % 2 === 0 ? 'again' : 'on'}/${n}`);
    t.is(response.status, 200);
  });
  within(t, arrivals.most('a.test') <= 42, `${arrivals.most('a.test')} in a second`);
});

clocked('THR-1213: turns go in the order of asking, over pools, and a turn that is given up goes on', async (t) => {
  // So slow that all are in line before the second may go, on a busy machine too.
  const { manager, seen } = await town(t, { rate: 5, maxsize: 1 });
  const pools = [1, 2].map((maxsize) => manager.connectionFromHost('a.test', { poolKwargs: { maxsize } }));
  const controllers = new Map<number, AbortController>();
  const asked = Array.from({ length: 12 }, (_, n) => {
    const controller = new AbortController();
    controllers.set(n, controller);
    return (pools[n % 2] as HTTPConnectionPool).request('GET', `/${n}`, { signal: controller.signal });
  });
  await until(() => manager.stats().waiting >= 11, '11 in line');
  const began = performance.now();
  const why = new Error('no longer');
  // Among them whoever is first in line.
  const left = [1, 4, 5, 9];
  for (const n of left) controllers.get(n)?.abort(why);
  const outcomes = await Promise.allSettled(asked);
  for (const [n, outcome] of outcomes.entries()) {
    if (left.includes(n)) t.is(outcome.status === 'rejected' ? outcome.reason : null, why);
    else t.is(outcome.status, 'fulfilled');
  }
  t.deepEqual(
    seen,
    [0, 2, 3, 6, 7, 8, 10, 11].map((n) => `a.test/${n}`),
  );
  // Seven turns of 206 ms and not eleven: nothing was reserved for those who left.
  const took = performance.now() - began;
  within(t, took > 1_000 && took < 2_150, `${took} ms`);
});

clocked('THR-1213 TIME-12: waiting for a turn is phase pool, under poolTimeout and under total', async (t) => {
  // The next turn is ten seconds away: it does not come while this is looked at.
  const { manager, arrivals } = await town(t, { rate: 0.1, retries: false });
  await manager.request('GET', 'http://a.test/');
  const empty = await rejection(manager.request('GET', 'http://a.test/', { poolTimeout: 60 }), EmptyPoolError);
  t.like(empty, { code: 'ERR_POOL_EMPTY', phase: 'pool', attempts: 0, sent: false });
  within(t, empty.elapsed >= 59 && empty.elapsed < 2_000, `${empty.elapsed}`);
  const late = await rejection(manager.request('GET', 'http://a.test/', { timeout: { total: 60 } }), ReadTimeoutError);
  t.like(late, { code: 'ERR_TOTAL_TIMEOUT', phase: 'total', during: 'pool', attempts: 0, sent: false });
  t.is(manager.stats().waiting, 0);
  t.is(arrivals.count('a.test'), 1);
  // Another host is asked at once.
  t.is((await manager.request('GET', 'http://b.test/', { poolTimeout: 60 })).status, 200);
});

test('THR-1213: those who wait for a turn are counted, and bounded by maxWaiting', async (t) => {
  // The next turn is ten seconds away: nobody gets it while they are counted.
  const { manager } = await town(t, { rate: 0.1, maxWaiting: 2, retries: false });
  await manager.request('GET', 'http://a.test/');
  const asked = [0, 1, 2].map(() => manager.request('GET', 'http://a.test/'));
  const waiting = asked.slice(0, 2).map((one) => rejection(one, ClosedPoolError));
  const refused = await rejection(asked[2] as Promise<unknown>, EmptyPoolError);
  t.regex(refused.message, /2 requests wait already/);
  const pool = manager.connectionFromHost('a.test');
  t.like(pool.pool, { waiting: 2, leased: 0 });
  t.is(manager.stats().waiting, 2);
  await manager.close();
  await Promise.all(waiting);
  t.is(manager.stats().waiting, 0);
});

test('THR-1213: a paused host holds no connection and no permit while others go on', async (t) => {
  const options = { ...once429, retries: new Retry({ total: false, retryAfterMax: 2_000 }), maxTotalConnections: 1 };
  const { manager, seen } = await town(t, options, tooMany);
  // Before the pause begins: this thread may hear of it late.
  const began = performance.now();
  t.is((await manager.request('GET', 'http://a.test/?after=100')).status, 429);
  const waiting = [1, 2, 3].map((n) => manager.request('GET', `http://a.test/${n}`));
  await until(() => manager.stats().waiting === 3, '3 in line');
  t.is(manager.stats().leased, 0);
  let served = 0;
  // Far from the end of the pause, also where one of these takes long.
  while (served <= 3 || performance.now() - began < 400) {
    await manager.request('GET', 'http://b.test/');
    served += 1;
    t.like(manager.stats(), { leased: 0, waiting: 3 });
  }
  t.is(seen.filter((path) => path.startsWith('a.test')).length, 1);
  for (const response of await Promise.all(waiting)) t.is(response.status, 200);
  t.true(performance.now() - began > 1_990);
  t.deepEqual(
    seen.filter((path) => path.startsWith('a.test/') && !path.includes('?')),
    ['a.test/1', 'a.test/2', 'a.test/3'],
  );
});

test('THR-1213: what was waiting for a connection when the pause came does not go either', async (t) => {
  const held: http.ServerResponse[] = [];
  const { manager, seen } = await town(
    t,
    { ...once429, retries: new Retry({ total: false, retryAfterMax: 1_500 }), maxsize: 1 },
    (request, response) => (request.url === '/held' ? void held.push(response) : void response.end()),
  );
  const first = manager.request('GET', 'http://a.test/held');
  await until(() => held.length === 1, 'the server has 1');
  const second = manager.request('GET', 'http://a.test/next');
  await until(() => manager.stats().waiting === 1, '1 in line');
  // Before the pause begins: this thread may hear of it late.
  const began = performance.now();
  held[0]?.writeHead(429, { 'retry-after': '9' }).end();
  t.is((await first).status, 429);
  t.like(manager.stats(), { waiting: 1 });
  await second;
  t.true(performance.now() - began > 1_480);
  t.deepEqual(seen, ['a.test/held', 'a.test/next']);
});

clocked(
  'THR-1212 THR-1213: onPause hears of each pause once, of seconds and of dates, capped by retryAfterMax',
  async (t) => {
    const told: { host: string; until: number; status: number; retryAfter: number; heard: number }[] = [];
    const onPause = (host: string, end: Date, { status, retryAfter }: { status: number; retryAfter: number }): void =>
      void told.push({ host, until: end.getTime(), status, retryAfter, heard: Date.now() });
    const short = new Retry({ total: false, retryAfterMax: 400 });
    const { manager, server } = await town(t, { retries: false, pauseOn: [429, 503], onPause }, tooMany);
    const port = 80;
    const before = Date.now();
    // Five at once that all ask for it, each a little later than the one before.
    await Promise.all([1, 2, 3, 4, 5].map(() => manager.request('GET', 'http://a.test/?after=1')));
    await until(() => told.length === 1, '1 pauses were told of');
    t.like(told[0], { host: `a.test:${port}`, status: 429, retryAfter: 1_000 });
    t.true(Math.abs((told[0]?.until ?? 0) - (told[0]?.heard ?? 0) - 1_000) <= 1);
    await manager.request('GET', 'http://a.test/');
    t.true(Date.now() >= (told[0]?.until ?? Infinity) - 60 && Date.now() - before > 990);

    // A date has whole seconds: between two and three from now.
    const date = new Date(Math.floor(Date.now() / 1_000) * 1_000 + 3_000);
    await manager.request('GET', `http://a.test/?after=${encodeURIComponent(date.toUTCString())}`);
    await until(() => told.length === 2, '2 pauses were told of');
    t.true(Math.abs((told[1]?.until ?? 0) - date.getTime()) < 60, `${told[1]?.until} ${date.getTime()}`);
    await manager.request('GET', 'http://a.test/');
    t.true(Date.now() >= date.getTime() - 5);

    const capped = performance.now();
    await manager.request('GET', 'http://b.test/?after=3600', { retries: short });
    await until(() => told.length === 3, '3 pauses were told of');
    t.like(told[2], { host: `b.test:${port}`, retryAfter: 400 });
    await manager.request('GET', 'http://b.test/');
    within(t, performance.now() - capped > 390 && performance.now() - capped < 10_000);
    t.is(told.length, 3);
    t.true(server.port > 0);
  },
);

test('THR-1213: a longer pause is never made shorter, and one that is made longer is told again', async (t) => {
  const held: { url: string; response: http.ServerResponse }[] = [];
  const told: number[] = [];
  const { manager } = await town(
    t,
    { ...once429, onPause: (_host, _until, { retryAfter }) => void told.push(retryAfter) },
    (request, response) => void held.push({ url: String(request.url), response }),
  );
  const asked = [1, 2, 3].map((n) => manager.request('GET', `http://a.test/${n}`));
  await until(() => held.length === 3, 'the server has 3');
  const say = async (n: number, after: string): Promise<void> => {
    held
      .find(({ url }) => url === `/${n}`)
      ?.response.writeHead(429, { 'retry-after': after })
      .end();
    await asked[n - 1];
  };
  await say(1, '1');
  await say(2, '3');
  await say(3, '1');
  await until(() => told.length === 2, '2 pauses were told of');
  t.deepEqual(told, [1_000, 3_000]);
  await rejection(manager.request('GET', 'http://a.test/', { poolTimeout: 1_300 }), EmptyPoolError);
  t.deepEqual(told, [1_000, 3_000]);
  t.is(held.length, 3);
});

test('THR-1213 RETRY-14 THR-1212: without a Retry-After nothing pauses, and the request goes by its Retry', async (t) => {
  const told: string[] = [];
  let times = 0;
  const { manager } = await town(t, { ...once429, onPause: (host) => void told.push(host) }, (request, response) => {
    times += 1;
    if (request.url === '/once' && times > 1) return void response.end();
    if (request.url === '/once') return void response.writeHead(429, { 'retry-after': '1' }).end();
    return tooMany(request, response);
  });
  // None, none that can be read, none at all, and a status that nobody named.
  for (const after of ['', 'soon', '0', '-3', 'Thu, 01 Jan 1970 00:00:00 GMT']) {
    t.is((await manager.request('GET', `http://a.test/?after=${encodeURIComponent(after)}`)).status, 429);
    t.is((await manager.request('GET', 'http://a.test/', { poolTimeout: 200 })).status, 200);
  }
  t.deepEqual(told, []);
  times = 0;
  const began = performance.now();
  const response = await manager.request('GET', 'http://a.test/once', { retries: 1 });
  t.deepEqual([response.status, response.retries?.history.length, times], [200, 1, 2]);
  t.true(performance.now() - began > 990);
  t.deepEqual(told, ['a.test:80']);
});

clocked('THR-1213: close() turns away at once who waits for a turn or for the end of a pause', async (t) => {
  // The next turn is ten seconds away, the end of the pause sixty.
  const { manager, seen } = await town(t, { ...once429, rate: 0.1 }, tooMany);
  await manager.request('GET', 'http://b.test/');
  await manager.request('GET', 'http://a.test/?after=60');
  const pool = manager.connectionFromHost('b.test');
  const [paused, slow] = [
    [1, 2].map(() => manager.request('GET', 'http://a.test/')),
    [1, 2].map(() => pool.request('GET', '/')),
  ];
  await until(() => manager.stats().waiting === 4, '4 in line');
  const began = performance.now();
  const gone = slow.map((one) => rejection(one, ClosedPoolError));
  await pool.close();
  for (const error of await Promise.all(gone)) t.like(error, { code: 'ERR_POOL_CLOSED', phase: 'pool' });
  t.is(manager.stats().waiting, 2);
  const others = paused.map((one) => rejection(one, ClosedPoolError));
  await manager.close();
  await Promise.all(others);
  within(t, performance.now() - began < 2_000);
  t.is(manager.stats().waiting, 0);
  t.is(seen.length, 2);
});

clocked('THR-1213: a bare pool has manners too', async (t) => {
  const { server, arrivals } = await town(t, {});
  const told: string[] = [];
  const pool = new HTTPConnectionPool('127.0.0.1', {
    port: server.port,
    rate: 60,
    pauseOn: [429],
    onPause: (host) => void told.push(host),
    maxsize: 4,
    block: true,
  });
  t.teardown(() => pool.close({ timeout: 0 }));
  await saturate(6, 1_500, () => pool.request('GET', '/'));
  within(t, arrivals.most('127.0.0.1') <= 63);
  const each = arrivals.perSecond('127.0.0.1', 100);
  within(t, each >= 57, `${each} a second`);
  t.deepEqual(told, []);
});

test('THR-1213: below one a second there is more than a second between two', async (t) => {
  const { manager } = await town(t, { rate: 0.8, retries: false });
  const began = performance.now();
  await manager.request('GET', 'http://a.test/');
  await manager.request('GET', 'http://a.test/');
  t.true(performance.now() - began > 1_250);
});

test('THR-1213: what is no rate, no status and no listener is refused', async (t) => {
  const refused: [PoolOptions, ErrorConstructor][] = [
    [{ rate: 0 }, RangeError],
    [{ rate: -1 }, RangeError],
    [{ rate: NaN }, RangeError],
    [{ rate: Infinity }, RangeError],
    [{ rate: '5' as never }, TypeError],
    [{ pauseOn: 429 as never }, TypeError],
    [{ pauseOn: ['429'] as never }, TypeError],
    [{ pauseOn: [500 as never] }, RangeError],
    [{ onPause: {} as never }, TypeError],
  ];
  for (const [options, instanceOf] of refused) {
    const wanted = { instanceOf, code: 'ERR_INVALID_OPTION' };
    t.throws(() => new HTTPConnectionPool('127.0.0.1', options), wanted, JSON.stringify(options));
    t.throws(() => new PoolManager(options), wanted, JSON.stringify(options));
  }
  for (const none of [null, undefined])
    t.notThrows(() => new PoolManager({ rate: none, pauseOn: none, onPause: none }));
  // They are about a host, and so not one pool's.
  const { manager } = await town(t, { rate: 10 });
  for (const poolKwargs of [
    { rate: 5 },
    { rate: null },
    { pauseOn: [429] },
    { onPause: () => undefined },
  ] as object[]) {
    t.throws(() => manager.connectionFromHost('a.test', { poolKwargs }), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_OPTION',
      message: /^poolKwargs has no option '(rate|pauseOn|onPause)'/,
    });
  }
});

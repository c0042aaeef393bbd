/**
 * A pool whose connections carry many requests at a time: who waits for what, when another connection is made, and how they
 * are counted, kept and let go.
 */
import test, { type ExecutionContext } from 'ava';

import type { HTTPConnectionPool, PoolOptions } from '../index.ts';
import { CODE, data, goaway, head, settings, SETTING } from './servers/h2-frames.ts';
import { each, type H2Peer, type H2Request, type H2Script } from './servers/h2-raw.ts';
import { closedPort } from './support/fixtures.ts';
import { counted, echo, failure, get, overFrames, type H2Fixture } from './support/h2.ts';
import { Notices } from './support/notices.ts';
import { until } from './support/street.ts';

/** A server that holds every request until the test lets it go. */
class Gate {
  readonly held: { request: H2Request; peer: H2Peer }[] = [];
  /** Paths, in the order in which they came. */
  readonly seen: string[] = [];
  /** The most that there were at a time on one connection. */
  most = 0;
  #waiting: (() => void)[] = [];

  readonly script: H2Script = each((request, peer) => {
    this.held.push({ request, peer });
    this.seen.push(request.path);
    this.most = Math.max(this.most, this.held.filter((one) => one.peer === peer).length);
    for (const wake of this.#waiting.splice(0)) wake();
  });

  /** Waits until so many requests are held. */
  async holds(count: number): Promise<void> {
    while (this.held.length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Answers the oldest so many. */
  async next(count: number = 1): Promise<void> {
    for (const { request, peer } of this.held.splice(0, count)) await echo(request, peer);
  }
}

const limited = (streams: number): { settings: [number, number][] } => ({
  settings: [[SETTING.MAX_CONCURRENT_STREAMS, streams]],
});

async function gated(
  t: ExecutionContext,
  streams: number | null,
  options: PoolOptions = {},
): Promise<H2Fixture & { gate: Gate }> {
  const gate = new Gate();
  const fixture = await overFrames(t, gate.script, options, streams === null ? {} : limited(streams));
  return { ...fixture, gate };
}

const texts = async (calls: ReturnType<HTTPConnectionPool['request']>[]): Promise<string[]> =>
  Promise.all(calls.map(async (call) => (await call).text()));
const paths = (count: number, from = 0): string[] => Array.from({ length: count }, (_, n) => `/${from + n}`);

test('POOL-05 POOL-06 H2-05: many requests at once share one connection, which is dialled once', async (t) => {
  const { pool, server, gate } = await gated(t, null, { maxsize: 8 });
  const calls = paths(50).map((path) => get(pool, path));
  await gate.holds(50);
  t.deepEqual(pool.pool, { idle: 0, leased: 1, waiting: 0, maxsize: 8 });
  await gate.next(50);
  t.deepEqual(await texts(calls), paths(50));
  t.deepEqual(gate.seen, paths(50));
  t.is(server.peers.length, 1);
  t.deepEqual(pool.pool, { idle: 1, leased: 0, waiting: 0, maxsize: 8 });
  t.deepEqual([pool.numConnections, pool.numRequests], [1, 50]);
  t.like(pool.stats(), { opened: 1, requests: 50, reused: 49, discarded: 0, surplus: 0, closed: 0 });
});

test('POOL-07: maxsize counts connections: a second one only when the first has as many streams as the server takes', async (t) => {
  const { pool, server, gate } = await gated(t, 10, { maxsize: 2, block: true });
  const calls = paths(10).map((path) => get(pool, path));
  await gate.holds(10);
  t.is(server.peers.length, 1);
  calls.push(get(pool, '/10'));
  await gate.holds(11);
  t.is(server.peers.length, 2);
  t.is(gate.held.at(-1)?.peer.number, 2);
  calls.push(...paths(19, 11).map((path) => get(pool, path)));
  await gate.holds(20);
  await until(() => pool.pool?.waiting === 10, 'ten that wait');
  t.deepEqual(pool.pool, { idle: 0, leased: 2, waiting: 10, maxsize: 2 });
  t.is(gate.most, 10);
  // As slots become free they go to those who have waited longest, on either connection.
  await gate.next(5);
  await gate.holds(20);
  t.deepEqual(gate.seen.slice(20), paths(5, 20));
  await gate.next(20);
  await gate.holds(5);
  await gate.next(5);
  t.deepEqual(await texts(calls), paths(30));
  t.is(gate.most, 10);
  t.is(server.peers.length, 2);
  t.deepEqual(pool.pool, { idle: 2, leased: 0, waiting: 0, maxsize: 2 });
});

test('POOL-07: who waits for a stream is served in order of arrival', async (t) => {
  const { pool, gate } = await gated(t, 1, { block: true });
  const calls = paths(40).map((path) => get(pool, path));
  for (let n = 0; n < 40; n += 1) {
    await gate.holds(1);
    await gate.next();
  }
  await Promise.all(calls);
  t.deepEqual(gate.seen, paths(40));
  t.is(gate.most, 1);
  t.is(pool.numConnections, 1);
});

test('POOL-07 TIME-12: poolTimeout bounds the wait for a stream, maxWaiting how many wait', async (t) => {
  const { pool, gate } = await gated(t, 2, { block: true, maxWaiting: 3 });
  const calls = paths(2).map((path) => get(pool, path));
  await gate.holds(2);
  const empty = { name: 'EmptyPoolError', code: 'ERR_POOL_EMPTY', phase: 'pool', sent: false };
  t.like(await failure(get(pool, '/late', { poolTimeout: 60 })), empty);
  t.like(await failure(get(pool, '/now', { poolTimeout: 0 })), empty);
  const waiting = paths(3, 2).map((path) => get(pool, path, { poolTimeout: 60_000 }));
  await until(() => pool.pool?.waiting === 3, 'three that wait');
  t.like(await failure(get(pool, '/more')), empty);
  await gate.next(2);
  await gate.holds(2);
  await gate.next(2);
  await gate.holds(1);
  await gate.next();
  t.deepEqual(await texts([...calls, ...waiting]), paths(5));
  t.is(pool.stats().errors['ERR_POOL_EMPTY'], 3);
});

test('POOL-08: a pool that does not block opens more, each filled before the next, and keeps maxsize of them', async (t) => {
  const { pool, server, gate } = await gated(t, 5, { maxsize: 1 });
  const first = paths(5).map((path) => get(pool, path));
  await gate.holds(5);
  const second = paths(7, 5).map((path) => get(pool, path));
  await gate.holds(12);
  t.true(server.peers.length >= 2 && server.peers.length <= 3, String(server.peers.length));
  t.like(pool.pool, { waiting: 0, leased: server.peers.length });
  await gate.next(12);
  t.deepEqual(await texts([...first, ...second]), paths(12));
  await until(() => pool.pool?.leased === 0, 'all back');
  t.deepEqual(pool.pool, { idle: 1, leased: 0, waiting: 0, maxsize: 1 });
  t.is(pool.stats().surplus, server.peers.length - 1);
});

test('POOL-07: a waiter that is aborted gives its turn to the next', async (t) => {
  const { pool, gate } = await gated(t, 1, { block: true });
  const first = get(pool, '/first');
  await gate.holds(1);
  const leave = new AbortController();
  const second = get(pool, '/second', { signal: leave.signal });
  const third = get(pool, '/third');
  await until(() => pool.pool?.waiting === 2, 'two that wait');
  leave.abort(new Error('enough'));
  await t.throwsAsync(second, { message: 'enough' });
  await gate.next();
  await gate.holds(1);
  await gate.next();
  t.deepEqual(await texts([first, third]), ['/first', '/third']);
  t.deepEqual(gate.seen, ['/first', '/third']);
});

test('THR-319: a call that is aborted resets its stream, and touches no other', async (t) => {
  const { pool, server, gate } = await gated(t, null);
  const leave = new AbortController();
  const calls = paths(20).map((path, n) => get(pool, path, n % 2 === 0 ? {} : { signal: leave.signal }));
  await gate.holds(20);
  leave.abort(new Error('enough'));
  for (const [n, call] of calls.entries()) {
    if (n % 2 === 1) await t.throwsAsync(call, { message: 'enough' });
  }
  for (const { request, peer } of gate.held) {
    if (Number(request.path.slice(1)) % 2 === 1) t.is(await peer.resetOf(request), CODE.CANCEL);
    else t.is(request.reset, null);
  }
  await gate.next(20);
  const kept = calls.filter((_, n) => n % 2 === 0);
  t.deepEqual(
    await texts(kept),
    paths(20).filter((_, n) => n % 2 === 0),
  );
  const next = get(pool, '/next');
  await gate.holds(1);
  await gate.next();
  t.is((await next).text(), '/next');
  t.is(server.peers.length, 1);
  t.is(pool.stats().abandoned, 10);
});

test('THR-319: a body that is closed, released or left early frees its stream, not the connection', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each(async (request, peer) => {
      if (request.path === '/next') return echo(request, peer);
      return peer.pour(request, Buffer.alloc(1_000_000));
    }),
    { block: true },
    limited(1),
  );
  const ways: ((response: Awaited<ReturnType<typeof get>>) => Promise<unknown>)[] = [
    async (response) => response.close(),
    async (response) => response.releaseConn(),
    async (response) => response.drainConn(),
    async (response) => {
      for await (const piece of response) if (piece.length > 0) break;
    },
    async (response) => {
      await response.read(10);
      response
        .toWeb()
        .cancel()
        .catch(() => undefined);
    },
  ];
  for (const way of ways) {
    await way(await get(pool, '/large', { preloadContent: false }));
    // There is one stream at a time: this one must have become free.
    t.is((await get(pool, '/next')).text(), '/next');
  }
  t.is(server.peers.length, 1);
});

test('POOL-16 POOL-18: a streamed body holds its stream until its end, and the others of its connection are free', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each((request, peer) =>
      request.path === '/large' ? peer.pour(request, Buffer.alloc(300_000)) : echo(request, peer),
    ),
    { block: true },
    limited(2),
  );
  const large = await get(pool, '/large', { preloadContent: false });
  t.like(pool.pool, { leased: 1 });
  for (let n = 0; n < 5; n += 1) t.is((await get(pool, `/${n}`)).text(), `/${n}`);
  const second = await get(pool, '/large', { preloadContent: false });
  t.like(await failure(get(pool, '/full', { poolTimeout: 30 })), { name: 'EmptyPoolError' });
  t.is((await large.read()).length, 300_000);
  t.is((await get(pool, '/free')).text(), '/free');
  t.is((await second.read()).length, 300_000);
  t.deepEqual(pool.pool, { idle: 1, leased: 0, waiting: 0, maxsize: 1 });
  t.is(server.peers.length, 1);
});

test('POOL-14: a connection that the server has closed, or said goodbye on, while it was idle costs no error', async (t) => {
  for (const how of ['end', 'goaway', 'reset'] as const) {
    const { pool, server } = await overFrames(t, each(echo), { maxsize: 1, block: true });
    t.is((await get(pool, '/1')).text(), '/1');
    const peer = await server.peer(1);
    if (how === 'goaway') await peer.send(goaway(1));
    else if (how === 'reset') peer.reset();
    else peer.end();
    await peer.gone();
    // Of a reset the server's own side says nothing about whether the client has heard of it.
    await until(() => pool.stats().closed === 1, 'the close');
    t.is((await get(pool, '/2')).text(), '/2', how);
    t.is((await pool.request('POST', '/3', { body: 'x' })).text(), '/3', how);
    t.is(server.peers.length, 2);
    t.like(pool.stats(), { opened: 2, closed: 1, requests: 3 });
  }
});

test('idleTimeout closes an idle connection, and never one with a stream', async (t) => {
  const { pool, server, gate } = await gated(t, null, { idleTimeout: 60 });
  const held = get(pool, '/held');
  await gate.holds(1);
  const quick = get(pool, '/quick');
  await gate.holds(2);
  const last = gate.held.pop();
  if (last !== undefined) await echo(last.request, last.peer);
  await quick;
  await new Promise((resolve) => setTimeout(resolve, 150));
  t.is(pool.stats().closed, 0);
  await gate.next();
  await held;
  await server.peers[0]?.gone();
  await until(() => pool.stats().closed === 1, 'the close');
  t.deepEqual(counted(pool), { opened: 1, idle: 0, leased: 0, waiting: 0 });
});

test('maxAge: an old connection takes no new stream, and closes when those that it has are done', async (t) => {
  const { pool, server, gate } = await gated(t, null, { maxAge: 700, maxsize: 2 });
  const old = get(pool, '/old');
  await gate.holds(1);
  await new Promise((resolve) => setTimeout(resolve, 800));
  const young = get(pool, '/young');
  await gate.holds(2);
  t.is(server.peers.length, 2);
  t.is(gate.held[1]?.peer.number, 2);
  await gate.next(2);
  t.deepEqual(await texts([old, young]), ['/old', '/young']);
  await server.peers[0]?.gone();
});

test('maxRequestsPerConnection counts streams', async (t) => {
  const { pool, server } = await overFrames(t, each(echo), { maxRequestsPerConnection: 3, maxsize: 10, block: true });
  for (const path of paths(7)) t.is((await get(pool, path)).text(), path);
  t.deepEqual(
    server.peers.map((peer) => peer.requests.length),
    [3, 3, 1],
  );
  const calls = paths(20).map((path) => get(pool, path));
  t.deepEqual(await texts(calls), paths(20));
  t.true(server.peers.every((peer) => peer.requests.length <= 3));
  await server.peers[0]?.gone();
});

test('POOL-10 THR-1220: close waits for the streams in flight, turns waiters and later requests away', async (t) => {
  const { pool, server, gate } = await gated(t, 5, { block: true });
  const calls = paths(5).map((path) => get(pool, path));
  await gate.holds(5);
  const waiters = paths(3, 5).map((path) => failure(get(pool, path)));
  await until(() => pool.pool?.waiting === 3, 'three that wait');
  const closing = pool.close();
  t.is(pool.pool, null);
  for (const waiter of waiters) t.like(await waiter, { name: 'ClosedPoolError', code: 'ERR_POOL_CLOSED' });
  t.like(await failure(get(pool)), { name: 'ClosedPoolError' });
  await gate.next(5);
  t.deepEqual(await texts(calls), paths(5));
  t.like(await closing, { closed: 1, drained: 5, forced: 0 });
  await server.peers[0]?.gone();
});

test('THR-1220: close with a time-out cuts off every stream that is left, and counts each', async (t) => {
  const { pool, server, gate } = await gated(t, null);
  const calls = paths(10).map((path) => get(pool, path));
  const settled = Promise.allSettled(calls);
  await gate.holds(10);
  await gate.next(4);
  await Promise.all(calls.slice(0, 4));
  t.like(await pool.close({ timeout: 30 }), { closed: 1, drained: 0, forced: 6 });
  const outcomes = await settled;
  t.is(outcomes.filter(({ status }) => status === 'fulfilled').length, 4);
  for (const one of outcomes) {
    if (one.status === 'rejected') t.like(one.reason, { name: 'ClosedPoolError', code: 'ERR_POOL_CLOSED', sent: true });
  }
  await server.peers[0]?.gone();
});

test('warm makes connections ahead, and requests use them', async (t) => {
  const { pool, server } = await overFrames(t, each(echo), { maxsize: 2 });
  await pool.warm(1);
  await server.peer(1);
  t.deepEqual(pool.pool, { idle: 1, leased: 0, waiting: 0, maxsize: 2 });
  t.is((await get(pool)).text(), '/');
  t.is(server.peers.length, 1);
});

test('requestMany: a thousand over a hundred streams of one connection', async (t) => {
  let most = 0;
  const { pool, server } = await overFrames(
    t,
    each(async (request, peer) => {
      most = Math.max(most, peer.requests.filter(({ ended, done }) => ended && !done).length);
      await peer.settled();
      request.done = true;
      await echo(request, peer);
    }),
    {},
    limited(100),
  );
  const seen = new Set<number>();
  for await (const settled of pool.requestMany(paths(1_000), { concurrency: 100 })) {
    if (settled.ok) t.is(settled.response.text(), `/${settled.index}`);
    else t.fail(settled.error.message);
    seen.add(settled.index);
  }
  t.is(seen.size, 1_000);
  t.is(server.peers.length, 1);
  t.true(most <= 100, String(most));
  t.true(most > 50, String(most));
});

test('H2-05: while one dial is under way the others wait for it; one that fails teaches nothing', async (t) => {
  const { pool } = await overFrames(t, each(echo), { port: await closedPort(t), maxsize: 4, block: true });
  const errors = await Promise.all(paths(10).map((path) => failure(get(pool, path))));
  for (const error of errors) t.like(error, { name: 'NewConnectionError', code: 'ECONNREFUSED' });
  t.deepEqual(counted(pool), { opened: 0, idle: 0, leased: 0, waiting: 0 });
});

test('stats: bytes on the wire, decoded bytes, errors by code, the oldest in flight, latencies', async (t) => {
  const { pool, gate } = await gated(t, null);
  const call = pool.request('POST', '/x', { body: Buffer.alloc(10_000) });
  await gate.holds(1);
  t.true((pool.stats().oldestInFlight ?? -1) >= 0);
  const one = gate.held.shift();
  await one?.peer.body(one.request);
  if (one !== undefined) await one.peer.pour(one.request, Buffer.alloc(20_000));
  await call;
  const aborted = get(pool, '/late', { timeout: { read: 500 } });
  t.like(await failure(aborted), { name: 'ReadTimeoutError', code: 'ERR_READ_TIMEOUT', phase: 'headers' });
  const stats = pool.stats();
  t.true(stats.wireBytesOut > 10_000 && stats.wireBytesOut < 11_000, String(stats.wireBytesOut));
  t.true(stats.wireBytesIn > 20_000 && stats.wireBytesIn < 21_000, String(stats.wireBytesIn));
  t.like(stats, { decodedBytes: 20_000, requests: 2, opened: 1, oldestInFlight: null });
  t.is(stats.errors['ERR_READ_TIMEOUT'], 1);
  t.is(stats.latency?.total.count, 1);
});

test.serial('WARN-05: connections and requests are told as over HTTP/1.1, with their protocol', async (t) => {
  const { pool, server } = await overFrames(t, each(echo));
  const notices = new Notices(t, [
    'connection:open',
    'connection:close',
    'request:start',
    'request:headers',
    'request:end',
  ]);
  await Promise.all(paths(3).map((path) => get(pool, path)));
  await pool.close();
  const closed = await notices.nth('connection:close');
  const facts = { host: '127.0.0.1', port: server.port, remoteAddress: '127.0.0.1', protocol: 'h2', proxy: null };
  t.deepEqual(closed, { ...facts, reason: 'closed' } as typeof closed);
  t.deepEqual(notices.of('connection:open'), [{ ...facts, reason: null } as typeof closed]);
  for (const name of ['request:start', 'request:headers', 'request:end'] as const)
    t.is(notices.of(name).length, 3, name);
});

test.serial('WARN-05: a connection that says goodbye closes once it is empty, and is told once', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each(async (request, peer) => {
      await peer.send(head(request.id, 200), goaway(request.id), settings());
      await peer.send(data(request.id, 'x', { end: true }));
    }),
  );
  const notices = new Notices(t, ['connection:open', 'connection:close']);
  t.is((await get(pool)).text(), 'x');
  await server.peers[0]?.gone();
  const closed = await notices.nth('connection:close');
  t.true(['peer closed', 'not reusable'].includes(closed.reason ?? ''), String(closed.reason));
  await pool.close();
  t.is(notices.of('connection:close').length, 1);
});

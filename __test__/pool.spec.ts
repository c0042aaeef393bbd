/**
 * A pool's life: how connections are lent, kept, counted and let go, and what waits while there is none.
 */
import { once } from 'node:events';
import http from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import * as ferropool from '../index.ts';
import { connectionFromUrl, HTTPConnectionPool, PoolManager } from '../index.ts';
import type { HTTPResponse, PoolOptions, Settled } from '../index.ts';
import { blackHole } from './servers/black-hole.ts';
import { httpServer } from './servers/http.ts';
import { answers, rawServer, reply } from './servers/raw.ts';
import type { RawServer, Script } from './servers/raw.ts';
import { outcome } from './support/child.ts';
import { clocked, within } from './support/clocked.ts';
import { closedPort } from './support/fixtures.ts';
import { until } from './support/street.ts';

/** A script and a pool for it; both are gone, and every connection accounted for, when the test ends. */
async function bench(
  t: ExecutionContext,
  script: Script,
  options: PoolOptions = {},
): Promise<[HTTPConnectionPool, RawServer]> {
  const server = await rawServer(script);
  const pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port: server.port, ...options });
  t.teardown(async () => {
    const before = pool.stats();
    await pool.close({ timeout: 0 });
    await server.close();
    // THR-1010
    for (const { opened, closed, idle, leased } of [before, pool.stats()]) {
      if (opened !== closed + idle + leased) throw new Error('a connection was lost');
    }
  });
  return [pool, server];
}

/** A server that holds every request until the test lets the oldest go. */
class Gate {
  readonly #held: (() => void)[] = [];
  readonly #arrived: (() => void)[] = [];
  readonly seen: string[] = [];

  readonly script: Script = async (peer) => {
    for (;;) {
      const request = await peer.request();
      this.seen.push(request.split(' ')[1] ?? '');
      await new Promise<void>((resolve) => {
        this.#held.push(resolve);
        for (const wake of this.#arrived.splice(0)) wake();
      });
      await peer.write(reply(this.seen.at(-1) ?? ''));
    }
  };

  /** Waits until so many requests are held. */
  async holds(count: number): Promise<void> {
    while (this.#held.length < count) await new Promise<void>((resolve) => this.#arrived.push(resolve));
  }

  /** Answers the oldest that is held. */
  next(): void {
    this.#held.shift()?.();
  }
}

/** Hears a request and never answers. */
const silent: Script = async (peer) => {
  await peer.request();
};

const get = (pool: HTTPConnectionPool, url = '/', options = {}): Promise<HTTPResponse> =>
  pool.request('GET', url, options);
const emptyPool = { name: 'EmptyPoolError', code: 'ERR_POOL_EMPTY', phase: 'pool' };
const closedPool = { name: 'ClosedPoolError', code: 'ERR_POOL_CLOSED' };

test('POOL-01: a pool needs a host; what is not set is the default', (t) => {
  for (const host of ['', null, undefined]) {
    t.throws(() => new HTTPConnectionPool(host as string), {
      name: 'LocationValueError',
      message: 'No host specified.',
    });
  }
  const pool = new HTTPConnectionPool('localhost');
  t.like(pool, { host: 'localhost', port: null, scheme: 'http', maxsize: 1, block: false });
  t.deepEqual(pool.timeout.toJSON(), { total: null, connect: null, read: null });
  t.is(pool.headers.size, 0);
  t.deepEqual(pool.pool, { idle: 0, leased: 0, waiting: 0, maxsize: 1 });
  t.deepEqual([pool.numConnections, pool.numRequests], [0, 0]);
});

test('POOL-04: a pool’s text has its class’s own name, and begins every PoolError', async (t) => {
  class Mine extends HTTPConnectionPool {}
  t.is(String(new Mine('H', { port: 8080 })), "Mine(host='h', port=8080)");
  const pool = new HTTPConnectionPool('localhost');
  t.is(String(pool), "HTTPConnectionPool(host='localhost', port=null)");
  const foreign = await t.throwsAsync(get(pool, 'http://evil.example/'), { name: 'HostChangedError' });
  t.true(foreign?.message.startsWith(`${String(pool)}: `));
  await pool.close();
  const closed = await t.throwsAsync(get(pool), closedPool);
  t.is(closed?.message, "HTTPConnectionPool(host='localhost', port=null): Pool is closed.");
  t.is((closed as ferropool.ClosedPoolError).pool, pool);
});

test('POOL-05, POOL-06, POOL-16: one request at a time needs one connection, which is back when the promise resolves', async (t) => {
  const [pool, server] = await bench(t, answers(reply('x')), { maxsize: 10 });
  for (let n = 1; n <= 20; n += 1) {
    await get(pool);
    t.deepEqual(pool.pool, { idle: 1, leased: 0, waiting: 0, maxsize: 10 });
    t.deepEqual([pool.numConnections, pool.numRequests], [1, n]);
  }
  t.is(server.peers.length, 1);
  t.is(pool.stats().reused, 19);
});

test('POOL-05: the connection that came back last is used first', async (t) => {
  const gate = new Gate();
  const [pool, server] = await bench(t, gate.script, { maxsize: 3, block: true });
  const calls = [get(pool, '/1'), get(pool, '/2'), get(pool, '/3')];
  await gate.holds(3);
  for (const url of gate.seen.slice()) {
    gate.next();
    // One after the other, so that the order of return is known.
    await calls[Number(url.slice(1)) - 1];
  }
  const lastUsed = gate.seen[2];
  const before = server.peers.map((peer) => peer.received.length);
  const call = get(pool, '/again');
  await gate.holds(1);
  gate.next();
  await call;
  const grown = server.peers.findIndex((peer, at) => peer.received.length > (before[at] ?? 0));
  t.true(server.peers[grown]?.received.toString().startsWith(`GET ${lastUsed} `));
  t.is(pool.numConnections, 3);
});

test('POOL-06, WART-14: numConnections counts sockets, numRequests every attempt on one', async (t) => {
  const [pool, server] = await bench(t, answers(reply('x', 'HTTP/1.1 200 OK\r\nConnection: close\r\n')));
  for (let n = 1; n <= 3; n += 1) {
    await get(pool);
    t.deepEqual([pool.numConnections, pool.numRequests, server.peers.length], [n, n, n]);
  }
});

test('POOL-07: a blocking pool has maxsize connections at most; the others wait in order of arrival', async (t) => {
  const gate = new Gate();
  const [pool, server] = await bench(t, gate.script, { maxsize: 2, block: true });
  const calls = Array.from({ length: 10 }, (_, n) => get(pool, `/${n}`));
  await gate.holds(2);
  await until(() => pool.pool?.waiting === 8, 'eight waiters');
  t.deepEqual(pool.pool, { idle: 0, leased: 2, waiting: 8, maxsize: 2 });
  for (let left = 10; left > 0; left -= 1) {
    await gate.holds(Math.min(left, 2));
    gate.next();
    if (left > 2) await gate.holds(2);
  }
  await Promise.all(calls);
  t.deepEqual(gate.seen.slice(2), ['/2', '/3', '/4', '/5', '/6', '/7', '/8', '/9']);
  t.is(server.peers.length, 2);
  t.deepEqual(pool.pool, { idle: 2, leased: 0, waiting: 0, maxsize: 2 });
});

test('POOL-07, THR-909: a thousand waiters on one slot reject when poolTimeout is up, and their places are free', async (t) => {
  const gate = new Gate();
  const [pool] = await bench(t, gate.script, { block: true });
  const first = get(pool);
  await gate.holds(1);
  const began = performance.now();
  const errors = await Promise.all(
    Array.from({ length: 1_000 }, () =>
      t.throwsAsync(get(pool, '/late', { poolTimeout: 100 }), { name: 'EmptyPoolError' }),
    ),
  );
  t.true(performance.now() - began >= 90);
  for (const error of errors) t.like(error, { ...emptyPool, sent: false, attempts: 0 });
  const said = "Pool is empty and a new connection can't be opened due to blocking mode.";
  t.is(errors[0]?.message, `${String(pool)}: ${said} (poolTimeout=100 ms, maxsize=1)`);
  t.deepEqual(pool.pool, { idle: 0, leased: 1, waiting: 0, maxsize: 1 });
  t.like(await t.throwsAsync(get(pool, '/now', { poolTimeout: 0 })), emptyPool);
  const waiting = get(pool, '/next', { poolTimeout: 60_000 });
  gate.next();
  await first;
  await gate.holds(1);
  gate.next();
  t.is((await waiting).text(), '/next');
  t.deepEqual(gate.seen, ['/', '/next']);
  t.is(pool.numRequests, 2);
  t.is(pool.stats().errors['ERR_POOL_EMPTY'], 1_001);
});

test('POOL-07: a waiter that is aborted gives its turn to the next', async (t) => {
  const gate = new Gate();
  const [pool] = await bench(t, gate.script, { block: true });
  const first = get(pool);
  await gate.holds(1);
  const leave = new AbortController();
  const second = get(pool, '/second', { signal: leave.signal });
  const third = get(pool, '/third');
  await until(() => pool.pool?.waiting === 2, 'two waiters');
  leave.abort(new Error('enough'));
  await t.throwsAsync(second, { message: 'enough' });
  gate.next();
  await first;
  await gate.holds(1);
  gate.next();
  t.is((await third).text(), '/third');
  t.deepEqual(pool.pool, { idle: 1, leased: 0, waiting: 0, maxsize: 1 });
});

clocked('THR-1003: ten thousand waiters are served in order, and maxWaiting turns the next away at once', async (t) => {
  const most = 10_000;
  const gate = new Gate();
  const order: number[] = [];
  const [pool] = await bench(t, gate.script, { block: true, maxWaiting: most });
  const first = get(pool, '/first');
  await gate.holds(1);
  const leave = new AbortController();
  const calls = Array.from({ length: most }, (_, n) => {
    const call = get(pool, '/', n % 2 === 0 ? {} : { signal: leave.signal });
    return call.then(
      () => order.push(n),
      () => {},
    );
  });
  await until(() => pool.pool?.waiting === most, 'all waiters');
  const full = await t.throwsAsync(get(pool), { name: 'EmptyPoolError' });
  t.like(full, emptyPool);
  t.regex(full?.message ?? '', /maxWaiting/);
  const began = performance.now();
  leave.abort();
  await until(() => pool.pool?.waiting === most / 2, 'half of them');
  const took = performance.now() - began;
  const answering = (async () => {
    await gate.holds(1);
    gate.next();
    for (let served = 0; served < most / 2; served += 1) {
      await gate.holds(1);
      gate.next();
    }
  })();
  await first;
  await Promise.all([...calls, answering]);
  t.deepEqual(
    order,
    order.toSorted((a, b) => a - b),
  );
  t.is(order.length, most / 2);
  t.is(pool.numConnections, 1);
  within(t, took < 2_000, `${took} ms`);
});

test.serial(
  'POOL-08, WART-08: a pool that does not block opens more, closes the surplus, and warns of it once',
  async (t) => {
    const gate = new Gate();
    const warnings: (Error & { code?: string })[] = [];
    const listen = (warning: Error): void => void warnings.push(warning);
    process.on('warning', listen);
    t.teardown(() => void process.off('warning', listen));
    const [pool, server] = await bench(t, gate.script, { maxsize: 2 });
    for (let round = 1; round <= 2; round += 1) {
      const calls = Array.from({ length: 5 }, (_, n) => get(pool, `/${n}`));
      await gate.holds(5);
      t.like(pool.pool, { leased: 5, waiting: 0 });
      for (let n = 0; n < 5; n += 1) gate.next();
      await Promise.all(calls);
      t.deepEqual(pool.pool, { idle: 2, leased: 0, waiting: 0, maxsize: 2 });
      t.is(pool.stats().surplus, 3 * round);
    }
    t.is(pool.numConnections, 8);
    t.is(server.peers.length, 8);
    await until(() => warnings.length > 0, 'a warning');
    const ours = warnings.filter(({ message }) => message.includes('pool is full'));
    t.is(ours.length, 1);
    t.is(ours[0]?.name, 'FerropoolWarning');
    const said = /^Connection pool is full, discarding connection: 127\.0\.0\.1:\d+\. Connection pool size: 2\b/;
    t.regex(ours[0]?.message ?? '', said);
  },
);

test('POOL-09: FullPoolError is a PoolError for whoever names it', (t) => {
  const error = new ferropool.FullPoolError(new HTTPConnectionPool('h'), 'x');
  t.true(error instanceof ferropool.PoolError);
  t.like(error, {
    name: 'FullPoolError',
    code: 'ERR_POOL_FULL',
    message: "HTTPConnectionPool(host='h', port=null): x",
  });
});

test('POOL-10, THR-1220: close lets idle connections go, leased ones finish, waiters and later requests reject', async (t) => {
  const gate = new Gate();
  const [pool, server] = await bench(t, gate.script, { maxsize: 2, block: true });
  const one = get(pool, '/one');
  await gate.holds(1);
  gate.next();
  await one;
  const leased = [get(pool, '/a'), get(pool, '/b')];
  await gate.holds(2);
  const waiters = [get(pool, '/w1'), get(pool, '/w2')];
  await until(() => pool.pool?.waiting === 2, 'two waiters');
  const closing = pool.close();
  t.is(pool.pool, null);
  for (const waiter of waiters) t.like(await t.throwsAsync(waiter), closedPool);
  const later = await t.throwsAsync(get(pool), closedPool);
  t.is(later?.message, `${String(pool)}: Pool is closed.`);
  await t.throwsAsync(pool.warm(1), closedPool);
  const again = pool.close();
  gate.next();
  gate.next();
  t.deepEqual(
    (await Promise.all(leased)).map((response) => response.status),
    [200, 200],
  );
  const report = await closing;
  t.like(report, { closed: 2, drained: 2, forced: 0 });
  t.true(report.elapsed >= 0);
  t.like(await again, { forced: 0 });
  t.like(await pool.close(), { closed: 0, drained: 0, forced: 0 });
  for (const peer of server.peers) await peer.gone();
  const { opened, closed, idle, leased: held } = pool.stats();
  t.deepEqual([opened, closed, idle, held], [2, 2, 0, 0]);
});

test('POOL-10: a close that a later one cuts short says that its leases were cut, of a manager too', async (t) => {
  const gate = new Gate();
  const [pool, server] = await bench(t, gate.script, { maxsize: 3, block: true });
  const manager = new PoolManager();
  const leased = [get(pool, '/a'), get(pool, '/b'), get(pool, '/c')];
  // The oldest that is held, which is answered, is to be one of the pool's.
  await gate.holds(3);
  const managed = manager.request('GET', `http://127.0.0.1:${server.port}/m`);
  await gate.holds(4);
  const first = pool.close();
  const firstOfManager = manager.close();
  gate.next();
  await Promise.any(leased);
  const [report, cut] = await Promise.all([first, pool.close({ timeout: 0 })]);
  t.like(report, { closed: 3, drained: 1, forced: 2 });
  t.like(cut, { drained: 0, forced: 2 });
  const [ofManager] = await Promise.all([firstOfManager, manager.close({ timeout: 0 })]);
  t.like(ofManager, { drained: 0, forced: 1 });
  t.is((await Promise.allSettled([...leased, managed])).filter(({ status }) => status === 'rejected').length, 3);
});

test('POOL-10: what was asked for before close is answered, though its connection was not there yet', async (t) => {
  const [pool, server] = await bench(t, answers(reply('x')), { maxsize: 2, block: true });
  const calls = [get(pool, '/1'), get(pool, '/2')];
  const late = get(pool, '/3');
  const closing = pool.close();
  t.like(await t.throwsAsync(late), { ...closedPool, phase: 'pool' });
  t.deepEqual(
    (await Promise.all(calls)).map((response) => response.status),
    [200, 200],
  );
  t.like(await closing, { closed: 2, drained: 2, forced: 0 });
  for (const peer of server.peers) await peer.gone();
});

test('POOL-10: idle connections close at once, though others are leased', async (t) => {
  const gate = new Gate();
  const [pool, server] = await bench(t, gate.script, { maxsize: 2, block: true });
  const calls = [get(pool, '/1'), get(pool, '/2')];
  await gate.holds(2);
  gate.next();
  await Promise.race(calls);
  t.like(pool.pool, { idle: 1, leased: 1 });
  const closing = pool.close();
  await Promise.race(server.peers.map((peer) => peer.gone()));
  t.is(pool.stats().leased, 1);
  gate.next();
  t.like(await closing, { closed: 2, drained: 1, forced: 0 });
  await Promise.all(calls);
});

clocked('THR-1220: close with a timeout cuts off what is left, and counts it', async (t) => {
  const gate = new Gate();
  const [pool, server] = await bench(t, gate.script, { maxsize: 3, block: true });
  const calls = [get(pool), get(pool), get(pool)];
  await gate.holds(3);
  const outcomes = Promise.allSettled(calls);
  gate.next();
  await Promise.race(calls);
  const report = await pool.close({ timeout: 30 });
  t.like(report, { closed: 3, drained: 0, forced: 2 });
  within(t, report.elapsed >= 25 && report.elapsed < 2_000, String(report.elapsed));
  const rejected = (await outcomes).flatMap((one) => (one.status === 'rejected' ? [one.reason as Error] : []));
  t.is(rejected.length, 2);
  for (const error of rejected) t.like(error, { ...closedPool, sent: true });
  for (const peer of server.peers) await peer.gone();
});

for (const order of ['patient first', 'patient last'] as const) {
  test.serial(`THR-1220: of two who close a pool, both hear what one of them cut off (the ${order})`, async (t) => {
    const gate = new Gate();
    const [pool] = await bench(t, gate.script, { maxsize: 1, block: true });
    const outcome = Promise.allSettled([get(pool)]);
    await gate.holds(1);
    const spans = order === 'patient first' ? [{}, { timeout: 30 }] : [{ timeout: 30 }, {}];
    const reports = await Promise.all(spans.map((span) => pool.close(span)));
    for (const report of reports) t.like(report, { drained: 0, forced: 1 });
    t.like(await outcome, [{ status: 'rejected', reason: closedPool }]);
  });
}

test('POOL-11: using closes a pool when the block ends, by an exception too', async (t) => {
  const [, server] = await bench(t, answers(reply('x')));
  let held: HTTPConnectionPool | null = null;
  {
    await using pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port: server.port });
    await get(pool);
    held = pool;
    t.not(pool.pool, null);
  }
  t.is(held.pool, null);
  await server.peers[0]?.gone();
  const failing = async (): Promise<void> => {
    await using pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port: server.port });
    held = pool;
    await get(pool);
    throw new Error('passes through');
  };
  await t.throwsAsync(failing(), { message: 'passes through' });
  t.is(held.pool, null);
  await server.peers[1]?.gone();
  {
    using pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port: server.port });
    held = pool;
    await get(pool);
  }
  t.is(held.pool, null);
  await server.peers[2]?.gone();
});

test('POOL-12, POOL-13, THR-1010: whatever goes wrong, the slot comes back, the connection does not', async (t) => {
  const faults: [name: string, script: Script, error: object, options?: object][] = [
    ['FIN before an answer', (peer) => peer.request().then(() => peer.end()), { name: 'ProtocolError' }],
    ['RST before an answer', (peer) => peer.request().then(() => peer.reset()), { name: 'ProtocolError' }],
    ['no HTTP', (peer) => peer.request().then(() => peer.write('nonsense\r\n\r\n')), { name: 'ProtocolError' }],
    [
      'FIN in a body',
      (peer) => peer.request().then(() => peer.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab')),
      { name: 'ProtocolError', code: 'ERR_INCOMPLETE_READ' },
    ],
    [
      'a bad chunk',
      (peer) => peer.request().then(() => peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n')),
      { name: 'ProtocolError', code: 'ERR_CHUNK' },
    ],
    [
      'a bad coding',
      (peer) =>
        peer.request().then(() => peer.write(reply('no gzip', 'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n'))),
      { name: 'DecodeError' },
    ],
    ['silence', silent, { name: 'ReadTimeoutError' }, { timeout: { read: 60 } }],
    ['a deadline', silent, { code: 'ERR_TOTAL_TIMEOUT' }, { timeout: { total: 600 } }],
    [
      'too large',
      (peer) => peer.request().then(() => peer.write(reply('x'.repeat(100)))),
      { name: 'ResponseTooLarge' },
      { limits: { decoded: 10 } },
    ],
  ];
  let current: Script = answers(reply('x'));
  const [pool, server] = await bench(t, (peer) => current(peer), { block: true });
  for (const [name, script, expected, options] of faults) {
    current = script;
    const before = server.peers.length;
    // The first connection of the round breaks; the next request must find the slot free, and another connection.
    const error = await t.throwsAsync(get(pool, '/', options), { any: true }, name);
    t.like(error, expected, name);
    t.deepEqual(pool.pool, { idle: 0, leased: 0, waiting: 0, maxsize: 1 }, name);
    await (await server.peer(before + 1)).gone();
    current = answers(reply('fine', 'HTTP/1.1 200 OK\r\nConnection: close\r\n'));
    t.is((await get(pool)).text(), 'fine', name);
    t.is(server.peers.length, before + 2, name);
  }
  current = silent;
  const leave = new AbortController();
  const call = get(pool, '/', { signal: leave.signal });
  const peer = await server.peer(server.peers.length + 1);
  await peer.bytes(10);
  leave.abort(new Error('enough'));
  await t.throwsAsync(call, { message: 'enough' });
  await peer.gone();
  await until(() => pool.stats().leased === 0, 'the slot');
  const { opened, closed, idle, leased } = pool.stats();
  t.is(opened, closed + idle + leased);
});

test('POOL-12: a connection that is refused, or whose name is not found, gives its slot back', async (t) => {
  const port = await closedPort(t);
  const pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port, block: true });
  t.teardown(() => pool.close());
  for (let n = 0; n < 3; n += 1) {
    t.like(await t.throwsAsync(get(pool, '/', { poolTimeout: 1_000 })), {
      name: 'NewConnectionError',
      code: 'ECONNREFUSED',
      sent: false,
    });
    t.deepEqual(pool.pool, { idle: 0, leased: 0, waiting: 0, maxsize: 1 });
  }
  t.deepEqual([pool.numConnections, pool.stats().opened], [0, 0]);
});

test('POOL-14: a connection that the server closed while it was idle costs no error', async (t) => {
  const [pool, server] = await bench(t, answers(reply('x')));
  for (let n = 1; n <= 5; n += 1) {
    await pool.request('POST', '/', { body: 'once', retries: 0 });
    server.peers[n - 1]?.end();
    await server.peers[n - 1]?.gone();
  }
  t.deepEqual([pool.numConnections, server.peers.length], [5, 5]);
  // Nor when nobody has had the time to see the FIN: it lies in the socket when the next request is made.
  for (let n = 6; n < 30; n += 1) {
    await pool.request('POST', '/', { body: 'once', retries: 0 });
    const { socket } = server.peers.at(-1) ?? {};
    await new Promise<void>((resolve) => socket?.end(resolve));
  }
  await pool.request('POST', '/', { body: 'once', retries: 0 });
  for (const { received } of server.peers) t.is(received.toString().match(/POST/g)?.length, 1);
});

test('POOL-15: Connection: close and HTTP/1.0 end a connection after the body, keep-alive keeps it', async (t) => {
  const heads: [head: string, kept: boolean][] = [
    ['HTTP/1.1 200 OK\r\n', true],
    ['HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n', true],
    ['HTTP/1.1 200 OK\r\nConnection: close\r\n', false],
    ['HTTP/1.1 200 OK\r\nConnection: foo, Close\r\n', false],
    ['HTTP/1.0 200 OK\r\n', false],
    ['HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n', true],
  ];
  for (const [head, kept] of heads) {
    const [pool, server] = await bench(t, answers(reply('x', head)));
    await get(pool);
    t.is(pool.pool?.idle, kept ? 1 : 0, head);
    if (!kept) await server.peers[0]?.gone();
    await get(pool);
    t.is(pool.numConnections, kept ? 1 : 2, head);
  }
  const [pool] = await bench(t, (peer) => peer.request().then(() => peer.end('HTTP/1.1 200 OK\r\n\r\nto the end')));
  t.is((await get(pool)).text(), 'to the end');
  t.is(pool.pool?.idle, 0);
});

test('POOL-26: an invalid timeout is refused before a connection is taken, in a full blocking pool too', async (t) => {
  const gate = new Gate();
  const [pool] = await bench(t, gate.script, { block: true });
  const first = get(pool);
  await gate.holds(1);
  for (const timeout of [0, -1, NaN, 0.5, '1', true, { connect: 0 }, { read: -1 }, { total: 'x' }]) {
    await t.throwsAsync(get(pool, '/', { timeout }), { code: 'ERR_INVALID_TIMEOUT' }, inspect(timeout));
    t.throws(() => new HTTPConnectionPool('h', { timeout: timeout as number }), { code: 'ERR_INVALID_TIMEOUT' });
  }
  t.is(pool.pool?.waiting, 0);
  gate.next();
  await first;
  t.is(pool.numRequests, 1);
});

test('POOL-27: localAddress binds the client side; what cannot be bound is a NewConnectionError', async (t) => {
  for (const localAddress of ['127.0.0.2', { address: '127.0.0.3' }, { address: '127.0.0.4', port: 0 }]) {
    const [pool, server] = await bench(t, answers(reply('x')), { localAddress });
    const response = await get(pool);
    const expected = typeof localAddress === 'string' ? localAddress : localAddress.address;
    t.is(server.peers[0]?.socket.remoteAddress, expected);
    t.is(response.connection?.localAddress, expected);
  }
  // TEST-NET-3 (RFC 5737): no interface of ours has it.
  const [pool, server] = await bench(t, answers(reply('x')), { localAddress: '203.0.113.7' });
  t.like(await t.throwsAsync(get(pool)), { name: 'NewConnectionError', code: 'EADDRNOTAVAIL', sent: false });
  t.is(server.peers.length, 0);
  t.throws(() => new HTTPConnectionPool('h', { localAddress: 'no address' }), { code: 'ERR_INVALID_OPTION' });
});

test('POOL-28: sockets take the options that are given in place of the default, none at all too', async (t) => {
  for (const options of [
    {},
    { socketOptions: null },
    { socketOptions: {} },
    { socketOptions: { noDelay: false } },
    { socketOptions: { noDelay: true, receiveBuffer: 65_536, sendBuffer: 65_536 }, keepAlive: true },
    { keepAlive: { idle: 30_000, interval: 5_000, count: 3 } },
  ] satisfies PoolOptions[]) {
    const [pool] = await bench(t, answers(reply('x')), options);
    t.is((await get(pool)).text(), 'x');
  }
});

test('POOL-29: two pools for one URL are two pools', async (t) => {
  const [, server] = await bench(t, answers(reply('x')));
  const pools = [
    connectionFromUrl(`http://127.0.0.1:${server.port}/`),
    connectionFromUrl(`http://127.0.0.1:${server.port}/`),
  ];
  for (const pool of pools) await get(pool);
  t.is(server.peers.length, 2);
  await pools[0]?.close();
  t.is((await get(pools[1] as HTTPConnectionPool)).status, 200);
  await pools[1]?.close();
});

clocked('THR-915: an idle connection is closed within a second of idleTimeout and of maxAge', async (t) => {
  for (const options of [{ idleTimeout: 100 }, { maxAge: 100 }]) {
    const [pool, server] = await bench(t, answers(reply('x')), options);
    const began = performance.now();
    await get(pool);
    await server.peers[0]?.gone();
    const took = performance.now() - began;
    within(t, took >= 90 && took < 1_100, `${took}`);
    await until(() => pool.stats().closed === 1, 'the figures');
    await get(pool);
    t.is(pool.numConnections, 2);
  }
});

test('THR-915: a leased connection is not closed by age, but not used again either', async (t) => {
  const gate = new Gate();
  const [pool, server] = await bench(t, gate.script, { idleTimeout: 50, maxAge: 50 });
  const call = get(pool, '/slow');
  await gate.holds(1);
  await new Promise((resolve) => setTimeout(resolve, 150));
  t.false(server.peers[0]?.ended);
  gate.next();
  t.is((await call).text(), '/slow');
  await server.peers[0]?.gone();
  t.is(pool.pool?.idle, 0);
});

clocked('THR-315: Keep-Alive: timeout is honoured less half a second, and max is counted', async (t) => {
  const [pool, server] = await bench(t, answers(reply('x', 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\n')));
  const began = performance.now();
  await get(pool);
  await server.peers[0]?.gone();
  const took = performance.now() - began;
  within(t, took >= 450 && took < 1_000, `${took}`);
  await get(pool);
  t.is(server.peers.length, 2);
  let left = 3;
  const [counted] = await bench(t, async (peer) => {
    for (left = 3; left > 0; left -= 1) {
      await peer.request();
      await peer.write(reply('x', `HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=${left - 1}\r\n`));
    }
    // A fourth request would find nobody.
    await peer.gone();
  });
  for (let n = 0; n < 9; n += 1) await get(counted);
  t.is(counted.numConnections, 3);
  t.is(counted.stats().staleReplays, 0);
});

test('THR-1217: no request is lost where the server closes after every so many', async (t) => {
  let count = 0;
  const closing = await httpServer((request, response) => {
    count += 1;
    if (count % 7 === 0) response.setHeader('Connection', 'close');
    response.end(request.url);
  });
  const pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port: closing.port, maxsize: 8, block: true });
  t.teardown(async () => {
    await pool.close();
    await closing.close();
  });
  const urls = Array.from({ length: 3_000 }, (_, n) => `/${n}`);
  for await (const settled of pool.requestMany(urls)) {
    t.is(settled.ok ? settled.response.text() : String(settled.error), settled.request as string);
  }
  t.is(count, 3_000);
  const { opened, closed, idle, leased } = pool.stats();
  t.is(opened, closed + idle + leased);
});

test('maxRequestsPerConnection ends a connection after so many', async (t) => {
  const [pool, server] = await bench(t, answers(reply('x')), { maxRequestsPerConnection: 3 });
  for (let n = 0; n < 10; n += 1) await get(pool);
  t.is(server.peers.length, 4);
  await server.peers[0]?.gone();
});

test('warm opens connections and sends nothing; requests use them', async (t) => {
  const [pool, server] = await bench(t, answers(reply('x')), { maxsize: 3, block: true });
  await pool.warm(2);
  t.deepEqual(pool.pool, { idle: 2, leased: 0, waiting: 0, maxsize: 3 });
  await pool.warm(2);
  await pool.warm(0);
  t.deepEqual([pool.numConnections, pool.numRequests], [2, 0]);
  await server.peer(2);
  t.deepEqual(
    server.peers.map((peer) => peer.received.length),
    [0, 0],
  );
  await Promise.all([get(pool), get(pool)]);
  t.is(pool.numConnections, 2);
  await t.throwsAsync(pool.warm(4), { instanceOf: RangeError, code: 'ERR_INVALID_OPTION' });
  await t.throwsAsync(pool.warm(1.5), { instanceOf: RangeError, code: 'ERR_INVALID_OPTION' });
  await t.throwsAsync(pool.warm('2' as unknown as number), { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' });
  const refused = new HTTPConnectionPool('127.0.0.1', { retries: false, port: 0, maxsize: 2, block: true });
  await t.throwsAsync(refused.warm(2), { name: 'NewConnectionError' });
  t.deepEqual(refused.pool, { idle: 0, leased: 0, waiting: 0, maxsize: 2 });
  await refused.close();
});

test('unixSocket leads to a socket of the file system; Host is the pool’s', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'ferropool-'));
  const unixSocket = path.join(folder, 's');
  const server = http.createServer((request, response) => response.end(request.headers.host));
  server.listen(unixSocket);
  await once(server, 'listening');
  const pool = new HTTPConnectionPool('docker', { retries: false, unixSocket });
  t.teardown(async () => {
    await pool.close();
    server.close();
    rmSync(folder, { recursive: true });
  });
  t.is((await get(pool)).text(), 'docker');
  t.is((await get(pool)).text(), 'docker');
  t.is(pool.numConnections, 1);
  const nobody = new HTTPConnectionPool('docker', { retries: false, unixSocket: path.join(folder, 'none') });
  t.like(await t.throwsAsync(get(nobody)), { name: 'NewConnectionError', code: 'ENOENT' });
  await nobody.close();
});

test('resolve leads a name to an address; host:port counts before host, and Host keeps the name', async (t) => {
  const [, server] = await bench(t, answers(reply('x')));
  const { port } = server;
  for (const resolve of [
    { 'some.example': '127.0.0.1' },
    { 'some.example': `127.0.0.1:${port}` },
    { [`some.example:${port}`]: '127.0.0.1', 'some.example': '127.0.0.9' },
  ]) {
    const pool = new HTTPConnectionPool('Some.Example', { port, resolve });
    const response = await get(pool);
    t.is(response.connection?.remoteAddress, '127.0.0.1');
    t.true(server.peers.at(-1)?.received.toString().includes(`\r\nHost: some.example:${port}\r\n`));
    await pool.close();
  }
});

test('requestMany yields each as it settles, no more than so many at a time, and never throws for a request', async (t) => {
  let most = 0;
  let now = 0;
  const server = await httpServer((request, response) => {
    most = Math.max(most, (now += 1));
    setTimeout(() => {
      now -= 1;
      if (request.url === '/cut') request.socket.destroy();
      else response.end(`${request.method} ${request.url}`);
    }, 5);
  });
  const pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port: server.port, maxsize: 4, block: true });
  t.teardown(async () => {
    await pool.close();
    await server.close();
  });
  const tag = {};
  const planned = [
    ...Array.from({ length: 40 }, (_, n) => `/${n}`),
    '/cut',
    { url: '/tagged', method: 'post', tag, body: 'x' },
    { url: 'http://evil.example/' },
    { url: '/bad', headers: { 'a b': '1' } },
    3 as unknown as string,
  ];
  const settled: Settled[] = [];
  for await (const one of pool.requestMany(planned)) settled.push(one);
  t.is(settled.length, planned.length);
  t.true(most > 1 && most <= 4, String(most));
  settled.sort((a, b) => a.index - b.index);
  for (const [at, one] of settled.entries()) t.true(one.index === at && one.request === planned[at]);
  const text = (at: number): string => {
    const one = settled[at];
    return one?.ok === true ? one.response.text() : String(one?.error.name);
  };
  t.is(text(7), 'GET /7');
  t.deepEqual([40, 41, 42, 43, 44].map(text), [
    'ProtocolError',
    'POST /tagged',
    'HostChangedError',
    'InvalidHeader',
    'TypeError',
  ]);
});

test('requestMany: what a request rejects with and is no Error is the cause of one', async (t) => {
  const [pool] = await bench(t, answers(reply('x')));
  for (const reason of ['stop', null, 7, { why: 'mine' }, new RangeError('mine')]) {
    for await (const settled of pool.requestMany([{ url: '/', signal: AbortSignal.abort(reason) }])) {
      if (settled.ok) return t.fail();
      t.true(settled.error instanceof Error);
      t.is(reason instanceof Error ? settled.error : settled.error.cause, reason);
    }
  }
  return t.pass();
});

test('requestMany takes no more than it can send, and a source may wait for the responses', async (t) => {
  const [pool] = await bench(t, answers(reply('x')), { maxsize: 4, block: true });
  let taken = 0;
  function* endless(): Generator<string> {
    try {
      for (;;) yield `/${(taken += 1)}`;
    } finally {
      taken = -taken;
    }
  }
  let seen = 0;
  for await (const { ok } of pool.requestMany(endless(), { concurrency: 2 })) {
    t.true(ok);
    seen += 1;
    t.true(taken <= seen + 2);
    if (seen === 10) break;
  }
  t.true(taken < 0, 'the source was closed');
  // A crawler: what is fetched says what comes next.
  const found = ['/start'];
  let wake = (): void => {};
  async function* queue(): AsyncGenerator<string> {
    for (let given = 0; given < 5; given += 1) {
      while (found.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      yield found.shift() as string;
    }
  }
  const order: string[] = [];
  for await (const { request } of pool.requestMany(queue())) {
    order.push(request as string);
    found.push(`${request as string}+`);
    wake();
  }
  t.deepEqual(order, ['/start', '/start+', '/start++', '/start+++', '/start++++']);
});

test('bodies in pieces that requestMany has yielded can be read after its end', async (t) => {
  let goOn = (): void => {};
  const gate = new Promise<void>((resolve) => (goOn = resolve));
  const [pool] = await bench(
    t,
    async (peer) => {
      await peer.request();
      await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n0123456789');
      await gate;
      await peer.write('0123456789');
    },
    { maxsize: 2, block: true },
  );
  const bodies: Promise<Buffer>[] = [];
  const planned = ['/1', '/2'].map((url) => ({ url, preloadContent: false }));
  for await (const settled of pool.requestMany(planned)) if (settled.ok) bodies.push(settled.response.read());
  goOn();
  t.deepEqual(
    (await Promise.all(bodies)).map((body) => body.length),
    [20, 20],
  );
});

test('leaving requestMany aborts what is in flight, and does not wait for a source that has nothing', async (t) => {
  const gate = new Gate();
  const [pool, server] = await bench(t, gate.script, { maxsize: 3, block: true });
  async function* stuck(): AsyncGenerator<string> {
    yield '/1';
    yield '/2';
    await new Promise(() => {});
  }
  const many = pool.requestMany(stuck());
  const first = many.next();
  await gate.holds(2);
  gate.next();
  t.true(((await first).value as Settled).ok);
  await many.return?.();
  await Promise.race(server.peers.map((peer) => peer.gone()));
  await until(() => pool.stats().leased === 0, 'the slots');
  const failing = pool.requestMany(
    (function* () {
      yield '/3';
      throw new Error('the source broke');
    })(),
  );
  await t.throwsAsync(
    async () => {
      for await (const one of failing) t.truthy(one);
    },
    { message: 'the source broke' },
  );
  for (const [requests, options] of [
    ['/a', {}],
    [3, {}],
    [null, {}],
    [[], { concurrency: 0 }],
    [[], { concurrency: 1.5 }],
    [[], { concurency: 1 }],
  ] as [string[], object][]) {
    t.throws(() => pool.requestMany(requests, options), { code: 'ERR_INVALID_OPTION' });
  }
});

// Other systems than Linux refuse, or accept, where the queue is full.
const onLinux = process.platform === 'linux' ? test : () => undefined;
onLinux('THR-1220, POOL-12: an abort, and a close with a timeout, end a call that is still dialling', async (t) => {
  const hole = await blackHole();
  t.teardown(() => hole.close());
  const pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port: hole.port, maxsize: 2, block: true });
  const leave = new AbortController();
  const aborted = get(pool, '/', { signal: leave.signal });
  const dialling = get(pool);
  const waiting = get(pool);
  const both = Promise.allSettled([dialling, waiting]);
  await until(() => pool.pool?.waiting === 1, 'a waiter');
  leave.abort(new Error('enough'));
  await t.throwsAsync(aborted, { message: 'enough' });
  await until(() => pool.pool?.waiting === 0, 'its slot');
  t.like(pool.pool, { idle: 0, leased: 2 });
  t.like(await pool.close({ timeout: 20 }), { closed: 0, drained: 0, forced: 2 });
  for (const one of await both) {
    t.is(one.status, 'rejected');
    if (one.status === 'rejected') t.like(one.reason, { ...closedPool, sent: false });
  }
  const { opened, closed, idle, leased } = pool.stats();
  t.deepEqual([opened, closed, idle, leased], [0, 0, 0, 0]);
});

test('POOL-20: a pool that nobody holds closes its idle connections when it is collected; a held one stays open', async (t) => {
  const seen = await outcome('forgotten-pool.ts', [], { node: ['--expose-gc'] });
  t.deepEqual(seen, { forgotten: true, held: false, status: 200, sockets: 2 });
});

test('a call on a pool whose class throws in toString still ends', async (t) => {
  class Nameless extends HTTPConnectionPool {
    override toString(): string {
      throw new Error('no name');
    }
  }
  const server = await rawServer(() => {});
  const pool = new Nameless('127.0.0.1', { port: server.port, timeout: { read: 60 } });
  t.teardown(() => server.close());
  await t.throwsAsync(pool.request('GET', '/'), { message: 'no name' });
  t.is(pool.pool?.leased, 0);
  await pool.close();
});

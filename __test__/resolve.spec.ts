/** `resolve` as a function: what it may answer, when it is asked, and what becomes of a call that it fails. */
import test, { type ExecutionContext } from 'ava';

import {
  ConnectTimeoutError,
  HTTPConnectionPool,
  MaxRetryError,
  NameResolutionError,
  PoolManager,
  type PoolOptions,
  type Resolve,
} from '../index.ts';
import { blackHole } from './servers/black-hole.ts';
import { answers, rawServer, reply } from './servers/raw.ts';
import { closedPort, rejection, scripted } from './support/fixtures.ts';
import { codeOf, leads, pastOf, reasonOf, THROWN, turn, world } from './support/origins.ts';

const OK = reply('end');

/** A pool for `a.example` of port `port`, with this function. */
function resolving(t: ExecutionContext, resolve: Resolve, port: number, options = {}): HTTPConnectionPool {
  const pool = new HTTPConnectionPool('a.example', { port, resolve, retries: false, ...options });
  t.teardown(() => pool.close({ timeout: 0 }));
  return pool;
}

test('resolve: every shape of an answer, now or later; Host keeps the name', async (t) => {
  const server = await rawServer(answers(OK));
  t.teardown(() => server.close());
  const { port } = server;
  const shapes: [given: unknown, port: number][] = [
    ['127.0.0.1', port],
    [['127.0.0.1'], port],
    [`127.0.0.1:${port}`, 1],
    [[`127.0.0.1:${port}`], 1],
    [[{ address: '127.0.0.1' }], port],
    [[{ address: '127.0.0.1', port: undefined }], port],
    [[{ address: '127.0.0.1', port }], 1],
    [{ address: '127.0.0.1', port }, 1],
    [['127.0.0.2', { address: '127.0.0.1', port }], 2],
    [[`[::ffff:127.0.0.1]:${port}`], 1],
    [Object.freeze([Object.freeze({ address: '127.0.0.1', port })]), 1],
  ];
  for (const [given, own] of shapes) {
    for (const later of [false, true]) {
      const told: unknown[] = [];
      const resolve = ((...args: unknown[]) => {
        told.push(args.slice(0, 2), args[2] instanceof AbortSignal);
        return later ? Promise.resolve(given) : given;
      }) as Resolve;
      const before = server.peers.length;
      const response = await resolving(t, resolve, own).request('GET', '/');
      t.is(response.connection?.remotePort, port, JSON.stringify(given));
      t.deepEqual(told, [['a.example', own], true]);
      t.true((response.timings?.dns ?? -1) >= 0);
      const head = server.peers[before]?.received.toString() ?? '';
      t.regex(head, new RegExp(`^host: a\\.example:${own}\r$`, 'im'));
    }
  }
});

test('resolve: null leaves it to the system; undefined as well', async (t) => {
  const server = await rawServer(answers(OK));
  t.teardown(() => server.close());
  for (const nothing of [null, undefined]) {
    const hosts: string[] = [];
    const resolve = ((host: string) => {
      hosts.push(host);
      return nothing;
    }) as Resolve;
    const pool = new HTTPConnectionPool('localhost', { port: server.port, resolve });
    t.teardown(() => pool.close({ timeout: 0 }));
    t.is((await pool.request('GET', '/')).connection?.remoteAddress, '127.0.0.1');
    t.deepEqual(hosts, ['localhost']);
  }
});

test('resolve: it is asked once a dial: not for a connection that is reused, again for the next', async (t) => {
  let calls = 0;
  const { pool } = await scripted(
    t,
    answers(OK, 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', OK),
  );
  const own = resolving(t, () => `127.0.0.1:${(calls += 1) && pool.port}`, 1);
  for (const due of [1, 1, 2, 2]) {
    await own.request('GET', '/');
    t.is(calls, due);
  }
  await own.warm(1);
  t.is(calls, 2);
});

test('resolve: several addresses race as those of DNS do: one that hangs costs a moment, one that refuses none', async (t) => {
  const hole = await blackHole();
  t.teardown(() => hole.close());
  const refuses = await closedPort(t);
  const server = await rawServer(answers(OK));
  t.teardown(() => server.close());
  const addresses = [hole.port, refuses, server.port].map((port) => `127.0.0.1:${port}`);
  const pool = resolving(t, () => addresses, 80);
  const response = await pool.request('GET', '/');
  t.is(response.connection?.remotePort, server.port);
  t.deepEqual(
    response.connection?.triedAddresses.map(({ error }) => error === null),
    [false, false, true],
  );
  const none = resolving(t, () => [`127.0.0.1:${refuses}`, { address: '127.0.0.2', port: refuses }] as never, 80);
  t.is(codeOf(await reasonOf(none.request('GET', '/'))), 'ECONNREFUSED');
});

test('resolve: no address, and answers that are none', async (t) => {
  t.is(codeOf(await rejection(resolving(t, () => [], 80).request('GET', '/'), NameResolutionError)), 'ERR_DNS');
  const code = 'ERR_INVALID_OPTION';
  for (const given of [
    1,
    // oxlint-disable-next-line no-sparse-arrays -- a hole is what is tested
    [, '127.0.0.1'],
    true,
    {},
    [1],
    [null],
    [undefined],
    [{}],
    [{ address: 1 }],
    [{ address: '127.0.0.1', port: '80' }],
    [{ address: '127.0.0.1', port: 1.5 }],
    [['127.0.0.1']],
    Buffer.from('x'),
    Symbol('s'),
    () => '127.0.0.1',
  ]) {
    const error = await reasonOf(resolving(t, (() => given) as never, 80, { retries: 3 }).request('GET', '/'));
    t.true(error instanceof TypeError, String(error));
    t.is(codeOf(error), code);
  }
  for (const given of [
    '',
    'b.example',
    '127.0.0.1:',
    '127.0.0.1:x',
    '127.0.0.1:99999',
    '127.0.0.1:-1',
    '1.2.3',
    '0x7f.1',
    '[::1',
    'http://127.0.0.1',
    '127.0.0.1\0',
    '127.0.0.1 ',
    '\ud800',
    [{ address: '127.0.0.1', port: -1 }],
    [{ address: '127.0.0.1', port: 65_536 }],
    [{ address: '127.0.0.1', port: 1e21 }],
  ]) {
    let calls = 0;
    const pool = resolving(t, (() => (calls += 1) && given) as never, 80, { retries: 3 });
    const error = await reasonOf(pool.request('GET', '/'));
    t.true(error instanceof Error, JSON.stringify(given));
    t.is(codeOf(error), code, `${JSON.stringify(given)}: ${String(error)}`);
    // What is wrong today is wrong in a moment.
    t.is(calls, 1, JSON.stringify(given));
  }
});

test('resolve: a map whose addresses are none, or whose names are no hosts, is refused where it is given', async (t) => {
  for (const address of [
    'nope',
    '',
    '127.0.0.1:',
    '127.0.0.1:x',
    '127.0.0.1:99999',
    '1.2.3',
    '0x7f.1',
    '[::1',
    '::1:80:x',
    '[b.example]:80',
    'http://127.0.0.1',
    '127.0.0.1 ',
  ]) {
    for (const make of [
      (options: PoolOptions) => new HTTPConnectionPool('a.example', options),
      (options: PoolOptions) => new PoolManager(options),
    ]) {
      t.throws(() => make({ resolve: { 'a.example': address } }), {
        instanceOf: TypeError,
        code: 'ERR_INVALID_OPTION',
        message: "resolve['a.example'] is an 'address' or 'address:port', and this is neither",
      });
    }
  }
  for (const host of ['', 'http://a.example/', 'a.example/path', 'a b']) {
    t.throws(() => new PoolManager({ resolve: { [host]: '127.0.0.1' } }), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_OPTION',
    });
  }
  const taken = ['127.0.0.1', '127.0.0.1:80', '::1', '[::1]', '[::1]:80', 'fe80::1%lo', '[fe80::1%lo]:80', '1.2.3.4:0'];
  for (const address of taken) t.notThrows(() => new HTTPConnectionPool('h', { resolve: { h: address } }), address);
  // Hosts come to the core in ASCII.
  const server = await rawServer(answers(reply('found')));
  t.teardown(() => server.close());
  const pool = new HTTPConnectionPool('bücher.test', {
    retries: false,
    resolve: { 'bücher.test:80': `127.0.0.1:${server.port}` },
  });
  t.is((await pool.request('GET', '/')).data.toString(), 'found');
  await pool.close();
});

test('PROXY-08: what is thrown about a proxy’s name is no error of the proxy’s, and is not tried again', async (t) => {
  for (const proxy of ['http://p.example:3128', 'https://p.example:3128', 'socks5h://p.example:1080']) {
    for (const url of ['http://a.example/', 'https://a.example/']) {
      const asked: string[] = [];
      const thrown = new Error('boom');
      const manager = new PoolManager({
        proxy,
        retries: 5,
        resolve: (host) => {
          asked.push(host);
          throw thrown;
        },
      });
      t.teardown(() => manager.close({ timeout: 0 }));
      t.is(await reasonOf(manager.request('GET', url)), thrown, `${proxy} ${url}`);
      t.deepEqual(asked, ['p.example']);
      const wrong = new PoolManager({ proxy, retries: 5, resolve: () => 'no address' });
      t.teardown(() => wrong.close({ timeout: 0 }));
      await t.throwsAsync(wrong.request('GET', url), { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' });
    }
  }
});

test('resolve: what it throws ends the call at once, whatever that is and whatever the retries', async (t) => {
  for (const thrown of THROWN) {
    let calls = 0;
    const now = resolving(
      t,
      () => {
        calls += 1;
        throw thrown;
      },
      80,
      { retries: 5 },
    );
    t.is(await reasonOf(now.request('GET', '/')), thrown);
    t.is(await reasonOf(resolving(t, () => Promise.reject(thrown), 80, { retries: 5 }).request('GET', '/')), thrown);
    t.is(await reasonOf(now.warm(1)), thrown);
    t.is(calls, 2);
    t.is(now.stats().leased, 0);
  }
});

test('resolve that hangs is cut by connect in phase dns, as often as Retry has it, by total, and by an abort', async (t) => {
  const signals: AbortSignal[] = [];
  const never: Resolve = (_, __, signal) => {
    signals.push(signal);
    return new Promise(() => undefined);
  };
  // So long that the function has been called by then, on a busy machine too.
  const pool = resolving(t, never, 80, { timeout: { connect: 500 } });
  const error = await rejection(pool.request('GET', '/'), ConnectTimeoutError);
  t.deepEqual([error.code, error.phase, error.sent], ['ERR_CONNECT_TIMEOUT', 'dns', false]);
  t.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true],
  );

  const again = await rejection(pool.request('GET', '/', { retries: 2 }), MaxRetryError);
  t.deepEqual([again.reason?.name, pastOf(again).length, signals.length], ['ConnectTimeoutError', 2, 4]);
  t.true(signals.every(({ aborted }) => aborted));

  const total = await rejection(pool.request('GET', '/', { timeout: { total: 500 } as never }), ConnectTimeoutError);
  t.deepEqual([total.code, total.phase, total.during], ['ERR_TOTAL_TIMEOUT', 'total', 'dns']);

  const cut = new AbortController();
  const aborted = resolving(t, never, 80).request('GET', '/', { signal: cut.signal });
  while (signals.length < 6) await turn();
  cut.abort();
  t.is(await reasonOf(aborted), cut.signal.reason);
  t.true(signals.every((signal) => signal.aborted));
  t.deepEqual([pool.stats().live, pool.stats().leased], [0, 0]);
});

test('resolve: a manager asks for each hop that has to dial, by host and port', async (t) => {
  const told: string[] = [];
  const one = await world(t, {
    'a.example': ({ target }) => leads(target === '/0' ? 'http://b.example:8080/1' : 'http://a.example/2'),
    'b.example:8080': () => leads('http://a.example/ok'),
  });
  const manager = new PoolManager({
    retries: 2,
    resolve: (host, port) => {
      told.push(`${host}:${port}`);
      return one.resolve[port === 80 ? host : `${host}:${port}`] ?? [];
    },
  });
  t.teardown(() => manager.close({ timeout: 0 }));
  await reasonOf(manager.request('GET', 'http://a.example/0'));
  t.deepEqual(told, ['a.example:80', 'b.example:8080']);
  t.deepEqual(one.asked.map(String), ['GET a.example/0', 'GET b.example:8080/1', 'GET a.example/ok']);
});

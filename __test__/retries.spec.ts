/** What is tried again and what is not: every kind of failure over the wire, counted at both ends. */
import { inspect } from 'node:util';
import { gzipSync } from 'node:zlib';
import test from 'ava';

import {
  ConnectTimeoutError,
  HTTPConnectionPool,
  HTTPError,
  HTTPResponse,
  MaxRetryError,
  NewConnectionError,
  ProtocolError,
  ReadTimeoutError,
  ResponseError,
  Retry,
  type RequestHistory,
  type RequestOptions,
  type TimeoutLike,
} from '../index.ts';
import { blackHole } from './servers/black-hole.ts';
import { answers, reply, type Peer, type Script } from './servers/raw.ts';
import { closedPort, rejection, retrying, target } from './support/fixtures.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const WAIT = { total: 60_000 };

interface Failure {
  /** What the server does with a request that it has read. */
  fail: (peer: Peer) => Promise<void> | void;
  type: new (...args: never[]) => HTTPError;
  code: string;
  phase: string;
}

/** RETRY-17: each of these is a read error. */
const FAILURES: Readonly<Record<string, Failure>> = {
  'a close without an answer': {
    fail: (peer) => peer.end(),
    type: ProtocolError,
    code: 'ERR_PROTOCOL',
    phase: 'headers',
  },
  'a reset without an answer': {
    fail: (peer) => peer.reset(),
    type: ProtocolError,
    code: 'ERR_PROTOCOL',
    phase: 'headers',
  },
  'half a head': {
    fail: (peer) => peer.end('HTTP/1.1 2'),
    type: ProtocolError,
    code: 'ERR_PROTOCOL',
    phase: 'headers',
  },
  'a strange status line': {
    fail: (peer) => peer.end('HTTP/1.1 Omg What Is This?\r\n\r\n'),
    type: ProtocolError,
    code: 'ERR_PROTOCOL',
    phase: 'headers',
  },
  'an unknown version': {
    fail: (peer) => peer.end('HTTP/1000 200 OK\r\n\r\n'),
    type: ProtocolError,
    code: 'ERR_PROTOCOL',
    phase: 'headers',
  },
  'silence before the head': {
    fail: (peer) => peer.gone(),
    type: ReadTimeoutError,
    code: 'ERR_READ_TIMEOUT',
    phase: 'headers',
  },
  'silence in the body': {
    fail: (peer) => peer.write(`${OK}Content-Length: 10\r\n\r\nhalf`),
    type: ReadTimeoutError,
    code: 'ERR_READ_TIMEOUT',
    phase: 'body',
  },
  'a body that breaks off': {
    fail: (peer) => peer.end(`${OK}Content-Length: 10\r\n\r\nhalf`),
    type: ProtocolError,
    code: 'ERR_INCOMPLETE_READ',
    phase: 'body',
  },
  'chunks that break off': {
    fail: (peer) => peer.end(`${OK}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n`),
    type: ProtocolError,
    code: 'ERR_INCOMPLETE_READ',
    phase: 'body',
  },
  'a chunk that is none': {
    fail: (peer) => peer.end(`${OK}Transfer-Encoding: chunked\r\n\r\nzz\r\nhalf\r\n0\r\n\r\n`),
    type: ProtocolError,
    code: 'ERR_CHUNK',
    phase: 'body',
  },
};

/** Only silence is waited out. */
function patience(name: string): TimeoutLike {
  return name.startsWith('silence') ? { ...WAIT, read: 700 } : WAIT;
}

/** Fails the first requests, over all connections, and answers the others. */
function failing(times: number, fail: Failure['fail'], seen: string[] = []): Script {
  return async (peer) => {
    for (;;) {
      const request = await peer.request();
      seen.push(target(request));
      if (seen.length <= times) return fail(peer);
      await peer.write(reply('well'));
    }
  };
}

function events(history: readonly RequestHistory[] | undefined): unknown[] {
  return (history ?? []).map(({ method, error, status }) => [
    method,
    (error as HTTPError | null)?.code ?? null,
    status,
  ]);
}

for (const [name, { fail, type, code, phase }] of Object.entries(FAILURES)) {
  // The server is of this thread: with other tests beside it, it may be late itself.
  const alone = name.startsWith('silence') ? test.serial : test;
  alone(`RETRY-06 RETRY-12 RETRY-17 RESP-17 POOL-12: ${name} is tried again, as a read error`, async (t) => {
    const retries = new Retry({ total: 5, read: 2 });
    const { pool, server, host } = await retrying(t, failing(2, fail), {
      block: true,
      retries,
      timeout: patience(name),
    });
    const response = await pool.request('GET', '/?q=secret');
    t.is(response.data.toString(), 'well');
    t.is(response.attempts, 3);
    t.like(response.retries, { total: 3, read: 0, connect: null });
    t.deepEqual(events(response.retries?.history), [
      ['GET', code, null],
      ['GET', code, null],
    ]);
    for (const [nth, { error, url }] of (response.retries?.history ?? []).entries()) {
      t.true(error instanceof type);
      t.like(error, { phase, host, attempts: nth + 1, sent: true });
      t.is(url, `http://${host}/?q=secret`);
    }
    // RETRY-04
    t.like(retries, { total: 5, read: 2, history: [] });
    t.deepEqual([pool.numRequests, pool.numConnections, server.peers.length], [3, 3, 3]);
    // An error that was mended is nobody's.
    t.deepEqual(pool.stats().errors, {});
    t.like(pool.stats(), { idle: 1, leased: 0, waiting: 0 });
  });

  alone(`RETRY-08 RETRY-09 ERR-09 WART-16 POOL-12: ${name}, again and again`, async (t) => {
    const { pool, server, host } = await retrying(
      t,
      async (peer) => {
        const path = target(await peer.request());
        if (path === '/well') return peer.write(reply('well'));
        await fail(peer);
      },
      { block: true, timeout: patience(name) },
    );
    const plain = await rejection(pool.request('GET', '/', { retries: false }), type);
    t.like(plain, { code, phase, host, attempts: 1, sent: true });
    t.false('history' in plain);
    t.is(server.peers.length, 1);
    const error = await rejection(pool.request('GET', '/?q=secret', { retries: 2 }), MaxRetryError);
    t.is(server.peers.length, 4);
    t.true(error.reason instanceof type);
    t.is(error.cause, error.reason);
    // However far the body had come.
    if (error.reason instanceof ReadTimeoutError) t.like(error.reason, { pool, url: '/?q=secret' });
    for (const told of [error, error.reason as HTTPError]) {
      t.like(told, { phase, host, attempts: 3, sent: true });
      t.true(told.elapsed > 0);
    }
    t.like(error, { code: 'ERR_MAX_RETRY', pool, url: '/?q=secret' });
    t.is((error.reason as HTTPError).code, code);
    t.true(
      error.message.startsWith(
        `${pool.toString()}: Max retries exceeded with url: / (Caused by ${error.reason?.name}: `,
      ),
      error.message,
    );
    t.deepEqual(events(error.history), [
      ['GET', code, null],
      ['GET', code, null],
    ]);
    t.deepEqual(pool.stats().errors, { [code]: 1, ERR_MAX_RETRY: 1 });
    // The slot is there, and the pool no smaller.
    t.is((await pool.request('GET', '/well')).data.toString(), 'well');
    t.like(pool.stats(), { idle: 1, leased: 0, waiting: 0 });
  });
}

test('RETRY-06 RETRY-07 RETRY-09 THR-1207: a refused connection is a connect error, whatever the method', async (t) => {
  const port = await closedPort(t);
  const { server } = await retrying(t, answers(reply('well')));
  let asked = 0;
  const pool = new HTTPConnectionPool('retried.test', {
    block: true,
    resolve: () => ((asked += 1) > 2 ? `127.0.0.1:${server.port}` : `127.0.0.1:${port}`),
    timeout: WAIT,
  });
  t.teardown(() => pool.close({ timeout: 0 }));
  const response = await pool.request('POST', '/', { body: 'once' });
  t.is(response.data.toString(), 'well');
  t.deepEqual(events(response.retries?.history), [
    ['POST', 'ECONNREFUSED', null],
    ['POST', 'ECONNREFUSED', null],
  ]);
  t.true(response.retries?.history[0]?.error instanceof NewConnectionError);
  // Nothing was put on a connection that was not there.
  t.deepEqual([response.attempts, pool.numRequests, pool.numConnections], [1, 1, 1]);

  const dead = new HTTPConnectionPool('127.0.0.1', { port, block: true });
  t.teardown(() => dead.close());
  const plain = await rejection(dead.request('POST', '/', { retries: false }), NewConnectionError);
  t.like(plain, { code: 'ECONNREFUSED', phase: 'connect', attempts: 0, sent: false });
  const off = await rejection(dead.request('GET', '/', { retries: new Retry({ connect: false }) }), NewConnectionError);
  t.is(off.code, 'ECONNREFUSED');
  const error = await rejection(dead.request('POST', '/', { retries: new Retry({ connect: 1 }) }), MaxRetryError);
  t.true(error.reason instanceof NewConnectionError);
  for (const told of [error, error.reason as HTTPError]) {
    t.like(told, { phase: 'connect', host: `127.0.0.1:${port}`, attempts: 0, sent: false });
  }
  t.regex(error.message, /NewConnectionError: .*ECONNREFUSED/);
  t.like(dead.stats(), { live: 0, waiting: 0, requests: 0 });
});

test('RETRY-06 RETRY-07 RETRY-17 TIME-06: a connection that takes too long is a connect error, whatever the method', async (t) => {
  const hole = await blackHole();
  t.teardown(() => hole.close());
  const pool = new HTTPConnectionPool('127.0.0.1', {
    port: hole.port,
    block: true,
    timeout: { ...WAIT, connect: 150 },
  });
  t.teardown(() => pool.close({ timeout: 0 }));
  const began = performance.now();
  const retries = new Retry({ total: 9, connect: 1, read: 0 });
  const error = await rejection(pool.request('POST', '/', { body: 'b', retries }), MaxRetryError);
  t.true(performance.now() - began >= 298);
  t.true(error.reason instanceof ConnectTimeoutError);
  t.is((error.reason as HTTPError).code, 'ERR_CONNECT_TIMEOUT');
  for (const told of [error, error.reason as HTTPError]) t.like(told, { phase: 'connect', attempts: 0, sent: false });
  t.deepEqual(events(error.history), [['POST', 'ERR_CONNECT_TIMEOUT', null]]);
  t.like(pool.stats(), { live: 0, waiting: 0, leased: 0 });
});

test('RETRY-07: a read error of a method that is not allowed is thrown as it is, and says why', async (t) => {
  const seen: string[] = [];
  const { pool } = await retrying(
    t,
    failing(1000, (peer) => peer.end(), seen),
    { timeout: WAIT },
  );
  const made = async (method: string, options: RequestOptions): Promise<[HTTPError, number]> => {
    const before = seen.length;
    const error = await rejection(pool.urlopen(method, '/', options as object), HTTPError);
    return [error, seen.length - before];
  };
  for (const method of ['POST', 'PATCH', 'PURGE']) {
    const [error, count] = await made(method, { body: 'b' });
    t.true(error instanceof ProtocolError);
    t.regex(error.message, new RegExp(`not retried: "?${method}"? is not in allowedMethods`));
    t.is(count, 1);
  }
  for (const [method, allowedMethods, times] of [
    ['get', ['GET'], 2],
    ['GET', ['get'], 2],
    ['POST', ['POST'], 2],
    ['POST', null, 2],
    ['POST', false, 2],
    // RETRY-10, WARN-06: none means none.
    ['GET', [], 1],
    ['GET', new Set(['PUT']), 1],
  ] as const) {
    const [error, count] = await made(method, { retries: new Retry({ total: 1, allowedMethods }) });
    t.is(count, times, `${method} ${inspect(allowedMethods)}`);
    t.is(error instanceof MaxRetryError, times === 2);
  }
  const [off, count] = await made('GET', { retries: new Retry({ read: false }) });
  t.true(off instanceof ProtocolError);
  t.notRegex(off.message, /not retried/);
  t.is(count, 1);
});

test('RETRY-08: of a pool or of a call, false is the plain error, and null the default', async (t) => {
  const seen: string[] = [];
  const { pool, server } = await retrying(
    t,
    failing(1000, (peer) => peer.end(), seen),
    { retries: false },
  );
  t.like(pool.retries, { total: false });
  await rejection(pool.request('GET', '/'), ProtocolError);
  t.is(seen.length, 1);
  // `null` is the pool's, and the pool's `null` is the default.
  await rejection(pool.request('GET', '/', { retries: null }), ProtocolError);
  t.is(seen.length, 2);
  const usual = new HTTPConnectionPool('127.0.0.1', { port: server.port, retries: null });
  t.teardown(() => usual.close());
  t.is(usual.retries, Retry.DEFAULT);
  await rejection(usual.request('GET', '/'), MaxRetryError);
  t.is(seen.length, 6);
  await rejection(usual.request('GET', '/', { retries: false }), ProtocolError);
  t.is(seen.length, 7);
  await rejection(usual.request('GET', '/', { retries: true }), MaxRetryError);
  t.is(seen.length, 9);
});

const listed = (retry: object = {}): Retry => new Retry({ total: 2, statusForcelist: [500, 418], ...retry });

test('RETRY-10 RETRY-14: statuses that are listed, and those with a Retry-After', async (t) => {
  let served = 0;
  const { pool } = await retrying(t, async (peer) => {
    for (;;) {
      const [, status, after] = target(await peer.request()).split('/');
      served += 1;
      await peer.write(reply('', `HTTP/1.1 ${status} X\r\n${after === 'after' ? 'Retry-After: 0\r\n' : ''}`));
    }
  });
  for (const [method, url, retries, times] of [
    ['GET', '/500', listed(), 3],
    ['PUT', '/418', listed(), 3],
    ['GET', '/418', listed({ statusForcelist: new Set([418]) }), 3],
    ['GET', '/501', listed(), 1],
    ['POST', '/500', listed(), 1],
    ['POST', '/500', listed({ allowedMethods: false }), 3],
    ['POST', '/500', listed({ allowedMethods: null }), 3],
    ['GET', '/500', listed({ allowedMethods: [] }), 1],
    ['GET', '/500', listed({ status: 1 }), 2],
    ['GET', '/500', false, 1],
    ['GET', '/503/after', 2, 3],
    ['GET', '/413/after', 2, 3],
    ['GET', '/429/after', 2, 3],
    ['GET', '/503', 2, 1],
    ['GET', '/500/after', 2, 1],
    ['POST', '/503/after', 2, 1],
    ['GET', '/503/after', 0, 1],
    ['GET', '/503/after', false, 1],
    ['GET', '/503/after', new Retry({ respectRetryAfterHeader: false }), 1],
    // WART-02: without a total there are retries left.
    ['GET', '/503/after', new Retry({ total: null, status: 1 }), 2],
  ] as const) {
    const before = served;
    const outcome: unknown = await pool
      .request(method, url, method === 'POST' ? { retries, body: 'b' } : { retries })
      .catch((error: unknown) => error);
    t.is(served - before, times, `${method} ${url} ${String(retries)}`);
    const status = Number(url.split('/')[1]);
    // As in urllib3: with nothing left of `total` a Retry-After is not heeded, and the answer is given.
    const isGiven = url.endsWith('/after') && typeof retries === 'number';
    if (times === 1 || isGiven) {
      t.like(outcome, { status, attempts: times });
      continue;
    }
    t.true(outcome instanceof MaxRetryError);
    const { reason } = outcome as MaxRetryError;
    t.true(reason instanceof ResponseError);
    t.is(reason?.message, `too many ${status} error responses`);
    for (const told of [outcome, reason]) {
      t.like(told, { phase: 'headers', attempts: times, sent: true, host: `127.0.0.1:${pool.port}` });
    }
  }
  // All of it over one connection: what is not given is read to its end.
  t.is(pool.numConnections, 1);
});

test('RETRY-11 RETRY-12 RESP-17: raiseOnStatus and raiseOnRedirect give the last answer', async (t) => {
  const { pool, host } = await retrying(t, async (peer) => {
    for (let nth = 1; ; nth += 1) {
      const path = target(await peer.request());
      const head = path === '/500' ? 'HTTP/1.1 500 X\r\n' : `HTTP/1.1 302 X\r\nLocation: /${nth}\r\n`;
      await peer.write(reply(`answer ${nth}`, head));
    }
  });
  const bad = await pool.request('GET', '/500', { retries: listed({ raiseOnStatus: false }) });
  t.deepEqual([bad.status, bad.data.toString(), bad.attempts], [500, 'answer 3', 3]);
  t.like(bad.retries, { total: 0 });
  t.deepEqual(events(bad.retries?.history), [
    ['GET', null, 500],
    ['GET', null, 500],
  ]);
  const led = await pool.request('GET', '/r', { retries: new Retry({ total: 1, raiseOnRedirect: false }) });
  t.deepEqual([led.status, led.data.toString(), led.url], [302, 'answer 5', `http://${host}/4`]);
  t.is(led.retries?.history.length, 1);
  const error = await rejection(pool.request('GET', '/r', { retries: 1 }), MaxRetryError);
  t.is(error.reason?.message, 'too many redirects');
  t.is(pool.numConnections, 1);
  t.is(new HTTPResponse('', { status: 500 }).retries, null);
});

test('RETRY-12 RESP-17: the history has each event in order, with the method of the next request', async (t) => {
  const script: Record<number, string | null> = {
    1: `HTTP/1.1 303 X\r\nLocation: /there?x=1#part\r\nContent-Length: 0\r\n\r\n`,
    2: null,
    3: reply('', 'HTTP/1.1 503 X\r\nRetry-After: 0\r\n'),
  };
  let served = 0;
  const { pool, host } = await retrying(t, async (peer) => {
    for (;;) {
      await peer.request();
      const said = script[(served += 1)];
      if (said === null) return peer.end();
      await peer.write(said ?? reply('there'));
    }
  });
  const retries = new Retry({ total: 9, redirect: 5, read: 5, status: 5, connect: 5 });
  const response = await pool.request('POST', '/here', { body: 'b', retries });
  const at = `http://${host}`;
  t.deepEqual(
    response.retries?.history.map(({ error, ...rest }) => ({ ...rest, error: error?.name ?? null })),
    [
      { method: 'GET', url: `${at}/here`, status: 303, redirectLocation: '/there?x=1#part', error: null },
      { method: 'GET', url: `${at}/there?x=1`, status: null, redirectLocation: null, error: 'ProtocolError' },
      { method: 'GET', url: `${at}/there?x=1`, status: 503, redirectLocation: null, error: null },
    ],
  );
  t.like(response.retries, { total: 6, redirect: 4, read: 4, status: 4, connect: 5 });
  // Of the last hop alone; the pool counts all of them.
  t.is(response.attempts, 3);
  t.is(pool.numRequests, 4);
  t.like(retries, { total: 9, history: [] });
});

test('RETRY-17 THR-1215: each attempt starts clean: nothing of one answer gets into the next', async (t) => {
  const whole = gzipSync('the whole of it, coded');
  const head = `${OK}Content-Encoding: gzip\r\nContent-Length: ${whole.length}\r\nX-Coded: 1\r\n\r\n`;
  const coded = Buffer.concat([Buffer.from(head), whole]);
  const plain = Buffer.from(reply('plain, and longer than that'));
  for (const [broken, good, text] of [
    [coded, plain, 'plain, and longer than that'],
    [plain, coded, 'the whole of it, coded'],
  ] as const) {
    const { pool } = await retrying(t, async (peer) => {
      await peer.request();
      if (peer.number < 3) return peer.end(broken.subarray(0, broken.length - 10));
      await peer.write(good);
    });
    const response = await pool.request('GET', '/');
    t.is(response.data.toString(), text);
    t.is(response.headers.has('x-coded'), good === coded);
    t.is(response.attempts, 3);
    t.is(response.bytesRead, good === coded ? whole.length : text.length);
  }
});

test('RETRY-01: each call is judged by its own policy, however many there are in turn, and whatever became of another', async (t) => {
  const { pool } = await retrying(t, answers(reply('', 'HTTP/1.1 503 Service Unavailable\r\n')));
  for (let nth = 0; nth < 24; nth += 1) {
    const total = nth % (nth < 12 ? 6 : 3);
    const retries = new Retry({ total, statusForcelist: [503], raiseOnStatus: false });
    t.is((await pool.request('GET', '/', { retries })).attempts, total + 1);
  }
});

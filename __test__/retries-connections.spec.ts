/** What retries do to connections: which one the next attempt is made on, what is read to its end first, what is held. */
import { deflateRawSync } from 'node:zlib';
import test from 'ava';

import {
  HTTPConnectionPool,
  HTTPError,
  MaxRetryError,
  PoolManager,
  ProtocolError,
  ReadTimeoutError,
  Retry,
} from '../index.ts';
import { httpServer } from './servers/http.ts';
import { rawServer, reply, type Script } from './servers/raw.ts';
import { rejection, retrying, served, target } from './support/fixtures.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const WAIT = { timeout: { total: 30_000 } };
const LISTED = new Retry({ total: 5, statusForcelist: [408, 421, 425, 500] });

/** The nth request, over all connections, gets the nth of these bytes, the others the last; `null` is a close. */
function says(...replies: (string | null)[]): Script & { seen: { path: string; peer: number }[] } {
  const seen: { path: string; peer: number }[] = [];
  const script: Script = async (peer) => {
    for (;;) {
      seen.push({ path: target(await peer.request()), peer: peer.number });
      const said = replies[Math.min(seen.length, replies.length) - 1] ?? null;
      if (said === null) return peer.end();
      await peer.write(said);
    }
  };
  return Object.assign(script, { seen });
}

for (const [what, first, type] of [
  ['a status', reply('bad', 'HTTP/1.1 500 X\r\n'), null],
  ['a redirect', reply('moved', 'HTTP/1.1 302 X\r\nLocation: /next\r\n'), null],
  ['an error', null, ProtocolError],
  ['a time-out', '', ReadTimeoutError],
] as const) {
  test.serial(`POOL-17: after ${what}, the response that is not released still holds its connection`, async (t) => {
    const script = says(first, `${OK}Content-Length: 10\r\n\r\nhalf`);
    const { pool } = await retrying(t, script, { block: true, timeout: { read: 800, total: 30_000 } });
    const response = await pool.request('GET', '/', { preloadContent: false, releaseConn: false, retries: LISTED });
    t.is(response.retries?.history.length, 1);
    t.true(type === null || response.retries?.history[0]?.error instanceof type);
    t.like(pool.stats(), { leased: 1, idle: 0 });
    const iterator = response[Symbol.asyncIterator]();
    t.is((await iterator.next()).value?.toString(), 'half');
    t.like(pool.stats(), { leased: 1, idle: 0 });
    response.close();
  });
}

test('POOL-21 REDIR-07: what is not given is read to its end, undecoded, and its connection serves the next', async (t) => {
  const junk = deflateRawSync('x'.repeat(100)).toString('latin1');
  const bodies: Record<string, string> = {
    'of a length': reply('bad', 'HTTP/1.1 500 X\r\n'),
    'in chunks': 'HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\nTrailer: 1\r\n\r\n',
    'of no length at all': reply('', 'HTTP/1.1 500 X\r\n'),
    'that says gzip and is none': `HTTP/1.1 500 X\r\nContent-Encoding: gzip\r\nContent-Length: ${junk.length}\r\n\r\n${junk}`,
    'of an unknown coding': reply('bad', 'HTTP/1.1 500 X\r\nContent-Encoding: unknown, gzip\r\n'),
    'of a redirect': reply('moved', 'HTTP/1.1 302 X\r\nLocation: /next\r\nContent-Encoding: br\r\n'),
    'larger than the limits': reply('x'.repeat(20_000), 'HTTP/1.1 500 X\r\n'),
  };
  for (const [what, bad] of Object.entries(bodies)) {
    for (const preloadContent of [true, false]) {
      const script = says(bad, bad, reply('well'));
      const { pool } = await retrying(t, script, { ...WAIT, block: true, limits: { decoded: 10_000 } });
      const response = await pool.request('GET', '/', { preloadContent, retries: LISTED });
      if (!preloadContent) await response.read();
      t.is(response.data.toString(), 'well', what);
      t.is(response.retries?.history.length, 2, what);
      t.deepEqual([pool.numConnections, pool.numRequests], [1, 3], what);
      t.like(pool.stats(), { idle: 1, leased: 0, abandoned: 0 }, what);
    }
  }
});

test('POOL-21: where the rest cannot be read, the connection is closed, and that is no error', async (t) => {
  const bodies: Record<string, string> = {
    'breaks off': 'HTTP/1.1 500 X\r\nContent-Length: 10\r\n\r\nhalf',
    'is no chunk': 'HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    'is too large to be worth it': `HTTP/1.1 500 X\r\nContent-Length: 10000000\r\n\r\nhalf`,
    'comes too slowly': 'HTTP/1.1 500 X\r\nContent-Length: 10\r\n\r\nslow',
    'closes anyway': reply('bad', 'HTTP/1.1 500 X\r\nConnection: close\r\n'),
  };
  await Promise.all(
    Object.entries(bodies).map(async ([what, bad]) => {
      for (const preloadContent of [true, false]) {
        let asked = 0;
        const { pool, server } = await retrying(
          t,
          async (peer) => {
            await peer.request();
            if ((asked += 1) > 1) return peer.write(reply('well'));
            await peer.write(bad);
            if (what === 'breaks off') peer.end();
            await peer.gone();
          },
          { ...WAIT, block: true },
        );
        const response = await pool.request('GET', '/', { preloadContent, retries: LISTED });
        if (!preloadContent) await response.read();
        t.is(response.data.toString(), 'well', what);
        t.deepEqual(
          response.retries?.history.map(({ status, error }) => [status, error]),
          [[500, null]],
          what,
        );
        await (await server.peer(1)).gone();
        t.deepEqual([pool.numConnections, pool.numRequests], [2, 2], what);
        t.like(pool.stats(), { idle: 1, leased: 0, errors: {} }, what);
      }
    }),
  );
});

test('THR-1202 RETRY-07: an end that crosses a request on a reused connection is for Retry to judge', async (t) => {
  const posts = new Map<string, number>();
  let gets = 0;
  const { pool } = await retrying(
    t,
    async (peer) => {
      await peer.request();
      await peer.write(reply('first'));
      const request = await peer.request();
      if (request.startsWith('POST')) posts.set(target(request), (posts.get(target(request)) ?? 0) + 1);
      else gets += 1;
      if (peer.number % 2 === 0) peer.reset();
      else peer.end();
    },
    WAIT,
  );
  for (let nth = 0; nth < 20; nth += 1) {
    t.is((await pool.request('GET', '/')).data.toString(), 'first');
    const error = await rejection(pool.request('POST', `/${nth}`, { body: 'once' }), ProtocolError);
    t.like(error, { attempts: 1, sent: true });
  }
  t.is(posts.size, 20);
  t.deepEqual([...new Set(posts.values())], [1]);
  const before = gets;
  for (let nth = 0; nth < 20; nth += 1) {
    t.is((await pool.request('GET', '/')).data.toString(), 'first');
    const response = await pool.request('GET', '/');
    // Counted, and told of: it is no replay behind the caller.
    t.deepEqual([response.data.toString(), response.attempts, response.retries?.history.length], ['first', 2, 1]);
    // The next round begins on a fresh connection.
    await rejection(pool.request('POST', `/also-${nth}`, { body: 'once' }), ProtocolError);
  }
  t.is(gets - before, 20);
  t.deepEqual([...new Set(posts.values())], [1]);
  t.is(pool.stats().staleReplays, 0);
});

test('THR-1203: on a fresh connection, whether nothing or a byte came before the reset, Retry decides', async (t) => {
  for (const said of ['', 'H', `${OK}Content-Length: 5\r\n\r\nx`]) {
    const seen: string[] = [];
    const { pool } = await retrying(
      t,
      async (peer) => {
        seen.push((await peer.request()).split(' ', 1)[0] ?? '');
        if (said !== '') await peer.write(said);
        peer.reset();
      },
      WAIT,
    );
    for (const [method, retries, times] of [
      ['GET', 2, 3],
      ['GET', false, 1],
      ['POST', 2, 1],
      ['POST', new Retry({ total: 2, allowedMethods: null }), 3],
    ] as const) {
      seen.length = 0;
      const error = await rejection(pool.request(method, '/', { retries }), HTTPError);
      t.is(error instanceof MaxRetryError, times > 1);
      t.like(error, { attempts: times, sent: true });
      t.deepEqual(
        seen,
        Array.from({ length: times }, () => method),
      );
    }
    t.is(pool.stats().staleReplays, 0);
  }
});

test('THR-1206: a server that restarts under load: GETs see nothing of it, and few connections are made', async (t) => {
  let down = 0;
  const script: Script = async (peer) => {
    for (;;) {
      const path = target(await peer.request());
      if (down > 0) return peer.reset();
      await peer.write(reply(path));
    }
  };
  let server = await rawServer(script);
  const { port } = server;
  const pool = new HTTPConnectionPool('127.0.0.1', {
    port,
    ...WAIT,
    maxsize: 10,
    block: true,
    // Enough for a machine on which the server takes seconds to be back.
    retries: new Retry({ total: 40, backoffFactor: 10, backoffMax: 250 }),
  });
  t.teardown(async () => {
    await pool.close({ timeout: 0 });
    await server.close();
  });
  await pool.warm(10);
  let answered = 0;
  const loads = Array.from({ length: 40 }, async (_, one) => {
    for (let nth = 0; nth < 25; nth += 1) {
      const path = `/${one}/${nth}`;
      t.is((await pool.request('GET', path)).data.toString(), path);
      answered += 1;
    }
  });
  while (pool.numRequests < 200) await new Promise((resolve) => setImmediate(resolve));
  down = 1;
  await server.close();
  down = 0;
  server = await rawServer(script, port);
  await Promise.all(loads);
  t.is(answered, 1_000);
  // What is replayed is given a connection of its own, in the place of one that may be as dead as the one before.
  const { errors, staleReplays } = pool.stats();
  t.true(server.peers.length <= 10 + staleReplays, `${server.peers.length} connections, ${staleReplays} replays`);
  t.true(staleReplays <= 10);
  t.deepEqual(errors, {});
});

test('THR-1209 RETRY-10: 408, 421 and 425 are tried again where they are listed, on another connection', async (t) => {
  for (const status of [408, 421, 425]) {
    const said = `HTTP/1.1 ${status} Said\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`;
    const script = says(reply('first'), said, reply('well'));
    const { pool } = await retrying(t, script, { ...WAIT, retries: LISTED });
    await pool.request('GET', '/');
    const response = await pool.request('GET', '/');
    t.deepEqual([response.status, response.attempts], [200, 2]);
    t.deepEqual(
      script.seen.map(({ peer }) => peer),
      [1, 1, 2],
    );
  }
});

test('RETRY-12 THR-1215: many at once, each fails as often as it is told, and each gets its own answer', async (t) => {
  const failures = new Map<string, number>();
  const { pool } = await served(
    t,
    (request, response) => {
      const path = request.url ?? '';
      const [, token = '', wanted = '0'] = path.split('/');
      const failed = failures.get(token) ?? 0;
      if (failed >= Number(wanted)) return void response.end(path);
      failures.set(token, failed + 1);
      switch ((failed + Number(token)) % 4) {
        case 0:
          return void response.writeHead(500, { 'content-length': '3' }).end('bad');
        case 1:
          return void request.socket.destroy();
        case 2:
          response.writeHead(200, { 'content-length': '100' }).write(`/wrong/${token}`);
          return void setImmediate(() => request.socket.destroy());
        default:
          return void response.writeHead(503, { 'retry-after': '0', 'content-encoding': 'gzip' }).end('no gzip');
      }
    },
    { ...WAIT, maxsize: 8, block: true, retries: new Retry({ total: 5, statusForcelist: [500] }) },
  );
  await Promise.all(
    Array.from({ length: 400 }, async (_, nth) => {
      const path = `/${nth}/${nth % 5}`;
      const response = await pool.request('GET', path);
      t.is(response.data.toString(), path);
      t.is(response.retries?.history.length ?? 0, nth % 5);
      t.is(response.attempts, 1 + (nth % 5));
      t.is(response.retries?.total, 5 - (nth % 5));
    }),
  );
  t.is(pool.numRequests, 400 + 80 * (1 + 2 + 3 + 4));
  t.like(pool.stats(), { leased: 0, waiting: 0, errors: {} });
});

test('RETRY-09 ERR-09: managers and their pools count the call once, as what it ended in', async (t) => {
  const server = await httpServer((request) => request.socket.destroy());
  const manager = new PoolManager(WAIT);
  t.teardown(async () => {
    await manager.close({ timeout: 0 });
    await server.close();
  });
  const url = `http://127.0.0.1:${server.port}/`;
  const error = await rejection(manager.request('GET', url), MaxRetryError);
  t.like(error, { host: `127.0.0.1:${server.port}`, attempts: 4, sent: true, phase: 'headers' });
  t.is(error.history?.length, 3);
  await rejection(manager.request('POST', url), ProtocolError);
  const pool = manager.connectionFromUrl(url);
  for (const stats of [manager.stats(), pool.stats()]) t.deepEqual(stats.errors, { ERR_MAX_RETRY: 1, ERR_PROTOCOL: 1 });
  t.is(pool.numRequests, 5);
  t.is(String(error.pool), String(pool));
});

test('RETRY-10 RESP-17: accept is asked of the answer that is given, not of those that are tried again', async (t) => {
  const { pool } = await retrying(t, says(reply('bad', 'HTTP/1.1 500 X\r\n'), null, reply('well')), WAIT);
  const heads: number[] = [];
  const response = await pool.request('GET', '/', {
    retries: LISTED,
    accept({ status }) {
      heads.push(status);
      return true;
    },
  });
  t.deepEqual([response.data.toString(), heads, response.attempts], ['well', [200], 3]);
});

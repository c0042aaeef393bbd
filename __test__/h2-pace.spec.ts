/** Pace over HTTP/2: windows in both directions, servers that allow nothing, slow readers beside fast ones, and time-outs. */
import { Readable } from 'node:stream';
import test from 'ava';

import type { HTTPResponse } from '../index.ts';
import { answer, CODE, data, head, settings, SETTING, TYPE, windowUpdate } from './servers/h2-frames.ts';
import { each, type H2Peer, type H2Request } from './servers/h2-raw.ts';
import { counted, echo, failure, get, overFrames } from './support/h2.ts';
import { until } from './support/street.ts';
import { clocked, within } from './support/clocked.ts';

const MIB = 1 << 20;
const streams = (most: number): [number, number] => [SETTING.MAX_CONCURRENT_STREAMS, most];

/** Waits until the client lets nothing more come on a stream, whatever it may still be sending. */
async function stalled(peer: H2Peer, request: H2Request): Promise<void> {
  for (;;) {
    await peer.until(() => request.credit <= 0 || peer.credit <= 0);
    // A window that is being returned is there before the answer to a PING.
    await peer.settled();
    if (request.credit <= 0 || peer.credit <= 0) return;
  }
}

test.serial(
  'THR-424: a body that is not read stops its server at the window, and goes on when it is read',
  async (t) => {
    const size = 20 * MIB;
    const body = Buffer.alloc(size, 'back-pressure');
    const { pool, server } = await overFrames(
      t,
      each((request, peer) => peer.pour(request, body)),
    );
    const response = await get(pool, '/', { preloadContent: false });
    const [peer] = server.peers as [H2Peer];
    const [request] = server.requests as [H2Request];
    await stalled(peer, request);
    // Beyond the window itself no more than the body's own queue takes ahead of its reader.
    const ahead = request.granted;
    t.true(ahead <= MIB, `${ahead}`);
    const before = peer.count(TYPE.WINDOW_UPDATE);
    await peer.settled();
    t.is(peer.count(TYPE.WINDOW_UPDATE), before);
    t.true((await response.read(MIB)).equals(body.subarray(0, MIB)));
    await peer.until(() => request.granted > ahead);
    t.true((await response.read()).equals(body.subarray(MIB)));
    t.like(counted(pool), { idle: 1, leased: 0 });
  },
);

test.serial('THR-424: twelve readers that pause hold 2 MiB each, and none of the 88 beside them up', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each((request, peer) => peer.pour(request, Buffer.alloc(request.path === '/paused' ? 8 * MIB : 300_000))),
    {},
    { settings: [streams(100)] },
  );
  const paused: HTTPResponse[] = [];
  for (let n = 0; n < 12; n += 1) {
    paused.push(await get(pool, '/paused', { preloadContent: false }));
    await stalled(server.peers[0] as H2Peer, server.requests[n] as H2Request);
  }
  for (const request of server.requests) {
    t.true(request.credit <= 0, `${request.credit}`);
    t.true(request.granted <= MIB, `${request.granted}`);
  }
  const others = await Promise.all(Array.from({ length: 88 }, (_, n) => get(pool, `/${n}`)));
  for (const { data } of others) t.is(data.length, 300_000);
  // The last one first: none waits for one that is before it.
  for (const response of paused.toReversed()) t.is((await response.read()).length, 8 * MIB);
  t.is(server.peers.length, 1);
});

test.serial(
  'THR-424: what ten thousand abandoned streams had received is given back: the connection goes on',
  async (t) => {
    const piece = Buffer.alloc(16_000);
    const { pool, server } = await overFrames(
      t,
      each(async (request, peer) => {
        if (request.path !== '/abandoned') return peer.pour(request, Buffer.alloc(4 * MIB));
        return peer.pour(request, piece, { end: false });
      }),
      {},
      { settings: [streams(100)] },
    );
    let left = 10_000;
    const abandon = async (): Promise<void> => {
      for (; left > 0; left -= 1) {
        const response = await get(pool, '/abandoned', { preloadContent: false });
        response.close();
      }
    };
    await Promise.all(Array.from({ length: 50 }, abandon));
    t.true(server.requests.length >= 10_000);
    // Then so much that the connection's window has to be opened again, which it is by all that was given back by then.
    const [peer] = server.peers as [H2Peer];
    const before = peer.granted;
    let nth = 0;
    const fill = async (): Promise<void> => {
      while (peer.granted === before && nth < 1_000) {
        const path = `/filled-${(nth += 1)}`;
        const response = await get(pool, path, { preloadContent: false });
        await stalled(peer, peer.requests.findLast((request) => request.path === path) as H2Request);
        response.close();
      }
    };
    await Promise.all(Array.from({ length: 4 }, fill));
    t.true(peer.credit > (256 - 32) * MIB, `${256 * MIB - peer.credit} bytes are missing after ${nth} more`);
    t.is((await get(pool, '/last')).data.length, 4 * MIB);
    t.is(server.peers.length, 1);
    await until(() => pool.stats().leased === 0, 'all back');
  },
);

test.serial(
  'THR-422 THR-424: what still comes for a stream that was given up is dropped, and costs no other',
  async (t) => {
    const { pool, server } = await overFrames(
      t,
      each(async (request, peer) => {
        if (request.path !== '/late') return echo(request, peer);
        await peer.resetOf(request);
        for (let n = 0; n < 10; n += 1) await peer.send(data(request.id, Buffer.alloc(10_000)));
        await peer.send(data(request.id, '', { end: true }));
      }),
    );
    const late = await failure(get(pool, '/late', { timeout: { read: 60 } }));
    t.is(late.name, 'ReadTimeoutError');
    for (let n = 0; n < 20; n += 1) t.is((await get(pool, `/${n}`)).text(), `/${n}`);
    t.is(server.peers.length, 1);
  },
);

clocked(
  'THR-417: a server that allows no stream: requests wait, poolTimeout ends that, and nothing spins',
  async (t) => {
    const { pool, server } = await overFrames(t, each(echo), { block: true }, { settings: [streams(1)] });
    await get(pool, '/first');
    const [peer] = server.peers as [H2Peer];
    await peer.send(settings([streams(0)]));
    await peer.settled();
    const before = process.cpuUsage();
    const errors = await Promise.all(
      Array.from({ length: 5 }, (_, n) => failure(get(pool, `/${n}`, { poolTimeout: 400 }))),
    );
    const { user, system } = process.cpuUsage(before);
    for (const error of errors) t.like(error, { name: 'EmptyPoolError', code: 'ERR_POOL_EMPTY', phase: 'pool' });
    within(t, (user + system) / 1_000 < 300, `${(user + system) / 1_000} ms`);
    const total = await failure(get(pool, '/', { timeout: { total: 100 } }));
    t.is(total.code, 'ERR_TOTAL_TIMEOUT');
    const waiting = get(pool, '/waits');
    await until(() => pool.pool?.waiting === 1, 'one that waits');
    await peer.send(settings([streams(1)]));
    t.is((await waiting).text(), '/waits');
    t.deepEqual(
      server.requests.map(({ path }) => path),
      ['/first', '/waits'],
    );
    t.is(server.peers.length, 1);
  },
);

test.serial(
  'THR-417: a limit that is lowered while busy lets no more begin until there is room; raised, they go',
  async (t) => {
    const { pool, server } = await overFrames(t, () => undefined, { block: true }, { settings: [streams(10)] });
    const calls = Array.from({ length: 10 }, (_, n) => get(pool, `/${n}`));
    const peer = await server.peer(1);
    const held = peer.requests;
    await peer.until(() => held.length === 10);
    await peer.send(settings([streams(2)]));
    await peer.settled();
    const later = Array.from({ length: 6 }, (_, n) => get(pool, `/late-${n}`));
    await until(() => pool.pool?.waiting === 6, 'six that wait');
    for (const request of held.slice(0, 8)) await echo(request, peer);
    await Promise.all(calls.slice(0, 8));
    await peer.settled();
    // Two are still there: no room.
    t.is(held.length, 10);
    await echo(held[8] as H2Request, peer);
    await peer.until(() => held.length === 11);
    await peer.settled();
    t.is(held.length, 11);
    await peer.send(settings([streams(100)]));
    await peer.until(() => held.length === 16);
    for (const request of held.slice(9)) await echo(request, peer);
    await Promise.all([...calls, ...later]);
    t.is(server.peers.length, 1);
  },
);

test.serial('THR-417: SETTINGS that never come end in a time-out, not in a hang', async (t) => {
  const { pool, server } = await overFrames(
    t,
    () => undefined,
    { maxsize: 2 },
    { settings: null, acknowledges: false },
  );
  const error = await failure(get(pool, '/', { timeout: { connect: 200, read: 200 } }));
  t.true(['ConnectTimeoutError', 'ReadTimeoutError'].includes(error.name), error.name);
  const total = await failure(get(pool, '/', { timeout: { total: 200 } }));
  t.is(total.code, 'ERR_TOTAL_TIMEOUT');
  t.like(counted(pool), { leased: 0, waiting: 0 });
  t.true(server.peers.length >= 1);
});

test.serial(
  'THR-423: a server that never opens the window for an upload is a send time-out; the connection lives',
  async (t) => {
    const { pool, server } = await overFrames(
      t,
      each((request, peer) => (request.method === 'GET' ? echo(request, peer) : undefined)),
      {},
      { settings: [[SETTING.INITIAL_WINDOW_SIZE, 0]], returns: false },
    );
    const source = Readable.from(
      (function* () {
        for (;;) yield Buffer.alloc(1_000);
      })(),
    );
    for (const body of [Buffer.alloc(100_000), source]) {
      const error = await failure(pool.request('POST', '/', { body, timeout: { read: 150 } }));
      t.like(error, { name: 'ReadTimeoutError', code: 'ERR_SEND_TIMEOUT', phase: 'send' });
    }
    t.true(source.destroyed);
    const [peer] = server.peers;
    for (const request of server.requests) t.is(await peer?.resetOf(request), CODE.CANCEL);
    t.is((await get(pool, '/next')).text(), '/next');
    t.is(server.peers.length, 1);
  },
);

test.serial('THR-423: a window that opens bit by bit moves the deadline, and the upload arrives', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each(async (request, peer) => {
      if (request.method === 'GET') return echo(request, peer);
      // All together longer than the time-out, and each of them so much shorter that a machine may stand still meanwhile.
      for (let most = 2_500; most <= 20_000; most += 2_500) {
        await peer.send(windowUpdate(request.id, 2_500), windowUpdate(0, 2_500));
        await peer.until(() => request.received === most);
        await new Promise((resolve) => setTimeout(resolve, 220));
      }
      await peer.until(() => request.ended);
      await peer.send(answer(request.id, String(request.received)));
    }),
    {},
    { settings: [[SETTING.INITIAL_WINDOW_SIZE, 0]], returns: false },
  );
  // Once the client knows the windows.
  await get(pool);
  const response = await pool.request('POST', '/', {
    body: Buffer.alloc(20_000),
    timeout: { read: 1_400, total: 30_000 },
  });
  t.is(response.text(), '20000');
  t.is(server.peers.length, 1);
});

test.serial('BODY-08: a source is asked for no more than the server takes', async (t) => {
  let made = 0;
  const { pool, server } = await overFrames(
    t,
    each(async (request, peer) => {
      if (request.method === 'GET') return echo(request, peer);
      await peer.until(() => request.received >= 10_000);
      await peer.settled();
      await peer.send(answer(request.id, 'enough', { status: 413 }));
    }),
    {},
    { settings: [[SETTING.INITIAL_WINDOW_SIZE, 10_000]], returns: false },
  );
  await get(pool);
  const pieces = (function* () {
    for (; ; made += 1_000) yield Buffer.alloc(1_000);
  })();
  t.is((await pool.request('POST', '/', { body: pieces })).status, 413);
  t.true(made < MIB, String(made));
  t.is(server.requests[1]?.received, 10_000);
});

test.serial('TIME-07: silence before the head, or in the body, ends the stream and not the connection', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each(async (request, peer) => {
      if (request.path === '/silent') return;
      if (request.path === '/half') return peer.send(head(request.id, 200), data(request.id, 'half'));
      await echo(request, peer);
    }),
  );
  const other = get(pool, '/silent', { timeout: null });
  const settled = other.catch((error: Error) => error.name);
  const headless = await failure(get(pool, '/silent', { timeout: { read: 200 } }));
  t.like(headless, { name: 'ReadTimeoutError', code: 'ERR_READ_TIMEOUT', phase: 'headers', sent: true });
  // So long that the head has come by then, on a busy machine too.
  const bodiless = await failure(get(pool, '/half', { timeout: { read: 800 } }));
  t.like(bodiless, { name: 'ReadTimeoutError', code: 'ERR_READ_TIMEOUT', phase: 'body' });
  const total = await failure(get(pool, '/half', { timeout: { total: 800 } }));
  t.like(total, { name: 'ReadTimeoutError', code: 'ERR_TOTAL_TIMEOUT', phase: 'total', during: 'body' });
  for (const request of server.requests.slice(1)) t.is(await server.peers[0]?.resetOf(request), CODE.CANCEL);
  t.is((await get(pool, '/next')).text(), '/next');
  t.is(server.peers.length, 1);
  t.is(server.requests[0]?.reset, null);
  await pool.close({ timeout: 0 });
  t.is(await settled, 'ClosedPoolError');
});

clocked('THR-119: an interim answer moves no deadline', async (t) => {
  const { pool } = await overFrames(
    t,
    each(async (request, peer) => {
      // One more than sixteen would be refused for itself.
      for (let n = 0; n < 15 && request.reset === null; n += 1) {
        await peer.send(head(request.id, 103));
        await new Promise((resolve) => setTimeout(resolve, 90));
      }
    }),
  );
  const began = performance.now();
  const error = await failure(get(pool, '/', { timeout: { read: 200 } }));
  t.like(error, { name: 'ReadTimeoutError', phase: 'headers' });
  // With a deadline that each of them moves it would be 1,400 ms and more.
  within(t, performance.now() - began < 1_000);
});

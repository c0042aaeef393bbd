/** What servers of HTTP/2 give up, refuse and break off: what is made again, by whose leave, and what is an error. */
import { Readable } from 'node:stream';
import test from 'ava';

import { HTTPConnectionPool, IncompleteRead, Retry, type RequestBody, type RequestOptions } from '../index.ts';
import { answer, CODE, data, goaway, head, rstStream } from './servers/h2-frames.ts';
import { each, type H2Peer, type H2Request, type H2Script } from './servers/h2-raw.ts';
import { rawServer } from './servers/raw.ts';
import { counted, echo, failure, get, overFrames, root, WAIT } from './support/h2.ts';
import { until } from './support/street.ts';

/** Refuses the first so many requests of the server, in this way, and serves the others. */
function refusing(
  count: number,
  refuse: (request: H2Request, peer: H2Peer) => Promise<void>,
  served: string[],
): H2Script {
  let left = count;
  return each(async (request, peer) => {
    if (left > 0) {
      left -= 1;
      return refuse(request, peer);
    }
    served.push(`${request.method} ${(await peer.body(request)).toString()}`);
    return peer.send(answer(request.id, 'served'));
  });
}

const REFUSALS: Record<string, (request: H2Request, peer: H2Peer) => Promise<void>> = {
  'RST_STREAM REFUSED_STREAM': (request, peer) => peer.send(rstStream(request.id, CODE.REFUSED_STREAM)),
  'GOAWAY with a lower last id': (request, peer) => peer.send(goaway(request.id - 1)),
  'GOAWAY with a lower last id and an error': (request, peer) =>
    peer.send(goaway(request.id - 1, CODE.ENHANCE_YOUR_CALM, 'too many')),
  'GOAWAY with a lower last id, then the end': async (_, peer) => {
    await peer.send(goaway(0));
    peer.end();
  },
};

for (const [how, refuse] of Object.entries(REFUSALS)) {
  test(`THR-401: what was not processed is sent again, whatever the method, and served once: ${how}`, async (t) => {
    for (const [method, body] of [
      ['GET', undefined],
      ['POST', 'once'],
      ['POST', () => Readable.from(['on', 'ce'])],
      ['PATCH', new Blob(['once'])],
    ] as [string, RequestBody | undefined][]) {
      const served: string[] = [];
      const { pool } = await overFrames(t, refusing(1, refuse, served));
      const options: RequestOptions = body === undefined ? {} : { body };
      const response = await pool.request(method, '/', options);
      t.is(response.text(), 'served');
      // A replay of ours is no attempt.
      t.is(response.attempts, 1);
      t.deepEqual(served, [`${method} ${body === undefined ? '' : 'once'}`]);
      t.is(pool.stats().staleReplays, 1);
    }
  });

  test(`THR-401: refused for ever: one more time without retries, then an error that says so: ${how}`, async (t) => {
    const served: string[] = [];
    const { pool, server } = await overFrames(t, refusing(Infinity, refuse, served), { maxsize: 4 });
    const error = await failure(pool.request('POST', '/', { body: 'x' }));
    const reason = how.startsWith('RST') ? 'ERR_H2_REFUSED' : 'ERR_H2_GOAWAY';
    t.like(error, { name: 'ProtocolError', code: 'ERR_PROTOCOL', reason, attempts: 1 });
    t.is(server.requests.length, 2);
    t.like(counted(pool), { leased: 0, waiting: 0 });
  });
}

test('THR-401 THR-507: what a server says with a GOAWAY is escaped and cut, in the message and in its causes', async (t) => {
  const { pool } = await overFrames(
    t,
    refusing(
      Infinity,
      (request, peer) => peer.send(goaway(request.id - 1, CODE.CANCEL, '\u001b]0;'.repeat(3_000))),
      [],
    ),
  );
  for (let error: unknown = await failure(pool.request('GET', '/')); error instanceof Error; error = error.cause) {
    t.regex(error.message, /^[\x20-\x7e…]{20,300}$/);
    t.true(error.message.includes(String.raw`\x1b]0;`));
  }
});

test('THR-401: with retries a refused POST is tried as a connect is, with back-off, and ends in MaxRetryError', async (t) => {
  const served: string[] = [];
  const refuse = REFUSALS['RST_STREAM REFUSED_STREAM'] as (request: H2Request, peer: H2Peer) => Promise<void>;
  const { pool, server } = await overFrames(t, refusing(Infinity, refuse, served), {
    retries: new Retry({ total: 3, backoffFactor: 20 }),
  });
  const began = performance.now();
  const error = await failure(pool.request('POST', '/', { body: 'x' }));
  t.like(error, { name: 'MaxRetryError', code: 'ERR_MAX_RETRY' });
  t.like(error.reason, { name: 'ProtocolError', reason: 'ERR_H2_REFUSED' });
  // The second and the third retry wait for 40 and 80 ms.
  t.true(performance.now() - began >= 115);
  // Four attempts, each with one replay of ours.
  t.is(server.requests.length, 8);
  await t.throwsAsync(pool.request('POST', '/', { body: 'x', retries: new Retry({ connect: 0 }) }), {
    name: 'MaxRetryError',
  });
  t.is(server.requests.length, 10);
  t.deepEqual(served, []);
});

test('THR-401 BODY-14: a body that can be read once only is not sent again once it was read', async (t) => {
  const served: string[] = [];
  const { pool } = await overFrames(
    t,
    refusing(
      1,
      async (request, peer) => {
        await peer.until(() => request.received > 3_000_000);
        await peer.send(rstStream(request.id, CODE.REFUSED_STREAM));
      },
      served,
    ),
    { retries: null },
  );
  const source = Readable.from(
    (function* () {
      for (;;) yield Buffer.alloc(64 * 1024);
    })(),
  );
  const error = await failure(pool.request('POST', '/', { body: source }));
  t.like(error, { name: 'UnrewindableBodyError', code: 'ERR_UNREWINDABLE' });
  t.deepEqual(served, []);
  t.true(source.destroyed);
  // What has been read of it is kept for a while: it is sent again, and what follows after it.
  const again: string[] = [];
  const { pool: other } = await overFrames(
    t,
    refusing(
      1,
      async (request, peer) => {
        await peer.until(() => request.received > 0);
        await peer.send(rstStream(request.id, CODE.REFUSED_STREAM));
        rest();
      },
      again,
    ),
  );
  const slow = new Readable({ read() {} });
  const rest = (): void => void (slow.push('second'), slow.push(null));
  slow.push('first ');
  t.is((await other.request('POST', '/', { body: slow })).text(), 'served');
  t.deepEqual(again, ['POST first second']);
});

test('THR-402: what is in flight when the server says goodbye is answered; what is new goes elsewhere', async (t) => {
  let heard = (): void => undefined;
  const said = new Promise<void>((resolve) => (heard = resolve));
  const { pool, server } = await overFrames(
    t,
    async (peer) => {
      if (peer.number > 1) return each(echo)(peer);
      const requests = await peer.take(2);
      await peer.send(goaway(3));
      await peer.settled();
      heard();
      const other = await server.peer(2);
      await other.until(() => other.requests.length === 1);
      for (const request of requests) await echo(request, peer);
      await peer.gone();
    },
    { maxsize: 2, block: true },
  );
  const calls = [get(pool, '/1'), get(pool, '/2')];
  await said;
  t.is((await get(pool, '/3')).text(), '/3');
  t.deepEqual(await Promise.all(calls.map(async (call) => (await call).text())), ['/1', '/2']);
  await server.peers[0]?.gone();
  t.is((await get(pool, '/4')).text(), '/4');
  t.is(server.peers.length, 2);
  t.is(server.peers[0]?.requests.length, 2);
});

test('THR-402: closed after GOAWAY with our id in it: an error, made again only if the method allows', async (t) => {
  const { pool, server } = await overFrames(
    t,
    async (peer) => {
      if (peer.number % 2 === 0) return each(echo)(peer);
      const request = await peer.request();
      await peer.send(goaway(request.id));
      peer.end();
    },
    { retries: 2 },
  );
  const response = await get(pool, '/get');
  t.deepEqual([response.text(), response.attempts], ['/get', 2]);
  t.is(server.peers.length, 2);
  server.peers[1]?.end();
  await server.peers[1]?.gone();
  const error = await failure(pool.request('POST', '/post', { body: 'x' }));
  t.like(root(error), { name: 'ProtocolError', code: 'ERR_PROTOCOL', sent: true });
  t.is(server.requests.filter(({ method }) => method === 'POST').length, 1);
});

for (const code of ['NO_ERROR', 'CANCEL', 'INTERNAL_ERROR', 'REFUSED_STREAM'] as const) {
  for (const length of [10, 3, null]) {
    const announced = length === null ? 'no length' : `a length of ${length}`;
    test(`THR-405 RESP-09: ${code} in mid-body, with ${announced}, is a body that broke off`, async (t) => {
      const { pool, server } = await overFrames(
        t,
        each(async (request, peer) => {
          const lines = length === null ? [] : ([['content-length', String(length)]] as const);
          await peer.send(head(request.id, 200, lines), data(request.id, 'abc'));
          if (request.path === '/later') await peer.until(() => request.reset !== null || go);
          await peer.send(rstStream(request.id, CODE[code]));
        }),
      );
      let go = false;
      const broken = { name: 'ProtocolError', code: 'ERR_INCOMPLETE_READ', phase: 'body', sent: true };
      const error = (await failure(get(pool))) as IncompleteRead;
      t.like(error, { ...broken, reason: 'ERR_H2_RESET', expected: length === null ? null : length - 3 });
      t.is(error.partial.toString(), 'abc');
      t.true(error.cause instanceof IncompleteRead);
      t.like(root(await failure(get(pool, '/', { retries: new Retry({ total: 1 }) }))), broken);
      t.is(server.requests.length, 3);
      const streamed = await get(pool, '/later', { preloadContent: false });
      t.is((await streamed.read(3)).toString(), 'abc');
      go = true;
      const peer = await server.peer(1);
      await peer.settled();
      t.like(await failure(streamed.read()), { name: 'ProtocolError', code: 'ERR_INCOMPLETE_READ' });
      t.is(server.peers.length, 1);
      await until(() => counted(pool).leased === 0, 'nothing leased');
    });
  }
}

test('THR-405 THR-317: NO_ERROR after the end is a success; the upload stops, and the connection lives', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each(async (request, peer) => {
      if (request.method === 'GET') return peer.send(answer(request.id, 'next'));
      await peer.until(() => request.received > 0);
      await peer.send(answer(request.id, 'too large', { status: 413 }), rstStream(request.id, CODE.NO_ERROR));
    }),
  );
  let cancelled = (): void => undefined;
  const stopped = new Promise<void>((resolve) => (cancelled = resolve));
  const endless = (function* () {
    try {
      for (;;) yield Buffer.alloc(10_000);
    } finally {
      cancelled();
    }
  })();
  const response = await pool.request('POST', '/', { body: endless });
  t.deepEqual([response.status, response.text()], [413, 'too large']);
  await stopped;
  t.is((await get(pool)).text(), 'next');
  const whole = await pool.request('POST', '/', { body: Buffer.alloc(20_000_000) });
  t.is(whole.status, 413);
  t.is((await get(pool)).text(), 'next');
  t.is(server.peers.length, 1);
  t.true((server.requests[0]?.received ?? 0) < 20_000_000);
});

test('THR-317: an answer before the upload is out, without a reset: the client resets, and the connection lives', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each(async (request, peer) => {
      if (request.method === 'GET') return peer.send(answer(request.id, 'next'));
      await peer.until(() => request.received > 0);
      await peer.send(answer(request.id, 'early', { status: 401 }));
    }),
    {},
    { returns: false },
  );
  const source = new Readable({ read() {} });
  source.push(Buffer.alloc(1_000));
  const response = await pool.request('POST', '/', { body: source });
  t.deepEqual([response.status, response.text()], [401, 'early']);
  t.true(source.destroyed);
  const code = await server.peers[0]?.resetOf(server.requests[0] as H2Request);
  t.true(code === CODE.CANCEL || code === CODE.NO_ERROR, String(code));
  t.is((await get(pool)).text(), 'next');
  t.is(server.peers.length, 1);
});

test('a reset before the head is ERR_H2_RESET and names the code; a read error for Retry', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each((request, peer) => peer.send(rstStream(request.id, Number(request.path.slice(1))))),
  );
  for (const name of ['NO_ERROR', 'PROTOCOL_ERROR', 'INTERNAL_ERROR', 'CANCEL', 'ENHANCE_YOUR_CALM'] as const) {
    const error = await failure(get(pool, `/${CODE[name]}`));
    t.like(error, { name: 'ProtocolError', code: 'ERR_PROTOCOL', reason: 'ERR_H2_RESET', sent: true, attempts: 1 });
    t.regex(error.message, new RegExp(name));
  }
  const before = server.requests.length;
  const path = `/${CODE.INTERNAL_ERROR}`;
  t.like(await failure(get(pool, path, { retries: new Retry({ read: 1 }) })), { name: 'MaxRetryError' });
  t.is(server.requests.length, before + 2);
  await failure(pool.request('POST', path, { body: 'x', retries: new Retry({ read: 1 }) }));
  t.is(server.requests.length, before + 3);
  t.is(server.peers.length, 1);
});

test('THR-1010 POOL-13: a connection that dies with fifty streams: each has one outcome, and the next request a fresh one', async (t) => {
  for (const how of ['end', 'reset', 'goaway'] as const) {
    const { pool, server } = await overFrames(t, async (peer) => {
      if (peer.number > 1) return each(echo)(peer);
      const requests = await peer.take(50);
      // A third has been answered, a third has a head.
      for (const { id } of requests.slice(0, 16)) await peer.send(answer(id, 'answered'));
      for (const { id } of requests.slice(16, 32))
        await peer.send(head(id, 200, [['content-length', '5']]), data(id, 'ab'));
      await peer.settled();
      if (how === 'goaway') await peer.send(goaway(99, CODE.INTERNAL_ERROR, 'oops'));
      if (how === 'reset') peer.reset();
      else peer.end();
    });
    let outcomes = 0;
    const calls = Array.from({ length: 50 }, async (_, n) => {
      try {
        return (await get(pool, `/${n}`)).text();
      } catch (error) {
        return (error as { code: string }).code;
      } finally {
        outcomes += 1;
      }
    });
    const settled = await Promise.all(calls);
    t.is(outcomes, 50);
    const tally: Record<string, number> = {};
    for (const one of settled) tally[one] = (tally[one] ?? 0) + 1;
    t.is(tally['answered'], 16, how);
    t.is(tally['ERR_INCOMPLETE_READ'], 16, how);
    t.is(tally['ERR_PROTOCOL'], 18, how);
    t.is((await get(pool, '/next')).text(), '/next');
    t.is(server.peers.length, 2);
    t.deepEqual(counted(pool), { opened: 2, idle: 1, leased: 0, waiting: 0 });
  }
});

test('an error of the connection is ERR_H2_CONNECTION, and no leave to send again', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each(async (request, peer) => {
      await peer.send(goaway(request.id, CODE.ENHANCE_YOUR_CALM, 'calm down'));
      peer.end();
    }),
  );
  const error = await failure(pool.request('POST', '/', { body: 'once' }));
  t.like(error, { name: 'ProtocolError', code: 'ERR_PROTOCOL', reason: 'ERR_H2_CONNECTION', sent: true });
  // It may have been processed: not again.
  t.is(server.requests.length, 1);
});

test('H2-05: a peer that speaks HTTP/1.1, or nothing, is an error, and teaches nothing', async (t) => {
  let speaks = 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n';
  const server = await rawServer(async (peer) => {
    await peer.bytes(24);
    peer.end(speaks);
  });
  t.teardown(() => server.close());
  const options = { port: server.port, retries: false, timeout: WAIT, http2: 'prior-knowledge' } as const;
  const pool = new HTTPConnectionPool('127.0.0.1', options);
  for (const words of [speaks, '', 'SSH-2.0-x\r\n']) {
    speaks = words;
    const error = await failure(get(pool));
    t.like(error, { name: 'ProtocolError', code: 'ERR_PROTOCOL' }, words);
  }
  t.like(counted(pool), { idle: 0, leased: 0 });
  await pool.close();
});

test('WART-08 RETRY-12: an answer that is retried is drained, and its connection serves the next attempt', async (t) => {
  const { pool, server } = await overFrames(t, (peer) => {
    let asked = 0;
    return each(async (request) => {
      asked += 1;
      await peer.send(answer(request.id, `answer ${asked}`, { status: asked < 3 ? 503 : 200 }));
    })(peer);
  });
  const response = await get(pool, '/', { retries: new Retry({ total: 5, statusForcelist: [503] }) });
  t.deepEqual([response.text(), response.attempts], ['answer 3', 3]);
  const posted = await pool.request('POST', '/', {
    body: 'x',
    retries: new Retry({ total: 5, statusForcelist: [200] }),
  });
  t.is(posted.status, 200);
  t.is(server.peers.length, 1);
});

test('THR-405: an answer that came whole is whole, though its connection went before the upload was over', async (t) => {
  const { pool } = await overFrames(
    t,
    each(async (request, peer) => {
      // END_STREAM, and the end of the connection right behind it.
      await peer.send(answer(request.id, 'no more', { status: 413, lines: [['content-length', '7']] }));
      peer.socket.destroySoon();
    }),
  );
  // Often enough for the settings, the answer and the reset to be there before anything is read.
  for (let nth = 0; nth < 100; nth += 1) {
    const response = await pool.request('POST', '/', { body: Buffer.alloc(5_000_000) });
    t.is(response.status, 413);
    t.is(response.text(), 'no more');
    // The next one is not to be sent on the connection whose end is still on its way.
    await until(() => pool.stats().live === 0, 'the end of the connection');
  }
});

for (const [method, status] of [
  ['GET', 204],
  ['GET', 304],
  ['HEAD', 200],
] as const) {
  test(`RESP-08: what comes where no body may come is nobody's: ${method} ${status}`, async (t) => {
    const { pool } = await overFrames(
      t,
      each(async (request, peer) => {
        await peer.send(head(request.id, status));
        await peer.send(data(request.id, 'smuggled', { end: true }));
      }),
    );
    for (let nth = 0; nth < 2; nth += 1) {
      const response = await pool.request(method, '/');
      t.is(response.status, status);
      t.is(response.data.length, 0);
    }
    t.is(pool.numConnections, 1);
  });
}

/** Where one response ends and the next begins: framing fields, and what must keep a connection from a second exchange. */
import { once } from 'node:events';

import test, { type ExecutionContext } from 'ava';

import { HTTPConnectionPool, ProtocolError, ReadTimeoutError, type HTTPResponse, type PoolOptions } from '../index.ts';
import { answers, choices, reply, type RawServer } from './servers/raw.ts';
import { rejection, scripted, target, type Fixture } from './support/fixtures.ts';
import { clocked, within } from './support/clocked.ts';
import { until } from './support/street.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const BODY = 'Content-Length: 2\r\n\r\nok';
const CHUNKS = '2\r\nok\r\n0\r\n\r\n';
const EVIL = `${OK}Content-Length: 4\r\n\r\nEVIL`;
const WAIT = { total: 30_000 };

/** A pool whose first request gets these bytes, and every later one `fresh`, on whatever connection. */
function first(t: ExecutionContext, wire: string, options: PoolOptions = {}): Promise<Fixture<RawServer>> {
  return scripted(t, answers(Buffer.from(wire, 'latin1'), reply('fresh')), { timeout: WAIT, ...options });
}

/** Whether the next request came on a second connection; it must have got its own answer. */
async function freshNext(t: ExecutionContext, { pool, server }: Fixture<RawServer>, what: string): Promise<void> {
  const next = await pool.request('GET', '/next');
  t.is(next.data.toString(), 'fresh', what);
  t.is(server.peers.length, 2, what);
  t.false(next.connection?.reused, what);
}

async function reusedNext(t: ExecutionContext, { pool, server }: Fixture<RawServer>, what: string): Promise<void> {
  const next = await pool.request('GET', '/next');
  t.is(next.data.toString(), 'fresh', what);
  t.is(server.peers.length, 1, what);
  t.true(next.connection?.reused, what);
}

for (const later of [false, true]) {
  const when = later ? 'while the connection is idle' : 'in the same segment';
  test(`THR-301: bytes after a complete response, ${when}, cost the connection and are never a response`, async (t) => {
    for (const extra of [EVIL, 'x', '\r\n']) {
      const { pool, server } = await scripted(t, async (peer) => {
        await peer.request();
        if (peer.number > 1) return peer.write(reply('fresh'));
        await peer.write(later ? reply('ok') : reply('ok') + extra);
      });
      const response = await pool.request('GET', '/');
      t.is(response.data.toString(), 'ok');
      const peer = await server.peer(1);
      if (later) {
        t.is(pool.stats().idle, 1);
        await peer.write(extra);
      }
      // At once: nobody asks for the connection, and still it goes.
      await peer.gone();
      // The kernel tells the server of it before the pool has counted it.
      await until(() => pool.stats().closed === 1, 'the close');
      t.like(pool.stats(), { poisoned: 1, live: 0, closed: 1 });
      await freshNext(t, { pool, server, host: '' }, JSON.stringify(extra));
    }
  });
}

test('THR-301: a second response that races with the next request is never taken for its answer', async (t) => {
  const { pool, server } = await scripted(
    t,
    async (peer) => {
      for (;;) {
        const request = await peer.request();
        await peer.write(reply(target(request)) + (peer.received.length % 2 === 0 ? EVIL : ''));
        await peer.write(EVIL);
      }
    },
    { timeout: WAIT },
  );
  for (let nth = 0; nth < 200; nth += 1) {
    const url = `/token-${'x'.repeat(nth % 7)}${nth}`;
    t.is((await pool.request('GET', url)).data.toString(), url);
  }
  t.is(server.peers.length, 200);
});

test('THR-304: a server that speaks first is not believed: the request goes out on another connection', async (t) => {
  const { pool, server } = await scripted(
    t,
    async (peer) => {
      if (peer.number === 1) return peer.write(EVIL);
      await peer.request();
      await peer.write(reply('fresh'));
    },
    { timeout: WAIT },
  );
  await pool.warm(1);
  const peer = await server.peer(1);
  await peer.gone();
  await until(() => pool.stats().closed === 1, 'the close');
  t.like(pool.stats(), { poisoned: 1, live: 0 });
  await freshNext(t, { pool, server, host: '' }, 'after one that spoke first');
  t.is(peer.received.length, 0);
});

test('THR-305 THR-307: lengths that differ or are no plain number are refused, and cost the connection', async (t) => {
  const bad = [
    'Content-Length: 2\r\nContent-Length: 3',
    'Content-Length: 2, 3',
    ...['-5', '+5', '0x5', '5abc', '', '0_5', '5 5', '2,', '9223372036854775808', '18446744073709551616'].map(
      (value) => `Content-Length: ${value}`,
    ),
  ];
  for (const lines of bad) {
    // Were it believed, the socket would be read for ever.
    const fixture = await first(t, `${OK}${lines}\r\n\r\nok`);
    const error = await rejection(fixture.pool.request('GET', '/'), ProtocolError);
    t.like(error, { code: 'ERR_PROTOCOL', phase: 'headers' }, lines);
    await freshNext(t, fixture, lines);
  }
});

test('THR-305: one length said twice is that length', async (t) => {
  for (const lines of ['Content-Length: 2\r\nContent-Length: 2', 'Content-Length: 2, 2']) {
    const fixture = await first(t, `${OK}${lines}\r\n\r\nok`);
    t.is((await fixture.pool.request('GET', '/')).data.toString(), 'ok');
    await reusedNext(t, fixture, lines);
  }
});

test('THR-308: chunks overrule a length, which is not shown, and the connection goes', async (t) => {
  const both = ['Content-Length: 3', 'Transfer-Encoding: chunked'];
  for (const lines of [both, both.toReversed()]) {
    const fixture = await first(t, `${OK}${lines.join('\r\n')}\r\n\r\n${CHUNKS}`);
    const response = await fixture.pool.request('GET', '/');
    t.is(response.data.toString(), 'ok');
    t.true(response.chunked);
    t.false(response.headers.has('content-length'));
    await freshNext(t, fixture, lines.join());
  }
});

const NOT_CHUNKED = ['chunked, identity', 'xchunked', 'chunked;q=1', 'chunked,', '"chunked"'];

test('THR-309: a last coding that is not chunked means: until the end of the stream', async (t) => {
  for (const value of NOT_CHUNKED) {
    const wire = `${OK}Transfer-Encoding: ${value}\r\n\r\n${CHUNKS}`;
    const { pool } = await scripted(t, choices([wire], true), { timeout: WAIT });
    const response = await pool.request('GET', '/0');
    t.is(response.data.toString(), CHUNKS, value);
    t.false(response.chunked);
    t.is(pool.stats().live, 0);
  }
});

test('THR-309: where the stream does not end, the time-out does; where a length was sent too, it is refused', async (t) => {
  const open = await first(t, `${OK}Transfer-Encoding: xchunked\r\n\r\n${CHUNKS}`);
  const error = await rejection(open.pool.request('GET', '/', { timeout: { read: 300 } }), ReadTimeoutError);
  t.is(error.code, 'ERR_READ_TIMEOUT');
  await freshNext(t, open, 'after a time-out');
  for (const value of NOT_CHUNKED) {
    const fixture = await first(t, `${OK}Transfer-Encoding: ${value}\r\nContent-Length: 2\r\n\r\nok`);
    const refused = await rejection(fixture.pool.request('GET', '/'), ProtocolError);
    t.like(refused, { reason: 'ERR_TRANSFER_CODING', phase: 'headers' }, value);
    await freshNext(t, fixture, value);
  }
});

test('THR-310 THR-312: identity with a length, and chunks from HTTP/1.0, are refused at once (known gaps)', async (t) => {
  for (const wire of [
    `${OK}Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok`,
    `HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
    `HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
  ]) {
    const fixture = await first(t, wire);
    const error = await rejection(fixture.pool.request('GET', '/'), ProtocolError);
    t.like(error, { code: 'ERR_PROTOCOL', phase: 'headers' });
    await freshNext(t, fixture, wire);
  }
});

test('THR-311: chunked is known in any case, over two lines, folded and after a tab', async (t) => {
  for (const [lines, kept] of [
    ['Transfer-Encoding: CHUNKED', true],
    ['Transfer-Encoding: \tchunked', true],
    ['Transfer-Encoding: identity\r\nTransfer-Encoding: chunked', true],
    ['Transfer-Encoding: identity, chunked', true],
    ['Transfer-Encoding:\r\n chunked', false],
  ] as const) {
    const fixture = await first(t, `${OK}${lines}\r\n\r\n${CHUNKS}`);
    const response = await fixture.pool.request('GET', '/');
    t.is(response.data.toString(), 'ok', lines);
    t.true(response.chunked, lines);
    await (kept ? reusedNext : freshNext)(t, fixture, lines);
  }
});

test('THR-311: a coding with a control byte in it is no coding, and costs the connection', async (t) => {
  for (const value of ['chun\x0bked', '\x0bchunked', 'chunked\x0b', 'chunked\x01']) {
    const fixture = await first(t, `${OK}Transfer-Encoding: ${value}\r\n${BODY}`);
    const response = await fixture.pool.request('GET', '/');
    t.is(response.data.toString(), 'ok', value);
    t.deepEqual(response.defects, ["line with a control character dropped: 'Transfer-Encoding'"]);
    await freshNext(t, fixture, value);
  }
});

test('THR-313: close in any form is obeyed, even where the server leaves the socket open', async (t) => {
  for (const [head, kept] of [
    ['HTTP/1.1 200 OK\r\n', true],
    ['HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n', true],
    ['HTTP/1.1 200 OK\r\nConnection: close\r\n', false],
    ['HTTP/1.1 200 OK\r\nConnection: CLOSE\r\n', false],
    ['HTTP/1.1 200 OK\r\nConnection: keep-alive, x, close\r\n', false],
    ['HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\n', false],
    ['HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n', false],
    ['HTTP/1.1 200 OK\r\nProxy-Connection: close\r\n', false],
    ['HTTP/1.1 200 OK\r\nProxy-Connection: keep-alive\r\n', true],
    ['HTTP/1.0 200 OK\r\n', false],
    ['HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n', true],
    ['HTTP/1.0 200 OK\r\nProxy-Connection: keep-alive\r\n', false],
    ['HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n', false],
  ] as const) {
    const fixture = await first(t, head + BODY);
    t.is((await fixture.pool.request('GET', '/')).data.toString(), 'ok', head);
    await (kept ? reusedNext : freshNext)(t, fixture, head);
  }
});

test('THR-315: Keep-Alive’s count is kept to', async (t) => {
  const left = (max: number): string => reply('ok', `${OK}Keep-Alive: timeout=60\r\nKeep-Alive: max=${max}\r\n`);
  const { pool, server } = await scripted(t, answers(left(2), left(1), left(0), reply('ok')), { timeout: WAIT });
  for (const connections of [1, 1, 1, 2]) {
    await pool.request('GET', '/');
    t.is(server.peers.length, connections);
  }
});

clocked(
  'THR-315: nothing is sent in the last half second of Keep-Alive’s time: the connection is gone by then',
  async (t) => {
    const { pool, server } = await scripted(
      t,
      answers(
        reply('ok', `${OK}Keep-Alive: timeout=1\r\n`),
        reply('ok', `${OK}Keep-Alive: timeout=0\r\n`),
        reply('ok'),
      ),
      { timeout: WAIT },
    );
    await pool.request('GET', '/');
    const began = performance.now();
    t.is(pool.stats().idle, 1);
    await (await server.peer(1)).gone();
    const took = performance.now() - began;
    within(t, took > 400 && took < 900, `${took} ms`);
    await until(() => pool.stats().live === 0, 'the close');
    await pool.request('GET', '/');
    t.is(pool.stats().idle, 0);
    await pool.request('GET', '/');
    t.is(server.peers.length, 3);
  },
);

const UPLOAD = Buffer.alloc(100 << 20);

test('THR-317: an answer that comes before the request is out is delivered, the upload stops, the connection goes', async (t) => {
  const { pool, server } = await scripted(
    t,
    async (peer) => {
      await peer.bytes(1);
      if (peer.number > 1) return peer.write(reply('fresh'));
      peer.socket.pause();
      await peer.write(reply('no', 'HTTP/1.1 413 Content Too Large\r\n'));
    },
    { timeout: WAIT },
  );
  const response = await pool.request('POST', '/', { body: UPLOAD });
  t.is(response.status, 413);
  t.is(response.data.toString(), 'no');
  t.like(pool.stats(), { live: 0, closed: 1 });
  const peer = await server.peer(1);
  peer.socket.resume();
  await peer.gone();
  t.true(peer.received.length < UPLOAD.length / 2, `${peer.received.length}`);
  t.true(pool.stats().wireBytesOut < UPLOAD.length / 2);
  await freshNext(t, { pool, server, host: '' }, 'after an early answer');
});

test('THR-318: an answer followed by a reset while the request is being written is delivered', async (t) => {
  for (let round = 0; round < 40; round += 1) {
    const { pool } = await scripted(
      t,
      async (peer) => {
        peer.socket.pause();
        await once(peer.socket, 'readable');
        await peer.write(reply('no', 'HTTP/1.1 413 Content Too Large\r\n'));
        peer.reset();
      },
      { timeout: WAIT },
    );
    const response = await pool.request('POST', '/', { body: UPLOAD.subarray(0, 8 << 20) });
    t.is(response.status, 413);
    t.is(response.data.toString(), 'no');
    t.is(pool.stats().live, 0);
  }
});

test('THR-318: a reset without an answer while the request is being written is a ProtocolError of that phase', async (t) => {
  for (const how of ['reset', 'destroy'] as const) {
    const { pool } = await scripted(
      t,
      async (peer) => {
        peer.socket.pause();
        await once(peer.socket, 'readable');
        if (how === 'reset') peer.reset();
        else peer.socket.destroy();
      },
      { timeout: WAIT },
    );
    const error = await rejection(pool.request('POST', '/', { body: UPLOAD.subarray(0, 8 << 20) }), ProtocolError);
    t.like(error, { code: 'ERR_PROTOCOL', phase: 'send', sent: true });
    t.regex(error.message, /^Connection aborted\. \(.*, (ECONNRESET|EPIPE)\)$/);
    t.regex((error.cause as NodeJS.ErrnoException).code ?? '', /^(ECONNRESET|EPIPE)$/);
    t.is(pool.stats().live, 0);
  }
});

/** Where an exchange is when it is given up; each resolves when that is so. */
const STATES: Record<string, (server: RawServer, pool: HTTPConnectionPool) => Promise<void>> = {
  connected: async (server, pool) => {
    await server.peer(1);
    // The server may know of it before the pool.
    await until(() => pool.numConnections === 1, 'the connection');
  },
  'sent in part': async (server) => {
    const peer = await server.peer(1);
    await peer.bytes(1);
    peer.socket.pause();
  },
  'sent, no answer': async (server) => void (await (await server.peer(1)).request()),
  'in the head': async (server) => {
    const peer = await server.peer(1);
    await peer.request();
    await peer.write('HTTP/1.1 200 OK\r\nX: ');
  },
  'in the body': async (server) => {
    const peer = await server.peer(1);
    await peer.request();
    await peer.write(`${OK}Content-Length: 100\r\n\r\nEVIL`);
  },
  'in a chunk': async (server) => {
    const peer = await server.peer(1);
    await peer.request();
    await peer.write(`${OK}Transfer-Encoding: chunked\r\n\r\n64\r\nEVIL`);
  },
};

for (const [state, reached] of Object.entries(STATES)) {
  test(`THR-319: given up when ${state}: the connection closes at once, and the next request has its own answer`, async (t) => {
    const fixture = await scripted(
      t,
      async (peer) => {
        if (peer.number > 1) return answers(reply('fresh'))(peer);
      },
      { timeout: WAIT },
    );
    const { pool, server } = fixture;
    const controller = new AbortController();
    const big = state === 'connected' || state === 'sent in part' ? UPLOAD : Buffer.from('x');
    const call = rejection(pool.request('POST', '/', { body: big, signal: controller.signal }), DOMException);
    await reached(server, pool);
    controller.abort();
    t.is((await call).name, 'AbortError');
    const peer = await server.peer(1);
    peer.socket.resume();
    await peer.gone();
    // What the peer says now is said to nobody.
    await peer.write(EVIL);
    await freshNext(t, fixture, state);
    t.like(pool.stats(), { abandoned: 1, idle: 1, leased: 0 });
  });
}

test('THR-319: given up at random instants, no answer reaches another request and no connection is lost', async (t) => {
  let seed = 7;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  const { pool } = await scripted(
    t,
    async (peer) => {
      for (;;) {
        const token = target(await peer.request());
        await peer.write(`${OK}Content-Length: ${token.length}\r\n\r\n${token.slice(0, 3)}`);
        await peer.write(token.slice(3));
      }
    },
    { maxsize: 4, block: true, timeout: WAIT },
  );
  let [served, aborted] = [0, 0];
  const worker = async (name: string): Promise<void> => {
    for (let nth = 0; nth < 100; nth += 1) {
      const url = `/${name}-${nth}`;
      const controller = new AbortController();
      const turns = random(8);
      const outcome = pool.request('GET', url, { signal: controller.signal }).then(
        (response) => response.data.toString(),
        (error: Error) => error.name,
      );
      for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      if (random(2) === 0) controller.abort();
      const result = await outcome;
      if (result === 'AbortError') aborted += 1;
      else served += 1;
      if (result !== 'AbortError') t.is(result, url);
    }
  };
  await Promise.all(Array.from('abcdefgh', (name) => worker(name)));
  t.true(served > 0 && aborted > 0, `${served} served, ${aborted} aborted`);
  // An abort rejects at once; its connection is given back a moment later.
  await until(() => pool.stats().leased === 0, 'all back');
  const { opened, closed, idle, leased } = pool.stats();
  t.is(opened, closed + idle + leased);
});

test('THR-321: a completion that comes after its call was given up is nobody’s, and every call settles once', async (t) => {
  const { pool } = await scripted(t, answers(reply('ok')), { maxsize: 16, timeout: WAIT });
  let settled = 0;
  for (let round = 0; round < 50; round += 1) {
    const controllers = Array.from({ length: 16 }, () => new AbortController());
    const calls = controllers.map(({ signal }) => pool.request('GET', '/', { signal }).finally(() => (settled += 1)));
    await Promise.race(calls);
    // Those that are on their way back now have their completion in the queue.
    for (const controller of controllers) controller.abort();
    for (const { status, reason } of (await Promise.allSettled(calls)) as PromiseRejectedResult[]) {
      if (status === ('rejected' as string)) t.is((reason as Error).name, 'AbortError');
    }
    t.is(settled, 16 * (round + 1));
  }
  t.is((await pool.request('GET', '/')).data.toString(), 'ok');
});

// Bytes that come when the next request is already on its way cannot be told from its answer (RFC 9112, 9.3.2), so the
// extra ones here come with the response that they follow.
test('THR-322: every response carries its request’s token, though one in a hundred connections goes wrong', async (t) => {
  let count = 0;
  const { pool } = await scripted(
    t,
    async (peer) => {
      for (;;) {
        const whole = reply(target(await peer.request()));
        count += 1;
        switch (count % 500) {
          case 100:
            return peer.reset();
          case 200:
            return peer.end(whole.slice(0, -2));
          case 300:
            await peer.write(whole + EVIL);
            break;
          case 400:
            return peer.end(whole + EVIL);
          case 499:
            await peer.write(`${OK}X: `);
            return peer.end();
          default:
            await peer.write(whole);
        }
      }
    },
    { maxsize: 8, block: true, timeout: WAIT },
  );
  let [wrong, failed] = [0, 0];
  const worker = async (name: string): Promise<void> => {
    for (let nth = 0; nth < 500; nth += 1) {
      const url = `/${name}-${nth}`;
      const outcome: HTTPResponse | Error = await pool.request('GET', url).catch((error: Error) => error);
      if (outcome instanceof Error) {
        failed += 1;
        if (!(outcome instanceof ProtocolError)) throw outcome;
      } else if (outcome.data.toString() !== url) wrong += 1;
    }
  };
  await Promise.all(Array.from({ length: 16 }, (_, name) => worker(String(name))));
  t.is(wrong, 0);
  t.true(failed >= 40 && failed < 100, `${failed} failed`);
});

test('THR-324: a challenge that binds the connection is the last that it carries', async (t) => {
  for (const [head, kept] of [
    ['HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\n', false],
    ['HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM TlRMTVNTUAAC\r\n', false],
    ['HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nWWW-Authenticate: negotiate\r\n', false],
    ['HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x", NTLM\r\n', false],
    ['HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\n', false],
    ['HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\n', true],
  ] as const) {
    const fixture = await first(t, head + BODY);
    t.is((await fixture.pool.request('GET', '/')).data.toString(), 'ok');
    await (kept ? reusedNext : freshNext)(t, fixture, head);
  }
});

test('THR-325: one host by any spelling, and another one by a trailing dot', async (t) => {
  const { server } = await scripted(t, answers(reply('ok')));
  const { port } = server;
  const pool = new HTTPConnectionPool('B\xdcCHER.example', {
    port,
    resolve: { 'xn--bcher-kva.example': '127.0.0.1' },
    timeout: WAIT,
  });
  t.teardown(() => pool.close({ timeout: 0 }));
  t.is(pool.host, 'xn--bcher-kva.example');
  for (const host of ['bücher.example', 'BÜCHER.EXAMPLE', 'xn--bcher-kva.example', 'XN--BCHER-KVA.example']) {
    t.is((await pool.request('GET', `http://${host}:${port}/`)).status, 200, host);
  }
  t.is(server.peers.length, 1);
  await t.throwsAsync(pool.request('GET', `http://xn--bcher-kva.example.:${port}/`), { code: 'ERR_HOST_CHANGED' });
  const usual = new HTTPConnectionPool('localhost');
  t.teardown(() => usual.close());
  t.true(usual.isSameHost('http://LOCALHOST:80/'));
  t.true(usual.isSameHost('http://localhost/'));
  t.false(usual.isSameHost('http://localhost./'));
});

test('THR-326: one request at a time on a connection, whatever is offered: no pipelining, no Alt-Svc, no upgrade', async (t) => {
  const offer = `${OK}Alt-Svc: h2=":1", h3=":2"; ma=3600\r\nUpgrade: h2c, websocket\r\nConnection: upgrade\r\n`;
  const unanswered: number[] = [];
  const { pool, server } = await scripted(
    t,
    async (peer) => {
      for (let answered = 0; ; answered += 1) {
        await peer.request();
        // A second request would have come with this one, or would come before its answer.
        await new Promise((resolve) => setImmediate(resolve));
        unanswered.push(peer.received.toString('latin1').split('GET /').length - 1 - answered);
        await peer.write(reply('ok', offer));
      }
    },
    { maxsize: 2, block: true, timeout: WAIT },
  );
  const responses = await Promise.all(Array.from({ length: 50 }, (_, nth) => pool.request('GET', `/${nth}`)));
  t.true(responses.every(({ status }) => status === 200));
  t.deepEqual(
    unanswered,
    Array.from({ length: 50 }, () => 1),
  );
  t.is(server.peers.length, 2);
  for (const peer of server.peers)
    t.notRegex(peer.received.toString('latin1'), /^(upgrade|http2-settings|alt-used):/im);
});

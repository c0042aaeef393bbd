/** What comes after the handshake: ends that are no ends, records that do not decrypt, streams cut into any pieces. */
import { createHash } from 'node:crypto';
import type tls from 'node:tls';
import test from 'ava';

import { IncompleteRead, MaxRetryError, ProtocolError, Retry, SSLError, type Progress } from '../index.ts';
import { reply, type Peer } from './servers/raw.ts';
import type { Pieces } from './servers/relay.ts';
import { cut } from './servers/tls.ts';
import { rejection } from './support/fixtures.ts';
import { clocked, within } from './support/clocked.ts';
import { greets, refused, relayed, secured, securePool, servedSecurely } from './support/secure.ts';
import { until } from './support/street.ts';

const CLOSES = 'HTTP/1.1 200 OK\r\nConnection: close\r\n';
const MEBIBYTE = 1_048_576;
const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

/** Answers each request with these bytes and then ends as it is told. */
function once(bytes: string, end: (peer: Peer) => void) {
  return async (peer: Peer): Promise<void> => {
    await peer.request();
    await peer.write(bytes);
    end(peer);
  };
}

for (const maxVersion of VERSIONS) {
  test(`THR-817: a body whose length is known is whole without close_notify, ${maxVersion}`, async (t) => {
    for (const bytes of [
      reply('whole'),
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n',
    ]) {
      const { pool, server } = await secured(t, once(bytes, cut), { maxVersion });
      for (const preloadContent of [true, false]) {
        const response = await pool.request('GET', '/', { preloadContent });
        t.is((preloadContent ? response.data : await response.read()).toString(), 'whole');
        await until(() => pool.stats().live === 0, 'the connection is gone');
      }
      t.is(server.shaken.length, 2);
    }
  });

  test(`THR-817: a body that lasts to the end ends with close_notify; without it is cut: IncompleteRead TLS_TRUNCATED, ${maxVersion}`, async (t) => {
    const open = 'HTTP/1.1 200 OK\r\n\r\nto the end';
    const fair = await secured(
      t,
      once(open, (peer) => peer.end()),
      { maxVersion },
    );
    t.is((await fair.pool.request('GET', '/')).text(), 'to the end');
    const { pool } = await secured(t, once(open, cut), { maxVersion });
    const error = await rejection(pool.request('GET', '/'), ProtocolError);
    t.like(error, { code: 'ERR_INCOMPLETE_READ', reason: 'TLS_TRUNCATED', phase: 'body' });
    t.true(error.cause instanceof IncompleteRead);
    t.is((error.cause as IncompleteRead).partial.toString(), 'to the end');
    t.is((error.cause as IncompleteRead).expected, null);
    const response = await pool.request('GET', '/', { preloadContent: false });
    const late = await rejection(response.read(), ProtocolError);
    t.like(late, { code: 'ERR_INCOMPLETE_READ', reason: 'TLS_TRUNCATED' });
  });

  test(`THR-817: a body that breaks off is cut, with close_notify and without, ${maxVersion}`, async (t) => {
    for (const end of [(peer: Peer) => peer.end(), cut]) {
      for (const bytes of [
        'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf',
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf',
        'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n',
      ]) {
        const { pool } = await secured(t, once(bytes, end), { maxVersion });
        const error = await rejection(pool.request('GET', '/'), ProtocolError);
        t.is(error.code, 'ERR_INCOMPLETE_READ', bytes);
        t.is((error.cause as IncompleteRead).partial.toString(), 'half');
      }
      // Before a byte of the answer.
      const { pool } = await secured(t, once('', end), { maxVersion });
      const nothing = await rejection(pool.request('GET', '/'), ProtocolError);
      t.like(nothing, { phase: 'headers', sent: true });
      const half = await secured(t, once('HTTP/1.1 200', end), { maxVersion });
      await rejection(half.pool.request('GET', '/'), ProtocolError);
    }
  });

  test(`THR-817: an idle connection that ends, with close_notify and without, is replaced in silence, ${maxVersion}`, async (t) => {
    for (const end of [(peer: Peer) => peer.end(), cut]) {
      const { pool, server } = await secured(t, greets, { maxVersion });
      for (let n = 1; n <= 3; n += 1) {
        const response = await pool.request('POST', '/', { body: 'once' });
        t.like(response, { attempts: 1 });
        t.is(response.connection?.reused, false);
        t.is(pool.pool?.idle, 1);
        const peer = server.peers.at(-1) as Peer;
        end(peer);
        await until(() => pool.stats().live === 0, 'the connection is gone');
      }
      t.is(server.shaken.length, 3);
      t.like(pool.stats(), { errors: {}, live: 0, requests: 3 });
    }
  });

  test(`THR-813 THR-817: tickets that wait on an idle connection are no poison: it is used, again and again, ${maxVersion}`, async (t) => {
    // Warm: nothing was read since the handshake, and the tickets of TLS 1.3 come after it.
    const { pool, server } = await servedSecurely(t, (_, response) => response.end('ok'), { maxVersion });
    await pool.warm(1);
    await server.shakes(1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    t.is(pool.pool?.idle, 1);
    for (let n = 0; n < 5; n += 1) {
      const response = await pool.request('GET', '/');
      t.is(response.attempts, 1);
      t.is(response.connection?.id, (await pool.request('GET', '/')).connection?.id);
    }
    t.is(server.sockets.length, 1);
    t.like(pool.stats(), { poisoned: 0, opened: 1, staleReplays: 0 });
  });

  test(`TLS-19: a record that does not decrypt is SSLError in mid-answer, ${maxVersion}`, async (t) => {
    let goOn = (): void => undefined;
    const halfway = new Promise<void>((resolve) => (goOn = resolve));
    const { server } = await secured(
      t,
      async (peer) => {
        await peer.request();
        await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nthe first half');
        await halfway;
        await peer.write(' wrong');
      },
      { maxVersion },
    );
    const middle = await relayed(t, server.port);
    const pool = securePool(t, middle.port, { timeout: { total: 10_000 } });
    const response = await pool.request('GET', '/', { preloadContent: false });
    t.is((await response.read(14)).toString(), 'the first half');
    middle.corrupt();
    goOn();
    const error = await rejection(response.read(), SSLError);
    t.like(error, { code: 'ERR_TLS', reason: 'ERR_TLS_RECORD', phase: 'body', sent: true });
    t.like(pool.stats(), { live: 0 });
  });

  test(`TLS-19: a record that does not decrypt in place of the head is SSLError, and tried again as \`other\`, ${maxVersion}`, async (t) => {
    let [asked, wrong] = [0, 3];
    const { server } = await secured(
      t,
      async (peer) => {
        await peer.request();
        asked += 1;
        if (asked <= wrong) middle.corrupt();
        await peer.write(reply('garbled on the way'));
      },
      { maxVersion },
    );
    const middle = await relayed(t, server.port);
    const pool = securePool(t, middle.port, { timeout: { total: 10_000 } });
    const error = await refused(t, pool.request('GET', '/'), 'ERR_TLS_RECORD');
    t.like(error, { phase: 'headers', sent: true });
    t.is(asked, 1);
    const spent = await rejection(pool.request('GET', '/', { retries: new Retry({ other: 1 }) }), MaxRetryError);
    t.like(spent.reason, { name: 'SSLError', reason: 'ERR_TLS_RECORD' });
    t.is(asked, 3);
    wrong = 4;
    t.is((await pool.request('GET', '/', { retries: new Retry({ other: 1 }) })).text(), 'garbled on the way');
    t.is(asked, 5);
  });

  for (const [where, phase, first] of [
    ['in place of the head', 'headers', ''],
    ['in mid-answer', 'body', 'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf'],
  ] as const) {
    test(`TLS-19 RETRY-07: a POST is not sent again for a record that does not decrypt ${where}, ${maxVersion}`, async (t) => {
      let asked = 0;
      let goOn = (): void => undefined;
      const { server } = await secured(
        t,
        async (peer) => {
          await peer.request();
          asked += 1;
          if (first !== '') {
            const halfway = new Promise<void>((resolve) => (goOn = resolve));
            await peer.write(first);
            await halfway;
          }
          middle.corrupt();
          await peer.write('garbled on the way');
        },
        { maxVersion },
      );
      const middle = await relayed(t, server.port);
      const pool = securePool(t, middle.port, { timeout: { total: 10_000 } });
      const onProgress = ({ direction }: Progress): void => void (direction === 'down' && goOn());
      class Own extends Retry {
        override increment(...given: Parameters<Retry['increment']>): this {
          return super.increment(...given);
        }
      }
      for (const retries of [undefined, new Retry({ total: null, other: 5 }), new Own()]) {
        asked = 0;
        const call = pool.request('POST', '/', { body: 'an order', retries, onProgress });
        t.like(await refused(t, call, 'ERR_TLS_RECORD'), { phase, sent: true });
        t.is(asked, 1);
      }
      asked = 0;
      const retries = new Retry({ other: 2, allowedMethods: null });
      await rejection(pool.request('POST', '/', { body: 'an order', retries, onProgress }), MaxRetryError);
      t.is(asked, 3);
    });
  }

  for (const [what, pieces] of [
    ['byte by byte', { single: 100_000 }],
    ['coalesced', 'coalesced'],
  ] as const satisfies [string, Pieces][]) {
    test.serial(`THR-819: handshake and answer ${what}, ${maxVersion}`, async (t) => {
      const body = 'x'.repeat(3_000);
      const { server } = await secured(
        t,
        once(reply(body, CLOSES), (peer) => peer.end()),
        { maxVersion },
      );
      const middle = await relayed(t, server.port, pieces);
      const pool = securePool(t, middle.port, { timeout: { total: 30_000 } });
      // The second is resumed, and has other records.
      for (const resumed of [false, true]) {
        const response = await pool.request('POST', '/', { body: 'y'.repeat(500) });
        t.is(response.text(), body);
        t.is(response.connection?.tls?.resumed, resumed);
      }
      t.is(server.peers[0]?.received.toString().slice(-500), 'y'.repeat(500));
    });
  }

  test(`THR-819: the server’s part of the handshake cut at any place, ${maxVersion}`, async (t) => {
    const { server } = await secured(
      t,
      once(reply('ok', CLOSES), (peer) => peer.end()),
      { maxVersion },
    );
    const whole = await relayed(t, server.port);
    t.is((await securePool(t, whole.port).request('GET', '/')).text(), 'ok');
    const length = whole.said[0]?.length ?? 0;
    t.true(length > 700, `${length}`);
    // Every place in the first records' heads, then some of each.
    const places = [
      ...Array.from({ length: 12 }, (_, n) => n + 1),
      ...Array.from({ length: 60 }, (_, n) => 13 + n * 31),
    ];
    for (const first of places.filter((place) => place < length)) {
      const middle = await relayed(t, server.port, { first });
      const pool = securePool(t, middle.port, { timeout: { total: 10_000 } });
      t.is((await pool.request('GET', '/')).text(), 'ok', `${first}`);
      await pool.close();
      await middle.close();
    }
  });
}

clocked('THR-818: a body in records of one byte each, and empty ones between, is whole and costs little', async (t) => {
  const body = 'abcdefghij'.repeat(500);
  const { pool } = await secured(t, async (peer) => {
    for (;;) {
      if (!(await peer.request()).includes('/slow')) {
        await peer.write(reply('quick'));
        continue;
      }
      await peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
      const { socket } = peer;
      socket.setNoDelay(true);
      // A record for each write.
      for (const byte of body) socket.write(byte);
    }
  });
  const before = process.cpuUsage();
  t.is((await pool.request('GET', '/slow')).text(), body);
  const { user, system } = process.cpuUsage(before);
  within(t, user + system < 3_000_000, `${user + system} µs`);
  t.is((await pool.request('GET', '/')).text(), 'quick');
});

test('THR-301 THR-303: what a server says that was not asked, with an answer or after it, is nobody’s answer', async (t) => {
  const extra = reply('not asked');
  let at = 0;
  const { pool, server } = await secured(t, async (peer) => {
    for (;;) {
      await peer.request();
      at += 1;
      const answer = reply(`answer ${at}`);
      if (at % 3 === 0) await peer.write(answer + extra);
      else await peer.write(answer);
      if (at % 3 === 1) await peer.write(extra);
    }
  });
  for (let n = 1; n <= 12; n += 1) {
    t.is((await pool.request('GET', '/')).text(), `answer ${n}`);
    // What comes after a request has begun could be its answer: nobody can tell. Of each three answers two come with more
    // than was asked for.
    await until(() => pool.stats().poisoned === n - Math.floor((n + 1) / 3), 'what was not asked for has been seen');
  }
  t.is(at, 12);
  t.is(server.shaken.length, 8);
  t.is(pool.stats().poisoned, 8);
});

for (const [size, sendBuffer] of [
  // So small that the kernel takes less than a record at a time, which costs 40 ms or so each time.
  [2, 4_096],
  [64, 65_536],
] as const) {
  test(`THR-819: ${size} MiB up through a send buffer of ${sendBuffer} bytes: not a byte twice, none lost`, async (t) => {
    const { pool } = await servedSecurely(
      t,
      (request, response) => {
        const hash = createHash('sha256');
        let bytes = 0;
        request.on('data', (piece: Buffer) => {
          hash.update(piece);
          bytes += piece.length;
        });
        request.on('end', () => response.end(`${bytes} ${hash.digest('hex')}`));
      },
      {},
      { socketOptions: { noDelay: true, sendBuffer }, timeout: { total: 50_000 } },
    );
    const block = Buffer.alloc(MEBIBYTE);
    for (let at = 0; at < block.length; at += 4) block.writeUInt32LE(Math.imul(at, 2_654_435_761) >>> 0, at);
    const hash = createHash('sha256');
    function* blocks(): Generator<Buffer> {
      for (let n = 0; n < size; n += 1) {
        const one = Buffer.from(block);
        one.writeUInt32LE(n, 0);
        hash.update(one);
        yield one;
      }
    }
    const response = await pool.request('PUT', '/', { body: blocks() });
    t.is(response.text(), `${size * MEBIBYTE} ${hash.digest('hex')}`);
  });
}

test.serial('THR-813: a ticket is used once, and what is used up is made anew', async (t) => {
  const { pool, server } = await secured(
    t,
    once(reply('ok', CLOSES), (peer) => peer.end()),
    {},
    { block: true },
  );
  for (let n = 0; n < 60; n += 1) t.is((await pool.request('GET', '/')).text(), 'ok');
  // OpenSSL gives two tickets for a full handshake and none for a resumed one; each is used once.
  t.deepEqual(
    server.shaken.map(({ resumed }) => resumed),
    server.shaken.map((_, n) => n % 3 > 0),
  );
});

test('TLS-18: a server that asks to renegotiate gets no second handshake', async (t) => {
  let came = 'nothing';
  const { pool, server } = await secured(
    t,
    async (peer) => {
      await peer.request();
      const socket = peer.socket as tls.TLSSocket;
      const over = new Promise<void>((resolve) => socket.once('close', () => resolve()));
      const answered = new Promise<void>((resolve) => {
        socket.renegotiate({ rejectUnauthorized: false }, (error) => {
          came = error === null ? 'a handshake' : 'an error';
          resolve();
        });
      });
      await Promise.race([over, answered]);
      await peer.write(reply('ok'));
    },
    { maxVersion: 'TLSv1.2' },
    { timeout: { total: 3_000 } },
  );
  // OpenSSL takes a refusal for fatal and hangs up; whatever it does, it is a clean end for the call.
  const outcome = await pool.request('GET', '/').then(
    (response) => response.text(),
    (error: Error) => error.name,
  );
  t.true(['ok', 'SSLError', 'ProtocolError', 'ReadTimeoutError'].includes(outcome), outcome);
  t.not(came, 'a handshake');
  t.is(server.shaken.length, 1);
});

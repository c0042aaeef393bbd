/** Bodies that are sent again: what begins anew does so from its first byte, and what cannot is refused before it is sent. */
import { openAsBlob } from 'node:fs';
import { open, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import test, { type ExecutionContext } from 'ava';

import {
  HTTPConnectionPool,
  MaxRetryError,
  ProtocolError,
  Retry,
  UnrewindableBodyError,
  type RequestBody,
  type RequestOptions,
} from '../index.ts';
import { reply, type Peer, type Script } from './servers/raw.ts';
import { closedPort, rejection, retrying } from './support/fixtures.ts';

const WAIT = { timeout: { total: 20_000 } };
const LARGE = Buffer.alloc(1_000_000, 'large and sent again; ');
/** More than one piece. */
const SOME = LARGE.subarray(0, 200_000);
const EVERY = new Retry({ total: 5, allowedMethods: null, statusForcelist: [500] });

/** Head lines and decoded body of a request. */
interface Sent {
  line: string;
  head: string;
  body: string;
}

function parsed(request: string): Sent {
  const [head = '', ...rest] = request.split('\r\n\r\n');
  const wire = rest.join('\r\n\r\n');
  return {
    line: head.split('\r\n', 1)[0] ?? '',
    head,
    body: /^transfer-encoding: chunked$/im.test(head) ? dechunked(wire) : wire,
  };
}

function dechunked(wire: string): string {
  let [body, at] = ['', 0];
  for (;;) {
    const end = wire.indexOf('\r\n', at);
    const size = Number.parseInt(wire.slice(at, end), 16);
    if (!(size > 0)) return body;
    body += wire.slice(end + 2, end + 2 + size);
    at = end + 2 + size + 2;
  }
}

/** Ways in which the first two requests come to nothing, whole as they arrived. */
const ENDS: Readonly<Record<string, (peer: Peer) => Promise<void> | void>> = {
  'an error': (peer) => peer.end(),
  'a status': (peer) => peer.write(reply('', 'HTTP/1.1 500 X\r\n')),
  'a Retry-After': (peer) => peer.write(reply('', 'HTTP/1.1 503 X\r\nRetry-After: 0\r\n')),
  'a redirect': (peer) => peer.write(reply('', 'HTTP/1.1 307 X\r\nLocation: /next\r\n')),
};

function after(sent: Sent[], end: (peer: Peer) => Promise<void> | void, times = 2): Script {
  return async (peer) => {
    for (;;) {
      sent.push(parsed(await peer.request()));
      if (sent.length > times) await peer.write(reply('well'));
      else {
        await end(peer);
        if (peer.socket.writableEnded) return;
      }
    }
  };
}

function form(): FormData {
  const made = new FormData();
  made.set('text', 'value');
  made.set('file', new Blob(['of a file']), 'name.txt');
  return made;
}

async function* pieces(): AsyncGenerator<string> {
  yield 'made ';
  yield 'anew';
}

/** Each kind of body that can be produced again, and what it is. */
const AGAIN: Readonly<Record<string, { make: () => RequestBody; text: string | RegExp }>> = {
  'a string': { make: () => 'tëxt', text: Buffer.from('tëxt').toString('latin1') },
  'an empty string': { make: () => '', text: '' },
  'a Buffer': { make: () => Buffer.from('bytes'), text: 'bytes' },
  'a large Buffer': { make: () => SOME, text: SOME.toString('latin1') },
  'an ArrayBuffer': { make: () => new Uint8Array([97, 98]).buffer, text: 'ab' },
  'a view': { make: () => new DataView(new Uint8Array([97, 98, 99]).buffer, 1), text: 'bc' },
  URLSearchParams: { make: () => new URLSearchParams({ a: '1 2' }), text: 'a=1+2' },
  'a Blob': { make: () => new Blob(['blob ', SOME]), text: `blob ${SOME.toString('latin1')}` },
  'an empty Blob': { make: () => new Blob([]), text: '' },
  FormData: { make: form, text: /name="text"\r\n\r\nvalue\r\n[^]*filename="name.txt"[^]*of a file/ },
  'an array': { make: () => ['of ', Buffer.from('pieces')], text: 'of pieces' },
  'a function of a string': { make: () => () => 'made', text: 'made' },
  'a function of bytes': { make: () => () => SOME, text: SOME.toString('latin1') },
  'a function of a generator': { make: () => () => pieces(), text: 'made anew' },
  'a function of a Readable': { make: () => () => Readable.from(['made ', 'anew']), text: 'made anew' },
  'a function of a ReadableStream': {
    make: () => () => new Blob(['made anew']).stream() as ReadableStream,
    text: 'made anew',
  },
  'a function of a promise': { make: () => async () => 'made', text: 'made' },
};

for (const [what, end] of Object.entries(ENDS)) {
  test(`BODY-13 THR-1205: after ${what}, every body that can be produced again is sent again as it was`, async (t) => {
    for (const [kind, { make, text }] of Object.entries(AGAIN)) {
      const sent: Sent[] = [];
      const { pool, server } = await retrying(t, after(sent, end), { ...WAIT, block: true });
      const response = await pool.request('POST', '/', { body: make(), retries: EVERY });
      t.is(response.data.toString(), 'well', kind);
      t.is(sent.length, 3, kind);
      const [first] = sent as [Sent];
      for (const { head, body } of sent) {
        // Framing, type and boundary are the same, the target where it leads.
        t.is(head.replace('/next', '/'), first.head, kind);
        t.is(body, first.body, kind);
      }
      if (typeof text === 'string') t.is(first.body, text, kind);
      else t.regex(first.body, text, kind);
      t.is(server.peers.length, what === 'an error' ? 3 : 1, kind);
      await pool.close({ timeout: 0 });
    }
  });
}

test('BODY-13: a file is opened again by its function, and is sent from where that begins', async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'bodies-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const name = path.join(directory, 'file');
  await writeFile(name, `skipped${LARGE.toString()}`);
  const sent: Sent[] = [];
  const { pool } = await retrying(t, after(sent, ENDS['an error'] as never), WAIT);
  let opened = 0;
  const body = async (): Promise<Readable> => {
    opened += 1;
    return (await open(name)).createReadStream({ start: 7 });
  };
  await pool.request('PUT', '/', { body, retries: EVERY });
  t.is(opened, 3);
  t.deepEqual(
    sent.map((one) => one.body.length),
    [LARGE.length, LARGE.length, LARGE.length],
  );
  const blob = await openAsBlob(name);
  sent.length = 0;
  await pool.request('PUT', '/', { body: blob, retries: EVERY });
  t.deepEqual(
    sent.map((one) => [one.body.length, /Content-Length: 1000007/.test(one.head)]),
    [
      [LARGE.length + 7, true],
      [LARGE.length + 7, true],
      [LARGE.length + 7, true],
    ],
  );
});

/** Each kind of body that can be read once. */
const ONCE: Readonly<Record<string, () => RequestBody>> = {
  'a generator': () =>
    (function* (): Generator<string> {
      yield 'once ';
      yield 'only';
    })(),
  'an async generator': () => pieces(),
  'an iterable': () => new Set(['once']),
  'a Readable': () => Readable.from(['once ', 'only']),
  'a ReadableStream': () => new Blob(['once only']).stream() as ReadableStream,
};

for (const [what, end] of Object.entries(ENDS)) {
  test(`BODY-14 BODY-15 WART-01 THR-1205: after ${what}, a body that was read is not sent empty`, async (t) => {
    for (const [kind, make] of Object.entries(ONCE)) {
      const sent: Sent[] = [];
      const { pool, host } = await retrying(t, after(sent, end), { ...WAIT, block: true });
      const call = pool.request('PUT', '/', { body: make(), retries: EVERY });
      const error = await rejection(call, UnrewindableBodyError);
      t.like(error, { code: 'ERR_UNREWINDABLE', phase: 'send', host, sent: true }, kind);
      t.regex(error.message, /Unable to send the request's body again/, kind);
      // What made it necessary.
      if (what === 'an error')
        t.true(error.cause instanceof Error && /Connection aborted/.test(error.cause.message), kind);
      t.is(error.history?.length, 1, kind);
      t.is(error.history?.[0]?.error instanceof ProtocolError, what === 'an error', kind);
      t.is(sent.length, 1, kind);
      t.like(pool.stats(), { leased: 0, waiting: 0 }, kind);
      // The pool serves others as before.
      t.is((await pool.request('GET', '/', { retries: false }).catch(() => null)) === null, what === 'an error', kind);
      await pool.close({ timeout: 0 });
    }
  });
}

test('BODY-14 BODY-15: a 303 needs no body, and a status that is not retried neither', async (t) => {
  const sent: Sent[] = [];
  const { pool } = await retrying(
    t,
    after(sent, (peer) => peer.write(reply('', 'HTTP/1.1 303 X\r\nLocation: /next\r\n')), 1),
    WAIT,
  );
  const response = await pool.request('POST', '/', { body: pieces() });
  t.is(response.data.toString(), 'well');
  t.deepEqual(
    sent.map(({ line, body }) => [line, body]),
    [
      ['POST / HTTP/1.1', 'made anew'],
      ['GET /next HTTP/1.1', ''],
    ],
  );
  t.false(/^(content|transfer)-/im.test(sent[1]?.head ?? 'content-'));
});

/** A pool whose first connections are refused, and then lead to this port. */
async function refusing(t: ExecutionContext, port: number, times: number): Promise<HTTPConnectionPool> {
  const dead = await closedPort(t);
  let asked = 0;
  const pool = new HTTPConnectionPool('refusing.test', {
    ...WAIT,
    resolve: () => `127.0.0.1:${(asked += 1) > times ? port : dead}`,
  });
  t.teardown(() => pool.close({ timeout: 0 }));
  return pool;
}

test('BODY-14 THR-1205 RETRY-06: a stream that was not begun is sent with a later attempt', async (t) => {
  const sent: Sent[] = [];
  const { server } = await retrying(
    t,
    after(sent, () => undefined, 0),
  );
  for (const [kind, make] of Object.entries(ONCE)) {
    const pool = await refusing(t, server.port, 2);
    const response = await pool.request('POST', '/', { body: make(), retries: 2 });
    t.is(response.data.toString(), 'well', kind);
    t.is(response.retries?.history.length, 2, kind);
    t.regex(sent.at(-1)?.body ?? '', /^(once|once only|made anew)$/, kind);
  }
  t.is(sent.length, Object.keys(ONCE).length);
});

test('BODY-13: a function is called for each attempt and no oftener, and what it made before is let go', async (t) => {
  const sent: Sent[] = [];
  const made: Readable[] = [];
  const { server } = await retrying(
    t,
    after(sent, (peer) => peer.end()),
    WAIT,
  );
  const pool = await refusing(t, server.port, 1);
  const body = (): Readable => {
    const stream = Readable.from(['made ', 'anew']);
    made.push(stream);
    return stream;
  };
  const response = await pool.request('PUT', '/', { body, retries: EVERY });
  t.is(response.retries?.history.length, 3);
  // Not for the connection that was refused.
  t.is(made.length, 3);
  t.deepEqual(
    sent.map((one) => one.body),
    ['made anew', 'made anew', 'made anew'],
  );
  for (const stream of made) t.true(stream.destroyed);
});

test('BODY-13 THR-507: a function that fails the second time ends the call with that, and is not asked again', async (t) => {
  const sent: Sent[] = [];
  const { pool } = await retrying(
    t,
    after(sent, (peer) => peer.end()),
    { ...WAIT, block: true },
  );
  let called = 0;
  const own = new Error('gone meanwhile');
  const body = (): string => {
    if ((called += 1) > 1) throw own;
    return 'once';
  };
  const error = await rejection(pool.request('PUT', '/', { body, retries: EVERY }), ProtocolError);
  t.like(error, { code: 'ERR_INVALID_BODY', reason: 'ERR_BODY_SOURCE' });
  t.is(error.cause, own);
  t.deepEqual([called, sent.length], [2, 1]);
  t.like(pool.stats(), { leased: 0, live: 0 });
});

test('BODY-13 BODY-14: a body cut off in the middle is begun anew, or is not sent in part', async (t) => {
  const lengths: number[] = [];
  const { pool } = await retrying(
    t,
    async (peer) => {
      if (peer.number < 3) {
        await peer.bytes(200_000);
        return peer.reset();
      }
      const { body } = parsed(await peer.request());
      lengths.push(body.length);
      t.true(body === LARGE.toString('latin1'));
      await peer.write(reply('well'));
    },
    WAIT,
  );
  for (const body of [
    LARGE,
    new Blob([LARGE]),
    () => Readable.from([LARGE.subarray(0, 500_000), LARGE.subarray(500_000)]),
  ]) {
    const response = await pool.request('PUT', '/', { body, retries: EVERY, headers: { Connection: 'close' } });
    t.is(response.data.toString(), 'well');
  }
  t.deepEqual(lengths, [1_000_000, 1_000_000, 1_000_000]);

  let returned = 0;
  const endless = {
    *[Symbol.iterator](): Generator<Buffer> {
      try {
        for (;;) yield LARGE;
      } finally {
        returned += 1;
      }
    },
  };
  const { pool: other, server } = await retrying(
    t,
    async (peer) => {
      await peer.bytes(200_000);
      peer.reset();
    },
    WAIT,
  );
  await rejection(other.request('PUT', '/', { body: endless, retries: EVERY }), UnrewindableBodyError);
  t.deepEqual([returned, server.peers.length], [1, 1]);
});

test('REQ-15: chunked survives retries and the redirects that keep the body', async (t) => {
  for (const [what, end] of Object.entries(ENDS)) {
    const sent: Sent[] = [];
    const { pool } = await retrying(t, after(sent, end), WAIT);
    for (const body of ['text', Buffer.from('text'), new Blob(['text']), new URLSearchParams('text')]) {
      sent.length = 0;
      await pool.request('PUT', '/', { body, chunked: true, retries: EVERY });
      t.is(sent.length, 3, what);
      for (const { head, body: text } of sent) {
        t.regex(head, /^Transfer-Encoding: chunked$/m, what);
        t.notRegex(head, /^Content-Length/m, what);
        t.regex(text, /^text=?$/, what);
      }
    }
  }
});

test('BODY-13: onProgress counts each attempt’s body from its beginning', async (t) => {
  const sent: Sent[] = [];
  const { pool } = await retrying(
    t,
    after(sent, (peer) => peer.end()),
    WAIT,
  );
  for (const body of [LARGE, new Blob([LARGE]), () => LARGE]) {
    sent.length = 0;
    const ups: number[] = [];
    const totals = new Set<number | null>();
    const options: RequestOptions = {
      body,
      retries: EVERY,
      onProgress({ direction, bytes, total }) {
        if (direction !== 'up') return;
        ups.push(bytes);
        totals.add(total);
      },
    };
    await pool.request('PUT', '/', options);
    t.is(ups.at(-1), LARGE.length);
    t.true(
      ups.every((bytes) => bytes <= LARGE.length),
      ups.join(' '),
    );
    t.deepEqual([...totals], [typeof body === 'function' ? null : LARGE.length]);
  }
});

test('BODY-14 RETRY-13: that a body is gone is told at once, not after the wait for an attempt that cannot be', async (t) => {
  const { pool } = await retrying(
    t,
    after([], (peer) => peer.write(reply('', 'HTTP/1.1 500 X\r\n'))),
  );
  const retries = new Retry({ total: 5, statusForcelist: [500], backoffMin: 60_000 });
  const options = { body: Readable.from(['once']), retries, timeout: { total: 5_000 } };
  const error = await rejection(pool.request('PUT', '/', options), UnrewindableBodyError);
  t.is(error.code, 'ERR_UNREWINDABLE');
});

test('BODY-14 RETRY-09: with nothing left, the error is what went wrong, not that the body is gone', async (t) => {
  const sent: Sent[] = [];
  const { pool } = await retrying(
    t,
    after(sent, (peer) => peer.end(), 100),
    WAIT,
  );
  const given = await rejection(pool.request('PUT', '/', { body: pieces(), retries: 0 }), MaxRetryError);
  t.true(given.reason instanceof ProtocolError);
  await rejection(pool.request('PUT', '/', { body: pieces(), retries: false }), ProtocolError);
  await rejection(pool.request('POST', '/', { body: pieces() }), ProtocolError);
  t.is(sent.length, 3);
});

test('BODY-13 BODY-14 THR-317: an answer that comes before the body was sent: what is left stops, and the next attempt sends all', async (t) => {
  const early = reply('later', 'HTTP/1.1 503 X\r\nRetry-After: 0\r\n');
  const huge = Buffer.alloc(20_000_000, 'x');
  const { pool, server } = await retrying(
    t,
    async (peer) => {
      if (peer.number % 2 === 1) {
        await peer.bytes(1_000);
        // The rest is not read: the client has to stop by itself.
        peer.socket.pause();
        await peer.write(early);
        return;
      }
      // Looked at as a whole only once it is about there: it is large.
      await peer.bytes(huge.length);
      const { body } = parsed(await peer.request());
      await peer.write(reply(String(body.length), 'HTTP/1.1 200 OK\r\nConnection: close\r\n'));
    },
    { ...WAIT, block: true },
  );
  for (const body of [huge, new Blob([huge]), () => huge]) {
    const response = await pool.request('PUT', '/', { body, retries: EVERY });
    t.is(response.data.toString(), String(huge.length));
    t.is(response.attempts, 2);
  }
  t.is(server.peers.length, 6);
  let returned = 0;
  const once = (function* (): Generator<Buffer> {
    try {
      for (;;) yield LARGE;
    } finally {
      returned += 1;
    }
  })();
  const error = await rejection(pool.request('PUT', '/', { body: once, retries: EVERY }), UnrewindableBodyError);
  t.is(error.history?.[0]?.status, 503);
  t.is(returned, 1);
  t.like(pool.stats(), { leased: 0, live: 0 });
});

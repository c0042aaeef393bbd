/** How the reading of a body ends when it does not end well, and what becomes of its connection however it ends. */
import { once } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import zlib from 'node:zlib';

import test, { type ExecutionContext } from 'ava';

import {
  ClosedPoolError,
  DecodeError,
  EmptyPoolError,
  IncompleteRead,
  ProtocolError,
  ReadTimeoutError,
  ResponseNotRead,
  ResponseTooLarge,
  type HTTPResponse,
  type Limits,
  type PoolOptions,
  type RequestOptions,
} from '../index.ts';
import { reply, type Peer, type RawServer } from './servers/raw.ts';
import { rejection, scripted, served, target, type Fixture } from './support/fixtures.ts';
import { clocked, within } from './support/clocked.ts';
import { until } from './support/street.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
const MIB = 1024 * 1024;
/** More than is read ahead of anybody's asking. */
const LARGE = 8 * MIB;
const STREAMED = { preloadContent: false } as const;

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Whichever way it is read from now on, nothing looks like the end of the body. */
async function cutShort(
  t: ExecutionContext,
  response: HTTPResponse,
  expected: number | null,
  message: RegExp,
): Promise<void> {
  const reads: Record<string, () => Promise<unknown>> = {
    'read()': () => response.read(),
    'read(10)': () => response.read(10),
    'read1()': () => response.read1(),
    'readInto()': () => response.readInto(new Uint8Array(10)),
    iteration: () => all(response),
    'stream(10)': () => all(response.stream(10)),
    'stream(null)': () => all(response.stream(null)),
    'lines()': () => all(response.lines()),
    'toReadable()': () => all(response.toReadable()),
    'toWeb()': () => all(response.toWeb()),
    'toResponse()': () => response.toResponse().arrayBuffer(),
  };
  for (const [way, read] of Object.entries(reads)) {
    const error = await rejection(read(), ProtocolError);
    t.regex(error.message, message, way);
    t.like(error, { code: 'ERR_INCOMPLETE_READ', phase: 'body', sent: true, expected }, way);
    t.is(error.partial?.length, 0, way);
    t.true(error.cause instanceof IncompleteRead, way);
  }
  t.is((await response.read(0)).length, 0);
  t.is((await all(response.stream(0))).length, 0);
  t.throws(() => response.data, { instanceOf: ResponseNotRead });
}

async function all(pieces: AsyncIterable<unknown>): Promise<unknown[]> {
  const got = [];
  for await (const piece of pieces) got.push(piece);
  return got;
}

type Begun = { response: HTTPResponse; peer: Peer } & Fixture<RawServer>;

/** A response whose head is there; the test says the rest. Every later connection's requests get their own path. */
async function begun(
  t: ExecutionContext,
  head: string | Buffer,
  options: PoolOptions = {},
  request: RequestOptions = {},
): Promise<Begun> {
  const fixture = await scripted(
    t,
    async (peer) => {
      if (peer.number === 1) {
        await peer.request();
        await peer.write(head);
      }
      for (;;) await peer.write(reply(target(await peer.request())));
    },
    options,
  );
  const response = await fixture.pool.request('GET', '/first', { ...STREAMED, ...request });
  return { ...fixture, response, peer: await fixture.server.peer(1) };
}

/** The next request gets its own answer, on so many connections in all (THR-319). */
async function next(
  t: ExecutionContext,
  { pool, server }: Fixture<RawServer>,
  connections: number,
  what = '',
): Promise<void> {
  for (const token of ['/one', '/two']) t.is((await pool.request('GET', token)).data.toString(), token, what);
  t.is(server.peers.length, connections, what);
  t.is(pool.stats().leased, 0, what);
}

/**
 * What is let go of has 100 ms to come to its end, and a busy machine may take them: what is kept is kept in one of three times, and
 * what is given up each time.
 */
async function upTo3(connections: number, once: (isLast: boolean) => Promise<boolean>): Promise<void> {
  for (let nth = connections === 1 ? 1 : 3; !(await once(nth === 3)); nth += 1);
}

/** Whether the connection is gone that was to be kept, and there is another try. */
function isLate({ server }: Fixture<RawServer>, connections: number, isLast: boolean): boolean {
  return !isLast && server.peers.length > connections;
}

async function collect(pieces: AsyncIterable<Buffer>): Promise<{ got: string; error: unknown }> {
  let got = '';
  try {
    for await (const piece of pieces) got += piece.toString('latin1');
  } catch (error) {
    return { got, error };
  }
  return { got, error: null };
}

/** Ways of reading that give what came before an error. */
const WAYS: Record<string, (response: HTTPResponse) => AsyncIterable<Buffer>> = {
  iteration: (response) => response,
  'stream()': (response) => response.stream(),
  'stream(3)': (response) => response.stream(3),
  'read(3)': async function* (response) {
    for (let piece = await response.read(3); piece.length > 0; piece = await response.read(3)) yield piece;
  },
  'read1(3)': async function* (response) {
    for (let piece = await response.read1(3); piece.length > 0; piece = await response.read1(3)) yield piece;
  },
  readInto: async function* (response) {
    for (;;) {
      const target = Buffer.alloc(3);
      const filled = await response.readInto(target);
      if (filled === 0) return;
      yield target.subarray(0, filled);
    }
  },
};

test('RESP-09 READ-11 THR-201: a body that breaks off: what came comes first, then the error, and the connection is gone', async (t) => {
  for (const [way, read] of Object.entries(WAYS)) {
    const one = await begun(t, `${OK}Content-Length: 22\r\n\r\nhello, world`);
    one.peer.end();
    const { got, error } = await collect(read(one.response));
    t.is(got, 'hello, world', way);
    if (!(error instanceof ProtocolError)) throw new Error(way, { cause: error });
    t.like(error, { code: 'ERR_INCOMPLETE_READ', phase: 'body', expected: 10, sent: true, host: one.host }, way);
    t.is(error.message, 'Connection broken: IncompleteRead(12 bytes read, 10 more expected)', way);
    t.true(error.cause instanceof IncompleteRead, way);
    t.is((error.cause as IncompleteRead).expected, 10, way);
    t.is(one.response.bytesRead, 12, way);
    t.is(one.response.lengthRemaining, 10, way);
    await next(t, one, 2, way);
  }
});

test.serial(
  'RESP-21: a response whose body broke off, timed out or was aborted is closed, once a read has met that',
  async (t) => {
    const { pool } = await scripted(t, async (peer) => {
      const asked = target(await peer.request());
      await peer.write(`${OK}Content-Length: 9\r\n\r\nabc`);
      if (asked === '/short') peer.end();
    });
    const aborter = new AbortController();
    for (const [path, options] of [
      ['/short', {}],
      ['/silent', { timeout: { read: 800 } }],
      ['/aborted', { signal: aborter.signal }],
    ] as const) {
      const response = await pool.request('GET', path, { ...STREAMED, ...options });
      t.is((await response.read(3)).toString(), 'abc');
      t.false(response.closed, path);
      if (path === '/aborted') aborter.abort();
      const [{ status }] = await Promise.allSettled([response.read()]);
      t.is(status, 'rejected', path);
      t.true(response.closed, path);
    }
  },
);

test('RESP-09: a read() that breaks off has what came in partial, whenever that was', async (t) => {
  for (const [before, after] of [
    [0, 'hello, world'],
    [5, ', world'],
  ] as const) {
    for (const late of [false, true]) {
      const one = await begun(t, `${OK}Content-Length: 22\r\n\r\nhello, wo`);
      t.is((await one.response.read(before)).toString(), 'hello'.slice(0, before));
      const reading = one.response.read();
      if (late) await pause(20);
      one.peer.end('rld');
      const error = await rejection(reading, ProtocolError);
      t.is(error.partial?.toString(), after);
      t.is((error.cause as IncompleteRead).partial.toString(), after);
      t.is(error.expected, 10);
      t.is(await rejection(one.response.read(), ProtocolError), error, 'and so it stays');
    }
  }
});

test('THR-202 RESP-12: so does a chunked body that breaks off or goes wrong', async (t) => {
  for (const [rest, code] of [
    ['', 'ERR_INCOMPLETE_READ'],
    ['5\r\nab', 'ERR_INCOMPLETE_READ'],
    ['x\r\n', 'ERR_CHUNK'],
    ['0\r\n', 'ERR_INCOMPLETE_READ'],
  ] as const) {
    for (const [way, read] of Object.entries(WAYS)) {
      const one = await begun(t, `${CHUNKED}3\r\nfoo\r\n3\r\nbar\r\n`);
      one.peer.end(rest);
      const { got, error } = await collect(read(one.response));
      t.is(got, rest === '5\r\nab' ? 'foobarab' : 'foobar', `${way}, ${rest}`);
      t.like(error, { name: 'ProtocolError', code, phase: 'body' }, `${way}, ${rest}`);
      await next(t, one, 2, way);
    }
  }
});

test('RESP-09: enforceContentLength: false takes what came for the whole, and the connection goes', async (t) => {
  for (const [way, read] of Object.entries({
    ...WAYS,
    'read()': async function* (response: HTTPResponse) {
      yield await response.read();
    },
  })) {
    const one = await begun(t, `${OK}Content-Length: 22\r\n\r\nhello, world`, {}, { enforceContentLength: false });
    one.peer.end();
    t.deepEqual(await collect(read(one.response)), { got: 'hello, world', error: null }, way);
    await next(t, one, 2, way);
  }
});

test('DEC-05 DEC-06 THR-220 READ-11: of a coded body that was cut, what decodes comes first, then the DecodeError', async (t) => {
  const plain = 'the quick brown fox jumps over the lazy dog; '.repeat(50);
  const gzip = zlib.gzipSync(plain);
  const wire = gzip.subarray(0, -4);
  for (const [way, read] of Object.entries(WAYS)) {
    const head = `${OK}Content-Encoding: gzip\r\nContent-Length: ${wire.length}\r\n\r\n`;
    const one = await begun(t, Buffer.concat([Buffer.from(head), wire]));
    const { got, error } = await collect(read(one.response));
    t.is(got, plain, way);
    t.true(error instanceof DecodeError, way);
    t.like(error, { code: 'ERR_DECODE', phase: 'body' }, way);
  }
  // One that does not decode has a rest on the wire that nobody may take for the next response.
  const bad = Buffer.concat([
    Buffer.from(`${OK}Content-Encoding: gzip\r\nContent-Length: ${LARGE}\r\n\r\n`),
    gzip.subarray(0, 40),
    Buffer.alloc(200, 'x'),
  ]);
  const one = await begun(t, bad);
  await rejection(one.response.read(), DecodeError);
  await one.peer.gone();
  await next(t, one, 2);
});

test('THR-213: the limits hold for a stream, and what is within them is given', async (t) => {
  const plain = Buffer.alloc(40 * MIB);
  const bodies: Record<string, Buffer> = {
    '/plain': plain.subarray(0, LARGE),
    '/gzip': zlib.gzipSync(plain),
    '/br': zlib.brotliCompressSync(plain, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } }),
    '/twice': zlib.gzipSync(zlib.gzipSync('twice')),
  };
  const { pool } = await served(t, (request, response) => {
    const { url = '/' } = request;
    if (url === '/br') response.setHeader('content-encoding', 'br');
    else if (url === '/twice') response.setHeader('content-encoding', 'gzip, gzip');
    else if (url === '/gzip') response.setHeader('content-encoding', 'gzip');
    response.end(bodies[url]);
  });
  const tooLarge: [string, Limits, string, number][] = [
    ['/plain', { wire: 100_000 }, 'wire', 100_000],
    ['/plain', { decoded: 100_000 }, 'decoded', 100_000],
    ['/gzip', { wire: 10_000 }, 'wire', 10_000],
    ['/gzip', { decoded: MIB }, 'decoded', MIB],
    ['/gzip', { ratio: 20 }, 'ratio', 20],
    // Nobody set a limit, and still it is found out.
    ['/br', {}, 'ratio', 1_100],
  ];
  for (const [url, limits, limit, allowed] of tooLarge) {
    for (const [way, read] of [...Object.entries(WAYS).slice(0, 2), ['read()', undefined] as const]) {
      const what = `${url} ${limit}, ${way}`;
      const response = await pool.request('GET', url, { ...STREAMED, limits });
      let given = 0;
      const reading = async (): Promise<void> => {
        if (read === undefined) given += (await response.read()).length;
        else for await (const piece of read(response)) given += piece.length;
      };
      const error = await rejection(reading(), ResponseTooLarge);
      t.like(error, { code: 'ERR_TOO_LARGE', limit, allowed, phase: 'body' }, what);
      t.true(given <= (limit === 'decoded' ? allowed : plain.length), what);
      t.is(pool.stats().leased, 0, what);
    }
  }
  await rejection(pool.request('GET', '/twice', { ...STREAMED, limits: { codings: 1 } }), DecodeError);
  const within = await pool.request('GET', '/gzip', { ...STREAMED, limits: { decoded: plain.length, ratio: null } });
  t.is((await within.read()).length, plain.length);
});

test('THR-213: a stream has no limit of its own on how much it gives, other than a preloaded body', async (t) => {
  const block = zlib.gzipSync(Buffer.alloc(MIB), { level: 9 });
  const { pool } = await served(t, (_, response) => {
    response.setHeader('content-encoding', 'gzip');
    for (let n = 0; n < 300; n += 1) response.write(block);
    response.end();
  });
  let given = 0;
  for await (const piece of await pool.request('GET', '/', STREAMED)) given += piece.length;
  t.is(given, 300 * MIB);
  const error = await rejection(pool.request('GET', '/'), ResponseTooLarge);
  t.like(error, { limit: 'decoded', allowed: 256 * MIB });
});

test.serial('TIME-07 WART-16 READ-11: silence between two pieces: ReadTimeoutError with pool and url', async (t) => {
  const ways = {
    ...WAYS,
    'read()': async function* (response: HTTPResponse) {
      yield await response.read();
    },
  };
  // Long enough for the head to be here in any case; so all are waited for together.
  await Promise.all(
    Object.entries(ways).map(async ([way, read]) => {
      const one = await begun(t, `${OK}Content-Length: 22\r\n\r\nhello`, { timeout: { read: 800 } });
      const { got, error } = await collect(read(one.response));
      t.is(got, way === 'read()' ? '' : 'hello', way);
      if (!(error instanceof ReadTimeoutError)) throw new Error(way, { cause: error });
      t.like(error, { code: 'ERR_READ_TIMEOUT', phase: 'body', url: '/first', sent: true, attempts: 1 }, way);
      t.is(error.pool, one.pool, way);
      await one.peer.gone();
      await next(t, one, 2, way);
    }),
  );
});

test.serial(
  'TIME-07: a reader that takes its time is not timed out by read, and neither is one that has not begun',
  async (t) => {
    const { pool } = await served(t, (_, response) => response.end(Buffer.alloc(LARGE, 'x')), {
      timeout: { read: 600 },
    });
    const response = await pool.request('GET', '/', STREAMED);
    let got = (await response.read(10)).length;
    await pause(800);
    let pauses = 0;
    for await (const piece of response) {
      // Two of them are longer than the time-out.
      if (got < MIB) await pause(pauses < 2 ? 800 : 50);
      pauses += 1;
      got += piece.length;
    }
    t.is(got, LARGE);

    // The server is slow, but nobody waits for it yet.
    const one = await begun(t, `${OK}Content-Length: 5\r\n\r\n`, { timeout: { read: 600 } });
    await pause(900);
    const reading = one.response.read();
    await pause(50);
    await one.peer.write('hello');
    t.is((await reading).toString(), 'hello');
    await next(t, one, 1);
  },
);

clocked('TIME-07: the clock of a first read begins with it', async (t) => {
  const one = await begun(t, `${OK}Content-Length: 5\r\n\r\n`, { timeout: { read: 600 } });
  await pause(900);
  const before = performance.now();
  await rejection(one.response.read(), ReadTimeoutError);
  const took = performance.now() - before;
  within(t, took > 590 && took < 2_000, `${took} ms`);
});

test.serial('total ends a body whoever is slow, and after what had come', async (t) => {
  for (const read of [false, true]) {
    const one = await begun(t, `${OK}Content-Length: ${LARGE}\r\n\r\nhello`, { timeout: { total: 800 } });
    if (read) t.is((await one.response.read(2)).toString(), 'he');
    await one.peer.gone();
    t.is((await one.response.read(3)).toString(), read ? 'llo' : 'hel');
    if (!read) await one.response.read(2);
    const error = await rejection(one.response.read(1), ReadTimeoutError);
    t.like(error, { code: 'ERR_TOTAL_TIMEOUT', phase: 'total', during: 'body', url: '/first', pool: one.pool });
    t.true(error.elapsed >= 798);
    t.is(one.pool.stats().leased, 0);
  }
});

test.serial('what is given of a body that total ended has no gap', async (t) => {
  const body = Buffer.from(Array.from({ length: LARGE / 4 }, (_, n) => `${n % 10}abc`).join(''));
  const one = await begun(t, `${OK}Content-Length: ${LARGE}\r\n\r\n`, { timeout: { total: 800 } });
  void one.peer.write(body);
  let got = (await one.response.read(10)).toString();
  // The server has more to say all the while, and nobody takes it.
  await one.peer.gone();
  const { got: rest, error } = await collect(one.response);
  got += rest;
  t.like(error, { code: 'ERR_TOTAL_TIMEOUT' });
  t.true(got.length < LARGE && body.toString().startsWith(got), `${got.length} bytes`);
});

test.serial('unreadTimeout: a body that nobody begins to read is let go, and a read after that says so', async (t) => {
  const warnings: Error[] = [];
  const heard = (warning: Error): void => void warnings.push(warning);
  process.on('warning', heard);
  t.teardown(() => process.off('warning', heard));
  // One that does not come, one that is large, and one of which there is so little that the connection is kept.
  for (const [said, connections] of [
    [`${OK}Content-Length: 10\r\n\r\n`, 2],
    [`${OK}Content-Length: ${LARGE}\r\n\r\n`, 2],
    [CHUNKED, 2],
  ] as const) {
    const one = await begun(t, said, { unreadTimeout: 150, block: true });
    await one.peer.gone();
    const error = await rejection(one.response.read(), ProtocolError);
    t.like(error, { code: 'ERR_UNREAD_TIMEOUT', phase: 'body', sent: true });
    await next(t, one, connections);
    t.is(one.pool.stats().abandoned, 1);
  }
  t.deepEqual(
    warnings
      .filter(({ name }) => name === 'FerropoolWarning')
      .map((warning) => (warning as Error & { code: string }).code),
    Array.from({ length: 3 }, () => 'FERROPOOL_BODY_UNREAD'),
  );
});

test.serial('unreadTimeout: once the reading has begun it does not count, and 0 is never', async (t) => {
  for (const unreadTimeout of [700, 0]) {
    const one = await begun(t, `${OK}Content-Length: 12\r\n\r\nhello`, { unreadTimeout });
    if (unreadTimeout > 0) t.is((await one.response.read(1)).toString(), 'h');
    await pause(1_000);
    await one.peer.write(', world');
    t.is((await one.response.read()).toString(), unreadTimeout > 0 ? 'ello, world' : 'hello, world');
    await next(t, one, 1);
  }
});

test('RESP-22: an aborted signal ends a body: a read that waits, the next one, and the connection of one that nobody reads', async (t) => {
  for (const when of ['in a read', 'in an iteration', 'between reads', 'before any'] as const) {
    const abort = new AbortController();
    const one = await begun(t, `${OK}Content-Length: ${LARGE}\r\n\r\nhello`, {}, { signal: abort.signal });
    const reason = new Error(when);
    if (when === 'between reads') t.is((await one.response.read(2)).toString(), 'he');
    if (when === 'in a read' || when === 'in an iteration') {
      const reading =
        when === 'in a read'
          ? one.response.read()
          : collect(one.response.stream(LARGE)).then(({ error }) => Promise.reject(error));
      setImmediate(() => abort.abort(reason));
      t.is(await rejection(reading, Error), reason, when);
    } else {
      abort.abort(reason);
    }
    await one.peer.gone();
    // What had come is given, or not; then the reason.
    const { error } = await collect(one.response);
    t.is(error, reason, when);
    await next(t, one, 2, when);
  }
});

test('RESP-09 READ-02 READ-09: a short read(n) or readInto may come before an error: the next read rejects with it', async (t) => {
  const target = Buffer.alloc(10);
  const short: Record<string, (response: HTTPResponse) => Promise<Buffer>> = {
    'read(n)': (response) => response.read(10),
    readInto: async (response) => target.subarray(0, await response.readInto(target)),
  };
  for (const [way, read] of Object.entries(short)) {
    for (const [how, message] of [
      ['cut', /IncompleteRead\(3 bytes read, 97 more expected\)/],
      ['close()', /close\(\) was called before the body's end/],
    ] as const) {
      const what = `${way}, ${how}`;
      const one = await begun(t, `${OK}Content-Length: 100\r\n\r\nabc`);
      // The rest of the piece is at hand then.
      t.is((await one.response.read(1)).toString(), 'a', what);
      const reading = read(one.response);
      if (how === 'cut') one.peer.end();
      else one.response.close();
      t.is((await reading).toString(), 'bc', what);
      for (let nth = 0; nth < 2; nth += 1) {
        const error = await rejection(read(one.response), ProtocolError);
        t.is(error.code, 'ERR_INCOMPLETE_READ', what);
        t.regex(error.message, message, what);
      }
      t.true(one.response.closed, what);
    }
  }
});

test('RESP-22 RESP-20: close() fails the read that waits and every one after it, and closes the connection', async (t) => {
  const one = await begun(t, `${OK}Content-Length: ${LARGE}\r\n\r\nhello`);
  const reading = one.response.read();
  const queued = one.response.read(3);
  await pause(20);
  one.response.close();
  const error = await rejection(reading, ProtocolError);
  t.is(error.phase, 'body');
  t.is(await rejection(queued, ProtocolError), error);
  t.is(error.code, 'ERR_INCOMPLETE_READ');
  t.regex(error.message, /close\(\) was called before the body's end/);
  await rejection(one.response.read(), ProtocolError);
  t.true(one.response.closed);
  await one.peer.gone();
  await next(t, one, 2);
});

test('RESP-20 THR-319: a body closed early: its connection is not used again, and what was left of it is nobody’s answer', async (t) => {
  // Nothing more, another's response, and exactly what was still to come.
  for (const [length, rest] of [
    [LARGE, ''],
    [LARGE, `${OK}Content-Length: 4\r\n\r\nEVIL`],
    [1_000, `${OK}Content-Length: 4\r\n\r\nEVIL`],
    [10, 'world'],
  ] as const) {
    const one = await begun(t, `${OK}Content-Length: ${length}\r\n\r\nhello`);
    t.is((await one.response.read(2)).toString(), 'he');
    one.response.close();
    one.response.close();
    one.response.releaseConn();
    t.true(one.response.closed);
    // By then the close is known: what is written is too late.
    await until(() => one.pool.stats().leased === 0, 'an end of the lease');
    await one.peer.write(rest);
    await cutShort(
      t,
      one.response,
      length - 2,
      /: close\(\) was called before the body's end: IncompleteRead\(2 bytes/,
    );
    await one.peer.gone();
    await next(t, one, 2);
    t.like(one.pool.stats(), { abandoned: 1, opened: 2 });
  }
});

clocked('RESP-20: a body closed early is not drained, however little is left: that would take 100 ms', async (t) => {
  for (const length of [LARGE, 1_000, 10]) {
    const one = await begun(t, `${OK}Content-Length: ${length}\r\n\r\nhello`);
    t.is((await one.response.read(2)).toString(), 'he');
    const before = performance.now();
    one.response.close();
    await until(() => one.pool.stats().leased === 0, 'an end of the lease');
    const took = performance.now() - before;
    within(t, took < 90, `${length}: ${took} ms`);
  }
});

test('RESP-20: a loop over a body that is closed between two pieces does not end as if the body had', async (t) => {
  for (const way of ['close', 'releaseConn'] as const) {
    const one = await begun(t, `${OK}Content-Length: 1000\r\n\r\n${'x'.repeat(500)}`);
    const got: number[] = [];
    const loop = async (): Promise<void> => {
      for await (const piece of one.response.stream(10)) {
        got.push(piece.length);
        if (got.length === 3) one.response[way]();
      }
    };
    const error = await rejection(loop(), ProtocolError);
    t.deepEqual(got, [10, 10, 10], way);
    t.is(error.expected, 970, way);
    t.regex(error.message, /IncompleteRead\(30 bytes read, 970 more expected\)$/, way);
    await one.peer.gone();
    await next(t, one, 2, way);
  }
});

test('RESP-20 READ-11: a body that has come but was not read is cut by a close() all the same; one that was read is not', async (t) => {
  for (const [head, expected] of [
    [`${OK}Content-Length: 5\r\n\r\nhello`, 3],
    [`${CHUNKED}5\r\nhello\r\n0\r\n\r\n`, null],
  ] as const) {
    for (const way of ['close', 'releaseConn'] as const) {
      const one = await begun(t, head);
      t.is((await one.response.read(2)).toString(), 'he');
      // The connection is back when the last byte has come: from then on there is none to be closed.
      await next(t, one, 1, way);
      one.response[way]();
      t.true(one.response.closed);
      t.is((await rejection(one.response.read(), ProtocolError)).expected, expected, head);

      const read = await one.pool.request('GET', '/read', STREAMED);
      t.is((await read.read()).toString(), '/read');
      read[way]();
      t.is((await read.read()).length, 0, 'its end was seen');
      t.deepEqual(await collect(read), { got: '', error: null });
      t.is(read.text(), '/read');
    }
  }
});

test('WART-15 POOL-19 THR-215 THR-319: releaseConn keeps a connection whose rest is small and there, and closes every other', async (t) => {
  const cases: [what: string, head: string, rest: string, connections: number][] = [
    ['small', `${OK}Content-Length: 1000\r\n\r\n`, 'x'.repeat(1_000), 1],
    ['64 KiB', `${OK}Content-Length: 65536\r\n\r\n`, 'x'.repeat(65_536), 1],
    ['small and chunked', CHUNKED, `400\r\n${'x'.repeat(1_024)}\r\n0\r\n\r\n`, 1],
    ['small and late', `${OK}Content-Length: 1000\r\n\r\n`, '', 2],
    ['large', `${OK}Content-Length: ${LARGE}\r\n\r\n`, '', 2],
    ['large and chunked', CHUNKED, `400000\r\n${'x'.repeat(0x40_0000)}\r\n0\r\n\r\n`, 2],
    ['until the end', `${OK}\r\n`, 'x', 2],
    ['broken', CHUNKED, 'x\r\n', 2],
  ];
  for (const [what, head, rest, connections] of cases) {
    await upTo3(connections, async (isLast) => {
      const one = await begun(t, head, { block: true });
      const left = one.response.lengthRemaining;
      one.response.releaseConn();
      one.response.releaseConn();
      t.true(one.response.closed, what);
      // The release is known by then, so that it is the drain that keeps the connection.
      await pause(20);
      void one.peer.write(rest);
      if (connections === 2) await one.peer.gone();
      await one.pool.request('GET', '/zero');
      if (isLate(one, connections, isLast)) return false;
      await next(t, one, connections, what);
      await cutShort(t, one.response, left, /let go of before the body's end, by releaseConn\(\)/);
      t.is(one.pool.stats().opened, connections, what);
      return true;
    });
  }
});

test('RESP-23 POOL-16 DEC-11: drainConn drops the rest, undecoded, and the connection serves again', async (t) => {
  // Incompressible, and not gzip any more behind its first half.
  const gzip = zlib.gzipSync(Buffer.from(Array.from({ length: LARGE }, (_, n) => (n * 2_654_435_761) >>> 13)), {
    level: 1,
  });
  gzip.fill('x', gzip.length >> 1);
  const head = `${OK}Content-Encoding: gzip\r\nContent-Length: ${gzip.length}\r\n\r\n`;
  const one = await begun(t, head, { block: true });
  void one.peer.write(gzip);
  t.true((await one.response.read(10)).length === 10);
  await one.response.drainConn();
  t.true(one.response.closed);
  t.is(one.response.bytesRead, gzip.length);
  t.is((await one.response.read()).length, 0);
  await next(t, one, 1);
  t.true(one.pool.stats().decodedBytes < 2 * MIB);

  const plain = await begun(t, `${OK}Content-Length: ${LARGE}\r\n\r\nhello`, { block: true });
  const draining = plain.response.drainConn();
  void plain.peer.write('x'.repeat(LARGE - 5));
  await draining;
  t.is((await plain.response.read()).length, 0, 'not even what was on its way');
  t.is(plain.response.bytesRead, LARGE);
  await next(t, plain, 1);

  const broken = await begun(t, `${OK}Content-Length: 9\r\n\r\nhalf`);
  broken.peer.end();
  await broken.response.drainConn();
  await broken.response.drainConn();
  t.is((await broken.response.read()).length, 0, 'errors are swallowed');
  await next(t, broken, 2);

  const known = await begun(t, `${OK}Content-Length: 9\r\n\r\nhalf`);
  known.peer.end();
  await rejection(known.response.read(), ProtocolError);
  await known.response.drainConn();
  t.is((await known.response.read()).length, 0, 'and so is one that was there before');
});

test('RESP-23: a drain waits for the reads before it', async (t) => {
  const one = await begun(t, `${OK}Content-Length: 12\r\n\r\nhel`);
  const first = one.response.read(5);
  const draining = one.response.drainConn();
  await pause(20);
  await one.peer.write('lo, world');
  t.is((await first).toString(), 'hello');
  await draining;
  await next(t, one, 1);

  const other = await begun(t, `${OK}Content-Length: 12\r\n\r\nhello, wo`);
  const whole = other.response.read();
  void other.response.drainConn();
  await other.peer.write('rld');
  t.is((await whole).toString(), 'hello, world', 'never a part that looks like the whole');
  t.is(other.response.data.toString(), 'hello, world');
});

test('READ-11 POOL-16: the connection is back once the last byte has come off the wire, and not before', async (t) => {
  const one = await begun(t, `${OK}Content-Length: ${LARGE}\r\n\r\n`, { block: true });
  void one.peer.write(Buffer.alloc(LARGE - 1, 'x'));
  t.is((await one.response.read(LARGE - 1)).length, LARGE - 1);
  await rejection(one.pool.request('GET', '/', { poolTimeout: 60 }), EmptyPoolError);
  t.like(one.pool.stats(), { leased: 1, idle: 0 });
  const waiting = one.pool.request('GET', '/waited');
  await one.peer.write('y');
  t.is((await one.response.read()).toString(), 'y');
  t.is((await waiting).data.toString(), '/waited');
  await next(t, one, 1);
});

test('READ-11: nobody need read the last bytes for the connection to come back', async (t) => {
  const one = await begun(t, `${OK}Content-Length: 10\r\n\r\nhello`, { block: true });
  const waiting = one.pool.request('GET', '/waited');
  await one.peer.write('world');
  t.is((await waiting).data.toString(), '/waited');
  t.is((await one.response.read()).toString(), 'helloworld', 'and they are there');
  await next(t, one, 1);
});

test('THR-211 RESP-10: bytes behind a head that has no body are nobody’s, and cost the connection', async (t) => {
  for (const status of [204, 304]) {
    const one = await begun(t, `HTTP/1.1 ${status} X\r\nContent-Length: 4\r\n\r\nEVIL`);
    t.true(one.response.closed);
    t.is((await one.response.read(4)).length, 0);
    t.is((await one.response.read()).length, 0);
    await next(t, one, 2, String(status));
  }
});

test('an iteration that is left lets go of its body', async (t) => {
  const leave: Record<string, (response: HTTPResponse) => Promise<void>> = {
    iteration: async (response) => {
      for await (const piece of response) if (piece.length > 0) break;
    },
    'stream(2)': async (response) => {
      for await (const piece of response.stream(2)) if (piece.length > 0) break;
    },
    'lines()': async (response) => {
      for await (const line of response.lines()) if (line.length > 0) return;
    },
    'one that throws': async (response) => {
      const thrown = new Error('out');
      const loop = async (): Promise<void> => {
        for await (const piece of response) if (piece.length > 0) throw thrown;
      };
      if ((await loop().catch((error: unknown) => error)) !== thrown) throw new Error('another');
    },
  };
  for (const [way, run] of Object.entries(leave)) {
    for (const [length, rest, connections] of [
      [LARGE, '', 2],
      [30, 'x'.repeat(24), 1],
    ] as const) {
      await upTo3(connections, async (isLast) => {
        const one = await begun(t, `${OK}Content-Length: ${length}\r\n\r\nhello\n`, { block: true });
        await run(one.response);
        t.true(one.response.closed, way);
        await pause(20);
        void one.peer.write(rest);
        if (connections === 2) await one.peer.gone();
        await rejection(one.response.read(), ProtocolError);
        await one.pool.request('GET', '/zero');
        if (isLate(one, connections, isLast)) return false;
        await next(t, one, connections, way);
        return true;
      });
    }
  }
});

const ITERATIONS: Record<string, (response: HTTPResponse) => AsyncIterableIterator<Buffer>> = {
  iteration: (response) => response[Symbol.asyncIterator](),
  'stream(64)': (response) => response.stream(64),
  'stream(null)': (response) => response.stream(null),
  'lines()': (response) => response.lines(),
};

/** Ways to leave an iteration whose next piece may never come; each is over when it has left. */
const LEAVINGS: Record<string, (t: ExecutionContext, pieces: AsyncIterableIterator<Buffer>) => Promise<unknown>> = {
  'return() while next() waits': async (t, pieces) => {
    const waiting = untilItWaits(pieces);
    await pause(10);
    t.deepEqual(await pieces.return?.(), { done: true, value: undefined });
    t.like(await waiting, { code: 'ERR_INCOMPLETE_READ' });
    t.deepEqual(await pieces.next(), { done: true, value: undefined });
  },
  'return() before the first next()': async (t, pieces) => {
    t.deepEqual(await pieces.return?.(), { done: true, value: undefined });
    t.deepEqual(await pieces.next(), { done: true, value: undefined });
  },
  'throw() while next() waits': async (t, pieces) => {
    const waiting = untilItWaits(pieces);
    await pause(10);
    const thrown = new Error('out');
    t.is(await rejection(Promise.resolve(pieces.throw?.(thrown)), Error), thrown);
    t.like(await waiting, { code: 'ERR_INCOMPLETE_READ' });
  },
  'destroy() of a stream that reads': async (_, pieces) => {
    const stream = Readable.from(pieces).on('data', () => undefined);
    await pause(10);
    await once(stream.destroy(), 'close');
  },
  'destroy(error) of a stream that reads': async (t, pieces) => {
    const stream = Readable.from(pieces).on('data', () => undefined);
    await pause(10);
    const thrown = new Error('out');
    t.deepEqual(await once(stream.destroy(thrown), 'error'), [thrown]);
  },
  'destroy() of a stream that nobody reads': (_, pieces) => once(Readable.from(pieces).destroy(), 'close'),
  'cancel() of a stream of the web': async (_, pieces) => {
    const reader = ReadableStream.from(pieces).getReader();
    const read = async (): Promise<void> => {
      while (!(await reader.read()).done);
    };
    const reading = read();
    await pause(10);
    await reader.cancel();
    await reading;
  },
  'a pipeline whose signal is aborted': async (_, pieces) => {
    const sink = new Writable({ write: (_piece, _coding, goOn) => goOn() });
    await rejection(pipeline(Readable.from(pieces), sink, { signal: AbortSignal.timeout(10) }), Error);
  },
};

/** What the `next()` that waits for ever rejects with. */
async function untilItWaits(pieces: AsyncIterableIterator<Buffer>): Promise<unknown> {
  try {
    while ((await pieces.next()).done !== true);
  } catch (error) {
    return error;
  }
  return null;
}

for (const [leaving, leave] of Object.entries(LEAVINGS)) {
  test(`an iteration that waits for a server is left at once: ${leaving}`, async (t) => {
    for (const [way, iterate] of Object.entries(ITERATIONS)) {
      // Not a generator: it has no throw().
      if (way === 'iteration' && leaving.startsWith('throw()')) continue;
      const { pool, response, peer } = await begun(t, `${OK}Content-Length: ${LARGE}\r\n\r\none\ntwo\n`);
      const pieces = iterate(response);
      const left = leave(t, pieces);
      await until(() => pool.stats().leased === 0, `${way}: the connection let go of`);
      await left;
      t.true(response.closed, way);
      await peer.gone();
    }
  });
}

test('returning to an iteration that has come to its end changes nothing', async (t) => {
  const one = await begun(t, `${OK}Content-Length: 0\r\n\r\n`);
  for (const [way, iterate] of Object.entries(ITERATIONS)) {
    const response = await one.pool.request('GET', '/', STREAMED);
    const pieces = iterate(response);
    t.is(Buffer.concat((await all(pieces)) as Buffer[]).toString(), '/', way);
    await pieces.return?.();
    t.is((await response.read()).length, 0, way);
  }
  for (const iterate of [ITERATIONS['lines()'], ITERATIONS['stream(64)']]) {
    const pieces = iterate?.(one.response);
    t.deepEqual(await pieces?.next(), { done: true, value: undefined });
    await pieces?.return?.();
  }
  t.is((await one.response.read()).length, 0);
  t.is(one.response.data.length, 0);
  await next(t, one, 1);
});

test('close() of a pool waits for a body that is being read; with a time-out it ends it', async (t) => {
  const one = await begun(t, `${OK}Content-Length: 10\r\n\r\nhello`, { maxsize: 2 });
  t.is((await one.response.read(5)).toString(), 'hello');
  t.is((await one.pool.request('GET', '/idle')).data.toString(), '/idle');
  const closing = one.pool.close();
  // That the idle one goes says that the closing has begun.
  await (await one.server.peer(2)).gone();
  await one.peer.write('world');
  t.is((await one.response.read()).toString(), 'world');
  t.like(await closing, { forced: 0, drained: 1 });

  const other = await begun(t, `${OK}Content-Length: ${LARGE}\r\n\r\nhello`);
  const reading = other.response.read();
  const report = await other.pool.close({ timeout: 60 });
  t.like(report, { forced: 1 });
  const error = await rejection(reading, ClosedPoolError);
  t.is(error.pool, other.pool);
  await other.peer.gone();
  await rejection(other.response.read(1), ClosedPoolError);

  const unread = await begun(t, `${OK}Content-Length: ${LARGE}\r\n\r\n`);
  t.like(await unread.pool.close({ timeout: 0 }), { forced: 1 });
  await rejection(unread.response.read(), ClosedPoolError);
});

clocked(
  'a close whose time is up cuts off a body that nobody reads, too: its connection is closed at once',
  async (t) => {
    const { pool, response, peer } = await begun(t, `${OK}Content-Length: ${LARGE}\r\n\r\n`);
    await peer.write(Buffer.alloc(MIB));
    const report = await pool.close({ timeout: 50 });
    t.like(report, { forced: 1 });
    within(t, report.elapsed < 900, `it waited ${report.elapsed} ms for a lease that it had cut off`);
    await peer.gone();
    t.like(pool.stats(), { leased: 0, live: 0, errors: { ERR_POOL_CLOSED: 1 } });
    await rejection(response.read(), ClosedPoolError);
  },
);

test('a streamed call is counted once, as one that succeeded or as one that failed, however much of it came', async (t) => {
  const whole = zlib.gzipSync(Buffer.from('x'.repeat(50_000)));
  const { pool } = await served(
    t,
    (request, response) => {
      const coded = request.url === '/broken' ? whole.subarray(0, -6) : whole;
      if (request.url !== '/plain') response.setHeader('Content-Encoding', 'gzip');
      response.setHeader('Content-Length', coded.length);
      response.end(coded);
    },
    { unreadTimeout: 200, retries: false },
  );
  const counts = (): [succeeded: number, failed: Record<string, number>] => {
    const { latency, errors } = pool.stats();
    return [latency?.total.count ?? 0, errors];
  };
  const ask = async (path: string): Promise<HTTPResponse> => pool.request('GET', path, STREAMED);
  for (const read of [
    async () => (await ask('/broken')).read(),
    async () => {
      for await (const piece of await ask('/broken')) t.true(piece.length > 0);
    },
  ]) {
    const before = pool.stats().errors['ERR_DECODE'] ?? 0;
    await rejection(read(), DecodeError);
    t.deepEqual(counts(), [0, { ERR_DECODE: before + 1 }]);
  }
  let succeeded = 0;
  for (const path of ['/plain', '/coded']) {
    for (const read of [
      async (response: HTTPResponse) => response.read(),
      async (response: HTTPResponse) => response.drainConn(),
      async (response: HTTPResponse) => {
        for await (const piece of response) t.true(piece.length > 0);
      },
    ]) {
      await read(await ask(path));
      succeeded += 1;
      t.deepEqual(counts(), [succeeded, { ERR_DECODE: 2 }], path);
    }
  }
});

test.serial(
  'unreadTimeout: a body whose rest is drained is counted as one that failed, and its connection is kept',
  async (t) => {
    let goOn = (): void => undefined;
    const rest = new Promise<void>((resolve) => (goOn = resolve));
    const { pool } = await scripted(
      t,
      async (peer) => {
        await peer.request();
        await peer.write(`${OK}Content-Length: 95536\r\n\r\n${'x'.repeat(65_536)}`);
        await rest;
        await peer.write('x'.repeat(30_000));
        await peer.gone();
      },
      { unreadTimeout: 150 },
    );
    const response = await pool.request('GET', '/', STREAMED);
    goOn();
    await until(() => pool.stats().errors['ERR_UNREAD_TIMEOUT'] === 1, 'the body is let go');
    t.is(pool.stats().latency?.total.count, 0);
    t.like(pool.stats(), { idle: 1, live: 1, abandoned: 0 });
    await rejection(response.read(), ProtocolError);
  },
);

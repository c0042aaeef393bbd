/**
 * Request bodies that do not go well: sources that fail, lie about their length or are cut off, and servers that do not
 * wait for the end. The server must never see a message that looks whole and is not, and nothing may be left behind.
 */
import { getEventListeners, once } from 'node:events';
import { createReadStream, openAsBlob } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import test, { type ExecutionContext } from 'ava';

import {
  NewConnectionError,
  HTTPConnectionPool,
  ProtocolError,
  ReadTimeoutError,
  type RequestBody,
  type RequestOptions,
} from '../index.ts';
import { reply } from './servers/raw.ts';
import { rejection, scripted } from './support/fixtures.ts';
import { clocked, within } from './support/clocked.ts';

const WAIT = { total: 20_000 };
const PIECE = Buffer.alloc(64 * 1024, 'x');

/** Sends what must fail, and gives the error and what the server saw until the client was gone. */
async function failing(
  t: ExecutionContext,
  options: RequestOptions,
): Promise<{ error: ProtocolError; head: string; body: string }> {
  const { pool, server } = await scripted(t, async (peer) => peer.gone(), { timeout: WAIT });
  const error = await rejection(pool.request('POST', '/', options), ProtocolError);
  const peer = await server.peer(1);
  await peer.gone();
  t.is(server.peers.length, 1, 'it was tried again');
  t.like(pool.stats(), { live: 0, opened: 1, staleReplays: 0 });
  t.like(error, { code: 'ERR_INVALID_BODY', phase: 'send', host: `127.0.0.1:${server.port}`, attempts: 1 });
  const [head = '', ...rest] = peer.received.toString('latin1').split('\r\n\r\n');
  return { error, head, body: rest.join('\r\n\r\n') };
}

function gate(): { open: () => void; opened: Promise<void> } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, opened };
}

/** A source that says what becomes of it. */
class Watched {
  pulled = 0;
  /** When it was returned. */
  returned: number[] = [];
  readonly #piece: Buffer;
  readonly #most: number;
  readonly #wait: boolean;

  constructor(piece: Buffer = PIECE, most = Infinity, wait = false) {
    [this.#piece, this.#most, this.#wait] = [piece, most, wait];
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer> {
    return {
      next: async () => {
        if (this.pulled >= this.#most) {
          if (this.#wait) await new Promise<never>(() => {});
          return { done: true, value: undefined };
        }
        this.pulled += this.#piece.length;
        return { done: false, value: this.#piece };
      },
      return: async () => {
        this.returned.push(performance.now());
        // As a generator whose `next` is pending: never.
        return new Promise<never>(() => {});
      },
    };
  }
}

const thrown = new Error('the source’s own');

/** Sources that fail after so many pieces, all with the same error. */
const FAILING: Record<string, (pieces: number, error: unknown) => RequestBody> = {
  generator: function* (pieces, error) {
    for (let nth = 0; nth < pieces; nth += 1) yield PIECE;
    throw error;
  },
  'async generator': async function* (pieces, error) {
    for (let nth = 0; nth < pieces; nth += 1) yield PIECE;
    throw error;
  },
  Readable: (pieces, error) => {
    let nth = 0;
    return new Readable({
      read() {
        if (nth < pieces) this.push(PIECE);
        else this.destroy(error as Error);
        nth += 1;
      },
    });
  },
  ReadableStream: (pieces, error) => {
    let nth = 0;
    return new ReadableStream({
      pull(controller) {
        if (nth < pieces) controller.enqueue(PIECE);
        else controller.error(error);
        nth += 1;
      },
    });
  },
  'function of a generator': (pieces, error) => () => FAILING['generator']?.(pieces, error) as Iterable<Buffer>,
};

for (const [kind, make] of Object.entries(FAILING)) {
  test(`THR-507: ${kind} that fails: its own error is the cause, and the server sees a message that broke off`, async (t) => {
    for (const pieces of [0, 1, 40]) {
      for (const headers of [null, { 'Content-Length': '10000000' }]) {
        const { error, head, body } = await failing(t, { body: make(pieces, thrown), headers });
        t.is(error.cause, thrown);
        t.is(error.reason, 'ERR_BODY_SOURCE');
        if (headers === null) {
          t.false(body.endsWith('0\r\n\r\n'));
          t.true(head === '' || /^Transfer-Encoding: chunked$/m.test(head));
        } else {
          t.true(body.length < 10_000_000);
        }
      }
    }
  });
}

test('THR-507: whatever is thrown is the cause, and a function’s failure as well', async (t) => {
  for (const [body, cause] of [
    [() => Promise.reject(thrown), thrown],
    [
      () => {
        throw thrown;
      },
      thrown,
    ],
    [FAILING['generator']?.(1, 'a string'), 'a string'],
    [FAILING['async generator']?.(1, 7), 7],
    [
      {
        [Symbol.iterator]() {
          throw thrown;
        },
      },
      thrown,
    ],
  ] as [RequestBody, unknown][]) {
    t.is((await failing(t, { body })).error.cause, cause);
  }
  // What is no error object is at least said.
  for (const [nothing, message] of [
    [undefined, 'undefined'],
    [null, 'null'],
  ] as const) {
    const { error } = await failing(t, { body: FAILING['generator']?.(1, nothing) as RequestBody });
    t.is((error.cause as Error).message, message);
  }
});

test('THR-507: what is no piece, or no body, is a TypeError as the cause, and the source is let go of', async (t) => {
  for (const wrong of [1, true, {}, null, undefined, Promise.resolve('x'), ['x'], Symbol('x'), 3n, new Blob(['x'])]) {
    let returned = 0;
    const sync = (function* () {
      try {
        yield 'good';
        yield wrong;
      } finally {
        returned += 1;
      }
    })();
    const async = (async function* () {
      try {
        yield 'good';
        yield wrong;
      } finally {
        returned += 1;
      }
    })();
    for (const body of [sync, async]) {
      // An async generator waits for what it yields.
      if (body === async && wrong instanceof Promise) continue;
      const { error, body: sent } = await failing(t, { body: body as RequestBody });
      t.true(error.cause instanceof TypeError);
      t.like(error.cause, { code: 'ERR_INVALID_BODY' });
      t.regex((error.cause as Error).message, /^a piece of a body is a string or bytes, not /);
      t.false(sent.endsWith('0\r\n\r\n'));
    }
    t.is(returned, wrong instanceof Promise ? 1 : 2);
  }
  const objects = Readable.from([{ a: 1 }]);
  t.true((await failing(t, { body: objects })).error.cause instanceof TypeError);
  t.true(objects.destroyed);
  const web = new ReadableStream({
    start(controller) {
      controller.enqueue(1);
    },
    cancel: () => cancelled(),
  });
  let cancelled = (): void => {};
  const cancelling = new Promise<void>((resolve) => (cancelled = resolve));
  t.true((await failing(t, { body: web })).error.cause instanceof TypeError);
  await cancelling;
  const gone = new ArrayBuffer(8);
  structuredClone(gone, { transfer: [gone] });
  for (const made of [undefined, null, 5, {}, () => 'x', new FormData()]) {
    const { error } = await failing(t, { body: (() => made) as unknown as RequestBody });
    t.like(error.cause, { name: 'TypeError', code: 'ERR_INVALID_BODY' });
  }
  t.like(
    (
      await failing(t, {
        body: (function* () {
          yield gone;
        })(),
      })
    ).error.cause,
    { code: 'ERR_INVALID_BODY' },
  );
  const noObject = { [Symbol.asyncIterator]: () => ({ next: async () => 5 }) } as unknown as RequestBody;
  t.like((await failing(t, { body: noObject })).error.cause, { code: 'ERR_INVALID_BODY' });
});

test('THR-507: a stream that is closed before its end, a file that is not there, a Blob whose file has changed', async (t) => {
  const closed = new Readable({ read() {} });
  closed.push('x');
  setImmediate(() => closed.destroy());
  const { error, body } = await failing(t, { body: closed });
  t.is((error.cause as NodeJS.ErrnoException).code, 'ERR_STREAM_PREMATURE_CLOSE');
  t.false(body.endsWith('0\r\n\r\n'));
  const folder = await mkdtemp(path.join(tmpdir(), 'upload-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const missing = createReadStream(path.join(folder, 'missing'));
  t.is(((await failing(t, { body: missing })).error.cause as NodeJS.ErrnoException).code, 'ENOENT');
  const file = path.join(folder, 'file');
  await writeFile(file, Buffer.alloc(1 << 20));
  const blob = await openAsBlob(file);
  await writeFile(file, 'shorter');
  const changed = await failing(t, { body: blob });
  t.is((changed.error.cause as Error).name, 'NotReadableError');
  t.true(changed.body.length < 1 << 20);
});

test('THR-507: a stream may fail long before anybody asks for it', async (t) => {
  const { pool } = await scripted(
    t,
    async (peer) => {
      for (;;) {
        await peer.request();
        await held;
        await peer.write(reply('ok'));
      }
    },
    { maxsize: 1, block: true, timeout: WAIT },
  );
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const first = pool.request('GET', '/');
  const stream = createReadStream('/nowhere/at/all');
  const call = rejection(pool.request('POST', '/', { body: stream }), ProtocolError);
  await new Promise((resolve) => stream.once('close', () => resolve(null)));
  // Not every stream says that it is closed.
  const silent = new Readable({ emitClose: false, read() {} });
  const other = rejection(pool.request('POST', '/', { body: silent }), ProtocolError);
  silent.destroy();
  release();
  await first;
  t.is(((await call).cause as NodeJS.ErrnoException).code, 'ENOENT');
  t.is(((await other).cause as NodeJS.ErrnoException).code, 'ERR_STREAM_PREMATURE_CLOSE');
});

/** Bodies of so many bytes whose length nobody knows but the caller. */
const COUNTED: Record<string, (bytes: number) => RequestBody> = {
  array: (bytes) => [Buffer.alloc(bytes, 'x')],
  bytewise: (bytes) => Buffer.alloc(bytes, 'x').toString().split(''),
  'async generator': async function* (bytes) {
    yield Buffer.alloc(bytes - 1, 'x');
    await new Promise((resolve) => setImmediate(resolve));
    yield 'x';
  },
  Readable: (bytes) => Readable.from([Buffer.alloc(bytes, 'x')]),
  ReadableStream: (bytes) => new Blob([Buffer.alloc(bytes, 'x')]).stream() as ReadableStream,
  function: (bytes) => () => Buffer.alloc(bytes, 'x'),
};

for (const [kind, make] of Object.entries(COUNTED)) {
  test(`THR-505: ${kind}: shorter or longer than its Content-Length is an error; the server sees no whole message`, async (t) => {
    for (const announced of [2, 1_000, 70_000]) {
      for (const actual of [1, announced - 1, announced + 1, announced * 2]) {
        const { error, body } = await failing(t, { body: make(actual), headers: { 'content-length': `${announced}` } });
        t.is(error.reason, 'ERR_BODY_LENGTH');
        t.true(body.length < announced, `${announced}, ${actual}: ${body.length}`);
        t.regex(error.message, actual < announced ? /ended after \d+ of the \d+ bytes/ : /has more than the \d+ bytes/);
      }
    }
  });
}

test('THR-505: a body that is announced as empty and is not, or fails, is an error before anything is sent', async (t) => {
  for (const body of [['x'], Readable.from(['', 'x']), () => 'x', new Watched(PIECE)]) {
    const seen = await failing(t, { body, headers: { 'Content-Length': '0' } });
    t.like(seen, { error: { reason: 'ERR_BODY_LENGTH', sent: false }, head: '', body: '' });
  }
  for (const make of Object.values(FAILING)) {
    const seen = await failing(t, { body: make(0, thrown), headers: { 'Content-Length': '0' } });
    t.like(seen, { error: { cause: thrown, sent: false }, head: '' });
  }
});

test('THR-505: more than announced that comes late is an error too, and the source is let go of', async (t) => {
  const source = new Watched(Buffer.from('x'), Infinity);
  const { body } = await failing(t, { body: source, headers: { 'Content-Length': '300' } });
  t.true(body.length < 300);
  t.is(source.returned.length, 1);
  const { pool, server } = await scripted(t, () => {});
  await t.throwsAsync(pool.request('POST', '/', { body: new Blob(['four']), headers: { 'content-length': '5' } }), {
    code: 'ERR_INVALID_HEADER',
  });
  await t.throwsAsync(
    pool.request('POST', '/', { body: ['four'], chunked: true, headers: { 'content-length': '4' } }),
    { code: 'ERR_INVALID_HEADER' },
  );
  t.is(server.peers.length, 0);
});

test.serial(
  'THR-317: an answer after 1 byte of an upload of 100 MiB is delivered, the source let go of at once, the connection closed',
  async (t) => {
    const { pool, server } = await scripted(
      t,
      async (peer) => {
        await peer.bytes(1);
        if (peer.number % 2 === 0) return peer.write(reply('fresh'));
        while (!peer.received.includes('\r\n\r\n') || peer.received.toString('latin1').endsWith('\r\n\r\n')) {
          await peer.bytes(peer.received.length + 1);
        }
        peer.socket.pause();
        await peer.write(reply('no', 'HTTP/1.1 413 Content Too Large\r\n'));
      },
      { timeout: WAIT },
    );
    for (const wait of [false, true]) {
      // Blocked by the server, and waiting for its next piece.
      const source = new Watched(PIECE, wait ? PIECE.length * 4 : 100 << 20, wait);
      const response = await pool.request('POST', '/', { body: source });
      const answered = performance.now();
      t.deepEqual([response.status, response.text()], [413, 'no']);
      t.is(source.returned.length, 1);
      t.true((source.returned[0] ?? 0) - answered < 10);
      t.is(pool.stats().live, 0);
      const { pulled } = source;
      const peer = await server.peer(server.peers.length);
      peer.socket.resume();
      await peer.gone();
      t.is(source.pulled, pulled);
      t.true(peer.received.length < 20 << 20);
      t.false(peer.received.toString('latin1').endsWith('0\r\n\r\n'));
      const next = await pool.request('GET', '/');
      t.is(next.text(), 'fresh');
      t.false(next.connection?.reused);
      await pool.warm(0);
      (await server.peer(server.peers.length)).end();
      while ((pool.pool?.idle ?? 0) > 0) await new Promise((resolve) => setImmediate(resolve));
    }
  },
);

test('THR-318, REQ-14: an answer and a reset while a streamed body is being written is an answer', async (t) => {
  for (let round = 0; round < 20; round += 1) {
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
    const source = new Watched();
    const response = await pool.request('POST', '/', { body: source });
    t.deepEqual([response.status, response.text()], [413, 'no']);
    t.is(source.returned.length, 1);
    t.is(pool.stats().live, 0);
  }
});

test('THR-318: a reset without an answer is a ProtocolError with the system’s error, not the source’s', async (t) => {
  for (const endless of [true, false]) {
    const { pool } = await scripted(
      t,
      async (peer) => {
        peer.socket.pause();
        await once(peer.socket, 'readable');
        peer.reset();
      },
      { timeout: WAIT },
    );
    const source = endless ? new Watched() : new Watched(PIECE, 8 << 20, true);
    const error = await rejection(pool.request('POST', '/', { body: source }), ProtocolError);
    t.like(error, { code: 'ERR_PROTOCOL', phase: 'send', sent: true });
    t.regex((error.cause as NodeJS.ErrnoException).code ?? '', /^(ECONNRESET|EPIPE)$/);
    t.is(source.returned.length, 1);
  }
});

test('an aborted call lets go of its source at once, whatever that is doing; nothing stays behind', async (t) => {
  const { pool, server } = await scripted(t, async (peer) => peer.gone(), { timeout: WAIT });
  const leave = new AbortController();
  const reason = new Error('leave');
  const pending = new Watched(PIECE, 0, true);
  const blocked = new Watched(PIECE, 3 * PIECE.length, true);
  const pass = new PassThrough();
  pass.write('x');
  const readable = new Readable({ read() {} });
  let webReason = 'not cancelled';
  const web = new ReadableStream({ cancel: (why) => void (webReason = String(why)) }, { highWaterMark: 0 });
  const dying = new Readable({
    read() {},
    destroy(_, done) {
      setImmediate(() => done(new Error('on its way out')));
    },
  });
  const made = Readable.from(['x']);
  const [asked, promised] = [gate(), gate()];
  const slow = async (): Promise<Readable> => {
    asked.open();
    await promised.opened;
    return made;
  };
  const bodies: RequestBody[] = [
    pending,
    blocked,
    pass,
    readable,
    web,
    dying,
    slow,
    new Blob([Buffer.alloc(64 << 20)]),
  ];
  const calls = bodies.map((body) =>
    pool.request('POST', '/', { body, signal: leave.signal }).catch((error: unknown) => error),
  );
  for (const [nth] of bodies.entries()) await (await server.peer(nth + 1)).bytes(1).catch(() => {});
  await asked.opened;
  while (readable.listenerCount('readable') === 0) await new Promise((resolve) => setImmediate(resolve));
  const closing = [pass, readable, dying, made].map(
    (stream) => new Promise<void>((resolve) => stream.once('close', () => setImmediate(resolve))),
  );
  leave.abort(reason);
  t.true(pass.destroyed && readable.destroyed && dying.destroyed);
  t.deepEqual([pending.returned.length, blocked.returned.length], [1, 1]);
  t.is(webReason, 'undefined');
  for (const call of calls) t.is(await call, reason);
  promised.open();
  await Promise.all(closing);
  for (const stream of [pass, readable, dying, made]) {
    t.deepEqual(
      ['error', 'close', 'readable'].map((event) => stream.listenerCount(event)),
      [0, 0, 0],
    );
  }
  t.true(made.destroyed);
  t.is(getEventListeners(leave.signal, 'abort').length, 0);
  for (const peer of server.peers) await peer.gone();
});

test('a source that was never begun is let go of too: a stream destroyed, a function never called', async (t) => {
  const pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port: 1, timeout: WAIT });
  const aborted = AbortSignal.abort(new Error('before'));
  for (const options of [{}, { signal: aborted }]) {
    const readable = Readable.from(['x']);
    const closing = new Promise<void>((resolve) => readable.once('close', () => setImmediate(resolve)));
    let cancelled = 0;
    const web = new ReadableStream({ cancel: () => void (cancelled += 1) });
    let called = 0;
    const generator = (function* () {
      called += 1;
      yield 'x';
    })();
    for (const body of [readable, web, generator, () => `${(called += 1)}`]) {
      const error: unknown = await pool.request('POST', '/', { body, ...options }).catch((caught: unknown) => caught);
      t.true(error === aborted.reason || error instanceof NewConnectionError);
    }
    t.deepEqual([readable.destroyed, cancelled, called], [true, 1, 0]);
    await closing;
    t.is(readable.listenerCount('error'), 0);
  }
  await pool.close();
  const late = Readable.from(['x']);
  await t.throwsAsync(pool.request('POST', '/', { body: late }), { code: 'ERR_POOL_CLOSED' });
  t.true(late.destroyed);
});

test('a source that aborts its own call from within, and one that cannot be let go of, do no harm', async (t) => {
  const { pool } = await scripted(t, async (peer) => peer.gone(), { timeout: WAIT });
  const leave = new AbortController();
  let finished = 0;
  const body = (function* () {
    try {
      yield 'x';
      leave.abort();
      yield 'y';
    } finally {
      finished += 1;
    }
  })();
  const call = pool.request('POST', '/', { body, signal: leave.signal });
  t.is(await call.catch((error: unknown) => error), leave.signal.reason);
  t.is(finished, 1);
  for (const back of [
    () => {
      throw new Error('no');
    },
    () => Promise.reject(new Error('no')),
    undefined,
  ]) {
    const stubborn = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}), return: back }) };
    const signal = AbortSignal.timeout(20);
    const stuck = pool.request('POST', '/', { body: stubborn as unknown as RequestBody, signal });
    t.is(await stuck.catch((error: unknown) => error), signal.reason);
  }
});

for (const timeout of [0, 30]) {
  clocked(
    `POOL-10 THR-1220: close within ${timeout} ms ends a call whose announced emptiness is still to be proved`,
    async (t) => {
      const { pool, server } = await scripted(t, async (peer) => peer.gone(), { timeout: WAIT });
      const asked = gate();
      const body = (async function* () {
        asked.open();
        await new Promise<never>(() => {});
        yield PIECE;
      })();
      const call = pool.request('POST', '/', { body, headers: { 'Content-Length': '0' } });
      const ended = t.throwsAsync(call, { name: 'ClosedPoolError' });
      await asked.opened;
      const { forced, elapsed } = await pool.close({ timeout });
      await ended;
      t.is(forced, 1);
      // It does not wait for what it has cut off longer than a turn or two.
      within(t, elapsed < 900, `${elapsed} ms`);
      await (await server.peer(1)).gone();
      t.is((await server.peer(1)).received.length, 0);
    },
  );
}

test('THR-908: a source that does not say whether it is empty is bounded by total, and by nothing else', async (t) => {
  const { pool } = await scripted(t, async (peer) => peer.gone(), { timeout: { read: 20 } });
  const body = (async function* () {
    await new Promise<never>(() => {});
    yield PIECE;
  })();
  // The connection has to be there within that time.
  const options = { body, headers: { 'Content-Length': '0' }, timeout: { read: 20, total: 700 } };
  const error = await rejection(pool.request('POST', '/', options), ReadTimeoutError);
  t.like(error, { code: 'ERR_TOTAL_TIMEOUT', during: 'send', sent: false });
});

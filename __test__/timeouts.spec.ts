/** Deadlines over the wire: which one fires where, what it leaves behind, and what it must not touch. */
import { once } from 'node:events';
import test, { type ExecutionContext } from 'ava';

import {
  ConnectTimeoutError,
  EmptyPoolError,
  HTTPConnectionPool,
  ReadTimeoutError,
  Timeout,
  TimeoutError,
  type TimeoutLike,
} from '../index.ts';
import { reply, type Peer } from './servers/raw.ts';
import { clocked, within } from './support/clocked.ts';
import { rejection, scripted, served, target } from './support/fixtures.ts';
import { blackHole } from './servers/black-hole.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
/** How late a deadline may be on a machine that others use; never early. */
const LATE = 3000;

/** Answers nothing, until the client has gone. */
async function silent(peer: Peer): Promise<void> {
  await peer.request();
  await peer.gone();
}

/** Rejects with a read time-out, not before its time. */
async function timesOut(t: ExecutionContext, call: () => Promise<unknown>, span: number): Promise<ReadTimeoutError> {
  const began = performance.now();
  const error = await rejection(call(), ReadTimeoutError);
  const took = performance.now() - began;
  t.true(took >= span - 2 && took < span + LATE, `${took} ms for ${span}`);
  t.true(error instanceof TimeoutError);
  return error;
}

test.serial(
  'TIME-07 WART-16: silence before the head: ReadTimeoutError with pool and url, the slot free, the connection closed',
  async (t) => {
    const { pool, server, host } = await scripted(
      t,
      async (peer) => {
        if (target(await peer.request()) === '/silent?q=secret') return peer.gone();
        await peer.write(reply('well'));
      },
      { block: true },
    );
    const error = await timesOut(t, () => pool.request('GET', '/silent?q=secret', { timeout: 70 }), 70);
    t.like(error, { code: 'ERR_READ_TIMEOUT', phase: 'headers', during: null, host, attempts: 1, sent: true });
    t.is(error.message, `${pool.toString()}: Read timed out. (read timeout=70 ms)`);
    t.is(error.pool, pool);
    t.is(error.url, '/silent?q=secret');
    t.true(error.elapsed >= 70);
    await (await server.peer(1)).gone();
    t.is((await pool.request('GET', '/')).data.toString(), 'well');
    t.is(pool.numConnections, 2);
  },
);

test.serial('TIME-07 THR-907: silence inside the body: phase body, the connection closed', async (t) => {
  const { pool, server } = await scripted(t, async (peer) => {
    await peer.request();
    await peer.write(`${OK}Content-Length: 10\r\n\r\nhalf`);
    await peer.gone();
  });
  const error = await timesOut(t, () => pool.request('GET', '/', { timeout: { read: 700 } }), 700);
  t.like(error, { code: 'ERR_READ_TIMEOUT', phase: 'body', sent: true, url: '/', pool });
  await (await server.peer(1)).gone();
});

test.serial('THR-103: a head that drips a byte at a time ends by read all the same', async (t) => {
  const { pool } = await scripted(t, async (peer) => {
    await peer.request();
    await drip(peer, `${OK}X: ${'x'.repeat(10_000)}`, 10);
  });
  const error = await timesOut(t, () => pool.request('GET', '/', { timeout: { read: 300 } }), 300);
  t.like(error, { code: 'ERR_READ_TIMEOUT', phase: 'headers' });
  const total = await timesOut(t, () => pool.request('GET', '/', { timeout: { total: 700 } }), 700);
  t.like(total, { code: 'ERR_TOTAL_TIMEOUT', phase: 'total', during: 'headers' });
});

test.serial('THR-907: a body that drips below read goes on, and is ended by total', async (t) => {
  const { pool } = await scripted(t, async (peer) => {
    for (;;) {
      const drops = Number(target(await peer.request()).slice(1));
      await peer.write(`${OK}Content-Length: ${drops}\r\n\r\n`);
      await drip(peer, 'x'.repeat(drops), 20);
    }
  });
  // A silence that is allowed is longer than a machine stands still.
  const whole = await pool.request('GET', '/90', { timeout: { read: 1500 } });
  t.is(whole.data.length, 90);
  t.true((whole.timings?.body ?? 0) > 1500, 'longer in all than one silence may last');
  const error = await timesOut(t, () => pool.request('GET', '/10000', { timeout: { read: 1500, total: 1600 } }), 1600);
  t.like(error, { code: 'ERR_TOTAL_TIMEOUT', phase: 'total', during: 'body', sent: true });
  t.is(error.message, `${pool.toString()}: The call took longer than total=1600 ms (cut in body)`);
});

test.serial('TIME-04: a request’s time-out replaces the pool’s, longer, shorter or none', async (t) => {
  const { pool } = await scripted(
    t,
    async (peer) => {
      for (;;) {
        const wait = Number(target(await peer.request()).slice(1));
        if (wait === 0) return peer.gone();
        await later(wait);
        await peer.write(reply('late'));
      }
    },
    { timeout: 150 },
  );
  t.is((await timesOut(t, () => pool.request('GET', '/0'), 150)).code, 'ERR_READ_TIMEOUT');
  t.is((await pool.request('GET', '/300', { timeout: 5000 })).data.toString(), 'late');
  t.is((await pool.request('GET', '/300', { timeout: null })).data.toString(), 'late');
  await timesOut(t, () => pool.request('GET', '/0', { timeout: 60 }), 60);
  // It replaces it as a whole: what it does not name is none.
  t.is((await pool.request('GET', '/300', { timeout: { connect: 5000 } })).data.toString(), 'late');
});

test.serial('TIME-05: one Timeout serves any number of requests, one after the other and at once', async (t) => {
  const { pool } = await served(t, (_, response) => void setTimeout(() => response.end('ok'), 130), { maxsize: 20 });
  // Less than the twenty take in all, and much more than one takes.
  const timeout = new Timeout({ total: 2500, connect: 2500, read: 2500 });
  for (let nth = 0; nth < 20; nth += 1) t.is((await pool.request('GET', '/', { timeout })).status, 200);
  const many = await Promise.all(Array.from({ length: 20 }, () => pool.request('GET', '/', { timeout })));
  t.true(many.every(({ status }) => status === 200));
});

test.serial('TIME-09: nothing left of total once connected is a ReadTimeoutError at once', async (t) => {
  const { pool } = await scripted(t, silent);
  const error = await timesOut(t, () => pool.request('GET', '/', { timeout: { total: 600, read: 5000 } }), 600);
  t.like(error, { code: 'ERR_TOTAL_TIMEOUT', phase: 'total', during: 'headers' });
});

test.serial('TIME-10: a reused connection gets the new request’s time-outs', async (t) => {
  const { pool } = await scripted(
    t,
    async (peer) => {
      for (;;) {
        if (target(await peer.request()) === '/silent') return peer.gone();
        await later(120);
        await peer.write(reply('ok'));
      }
    },
    { timeout: 60_000 },
  );
  t.is((await pool.request('GET', '/', { timeout: { read: 2000 } })).status, 200);
  const second = await pool.request('GET', '/');
  t.true(second.connection?.reused);
  await timesOut(t, () => pool.request('GET', '/silent', { timeout: { read: 60 } }), 60);
  t.is(pool.numConnections, 1);
});

test.serial(
  'TIME-11 THR-905: a peer that takes no byte of a large body: read, phase send, the connection closed',
  async (t) => {
    const { pool, server } = await scripted(
      t,
      async (peer) => {
        peer.socket.pause();
        await later(0);
      },
      { socketOptions: { sendBuffer: 65_536 } },
    );
    const body = Buffer.alloc(64 * 1024 * 1024);
    const error = await timesOut(t, () => pool.request('POST', '/', { body, timeout: { read: 300 } }), 300);
    t.like(error, { code: 'ERR_SEND_TIMEOUT', phase: 'send', sent: true });
    t.is(error.message, `${pool.toString()}: Send timed out. (read timeout=300 ms)`);
    // Long enough for the copy of the body, which comes before.
    const total = await timesOut(t, () => pool.request('POST', '/', { body, timeout: { total: 2500 } }), 2500);
    t.like(total, { code: 'ERR_TOTAL_TIMEOUT', phase: 'total', during: 'send' });
    for (const peer of server.peers) {
      peer.socket.resume();
      await peer.gone();
    }
  },
);

test.serial('TIME-11: sending goes on as long as the peer takes bytes, however long it takes in all', async (t) => {
  const MIB = 1024 * 1024;
  const { pool } = await scripted(t, async (peer) => {
    // A reader that takes a piece now and then: 5 MiB, at 64 KiB every 40 ms, are more than three seconds.
    const pause = (): unknown => peer.socket.pause();
    peer.socket.on('data', pause);
    const nibble = setInterval(() => peer.socket.resume(), 40);
    try {
      await peer.bytes(5 * MIB);
    } finally {
      clearInterval(nibble);
      peer.socket.off('data', pause).resume();
    }
    await peer.bytes(16 * MIB);
    await peer.write(reply('taken'));
  });
  const body = Buffer.alloc(16 * MIB);
  const response = await pool.request('POST', '/', { body, timeout: { read: 2000 } });
  t.is(response.data.toString(), 'taken');
  t.true((response.timings?.send ?? 0) > 2200, `${response.timings?.send} ms`);
});

test.serial(
  'TIME-12: waiting for a connection is under poolTimeout alone; connect and read begin after it',
  async (t) => {
    const { pool } = await scripted(
      t,
      async (peer) => {
        for (;;) {
          await peer.request();
          await later(1200);
          await peer.write(reply('ok'));
        }
      },
      { block: true },
    );
    const first = pool.request('GET', '/');
    const second = pool.request('GET', '/', { timeout: { connect: 100, read: 2300 } });
    const third = rejection(pool.request('GET', '/', { poolTimeout: 100 }), EmptyPoolError);
    const error = await third;
    t.like(error, { code: 'ERR_POOL_EMPTY', phase: 'pool', attempts: 0, sent: false });
    t.is(error.pool, pool);
    t.is((await first).status, 200);
    const late = await second;
    t.is(late.status, 200);
    t.true((late.timings?.pool ?? 0) > 200, 'longer than connect, and than read allows for the rest');
  },
);

test.serial(
  'THR-908 WART-07: total covers the wait for a connection too; its place in the queue is freed',
  async (t) => {
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { pool } = await scripted(
      t,
      async (peer) => {
        for (;;) {
          if (target(await peer.request()) === '/held') await released;
          await peer.write(reply('ok'));
        }
      },
      { block: true },
    );
    const held = pool.request('GET', '/held');
    const error = await timesOut(t, () => pool.request('GET', '/', { timeout: { total: 120 } }), 120);
    t.like(error, { code: 'ERR_TOTAL_TIMEOUT', phase: 'total', during: 'pool', attempts: 0, sent: false });
    t.is(pool.pool?.waiting, 0);
    release();
    t.is((await held).status, 200);
    t.is((await pool.request('GET', '/')).status, 200);
    t.is(pool.numConnections, 1);
  },
);

test.serial('THR-908: total is one deadline over all phases, not a span for each', async (t) => {
  const { pool } = await scripted(
    t,
    async (peer) => {
      for (;;) {
        const path = target(await peer.request());
        const pause = path === '/held' ? 50 : path === '/slow' ? 900 : 0;
        // The head after a while, the body in two halves after a while each.
        for (const piece of [`${OK}Content-Length: 2\r\n\r\n`, 'o', 'k']) {
          await later(pause);
          await peer.write(piece);
        }
      }
    },
    { block: true },
  );
  // 150 ms in the queue, then three times 900 ms: none of the phases is longer than the deadline, all of them are. The head
  // is there at 1050 ms, or somewhat later on a machine that stood still.
  const held = pool.request('GET', '/held');
  const error = await timesOut(t, () => pool.request('GET', '/slow', { timeout: { total: 2000, read: 1950 } }), 2000);
  t.is(error.code, 'ERR_TOTAL_TIMEOUT');
  t.is(error.during, 'body');
  t.is((await held).status, 200);
  t.is((await pool.request('GET', '/', { timeout: { total: 5000 } })).data.toString(), 'ok');
});

// A full backlog drops connections on Linux alone.
const onLinux = (process.platform === 'linux' ? test.serial : () => undefined) as typeof test;

onLinux('THR-901 TIME-06 TIME-11: a connect that gets no answer is a ConnectTimeoutError at its time', async (t) => {
  const hole = await blackHole();
  t.teardown(() => hole.close());
  const { port } = hole;
  const pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port, maxsize: 4 });
  t.teardown(() => pool.close({ timeout: 0 }));
  const attempt = async (timeout: TimeoutLike, span: number): Promise<ConnectTimeoutError> => {
    const began = performance.now();
    const error = await rejection(pool.request('GET', '/', { timeout }), ConnectTimeoutError);
    const took = performance.now() - began;
    t.true(took >= span - 2 && took < span + LATE, `${took} ms for ${span}`);
    t.true(error instanceof TimeoutError);
    t.false(error instanceof ReadTimeoutError);
    return error;
  };
  const connect = await attempt({ connect: 170 }, 170);
  t.like(connect, {
    code: 'ERR_CONNECT_TIMEOUT',
    phase: 'connect',
    during: null,
    host: `127.0.0.1:${port}`,
    sent: false,
  });
  t.is(connect.message, `Connection to 127.0.0.1:${port} timed out. (connect timeout=170 ms)`);
  const total = await attempt({ total: 500 }, 500);
  t.like(total, { code: 'ERR_TOTAL_TIMEOUT', phase: 'total', during: 'connect', sent: false });
  await attempt({ connect: 120, total: 5000 }, 120);
  await attempt({ connect: 5000, total: 120 }, 120);
  const { opened, closed, idle, leased } = pool.stats();
  t.deepEqual({ idle, leased, open: opened - closed }, { idle: 0, leased: 0, open: 0 });
});

const never: unknown[] = [Infinity, null, 2 ** 31 + 1, 2 ** 32 + 1, 1e15, 1e17, 1.8e19, 1e22, 1e300, Number.MAX_VALUE];
for (const span of never) {
  test.serial(`THR-910: a time-out of ${String(span)} ms never fires and hurts nobody`, async (t) => {
    const { pool } = await served(t, (_, response) => void setTimeout(() => response.end('ok'), 80), {
      block: true,
      timeout: span as number,
      idleTimeout: Number(span ?? 0),
      maxAge: Number(span ?? 0),
    });
    const timeout = { total: span, connect: span, read: span } as TimeoutLike;
    const poolTimeout = span as number | null;
    const answers = await Promise.all([
      pool.request('GET', '/'),
      pool.request('GET', '/', { timeout, poolTimeout }),
      pool.request('GET', '/', { timeout, poolTimeout }),
    ]);
    t.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200],
    );
    t.is(pool.numConnections, 1);
    const last = pool.request('GET', '/', { timeout });
    while (pool.pool?.leased === 0) await later(1);
    const report = await pool.close({ timeout: span as number });
    t.is((await last).status, 200);
    t.is(report.forced, 0);
  });
}

const wrong: [unknown, 'range' | 'type'][] = [
  [0, 'range'],
  [-1, 'range'],
  [-Infinity, 'range'],
  [Number.NaN, 'range'],
  [0.5, 'range'],
  ['100', 'type'],
  [true, 'type'],
  [5n, 'type'],
  [[1], 'type'],
  [{ raed: 5 }, 'type'],
  [{ read: 0 }, 'range'],
  [{ total: '5' }, 'type'],
  [{ connect: Number.NaN }, 'range'],
];

test.serial(
  'POOL-26 THR-910: an invalid time-out is refused before a connection is taken, in a blocking pool too',
  async (t) => {
    for (const block of [false, true]) {
      const { pool, server } = await scripted(t, silent, { block });
      for (const [timeout, kind] of wrong) {
        const due = { instanceOf: kind === 'range' ? RangeError : TypeError, code: 'ERR_INVALID_TIMEOUT' };
        await t.throwsAsync(pool.request('GET', '/', { timeout: timeout as number }), due, String(timeout));
        t.throws(
          () => new HTTPConnectionPool('localhost', { retries: false, timeout: timeout as number }),
          due,
          String(timeout),
        );
      }
      for (const poolTimeout of [-1, Number.NaN, '5', 0.5]) {
        const answer = pool.request('GET', '/', { poolTimeout: poolTimeout as number });
        await t.throwsAsync(answer, { code: 'ERR_INVALID_TIMEOUT' }, String(poolTimeout));
      }
      t.is(server.peers.length, 0);
      t.is(pool.numConnections, 0);
      t.deepEqual(pool.pool, { idle: 0, leased: 0, waiting: 0, maxsize: 1 });
    }
  },
);

test.serial(
  'THR-911: whichever of answer and time-out wins, there is one outcome, and a loser’s connection is never used again',
  async (t) => {
    // Around the moment of the deadline: earlier when most came too late, later when most came in time.
    let aim = 46;
    const { pool, server } = await scripted(
      t,
      async (peer) => {
        let token = '';
        for (;;) {
          token = target(await peer.request());
          await later(aim + Math.random() * 8);
          await peer.write(reply(token));
        }
      },
      { maxsize: 40, block: true },
    );
    let [won, lost] = [0, 0];
    for (let round = 0; round < 25; round += 1) {
      const before = won;
      const calls = Array.from({ length: 40 }, async (_, nth) => {
        const token = `/${round}-${nth}`;
        try {
          const response = await pool.request('GET', token, { timeout: { read: 51 } });
          if (response.data.toString() !== token) t.fail(`${token} got ${response.data.toString()}`);
          won += 1;
        } catch (error) {
          if (!(error instanceof ReadTimeoutError)) throw error;
          lost += 1;
        }
      });
      await Promise.all(calls);
      aim = Math.max(0, aim + (won - before > 20 ? 2 : -2));
      const { opened, closed, idle, leased } = pool.stats();
      t.is(opened, closed + idle + leased);
    }
    t.is(won + lost, 1000);
    t.log(`${won} answers, ${lost} time-outs`);
    t.is(pool.stats().errors['ERR_READ_TIMEOUT'] ?? 0, lost);
    t.true(server.peers.length <= 40 + lost);
  },
);

const aborts: [when: string, path: string, body: Buffer | undefined, arrived: boolean][] = [
  ['while it waits for a connection', '/', undefined, false],
  ['while the body is sent', '/stall', Buffer.alloc(32 * 1024 * 1024), true],
  ['before the head', '/silent', undefined, true],
  ['inside the body', '/half', undefined, true],
];
for (const [when, path, body, arrived] of aborts) {
  test.serial(`THR-912: an abort ${when} rejects with the signal's own reason, and nothing is left`, async (t) => {
    let reached = (): void => undefined;
    const there = new Promise<void>((resolve) => {
      reached = resolve;
    });
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { pool } = await scripted(
      t,
      async (peer) => {
        await peer.bytes(4);
        if (peer.received.toString('latin1').includes('/stall')) {
          peer.socket.pause();
          reached();
          return;
        }
        for (;;) {
          const asked = target(await peer.request());
          if (asked === '/half') await peer.write(`${OK}Content-Length: 9\r\n\r\nhalf`);
          if (asked === '/held') await released;
          if (asked === '/held' || asked === '/') await peer.write(reply('ok'));
          else reached();
        }
      },
      { block: true },
    );
    const held = arrived ? null : pool.request('GET', '/held');
    const controller = new AbortController();
    const reason = new Error('enough');
    const call = pool.request('POST', path, { signal: controller.signal, ...(body === undefined ? {} : { body }) });
    if (arrived) await there;
    else while (pool.pool?.waiting !== 1) await later(1);
    controller.abort(reason);
    t.is(await rejection(call, Error), reason);
    release();
    if (held !== null) t.is((await held).status, 200);
    t.is((await pool.request('GET', '/')).data.toString(), 'ok');
    t.deepEqual(pool.pool, { idle: 1, leased: 0, waiting: 0, maxsize: 1 });
  });
}

test.serial(
  'THR-912: a signal that was aborted before sends nothing; one that comes late changes nothing',
  async (t) => {
    const { pool, server } = await scripted(t, async (peer) => {
      await peer.request();
      await peer.write(reply('ok'));
    });
    const reason = new TypeError('before');
    const early = await rejection(pool.request('GET', '/', { signal: AbortSignal.abort(reason) }), TypeError);
    t.is(early, reason);
    t.is(server.peers.length, 0);
    const controller = new AbortController();
    const response = await pool.request('GET', '/', { signal: controller.signal });
    controller.abort();
    t.is(response.data.toString(), 'ok');
    const timeout = await rejection(
      pool.request('GET', '/', { signal: AbortSignal.timeout(60) }),
      DOMException as unknown as new () => Error,
    );
    t.is(timeout.name, 'TimeoutError');
  },
);

clocked(
  'THR-913: an answer that is there in time is one, however busy JavaScript is; deliver tells the wait',
  async (t) => {
    // The server is another thread's, since this one is busy.
    const { Worker } = await import('node:worker_threads');
    const worker = new Worker(
      `const http = require('node:http');
     const { parentPort } = require('node:worker_threads');
     const server = http.createServer((request, response) => response.end('ok'));
     server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));`,
      { eval: true },
    );
    t.teardown(() => worker.terminate());
    const [port] = (await once(worker, 'message')) as [number];
    const pool = new HTTPConnectionPool('127.0.0.1', {
      retries: false,
      port,
      maxsize: 4,
      timeout: { connect: 900, read: 900, total: 900 },
    });
    t.teardown(() => pool.close({ timeout: 0 }));
    const calls = Promise.all(Array.from({ length: 4 }, () => pool.request('GET', '/')));
    await Promise.resolve();
    const until = performance.now() + 2200;
    while (performance.now() < until);
    for (const response of await calls) {
      t.is(response.data.toString(), 'ok');
      t.true((response.timings?.deliver ?? 0) > 900, `deliver ${response.timings?.deliver}`);
      within(t, (response.timings?.total ?? Infinity) < 900);
    }
  },
);

function later(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** A byte at a time until all is said or the client has gone. */
async function drip(peer: Peer, bytes: string, every: number): Promise<void> {
  for (const byte of bytes) {
    if (peer.ended) return;
    await peer.write(byte);
    await later(every);
  }
}

/** A `Retry` of the caller's own: what is overridden is asked, what it says holds, and what it does wrong ends the call. */
import test from 'ava';

import {
  HTTPConnectionPool,
  HTTPError,
  MaxRetryError,
  PoolManager,
  ProtocolError,
  ResponseError,
  Retry,
  type RetriedResponse,
  type RetryEvent,
} from '../index.ts';
import { reply, type Script } from './servers/raw.ts';
import { rejection, retrying, target } from './support/fixtures.ts';

const WAIT = { timeout: { total: 20_000 } };
const misuse = { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' };

/** `/close` ends without an answer, `/n/302` leads to `/n+1/302`, `/status` says that, and each request is noted. */
function told(seen: string[], after = ''): Script {
  return async (peer) => {
    for (;;) {
      const path = target(await peer.request());
      seen.push(path);
      if (path === '/close') return peer.end();
      const [, first, second] = path.split('/');
      const head =
        second === undefined
          ? `${first} X\r\n${after}`
          : `${second} X\r\nLocation: /${Number(first) + 1}/${second}\r\n`;
      await peer.write(reply(`answer ${seen.length}`, `HTTP/1.1 ${head}`));
    }
  };
}

/** Notes what it is asked. */
const asked: string[] = [];

class Noting extends Retry {
  override increment(method: string | null, url: string, event: RetryEvent = {}): this {
    asked.push(`increment ${method} ${event.error?.name ?? event.response?.status}`);
    return super.increment(method, url, event);
  }

  override isRetry(method: string, status: number, hasRetryAfter = false): boolean {
    asked.push(`isRetry ${method} ${status} ${hasRetryAfter}`);
    return super.isRetry(method, status, hasRetryAfter);
  }

  override getBackoffTime(): number {
    asked.push(`getBackoffTime ${this.history.length}`);
    return super.getBackoffTime();
  }

  override getRetryAfter(response: RetriedResponse): number | null {
    asked.push(`getRetryAfter ${response.headers.get('retry-after') ?? ''}`);
    return super.getRetryAfter(response);
  }
}

test.serial(
  'RETRY-06 RETRY-12 RESP-17: a subclass is asked of every event, and what is left is of its class',
  async (t) => {
    const seen: string[] = [];
    const { pool, host } = await retrying(
      t,
      async (peer) => {
        for (;;) {
          await peer.request();
          seen.push('');
          if (seen.length === 1) return peer.end();
          if (seen.length === 2) await peer.write(reply('', 'HTTP/1.1 303 X\r\nLocation: /next\r\n'));
          else if (seen.length === 3) await peer.write(reply('', 'HTTP/1.1 503 X\r\nRetry-After: 0\r\n'));
          else await peer.write(reply('well'));
        }
      },
      WAIT,
    );
    asked.length = 0;
    const retries = new Noting({ total: 5, redirect: 3, allowedMethods: ['PUT', 'GET'] });
    const response = await pool.request('PUT', '/', { body: 'b', retries });
    t.is(response.data.toString(), 'well');
    t.deepEqual(asked, [
      'increment PUT ProtocolError',
      'getBackoffTime 1',
      // As in the history: what comes next.
      'increment GET 303',
      'getRetryAfter ',
      'isRetry GET 503 true',
      'increment GET 503',
      'getRetryAfter 0',
      'getBackoffTime 3',
      'isRetry GET 200 false',
    ]);
    t.true(response.retries instanceof Noting);
    t.like(response.retries, { total: 2, redirect: 2 });
    t.deepEqual(
      response.retries?.history.map(({ method, url, error, status }) => [method, url, error?.name ?? null, status]),
      [
        ['PUT', `http://${host}/`, 'ProtocolError', null],
        ['GET', `http://${host}/`, null, 303],
        ['GET', `http://${host}/next`, null, 503],
      ],
    );
    t.like(response.retries?.history[0]?.error, { host, attempts: 1, sent: true, phase: 'headers' });
    // RETRY-04: it was made for this call alone.
    t.like(retries, { total: 5, redirect: 3, history: [] });
  },
);

test.serial('RETRY-04: of a pool or of a manager it is asked as well, and a call’s own plain one is not', async (t) => {
  const seen: string[] = [];
  const { pool, server } = await retrying(t, told(seen), { ...WAIT, retries: new Noting({ total: 1 }) });
  const manager = new PoolManager({ ...WAIT, retries: new Noting({ total: 1 }) });
  t.teardown(() => manager.close({ timeout: 0 }));
  asked.length = 0;
  t.is((await pool.request('GET', '/200')).retries, pool.retries);
  await manager.request('GET', `http://127.0.0.1:${server.port}/200`);
  t.is(asked.length, 2);
  await rejection(pool.request('GET', '/close', { retries: 1 }), MaxRetryError);
  t.is((await pool.request('GET', '/1/302', { retries: false })).status, 302);
  t.is(asked.length, 2);
});

test.serial('RETRY-04: where no method that decides is overridden, nothing of it is called', async (t) => {
  class Named extends Retry {
    readonly label = 'mine';
  }
  const seen: string[] = [];
  const { pool } = await retrying(t, told(seen), {
    ...WAIT,
    retries: new Named({ total: 2, statusForcelist: [500], backoffFactor: 1 }),
  });
  const names = ['increment', 'isRetry', 'isExhausted', 'getBackoffTime', 'parseRetryAfter', 'getRetryAfter'] as const;
  const kept = names.map((name) => Object.getOwnPropertyDescriptor(Retry.prototype, name) as PropertyDescriptor);
  const called: string[] = [];
  // Of the class itself: it is plain all the same.
  for (const name of names)
    Object.defineProperty(Retry.prototype, name, { value: () => called.push(name), configurable: true });
  try {
    await rejection(pool.request('GET', '/500'), MaxRetryError);
    await rejection(pool.request('GET', '/close'), MaxRetryError);
    await rejection(pool.request('GET', '/1/302'), MaxRetryError);
    const response = await pool.request('GET', '/200');
    t.true(response.retries instanceof Named);
    t.is((response.retries as Named).label, 'mine');
    t.like(response.retries, { total: 2, history: [] });
  } finally {
    for (const [nth, name] of names.entries())
      Object.defineProperty(Retry.prototype, name, kept[nth] as PropertyDescriptor);
  }
  t.is(seen.length, 10);
  t.deepEqual(called, []);
});

test('RETRY-06: increment decides whether an error is tried again, and what is thrown', async (t) => {
  const seen: string[] = [];
  const { pool, host } = await retrying(t, told(seen), WAIT);
  const own = new Error('mine');
  class Choosy extends Retry {
    override increment(_method: string | null, url: string, event: RetryEvent = {}): this {
      if (this.history.length === 2) throw own;
      return super.increment('GET', url, event);
    }
  }
  // POST would not be tried again by the core.
  t.is(await rejection(pool.request('POST', '/close', { body: 'b', retries: new Choosy() }), Error), own);
  t.is(seen.length, 3);

  const given = await rejection(pool.request('GET', '/close', { retries: new Noting({ total: 1 }) }), MaxRetryError);
  t.true(given.reason instanceof ProtocolError);
  t.is(given.cause, given.reason);
  for (const one of [given, given.reason as HTTPError]) {
    t.like(one, { host, phase: 'headers', attempts: 2, sent: true });
    t.true(one.elapsed > 0);
  }
  t.is(given.pool, pool);
  t.is(given.history?.length, 1);
});

test('RETRY-09 RETRY-11: what a subclass gives up on is told as the core tells it', async (t) => {
  const seen: string[] = [];
  const { pool, host } = await retrying(t, told(seen), WAIT);
  const given = await rejection(
    pool.request('GET', '/500', { retries: new Noting({ total: 1, statusForcelist: [500] }) }),
    MaxRetryError,
  );
  const plain = await rejection(
    pool.request('GET', '/500', { retries: new Retry({ total: 1, statusForcelist: [500] }) }),
    MaxRetryError,
  );
  for (const error of [given, plain]) {
    t.true(error.reason instanceof ResponseError);
    for (const one of [error, error.reason as HTTPError]) {
      t.like(one, { host, phase: 'headers', attempts: 2, sent: true });
    }
    t.is(error.history?.length, 1);
  }
  t.is(given.message, plain.message.replace(': /500', `: http://${host}/500`));
  const last = await pool.request('GET', '/500', {
    retries: new Noting({ total: 1, statusForcelist: [500], raiseOnStatus: false }),
  });
  t.deepEqual([last.status, last.data.toString(), last.retries?.history.length], [500, `answer ${seen.length}`, 1]);
  const led = await pool.request('GET', '/1/302', { retries: new Noting({ total: 2, raiseOnRedirect: false }) });
  t.is(led.url, `http://${host}/3/302`);
  t.is((await pool.request('GET', '/1/302', { retries: new Noting({ redirect: false }) })).status, 302);
  t.is((await pool.request('GET', '/1/302', { retries: new Noting({ total: false }) })).status, 302);
  t.is((await pool.request('GET', '/1/302', { retries: new Noting(), redirect: false })).status, 302);
});

test('RETRY-12: the history of a subclass has the method that came next, and its error the one that was asked with', async (t) => {
  const seen: string[] = [];
  const { pool } = await retrying(t, told(seen), WAIT);
  for (const [method, next] of [
    ['POST', 'GET'],
    ['HEAD', 'HEAD'],
  ] as const) {
    for (const type of [Noting, Retry]) {
      const led = await pool.request(method, '/1/303', { retries: new type({ total: 2, raiseOnRedirect: false }) });
      t.deepEqual(
        led.retries?.history.map((past) => past.method),
        [next, next],
        type.name,
      );
      const error = await rejection(pool.request(method, '/1/303', { retries: new type({ total: 0 }) }), MaxRetryError);
      t.deepEqual([error.method, (error.reason as HTTPError).method], [method, method], type.name);
    }
  }
});

test('REDIR-03: a chain of redirects that a subclass does not bound ends after 20', async (t) => {
  const seen: string[] = [];
  const { pool } = await retrying(t, told(seen), WAIT);
  const error = await rejection(pool.request('GET', '/1/302', { retries: new Noting({ total: null }) }), MaxRetryError);
  t.is(error.reason?.message, 'too many redirects');
  t.is(seen.length, 21);
  const last = await pool.request('GET', '/1/302', { retries: new Noting({ total: null, raiseOnRedirect: false }) });
  t.deepEqual([last.status, seen.length], [302, 42]);
  // A number is a bound, whatever it is.
  await rejection(pool.request('GET', '/1/302', { retries: new Noting({ total: 30 }) }), MaxRetryError);
  t.is(seen.length, 42 + 31);
});

test('RETRY-10: isRetry decides about any answer', async (t) => {
  const seen: string[] = [];
  class Patient extends Retry {
    override isRetry(method: string, status: number, hasRetryAfter = false): boolean {
      return status === 202 || super.isRetry(method, status, hasRetryAfter);
    }
  }
  const { pool } = await retrying(
    t,
    async (peer) => {
      for (;;) {
        seen.push(await peer.request());
        await peer.write(reply(`${seen.length}`, `HTTP/1.1 ${seen.length % 3 === 0 ? 200 : 202} X\r\n`));
      }
    },
    WAIT,
  );
  const response = await pool.request('POST', '/', { body: 'b', retries: new Patient({ total: 5 }) });
  t.deepEqual([response.status, response.data.toString(), response.attempts], [200, '3', 3]);
  t.deepEqual(
    response.retries?.history.map(({ status }) => status),
    [202, 202],
  );
  t.is(pool.numConnections, 1);
});

test('RETRY-13 RETRY-15: getBackoffTime and getRetryAfter say how long to wait', async (t) => {
  const seen: string[] = [];
  const { pool } = await retrying(t, told(seen, 'Retry-After: 3600\r\n'), WAIT);
  class Waiting extends Retry {
    override getBackoffTime(): number {
      return 120;
    }

    override getRetryAfter(): number | null {
      return this.history.length === 0 ? 80 : null;
    }
  }
  const began = performance.now();
  await rejection(pool.request('GET', '/503', { retries: new Waiting({ total: 2, status: 1 }) }), MaxRetryError);
  const once = performance.now() - began;
  // Otherwise it would be an hour.
  t.true(once >= 80 && once < 10_000, `${once}`);
  await rejection(pool.request('GET', '/close', { retries: new Waiting({ total: 2 }) }), MaxRetryError);
  const twice = performance.now() - began - once;
  t.true(twice >= 240 && twice < 10_000, `${twice}`);
});

test('RETRY-05 RETRY-15: isExhausted and parseRetryAfter are asked through the others', async (t) => {
  const seen: string[] = [];
  const { pool } = await retrying(t, told(seen, 'Retry-After: soon\r\n'), WAIT);
  class Counting extends Retry {
    override isExhausted(): boolean {
      return this.history.length > 2;
    }

    override parseRetryAfter(value: string): number {
      return value === 'soon' ? 80 : super.parseRetryAfter(value);
    }
  }
  const began = performance.now();
  await rejection(
    pool.request('GET', '/500', { retries: new Counting({ total: 0, statusForcelist: [500] }) }),
    MaxRetryError,
  );
  t.is(seen.length, 3);
  const took = performance.now() - began;
  t.true(took >= 158 && took < 10_000, `${took}`);
});

test('RETRY-04: what an override gives that is no answer ends the call, by name', async (t) => {
  const seen: string[] = [];
  const { pool } = await retrying(t, told(seen, 'Retry-After: 1\r\n'), { ...WAIT, block: true });
  const overriding = (name: string, value: () => unknown, options: object = {}): Retry => {
    class Own extends Retry {}
    Object.defineProperty(Own.prototype, name, { value });
    return new Own({ total: 5, ...options });
  };
  for (const [path, retries, message] of [
    ['/close', overriding('increment', () => undefined), /increment gives a Retry, not undefined/],
    ['/close', overriding('increment', async () => new Retry()), /increment gives a Retry, not a promise/],
    ['/500', overriding('isRetry', async () => false), /isRetry gives true or false, not a promise/],
    ['/500', overriding('isRetry', () => 'yes'), /isRetry gives true or false, not /],
    [
      '/close',
      overriding('getBackoffTime', async () => 5),
      /getBackoffTime gives a number of milliseconds, not a promise/,
    ],
    ['/close', overriding('getBackoffTime', () => '5'), /getBackoffTime gives a number of milliseconds, not /],
    ['/503', overriding('getRetryAfter', async () => 5), /getRetryAfter gives a number of milliseconds, not a promise/],
    // What it promised fails besides: that is no unhandled rejection.
    [
      '/close',
      overriding('increment', () => Promise.reject(new Error('late'))),
      /increment gives a Retry, not a promise/,
    ],
  ] as const) {
    const before = seen.length;
    const error = await t.throwsAsync(pool.request('GET', path, { retries }), { ...misuse, message });
    t.is(seen.length - before, 1, error?.message);
  }
  for (const bad of [Number.NaN, -1, Infinity]) {
    await t.throwsAsync(pool.request('GET', '/close', { retries: overriding('getBackoffTime', () => bad) }), {
      instanceOf: RangeError,
      code: 'ERR_INVALID_OPTION',
      message: /getBackoffTime gives a finite number of milliseconds from 0 on/,
    });
  }
  t.like(pool.stats(), { leased: 0, waiting: 0 });
});

test('RETRY-04 RETRY-11: what an override throws rejects the call, and gives its connection back', async (t) => {
  const seen: string[] = [];
  const { pool } = await retrying(t, told(seen), { ...WAIT, block: true });
  const own = new RangeError('mine');
  const throwing = (name: string): Retry => {
    class Own extends Retry {}
    Object.defineProperty(Own.prototype, name, {
      value: () => {
        throw own;
      },
    });
    return new Own({ total: 5, statusForcelist: [500], raiseOnStatus: false, raiseOnRedirect: false });
  };
  for (const [path, name] of [
    ['/close', 'increment'],
    ['/close', 'getBackoffTime'],
    ['/500', 'isRetry'],
    // raiseOnStatus and raiseOnRedirect are about giving up, not about faults of an override.
    ['/500', 'increment'],
    ['/1/302', 'increment'],
    ['/500', 'getBackoffTime'],
  ] as const) {
    t.is(await rejection(pool.request('GET', path, { retries: throwing(name) }), Error), own, `${path} ${name}`);
    t.like(pool.stats(), { leased: 0, waiting: 0 });
  }
  // A value that is thrown and is no error is what the call rejects with.
  class Odd extends Retry {
    override isRetry(): boolean {
      throw 'a string';
    }
  }
  t.is(await pool.request('GET', '/200', { retries: new Odd() }).catch((error: unknown) => error), 'a string');
  t.is((await pool.request('GET', '/200')).status, 200);
});

test('RETRY-09: an error of one’s own that many calls share is not rewritten by each', async (t) => {
  const seen: string[] = [];
  const { pool } = await retrying(t, told(seen), WAIT);
  const shared = Object.freeze(new HTTPError('shared', { code: 'ERR_MINE' }));
  class Sharing extends Retry {
    override increment(): this {
      throw shared;
    }
  }
  for (let nth = 0; nth < 2; nth += 1) {
    t.is(await rejection(pool.request('GET', '/close', { retries: new Sharing() }), HTTPError), shared);
  }
  t.like(shared, { host: null, attempts: 0 });
});

test('RETRY-04: an abort while a Retry is being asked ends the call with the signal’s reason', async (t) => {
  const seen: string[] = [];
  const { pool } = await retrying(t, told(seen), { ...WAIT, block: true });
  const aborter = new AbortController();
  class Aborting extends Retry {
    override increment(method: string | null, url: string, event: RetryEvent = {}): this {
      aborter.abort(new Error('enough'));
      return super.increment(method, url, event);
    }
  }
  const call = pool.request('GET', '/close', { retries: new Aborting(), signal: aborter.signal });
  await t.throwsAsync(call, { message: 'enough' });
  t.is(seen.length, 1);
  t.is((await pool.request('GET', '/200')).status, 200);
  const idle = new HTTPConnectionPool('127.0.0.1', { port: 1 });
  t.false(Retry.isPlain(new Aborting()));
  t.true(Retry.isPlain(idle.retries));
  await idle.close();
});

test('THR-607: a subclass that never counts follows no chain for ever', async (t) => {
  const seen: string[] = [];
  class Forgetful extends Retry {
    constructor(most: number) {
      super({ total: most });
    }
    override increment(): this {
      return this;
    }
  }
  for (const [most, hops] of [
    [3, 20],
    [30, 30],
  ] as const) {
    const { pool } = await retrying(t, told(seen), WAIT);
    seen.length = 0;
    const error = await rejection(pool.request('GET', '/0/302', { retries: new Forgetful(most) }), MaxRetryError);
    t.true(error.reason instanceof ResponseError);
    t.is(seen.length, hops + 1);
  }
});

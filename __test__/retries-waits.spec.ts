/** How long it is until the next attempt, and what a call holds meanwhile: nothing. Clocks are read at the server. */
import test, { type ExecutionContext } from 'ava';

import {
  ClosedPoolError,
  EmptyPoolError,
  HTTPConnectionPool,
  HTTPError,
  MaxRetryError,
  PoolManager,
  ReadTimeoutError,
  Retry,
  type RetryOptions,
} from '../index.ts';
import { start } from './support/child.ts';
import { reply, type RawServer, type Script } from './servers/raw.ts';
import { closedPort, rejection, retrying, target, type Fixture } from './support/fixtures.ts';
import { clocked, within } from './support/clocked.ts';

const WAIT = { timeout: { total: 30_000 } };
/** How late something may be on a machine that others use; never early. */
const LATE = 3000;

/** When each request arrived. */
type Arrivals = { path: string; at: number }[];

/** The nth request, over all connections, gets the nth of these: `null` is a close without an answer. */
function says(arrivals: Arrivals, ...replies: (string | null)[]): Script {
  return async (peer) => {
    for (;;) {
      arrivals.push({ path: target(await peer.request()), at: performance.now() });
      const said = replies[arrivals.length - 1];
      if (said === null) return peer.end();
      await peer.write(said ?? reply('well'));
    }
  };
}

function gaps(arrivals: Arrivals): number[] {
  return arrivals.slice(1).map(({ at }, nth) => at - (arrivals[nth] as { at: number }).at);
}

/** Each wait is as long as it should be, or later by what the machine needs. */
function waited(t: ExecutionContext, arrivals: Arrivals, ...expected: number[]): void {
  const found = gaps(arrivals);
  t.is(found.length, expected.length);
  for (const [nth, span] of expected.entries()) {
    const gap = found[nth] as number;
    t.true(gap >= span - 2 && gap < span + LATE, `wait ${nth + 1}: ${gap} ms for ${span}`);
  }
}

const SEE_OTHER = reply('', 'HTTP/1.1 302 X\r\nLocation: /next\r\n');
const asksFor = (value: string, status = 503): string =>
  reply('', `HTTP/1.1 ${status} X\r\nRetry-After: ${value}\r\n${status < 400 ? 'Location: /next\r\n' : ''}`);

clocked('RETRY-13 THR-1213: the first retry is at once, each further one waits twice as long', async (t) => {
  const arrivals: Arrivals = [];
  const { pool } = await retrying(t, says(arrivals, null, null, null, null), WAIT);
  const response = await pool.request('GET', '/', { retries: new Retry({ total: 5, backoffFactor: 100 }) });
  t.is(response.attempts, 5);
  waited(t, arrivals, 0, 200, 400, 800);
  within(t, (gaps(arrivals)[0] as number) < 200, 'the first retry waited');
  // All phases are the last attempt's, but for the whole.
  const { pool: queued, connect, headers, total } = response.timings ?? {};
  t.true((total ?? 0) >= 1_398);
  for (const span of [queued, connect, headers]) within(t, (span ?? 0) < 1_000, `${span}`);
});

test.serial('RETRY-13 THR-1213: statuses wait as well, backoffMax caps, backoffMin holds from the first', async (t) => {
  const arrivals: Arrivals = [];
  const bad = reply('', 'HTTP/1.1 500 X\r\n');
  const { pool } = await retrying(t, says(arrivals, bad, bad, null), WAIT);
  const options: RetryOptions = { backoffFactor: 3_600_000, backoffMax: 150, backoffMin: 60, statusForcelist: [500] };
  await pool.request('GET', '/', { retries: new Retry(options) });
  waited(t, arrivals, 60, 150, 150);
});

clocked('RETRY-13 THR-1213: jitter spreads them, and never beyond backoffMax', async (t) => {
  const spans: number[] = [];
  const { pool } = await retrying(t, async (peer) => peer.end(await peer.request().then(() => '')), {
    ...WAIT,
    maxsize: 20,
  });
  const retries = new Retry({ total: 2, backoffJitter: 1_500, backoffMax: 1_000 });
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      spans.push((await rejection(pool.request('GET', '/', { retries }), MaxRetryError)).elapsed);
    }),
  );
  spans.sort((a, b) => a - b);
  within(t, (spans.at(-1) as number) < 1_000 + LATE);
  // A third of them would be at the cap, and two never together.
  within(t, (spans.at(-1) as number) - (spans[0] as number) > 20, spans.join(' '));
});

clocked('RETRY-13 REDIR-03: a redirect waits for nothing, and the count starts again', async (t) => {
  const arrivals: Arrivals = [];
  const { pool } = await retrying(t, says(arrivals, null, null, SEE_OTHER, null, null), WAIT);
  const response = await pool.request('GET', '/', { retries: new Retry({ backoffFactor: 100 }) });
  t.is(response.retries?.history.length, 5);
  waited(t, arrivals, 0, 200, 0, 0, 200);
  for (const nth of [0, 2, 3]) within(t, (gaps(arrivals)[nth] as number) < 190, `wait ${nth + 1}`);
});

const HOUR = 3_600_000;
const inAnHour = (): Date => new Date(Date.now() + HOUR);
const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];

/** RFC 9110 §5.6.7: the three forms of a date. */
function forms(date: Date): string[] {
  const imf = date.toUTCString();
  const [, day, month, year, time] = imf.split(/,? /) as [string, string, string, string, string];
  const weekday = DAYS[date.getUTCDay()] as string;
  return [
    imf,
    `${weekday}, ${day}-${month}-${year.slice(2)} ${time} GMT`,
    `${weekday.slice(0, 3)} ${month} ${String(Number(day)).padStart(2)} ${time} ${year}`,
  ];
}

clocked('RETRY-15 WART-02 THR-1212: Retry-After in all its forms, capped; garbage leaves the back-off', async (t) => {
  const most = 1_000;
  const cases: [value: string, waits: boolean][] = [
    ['1', true],
    [' 3600 ', true],
    ['1000000000000', true],
    ['9'.repeat(400), true],
    ...forms(inAnHour()).map((form): [string, boolean] => [form, true]),
    [inAnHour().toUTCString().replace(' GMT', ''), true],
    ['0', false],
    ...forms(new Date(Date.now() - HOUR)).map((form): [string, boolean] => [form, false]),
    ...['-1', '+5', '1.5', 'soon', '', '1e3', '0x10', '１', '5, 5', 'Mon, 99 Jun 2999 00:00:00 GMT'].map(
      (form): [string, boolean] => [form, false],
    ),
  ];
  const arrived = new Map<string, number[]>();
  const { pool } = await retrying(
    t,
    async (peer) => {
      for (;;) {
        const path = target(await peer.request());
        const times = arrived.get(path) ?? [];
        arrived.set(path, [...times, performance.now()]);
        const value = Buffer.from(cases[Number(path.slice(1))]?.[0] ?? '').toString('latin1');
        await peer.write(times.length > 0 ? reply('well') : asksFor(value));
      }
    },
    { ...WAIT, maxsize: cases.length },
  );
  const retries = new Retry({ total: 1, retryAfterMax: most, statusForcelist: [503] });
  await Promise.all(
    cases.map(async ([value, waits], nth) => {
      const response = await pool.request('GET', `/${nth}`, { retries });
      t.is(response.data.toString(), 'well', value);
      const [first = 0, second = 0] = arrived.get(`/${nth}`) ?? [];
      const gap = second - first;
      t.is(gap >= most - 2, waits, `${value}: ${gap} ms`);
      within(t, gap < most + LATE, `${value}: ${gap} ms`);
    }),
  );
});

clocked('RETRY-15: Retry-After takes the place of the back-off; one of 0 leaves it', async (t) => {
  const arrivals: Arrivals = [];
  const { pool } = await retrying(t, says(arrivals, null, asksFor('3600', 429), asksFor('0', 413)), WAIT);
  const retries = new Retry({ backoffFactor: 200, retryAfterMax: 30, backoffMax: 400 });
  await pool.request('GET', '/', { retries });
  waited(t, arrivals, 0, 30, 400);
  within(t, (gaps(arrivals)[1] as number) < 400, 'the back-off was added');
});

for (const kind of ['pool', 'manager'] as const) {
  clocked(`RETRY-16 WART-02: a ${kind} heeds a redirect's Retry-After, as respectRetryAfterHeader says`, async (t) => {
    for (const respects of [true, false]) {
      const arrivals: Arrivals = [];
      const { server } = await retrying(t, says(arrivals, asksFor('3600', 302)));
      const client =
        kind === 'pool' ? new HTTPConnectionPool('127.0.0.1', { port: server.port, ...WAIT }) : new PoolManager(WAIT);
      t.teardown(() => client.close({ timeout: 0 }));
      const retries = new Retry({ retryAfterMax: 500, respectRetryAfterHeader: respects, backoffMin: 500 });
      const response = await client.request('GET', `http://127.0.0.1:${server.port}/`, { retries });
      t.is(response.url, `http://127.0.0.1:${server.port}/next`);
      const gap = gaps(arrivals)[0] as number;
      // No back-off either: a redirect is no failure.
      t.is(gap >= 498, respects, `${gap} ms`);
    }
  });
}

/** A blocking pool with one slot, whose first request waits for its next attempt while others are answered. */
async function waiting(
  t: ExecutionContext,
  first: string | null,
  ...later: string[]
): Promise<Fixture<RawServer> & { arrivals: Arrivals }> {
  const arrivals: Arrivals = [];
  const fixture = await retrying(t, says(arrivals, first, ...later), { ...WAIT, block: true });
  return { ...fixture, arrivals };
}

/** Until the first answer has been judged and nothing is held any more. */
async function resting({ pool }: { pool: HTTPConnectionPool }): Promise<void> {
  while (pool.numRequests === 0 || pool.stats().leased > 0) await new Promise((resolve) => setImmediate(resolve));
}

for (const [what, first] of [
  ['an answer', asksFor('3')],
  ['an error', null],
] as const) {
  test.serial(
    `RETRY-15 POOL-12 POOL-21: after ${what}, a call that waits for its next attempt holds no slot`,
    async (t) => {
      const fixture = await waiting(t, first);
      const { pool, arrivals } = fixture;
      const late = pool.request('GET', '/late', { retries: new Retry({ backoffMin: 3_000 }) });
      await resting(fixture);
      // All that follows has to happen before it is sent again.
      t.like(pool.stats(), { leased: 0, waiting: 0, idle: first === null ? 0 : 1 });
      for (let nth = 0; nth < 3; nth += 1) t.is((await pool.request('GET', `/${nth}`)).data.toString(), 'well');
      t.is((await late).data.toString(), 'well');
      t.deepEqual(
        arrivals.map(({ path }) => path),
        ['/late', '/0', '/1', '/2', '/late'],
      );
      // POOL-21: what was not given was read to its end, and its connection served everybody.
      t.is(pool.numConnections, first === null ? 2 : 1);
    },
  );
}

test.serial('THR-908 THR-1212: total cuts a wait for the next attempt, unwrapped, and counts it', async (t) => {
  for (const first of [asksFor('3600'), asksFor('3600', 302), null]) {
    const { pool, arrivals } = await waiting(t, first);
    const began = performance.now();
    const retries = new Retry({ backoffMin: HOUR, backoffMax: HOUR });
    const call = pool.request('GET', '/', { timeout: { total: 600 }, retries });
    const error = await rejection(call, ReadTimeoutError);
    const took = performance.now() - began;
    t.true(took >= 598 && took < 600 + LATE, `${took} ms`);
    t.like(error, { code: 'ERR_TOTAL_TIMEOUT', phase: 'total', during: 'pool', sent: true });
    t.regex(error.message, /total=600 ms \(cut while it waited for the next attempt\)$/);
    t.is(error.attempts, first === asksFor('3600', 302) ? 0 : 1);
    t.true(error.elapsed >= 598);
    t.is(error.history?.length, 1);
    if (first === null) t.like(error.history?.[0]?.error, { code: 'ERR_PROTOCOL', attempts: 1, sent: true });
    t.is(arrivals.length, 1);
    t.like(pool.stats(), { leased: 0, waiting: 0, errors: { ERR_TOTAL_TIMEOUT: 1 } });
  }
});

test.serial('THR-908: of a wait after a connection that was refused total says the same', async (t) => {
  const pool = new HTTPConnectionPool('127.0.0.1', { port: await closedPort(t) });
  t.teardown(() => pool.close());
  const retries = new Retry({ backoffMin: HOUR, backoffMax: HOUR });
  const error = await rejection(pool.request('GET', '/', { timeout: { total: 700 }, retries }), ReadTimeoutError);
  t.like(error, { code: 'ERR_TOTAL_TIMEOUT', phase: 'total', during: 'pool', sent: false, attempts: 0 });
  t.regex(error.message, /total=700 ms \(cut while it waited for the next attempt\)$/);
  t.is(error.history?.length, 1);
});

test.serial(
  'THR-908 TIME-05: total is one deadline over attempts, back-off and redirects; read begins anew',
  async (t) => {
    // A server for each call: where one was cut off is nothing to the next.
    const begun = async (): Promise<{ pool: HTTPConnectionPool; seen: string[] }> => {
      const seen: string[] = [];
      const { pool } = await retrying(t, async (peer) => {
        for (;;) {
          const path = target(await peer.request());
          seen.push(path);
          await new Promise((resolve) => setTimeout(resolve, 200));
          if (path === '/hang-up') {
            if (seen.filter((one) => one === path).length % 3 > 0) return peer.end();
            await peer.write(reply('', 'HTTP/1.1 302 X\r\nLocation: /ask\r\n'));
          } else if (path === '/ask') {
            await peer.write(
              seen.at(-2) === path ? reply('', 'HTTP/1.1 302 X\r\nLocation: /end\r\n') : asksFor('3600'),
            );
          } else await peer.write(reply('the end'));
        }
      });
      return { pool, seen };
    };
    const retries = new Retry({ backoffFactor: 50, retryAfterMax: 100 });
    // Six exchanges of 200 ms each, waits of 0, 100 and 100: no attempt takes as long as `read`, all of them take longer.
    const { pool: first, seen } = await begun();
    const whole = await first.request('GET', '/hang-up', { retries, timeout: { read: 1_200, total: 20_000 } });
    t.is(whole.data.toString(), 'the end');
    t.is(seen.length, 6);
    t.true((whole.timings?.total ?? 0) >= 1_390);
    for (const total of [900, 1_300]) {
      const { pool } = await begun();
      const call = pool.request('GET', '/hang-up', { retries, timeout: { total, read: 1_200 } });
      const error = await rejection(call, ReadTimeoutError);
      t.like(error, { code: 'ERR_TOTAL_TIMEOUT', phase: 'total' });
      t.true(error.elapsed >= total - 2 && error.elapsed < total + LATE);
      t.true((error.history?.length ?? 0) >= 1);
    }
  },
);

test.serial(
  'TIME-04 TIME-05: a read time-out is of each attempt, and the call’s own replaces the pool’s',
  async (t) => {
    let served = 0;
    const { pool } = await retrying(
      t,
      async (peer) => {
        await peer.request();
        served += 1;
        if (served % 3 !== 0) return peer.gone();
        await peer.write(reply('third'));
      },
      { timeout: { read: 600, total: 20_000 } },
    );
    const began = performance.now();
    const first = await pool.request('GET', '/', { headers: { Connection: 'close' } });
    t.is(first.data.toString(), 'third');
    t.true(performance.now() - began >= 1_198);
    const again = performance.now();
    // The third is answered, for which it needs its time.
    const timeout = { read: 800, total: 20_000 };
    t.is((await pool.request('GET', '/', { timeout })).data.toString(), 'third');
    const took = performance.now() - again;
    t.true(took >= 1_598 && took < 1_600 + LATE, `${took} ms`);
  },
);

test.serial('TIME-12: each attempt waits for a connection anew, under the whole of poolTimeout', async (t) => {
  const fixture = await waiting(t, asksFor('3'), 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
  const { pool, server } = fixture;
  const late = pool.request('GET', '/late', { poolTimeout: 300 });
  await resting(fixture);
  const held = await pool.request('GET', '/held', { preloadContent: false });
  // Three seconds in the back-off are no time in the queue; in the queue behind `held` it is.
  const error = await rejection(late, EmptyPoolError);
  t.true(error.elapsed >= 3_298, `${error.elapsed} ms`);
  t.like(error, { phase: 'pool', attempts: 1, sent: true });
  held.close();
  t.is(server.peers.length, 1);
});

clocked('THR-912 RETRY-15: an abort ends a wait at once, and nothing is sent any more', async (t) => {
  const fixture = await waiting(t, asksFor('1'));
  const { pool, arrivals } = fixture;
  const aborter = new AbortController();
  const call = pool.request('GET', '/', { signal: aborter.signal });
  await resting(fixture);
  const began = performance.now();
  aborter.abort(new Error('enough'));
  await t.throwsAsync(call, { message: 'enough' });
  within(t, performance.now() - began < 500);
  t.like(pool.stats(), { leased: 0, waiting: 0, idle: 1 });
  // Past the moment at which it would have been sent.
  t.is((await pool.request('GET', '/other', { retries: new Retry({ backoffMin: 1_000 }) })).status, 200);
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  t.deepEqual(
    arrivals.map(({ path }) => path),
    ['/', '/other'],
  );
});

clocked(
  'RETRY-20 POOL-10: a call that waits for its next attempt rejects when its pool is closed, at once',
  async (t) => {
    const fixture = await waiting(t, asksFor('3600'));
    const { pool } = fixture;
    const call = pool.request('GET', '/');
    const failed = rejection(call, ClosedPoolError);
    await resting(fixture);
    const began = performance.now();
    await pool.close();
    const error = await failed;
    within(t, performance.now() - began < 1_000);
    t.like(error, { phase: 'pool', attempts: 1, sent: true });
    t.true(error instanceof HTTPError);
  },
);

for (const [way, code] of [
  ['abort', 'ENOUGH'],
  ['total', 'ERR_TOTAL_TIMEOUT'],
  ['close', 'ERR_POOL_CLOSED'],
] as const) {
  clocked(`THR-1103: no timer of a wait that was ended by ${way} holds the process`, async (t) => {
    const { server } = await retrying(t, async (peer) => {
      await peer.request();
      await peer.write(asksFor('3600'));
      await peer.gone();
    });
    const ended = await start('backs-off.ts', [server.port, way]).ended;
    t.deepEqual([ended.code, ended.signal, ended.lines, ended.stderr], [0, null, ['waits', code], '']);
    within(t, ended.lingered < 2_000, `${ended.lingered} ms`);
  });
}

clocked('RETRY-05 RETRY-13: endless retries of what fails at once leave every other call its turn', async (t) => {
  const { pool: other } = await retrying(t, async (peer) => {
    for (;;) {
      await peer.request();
      await peer.write(reply('served'));
    }
  });
  // A path that is no socket fails without any wait: nothing but the loop itself could give way.
  const nowhere = new HTTPConnectionPool('localhost', {
    unixSocket: '/nowhere/at/all',
    retries: new Retry({ total: null }),
  });
  const signal = AbortSignal.timeout(1_000);
  const endless = nowhere.request('GET', '/', { signal }).catch((error: unknown) => error);
  let served = 0;
  while (!signal.aborted) served += (await other.request('GET', '/', WAIT)).status === 200 ? 1 : 0;
  t.is(await endless, signal.reason);
  within(t, served > 10, `${served}`);
  await nowhere.close();
});

test.serial('THR-1212 THR-1213: a wait longer than any clock has is waited for, and is not none', async (t) => {
  const cases: [options: RetryOptions, replies: (string | null)[], asked: number][] = [
    [{ retryAfterMax: 1e300 }, [asksFor('9999999999999999')], 1],
    [{ retryAfterMax: 1e300 }, [asksFor('9999999999999999', 302)], 1],
    [{ backoffFactor: 1e300, backoffMax: 1e300 }, [null, null, null], 2],
    [{ backoffMin: 1e15, backoffMax: 1e300 }, [null, null], 1],
  ];
  class Own extends Retry {
    override isRetry(method: string, status: number, hasRetryAfter?: boolean): boolean {
      return super.isRetry(method, status, hasRetryAfter);
    }
  }
  const tried = async (of: typeof Retry, [options, replies, asked]: (typeof cases)[number]): Promise<void> => {
    const arrivals: Arrivals = [];
    const { pool } = await retrying(t, says(arrivals, ...replies), WAIT);
    const call = pool.request('GET', '/', {
      retries: new of({ total: 5, ...options }),
      // What comes before the wait has to be over within that time.
      timeout: { total: 1_500 },
    });
    t.is((await rejection(call, HTTPError)).code, 'ERR_TOTAL_TIMEOUT', JSON.stringify(options));
    t.is(arrivals.length, asked, JSON.stringify(options));
  };
  await Promise.all([Retry, Own].flatMap((of) => cases.map((one) => tried(of, one))));
});

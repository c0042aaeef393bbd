/** What only the caller can answer: a gate before each attempt, an address, whether the body is wanted. */
import test from 'ava';

import { PoolManager, Retry, SKIP_HEADER, type AttemptInfo, type HTTPError } from '../index.ts';
import { answers, reply } from './servers/raw.ts';
import { closedPort, scripted } from './support/fixtures.ts';
import { outcome as child } from './support/child.ts';
import { codeOf, leads, pastOf, reasonOf, THROWN, turn, world } from './support/origins.ts';

const OK = reply('end');
const BUSY = reply('', 'HTTP/1.1 503 Busy\r\n');
// beforeAttempt

test('beforeAttempt is asked before each attempt of each hop, and told what is about to be done', async (t) => {
  const seen: (Omit<AttemptInfo, 'headers' | 'error'> & {
    error: unknown;
    sent: number;
    own: string | null | undefined;
  })[] = [];
  let nth = 0;
  const one = await world(
    t,
    {
      'a.example': () =>
        (nth += 1) === 1 ? BUSY : nth === 2 ? leads('http://b.example/x?y', 303) : leads('/end', 307),
      'b.example': ({ target, peer }) => {
        if (target === '/end') return OK;
        if (one.asked.filter(({ origin }) => origin === 'b.example').length > 1) return leads('/end');
        peer.reset();
        return null;
      },
    },
    {
      retries: new Retry({ total: 9, statusForcelist: [503], allowedMethods: null }),
      beforeAttempt({ number, hop, method, url, headers, error }) {
        seen.push({
          number,
          hop,
          method,
          url,
          error: codeOf(error),
          sent: one.asked.length,
          own: headers.get('x-own'),
        });
      },
    },
  );
  const response = await one.manager.request('POST', 'http://a.example/0', { body: 'b', headers: { 'X-Own': '1' } });
  t.is(response.url, 'http://b.example/end');
  t.deepEqual(
    seen.map(({ number, hop, method, url, sent }) => [number, hop, method, url, sent]),
    [
      [1, 0, 'POST', 'http://a.example/0', 0],
      [2, 0, 'POST', 'http://a.example/0', 1],
      [1, 1, 'GET', 'http://b.example/x?y', 2],
      [2, 1, 'GET', 'http://b.example/x?y', 3],
      [1, 2, 'GET', 'http://b.example/end', 4],
    ],
  );
  t.deepEqual(
    seen.map(({ error }) => (error === undefined ? null : 'error')),
    [null, null, null, 'error', null],
  );
  t.deepEqual(
    seen.map(({ own }) => own),
    ['1', '1', '1', '1', '1'],
  );
});

test('beforeAttempt counts an attempt that got no connection, as it counts those that did; an error counts the latter', async (t) => {
  const port = await closedPort(t);
  const numbers: number[] = [];
  const retries = new Retry({ total: 3 });
  const beforeAttempt = ({ number }: AttemptInfo): unknown => numbers.push(number);
  for (const [url, options, attempts] of [
    [`http://127.0.0.1:${port}/`, {}, 0],
    ['http://no.such.invalid/', { resolve: () => [`127.0.0.1:${port}`] }, 0],
    ['http://a.example/', { proxy: `http://127.0.0.1:${port}` }, 0],
  ] as const) {
    const manager = new PoolManager({ retries, beforeAttempt, ...options });
    const error = await reasonOf(manager.request('GET', url));
    await manager.close();
    t.is(codeOf(error), 'ERR_MAX_RETRY', url);
    t.deepEqual(numbers.splice(0), [1, 2, 3, 4], url);
    t.is((error as HTTPError).attempts, attempts, url);
  }
  // Some of either kind, and a hop behind them: `resolve` leads to nobody at first.
  let asked = 0;
  let nth = 0;
  const one = await world(t, {
    'a.example': () => {
      nth += 1;
      return nth === 1 ? BUSY : leads('http://b.example/', 302);
    },
    'b.example': () => OK,
  });
  const manager = new PoolManager({
    retries: new Retry({ total: 9, statusForcelist: [503] }),
    beforeAttempt,
    resolve: (host) => {
      asked += 1;
      return asked < 3 ? `127.0.0.1:${port}` : (one.resolve[host] ?? null);
    },
  });
  t.is((await manager.request('GET', 'http://a.example/')).status, 200);
  await manager.close();
  t.deepEqual(numbers, [1, 2, 3, 4, 1]);
});

test('beforeAttempt changes the headers of its attempt alone', async (t) => {
  let nth = 0;
  const one = await world(
    t,
    { 'a.example': ({ target }) => (target === '/0' ? leads('/1') : OK) },
    {
      headers: { 'X-Usual': 'u' },
      beforeAttempt({ headers }) {
        nth += 1;
        if (nth % 2 === 0) return;
        headers.set('Authorization', 'Bearer fresh');
        headers.add('X-Twice', 'a');
        headers.add('X-Twice', 'b');
        headers.delete('x-usual');
      },
    },
  );
  for (let round = 0; round < 2; round += 1) await one.manager.request('GET', 'http://a.example/0');
  t.deepEqual(
    one.asked.map((asked) => [asked.all('authorization'), asked.all('x-twice'), asked.all('x-usual')]),
    [
      [['Bearer fresh'], ['a', 'b'], []],
      [[], [], ['u']],
      [['Bearer fresh'], ['a', 'b'], []],
      [[], [], ['u']],
    ],
  );
});

test('HDR-03: beforeAttempt leaves out what SKIP_HEADER names, alone or beside other changes, and what the request left out', async (t) => {
  for (const [change, headers, left] of [
    [{ 'User-Agent': SKIP_HEADER }, {}, { 'user-agent': [], 'x-a': [] }],
    [{ 'User-Agent': SKIP_HEADER, 'X-A': '1' }, {}, { 'user-agent': [], 'x-a': ['1'] }],
    [{ 'X-A': '1' }, { 'User-Agent': SKIP_HEADER }, { 'user-agent': [], 'x-a': ['1'] }],
    [{ 'user-agent': 'own' }, { 'User-Agent': SKIP_HEADER }, { 'user-agent': ['own'], 'x-a': [] }],
  ] as const) {
    const one = await world(
      t,
      { 'a.example': () => OK },
      { beforeAttempt: (attempt) => attempt.headers.update(change as Record<string, string>) },
    );
    await one.manager.request('GET', 'http://a.example/', { headers });
    const [asked] = one.asked;
    t.deepEqual({ 'user-agent': asked?.all('user-agent'), 'x-a': asked?.all('x-a') }, left as never);
  }
  const one = await world(
    t,
    { 'a.example': () => OK },
    { beforeAttempt: ({ headers }) => headers.set('X-A', SKIP_HEADER) },
  );
  t.is(codeOf(await reasonOf(one.manager.request('GET', 'http://a.example/'))), 'ERR_INVALID_HEADER');
});

test('beforeAttempt: what it writes into the headers is judged as every header is', async (t) => {
  for (const [name, value, code] of [
    ['X-A', 'a\r\nX-Injected: 1', 'ERR_INVALID_HEADER'],
    ['X A', 'a', 'ERR_INVALID_HEADER'],
    ['X-A', '\u20ac', 'ERR_INVALID_HEADER'],
    ['TE', 'trailers', 'ERR_INVALID_HEADER'],
    ['Content-Length', '7', 'ERR_INVALID_HEADER'],
  ] as const) {
    const one = await world(t, { 'a.example': () => OK }, { beforeAttempt: ({ headers }) => headers.set(name, value) });
    t.is(
      codeOf(await reasonOf(one.manager.request('POST', 'http://a.example/', { body: 'b' }))),
      code,
      `${name}: ${value}`,
    );
    t.is(one.asked.length, 0);
    t.is(one.manager.stats().leased, 0);
  }
});

test('beforeAttempt: what it throws, now or later, is what the call rejects with, and nothing is sent', async (t) => {
  for (const thrown of THROWN) {
    for (const beforeAttempt of [
      () => {
        throw thrown;
      },
      () => Promise.reject(thrown),
      async () => {
        await turn();
        throw thrown;
      },
    ]) {
      const one = await world(t, { 'a.example': () => OK }, { beforeAttempt, retries: 5 });
      t.is(await reasonOf(one.manager.request('GET', 'http://a.example/')), thrown);
      t.is(one.asked.length, 0);
    }
  }
});

test('beforeAttempt that throws at the second hop ends the call there, with the connection kept', async (t) => {
  const why = new Error('not there');
  const one = await world(
    t,
    { 'a.example': () => leads('/1') },
    {
      beforeAttempt({ hop }) {
        if (hop === 1) throw why;
      },
    },
  );
  t.is(await reasonOf(one.manager.request('GET', 'http://a.example/0')), why);
  t.is(one.asked.length, 1);
  t.deepEqual([one.manager.stats().idle, one.manager.stats().leased], [1, 0]);
});

test('THR-1220: beforeAttempt that never answers: total, an abort and a close end the call, and its signal says so', async (t) => {
  const signals: AbortSignal[] = [];
  const one = await world(
    t,
    { 'a.example': () => OK },
    {
      beforeAttempt(_, signal) {
        signals.push(signal);
        return new Promise(() => undefined);
      },
    },
  );
  const url = 'http://a.example/';
  // It has to be asked within that time.
  const late = one.manager.request('GET', url, { timeout: { total: 700 } as never });
  t.is(codeOf(await reasonOf(late)), 'ERR_TOTAL_TIMEOUT');
  t.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true],
  );

  const cut = new AbortController();
  const aborted = one.manager.request('GET', url, { signal: cut.signal });
  while (signals.length < 2) await turn();
  t.false(signals[1]?.aborted);
  const why = new Error('enough');
  cut.abort(why);
  t.is(await reasonOf(aborted), why);
  t.true(signals[1]?.aborted);

  const open = one.manager.request('GET', url);
  while (signals.length < 3) await turn();
  t.deepEqual([one.asked.length, one.manager.stats().leased], [0, 0]);
  await one.manager.close();
  t.is(codeOf(await reasonOf(open)), 'ERR_POOL_CLOSED');
  t.true(signals[2]?.aborted);
});

test('THR-1220: a close ends whatever question is open: the free ones at once, those that hold a connection with its time', async (t) => {
  const never = (): Promise<never> => new Promise(() => undefined);
  const worlds = {
    jar: { jar: { getCookieString: never, setCookie: never } },
    stored: { jar: { getCookieString: () => '', setCookie: never } },
    gate: { beforeAttempt: never },
    resolve: { resolve: never },
  };
  for (const [name, options] of Object.entries(worlds)) {
    const said = new Promise<void>((resolve) => {
      for (const [key, own] of Object.entries(options as Record<string, unknown>)) {
        const jar = own as Record<string, unknown>;
        if (key === 'jar')
          for (const method of ['getCookieString', 'setCookie']) {
            const inner = jar[method] as (...args: unknown[]) => unknown;
            jar[method] = (...args: unknown[]) => {
              if (inner === never) resolve();
              return inner(...args);
            };
          }
        else
          (options as Record<string, unknown>)[key] = () => {
            resolve();
            return never();
          };
      }
    });
    const one = await world(
      t,
      { 'a.example': () => 'HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n' },
      options,
    );
    const open = one.manager.request('GET', 'http://a.example/');
    await said;
    const report = await one.manager.close({ timeout: 0 });
    t.is(codeOf(await reasonOf(open)), 'ERR_POOL_CLOSED', name);
    t.is(report.forced, name === 'stored' || name === 'resolve' ? 1 : 0, name);
  }
});

test('beforeAttempt: a signal of a call that went well is aborted when it is over, and not before', async (t) => {
  const signals: AbortSignal[] = [];
  const one = await world(
    t,
    { 'a.example': ({ target }) => (target === '/0' ? leads('/1') : OK) },
    { beforeAttempt: (_, signal) => void signals.push(signal) },
  );
  const states: boolean[] = [];
  await one.manager.request('GET', 'http://a.example/0', {
    accept() {
      states.push(...signals.map(({ aborted }) => aborted));
      return true;
    },
  });
  t.is(signals.length, 2);
  t.is(signals[0], signals[1]);
  t.true(signals[0]?.aborted);
});

test('beforeAttempt: an answer that comes after the end is nobodys, and the next call is not disturbed', async (t) => {
  const releases: (() => void)[] = [];
  const one = await world(
    t,
    { 'a.example': ({ target }) => reply(target) },
    { beforeAttempt: () => new Promise<void>((resolve) => releases.push(resolve)) },
  );
  const ask = (path: string, options = {}) => one.manager.request('GET', `http://a.example${path}`, options);
  // The gate has to be asked within that time.
  await reasonOf(ask('/late', { timeout: { total: 700 } as never }));
  const next = ask('/next');
  while (releases.length < 2) await turn();
  releases[0]?.();
  for (let n = 0; n < 20; n += 1) await turn();
  t.is(one.asked.length, 0);
  releases[1]?.();
  t.is((await next).data.toString(), '/next');
  t.deepEqual(one.asked.map(String), ['GET a.example/next']);
});

test('beforeAttempt: a hundred calls at once, answered in any order, get each its own', async (t) => {
  const one = await world(
    t,
    { 'a.example': (asked) => reply(`${asked.target} ${asked.all('x-n')[0]}`) },
    {
      async beforeAttempt({ url, headers }) {
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
        headers.set('X-N', new URL(url).pathname.slice(1));
      },
    },
  );
  const texts = await Promise.all(
    Array.from({ length: 100 }, async (_, n) => (await one.manager.request('GET', `http://a.example/${n}`)).text()),
  );
  t.deepEqual(
    texts,
    Array.from({ length: 100 }, (_, n) => `/${n} ${n}`),
  );
});

test('beforeAttempt may make calls of its own, through another manager or a pool', async (t) => {
  const tokens = await scripted(t, answers(reply('token')));
  const one = await world(
    t,
    { 'a.example': (asked) => reply(asked.all('authorization').join()) },
    {
      async beforeAttempt({ headers }) {
        headers.set('Authorization', (await tokens.pool.request('GET', '/token')).text());
      },
    },
  );
  t.is((await one.manager.request('GET', 'http://a.example/')).text(), 'token');
  for (const bad of [1, 'x', {}, [], true]) {
    t.throws(() => new PoolManager({ beforeAttempt: bad as never }), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_OPTION',
    });
  }
});

// accept, and what is a whole process's

test('accept is asked about the answer alone, after the redirects and retries before it', async (t) => {
  const heads: unknown[] = [];
  let nth = 0;
  const one = await world(
    t,
    { 'a.example': ({ target }) => ((nth += 1) === 1 ? BUSY : target === '/0' ? leads('/1#f') : OK) },
    { retries: new Retry({ total: 5, statusForcelist: [503] }) },
  );
  for (const wanted of [true, false]) {
    const response = await one.manager.request('GET', 'http://a.example/0', {
      accept({ status, url }) {
        heads.push([status, url]);
        return wanted;
      },
    });
    t.deepEqual([response.accepted, response.data.toString()], [wanted, wanted ? 'end' : '']);
    t.is(pastOf(response).length, wanted ? 2 : 1);
  }
  t.deepEqual(heads, [
    [200, 'http://a.example/1'],
    [200, 'http://a.example/1'],
  ]);
  // Where a redirect is returned, it is the answer.
  await one.manager.request('GET', 'http://a.example/0', {
    retries: false,
    accept: ({ status }) => heads.push(status) > 0,
  });
  t.is(heads.at(-1), 302);
  for (const thrown of THROWN) {
    const accept = (): boolean => {
      throw thrown;
    };
    t.is(await reasonOf(one.manager.request('GET', 'http://a.example/0', { accept })), thrown);
  }
});

test.serial('THR-1220: a process with a question that nobody answers ends with its call, and exits', async (t) => {
  for (const kind of ['gate-total', 'gate-abort', 'resolve-connect', 'jar-total', 'worker']) {
    const seen = await child<{ ended: string }>('questions.ts', [kind]);
    t.true(
      ['ERR_TOTAL_TIMEOUT', 'AbortError', 'ERR_CONNECT_TIMEOUT', 'terminated'].includes(seen.ended),
      `${kind}: ${seen.ended}`,
    );
  }
});

test('a manager that is collected while its questions are open answers them, and goes with the last of its calls', async (t) => {
  const seen = await child<{ texts: string[]; collected: boolean; open: number }>('questions.ts', ['collected'], {
    node: ['--expose-gc', '--no-warnings'],
  });
  t.deepEqual(
    seen.texts,
    Array.from({ length: 8 }, (_, n) => `/${n} ${n} j=${n}`),
  );
  t.true(seen.collected);
  t.is(seen.open, 0);
});

// Answers of any size

test('THR-123 THR-1015: an answer of any size arrives whole: a server that fills a jar ends nobody’s requests', async (t) => {
  const kept: string[] = [];
  const jar = {
    getCookieString: () => kept.join('; '),
    setCookie: (line: string) => void kept.push(line),
  };
  // Two heads full of cookies are more than a batch of submissions holds.
  const flood = Array.from({ length: 100 }, (_, n) => `Set-Cookie: c${n}=${'x'.repeat(400)}\r\n`).join('');
  const { manager, asked } = await world(
    t,
    {
      'a.example': ({ target }) =>
        target === '/end' ? OK : `HTTP/1.1 200 OK\r\n${flood}Content-Length: 0\r\nConnection: close\r\n\r\n`,
    },
    { jar, retries: false },
  );
  for (let n = 0; n < 4; n += 1) await manager.request('GET', 'http://a.example/fill');
  t.true(kept.join('; ').length > 2 * 65_536);
  t.is((await manager.request('GET', 'http://a.example/end')).text(), 'end');
  t.deepEqual(asked.at(-1)?.all('cookie'), [kept.join('; ')]);
  const { manager: addressed } = await world(
    t,
    { 'a.example': () => OK },
    { resolve: () => Array.from({ length: 9_000 }, () => '127.0.0.1:1'), retries: false },
  );
  t.is(await endOf(addressed.request('GET', 'http://a.example/')), 'ECONNREFUSED');
});

test('a gate’s header that has no bytes is refused by its name, half a surrogate pair too', async (t) => {
  for (const value of ['\ud800', '€']) {
    const { manager } = await world(
      t,
      { 'a.example': () => OK },
      { beforeAttempt: ({ headers }) => headers.set('X-A', value) },
    );
    t.is(await endOf(manager.request('GET', 'http://a.example/')), 'ERR_INVALID_HEADER', JSON.stringify(value));
  }
});

async function endOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(() => 'resolved', codeOf);
}

/** The cookie jar: asked before each attempt, told of each answer; what is a cookie, and whose, is the jar's to say. */
import test, { type ExecutionContext } from 'ava';
import { CookieJar, type SerializedCookie } from 'tough-cookie';

import { HTTPConnectionPool, PoolManager, Retry, type PoolManagerOptions } from '../index.ts';
import { reply } from './servers/raw.ts';
import { rejection } from './support/fixtures.ts';
import { leads, world, type Answer, type Asked } from './support/origins.ts';

const OK = reply('end');

/** An answer with these Set-Cookie lines. */
function sets(lines: readonly string[], status = '200 OK', more = ''): string {
  return `HTTP/1.1 ${status}\r\n${lines.map((line) => `Set-Cookie: ${line}\r\n`).join('')}${more}Content-Length: 0\r\n\r\n`;
}

/** A jar that notes what it is asked and told, and keeps nothing. */
class Noting {
  readonly asked: string[] = [];
  readonly told: [line: string, url: string][] = [];
  says = '';

  getCookieString(url: string): string {
    this.asked.push(url);
    return this.says;
  }

  setCookie(line: string, url: string): void {
    this.told.push([line, url]);
  }
}

const cookies = (asked: readonly Asked[]): string[] => asked.map((one) => one.all('cookie').join(' | '));

test('THR-616: with tough-cookie: what one hop sets, the next one has, each by its own URL', async (t) => {
  const jar = new CookieJar();
  const one = await world(
    t,
    {
      'www.a.example': ({ target }) => {
        if (target === '/0') {
          return sets(
            [
              'host=1',
              'tail=2; Domain=a.example',
              'path=3; Path=/deep',
              'gone=4; Max-Age=0',
              'sec=5; Secure',
              '__Host-h=6; Path=/',
              '__Secure-s=7',
            ],
            '302 Moved',
            'Location: /deep/1\r\n',
          );
        }
        return target === '/deep/1'
          ? sets(['host=changed', 'more=8'], '307 Moved', 'Location: http://api.a.example/2\r\n')
          : OK;
      },
      'api.a.example': () =>
        sets(
          ['evil=1; Domain=b.example', 'tld=2; Domain=example', 'api=3'],
          '302 Moved',
          'Location: //b.example/3\r\n',
        ),
      'b.example': () => leads('http://www.a.example/4'),
    },
    { jar, retries: 9 },
  );
  await one.manager.request('GET', 'http://www.a.example/0');
  t.deepEqual(
    one.asked.map((asked) => [
      String(asked),
      asked.all('cookie').map((value) => value.split('; ').toSorted().join('; ')),
    ]),
    [
      ['GET www.a.example/0', []],
      ['GET www.a.example/deep/1', ['host=1; path=3; tail=2']],
      ['GET api.a.example/2', ['tail=2']],
      ['GET b.example/3', []],
      // By RFC 6265 a cookie without a path has that of the URL that set it: `more` is for /deep.
      ['GET www.a.example/4', ['host=1; tail=2']],
    ],
  );
  const { cookies: kept } = (await jar.serialize()) as { cookies: SerializedCookie[] };
  t.deepEqual(kept.map(({ key, domain }) => `${key}@${String(domain)}`).toSorted(), [
    'api@api.a.example',
    'host@www.a.example',
    'host@www.a.example',
    'more@www.a.example',
    'path@www.a.example',
    'tail@a.example',
  ]);
});

test('THR-616: hosts by number, ports, trailing dots and case are the jars to judge, by the URL of the hop', async (t) => {
  const jar = new CookieJar();
  const answer: Answer = ({ target }) => (target === '/set' ? sets(['a=1', 'b=2; Domain=0.0.1']) : OK);
  const one = await world(
    t,
    { '127.0.0.1': answer, '127.0.0.1:81': answer, 'A.example.': answer, 'a.example': answer },
    { jar },
  );
  const ask = (url: string) => one.manager.request('GET', url);
  await ask('http://127.0.0.1/set');
  await ask('http://127.0.0.1:81/');
  t.deepEqual(cookies(one.asked), ['', 'a=1']);
  await ask('http://A.EXAMPLE/set');
  await ask('http://a.example/');
  // With its dot it is another host to this jar.
  await ask('http://a.example./');
  t.deepEqual(cookies(one.asked).slice(2), ['', 'a=1', '']);
});

test('THR-616: one Cookie field: the callers own first, then the jars; the jar is asked once an attempt', async (t) => {
  const jar = new Noting();
  jar.says = 'j=1; k=2';
  const one = await world(t, { 'a.example': ({ target }) => (target === '/0' ? leads('/1') : OK) }, { jar });
  const ask = (headers?: [string, string][]) =>
    one.manager.request('GET', 'http://a.example/0?q#f', headers === undefined ? {} : { headers });
  await ask();
  await ask([
    ['cookie', 'own=1'],
    ['X-A', 'b'],
    ['COOKIE', 'more=2'],
  ]);
  t.deepEqual(
    one.asked.map((asked) => asked.all('cookie')),
    [['j=1; k=2'], ['own=1; more=2; j=1; k=2']],
  );
  one.asked.length = 0;
  jar.asked.length = 0;
  await one.manager.request('GET', 'http://a.example/0', { headers: { Cookie: 'own=1' } });
  t.deepEqual(
    one.asked.map((asked) => asked.all('cookie')),
    [['own=1; j=1; k=2'], ['own=1; j=1; k=2']],
  );
  t.deepEqual(jar.asked, ['http://a.example/0', 'http://a.example/1']);
});

test('THR-601 THR-616: to another origin go its own cookies by the jar, and none of the callers header', async (t) => {
  const jar = new Noting();
  jar.getCookieString = (url: string) => `of=${new URL(url).hostname}`;
  const one = await world(
    t,
    {
      'a.example': ({ target }) => (target === '/0' ? leads('http://b.example/1') : OK),
      'b.example': () => leads('http://a.example/2'),
    },
    { jar },
  );
  await one.manager.request('GET', 'http://a.example/0', { headers: { Cookie: 'own=1' } });
  t.deepEqual(cookies(one.asked), ['own=1; of=a.example', 'of=b.example', 'of=a.example']);
});

test('THR-618: the jar is given raw lines: nothing decoded, split, trimmed inside or joined', async (t) => {
  const lines = [
    'a=%0d%0aX%3B; Path=/',
    'b=1, c=2; Expires=Thu, 01 Jan 2099 00:00:00 GMT',
    'd="quo;ted, \\"x\\""',
    'e=\xe9\xff\x80',
    '=novalue',
    'noequals',
    'same=1',
    'same=1',
    'f= spaced  out ;secure ; ; =;',
    `g=${'x'.repeat(8_000)}`,
  ];
  const jar = new Noting();
  const one = await world(t, { 'a.example': () => sets([...lines, '']) }, { jar });
  const response = await one.manager.request('GET', 'http://a.example/x?q=1');
  t.deepEqual(
    jar.told.map(([line]) => line),
    [...lines.map((line) => line.trim()), ''],
  );
  t.deepEqual([...new Set(jar.told.map(([, url]) => url))], ['http://a.example/x?q=1']);
  t.deepEqual(response.headers.getAll('set-cookie'), [...lines.map((line) => line.trim()), '']);
});

test('THR-616: Set-Cookie of retried answers and of errors counts, before the next attempt is made', async (t) => {
  const jar = new CookieJar();
  let nth = 0;
  const one = await world(
    t,
    {
      'a.example': () => {
        nth += 1;
        if (nth === 1) return sets(['a=1'], '503 Busy');
        if (nth === 2) return sets(['b=2'], '302 Moved', 'Location: /x\r\n');
        if (nth === 3) return sets(['c=3'], '503 Busy');
        return sets(['d=4'], '404 Not');
      },
    },
    { jar, retries: new Retry({ total: 9, statusForcelist: [503] }) },
  );
  const response = await one.manager.request('GET', 'http://a.example/0');
  t.is(response.status, 404);
  t.deepEqual(cookies(one.asked), ['', 'a=1', 'a=1; b=2', 'a=1; b=2; c=3']);
  t.is(await jar.getCookieString('http://a.example/'), 'a=1; b=2; c=3; d=4');
});

test('THR-616: a call that ends with an error has told the jar what its last answer set', async (t) => {
  const jar = new CookieJar();
  const one = await world(
    t,
    { 'a.example': () => sets(['a=1'], '302 Moved', 'Location: /x\r\n') },
    { jar, retries: 0 },
  );
  await one.manager.request('GET', 'http://a.example/').catch(() => undefined);
  t.is(await jar.getCookieString('http://a.example/'), 'a=1');
  const returned = await one.manager.request('GET', 'http://a.example/', { redirect: false });
  t.is(returned.status, 302);
});

/** A manager with this jar asks once; what came of it. */
async function outcome(
  t: ExecutionContext,
  jar: unknown,
  options: PoolManagerOptions = {},
  answer: Answer = () => sets(['a=1']),
): Promise<{ value: unknown; error: unknown; asked: Asked[] }> {
  const one = await world(t, { 'a.example': answer }, { jar: jar as never, retries: 2, ...options });
  const settled = await one.manager.request('GET', 'http://a.example/').then(
    (value) => ({ value, error: null }),
    (error: unknown) => ({ value: null, error }),
  );
  t.is(one.manager.stats().leased, 0);
  return { ...settled, asked: one.asked };
}

test('THR-616: a jar that throws when asked ends the call with what it threw, whatever that is; nothing is sent', async (t) => {
  for (const why of [new Error('locked'), new TypeError('bad'), 'a string', 0, null, undefined, Symbol('s')]) {
    const thrown = await outcome(t, {
      getCookieString() {
        throw why;
      },
      setCookie: () => undefined,
    });
    const rejected = await outcome(t, {
      getCookieString: () => Promise.reject(why),
      setCookie: () => undefined,
    });
    for (const { error, asked, value } of [thrown, rejected]) {
      t.is(error, why);
      t.is(value, null);
      t.is(asked.length, 0);
    }
  }
});

test('THR-616: what a jar throws for a cookie is its own business: the request goes on, and the next line is told', async (t) => {
  for (const why of [
    new Error("Cookie not in this host's domain"),
    new TypeError('Invalid URL'),
    'no',
    null,
    undefined,
  ]) {
    const told: string[] = [];
    for (const setCookie of [
      (line: string) => {
        told.push(line);
        throw why;
      },
      (line: string) => {
        told.push(line);
        return Promise.reject(why);
      },
    ]) {
      const { value } = await outcome(t, { getCookieString: () => '', setCookie }, {}, () => sets(['a=1', 'b=2']));
      t.is((value as { status: number } | null)?.status, 200);
    }
    t.deepEqual(told, ['a=1', 'b=2', 'a=1', 'b=2']);
  }
});

test('THR-616: what a jar may give: a string, now or later; everything else is a TypeError, and no line is split off', async (t) => {
  for (const [given, sent] of [
    ['a=1', ['a=1']],
    [Promise.resolve('a=1'), ['a=1']],
    ['', []],
    [null, []],
    [undefined, []],
    [Promise.resolve(undefined), []],
    ['a=\xe9', ['a=\xe9']],
  ] as const) {
    const { asked, error } = await outcome(t, { getCookieString: () => given, setCookie: () => undefined });
    t.is(error, null);
    t.deepEqual(asked[0]?.all('cookie'), [...sent]);
  }
  for (const given of [1, true, {}, ['a=1'], Buffer.from('a=1'), () => 'a=1', Symbol('s'), 1n]) {
    const { asked, error } = await outcome(t, { getCookieString: () => given, setCookie: () => undefined });
    t.true(error instanceof TypeError, String(error));
    t.is((error as { code?: string }).code, 'ERR_INVALID_OPTION');
    t.is(asked.length, 0);
  }
  for (const given of ['a=1\r\nX-Injected: 1', 'a=\n', 'a=\0', 'a=\u20ac', 'a=\ud800']) {
    const { asked, error } = await outcome(t, { getCookieString: () => given, setCookie: () => undefined });
    t.is((error as { code?: string } | null)?.code, 'ERR_INVALID_HEADER', JSON.stringify(given));
    t.is(asked.length, 0);
  }
});

test('THR-616: a slow jar is waited for, under the calls deadline and its signal', async (t) => {
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const order: string[] = [];
  const slow = {
    async getCookieString(): Promise<string> {
      await gate;
      order.push('asked');
      return 'a=1';
    },
    async setCookie(line: string): Promise<void> {
      await new Promise((resolve) => setImmediate(resolve));
      order.push(line);
    },
  };
  const one = await world(t, { 'a.example': () => sets(['x=1', 'y=2']) }, { jar: slow });
  const promise = one.manager.request('GET', 'http://a.example/').then(() => order.push('response'));
  await new Promise((resolve) => setImmediate(resolve));
  t.is(one.asked.length, 0);
  release();
  await promise;
  t.deepEqual(order, ['asked', 'x=1', 'y=2', 'response']);

  const never = { getCookieString: () => new Promise<string>(() => undefined), setCookie: () => undefined };
  const stuck = await outcome(t, never, { timeout: { total: 100 } as never });
  t.is((stuck.error as { code: string }).code, 'ERR_TOTAL_TIMEOUT');
  const deaf = { getCookieString: () => '', setCookie: () => new Promise<void>(() => undefined) };
  // The answer is there before that.
  const held = await outcome(t, deaf, { timeout: { total: 800 } as never });
  t.is((held.error as { code: string }).code, 'ERR_TOTAL_TIMEOUT');
  t.is(held.asked.length, 1);

  const cut = new AbortController();
  const two = await world(t, { 'a.example': () => OK }, { jar: never });
  const aborted = two.manager.request('GET', 'http://a.example/', { signal: cut.signal });
  const why = new Error('enough');
  setImmediate(() => cut.abort(why));
  t.is(await rejection(aborted, Error), why);
  t.is(two.asked.length, 0);
});

test('THR-616: a jar has the shape of one, or is refused when the manager is made', (t) => {
  for (const jar of [
    {},
    1,
    'jar',
    true,
    () => '',
    { getCookieString: () => '' },
    { setCookie: () => '' },
    { getCookieString: 1, setCookie: 2 },
  ]) {
    t.throws(() => new PoolManager({ jar: jar as never }), { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' });
  }
  t.throws(() => new HTTPConnectionPool('a.example', { jar: new CookieJar() } as never), { instanceOf: TypeError });
  t.notThrows(() => new PoolManager({ jar: null }));
});

test('THR-616: a pool that a manager gave has the managers jar', async (t) => {
  const jar = new CookieJar();
  const one = await world(t, { 'a.example': () => sets(['a=1']) }, { jar });
  const pool = one.manager.connectionFromHost('a.example');
  await pool.request('GET', '/');
  await one.manager.request('GET', 'http://a.example/');
  t.deepEqual(cookies(one.asked), ['', 'a=1']);
});

test('THR-616 THR-618: with tough-cookie: no line that a server can write fails a request', async (t) => {
  const lines = [
    '',
    '=',
    ';',
    '=;=;=',
    'a',
    'a=\xff\xfe; Path=\xff',
    'a=1; Domain=',
    'a=1; Domain=.',
    'a=1; Domain=..example',
    'a=1; Domain=[::1]',
    'a=1; Domain=xn--\xff',
    'a=1; Domain=xn--a\xe4.example',
    `a=1; Domain=${'x.'.repeat(2_000)}example`,
    'a=1; Domain=co.uk',
    'a=1; Domain=127.0.0.1',
    'a=1; Expires=Thu, 99 Foo 99999 99:99:99 GMT',
    `a=1; Max-Age=${'9'.repeat(400)}`,
    'a=1; Max-Age=-0x1',
    '__proto__=1; __proto__=2; constructor=3',
    'constructor=1; Path=__proto__',
    `${'a'.repeat(9_000)}=1`,
    'a=1; SameSite=None; Partitioned; Priority=High',
    '__Host-a=1; Domain=a.example',
  ];
  for (const host of ['a.example', '127.0.0.1', 'localhost', 'xn--bcher-kva.example', '__proto__']) {
    for (const line of lines) {
      const jar = new CookieJar();
      const one = await world(
        t,
        { [host]: ({ target }) => (target === '/0' ? sets([line], '302 Moved', 'Location: /__proto__/1\r\n') : OK) },
        { jar },
      );
      const response = await one.manager.request('GET', `http://${host}/0`);
      t.is(response.status, 200, `${host} ${line}`);
      t.true((one.asked[1]?.all('cookie').length ?? 2) <= 1, line);
    }
  }
});

test('THR-618 THR-123 THR-101: 10,000 Set-Cookie lines are a head beyond its limits, and none reaches the jar', async (t) => {
  const jar = new Noting();
  const many = Array.from({ length: 10_000 }, (_, n) => `c${n}=1`);
  for (const status of ['200 OK', '302 Moved']) {
    const { error } = await outcome(t, jar, {}, () => sets(many, status, 'Location: /x\r\n'));
    t.is((error as { code: string }).code, 'ERR_TOO_LARGE');
    t.is(jar.told.length, 0);
  }
  // As many as the limits allow are given, each by itself.
  const { error } = await outcome(t, jar, {}, () => sets(many.slice(0, 200)));
  t.is(error, null);
  t.is(jar.told.length, 200);
});

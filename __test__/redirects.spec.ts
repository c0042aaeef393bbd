/** Redirects within one origin: which answers are followed, as what, how far, and what becomes of connections and bodies. */
import { Readable } from 'node:stream';
import zlib from 'node:zlib';

import test, { type ExecutionContext } from 'ava';

import {
  HTTPConnectionPool,
  HostChangedError,
  MaxRetryError,
  PoolManager,
  ProtocolError,
  ResponseError,
  Retry,
  UnrewindableBodyError,
  type HTTPResponse,
  type RequestOptions,
} from '../index.ts';
import { answers, reply } from './servers/raw.ts';
import { rejection, retrying, target } from './support/fixtures.ts';
import { chain, following, leads, pastOf, world, type Asked, type World } from './support/origins.ts';

const OK = reply('end');
/** Who asks: a pool of one host, or a manager. */
type Way = 'pool' | 'manager';
const WAYS: readonly Way[] = ['pool', 'manager'];

/** Asks the one origin of a world, either way. */
function through(
  t: ExecutionContext,
  way: Way,
  { manager, resolve }: World,
  options: { retries?: Retry | number | false } = {},
): (method: string, path: string, request?: RequestOptions) => Promise<HTTPResponse> {
  if (way === 'manager') return (method, path, request) => manager.request(method, `http://a.example${path}`, request);
  const pool = new HTTPConnectionPool('a.example', { resolve, ...options });
  t.teardown(() => pool.close({ timeout: 0 }));
  return (method, path, request) => pool.request(method, path, request);
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'] as const;
const STATUSES = [301, 302, 303, 307, 308] as const;
/** A body of each kind that can be made again, and how it is framed. */
const BODIES: Readonly<Record<string, () => RequestOptions>> = {
  none: () => ({}),
  text: () => ({ body: 'some text' }),
  bytes: () => ({ body: Buffer.from('some text') }),
  chunks: () => ({ body: 'some text', chunked: true }),
  factory: () => ({ body: () => Readable.from([Buffer.from('some '), Buffer.from('text')]) }),
  blob: () => ({ body: new Blob(['some text']) }),
};
/** What describes a body, with what does not. */
const DESCRIBED = {
  'Content-Type': 'text/x-own',
  'content-language': 'en',
  'CONTENT-ENCODING': 'x-own',
  'Content-Location': '/own',
  Digest: 'x=1',
  'Last-Modified': 'Thu, 01 Jan 1970 00:00:00 GMT',
  'X-Kept': 'yes',
  Authorization: 'Basic eA==',
} as const;
const BODY_FIELDS: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-type',
  'digest',
  'last-modified',
  'transfer-encoding',
]);

for (const way of WAYS) {
  for (const [kind, options] of Object.entries(BODIES)) {
    test(`REDIR-01 REDIR-02 BODY-16 HDICT-15 THR-608 THR-609: ${kind} by a ${way}, each method and status`, async (t) => {
      let status = 0;
      const one = await world(t, {
        'a.example': ({ target: path }) => (path === '/0' ? leads('/1', status) : 'HTTP/1.1 204 Done\r\n\r\n'),
      });
      const request = through(t, way, one);
      for (const method of METHODS) {
        for (status of STATUSES) {
          one.asked.length = 0;
          const response = await request(method, '/0', { ...options(), headers: DESCRIBED });
          const said = `${method} ${status}`;
          const [first, second] = one.asked as [Asked, Asked];
          t.deepEqual([one.asked.length, response.status], [2, 204], said);
          t.deepEqual([first.method, second.target], [method, '/1'], said);
          const turns = status === 303;
          t.is(second.method, turns && method !== 'HEAD' ? 'GET' : method, said);
          if (turns) {
            t.is(second.body, '', said);
            t.deepEqual(
              second.names.filter((name) => BODY_FIELDS.has(name)),
              [],
              said,
            );
            const left = first.names.filter((name) => !BODY_FIELDS.has(name));
            t.deepEqual(second.names, left, said);
          } else {
            t.deepEqual(second.lines, first.lines, said);
            t.is(second.body, first.body, said);
            t.is(second.body.includes('some'), kind !== 'none', said);
          }
          t.deepEqual(second.all('x-kept'), ['yes'], said);
        }
      }
    });
  }
}

test('REDIR-01: any other status with a Location, and a redirect without one, is the answer', async (t) => {
  const wires: [wire: string, location: string | null | false][] = [
    ...[200, 201, 300, 304, 305, 306, 309, 399, 404, 503].map((status): [string, false] => [
      leads('/1', status),
      false,
    ]),
    [leads('', 302), ''],
    [leads('  \t ', 307), ''],
    ...STATUSES.map((status): [string, null] => [reply('', `HTTP/1.1 ${status} Moved\r\n`), null]),
  ];
  for (const [wire, location] of wires) {
    const one = await world(t, { 'a.example': () => wire });
    for (const way of WAYS) {
      const response = await through(t, way, one)('GET', '/0');
      t.deepEqual([response.status, pastOf(response)], [Number(wire.slice(9, 12)), []]);
      t.is(response.getRedirectLocation(), location, wire);
    }
    t.is(one.asked.length, 2);
  }
});

test('REQ-13 REDIR-03: redirect: false returns the 3xx whatever the retries, and counts nothing', async (t) => {
  const one = await world(t, { 'a.example': () => leads('/1', 302, '', 'body') });
  for (const way of WAYS) {
    const request = through(t, way, one);
    for (const retries of [
      undefined,
      0,
      5,
      false as const,
      new Retry({ redirect: 0 }),
      new Retry({ total: 0 }),
      new Retry(),
    ]) {
      const response = await request('GET', '/0', { redirect: false, retries });
      t.deepEqual([response.status, response.data.toString(), response.getRedirectLocation()], [302, 'body', '/1']);
      t.deepEqual(pastOf(response), []);
      t.is(response.url, 'http://a.example/0');
    }
  }
});

/** Retries, how many redirects there are, and what comes of it: the status, or `null` for a MaxRetryError. */
const LIMITS: readonly [
  name: string,
  retries: () => Retry | number | false | undefined,
  hops: number,
  due: number | null,
][] = [
  ['default', () => undefined, 3, 200],
  ['default', () => undefined, 4, null],
  ['0', () => 0, 1, null],
  ['0', () => 0, 0, 200],
  ['1', () => 1, 1, 200],
  ['1', () => 1, 2, null],
  ['false', () => false, 1, 302],
  ['Retry total 0', () => new Retry({ total: 0 }), 1, null],
  ['Retry total false', () => new Retry({ total: false }), 1, 302],
  ['Retry redirect 0', () => new Retry({ redirect: 0 }), 1, null],
  ['Retry redirect false', () => new Retry({ redirect: false }), 1, 302],
  ['Retry redirect 2', () => new Retry({ redirect: 2 }), 2, 200],
  ['Retry redirect 2', () => new Retry({ redirect: 2 }), 3, null],
  ['Retry redirect 9, total 1', () => new Retry({ redirect: 9, total: 1 }), 2, null],
  ['Retry redirect 1, not raised', () => new Retry({ redirect: 1, raiseOnRedirect: false }), 2, 302],
  ['Retry total 1, not raised', () => new Retry({ total: 1, raiseOnRedirect: false }), 2, 302],
  ['Retry without a number', () => new Retry({ total: null }), 20, 200],
  ['Retry without a number', () => new Retry({ total: null }), 21, null],
  ['Retry redirect 30, no total', () => new Retry({ total: null, redirect: 30 }), 30, 200],
];

for (const level of ['request', 'pool', 'manager', 'request of a manager', 'held pool'] as const) {
  test(`REDIR-03 MGR-12 MGR-13 THR-607: limits at the level of a ${level}`, async (t) => {
    for (const [name, make, hops, due] of LIMITS) {
      const said = `${name}, ${hops}`;
      const locations = Array.from({ length: hops }, (_, n) => `/${n + 1}`);
      const { resolve, asked } = await world(t, { 'a.example': chain(locations) });
      const retries = make();
      // What the call says replaces what its maker has.
      const usual = level.startsWith('request')
        ? { retries: false as const }
        : retries === undefined
          ? {}
          : { retries };
      const own = level.startsWith('request') ? { retries: retries ?? 3 } : {};
      const manager = new PoolManager({ resolve, ...usual });
      const pool =
        level === 'held pool'
          ? manager.connectionFromHost('a.example')
          : new HTTPConnectionPool('a.example', { resolve, ...usual });
      t.teardown(() => Promise.all([manager.close({ timeout: 0 }), pool.close({ timeout: 0 })]));
      const promise =
        level === 'manager' || level === 'request of a manager'
          ? manager.request('GET', 'http://a.example/0', own)
          : pool.request('GET', '/0', own);
      if (due === null) {
        const error = await rejection(promise, MaxRetryError);
        t.is(error.code, 'ERR_MAX_RETRY', said);
        t.true(error.reason instanceof ResponseError, said);
        t.is(error.reason?.message, 'too many redirects', said);
        t.deepEqual(error.phase, 'headers', said);
        t.is(asked.length, hops, said);
      } else {
        const response = await promise;
        const followed = due === 200 ? hops : hops - 1;
        t.is(response.status, due, said);
        t.is(pastOf(response).length, followed, said);
        t.is(asked.length, followed + 1, said);
      }
    }
  });
}

test('REDIR-03 THR-607: a redirect: true of the call overrides no limit', async (t) => {
  const one = await world(t, { 'a.example': () => leads('/1') });
  for (const way of WAYS) {
    const request = through(t, way, one);
    t.is((await request('GET', '/0', { redirect: true, retries: false })).status, 302);
    await rejection(request('GET', '/0', { redirect: true, retries: 0 }), MaxRetryError);
  }
});

test('THR-607: a loop over one kept connection ends, with its history, and the connection serves on', async (t) => {
  for (const way of WAYS) {
    const one = await world(t, {
      'a.example': ({ target: path }) => (path === '/ok' ? OK : leads('/0', 308, '', 'x')),
    });
    const request = through(t, way, one);
    const error = await rejection(request('GET', '/0', { retries: new Retry({ total: 7 }) }), MaxRetryError);
    t.is(pastOf(error).length, 7);
    t.deepEqual(pastOf(error)[6], {
      method: 'GET',
      url: 'http://a.example/0',
      error: null,
      status: 308,
      redirectLocation: '/0',
    });
    t.is(one.asked.length, 8);
    t.is((await request('GET', '/ok')).data.toString(), 'end');
    t.is(one.servers.get('a.example')?.peers.length, 1, way);
  }
});

test('THR-607: a Retry of the callers own class is held to the same 20 where nothing counts', async (t) => {
  class Patient extends Retry {
    override getBackoffTime(): number {
      return 0;
    }
  }
  const one = await world(t, { 'a.example': () => leads('/0') });
  for (const way of WAYS) {
    const request = through(t, way, one);
    one.asked.length = 0;
    const error = await rejection(request('GET', '/0', { retries: new Patient({ total: null }) }), MaxRetryError);
    t.is(error.reason?.message, 'too many redirects');
    t.is(one.asked.length, 21);
    const returned = new Patient({ total: null, raiseOnRedirect: false });
    t.is((await request('GET', '/0', { retries: returned })).status, 302);
    t.is(
      (await rejection(request('GET', '/0', { retries: new Patient({ total: 2 }) }), MaxRetryError)).code,
      'ERR_MAX_RETRY',
    );
  }
});

test('RETRY-12 WART-06: what is known afterwards: the final URL, whole, and each step', async (t) => {
  const one = await world(t, {
    'a.example': ({ target: path }) =>
      path.startsWith('/0')
        ? leads('../x/1?b=2#frag', 303)
        : path === '/x/1?b=2'
          ? leads('http://a.example:80/end', 307)
          : OK,
  });
  for (const way of WAYS) {
    const response = await through(t, way, one)('POST', '/0/y', { body: 'b' });
    t.is(response.url, 'http://a.example/end');
    t.deepEqual(pastOf(response), [
      { method: 'GET', url: 'http://a.example/0/y', error: null, status: 303, redirectLocation: '../x/1?b=2#frag' },
      {
        method: 'GET',
        url: 'http://a.example/x/1?b=2',
        error: null,
        status: 307,
        redirectLocation: 'http://a.example:80/end',
      },
    ]);
    t.is(response.attempts, 1);
    t.is(response.retries?.total, 1);
  }
});

test('REDIR-08: the query of the first request is its own; fields are not asked again', async (t) => {
  const one = await world(t, { 'a.example': chain(['/1', '/2?own=1', '?own=2']) });
  const response = await one.manager.request('GET', 'http://a.example/0', { fields: { q: 'é' } });
  t.deepEqual(one.asked.map(String), [
    'GET a.example/0?q=%C3%A9',
    'GET a.example/1',
    'GET a.example/2?own=1',
    'GET a.example/2?own=2',
  ]);
  t.is(response.url, 'http://a.example/2?own=2');
  t.is(pastOf(response)[0]?.url, 'http://a.example/0?q=%C3%A9');
});

test('REDIR-04 WART-11: a pool goes to no other host, whatever the Location is written as', async (t) => {
  const one = await world(t, { 'a.example': ({ target: path }) => leads(decodeURIComponent(path.slice(1)), 307) });
  const request = through(t, 'pool', one);
  for (const [location, url] of [
    ['//evil.example/x', 'http://evil.example/x'],
    ['http://evil.example/x', 'http://evil.example/x'],
    ['http://a.example:81/x', 'http://a.example:81/x'],
    ['https://a.example/x', 'https://a.example/x'],
    ['http://a.example.evil.example/', 'http://a.example.evil.example/'],
    ['http://a.example@evil.example/', 'http://evil.example/'],
    ['http://a.example./x', 'http://a.example./x'],
    ['http://sub.a.example/', 'http://sub.a.example/'],
    ['//127.0.0.1/', 'http://127.0.0.1/'],
  ]) {
    one.asked.length = 0;
    const error = await rejection(request('GET', `/${encodeURIComponent(location as string)}`), HostChangedError);
    t.deepEqual([error.code, error.url], ['ERR_HOST_CHANGED', url], location);
    t.is(one.asked.length, 1, location);
  }
  const held = one.manager.connectionFromHost('a.example');
  await rejection(held.request('GET', `/${encodeURIComponent('//evil.example/')}`), HostChangedError);
});

test('REDIR-04: a pool that is led to itself by a whole URL asks for the plain path', async (t) => {
  const one = await world(t, {
    'a.example': chain(['http://a.example/1', '//A.Example:80/2', 'HTTP://u:p@a.example/3?q#f', 'http://a.example']),
  });
  const response = await through(t, 'pool', one)('GET', '/0', { retries: 5 });
  t.deepEqual(
    one.asked.map(({ target: path }) => path),
    ['/0', '/1', '/2', '/3?q', '/'],
  );
  t.is(response.url, 'http://a.example/');
  t.deepEqual(
    one.asked.map((asked) => asked.all('host')),
    Array.from({ length: 5 }, () => ['a.example']),
  );
});

test('REDIR-04: assertSameHost: false sends a foreign URL whole to the pools own host, and its secrets stay behind', async (t) => {
  const one = await world(t, { 'a.example': chain(['http://b.example/x/y', 'z', '/end']) });
  const pool = new HTTPConnectionPool('a.example', { resolve: one.resolve });
  t.teardown(() => pool.close({ timeout: 0 }));
  const response = await pool.request('GET', '/0', {
    assertSameHost: false,
    headers: { Authorization: 'x', 'X-A': '1' },
  });
  t.deepEqual(
    one.asked.map(({ target: path }) => path),
    ['/0', 'http://b.example/x/y', 'http://b.example/x/z', 'http://b.example/end'],
  );
  t.is(response.url, 'http://b.example/end');
  t.deepEqual(
    one.asked.map((asked) => asked.all('authorization').length),
    [1, 0, 0, 0],
  );
});

test('BODY-16 THR-609: a body that cannot be made again ends the call on a 307, and does not matter on a 303', async (t) => {
  let status = 303;
  const one = await world(t, { 'a.example': ({ target: path }) => (path === '/0' ? leads('/1', status) : OK) });
  const once = (): Readable => Readable.from([Buffer.from('some '), Buffer.from('text')]);
  for (const way of WAYS) {
    const request = through(t, way, one);
    for (status of [303, 301, 302, 307, 308]) {
      one.asked.length = 0;
      const promise = request('POST', '/0', { body: once() });
      if (status === 303) {
        t.is((await promise).data.toString(), 'end');
        t.deepEqual(one.asked.map(String), ['POST a.example/0', 'GET a.example/1']);
        t.false(one.asked[1]?.names.some((name) => BODY_FIELDS.has(name)));
      } else {
        const error = await rejection(promise, UnrewindableBodyError);
        t.is(error.code, 'ERR_UNREWINDABLE');
        t.is(one.asked.length, 1);
      }
      t.is((await request('GET', '/ok')).status, 200);
    }
  }
});

test('THR-609: a factory is called once a hop, in time; what it throws is what the caller gets', async (t) => {
  const one = await world(t, { 'a.example': chain(['/1', '/2']) });
  let calls = 0;
  const body = (): Readable => {
    calls += 1;
    return Readable.from([Buffer.from(`made ${calls}`)]);
  };
  await one.manager.request('PUT', 'http://a.example/0', { body });
  t.is(calls, 3);
  t.deepEqual(
    one.asked.map((asked) => asked.body.split('\r\n')[1]),
    ['made 1', 'made 2', 'made 3'],
  );
  const other = await world(t, { 'a.example': chain(['/1']) });
  const why = new Error('not twice');
  let nth = 0;
  const failing = (): Readable => {
    nth += 1;
    if (nth > 1) throw why;
    return Readable.from([Buffer.from('x')]);
  };
  const error = await rejection(other.manager.request('PUT', 'http://a.example/0', { body: failing }), ProtocolError);
  t.deepEqual([error.code, error.reason, error.cause], ['ERR_INVALID_BODY', 'ERR_BODY_SOURCE', why]);
  t.is(other.asked.length, 1);
});

test('POOL-21 REDIR-07: with preloadContent: false the redirects are drained, and one connection serves them all', async (t) => {
  for (const way of WAYS) {
    const body = 'x'.repeat(100_000);
    const one = await world(t, {
      'a.example': ({ target: path }) => (path === '/2' ? OK : leads(`/${Number(path.slice(1)) + 1}`, 302, '', body)),
    });
    const request = through(t, way, one);
    const response = await request('GET', '/0', { preloadContent: false });
    t.is((await response.read()).toString(), 'end');
    await rejection(request('GET', '/0', { preloadContent: false, retries: 1 }), MaxRetryError);
    t.is((await request('GET', '/2')).status, 200);
    t.is(one.servers.get('a.example')?.peers.length, 1, way);
  }
});

test('POOL-21: a redirects body that breaks off costs its connection and nothing else', async (t) => {
  const { pool, server } = await following(t, async (peer) => {
    for (;;) {
      if (target(await peer.request()) === '/1') await peer.write(OK);
      else return peer.end('HTTP/1.1 302 Moved\r\nLocation: /1\r\nContent-Length: 100\r\n\r\nhalf');
    }
  });
  const response = await pool.request('GET', '/0', { preloadContent: false });
  t.is((await response.read()).toString(), 'end');
  t.deepEqual(
    pastOf(response).map(({ error, status }) => [error, status]),
    [[null, 302]],
  );
  t.is(server.peers.length, 2);
  t.is(pool.stats().errors['ERR_INCOMPLETE_READ'], undefined);
});

test('DEC-12 REDIR-07 POOL-21: a redirects body is not decoded: neither junk nor a bomb matters', async (t) => {
  const bomb = zlib.gzipSync(Buffer.alloc(64 * 1024 * 1024), { level: 9 });
  for (const [coding, body] of [
    ['gzip', Buffer.from('no gzip at all')],
    ['gzip', bomb],
    ['x-unknown', Buffer.from('?')],
    ['gzip, gzip, gzip, gzip, gzip, gzip, gzip', Buffer.from('?')],
  ] as const) {
    const head = `HTTP/1.1 302 Moved\r\nLocation: /1\r\nContent-Encoding: ${coding}\r\nContent-Length: ${body.length}\r\n\r\n`;
    const moved = Buffer.concat([Buffer.from(head), body]);
    const one = await world(t, { 'a.example': ({ target: path }) => (path === '/0' ? moved : OK) });
    for (const preloadContent of [true, false]) {
      const response = await one.manager.request('GET', 'http://a.example/0', { preloadContent });
      t.is((preloadContent ? response.data : await response.read()).toString(), 'end');
    }
    t.is(one.manager.stats().decodedBytes, 6);
    t.is(one.servers.get('a.example')?.peers.length, 1);
  }
});

for (const status of [302, 503]) {
  test(`POOL-21: a ${status} to HEAD keeps its connection, whatever length it announces`, async (t) => {
    const { pool } = await retrying(
      t,
      answers(
        `HTTP/1.1 ${status} X\r\nLocation: /b\r\nContent-Length: 100000000\r\n\r\n`,
        'HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n',
      ),
      { timeout: { total: 20_000 } },
    );
    const response = await pool.request('HEAD', '/', { retries: new Retry({ total: 3, statusForcelist: [503] }) });
    t.is(response.status, 200);
    t.like(pool.stats(), { opened: 1, reused: 1, abandoned: 0, discarded: 0 });
  });
}

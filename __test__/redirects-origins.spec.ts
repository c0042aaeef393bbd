/**
 * Redirects to other origins. An origin is scheme, host and port (RFC 6454); what is secret of one is told to no other, and
 * stays untold when the chain comes back.
 */
import test, { type ExecutionContext } from 'ava';

import {
  HTTPConnectionPool,
  LocationValueError,
  MaxRetryError,
  PoolManager,
  Retry,
  SKIP_HEADER,
  URLSchemeUnknown,
  type HTTPResponse,
  type RequestOptions,
} from '../index.ts';
import { reply } from './servers/raw.ts';
import { tlsServer } from './servers/tls.ts';
import { rejection } from './support/fixtures.ts';
import { chain, leads, pastOf, world, type Asked, type World } from './support/origins.ts';
import { usual } from './support/pki.ts';

const OK = reply('end');
const SECRETS = {
  Authorization: 'Bearer secret',
  COOKIE: 'sid=secret',
  'proxy-authorization': 'Basic secret',
  'X-API-Key': 'secret',
  'X-Plain': 'plain',
};
const DEFAULT = ['authorization', 'cookie', 'proxy-authorization'];
const ALL = [...DEFAULT, 'x-api-key', 'x-plain'];

/** Those of {@link SECRETS} that a request had, by lower-case name and sorted. */
function told(asked: Asked | undefined): string[] {
  return asked?.names.filter((name) => ALL.includes(name)) ?? ['nothing was asked'];
}

/** Follows these, one after the other, from `http://a.example/0`. */
async function travels(
  t: ExecutionContext,
  stops: readonly string[],
  request: RequestOptions = { headers: SECRETS },
  names: readonly string[] = ['a.example', 'b.example', 'sub.a.example', 'a.example:81'],
): Promise<{ asked: Asked[]; response: HTTPResponse; one: World }> {
  const next = chain(stops);
  const one = await world(t, Object.fromEntries(names.map((name) => [name, next])));
  const response = await one.manager.request('GET', 'http://a.example/0', { retries: 10, ...request });
  return { asked: one.asked, response, one };
}

test('REDIR-05 THR-601: secrets stay behind where host or port differ, and only there', async (t) => {
  for (const [location, origin, kept] of [
    ['/1', 'a.example', true],
    ['1', 'a.example', true],
    ['http://a.example/1', 'a.example', true],
    ['http://a.example:80/1', 'a.example', true],
    ['http://A.EXAMPLE:0080/1', 'a.example', true],
    ['//a.example/1', 'a.example', true],
    ['http://b.example/1', 'b.example', false],
    ['//b.example/1', 'b.example', false],
    ['http://sub.a.example/1', 'sub.a.example', false],
    ['http://a.example:81/1', 'a.example:81', false],
    ['//a.example:81/1', 'a.example:81', false],
    ['http://u:p@a.example/1', 'a.example', true],
    ['http://a.example@b.example/1', 'b.example', false],
    ['http://a.example:80@b.example/1', 'b.example', false],
  ] as const) {
    const { asked } = await travels(t, [location]);
    t.deepEqual(
      asked.map((one) => one.origin),
      ['a.example', origin],
      location,
    );
    t.deepEqual(told(asked[0]), ALL, location);
    t.deepEqual(told(asked[1]), kept ? ALL : ['x-api-key', 'x-plain'], location);
  }
});

test('REDIR-05 THR-605: once behind, behind for the whole chain: A to B to A, B to B, subdomains, ports', async (t) => {
  for (const stops of [
    ['http://b.example/1', 'http://a.example/2'],
    ['http://b.example/1', '/2', '/3', 'http://b.example/4'],
    ['http://sub.a.example/1', 'http://a.example/2', '/3'],
    ['http://a.example:81/1', 'http://a.example/2', 'http://a.example:81/3'],
    ['http://b.example/1', 'http://b.example/2', 'http://sub.a.example/3', 'http://a.example/4', '/5'],
  ]) {
    const { asked } = await travels(t, stops);
    t.is(asked.length, stops.length + 1);
    t.deepEqual(told(asked[0]), ALL);
    for (const one of asked.slice(1))
      t.deepEqual(told(one), ['x-api-key', 'x-plain'], `${stops.join(' ')} ${String(one)}`);
  }
  const late = await travels(t, ['/1', '/2', 'http://b.example/3', 'http://a.example/4']);
  t.deepEqual(
    late.asked.map((one) => told(one).length),
    [5, 5, 5, 2, 2],
  );
});

test('REDIR-05 THR-602: a list of ones own, at request, pool and manager alike, in any case; an empty one keeps all', async (t) => {
  for (const [list, left] of [
    [undefined, ['x-api-key', 'x-plain']],
    [['x-api-KEY'], [...DEFAULT, 'x-plain']],
    [['X-Api-Key', 'AUTHORIZATION', 'X-Plain', 'Cookie'], ['proxy-authorization']],
    [[], ALL],
  ] as const) {
    const retries = new Retry(list === undefined ? {} : { removeHeadersOnRedirect: list });
    for (const level of ['request', 'manager'] as const) {
      const one = await world(t, { 'a.example': chain(['http://b.example/1']), 'b.example': () => OK });
      const manager = new PoolManager({ resolve: one.resolve, ...(level === 'manager' ? { retries } : {}) });
      t.teardown(() => manager.close({ timeout: 0 }));
      const own = level === 'request' ? { retries } : {};
      await manager.request('GET', 'http://a.example/0', { headers: SECRETS, ...own });
      t.deepEqual(told(one.asked[1]), left, `${level} ${list?.join(' ')}`);
    }
    // A pool goes to no other origin, unless it is told to send foreign URLs to its own host.
    const one = await world(t, { 'a.example': chain(['http://b.example/1']) });
    const pool = new HTTPConnectionPool('a.example', { resolve: one.resolve, retries });
    t.teardown(() => pool.close({ timeout: 0 }));
    await pool.request('GET', '/0', { headers: SECRETS, assertSameHost: false });
    t.deepEqual(told(one.asked[1]), left, `pool ${list?.join(' ')}`);
  }
});

test('REDIR-05 THR-601 THR-602: headers of the manager are stripped as those of the request are', async (t) => {
  const one = await world(t, {
    'a.example': chain(['/1', 'http://b.example/2']),
    'b.example': chain(['/3', 'http://a.example/4']),
  });
  const manager = new PoolManager({ resolve: one.resolve, headers: SECRETS, retries: 9 });
  t.teardown(() => manager.close({ timeout: 0 }));
  await manager.request('GET', 'http://a.example/0');
  t.deepEqual(
    one.asked.map((asked) => told(asked).length),
    [5, 5, 2, 2, 2],
  );
  one.asked.length = 0;
  // The next call has them again: what is stripped is the call's own copy.
  await manager.request('GET', 'http://a.example/0');
  t.deepEqual(told(one.asked[0]), ALL);
});

test('THR-602: a line that is there twice goes twice, and a skipped default header stays skipped', async (t) => {
  const { asked } = await travels(t, ['http://b.example/1'], {
    headers: [
      ['Authorization', 'one'],
      ['authorization', 'two'],
      ['X-Plain', 'a'],
      ['X-Plain', 'b'],
      ['User-Agent', SKIP_HEADER],
      ['Accept-Encoding', SKIP_HEADER],
    ],
  });
  t.deepEqual(asked[0]?.all('authorization'), ['one', 'two']);
  t.deepEqual(asked[1]?.names, ['host', 'x-plain', 'x-plain']);
  t.deepEqual(asked[1]?.all('x-plain'), ['a', 'b']);
});

test('THR-601 REDIR-04: each origin is told its own Host; one of the callers own goes no further than its origin', async (t) => {
  const { asked } = await travels(t, ['/1', 'http://a.example:81/2', 'http://b.example/3', 'http://a.example/4']);
  t.deepEqual(
    asked.map((one) => one.all('host')),
    [['a.example'], ['a.example'], ['a.example:81'], ['b.example'], ['a.example']],
  );
  const own = await travels(t, ['/1', 'http://b.example/2', 'http://a.example/3'], {
    headers: { Host: 'own.example' },
  });
  t.deepEqual(
    own.asked.map((one) => one.all('host')),
    [['own.example'], ['own.example'], ['b.example'], ['a.example']],
  );
});

test('THR-603 THR-612: https is another origin than http: secrets stay behind on the way there and on the way back', async (t) => {
  // Without proxies THR-612 has no other half.
  const one = await world(t, {
    'a.example': ({ target }) => (target === '/there' ? leads('https://a.example:8443/x', 302) : OK),
  });
  const heads: string[] = [];
  const secure = await tlsServer(
    async (peer) => {
      for (;;) {
        const head = await peer.request();
        heads.push(head);
        await peer.write(head.startsWith('GET /back') ? leads('http://a.example/end', 302) : OK);
      }
    },
    usual().ca.issue({ san: ['dns:a.example'] }).identity,
  );
  t.teardown(() => secure.close());
  const manager = new PoolManager({
    resolve: { ...one.resolve, 'a.example:8443': `127.0.0.1:${secure.port}` },
    caCertData: usual().ca.pem,
  });
  t.teardown(() => manager.close({ timeout: 0 }));
  const there = await manager.request('GET', 'http://a.example/there', { headers: SECRETS });
  t.is(there.url, 'https://a.example:8443/x');
  t.deepEqual(told(one.asked[0]), ALL);
  t.regex(heads[0] ?? '', /^X-Plain: plain\r$/im);
  t.notRegex(heads[0] ?? '', /^(authorization|cookie|proxy-authorization):/im);
  const back = await manager.request('GET', 'https://a.example:8443/back', { headers: SECRETS });
  t.is(back.url, 'http://a.example/end');
  t.regex(heads[1] ?? '', /^authorization: Bearer secret\r$/im);
  t.deepEqual(told(one.asked[1]), ['x-api-key', 'x-plain']);
});

test('THR-603: a redirect to an https origin that speaks no TLS, or is not trusted, is told nothing', async (t) => {
  const one = await world(t, {
    'a.example': ({ target }) => leads(target === '/port' ? 'https://a.example:8443/x' : '//b.example/next', 302),
    'b.example': () => leads('https://a.example/x', 302),
    'a.example:443': () => OK,
  });
  const secure = await tlsServer(() => undefined, usual().stranger.issue({ san: ['dns:a.example'] }).identity);
  t.teardown(() => secure.close());
  const manager = new PoolManager({ resolve: { ...one.resolve, 'a.example:8443': `127.0.0.1:${secure.port}` } });
  t.teardown(() => manager.close({ timeout: 0 }));
  for (const [path, hops, reason] of [
    ['/port', ['a.example'], 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['/two', ['a.example', 'b.example'], 'ERR_NOT_TLS'],
  ] as const) {
    one.asked.length = 0;
    const error = await rejection(
      manager.request('GET', `http://a.example${path}`, { headers: SECRETS }),
      MaxRetryError,
    );
    t.like(error.reason, { code: 'ERR_TLS', reason }, path);
    t.deepEqual(
      one.asked.map(({ origin }) => origin),
      hops,
    );
  }
  t.is(secure.received, 0);
  t.is(manager.stats().leased, 0);
});

test('REDIR-06: schemes that no pool knows, and locations without a host', async (t) => {
  const one = await world(t, { 'a.example': ({ target }) => leads(decodeURIComponent(target.slice(1))) });
  const ask = (location: string): Promise<HTTPResponse> =>
    one.manager.request('GET', `http://a.example/${encodeURIComponent(location)}`);
  for (const [location, scheme] of [
    ['ftp://h/x', 'ftp'],
    ['file:///etc/passwd', 'file'],
    ['gopher://127.0.0.1:25/_x', 'gopher'],
    ['unix://h/sock', 'unix'],
    ['ws://a.example/', 'ws'],
  ] as const) {
    const error = await rejection(ask(location), URLSchemeUnknown);
    t.is(error.scheme, scheme);
  }
  for (const location of [
    'mailto:x',
    'javascript:alert(1)',
    'data:text/plain,x',
    'about:blank',
    'http:///x',
    'tel:1',
  ]) {
    await rejection(ask(location), LocationValueError);
  }
  // The connection has been read to its end each time.
  t.is(one.servers.get('a.example')?.peers.length, 1);
  t.is(one.manager.stats().leased, 0);
});

test('REDIR-09 THR-610: who answers does not choose who we say we are: no user info is sent, of either URL', async (t) => {
  const next = chain(['http://evil:pw@a.example/1', 'http://:x@b.example/2', '//u@a.example/3']);
  const one = await world(t, { 'a.example': next, 'b.example': next });
  const response = await one.manager.request('GET', 'http://me:mine@a.example/0', { retries: 5 });
  t.deepEqual(one.asked.map(String), ['GET a.example/0', 'GET a.example/1', 'GET b.example/2', 'GET a.example/3']);
  for (const asked of one.asked) {
    t.deepEqual(asked.all('authorization'), []);
    t.notRegex(JSON.stringify(asked.lines), /evil|mine|pw/);
  }
  t.is(response.url, 'http://a.example/3');
  t.notRegex(JSON.stringify(pastOf(response).map(({ url }) => url)), /evil|mine|@/);
});

test('THR-609 REDIR-02: a 307 carries method and body to another origin, as urllib3 does; content headers with it', async (t) => {
  const next = chain(['http://b.example/1']);
  const one = await world(t, { 'a.example': () => leads('http://b.example/1', 307), 'b.example': next });
  await one.manager.request('POST', 'http://a.example/0', { json: { a: 1 }, headers: SECRETS });
  t.deepEqual(
    one.asked.slice(0, 2).map((asked) => [asked.method, asked.body, asked.all('content-type')]),
    [
      ['POST', '{"a":1}', ['application/json']],
      ['POST', '{"a":1}', ['application/json']],
    ],
  );
  t.deepEqual(told(one.asked[1]), ['x-api-key', 'x-plain']);
});

test('POOL-21: each hop takes the pool of its origin, which keeps its connection', async (t) => {
  const hop = ({ origin, target }: Asked): string =>
    target === '/3' ? OK : leads(`http://${origin === 'a.example' ? 'b' : 'a'}.example/${Number(target.slice(1)) + 1}`);
  const one = await world(t, { 'a.example': hop, 'b.example': hop });
  for (let round = 0; round < 3; round += 1) {
    const response = await one.manager.request('GET', 'http://a.example/0');
    t.is(response.url, 'http://b.example/3');
    t.is(response.connection?.remotePort, one.servers.get('b.example')?.port);
  }
  t.deepEqual(
    [...one.servers.values()].map(({ peers }) => peers.length),
    [1, 1],
  );
  t.is(one.manager.pools.size, 2);
});

test('URL-16 WART-19: a manager guesses no scheme, not of its own URL and not of a bare host in a Location', async (t) => {
  const one = await world(t, { 'a.example': chain(['b.example/1', 'b.example:80/2']), 'b.example': () => OK });
  for (const url of ['a.example', 'a.example/0', '//a.example/0', '/0', '']) {
    await rejection(one.manager.request('GET', url), LocationValueError);
  }
  t.is(one.asked.length, 0);
  // In a Location it is a relative path; `name:` is a scheme.
  await rejection(one.manager.request('GET', 'http://a.example/0'), LocationValueError);
  t.deepEqual(one.asked.map(String), ['GET a.example/0', 'GET a.example/b.example/1']);
});

test('REDIR-04: a dead host at the end of a redirect is that hosts error, with what led there', async (t) => {
  const one = await world(t, { 'a.example': chain(['http://dead.example/1']) });
  const manager = new PoolManager({ resolve: { ...one.resolve, 'dead.example': '127.0.0.1:9' }, retries: 1 });
  t.teardown(() => manager.close({ timeout: 0 }));
  const error = await rejection(manager.request('GET', 'http://a.example/0'), Error);
  const { code, host } = error as Error & { code: string; host: string };
  t.deepEqual([code, host], ['ERR_MAX_RETRY', 'dead.example:80']);
  t.deepEqual(
    pastOf(error).map(({ status }) => status),
    [302],
  );
});

/** What a Location may hold, as bytes on the wire, and where it leads. */
import test from 'ava';

import {
  LocationParseError,
  LocationValueError,
  MaxRetryError,
  PoolManager,
  ProtocolError,
  ResponseTooLarge,
  URLSchemeUnknown,
} from '../index.ts';
import { answers, rawServer, reply } from './servers/raw.ts';
import { rejection } from './support/fixtures.ts';
import { chain, leads, pastOf, world } from './support/origins.ts';
import { vectors } from './support/vectors.ts';

const OK = reply('end');

interface Row {
  base: string;
  location: string;
  value: string;
  parsed: { value: string };
}

/** A redirect with these Location lines, as they are. */
function moved(...locations: (string | Uint8Array)[]): Buffer {
  const lines = locations.map((one) =>
    Buffer.concat([Buffer.from('Location:'), Buffer.from(one as string), Buffer.from('\r\n')]),
  );
  return Buffer.concat([Buffer.from('HTTP/1.1 302 Moved\r\n'), ...lines, Buffer.from('Content-Length: 0\r\n\r\n')]);
}

test('REDIR-04 REDIR-08 WART-06 THR-610: each Location of the vectors leads where urllib3 is led', async (t) => {
  let dialled = 0;
  for (const row of vectors<Row>('redirect-location.json')) {
    const { pathname, search } = new URL(row.base);
    const first = pathname + search;
    const one = await world(t, {
      'a.example': ({ target }) => (target === first && one.asked.length === 1 ? moved(` ${row.location}`) : OK),
      g: () => OK,
      h: () => OK,
    });
    const promise = one.manager.request('GET', row.base);
    const said = JSON.stringify(row.location);
    if (row.location === '') {
      // An empty one leads nowhere (REDIR-01).
      t.is((await promise).status, 302);
      continue;
    }
    const [, scheme = '', authority = '', path = ''] =
      /^([a-z]+):(?:\/\/([^/?#]*))?([^#]*)/.exec(row.parsed.value) ?? [];
    if (authority === '[::1]') {
      // A literal is dialled as it is, and what listens there is not ours.
      t.true(
        ['ERR_MAX_RETRY', undefined].includes(
          await promise.then(
            () => undefined,
            (why: { code: string }) => why.code,
          ),
        ),
      );
      continue;
    }
    if (scheme !== 'http') {
      const error = (await promise.catch((why: unknown) => why)) as Error & { code?: string };
      // They speak no TLS: the dial is proof enough.
      if (scheme === 'https') t.like((error as MaxRetryError).reason, { code: 'ERR_TLS', reason: 'ERR_NOT_TLS' }, said);
      else if (authority === '') t.true(error instanceof LocationValueError, said);
      else t.true(error instanceof URLSchemeUnknown, said);
      t.is(one.asked.length, 1, said);
      continue;
    }
    const response = await promise;
    const host = authority.replace(/^.*@/, '').replace(/:80$/, '');
    // An escape stays as it came (WART-04).
    const target = (path.startsWith('/') ? path : `/${path}`).replaceAll(
      '%2E',
      row.location.includes('%2e') ? '%2e' : '%2E',
    );
    t.is(String(one.asked[1]), `GET ${host}${target}`, said);
    t.is(response.url, `http://${host}${target}`, said);
    dialled += 1;
  }
  t.true(dialled > 34, String(dialled));
});

test('REDIR-04 THR-610: bytes, blanks and controls are sent escaped, and nothing twice', async (t) => {
  const cases: [location: Uint8Array, target: string][] = [
    [Buffer.from('/é'), '/%C3%A9'],
    [Buffer.from('/\xe9', 'latin1'), '/%E9'],
    [Buffer.from('/\xff\xfe\x80', 'latin1'), '/%FF%FE%80'],
    [Buffer.from('/日本?q=語#語'), '/%E6%97%A5%E6%9C%AC?q=%E8%AA%9E'],
    [Buffer.from('/sp ace  two'), '/sp%20ace%20%20two'],
    [Buffer.from('  /around \t '), '/around'],
    [Buffer.from('/tab\there'), '/tab%09here'],
    [Buffer.from('/%c3%A9%zz%'), '/%c3%A9%25zz%25'],
    [Buffer.from('/%c3%A9/%2e%2E/x'), '/%c3%A9/%2e%2E/x'],
    [Buffer.from('/a%2Fb/../c'), '/c'],
    [Buffer.from('/"<>^`{|}\\'), '/%22%3C%3E%5E%60%7B%7C%7D%5C'],
    [Buffer.from('/?a=b c&d=é&e=%20'), '/?a=b%20c&d=%C3%A9&e=%20'],
    [Buffer.from('/%0d%0aX-Injected:%201'), '/%0d%0aX-Injected:%201'],
    [Buffer.from('/x#a b#é'), '/x'],
    [Buffer.from('#only'), '/0/'],
    [Buffer.from('?'), '/0/?'],
    [Buffer.from('/x?'), '/x?'],
    [Buffer.from('///double//slash'), ''],
    [Buffer.from('/..//x'), '/x'],
    [Buffer.from('.//x'), '/0//x'],
    [Buffer.from('/.//evil.example/x'), '//evil.example/x'],
  ];
  for (const [location, target] of cases) {
    const said = location.toString();
    const one = await world(t, { 'a.example': () => (one.asked.length === 1 ? moved(location) : OK) });
    const promise = one.manager.request('GET', 'http://a.example/0/');
    if (target === '') {
      await rejection(promise, LocationValueError);
      t.is(one.asked.length, 1, said);
      continue;
    }
    const response = await promise;
    t.is(one.asked[1]?.lines.length, one.asked[0]?.lines.length, said);
    t.is(one.asked[1]?.target, target, said);
    t.is(response.url, `http://a.example${target}`, said);
    t.regex(pastOf(response)[0]?.redirectLocation ?? '', /^[!-~]+$/, said);
  }
});

test('THR-610: CR, LF and NUL cannot come out of a Location', async (t) => {
  // A folded line, a bare CR, a bare LF, a NUL: refused, or joined and escaped; never a line of the next request.
  for (const location of [
    '/x\rX-Injected: 1',
    '/x\nX-Injected: 1',
    '/x\r\n X-Injected: 1',
    '/x\0y',
    '/x\r\n\tHTTP/1.1',
  ]) {
    for (const lenient of [true, false]) {
      const one = await world(
        t,
        { 'a.example': () => (one.asked.length === 1 ? moved(` ${location}`) : OK) },
        { lenient, retries: false as never },
      );
      const manager = new PoolManager({ resolve: one.resolve, lenient, retries: 2 });
      t.teardown(() => manager.close({ timeout: 0 }));
      const outcome = await manager.request('GET', 'http://a.example/0').then(
        () => null,
        (why: unknown) => why,
      );
      const said = JSON.stringify([location, lenient, String(outcome), one.asked.map(String)]);
      for (const asked of one.asked) {
        t.deepEqual(
          asked.names.filter((name) => !['host', 'accept-encoding', 'user-agent'].includes(name)),
          [],
          said,
        );
        t.regex(asked.target, /^[!-~]+$/, said);
      }
      t.true(outcome === null || outcome instanceof Error, said);
    }
  }
});

test('THR-610: two Locations: the first is followed, alike or not, however they are ordered', async (t) => {
  for (const [locations, target] of [
    [[' /one', ' /one'], '/one'],
    [[' /one', ' http://evil.example/'], '/one'],
    [[' /two', ' '], '/two'],
  ] as const) {
    const one = await world(t, { 'a.example': () => (one.asked.length === 1 ? moved(...locations) : OK) });
    const response = await one.manager.request('GET', 'http://a.example/0');
    t.is(response.url, `http://a.example${target}`);
    t.deepEqual(one.asked.map(String), ['GET a.example/0', `GET a.example${target}`]);
  }
});

test('THR-610: a Location of 60 KiB is followed; one that no request line holds is an error, and so is a larger head', async (t) => {
  const long = `/${'x'.repeat(60 * 1024)}`;
  const answers = new Map([
    ['/0', leads(long)],
    // More than the 65,534 bytes of a target.
    ['/1', leads(long.repeat(2))],
    ['/2', leads(long.repeat(5))],
  ]);
  const one = await world(t, { 'a.example': ({ target }) => answers.get(target) ?? OK });
  const ask = (path: string) => one.manager.request('GET', `http://a.example${path}`, { retries: 1 });
  const response = await ask('/0');
  t.is(one.asked[1]?.target, long);
  t.is(response.url, `http://a.example${long}`);
  await rejection(ask('/1'), LocationParseError);
  t.is(one.servers.get('a.example')?.peers.length, 1);
  t.is((await rejection(ask('/2'), ResponseTooLarge)).code, 'ERR_TOO_LARGE');
  t.is(one.asked.length, 4);
  const loop = await world(t, { 'a.example': () => leads(long) });
  const error = await rejection(loop.manager.request('GET', 'http://a.example/0', { retries: 19 }), MaxRetryError);
  t.is(pastOf(error).length, 19);
  t.is(loop.asked.length, 20);
});

test('REDIR-04 THR-610: hosts that are none, ports that are none', async (t) => {
  const one = await world(t, { 'a.example': ({ target }) => moved(Buffer.from(target.slice(1), 'hex')) });
  for (const location of [
    'http://a b/',
    'http://[::1/',
    'http://[::1]x/',
    'http://h:port/',
    'http://h:99999/',
    'http://h:-1/',
    'http://a%00b/',
    'http://%zz/',
    'http://\xff\xfe/',
    `http://${'x'.repeat(64)}.example/`,
  ]) {
    one.asked.length = 0;
    const path = Buffer.from(location, 'latin1').toString('hex');
    const error = (await one.manager
      .request('GET', `http://a.example/${path}`, { retries: 1 })
      .catch((why: unknown) => why)) as Error & { location?: string };
    t.true(error instanceof LocationParseError, `${location}: ${error}`);
    t.is(one.asked.length, 1, location);
    t.regex(error.location ?? '', /^http:\/\//, location);
  }
  t.is(one.manager.stats().leased, 0);
});

test('REDIR-04: an IPv6 literal is an origin like any other, brackets and all', async (t) => {
  const server = await rawServer(answers(OK));
  t.teardown(() => server.close());
  const one = await world(t, { 'a.example': () => leads(`http://[0:0::0:1]:${server.port}/x`) });
  // Its own server listens on IPv4; the literal is led there, as every name may be.
  const manager = new PoolManager({ resolve: { ...one.resolve, '::1': `127.0.0.1:${server.port}` } });
  t.teardown(() => manager.close({ timeout: 0 }));
  const response = await manager.request('GET', 'http://a.example/0', { headers: { Authorization: 'x' } });
  t.is(response.url, `http://[::1]:${server.port}/x`);
  const head = (await server.peer(1)).received.toString();
  t.regex(head, new RegExp(`^host: \\[::1\\]:${server.port}\r$`, 'im'));
  t.notRegex(head, /authorization/i);
});

test('REDIR-04: international names are led to by their ASCII form, whichever form the Location has', async (t) => {
  const next = chain(['http://XN--Bcher-KVA.example/2', '/3']);
  const one = await world(t, {
    'a.example': (asked) => (asked.target === '/0' ? moved(' http://bücher.example/1') : OK),
    'xn--bcher-kva.example': next,
  });
  const response = await one.manager.request('GET', 'http://a.example/0', { retries: 5 });
  t.is(response.url, 'http://xn--bcher-kva.example/3');
  t.true(one.asked.slice(1).every((asked) => asked.all('host')[0] === 'xn--bcher-kva.example'));
});

test('REDIR-01 THR-610: a Location that is only blanks, or none, is no redirect, and a defect in another line is no matter', async (t) => {
  for (const wire of [moved(''), moved(' \t '), moved()]) {
    const one = await world(t, { 'a.example': () => wire });
    t.is((await one.manager.request('GET', 'http://a.example/0')).status, 302);
    t.is(one.asked.length, 1);
  }
  const broken = 'HTTP/1.1 302 Moved\r\nLocation : /1\r\nContent-Length: 0\r\n\r\n';
  const one = await world(t, { 'a.example': ({ target }) => (target === '/0' ? broken : OK) });
  t.is((await one.manager.request('GET', 'http://a.example/0')).url, 'http://a.example/1');
  const strict = new PoolManager({ resolve: one.resolve, lenient: false, retries: false });
  t.teardown(() => strict.close({ timeout: 0 }));
  await rejection(strict.request('GET', 'http://a.example/0'), ProtocolError);
});

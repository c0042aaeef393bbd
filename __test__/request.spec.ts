/**
 * What a request is on the wire: method, fields, JSON, headers, framing. A raw server keeps the bytes; bad input is
 * refused before it hears of it.
 */
import { Readable } from 'node:stream';
import { inspect } from 'node:util';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import {
  ACCEPT_ENCODING,
  HTTPConnectionPool,
  HTTPHeaderDict,
  makeHeaders,
  parseUrl,
  PoolManager,
  proxyFromEnv,
  Retry,
  SKIP_HEADER,
} from '../index.ts';
import type { HeaderSource, HTTPResponse, PoolOptions, RequestOptions } from '../index.ts';
import { MANAGER_NAMES } from '../facade/manager.ts';
import { httpServer } from './servers/http.ts';
import { rawServer, reply } from './servers/raw.ts';
import { vectors } from './support/vectors.ts';
import type { Raised } from './support/vectors.ts';

interface Bench {
  pool: HTTPConnectionPool;
  /** The server's port, as the Host field has it. */
  port: number;
  /** The bytes of the last request, as latin1. */
  last: () => string;
  /** How many requests arrived. */
  count: () => number;
}

/** A pool and a server that answers everything with an empty 200. */
async function bench(t: ExecutionContext, options: PoolOptions = {}): Promise<Bench> {
  const seen: string[] = [];
  const server = await rawServer(async (peer) => {
    for (;;) {
      seen.push(await peer.request());
      await peer.write(reply(''));
    }
  });
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, ...options });
  t.teardown(async () => {
    const { opened, closed, idle, leased } = pool.stats();
    await pool.close();
    await server.close();
    if (opened !== closed + idle + leased) throw new Error('a connection was lost');
  });
  return { pool, port: server.port, last: () => seen.at(-1) ?? '', count: () => seen.length };
}

const lines = (request: string): string[] => (request.split('\r\n\r\n')[0] ?? '').split('\r\n');
/** Chunk sizes in lower case: ours may be written in either. */
const body = (request: string): string => {
  const bytes = request.slice(request.indexOf('\r\n\r\n') + 4);
  return /^transfer-encoding/im.test(request) ? bytes.replace(/^[0-9A-F]+\r$/gm, (size) => size.toLowerCase()) : bytes;
};
const invalidHeader = { name: 'InvalidHeader', code: 'ERR_INVALID_HEADER' };
const invalidMethod = { code: 'ERR_INVALID_METHOD' };
const AGENT = /^User-Agent: ferropool\/\d+\.\d+\.\d+$/;

interface WireCase {
  method: string;
  via?: string;
  body?: string;
  headers?: Record<string, unknown> | string | null;
  chunked?: boolean;
  error?: Raised;
  sent: { bytes: string }[];
}

/** Made for each case: a stream and a generator can be read once. */
const BODIES: Record<string, () => RequestOptions['body']> = {
  none: () => null,
  str: () => 'x'.repeat(10),
  unicode: () => 'äöü',
  bytes: () => Buffer.from('xxxxxxxxxx'),
  bytearray: () => new Uint8Array(10).fill(0x78).buffer,
  memoryview: () => new DataView(Uint8Array.from(Buffer.from('-abc-')).buffer, 1, 3),
  file: () => Readable.from([Buffer.from('xxxxxxxxxx')]),
  textfile: () => Readable.from(['xäx']),
  iterable: () => ['foo', '', 'bär'],
  generator: () =>
    (function* () {
      yield 'a';
      yield Buffer.from('bc');
    })(),
  'empty-str': () => '',
  'empty-bytes': () => new Uint8Array(0),
};

/** WART-12, WART-13, REQ-01: what urllib3 sends and we refuse. */
function refusedHere({ method, headers, chunked }: WireCase): boolean {
  if (method === '') return true;
  const given = typeof headers === 'object' ? Object.entries(headers ?? {}) : [];
  return given.some(
    ([name, value]) =>
      /[^\w-]/.test(name) ||
      (typeof value === 'string' && /[\0\r\n]/.test(value)) ||
      (chunked === true && name === 'content-length'),
  );
}

test('HDR-01, HDR-02, HDR-03, HDR-04, HDR-05, HDR-06, REQ-01, BODY-08, BODY-09, BODY-10, BODY-11, BODY-12, WART-12, WART-13: the exact bytes', async (t) => {
  const { pool, port, last, count } = await bench(t);
  let refused = 0;
  for (const given of vectors<WireCase>('request-wire.json')) {
    const label = JSON.stringify({ ...given, sent: undefined });
    const kind = given.body ?? 'none';
    const make = BODIES[kind];
    if (make === undefined) throw new Error(`no body of kind ${kind}`);
    const headers =
      typeof given.headers === 'string'
        ? new HTTPHeaderDict([
            ['A', '1'],
            ['C', '3'],
            ['B', '2'],
            ['B', '3'],
            ['A', '4'],
          ])
        : (given.headers ?? undefined) && Object.fromEntries(Object.entries(given.headers ?? {}).map(skipped));
    const options = {
      body: make() ?? null,
      chunked: given.chunked ?? false,
      headers: (headers ?? null) as HeaderSource,
    };
    const bytes = given.sent[0]?.bytes.replace('PORT', String(port)) ?? '';
    const before = count();
    const url = bytes.split(' ')[1] ?? '/';
    const call =
      given.via === 'request' ? pool.request(given.method, '/', {}) : pool.urlopen(given.method, url, options);
    if (given.error !== undefined || refusedHere(given)) {
      if (given.error === undefined) refused += 1;
      await t.throwsAsync(call, given.via === 'request' ? invalidMethod : invalidHeader, label);
      t.is(count(), before, label);
      continue;
    }
    t.is((await call).status, 200, label);
    const [head] = last().split('\r\n\r\n', 1);
    t.is(`${head?.replace(/ferropool\/[\d.]+/, 'DEFAULT-UA')}\r\n\r\n${body(last())}`, bytes, label);
  }
  t.is(refused, 5);
  t.is(pool.numConnections, 1);
});

/** urllib3's marker for a line that is left out. */
function skipped([name, value]: [string, unknown]): [string, unknown] {
  return [name, value === '@@@SKIP_HEADER@@@' ? SKIP_HEADER : value];
}

test('REQ-01: request upper-cases a method, urlopen sends it as it is', async (t) => {
  const { pool, last } = await bench(t);
  for (const [method, sent] of [
    ['get', 'GET'],
    ['pUrge', 'PURGE'],
    ["x!#$%&'*+-.^_`|~9", "X!#$%&'*+-.^_`|~9"],
  ] as const) {
    await pool.request(method, '/');
    t.true(last().startsWith(`${sent} / HTTP/1.1\r\n`), method);
    await pool.urlopen(method, '/');
    t.true(last().startsWith(`${method} / HTTP/1.1\r\n`), method);
  }
});

test('REQ-01: what a subclass overrides is called by its callers, and request by requestMany too', async (t) => {
  const calls: string[] = [];
  class Heard extends HTTPConnectionPool {
    override request(...given: Parameters<HTTPConnectionPool['request']>): Promise<HTTPResponse> {
      calls.push('request');
      return super.request(...given);
    }
    override urlopen(...given: Parameters<HTTPConnectionPool['urlopen']>): Promise<HTTPResponse> {
      calls.push('urlopen');
      return super.urlopen(...given);
    }
  }
  const server = await httpServer((_, response) => response.end('ok'));
  const pool = new Heard('127.0.0.1', { port: server.port });
  t.teardown(async () => {
    await pool.close();
    await server.close();
  });
  await pool.request('GET', '/');
  await pool.urlopen('GET', '/');
  for await (const { ok } of pool.requestMany(['/'])) t.true(ok);
  await pool.requestEncodeUrl('GET', '/');
  t.deepEqual(calls, ['request', 'urlopen', 'request']);
});

test('BODY-09: whether a request without a body says so is decided without regard to case', async (t) => {
  const { pool, last } = await bench(t);
  const without = ['get', 'Head', 'delete', 'TRACE', 'oPTIONS'];
  for (const method of [...without, 'post', 'Put', 'pATCH', 'getx', 'purge']) {
    await pool.urlopen(method, '/');
    t.is(/^content-length: 0\r$/im.test(last()), !without.includes(method), method);
  }
});

test('REQ-01, THR-501: a method with any byte that is in no token is refused, and nothing is sent', async (t) => {
  const { pool, count } = await bench(t);
  let tokens = 0;
  for (let code = 0; code < 256; code += 1) {
    const method = `X${String.fromCharCode(code)}Y`;
    if (/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(method)) {
      tokens += 1;
      await pool.urlopen(method, '/');
      continue;
    }
    const error = await t.throwsAsync(pool.request(method, '/'), invalidMethod, JSON.stringify(method));
    await t.throwsAsync(pool.urlopen(method, '/'), invalidMethod);
    t.regex(error?.message ?? '', /^[\x20-\x7e§]*$/, 'a message holds no control character');
  }
  // What `toUpperCase` would make a token of: `poſt`, `ß`, `ﬁ`.
  for (const method of ['', 'poſt', 'ß', 'ﬁ', 'GET\r\nHost: evil', '日', '\ud800']) {
    await t.throwsAsync(pool.request(method, '/'), invalidMethod, method);
    await t.throwsAsync(pool.urlopen(method, '/'), invalidMethod, method);
  }
  t.is(tokens, 77);
  t.is(count(), tokens);
});

interface QueryCase {
  method: string;
  url: string;
  fields: [string, unknown][];
  value: string;
}

/** ≠: JavaScript's texts of booleans and null (REQ-03); one `?`, before the fragment (WART-03). */
const OTHER_QUERIES: ReadonlyMap<string, string> = new Map([
  ['/s?n=1&f=1.5&t=True&z=None', '/s?n=1&f=1.5&t=true&z=null'],
  ['/s?x=1?y=2', '/s?x=1&y=2'],
  ['/s#frag?a=1', '/s?a=1'],
  ['http://h/p??a=1', 'http://h/p?a=1'],
]);

test('REQ-02, REQ-03, REQ-04, REQ-05, WART-03: fields of GET, HEAD, DELETE and OPTIONS go into the query', async (t) => {
  const { pool, last } = await bench(t);
  const different = new Set<string>();
  let lists = 0;
  for (const { method, url, fields, value } of vectors<QueryCase>('query.json')) {
    const pairs = fields.map(([name, one]) => [name, fieldOf(one)] as [string, string]);
    const options = { fields: pairs, assertSameHost: false };
    if (pairs.some(([, one]) => Array.isArray(one))) {
      // Python would send the text of its list.
      lists += 1;
      await t.throwsAsync(pool.request(method, url, options), { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' });
      continue;
    }
    const ours = OTHER_QUERIES.get(value);
    if (ours !== undefined) different.add(value);
    for (const name of [method, 'HEAD', 'OPTIONS']) {
      await pool.request(name, url, options);
      t.is(lines(last())[0], `${name.toUpperCase()} ${ours ?? value} HTTP/1.1`, JSON.stringify(fields));
    }
    await pool.requestEncodeUrl('PUT', url, options);
    t.is(lines(last())[0], `PUT ${ours ?? value} HTTP/1.1`);
  }
  t.is(different.size, OTHER_QUERIES.size);
  t.is(lists, 2);
});

/** As the vectors hold bytes. */
function fieldOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'bytes' in value
    ? Buffer.from(String(value.bytes), 'base64')
    : value;
}

test('REQ-03, THR-509: whatever a field holds, a server reads it back', async (t) => {
  const { pool, last } = await bench(t);
  const nasty = ['&=', '\0', '\ud800', 'a\udfffb', '%41', '+ +', 'é😀', "';--", '=', '#?', 'x'.repeat(500)];
  const pairs = nasty.flatMap((name) => nasty.map((value) => [name, value] as [string, string]));
  const every = Uint8Array.from({ length: 256 }, (_, at) => at);
  await pool.request('GET', '/', { fields: [...pairs, ['bytes', every]] });
  const target = lines(last())[0]?.split(' ')[1] ?? '';
  const whole = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd');
  t.deepEqual(
    [...new URLSearchParams(target.slice(2))].slice(0, -1),
    pairs.map(([name, value]) => [whole(name), whole(value)]),
  );
  const encoded = target.slice(target.lastIndexOf('bytes=') + 6).replaceAll('+', '%20');
  t.deepEqual(Buffer.from(decode(encoded)), Buffer.from(every));
});

/** Percent-decoding, byte by byte. */
function decode(text: string): number[] {
  return [...text.matchAll(/%([0-9A-F]{2})|([^%])/g)].map(([, hex, plain]) =>
    hex ? parseInt(hex, 16) : (plain ?? '').charCodeAt(0),
  );
}

test('REQ-02, REQ-05: fields are an object, a Map, URLSearchParams or pairs; undefined is absent, nothing changes nothing', async (t) => {
  const { pool, last } = await bench(t);
  for (const fields of [
    { b: '2', a: 1n, gone: undefined },
    new Map([
      ['b', '2'],
      ['a', '1'],
    ]),
    new URLSearchParams('b=2&a=1'),
    [
      ['b', Buffer.from('2')],
      ['a', 1],
    ],
  ]) {
    await pool.request('GET', '/s', { fields: fields as unknown as { a: string } });
    t.is(lines(last())[0], 'GET /s?b=2&a=1 HTTP/1.1');
  }
  for (const fields of [{}, [], new Map(), null, { gone: undefined }]) {
    await pool.request('GET', '/s', { fields: fields as Record<string, string> });
    t.is(lines(last())[0], 'GET /s HTTP/1.1');
    await pool.request('POST', '/s', { fields: fields as Record<string, string> | null, body: 'b' });
    t.deepEqual([lines(last())[0], body(last())], ['POST /s HTTP/1.1', 'b']);
  }
});

test('REQ-06: body excludes fields and json, an empty body too', async (t) => {
  const { pool, count } = await bench(t);
  const raises = (options: RequestOptions, message: RegExp): Promise<unknown> =>
    t.throwsAsync(pool.request('POST', '/', options), { instanceOf: TypeError, code: 'ERR_INVALID_OPTION', message });
  for (const given of ['x', '', new Uint8Array(0)]) {
    await raises(
      { body: given, fields: { a: '1' } },
      /^request got values for both 'fields' and 'body', can only specify one\.$/,
    );
    await raises({ body: given, json: {} }, /'body' and 'json' parameters which are mutually exclusive$/);
  }
  await raises({ json: 0, fields: { a: '1' } }, /'fields' and 'json'/);
  t.is(count(), 0);
  await pool.request('POST', '/', { body: '', json: null });
  await pool.request('GET', '/', { body: 'x', fields: { a: '1' } });
  t.is(count(), 2);
});

interface JsonCase {
  json: unknown;
  headers: Record<string, string> | null;
  value?: { body: string; headers: [string, string][] };
}

/** ≠: what JSON.stringify makes of the values; Python's text, or its error, beside it. */
const OTHER_JSON: readonly [name: string, value: (json: unknown) => boolean, ours: string][] = [
  ['NaN is null', (json) => json === 'nan', 'null'],
  ['Infinity is null', (json) => json === 'inf', 'null'],
  ['half a surrogate pair is escaped', (json) => json === '\ud800', String.raw`"\ud800"`],
  ['a number is a double', (json) => json === Number('12345678901234567890'), '12345678901234567000'],
];

test('REQ-07: json is compact UTF-8, with a type unless the headers name one', async (t) => {
  const { pool, last } = await bench(t);
  const different = new Set<string>();
  for (const given of vectors<JsonCase>('json-body.json')) {
    const other = OTHER_JSON.find(([, is]) => is(given.json));
    if (other !== undefined) different.add(other[0]);
    const json = given.json === 'nan' ? NaN : given.json === 'inf' ? Infinity : given.json;
    const headers = given.headers === null ? null : Object.freeze({ ...given.headers });
    await pool.request('POST', '/', { json, headers });
    const sent = Buffer.from(body(last()), 'latin1').toString('utf8');
    const expected = other?.[2] ?? Buffer.from(given.value?.body ?? '', 'base64').toString('utf8');
    t.is(sent, expected);
    const own = lines(last()).slice(5);
    const typed: [string, string] = ['Content-Type', 'application/json'];
    const fields = given.value?.headers ?? [
      ...Object.entries(headers ?? {}),
      ...(headers?.['content-Type'] ? [] : [typed]),
    ];
    t.deepEqual(
      own,
      fields.map(([name, value]) => `${name}: ${value}`),
    );
    t.true(lines(last()).includes(`Content-Length: ${Buffer.byteLength(expected)}`));
  }
  t.is(different.size, OTHER_JSON.length);
});

test('REQ-07: json null is no body, and a type of the pool’s headers counts', async (t) => {
  const { pool, last } = await bench(t, { headers: { 'content-type': 'application/vnd.x+json' } });
  await pool.request('GET', '/', { json: null });
  t.deepEqual([body(last()), lines(last()).length], ['', 5]);
  await pool.request('POST', '/', { json: { a: 1 } });
  t.deepEqual(
    lines(last()).filter((line) => /^content-type/i.test(line)),
    ['content-type: application/vnd.x+json'],
  );
  for (const json of [() => 1, Symbol('x')]) {
    await t.throwsAsync(pool.request('POST', '/', { json }), { instanceOf: TypeError, code: 'ERR_INVALID_BODY' });
  }
  const circular: { self?: unknown } = {};
  circular.self = circular;
  await t.throwsAsync(pool.request('POST', '/', { json: circular }), { instanceOf: TypeError });
  await t.throwsAsync(pool.request('POST', '/', { json: 1n }), { instanceOf: TypeError });
});

test('REQ-08, REQ-09: a request’s headers replace the pool’s, and nobody’s are changed', async (t) => {
  const given = new HTTPHeaderDict({ 'X-Pool': '1', 'User-Agent': 'pool/1' });
  const { pool, last } = await bench(t, { headers: given });
  const before = String(given);
  const own = { 'X-Own': '2' };
  for (const method of ['request', 'requestEncodeUrl', 'requestEncodeBody', 'urlopen'] as const) {
    await pool[method]('GET', '/');
    t.deepEqual(lines(last()).slice(3), ['X-Pool: 1', 'User-Agent: pool/1']);
    await pool[method]('GET', '/', { headers: null });
    t.deepEqual(lines(last()).slice(3), ['X-Pool: 1', 'User-Agent: pool/1']);
    await pool[method]('GET', '/', { headers: own });
    const [agent, ...rest] = lines(last()).slice(3);
    t.regex(agent ?? '', AGENT);
    t.deepEqual(rest, ['X-Own: 2']);
    await pool[method]('GET', '/', { headers: {} });
    t.is(lines(last()).length, 4);
  }
  await pool.request('POST', '/', { json: 1 });
  await pool.request('POST', '/', { json: 1, headers: own });
  t.deepEqual(own, { 'X-Own': '2' });
  t.is(String(given), before);
  t.is(String(pool.headers), before);
  pool.headers.set('X-Pool', 'changed');
  given.set('X-Pool', 'changed');
  await pool.request('GET', '/');
  t.true(lines(last()).includes('X-Pool: 1'));
});

test('REQ-08: a pool’s headers may come from what can be read once', async (t) => {
  const once = new Map([['X-Once', '1']]).entries();
  const { pool, last } = await bench(t, { headers: once });
  t.is(pool.headers.get('x-once'), '1');
  await pool.request('GET', '/');
  t.true(last().includes('\r\nX-Once: 1\r\n'));
});

test('HDR-02: Host has no default port, no final dot, and brackets around an IPv6 address', async (t) => {
  const { pool, port, last } = await bench(t);
  await pool.close();
  for (const [host, field] of [
    ['LocalHost.', `localhost:${port}`],
    ['Some.Example.', `some.example:${port}`],
    ['[::1]', `[::1]:${port}`],
    ['127.1', `127.0.0.1:${port}`],
  ] as const) {
    const one = new HTTPConnectionPool(host, {
      port,
      resolve: { 'some.example.': '127.0.0.1', 'localhost.': '127.0.0.1', '::1': '127.0.0.1' },
    });
    await one.request('GET', '/');
    t.is(lines(last())[1], `Host: ${field}`);
    await one.close();
  }
  // The default port, 80, without being allowed to listen there.
  const plain = new HTTPConnectionPool('some.example', { resolve: { 'some.example': `127.0.0.1:${port}` } });
  await plain.request('GET', '/');
  t.is(lines(last())[1], 'Host: some.example');
  await plain.close();
});

test('HDR-03: SKIP_HEADER leaves out a default of the pool’s or the request’s headers', async (t) => {
  const { pool, last } = await bench(t, {
    headers: { 'USER-agent': SKIP_HEADER, 'accept-Encoding': SKIP_HEADER, A: '1' },
  });
  await pool.request('GET', '/');
  t.deepEqual(lines(last()).slice(2), ['A: 1']);
  await pool.request('GET', '/', { headers: { host: SKIP_HEADER, B: '2' } });
  t.is(lines(last()).filter((line) => /^host/i.test(line)).length, 0);
  t.true(lines(last()).includes('Accept-Encoding: identity'));
  const error = await t.throwsAsync(pool.request('GET', '/', { headers: { Cookie: SKIP_HEADER } }), invalidHeader);
  t.regex(error?.message ?? '', /'Accept-Encoding', 'Host', 'User-Agent', not 'Cookie'/);
  await t.throwsAsync(pool.request('GET', '/', { headers: { 'X-Trace': null } }), {
    ...invalidHeader,
    message: /^SKIP_HEADER \(or null\) only supports .*, not 'X-Trace'$/,
  });
  t.throws(() => new HTTPConnectionPool('h', { headers: { Cookie: SKIP_HEADER } }), invalidHeader);
});

test('HDR-04, THR-503: bytes and numbers are values, every byte above 0x7F goes out as it is', async (t) => {
  const { pool, last } = await bench(t);
  const high = Uint8Array.from({ length: 128 }, (_, at) => at + 128);
  const elsewhere = runInNewContext('new Uint8Array([97, 98])') as Uint8Array;
  await pool.request('GET', '/', {
    headers: {
      Latin: 'é',
      Bytes: high,
      Utf8: Buffer.from('日本'),
      N: 42,
      List: ['a', Buffer.from('b'), 3],
      Else: elsewhere,
    },
  });
  const sent = new Map(
    lines(last())
      .slice(1)
      .map((line) => line.split(': ', 2) as [string, string]),
  );
  t.is(sent.get('Latin'), '\xe9');
  t.deepEqual(Buffer.from(sent.get('Bytes') ?? '', 'latin1'), Buffer.from(high));
  t.is(Buffer.from(sent.get('Utf8') ?? '', 'latin1').toString(), '日本');
  t.is(sent.get('N'), '42');
  t.is(sent.get('Else'), 'ab');
  t.deepEqual(
    lines(last()).filter((line) => line.startsWith('List')),
    ['List: a', 'List: b', 'List: 3'],
  );
  for (const headers of [{ X: '日本' }, { X: 'a\u0100' }, { X: '\ud83d\ude00' }, { X: '\ud800' }, { 'X-日': '1' }]) {
    await t.throwsAsync(pool.request('GET', '/', { headers }), invalidHeader, JSON.stringify(headers));
    t.throws(() => new HTTPConnectionPool('h', { headers }), invalidHeader, JSON.stringify(headers));
  }
});

test('HDR-01, HDR-05: names keep their spelling and order, lines of one name stand together', async (t) => {
  const { pool, last } = await bench(t);
  const headers = new HTTPHeaderDict();
  headers
    .add('x-UPPER', '1')
    .add('Cookie', 'a')
    .add('X-b', '2')
    .add('COOKIE', 'b')
    .add('cookie', 'c', { combine: true });
  await pool.request('GET', '/', { headers });
  t.deepEqual(lines(last()).slice(4), ['x-UPPER: 1', 'Cookie: a', 'Cookie: b, c', 'X-b: 2']);
  await pool.request('POST', '/', { body: 'x', headers: { b: '1', A: '2', 'c-D': '3' } });
  t.deepEqual(
    lines(last()).map((line) => line.split(':')[0]),
    ['POST / HTTP/1.1', 'Host', 'Accept-Encoding', 'Content-Length', 'User-Agent', 'b', 'A', 'c-D'],
  );
});

test('HDR-07: compression is asked for by makeHeaders, by a header, or by the pool’s acceptEncoding', async (t) => {
  const { pool, last } = await bench(t);
  const asked = (): string | undefined => lines(last()).find((line) => /^accept-encoding/i.test(line));
  await pool.request('GET', '/');
  t.is(asked(), 'Accept-Encoding: identity');
  await pool.request('GET', '/', {
    headers: makeHeaders({ acceptEncoding: true, keepAlive: true, userAgent: 'mine/1', basicAuth: 'u:p' }),
  });
  t.is(asked(), `accept-encoding: ${ACCEPT_ENCODING}`);
  t.true(last().includes('\r\nuser-agent: mine/1\r\n') && last().includes('\r\nauthorization: Basic dTpw\r\n'));
  t.true(last().includes('\r\nconnection: keep-alive\r\n'));
  for (const [acceptEncoding, expected] of [
    [true, 'gzip,deflate,br,zstd'],
    [false, 'identity'],
    ['br;q=1, *;q=0', 'br;q=1, *;q=0'],
  ] as const) {
    const one = await bench(t, { acceptEncoding });
    await one.pool.request('GET', '/');
    t.is(lines(one.last())[2], `Accept-Encoding: ${expected}`);
    await one.pool.request('GET', '/', { headers: { 'accept-encoding': 'zstd' } });
    t.deepEqual(
      lines(one.last()).filter((line) => /^accept-encoding/i.test(line)),
      ['accept-encoding: zstd'],
    );
  }
  t.throws(() => new HTTPConnectionPool('h', { acceptEncoding: 'a\r\nb' }), invalidHeader);
});

test('HDR-06, WART-13, THR-503: of the bytes 0 to 255 only token bytes are sent in a name, only visible ones and blanks in a value', async (t) => {
  const { pool, last, count } = await bench(t);
  let sent = 0;
  for (let code = 0; code < 256; code += 1) {
    const c = String.fromCharCode(code);
    const name = `X${c}Y`;
    if (/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) {
      await pool.request('GET', '/', { headers: { [name]: '1' } });
      t.deepEqual(lines(last()).slice(4), [`${name}: 1`]);
      sent += 1;
    } else {
      await t.throwsAsync(pool.request('GET', '/', { headers: { [name]: '1' } }), invalidHeader, JSON.stringify(name));
      t.throws(() => new HTTPConnectionPool('h', { headers: { [name]: '1' } }), invalidHeader, JSON.stringify(name));
    }
    const value = `a${c}b`;
    for (const given of [value, Buffer.from(value, 'latin1'), ['ok', value]]) {
      const call = pool.request('GET', '/', { headers: { X: given } });
      if (code === 9 || (code >= 0x20 && code !== 0x7f)) {
        await call;
        t.is(lines(last()).at(-1), `X: ${value}`);
        t.is(lines(last()).length, Array.isArray(given) ? 6 : 5);
        sent += 1;
      } else {
        await t.throwsAsync(call, invalidHeader, JSON.stringify(value));
      }
    }
    if (code < 0x20 && code !== 9)
      t.throws(() => new HTTPConnectionPool('h', { headers: { X: value } }), invalidHeader);
  }
  t.is(count(), sent);
  await t.throwsAsync(pool.request('GET', '/', { headers: { '': 'x' } }), invalidHeader);
});

test('THR-503: a getter that changes its mind, and a source that lies, cannot smuggle a line', async (t) => {
  const { pool, last } = await bench(t);
  for (const other of ['1', Buffer.from('1')]) {
    let reads = 0;
    const headers = {
      get X(): string {
        reads += 1;
        return reads === 1 ? 'fine' : 'a\r\nInjected: 1';
      },
      other,
    };
    await pool.request('GET', '/', { headers }).catch((error: unknown) => t.like(error, invalidHeader));
    t.false(last().includes('Injected'));
  }
  const bytes = Buffer.from('fine');
  const call = pool.request('GET', '/', { headers: { X: bytes } });
  bytes.write('\r\n\r\n');
  await call;
  t.is(lines(last()).at(-1), 'X: fine');
});

test('THR-505, WART-12: a length that is not the body’s, or beside chunks, is refused before anything is sent', async (t) => {
  const { pool, last, count } = await bench(t);
  const refused: [headers: HeaderSource, options: RequestOptions][] = [
    [{ 'Content-Length': '3' }, { body: 'four' }],
    [{ 'content-length': '5' }, { body: 'four' }],
    [{ 'Content-Length': '1' }, {}],
    [{ 'Content-Length': '4', 'content-length': '4' }, { body: 'four' }],
    [
      [
        ['Content-Length', '4'],
        ['CONTENT-LENGTH', '3'],
      ],
      { body: 'four' },
    ],
    [{ 'Content-Length': '+4' }, { body: 'four' }],
    [{ 'Content-Length': '4, 4' }, { body: 'four' }],
    [{ 'Content-Length': ' 4' }, { body: 'four' }],
    [{ 'Content-Length': '0x4' }, { body: 'four' }],
    [{ 'Content-Length': '' }, {}],
    [{ 'Content-Length': '99999999999999999999' }, { body: 'four' }],
    [{ 'Content-Length': '4' }, { body: 'four', chunked: true }],
    [{ 'Content-Length': '4', 'Transfer-Encoding': 'chunked' }, { body: 'four' }],
    [{ 'Transfer-Encoding': 'gzip' }, { body: 'four' }],
    [{ 'Transfer-Encoding': 'chunked, gzip' }, { body: 'four' }],
    [{ 'Transfer-Encoding': 'identity' }, { body: 'four' }],
    [{ 'Transfer-Encoding': 'xchunked' }, { body: 'four', chunked: true }],
    [{ 'Transfer-Encoding': ['chunked', 'chunked'] }, { body: 'four' }],
  ];
  for (const [headers, options] of refused) {
    await t.throwsAsync(
      pool.request('POST', '/', { ...options, headers }),
      invalidHeader,
      JSON.stringify([headers, options]),
    );
  }
  t.is(count(), 0);
  await pool.request('POST', '/', { headers: { 'Content-Length': '4' }, body: 'four' });
  t.deepEqual(
    lines(last()).filter((line) => /length|transfer/i.test(line)),
    ['Content-Length: 4'],
  );
  await pool.request('POST', '/', { headers: { 'content-length': '0' } });
  t.is(body(last()), '');
});

test('BODY-12: the caller’s own Transfer-Encoding is the one line, and the body is chunked', async (t) => {
  const { pool, last } = await bench(t);
  for (const [headers, chunked] of [
    [{ 'transfer-encoding': 'CHUNKED' }, false],
    [{ 'Transfer-Encoding': 'gzip, chunked' }, true],
  ] as const) {
    await pool.request('PUT', '/', { headers, chunked, body: Buffer.alloc(300, 'y') });
    t.deepEqual(
      lines(last()).slice(4),
      Object.entries(headers).map((line) => line.join(': ')),
    );
    t.is(lines(last()).filter((line) => /transfer-encoding|content-length/i.test(line)).length, 1);
    t.is(body(last()), `12c\r\n${'y'.repeat(300)}\r\n0\r\n\r\n`);
  }
});

test('THR-506: Host is sent once, the fields of the connection are refused, and Connection: close is obeyed', async (t) => {
  const { pool, last, count } = await bench(t);
  for (const headers of [
    { TE: 'trailers' },
    { upgrade: 'websocket' },
    { 'Keep-Alive': 'timeout=5' },
    { 'Proxy-Connection': 'keep-alive' },
    { Expect: '100-continue' },
    { Connection: 'upgrade' },
    { Connection: 'close, TE' },
    { Host: 'a', host: 'b' },
    { Host: ['a', 'b'] },
  ]) {
    await t.throwsAsync(pool.request('GET', '/', { headers }), invalidHeader, JSON.stringify(headers));
    t.throws(() => new HTTPConnectionPool('h', { headers }), invalidHeader, JSON.stringify(headers));
  }
  t.is(count(), 0);
  await pool.request('GET', '/', { headers: { host: 'other.example' } });
  t.deepEqual(
    lines(last()).filter((line) => /^host/i.test(line)),
    ['host: other.example'],
  );
  await pool.request('GET', '/', { headers: { Connection: 'keep-alive' } });
  t.true(lines(last()).includes('Connection: keep-alive'));
  t.is(pool.numConnections, 1);
  await pool.request('GET', '/', { headers: { connection: 'Close' } });
  t.true(lines(last()).includes('connection: Close'));
  t.deepEqual([pool.stats().idle, pool.stats().closed], [0, 1]);
  await pool.request('GET', '/');
  t.is(pool.numConnections, 2);
});

test('BODY-09, BODY-10: chunked sends chunks, the whole as one, and its end without a body too', async (t) => {
  const { pool, last } = await bench(t);
  for (const method of ['GET', 'POST', 'DELETE', 'X']) {
    await pool.request(method, '/', { chunked: true });
    t.is(body(last()), '0\r\n\r\n', method);
    await pool.request(method, '/', { chunked: true, body: 'x'.repeat(31) });
    t.is(body(last()), `1f\r\n${'x'.repeat(31)}\r\n0\r\n\r\n`, method);
    t.deepEqual(
      lines(last()).filter((line) => /length|transfer/i.test(line)),
      ['Transfer-Encoding: chunked'],
      method,
    );
  }
});

test('REQ-14: a server that answers and is gone before it has read the body is heard all the same', async (t) => {
  const server = await rawServer(async (peer) => {
    await peer.bytes(100);
    peer.socket.pause();
    await peer.write(reply('no', 'HTTP/1.1 413 Too Large\r\nConnection: close\r\n'));
    peer.socket.destroy();
  });
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port });
  t.teardown(async () => {
    await pool.close();
    await server.close();
  });
  for (let n = 1; n <= 5; n += 1) {
    const response = await pool.request('POST', '/', { body: Buffer.alloc(32 * 1024 * 1024) });
    t.deepEqual([response.status, response.text()], [413, 'no']);
    t.deepEqual([pool.numConnections, pool.pool?.idle], [n, 0]);
  }
});

test('REQ-18: a body of another kind is a TypeError that names what may be one', async (t) => {
  const { pool, count } = await bench(t);
  for (const wrong of [3, true, {}, Symbol('x'), 3n, new Date(), /x/]) {
    const error = await t.throwsAsync(pool.request('POST', '/', { body: wrong as unknown as string }), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_BODY',
    });
    t.regex(error?.message ?? '', /^'body' must be a string, bytes .* or iterable\. Instead was an? \w+$/);
  }
  t.is(count(), 0);
});

test('THR-1115: a body is what it was when the call was made; memory that is gone is a TypeError', async (t) => {
  const server = await httpServer((request, response) => request.pipe(response));
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, maxsize: 4, block: true });
  t.teardown(async () => {
    await pool.close();
    await server.close();
  });
  const post = async (body: RequestOptions['body'], after: () => void): Promise<Buffer> => {
    const call = pool.request('POST', '/', { body: body ?? null });
    after();
    return (await call).data;
  };
  for (const size of [10, 10_000, 1_000_000]) {
    const expected = Buffer.alloc(size, 'a');
    const changed = Buffer.alloc(size, 'a');
    t.true(expected.equals(await post(changed, () => changed.fill('b'))));
    const moved = new Uint8Array(size).fill(0x61).buffer;
    t.true(expected.equals(await post(moved, () => structuredClone(moved, { transfer: [moved] }))));
    const gone = new ArrayBuffer(size);
    const views = [gone, new Uint8Array(gone), new DataView(gone), new Float32Array(gone, 0, 1), Buffer.from(gone)];
    structuredClone(gone, { transfer: [gone] });
    for (const view of views) {
      await t.throwsAsync(pool.request('POST', '/', { body: view }), {
        instanceOf: TypeError,
        code: 'ERR_INVALID_BODY',
      });
    }
    const shared = new Uint8Array(new SharedArrayBuffer(size)).fill(0x61);
    t.true(expected.equals(await post(shared, () => shared.fill(0x62))));
    t.true(expected.equals(await post(shared.fill(0x61).buffer, () => shared.fill(0x62))));
    const growing = new (ArrayBuffer as unknown as new (
      length: number,
      options: object,
    ) => ArrayBuffer & { resize(n: number): void })(size, {
      maxByteLength: size * 2,
    });
    new Uint8Array(growing).fill(0x61);
    t.true(expected.equals(await post(new Uint8Array(growing), () => growing.resize(1))));
    t.is((await post(new Uint8Array(growing), () => growing.resize(0))).length, 1);
  }
  const pair = new Uint16Array([0x6161, 0x6262, 0x6363]);
  t.is((await post(pair.subarray(1), () => {})).toString(), 'bbcc');
  t.is((await post(new DataView(pair.buffer, 1, 2), () => {})).toString(), 'ab');
});

test('THR-510: user info, credentials and queries are in no target, Host, url, message or figure', async (t) => {
  const { pool, port, last } = await bench(t);
  const found: string[] = [];
  const tell = (what: unknown): void => void found.push(typeof what === 'string' ? what : inspect(what, { depth: 9 }));
  const response = await pool.request('GET', `http://user:hunter2@127.0.0.1:${port}/p`);
  for (const seen of [last(), response.url, response, pool, pool.stats(), response.connection]) tell(seen);
  const fails: [url: string, options: RequestOptions][] = [
    ['http://user:hunter2@evil.example/?hunter2', {}],
    ['//user:hunter2@evil.example/', {}],
    ['http://user:hunter2@evil.example:foo/', { assertSameHost: false }],
    ['ftp://user:hunter2@h/', { assertSameHost: false }],
    ['http://user:hunter2@[::1/', { assertSameHost: false }],
    ['http://user:hunter2@a b/', { assertSameHost: false }],
    ['/', { headers: { Authorization: 'Bearer hunter2\n' } }],
    ['/', { headers: { cookie: 'sid=hunter2\0' } }],
    ['/', { headers: { 'Proxy-Authorization': 'hunter2\r' } }],
    ['/', { headers: { authorization: 'hunter2\u0100' } }],
    ['/', { headers: { authorization: { hunter2: 1 } as unknown as string } }],
    ['/', { body: { hunter2: 1 } as unknown as string }],
    ['/?hunter2', { signal: null, timeout: 'hunter2' as unknown as number }],
  ];
  for (const [url, options] of fails) {
    const error = await t.throwsAsync(pool.request('GET', url, options));
    tell(`${error?.message} ${error?.stack}`);
    tell(JSON.stringify(error));
  }
  const closed = new HTTPConnectionPool('127.0.0.1', { port: 1 });
  const refused = await t.throwsAsync(
    closed.request('GET', 'http://u:hunter2@127.0.0.1:1/?hunter2', { headers: { Cookie: 'hunter2' } }),
  );
  tell(`${refused?.message} ${refused?.stack} ${JSON.stringify(refused)}`);
  tell(closed.stats());
  await closed.close();
  // The stack of this very file holds no secret either: each text stands for itself.
  for (const text of found) t.false(text.includes('hunter2'), text);
});

test('THR-522: what a polluted prototype holds is no option of a pool, a request or a close', async (t) => {
  const polluted: Record<string, unknown> = {
    port: 1,
    maxsize: 'evil',
    block: 'evil',
    maxWaiting: -1,
    timeout: -1,
    headers: { Evil: '1' },
    acceptEncoding: 'evil',
    localAddress: 'evil',
    unixSocket: '/evil',
    socketOptions: 'evil',
    idleTimeout: -1,
    maxAge: -1,
    maxRequestsPerConnection: -1,
    lenient: 'evil',
    limits: 'evil',
    headerBytes: -1,
    decoded: 0,
    resolve: { '127.0.0.1': '127.0.0.2:1' },
    '127.0.0.1': '127.0.0.2:1',
    retries: 'evil',
    proxy: 'http://127.0.0.1:1',
    proxyHeaders: 'evil',
    proxyConfig: 'evil',
    interface: 'evil',
    denyAddresses: 'evil',
    username: 'evil',
    fields: { evil: '1' },
    json: { evil: 1 },
    body: 'evil',
    poolTimeout: -1,
    decodeContent: 'evil',
    enforceContentLength: 'evil',
    assertSameHost: 'evil',
    chunked: true,
    signal: AbortSignal.abort(),
    redirect: 'evil',
    preloadContent: false,
    Evil: '1',
    concurrency: -1,
    method: 'EVIL',
    url: '/evil',
    idle: -1,
    interval: -1,
    address: 'evil',
    noDelay: 'evil',
    connect: -1,
    read: -1,
    total: -1,
  };
  const { port, last } = await bench(t);
  /** Only while our own code runs: Node reads options of its own in between. */
  const underneath = <T>(work: () => T): T => {
    const prototype = Object.prototype as Record<string, unknown>;
    try {
      Object.assign(prototype, polluted);
      return work();
    } finally {
      for (const name of Object.keys(polluted)) delete prototype[name];
    }
  };
  const options: PoolOptions = {
    port,
    resolve: {},
    limits: {},
    keepAlive: {},
    socketOptions: {},
    timeout: {},
    headers: {},
  };
  const pool = underneath(() => new HTTPConnectionPool('127.0.0.1', options));
  for (const call of [
    () => pool.request('GET', '/'),
    () => pool.request('GET', '/', {}),
    () => pool.urlopen('GET', '/', {}),
    () => pool.requestEncodeUrl('GET', '/', { headers: {}, fields: {}, limits: {}, timeout: {} }),
    async () => {
      const settled = pool.requestMany([{ url: '/' }], {});
      const next = underneath(() => settled.next());
      const { value } = (await next) as { value: { ok: true; response: { status: number } } };
      await settled.return?.();
      return value.response;
    },
  ]) {
    t.is((await underneath(call)).status, 200);
    t.deepEqual([lines(last())[0], lines(last())[1]], ['GET / HTTP/1.1', `Host: 127.0.0.1:${port}`]);
    t.is(lines(last()).length, 4, last());
    t.is(body(last()), '');
  }
  t.like(await underneath(() => pool.close({})), { closed: 1, forced: 0 });
});

test('THR-522: nor is it one of a manager, or an answer of the core', async (t) => {
  const { port, last } = await bench(t);
  const evil = (): never => {
    throw new Error('evil');
  };
  const jar = { getCookieString: () => 'evil=1', setCookie: evil };
  const polluted: Record<string, unknown> = {
    ...Object.fromEntries(MANAGER_NAMES.map((name) => [name, 'evil'])),
    maxTotalConnections: -1,
    jar,
    beforeAttempt: evil,
    onPause: evil,
    error: { code: 'ERR_EVIL' },
    rethrow: 'evil',
    value: 'evil',
  };
  const prototype = Object.prototype as Record<string, unknown>;
  const underneath = <T>(work: () => T): T => {
    try {
      Object.assign(prototype, polluted);
      return work();
    } finally {
      for (const name of Object.keys(polluted)) delete prototype[name];
    }
  };
  const manager = underneath(() => new PoolManager({}));
  t.is((await underneath(() => manager.request('GET', `http://127.0.0.1:${port}/`))).status, 200);
  t.is(lines(last()).length, 4, last());
  t.is(underneath(() => manager.connectionFromUrl(`http://127.0.0.1:${port}/`)).port, port);
  t.is(underneath(() => parseUrl('http://a/')).host, 'a');
  t.is(
    underneath(() => proxyFromEnv('http://a/', { http_proxy: 'http://b:1' })),
    'http://b:1',
  );
  t.is(underneath(() => new Retry({ total: 2 }).increment('GET', '/', { error: new Error('x') })).total, 1);
  await underneath(() => manager.close());
});

test('thousands of header lines keep their spelling, and more than a message can have are refused', async (t) => {
  const { pool, last, count } = await bench(t);
  const numbered = (count: number): [string, string][] => Array.from({ length: count }, (_, n) => [`x-${n}`, 'v']);
  await pool.request('GET', '/', { headers: numbered(1_500) });
  t.true(lines(last()).includes('x-1499: v'));
  const expected = { name: 'InvalidHeader', code: 'ERR_INVALID_HEADER' };
  const same = Array.from({ length: 70_000 }, (): [string, string] => ['x', 'v']);
  for (const headers of [numbered(40_000), same]) {
    await t.throwsAsync(pool.request('GET', '/', { headers }), expected);
    t.throws(() => new HTTPConnectionPool('127.0.0.1', { headers }), expected);
  }
  t.is(count(), 1);
});

test('a message shows neither the value of a header nor the user info of a host', async (t) => {
  const { pool } = await bench(t);
  for (const name of ['Authorization', 'X-Api-Key']) {
    const error = await t.throwsAsync(pool.request('GET', '/', { headers: { [name]: 'secret\n' } }));
    t.is(error?.message, `Invalid value of header '${name}': byte 6 (counted from 0) is a control character (0x0A)`);
  }
  for (const host of ['u:secret@h', 'http://u:secret@h', 'u:secret@h\n', 'u:secret@h h']) {
    const error = t.throws(() => new HTTPConnectionPool(host), { code: 'ERR_INVALID_URL' });
    t.notRegex(inspect(error), /secret/, host);
  }
});

/**
 * What is wrong is said before anything is done: constructors throw, methods reject, and no server ever hears of it.
 */
import { Readable } from 'node:stream';
import { inspect } from 'node:util';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import {
  connectionFromUrl,
  HTTPConnectionPool,
  makeHeaders,
  parseUrl,
  PoolManager,
  ProxyManager,
  request,
  Retry,
  Timeout,
} from '../index.ts';
import { Batch } from '../facade/boundary/marshal.ts';
import type { PoolOptions, RequestOptions } from '../index.ts';
import { answers, rawServer, reply } from './servers/raw.ts';
import { served } from './support/fixtures.ts';

const type = { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' };
const range = { instanceOf: RangeError, code: 'ERR_INVALID_OPTION' };

/** A pool whose server must see nothing. */
async function unheard(t: ExecutionContext, options: PoolOptions = {}): Promise<HTTPConnectionPool> {
  const server = await rawServer(answers(reply('')));
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, ...options });
  t.teardown(async () => {
    const { opened, requests } = pool.stats();
    await pool.close();
    await server.close();
    if (opened + requests + server.peers.length > 0) throw new Error('something was sent');
  });
  return pool;
}

test('a Promise that was not awaited and a stream among the fields are named', async (t) => {
  const pool = await unheard(t);
  const body = { body: Promise.resolve('x') } as unknown as RequestOptions;
  await t.throwsAsync(pool.request('POST', '/', body), {
    code: 'ERR_INVALID_BODY',
    message: /a Promise, which was not awaited/,
  });
  const fields = { fields: { file: ['a.txt', Readable.from(['x'])] } } as unknown as RequestOptions;
  await t.throwsAsync(pool.request('POST', '/', fields), { ...type, message: /openAsBlob/ });
});

const shown = (value: unknown): string => inspect(value);

test('the wrong type for a pool’s option is a TypeError that names the option', (t) => {
  const wrong: [options: unknown, named: RegExp][] = [
    [{ port: '80' }, /^port is an integer, not a string$/],
    [{ maxsize: '5' }, /^maxsize is/],
    [{ maxsize: null }, /^maxsize is an integer, not null$/],
    [{ block: 1 }, /^block is a boolean, not a number$/],
    [{ block: 'false' }, /^block is/],
    [{ maxWaiting: true }, /^maxWaiting is/],
    [{ acceptEncoding: ['gzip'] }, /^acceptEncoding is/],
    [{ localAddress: 1 }, /^localAddress is/],
    [{ localAddress: {} }, /^localAddress\.address is/],
    [{ localAddress: { address: '127.0.0.1', host: 'x' } }, /localAddress has no option 'host'/],
    [{ unixSocket: 1 }, /^unixSocket is/],
    [{ unixSocket: '' }, /^unixSocket is/],
    [{ socketOptions: [] }, /^socketOptions is/],
    [{ socketOptions: { noDelay: 1 } }, /^socketOptions\.noDelay is/],
    [{ socketOptions: { nodelay: true } }, /socketOptions has no option 'nodelay'; did you mean 'noDelay'\?/],
    [{ keepAlive: 'yes' }, /^keepAlive is/],
    [{ keepAlive: { idle: '1' } }, /^keepAlive\.idle is/],
    [{ idleTimeout: '10' }, /^idleTimeout is/],
    [{ maxAge: null }, /^maxAge is/],
    [{ maxRequestsPerConnection: '1' }, /^maxRequestsPerConnection is/],
    [{ lenient: 0 }, /^lenient is/],
    [{ limits: 5 }, /^limits is/],
    [{ limits: { decoded: '1' } }, /^limits\.decoded is/],
    [{ limits: { headers: 1 } }, /limits has no option 'headers'/],
    [{ resolve: 'x' }, /^resolve is/],
    [{ resolve: { h: 1 } }, /^resolve\['h'\] is/],
    [{ timeout: {}, maxsize: {} }, /^maxsize is/],
  ];
  for (const [options, message] of wrong) {
    t.throws(() => new HTTPConnectionPool('h', options as PoolOptions), { ...type, message }, shown(options));
  }
  for (const options of [null, 5, 'x', [], true]) {
    t.throws(() => new HTTPConnectionPool('h', options as unknown as PoolOptions), type, shown(options));
    t.throws(() => connectionFromUrl('http://h/', options as unknown as PoolOptions), type, shown(options));
  }
  for (const host of [1, {}, ['h'], true, Symbol('h')])
    t.throws(() => new HTTPConnectionPool(host as unknown as string), type);
  t.throws(() => connectionFromUrl(3 as unknown as string), { instanceOf: TypeError, code: 'ERR_INVALID_URL' });
});

test('a number out of range is a RangeError, and a second count says what was meant', (t) => {
  const wrong: [options: PoolOptions, message: RegExp][] = [
    [{ port: -1 }, /^port is an integer from 0 to 65535, not -1$/],
    [{ port: 65_536 }, /^port is/],
    [{ port: 80.5 }, /^port is/],
    [{ port: NaN }, /^port is/],
    [{ maxsize: 0 }, /^maxsize is an integer from 1 /],
    [{ maxsize: -1 }, /^maxsize is/],
    [{ maxsize: Infinity }, /^maxsize is/],
    [{ maxWaiting: -1 }, /^maxWaiting is/],
    [{ maxRequestsPerConnection: 1.5 }, /^maxRequestsPerConnection is/],
    [{ idleTimeout: -1 }, /^idleTimeout is at least 0/],
    [{ idleTimeout: NaN }, /^idleTimeout is/],
    [{ idleTimeout: 0.5 }, /milliseconds; 0\.5 s would be 500$/],
    [{ maxAge: 0.25 }, /milliseconds; 0\.25 s would be 250$/],
    [{ keepAlive: { idle: 0.9 } }, /milliseconds; 0\.9 s would be 900$/],
    [{ keepAlive: { count: 0 } }, /^keepAlive\.count is/],
    [{ socketOptions: { receiveBuffer: 0 } }, /^socketOptions\.receiveBuffer is/],
    [{ localAddress: { address: '127.0.0.1', port: 65_536 } }, /^localAddress\.port is/],
    [{ limits: { headerBytes: 0 } }, /^limits\.headerBytes is/],
    [{ limits: { decoded: -1 } }, /^limits\.decoded is/],
    [{ limits: { ratio: 0 } }, /^limits\.ratio is greater than 0/],
    [{ limits: { codings: 6 } }, /^limits\.codings is/],
  ];
  for (const [options, message] of wrong) {
    t.throws(() => new HTTPConnectionPool('h', options), { ...range, message }, shown(options));
  }
  t.throws(() => new HTTPConnectionPool('h', { timeout: 0.5 }), {
    instanceOf: RangeError,
    code: 'ERR_INVALID_TIMEOUT',
    message: /milliseconds; 0\.5 s would be 500$/,
  });
});

test('an unknown option of a pool is refused with the nearest name', (t) => {
  for (const [name, near] of [
    ['maxSize', 'maxsize'],
    ['max_size', 'maxsize'],
    ['timeOut', 'timeout'],
    ['header', 'headers'],
    ['acceptEncodng', 'acceptEncoding'],
    ['idleTimeOut', 'idleTimeout'],
    ['prot', 'port'],
  ] as const) {
    const message = `a pool has no option '${name}'; did you mean '${near}'?`;
    t.throws(() => new HTTPConnectionPool('h', { [name]: 1 }), { ...type, message });
  }
  t.throws(() => new HTTPConnectionPool('h', { cookies: true } as PoolOptions), {
    ...type,
    message: "a pool has no option 'cookies'; docs/options.md lists what it has",
  });
});

test('REQ-18: the wrong type for a request’s option rejects with a TypeError, a number out of range with a RangeError', async (t) => {
  const pool = await unheard(t);
  const wrong: [options: unknown, code: string, kind: typeof TypeError | typeof RangeError][] = [
    [{ fields: 'a=1' }, 'ERR_INVALID_OPTION', TypeError],
    [{ fields: 3 }, 'ERR_INVALID_OPTION', TypeError],
    [{ fields: [['a']] }, 'ERR_INVALID_OPTION', TypeError],
    [{ fields: [['a', '1', '2']] }, 'ERR_INVALID_OPTION', TypeError],
    [{ fields: [[1, '1']] }, 'ERR_INVALID_OPTION', TypeError],
    [{ fields: { a: {} } }, 'ERR_INVALID_OPTION', TypeError],
    [{ fields: { a: Symbol('x') } }, 'ERR_INVALID_OPTION', TypeError],
    [{ headers: 'a: 1' }, 'ERR_INVALID_HEADER', TypeError],
    [{ headers: { a: {} } }, 'ERR_INVALID_HEADER', TypeError],
    [{ headers: { a: true } }, 'ERR_INVALID_HEADER', TypeError],
    [{ headers: { a: Symbol('SKIP_HEADER') } }, 'ERR_INVALID_HEADER', TypeError],
    [{ headers: [['a', '1', '2']] }, 'ERR_INVALID_HEADER', TypeError],
    [{ body: 5 }, 'ERR_INVALID_BODY', TypeError],
    [{ timeout: 'soon' }, 'ERR_INVALID_TIMEOUT', TypeError],
    [{ timeout: { conect: 1 } }, 'ERR_INVALID_TIMEOUT', TypeError],
    [{ timeout: 0 }, 'ERR_INVALID_TIMEOUT', RangeError],
    [{ timeout: 0.5 }, 'ERR_INVALID_TIMEOUT', RangeError],
    [{ poolTimeout: '1' }, 'ERR_INVALID_TIMEOUT', TypeError],
    [{ poolTimeout: -1 }, 'ERR_INVALID_TIMEOUT', RangeError],
    [{ poolTimeout: NaN }, 'ERR_INVALID_TIMEOUT', RangeError],
    [{ poolTimeout: 0.5 }, 'ERR_INVALID_TIMEOUT', RangeError],
    [{ decodeContent: 1 }, 'ERR_INVALID_OPTION', TypeError],
    [{ enforceContentLength: null }, 'ERR_INVALID_OPTION', TypeError],
    [{ assertSameHost: 'no' }, 'ERR_INVALID_OPTION', TypeError],
    [{ chunked: 1 }, 'ERR_INVALID_OPTION', TypeError],
    [{ preloadContent: 'yes' }, 'ERR_INVALID_OPTION', TypeError],
    [{ limits: 1 }, 'ERR_INVALID_OPTION', TypeError],
    [{ limits: { wire: 'x' } }, 'ERR_INVALID_OPTION', TypeError],
    [{ limits: { wire: -1 } }, 'ERR_INVALID_OPTION', RangeError],
    [{ signal: {} }, 'ERR_INVALID_OPTION', TypeError],
    [{ signal: new EventTarget() }, 'ERR_INVALID_OPTION', TypeError],
    [{ foo: 1 }, 'ERR_INVALID_OPTION', TypeError],
    [null, 'ERR_INVALID_OPTION', TypeError],
    ['x', 'ERR_INVALID_OPTION', TypeError],
    [3, 'ERR_INVALID_OPTION', TypeError],
  ];
  for (const [options, code, instanceOf] of wrong) {
    for (const method of ['request', 'requestEncodeUrl', 'requestEncodeBody', 'urlopen'] as const) {
      const call = pool[method]('POST', '/', options as RequestOptions);
      // urlopen has no fields at all.
      const fields = method === 'urlopen' && typeof options === 'object' && options !== null && 'fields' in options;
      await t.throwsAsync(call, fields ? type : { code, instanceOf }, `${method} ${shown(options)}`);
    }
  }
  await t.throwsAsync(pool.request('GET', '/', { timeOut: 1 } as RequestOptions), {
    ...type,
    message: "a request has no option 'timeOut'; did you mean 'timeout'?",
  });
  await t.throwsAsync(pool.request('GET', '/', { poolTimeout: 0.5 }), {
    message: /milliseconds; 0\.5 s would be 500$/,
  });
  await t.throwsAsync(pool.urlopen('GET', '/', { json: {} } as RequestOptions), {
    ...type,
    message: /urlopen has no option 'json'; use request/,
  });
});

test('what other clients have an option for is told by its name here, of a request and of the module’s own', async (t) => {
  const pool = await unheard(t);
  const wrong: [names: string[], hint: RegExp][] = [
    [['retry', 'maxRetries'], /^did you mean 'retries'\?$/],
    [['params', 'query', 'searchParams', 'qs'], /^did you mean 'fields'\? requestEncodeUrl /],
    [['data', 'payload'], /^did you mean 'body'\? /],
    [['form', 'formData', 'files'], /^did you mean 'fields'\? A POST /],
    [
      ['followRedirect', 'followRedirects', 'maxRedirects', 'maxRedirections'],
      /^'redirect: false' .*new Retry\(\{ total: 3, redirect: 1 \}\)/,
    ],
    [['agent', 'dispatcher', 'httpAgent', 'httpsAgent', 'client'], /PoolManager of your own; .*'proxy'$/],
    [['auth', 'user', 'username', 'password'], /makeHeaders\(\{ basicAuth: "user:password" \}\)/],
    [['responseType', 'encoding'], /^a response has json\(\), text\(\) and data/],
    [['url', 'uri', 'method'], /^method and URL come before the options: request\(method, url, options\)$/],
    [['baseURL', 'baseUrl', 'prefixUrl'], /^connectionFromUrl makes/],
    [['validateStatus', 'throwHttpErrors', 'throwOnError'], /response\.raiseForStatus\(\)/],
    [['headersTimeout', 'bodyTimeout'], /^did you mean 'timeout'\?$/],
  ];
  for (const [names, hint] of wrong) {
    for (const name of names) {
      const options = { [name]: 1 } as RequestOptions;
      for (const [what, call] of [
        ['a request', pool.request('POST', '/', options)],
        ['request', request('POST', 'http://127.0.0.1:1/', options)],
      ] as const) {
        const { message } = await t.throwsAsync<Error>(call, type, name);
        const said = `${what} has no option '${name}'; `;
        t.true(message.startsWith(said), message);
        t.regex(message.slice(said.length), hint);
        t.true(message.length < 160, message);
      }
    }
  }
  // Elsewhere they mean something else, or nothing.
  t.throws(() => makeHeaders({ auth: 'a:b' } as {}), { ...type, message: /did you mean 'basicAuth'\?$/ });
  t.throws(() => new Retry({ maxRedirects: 3 } as {}), { ...type, message: /did you mean 'redirect'\?$/ });
  t.throws(() => new Timeout({ retry: 3 } as {}), {
    code: 'ERR_INVALID_TIMEOUT',
    message: /it has total, connect, read$/,
  });
  t.throws(() => new ProxyManager('http://h', { username: 'a' } as {}), { ...type, message: /stand in its URL: / });
  t.throws(() => new HTTPConnectionPool('h', { agent: 1 } as {}), { ...type, message: /PoolManager of your own/ });
  for (const [what, call] of [
    ['a request', pool.request('GET', '/', { xyzzy: 1 } as {})],
    ['urlopen', pool.urlopen('GET', '/', { xyzzy: 1 } as {})],
  ] as const) {
    await t.throwsAsync(
      call,
      { ...type, message: "a request has no option 'xyzzy'; docs/options.md lists what it has" },
      what,
    );
  }
  await t.throwsAsync(request('GET', '/', { xyzzy: 1 } as {}), { ...type, message: /; it has body, decodeContent, / });
});

test('a value of a wrong kind is told under the name that its option has, and what would be right', async (t) => {
  const pool = await unheard(t);
  const controller = new AbortController();
  const several = /; for several values of one name give pairs: \[\['a', 1\], \['a', 2\]\]$/;
  for (const [options, message] of [
    [{ retries: { total: 5 } }, 'retries takes a number, false, null or new Retry({ … }), not an object'],
    [{ retries: '5' }, 'retries takes a number, false, null or new Retry({ … }), not a string'],
    [{ retries: 1.5 }, 'retries is a whole number, not 1.5'],
    [{ signal: controller }, 'signal is an AbortSignal, not an AbortController: give its signal'],
    [{ timeout: -1 }, 'timeout is -1, but a time-out is greater than 0, or null for none'],
    [{ timeout: 0.5 }, 'timeout is 0.5, but time-outs are in milliseconds; 0.5 s would be 500'],
    [{ timeout: '100' }, 'timeout is a number of milliseconds, { connect, read, total } or null, not a string'],
    [{ timeout: { read: -1 } }, 'timeout.read is -1, but a time-out is greater than 0, or null for none'],
    [{ timeout: { total: '5' } }, 'timeout.total is a number of milliseconds or null, not a string'],
    [{ timeout: new Date() }, 'timeout is a number of milliseconds, { connect, read, total } or null, not a Date'],
    [{ limits: new Map() }, 'limits is an object, not a Map'],
    [
      { fields: { price: {} } },
      "the data of field 'price' is a string, a number, a boolean, bytes or a Blob, not an object",
    ],
    [{ fields: { a: ['1'] } }, several],
    [{ fields: { a: [1, 2] } }, several],
    [{ fields: { a: ['x', 'y', 'z', 'w'] } }, several],
    [{ fields: { a: [1, 2] }, encodeMultipart: false }, several],
    [{ fields: new URL('http://h/') }, /, not an instance of a class without any$/],
    [{ json: 1, fields: { a: 1 } }, "request got values for both 'fields' and 'json', can only specify one."],
    [{ body: '1', fields: { a: 1 } }, "request got values for both 'fields' and 'body', can only specify one."],
  ] as const) {
    await t.throwsAsync(pool.request('POST', '/', options as {}), { message }, shown(options));
  }
  await t.throwsAsync(pool.request('GET', '/', { fields: { a: [1, 2] } } as {}), { ...type, message: several });
  const message = 'a URL is a string, not a URL object: give its href';
  const url = new URL('http://127.0.0.1/') as unknown as string;
  for (const call of [pool.request('GET', url), request('GET', url)]) {
    await t.throwsAsync(call, { instanceOf: TypeError, code: 'ERR_INVALID_URL', message });
  }
  for (const call of [() => parseUrl(url), () => pool.isSameHost(url), () => connectionFromUrl(url)]) {
    t.throws(call, { instanceOf: TypeError, code: 'ERR_INVALID_URL', message });
  }
});

test('a pool’s option of a wrong kind is told all that would be right, under its own name', (t) => {
  for (const [options, message] of [
    [{ localAddress: 5 }, 'localAddress is an IP address, { address, port } or null, not a number'],
    [{ resolve: 5 }, 'resolve is an object of addresses, a function or null, not a number'],
    [{ resolve: new Map() }, 'resolve is an object of addresses, a function or null, not a Map'],
    [{ acceptEncoding: 5 }, 'acceptEncoding is a boolean or a string, not a number'],
    [{ keepAlive: null }, 'keepAlive is a boolean or { idle, interval, count }, not null'],
    [{ socketOptions: 5 }, 'socketOptions is an object or null, not a number'],
    [{ limits: [] }, 'limits is an object, not an array'],
    [{ proxyHeaders: 5 }, 'proxyHeaders are headers, an object, pairs, an HTTPHeaderDict or null, not a number'],
    [{ timeout: { connect: 0 } }, 'timeout.connect is 0, but a time-out is greater than 0, or null for none'],
  ] as const) {
    t.throws(() => new HTTPConnectionPool('h', options as {}), { message }, shown(options));
  }
  t.throws(() => new HTTPConnectionPool('h', { keepAlive: { count: 128 } }), {
    instanceOf: RangeError,
    message: 'keepAlive.count is an integer from 1 to 127, not 128',
  });
  t.throws(() => new Timeout({ read: 0 }), { message: /^read is 0,/ });
});

test('an option of another object, or of another client, is told whose it is and what it is called here', async (t) => {
  const pool = await unheard(t);
  const ofPools = 'It is an option of a pool or a manager';
  const ofTls = 'It is an option of an HTTPSConnectionPool or a manager';
  for (const [name, hint] of [
    ['maxsize', "'maxsize' is an option of a pool or a manager"],
    ['caCerts', "'caCerts' is an option of an HTTPSConnectionPool or a manager"],
    ['numPools', "'numPools' is an option of a manager"],
    ['decompress', "did you mean 'decodeContent'?"],
    ['strictContentLength', "did you mean 'enforceContentLength'?"],
    ['allowH2', `did you mean 'http2'? ${ofPools}`],
    ['socketPath', `did you mean 'unixSocket'? ${ofPools}`],
    ['rejectUnauthorized', `did you mean 'certReqs'? ${ofTls}`],
    ['ca', `did you mean 'caCerts'? ${ofTls}`],
    ['servername', `did you mean 'serverHostname'? ${ofTls}`],
    ['verify', `did you mean 'certReqs'? ${ofTls}`],
    ['cookieJar', "did you mean 'jar'? It is an option of a manager"],
    ['maxHeaderSize', "did you mean 'limits: { headerBytes }'?"],
  ] as const) {
    const message = `a request has no option '${name}'; ${hint}`;
    await t.throwsAsync(pool.request('GET', '/', { [name]: 1 }), { ...type, message });
  }
  for (const [name, hint] of [
    ['poolTimeout', "'poolTimeout' is an option of a request"],
    ['preloadContent', "'preloadContent' is an option of a request"],
    ['cookieJar', "did you mean 'jar'?"],
    ['maxHeaderSize', "did you mean 'limits: { headerBytes }'?"],
    ['maxResponseSize', "did you mean 'limits: { decoded }'? On the wire it is 'limits: { wire }'"],
    ['clientTtl', "did you mean 'maxAge'?"],
    ['maxRequestsPerClient', "did you mean 'maxRequestsPerConnection'?"],
    ['maxTotalSockets', "did you mean 'maxTotalConnections'?"],
    ['maxFreeSockets', "did you mean 'maxsize'?"],
    ['family', "addresses of both families are tried; 'resolve' of a pool or a manager may give those of one"],
    ['port', "a manager's requests name host and port in their URLs"],
  ] as const) {
    const message = `a manager has no option '${name}'; ${hint}`;
    t.throws(() => new PoolManager({ [name]: 1 }), { ...type, message });
  }
  t.throws(() => new HTTPConnectionPool('h', { poolTimeout: 5 } as {}), {
    ...type,
    message: /an option of a request$/,
  });
  t.throws(() => new HTTPConnectionPool('h', { jar: {} } as {}), {
    ...type,
    message: /'jar' is an option of a manager$/,
  });
  t.throws(() => new HTTPConnectionPool('h', { rejectUnauthorized: false } as {}), {
    ...type,
    message: /'certReqs'\?/,
  });
});

test('what is no object of options is refused, and does not pass for an empty one', async (t) => {
  const pool = await unheard(t);
  const manager = new PoolManager();
  t.teardown(() => manager.close());
  for (const [given, shownAs] of [
    [Promise.resolve({}), 'a Promise, which was not awaited'],
    [new Date(), 'a Date'],
    [new Map([['timeout', 5]]), 'a Map'],
    [new URL('http://h/'), 'a URL object'],
    [new Headers({ a: 'b' }), 'a Headers'],
    [new AbortController().signal, 'an AbortSignal'],
    [[], 'an array'],
  ] as const) {
    const options = given as {};
    const message = new RegExp(` takes an object of options, not ${shownAs}$`);
    for (const call of [
      () => pool.request('GET', '/', options),
      () => pool.requestEncodeBody('POST', '/', options),
      () => pool.urlopen('GET', '/', options),
      () => manager.request('GET', 'http://127.0.0.1:1/', options),
      () => request('GET', 'http://127.0.0.1:1/', options),
      () => pool.close(options),
    ]) {
      await t.throwsAsync(call, { ...type, message }, shownAs);
    }
    for (const call of [
      () => new HTTPConnectionPool('h', options),
      () => new PoolManager(options),
      () => connectionFromUrl('http://h', options),
      () => new Retry(options),
      () => new Retry().with(options),
      () => makeHeaders(options),
    ]) {
      t.throws(call, { ...type, message }, shownAs);
    }
    t.throws(() => new Timeout(options), { code: 'ERR_INVALID_TIMEOUT', message });
  }
  // Of one's own class, of another realm, of a module: what is there of its own counts.
  class Own {
    retries = 2;
  }
  t.notThrows(() => new HTTPConnectionPool('h', new Own()));
  t.notThrows(() => new HTTPConnectionPool('h', Object.create(null) as {}));
});

test('a json that cannot be written is told so, with what JSON said as the cause; what a toJSON throws is thrown', async (t) => {
  const pool = await unheard(t);
  const ring: { own?: unknown } = {};
  ring.own = ring;
  for (const [json, said] of [
    [1n, /BigInt/],
    [{ deep: [1n] }, /BigInt/],
    [ring, /circular/],
  ] as const) {
    const error = await t.throwsAsync(pool.request('POST', '/', { json }), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_BODY',
      message: /^'json' cannot be written as JSON: /,
    });
    t.true(error.cause instanceof TypeError);
    t.regex(error.message, said);
  }
  const own = new Error('mine');
  const thrower = {
    toJSON() {
      throw own;
    },
  };
  t.is(await t.throwsAsync(pool.request('POST', '/', { json: { thrower } })), own);
  class OwnType extends TypeError {}
  const typed = new OwnType('mine too');
  const toJSON = () => {
    throw typed;
  };
  t.is(await t.throwsAsync(pool.request('POST', '/', { json: { toJSON } })), typed);
});

test('methods and URLs that are no strings reject, and a method never throws', async (t) => {
  const pool = await unheard(t);
  for (const wrong of [undefined, null, 3, {}, ['GET'], Symbol('GET'), Buffer.from('GET')] as unknown as string[]) {
    for (const name of ['request', 'requestEncodeUrl', 'requestEncodeBody', 'urlopen'] as const) {
      await t.throwsAsync(pool[name](wrong, '/'), { instanceOf: TypeError, code: 'ERR_INVALID_METHOD' });
      await t.throwsAsync(pool[name]('GET', wrong), { instanceOf: TypeError, code: 'ERR_INVALID_URL' });
    }
    t.throws(() => pool.isSameHost(wrong), { instanceOf: TypeError, code: 'ERR_INVALID_URL' });
  }
});

test('a throwing getter or iterator of the caller’s rejects the request with what it threw', async (t) => {
  const pool = await unheard(t);
  const mine = new Error('mine');
  const fail = (): never => {
    throw mine;
  };
  const thrower = { get: fail, enumerable: true };
  for (const options of [
    Object.defineProperty({}, 'timeout', thrower),
    { headers: Object.defineProperty({}, 'a', thrower) },
    { fields: Object.defineProperty({}, 'a', thrower) },
    { fields: { [Symbol.iterator]: fail } },
    { headers: { [Symbol.iterator]: fail } },
    { json: { toJSON: fail } },
  ] as RequestOptions[]) {
    t.is(await t.throwsAsync(pool.request('GET', '/', options)), mine);
  }
});

test('THR-1115: bytes that lie about their length, or run code when asked for it, break into nobody’s call', async (t) => {
  const server = await rawServer(answers(reply('')));
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, maxsize: 4 });
  t.teardown(async () => {
    await pool.close();
    await server.close();
  });
  const calls: Promise<unknown>[] = [];
  const entering = new Proxy(new Uint8Array(50), {
    get(bytes, name) {
      if (name === 'length' && calls.length === 0)
        calls.push(pool.request('POST', '/inner', { body: 'x'.repeat(300) }));
      const value: unknown = Reflect.get(bytes, name);
      return typeof value === 'function' ? value.bind(bytes) : value;
    },
  });
  await t.throwsAsync(pool.request('POST', '/', { body: entering }), { code: 'ERR_INVALID_BODY' });
  await t.notThrowsAsync(Promise.all(calls));
  let asked = 0;
  const lying = Object.defineProperty(Buffer.from('honest'), 'byteLength', {
    get: () => ((asked += 1) < 3 ? 6 : 5_000_000),
  });
  const grown = Object.defineProperty(Buffer.from('honest'), 'byteLength', { value: 100_000 });
  const [other] = await Promise.all([
    pool.request('GET', '/other'),
    pool.request('POST', '/', { body: lying }),
    pool.request('POST', '/', { body: grown }),
  ]);
  t.is(other.status, 200);
  const received = server.peers.map((peer) => peer.received.toString('latin1')).join('');
  t.is(received.match(/\r\n\r\nhonest(?=$|GET|POST)/g)?.length, 2);
  t.is(received.match(/content-length: 6\r\n/gi)?.length, 2);
});

test('a stream whose own methods throw rejects its request, and leaves nothing behind', async (t) => {
  const pool = await unheard(t);
  class Broken {
    readable = true;
    destroyed = false;
    read(): null {
      return null;
    }
    on(): never {
      throw new Error('it has no events');
    }
    off(): void {}
    destroy(): void {}
  }
  const body = new Broken() as unknown as NodeJS.ReadableStream;
  await t.throwsAsync(pool.request('POST', '/', { body }), { message: 'it has no events' });
  // Its record would have gone out with the others of its turn.
  await pool.request('GET', '/', { signal: AbortSignal.abort() }).catch(() => undefined);
  await new Promise(setImmediate);
  t.like(pool.pool, { leased: 0, waiting: 0 });
});

test('a signal that is aborted already rejects with its reason, and nothing is sent', async (t) => {
  const pool = await unheard(t);
  const reason = new Error('mine');
  t.is(await t.throwsAsync(pool.request('GET', '/', { signal: AbortSignal.abort(reason) })), reason);
  await t.throwsAsync(pool.request('GET', '/', { signal: AbortSignal.abort() }), { any: true, name: 'AbortError' });
  // Aborted in the same turn, before the hand-over.
  const leave = new AbortController();
  const call = pool.request('GET', '/', { signal: leave.signal });
  leave.abort(reason);
  t.is(await t.throwsAsync(call), reason);
  for (const odd of [undefined, null, 'text', 0]) {
    const given = AbortSignal.abort(odd);
    const thrown: unknown = await pool.request('GET', '/', { signal: given }).catch((error: unknown) => error);
    t.is(thrown, given.reason);
  }
});

test('a closed pool says so, whatever the call', async (t) => {
  const pool = await unheard(t);
  await pool.close();
  const closed = { name: 'ClosedPoolError', code: 'ERR_POOL_CLOSED', message: `${String(pool)}: Pool is closed.` };
  await t.throwsAsync(pool.request('GET', '/'), closed);
  await t.throwsAsync(pool.request('GET', '/', { headers: { a: '1' } }), closed);
  await t.throwsAsync(pool.requestEncodeUrl('GET', '/'), closed);
  await t.throwsAsync(pool.requestEncodeBody('POST', '/'), closed);
  await t.throwsAsync(pool.urlopen('GET', '/'), closed);
  await t.throwsAsync(pool.warm(1), closed);
  for await (const settled of pool.requestMany(['/a', '/b'])) t.like(settled, { ok: false });
  t.is(pool.pool, null);
  t.true(pool.isSameHost('/'));
});

test('close takes a span of milliseconds', async (t) => {
  const pool = await unheard(t);
  const timeout = (value: unknown): Promise<unknown> => pool.close({ timeout: value as number });
  await t.throwsAsync(timeout('1'), { instanceOf: TypeError, code: 'ERR_INVALID_TIMEOUT' });
  for (const value of [-1, NaN, 0.5])
    await t.throwsAsync(timeout(value), { instanceOf: RangeError, code: 'ERR_INVALID_TIMEOUT' });
  for (const options of [5, null, { timeOut: 5 }, []]) await t.throwsAsync(pool.close(options as object), type);
  // None of them has closed it.
  t.not(pool.pool, null);
  t.like(await pool.close({ timeout: Infinity }), { closed: 0, forced: 0 });
  await t.notThrowsAsync(pool.close({ timeout: 0 }));
});

test('null is the default of a pool’s and a manager’s headers and limits, as of a request’s', async (t) => {
  const options = { headers: null, limits: null } as const;
  const { pool, server } = await served(t, (_, response) => response.end('x'.repeat(300)), options);
  t.is(pool.headers.size, 0);
  const manager = new PoolManager(options);
  t.teardown(() => manager.close());
  t.is(manager.headers.size, 0);
  for (const own of [options, {}]) t.is((await pool.request('GET', '/', own)).data.length, 300);
  t.is((await manager.request('GET', `http://127.0.0.1:${server.port}/`, options)).data.length, 300);
  const few = manager.connectionFromUrl(`http://127.0.0.1:${server.port}/`, options);
  t.is((await few.request('GET', '/')).data.length, 300);
});

test('undefined is absent, everywhere', async (t) => {
  const server = await rawServer(answers(reply('x')));
  const none = undefined as unknown as string;
  const pool = new HTTPConnectionPool('127.0.0.1', {
    port: server.port,
    unixSocket: none,
    localAddress: none,
    timeout: undefined,
    headers: undefined as unknown as {},
    limits: { decoded: undefined as unknown as number },
    proxy: null,
    retries: null,
  });
  t.teardown(async () => {
    await pool.close();
    await server.close();
  });
  const response = await pool.request('GET', '/', {
    fields: null,
    headers: { a: undefined },
    json: undefined,
    body: null,
    timeout: new Timeout({ total: undefined as unknown as null }),
    poolTimeout: null,
    limits: null,
    signal: null,
    retries: false,
    redirect: false,
    preloadContent: true,
  });
  t.is(response.text(), 'x');
  t.is(server.peers[0]?.received.toString().split('\r\n').length, 6);
});

test('a request that no record can hold is a RangeError, with nothing reserved for it', (t) => {
  t.throws(() => new Batch().grow(2 ** 31), { instanceOf: RangeError, code: 'ERR_INVALID_BODY' });
});

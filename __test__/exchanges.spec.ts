/**
 * `exchanges.json`: whole exchanges of urllib3 with a scripted server, made again: what it said, what it was asked, and
 * what came of it. Where we part from urllib3 on purpose, the case stands in `OTHERWISE` with the promise that says so.
 */
import test from 'ava';

import {
  HTTPConnectionPool,
  HTTPError,
  MaxRetryError,
  PoolManager,
  Retry,
  type HTTPResponse,
  type RequestOptions,
} from '../index.ts';
import { rawServer } from './servers/raw.ts';
import { vectors, type Raised } from './support/vectors.ts';

type Past = [method: string, url: string, error: string | null, status: number | null, location: string | null];

interface Value {
  status: number;
  data: string;
  url?: string | null;
  retriesTotal?: number | false;
  history?: Past[];
  reason?: string;
  version?: number;
  versionString?: string;
  headers?: [string, string][];
}

interface Exchange {
  name: string;
  answers: (string | null)[];
  value?: Value;
  error?: Raised;
  requests: { connection: number; bytes: string }[];
}

type Requests = Exchange['requests'];

/** What we do in place of what urllib3 does. */
interface Otherwise {
  /** The promises. */
  ids: string;
  value?: Partial<Value>;
  /** Class and code. */
  error?: [type: string, code: string];
  requests?: (theirs: Requests) => Requests;
}

const HEADERS = {
  Authorization: 'a',
  Cookie: 'c',
  'Proxy-Authorization': 'p',
  'X-Api': 'k',
  'Content-Type': 'text/x',
};
const WAIT = { timeout: { total: 20_000 } };

/** What the names of the cases mean. */
const SETTINGS: Readonly<Record<string, RequestOptions>> = {
  'redirect=False': { redirect: false },
  'retries=False': { retries: false },
  'retries=0': { retries: 0 },
  'retries=1': { retries: 1 },
  'Retry(redirect=0)': { retries: new Retry({ redirect: 0 }) },
  'Retry(redirect=False)': { retries: new Retry({ redirect: false }) },
  'Retry(total=0, raise_on_redirect=False)': { retries: new Retry({ total: 0, raiseOnRedirect: false }) },
  'retries=0 redirect=False': { retries: 0, redirect: false },
};

/** Method, URL or path, and options of the cases whose names do not say them. */
const NAMED: Readonly<Record<string, readonly [method: string, url: string, options?: () => RequestOptions]>> = {
  'manager keep all headers': [
    'GET',
    '/start',
    () => ({ headers: HEADERS, retries: new Retry({ removeHeadersOnRedirect: [] }) }),
  ],
  'manager remove own header': [
    'GET',
    '/start',
    () => ({ headers: HEADERS, retries: new Retry({ removeHeadersOnRedirect: ['X-API'] }) }),
  ],
  'manager relative location': ['GET', '/a/b/c'],
  'pool relative location': ['GET', '/a/b'],
  'pool cross host location': ['GET', '/a'],
  'pool cross host, assert_same_host false': ['GET', '/a', () => ({ headers: HEADERS, assertSameHost: false })],
  'redirect without location': ['GET', '/'],
  'redirect empty location': ['GET', '/'],
  'unknown scheme location': ['GET', '/'],
  '500 not retried by default': ['GET', '/'],
  '500 in forcelist': ['GET', '/', () => ({ retries: new Retry({ total: 2, statusForcelist: [500] }) })],
  '500 in forcelist POST': ['POST', '/', () => ({ retries: new Retry({ total: 2, statusForcelist: [500] }) })],
  '500 exhausted': ['GET', '/', () => ({ retries: new Retry({ total: 1, statusForcelist: [500] }) })],
  '500 exhausted, raise_on_status False': [
    'GET',
    '/',
    () => ({ retries: new Retry({ total: 1, statusForcelist: [500], raiseOnStatus: false }) }),
  ],
  '503 Retry-After: 0': ['GET', '/'],
  '429 Retry-After, POST': ['POST', '/'],
  '418 Retry-After': ['GET', '/'],
  '503 Retry-After, respect false': [
    'GET',
    '/',
    () => ({ retries: new Retry({ total: 2, respectRetryAfterHeader: false }) }),
  ],
  '503 bad Retry-After': ['GET', '/'],
  'hang-up, GET': ['GET', '/', () => ({ retries: 1 })],
  'hang-up, POST': ['POST', '/', () => ({ body: 'b', retries: 1 })],
  'hang-up, POST, allowed_methods None': [
    'POST',
    '/',
    () => ({ body: 'b', retries: new Retry({ total: 1, allowedMethods: null }) }),
  ],
  'hang-up, retries False': ['GET', '/', () => ({ retries: false })],
  'hang-up, retries 0': ['GET', '/', () => ({ retries: 0 })],
  'hang-up, generator body': [
    'PUT',
    '/',
    () => ({
      body: (function* () {
        yield 'a';
        yield 'b';
      })(),
      retries: 1,
    }),
  ],
  // A file that can be sought is a function that opens it.
  'hang-up, file body': ['PUT', '/', () => ({ body: () => ['filebody'], retries: 1 })],
};

const OK: Value = { status: 200, data: 'ok', reason: 'OK', version: 11, versionString: 'HTTP/1.1' };

/** Where we are better on purpose. */
const OTHERWISE: Readonly<Record<string, Otherwise>> = {
  // RFC 9110 §15.4.4.
  'pool HEAD 303': {
    ids: 'REDIR-02',
    value: { data: '', history: [['HEAD', '/start', null, 303, '/next']] },
    requests: (theirs) => theirs.map((one) => ({ ...one, bytes: one.bytes.replace(/^GET/, 'HEAD') })),
  },
  'pool relative location': {
    ids: 'REDIR-04',
    value: { ...OK, url: '/a/next', retriesTotal: 2, history: [['GET', '/a/b', null, 302, 'next']] },
    requests: ([first]) =>
      first === undefined ? [] : [first, { ...first, bytes: first.bytes.replace('/a/b', '/a/next') }],
  },
  '503 bad Retry-After': {
    ids: 'RETRY-15 WART-02',
    value: { ...OK, url: '/', retriesTotal: 2, history: [['GET', '/', null, 503, null]] },
    requests: (theirs) => [...theirs, ...theirs],
  },
  'hang-up, generator body': {
    ids: 'BODY-15 WART-01',
    error: ['UnrewindableBodyError', 'ERR_UNREWINDABLE'],
    requests: (theirs) => theirs.slice(0, 1),
  },
  'response: HTTP/1.0': { ids: 'WART-16', value: { versionString: 'HTTP/1.0' } },
  'response: 103 then 200': { ids: 'RESP-07 WART-18', value: { ...OK, headers: [['content-length', '2']] } },
  'response: header without colon': {
    ids: 'RESP-05 WART-17',
    value: {
      headers: [
        ['content-length', '0'],
        ['another', 'Header'],
      ],
    },
  },
  'response: space before colon': { ids: 'THR-106', value: { headers: [['content-length', '2']] } },
  'response: 101 headers': {
    ids: 'RESP-06',
    value: {
      ...OK,
      data: '',
      headers: [['content-length', '0'], ...Array.from({ length: 100 }, (_, n): [string, string] => [`x-${n}`, 'y'])],
    },
  },
  'response: 65 KiB header line': {
    ids: 'RESP-06',
    value: {
      ...OK,
      data: '',
      headers: [
        ['content-length', '0'],
        ['x', 'y'.repeat(65_536)],
      ],
    },
  },
  'response: cl and te': { ids: 'THR-308', value: { headers: [['transfer-encoding', 'chunked']] } },
  'response: two cl differ': { ids: 'THR-305', error: ['ProtocolError', 'ERR_PROTOCOL'] },
  // De-chunked, and then it is no gzip.
  'response: te gzip chunked': { ids: 'RESP-11 WART-18', error: ['DecodeError', 'ERR_DECODE'] },
};

/** What a case proves, where we do as urllib3. */
const PROVES: readonly (readonly [RegExp, string])[] = [
  [/ 30\d( |$)|location|cross host/, 'REDIR-01 REDIR-02 REDIR-04 RETRY-12'],
  [/headers?$/, 'REDIR-05'],
  [/edirect|retries=/, 'REQ-13 REDIR-03 RETRY-08 RETRY-11'],
  [/^hang-up/, 'RETRY-07 RETRY-08 RETRY-09'],
  [/^[45]\d\d /, 'RETRY-10 RETRY-11 RETRY-14'],
];

/** These are made by a manager though their names do not say it. */
const MANAGED = new Set(['redirect without location', 'redirect empty location', 'unknown scheme location']);

/** Who asks for what. */
function asked(name: string): { managed: boolean; method: string; url: string; options: RequestOptions } {
  const managed = name.startsWith('manager ') || MANAGED.has(name);
  const named = NAMED[name];
  if (named !== undefined) return { managed, method: named[0], url: named[1], options: named[2]?.() ?? {} };
  const setting = SETTINGS[name.replace(/^(manager|pool) /, '')];
  if (setting !== undefined) return { managed, method: 'GET', url: 'http://127.0.0.1:PORT/s', options: setting };
  if (name.startsWith('response: ')) return { managed, method: 'GET', url: '/', options: { retries: false } };
  const [, method] = /^(?:pool|manager) (POST|GET|HEAD) 3\d\d/.exec(name) ?? [];
  if (method === undefined) throw new Error(`what does ${name} ask for?`);
  const body = method === 'POST' ? { body: 'body' } : {};
  return { managed, method, url: '/start', options: { headers: HEADERS, ...body } };
}

/** Requests as the vectors have them: the varying parts by their names, sizes of chunks in lower case. */
function shown(bytes: string, port: number): string {
  return bytes
    .replaceAll(String(port), 'PORT')
    .replace(/ferropool\/[\d.]+/, 'DEFAULT-UA')
    .replace(/^[0-9A-F]+\r$/gm, (size) => size.toLowerCase());
}

function pastOf(response: HTTPResponse, port: number): Past[] {
  const at = (text: string): string => text.replaceAll(String(port), 'PORT');
  return (response.retries?.history ?? []).map(({ method, url, error, status, redirectLocation }) => [
    method,
    at(url),
    error?.name ?? null,
    status,
    redirectLocation === null ? null : at(redirectLocation),
  ]);
}

/** Ours are absolute (REDIR-05, RETRY-12), and without what is not sent. */
function absolute(url: string, from: string): string {
  return new URL(url.replaceAll('PORT', '1'), from.replaceAll('PORT', '1')).href
    .replace(/#.*$/, '')
    .replaceAll(/:1(?=\/|$)/g, ':PORT');
}

for (const exchange of vectors<Exchange>('exchanges.json')) {
  const { name, answers } = exchange;
  const otherwise = OTHERWISE[name];
  const same = name.startsWith('response: ') ? 'RESP-01 RESP-02' : PROVES.find(([kind]) => kind.test(name))?.[1];
  test(`${otherwise?.ids ?? same}: ${name}`, async (t) => {
    const requests: { connection: number; bytes: string }[] = [];
    const server = await rawServer(async (peer) => {
      for (;;) {
        const bytes = await peer.request();
        requests.push({ connection: peer.number, bytes: shown(bytes, server.port) });
        const answer = answers[requests.length - 1];
        // Not among the answers: what it says is found out below.
        if (answer === null || answer === undefined) return peer.end();
        await peer.write(answer.replaceAll('{port}', String(server.port)));
        if (name.startsWith('response: ')) return peer.end();
      }
    });
    const { port } = server;
    const { managed, method, url, options } = asked(name);
    const base = `http://127.0.0.1:${port}`;
    const client = managed
      ? new PoolManager({ ...WAIT, resolve: { localhost: '127.0.0.1' } })
      : new HTTPConnectionPool('127.0.0.1', { port, ...WAIT, resolve: { localhost: '127.0.0.1' } });
    t.teardown(async () => {
      await client.close({ timeout: 0 });
      await server.close();
    });
    const target = url.replace('PORT', String(port));
    const outcome = await client.request(method, managed ? new URL(target, base).href : target, options).then(
      (response) => ({ response, error: null }),
      (error: unknown) => ({ response: null, error }),
    );
    t.deepEqual(requests, otherwise?.requests?.(exchange.requests) ?? exchange.requests);
    const { response, error } = outcome;
    const expected = otherwise?.error === undefined ? { ...exchange.value, ...otherwise?.value } : {};
    if (Object.keys(expected).length > 0) {
      if (response === null) throw error;
      t.is(response.status, expected.status as number);
      t.is(response.data.toString('latin1'), expected.data as string);
      if (name.startsWith('response: ')) {
        const { reason, version, versionString, headers } = response;
        const lines = [...headers.entries()];
        t.deepEqual({ reason, version, versionString, lines }, {
          reason: expected.reason,
          version: expected.version,
          versionString: expected.versionString,
          lines: (expected.headers ?? []).map(([field, value]) => [field.toLowerCase(), value]),
        } as never);
        return;
      }
      const start = absolute(target.replace(String(port), 'PORT'), 'http://127.0.0.1:PORT');
      const history = (expected.history ?? []).map(([how, where, ...rest]) => [how, absolute(where, start), ...rest]);
      t.deepEqual(pastOf(response, port), history as Past[]);
      t.is(response.url.replaceAll(String(port), 'PORT'), absolute(expected.url ?? start, start));
      t.is(response.retries?.total, expected.retriesTotal);
      return;
    }
    if (!(error instanceof HTTPError)) throw new Error(`not an error of ours`, { cause: error ?? response });
    const [type, code] = otherwise?.error ?? [exchange.error?.type, error.code];
    t.deepEqual([error.name, error.code], [type, code] as never);
    if (!(error instanceof MaxRetryError)) return;
    // `(Caused by ResponseError('too many redirects'))` for theirs, `(Caused by ResponseError: too many redirects)` for ours.
    const [, reason] = /Caused by (\w+)\(/.exec(exchange.error?.message ?? '') ?? [];
    t.is(error.reason?.name, reason as never);
    t.true(
      error.message.startsWith(`HTTPConnectionPool(host='127.0.0.1', port=${port}): Max retries exceeded with url: `),
    );
  });
}

test('every difference is one of a case', (t) => {
  const names = new Set(vectors<Exchange>('exchanges.json').map(({ name }) => name));
  t.is(names.size, 97);
  for (const name of [...Object.keys(OTHERWISE), ...Object.keys(NAMED)]) t.true(names.has(name), name);
});

/**
 * `proxy.json`: what urllib3's ProxyManager and a scripted proxy say to each other. Where we part from it on purpose, the case
 * stands in `OTHERWISE` with the promise that says so.
 */
import test, { type ExecutionContext } from 'ava';

import { HTTPError, ProxyError, ProxyManager, type HTTPResponse } from '../index.ts';
import { rawServer } from './servers/raw.ts';
import { kept } from './support/proxied.ts';
import { vectors, type Raised } from './support/vectors.ts';

interface Case {
  readonly name: string;
  readonly value?: number | string;
  readonly error?: Raised;
  readonly requests?: readonly { readonly connection: number; readonly bytes: string }[];
}

/** How a case is told to us. */
interface Call {
  /** Of the proxy's URL, before its port. */
  readonly proxy?: string;
  readonly url: string;
  readonly options?: Omit<NonNullable<ConstructorParameters<typeof ProxyManager>[1]>, 'retries' | 'timeout'>;
  readonly headers?: Readonly<Record<string, string>>;
  /** What the proxy says; default an empty 200. */
  readonly answer?: string | null;
}

const CALLS: Readonly<Record<string, Call>> = {
  'forward with headers': {
    url: 'http://example.com/',
    options: { headers: { Foo: 'bar' }, proxyHeaders: { 'Proxy-Authorization': 'Basic x' } },
  },
  'forward own Host and Accept': { url: 'http://example.com/', headers: { host: 'h', accept: 'x' } },
  'proxy url with credentials': { proxy: 'http://u:p@127.0.0.1', url: 'http://example.com/' },
  'tunnel refused 501': {
    url: 'https://example.com/',
    options: { proxyHeaders: { Hickory: 'dickory' } },
    answer: 'HTTP/1.0 501 Not Implemented\r\nConnection: close\r\n\r\n',
  },
  'tunnel refused 407': {
    url: 'https://example.com/x',
    answer: 'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n',
  },
  'tunnel 201': { url: 'https://example.com/', answer: 'HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n' },
  'tunnel ipv6': {
    url: 'https://[2001:4998:c:a06::2:4008]/',
    answer: 'HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n',
  },
  'tunnel then hang up': { url: 'https://example.com/', answer: null },
  'https proxy url, plain proxy': {
    proxy: 'https://127.0.0.1',
    url: 'http://example.com',
    options: { certReqs: 'none' },
    answer: 'HTTP/1.0 501 Not Implemented\r\nConnection: close\r\n\r\n',
  },
};

/** What we do in place of what urllib3 does. */
interface Otherwise {
  /** The promises. */
  readonly ids: string;
  readonly sent?: readonly [theirs: string, ours: string];
  /** The class and what the message has. */
  readonly error?: readonly [name: string, message: RegExp];
}

const OTHERWISE: Readonly<Record<string, Otherwise>> = {
  'forward http://example.com': {
    ids: 'RFC 9112, 3.2.2: an empty path is a slash, as everywhere else',
    sent: ['GET http://example.com HTTP/1.1', 'GET http://example.com/ HTTP/1.1'],
  },
  'forward http://user:pw@example.com/x': { ids: 'WART-10, THR-701', sent: ['user:pw@', ''] },
  'forward own Host and Accept': {
    ids: 'PROXY-06, WART-10: names are merged whatever their case',
    sent: ['Accept: */*\r\nHost: example.com\r\n', ''],
  },
  'proxy url with credentials': {
    ids: 'PROXY-07, WART-10: they are sent',
    sent: ['Host: example.com\r\n', 'Host: example.com\r\nProxy-Authorization: Basic dTpw\r\n'],
  },
  // A tunnel that stands leads to TLS, which this proxy does not speak.
  'tunnel 201': { ids: 'PROXY-10: any 2xx opens', error: ['SSLError', /./] },
  'tunnel then hang up': {
    ids: 'PROXY-08, PROXY-11: whatever fails before the tunnel stands is the proxy’s',
    error: ['ProxyError', /Unable to connect to proxy/],
  },
  'constructor http://': { ids: 'PROXY-01: a proxy has a host', error: ['LocationValueError', /host/i] },
};

const seen = new Set<string>();

for (const given of vectors<Case>('proxy.json')) {
  const [, kind, rest = ''] = /^(forward|constructor)? ?(.*)$/.exec(given.name) ?? [];
  const otherwise = OTHERWISE[given.name];
  if (otherwise !== undefined) seen.add(given.name);
  const title = `${idsOf(given.name)}: as urllib3, ${given.name}${otherwise === undefined ? '' : `, but ${otherwise.ids}`}`;
  if (kind === 'constructor') {
    test(title, (t) => constructed(t, given, rest, otherwise));
    continue;
  }
  const call = CALLS[given.name] ?? (kind === 'forward' ? { url: rest } : null);
  if (call === null) throw new Error(`nobody knows how to make ${given.name}`);
  test(title, (t) => exchanged(t, given, call, otherwise));
}

test('PROXY-01 WART-10: each difference is one of a case that there is', (t) => {
  t.deepEqual([...seen].toSorted(), Object.keys(OTHERWISE).toSorted());
});

async function exchanged(t: ExecutionContext, given: Case, call: Call, otherwise?: Otherwise): Promise<void> {
  const requests: { connection: number; bytes: string }[] = [];
  const { answer = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n' } = call;
  const server = await rawServer(async (peer) => {
    await peer.bytes(1);
    if (peer.received[0] !== 22) requests.push({ connection: peer.number, bytes: await peer.request() });
    if (answer === null) return peer.end();
    await peer.write(answer);
    // A request that was forwarded leaves a connection that serves again.
    if (given.value === undefined) peer.end();
    return undefined;
  });
  t.teardown(() => server.close());
  const proxy = `${call.proxy ?? 'http://127.0.0.1'}:${server.port}`;
  const manager = kept(t, new ProxyManager(proxy, { timeout: 60_000, retries: false, ...call.options }));
  const outcome = await manager.request('GET', call.url, call.headers && { headers: call.headers }).then(
    ({ status }: HTTPResponse) => status,
    (error: unknown) => error,
  );
  if (outcome instanceof Error) {
    t.true(outcome instanceof HTTPError);
    const [name, message] = otherwise?.error ?? [given.error?.type, messageOf(given.error)];
    t.is(outcome.name, name ?? '', outcome.message);
    t.true(message.test(outcome.message), `${outcome.message} is not ${String(message)}`);
    if (outcome instanceof ProxyError) t.is(outcome.code, 'ERR_PROXY');
  } else {
    t.is(outcome, given.value);
  }
  const theirs = (given.requests ?? []).map(({ connection, bytes }) => {
    const [from, to] = otherwise?.sent ?? ['', ''];
    if (!bytes.includes(from)) throw new Error(`nothing to change in ${bytes}`);
    return { connection, ...ordered(asOurs(bytes.replace(from, to))) };
  });
  t.deepEqual(
    requests.map(({ connection, bytes }) => ({ connection, ...ordered(bytes) })),
    theirs,
  );
}

/** What holds for every head: CONNECT by HTTP/1.1 with the Host that it wants (RFC 9110, 9.3.6), whoever we are. */
function asOurs(bytes: string): string {
  const [, target] = /^CONNECT (\S+) HTTP\/1\.0\r\n/.exec(bytes) ?? [];
  if (target === undefined) return bytes;
  return bytes.replace(/^CONNECT \S+ HTTP\/1\.0\r\n/, `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n`);
}

/** A head without the order of its lines, which RFC 9110, 5.3 leaves to us: our Host comes first. */
function ordered(bytes: string): { first: string; lines: string[]; body: string } {
  const end = bytes.indexOf('\r\n\r\n');
  const [first = '', ...lines] = bytes.slice(0, end).split('\r\n');
  return {
    first,
    lines: lines.map((line) => line.replace(/ferropool\/[\d.]+/, 'DEFAULT-UA')).toSorted(),
    body: bytes.slice(end + 4),
  };
}

/** urllib3 shows the cause as Python does; our message says it in words, and without a link. */
function messageOf(error: Raised | undefined): RegExp {
  const [, cause] = /OSError\('(Tunnel connection failed: .*)'\)/.exec(error?.message ?? '') ?? [];
  if (cause !== undefined)
    return new RegExp(`^Unable to connect to proxy .*: ${cause}.*Proxy responded with ${cause.split(' ')[3]}`);
  if (error?.message.includes('only use HTTP') === true) {
    return /^Unable to connect to proxy.*Your proxy appears to only use HTTP and not HTTPS, try changing your proxy URL to be HTTP/;
  }
  throw new Error(`nobody knows what becomes of ${error?.message}`);
}

function constructed(t: ExecutionContext, { value, error }: Case, url: string, otherwise?: Otherwise): void {
  if (error === undefined && otherwise === undefined) {
    const manager = new ProxyManager(url);
    t.is(manager.proxy, value as string);
    return;
  }
  const thrown = t.throws(() => new ProxyManager(url), { instanceOf: HTTPError });
  const [name, message] = otherwise?.error ?? [error?.type, null];
  t.is(thrown?.name, name ?? '');
  t.is(thrown?.code, 'ERR_INVALID_URL');
  // Theirs, and behind it what helps.
  if (message === null) t.is(thrown?.message.split('; ')[0], error?.message ?? '');
  else t.regex(thrown?.message ?? '', message);
}

function idsOf(name: string): string {
  if (name.startsWith('constructor')) return 'PROXY-01 THR-715';
  if (name.startsWith('forward')) return 'PROXY-02 PROXY-06';
  if (name.includes('ipv6')) return 'PROXY-04 THR-706';
  if (name.includes('https proxy')) return 'PROXY-09';
  if (name.includes('credentials')) return 'PROXY-07';
  return 'PROXY-10 PROXY-11';
}

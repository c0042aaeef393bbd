/** Whose fault it was: errors of the way to a proxy name the proxy, those behind it name the origin, and each says where. */
import test, { type ExecutionContext } from 'ava';

import {
  ConnectTimeoutError,
  MaxRetryError,
  NameResolutionError,
  NewConnectionError,
  ProtocolError,
  ProxyError,
  ReadTimeoutError,
  Retry,
  SSLError,
  type HTTPError,
  type HTTPResponse,
  type PoolManager,
} from '../index.ts';
import { blackHole } from './servers/black-hole.ts';
import { rawServer, type Script } from './servers/raw.ts';
import { saying } from './servers/proxy.ts';
import { closedPort, rejection } from './support/fixtures.ts';
import { origins, proxied, through } from './support/proxied.ts';
import { usual } from './support/pki.ts';

/** For a peer that is silent. By then the one before it has been reached, on a busy machine too. */
const SHORT = { timeout: { connect: 700, read: 30_000 } };
/** For every other: what it does is what ends the call. */
const LONG = { timeout: { connect: 30_000, read: 30_000 } };
const URLS = ['http://h.test/', 'https://s.test/'] as const;
const { stranger } = usual();

/** A script in place of a proxy or an origin; its port. */
async function scripted(t: ExecutionContext, script: Script): Promise<number> {
  const server = await rawServer(script);
  t.teardown(() => server.close());
  return server.port;
}

/** Says nothing and goes when the client goes. */
const silent: Script = (peer) => peer.gone();

interface Fault {
  readonly what: string;
  /** Makes a proxy that is not there; its URL. */
  readonly proxy: (t: ExecutionContext) => Promise<string>;
  readonly type: new (...args: never[]) => HTTPError;
  readonly code: string;
  readonly phase: string;
  readonly message?: RegExp;
}

const FAULTS: readonly Fault[] = [
  {
    what: 'nobody listens',
    proxy: async (t) => `http://127.0.0.1:${await closedPort(t)}`,
    type: NewConnectionError,
    code: 'ECONNREFUSED',
    phase: 'connect',
    message: /ECONNREFUSED/,
  },
  {
    what: 'nobody listens, by https',
    proxy: async (t) => `https://127.0.0.1:${await closedPort(t)}`,
    type: NewConnectionError,
    code: 'ECONNREFUSED',
    phase: 'connect',
    message: /ECONNREFUSED/,
  },
  {
    what: 'its name has no address',
    proxy: async () => 'http://nobody.test:1',
    type: NameResolutionError,
    code: 'ERR_DNS',
    phase: 'dns',
    message: /nobody\.test/,
  },
  {
    what: 'connecting to it never ends',
    proxy: async (t) => {
      const hole = await blackHole();
      t.teardown(() => hole.close());
      return `http://127.0.0.1:${hole.port}`;
    },
    type: ConnectTimeoutError,
    code: 'ERR_CONNECT_TIMEOUT',
    phase: 'connect',
    message: /connect timeout=700 ms/,
  },
  {
    what: 'TLS to it stalls',
    proxy: async (t) => `https://127.0.0.1:${await scripted(t, silent)}`,
    type: ConnectTimeoutError,
    code: 'ERR_CONNECT_TIMEOUT',
    phase: 'proxy',
  },
  {
    what: 'it hangs up in its handshake',
    proxy: async (t) =>
      `https://127.0.0.1:${await scripted(t, async (peer) => {
        await peer.bytes(1);
        peer.end();
      })}`,
    type: SSLError,
    code: 'ERR_TLS',
    phase: 'proxy',
  },
  {
    what: 'nobody trusts its certificate',
    proxy: async (t) => (await proxied(t, { tls: stranger.issue({ san: ['ip:127.0.0.1'] }).identity })).url,
    type: SSLError,
    code: 'ERR_TLS',
    phase: 'proxy',
    message: /certificate/i,
  },
  {
    what: 'its certificate is another’s',
    proxy: async (t) => (await proxied(t, { tls: usual().ca.issue({ san: ['dns:x.test'] }).identity })).url,
    type: SSLError,
    code: 'ERR_TLS',
    phase: 'proxy',
    message: /127\.0\.0\.1/,
  },
];

/** Names that have no address, and nobody is asked. */
const nowhere = { resolve: (host: string) => (host === 'nobody.test' ? [] : null) };

for (const { what, proxy, type, code, phase, message } of FAULTS) {
  test.serial(
    `PROXY-08: ${what}: a ProxyError that names the proxy, with that as its cause, whichever way it would serve`,
    async (t) => {
      const url = await proxy(t);
      const manager = through(t, url, { ...(type === ConnectTimeoutError ? SHORT : LONG), ...nowhere });
      for (const to of URLS) {
        const error = await rejection(manager.request('GET', `${to}?secret`), ProxyError);
        const { host } = new URL(url);
        t.true(error.message.startsWith(`Unable to connect to proxy ${host}`), error.message);
        t.like(error, {
          name: 'ProxyError',
          code: 'ERR_PROXY',
          phase,
          sent: false,
          attempts: 0,
          status: null,
          body: null,
        });
        t.true(error.originalError instanceof type, error.originalError?.name);
        t.is(error.cause, error.originalError);
        t.like(error.originalError, { code, phase });
        if (message !== undefined) t.regex(error.message, message);
        t.false(error.message.includes('secret'));
        t.is((error.toJSON().cause as { code?: string } | null)?.code, code);
      }
      t.like(manager.stats(), { opened: 0, live: 0, leased: 0 });
    },
  );
}

/** How many attempts it took to give up. */
async function tries(call: Promise<HTTPResponse>): Promise<number> {
  const error = await rejection(call, MaxRetryError);
  must(error.reason instanceof ProxyError, String(error.reason));
  return 1 + (error.history?.length ?? 0);
}

test.serial(
  'PROXY-08: a failure to reach a proxy counts as `connect` only where its cause does; a refusal and TLS are `other`',
  async (t) => {
    const count = (kind: 'connect' | 'read' | 'other' | 'total', of: number): Retry =>
      new Retry({ total: 20, connect: 0, read: 0, other: 0, [kind]: of, backoffFactor: 0 });
    const dead = `http://127.0.0.1:${await closedPort(t)}`;
    const { routes } = await origins(t);
    const refusing = await proxied(t, {
      routes,
      manner: saying(() => ['HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n'], 'mine'),
    });
    const untrusted = await proxied(t, { tls: stranger.issue({ san: ['ip:127.0.0.1'] }).identity });
    const stalling = `https://127.0.0.1:${await scripted(t, silent)}`;
    for (const [proxy, url, kind] of [
      [dead, 'http://h.test/', 'connect'],
      [dead, 'https://s.test/', 'connect'],
      [stalling, 'http://h.test/', 'connect'],
      [refusing.url, 'https://s.test/', 'other'],
      [untrusted.url, 'http://h.test/', 'other'],
      [untrusted.url, 'https://s.test/', 'other'],
    ] as const) {
      // Silent from the start: that one may be given up soon.
      const manager = through(t, proxy, proxy === stalling ? { timeout: { connect: 150 } } : LONG);
      // Whatever the method: nothing of the request has gone.
      for (const method of ['GET', 'POST']) {
        t.is(await tries(manager.request(method, url, { retries: count(kind, 2) })), 3, `${url} ${kind}`);
        const not = kind === 'connect' ? 'other' : 'connect';
        t.is(await tries(manager.request(method, url, { retries: count(not, 2) })), 1, `${url} not ${not}`);
      }
    }
    t.is(refusing.asked.length, 8);
  },
);

interface Behind {
  readonly what: string;
  /** The origin's script, over plain TCP. */
  readonly origin: Script;
  readonly type: new (...args: never[]) => HTTPError;
  readonly code: string;
  readonly phase: string;
}

const greets: Script = async (peer) => {
  await peer.bytes(1);
  peer.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
};

/** Faults of TLS behind a tunnel. */
const BEHIND: readonly Behind[] = [
  { what: 'plain HTTP', origin: greets, type: SSLError, code: 'ERR_TLS', phase: 'tls' },
  { what: 'silence', origin: silent, type: ConnectTimeoutError, code: 'ERR_CONNECT_TIMEOUT', phase: 'tls' },
  {
    what: 'an end',
    origin: async (peer) => {
      await peer.bytes(1);
      peer.end();
    },
    type: SSLError,
    code: 'ERR_TLS',
    phase: 'tls',
  },
];

for (const { what, origin, type, code, phase } of BEHIND) {
  test.serial(
    `PROXY-16 PROXY-13: what an origin does behind a tunnel is the origin’s: ${what} in place of TLS`,
    async (t) => {
      const port = await scripted(t, origin);
      for (const own of [{}, { tls: {} }]) {
        const proxy = await proxied(t, { ...own, routes: { 's.test:443': port } });
        const manager = through(t, proxy.url, type === ConnectTimeoutError ? SHORT : LONG);
        const error = await rejection(manager.request('GET', 'https://s.test/'), type);
        t.like(error, { code, phase, host: 's.test:443', sent: false });
        t.false(error instanceof ProxyError);
        t.false(/Unable to connect to proxy/.test(error.message), error.message);
      }
    },
  );
}

test('PROXY-16: an origin’s certificate that will not do, behind a tunnel, is an SSLError of the origin', async (t) => {
  const strange = stranger.issue({ san: ['dns:s.test'] });
  const { routes } = await origins(t, strange.identity);
  for (const own of [{}, { tls: {} }]) {
    const proxy = await proxied(t, { ...own, routes });
    const manager = through(t, proxy.url);
    const error = await rejection(manager.request('GET', 'https://s.test/'), SSLError);
    t.like(error, { code: 'ERR_TLS', phase: 'tls', host: 's.test:443', reason: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
    t.true(error.chain[0]?.raw.equals(strange.der));
    t.is(proxy.asked.length, 1);
  }
  const misnamed = await origins(t);
  const proxy = await proxied(t, { routes: { 'x.test:443': misnamed.https.port } });
  const error = await rejection(through(t, proxy.url).request('GET', 'https://x.test/'), SSLError);
  t.like(error, { reason: 'ERR_TLS_CERT_ALTNAME_INVALID', assertedName: 'x.test' });
});

for (const url of URLS) {
  for (const tls of [undefined, {}]) {
    const kind = `${tls === undefined ? 'http' : 'https'} proxy, ${url}`;
    test.serial(
      `PROXY-13: silence after the request was handed over is a ReadTimeoutError of the origin: ${kind}`,
      async (t) => {
        let answer = true;
        const { routes } = await origins(t);
        const holds = await proxied(t, {
          ...(tls === undefined ? {} : { tls }),
          routes,
          manner: (asked) => (answer || asked.method === 'CONNECT' ? 'serve' : 'mine'),
        });
        const manager = through(t, holds.url, { timeout: { read: 800 } });
        t.is((await manager.request('GET', url)).status, 200);
        answer = false;
        // A tunnel that takes everything and brings nothing back.
        for (const { client, origin } of holds.tunnels) {
          client.unpipe(origin);
          client.resume();
        }
        const error = await rejection(manager.request('GET', url), ReadTimeoutError);
        t.like(error, { code: 'ERR_READ_TIMEOUT', phase: 'headers', sent: true });
        t.false(error instanceof ProxyError);
        t.like(error, { host: new URL(url).host + (url.startsWith('https') ? ':443' : ':80') });
      },
    );
  }
}

test('PROXY-13: a forwarded request whose proxy hangs up, or talks nonsense, is a ProtocolError that names the origin', async (t) => {
  const manager = (script: Script): Promise<PoolManager> =>
    scripted(t, script).then((port) => through(t, `http://127.0.0.1:${port}`));
  for (const [bytes, reset] of [
    ['', false],
    ['', true],
    ['HTTP/1.1 200 OK\r\nX', false],
    ['nonsense\r\n\r\n', false],
  ] as const) {
    const over = await manager(async (peer) => {
      await peer.request();
      await peer.write(bytes);
      if (reset) peer.reset();
      else peer.end();
    });
    const error = await rejection(over.request('GET', 'http://h.test/'), ProtocolError);
    t.like(error, { phase: 'headers', host: 'h.test:80', sent: true, attempts: 1 });
  }
});

test('PROXY-08: an aborted call rejects with its signal’s reason, at whichever step with the proxy it is, and lets go', async (t) => {
  const { routes } = await origins(t);
  const hangs = await proxied(t, { routes, manner: () => 'mine' });
  const stalled = await rawServer(silent);
  t.teardown(() => stalled.close());
  let stalls = 0;
  for (const url of [hangs.url, ...['https', 'socks5h', 'socks4a'].map((of) => `${of}://127.0.0.1:${stalled.port}`)]) {
    const manager = through(t, url);
    const aborting = new AbortController();
    const call = manager.request('GET', 'https://s.test/', { signal: aborting.signal });
    if (url === hangs.url) await hangs.asks(1);
    else await (await stalled.peer((stalls += 1))).bytes(1);
    aborting.abort(new RangeError('mine'));
    t.is((await rejection(call, RangeError)).message, 'mine');
    if (url === hangs.url) await hangs.gone(1);
    else await (await stalled.peer(stalls)).gone();
    t.like(manager.stats(), { live: 0, leased: 0, waiting: 0 });
  }
});

function must(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

/** What a SOCKS proxy may reply: in any pieces, refusals of every code, and things that no proxy would say. */
import test, { type ExecutionContext } from 'ava';

import {
  ConnectTimeoutError,
  NewConnectionError,
  ProtocolError,
  ProxyError,
  SOCKSProxyManager,
  type PoolManager,
} from '../index.ts';
import { rawServer } from './servers/raw.ts';
import type { SocksOptions, SocksReply, SocksServer, SocksStep } from './servers/socks.ts';
import { closedPort, rejection } from './support/fixtures.ts';
import { kept, origins, socksed, toldBy, trusting } from './support/proxied.ts';

type Scheme = 'socks4a' | 'socks5h';

/** A proxy that replies its own way, and a manager that uses it. */
async function replying(
  t: ExecutionContext,
  scheme: Scheme,
  reply: SocksOptions['reply'],
  own: SocksOptions = {},
): Promise<{ manager: PoolManager; socks: SocksServer }> {
  const { routes } = await origins(t);
  const socks = await socksed(t, { routes, ...own, ...(reply === undefined ? {} : { reply }) });
  const url = socks.url(scheme, own.credentials?.replace('@', '%40'));
  return { socks, manager: kept(t, new SOCKSProxyManager(url, trusting({ timeout: { total: 20_000 } }))) };
}

const V5_CODES: readonly [code: number, name: RegExp][] = [
  [1, /general.*failure/i],
  [2, /not allowed|ruleset/i],
  [3, /network unreachable/i],
  [4, /host unreachable/i],
  [5, /connection refused/i],
  [6, /TTL expired/i],
  [7, /command not supported/i],
  [8, /address type not supported/i],
  [9, /9/],
  [255, /255|0xff/i],
];
for (const [code, name] of V5_CODES) {
  test(`THR-716 SOCKS-04: SOCKS5 replies ${code}: NewConnectionError with its name, once`, async (t) => {
    const { manager, socks } = await replying(t, 'socks5h', (step, usual) =>
      step === 'connect' ? Buffer.from([5, code, 0, 1, 0, 0, 0, 0, 0, 0]) : usual,
    );
    for (const url of ['http://h.test/', 'https://s.test/']) {
      const error = await rejection(manager.request('GET', url), NewConnectionError);
      t.like(error, { phase: 'proxy', sent: false, attempts: 0, name: 'NewConnectionError' });
      t.regex(error.message, name);
      t.true(error.message.includes(`127.0.0.1:${socks.port}`), error.message);
      t.is(typeof error.reason, 'string');
      t.false(error instanceof ProxyError);
    }
    t.is(socks.asked.length, 2);
    t.like(manager.stats(), { live: 0, opened: 0 });
  });
}

const V4_CODES: readonly [code: number, name: RegExp][] = [
  [91, /rejected or failed/i],
  [92, /identd/i],
  [93, /different user-ids/i],
  [0, /0/],
  [89, /89|0x59/i],
  [94, /94|0x5e/i],
];
for (const [code, name] of V4_CODES) {
  test(`THR-716 SOCKS-04: SOCKS4 replies ${code}: NewConnectionError with its name, once`, async (t) => {
    const { manager, socks } = await replying(t, 'socks4a', () => Buffer.from([0, code, 0, 0, 0, 0, 0, 0]));
    const error = await rejection(manager.request('GET', 'http://h.test/'), NewConnectionError);
    t.regex(error.message, name);
    t.true(error.message.includes(`127.0.0.1:${socks.port}`), error.message);
    t.like(error, { phase: 'proxy', sent: false });
    t.is(socks.asked.length, 1);
  });
}

test('SOCKS-04: wrong credentials: NewConnectionError "SOCKS5 authentication failed", and no secret in it', async (t) => {
  const { routes } = await origins(t);
  const socks = await socksed(t, { routes, credentials: 'user:right' });
  for (const userInfo of ['user:wrong', 'other:right', 'user']) {
    const manager = kept(t, new SOCKSProxyManager(socks.url('socks5h', userInfo), trusting({})));
    const error = await rejection(manager.request('GET', 'http://h.test/'), NewConnectionError);
    t.regex(error.message, /SOCKS5 authentication failed/);
    t.false(/user|wrong|right|other/.test(error.message), error.message);
  }
  // Who shows none is offered no method that would do.
  const nobody = kept(t, new SOCKSProxyManager(socks.url('socks5h'), trusting({})));
  const error = await rejection(nobody.request('GET', 'http://h.test/'), NewConnectionError);
  t.regex(error.message, /method|authentication/i);
  const four = await socksed(t, { routes, credentials: 'user' });
  const manager = kept(t, new SOCKSProxyManager(four.url('socks4a', 'other'), trusting({})));
  t.regex(
    (await rejection(manager.request('GET', 'http://h.test/'), NewConnectionError)).message,
    /different user-ids/,
  );
});

test('SOCKS-04: a proxy that is not there: NewConnectionError of the system; one that stalls: ConnectTimeoutError', async (t) => {
  const port = await closedPort(t);
  const stalled = await rawServer((peer) => peer.gone());
  t.teardown(() => stalled.close());
  for (const scheme of ['socks4', 'socks4a', 'socks5', 'socks5h']) {
    // The proxy has to be reached within that time.
    const options = trusting({ timeout: { connect: 600 }, resolve: { 'h.test': '127.0.0.3' } });
    const dead = kept(t, new SOCKSProxyManager(`${scheme}://127.0.0.1:${port}`, options));
    const error = await rejection(dead.request('GET', 'http://h.test/'), NewConnectionError);
    t.like(error, { code: 'ECONNREFUSED', phase: 'connect', sent: false });
    t.regex(error.message, /ECONNREFUSED/);
    t.true(error.message.includes(`127.0.0.1:${port}`), error.message);
    const stalls = kept(t, new SOCKSProxyManager(`${scheme}://127.0.0.1:${stalled.port}`, options));
    const late = await rejection(stalls.request('GET', 'http://h.test/'), ConnectTimeoutError);
    t.like(late, { name: 'ConnectTimeoutError', code: 'ERR_CONNECT_TIMEOUT', phase: 'proxy' });
  }
});

/** Bound addresses of every kind, in a reply that grants. */
const BOUND: Readonly<Record<string, Buffer>> = {
  IPv4: Buffer.from([1, 1, 2, 3, 4, 0, 80]),
  IPv6: Buffer.from([4, ...Array<number>(16).fill(7), 0, 80]),
  'a name': Buffer.concat([Buffer.from([3, 5]), Buffer.from('bound'), Buffer.from([0, 80])]),
  'no name': Buffer.from([3, 0, 0, 80]),
  'a name of 255 octets': Buffer.concat([Buffer.from([3, 255]), Buffer.alloc(255, 'x'), Buffer.from([0, 80])]),
};
for (const [kind, bound] of Object.entries(BOUND)) {
  test(`THR-716: a bound address of any kind is read to its end and no further: ${kind}`, async (t) => {
    for (const single of [false, true]) {
      const { manager, socks } = await replying(
        t,
        'socks5h',
        (step, usual) => (step === 'connect' ? Buffer.concat([Buffer.from([5, 0, 0]), bound]) : usual),
        { single },
      );
      for (const url of ['http://h.test/', 'https://s.test/']) {
        t.is(toldBy(await manager.request('POST', url, { body: 'whole' })).body, 'whole');
      }
      t.is(socks.tunnels.length, 2);
    }
  });
}

for (const [scheme, credentials] of [
  ['socks4a', undefined],
  ['socks4a', 'user'],
  ['socks5h', undefined],
  ['socks5h', 'user:pass'],
] as const) {
  const own = credentials === undefined ? {} : { credentials };

  test(`THR-716: ${scheme} byte by byte${credentials === undefined ? '' : ' with credentials'}`, async (t) => {
    const { manager } = await replying(t, scheme, undefined, { single: true, ...own });
    for (const url of ['http://h.test/', 'https://s.test/']) {
      t.is(toldBy(await manager.request('POST', url, { body: 'whole' })).body, 'whole');
    }
  });

  test(`THR-716: ${scheme} cut off in each reply, at each byte, by FIN and RST${credentials === undefined ? '' : ' with credentials'}`, async (t) => {
    const steps: SocksStep[] =
      scheme === 'socks4a'
        ? ['connect']
        : ['method', ...(credentials === undefined ? [] : ['credentials' as const]), 'connect'];
    for (const end of ['end', 'reset'] as const) {
      for (const at of steps) {
        let length = 0;
        let whole = Infinity;
        for (length = 0; length < whole; length += 1) {
          const { manager, socks } = await replying(
            t,
            scheme,
            (step, usual) => {
              if (step !== at) return usual;
              whole = usual.length;
              const cut = usual.subarray(0, length);
              setImmediate(() => {
                const socket = socks.sockets.at(-1);
                if (end === 'end') socket?.end();
                else socket?.resetAndDestroy();
              });
              return cut.length === 0 ? 'silence' : cut;
            },
            own,
          );
          const error = await rejection(manager.request('GET', 'http://h.test/'), NewConnectionError);
          t.like(error, { phase: 'proxy', sent: false }, `${at} ${length}`);
        }
      }
    }
  });
}

test('THR-716: bytes right behind the last reply are the origin’s: none is lost, and none taken for the proxy’s', async (t) => {
  // An origin that speaks first: what it says unasked is no answer, and the request fails of that, not of the proxy.
  const early = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly';
  for (const scheme of ['socks4a', 'socks5h'] as const) {
    const { manager } = await replying(t, scheme, (step, usual) =>
      step === 'connect' ? Buffer.concat([usual, Buffer.from(early)]) : usual,
    );
    const outcome = await manager.request('GET', 'https://s.test/').catch((error: unknown) => error);
    t.like(outcome, { name: 'SSLError', phase: 'tls' });
    const plain = await rejection(manager.request('GET', 'http://h.test/'), ProtocolError);
    t.like(plain, { phase: 'send', sent: false });
  }
});

/** Replies that no proxy of this protocol gives. */
const NONSENSE: readonly [what: string, scheme: Scheme, step: SocksStep, reply: SocksReply][] = [
  ['a wrong version of the method', 'socks5h', 'method', Buffer.from([4, 0])],
  ['HTTP', 'socks5h', 'method', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['HTTP', 'socks4a', 'connect', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['zeros', 'socks5h', 'method', Buffer.alloc(64)],
  ['no acceptable method', 'socks5h', 'method', Buffer.from([5, 0xff])],
  ['a method that was not offered', 'socks5h', 'method', Buffer.from([5, 1])],
  ['credentials that were not offered', 'socks5h', 'method', Buffer.from([5, 2])],
  ['a wrong version of the reply', 'socks5h', 'connect', Buffer.from([4, 0, 0, 1, 0, 0, 0, 0, 0, 0])],
  ['a wrong address type', 'socks5h', 'connect', Buffer.from([5, 0, 0, 9, 0, 0, 0, 0, 0, 0])],
  ['no address type', 'socks5h', 'connect', Buffer.from([5, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
  ['a wrong version of the reply', 'socks4a', 'connect', Buffer.from([4, 90, 0, 0, 0, 0, 0, 0])],
  ['SOCKS5', 'socks4a', 'connect', Buffer.from([5, 0])],
];
for (const [what, scheme, at, reply] of NONSENSE) {
  test(`THR-716: ${scheme} replies ${what} (${at}): NewConnectionError that says so, at once`, async (t) => {
    const { manager, socks } = await replying(t, scheme, (step, usual) => (step === at ? reply : usual));
    const began = performance.now();
    const error = await rejection(manager.request('GET', 'http://h.test/'), NewConnectionError);
    t.true(performance.now() - began < 5_000);
    t.like(error, { phase: 'proxy', sent: false });
    t.regex(error.message, /SOCKS/i);
    t.true(error.message.includes(`127.0.0.1:${socks.port}`), error.message);
    t.like(manager.stats(), { live: 0 });
  });
}

test('THR-716: a wrong version or status of the authentication', async (t) => {
  for (const [reply, message] of [
    [[1, 1], /authentication failed/i],
    [[1, 255], /authentication failed/i],
    [[5, 0], /version|SOCKS/i],
  ] as const) {
    const { manager } = await replying(
      t,
      'socks5h',
      (step, usual) => (step === 'credentials' ? Buffer.from(reply) : usual),
      { credentials: 'user:pass' },
    );
    t.regex((await rejection(manager.request('GET', 'http://h.test/'), NewConnectionError)).message, message);
  }
});

test('SOCKS-04: a refusal is tried again as an error of connecting', async (t) => {
  let count = 0;
  const { manager, socks } = await replying(t, 'socks5h', (step, usual) => {
    if (step !== 'connect') return usual;
    count += 1;
    return count < 3 ? Buffer.from([5, 5, 0, 1, 0, 0, 0, 0, 0, 0]) : usual;
  });
  const response = await manager.request('POST', 'http://h.test/', { retries: 5, body: 'once' });
  t.is(toldBy(response).body, 'once');
  t.is(socks.asked.length, 3);
  t.deepEqual(
    response.retries?.history.map(({ error }) => error?.name),
    ['NewConnectionError', 'NewConnectionError'],
  );
});

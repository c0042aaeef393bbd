/**
 * `denyAddresses` through everything that connects: the address that is connected to is the one that is judged, at each dial
 * and on each hop, whoever names it.
 */
import { once } from 'node:events';
import net from 'node:net';

import test, { type ExecutionContext } from 'ava';

import {
  AddressDenied,
  HTTPConnection,
  HTTPConnectionPool,
  HTTPSConnectionPool,
  PoolManager,
  SOCKSProxyManager,
  type Resolve,
} from '../index.ts';
import { answers, rawServer, reply, type RawServer, type Script } from './servers/raw.ts';
import { outcome } from './support/child.ts';
import { rejection } from './support/fixtures.ts';
import { leads, pastOf, reasonOf } from './support/origins.ts';
import { kept, socksed } from './support/proxied.ts';

/** What must not be reached here. 127.0.0.9 is outside of it, and stands for an address of the world's. */
const DENIED = ['127.0.0.0/29', '::1'];
const OUTSIDE = '127.0.0.9';
const SECRET = reply('secret');
const CLOSES = 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';

interface Places {
  /** On 127.0.0.9. */
  readonly outside: RawServer;
  /** On 127.0.0.1; nobody may get there. */
  readonly inside: RawServer;
}

/** One server outside and one inside, and at the test's end proof that nobody came to the one inside. */
async function places(t: ExecutionContext, script: Script): Promise<Places> {
  const outside = await rawServer(script, 0, OUTSIDE);
  t.teardown(() => outside.close());
  const inside = await rawServer(answers(SECRET));
  t.teardown(async () => {
    // Connections are accepted in their order: ours is the first, or somebody was here before.
    const last = net.connect(inside.port, '127.0.0.1');
    await once(last, 'connect');
    const { socket } = await inside.peer(1);
    const first = socket.remotePort === last.localPort;
    last.destroy();
    await inside.close();
    if (!first) throw new Error('somebody connected to the address that is denied');
  });
  return { outside, inside };
}

type Names = Readonly<Record<string, readonly (string | readonly string[])[]>>;

/** Looks names up in this list, an answer a look-up; what is not in it is the system's to look up, which are addresses. */
function lookUps(names: Names): { resolve: Resolve; looked: string[] } {
  const looked: string[] = [];
  const resolve: Resolve = (host) => {
    const nth = looked.filter((other) => other === host).length;
    looked.push(host);
    return names[host]?.[nth] ?? null;
  };
  return { resolve, looked };
}

/** A manager that does. */
function managing(t: ExecutionContext, names: Names): { manager: PoolManager; looked: string[] } {
  const { resolve, looked } = lookUps(names);
  return { manager: kept(t, new PoolManager({ resolve, denyAddresses: DENIED, retries: 3 })), looked };
}

/** What the caller sees of a denial. */
function denial(error: AddressDenied): unknown[] {
  return [error.code, error.phase, error.sent, error.message.replace(/^denyAddresses does not let /, '')];
}

const LITERALS: readonly (readonly [written: string, said: string])[] = [
  ['127.0.0.1', "'127.0.0.1' be connected to: 127.0.0.1 is private (loopback)"],
  ['127.1', "'127.0.0.1' be connected to: 127.0.0.1 is private (loopback)"],
  ['2130706433', "'127.0.0.1' be connected to: 127.0.0.1 is private (loopback)"],
  ['0x7f.0.0.01', "'127.0.0.1' be connected to: 127.0.0.1 is private (loopback)"],
  ['%31%32%37.0.0.1', "'127.0.0.1' be connected to: 127.0.0.1 is private (loopback)"],
  ['0.0.0.0', "'0.0.0.0' be connected to: 0.0.0.0 is private (unspecified)"],
  ['[::]', "'::' be connected to: :: is private (unspecified)"],
  ['[::1]', "'::1' be connected to: ::1 is private (loopback)"],
  ['[0:0::0:1]', "'::1' be connected to: ::1 is private (loopback)"],
  ['169.254.169.254', "'169.254.169.254' be connected to: 169.254.169.254 is private (link-local)"],
  ['[fe80::1%25lo]', "'fe80::1%lo' be connected to: fe80::1 is private (link-local)"],
  ['10.0.0.1', "'10.0.0.1' be connected to: 10.0.0.1 is private (private use)"],
  [
    '[::ffff:7f00:1]',
    "'::ffff:127.0.0.1' be connected to: ::ffff:127.0.0.1 is the IPv4-mapped form of 127.0.0.1, which is private (loopback)",
  ],
  [
    '[64:ff9b::7f00:1]',
    "'64:ff9b::7f00:1' be connected to: 64:ff9b::7f00:1 is the NAT64 form of 127.0.0.1, which is private (loopback)",
  ],
];

test('THR-519: an address in a URL is judged, however it is written, and nothing is tried again', async (t) => {
  const { inside } = await places(t, answers(SECRET));
  const manager = kept(t, new PoolManager({ denyAddresses: 'private', retries: 3 }));
  for (const [written, said] of LITERALS) {
    const error = await rejection(manager.request('GET', `http://${written}:${inside.port}/`), AddressDenied);
    t.deepEqual(denial(error), ['ERR_ADDRESS_DENIED', 'connect', false, said], written);
    t.deepEqual(pastOf(error), []);
  }
  // The system's own name for this machine.
  const named = await rejection(manager.request('GET', `http://localhost:${inside.port}/`), AddressDenied);
  t.is(named.phase, 'dns');
});

test('THR-519: what the list does not have is reached: ::1 where 127.0.0.0/8 is denied, and the other way round', async (t) => {
  for (const [denied, own, other] of [
    ['127.0.0.0/8', '::1', '127.0.0.1'],
    ['::1', '127.0.0.1', '::1'],
  ] as const) {
    const server = await rawServer(answers(reply('reached')), 0, own);
    t.teardown(() => server.close());
    const manager = kept(t, new PoolManager({ denyAddresses: [denied], retries: false }));
    const url = (address: string): string =>
      `http://${address.includes(':') ? `[${address}]` : address}:${server.port}/`;
    t.is((await manager.request('GET', url(own))).text(), 'reached');
    await rejection(manager.request('GET', url(other)), AddressDenied);
  }
});

test('THR-519: rebinding: a name that leads outside and then inside is denied when it is connected to', async (t) => {
  const { outside, inside } = await places(t, answers(reply('kept'), reply('kept'), CLOSES));
  const at = `${OUTSIDE}:${outside.port}`;
  const { manager, looked } = managing(t, {
    'rebinds.test': [at, `127.0.0.1:${inside.port}`, [`[::1]:${inside.port}`, `127.0.0.1:${inside.port}`], at],
  });
  const url = 'http://rebinds.test/';
  // The connection that there is was judged when it was made.
  for (let nth = 0; nth < 3; nth += 1) t.is((await manager.request('GET', url)).status, 200);
  t.is(looked.length, 1);
  const denied = await rejection(manager.request('GET', url), AddressDenied);
  t.deepEqual(denial(denied), [
    'ERR_ADDRESS_DENIED',
    'dns',
    false,
    "'rebinds.test' be connected to: 127.0.0.1 is in 127.0.0.0/29",
  ]);
  const twice = await rejection(manager.request('GET', url), AddressDenied);
  t.regex(twice.message, /: ::1 is in ::1\/128 \(the first of 2 addresses\)$/);
  t.is((await manager.request('GET', url)).status, 200);
  t.is(looked.length, 4);
});

test('THR-519: an attempt that is made again is judged again', async (t) => {
  // The first connection ends without an answer, which is tried again.
  const { outside, inside } = await places(t, async (peer) => {
    await peer.request();
    peer.end();
  });
  const { manager, looked } = managing(t, {
    'rebinds.test': [`${OUTSIDE}:${outside.port}`, `127.0.0.1:${inside.port}`, `${OUTSIDE}:${outside.port}`],
  });
  const error = await rejection(manager.request('GET', 'http://rebinds.test/'), AddressDenied);
  t.is(pastOf(error).length, 1);
  t.is(looked.length, 2, 'a denial is never tried again');
});

test('THR-519: each hop of a redirect is judged: by address, by name, and by a name that has moved', async (t) => {
  const ports = { inside: 0 };
  const { outside, inside } = await places(t, async (peer) => {
    for (;;) {
      const [, target = ''] = (await peer.request()).split(' ', 2);
      const [, hops, end = ''] = /^\/(\d)\/(.*)$/.exec(target) ?? [];
      const location = hops === '0' ? decodeURIComponent(end) : `/${Number(hops) - 1}/${end}`;
      await peer.write(leads(location.replace('PORT', String(ports.inside)), 302, 'Connection: close\r\n'));
      peer.end();
    }
  });
  ports.inside = inside.port;
  const at = `${OUTSIDE}:${outside.port}`;
  for (const hops of [0, 1, 2]) {
    for (const [location, said] of [
      ['http://127.0.0.1:PORT/', /127\.0\.0\.1 is in/],
      ['http://0:PORT/', /0\.0\.0\.0 is another name of 127\.0\.0\.1, which is in/],
      ['http://[::1]:PORT/', /::1 is in ::1\/128/],
      ['http://[::ffff:127.0.0.1]:PORT/', /IPv4-mapped form of 127\.0\.0\.1, which is in/],
      ['//inside.test:PORT/', /'inside\.test' be connected to: 127\.0\.0\.1 is in/],
      ['https://inside.test:PORT/', /'inside\.test' be connected to: 127\.0\.0\.1 is in/],
      ['http://out.test/', /'out\.test' be connected to: 127\.0\.0\.1 is in/],
    ] as const) {
      const { manager, looked } = managing(t, {
        // The host itself has moved by the time of the last hop.
        'out.test': [...Array.from({ length: hops + 1 }, () => at), `127.0.0.1:${inside.port}`],
        'inside.test': ['127.0.0.1'],
      });
      const url = `http://out.test/${hops}/${encodeURIComponent(location)}`;
      const error = await rejection(manager.request('GET', url), AddressDenied);
      t.regex(error.message, said);
      t.is(pastOf(error).length, hops + 1, `${location} after ${hops}`);
      t.true(looked.length >= hops + 1);
    }
  }
});

test('THR-519: of several addresses only those that are not denied are tried', async (t) => {
  const { outside, inside } = await places(t, answers(reply('reached')));
  const all = ['127.0.0.1', '127.0.0.2', '::1', '::ffff:127.0.0.3', OUTSIDE].map((address) => ({
    address,
    port: address === OUTSIDE ? outside.port : inside.port,
  }));
  const pool = new HTTPConnectionPool('mixed.test', { denyAddresses: DENIED, resolve: () => all, retries: false });
  t.teardown(() => pool.close({ timeout: 0 }));
  const response = await pool.request('GET', '/');
  t.is(response.text(), 'reached');
  t.deepEqual(
    response.connection?.triedAddresses.map(({ address }) => address),
    [`${OUTSIDE}:${outside.port}`],
  );
  // The map is no way around it.
  const resolve = { 'h.test': `127.0.0.1:${inside.port}` };
  const mapped = kept(t, new PoolManager({ denyAddresses: DENIED, resolve }));
  t.is((await rejection(mapped.request('GET', 'http://h.test/'), AddressDenied)).phase, 'connect');
});

test('THR-519: whoever connects is bound by it: pools, TLS, one connection, and those that are warmed', async (t) => {
  const { inside } = await places(t, answers(SECRET));
  const options = { port: inside.port, denyAddresses: DENIED, retries: false } as const;
  const plain = new HTTPConnectionPool('127.0.0.1', options);
  const secure = new HTTPSConnectionPool('127.0.0.1', { ...options, http2: true });
  for (const pool of [plain, secure]) {
    t.teardown(() => pool.close({ timeout: 0 }));
    await rejection(pool.request('GET', '/'), AddressDenied);
    await rejection(pool.request('GET', '/', { preloadContent: false }), AddressDenied);
    await rejection(pool.warm(1), AddressDenied);
    t.is(pool.stats().live, 0);
  }
  const { retries, ...own } = options;
  t.false(retries);
  const connection = new HTTPConnection('127.0.0.1', own);
  await rejection(connection.connect(), AddressDenied);
  await connection.close();
});

for (const scheme of ['socks4', 'socks5'] as const) {
  test(`THR-519 SOCKS-01: ${scheme}: the target’s address is judged before the proxy hears of it, and is what it is told; its own is exempt`, async (t) => {
    const { outside, inside } = await places(t, answers(reply('reached')));
    const socks = await socksed(t);
    const [there, here] = [`${OUTSIDE}:${outside.port}`, `127.0.0.1:${inside.port}`];
    const names: Names = {
      'rebinds.test': [there, here],
      'mixed.test': [[here, there]],
      'inside.test': [['127.0.0.2', here]],
    };
    const { resolve } = lookUps(names);
    const options = { denyAddresses: DENIED, resolve, retries: 3 };
    const manager = kept(t, new SOCKSProxyManager(socks.url(scheme), options));
    const closing = { headers: { Connection: 'close' } };
    t.is((await manager.request('GET', 'http://rebinds.test/', closing)).text(), 'reached');
    await rejection(manager.request('GET', 'http://rebinds.test/'), AddressDenied);
    t.is((await manager.request('GET', 'http://mixed.test/')).text(), 'reached');
    for (const host of ['inside.test', '127.0.0.1', '[::1]', '[::ffff:127.0.0.1]']) {
      const error = await rejection(manager.request('GET', `http://${host}/`), AddressDenied);
      t.deepEqual([error.code, error.sent], ['ERR_ADDRESS_DENIED', false], host);
    }
    t.deepEqual(
      socks.asked.map(({ kind, host }) => [kind, host]),
      [
        ['ipv4', OUTSIDE],
        ['ipv4', OUTSIDE],
      ],
    );
    t.is(socks.sockets.length, 2, 'nobody connects to it for a target that is denied');
    // Without the proxy, by the same manager.
    await rejection(manager.request('GET', `http://127.0.0.1:${inside.port}/`, { proxy: false }), AddressDenied);
  });
}

test('THR-519: a request cannot name a proxy that would look names up in its stead', async (t) => {
  const { inside } = await places(t, answers(SECRET));
  const { manager, looked } = managing(t, {});
  for (const scheme of ['http', 'https', 'socks4a', 'socks5h']) {
    const proxy = `${scheme}://${OUTSIDE}:${inside.port}`;
    const error = await reasonOf(manager.request('GET', 'http://h.test/', { proxy }));
    t.true(error instanceof TypeError, String(error));
    t.regex(String(error), /denyAddresses/);
  }
  t.deepEqual(looked, []);
});

test('THR-519: nor can the environment; with one that leaves names to us, and without any, addresses are judged', async (t) => {
  const { inside } = await places(t, answers(SECRET));
  const env = {
    NODE_USE_ENV_PROXY: '1',
    http_proxy: `http://127.0.0.1:${inside.port}`,
    https_proxy: `socks5://127.0.0.1:${inside.port}`,
    no_proxy: 'direct.test',
  };
  t.deepEqual(await outcome('denied-environment.ts', [], { env }), {
    'http://named.test/': 'TypeError ERR_INVALID_OPTION',
    'https://here.test/': 'AddressDenied ERR_ADDRESS_DENIED dns',
    'http://direct.test/': 'AddressDenied ERR_ADDRESS_DENIED dns',
    looked: ['here.test', 'direct.test'],
  });
});

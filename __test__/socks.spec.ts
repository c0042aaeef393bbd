/** Requests through SOCKS that works: who looks up names, what is asked for, and by whom. */
import net from 'node:net';
import test, { type ExecutionContext } from 'ava';

import {
  HTTPConnectionPool,
  HTTPError,
  HTTPSConnectionPool,
  LocationValueError,
  NewConnectionError,
  SOCKSProxyManager,
  SSLError,
  type PoolManagerOptions,
} from '../index.ts';
import type { SocksServer } from './servers/socks.ts';
import { rejection } from './support/fixtures.ts';
import { kept, namesIn, origins, socksed, through, toldBy, trusting } from './support/proxied.ts';
import { usual } from './support/pki.ts';
import { refused } from './support/secure.ts';

const SCHEMES = ['socks4', 'socks4a', 'socks5', 'socks5h'] as const;
type Scheme = (typeof SCHEMES)[number];

/** Whether the proxy is told names. */
const isRemote = (scheme: Scheme): boolean => scheme === 'socks4a' || scheme === 'socks5h';

/** Addresses of the origins' names, for those who look them up here; the proxy knows where they lead. */
const ADDRESSES: Readonly<Record<string, string>> = { 'h.test': '127.0.0.3', 's.test': '127.0.0.4' };

interface Setting {
  readonly socks: SocksServer;
  /** Names that were looked up here. */
  readonly looked: string[];
  readonly options: PoolManagerOptions;
}

/** A proxy, two origins behind it, and the options of a manager that counts look-ups. */
async function setting(t: ExecutionContext, own: Parameters<typeof socksed>[1] = {}): Promise<Setting> {
  const { routes } = await origins(t);
  const [http = 0, https = 0] = [routes['h.test:80'], routes['s.test:443']];
  const more = { '127.0.0.3:80': http, '127.0.0.4:443': https, '::3:80': http, '::4:443': https };
  const socks = await socksed(t, { ...own, routes: { ...routes, ...more } });
  const looked: string[] = [];
  const resolve = (host: string): string | null => {
    // An address of the proxy is one already.
    if (net.isIP(host) > 0) return null;
    looked.push(host);
    return ADDRESSES[host] ?? '192.0.2.1';
  };
  return { socks, looked, options: trusting({ resolve }) };
}

for (const scheme of SCHEMES) {
  const whose = isRemote(scheme) ? 'at the proxy, and never here' : 'here, and the proxy is told an address';

  test(`SOCKS-01 SOCKS-02 THR-718: ${scheme} resolves ${whose}; then origin form and the ordinary Host`, async (t) => {
    const { socks, looked, options } = await setting(t);
    const manager = kept(t, new SOCKSProxyManager(socks.url(scheme), options));
    const response = await manager.request('GET', 'http://h.test/path?q#f', { headers: { 'X-Mine': '1' } });
    const told = toldBy(response);
    t.like(told, { origin: 'http', target: '/path?q' });
    t.deepEqual(
      told.lines.filter(([name]) => /^host$/i.test(name)),
      [['Host', 'h.test']],
    );
    t.deepEqual(
      namesIn(told).filter((name) => name.startsWith('proxy')),
      [],
    );
    t.is(response.connection?.proxy, `${scheme}://127.0.0.1:${socks.port}`);
    t.is(response.connection?.remotePort, socks.port);
    const asked = await socks.asks(1);
    t.like(asked, {
      version: scheme.startsWith('socks4') ? 4 : 5,
      command: 1,
      kind: isRemote(scheme) ? 'name' : 'ipv4',
      host: isRemote(scheme) ? 'h.test' : '127.0.0.3',
      port: 80,
    });
    t.deepEqual(looked, isRemote(scheme) ? [] : ['h.test']);
    // Kept alive, as without a proxy.
    t.is((await manager.request('GET', 'http://h.test/again')).connection?.reused, true);
    t.is(socks.sockets.length, 1);
  });

  test(`SOCKS-05: ${scheme}: TLS inside, with the target’s name and checks`, async (t) => {
    const { socks, looked, options } = await setting(t);
    const manager = kept(t, new SOCKSProxyManager(socks.url(scheme), options));
    const response = await manager.request('POST', 'https://s.test/', { body: 'whole' });
    t.like(toldBy(response), { origin: 'https', body: 'whole' });
    t.like(response.connection?.tls, { verified: true, serverName: 's.test' });
    const [tunnel] = socks.tunnels;
    t.deepEqual([tunnel?.up()[0], tunnel?.down()[0]], [22, 22]);
    t.deepEqual(looked, isRemote(scheme) ? [] : ['s.test']);
    const wrong = kept(t, new SOCKSProxyManager(socks.url(scheme), { ...options, assertHostname: 'x.test' }));
    await refused(t, wrong.request('GET', 'https://s.test/'), 'ERR_TLS_CERT_ALTNAME_INVALID');
    const strict = kept(t, new SOCKSProxyManager(socks.url(scheme), { ...options, caCertData: usual().stranger.pem }));
    await refused(t, strict.request('GET', 'https://s.test/'), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  });

  test(`SOCKS-02: ${scheme}: an address is asked for as it is, whoever resolves`, async (t) => {
    const { socks, looked, options } = await setting(t);
    const manager = kept(t, new SOCKSProxyManager(socks.url(scheme), options));
    t.is(toldBy(await manager.request('GET', 'http://127.0.0.3/')).origin, 'http');
    t.like(await socks.asks(1), { kind: 'ipv4', host: '127.0.0.3', port: 80 });
    if (scheme.startsWith('socks5')) {
      t.is(toldBy(await manager.request('GET', 'http://[::3]/')).origin, 'http');
      t.like(await socks.asks(2), { kind: 'ipv6', host: '::3', port: 80 });
    }
    t.deepEqual(looked, []);
  });

  test(`SOCKS-02: ${scheme}: pools, managers and requests all can`, async (t) => {
    const { socks, options } = await setting(t);
    const proxy = socks.url(scheme);
    const { resolve } = options;
    const plain = new HTTPConnectionPool('h.test', { proxy, resolve, retries: false });
    const secure = new HTTPSConnectionPool('s.test', { proxy, resolve, retries: false, caCertData: usual().ca.pem });
    t.teardown(() => Promise.all([plain.close(), secure.close()]));
    t.is(toldBy(await plain.request('GET', '/')).origin, 'http');
    t.is(toldBy(await secure.request('GET', '/')).origin, 'https');
    const [own, one] = [through(t, proxy, options), through(t, null, options)];
    for (const url of ['http://h.test/', 'https://s.test/']) {
      t.is((await own.request('GET', url)).connection?.proxy, proxy);
      t.is((await one.request('GET', url, { proxy })).connection?.proxy, proxy);
    }
  });

  test(`SOCKS-02 PROXY-23: ${scheme}: redirects keep to the proxy`, async (t) => {
    const { socks, options } = await setting(t);
    const manager = kept(t, new SOCKSProxyManager(socks.url(scheme), { ...options, retries: 3 }));
    const url = `http://h.test/to/302/${encodeURIComponent('https://s.test/end')}`;
    const response = await manager.request('GET', url);
    t.like(toldBy(response), { origin: 'https', target: '/end' });
    t.is(socks.asked.length, 2);
  });
}

/** User info, the options, and what the proxy is to be shown. */
const WHO: readonly [
  scheme: Scheme,
  userInfo: string,
  options: { username?: string; password?: string },
  credentials: string,
][] = [
  ['socks5h', 'user:pass', {}, 'user:pass'],
  ['socks5', 'user:pass', {}, 'user:pass'],
  ['socks5h', 'us%40er:p%3Aa%25s%2Fs', {}, 'us@er:p:a%s/s'],
  ['socks5h', 'user:%70%61ss', {}, 'user:pass'],
  ['socks5h', '', { username: 'user', password: 'pass' }, 'user:pass'],
  ['socks5h', 'other:word', { username: 'user', password: 'pass' }, 'user:pass'],
  ['socks5h', '', { username: 'us%40er', password: 'p%61ss' }, 'us%40er:p%61ss'],
  ['socks5h', 'user:', {}, 'user:'],
  ['socks5h', 'user', {}, 'user:'],
  ['socks4', 'user', {}, 'user'],
  ['socks4a', 'us%40er', {}, 'us@er'],
  ['socks4a', 'user:ignored', {}, 'user'],
  ['socks4a', '', { username: 'user' }, 'user'],
];
for (const [scheme, userInfo, own, credentials] of WHO) {
  const said = `${userInfo === '' ? 'options' : `the URL’s ${userInfo}`}${Object.keys(own).length > 0 ? ` ${JSON.stringify(own)}` : ''}`;
  test(`SOCKS-03: ${scheme} shows credentials of ${said}`, async (t) => {
    const { socks, options } = await setting(t, { credentials });
    const manager = kept(t, new SOCKSProxyManager(socks.url(scheme, userInfo), { ...options, ...own }));
    const response = await manager.request('GET', 'http://h.test/');
    t.is(response.status, 200);
    const [username, ...password] = credentials.split(':');
    t.like((await socks.asks(1)).credentials, {
      username,
      password: scheme.startsWith('socks4') ? null : password.join(':'),
    });
    t.is(response.connection?.proxy, `${scheme}://127.0.0.1:${socks.port}`);
    t.false(/pass|user/.test(JSON.stringify(toldBy(response))));
  });
}

test('SOCKS-03: who has no credentials offers no method that wants them, and who has offers both', async (t) => {
  const { socks, options } = await setting(t);
  await kept(t, new SOCKSProxyManager(socks.url('socks5h'), options)).request('GET', 'http://h.test/');
  await kept(t, new SOCKSProxyManager(socks.url('socks5h', 'u:p'), options)).request('GET', 'http://h.test/');
  t.deepEqual(
    socks.asked.map(({ methods }) => [...methods]),
    [[0], [0, 2]],
  );
  // A proxy that asks for none is shown none.
  t.is(socks.asked[1]?.credentials, null);
});

test('SOCKS-02: names go as they are asked for: with a final dot, in ASCII, in lower case', async (t) => {
  const { routes } = await origins(t);
  const port = routes['h.test:80'] ?? 0;
  const socks = await socksed(t, { routes: { 'h.test.': port, 'xn--bcher-kva.test': port, 'h.test': port } });
  for (const scheme of ['socks4a', 'socks5h'] as const) {
    const manager = kept(t, new SOCKSProxyManager(socks.url(scheme), trusting({})));
    for (const [url, host] of [
      ['http://h.test./', 'h.test.'],
      ['http://b\u00fccher.test/', 'xn--bcher-kva.test'],
      ['http://H.TEST/', 'h.test'],
    ] as const) {
      t.is((await manager.request('GET', url)).status, 200);
      t.is(socks.asked.at(-1)?.host, host);
    }
  }
});

test('SOCKS-02 PROXY-20: a proxy at an address of IPv6, by its address and by name', async (t) => {
  const { routes } = await origins(t);
  const socks = await socksed(t, { routes, listenOn: '::1' });
  for (const proxy of [`socks5h://[::1]:${socks.port}`, `SOCKS5H://six.test:${socks.port}/ignored`]) {
    const manager = kept(t, new SOCKSProxyManager(proxy, trusting({ resolve: { 'six.test': '::1' } })));
    const { connection } = await manager.request('GET', 'http://h.test/');
    t.is(connection?.remoteAddress, '::1');
    t.is(connection?.proxy, proxy.replace('/ignored', '').replace('SOCKS5H', 'socks5h'));
  }
});

test('SOCKS-01: any other scheme is an error that says so, at once', (t) => {
  for (const url of ['http://h', 'https://h', 'socks6://h', 'socks://h', 'ftp://h']) {
    const error = t.throws(() => new SOCKSProxyManager(url), { instanceOf: HTTPError });
    t.regex(error?.message ?? '', /^Unable to determine SOCKS version from/);
    t.is(error?.code, 'ERR_INVALID_URL');
  }
});

test('SOCKS-06: localAddress is where the connection to the proxy comes from', async (t) => {
  const { socks, options } = await setting(t);
  for (const scheme of SCHEMES) {
    const manager = kept(t, new SOCKSProxyManager(socks.url(scheme), { ...options, localAddress: '127.0.0.9' }));
    const { connection } = await manager.request('GET', 'http://h.test/');
    t.is(connection?.localAddress, '127.0.0.9');
    t.is(socks.sockets.at(-1)?.remoteAddress, '127.0.0.9');
  }
});

test('SOCKS-02: a name with several addresses: each is asked for in turn until the proxy reaches one', async (t) => {
  const { socks, options } = await setting(t);
  for (const scheme of ['socks4', 'socks5'] as const) {
    const before = socks.asked.length;
    const resolve = (host: string): string[] | null =>
      net.isIP(host) > 0 ? null : ['192.0.2.1', '192.0.2.2', '127.0.0.3'];
    const refuses = await socksed(t, {
      routes: { '127.0.0.3:80': 1 },
      reply: (step, usual, { host, version }) => {
        if (step !== 'connect' || host === '127.0.0.3') return usual;
        return version === 4 ? Buffer.from([0, 91, 0, 0, 0, 0, 0, 0]) : Buffer.from([5, 4, 0, 1, 0, 0, 0, 0, 0, 0]);
      },
    });
    const manager = kept(t, new SOCKSProxyManager(refuses.url(scheme), { ...options, resolve }));
    const error = await rejection(manager.request('GET', 'http://h.test/'), NewConnectionError);
    t.truthy(error.reason);
    t.deepEqual(
      refuses.asked.map(({ host }) => host),
      ['192.0.2.1', '192.0.2.2', '127.0.0.3'],
    );
    t.is(socks.asked.length, before);
  }
});

test('THR-717: a name of 253 octets is the longest that there is; one that SOCKS5 could not say is LocationValueError, never looked up here', async (t) => {
  const { routes } = await origins(t);
  const label = 'a'.repeat(63);
  const longest = `${label}.${label}.${label}.${'b'.repeat(59)}.c`;
  t.is(longest.length, 253);
  const looked: string[] = [];
  const socks = await socksed(t, { routes: { [`${longest}:80`]: routes['h.test:80'] ?? 0 } });
  const resolve = (host: string): string | null => {
    if (net.isIP(host) === 0) looked.push(host);
    return net.isIP(host) > 0 ? null : '127.0.0.3';
  };
  for (const scheme of ['socks5h', 'socks4a'] as const) {
    const manager = kept(t, new SOCKSProxyManager(socks.url(scheme), trusting({ resolve })));
    t.is(toldBy(await manager.request('GET', `http://${longest}/`)).origin, 'http');
    t.is(socks.asked.at(-1)?.host, longest);
    const before = socks.asked.length;
    for (const host of [`${longest}d`, `${longest}.d`, `${longest}.ddd`, `${longest}.${label}`]) {
      const error = await rejection(manager.request('GET', `http://${host}/`), LocationValueError);
      t.is(error.code, 'ERR_INVALID_URL');
    }
    t.is(socks.asked.length, before);
  }
  t.deepEqual(looked, []);
});

test('THR-718: what a protocol cannot say is an error, and nothing is sent: IPv6 by SOCKS4, a user id with NUL, long credentials', async (t) => {
  const { socks, looked, options } = await setting(t);
  const long = 'p'.repeat(256);
  const impossible: [what: RegExp, url: string, own: { username?: string; password?: string }, target: string][] = [
    [/SOCKS4.*IPv6/, socks.url('socks4'), {}, 'http://[::3]/'],
    [/SOCKS4.*IPv6/, socks.url('socks4a'), {}, 'http://[::3]/'],
    [/user id.*NUL/, socks.url('socks4a', 'us%00er'), {}, 'http://h.test/'],
    [/user id.*NUL/, socks.url('socks4'), { username: 'us\0er' }, 'http://h.test/'],
    [/username.*255/, socks.url('socks5h', `${'u'.repeat(256)}:p`), {}, 'http://h.test/'],
    [/username.*255/, socks.url('socks5', ':p'), {}, 'http://h.test/'],
    [/password.*255/, socks.url('socks5h'), { username: 'u', password: long }, 'http://h.test/'],
  ];
  for (const [what, url, own, target] of impossible) {
    const call = async (): Promise<unknown> => {
      const manager = new SOCKSProxyManager(url, { ...options, ...own });
      try {
        return await manager.request('GET', target);
      } finally {
        await manager.close({ timeout: 0 });
      }
    };
    const error = await rejection(call(), Error);
    // What only its host decides is an error of connecting; the rest is nobody's fault but the caller's.
    t.is((error as Error & { code: string }).code, what.source.includes('IPv6') ? 'ERR_CONNECT' : 'ERR_INVALID_OPTION');
    t.regex(error.message, what);
    t.false(/us.er|u{9}|p{9}/.test(error.message), error.message);
  }
  t.true(socks.asked.every(({ bytes }) => bytes.length === 0));
  t.deepEqual(
    looked.filter((host) => host !== 'h.test'),
    [],
  );
  // Of a name with addresses of both kinds SOCKS4 takes those that it can say.
  const both = (host: string): string[] | null => (net.isIP(host) > 0 ? null : ['::3', '127.0.0.3']);
  const manager = kept(t, new SOCKSProxyManager(socks.url('socks4'), { ...options, resolve: both }));
  t.is(toldBy(await manager.request('GET', 'http://h.test/')).origin, 'http');
  t.like(socks.asked.at(-1), { kind: 'ipv4', host: '127.0.0.3' });
});

test('THR-701 THR-323: SOCKS credentials reach no origin, and each of them has connections of its own', async (t) => {
  const { socks, options } = await setting(t);
  const manager = through(t, null, options);
  const ids = new Set<unknown>();
  for (const userInfo of ['', 'a:1', 'a:2', 'b:1']) {
    for (const reused of [false, true]) {
      const response = await manager.request('GET', 'http://h.test/', { proxy: socks.url('socks5h', userInfo) });
      t.is(response.connection?.reused, reused, userInfo);
      ids.add(response.connection?.id);
    }
  }
  t.is(ids.size, 4);
  t.is(socks.asked.length, 4);
});

test('SOCKS-05 PROXY-16: an https target that is none, through SOCKS, is an SSLError of the target', async (t) => {
  const { routes } = await origins(t);
  const socks = await socksed(t, { routes: { 's.test:443': routes['h.test:80'] ?? 0 } });
  const error = await rejection(through(t, socks.url('socks5h')).request('GET', 'https://s.test/'), SSLError);
  t.like(error, { phase: 'tls', host: 's.test:443' });
});

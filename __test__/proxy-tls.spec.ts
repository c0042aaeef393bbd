/** Two layers of TLS, each with its own settings: what is said of the proxy holds for the proxy, all else for the origin. */
import test, { type ExecutionContext } from 'ava';

import {
  HTTPError,
  ProxyError,
  ProxyManager,
  SSLError,
  type PoolKwargs,
  type PoolManager,
  type PoolManagerOptions,
  type TLSOptions,
} from '../index.ts';
import type { Proxy } from './servers/proxy.ts';
import type { TlsServerOptions } from './servers/tls.ts';
import { helloOf, type Hello } from './servers/tls-bytes.ts';
import { rejection } from './support/fixtures.ts';
import { kept, origins, proxied, socksed, through, trusting, type Origins } from './support/proxied.ts';
import { root, selfSigned, usual } from './support/pki.ts';
import { refused } from './support/secure.ts';

const { ca, leaf, stranger } = usual();
const URLS = ['http://h.test/', 'https://s.test/'] as const;
const client = root().issue({ name: 'client', purposes: ['client'] });
const CLIENT = { cert: client.chain, key: client.keyPem };
const ASKS: TlsServerOptions = { requestCert: true, rejectUnauthorized: false };

interface Layers extends Origins {
  readonly proxy: Proxy;
}

/** An https proxy and https origins, both of which ask for certificates and take any. */
async function layers(
  t: ExecutionContext,
  outer: TlsServerOptions = {},
  inner: TlsServerOptions = {},
): Promise<Layers> {
  const all = await origins(t, { ...ASKS, ...inner });
  const proxy = await proxied(t, { tls: { ...ASKS, ...outer }, routes: all.routes });
  return { ...all, proxy };
}

/** A manager that trusts nobody unless it is told to. */
function bare(t: ExecutionContext, proxy: Proxy, options: ConstructorParameters<typeof ProxyManager>[1]): PoolManager {
  return kept(t, new ProxyManager(proxy.url, { retries: false, ...options }));
}

/** The request failed of TLS to the proxy. */
async function proxyFails(t: ExecutionContext, call: Promise<unknown>, reason: string): Promise<void> {
  const error = await rejection(call, ProxyError);
  t.like(error, { phase: 'proxy', code: 'ERR_PROXY' });
  t.true(error.originalError instanceof SSLError, error.message);
  t.like(error.originalError, { reason }, error.message);
}

test('THR-708 PROXY-14: each layer is checked with its own authorities, and with its own name', async (t) => {
  const [outerCa, innerCa] = [root(), root()];
  const all = await layers(
    t,
    outerCa.issue({ san: ['ip:127.0.0.1'] }).identity,
    innerCa.issue({ san: ['dns:s.test'] }).identity,
  );
  const both = { caCertData: innerCa.pem, proxyTls: { caCertData: outerCa.pem } };
  t.is((await bare(t, all.proxy, both).request('GET', 'https://s.test/')).status, 200);
  const before = all.https.received;
  // Each the wrong way round, and each for both.
  await proxyFails(
    t,
    bare(t, all.proxy, { caCertData: outerCa.pem, proxyTls: { caCertData: innerCa.pem } }).request('GET', URLS[1]),
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  );
  await proxyFails(
    t,
    bare(t, all.proxy, { caCertData: innerCa.pem }).request('GET', URLS[1]),
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  );
  await refused(
    t,
    bare(t, all.proxy, { caCertData: outerCa.pem }).request('GET', URLS[1]),
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  );
  // A certificate for the other layer's name is none.
  await proxyFails(
    t,
    bare(t, await proxied(t, { tls: ca.issue({ san: ['dns:s.test'] }).identity, routes: all.routes }), {
      caCertData: ca.pem,
    }).request('GET', URLS[1]),
    'ERR_TLS_CERT_ALTNAME_INVALID',
  );
  const misnamed = await origins(t, ca.issue({ san: ['ip:127.0.0.1', 'dns:h.test'] }).identity);
  const proxy = await proxied(t, { tls: {}, routes: misnamed.routes });
  await refused(t, through(t, proxy.url).request('GET', URLS[1]), 'ERR_TLS_CERT_ALTNAME_INVALID');
  t.is(all.https.received, before);
});

test('PROXY-14: without proxyTls the pool’s authorities, certReqs and versions hold for the proxy; given, it alone does', async (t) => {
  const strange = stranger.issue({ san: ['ip:127.0.0.1'] });
  const all = await layers(t, strange.identity);
  const trusts = { caCertData: ca.pem + stranger.pem };
  for (const url of URLS) {
    t.is((await bare(t, all.proxy, trusts).request('GET', url)).status, 200);
    t.is((await bare(t, all.proxy, { caCertData: stranger.pem, certReqs: 'none' }).request('GET', url)).status, 200);
    t.is((await bare(t, all.proxy, { ...trusts, proxyTls: { certReqs: 'none' } }).request('GET', url)).status, 200);
    await proxyFails(t, bare(t, all.proxy, trusting({})).request('GET', url), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    // Given, it stands alone: of the pool's own settings nothing is left for the proxy.
    await proxyFails(
      t,
      bare(t, all.proxy, { ...trusts, proxyTls: { caCertData: ca.pem } }).request('GET', url),
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    );
    await proxyFails(
      t,
      bare(t, all.proxy, { certReqs: 'none', proxyTls: { caCertData: ca.pem } }).request('GET', url),
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    );
  }
  // And nothing of the proxy's for the origin.
  const none = bare(t, all.proxy, { caCertData: stranger.pem, proxyTls: { certReqs: 'none' } });
  await refused(t, none.request('GET', 'https://s.test/'), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
});

test('PROXY-14 PROXY-15: versions: the pool’s bounds hold for the proxy unless proxyTls says otherwise', async (t) => {
  const all = await layers(t);
  const versions = (): [string | undefined, string | undefined] => [
    all.proxy.tls?.shaken.at(-1)?.version,
    all.https.shaken.at(-1)?.version,
  ];
  const ask = async (options: Parameters<typeof bare>[2]): Promise<[string | undefined, string | undefined]> => {
    const manager = bare(t, all.proxy, trusting({ ...options }));
    t.is((await manager.request('GET', 'https://s.test/')).status, 200);
    return versions();
  };
  t.deepEqual(await ask({}), ['TLSv1.3', 'TLSv1.3']);
  t.deepEqual(await ask({ sslMaximumVersion: 'TLSv1.2' }), ['TLSv1.2', 'TLSv1.2']);
  t.deepEqual(await ask({ proxyTls: { caCertData: ca.pem, sslMaximumVersion: 'TLSv1.2' } }), ['TLSv1.2', 'TLSv1.3']);
  t.deepEqual(await ask({ sslMaximumVersion: 'TLSv1.2', proxyTls: { caCertData: ca.pem } }), ['TLSv1.3', 'TLSv1.2']);
  const old = await layers(t, { maxVersion: 'TLSv1.2' });
  const strict = bare(t, old.proxy, trusting({ sslMinimumVersion: 'TLSv1.3' as const }));
  for (const url of URLS) {
    const error = await rejection(strict.request('GET', url), ProxyError);
    t.true(error.originalError instanceof SSLError);
  }
});

interface Identity {
  readonly what: string;
  /** Something that the origin would be refused for, were it applied to the proxy, or the proxy shown. */
  readonly options: TLSOptions;
}

/** Options of the origin that the proxy would fail, or must not see. */
const OF_THE_ORIGIN: readonly Identity[] = [
  { what: 'serverHostname', options: { serverHostname: 'second.test' } },
  { what: 'assertHostname', options: { assertHostname: 'second.test' } },
  { what: 'assertFingerprint', options: { assertFingerprint: '00'.repeat(32) } },
  { what: 'a client certificate', options: CLIENT },
  { what: 'ciphers', options: { ciphers: ['TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'TLS13_AES_256_GCM_SHA384'] } },
];

for (const { what, options } of OF_THE_ORIGIN) {
  test(`PROXY-14 THR-708: ${what} is the origin’s and never applies to the proxy`, async (t) => {
    const all = await layers(t);
    const plain = bare(t, all.proxy, trusting({}));
    await plain.request('GET', 'https://s.test/');
    const usually = all.proxy.tls?.shaken.at(-1);
    for (const forwards of [false, true]) {
      const manager = bare(t, all.proxy, trusting({ ...options, useForwardingForHttps: forwards }));
      for (const url of URLS) {
        if (what === 'assertFingerprint' && url.startsWith('https') && !forwards) {
          await refused(t, manager.request('GET', url), 'ERR_FINGERPRINT');
        } else {
          t.is((await manager.request('GET', url)).status, 200, `${url} ${forwards}`);
        }
        const { servername, client, cipher } = all.proxy.tls?.shaken.at(-1) ?? {};
        t.deepEqual({ servername, client, cipher }, { servername: null, client: [], cipher: usually?.cipher });
      }
    }
    const seen = all.https.shaken.find(({ servername }, nth) => nth > 0 && servername !== null);
    if (what === 'serverHostname') t.is(seen?.servername, 'second.test');
    if (what === 'a client certificate') t.deepEqual(seen?.client, ['client']);
    if (what === 'ciphers') t.is(seen?.cipher, 'TLS_AES_256_GCM_SHA384');
  });
}

test('THR-708: a client certificate of proxyTls is shown to the proxy alone', async (t) => {
  const all = await layers(t, { requestCert: true, rejectUnauthorized: true, ca: client.issuer.pem });
  const manager = bare(t, all.proxy, trusting({ proxyTls: { caCertData: ca.pem, ...CLIENT } }));
  for (const url of URLS) t.is((await manager.request('GET', url)).status, 200);
  t.true(all.proxy.tls?.shaken.every((one) => one.client[0] === 'client'));
  t.true(all.https.shaken.every((one) => one.client.length === 0));
  // Without it the proxy lets nobody in.
  for (const url of URLS) await rejection(bare(t, all.proxy, trusting({ ...CLIENT })).request('GET', url), HTTPError);
});

for (const hash of ['sha256', 'sha1', 'md5'] as const) {
  test(`PROXY-14: proxyAssertFingerprint checks the proxy and nobody else: ${hash}`, async (t) => {
    const all = await layers(t);
    for (const url of URLS) {
      const right = bare(t, all.proxy, trusting({ proxyAssertFingerprint: leaf.fingerprint(hash) }));
      t.is((await right.request('GET', url)).status, 200);
      const wrong = bare(t, all.proxy, trusting({ proxyAssertFingerprint: stranger.fingerprint(hash) }));
      await proxyFails(t, wrong.request('GET', url), 'ERR_FINGERPRINT');
      // It stands for the name, and for the chain with certReqs none.
      const pinned = { caCertData: ca.pem, proxyAssertFingerprint: stranger.fingerprint(hash) };
      const strange = await proxied(t, { tls: { ...stranger.identity }, routes: all.routes });
      const manager = bare(t, strange, { ...pinned, proxyTls: { certReqs: 'none' } });
      t.is((await manager.request('GET', url)).status, 200);
    }
  });
}

test('PROXY-14: proxyAssertHostname is the name that the proxy’s certificate must have, false for any', async (t) => {
  const all = await layers(t, ca.issue({ san: ['dns:proxy.test'] }).identity);
  for (const url of URLS) {
    for (const proxyAssertHostname of ['proxy.test', 'PROXY.test', false] as const) {
      const manager = bare(t, all.proxy, trusting({ proxyAssertHostname }));
      t.is((await manager.request('GET', url)).status, 200, String(proxyAssertHostname));
    }
    for (const options of [{}, { proxyAssertHostname: 'other.test' }, { assertHostname: 'proxy.test' }]) {
      const manager = bare(t, all.proxy, trusting({ ...options }));
      await proxyFails(t, manager.request('GET', url), 'ERR_TLS_CERT_ALTNAME_INVALID');
    }
  }
});

test('PROXY-14: a proxy’s certificate is matched as an origin’s: addresses by their own entries, the common name never', async (t) => {
  const { routes } = await origins(t);
  for (const [what, listenOn, san, fits] of [
    ['IPv4', '127.0.0.1', ['ip:127.0.0.1'], true],
    ['IPv6', '::1', ['ip:::1'], true],
    ['another address', '127.0.0.1', ['ip:127.0.0.2'], false],
    ['an address as a name', '127.0.0.1', ['dns:127.0.0.1'], false],
    ['none', '127.0.0.1', [], false],
  ] as const) {
    const certificate = ca.issue({ name: listenOn, san });
    const proxy = await proxied(t, { tls: certificate.identity, listenOn, routes });
    for (const url of URLS) {
      const call = through(t, proxy.url).request('GET', url);
      if (fits) t.is((await call).status, 200, what);
      else await proxyFails(t, call, 'ERR_TLS_CERT_ALTNAME_INVALID');
    }
  }
  const named = await proxied(t, { tls: ca.issue({ san: ['dns:proxy.test'] }).identity, routes });
  const url = named.url.replace('127.0.0.1', 'proxy.test');
  const manager = through(t, url, { resolve: { 'proxy.test': '127.0.0.1' } });
  t.is((await manager.request('GET', 'https://s.test/')).status, 200);
  t.is(named.tls?.shaken[0]?.servername, 'proxy.test');
});

test('PROXY-19: TLS in TLS: a wrong inner name is refused before anything is said; the outer hello offers http/1.1 alone', async (t) => {
  const hellos: Hello[] = [];
  const offered: string[][] = [];
  const all = await layers(t, {
    ALPNProtocols: undefined,
    ALPNCallback: ({ protocols }: { protocols: string[] }) => {
      offered.push(protocols);
      return 'http/1.1';
    },
  });
  for (const http2 of [false, true]) {
    const manager = through(t, all.proxy.url, { http2 });
    const { connection } = await manager.request('GET', 'https://s.test/');
    t.like(connection?.tls, { verified: true, serverName: 's.test' });
    const tunnel = all.proxy.tunnels.at(-1);
    hellos.push(helloOf(tunnel?.up() ?? Buffer.alloc(0)));
  }
  t.deepEqual(offered, [['http/1.1'], ['http/1.1']]);
  t.deepEqual(
    hellos.map(({ servername }) => servername),
    ['s.test', 's.test'],
  );
  t.deepEqual(hellos[1]?.alpn, ['h2', 'http/1.1']);
  const wrong = await origins(t, ca.issue({ san: ['dns:other.test'] }).identity);
  const proxy = await proxied(t, { tls: {}, routes: wrong.routes });
  await refused(t, through(t, proxy.url).request('GET', 'https://s.test/'), 'ERR_TLS_CERT_ALTNAME_INVALID');
  t.is(wrong.https.received, 0);
});

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test.serial(
    `PROXY-19 THR-812: sessions are resumed on both layers, and never across a difference: ${maxVersion}`,
    async (t) => {
      const all = await layers(t, { maxVersion }, { maxVersion });
      const ask = async (
        options: Parameters<typeof bare>[2],
      ): Promise<[outer: boolean | undefined, inner: boolean | undefined]> => {
        const manager = bare(t, all.proxy, trusting({ ...options }));
        await manager.request('GET', 'https://s.test/', { headers: { Connection: 'close' } });
        return [all.proxy.tls?.shaken.at(-1)?.resumed, all.https.shaken.at(-1)?.resumed];
      };
      t.deepEqual(await ask({}), [false, false]);
      t.deepEqual(await ask({}), [true, true]);
      // What is of one layer leaves the other's sessions alone.
      t.deepEqual(await ask({ assertHostname: false }), [true, false]);
      t.deepEqual(await ask({ proxyAssertHostname: false }), [false, true]);
      // Tickets of TLS 1.3 are used once, and there were two.
      await ask({});
      t.deepEqual(await ask({ proxyTls: { certReqs: 'none' } }), [false, true]);
      t.deepEqual(await ask(CLIENT), [true, false]);
      // A session that was won without checks is nothing to somebody who checks.
      const strange = selfSigned({ name: 'x', san: ['ip:127.0.0.1'] });
      const proxy = await proxied(t, { tls: { ...strange.identity, maxVersion }, routes: all.routes });
      const loose = { caCertData: ca.pem, proxyTls: { certReqs: 'none' as const } };
      for (const resumed of [false, true]) {
        await bare(t, proxy, loose).request('GET', 'https://s.test/');
        t.is(proxy.tls?.shaken.at(-1)?.resumed, resumed);
      }
      const error = await rejection(bare(t, proxy, trusting({})).request('GET', 'https://s.test/'), ProxyError);
      t.true(error.originalError instanceof SSLError);
    },
  );
}

test.serial(
  'THR-323 THR-812: sessions with an origin are of one way to it: another proxy, other credentials, or none at all begin anew',
  async (t) => {
    const all = await layers(t);
    const [plain, socks] = [await proxied(t, { routes: all.routes }), await socksed(t, { routes: all.routes })];
    const resolve = { 's.test': `127.0.0.1:${all.https.port}` };
    const ways: Record<string, PoolManagerOptions> = {
      http: { proxy: plain.url },
      'http, credentials': { proxy: plain.url.replace('//', '//a:b@') },
      'http, another password': { proxy: plain.url.replace('//', '//a:c@') },
      https: { proxy: all.proxy.url },
      SOCKS: { proxy: socks.url('socks5h') },
      'SOCKS, credentials': { proxy: socks.url('socks5h', 'a:b') },
      none: { resolve },
      'localAddress, none': { resolve, localAddress: '127.0.0.2' },
      'localAddress, http': { proxy: plain.url, localAddress: '127.0.0.2' },
      'interface, http': { proxy: plain.url, interface: 'lo' },
    };
    for (const round of [false, true]) {
      for (const [name, options] of Object.entries(ways)) {
        const manager = through(t, null, options);
        await manager.request('GET', 'https://s.test/', { headers: { Connection: 'close' } });
        t.is(all.https.shaken.at(-1)?.resumed, round, name);
      }
    }
  },
);

test.serial('THR-323 THR-812: so are those with an https proxy, by the place that it is dialled from', async (t) => {
  const { proxy } = await layers(t);
  const places: Record<string, PoolKwargs & PoolManagerOptions> = {
    none: {},
    localAddress: { localAddress: '127.0.0.2' },
    'another localAddress': { localAddress: '127.0.0.3' },
    interface: { interface: 'lo' },
  };
  const headers = { Connection: 'close' };
  const shared = through(t, proxy.url);
  const resumed = (): boolean | undefined => proxy.tls?.shaken.at(-1)?.resumed;
  for (const [name, place] of Object.entries(places)) {
    await through(t, proxy.url, place).request('GET', 'http://h.test/', { headers });
    t.false(resumed(), name);
  }
  // What was met from one place serves everybody there.
  for (const [name, place] of Object.entries(places)) {
    const pool = shared.connectionFromHost('h.test', { poolKwargs: place });
    await pool.request('GET', 'http://h.test/', { headers, assertSameHost: false });
    t.true(resumed(), name);
  }
});

interface Optional {
  readonly what: string;
  readonly options: PoolManagerOptions;
  /** What the origin saw of it; otherwise the reason that it was refused. */
  readonly seen?: Partial<{ servername: string; version: string; cipher: string; client: string[] }>;
  readonly reason?: string;
}

/** Every option of TLS, through a tunnel: what it makes of the origin's handshake. */
const OPTIONS: readonly Optional[] = [
  { what: 'cert, key', options: CLIENT, seen: { client: ['client'] } },
  { what: 'sslMaximumVersion', options: { sslMaximumVersion: 'TLSv1.2' }, seen: { version: 'TLSv1.2' } },
  { what: 'sslMinimumVersion', options: { sslMinimumVersion: 'TLSv1.3' }, seen: { version: 'TLSv1.3' } },
  {
    what: 'ciphers',
    options: { ciphers: ['TLS13_CHACHA20_POLY1305_SHA256'] },
    seen: { cipher: 'TLS_CHACHA20_POLY1305_SHA256' },
  },
  { what: 'serverHostname', options: { serverHostname: 'second.test' }, seen: { servername: 'second.test' } },
  { what: 'assertHostname', options: { assertHostname: 'second.test' }, seen: { servername: 's.test' } },
  { what: 'assertHostname, wrong', options: { assertHostname: 'x.test' }, reason: 'ERR_TLS_CERT_ALTNAME_INVALID' },
  { what: 'assertFingerprint, wrong', options: { assertFingerprint: '00'.repeat(32) }, reason: 'ERR_FINGERPRINT' },
  { what: 'caCertData, wrong', options: { caCertData: stranger.pem }, reason: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' },
  { what: 'certReqs none', options: { caCertData: stranger.pem, certReqs: 'none' }, seen: { servername: 's.test' } },
];

for (const { what, options, seen, reason } of OPTIONS) {
  test(`THR-708 PROXY-03: ${what} reaches the origin through an http and an https proxy`, async (t) => {
    const all = await origins(t, ASKS);
    const plain = await proxied(t, { routes: all.routes });
    const secure = await proxied(t, { tls: {}, routes: all.routes });
    const proxyConfig = { tls: { caCertData: ca.pem } };
    for (const proxy of [plain, secure]) {
      const manager = through(t, proxy.url, { ...options, proxyConfig });
      const before = all.https.received;
      if (reason === undefined) {
        t.is((await manager.request('GET', 'https://s.test/')).status, 200);
        t.like(all.https.shaken.at(-1), seen ?? {});
      } else {
        await refused(t, manager.request('GET', 'https://s.test/'), reason);
        t.is(all.https.received, before);
      }
    }
  });
}

/** What is warned about while this goes on. */
async function warnings(during: () => Promise<unknown>): Promise<string[]> {
  const heard: string[] = [];
  const hear = ({ name, message }: Error): void => {
    if (name === 'InsecureRequestWarning') heard.push(/host '([^']*)'/.exec(message)?.[1] ?? message);
  };
  process.on('warning', hear);
  await during();
  // Warnings are emitted in a turn of their own.
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', hear);
  return heard;
}

test.serial(
  'PROXY-18 PROXY-17 WARN-01: one warning a pool for a target that nobody verified, or a proxy that answers for it unverified',
  async (t) => {
    const strange = stranger.issue({ san: ['ip:127.0.0.1', 'dns:s.test'] });
    const all = await layers(t, {}, strange.identity);
    const proxyTls = { caCertData: ca.pem };
    const twice = async (options: Parameters<typeof bare>[2], url: string, proxy = all.proxy): Promise<boolean> => {
      const manager = bare(t, proxy, options);
      await manager.request('GET', url);
      const { connection } = await manager.request('GET', url);
      return connection?.tls?.verified ?? false;
    };
    // What is behind a proxy that was verified and passes requests on is that proxy's to answer for.
    const forwarding = { certReqs: 'none', proxyTls, useForwardingForHttps: true } as const;
    for (const url of URLS) t.deepEqual(await warnings(() => twice(forwarding, url)), [], url);
    const tunnelling = { certReqs: 'none', proxyTls } as const;
    t.deepEqual(await warnings(() => twice(tunnelling, 'https://s.test/')), ['s.test']);
    t.false(await twice(tunnelling, 'https://s.test/'));
    t.deepEqual(await warnings(() => twice(tunnelling, 'http://h.test/')), []);
    const loose = { certReqs: 'none', useForwardingForHttps: true } as const;
    t.deepEqual(await warnings(() => twice(loose, 'http://h.test/')), ['127.0.0.1']);
    t.deepEqual(await warnings(() => twice(loose, 'https://s.test/')), ['127.0.0.1']);
    const plain = await proxied(t, { routes: all.routes });
    t.deepEqual(await warnings(() => twice({ certReqs: 'none' }, 'https://s.test/', plain)), ['s.test']);
    t.deepEqual(await warnings(() => twice({ certReqs: 'none' }, 'http://h.test/', plain)), []);
  },
);

/** The options of proxies and of what may be connected to: what is refused, and what the core is told of the others. */
import test, { type ExecutionContext } from 'ava';

import { poolSettings } from '../facade/options.ts';
import { othersWire, proxySettings, type ProxyOptions } from '../facade/proxy-options.ts';
import {
  HTTPConnection,
  HTTPConnectionPool,
  HTTPHeaderDict,
  HTTPSConnectionPool,
  PoolManager,
  ProxyManager,
  SKIP_HEADER,
  SOCKSProxyManager,
  type PoolOptions,
  type ProxyManagerOptions,
  type RequestOptions,
  type TLSOptions,
} from '../index.ts';
import { usual } from './support/pki.ts';

const { ca, leaf } = usual();
const REFUSED = { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' } as const;
const PROXY = 'http://p.test:3128';

/** Pools, managers and connections refuse them alike, when they are made. */
function refuses(t: ExecutionContext, options: unknown, message: RegExp | string, code = 'ERR_INVALID_OPTION'): void {
  const given = { ...(options as PoolOptions) };
  const wanted = { instanceOf: TypeError, code, message };
  t.throws(() => new HTTPConnectionPool('h', given), wanted);
  t.throws(() => new HTTPSConnectionPool('h', given), wanted);
  t.throws(() => new HTTPConnection('h', given), wanted);
  t.throws(() => new PoolManager(given), wanted);
  if (Object.values(given).includes(null)) return;
  t.throws(() => new PoolManager().connectionFromUrl('http://h/', given), wanted);
}

test('PROXY-01: what is no URL is refused before anybody parses it, and nothing that was given is repeated', (t) => {
  for (const wrong of [1, true, false, {}, [PROXY], Buffer.from(PROXY), new HTTPConnectionPool('h')]) {
    refuses(t, { proxy: wrong }, /^proxy is a proxy's URL, not an? \w+$/);
  }
  const refused = { name: 'LocationParseError', code: 'ERR_INVALID_URL' };
  for (const url of ['http://user:s3cret@h:99999/', 'http://user:s3cret@[::1/', 'http://user:s3cret@a b/']) {
    const error = t.throws(() => new PoolManager({ proxy: url }), refused, url);
    t.notRegex(JSON.stringify([error?.message, error]), /s3cret/, url);
  }
});

test('PROXY-07: the core is told the URL as it was given, a `URL` as its text; null is none', (t) => {
  const url = 'http://user:p%40ss@P.test';
  t.deepEqual(proxySettings({ proxy: url }), { wire: { url }, shown: 'http://p.test:80', headers: null });
  t.is(proxySettings({ proxy: new URL(url) }).wire?.url, 'http://user:p%40ss@p.test/');
  for (const none of [null, undefined]) t.is(proxySettings({ proxy: none }).wire, null);
  const shown: [string, string][] = [
    ['https://u:p@P.TEST', 'https://p.test:443'],
    ['http://u:p@[::1]:0/path?query', 'http://[::1]:0'],
    ['socks4a://u@h', 'socks4a://h:1080'],
    ['SOCKS5H://h:9050', 'socks5h://h:9050'],
  ];
  for (const [given, want] of shown) t.is(proxySettings({ proxy: given }).shown, want);
});

test('PROXY-06: proxyHeaders are lines, each once, from whatever headers come', (t) => {
  const both = [
    ['X-A', '1'],
    ['X-A', '2'],
    ['x-b', '3'],
  ];
  function* pairs(): Generator<[string, string]> {
    yield* both as [string, string][];
  }
  const sources = [{ 'X-A': ['1', '2'], 'x-b': 3 }, both as [string, string][], new HTTPHeaderDict(pairs()), pairs()];
  for (const proxyHeaders of sources) {
    t.deepEqual(proxySettings({ proxy: PROXY, proxyHeaders }).wire, { url: PROXY, headers: both as never });
  }
  t.deepEqual(proxySettings({ proxy: PROXY, proxyHeaders: {} }).wire, { url: PROXY });
  t.deepEqual(proxySettings({ proxy: PROXY, proxyHeaders: null }).wire, { url: PROXY });
  const said = /^proxyHeaders leave nothing out/;
  refuses(t, { proxy: PROXY, proxyHeaders: { 'user-agent': SKIP_HEADER } }, said, 'ERR_INVALID_HEADER');
  for (const wrong of [1, 'X-A: 1', { a: {} }, [['a']]]) {
    refuses(t, { proxy: PROXY, proxyHeaders: wrong }, /header/, 'ERR_INVALID_HEADER');
  }
});

test('PROXY-06: an iterator of proxyHeaders is read once, and a dictionary copied', (t) => {
  function* pairs(): Generator<[string, string]> {
    yield ['X-A', '1'];
  }
  const manager = new PoolManager({ proxyHeaders: pairs(), proxy: PROXY });
  t.deepEqual([...manager.proxyHeaders], [['X-A', '1']]);
  const pool = manager.connectionFromHost('h', { poolKwargs: { maxsize: 3 } });
  t.deepEqual(pool.toJSON().proxyHeaders, ['X-A']);
  const given = new HTTPHeaderDict({ a: '1' });
  const other = new ProxyManager(PROXY, { proxyHeaders: given });
  given.set('b', '2');
  other.proxyHeaders.set('c', '3');
  t.deepEqual([...other.proxyHeaders.keys()], ['a']);
});

test('PROXY-12: fields that no proxy may be sent are refused when they are said', (t) => {
  for (const proxyHeaders of [{ 'a b': '1' }, { a: '1\r\nb: 2' }, { a: '1\0' }, { 'a:': '1' }, { '': '1' }]) {
    const refused = { name: 'InvalidHeader', code: 'ERR_INVALID_HEADER' };
    const said = JSON.stringify(proxyHeaders);
    t.throws(() => new HTTPConnectionPool('h', { proxy: PROXY, proxyHeaders }), refused, said);
    t.throws(() => new PoolManager({ proxy: PROXY, proxyHeaders }), refused, said);
    t.throws(() => new PoolManager({ proxyHeaders }), refused, said);
    t.throws(() => new ProxyManager(PROXY, { proxyHeaders }), refused, said);
  }
});

test('THR-323: proxyHeaders and proxyConfig without a proxy are of no use to a pool, and it says so', (t) => {
  const config = { proxyConfig: { assertHostname: 'p.test' } };
  const headers = { proxyHeaders: { a: '1' } };
  for (const [options, name] of [
    [headers, 'proxyHeaders'],
    [config, 'proxyConfig'],
  ] as const) {
    const refused = { ...REFUSED, message: `${name} is of no use to a pool without a proxy` };
    for (const proxy of [undefined, null]) {
      t.throws(() => new HTTPConnectionPool('h', { ...options, proxy }), refused);
      t.throws(() => new HTTPSConnectionPool('h', { ...options, proxy }), refused);
    }
    // A manager's are for the proxies that its requests name, and its pools are made of the same.
    const manager = new PoolManager(options);
    t.notThrows(() => manager.connectionFromUrl('http://h/'));
    t.notThrows(() => manager.connectionFromUrl('http://h/', { maxsize: 2 }));
    t.throws(() => manager.connectionFromUrl('http://h/', options), refused);
    const behind = new PoolManager({ proxy: PROXY });
    t.throws(() => behind.connectionFromUrl('http://h/', { ...options, proxy: null }), refused);
  }
  t.throws(() => new HTTPConnection('h', headers), REFUSED);
  // There a tunnel may be set later.
  t.notThrows(() => new HTTPConnection('h', config));
});

test('PROXY-14: without proxyConfig.tls a proxy is trusted as the caller says, and nothing of the origin’s reaches it', (t) => {
  const trust: TLSOptions = {
    certReqs: 'required',
    caCerts: 'ca.pem',
    caCertDir: 'certs',
    caCertData: ca.pem,
    sslMinimumVersion: 'TLSv1.2',
    sslMaximumVersion: 'TLSv1.3',
  };
  const identity: TLSOptions = {
    cert: leaf.pem,
    key: leaf.keyPem,
    keyPassword: 's3cret',
    serverHostname: 'o.test',
    assertHostname: 'o.test',
    assertFingerprint: 'aa',
    ciphers: 'TLS13_AES_128_GCM_SHA256',
    keyLogFile: 'keys',
  };
  const told = {
    certReqs: 'required',
    authorities: [{ file: 'ca.pem' }, { pem: ca.pem }, { dir: 'certs' }],
    minimumVersion: 'TLSv1.2',
    maximumVersion: 'TLSv1.3',
  } as const;
  const proxy = 'https://p.test';
  t.deepEqual(proxySettings({ ...trust, ...identity, proxy }).wire, { url: proxy, tls: told });
  t.deepEqual(othersWire({ ...trust, ...identity, proxy }), { url: '', tls: told });
  // On top of it, what is said of the proxy.
  const proxyConfig = { assertHostname: 'p.test', assertFingerprint: 'bb', useForwardingForHttps: true };
  const all = { assertHostname: { is: 'p.test' }, assertFingerprint: 'bb' };
  t.deepEqual(proxySettings({ ...trust, ...identity, proxy, proxyConfig }).wire, {
    url: proxy,
    useForwardingForHttps: true,
    tls: { ...told, ...all },
  });
  t.is(proxySettings({ proxy, proxyConfig: { assertHostname: false } }).wire?.tls?.assertHostname, 'off');
});

test('PROXY-14: with proxyConfig.tls it alone counts', (t) => {
  const options: ProxyOptions & TLSOptions = {
    certReqs: 'none',
    caCerts: 'ca.pem',
    sslMinimumVersion: 'TLSv1.3',
    proxy: 'https://p.test',
    proxyConfig: { tls: { cert: leaf.pem, key: leaf.keyPem, caCerts: 'system' }, assertFingerprint: 'bb' },
  };
  t.deepEqual(proxySettings(options).wire?.tls, {
    authorities: ['system'],
    identity: { chain: { pem: leaf.pem }, key: { pem: leaf.keyPem } },
    assertFingerprint: 'bb',
  });
  t.is(proxySettings({ ...options, proxyConfig: { tls: {} } }).wire?.tls?.certReqs, undefined);
  t.deepEqual(proxySettings({ ...options, proxyConfig: { tls: null } }).wire?.tls, {
    certReqs: 'none',
    authorities: [{ file: 'ca.pem' }],
    minimumVersion: 'TLSv1.3',
  });
});

test('PROXY-15: a pool for http has no options of TLS; its https proxy is verified all the same', (t) => {
  const { wire } = proxySettings({ proxy: 'https://p.test' });
  // The defaults, whatever the environment says of them.
  t.deepEqual(Object.keys(wire?.tls ?? {}), ['environment']);
  t.is(proxySettings({ proxy: PROXY }).wire?.tls, undefined);
  t.is(proxySettings({ proxy: 'socks5://p.test' }).wire?.tls, undefined);
});

test('THR-701 PROXY-14: what was said of a manager’s own proxy is not for those that its requests name', (t) => {
  const said = {
    caCerts: 'ca.pem',
    proxyHeaders: { 'Proxy-Authorization': 'Basic x' },
    proxyConfig: { tls: { cert: leaf.pem, key: leaf.keyPem }, useForwardingForHttps: true, assertHostname: 'p.test' },
  };
  t.deepEqual(othersWire({ ...said, proxy: 'https://p.test' }), {
    url: '',
    tls: { authorities: [{ file: 'ca.pem' }] },
  });
  t.like(othersWire(said), {
    url: '',
    headers: [['Proxy-Authorization', 'Basic x']],
    useForwardingForHttps: true,
    tls: { assertHostname: { is: 'p.test' }, identity: { chain: { pem: leaf.pem }, key: { pem: leaf.keyPem } } },
  });
  // Nor for the one that a pool of its has in place of it.
  const manager = new ProxyManager(PROXY, { proxyHeaders: said.proxyHeaders, useForwardingForHttps: false });
  const other = manager.connectionFromUrl('http://h/', { proxy: 'http://other.test:1' }).toJSON();
  t.deepEqual([other.proxy, other.proxyHeaders, other.proxyConfig], ['http://other.test:1', undefined, undefined]);
  const own = manager.connectionFromUrl('http://h/', { proxy: 'http://other.test:1', proxyHeaders: { b: '1' } });
  t.deepEqual(own.toJSON().proxyHeaders, ['b']);
});

test('PROXY-14: proxyConfig is checked where it is said, and each message names what the caller wrote', (t) => {
  const proxy = 'https://p.test';
  const cases: [config: unknown, message: RegExp | string][] = [
    ['x', 'proxyConfig is an object, not a string'],
    [{ tsl: {} }, "proxyConfig has no option 'tsl'; did you mean 'tls'?"],
    [{ tls: 1 }, 'proxyConfig.tls takes an object of options, not a number'],
    [{ tls: { ca: 'x' } }, "proxyConfig.tls has no option 'ca'; did you mean 'caCerts'?"],
    [{ tls: { caCerts: 1 } }, /^proxyConfig\.tls: caCerts is a path/],
    [{ tls: { certReqs: 'none', assertHostname: 'x' } }, /^proxyConfig\.tls: assertHostname is not checked/],
    [{ useForwardingForHttps: 1 }, 'proxyConfig.useForwardingForHttps is a boolean, not a number'],
    [{ assertHostname: true }, /^proxyConfig\.assertHostname: assertHostname is a name or false/],
    [{ assertFingerprint: 1 }, /^proxyConfig\.assertFingerprint: assertFingerprint is a fingerprint/],
    [
      { tls: { assertHostname: 'a' }, assertHostname: 'b' },
      'proxyConfig.assertHostname and proxyConfig.tls.assertHostname say the same thing twice',
    ],
  ];
  for (const [proxyConfig, message] of cases) refuses(t, { proxy, proxyConfig }, message);
  const ofManager: [ProxyManagerOptions, RegExp | string][] = [
    [{ proxyTls: 1 as never }, 'proxyTls takes an object of options, not a number'],
    [{ proxyTls: { caCerts: 1 as never } }, /^proxyTls: caCerts is a path/],
    [{ useForwardingForHttps: 1 as never }, 'useForwardingForHttps is a boolean, not a number'],
    [{ proxyAssertHostname: true as never }, /^proxyAssertHostname: /],
    [{ proxyAssertFingerprint: 1 as never }, /^proxyAssertFingerprint: /],
    [{ certReqs: 'none', proxyAssertHostname: 'x' }, /^proxyAssertHostname: assertHostname is not checked/],
    [
      { proxyTls: { assertFingerprint: 'aa' }, proxyAssertFingerprint: 'bb' },
      'proxyAssertFingerprint and proxyTls.assertFingerprint say the same thing twice',
    ],
    [{ caCerts: 1 as never, proxyAssertHostname: 'x' }, /^caCerts is a path/],
    [{ proxy: PROXY } as never, /^a proxy manager has no option 'proxy'; /],
    [{ proxyConfig: {} } as never, /^a proxy manager has no option 'proxyConfig'; /],
    [{ proxyTLS: {} } as never, "a proxy manager has no option 'proxyTLS'; did you mean 'proxyTls'?"],
    [{ username: 'x' } as never, /^a proxy manager has no option 'username'; /],
  ];
  for (const [options, message] of ofManager) t.throws(() => new ProxyManager(proxy, options), { ...REFUSED, message });
  for (const name of ['proxy', 'proxyHeaders', 'proxyConfig', 'proxyTls', 'useForwardingForHttps']) {
    const message = new RegExp(`^a SOCKS proxy manager has no option '${name}'; `);
    t.throws(() => new SOCKSProxyManager('socks5://h', { [name]: {} }), { ...REFUSED, message });
  }
  for (const name of ['username', 'password']) {
    const message = `${name} is a string, not a number`;
    t.throws(() => new SOCKSProxyManager('socks5://h', { [name]: 1 }), { ...REFUSED, message });
  }
});

test('THR-519: denyAddresses is a word or networks, and what is neither denies nothing by mistake', (t) => {
  for (const wrong of ['public', '10.0.0.0/8', 1, true, {}, new Set(['::1'])]) {
    refuses(t, { denyAddresses: wrong }, /^denyAddresses is 'private' or an array of networks(, not a|; a single)/);
  }
  for (const wrong of [[1], [''], [null], [['::1']]]) {
    refuses(t, { denyAddresses: wrong }, /^a network of denyAddresses is a string that is not empty/);
  }
  for (const wrong of ['10.0.0.0/33', 'h.test', '10.0.0', '10.0.0.1/', 'privat']) {
    const refused = { code: 'ERR_INVALID_OPTION', message: /denyAddresses/ };
    t.throws(() => new HTTPConnectionPool('h', { denyAddresses: [wrong] }), refused, wrong);
    t.throws(() => new PoolManager({ denyAddresses: [wrong] }), refused, wrong);
  }
  for (const denyAddresses of ['private', ['10.0.0.0/8', 'private', '::1', 'fd00::/8'], []] as const) {
    const pool = new HTTPConnectionPool('h', { denyAddresses });
    t.deepEqual(pool.toJSON().denyAddresses, typeof denyAddresses === 'string' ? denyAddresses : [...denyAddresses]);
  }
  t.false('denyAddresses' in new HTTPConnectionPool('h', { denyAddresses: null }).toJSON());
});

test('THR-519 SOCKS-01: denyAddresses where a proxy resolves names, or no address is dialled, would promise too much', (t) => {
  const denyAddresses = 'private';
  for (const scheme of ['http', 'https', 'socks4a', 'socks5h']) {
    const proxy = `${scheme}://user:s3cret@p.test`;
    const refused = { ...REFUSED, message: /^(?!.*s3cret).*denyAddresses/ };
    t.throws(() => new HTTPConnectionPool('h', { denyAddresses, proxy }), refused, scheme);
    t.throws(() => new PoolManager({ denyAddresses, proxy }), refused, scheme);
  }
  for (const scheme of ['socks4', 'socks5']) {
    t.notThrows(() => new HTTPConnectionPool('h', { denyAddresses, proxy: `${scheme}://p.test` }), scheme);
  }
  t.throws(() => new HTTPConnectionPool('h', { denyAddresses, unixSocket: '/x' }), {
    ...REFUSED,
    message: /denyAddresses.*unixSocket|unixSocket.*denyAddresses/,
  });
});

test('a Unix socket and a proxy are two ways, and a pool has one', (t) => {
  const refused = { ...REFUSED, message: /unixSocket/ };
  t.throws(() => new HTTPConnectionPool('h', { proxy: PROXY, unixSocket: '/x' }), refused);
  t.throws(() => new PoolManager({ proxy: PROXY, unixSocket: '/x' }), refused);
});

test('null is no local address, no Unix socket and no resolving of the caller’s', (t) => {
  const none = poolSettings({ localAddress: null, unixSocket: null, resolve: null }, 'http').wire;
  t.deepEqual(Object.keys(none), []);
});

test('an interface is a name; null is none', (t) => {
  for (const wrong of ['', 1, true, {}, ['lo']]) {
    refuses(t, { interface: wrong }, /^interface is a string that is not empty, not /);
  }
  t.is(new HTTPConnectionPool('h', { interface: 'lo' }).toJSON().interface, 'lo');
  t.false('interface' in new HTTPConnectionPool('h', { interface: null }).toJSON());
});

test('REQ-18: a request’s proxy is a URL, false or null, and a pool’s request has none', async (t) => {
  const manager = new PoolManager();
  for (const wrong of [1, true, {}, [PROXY]]) {
    const refused = { ...REFUSED, message: /^proxy is a proxy's URL, not / };
    await t.throwsAsync(manager.request('GET', 'http://h.test/', { proxy: wrong } as RequestOptions), refused);
  }
  // To the core no text would be no proxy.
  await t.throwsAsync(manager.request('GET', 'http://h.test/', { proxy: '' }), { ...REFUSED, message: /empty$/ });
  const pool = new HTTPConnectionPool('h.test', { proxy: PROXY });
  for (const proxy of [PROXY, new URL(PROXY), false] as const) {
    const message = "a pool's way is chosen when it is made: give it `proxy`, or ask a manager";
    await t.throwsAsync(pool.request('GET', '/', { proxy } as RequestOptions), { ...REFUSED, message });
  }
  const unknown = { ...REFUSED, message: /^a request has no option 'proxies'; did you mean 'proxy'\?/ };
  await t.throwsAsync(manager.request('GET', 'http://h.test/', { proxies: PROXY } as RequestOptions), unknown);
});

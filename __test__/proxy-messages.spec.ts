/**
 * What a log line says that has nothing but an error's message: whether it was the proxy or the server, which of them, and
 * why; and what is said of a proxy's own URL and credentials.
 */
import test from 'ava';

import {
  ConnectTimeoutError,
  HTTPConnection,
  LocationParseError,
  LocationValueError,
  NewConnectionError,
  PoolManager,
  ProtocolError,
  ProxyError,
  ReadTimeoutError,
  SOCKSProxyManager,
  type HTTPError,
} from '../index.ts';
import { httpsServer } from './servers/tls.ts';
import { certificate, kept, origins, proxied, socksed, through } from './support/proxied.ts';

test('PROXY-08: the message of a ProxyError has what the proxy did in place of an answer', async (t) => {
  const heard = [
    ['garbage\r\n\r\n', / in the proxy's answer that begins with 'garbage'\)$/],
    ['', / \(the proxy closed the connection without an answer\)$/],
    ['HTTP/1.1 2', / \(the proxy closed the connection inside its answer\)$/],
    ['\u0005\u0000', /; does it speak SOCKS\?\)$/],
  ] as const;
  for (const [answer, why] of heard) {
    const proxy = await proxied(t, {
      manner: (_, socket) => {
        socket.end(answer);
        return 'mine';
      },
    });
    const manager = through(t, proxy.url);
    const error = await t.throwsAsync<ProxyError>(manager.request('GET', 'https://s.test/'), {
      instanceOf: ProxyError,
    });
    const { host } = new URL(proxy.url);
    t.true(error?.message.startsWith(`Unable to connect to proxy ${host}: Connection aborted. (`), error?.message);
    t.regex(error?.message ?? '', why);
    t.is(`Unable to connect to proxy ${host}: ${error?.originalError?.message}`, error?.message);
  }
});

test('PROXY-13: a request that was handed on and not answered names the server and the proxy', async (t) => {
  const { routes } = await origins(t);
  const silent = await proxied(t, { routes, manner: () => 'mine' });
  const ending = await proxied(t, {
    routes,
    manner: (_, socket) => {
      socket.end();
      return 'mine';
    },
  });
  const manager = through(t, silent.url, { timeout: { connect: 10_000, read: 100 } });
  const late = await t.throwsAsync<HTTPError>(manager.request('GET', 'http://h.test/'), {
    instanceOf: ReadTimeoutError,
  });
  const by = (url: string): string => `(through proxy ${new URL(url).host})`;
  const name = "HTTPConnectionPool(host='h.test', port=80)";
  t.is(late?.message, `${name}: Read timed out. (read timeout=100 ms) ${by(silent.url)}`);
  t.is(late?.host, 'h.test:80');
  const gone = await t.throwsAsync(through(t, ending.url).request('GET', 'http://h.test/'), {
    instanceOf: ProtocolError,
  });
  t.is(gone?.message, `Connection aborted. (the peer closed the connection without a response) ${by(ending.url)}`);

  // Inside a tunnel it is the server's, unless the proxy has let it go.
  const mute = await httpsServer(() => undefined, certificate());
  t.teardown(() => mute.close());
  const passing = await proxied(t, { routes: { 's.test:443': mute.port } });
  const slow = through(t, passing.url, { timeout: { connect: 10_000, read: 100 } });
  const inside = await t.throwsAsync<HTTPError>(slow.request('GET', 'https://s.test/'), {
    instanceOf: ReadTimeoutError,
  });
  const tunnelled = `(tunnelled by proxy ${new URL(passing.url).host})`;
  t.true(inside?.message.endsWith(`Read timed out. (read timeout=100 ms) ${tunnelled}`), inside?.message);
});

test('SOCKS-04 THR-716: what is no SOCKS proxy is said to be none, and by what', async (t) => {
  for (const [scheme, why] of [
    ['socks5h', 'the peer is no SOCKS5 proxy (first byte 0x48): does it speak HTTP?'],
    ['socks4a', 'the peer is no SOCKS4 proxy (first byte 0x48): does it speak HTTP?'],
  ] as const) {
    const proxy = await socksed(t, { reply: () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n') });
    const manager = through(t, `${scheme}://127.0.0.1:${proxy.port}`);
    const error = await t.throwsAsync<NewConnectionError>(manager.request('GET', 'http://h.test/'), {
      instanceOf: NewConnectionError,
    });
    const said = `the proxy broke off the SOCKS handshake: ${why} (proxy 127.0.0.1:${proxy.port})`;
    t.true(error?.message.endsWith(said), error?.message);
    t.is(error?.reason, 'ERR_SOCKS_PROTOCOL');
  }
});

test('SOCKS-02 THR-718: an address that SOCKS4 has no room for is refused in the name of the proxy', async (t) => {
  const proxy = await socksed(t);
  for (const scheme of ['socks4', 'socks4a']) {
    const manager = through(t, `${scheme}://127.0.0.1:${proxy.port}`);
    const error = await t.throwsAsync(manager.request('GET', 'http://[::1]:1/'), { instanceOf: NewConnectionError });
    const said = `SOCKS4 knows no IPv6 addresses (proxy 127.0.0.1:${proxy.port})`;
    t.true(error?.message.endsWith(said), error?.message);
  }
  t.is(proxy.sockets.length, 0);
});

test('THR-902: where the server is looked up here, it is the server that a stalled look-up is about', async (t) => {
  const proxy = await socksed(t);
  const manager = kept(
    t,
    new SOCKSProxyManager(`socks5://127.0.0.1:${proxy.port}`, {
      retries: false,
      timeout: { connect: 100 },
      resolve: (host) => (host === 'h.test' ? new Promise(() => undefined) : null),
    }),
  );
  const error = await t.throwsAsync<HTTPError>(manager.request('GET', 'http://h.test/'), {
    instanceOf: ConnectTimeoutError,
  });
  t.is(error?.phase, 'dns');
  t.is(error?.message, 'Connection to h.test:80 timed out. (connect timeout=100 ms, in dns)');
});

test('SOCKS-03 THR-718: credentials that cannot be sent are refused when they are said', async (t) => {
  const long = 'u'.repeat(256);
  const refused = { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' };
  const socks = 'socks5://127.0.0.1:1';
  t.throws(() => new SOCKSProxyManager(socks, { username: long }), { ...refused, message: /1 to 255 bytes/ });
  t.throws(() => new SOCKSProxyManager(socks, { password: 'alone' }), { ...refused, message: /1 to 255 bytes/ });
  t.throws(() => new SOCKSProxyManager(socks, { username: 'u', password: long }), { ...refused, message: /255 bytes/ });
  for (const scheme of ['socks4', 'socks4a']) {
    const fourth = `${scheme}://127.0.0.1:1080`;
    const own = { username: 'u', password: 'secret' };
    const said = t.throws(() => new SOCKSProxyManager(fourth, own), { ...refused, message: /SOCKS4 has none/ });
    t.false(said?.message.includes('secret'));
    t.notThrows(() => new SOCKSProxyManager(fourth, { ...own, password: '' }));
    t.notThrows(() => new SOCKSProxyManager(`${scheme}://u:secret@127.0.0.1:1080`));
  }
  t.throws(() => new SOCKSProxyManager('socks4://h', { username: 'a\0b' }), { ...refused, message: /NUL/ });
  t.throws(() => new PoolManager({ proxy: `socks5h://${long}:p@h` }), refused);
  const manager = kept(t, new PoolManager({ retries: false }));
  const proxy = `socks5h://${long}:p@127.0.0.1:1`;
  const error = await t.throwsAsync(manager.request('GET', 'http://h.test/', { proxy }), refused);
  t.false(error?.message.includes('uuu'));
});

test("PROXY-01: an error of a proxy's URL is told from one of the URL that is asked for", async (t) => {
  const reason = 'ERR_PROXY_URL';
  const its = / \(it is the proxy's URL\)$/;
  const manager = kept(t, new PoolManager({ retries: false }));
  const url = 'http://h.test/';
  for (const [proxy, location] of [
    ['http://user:s3cret@a b:1', 'http://a b:1'],
    ['http://h:99999', 'http://h:99999'],
    ['http://[::1', 'http://[::1'],
  ] as const) {
    const made = t.throws<LocationParseError>(() => new PoolManager({ proxy }), { instanceOf: LocationParseError });
    const asked = await t.throwsAsync<LocationParseError>(manager.request('GET', url, { proxy }), {
      instanceOf: LocationParseError,
    });
    for (const error of [made, asked]) {
      t.like(error, { reason, location }, proxy);
      t.regex(error?.message ?? '', its);
      t.false(JSON.stringify(error).includes('s3cret'));
    }
  }
  for (const proxy of ['http://', 'http://:3128', 'socks5://u:p@']) {
    const error = t.throws<HTTPError>(() => new HTTPConnection('h', { proxy }), { instanceOf: LocationValueError });
    t.is(error?.reason, reason);
    t.regex(error?.message ?? '', its);
  }
  // The same errors, of the URL that is asked for.
  const own = await t.throwsAsync<LocationParseError>(
    manager.request('GET', 'http://a b/', { proxy: 'http://127.0.0.1:1' }),
    { instanceOf: LocationParseError },
  );
  t.like(own, { reason: null, location: 'http://a b/' });
  t.notRegex(own?.message ?? '', /proxy/);
});

test('THR-519: what is wrong with a list is said of it, also where it was left empty', (t) => {
  const refused = (options: object): string | undefined =>
    t.throws(() => new PoolManager(options), { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' })?.message;
  const single = "denyAddresses is 'private' or an array of networks; a single network is one too";
  t.is(refused({ denyAddresses: '10.0.0.0/8' }), single);
  t.is(
    refused({ denyAddresses: [''] }),
    'a network of denyAddresses is a string that is not empty, not an empty string',
  );
  t.is(refused({ denyAddresses: 5 }), "denyAddresses is 'private' or an array of networks, not a number");
  t.is(refused({ interface: '' }), 'interface is a string that is not empty, not an empty string');
});

/**
 * What proxies that others made say when they will not or cannot: each of them in its own way. What is no proxy's refusal but
 * an answer to a request that it was given stays an answer.
 */
import { inspect } from 'node:util';
import test from 'ava';
import type { ExecutionContext } from 'ava';

import { ConnectTimeoutError, NewConnectionError, ProxyError, SSLError, type HTTPError } from '../../index.ts';
import { FORBIDDEN } from '../servers/installed-proxies.ts';
import { certificate } from '../servers/openssl.ts';
import { certificates } from '../support/fronts.ts';
import { rejection } from '../support/fixtures.ts';
import { behind, isSocks, managed, origin, route, ROUTES, urlOf, type Route } from '../support/installed.ts';

/** What each says to a stranger, to one with a wrong password, of a host that it bars, and of one where nobody listens. */
const SAYS = {
  squid: { nobody: 407, wrong: 407, barred: 403, dead: 503 },
  tinyproxy: { nobody: 407, wrong: 401, barred: 403, dead: 500 },
} as const;

/** Where nobody listens. */
const CLOSED = 1;

const WRONG = { username: 'ferro', password: 'never-heard-of' };

for (const of of ROUTES.filter((one) => !isSocks(one))) {
  const { name } = of;
  const says = SAYS[of.make as keyof typeof SAYS];

  for (const [who, status, credentials] of [
    ['nobody', says.nobody, null],
    ['a wrong password', says.wrong, WRONG],
  ] as const) {
    test.serial(
      `PROXY-07 PROXY-10 THR-704 ${who} is refused a tunnel, and is answered otherwise: ${name}`,
      async (t) => {
        const [plain, secure] = [await origin(t, 'http'), await origin(t, 'https')];
        const { proxy } = await behind(t, of);
        const manager = managed(t, of, urlOf(of, proxy, credentials));
        const error = await rejection(manager.request('GET', secure('/echo')), ProxyError);
        refused(t, error, status, proxy.port);
        t.is(error.phase, 'proxy');
        t.false(error.sent ?? false);
        const challenge = status === 401 ? 'www-authenticate' : 'proxy-authenticate';
        t.regex(error.headers?.get(challenge) ?? '', /^Basic realm=/);
        t.true((error.body?.length ?? 0) > 0, 'a page says why');
        secret(t, error, WRONG.password);
        const answer = await manager.request('GET', plain('/echo'));
        t.is(answer.status, status);
        t.regex(answer.headers.get(challenge) ?? '', /^Basic realm=/);
        const { opened, closed, idle } = manager.stats();
        t.true(opened === closed + idle && idle <= 1, 'nothing is kept of what was refused');
      },
    );
  }

  test.serial(`PROXY-10 a host that is barred, and one where nobody listens: ${name}`, async (t) => {
    const { manager, proxy } = await behind(t, of);
    for (const [host, status] of [
      [FORBIDDEN.name, says.barred],
      ['ferro.test', says.dead],
    ] as const) {
      const error = await rejection(manager.request('GET', `https://${host}:${CLOSED}/`), ProxyError);
      refused(t, error, status, proxy.port);
      const answer = await manager.request('GET', `http://${host}:${CLOSED}/`);
      t.is(answer.status, status);
    }
    const { opened, closed, idle } = manager.stats();
    t.true(opened === closed + idle);
  });
}

test.serial('PROXY-10 a name that the proxy does not know: squid', async (t) => {
  const { manager, proxy } = await behind(t, route('squid', 'http'));
  const error = await rejection(manager.request('GET', 'https://nowhere.test/'), ProxyError);
  refused(t, error, 500, proxy.port);
  t.is(error.headers?.get('x-squid-error'), 'ERR_CANNOT_FORWARD 0');
});

for (const [of, who, credentials, said] of [
  [route('Dante', 'socks5h', true), 'a wrong password', WRONG, /SOCKS5 authentication failed/],
  [
    route('Dante', 'socks5h', true),
    'nobody',
    null,
    /SOCKS5 authentication failed \(the proxy wants to know who we are\)/,
  ],
  [route('microsocks', 'socks5h'), 'a wrong password', WRONG, /SOCKS5 authentication failed/],
  [
    route('microsocks', 'socks5h'),
    'nobody',
    null,
    /SOCKS5 authentication failed \(the proxy wants to know who we are\)/,
  ],
] as const) {
  test.serial(`SOCKS-04 THR-716 ${who} is refused: ${of.name}`, async (t) => {
    const [plain, secure] = [await origin(t, 'http'), await origin(t, 'https')];
    const { proxy } = await behind(t, of);
    const manager = managed(t, of, urlOf(of, proxy, credentials));
    for (const at of [plain, secure]) {
      const error = await rejection(manager.request('GET', at('/echo')), NewConnectionError);
      t.regex(error.message, said);
      failed(t, error, proxy.port);
      secret(t, error, WRONG.password);
    }
    t.is(manager.stats().idle, 0);
  });
}

test.serial('SOCKS-03 who names himself where nobody is asked is let through: Dante, ssh -D', async (t) => {
  const at = await origin(t, 'http');
  for (const of of [route('Dante', 'socks4'), route('Dante', 'socks5h'), route('ssh -D', 'socks4a')]) {
    const { proxy } = await behind(t, of);
    const manager = managed(t, of, urlOf(of, proxy, WRONG));
    t.is((await manager.request('GET', at('/echo'))).status, 200, of.name);
  }
});

/** What becomes of an address that a proxy bars, and of one where nobody listens. `ssh -D` hangs up. */
const CODES: readonly (readonly [of: Route, barred: RegExp | null, dead: RegExp])[] = [
  [route('Dante', 'socks4'), /0x5b|rejected/i, /0x5b|rejected/i],
  [route('Dante', 'socks5'), /0x02: Connection not allowed by ruleset/, /0x05: Connection refused/],
  [route('Dante', 'socks5h'), /0x02: Connection not allowed by ruleset/, /0x05: Connection refused/],
  [route('microsocks', 'socks5h'), null, /0x05: Connection refused/],
  [route('ssh -D', 'socks4a'), null, /broke off the SOCKS handshake/],
  [route('ssh -D', 'socks5h'), null, /broke off the SOCKS handshake/],
];

for (const [of, barred, dead] of CODES) {
  test.serial(`SOCKS-04 THR-716 where it does not connect to: ${of.name}`, async (t) => {
    const { manager, proxy } = await behind(t, of);
    const hosts = [...(barred === null ? [] : [[FORBIDDEN.name, barred] as const]), ['ferro.test', dead] as const];
    for (const [host, said] of hosts) {
      for (const scheme of ['http', 'https']) {
        const error = await rejection(manager.request('GET', `${scheme}://${host}:${CLOSED}/`), NewConnectionError);
        t.regex(error.message, said, host);
        failed(t, error, proxy.port);
      }
    }
    t.is(manager.stats().idle, 0);
  });
}

test.serial('SOCKS-01 THR-718 names of version 4a are not known to Dante: an error, and no other way', async (t) => {
  const at = await origin(t, 'http');
  const { proxy } = await behind(t, route('Dante', 'socks4'));
  const fourA = { ...route('ssh -D', 'socks4a'), credentials: null };
  const manager = managed(t, fourA, `socks4a://127.0.0.1:${proxy.port}`);
  const error = await rejection(manager.request('GET', at('/echo')), NewConnectionError);
  failed(t, error, proxy.port);
});

test.serial('THR-716 THR-705 one protocol where another is spoken is told apart: squid, Dante', async (t) => {
  const at = await origin(t, 'https');
  const [http, socks] = [await route('squid', 'http').start(), await route('Dante', 'socks5').start()];
  t.teardown(() => http.close());
  t.teardown(() => socks.close());
  for (const scheme of ['socks5h', 'socks4a'] as const) {
    const manager = managed(t, route('ssh -D', scheme), `${scheme}://127.0.0.1:${http.port}`, {
      timeout: { connect: 1_000 },
    });
    // It waits for more of what it takes for a request.
    const error = await rejection(manager.request('GET', at('/echo')), ConnectTimeoutError);
    t.is(error.code, 'ERR_CONNECT_TIMEOUT');
    t.is(error.phase, 'proxy');
    t.regex(error.message, new RegExp(`^Connection to proxy 127\\.0\\.0\\.1:${http.port} `));
  }
  const manager = managed(t, route('squid', 'http'), `http://127.0.0.1:${socks.port}`);
  const error = await rejection(manager.request('GET', at('/echo')), ProxyError);
  const below = error.originalError?.cause as Error | undefined;
  t.is(below?.message, 'the proxy closed the connection without an answer');
});

test.serial(
  'PROXY-14 PROXY-19 THR-708 a proxy over TLS is verified by itself, and so is the origin: squid',
  async (t) => {
    const [plain, secure] = [await origin(t, 'http'), await origin(t, 'https')];
    const of = route('squid', 'https');
    const { proxy, manager, url } = await behind(t, of);
    t.is((await manager.request('GET', secure('/echo'))).connection?.tls?.verified, true);
    const stranger = certificate({ name: 'a stranger' }).certificate;
    const { root } = certificates();
    // Nobody vouches for the proxy.
    const without = managed(t, of, url, { caCertData: stranger });
    for (const at of [plain, secure]) {
      const error = await rejection(without.request('GET', at('/echo')), ProxyError);
      t.true(error.originalError instanceof SSLError, error.message);
      t.is(error.phase, 'proxy');
    }
    // For the proxy alone, and for the origin alone.
    const half = managed(t, of, url, { proxyTls: { caCertData: root.certificate }, caCertData: stranger } as object);
    t.is((await half.request('GET', plain('/echo'))).status, 200);
    const inner = await rejection(half.request('GET', secure('/echo')), SSLError);
    t.is(inner.phase, 'tls');
    const other = managed(t, of, url, { proxyTls: { caCertData: stranger } } as object);
    t.true((await rejection(other.request('GET', secure('/echo')), ProxyError)).originalError instanceof SSLError);
    // Another name than the proxy's.
    const named = managed(t, of, url, { proxyAssertHostname: 'elsewhere.test' } as object);
    const wrong = await rejection(named.request('GET', plain('/echo')), ProxyError);
    t.is((wrong.originalError as SSLError).reason, 'ERR_TLS_CERT_ALTNAME_INVALID');
    // Both ways of mistaking the one for the other.
    const plainly = managed(t, route('squid', 'http'), url.replace('https:', 'http:'));
    t.is((await rejection(plainly.request('GET', secure('/echo')), ProxyError)).phase, 'proxy');
    const http = await route('squid', 'http').start();
    t.teardown(() => http.close());
    const overTls = managed(t, of, url.replace(String(proxy.port), String(http.port)));
    t.regex(
      (await rejection(overTls.request('GET', plain('/echo')), ProxyError)).message,
      /Your proxy appears to only use HTTP and not HTTPS, try changing your proxy URL to be HTTP/,
    );
  },
);

/** What a refused CONNECT is. */
function refused(t: ExecutionContext, error: ProxyError, status: number, port: number): void {
  t.is(error.status, status);
  t.is(error.code, 'ERR_PROXY');
  t.regex(error.message, new RegExp(`^Unable to connect to proxy 127\\.0\\.0\\.1:${port}: `));
  t.regex(error.message, new RegExp(`Proxy responded with ${status}`));
  t.regex(error.originalError?.message ?? '', new RegExp(`^Tunnel connection failed: ${status} `));
}

/** What a refusal by SOCKS is. */
function failed(t: ExecutionContext, error: NewConnectionError, port: number): void {
  t.is(error.phase, 'proxy');
  t.false(error.sent ?? false);
  t.true(error.message.includes(`127.0.0.1:${port}`), error.message);
}

/** No part of an error that is shown has what must not be. */
function secret(t: ExecutionContext, error: HTTPError, password: string): void {
  const encoded = Buffer.from(`${WRONG.username}:${password}`).toString('base64');
  for (const text of [error.message, JSON.stringify(error), inspect(error, { depth: 10 }), String(error.stack)]) {
    t.false(text.includes(password) || text.includes(encoded), text);
  }
}

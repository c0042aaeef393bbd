/** Which name is asked for (SNI), and which names a certificate is good for (RFC 9525). */
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';

import { HTTPSConnectionPool, SSLError } from '../index.ts';
import { rawServer, reply } from './servers/raw.ts';
import { ALERT, alert, helloOf } from './servers/tls-bytes.ts';
import { rejection } from './support/fixtures.ts';
import { LOCAL, usual, type Wanted } from './support/pki.ts';
import { folderOf, greets, reasonOf, refused, secured, securePool, type SecureOptions } from './support/secure.ts';
import { vectors } from './support/vectors.ts';
import { tlsServer, type ScriptedTlsServer } from './servers/tls.ts';

const { ca } = usual();

/**
 * What comes of asking for this host where the server has a certificate for these names. The server is reached by a Unix
 * socket, so that any host will do.
 */
async function asks(
  t: ExecutionContext,
  host: string,
  wanted: Wanted,
  options: SecureOptions = {},
): Promise<{ outcome: string; server: ScriptedTlsServer }> {
  const unixSocket = path.join(folderOf(t, {}), 's');
  const server = await onSocket(t, unixSocket, wanted);
  const pool = securePool(t, 443, { host, unixSocket, ...options });
  return { outcome: await reasonOf(pool.request('GET', '/')), server };
}

async function onSocket(t: ExecutionContext, listenOn: string, wanted: Wanted): Promise<ScriptedTlsServer> {
  const server = await tlsServer(greets, { ...ca.issue(wanted).identity, listenOn });
  t.teardown(() => server.close());
  return server;
}

const MISMATCH = 'ERR_TLS_CERT_ALTNAME_INVALID';

const NAMES: readonly (readonly [what: string, san: readonly string[], host: string, matches: boolean])[] = [
  ['equal', ['dns:a.test'], 'a.test', true],
  ['in any case', ['dns:A.Test'], 'a.TEST', true],
  ['one of several', ['dns:x.test', 'dns:a.test', 'ip:127.0.0.1'], 'a.test', true],
  ['another', ['dns:b.test'], 'a.test', false],
  ['a name above', ['dns:test'], 'a.test', false],
  ['a name below', ['dns:a.a.test'], 'a.test', false],
  ['a trailing dot of the host', ['dns:a.test'], 'a.test.', true],
  ['a wildcard for a label', ['dns:*.a.test'], 'b.a.test', true],
  ['a wildcard in any case', ['dns:*.A.TEST'], 'B.a.test', true],
  ['a wildcard for no label', ['dns:*.a.test'], 'a.test', false],
  ['a wildcard for two labels', ['dns:*.a.test'], 'c.b.a.test', false],
  ['a bare wildcard', ['dns:*'], 'localhost', false],
  ['a bare wildcard, two labels', ['dns:*'], 'a.test', false],
  ['a partial wildcard, at the end', ['dns:b*.a.test'], 'bc.a.test', false],
  ['a partial wildcard, at the beginning', ['dns:*c.a.test'], 'bc.a.test', false],
  ['two wildcards', ['dns:*.*.test'], 'b.a.test', false],
  ['a wildcard further right', ['dns:b.*.test'], 'b.a.test', false],
  ['a wildcard for an A-label', ['dns:*.a.test'], 'xn--bcher-kva.a.test', true],
  ['a wildcard within an A-label', ['dns:xn--b*.a.test'], 'xn--bcher-kva.a.test', false],
  ['a wildcard for an address', ['dns:*.0.0.1'], '127.0.0.1', false],
  ['an A-label for what was written in Unicode', ['dns:xn--bcher-kva.test'], 'bücher.test', true],
  ['an A-label in capitals', ['dns:XN--BCHER-KVA.test'], 'BÜCHER.test', true],
  ['Unicode in the certificate', ['dns:b\u00fccher.test'], 'bücher.test', false],
  ['a NUL in the certificate', ['dns:a.test\0.b.test'], 'a.test', false],
  ['a NUL in the certificate, from the other side', ['dns:b.test\0.a.test'], 'a.test', false],
  ['an address as an address', ['ip:127.0.0.1'], '127.0.0.1', true],
  ['another address', ['ip:127.0.0.2'], '127.0.0.1', false],
  ['an address as a name', ['dns:127.0.0.1'], '127.0.0.1', false],
  ['a name as a URI', ['uri:https://a.test/'], 'a.test', false],
  ['a name as e-mail', ['email:a@a.test'], 'a.test', false],
  ['an IPv6 address', ['ip:::1'], '::1', true],
  ['an IPv6 address in brackets', ['ip:::1'], '[::1]', true],
  ['an IPv6 address, spelled out', ['ip:1:2::3:4'], '1:2:0:0::3:4', true],
  ['an IPv6 address in capitals', ['ip:fe80::abcd'], 'FE80::ABCD', true],
  ['an IPv6 address, its tail as IPv4', ['ip:::1:2'], '::0.1.0.2', true],
  ['an IPv6 address with a zone', ['ip:fe80::1'], 'fe80::1%25lo', true],
  ['another IPv6 address', ['ip:1:2::3:4'], '1:2::3:5', false],
  ['IPv4 within IPv6 is not IPv4', ['ip:127.0.0.1'], '::ffff:127.0.0.1', false],
  ['IPv4 as a number', ['ip:127.0.0.1'], '2130706433', true],
  ['IPv4 in hexadecimal', ['ip:127.0.0.1'], '0x7f000001', true],
  ['IPv4 in short', ['ip:127.0.0.1'], '127.1', true],
  ['IPv4 in octal', ['ip:127.0.0.1'], '0177.0.0.01', true],
];

for (const [what, san, host, matches] of NAMES) {
  test(`TLS-04 THR-803 THR-805: ${what}: ${san.join(', ').replaceAll('\0', '\\0')} ${matches ? 'is' : 'is not'} ${host}`, async (t) => {
    const { outcome, server } = await asks(t, host, { name: 'x', san });
    t.is(outcome, matches ? 'ok' : MISMATCH);
    t.is(server.received > 0, matches);
  });
}

test('TLS-04 TLS-06 THR-803: the common name counts for nothing: alone, and beside other names', async (t) => {
  for (const wanted of [{ name: 'a.test' }, { name: 'a.test', san: ['dns:b.test'] }, { name: '*.test' }]) {
    t.is((await asks(t, 'a.test', wanted)).outcome, MISMATCH);
  }
  t.is((await asks(t, '127.0.0.1', { name: '127.0.0.1' })).outcome, MISMATCH);
  t.throws(() => new HTTPSConnectionPool('a.test', { hostnameChecksCommonName: true } as never), {
    instanceOf: TypeError,
    code: 'ERR_INVALID_OPTION',
  });
});

test('TLS-05 THR-1201: a mismatch names what was asked for, what the certificate is for, and gives the certificate', async (t) => {
  const one = ca.issue({ name: 'common.test', san: ['dns:b.test', 'dns:*.c.test', 'ip:127.0.0.9'] });
  const { pool, server } = await secured(t, greets, one.identity);
  const error = await refused(t, pool.request('GET', '/'), MISMATCH);
  t.is(error.assertedName, 'localhost');
  for (const part of ['localhost', 'b.test', '*.c.test', '127.0.0.9']) t.true(error.message.includes(part), part);
  t.true(error.chain[0]?.raw.equals(one.der));
  t.deepEqual(error.chain[0]?.subjectAltName, ['DNS:b.test', 'DNS:*.c.test', 'IP Address:127.0.0.9']);
  t.is(server.received, 0);
  // Where no name is checked there is none.
  for (const options of [{ assertHostname: false }, { assertFingerprint: one.fingerprint('sha1') }] as const) {
    const other = await secured(t, greets, {}, { caCertData: usual().stranger.pem, ...options });
    t.is((await rejection(other.pool.request('GET', '/'), SSLError)).assertedName, null);
  }
});

test('TLS-05: names in a certificate that are many or long do not make a long message', async (t) => {
  const san = Array.from({ length: 500 }, (_, n) => `dns:${'x'.repeat(60)}.${n}.test`);
  const { pool } = await secured(t, greets, ca.issue({ san }).identity);
  const error = await refused(t, pool.request('GET', '/'), MISMATCH);
  t.true(error.message.length < 2_000, `${error.message.length}`);
  t.is(error.chain[0]?.subjectAltName.length, 500);
});

test('TLS-07 THR-810: assertHostname is checked in place of the host, and false checks the chain but no name', async (t) => {
  const other = { san: ['dns:other.test', 'ip:127.0.0.9'] };
  for (const [assertHostname, outcome] of [
    ['other.test', 'ok'],
    ['OTHER.test', 'ok'],
    ['other.test.', 'ok'],
    ['127.0.0.9', 'ok'],
    ['another.test', MISMATCH],
    ['127.0.0.1', MISMATCH],
    [false, 'ok'],
    [undefined, MISMATCH],
  ] as const) {
    const found = await asks(t, 'localhost', other, { assertHostname });
    t.is(found.outcome, outcome, String(assertHostname));
    // The name that is asked for stays the host's.
    t.is(found.server.shaken[0]?.servername ?? 'localhost', 'localhost');
  }
  t.is((await asks(t, 'localhost', { name: 'none at all' }, { assertHostname: false })).outcome, 'ok');
  t.is(
    (await asks(t, 'localhost', other, { assertHostname: false, caCertData: usual().stranger.pem })).outcome,
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  );
  const { pool } = await secured(t, greets, {}, { assertHostname: 'other.test' });
  t.is((await refused(t, pool.request('GET', '/'), MISMATCH)).assertedName, 'other.test');
});

test('TLS-09: serverHostname is asked for and checked in place of the host; assertHostname only checked', async (t) => {
  const other = { san: ['dns:other.test'] };
  const found = await asks(t, 'localhost', other, { serverHostname: 'other.test' });
  t.is(found.outcome, 'ok');
  t.is(found.server.shaken[0]?.servername, 'other.test');
  t.is((await asks(t, 'localhost', { san: LOCAL }, { serverHostname: 'other.test' })).outcome, MISMATCH);
  const both = await asks(t, 'a.test', { san: ['dns:b.test'] }, { serverHostname: 'c.test', assertHostname: 'b.test' });
  t.is(both.outcome, 'ok');
  t.is(both.server.shaken[0]?.servername, 'c.test');
  // An address may be asked under a name.
  const named = await asks(t, '127.0.0.1', other, { serverHostname: 'other.test' });
  t.is(named.outcome, 'ok');
  t.is(named.server.shaken[0]?.servername, 'other.test');
  // And a name under an address, which is not sent.
  const addressed = await asks(t, 'a.test', { san: ['ip:127.0.0.9'] }, { serverHostname: '127.0.0.9' });
  t.is(addressed.outcome, 'ok');
  t.is(addressed.server.shaken[0]?.servername, null);
});

test('TLS-09 THR-805: the first bytes ask for the host in lower case, as A-labels, without its dot; an address is not asked for', async (t) => {
  for (const [host, servername] of [
    ['a.test', 'a.test'],
    ['A.Test', 'a.test'],
    ['a.test.', 'a.test'],
    ['bücher.test', 'xn--bcher-kva.test'],
    ['127.0.0.1', null],
    ['::1', null],
    ['2130706433', null],
  ] as const) {
    const server = await rawServer(async (peer) => {
      await peer.bytes(60);
      await peer.write(alert(ALERT.handshakeFailure));
      peer.end();
    });
    t.teardown(() => server.close());
    const pool = securePool(t, server.port, { host, resolve: () => '127.0.0.1', ...(host === '::1' && V6) });
    if (host === '::1') continue;
    await rejection(pool.request('GET', '/'), SSLError);
    t.is(helloOf((await server.peer(1)).received).servername, servername, host);
  }
});

const V6 = { timeout: 1_000 };

test('THR-805: a NUL, or what is no name, is refused before anything is sent', (t) => {
  for (const wrong of ['a\0.test', 'a.test\0', 'a test', '', 'a..test', '.', '*.a.test\n', 'x'.repeat(300)]) {
    for (const option of ['serverHostname', 'assertHostname']) {
      t.throws(
        () => new HTTPSConnectionPool('localhost', { [option]: wrong }),
        { code: 'ERR_INVALID_OPTION' },
        `${option} ${JSON.stringify(wrong)}`,
      );
    }
  }
});

test('CONN-06: the trailing dot of a host is for DNS alone: Host, SNI and the certificate go without', async (t) => {
  let head = '';
  const { pool, server } = await secured(
    t,
    async (peer) => {
      head = await peer.request();
      await peer.write(reply('ok'));
    },
    {},
    { host: 'localhost.', resolve: (name) => (name === 'localhost.' ? '127.0.0.1' : 'not asked for that') },
  );
  const response = await pool.request('GET', '/');
  t.is(response.text(), 'ok');
  t.regex(head, new RegExp(`^host: localhost:${server.port}\r$`, 'im'));
  t.is(server.shaken[0]?.servername, 'localhost');
  t.is(response.connection?.tls?.serverName, 'localhost');
});

interface IpCase {
  readonly host: string;
  readonly result: boolean;
}

test('TLS-10: is-ip-address.json: what is an address is not asked for by name, and checked as an address', async (t) => {
  for (const { host, result } of vectors<IpCase>('is-ip-address.json')) {
    const unixSocket = path.join(folderOf(t, {}), 's');
    const server = await onSocket(t, unixSocket, { san: LOCAL });
    let pool: HTTPSConnectionPool;
    try {
      pool = securePool(t, 443, { host, unixSocket, certReqs: 'none' });
    } catch (error) {
      // No host at all; what urllib3 takes for an address here, or for a name, nobody could reach.
      t.true(['', '256.1.1.1', '1.2.3.4.5', 'FE80::8939:7684:D84b:a5A4%19'].includes(host), `${host} ${String(error)}`);
      continue;
    }
    await pool.request('GET', '/');
    // Brackets are how a URL writes an address: a pool's host is the address.
    t.is(server.shaken[0]?.servername === null, result || host === '[::1]', host);
  }
});

interface NameCase {
  readonly subjectAltName: readonly (readonly [kind: string, value: string])[];
  readonly commonName: string;
  readonly hostname: string;
  readonly match: object;
}

test('TLS-04: match-hostname.json through whole handshakes', async (t) => {
  let checked = 0;
  for (const { subjectAltName, commonName, hostname, match } of vectors<NameCase>('match-hostname.json')) {
    // No hosts: the empty one, what is no A-label, and brackets around what is no IPv6 address.
    if (hostname === '' || hostname.startsWith('.') || /\*|^xn--a\.|^\[(1\.|l)/.test(hostname)) continue;
    const kinds: Readonly<Record<string, string>> = { DNS: 'dns', 'IP Address': 'ip', email: 'email' };
    const san = subjectAltName.map(([kind, value]) => `${kinds[kind] ?? ''}:${value.trimEnd()}`);
    const { outcome } = await asks(t, hostname.replace('%', '%25'), { name: commonName, san });
    const theirs = 'value' in match;
    const partial = subjectAltName.some(([, value]) => /^\*$|[^*.]\*|\*[^.]/.test(value));
    // TLS-04 ≠: no partial and no bare wildcards. TLS-09: the trailing dot. TLS-10: odd spellings are canonical by then.
    const ours = partial ? false : theirs || hostname === 'foo.' || /^(0x|\d+$|127\.1$)/.test(hostname);
    t.is(outcome, ours ? 'ok' : MISMATCH, JSON.stringify([subjectAltName, hostname]));
    checked += 1;
  }
  t.true(checked > 35, `${checked}`);
});

/** The handshake: what is offered in it, what a server may choose, and what is said where there is none. */
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';

import {
  ConnectTimeoutError,
  HTTPConnectionPool,
  HTTPSConnectionPool,
  MaxRetryError,
  ProtocolError,
  SSLError,
} from '../index.ts';
import { rawServer, reply, type Peer } from './servers/raw.ts';
import {
  ALERT,
  alert,
  handshake,
  HELLO_REQUEST,
  helloOf,
  chosenProtocol,
  record,
  serverFlight12,
  serverHello,
  serverHello12,
  TYPE,
  VERSION,
  type Hello,
} from './servers/tls-bytes.ts';
import { outcome } from './support/child.ts';
import { clocked, within } from './support/clocked.ts';
import { rejection } from './support/fixtures.ts';
import { usual } from './support/pki.ts';
import { folderOf, greets, reasonOf, refused, secured, securePool, servedSecurely } from './support/secure.ts';

/** What a pool of these options says first. */
async function hello(t: Parameters<typeof securePool>[0], options: Parameters<typeof securePool>[2]): Promise<Hello> {
  const server = await rawServer(async (peer) => {
    await peer.bytes(60);
    await peer.write(alert(ALERT.handshakeFailure));
    peer.end();
  });
  t.teardown(() => server.close());
  await rejection(securePool(t, server.port, options).request('GET', '/'), SSLError);
  return helloOf((await server.peer(1)).received);
}

test('TLS-13 TLS-18: TLS 1.2 and 1.3 are offered, nothing older, no compression and no way to renegotiate', async (t) => {
  const { versions, compression, ciphers, extensions } = await hello(t, {});
  t.deepEqual(
    [...versions].toSorted((one, other) => one - other),
    [0x0303, 0x0304],
  );
  t.deepEqual(compression, [0]);
  // TLS 1.3's, and those of TLS 1.2 with forward secrecy and AEAD.
  for (const cipher of ciphers) {
    t.true((cipher >= 0x1301 && cipher <= 0x1303) || cipher >= 0xc000 || cipher === 0x00ff, cipher.toString(16));
  }
  // THR-813: early_data is 42.
  t.false(extensions.includes(42));
  t.true(extensions.includes(0) && extensions.includes(16));
});

test('TLS-13: the bounds are kept, in what is offered and in what comes of it', async (t) => {
  for (const [options, offered, offers] of [
    [{}, [0x0303, 0x0304], { 'TLSv1.2': 'TLSv1.2', 'TLSv1.3': 'TLSv1.3' }],
    [{ sslMinimumVersion: 'TLSv1.3' }, [0x0304], { 'TLSv1.2': 'ERR_TLS_VERSION', 'TLSv1.3': 'TLSv1.3' }],
    [{ sslMaximumVersion: 'TLSv1.2' }, [0x0303], { 'TLSv1.2': 'TLSv1.2', 'TLSv1.3': 'ERR_TLS_VERSION' }],
    [
      { sslMinimumVersion: 'TLSv1.2', sslMaximumVersion: 'TLSv1.3' },
      [0x0303, 0x0304],
      { 'TLSv1.2': 'TLSv1.2', 'TLSv1.3': 'TLSv1.3' },
    ],
    [
      { sslMinimumVersion: 'TLSv1.3', sslMaximumVersion: 'TLSv1.3' },
      [0x0304],
      { 'TLSv1.2': 'ERR_TLS_VERSION', 'TLSv1.3': 'TLSv1.3' },
    ],
  ] as const) {
    const { versions } = await hello(t, options);
    t.deepEqual(versions.length === 0 ? [0x0303] : [...versions].toSorted((one, other) => one - other), [...offered]);
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { pool, server } = await secured(t, greets, { minVersion: version, maxVersion: version }, options);
      const wanted = offers[version];
      if (wanted === version) {
        t.is((await pool.request('GET', '/')).connection?.tls?.version, version);
        t.is(server.shaken[0]?.version, version);
      } else {
        await refused(t, pool.request('GET', '/'), wanted);
      }
    }
  }
});

test('TLS-13: what rustls cannot serve, a wrong order and what is no version are refused at construction', (t) => {
  for (const version of ['TLSv1.1', 'TLSv1', 'SSLv3', 'tlsv1.2', '1.2', '', 1.2, {}, true]) {
    for (const name of ['sslMinimumVersion', 'sslMaximumVersion']) {
      const error = t.throws(() => new HTTPSConnectionPool('localhost', { [name]: version }), {
        code: 'ERR_INVALID_OPTION',
        message: new RegExp(name),
      });
      t.true(error instanceof TypeError || error instanceof RangeError);
    }
  }
  t.throws(() => new HTTPSConnectionPool('localhost', { sslMinimumVersion: 'TLSv1.3', sslMaximumVersion: 'TLSv1.2' }), {
    code: 'ERR_INVALID_OPTION',
  });
});

test('TLS-14: ciphers limit what is offered, in this order; the response tells which it is', async (t) => {
  const ciphers = ['TLS13_AES_128_GCM_SHA256', 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384'];
  const offered = await hello(t, { ciphers });
  t.deepEqual(
    offered.ciphers.filter((cipher) => cipher !== 0x00ff),
    [0x1301, 0xc02c],
  );
  for (const [maxVersion, cipher] of [
    ['TLSv1.3', /AES_128_GCM_SHA256/],
    ['TLSv1.2', /ECDHE_ECDSA_WITH_AES_256_GCM_SHA384/],
  ] as const) {
    const { pool, server } = await secured(t, greets, { maxVersion }, { ciphers });
    t.regex((await pool.request('GET', '/')).connection?.tls?.cipher ?? '', cipher);
    t.regex(server.shaken[0]?.cipher ?? '', cipher);
  }
  // No suite in common.
  const { pool } = await secured(
    t,
    greets,
    { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
    { ciphers },
  );
  const error = await rejection(pool.request('GET', '/'), SSLError);
  t.true(['ERR_TLS_ALERT', 'ERR_TLS_HANDSHAKE'].includes(String(error.reason)), String(error.reason));
});

test('TLS-14: OpenSSL’s names and strings, nonsense and an empty list are refused at construction', (t) => {
  for (const ciphers of [['ECDHE-RSA-AES128-GCM-SHA256'], ['HIGH:!aNULL'], ['nonsense']]) {
    const error = t.throws(() => new HTTPSConnectionPool('localhost', { ciphers }));
    t.true(error instanceof SSLError || error instanceof TypeError, String(error));
    t.true(error?.message.includes(ciphers[0] ?? ''), error?.message);
  }
  for (const ciphers of ['HIGH:!aNULL', [1], {}, 1]) {
    t.throws(() => new HTTPSConnectionPool('localhost', { ciphers } as never), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_OPTION',
    });
  }
});

test('TLS-15 THR-816: http/1.1 alone is offered; h2 first where it was asked for', async (t) => {
  t.deepEqual((await hello(t, {})).alpn, ['http/1.1']);
  t.deepEqual((await hello(t, { http2: false })).alpn, ['http/1.1']);
  t.deepEqual((await hello(t, { http2: true })).alpn, ['h2', 'http/1.1']);
});

test('THR-816: a server that knows of no ALPN is spoken to in HTTP/1.1, whatever was offered', async (t) => {
  for (const options of [{}, { http2: true }]) {
    const { pool, server } = await secured(t, greets, { ALPNProtocols: undefined as never }, options);
    t.is((await pool.request('GET', '/')).connection?.protocol, 'http/1.1');
    t.is(server.shaken[0]?.alpn, null);
  }
});

test('THR-816: a server that speaks none of what is offered says so, and the error does too', async (t) => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const { pool, server } = await secured(t, greets, { ALPNProtocols: ['h2', 'spdy/3'], maxVersion });
    await refused(t, pool.request('GET', '/'), 'ERR_TLS_ALPN');
    t.is(server.received, 0);
  }
});

test('THR-816: a server that chose http/1.1 and speaks HTTP/2, or the other way round: ProtocolError in clear words', async (t) => {
  const settings = Buffer.from('000000040000000000', 'hex');
  const { pool } = await secured(t, async (peer) => {
    await peer.request();
    await peer.write(settings);
  });
  const error = await rejection(pool.request('GET', '/'), ProtocolError);
  t.is(error.phase, 'headers');
  t.regex((error.cause as Error).message, /speaks HTTP\/2: set http2 to true/);
  const other = await secured(
    t,
    async (peer) => {
      await peer.bytes(24);
      await peer.write(reply('HTTP/1.1 it is'));
      peer.end();
    },
    { ALPNProtocols: ['h2'] },
    { http2: true, timeout: { total: 5_000 } },
  );
  const swapped = await rejection(other.pool.request('GET', '/'), ProtocolError);
  t.is(swapped.reason, 'ERR_H2_CONNECTION');
  t.regex((swapped.cause as Error).message, /does the peer speak HTTP\/2\?/);
});

/** What a server says to a ClientHello in place of a handshake, and then closes. */
const ANSWERS: Readonly<Record<string, [reason: string, bytes: Uint8Array | string, message?: RegExp]>> = {
  'plain HTTP': ['ERR_NOT_TLS', 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n', /http/i],
  'an SSH banner': ['ERR_NOT_TLS', 'SSH-2.0-OpenSSH_9.6\r\n'],
  'an SMTP banner': ['ERR_NOT_TLS', '220 mail.test ESMTP\r\n'],
  zeros: ['ERR_NOT_TLS', Buffer.alloc(64)],
  'the other half of the bytes': ['ERR_NOT_TLS', Buffer.alloc(64, 0xff)],
  'nothing, and the end': ['ERR_TLS_EOF', ''],
  'half a record, and the end': ['ERR_TLS_EOF', Buffer.from('160303', 'hex')],
  'a record of handshake with nonsense': ['ERR_TLS_HANDSHAKE', record(TYPE.handshake, handshake(99, Buffer.alloc(20)))],
  'a message that never ends': ['CERT_CHAIN_TOO_COMPLEX', record(TYPE.handshake, Buffer.alloc(20, 0xaa))],
  'a handshake message that none sends': ['ERR_TLS_HANDSHAKE', record(TYPE.handshake, handshake(11, Buffer.alloc(3)))],
  'a ServerHello of TLS 1.1': ['ERR_TLS_VERSION', serverHello(VERSION.tls11)],
  'a ServerHello of TLS 1.0': ['ERR_TLS_VERSION', serverHello(VERSION.tls10)],
  'a ServerHello of SSL 3': ['ERR_TLS_VERSION', serverHello(VERSION.ssl3)],
  'the alert protocol_version': ['ERR_TLS_VERSION', alert(ALERT.protocolVersion, false, VERSION.tls10)],
  'the alert handshake_failure': ['ERR_TLS_ALERT', alert(ALERT.handshakeFailure), /handshake.?failure/i],
  'the alert internal_error': ['ERR_TLS_ALERT', alert(ALERT.internalError), /internal.?error/i],
  'the alert unrecognized_name': ['ERR_TLS_ALERT', alert(ALERT.unrecognizedName), /unrecogni[sz]ed.?name/i],
  'the alert access_denied': ['ERR_TLS_CLIENT_CERT', alert(ALERT.accessDenied), /access.?denied/i],
  'the alert bad_certificate': ['ERR_TLS_CLIENT_CERT', alert(ALERT.badCertificate), /bad_certificate/],
  'the alert unknown_ca': ['ERR_TLS_CLIENT_CERT', alert(ALERT.unknownCa), /unknown_ca/],
  'the alert certificate_required': ['ERR_TLS_CLIENT_CERT', alert(ALERT.certificateRequired), /certificate_required/],
  'the alert no_application_protocol': ['ERR_TLS_ALPN', alert(ALERT.noApplicationProtocol)],
  'the alert close_notify': ['ERR_TLS_EOF', alert(ALERT.closeNotify, true)],
  'a protocol that was not offered': ['ERR_TLS_ALPN', serverHello12([chosenProtocol('h2')])],
  'a protocol of its own': ['ERR_TLS_ALPN', serverHello12([chosenProtocol('spdy/3')])],
  'a certificate that is none': [
    'CERT_MALFORMED',
    Buffer.concat([serverHello12(), serverFlight12([Buffer.from('no certificate')])]),
  ],
  'no certificate': ['ERR_TLS_HANDSHAKE', Buffer.concat([serverHello12(), serverFlight12([])])],
  'a certificate of somebody else': [
    'CERT_SIGNATURE_FAILURE',
    Buffer.concat([serverHello12(), serverFlight12([usual().leaf.der])]),
  ],
  'application data': ['ERR_TLS_HANDSHAKE', record(TYPE.data, Buffer.alloc(30))],
  'a request to begin again': ['ERR_TLS_HANDSHAKE', HELLO_REQUEST],
};

for (const [what, [reason, bytes, message = /./]] of Object.entries(ANSWERS)) {
  test(`THR-815 THR-818 ERR-07: a server that answers with ${what}: SSLError ${reason}`, async (t) => {
    const server = await rawServer(async (peer) => {
      await peer.bytes(60);
      await peer.write(bytes);
      peer.end();
    });
    t.teardown(() => server.close());
    const pool = securePool(t, server.port, { timeout: { total: 10_000 } });
    const error = await refused(t, pool.request('GET', '/?q=secret'), reason);
    t.regex(error.message, message);
    t.like(error, { phase: 'tls', sent: false, attempts: 0, host: `localhost:${server.port}` });
    t.false((await server.peer(1)).received.includes('GET'));
  });
}

test('THR-815: a server of TLS 1.1 only, OpenSSL’s own: SSLError ERR_TLS_VERSION', async (t) => {
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  const { pool } = await secured(t, greets, old);
  const error = await refused(t, pool.request('GET', '/'), 'ERR_TLS_VERSION');
  t.regex(error.message, /1\.2/);
});

test('THR-815: https is not spoken on a port of http, nor http on one of https; both are told', async (t) => {
  const plain = await rawServer(async (peer) => {
    await peer.bytes(30);
    await peer.write('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    peer.end();
  });
  t.teardown(() => plain.close());
  const error = await refused(t, securePool(t, plain.port).request('GET', '/'), 'ERR_NOT_TLS');
  t.regex(error.message, /http/i);
  const answers: [Uint8Array, RegExp][] = [
    [alert(ALERT.internalError), /the peer speaks TLS: ask for an https: URL/],
    [Buffer.from('000000040000000000', 'hex'), /the peer speaks HTTP\/2: set http2 to 'prior-knowledge'/],
  ];
  for (const [answer, hint] of answers) {
    const server = await rawServer(async (peer) => {
      await peer.bytes(30);
      await peer.write(answer);
      peer.end();
    });
    t.teardown(() => server.close());
    const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, retries: false });
    t.teardown(() => pool.close({ timeout: 0 }));
    const told = await rejection(pool.request('GET', '/'), ProtocolError);
    t.regex((told.cause as Error).message, hint);
  }
});

clocked('THR-818: warnings, empty records and hellos to begin again do not go on for ever', async (t) => {
  // More than the system's own buffers take (up to 32 MiB each), or all would be sent before the refusal is seen.
  const MOST = 15_000;
  for (const piece of [alert(ALERT.userCanceled, true), HELLO_REQUEST, record(TYPE.handshake, Buffer.alloc(0))]) {
    let sent = 0;
    const server = await rawServer(async (peer) => {
      await peer.bytes(60);
      const many = Buffer.concat(Array.from({ length: 1_000 }, () => piece));
      while (!peer.ended && !peer.socket.destroyed && sent < MOST) {
        await peer.write(many);
        sent += 1;
      }
    });
    t.teardown(() => server.close());
    const pool = securePool(t, server.port, { timeout: { total: 10_000 } });
    const began = performance.now();
    await rejection(pool.request('GET', '/'), SSLError);
    within(t, performance.now() - began < 5_000);
    within(t, sent < MOST, `${sent}`);
  }
});

test('ERR-07: a reset in the handshake is a ProtocolError in phase tls with the system’s code', async (t) => {
  const server = await rawServer(async (peer) => {
    await peer.bytes(60);
    peer.reset();
  });
  t.teardown(() => server.close());
  const pool = securePool(t, server.port);
  const error = await rejection(pool.request('GET', '/'), ProtocolError);
  t.like(error, { phase: 'tls', sent: false });
  t.regex(error.message + String((error.cause as Error | undefined)?.message), /ECONNRESET|reset/i);
});

test('TIME-08 WART-09 TLS-20: a handshake that stalls is a ConnectTimeoutError in phase tls, so a POST is tried again', async (t) => {
  const server = await rawServer((peer: Peer) => peer.gone());
  t.teardown(() => server.close());
  const pool = securePool(t, server.port);
  const began = performance.now();
  const error = await rejection(pool.request('POST', '/', { timeout: { connect: 600 } }), ConnectTimeoutError);
  t.true(performance.now() - began >= 595);
  t.like(error, { code: 'ERR_CONNECT_TIMEOUT', phase: 'tls', sent: false, attempts: 0 });
  await (await server.peer(1)).gone();
  const total = await rejection(pool.request('POST', '/', { timeout: { total: 600 } }), ConnectTimeoutError);
  t.like(total, { code: 'ERR_TOTAL_TIMEOUT', phase: 'total', during: 'tls' });
  // The read time-out has no say here.
  const before = (await server.peer(2)).number;
  const retried = await rejection(
    pool.request('POST', '/', { body: 'x', timeout: { connect: 500, read: 10_000 }, retries: 1 }),
    MaxRetryError,
  );
  t.like(retried.reason, { code: 'ERR_CONNECT_TIMEOUT', phase: 'tls' });
  await server.peer(before + 2);
  t.is(server.peers.length, before + 2);
  t.like(pool.stats(), { live: 0, leased: 0 });
});

test('TLS-20: a time-out after the handshake is that of a plain connection', async (t) => {
  const { pool, host } = await servedSecurely(t, (request, response) => {
    if (request.url === '/') response.end('ok');
  });
  t.is((await pool.request('GET', '/', { timeout: { connect: 5_000, read: 5_000 } })).text(), 'ok');
  const error = await pool.request('GET', '/silent', { timeout: { read: 80 } }).catch((error: unknown) => error);
  t.like(error, { name: 'ReadTimeoutError', code: 'ERR_READ_TIMEOUT', phase: 'headers', host, sent: true });
});

test('TLS-16 THR-823: keyLogFile holds the keys of each connection, for its owner alone, and nothing is written without it', async (t) => {
  const folder = folderOf(t, {});
  const keyLogFile = path.join(folder, 'keys.log');
  for (const [maxVersion, label] of [
    ['TLSv1.3', /^CLIENT_TRAFFIC_SECRET_0 [0-9a-f]{64} [0-9a-f]+$/m],
    ['TLSv1.2', /^CLIENT_RANDOM [0-9a-f]{64} [0-9a-f]{96}$/m],
  ] as const) {
    const lines: string[] = [];
    const { pool } = await secured(t, greets, { maxVersion }, { keyLogFile });
    await pool.request('GET', '/');
    const text = readFileSync(keyLogFile, 'utf8');
    t.regex(text, label);
    lines.push(...text.split('\n'));
    // Appended, whole lines.
    t.is(lines.at(-1), '');
  }
  if (process.platform !== 'win32') t.is(statSync(keyLogFile).mode & 0o777, 0o600);
  const before = readFileSync(keyLogFile, 'utf8');
  const { pool } = await secured(t, greets);
  await pool.request('GET', '/');
  t.is(readFileSync(keyLogFile, 'utf8'), before);
});

test('TLS-16 THR-823: SSLKEYLOGFILE alone does nothing; a key log that cannot be written is an error at construction', async (t) => {
  const folder = folderOf(t, {});
  const asked = path.join(folder, 'asked.log');
  const { pool, server } = await secured(t, greets);
  await pool.request('GET', '/');
  const env = { SSLKEYLOGFILE: asked };
  t.like(await outcome('secure-environment.ts', [server.port, 'ca'], { env }), { outcome: 'ok' });
  t.throws(() => statSync(asked), { code: 'ENOENT' });
  // When it is asked for, with the variables in it replaced.
  const named = { SSLKEYLOGFILE: '${FOLDER}/asked.log', FOLDER: folder };
  t.like(await outcome('secure-environment.ts', [server.port, 'keys'], { env: named }), { outcome: 'ok' });
  t.regex(readFileSync(asked, 'utf8'), /^CLIENT_TRAFFIC_SECRET_0 /m);
  const empty = { SSLKEYLOGFILE: '' };
  t.like(await outcome('secure-environment.ts', [server.port, 'keys'], { env: empty }), { outcome: 'ok' });
  const error = t.throws(() => new HTTPSConnectionPool('localhost', { keyLogFile: path.join(folder, 'no', 'file') }));
  t.true(error instanceof SSLError, String(error));
  t.regex(error?.message ?? '', /no.file/);
  for (const keyLogFile of [1, {}, '']) {
    t.throws(() => new HTTPSConnectionPool('localhost', { keyLogFile } as never), { instanceOf: TypeError });
  }
  // Unset or empty: nothing.
  t.notThrows(() => new HTTPSConnectionPool('localhost', { keyLogFile: undefined }));
});

test('ERR-07: the reasons are the errors’ own: a handshake that fails twice fails alike', async (t) => {
  const { pool, server } = await secured(t, greets, { ALPNProtocols: ['h2'] }, { block: true });
  const both = await Promise.all([reasonOf(pool.request('GET', '/')), reasonOf(pool.request('GET', '/'))]);
  t.deepEqual(both, ['ERR_TLS_ALPN', 'ERR_TLS_ALPN']);
  t.is(server.received, 0);
});

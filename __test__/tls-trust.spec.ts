/** Whom a pool trusts: chains that hold and chains that do not, each with its reason, and not a byte of the request to them. */
import path from 'node:path';
import test from 'ava';

import { HTTPSConnectionPool, MaxRetryError, PoolManager, Retry, SSLError, type TLSOptions } from '../index.ts';
import * as der from './support/der.ts';
import { rejection } from './support/fixtures.ts';
import { ago, DAY, extension, HOUR, LOCAL, root, selfSigned, usual, type Certificate } from './support/pki.ts';
import {
  fileOf,
  folderOf,
  greets,
  meets,
  reasonOf,
  refused,
  refuses,
  secured,
  securePool,
  servedSecurely,
} from './support/secure.ts';
import { clocked, within } from './support/clocked.ts';

const { ca, leaf, stranger } = usual();

test('TLS-01 TLS-21: verification is the default, and a connection that passed it says so', async (t) => {
  for (const options of [{}, { certReqs: undefined }, { certReqs: 'required' }, { certReqs: 'optional' }] as const) {
    const { pool } = await secured(t, greets, {}, options);
    const response = await pool.request('GET', '/');
    t.like(response.connection?.tls, { verified: true, resumed: false, serverName: 'localhost' });
    const distrustful = await secured(t, greets, {}, { ...options, caCertData: stranger.pem });
    await refused(t, distrustful.pool.request('GET', '/'), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    t.is(distrustful.server.received, 0);
  }
});

test.serial('THR-522 TLS-01: what a polluted prototype says turns no check off', async (t) => {
  const { server } = await secured(t, greets);
  const polluted = { certReqs: 'none', caCerts: 'evil', assertHostname: false, assertFingerprint: 'evil' };
  const own = { caCertData: stranger.pem, retries: false } as const;
  const made: (HTTPSConnectionPool | PoolManager)[] = [];
  try {
    Object.assign(Object.prototype, polluted);
    made.push(new HTTPSConnectionPool('localhost', { port: server.port, ...own }), new PoolManager({ ...own }));
  } finally {
    for (const name of Object.keys(polluted)) delete (Object.prototype as Record<string, unknown>)[name];
  }
  t.teardown(() => Promise.all(made.map((one) => one.close({ timeout: 0 }))));
  for (const one of made) {
    await refused(t, one.request('GET', `https://localhost:${server.port}/`), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  }
  t.is(server.received, 0);
});

test('TLS-01: the names that urllib3 knows mean the same, any other is refused', async (t) => {
  for (const certReqs of ['CERT_REQUIRED', 'REQUIRED', 'CERT_OPTIONAL', 'OPTIONAL'] as const) {
    const { pool } = await secured(t, greets, {}, { certReqs, caCertData: stranger.pem });
    await refused(t, pool.request('GET', '/'), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  }
  for (const certReqs of ['CERT_NONE', 'NONE'] as const) {
    const { pool } = await secured(t, greets, {}, { certReqs, caCertData: stranger.pem });
    t.is((await pool.request('GET', '/')).connection?.tls?.verified, false);
  }
  for (const certReqs of ['', 'some', 'Required ', 'CERT_', 0, 2, true, false, null, {}] as const) {
    t.throws(() => new HTTPSConnectionPool('localhost', { certReqs } as never), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_OPTION',
      message: /certReqs/,
    });
  }
});

test('THR-801: the right certificates pass: every kind of key, straight from the root and by intermediates', async (t) => {
  for (const key of ['ec', 'ec384', 'ed25519', 'rsa', 'rsa3072'] as const) {
    const own = root({ key: key === 'ed25519' ? 'ec' : key });
    const straight = own.issue({ san: LOCAL, key });
    const far = own
      .intermediate({ key })
      .intermediate({ ca: { pathLength: 0 } })
      .issue({ san: LOCAL, purposes: ['server'] });
    for (const one of [straight, far]) {
      const { outcome } = await meets(t, one, { caCertData: own.pem });
      t.is(await outcome, 'ok', key);
    }
  }
});

/** Everything that can be wrong with a chain, whose root the pool trusts. */
const WRONG: Readonly<Record<string, [reason: string, leaf: () => Certificate, options?: TLSOptions]>> = {
  expired: ['CERT_HAS_EXPIRED', () => ca.issue({ san: LOCAL, from: ago(2 * DAY), to: ago(HOUR) })],
  'expired a second ago': ['CERT_HAS_EXPIRED', () => ca.issue({ san: LOCAL, to: ago(1_000) })],
  'not yet valid': ['CERT_NOT_YET_VALID', () => ca.issue({ san: LOCAL, from: ago(-HOUR), to: ago(-DAY) })],
  'an expired intermediate': [
    'CERT_HAS_EXPIRED',
    () => ca.intermediate({ from: ago(2 * DAY), to: ago(HOUR) }).issue({ san: LOCAL }),
  ],
  'an intermediate that is not yet valid': [
    'CERT_NOT_YET_VALID',
    () => ca.intermediate({ from: ago(-HOUR), to: ago(-DAY) }).issue({ san: LOCAL }),
  ],
  'self-signed': ['DEPTH_ZERO_SELF_SIGNED_CERT', () => selfSigned({ name: 'me', san: LOCAL })],
  'an unknown authority': ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', () => stranger.issue({ san: LOCAL })],
  'an unknown authority, by an intermediate': [
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    () => stranger.intermediate().issue({ san: LOCAL }),
  ],
  'another name': ['ERR_TLS_CERT_ALTNAME_INVALID', () => ca.issue({ san: ['dns:other.test'] })],
  'no name': ['ERR_TLS_CERT_ALTNAME_INVALID', () => ca.issue({ name: 'localhost' })],
  'a purpose that is not a server’s': ['INVALID_PURPOSE', () => ca.issue({ san: LOCAL, purposes: ['client'] })],
  'an intermediate for another purpose': [
    'INVALID_PURPOSE',
    () => ca.intermediate({ purposes: ['client'] }).issue({ san: LOCAL, purposes: ['server'] }),
  ],
  'an authority as a server': ['INVALID_CA', () => ca.issue({ san: LOCAL, ca: true })],
  'a server as an authority': ['INVALID_CA', () => ca.issue({ name: 'no authority', ca: false }).issue({ san: LOCAL })],
  'a path that is too long': [
    'PATH_LENGTH_EXCEEDED',
    () =>
      ca
        .intermediate({ ca: { pathLength: 0 } })
        .intermediate()
        .issue({ san: LOCAL }),
  ],
  'a forged signature': ['CERT_SIGNATURE_FAILURE', () => ca.issue({ san: LOCAL, forged: true })],
  'a forged intermediate': ['CERT_SIGNATURE_FAILURE', () => ca.intermediate({ forged: true }).issue({ san: LOCAL })],
  'SHA-1, by ECDSA': ['CERT_UNSUPPORTED_ALGORITHM', () => ca.issue({ san: LOCAL, hash: 'sha1' })],
  'an unknown extension that is critical': [
    'CERT_UNKNOWN_CRITICAL_EXTENSION',
    () => ca.issue({ san: LOCAL, extensions: [extension('1.3.6.1.4.1.99999.1', true, der.NULL)] }),
  ],
  'a name outside of its issuer’s': [
    'CERT_NAME_CONSTRAINT',
    () => ca.intermediate({ permitted: ['dns:other.test'] }).issue({ san: ['dns:localhost'] }),
  ],
  'a name that its issuer may not give': [
    'CERT_NAME_CONSTRAINT',
    () => ca.intermediate({ excluded: ['dns:localhost'] }).issue({ san: ['dns:localhost'] }),
  ],
};

for (const [what, [reason, make, options = {}]] of Object.entries(WRONG)) {
  test(`THR-801 ERR-07: ${what}: SSLError ${reason}, and no byte of the request is sent`, async (t) => {
    const { pool, server, host } = await secured(t, greets, make().identity, options);
    const error = await refused(t, pool.request('POST', '/?q=secret', { body: 'secret' }), reason);
    t.like(error, { phase: 'tls', sent: false, host, attempts: 0 });
    t.false(error.message.includes('secret'));
    await server.accepts(1);
    t.is(server.received, 0);
    // TLS 1.2 as well, where the server proves itself in another message.
    const older = await secured(t, greets, { ...make().identity, maxVersion: 'TLSv1.2' }, options);
    await refused(t, older.pool.request('GET', '/'), reason);
    t.is(older.server.received, 0);
  });
}

test('THR-801: RSA with SHA-1, and RSA of 1,024 bits as a server or as an intermediate, are refused', async (t) => {
  const own = root({ key: 'rsa' });
  for (const one of [
    own.issue({ san: LOCAL, hash: 'sha1' }),
    own.intermediate({ hash: 'sha1' }).issue({ san: LOCAL }),
    own.issue({ san: LOCAL, key: 'rsa1024' }),
    own.intermediate({ key: 'rsa1024' }).issue({ san: LOCAL }),
  ]) {
    const { pool, server } = await secured(t, greets, one.identity, { caCertData: own.pem });
    await refused(t, pool.request('GET', '/'), 'CERT_UNSUPPORTED_ALGORITHM');
    t.is(server.received, 0);
  }
});

test('THR-801: an untrusted root that is sent along is told apart from one that is missing', async (t) => {
  const one = stranger.issue({ san: LOCAL });
  const { pool } = await secured(t, greets, { key: one.keyPem, cert: one.pem + stranger.pem });
  const error = await refused(t, pool.request('GET', '/'), 'SELF_SIGNED_CERT_IN_CHAIN');
  t.is(error.chain.length, 2);
});

test('ERR-07: the error lists the chain as sent, and says what helps where an intermediate or a private root is missing', async (t) => {
  const middle = ca.intermediate();
  const one = middle.issue({ name: 'far', san: LOCAL });
  // The intermediate stays at home.
  const { pool } = await secured(t, greets, { key: one.keyPem, cert: one.pem });
  const error = await refused(t, pool.request('GET', '/'), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  t.regex(error.message, /intermediate/i);
  t.regex(error.message, /caCert/);
  t.is(error.chain.length, 1);
  const [told] = error.chain;
  t.regex(told?.subject ?? '', /far/);
  t.regex(told?.issuer ?? '', /intermediate/);
  t.true(told?.raw.equals(one.der));
  t.is(told?.sha256.replaceAll(':', '').toLowerCase(), one.fingerprint('sha256'));
  t.true((told?.validFrom.getTime() ?? 0) < Date.now() && (told?.validTo.getTime() ?? 0) > Date.now());
  t.deepEqual(told?.subjectAltName, ['DNS:localhost', 'IP Address:127.0.0.1', 'IP Address:0:0:0:0:0:0:0:1']);
  // Logs and other threads get no bytes.
  t.is(error.toJSON().name, 'SSLError');
  t.true(JSON.stringify(error).length < 5_000);
});

test('ERR-07: wrapped in MaxRetryError unless retries are false, and tried again as `other`, whatever the method', async (t) => {
  const { pool, server } = await secured(t, greets, stranger.issue({ san: LOCAL }).identity, { retries: 2 });
  const error = await rejection(pool.request('POST', '/'), MaxRetryError);
  t.true(error.reason instanceof SSLError);
  t.like(error.reason, { code: 'ERR_TLS', reason: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
  t.is(server.sockets.length, 3);
  const none = new Retry({ total: 5, other: 0 });
  const once = await rejection(pool.request('GET', '/', { retries: none }), MaxRetryError);
  t.true(once.reason instanceof SSLError);
  t.is(server.sockets.length, 4);
  t.is(server.received, 0);
});

test('ERR-08: a check that failed closes the socket at once, and the same request again does not hang', async (t) => {
  for (const options of [
    { caCertData: stranger.pem },
    { assertFingerprint: '00'.repeat(32) },
    { assertHostname: 'other.test' },
  ] satisfies TLSOptions[]) {
    const { pool, server } = await secured(t, greets, {}, { ...options, block: true });
    for (let n = 1; n <= 3; n += 1) {
      await rejection(pool.request('GET', '/', { timeout: { total: 30_000 } }), SSLError);
      const socket = await server.accepts(n);
      if (!socket.destroyed) await new Promise((resolve) => socket.once('close', resolve));
    }
    t.like(pool.stats(), { live: 0, idle: 0, leased: 0 });
    t.is(server.received, 0);
  }
});

test('TLS-02: authorities by file, by PEM, by directory and by data, each adding, and then only they', async (t) => {
  const [one, two, three] = [root(), root(), root()];
  const folder = folderOf(t, { 'a.pem': one.pem, 'b.crt': two.pem + three.pem, 'README.txt': 'no certificate' });
  const all: readonly [TLSOptions, readonly Certificate[]][] = [
    [{ caCerts: fileOf(t, one.pem) }, [one]],
    [{ caCerts: one.pem }, [one]],
    [{ caCerts: one.pem + two.pem }, [one, two]],
    [{ caCertData: one.pem }, [one]],
    [{ caCertData: one.der }, [one]],
    [{ caCertData: new Uint8Array(one.der) }, [one]],
    [{ caCertData: Buffer.from(one.pem + two.pem) }, [one, two]],
    [{ caCertDir: folder }, [one, two, three]],
    [{ caCerts: two.pem, caCertData: one.der }, [one, two]],
    [{ caCerts: one.pem, caCertDir: folderOf(t, { x: two.pem }), caCertData: three.pem }, [one, two, three]],
  ];
  for (const [options, trusted] of all) {
    for (const authority of [one, two, three]) {
      const { outcome } = await meets(t, authority.issue({ san: LOCAL }), options);
      t.is(
        await outcome,
        trusted.includes(authority) ? 'ok' : 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
        JSON.stringify(options),
      );
    }
  }
});

test('TLS-02: without any the defaults hold: Mozilla’s, which do not know ours', async (t) => {
  const { server } = await secured(t, greets);
  const pool = new HTTPSConnectionPool('localhost', {
    port: server.port,
    retries: false,
    resolve: { localhost: '127.0.0.1' },
  });
  t.teardown(() => pool.close());
  await refused(t, pool.request('GET', '/'), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
});

clocked(
  'TLS-02 THR-824: authorities that cannot be read are an SSLError of the constructor, which names the file',
  (t) => {
    const missing = path.join(folderOf(t, {}), 'missing.pem');
    const empty = fileOf(t, '');
    const junk = fileOf(t, 'no certificate at all\n');
    const broken = fileOf(t, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    const large = fileOf(t, Buffer.alloc(10 * 1024 * 1024, 'x'));
    const keys = fileOf(t, leaf.keyPem);
    for (const file of [missing, empty, junk, broken, large, keys]) {
      const began = performance.now();
      refuses(
        t,
        () => new HTTPSConnectionPool('localhost', { caCerts: file }),
        'ERR_TLS_CA',
        new RegExp(file.replaceAll(/[.\\/]/g, '.')),
      );
      within(t, performance.now() - began < 2_000);
    }
    for (const folder of [path.join(folderOf(t, {}), 'none'), folderOf(t, {}), folderOf(t, { a: 'junk' })]) {
      refuses(
        t,
        () => new HTTPSConnectionPool('localhost', { caCertDir: folder }),
        'ERR_TLS_CA',
        new RegExp(folder.replaceAll(/[.\\/]/g, '.')),
      );
    }
    for (const data of ['junk', Buffer.from('junk'), Buffer.alloc(1024, 0x30), leaf.keyPem]) {
      refuses(t, () => new HTTPSConnectionPool('localhost', { caCertData: data }), 'ERR_TLS_CA');
    }
  },
);

test('TLS-17: a trusted intermediate suffices: the chain ends where trust begins', async (t) => {
  const middle = stranger.intermediate();
  const { outcome } = await meets(t, middle.issue({ san: LOCAL }), { caCertData: middle.pem });
  t.is(await outcome, 'ok');
});

test('THR-807: name constraints that hold: within permitted, outside excluded, by address as well', async (t) => {
  for (const [wanted, san, reason] of [
    [{ permitted: ['dns:localhost'] }, ['dns:localhost'], 'ok'],
    [{ permitted: ['dns:test'] }, ['dns:a.b.test', 'dns:localhost'], 'CERT_NAME_CONSTRAINT'],
    [{ permitted: ['ip:127.0.0.0/255.0.0.0', 'dns:localhost'] }, LOCAL.slice(0, 2), 'ok'],
    [{ excluded: ['ip:127.0.0.0/255.0.0.0'] }, LOCAL, 'CERT_NAME_CONSTRAINT'],
    [{ excluded: ['dns:other.test'] }, LOCAL, 'ok'],
    // A wildcard may stand for the excluded name.
    [{ excluded: ['dns:a.other.test'] }, ['dns:localhost', 'dns:*.other.test'], 'CERT_NAME_CONSTRAINT'],
    [
      { permitted: ['dns:localhost', 'dns:a.other.test'] },
      ['dns:localhost', 'dns:*.other.test'],
      'CERT_NAME_CONSTRAINT',
    ],
    // What nobody can judge is refused: a constraint on URIs.
    [{ permitted: ['uri:.other.test'] }, ['dns:localhost', 'uri:https://a.test/'], 'CERT_NAME_CONSTRAINT'],
  ] as const) {
    const { outcome } = await meets(t, ca.intermediate(wanted).issue({ san }));
    t.is(await outcome, reason, JSON.stringify([wanted, san]));
  }
});

clocked(
  'THR-808: a hundred intermediates of one name, and a mesh of them, are given up in a moment, and others go on',
  async (t) => {
    // All of one name with one key: each may have issued each, and none leads to the root.
    const shared = stranger.intermediate({ name: 'mesh' });
    const mesh = Array.from({ length: 100 }, () => stranger.issue({ name: 'mesh', ca: true, key: shared.pair }));
    const one = shared.issue({ san: LOCAL });
    const bomb = { key: one.keyPem, cert: [one, ...mesh].map(({ pem }) => pem).join('') };
    const { pool, server } = await secured(t, greets, bomb);
    const other = await secured(t, greets);
    await other.pool.request('GET', '/');
    const began = performance.now();
    const [reason, quick] = await Promise.all([
      reasonOf(pool.request('GET', '/', { timeout: { total: 10_000 } })),
      other.pool.request('GET', '/').then(() => performance.now() - began),
    ]);
    t.true(['CERT_CHAIN_TOO_COMPLEX', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'].includes(reason), reason);
    const took = performance.now() - began;
    within(t, took < 2_000, `${took} ms`);
    within(t, quick < 1_000, `${quick} ms`);
    t.is(server.received, 0);
  },
);

test('THR-801 ERR-07: whoever shares no more than a name with a trusted authority is a stranger, and told so', async (t) => {
  for (const key of ['ec', 'rsa'] as const) {
    const older = root({ name: 'made anew', key });
    const { pool } = await secured(t, greets, selfSigned({ name: 'made anew', san: LOCAL }).identity, {
      caCertData: older.pem,
    });
    const error = await refused(t, pool.request('GET', '/'), 'DEPTH_ZERO_SELF_SIGNED_CERT');
    t.regex(error.message, /pass it with caCerts/);
  }
  // An authority that signs with a key of another kind by now.
  const { pool } = await secured(t, greets, root({ name: 'ours' }).issue({ san: LOCAL }).identity, {
    caCertData: root({ name: 'ours', key: 'rsa' }).pem,
  });
  const error = await refused(t, pool.request('GET', '/'), 'CERT_UNSUPPORTED_ALGORITHM');
  t.regex(error.message, /another key/);
  // Its own signature still counts, where it is the trusted one.
  const forged = selfSigned({ name: 'forged', san: LOCAL, forged: true });
  const { outcome } = await meets(t, forged, { caCertData: forged.pem });
  t.is(await outcome, 'CERT_SIGNATURE_FAILURE');
});

clocked('THR-808: a chain far longer than any is refused in a moment', async (t) => {
  let last = ca;
  for (let n = 0; n < 40; n += 1) last = last.intermediate();
  const { pool, server } = await secured(t, greets, last.issue({ san: LOCAL }).identity);
  const began = performance.now();
  const reason = await reasonOf(pool.request('GET', '/'));
  t.not(reason, 'ok');
  within(t, performance.now() - began < 2_000);
  t.is(server.received, 0);
});

test('TLS-03 TLS-21 THR-809: certReqs none connects to anything, and the connection does not count as verified', async (t) => {
  for (const one of [
    selfSigned({ name: 'me' }),
    stranger.issue({ san: ['dns:other.test'], to: ago(HOUR), from: ago(DAY) }),
    leaf,
  ]) {
    for (const options of [{ caCertData: ca.pem }, { caCerts: fileOf(t, stranger.pem) }]) {
      const { pool } = await servedSecurely(t, (_, response) => response.end('ok'), one.identity, {
        ...options,
        certReqs: 'none',
      });
      const { connection } = await pool.request('GET', '/');
      t.like(connection?.tls, { verified: false });
      t.true(connection?.tls?.chain[0]?.raw.equals(one.der));
    }
  }
});

test('THR-826: nobody asks whether a certificate was revoked: no look-up, no fetch', async (t) => {
  // A distribution point on a server of the test, which nobody visits.
  const { server } = await secured(t, greets);
  const uri = der.implicit(6, Buffer.from(`http://127.0.0.1:${server.port}/crl`));
  const points = der.sequence(der.sequence(der.tagged(0, der.tagged(0, uri))));
  const one = ca.issue({ san: LOCAL, extensions: [extension('2.5.29.31', false, points)] });
  const { outcome } = await meets(t, one);
  t.is(await outcome, 'ok');
  t.is(server.sockets.length, 0);
});

test('THR-826 WARN-03: a clock that is far off is named in the error of a certificate that is not valid at its time', async (t) => {
  const { pool } = await secured(t, greets, ca.issue({ san: LOCAL, from: ago(-HOUR), to: ago(-DAY) }).identity);
  const error = await refused(t, pool.request('GET', '/'), 'CERT_NOT_YET_VALID');
  t.regex(error.message, /valid/);
  t.regex(error.message, /\d{4}-\d\d-\d\d/);
});

test('a pool of good settings shows no key, whoever prints it', async (t) => {
  const pool = securePool(t, 1, { cert: leaf.chain, key: leaf.keyPem });
  t.false(JSON.stringify(pool).includes('PRIVATE'));
  t.is(String(pool), "HTTPSConnectionPool(host='localhost', port=1)");
});

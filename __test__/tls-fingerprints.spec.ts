/** A certificate that is known by its fingerprint: what a fingerprint is, when it is checked, and what it replaces. */
import test from 'ava';

import { assertFingerprint, HTTPSConnectionPool, SSLError } from '../index.ts';
import { ago, DAY, HOUR, LOCAL, usual } from './support/pki.ts';
import { greets, reasonOf, refused, secured, type SecureOptions } from './support/secure.ts';
import { vectors, type Raised } from './support/vectors.ts';

const { ca, leaf, stranger } = usual();
const HASHES = ['md5', 'sha1', 'sha256'] as const;
const colons = (hex: string): string => (hex.match(/../g) ?? []).join(':').toUpperCase();

interface Case {
  readonly der: string;
  readonly fingerprint: string;
  readonly ok: { value: true } | { error: Raised };
}

test('TLS-08: fingerprint.json', (t) => {
  for (const { der, fingerprint, ok } of vectors<Case>('fingerprint.json')) {
    const certificate = Buffer.from(der, 'base64');
    if ('value' in ok) {
      t.notThrows(() => assertFingerprint(certificate, fingerprint), fingerprint);
    } else {
      const error = t.throws(() => assertFingerprint(certificate, fingerprint), { instanceOf: SSLError }, fingerprint);
      t.like(error, { code: 'ERR_TLS', reason: 'ERR_FINGERPRINT', message: ok.error.message });
    }
  }
  t.throws(() => assertFingerprint(null, 'aa'), {
    instanceOf: SSLError,
    message: /No certificate for the peer/,
  });
});

test('TLS-08 TLS-21 THR-810: MD5, SHA-1 and SHA-256 by length, in any case, with colons or without', async (t) => {
  for (const hash of HASHES) {
    const hex = leaf.fingerprint(hash);
    for (const assertFingerprint of [hex, hex.toUpperCase(), colons(hex)]) {
      const { pool } = await secured(t, greets, {}, { assertFingerprint });
      t.like((await pool.request('GET', '/')).connection?.tls, { verified: true });
    }
    const wrong = `${hex.slice(0, -1)}${hex.endsWith('0') ? '1' : '0'}`;
    const { pool, server } = await secured(t, greets, {}, { assertFingerprint: wrong });
    const error = await refused(t, pool.request('GET', '/'), 'ERR_FINGERPRINT');
    t.true(error.message.includes(`Fingerprints did not match. Expected "${wrong}", got "${hex}"`), error.message);
    t.is(server.received, 0);
  }
});

test('TLS-08 THR-810: what is no fingerprint is an SSLError, in urllib3’s words', async (t) => {
  for (const [given, message] of [
    ['aa', /Fingerprint of invalid length: aa/],
    ['AA:A', /Fingerprint of invalid length: aaa/],
    ['g'.repeat(40), /Non-hexadecimal digit found/],
    [leaf.fingerprint('sha512'), /Fingerprint of invalid length/],
    [` ${leaf.fingerprint('sha256')}`, /Fingerprint of invalid length/],
  ] as const) {
    let pool: HTTPSConnectionPool;
    try {
      ({ pool } = await secured(t, greets, {}, { assertFingerprint: given }));
    } catch (error) {
      t.true(error instanceof SSLError, String(error));
      t.regex((error as Error).message, message);
      continue;
    }
    t.regex((await refused(t, pool.request('GET', '/'), 'ERR_FINGERPRINT')).message, message);
  }
});

test('TLS-08 THR-810: it replaces the name check, and the chain is checked as before', async (t) => {
  const other = ca.issue({ san: ['dns:other.test'] });
  const late = ca.issue({ san: LOCAL, from: ago(2 * DAY), to: ago(HOUR) });
  const foreign = stranger.issue({ san: LOCAL });
  const cases: [typeof leaf, SecureOptions, string][] = [
    [other, {}, 'ok'],
    [late, {}, 'CERT_HAS_EXPIRED'],
    [foreign, {}, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    [foreign, { caCertData: stranger.pem }, 'ok'],
    // What is said twice is checked once: urllib3 looks at the fingerprint.
    [other, { assertHostname: 'another.test' }, 'ok'],
    [other, { assertHostname: false }, 'ok'],
  ];
  for (const [one, options, reason] of cases) {
    const own = { assertFingerprint: one.fingerprint('sha256'), ...options };
    const { pool, server } = await secured(t, greets, one.identity, own);
    t.is(await reasonOf(pool.request('GET', '/')), reason);
    t.is(server.received > 0, reason === 'ok');
  }
});

test('TLS-08 TLS-21 THR-810: under certReqs none it is checked as well, and what it matches counts as verified', async (t) => {
  const foreign = stranger.issue({ name: 'nobody' });
  for (const hash of HASHES) {
    const right = { certReqs: 'none', assertFingerprint: foreign.fingerprint(hash) } as const;
    const { pool } = await secured(t, greets, foreign.identity, right);
    t.like((await pool.request('GET', '/')).connection?.tls, { verified: true });
    const wrong = { certReqs: 'none', assertFingerprint: leaf.fingerprint(hash) } as const;
    const refusing = await secured(t, greets, foreign.identity, wrong);
    await refused(t, refusing.pool.request('GET', '/'), 'ERR_FINGERPRINT');
    t.is(refusing.server.received, 0);
  }
});

test('TLS-08: it is the leaf’s, not that of another certificate in the chain', async (t) => {
  const middle = ca.intermediate();
  const one = middle.issue({ san: LOCAL });
  for (const [fingerprint, reason] of [
    [one.fingerprint('sha256'), 'ok'],
    [middle.fingerprint('sha256'), 'ERR_FINGERPRINT'],
    [ca.fingerprint('sha256'), 'ERR_FINGERPRINT'],
  ] as const) {
    const { pool } = await secured(t, greets, one.identity, { assertFingerprint: fingerprint });
    t.is(await reasonOf(pool.request('GET', '/')), reason);
  }
});

test.serial(
  'THR-810 THR-812: a session that is resumed stands for the same fingerprint: no other setting resumes it',
  async (t) => {
    const fingerprint = leaf.fingerprint('sha256');
    const { pool, server } = await secured(
      t,
      async (peer) => {
        await peer.request();
        await peer.write('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok');
        peer.end();
      },
      {},
      { assertFingerprint: fingerprint },
    );
    for (const resumed of [false, true, true]) {
      t.like((await pool.request('GET', '/')).connection?.tls, { resumed, verified: true });
    }
    const wrong = new HTTPSConnectionPool('localhost', {
      port: server.port,
      retries: false,
      resolve: { localhost: '127.0.0.1' },
      caCertData: ca.pem,
      assertFingerprint: stranger.fingerprint('sha256'),
    });
    t.teardown(() => wrong.close());
    await refused(t, wrong.request('GET', '/'), 'ERR_FINGERPRINT');
  },
);

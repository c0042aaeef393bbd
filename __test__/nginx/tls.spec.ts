/**
 * TLS as nginx speaks it, with certificates by OpenSSL: chains, names, versions, certificates of clients, sessions.
 */
import { createHash, X509Certificate } from 'node:crypto';
import test from 'ava';
import type { ExecutionContext } from 'ava';

import { SSLError, type PoolOptions, type TLSOptions } from '../../index.ts';
import { nginx, type NginxSetup } from '../servers/nginx.ts';
import { certificate, encrypted, hierarchy, type Pair } from '../servers/openssl.ts';
import { certificates, pooled, secured } from '../support/fronts.ts';
import { rejection } from '../support/fixtures.ts';

type Options = PoolOptions & TLSOptions;

/** What the answer says of the connection, as nginx saw it. */
const SEEN = 'location / { return 200 "$ssl_protocol $ssl_session_reused $ssl_server_name"; }';

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  const other = version === 'TLSv1.2' ? 'TLSv1.3' : 'TLSv1.2';

  test.serial(`TLS-13 a server of ${version} alone is served, unless that is out of bounds`, async (t) => {
    const port = await serving(t, { server: `ssl_protocols ${version}; ${SEEN}` });
    for (const bounds of [{}, { sslMinimumVersion: version }, { sslMaximumVersion: version }] as Options[]) {
      const response = await pooled(t, port, bounds).request('GET', '/');
      t.is(response.text(), `${version} . localhost`);
      t.is(response.connection?.tls?.version, version);
    }
    const bounds: Options = version === 'TLSv1.2' ? { sslMinimumVersion: other } : { sslMaximumVersion: other };
    const error = await rejection(pooled(t, port, bounds).request('GET', '/'), SSLError);
    t.is(error.reason, 'ERR_TLS_VERSION');
  });

  for (const kind of ['tickets', 'a cache'] as const) {
    test.serial(`THR-812 sessions of ${version} are resumed by ${kind}, and never with other trust`, async (t) => {
      const how =
        kind === 'tickets' ? 'ssl_session_tickets on;' : 'ssl_session_tickets off; ssl_session_cache shared:s:1m;';
      const port = await serving(t, { server: `ssl_protocols ${version}; ${how} ${SEEN}` });
      const fresh = { maxRequestsPerConnection: 1 } as const;
      const pool = pooled(t, port, fresh);
      const seen: string[] = [];
      for (let turn = 1; turn <= 4; turn += 1) {
        const response = await pool.request('GET', '/');
        const [, reused] = response.text().split(' ');
        t.is(response.connection?.tls?.resumed, reused === 'r', 'both say the same');
        t.is(response.connection?.tls?.verified, true);
        t.is(response.connection?.tls?.chain.length, 2, 'the chain is known of a resumed session too');
        seen.push(reused ?? '');
      }
      t.deepEqual(seen, ['.', 'r', 'r', 'r']);
      // Equal settings have one store of sessions.
      t.is((await pooled(t, port, fresh).request('GET', '/')).text(), `${version} r localhost`);
      // Each of these differs from the first in what it trusts, so each begins anew.
      const { server } = certificates();
      for (const settings of [
        { certReqs: 'none', caCertData: undefined },
        { assertFingerprint: fingerprint(server) },
        { assertHostname: 'ferro.test' },
        { assertHostname: false },
      ] as Options[]) {
        const response = await pooled(t, port, { ...fresh, ...settings }).request('GET', '/');
        t.is(response.text(), `${version} . localhost`, JSON.stringify(settings));
      }
      const stranger = pooled(t, port, { ...fresh, caCertData: certificate({ name: 'a stranger' }).certificate });
      for (let turn = 1; turn <= 3; turn += 1) await rejection(stranger.request('GET', '/'), SSLError);
      t.is((await pool.request('GET', '/')).text(), `${version} r localhost`);
    });
  }
}

test.serial('TLS-01 THR-801 a missing intermediate certificate is named as what is missing', async (t) => {
  const { server, intermediate, root } = certificates();
  const port = await serving(t, { server: SEEN }, server);
  const error = await rejection(pooled(t, port).request('GET', '/'), SSLError);
  t.is(error.reason, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  t.deepEqual(
    error.chain.map(({ subject, issuer }) => [subject, issuer]),
    [['CN=a server', 'CN=ferropool test intermediate']],
  );
  t.regex(error.message, /intermediate/i);
  // Who has it can go on.
  const both = { caCertData: intermediate.certificate + root.certificate };
  t.is((await pooled(t, port, both).request('GET', '/')).status, 200);
});

test.serial('TLS-02 THR-801 a private authority that nobody was told of is refused', async (t) => {
  const port = await serving(t, { server: SEEN });
  const error = await rejection(pooled(t, port, { caCertData: undefined }).request('GET', '/'), SSLError);
  t.is(error.reason, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  t.is(error.chain.length, 2);
  t.regex(error.message, /caCert/);
});

test.serial(
  'TLS-03 TLS-05 TLS-07 TLS-08 TLS-09 THR-801 another host is refused, unless it is what was asked for',
  async (t) => {
    const { root, intermediate } = certificates();
    const elsewhere = certificate({ name: 'elsewhere', issuer: intermediate, names: ['DNS:elsewhere.test'] });
    const chained = { ...elsewhere, certificate: elsewhere.certificate + intermediate.certificate };
    const port = await serving(t, { server: SEEN }, chained);
    const error = await rejection(pooled(t, port).request('GET', '/'), SSLError);
    t.is(error.reason, 'ERR_TLS_CERT_ALTNAME_INVALID');
    t.is(error.assertedName, 'localhost');
    t.deepEqual(error.chain[0]?.subjectAltName, ['DNS:elsewhere.test']);
    const served: Options[] = [
      { assertHostname: 'elsewhere.test' },
      { serverHostname: 'elsewhere.test' },
      { assertHostname: false },
      { assertFingerprint: fingerprint(elsewhere) },
      { certReqs: 'none', caCertData: undefined },
    ];
    for (const settings of served) {
      const response = await pooled(t, port, settings).request('GET', '/');
      const name = settings.serverHostname ?? 'localhost';
      t.is(response.text(), `TLSv1.3 . ${name}`, JSON.stringify(settings));
      t.is(response.connection?.tls?.serverName, name);
    }
    const wrong = await rejection(
      pooled(t, port, { assertFingerprint: fingerprint(root) }).request('GET', '/'),
      SSLError,
    );
    t.is(wrong.reason, 'ERR_FINGERPRINT');
  },
);

test.serial(
  'TLS-04 TLS-09 THR-805 an address is a name where the certificate has it, and is not sent as one',
  async (t) => {
    const port = await serving(t, { server: SEEN });
    const response = await pooled(t, port, {}, '127.0.0.1').request('GET', '/');
    t.is(response.text(), 'TLSv1.3 . ', 'no name was sent (RFC 6066 §3)');
    const { intermediate } = certificates();
    const named = certificate({ name: 'named', issuer: intermediate, names: ['DNS:localhost', 'DNS:127.0.0.1'] });
    const other = await serving(
      t,
      { server: SEEN },
      { ...named, certificate: named.certificate + intermediate.certificate },
    );
    t.is((await pooled(t, other).request('GET', '/')).status, 200);
    const error = await rejection(pooled(t, other, {}, '127.0.0.1').request('GET', '/'), SSLError);
    t.is(error.reason, 'ERR_TLS_CERT_ALTNAME_INVALID', 'an address needs an entry of its own kind');
  },
);

test.serial('TLS-09 the name that is sent chooses among the servers of an address', async (t) => {
  const { intermediate } = certificates();
  const other = certificate({ name: 'other', issuer: intermediate, names: ['DNS:other.test'] });
  const port = await serving(t, {
    server: `server_name localhost; ${SEEN}`,
    http: `server { listen 127.0.0.1:PORT ssl; server_name other.test; ssl_certificate other.pem; ssl_certificate_key other.key; location / { return 200 other; } }`,
    secrets: { 'other.pem': other.certificate + intermediate.certificate, 'other.key': other.key },
  });
  t.is((await pooled(t, port).request('GET', '/')).text(), 'TLSv1.3 . localhost');
  const pool = pooled(t, port, { resolve: { 'other.test': '127.0.0.1' } }, 'other.test');
  const response = await pool.request('GET', '/');
  t.is(response.text(), 'other');
  t.is(response.connection?.tls?.chain[0]?.subject, 'CN=other');
});

for (const algorithm of ['ec', 'rsa'] as const) {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test.serial(
      `TLS-11 TLS-12 a client's ${algorithm} certificate is shown where the server asks, with ${version}`,
      async (t) => {
        const clients = hierarchy();
        const mine = certificate({ name: 'a client', issuer: clients.root, names: [], usage: 'clientAuth', algorithm });
        const port = await serving(t, {
          server: `ssl_protocols ${version}; ssl_client_certificate clients.pem; ssl_verify_client on;
          location / { return 200 "$ssl_client_s_dn $ssl_client_verify"; }`,
          secrets: { 'clients.pem': clients.root.certificate },
        });
        for (const own of [
          { cert: mine.certificate, key: mine.key },
          { cert: mine.certificate, key: encrypted(mine, 'open sesame'), keyPassword: 'open sesame' },
        ]) {
          const response = await pooled(t, port, own).request('GET', '/');
          t.deepEqual([response.status, response.text()], [200, 'CN=a client SUCCESS']);
        }
        // nginx asks everybody, and tells over HTTP whom it does not serve.
        const none = await pooled(t, port).request('GET', '/');
        t.is(none.status, 400);
        t.regex(none.text(), /No required SSL certificate was sent/);
        const wrong = certificate({ name: 'a stranger', names: [], usage: 'clientAuth' });
        const refused = await pooled(t, port, { cert: wrong.certificate, key: wrong.key }).request('GET', '/');
        t.is(refused.status, 400);
        t.regex(refused.text(), /The SSL certificate error/);
      },
    );
  }
}

test.serial('TLS-14 a server with an RSA certificate, and each cipher of ours', async (t) => {
  const { root, intermediate } = certificates();
  const rsa = certificate({ name: 'an RSA server', issuer: intermediate, names: ['DNS:localhost'], algorithm: 'rsa' });
  const chained = { ...rsa, certificate: rsa.certificate + intermediate.certificate };
  const port = await serving(t, { server: 'location / { return 200 $ssl_cipher; }' }, chained);
  for (const [cipher, theirs] of [
    ['TLS13_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256'],
    ['TLS13_CHACHA20_POLY1305_SHA256', 'TLS_CHACHA20_POLY1305_SHA256'],
    ['TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'],
    ['TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-RSA-CHACHA20-POLY1305'],
  ] as const) {
    const settings = { caCertData: root.certificate, ciphers: [cipher] } as Options;
    const response = await pooled(t, port, settings).request('GET', '/');
    t.is(response.text(), theirs);
    t.is(response.connection?.tls?.cipher, cipher);
  }
});

test.serial('THR-815 plain HTTP on the port, and TLS where plain HTTP was meant, are told apart', async (t) => {
  const plain = await nginx({ server: SEEN });
  t.teardown(() => plain.close());
  const error = await rejection(pooled(t, plain.port).request('GET', '/'), SSLError);
  t.is(error.reason, 'ERR_NOT_TLS');
});

test.serial('a certificate is renewed by a reload: old connections go on, new ones see the new one', async (t) => {
  const { intermediate } = certificates();
  const server = await nginx({ ...secured(certificates().chained), speaks: 'https', server: SEEN });
  t.teardown(() => server.close());
  const pool = pooled(t, server.port, { retries: null });
  const before = await pool.request('GET', '/');
  t.is(before.connection?.tls?.chain[0]?.subject, 'CN=a server');
  const renewed = certificate({ name: 'a newer server', issuer: intermediate, names: ['DNS:localhost'] });
  server.write('server.pem', renewed.certificate + intermediate.certificate);
  server.write('server.key', renewed.key);
  await server.reload();
  const after = await pool.request('GET', '/');
  t.is(after.connection?.tls?.chain[0]?.subject, 'CN=a newer server');
});

/** An nginx of this test, with the usual certificate unless another is given. */
async function serving(t: ExecutionContext, setup: NginxSetup, pair: Pair = certificates().chained): Promise<number> {
  const { http, secrets } = secured(pair);
  const server = await nginx({
    ...setup,
    http: `${http} ${setup.http ?? ''}`,
    secrets: { ...secrets, ...setup.secrets },
    speaks: setup.speaks ?? 'https',
  });
  t.teardown(() => server.close());
  return server.port;
}

/** SHA-256 of the first certificate, as `assertFingerprint` takes it. */
function fingerprint(pair: Pair): string {
  return createHash('sha256').update(new X509Certificate(pair.certificate).raw).digest('hex');
}

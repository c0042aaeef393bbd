/** Sessions: resumed where everything about trust is equal, and never across a difference (THR-812). */
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';

import { HTTPSConnectionPool, PoolManager, type HTTPResponse, type TLSOptions } from '../index.ts';
import type { Peer } from './servers/raw.ts';
import { tlsServer, type ScriptedTlsServer, type TlsServerOptions } from './servers/tls.ts';
import { root, usual } from './support/pki.ts';
import { fileOf, folderOf, refused, securePool, type SecureOptions } from './support/secure.ts';

const { ca, leaf, stranger } = usual();
const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

/** One answer a connection: each request needs a handshake. */
async function one(peer: Peer): Promise<void> {
  await peer.request();
  await peer.write('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok');
  peer.end();
}

async function opened(t: ExecutionContext, options: TlsServerOptions = {}): Promise<ScriptedTlsServer> {
  const server = await tlsServer(one, options);
  t.teardown(() => server.close());
  return server;
}

function resumed({ connection }: HTTPResponse): boolean | undefined {
  return connection?.tls?.resumed;
}

for (const maxVersion of VERSIONS) {
  test.serial(
    `THR-812: the same settings resume, in a pool and in another that was told the same, ${maxVersion}`,
    async (t) => {
      const server = await opened(t, { maxVersion });
      const first = securePool(t, server.port);
      const found: unknown[] = [];
      for (let n = 0; n < 2; n += 1) found.push(resumed(await first.request('GET', '/')));
      // OpenSSL gives two tickets, and none again to who resumes; rustls uses each once (RFC 8446, appendix C.4).
      const second = securePool(t, server.port);
      const { connection } = await second.request('GET', '/');
      t.deepEqual([...found, connection?.tls?.resumed], [false, true, true]);
      t.deepEqual(
        server.shaken.map((shaken) => shaken.resumed),
        [false, true, true],
      );
      // What was verified once stays so: chain and name are those of the session.
      t.like(connection?.tls, { verified: true, resumed: true, serverName: 'localhost' });
      t.true(connection?.tls?.chain[0]?.raw.equals(leaf.der));
    },
  );

  test.serial(
    `THR-812 THR-809: a session of a loose pool is nothing to a strict one, which fails, ${maxVersion}`,
    async (t) => {
      const untrusted = stranger.issue({ san: ['dns:localhost'] });
      const misnamed = ca.issue({ san: ['dns:other.test'] });
      const cases: [typeof leaf, loose: SecureOptions, strict: SecureOptions, reason: string][] = [
        [untrusted, { certReqs: 'none' }, {}, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
        [untrusted, { caCertData: stranger.pem }, {}, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
        [untrusted, { caCertData: stranger.pem + ca.pem }, {}, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
        [misnamed, { assertHostname: false }, {}, 'ERR_TLS_CERT_ALTNAME_INVALID'],
        [misnamed, { assertHostname: 'other.test' }, {}, 'ERR_TLS_CERT_ALTNAME_INVALID'],
        [misnamed, { assertFingerprint: misnamed.fingerprint('sha256') }, {}, 'ERR_TLS_CERT_ALTNAME_INVALID'],
        [misnamed, { assertHostname: false }, { assertHostname: 'third.test' }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
        [leaf, {}, { assertFingerprint: misnamed.fingerprint('sha256') }, 'ERR_FINGERPRINT'],
        [leaf, { certReqs: 'none' }, { certReqs: 'none', assertFingerprint: '00'.repeat(20) }, 'ERR_FINGERPRINT'],
      ];
      for (const [certificate, loose, strict, reason] of cases) {
        const server = await opened(t, { ...certificate.identity, maxVersion });
        const easy = securePool(t, server.port, loose);
        t.false(resumed(await easy.request('GET', '/')));
        t.true(resumed(await easy.request('GET', '/')));
        const before = server.received;
        await refused(t, securePool(t, server.port, strict).request('GET', '/'), reason);
        t.is(server.received, before);
        // And again, with what the failed handshake left.
        await refused(t, securePool(t, server.port, strict).request('GET', '/'), reason);
        t.true(resumed(await easy.request('GET', '/')));
      }
    },
  );
}

/** Settings that leave the server acceptable, each of which must begin with a handshake of its own. */
function settings(t: ExecutionContext): Readonly<Record<string, SecureOptions>> {
  const client = root().issue({ name: 'client' });
  return {
    'certReqs none': { certReqs: 'none' },
    'caCerts, the same by file': { caCerts: fileOf(t, ca.pem) },
    'caCertData, one more': { caCertData: ca.pem + stranger.pem },
    caCertDir: { caCertDir: folderOf(t, { 'ca.pem': ca.pem }) },
    'client certificate': { cert: client.chain, key: client.keyPem },
    assertFingerprint: { assertFingerprint: leaf.fingerprint('sha256') },
    'assertFingerprint, SHA-1': { assertFingerprint: leaf.fingerprint('sha1') },
    'assertHostname false': { assertHostname: false },
    'assertHostname, the address': { assertHostname: '127.0.0.1' },
    serverHostname: { serverHostname: 'a.test', assertHostname: 'localhost' },
    'sslMinimumVersion TLSv1.3': { sslMinimumVersion: 'TLSv1.3' },
    'sslMaximumVersion TLSv1.2': { sslMaximumVersion: 'TLSv1.2' },
    ciphers: { ciphers: ['TLS13_AES_256_GCM_SHA384', 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384'] },
  };
}

test.serial(
  'THR-323 THR-812: each setting of TLS has sessions of its own, and equal settings share them',
  async (t) => {
    const server = await opened(t, { requestCert: true, rejectUnauthorized: false });
    const all = { 'nothing special': {}, ...settings(t) };
    for (const round of [false, true]) {
      for (const [name, options] of Object.entries(all)) {
        const pool = securePool(t, server.port, options);
        t.is(resumed(await pool.request('GET', '/')), round, name);
      }
    }
  },
);

test.serial('THR-812: another host, or another port, has sessions of its own', async (t) => {
  const [server, other] = [await opened(t), await opened(t)];
  const local = securePool(t, server.port);
  t.false(resumed(await local.request('GET', '/')));
  t.true(resumed(await local.request('GET', '/')));
  t.false(resumed(await securePool(t, server.port, { host: '127.0.0.1' }).request('GET', '/')));
  // The same key of tickets there would be none the wiser; this server has another, and refuses.
  t.false(resumed(await securePool(t, other.port).request('GET', '/')));
});

test.serial('THR-813: no request goes in early data, even where a session would allow it', async (t) => {
  const server = await opened(t);
  const pool = securePool(t, server.port);
  for (let n = 0; n < 3; n += 1) {
    const before = server.received;
    const response = await pool.request('POST', '/', { body: 'once' });
    t.is(resumed(response), n > 0);
    // What came, came behind the handshake: Node's server knows no early data and would have dropped it.
    t.true(server.received > before);
  }
  t.is(server.peers.length, 3);
});

/** Another value of every setting that says what a connection of https is. */
function flipped(t: ExecutionContext): Readonly<Record<string, TLSOptions & SecureOptions>> {
  return {
    ...settings(t),
    http2: { http2: true },
    localAddress: { localAddress: '127.0.0.2' },
    resolve: { resolve: { localhost: '127.0.0.1', 'x.test': '127.0.0.1' } },
    socketOptions: { socketOptions: { noDelay: false } },
    keepAlive: { keepAlive: true },
    lenient: { lenient: false },
    keyLogFile: { keyLogFile: fileOf(t, '') },
    headers: { headers: { 'x-mine': '1' } },
  };
}

test.serial(
  'THR-323 MGR-08: in a manager each setting is another pool, another socket, and no session of the other’s',
  async (t) => {
    const server = await tlsServer(
      async (peer) => {
        for (;;) {
          await peer.request();
          await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        }
      },
      { requestCert: true, rejectUnauthorized: false },
    );
    t.teardown(() => server.close());
    const manager = new PoolManager({ caCertData: ca.pem, resolve: { localhost: '127.0.0.1' }, retries: false });
    t.teardown(() => manager.close({ timeout: 0 }));
    const url = `https://localhost:${server.port}/`;
    const plain = manager.connectionFromUrl(url);
    t.true(plain instanceof HTTPSConnectionPool);
    await plain.request('GET', '/');
    for (const [name, { host: _, ...kwargs }] of Object.entries(flipped(t))) {
      const sockets = server.sockets.length;
      const pool = manager.connectionFromUrl(url, kwargs);
      t.not(pool, plain, name);
      const response = await pool.request('GET', '/');
      t.is(response.connection?.reused, false, name);
      t.is(server.sockets.length, sockets + 1, name);
      // Only what is not TLS's may share its sessions.
      const shares = ['localAddress', 'resolve', 'socketOptions', 'keepAlive', 'lenient', 'headers'].includes(name);
      if (!shares) t.is(resumed(response), false, name);
      // Equal by value.
      const again = manager.connectionFromUrl(url, structuredClone(kwargs));
      t.is(again, pool, name);
      t.is((await again.request('GET', '/')).connection?.reused, true, name);
      t.is((await plain.request('GET', '/')).connection?.reused, true, name);
    }
  },
);

test.serial('THR-323: a Unix socket in place of an address is another pool, and knows no session of it', async (t) => {
  const unixSocket = path.join(folderOf(t, {}), 's');
  const [server, other] = [await opened(t), await tlsServer(one, { listenOn: unixSocket })];
  t.teardown(() => other.close());
  const manager = new PoolManager({ caCertData: ca.pem, resolve: { localhost: '127.0.0.1' }, retries: false });
  t.teardown(() => manager.close({ timeout: 0 }));
  const url = `https://localhost:${server.port}/`;
  for (const again of [false, true]) t.is(resumed(await manager.request('GET', url)), again);
  const pool = manager.connectionFromUrl(url, { unixSocket });
  await pool.request('GET', '/');
  // What the other server makes of a ticket that is not its own is a whole handshake.
  t.deepEqual([server.shaken.length, other.shaken.length, other.shaken[0]?.resumed], [2, 1, false]);
});

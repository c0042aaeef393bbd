/** The client's own certificate: where it comes from, what is sent of it and to whom, and what a server says that wants one. */
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';

import { HTTPSConnectionPool, PoolManager, ProtocolError, SSLError, type TLSOptions } from '../index.ts';
import { reply } from './servers/raw.ts';
import { tlsServer, type ScriptedTlsServer, type TlsServerOptions } from './servers/tls.ts';
import { rejection } from './support/fixtures.ts';
import { root, usual } from './support/pki.ts';
import { fileOf, folderOf, greets, refused, refuses, secured, securePool, TRUSTING } from './support/secure.ts';

const { ca, leaf } = usual();
/** Whom the servers here trust. */
const clients = root({ name: 'clients' });
const middle = clients.intermediate({ name: 'middle' });
const client = middle.issue({ name: 'client', purposes: ['client'] });
const other = clients.issue({ name: 'other' });
const rsa = clients.issue({ name: 'rsa', key: 'rsa' });
const ed25519 = clients.issue({ name: 'ed25519', key: 'ed25519' });
const REQUIRED = { requestCert: true, rejectUnauthorized: true, ca: clients.pem } satisfies TlsServerOptions;

/** Whom a server that wants a certificate sees. */
async function seen(
  t: ExecutionContext,
  options: TLSOptions,
  server: TlsServerOptions = {},
): Promise<readonly string[]> {
  const { pool, server: running } = await secured(t, greets, { ...REQUIRED, ...server }, options);
  await pool.request('GET', '/');
  return running.shaken[0]?.client.slice(0, 1) ?? [];
}

test('TLS-11: by file or as text, key beside it or within; intermediates are sent', async (t) => {
  const folder = folderOf(t, {
    'chain.pem': client.chain,
    'key.pem': client.keyPem,
    'both.pem': client.keyPem + client.chain,
    'both too.pem': `what people write before\n${client.chain}${client.keyPem}`,
  });
  const file = (name: string): string => path.join(folder, name);
  for (const options of [
    { certFile: file('chain.pem'), keyFile: file('key.pem') },
    { certFile: file('both.pem') },
    { certFile: file('both too.pem') },
    { cert: client.chain, key: client.keyPem },
    { cert: client.chain + client.keyPem },
    { cert: Buffer.from(client.chain), key: Buffer.from(client.keyPem) },
    { cert: client.chain, keyFile: file('key.pem') },
    { certFile: file('chain.pem'), key: client.keyPem },
    { certFile: client.chain, keyFile: client.keyPem },
  ] satisfies TLSOptions[]) {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      t.deepEqual(await seen(t, options, { maxVersion }), ['client'], JSON.stringify(options));
    }
  }
});

test('TLS-11: every kind of key, in every wrapping, with a password and without', async (t) => {
  for (const one of [client, rsa, ed25519]) {
    const { privateKey } = one.pair;
    const kind = privateKey.asymmetricKeyType;
    const plain = [one.keyPem];
    if (kind === 'rsa') plain.push(privateKey.export({ type: 'pkcs1', format: 'pem' }) as string);
    if (kind === 'ec') plain.push(privateKey.export({ type: 'sec1', format: 'pem' }) as string);
    for (const key of plain) {
      t.deepEqual(await seen(t, { cert: one.chain, key }), [one === client ? 'client' : String(kind)]);
      // A password for a key that has none is ignored.
      await t.notThrowsAsync(seen(t, { cert: one.chain, key, keyPassword: 'not needed' }));
    }
    const locked = [one.encryptedKey('päss')];
    if (kind !== 'ed25519') locked.push(one.encryptedKey('päss', true));
    for (const key of locked) {
      for (const keyPassword of ['päss', Buffer.from('päss')]) {
        t.deepEqual(await seen(t, { cert: one.chain, key, keyPassword }), [one === client ? 'client' : String(kind)]);
      }
    }
  }
});

test('TLS-11 THR-821: a key that is locked, a wrong password, files that are missing or hold something else: SSLError at once', (t) => {
  const cert = client.chain;
  const missing = path.join(folderOf(t, {}), 'missing.pem');
  const cases: [TLSOptions, reason: string, message: RegExp][] = [];
  for (const legacy of [false, true]) {
    const key = client.encryptedKey('right', legacy);
    cases.push([{ cert, key }, 'ERR_TLS_KEY', /Client private key is encrypted, password is required/]);
    cases.push([{ cert: cert + key }, 'ERR_TLS_KEY', /Client private key is encrypted, password is required/]);
    for (const keyPassword of ['wrong', '', Buffer.from('wrong')]) {
      cases.push([{ cert, key, keyPassword }, 'ERR_TLS_KEY', /password|key/i]);
    }
  }
  cases.push([{ certFile: missing }, 'ERR_TLS_CERT', /missing\.pem/]);
  cases.push([{ cert, keyFile: missing }, 'ERR_TLS_KEY', /missing\.pem/]);
  cases.push([{ certFile: fileOf(t, 'junk'), key: client.keyPem }, 'ERR_TLS_CERT', /file/]);
  cases.push([{ cert, keyFile: fileOf(t, 'junk') }, 'ERR_TLS_KEY', /file/]);
  cases.push([{ cert, keyFile: fileOf(t, cert) }, 'ERR_TLS_KEY', /file/]);
  cases.push([{ cert }, 'ERR_TLS_KEY', /key/]);
  cases.push([{ cert: client.keyPem }, 'ERR_TLS_CERT', /certificate/]);
  // Somebody else's key.
  cases.push([{ cert, key: other.keyPem }, 'ERR_TLS_KEY', /key/]);
  cases.push([{ cert, key: rsa.keyPem }, 'ERR_TLS_KEY', /key/]);
  for (const [options, reason, message] of cases) {
    refuses(t, () => new HTTPSConnectionPool('localhost', options), reason, message);
  }
});

test('THR-821 MGR-08: neither password nor key shows in what is thrown', (t) => {
  const key = client.encryptedKey('right');
  const error = t.throws(
    () => new HTTPSConnectionPool('localhost', { cert: client.chain, key, keyPassword: 'swordfish' }),
    { instanceOf: SSLError },
  );
  const told = JSON.stringify(error) + String(error?.stack);
  t.false(told.includes('swordfish') || told.includes('PRIVATE') || told.includes(key.slice(40, 80)));
});

test('TLS-11: two sources of one thing, and a key without a certificate, are TypeErrors', (t) => {
  const { chain: cert, keyPem: key } = client;
  for (const options of [
    { cert, certFile: fileOf(t, cert), key },
    { cert, key, keyFile: fileOf(t, key) },
    { key },
    { keyFile: fileOf(t, key) },
    { keyPassword: 'x' },
    { cert: 1 },
    { certFile: 1 },
    { cert: 'a path' },
    { cert, key: {} },
    { cert, key, keyPassword: 7 },
    { cert, key, keyPassword: {} },
  ]) {
    t.throws(() => new HTTPSConnectionPool('localhost', options as never), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_OPTION',
    });
  }
});

for (const [maxVersion, reason, phase] of [
  // Before TLS 1.3 a server has but a general alert for one that is missing; in TLS 1.3 it comes after the handshake.
  ['TLSv1.2', 'ERR_TLS_ALERT', 'tls'],
  ['TLSv1.3', 'ERR_TLS_CLIENT_CERT', 'headers'],
] as const) {
  test(`TLS-12: a server that requires a certificate and gets none: SSLError ${reason}, ${maxVersion}`, async (t) => {
    const { pool, server } = await secured(t, greets, { ...REQUIRED, maxVersion });
    const error = await refused(t, pool.request('GET', '/'), reason);
    t.is(error.phase, phase);
    t.regex(error.message, /certificate/i);
    await server.fails(1);
    t.is(server.received, 0);
  });

  test(`TLS-12: a server that hangs up on a certificate that it does not trust: an error, ${maxVersion}`, async (t) => {
    const unknown = root({ name: 'unknown' }).issue({ name: 'unknown' });
    // The second lacks its intermediate: the server cannot build the chain.
    for (const options of [
      { cert: unknown.chain, key: unknown.keyPem },
      { cert: client.pem, key: client.keyPem },
    ]) {
      const { pool, server } = await secured(t, greets, { ...REQUIRED, maxVersion }, options);
      // Node's server says no alert.
      if (maxVersion === 'TLSv1.2') await refused(t, pool.request('GET', '/'), 'ERR_TLS_EOF');
      else await rejection(pool.request('GET', '/'), ProtocolError);
      await server.fails(1);
      t.is(server.shaken.length, 0);
    }
  });
}

test('TLS-12: a server that only asks gets none where there is none', async (t) => {
  const { pool, server } = await secured(t, greets, { ...REQUIRED, rejectUnauthorized: false });
  t.is((await pool.request('GET', '/')).text(), 'ok');
  t.deepEqual(server.shaken[0]?.client, []);
});

test('TLS-11: no server that does not ask gets to see it', async (t) => {
  const { pool, server } = await secured(t, greets, {}, { cert: client.chain, key: client.keyPem });
  await pool.request('GET', '/');
  t.deepEqual(server.shaken[0]?.client, []);
});

test('THR-821: a certificate goes only to the origins of its own settings: not behind a redirect out of a pool’s own', async (t) => {
  const leads = (to: string) => async (peer: { request(): Promise<string>; write(bytes: string): Promise<void> }) => {
    const path = (await peer.request()).split(' ', 2)[1];
    await peer.write(
      path === '/' && to !== '' ? reply('', `HTTP/1.1 302 Found\r\nLocation: ${to}\r\n`) : reply(path ?? ''),
    );
  };
  const asking = { ...REQUIRED, rejectUnauthorized: false };
  const far = await tlsServer(leads(''), { ...asking, ...ca.issue({ san: ['dns:b.test'] }).identity });
  t.teardown(() => far.close());
  const near = await tlsServer(leads('https://b.test/end'), { ...asking, ...leaf.identity });
  t.teardown(() => near.close());
  const resolve = { localhost: `127.0.0.1:${near.port}`, 'b.test': `127.0.0.1:${far.port}` };
  const manager = new PoolManager({ caCertData: ca.pem, resolve });
  t.teardown(() => manager.close({ timeout: 0 }));
  // Given for one pool, it is that pool's.
  const own = manager.connectionFromUrl('https://localhost/', { cert: client.chain, key: client.keyPem });
  t.is((await own.request('GET', '/direct')).text(), '/direct');
  t.deepEqual(near.shaken[0]?.client[0], 'client');
  t.is((await manager.request('GET', 'https://localhost/')).text(), '/end');
  t.deepEqual([near.shaken[1]?.client, far.shaken[0]?.client], [[], []]);
  // Given to the manager, it is for all of its pools.
  const known = new PoolManager({ caCertData: ca.pem, resolve, cert: client.chain, key: client.keyPem });
  t.teardown(() => known.close({ timeout: 0 }));
  t.is((await known.request('GET', 'https://localhost/')).text(), '/end');
  t.deepEqual([near.shaken.at(-1)?.client[0], far.shaken.at(-1)?.client[0]], ['client', 'client']);
});

test.serial('THR-821 THR-812: another client certificate is another connection and another session', async (t) => {
  const closes = async (peer: { request(): Promise<string>; write(bytes: string): Promise<void>; end(): void }) => {
    await peer.request();
    await peer.write('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok');
    peer.end();
  };
  const server: ScriptedTlsServer = await tlsServer(closes, { ...REQUIRED, rejectUnauthorized: false });
  t.teardown(() => server.close());
  const identities = [{}, { cert: client.chain, key: client.keyPem }, { cert: other.chain, key: other.keyPem }];
  for (const resumed of [false, true]) {
    for (const identity of identities) {
      const pool = securePool(t, server.port, { ...TRUSTING, ...identity });
      const response = await pool.request('GET', '/');
      t.is(response.connection?.tls?.resumed, resumed);
    }
  }
  t.deepEqual(
    server.shaken.filter(({ resumed }) => !resumed).map(({ client: [name] }) => name),
    [undefined, 'client', 'other'],
  );
});

test('TLS-11: a file that changes after the pool was made changes nothing for it', async (t) => {
  const certFile = fileOf(t, client.keyPem + client.chain);
  const { pool, server } = await secured(t, greets, REQUIRED, { certFile, maxRequestsPerConnection: 1 });
  await pool.request('GET', '/');
  const { writeFileSync } = await import('node:fs');
  writeFileSync(certFile, 'no more');
  await pool.request('GET', '/');
  t.is(server.shaken.length, 2);
  await rejection(new Promise((resolve) => resolve(new HTTPSConnectionPool('localhost', { certFile }))), SSLError);
});

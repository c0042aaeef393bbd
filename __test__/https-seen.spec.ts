/** What is seen of TLS from outside: certificates, errors as JSON, debug lines, channels, and the module-level `request`. */
import { once } from 'node:events';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { X509Certificate } from 'node:crypto';
import test from 'ava';

import { HTTPSConnectionPool, MaxRetryError, request, SSLError, type ErrorJSON } from '../index.ts';
import { errorFromRecord } from '../facade/error-record.ts';
import { LOST } from '../facade/boundary/records.ts';
import { connectionInfo } from '../facade/connection-info.ts';
import { start } from './support/child.ts';
import { closedPort, rejection } from './support/fixtures.ts';
import { Notices } from './support/notices.ts';
import { usual } from './support/pki.ts';
import { fileOf, greets, secured, securePool } from './support/secure.ts';
import { until } from './support/street.ts';

test('TLS-21 TLS-05: certificates are described as Node.js describes them, once, and without their bytes in a log', async (t) => {
  const { pool } = await secured(t, greets);
  const tls = (await pool.request('GET', '/')).connection?.tls;
  const [told] = tls?.chain ?? [];
  const known = new X509Certificate(usual().leaf.der);
  t.deepEqual(told?.raw, usual().leaf.der);
  t.is(told?.sha256, known.fingerprint256);
  t.is(told?.validFrom.getTime(), Date.parse(known.validFrom));
  t.is(told?.validTo.getTime(), Date.parse(known.validTo));
  t.deepEqual(told?.subjectAltName.slice(0, 1), ['DNS:localhost']);
  t.is(tls?.chain, tls?.chain);
  const json = JSON.parse(JSON.stringify(tls)) as { chain: object[]; version: string };
  t.is(json.version, 'TLSv1.3');
  t.deepEqual(Object.keys(json.chain[0] ?? {}), [
    'subject',
    'issuer',
    'validFrom',
    'validTo',
    'subjectAltName',
    'sha256',
  ]);
});

test('TLS-05: what is no certificate is told as it came, and breaks nothing', (t) => {
  const junk = Buffer.from('junk').toString('base64');
  const facts = {
    version: 'TLSv1.3',
    cipher: 'x',
    resumed: false,
    verified: false,
    serverName: null,
    chain: [junk, ''],
  };
  const info = connectionInfo(JSON.stringify({ id: 1, protocol: 'h2', pool: {}, tls: facts }), true, 20);
  t.like(info, { id: 1, reused: true, protocol: 'h2', proxy: null });
  t.false('pool' in info);
  const [first, second] = info.tls?.chain ?? [];
  t.like(first, { subject: '', issuer: '', subjectAltName: [], sha256: '', raw: Buffer.from('junk') });
  t.true(Number.isNaN(first?.validTo.getTime()));
  t.is(second?.raw.length, 0);
  const record = { ...LOST, className: 'SSLError', code: 'ERR_TLS', reason: 'CERT_MALFORMED', chain: [junk] };
  const error = errorFromRecord(record, { pool: null, url: '/' }) as SSLError;
  t.true(error instanceof SSLError);
  t.is(error.chain.length, 1);
  t.like((error.toJSON()['chain'] as unknown[])[0], { subject: '', validFrom: null, validTo: null });
});

test('TLS-05: an error’s JSON has its chain in words, and survives a clone', async (t) => {
  const { pool } = await secured(t, greets, {}, { caCertData: usual().stranger.pem, retries: 0 });
  const outer = await rejection(pool.request('GET', '/?s3cret'), MaxRetryError);
  const error = outer.reason as SSLError;
  t.like(error, { code: 'ERR_TLS', reason: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE', assertedName: 'localhost' });
  t.false(Object.keys(error).includes('chain'));
  const json = JSON.parse(JSON.stringify(outer)) as ErrorJSON;
  t.deepEqual(structuredClone(outer.toJSON()) as unknown, json as unknown);
  const [leaf] = (json.cause?.['chain'] ?? []) as Record<string, string>[];
  t.is(leaf?.['validTo'], error.chain[0]?.validTo.toJSON());
  t.is(leaf?.['sha256'], error.chain[0]?.sha256);
  t.is(json.cause?.['assertedName'], 'localhost');
  t.notRegex(JSON.stringify(json), /raw|s3cret/);
  t.deepEqual(new SSLError('x').chain, []);
  t.is(new SSLError('x').assertedName, null);
});

test('WARN-05: debug lines tell https from http, and HTTP/2 where it was spoken', async (t) => {
  const child = start('debugged-https.ts', [], { env: { NODE_DEBUG: 'ferropool' } });
  const { code, lines, stderr } = await child.ended;
  t.is(code, 0, stderr);
  const [first, second] = JSON.parse(lines.at(-1) ?? '[]') as number[];
  const written = stderr.split('\n').flatMap((line) => /^FERROPOOL \d+: (.*)$/.exec(line)?.[1] ?? []);
  t.deepEqual(written, [
    `Starting new HTTPS connection (1): localhost:${first}`,
    `https://localhost:${first} "GET /path HTTP/1.1" 200 3`,
    `Closed HTTPS connection (1): localhost:${first}: closed`,
    `Starting new HTTPS connection (1): localhost:${second}`,
    `https://localhost:${second} "GET /path HTTP/2" 200 5`,
    `Closed HTTPS connection (1): localhost:${second}: closed`,
    `https://localhost:${second} "GET /path HTTP/1.1" failed: SSLError ERR_TLS`,
  ]);
});

test('channels tell the protocol that a connection speaks', async (t) => {
  const server = createSecureServer(usual().leaf.identity, (_, response) => void response.end('ok'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const notices = new Notices(t, ['connection:open', 'connection:close']);
  const { port } = server.address() as AddressInfo;
  const pool = securePool(t, port, { http2: true });
  t.is((await pool.request('GET', '/')).versionString, 'HTTP/2');
  await pool.close();
  const facts = { host: 'localhost', port, remoteAddress: '127.0.0.1', protocol: 'h2', proxy: null } as const;
  // Other tests have connections too.
  const ours = (name: 'connection:open' | 'connection:close'): unknown =>
    notices.of(name).find((notice) => notice.port === port);
  await until(() => ours('connection:close') !== undefined, 'the end of the connection');
  t.deepEqual(ours('connection:open'), { ...facts, reason: null });
  t.deepEqual(ours('connection:close'), { ...facts, reason: 'closed' });
});

test('TOP-01: the module-level request speaks https, and trusts what the environment says', async (t) => {
  const { server } = await secured(t, greets);
  const url = `https://localhost:${server.port}/`;
  const trusting = await start('top-level.ts', [url], { env: { NODE_EXTRA_CA_CERTS: fileOf(t, usual().ca.pem) } })
    .ended;
  t.is(trusting.code, 0, trusting.stderr);
  t.is((JSON.parse(trusting.lines.at(-1) ?? '{}') as { status: number }).status, 200);
  const error = await rejection(request('GET', url), MaxRetryError);
  t.like(error.reason, { code: 'ERR_TLS', reason: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
  t.is(String(error.pool), `HTTPSConnectionPool(host='localhost', port=${server.port})`);
  t.true(error.message.startsWith(`${String(error.pool)}: `));
});

test('ERR-03: a dial that fails is an HTTPSConnection’s in the message, of a pool and of a manager', async (t) => {
  const port = await closedPort(t);
  const pool = new HTTPSConnectionPool('localhost', { port, resolve: { localhost: '127.0.0.1' }, retries: 0 });
  for (const call of [pool.request('GET', '/'), request('GET', `https://127.0.0.1:${port}/`, { retries: 0 })]) {
    const { reason, pool: named } = await rejection(call, MaxRetryError);
    t.regex(reason?.message ?? '', /^HTTPSConnection\(host='(localhost|127\.0\.0\.1)', port=\d+\): /);
    t.regex(String(named), /^HTTPSConnectionPool\(/);
  }
  await pool.close();
});

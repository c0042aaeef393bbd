/** Managers over https: which settings reach which pools, redirects between http and https, and the warning of the unverified. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import test, { type ExecutionContext } from 'ava';

import {
  connectionFromUrl,
  HTTPConnectionPool,
  HTTPSConnectionPool,
  PoolManager,
  SSLError,
  type PoolManagerOptions,
} from '../index.ts';
import { httpServer } from './servers/http.ts';
import { httpsServer, type TlsServer } from './servers/tls.ts';
import { outcome } from './support/child.ts';
import { clocked, within } from './support/clocked.ts';
import { rejection } from './support/fixtures.ts';
import { folderOf, refused } from './support/secure.ts';
import { usual } from './support/pki.ts';

const { ca, leaf, stranger } = usual();
const SECRETS = {
  authorization: 'Bearer secret',
  cookie: 'sid=secret',
  'proxy-authorization': 'Basic x',
  'x-plain': '1',
};

interface Both {
  readonly manager: PoolManager;
  readonly http: string;
  readonly https: string;
  readonly secure: TlsServer;
  /** `scheme path`, and the secrets that came along. */
  readonly asked: string[];
}

/** A server of each scheme on one host, which lead where the path says: `/to/URL` in base64url, then `/end`. */
async function both(t: ExecutionContext, options: PoolManagerOptions = {}): Promise<Both> {
  const asked: string[] = [];
  const answer =
    (scheme: string): Parameters<typeof httpServer>[0] =>
    (request, response) => {
      const told = ['authorization', 'cookie', 'proxy-authorization'].filter((name) => name in request.headers);
      asked.push([scheme, request.headers['x-plain'] ?? '', ...told].join(' '));
      const [, to, ...rest] = (request.url ?? '').split('/');
      if (to === 'to' && rest[0] !== undefined) {
        const location =
          Buffer.from(rest[0], 'base64url').toString() +
          rest
            .slice(1)
            .map((part) => `/${part}`)
            .join('');
        response.writeHead(302, { location }).end();
      } else response.end(scheme);
    };
  const plain = await httpServer(answer('http'));
  t.teardown(() => plain.close());
  const secure = await httpsServer(answer('https'));
  t.teardown(() => secure.close());
  const manager = new PoolManager({ resolve: { localhost: '127.0.0.1' }, caCertData: ca.pem, ...options });
  t.teardown(() => manager.close({ timeout: 0 }));
  return {
    manager,
    http: `http://localhost:${plain.port}`,
    https: `https://localhost:${secure.port}`,
    secure,
    asked,
  };
}

function to(url: string): string {
  return `/to/${Buffer.from(url).toString('base64url')}`;
}

test('THR-603: https to http and back, on one host: another origin, so secrets stay behind, for the whole chain', async (t) => {
  const { manager, http, https, asked } = await both(t);
  const all = 'authorization cookie proxy-authorization';
  for (const [first, url, seen] of [
    ['https', `${https}${to(http)}`, [`https 1 ${all}`, 'http 1']],
    ['http', `${http}${to(https)}`, [`http 1 ${all}`, 'https 1']],
    ['https twice', `${https}${to(`${http}${to(https)}`)}`, [`https 1 ${all}`, 'http 1', 'https 1']],
    ['http twice', `${http}${to(`${https}${to(http)}`)}`, [`http 1 ${all}`, 'https 1', 'http 1']],
    ['https alone', `${https}${to(`${https}/end`)}`, [`https 1 ${all}`, `https 1 ${all}`]],
  ] as const) {
    asked.length = 0;
    const response = await manager.request('GET', url, { headers: SECRETS });
    t.is(response.status, 200, first);
    t.deepEqual(asked, [...seen], first);
    t.is(response.retries?.history.length, seen.length - 1);
  }
  t.is(manager.pools.size, 2);
});

test('MGR-07: settings of TLS are not passed to pools of http, whatever they say', async (t) => {
  const missing = path.join(folderOf(t, {}), 'missing.pem');
  for (const options of [
    { caCerts: missing },
    { caCertDir: missing },
    { caCertData: 'junk' },
    { certFile: missing, keyFile: missing },
    { assertFingerprint: 'aa' },
    { assertHostname: 'other.test' },
    { serverHostname: 'other.test' },
    { certReqs: 'none' },
    { sslMinimumVersion: 'TLSv1.3' },
    { ciphers: ['TLS13_AES_256_GCM_SHA384'] },
  ] as PoolManagerOptions[]) {
    const { manager, http } = await both(t, { caCertData: undefined, ...options });
    t.is((await manager.request('GET', `${http}/`)).text(), 'http', JSON.stringify(options));
    const pool = manager.connectionFromUrl(http);
    t.false(pool instanceof HTTPSConnectionPool);
  }
});

test('MGR-07: a manager checks names and types at once, and files when its first pool of https is made', async (t) => {
  const missing = path.join(folderOf(t, {}), 'missing.pem');
  const { manager, http, https } = await both(t, { caCertData: undefined, caCerts: missing });
  t.is((await manager.request('GET', `${http}/`)).text(), 'http');
  const error = await rejection(manager.request('GET', `${https}/`, { retries: false }), SSLError);
  t.like(error, { code: 'ERR_TLS', reason: 'ERR_TLS_CA' });
  t.regex(error.message, /missing\.pem/);
  for (const wrong of [
    { caCerts: 1 },
    { certReqs: 'some' },
    { assertHostname: 1 },
    { certReqs: 'none', assertHostname: 'x' },
  ]) {
    t.throws(() => new PoolManager(wrong as never), { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' });
  }
  t.throws(() => new PoolManager({ caCert: 'x' } as never), {
    instanceOf: TypeError,
    code: 'ERR_INVALID_OPTION',
    message: /caCerts/,
  });
});

clocked(
  'MGR-07: while a manager reads its files, other pools of its thread are served, and the shelf can be seen',
  async (t) => {
    // Thousands of certificates: hundreds of milliseconds, so that a busy machine serves some too.
    const folder = folderOf(t, { 'many.pem': `${ca.pem}\n`.repeat(80_000) });
    const { manager, http, https } = await both(t, { caCertData: undefined, caCerts: path.join(folder, 'many.pem') });
    const { port } = new URL(http);
    const other = new HTTPConnectionPool('localhost', { port: Number(port), maxsize: 1, block: true });
    t.teardown(() => other.close());
    await other.request('GET', '/');
    const over = new AbortController();
    const first = ['/', '/', '/'].map((at) => manager.request('GET', `${https}${at}`).finally(() => over.abort()));
    let served = 0;
    for (; !over.signal.aborted; served += 1) {
      await other.request('GET', '/');
      t.true(manager.pools.size <= 1);
    }
    t.deepEqual(await Promise.all(first.map(async (one) => (await one).text())), ['https', 'https', 'https']);
    within(t, served > 5, `${served} requests were served meanwhile`);
  },
);

test('MGR-07: all who wait for files that cannot be read hear why, and the next one has them read again', async (t) => {
  const file = path.join(folderOf(t, {}), 'late.pem');
  const { manager, https } = await both(t, { caCertData: undefined, caCerts: file });
  const ask = (): Promise<unknown> => manager.request('GET', `${https}/`, { retries: false });
  const errors = await Promise.all(Array.from({ length: 20 }, () => rejection(ask(), SSLError)));
  for (const { code, reason, message } of errors) {
    t.deepEqual([code, reason], ['ERR_TLS', 'ERR_TLS_CA']);
    t.regex(message, /late\.pem/);
  }
  writeFileSync(file, ca.pem);
  t.is((await manager.request('GET', `${https}/`)).text(), 'https');
});

test('MGR-08: assertHostname and assertFingerprint reach pools of https', async (t) => {
  const right = await both(t, { assertFingerprint: leaf.fingerprint('sha1') });
  t.is((await right.manager.request('GET', `${right.https}/`)).text(), 'https');
  for (const [options, reason] of [
    [{ assertFingerprint: stranger.fingerprint('sha1') }, 'ERR_FINGERPRINT'],
    [{ assertHostname: 'other.test' }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    [{ caCertData: stranger.pem }, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ] as const) {
    const { manager, https, secure } = await both(t, options);
    await refused(t, manager.request('GET', `${https}/`, { retries: false }), reason);
    t.is(secure.received, 0);
    // A setting of one pool's own beats the manager's, and `null` takes it away.
    const name = Object.keys(options)[0] as string;
    const own = name === 'caCertData' ? { [name]: ca.pem } : { [name]: null };
    t.is((await manager.connectionFromUrl(https, own as never).request('GET', '/')).text(), 'https');
  }
});

test('connectionFromUrl gives a pool of https for https, with its port and its options', async (t) => {
  const { https, http } = await both(t);
  const pool = connectionFromUrl(`${https}/path`, { caCertData: ca.pem, resolve: { localhost: '127.0.0.1' } });
  t.teardown(() => pool.close());
  t.true(pool instanceof HTTPSConnectionPool);
  t.like(pool, { scheme: 'https', host: 'localhost' });
  t.is((await pool.request('GET', '/')).text(), 'https');
  t.is((await pool.request('GET', `${https}/again`)).text(), 'https');
  await t.throwsAsync(pool.request('GET', `${http}/`), { code: 'ERR_HOST_CHANGED' });
  const fallen = connectionFromUrl('https://localhost');
  t.is(fallen.port, 443);
  t.is(new HTTPSConnectionPool('localhost').port, null);
  t.false(connectionFromUrl('http://localhost') instanceof HTTPSConnectionPool);
  t.true(connectionFromUrl('https://localhost') instanceof HTTPConnectionPool);
  t.true(pool.isSameHost(`${https}/x`));
  t.false(pool.isSameHost(`${http}/x`));
});

test('TLS options are no options of a pool of http; contradictions are TypeErrors', (t) => {
  t.throws(() => new HTTPConnectionPool('localhost', { caCerts: 'x' } as never), {
    instanceOf: TypeError,
    code: 'ERR_INVALID_OPTION',
  });
  for (const options of [
    { certReqs: 'none', assertHostname: 'x.test' },
    { http2: 'prior-knowledge' },
    { sslMinimumVersion: 'TLSv1.3', sslMaximumVersion: 'TLSv1.2' },
    { caCerts: [] },
    { caCertData: '' },
    { caCertData: Buffer.alloc(0) },
    { caCertData: 7 },
    { caCertDir: 7 },
    { serverHostname: 7 },
    { assertFingerprint: 7 },
    { assertHostname: true },
  ]) {
    t.throws(() => new HTTPSConnectionPool('localhost', options as never), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_OPTION',
    });
  }
});

interface Insecure {
  readonly seen: readonly { name: string; code?: string; message: string }[];
}

test('WARN-01 TLS-03 THR-809: an unverified connection warns once a pool, by name, with the host and what to do', async (t) => {
  const server = await httpsServer((_, response) => response.end('ok'), stranger.issue({ name: 'x' }).identity);
  t.teardown(() => server.close());
  const { seen } = await outcome<Insecure>('insecure.ts', [server.port, 'none'], { node: ['--no-warnings'] });
  t.is(seen.length, 2, JSON.stringify(seen));
  for (const one of seen) {
    t.is(one.name, 'InsecureRequestWarning');
    t.regex(one.code ?? '', /^FERROPOOL_/);
    t.regex(
      one.message,
      /Unverified HTTPS request is being made to host 'localhost'\. Adding certificate verification/,
    );
  }
});

test('WARN-02 WARN-01: nothing is warned about that is verified, nor where the warning was silenced', async (t) => {
  const server = await httpsServer((_, response) => response.end('ok'));
  t.teardown(() => server.close());
  for (const way of ['verified', 'fingerprint', 'silenced', 'unused']) {
    const { seen } = await outcome<Insecure>('insecure.ts', [server.port, way, ca.pem, leaf.fingerprint('sha256')], {
      node: ['--no-warnings'],
    });
    t.deepEqual(seen, [], way);
  }
});

test('MGR-07 THR-908: a signal ends a call while files are read; the next is served all the same', async (t) => {
  const folder = folderOf(t, { 'many.pem': `${ca.pem}\n`.repeat(20_000) });
  const { manager, https } = await both(t, { caCertData: undefined, caCerts: path.join(folder, 'many.pem') });
  const gone = new AbortController();
  const left = manager.request('GET', `${https}/`, { signal: gone.signal });
  setImmediate(() => gone.abort());
  t.is(await left.catch((reason: unknown) => reason), gone.signal.reason);
  t.is((await manager.request('GET', `${https}/`)).text(), 'https');
});

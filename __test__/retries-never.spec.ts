/** What is never tried again, whatever the `Retry`; what is refused; and what no message of it may say. */
import test from 'ava';

import {
  ClosedPoolError,
  DecodeError,
  EmptyPoolError,
  HostChangedError,
  HTTPConnectionPool,
  HTTPError,
  LocationParseError,
  LocationValueError,
  MaxRetryError,
  PoolManager,
  ProtocolError,
  ReadTimeoutError,
  ResponseTooLarge,
  Retry,
  type RequestOptions,
} from '../index.ts';
import { answers, reply } from './servers/raw.ts';
import { rejection, retrying, target } from './support/fixtures.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const listed = (): Retry => new Retry({ total: 2, statusForcelist: [500] });

test('RETRY-03: what is no retries is refused, and nothing is sent', async (t) => {
  const { pool, server } = await retrying(t, answers(reply('')));
  for (const bad of ['3', {}, [], () => 3, 3n, Symbol('3')]) {
    await t.throwsAsync(pool.request('GET', '/', { retries: bad as never }), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_OPTION',
    });
    t.throws(() => new HTTPConnectionPool('h', { retries: bad as never }), { code: 'ERR_INVALID_OPTION' });
  }
  for (const bad of [Number.NaN, Infinity, 1.5]) {
    await t.throwsAsync(pool.request('GET', '/', { retries: bad }), {
      instanceOf: RangeError,
      code: 'ERR_INVALID_OPTION',
    });
  }
  t.is(server.peers.length, 0);
});

test('RETRY-18: a body that is read in pieces is never begun again, though its head may be waited for again', async (t) => {
  const seen: string[] = [];
  const { pool } = await retrying(t, async (peer) => {
    seen.push(target(await peer.request()));
    peer.end(seen.length === 1 ? '' : `${OK}Content-Length: 10\r\n\r\nhalf`);
  });
  const response = await pool.request('GET', '/', { preloadContent: false, retries: 5 });
  t.deepEqual([response.attempts, response.retries?.history.length], [2, 1]);
  const error = await rejection(response.read(), ProtocolError);
  t.like(error, { code: 'ERR_INCOMPLETE_READ', phase: 'body', attempts: 2 });
  t.is(seen.length, 2);
  const silent = await retrying(t, async (peer) => {
    seen.push(target(await peer.request()));
    await peer.write(`${OK}Content-Length: 10\r\n\r\nhalf`);
    await peer.gone();
  });
  const late = await silent.pool.request('GET', '/', { preloadContent: false, retries: 5, timeout: { read: 600 } });
  t.is((await rejection(late.read(), ReadTimeoutError)).phase, 'body');
  t.is(seen.length, 3);
});

const ONCE: RequestOptions = { retries: new Retry({ total: 5, allowedMethods: null, statusForcelist: [500] }) };

test('RETRY-20: what would be the same again is not tried again', async (t) => {
  const seen: string[] = [];
  const { pool, server, host } = await retrying(
    t,
    async (peer) => {
      for (;;) {
        const path = target(await peer.request());
        seen.push(path);
        if (path === '/decode') await peer.write(reply('no gzip', `${OK}Content-Encoding: gzip\r\n`));
        else if (path === '/large') await peer.write(reply('x'.repeat(100)));
        else if (path === '/foreign') await peer.write(reply('', 'HTTP/1.1 302 X\r\nLocation: http://other.test/\r\n'));
        else return peer.gone();
      }
    },
    { block: true },
  );
  const never = async <E extends Error>(path: string, type: new (...args: never[]) => E, options = {}): Promise<E> => {
    const before = seen.length;
    const error = await rejection(pool.request('POST', path, { ...ONCE, ...options }), type);
    t.true(seen.length - before <= 1, `${path} was tried again`);
    t.false('history' in error);
    return error;
  };
  t.like(await never('/decode', DecodeError), { host, attempts: 1, sent: true });
  t.like(await never('/large', ResponseTooLarge, { limits: { decoded: 10 } }), { host, attempts: 1 });
  t.like(await never('/foreign', HostChangedError), { host, attempts: 1 });
  await never('/', HTTPError, { headers: { Upgrade: 'x' } });
  await never('http://[::1', LocationParseError);
  t.like(await never('/silent', ReadTimeoutError, { timeout: { total: 700 } }), { code: 'ERR_TOTAL_TIMEOUT' });
  t.is(server.peers.length, seen.includes('/silent') ? server.peers.length : 0);

  const aborter = new AbortController();
  const aborted = pool.request('POST', '/silent', { ...ONCE, signal: aborter.signal });
  const full = await never('/waits', EmptyPoolError, { poolTimeout: 60 });
  t.like(full, { phase: 'pool', attempts: 0, sent: false });
  aborter.abort(new Error('enough'));
  await t.throwsAsync(aborted, { message: 'enough' });
  await pool.close({ timeout: 0 });
  await never('/', ClosedPoolError);
});

test('RETRY-09 ERR-09: neither user info nor a query is in any message of what was tried', async (t) => {
  const { pool, server } = await retrying(t, async (peer) => {
    for (;;) {
      const path = target(await peer.request());
      if (path.startsWith('/loop')) return peer.end();
      const leads = path.startsWith('/lead');
      const head = leads ? '302 X\r\nLocation: /loop?token=s3cret' : '500 X';
      await peer.write(reply('', `HTTP/1.1 ${head}\r\n`));
    }
  });
  const manager = new PoolManager({ retries: listed() });
  t.teardown(() => manager.close({ timeout: 0 }));
  const origin = `http://us3r:s3cret@127.0.0.1:${server.port}`;
  const messages: string[] = [];
  for (const call of [
    pool.request('GET', '/bad?token=s3cret', { retries: listed() }),
    pool.request('GET', '/loop?token=s3cret', { retries: 1 }),
    pool.request('GET', '/bad', { fields: { token: 's3cret' }, retries: listed() }),
    manager.request('GET', `${origin}/bad?token=s3cret`),
    manager.request('GET', `${origin}/lead?token=s3cret`),
    manager.request('GET', `${origin}/lead?token=s3cret`, { retries: 0 }),
  ]) {
    const error = await rejection(call, MaxRetryError);
    for (let told: unknown = error; told instanceof Error; told = told.cause) messages.push(told.message);
    for (const past of error.history ?? []) {
      if (past.error !== null) messages.push(past.error.message);
      t.false(past.url.includes('us3r') || past.url.includes('s3cret@'), past.url);
    }
    const json = JSON.stringify(error);
    t.false(json.includes('s3cret'), json);
  }
  t.true(messages.length >= 12);
  for (const message of messages) t.false(/s3cret|us3r/.test(message), message);
});

test.serial(
  'WARN-06 WART-19: what urllib3 warns of on its way to 3.0 has no warning here, and 3.0’s meaning',
  async (t) => {
    const warned: Error[] = [];
    const hear = (warning: Error): void => void warned.push(warning);
    process.on('warning', hear);
    t.teardown(() => void process.off('warning', hear));
    // An empty list of methods is no method.
    t.false(new Retry({ allowedMethods: [], statusForcelist: [500] }).isRetry('GET', 500));
    // A URL without a scheme leads nowhere.
    const manager = new PoolManager();
    t.teardown(() => manager.close());
    await rejection(manager.request('GET', '127.0.0.1:1/path'), LocationValueError);
    for (const name of ['strict', 'sslVersion']) {
      t.throws(() => new PoolManager({ [name]: true }), { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' });
    }
    await new Promise((resolve) => setImmediate(resolve));
    t.deepEqual(warned, []);
  },
);

/** What `JSON.stringify` makes of settings, errors and figures: plain data that says enough, and nothing that is secret. */
import test from 'ava';

import {
  ClosedPoolError,
  HTTPConnectionPool,
  HTTPError,
  HTTPHeaderDict,
  MaxRetryError,
  NewConnectionError,
  parseUrl,
  PoolManager,
  ProtocolError,
  Retry,
  SKIP_HEADER,
  Timeout,
  type ErrorJSON,
} from '../index.ts';
import { answers, reply } from './servers/raw.ts';
import { rejection, scripted } from './support/fixtures.ts';

function throughJSON<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

test('JSON: a Timeout is made again of its own', (t) => {
  for (const timeout of [
    new Timeout(),
    new Timeout({ total: 60_000 }),
    new Timeout({ connect: 100, read: Infinity, total: null }),
    Timeout.from(5_000),
  ]) {
    t.deepEqual(new Timeout(throughJSON(timeout)), timeout);
  }
});

test('JSON: header dictionaries are made again of their own, a URL shows its parts', (t) => {
  const headers = new HTTPHeaderDict([
    ['A', '1'],
    ['b', '2'],
    ['a', '3'],
    ['Host', SKIP_HEADER],
  ]);
  t.true(new HTTPHeaderDict(throughJSON(headers)).equals(headers));
  t.like(throughJSON(parseUrl('http://h:1/p?q')), { scheme: 'http', host: 'h', port: 1, path: '/p', query: 'q' });
});

test('JSON: a pool says where it leads and what it keeps to, and no value of a header', async (t) => {
  const { pool, server } = await scripted(t, answers(reply('x')), {
    maxsize: 3,
    block: true,
    timeout: { connect: 1_000, total: 9_000 },
    headers: { Authorization: 's3cret', 'X-A': 's3cret' },
  });
  await pool.request('GET', '/');
  t.deepEqual(throughJSON(pool) as unknown, {
    type: 'HTTPConnectionPool',
    scheme: 'http',
    host: '127.0.0.1',
    port: server.port,
    maxsize: 3,
    block: true,
    timeout: { connect: 1_000, read: null, total: 9_000 },
    retries: pool.retries.toJSON(),
    headers: ['Authorization', 'X-A'],
  });
  t.notRegex(JSON.stringify({ pools: [pool] }), /s3cret/);
  const { host, port, maxsize, block, timeout, retries } = pool.toJSON();
  const again = new HTTPConnectionPool(host, { retries: new Retry(retries), port, maxsize, block, timeout });
  t.deepEqual({ ...again.toJSON(), headers: pool.toJSON().headers }, pool.toJSON());
  t.is(new HTTPConnectionPool('[::1]').toJSON().host, '::1');
  t.is(new HTTPConnectionPool('h').toJSON().port, null);
});

test('JSON: a manager says what it keeps to, and no value of a header', (t) => {
  const usual = throughJSON(new PoolManager()) as unknown;
  t.like(usual, { type: 'PoolManager', numPools: 1_000, maxTotalConnections: 512, maxsize: 64, block: true });
  const retries = new Retry({ total: 4, statusForcelist: [503] });
  const manager = new PoolManager({
    headers: { Cookie: 's3cret' },
    maxTotalConnections: null,
    timeout: 9_000,
    retries,
  });
  const json = manager.toJSON();
  t.deepEqual(json, {
    type: 'PoolManager',
    numPools: 1_000,
    maxTotalConnections: 0,
    maxsize: 64,
    block: true,
    timeout: { total: null, connect: 9_000, read: 9_000 },
    retries: retries.toJSON(),
    headers: ['Cookie'],
  });
  t.notRegex(JSON.stringify({ manager }), /s3cret/);
  const { type, headers, proxyHeaders: _, ...settings } = json;
  const again = new PoolManager({ ...settings, timeout: new Timeout(json.timeout), retries: new Retry(json.retries) });
  t.deepEqual({ ...again.toJSON(), headers }, json, type);
});

test('JSON RETRY-09 RETRY-12: an error tells its history without secrets, and the status that was one too many', async (t) => {
  const { pool, host } = await scripted(t, async (peer) => {
    for (;;) {
      const asked = await peer.request();
      const moved = 'HTTP/1.1 302 X\r\nLocation: /b?s3cret#s3cret\r\nContent-Length: 0\r\n\r\n';
      await peer.write(asked.startsWith('GET /a') ? moved : reply('', 'HTTP/1.1 500 X\r\n'));
    }
  });
  const once = new Retry({ total: 2, statusForcelist: [500] });
  const error = await rejection(pool.request('GET', '/a?s3cret', { retries: once }), MaxRetryError);
  const json = throughJSON(error) as unknown as ErrorJSON;
  t.notRegex(JSON.stringify(json), /s3cret/);
  t.deepEqual(json['history'], [
    { method: 'GET', url: `http://${host}/a`, error: null, status: 302, redirectLocation: '/b' },
    { method: 'GET', url: `http://${host}/b`, error: null, status: 500, redirectLocation: null },
  ]);
  t.like(json.cause, { name: 'ResponseError', message: 'too many 500 error responses', status: 500 });
  const far = await rejection(pool.request('GET', '/a', { retries: 0 }), MaxRetryError);
  t.like(far.reason, { name: 'ResponseError', message: 'too many redirects', status: 302 });
  t.false('history' in throughJSON(far));
});

test('JSON: stats are plain data', async (t) => {
  const { pool } = await scripted(t, answers(reply('x')));
  await pool.request('GET', '/');
  await t.throwsAsync(pool.request('GET', '/', { headers: { a: '\n' } }));
  const stats = pool.stats();
  t.deepEqual(throughJSON(stats), stats);
  t.deepEqual(structuredClone(stats), stats);
  t.is(stats.latency?.total.count, 1);
  t.deepEqual(throughJSON(pool.pool), pool.pool);
});

test('JSON: an error of a call says what, where, how far and why, without its pool and without secrets', async (t) => {
  const { pool, host } = await scripted(t, async (peer) => {
    await peer.request();
    await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ns3cret');
    peer.end();
  });
  const url = `http://u:s3cret@${host}/a?s3cret#s3cret`;
  const error = await rejection(pool.request('GET', url, { headers: { Cookie: 's3cret' } }), ProtocolError);
  const json = throughJSON(error) as unknown as ErrorJSON;
  t.like(json, {
    name: 'ProtocolError',
    code: 'ERR_INCOMPLETE_READ',
    phase: 'body',
    during: null,
    host,
    attempts: 1,
    sent: true,
    expected: 94,
    partialLength: 6,
  });
  t.true((json['elapsed'] as number) >= 0);
  t.like(json.cause, { name: 'IncompleteRead', code: 'ERR_INCOMPLETE_READ', cause: null });
  t.notRegex(JSON.stringify(error), /s3cret/);

  const nowhere = new HTTPConnectionPool('127.0.0.1', { retries: false, unixSocket: '/nowhere/ferropool.sock' });
  const refused = throughJSON(await rejection(nowhere.request('GET', '/?s3cret'), NewConnectionError));
  t.like(refused, { name: 'NewConnectionError', code: 'ENOENT', phase: 'connect', attempts: 0, sent: false });
  t.like((refused as unknown as ErrorJSON).cause, { code: 'ENOENT' });
  t.notRegex(JSON.stringify(refused), /s3cret/);
});

test('JSON: the reason of a MaxRetryError is the cause in its JSON; a ring of causes has an end', (t) => {
  const pool = { toString: () => 'P', secret: 's3cret', self: null as unknown };
  pool.self = pool;
  const reason = new HTTPError('why', { code: 'ERR_PROTOCOL' });
  const error = new MaxRetryError(pool, '/a?s3cret', reason);
  t.like(throughJSON(error), { name: 'MaxRetryError', code: 'ERR_MAX_RETRY', url: '/a' });
  t.like((throughJSON(error) as unknown as ErrorJSON).cause, {
    name: 'HTTPError',
    code: 'ERR_PROTOCOL',
    message: 'why',
  });
  t.notRegex(JSON.stringify(error), /s3cret/);
  const closed = new ClosedPoolError(pool, 'Pool is closed.');
  t.false('pool' in throughJSON(closed));
  const ring = new HTTPError('ring');
  Object.defineProperty(ring, 'cause', { value: ring });
  t.notThrows(() => JSON.stringify(ring));
});

/** The module-level `request`: a manager that all callers share. */
import test from 'ava';

import { PoolManager, request, Retry, type SimpleOptions } from '../index.ts';
import { httpServer } from './servers/http.ts';
import { proxyServer } from './servers/proxy.ts';
import { rawServer } from './servers/raw.ts';
import { alone } from './support/alone.ts';
import { clocked, within } from './support/clocked.ts';
import { Street } from './support/street.ts';

async function echo(t: { teardown(run: () => Promise<void>): void }): Promise<string> {
  const server = await httpServer((message, response) => {
    if (message.url === '/redirect') {
      response.writeHead(302, { location: '/landed' }).end();
      return;
    }
    const pieces: Buffer[] = [];
    message.on('data', (piece: Buffer) => pieces.push(piece));
    message.on('end', () => {
      const body = Buffer.concat(pieces).toString();
      response.end(JSON.stringify({ method: message.method, url: message.url, headers: message.headers, body }));
    });
  });
  t.teardown(() => server.close());
  return `http://127.0.0.1:${server.port}`;
}

interface Echo {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string;
}

test('TOP-01: a request without a manager, and all that may go with it', async (t) => {
  const base = await echo(t);
  const said = async (method: string, path: string, options?: SimpleOptions): Promise<Echo> =>
    (await request(method, base + path, options)).json<Echo>();
  t.like(await said('GET', '/'), { method: 'GET', url: '/', body: '' });
  t.like(await said('get', '/', { fields: { a: '1' } }), { method: 'GET', url: '/?a=1' });
  t.like(await said('POST', '/', { body: 'text' }), { method: 'POST', body: 'text' });
  const form = await said('POST', '/', { fields: { a: '1' } });
  t.regex(form.headers['content-type'] ?? '', /^multipart\/form-data; boundary=/);
  const json = await said('POST', '/', { json: { a: 1 }, headers: { 'x-mine': '1' } });
  t.is(json.body, '{"a":1}');
  t.like(json.headers, { 'content-type': 'application/json', 'x-mine': '1' });
  t.is((await request('GET', `${base}/`, { timeout: { read: 5_000 }, retries: new Retry({ total: 1 }) })).status, 200);
  t.is((await request('GET', `${base}/`, { timeout: null })).status, 200);
  const leave = new AbortController();
  leave.abort(new Error('enough'));
  await t.throwsAsync(request('GET', `${base}/`, { signal: leave.signal }), { message: 'enough' });
});

test('TOP-01: preloadContent, decodeContent, redirect and retries', async (t) => {
  const base = await echo(t);
  const streamed = await request('GET', `${base}/`, { preloadContent: false });
  t.is(JSON.parse((await streamed.read()).toString()).url, '/');
  t.is((await request('GET', `${base}/redirect`)).url, `${base}/landed`);
  t.is((await request('GET', `${base}/redirect`, { redirect: false })).status, 302);
  t.is((await request('GET', `${base}/redirect`, { retries: false })).status, 302);
  t.like(await t.throwsAsync(request('GET', `${base}/redirect`, { retries: 0 })), { name: 'MaxRetryError' });
  const { gzipSync } = await import('node:zlib');
  const coded = await httpServer((_, response) => {
    response.setHeader('content-encoding', 'gzip').end(gzipSync('plain'));
  });
  t.teardown(() => coded.close());
  const url = `http://127.0.0.1:${coded.port}/`;
  t.is((await request('GET', url)).text(), 'plain');
  t.deepEqual((await request('GET', url, { decodeContent: false })).data.subarray(0, 2), Buffer.from([0x1f, 0x8b]));
});

test('TOP-01: a request may name its proxy', async (t) => {
  const base = await echo(t);
  const proxy = await proxyServer();
  t.teardown(() => proxy.close());
  const through = await request('GET', `${base}/`, { proxy: proxy.url });
  t.is(through.connection?.proxy, proxy.url);
  t.is((await request('GET', `${base}/`, { proxy: false })).connection?.proxy, null);
  t.is(proxy.asked.length, 1);
});

test('TOP-01: a body and JSON together, and a body that is none, are refused', async (t) => {
  const base = await echo(t);
  // @ts-expect-error -- the two exclude one another
  await t.throwsAsync(request('POST', base, { body: 'a', json: {} }), { instanceOf: TypeError });
  await t.throwsAsync(request('POST', base, { body: 7 as never }), { instanceOf: TypeError });
});

test('TOP-01: options beyond the list, and arguments after the URL, are refused', async (t) => {
  const base = await echo(t);
  const wrong = { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' };
  for (const name of [
    'poolTimeout',
    'assertSameHost',
    'chunked',
    'releaseConn',
    'limits',
    'onProgress',
    'accept',
    'pool',
  ]) {
    await t.throwsAsync(request('GET', base, { [name]: undefined }), {
      ...wrong,
      message: new RegExp(`'${name}'`),
    });
  }
  for (const options of [null, 'body', 3, Buffer.from('x')]) {
    await t.throwsAsync(request('GET', base, options as never), wrong);
  }
  await t.throwsAsync(request('GET', '/no/host'), { name: 'LocationValueError' });
  await t.throwsAsync(request(7 as never, base), { instanceOf: TypeError });
});

test('TOP-01: all callers share one manager, which is nobody else’s', async (t) => {
  const street = await Street.open(t, 1, 'at once');
  for (let n = 0; n < 5; n += 1) t.is((await request('GET', street.url(0))).status, 200);
  t.deepEqual(street.accepted, [1]);
  const manager = new PoolManager();
  t.is((await manager.request('GET', street.url(0))).connection?.reused, false);
  await manager.close();
  t.is((await request('GET', street.url(0))).connection?.reused, true);
});

clocked('TOP-01: after three seconds of silence it gives up, unless told otherwise', async (t) => {
  const silent = await rawServer(async (peer) => void (await peer.request()));
  t.teardown(() => silent.close());
  const url = `http://127.0.0.1:${silent.port}/`;
  const began = performance.now();
  const usual = t.throwsAsync(request('GET', url, { retries: false }));
  let patient = true;
  const leave = new AbortController();
  const none = request('GET', url, { retries: false, timeout: null, signal: leave.signal }).catch(
    () => (patient = false),
  );
  const short = await t.throwsAsync(request('GET', url, { retries: false, timeout: 100 }));
  t.like(short, { name: 'ReadTimeoutError', code: 'ERR_READ_TIMEOUT' });
  within(t, performance.now() - began < 2_000);
  t.like(await usual, { name: 'ReadTimeoutError', code: 'ERR_READ_TIMEOUT', phase: 'headers' });
  const took = performance.now() - began;
  within(t, took >= 2_950 && took < 6_000, `${took} ms`);
  t.true(patient);
  leave.abort();
  await none;
  t.is((await silent.peer(1)).received.toString().includes('GET / HTTP/1.1'), true);
});

test('TOP-01: its manager is made by the first call, and holds no process', async (t) => {
  const base = await echo(t);
  t.deepEqual(await alone('top-level.ts', [base]), { threads: [0, 1], status: 200 });
});

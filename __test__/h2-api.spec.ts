/**
 * The general API over Node's own servers: by prior knowledge, by ALPN, and with HTTP/1.1 as the fallback. Nothing but the
 * version may differ.
 */
import { Readable } from 'node:stream';
import { CookieJar } from 'tough-cookie';
import test, { type ExecutionContext } from 'ava';

import {
  HTTPConnectionPool,
  HTTPSConnectionPool,
  PoolManager,
  Retry,
  type PoolOptions,
  type Progress,
  type RequestOptions,
} from '../index.ts';
import { nodeServer, origin, VERSE, type NodeServer, type Speaks } from './servers/h2-node.ts';
import { failure } from './support/h2.ts';
import { usual } from './support/pki.ts';

interface Echoed {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
}

interface Bench {
  readonly pool: HTTPConnectionPool;
  readonly server: NodeServer;
  readonly version: 11 | 20;
  /** Of a manager for the same server. */
  readonly base: string;
  readonly settings: object;
}

const WAIT = { total: 60_000 };
const FLAVOURS: Record<string, { speaks: Speaks; http2: true | 'prior-knowledge'; version: 11 | 20 }> = {
  'HTTP/2 by prior knowledge': { speaks: 'h2c', http2: 'prior-knowledge', version: 20 },
  'HTTP/2 by ALPN': { speaks: 'h2', http2: true, version: 20 },
  'HTTP/1.1, where nothing else is spoken': { speaks: 'https', http2: true, version: 11 },
};

async function bench(t: ExecutionContext, flavour: string, options: PoolOptions = {}): Promise<Bench> {
  const { speaks, http2, version } = FLAVOURS[flavour] as (typeof FLAVOURS)[string];
  const { leaf, ca } = usual();
  const server = await nodeServer(speaks, origin(), leaf.identity);
  const trust = speaks === 'h2c' ? {} : { caCertData: ca.pem };
  const settings = { http2, timeout: WAIT, ...trust, resolve: { localhost: '127.0.0.1' } };
  const own = { port: server.port, retries: false, ...settings, ...options } as const;
  const pool = speaks === 'h2c' ? new HTTPConnectionPool('localhost', own) : new HTTPSConnectionPool('localhost', own);
  t.teardown(async () => {
    await pool.close({ timeout: 0 });
    const { opened, closed, idle, leased } = pool.stats();
    await server.close();
    if (opened !== closed || idle !== 0 || leased !== 0) throw new Error('the books do not balance');
  });
  const base = `${speaks === 'h2c' ? 'http' : 'https'}://localhost:${server.port}`;
  return { pool, server, version, base, settings };
}

type Case = (t: ExecutionContext, bench: Bench) => Promise<void>;

const echo = async (pool: HTTPConnectionPool, method: string, options: RequestOptions): Promise<Echoed> =>
  (await pool.request(method, '/echo', options)).json<Echoed>();

const CASES: Record<string, Case> = {
  'RESP-01 RESP-16: version, protocol, url, headers, data, text and JSON': async (
    t,
    { pool, version, base, server },
  ) => {
    const response = await pool.request('GET', '/echo?a=1', { fields: { b: 'ü' }, headers: { 'X-Own': 'yes' } });
    t.like(response, { status: 200, version, reason: version === 20 ? null : 'OK', attempts: 1 });
    t.is(response.versionString, version === 20 ? 'HTTP/2' : 'HTTP/1.1');
    t.is(response.url, `${base}/echo?a=1&b=%C3%BC`);
    t.is(response.headers['Content-Type'], 'application/json');
    const seen = response.json<Echoed>();
    t.like(seen, { method: 'GET', path: '/echo?a=1&b=%C3%BC', body: '' });
    t.is(seen.headers['x-own'], 'yes');
    t.is(seen.headers[':authority'] ?? seen.headers['host'], `localhost:${server.port}`);
    const { connection } = response;
    t.is(connection?.protocol, version === 20 ? 'h2' : 'http/1.1');
    t.is(connection?.remotePort, server.port);
    t.is(connection?.reused, false);
    if (base.startsWith('https')) t.like(connection?.tls, { verified: true, serverName: 'localhost', resumed: false });
    else t.is(connection?.tls, null);
    const again = await pool.request('GET', '/status/200');
    t.is(again.connection?.reused, true);
    t.is(again.connection?.id, connection?.id);
    t.is(server.connections, 1);
  },
  'RESP-01 RESP-10: statuses, and answers without a body': async (t, { pool }) => {
    for (const status of [200, 201, 202, 204, 304, 400, 404, 418, 500, 503, 599]) {
      const response = await pool.request('GET', `/status/${status}`);
      t.is(response.status, status);
      t.is(response.text(), status === 204 || status === 304 ? '' : String(status));
      if (status >= 400) t.throws(() => response.raiseForStatus(), { name: 'ResponseError' });
    }
    t.is((await pool.request('HEAD', '/bytes/1000')).headers['content-length'], '1000');
  },
  'BODY-07 BODY-08: bodies of every kind': async (t, { pool, version }) => {
    const bodies: [RequestOptions, string][] = [
      [{ body: 'text' }, 'text'],
      [{ body: Buffer.from('bytes') }, 'bytes'],
      [{ body: new Blob(['blob']) }, 'blob'],
      [{ body: ['pie', 'ces'] }, 'pieces'],
      [{ body: Readable.from(['rea', 'dable']) }, 'readable'],
      [{ body: new Blob(['web']).stream() as ReadableStream }, 'web'],
      [{ body: () => 'made' }, 'made'],
      [{ json: { a: 1 } }, '{"a":1}'],
      [{ fields: { a: '1' }, encodeMultipart: false }, 'a=1'],
      [{ body: new URLSearchParams('q=1') }, 'q=1'],
      [{ body: 'chunked', chunked: true }, 'chunked'],
    ];
    for (const [options, wanted] of bodies) {
      const { body, headers } = await echo(pool, 'POST', options);
      t.is(body, wanted);
      if (version === 20) t.is(headers['transfer-encoding'], undefined);
    }
    const form = await echo(pool, 'POST', { fields: { file: ['a.txt', 'content'] }, multipartBoundary: 'edge' });
    t.regex(form.body, /filename="a\.txt"\r\nContent-Type: text\/plain\r\n\r\ncontent\r\n--edge--/);
    t.is((await echo(pool, 'PUT', {})).headers['content-length'], '0');
  },
  'BODY-08 READ-12: megabytes up and down, at the same time': async (t, { pool }) => {
    const size = 8 << 20;
    const up = Buffer.alloc(4 << 20, 'upload');
    const [down, echoed, pieces] = await Promise.all([
      pool.request('GET', `/bytes/${size}`),
      echo(pool, 'POST', { body: up }),
      pool.request('GET', `/pieces/${size}`),
    ]);
    t.true(down.data.equals(Buffer.alloc(size, 'bytes')));
    t.true(pieces.data.equals(Buffer.alloc(size, 'bytes')));
    t.is(echoed.body, up.toString('latin1'));
    t.is(down.bytesRead, size);
  },
  'READ-01 READ-02 READ-03 READ-07 READ-09 READ-10: bodies in pieces, in every way': async (t, { pool }) => {
    const size = 300_000;
    const whole = Buffer.alloc(size, 'bytes');
    const get = (path = `/bytes/${size}`): ReturnType<typeof pool.request> =>
      pool.request('GET', path, { preloadContent: false });
    let response = await get();
    t.is(response.lengthRemaining, size);
    t.true((await response.read(100_000)).equals(whole.subarray(0, 100_000)));
    t.true((await response.read1(10)).length > 0);
    t.is(await response.readInto(Buffer.alloc(5_000)), 5_000);
    await response.read();
    t.true(response.closed);
    const sizes: number[] = [];
    for await (const piece of (await get(`/pieces/${size}`)).stream(70_000)) sizes.push(piece.length);
    t.deepEqual(sizes, [70_000, 70_000, 70_000, 70_000, 20_000]);
    const lines: string[] = [];
    for await (const line of (await get('/lines')).lines()) lines.push(line.toString());
    t.deepEqual(lines, ['one\n', 'two\n', 'three']);
    t.is((await (await get()).toResponse().arrayBuffer()).byteLength, size);
    let length = 0;
    for await (const piece of (await get()).toReadable()) length += (piece as Buffer).length;
    for await (const piece of (await get()).toWeb()) length += piece.length;
    t.is(length, 2 * size);
    response = await get();
    await response.drainConn();
    t.deepEqual([pool.stats().leased, pool.numConnections], [0, 1]);
  },
  'DEC-01: codings': async (t, { pool }) => {
    for (const coding of ['gzip', 'deflate', 'br', 'gzip, br']) {
      const path = `/coded/${encodeURIComponent(coding)}`;
      const response = await pool.request('GET', path, { headers: { 'accept-encoding': coding } });
      t.is(response.text(), VERSE, coding);
      t.true((await pool.request('GET', path, { decodeContent: false })).data.length < 1_000);
      const streamed = await pool.request('GET', path, { preloadContent: false });
      t.is((await streamed.read()).toString(), VERSE);
    }
    const error = await failure(pool.request('GET', '/coded/gzip', { limits: { decoded: 1_000 } }));
    t.like(error, { name: 'ResponseTooLarge', limit: 'decoded', allowed: 1_000 });
  },
  'REDIR-01 REDIR-02: redirects': async (t, { pool, base }) => {
    const options = { body: 'kept', retries: 3 };
    for (const [status, method, body] of [
      [301, 'POST', 'kept'],
      [302, 'POST', 'kept'],
      [303, 'GET', ''],
      [307, 'POST', 'kept'],
      [308, 'POST', 'kept'],
    ] as const) {
      const response = await pool.request('POST', `/to/${status}/echo`, options);
      t.like(response.json<Echoed>(), { method, body }, String(status));
      t.is(response.url, `${base}/echo`);
      t.is(response.retries?.history.length, 1);
    }
    const stays = await pool.request('GET', '/to/302/echo', { redirect: false });
    t.deepEqual([stays.status, stays.getRedirectLocation()], [302, '/echo']);
  },
  'RETRY-12: statuses that are tried again': async (t, { pool }) => {
    const retries = new Retry({ total: 3, statusForcelist: [503] });
    const response = await pool.request('GET', '/busy/a/2', { retries });
    t.deepEqual([response.text(), response.attempts], ['ready', 3]);
    t.like(await failure(pool.request('GET', '/busy/b/9', { retries })), { name: 'MaxRetryError' });
    t.is((await pool.request('GET', '/busy/c/1', { retries: 2 })).text(), 'ready');
  },
  'RESP-07 RESP-12: interim answers and trailers': async (t, { pool }) => {
    t.is((await pool.request('GET', '/hints')).text(), 'hinted');
    const response = await pool.request('GET', '/trailers');
    t.deepEqual([response.text(), response.trailers.get('x-sum')], ['summed', '6']);
  },
  'RESP-03: Set-Cookie keeps its lines; a jar is asked and told': async (t, { pool, base, settings }) => {
    const response = await pool.request('GET', '/cookies');
    t.deepEqual(response.headers.getAll('set-cookie'), ['a=1; Path=/', 'b=2; Path=/']);
    const manager = new PoolManager({ ...settings, jar: new CookieJar() });
    t.is((await manager.request('GET', `${base}/cookies`)).text(), '');
    t.is((await manager.request('GET', `${base}/cookies`)).text(), 'a=1; b=2');
    t.is(manager.stats().opened, 1);
    await manager.close();
  },
  'TIME-07: time-outs and signals': async (t, { pool }) => {
    t.like(await failure(pool.request('GET', '/never', { timeout: { read: 80 } })), {
      name: 'ReadTimeoutError',
      code: 'ERR_READ_TIMEOUT',
      phase: 'headers',
    });
    t.like(await failure(pool.request('GET', '/never', { timeout: { total: 80 } })), { code: 'ERR_TOTAL_TIMEOUT' });
    const reason = new Error('enough');
    const leave = new AbortController();
    const call = pool.request('GET', '/never', { signal: leave.signal });
    setImmediate(() => leave.abort(reason));
    t.is(await t.throwsAsync(call), reason);
    t.is((await pool.request('GET', '/status/200')).text(), '200');
  },
  'RESP-24: progress, accept, limits and timings': async (t, { pool }) => {
    const told: Progress[] = [];
    const response = await pool.request('POST', '/echo', {
      body: 'x'.repeat(10_000),
      onProgress: (one) => told.push(one),
    });
    t.like(
      told.findLast(({ direction }) => direction === 'up'),
      { bytes: 10_000, total: 10_000 },
    );
    t.is(told.findLast(({ direction }) => direction === 'down')?.bytes, response.data.length);
    const timings = response.timings;
    t.true((timings?.total ?? -1) >= (timings?.headers ?? 0));
    const refused = await pool.request('GET', '/bytes/1000000', { accept: ({ status }) => status === 404 });
    t.deepEqual([refused.data.length, refused.accepted], [0, false]);
    const error = await failure(pool.request('GET', '/bytes/100000', { limits: { wire: 1_000 } }));
    t.like(error, { name: 'ResponseTooLarge', limit: 'wire', allowed: 1_000 });
    t.is((await pool.request('GET', '/status/200')).text(), '200');
  },
  'POOL-06: requestMany, five hundred over a few connections': async (t, { pool, version, server }) => {
    let count = 0;
    for await (const settled of pool.requestMany(
      Array.from({ length: 500 }, (_, n) => ({ method: 'POST', url: `/echo?${n}`, body: String(n) })),
      { concurrency: 50 },
    )) {
      if (!settled.ok) throw settled.error;
      t.is(settled.response.json<Echoed>().body, String(settled.index));
      count += 1;
    }
    t.is(count, 500);
    if (version === 20) t.is(server.connections, 1);
  },
};

for (const flavour of Object.keys(FLAVOURS)) {
  for (const [title, run] of Object.entries(CASES)) {
    test(`${title}, over ${flavour}`, async (t) => {
      const fixture = await bench(t, flavour);
      await run(t, fixture);
      t.is((await fixture.pool.request('GET', '/status/200')).version, fixture.version);
    });
  }
}

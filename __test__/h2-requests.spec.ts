/** Requests over HTTP/2, frame by frame: what is sent of them, what is refused before that, and what comes back. */
import { gzipSync } from 'node:zlib';
import { Readable } from 'node:stream';
import test from 'ava';

import { HTTPConnectionPool, InvalidHeader, SKIP_HEADER, type RequestBody, type RequestOptions } from '../index.ts';
import { answer, CODE, data, head, headers, SETTING, TYPE } from './servers/h2-frames.ts';
import { each, h2Server, type H2Request } from './servers/h2-raw.ts';
import { counted, failure, get, overFrames } from './support/h2.ts';

const lower = (request: H2Request): string[] => request.lines.map(([name]) => name);

test('H2-01 HDR-02: the head: pseudo-headers first, names in lower case, the defaults, no connection fields', async (t) => {
  const { pool, server, host } = await overFrames(
    t,
    each(async (request, peer) => {
      await peer.body(request);
      await peer.send(answer(request.id, 'ok'));
    }),
  );
  const response = await pool.request('GET', '/a/b?q=1', { headers: { 'X-Mixed-Case': 'Value', Cookie: 'a=b' } });
  t.is(response.text(), 'ok');
  t.like(response, { status: 200, reason: null, version: 20, versionString: 'HTTP/2', attempts: 1, chunked: false });
  t.is(response.connection?.protocol, 'h2');
  t.is(response.connection?.tls, null);
  const [request] = server.requests;
  const pseudo = new Map(request?.lines.filter(([name]) => name.startsWith(':')));
  t.deepEqual(Object.fromEntries(pseudo), {
    ':method': 'GET',
    ':path': '/a/b?q=1',
    ':scheme': 'http',
    ':authority': host,
  });
  const names = lower(request as H2Request);
  t.true(names.slice(0, 4).every((name) => name.startsWith(':')));
  t.deepEqual(names.slice(4).toSorted(), ['accept-encoding', 'cookie', 'user-agent', 'x-mixed-case']);
  t.is(request?.get('accept-encoding'), 'identity');
  t.regex(request?.get('user-agent') ?? '', /^ferropool\/\d/);
  t.is(request?.get('x-mixed-case'), 'Value');
  t.true(request?.ended);
});

test('H2-01: the authority leaves a default port out, keeps port 0, and brackets IPv6', async (t) => {
  const server = await h2Server(each((request, peer) => peer.send(answer(request.id, request.get(':authority')))));
  t.teardown(() => server.close());
  const to = { address: '127.0.0.1', port: server.port };
  for (const [host, port, authority] of [
    ['Name.test', 80, 'name.test'],
    ['name.test', null, 'name.test'],
    ['name.test', 8080, 'name.test:8080'],
    ['name.test', 443, 'name.test:443'],
    ['name.test', 0, 'name.test:0'],
    ['name.test.', 80, 'name.test'],
  ] as const) {
    const pool = new HTTPConnectionPool(host, {
      port,
      resolve: () => [to],
      http2: 'prior-knowledge',
      retries: false,
    });
    t.is((await get(pool)).text(), authority, `${host} ${port}`);
    await pool.close();
  }
  const sixth = await h2Server(
    each((request, peer) => peer.send(answer(request.id, request.get(':authority')))),
    {
      host: '::1',
    },
  );
  t.teardown(() => sixth.close());
  const pool = new HTTPConnectionPool('[::1]', { port: sixth.port, http2: 'prior-knowledge' });
  t.is((await get(pool)).text(), `[::1]:${sixth.port}`);
  await pool.close();
});

test('H2-01: Transfer-Encoding and Connection are not sent; `chunked` frames nothing', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each(async (request, peer) => {
      await peer.send(answer(request.id, await peer.body(request)));
    }),
  );
  const options: RequestOptions[] = [
    { chunked: true },
    { headers: { 'Transfer-Encoding': 'chunked' } },
    { headers: { Connection: 'keep-alive' } },
  ];
  for (const option of options) {
    t.is((await pool.request('POST', '/', { body: 'abc', ...option })).text(), 'abc');
    const names = lower(server.requests.at(-1) as H2Request);
    for (const name of ['transfer-encoding', 'connection', 'host', 'keep-alive']) t.false(names.includes(name), name);
  }
  t.is(pool.numConnections, 1);
});

test('H2-01 HDR-03 HDR-05: the caller’s own defaults, those left out, and a header with several lines', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each((request, peer) => peer.send(answer(request.id, ''))),
  );
  await get(pool, '/', { headers: { 'User-Agent': 'mine', 'ACCEPT-ENCODING': 'gzip' } });
  t.deepEqual([server.requests[0]?.get('user-agent'), server.requests[0]?.get('accept-encoding')], ['mine', 'gzip']);
  await get(pool, '/', { headers: { 'user-agent': SKIP_HEADER, 'accept-encoding': SKIP_HEADER } });
  t.deepEqual(
    lower(server.requests[1] as H2Request).filter((name) => !name.startsWith(':')),
    [],
  );
  await get(pool, '/', {
    headers: [
      ['x-many', 'a'],
      ['x-many', 'b'],
      ['x-latin', 'é'],
    ],
  });
  const lines = server.requests[2]?.lines.filter(([name]) => name.startsWith('x-'));
  t.deepEqual(lines, [
    ['x-many', 'a'],
    ['x-many', 'b'],
    ['x-latin', 'é'],
  ]);
});

test('H2-01: the caller’s Host is the authority, and is sent once', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each((request, peer) => peer.send(answer(request.id, ''))),
  );
  await get(pool, '/', { headers: { Host: 'other.test' } });
  t.is(server.requests[0]?.get(':authority'), 'other.test');
  t.is(server.requests[0]?.get('host'), undefined);
});

test('H2-02: names and values that HTTP/2 cannot have are refused before anything is sent', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each((request, peer) => peer.send(answer(request.id, ''))),
  );
  const bad: Record<string, string>[] = [
    { ':path': '/other' },
    { 'a:b': 'x' },
    { 'a b': 'x' },
    { '': 'x' },
    { 'a\r\nb': 'x' },
    { a: 'x\ny' },
    { a: 'x\r\n y' },
    { a: 'x\0y' },
    { a: 'x\ry' },
    { TE: 'gzip' },
    { Upgrade: 'h2c' },
    { 'Keep-Alive': 'timeout=5' },
    { 'Proxy-Connection': 'keep-alive' },
  ];
  for (const one of bad) {
    await t.throwsAsync(get(pool, '/', { headers: one }), { instanceOf: InvalidHeader }, JSON.stringify(one));
  }
  t.is(pool.numRequests, 0);
  t.is(server.peers.length, 0);
});

test('H2-02: blanks around a value are refused, which HTTP/1.1 would have dropped', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each((request, peer) => peer.send(answer(request.id, ''))),
  );
  for (const value of [' x', 'x ', '\tx\t']) {
    await t.throwsAsync(
      get(pool, '/', { headers: { a: value } }),
      { instanceOf: InvalidHeader },
      JSON.stringify(value),
    );
  }
  t.is(server.requests.length, 0);
});

const BODIES: Record<string, [body: () => RequestBody, length: number | null]> = {
  string: [() => 'grüße', 7],
  Buffer: [() => Buffer.from('grüße'), 7],
  ArrayBuffer: [() => Uint8Array.from(Buffer.from('grüße')).buffer, 7],
  view: [() => new Uint8Array(Buffer.from('grüße')), 7],
  Blob: [() => new Blob(['grüße']), 7],
  'function of bytes': [() => () => Buffer.from('grüße'), null],
  array: [() => ['grü', Buffer.from('ße')], null],
  generator: [
    () =>
      (function* () {
        yield 'grü';
        yield '';
        yield 'ße';
      })(),
    null,
  ],
  'async generator': [
    () =>
      (async function* () {
        yield 'grü';
        await Promise.resolve();
        yield 'ße';
      })(),
    null,
  ],
  Readable: [() => Readable.from([Buffer.from('grü'), Buffer.from('ße')]), null],
  ReadableStream: [() => new Blob(['grüße']).stream() as ReadableStream, null],
};

for (const [kind, [make, length]] of Object.entries(BODIES)) {
  test(`H2-03 BODY-08: a body that is a ${kind} arrives as it is`, async (t) => {
    const { pool, server } = await overFrames(
      t,
      each(async (request, peer) => {
        await peer.send(answer(request.id, await peer.body(request)));
      }),
    );
    t.is((await pool.request('POST', '/', { body: make() })).text(), 'grüße');
    t.is(server.requests[0]?.get('content-length'), length === null ? undefined : String(length));
    t.is((await pool.request('PUT', '/', { body: make(), headers: { 'Content-Length': '7' } })).text(), 'grüße');
    t.is(server.requests[1]?.get('content-length'), '7');
    t.is(pool.numConnections, 1);
  });
}

test('H2-03 BODY-07 BODY-09: forms, JSON, and requests without a body', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each(async (request, peer) => {
      await peer.send(answer(request.id, await peer.body(request)));
    }),
  );
  const form = await pool.request('POST', '/', { fields: { a: '1', b: 'ü' }, encodeMultipart: false });
  t.is(form.text(), 'a=1&b=%C3%BC');
  t.is(server.requests[0]?.get('content-type'), 'application/x-www-form-urlencoded');
  const parts = await pool.request('POST', '/', { fields: { a: '1' }, multipartBoundary: 'edge' });
  t.regex(parts.text(), /^--edge\r\n[^]*\r\n--edge--\r\n$/);
  t.is(server.requests[1]?.get('content-type'), 'multipart/form-data; boundary=edge');
  t.deepEqual((await pool.request('POST', '/', { json: { a: [1] } })).json(), { a: [1] });
  t.is((await pool.request('POST', '/', { body: new URLSearchParams({ q: 'x y' }) })).text(), 'q=x+y');
  const lengths: Record<string, string | undefined> = {};
  for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'POST', 'PUT', 'PATCH']) {
    await pool.request(method, '/');
    lengths[method] = server.requests.at(-1)?.get('content-length');
    t.true(server.requests.at(-1)?.ended);
    t.is(server.requests.at(-1)?.received, 0);
  }
  const none = { GET: undefined, HEAD: undefined, DELETE: undefined, OPTIONS: undefined };
  t.deepEqual(lengths, { ...none, POST: '0', PUT: '0', PATCH: '0' });
});

test('H2-03: what is no body is a TypeError, and nothing is sent', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each((request, peer) => peer.send(answer(request.id, ''))),
  );
  for (const body of [1, true, { a: 1 }, Symbol('x'), new Date()]) {
    await t.throwsAsync(pool.request('POST', '/', { body: body as never }), { instanceOf: TypeError });
  }
  t.is(server.requests.length, 0);
});

test('H2-03: a large upload keeps to the frame size and the windows that the server gives', async (t) => {
  const bytes = Buffer.alloc(3_000_001, 'upload');
  const { pool, server } = await overFrames(
    t,
    each(async (request, peer) => {
      const body = await peer.body(request);
      await peer.send(answer(request.id, String(body.equals(bytes))));
    }),
    {},
    {
      settings: [
        [SETTING.INITIAL_WINDOW_SIZE, 10_000],
        [SETTING.MAX_FRAME_SIZE, 16_384],
      ],
    },
  );
  const pieces = (function* () {
    for (let at = 0; at < bytes.length; at += 70_000) yield bytes.subarray(at, at + 70_000);
  })();
  t.is((await pool.request('POST', '/', { body: bytes })).text(), 'true');
  t.is((await pool.request('POST', '/', { body: pieces })).text(), 'true');
  t.true((server.peers[0]?.largest ?? 0) <= 16_384);
  t.is(pool.stats().wireBytesOut >= 2 * bytes.length, true);
});

test('RESP-10: HEAD, 204 and 304 have no body, whatever their head says', async (t) => {
  const { pool } = await overFrames(
    t,
    each((request, peer) => {
      const status = Number(request.path.slice(1));
      return peer.send(head(request.id, status, [['content-length', '10']], { end: true }));
    }),
  );
  for (const [method, status] of [
    ['HEAD', 200],
    ['HEAD', 404],
    ['GET', 204],
    ['GET', 304],
  ] as const) {
    const response = await pool.request(method, `/${status}`);
    t.deepEqual([response.status, response.data.length], [status, 0]);
    const streamed = await pool.request(method, `/${status}`, { preloadContent: false });
    t.is((await streamed.read()).length, 0);
  }
  t.is(pool.numConnections, 1);
});

test('RESP-07 THR-119: interim answers are passed over, sixteen of them; a seventeenth costs the stream, not the others', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each(async (request, peer) => {
      const many = Number(request.path.slice(1));
      for (let n = 0; n < many; n += 1) await peer.send(head(request.id, n % 2 === 0 ? 103 : 102, [['link', '</x>']]));
      await peer.send(answer(request.id, String(many)));
    }),
  );
  t.is((await get(pool, '/1')).text(), '1');
  const [most, flood, fine] = await Promise.all([get(pool, '/16'), failure(get(pool, '/17')), get(pool, '/2')]);
  t.deepEqual([most.text(), fine.text()], ['16', '2']);
  t.is(most.headers['link'], undefined);
  t.like(flood, { name: 'ProtocolError', code: 'ERR_PROTOCOL', reason: 'ERR_INFORMATIONAL_FLOOD', phase: 'headers' });
  t.is(server.peers.length, 1);
});

test('RESP-12: trailers come with the end of the body; pseudo-headers among them are none', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each((request, peer) =>
      peer.send(
        head(request.id, 200),
        data(request.id, 'body'),
        headers(
          request.id,
          request.path === '/bad'
            ? [[':status', '200']]
            : [
                ['X-Sum'.toLowerCase(), '4'],
                ['x-sum', '5'],
              ],
          {
            end: true,
          },
        ),
      ),
    ),
  );
  const response = await get(pool);
  t.deepEqual([response.text(), response.trailers.getAll('x-sum')], ['body', ['4', '5']]);
  const streamed = await get(pool, '/', { preloadContent: false });
  t.is((await streamed.read()).toString(), 'body');
  t.is(streamed.trailers.get('x-sum'), '4, 5');
  const bad = await get(pool, '/bad');
  t.deepEqual([bad.status, bad.text(), bad.trailers.size], [200, 'body', 0]);
  t.is((await get(pool)).text(), 'body');
  t.is(server.failure, null);
});

test('DEC-01: a coded body is decoded, and can be had as it came', async (t) => {
  const coded = gzipSync('much ado about nothing '.repeat(1_000));
  const { pool } = await overFrames(
    t,
    each((request, peer) =>
      peer.pour(request, coded, {
        lines: [
          ['content-encoding', 'gzip'],
          ['content-length', String(coded.length)],
        ],
      }),
    ),
  );
  const response = await get(pool);
  t.is(response.data.length, 23_000);
  t.is(response.bytesRead, coded.length);
  t.true((await get(pool, '/', { decodeContent: false })).data.equals(coded));
  t.is((await (await get(pool, '/', { preloadContent: false })).read()).length, 23_000);
});

test('THR-201 THR-411: limits hold over HTTP/2: wire, decoded, header count', async (t) => {
  const coded = gzipSync(Buffer.alloc(1_000_000));
  const { pool, server } = await overFrames(
    t,
    each((request, peer) => {
      if (request.path === '/coded') return peer.pour(request, coded, { lines: [['content-encoding', 'gzip']] });
      if (request.path === '/many') {
        return peer.send(
          answer(request.id, '', { lines: Array.from({ length: 50 }, (_, n) => [`x-${n}`, 'v'] as const) }),
        );
      }
      return peer.pour(request, Buffer.alloc(100_000));
    }),
  );
  for (const [path, limits, limit, allowed] of [
    ['/plain', { wire: 50_000 }, 'wire', 50_000],
    ['/plain', { decoded: 50_000 }, 'decoded', 50_000],
    ['/coded', { decoded: 500_000 }, 'decoded', 500_000],
    ['/many', { headerCount: 40 }, 'headerCount', 40],
  ] as const) {
    const error = await failure(get(pool, path, { limits }));
    t.like(error, { name: 'ResponseTooLarge', code: 'ERR_TOO_LARGE', limit, allowed }, `${path} ${limit}`);
  }
  t.is((await get(pool, '/plain', { limits: { wire: 100_000 } })).data.length, 100_000);
  t.is(server.peers.length, 1);
});

test('H2-04 POOL-10: close() lets the server know, resets nothing that is answered, and a second one does no harm', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each((request, peer) => peer.send(answer(request.id, 'x'))),
  );
  await get(pool);
  const report = await pool.close();
  t.like(report, { closed: 1, forced: 0 });
  const peer = await server.peer(1);
  await peer.gone();
  t.true(peer.goaway === CODE.NO_ERROR || peer.goaway === null);
  t.like(await pool.close(), { closed: 0, forced: 0 });
  t.deepEqual(counted(pool), { opened: 1, idle: 0, leased: 0, waiting: 0 });
  t.like(await failure(get(pool)), { name: 'ClosedPoolError' });
});

test('H2-04: close() of a pool that never connected, whose peer is gone, or that never greeted, does not throw', async (t) => {
  const { pool: idle } = await overFrames(t, () => undefined);
  t.like(await idle.close(), { closed: 0, forced: 0 });
  const { pool: left, server } = await overFrames(
    t,
    each(async (request, peer) => {
      await peer.send(answer(request.id, 'x'));
      // Not before the answer has been taken in: what was not read yet need not survive a reset.
      await peer.settled();
      peer.reset();
    }),
  );
  await get(left);
  await server.peers[0]?.gone();
  t.like(await left.close(), { forced: 0 });
  const { pool: mute, server: silent } = await overFrames(t, () => undefined, {}, { settings: null });
  const call = failure(get(mute));
  await silent.peer(1);
  t.like(await mute.close({ timeout: 50 }), { forced: 1 });
  t.like(await call, { name: 'ClosedPoolError' });
});

test('our own settings: no push, windows of 2 MiB for a body and 256 for the connection, and headers up to limits.headerBytes', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each((request, peer) => peer.send(answer(request.id, 'x'))),
    { limits: { headerBytes: 100_000 } },
  );
  await get(pool);
  const peer = await server.peer(1);
  await peer.settled();
  t.is(peer.settings.get(SETTING.ENABLE_PUSH), 0);
  t.is(peer.settings.get(SETTING.INITIAL_WINDOW_SIZE), 2 << 20);
  // What is too large is told apart from what is malformed by being decoded: twice as much is.
  t.is(peer.settings.get(SETTING.MAX_HEADER_LIST_SIZE), 200_000);
  t.is(peer.credit, 256 << 20);
  t.is(peer.count(TYPE.WINDOW_UPDATE), 1);
  t.is(peer.count(TYPE.RST_STREAM), 0);
});

/**
 * One table of what requests and responses have to be, against nginx, h2o and Node's own server, over HTTP/1.1 and HTTP/2, all
 * of it over TLS.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import test from 'ava';

import { HTTPHeaderDict, ReadTimeoutError, type RequestOptions } from '../../index.ts';
import { TEXT, type Echo } from '../servers/backend.ts';
import { BLOCK, Follower, blockAt } from '../servers/pattern.ts';
import { FRONTS, fronted } from '../support/fronts.ts';
import { rejection } from '../support/fixtures.ts';

const LARGE = 64 * 1024 * 1024;
const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Each form of a body with the bytes that have to come and the type that has to be said; `null` where there is none. */
const BODIES: readonly (readonly [what: string, options: () => RequestOptions, bytes: string, type: string | null])[] =
  [
    ['nothing', () => ({}), '', null],
    ['a string', () => ({ body: 'caf\u{e9}' }), 'caf\u{e9}', null],
    ['a Buffer', () => ({ body: Buffer.from('bytes') }), 'bytes', null],
    ['JSON', () => ({ json: { a: [1, '\u{e9}'] } }), '{"a":[1,"\u{e9}"]}', 'application/json'],
    [
      'parameters',
      () => ({ body: new URLSearchParams({ a: '1 2' }) }),
      'a=1+2',
      'application/x-www-form-urlencoded;charset=UTF-8',
    ],
    ['a Blob', () => ({ body: new Blob(['blob'], { type: 'text/x-blob' }) }), 'blob', 'text/x-blob'],
    ['a Readable', () => ({ body: Readable.from([Buffer.from('one'), Buffer.from('two')]) }), 'onetwo', null],
    ['a ReadableStream', () => ({ body: new Blob(['stream']).stream() }), 'stream', null],
    ['an iterable', () => ({ body: [Buffer.from('one'), Buffer.from('two')] }), 'onetwo', null],
    ['an async iterable', () => ({ body: pieces() }), 'onetwo', null],
    ['a function', () => ({ body: () => 'again' }), 'again', null],
    ['a string in chunks', () => ({ body: 'chunks', chunked: true }), 'chunks', null],
  ];

for (const front of FRONTS) {
  const { name, protocol } = front;
  const over = `over ${name}`;

  test.serial(`TLS-15 what the connection says of itself ${over}`, async (t) => {
    const { pool } = await fronted(t, front);
    const response = await pool.request('GET', '/echo');
    t.is(response.version, protocol === 'h2' ? 20 : 11);
    t.is(response.versionString, protocol === 'h2' ? 'HTTP/2' : 'HTTP/1.1');
    t.is(response.reason, protocol === 'h2' ? null : 'OK');
    const { connection } = response;
    t.is(connection?.protocol, protocol);
    const tls = connection?.tls;
    t.is(tls?.version, 'TLSv1.3');
    t.is(tls?.verified, true);
    t.is(tls?.serverName, 'localhost');
    t.deepEqual(
      tls?.chain.map(({ subject, issuer }) => [subject, issuer]),
      [
        ['CN=a server', 'CN=ferropool test intermediate'],
        ['CN=ferropool test intermediate', 'CN=ferropool test root'],
      ],
    );
    t.true((response.timings?.tls ?? -1) > 0);
    const again = await pool.request('GET', '/echo');
    t.true(again.connection?.reused);
    t.is(again.timings?.tls, null);
  });

  test.serial(`H2-03 every form of a body arrives ${over}`, async (t) => {
    const { pool } = await fronted(t, front);
    for (const [what, options, bytes, type] of BODIES) {
      for (const method of ['POST', 'PUT', 'PATCH']) {
        const response = await pool.request(method, '/echo?a=1&b=%20', options());
        const echo = response.json<Echo>();
        t.deepEqual(
          [echo.method, echo.target, echo.length, echo.sha256, echo.headers['content-type'] ?? null],
          [method, '/echo?a=1&b=%20', Buffer.byteLength(bytes), sha256(bytes), type],
          `${method} of ${what}`,
        );
      }
    }
    t.is(pool.stats().opened, 1);
  });

  test.serial(`fields are a query, a form or parts ${over}`, async (t) => {
    const { pool } = await fronted(t, front);
    const query = await pool.request('GET', '/echo', { fields: { a: '1', b: 'x y' } });
    t.is(query.json<Echo>().target, '/echo?a=1&b=x+y');
    const form = await pool.request('POST', '/back', { fields: { a: '1' }, encodeMultipart: false });
    t.is(form.text(), 'a=1');
    const parts = await pool.request('POST', '/back', { fields: { a: '1', f: ['name.txt', 'content', 'text/plain'] } });
    t.regex(parts.headers.get('content-type') ?? '', /^multipart\/form-data; boundary=/);
    t.regex(
      parts.text(),
      /name="a"\r\n\r\n1\r\n[^]*filename="name\.txt"\r\nContent-Type: text\/plain\r\n\r\ncontent\r\n/,
    );
  });

  test.serial(`H2-01 headers come through, and repeated ones each ${over}`, async (t) => {
    const { pool, origin } = await fronted(t, front);
    const headers = new HTTPHeaderDict({ 'X-One': '1', 'X-Empty': '', 'User-Agent': 'a test' });
    headers.add('X-Two', 'a');
    headers.add('X-Two', 'b');
    const echo = (await pool.request('GET', '/echo', { headers })).json<Echo>();
    t.is(echo.headers['x-one'], '1');
    t.is(echo.headers['x-empty'], '');
    t.is(echo.headers['x-two'], 'a, b');
    t.is(echo.headers['user-agent'], 'a test');
    t.is(echo.headers['host'], origin.slice('https://'.length));
    const many = await pool.request('GET', '/cookies');
    t.deepEqual(many.headers.getlist('set-cookie'), ['a=1; Path=/', 'b=2; Path=/']);
    t.is(many.headers.get('x-latin'), 'caf\u{e9}');
  });

  test.serial(`HEAD, 204, 304 and errors have their bodies or none ${over}`, async (t) => {
    const { pool } = await fronted(t, front);
    let closed = 0;
    for (let turn = 1; turn <= 3; turn += 1) {
      const head = await pool.request('HEAD', '/pattern/1/100000');
      t.deepEqual([head.status, head.headers.get('content-length'), head.data.length], [200, '100000', 0]);
      for (const status of [204, 304]) {
        const response = await pool.request('GET', `/status/${status}`);
        t.deepEqual([response.status, response.data.length], [status, 0]);
      }
      for (const status of [400, 404, 429, 500, 503]) {
        const response = await pool.request('GET', `/status/${status}`);
        t.deepEqual([response.status, response.text()], [status, `a ${status}`]);
        // h2o ends an error's body of unknown length with its connection.
        if (response.headers.get('connection') === 'close') closed += 1;
      }
      const posted = await pool.request('POST', '/status/204', { body: 'taken' });
      t.is(posted.status, 204);
    }
    t.is(pool.stats().opened, 1 + closed, 'each end was found');
  });

  test.serial(`gzip and brotli are decoded, unless they shall not be ${over}`, async (t) => {
    const { pool } = await fronted(t, front, { acceptEncoding: true });
    for (const coding of ['gzip', 'br']) {
      const response = await pool.request('GET', `/coded/${coding}`);
      t.is(response.headers.get('content-encoding'), coding);
      t.is(response.text(), TEXT);
      t.true(response.bytesRead < TEXT.length / 4);
    }
    const raw = await pool.request('GET', '/coded/gzip', { decodeContent: false });
    t.is(gunzipSync(raw.data).toString(), TEXT);
  });

  test.serial(`REDIR-02 redirects are followed, with the method that is due ${over}`, async (t) => {
    const { pool } = await fronted(t, front, { retries: null });
    for (const [status, method] of [
      [301, 'POST'],
      [303, 'GET'],
      [307, 'POST'],
    ] as const) {
      const response = await pool.request('POST', `/status/${status}`, { body: 'again' });
      const echo = response.json<Echo>();
      t.deepEqual([echo.method, echo.target], [method, '/echo?after']);
      t.is(echo.length, method === 'POST' ? 5 : 0);
      t.deepEqual(
        response.retries?.history.map(({ status: seen, redirectLocation }) => [seen, redirectLocation]),
        [[status, '/echo?after']],
      );
    }
    const left = await pool.request('GET', '/status/302', { redirect: false });
    t.deepEqual([left.status, left.getRedirectLocation(), left.text()], [302, '/echo?after', 'over there']);
  });

  test.serial(`POOL-05 200 requests one after the other have one connection ${over}`, async (t) => {
    const { pool } = await fronted(t, front);
    const ids = new Set<number | undefined>();
    for (let turn = 1; turn <= 200; turn += 1) {
      const response = await pool.request('POST', '/back', { body: `turn ${turn}` });
      t.is(response.text(), `turn ${turn}`);
      ids.add(response.connection?.id);
    }
    t.is(ids.size, 1);
    const { opened, reused, requests } = pool.stats();
    t.deepEqual({ opened, reused, requests }, { opened: 1, reused: 199, requests: 200 });
  });

  for (const count of [100, 1_000]) {
    test.serial(`H2-05 POOL-07 ${count} requests at once have their own answers ${over}`, async (t) => {
      const { pool } = await fronted(t, front, { maxsize: protocol === 'h2' ? 4 : 50, block: true });
      const answers = await Promise.all(
        Array.from({ length: count }, async (_, nth) => {
          const response = await pool.request('POST', '/back', { body: `number ${nth}` });
          return response.text() === `number ${nth}` && response.connection?.protocol === protocol;
        }),
      );
      t.deepEqual(new Set(answers), new Set([true]));
      const { opened, requests, errors } = pool.stats();
      t.deepEqual({ requests, errors }, { requests: count, errors: {} });
      t.true(opened <= (protocol === 'h2' ? 4 : 50), `${opened} connections`);
      if (protocol === 'h2' && count === 100) t.is(opened, 1, 'one connection carries what it may');
    });
  }

  for (const framing of ['with its length', 'in chunks']) {
    test.serial(`64 MiB come ${framing}, piece by piece ${over}`, async (t) => {
      const { pool } = await fronted(t, front);
      const url = `/pattern/5/${LARGE}${framing === 'in chunks' ? '?chunked' : ''}`;
      const response = await pool.request('GET', url, { preloadContent: false });
      const follower = new Follower(5);
      for await (const piece of response) follower.take(piece);
      t.deepEqual([follower.at, follower.wrong], [LARGE, 0]);
      t.is(response.headers.get('content-length'), framing === 'in chunks' ? undefined : String(LARGE));
      t.is((await pool.request('GET', '/echo')).status, 200);
      t.is(pool.stats().opened, 1);
    });

    test.serial(`64 MiB go ${framing}, piece by piece ${over}`, async (t) => {
      const { pool } = await fronted(t, front);
      const hash = createHash('sha256');
      const body = function* (): Generator<Buffer> {
        for (let at = 0; at < LARGE; at += BLOCK) {
          const piece = blockAt(9, at);
          hash.update(piece);
          yield piece;
        }
      };
      const headers = framing === 'in chunks' ? {} : { 'content-length': String(LARGE) };
      const echo = (await pool.request('POST', '/echo', { body: body(), headers })).json<Echo>();
      t.deepEqual([echo.length, echo.sha256], [LARGE, hash.digest('hex')]);
      t.is((await pool.request('GET', '/echo')).status, 200);
      t.is(pool.stats().opened, 1);
    });
  }

  test.serial(`an answer that comes late comes, one that never comes costs its request alone ${over}`, async (t) => {
    const { pool } = await fronted(t, front, { maxsize: 2, block: true });
    const late = pool.request('GET', '/late/400');
    const error = await rejection(pool.request('GET', '/never', { timeout: { read: 250 } }), ReadTimeoutError);
    t.is(error.phase, 'headers');
    t.is((await late).text(), 'late');
    t.is((await pool.request('GET', '/echo')).status, 200);
    if (protocol === 'h2') t.is(pool.stats().opened, 1, 'a stream ended, not its connection');
  });

  test.serial(`a body that is left in the middle costs nobody else anything ${over}`, async (t) => {
    const { pool } = await fronted(t, front, { maxsize: 2, block: true });
    for (let turn = 1; turn <= 4; turn += 1) {
      const controller = new AbortController();
      const response = await pool.request('GET', `/pattern/3/${LARGE}`, {
        preloadContent: false,
        signal: controller.signal,
      });
      const beside = pool.request('GET', '/pattern/4/500000');
      const reason = new Error('enough');
      const seen = await (async () => {
        let length = 0;
        try {
          for await (const piece of response) {
            length += piece.length;
            if (length > 1_000_000) controller.abort(reason);
          }
        } catch (error) {
          return error;
        }
        return null;
      })();
      t.is(seen, reason);
      const follower = new Follower(4);
      follower.take((await beside).data);
      t.deepEqual([follower.at, follower.wrong], [500_000, 0]);
    }
    if (protocol === 'h2') t.is(pool.stats().opened, 1, 'streams ended, not their connection');
  });
}

async function* pieces(): AsyncGenerator<Buffer> {
  yield Buffer.from('one');
  await new Promise((resolve) => setImmediate(resolve));
  yield Buffer.from('two');
}

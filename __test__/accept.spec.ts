/** `accept`: a request that looks at the head before it takes the body. */
import zlib from 'node:zlib';

import test, { type ExecutionContext } from 'ava';

import {
  IncompleteRead,
  ProtocolError,
  ReadTimeoutError,
  type Head,
  type HTTPResponse,
  type PoolOptions,
  type RequestOptions,
} from '../index.ts';
import { reply, type RawServer } from './servers/raw.ts';
import { rejection, scripted, target, type Fixture } from './support/fixtures.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
/** More than is drained of what nobody wants. */
const LARGE = 4 * 1024 * 1024;

/** The first request gets these bytes, every later one its own path. */
function first(t: ExecutionContext, wire: string | Buffer, options: PoolOptions = {}): Promise<Fixture<RawServer>> {
  return scripted(
    t,
    async (peer) => {
      if (peer.number === 1) {
        await peer.request();
        void peer.write(wire);
      }
      for (;;) await peer.write(reply(target(await peer.request())));
    },
    { block: true, ...options },
  );
}

async function next(t: ExecutionContext, { pool, server }: Fixture<RawServer>, connections: number): Promise<void> {
  for (const token of ['/one', '/two']) t.is((await pool.request('GET', token)).data.toString(), token);
  t.is(server.peers.length, connections);
  t.is(pool.stats().leased, 0);
}

test('accept is asked once, about the head; what it takes is preloaded as ever', async (t) => {
  const body = 'x'.repeat(300_000);
  for (const [wire, due] of [
    [reply('small', 'HTTP/1.1 206 Some\r\nX-A: 1\r\nX-A: 2\r\n'), 'small'],
    [reply(body, 'HTTP/1.1 206 Some\r\nX-A: 1\r\nX-A: 2\r\n'), body],
    [reply('', 'HTTP/1.1 206 Some\r\nX-A: 1\r\nX-A: 2\r\n'), ''],
  ] as const) {
    const fixture = await first(t, wire);
    const asked: Head[] = [];
    const response = await fixture.pool.request('GET', '/path?q=1', {
      accept: (head) => {
        asked.push(head);
        return true;
      },
    });
    t.is(asked.length, 1);
    const [head] = asked;
    t.deepEqual(Object.keys(head ?? {}).toSorted(), ['headers', 'reason', 'status', 'url']);
    t.is(head?.status, 206);
    t.is(head?.reason, 'Some');
    t.is(head?.headers.get('x-a'), '1, 2');
    t.is(head?.url, `http://${fixture.host}/path?q=1`);
    t.true(response.accepted);
    t.is(response.data.toString(), due);
    t.is(response.text(), due);
    t.true(response.closed);
    t.is(response.lengthRemaining, 0);
    t.is((await response.read()).length, 0);
    await next(t, fixture, 1);
  }
});

test('what accept takes is decoded, and its errors and limits are those of a preloaded body', async (t) => {
  const accept = (): boolean => true;
  const gzip = zlib.gzipSync('decoded');
  const coded = await first(
    t,
    Buffer.concat([Buffer.from(`${OK}Content-Encoding: gzip\r\nContent-Length: ${gzip.length}\r\n\r\n`), gzip]),
  );
  t.is((await coded.pool.request('GET', '/', { accept })).text(), 'decoded');

  const short = await scripted(t, async (peer) => {
    await peer.request();
    peer.end(`${OK}Content-Length: 10\r\n\r\nhello`);
  });
  const error = await rejection(short.pool.request('GET', '/', { accept }), ProtocolError);
  t.true(error.cause instanceof IncompleteRead);
  t.is(error.partial?.toString(), 'hello');
  t.is(error.expected, 5);

  const large = await first(t, reply('x'.repeat(1_000)));
  await t.throwsAsync(large.pool.request('GET', '/', { accept, limits: { decoded: 999 } }), { code: 'ERR_TOO_LARGE' });
  await next(t, large, 2);

  const slow = await first(t, `${OK}Content-Length: 10\r\n\r\nhello`);
  await rejection(slow.pool.request('GET', '/', { accept, timeout: { read: 80 } }), ReadTimeoutError);
  await next(t, slow, 2);
});

test('THR-215 THR-319: what accept does not take comes back empty; its connection is as one that is released', async (t) => {
  for (const [wire, connections] of [
    [reply('small'), 1],
    [reply(''), 1],
    [`${OK}Content-Length: ${LARGE}\r\n\r\nhello`, 2],
    [`${OK}Content-Encoding: gzip\r\nContent-Length: 7\r\n\r\nno gzip`, 1],
  ] as const) {
    for (const options of [{}, { preloadContent: false }]) {
      const fixture = await first(t, wire);
      const response = await fixture.pool.request('GET', '/', { ...options, accept: ({ status }) => status !== 200 });
      t.false(response.accepted);
      t.is(response.status, 200);
      t.is(response.data.length, 0);
      t.is(response.text(), '');
      t.is((await response.read()).length, 0);
      t.true(response.closed);
      if (connections === 2) await (await fixture.server.peer(1)).gone();
      await next(t, fixture, connections);
    }
  }
});

test('accept with preloadContent: false: what it takes is still to be read', async (t) => {
  const fixture = await first(t, reply('x'.repeat(LARGE)));
  const response = await fixture.pool.request('GET', '/', { preloadContent: false, accept: () => true });
  t.true(response.accepted);
  t.false(response.closed);
  t.is((await response.read(10)).length, 10);
  t.is((await response.read()).length, LARGE - 10);
  await next(t, fixture, 1);
});

test('what accept throws rejects the request, and what is no boolean too; the connection is closed', async (t) => {
  const thrown = new Error('mine');
  const wrong: [unknown, object][] = [
    [
      () => {
        throw thrown;
      },
      { is: thrown },
    ],
    [() => undefined, { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' }],
    [() => 1, { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' }],
    [async () => true, { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' }],
  ];
  for (const [accept, due] of wrong) {
    for (const options of [{}, { preloadContent: false }]) {
      const fixture = await first(t, `${OK}Content-Length: 5\r\n\r\n`);
      await t.throwsAsync(fixture.pool.request('GET', '/', { ...options, accept } as RequestOptions), due);
      await (await fixture.server.peer(1)).gone();
      await next(t, fixture, 2);
    }
  }
  const { pool, server } = await first(t, reply('ok'));
  for (const accept of [true, 'yes', {}]) {
    await t.throwsAsync(pool.request('GET', '/', { accept } as unknown as RequestOptions), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_OPTION',
    });
  }
  t.is(server.peers.length, 0, 'and nothing is sent');
  t.is((await pool.request('GET', '/none', { accept: null })).status, 200);
});

test('an aborted signal beats accept’s body', async (t) => {
  const fixture = await first(t, `${OK}Content-Length: ${LARGE}\r\n\r\nhello`);
  const abort = new AbortController();
  const reason = new Error('enough');
  const answer: Promise<HTTPResponse> = fixture.pool.request('GET', '/', {
    signal: abort.signal,
    accept: () => {
      setImmediate(() => abort.abort(reason));
      return true;
    },
  });
  t.is(await rejection(answer, Error), reason);
  await (await fixture.server.peer(1)).gone();
  await next(t, fixture, 2);
});

test('releaseConn of a request: true with preloadContent: false would give away what is being read', async (t) => {
  const fixture = await first(t, reply('body'));
  // @ts-expect-error -- the two exclude one another
  await t.throwsAsync(fixture.pool.request('GET', '/', { releaseConn: true, preloadContent: false }), {
    instanceOf: TypeError,
    code: 'ERR_INVALID_OPTION',
  });
  t.is(fixture.server.peers.length, 0);
  t.is((await fixture.pool.request('GET', '/', { releaseConn: true })).data.toString(), 'body');
  for (const releaseConn of [true, false, null]) {
    t.is((await fixture.pool.request('GET', '/path', { releaseConn })).data.toString(), '/path');
  }
  for (const releaseConn of [false, null]) {
    const response = await fixture.pool.request('GET', '/path', { releaseConn, preloadContent: false });
    t.is((await response.read()).toString(), '/path');
  }
  await next(t, fixture, 1);
});

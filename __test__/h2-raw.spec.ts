/** The scripted server of HTTP/2 itself, against Node's own client: what a test of ours says by it is what went over the wire. */
import { once } from 'node:events';
import http2 from 'node:http2';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { answer, CODE, data, goaway, head, headers, rstStream, TYPE } from './servers/h2-frames.ts';
import { each, h2Server, type H2Request, type H2Script, type H2Server, type Manners } from './servers/h2-raw.ts';
import { headerBlock, HpackDecoder, indexed, remembered } from './servers/hpack.ts';

async function bench(
  t: ExecutionContext,
  script: H2Script,
  manners: Manners = {},
): Promise<[http2.ClientHttp2Session, H2Server]> {
  const server = await h2Server(script, manners);
  const session = http2.connect(`http://127.0.0.1:${server.port}`);
  session.on('error', () => undefined);
  t.teardown(async () => {
    session.destroy();
    await server.close();
  });
  return [session, server];
}

async function text(stream: http2.ClientHttp2Stream): Promise<string> {
  let all = '';
  for await (const piece of stream) all += String(piece);
  return all;
}

test('HPACK: the examples of RFC 7541, appendix C.4, and everything that is its own encoder', (t) => {
  const decoder = new HpackDecoder();
  const decoded = [
    '828684418cf1e3c2e5f23a6ba0ab90f4ff',
    '828684be5886a8eb10649cbf',
    '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
  ].map((block) => decoder.decode(Buffer.from(block, 'hex')));
  const host = [':authority', 'www.example.com'];
  const [get, path] = [
    [':method', 'GET'],
    [':path', '/'],
  ];
  t.deepEqual(decoded, [
    [get, [':scheme', 'http'], path, host],
    [get, [':scheme', 'http'], path, host, ['cache-control', 'no-cache']],
    [get, [':scheme', 'https'], [':path', '/index.html'], host, ['custom-key', 'custom-value']],
  ] as unknown as typeof decoded);
  const lines = [
    ['x-long', 'x'.repeat(70_000)],
    ['X-Bad\0', 'é\n'],
  ] as const;
  t.deepEqual(decoder.decode(headerBlock(lines)), [...lines]);
  t.deepEqual(decoder.decode(Buffer.concat([remembered('a', 'b'), indexed(62), indexed(8)])), [
    ['a', 'b'],
    ['a', 'b'],
    [':status', '200'],
  ]);
  t.throws(() => decoder.decode(indexed(200)), { message: /names line 200/ });
});

test('requests arrive as they were made, many at a time, with names from the dynamic table', async (t) => {
  const [session, server] = await bench(
    t,
    each(async (request, peer) => {
      const body = await peer.body(request);
      await peer.send(
        answer(request.id, `${request.method} ${request.path} ${request.get('x-token')} ${body.toString()}`),
      );
    }),
  );
  const streams = Array.from({ length: 50 }, (_, n) => {
    const stream = session.request({ ':path': `/${n % 5}`, ':method': 'POST', 'x-token': `t${n % 7}` });
    stream.end(`body ${n}`);
    return text(stream);
  });
  t.deepEqual(
    await Promise.all(streams),
    Array.from({ length: 50 }, (_, n) => `POST /${n % 5} t${n % 7} body ${n}`),
  );
  t.is(server.peers.length, 1);
});

test('large bodies keep to the windows, in both directions; padding and CONTINUATION are undone', async (t) => {
  const big = Buffer.alloc(1_000_000, 'abcdefg');
  const [session, server] = await bench(
    t,
    each(async (request, peer) => {
      const body = await peer.body(request);
      if (request.path === '/echo') return peer.pour(request, body);
      await peer.send(
        head(request.id, 200, [['x-long', 'y'.repeat(40_000)]], { split: 8_000 }),
        data(request.id, 'pad', { pad: 200 }),
        data(request.id, ''),
        headers(request.id, [['x-sum', '3']], { end: true }),
      );
    }),
  );
  const echo = session.request({ ':path': '/echo', ':method': 'POST' });
  echo.end(big);
  t.is(await text(echo), big.toString());
  t.true((server.peers[0]?.count(TYPE.WINDOW_UPDATE) ?? 0) > 0);
  const padded = session.request({ ':path': '/padded' });
  const heads: http2.IncomingHttpHeaders[] = [];
  padded.on('response', (one) => heads.push(one)).on('trailers', (one) => heads.push(one));
  t.is(await text(padded), 'pad');
  t.deepEqual([heads[0]?.['x-long']?.length, heads[1]?.['x-sum']], [40_000, '3']);
});

test('resets and GOAWAY are seen on both sides', async (t) => {
  const [session, server] = await bench(
    t,
    each(async (request, peer) => {
      if (request.path === '/reset') await peer.send(rstStream(request.id, CODE.REFUSED_STREAM));
      if (request.path === '/away') await peer.send(goaway(request.id, CODE.ENHANCE_YOUR_CALM, 'calm'));
    }),
  );
  const refused = session.request({ ':path': '/reset' });
  const [error] = (await once(refused, 'error')) as [Error & { code: string }];
  t.regex(error.message, /NGHTTP2_REFUSED_STREAM/);
  const mine = session.request({ ':path': '/held' });
  mine.on('error', () => undefined);
  const peer = await server.peer(1);
  await peer.until(() => peer.requests.length === 2);
  const held = peer.requests.at(-1) as H2Request;
  mine.close(http2.constants.NGHTTP2_CANCEL);
  t.is(await peer.resetOf(held), CODE.CANCEL);
  await peer.settled();
  t.is(peer.acknowledged, 1);
  const away = session.request({ ':path': '/away' });
  away.on('error', () => undefined);
  const [code, last] = (await once(session, 'goaway')) as [number, number];
  t.deepEqual([code, last], [CODE.ENHANCE_YOUR_CALM, 5]);
  await peer.gone();
});

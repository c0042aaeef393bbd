/** Servers of HTTP/2 that break the protocol: one stream, or the connection, pays for it; nobody gets another's answer. */
import test, { type ExecutionContext } from 'ava';

import {
  answer,
  CODE,
  data,
  FLAG,
  frame,
  goaway,
  head,
  headers,
  ping,
  priority,
  pushPromise,
  rstStream,
  settings,
  SETTING,
  TYPE,
  windowUpdate,
  word,
} from './servers/h2-frames.ts';
import { each, type H2Peer } from './servers/h2-raw.ts';
import { headerBlock, indexed, remembered, type Line } from './servers/hpack.ts';
import { counted, echo, failure, get, overFrames, WAIT } from './support/h2.ts';
import { clocked, within } from './support/clocked.ts';

/** What pays: nobody, the stream that it is about, or the connection with everything on it. */
type Price = 'nothing' | 'stream' | 'connection';

interface Fault {
  /** Frames about a stream; `other` is in flight beside it. */
  readonly say: (id: number, other: number) => Uint8Array[];
  readonly price: Price;
}

/**
 * Two requests in flight on one connection. The fault is said about the first; then both are answered, as far as the
 * connection still takes it, and a third request must get its own answer.
 */
async function meets(t: ExecutionContext, { say, price }: Fault, options = {}): Promise<void> {
  const { pool, server } = await overFrames(
    t,
    async (peer) => {
      if (peer.number > 1) return each(echo)(peer);
      const requests = await peer.take(2);
      const victim = requests.find(({ path }) => path === '/victim');
      const other = requests.find(({ path }) => path === '/other');
      await peer.send(...say(victim?.id ?? 0, other?.id ?? 0));
      if (price !== 'stream') await peer.send(answer(victim?.id ?? 0, '/victim'));
      await peer.send(answer(other?.id ?? 0, '/other'));
      await each(echo)(peer);
    },
    { maxsize: 2, block: true, ...options },
  );
  const asked = (path: string): Promise<string> =>
    get(pool, path).then(
      (response) => response.text(),
      (error: Error & { code: string }) => `${error.name} ${error.code}`,
    );
  const [victim, other] = await Promise.all([asked('/victim'), asked('/other')]);
  const broken = /^ProtocolError ERR_(PROTOCOL|INCOMPLETE_READ)$/;
  if (price === 'nothing') t.is(victim, '/victim');
  else t.regex(victim, broken);
  if (price === 'connection') t.regex(other, broken);
  else t.is(other, '/other');
  t.is(await asked('/next'), '/next');
  t.is(server.peers.length, price === 'connection' ? 2 : 1);
  if (price === 'connection') await server.peers[0]?.gone();
  t.deepEqual(counted(pool), { opened: server.peers.length, idle: 1, leased: 0, waiting: 0 });
}

const lengths = (...values: string[]): Line[] => values.map((value) => ['content-length', value]);

const LENGTHS: Record<string, Fault['say']> = {
  'a length larger than the body': (id) => [head(id, 200, lengths('5')), data(id, 'abc', { end: true })],
  'a length smaller than the body': (id) => [head(id, 200, lengths('2')), data(id, 'abc', { end: true })],
  'a length of a body that there is not': (id) => [head(id, 200, lengths('5'), { end: true })],
  'two lengths': (id) => [head(id, 200, lengths('3', '4')), data(id, 'abc', { end: true })],
  'a negative length': (id) => [head(id, 200, lengths('-3')), data(id, 'abc', { end: true })],
  'a length that is no number': (id) => [head(id, 200, lengths('3x')), data(id, 'abc', { end: true })],
  'a length of no digits': (id) => [head(id, 200, lengths('')), data(id, 'abc', { end: true })],
  'a length with a sign': (id) => [head(id, 200, lengths('+3')), data(id, 'abc', { end: true })],
  'a length beyond 64 bits': (id) => [head(id, 200, lengths('18446744073709551619')), data(id, 'abc', { end: true })],
  'a length and trailers': (id) => [
    head(id, 200, lengths('5')),
    data(id, 'abc'),
    headers(id, [['a', 'b']], { end: true }),
  ],
};

for (const [what, say] of Object.entries(LENGTHS)) {
  test(`THR-408: ${what} costs the stream, and the others live on`, (t) => meets(t, { say, price: 'stream' }));
}

test('THR-408: the same length twice is one', async (t) => {
  const { pool } = await overFrames(
    t,
    each((request, peer) =>
      peer.send(head(request.id, 200, lengths('3', '3')), data(request.id, 'abc', { end: true })),
    ),
  );
  t.is((await get(pool)).text(), 'abc');
});

const malformed =
  (lines: Line[]): Fault['say'] =>
  (id) => [headers(id, lines, { end: true })];
const with200 = (...lines: Line[]): Fault['say'] => malformed([[':status', '200'], ...lines]);

const HEADS: Record<string, Fault> = {
  'no status': { say: malformed([['a', 'b']]), price: 'stream' },
  'nothing at all': { say: malformed([]), price: 'stream' },
  'a status of two digits': { say: malformed([[':status', '20']]), price: 'connection' },
  'a status that is no number': { say: malformed([[':status', '2x0']]), price: 'connection' },
  'two statuses': { say: with200([':status', '200']), price: 'stream' },
  'a pseudo-header after a field': {
    say: malformed([
      ['a', 'b'],
      [':status', '200'],
    ]),
    price: 'stream',
  },
  'a pseudo-header that is not known': { say: with200([':other', 'x']), price: 'connection' },
  'upper case': { say: with200(['X-Upper', 'x']), price: 'connection' },
  'an empty name': { say: with200(['', 'x']), price: 'connection' },
  'a blank in a name': { say: with200(['a b', 'x']), price: 'connection' },
  connection: { say: with200(['connection', 'close']), price: 'stream' },
  'transfer-encoding': { say: with200(['transfer-encoding', 'chunked']), price: 'stream' },
  'keep-alive': { say: with200(['keep-alive', 'timeout=5']), price: 'stream' },
  'proxy-connection': { say: with200(['proxy-connection', 'close']), price: 'stream' },
  upgrade: { say: with200(['upgrade', 'h2c']), price: 'stream' },
  'CR in a value': { say: with200(['a', 'x\ry']), price: 'connection' },
  'LF in a value': { say: with200(['a', 'x\ny']), price: 'connection' },
  'CRLF in a value': { say: with200(['a', 'x\r\nset-cookie: y']), price: 'connection' },
  'NUL in a value': { say: with200(['a', 'x\0y']), price: 'connection' },
  '101': { say: malformed([[':status', '101']]), price: 'stream' },
  'an index that there is not': { say: (id) => [headers(id, indexed(300))], price: 'connection' },
  'half a header block': { say: (id) => [headers(id, Buffer.of(0x00, 0x05, 0x61))], price: 'connection' },
  'a Huffman string that does not end': {
    say: (id) => [headers(id, Buffer.of(0x88, 0x00, 0x81, 0xff, 0x81, 0x00))],
    price: 'connection',
  },
};

for (const [what, fault] of Object.entries(HEADS)) {
  test(`THR-409: ${what} in a head`, (t) => meets(t, fault));
}

test('THR-411: a head may have as many bytes as limits.headerBytes, over CONTINUATION; more is ResponseTooLarge', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each((request, peer) => {
      const size = Number(request.path.slice(1)) * 1_024;
      const lines = Array.from({ length: size / 4_096 }, (_, n): Line => [`x-${n}`, 'v'.repeat(4_096 - 50)]);
      return peer.send(answer(request.id, 'body', { lines }));
    }),
    { maxsize: 2 },
  );
  for (const size of [20, 200, 250]) {
    const response = await get(pool, `/${size}`);
    t.is(response.headers['x-4']?.length, 4_046, `${size}`);
    t.is(response.text(), 'body');
  }
  for (const size of [300, 500]) {
    const error = await failure(get(pool, `/${size}`));
    t.like(
      error,
      { name: 'ResponseTooLarge', code: 'ERR_TOO_LARGE', limit: 'headerBytes', allowed: 262_144 },
      `${size}`,
    );
  }
  // Far beyond it nothing is decoded any more.
  t.like(await failure(get(pool, '/600')), { name: 'ProtocolError', reason: 'ERR_H2_STREAM' });
  t.is((await get(pool, '/20')).text(), 'body');
  const fewer = await failure(get(pool, '/20', { limits: { headerBytes: 10_000 } }));
  t.like(fewer, { name: 'ResponseTooLarge', limit: 'headerBytes', allowed: 10_000 });
  t.is(server.peers.length, 1);
});

/** Milliseconds of CPU, and bytes of memory more than before. */
async function cost(run: () => Promise<unknown>): Promise<{ cpu: number; grown: number }> {
  const [before, resident] = [process.cpuUsage(), process.memoryUsage().rss];
  await run();
  const { user, system } = process.cpuUsage(before);
  return { cpu: (user + system) / 1_000, grown: process.memoryUsage().rss - resident };
}

const openHead = (id: number): Buffer => frame(TYPE.HEADERS, 0, id, headerBlock([[':status', '200']]));
const FLOODS: Record<string, (id: number) => Buffer> = {
  'a header block that unfolds to 48 MB': (id) =>
    headers(
      id,
      Buffer.concat([indexed(8), remembered('x', 'v'.repeat(4_000)), ...(Array(12_000).fill(indexed(62)) as Buffer[])]),
    ),
  '100,000 CONTINUATION frames without payload': (id) =>
    Buffer.concat([openHead(id), ...(Array(100_000).fill(frame(TYPE.CONTINUATION, 0, id)) as Buffer[])]),
  '100,000 CONTINUATION frames of one byte': (id) =>
    Buffer.concat([openHead(id), ...(Array(100_000).fill(frame(TYPE.CONTINUATION, 0, id, indexed(8))) as Buffer[])]),
  '100,000 CONTINUATION frames of large fields': (id) => {
    const field = frame(TYPE.CONTINUATION, 0, id, headerBlock([['x', 'v'.repeat(100)]]));
    return Buffer.concat([openHead(id), ...(Array(100_000).fill(field) as Buffer[])]);
  },
};

for (const [what, make] of Object.entries(FLOODS)) {
  clocked(`THR-412: ${what}: the connection goes at once, for little`, async (t) => {
    const flood = new Map([1, 3].map((id) => [id, make(id)]));
    const { pool, server } = await overFrames(t, async (peer) => {
      if (peer.number > 1) return each(echo)(peer);
      const { id } = await peer.request();
      void peer.send(flood.get(id) ?? Buffer.alloc(0));
      await peer.gone();
    });
    const { cpu, grown } = await cost(async () => {
      const error = await failure(get(pool, '/flood'));
      t.true(['ProtocolError', 'ResponseTooLarge'].includes(error.name), error.message);
    });
    within(t, cpu < 400, `${cpu} ms`);
    within(t, grown < 48 << 20, `${grown >> 20} MiB`);
    t.is((await get(pool, '/next')).text(), '/next');
    t.is(server.peers.length, 2);
  });
}

for (const [what, one] of Object.entries({
  SETTINGS: settings([[SETTING.MAX_CONCURRENT_STREAMS, 100]]),
  PING: ping(),
})) {
  test.serial(`THR-414: 20,000 ${what} are answered, each, and the request too`, async (t) => {
    const flood = Buffer.concat(Array<Buffer>(20_000).fill(one));
    const { pool, server } = await overFrames(
      t,
      each(async (request, peer) => {
        await peer.send(flood, answer(request.id, request.path));
      }),
    );
    t.is((await get(pool, '/x')).text(), '/x');
    const peer = await server.peer(1);
    if (what === 'PING') await peer.until(() => peer.pongs >= 20_000);
    else await peer.until(() => peer.acknowledged >= 20_001);
    t.is((await get(pool, '/y')).text(), '/y');
    t.is(server.peers.length, 1);
  });

  clocked(`THR-414: a million ${what} from a peer that reads nothing pile up nowhere`, async (t) => {
    const part = Buffer.concat(Array<Buffer>(10_000).fill(one));
    const { pool } = await overFrames(t, async (peer) => {
      await peer.request();
      peer.socket.pause();
      for (let n = 0; n < 100 && !peer.socket.destroyed; n += 1) peer.socket.write(part);
      await peer.gone();
    });
    const { grown } = await cost(async () => {
      const error = await failure(get(pool, '/x', { timeout: { read: 1_500, total: 15_000 } }));
      t.true(['ReadTimeoutError', 'ProtocolError'].includes(error.name), error.message);
    });
    within(t, grown < 48 << 20, `${grown >> 20} MiB`);
  });
}

clocked('THR-414 THR-119: endless interim answers end the stream at the seventeenth', async (t) => {
  const { pool, server } = await overFrames(
    t,
    each(async (request, peer) => {
      if (request.path !== '/flood') return echo(request, peer);
      const part = Buffer.concat(Array<Buffer>(1_000).fill(head(request.id, 103, [['link', '</a>; rel=preload']])));
      for (let n = 0; n < 20 && request.reset === null; n += 1) await peer.send(part);
    }),
  );
  const { cpu, grown } = await cost(async () => {
    t.like(await failure(get(pool, '/flood')), { name: 'ProtocolError', reason: 'ERR_INFORMATIONAL_FLOOD' });
  });
  within(t, cpu < 400, `${cpu} ms`);
  within(t, grown < 32 << 20, `${grown >> 20} MiB`);
  t.is((await get(pool, '/next')).text(), '/next');
  t.true(server.peers.length <= 2);
});

for (const [what, make] of Object.entries({
  'empty DATA': (id: number) => Buffer.concat(Array<Buffer>(20_000).fill(data(id, ''))),
  'DATA of one byte': (id: number) => Buffer.concat(Array<Buffer>(200_000).fill(data(id, 'x'))),
})) {
  test.serial(
    `THR-415: a burst of ${what} that nobody reads costs the connection; the others are made again`,
    async (t) => {
      const { pool, server } = await overFrames(
        t,
        async (peer) => {
          if (peer.number > 1) return each(echo)(peer);
          const requests = await peer.take(3);
          const flooded = requests.find(({ path }) => path === '/flood');
          await peer.send(head(flooded?.id ?? 0, 200));
          await peer.settled();
          void peer.send(make(flooded?.id ?? 0));
          await peer.gone();
        },
        { maxsize: 2, block: true, retries: 3 },
      );
      const flooded = get(pool, '/flood', { preloadContent: false });
      const others = [get(pool, '/1'), get(pool, '/2')];
      const response = await flooded;
      t.deepEqual(await Promise.all(others.map(async (other) => (await other).text())), ['/1', '/2']);
      t.like(await failure(response.read()), { name: 'ProtocolError' });
      t.is(server.peers.length, 2);
    },
  );
}

test.serial('THR-415: a stream of 40,000 tiny frames that is read lives', async (t) => {
  const { pool } = await overFrames(
    t,
    each(async (request, peer) => {
      if (request.path !== '/events') return echo(request, peer);
      await peer.send(head(request.id, 200, [['content-type', 'text/event-stream']]));
      const part = Buffer.concat(Array<Buffer>(100).fill(data(request.id, 'x')));
      for (let n = 0; n < 400; n += 1) {
        await peer.send(part);
        // No faster than they are taken in.
        await peer.settled();
      }
      await peer.send(data(request.id, '', { end: true }));
    }),
  );
  let length = 0;
  for await (const piece of await get(pool, '/events', { preloadContent: false })) length += piece.length;
  t.is(length, 40_000);
  t.is((await get(pool, '/next')).text(), '/next');
  t.is(pool.numConnections, 1);
});

const most = 2 ** 31 - 1;
const FRAMES: Record<string, Fault> = {
  'MAX_FRAME_SIZE 0': { say: () => [settings([[SETTING.MAX_FRAME_SIZE, 0]])], price: 'connection' },
  'MAX_FRAME_SIZE of 2^24': { say: () => [settings([[SETTING.MAX_FRAME_SIZE, 2 ** 24]])], price: 'connection' },
  'INITIAL_WINDOW_SIZE 2^31': { say: () => [settings([[SETTING.INITIAL_WINDOW_SIZE, 2 ** 31]])], price: 'connection' },
  'INITIAL_WINDOW_SIZE 2^32 - 1': {
    say: () => [settings([[SETTING.INITIAL_WINDOW_SIZE, 2 ** 32 - 1]])],
    price: 'connection',
  },
  'ENABLE_PUSH by a server': { say: () => [settings([[SETTING.ENABLE_PUSH, 1]])], price: 'nothing' },
  'ENABLE_PUSH 2': { say: () => [settings([[SETTING.ENABLE_PUSH, 2]])], price: 'connection' },
  'a setting that is not known': { say: () => [settings([[0xabc, 1]])], price: 'nothing' },
  'SETTINGS of 5 bytes': { say: () => [frame(TYPE.SETTINGS, 0, 0, '12345')], price: 'connection' },
  'SETTINGS on a stream': { say: (id) => [frame(TYPE.SETTINGS, 0, id)], price: 'connection' },
  'an acknowledgement with a payload': {
    say: () => [frame(TYPE.SETTINGS, FLAG.ACK, 0, '123456')],
    price: 'connection',
  },
  'WINDOW_UPDATE 0 of a stream': { say: (id) => [windowUpdate(id, 0)], price: 'connection' },
  'WINDOW_UPDATE 0 of the connection': { say: () => [windowUpdate(0, 0)], price: 'connection' },
  'a window beyond 2^31 - 1 of a stream with nothing to send': {
    say: (id) => [windowUpdate(id, most), windowUpdate(id, most)],
    price: 'nothing',
  },
  'a window of the connection beyond 2^31 - 1': {
    say: () => [windowUpdate(0, most), windowUpdate(0, most)],
    price: 'connection',
  },
  'WINDOW_UPDATE of 3 bytes': { say: (id) => [frame(TYPE.WINDOW_UPDATE, 0, id, '123')], price: 'connection' },
  'WINDOW_UPDATE of an idle stream': { say: () => [windowUpdate(99, 1)], price: 'connection' },
  'a frame larger than we allow': {
    say: (id) => [head(id, 200), data(id, Buffer.alloc(131_073))],
    price: 'connection',
  },
  'padding as long as the frame': {
    say: (id) => [head(id, 200), frame(TYPE.DATA, FLAG.PADDED, id, Buffer.of(4, 1, 2, 3))],
    price: 'connection',
  },
  'padding of a frame without a byte': {
    say: (id) => [head(id, 200), frame(TYPE.DATA, FLAG.PADDED, id)],
    price: 'connection',
  },
  'padded DATA as it should be': {
    say: (id) => [priority(id), frame(0x42, 0xff, id, 'unknown'), frame(0x42, 0, 0)],
    price: 'nothing',
  },
  'DATA on stream 0': { say: () => [frame(TYPE.DATA, 0, 0, 'x')], price: 'connection' },
  'HEADERS on stream 0': { say: () => [headers(0, [[':status', '200']])], price: 'connection' },
  'RST_STREAM on stream 0': { say: () => [rstStream(0, CODE.CANCEL)], price: 'connection' },
  'RST_STREAM of an idle stream': { say: () => [rstStream(99, CODE.CANCEL)], price: 'connection' },
  'RST_STREAM of 3 bytes': { say: (id) => [frame(TYPE.RST_STREAM, 0, id, '123')], price: 'connection' },
  'PING of 7 bytes': { say: () => [ping('1234567')], price: 'connection' },
  'PING on a stream': { say: (id) => [frame(TYPE.PING, 0, id, '12345678')], price: 'connection' },
  'an answer to a PING that was not sent': { say: () => [ping('12345678', true)], price: 'nothing' },
  'GOAWAY on a stream': {
    say: (id) => [frame(TYPE.GOAWAY, 0, id, Buffer.concat([word(0), word(0)]))],
    price: 'connection',
  },
  'GOAWAY of 7 bytes': { say: () => [frame(TYPE.GOAWAY, 0, 0, '1234567')], price: 'connection' },
  'CONTINUATION of nothing': {
    say: (id) => [frame(TYPE.CONTINUATION, FLAG.END_HEADERS, id, indexed(8))],
    price: 'connection',
  },
  'another frame within a header block': { say: (id) => [openHead(id), ping()], price: 'connection' },
  'CONTINUATION of another stream': {
    say: (id, other) => [openHead(id), frame(TYPE.CONTINUATION, 4, other)],
    price: 'connection',
  },
};

for (const [what, fault] of Object.entries(FRAMES)) {
  test(`THR-419: ${what} costs ${fault.price}`, (t) => meets(t, fault));
}

test('THR-419: DATA beyond the window that we gave is an error, and more of it is not kept', async (t) => {
  const { pool, server } = await overFrames(
    t,
    async (peer) => {
      if (peer.number > 1) return each(echo)(peer);
      const { id } = await peer.request();
      const part = Buffer.concat(Array<Buffer>(16).fill(data(id, Buffer.alloc(16_384))));
      await peer.send(head(id, 200));
      await peer.settled();
      for (let n = 0; n < 40; n += 1) await peer.send(part);
      await each(echo)(peer);
    },
    { maxsize: 2 },
  );
  const response = await get(pool, '/x', { preloadContent: false });
  await server.peers[0]?.until(() => server.peers[0]?.goaway !== null || server.peers[0]?.requests[0]?.reset !== null);
  t.like(await failure(response.read()), { name: 'ProtocolError' });
  t.is((await get(pool, '/next')).text(), '/next');
});

const SWAPS: Record<string, Fault> = {
  'DATA for an idle stream': { say: () => [data(99, 'x', { end: true })], price: 'connection' },
  'HEADERS for an idle stream': { say: () => [answer(99, 'x')], price: 'connection' },
  'HEADERS for a stream of the server': { say: () => [answer(2, 'x')], price: 'connection' },
  'DATA before HEADERS': { say: (id) => [data(id, 'x', { end: true })], price: 'connection' },
  PUSH_PROMISE: {
    say: (id) => [
      pushPromise(id, 2, [
        [':method', 'GET'],
        [':path', '/p'],
        [':scheme', 'http'],
        [':authority', 'x'],
      ]),
    ],
    price: 'connection',
  },
  'PUSH_PROMISE and its answer': {
    say: (id) => [
      pushPromise(id, 2, [
        [':method', 'GET'],
        [':path', '/p'],
        [':scheme', 'http'],
        [':authority', 'x'],
      ]),
      answer(2, 'pushed'),
    ],
    price: 'connection',
  },
  'GOAWAY of more than before': { say: () => [goaway(5), goaway(99)], price: 'connection' },
};

for (const [what, fault] of Object.entries(SWAPS)) {
  test(`THR-422: ${what} costs ${fault.price}`, (t) => meets(t, fault));
}

test('THR-422: what comes for a stream after its end is nobody’s answer', async (t) => {
  for (const late of ['DATA', 'HEADERS', 'RST_STREAM', 'WINDOW_UPDATE'] as const) {
    const say = {
      DATA: (id: number) => data(id, '/evil', { end: true }),
      HEADERS: (id: number) => answer(id, '/evil'),
      RST_STREAM: (id: number) => rstStream(id, CODE.CANCEL),
      WINDOW_UPDATE: (id: number) => windowUpdate(id, 100),
    }[late];
    const { pool, server } = await overFrames(
      t,
      each(async (request, peer) => {
        await echo(request, peer);
        if (request.path === '/0') await peer.send(say(request.id));
      }),
      { retries: 2, maxsize: 2 },
    );
    for (let n = 0; n < 5; n += 1) t.is((await get(pool, `/${n}`)).text(), `/${n}`, late);
    t.true(server.peers.length <= 2);
  }
});

test('THR-422: a hundred answers whose frames are shuffled each reach their request', async (t) => {
  const { pool, server } = await overFrames(
    t,
    async (peer: H2Peer) => {
      const requests = await peer.take(100);
      const shuffled = requests.toSorted((a, b) => ((a.id * 7_919) % 211) - ((b.id * 7_919) % 211));
      for (const { id, path } of shuffled) await peer.send(head(id, 200, [['x-token', path]]));
      for (let part = 0; part < 4; part += 1) {
        const pieces = shuffled.map(({ id, path }) => data(id, `${path}:${part};`, { pad: (id * part) % 50 }));
        await peer.send(...(part % 2 === 0 ? pieces : pieces.toReversed()));
      }
      await peer.send(...shuffled.map(({ id }) => data(id, '', { end: true })));
      await each(echo)(peer);
    },
    { timeout: WAIT },
  );
  const responses = await Promise.all(Array.from({ length: 100 }, (_, n) => get(pool, `/${n}`)));
  for (const [n, response] of responses.entries()) {
    t.is(response.headers['x-token'], `/${n}`);
    t.is(response.text(), [0, 1, 2, 3].map((part) => `/${n}:${part};`).join(''));
  }
  t.is(server.peers.length, 1);
});

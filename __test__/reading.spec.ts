/** Ways of reading a response whose body was not preloaded, and what it tells of itself meanwhile. */
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { inspect } from 'node:util';
import { runInNewContext } from 'node:vm';
import zlib from 'node:zlib';

import { once } from 'node:events';

import test, { type ExecutionContext } from 'ava';

import { HTTPResponse, ProtocolError, ResponseNotRead, type HTTPConnectionPool, type PoolOptions } from '../index.ts';
import { Inflow, type Carrier } from '../facade/boundary/stream.ts';
import { BodyReader } from '../facade/reader.ts';
import { answers, reply, type Peer, type RawServer } from './servers/raw.ts';
import { rejection, scripted, served, type Fixture } from './support/fixtures.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
const WAIT = { total: 20_000 };
const STREAMED = { preloadContent: false } as const;

/** No two blocks of it are alike, so that none can be lost, doubled or moved. */
const large = Buffer.alloc(1_000_003);
for (let at = 0; at + 4 <= large.length; at += 4) large.writeUInt32LE((at * 2_654_435_761) >>> 0, at);

function chunks(body: Buffer, size: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; at += size) {
    const part = body.subarray(at, at + size);
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}

function framed(fields: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${OK}${fields}\r\n`), body]);
}

const gzip = zlib.gzipSync(large, { level: 1 });
/** The large body by every framing, plain and coded. */
const wires: Record<string, Buffer> = {
  length: framed(`Content-Length: ${large.length}\r\n`, large),
  chunked: framed('Transfer-Encoding: chunked\r\n', chunks(large, 7_001)),
  'end of stream': framed('Connection: close\r\n', large),
  'gzip, length': framed(`Content-Encoding: gzip\r\nContent-Length: ${gzip.length}\r\n`, gzip),
  'gzip, chunked': framed('Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n', chunks(gzip, 9_000)),
};

/** A pool whose server answers every request with these bytes. */
async function always(
  t: ExecutionContext,
  wire: string | Buffer,
  options: PoolOptions = {},
): Promise<HTTPConnectionPool> {
  const { pool } = await scripted(
    t,
    async (peer) => {
      for (;;) {
        await peer.request();
        await peer.write(wire);
        if (wire.includes('Connection: close')) return peer.end();
      }
    },
    { timeout: WAIT, ...options },
  );
  return pool;
}

/** A response whose head is there; the test says the rest. */
async function begun(
  t: ExecutionContext,
  head: string,
  options: PoolOptions = {},
): Promise<{ response: HTTPResponse; peer: Peer } & Fixture<RawServer>> {
  const fixture = await scripted(
    t,
    async (peer) => {
      await peer.request();
      if (peer.number > 1) return peer.write(reply('fresh'));
      await peer.write(head);
    },
    { timeout: WAIT, ...options },
  );
  const response = await fixture.pool.request('GET', '/', STREAMED);
  return { ...fixture, response, peer: await fixture.server.peer(1) };
}

async function all(pieces: AsyncIterable<Uint8Array>): Promise<Buffer[]> {
  const got: Buffer[] = [];
  for await (const piece of pieces) got.push(Buffer.from(piece));
  return got;
}

/** The next piece; none at the end, which may come soon where pieces are large. */
async function next(pieces: AsyncIterator<Buffer>): Promise<Buffer> {
  const { done, value } = await pieces.next();
  return done === true ? Buffer.alloc(0) : value;
}

/** Every way of reading a body to its end. */
const ways: Record<string, (response: HTTPResponse) => Promise<Buffer>> = {
  'read()': (response) => response.read(),
  'read(null)': (response) => response.read(null),
  'read(-1)': (response) => response.read(-1),
  'read(1,000)': async (response) => {
    const got: Buffer[] = [];
    for (let piece = await response.read(1_000); piece.length > 0; piece = await response.read(1_000)) {
      if (got.at(-1)?.length !== (got.length === 0 ? undefined : 1_000)) throw new Error('a short read in the middle');
      got.push(piece);
    }
    return Buffer.concat(got);
  },
  'read(300,000)': async (response) => {
    const got: Buffer[] = [];
    do got.push(await response.read(300_000));
    while (!response.closed);
    return Buffer.concat(got);
  },
  'read1()': async (response) => {
    const got: Buffer[] = [];
    for (let piece = await response.read1(); piece.length > 0; piece = await response.read1()) got.push(piece);
    return Buffer.concat(got);
  },
  'read1(5,000)': async (response) => {
    const got: Buffer[] = [];
    for (let piece = await response.read1(5_000); piece.length > 0; piece = await response.read1(5_000)) {
      if (piece.length > 5_000) throw new Error('more than was asked for');
      got.push(piece);
    }
    return Buffer.concat(got);
  },
  readInto: async (response) => {
    const target = Buffer.alloc(large.length + 10);
    let at = 0;
    for (;;) {
      const wanted = target.subarray(at, at + 99_999);
      const filled = await response.readInto(wanted);
      at += filled;
      if (filled < wanted.length) return target.subarray(0, at);
    }
  },
  'stream()': async (response) => Buffer.concat(await all(response.stream())),
  'stream(1,234)': async (response) => Buffer.concat(await all(response.stream(1_234))),
  'stream(null)': async (response) => Buffer.concat(await all(response.stream(null))),
  iteration: async (response) => Buffer.concat(await all(response)),
  'lines()': async (response) => Buffer.concat(await all(response.lines())),
  'toWeb()': async (response) => Buffer.concat(await all(response.toWeb())),
  'toReadable()': async (response) => Buffer.concat(await all(response.toReadable())),
  'toResponse()': async (response) => Buffer.from(await response.toResponse().arrayBuffer()),
  'read(3), then read()': async (response) => Buffer.concat([await response.read(3), await response.read()]),
  'all of them': async (response) => {
    const got = [await response.read(100), await response.read1(70_000)];
    const target = Buffer.alloc(33_333);
    got.push(target.subarray(0, await response.readInto(target)));
    const pieces = response[Symbol.asyncIterator]();
    for (let n = 0; n < 3; n += 1) got.push(await next(pieces));
    const lines = response.lines();
    got.push(await next(lines));
    // Of what the lines have taken and not given nothing is known outside; so they are read to their end.
    return Buffer.concat([...got, ...(await all(lines))]);
  },
};

const IN_ONE_GO = new Set(['read()', 'read(null)', 'read(-1)']);

test('THR-1115: readInto says so when the memory that it fills is gone, before or during the call', async (t) => {
  const gone = {
    instanceOf: TypeError,
    code: 'ERR_INVALID_OPTION',
    message: /memory of what readInto fills is gone/,
  };
  let tell = (): void => {};
  const shrunk = new Promise<void>((resolve) => (tell = resolve));
  const { pool } = await scripted(t, async (peer) => {
    await peer.request();
    await peer.write(`${OK}Content-Length: 4\r\n\r\n`);
    await shrunk;
    await peer.write('abcd');
  });
  const response = await pool.request('GET', '/', STREAMED);
  const moved = new Uint8Array(4);
  structuredClone(moved.buffer, { transfer: [moved.buffer] });
  await t.throwsAsync(response.readInto(moved), gone);
  t.is(await response.readInto(new Uint8Array(0)), 0);
  // Newer than the library that this is compiled with.
  type Resizable = ArrayBuffer & { resize(length: number): void };
  const shrinks = Reflect.construct(ArrayBuffer, [4, { maxByteLength: 8 }]) as Resizable;
  const filling = response.readInto(new Uint8Array(shrinks));
  shrinks.resize(0);
  tell();
  await t.throwsAsync(filling, gone);
  response.close();
});

for (const [framing, wire] of Object.entries(wires)) {
  test(`READ-01 READ-02 READ-03 READ-04 READ-07 READ-09 RESP-09 RESP-21: ${framing}: every way gives every byte, and then nothing`, async (t) => {
    const pool = await always(t, wire);
    for (const [way, read] of Object.entries(ways)) {
      const what = `${way}, ${framing}`;
      const response = await pool.request('GET', '/', STREAMED);
      t.false(response.closed, what);
      const got = await read(response);
      t.true(got.equals(large), `${what}: ${got.length} bytes`);
      t.is((await response.read()).length, 0, what);
      t.is((await response.read(10)).length, 0, what);
      t.is((await response.read1()).length, 0, what);
      t.is(await response.readInto(Buffer.alloc(4)), 0, what);
      t.deepEqual(await all(response), [], what);
      t.deepEqual(await all(response.stream(5)), [], what);
      t.deepEqual(await all(response.lines()), [], what);
      t.true(response.closed, what);
      t.is(response.bytesRead, framing.startsWith('gzip') ? gzip.length : large.length, what);
      if (IN_ONE_GO.has(way)) t.is(response.data.length, large.length, what);
      else if (way !== 'stream(null)') t.throws(() => response.data, { instanceOf: ResponseNotRead }, what);
    }
    const { opened, leased } = pool.stats();
    t.is(leased, 0);
    t.is(opened, framing === 'end of stream' ? Object.keys(ways).length : 1, 'the connection serves again each time');
  });
}

test('READ-01 RESP-14 RESP-15: after one read() the body is data, json() and text(); before it they are not there', async (t) => {
  const pool = await always(t, Buffer.from(reply('{"größe":1}')));
  const response = await pool.request('GET', '/', STREAMED);
  for (const get of [() => response.data, () => response.text(), () => response.json(), () => response.charset]) {
    const error = t.throws(get, { instanceOf: ResponseNotRead, code: 'ERR_NOT_READ' });
    t.regex(error.message, /has not been read/);
  }
  const body = await response.read();
  t.is(response.data, body);
  t.deepEqual(response.json(), { größe: 1 });
  t.is(response.text(), '{"größe":1}');
  t.is((await response.read()).length, 0);
  t.is(response.data, body);

  const parts = await pool.request('GET', '/', STREAMED);
  await parts.read(1);
  t.throws(() => parts.data, { instanceOf: ResponseNotRead, message: /in pieces/ });
  await parts.read();
  t.throws(() => parts.data, { instanceOf: ResponseNotRead, message: /in pieces/ });
});

test('RESP-14 RESP-23: of a body that was drained there is no data, read on or not; of one that was read before there is', async (t) => {
  const pool = await always(t, reply('hello'));
  const response = await pool.request('GET', '/', STREAMED);
  await response.drainConn();
  const drained = { instanceOf: ResponseNotRead, code: 'ERR_NOT_READ', message: /was drained/ };
  t.throws(() => response.data, drained);
  t.is((await response.read()).length, 0);
  await response.drainConn();
  response.close();
  t.is((await response.read()).length, 0);
  for (const get of [() => response.data, () => response.text(), () => response.json()]) t.throws(get, drained);

  const parts = await pool.request('GET', '/', STREAMED);
  await parts.read(1);
  await parts.drainConn();
  t.throws(() => parts.data, { instanceOf: ResponseNotRead, message: /in pieces/ });

  const whole = await pool.request('GET', '/', STREAMED);
  await whole.read();
  await whole.drainConn();
  t.is(whole.text(), 'hello');

  const empty = await pool.request('HEAD', '/', STREAMED);
  await empty.drainConn();
  t.is((await empty.read()).length, 0);
  t.is(empty.text(), '', 'nothing was dropped');
});

test('READ-08: the server’s chunks are not told apart: there is no readChunked, and the page of differences says so', async (t) => {
  const { pool } = await scripted(t, async (peer) => {
    await peer.request();
    await peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n');
  });
  const response = await pool.request('GET', '/', { preloadContent: false });
  t.false('readChunked' in response);
  t.is((await response.read()).toString(), 'abc');
  t.regex(readFileSync(new URL('../docs/limits-and-gaps.md', import.meta.url), 'utf8'), /there is no `readChunked`/);
});

test('READ-02 READ-14 RESP-21: a read of nothing gives nothing, at once, and ends nothing', async (t) => {
  const { response, peer } = await begun(t, `${OK}Content-Length: 3\r\n\r\n`);
  t.is((await response.read(0)).length, 0);
  t.is((await response.read1(0)).length, 0);
  t.is(await response.readInto(Buffer.alloc(0)), 0);
  t.deepEqual(await all(response.stream(0)), []);
  t.false(response.closed);
  await peer.write('abc');
  t.is((await response.read(3)).toString(), 'abc');
  t.true(response.closed);
});

test('READ-14: what is no number of bytes is refused, and the body is still there', async (t) => {
  const pool = await always(t, reply('body'));
  const response = await pool.request('GET', '/', STREAMED);
  const code = 'ERR_INVALID_OPTION';
  for (const bad of ['5', {}, 5n, true]) {
    await t.throwsAsync(response.read(bad as number), { instanceOf: TypeError, code });
    await t.throwsAsync(response.read1(bad as number), { instanceOf: TypeError, code });
    t.throws(() => response.stream(bad as number), { instanceOf: TypeError, code });
  }
  for (const bad of [-2, 1.5, Number.NaN, Infinity]) {
    await t.throwsAsync(response.read(bad), { instanceOf: RangeError, code });
    await t.throwsAsync(response.read1(bad), { instanceOf: RangeError, code });
    t.throws(() => response.stream(bad), { instanceOf: RangeError, code });
  }
  await t.throwsAsync(response.readInto([] as never), { instanceOf: TypeError, code });
  t.is((await response.read()).toString(), 'body');
});

test('READ-03: read1 waits for something and gives what is at hand; read(n) waits for all of it', async (t) => {
  const { response, peer } = await begun(t, `${OK}Content-Length: 12\r\n\r\nab`);
  t.is((await response.read1()).toString(), 'ab');
  const next = response.read1();
  await peer.write('cdefg');
  t.is((await next).toString(), 'cdefg'.slice(0, (await next).length));
  const rest = 5 - (await next).length;
  t.is((await response.read(rest)).length, rest);
  const whole = response.read(5);
  await peer.write('hi');
  const early = await Promise.race([
    whole.then(() => 'early'),
    new Promise((resolve) => setTimeout(resolve, 50, 'waits')),
  ]);
  t.is(early, 'waits');
  await peer.write('jkl');
  t.is((await whole).toString(), 'hijkl');
});

test('READ-09: readInto writes into the view that it was given, and nowhere else', async (t) => {
  const pool = await always(t, reply('hello world'));
  const response = await pool.request('GET', '/', STREAMED);
  const memory = new Uint8Array(9).fill(46);
  t.is(await response.readInto(memory.subarray(2, 7)), 5);
  t.is(Buffer.from(memory).toString(), '..hello..');
  t.is(await response.readInto(memory), 6);
  t.is(Buffer.from(memory).toString(), ' worldo..');
});

test('READ-09: readInto fills bytes of another realm and clamped ones, and no other view', async (t) => {
  const pool = await always(t, reply('hello'));
  const response = await pool.request('GET', '/', STREAMED);
  const elsewhere = runInNewContext('new Uint8Array(2)') as Uint8Array;
  const clamped = new Uint8ClampedArray(2);
  t.deepEqual([await response.readInto(elsewhere), await response.readInto(clamped)], [2, 2]);
  t.is(String.fromCharCode(...elsewhere, ...clamped), 'hell');
  for (const other of [new Uint16Array(2), new ArrayBuffer(2), [0, 0]]) {
    await t.throwsAsync(response.readInto(other as unknown as Uint8Array), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_OPTION',
    });
  }
  t.is((await response.read()).toString(), 'o');
});

test('READ-07: stream(n) gives pieces of exactly n bytes, stream(null) one piece, or what arrives of a chunked body', async (t) => {
  for (const [framing, wire] of Object.entries(wires)) {
    const pool = await always(t, wire);
    for (const [amount, size] of [
      [undefined, 65_536],
      [10_000, 10_000],
      [1_000_003, 1_000_003],
      [2_000_000, 1_000_003],
    ] as const) {
      const pieces = await all((await pool.request('GET', '/', STREAMED)).stream(amount));
      const sizes = pieces.map((piece) => piece.length);
      t.is(sizes.length, Math.ceil(1_000_003 / size), `${framing} ${amount}`);
      t.true(sizes.slice(0, -1).every((one) => one === size));
    }
    const whole = await all((await pool.request('GET', '/', STREAMED)).stream(null));
    if (framing.includes('chunked')) t.true(whole.length > 1 && whole.every((piece) => piece.length > 0), framing);
    else t.is(whole.length, 1, framing);
  }
});

test('READ-10 WART-21: iteration yields each piece as it arrives', async (t) => {
  const { response, peer } = await begun(t, CHUNKED);
  const got: string[] = [];
  await peer.write('4\r\none\n\r\n');
  for await (const piece of response) {
    got.push(piece.toString());
    if (got.length === 1) await peer.write('9\r\ntwo\nthree\r\n');
    if (got.length === 2) await peer.write('0\r\n\r\n');
  }
  t.deepEqual(got, ['one\n', 'two\nthree']);
  t.true(response.closed);
});

test('READ-10: a line is whole however it arrives, and the last one needs no line feed', async (t) => {
  const { response, peer } = await begun(t, CHUNKED);
  const got: string[] = [];
  const reading = (async () => {
    for await (const line of response.lines()) got.push(line.toString());
  })();
  for (const piece of ['o', 'ne\r', '\n\n', 'tw', 'o\nthree\nfo', 'ur']) {
    await peer.write(`${piece.length.toString(16)}\r\n${piece}\r\n`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await peer.write('0\r\n\r\n');
  await reading;
  t.deepEqual(got, ['one\r\n', '\n', 'two\n', 'three\n', 'four']);
});

test('reads that wait are served in the order in which they were made, and go with iteration', async (t) => {
  const { response, peer } = await begun(t, `${OK}Content-Length: 26\r\n\r\n`);
  const reads = [response.read(3), response.read1(2), response.read(4), response.readInto(Buffer.alloc(1))] as const;
  const pieces = response[Symbol.asyncIterator]();
  const next = pieces.next();
  const last = response.read();
  const after = response.read(5);
  await peer.write('abcdefghij');
  t.is((await reads[0]).toString(), 'abc');
  t.is((await reads[1]).toString(), 'de');
  t.is((await reads[2]).toString(), 'fghi');
  t.is(await reads[3], 1);
  await peer.write('klmnopqrstuvwxyz');
  const piece = (await next).value as Buffer;
  t.is(piece.toString() + (await last).toString(), 'klmnopqrstuvwxyz');
  t.is((await after).length, 0);
  t.true(response.closed);
});

test('a read of everything leaves nothing to the reads that were made after it', async (t) => {
  const { response, peer } = await begun(t, `${OK}Content-Length: 26\r\n\r\n`);
  const whole = response.read();
  const after = [response.read1(), response.read(5), response[Symbol.asyncIterator]().next()] as const;
  await peer.write('abcdefghij');
  await new Promise((resolve) => setTimeout(resolve, 20));
  await peer.write('klmnopqrstuvwxyz');
  t.is((await whole).toString(), 'abcdefghijklmnopqrstuvwxyz');
  t.is((await after[0]).length + (await after[1]).length, 0);
  t.true((await after[2]).done);
  t.is(response.data.length, 26);
});

test('a read that waits behind one that fails fails with the same error', async (t) => {
  const { response, peer } = await begun(t, `${OK}Content-Length: 26\r\n\r\n`);
  const [first, second, third] = [response.read(20), response.read(), response.read1()];
  await peer.write('abc');
  peer.end();
  t.is((await first).toString(), 'abc', 'what came comes first');
  const error = await rejection(second, ProtocolError);
  t.is(await rejection(third, ProtocolError), error);
  t.is(await rejection(response.read(1), ProtocolError), error);
});

test('toReadable: a stream of Node’s, with its back-pressure; destroyed, it lets go', async (t) => {
  const pool = await always(t, wires['length'] as Buffer);
  const readable = (await pool.request('GET', '/', STREAMED)).toReadable();
  t.true(readable instanceof Readable);
  const got: Buffer[] = [];
  await pipeline(readable, async function (source: AsyncIterable<Buffer>) {
    for await (const piece of source) got.push(piece);
  });
  t.true(Buffer.concat(got).equals(large));
  t.is(pool.stats().idle, 1);

  const left = await pool.request('GET', '/', STREAMED);
  const stream = left.toReadable();
  stream.destroy();
  await new Promise((resolve) => stream.once('close', resolve));
  t.true(left.closed);
  t.is((await (await pool.request('GET', '/', STREAMED)).read()).length, large.length);
  t.is(pool.numConnections, 2);
});

test('toReadable: every byte comes, whenever and however often Node asks for more', async (t) => {
  const pieces = 2000;
  const { pool } = await served(t, (_, response) => {
    let nth = 0;
    const more = (): void => {
      if (nth === pieces) return void response.end();
      nth += 1;
      response.write(Buffer.alloc(nth % 10 === 0 ? 70_000 : 1, 'x'));
      setImmediate(more);
    };
    more();
  });
  const response = await pool.request('GET', '/', STREAMED);
  let length = 0;
  const readable = response.toReadable();
  readable.on('readable', () => {
    for (let chunk: Buffer | null; (chunk = readable.read() as Buffer | null) !== null;) length += chunk.length;
  });
  await once(readable, 'end');
  t.is(length, (pieces / 10) * 70_000 + (pieces / 10) * 9);
});

test('toReadable: an error of the body is the stream’s', async (t) => {
  const { response, peer } = await begun(t, `${OK}Content-Length: 9\r\n\r\nhalf`);
  const readable = response.toReadable().setEncoding('utf8');
  let got = '';
  readable.on('data', (piece: string) => {
    got += piece;
    peer.end();
  });
  const error = await new Promise((resolve) => readable.once('error', resolve));
  t.is(got, 'half');
  t.true(error instanceof ProtocolError);
  t.like(error, { code: 'ERR_INCOMPLETE_READ', expected: 5 });
});

test('toWeb: a stream of the web’s; cancelled, it lets go; an error of the body is its own', async (t) => {
  const pool = await always(t, wires['chunked'] as Buffer);
  const got = await text((await pool.request('GET', '/', STREAMED)).toWeb().pipeThrough(new TransformStream()));
  t.is(got, large.toString());
  const left = await pool.request('GET', '/', STREAMED);
  const reader = left.toWeb().getReader();
  t.true(((await reader.read()).value as Uint8Array).length > 0);
  await reader.cancel();
  t.true(left.closed);

  const { response, peer } = await begun(t, `${OK}Content-Length: 9\r\n\r\nhalf`);
  const broken = response.toWeb().getReader();
  t.is(Buffer.from((await broken.read()).value as Uint8Array).toString(), 'half');
  peer.end();
  await rejection(broken.read(), ProtocolError);
});

test('toResponse: a Response of fetch’s, decoded and labelled as what it then is', async (t) => {
  const json = '{"a":1}';
  const coded = zlib.gzipSync(json);
  const pool = await always(
    t,
    framed(
      `Content-Type: application/json\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Encoding: gzip\r\nContent-Length: ${coded.length}\r\n`,
      coded,
    ),
  );
  for (const options of [STREAMED, {}]) {
    const response = (await pool.request('GET', '/', options)).toResponse();
    t.is(response.status, 200);
    t.is(response.statusText, 'OK');
    t.deepEqual(
      [...response.headers],
      [
        ['content-type', 'application/json'],
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
      ],
    );
    t.deepEqual(await response.json(), { a: 1 });
  }
  // What is not decoded keeps both.
  for (const decodeContent of [STREAMED, {}]) {
    const raw = (await pool.request('GET', '/', { ...decodeContent, decodeContent: false })).toResponse();
    t.is(raw.headers.get('content-encoding'), 'gzip');
    t.is(raw.headers.get('content-length'), String(coded.length));
    t.deepEqual(Buffer.from(await raw.arrayBuffer()), coded);
  }
});

test('toResponse: statuses without a body have none and hold no connection; those of no Response are a RangeError', async (t) => {
  const { pool } = await scripted(t, async (peer) => {
    for (;;) {
      const status = (await peer.request()).slice(5, 8);
      const body = status === '204' || status === '304' ? '' : 'Content-Length: 4\r\n\r\nbody';
      await peer.write(`HTTP/1.1 ${status} S\r\n${body === '' ? '\r\n' : body}`);
    }
  });
  for (const options of [STREAMED, {}]) {
    for (const status of [204, 205, 304]) {
      const response = (await pool.request('GET', `/${status}`, options)).toResponse();
      t.is(response.status, status);
      t.is(response.body, null);
    }
    for (const status of [600, 999]) {
      const response = await pool.request('GET', `/${status}`, options);
      t.throws(() => response.toResponse(), { instanceOf: RangeError, code: 'ERR_INVALID_OPTION' });
      t.is((await response.read()).toString(), 'body', 'it can still be read');
    }
    for (const status of [200, 404, 599]) {
      t.is(await (await pool.request('GET', `/${status}`, options)).toResponse().text(), 'body');
    }
  }
  t.is(pool.numConnections, 1);
  t.throws(() => new HTTPResponse('', { status: 199 }).toResponse(), { instanceOf: RangeError });

  const { response, peer, pool: other } = await begun(t, 'HTTP/1.1 205 S\r\nContent-Length: 100000\r\n\r\n');
  t.is(response.toResponse().body, null);
  await peer.gone();
  t.is((await other.request('GET', '/')).data.toString(), 'fresh');
});

test('RESP-08 RESP-21 RESP-24: what a response tells of its body while it is read', async (t) => {
  const { response, peer } = await begun(t, `${OK}Content-Length: 10\r\n\r\n`);
  const seen = (): unknown[] => [response.bytesRead, response.lengthRemaining, response.closed];
  t.deepEqual(seen(), [0, 10, false]);
  await peer.write('abcdef');
  await response.read(2);
  t.deepEqual(seen(), [2, 8, false]);
  await response.read(4);
  t.deepEqual(seen(), [6, 4, false]);
  await peer.write('ghij');
  await response.read(4);
  t.deepEqual(seen(), [10, 0, true], 'the last byte, and the length is known');

  const chunked = await begun(t, CHUNKED);
  t.true(chunked.response.chunked);
  await chunked.peer.write('3\r\nabc\r\n0\r\n\r\n');
  await chunked.response.read(3);
  t.deepEqual(
    [chunked.response.bytesRead, chunked.response.lengthRemaining, chunked.response.closed],
    [3, null, false],
  );
  t.is((await chunked.response.read(1)).length, 0);
  t.true(chunked.response.closed, 'at the next empty read where the length is not known');
});

test('RESP-21: the last byte of a known length closes the response, before its end has been told', async (t) => {
  const carrier: Carrier = { order() {}, piece() {}, finish() {}, hold() {} };
  const readers = [true, false].map((raw) => {
    const inflow = new Inflow(carrier, 0, 0, 0);
    inflow.push(Buffer.from('hello'), 5);
    return new BodyReader(inflow, { length: 5, raw });
  });
  const closed = readers.map(async (reader) => {
    await reader.readExactly(4);
    const before = reader.closed;
    await reader.readExactly(1);
    return [before, reader.closed];
  });
  // What is decoded may go on without another byte from the wire.
  t.deepEqual(await Promise.all(closed), [
    [false, true],
    [false, false],
  ]);
});

test('RESP-24: bytesRead of a coded body counts the wire, and never runs ahead of it', async (t) => {
  const { response, peer } = await begun(t, `${OK}Content-Encoding: gzip\r\nContent-Length: ${gzip.length}\r\n\r\n`);
  void peer.write(gzip);
  let before = 0;
  for await (const piece of response) {
    t.true(piece.length > 0);
    t.true(response.bytesRead >= before && response.bytesRead <= gzip.length);
    before = response.bytesRead;
  }
  t.is(response.bytesRead, gzip.length);
  t.is(response.lengthRemaining, 0);
});

test('THR-236 WART-18 RESP-24: a transfer coding is undone on the way, and bytesRead still counts the wire', async (t) => {
  const body = 'a line that repeats itself\n'.repeat(60_000);
  const coded = zlib.gzipSync(body);
  const wire = framed('Transfer-Encoding: gzip, chunked\r\n', chunks(coded, 100));
  const pool = await always(t, wire);
  for (const decodeContent of [true, false]) {
    const response = await pool.request('GET', '/', { ...STREAMED, decodeContent });
    let [given, before] = [0, 0];
    for await (const piece of response) {
      given += piece.length;
      t.true(response.bytesRead >= before && response.bytesRead <= coded.length);
      before = response.bytesRead;
    }
    t.is(given, body.length);
    t.is(response.bytesRead, coded.length);
  }
});

test('RESP-25: what a response knows of its connection stays when it has given it back', async (t) => {
  const pool = await always(t, reply('body'));
  const response = await pool.request('GET', '/', STREAMED);
  const before = response.connection;
  await response.read();
  t.deepEqual(response.connection, before);
  t.is(typeof before?.id, 'number');
  t.is((await pool.request('GET', '/')).connection?.id, before?.id);
});

test('RESP-12 THR-209 THR-210: trailers and timings are there once the body has ended', async (t) => {
  for (const read of [
    (response: HTTPResponse) => response.read(),
    (response: HTTPResponse) => all(response),
    (response: HTTPResponse) => response.drainConn(),
  ]) {
    const { response, peer } = await begun(t, `${CHUNKED}3\r\nabc\r\n`);
    t.deepEqual([...response.trailers.entries()], []);
    t.is(response.timings?.body, null);
    t.is(response.timings?.total, null);
    const reading = read(response);
    await peer.write('0\r\nX-Sum: 6\r\nContent-Length: 9\r\n\r\n');
    await reading;
    t.deepEqual([...response.trailers.entries()], [['x-sum', '6']]);
    const { headers, body, total } = response.timings ?? {};
    t.true(typeof headers === 'number' && typeof body === 'number' && typeof total === 'number');
    t.true((total as number) >= (body as number));
  }
});

test('the same methods serve a body that is there already: preloaded, or of one’s own', async (t) => {
  const pool = await always(t, reply('one\ntwo\nthree'));
  const makers: [string, () => Promise<HTTPResponse>][] = [
    ['preloaded', () => pool.request('GET', '/')],
    ['own', () => Promise.resolve(new HTTPResponse('one\ntwo\nthree'))],
    ['own, by from', () => Promise.resolve(HTTPResponse.from('one\ntwo\nthree', { status: 201 }))],
    ['own, of bytes', () => Promise.resolve(new HTTPResponse(Buffer.from('one\ntwo\nthree')))],
  ];
  for (const [what, make] of makers) {
    for (const [way, read] of Object.entries(ways)) {
      if (way === 'all of them') continue;
      const response = await make();
      t.is((await read(response)).toString(), 'one\ntwo\nthree', `${what}, ${way}`);
      t.is((await response.read()).length, 0, `${what}, ${way}`);
      t.is(response.text(), 'one\ntwo\nthree', `${what}, ${way}`);
      t.true(response.closed);
      t.is(response.lengthRemaining, 0);
      t.is(response.bytesRead, 13);
    }
    const response = await make();
    t.is((await response.read(4)).toString(), 'one\n');
    t.deepEqual((await all(response.lines())).map(String), ['two\n', 'three']);
    response.releaseConn();
    response.close();
    await response.drainConn();
    t.is(response.data.toString(), 'one\ntwo\nthree', 'it is there, whatever was read or closed');
  }
  const empty = new HTTPResponse();
  t.is((await empty.read()).length, 0);
  t.deepEqual(await all(empty), []);
  t.is(await empty.toResponse().text(), '');
  t.is(pool.stats().leased, 0);
});

test('a response is inspected as what it is; of one let go of unread it is said so', async (t) => {
  const { response } = await begun(t, `${OK}Content-Length: 9\r\n\r\nhalf`);
  t.is(inspect(response), `HTTPResponse(status=200, url='${response.url}')`);
  response.close();
  t.throws(() => response.data, { instanceOf: ResponseNotRead, message: /let go of/ });
  t.is(
    inspect(HTTPResponse.from(null, { status: 404, url: 'http://own/' })),
    "HTTPResponse(status=404, url='http://own/')",
  );
});

test('RESP-10: a response without a body is over with its head', async (t) => {
  const pool = await always(t, `${OK}Content-Length: 5\r\nContent-Encoding: gzip\r\n\r\n`);
  for (const [way, read] of Object.entries(ways)) {
    if (way === 'all of them') continue;
    const response = await pool.request('HEAD', '/', STREAMED);
    t.true(response.closed, way);
    t.is(response.lengthRemaining, 0, way);
    t.is((await read(response)).length, 0, way);
    t.deepEqual(response.headers.get('content-length'), '5');
  }
  t.is(pool.numConnections, 1);
});

test('POOL-16: an empty or small body that nobody reads keeps no connection', async (t) => {
  const { pool } = await scripted(t, answers(reply(''), `${CHUNKED}0\r\n\r\n`, reply('small')), { block: true });
  for (let n = 0; n < 6; n += 1) await pool.request('GET', '/', { ...STREAMED, poolTimeout: 5_000 });
  t.is(pool.numConnections, 1);
});

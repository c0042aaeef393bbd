/**
 * Request bodies of every kind: what arrives of each, how it is framed and typed, and how little of it is read before
 * there is room. What goes wrong with them is in `upload-failures.spec.ts`.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Duplex, PassThrough, Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import undici from 'undici';

import {
  encodeMultipartFormdata,
  HTTPConnection,
  PoolManager,
  ReadTimeoutError,
  request,
  RequestField,
  type BodyPiece,
  type HeaderSource,
  type HTTPConnectionPool,
  type PoolOptions,
  type Progress,
  type RequestBody,
  type RequestOptions,
} from '../index.ts';
import { answers, reply } from './servers/raw.ts';
import { outcome } from './support/child.ts';
import { rejection, scripted, served } from './support/fixtures.ts';
import { vectors } from './support/vectors.ts';
import { clocked, within } from './support/clocked.ts';

interface Seen {
  readonly headers: http.IncomingHttpHeaders;
  readonly raw: string[];
  readonly body: Buffer;
}

interface Receiver {
  readonly pool: HTTPConnectionPool;
  /** Sends this and gives what arrived. */
  readonly post: (options: RequestOptions, method?: string) => Promise<Seen>;
}

/** A server that keeps what it gets. */
async function receiver(t: ExecutionContext, options: PoolOptions = {}): Promise<Receiver> {
  const seen: Seen[] = [];
  const { pool } = await served(
    t,
    (request, response) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () => {
        seen.push({ headers: request.headers, raw: request.rawHeaders, body: Buffer.concat(pieces) });
        response.end('ok');
      });
    },
    { timeout: WAIT, ...options },
  );
  const post = async (options: RequestOptions, method = 'POST'): Promise<Seen> => {
    const response = await pool.request(method, '/', options);
    t.is(response.text(), 'ok');
    return seen.at(-1) as Seen;
  };
  return { pool, post };
}

/** Ends what hangs: where all the tests of this file send at once, one body alone may take many seconds. */
const WAIT = { total: 120_000 };
const CHUNKED = { 'transfer-encoding': 'chunked' };
const sized = (length: number): object => ({ 'content-length': String(length) });
const framing = ({ headers }: Seen): object => {
  const { 'content-length': length, 'transfer-encoding': coding } = headers;
  return {
    ...(length !== undefined && { 'content-length': length }),
    ...(coding !== undefined && { 'transfer-encoding': coding }),
  };
};
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** ASCII that repeats at no power of two. */
function bytesOf(size: number): Buffer {
  const line = Buffer.from('0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ\n+/');
  return Buffer.alloc(size, line);
}

function* cut(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function* later(pieces: Iterable<BodyPiece>): AsyncGenerator<BodyPiece> {
  for (const piece of pieces) {
    await Promise.resolve();
    yield piece;
  }
}

function webStream(pieces: Iterable<Uint8Array>, type?: 'bytes'): ReadableStream {
  const iterator = pieces[Symbol.iterator]();
  return new ReadableStream({
    ...(type !== undefined && { type }),
    pull(controller: ReadableStreamDefaultController) {
      const { done, value } = iterator.next();
      if (done === true) controller.close();
      else controller.enqueue(Uint8Array.from(value));
    },
  } as object);
}

function shared(bytes: Buffer): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(bytes.length);
  new Uint8Array(memory).set(bytes);
  return memory;
}

/** With its length. */
const WHOLE: Record<string, (bytes: Buffer) => RequestBody> = {
  string: (bytes) => bytes.toString('latin1'),
  Buffer: (bytes) => bytes,
  ArrayBuffer: (bytes) => Uint8Array.from(bytes).buffer,
  SharedArrayBuffer: shared,
  'view of shared memory': (bytes) => new Uint8Array(shared(bytes)),
  DataView: (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
  Blob: (bytes) => new Blob([bytes]),
  'Blob of many': (bytes) => new Blob([...cut(bytes, 40_000)]),
  File: (bytes) => new File([bytes], 'name.bin'),
};

/** Without it. */
const PIECES: Record<string, (bytes: Buffer, size: number) => RequestBody> = {
  'Readable of bytes': (bytes, size) => Readable.from(cut(bytes, size), { objectMode: false }),
  'Readable of objects': (bytes, size) => Readable.from(cut(bytes, size)),
  'Readable of strings': (bytes, size) => Readable.from([...cut(bytes, size)].map(String)),
  PassThrough: (bytes, size) => {
    const through = new PassThrough();
    Readable.from(cut(bytes, size)).pipe(through);
    return through;
  },
  Duplex: (bytes, size) => Duplex.from(cut(bytes, size)),
  ReadableStream: (bytes, size) => webStream(cut(bytes, size)),
  'ReadableStream of bytes': (bytes, size) => webStream(cut(bytes, size), 'bytes'),
  'stream of a Blob': (bytes) => new Blob([bytes]).stream() as ReadableStream,
  array: (bytes, size) => [...cut(bytes, size)],
  'array of all kinds': (bytes, size) =>
    [...cut(bytes, size)].map((piece, nth) => {
      if (nth % 4 === 0) return piece.toString();
      if (nth % 4 === 1) return Uint8Array.from(piece).buffer;
      if (nth % 4 === 2) return shared(piece);
      return new DataView(piece.buffer, piece.byteOffset, piece.byteLength);
    }),
  Set: (bytes, size) => new Set(cut(bytes, size)),
  generator: (bytes, size) => cut(bytes, size),
  'async generator': (bytes, size) => later(cut(bytes, size)),
  'function of bytes': (bytes) => () => bytes,
  'function of a string': (bytes) => () => bytes.toString('latin1'),
  'function of a Blob': (bytes) => () => new Blob([bytes]),
  'function of an array': (bytes, size) => () => [...cut(bytes, size)],
  'function of a generator': (bytes, size) => () => cut(bytes, size),
  'function of a Readable': (bytes, size) => () => Readable.from(cut(bytes, size)),
  'async function of a ReadableStream': (bytes, size) => () => Promise.resolve(webStream(cut(bytes, size))),
};

const SIZES = [0, 1, 65_535, 65_536, 65_537, 5 << 20];

for (const [kind, make] of Object.entries(WHOLE)) {
  test(`BODY-08: ${kind} arrives as it is, with its length`, async (t) => {
    const { pool, post } = await receiver(t);
    for (const size of SIZES) {
      const bytes = bytesOf(size);
      const seen = await post({ body: make(bytes) });
      t.is(digest(seen.body), digest(bytes), `${size}`);
      t.deepEqual(framing(seen), sized(size));
      t.is(seen.headers['content-type'], undefined);
      const chunked = await post({ body: make(bytes), chunked: true });
      t.is(digest(chunked.body), digest(bytes), `${size}`);
      t.deepEqual(framing(chunked), CHUNKED);
    }
    t.is(pool.numConnections, 1);
  });
}

for (const [kind, make] of Object.entries(PIECES)) {
  test(`BODY-08, BODY-11: ${kind} arrives as it is, in chunks or by the caller’s length`, async (t) => {
    const { pool, post } = await receiver(t);
    for (const size of SIZES) {
      const bytes = bytesOf(size);
      for (const piece of [70_000, ...(size > 65_537 ? [3 << 20] : size === 65_536 ? [1] : [])]) {
        const seen = await post({ body: make(bytes, piece) });
        t.is(digest(seen.body), digest(bytes), `${size} by ${piece}`);
        t.deepEqual(framing(seen), CHUNKED);
        t.is(seen.headers['content-type'], undefined);
      }
      if (size === 0) continue;
      const seen = await post({ body: make(bytes, 70_000), headers: { 'content-LENGTH': String(size) } });
      t.is(digest(seen.body), digest(bytes), `${size} with its length`);
      t.deepEqual(framing(seen), sized(size));
    }
    t.is(pool.numConnections, 1);
  });
}

test('BODY-08: strings are UTF-8 in every kind, and half of a surrogate pair is U+FFFD', async (t) => {
  const { post } = await receiver(t);
  for (const body of [
    'äöü€😀\ud800',
    ['äö', 'ü€😀', '\ud800'],
    Readable.from(['äöü', '€😀\ud800']),
    () => 'äöü€😀\ud800',
  ]) {
    t.is((await post({ body })).body.toString(), 'äöü€😀\ufffd');
  }
});

test('BODY-08, BODY-10, THR-505: a body in chunks reaches a server that answers as HTTP/1.0 and keeps connections', async (t) => {
  const old = 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok';
  const { pool, server } = await scripted(t, answers(old), { timeout: WAIT, retries: 0 });
  const reused = (): number => pool.stats().reused;
  const options: RequestOptions[] = [
    { body: ['hello'] },
    { body: later(['hello']) },
    { body: () => ['hello'] },
    { body: 'hello', chunked: true },
    { body: 'hello', headers: { 'Transfer-Encoding': 'chunked' } },
  ];
  for (const own of options) {
    await pool.request('GET', '/');
    t.is(pool.pool?.idle, 1, 'a connection is there that has spoken HTTP/1.0');
    const before = reused();
    const response = await pool.request('POST', '/', own);
    t.false(response.connection?.reused);
    t.is(reused(), before, 'what was passed over was not used');
    const sent = (server.peers.at(-1)?.received ?? Buffer.alloc(0)).toString('latin1');
    t.regex(sent, /^POST \/ HTTP\/1\.1\r\n[^]*\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/);
    t.is(pool.pool?.leased, 0);
  }
  const response = await pool.request('POST', '/', { body: 'hello' });
  t.true(response.connection?.reused, 'what needs no chunks takes it');
  t.true(server.peers.at(-1)?.received.toString('latin1').endsWith('\r\n\r\nhello'));
});

test('BODY-08, REDIR-02, THR-505: nor does a redirect from such a server lose a body in chunks', async (t) => {
  const moved = 'HTTP/1.0 307 Moved\r\nConnection: keep-alive\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n';
  const options = { timeout: WAIT, retries: 2, maxsize: 1, block: true };
  const { pool, server } = await scripted(t, answers(moved, reply('end')), options);
  t.is((await pool.request('POST', '/', { body: () => ['hello'] })).text(), 'end');
  t.is(server.peers.length, 2);
  t.regex(
    server.peers[1]?.received.toString('latin1') ?? '',
    /^POST \/there HTTP\/1\.1\r\n[^]*\r\n5\r\nhello\r\n0\r\n/,
  );
});

test('BODY-09, BODY-10: each piece is one chunk, and an empty one is none', async (t) => {
  const { pool, server } = await scripted(t, answers(reply('')), { timeout: WAIT });
  const pieces = ['', 'foo', '', Buffer.alloc(0), Buffer.alloc(300_000, 'x'), new ArrayBuffer(0), 'bär', ''];
  const bodies: RequestBody[] = [
    pieces,
    later(pieces),
    Readable.from(pieces.filter((piece) => typeof piece !== 'object' || Buffer.isBuffer(piece))),
    () => pieces,
  ];
  const wanted = Buffer.from(`3\r\nfoo\r\n493E0\r\n${'x'.repeat(300_000)}\r\n4\r\nbär\r\n0\r\n\r\n`).toString('latin1');
  for (const body of bodies) {
    const before = server.peers[0]?.received.length ?? 0;
    await pool.request('PUT', '/', { body });
    const request = (server.peers[0]?.received ?? Buffer.alloc(0)).subarray(before).toString('latin1');
    t.is(request.slice(request.indexOf('\r\n\r\n') + 4), wanted);
  }
  for (const body of [[], ['', ''], (function* () {})(), Readable.from([]), () => '']) {
    for (const method of ['GET', 'POST']) {
      const before = server.peers[0]?.received.length ?? 0;
      await pool.request(method, '/', { body });
      const request = (server.peers[0]?.received ?? Buffer.alloc(0)).subarray(before).toString('latin1');
      t.regex(request, /^Transfer-Encoding: chunked\r$/m);
      t.true(request.endsWith('\r\n\r\n0\r\n\r\n'), request);
      if (typeof body === 'object' && !Array.isArray(body)) break;
    }
  }
  t.is(server.peers.length, 1);
});

test('BODY-11, BODY-12: the caller’s own framing of a stream, in any case, is the one line', async (t) => {
  const { post } = await receiver(t);
  const lines = (seen: Seen): string[] =>
    seen.raw.flatMap((name, at) =>
      at % 2 === 0 && /length|encoding$/i.test(name) && !/accept/i.test(name) ? [`${name}: ${seen.raw[at + 1]}`] : [],
    );
  for (const [headers, line] of [
    [{ 'content-length': '3' }, 'content-length: 3'],
    [{ 'CONTENT-LENGTH': '3' }, 'CONTENT-LENGTH: 3'],
    [{ 'transfer-encoding': 'chunked' }, 'transfer-encoding: chunked'],
  ] as [HeaderSource, string][]) {
    const seen = await post({ body: Readable.from(['a', 'bc']), headers });
    t.deepEqual(lines(seen), [line]);
    t.is(seen.body.toString(), 'abc');
  }
  t.deepEqual(lines(await post({ body: new Blob(['abc']), headers: { 'Content-Length': '3' } })), [
    'Content-Length: 3',
  ]);
  const kept = await post({ body: ['abc'], chunked: true, headers: { 'Transfer-Encoding': 'gzip, chunked' } });
  t.deepEqual(lines(kept), ['Transfer-Encoding: gzip, chunked']);
});

test('a body brings its content type, unless the headers in force name one in whatever case', async (t) => {
  const form = new FormData();
  form.set('name', 'Ada');
  const bodies: [body: RequestBody, type: RegExp][] = [
    [new URLSearchParams('a=1&b=%20'), /^application\/x-www-form-urlencoded;charset=UTF-8$/],
    [form, /^multipart\/form-data; boundary=[0-9a-f]{32}$/],
    [new Blob(['x'], { type: 'text/x-own' }), /^text\/x-own$/],
    [new Blob([], { type: 'text/x-own' }), /^text\/x-own$/],
    [new File(['x'], 'x.txt', { type: 'text/plain' }), /^text\/plain$/],
  ];
  const { post } = await receiver(t, { headers: { 'X-Pool': '1' } });
  for (const [body, type] of bodies) {
    const seen = await post({ body });
    t.regex(seen.headers['content-type'] ?? '', type);
    t.is(seen.headers['x-pool'], '1');
    // As urllib3 sets it: behind the caller's own lines.
    t.deepEqual(seen.raw.slice(-4), ['X-Pool', '1', 'Content-Type', seen.headers['content-type']]);
    const headers = { 'conTent-type': 'mine/1' };
    const own = await post({ body, headers });
    t.deepEqual(own.raw.slice(-2), ['conTent-type', 'mine/1']);
    t.deepEqual(headers, { 'conTent-type': 'mine/1' });
  }
  const typed = await receiver(t, { headers: { 'CONTENT-TYPE': 'pool/1' } });
  for (const [body] of bodies) t.is((await typed.post({ body })).headers['content-type'], 'pool/1');
  t.is((await typed.post({ fields: { a: '1' } })).headers['content-type'], 'pool/1');
  t.is(typed.pool.headers.get('content-type'), 'pool/1');
  t.is((await post({ body: new URLSearchParams([['ä ', '&=']]) })).body.toString(), '%C3%A4+=%26%3D');
});

for (const given of vectors<{ fields: [string, string | { bytes: string }][]; body: string; headers: string[][] }>(
  'urlencoded-body.json',
)) {
  test(`BODY-07, REQ-02: over the wire as urllib3: ${given.body}`, async (t) => {
    const { post } = await receiver(t);
    const fields = given.fields.map(
      ([name, value]) => [name, typeof value === 'string' ? value : Buffer.from(value.bytes, 'base64')] as const,
    );
    const seen = await post({ fields, encodeMultipart: false });
    t.is(seen.body.toString(), given.body);
    t.deepEqual(seen.raw.slice(-2), given.headers[0]);
    t.deepEqual(framing(seen), sized(given.body.length));
  });
}

test('BODY-07, REQ-02, REQ-05: fields go into the body as multipart, with what is streamed of it and its length', async (t) => {
  const { pool, post } = await receiver(t);
  const big = bytesOf(300_000);
  const fields = { a: '1', file: ['x.txt', 'data'], blob: new Blob([big], { type: 'x/y' }), n: 5 } as const;
  const plain = {
    a: '1',
    file: ['x.txt', 'data'],
    blob: new RequestField('blob', big, { filename: 'blob' }),
    n: 5,
  } as const;
  plain.blob.makeMultipart({ contentType: 'x/y' });
  const [wanted, type] = encodeMultipartFormdata(plain, 'BOUNDARY');
  for (const method of ['POST', 'put', 'PATCH', 'PROPPATCH']) {
    const seen = await post({ fields, multipartBoundary: 'BOUNDARY', headers: { x: '1' } }, method);
    t.is(digest(seen.body), digest(wanted), method);
    t.deepEqual(seen.raw.slice(-4), ['x', '1', 'Content-Type', type]);
    t.deepEqual(framing(seen), sized(wanted.length));
  }
  const forced = await pool.requestEncodeBody('GET', '/', { fields: { a: '1' } });
  t.is(forced.status, 200);
  const chunked = await post({ fields, multipartBoundary: 'BOUNDARY', chunked: true });
  t.deepEqual(framing(chunked), CHUNKED);
  t.is(digest(chunked.body), digest(wanted));
  for (const empty of [{}, [], new Map(), new FormData(), { a: undefined }]) {
    for (const encodeMultipart of [true, false]) {
      const seen = await post({ fields: empty as {}, encodeMultipart });
      t.deepEqual([framing(seen), seen.headers['content-type']], [sized(0), undefined]);
    }
  }
  const form = new FormData();
  form.set('f', new Blob(['x']), 'a.txt');
  for (const options of [{ fields: form }, { body: form }]) {
    const seen = await post({ ...options, multipartBoundary: 'b' });
    t.is(seen.headers['content-type'], 'multipart/form-data; boundary=b');
    t.is(
      (
        await new Response(seen.body, { headers: { 'content-type': 'multipart/form-data; boundary=b' } }).formData()
      ).get('f')?.constructor,
      File,
    );
  }
  // A query has no place for a file.
  const unchecked: RequestOptions = { fields };
  await t.throwsAsync(pool.request('GET', '/', unchecked), { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' });
});

test('REQ-06: a request has one body; nothing is sent and nothing is read of two', async (t) => {
  const { pool, server } = await scripted(t, () => {});
  const streams = [Readable.from(['x']), Readable.from(['x'])] as const;
  const two = /mutually exclusive/;
  const forms = /^request got values for both 'fields' and 'body', can only specify one\.$/;
  const jsons = /^request got values for both 'fields' and 'json', can only specify one\.$/;
  for (const [options, message] of [
    [{ body: streams[0], json: 1 }, two],
    [{ body: '', json: 0 }, two],
    [{ body: streams[1], fields: { a: '1' } }, forms],
    [{ body: new FormData(), fields: { a: '1' } }, forms],
    [{ json: {}, fields: { a: '1' } }, jsons],
    [{ json: {}, fields: { a: '1' }, encodeMultipart: false }, jsons],
  ] as const) {
    await t.throwsAsync(pool.request('POST', '/', options as RequestOptions), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_OPTION',
      message,
    });
  }
  for (const name of ['fields', 'json', 'encodeMultipart', 'multipartBoundary']) {
    await t.throwsAsync(pool.urlopen('POST', '/', { [name]: null }), {
      instanceOf: TypeError,
      message: /urlopen has no/,
    });
  }
  for (const options of [{ encodeMultipart: 1 }, { multipartBoundary: 1 }, { onProgress: 1 }, { body: ['x', 1] }]) {
    await t.throwsAsync(pool.request('POST', '/', options as {}), {
      instanceOf: TypeError,
    });
  }
  for (const stream of streams) {
    t.true(stream.destroyed);
    t.false(stream.readableDidRead);
    if (!stream.closed) await once(stream, 'close');
    t.deepEqual([stream.listenerCount('error'), stream.listenerCount('readable')], [0, 0]);
  }
  t.is(server.peers.length, 0);
});

test('BODY-11: an empty body of unknown length may be announced as empty', async (t) => {
  const { pool, post } = await receiver(t);
  for (const body of [Readable.from([]), [], ['', ''], new Blob([]), later([]), () => '', webStream([])]) {
    const seen = await post({ body, headers: { 'Content-Length': '0' } });
    t.deepEqual([framing(seen), seen.body.length], [sized(0), 0]);
  }
  t.is(pool.numConnections, 1);
});

test('what cannot be sent any more is refused before anything is sent', async (t) => {
  const { pool, server } = await scripted(t, () => {});
  const ended = Readable.from([]);
  ended.resume();
  await once(ended, 'end');
  const destroyed = Readable.from(['x']).destroy();
  const failed = new PassThrough();
  failed.on('error', () => {}).destroy(new Error('why'));
  const locked = webStream([]);
  locked.getReader();
  const read = webStream([Buffer.from('x')]);
  const reader = read.getReader();
  await reader.read();
  reader.releaseLock();
  const cancelled = webStream([]);
  await cancelled.cancel();
  for (const body of [ended, destroyed, failed, locked, read, cancelled, { read() {} }, new WeakMap()]) {
    await t.throwsAsync(pool.request('POST', '/', { body: body as RequestBody }), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_BODY',
    });
  }
  t.is(server.peers.length, 0);
});

test('BODY-02: a FormData of another package is sent as the platform’s is, as a body and as fields', async (t) => {
  const { post } = await receiver(t);
  const form = new undici.FormData();
  t.false((form as unknown) instanceof FormData);
  form.append('a', 'ä\nb');
  form.append('f', new File(['bytes'], 'n.txt', { type: 'text/plain' }));
  for (const options of [{ body: form }, { fields: form }] as unknown as RequestOptions[]) {
    const { headers, body } = await post(options);
    const found = await new Response(body, { headers: { 'content-type': headers['content-type'] ?? '' } }).formData();
    const [[name, text], [other, file]] = [...found] as [[string, string], [string, File]];
    t.deepEqual([name, text, other, file.name, file.type], ['a', 'ä\r\nb', 'f', 'n.txt', 'text/plain']);
    t.is(await file.text(), 'bytes');
  }
  const empty = await post({ fields: new undici.FormData() });
  t.is(empty.headers['content-type'], undefined);
});

test('what gives pairs and no pieces is refused as a body before anything is sent, and told where it can go', async (t) => {
  const { pool, server } = await scripted(t, () => {});
  class Foreign {
    readonly [Symbol.toStringTag] = 'URLSearchParams';
    *[Symbol.iterator](): Generator<[string, string]> {
      yield ['a', '1'];
    }
  }
  class Unreadable {
    readonly [Symbol.toStringTag] = 'FormData';
    *[Symbol.iterator](): Generator<[string, object]> {
      yield ['f', { name: 'a file of its own', type: '' }];
    }
  }
  for (const body of [new Map([['a', '1']]), new Map(), new Headers(), new undici.Headers({ a: '1' }), new Foreign()]) {
    const error = await t.throwsAsync(pool.request('POST', '/', { body: body as unknown as RequestBody }), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_BODY',
    });
    t.regex(error.message, /^'body' is a (Map|Headers|URLSearchParams), which gives pairs .* pass it as 'fields'$/);
  }
  await t.throwsAsync(pool.request('POST', '/', { body: new Unreadable() as unknown as RequestBody }), {
    instanceOf: TypeError,
    message: /^the field 'f' of a FormData is a string or a File of Node.js, not an object$/,
  });
  t.is(server.peers.length, 0);
});

test('nothing is read of a body, and no function is called, before there is a connection', async (t) => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const { pool } = await served(
    t,
    async (request, response) => {
      if (request.url === '/held') await held;
      request.resume().on('end', () => response.end('ok'));
    },
    { maxsize: 1, block: true, timeout: WAIT },
  );
  const first = pool.request('GET', '/held');
  let touched = 0;
  const touch = (): string => `${(touched += 1)}`;
  const lazy = { [Symbol.iterator]: () => [touch()][Symbol.iterator]() };
  const calls = [
    () => touch(),
    lazy,
    (function* () {
      yield touch();
    })(),
    new ReadableStream(
      { pull: (controller) => (controller.enqueue(Buffer.from(touch())), controller.close()) },
      { highWaterMark: 0 },
    ),
    new Readable({
      read() {
        this.push(touch());
        this.push(null);
      },
    }),
  ].map((body) => pool.request('POST', '/', { body }));
  while ((pool.pool?.waiting ?? 0) < calls.length) await new Promise((resolve) => setImmediate(resolve));
  t.is(touched, 0);
  release();
  await first;
  await Promise.all(calls);
  t.is(touched, calls.length);
});

test('a Readable that was read from before is sent from where it stands; nothing of ours stays on it', async (t) => {
  const { post } = await receiver(t);
  const stream = Readable.from([Buffer.from('head'), Buffer.from('tail')], { objectMode: false, highWaterMark: 1 });
  await once(stream, 'readable');
  t.is(String(stream.read(4)), 'head');
  const events = ['data', 'end', 'error', 'close', 'readable'];
  const before = events.map((event) => stream.listenerCount(event));
  t.is((await post({ body: stream })).body.toString(), 'tail');
  t.deepEqual(
    events.map((event) => stream.listenerCount(event)),
    before,
  );
  const folder = await mkdtemp(path.join(tmpdir(), 'upload-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const file = path.join(folder, 'file');
  await writeFile(file, bytesOf(1 << 20));
  t.is(digest((await post({ body: createReadStream(file) })).body), digest(bytesOf(1 << 20)));
});

test('a source without an end, whose pieces are empty or there at once, leaves others their turn', async (t) => {
  const { pool } = await scripted(t, async (peer) => peer.gone(), { timeout: WAIT });
  const forever = {
    *sync() {
      for (;;) yield '';
    },
    async *async() {
      for (;;) yield '';
    },
  };
  for (const make of Object.values(forever)) {
    const leave = new AbortController();
    setTimeout(() => leave.abort(new Error('enough')), 20);
    await t.throwsAsync(pool.request('POST', '/', { body: make(), signal: leave.signal }), { message: 'enough' });
  }
});

test.serial(
  'a server that stops reading stops the source; then it is the server that is slow (ERR_SEND_TIMEOUT)',
  async (t) => {
    const { pool } = await scripted(t, (peer) => void peer.socket.pause(), { timeout: { ...WAIT, read: 600 } });
    for (const asynchronous of [false, true]) {
      let pulled = 0;
      let returned = 0;
      const piece = Buffer.alloc(64 * 1024);
      const next = (): IteratorResult<Buffer> => {
        pulled += piece.length;
        return { done: false, value: piece };
      };
      const back = (): IteratorResult<Buffer> => {
        returned += 1;
        return { done: true, value: undefined };
      };
      const body = asynchronous
        ? { [Symbol.asyncIterator]: () => ({ next: async () => next(), return: async () => back() }) }
        : { [Symbol.iterator]: () => ({ next, return: back }) };
      const before = pool.stats().wireBytesOut;
      const error = await rejection(pool.request('POST', '/', { body }), ReadTimeoutError);
      t.like(error, { code: 'ERR_SEND_TIMEOUT', phase: 'send' });
      t.is(returned, 1);
      const ahead = pulled - (pool.stats().wireBytesOut - before);
      t.true(ahead <= 2 << 20, `${ahead} bytes were pulled and not sent`);
      t.true(pulled >= 1 << 20);
    }
  },
);

test.serial(
  'a slow source is not a slow server: read does not fire while it is the source that is waited for',
  async (t) => {
    const { pool } = await scripted(
      t,
      async (peer) => {
        await peer.request();
        if (peer.received.includes('never')) return;
        await peer.write(reply('ok'));
      },
      { timeout: { ...WAIT, read: 600 } },
    );
    const slow = async function* (last: string): AsyncGenerator<string> {
      for (const piece of ['a', 'b', last]) {
        await new Promise((resolve) => setTimeout(resolve, 900));
        yield piece;
      }
    };
    const [answered, error] = await Promise.all([
      pool.request('POST', '/', { body: slow('c') }),
      rejection(pool.request('POST', '/', { body: slow('never') }), ReadTimeoutError),
    ]);
    t.is(answered.text(), 'ok');
    t.like(error, { code: 'ERR_READ_TIMEOUT', phase: 'headers' });
  },
);

test('full duplex: an early head and an echo while the upload goes on; 20 MiB go both ways', async (t) => {
  let answered = (): void => {};
  const answer = new Promise<void>((resolve) => (answered = resolve));
  const { pool } = await served(
    t,
    (request, response) => {
      response.writeHead(200, { 'Content-Type': 'x/y' });
      response.flushHeaders();
      answered();
      request.pipe(response);
    },
    { timeout: WAIT },
  );
  const bytes = bytesOf(20 << 20);
  const body = (async function* () {
    yield 'first';
    await answer;
    yield* cut(bytes, 100_000);
  })();
  const { data } = await pool.request('POST', '/', { body });
  t.is(data.subarray(0, 5).toString(), 'first');
  t.is(digest(data.subarray(5)), digest(bytes));
  t.like(pool.stats(), { idle: 1, closed: 0 });
});

test.serial('onProgress hears of both bodies, with their totals, and once at the end', async (t) => {
  const { pool } = await served(
    t,
    (request, response) => request.resume().on('end', () => response.end(Buffer.alloc(1 << 20))),
    { timeout: WAIT },
  );
  const size = 5 << 20;
  for (const [make, total] of [
    [() => bytesOf(size), size],
    [() => new Blob([bytesOf(size)]), size],
    [() => Readable.from(cut(bytesOf(size), 50_000)), null],
  ] as [() => RequestBody, number | null][]) {
    const heard: Progress[] = [];
    const began = performance.now();
    await pool.request('POST', '/', { body: make(), onProgress: (progress) => heard.push(progress) });
    const most = 2 * (2 + (performance.now() - began) / 100);
    const up = heard.filter(({ direction }) => direction === 'up');
    const down = heard.filter(({ direction }) => direction === 'down');
    t.deepEqual(up.at(-1), { direction: 'up', bytes: size, total });
    t.deepEqual(down.at(-1)?.bytes, 1 << 20);
    for (const [nth, { bytes, total: said }] of up.entries()) {
      t.is(said, total);
      t.true(bytes >= (up[nth - 1]?.bytes ?? 0));
    }
    t.true(heard.length <= most, `${heard.length} calls`);
  }
  await pool.request('POST', '/', { body: 'x', onProgress: null });
});

test('what onProgress throws is what the call rejects with, and the body is let go of', async (t) => {
  const { pool, server } = await scripted(t, (peer) => void peer.socket.pause(), { timeout: WAIT });
  const thrown = new Error('enough');
  let returned = 0;
  const body = (function* () {
    try {
      for (;;) yield Buffer.alloc(64 * 1024);
    } finally {
      returned += 1;
    }
  })();
  const call = pool.request('POST', '/', {
    body,
    onProgress() {
      throw thrown;
    },
  });
  t.is(await call.catch((error: unknown) => error), thrown);
  t.is(returned, 1);
  const peer = await server.peer(1);
  peer.socket.resume();
  await peer.gone();
});

test('a stream is let go of when the request that it was the body of is refused for its arguments', async (t) => {
  const { pool, server } = await scripted(t, answers(reply('')));
  const manager = new PoolManager();
  const connection = new HTTPConnection('127.0.0.1', { port: server.port });
  t.teardown(() => Promise.all([manager.close(), connection.close()]));
  const url = `http://127.0.0.1:${server.port}/`;
  const calls: ((body: Readable | ReadableStream, more: object) => Promise<unknown>)[] = [
    (body, more) => pool.request('POST', '/', { body, ...more }),
    (body, more) => pool.requestEncodeBody('POST', '/', { body, ...more }),
    (body, more) => pool.requestEncodeUrl('POST', '/', { body, ...more }),
    (body, more) => pool.urlopen('POST', '/', { body, ...more }),
    (body, more) => manager.request('POST', url, { body, ...more }),
    (body, more) => request('POST', url, { body, ...more }),
    (body, more) => connection.request('POST', '/', { body, ...more }),
    (body) => pool.request(5 as never, '/', { body }),
    (body) => pool.request('POST', 5 as never, { body }),
    async (body, more) => {
      const items = [
        Object.assign(Object.create({ method: 'POST' }) as object, { url: '/', body, ...more }) as { url: string },
      ];
      for await (const one of pool.requestMany(items)) if (!one.ok) throw one.error;
    },
  ];
  for (const call of calls) {
    for (const more of [{ timout: 5 }, { json: {} }, { headers: { a: Symbol('a') } }]) {
      const readable = new Readable({ read: () => undefined });
      await t.throwsAsync(call(readable, more));
      t.true(readable.destroyed, `${call.toString()} ${Object.keys(more).join()}`);
      let cancelled = 0;
      const web = new ReadableStream({ cancel: () => void (cancelled += 1) });
      await t.throwsAsync(call(web, more));
      t.is(cancelled, 1, `${call.toString()} ${Object.keys(more).join()}`);
    }
  }
  // What somebody else reads is his.
  const locked = new ReadableStream({ cancel: () => t.fail() });
  const reader = locked.getReader();
  await t.throwsAsync(pool.request('POST', '/', { body: locked }));
  reader.releaseLock();
  t.is(server.peers.length, 0);
});

test('an async onProgress that rejects ends its call while that is under way', async (t) => {
  const { pool, server } = await scripted(t, (peer) => void peer.socket.pause(), { timeout: WAIT });
  const thrown = new Error('enough');
  const call = pool.request('POST', '/', {
    body: (function* () {
      for (;;) yield Buffer.alloc(64 * 1024);
    })(),
    async onProgress() {
      await Promise.resolve();
      throw thrown;
    },
  });
  t.is(await call.catch((error: unknown) => error), thrown);
  const peer = await server.peer(1);
  peer.socket.resume();
  await peer.gone();
});

test('an async onProgress or accept that rejects when its call is over is no unhandled rejection', async (t) => {
  const { pool } = await scripted(t, answers(reply('abc')), { timeout: WAIT });
  // Of the process: the runner of tests would fail for it too, but later and without a name.
  const unhandled: unknown[] = [];
  const note = (reason: unknown): unknown => unhandled.push(reason);
  process.on('unhandledRejection', note);
  t.teardown(() => process.off('unhandledRejection', note));
  let fail = (): void => undefined;
  const late = new Promise<never>((_, reject) => (fail = () => reject(new Error('late'))));
  let heard = 0;
  const onProgress = (): unknown => {
    heard += 1;
    return late;
  };
  const response = await pool.request('GET', '/', { onProgress });
  t.is(response.text(), 'abc');
  fail();
  const accept = async (): Promise<boolean> => Promise.reject(new Error('later'));
  await t.throwsAsync(pool.request('GET', '/', { accept: accept as never }), { code: 'ERR_INVALID_OPTION' });
  await pool.request('GET', '/');
  await turn();
  t.true(heard > 0);
  t.deepEqual(unhandled, []);
});

clocked('an upload of 300 MiB takes no more memory than a small one', async (t) => {
  const { server } = await served(t, (request, response) => request.resume().on('end', () => response.end('ok')));
  const { mebibytes, grown } = await outcome<{ mebibytes: number; grown: Record<string, number> }>('uploads.ts', [
    server.port,
    300,
  ]);
  t.is(mebibytes, 300);
  for (const [kind, more] of Object.entries(grown)) within(t, more < 48, `${kind}: ${more} MiB`);
});

/**
 * Bodies of every kind as nginx wrote them into a file: what lies on its disk is what was given, byte for byte, with a
 * length and in chunks. What a form becomes is put together here by hand.
 */
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import test, { type ExecutionContext } from 'ava';

import {
  encodeMultipartFormdata,
  RequestField,
  type FormFields,
  type HTTPConnectionPool,
  type RequestBody,
  type RequestOptions,
} from '../../index.ts';
import { overNginx } from '../support/fixtures.ts';

/** What nginx kept of a request. */
interface Stored {
  readonly body: Buffer;
  readonly contentLength: string | undefined;
  readonly transferEncoding: string | undefined;
  readonly contentType: string | undefined;
}

interface Store {
  readonly pool: HTTPConnectionPool;
  /** Sends this and reads what was stored of it. */
  readonly post: (options: RequestOptions) => Promise<Stored>;
}

/** Handing a request on makes nginx read its body; what it is handed on to does not get it. */
const STORING = `
  client_max_body_size 16m;
  location / {
    client_body_in_file_only on;
    proxy_pass http://127.0.0.1:$server_port/done;
    proxy_pass_request_body off;
    proxy_set_header Content-Length "";
    proxy_set_header Content-Type "";
    add_header X-Stored $request_body_file;
    add_header X-Length $http_content_length;
    add_header X-Coding $http_transfer_encoding;
    add_header X-Type $http_content_type;
  }
  location = /done { return 200 stored; }
`;

async function store(t: ExecutionContext): Promise<Store> {
  const { pool } = await overNginx(t, { server: STORING });
  const post = async (options: RequestOptions): Promise<Stored> => {
    const response = await pool.request('POST', '/', options);
    t.is(response.status, 200);
    t.is(response.text(), 'stored');
    const { headers } = response;
    const file = headers.get('x-stored') ?? '';
    t.true(path.isAbsolute(file), 'nginx named the file');
    const body = readFileSync(file);
    rmSync(file);
    return {
      body,
      contentLength: headers.get('x-length'),
      transferEncoding: headers.get('x-coding'),
      contentType: headers.get('x-type'),
    };
  };
  return { pool, post };
}

/** A body of some kind, and the bytes that it stands for. */
interface Given {
  readonly body: RequestBody;
  readonly expected: Buffer;
  readonly contentType?: string;
}

/** Makes a body of so many bytes of content; a folder that is removed afterwards. */
type Make = (size: number, folder: string) => Given;

const SIZES = [0, 1, 70 << 10, 5 << 20];
const PIECE = 50_000;
const FORM = 'application/x-www-form-urlencoded';

/** Kinds whose length is known. */
const WHOLE: Record<string, Make> = {
  string: (size) => ({
    body: bytesOf(size).toString('latin1'),
    expected: Buffer.from(bytesOf(size).toString('latin1')),
  }),
  Buffer: same((bytes) => bytes),
  ArrayBuffer: same((bytes) => Uint8Array.from(bytes).buffer),
  DataView: same((bytes) => {
    const around = Buffer.concat([Buffer.from('before'), bytes, Buffer.from('behind')]);
    return new DataView(around.buffer, around.byteOffset + 6, bytes.length);
  }),
  Blob: same((bytes) => new Blob([...cut(bytes)])),
  File: (size) => ({
    body: new File([bytesOf(size)], 'name.bin', { type: 'x/y' }),
    expected: bytesOf(size),
    contentType: 'x/y',
  }),
  URLSearchParams: (size) => ({
    body: new URLSearchParams([['a b', '&='.repeat(size >> 1) + 'ä']]),
    expected: Buffer.from(`a+b=${'%26%3D'.repeat(size >> 1)}%C3%A4`),
    contentType: `${FORM};charset=UTF-8`,
  }),
};

/** Kinds whose end nobody knows before it comes. */
const PIECES: Record<string, Make> = {
  Readable: same((bytes) => Readable.from(cut(bytes))),
  'fs.createReadStream': (size, folder) => {
    const file = path.join(folder, String(size));
    writeFileSync(file, bytesOf(size));
    return { body: createReadStream(file), expected: bytesOf(size) };
  },
  ReadableStream: same((bytes) => {
    const pieces = cut(bytes);
    return new ReadableStream<Uint8Array>({
      pull(controller) {
        const { done, value } = pieces.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
    });
  }),
  array: same((bytes) => [...cut(bytes)]),
  generator: same((bytes) => cut(bytes)),
  'async generator': same(async function* later(bytes) {
    for (const piece of cut(bytes)) {
      await Promise.resolve();
      yield piece;
    }
  }),
  '() => Buffer': same((bytes) => () => bytes),
  '() => Blob': same((bytes) => () => new Blob([bytes])),
  'async () => Readable': same((bytes) => () => Promise.resolve(Readable.from(cut(bytes)))),
};

for (const [kind, make] of Object.entries(WHOLE)) {
  test.serial(`BODY-08, BODY-10: ${kind} is stored as it was given, with its length and in chunks`, async (t) => {
    const { pool, post } = await store(t);
    for (const size of SIZES) {
      const { body, expected, contentType } = make(size, '');
      const whole = await post({ body });
      sameBytes(t, whole.body, expected);
      t.like(whole, { contentLength: String(expected.length), transferEncoding: undefined, contentType });
      const chunked = await post({ body, chunked: true });
      sameBytes(t, chunked.body, expected);
      t.like(chunked, { contentLength: undefined, transferEncoding: 'chunked', contentType });
    }
    t.is(pool.stats().opened, 1);
  });
}

for (const [kind, make] of Object.entries(PIECES)) {
  test.serial(
    `BODY-08, BODY-11: ${kind} is stored as it was given, in chunks and by the caller’s length`,
    async (t) => {
      const folder = mkdtempSync(path.join(tmpdir(), 'ferropool-bodies-'));
      t.teardown(() => rmSync(folder, { recursive: true, force: true }));
      const { pool, post } = await store(t);
      for (const size of SIZES) {
        const { body, expected } = make(size, folder);
        const chunked = await post({ body });
        sameBytes(t, chunked.body, expected);
        t.like(chunked, { contentLength: undefined, transferEncoding: 'chunked', contentType: undefined });
        const again = make(size, folder);
        const announced = await post({ body: again.body, headers: { 'Content-Length': String(size) } });
        sameBytes(t, announced.body, expected);
        t.like(announced, { contentLength: String(size), transferEncoding: undefined });
      }
      t.is(pool.stats().opened, 1);
    },
  );
}

const BOUNDARY = 'a-boundary-of-the-tests-0123456789';
const MULTIPART = `multipart/form-data; boundary=${BOUNDARY}`;

test.serial('BODY-02, BODY-07: fields as tuples and RequestFields are stored as the encoder has them', async (t) => {
  const { pool, post } = await store(t);
  for (const size of SIZES) {
    const bytes = bytesOf(size);
    const taken = new RequestField('field', bytes, { filename: 'taken.jpg', headers: { 'X-Taken': '2024' } });
    taken.makeMultipart({ contentType: 'image/jpeg', contentLocation: '/here' });
    const fields: FormFields = [
      ['text', 'ä text'],
      ['file', ['a "file".txt', bytes]],
      ['typed', [null, bytes, 'x/y']],
      ['text', 7],
      taken,
    ];
    const [expected] = encodeMultipartFormdata(fields, BOUNDARY);
    const part = (disposition: string, headers: string[], data: Uint8Array | string): Buffer =>
      Buffer.concat([
        Buffer.from(
          [`--${BOUNDARY}`, `Content-Disposition: form-data; ${disposition}`, ...headers, '', ''].join('\r\n'),
        ),
        Buffer.from(data),
        Buffer.from('\r\n'),
      ]);
    const byHand = Buffer.concat([
      part('name="text"', [], 'ä text'),
      part('name="file"; filename="a %22file%22.txt"', ['Content-Type: text/plain'], bytes),
      part('name="typed"', ['Content-Type: x/y'], bytes),
      part('name="text"', [], '7'),
      part(
        'name="field"; filename="taken.jpg"',
        ['Content-Type: image/jpeg', 'Content-Location: /here', 'X-Taken: 2024'],
        bytes,
      ),
      Buffer.from(`--${BOUNDARY}--\r\n`),
    ]);
    sameBytes(t, expected, byHand);
    for (const chunked of [false, true]) {
      const stored = await post({ fields, multipartBoundary: BOUNDARY, chunked });
      sameBytes(t, stored.body, expected);
      const contentLength = chunked ? undefined : String(expected.length);
      t.like(stored, { contentType: MULTIPART, contentLength });
    }
  }
  t.is(pool.stats().opened, 1);
});

test.serial('BODY-02, BODY-08: a FormData with files is stored as the form that fetch would send', async (t) => {
  const { pool, post } = await store(t);
  for (const size of SIZES) {
    const form = new FormData();
    form.append('a\nb', 'one\ntwo\rthree\r\nfour');
    form.append('file', new File([...cut(bytesOf(size))], 'ä "x".bin', { type: 'x/y' }));
    form.append('blob', new Blob([bytesOf(size)]));
    const expected = Buffer.concat([
      Buffer.from(
        `--${BOUNDARY}\r\nContent-Disposition: form-data; name="a%0D%0Ab"\r\n\r\none\r\ntwo\r\nthree\r\nfour\r\n` +
          `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="ä %22x%22.bin"\r\n` +
          'Content-Type: x/y\r\n\r\n',
      ),
      bytesOf(size),
      Buffer.from(
        `\r\n--${BOUNDARY}\r\nContent-Disposition: form-data; name="blob"; filename="blob"\r\n` +
          'Content-Type: application/octet-stream\r\n\r\n',
      ),
      bytesOf(size),
      Buffer.from(`\r\n--${BOUNDARY}--\r\n`),
    ]);
    for (const given of [{ body: form }, { fields: form }]) {
      for (const chunked of [false, true]) {
        const stored = await post({ ...given, multipartBoundary: BOUNDARY, chunked });
        sameBytes(t, stored.body, expected);
        const contentLength = chunked ? undefined : String(expected.length);
        t.like(stored, { contentType: MULTIPART, contentLength });
      }
    }
  }
  t.is(pool.stats().opened, 1);
});

test.serial('BODY-07: urlencoded fields are stored as the form that they are', async (t) => {
  const { pool, post } = await store(t);
  for (const size of SIZES) {
    const times = size >> 2;
    const fields: [string, string | number][] = [
      ['a b', 'ä&='.repeat(times)],
      ['n', size],
      ['n', ''],
    ];
    const expected = Buffer.from(`a+b=${'%C3%A4%26%3D'.repeat(times)}&n=${size}&n=`);
    for (const chunked of [false, true]) {
      const stored = await post({ fields, encodeMultipart: false, chunked });
      sameBytes(t, stored.body, expected);
      t.is(stored.contentType, FORM);
    }
  }
  t.is(pool.stats().opened, 1);
});

/** A kind whose content is what it is made of. */
function same(make: (bytes: Buffer) => RequestBody): Make {
  return (size) => ({ body: make(bytesOf(size)), expected: bytesOf(size) });
}

/** Says where two differ, and does not print megabytes. */
function sameBytes(t: ExecutionContext, stored: Buffer, expected: Buffer): void {
  t.is(stored.length, expected.length);
  const differs = stored.equals(expected) ? -1 : expected.findIndex((byte, at) => stored[at] !== byte);
  t.is(differs, -1, 'the place of the first other byte');
}

/** Every byte there is, in an order that repeats at no power of two. */
function bytesOf(size: number): Buffer {
  return Buffer.alloc(size, PATTERN);
}

function* cut(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
}

const PATTERN = Buffer.from([...Array.from({ length: 256 }, (_, nth) => nth), 13, 10, 45, 45, 0]);

/**
 * What nginx sends: compressed as it goes or beforehand, large, in part, not at all, and pages of errors.
 */
import { createHash, randomBytes } from 'node:crypto';
import { brotliCompressSync, gunzipSync, gzipSync } from 'node:zlib';
import test from 'ava';

import { overNginx } from '../support/fixtures.ts';

const TEXT = Array.from({ length: 4_000 }, (_, nth) => `line ${nth} of a text that compresses well\n`).join('');

test.serial('what nginx compresses as it goes is chunked, and decoded', async (t) => {
  const { pool } = await overNginx(
    t,
    { server: 'gzip on; gzip_types text/plain;', files: { text: TEXT } },
    { acceptEncoding: true },
  );
  for (let turn = 1; turn <= 5; turn += 1) {
    const response = await pool.request('GET', '/text');
    t.is(response.headers.get('content-encoding'), 'gzip');
    t.is(response.headers.get('transfer-encoding'), 'chunked');
    t.true(response.chunked);
    t.is(response.data.toString(), TEXT);
    t.true(response.bytesRead < TEXT.length / 4, `${response.bytesRead} bytes came`);
    t.is(response.headers.get('x-request'), String(turn), 'its end was found');
  }
  const raw = await pool.request('GET', '/text', { decodeContent: false });
  t.is(gunzipSync(raw.data).toString(), TEXT);
  t.is(raw.bytesRead, raw.data.length);
  t.is(pool.stats().opened, 1);
});

test.serial('nginx compresses nothing for a pool that did not ask for it', async (t) => {
  const { pool } = await overNginx(t, { server: 'gzip on; gzip_types text/plain;', files: { text: TEXT } });
  const response = await pool.request('GET', '/text');
  t.is(response.headers.get('content-encoding'), undefined);
  t.is(response.headers.get('content-length'), String(TEXT.length));
  t.false(response.chunked);
  t.is(response.data.toString(), TEXT);
});

test.serial('HEAD of what would be compressed as it goes has the fields and no body', async (t) => {
  const { pool } = await overNginx(
    t,
    { server: 'gzip on; gzip_types text/plain;', files: { text: TEXT } },
    { acceptEncoding: true },
  );
  const head = await pool.request('HEAD', '/text');
  t.is(head.headers.get('content-encoding'), 'gzip');
  t.is(head.data.length, 0);
  const get = await pool.request('GET', '/text');
  t.is(get.data.toString(), TEXT);
  t.is(get.headers.get('x-request'), '2');
  t.is(pool.stats().opened, 1);
});

test.serial('a precompressed file is sent as it lies there, with its length, and decoded', async (t) => {
  const compressed = gzipSync(TEXT, { level: 9 });
  const { pool } = await overNginx(
    t,
    { server: 'gzip_static on;', files: { text: 'not this one', 'text.gz': compressed } },
    { acceptEncoding: true },
  );
  const response = await pool.request('GET', '/text');
  t.is(response.headers.get('content-encoding'), 'gzip');
  t.is(response.headers.get('content-length'), String(compressed.length));
  t.false(response.chunked);
  t.is(response.bytesRead, compressed.length);
  t.is(response.data.toString(), TEXT);
  const raw = await pool.request('GET', '/text', { decodeContent: false });
  t.deepEqual(raw.data, compressed);
  const { opened, decodedBytes } = pool.stats();
  t.is(opened, 1);
  t.is(decodedBytes, TEXT.length + compressed.length);
});

test.serial('a file in brotli that a location labels so is decoded', async (t) => {
  const { pool } = await overNginx(t, {
    server: 'location / { add_header Content-Encoding br; }',
    files: { 'text.br': brotliCompressSync(TEXT.slice(0, 10_000)) },
  });
  t.is((await pool.request('GET', '/text.br')).data.toString(), TEXT.slice(0, 10_000));
});

test.serial('8 MiB arrive whole, several at once and one after the other', async (t) => {
  const large = randomBytes(8 << 20);
  const { pool } = await overNginx(t, { server: 'sendfile on;', files: { large } }, { maxsize: 3, block: true });
  const expected = sha256(large);
  for (let turn = 0; turn < 2; turn += 1) {
    const responses = await Promise.all([1, 2, 3].map(() => pool.request('GET', '/large')));
    for (const { data, bytesRead } of responses) {
      t.is(bytesRead, large.length);
      t.is(sha256(data), expected);
    }
  }
  const { opened, wireBytesIn, errors } = pool.stats();
  t.is(opened, 3);
  t.true(wireBytesIn >= 6 * large.length);
  t.deepEqual(errors, {});
});

test.serial('a page of an error is a response like any other, and its connection is kept', async (t) => {
  const { pool } = await overNginx(t, { server: 'location = /teapot { return 418 "short and stout"; }' });
  const missing = await pool.request('GET', '/nothing-here');
  t.is(missing.status, 404);
  t.is(missing.reason, 'Not Found');
  t.regex(missing.data.toString(), /<h1>404 Not Found<\/h1>/);
  const teapot = await pool.request('GET', '/teapot');
  t.is(teapot.status, 418);
  t.is(teapot.reason, '', 'nginx has no phrase for it');
  t.is(teapot.data.toString(), 'short and stout');
  t.is(teapot.headers.get('x-request'), '2');
  t.is(pool.stats().opened, 1);
});

test.serial('a matching ETag gives a 304 without a body, and the connection goes on', async (t) => {
  const { pool } = await overNginx(t, { server: '', files: { text: TEXT } });
  const first = await pool.request('GET', '/text');
  const etag = first.headers.get('etag') ?? '';
  t.regex(etag, /^"[0-9a-f]+-[0-9a-f]+"$/);
  const unchanged = await pool.request('GET', '/text', { headers: { 'If-None-Match': etag } });
  t.is(unchanged.status, 304);
  t.is(unchanged.reason, 'Not Modified');
  t.is(unchanged.data.length, 0);
  t.is(unchanged.headers.get('etag'), etag);
  const since = { 'If-Modified-Since': first.headers.get('last-modified') ?? '' };
  t.is((await pool.request('GET', '/text', { headers: since })).status, 304);
  const changed = await pool.request('GET', '/text', { headers: { 'If-None-Match': '"another"' } });
  t.is(changed.data.toString(), TEXT);
  t.is(changed.headers.get('x-request'), '4');
  t.is(pool.stats().opened, 1);
});

test.serial('ranges: a part, the last bytes, several parts, and one beyond the end', async (t) => {
  const { pool } = await overNginx(t, { server: '', files: { digits: '0123456789' } });
  const range = (Range: string) => pool.request('GET', '/digits', { headers: { Range } });
  const part = await range('bytes=2-5');
  t.is(part.status, 206);
  t.is(part.data.toString(), '2345');
  t.is(part.headers.get('content-range'), 'bytes 2-5/10');
  t.is((await range('bytes=-3')).data.toString(), '789');
  const several = await range('bytes=0-1,8-9');
  t.is(several.status, 206);
  t.regex(several.headers.get('content-type') ?? '', /^multipart\/byteranges; boundary=/);
  t.regex(several.data.toString(), /\r\n\r\n01\r\n[^]*\r\n\r\n89\r\n/);
  const beyond = await range('bytes=10-');
  t.is(beyond.status, 416);
  t.is(beyond.headers.get('content-range'), 'bytes */10');
  const whole = await pool.request('GET', '/digits');
  t.is(whole.data.toString(), '0123456789');
  t.is(whole.headers.get('x-request'), '5');
  t.is(pool.stats().opened, 1);
});

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

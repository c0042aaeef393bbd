/**
 * The server of the runs that watch memory closely: a process of its own, so that nothing of it is counted. It prints
 * its port and ends with its standard input. What it sends of a large body is never more than the socket takes.
 *
 *   GET /bytes/SIZE/SEED         SIZE bytes of the pattern that begins with SEED; ?chunked without a length
 *   POST /count                  how many bytes came, as text
 *   GET /bomb/gzip|br|zstd       10 GiB of zeros (1 GiB for br), compressed
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { brotliCompressSync, constants, deflateRawSync } from 'node:zlib';
import { blockSize, patternAt, patterns } from './pattern.js';

const blocks = Array.from({ length: patterns }, (_, byte) => Buffer.alloc(blockSize, byte));

const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, (request, response) => {
  // A client that goes away in the middle is what these runs are about.
  response.on('error', () => undefined);
  const [, kind, ...words] = request.url.split(/[/?]/);
  if (kind === 'bytes') return void sendBytes(response, Number(words[0]), Number(words[1]), words[2] === 'chunked');
  if (kind === 'count') return count(request, response);
  if (kind === 'bomb') return sendBomb(response, words[0]);
  return response.writeHead(404, { 'content-length': 0 }).end();
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().on('end', () => process.exit(0));

async function sendBytes(response, size, seed, chunked) {
  if (!chunked) response.setHeader('content-length', size);
  const gone = once(response, 'close');
  for (let sent = 0; sent < size && !response.destroyed;) {
    const block = blocks[patternAt(seed, sent)];
    const piece = size - sent >= blockSize ? block : block.subarray(0, size - sent);
    sent += piece.length;
    if (!response.write(piece)) await Promise.race([once(response, 'drain'), gone]);
  }
  response.end();
}

function count(request, response) {
  let bytes = 0;
  request.on('data', (piece) => (bytes += piece.length));
  request.on('end', () => response.end(String(bytes)));
  request.on('error', () => undefined);
}

function sendBomb(response, coding) {
  bombs[coding] ??= makers[coding]();
  response.writeHead(200, { 'content-encoding': coding, 'content-length': bombs[coding].length });
  response.end(bombs[coding]);
}

const bombs = {};
const makers = { gzip: gzipBomb, br: brotliBomb, zstd: zstdBomb };

/** 160 times the same 64 MiB. The trailer's checksum is wrong: who comes that far has decoded 10 GiB. */
function gzipBomb() {
  const part = deflateRawSync(Buffer.alloc(64 * 1_048_576), { level: 9, finishFlush: constants.Z_FULL_FLUSH });
  const head = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
  const end = Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([head, ...Array.from({ length: 160 }, () => part), end]);
}

function brotliBomb() {
  return brotliCompressSync(Buffer.alloc(1024 * 1_048_576), {
    params: { [constants.BROTLI_PARAM_QUALITY]: 5, [constants.BROTLI_PARAM_LGWIN]: 22 },
  });
}

/** RFC 8878, section 3.1.1: a frame of 128 KiB blocks that repeat one byte, four bytes each, in a window of 8 MiB. */
function zstdBomb() {
  const blockCount = 81_920;
  const frame = Buffer.alloc(6 + 4 * blockCount);
  frame.writeUInt32LE(0xfd2fb528, 0);
  // Neither content size nor checksum; the window's exponent is 13 over 1 KiB.
  frame.writeUInt8(0, 4);
  frame.writeUInt8(13 << 3, 5);
  for (let block = 0; block < blockCount; block += 1) {
    const last = block === blockCount - 1 ? 1 : 0;
    frame.writeUIntLE((131_072 << 3) | (1 << 1) | last, 6 + 4 * block, 3);
  }
  return frame;
}

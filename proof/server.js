/**
 * The server that the proof of installation asks: codings, a long body, a body that never ends, an upload. A process of
 * its own: it prints its port and ends when its standard input does.
 */
import { createServer } from 'node:http';
import process from 'node:process';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const text = 'A pool lends a connection and wants it back.\n'.repeat(200);
/** The same text by zstd 1.5, since not every Node.js that runs this server can make it. */
const zstd = Buffer.from(
  'KLUv/WAoIrUBANQCQSBwb29sIGxlbmRzIGEgY29ubmVjdGlvbiBhbmQgd2FudHMgaXQgYmFjay4KAQDFF5BXZQ==',
  'base64',
);

const bodies = {
  '/plain': () => [text, {}],
  '/gzip': () => [gzipSync(text), { 'content-encoding': 'gzip' }],
  '/br': () => [brotliCompressSync(text), { 'content-encoding': 'br' }],
  '/zstd': () => [zstd, { 'content-encoding': 'zstd' }],
  '/long': () => [Buffer.alloc(4 << 20, 'abcdefgh'), {}],
};

// Longer than any program of a slow runtime is silent between two of its requests.
const server = createServer({ keepAliveTimeout: 120_000 }, (asked, answer) => {
  if (asked.url === '/endless') {
    // One piece comes, so that who asks knows that the response has begun; the rest never does.
    answer.writeHead(200).write('begun');
    return;
  }
  if (asked.url === '/echo') {
    answer.writeHead(200);
    asked.pipe(answer);
    return;
  }
  const body = bodies[asked.url]?.();
  if (body === undefined) {
    answer.writeHead(404).end();
    return;
  }
  answer.writeHead(200, { 'content-length': Buffer.byteLength(body[0]), ...body[1] }).end(body[0]);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().once('close', () => process.exit(0));

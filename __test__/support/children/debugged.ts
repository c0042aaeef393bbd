/** Calls of every outcome, for the lines that `NODE_DEBUG=ferropool` writes. Prints the server's port. */
import { HTTPConnectionPool } from '../../../index.ts';
import { rawServer, reply } from '../../servers/raw.ts';

let broken = 0;
const server = await rawServer(async (peer) => {
  for (;;) {
    const asked = await peer.request();
    const chunked = 'HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n';
    if (asked.includes('/silent')) continue;
    if (asked.includes('/moved')) {
      await peer.write('HTTP/1.1 302 Found\r\nLocation: /broken?s3cret\r\nContent-Length: 0\r\n\r\n');
      continue;
    }
    if (asked.includes('/broken')) {
      broken += 1;
      if (broken === 1) return peer.end();
      if (broken === 2) {
        await peer.write('HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n');
        continue;
      }
    }
    await peer.write(asked.includes('/chunked') ? chunked : reply('x'.repeat(183)));
  }
});
const { port } = server;
const pool = new HTTPConnectionPool('LocalHost', { port, resolve: { localhost: '127.0.0.1' } });
await pool.request('GET', `http://user:s3cret@localhost:${port}/path?token=s3cret#s3cret`, {
  headers: { Authorization: 's3cret' },
});
const chunked = await pool.request('GET', '/chunked', { preloadContent: false });
await chunked.read();
await pool.request('G\nET', '/a\nb').catch(() => null);
// So long that it is on its connection by then, on a busy machine too.
await pool.request('GET', '/silent?s3cret', { signal: AbortSignal.timeout(800) }).catch(() => null);
await pool.close();
const plain = new HTTPConnectionPool('plain.test', { resolve: { 'plain.test:80': `127.0.0.1:${port}` } });
await plain.request('POST', '/form', { fields: { password: 's3cret' } });
await plain.close();
const again = new HTTPConnectionPool('again.test', { resolve: { 'again.test:80': `127.0.0.1:${port}` } });
await again.request('GET', '/moved?s3cret', { retries: 5 });
await again.close();
await server.close();
console.log(String(port));

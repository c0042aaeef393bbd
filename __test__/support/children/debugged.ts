/** Calls of every outcome, for the lines that `NODE_DEBUG=ferropool` writes. Prints the server's port. */
import { HTTPConnectionPool } from '../../../index.ts';
import { debugRedirect, debugRetry } from '../../../facade/debug.ts';
import { NewConnectionError } from '../../../facade/errors.ts';
import { rawServer, reply } from '../../servers/raw.ts';

const server = await rawServer(async (peer) => {
  for (;;) {
    const asked = await peer.request();
    const chunked = 'HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n';
    if (asked.includes('/silent')) continue;
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
await pool.request('GET', '/silent?s3cret', { signal: AbortSignal.timeout(30) }).catch(() => null);
await pool.close();
const plain = new HTTPConnectionPool('plain.test', { resolve: { 'plain.test:80': `127.0.0.1:${port}` } });
await plain.request('POST', '/form', { fields: { password: 's3cret' } });
await plain.close();
await server.close();
debugRetry('http://u:s3cret@h/a?s3cret', 'Retry(total=2)', new NewConnectionError('s3cret', { code: 'ECONNREFUSED' }));
debugRetry('/a?s3cret', 'Retry(total=2)');
debugRedirect('http://u:s3cret@h/a?s3cret', '/b?s3cret');
console.log(String(port));

/** Calls over TLS, one of them by HTTP/2, for the lines that `NODE_DEBUG=ferropool` writes. Prints the servers' ports. */
import { once } from 'node:events';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';

import { HTTPSConnectionPool } from '../../../index.ts';
import { httpsServer } from '../../servers/tls.ts';
import { usual } from '../pki.ts';

const { ca, leaf, stranger } = usual();
const first = await httpsServer((_, response) => void response.end('one'));
const second = createSecureServer(leaf.identity, (_, response) => void response.end('three'));
second.listen(0, '127.0.0.1');
await once(second, 'listening');
const { port } = second.address() as AddressInfo;
const common = { resolve: { localhost: '127.0.0.1' }, retries: false, http2: true } as const;
for (const [to, caCertData] of [
  [first.port, ca.der],
  [port, ca.der],
  [port, stranger.der],
] as const) {
  const pool = new HTTPSConnectionPool('localhost', { ...common, port: to, caCertData });
  await pool.request('GET', '/path?s3cret').catch(() => null);
  await pool.close();
}
second.close();
await first.close();
console.log(JSON.stringify([first.port, port]));

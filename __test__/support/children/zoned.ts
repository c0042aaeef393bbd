/** Link-local addresses through a manager, in a network of its own. Prints what each URL led to. */
import { once } from 'node:events';
import http from 'node:http';

import { PoolManager } from '../../../index.ts';

const server = http.createServer((request, response) => response.end(request.headers.host));
server.listen({ host: 'fe80::1%lo', port: 9_000 });
await once(server, 'listening');
const manager = new PoolManager({ retries: false });
const report: Record<string, unknown> = {};
for (const host of ['fe80::1%25lo', 'fe80::1%lo', 'FE80:0::1%25lo', 'fe80::1%251', 'fe80::1%25none']) {
  const url = `http://[${host}]:9000/`;
  report[url] = await manager.request('GET', url).then(
    (response) => [response.text(), response.connection?.remoteAddress, response.connection?.reused],
    (error: Error) => error.name,
  );
}
await manager.close();
server.closeAllConnections();
server.close();
console.log(JSON.stringify(report));

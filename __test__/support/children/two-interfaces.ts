/** Two interfaces in a network of the test's own. Prints where each of them leads. */
import { once } from 'node:events';
import http from 'node:http';

import { HTTPConnectionPool } from '../../../index.ts';

const server = http.createServer((_, response) => response.end());
server.listen(0);
await once(server, 'listening');
const { port } = server.address() as { port: number };
const report: Record<string, string> = {};
for (const host of ['127.0.0.1', '10.9.0.1']) {
  for (const name of [null, 'lo', 'near']) {
    const pool = new HTTPConnectionPool(host, { port, interface: name, retries: false, timeout: { connect: 800 } });
    report[`${name ?? 'any'} ${host}`] = await pool.request('GET', '/').then(
      (response) => String(response.status),
      (error: Error & { phase?: string }) => `${error.name} ${error.phase}`,
    );
    await pool.close({ timeout: 0 });
  }
}
server.closeAllConnections();
server.close();
console.log(JSON.stringify(report));

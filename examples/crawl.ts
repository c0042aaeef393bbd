/** A crawler in small: one manager, many hosts, bounded everywhere, and no answer lost. Run with `npx tsx examples/crawl.ts`. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { PoolManager, Retry } from 'ferropool';

// Ten names, one server: `resolve` leads them there.
const server = createServer((request, response) => {
  if (request.url === '/old') response.writeHead(301, { location: '/new' }).end();
  else if (Math.random() < 0.1) request.socket.destroy();
  else response.end(`${request.headers.host}${request.url}`);
});
await new Promise<void>((resolve) => {
  server.listen(0, '127.0.0.1', resolve);
});
const { port } = server.address() as AddressInfo;
const hosts = Array.from({ length: 10 }, (_, nth) => `site-${nth}.test`);

const manager = new PoolManager({
  resolve: (host) => (host.endsWith('.test') ? { address: '127.0.0.1', port } : null),
  retries: new Retry({ total: 5, backoffFactor: 10 }),
  timeout: { connect: 2_000, read: 5_000, total: 30_000 },
  maxTotalConnections: 32,
  rate: 200,
});

const pages = hosts.flatMap((host) =>
  Array.from({ length: 20 }, (_, nth) => `http://${host}/${nth === 0 ? 'old' : nth}`),
);
const outcomes = new Map<string, number>();
for await (const settled of manager.requestMany(pages)) {
  const outcome = settled.ok ? `${settled.response.status}` : ((settled.error as { code?: string }).code ?? 'unknown');
  outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
}
console.log(Object.fromEntries(outcomes)); // { '200': 200 }
const { opened, requests, latency } = manager.stats();
console.log({ pools: manager.pools.size, opened, requests, p99: latency?.total.p99 });
await manager.close();
server.close();

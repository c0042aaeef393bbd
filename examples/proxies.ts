/**
 * A crawler behind many proxies, some of them dead: each request has a proxy of its own, and a dead one costs nobody else.
 * Run with `npx tsx examples/proxies.ts`.
 */
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { HTTPError, PoolManager, ProxyError, Retry } from 'ferropool';

// The site, and three proxies that pass requests on to it. A fourth is not there any more.
const site = createServer((asked, answer) => answer.end(asked.url));
const sitePort = await listening(site);
const living = Array.from({ length: 3 }, () =>
  createServer((asked, answer) => {
    const { pathname: path } = new URL(asked.url ?? '');
    asked.pipe(request({ port: sitePort, host: '127.0.0.1', path }, (got) => got.pipe(answer)));
  }),
);
const gone = createServer();
const proxies = new Map<string, { used: number; failed: number }>();
for (const server of [...living, gone])
  proxies.set(`http://127.0.0.1:${await listening(server)}`, { used: 0, failed: 0 });
gone.close();

const manager = new PoolManager({
  // The program chooses another proxy in place of asking the same one again.
  retries: new Retry({ total: 3, connect: 0, read: 0, other: 0 }),
  timeout: { connect: 2_000, read: 10_000 },
  maxTotalConnections: 100,
  headers: { 'User-Agent': 'example/1' },
});

/** The proxy that failed least often; of equals the one that was used least. */
function best(): string {
  const ranked = [...proxies];
  ranked.sort(([, a], [, b]) => a.failed - b.failed || a.used - b.used);
  const [proxy, count] = ranked[0] as (typeof ranked)[number];
  count.used += 1;
  return proxy;
}

async function fetched(url: string, tries: number = 3): Promise<string> {
  const proxy = best();
  try {
    const response = await manager.request('GET', url, { proxy });
    return response.text();
  } catch (error) {
    // A MaxRetryError has what happened as its reason. An error of the site's is no fault of the proxy's.
    const reason = error instanceof HTTPError && error.reason instanceof Error ? error.reason : error;
    if (!(reason instanceof ProxyError) || tries === 1) throw error;
    (proxies.get(proxy) as { failed: number }).failed += 1;
    return fetched(url, tries - 1);
  }
}

const pages = Array.from({ length: 30 }, (_, nth) => `http://site-${nth % 5}.test/${nth}`);
const texts = await Promise.all(pages.map((page) => fetched(page)));
console.log(texts.length, 'pages'); // 30 pages
for (const [proxy, count] of proxies) console.log(proxy, count);
console.log({ pools: manager.pools.size, opened: manager.stats().opened });

await manager.close();
for (const server of [site, ...living]) server.close();

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/**
 * Requests in a process whose environment names proxies. Argument: `{ http, https, authority, own }`, ports of two origins, whom to
 * trust, and another proxy. Prints for each way of asking which proxy its connection led through, or what it failed with.
 */
import {
  HTTPConnection,
  HTTPConnectionPool,
  HTTPSConnectionPool,
  PoolManager,
  ProxyManager,
  request,
  type HTTPResponse,
} from '../../../index.ts';

const { http, https, authority, own } = JSON.parse(process.argv[2] ?? '') as {
  http: number;
  https: number;
  authority: string;
  own: string;
};
const resolve = { 'h.test': '127.0.0.1', 's.test': '127.0.0.1', 'near.test': '127.0.0.1' };
const options = { resolve, caCertData: authority, retries: false } as const;
const report: Record<string, string | null> = {};

async function said(what: string, ask: () => Promise<HTTPResponse>): Promise<void> {
  report[what] = await ask().then(
    ({ connection }) => connection?.proxy ?? null,
    (error: Error) => `${error.name} ${String((error as { scheme?: unknown }).scheme)}`,
  );
}

await said('request', () => request('GET', `http://127.0.0.1:${http}/`, { retries: false }));
const manager = new PoolManager(options);
// Read when the manager was made.
const before = process.env['HTTP_PROXY'];
process.env['HTTP_PROXY'] = 'http://127.0.0.1:1';
await said('manager', () => manager.request('GET', `http://h.test:${http}/`));
process.env['HTTP_PROXY'] = before;
await said('manager, https', () => manager.request('GET', `https://s.test:${https}/`));
await said('manager, NO_PROXY', () => manager.request('GET', `http://near.test:${http}/`));
await said('manager, proxy: null', () => manager.request('GET', `http://h.test:${http}/`, { proxy: null }));
await said('manager, proxy: false', () => manager.request('GET', `http://h.test:${http}/`, { proxy: false }));
await said('manager, proxy: its own', () => manager.request('GET', `http://h.test:${http}/`, { proxy: own }));
await said('manager, redirect', () =>
  manager.request('GET', `http://h.test:${http}/to/302/http%3A%2F%2Fnear.test%3A${http}%2F`, { retries: 1 }),
);
await said('pool of a manager', async () => manager.connectionFromUrl(`https://s.test:${https}/`).request('GET', '/'));
const proxied = new ProxyManager(own, options);
await said('ProxyManager', () => proxied.request('GET', `http://h.test:${http}/`));
const bare = new HTTPConnectionPool('h.test', { port: http, resolve, retries: false });
await said('bare pool', () => bare.request('GET', '/'));
const secure = new HTTPSConnectionPool('s.test', { ...options, port: https });
await said('bare pool, https', () => secure.request('GET', '/'));
const connection = new HTTPConnection('h.test', { port: http, resolve });
await said('connection', async () => {
  await connection.request('GET', '/');
  return connection.getResponse();
});
await connection.close();
for (const one of [manager, proxied, bare, secure]) await one.close();
console.log(JSON.stringify(report));

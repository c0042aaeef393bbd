/**
 * Requests through proxies that know secrets, and everything that is told of them: to logs, to channels, as warnings, by what
 * was returned or thrown, and by what is printed. Argument: `{ proxy, socks, dead, stranger, authority }`: two proxies, a URL
 * where nobody is, one whose certificate nobody knows, and whom to trust. Secrets have `sesame` in them.
 */
import { subscribe } from 'node:diagnostics_channel';
import { inspect } from 'node:util';

import { HTTPConnection, HTTPConnectionPool, ProxyManager, SOCKSProxyManager } from '../../../index.ts';

const { proxy, socks, dead, authority } = JSON.parse(process.argv[2] ?? '') as Record<
  'proxy' | 'socks' | 'dead' | 'authority',
  string
>;

function show(what: string, value: unknown): void {
  const parts = [inspect(value, { depth: 12, showHidden: true, maxArrayLength: null }), String(value)];
  parts.push(JSON.stringify(value) ?? '');
  for (let error = value; error instanceof Error; error = error.cause) {
    parts.push(error.message, error.stack ?? '', JSON.stringify(error), inspect(Object.entries(error), { depth: 12 }));
  }
  console.log(`${what}: ${parts.join('\n')}`);
}

for (const name of [
  'ferropool:request:start',
  'ferropool:request:headers',
  'ferropool:request:end',
  'ferropool:request:error',
  'ferropool:connection:open',
  'ferropool:connection:close',
  'undici:request:create',
  'undici:client:sendHeaders',
  'undici:request:headers',
  'undici:request:trailers',
  'undici:request:error',
]) {
  subscribe(name, (message) => show(name, message));
}
process.on('warning', (warning) => show('warning', warning));

const withUser = (url: string, user = 'user:sesame1'): string => url.replace('//', `//${user}@`);
const trusted = { caCertData: authority, retries: false } as const;
const secrets = { headers: { Authorization: 'sesame5', Cookie: 'sesame5' } } as const;

async function ask(what: string, call: () => Promise<unknown>): Promise<void> {
  show(what, await call().catch((error: unknown) => error));
}

const managers = {
  forwards: new ProxyManager(withUser(proxy), { ...trusted, proxyHeaders: { 'X-Token': 'sesame3' } }),
  socks: new SOCKSProxyManager(withUser(socks), trusted),
  named: new SOCKSProxyManager(socks, { ...trusted, username: 'user', password: 'sesame1' }),
  refused: new ProxyManager(withUser(proxy, 'user:sesame9'), trusted),
  refusedBySocks: new SOCKSProxyManager(withUser(socks, 'user:sesame9'), trusted),
  unverified: new ProxyManager(withUser(proxy), { retries: false, certReqs: 'none' }),
  distrusts: new ProxyManager(withUser(proxy), { retries: false }),
  dead: new ProxyManager(withUser(dead), { ...trusted, retries: 2 }),
  deadTls: new ProxyManager(withUser(dead.replace('http:', 'https:')), trusted),
  plainTls: new ProxyManager(withUser(proxy.replace('http:', 'https:')), trusted),
  deadSocks: new SOCKSProxyManager(withUser(dead.replace('http:', 'socks5h:')), trusted),
};
for (const [name, manager] of Object.entries(managers)) {
  for (const url of ['http://me:sesame4@h.test/', 'https://me:sesame4@s.test/']) {
    await ask(`${name} ${url.slice(0, 5)}`, () => manager.request('GET', url, secrets));
  }
  show(name, manager);
  show(name, manager.stats());
  for (const pool of manager.pools) show(name, [pool, pool.stats()]);
}
const { forwards } = managers;
await ask('redirected', () => forwards.request('GET', 'http://h.test/moved', { ...secrets, retries: 3 }));
await ask('stream', async () => {
  const response = await forwards.request('GET', 'https://s.test/', { ...secrets, preloadContent: false });
  await response.read();
  return response;
});
// Proxies of the requests' own, some of them none.
for (const own of [
  withUser(proxy),
  withUser(dead),
  withUser('ftp://p.test'),
  withUser('http://a b'),
  withUser('http://['),
  withUser('http://a..b'),
  withUser('http://256.1.1.1'),
  withUser('http://p.test:99999'),
  withUser('http://p.test', 'user:ses/sesame1'),
  withUser('http://p.test', 'user:ses?sesame1'),
  withUser('http://p.test', 'user:ses#sesame1'),
  withUser('http://p.test', 'user:ses\\sesame1'),
  withUser('http://p.test', 'user:sesame1/x'),
  'user:sesame1@p.test:1',
  'user:sesame1/x@p.test:1',
  withUser('socks5://p.test', `user:${'sesame1'.repeat(50)}`),
  withUser('socks4://p.test', 'use%00sesame1:x'),
]) {
  await ask('own', () =>
    managers.unverified.request('GET', 'http://h.test/', { ...secrets, proxy: own, timeout: 500 }),
  );
  await ask('its target', () => forwards.request('GET', own, { timeout: 500 }));
  await ask('made', () => Promise.resolve().then(() => new ProxyManager(own)));
  await ask('pool', () =>
    Promise.resolve().then(() => new HTTPConnectionPool('h.test', { proxy: own, retries: false })),
  );
}
const pool = new HTTPConnectionPool('h.test', { proxy: withUser(proxy), retries: false });
await ask('pool', () => pool.request('GET', '/', secrets));
await ask('pool', () => pool.request('GET', 'http://me:sesame4@other.test/', secrets));
show('pool', pool);
const connection = new HTTPConnection('h.test', { proxy: withUser(proxy) });
await ask('connection', async () => {
  await connection.request('GET', '/', secrets);
  return connection.getResponse();
});
show('connection', connection);
await connection.close();
await pool.close();
for (const manager of Object.values(managers)) await manager.close();
show('closed', managers);
console.log('all was told');

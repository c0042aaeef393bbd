/**
 * Pools that have neither a connection nor anybody who waits for one: of thousands a manager lets those go that nobody else
 * holds, and whoever holds one, or comes back to it, notices nothing.
 */
import test, { type ExecutionContext } from 'ava';

import { Retry, type PoolManager } from '../index.ts';
import { httpServer, type HttpServer } from './servers/http.ts';
import { managed, until } from './support/street.ts';

/** More than a manager keeps alive at rest. */
const MANY = 300;

interface Busy {
  readonly server: HttpServer;
  readonly manager: PoolManager;
  readonly url: (host: number, path: string) => string;
}

/**
 * A manager with many live pools, each with an idle connection, over one server. What it answers to `/close` is its last word
 * on that connection; so is its first answer to `/later`, which is that.
 */
async function busy(t: ExecutionContext): Promise<Busy> {
  let refused = false;
  const server = await httpServer(({ url = '' }, response) => {
    const refuses = url === '/later' && !refused;
    if (refuses || url === '/close') response.setHeader('connection', 'close');
    if (refuses) {
      refused = true;
      response.writeHead(503, { 'retry-after': '3' });
    }
    response.end(url);
  });
  t.teardown(() => server.close());
  const hosts = Array.from({ length: MANY + 1 }, (_, number) => [`h${number}.test`, '127.0.0.1'] as const);
  const manager = managed(t, { resolve: Object.fromEntries(hosts), maxTotalConnections: 0, retries: false });
  const url = (host: number, path: string): string => `http://h${host}.test:${server.port}${path}`;
  for (let host = 1; host <= MANY; host += 1) await manager.request('GET', url(host, '/'));
  return { server, manager, url };
}

test('MGR-04 MGR-05: a pool that somebody holds is the manager’s also when it was at rest: clear() closes its connections', async (t) => {
  const { server, manager, url } = await busy(t);
  const held = manager.connectionFromUrl(url(0, '/'));
  await held.request('GET', '/close');
  await held.request('GET', '/');
  t.is(manager.stats().idle, MANY + 1);
  manager.clear();
  await until(() => manager.stats().idle === 0, 'no idle connection');
  t.is(held.pool?.idle, 0);
  // Whoever holds it goes on with it.
  await held.request('GET', '/');
  t.is(held.stats().requests, 3);
  t.is(held.pool?.idle, 1);
  t.is(server.sockets.length, MANY + 3);
});

test('MGR-04: so it is for one that makes room for another', async (t) => {
  const { manager, url } = await busy(t);
  const held = manager.connectionFromUrl(url(0, '/'));
  await held.request('GET', '/close');
  await held.request('GET', '/');
  // 1,000 are kept, and this one is the oldest but for those that were made before it.
  for (let number = 0; number < 1_000; number += 1) manager.connectionFromHost(`other${number}.test`);
  await until(() => manager.stats().idle === 0, 'no idle connection');
  t.is(held.pool?.idle, 0);
});

test('MGR-04: a connection that was made while a call held the pool is kept when that call has ended', async (t) => {
  const { server, manager, url } = await busy(t);
  const retries = new Retry({ total: 1, statusForcelist: [503] });
  const again = manager.request('GET', url(0, '/later'), { retries });
  await until(() => manager.stats().closed === 1, 'an end of the first connection');
  // It waits, and its pool has nothing to do.
  await manager.request('GET', url(0, '/'));
  t.is((await again).text(), '/later');
  await manager.request('GET', url(0, '/'));
  t.is(server.sockets.length, MANY + 2);
});

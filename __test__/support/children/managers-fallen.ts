/**
 * Managers whose I/O thread falls. Needs `--conditions=ferropool-faults` and `--expose-gc`. Prints what came of them.
 */
import { createRequire } from 'node:module';

import { PoolManager, type HTTPConnectionPool, type PoolStats } from '../../../index.ts';
import { httpServer } from '../../servers/http.ts';

const addon = createRequire(import.meta.url)('#ferropool-addon') as { armFault(place: string, times: number): void };
const collect = (globalThis as unknown as { gc: () => void }).gc;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const servers = await Promise.all(
  [0, 1, 2].map((n) =>
    httpServer((request, response) => {
      if (request.url === '/cookie') response.end(request.headers.cookie);
      else if (request.url !== '/never') response.end(`${n}${request.url}`);
    }),
  ),
);
const url = (n: number, path = ''): string => `http://127.0.0.1:${servers[n]?.port}/${path}`;
const code = (error: unknown): string => (error as { code?: string }).code ?? String(error);
const texts = async (calls: Promise<{ text(): string }>[]): Promise<string> =>
  (await Promise.all(calls.map((call) => call.then((response) => response.text(), code)))).join(' ');
const sums = ({ opened, closed, idle, leased, waiting, requests }: PoolStats): number[] => [
  opened - closed - idle - leased,
  opened,
  idle,
  leased,
  waiting,
  requests,
];
/** The next submission ends the thread. */
const fall = (): void => addon.armFault('thread', 1);
const report: Record<string, unknown> = {};

const manager = new PoolManager({ maxTotalConnections: 3, retries: false });
const pool = manager.connectionFromUrl(url(1));
const own = manager.connectionFromUrl(url(2), { maxsize: 2 });
report['before'] = await texts([manager.request('GET', url(0)), pool.request('GET', '/'), own.request('GET', '/')]);
report['counted'] = [sums(manager.stats()), sums(pool.stats())];
// Some in flight, one of them on a connection that took the place of an idle one, and some waiting for the bound.
const flying = [0, 1, 2, 0, 1].map((n) => manager.request('GET', url(n, 'never')));
const isUnderWay = ({ waiting, opened, leased }: PoolStats): boolean => waiting === 2 && opened === 4 && leased === 3;
while (!isUnderWay(manager.stats())) await turn();
fall();
report['in flight'] = await texts([...flying, manager.request('GET', url(0))]);
report['fallen'] = [sums(manager.stats()), sums(pool.stats())];
report['after'] = await texts([
  manager.request('GET', url(0, 'a')),
  manager.request('GET', url(1, 'b')),
  pool.request('GET', '/c'),
  own.request('GET', '/d'),
]);
report['same'] = [
  manager.connectionFromUrl(url(1)) === pool,
  manager.connectionFromUrl(url(2), { maxsize: 2 }) === own,
  manager.pools.size,
];
report['counted on'] = [sums(manager.stats()), sums(pool.stats())];

// The manager of a held pool is gone, and its handle somebody else's.
function orphan(): HTTPConnectionPool {
  return new PoolManager({ retries: false }).connectionFromUrl(url(2));
}
const held = orphan();
for (let n = 0; n < 5; n += 1) {
  collect();
  await turn();
}
const others = Array.from({ length: 8 }, () => new PoolManager({ retries: false }));
report['orphan before'] = await texts([
  held.request('GET', '/x'),
  ...others.map((one) => one.request('GET', url(0, 'y'))),
]);
fall();
await texts([held.request('GET', '/lost')]);
report['orphan after'] = await texts([
  held.request('GET', '/x'),
  ...others.map((one) => one.request('GET', url(1, 'y'))),
  held.request('GET', '/z'),
]);

// The answer to a question of the thread that fell, which is given when the next one has asked its first.
const answers: ((text: string) => void)[] = [];
const jar = {
  getCookieString: () => new Promise<string>((resolve) => answers.push(resolve)),
  setCookie: () => undefined,
};
const asked = new PoolManager({ retries: false, jar });
const early = texts([asked.request('GET', url(0, 'cookie'))]);
while (answers.length < 1) await turn();
fall();
await texts([pool.request('GET', '/lost')]);
await early;
const late = texts([asked.request('GET', url(0, 'cookie'))]);
while (answers.length < 2) await turn();
answers[0]?.('secret=early');
for (let n = 0; n < 20; n += 1) await turn();
answers[1]?.('own=late');
report['late answer'] = [await early, await late];

// What was closed stays closed.
const shut = new PoolManager({ retries: false });
const shutPool = shut.connectionFromUrl(url(0));
await shut.close();
fall();
await texts([pool.request('GET', '/lost')]);
report['closed'] = await texts([
  shutPool.request('GET', '/'),
  shut.request('GET', url(0)),
  pool.request('GET', '/open'),
]);
report['report'] = await manager.close({ timeout: 1_000 }).then(({ forced }) => forced, code);
report['end'] = sums(manager.stats())[0];
for (const server of servers) await server.close();
console.log(JSON.stringify(report));
process.exit(0);

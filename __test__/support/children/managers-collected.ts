/**
 * What collection (`--expose-gc`) does to managers and to pools that are held of them. Prints what was seen. Makes objects in
 * functions, whose frames keep nothing alive once they are left.
 */
import { PoolManager, type HTTPConnectionPool } from '../../../index.ts';
import { httpServer, type HttpServer } from '../../servers/http.ts';

const collect = (globalThis as unknown as { gc: () => void }).gc;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const servers = await Promise.all(
  [0, 1, 2].map((n) => httpServer((request, response) => response.end(`${n}${request.url}`))),
);
const url = (n: number, path = ''): string => `http://127.0.0.1:${servers[n]?.port}/${path}`;
const open = (): string =>
  servers.map((server: HttpServer) => server.sockets.filter((socket) => !socket.destroyed).length).join('');
async function settles(wanted: string): Promise<string> {
  const until = Date.now() + 30_000;
  while (open() !== wanted && Date.now() < until) {
    collect();
    await turn();
  }
  return open();
}
/** Everything that can be collected is. */
async function collected(): Promise<void> {
  for (let n = 0; n < 5; n += 1) {
    collect();
    await turn();
  }
}
const report: Record<string, unknown> = {};

// A manager that nobody has: its connections close, but those of the pool that somebody holds.
async function abandoned(): Promise<HTTPConnectionPool> {
  const manager = new PoolManager();
  for (const n of [0, 1, 2]) await manager.request('GET', url(n));
  return manager.connectionFromUrl(url(1));
}
const orphan = await abandoned();
await orphan.request('GET', '/');
await settles('010');
report['orphan'] = [(await orphan.request('GET', '/works')).text(), orphan.pool?.leased];
await orphan.close();
report['manager'] = await settles('000');

// A pool of a manager's that nobody holds stays the manager's.
const manager = new PoolManager({ numPools: 2 });
/** A response leads to its pool. */
async function isReused(): Promise<boolean | undefined> {
  return (await manager.connectionFromUrl(url(0)).request('GET', '/')).connection?.reused;
}
await isReused();
await collected();
report['kept'] = [open(), await isReused()];

// The finaliser of the object that stood for a pool must not take the place of the one that stands for it now.
async function isSame(): Promise<boolean> {
  (() => void manager.connectionFromUrl(url(0)))();
  // What a WeakRef was made for lives as long as this turn; its finaliser runs in a later one.
  await turn();
  collect();
  const now = manager.connectionFromUrl(url(0));
  await collected();
  return manager.connectionFromUrl(url(0)) === now;
}
let same = 0;
for (let round = 0; round < 20; round += 1) if (await isSame()) same += 1;
report['same'] = same;

// A pool that was forgotten lives as long as somebody holds it.
async function forgotten(): Promise<string> {
  const pool = manager.connectionFromUrl(url(0));
  for (const n of [1, 2]) await manager.request('GET', url(n));
  await pool.request('GET', '/');
  await collected();
  const { connection } = await pool.request('GET', '/');
  return `${open()} ${connection?.reused}`;
}
report['forgotten'] = [await forgotten(), await settles('011')];

// Handles are used again: nobody may be led to another's host.
async function reused(): Promise<number> {
  const long: [HTTPConnectionPool, number][] = [];
  let wrong = 0;
  for (let round = 0; round < 24; round += 1) wrong += await misled(round, long);
  return wrong;
}
async function misled(round: number, long: [HTTPConnectionPool, number][]): Promise<number> {
  let wrong = 0;
  const short = new PoolManager({ numPools: 2 });
  const calls = Array.from({ length: 6 }, async (_, k) => {
    const n = (round + k) % 3;
    const way =
      k % 2 === 0
        ? short.request('GET', url(n, `${round}`))
        : short.connectionFromUrl(url(n)).request('GET', `/${round}`);
    if ((await way).text() !== `${n}/${round}`) wrong += 1;
  });
  if (round % 4 === 0) long.push([short.connectionFromUrl(url(round % 3)), round % 3]);
  collect();
  await Promise.all(calls);
  await collected();
  for (const [pool, n] of long) if ((await pool.request('GET', '/long')).text() !== `${n}/long`) wrong += 1;
  return wrong;
}
report['wrong'] = await reused();
await manager.close();
report['all'] = await settles('000');
for (const server of servers) await server.close();
console.log(JSON.stringify(report));

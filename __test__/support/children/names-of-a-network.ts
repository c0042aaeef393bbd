/**
 * Names by the system's own resolver, in a network of the test's where the one name server is ours, and where one address of
 * each family is a black hole. Prints what came of them.
 */
import http from 'node:http';
import { once } from 'node:events';

import { PoolManager, type HTTPResponse } from '../../../index.ts';
import { nameServer, type Records } from '../../servers/dns.ts';

const RECORDS: Readonly<Record<string, Records>> = {
  'good.test': ['10.9.0.1'],
  'empty.test': [],
  // IPv6 that leads nowhere: the system puts it first (RFC 6724).
  'broken.test': ['10.9.0.1', '2001:db8:9::2'],
  'holes.test': ['10.9.0.2', '2001:db8:9::2'],
};
const names = await nameServer((name) => RECORDS[name] ?? (name.startsWith('stalls') ? 'silence' : 'no such name'));
const server = http.createServer((_, response) => response.end('ok'));
server.listen(0);
await once(server, 'listening');
const { port } = server.address() as { port: number };
const manager = new PoolManager({ retries: false, maxTotalConnections: 0 });

type Outcome = HTTPResponse | (Error & { code?: string; phase?: string });
const get = (host: string, connect: number = 10_000, headers = {}): Promise<Outcome> =>
  manager
    .request('GET', `http://${host}:${port}/`, { timeout: { connect }, headers })
    .catch((error: unknown) => error as Error);
const told = (outcome: Outcome): string =>
  outcome instanceof Error ? [outcome.name, outcome.code, outcome.phase].join(' ') : String(outcome.status);
const tally = (outcomes: readonly Outcome[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) counts[told(outcome)] = (counts[told(outcome)] ?? 0) + 1;
  return counts;
};
const many = <T>(count: number, one: (nth: number) => T): T[] => Array.from({ length: count }, (_, nth) => one(nth));
const report: Record<string, unknown> = {};

// A storm on a cold name; a name that is not there; one that has no address.
report['storm'] = tally(await Promise.all(many(2_000, () => get('good.test'))));
report['dead'] = tally(await Promise.all(many(64, () => get('dead.test'))));
report['empty'] = tally([await get('empty.test')]);
report['asked'] = ['good.test', 'dead.test'].map((name) => names.asked.get(name));

// The first address is a black hole: the second one is tried after a moment, and goes first from then on.
const closing = { Connection: 'close' };
const attempts = (outcome: Outcome): unknown =>
  outcome instanceof Error
    ? told(outcome)
    : outcome.connection?.triedAddresses.map(({ address, error }) => [
        address.replace(`:${port}`, ''),
        error?.replaceAll(`:${port}`, '') ?? null,
      ]);
const first = await get('broken.test', 10_000, closing);
report['first'] = attempts(first);
report['took'] = first instanceof Error ? null : first.timings?.connect;
report['second'] = attempts(await get('broken.test', 10_000, closing));
report['holes'] = tally([await get('holes.test', 1_200)]);

// More names that stall than threads, each asked for by two; each of them is cut at its time.
const spans: number[] = [];
const stalling = Promise.all(
  many(80, async (nth) => {
    const began = performance.now();
    const outcome = await get(`stalls${nth % 40}.test`, 1_500);
    spans.push(performance.now() - began);
    return outcome;
  }),
);
while ([...names.asked.keys()].filter((name) => name.startsWith('stalls')).length < 32) {
  await new Promise((resolve) => setImmediate(resolve));
}
const began = performance.now();
const since = (): number => Math.round(performance.now() - began);
// An address needs no thread, a name that is known neither: both are there long before the stalls are over. One that is new
// waits for those stalls, and no longer.
report['address'] = (await Promise.all([get('127.0.0.1', 1_000), get('good.test', 1_000)])).map(told);
report['new'] = told(await get('localhost', 10_000));
report['newTook'] = since();
report['stalled'] = tally(await stalling);
report['spans'] = [Math.min(...spans), Math.max(...spans)];
const questions = [...names.asked].filter(([name]) => name.startsWith('stalls')).map(([, count]) => count);
report['questions'] = [questions.length, Math.max(...questions)];
const { leased, waiting } = manager.stats();
report['left'] = [leased, waiting];

await manager.close({ timeout: 0 });
names.close();
server.closeAllConnections();
server.close();
console.log(JSON.stringify(report));

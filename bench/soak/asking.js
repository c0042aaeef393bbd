/**
 * What a question costs beside the fast path: no function, a gate before each attempt, a jar, a resolver (which is asked
 * with each new connection alone). The kinds take turns, so that what slows the machine down slows all of them.
 */
import { once } from 'node:events';
import { fork } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { lanes } from './common.js';

const jar = { getCookieString: () => 'a=b', setCookie: () => undefined };

const median = (values) => values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)];

/**
 * So many requests of each kind in each of nine rounds, with this build of the product.
 *
 * @param {{ PoolManager: any }} product
 * @param {{ requests: number, width?: number, rounds?: number }} size
 * @returns {Promise<{ lines: string[], complaints: string[] }>}
 */
export async function asking({ PoolManager }, { requests, width = 32, rounds = 9 }) {
  const script = fileURLToPath(new URL('restart-server.js', import.meta.url));
  const server = fork(script, ['0', join(tmpdir(), 'ferropool-asking')], { execArgv: [] });
  const [{ port }] = await once(server, 'message');
  const fixed = { 'asked.test': `127.0.0.1:${port}` };
  const kinds = {
    'no function': { resolve: fixed },
    beforeAttempt: { resolve: fixed, beforeAttempt: () => undefined },
    jar: { resolve: fixed, jar },
    'resolve function': { resolve: () => [{ address: '127.0.0.1', port }] },
  };
  const runs = Object.entries(kinds).map(([name, options]) => ({
    name,
    manager: new PoolManager({ maxsize: width, ...options }),
    rates: [],
    costs: [],
  }));
  let failed = 0;
  const round = async ({ manager, rates, costs }, counts) => {
    const [began, before] = [performance.now(), process.threadCpuUsage?.() ?? process.cpuUsage()];
    const done = await lanes(requests, width, async () => {
      const response = await manager.request('GET', 'http://asked.test/');
      if (response.text() !== 'here') failed += 1;
    });
    const used = process.threadCpuUsage?.(before) ?? process.cpuUsage(before);
    if (!counts) return;
    rates.push(done / ((performance.now() - began) / 1_000));
    costs.push((used.user + used.system) / done);
  };
  for (const run of runs) await round(run, false);
  for (let turn = 0; turn < rounds; turn += 1) for (const run of runs) await round(run, true);
  const whose = process.threadCpuUsage === undefined ? 'of the process' : 'of the main thread';
  const plain = median(runs[0].costs);
  const lines = runs.map(({ name, rates, costs }) => {
    const cost = median(costs);
    return `  ${name}: ${Math.round(median(rates))} req/s, ${cost.toFixed(1)} µs ${whose}, × ${(cost / plain).toFixed(2)}`;
  });
  for (const { manager } of runs) await manager.close();
  const gone = once(server, 'exit');
  server.disconnect();
  await gone;
  return { lines, complaints: failed === 0 ? [] : [`${failed} answers were not what was asked for`] };
}

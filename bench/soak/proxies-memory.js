/**
 * Thousands of proxies in one manager, some https origins through each: a pool for every pair, all of them used, none with a
 * connection at the end. What they cost is memory, so that is what is looked at: beside the same manager when it had done as
 * many requests with one pair.
 *
 * There is one configuration of TLS: each has all of Node's authorities here, which are more than a pool may take. But no
 * session of one proxy is resumed through another: the origin would know both for the same client.
 */
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { rootCertificates } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { buildCeiling } from '../prepare.js';
import { descriptors, descriptorsLeft, lanes, restingMemory, settled } from './common.js';

/** Requests under way. */
const WIDTH = 100;
/** Bytes that a pool may take (20,000 of them 50 MB), and what a small run may be off by whatever it does. */
const [MOST, NOISE] = [2_500, 6_000_000];

/**
 * One request through each proxy to each origin, `requests` in all.
 *
 * @param {{ PoolManager: any }} product
 * @param {{ requests: number, origins?: number }} size
 * @returns {Promise<{ lines: string[], complaints: string[] }>}
 */
export async function proxiesMemory({ PoolManager }, { requests, origins = 4 }) {
  const ceiling = buildCeiling();
  if (!ceiling) return { lines: [], complaints: ['the proxies (bench/ceiling) could not be built'] };
  const proxies = Math.ceil(requests / origins);
  const behind = fork(fileURLToPath(new URL('tls-server.js', import.meta.url)), [String(origins)], { execArgv: [] });
  const [{ ports }] = await once(behind, 'message');
  const front = spawn(ceiling, ['tunnel', String(proxies)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [port] = await once(createInterface({ input: front.stdout }), 'line');
  // As `bench/ceiling/src/tunnel.rs` counts addresses.
  const address = (nth) => `127.1.${(nth + 1) >> 8}.${(nth + 1) & 255}`;

  const authority = readFileSync(new URL('../certificates/authority.pem', import.meta.url), 'latin1');
  const manager = new PoolManager({
    caCertData: [authority, ...rootCertificates].join('\n'),
    numPools: proxies * origins + 1,
    retries: false,
    timeout: { connect: 60_000, read: 60_000 },
  });
  const odd = [];
  const note = (n, what) => {
    if (odd.length < 5) odd.push(`request ${n}: ${what}`);
  };
  const seen = { right: 0, resumed: 0, linked: 0 };
  const one = async (n, proxy, origin, isFirst = false) => {
    try {
      const response = await manager.request('GET', `https://127.0.0.1:${origin}/${n}`, { proxy });
      const { connection } = response;
      if (response.text() !== `/${n}`) return note(n, `another's answer: ${response.status} ${response.text()}`);
      if (connection.proxy !== proxy) return note(n, `through ${connection.proxy}, not ${proxy}`);
      if (connection.tls.resumed) seen.resumed += 1;
      if (connection.tls.resumed && isFirst) seen.linked += 1;
      seen.right += 1;
    } catch (error) {
      note(n, `${error.name} ${error.code}: ${error.message}`);
    }
    return undefined;
  };

  // As many as then count: what so much work leaves behind in V8's own heap is no pool's.
  await lanes(proxies * origins, WIDTH, (n) => one(n, `http://127.0.0.1:${port}`, ports[0]));
  await settled(manager);
  const [before, open] = [await restingMemory(), descriptors()];
  const warm = seen.resumed;
  Object.assign(seen, { right: 0, resumed: 0 });
  const began = performance.now();
  const count = await lanes(proxies * origins, WIDTH, (n) => {
    const [proxy, origin] = [Math.floor((n - 1) / origins), (n - 1) % origins];
    return one(n, `http://${address(proxy)}:${port}`, ports[origin], origin === 0);
  });
  const seconds = (performance.now() - began) / 1_000;
  await settled(manager);
  const [after, left] = [await restingMemory(), await descriptorsLeft(open)];
  const { opened, closed, idle, leased, waiting } = manager.stats();
  const pools = manager.pools.size;
  await manager.close();
  for (const [process, end] of [
    [behind, () => behind.disconnect()],
    [front, () => front.stdin.end()],
  ]) {
    const gone = once(process, 'exit');
    end();
    await gone;
  }

  const lines = [
    `  ${count} requests through ${proxies} proxies in ${seconds.toFixed(1)} s (${Math.round(count / seconds)} a second)`,
  ];
  const complaints = [];
  const check = (holds, line) => {
    lines.push(`${holds ? '✔' : '✘'} ${line}`);
    if (!holds) complaints.push(line);
  };
  check(
    odd.length === 0 && seen.right === count,
    `${seen.right} had their own answers; ${odd.join('; ') || 'no other'}`,
  );
  check(pools === count + 1, `${pools} pools are kept, ${count + 1} are due`);
  const grown = (after - before) * 1_048_576;
  const most = MOST * count + (count < 20_000 ? NOISE : 0);
  check(
    grown < most,
    `memory rose by ${mega(grown)} MB over ${mega(before * 1_048_576)}, less than ${mega(most)} are allowed: ${Math.round(grown / count)} bytes a pool`,
  );
  check(
    warm > 0 && seen.linked === 0,
    `${warm} sessions were resumed through one proxy while warming up, ${seen.linked} through another than they were made with`,
  );
  check(
    leased === 0 && waiting === 0 && idle === 0 && opened === closed,
    `at the end ${leased} leased, ${waiting} waiting; ${opened} opened = ${closed} closed + ${idle} idle`,
  );
  check(left === open, `${left} descriptors, ${open} before`);
  return { lines, complaints };
}

const mega = (bytes) => (bytes / 1e6).toFixed(1);

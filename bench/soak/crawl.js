/**
 * A crawl over many hosts through one manager, a twentieth of it failing in all the ways there are. Each request has one
 * outcome that its kind says beforehand, and the hosts saw as many attempts as those outcomes are made of.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Attention } from './arrivals.js';
import { lanes, Memory } from './common.js';

/** Attempts a second to each host; the hot ones get more requests than that. */
const RATE = 40;
/** The most in any window of one second: 5 % more. */
const MOST = 42;
const READ = 300;
/** Milliseconds that the client's JavaScript may take in one turn. */
const OWN = 50;

/** From so many requests on it is a long run. */
const LONG = 50_000;

/** Where nothing listens. */
const CLOSED = { address: '127.0.0.1', port: 1 };

/**
 * What a request of each kind ends with. `hits` is how many attempts the hosts see of it, `single` the same for one that
 * is not retried. An outcome is described by `describeOutcome`.
 */
const KINDS = {
  ok: { hits: 1, ends: '200' },
  large: { hits: 1, ends: '200' },
  gzip: { hits: 1, ends: '200' },
  reset: { hits: 3, single: 1, ends: 'ProtocolError ERR_PROTOCOL' },
  cut: { hits: 3, single: 1, ends: 'ProtocolError ERR_PROTOCOL|ProtocolError ERR_INCOMPLETE_READ' },
  short: { hits: 3, single: 1, ends: 'ProtocolError ERR_INCOMPLETE_READ' },
  garbage: { hits: 3, single: 1, ends: 'ProtocolError ERR_PROTOCOL' },
  never: { hits: 3, single: 1, ends: 'ReadTimeoutError ERR_READ_TIMEOUT', options: { timeout: { read: READ } } },
  slow: { hits: 3, single: 1, ends: 'ReadTimeoutError ERR_READ_TIMEOUT', options: { timeout: { read: READ } } },
  busy: { hits: 2, ends: '200' },
  gone: { hits: 1, ends: '503' },
  loop: { hits: 3, ends: 'MaxRetryError < ResponseError ERR_MAX_RETRY' },
  away: { hits: 1, ends: '200' },
  badgzip: { hits: 1, ends: 'DecodeError ERR_DECODE' },
  huge: { hits: 1, ends: 'ResponseTooLarge ERR_TOO_LARGE', options: { limits: { decoded: 10_000 } } },
  refused: { hits: 0, single: 0, ends: 'NewConnectionError ECONNREFUSED' },
  noname: { hits: 0, single: 0, ends: 'NoSuchHost' },
};
const BAD = Object.keys(KINDS).filter((kind) => !['ok', 'large', 'gzip'].includes(kind));

/** What a resolver of somebody's own throws. */
class NoSuchHost extends Error {
  name = 'NoSuchHost';
}

/** Kind, host and path of the nth request, by arithmetic: the same crawl each time. */
function plan(n, { hosts, hot }) {
  const spread = (n * 7_919) % 1_000_003;
  if (n % 20 === 3) {
    const kind = BAD[Math.floor(n / 20) % BAD.length];
    const host =
      kind === 'refused' || kind === 'noname' ? `${kind}${spread % 50}` : `h${hot + (spread % (hosts - hot))}`;
    return { kind, host };
  }
  const kind = n % 50 === 7 ? 'large' : n % 10 === 4 ? 'gzip' : 'ok';
  return { kind, host: `h${n % 8 === 5 ? spread % hot : spread % hosts}` };
}

/**
 * Makes the crawl with this build of the product.
 *
 * @param {{ PoolManager: any, Retry: any, MaxRetryError: any }} product
 * @param {{ requests: number, hosts?: number, width?: number, connections?: number, hot?: number }} size
 * @returns {Promise<{ lines: string[], complaints: string[] }>}
 */
export async function crawl(product, { requests, hosts = 2_000, width = 500, connections = 300, hot = 8 }) {
  const server = fork(fileURLToPath(new URL('crawl-server.js', import.meta.url)), [String(hosts)], { execArgv: [] });
  const [{ port }] = await once(server, 'message');
  const addresses = new Map(
    Array.from({ length: hosts }, (_, n) => [`h${n}.test`, `127.${1 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`]),
  );
  const resolve = (host) => {
    if (host.startsWith('refused')) return [CLOSED];
    const address = addresses.get(host);
    if (address === undefined) throw new NoSuchHost(host);
    return [{ address, port }];
  };
  const manager = new product.PoolManager({
    resolve,
    rate: RATE,
    pauseOn: [503],
    maxTotalConnections: connections,
    retries: new product.Retry({ total: 2, backoffFactor: 10 }),
    timeout: { connect: 30_000, read: 60_000 },
  });
  const memory = new Memory();
  const attention = new Attention();
  const seen = { outcomes: 0, wrong: [], expected: {} };
  const done = await lanes(requests, width, async (n) => {
    memory.look();
    const { kind, host } = plan(n, { hosts, hot });
    const { ends, hits, single, options = {} } = KINDS[kind];
    const isOnce = single !== undefined && Math.floor(n / 20 / BAD.length) % 2 === 0;
    seen.expected[kind] = (seen.expected[kind] ?? 0) + (isOnce ? single : hits);
    if (kind === 'away') seen.expected.ok = (seen.expected.ok ?? 0) + 1;
    const asked = manager.request('GET', `http://${host}.test/${kind}/${n}`, {
      ...options,
      ...(isOnce ? { retries: false } : {}),
    });
    const outcome = await asked.then(
      (response) => described(response, kind, host, n),
      (error) => error,
    );
    seen.outcomes += 1;
    const said = typeof outcome === 'string' ? outcome : errorName(outcome, product);
    const wanted = ends.split('|').map((end) => wrapped(end, kind, single !== undefined && !isOnce));
    if (!wanted.includes(said))
      seen.wrong.push(`${kind} (${isOnce ? 'once' : 'retried'}): ${said}, not ${wanted.join(' or ')}`);
  });
  const { leased, waiting, opened, closed, idle } = manager.stats();
  attention.stop();
  // Threads that a busy machine does not run send late what they have let go: what this process was kept waiting, beyond
  // what its own JavaScript takes, is taken off the window.
  const span = Math.round(1_000 - Math.max(0, attention.worst - OWN));
  server.send({ span });
  const [report] = await once(server, 'message');
  await manager.close();
  const after = manager.stats();
  const gone = once(server, 'exit');
  server.disconnect();
  await gone;

  const lines = [];
  const complaints = [];
  const check = (holds, line) => {
    lines.push(`${holds ? '✔' : '✘'} ${line}`);
    if (!holds) complaints.push(line);
  };
  check(
    seen.outcomes === done && seen.wrong.length === 0,
    `${seen.outcomes} outcomes of ${done} requests, ${seen.wrong.length} not the documented one ${tally(seen.wrong).slice(0, 5).join('; ')}`,
  );
  const differing = Object.keys(KINDS)
    .filter((kind) => (seen.expected[kind] ?? 0) !== (report.hits[kind] ?? 0))
    .map((kind) => `${kind}: ${seen.expected[kind] ?? 0} expected, ${report.hits[kind] ?? 0} seen`);
  const total = Object.values(report.hits).reduce((sum, count) => sum + count, 0);
  check(
    differing.length === 0,
    `${total} attempts seen by the hosts, as many as expected of each kind ${differing.join('; ')}`,
  );
  check(
    leased === 0 && waiting === 0 && opened === closed + idle,
    `at the end ${leased} leased, ${waiting} waiting; ${opened} opened = ${closed} closed + ${idle} idle`,
  );
  check(
    after.idle === 0 && after.leased === 0 && after.opened === after.closed,
    `after close() ${after.opened - after.closed} left`,
  );
  check(
    report.mostAtOnce <= connections,
    `${report.connections} connections, at most ${report.mostAtOnce} at once, ${connections} are allowed`,
  );
  const fastest = report.rates.toSorted((one, other) => other.most - one.most)[0];
  check(
    fastest.most <= MOST,
    `${report.rates.length} hosts, at most ${fastest.most} in ${span} ms (${fastest.host}), ${MOST} are allowed`,
  );
  const saturated = report.rates
    .filter(({ host }) => Number(/\d+/.exec(host)?.[0]) < hot)
    .map(({ each }) => each.toFixed(1));
  lines.push(`  hot hosts: ${saturated.join(', ')} a second of ${RATE}`);
  check(
    report.inPauses === 0,
    `${report.hits.busy ?? 0} attempts on busy hosts, ${report.inPauses} attempts within a pause`,
  );
  const grown = memory.complaints(done >= LONG);
  check(grown.length === 0, grown[0] ?? memory.toString());
  return { lines, complaints };
}

/** Equal lines once, with how often they came. */
function tally(lines) {
  const times = new Map();
  for (const line of lines) times.set(line, (times.get(line) ?? 0) + 1);
  return [...times].map(([line, count]) => `${count} × ${line}`);
}

function described(response, kind, host, n) {
  if (response.status !== 200) return String(response.status);
  const at = kind === 'away' ? /^http:\/\/(.*)\.test\/ok/.exec(response.url)?.[1] : host;
  const text = response.text();
  return text === `${at}.test ${n}` || (kind === 'large' && text.startsWith(`${at}.test ${n}x`))
    ? '200'
    : `another's: ${text}`;
}

/** Class and code; of a MaxRetryError the class of its reason too. */
function errorName(error, { MaxRetryError }) {
  if (error instanceof NoSuchHost) return 'NoSuchHost';
  if (!(error instanceof MaxRetryError)) return `${error?.name} ${error?.code}`;
  const { reason } = error;
  const code = reason.name === 'ResponseError' ? error.code : reason.code;
  return `MaxRetryError < ${reason.name} ${code}`;
}

/** What is retried to its end comes in a MaxRetryError; what somebody's own function throws comes as it is. */
function wrapped(end, kind, retried) {
  return retried && kind !== 'noname' ? `MaxRetryError < ${end}` : end;
}

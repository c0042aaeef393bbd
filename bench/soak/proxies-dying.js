/**
 * Requests through hundreds of proxies of which a third die, in every manner that there is and one after the other, and come
 * back: killed with all that goes through them and refusing, stalling, resetting, talking nonsense, saying too much, denying,
 * cutting off. By HTTP and by SOCKS, to a plain origin and to one over TLS.
 *
 * A request whose proxy did not change while it was under way has the one outcome that its proxy's manner makes; any other has
 * one of those. A proxy that lives never fails anybody.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { descriptors, descriptorsLeft, lanes, Memory, settled, texts } from './common.js';

/** Requests under way. */
const WIDTH = 200;
/** From so many on it is a long run. */
const LONG = 25_000;
/** A dying proxy changes its manner after so many requests of all. */
const CHANGES_EVERY = 10;
/** Milliseconds that a stalling proxy is waited for, and one that may begin to stall meanwhile. */
const [PATIENCE, DOUBT] = [1_000, 20_000];

const RESET = 'ProtocolError ERR_PROTOCOL';
const REFUSED = 'NewConnectionError ECONNREFUSED';
const GONE = 'NewConnectionError ECONNRESET';
const FAILED = 'NewConnectionError ERR_CONNECT';
const LATE = 'ConnectTimeoutError ERR_CONNECT_TIMEOUT';

/** What a request ends with, by its proxy's manner and its way there: handed over, through CONNECT, through SOCKS to either. */
const OUTCOMES = {
  fine: { forward: '200', connect: '200', socks: '200', socksTls: '200' },
  refuses: {
    forward: `ProxyError < ${REFUSED}`,
    connect: `ProxyError < ${REFUSED}`,
    socks: REFUSED,
    socksTls: REFUSED,
  },
  stalls: {
    forward: 'ReadTimeoutError ERR_READ_TIMEOUT',
    connect: `ProxyError < ${LATE}`,
    socks: LATE,
    socksTls: LATE,
  },
  resets: { forward: RESET, connect: `ProxyError < ${RESET}`, socks: GONE, socksTls: GONE },
  garbage: { forward: RESET, connect: `ProxyError < ${RESET}`, socks: FAILED, socksTls: FAILED },
  early: { forward: '200', connect: 'ProxyError ERR_PROXY_EARLY_BYTES', socks: RESET, socksTls: 'SSLError ERR_TLS' },
  denies: { forward: '403', connect: 'ProxyError 403', socks: FAILED, socksTls: FAILED },
  cuts: {
    forward: 'ProtocolError ERR_INCOMPLETE_READ',
    connect: 'SSLError ERR_TLS',
    socks: RESET,
    socksTls: 'SSLError ERR_TLS',
  },
};
const MANNERS = Object.keys(OUTCOMES);

/**
 * So many requests with this build of the product.
 *
 * @param {{ PoolManager: any }} product
 * @param {{ requests: number, proxies?: number }} size
 * @returns {Promise<{ lines: string[], complaints: string[] }>}
 */
export async function proxiesDying({ PoolManager }, { requests, proxies = 500 }) {
  const script = fileURLToPath(new URL('dying-proxies.js', import.meta.url));
  const server = fork(script, [String(proxies)], { execArgv: [] });
  const [{ port, plain, secure }] = await once(server, 'message');
  const options = {
    caCerts: fileURLToPath(new URL('../certificates/authority.pem', import.meta.url)),
    maxTotalConnections: 400,
    maxsize: 8,
    retries: false,
  };
  // The first manager of a process makes what all of them use.
  const first = new PoolManager(options);
  await first.request('GET', `http://127.0.0.1:${plain}/`);
  await first.close();
  const open = descriptors();
  const manager = new PoolManager(options);
  const memory = new Memory();
  /** Of each proxy: its manner, how often it has changed, and whether it is about to. */
  const states = Array.from({ length: proxies }, () => ({ manner: 'fine', changes: 0, isChanging: false }));
  const ready = new Map();
  server.on('message', ({ nth }) => {
    ready.get(nth)?.();
    ready.delete(nth);
  });
  let changes = 0;
  const change = async () => {
    const nth = (changes * 3) % (proxies - (proxies % 3));
    const state = states[nth];
    if (state.isChanging) return;
    const manner = MANNERS[(Math.floor((changes * 3) / proxies) + nth / 3 + 1) % MANNERS.length];
    changes += 1;
    state.isChanging = true;
    const done = new Promise((resolve) => ready.set(nth, resolve));
    server.send({ nth, manner });
    await done;
    Object.assign(state, { manner, changes: state.changes + 1, isChanging: false });
  };

  /** @type {Map<string, number>} */
  const seen = new Map();
  const odd = texts();
  const tally = { ended: 0, exact: 0, lived: 0 };
  const one = async (n) => {
    memory.look();
    if (n % CHANGES_EVERY === 0) void change();
    const nth = (n * 7_919) % proxies;
    const [isSocks, isSecure] = [nth % 2 === 1, Math.floor(n / proxies) % 2 === 1];
    const way = isSocks ? (isSecure ? 'socksTls' : 'socks') : isSecure ? 'connect' : 'forward';
    const proxy = `${isSocks ? 'socks5h' : 'http'}://127.2.${(nth + 1) >> 8}.${(nth + 1) & 255}:${port}`;
    const state = states[nth];
    const { manner, changes: before, isChanging } = state;
    const url = isSecure ? `https://127.0.0.1:${secure}/${n}` : `http://127.0.0.1:${plain}/${n}`;
    const wait = nth % 3 !== 0 ? 60_000 : manner === 'stalls' ? PATIENCE : DOUBT;
    const outcome = await manager.request('GET', url, { proxy, timeout: { connect: wait, read: wait } }).then(
      (response) => described(response, `/${n} over ${isSecure ? 'TLS' : 'TCP'}`),
      (error) => described(error),
    );
    tally.ended += 1;
    seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    const isSure = !isChanging && !state.isChanging && state.changes === before;
    const allowed = isSure ? [OUTCOMES[manner][way]] : MANNERS.map((any) => OUTCOMES[any][way]).concat(...BETWEEN);
    if (isSure) tally.exact += 1;
    if (nth % 3 !== 0) tally.lived += 1;
    if (!allowed.includes(outcome) && odd.length < 8)
      odd.push(`${way} through one that ${manner}${isSure ? '' : ' (changing)'}: ${outcome}`);
  };
  const began = performance.now();
  const count = await lanes(requests, WIDTH, one);
  const seconds = (performance.now() - began) / 1_000;
  await settled(manager);
  const { leased, waiting, opened, closed, idle } = manager.stats();
  await manager.close();
  const left = await descriptorsLeft(open);
  const connections = await remaining(server);
  const gone = once(server, 'exit');
  server.disconnect();
  await gone;

  const lines = [
    `  ${count} requests in ${seconds.toFixed(1)} s (${Math.round(count / seconds)} a second), ${changes} changes of ${Math.ceil(proxies / 3)} dying proxies among ${proxies}`,
    ...[...seen]
      .toSorted(([, some], [, others]) => others - some)
      .map(([outcome, times]) => `    ${times} × ${outcome}`),
  ];
  const complaints = texts();
  const check = (holds, line) => {
    lines.push(`${holds ? '✔' : '✘'} ${line}`);
    if (!holds) complaints.push(line);
  };
  check(
    tally.ended === count && odd.length === 0,
    `${tally.ended} outcomes, ${tally.exact} of them the one that was due; ${odd.join('; ') || 'no other'}`,
  );
  check(
    tally.lived > 0 && (seen.get('200') ?? 0) >= tally.lived,
    `${tally.lived} through proxies that live, ${seen.get('200')} succeeded`,
  );
  check(
    leased === 0 && waiting === 0 && opened === closed + idle,
    `at the end ${leased} leased, ${waiting} waiting; ${opened} opened = ${closed} closed + ${idle} idle`,
  );
  check(connections === 0, `${connections} connections left on the proxies`);
  check(left === open, `${left} descriptors, ${open} before`);
  const grown = memory.complaints(count >= LONG);
  check(grown.length === 0, grown[0] ?? memory.toString());
  return { lines, complaints };
}

/** What dies in between: a kept connection, a handshake with the origin, one with the proxy. */
const BETWEEN = [RESET, 'ProtocolError ERR_INCOMPLETE_READ', 'SSLError ERR_TLS', GONE, `ProxyError < ${GONE}`];

/** How many connections the proxies have when they have seen all that ended. */
async function remaining(server) {
  for (const until = performance.now() + 60_000; ;) {
    const told = once(server, 'message');
    server.send({ report: true });
    const [{ connections }] = await told;
    if (connections === 0 || performance.now() > until) return connections;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function described(outcome, text = null) {
  if (!(outcome instanceof Error)) {
    if (outcome.status !== 200) return String(outcome.status);
    return outcome.text() === text ? '200' : `another's: ${outcome.text()}`;
  }
  if (outcome.name !== 'ProxyError') return `${outcome.name} ${outcome.code}`;
  if (outcome.status !== null) return `ProxyError ${outcome.status}`;
  const { originalError } = outcome;
  if (outcome.reason === 'ERR_PROXY_EARLY_BYTES') return `ProxyError ${outcome.reason}`;
  return `ProxyError < ${originalError?.name} ${originalError?.code}`;
}

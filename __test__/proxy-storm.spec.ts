/** Good proxies, refusing, stalling, lying and dying ones in one manager, all at once, and callers that change their mind. */
import test from 'ava';

import { HTTPError, type HTTPResponse } from '../index.ts';
import { rawServer, type Script } from './servers/raw.ts';
import { saying, type Manner } from './servers/proxy.ts';
import { closedPort } from './support/fixtures.ts';
import { origins, proxied, socksed, through, toldBy } from './support/proxied.ts';
import { until } from './support/street.ts';

const REQUESTS = 1_200;
const WORKERS = 60;

const refusal = 'HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nevilHTTP/1.1 200 EVIL\r\nContent-Length: 4\r\n\r\nevil';

/** What proxies do to a tunnel or to a request that is to be passed on. */
const MANNERS: Readonly<Record<string, Manner>> = {
  refuses: saying(() => [refusal], 'mine'),
  'is early': saying(() => ['HTTP/1.1 200 OK\r\n\r\nearly'], 'mine'),
  'talks nonsense': saying(() => ['\0\0\0\0'], 'mine'),
  stalls: () => 'mine',
  'hangs up': (_, socket) => (socket.end(), 'mine'),
  // Every other time.
  flaps: (asked, socket) => {
    if (asked.connection % 2 === 0) return 'serve';
    socket.destroy();
    return 'mine';
  },
};

/** What is no proxy at all. */
const SCRIPTS: Readonly<Record<string, Script>> = {
  'accepts and resets': (peer) => peer.reset(),
  'says nothing': (peer) => peer.gone(),
  'speaks first': async (peer) => {
    await peer.write('220 ready\r\n');
    await peer.gone();
  },
};

test.serial(
  'THR-1010 THR-710 THR-902: each of many requests has one outcome, answers are never another’s, and nothing is left',
  async (t) => {
    const { routes } = await origins(t);
    const proxies: [name: string, url: string][] = [];
    const good = [await proxied(t, { routes }), await proxied(t, { routes, tls: {} })];
    for (const one of good) proxies.push(['good', one.url]);
    const socks = await socksed(t, { routes });
    for (const scheme of ['socks4a', 'socks5h'] as const) proxies.push(['good', socks.url(scheme)]);
    for (const [name, manner] of Object.entries(MANNERS)) {
      for (const own of [{}, { tls: {} }]) proxies.push([name, (await proxied(t, { ...own, routes, manner })).url]);
    }
    for (const [name, script] of Object.entries(SCRIPTS)) {
      const server = await rawServer(script);
      t.teardown(() => server.close());
      for (const scheme of ['http', 'https', 'socks4a', 'socks5h'])
        proxies.push([name, `${scheme}://127.0.0.1:${server.port}`]);
    }
    const dead = await closedPort(t);
    for (const scheme of ['http', 'socks5h']) proxies.push(['dead', `${scheme}://127.0.0.1:${dead}`]);

    const manager = through(t, null, {
      maxTotalConnections: 50,
      maxsize: 4,
    });
    const outcomes: Record<string, number> = {};
    const wrong: string[] = [];
    let next = 0;
    const ask = async (nth: number): Promise<void> => {
      const [name, proxy] = proxies[nth % proxies.length] ?? ['', ''];
      const token = `token-${nth}`;
      const aborting = new AbortController();
      const url = `${nth % 4 < 2 ? 'http://h.test' : 'https://s.test'}/${token}`;
      // All servers are this one process: who is good may be slow.
      const timeout = name === 'good' || name === 'flaps' ? { total: 60_000 } : { connect: 300, read: 300 };
      const call = manager.request('POST', url, { proxy, body: token, timeout, signal: aborting.signal });
      if (nth % 11 === 0) setTimeout(() => aborting.abort(), nth % 7);
      let end: HTTPResponse | Error;
      try {
        end = await call;
      } catch (error) {
        end = error as Error;
      }
      let outcome: string;
      if (end instanceof HTTPError) {
        outcome = 'failed';
        if (name === 'good') wrong.push(`${proxy} ${url}: ${end.name} ${end.message}`);
      } else if (end instanceof Error) {
        outcome = end === aborting.signal.reason ? 'aborted' : 'unknown';
        if (outcome === 'unknown') wrong.push(`${end.name} ${end.message}`);
      } else if (end.status === 200) {
        outcome = 'answered';
        const told = toldBy(end);
        if (told.target !== `/${token}` || told.body !== token) wrong.push(`${told.target} for ${token}`);
        if (name !== 'good' && name !== 'flaps') wrong.push(`${proxy}, which ${name}, answered`);
      } else {
        // A refusal of a request that was to be passed on is an answer.
        outcome = 'refused';
        if (end.status !== 403 || end.text() !== 'evil' || name !== 'refuses') wrong.push(`${proxy}: ${end.status}`);
      }
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    };
    const worker = async (): Promise<void> => {
      while (next < REQUESTS) {
        next += 1;
        await ask(next - 1);
      }
    };
    await Promise.all(Array.from({ length: WORKERS }, worker));
    t.deepEqual(wrong, []);
    t.is(
      Object.values(outcomes).reduce((all, one) => all + one),
      REQUESTS,
    );
    for (const outcome of ['answered', 'failed', 'aborted', 'refused']) t.true((outcomes[outcome] ?? 0) > 0, outcome);
    // What was aborted at the very end may still be on its way out.
    await until(() => manager.stats().leased + manager.stats().waiting === 0, 'nothing is under way');
    const { opened, closed, idle, leased, waiting, live } = manager.stats();
    t.like({ leased, waiting, lost: opened - closed - idle }, { leased: 0, waiting: 0, lost: 0 });
    t.true(live <= 50);
    await manager.close({ timeout: 0 });
    t.is(manager.stats().live, 0);
  },
);

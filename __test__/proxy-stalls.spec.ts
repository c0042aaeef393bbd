/** Proxies that stall or are dead: each costs its own requests their own time-out, and nobody else anything. */
import test, { type ExecutionContext } from 'ava';

import {
  ConnectTimeoutError,
  HTTPError,
  ProxyError,
  ReadTimeoutError,
  type HTTPResponse,
  type PoolManagerOptions,
} from '../index.ts';
import { blackHole } from './servers/black-hole.ts';
import { rawServer, type RawServer, type Script } from './servers/raw.ts';
import type { Verdict } from './servers/proxy.ts';
import { closedPort, rejection } from './support/fixtures.ts';
import { origins, proxied, socksed, through } from './support/proxied.ts';
import { clocked, within } from './support/clocked.ts';

/** How late a deadline may be on a machine that others use; never early. */
const LATE = 3_000;
/** Until a stall is cut: what comes before it must have happened by then, on a machine that stands still now and then too. */
const SPAN = 700;

async function scripted(t: ExecutionContext, script: Script): Promise<RawServer> {
  const server = await rawServer(script);
  t.teardown(() => server.close());
  return server;
}

/** Answers so many times with these bytes each, and then is silent. */
const then =
  (...answers: Uint8Array[]): Script =>
  async (peer) => {
    let heard = 0;
    for (const answer of answers) {
      await peer.bytes(heard + 1);
      heard = peer.received.length;
      await peer.write(answer);
    }
    await peer.gone();
  };

interface Stall {
  readonly step: string;
  readonly url: string;
  /** The proxy's URL before `127.0.0.1`. */
  readonly scheme: string;
  readonly script: Script;
  readonly phase: 'proxy' | 'tls';
  /** Whether it is an HTTP proxy's fault, wrapped. */
  readonly wrapped: boolean;
}

const octets = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);
const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const GRANTED = octets(5, 0, 0, 1, 0, 0, 0, 0, 0, 0);

const STALLS: readonly Stall[] = [
  {
    step: 'TLS to the proxy, http',
    url: 'http://h.test/',
    scheme: 'https://',
    script: then(),
    phase: 'proxy',
    wrapped: true,
  },
  {
    step: 'TLS to the proxy',
    url: 'https://s.test/',
    scheme: 'https://',
    script: then(),
    phase: 'proxy',
    wrapped: true,
  },
  { step: 'CONNECT', url: 'https://s.test/', scheme: 'http://', script: then(), phase: 'proxy', wrapped: true },
  {
    step: 'CONNECT, half an answer',
    url: 'https://s.test/',
    scheme: 'http://',
    script: then(latin1('HTTP/1.1 200 OK\r\n')),
    phase: 'proxy',
    wrapped: true,
  },
  {
    step: 'CONNECT, informational answers only',
    url: 'https://s.test/',
    scheme: 'http://',
    script: then(latin1('HTTP/1.1 100 Continue\r\n\r\n')),
    phase: 'proxy',
    wrapped: true,
  },
  {
    step: 'TLS in the tunnel',
    url: 'https://s.test/',
    scheme: 'http://',
    script: then(latin1('HTTP/1.1 200 OK\r\n\r\n')),
    phase: 'tls',
    wrapped: false,
  },
  { step: 'SOCKS4', url: 'http://127.0.0.2/', scheme: 'socks4://', script: then(), phase: 'proxy', wrapped: false },
  {
    step: 'SOCKS4a, half an answer',
    url: 'http://h.test/',
    scheme: 'socks4a://',
    script: then(octets(0, 90, 0)),
    phase: 'proxy',
    wrapped: false,
  },
  {
    step: 'SOCKS5, method',
    url: 'http://h.test/',
    scheme: 'socks5h://',
    script: then(),
    phase: 'proxy',
    wrapped: false,
  },
  {
    step: 'SOCKS5, credentials',
    url: 'http://h.test/',
    scheme: 'socks5h://u:p@',
    script: then(octets(5, 2)),
    phase: 'proxy',
    wrapped: false,
  },
  {
    step: 'SOCKS5, connect',
    url: 'http://h.test/',
    scheme: 'socks5h://',
    script: then(octets(5, 0)),
    phase: 'proxy',
    wrapped: false,
  },
  {
    step: 'SOCKS5, half of the bound address',
    url: 'http://h.test/',
    scheme: 'socks5h://',
    script: then(octets(5, 0), GRANTED.subarray(0, 7)),
    phase: 'proxy',
    wrapped: false,
  },
  {
    step: 'TLS through SOCKS5',
    url: 'https://s.test/',
    scheme: 'socks5h://',
    script: then(octets(5, 0), GRANTED),
    phase: 'tls',
    wrapped: false,
  },
];

for (const { step, url, scheme, script, phase, wrapped } of STALLS) {
  test.serial(
    `THR-902: a stall in ${step}: ConnectTimeoutError, phase ${phase}${wrapped ? ', below a ProxyError' : ''}`,
    async (t) => {
      const server = await scripted(t, script);
      const proxy = `${scheme}127.0.0.1:${server.port}`;
      const manager = through(t, proxy, { timeout: { connect: SPAN, read: 20_000 } });
      const began = performance.now();
      const error = await rejection(manager.request('GET', url), HTTPError);
      const took = performance.now() - began;
      t.true(took >= SPAN - 2 && took < SPAN + LATE, `${took} ms`);
      const inner = wrapped ? (error as ProxyError).originalError : error;
      if (wrapped) {
        t.like(error, { name: 'ProxyError', code: 'ERR_PROXY', phase, sent: false });
        t.regex(error.message, new RegExp(`^Unable to connect to proxy 127\\.0\\.0\\.1:${server.port}: .*timed out`));
        // The proxy is not what the proxy is for.
        t.false(error.message.includes('(for 127.'), error.message);
      }
      t.true(inner instanceof ConnectTimeoutError, `${inner?.name}`);
      t.like(inner, { name: 'ConnectTimeoutError', code: 'ERR_CONNECT_TIMEOUT', phase, sent: false });
      if (phase === 'proxy') t.true(inner?.message.includes(`127.0.0.1:${server.port}`), inner?.message);
      await (await server.peer(1)).gone();
      t.like(manager.stats(), { live: 0, leased: 0 });
    },
  );

  test.serial(`TIME-03 THR-902: total cuts ${step} and rejects unwrapped`, async (t) => {
    const server = await scripted(t, script);
    const manager = through(t, `${scheme}127.0.0.1:${server.port}`, { retries: 3 });
    const error = await rejection(manager.request('GET', url, { timeout: { total: SPAN } }), ConnectTimeoutError);
    t.like(error, {
      name: 'ConnectTimeoutError',
      code: 'ERR_TOTAL_TIMEOUT',
      phase: 'total',
      during: phase,
      sent: false,
    });
    t.true(error.elapsed >= SPAN - 2 && error.elapsed < SPAN + LATE);
    await (await server.peer(1)).gone();
  });
}

clocked(
  'TIME-03: total is one span over the tunnel and what goes through it; read begins anew behind it',
  async (t) => {
    const { routes } = await origins(t);
    let wait = 0;
    const proxy = await proxied(t, {
      routes,
      manner: async (): Promise<Verdict> => {
        await new Promise((resolve) => setTimeout(resolve, wait));
        return 'serve';
      },
    });
    const manager = through(t, proxy.url);
    wait = 1_200;
    // What a proxy takes for a tunnel is under `connect`, not under `read`.
    const tunnelled = await manager.request('GET', 'https://s.test/', { timeout: { connect: 10_000, read: 10_000 } });
    t.is(tunnelled.status, 200);
    const { timings } = tunnelled;
    t.true((timings?.proxy ?? 0) >= 1_150, JSON.stringify(timings));
    within(t, (timings?.headers ?? Infinity) < 1_150 && (timings?.connect ?? Infinity) < 1_150);
    t.true((timings?.tls ?? -1) >= 0);
    // A forwarded request's wait is for its answer.
    const forwarded = await manager.request('GET', 'http://h.test/');
    t.true((forwarded.timings?.headers ?? 0) >= 1_150, JSON.stringify(forwarded.timings));
    within(t, (forwarded.timings?.proxy ?? 0) < 1_150);
    const error = await rejection(
      manager.request('GET', 'http://h.test/', { timeout: { total: 700 } }),
      ReadTimeoutError,
    );
    t.like(error, { phase: 'total', during: 'headers' });
  },
);

test('THR-902: timings.proxy is what was said to a proxy, null where there is none or the connection is an old one', async (t) => {
  const { routes, http } = await origins(t);
  const socks = await socksed(t, { routes });
  const [plain, secure] = [await proxied(t, { routes }), await proxied(t, { routes, tls: {} })];
  const span = ({ timings }: HTTPResponse): number | null | undefined => timings?.proxy;
  for (const proxy of [secure.url, plain.url, socks.url('socks5h'), socks.url('socks4a')]) {
    const manager = through(t, proxy);
    for (const url of ['https://s.test/', 'http://h.test/']) {
      const first = await manager.request('GET', url);
      const spans = first.timings;
      // Of an http proxy that has the request itself nothing is asked before.
      if (proxy === plain.url && url.startsWith('http:')) t.is(span(first), null);
      else t.true((span(first) ?? 0) > 0, `${proxy} ${url}`);
      t.is(spans?.tls === null, url.startsWith('http:'));
      const { pool, dns, connect, proxy: said, tls, send, headers, body, total } = spans ?? ({} as never);
      const all = [pool, dns, connect, said, tls, send, headers, body].reduce<number>(
        (sum, one) => sum + (one ?? 0),
        0,
      );
      t.true(all <= (total ?? 0) + 1, JSON.stringify(spans));
      t.is(span(await manager.request('GET', url)), null);
    }
  }
  const direct = through(t, null, { resolve: { 'h.test': `127.0.0.1:${http.port}` } });
  t.is(span(await direct.request('GET', 'http://h.test/')), null);
});

clocked('THR-902: a thousand stalls at once, and other origins and proxies go on', async (t) => {
  const { routes } = await origins(t);
  const good = await proxied(t, { routes });
  const stalling = await scripted(t, (peer) => peer.gone());
  const manager = through(t, null, { maxTotalConnections: 0, timeout: { connect: 5_000 } });
  const stalls = Array.from({ length: 1_000 }, (_, nth) =>
    rejection(
      manager.request('GET', `https://n${nth}.test/`, {
        proxy: `${nth % 2 === 0 ? 'http' : 'socks5h'}://127.0.0.1:${stalling.port}`,
      }),
      HTTPError,
    ),
  );
  let last = 0;
  for (let nth = 0; nth < 20; nth += 1) {
    const began = performance.now();
    t.is((await manager.request('GET', `http://h.test/${nth}`, { proxy: good.url })).status, 200);
    last = Math.max(last, performance.now() - began);
  }
  within(t, last < 4_500, `${last} ms`);
  for (const [nth, error] of (await Promise.all(stalls)).entries()) {
    const inner = nth % 2 === 0 ? (error as ProxyError).originalError : error;
    if (!(inner instanceof ConnectTimeoutError)) t.fail(`${nth}: ${error.message}`);
  }
  t.like(manager.stats(), { leased: 0, waiting: 0 });
});

clocked(
  'THR-902 PROXY-08: a dead proxy and a stalling one cost their own requests only: a good one is as fast as without them',
  async (t) => {
    const { routes } = await origins(t);
    const good = await proxied(t, { routes });
    const hole = await blackHole();
    t.teardown(() => hole.close());
    const options: PoolManagerOptions = { timeout: { connect: 1_000, read: 20_000 }, maxsize: 4 };
    const [alone, busy] = [through(t, null, options), through(t, null, options)];
    const dead = `http://127.0.0.1:${await closedPort(t)}`;
    const stalls = `http://127.0.0.1:${hole.port}`;
    const lasts = async (manager: typeof alone): Promise<number> => {
      const began = performance.now();
      for (let nth = 0; nth < 100; nth += 1) {
        for (const url of ['http://h.test/', 'https://s.test/']) {
          t.is((await manager.request('GET', url, { proxy: good.url })).status, 200);
        }
      }
      return performance.now() - began;
    };
    const before = await lasts(alone);
    const ending = new AbortController();
    const outcomes = { dead: 0, stalled: 0 };
    const hopeless = async (proxy: string, name: keyof typeof outcomes): Promise<void> => {
      while (!ending.signal.aborted) {
        const error = await rejection(busy.request('GET', 'https://s.test/', { proxy }), ProxyError);
        t.is(error.originalError?.name, name === 'dead' ? 'NewConnectionError' : 'ConnectTimeoutError');
        outcomes[name] += 1;
        // As fast as a caller that knows when to stop.
        if (name === 'dead') await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    const others = [
      ...Array.from({ length: 4 }, () => hopeless(dead, 'dead')),
      ...Array.from({ length: 20 }, () => hopeless(stalls, 'stalled')),
    ];
    const [after] = await Promise.all([lasts(busy).finally(() => ending.abort()), ...others]);
    within(t, outcomes.dead > 0 && outcomes.stalled > 0);
    // 200 requests; one that waited for a stalling proxy once would show.
    within(t, after < before * 3 + 350, `${before} ms alone, ${after} ms beside ${JSON.stringify(outcomes)}`);
  },
);

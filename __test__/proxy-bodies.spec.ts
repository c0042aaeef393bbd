/** Bodies and kept-alive connections behind proxies: uploads, streams, back-pressure, retries, and tunnels that died. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import test, { type ExecutionContext } from 'ava';

import { PoolManager, ProxyError, ReadTimeoutError, Retry, type HTTPResponse, type RequestOptions } from '../index.ts';
import { httpServer } from './servers/http.ts';
import { saying, type Proxy } from './servers/proxy.ts';
import type { SocksServer } from './servers/socks.ts';
import { httpsServer } from './servers/tls.ts';
import { rejection } from './support/fixtures.ts';
import {
  certificate,
  kept,
  origins,
  proxied,
  socksed,
  through,
  toldBy,
  trusting,
  type Origins,
} from './support/proxied.ts';
import { until } from './support/street.ts';

/** Proxies, and the ways through them. */
interface Ways {
  readonly plain: Proxy;
  readonly secure: Proxy;
  readonly socks: SocksServer;
  readonly ways: readonly [name: string, proxy: string, url: string][];
}

async function waysTo(t: ExecutionContext, { routes }: Pick<Origins, 'routes'>): Promise<Ways> {
  const plain = await proxied(t, { routes });
  const secure = await proxied(t, { routes, tls: {} });
  const socks = await socksed(t, { routes });
  const ways = (['http://h.test/', 'https://s.test/'] as const).flatMap((url) =>
    [plain.url, secure.url, socks.url('socks5h'), socks.url('socks4a')].map((proxy): [string, string, string] => [
      `${proxy.replace(/:\/\/.*/, '')} ${url}`,
      proxy,
      url,
    ]),
  );
  return { plain, secure, socks, ways };
}

test('PROXY-02 PROXY-03 SOCKS-02: uploads of every kind of body reach the origin whole, by every way', async (t) => {
  const all = await origins(t);
  const { ways } = await waysTo(t, all);
  const whole = 'much ado about nothing\n'.repeat(20_000);
  const pieces = whole.match(/[^]{1,10000}/g) ?? [];
  const bodies: Record<string, () => RequestOptions> = {
    string: () => ({ body: whole }),
    bytes: () => ({ body: Buffer.from(whole) }),
    'bytes in chunks': () => ({ body: Buffer.from(whole), chunked: true }),
    stream: () => ({ body: Readable.from(pieces) }),
    'web stream': () => ({ body: Readable.toWeb(Readable.from(pieces.map((one) => Buffer.from(one)))) }),
    iterable: () => ({ body: pieces }),
    function: () => ({ body: () => whole }),
    Blob: () => ({ body: new Blob([whole]) }),
  };
  const manager = through(t, null);
  for (const [name, proxy, url] of ways) {
    for (const [kind, make] of Object.entries(bodies)) {
      const told = toldBy(await manager.request('PUT', url, { ...make(), proxy }));
      t.true(told.body === whole && told.method === 'PUT', `${name} ${kind}`);
    }
  }
});

const WHOLE = 16 * 1024 * 1024;

/** Origins that say `/N` bytes, or hash what they are sent; while it is held they read no more than its first piece. */
interface Heavy {
  readonly routes: Origins['routes'];
  /** Bytes said or read. */
  readonly taken: { bytes: number };
  hold(): void;
  release(): void;
}

async function heavy(t: ExecutionContext): Promise<Heavy> {
  const taken = { bytes: 0 };
  let held: { resume(): unknown }[] | null = null;
  const handler: Parameters<typeof httpServer>[0] = (request, response) => {
    const length = Number(/\/(\d+)$/.exec(request.url ?? '')?.[1] ?? 0);
    if (request.method === 'GET') {
      response.setHeader('content-length', length);
      const piece = Buffer.alloc(65_536, 'x');
      let left = length;
      const more = (): void => {
        while (left > 0) {
          const next = piece.subarray(0, Math.min(left, piece.length));
          left -= next.length;
          taken.bytes += next.length;
          if (!response.write(next)) return void response.once('drain', more);
        }
        response.end();
      };
      return more();
    }
    const hash = createHash('sha256');
    request.on('data', (piece: Buffer) => {
      taken.bytes += piece.length;
      hash.update(piece);
      held?.push(request.pause());
    });
    request.on('end', () => response.end(hash.digest('hex')));
    return undefined;
  };
  const http = await httpServer(handler);
  t.teardown(() => http.close());
  const https = await httpsServer(handler, certificate());
  t.teardown(() => https.close());
  return {
    routes: { 'h.test:80': http.port, 's.test:443': https.port },
    taken,
    hold: () => (held = []),
    release() {
      for (const one of held ?? []) one.resume();
      held = null;
    },
  };
}

test.serial(
  'PROXY-02 PROXY-03 SOCKS-02: what nobody reads is not fetched: a stream holds up its origin, by every way',
  async (t) => {
    const all = await heavy(t);
    const { ways } = await waysTo(t, all);
    const length = 1024 * 1024 * 1024;
    // What fits between: of each system's own accord a receive buffer grows to 32 MiB, the proxy's too, and a send buffer to 4.
    const between = 96 * 1024 * 1024;
    const socketOptions = { noDelay: true, receiveBuffer: 262_144 };
    for (const [name, proxy, url] of ways) {
      all.taken.bytes = 0;
      const manager = kept(t, new PoolManager(trusting({ proxy, socketOptions })));
      const response = await manager.request('GET', `${url}${length}`, { preloadContent: false });
      let before = -1;
      // Until nothing moves any more: everything between is full.
      while (before !== all.taken.bytes) {
        before = all.taken.bytes;
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
      t.true(before < between, `${name}: ${before} bytes went out for nobody`);
      let read = 0;
      for await (const piece of response) {
        read += piece.length;
        if (read > 2 * between) break;
      }
      t.true(read > 2 * between && all.taken.bytes > read, `${name}: it goes on as it is read`);
      const whole = await manager.request('GET', `${url}${WHOLE}`, { preloadContent: false });
      let last = 0;
      for await (const piece of whole) last += piece.length;
      t.is(last, WHOLE, name);
      await manager.close();
    }
  },
);

test.serial(
  'PROXY-02 PROXY-03 SOCKS-02: an upload goes no faster than its origin takes it, by every way',
  async (t) => {
    const all = await heavy(t);
    const { ways } = await waysTo(t, all);
    const piece = Buffer.alloc(65_536, 'y');
    // 64 MiB: between there is room for some 36, most of it a receive buffer that grows to 32 of the system's own accord.
    const count = 1_024;
    const socketOptions = { noDelay: true, sendBuffer: 262_144 };
    for (const [name, proxy, url] of ways) {
      all.taken.bytes = 0;
      all.hold();
      const manager = kept(t, new PoolManager(trusting({ proxy, socketOptions })));
      let produced = 0;
      const hash = createHash('sha256');
      const body = function* (): Generator<Buffer> {
        for (; produced < count; produced += 1) {
          hash.update(piece);
          yield piece;
        }
      };
      const call = manager.request('POST', url, { body: body() });
      await until(() => all.taken.bytes > 0, `${name}: the first bytes`);
      let before = -1;
      while (before !== produced) {
        before = produced;
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
      t.true(before < count, `${name}: ${before} pieces were taken from a body that nobody read`);
      all.release();
      t.is((await call).text(), hash.digest('hex'), name);
      await manager.close();
    }
  },
);

test('PROXY-03 SOCKS-02: streams are read in pieces, lines and by hand through a tunnel, and let go of half-way', async (t) => {
  const all = await origins(t);
  const { ways } = await waysTo(t, all);
  for (const [name, proxy, url] of ways) {
    const manager = kept(t, new PoolManager(trusting({ proxy })));
    const streamed = await manager.request('GET', `${url}bytes/300000`, { preloadContent: false });
    let length = 0;
    for await (const piece of streamed.stream(10_000)) length += piece.length;
    t.is(length, 300_000, name);
    t.is((await manager.request('GET', url)).connection?.reused, true, name);
    const left = await manager.request('GET', `${url}bytes/30000000`, { preloadContent: false });
    t.is((await left.read(100)).length, 100);
    left.close();
    t.is((await manager.request('GET', url)).status, 200, name);
    await manager.close();
  }
});

/** FIN, and the kernel has it. */
async function ended(socket: Socket): Promise<void> {
  if (socket.destroyed || socket.writableFinished) return;
  socket.end();
  await once(socket, 'finish');
}

test('THR-1203 PROXY-03: a kept connection that the proxy or the origin has ended is found out before a request is lost on it', async (t) => {
  const all = await origins(t);
  const { ways, plain, secure, socks } = await waysTo(t, all);
  for (const [name, proxy, url] of ways) {
    const manager = kept(t, new PoolManager(trusting({ proxy })));
    t.is((await manager.request('GET', url)).status, 200);
    all.asked.splice(0);
    await Promise.all([plain, secure, socks].flatMap(({ sockets }) => sockets.map(ended)));
    for (const one of [plain, secure]) await one.cut();
    const response = await manager.request('POST', url, { body: 'once' });
    t.is(toldBy(response).body, 'once', name);
    t.is(response.connection?.reused, false, name);
    t.is(all.asked.length, 1, name);
    await manager.close();
  }
});

test('RETRY-01 PROXY-23: retries and their waits go through the proxy as everything does', async (t) => {
  const all = await origins(t);
  const { ways } = await waysTo(t, all);
  for (const [name, proxy, url] of ways) {
    const manager = kept(t, new PoolManager(trusting({ proxy, retries: null })));
    all.asked.splice(0);
    const error = await rejection(
      manager.request('GET', `${url}status/503`, { retries: new Retry({ total: 2, statusForcelist: [503] }) }),
      Error,
    );
    t.is(error.name, 'MaxRetryError', name);
    t.is(all.asked.length, 3, name);
    await manager.close();
  }
});

test('PROXY-08: a proxy that refuses at first and opens later is asked again by retries, with the whole body', async (t) => {
  const all = await origins(t);
  let refusals = 2;
  const refuses = saying(() => ['HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n'], 'mine');
  const proxy = await proxied(t, {
    routes: all.routes,
    manner: (asked, socket) => {
      if (refusals === 0) return 'serve';
      refusals -= 1;
      return refuses(asked, socket);
    },
  });
  const manager = through(t, proxy.url);
  const body = Readable.from(['all ', 'of ', 'it']);
  const response = await manager.request('POST', 'https://s.test/', { retries: 5, body });
  t.is(toldBy(response).body, 'all of it');
  t.is(proxy.asked.length, 3);
  t.deepEqual(
    response.retries?.history.map(({ error }) => (error as ProxyError | null)?.status),
    [503, 503],
  );
});

test('PROXY-02: many requests at once share the one pool of a forwarding proxy, within its maxsize, and never each other’s answers', async (t) => {
  const all = await origins(t);
  const proxy = await proxied(t, { routes: all.routes });
  const manager = through(t, proxy.url, { maxsize: 8 });
  const hosts = ['h.test', 'other.test', 'third.test'];
  const answers = await Promise.all(
    Array.from({ length: 300 }, async (_, nth): Promise<[number, HTTPResponse]> => {
      const url = `http://${hosts[nth % hosts.length]}/${nth}`;
      return [nth, await manager.request('GET', url, { headers: { 'X-Nth': String(nth) } })];
    }),
  );
  for (const [nth, response] of answers) {
    const { target, lines } = toldBy(response);
    t.is(target, `/${nth}`);
    const field = (name: string): string | undefined => lines.find(([own]) => own.toLowerCase() === name)?.[1];
    t.is(field('x-nth'), String(nth));
    t.is(field('host'), hosts[nth % hosts.length]);
  }
  t.true(proxy.sockets.length <= 8, `${proxy.sockets.length} connections`);
  t.is(manager.pools.size, 1);
});

test('PROXY-03: a bound over all connections counts those of proxies, and idle ones of others make room', async (t) => {
  const all = await origins(t);
  const [one, other] = [await proxied(t, { routes: all.routes }), await proxied(t, { routes: all.routes })];
  const manager = through(t, null, { maxTotalConnections: 1 });
  for (let round = 0; round < 3; round += 1) {
    for (const { url: proxy } of [one, other]) {
      for (const url of ['http://h.test/', 'https://s.test/']) {
        t.is((await manager.request('GET', url, { proxy })).connection?.reused, false);
        t.is(manager.stats().live, 1);
      }
    }
  }
});

test('PROXY-13: a stream that stalls half-way through a tunnel is a ReadTimeoutError in phase body', async (t) => {
  const all = await heavy(t);
  const { plain } = await waysTo(t, all);
  // The head has to come within that time.
  const manager = through(t, plain.url, { timeout: { read: 700 } });
  const response = await manager.request('GET', 'https://s.test/50000000', { preloadContent: false });
  const { client, origin } = await plain.opens(1);
  origin.unpipe(client);
  origin.pause();
  const error = await rejection(response.read(), ReadTimeoutError);
  t.like(error, { phase: 'body', code: 'ERR_READ_TIMEOUT' });
  t.false(error instanceof ProxyError);
});

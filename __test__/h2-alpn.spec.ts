/** How a pool comes to speak HTTP/2 or not: what is offered, what is learned of it, and who waits until it is known. */
import net from 'node:net';
import { once } from 'node:events';
import type tls from 'node:tls';
import test, { type ExecutionContext } from 'ava';

import { HTTPConnectionPool, HTTPSConnectionPool, PoolManager } from '../index.ts';
import { answer, SETTING } from './servers/h2-frames.ts';
import { each, h2Server, type H2Request, type H2Server } from './servers/h2-raw.ts';
import { httpServer } from './servers/http.ts';
import { nodeServer, type NodeServer } from './servers/h2-node.ts';
import { answers, reply } from './servers/raw.ts';
import { tlsServer } from './servers/tls.ts';
import { echo, failure, get } from './support/h2.ts';
import { usual } from './support/pki.ts';
import { securePool, type SecureOptions } from './support/secure.ts';
import { until } from './support/street.ts';

const WAIT = { total: 60_000 };
const NO_TLS = 'no TLS here\r\n';
const paths = (count: number): string[] => Array.from({ length: count }, (_, n) => `/${n}`);

/** Frames behind TLS, and a pool that offers HTTP/2. */
async function framed(
  t: ExecutionContext,
  script: Parameters<typeof h2Server>[0],
  options: SecureOptions = {},
  manners: { tls?: tls.TlsOptions; settings?: [number, number][] } = {},
): Promise<{ pool: HTTPSConnectionPool; server: H2Server }> {
  const server = await h2Server(script, { ...manners, tls: { ...usual().leaf.identity, ...manners.tls } });
  t.teardown(() => server.close());
  return { pool: securePool(t, server.port, { http2: true, timeout: WAIT, ...options }), server };
}

/** A port whose connections are those of another one, but for those that are taken. */
async function fronted(t: ExecutionContext, behind: number, takes: (socket: net.Socket) => boolean): Promise<number> {
  const front = net.createServer((socket) => {
    socket.on('error', () => undefined);
    if (takes(socket)) return;
    const to = net.connect(behind, '127.0.0.1');
    socket.pipe(to).pipe(socket);
    socket.on('error', () => to.destroy());
    to.on('error', () => socket.destroy());
  });
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  t.teardown(() => void front.close());
  return (front.address() as net.AddressInfo).port;
}

/** The first connections are taken, and fail one by one when that is said. */
class Doomed {
  readonly #most: number;
  readonly #taken: net.Socket[] = [];
  #failed = 0;

  constructor(most: number) {
    this.#most = most;
  }

  readonly takes = (socket: net.Socket): boolean => this.#taken.length < this.#most && this.#taken.push(socket) > 0;

  /** Waits for so many of them. */
  taken(count: number): Promise<void> {
    return until(() => this.#taken.length >= count, `${count} dials`);
  }

  async fail(): Promise<void> {
    await this.taken(this.#failed + 1);
    this.#taken[this.#failed]?.end(NO_TLS);
    this.#failed += 1;
  }
}

test('TLS-15: offered by `http2: true`, h2 is taken where the server knows it, and spoken at once', async (t) => {
  const { pool, server } = await framed(t, each(echo));
  const response = await get(pool, '/x');
  t.like(response, { version: 20, versionString: 'HTTP/2', reason: null });
  t.is(response.connection?.protocol, 'h2');
  t.like(response.connection?.tls, { version: 'TLSv1.3', verified: true, serverName: 'localhost' });
  const [request] = server.requests;
  t.is(request?.get(':scheme'), 'https');
  t.is(request?.get(':authority'), `localhost:${server.port}`);
  const over12 = await framed(t, each(echo), {}, { tls: { maxVersion: 'TLSv1.2' } });
  t.like((await get(over12.pool)).connection?.tls, { version: 'TLSv1.2' });
});

test('H2-01: the authority over https leaves 443 out', async (t) => {
  const { server } = await framed(
    t,
    each((request, peer) => peer.send(answer(request.id, request.get(':authority')))),
  );
  for (const [port, authority] of [
    [443, 'localhost'],
    [null, 'localhost'],
    [80, 'localhost:80'],
  ] as const) {
    const pool = new HTTPSConnectionPool('localhost', {
      port,
      http2: true,
      retries: false,
      caCertData: usual().ca.pem,
      resolve: () => [{ address: '127.0.0.1', port: server.port }],
    });
    t.is((await get(pool)).text(), authority);
    await pool.close();
  }
});

test('TLS-15: without it http/1.1 is spoken, though the server would rather not', async (t) => {
  const server = await nodeServer(
    'h2',
    (request, response) => void response.end(request.httpVersion),
    usual().leaf.identity,
  );
  t.teardown(() => server.close());
  for (const [options, version] of [
    [{}, '1.1'],
    [{ http2: false }, '1.1'],
    [{ http2: true }, '2.0'],
  ] as [SecureOptions, string][]) {
    t.is((await get(securePool(t, server.port, options))).text(), version);
  }
});

test('H2-05 POOL-05: many first requests make one connection, and share it where it turns out to be h2', async (t) => {
  const { pool, server } = await framed(t, each(echo), { maxsize: 8 });
  const responses = await Promise.all(paths(40).map((path) => get(pool, path)));
  t.deepEqual(
    responses.map((response) => response.text()),
    paths(40),
  );
  t.is(server.peers.length, 1);
  t.is(pool.numConnections, 1);
});

test('H2-05: where it turns out to be http/1.1, those who waited get connections of their own, and it is remembered', async (t) => {
  const server = await nodeServer(
    'https',
    (request, response) => void response.end(request.url),
    usual().leaf.identity,
  );
  t.teardown(() => server.close());
  const pool = securePool(t, server.port, { http2: true, maxsize: 5, block: true });
  const responses = await Promise.all(paths(40).map((path) => get(pool, path)));
  t.deepEqual(
    responses.map((response) => response.text()),
    paths(40),
  );
  t.true(server.connections > 1 && server.connections <= 5, String(server.connections));
  t.is(responses[0]?.version, 11);
  const before = server.connections;
  await Promise.all(paths(40).map((path) => get(pool, path)));
  t.is(server.connections, before);
});

test('H2-05: a handshake that fails teaches nothing: the next request finds out', async (t) => {
  let broken = true;
  const { leaf } = usual();
  const behind = await h2Server(each(echo), { tls: leaf.identity });
  t.teardown(() => behind.close());
  const port = await fronted(t, behind.port, (socket) => {
    if (broken) socket.end(NO_TLS);
    return broken;
  });
  const pool = securePool(t, port, { http2: true, maxsize: 4, block: true });
  const errors = await Promise.all(paths(6).map((path) => failure(get(pool, path))));
  for (const error of errors) t.like(error, { name: 'SSLError', code: 'ERR_TLS', reason: 'ERR_NOT_TLS' });
  t.like(pool.stats(), { idle: 0, leased: 0, waiting: 0 });
  broken = false;
  const dials = pool.numConnections;
  const responses = await Promise.all(paths(6).map((path) => get(pool, path)));
  t.true(responses.every(({ version }) => version === 20));
  t.is(pool.numConnections, dials + 1);
});

test('H2-05: those who waited for a dial that failed share the next connection, and nobody overtakes them', async (t) => {
  const { leaf, ca } = usual();
  const tls = { ...leaf.identity };
  for (const bound of [{ maxsize: 1, block: true }, { maxTotalConnections: 1 }]) {
    const server = await h2Server(() => undefined, { tls, settings: [[SETTING.MAX_CONCURRENT_STREAMS, 3]] });
    t.teardown(() => server.close());
    const doomed = new Doomed(2);
    const port = await fronted(t, server.port, doomed.takes);
    const manager = new PoolManager({ http2: true, caCertData: ca.pem, timeout: WAIT, retries: false, ...bound });
    t.teardown(() => manager.close({ timeout: 0 }));
    const ask = (path: string, options = {}): Promise<string> =>
      manager.request('GET', `https://127.0.0.1:${port}${path}`, options).then(
        (response) => response.text(),
        (error: Error) => error.name,
      );
    const leave = new AbortController();
    const waiting = (count: number): Promise<void> => until(() => manager.stats().waiting === count, `${count} wait`);
    const dials = ask('/dials');
    await doomed.taken(1);
    const others: Promise<string>[] = [];
    for (const path of ['/second', '/leaves', '/1', '/2', '/3', '/4']) {
      others.push(ask(path, path === '/leaves' ? { signal: leave.signal } : {}));
      await waiting(others.length);
    }
    await doomed.fail();
    t.is(await dials, 'SSLError');
    // All of them want a connection now, and one may dial: its dial fails too.
    await waiting(5);
    leave.abort();
    t.is(await others[1], 'AbortError');
    await waiting(4);
    await doomed.fail();
    t.is(await others[0], 'SSLError');
    // None of these has an answer: one connection has room for three of them.
    const peer = await server.peer(1);
    await peer.until(() => peer.requests.length === 3);
    const newcomer = ask('/newcomer');
    await waiting(2);
    for (let n = 0; n < 5; n += 1) {
      await peer.until(() => peer.requests.length > n);
      await echo(peer.requests[n] as H2Request, peer);
    }
    t.deepEqual(await Promise.all(others.slice(2)), ['/1', '/2', '/3', '/4']);
    t.is(await newcomer, '/newcomer');
    t.deepEqual(
      server.requests.map(({ path }) => path),
      ['/1', '/2', '/3', '/4', '/newcomer'],
    );
    t.is(server.peers.length, 1);
    await until(() => manager.stats().leased === 0, 'all back');
    t.like(manager.stats(), { waiting: 0, live: 1 });
  }
});

test('H2-05: those who waited for a dial that failed are served by a peer of http/1.1 too', async (t) => {
  const { leaf } = usual();
  const server = await nodeServer('https', (request, response) => void response.end(request.url), leaf.identity);
  t.teardown(() => server.close());
  const doomed = new Doomed(1);
  const pool = securePool(t, await fronted(t, server.port, doomed.takes), { http2: true, maxsize: 1, block: true });
  const dials = failure(get(pool, '/dials'));
  await doomed.taken(1);
  const others = paths(10).map((path) => get(pool, path));
  await until(() => pool.stats().waiting === 10, 'ten wait');
  await doomed.fail();
  t.is((await dials).name, 'SSLError');
  t.deepEqual(await Promise.all(others.map(async (other) => (await other).text())), paths(10));
  t.is((await get(pool, '/next')).text(), '/next');
  t.is(server.connections, 1);
  await until(() => pool.stats().leased === 0, 'all back');
  t.like(pool.stats(), { idle: 1, waiting: 0 });
});

test('H2-05: an aborted dial is taken over by one who waits', async (t) => {
  const { pool, server } = await framed(t, each(echo), { maxsize: 4, block: true });
  const leave = new AbortController();
  const first = get(pool, '/first', { signal: leave.signal });
  const others = paths(5).map((path) => get(pool, path));
  leave.abort(new Error('enough'));
  await t.throwsAsync(first, { message: 'enough' });
  const texts = await Promise.all(others.map(async (other) => (await other).text()));
  t.deepEqual(texts, paths(5));
  t.true(server.peers.length <= 2);
});

test('REQ-19: an http pool ignores `http2: true`; prior knowledge is for http alone; other values are refused', async (t) => {
  const server = await httpServer((request, response) => response.end(request.httpVersion));
  t.teardown(() => server.close());
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, http2: true });
  t.is((await get(pool)).text(), '1.1');
  await pool.close();
  const refusal = { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' };
  t.throws(() => new HTTPSConnectionPool('localhost', { http2: 'prior-knowledge' } as never), refusal);
  for (const http2 of ['h2', 1, 'true', {}]) {
    t.throws(() => new HTTPConnectionPool('localhost', { http2: http2 as never }), refusal);
    t.throws(() => new HTTPSConnectionPool('localhost', { http2: http2 as never }), refusal);
  }
});

test('H2-05 THR-323: a manager keeps h2 and http/1.1 apart, speaks each where it is spoken, and shares connections', async (t) => {
  const { leaf, ca } = usual();
  const tell =
    (kind: string): Parameters<typeof nodeServer>[1] =>
    (request, response) =>
      void response.end(`${kind} ${request.httpVersion} ${request.url}`);
  const servers: NodeServer[] = [];
  for (const speaks of ['h2', 'https'] as const) servers.push(await nodeServer(speaks, tell(speaks), leaf.identity));
  const plain = await httpServer((request, response) => response.end(`http ${request.httpVersion} ${request.url}`));
  const manager = new PoolManager({ http2: true, caCertData: ca.pem, timeout: WAIT });
  t.teardown(async () => {
    await manager.close({ timeout: 0 });
    for (const server of [...servers, plain]) await server.close();
  });
  const calls = paths(30).flatMap((path) => [
    manager.request('GET', `https://127.0.0.1:${servers[0]?.port}${path}`),
    manager.request('GET', `https://127.0.0.1:${servers[1]?.port}${path}`),
    manager.request('GET', `http://127.0.0.1:${plain.port}${path}`),
  ]);
  const texts = await Promise.all(calls.map(async (call) => (await call).text()));
  t.deepEqual(
    texts,
    paths(30).flatMap((path) => [`h2 2.0 ${path}`, `https 1.1 ${path}`, `http 1.1 ${path}`]),
  );
  t.is(servers[0]?.connections, 1);
  // Another setting, another pool: none of its connections.
  const without = await manager
    .connectionFromHost('127.0.0.1', { port: servers[0]?.port ?? 0, scheme: 'https', poolKwargs: { http2: false } })
    .request('GET', '/');
  t.is(without.version, 11);
  t.is(servers[0]?.connections, 2);
});

test('H2-05: maxTotalConnections counts connections, not streams', async (t) => {
  const { leaf, ca } = usual();
  const servers: H2Server[] = [];
  for (let n = 0; n < 3; n += 1) servers.push(await h2Server(each(echo), { tls: leaf.identity }));
  const manager = new PoolManager({ http2: true, caCertData: ca.pem, timeout: WAIT, maxTotalConnections: 2 });
  t.teardown(async () => {
    await manager.close({ timeout: 0 });
    for (const server of servers) await server.close();
  });
  const calls = paths(60).map((path, n) => manager.request('GET', `https://127.0.0.1:${servers[n % 3]?.port}${path}`));
  const texts = await Promise.all(calls.map(async (call) => (await call).text()));
  t.deepEqual(texts, paths(60));
  t.true(manager.stats().live <= 2);
});

test('H2-06: there is no tunnel over h2: CONNECT is refused, and nothing is sent', async (t) => {
  const { pool, server } = await framed(t, each(echo));
  const refusal = { instanceOf: TypeError, code: 'ERR_INVALID_METHOD' };
  for (const retries of [false, 3] as const) await t.throwsAsync(pool.request('CONNECT', '/', { retries }), refusal);
  t.is((await get(pool, '/next')).text(), '/next');
  t.deepEqual(
    server.requests.map(({ path }) => path),
    ['/next'],
  );
  t.is(server.peers.length, 1);
});

test('POOL-07: a limit of streams holds over TLS too, and a second connection is made when the first is full', async (t) => {
  const { pool, server } = await framed(
    t,
    each(async (request, peer) => {
      await peer.settled();
      await echo(request, peer);
    }),
    { maxsize: 3, block: true },
    { settings: [[SETTING.MAX_CONCURRENT_STREAMS, 5]] },
  );
  const responses = await Promise.all(paths(100).map((path) => get(pool, path)));
  t.deepEqual(
    responses.map((response) => response.text()),
    paths(100),
  );
  t.true(server.peers.length <= 3);
  await until(() => pool.stats().leased === 0, 'all back');
});

test('TLS-15: a server that picks h2 where it was not offered is refused; one that picks nothing speaks http/1.1', async (t) => {
  const { leaf } = usual();
  const server = await tlsServer(answers(reply('old')), { ...leaf.identity, ALPNProtocols: undefined as never });
  t.teardown(() => server.close());
  const response = await get(securePool(t, server.port, { http2: true }));
  t.deepEqual([response.text(), response.version], ['old', 11]);
});

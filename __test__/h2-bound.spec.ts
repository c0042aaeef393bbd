/** `maxTotalConnections` over HTTP/2: connections that many use at once, and those who wait for one elsewhere. */
import test, { type ExecutionContext } from 'ava';

import { HTTPConnectionPool, PoolManager, type Resolve } from '../index.ts';
import { answer, CODE, goaway, rstStream } from './servers/h2-frames.ts';
import { each, h2Server } from './servers/h2-raw.ts';
import { echo, failure, overFrames, get } from './support/h2.ts';
import { until } from './support/street.ts';

const OPTIONS = {
  http2: 'prior-knowledge',
  maxTotalConnections: 1,
  retries: false,
  timeout: { total: 10_000 },
} as const;

test('MGR-01 THR-401: what is sent again after a GOAWAY does not wait for the connection that it keeps itself', async (t) => {
  let connections = 0;
  const server = await h2Server(async (peer) => {
    connections += 1;
    const left = connections === 1;
    await each(async (request) => {
      await (left ? peer.send(goaway(0)) : echo(request, peer));
    })(peer);
  });
  const manager = new PoolManager(OPTIONS);
  t.teardown(async () => {
    await manager.close({ timeout: 0 });
    await server.close();
  });
  const response = await manager.request('POST', `http://127.0.0.1:${server.port}/a`, { body: 'b' });
  t.is(response.text(), '/a');
  t.is(connections, 2);
});

test('MGR-01: a host whose connection is never without a stream gives way to another', async (t) => {
  // A stream ends when the next one is there, or when none has come for long: the connection is never idle before that.
  let held = async (): Promise<void> => undefined;
  let quiet: NodeJS.Timeout | undefined;
  const seen = { asked: 0, over: false };
  const busy = await h2Server(
    each(async (request, peer) => {
      const before = held;
      held = async () => peer.send(answer(request.id, 'busy'));
      clearTimeout(quiet);
      quiet = setTimeout(() => void held().catch(() => undefined), 250);
      seen.asked += 1;
      await before().catch(() => undefined);
    }),
  );
  const other = await h2Server(each(echo));
  const manager = new PoolManager(OPTIONS);
  t.teardown(async () => {
    await manager.close({ timeout: 0 });
    await Promise.all([busy.close(), other.close()]);
  });
  const worker = async (): Promise<void> => {
    while (!seen.over) await manager.request('GET', `http://127.0.0.1:${busy.port}/`);
  };
  const working = Promise.all([worker(), worker(), worker()]);
  while (seen.asked < 10) await new Promise((resolve) => setImmediate(resolve));
  const outcome = await manager.request('GET', `http://127.0.0.1:${other.port}/other`).then(
    (response) => response.text(),
    (error: Error) => error.message,
  );
  seen.over = true;
  await working;
  t.is(outcome, '/other');
});

/** A name that takes a moment to be looked up: what is left for a dial has to be more than nothing. */
const slowly: Resolve = () => new Promise((resolve) => setTimeout(resolve, 50, '127.0.0.1'));

/** Answers `/held` when it is told to, and everything else at once. */
async function holding(t: ExecutionContext): Promise<{ port: number; letGo: () => void }> {
  let letGo = (): void => undefined;
  const free = new Promise<void>((resolve) => (letGo = resolve));
  const server = await h2Server(
    each(async (request, peer) => {
      if (request.path === '/held') await free;
      await echo(request, peer);
    }),
  );
  t.teardown(() => server.close());
  return { port: server.port, letGo };
}

test('TIME-11 MGR-01: `connect` does not count while a manager’s bound is waited for, by whoever is to dial or by those behind', async (t) => {
  const { port, letGo } = await holding(t);
  const manager = new PoolManager({ ...OPTIONS, resolve: slowly, timeout: { connect: 500 } });
  t.teardown(() => manager.close({ timeout: 0 }));
  const held = manager.request('GET', `http://a.test:${port}/held`);
  await until(() => manager.stats().opened === 1, 'the first host has its connection');
  const others = ['/b', '/c', '/d'].map((path) => manager.request('GET', `http://b.test:${port}${path}`));
  setTimeout(letGo, 1_000);
  t.deepEqual(await Promise.all(others.map(async (other) => (await other).text())), ['/b', '/c', '/d']);
  t.is((await held).text(), '/held');
});

test('TIME-11 POOL-07: `connect` does not count while a pool’s slot is waited for', async (t) => {
  const { port, letGo } = await holding(t);
  const pool = new HTTPConnectionPool('a.test', {
    port,
    http2: 'prior-knowledge',
    maxsize: 1,
    block: true,
    maxRequestsPerConnection: 1,
    retries: false,
    resolve: slowly,
    timeout: { connect: 500 },
  });
  t.teardown(() => pool.close({ timeout: 0 }));
  const held = get(pool, '/held');
  await until(() => pool.stats().opened === 1, 'the connection is there');
  const other = get(pool, '/b');
  setTimeout(letGo, 1_000);
  t.is((await other).text(), '/b');
  t.is((await held).text(), '/held');
});

test('TIME-11: the time for which somebody else dialled counts, and the message has the caller’s `connect`', async (t) => {
  const { port } = await holding(t);
  let asked = 0;
  const never: Resolve = () => {
    asked += 1;
    return new Promise(() => undefined);
  };
  const pool = new HTTPConnectionPool('a.test', {
    port,
    http2: 'prior-knowledge',
    retries: false,
    resolve: never,
    timeout: { connect: 800 },
  });
  t.teardown(() => pool.close({ timeout: 0 }));
  const giving = new AbortController();
  const first = get(pool, '/', { signal: giving.signal });
  await until(() => asked > 0, 'the first one dials');
  const [second, third] = [failure(get(pool, '/b')), failure(get(pool, '/c'))];
  setTimeout(() => giving.abort(), 400);
  await t.throwsAsync(first, { any: true });
  for (const error of [await second, await third]) {
    t.is(error.name, 'ConnectTimeoutError');
    t.regex(error.message, /connect timeout=800 ms/);
    t.true(error.elapsed >= 800);
  }
  t.like(pool.stats(), { leased: 0, waiting: 0 });
});

test('H2-02: user information is no part of an authority', async (t) => {
  const { pool } = await overFrames(t, each(echo));
  const error = await failure(get(pool, '/', { headers: { Host: 'user:secret@a.test' } }));
  t.is(error.name, 'InvalidHeader');
  t.false(error.message.includes('secret'));
  t.is((await get(pool, '/a')).text(), '/a');
});

test('THR-401: a stream that is refused costs one more stream, not the connection', async (t) => {
  let asked = 0;
  const { pool } = await overFrames(
    t,
    each(async (request, peer) => {
      asked += 1;
      await (asked % 2 === 1 ? peer.send(rstStream(request.id, CODE.REFUSED_STREAM)) : echo(request, peer));
    }),
  );
  for (const path of ['/a', '/b', '/c']) t.is((await get(pool, path)).text(), path);
  t.is(asked, 6);
  t.is(pool.stats().opened, 1);
});

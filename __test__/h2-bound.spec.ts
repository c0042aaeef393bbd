/** `maxTotalConnections` over HTTP/2: connections that many use at once, and those who wait for one elsewhere. */
import test from 'ava';

import { PoolManager } from '../index.ts';
import { answer, CODE, goaway, rstStream } from './servers/h2-frames.ts';
import { each, h2Server } from './servers/h2-raw.ts';
import { echo, failure, overFrames, get } from './support/h2.ts';

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

/**
 * How connections live against a real nginx: kept, counted out, timed out, taken away by a reload or a crash.
 */
import http from 'node:http';
import test from 'ava';
import type { ExecutionContext } from 'ava';

import { ProtocolError } from '../../index.ts';
import type { HTTPConnectionPool, HTTPResponse } from '../../index.ts';
import { overNginx } from '../support/fixtures.ts';

test.serial('a sequential client has one connection, for GET and for HEAD', async (t) => {
  const { pool } = await overNginx(t, { server: 'keepalive_requests 1000;', files: { hello: 'hello' } });
  for (let turn = 1; turn <= 200; turn += 1) {
    const method = turn % 2 === 0 ? 'HEAD' : 'GET';
    const response = await pool.request(method, '/hello');
    t.is(response.status, 200);
    t.is(response.data.toString(), method === 'GET' ? 'hello' : '');
    t.is(response.headers.get('content-length'), '5');
    t.is(response.headers.get('x-request'), String(turn), 'nginx counts on one connection');
    t.is(response.connection?.reused, turn > 1);
  }
  const { opened, reused, requests, idle } = balanced(pool);
  t.deepEqual({ opened, reused, requests, idle }, { opened: 1, reused: 199, requests: 200, idle: 1 });
});

for (const [limit, total] of [
  [100, 10_000],
  [3, 3_000],
  [1, 1_000],
] as const) {
  test.serial(
    `THR-1217: ${total} GETs over 50 connections lose none where nginx takes ${limit} a connection`,
    async (t) => {
      const { pool } = await overNginx(
        t,
        { server: `keepalive_requests ${limit};`, files: { hello: 'hello' } },
        { maxsize: 50, block: true },
      );
      const [connections, wrong] = [new Set<string>(), [] as string[]];
      let last = 0;
      await flood(pool, '/hello', total, 50, (response) => {
        const [nth, closes] = [
          Number(response.headers.get('x-request')),
          response.headers.get('connection') === 'close',
        ];
        if (response.status !== 200 || response.data.toString() !== 'hello') wrong.push(`a ${response.status}`);
        if (nth > limit || closes !== (nth === limit)) wrong.push(`request ${nth} of a connection, close: ${closes}`);
        if (closes) last += 1;
        connections.add(response.headers.get('x-connection') ?? '');
      });
      t.deepEqual(wrong, []);
      const { opened, requests, staleReplays, poisoned, errors, discarded, surplus } = balanced(pool);
      t.deepEqual(
        { requests, staleReplays, poisoned, surplus, errors },
        {
          requests: total,
          staleReplays: 0,
          poisoned: 0,
          surplus: 0,
          errors: {},
        },
      );
      t.is(opened, connections.size, 'every connection that was opened carried a request');
      t.is(discarded, last, 'a connection ends by the announcement and by nothing else');
      t.true(last >= (total - 50 * limit) / limit);
    },
  );
}

test.serial(
  'POOL-14: connections that keepalive_timeout ended are replaced without an error or a replay',
  async (t) => {
    const { pool } = await overNginx(
      t,
      { server: `keepalive_timeout 2s; location = /status { stub_status; } location / { return 200 done; }` },
      { maxsize: 8, block: true, retries: false },
    );
    await pool.warm(8);
    await flood(pool, '/', 64, 8, (response) => t.is(response.status, 200));
    const before = pool.stats().opened;
    await untilAlone(pool.port ?? 0);
    // A POST would never be sent twice, so each of these met a connection that was fit to use.
    for (let turn = 1; turn <= 8; turn += 1) {
      const response = await pool.request('POST', '/', { body: 'once' });
      t.is(response.data.toString(), 'done');
      t.is(response.attempts, 1);
      t.is(response.connection?.reused, turn > 1);
    }
    const { opened, staleReplays, errors } = balanced(pool);
    t.deepEqual({ opened, staleReplays, errors }, { opened: before + 1, staleReplays: 0, errors: {} });
  },
);

test.serial('a connection is reused at once where nginx announces Keep-Alive: timeout=5', async (t) => {
  const { pool } = await overNginx(t, { server: 'keepalive_timeout 5 5; location / { return 200 here; }' });
  for (let turn = 1; turn <= 10; turn += 1) {
    const response = await pool.request('GET', '/');
    t.is(response.headers.get('keep-alive'), 'timeout=5');
    t.is(response.headers.get('x-request'), String(turn));
  }
  t.is(balanced(pool).opened, 1);
});

test.serial(
  'a connection is not reused in the last half second that nginx announced, though nginx holds it open',
  async (t) => {
    const { pool } = await overNginx(t, { server: 'keepalive_timeout 60s 3s; location / { return 200 here; }' });
    t.is((await pool.request('GET', '/')).headers.get('keep-alive'), 'timeout=3');
    t.is((await pool.request('GET', '/')).headers.get('x-request'), '2');
    // What is asked for is that time passes: 3 s less the margin of 0.5 s.
    await new Promise((resolve) => setTimeout(resolve, 2_550));
    const late = await pool.request('GET', '/');
    t.is(late.headers.get('x-request'), '1');
    t.is(late.attempts, 1);
    const { opened, staleReplays } = balanced(pool);
    t.deepEqual({ opened, staleReplays }, { opened: 2, staleReplays: 0 });
  },
);

test.serial(
  'a reload under load loses no response: what fails crossed the end of an idle connection and was never read',
  async (t) => {
    const { pool, server } = await overNginx(
      t,
      { server: 'location / { return 200 here; }' },
      { maxsize: 50, block: true },
    );
    const { succeeded, failures } = await under(pool, 50, async (progress) => {
      for (let turn = 0; turn < 5; turn += 1) {
        await progress(500);
        const { worker } = server;
        await server.reload();
        t.not(server.worker, worker);
      }
      await progress(500);
    });
    for (const failure of failures) aborted(t, failure);
    t.true(failures.length <= 5 * 50, `${failures.length} failures: at most one a connection and reload`);
    const { opened, errors } = balanced(pool);
    t.true(opened > 50, 'the reloads took connections away');
    t.deepEqual(errors, failures.length === 0 ? {} : { ERR_PROTOCOL: failures.length });
    // Its worker ends, so that all is logged: what nginx has answered has arrived, and nothing was sent twice.
    await server.reload();
    t.is(server.answered.filter((line) => line === 'GET / 200').length, succeeded);
  },
);

test.serial(
  'a worker that dies under load costs its connections at most a request each, and the pool goes on',
  async (t) => {
    const { pool, server } = await overNginx(
      t,
      { server: 'location / { return 200 here; }' },
      { maxsize: 50, block: true },
    );
    const { failures } = await under(pool, 50, async (progress) => {
      for (let turn = 0; turn < 3; turn += 1) {
        await progress(500);
        await server.crash();
      }
      await progress(500);
    });
    for (const failure of failures) aborted(t, failure);
    t.true(failures.length <= 3 * 50, `${failures.length} failures`);
    const { opened, idle, errors } = balanced(pool);
    t.deepEqual(errors, failures.length === 0 ? {} : { ERR_PROTOCOL: failures.length });
    t.true(opened <= 4 * 50, `${opened} connections: as many as died, and no storm`);
    t.true(idle <= 50);
  },
);

test.serial(
  'THR-1206: 1,000 idle connections that die with the server cost GETs nothing, and their successors come within maxsize',
  async (t) => {
    const { pool, server } = await overNginx(
      t,
      { server: 'location / { return 200 here; }' },
      { maxsize: 1_000, block: true },
    );
    await pool.warm(1_000);
    t.is(pool.stats().idle, 1_000);
    await server.crash();
    let most = 0;
    await flood(pool, '/', 3_000, 100, (response) => {
      t.is(response.status, 200);
      most = Math.max(most, pool.pool?.leased ?? 0);
    });
    const { opened, errors, staleReplays, live } = balanced(pool);
    t.deepEqual({ errors, staleReplays }, { errors: {}, staleReplays: 0 });
    t.true(most <= 100, `${most} at once for 100 requests at once`);
    t.true(opened <= 1_100, `${opened} opened: as many new ones as were asked for at once`);
    t.true(live <= 100, `${live} live: the dead ones are gone`);
  },
);

test.serial('1,000 requests at once wait for 50 connections in the order of their arrival', async (t) => {
  const { pool } = await overNginx(
    t,
    { server: 'keepalive_requests 10000;', files: { hello: 'hello' } },
    { maxsize: 50, block: true },
  );
  const order: number[] = [];
  const asked = Array.from({ length: 1_000 }, async (_, nth) => {
    const { status } = await pool.request('GET', `/hello?${nth}`);
    order.push(nth);
    return status;
  });
  t.deepEqual([...new Set(await Promise.all(asked))], [200]);
  // When one has its connection all before it have had one, and at most 49 of them are not done.
  const jumped = order.filter((nth, done) => nth > done + 49);
  t.deepEqual(jumped, []);
  const { opened, requests, idle, errors } = balanced(pool);
  t.deepEqual({ requests, errors }, { requests: 1_000, errors: {} });
  t.true(opened <= 50 && idle === opened);
});

/** The pool's figures, once they are found to balance. */
function balanced(pool: HTTPConnectionPool): ReturnType<HTTPConnectionPool['stats']> {
  const stats = pool.stats();
  const { opened, closed, idle, leased } = stats;
  if (opened !== closed + idle + leased || leased !== 0) {
    throw new Error(`the books do not balance: ${JSON.stringify({ opened, closed, idle, leased })}`);
  }
  return stats;
}

/** GETs a URL so many times, so many at once. */
async function flood(
  pool: HTTPConnectionPool,
  url: string,
  total: number,
  concurrency: number,
  each: (response: HTTPResponse) => void,
): Promise<void> {
  let begun = 0;
  const client = async (): Promise<void> => {
    while (begun < total) {
      begun += 1;
      each(await pool.request('GET', url));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, client));
}

/** What came of the requests of {@link under}. */
interface Load {
  over: boolean;
  succeeded: number;
  failures: unknown[];
}

/** Keeps so many clients busy with GETs while something happens, which can wait for so many more good responses. */
async function under(
  pool: HTTPConnectionPool,
  clients: number,
  happens: (progress: (responses: number) => Promise<void>) => Promise<void>,
): Promise<Load> {
  const load: Load = { over: false, succeeded: 0, failures: [] };
  let awaited: { at: number; resolve: () => void } | null = null;
  const client = async (): Promise<void> => {
    while (!load.over) {
      try {
        const { status } = await pool.request('GET', '/', { timeout: 5_000 });
        if (status !== 200) throw new Error(`a ${status}`);
        load.succeeded += 1;
        if (awaited !== null && load.succeeded >= awaited.at) awaited.resolve();
      } catch (error) {
        load.failures.push(error);
      }
    }
  };
  const progress = (responses: number): Promise<void> =>
    new Promise((resolve) => (awaited = { at: load.succeeded + responses, resolve }));
  const busy = Promise.all(Array.from({ length: clients }, client));
  await happens(progress).finally(() => (load.over = true));
  await busy;
  return load;
}

/** The documented end of a request whose connection was closed after it was sent and before a byte of a response. */
function aborted(t: ExecutionContext, failure: unknown): void {
  if (!(failure instanceof ProtocolError)) throw failure;
  const { sent, phase, attempts, partial } = failure;
  t.deepEqual({ sent, phase, attempts, partial }, { sent: true, phase: 'headers', attempts: 1, partial: null });
}

/** Waits until nginx has no connection but the one that asks it. */
async function untilAlone(port: number): Promise<void> {
  const until = performance.now() + 30_000;
  for (;;) {
    const status = await new Promise<string>((resolve, reject) => {
      http
        .get({ host: '127.0.0.1', port, path: '/status', agent: false }, (answer) => {
          let text = '';
          answer.setEncoding('utf8').on('data', (piece: string) => (text += piece));
          answer.on('end', () => resolve(text)).on('error', reject);
        })
        .on('error', reject);
    });
    if (/Active connections: 1\b/.test(status)) return;
    if (performance.now() > until) throw new Error(`nginx keeps its connections: ${status}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/**
 * How connections with streams live against real servers: counted out, taken away by a reload, a crash or a shut-down, full.
 */
import test from 'ava';
import type { ExecutionContext } from 'ava';

import { MaxRetryError, PoolManager, ProtocolError, ResponseTooLarge, request } from '../../index.ts';
import type { HTTPResponse, HTTPSConnectionPool, PoolOptions, TLSOptions } from '../../index.ts';
import { nginx, type Nginx, type NginxSetup } from '../servers/nginx.ts';
import { certificates, fronted, FRONTS, pooled, secured, trusting } from '../support/fronts.ts';
import { rejection } from '../support/fixtures.ts';
import { until } from '../support/street.ts';

const OVER_H2 = FRONTS.filter(({ server, protocol }) => server !== 'node' && protocol === 'h2');

for (const front of OVER_H2) {
  for (const method of ['GET', 'POST']) {
    test.serial(`THR-401 THR-402 five reloads of ${front.server} under load cost no ${method} anything`, async (t) => {
      const fixture = await fronted(t, front, { maxsize: 8, block: true, retries: null });
      const { pool } = fixture;
      const { succeeded, failures } = await under(pool, method, 50, async (progress) => {
        for (let turn = 0; turn < 5; turn += 1) {
          await progress(300);
          await fixture.reload();
        }
        await progress(300);
      });
      t.deepEqual(failures, []);
      t.true(succeeded >= 1_800);
      const { opened, requests } = balanced(pool);
      t.true(opened >= 6, `${opened} connections: each reload took one away`);
      t.true(requests >= succeeded);
    });
  }
}

test.serial('THR-402 3,000 GETs lose none where nginx takes 100 a connection, and POSTs neither', async (t) => {
  const { pool } = await multiplexed(
    t,
    { server: 'keepalive_requests 100; location / { return 200 here; }' },
    {
      maxsize: 4,
      block: true,
    },
  );
  for (const method of ['GET', 'POST']) {
    const connections = new Set<string | undefined>();
    await flood(pool, method, 3_000, 60, (response) => {
      if (response.status !== 200 || response.text() !== 'here') t.fail(`a ${response.status}`);
      if (Number(response.headers.get('x-request')) > 100) t.fail('more than nginx takes');
      connections.add(response.headers.get('x-connection'));
    });
    t.true(connections.size >= 30, `${connections.size} connections`);
  }
  const { errors } = balanced(pool);
  t.deepEqual(errors, {});
});

test.serial(
  'THR-417 a server of 2 streams has 2 at a time, and a second connection only when the first is full',
  async (t) => {
    const { pool } = await multiplexed(
      t,
      { http: 'http2_max_concurrent_streams 2;', server: 'keepalive_requests 10000; location / { return 200 here; }' },
      { maxsize: 3, block: true },
    );
    await pool.request('GET', '/');
    for (let turn = 1; turn <= 20; turn += 1) {
      await Promise.all([pool.request('GET', '/'), pool.request('GET', '/')]);
    }
    t.is(pool.stats().opened, 1, 'two fit on the first');
    await flood(pool, 'GET', 600, 60, (response) => t.is(response.status, 200));
    const { opened, errors } = balanced(pool);
    t.true(opened > 1 && opened <= 3, `${opened} connections`);
    t.deepEqual(errors, {});
  },
);

test.serial('a worker that dies costs its streams their requests, and the pool goes on', async (t) => {
  const { pool, server } = await multiplexed(
    t,
    { server: 'location / { return 200 here; }' },
    { maxsize: 2, block: true },
  );
  const { failures } = await under(pool, 'POST', 50, async (progress) => {
    for (let turn = 0; turn < 3; turn += 1) {
      await progress(300);
      await server.crash();
    }
    await progress(300);
  });
  for (const failure of failures) {
    if (!(failure instanceof ProtocolError)) throw failure;
    t.is(typeof failure.sent, 'boolean');
  }
  const { opened } = balanced(pool);
  t.true(opened >= 4 && opened <= 12, `${opened} connections: as many as died, and no storm`);
  t.true(failures.length <= 3 * 50, `${failures.length} failures: at most one a stream and crash`);
});

test.serial('a connection that nginx ended while it was idle costs nothing', async (t) => {
  const { pool, server } = await multiplexed(
    t,
    { server: 'keepalive_timeout 1s; location / { return 200 here; }' },
    { retries: false },
  );
  const first = await pool.request('POST', '/', { body: 'once' });
  await until(() => pool.stats().live === 0 || pool.stats().closed === 1, 'the end of the connection');
  const second = await pool.request('POST', '/', { body: 'once' });
  t.not(second.connection?.id, first.connection?.id);
  t.is(second.attempts, 1);
  await server.reload();
  const third = await pool.request('POST', '/', { body: 'once' });
  t.is(third.attempts, 1);
  t.is(server.answered.filter((line) => line === 'POST / 200').length >= 2, true);
});

test.serial(
  'THR-411 headers of 60 KiB come; past the limit they are too large, and the connection lives',
  async (t) => {
    const name = (nth: number): string => `add_header X-Long-${nth} "${'x'.repeat(1_000)}";`;
    const headers = Array.from({ length: 60 }, (_, nth) => name(nth)).join(' ');
    const setup = { server: `location /long { ${headers} return 200 long; } location / { return 200 here; }` };
    const { pool, server } = await multiplexed(t, setup);
    const response = await pool.request('GET', '/long');
    t.is(response.headers.get('x-long-59')?.length, 1_000);
    const narrow = pooled(t, server.port, { http2: true, limits: { headerBytes: 40_000 } });
    const error = await rejection(narrow.request('GET', '/long'), ResponseTooLarge);
    t.is(error.limit, 'headerBytes');
    t.is((await narrow.request('GET', '/')).text(), 'here');
  },
);

test.serial('trailers that nginx adds come with both protocols', async (t) => {
  const text = 'a text that is long enough for nginx to send it in chunks\n'.repeat(100);
  const setup: NginxSetup = {
    server: 'add_trailer X-Trailer "$request_id" always; gzip on; gzip_types text/plain; gzip_min_length 1;',
    files: { text },
  };
  for (const http2 of [true, false]) {
    const { pool } = await multiplexed(t, setup, { http2, acceptEncoding: 'gzip' });
    const response = await pool.request('GET', '/text');
    t.is(response.text(), text);
    t.regex(response.trailers.get('x-trailer') ?? '', /^[0-9a-f]{32}$/);
  }
});

test.serial('an early answer to an upload is delivered, and the connection lives', async (t) => {
  const { pool } = await multiplexed(t, { server: 'client_max_body_size 1k; location / { return 200 fine; }' });
  for (let turn = 1; turn <= 10; turn += 1) {
    const refused = await pool.request('POST', '/', { body: Buffer.alloc(1 << 20) });
    t.is(refused.status, 413);
    t.is((await pool.request('POST', '/', { body: Buffer.alloc(1_000) })).status, 200);
  }
  t.is(balanced(pool).opened, 1);
});

test.serial('managers, pools by URL and the request of the module speak both protocols', async (t) => {
  const { port } = (await multiplexed(t, { server: 'location / { return 200 "$server_protocol"; }' })).server;
  for (const http2 of [true, false]) {
    const manager = new PoolManager({ ...trusting(), http2 });
    t.teardown(() => manager.close({ timeout: 0 }));
    const url = `https://localhost:${port}/`;
    const expected = http2 ? 'HTTP/2.0' : 'HTTP/1.1';
    t.is((await manager.request('GET', url)).text(), expected);
    t.is((await manager.connectionFromUrl(url).request('GET', '/')).text(), expected);
  }
  const error = await rejection(request('GET', `https://127.0.0.1:${port}/`, { retries: 1 }), MaxRetryError);
  t.is((error.reason as { code?: string } | null)?.code, 'ERR_TLS', 'nobody was told of the private authority');
});

/** An nginx with HTTP/2 and a pool over it. */
async function multiplexed(
  t: ExecutionContext,
  setup: NginxSetup,
  options: PoolOptions & TLSOptions = {},
): Promise<{ pool: HTTPSConnectionPool; server: Nginx }> {
  const { http, secrets } = secured(certificates().chained);
  const server = await nginx({ ...setup, http: `${http} ${setup.http ?? ''}`, secrets, speaks: 'h2' });
  t.teardown(() => server.close());
  return { pool: pooled(t, server.port, { http2: true, ...options }), server };
}

/** The pool's figures, once they are found to balance. */
function balanced(pool: HTTPSConnectionPool): ReturnType<HTTPSConnectionPool['stats']> {
  const stats = pool.stats();
  const { opened, closed, idle, leased } = stats;
  if (opened !== closed + idle + leased || leased !== 0) {
    throw new Error(`the books do not balance: ${JSON.stringify({ opened, closed, idle, leased })}`);
  }
  return stats;
}

/** So many requests, so many at once. */
async function flood(
  pool: HTTPSConnectionPool,
  method: string,
  total: number,
  concurrency: number,
  each: (response: HTTPResponse) => void,
): Promise<void> {
  let begun = 0;
  const client = async (): Promise<void> => {
    while (begun < total) {
      begun += 1;
      each(await pool.request(method, '/'));
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

/** Keeps so many clients busy while something happens, which can wait for so many more good responses. */
async function under(
  pool: HTTPSConnectionPool,
  method: string,
  clients: number,
  happens: (progress: (responses: number) => Promise<void>) => Promise<void>,
): Promise<Load> {
  const load: Load = { over: false, succeeded: 0, failures: [] };
  let awaited: { at: number; resolve: () => void } | null = null;
  const client = async (): Promise<void> => {
    while (!load.over) {
      try {
        const { status } = await pool.request(method, '/echo', { timeout: 10_000 });
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

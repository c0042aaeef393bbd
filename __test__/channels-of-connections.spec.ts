/** Connections as `node:diagnostics_channel` tells them: each opens once and closes once, for a reason. */
import test from 'ava';

import { HTTPConnectionPool, type HTTPResponse, type PoolOptions } from '../index.ts';
import { reply, type Peer } from './servers/raw.ts';
import { outcome } from './support/child.ts';
import { scripted, target } from './support/fixtures.ts';
import { Notices } from './support/notices.ts';
import { until } from './support/street.ts';

const CONNECTION = ['connection:open', 'connection:close'] as const;

/** What `path` says is what happens to the connection. */
async function scripts(peer: Peer): Promise<void> {
  for (;;) {
    switch (target(await peer.request())) {
      case '/silent':
        break;
      case '/leaves':
        await peer.write(reply('x'));
        return peer.end();
      case '/poison':
        await peer.write(`${reply('x')}HTTP/1.1 200 OK\r\n`);
        break;
      case '/last':
        await peer.write(reply('x', 'HTTP/1.1 200 OK\r\nConnection: close\r\n'));
        break;
      case '/hint':
        await peer.write(reply('x', 'HTTP/1.1 200 OK\r\nKeep-Alive: max=0\r\n'));
        break;
      case '/folded':
        await peer.write(reply('x', 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n'));
        break;
      case '/broken':
        await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx');
        return peer.end();
      case '/endless':
        await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx');
        break;
      default:
        await peer.write(reply('x'));
    }
  }
}

/** Until a call has its connection. */
function leased(pool: HTTPConnectionPool): Promise<void> {
  return until(() => pool.pool?.leased === 1 && pool.numConnections === 1, 'a connection');
}

const cases: {
  reason: string;
  options?: PoolOptions;
  run: (pool: HTTPConnectionPool) => Promise<unknown>;
}[] = [
  { reason: 'peer closed', run: (pool) => pool.request('GET', '/leaves') },
  { reason: 'poisoned', run: (pool) => pool.request('GET', '/poison') },
  { reason: 'not reusable', run: (pool) => pool.request('GET', '/last') },
  { reason: 'repaired', run: (pool) => pool.request('GET', '/folded') },
  { reason: 'failed', run: (pool) => pool.request('GET', '/broken').catch(() => null) },
  { reason: 'timed out', run: (pool) => pool.request('GET', '/silent', { timeout: { read: 60 } }).catch(() => null) },
  {
    reason: 'aborted',
    run: async (pool) => {
      const leave = new AbortController();
      const left = pool.request('GET', '/silent', { signal: leave.signal }).catch(() => null);
      await leased(pool);
      leave.abort();
      await left;
    },
  },
  {
    reason: 'abandoned',
    run: async (pool) => (await pool.request('GET', '/endless', { preloadContent: false })).close(),
  },
  { reason: 'max requests', options: { maxRequestsPerConnection: 1 }, run: (pool) => pool.request('GET', '/') },
  { reason: 'idle', options: { idleTimeout: 30 }, run: (pool) => pool.request('GET', '/') },
  { reason: 'max age', options: { maxAge: 30 }, run: (pool) => pool.request('GET', '/') },
  { reason: 'keep-alive', run: (pool) => pool.request('GET', '/hint') },
  {
    reason: 'surplus',
    run: (pool) => Promise.all([pool.request('GET', '/'), pool.request('GET', '/')]),
  },
  { reason: 'closed', run: (pool) => pool.request('GET', '/').then(() => pool.close()) },
  {
    // What `close` cuts off fails of nothing else.
    reason: 'closed',
    run: async (pool) => {
      const cut: Promise<HTTPResponse | null> = pool.request('GET', '/silent').catch(() => null);
      await leased(pool);
      await pool.close({ timeout: 0 });
      await cut;
    },
  },
];

for (const [at, { reason, options, run }] of cases.entries()) {
  test.serial(`WARN-05: a connection that closes is told once, with its reason (${at + 1}: ${reason})`, async (t) => {
    const { pool, server } = await scripted(t, scripts, options);
    const notices = new Notices(t, CONNECTION);
    await run(pool);
    const closed = await notices.nth('connection:close');
    const facts = {
      host: '127.0.0.1',
      port: server.port,
      remoteAddress: '127.0.0.1',
      protocol: 'http/1.1',
      proxy: null,
    };
    t.deepEqual(closed, { ...facts, reason } as typeof closed);
    t.deepEqual(notices.of('connection:open')[0], { ...facts, reason: null } as typeof closed);
    await pool.close();
    t.is(notices.of('connection:close').length, notices.of('connection:open').length);
    t.is(pool.stats().closed, notices.of('connection:close').length);
  });
}

test.serial('WARN-05: a connection that is reused opens once; the books of who listens balance', async (t) => {
  const { pool } = await scripted(t, scripts, { maxsize: 3, block: true });
  const notices = new Notices(t, CONNECTION);
  await Promise.all(Array.from({ length: 20 }, () => pool.request('GET', '/')));
  t.is(notices.of('connection:open').length, pool.numConnections);
  t.is(notices.of('connection:close').length, 0);
  await pool.close();
  t.is(notices.of('connection:close').length, 3);
});

test.serial('WARN-05: a name is told as its pool has it', async (t) => {
  const { server } = await scripted(t, scripts);
  const notices = new Notices(t, CONNECTION);
  const named = new HTTPConnectionPool('Example.test', {
    port: server.port,
    resolve: { 'example.test': '127.0.0.1' },
  });
  await named.request('GET', '/');
  await named.close();
  t.like(notices.of('connection:open')[0], { host: 'example.test', remoteAddress: '127.0.0.1' });
});

test.serial('THR-1110: with a thread that falls its connections close, each once, as failed', async (t) => {
  const seen = await outcome('channels-fallen.ts', [], { node: ['--conditions=ferropool-faults'] });
  t.deepEqual(seen, {
    code: 'ERR_INTERNAL',
    told: [
      'connection:close closed',
      'connection:close failed',
      'connection:close failed',
      'connection:open',
      'connection:open',
      'connection:open',
      'request:end',
      'request:end',
      'request:end',
      'request:error',
    ],
  });
});

/** Where the time of a call went, and on which connection it travelled. */
import { once } from 'node:events';
import net from 'node:net';
import test from 'ava';

import { HTTPConnectionPool, type HTTPError, type HTTPResponse, type Timings } from '../index.ts';
import { answers, reply } from './servers/raw.ts';
import { scripted, served } from './support/fixtures.ts';
import { clocked, within } from './support/clocked.ts';

const later = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

function timings(response: HTTPResponse): Timings {
  if (response.timings === null) throw new Error('no timings');
  return response.timings;
}

/** What the phases make together; what did not happen counts for nothing. */
function sum({ pool, dns, connect, send, headers, body }: Timings): number {
  return [pool, dns, connect, send, headers, body].reduce<number>((all, span) => all + (span ?? 0), 0);
}

clocked('the phases are where the time went, and make the whole together', async (t) => {
  const { pool } = await scripted(t, async (peer) => {
    for (;;) {
      await peer.request();
      await later(120);
      await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no');
      await later(80);
      await peer.write('k');
    }
  });
  const began = performance.now();
  const response = await pool.request('POST', '/', { body: Buffer.alloc(100_000) });
  const took = performance.now() - began;
  const found = timings(response);
  for (const phase of ['pool', 'connect', 'send', 'headers', 'body', 'total'] as const) {
    t.true((found[phase] ?? -1) >= 0, `${phase} ${found[phase]}`);
  }
  t.true(found.deliver >= 0);
  t.true((found.headers ?? 0) >= 115 && (found.body ?? 0) >= 75, JSON.stringify(found));
  const total = found.total ?? 0;
  t.true(sum(found) <= total + 1, `${sum(found)} of ${total}`);
  within(t, total - sum(found) < 60, `${total - sum(found)} ms are nobody's`);
  t.true(total <= took + 1 && total >= 195, `${total} of ${took}`);
  t.is(response.timings?.proxy, null);
  t.is(response.timings?.tls, null);
});

clocked('an error of a streamed response says how long ago the call began, as far as that is known', async (t) => {
  const { pool } = await scripted(t, async (peer) => {
    await peer.request();
    await later(60);
    await peer.write('HTTP/1.1 404 X\r\nContent-Length: 2\r\n\r\no');
    await peer.gone();
  });
  const began = performance.now();
  const response = await pool.request('GET', '/', { preloadContent: false });
  const held = (error: unknown, least: number): void => {
    const { elapsed } = error as HTTPError;
    const most = performance.now() - began;
    t.true(elapsed >= least && elapsed <= most + 1, `${elapsed} of ${least} to ${most}`);
  };
  held(
    t.throws(() => response.raiseForStatus()),
    55,
  );
  await later(60);
  held(
    t.throws(() => response.data),
    110,
  );
  response.close();
  held(await t.throwsAsync(response.read()), 110);
});

test('what did not happen is null: no look-up for an address, no connect for a reused connection', async (t) => {
  const { pool, server } = await served(t, (_, response) => response.end('ok'));
  const fresh = timings(await pool.request('GET', '/'));
  t.is(fresh.dns, null);
  t.true(fresh.connect !== null);
  const reused = timings(await pool.request('GET', '/'));
  t.is(reused.dns, null);
  t.is(reused.connect, null);
  t.true(reused.pool !== null && reused.send !== null && reused.headers !== null && reused.body !== null);
  const named = new HTTPConnectionPool('localhost', { port: server.port });
  t.teardown(() => named.close());
  const looked = timings(await named.request('GET', '/'));
  t.true(looked.dns !== null && looked.connect !== null);
});

clocked('waiting for a connection is phase pool', async (t) => {
  const { pool } = await served(t, (_, response) => void setTimeout(() => response.end('ok'), 150), { block: true });
  const [first, second] = await Promise.all([pool.request('GET', '/'), pool.request('GET', '/')]);
  within(t, (timings(first).pool ?? Infinity) < 100);
  t.true((timings(second).pool ?? 0) >= 140, JSON.stringify(second.timings));
  t.true((timings(second).total ?? 0) >= 290);
});

test('the connection of a response: its ends, whether it is reused, what was tried', async (t) => {
  const { pool, server } = await scripted(t, answers(reply('ok')), { maxsize: 2 });
  const first = await pool.request('GET', '/');
  const { socket } = await server.peer(1);
  t.like(first.connection, {
    remoteAddress: '127.0.0.1',
    remotePort: server.port,
    localAddress: '127.0.0.1',
    localPort: socket.remotePort,
    reused: false,
    protocol: 'http/1.1',
    proxy: null,
    tls: null,
  });
  t.is(first.connection?.triedAddresses.length, 1);
  t.like(first.connection?.triedAddresses[0], { address: `127.0.0.1:${server.port}`, error: null });
  t.true((first.connection?.triedAddresses[0]?.elapsed ?? -1) >= 0);
  const second = await pool.request('GET', '/');
  t.true(second.connection?.reused);
  t.is(second.connection?.id, first.connection?.id);
  const [third, fourth] = await Promise.all([pool.request('GET', '/'), pool.request('GET', '/')]);
  t.not(third.connection?.id, fourth.connection?.id);
});

test('the connection is known even where it ended with its response, and stays known', async (t) => {
  const replies = [
    'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok',
    'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok',
    'HTTP/1.1 200 OK\r\n\r\nok',
    `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2000000\r\n\r\n${'x'.repeat(2_000_000)}`,
  ];
  let next = 0;
  const { pool } = await scripted(t, async (peer) => {
    await peer.request();
    peer.end(replies[next++] ?? '');
  });
  const responses: HTTPResponse[] = [];
  for (const _ of replies) responses.push(await pool.request('GET', '/'));
  await pool.close();
  for (const [nth, response] of responses.entries()) {
    t.is(response.connection?.remoteAddress, '127.0.0.1', String(nth));
    t.is(response.connection?.protocol, nth === 1 ? 'http/1.0' : 'http/1.1');
  }
  t.is(new Set(responses.map((response) => response.connection?.id)).size, replies.length);
});

test('an address that refused is among those tried, with the reason, before the one that took us', async (t) => {
  const server = net.createServer((socket) => {
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as net.AddressInfo;
  const pool = new HTTPConnectionPool('localhost', { port });
  t.teardown(() => pool.close());
  const tried = (await pool.request('GET', '/')).connection?.triedAddresses ?? [];
  t.like(tried.at(-1), { address: `127.0.0.1:${port}`, error: null });
  // Where the system has two addresses for the name, the other one comes first and has nobody behind it.
  for (const { address, error } of tried.slice(0, -1)) {
    t.is(address, `[::1]:${port}`);
    t.regex(error ?? '', /refused|ECONNREFUSED/i);
  }
});

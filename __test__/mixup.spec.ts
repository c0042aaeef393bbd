/** Every response reaches the request that it belongs to, under load, faults and aborts; and signals and busy threads. */
import { getEventListeners } from 'node:events';

import test from 'ava';

import { HTTPConnectionPool, HTTPError, type PoolStats } from '../index.ts';
import { httpServer, type HttpServer } from './servers/http.ts';
import { rawServer, reply } from './servers/raw.ts';
import { clocked, within } from './support/clocked.ts';

function balanced({ opened, closed, idle, leased, waiting }: PoolStats): boolean {
  return opened === closed + idle + leased && leased === 0 && waiting === 0;
}

/** Answers with the request's own token, sometimes late, large or broken. */
function tokenServer(): Promise<HttpServer> {
  return httpServer((request, response) => {
    const token = String(request.headers['x-token']);
    response.setHeader('x-token', token);
    switch (request.url) {
      case '/reset':
        return void request.socket.resetAndDestroy();
      case '/short':
        response.setHeader('content-length', token.length + 10);
        response.write(token);
        return void setImmediate(() => request.socket.destroy());
      case '/nonsense':
        return void request.socket.end(`HTTP/1.1 2x0 OK\r\n\r\n${token}`);
      case '/more':
        return void request.socket.write(
          `HTTP/1.1 200 OK\r\nx-token: ${token}\r\nContent-Length: ${token.length}\r\n\r\n${token}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong`,
        );
      case '/large':
        return void response.end(token.repeat(2_000));
      default:
        return void response.end(token);
    }
  });
}

/** Makes `count` requests, `lanes` at a time. */
async function load(count: number, lanes: number, one: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await one(next);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

const FAULTS = ['/reset', '/short', '/nonsense', '/more'];

test.serial('THR-322: 20,000 requests, one in a hundred broken, and each gets its own response', async (t) => {
  t.timeout(240_000);
  const server = await tokenServer();
  const pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port: server.port, maxsize: 100, block: true });
  t.teardown(() => server.close());
  let [mixed, failed, unclassified] = [0, 0, 0];
  await load(20_000, 100, async (n) => {
    const token = `token-${n}-${(n * 7_919) % 10_007}`;
    const path = n % 100 === 0 ? (FAULTS[(n / 100) % 4] ?? '/') : n % 50 === 7 ? '/large' : '/';
    try {
      const response = await pool.request('GET', path, { headers: { 'x-token': token } });
      const body = path === '/large' ? token.repeat(2_000) : token;
      if (response.headers.get('x-token') !== token || response.text() !== body) mixed += 1;
    } catch (error) {
      failed += 1;
      if (!(error instanceof HTTPError) || error.code === 'ERR_INTERNAL' || n % 100 !== 0) unclassified += 1;
    }
  });
  t.is(mixed, 0);
  t.is(unclassified, 0);
  t.true(failed >= 150 && failed <= 200, `${failed} of 200 broken ones failed`);
  const stats = pool.stats();
  t.true(balanced(stats), JSON.stringify(stats));
  t.true(stats.opened <= 100 + 200, `${stats.opened} connections`);
  await pool.close();
});

test.serial('THR-320: 2,000 aborts at random moments lose no slot and mix nothing up', async (t) => {
  const server = await tokenServer();
  const pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port: server.port, maxsize: 8, block: true });
  t.teardown(() => server.close());
  let [mixed, aborted, served] = [0, 0, 0];
  let seed = 1;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (seed >> 8) % below;
  };
  await load(2_000, 16, async (n) => {
    const token = `t${n}`;
    const controller = new AbortController();
    const large = n % 3 === 0;
    const asked = pool.request('GET', large ? '/large' : '/', {
      headers: { 'x-token': token },
      signal: controller.signal,
    });
    // Every fourth is left alone, and every fourth aborted before anything can have come back.
    const turns = [Infinity, random(3), random(150), random(40)][n % 4] ?? 0;
    const state = { gone: false };
    const check = async (): Promise<void> => {
      try {
        const response = await asked;
        served += 1;
        if (response.text() !== (large ? token.repeat(2_000) : token)) mixed += 1;
      } catch (error) {
        if (error !== controller.signal.reason) throw error;
        aborted += 1;
      } finally {
        state.gone = true;
      }
    };
    const checked = check();
    for (let turn = 0; turn < turns && !state.gone; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    await checked;
  });
  t.is(mixed, 0);
  t.is(aborted + served, 2_000);
  t.true(aborted > 200 && served > 200, `${aborted} aborted, ${served} served`);
  // What was aborted last may still be on its way out; a request of the whole width comes after it.
  await Promise.all(Array.from({ length: 8 }, () => pool.request('GET', '/', { headers: { 'x-token': 'end' } })));
  const stats = pool.stats();
  t.true(balanced(stats), JSON.stringify(stats));
  await pool.close();
});

test.serial('THR-912: 10,000 requests on one signal: no warning, and no listener is left', async (t) => {
  const server = await httpServer((_, response) => response.end());
  const pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port: server.port, maxsize: 32, block: true });
  t.teardown(() => server.close());
  const warnings: string[] = [];
  const listen = (warning: Error): void => void warnings.push(warning.name);
  process.on('warning', listen);
  const { signal } = new AbortController();
  let most = 0;
  await load(10_000, 500, async () => {
    const asked = pool.request('GET', '/', { signal });
    most = Math.max(most, getEventListeners(signal, 'abort').length);
    await asked;
  });
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', listen);
  t.deepEqual(warnings, []);
  t.is(most, 1);
  t.is(getEventListeners(signal, 'abort').length, 0);

  // One that is aborted already, and one abort for five hundred.
  const before = pool.numRequests;
  const reason = new Error('no longer wanted');
  t.is(await pool.request('GET', '/', { signal: AbortSignal.abort(reason) }).catch((error: unknown) => error), reason);
  t.is(pool.numRequests, before);
  const controller = new AbortController();
  const many = Array.from({ length: 500 }, () => pool.request('GET', '/', { signal: controller.signal }));
  controller.abort(reason);
  const outcomes = await Promise.allSettled(many);
  t.true(outcomes.every((one) => one.status === 'rejected' && one.reason === reason));
  t.is(getEventListeners(controller.signal, 'abort').length, 0);
  await pool.close();
});

clocked(
  'THR-913: JavaScript that is busy for a second lets no arrived response time out, and timings show the wait',
  async (t) => {
    // The answers are with the kernel before the thread is blocked: a first byte wakes the core alone.
    const server = await rawServer(async (peer) => {
      await peer.request();
      await peer.write(reply('first'));
      await peer.request();
      await peer.write(reply('second'));
      blocked();
    });
    let blocked = (): void => {};
    t.teardown(() => server.close());
    const pool = new HTTPConnectionPool('127.0.0.1', {
      retries: false,
      port: server.port,
      maxsize: 1,
      timeout: { read: 600, total: 900 },
    });
    await pool.request('GET', '/');
    const written = new Promise<void>((resolve) => (blocked = resolve));
    const asked = pool.request('GET', '/');
    await written;
    const until = performance.now() + 1_400;
    while (performance.now() < until);
    const response = await asked;
    t.is(response.text(), 'second');
    const { deliver = 0, total = null } = response.timings ?? {};
    t.true(deliver > 700, `deliver ${deliver}`);
    within(t, total !== null && total < 900, `total ${total}`);
    await pool.close();
  },
);

test('a body that is sent to another thread takes no other response along', async (t) => {
  const server = await rawServer(async (peer) => {
    for (;;) await peer.write(reply(`body of ${(await peer.request()).split(' ', 2)[1]}`));
  });
  const pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port: server.port, maxsize: 3 });
  t.teardown(async () => {
    await pool.close();
    await server.close();
  });
  const responses = await Promise.all(['/a', '/b', '/c'].map((path) => pool.request('GET', path)));
  const first = responses[0]?.data as Buffer;
  // Node 20 copies what may not be transferred, later versions refuse.
  try {
    structuredClone(first, { transfer: [first.buffer as ArrayBuffer] });
  } catch (error) {
    t.is((error as Error).name, 'DataCloneError');
  }
  t.deepEqual(
    responses.map(({ data }) => data.toString()),
    ['body of /a', 'body of /b', 'body of /c'],
  );
  t.is((await pool.request('GET', '/d')).data.toString(), 'body of /d');
});

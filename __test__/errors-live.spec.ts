/** Errors as a caller meets them: the class, the code, where it happened, against whom, and why; and no secrets. */
import { once } from 'node:events';
import { lookup } from 'node:dns/promises';
import { inspect } from 'node:util';
import test, { type ExecutionContext } from 'ava';

import {
  HTTPConnectionPool,
  HTTPError,
  IncompleteRead,
  LocationParseError,
  MaxRetryError,
  NewConnectionError,
  PoolError,
  PoolManager,
  ProtocolError,
  ReadTimeoutError,
  Retry,
  type PoolOptions,
} from '../index.ts';
import { httpServer } from './servers/http.ts';
import { answers, reply, type Peer } from './servers/raw.ts';
import { closedPort, rejection, scripted, served, target } from './support/fixtures.ts';
import { until } from './support/street.ts';

const OK = 'HTTP/1.1 200 OK\r\n';

function pooled(t: ExecutionContext, host: string, options: PoolOptions = {}): HTTPConnectionPool {
  const pool = new HTTPConnectionPool(host, { retries: false, ...options });
  t.teardown(async () => {
    await pool.close({ timeout: 0 });
    const { opened, closed, idle, leased } = pool.stats();
    if (opened !== closed || idle !== 0 || leased !== 0) throw new Error('the books do not balance');
  });
  return pool;
}

test('ERR-03 THR-1207 ERR-09: refused: NewConnectionError with the system’s code, plain since there are no retries', async (t) => {
  const port = await closedPort(t);
  for (const options of [{}, { retries: false }] as const) {
    const pool = pooled(t, '127.0.0.1', { port, ...options });
    for (const own of [{}, { retries: false }] as const) {
      const error = await rejection(pool.request('GET', '/?q=secret', own), NewConnectionError);
      t.regex(
        error.message,
        /^HTTPConnection\(host='127\.0\.0\.1', port=\d+\): Failed to establish a new connection: .*ECONNREFUSED/,
      );
      t.like(error, {
        name: 'NewConnectionError',
        code: 'ECONNREFUSED',
        phase: 'connect',
        during: null,
        host: `127.0.0.1:${port}`,
        address: '127.0.0.1',
        port,
        attempts: 0,
        sent: false,
      });
      const cause = error.cause as Error & { code: string; address: string };
      t.like(cause, { code: 'ECONNREFUSED', address: `127.0.0.1:${port}` });
      t.true(error.elapsed > 0 && error.elapsed < 5000);
    }
    t.is(pool.numConnections, 0);
    t.is(pool.numRequests, 0);
    t.deepEqual(pool.stats().errors, { ECONNREFUSED: 2 }, 'counted under the code that the caller sees');
  }
});

test('ERR-03: a local address that is not ours: NewConnectionError with the system’s code', async (t) => {
  const pool = pooled(t, '127.0.0.1', { port: await closedPort(t), localAddress: '192.0.2.1' });
  const error = await rejection(pool.request('GET', '/'), NewConnectionError);
  t.like(error, { code: 'EADDRNOTAVAIL', phase: 'connect', sent: false });
});

test('several addresses that all refuse: the cause is an AggregateError with one error each', async (t) => {
  const addresses = await lookup('localhost', { all: true });
  const pool = pooled(t, 'localhost', { port: await closedPort(t) });
  const error = await rejection(pool.request('GET', '/'), NewConnectionError);
  t.is(error.code, 'ECONNREFUSED');
  t.is(error.host, `localhost:${pool.port}`);
  if (new Set(addresses.map(({ address }) => address)).size < 2) {
    t.true(error.cause instanceof Error, 'this machine knows one address of localhost');
    return;
  }
  const cause = error.cause as AggregateError;
  t.true(cause instanceof AggregateError);
  t.deepEqual(
    new Set(cause.errors.map((each: { address: string }) => each.address)),
    new Set([`127.0.0.1:${pool.port}`, `[::1]:${pool.port}`]),
  );
  for (const each of cause.errors as { code: string }[]) t.is(each.code, 'ECONNREFUSED');
  t.is((error.toJSON().cause as { errors: unknown[] } | null)?.errors.length, 2);
});

test('ERR-04: an empty or over-long label is a LocationParseError; a final dot and a zone are fine', async (t) => {
  for (const host of ['.localhost', '...', 'a..b', 'a'.repeat(64), `${'a'.repeat(64)}.test`]) {
    const error = t.throws(() => new HTTPConnectionPool(host), { instanceOf: LocationParseError }, host);
    t.is(error?.message, `Failed to parse: '${host}', label empty or too long`);
    t.is(error?.location, host);
    t.is(error?.code, 'ERR_INVALID_URL');
  }
  for (const host of ['localhost.', 'a'.repeat(63), '::1', '[fe80::1%25lo]', 'fe80::1%lo']) {
    t.notThrows(() => new HTTPConnectionPool(host), host);
  }
  const { server } = await served(t, (_, response) => response.end('dot'));
  const pool = pooled(t, 'localhost.', { port: server.port, resolve: { 'localhost.': '127.0.0.1' } });
  t.is((await pool.request('GET', '/')).data.toString(), 'dot');
});

test('ERR-05 THR-1203 THR-1207: hung up on before the head: ProtocolError with its cause, sent once whatever the method', async (t) => {
  const ends: Record<string, (peer: Peer) => void | Promise<void>> = {
    '/fin': (peer) => peer.end(),
    '/reset': (peer) => peer.reset(),
    '/byte': (peer) => peer.end('H'),
    '/byteReset': async (peer) => {
      await peer.write('H');
      peer.reset();
    },
    '/head': (peer) => peer.end('HTTP/1.1 200 OK\r\nX: y'),
  };
  let served = 0;
  const { pool, host } = await scripted(t, async (peer) => {
    const path = target(await peer.request());
    served += 1;
    await ends[path]?.(peer);
  });
  let due = 0;
  for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
    for (const path of Object.keys(ends)) {
      const error = await rejection(pool.request(method, path), ProtocolError);
      due += 1;
      t.like(error, { code: 'ERR_PROTOCOL', phase: 'headers', host, attempts: 1, sent: true }, path);
      t.true(error.message.startsWith('Connection aborted. ('), path);
      const cause = error.cause as Error & { code?: string };
      t.true(cause instanceof Error, path);
      if (path === '/reset') t.is(cause.code, 'ECONNRESET');
      t.is(served, due, `${method} ${path} arrived once`);
    }
  }
  t.is(pool.stats().staleReplays, 0);
});

test('ERR-06: broken off inside the body: ProtocolError with IncompleteRead, what came and what is missing', async (t) => {
  const { pool, host } = await scripted(t, async (peer) => {
    const path = target(await peer.request());
    await peer.write(`${OK}Content-Length: 10\r\n\r\nhalf`);
    if (path === '/reset') {
      // Once the client has it: a reset may overtake what was sent before it. It has been read by the time that a later
      // request has had its answer on the same I/O thread.
      const other = await scripted(t, answers(reply('ok')));
      await other.pool.request('GET', '/');
      peer.reset();
    } else {
      peer.end();
    }
  });
  const error = await rejection(pool.request('GET', '/'), ProtocolError);
  t.like(error, { code: 'ERR_INCOMPLETE_READ', phase: 'body', host, attempts: 1, sent: true, expected: 6 });
  t.is(error.message, 'Connection broken: IncompleteRead(4 bytes read, 6 more expected)');
  t.is(error.partial?.toString(), 'half');
  const cause = error.cause as IncompleteRead;
  t.true(cause instanceof IncompleteRead);
  t.is(cause.partial.toString(), 'half');
  t.is(cause.expected, 6);
  const reset = await rejection(pool.request('GET', '/reset'), ProtocolError);
  t.like(reset, { code: 'ERR_PROTOCOL', phase: 'body', sent: true });
  t.is((reset.cause as { code?: string }).code, 'ECONNRESET');
});

test('no error shows user info or a query, in its message or when it is printed; its JSON neither', async (t) => {
  const port = await closedPort(t);
  const refused = pooled(t, '127.0.0.1', { port });
  const { pool, host } = await scripted(t, async (peer) => {
    const path = target(await peer.request());
    if (path.includes('/fin')) return peer.end();
    if (path.startsWith('/gzip')) await peer.write(`${OK}Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnone`);
    if (path.startsWith('/large')) await peer.write(reply('large'));
    await peer.gone();
  });
  const calls = [
    refused.request('GET', `http://user:hunter2@127.0.0.1:${port}/?token=hunter2`),
    pool.request('GET', `http://user:hunter2@${host}/fin?token=hunter2`),
    pool.request('GET', '/gzip?token=hunter2'),
    pool.request('GET', '/large?token=hunter2', { limits: { wire: 1 } }),
    pool.request('GET', '/silent?token=hunter2', { timeout: 60 }),
    pool.request('GET', 'http://user:hunter2@other.test/?token=hunter2'),
    pool.request('GET', 'http://user:hunter2@[::/?token=hunter2'),
    pool.request('GET', '/\0?token=hunter2', { headers: { Authorization: 'a\nhunter2' } }),
  ];
  for (const call of calls) {
    const error = await rejection(call, Error);
    t.false(error.message.includes('hunter2'), error.message);
    t.false(JSON.stringify(error instanceof HTTPError ? error.toJSON() : error).includes('hunter2'), error.name);
    t.false(inspect(error).includes('hunter2'), inspect(error));
  }
});

test('an error that is printed says what was tried before, and what lies below without frames of its own', async (t) => {
  const port = await closedPort(t);
  const pool = pooled(t, '127.0.0.1', { port, retries: 2 });
  const error = await rejection(pool.request('GET', '/a?q=hunter2'), MaxRetryError);
  const [message = '', rest = ''] = inspect(error).split(/(?:\n {4}at .*)+ \{\n/);
  t.is(message, `MaxRetryError: ${error.message}`);
  const past = `    GET http://127.0.0.1:${port}/a → ECONNREFUSED\n`;
  t.is(
    rest.replace(/elapsed: [\d.]+/, 'elapsed: 1').replace(/Error: .* \{ address/, 'Error: SYSTEM { address'),
    `  code: 'ERR_MAX_RETRY', phase: 'connect', host: '127.0.0.1:${port}', attempts: 0, elapsed: 1, sent: false, method: 'GET', url: '/a'
  [history]:
${past}${past}  [cause]: NewConnectionError { code: 'ECONNREFUSED', address: '127.0.0.1', port: ${port} }
  [cause]: Error: SYSTEM { address: '127.0.0.1:${port}' }
}`,
  );
  const stack = error.stack?.split('\n') ?? [];
  t.deepEqual(
    inspect(error)
      .split('\n')
      .filter((line) => /^ +at /.test(line))
      .map((line) => line.replace(/ \{$/, '')),
    stack.filter((line) => /^ +at /.test(line)),
  );
});

test('a redirect that is printed shows its status and where it led, without queries', async (t) => {
  const { pool } = await served(t, (_request, response) => {
    response.writeHead(302, { location: '/b?token=hunter2' }).end();
  });
  const error = await rejection(pool.request('GET', '/a?token=hunter2', { retries: 1 }), MaxRetryError);
  t.regex(
    inspect(error),
    /\n {2}\[history\]:\n {4}GET .*\/a → 302 → \/b\n {2}\[cause\]: ResponseError \{ status: 302 \}\n\}$/,
  );
  t.notRegex(inspect(error), /hunter2/);
});

test('every error says where, against whom, after how many attempts, how long, and whether it was sent', async (t) => {
  const { pool, host } = await scripted(t, async (peer) => {
    await peer.request();
    peer.end();
  });
  const error = await rejection(pool.request('POST', '/', { body: 'b' }), HTTPError);
  for (const field of [
    'code',
    'phase',
    'during',
    'host',
    'attempts',
    'elapsed',
    'sent',
    'reason',
    'method',
    'url',
  ] as const) {
    t.true(Object.hasOwn(error, field), field);
  }
  t.is(error.host, host);
  t.like(error, { method: 'POST', url: '/' });
  t.true(error.elapsed > 0 && error.elapsed < 10_000);
  t.is(error.attempts, 1);
  t.true(error.stack?.includes('ProtocolError'));
  t.false(error instanceof PoolError);
  t.like(structuredClone(error.toJSON()), { name: 'ProtocolError', code: 'ERR_PROTOCOL', host, sent: true });
});

test('every error of a request has its method and its URL, without user info and query', async (t) => {
  const { pool, server, host } = await scripted(t, async (peer) => {
    const asked = target(await peer.request());
    if (asked.startsWith('/end')) return peer.end();
    if (asked.startsWith('/see')) return peer.end(reply('', `HTTP/1.1 303 See\r\nLocation: /end?token=hunter2\r\n`));
    if (asked.startsWith('/short')) return peer.end(`${OK}Content-Length: 9\r\n\r\nabc`);
    if (asked.startsWith('/coded')) return peer.end(reply('no gzip', `${OK}Content-Encoding: gzip\r\n`));
    if (asked.startsWith('/held')) await peer.write(`${OK}Content-Length: 9\r\n\r\nabc`);
    if (asked.startsWith('/silent') || asked.startsWith('/held')) return void (await once(peer.socket, 'close'));
    return peer.end(reply('x'.repeat(100), 'HTTP/1.1 503 Busy\r\n'));
  });
  const refusing = await closedPort(t);
  const manager = new PoolManager({ retries: false });
  t.teardown(() => manager.close());
  const at = `http://u:hunter2@${host}`;
  const local = `http://127.0.0.1:${refusing}`;
  const streamed = await pool.request('PUT', '/full?token=hunter2', { preloadContent: false });
  const again = { retries: new Retry({ total: 0, statusForcelist: [503], allowedMethods: null }) };
  const held = await pool.request('PUT', '/held', { preloadContent: false });
  const reading = held.read();
  held.close();
  const unstarted = new HTTPConnectionPool('::1', { port: refusing });
  await unstarted.close();
  for (const [call, code, method, path, where] of [
    [() => pool.request('POST', '/end?token=hunter2'), 'ERR_PROTOCOL', 'POST', '/end', host],
    [() => pool.request('POST', '/short?token=hunter2'), 'ERR_INCOMPLETE_READ', 'POST', '/short', host],
    [() => pool.request('GET', '/coded?token=hunter2'), 'ERR_DECODE', 'GET', '/coded', host],
    [() => pool.request('GET', '/silent', { timeout: { read: 60 } }), 'ERR_READ_TIMEOUT', 'GET', '/silent', host],
    [() => pool.request('PATCH', '/full', { limits: { wire: 9 } }), 'ERR_TOO_LARGE', 'PATCH', '/full', host],
    [() => pool.request('POST', '/see', { body: 'b', retries: 1 }), 'ERR_MAX_RETRY', 'GET', '/end?token=hunter2', host],
    [() => pool.request('POST', '/full', again), 'ERR_MAX_RETRY', 'POST', '/full', host],
    [() => pool.request('GET', 'http://elsewhere.test/?token=hunter2'), 'ERR_HOST_CHANGED', 'GET', null, null],
    [
      () => pool.request('GET', '/a?token=hunter2', { headers: { 'X A': '' } }),
      'ERR_INVALID_HEADER',
      'GET',
      '/a',
      null,
    ],
    [() => unstarted.request('GET', '/a?token=hunter2'), 'ERR_POOL_CLOSED', 'GET', '/a', `[::1]:${refusing}`],
    [
      () => manager.request('GET', `${local}/a?token=hunter2`),
      'ECONNREFUSED',
      'GET',
      `${local}/a`,
      `127.0.0.1:${refusing}`,
    ],
    [() => manager.request('GET', `${at}/end?token=hunter2`), 'ERR_PROTOCOL', 'GET', `http://${host}/end`, host],
    [() => reading, 'ERR_INCOMPLETE_READ', 'PUT', `http://${host}/held`, host],
    [async () => streamed.data, 'ERR_NOT_READ', 'PUT', `http://${host}/full`, host],
    [async () => streamed.raiseForStatus(), 'ERR_STATUS', 'PUT', `http://${host}/full`, host],
  ] as const) {
    const error = await rejection(call(), HTTPError);
    t.is(error.code, code);
    t.is(error.method, method, code);
    if (path !== null) t.is(error.url?.replace(/^http:.*(?=\/end\?)/, ''), path, code);
    if (where !== null) t.is(error.host, where, code);
    t.like(error.toJSON(), { method, url: error.url?.replace(/\?.*/, '') }, code);
    t.notRegex(inspect(error), /hunter2/, code);
    const { cause } = error;
    if (cause instanceof HTTPError) t.like(cause, { method, url: error.url?.replace(/\?.*/, '') }, code);
  }
  t.true(server.peers.length > 0);
  streamed.close();
  await manager.close();
  const closed = await rejection(manager.request('GET', 'http://[::1]/a?token=hunter2'), HTTPError);
  t.like(closed, { code: 'ERR_POOL_CLOSED', method: 'GET', url: 'http://[::1]/a', host: '[::1]:80' });
  const none = new HTTPError('x');
  t.like(none, { method: null, url: null });
});

test('what warm() meets says how long it took, and against whom', async (t) => {
  const port = await closedPort(t);
  const pool = pooled(t, '127.0.0.1', { port });
  const error = await rejection(pool.warm(1), HTTPError);
  t.like(error, { code: 'ECONNREFUSED', host: `127.0.0.1:${port}`, method: null, url: null });
  t.true(error.elapsed > 0 && error.elapsed < 10_000);
});

test('THR-1201: the server’s FIN is there before we send: a fresh connection, and each POST is served once', async (t) => {
  const seen = new Map<string, number>();
  let finished = Promise.resolve<unknown>(null);
  const { pool, server } = await scripted(t, async (peer) => {
    const token = target(await peer.request());
    seen.set(token, (seen.get(token) ?? 0) + 1);
    // Nothing says that the connection ends; once `finish` is there, the FIN is in the client's kernel.
    finished = once(peer.socket, 'finish');
    peer.end(reply(token));
  });
  for (let nth = 0; nth < 200; nth += 1) {
    const response = await pool.request('POST', `/${nth}`, { body: 'once' });
    t.is(response.data.toString(), `/${nth}`);
    t.is(response.attempts, 1);
    await finished;
  }
  t.is(seen.size, 200);
  t.deepEqual([...new Set(seen.values())], [1]);
  t.is(server.peers.length, 200);
  t.deepEqual(pool.stats().errors, {});
});

test('THR-1203 THR-1202: a reused connection that ends on our request: an error, never a second sending', async (t) => {
  let arrived = 0;
  const { pool } = await scripted(t, async (peer) => {
    await peer.request();
    await peer.write(reply('first'));
    await peer.request();
    arrived += 1;
    if (arrived % 2 === 0) peer.reset();
    else peer.end();
  });
  for (let round = 0; round < 20; round += 1) {
    t.is((await pool.request('GET', '/')).data.toString(), 'first');
    const method = ['POST', 'GET', 'PATCH', 'PUT'][(round >> 1) & 3] ?? '';
    const error = await rejection(pool.request(method, '/', { body: 'once' }), ProtocolError);
    t.like(error, { code: 'ERR_PROTOCOL', attempts: 1, sent: true });
    t.is(arrived, round + 1);
  }
});

test('THR-1206: all connections of a server end, as when it restarts, and later requests see nothing of it', async (t) => {
  // To its clients a restart is that all connections end and new ones are taken. The port is kept: one that was given up for
  // a moment may be somebody's by then, of a spec that runs beside this one.
  let name = 'first';
  const server = await httpServer((_, response) => response.end(name));
  t.teardown(() => server.close());
  const pool = pooled(t, '127.0.0.1', { port: server.port, maxsize: 20, block: true });
  await pool.warm(20);
  t.is(pool.pool?.idle, 20);
  await until(() => server.sockets.length === 20, 'all are accepted');
  const gone = server.sockets.map((socket) => once(socket, 'close'));
  for (const socket of server.sockets) socket.destroy();
  await Promise.all(gone);
  name = 'second';
  const answers = await Promise.all(Array.from({ length: 100 }, () => pool.request('GET', '/')));
  t.deepEqual([...new Set(answers.map(({ data }) => data.toString()))], ['second']);
  const { closed, errors } = pool.stats();
  t.deepEqual(errors, {});
  t.is(closed, 20);
  const second = server.sockets.length - 20;
  t.true(second <= 20, `${second} connections for 100 requests`);
});

test('THR-1209: 408, 421 and 425 are answers, on a reused connection too: nothing is sent twice behind the caller', async (t) => {
  for (const status of [408, 421, 425]) {
    let asked = 0;
    const { pool } = await scripted(t, async (peer) => {
      await peer.request();
      await peer.write(reply('first'));
      await peer.request();
      asked += 1;
      peer.end(`HTTP/1.1 ${status} Said\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    });
    await pool.request('GET', '/');
    const response = await pool.request('GET', '/');
    t.is(response.status, status);
    t.true(response.connection?.reused);
    t.is(response.attempts, 1);
    t.is(asked, 1);
    t.is(pool.pool?.idle, 0);
  }
});

test('THR-1209: a 408 that came while the connection was idle is nobody’s answer', async (t) => {
  const { pool, server } = await scripted(t, async (peer) => {
    await peer.request();
    await peer.write(reply('first'));
    if (peer.number > 1) return;
    peer.end('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    await once(peer.socket, 'finish');
  });
  await pool.request('GET', '/');
  const peer = await server.peer(1);
  if (!peer.socket.writableFinished) await once(peer.socket, 'finish');
  const response = await pool.request('POST', '/');
  t.is(response.status, 200);
  t.is(pool.numConnections, 2);
});

test('WART-16: the version is the peer’s, whatever ours is', async (t) => {
  const { pool } = await scripted(
    t,
    answers(reply('old', 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n'), reply('new')),
  );
  const old = await pool.request('GET', '/');
  t.like(old, { version: 10, versionString: 'HTTP/1.0', reason: 'OK' });
  const current = await pool.request('GET', '/');
  t.like(current, { version: 11, versionString: 'HTTP/1.1' });
});

test('WART-16: a body that stalls is a ReadTimeoutError with pool and url, preloaded or not, of a pool or a manager', async (t) => {
  const { pool, host } = await scripted(t, async (peer) => {
    await peer.request();
    await peer.write(`${OK}Content-Length: 10\r\n\r\nabc`);
    await peer.gone();
  });
  const manager = new PoolManager({ retries: false });
  t.teardown(() => manager.close({ timeout: 0 }));
  for (const [by, url] of [[pool, '/late'] as const, [manager, `http://${host}/late`] as const]) {
    for (const preloadContent of [true, false]) {
      const read = async (): Promise<unknown> =>
        (await by.request('GET', url, { preloadContent, timeout: { read: 600 } })).read();
      const error = await rejection(read(), ReadTimeoutError);
      t.like(error, { url, host, phase: 'body', attempts: 1 }, `${url} ${preloadContent}`);
      t.is(String(error.pool), String(pool));
    }
  }
});

test('what hyper cannot read ends as a ProtocolError, without a hang', async (t) => {
  const gaps: Record<string, string> = {
    '/chunked10': 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    '/identity': `${OK}Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok`,
    '/blanks': 'HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok',
  };
  const { pool } = await scripted(t, async (peer) => {
    for (;;) await peer.write(gaps[target(await peer.request())] ?? reply('ok'));
  });
  for (const path of Object.keys(gaps)) {
    const error = await rejection(pool.request('GET', path, { timeout: 5000 }), ProtocolError);
    t.is(error.code, 'ERR_PROTOCOL', path);
    t.is((await pool.request('GET', '/')).data.toString(), 'ok');
  }
});

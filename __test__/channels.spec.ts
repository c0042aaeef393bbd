/** Calls and connections as `node:diagnostics_channel` tells them. Channels are the process's, so the tests take turns. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { Buffer } from 'node:buffer';
import { Readable } from 'node:stream';

import test from 'ava';

import { ClosedPoolError, HTTPConnectionPool, InvalidHeader, NewConnectionError, ProtocolError } from '../index.ts';
import { answers, reply, type Peer } from './servers/raw.ts';
import { outcome } from './support/child.ts';
import { rejection, scripted, target } from './support/fixtures.ts';
import { Notices, REQUEST, turn } from './support/notices.ts';

/** `/head` gets a head and ten of a hundred bytes, `/silent` nothing, `/broken` an end too early, all else `hello`. */
async function odd(peer: Peer): Promise<void> {
  for (;;) {
    const asked = target(await peer.request());
    if (asked === '/silent') continue;
    if (asked === '/head' || asked === '/broken') {
      await peer.write(`HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n${'x'.repeat(10)}`);
      if (asked === '/broken') return peer.end();
    } else await peer.write(reply('hello'));
  }
}

const STREAM = { preloadContent: false } as const;

test.serial('WARN-05: a call is told as start, headers and end, of one request', async (t) => {
  const { pool, host } = await scripted(t, answers(reply('hello', 'HTTP/1.1 201 Created\r\nX-A: 1\r\nX-A: 2\r\n')));
  const notices = new Notices(t, REQUEST);
  const response = await pool.request('get', '/a', { fields: { b: 'c d' }, headers: { Accept: 'x' } });
  t.deepEqual(notices.names(), ['request:start', 'request:headers', 'request:end']);
  const { request } = await notices.nth('request:start');
  const headers = await notices.nth('request:headers');
  const end = await notices.nth('request:end');
  t.is(headers.request, request);
  t.is(end.request, request);
  t.like(request, { method: 'GET', url: `http://${host}/a?b=c+d` });
  t.deepEqual([...request.headers], [['Accept', 'x']]);
  t.is(headers.status, 201);
  t.deepEqual(headers.headers.getAll('x-a'), ['1', '2']);
  t.deepEqual(end.timings, response.timings);
  t.is(end.bytesRead, 5);
  await pool.request('GET', '/b');
  const second = await notices.nth('request:start', 2);
  t.is(second.request.id, request.id + 1);
});

test.serial('WARN-05: start is published inside the call, and everything in its context', async (t) => {
  const { pool } = await scripted(t, odd);
  const storage = new AsyncLocalStorage<string>();
  const contexts: (string | undefined)[] = [];
  const notices = new Notices(t, REQUEST, () => contexts.push(storage.getStore()));
  const promise = storage.run('mine', () => pool.request('GET', '/', STREAM));
  t.deepEqual(notices.names(), ['request:start']);
  const response = await promise;
  await response.read();
  await storage.run('other', () => t.throwsAsync(pool.request('GET', '/broken')));
  t.deepEqual(notices.names().slice(1), ['request:headers', 'request:end', 'request:start', 'request:error']);
  t.deepEqual(contexts, ['mine', 'mine', 'mine', 'other', 'other']);
});

test.serial('WARN-05: of a streamed body the end is told when it has come, and what it took', async (t) => {
  let more = (): void => undefined;
  const asked = new Promise<void>((resolve) => (more = resolve));
  const { pool } = await scripted(t, async (peer) => {
    await peer.request();
    await peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    await asked;
    await peer.write('2\r\nde\r\n0\r\n\r\n');
  });
  const notices = new Notices(t, REQUEST);
  const response = await pool.request('GET', '/', STREAM);
  t.deepEqual(await response.read(3), Buffer.from('abc'));
  t.deepEqual(notices.names(), ['request:start', 'request:headers']);
  more();
  t.deepEqual(await response.read(), Buffer.from('de'));
  t.deepEqual(notices.names(), ['request:start', 'request:headers', 'request:end']);
  const { bytesRead, timings } = await notices.nth('request:end');
  t.is(bytesRead, response.bytesRead);
  t.true(bytesRead >= 5);
  t.deepEqual(timings, response.timings);
  t.true((timings?.body ?? -1) >= 0 && (timings?.total ?? -1) >= 0);
});

test.serial('WARN-05: a call that rejects is told as an error, whatever it rejects with', async (t) => {
  const { pool, server } = await scripted(t, odd);
  const notices = new Notices(t, REQUEST);
  const reasons: unknown[] = [];
  const fails = async (promise: Promise<unknown>): Promise<void> => {
    const error: unknown = await promise.then(
      () => 'no rejection',
      (reason: unknown) => reason,
    );
    reasons.push(error);
  };
  await fails(pool.request('GET', '/broken'));
  t.true(reasons[0] instanceof ProtocolError);
  await fails(pool.request('GET', '/', { headers: { a: 'b\nc' } }));
  t.true(reasons[1] instanceof InvalidHeader);
  await fails(pool.request('GET', '/', { headers: { a: '\u{2603}' } }));
  t.true(reasons[2] instanceof InvalidHeader);
  await fails(pool.request('GET', '/silent', { signal: AbortSignal.timeout(50) }));
  t.is((reasons[3] as Error).name, 'TimeoutError');
  const controller = new AbortController();
  const aborted = fails(pool.request('GET', '/silent', { signal: controller.signal }));
  controller.abort('a reason that is no error');
  await aborted;
  t.is(reasons[4], 'a reason that is no error');
  const closing = new HTTPConnectionPool('127.0.0.1', { retries: false, port: server.port });
  const waiting = fails(closing.request('GET', '/silent'));
  await closing.close({ timeout: 0 });
  await waiting;
  t.true(reasons[5] instanceof ClosedPoolError);
  const nowhere = new HTTPConnectionPool('127.0.0.1', { retries: false, unixSocket: '/nowhere/ferropool.sock' });
  await fails(nowhere.request('GET', '/'));
  t.true(reasons[6] instanceof NewConnectionError);
  await turn();
  t.deepEqual(
    notices.names(),
    reasons.flatMap(() => ['request:start', 'request:error']),
  );
  t.deepEqual(
    notices.of('request:error').map(({ error }) => error),
    reasons,
  );
});

test.serial('WARN-05: a streamed body that breaks is told as an error, once', async (t) => {
  const { pool, server } = await scripted(t, odd);
  const notices = new Notices(t, REQUEST);
  const broken = await pool.request('GET', '/broken', STREAM);
  const failure = await rejection(broken.read(), ProtocolError);
  t.is((await notices.nth('request:error', 1)).error, failure);

  const controller = new AbortController();
  const aborted = await pool.request('GET', '/head', { ...STREAM, signal: controller.signal });
  controller.abort();
  t.is((await notices.nth('request:error', 2)).error, controller.signal.reason);
  await t.throwsAsync(aborted.read(), { any: true });

  const closing = new HTTPConnectionPool('127.0.0.1', { retries: false, port: server.port });
  const cut = await closing.request('GET', '/head', STREAM);
  await closing.close({ timeout: 0 });
  const { error } = await notices.nth('request:error', 3);
  t.true(error instanceof ClosedPoolError);
  await t.throwsAsync(cut.read(), { is: error as Error });

  const unread = new HTTPConnectionPool('127.0.0.1', { retries: false, port: server.port, unreadTimeout: 20 });
  t.teardown(() => unread.close());
  const left = await unread.request('GET', '/head', STREAM);
  t.like((await notices.nth('request:error', 4)).error, { code: 'ERR_UNREAD_TIMEOUT' });
  t.is(left.status, 200);
  await turn();
  for (const { request } of notices.of('request:start')) {
    t.deepEqual(notices.names(request.id), ['request:start', 'request:headers', 'request:error']);
  }
});

test.serial('WARN-05: a body that its reader lets go of has ended, once', async (t) => {
  const { pool } = await scripted(t, odd, { maxsize: 4 });
  const notices = new Notices(t, REQUEST);
  const closed = await pool.request('GET', '/head', STREAM);
  closed.close();
  await notices.nth('request:end', 1);
  const released = await pool.request('GET', '/head', STREAM);
  released.releaseConn();
  await notices.nth('request:end', 2);
  const left = await pool.request('GET', '/head', STREAM);
  for await (const _ of left) break;
  await notices.nth('request:end', 3);
  const refused = await pool.request('GET', '/head', { accept: () => false });
  t.false(refused.accepted);
  await notices.nth('request:end', 4);
  closed.close();
  await turn();
  for (const { request } of notices.of('request:start')) {
    t.deepEqual(notices.names(request.id), ['request:start', 'request:headers', 'request:end']);
  }
});

test.serial(
  'WARN-05: with accept the head is told before that is asked, and the body ends or breaks once',
  async (t) => {
    const { pool } = await scripted(t, odd, { maxsize: 4 });
    const notices = new Notices(t, REQUEST);
    const seen: string[][] = [];
    const asked = (answer: boolean) => (): boolean => {
      seen.push(notices.names(notices.of('request:start').at(-1)?.request.id));
      return answer;
    };
    const whole = await pool.request('GET', '/', { accept: asked(true) });
    t.is(whole.text(), 'hello');
    const read = await pool.request('GET', '/', { ...STREAM, accept: asked(true) });
    t.is(notices.of('request:end').length, 1);
    t.is(String(await read.read()), 'hello');
    await pool.request('GET', '/head', { accept: asked(false) });
    await notices.nth('request:end', 3);
    const broken = await rejection(pool.request('GET', '/broken', { accept: asked(true) }), ProtocolError);
    const mine = new Error('mine');
    const thrown = await t.throwsAsync(
      pool.request('GET', '/', {
        accept: () => {
          throw mine;
        },
      }),
    );
    t.is(thrown, mine);
    await turn();
    t.is(seen.length, 4);
    t.deepEqual(
      seen,
      seen.map(() => ['request:start', 'request:headers']),
    );
    const ids = notices.of('request:start').map(({ request }) => request.id);
    const ends = ['end', 'end', 'end', 'error', 'error'].map((end) => [...(seen[0] as string[]), `request:${end}`]);
    t.deepEqual(
      ids.map((id) => notices.names(id)),
      ends,
    );
    t.deepEqual(
      notices.of('request:error').map(({ error }) => error),
      [broken, mine],
    );
  },
);

test.serial('WARN-05 THR-1114: a streamed response that is collected has ended', async (t) => {
  const seen = await outcome('channels-collected.ts', [], { node: ['--expose-gc'] });
  t.deepEqual(seen, { events: ['start', 'headers', 'end'], bytesRead: 10, reason: 'abandoned' });
});

test.serial('WARN-05: addHeader adds a line to this call alone, while start is told', async (t) => {
  const { pool, server } = await scripted(t, odd, { headers: { 'X-Pool': '1', 'User-Agent': 'me' } });
  const late: unknown[] = [];
  const wrong: unknown[] = [];
  const tries = (into: unknown[], run: () => void): void => {
    try {
      run();
    } catch (error) {
      into.push(error);
    }
  };
  let added = 0;
  const notices = new Notices(t, REQUEST, (message, name) => {
    const { request } = message as { request: { addHeader(name: string, value: unknown): void } };
    if (name !== 'request:start') return tries(late, () => request.addHeader('a', 'b'));
    added += 1;
    if (added === 3) return;
    request.addHeader('traceparent', `${added}`);
    request.addHeader('X-Bytes', Buffer.from([0xe9]));
    tries(wrong, () => request.addHeader('a', {}));
    tries(wrong, () => request.addHeader(1 as never, 'x'));
  });
  await pool.request('GET', '/1');
  await pool.request('POST', '/2', { headers: { 'X-Own': '2', traceparent: '0' }, fields: { a: 'b' } });
  await pool.request('GET', '/3');
  const [peer] = server.peers;
  const [first = '', second = '', third = ''] = (peer?.received.toString('latin1') ?? '').split(/(?=GET|POST)/);
  t.regex(first, /User-Agent: me\r\n/);
  t.regex(first, /X-Pool: 1\r\n(.*\r\n)*traceparent: 1\r\nX-Bytes: \xe9\r\n/);
  t.regex(second, /X-Own: 2\r\n(.*\r\n)*traceparent: 0\r\n(.*\r\n)*traceparent: 2\r\n/);
  t.notRegex(second, /X-Pool/);
  t.regex(third, /X-Pool: 1\r\n/);
  t.notRegex(third, /traceparent/);
  const [one] = notices.of('request:start');
  t.is(one?.request.headers.get('traceparent'), '1');
  t.is(wrong.length, 4);
  for (const error of wrong) t.like(error, { name: 'TypeError', code: 'ERR_INVALID_HEADER' });
  t.is(late.length, 6);
  for (const error of late) t.like(error, { name: 'TypeError', code: 'ERR_INVALID_HEADER' });
});

test.serial('WARN-05: a line of addHeader that must not be sent rejects the call, and nothing is sent', async (t) => {
  const { pool, server } = await scripted(t, odd);
  const notices = new Notices(t, REQUEST, (message, name) => {
    if (name === 'request:start') message.request.addHeader('x', 'a\r\nb: c');
  });
  const error = await rejection(pool.request('GET', '/'), InvalidHeader);
  t.is(notices.of('request:error')[0]?.error, error);
  t.is(server.peers.length, 0);
});

test.serial('THR-510: credentials are on the wire and not in what is published', async (t) => {
  const head = 'HTTP/1.1 200 OK\r\nSet-Cookie: a=s3cret\r\nSet-Cookie: b=s3cret; Secure\r\n';
  const { pool, server, host } = await scripted(t, answers(reply('', head)));
  const notices = new Notices(t, REQUEST, (message, name) => {
    if (name === 'request:start') message.request.addHeader('Proxy-Authorization', 's3cret');
  });
  const headers = { Authorization: 'Bearer s3cret', COOKIE: 'c=s3cret', 'X-Plain': 'y' };
  const response = await pool.request('GET', `http://user:s3cret@${host}/`, { headers });
  t.is(response.headers.getAll('set-cookie').length, 2);
  t.is(server.peers[0]?.received.toString().match(/s3cret/g)?.length, 3);
  for (const { message } of notices.heard) {
    const { request, ...rest } = message;
    t.notRegex(JSON.stringify([request, [...request.headers], rest]), /s3cret/);
  }
  const [start] = notices.of('request:start');
  t.is(start?.request.url, `http://${host}/`);
  t.deepEqual(
    [...(start?.request.headers ?? [])],
    [
      ['Authorization', '<hidden>'],
      ['COOKIE', '<hidden>'],
      ['X-Plain', 'y'],
      ['Proxy-Authorization', '<hidden>'],
    ],
  );
  t.deepEqual(notices.of('request:headers')[0]?.headers.getAll('set-cookie'), ['<hidden>', '<hidden>']);
  await rejection(pool.request('GET', 'http://user:s3cret@other.invalid/'), Error);
  t.is(notices.of('request:start')[1]?.request.url, 'http://other.invalid/');
});

test.serial('WARN-05: who listens to one channel hears it without the others', async (t) => {
  const { pool } = await scripted(t, odd);
  const ends = new Notices(t, ['request:end']);
  await pool.request('GET', '/');
  t.is(ends.heard.length, 1);
  const late = pool.request('GET', '/');
  const heads = new Notices(t, ['request:headers']);
  await late;
  t.is(heads.heard.length, 1);
});

test.serial('WARN-05: a call that is refused before it begins is not told; one that a listener ends is', async (t) => {
  const { pool, server } = await scripted(t, odd);
  const controller = new AbortController();
  const notices = new Notices(t, REQUEST, (_, name) => {
    if (name === 'request:start') controller.abort();
  });
  await t.throwsAsync(pool.request('GET', '/', { headers: 1 as never }));
  await t.throwsAsync(pool.request('GET', '/', { signal: AbortSignal.abort() }), { any: true });
  t.deepEqual(notices.names(), []);
  const body = new Readable({ read() {} });
  await t.throwsAsync(pool.request('POST', '/', { signal: controller.signal, body }), {
    is: controller.signal.reason as Error,
    any: true,
  });
  t.true(body.destroyed);
  t.is(server.peers.length, 0);
  t.deepEqual(notices.names(), ['request:start', 'request:error']);
  await pool.close();
  await t.throwsAsync(pool.request('GET', '/'), { instanceOf: ClosedPoolError });
  t.is(notices.heard.length, 2);
});

test.serial('THR-1112: a subscriber that throws is reported by Node.js, and the call does not notice', async (t) => {
  const seen = await outcome('channels-throw.ts');
  t.deepEqual(seen, {
    texts: ['/1', '/2'],
    uncaught: ['start', 'open', 'headers', 'end', 'start', 'headers', 'end', 'close'],
  });
});

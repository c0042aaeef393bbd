/** How `requestMany` is left, whatever its requests wait for, and what it keeps of them. */
import { getEventListeners, once } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { types } from 'node:util';

import test, { type ExecutionContext } from 'ava';

import { Inflow } from '../facade/boundary/stream.ts';
import { HTTPConnectionPool, type Planned, type Settled } from '../index.ts';
import { answers, rawServer, reply, type Script } from './servers/raw.ts';
import { rejection, scripted } from './support/fixtures.ts';
import { until } from './support/street.ts';

type Many = AsyncIterableIterator<Settled>;

const WIDE = { maxsize: 5, block: true };

/** Takes requests and answers none. */
const silent: Script = async (peer) => {
  for (;;) await peer.request();
};

/** Each is over when it has left. */
const LEAVINGS: Record<string, (t: ExecutionContext, many: Many, flying: () => Promise<void>) => Promise<unknown>> = {
  'return() while next() waits': async (t, many, flying) => {
    const both = Promise.all([many.next(), many.next()]);
    await flying();
    const left = { done: true, value: undefined };
    t.deepEqual(await many.return?.(), left);
    t.deepEqual(await both, [left, left]);
    t.deepEqual(await many.next(), left);
  },
  'throw() while next() waits': async (t, many, flying) => {
    const waiting = many.next();
    await flying();
    const thrown = new Error('out');
    t.is(await rejection(Promise.resolve(many.throw?.(thrown)), Error), thrown);
    t.deepEqual(await waiting, { done: true, value: undefined });
  },
  'destroy() of a stream that reads': async (_, many, flying) => {
    const stream = Readable.from(many).on('data', () => undefined);
    await flying();
    await once(stream.destroy(), 'close');
  },
  'cancel() of a stream of the web': async (t, many, flying) => {
    const reader = ReadableStream.from(many).getReader();
    const reading = reader.read();
    await flying();
    await reader.cancel();
    t.true((await reading).done);
  },
  'a pipeline whose signal is aborted': async (_, many, flying) => {
    const sink = new Writable({ objectMode: true, write: (_piece, _coding, goOn) => goOn() });
    const abort = new AbortController();
    const broken = rejection(pipeline(Readable.from(many), sink, { signal: abort.signal }), Error);
    await flying();
    abort.abort();
    await broken;
  },
};

for (const [leaving, leave] of Object.entries(LEAVINGS)) {
  test(`requestMany is left while none of its requests is answered, and aborts them: ${leaving}`, async (t) => {
    const { pool, server } = await scripted(t, silent, WIDE);
    const flying = async (): Promise<void> => {
      for (let n = 1; n <= 5; n += 1) await server.peer(n);
      await until(() => pool.stats().leased === 5, 'five in flight');
    };
    const left = leave(t, pool.requestMany(Array<string>(50).fill('/hang')), flying);
    for (let n = 1; n <= 5; n += 1) await (await server.peer(n)).gone();
    await left;
    await until(() => pool.stats().leased === 0, 'none in flight');
    t.is(server.peers.length, 5, 'none is made any more');
  });
}

test('requestMany that is left before it began asks its source for nothing', async (t) => {
  const { pool } = await scripted(t, silent, WIDE);
  let taken = 0;
  const source = (function* () {
    for (;;) yield `/${(taken += 1)}`;
  })();
  const many = pool.requestMany(source);
  t.deepEqual(await many.return?.(), { done: true, value: undefined });
  t.deepEqual(await many.next(), { done: true, value: undefined });
  t.is(taken, 0);
});

test('a stream that closes requestMany after its end leaves bodies in pieces to their readers', async (t) => {
  const { pool } = await scripted(t, answers(reply('x'.repeat(300_000))), WIDE);
  const planned = ['/1', '/2', '/3'].map((url) => ({ url, preloadContent: false }));
  const stream = Readable.from(pool.requestMany(planned));
  const closed = once(stream, 'close');
  const all = (await stream.toArray()) as Settled[];
  await closed;
  for (const one of all) t.is(one.ok ? (await one.response.read()).length : one.error, 300_000);
  t.is(all.length, 3);
});

test('an item of requestMany that throws when it is looked at has that error, and the others have their answers', async (t) => {
  const { pool } = await scripted(t, answers(reply('x')), WIDE);
  const mine = new Error('mine');
  const fails = (): never => {
    throw mine;
  };
  const items = {
    url: {
      get url() {
        return fails();
      },
    },
    method: {
      url: '/',
      get method() {
        return fails();
      },
    },
    signal: {
      url: '/',
      get signal() {
        return fails();
      },
    },
    names: new Proxy({ url: '/' }, { ownKeys: fails }),
    forged: { url: '/', signal: Object.create(AbortSignal.prototype) as AbortSignal },
  };
  const bad = Object.values(items) as Planned[];
  const seen = new Map<number, Settled>();
  for await (const one of pool.requestMany(['/first', ...bad, '/last'])) seen.set(one.index, one);
  t.is(seen.size, bad.length + 2);
  for (const [index, one] of seen) {
    const item = index === 0 || index > bad.length ? null : Object.keys(items)[index - 1];
    t.is(one.ok, item === null, String(item));
    if (item !== null && !one.ok && item !== 'forged') t.is(one.error, mine, item);
  }
});

test('an item of requestMany is read once', async (t) => {
  const { pool } = await scripted(t, answers(reply('x')), WIDE);
  const read: string[] = [];
  const of = { url: '/', method: 'POST', headers: { a: 'b' }, signal: new AbortController().signal };
  const item = new Proxy(of, {
    get: (target, name, self) => (read.push(String(name)), Reflect.get(target, name, self)),
  });
  for await (const one of pool.requestMany([item])) t.true(one.ok);
  t.deepEqual(read.toSorted(), ['headers', 'method', 'signal', 'url']);
});

/** What a signal itself holds of those that listen to it or were made of it. */
function held(signal: AbortSignal): number {
  const own = Reflect.ownKeys(signal).map((name) => Reflect.get(signal, name) as unknown);
  return own
    .filter((value) => types.isSet(value))
    .reduce((sum, set) => sum + Reflect.get<object, 'size'>(Set.prototype, 'size', set), 0);
}

test('THR-912: a signal of many items of requestMany has one listener while they run, and nothing after', async (t) => {
  const { pool } = await scripted(t, answers(reply('x')), WIDE);
  const { signal } = new AbortController();
  const most = new Set<number>();
  const items = function* (): Generator<Planned> {
    for (let n = 0; n < 500; n += 1) {
      if (n > 0) most.add(getEventListeners(signal, 'abort').length);
      yield { url: '/', signal, preloadContent: n % 2 === 0 };
    }
  };
  for await (const one of pool.requestMany(items())) {
    if (!one.ok) throw one.error;
    t.is((await one.response.read()).length, 1);
  }
  t.is(Math.max(...most), 1);
  t.is(getEventListeners(signal, 'abort').length, 0);
  t.is(held(signal), 0);
});

test('THR-912: a subclass whose request gives something else, or throws, keeps nothing of an item’s signal', async (t) => {
  class Texts extends HTTPConnectionPool {
    override request(...asked: Parameters<HTTPConnectionPool['request']>): never {
      if (asked[1] === '/throws') throw new Error('out');
      return super.request(...asked).then((response) => response.text()) as never;
    }
  }
  const server = await rawServer(answers(reply('x')));
  t.teardown(() => server.close());
  const pool = new Texts('127.0.0.1', { port: server.port });
  t.teardown(() => pool.close());
  const { signal } = new AbortController();
  const seen: unknown[] = [];
  for await (const one of pool.requestMany([{ url: '/', signal }, '/', { url: '/throws', signal }], { concurrency: 1 }))
    seen.push(one.ok ? one.response : one.error.message);
  t.deepEqual(seen, ['x', 'x', 'out']);
  t.is(getEventListeners(signal, 'abort').length, 0);
});

test('THR-912: the signal of an item of requestMany ends its body in pieces, with its own reason, after the last item too', async (t) => {
  const half: Script = async (peer) => {
    for (;;) {
      await peer.request();
      await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf');
    }
  };
  const { pool } = await scripted(t, half, WIDE);
  const [one, two] = [new AbortController(), new AbortController()];
  const planned = [one, one, two].map(({ signal }) => ({ url: '/', signal, preloadContent: false }));
  const reads: Promise<unknown>[] = [];
  for await (const settled of pool.requestMany(planned)) {
    if (settled.ok) reads[settled.index] = settled.response.read().catch((error: unknown) => error);
  }
  t.is(getEventListeners(one.signal, 'abort').length, 1);
  const reason = { why: 'mine' };
  one.abort(reason);
  t.deepEqual(await Promise.all(reads.slice(0, 2)), [reason, reason]);
  await until(() => pool.stats().leased === 1, 'the third is left alone');
  two.abort(reason);
  t.is(await reads[2], reason);
  for (const { signal } of [one, two]) t.is(getEventListeners(signal, 'abort').length, 0);
});

test('THR-912: leaving requestMany aborts items that have a signal of their own, which keeps nothing of them', async (t) => {
  const { pool, server } = await scripted(t, silent, WIDE);
  const { signal } = new AbortController();
  const many = pool.requestMany(Array.from({ length: 5 }, () => ({ url: '/', signal })));
  const waiting = many.next();
  for (let n = 1; n <= 5; n += 1) await server.peer(n);
  await many.return?.();
  t.true((await waiting).done);
  await until(() => pool.stats().leased === 0, 'none in flight');
  t.is(getEventListeners(signal, 'abort').length, 0);
});

test('several may wait for the end of a body: diagnostics, and the signal of an item', async (t) => {
  const inflow = new Inflow({ order() {}, piece() {}, finish() {}, hold() {} }, 0, 0, 0);
  const told: number[] = [];
  const both = [1, 2].map((nth) => inflow.whenOver().then(() => told.push(nth)));
  inflow.end({ trailers: '', read: true, wire: 0, body: 0, total: 0 });
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(told, [1, 2]);
  await Promise.all(both);
});

/** `AsyncLocalStorage`: what of the caller's is asked or told runs where the call was made. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import test from 'ava';
import { PoolManager, Retry, type RequestBody } from '../index.ts';
import { reply } from './servers/raw.ts';
import { leads, world } from './support/origins.ts';

const storage = new AsyncLocalStorage<string>();

/** Who ran where: each name with the contexts that it was found in. */
class Found {
  readonly #all = new Map<string, Set<string>>();

  note(name: string): void {
    const where = this.#all.get(name) ?? new Set();
    this.#all.set(name, where.add(storage.getStore() ?? 'none'));
  }

  take(): Record<string, string[]> {
    const all = Object.fromEntries([...this.#all].map(([name, where]) => [name, [...where].toSorted()]));
    this.#all.clear();
    return all;
  }
}

const DONE = reply('end', 'HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\n');

test('functions that are asked, and onProgress, run in the context of the call that asks them', async (t) => {
  const found = new Found();
  let nth = 0;
  const one = await world(
    t,
    {
      'a.example': () => {
        nth += 1;
        return nth === 1
          ? leads('/b', 307, 'Set-Cookie: c=d\r\n')
          : nth === 2
            ? reply('', 'HTTP/1.1 503 No\r\n')
            : DONE;
      },
    },
    {
      beforeAttempt: () => found.note('beforeAttempt'),
      jar: {
        async getCookieString() {
          await turn();
          found.note('getCookieString');
          return '';
        },
        setCookie: () => found.note('setCookie'),
      },
    },
  );
  class Asked extends Retry {
    override isRetry(method: string, status: number, hasRetryAfter?: boolean): boolean {
      found.note('isRetry');
      return super.isRetry(method, status, hasRetryAfter);
    }
  }
  await storage.run('mine', () =>
    one.manager.request('PUT', 'http://a.example/', {
      retries: new Asked({ total: 5, statusForcelist: [503] }),
      body: () => {
        found.note('body');
        return 'abc';
      },
      accept: () => {
        found.note('accept');
        return true;
      },
      onProgress: () => found.note('onProgress'),
    }),
  );
  t.is(nth, 3);
  const names = ['accept', 'beforeAttempt', 'body', 'getCookieString', 'isRetry', 'onProgress', 'setCookie'];
  t.deepEqual(found.take(), Object.fromEntries(names.map((name) => [name, ['mine']])));
});

test('resolve runs in the context of the call that asks it, and warm is one', async (t) => {
  const found = new Found();
  const target = await world(t, { 'a.example': () => DONE });
  const manager = new PoolManager({
    resolve: async () => {
      await turn();
      found.note('resolve');
      return target.resolve['a.example'] as string;
    },
  });
  t.teardown(() => manager.close());
  await storage.run('asks', () => manager.request('GET', 'http://a.example/'));
  t.deepEqual(found.take(), { resolve: ['asks'] });
  const pool = manager.connectionFromHost('b.example');
  await storage.run('warms', () => pool.warm(1));
  t.deepEqual(found.take(), { resolve: ['warms'] });
});

test('what makes the pieces of a body runs in the context of its call, several at once each in its own', async (t) => {
  const found = new Found();
  const { manager } = await world(t, { 'a.example': () => DONE });
  const bodies: Record<string, () => RequestBody> = {
    generator: () =>
      (function* () {
        try {
          found.note('generator');
          yield 'a';
          found.note('generator');
        } finally {
          found.note('generator');
        }
      })(),
    asyncGenerator: () =>
      (async function* () {
        found.note('asyncGenerator');
        yield 'a';
        await turn();
        found.note('asyncGenerator');
        yield 'b';
        found.note('asyncGenerator');
      })(),
    function: () => async () => {
      await turn();
      found.note('function');
      return (function* () {
        found.note('function');
        yield 'a';
      })();
    },
    readable: () => {
      let nth = 0;
      return new Readable({
        read() {
          found.note('readable');
          this.push(nth === 0 ? 'a' : null);
          nth += 1;
        },
      });
    },
    webStream: () =>
      new ReadableStream(
        {
          pull(controller) {
            found.note('webStream');
            controller.enqueue('a');
            controller.close();
          },
        },
        { highWaterMark: 0 },
      ),
  };
  for (const [name, make] of Object.entries(bodies)) {
    await Promise.all(
      ['one', 'two'].map((where) => {
        const body = make();
        return storage.run(where, () => manager.request('POST', 'http://a.example/', { body }));
      }),
    );
    t.deepEqual(found.take(), { [name]: ['one', 'two'] });
  }
});

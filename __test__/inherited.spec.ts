/** Options that an object has not by itself: refused where they are somebody's, ignored where they are everybody's. */
import { runInNewContext } from 'node:vm';
import test from 'ava';
import {
  configure,
  connectionFromUrl,
  HTTPConnection,
  HTTPConnectionPool,
  HTTPHeaderDict,
  HTTPResponse,
  HTTPSConnectionPool,
  makeHeaders,
  PoolManager,
  ProxyManager,
  request,
  Retry,
  SOCKSProxyManager,
  Timeout,
  type Planned,
} from '../index.ts';
import { answers, reply } from './servers/raw.ts';
import { scripted } from './support/fixtures.ts';

/** Ways to have it that are none of one's own. */
function having(name: string, value: unknown): [said: string, options: object][] {
  class Got {
    get [name](): unknown {
      return value;
    }
  }
  class Below extends Got {}
  return [
    ["another object's", Object.create({ [name]: value }) as object],
    [
      'of an object without a prototype',
      Object.create(Object.assign(Object.create(null), { [name]: value })) as object,
    ],
    ["a class's getter", new Got()],
    ["a parent class's getter", new Below()],
  ];
}

function refused(
  name: string,
  code = 'ERR_INVALID_OPTION',
): { instanceOf: typeof TypeError; code: string; message: RegExp } {
  return {
    instanceOf: TypeError,
    code,
    message: new RegExp(`'${name}' is inherited; give it as a property of its own`),
  };
}

test('an inherited option is refused wherever options are taken, and never dropped without a word', (t) => {
  const manager = new PoolManager();
  const cases: [name: string, value: unknown, take: (options: object) => unknown, code?: string][] = [
    ['denyAddresses', 'private', (options) => new PoolManager(options)],
    ['denyAddresses', 'private', (options) => new HTTPConnectionPool('h', options)],
    ['certReqs', 'required', (options) => new HTTPSConnectionPool('h', options)],
    ['denyAddresses', 'private', (options) => connectionFromUrl('http://h', options)],
    ['caCerts', 'x', (options) => connectionFromUrl('https://h', options)],
    ['timeout', 5_000, (options) => new HTTPConnection('h', options)],
    ['proxyHeaders', {}, (options) => new ProxyManager('http://h', options)],
    ['password', 'x', (options) => new SOCKSProxyManager('socks5://h', options)],
    ['scheme', 'https', (options) => manager.connectionFromHost('h', options)],
    ['timeout', 5_000, (options) => manager.connectionFromHost('h', { poolKwargs: options })],
    ['scheme', 'https', (options) => manager.connectionFromContext(Object.assign(options, { host: 'h' }))],
    ['total', 1, (options) => new Retry(options)],
    ['total', 1, (options) => new Retry().with(options)],
    ['total', 1, (options) => new Timeout(options), 'ERR_INVALID_TIMEOUT'],
    ['total', 1, (options) => Timeout.from(options), 'ERR_INVALID_TIMEOUT'],
    ['decoded', 1, (options) => new HTTPConnectionPool('h', { limits: options })],
    ['noDelay', false, (options) => new HTTPConnectionPool('h', { socketOptions: options })],
    ['idle', 1, (options) => new HTTPConnectionPool('h', { keepAlive: options })],
    ['basicAuth', 'a:b', (options) => makeHeaders(options)],
    ['combine', true, (options) => new HTTPHeaderDict().add('a', 'b', options)],
    ['status', 500, (options) => new HTTPResponse('', options)],
    ['memoryBudget', 1, (options) => configure(options)],
    ['concurrency', 1, (options) => manager.requestMany([], options)],
  ];
  for (const [name, value, take, code] of cases) {
    for (const [said, options] of having(name, value))
      t.throws(() => take(options), refused(name, code), `${name}, ${said}`);
  }
});

test('an inherited option of a request, of an item of requestMany and of close is refused before anything is sent', async (t) => {
  const { pool, server } = await scripted(t, answers(reply('')));
  for (const [said, options] of having('timeout', 5_000)) {
    for (const call of [
      () => pool.request('GET', '/', options),
      () => pool.urlopen('GET', '/', options),
      () => pool.requestEncodeUrl('GET', '/', options),
      () => pool.requestEncodeBody('GET', '/', options),
      () => request('GET', `http://127.0.0.1:${server.port}/`, options),
      () => pool.close(options),
    ]) {
      await t.throwsAsync(call, refused('timeout'), said);
    }
  }
  await t.throwsAsync(pool.request('GET', '/', { timeout: Object.create({ total: 1 }) as object }), {
    ...refused('total', 'ERR_INVALID_TIMEOUT'),
    message: /^timeout .*'total' is inherited/,
  });
  class Job {
    url = '/';
    get method(): string {
      return 'DELETE';
    }
  }
  const items = [
    new Job(),
    Object.assign(Object.create({ body: 'x' }) as object, { url: '/' }),
    Object.create({ url: '/' }),
  ];
  const names = ['method', 'body', 'url'];
  let settled = 0;
  for await (const one of pool.requestMany(items as Planned[])) {
    settled += 1;
    t.false(one.ok);
    if (!one.ok)
      t.throws(
        () => {
          throw one.error;
        },
        refused(names[one.index] as string),
      );
  }
  t.is(settled, 3);
  t.is(server.peers.length, 0);
});

test("THR-522: what is an Object.prototype's, of whatever realm, is neither read nor refused", async (t) => {
  const { pool } = await scripted(t, answers(reply('')));
  const foreign = runInNewContext(`
    Object.assign(Object.prototype, { timeout: -1, total: -1, denyAddresses: 'evil', method: 'EVIL', body: 'evil' });
    ({ request: {}, item: { url: '/' }, retry: {}, pool: {} })`) as Record<
    'request' | 'item' | 'retry' | 'pool',
    object
  >;
  t.is((await pool.request('GET', '/', foreign.request)).status, 200);
  for await (const one of pool.requestMany([foreign.item as Planned])) t.true(one.ok);
  t.is(new Retry(foreign.retry).total, 10);
  t.notThrows(() => new PoolManager(foreign.pool));
  t.is(pool.stats().requests, 2);
});

test('an option of one’s own counts, whatever else is inherited, and so does an object without a prototype', async (t) => {
  const { pool } = await scripted(t, answers(reply('')));
  class Own {
    total = 1;
    toString(): string {
      return 'own';
    }
  }
  t.is(new Retry(new Own()).total, 1);
  t.is(new Retry(Object.assign(Object.create({ total: 5 }) as object, { total: 2 })).total, 2);
  t.is(new Retry(Object.assign(Object.create(null) as object, { total: 3 })).total, 3);
  t.is((await pool.request('GET', '/', Object.assign(Object.create(null) as object, { timeout: 60_000 }))).status, 200);
});

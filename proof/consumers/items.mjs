/**
 * What a user does with the installed package, one item a process: `items.mjs ITEM WHERE`. WHERE is JSON with the servers'
 * ports. Runs as it stands on every runtime; the package is imported where an item needs it, so that those about workers
 * do not load it in the main thread.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import process from 'node:process';
import { Worker } from 'node:worker_threads';

const [name, where] = [process.argv[2], JSON.parse(process.argv[3])];
const load = () => import('ferropool');
const require = createRequire(import.meta.url);

const items = {
  async import() {
    const { HTTPConnectionPool } = await load();
    await answers(HTTPConnectionPool);
  },

  async require() {
    const { HTTPConnectionPool } = require('ferropool');
    await answers(HTTPConnectionPool);
  },

  async 'one class identity by import and require'() {
    const imported = await load();
    const required = require('ferropool');
    const names = Object.keys(imported).filter((key) => key !== 'default' && key !== 'module.exports');
    assert.ok(names.length > 40, `${names.length} exports`);
    for (const key of names) assert.equal(required[key], imported[key], key);
    const pool = new required.HTTPConnectionPool('127.0.0.1', { port: where.closed, retries: false });
    assert.ok(pool instanceof imported.HTTPConnectionPool);
    const error = await pool.request('GET', '/').catch((caught) => caught);
    assert.ok(error instanceof imported.NewConnectionError);
    await pool.close();
  },

  async 'https and h2'() {
    const { HTTPSConnectionPool } = await load();
    for (const http2 of [true, false]) {
      const pool = new HTTPSConnectionPool('localhost', { port: where.tls, caCerts: where.authority, http2 });
      const { status, connection } = await pool.request('GET', '/json');
      assert.equal(status, 200);
      assert.equal(connection.protocol, http2 ? 'h2' : 'http/1.1');
      assert.equal(connection.tls.verified, true);
      await pool.close();
    }
  },

  async 'gzip, br, zstd'() {
    const { HTTPConnectionPool, makeHeaders } = await load();
    const pool = new HTTPConnectionPool('127.0.0.1', {
      port: where.port,
      headers: makeHeaders({ acceptEncoding: true }),
    });
    const plain = (await pool.request('GET', '/plain')).text();
    assert.equal(plain.length, 9000);
    for (const coding of ['gzip', 'br', 'zstd']) {
      const response = await pool.request('GET', `/${coding}`);
      assert.equal(response.headers['content-encoding'], coding);
      assert.equal(response.text(), plain, coding);
    }
    await pool.close();
  },

  async 'class and code of an error'() {
    const { HTTPConnectionPool, HTTPError, NewConnectionError, ReadTimeoutError } = await load();
    const nobody = new HTTPConnectionPool('127.0.0.1', { port: where.closed, retries: false });
    const refused = await nobody.request('GET', '/').catch((error) => error);
    assert.ok(refused instanceof NewConnectionError && refused instanceof HTTPError && refused instanceof Error);
    assert.deepEqual([refused.name, refused.code, refused.sent], ['NewConnectionError', 'ECONNREFUSED', false]);
    await nobody.close();
    const slow = new HTTPConnectionPool('127.0.0.1', { port: where.port, retries: false, timeout: { read: 2_000 } });
    const late = await slow.request('GET', '/endless').catch((error) => error);
    assert.ok(late instanceof ReadTimeoutError);
    assert.deepEqual([late.code, late.phase], ['ERR_READ_TIMEOUT', 'body']);
    assert.throws(() => new HTTPConnectionPool(''), { code: 'ERR_INVALID_URL' });
    await slow.close();
  },

  async 'streamed bodies'() {
    const { HTTPConnectionPool } = await load();
    const pool = new HTTPConnectionPool('127.0.0.1', { port: where.port });
    const long = await pool.request('GET', '/long', { preloadContent: false });
    let [bytes, pieces] = [0, 0];
    for await (const piece of long) {
      bytes += piece.length;
      pieces += 1;
    }
    assert.equal(bytes, 4 << 20);
    assert.ok(pieces > 1);
    const readable = (await pool.request('GET', '/long', { preloadContent: false })).toReadable();
    let read = 0;
    for await (const piece of readable) read += piece.length;
    assert.equal(read, 4 << 20);
    async function* sent() {
      for (let nth = 0; nth < 100; nth += 1) yield `${nth},`.padEnd(1000);
    }
    const echoed = await pool.request('POST', '/echo', { body: sent() });
    assert.equal(echoed.data.length, 100_000);
    await pool.close();
  },

  async 'a form with a file'() {
    const { HTTPConnectionPool } = await load();
    const pool = new HTTPConnectionPool('127.0.0.1', { port: where.port });
    const form = new FormData();
    form.set('title', 'a file');
    form.set('file', new Blob(['x'.repeat(100_000)]), 'x.txt');
    const echoed = (await pool.request('POST', '/echo', { fields: form })).text();
    assert.ok(echoed.includes('filename="x.txt"') && echoed.length > 100_000);
    await pool.close();
  },

  async 'a signal that aborts'() {
    const { HTTPConnectionPool } = await load();
    const pool = new HTTPConnectionPool('127.0.0.1', { port: where.port, retries: false });
    const reason = new Error('enough');
    const abort = new AbortController();
    const asked = pool.request('GET', '/endless', { signal: abort.signal });
    setTimeout(() => abort.abort(reason), 50);
    assert.equal(await asked.catch((error) => error), reason);
    await pool.close();
  },

  /** The I/O thread asks JavaScript and waits for its answer. */
  async 'names by a function of the caller'() {
    const { HTTPConnectionPool } = await load();
    const asked = [];
    const resolve = (host) => {
      asked.push(host);
      return Promise.resolve(['127.0.0.1']);
    };
    const pool = new HTTPConnectionPool('no.such.name.test', { port: where.port, resolve });
    assert.equal((await pool.request('GET', '/plain')).status, 200);
    assert.deepEqual(asked, ['no.such.name.test']);
    await pool.close();
  },

  async 'diagnostics channels'() {
    const { subscribe } = await import('node:diagnostics_channel');
    const { HTTPConnectionPool } = await load();
    const seen = [];
    subscribe('ferropool:request:start', () => seen.push('start'));
    subscribe('ferropool:request:end', () => seen.push('end'));
    const pool = new HTTPConnectionPool('127.0.0.1', { port: where.port });
    await pool.request('GET', '/plain');
    assert.deepEqual(seen, ['start', 'end']);
    await pool.close();
  },

  async 'a manager through a proxy'() {
    const { PoolManager, ProxyManager } = await load();
    const proxy = `http://127.0.0.1:${where.proxy}`;
    const through = new ProxyManager(proxy, { caCerts: where.authority });
    assert.equal((await through.request('GET', `http://site.test:${where.port}/plain`)).status, 200);
    assert.equal((await through.request('GET', `https://localhost:${where.tls}/json`)).json().count, 3);
    await through.close();
    const manager = new PoolManager({ proxy });
    assert.equal((await manager.request('GET', `http://other.test:${where.port}/plain`)).status, 200);
    await manager.close();
  },

  async 'a worker beside the main thread'() {
    const { HTTPConnectionPool } = await load();
    await answers(HTTPConnectionPool);
    await worker('request');
    await answers(HTTPConnectionPool);
  },

  async 'loaded in workers alone'() {
    await rounds('load');
  },

  async 'requests in workers alone'() {
    await rounds('request');
  },

  async 'workers terminated amid a request'() {
    await rounds('terminated');
  },

  /** Nothing is closed: a pool keeps an idle connection, and the process ends all the same. */
  async 'the process ends by itself'() {
    const { HTTPConnectionPool, PoolManager } = await load();
    const pool = new HTTPConnectionPool('127.0.0.1', { port: where.port });
    const manager = new PoolManager();
    await Promise.all([pool.request('GET', '/plain'), manager.request('GET', `http://127.0.0.1:${where.port}/plain`)]);
  },
};

async function answers(HTTPConnectionPool) {
  const pool = new HTTPConnectionPool('127.0.0.1', { port: where.port });
  const response = await pool.request('GET', '/plain');
  assert.equal(response.status, 200);
  assert.equal(response.data.length, 9000);
  await pool.close();
}

async function rounds(kind) {
  for (let round = 0; round < 3; round += 1) await Promise.all(Array.from({ length: 4 }, () => worker(kind)));
}

/** A worker that does one thing; resolves when it has ended. The third kind is ended amid its request. */
function worker(kind) {
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL('worker.mjs', import.meta.url), { workerData: { kind, where } });
    let said = null;
    thread.on('message', (message) => {
      said = message;
      if (kind === 'terminated') void thread.terminate();
    });
    thread.on('error', reject);
    thread.on('exit', (status) => {
      if (said !== 'done') reject(new Error(`the worker ended with status ${status} and said ${said}`));
      else if (kind !== 'terminated' && status !== 0) reject(new Error(`the worker ended with status ${status}`));
      else resolve();
    });
  });
}

await items[name]();
console.log('done');

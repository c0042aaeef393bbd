/** The whole of a pool over https, against Node's own server: what http does, https does, and says what its connection is. */
import { createHash } from 'node:crypto';
import net from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as after } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import test from 'ava';

import {
  ClosedPoolError,
  HTTPSConnectionPool,
  PoolManager,
  ProtocolError,
  type HTTPResponse,
  type Timings,
} from '../index.ts';
import { rawServer } from './servers/raw.ts';
import { httpsServer } from './servers/tls.ts';
import { rejection } from './support/fixtures.ts';
import { Notices } from './support/notices.ts';
import { usual } from './support/pki.ts';
import { greets, reasonOf, relayed, secured, securePool, servedSecurely } from './support/secure.ts';
import { until } from './support/street.ts';

const { ca, leaf } = usual();

test('every method, with fields, headers, JSON and a body; what comes back is whole', async (t) => {
  const { pool, host } = await servedSecurely(t, (request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      response.setHeader('x-method', request.method ?? '');
      response.setHeader('set-cookie', ['a=1', 'b=2']);
      const { host, 'content-type': type } = request.headers;
      response.end(JSON.stringify({ url: request.url, host, type, body: Buffer.concat(pieces).toString() }));
    });
  });
  for (const method of ['GET', 'DELETE', 'OPTIONS', 'PUT', 'POST', 'PATCH']) {
    const response = await pool.request(method, '/path?a=1', method.startsWith('P') ? { json: { a: [1] } } : {});
    t.like(response, { status: 200, reason: 'OK', version: 11, url: `https://${host}/path?a=1` });
    t.is(response.headers['x-method'], method);
    t.deepEqual(response.headers.getAll('set-cookie'), ['a=1', 'b=2']);
    const told = response.json<Record<string, string>>();
    t.like(told, { url: '/path?a=1', host, body: method.startsWith('P') ? '{"a":[1]}' : '' });
  }
  t.is((await pool.request('HEAD', '/')).data.length, 0);
  t.is((await pool.request('GET', '/', { fields: { q: 'a b' } })).json<{ url: string }>().url, '/?q=a+b');
  const form = (await pool.request('POST', '/', { fields: { q: 'a b' } })).json<{ type: string; body: string }>();
  t.regex(form.type, /^multipart\/form-data/);
  t.regex(form.body, /name="q"/);
  t.like(pool, { numConnections: 1, numRequests: 9, scheme: 'https' });
});

test('TLS-21: a response tells the version, the cipher, the chain, and the time that the handshake took', async (t) => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const { pool, server } = await servedSecurely(t, (_, response) => response.end('ok'), { maxVersion: version });
    const { connection, timings } = await pool.request('GET', '/');
    t.like(connection, { protocol: 'http/1.1', reused: false, remoteAddress: '127.0.0.1', remotePort: server.port });
    t.like(connection?.tls, { version, resumed: false, verified: true, serverName: 'localhost' });
    // By rustls' name, which is IANA's but for one prefix.
    t.is(connection?.tls?.cipher.replace('TLS13_', 'TLS_'), server.shaken[0]?.cipher);
    t.is(connection?.tls?.chain.length, 1);
    const [told] = connection?.tls?.chain ?? [];
    t.true(told?.raw.equals(leaf.der));
    t.true(Buffer.isBuffer(told?.raw));
    t.regex(told?.subject ?? '', /leaf/);
    t.true(told?.validFrom instanceof Date && told.validTo instanceof Date);
    t.true((timings?.tls ?? 0) > 0 && (timings?.connect ?? -1) >= 0);
    const spans: (keyof Timings)[] = ['pool', 'dns', 'connect', 'tls', 'send', 'headers', 'body'];
    const sum = spans.reduce((all, phase) => all + (timings?.[phase] ?? 0), 0);
    t.true(sum <= (timings?.total ?? 0) + 1, JSON.stringify(timings));
    const again = await pool.request('GET', '/');
    t.is(again.timings?.tls, null);
    t.is(again.connection?.reused, true);
    t.deepEqual(again.connection?.tls, connection?.tls);
    // Stays readable, and can be logged.
    await pool.close();
    t.is(again.connection?.tls?.version, version);
    t.true(JSON.stringify(again.connection).includes(version));
  }
});

test('keep-alive: one connection for many requests, several for many at once, and the counters tell', async (t) => {
  const { pool, server } = await servedSecurely(
    t,
    (request, response) => void setTimeout(() => response.end(request.url), request.url === '/slow' ? 50 : 0),
    {},
    { maxsize: 4, block: true },
  );
  for (let n = 0; n < 10; n += 1) t.is((await pool.request('GET', `/${n}`)).text(), `/${n}`);
  t.is(pool.numConnections, 1);
  await Promise.all(Array.from({ length: 12 }, () => pool.request('GET', '/slow')));
  t.is(pool.numConnections, 4);
  t.is(pool.numRequests, 22);
  t.is(server.shaken.length, 4);
  t.like(pool.stats(), { opened: 4, idle: 4, live: 4, reused: 18, errors: {} });
  t.true(pool.stats().wireBytesIn > 0);
});

test('several handshakes at once stand in nobody’s way', async (t) => {
  const { pool, server } = await servedSecurely(
    t,
    (request, response) => response.end(request.url),
    {},
    { maxsize: 50, block: true },
  );
  const responses = await Promise.all(Array.from({ length: 50 }, (_, n) => pool.request('GET', `/${n}`)));
  t.deepEqual(
    responses.map((response) => response.text()),
    responses.map((_, n) => `/${n}`),
  );
  t.true(server.shaken.length <= 50);
});

test('a connection that the server ends while a request is on its way costs a retry at most', async (t) => {
  for (const told of [true, false]) {
    const { pool, server } = await secured(t, greets, {}, { retries: 1 });
    for (let n = 0; n < 20; n += 1) {
      await pool.request('GET', '/');
      const peer = server.peers.at(-1);
      if (told) peer?.end();
      else peer?.socket.destroy();
      // Whichever comes first.
      t.is((await pool.request('GET', '/')).text(), 'ok');
    }
    t.true(pool.numConnections > 1);
  }
});

test('retries: statuses and connections, as over http, each attempt counted', async (t) => {
  let served = 0;
  const { pool } = await servedSecurely(
    t,
    (request, response) => {
      served += 1;
      if (request.url === '/reset' && served === 1) return void request.socket.destroy();
      if (request.url === '/busy' && served < 3) return void response.writeHead(503, { 'retry-after': '0' }).end();
      return void response.end('in the end');
    },
    {},
    { retries: 3 },
  );
  t.is((await pool.request('GET', '/reset')).text(), 'in the end');
  t.is(served, 2);
  served = 0;
  const response = await pool.request('GET', '/busy');
  t.is(response.text(), 'in the end');
  t.is(response.retries?.history.length, 2);
});

test('a body down in pieces, coded and plain, and no faster than it is read', async (t) => {
  const block = Buffer.alloc(64 * 1024, 'down ');
  let left = 0;
  const { pool } = await servedSecurely(t, (request, response) => {
    if (request.url === '/gzip') return void response.setHeader('content-encoding', 'gzip').end(gzipSync(block));
    let blocks = 0;
    const go = (): void => {
      while (blocks < 800) {
        blocks += 1;
        if (!response.write(block, (error) => (left += error ? 0 : block.length)))
          return void response.once('drain', go);
      }
      response.end();
    };
    return go();
  });
  t.true((await pool.request('GET', '/gzip')).data.equals(block));
  const response = await pool.request('GET', '/', { preloadContent: false });
  const first = await response.read(100_000);
  t.is(first.length, 100_000);
  // Once nothing leaves the server any more, most is still there.
  for (let before = -1; before !== left;) {
    before = left;
    await after(300);
  }
  t.true(left < 20 * 1_048_576, `${left} bytes left the server for a reader of 100,000`);
  let bytes = first.length;
  const hash = createHash('sha256').update(first);
  for await (const piece of response) {
    bytes += piece.length;
    hash.update(piece);
  }
  t.is(bytes, 800 * block.length);
  const whole = createHash('sha256');
  for (let n = 0; n < 800; n += 1) whole.update(block);
  t.is(hash.digest('hex'), whole.digest('hex'));
  t.is((await pool.request('GET', '/gzip')).connection?.reused, true);
});

test('a body up in pieces, and no faster than the server takes it', async (t) => {
  let wanted = (): void => undefined;
  const { pool } = await servedSecurely(t, (request, response) => {
    request.pause();
    wanted = () => {
      let bytes = 0;
      request.on('data', (piece: Buffer) => (bytes += piece.length));
      request.on('end', () => response.end(String(bytes)));
      request.resume();
    };
  });
  let made = 0;
  const block = Buffer.alloc(64 * 1024, 'up ');
  const body = Readable.from(
    (function* blocks() {
      for (; made < 800; made += 1) yield block;
    })(),
    { objectMode: false },
  );
  const call = pool.request('PUT', '/', { body });
  const count = (): number => made;
  for (let before = -1; before !== count() || before === 0;) {
    before = count();
    await after(300);
  }
  t.true(made < 320, `${made} blocks were read for a server that takes none`);
  wanted();
  t.is((await call).text(), String(800 * block.length));
});

test('a manager and redirects from http to https and back are one call', async (t) => {
  const secure = await httpsServer((request, response) => {
    if (request.url === '/end') response.end('the end');
    else response.writeHead(302, { location: '/end' }).end();
  });
  t.teardown(() => secure.close());
  const plain = await rawServer(async (peer) => {
    await peer.request();
    const location = `https://localhost:${secure.port}/`;
    await peer.write(`HTTP/1.1 301 Moved\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`);
  });
  t.teardown(() => plain.close());
  const manager = new PoolManager({ resolve: { localhost: '127.0.0.1' }, caCertData: ca.pem });
  t.teardown(() => manager.close({ timeout: 0 }));
  const response = await manager.request('GET', `http://localhost:${plain.port}/`);
  t.is(response.text(), 'the end');
  t.is(response.url, `https://localhost:${secure.port}/end`);
  t.is(response.connection?.tls?.verified, true);
  t.like(manager.stats(), { opened: 2, errors: {} });
});

test('by a Unix socket, and from another local address, it is https as well', async (t) => {
  const { server, pool } = await secured(t, greets, {}, { localAddress: '127.0.0.3' });
  await pool.request('GET', '/');
  t.is(server.sockets[0]?.remoteAddress, '127.0.0.3');
});

test('TLS-04: over IPv6 the address is what the certificate must have', async (t) => {
  const probe = net.createServer();
  const there = await new Promise<boolean>((resolve) => {
    probe.once('error', () => resolve(false)).listen(0, '::1', () => probe.close(() => resolve(true)));
  });
  const server = await httpsServer((_, response) => response.end('six'), { listenOn: there ? '::1' : '127.0.0.1' });
  t.teardown(() => server.close());
  for (const host of there ? ['::1', '[::1]', '0:0:0:0:0:0:0:1'] : ['127.0.0.1']) {
    t.is((await securePool(t, server.port, { host }).request('GET', '/')).text(), 'six');
  }
});

test('an abort in the handshake, before it and after it: the signal’s reason, and no connection is left', async (t) => {
  const stuck = await rawServer((peer) => peer.gone());
  t.teardown(() => stuck.close());
  const pool = securePool(t, stuck.port, { maxsize: 1, block: true });
  const controller = new AbortController();
  const call = pool.request('GET', '/', { signal: controller.signal });
  const waiting = pool.request('GET', '/', { signal: controller.signal });
  await (await stuck.peer(1)).bytes(60);
  const reason = new Error('enough');
  controller.abort(reason);
  t.is(await rejection(call, Error), reason);
  t.is(await rejection(waiting, Error), reason);
  await (await stuck.peer(1)).gone();
  await until(() => pool.stats().live === 0, 'no connection is left');
  t.like(pool.stats(), { leased: 0, idle: 0, waiting: 0 });
  const early = new AbortController();
  early.abort(reason);
  t.is(await rejection(pool.request('GET', '/', { signal: early.signal }), Error), reason);
});

test('close() in the handshake: calls reject with ClosedPoolError once the time is up, and nothing is left', async (t) => {
  const stuck = await rawServer((peer) => peer.gone());
  t.teardown(() => stuck.close());
  const pool = securePool(t, stuck.port);
  const call = rejection(pool.request('GET', '/'), Error);
  await (await stuck.peer(1)).bytes(60);
  const report = await pool.close({ timeout: 50 });
  t.is(report.forced, 1);
  t.true((await call) instanceof ClosedPoolError, String(await call));
  await (await stuck.peer(1)).gone();
  await rejection(pool.request('GET', '/'), ClosedPoolError);
  t.is(pool.pool, null);
});

test('close() ends idle connections with close_notify: the server sees an end, and no error', async (t) => {
  const ends: string[] = [];
  const { pool, server } = await secured(t, async (peer) => {
    peer.socket.on('end', () => ends.push('end')).on('error', (error) => ends.push(String(error)));
    await greets(peer);
  });
  await pool.request('GET', '/');
  await pool.close();
  await server.peers[0]?.gone();
  t.deepEqual(ends, ['end']);
});

test('warm() makes handshakes and sends nothing', async (t) => {
  const { pool, server } = await secured(t, greets, {}, { maxsize: 3 });
  await pool.warm(3);
  await server.shakes(3);
  t.is(server.received, 0);
  t.like(pool.stats(), { idle: 3, opened: 3, requests: 0 });
  await pool.request('GET', '/');
  t.is(pool.numConnections, 3);
  const wrong = await secured(t, greets, ca.issue({ san: ['dns:x.test'] }).identity);
  await t.throwsAsync(wrong.pool.warm(1), { code: 'ERR_TLS' });
});

test('connections of https are published with their scheme’s protocol, and a failed handshake opens none', async (t) => {
  const notices = new Notices(t, ['connection:open', 'connection:close', 'request:error']);
  const { pool, server } = await secured(t, greets);
  await pool.request('GET', '/');
  const opened = notices.of('connection:open').filter(({ port }) => port === server.port);
  t.is(opened.length, 1);
  t.like(opened[0], { host: 'localhost', protocol: 'http/1.1', remoteAddress: '127.0.0.1' });
  await pool.close();
  await until(() => notices.of('connection:close').some(({ port }) => port === server.port), 'it is closed');
  const wrong = await secured(t, greets, ca.issue({ san: ['dns:x.test'] }).identity);
  t.is(await reasonOf(wrong.pool.request('GET', '/')), 'ERR_TLS_CERT_ALTNAME_INVALID');
  t.is(notices.of('connection:open').filter(({ port }) => port === wrong.server.port).length, 0);
});

test('toWeb, toReadable, toResponse, lines and readInto work on a body of https', async (t) => {
  const { pool } = await servedSecurely(t, (_, response) => response.end('one\ntwo\nthree'));
  const get = (): Promise<HTTPResponse> => pool.request('GET', '/', { preloadContent: false });
  t.is(await (await get()).toResponse().text(), 'one\ntwo\nthree');
  const pieces: Buffer[] = [];
  for await (const piece of (await get()).toReadable()) pieces.push(piece as Buffer);
  t.is(Buffer.concat(pieces).toString(), 'one\ntwo\nthree');
  const lines: string[] = [];
  for await (const line of (await get()).lines()) lines.push(line.toString());
  t.is(lines.join('').replaceAll('\n', ''), 'onetwothree');
  const target = Buffer.alloc(64);
  const response = await get();
  let filled = 0;
  for (let n = -1; n !== 0; filled += n) n = await response.readInto(target.subarray(filled));
  t.is(target.toString('utf8', 0, filled), 'one\ntwo\nthree');
  t.is(pool.numConnections, 1);
});

test('a body that is not wanted: its connection goes, and the next request has another', async (t) => {
  const { pool } = await servedSecurely(t, (_, response) => response.end(Buffer.alloc(50 * 1_048_576)));
  const response = await pool.request('GET', '/', { preloadContent: false });
  await response.read(10);
  response.close();
  t.is((await pool.request('GET', '/', { accept: () => false })).data.length, 0);
  t.true(pool.numConnections >= 2);
});

test('an answer that is no HTTP is a ProtocolError, as over http', async (t) => {
  const { pool } = await secured(t, async (peer) => {
    await peer.request();
    await peer.write('no HTTP at all\r\n\r\n');
    peer.end();
  });
  t.like(await rejection(pool.request('GET', '/'), ProtocolError), { code: 'ERR_PROTOCOL', phase: 'headers' });
});

test('through a relay that cuts at once: an end in the middle of anything is an error in its phase', async (t) => {
  const { server } = await secured(t, async (peer) => {
    await peer.request();
    await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf');
  });
  const middle = await relayed(t, server.port);
  const pool = securePool(t, middle.port);
  const response = await pool.request('GET', '/', { preloadContent: false });
  t.is((await response.read1(4)).toString(), 'half');
  middle.cut();
  t.like(await rejection(response.read(), ProtocolError), { code: 'ERR_INCOMPLETE_READ' });
  t.true(pool instanceof HTTPSConnectionPool);
});

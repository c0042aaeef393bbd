/** One connection outside a pool: when its promises come, what it says of itself, and that one answer belongs to one request. */
import { once } from 'node:events';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { inspect } from 'node:util';
import test, { type ExecutionContext } from 'ava';

import {
  HTTPConnection,
  HTTPResponse,
  HTTPSConnection,
  NewConnectionError,
  ProtocolError,
  ReadTimeoutError,
  ResponseNotReady,
  SSLError,
  type ConnectionOptions,
  type ConnectionRequestOptions,
  type TLSOptions,
} from '../index.ts';
import { rawServer, reply, type RawServer, type Script } from './servers/raw.ts';
import { tlsServer } from './servers/tls.ts';
import { closedPort, rejection } from './support/fixtures.ts';
import { usual } from './support/pki.ts';
import { greets } from './support/secure.ts';

/** A connection to a script; both end with the test. */
async function connected(
  t: ExecutionContext,
  script: Script,
  options: ConnectionOptions = {},
): Promise<{ connection: HTTPConnection; server: RawServer }> {
  const server = await rawServer(script);
  const connection = new HTTPConnection('127.0.0.1', { port: server.port, ...options });
  t.teardown(async () => {
    await connection.close();
    await server.close();
  });
  return { connection, server };
}

/** Answers each request with its own target. */
const echoes: Script = async (peer) => {
  for (;;) {
    const [, target = ''] = (await peer.request()).split(' ', 2);
    await peer.write(reply(target));
  }
};

const notReady = { instanceOf: ResponseNotReady, code: 'ERR_NOT_READY' } as const;

test('CONN-01: connect, request, getResponse and close', async (t) => {
  const { connection, server } = await connected(t, echoes);
  await connection.connect();
  await server.peer(1);
  t.is(server.peers[0]?.received.length, 0);
  await connection.connect();
  t.is(await connection.request('GET', '/a?b'), undefined);
  const response = await connection.getResponse();
  t.true(response instanceof HTTPResponse);
  t.is(response.text(), '/a?b');
  t.is(response.url, `http://127.0.0.1:${server.port}/a?b`);
  t.like(response.connection, { reused: false, protocol: 'http/1.1', tls: null });
  await connection.request('GET', '/c');
  t.is((await connection.getResponse()).text(), '/c');
  t.is(server.peers.length, 1);
  await connection.close();
  await server.peers[0]?.gone();
});

test('CONN-01: ports, socket options and names', (t) => {
  t.deepEqual([HTTPConnection.defaultPort, HTTPSConnection.defaultPort], [80, 443]);
  t.deepEqual(
    [HTTPConnection, HTTPSConnection].map((type) => type.defaultSocketOptions),
    [{ noDelay: true }, { noDelay: true }],
  );
  t.throws(() => Object.assign(HTTPConnection.defaultSocketOptions, { noDelay: false }), { instanceOf: TypeError });
  const plain = new HTTPConnection('LocalHost', { timeout: 2_000 });
  t.like(plain, { host: 'localhost', port: 80, timeout: { connectTimeout: 2_000 } });
  t.is(String(plain), "HTTPConnection(host='localhost', port=80)");
  t.is(inspect(plain), String(plain));
  t.is(new HTTPConnection('[::1]', { port: 0 }).port, 0);
  t.is(new HTTPConnection('::1').host, '::1');
});

test('CONN-01 MGR-11: options of pools, of TLS over http, and of other requests are refused', async (t) => {
  const refused = { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' } as const;
  for (const name of ['maxsize', 'block', 'retries', 'rate', 'pauseOn', 'idleTimeout', 'maxAge', 'caCerts', 'jar']) {
    const message = new RegExp(`a connection has no option '${name}'`);
    t.throws(() => new HTTPConnection('h', { [name]: 1 }), { ...refused, message });
  }
  t.throws(() => new HTTPConnection('h', { timeout: 'x' as never }), { instanceOf: TypeError });
  t.throws(() => new HTTPConnection('', {}), { name: 'LocationValueError' });
  t.throws(() => new HTTPConnection('h', { headers: { 'a b': 'c' } }), { name: 'InvalidHeader' });
  const { connection, server } = await connected(t, echoes);
  for (const name of ['retries', 'redirect', 'fields', 'poolTimeout', 'assertSameHost', 'accept', 'releaseConn']) {
    const options = { [name]: true } as ConnectionRequestOptions;
    const message = new RegExp(`a request on a connection has no option '${name}'`);
    await t.throwsAsync(connection.request('GET', '/', options), { ...refused, message });
  }
  await t.throwsAsync(connection.request('GET', `http://127.0.0.1:${server.port + 1}/`), { name: 'HostChangedError' });
  await t.throwsAsync(connection.request('G ET', '/'), { code: 'ERR_INVALID_METHOD' });
  await t.throwsAsync(connection.getResponse(), notReady);
  t.is(server.peers.length, 0);
});

test('CONN-01: request resolves when the request is out, getResponse when the answer is here', async (t) => {
  let answer = (): void => undefined;
  const answered = new Promise<void>((resolve) => (answer = resolve));
  const { connection, server } = await connected(t, async (peer) => {
    const asked = await peer.request();
    await answered;
    await peer.write(reply(asked.split('\r\n\r\n')[1] ?? ''));
    await peer.gone();
  });
  // Whoever waited for the answer here would wait for ever.
  await connection.request('POST', '/', { body: 'x'.repeat(100_000) });
  const peer = await server.peer(1);
  await peer.bytes(100_000);
  const response = connection.getResponse();
  answer();
  t.is((await response).data.length, 100_000);
});

test('CONN-01: a body in pieces is out when its last piece is', async (t) => {
  let more = (): void => undefined;
  // There before it is waited for: the first piece may be with the server before the second one is asked for.
  const wanted = new Promise<void>((resolve) => (more = resolve));
  const { connection, server } = await connected(t, echoes);
  async function* body(): AsyncGenerator<string> {
    yield 'a';
    await wanted;
    yield 'b';
  }
  let isOut = false;
  const sent = connection.request('POST', '/', { body: body() }).then(() => (isOut = true));
  const peer = await server.peer(1);
  while (!peer.received.includes('\r\n\r\n1\r\na\r\n')) await peer.bytes(peer.received.length + 1);
  t.false(isOut);
  more();
  await sent;
  t.is((await connection.getResponse()).text(), '/');
  t.true(peer.received.toString('latin1').endsWith('\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n'));
});

test('CONN-01: an answer before the request is out lets request go, and is the answer', async (t) => {
  const { connection } = await connected(t, async (peer) => {
    await peer.bytes(1);
    await peer.write('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno');
    await peer.gone();
  });
  async function* endless(): AsyncGenerator<string> {
    yield 'a';
    await new Promise(() => undefined);
  }
  await connection.request('POST', '/', { body: endless() });
  const response = await connection.getResponse();
  t.is(response.status, 413);
  t.is(response.text(), 'no');
});

test('CONN-02: without a request there is no response, and only one for each', async (t) => {
  const { connection, server } = await connected(t, echoes);
  await t.throwsAsync(connection.getResponse(), notReady);
  await connection.connect();
  await t.throwsAsync(connection.getResponse(), notReady);
  await connection.request('GET', '/a');
  const body = Readable.from(['later']);
  await t.throwsAsync(connection.request('PUT', '/b', { body }), { ...notReady, message: /call getResponse\(\)/ });
  // It can be sent when its turn has come.
  t.false(body.destroyed);
  body.destroy();
  t.is((await connection.getResponse()).text(), '/a');
  await t.throwsAsync(connection.getResponse(), notReady);
  await connection.request('GET', '/c');
  t.is((await connection.getResponse()).text(), '/c');
  t.is(server.peers.length, 1);
});

test('CONN-02: one that is asked for at once is the request’s that was made before', async (t) => {
  const { connection } = await connected(t, echoes);
  const sent = connection.request('GET', '/a');
  const response = connection.getResponse();
  await sent;
  t.is((await response).text(), '/a');
});

test('CONN-02 CONN-05: a body that is not read holds the connection; drained, read or closed it makes room', async (t) => {
  const { connection, server } = await connected(t, echoes);
  for (const [nth, makeRoom] of [
    (response: HTTPResponse): Promise<unknown> => response.drainConn(),
    (response: HTTPResponse): Promise<unknown> => response.read(),
    async (response: HTTPResponse): Promise<unknown> => {
      for await (const piece of response) t.true(piece.length > 0);
      return null;
    },
  ].entries()) {
    await connection.request('GET', `/${nth}`, { preloadContent: false });
    const response = await connection.getResponse();
    t.false(response.closed);
    await t.throwsAsync(connection.request('GET', '/x'), { ...notReady, message: /drainConn\(\)/ });
    await makeRoom(response);
    t.true(response.closed);
  }
  await connection.request('GET', '/last');
  const last = await connection.getResponse();
  t.deepEqual([last.text(), last.connection?.reused, server.peers.length], ['/last', true, 1]);
  await connection.request('GET', '/closed', { preloadContent: false });
  (await connection.getResponse()).close();
  await connection.request('GET', '/after');
  t.is((await connection.getResponse()).text(), '/after');
});

test('CONN-03: closed before, connected meanwhile, closed after', async (t) => {
  const { connection, server } = await connected(t, echoes);
  const state = (): unknown[] => {
    const { isClosed, isConnected, isVerified, proxyIsVerified } = connection;
    const { hasConnectedToProxy, proxyIsForwarding, proxyIsTunneling } = connection;
    return [
      isClosed,
      isConnected,
      isVerified,
      proxyIsVerified,
      hasConnectedToProxy,
      proxyIsForwarding,
      proxyIsTunneling,
    ];
  };
  const shut = [true, false, false, null, false, false, false];
  const open = [false, true, false, null, false, false, false];
  t.deepEqual(state(), shut);
  const connecting = connection.connect();
  t.deepEqual(state(), shut);
  await connecting;
  t.deepEqual(state(), open);
  await connection.request('GET', '/', { preloadContent: false });
  t.deepEqual(state(), open);
  const response = await connection.getResponse();
  t.deepEqual(state(), open);
  await response.read();
  t.deepEqual(state(), open);
  const closing = connection.close();
  t.deepEqual(state(), shut);
  await closing;
  await connection.close();
  t.deepEqual(state(), shut);
  await connection.request('GET', '/again');
  t.is((await connection.getResponse()).text(), '/again');
  t.deepEqual(state(), open);
  t.is(server.peers.length, 2);
});

test('CONN-03: a server that closes leaves it closed, and the next request opens another', async (t) => {
  const { connection, server } = await connected(t, async (peer) => {
    await peer.request();
    await peer.write(reply(String(peer.number), 'HTTP/1.1 200 OK\r\nConnection: close\r\n'));
    peer.end();
  });
  for (const number of ['1', '2']) {
    await connection.request('GET', '/');
    t.is((await connection.getResponse()).text(), number);
    t.true(connection.isClosed);
  }
  t.is(server.peers.length, 2);
});

test('CONN-03 H2-04: close cuts off what is under way, and rejects nothing that nobody waits for', async (t) => {
  const { connection, server } = await connected(t, async (peer) => {
    await peer.request();
    if (peer.number === 2) await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    await peer.gone();
  });
  await connection.request('GET', '/');
  await connection.close();
  await (await server.peer(1)).gone();
  await t.throwsAsync(connection.getResponse(), notReady);
  await connection.request('GET', '/', { preloadContent: false });
  const response = await connection.getResponse();
  const reading = rejection(response.read(), Error);
  await connection.close();
  t.truthy((await reading).message);
  await (await server.peer(2)).gone();
  {
    await using third = new HTTPConnection('127.0.0.1', { port: server.port });
    await third.connect();
    t.true(third.isConnected);
  }
  await (await server.peer(3)).gone();
});

test('CONN-01: a dial that fails is the request’s error, in the connection’s name; there is no response then', async (t) => {
  const port = await closedPort(t);
  const connection = new HTTPConnection('127.0.0.1', { port });
  for (const opening of [() => connection.connect(), () => connection.request('GET', '/')]) {
    const error = await rejection(opening(), NewConnectionError);
    t.is(error.code, 'ECONNREFUSED');
    t.true(connection.isClosed);
    await t.throwsAsync(connection.getResponse(), notReady);
  }
  const { message } = await rejection(connection.request('GET', '/'), NewConnectionError);
  t.true(message.startsWith(`HTTPConnection(host='127.0.0.1', port=${port}): `), message);
});

test('CONN-01: what fails once the request is out is the response’s error; nothing is tried again', async (t) => {
  const { connection, server } = await connected(t, async (peer) => {
    await peer.request();
    if (peer.number === 1) peer.end();
    else await peer.gone();
  });
  await connection.request('GET', '/');
  t.is((await rejection(connection.getResponse(), ProtocolError)).attempts, 1);
  await t.throwsAsync(connection.getResponse(), notReady);
  await connection.request('GET', '/', { timeout: { read: 500 } });
  await rejection(connection.getResponse(), ReadTimeoutError);
  await server.peer(2);
  t.is(server.peers.length, 2);
});

test('CONN-01: an abort ends the request, or what it has become', async (t) => {
  const { connection } = await connected(t, async (peer) => {
    await peer.request();
    await peer.gone();
  });
  const reason = new Error('enough');
  await t.throwsAsync(connection.request('GET', '/', { signal: AbortSignal.abort(reason) }), { is: reason });
  const aborter = new AbortController();
  await connection.request('GET', '/', { signal: aborter.signal });
  const response = connection.getResponse();
  aborter.abort(reason);
  await t.throwsAsync(response, { is: reason });
});

test('REDIR-01 RETRY-09: redirects and failures are answers like any other', async (t) => {
  const { connection, server } = await connected(t, async (peer) => {
    for (const head of ['302 Found\r\nLocation: /x', '503 Busy\r\nRetry-After: 0']) {
      await peer.request();
      await peer.write(reply('', `HTTP/1.1 ${head}\r\n`));
    }
  });
  for (const status of [302, 503]) {
    await connection.request('GET', '/');
    t.is((await connection.getResponse()).status, status);
  }
  t.is(server.peers.length, 1);
});

test('CONN-06: a host’s trailing dot is asked for by name, and is in no Host', async (t) => {
  const server = await rawServer(async (peer) => {
    for (;;) await peer.write(reply(/^Host: (.*)\r$/im.exec(await peer.request())?.[1] ?? ''));
  });
  const asked: string[] = [];
  const connection = new HTTPConnection('name.test.', {
    port: server.port,
    resolve: (host) => {
      asked.push(host);
      return '127.0.0.1';
    },
  });
  await connection.request('GET', '/');
  t.is((await connection.getResponse()).text(), `name.test:${server.port}`);
  t.deepEqual(asked, ['name.test.']);
  await connection.close();
  await server.close();
});

test('CONN-07: addresses are tried in their order, and the one that took the connection is told', async (t) => {
  const { connection } = await connected(t, echoes, { resolve: () => ['127.0.0.9', '127.0.0.1'] });
  await connection.close();
  const named = new HTTPConnection('name.test', { port: connection.port, resolve: () => ['127.0.0.9', '127.0.0.1'] });
  await named.request('GET', '/');
  const tried = (await named.getResponse()).connection?.triedAddresses ?? [];
  t.deepEqual(
    tried.map(({ address, error }) => [address.replace(/:\d+$/, ''), /refused/.test(error ?? '')]),
    [
      ['127.0.0.9', true],
      ['127.0.0.1', false],
    ],
  );
  await named.close();
});

test('CONN-08: what urllib3 has deprecated is not there', (t) => {
  const connection = new HTTPConnection('h');
  for (const name of ['requestChunked', 'setCert', 'putrequest', 'endheaders']) t.false(name in connection, name);
});

/** A connection over TLS to `localhost`, whose usual certificate it trusts unless it is told otherwise. */
function securely(
  t: ExecutionContext,
  port: number,
  options: ConnectionOptions & TLSOptions = { caCertData: usual().ca.pem },
): HTTPSConnection {
  const connection = new HTTPSConnection('localhost', { port, resolve: { localhost: '127.0.0.1' }, ...options });
  t.teardown(() => connection.close());
  return connection;
}

test('CONN-01 CONN-03 TLS-21: over TLS a connection is verified while there is one', async (t) => {
  const server = await tlsServer(greets);
  t.teardown(() => server.close());
  const connection = securely(t, server.port);
  t.is(String(connection), `HTTPSConnection(host='localhost', port=${server.port})`);
  t.is(new HTTPSConnection('h').port, 443);
  t.deepEqual([connection.isVerified, connection.isConnected], [false, false]);
  await connection.connect();
  t.deepEqual([connection.isVerified, connection.isConnected, connection.proxyIsVerified], [true, true, null]);
  await connection.request('GET', '/');
  const response = await connection.getResponse();
  t.is(response.text(), 'ok');
  t.like(response.connection, {
    protocol: 'http/1.1',
    tls: { verified: true, serverName: 'localhost', resumed: false },
  });
  await connection.close();
  t.deepEqual([connection.isVerified, connection.isConnected], [false, false]);
});

test('CONN-03: a connection that is still being made is none', async (t) => {
  // Takes the hello, and says nothing.
  const server = await rawServer((peer) => peer.gone());
  const connection = securely(t, server.port);
  for (const [nth, opening] of [() => connection.connect(), () => connection.request('GET', '/')].entries()) {
    const outcome = rejection(opening(), Error);
    await (await server.peer(nth + 1)).bytes(1);
    t.deepEqual([connection.isClosed, connection.isConnected, connection.isVerified], [true, false, false]);
    await connection.close();
    await outcome;
  }
  await server.close();
});

test('TLS-21 CONN-03: unverified is not verified, but by a fingerprint', async (t) => {
  const server = await tlsServer(greets);
  t.teardown(() => server.close());
  const assertFingerprint = usual().leaf.fingerprint('sha256');
  for (const [options, isVerified] of [
    [{ certReqs: 'none' }, false],
    [{ certReqs: 'CERT_NONE' }, false],
    [{ certReqs: 'none', assertFingerprint }, true],
    [{ caCertData: usual().ca.pem, assertHostname: false }, true],
  ] as const) {
    const connection = securely(t, server.port, options);
    await connection.request('GET', '/');
    const { connection: facts } = await connection.getResponse();
    t.is(connection.isVerified, isVerified, JSON.stringify(options));
    t.is(facts?.tls?.verified, isVerified, JSON.stringify(options));
  }
});

test('CONN-01 TLS-01: who is not trusted is sent nothing, and the request says so', async (t) => {
  const server = await tlsServer(greets);
  t.teardown(() => server.close());
  const connection = securely(t, server.port, { caCertData: usual().stranger.pem });
  for (const opening of [() => connection.connect(), () => connection.request('GET', '/')]) {
    const error = await rejection(opening(), SSLError);
    t.like(error, {
      code: 'ERR_TLS',
      reason: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      assertedName: 'localhost',
      sent: false,
    });
    const { sha256 = '' } = error.chain[0] ?? {};
    t.is(sha256.replaceAll(':', '').toLowerCase(), usual().leaf.fingerprint('sha256'));
    t.deepEqual([connection.isClosed, connection.isVerified], [true, false]);
    await t.throwsAsync(connection.getResponse(), notReady);
  }
  t.is(server.received, 0);
});

test('CONN-01 H2-04: one request at a time over HTTP/2 too', async (t) => {
  const server = createSecureServer({ ...usual().leaf.identity }, (request, response) => {
    response.end(request.url);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  let sessions = 0;
  server.on('session', () => (sessions += 1));
  const { port } = server.address() as AddressInfo;
  const connection = securely(t, port, { caCertData: usual().ca.pem, http2: true });
  for (const path of ['/a', '/b']) {
    await connection.request('GET', path, { preloadContent: false });
    const response = await connection.getResponse();
    t.like(response, { version: 20, versionString: 'HTTP/2', reason: null });
    t.is(response.connection?.protocol, 'h2');
    await t.throwsAsync(connection.request('GET', '/c'), notReady);
    t.is((await response.read()).toString(), path);
  }
  t.is(sessions, 1);
  await connection.close();
  t.true(connection.isClosed);
  server.close();
});

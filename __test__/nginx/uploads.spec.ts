/**
 * What nginx is sent: bodies with a length and in chunks, handed on to a server behind it or put into a file, bodies that
 * it refuses early, and heads that are too long for it.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';

import type { HTTPResponse } from '../../index.ts';
import { httpServer } from '../servers/http.ts';
import { overNginx, type Fixture } from '../support/fixtures.ts';
import type { Nginx } from '../servers/nginx.ts';

const SIZES = [0, 1, 16_384, 1 << 20];

for (const chunked of [false, true]) {
  test.serial(
    `a POST ${chunked ? 'in chunks' : 'with its length'} reaches the server behind nginx and comes back`,
    async (t) => {
      const { pool } = await echoing(t);
      for (const [turn, size] of SIZES.entries()) {
        const body = randomBytes(size);
        const response = await pool.request('POST', '/echo', { body, chunked });
        t.is(response.status, 200);
        t.true(response.data.equals(body));
        t.is(response.headers.get('x-got'), `POST with ${size}`, 'nginx measured what came');
        t.is(response.headers.get('x-request'), String(turn + 1));
      }
      t.is(pool.stats().opened, 1);
    },
  );

  test.serial(`a PUT ${chunked ? 'in chunks' : 'with its length'} is the file that a GET finds`, async (t) => {
    const { pool } = await overNginx(t, {
      server: `client_max_body_size 8m; location / { dav_methods PUT DELETE; create_full_put_path on; root client_body; }`,
    });
    for (const size of SIZES) {
      const body = randomBytes(size);
      t.is((await pool.request('PUT', '/kept', { body, chunked })).status, size === 0 ? 201 : 204);
      t.true((await pool.request('GET', '/kept')).data.equals(body));
    }
    t.is((await pool.request('DELETE', '/kept')).status, 204);
    t.is((await pool.request('GET', '/kept')).status, 404);
    t.is(pool.stats().opened, 1);
  });
}

test.serial('a request buffer that is passed on as it comes is passed on whole', async (t) => {
  const { pool } = await echoing(t, 'proxy_request_buffering off; proxy_http_version 1.1;');
  const body = randomBytes(1 << 20);
  for (const chunked of [false, true]) {
    const { data, status } = await pool.request('POST', '/echo', { body, chunked });
    t.is(status, 200);
    t.true(data.equals(body));
  }
});

test.serial(
  'THR-317: the 413 of a body that is too long is delivered, and the connection is not used again',
  async (t) => {
    const { pool } = await overNginx(t, { server: 'client_max_body_size 1k; location / { return 200 fine; }' });
    for (let turn = 1; turn <= 20; turn += 1) {
      const refused = await pool.request('POST', '/', { body: Buffer.alloc(1 << 20) });
      tooLarge(t, refused);
      t.is(pool.stats().idle, 0);
      const fine = await pool.request('POST', '/', { body: Buffer.alloc(1_000) });
      t.is(fine.status, 200);
      t.false(fine.connection?.reused);
      // It is given to the next turn's refusal: one on a fresh connection, the others on a reused one.
      t.is(pool.stats().idle, 1);
    }
    const { opened, closed, errors, staleReplays } = pool.stats();
    t.deepEqual({ opened, closed, errors, staleReplays }, { opened: 21, closed: 20, errors: {}, staleReplays: 0 });
  },
);

test.serial('THR-317: an upload of 64 MiB stops at the early 413', async (t) => {
  const relay = await counting(t);
  const { pool, server } = await overNginx(t, { server: 'client_max_body_size 1k;' }, { port: relay.port });
  relay.to = server.port;
  const size = 64 << 20;
  const refused = await pool.request('POST', '/', { body: Buffer.alloc(size) });
  tooLarge(t, refused);
  const { idle, closed } = pool.stats();
  t.deepEqual({ idle, closed }, { idle: 0, closed: 1 });
  const sent = await relay.sent;
  t.true(sent < size / 2, `${sent} bytes of ${size} went out before the client closed the connection`);
});

test.serial('the 413 of a body in chunks that turns out too long is delivered', async (t) => {
  const { pool, server } = await echoing(t, 'client_max_body_size 64k;');
  for (let turn = 1; turn <= 10; turn += 1) {
    tooLarge(t, await pool.request('POST', '/echo', { body: Buffer.alloc(1 << 20), chunked: true }));
    t.is(pool.stats().idle, 0);
  }
  t.is((await pool.request('POST', '/echo', { body: 'short', chunked: true })).data.toString(), 'short');
  t.deepEqual(pool.stats().errors, {});
  await server.reload();
  t.is(server.answered.filter((line) => line === 'POST /echo 413').length, 10, 'none was sent twice');
});

test.serial('a target that is too long for nginx is its 414, a field its 400', async (t) => {
  const { pool } = await overNginx(t, {
    server: 'client_header_buffer_size 512; large_client_header_buffers 2 1k; location / { return 200 fine; }',
  });
  const refusals: [number, RegExp, () => Promise<HTTPResponse>][] = [
    [414, /414 Request-URI Too Large/, () => pool.request('GET', `/${'a'.repeat(3_000)}`)],
    [
      400,
      /Request Header Or Cookie Too Large/,
      () => pool.request('GET', '/', { headers: { cookie: 'c'.repeat(3_000) } }),
    ],
    [400, /Request Header Or Cookie Too Large/, () => pool.request('GET', '/', { headers: many(40, 100) })],
  ];
  for (let turn = 1; turn <= 10; turn += 1) {
    for (const [status, says, ask] of refusals) {
      const refused = await ask();
      t.is(refused.status, status);
      t.regex(refused.data.toString(), says);
      t.is(refused.headers.get('connection'), 'close');
      t.is(pool.stats().idle, 0);
    }
    t.is((await pool.request('GET', '/', { headers: many(10, 30) })).data.toString(), 'fine');
  }
  const { opened, errors } = pool.stats();
  t.deepEqual({ opened, errors }, { opened: 31, errors: {} });
});

/** A pool over an nginx that hands everything on to a server that answers with what it was sent. */
async function echoing(t: ExecutionContext, directives = ''): Promise<Fixture<Nginx>> {
  const upstream = await httpServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const body = Buffer.concat(pieces);
      const announced = request.headers['content-length'] ?? '0';
      response.setHeader('X-Got', `${request.method} with ${announced}`);
      response.end(body);
    });
  });
  t.teardown(() => upstream.close());
  return overNginx(t, {
    server: `client_max_body_size 8m; location / { proxy_pass http://127.0.0.1:${upstream.port}; ${directives} }`,
  });
}

/** What stands between a client and nginx and counts. */
interface Relay {
  readonly port: number;
  /** The port that it relays to. */
  to: number;
  /** The bytes that the first connection's client sent, once that has closed. */
  readonly sent: Promise<number>;
}

async function counting(t: ExecutionContext): Promise<Relay> {
  const listener = net.createServer({ allowHalfOpen: true });
  const sockets: net.Socket[] = [];
  let relay: Relay | null = null;
  const sent = new Promise<number>((resolve) => {
    listener.on('connection', (client) => {
      const upstream = net.connect(relay?.to ?? 0, '127.0.0.1');
      sockets.push(client, upstream);
      // Either end may be reset; what was sent until then is what is asked for.
      client.on('error', () => {}).on('close', () => resolve(client.bytesRead));
      upstream.on('error', () => {}).pipe(client);
      client.on('data', (piece) => upstream.write(piece)).on('end', () => client.destroy());
    });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    const closed = once(listener, 'close');
    listener.close();
    await closed;
  });
  relay = { port: (listener.address() as net.AddressInfo).port, to: 0, sent };
  return relay;
}

/** So many fields of so many bytes. */
function many(count: number, length: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, nth) => [`X-Field-${nth}`, 'v'.repeat(length)]));
}

function tooLarge(t: ExecutionContext, response: HTTPResponse): void {
  t.is(response.status, 413);
  t.is(response.reason, 'Request Entity Too Large');
  t.regex(response.data.toString(), /413 Request Entity Too Large/);
  t.is(response.headers.get('connection'), 'close');
  t.is(response.attempts, 1);
}

/** What a server can do with redirects that is meant to hurt: bodies without end, uploads under way, heads without end, waits. */
import { Readable } from 'node:stream';

import test from 'ava';

import { HTTPConnectionPool, MaxRetryError, Retry, UnrewindableBodyError } from '../index.ts';
import { reply, type Peer } from './servers/raw.ts';
import { rejection, target } from './support/fixtures.ts';
import { codeOf, following, leads, pastOf, world } from './support/origins.ts';
import { clocked, within } from './support/clocked.ts';

const OK = reply('end');
const MiB = 1024 * 1024;

/** Writes as fast as the client takes it, until it is gone; how much that was. */
async function floods(peer: Peer, chunk: Buffer): Promise<number> {
  let sent = 0;
  while (!peer.ended && !peer.socket.destroyed) {
    await peer.write(chunk);
    sent += chunk.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return sent;
}

test('REDIR-07 POOL-21: a redirect whose body does not end costs 256 KiB and a connection, and the hop goes on', async (t) => {
  const block = Buffer.alloc(64 * 1024, 'x');
  const chunk = Buffer.concat([Buffer.from('10000\r\n'), block, Buffer.from('\r\n')]);
  for (const [framing, piece] of [
    ['Transfer-Encoding: chunked', chunk],
    ['Connection: close', block],
    ['Content-Length: 1000000000000', block],
    ['Transfer-Encoding: chunked\r\nContent-Encoding: gzip', chunk],
  ] as const) {
    const flooded: Promise<number>[] = [];
    const { pool, server } = await following(
      t,
      async (peer) => {
        for (;;) {
          if (target(await peer.request()) === '/1') {
            await peer.write(OK);
            continue;
          }
          await peer.write(`HTTP/1.1 302 Moved\r\nLocation: /1\r\n${framing}\r\n\r\n`);
          flooded.push(floods(peer, piece));
          return;
        }
      },
      { maxsize: 1, block: true },
    );
    const began = performance.now();
    const response = await pool.request('GET', '/0');
    t.is(response.data.toString(), 'end', framing);
    // One that waited for the end would wait for ever.
    t.true(performance.now() - began < 30_000, framing);
    t.is(server.peers.length, 2, framing);
    await server.peers[0]?.gone();
    // What the kernel has taken on top of what was read.
    t.true(
      (await Promise.all(flooded)).every((bytes) => bytes < 16 * MiB),
      framing,
    );
    t.true(pool.stats().wireBytesIn < 2 * MiB, `${framing}: ${pool.stats().wireBytesIn}`);
    t.is(pool.stats().abandoned, 1);
  }
});

clocked('REDIR-07 POOL-21: a redirect whose body drips is left after half a second', async (t) => {
  let dripping: NodeJS.Timeout | undefined;
  t.teardown(() => clearInterval(dripping));
  const { pool, server } = await following(t, async (peer) => {
    if (target(await peer.request()) === '/1') return peer.write(OK);
    await peer.write('HTTP/1.1 302 Moved\r\nLocation: /1\r\nContent-Length: 10000\r\n\r\n');
    dripping = setInterval(() => void peer.write('x'), 20);
    return peer.gone();
  });
  const began = performance.now();
  t.is((await pool.request('GET', '/0', { timeout: { read: 10_000 } })).data.toString(), 'end');
  const took = performance.now() - began;
  within(t, took > 450 && took < 3_000, String(took));
  await server.peers[0]?.gone();
  t.is(server.peers.length, 2);
});

test('REDIR-07: a redirect that says nothing of its body is still bounded by total', async (t) => {
  const { pool } = await following(t, async (peer) => {
    await peer.request();
    await peer.write('HTTP/1.1 302 Moved\r\nLocation: /1\r\nContent-Length: 10\r\n\r\n');
    return peer.gone();
  });
  const error: unknown = await pool
    .request('GET', '/0', { timeout: { total: 120 } as never })
    .catch((why: unknown) => why);
  t.is(codeOf(error), 'ERR_TOTAL_TIMEOUT');
  t.is(pool.stats().leased, 0);
});

clocked('THR-607: total is one deadline over the whole chain, however quick each hop is', async (t) => {
  const one = await world(t, {
    'a.example': async () => {
      await new Promise((resolve) => setTimeout(resolve, 25));
      return leads('/again');
    },
  });
  const began = performance.now();
  const error: unknown = await one.manager
    .request('GET', 'http://a.example/0', { retries: new Retry({ total: 1_000 }), timeout: { total: 500 } as never })
    .catch((why: unknown) => why);
  t.is(codeOf(error), 'ERR_TOTAL_TIMEOUT');
  within(t, pastOf(error as Error).length > 1);
  within(t, performance.now() - began < 2_000);
});

test('THR-607: an abort in mid-chain ends it, and a Retry-After between two hops is waited for and can be cut', async (t) => {
  const cut = new AbortController();
  const one = await world(t, {
    'a.example': ({ target: path }) => {
      if (path === '/2') {
        cut.abort();
        return null;
      }
      return path === '/wait'
        ? leads('/end', 302, 'Retry-After: 3600\r\n')
        : path === '/end'
          ? OK
          : leads(`/${Number(path.slice(1)) + 1}`);
    },
  });
  const aborted: unknown = await one.manager
    .request('GET', 'http://a.example/0', { signal: cut.signal })
    .catch((why: unknown) => why);
  t.is(aborted, cut.signal.reason);
  t.is(one.asked.length, 3);
  const waiting: unknown = await one.manager
    .request('GET', 'http://a.example/wait', { timeout: { total: 100 } as never })
    .catch((why: unknown) => why);
  t.is(codeOf(waiting), 'ERR_TOTAL_TIMEOUT');
  const heedless = new Retry({ respectRetryAfterHeader: false });
  t.is((await one.manager.request('GET', 'http://a.example/wait', { retries: heedless })).status, 200);
});

test('THR-608 BODY-16: a redirect while the upload is still under way: a 303 leaves the rest, a 307 begins again or ends', async (t) => {
  let status = 303;
  const received: number[] = [];
  const { pool, server } = await following(
    t,
    async (peer) => {
      // The head and some of the body are enough to answer.
      if (target(await headOf(peer)) === '/0') {
        await peer.write(leads('/1', status));
        await peer.gone();
        received.push(peer.received.length);
        return;
      }
      if (peer.received.toString('latin1', 0, 4) === 'POST') await wholeOf(peer);
      peer.end(reply('end', 'HTTP/1.1 200 OK\r\nConnection: close\r\n'));
    },
    { maxsize: 4 },
  );
  let pulled = 0;
  const slow = (): Readable =>
    Readable.from(
      (async function* () {
        for (let n = 0; n < 200; n += 1) {
          pulled += 1;
          yield Buffer.alloc(64 * 1024, 'x');
          // All of it takes a second: the answer is here long before.
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      })(),
    );
  for (const body of [slow(), slow]) {
    pulled = 0;
    t.is((await pool.request('POST', '/0', { body })).data.toString(), 'end');
    const after = pulled;
    t.true(after < 200, 'the rest of the body was not asked for');
    await new Promise((resolve) => setTimeout(resolve, 50));
    t.true(pulled <= after + 1, 'and nothing of it later');
  }
  t.regex((await server.peer(2)).received.toString(), /^GET \/1 /);
  status = 307;
  await rejection(pool.request('POST', '/0', { body: slow() }), UnrewindableBodyError);
  t.is((await pool.request('POST', '/0', { body: slow })).data.toString(), 'end');
  const last = server.peers.at(-1)?.received.toString('latin1') ?? '';
  t.regex(last, /^POST \/1 /);
  t.is(last.split('x').length - 1, 200 * 64 * 1024, 'the whole body, from its beginning');
});

/** Waits for a head, whatever its body; gives the bytes so far. */
async function headOf(peer: Peer): Promise<string> {
  for (let least = 1; ; least = peer.received.length + 1) {
    await peer.bytes(least);
    const text = peer.received.toString('latin1');
    if (text.includes('\r\n\r\n')) return text;
  }
}

/** Waits for the last chunk. */
async function wholeOf(peer: Peer): Promise<void> {
  while (!peer.received.subarray(-7).equals(Buffer.from('\r\n0\r\n\r\n'))) await peer.bytes(peer.received.length + 1);
}

test('REDIR-01 THR-119: interim answers before a redirect are passed over, sixteen of them at most, with their Location', async (t) => {
  const hint = 'HTTP/1.1 103 Early Hints\r\nLocation: /evil\r\nLink: </x>\r\n\r\n';
  let interim = 1;
  const one = await world(t, {
    'a.example': ({ target: path }) => (path === '/0' ? hint.repeat(interim) + leads('/1') : hint + OK),
  });
  for (interim of [1, 16]) {
    one.asked.length = 0;
    t.is((await one.manager.request('GET', 'http://a.example/0')).url, 'http://a.example/1');
    t.deepEqual(one.asked.map(String), ['GET a.example/0', 'GET a.example/1']);
  }
  interim = 17;
  one.asked.length = 0;
  t.truthy(
    await one.manager.request('GET', 'http://a.example/0', { retries: false }).catch((why: unknown) => codeOf(why)),
  );
  t.is(one.asked.length, 1);
});

test('THR-101 THR-102: a redirect with more of a head than is allowed is an error, and not followed', async (t) => {
  for (const more of [`X-A: ${'x'.repeat(300 * 1024)}\r\n`, 'X-A: 1\r\n'.repeat(300)]) {
    const one = await world(t, { 'a.example': () => leads('/1', 302, more) }, { retries: 5 });
    const error: unknown = await one.manager.request('GET', 'http://a.example/0').catch((why: unknown) => why);
    t.is(codeOf(error), 'ERR_TOO_LARGE');
    t.is(one.asked.length, 1);
  }
});

test('THR-607: a loop through two origins ends as one does, and leaves no connection behind', async (t) => {
  const one = await world(t, {
    'a.example': () => leads('http://b.example/', 307, '', 'x'.repeat(1_000)),
    'b.example': () => leads('http://a.example/', 308, '', 'x'.repeat(1_000)),
  });
  const calls = Array.from({ length: 20 }, () =>
    rejection(
      one.manager.request('POST', 'http://a.example/', { body: 'b', retries: new Retry({ total: null }) }),
      MaxRetryError,
    ),
  );
  for (const error of await Promise.all(calls)) t.is(pastOf(error).length, 20);
  t.is(one.asked.length, 20 * 21);
  t.is(one.manager.stats().leased, 0);
});

test('THR-301: what follows a redirect on its connection is nobodys answer', async (t) => {
  // The answer to a request that was not made yet: it must not become the hops.
  const { pool, server } = await following(t, async (peer) => {
    for (;;) {
      const path = target(await peer.request());
      await peer.write(path === '/0' ? leads('/1') + reply('smuggled') : reply(`true ${path}`));
    }
  });
  for (let round = 0; round < 5; round += 1) t.is((await pool.request('GET', '/0')).data.toString(), 'true /1');
  t.is(server.peers.length, 6);
});

test('POOL-21: redirects under load: a pool that blocks gives its one connection from hop to hop, and none is lost', async (t) => {
  const one = await world(t, {
    'a.example': ({ target: path }) => {
      const [, id, hop] = path.split('/');
      return hop === '3' ? reply(`${id}`) : leads(`/${id}/${Number(hop) + 1}`, 302, '', 'body');
    },
  });
  const pool = new HTTPConnectionPool('a.example', { resolve: one.resolve, maxsize: 2, block: true });
  t.teardown(() => pool.close({ timeout: 0 }));
  const texts = await Promise.all(
    Array.from({ length: 60 }, async (_, n) => (await pool.request('GET', `/${n}/0`)).text()),
  );
  t.deepEqual(
    texts,
    Array.from({ length: 60 }, (_, n) => String(n)),
  );
  t.deepEqual([one.servers.get('a.example')?.peers.length, pool.stats().leased, pool.stats().idle], [2, 0, 2]);
});

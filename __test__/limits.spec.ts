/** What a response may cost: each limit at its edge and one past it, where it comes from, and what nobody may make us keep. */
import zlib from 'node:zlib';
import test from 'ava';

import { DecodeError, HTTPConnectionPool, ProtocolError, ResponseTooLarge } from '../index.ts';
import { alone } from './support/alone.ts';
import type { Peer } from './servers/raw.ts';
import { rejection, scripted, target } from './support/fixtures.ts';
import { clockedOnLinux, within } from './support/clocked.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const MIB = 1024 * 1024;

test('limits.headerBytes: a head of just so many bytes passes, one more does not; default 256 KiB', async (t) => {
  const { pool } = await scripted(t, async (peer) => {
    for (;;) {
      const bytes = Number(target(await peer.request()).slice(1));
      const empty = `${OK}Content-Length: 0\r\nX: \r\n\r\n`;
      await peer.write(empty.replace('X: ', `X: ${'x'.repeat(bytes - empty.length)}`));
    }
  });
  for (const [limits, most] of [
    [{ headerBytes: 1000 }, 1000],
    [null, 256 * 1024],
    // The parser of a connection has the room that its pool was made with: a request can have less of it, not more.
    [{ headerBytes: MIB }, 256 * 1024],
  ] as const) {
    const within = await pool.request('GET', `/${most}`, { limits });
    t.is(within.status, 200, String(most));
    const error = await rejection(pool.request('GET', `/${most + 1}`, { limits }), ResponseTooLarge);
    t.like(error, { code: 'ERR_TOO_LARGE', limit: 'headerBytes', allowed: most, phase: 'headers' });
  }
});

test('limits.headerCount: so many field lines pass, one more does not; default 256', async (t) => {
  const { pool } = await scripted(t, async (peer) => {
    for (;;) {
      const lines = Number(target(await peer.request()).slice(1));
      await peer.write(`${OK}Content-Length: 0\r\n${'X: y\r\n'.repeat(lines - 1)}\r\n`);
    }
  });
  for (const [limits, most] of [
    [{ headerCount: 10 }, 10],
    [null, 256],
    [{ headerCount: 10 }, 10],
  ] as const) {
    const within = await pool.request('GET', `/${most}`, { limits });
    t.is([...within.headers.items()].length, most);
    const error = await rejection(pool.request('GET', `/${most + 1}`, { limits }), ResponseTooLarge);
    t.like(error, { code: 'ERR_TOO_LARGE', limit: 'headerCount', allowed: most, phase: 'headers' });
  }
});

test('limits.headerBytes: a pool with more of them takes longer heads', async (t) => {
  const head = `${OK}Content-Length: 0\r\nX: ${'x'.repeat(MIB)}\r\n\r\n`;
  const replies = async (peer: Peer): Promise<void> => {
    for (;;) {
      await peer.request();
      await peer.write(head);
    }
  };
  const { pool } = await scripted(t, replies, { limits: { headerBytes: head.length } });
  t.is((await pool.request('GET', '/')).headers.get('x')?.length, MIB);
  const error = await rejection(pool.request('GET', '/', { limits: { headerBytes: MIB } }), ResponseTooLarge);
  t.like(error, { limit: 'headerBytes', allowed: MIB });
});

test('limits.headerCount: a pool with more of them takes heads that others refuse', async (t) => {
  const { pool } = await scripted(
    t,
    async (peer) => {
      for (;;) {
        await peer.request();
        await peer.write(`${OK}Content-Length: 0\r\n${'X: y\r\n'.repeat(999)}\r\n`);
      }
    },
    { limits: { headerCount: 1000 } },
  );
  t.is([...(await pool.request('GET', '/')).headers.items()].length, 1000);
  const error = await rejection(pool.request('GET', '/', { limits: { headerCount: 999 } }), ResponseTooLarge);
  t.is(error.allowed, 999);
});

const plain = 'x'.repeat(5000);
const gzip = zlib.gzipSync(plain);

/** 5,000 bytes: plain or compressed, by length, by chunks or by the end. */
const bodies: Record<string, string> = {
  '/length': `${OK}Content-Length: 5000\r\n\r\n${plain}`,
  '/chunks': `${OK}Transfer-Encoding: chunked\r\n\r\n1388\r\n${plain}\r\n0\r\n\r\n`,
  '/close': `${OK}\r\n${plain}`,
  '/gzip': `${OK}Content-Encoding: gzip\r\nContent-Length: ${gzip.length}\r\n\r\n${gzip.toString('latin1')}`,
};

async function script(peer: Peer): Promise<void> {
  for (;;) {
    const path = target(await peer.request());
    await peer.write(bodies[path] ?? '');
    if (path === '/close') peer.end();
  }
}

test('limits.decoded: bytes after decoding, however they are framed; null is none', async (t) => {
  const { pool } = await scripted(t, script, { limits: { decoded: 4999 } });
  for (const path of Object.keys(bodies)) {
    const error = await rejection(pool.request('GET', path), ResponseTooLarge);
    t.like(error, { code: 'ERR_TOO_LARGE', limit: 'decoded', allowed: 4999, phase: 'body', sent: true }, path);
    for (const decoded of [5000, null, Infinity]) {
      t.is((await pool.request('GET', path, { limits: { decoded } })).data.toString(), plain, `${path} ${decoded}`);
    }
  }
  // What is not decoded counts as it comes.
  t.is((await pool.request('GET', '/gzip', { decodeContent: false })).data.length, gzip.length);
});

test('limits.wire: bytes of the body as they came, before decoding; default none', async (t) => {
  const { pool } = await scripted(t, script);
  const least: Record<string, number> = { '/length': 5000, '/chunks': 5000, '/close': 5000, '/gzip': gzip.length };
  for (const [path, most] of Object.entries(least)) {
    const enough = await pool.request('GET', path, { limits: { wire: most } });
    t.is(enough.bytesRead, most, path);
    const error = await rejection(pool.request('GET', path, { limits: { wire: most - 1 } }), ResponseTooLarge);
    t.like(error, { code: 'ERR_TOO_LARGE', limit: 'wire', allowed: most - 1, phase: 'body' }, path);
    t.is((await pool.request('GET', path, { limits: { wire: null } })).data.toString(), plain);
  }
});

test('limits.ratio: judged once past 8 MiB; null is none', async (t) => {
  const large = Buffer.alloc(9 * MIB);
  const wire = zlib.gzipSync(large);
  const { pool } = await scripted(t, async (peer) => {
    for (;;) {
      const body = target(await peer.request()) === '/large' ? wire : gzip;
      await peer.write(`${OK}Content-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`);
      await peer.write(body);
    }
  });
  const error = await rejection(pool.request('GET', '/large', { limits: { ratio: 100 } }), ResponseTooLarge);
  t.like(error, { code: 'ERR_TOO_LARGE', limit: 'ratio', allowed: 100, phase: 'body' });
  t.is((await pool.request('GET', '/', { limits: { ratio: 2 } })).data.toString(), plain);
  for (const limits of [null, { ratio: null }, { ratio: 1100 }]) {
    t.is((await pool.request('GET', '/large', { limits })).data.length, large.length);
  }
});

test('limits.codings: one more in the chain is a DecodeError', async (t) => {
  const twice = zlib.gzipSync(gzip).toString('latin1');
  const { pool } = await scripted(
    t,
    async (peer) => {
      for (;;) {
        await peer.request();
        await peer.write(`${OK}Content-Encoding: gzip, gzip\r\nContent-Length: ${twice.length}\r\n\r\n${twice}`);
      }
    },
    { limits: { codings: 1 } },
  );
  const error = await rejection(pool.request('GET', '/'), DecodeError);
  t.is(error.message, 'Too many content encodings in the chain: 2 > 1');
  t.is((await pool.request('GET', '/', { limits: { codings: 2 } })).data.toString(), plain);
});

test("a request's limits replace the pool's one by one; what it does not name stays", async (t) => {
  const { pool } = await scripted(t, script, { limits: { decoded: 4000, wire: 6000 } });
  for (const limits of [null, {}, { wire: null }, { codings: 2 }]) {
    const error = await rejection(pool.request('GET', '/length', { limits }), ResponseTooLarge);
    t.like(error, { limit: 'decoded', allowed: 4000 });
  }
  t.is((await pool.request('GET', '/length', { limits: { decoded: null } })).status, 200);
  const wire = await rejection(
    pool.request('GET', '/length', { limits: { decoded: null, wire: 4500 } }),
    ResponseTooLarge,
  );
  t.like(wire, { limit: 'wire', allowed: 4500 });
  t.is(pool.stats().errors['ERR_TOO_LARGE'], 5);
});

test('limits out of range, of a wrong type or unknown are refused before anything is sent', async (t) => {
  const wrong: [limits: object, kind: 'range' | 'type'][] = [
    [{ headerBytes: 0 }, 'range'],
    [{ headerBytes: null }, 'type'],
    [{ headerCount: 1.5 }, 'range'],
    [{ wire: -1 }, 'range'],
    [{ decoded: '5' }, 'type'],
    [{ decoded: Number.NaN }, 'range'],
    [{ ratio: 0 }, 'range'],
    [{ codings: 6 }, 'range'],
    [{ decode: 1 }, 'type'],
  ];
  const { pool, server } = await scripted(t, script);
  for (const [limits, kind] of wrong) {
    const due = { instanceOf: kind === 'range' ? RangeError : TypeError, code: 'ERR_INVALID_OPTION' };
    t.throws(() => new HTTPConnectionPool('localhost', { retries: false, limits }), due, JSON.stringify(limits));
    await t.throwsAsync(pool.request('GET', '/length', { limits }), due, JSON.stringify(limits));
  }
  t.is(server.peers.length, 0);
});

test('THR-206: chunk extensions pass up to 16 KiB in all; more of them, or a bare LF in one, is an InvalidChunkLength', async (t) => {
  const chunked = (extension: string, count = 1): string =>
    `${OK}Transfer-Encoding: chunked\r\n\r\n${`1${extension}\r\nx\r\n`.repeat(count)}0\r\n\r\n`;
  const replies: Record<string, string> = {
    '/normal': chunked(';a=b;c="d"', 2),
    '/many': chunked(`;${'e'.repeat(1000)}`, 15),
    '/over': chunked(`;${'e'.repeat(1000)}`, 20),
    '/line': chunked(`;${'e'.repeat(20_000)}`),
    '/lf': chunked(';a=b\n'),
  };
  const { pool } = await scripted(t, async (peer) => {
    for (;;) await peer.write(replies[target(await peer.request())] ?? '');
  });
  t.is((await pool.request('GET', '/normal')).data.toString(), 'xx');
  t.is((await pool.request('GET', '/many')).data.toString(), 'x'.repeat(15));
  t.is(pool.numConnections, 1);
  for (const path of ['/over', '/line', '/lf']) {
    const error = await rejection(pool.request('GET', path), ProtocolError);
    t.is(error.code, 'ERR_CHUNK', path);
    t.is((error.cause as Error).name, 'InvalidChunkLength', path);
    t.is((await pool.request('GET', '/normal')).data.toString(), 'xx');
  }
});

// They read /proc: elsewhere there are no such tests.

interface Outcome {
  code: string;
  phase: string;
  limit: string | null;
  grown: number;
}

clockedOnLinux(
  'THR-205: what never becomes a body byte is kept nowhere, and ends by limits.wire or the read time-out',
  async (t) => {
    const zeros = Buffer.alloc(MIB, '0');
    const { server } = await scripted(t, async (peer) => {
      for (;;) {
        const path = target(await peer.request());
        if (path === '/small') {
          await peer.write(`${OK}Content-Length: 0\r\n\r\n`);
          continue;
        }
        const head = {
          '/size': Buffer.from(`${OK}Transfer-Encoding: chunked\r\n\r\n`),
          '/name': Buffer.from(`${OK}Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\x03`, 'latin1'),
          '/extra': Buffer.from(`${OK}Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x10\0\0\0\0\0\x03`, 'latin1'),
        }[path];
        await peer.write(head ?? '');
        for (let sent = 0; sent < 100 && !peer.ended; sent += 1) await peer.write(zeros);
        await peer.gone();
        return;
      }
    });
    for (const path of ['/size', '/name', '/extra']) {
      // The framing of a chunk has a bound of its own (RESP-13), which comes first unless the limit is below it.
      const most = path === '/size' ? MIB : 50 * MIB;
      const wire = await alone<Outcome>('bomb.ts', [server.port, path, JSON.stringify({ limits: { wire: most } })]);
      t.like(wire, { code: 'ERR_TOO_LARGE', limit: 'wire' }, path);
      within(t, wire.grown < 8 * MIB, `${path} ${wire.grown / MIB} MiB`);
      const read = await alone<Outcome>('bomb.ts', [server.port, path, JSON.stringify({ timeout: 1_300 })]);
      t.like(read, { code: path === '/size' ? 'ERR_CHUNK' : 'ERR_READ_TIMEOUT', phase: 'body' }, path);
      within(t, read.grown < 8 * MIB, `${path} ${read.grown / MIB} MiB`);
    }
  },
);

clockedOnLinux('THR-1015: nothing is allocated by an announced length', async (t) => {
  const { server } = await scripted(t, async (peer) => {
    for (;;) {
      const path = target(await peer.request());
      if (path === '/small') {
        await peer.write(`${OK}Content-Length: 0\r\n\r\n`);
        continue;
      }
      const head = {
        // As much as a preloaded body may have: more would be refused at once (READ-12).
        '/length': 'Content-Length: 268435456\r\n\r\nfirst',
        '/chunk': 'Transfer-Encoding: chunked\r\n\r\nffffffffff\r\nfirst',
        // A frame that announces a content of an exbibyte, in a window of 8 MiB.
        '/zstd': 'Content-Encoding: zstd\r\nContent-Length: 99999\r\n\r\n\x28\xb5\x2f\xfd\xc0\x68\0\0\0\0\0\0\0\x10',
      }[path];
      await peer.write(`${OK}${head}`);
      peer.end();
      return;
    }
  });
  for (const path of ['/length', '/chunk', '/zstd']) {
    const outcome = await alone<Outcome>('bomb.ts', [server.port, path]);
    t.is(outcome.code, 'ERR_INCOMPLETE_READ', path);
    within(t, outcome.grown < 4 * MIB, `${path} ${outcome.grown / MIB} MiB`);
  }
});

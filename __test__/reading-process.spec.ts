/** Streamed bodies as a part of a process: what keeps it alive, its memory, its workers, and many bodies at once. */
import { createHash } from 'node:crypto';
import zlib from 'node:zlib';

import test, { type ExecutionContext } from 'ava';

import { HTTPConnectionPool, ReadTimeoutError, type HTTPResponse } from '../index.ts';
import { httpServer, type HttpServer } from './servers/http.ts';
import { outcome, start } from './support/child.ts';
import { rejection, scripted, served } from './support/fixtures.ts';
import { clocked, within } from './support/clocked.ts';
import { until } from './support/street.ts';

const MIB = 1024 * 1024;
const STREAMED = { preloadContent: false } as const;

/** `/begun` says five bytes, five more when it is told to, and leaves the rest open; others are large. */
async function patient(t: ExecutionContext): Promise<{ server: HttpServer; more: () => void; finish: () => void }> {
  const open: (() => void)[] = [];
  const ends: (() => void)[] = [];
  const block = Buffer.alloc(MIB, 'x');
  const server = await httpServer((request, response) => {
    if (request.url === '/begun') {
      response.setHeader('content-length', 15);
      response.write('begun');
      open.push(() => response.write('after'));
      ends.push(() => response.end('ended'));
      return;
    }
    if (request.url === '/bomb') {
      response.setHeader('content-encoding', 'gzip');
      const zip = zlib.createGzip({ level: 9 });
      zip.pipe(response);
      const zeros = Buffer.alloc(MIB);
      const fill = (): void => {
        while (!response.destroyed && zip.write(zeros));
        if (!response.destroyed) zip.once('drain', fill);
      };
      fill();
      return;
    }
    let left = 1_024;
    const fill = (): void => {
      while (left > 0 && !response.destroyed) {
        left -= 1;
        if (!response.write(block)) return void response.once('drain', fill);
      }
      response.end();
    };
    fill();
  });
  t.teardown(() => server.close());
  const run = (all: (() => void)[]): void => {
    for (const one of all.splice(0)) one();
  };
  return { server, more: () => run(open), finish: () => run(ends) };
}

for (const way of ['unread', 'left'] as const) {
  clocked(`THR-1103: a body that nobody waits for does not hold the process: ${way}`, async (t) => {
    const { server } = await patient(t);
    const { code, lines, stderr, lingered } = await start('streams.ts', [server.port, way]).ended;
    t.deepEqual([code, lines, stderr], [0, ['head', 'done'], '']);
    within(t, lingered < 1_000, `${lingered} ms`);
  });
}

clocked('THR-1103: nor does one of which a part was read', async (t) => {
  const { server, more } = await patient(t);
  const child = start('streams.ts', [server.port, 'part']);
  await child.says('waits');
  more();
  const { code, lines, stderr, lingered } = await child.ended;
  t.deepEqual([code, lines, stderr], [0, ['head', 'waits', 'done'], '']);
  within(t, lingered < 1_000, `${lingered} ms`);
});

for (const way of ['reading', 'pieces'] as const) {
  test.serial(`THR-1103: a read that waits holds the process until it has been served: ${way}`, async (t) => {
    const { server, more, finish } = await patient(t);
    const child = start('streams.ts', [server.port, way]);
    await child.says('head');
    await new Promise((resolve) => setTimeout(resolve, 300));
    more();
    await new Promise((resolve) => setTimeout(resolve, 300));
    t.is(child.process.exitCode, null);
    finish();
    const { code, lines, stderr } = await child.ended;
    t.deepEqual([code, lines.toSorted(), stderr], [0, ['done', 'head', 'read 15'], '']);
  });
}

clocked('READ-02 READ-13 THR-216 DEC-11: ten bytes of a bomb cost about what ten bytes cost', async (t) => {
  const { server } = await patient(t);
  const { length, grown } = await outcome<{ length: number; grown: number }>('streams.ts', [server.port, 'small']);
  t.is(length, 10);
  within(t, grown < 12 * MIB, `${grown / MIB} MiB`);
});

clocked('READ-12 READ-13: a gigabyte goes by in bounded memory', async (t) => {
  const { server } = await patient(t);
  const { length, grown } = await outcome<{ length: number; grown: number }>('streams.ts', [server.port, 'whole']);
  t.is(length, 1_024 * MIB);
  within(t, grown < 150 * MIB, `${grown / MIB} MiB`);
});

test.serial('THR-319: a response that is collected unread lets go of its connection, and no other does', async (t) => {
  const { server } = await patient(t);
  const seen = await outcome('streams.ts', [server.port, 'ignored'], { node: ['--expose-gc'] });
  t.deepEqual(seen, { leased: 1, abandoned: 4, read: 5 });
});

test.serial('THR-1101: workers ended in the middle of streams crash nothing and leave nothing', async (t) => {
  const { ended, resident, sockets } = await outcome<{ ended: number; resident: number[]; sockets: number }>(
    'terminate.ts',
    [8, 'streams'],
  );
  t.is(ended, 32);
  t.is(sockets, 0);
  t.is(resident.length, 8);
});

test.serial(
  'THR-319 THR-322: a hundred bodies at once, read by turns and in every way: each gets its own bytes',
  async (t) => {
    const pattern = (token: number): Buffer => {
      const block = createHash('sha256').update(String(token)).digest();
      return Buffer.concat(Array.from({ length: 3_000 + token * 17 }, () => block)).subarray(0, 90_000 + token * 501);
    };
    const { pool } = await served(
      t,
      (request, response) => {
        const token = Number((request.url ?? '').slice(1));
        const body = pattern(token);
        if (token % 3 === 0) {
          response.setHeader('content-encoding', 'gzip');
          response.end(zlib.gzipSync(body, { level: 1 }));
        } else if (token % 3 === 1) {
          response.setHeader('content-length', body.length);
          response.end(body);
        } else {
          for (let at = 0; at < body.length; at += 10_007) response.write(body.subarray(at, at + 10_007));
          response.end();
        }
      },
      { maxsize: 100, block: true },
    );
    for (let round = 0; round < 3; round += 1) {
      const responses = await Promise.all(
        Array.from({ length: 100 }, (_, token) => pool.request('GET', `/${token}`, STREAMED)),
      );
      const got: Buffer[][] = responses.map(() => []);
      const iterators = responses.map((response, token) =>
        token % 2 === 0 ? response[Symbol.asyncIterator]() : response.stream(9_999),
      );
      let open = responses.map((_, token) => token);
      // A piece of each in turn, by another way each time; some are left half read.
      for (let turn = 0; open.length > 0; turn += 1) {
        const still: number[] = [];
        await Promise.all(
          open.map(async (token) => {
            const response = responses[token];
            if (response === undefined) return;
            if (token % 10 === 9 && turn === 2) return response.close();
            const piece =
              turn % 3 === 0
                ? await response.read(5_000 + token)
                : turn % 3 === 1
                  ? await response.read1()
                  : (((await iterators[token]?.next())?.value as Buffer | undefined) ?? Buffer.alloc(0));
            if (piece.length === 0) return;
            (got[token] as Buffer[]).push(piece);
            still.push(token);
          }),
        );
        open = still;
      }
      for (const [token, pieces] of got.entries()) {
        const body = Buffer.concat(pieces);
        const due = pattern(token);
        t.true(
          body.equals(token % 10 === 9 ? due.subarray(0, body.length) : due),
          `${token}: ${body.length} of ${due.length}`,
        );
      }
    }
    await until(() => pool.stats().leased === 0, 'nothing leased');
  },
);

clocked('THR-208: chunks of one byte come in pieces that are worth it', async (t) => {
  const count = 300_000;
  const { pool } = await scripted(t, async (peer) => {
    for (;;) {
      await peer.request();
      await peer.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(count)}0\r\n\r\n`);
    }
  });
  const ways = [(response: HTTPResponse) => response, (response: HTTPResponse) => response.stream(10)];
  const before = process.cpuUsage();
  for (const [n, way] of ways.entries()) {
    let [pieces, length] = [0, 0];
    for await (const piece of way(await pool.request('GET', '/', STREAMED))) {
      pieces += 1;
      length += piece.length;
    }
    t.is(length, count);
    if (n === 0) t.true(pieces < count / 1_000, `${pieces} pieces`);
    else t.is(pieces, count / 10);
  }
  const { user, system } = process.cpuUsage(before);
  within(t, user + system < 4_000_000, `${(user + system) / 1_000} ms`);
});

test.serial(
  'THR-319 THR-320: bodies that are read, left, closed, released, drained or aborted at any time mix up nothing',
  async (t) => {
    const { pool } = await served(
      t,
      (request, response) => {
        const token = (request.url ?? '').slice(1);
        const body = `${token};`.repeat(Number(token) % 7 === 0 ? 40_000 : Number(token) % 300);
        if (Number(token) % 2 === 0) response.setHeader('content-length', body.length);
        const half = body.length >> 1;
        response.write(body.slice(0, half));
        if (Number(token) % 5 === 0) setTimeout(() => response.end(body.slice(half)), Number(token) % 4);
        else response.end(body.slice(half));
      },
      { maxsize: 20, block: true },
    );
    // A sequence that is the same each time.
    let seed = 1;
    const random = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    const wrong: string[] = [];
    let whole = 0;
    const one = async (token: number): Promise<void> => {
      const abort = new AbortController();
      const fate = random(8);
      const late = random(3);
      if (fate === 7) setTimeout(() => abort.abort(new Error('mine')), random(6));
      try {
        const response = await pool.request('GET', `/${token}`, { ...STREAMED, signal: abort.signal });
        let got = '';
        const some = late === 0 ? Buffer.alloc(0) : await response.read(late * 1_000);
        got += some.toString();
        if (late === 2) await new Promise((resolve) => setImmediate(resolve));
        if (fate === 0) response.close();
        else if (fate === 1) response.releaseConn();
        else if (fate === 2) await response.drainConn();
        else if (fate === 3) for await (const piece of response) if ((got += piece.toString()).length > 0) break;
        if (fate > 3) for await (const piece of response.stream(5_000)) got += piece.toString();
        const due = `${token};`.repeat(token % 7 === 0 ? 40_000 : token % 300);
        if (fate > 3) whole += 1;
        if (fate > 3 ? got !== due : !due.startsWith(got))
          wrong.push(`${token}: ${got.length} of ${due.length}, ${fate}`);
      } catch (error) {
        if ((error as Error).message !== 'mine') wrong.push(`${token}: ${String(error)}`);
      }
    };
    let token = 0;
    const lane = async (): Promise<void> => {
      while (token < 3_000) await one((token += 1));
    };
    await Promise.all(Array.from({ length: 30 }, lane));
    t.deepEqual(wrong, []);
    t.true(whole > 1_000);
    await until(() => pool.stats().leased === 0, 'nothing leased');
    const { opened, closed, idle, leased, waiting } = pool.stats();
    t.deepEqual([leased, waiting, opened], [0, 0, closed + idle]);
  },
);

clocked('THR-1017: bodies that stay open hold no memory of what came with them', async (t) => {
  const body = Buffer.alloc(12_000, 'o');
  const { server } = await served(t, (request, response) => {
    if (request.url === '/') {
      response.end(body);
      return;
    }
    response.writeHead(201, { 'X-Number': String(request.url).slice(6) });
    response.write('begun');
  });
  const count = 60;
  const node = ['--expose-gc'];
  const seen = await outcome<OpenHeads>('open-heads.ts', [server.port, count, 64 * 1024], { node });
  t.deepEqual(
    seen.numbers,
    Array.from({ length: count }, (_, nth) => nth),
  );
  t.like(seen, { right: true, first: 'begun' });
  within(t, seen.grown < (count * 64 * 1024) / 4, `${seen.grown / 1024} KiB`);
});

interface OpenHeads {
  readonly numbers: number[];
  readonly right: boolean;
  readonly first: string;
  readonly grown: number;
}

test.serial('total ends a body that never pauses', async (t) => {
  const server = await httpServer((_, response) => {
    const block = Buffer.alloc(256 * 1_024);
    const fill = (): void => {
      while (!response.destroyed && response.write(block));
      if (!response.destroyed) response.once('drain', fill);
    };
    fill();
  });
  t.teardown(() => server.close());
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port });
  for (const way of ['iteration', 'read'] as const) {
    const response = await pool.request('GET', '/', { ...STREAMED, timeout: { total: 800 } });
    const reading = async (): Promise<void> => {
      if (way === 'read') for (;;) await response.read(1_000);
      for await (const piece of response) if (piece.length === 0) break;
    };
    const error = await rejection(reading(), ReadTimeoutError);
    t.like(error, { code: 'ERR_TOTAL_TIMEOUT', phase: 'total', during: 'body' });
    t.true(error.elapsed >= 799 && error.elapsed < 5_000, `${error.elapsed} ms`);
  }
  await pool.close();
});

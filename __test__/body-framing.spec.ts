/** Where a body ends: lengths, chunks, statuses without one, and bodies that break off. Preloaded bodies only. */
import test, { type ExecutionContext } from 'ava';

import {
  IncompleteRead,
  InvalidChunkLength,
  ProtocolError,
  ReadTimeoutError,
  type HTTPResponse,
  type PoolOptions,
} from '../index.ts';
import { answers, choices, reply } from './servers/raw.ts';
import { rejection, scripted } from './support/fixtures.ts';
import { until } from './support/street.ts';
import {
  CHUNKED_STRICTLY,
  chunkedCases,
  chunkedCode,
  chunkedWire,
  isBodiless,
  lengthCases,
  NO_LENGTH,
  type ChunkedCase,
} from './support/framing-cases.ts';
import { clocked, within } from './support/clocked.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
const WAIT = { total: 10_000 };

/** Asks for each of these in turn and hands over what came of it, and how many connections lie idle after it. */
async function each(
  t: ExecutionContext,
  wires: readonly string[],
  options: PoolOptions & { end?: boolean },
  judge: (outcome: HTTPResponse | Error, nth: number, idle: number) => void,
): Promise<void> {
  const { end = false, ...rest } = options;
  const { pool } = await scripted(
    t,
    choices(
      wires.map((wire) => Buffer.from(wire, 'latin1')),
      end,
    ),
    { timeout: WAIT, ...rest },
  );
  for (const nth of wires.keys()) {
    const outcome = await pool.request('GET', `/${nth}`).catch((error: Error) => error);
    judge(outcome, nth, pool.stats().idle);
    // A request that is on its way while its server goes away may fail of that alone.
    if (end) await until(() => pool.stats().live === 0, 'the connection of a server that has ended it is gone');
  }
}

/** A body that broke off: the outer error and its cause agree. */
function short(t: ExecutionContext, outcome: HTTPResponse | Error, partial: string, expected: number | null): void {
  if (!(outcome instanceof ProtocolError)) throw new Error('no ProtocolError', { cause: outcome });
  t.is(outcome.code, 'ERR_INCOMPLETE_READ');
  t.is(outcome.phase, 'body');
  t.true(outcome.message.startsWith('Connection broken: '), outcome.message);
  t.true(outcome.cause instanceof IncompleteRead);
  for (const error of [outcome, outcome.cause as IncompleteRead]) {
    t.is(error.partial?.toString(), partial);
    t.is(error.expected, expected);
  }
}

function badChunk(t: ExecutionContext, outcome: HTTPResponse | Error, partial: string, what: string): void {
  if (!(outcome instanceof ProtocolError)) throw new Error(`${what} is no ProtocolError`, { cause: outcome });
  t.is(outcome.code, 'ERR_CHUNK', what);
  t.is(outcome.phase, 'body', what);
  t.true(outcome.message.startsWith('Connection broken: '), outcome.message);
  t.true(outcome.cause instanceof InvalidChunkLength, what);
  t.is((outcome.cause as InvalidChunkLength).partial.toString(), partial, what);
}

test('THR-201 RESP-09 ERR-06: a body shorter than announced is never a success', async (t) => {
  const bodies = ['', 'h', 'hell'];
  await each(
    t,
    bodies.map((body) => `${OK}Content-Length: 5\r\n\r\n${body}`),
    { end: true },
    (outcome, nth, idle) => {
      const body = bodies[nth] ?? '';
      short(t, outcome, body, 5 - body.length);
      const { message } = (outcome as ProtocolError).cause as Error;
      t.is(message, `IncompleteRead(${body.length} bytes read, ${5 - body.length} more expected)`);
      t.is(idle, 0);
    },
  );
});

test('RESP-09: enforceContentLength: false takes a short body; it does not take a broken chunked one', async (t) => {
  const { pool } = await scripted(t, choices([`${OK}Content-Length: 5\r\n\r\nhell`, `${CHUNKED}5\r\nhell`], true), {
    timeout: WAIT,
  });
  const response = await pool.request('GET', '/0', { enforceContentLength: false });
  t.is(response.data.toString(), 'hell');
  t.is(pool.stats().idle, 0);
  short(
    t,
    await pool.request('GET', '/1', { enforceContentLength: false }).catch((error: Error) => error),
    'hell',
    null,
  );
});

test('ERR-06: a reset inside the body is a ProtocolError with the system’s error as its cause', async (t) => {
  const { pool } = await scripted(
    t,
    async (peer) => {
      await peer.request();
      await peer.write(`${OK}Content-Length: 100\r\n\r\nhalf`);
      said();
      await arrived;
      peer.reset();
    },
    { timeout: WAIT },
  );
  let [said, resolve] = [(): void => {}, (): void => {}];
  const written = new Promise<void>((done) => (said = done));
  const arrived = new Promise<void>((done) => (resolve = done));
  const call = rejection(pool.request('GET', '/'), ProtocolError);
  await written;
  // The head has been read by the time that a later request has had its answer on the same I/O thread.
  const other = await scripted(t, answers(reply('ok')));
  await other.pool.request('GET', '/');
  resolve();
  const error = await call;
  t.regex(error.message, /^Connection broken/);
  t.is(error.phase, 'body');
  t.is((error.cause as NodeJS.ErrnoException).code, 'ECONNRESET');
  t.is(pool.stats().live, 0);
});

test('ERR-05: hung up on before a head: ProtocolError "Connection aborted." and why', async (t) => {
  await each(t, [''], { end: true }, (outcome, _, idle) => {
    t.true(outcome instanceof ProtocolError);
    const message = 'Connection aborted. (the peer closed the connection without a response)';
    t.like(outcome, { message, code: 'ERR_PROTOCOL', phase: 'headers' });
    t.true((outcome as Error).cause instanceof Error);
    t.is(idle, 0);
  });
});

test('THR-202 RESP-12: a chunked body that ends anywhere short of its last CRLF is an IncompleteRead', async (t) => {
  const body = '5\r\nhello\r\n2;x=y\r\n!!\r\n0\r\nX-T: 1\r\n\r\n';
  const cuts = Array.from({ length: body.length }, (_, cut) => body.slice(0, cut));
  await each(
    t,
    cuts.map((cut) => CHUNKED + cut),
    { end: true },
    (outcome, nth, idle) => {
      const cut = cuts[nth] ?? '';
      const whole = cut.slice(3, 8) + (cut.length > 17 ? cut.slice(17, 19) : '');
      short(t, outcome, whole, null);
      t.is(idle, 0);
    },
  );
});

test('THR-203: a chunk size is hex digits alone, below 2^64', async (t) => {
  const sizes = ['', '+5', '-5', '0x5', ' 5', 'zz', '5g', '5 5', '_5', '5_', '10000000000000000', 'f'.repeat(70_000)];
  await each(
    t,
    sizes.map((size) => `${CHUNKED}${size}\r\nhello\r\n0\r\n\r\n`),
    {},
    (outcome, nth, idle) => {
      badChunk(t, outcome, '', sizes[nth] ?? '');
      t.is(idle, 0);
    },
  );
});

clocked('THR-203: nothing is allocated for a size that is only announced', async (t) => {
  const { pool } = await scripted(t, answers(`${CHUNKED}ffffffffffffff\r\nhello`), { timeout: { read: 100 } });
  await rejection(pool.request('GET', '/'), ReadTimeoutError);
  const before = process.memoryUsage().rss;
  for (let round = 0; round < 5; round += 1) await rejection(pool.request('GET', '/'), ReadTimeoutError);
  const grown = process.memoryUsage().rss - before;
  within(t, grown < 8 << 20, `${grown}`);
  t.is(pool.stats().live, 0);
});

test('THR-206: usual extensions are passed over, sixteen KiB of them in all are the most', async (t) => {
  const chunk = (extension: string): string => `1${extension}\r\nx\r\n`;
  const wires = [
    `${chunk(';a')}${chunk(';a=b;c="d e"')}${chunk(' ;a')}0;last\r\n\r\n`,
    `${chunk(`;${'e'.repeat(3_000)}`).repeat(5)}0\r\n\r\n`,
    `${chunk(`;${'e'.repeat(3_000)}`).repeat(6)}0\r\n\r\n`,
    `${chunk(';a\nb')}0\r\n\r\n`,
  ];
  await each(
    t,
    wires.map((wire) => CHUNKED + wire),
    {},
    (outcome, nth, idle) => {
      if (nth < 2) {
        if (outcome instanceof Error) throw outcome;
        t.is(outcome.data.toString(), 'x'.repeat(nth === 0 ? 3 : 5));
        t.is(idle, 1);
      } else {
        badChunk(t, outcome, 'x'.repeat(nth === 2 ? 5 : 0), String(nth));
        t.is(idle, 0);
      }
    },
  );
});

test('THR-207: a bare LF, or other bytes where the CRLF belongs, are refused', async (t) => {
  const wires: readonly (readonly [string, string])[] = [
    ['2\nok\r\n0\r\n\r\n', ''],
    ['2\r\nok\n0\r\n\r\n', 'ok'],
    ['2\r\nokXX0\r\n\r\n', 'ok'],
    ['2\r\nok!\r\n0\r\n\r\n', 'ok'],
    ['2\r\nok\r0\r\n\r\n', 'ok'],
    ['2\rok\r\n0\r\n\r\n', ''],
    ['2\r\nok\r\n0\n\n', 'ok'],
    ['2\r\nok\r\n0\r\n\rx', 'ok'],
  ];
  await each(
    t,
    wires.map(([wire]) => CHUNKED + wire),
    {},
    (outcome, nth, idle) => {
      const [wire, partial] = wires[nth] ?? ['', ''];
      badChunk(t, outcome, partial, JSON.stringify(wire));
      t.is(idle, 0);
    },
  );
});

clocked('THR-208: a million chunks of a byte each are a body like any other, in bounded time', async (t) => {
  const count = 1_000_000;
  const { pool } = await scripted(t, answers(Buffer.from(`${CHUNKED}${'1\r\nx\r\n'.repeat(count)}0\r\n\r\n`)), {
    timeout: { total: 30_000 },
  });
  const cpu = process.cpuUsage();
  const response = await pool.request('GET', '/');
  const { user, system } = process.cpuUsage(cpu);
  t.is(response.data.length, count);
  t.true(response.data.every((byte) => byte === 120));
  within(t, user + system < 2_000_000, `${user + system} µs`);
  t.is(pool.stats().idle, 1);
});

const MIB = 1024 * 1024;

test('RESP-13: a line of chunk framing without end is refused, whatever it is made of, and is kept nowhere', async (t) => {
  const lines: [begin: string, then: string][] = [
    ['', 'f'],
    ['', '0'],
    ['3', ' '],
    ['3;', 'e'],
    ['0\r\nX: ', 't'],
  ];
  for (const preloadContent of [true, false]) {
    for (const [begin, then] of lines) {
      let said = 0;
      const { pool } = await scripted(
        t,
        async (peer) => {
          await peer.request();
          await peer.write(`${CHUNKED}2\r\nok\r\n${begin}`);
          const more = Buffer.alloc(MIB, then);
          for (; said < 256 && !peer.ended; said += 1) await peer.write(more);
        },
        { timeout: WAIT },
      );
      const error = await rejection(
        pool.request('GET', '/', { preloadContent }).then((response) => response.read()),
        ProtocolError,
      );
      t.is(error.code, 'ERR_CHUNK', then);
      t.true(error.cause instanceof InvalidChunkLength, then);
      t.true(said < 64, `${said} MiB of ${then}`);
      t.is(pool.stats().live, 0);
    }
  }
});

const LAST = `${CHUNKED}2\r\nok\r\n0\r\n`;

test('THR-209: trailers are read, a hundred of them too; more, larger or broken ones are refused', async (t) => {
  const good = ['', 'X-T: 1\r\nY: 2\r\nx-t: 3\r\n', 'X-T: 1\r\n'.repeat(100), `X: ${'a'.repeat(15_000)}\r\n`];
  await each(
    t,
    good.map((trailers) => `${LAST}${trailers}\r\n`),
    {},
    (outcome, nth, idle) => {
      if (outcome instanceof Error) throw outcome;
      t.is(outcome.data.toString(), 'ok');
      t.is([...outcome.trailers].length, [0, 3, 100, 1][nth] ?? -1);
      if (nth === 1)
        t.deepEqual(
          [...outcome.trailers],
          [
            ['x-t', '1'],
            ['x-t', '3'],
            ['y', '2'],
          ],
        );
      t.is(idle, 1);
    },
  );
  const bad = [
    'X-T: 1\r\n'.repeat(101),
    'X-T: 1\r\n'.repeat(1_000),
    `X: ${'a'.repeat(17_000)}\r\n`,
    'garbage\r\n',
    'X@: 1\r\n',
    'X: \x01\r\n',
    'X: 1\r\n 2\r\n',
    'X : 1\r\n',
  ];
  await each(
    t,
    bad.map((trailers) => `${LAST}${trailers}\r\n`),
    {},
    (outcome, nth, idle) => {
      badChunk(t, outcome, 'ok', (bad[nth] ?? '').slice(0, 20));
      t.is(idle, 0);
    },
  );
});

test('THR-209: trailers that end in bare LFs hang no longer than the read time-out', async (t) => {
  await each(t, [`${LAST}X: 1\n\n`], { timeout: { read: 300 } }, (outcome, _, idle) => {
    t.true(outcome instanceof ReadTimeoutError);
    t.is(idle, 0);
  });
});

test('THR-210: what frames, routes or authenticates is no trailer, and headers are never added to', async (t) => {
  const names = [
    'Content-Length',
    'Transfer-Encoding',
    'Set-Cookie',
    'Location',
    'Content-Encoding',
    'Host',
    'Authorization',
    'Trailer',
    'Retry-After',
    'Cache-Control',
    'Content-Type',
  ];
  const { pool } = await scripted(t, answers(`${LAST}X-T: 1\r\n${names.map((name) => `${name}: 1\r\n`).join('')}\r\n`));
  const response = await pool.request('GET', '/');
  t.deepEqual([...response.trailers], [['x-t', '1']]);
  t.deepEqual([...response.headers], [['transfer-encoding', 'chunked']]);
  t.is(response.data.toString(), 'ok');
});

test('THR-211 RESP-10: HEAD, 204 and 304 have no body; bytes that come anyway cost the connection', async (t) => {
  const status: Record<string, string> = { '204': 'HTTP/1.1 204 X\r\n', '304': 'HTTP/1.1 304 X\r\n', HEAD: OK };
  for (const [name, line] of Object.entries(status)) {
    for (const framing of ['Content-Length: 4', 'Transfer-Encoding: chunked', 'X: 1']) {
      const { pool, server } = await scripted(
        t,
        answers(`${line}${framing}\r\n\r\n`, `${line}${framing}\r\n\r\nEVIL`, reply('fresh')),
        { timeout: WAIT },
      );
      const method = name === 'HEAD' ? 'HEAD' : 'GET';
      for (const kept of [true, false]) {
        const response = await pool.request(method, '/');
        t.is(response.data.length, 0, `${name} ${framing}`);
        t.is(response.lengthRemaining, 0);
        t.is(response.bytesRead, 0);
        if (kept) t.is(pool.stats().idle, 1, `${name} ${framing}`);
      }
      await (await server.peer(1)).gone();
      // Its server may hear of it before the counter says so.
      await until(() => pool.stats().live === 0, 'the connection is gone');
      t.is(pool.stats().poisoned, 1);
      t.is((await pool.request('GET', '/')).data.toString(), 'fresh');
      t.is(server.peers.length, 2);
    }
  }
});

test('THR-211: the body of a 205 is read', async (t) => {
  await each(t, [reply('ok', 'HTTP/1.1 205 Reset Content\r\n')], {}, (outcome, _, idle) => {
    if (outcome instanceof Error) throw outcome;
    t.is(outcome.data.toString(), 'ok');
    t.is(idle, 1);
  });
});

test('THR-215: a bomb in an answer that has no body is not decoded, nor read', async (t) => {
  const { pool, server } = await scripted(
    t,
    async (peer) => {
      await peer.request();
      await peer.write(`HTTP/1.1 304 X\r\nContent-Encoding: gzip\r\nContent-Length: 8388608\r\n\r\n`);
      await peer.write(Buffer.alloc(8 << 20));
    },
    { timeout: WAIT },
  );
  const response = await pool.request('GET', '/');
  t.is(response.data.length, 0);
  t.is(response.headers.get('content-encoding'), 'gzip');
  await (await server.peer(1)).gone();
  await until(() => pool.stats().live === 0, 'the connection is gone');
  t.like(pool.stats(), { decodedBytes: 0, live: 0 });
  t.true(pool.stats().wireBytesIn < 1 << 20);
});

test('RESP-11: chunked in any case is de-chunked, and de-chunked only where it comes last', async (t) => {
  const { pool } = await scripted(
    t,
    choices([
      `${OK}Transfer-Encoding: ChunkeD\r\nContent-Length: 99\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
      `${OK}Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
      `${OK}Transfer-Encoding: chunked, gzip\r\nContent-Length: 2\r\n\r\nok`,
      reply('ok'),
    ]),
    { timeout: WAIT },
  );
  const response = await pool.request('GET', '/0');
  t.true(response.chunked);
  t.is(response.data.toString(), 'ok');
  for (const nth of [1, 2]) {
    t.is((await rejection(pool.request('GET', `/${nth}`), ProtocolError)).reason, 'ERR_TRANSFER_CODING');
    t.is(pool.stats().live, 0);
  }
  t.false((await pool.request('GET', '/3')).chunked);
});

test('RESP-12: without a length or chunks the body is what comes until the end of the stream', async (t) => {
  await each(t, [`${OK}\r\nuntil the end`, `${OK}\r\n`], { end: true }, (outcome, nth, idle) => {
    if (outcome instanceof Error) throw outcome;
    t.is(outcome.data.toString(), nth === 0 ? 'until the end' : '');
    t.is(idle, 0);
  });
});

test('RESP-12: chunked-response.json, preloaded', async (t) => {
  const cases = chunkedCases();
  const wires = cases.map(chunkedWire);
  await each(
    t,
    wires.map((wire) => CHUNKED + wire),
    { end: true },
    (outcome, nth) => {
      const { name, preload } = cases[nth] as ChunkedCase;
      if ('value' in preload && CHUNKED_STRICTLY[name] === undefined) {
        if (outcome instanceof Error) throw new Error(name, { cause: outcome });
        t.is(outcome.data.toString('base64'), preload.value, name);
        return;
      }
      // urllib3 raises ValueError for a negative size; every other failure is a ProtocolError there too.
      if (!(outcome instanceof ProtocolError)) throw new Error(name, { cause: outcome });
      t.is(outcome.code, chunkedCode(name), name);
    },
  );
});

test('RESP-08: content-length.json, as far as a preloaded body shows it', async (t) => {
  const cases = lengthCases().filter(({ status }) => status >= 200);
  const wires = cases.map((one) => {
    const { contentLength, status, chunked, lengthRemaining } = one;
    const length = contentLength === null ? '' : `Content-Length: ${Buffer.from(contentLength).toString('latin1')}\r\n`;
    const coding = chunked ? 'Transfer-Encoding: chunked\r\n' : '';
    const bodiless = isBodiless(one);
    const bytes = 'value' in lengthRemaining ? (lengthRemaining.value ?? 3) : 3;
    const body = bodiless ? '' : chunked ? '3\r\nabc\r\n0\r\n\r\n' : 'abcdefgh'.slice(0, bytes);
    // The server's FIN must not cross the next request on a connection that it leaves open.
    return Buffer.from(`HTTP/1.1 ${status} X\r\nConnection: close\r\n${length}${coding}\r\n${body}`, 'latin1');
  });
  const { pool } = await scripted(t, choices(wires, true), { timeout: WAIT });
  for (const [nth, one] of cases.entries()) {
    const { contentLength, method, chunked, lengthRemaining } = one;
    const what = JSON.stringify(one);
    const outcome = await pool.request(method ?? 'GET', `/${nth}`).catch((error: Error) => error);
    const bodiless = isBodiless(one);
    if (NO_LENGTH.has(contentLength) && !bodiless && !chunked) {
      if (!(outcome instanceof ProtocolError)) throw new Error(what, { cause: outcome });
      t.is(outcome.phase, 'headers', what);
      continue;
    }
    if (outcome instanceof Error) throw new Error(what, { cause: outcome });
    const expected = 'value' in lengthRemaining ? lengthRemaining.value : null;
    t.is(outcome.data.length, bodiless ? 0 : chunked ? 3 : (expected ?? 3), what);
    t.is(outcome.lengthRemaining, bodiless || expected !== null ? 0 : null, what);
  }
});

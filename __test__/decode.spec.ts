/** Coded bodies, preloaded: what is undone, what is left alone, what is refused. The decoders' own tests are the core's. */
import zlib from 'node:zlib';
import test, { type ExecutionContext } from 'ava';

import { ClosedPoolError, DecodeError, HTTPConnectionPool, ReadTimeoutError, type PoolOptions } from '../index.ts';
import { reply } from './servers/raw.ts';
import { alone } from './support/alone.ts';
import { bombResponse, BOMBS, seed } from './support/bombs.ts';
import { decodeCases, DECODED_OTHERWISE, LEFT_CODED } from './support/decode-cases.ts';
import { rejection, scripted, target } from './support/fixtures.ts';
import { clocked, clockedOnLinux, within } from './support/clocked.ts';

const MIB = 1024 * 1024;

/** A body as a server sends it. */
interface Coded {
  coding: string | null;
  wire: Uint8Array;
}

type Framing = (head: string, wire: Uint8Array) => Buffer;

/** How a body is framed: by its length, in chunks of one byte, by the end of the stream. */
const framings = {
  length: (head, wire) => Buffer.concat([latin1(`${head}Content-Length: ${wire.length}\r\n\r\n`), wire]),
  chunks: (head, wire) => {
    const chunks = [...wire].flatMap((byte) => [latin1('1\r\n'), Buffer.of(byte), latin1('\r\n')]);
    return Buffer.concat([latin1(`${head}Transfer-Encoding: chunked\r\n\r\n`), ...chunks, latin1('0\r\n\r\n')]);
  },
  close: (head, wire) => Buffer.concat([latin1(`${head}\r\n`), wire]),
} satisfies Record<string, Framing>;

/** A pool whose server gives the nth body under `/n`, framed as asked. */
async function coded(
  t: ExecutionContext,
  bodies: readonly Coded[],
  framing: keyof typeof framings = 'length',
  options: PoolOptions = {},
): Promise<{ pool: HTTPConnectionPool; requests: () => number }> {
  let requests = 0;
  const { pool } = await scripted(
    t,
    async (peer) => {
      for (;;) {
        const { coding, wire } = bodies[Number(target(await peer.request()).slice(1))] as Coded;
        requests += 1;
        const head = `HTTP/1.1 200 OK\r\n${coding === null ? '' : `Content-Encoding: ${coding}\r\n`}`;
        await peer.write(framings[framing](head, wire));
        if (framing === 'close') peer.end();
      }
    },
    options,
  );
  return { pool, requests: () => requests };
}

/** The one body, decoded; streamed it must be the same. */
async function decoded(t: ExecutionContext, coding: string, wire: Uint8Array): Promise<Buffer> {
  const { pool } = await coded(t, [{ coding, wire }]);
  const { data } = await pool.request('GET', '/0');
  const pieces: Buffer[] = [];
  for await (const piece of (await pool.request('GET', '/0', { preloadContent: false })).stream(37)) pieces.push(piece);
  t.true(Buffer.concat(pieces).equals(data), `${coding} streamed`);
  return data;
}

const cases = decodeCases();
const bodies = cases.map(({ contentEncoding, wire }) => ({
  coding: contentEncoding,
  wire: Buffer.from(wire, 'base64'),
}));

for (const framing of Object.keys(framings) as (keyof typeof framings)[]) {
  const title = `DEC-01 DEC-02 DEC-03 DEC-04 DEC-05 DEC-06 DEC-07 DEC-08 DEC-09 DEC-10 DEC-14 WART-05 REQ-17: as urllib3, framed by ${framing}`;
  test(title, async (t) => {
    const { pool, requests } = await coded(t, bodies, framing);
    let differing = 0;
    for (const [nth, { name, contentEncoding, wire, preload }] of cases.entries()) {
      const ours = LEFT_CODED.has(name)
        ? { value: Buffer.from(wire, 'base64').toString('latin1') }
        : DECODED_OTHERWISE[name];
      const theirs =
        'error' in preload ? 'DecodeError' : { value: Buffer.from(preload.value, 'base64').toString('latin1') };
      if (ours !== undefined) {
        differing += 1;
        t.notDeepEqual(ours, theirs, `${name} is listed as differing and does not`);
      }
      const due = ours ?? theirs;
      const answer = pool.request('GET', `/${nth}`);
      if (due === 'DecodeError') {
        const error = await rejection(answer, DecodeError);
        t.is(error.code, 'ERR_DECODE', name);
        t.is(error.phase, 'body', name);
        if ('error' in preload && preload.error.message.startsWith("('Received")) {
          // Its words, and the decoder's.
          const words = /^\('(.*?)', /.exec(preload.error.message)?.[1] ?? '';
          t.is(error.message, `${words} (${(error.cause as Error).message})`, name);
        }
      } else {
        const response = await answer;
        t.is(response.data.toString('latin1'), due.value, name);
        t.is(response.headers.get('content-encoding'), contentEncoding?.trim(), name);
        t.is(response.bytesRead, (bodies[nth] as Coded).wire.length, name);
      }
      t.is(requests(), nth + 1, `${name}: asked once, a body that does not decode is not asked for again`);
    }
    t.is(differing, 11);
  });
}

test('REQ-16 THR-231: decodeContent false gives the body as received, its header kept', async (t) => {
  const { pool } = await coded(t, bodies);
  for (const [nth, { name, contentEncoding, wire, readNoDecode }] of cases.entries()) {
    const response = await pool.request('GET', `/${nth}`, { decodeContent: false });
    const sent = Buffer.from(wire, 'base64');
    t.deepEqual(response.data, sent, name);
    t.is(response.headers.get('content-encoding'), contentEncoding?.trim(), name);
    // Nothing is undone, so no chain is too long for us.
    if ('error' in readNoDecode) t.is(name, '6 links');
    else t.deepEqual(sent, Buffer.from(readNoDecode.value, 'base64'), name);
  }
  t.is(pool.numConnections, 1);
});

test('DEC-05 REQ-17: a body that does not decode costs the connection, and the error says what', async (t) => {
  const good = zlib.gzipSync('good');
  const bad = Buffer.from('<!doctype html>');
  const { pool, requests } = await coded(t, [
    { coding: 'gzip', wire: bad },
    { coding: 'gzip', wire: good },
  ]);
  const error = await rejection(pool.request('GET', '/0', { retries: false }), DecodeError);
  const said = (error.cause as Error).message;
  t.is(error.message, `Received response with content-encoding: gzip, but failed to decode it. (${said})`);
  t.true(said.length > 0);
  t.is(error.attempts, 1);
  t.true(error.sent);
  t.is((await pool.request('GET', '/1')).data.toString(), 'good');
  t.is(pool.numConnections, 2);
  t.is(requests(), 2);
  t.is(pool.stats().errors['ERR_DECODE'], 1);
});

test('a decoded body of any length is whole', async (t) => {
  const lengths = [4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 9 * MIB + 5];
  // No two blocks of it are alike, so that none can be lost, doubled or moved.
  const all = Buffer.alloc(10 * MIB);
  for (let at = 0; at < all.length; at += 4) all.writeUInt32LE(at, at);
  const plain = lengths.map((length) => all.subarray(0, length));
  const wires = plain.flatMap((body) => [
    { coding: 'gzip', wire: zlib.gzipSync(body, { level: 1 }) },
    { coding: 'deflate, gzip', wire: zlib.gzipSync(zlib.deflateSync(body, { level: 1 }), { level: 1 }) },
  ]);
  const { pool } = await coded(t, wires);
  for (const [nth, { coding }] of wires.entries()) {
    const { data } = await pool.request('GET', `/${nth}`);
    t.true(data.equals(plain[nth >> 1] as Buffer), `${coding} ${lengths[nth >> 1]}`);
  }
});

test('THR-217 DEC-07: five codings pass, six and ten thousand do not, whatever the bytes', async (t) => {
  let five: Buffer = Buffer.from('five');
  for (let nth = 0; nth < 5; nth += 1) five = zlib.gzipSync(five);
  const { pool } = await scripted(t, async (peer) => {
    for (;;) {
      const path = target(await peer.request());
      // The chain may come in one line or in many.
      const lines =
        path === '/many'
          ? 'Content-Encoding: gzip\r\nContent-Encoding: gzip, gzip\r\nContent-Encoding: gzip,gzip\r\n'
          : path === '/six'
            ? 'Content-Encoding: gzip,gzip,gzip\r\nContent-Encoding: br, zstd, deflate\r\n'
            : `Content-Encoding: ${'gzip,'.repeat(100)}\r\n`.repeat(100);
      await peer.write(framings.length(`HTTP/1.1 200 OK\r\n${lines}`, five));
    }
  });
  t.is((await pool.request('GET', '/many')).data.toString(), 'five');
  const six = await rejection(pool.request('GET', '/six'), DecodeError);
  t.is(six.message, 'Too many content encodings in the chain: 6 > 5');
  const many = await rejection(pool.request('GET', '/tenThousand'), DecodeError);
  t.is(many.message, 'Too many content encodings in the chain: 10000 > 5');
  t.is((await pool.request('GET', '/many', { limits: { codings: 5 } })).data.toString(), 'five');
  await rejection(pool.request('GET', '/many', { limits: { codings: 4 } }), DecodeError);
});

test('THR-219 DEC-01 DEC-08: what names no coding is passed by, what names an unknown one leaves the body alone', async (t) => {
  const gzip = zlib.gzipSync('plain');
  for (const nothing of ['identity', 'none', 'IDENTITY', '', ',', ' , identity , ']) {
    t.is((await decoded(t, nothing, Buffer.from('plain'))).toString(), 'plain', nothing);
  }
  for (const known of ['identity, gzip', 'gzip,none', ',gzip,,', 'X-GZIP']) {
    t.is((await decoded(t, known, gzip)).toString(), 'plain', known);
  }
  for (const unknown of ['utf-8', '*', 'aws-chunked', 'gzip, utf-8', 'gzip;q=1', 'compress']) {
    t.deepEqual(await decoded(t, unknown, gzip), gzip, unknown);
  }
});

test('THR-220 DEC-06: a coded body that was cut anywhere, or whose check does not match, is a DecodeError', async (t) => {
  const plain = Buffer.from('the quick brown fox jumps over the lazy dog, twice: the quick brown fox');
  const wires: Coded[] = [
    { coding: 'gzip', wire: zlib.gzipSync(plain) },
    { coding: 'deflate', wire: zlib.deflateSync(plain) },
    { coding: 'deflate', wire: zlib.deflateRawSync(plain) },
    { coding: 'br', wire: zlib.brotliCompressSync(plain) },
    { coding: 'zstd', wire: seed('zstd-text-streamed') },
  ];
  const cut = wires.flatMap(({ coding, wire }) =>
    Array.from({ length: Math.min(wire.length - 1, 150) }, (_, nth) => ({ coding, wire: wire.subarray(0, nth + 1) })),
  );
  const gzip = zlib.gzipSync(plain);
  for (const last of [8, 7, 4, 1]) {
    const wrong = Buffer.from(gzip);
    wrong.writeUInt8((wrong.readUInt8(wrong.length - last) + 1) & 0xff, wrong.length - last);
    cut.push({ coding: 'gzip', wire: wrong });
  }
  const { pool } = await coded(t, cut);
  for (const [nth, { coding, wire }] of cut.entries()) {
    const error = await rejection(pool.request('GET', `/${nth}`), DecodeError);
    t.is(error.code, 'ERR_DECODE', `${coding} ${wire.length}`);
  }
  t.true(cut.length > 300);
});

test('THR-222 DEC-03: members are joined, a thousand too, and what follows the last is ignored', async (t) => {
  const member = zlib.gzipSync('m');
  const thousand = Buffer.concat(Array.from({ length: 1000 }, () => member));
  t.is((await decoded(t, 'gzip', Buffer.concat([member, member]))).toString(), 'mm');
  t.is((await decoded(t, 'gzip', thousand)).toString(), 'm'.repeat(1000));
  for (const junk of ['garbage', '\0'.repeat(40), '\r\n', '\x1f', '\x1f\x8b', '\x1fgarbage']) {
    // A beginning of another member that is none is junk as well, but one that is cut off may not be ignored.
    const wire = Buffer.concat([thousand, latin1(junk)]);
    if ('\x1f\x8b'.startsWith(junk)) {
      await t.throwsAsync(decoded(t, 'gzip', wire), { instanceOf: DecodeError });
    } else {
      t.is((await decoded(t, 'gzip', wire)).toString(), 'm'.repeat(1000), JSON.stringify(junk));
    }
  }
});

test('THR-222 DEC-03: what follows the end of a coded body is counted, however the body is read', async (t) => {
  const wire = Buffer.concat([zlib.gzipSync('m'), latin1('garbage')]);
  const { pool } = await coded(t, [{ coding: 'gzip', wire }]);
  t.is((await pool.request('GET', '/0')).text(), 'm');
  t.is(pool.stats().trailingBytes, 7);
  for (const read of ['read', 'pieces'] as const) {
    const response = await pool.request('GET', '/0', { preloadContent: false });
    const got: Buffer[] = [];
    if (read === 'read') got.push(await response.read());
    else for await (const piece of response) got.push(piece);
    t.is(Buffer.concat(got).toString(), 'm', read);
  }
  t.like(pool.stats(), { trailingBytes: 21, decodedBytes: 3 });
});

clocked('THR-223: eight times as many empty members take about eight times as long', async (t) => {
  const empty: Record<string, Buffer> = {
    gzip: zlib.gzipSync(''),
    zstd: Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00]),
  };
  for (const [coding, member] of Object.entries(empty)) {
    const sized = (count: number): Coded => ({ coding, wire: Buffer.alloc(member.length * count, member) });
    const { pool } = await coded(t, [sized(25_000), sized(200_000)]);
    const spans: [number, number] = [Infinity, Infinity];
    // What others do on the machine only adds: the least of some rounds counts. Quadratic time would be sixty-four times
    // as much in each of them.
    for (let round = 0; round < 30 && !(spans[1] / spans[0] < 20); round += 1) {
      for (const nth of [0, 1] as const) {
        const response = await pool.request('GET', `/${nth}`);
        t.is(response.data.length, 0);
        spans[nth] = Math.min(spans[nth], response.timings?.body ?? 0);
      }
    }
    within(t, spans[1] / spans[0] < 20, `${coding}: ${spans.join(' and ')} ms`);
  }
});

test('THR-226 DEC-02: deflate is read with and without its wrapper, also when the first byte comes alone', async (t) => {
  const plain = 'deflate, either way '.repeat(9);
  const wires = [zlib.deflateSync(plain), zlib.deflateRawSync(plain), zlib.deflateRawSync(plain, { level: 0 })];
  let nth = 0;
  const { pool } = await scripted(t, async (peer) => {
    for (;;) {
      await peer.request();
      const wire = wires[nth++ % wires.length] as Buffer;
      await peer.write(`HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: ${wire.length}\r\n\r\n`);
      for (const piece of [wire.subarray(0, 1), wire.subarray(1, 2), wire.subarray(2)]) {
        await peer.write(piece);
        // The next turn: the pieces leave this process one by one.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  });
  for (const _ of wires) t.is((await pool.request('GET', '/')).data.toString(), plain);
});

test('THR-227 DEC-10: no body makes a decoder turn in place', async (t) => {
  const odd: Coded[] = [];
  for (const coding of ['deflate', 'gzip', 'br', 'zstd']) {
    for (let byte = 0; byte < 256; byte += 1) odd.push({ coding, wire: Buffer.of(byte) });
    for (let length = 2; length < 40; length += 1) odd.push({ coding, wire: Buffer.alloc(length, 0x37 * length) });
  }
  const { pool } = await coded(t, odd);
  const settled = await Promise.allSettled(odd.map((_, nth) => pool.request('GET', `/${nth}`, { timeout: 20_000 })));
  for (const [nth, outcome] of settled.entries()) {
    if (outcome.status === 'fulfilled') continue;
    t.true(outcome.reason instanceof DecodeError, `${odd[nth]?.coding} ${odd[nth]?.wire.toString()}`);
  }
  t.is(settled.length, odd.length);
});

test('THR-228 THR-229 DEC-04: zstd and brotli within what the web allows, and not beyond', async (t) => {
  const foo = [0x19, 0, 0, 0x66, 0x6f, 0x6f];
  const frame = (windowLog: number): Buffer => Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (windowLog - 10) << 3, ...foo]);
  const dictionary = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x58, 0x07, ...foo]);
  const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
  t.is((await decoded(t, 'zstd', frame(23))).toString(), 'foo');
  for (const windowLog of [24, 27, 31]) {
    const error = await rejection(decoded(t, 'zstd', frame(windowLog)), DecodeError);
    t.is(error.reason, 'ERR_DECODE_WINDOW', String(windowLog));
  }
  t.is((await decoded(t, 'zstd', Buffer.concat([skippable, frame(20), skippable, frame(10)]))).toString(), 'foofoo');
  t.is((await decoded(t, 'zstd', Buffer.concat([frame(20), latin1('junk')]))).toString(), 'foo');
  await t.throwsAsync(decoded(t, 'zstd', dictionary), { instanceOf: DecodeError });
  await t.throwsAsync(decoded(t, 'br', seed('br-large-window')), { instanceOf: DecodeError });
  const junk = Buffer.concat([zlib.brotliCompressSync('foo'), latin1('junk')]);
  t.is((await decoded(t, 'br', junk)).toString(), 'foo');
});

test('THR-231: no body means nothing to undo; a body that is not what its label says is a DecodeError that names it', async (t) => {
  const { pool } = await scripted(t, async (peer) => {
    for (;;) {
      const request = await peer.request();
      const path = target(request);
      const status = path === '/204' ? '204 No Content' : path === '/304' ? '304 Not Modified' : '200 OK';
      const body = path === '/html' ? '<!doctype html><p>not gzip' : '';
      const head = request.startsWith('HEAD');
      const length = head ? 1000 : body.length;
      const framing = path.startsWith('/3') || path.startsWith('/2') ? '' : `Content-Length: ${length}\r\n`;
      await peer.write(`HTTP/1.1 ${status}\r\nContent-Encoding: gzip\r\n${framing}\r\n${head ? '' : body}`);
    }
  });
  for (const [method, path] of [
    ['GET', '/empty'],
    ['HEAD', '/html'],
    ['GET', '/204'],
    ['GET', '/304'],
  ] as const) {
    const response = await pool.request(method, path);
    t.is(response.data.length, 0, path);
    t.is(response.headers.get('content-encoding'), 'gzip', path);
  }
  t.is(pool.numConnections, 1);
  const error = await rejection(pool.request('GET', '/html'), DecodeError);
  t.regex(error.message, /content-encoding: gzip,/);
  const raw = await pool.request('GET', '/html', { decodeContent: false });
  t.is(raw.data.toString(), '<!doctype html><p>not gzip');
});

test('THR-236 WART-18: a transfer coding under chunked is undone, whatever decodeContent says, or refused', async (t) => {
  const gzip = zlib.gzipSync('transferred');
  const twice = zlib.gzipSync(zlib.gzipSync('transferred'));
  const codings: Record<string, [string, Buffer]> = {
    '/gzip': ['Transfer-Encoding: gzip, chunked\r\n', gzip],
    '/lines': ['Transfer-Encoding: x-gzip\r\nTransfer-Encoding: chunked\r\n', gzip],
    '/both': ['Transfer-Encoding: gzip, chunked\r\nContent-Encoding: gzip\r\n', twice],
    '/deflate': ['Transfer-Encoding: deflate,chunked\r\n', zlib.deflateSync('transferred')],
    '/cut': ['Transfer-Encoding: gzip, chunked\r\n', gzip.subarray(0, -1)],
    '/br': ['Transfer-Encoding: br, chunked\r\n', zlib.brotliCompressSync('transferred')],
    '/unknown': ['Transfer-Encoding: aws, chunked\r\n', gzip],
    '/mixed': ['Transfer-Encoding: gzip, aws, chunked\r\n', gzip],
  };
  const { pool } = await scripted(t, async (peer) => {
    for (;;) {
      const [lines, wire] = codings[target(await peer.request())] as [string, Buffer];
      const chunk = Buffer.concat([latin1(`${wire.length.toString(16)}\r\n`), wire, latin1('\r\n0\r\n\r\n')]);
      await peer.write(Buffer.concat([latin1(`HTTP/1.1 200 OK\r\n${lines}\r\n`), chunk]));
    }
  });
  for (const path of ['/gzip', '/lines', '/both', '/deflate']) {
    t.is((await pool.request('GET', path)).data.toString(), 'transferred', path);
  }
  t.is(pool.numConnections, 1);
  t.is((await pool.request('GET', '/gzip', { decodeContent: false })).data.toString(), 'transferred');
  const once = await pool.request('GET', '/both', { decodeContent: false });
  t.is(zlib.gunzipSync(once.data).toString(), 'transferred');
  const cut = await rejection(pool.request('GET', '/cut', { decodeContent: false }), DecodeError);
  t.regex(cut.message, /transfer-encoding: gzip/);
  for (const path of ['/br', '/unknown', '/mixed']) {
    const error = await rejection(pool.request('GET', path), DecodeError);
    t.is(error.reason, 'ERR_TRANSFER_CODING', path);
  }
});

// The child reads its peak from /proc: elsewhere there is no such test.

clockedOnLinux('THR-213: a bomb is refused while it unfolds, within the limit and a few MiB', async (t) => {
  const { server } = await scripted(t, async (peer) => {
    for (;;) await peer.write(bombResponse(target(await peer.request()).slice(1)));
  });
  const { port } = server;
  const limits = JSON.stringify({ limits: { decoded: 64 * MIB, ratio: null } });
  // What a library needs for its own window comes on top.
  for (const [coding, { window }] of Object.entries(BOMBS)) {
    const outcome = await alone<Outcome>('bomb.ts', [port, `/${coding}`, limits]);
    t.is(outcome.code, 'ERR_TOO_LARGE', coding);
    t.is(outcome.limit, 'decoded', coding);
    t.is(outcome.allowed, 64 * MIB, coding);
    within(t, outcome.grown < (64 + window + 4) * MIB, `${coding}: ${outcome.grown / MIB} MiB`);
  }
  // Under the limits that nobody set: deflate's worst, 1,030, is no sign of a bomb; others are found at 8 MiB.
  for (const [coding, limit, allowed, most] of [
    ['gzip', 'decoded', 256 * MIB, 260],
    ['zstd', 'ratio', 1_100, 40],
    ['br', 'ratio', 1_100, 48],
  ] as const) {
    const outcome = await alone<Outcome>('bomb.ts', [port, `/${coding}`]);
    t.like(outcome, { code: 'ERR_TOO_LARGE', limit, allowed }, coding);
    within(t, outcome.grown < most * MIB, `${coding}: ${outcome.grown / MIB} MiB`);
  }
});

interface Outcome {
  code?: string;
  limit?: string;
  allowed?: number;
  grown: number;
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** What a call needs that asks for much: a body that grows a thousandfold is none of a bomb here. */
const MUCH = { limits: { ratio: null } };
const LARGE = 250 * MIB;
/** One piece of a few hundred bytes. */
const FAST = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } };
let large: Buffer | null = null;

/** A pool whose server sends 250 MiB of zeros, coded, and says when they are out; what is asked besides is answered at once. */
async function unfolding(t: ExecutionContext): Promise<{ pool: HTTPConnectionPool; port: number; out: Promise<void> }> {
  const wire = (large ??= zlib.brotliCompressSync(Buffer.alloc(LARGE), FAST));
  let said = (): void => {};
  const out = new Promise<void>((resolve) => (said = resolve));
  const { pool, server } = await scripted(t, async (peer) => {
    for (;;) {
      if (target(await peer.request()) !== '/large') await peer.write(reply('ok'));
      else {
        await peer.write(framings.length('HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n', wire));
        said();
      }
    }
  });
  return { pool, port: server.port, out };
}

const ways: Readonly<Record<string, (pool: HTTPConnectionPool) => Promise<number>>> = {
  preloaded: async (pool) => (await pool.request('GET', '/large', MUCH)).data.length,
  'read as one': async (pool) => {
    const response = await pool.request('GET', '/large', { ...MUCH, preloadContent: false });
    return (await response.read()).length;
  },
};

for (const [name, ask] of Object.entries(ways)) {
  clocked(`THR-213: while a large body is decoded, others have their turn (${name})`, async (t) => {
    const { pool, port, out } = await unfolding(t);
    const beside = new HTTPConnectionPool('127.0.0.1', { port });
    t.teardown(() => beside.close());
    await beside.request('GET', '/');
    const state = { over: false, served: 0 };
    const length = ask(pool).finally(() => (state.over = true));
    await out;
    while (!state.over) {
      await beside.request('GET', '/');
      state.served += 1;
    }
    t.is(await length, LARGE);
    // Each takes a few turns of the I/O thread, of which there is one with every MiB. Without any there would be two or three.
    within(t, state.served > 12, `${state.served} were served`);
  });
}

clocked('THR-213 THR-908 POOL-10: total, an abort and close cut off a body that is being decoded', async (t) => {
  const late = await unfolding(t);
  const options = { ...MUCH, timeout: { total: 150 } };
  const error = await rejection(late.pool.request('GET', '/large', options), ReadTimeoutError);
  t.like(error, { code: 'ERR_TOTAL_TIMEOUT', phase: 'total' });

  const unwanted = await unfolding(t);
  const leave = new AbortController();
  const aborted = t.throwsAsync(unwanted.pool.request('GET', '/large', { ...MUCH, signal: leave.signal }));
  await unwanted.out;
  leave.abort(new Error('enough'));
  t.is((await aborted)?.message, 'enough');

  const closed = await unfolding(t);
  const refused = rejection(closed.pool.request('GET', '/large', MUCH), ClosedPoolError);
  await closed.out;
  const { forced, elapsed } = await closed.pool.close({ timeout: 0 });
  t.is((await refused).code, 'ERR_POOL_CLOSED');
  t.is(forced, 1);
  within(t, elapsed < 900, `${elapsed} ms`);
});

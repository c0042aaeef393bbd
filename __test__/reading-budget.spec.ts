/**
 * Memory that many bodies share, and what pieces without size make of it: readers go on when it is used up, and a peer or a
 * source whose pieces have a byte each gets no more of it than one with large ones.
 */
import { MessageChannel } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';

import { Inflow, Outflow, type Carrier } from '../facade/boundary/stream.ts';
import * as layout from '../facade/boundary/generated.ts';
import { BodyReader } from '../facade/reader.ts';
import { configure, type HTTPResponse } from '../index.ts';
import { scripted, target } from './support/fixtures.ts';
import type { Peer } from './servers/raw.ts';

const STREAMED = { preloadContent: false } as const;
const SIZE = 4 * 1024 * 1024;
const BODY = Buffer.alloc(SIZE, 'x');
/** Small enough to be copied into a block that many share. */
const ORDINARY = Buffer.alloc(12_000, 'o');

/** The first of several bodies, the others of which nobody reads: they have more than may lie around. */
async function crowded(t: ExecutionContext): Promise<HTTPResponse> {
  const { pool } = await scripted(
    t,
    async (peer) => {
      await peer.request();
      await peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${SIZE}\r\n\r\n`);
      for (let at = 0; at < SIZE; at += 20_000) await peer.write(BODY.subarray(at, at + 20_000));
    },
    { maxsize: 8, timeout: { total: 60_000 } },
  );
  configure({ memoryBudget: 30_000 });
  const first = await pool.request('GET', '/', STREAMED);
  // Each has given something once another one's head is there, which comes after it.
  for (let nth = 0; nth < 6; nth += 1) await pool.request('GET', '/', STREAMED);
  return first;
}

const WAYS: { readonly [name: string]: (response: HTTPResponse) => Promise<number> } = {
  'async iteration': async (response) => {
    let length = 0;
    for await (const piece of response) length += piece.length;
    return length;
  },
  'lines()': async (response) => {
    let length = 0;
    for await (const line of response.lines()) length += line.length;
    return length;
  },
  'read()': async (response) => (await response.read()).length,
  'read(n), then read()': async (response) => (await response.read(10)).length + (await response.read()).length,
  'read1()': async (response) => {
    let length = 0;
    for (let piece = await response.read1(); piece.length > 0; piece = await response.read1()) length += piece.length;
    return length;
  },
};

for (const [name, way] of Object.entries(WAYS)) {
  test.serial(`THR-1005: ${name} comes to the end while bodies that nobody reads use the budget up`, async (t) => {
    t.is(await way(await crowded(t)), SIZE);
  });
}

test('a piece of a byte counts for more: its reader asks again long before it has got so many bytes', async (t) => {
  let granted = 0;
  const inflow = new Inflow({ ...NOBODY, order: (_, __, ___, bytes) => void (granted += bytes) }, 0, 0, 0);
  inflow.want(64 * 1024);
  t.is(granted, 64 * 1024);
  const pieces = (64 * 1024) / layout.FLOW_LEAST;
  for (let nth = 1; nth <= pieces; nth += 1) inflow.push(Buffer.from('x'), nth);
  while (inflow.take() !== null);
  inflow.want(64 * 1024);
  t.is(granted, 128 * 1024);
});

test('a source of pieces of a byte is asked for fewer of them', async (t) => {
  let pieces = 0;
  const outflow = new Outflow({
    length: null,
    again: false,
    open: () => ({ next: () => Buffer.from('x'), cancel() {} }),
  });
  outflow.want({ ...NOBODY, piece: () => void (pieces += 1) }, 0, 0, 64 * layout.FLOW_LEAST);
  t.is(pieces, 64);
});

test('THR-1005: what a body has brought that nobody has taken holds no memory that others filled', async (t) => {
  const open: Peer[] = [];
  const { pool } = await scripted(
    t,
    async (peer) => {
      for (;;) {
        if (target(await peer.request()) === '/stream') {
          open.push(peer);
          await peer.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
          return peer.gone();
        }
        // A piece of the open body before each of the others' bodies, which fill block after block.
        await open[0]?.write('1\r\ny\r\n');
        await peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${ORDINARY.length}\r\n\r\n`);
        await peer.write(ORDINARY);
      }
    },
    { maxsize: 2 },
  );
  const response = await pool.request('GET', '/stream', STREAMED);
  const others = 100;
  for (let nth = 0; nth < others; nth += 1) await pool.request('GET', '/');
  await open[0]?.write('0\r\n\r\n');
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece);
  t.is(String(Buffer.concat(pieces)), 'y'.repeat(others));
  const held = bytesBehind(pieces);
  t.true(held <= 4 * 1024, `${held} bytes are held for ${others}`);
});

test('small pieces lie in blocks of their body: all of them in at most a third more, and one, than they have bytes', (t) => {
  for (const size of [1, 60, 300, 1_500, 4_000, 4_096, 5_000, 16_384]) {
    const inflow = new Inflow(NOBODY, 0, 0, 0);
    const slab = Buffer.alloc(64 * 1024);
    const all: Buffer[] = [];
    for (let nth = 0; nth < 2_000; nth += 1) {
      const start = (nth * 8) % (slab.length - size);
      slab.fill(nth % 251, start, start + size);
      inflow.copy(slab, start, size, nth);
      all.push(Buffer.alloc(size, nth % 251));
    }
    slab.fill(0);
    const taken: Buffer[] = [];
    for (let piece = inflow.take(); piece !== null; piece = inflow.take()) taken.push(piece);
    t.true(Buffer.concat(taken).equals(Buffer.concat(all)), `${size}`);
    const held = bytesBehind(taken);
    t.true(held <= (2_000 * size * 4) / 3 + 32 * 1024, `${size}: ${held}`);
    // A reader that is behind gets them together, the first ones as they came.
    if (size <= 300) t.true(taken.length < 100 && taken.slice(0, 10).every(({ length }) => length === size), `${size}`);
  }
});

test('pieces that were put together are cut, counted and followed by others as any', (t) => {
  const orders: number[] = [];
  const inflow = new Inflow({ ...NOBODY, order: (_, __, ___, ____, taken) => void orders.push(taken) }, 0, 0, 0);
  const slab = Buffer.from('abcdefghijklmnopqrstuvwxyz');
  for (let nth = 0; nth < 26; nth += 1) inflow.copy(slab, nth, 1, nth + 1);
  t.is(inflow.buffered, 26);
  let text = '';
  for (let nth = 0; nth < 20; nth += 1) text += String(inflow.take(1));
  t.is(inflow.wire, 26);
  for (let nth = 0; nth < 26; nth += 1) inflow.copy(slab, nth, 1, nth + 27);
  for (let piece = inflow.take(3); piece !== null; piece = inflow.take(3)) text += String(piece);
  t.is(text, String(slab).repeat(2));
  t.is(inflow.wire, 52);
  t.is(inflow.buffered, 0);
  inflow.press();
  t.is(
    orders.reduce((sum, taken) => sum + taken, 0),
    52,
  );
});

test('a small piece that is transferred to another thread takes none of its neighbours along', (t) => {
  for (const size of [100, 5_000]) {
    const inflow = new Inflow(NOBODY, 0, 0, 0);
    const slab = Buffer.alloc(size);
    for (let nth = 0; nth < 60; nth += 1) inflow.copy(slab.fill(nth), 0, size, nth);
    const { port1, port2 } = new MessageChannel();
    t.teardown(() => port1.close());
    let read = 0;
    for (let piece = inflow.take(size); piece !== null; piece = inflow.take(size)) {
      t.true(piece.equals(Buffer.alloc(size, read / size)), `${size}: at ${read}`);
      read += piece.length;
      try {
        port1.postMessage(piece, [piece.buffer as ArrayBuffer]);
      } catch (error) {
        // Node.js 20 copies what may not be transferred; later ones say so.
        t.is((error as Error).name, 'DataCloneError');
      }
      t.is(piece.length, size);
    }
    t.is(read, 60 * size);
    port2.close();
  }
});

test('an upload of pieces of a byte to a peer that takes nothing stops after thousands of them', async (t) => {
  const { pool } = await scripted(t, async (peer) => {
    peer.socket.pause();
    await peer.gone();
  });
  let given = 0;
  const body = function* (): Generator<string> {
    for (; given < 1_200_000; given += 1) yield 'x';
  };
  const failed = t.throwsAsync(pool.request('POST', '/', { body: body(), timeout: { read: 400 } }));
  await failed;
  t.true(given < 1_200_000, 'it was read to its end');
});

test('small pieces of one line, or of one read, become one block: none is kept by itself', async (t) => {
  for (const way of ['lines', 'read'] as const) {
    const inflow = new Inflow(NOBODY, 0, 0, 0);
    const reader = new BodyReader(inflow, { length: null, raw: true });
    const text = Array.from({ length: 200_000 }, (_, nth) => String.fromCharCode(97 + (nth % 26))).join('');
    const got = way === 'lines' ? reader.lines().next() : reader.readExactly(text.length);
    for (let at = 0; at < text.length;) {
      // Of many sizes, some of them large enough to be kept.
      const end = Math.min(text.length, at + (at % 7 === 0 ? 1 : at % 50 === 3 ? 17_000 : at % 90));
      if (end > at) inflow.push(Buffer.from(text.slice(at, end)), end);
      at = Math.max(end, at + 1) === end ? end : at;
      if (end === at && end < text.length) inflow.push(Buffer.from(text.slice(at, ++at)), at);
      await Promise.resolve();
    }
    inflow.end({ trailers: '', read: true, wire: text.length, body: 0, total: 0 });
    const value = await got;
    t.is(String(Buffer.isBuffer(value) ? value : value.value), text, way);
  }
});

/** Bytes of memory that pieces keep alive. */
function bytesBehind(pieces: Buffer[]): number {
  return [...new Set(pieces.map(({ buffer }) => buffer))].reduce((sum, { byteLength }) => sum + byteLength, 0);
}

const NOBODY: Carrier = { order() {}, piece() {}, finish() {}, hold() {} };

/**
 * Memory that many bodies share, and what pieces without size make of it: readers go on when it is used up, and a peer or a
 * source whose pieces have a byte each gets no more of it than one with large ones.
 */
import test, { type ExecutionContext } from 'ava';

import { Inflow, Outflow, type Carrier } from '../facade/boundary/stream.ts';
import * as layout from '../facade/boundary/generated.ts';
import { BodyReader } from '../facade/reader.ts';
import { configure, type HTTPResponse } from '../index.ts';
import { scripted } from './support/fixtures.ts';

const STREAMED = { preloadContent: false } as const;
const SIZE = 4 * 1024 * 1024;
const BODY = Buffer.alloc(SIZE, 'x');

/** The first of several bodies, the others of which nobody reads: they have more than may lie around. */
async function crowded(t: ExecutionContext): Promise<HTTPResponse> {
  const { pool } = await scripted(
    t,
    async (peer) => {
      await peer.request();
      await peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${SIZE}\r\n\r\n`);
      for (let at = 0; at < SIZE; at += 20_000) await peer.write(BODY.subarray(at, at + 20_000));
    },
    { maxsize: 8, timeout: { total: 10_000 } },
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

const NOBODY: Carrier = { order() {}, piece() {}, finish() {}, hold() {} };

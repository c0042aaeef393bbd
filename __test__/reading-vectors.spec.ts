/** Bodies that are read in pieces, against the vectors: what urllib3 gives for each way of reading. */
import test, { type ExecutionContext } from 'ava';

import { DecodeError, ProtocolError, ResponseNotRead, type HTTPConnectionPool, type HTTPResponse } from '../index.ts';
import { choices } from './servers/raw.ts';
import { decodeCases, DECODED_OTHERWISE, LEFT_CODED, type Decoded, type DecodeCase } from './support/decode-cases.ts';
import { rejection, scripted } from './support/fixtures.ts';
import {
  CHUNKED_STRICTLY,
  chunkedCases,
  chunkedCode,
  chunkedWire,
  isBodiless,
  lengthCases,
  NO_LENGTH,
} from './support/framing-cases.ts';
import { vectors, type Raised } from './support/vectors.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const WAIT = { total: 10_000 };
const STREAMED = { preloadContent: false } as const;

type Outcome = { value: string } | { error: Raised };
type Pieces = { value: string[] } | { error: Raised };

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const bytes = (base64: string): Buffer => Buffer.from(base64, 'base64');

/** A pool whose server gives the nth of these under `/n` and then ends the connection. */
async function choice(t: ExecutionContext, wires: readonly Uint8Array[]): Promise<HTTPConnectionPool> {
  const { pool } = await scripted(t, choices(wires, true), { timeout: WAIT });
  return pool;
}

/** What a way of reading gave before it ended or failed. */
interface Seen {
  pieces: string[];
  error: Error | null;
}

async function collect(pieces: AsyncIterable<Buffer>): Promise<Seen> {
  const seen: Seen = { pieces: [], error: null };
  try {
    for await (const piece of pieces) seen.pieces.push(piece.toString('latin1'));
  } catch (error) {
    seen.error = error as Error;
  }
  return seen;
}

async function* reads(response: HTTPResponse, amount: number | null): AsyncGenerator<Buffer> {
  for (;;) {
    const piece = await response.read(amount);
    if (piece.length > 0) yield piece;
    if (piece.length === 0 || amount === null) return;
  }
}

/** Pieces of so many bytes each, the last one smaller and none of them empty. */
function exact(t: ExecutionContext, pieces: readonly string[], amount: number, what: string): void {
  const last = pieces.at(-1);
  t.true(
    pieces.every((piece) => piece.length === amount || (piece === last && piece.length < amount && piece.length > 0)),
    `${what}: ${pieces.map((piece) => piece.length).join(' ')}`,
  );
}

const cut = (body: Buffer): Buffer =>
  Buffer.concat([
    ...[...body].flatMap((byte) => [latin1('1\r\n'), Buffer.of(byte), latin1('\r\n')]),
    latin1('0\r\n\r\n'),
  ]);

const framings: Record<string, (body: Buffer) => [fields: string, body: Buffer]> = {
  'its length': (body) => [`Content-Length: ${body.length}\r\nConnection: close\r\n`, body],
  'chunks of one byte': (body) => ['Transfer-Encoding: chunked\r\nConnection: close\r\n', cut(body)],
  'the end of the stream': (body) => ['', body],
};

/** Ways of reading a coded body: the vectors' names, and the size of the pieces. */
const WAYS = {
  read: [(response) => reads(response, null), Infinity],
  'read(1) joined': [(response) => reads(response, 1), 1],
  'read(2) joined': [(response) => reads(response, 2), 2],
  'read(7) joined': [(response) => reads(response, 7), 7],
  'stream(5)': [(response) => response.stream(5), 5],
  'stream()': [(response) => response.stream(), 65_536],
} satisfies Partial<Record<keyof DecodeCase, [(response: HTTPResponse) => AsyncIterable<Buffer>, number]>>;

const joined = (outcome: Outcome | Pieces): Decoded => {
  if ('error' in outcome) return 'DecodeError';
  const pieces = typeof outcome.value === 'string' ? [outcome.value] : outcome.value;
  return { value: pieces.map((piece) => bytes(piece).toString('latin1')).join('') };
};

/** The start of a body that was cut short, as far as urllib3 decodes it: it must be there before the error. */
const CUT_SHORT = new Set(['gzip truncated body', 'gzip truncated trailer', 'deflate truncated']);

for (const [framing, frame] of Object.entries(framings)) {
  test(`DEC-05 DEC-06 DEC-07 DEC-08 DEC-09 DEC-10 DEC-14 READ-02 READ-07 THR-220 WART-05: decode.json, streamed in every way, framed by ${framing}`, async (t) => {
    const cases = decodeCases();
    const wires = cases.map(({ contentEncoding, wire }) => {
      const [fields, body] = frame(bytes(wire));
      const coding = contentEncoding === null ? '' : `Content-Encoding: ${contentEncoding}\r\n`;
      return Buffer.concat([latin1(`${OK}${coding}${fields}\r\n`), body]);
    });
    const pool = await choice(t, wires);
    for (const [nth, one] of cases.entries()) {
      for (const [way, [read, amount]] of Object.entries(WAYS)) {
        const { name, contentEncoding, wire } = one;
        const what = `${name}, ${way}`;
        const theirs = joined(one[way as keyof typeof WAYS]);
        const ours = LEFT_CODED.has(name) ? { value: bytes(wire).toString('latin1') } : DECODED_OTHERWISE[name];
        const due = name === 'zstd truncated' ? 'DecodeError' : (ours ?? theirs);
        if (ours !== undefined) t.notDeepEqual(ours, theirs, `${what} is listed as differing and does not`);
        const response = await pool.request('GET', `/${nth}`, STREAMED).catch((error: Error) => error);
        if (response instanceof Error) {
          // A chain that is too long is refused with the head, before any byte is decoded.
          t.true(response instanceof DecodeError, what);
          t.is(name, '6 links');
          continue;
        }
        const { pieces, error } = await collect(read(response));
        exact(t, pieces, amount, what);
        t.is(response.headers.get('content-encoding'), contentEncoding?.trim(), what);
        if (due === 'DecodeError') {
          t.true(error instanceof DecodeError, `${what}: ${error}`);
          t.like(error, { code: 'ERR_DECODE', phase: 'body' }, what);
          if (CUT_SHORT.has(name) && theirs !== 'DecodeError' && way !== 'read')
            t.is(pieces.join(''), theirs.value, what);
          // It stays so.
          t.is(await rejection(response.read(1), DecodeError), error as DecodeError, what);
        } else {
          t.is(error, null, what);
          t.is(pieces.join(''), due.value, what);
          t.is(response.bytesRead, bytes(wire).length, what);
          t.true(response.closed, what);
        }
      }
    }
  });
}

test('DEC-05 THR-231: decodeContent: false streams the body as received', async (t) => {
  const cases = decodeCases();
  const pool = await choice(
    t,
    cases.map(({ contentEncoding, wire }) =>
      Buffer.concat([
        latin1(`${OK}Content-Length: ${bytes(wire).length}\r\nConnection: close\r\n`),
        latin1(contentEncoding === null ? '\r\n' : `Content-Encoding: ${contentEncoding}\r\n\r\n`),
        bytes(wire),
      ]),
    ),
  );
  for (const [nth, { name, wire, readNoDecode }] of cases.entries()) {
    const response = await pool.request('GET', `/${nth}`, { ...STREAMED, decodeContent: false });
    t.is((await response.read()).toString('base64'), wire, name);
    // Nothing is undone, so no chain is too long for us.
    if ('error' in readNoDecode) t.is(name, '6 links');
    else t.is(readNoDecode.value, wire, name);
  }
});

interface Program {
  name: string;
  contentEncoding: string | null;
  wire: string;
  steps: ({ op: [string, number?]; closed: boolean } & (
    | { value: string | number | { n: number; buf: string } }
    | { error: Raised }
  ))[];
}
/** READ-06 is not offered: `decodeContent` is the request's, so that a body is decoded or it is not. */
const PER_READ = new Set(['toggle decode', 'raw then decode']);
/** Steps that end otherwise for us, by `case, number of the step`. */
const STEPS: Record<string, string | number> = {
  // RESP-24: the bytes on the wire of what was decoded; all of the 34 came at once.
  'tell, 2': 34,
  // RESP-14: a getter cannot read, so what was not read by one read() is not there.
  'data after partial, 1': 'ResponseNotRead',
  'data after partial, 2': 'ResponseNotRead',
  'data then read, 0': 'ResponseNotRead',
  // It is, then, all that there is.
  'data then read, 1': bytes('Zm9v').toString('base64'),
};

test('READ-01 READ-02 READ-03 READ-04 READ-05 READ-09 RESP-21 RESP-24: partial-reads.json', async (t) => {
  const cases = vectors<Program>('partial-reads.json');
  const pool = await choice(
    t,
    cases.map(({ contentEncoding, wire }) => {
      const coding = contentEncoding === null ? '' : `Content-Encoding: ${contentEncoding}\r\n`;
      return Buffer.concat([latin1(`${OK}${coding}\r\n`), bytes(wire)]);
    }),
  );
  let differing = 0;
  for (const [nth, { name, steps }] of cases.entries()) {
    if (PER_READ.has(name)) continue;
    const response = await pool.request('GET', `/${nth}`, STREAMED);
    for (const [at, step] of steps.entries()) {
      const what = `${name}, ${at}`;
      const [op, amount] = step.op;
      const run = async (): Promise<unknown> => {
        if (op === 'read') return (await response.read(amount)).toString('base64');
        if (op === 'read1') return (await response.read1(amount)).toString('base64');
        if (op === 'tell') return response.bytesRead;
        if (op === 'data') return response.data.toString('base64');
        const target = Buffer.alloc(amount as number);
        const n = await response.readInto(target);
        return { n, buf: target.subarray(0, n).toString('base64') };
      };
      const got = await run().catch((error: unknown) => (error instanceof ResponseNotRead ? error.name : error));
      const ours = STEPS[what];
      if (ours !== undefined) differing += 1;
      t.deepEqual(got, ours ?? ('value' in step ? step.value : step.error), what);
      // The vectors' source of bytes does not close when it has been read to its end, which a connection does.
      const ended = steps.slice(0, at + 1).some(isWhole);
      t.is(response.closed, step.closed || ended, what);
    }
  }
  t.is(differing, Object.keys(STEPS).length);
});

/** Whether a step reads everything. */
function isWhole({ op: [op, amount] }: Program['steps'][number]): boolean {
  return op === 'read' && (amount === undefined || amount === -1);
}

test('READ-10 WART-21: iterate-lines.json is what lines() gives, however the body is cut', async (t) => {
  const cases = vectors<{ body: string; lines: string[] }>('iterate-lines.json');
  for (const [framing, frame] of Object.entries(framings)) {
    const pool = await choice(
      t,
      cases.map(({ body }) => {
        const [fields, framed] = frame(bytes(body));
        return Buffer.concat([latin1(`${OK}${fields}\r\n`), framed]);
      }),
    );
    for (const [nth, { lines }] of cases.entries()) {
      const what = `${nth} by ${framing}`;
      const streamed = await pool.request('GET', `/${nth}`, STREAMED);
      const { pieces, error } = await collect(streamed.lines());
      t.is(error, null, what);
      t.deepEqual(
        pieces.map((piece) => latin1(piece).toString('base64')),
        lines,
        what,
      );
      const preloaded = await pool.request('GET', `/${nth}`);
      t.deepEqual((await collect(preloaded.lines())).pieces, pieces, what);
    }
  }
});

/** What comes before the error of a broken one. */
const BEFORE: Record<string, string> = {
  'no final crlf': 'foo',
  'truncated chunk': 'foo',
  'ends before chunk': 'foo',
  'missing crlf after data': 'foo',
  'long trailer': 'foo',
};

const CHUNKED_WAYS = {
  read: [(response: HTTPResponse) => reads(response, null), Infinity],
  'stream()': [(response: HTTPResponse) => response.stream(), 65_536],
  'stream(2)': [(response: HTTPResponse) => response.stream(2), 2],
} as const;

for (const way of ['read', 'stream()', 'stream(2)'] as const) {
  test(`RESP-12 READ-07 THR-202 THR-203 THR-207: chunked-response.json by ${way}`, async (t) => {
    const cases = chunkedCases();
    const pool = await choice(
      t,
      cases.map((one) => latin1(`${OK}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n${chunkedWire(one)}`)),
    );
    for (const [nth, one] of cases.entries()) {
      const { name } = one;
      const response = await pool.request('GET', `/${nth}`, STREAMED);
      t.true(response.chunked);
      t.is(response.lengthRemaining, null);
      const [read, amount] = CHUNKED_WAYS[way];
      const { pieces, error } = await collect(read(response));
      exact(t, pieces, amount, name);
      const theirs = joined(one[way]);
      if (CHUNKED_STRICTLY[name] === undefined && theirs !== 'DecodeError') {
        t.is(error, null, name);
        // urllib3 cuts at the chunks too, which hyper does not show.
        t.is(pieces.join(''), theirs.value, name);
        continue;
      }
      if (!(error instanceof ProtocolError)) throw new Error(name, { cause: error });
      t.is(error.code, chunkedCode(name), name);
      const before = BEFORE[name] ?? '';
      if (way === 'read') t.is((error.partial ?? '').toString(), before, name);
      else t.is(pieces.join(''), before, name);
    }
  });
}

test('RESP-08 RESP-10: content-length.json: lengthRemaining right after the head, and after the body', async (t) => {
  const cases = lengthCases();
  t.is(cases.length, 256);
  const pool = await choice(
    t,
    cases.map(({ contentLength, status, chunked }) => {
      const length =
        contentLength === null ? '' : `Content-Length: ${Buffer.from(contentLength).toString('latin1')}\r\n`;
      const coding = chunked ? 'Transfer-Encoding: chunked\r\n' : '';
      // Over the wire an interim response is no response: the next one is it (RESP-07).
      const next = status === 199 ? `${OK}Content-Length: 7\r\n\r\n` : '';
      return latin1(`HTTP/1.1 ${status} X\r\nConnection: close\r\n${length}${coding}\r\n${next}`);
    }),
  );
  const counts = { lengths: 0, refused: 0, interim: 0 };
  for (const [nth, one] of cases.entries()) {
    const { contentLength, status, method, chunked, lengthRemaining } = one;
    const what = JSON.stringify(one);
    const outcome = await pool.request(method ?? 'GET', `/${nth}`, STREAMED).catch((error: Error) => error);
    const bodiless = isBodiless(one);
    if (status < 200) {
      counts.interim += 1;
      if (status === 101 || outcome instanceof Error) t.true(outcome instanceof ProtocolError, what);
      else t.is(outcome.lengthRemaining, bodiless ? 0 : 7, what);
      if (!(outcome instanceof Error)) outcome.close();
      continue;
    }
    if (NO_LENGTH.has(contentLength) && !bodiless && !chunked) {
      counts.refused += 1;
      if (!(outcome instanceof ProtocolError)) throw new Error(what, { cause: outcome });
      t.is(outcome.phase, 'headers', what);
      continue;
    }
    if (outcome instanceof Error) throw new Error(what, { cause: outcome });
    counts.lengths += 1;
    const due = 'value' in lengthRemaining ? lengthRemaining.value : 0;
    t.is(outcome.lengthRemaining, due, what);
    t.is(outcome.closed, due === 0, what);
    if (due === 0) t.is((await outcome.read()).length, 0, what);
    else outcome.close();
  }
  t.deepEqual(counts, { lengths: 152, refused: 40, interim: 64 });
});

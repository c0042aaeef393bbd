/** Frames of HTTP/2 as bytes (RFC 9113, section 6): the right ones, and all that are wrong. */
import { headerBlock, type Line } from './hpack.ts';

/** Types of frames. */
export const TYPE = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

/** Flags; ACK is that of SETTINGS and PING. */
export const FLAG = { END_STREAM: 0x1, ACK: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 } as const;

/** Error codes (section 7). */
export const CODE = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  ENHANCE_YOUR_CALM: 11,
  HTTP_1_1_REQUIRED: 13,
} as const;

/** Settings (section 6.5.2). */
export const SETTING = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

/** What a client says first. */
export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** The most that a frame may carry while nobody has said otherwise. */
export const FRAME_SIZE = 16_384;

/** A frame that has arrived. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** Any frame at all; `length` where it is to say another length than it has. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array | string = '',
  length?: number,
): Buffer {
  const bytes = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
  const head = Buffer.alloc(9);
  head.writeUIntBE(length ?? bytes.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, bytes]);
}

/** SETTINGS of these values, by {@link SETTING}. */
export function settings(values: readonly (readonly [id: number, value: number])[] = []): Buffer {
  const payload = Buffer.alloc(values.length * 6);
  for (const [at, [id, value]] of values.entries()) {
    payload.writeUInt16BE(id, at * 6);
    payload.writeUInt32BE(value, at * 6 + 2);
  }
  return frame(TYPE.SETTINGS, 0, 0, payload);
}

/** SETTINGS that acknowledges. */
export const settingsAck = (): Buffer => frame(TYPE.SETTINGS, FLAG.ACK, 0);

/** What a header block is sent with. */
export interface HeadersOptions {
  /** END_STREAM. Default false. */
  end?: boolean;
  /** The most that a frame of the block carries; the rest goes into CONTINUATION. Default 16,384. */
  split?: number;
}

/** HEADERS with these lines, or with this block; CONTINUATION as needed. */
export function headers(
  stream: number,
  lines: readonly Line[] | Uint8Array,
  { end = false, split = FRAME_SIZE }: HeadersOptions = {},
): Buffer {
  return pieces(TYPE.HEADERS, end ? FLAG.END_STREAM : 0, stream, block(lines), split);
}

/** HEADERS whose first line is the status. */
export function head(
  stream: number,
  status: number,
  lines: readonly Line[] = [],
  options: HeadersOptions = {},
): Buffer {
  return headers(stream, [[':status', String(status)], ...lines], options);
}

/** PUSH_PROMISE on a stream for another. */
export function pushPromise(stream: number, promised: number, lines: readonly Line[]): Buffer {
  return pieces(TYPE.PUSH_PROMISE, 0, stream, Buffer.concat([word(promised), block(lines)]), FRAME_SIZE);
}

/** DATA; with `pad` bytes of padding where that is given. */
export function data(
  stream: number,
  bytes: Uint8Array | string,
  { end = false, pad }: { end?: boolean; pad?: number } = {},
): Buffer {
  const flags = end ? FLAG.END_STREAM : 0;
  if (pad === undefined) return frame(TYPE.DATA, flags, stream, bytes);
  const payload = Buffer.concat([Buffer.of(pad), Buffer.from(bytes as Uint8Array), Buffer.alloc(pad)]);
  return frame(TYPE.DATA, flags | FLAG.PADDED, stream, payload);
}

/** RST_STREAM. */
export const rstStream = (stream: number, code: number): Buffer => frame(TYPE.RST_STREAM, 0, stream, word(code));

/** GOAWAY: streams up to the last one may have been processed. */
export function goaway(last: number, code: number = CODE.NO_ERROR, debug: string = ''): Buffer {
  return frame(TYPE.GOAWAY, 0, 0, Buffer.concat([word(last), word(code), Buffer.from(debug)]));
}

/** PING. */
export const ping = (opaque = 'opaque!!', ack = false): Buffer => frame(TYPE.PING, ack ? FLAG.ACK : 0, 0, opaque);

/** WINDOW_UPDATE; stream 0 is the connection's. */
export const windowUpdate = (stream: number, increment: number): Buffer =>
  frame(TYPE.WINDOW_UPDATE, 0, stream, word(increment));

/** PRIORITY. */
export const priority = (stream: number, on = 0, weight = 15): Buffer =>
  frame(TYPE.PRIORITY, 0, stream, Buffer.concat([word(on), Buffer.of(weight)]));

/** A whole response: a body that fits into one frame and the windows. */
export function answer(
  stream: number,
  body: Uint8Array | string = '',
  { status = 200, lines = [] }: { status?: number; lines?: readonly Line[] } = {},
): Buffer {
  if (body.length === 0) return head(stream, status, lines, { end: true });
  return Buffer.concat([head(stream, status, lines), data(stream, body, { end: true })]);
}

/** Four bytes. */
export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** The name of an error code. */
export function codeName(code: number): string {
  return Object.entries(CODE).find(([, value]) => value === code)?.[0] ?? String(code);
}

/** Takes the next whole frame off the front of what has arrived. */
export function parse(bytes: Buffer): { frame: Frame; length: number } | null {
  if (bytes.length < 9) return null;
  const length = 9 + bytes.readUIntBE(0, 3);
  if (bytes.length < length) return null;
  const payload = bytes.subarray(9, length);
  const stream = bytes.readUInt32BE(5) % 2 ** 31;
  return { frame: { type: bytes.readUInt8(3), flags: bytes.readUInt8(4), stream, payload }, length };
}

function block(lines: readonly Line[] | Uint8Array): Buffer {
  return Buffer.from(lines instanceof Uint8Array ? lines : headerBlock(lines));
}

/** A header block in as many frames as it takes. */
function pieces(type: number, flags: number, stream: number, bytes: Buffer, most: number): Buffer {
  const frames: Buffer[] = [];
  let at = 0;
  do {
    const piece = bytes.subarray(at, at + most);
    at += piece.length;
    const last = at === bytes.length ? FLAG.END_HEADERS : 0;
    frames.push(
      frames.length === 0 ? frame(type, flags | last, stream, piece) : frame(TYPE.CONTINUATION, last, stream, piece),
    );
  } while (at < bytes.length);
  return Buffer.concat(frames);
}

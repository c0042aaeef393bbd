/** `chunked-response.json` and `content-length.json`, and where we differ from urllib3 on purpose. */
import { vectors, type Raised } from './vectors.ts';

type Outcome = { value: string } | { error: Raised };

/** A chunked body, and what urllib3 gives for each way of reading it. */
export interface ChunkedCase {
  name: string;
  wire: string | { len: number; sha1: string; head: string };
  preload: Outcome;
  read: Outcome;
  'stream()': { value: string[] } | { error: Raised };
  'stream(2)': { value: string[] } | { error: Raised };
}

/** The codes that come instead of a body's end. */
export const CHUNKED_STRICTLY: Readonly<Record<string, string>> = {
  // Ends before the last CRLF: not a body that was received whole.
  'no final crlf': 'ERR_INCOMPLETE_READ',
  // RESP-12, THR-203, THR-207: a size is hex digits, and lines end in CRLF.
  plus: 'ERR_CHUNK',
  '0x': 'ERR_CHUNK',
  underscore: 'ERR_CHUNK',
  spaces: 'ERR_CHUNK',
  'missing crlf after data': 'ERR_CHUNK',
};

/** The vectors hold these in short; so they are made. */
const LONG: Readonly<Record<string, string>> = {
  'long size line': 'f'.repeat(70_000),
  'long extension': `3;${'e'.repeat(70_000)}\r\nfoo\r\n0\r\n\r\n`,
  'long trailer': `3\r\nfoo\r\n0\r\nX: ${'t'.repeat(70_000)}\r\n\r\n`,
};

/** A case's bytes after the head, as latin1. */
export function chunkedWire({ name, wire }: ChunkedCase): string {
  return typeof wire === 'string' ? Buffer.from(wire, 'base64').toString('latin1') : (LONG[name] ?? '');
}

/** The code that a case fails with where it fails. */
export function chunkedCode(name: string): string {
  return CHUNKED_STRICTLY[name] ?? (/^(truncated|ends|nothing)/.test(name) ? 'ERR_INCOMPLETE_READ' : 'ERR_CHUNK');
}

/** The cases. */
export function chunkedCases(): ChunkedCase[] {
  return vectors<ChunkedCase>('chunked-response.json');
}

/** A head, and the length that urllib3 reads from it. */
export interface LengthCase {
  contentLength: string | null;
  status: number;
  method: string | null;
  chunked: boolean;
  lengthRemaining: { value: number | null } | { error: Raised };
}

/** urllib3 takes these, or takes them for unknown; a length that is no plain number is refused by us (THR-307). */
export const NO_LENGTH: ReadonlySet<string | null> = new Set([
  '',
  '+5',
  '-10',
  '1_0',
  '5.0',
  '5;',
  'foo',
  '٥',
  '99999999999999999999',
  '5, 42',
]);

/** The cases. */
export function lengthCases(): LengthCase[] {
  return vectors<LengthCase>('content-length.json');
}

/** Whether a case's response has no body, whatever its fields say. */
export function isBodiless({ method, status }: LengthCase): boolean {
  return method === 'HEAD' || status === 204 || status === 304;
}

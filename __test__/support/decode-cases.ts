/** Coded bodies of `decode.json`, and where what we make of them is not what urllib3 makes of them. */
import { vectors, type Raised } from './vectors.ts';

type Outcome = { value: string } | { error: Raised };

/** One body, and what urllib3 gives for each way of reading it. Bytes are base64. */
export interface DecodeCase {
  name: string;
  contentEncoding: string | null;
  wire: string;
  preload: Outcome;
  read: Outcome;
  readNoDecode: Outcome;
  'read(1) joined': Outcome;
  'read(2) joined': Outcome;
  'read(7) joined': Outcome;
  'stream(5)': { value: string[] } | { error: Raised };
  'stream()': { value: string[] } | { error: Raised };
}

/** A decoded body, or the error. */
export type Decoded = 'DecodeError' | { readonly value: string };

/** What we do where urllib3 does something else; the reasons stand in the ledger. */
export const DECODED_OTHERWISE: Readonly<Record<string, Decoded>> = {
  // WART-05, DEC-06: a body that was cut short is never given out as if it were whole.
  'gzip truncated body': 'DecodeError',
  'gzip truncated trailer': 'DecodeError',
  'deflate truncated': 'DecodeError',
  'br truncated': 'DecodeError',
  // What follows the coded data is ignored, whatever the coding.
  'br + tail': { value: 'A'.repeat(100) },
  'zstd + tail': { value: 'A'.repeat(100) },
  // DEC-08: members of the list that stand for no coding are dropped; blanks around a value are no part of it.
  'gzip, identity': { value: 'foo' },
  'gzip,': { value: 'foo' },
  ', gzip': { value: 'foo' },
  'gzip with spaces': { value: 'foo' },
};
/** DEC-08: one unknown member, and the body stays as it came. */
export const LEFT_CODED: ReadonlySet<string> = new Set(['unknown, gzip']);

/** The cases. */
export function decodeCases(): DecodeCase[] {
  return vectors<DecodeCase>('decode.json');
}

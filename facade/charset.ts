/**
 * Which charset a body is written in, and its text. Both are the core's to say (`crate/core/src/text.rs`): byte order
 * mark, then the header, then HTML's meta, then UTF-8; labels are WHATWG's, an unknown one is passed over. Node's own
 * decoder is not asked: Node.js 20's differs from the standard in a dozen charsets, windows-1252 among them.
 *
 * What stays here is what needs no crossing: content types that have been judged before, and UTF-8 that V8 reads as
 * quickly.
 */
import { isAscii } from 'node:buffer';

import { argumentError, describe } from './arguments.ts';
import { addon, guarded } from './boundary/load.ts';

/** A charset and where it was found. */
export interface Charset {
  /** WHATWG's name in lower case: `utf-8`, `windows-1252`, `shift_jis`. */
  readonly name: string;
  /** What said so: a byte order mark, Content-Type, an HTML meta element, or nothing. */
  readonly from: 'bom' | 'header' | 'meta' | 'default';
}

/**
 * Finds the charset of a body.
 *
 * @internal
 */
export function sniff(data: Uint8Array, contentType: string | undefined): Charset {
  // Every byte order mark begins with one of the last bytes.
  const judged = contentType === undefined || (data[0] ?? 0) >= LEAST_MARK ? undefined : JUDGED.get(contentType);
  if (judged !== undefined) return { ...judged };
  const { name, from, byTypeAlone } = JSON.parse(
    guarded(() => addon.charsetOf(data, contentType ?? null)),
  ) as Charset & { byTypeAlone: boolean };
  if (byTypeAlone && contentType !== undefined && contentType.length <= LONGEST_TYPE) {
    // The peer chooses content types: only so many are worth remembering.
    if (JUDGED.size < MOST_TYPES) JUDGED.set(contentType, { name, from });
  }
  return { name, from };
}

/**
 * Decodes a body; malformed sequences become U+FFFD, the charset's byte order mark is dropped.
 *
 * @throws RangeError ERR_INVALID_OPTION for a charset that nobody knows; Error ERR_STRING_TOO_LONG, as Buffer.toString.
 * @internal
 */
export function decodeText(data: Buffer, label: string): string {
  if (typeof label !== 'string') {
    throw argumentError('type', 'ERR_INVALID_OPTION', `a charset is a string, not ${describe(label)}`);
  }
  if (label === 'utf-8' && (data.length < SHORT || isAscii(data))) {
    const from = data.length >= 3 && data[0] === 0xef && data[1] === 0xbb && data[2] === 0xbf ? 3 : 0;
    return data.toString(data.length < SHORT ? 'utf8' : 'latin1', from);
  }
  const text = guarded(() => addon.decodeText(data, label));
  if (text === null) {
    const shown = label.slice(0, 120);
    throw argumentError(
      'range',
      'ERR_INVALID_OPTION',
      `'${shown}' is no charset of the WHATWG Encoding standard that text can be in`,
    );
  }
  if (text === false) {
    throw Object.assign(new Error(`the text of ${data.length} bytes is longer than a string can be`), {
      code: 'ERR_STRING_TOO_LONG',
    });
  }
  return text;
}

/** About where a call of the binary pays for UTF-8 beyond ASCII: between 300 and 700 bytes, by the language. */
const SHORT = 512;
const LEAST_MARK = 0xef;
const LONGEST_TYPE = 128;
const MOST_TYPES = 256;
/** What content types say by themselves. */
const JUDGED: Map<string, Charset> = new Map();

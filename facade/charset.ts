/**
 * Which charset a body is written in, and its text: byte order mark, then the header, then HTML's meta, then UTF-8
 * (WHATWG Encoding, and HTML's prescan of the first 1,024 bytes). Labels are WHATWG's; an unknown one is passed over.
 */

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
  const marked = byMark(data);
  if (marked !== null) return { name: marked, from: 'bom' };
  const declared = known(contentType === undefined ? null : parameter(contentType));
  if (declared !== null) return { name: declared, from: 'header' };
  const meta = isHtml(contentType) ? known(byMeta(data)) : null;
  if (meta !== null) return { name: meta, from: 'meta' };
  return { name: 'utf-8', from: 'default' };
}

/**
 * Decodes a body; malformed sequences become U+FFFD, a byte order mark is dropped.
 *
 * @throws RangeError ERR_INVALID_OPTION for a charset that nobody knows.
 * @internal
 */
export function decodeText(data: Buffer, label: string): string {
  const name = known(label);
  if (name === null) {
    throw Object.assign(new RangeError(`'${label.slice(0, 120)}' is no charset of the WHATWG Encoding standard`), {
      code: 'ERR_INVALID_OPTION',
    });
  }
  if (name !== 'utf-8') return new TextDecoder(name).decode(data);
  const from = data.length >= 3 && data[0] === 0xef && data[1] === 0xbb && data[2] === 0xbf ? 3 : 0;
  return data.toString('utf8', from);
}

/** The standard's name for a label, or `null`. */
function known(label: string | null): string | null {
  if (label === null || label.length > LONGEST_LABEL) return null;
  const key = label.trim().toLowerCase();
  const cached = LABELS.get(key);
  if (cached !== undefined) return cached;
  let name: string | null = null;
  try {
    name = new TextDecoder(key).encoding;
  } catch {
    // No label of the standard.
  }
  // An attacker chooses labels: only so many are worth remembering.
  if (LABELS.size < MOST_LABELS) LABELS.set(key, name);
  return name;
}

function byMark(data: Uint8Array): string | null {
  if (data[0] === 0xef && data[1] === 0xbb && data[2] === 0xbf) return 'utf-8';
  if (data[0] === 0xff && data[1] === 0xfe) return 'utf-16le';
  if (data[0] === 0xfe && data[1] === 0xff) return 'utf-16be';
  return null;
}

function parameter(contentType: string): string | null {
  const found = /;\s*charset\s*=\s*(?:"([^"]*)"|([^\s;"]*))/i.exec(contentType.slice(0, PRESCAN));
  return found?.[1] ?? found?.[2] ?? null;
}

function isHtml(contentType: string | undefined): boolean {
  return (
    contentType === undefined || /^\s*(?:text\/html|application\/xhtml\+xml)\b/i.test(contentType.slice(0, PRESCAN))
  );
}

/** HTML's prescan, simplified: comments are skipped, the first meta that names a charset counts. */
function byMeta(data: Uint8Array): string | null {
  const head = Buffer.from(data.buffer, data.byteOffset, Math.min(data.byteLength, PRESCAN)).toString('latin1');
  for (const [tag] of head.replace(/<!--[^]*?(?:-->|$)/g, '').matchAll(/<meta\b[^>]*>/gi)) {
    const found = /\bcharset\s*=\s*["']?\s*([^\s"'/>;]+)/i.exec(tag);
    // A page whose meta could be read byte by byte is not UTF-16, whatever it says.
    if (found?.[1] !== undefined) return /^utf-16/i.test(found[1]) ? 'utf-8' : found[1];
  }
  return null;
}

/** HTML 13.2.3.2: a meta element later than this does not count. */
const PRESCAN = 1024;
const LONGEST_LABEL = 64;
const MOST_LABELS = 256;
const LABELS: Map<string, string | null> = new Map();

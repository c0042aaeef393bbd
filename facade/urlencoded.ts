/**
 * Form fields as the body that `encodeMultipart: false` asks for (application/x-www-form-urlencoded), written as the
 * query of a URL is.
 */
import { fieldPairs, type FieldSource } from './options.ts';

/**
 * Encodes fields as `name=value&name=value`, in their order: a space is `+`; everything but letters, digits and `_.-~`
 * is percent-encoded, octet by octet. Half of a surrogate pair is U+FFFD.
 *
 * @throws TypeError ERR_INVALID_OPTION for what is no pair, and for files, Blobs and RequestFields: these need multipart.
 * @internal
 */
export function encodeFormUrlencoded(fields: FieldSource): string {
  const pairs = fieldPairs(fields);
  const out: string[] = [];
  for (let at = 0; at < pairs.length; at += 2) {
    out.push(`${encoded(pairs[at] as string)}=${encoded(pairs[at + 1] as string | Uint8Array)}`);
  }
  return out.join('&');
}

function encoded(given: string | Uint8Array): string {
  if (typeof given === 'string' && /^[\w.~-]*$/.test(given)) return given;
  let out = '';
  for (const octet of typeof given === 'string' ? Buffer.from(given) : given) out += OCTETS[octet] ?? '';
  return out;
}

/** How each octet is written. */
const OCTETS: readonly string[] = Array.from({ length: 256 }, (_, octet) => {
  if (octet === 0x20) return '+';
  const plain = String.fromCharCode(octet);
  return /[\w.~-]/.test(plain) ? plain : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`;
});

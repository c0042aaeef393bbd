/** Bytes that a caller gave, in whichever of their many kinds. */
import { isAnyArrayBuffer, isUint8Array } from 'node:util/types';

import { argumentError } from './arguments.ts';

/**
 * Bytes of a buffer or view, or `null` for anything else.
 *
 * @throws TypeError ERR_INVALID_BODY for memory that was transferred away.
 * @internal
 */
export function bytesOf(value: unknown): Uint8Array | null {
  if (isPlain(value) && value.byteLength > 0) return value;
  if (!ArrayBuffer.isView(value) && !isAnyArrayBuffer(value)) return null;
  try {
    if (!ArrayBuffer.isView(value)) return new Uint8Array(value);
    // Only a constructor tells an empty array from one whose memory is gone. It copies what is there, whatever the array
    // itself says of its length.
    if (isUint8Array(value)) return new Uint8Array(value);
    const whole = new Uint8Array(value.buffer);
    const view = whole.subarray(value.byteOffset, value.byteOffset + value.byteLength);
    return isPlain(view) ? view : Uint8Array.from(view);
  } catch {
    const gone = 'the memory is not there: its ArrayBuffer was transferred away (detached) or made smaller';
    throw argumentError('type', 'ERR_INVALID_BODY', gone);
  }
}

/**
 * Bytes whose length is what it says: no class, property or Proxy of the caller's own stands between. What lies about its
 * length, or runs code when it is asked, would break into a record that is being written down.
 */
function isPlain(value: unknown): value is Uint8Array {
  if (!isUint8Array(value) || Object.hasOwn(value, 'byteLength') || Object.hasOwn(value, 'length')) return false;
  const type: unknown = Object.getPrototypeOf(value);
  return type === Buffer.prototype || type === Uint8Array.prototype;
}

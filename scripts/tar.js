/**
 * Reads a package's .tgz as strictly as npm writes it. Readers of tar differ in what they forgive: one stops where another
 * reads on, and then whoever looked has not seen what is installed. So everything that could be read in two ways is refused.
 */
import { Buffer } from 'node:buffer';
import { crc32, inflateRawSync } from 'node:zlib';

const BLOCK = 512;

/** No package of ours unpacks to more; a broken file must not make us unpack for ever. */
const LARGEST = 256 << 20;

/**
 * The entries: `{ name, mode, type, bytes }`, where `type` is '0' for a file. Throws an Error for a file that another reader
 * could see more or something else in.
 *
 * @param {Buffer} tgz
 */
export function entriesOf(tgz) {
  const tar = unpacked(tgz);
  const entries = [];
  let at = 0;
  for (; at + BLOCK <= tar.length && !isZero(tar.subarray(at, at + BLOCK));) {
    const entry = entryAt(tar, at);
    entries.push(entry);
    at += BLOCK + Math.ceil(entry.bytes.length / BLOCK) * BLOCK;
  }
  if (tar.length - at < 2 * BLOCK || tar.length % BLOCK !== 0) throw new Error('the archive has no end');
  if (!isZero(tar.subarray(at))) throw new Error('there is something behind the end of the archive');
  return entries;
}

/** The archive in a .tgz, which is one member of gzip without any of its optional fields, and nothing behind it. */
function unpacked(tgz) {
  if (tgz.length < 18 || tgz.readUInt32BE(0) !== 0x1f8b0800) throw new Error('it is not packed as npm packs');
  const { buffer, engine } = inflateRawSync(tgz.subarray(10), { info: true, maxOutputLength: LARGEST });
  const end = 10 + engine.bytesWritten;
  if (tgz.length < end + 8) throw new Error('it ends early');
  if (tgz.length > end + 8) throw new Error('there is something behind the packed archive');
  if (tgz.readUInt32LE(end) !== crc32(buffer) || tgz.readUInt32LE(end + 4) !== buffer.length) {
    throw new Error('it is damaged');
  }
  return buffer;
}

function entryAt(tar, at) {
  const head = tar.subarray(at, at + BLOCK);
  // Here some readers see the end of a long prefix and others two times.
  if (!isZero(head.subarray(475))) throw new Error('a header has something where nothing should be');
  const prefix = text(head, 345, 130);
  const name = `${prefix}${prefix === '' ? '' : '/'}${text(head, 0, 100)}`;
  if (head.toString('latin1', 257, 265) !== 'ustar\u000000') throw new Error(`${name} has no header of ustar`);
  const sum = head.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 0x20 : byte), 0);
  if (number(head, 148, 8, name) !== sum) throw new Error(`${name} has a header with a wrong sum`);
  const end = at + BLOCK + number(head, 124, 12, name);
  if (end > tar.length) throw new Error(`${name} ends behind the archive`);
  if (!isZero(tar.subarray(end, Math.ceil(end / BLOCK) * BLOCK)))
    throw new Error(`${name} has something behind its end`);
  return {
    name,
    mode: number(head, 100, 8, name),
    type: head.toString('latin1', 156, 157),
    bytes: tar.subarray(at + BLOCK, end),
  };
}

/** An octal number, as all that npm writes are. */
function number(head, from, length, name) {
  const digits = /^([0-7]+)[ \0]*$/.exec(head.toString('latin1', from, from + length))?.[1];
  if (digits === undefined) throw new Error(`${name} has a number that is none in its header`);
  return Number.parseInt(digits, 8);
}

/** The bytes of a field up to the first zero; whatever else is in it must be zeros. */
function text(head, from, length) {
  const field = head.subarray(from, from + length);
  const end = field.indexOf(0);
  if (end === -1) return field.toString('utf8');
  if (!isZero(field.subarray(end))) throw new Error('a header has something behind the end of a name');
  return field.toString('utf8', 0, end);
}

function isZero(bytes) {
  return bytes.equals(Buffer.alloc(bytes.length));
}

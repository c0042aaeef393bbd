/** Tarballs made by hand, as npm makes them and otherwise. */
import { crc32, deflateRawSync } from 'node:zlib';

/** A file in a package, by its name there. */
export interface Entry {
  name: string;
  text: string | Buffer;
  mode?: number;
  type?: string;
}

const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')} `;

/** The header of an entry and its bytes; `change` gets the header before its sum is written. */
export function block(entry: Entry, change: (head: Buffer) => void = () => {}): Buffer {
  const bytes = Buffer.from(entry.text);
  const head = Buffer.alloc(512);
  head.write(`package/${entry.name}`, 0);
  head.write(octal(entry.mode ?? 0o644, 6), 100);
  head.write(octal(bytes.length, 10), 124);
  head.write(entry.type ?? '0', 156);
  head.write('ustar\u{0}00', 257);
  change(head);
  head.fill(' ', 148, 156);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${octal(sum, 6)}\0`, 148);
  return Buffer.concat([head, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

/** The zeros at the end of an archive. */
export const END = Buffer.alloc(1024);

/** One member of gzip. */
export function packed(archive: Buffer): Buffer {
  const end = Buffer.alloc(8);
  end.writeUInt32LE(crc32(archive), 0);
  end.writeUInt32LE(archive.length, 4);
  return Buffer.concat([Buffer.from('1f8b0800000000000003', 'hex'), deflateRawSync(archive), end]);
}

/** A .tgz of these entries. */
export function tarball(entries: readonly Entry[]): Buffer {
  return packed(Buffer.concat([...entries.map((entry) => block(entry)), END]));
}

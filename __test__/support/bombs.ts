/** Small bodies that become gigabytes when they are decoded, a response each. */
import { readFileSync } from 'node:fs';
import zlib from 'node:zlib';

/** The body of one of the fuzzer's seeds: its first bytes say which coding and how it is cut into pieces. */
export function seed(name: string): Buffer {
  const bytes = readFileSync(new URL(`../../fuzz/seeds/decode/${name}`, import.meta.url));
  return bytes.subarray((bytes.readUInt8(0) % 6) + 4);
}

/** 10 GiB each (brotli's is the fuzzer's), and the MiB that the library needs for its own window. */
export const BOMBS: Readonly<Record<'gzip' | 'zstd' | 'br', { readonly wire: Buffer; readonly window: number }>> = {
  gzip: { wire: gzipBomb(), window: 0 },
  zstd: { wire: zstdBomb(), window: 8 },
  br: { wire: seed('br-bomb'), window: 16 },
};

/** The response of this coding; for what is no coding a small one. */
export function bombResponse(coding: string): Buffer {
  const bomb = Object.hasOwn(BOMBS, coding) ? BOMBS[coding as keyof typeof BOMBS].wire : null;
  const body = bomb ?? Buffer.from('small');
  const line = bomb === null ? '' : `Content-Encoding: ${coding}\r\n`;
  return Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${line}Content-Length: ${body.length}\r\n\r\n`), body]);
}

function gzipBomb(): Buffer {
  const block = zlib.deflateRawSync(Buffer.alloc(1024 * 1024), { level: 9, finishFlush: zlib.constants.Z_FULL_FLUSH });
  const head = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
  return Buffer.concat([head, Buffer.alloc(block.length * 10 * 1024, block)]);
}

/** Blocks of one repeated byte: 128 KiB from four bytes, with a window of 8 MiB (RFC 8878, 3.1.1). */
function zstdBomb(): Buffer {
  const run = Buffer.alloc(4);
  run.writeUIntLE(2 | ((128 * 1024) << 3), 0, 3);
  run.writeUInt8(0x7a, 3);
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3]), Buffer.alloc(4 * 80 * 1024, run)]);
}

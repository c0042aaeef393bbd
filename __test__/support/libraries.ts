/** Libraries made by hand, of the parts that scripts/formats.js reads and no others: nobody could load them. */
import { createHash } from 'node:crypto';

/** What a library says about itself. */
export interface Parts {
  readonly cpu: 'x64' | 'arm64';
  readonly needs: readonly string[];
  readonly exports: readonly string[];
  /** What else is in it. */
  readonly text: string;
  /** ELF: the versions that it wants of the first library. */
  readonly versions: readonly string[];
  /** ELF: where else libraries are looked for. */
  readonly paths?: readonly string[];
  /** One more section, by its name. */
  readonly section?: { readonly name: string; readonly content: Buffer };
  /** Mach-O. */
  readonly name: string;
  readonly minimum: readonly [number, number];
  readonly signature: 'none' | 'sound' | 'broken';
}

/** Texts with a zero after each, and where each begins. */
class Texts {
  private bytes = Buffer.from([0]);

  add(text: string): number {
    const at = this.bytes.length;
    this.bytes = Buffer.concat([this.bytes, Buffer.from(`${text}\0`, 'latin1')]);
    return at;
  }

  all(): Buffer {
    return this.bytes;
  }
}

/** Numbers one after the other, each with its size in bytes. */
function numbers(...pairs: readonly (readonly [size: 1 | 2 | 4 | 8, value: number])[]): Buffer {
  return Buffer.concat(
    pairs.map(([size, value]) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(BigInt(value));
      return bytes.subarray(0, size);
    }),
  );
}

/** A text in a field of a fixed length. */
function fixed(text: string, length: number): Buffer {
  const field = Buffer.alloc(length);
  field.write(text, 'latin1');
  return field;
}

/** A library of Linux. What the system reads stands in its segments, with addresses that are places in the file. */
export function elf({ cpu, needs, exports, text, versions, section, paths = [] }: Parts): Buffer {
  const texts = new Texts();
  const symbol = (name: string, within: number): Buffer =>
    numbers([4, texts.add(name)], [1, 0x12], [1, 0], [2, within], [8, 0], [8, 0]);
  const symbols = [Buffer.alloc(24), ...exports.map((name) => symbol(name, 1)), symbol('wanted_from_elsewhere', 0)];
  const named = [...needs.map((name) => [1, texts.add(name)]), ...paths.map((name) => [29, texts.add(name)])];
  const wanted = versions.map((name, index) =>
    numbers([4, 0], [2, 0], [2, 2], [4, texts.add(name)], [4, index === versions.length - 1 ? 0 : 16]),
  );
  const library = numbers([2, 1], [2, versions.length], [4, 0], [4, 16], [4, 0]);
  const more = section && { type: 1, content: section.content, name: texts.add(section.name) };
  const tags = (at: (type: number) => number): Buffer =>
    Buffer.concat(
      [
        ...named,
        [5, at(3)],
        [6, at(11)],
        [4, at(5)],
        ...(versions.length > 0
          ? [
              [0x6ffffffe, at(0x6ffffffe)],
              [0x6fffffff, 1],
            ]
          : []),
        [0, 0],
      ].map(([tag = 0, value = 0]) => numbers([8, tag], [8, value])),
    );
  const sections: { type: number; content: Buffer; name?: number }[] = [
    { type: 0, content: Buffer.alloc(0) },
    { type: 3, content: texts.all() },
    { type: 11, content: Buffer.concat(symbols) },
    { type: 6, content: tags(() => 0) },
    {
      type: 5,
      content: Buffer.concat([numbers([4, 1], [4, symbols.length], [4, 1]), Buffer.alloc(4 * symbols.length)]),
    },
    ...(versions.length > 0 ? [{ type: 0x6ffffffe, content: Buffer.concat([library, ...wanted]) }] : []),
    { type: 1, content: Buffer.from(`${text}\0`, 'latin1') },
    ...(more ? [more] : []),
  ];
  let at = 64 + 2 * 56;
  const places = sections.map(({ content }) => (at += content.length) - content.length);
  const placeOf = (type: number): number => places[sections.findIndex((one) => one.type === type)] ?? 0;
  const dynamic = tags(placeOf);
  const head = Buffer.concat([
    Buffer.from('\u007FELF\u0002\u0001\u0001\0\0\0\0\0\0\0\0\0', 'latin1'),
    numbers([2, 3], [2, cpu === 'x64' ? 0x3e : 0xb7], [4, 1], [8, 0], [8, 64], [8, at], [4, 0]),
    numbers([2, 64], [2, 56], [2, 2], [2, 64], [2, sections.length], [2, 1]),
  ]);
  const segment = (type: number, offset: number, length: number): Buffer =>
    numbers([4, type], [4, 4], [8, offset], [8, offset], [8, offset], [8, length], [8, length], [8, 8]);
  const table = sections.map(({ type, content, name = 0 }, index) =>
    numbers([4, name], [4, type], [8, 0], [8, 0], [8, places[index] ?? 0], [8, content.length], [8, 1], [8, 1], [8, 0]),
  );
  return Buffer.concat([
    head,
    segment(1, 0, at),
    segment(2, placeOf(6), dynamic.length),
    ...sections.map(({ type, content }) => (type === 6 ? dynamic : content)),
    ...table,
  ]);
}

/** A library of macOS. */
export function machO({ cpu, needs, exports, text, name, minimum, signature, section }: Parts): Buffer {
  const texts = new Texts();
  // One that is defined in a section and external, and one that is wanted from elsewhere.
  const symbols = [
    ...exports.map((symbol) => numbers([4, texts.add(`_${symbol}`)], [1, 0x0f], [1, 1], [2, 0], [8, 0])),
    numbers([4, texts.add('_wanted')], [1, 0x01], [1, 0], [2, 0], [8, 0]),
  ];
  const library = (command: number, path: string): Buffer => {
    const padded = fixed(path, Math.ceil((path.length + 1) / 8) * 8);
    return Buffer.concat([numbers([4, command], [4, 24 + padded.length], [4, 24], [4, 0], [4, 0], [4, 0]), padded]);
  };
  // It is of the whole file, with one section, which may be of nothing.
  const segment = (sectionAt: number, end: number): Buffer => {
    const whole = Buffer.concat([Buffer.alloc(32), numbers([8, 0], [8, end]), Buffer.alloc(8)]);
    const head = Buffer.concat([numbers([4, 0x19], [4, 152]), whole, numbers([4, 1], [4, 0])]);
    const place = numbers([8, 0], [8, section?.content.length ?? 0], [4, sectionAt]);
    return Buffer.concat([head, fixed(section?.name ?? '', 16), Buffer.alloc(16), place, Buffer.alloc(28)]);
  };
  const signatureLength = (size: number): number =>
    signature === 'none' ? 0 : signed(Buffer.alloc(size), false).length;
  const commands = (symbolsAt: number, textsAt: number, sectionAt: number, signatureAt: number): Buffer[] => [
    segment(sectionAt, signatureAt + signatureLength(signatureAt)),
    library(0xd, name),
    ...needs.map((path) => library(0xc, path)),
    numbers([4, 2], [4, 24], [4, symbolsAt], [4, symbols.length], [4, textsAt], [4, texts.all().length]),
    numbers([4, 0x32], [4, 24], [4, 1], [4, minimum[0] * 65_536 + minimum[1] * 256], [4, 0], [4, 0]),
    ...(signature === 'none' ? [] : [numbers([4, 0x1d], [4, 16], [4, signatureAt], [4, 0])]),
  ];
  const length = Buffer.concat(commands(0, 0, 0, 0)).length;
  const symbolsAt = 32 + length;
  const textsAt = symbolsAt + Buffer.concat(symbols).length;
  const tail = Buffer.from(`${text}\0`, 'latin1');
  const sectionAt = textsAt + texts.all().length;
  const content = section?.content ?? Buffer.alloc(0);
  const end = sectionAt + content.length + tail.length;
  const all = commands(symbolsAt, textsAt, sectionAt, end);
  const head = numbers([4, 0xfeedfacf], [4, cpu === 'x64' ? 0x01000007 : 0x0100000c], [4, 0], [4, 6]);
  const counts = numbers([4, all.length], [4, length], [4, 0], [4, 0]);
  const file = Buffer.concat([head, counts, ...all, ...symbols, texts.all(), content, tail]);
  return signature === 'none' ? file : Buffer.concat([file, signed(file, signature === 'broken')]);
}

/** The signature of a Mach-O file: SHA-256 of its pages, of which one can be wrong. */
function signed(content: Buffer, isBroken: boolean): Buffer {
  const size = 256;
  const pages = Array.from({ length: Math.ceil(content.length / size) }, (_, page) =>
    createHash('sha256')
      .update(content.subarray(page * size, (page + 1) * size))
      .digest(),
  );
  if (isBroken) pages.at(-1)?.fill(0);
  const big = (...values: number[]): Buffer => Buffer.concat(values.map((value) => numbers([4, value]).toReversed()));
  const directory = Buffer.concat([
    big(0xfade0c02, 44 + pages.length * 32, 0x20400, 2, 44, 0, 0, pages.length, content.length),
    Buffer.from([32, 2, 0, 8]),
    big(0),
    ...pages,
  ]);
  return Buffer.concat([big(0xfade0cc0, 20 + directory.length, 1, 0, 20), directory]);
}

/** A library of Windows. */
export function pe({ cpu, needs, exports, text, section }: Parts): Buffer {
  const header = 64;
  const base = 0x1000;
  const start = header + 24 + 240 + (section ? 80 : 40);
  const texts = new Texts();
  const textAt = (name: string): number => base + texts.add(name);
  const names = exports.map((name) => numbers([4, textAt(name)]));
  const libraries = needs.map(
    (name) =>
      [
        [4, 0],
        [4, 0],
        [4, 0],
        [4, textAt(name)],
        [4, 0],
      ] as const,
  );
  texts.add(text);
  const namesAt = base + texts.all().length;
  const tableAt = namesAt + names.length * 4;
  const importsAt = tableAt + 40;
  const directory = Buffer.concat([Buffer.alloc(24), numbers([4, names.length], [4, 0], [4, namesAt], [4, 0])]);
  const imports = Buffer.concat([...libraries.map((pairs) => numbers(...pairs)), Buffer.alloc(20)]);
  const content = Buffer.concat([texts.all(), ...names, directory, imports]);
  const dos = Buffer.alloc(header);
  dos.write('MZ', 'latin1');
  dos.writeUInt32LE(header, 0x3c);
  const optional = Buffer.alloc(240);
  optional.writeUInt16LE(0x20b, 0);
  optional.writeUInt32LE(tableAt, 112);
  optional.writeUInt32LE(importsAt, 120);
  const coff = numbers(
    [2, cpu === 'x64' ? 0x8664 : 0xaa64],
    [2, section ? 2 : 1],
    [4, 0],
    [4, 0],
    [4, 0],
    [2, 240],
    [2, 0x2022],
  );
  const parts = [
    { name: '.rdata', content, address: base },
    ...(section ? [{ ...section, address: base + 0x10_0000 }] : []),
  ];
  let at = start;
  const table = parts.map(({ name, content: { length }, address }) => {
    const place = numbers([4, length], [4, address], [4, length], [4, at], [8, 0], [8, 0]);
    at += length;
    return Buffer.concat([fixed(name, 8), place]);
  });
  const bodies = parts.map((part) => part.content);
  return Buffer.concat([dos, Buffer.from('PE\0\0', 'latin1'), coff, optional, ...table, ...bodies]);
}

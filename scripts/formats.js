/**
 * What a library's file says about itself, read from its bytes: ELF (Linux), Mach-O (macOS) and PE (Windows), the 64-bit kinds.
 * Each reader gives
 *
 *   format       'ELF', 'Mach-O', 'PE'
 *   cpu          'x64', 'arm64', or the number that stands there
 *   needs        the libraries that the system has to have
 *   exports      the names that can be called from outside
 *   glibc        ELF: the newest version of glibc that a symbol of it is wanted from; null for none
 *   name         Mach-O: its install name
 *   minimum      Mach-O: the oldest macOS that it says it runs on
 *   paths        ELF, Mach-O: where else the system is to look for libraries
 *   signature    Mach-O: 'none', 'sound', or 'broken' when it is not that of these bytes
 *   end          where the last of what its headers know of ends
 *
 * A section is found by its name, whatever is in it. Of ELF the sections are for tools: what the system reads when it loads a
 * library is its segments, so all but that comes from them.
 */
import { createHash } from 'node:crypto';

/** What the file says, whichever of the three it is; throws a RangeError or Error for anything else. */
export function libraryOf(bytes) {
  const format = formatOf(bytes);
  if (format === null) throw new Error('it is no library of Linux, macOS or Windows for 64 bits');
  const library = format.library(bytes);
  if (library.end > bytes.length) throw new Error('it is damaged: it ends before what its headers know of');
  return library;
}

/** The bytes of the section of this name, or null where there is none. */
export function sectionOf(bytes, name) {
  const section = formatOf(bytes)
    ?.sections(bytes)
    .find((one) => one.name === name);
  return section === undefined ? null : bytes.subarray(section.offset, section.offset + section.length);
}

function formatOf(bytes) {
  if (bytes.length <= 64) return null;
  if (bytes.readUInt32BE(0) === 0x7f454c46) return { library: elf, sections: elfSections };
  if (bytes.readUInt32LE(0) === 0xfeedfacf) return { library: machO, sections: machSections };
  return bytes.toString('latin1', 0, 2) === 'MZ' ? { library: pe, sections: peSections } : null;
}

const ELF_CPUS = { 0x3e: 'x64', 0xb7: 'arm64' };
const MACH_CPUS = { 0x01000007: 'x64', 0x0100000c: 'arm64' };
const PE_CPUS = { 0x8664: 'x64', 0xaa64: 'arm64' };

/** The tags of ELF's dynamic segment that matter here. */
const TAGS = {
  // Libraries that are loaded with it: as needed ones, as auditors, as filters.
  needs: [1, 0x6ffffefb, 0x6ffffefc, 0x7ffffffd, 0x7fffffff],
  paths: [15, 29],
  symbols: 6,
  strings: 5,
  hash: 4,
  gnuHash: 0x6ffffef5,
  versions: 0x6ffffffe,
  versionsCount: 0x6fffffff,
};

function elf(bytes) {
  const sections = elfSections(bytes);
  const segments = elfSegments(bytes);
  const place = (address) => {
    const inside = ({ type, address: first, length }) => type === 1 && address >= first && address < first + length;
    const segment = segments.find(inside);
    if (segment === undefined) throw new Error('it points outside of itself');
    return segment.offset + address - segment.address;
  };
  const dynamics = segments.filter(({ type }) => type === 2);
  if (bytes.readUInt16LE(16) !== 3 || dynamics.length !== 1) throw new Error('it is no library that can be loaded');
  const tags = tagsAt(bytes, place(dynamics[0].address));
  const one = (tag) => tags.find(([found]) => found === tag)?.[1];
  const tableOf = (tag) => {
    if (one(tag) === undefined) throw new Error('it does not say where its names are');
    return place(one(tag));
  };
  const strings = tableOf(TAGS.strings);
  const named = (...wanted) =>
    tags.filter(([tag]) => wanted.includes(tag)).map(([, value]) => text(bytes, strings + value));
  const versions =
    one(TAGS.versions) === undefined
      ? []
      : versionsOf(bytes, tableOf(TAGS.versions), one(TAGS.versionsCount) ?? 0, strings);
  const count =
    one(TAGS.gnuHash) === undefined
      ? bytes.readUInt32LE(tableOf(TAGS.hash) + 4)
      : gnuSymbols(bytes, tableOf(TAGS.gnuHash));
  const glibc = versions.map((name) => /^GLIBC_([\d.]+)$/.exec(name)?.[1]).filter(Boolean);
  const header = bytes.readUInt16LE(58) * sections.length;
  return {
    format: 'ELF',
    cpu: ELF_CPUS[bytes.readUInt16LE(18)] ?? bytes.readUInt16LE(18),
    needs: named(...TAGS.needs),
    paths: named(...TAGS.paths),
    exports: elfExports(bytes, { symbols: tableOf(TAGS.symbols), count, strings }),
    glibc: glibc.toSorted(byVersion).at(-1) ?? null,
    end: endOf([
      { offset: long(bytes, 40), length: header },
      ...segments,
      // Of what is only there once it is loaded, the file has nothing.
      ...sections.filter(({ type }) => type !== 8),
    ]),
  };
}

function elfSegments(bytes) {
  const first = long(bytes, 32);
  const size = bytes.readUInt16LE(54);
  return Array.from({ length: bytes.readUInt16LE(56) }, (_, index) => {
    const at = first + index * size;
    const [offset, address, , length] = [8, 16, 24, 32].map((part) => long(bytes, at + part));
    return { type: bytes.readUInt32LE(at), offset, address, length };
  });
}

/** Pairs of tag and value, up to the one that ends them. */
function tagsAt(bytes, first) {
  const tags = [];
  for (let at = first; long(bytes, at) !== 0; at += 16) tags.push([long(bytes, at), long(bytes, at + 8)]);
  return tags;
}

function elfExports(bytes, { symbols, count, strings }) {
  if (symbols + count * 24 > bytes.length) throw new Error('it is damaged: it has not all of its names');
  // Whoever is defined in a section, is global or weak, and is not hidden.
  const isExported = (at) => {
    const visibility = bytes[at + 5] & 3;
    return bytes[at + 4] >> 4 !== 0 && bytes.readUInt16LE(at + 6) !== 0 && (visibility === 0 || visibility === 3);
  };
  return Array.from({ length: count }, (_, index) => symbols + index * 24)
    .filter(isExported)
    .map((at) => text(bytes, strings + bytes.readUInt32LE(at)));
}

/** How many symbols there are, by GNU's table of them: the last one is the end of the chain that begins last. */
function gnuSymbols(bytes, table) {
  const [buckets, unhashed, filters] = [0, 4, 8].map((at) => bytes.readUInt32LE(table + at));
  const first = table + 16 + filters * 8;
  const begins = Array.from({ length: buckets }, (_, index) => bytes.readUInt32LE(first + index * 4));
  const last = begins.reduce((most, begin) => Math.max(most, begin), 0);
  if (last < unhashed) return unhashed;
  let symbol = last;
  while ((bytes.readUInt32LE(first + buckets * 4 + (symbol - unhashed) * 4) & 1) === 0) symbol += 1;
  return symbol + 1;
}

function elfSections(bytes) {
  if (bytes[4] !== 2 || bytes[5] !== 1) throw new Error('it is an ELF file, but not for 64 bits, little-endian');
  const first = long(bytes, 40);
  const [size, count, namesAt] = [58, 60, 62].map((at) => bytes.readUInt16LE(at));
  const names = long(bytes, first + namesAt * size + 24);
  return Array.from({ length: count }, (_, index) => {
    const at = first + index * size;
    return {
      name: text(bytes, names + bytes.readUInt32LE(at)),
      type: bytes.readUInt32LE(at + 4),
      offset: long(bytes, at + 24),
      length: long(bytes, at + 32),
    };
  });
}

/** The names of the versions that are wanted of other libraries: a list of libraries, each with a list of versions. */
function versionsOf(bytes, first, count, strings) {
  const names = [];
  let library = first;
  for (let left = count; left > 0; left -= 1) {
    let version = library + bytes.readUInt32LE(library + 8);
    for (let more = bytes.readUInt16LE(library + 2); more > 0; more -= 1) {
      names.push(text(bytes, strings + bytes.readUInt32LE(version + 8)));
      version += bytes.readUInt32LE(version + 12);
    }
    const next = bytes.readUInt32LE(library + 12);
    if (next === 0) break;
    library += next;
  }
  return names;
}

/** The commands of a Mach-O file that matter here. */
const COMMANDS = {
  segment: 0x19,
  symbols: 0x2,
  needs: new Set([0xc, 0x20, 0x80000018, 0x8000001f, 0x80000023]),
  paths: 0x8000001c,
  name: 0xd,
  signature: 0x1d,
  olderMinimum: 0x24,
  minimum: 0x32,
};

function machO(bytes) {
  const found = { needs: [], paths: [], exports: [], name: null, minimum: null, signature: 'none', end: 0 };
  for (const at of machCommands(bytes)) {
    const command = bytes.readUInt32LE(at);
    const string = () => text(bytes, at + bytes.readUInt32LE(at + 8));
    if (COMMANDS.needs.has(command)) found.needs.push(string());
    if (command === COMMANDS.segment) found.end = Math.max(found.end, long(bytes, at + 40) + long(bytes, at + 48));
    if (command === COMMANDS.paths) found.paths.push(string());
    if (command === COMMANDS.name) found.name = string();
    if (command === COMMANDS.minimum) found.minimum = macVersion(bytes.readUInt32LE(at + 12));
    if (command === COMMANDS.olderMinimum) found.minimum = macVersion(bytes.readUInt32LE(at + 8));
    if (command === COMMANDS.symbols) found.exports = machSymbols(bytes, at);
    if (command === COMMANDS.signature) {
      found.signature = isSound(bytes, bytes.readUInt32LE(at + 8)) ? 'sound' : 'broken';
    }
  }
  return { format: 'Mach-O', cpu: MACH_CPUS[bytes.readUInt32LE(4)] ?? bytes.readUInt32LE(4), ...found };
}

/** The external symbols that are defined in a section, without the underscore that C's names have there. */
function machSymbols(bytes, at) {
  const [symbols, count, strings] = [8, 12, 16].map((place) => bytes.readUInt32LE(at + place));
  const external = (symbol) => (bytes[symbol + 4] & 0xef) === 0x0f;
  return Array.from({ length: count }, (_, index) => symbols + index * 16)
    .filter(external)
    .map((symbol) => text(bytes, strings + bytes.readUInt32LE(symbol)).replace(/^_/, ''));
}

/** The sections of all segments, under the first 16 characters of their names. */
function machSections(bytes) {
  const segments = machCommands(bytes).filter((at) => bytes.readUInt32LE(at) === COMMANDS.segment);
  return segments.flatMap((segment) =>
    Array.from({ length: bytes.readUInt32LE(segment + 64) }, (_, index) => segment + 72 + index * 80).map((at) => ({
      name: field(bytes, at, 16),
      offset: bytes.readUInt32LE(at + 48),
      length: long(bytes, at + 40),
    })),
  );
}

/** Where each command of a Mach-O file begins. */
function machCommands(bytes) {
  const places = [];
  let at = 32;
  for (let left = bytes.readUInt32LE(16); left > 0; left -= 1) {
    places.push(at);
    const size = bytes.readUInt32LE(at + 4);
    if (size < 8) throw new Error('it has a command of no length');
    at += size;
  }
  return places;
}

function macVersion(packed) {
  return `${packed >>> 16}.${(packed >>> 8) & 0xff}`;
}

/** Whether each page of the file has the SHA-256 that its signature says. macOS on arm64 ends a process that loads another. */
function isSound(bytes, signature) {
  if (bytes.readUInt32BE(signature) !== 0xfade0cc0) return false;
  const blobs = Array.from({ length: bytes.readUInt32BE(signature + 8) }, (_, index) => signature + 12 + index * 8);
  const directories = blobs
    .map((blob) => signature + bytes.readUInt32BE(blob + 4))
    .filter((blob) => bytes.readUInt32BE(blob) === 0xfade0c02);
  return directories.length > 0 && directories.every((directory) => pagesMatch(bytes, directory));
}

function pagesMatch(bytes, directory) {
  const [hashes, , , count, limit] = [16, 20, 24, 28, 32].map((place) => bytes.readUInt32BE(directory + place));
  const [size, kind, , shift] = bytes.subarray(directory + 36, directory + 40);
  if (size !== 32 || kind !== 2 || count * 2 ** shift < limit) return false;
  return Array.from({ length: count }, (_, page) => page).every((page) => {
    const piece = bytes.subarray(page * 2 ** shift, Math.min((page + 1) * 2 ** shift, limit));
    const at = directory + hashes + page * size;
    return createHash('sha256')
      .update(piece)
      .digest()
      .equals(bytes.subarray(at, at + size));
  });
}

function pe(bytes) {
  const sections = peSections(bytes);
  const header = bytes.readUInt32LE(0x3c);
  const optional = header + 24;
  const place = (address) => {
    const section = sections.find((one) => address >= one.address && address < one.address + one.length);
    if (!section) throw new Error('it points outside of itself');
    return section.offset + address - section.address;
  };
  const directory = (index) => bytes.readUInt32LE(optional + 112 + index * 8);
  const libraries = (index, size, nameAt) => {
    const names = [];
    if (directory(index) === 0) return names;
    for (let at = place(directory(index)); bytes.readUInt32LE(at + nameAt) !== 0; at += size) {
      names.push(text(bytes, place(bytes.readUInt32LE(at + nameAt))));
    }
    return names;
  };
  const exports = [];
  if (directory(0) !== 0) {
    const table = place(directory(0));
    const names = bytes.readUInt32LE(table + 24) === 0 ? 0 : place(bytes.readUInt32LE(table + 32));
    for (let index = 0; index < bytes.readUInt32LE(table + 24); index += 1) {
      exports.push(text(bytes, place(bytes.readUInt32LE(names + index * 4))));
    }
  }
  const machine = bytes.readUInt16LE(header + 4);
  // The second list has those that are loaded at their first use.
  return {
    format: 'PE',
    cpu: PE_CPUS[machine] ?? machine,
    needs: [...libraries(1, 20, 12), ...libraries(13, 32, 4)],
    exports,
    // A signature of Windows stands by its place in the file.
    end: endOf([...sections, { offset: directory(4), length: bytes.readUInt32LE(optional + 148) }]),
  };
}

function peSections(bytes) {
  const header = bytes.readUInt32LE(0x3c);
  if (bytes.toString('latin1', header, header + 4) !== 'PE\0\0') throw new Error('it is no program of Windows');
  const optional = header + 24;
  if (bytes.readUInt16LE(optional) !== 0x20b) throw new Error('it is a program of Windows, but not for 64 bits');
  return Array.from({ length: bytes.readUInt16LE(header + 6) }, (_, index) => {
    const at = optional + bytes.readUInt16LE(header + 20) + index * 40;
    const [length, address, , offset] = [8, 12, 16, 20].map((place) => bytes.readUInt32LE(at + place));
    return { name: field(bytes, at, 8), length, address, offset };
  });
}

/** Orders '2.9' before '2.17'. */
export function byVersion(one, other) {
  const [left, right] = [one, other].map((version) => version.split('.').map(Number));
  const place = left.findIndex((part, index) => part !== (right[index] ?? 0));
  return place === -1 ? left.length - right.length : left[place] - (right[place] ?? 0);
}

/** Where the last of these parts of a file ends. */
function endOf(parts) {
  return parts.reduce((end, { offset, length }) => Math.max(end, offset + length), 0);
}

function long(bytes, at) {
  return Number(bytes.readBigUInt64LE(at));
}

/** The bytes up to the next zero, as text. */
function text(bytes, at) {
  const end = bytes.indexOf(0, at);
  if (end === -1) throw new RangeError('a name has no end');
  return bytes.toString('latin1', at, end);
}

/** The characters of a field of fixed length, up to a zero where it has one. */
function field(bytes, at, length) {
  return bytes.toString('latin1', at, at + length).replace(/\0.*$/s, '');
}

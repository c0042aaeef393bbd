/**
 * Header compression of HTTP/2 (RFC 7541), as much as a scripted server needs: it reads everything that a client may write,
 * and writes plain literals, so that a test can send names and values which no library would.
 */

/** A header line: name and value as Latin-1. */
export type Line = readonly [name: string, value: string];

/** The decoder of one connection: it remembers what the client has put into the dynamic table. */
export class HpackDecoder {
  readonly #table: Line[] = [];
  #size = 0;
  #limit = 4_096;

  /** The lines of a whole header block. */
  decode(block: Uint8Array): Line[] {
    const reader = new Reader(block);
    const lines: Line[] = [];
    while (!reader.done) {
      const first = reader.peek();
      if (first >= 0x80) lines.push(this.#at(reader.integer(7)));
      else if (first >= 0x40) lines.push(this.#add(this.#literal(reader, 6)));
      else if (first >= 0x20) this.#resize(reader.integer(5));
      else lines.push(this.#literal(reader, 4));
    }
    return lines;
  }

  #literal(reader: Reader, bits: number): Line {
    const index = reader.integer(bits);
    return [index === 0 ? reader.text() : this.#at(index)[0], reader.text()];
  }

  #at(index: number): Line {
    const line = index <= STATIC.length ? STATIC[index - 1] : this.#table[index - STATIC.length - 1];
    if (line === undefined) throw new Error(`the client names line ${index}, which there is not`);
    return line;
  }

  #add(line: Line): Line {
    this.#table.unshift(line);
    this.#size += sizeOf(line);
    this.#evict();
    return line;
  }

  #resize(limit: number): void {
    if (limit > 4_096) throw new Error('the client takes a larger table than it was given');
    this.#limit = limit;
    this.#evict();
  }

  #evict(): void {
    while (this.#size > this.#limit) this.#size -= sizeOf(this.#table.pop() as Line);
  }
}

/** A header block of literals, nothing remembered: any bytes for names and values, in this order. */
export function headerBlock(lines: readonly Line[]): Buffer {
  return Buffer.concat(lines.map(([name, value]) => literal(0x00, 4, name, value)));
}

/** One literal that the other side's dynamic table remembers. */
export function remembered(name: string, value: string): Buffer {
  return literal(0x40, 6, name, value);
}

/** A reference to a line of the other side's tables; the newest of the dynamic one is 62. */
export function indexed(index: number): Buffer {
  return integer(0x80, 7, index);
}

function literal(pattern: number, bits: number, name: string, value: string): Buffer {
  return Buffer.concat([integer(pattern, bits, 0), text(name), text(value)]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  return Buffer.concat([integer(0, 7, bytes.length), bytes]);
}

/** RFC 7541, section 5.1. */
function integer(pattern: number, bits: number, value: number): Buffer {
  const most = 2 ** bits - 1;
  if (value < most) return Buffer.of(pattern | value);
  const bytes = [pattern | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** RFC 7541, section 4.1. */
function sizeOf([name, value]: Line): number {
  return name.length + value.length + 32;
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  peek(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new Error('a header block breaks off');
    return byte;
  }

  integer(bits: number): number {
    const most = 2 ** bits - 1;
    let value = this.#byte() & most;
    if (value < most) return value;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  text(): string {
    const coded = this.peek() >= 0x80;
    const length = this.integer(7);
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    if (bytes.length < length) throw new Error('a header block breaks off');
    this.#at += length;
    return coded ? unhuffman(bytes) : Buffer.from(bytes).toString('latin1');
  }

  #byte(): number {
    const byte = this.peek();
    this.#at += 1;
    return byte;
  }
}

/**
 * The length in bits of each symbol's Huffman code, in base 36; the last is the end of a string (RFC 7541, appendix B).
 * The code is canonical, so that nothing else is needed.
 */
const LENGTHS =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6f' +
  '56565666577666567655677777fbedskmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmnqqkjmnmpqqqrrqopjlqrrqrollqqsrrrkok' +
  'lmllnmmppooqnqrqqrrrrrsrrrrrqu';

/** `length:code` of each symbol. */
const SYMBOLS: ReadonlyMap<string, number> = canonical();

function canonical(): Map<string, number> {
  const lengths = LENGTHS.split('').map((digit, symbol) => ({ symbol, length: Number.parseInt(digit, 36) }));
  lengths.sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  const symbols = new Map<string, number>();
  let [code, before] = [0, 0];
  for (const { symbol, length } of lengths) {
    code *= 2 ** (length - before);
    before = length;
    symbols.set(`${length}:${code}`, symbol);
    code += 1;
  }
  return symbols;
}

function unhuffman(bytes: Uint8Array): string {
  const symbols: number[] = [];
  let [code, length] = [0, 0];
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit -= 1) {
      code = code * 2 + ((byte >> bit) & 1);
      length += 1;
      const symbol = SYMBOLS.get(`${length}:${code}`);
      if (symbol === undefined) continue;
      symbols.push(symbol);
      [code, length] = [0, 0];
    }
  }
  // What is left is padding: less than a byte of ones.
  if (length > 7 || code !== 2 ** length - 1) throw new Error('a Huffman string does not end');
  return Buffer.from(symbols).toString('latin1');
}

/** RFC 7541, appendix A. */
const STATIC: readonly Line[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  ...[200, 204, 206, 304, 400, 404, 500].map((status): Line => [':status', String(status)]),
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ...(
    'accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control ' +
    'content-disposition content-encoding content-language content-length content-location content-range content-type ' +
    'cookie date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since ' +
    'last-modified link location max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after ' +
    'server set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate'
  )
    .split(' ')
    .map((name): Line => [name, '']),
];

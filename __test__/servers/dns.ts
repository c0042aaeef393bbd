/** A name server of a few lines (RFC 1035), on port 53 of 127.0.0.1: for a network of the test's own, where nobody else is. */
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';

/** Addresses of both families; nothing at all, ever; or "no such name". */
export type Records = readonly string[] | 'silence' | 'no such name';

/** A running one. */
export interface NameServer {
  /** Questions by name. A look-up of the system has two: IPv4 and IPv6. */
  readonly asked: ReadonlyMap<string, number>;
  close(): void;
}

/** Starts one that knows these names, without their last dot. */
export async function nameServer(records: (name: string) => Records): Promise<NameServer> {
  const asked = new Map<string, number>();
  const socket = dgram.createSocket('udp4');
  socket.on('message', (query, from) => {
    const { name, type, end } = questionOf(query);
    asked.set(name, (asked.get(name) ?? 0) + 1);
    const found = records(name);
    if (found !== 'silence') socket.send(answerTo(query, type, end, found), from.port, from.address);
  });
  socket.bind(53, '127.0.0.1');
  await once(socket, 'listening');
  return { asked, close: () => socket.close() };
}

/** RFC 1035, 4.1.2: labels behind the header, then type and class. */
function questionOf(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = HEADER;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function answerTo(query: Buffer, type: number, end: number, found: readonly string[] | 'no such name'): Buffer {
  const family = type === AAAA ? 6 : 4;
  const known = found === 'no such name' ? [] : found;
  const fitting = type === A || type === AAAA ? known.filter((address) => net.isIP(address) === family) : [];
  const header = Buffer.from(query.subarray(0, HEADER));
  // A response, recursion as asked and available; the code; one question, so many answers.
  header.writeUInt16BE(0x8180 | (found === 'no such name' ? NO_SUCH_NAME : 0), 2);
  for (const [place, count] of [1, fitting.length, 0, 0].entries()) header.writeUInt16BE(count, 4 + 2 * place);
  const answers = fitting.map((address) => {
    const data = bytesOf(address);
    const head = Buffer.alloc(12);
    // The name is the question's (4.1.4); type; class IN; a minute; length.
    for (const [place, value] of [0xc000 | HEADER, type, 1, 0, 60, data.length].entries()) {
      head.writeUInt16BE(value, 2 * place);
    }
    return Buffer.concat([head, data]);
  });
  return Buffer.concat([header, query.subarray(HEADER, end), ...answers]);
}

function bytesOf(address: string): Buffer {
  if (net.isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const [before = '', after = ''] = address.split('::').map((half) => half);
  const words = (half: string): number[] =>
    half
      .split(':')
      .filter(Boolean)
      .map((word) => Number.parseInt(word, 16));
  const [first, last] = [words(before), words(after)];
  const all = [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}

const HEADER = 12;
const A = 1;
const AAAA = 28;
const NO_SUCH_NAME = 3;

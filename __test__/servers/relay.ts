/** A loopback port that passes a TCP stream on to another, in other pieces than it came in. */
import { once } from 'node:events';
import net from 'node:net';

/** How what the server says is cut up; what the client says always goes on as it came, or byte by byte. */
export type Pieces =
  /** Each byte by itself, in both directions, for the first so many bytes. */
  | { readonly single: number }
  /** The first so many bytes, then nothing until the client could have acted on them, then the rest. */
  | { readonly first: number }
  /** Everything that comes until the server is silent, at once. */
  | 'coalesced'
  /** As it comes. */
  | 'plain';

/** A running relay. */
export interface Relay {
  readonly port: number;
  /** What the servers said, by connection. */
  readonly said: Buffer[];
  /** FIN to every client, and no further byte. */
  cut(): void;
  /** The last bit of the next piece that a server sends is another. */
  corrupt(): void;
  close(): Promise<void>;
}

/** Starts one in front of this port of 127.0.0.1. */
export async function relay(target: number, pieces: Pieces = 'plain'): Promise<Relay> {
  const clients: net.Socket[] = [];
  const servers: net.Socket[] = [];
  const said: Buffer[] = [];
  let corrupted = false;
  const listener = net.createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const server = net.connect({ port: target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    const at = clients.push(client) - 1;
    servers.push(server);
    said.push(Buffer.alloc(0));
    for (const [from, to, down] of [
      [client, server, false],
      [server, client, true],
    ] as const) {
      const pass = passing(to, down ? pieces : upwards(pieces));
      from.on('error', () => to.destroy());
      from.on('end', () => void pass(null));
      from.on('data', (piece: Buffer) => {
        if (down) said[at] = Buffer.concat([said[at] ?? Buffer.alloc(0), piece]);
        if (down && corrupted) piece[piece.length - 1] = (piece.at(-1) ?? 0) ^ 1;
        if (down) corrupted = false;
        void pass(piece);
      });
    }
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    port: (listener.address() as net.AddressInfo).port,
    said,
    cut() {
      for (const server of servers) server.removeAllListeners('data');
      for (const client of clients) client.end();
    },
    corrupt() {
      corrupted = true;
    },
    async close() {
      for (const socket of [...clients, ...servers]) socket.destroy();
      const closed = once(listener, 'close');
      listener.close();
      await closed;
    },
  };
}

function upwards(pieces: Pieces): Pieces {
  return typeof pieces === 'object' && 'single' in pieces ? pieces : 'plain';
}

/** Hands pieces to a socket in their order, cut up; `null` ends it. */
function passing(to: net.Socket, pieces: Pieces): (piece: Buffer | null) => Promise<void> {
  let passed = 0;
  let last: Promise<void> = Promise.resolve();
  let held: Buffer[] = [];
  let silence: NodeJS.Timeout | undefined;
  const write = (bytes: Buffer): Promise<void> =>
    new Promise((resolve) => (to.destroyed ? resolve() : to.write(bytes, () => resolve())));
  const one = async (piece: Buffer): Promise<void> => {
    if (typeof pieces === 'object' && 'single' in pieces) {
      const alone = Math.max(0, Math.min(piece.length, pieces.single - passed));
      for (let at = 0; at < alone; at += 1) {
        await write(piece.subarray(at, at + 1));
        await moment();
      }
      if (alone < piece.length) await write(piece.subarray(alone));
    } else if (typeof pieces === 'object' && passed < pieces.first && passed + piece.length > pieces.first) {
      await write(piece.subarray(0, pieces.first - passed));
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
      await write(piece.subarray(pieces.first - passed));
    } else {
      await write(piece);
    }
    passed += piece.length;
  };
  const after = async (before: Promise<void>, piece: Buffer | null): Promise<void> => {
    await before;
    if (piece !== null) return one(piece);
    clearTimeout(silence);
    if (held.length > 0) await write(Buffer.concat(held));
    to.end();
    return undefined;
  };
  return (piece) => {
    if (pieces === 'coalesced' && piece !== null) {
      held.push(piece);
      clearTimeout(silence);
      silence = setTimeout(() => {
        const all = Buffer.concat(held);
        held = [];
        void write(all);
      }, PAUSE);
      return Promise.resolve();
    }
    last = after(last, piece);
    return last;
  };
}

function moment(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Milliseconds in which a client acts on what it has. */
const PAUSE = 5;

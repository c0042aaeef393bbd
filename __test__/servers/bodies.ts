/**
 * Large bodies, made while they are sent and never faster than their sockets take them. It counts what has left for the
 * kernel, so that a test sees whether a reader that stopped reading stopped the server too.
 *
 *   GET /bytes/SEED/SIZE   so many bytes of the seed's pattern
 *   GET /some/SEED/SIZE    its first bytes, with an announced length that never comes
 *   GET /gzip/SEED/SIZE    so many bytes that compress to half their size, compressed
 *   GET /quiet             once no body has moved for a while: bytes that left in all
 */
import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';

import { httpServer } from './http.ts';
import { BLOCK, blockAt } from './pattern.ts';

/** A running server. */
export interface BodyServer {
  readonly port: number;
  /** Bytes of bodies that the kernel has taken. */
  sent(): number;
  /** Waits until nothing has left for {@link QUIET} ms; how much has in all. */
  quiet(): Promise<number>;
  /** Waits until so many sockets, of all that there ever were, are gone. */
  gone(count: number): Promise<void>;
  close(): Promise<void>;
}

/** Starts it on a free port. */
export async function bodyServer(): Promise<BodyServer> {
  let sent = 0;
  const quiet = async (): Promise<number> => {
    for (;;) {
      const before = sent;
      await new Promise((resolve) => setTimeout(resolve, QUIET));
      if (sent === before) return sent;
    }
  };
  const server = await httpServer((request, response) => {
    response.on('error', () => undefined);
    const [, kind, seed = '0', size = '0'] = (request.url ?? '').split('/');
    if (kind === 'quiet') return void quiet().then((bytes) => response.end(String(bytes)));
    if (kind === 'gzip') return void response.setHeader('content-encoding', 'gzip').end(halved(Number(size)));
    const most = kind === 'some' ? Math.min(Number(size), BLOCK) : Number(size);
    response.setHeader('content-length', size);
    let at = 0;
    const go = (): void => {
      while (at < most) {
        const block = blockAt(Number(seed), at);
        const piece = most - at < BLOCK ? block.subarray(0, most - at) : block;
        at += piece.length;
        const more = response.write(piece, (error) => (sent += error ? 0 : piece.length));
        if (!more) return void response.once('drain', go);
      }
      if (at === Number(size)) response.end();
    };
    return go();
  });
  return {
    port: server.port,
    sent: () => sent,
    quiet,
    async gone(count) {
      while (server.sockets.filter(({ destroyed }) => destroyed).length < count) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    close: () => server.close(),
  };
}

function halved(size: number): Buffer {
  // Repeated beyond deflate's window, so that only the digits compress.
  const digits = randomBytes(BLOCK / 2).toString('hex');
  return gzipSync(Buffer.alloc(size, digits), { level: 1 });
}

/** Milliseconds without a byte after which a server is taken to have stopped. */
const QUIET = 500;

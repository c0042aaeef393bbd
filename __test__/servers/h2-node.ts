/**
 * Node's own servers with one handler, in every way that a client can come to speak HTTP/2 or not: by prior knowledge, by
 * ALPN, and where only HTTP/1.1 is spoken.
 */
import { once } from 'node:events';
import type http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type net from 'node:net';
import { Readable } from 'node:stream';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';

/** Of HTTP/1.1, which those of HTTP/2 are made like. */
export type Asked = http.IncomingMessage;
export type Answer = http.ServerResponse;
export type Handler = (request: Asked, response: Answer) => void | Promise<void>;

/** A running server. */
export interface NodeServer {
  readonly port: number;
  /** Connections accepted so far. */
  readonly connections: number;
  /** Requests handled so far. */
  readonly requests: number;
  close(): Promise<void>;
}

/** Certificate and key, PEM. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

/** `h2c` by prior knowledge, `h2` by ALPN with HTTP/1.1 beside it, `https` alone. */
export type Speaks = 'h2c' | 'h2' | 'https';

/** Starts one on a free port. */
export async function nodeServer(speaks: Speaks, handler: Handler, identity: Identity): Promise<NodeServer> {
  let [connections, requests] = [0, 0];
  const handle = (request: Asked, response: Answer): void => {
    requests += 1;
    Promise.resolve(handler(request, response)).catch(() => response.destroy());
  };
  // What waits for a window counts there: megabytes, by default ten.
  const sockets = new Set<net.Socket>();
  const server =
    speaks === 'h2c'
      ? http2.createServer({ maxSessionMemory: 1_000 }, handle as never)
      : speaks === 'h2'
        ? http2.createSecureServer({ ...identity, allowHTTP1: true, maxSessionMemory: 1_000 }, handle as never)
        : https.createServer({ ...identity, ALPNProtocols: ['http/1.1'] }, handle);
  server.on('sessionError', () => undefined);
  server.on('connection', (socket: net.Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as net.AddressInfo).port,
    get connections() {
      return connections;
    },
    get requests() {
      return requests;
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Everything of a request's body. */
export async function bodyOf(request: Asked): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

/** What the coded bodies of {@link origin} unfold to. */
export const VERSE = 'much ado about nothing\n'.repeat(2_000);

const CODED = {
  gzip: gzipSync(VERSE),
  deflate: deflateSync(VERSE),
  br: brotliCompressSync(VERSE),
  'gzip, br': brotliCompressSync(gzipSync(VERSE)),
} as const;

/**
 * A handler for the general API:
 *
 *   /echo            the method, path, headers and body of the request, as JSON
 *   /bytes/N         so many bytes, with their length
 *   /pieces/N        the same in pieces of 1,000, without it
 *   /status/N        that status, its number as the body
 *   /to/N/PATH       that status with Location PATH
 *   /coded/CODING    {@link VERSE}, coded
 *   /busy/KEY/N      503 so many times for the key, then 200
 *   /trailers        a body and the trailer x-sum
 *   /lines           three lines, the last one without its end
 *   /cookies         sets two cookies, and says which came
 *   /hints           an interim answer, then 200
 *   /never           nothing
 */
export function origin(): Handler {
  const busy = new Map<string, number>();
  return async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://any.test');
    const [, kind = '', first = '', ...rest] = url.pathname.split('/');
    const count = Number(first);
    switch (kind) {
      case 'echo': {
        const { method, headers } = request;
        const body = (await bodyOf(request)).toString('latin1');
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ method, path: request.url, headers, body }));
        return;
      }
      case 'bytes':
        response.setHeader('content-length', first);
        response.end(Buffer.alloc(count, 'bytes'));
        return;
      case 'pieces': {
        const all = Buffer.alloc(count, 'bytes');
        const pieces = (function* () {
          for (let at = 0; at < all.length; at += 1_000) yield all.subarray(at, at + 1_000);
        })();
        Readable.from(pieces).pipe(response);
        return;
      }
      case 'status':
        response.statusCode = count;
        response.end(count === 204 || count === 304 ? undefined : first);
        return;
      case 'to':
        await bodyOf(request);
        response.writeHead(count, { location: `/${rest.join('/')}` });
        response.end('elsewhere');
        return;
      case 'coded': {
        const coding = decodeURIComponent(first) as keyof typeof CODED;
        response.setHeader('content-encoding', coding);
        response.end(CODED[coding]);
        return;
      }
      case 'busy': {
        const left = busy.get(first) ?? Number(rest[0]);
        busy.set(first, left - 1);
        response.writeHead(left > 0 ? 503 : 200, left > 0 ? { 'retry-after': '0' } : {});
        response.end(left > 0 ? 'busy' : 'ready');
        return;
      }
      case 'trailers':
        response.writeHead(200, request.httpVersionMajor === 1 ? { trailer: 'x-sum' } : {});
        response.write('summed');
        response.addTrailers({ 'x-sum': '6' });
        response.end();
        return;
      case 'lines':
        response.end('one\ntwo\nthree');
        return;
      case 'cookies':
        response.setHeader('set-cookie', ['a=1; Path=/', 'b=2; Path=/']);
        response.end(request.headers.cookie ?? '');
        return;
      case 'hints':
        response.writeEarlyHints({ link: '</style.css>; rel=preload' });
        response.end('hinted');
        return;
      case 'never':
        return;
      default:
        response.statusCode = 404;
        response.end('not found');
    }
  };
}

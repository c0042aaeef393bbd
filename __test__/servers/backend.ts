/**
 * The server behind a real one, for specs that ask what comes through: what it was sent it says, and it answers in every way
 * that a client has to understand. Node's own, on a free loopback port: plain, or over TLS with nobody in front of it.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type http from 'node:http';
import http2 from 'node:http2';
import type net from 'node:net';
import { brotliCompressSync, gzipSync } from 'node:zlib';

import { httpServer, type HttpServer } from './http.ts';
import type { Pair } from './openssl.ts';
import { BLOCK, blockAt } from './pattern.ts';

/** What `/echo` answers with, as JSON. */
export interface Echo {
  readonly method: string;
  readonly target: string;
  /** By lower-case name; the values of a repeated one joined. */
  readonly headers: { readonly [name: string]: string | undefined };
  /** Of the body. */
  readonly length: number;
  readonly sha256: string;
}

/** The text behind `/coded/…`. */
export const TEXT = Array.from({ length: 4_000 }, (_, nth) => `line ${nth} of a text that compresses well\n`).join('');

/** How it is started. */
export interface BackendOptions {
  /** The address that it listens on. */
  readonly host?: string;
  /** Told of each request's target, before the answer. */
  readonly heard?: (target: string) => void;
}

/**
 * Starts it. Its routes: `/echo`, `/back`, `/status/N`, `/to?URL` (a redirect there), `/flaky/KEY/N` (503 so often, then 200),
 * `/pattern/SEED/SIZE`, `/coded/gzip|br`, `/cookies`, `/late/MS`, `/begun` (half a body, and no more), `/never`.
 */
export function backend({ host, heard }: BackendOptions = {}): Promise<HttpServer> {
  return httpServer(answering(heard), host);
}

/** The same over TLS, with HTTP/2 for who asks for it and HTTP/1.1 for all others. */
export async function secureBackend(
  { certificate: cert, key }: Pair,
  { host = '127.0.0.1', heard }: BackendOptions = {},
): Promise<Omit<HttpServer, 'sockets'>> {
  const server = http2.createSecureServer({ cert, key, allowHTTP1: true });
  const open = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    open.add(socket);
    // Node's servers of HTTP/1.1 do this by themselves, the one that speaks both does not.
    socket.setNoDelay(true);
    socket.once('close', () => open.delete(socket));
  });
  // What Node gives for HTTP/2 is meant to be used as what it gives for HTTP/1.1.
  server.on(
    'request',
    answering(heard) as unknown as (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void,
  );
  server.listen(0, host);
  await once(server, 'listening');
  return {
    port: (server.address() as net.AddressInfo).port,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

function answering(heard: (target: string) => void = () => undefined): http.RequestListener {
  return (request, response) => {
    heard(request.url ?? '');
    answer(request, response);
  };
}

function answer(request: http.IncomingMessage, response: http.ServerResponse): void {
  const { pathname, search } = new URL(request.url ?? '/', 'http://behind.test');
  const [, route = '', first = '', second = ''] = pathname.split('/');
  const chosen = routes[route];
  if (chosen === undefined) response.writeHead(404).end('nothing here');
  else chosen(request, response, [first, second], search);
}

type Route = (
  request: http.IncomingMessage,
  response: http.ServerResponse,
  words: readonly [string, string],
  search: string,
) => void;

const routes: { readonly [name: string]: Route } = {
  echo(request, response) {
    const hash = createHash('sha256');
    let length = 0;
    request.on('data', (piece: Buffer) => {
      hash.update(piece);
      length += piece.length;
    });
    request.on('end', () => {
      const { method = '', url: target = '' } = request;
      // Over HTTP/2 it is a pseudo-header, as Node shows it.
      const headers = { ...request.headers, host: request.headers.host ?? request.headers[':authority'] };
      const echo = { method, target, headers, length, sha256: hash.digest('hex') };
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(echo));
    });
  },
  back(request, response) {
    const type = request.headers['content-type'];
    if (type !== undefined) response.setHeader('content-type', type);
    request.pipe(response);
  },
  status(request, response, [code]) {
    request.resume();
    const status = Number(code);
    if (status === 304) response.writeHead(304, { etag: '"known"' }).end();
    else if (status === 204) response.writeHead(204).end();
    else if (status >= 300 && status < 400) response.writeHead(status, { location: '/echo?after' }).end('over there');
    else response.writeHead(status, { 'content-type': 'text/plain' }).end(`a ${status}`);
  },
  to(request, response, _, search) {
    request.resume();
    response.writeHead(302, { location: decodeURIComponent(search.slice(1)) }).end('over there');
  },
  flaky(request, response, [key, times]) {
    request.resume();
    const before = failed.get(key) ?? 0;
    failed.set(key, before + 1);
    if (before < Number(times)) response.writeHead(503).end('not yet');
    else response.end(`after ${before}`);
  },
  pattern(request, response, [seed, size], search) {
    const total = Number(size);
    if (search !== '?chunked') response.setHeader('content-length', total);
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    let at = 0;
    const more = (): void => {
      while (at < total) {
        const piece = blockAt(Number(seed), at).subarray(0, Math.min(BLOCK, total - at));
        at += piece.length;
        if (!response.write(piece)) return;
      }
      response.end();
    };
    response.on('drain', more);
    more();
  },
  coded(_, response, [coding]) {
    const body = coding === 'br' ? brotliCompressSync(TEXT) : gzipSync(TEXT);
    response.writeHead(200, { 'content-encoding': coding, 'content-type': 'text/plain' }).end(body);
  },
  cookies(_, response) {
    response.setHeader('set-cookie', ['a=1; Path=/', 'b=2; Path=/']);
    response.setHeader('x-latin', 'caf\u{e9}');
    // Beside a string it would be sent in the string's encoding.
    response.end(Buffer.from('biscuits'));
  },
  late(_, response, [milliseconds]) {
    setTimeout(() => response.end('late'), Number(milliseconds));
  },
  begun(_, response) {
    response.setHeader('content-length', 10);
    response.write('begun');
  },
  never: () => undefined,
};

/** How often each key of `/flaky` was asked for. */
const failed = new Map<string, number>();

/**
 * Loopback servers behind Node's own TLS: a script of plain bytes, and Node's https. They remember each handshake, and count
 * the bytes of every connection that came through TLS, so that a test can tell that not one did.
 */
import { once } from 'node:events';
import https from 'node:https';
import type http from 'node:http';
import type net from 'node:net';
import tls from 'node:tls';

import { usual } from '../support/pki.ts';
import { Peer, type Script } from './raw.ts';

/** A handshake that succeeded, as the server saw it. */
export interface Shaken {
  /** Of SNI, or `null` where the client sent none. */
  readonly servername: string | null;
  readonly alpn: string | null;
  readonly version: string;
  /** By IANA's name. */
  readonly cipher: string;
  readonly resumed: boolean;
  /** The common names of the client's certificate and of those above it that it sent; empty where it has none. */
  readonly client: readonly string[];
}

/** Options of {@link tlsServer} and {@link httpsServer}: Node's, and where it listens. Default: the usual leaf. */
export interface TlsServerOptions extends tls.TlsOptions {
  /** An address, or the path of a Unix socket. Default 127.0.0.1. */
  readonly listenOn?: string;
  /** Default a free one. */
  readonly port?: number;
}

/** A running server. */
export class TlsServer {
  readonly port: number;
  /** Accepted, and perhaps never through TLS. */
  readonly sockets: net.Socket[] = [];
  readonly shaken: Shaken[] = [];
  /** Why handshakes failed: Node's codes. */
  readonly failed: string[] = [];
  /** Bytes that came through TLS, over all connections. */
  received: number = 0;
  /** What a script threw. */
  failure: unknown = null;
  readonly #server: net.Server;
  #waiting: (() => void)[] = [];

  constructor(server: net.Server) {
    this.#server = server;
    const address = server.address();
    this.port = typeof address === 'object' && address !== null ? address.port : 0;
    server.on('connection', (socket: net.Socket) => {
      // https gives what it decrypts as a connection of its own.
      if (!(socket instanceof tls.TLSSocket)) this.sockets.push(socket);
      this.#wake();
    });
    server.on('tlsClientError', (error: NodeJS.ErrnoException) => {
      this.failed.push(error.code ?? error.message);
      this.#wake();
    });
    server.on('secureConnection', (socket: tls.TLSSocket) => {
      // Before anybody else listens, so that nothing is missed.
      socket.on('data', (piece: Buffer) => (this.received += piece.length));
      socket.on('error', () => undefined);
      this.shaken.push(shakenBy(socket));
      this.#wake();
    });
  }

  /** Waits until so many handshakes have succeeded. */
  async shakes(count: number): Promise<Shaken> {
    while (this.shaken.length < count) await this.#change();
    return this.shaken[count - 1] as Shaken;
  }

  /** Waits until so many handshakes have failed. */
  async fails(count: number): Promise<void> {
    while (this.failed.length < count) await this.#change();
  }

  /** Waits until so many connections have been accepted. */
  async accepts(count: number): Promise<net.Socket> {
    while (this.sockets.length < count) await this.#change();
    return this.sockets[count - 1] as net.Socket;
  }

  /** Ends every connection; rejects with what a script threw. */
  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
    if (this.failure !== null) throw this.failure;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** A server whose connections follow a script, as those of `rawServer` do, once their handshake has succeeded. */
export class ScriptedTlsServer extends TlsServer {
  readonly peers: Peer[] = [];
}

/**
 * Starts one. `peer.end()` says close_notify and then FIN, {@link cut} FIN alone.
 */
export async function tlsServer(script: Script, options: TlsServerOptions = {}): Promise<ScriptedTlsServer> {
  const { listenOn = '127.0.0.1', port = 0, ...own } = options;
  const server = tls.createServer({ ...usual().leaf.identity, ...EASY, ALPNProtocols: ['http/1.1'], ...own });
  listen(server, port, listenOn);
  await once(server, 'listening');
  const running = new ScriptedTlsServer(server);
  server.on('secureConnection', (socket: tls.TLSSocket) => {
    const peer = new Peer(socket, running.peers.length + 1);
    running.peers.push(peer);
    Promise.resolve()
      .then(() => script(peer))
      .catch((error: unknown) => {
        if (!peer.ended) running.failure = error;
      });
  });
  return running;
}

/** OpenSSL would not serve some of the certificates that tests are about. */
const EASY = { ciphers: 'DEFAULT@SECLEVEL=0' };

/** FIN without close_notify, once everything that was written has gone. */
export function cut({ socket }: Peer): void {
  socket.destroy();
}

/** Node's https server with this handler; what the handler throws ends the test's process. */
export async function httpsServer(handler: http.RequestListener, options: TlsServerOptions = {}): Promise<TlsServer> {
  const { listenOn = '127.0.0.1', port = 0, ...own } = options;
  const server = https.createServer({ ...usual().leaf.identity, keepAliveTimeout: 60_000, ...own }, handler);
  listen(server, port, listenOn);
  await once(server, 'listening');
  return new TlsServer(server);
}

function listen(server: net.Server, port: number, where: string): void {
  if (where.includes('/')) server.listen(where);
  else server.listen(port, where);
}

function shakenBy(socket: tls.TLSSocket): Shaken {
  const client: string[] = [];
  let one: tls.DetailedPeerCertificate | null = socket.getPeerCertificate(true);
  while (one?.subject !== undefined) {
    const { CN = '' } = one.subject;
    client.push(Array.isArray(CN) ? CN.join(' ') : CN);
    one = one.issuerCertificate === one ? null : one.issuerCertificate;
  }
  return {
    servername: typeof socket.servername === 'string' && socket.servername !== '' ? socket.servername : null,
    alpn: socket.alpnProtocol === false ? null : socket.alpnProtocol,
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher().standardName,
    resumed: socket.isSessionReused(),
    client,
  };
}

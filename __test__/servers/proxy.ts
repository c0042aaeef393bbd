/**
 * A loopback proxy of HTTP that works, and speaks TLS where it is told to: requests in absolute form are forwarded, CONNECT
 * opens a tunnel. It keeps what it was asked, line by line; a manner may do any of it in its place.
 */
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { Duplex } from 'node:stream';

import { usual } from '../support/pki.ts';
import { TlsServer, type TlsServerOptions } from './tls.ts';
import { join, placeOf, reached, say, sayApart, type Routes, type Tunnel } from './tunnels.ts';

/** The head of a request as it came. */
export class Asked {
  /** 1 for the proxy's first connection. */
  readonly connection: number;
  readonly method: string;
  /** The second word of the request line. */
  readonly target: string;
  readonly version: string;
  /** Each header line, its name as spelled. */
  readonly lines: readonly (readonly [name: string, value: string])[];

  constructor(connection: number, { method = '', url = '', httpVersion, rawHeaders }: http.IncomingMessage) {
    this.connection = connection;
    this.method = method;
    this.target = url;
    this.version = httpVersion;
    const lines: [string, string][] = [];
    for (let at = 0; at < rawHeaders.length; at += 2) lines.push([rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '']);
    this.lines = lines;
  }

  /** Every value of a field, in order. */
  all(name: string): string[] {
    return this.lines.filter(([own]) => own.toLowerCase() === name).map(([, value]) => value);
  }

  /** The names of all fields, in lower case and sorted. */
  get names(): string[] {
    return this.lines.map(([name]) => name.toLowerCase()).toSorted();
  }

  toString(): string {
    return `${this.method} ${this.target}`;
  }
}

/**
 * Asked before a request is served. `serve` goes on as usual; `join` opens the tunnel and does not say so, since the manner
 * has; after `mine` nothing is left to do, and nothing more is served on the connection of a request that was to be passed on.
 */
export type Manner = (asked: Asked, socket: Duplex) => Verdict | Promise<Verdict>;
export type Verdict = 'serve' | 'join' | 'mine';

/** How a proxy is made. */
export interface ProxyOptions {
  /** Speaks TLS; default the usual leaf. */
  readonly tls?: TlsServerOptions;
  /** An address. Default 127.0.0.1. */
  readonly listenOn?: string;
  readonly port?: number;
  /** `username:password`, without which it says 407. */
  readonly credentials?: string;
  readonly routes?: Routes;
  readonly manner?: Manner;
}

/** A running proxy. */
export class Proxy {
  readonly port: number;
  /** `http://127.0.0.1:port`, or with https. */
  readonly url: string;
  /** Requests, CONNECT among them, in the order in which they came. */
  readonly asked: Asked[] = [];
  readonly tunnels: Tunnel[] = [];
  /** Accepted, and perhaps never through TLS. */
  readonly sockets: net.Socket[] = [];
  /** `null` where it speaks none. */
  readonly tls: TlsServer | null;
  /** What a client said that is no HTTP: the parser's codes. */
  readonly malformed: string[] = [];
  readonly #server: http.Server;
  readonly #options: ProxyOptions;
  readonly #numbers: WeakMap<Duplex, number> = new WeakMap();
  readonly #origins: Set<net.Socket> = new Set();
  readonly #gone: Set<number> = new Set();
  #failure: { error: unknown } | null = null;
  #waiting: (() => void)[] = [];

  /** @internal Use {@link proxyServer}. */
  constructor(server: http.Server, options: ProxyOptions) {
    this.#server = server;
    this.#options = options;
    const { port, family, address } = server.address() as net.AddressInfo;
    this.port = port;
    const host = family === 'IPv6' ? `[${address}]` : address;
    this.url = `${options.tls === undefined ? 'http' : 'https'}://${host}:${port}`;
    this.tls = options.tls === undefined ? null : new TlsServer(server);
    server.on('connection', (socket: Duplex) => {
      // https gives what it decrypts as a connection of its own.
      if (socket instanceof net.Socket && !('encrypted' in socket)) this.sockets.push(socket);
      this.#wake();
    });
    const opened = options.tls === undefined ? 'connection' : 'secureConnection';
    let connections = 0;
    server.on(opened, (socket: Duplex) => {
      connections += 1;
      const number = connections;
      this.#numbers.set(socket, number);
      const gone = (): void => {
        this.#gone.add(number);
        this.#wake();
      };
      socket.on('error', gone).on('end', gone).on('close', gone);
    });
    server.on('request', (request, response) => this.#guard(() => this.#forward(request, response)));
    server.on('connect', (request, socket, early: Buffer) =>
      this.#guard(async () => {
        if (early.length > 0) throw new Error(`the client did not wait for the tunnel: ${early.toString('latin1')}`);
        await this.#tunnel(request, socket);
      }),
    );
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      this.malformed.push(error.code ?? error.message);
      socket.destroy();
      this.#wake();
    });
  }

  /** Waits until so many requests have been asked; gives the last of them. */
  async asks(count: number): Promise<Asked> {
    while (this.asked.length < count) await this.#change();
    return this.asked[count - 1] as Asked;
  }

  /** Waits until so many tunnels have been opened. */
  async opens(count: number): Promise<Tunnel> {
    while (this.tunnels.length < count) await this.#change();
    return this.tunnels[count - 1] as Tunnel;
  }

  /** Waits until so many connections have been accepted. */
  async accepts(count: number): Promise<net.Socket> {
    while (this.sockets.length < count) await this.#change();
    return this.sockets[count - 1] as net.Socket;
  }

  /** Waits until the client has ended the nth connection. */
  async gone(connection: number): Promise<void> {
    while (!this.#gone.has(connection)) await this.#change();
  }

  /** FIN through all tunnels. */
  async cut(): Promise<void> {
    for (const { client, origin } of this.tunnels) {
      origin.destroy();
      client.end();
      if (!client.destroyed) await once(client, 'close');
    }
  }

  /** Ends every connection; rejects with what a manner threw. */
  async close(): Promise<void> {
    for (const socket of [...this.sockets, ...this.#origins]) socket.destroy();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
    if (this.#failure !== null) throw this.#failure.error;
  }

  async #verdict(request: http.IncomingMessage): Promise<Verdict | 'refuse'> {
    const { manner, credentials } = this.#options;
    const asked = new Asked(this.#numbers.get(request.socket) ?? 0, request);
    this.asked.push(asked);
    this.#wake();
    const wanted = credentials === undefined ? null : `Basic ${Buffer.from(credentials).toString('base64')}`;
    if (wanted !== null && asked.all('proxy-authorization').join() !== wanted) return 'refuse';
    return manner === undefined ? 'serve' : manner(asked, request.socket);
  }

  async #tunnel(request: http.IncomingMessage, socket: Duplex): Promise<void> {
    const verdict = await this.#verdict(request);
    // Nobody else would notice its end.
    if (verdict === 'mine' || verdict === 'refuse') socket.resume();
    if (verdict === 'mine') return;
    if (verdict === 'refuse') {
      return say(socket, 'HTTP/1.1 407 Proxy Authentication Required\r\n' + CHALLENGE + 'Content-Length: 0\r\n\r\n');
    }
    const target = request.url ?? '';
    const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(target) ?? [];
    const place = placeOf(host, Number(port), this.#options.routes ?? {});
    if (place === null) return say(socket, 'HTTP/1.1 502 No Route\r\nContent-Length: 0\r\n\r\n');
    let origin: net.Socket;
    try {
      origin = await reached(place);
    } catch {
      return say(socket, 'HTTP/1.1 503 Not There\r\nContent-Length: 0\r\n\r\n');
    }
    this.#origins.add(origin);
    origin.on('close', () => this.#origins.delete(origin));
    if (verdict === 'serve') await say(socket, 'HTTP/1.1 200 Connection established\r\n\r\n');
    this.tunnels.push(join(target, socket, origin));
    this.#wake();
  }

  async #forward(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const verdict = await this.#verdict(request);
    if (verdict === 'mine') return;
    if (verdict === 'refuse') {
      request.resume();
      response.writeHead(407, { 'proxy-authenticate': 'Basic realm="here"', 'content-length': 0 }).end();
      return;
    }
    const [, scheme, authority = '', path = ''] = /^(https?):\/\/([^/?#]*)(.*)$/.exec(request.url ?? '') ?? [];
    const [, host = authority, port] = /^(.*?)(?::(\d+))?$/.exec(authority) ?? [];
    const place = placeOf(host, Number(port ?? (scheme === 'https' ? 443 : 80)), this.#options.routes ?? {});
    if (scheme === undefined || place === null) {
      request.resume();
      response.writeHead(scheme === undefined ? 400 : 502).end();
      return;
    }
    const headers = passedOn(request.rawHeaders);
    const { method = '' } = request;
    // Whoever forwards for https answers for the origin; here it need not.
    const options = { ...place, method, path, headers, agent: false, rejectUnauthorized: false };
    const onwards = scheme === 'https' ? https.request(options) : http.request(options);
    onwards.on('socket', (socket) => {
      this.#origins.add(socket);
      socket.on('close', () => this.#origins.delete(socket));
    });
    response.on('close', () => onwards.destroy());
    request.pipe(onwards);
    const answer = await new Promise<http.IncomingMessage | null>((resolve) => {
      onwards.on('response', resolve).on('error', () => {
        if (response.headersSent) response.destroy();
        else response.writeHead(502).end();
        resolve(null);
      });
    });
    if (answer === null) return;
    answer.on('error', () => response.destroy());
    response.writeHead(answer.statusCode ?? 500, answer.statusMessage, passedOn(answer.rawHeaders));
    answer.pipe(response);
  }

  #guard(step: () => Promise<void>): void {
    step().catch((error: unknown) => {
      // What an origin or a client does is theirs to tell of.
      if (!(error instanceof Error && 'syscall' in error) && codeOf(error) !== 'ECONNRESET') this.#failure = { error };
    });
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** Starts one, on a free port unless it is given. */
export async function proxyServer(options: ProxyOptions = {}): Promise<Proxy> {
  const { tls, listenOn = '127.0.0.1', port = 0 } = options;
  const own = { keepAliveTimeout: 60_000, requireHostHeader: false, noDelay: true };
  const server =
    tls === undefined
      ? http.createServer(own)
      : https.createServer({ ...usual().leaf.identity, ALPNProtocols: ['http/1.1'], ...own, ...tls });
  server.listen(port, listenOn);
  await once(server, 'listening');
  return new Proxy(server, options);
}

/** Says what there is to say, in these pieces each by itself, and goes on so. */
export function saying(pieces: () => Iterable<string | Uint8Array>, then: Verdict): Manner {
  return async (_, socket) => {
    await sayApart(socket, pieces());
    return then;
  };
}

/** The value of Proxy-Authorization for `username:password`. */
export function basic(credentials: string): string {
  return `Basic ${Buffer.from(credentials).toString('base64')}`;
}

/** Without what is of this hop (RFC 9110 §7.6.1): as lines, in their order. */
function passedOn(raw: readonly string[]): string[] {
  const lines: string[] = [];
  for (let at = 0; at < raw.length; at += 2) {
    const [name = '', value = ''] = [raw[at], raw[at + 1]];
    if (!HOP.has(name.toLowerCase())) lines.push(name, value);
  }
  return lines;
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null)?.code;
}

const HOP: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-authorization', 'proxy-connection']);
const CHALLENGE = 'Proxy-Authenticate: Basic realm="here"\r\n';

/**
 * A loopback server of HTTP/2 that is a script: it reads the client's frames, and sends exactly those that the test says,
 * when the test says so. What a good peer does by itself (its SETTINGS, acknowledging, returning windows) it does until it
 * is told not to.
 */
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';

import {
  data,
  FLAG,
  FRAME_SIZE,
  head,
  parse,
  ping,
  PREFACE,
  settings,
  settingsAck,
  SETTING,
  TYPE,
  windowUpdate,
  type Frame,
} from './h2-frames.ts';
import { HpackDecoder, type Line } from './hpack.ts';

/** What the peer does by itself. */
export interface Manners {
  /** Its SETTINGS, sent at once; `null` sends none. Default empty. */
  settings?: readonly (readonly [id: number, value: number])[] | null;
  /** Acknowledge SETTINGS. Default true. */
  acknowledges?: boolean;
  /** Answer PING. Default true. */
  pongs?: boolean;
  /** Return the windows of DATA that has arrived. Default true. */
  returns?: boolean;
  /** The address to listen on. Default 127.0.0.1. */
  host?: string;
  /** TLS with ALPN. Default none: prior knowledge. */
  tls?: tls.TlsOptions;
}

/** One request of the client, as far as it has come. */
export class H2Request {
  readonly id: number;
  /** As decoded, pseudo-headers included. */
  readonly lines: readonly Line[];
  trailers: readonly Line[] = [];
  /** END_STREAM has come. */
  ended = false;
  /** The code of the client's RST_STREAM. */
  reset: number | null = null;
  /** For the script: that it has been answered. */
  done = false;
  /** Bytes of DATA that have come. */
  received = 0;
  /** What the client allows to be sent on this stream; {@link H2Peer.pour} keeps to it. */
  credit: number;
  /** What of that came by WINDOW_UPDATE, spent or not. */
  granted = 0;
  readonly pieces: Buffer[] = [];

  constructor(id: number, lines: readonly Line[], credit: number) {
    this.id = id;
    this.lines = lines;
    this.credit = credit;
  }

  get method(): string {
    return this.get(':method') ?? '';
  }

  get path(): string {
    return this.get(':path') ?? '';
  }

  /** The body so far. */
  get body(): Buffer {
    return Buffer.concat(this.pieces);
  }

  /** The lines of a name, joined. */
  get(name: string): string | undefined {
    const values = this.lines.filter((line) => line[0] === name).map(([, value]) => value);
    return values.length === 0 ? undefined : values.join(', ');
  }
}

/** One accepted connection. */
export class H2Peer {
  readonly socket: net.Socket;
  /** 1 for the server's first connection. */
  readonly number: number;
  /** Set once the client's end of stream or reset has arrived. */
  ended = false;
  /** Frames that have come, but for DATA, by type. */
  readonly counts = new Map<number, number>();
  /** Bytes of the largest frame. */
  largest = 0;
  /** The client's settings. */
  readonly settings = new Map<number, number>();
  /** All requests, in the order in which they came. */
  readonly requests: H2Request[] = [];
  /** The client's GOAWAY: the code. */
  goaway: number | null = null;
  /** How many SETTINGS of ours the client has acknowledged. */
  acknowledged = 0;
  /** What the client allows to be sent on the connection. */
  credit = 65_535;
  /** What of that came by WINDOW_UPDATE, spent or not. */
  granted = 0;
  /** How many PINGs of ours the client has answered. */
  pongs = 0;
  readonly #streams = new Map<number, H2Request>();
  readonly #manners: Manners;
  readonly #decoder = new HpackDecoder();
  #rest: Buffer = Buffer.alloc(0);
  #greeted = false;
  #taken = 0;
  /** The block that is under way: HEADERS without its end. */
  #block: { stream: number; flags: number; pieces: Buffer[] } | null = null;
  #waiting: { condition: () => boolean; resolve: () => void; reject: (error: Error) => void }[] = [];

  constructor(socket: net.Socket, number: number, manners: Manners, failed: (error: unknown) => void) {
    this.socket = socket;
    this.number = number;
    this.#manners = manners;
    // Each write under way is one.
    socket.setMaxListeners(0);
    socket.on('data', (piece: Buffer) => {
      try {
        this.#read(piece);
      } catch (error) {
        failed(error);
        socket.destroy();
      }
      this.#wake();
    });
    const gone = (): void => {
      this.ended = true;
      this.#wake();
    };
    socket.on('end', gone).on('close', gone).on('error', gone);
    if (manners.settings !== null) void this.send(settings(manners.settings ?? []));
  }

  /** Waits until this holds, looked at whenever the client has sent something; rejects when the client goes away. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ condition, resolve, reject });
      this.#wake();
    });
  }

  /** Waits for the next request's head. */
  async request(): Promise<H2Request> {
    const at = this.#taken;
    this.#taken += 1;
    await this.until(() => this.requests.length > at);
    return this.requests[at] as H2Request;
  }

  /** Waits for the next so many requests. */
  async take(count: number): Promise<H2Request[]> {
    const taken: H2Request[] = [];
    while (taken.length < count) taken.push(await this.request());
    return taken;
  }

  /** Waits until the whole of a request has come; its body. */
  async body(request: H2Request): Promise<Buffer> {
    await this.until(() => request.ended);
    return request.body;
  }

  /** Waits until the client has reset a stream; the code. */
  async resetOf(request: H2Request): Promise<number> {
    await this.until(() => request.reset !== null);
    return request.reset as number;
  }

  /** Waits until the client has closed (or reset) the connection. */
  async gone(): Promise<void> {
    await this.until(() => this.ended).catch(() => undefined);
  }

  /** How many frames of a type have come. */
  count(type: number): number {
    return this.counts.get(type) ?? 0;
  }

  /** Says this; resolves when the kernel has it. A client that is gone is no error. */
  send(...frames: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.socket.off('close', done);
        resolve();
      };
      if (this.socket.destroyed || !this.socket.writable) return done();
      this.socket.write(Buffer.concat(frames), done);
      this.socket.once('close', done);
    });
  }

  /** Sends a response of any size, no faster than the client's windows allow. */
  async pour(
    request: H2Request,
    body: Uint8Array,
    { status = 200, lines = [], end = true }: { status?: number; lines?: readonly Line[]; end?: boolean } = {},
  ): Promise<void> {
    await this.send(head(request.id, status, lines));
    await this.push(request, body, end);
  }

  /** Sends DATA, no faster than the client's windows allow. */
  async push(request: H2Request, body: Uint8Array, end = true): Promise<void> {
    let at = 0;
    do {
      const room = (): number => Math.min(this.credit, request.credit, FRAME_SIZE);
      // Others take of the same window, one after the other.
      while (at < body.length && room() <= 0 && request.reset === null) {
        await this.until(() => room() > 0 || request.reset !== null);
      }
      if (request.reset !== null) return;
      const piece = body.subarray(at, at + Math.max(0, room()));
      at += piece.length;
      this.credit -= piece.length;
      request.credit -= piece.length;
      await this.send(data(request.id, piece, { end: end && at === body.length }));
      this.#wake();
    } while (at < body.length);
  }

  /** Waits until the client has seen everything that was sent before. */
  async settled(): Promise<void> {
    const before = this.pongs;
    await this.send(ping('settled?'));
    await this.until(() => this.pongs > before);
  }

  /** FIN. */
  end(): void {
    this.socket.end();
  }

  /** RST of the connection. */
  reset(): void {
    if (this.socket instanceof tls.TLSSocket) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  #read(piece: Buffer): void {
    this.#rest = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    if (!this.#greeted) {
      const start = this.#rest.subarray(0, PREFACE.length).toString('latin1');
      if (!PREFACE.startsWith(start)) throw new Error(`no preface: ${JSON.stringify(start)}`);
      if (start.length < PREFACE.length) return;
      this.#greeted = true;
      this.#rest = this.#rest.subarray(PREFACE.length);
    }
    for (let next = parse(this.#rest); next !== null; next = parse(this.#rest)) {
      this.#rest = this.#rest.subarray(next.length);
      this.#take(next.frame);
    }
  }

  #take(frame: Frame): void {
    const { type, flags, stream, payload } = frame;
    this.counts.set(type, this.count(type) + 1);
    this.largest = Math.max(this.largest, payload.length);
    if (this.#block !== null && (type !== TYPE.CONTINUATION || stream !== this.#block.stream)) {
      throw new Error('the client interrupts a header block');
    }
    const request = this.#streams.get(stream);
    if (type === TYPE.HEADERS || type === TYPE.CONTINUATION) this.#headers(frame);
    else if (type === TYPE.DATA) this.#data(frame, request);
    else if (type === TYPE.SETTINGS) this.#settings(frame);
    else if (type === TYPE.RST_STREAM) {
      if (request === undefined) throw new Error(`the client resets stream ${stream}, which there is not`);
      request.reset = payload.readUInt32BE(0);
    } else if (type === TYPE.GOAWAY) this.goaway = payload.readUInt32BE(4);
    else if (type === TYPE.PING) {
      if ((flags & FLAG.ACK) !== 0) this.pongs += 1;
      else if (this.#manners.pongs !== false) void this.send(ping(payload.toString('latin1'), true));
    } else if (type === TYPE.WINDOW_UPDATE) {
      const increment = payload.readUInt32BE(0);
      if (stream === 0) {
        this.credit += increment;
        this.granted += increment;
      } else if (request !== undefined) {
        request.credit += increment;
        request.granted += increment;
      }
    }
  }

  #headers({ type, flags, stream, payload }: Frame): void {
    if (type === TYPE.HEADERS) {
      const padding = (flags & FLAG.PADDED) === 0 ? 0 : payload.readUInt8(0);
      const from = ((flags & FLAG.PADDED) === 0 ? 0 : 1) + ((flags & FLAG.PRIORITY) === 0 ? 0 : 5);
      this.#block = { stream, flags, pieces: [payload.subarray(from, payload.length - padding)] };
    } else if (this.#block === null) throw new Error('CONTINUATION of nothing');
    else this.#block.pieces.push(payload);
    if ((flags & FLAG.END_HEADERS) === 0) return;
    const lines = this.#decoder.decode(Buffer.concat(this.#block.pieces));
    const ended = (this.#block.flags & FLAG.END_STREAM) !== 0;
    this.#block = null;
    const known = this.#streams.get(stream);
    if (known !== undefined) known.trailers = lines;
    const request = known ?? new H2Request(stream, lines, this.settings.get(SETTING.INITIAL_WINDOW_SIZE) ?? 65_535);
    if (ended) request.ended = true;
    if (known !== undefined) return;
    this.#streams.set(stream, request);
    this.requests.push(request);
  }

  #data({ flags, stream, payload }: Frame, request: H2Request | undefined): void {
    if (request === undefined) throw new Error(`DATA for stream ${stream}, which there is not`);
    if (request.ended) throw new Error(`DATA for stream ${stream} after its end`);
    const padded = (flags & FLAG.PADDED) !== 0;
    const piece = padded ? payload.subarray(1, payload.length - payload.readUInt8(0)) : payload;
    request.pieces.push(Buffer.from(piece));
    request.received += piece.length;
    if ((flags & FLAG.END_STREAM) !== 0) request.ended = true;
    if (this.#manners.returns === false || payload.length === 0) return;
    const updates = [windowUpdate(0, payload.length)];
    if (!request.ended) updates.push(windowUpdate(stream, payload.length));
    void this.send(...updates);
  }

  #settings({ flags, payload }: Frame): void {
    if ((flags & FLAG.ACK) !== 0) {
      this.acknowledged += 1;
      return;
    }
    for (let at = 0; at < payload.length; at += 6) {
      this.settings.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    }
    if (this.#manners.acknowledges !== false) void this.send(settingsAck());
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const one of waiting) {
      if (one.condition()) one.resolve();
      else if (this.ended) one.reject(new Error('the client went away'));
      else this.#waiting.push(one);
    }
  }
}

/** What a script does with a connection; when it throws, `failure` of the server holds it and `close` rejects. */
export type H2Script = (peer: H2Peer) => Promise<void> | void;

/** A running script. */
export class H2Server {
  readonly port: number;
  readonly peers: H2Peer[] = [];
  failure: unknown = null;
  readonly #server: net.Server;
  #accepted: (() => void)[] = [];

  constructor(server: net.Server, script: H2Script, manners: Manners) {
    this.#server = server;
    this.port = (server.address() as net.AddressInfo).port;
    const sockets = manners.tls === undefined ? 'connection' : 'secureConnection';
    server.on('tlsClientError', () => undefined);
    server.on(sockets, (socket: net.Socket) => {
      const peer = new H2Peer(socket, this.peers.length + 1, manners, (error) => (this.failure ??= error));
      this.peers.push(peer);
      for (const wake of this.#accepted.splice(0)) wake();
      Promise.resolve()
        .then(() => script(peer))
        .catch((error: unknown) => {
          // A script that waits for something of a client that goes away has nothing to complain about.
          if (!peer.ended) this.failure ??= error;
        });
    });
  }

  /** Waits until the nth connection is there. */
  async peer(number: number): Promise<H2Peer> {
    for (;;) {
      const peer = this.peers[number - 1];
      if (peer !== undefined) return peer;
      await new Promise<void>((resolve) => this.#accepted.push(resolve));
    }
  }

  /** The requests of all connections, one connection after the other. */
  get requests(): H2Request[] {
    return this.peers.flatMap((peer) => peer.requests);
  }

  /** Ends every connection; rejects with what a script threw, or what the client did against the protocol. */
  async close(): Promise<void> {
    for (const { socket } of this.peers) socket.destroy();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
    if (this.failure !== null) throw this.failure;
  }
}

/** Starts a script on a free port. */
export async function h2Server(script: H2Script, manners: Manners = {}): Promise<H2Server> {
  const options = { noDelay: true, allowHalfOpen: true };
  const server =
    manners.tls === undefined
      ? net.createServer(options)
      : tls.createServer({ ALPNProtocols: ['h2'], ...options, ...manners.tls });
  server.listen(0, manners.host ?? '127.0.0.1');
  await once(server, 'listening');
  return new H2Server(server, script, manners);
}

/** The script that hands each request to this as soon as its head is there; any number at a time. */
export function each(handler: (request: H2Request, peer: H2Peer) => Promise<void> | void): H2Script {
  return async (peer) => {
    const broken = new Promise<never>((_, reject) => {
      const serve = async (): Promise<never> => {
        for (;;) {
          const request = await peer.request();
          Promise.resolve()
            .then(() => handler(request, peer))
            .catch(reject);
        }
      };
      serve().catch(reject);
    });
    await broken;
  };
}

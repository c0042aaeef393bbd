/**
 * A loopback server that is a script: it says exactly these bytes, when the test says so, and remembers what it received.
 * No HTTP in it.
 */
import { once } from 'node:events';
import net from 'node:net';

/** One accepted connection. */
export class Peer {
  readonly socket: net.Socket;
  /** 1 for the server's first connection. */
  readonly number: number;
  /** Set once the client's end of stream or reset has arrived. */
  ended = false;
  #waiting: (() => void)[] = [];
  #taken = 0;
  #pieces: Buffer[] = [];
  #length = 0;

  constructor(socket: net.Socket, number: number) {
    this.socket = socket;
    this.number = number;
    socket.on('data', (piece: Buffer) => {
      this.#pieces.push(piece);
      this.#length += piece.length;
      this.#wake();
    });
    const gone = (): void => {
      this.ended = true;
      this.#wake();
    };
    socket.on('end', gone).on('close', gone).on('error', gone);
  }

  /** Everything that has arrived. */
  get received(): Buffer {
    if (this.#pieces.length !== 1) this.#pieces = [Buffer.concat(this.#pieces)];
    return this.#pieces[0] as Buffer;
  }

  /** Waits for the next whole request (Content-Length or none; chunked to its last chunk) and gives its bytes as latin1. */
  async request(): Promise<string> {
    for (;;) {
      const rest = this.received.subarray(this.#taken).toString('latin1');
      const length = requestLength(rest);
      if (length !== null) {
        this.#taken += length;
        return rest.slice(0, length);
      }
      if (this.ended) throw new Error(`the client went away after ${JSON.stringify(rest)}`);
      await this.#change();
    }
  }

  /** Waits until the client has closed (or reset) the connection. */
  async gone(): Promise<void> {
    while (!this.ended) await this.#change();
  }

  /** Waits until so many bytes have arrived in all. */
  async bytes(count: number): Promise<void> {
    while (this.#length < count) {
      if (this.ended) throw new Error('the client went away');
      await this.#change();
    }
  }

  /** Says this; resolves when the kernel has it. A client that is gone is no error. */
  write(bytes: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.socket.off('close', done);
        resolve();
      };
      if (this.socket.destroyed) return done();
      if (typeof bytes === 'string') this.socket.write(bytes, 'latin1', done);
      else this.socket.write(bytes, done);
      this.socket.once('close', done);
    });
  }

  /** FIN. */
  end(bytes: string | Uint8Array = ''): void {
    if (typeof bytes === 'string') this.socket.end(bytes, 'latin1');
    else this.socket.end(bytes);
  }

  /** RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** What a script does with a connection; when it throws, `failure` of the server holds it and `close` rejects. */
export type Script = (peer: Peer) => Promise<void> | void;

/** A running script. */
export class RawServer {
  readonly port: number;
  readonly peers: Peer[] = [];
  failure: unknown = null;
  readonly #server: net.Server;
  #accepted: (() => void)[] = [];

  constructor(server: net.Server, script: Script) {
    this.#server = server;
    this.port = (server.address() as net.AddressInfo).port;
    server.on('connection', (socket) => {
      const peer = new Peer(socket, this.peers.length + 1);
      this.peers.push(peer);
      for (const wake of this.#accepted.splice(0)) wake();
      Promise.resolve()
        .then(() => script(peer))
        .catch((error: unknown) => {
          // A script that waits for a request on a connection that the client gives up has nothing to complain about.
          if (!peer.ended) this.failure = error;
        });
    });
  }

  /** Waits until the nth connection is there. */
  async peer(number: number): Promise<Peer> {
    for (;;) {
      const peer = this.peers[number - 1];
      if (peer !== undefined) return peer;
      await new Promise<void>((resolve) => this.#accepted.push(resolve));
    }
  }

  /** Ends every connection; rejects with what a script threw. */
  async close(): Promise<void> {
    for (const { socket } of this.peers) socket.destroy();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
    if (this.failure !== null) throw this.failure;
  }
}

/** Starts a script on a port of 127.0.0.1 or another address of this machine, a free one unless it is given. */
export async function rawServer(script: Script, port: number = 0, address: string = '127.0.0.1'): Promise<RawServer> {
  const server = net.createServer({ noDelay: true, allowHalfOpen: true });
  server.listen(port, address);
  await once(server, 'listening');
  return new RawServer(server, script);
}

/** The script that answers the nth request of the server (over all connections) with the nth of these bytes, or the last. */
export function answers(...replies: (string | Uint8Array)[]): Script {
  let served = 0;
  return async (peer) => {
    for (;;) {
      await peer.request();
      const reply = replies[Math.min(served, replies.length - 1)] ?? '';
      served += 1;
      await peer.write(reply);
    }
  };
}

/** The script that answers a request for `/n` with the nth of these bytes, and then says no more where `end` is given. */
export function choices(replies: readonly (string | Uint8Array)[], end = false): Script {
  return async (peer) => {
    for (;;) {
      const request = await peer.request();
      await peer.write(replies[Number(request.split(' ', 2)[1]?.slice(1))] ?? '');
      if (end) return peer.end();
    }
  };
}

/** A response of this body, framed by Content-Length. */
export function reply(body: string, head = 'HTTP/1.1 200 OK\r\n'): string {
  return `${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

function requestLength(bytes: string): number | null {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = bytes.slice(0, end);
  if (/^transfer-encoding:.*chunked\s*$/im.test(head)) {
    const last = bytes.indexOf('0\r\n\r\n', end + 4);
    return last < 0 ? null : last + 5;
  }
  const length = Number(/^content-length:\s*(\d+)/im.exec(head)?.[1] ?? 0);
  return bytes.length >= end + 4 + length ? end + 4 + length : null;
}

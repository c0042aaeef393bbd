/**
 * A loopback proxy of SOCKS that works: version 4, 4a (its names) and 5 (RFC 1928, RFC 1929). It keeps what it was asked, and
 * says what it is told to in place of any reply.
 */
import { once } from 'node:events';
import net from 'node:net';

import { join, placeOf, reached, say, sayApart, type Routes, type Tunnel } from './tunnels.ts';

/** What a client asked for. */
export interface SocksAsked {
  readonly version: number;
  /** Methods that were offered; none for version 4. */
  readonly methods: readonly number[];
  /** By RFC 1929, or the user id of version 4 with `null` as the password. */
  credentials: { readonly username: string; readonly password: string | null } | null;
  /** 1 is CONNECT. */
  command: number;
  kind: 'ipv4' | 'ipv6' | 'name' | null;
  host: string;
  port: number;
  /** Everything that came before the tunnel. */
  bytes: Buffer;
}

/** What a client waits for: its method, whether it is who it says, and the tunnel. Version 4 has the last alone. */
export type SocksStep = 'method' | 'credentials' | 'connect';

/** In place of a reply: other bytes, silence, FIN, RST. */
export type SocksReply = Uint8Array | 'silence' | 'end' | 'reset';

/** How one is made. */
export interface SocksOptions {
  /** `username:password`, without which it refuses; of version 4 the user id alone. Default: nobody is asked. */
  readonly credentials?: string;
  readonly routes?: Routes;
  /** Replies go byte by byte. */
  readonly single?: boolean;
  readonly listenOn?: string;
  readonly port?: number;
  readonly reply?: (step: SocksStep, usual: Buffer, asked: SocksAsked) => SocksReply;
}

/** A running one. */
export class SocksServer {
  readonly port: number;
  readonly asked: SocksAsked[] = [];
  readonly tunnels: Tunnel[] = [];
  readonly sockets: net.Socket[] = [];
  readonly #server: net.Server;
  readonly #options: SocksOptions;
  readonly #origins: net.Socket[] = [];
  #failure: { error: unknown } | null = null;
  #waiting: (() => void)[] = [];

  /** @internal Use {@link socksServer}. */
  constructor(server: net.Server, options: SocksOptions) {
    this.#server = server;
    this.#options = options;
    this.port = (server.address() as net.AddressInfo).port;
    server.on('connection', (socket) => {
      this.sockets.push(socket);
      this.#wake();
      const reading = new Reading(socket);
      this.#serve(socket, reading).catch((error: unknown) => {
        if (!reading.ended) this.#failure = { error };
      });
    });
  }

  /** `socks5://127.0.0.1:port`, or of another scheme. */
  url(scheme: 'socks4' | 'socks4a' | 'socks5' | 'socks5h', userInfo: string = ''): string {
    return `${scheme}://${userInfo === '' ? '' : `${userInfo}@`}127.0.0.1:${this.port}`;
  }

  /** Waits until so many clients have begun. */
  async asks(count: number): Promise<SocksAsked> {
    while (this.asked.length < count) await this.#change();
    return this.asked[count - 1] as SocksAsked;
  }

  /** Waits until so many connections have been accepted. */
  async accepts(count: number): Promise<net.Socket> {
    while (this.sockets.length < count) await this.#change();
    return this.sockets[count - 1] as net.Socket;
  }

  /** Ends every connection; rejects with what went wrong here. */
  async close(): Promise<void> {
    for (const socket of [...this.sockets, ...this.#origins]) socket.destroy();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
    if (this.#failure !== null) throw this.#failure.error;
  }

  async #serve(socket: net.Socket, reading: Reading): Promise<void> {
    const version = await reading.byte();
    const methods = version === 5 ? [...(await reading.take(await reading.byte()))] : [];
    const asked: SocksAsked = {
      version,
      methods,
      credentials: null,
      command: 0,
      kind: null,
      host: '',
      port: 0,
      bytes: Buffer.alloc(0),
    };
    this.asked.push(asked);
    const note = (): void => {
      asked.bytes = reading.taken;
      this.#wake();
    };
    note();
    const answer = async (step: SocksStep, usual: readonly number[]): Promise<boolean> => {
      note();
      return this.#answer(step, Buffer.from(usual), asked, socket);
    };
    const { credentials } = this.#options;
    if (version === 4) {
      await this.#ask4(asked, reading);
      const known = credentials === undefined || asked.credentials?.username === credentials.split(':')[0];
      const origin = known ? await this.#reach(asked) : null;
      // 93: the user id differs (of identd); 91: refused.
      const code = origin !== null ? 90 : known ? 91 : 93;
      if (await answer('connect', [0, code, 0, 0, 0, 0, 0, 0])) this.#join(asked, socket, reading, origin);
      return;
    }
    if (version !== 5) throw new Error(`no version of SOCKS: ${version}`);
    const method = credentials === undefined ? 0 : 2;
    if (!(await answer('method', [5, methods.includes(method) ? method : 0xff]))) return;
    if (method === 2) {
      await reading.byte();
      const username = (await reading.take(await reading.byte())).toString('latin1');
      const password = (await reading.take(await reading.byte())).toString('latin1');
      asked.credentials = { username, password };
      const known = `${username}:${password}` === credentials;
      if (!(await answer('credentials', [1, known ? 0 : 1]))) return;
    }
    await this.#ask5(asked, reading);
    const origin = await this.#reach(asked);
    const reply = [5, origin === null ? 4 : 0, 0, 1, 0, 0, 0, 0, 0, 0];
    if (await answer('connect', reply)) this.#join(asked, socket, reading, origin);
  }

  async #ask4(asked: SocksAsked, reading: Reading): Promise<void> {
    asked.command = await reading.byte();
    asked.port = (await reading.take(2)).readUInt16BE();
    const address = await reading.take(4);
    asked.credentials = { username: await reading.string(), password: null };
    // 0.0.0.x, x not 0: a name follows (version 4a).
    const named = address.readUIntBE(0, 3) === 0 && address[3] !== 0;
    asked.kind = named ? 'name' : 'ipv4';
    asked.host = named ? await reading.string() : address.join('.');
  }

  async #ask5(asked: SocksAsked, reading: Reading): Promise<void> {
    const [, command = 0, , type] = await reading.take(4);
    asked.command = command;
    if (type === 1) {
      asked.kind = 'ipv4';
      asked.host = (await reading.take(4)).join('.');
    } else if (type === 4) {
      asked.kind = 'ipv6';
      const groups = (await reading.take(16)).toString('hex').match(/.{4}/g) ?? [];
      // As the rest of the world writes it.
      asked.host = new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
    } else {
      asked.kind = 'name';
      asked.host = (await reading.take(await reading.byte())).toString('latin1');
    }
    asked.port = (await reading.take(2)).readUInt16BE();
  }

  async #reach({ host, port }: SocksAsked): Promise<net.Socket | null> {
    const place = placeOf(host, port, this.#options.routes ?? {});
    if (place === null) return null;
    try {
      const origin = await reached(place);
      this.#origins.push(origin);
      return origin;
    } catch {
      return null;
    }
  }

  /** Whether to go on. */
  async #answer(step: SocksStep, usual: Buffer, asked: SocksAsked, socket: net.Socket): Promise<boolean> {
    const reply = this.#options.reply?.(step, usual, asked) ?? usual;
    if (reply === 'silence') return false;
    if (reply === 'end') socket.end();
    else if (reply === 'reset') socket.resetAndDestroy();
    else if (this.#options.single === true)
      await sayApart(
        socket,
        [...reply].map((byte) => Uint8Array.of(byte)),
      );
    else await say(socket, reply);
    return typeof reply !== 'string';
  }

  #join(asked: SocksAsked, socket: net.Socket, reading: Reading, origin: net.Socket | null): void {
    if (origin === null) return;
    const rest = reading.stop();
    if (rest.length > 0) origin.write(rest);
    this.tunnels.push(join(`${asked.host}:${asked.port}`, socket, origin));
    this.#wake();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** Starts one, on a free port unless it is given. */
export async function socksServer(options: SocksOptions = {}): Promise<SocksServer> {
  const server = net.createServer({ noDelay: true, allowHalfOpen: true });
  server.listen(options.port ?? 0, options.listenOn ?? '127.0.0.1');
  await once(server, 'listening');
  return new SocksServer(server, options);
}

/** What a client says, by octets. */
class Reading {
  ended: boolean = false;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #wake: () => void = () => undefined;
  readonly #socket: net.Socket;
  readonly #hear: (piece: Buffer) => void;

  constructor(socket: net.Socket) {
    this.#socket = socket;
    this.#hear = (piece) => {
      this.#bytes = Buffer.concat([this.#bytes, piece]);
      this.#wake();
    };
    const gone = (): void => {
      this.ended = true;
      this.#wake();
    };
    socket.on('data', this.#hear).on('end', gone).on('close', gone).on('error', gone);
  }

  /** Everything that was read. */
  get taken(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  async take(count: number): Promise<Buffer> {
    while (this.#bytes.length < this.#at + count) {
      if (this.ended) throw new Error('the client went away');
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  async byte(): Promise<number> {
    return (await this.take(1)).readUInt8();
  }

  /** Up to its NUL. */
  async string(): Promise<string> {
    let text = '';
    for (;;) {
      const byte = await this.byte();
      if (byte === 0) return text;
      text += String.fromCharCode(byte);
    }
  }

  /** Reads no more, and gives what was not taken. */
  stop(): Buffer {
    this.#socket.off('data', this.#hear);
    return this.#bytes.subarray(this.#at);
  }
}

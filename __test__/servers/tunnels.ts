/** What every proxy of the tests does: finds the port behind a name that nobody may look up, and passes bytes on both ways. */
import { once } from 'node:events';
import net from 'node:net';
import type { Duplex } from 'node:stream';

/** Ports of 127.0.0.1 by `name:port`, or by `name` for each of its ports. Addresses and `localhost` need none. */
export type Routes = Readonly<Record<string, number>>;

/** Two sockets that were joined. */
export interface Tunnel {
  /** As the client named it: `host:port`. */
  readonly target: string;
  readonly client: Duplex;
  readonly origin: net.Socket;
  /** How what the client said begins: 64 KiB at most. */
  readonly up: () => Buffer;
  /** How what the origin said begins. */
  readonly down: () => Buffer;
}

/** Where a target is, and `null` where there is no way to it. */
export function placeOf(host: string, port: number, routes: Routes): { host: string; port: number } | null {
  const routed = routes[`${host}:${port}`] ?? routes[host];
  if (routed !== undefined) return { host: '127.0.0.1', port: routed };
  if (host === 'localhost') return { host: '127.0.0.1', port };
  const address = host.replace(/^\[(.*)\]$/, '$1');
  return net.isIP(address) > 0 ? { host: address, port } : null;
}

/** Connects there; rejects with the system's error. */
export async function reached(place: { host: string; port: number }): Promise<net.Socket> {
  const socket = net.connect({ ...place, noDelay: true, allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

/** Passes bytes and ends both ways, and no faster than they are taken, until either side has gone. */
export function join(target: string, client: Duplex, origin: net.Socket): Tunnel {
  const said = (from: Duplex): (() => Buffer) => {
    const pieces: Buffer[] = [];
    let kept = 0;
    from.on('data', (piece: Buffer) => {
      if (kept < KEPT) pieces.push(piece);
      kept += piece.length;
    });
    return () => Buffer.concat(pieces).subarray(0, KEPT);
  };
  client.on('error', () => origin.destroy()).on('close', () => origin.destroy());
  origin.on('error', () => client.destroy()).on('close', () => client.destroy());
  const tunnel = { target, client, origin, up: said(client), down: said(origin) };
  client.pipe(origin);
  origin.pipe(client);
  return tunnel;
}

/** Says this; resolves when it is on its way. A client that is gone is no error. */
export function say(socket: Duplex, bytes: string | Uint8Array): Promise<void> {
  const octets = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('close', done);
      resolve();
    };
    if (socket.destroyed) return resolve();
    socket.once('close', done);
    socket.write(octets, done);
  });
}

/** Says each piece by itself, far enough apart that they arrive so. */
export async function sayApart(socket: Duplex, pieces: Iterable<string | Uint8Array>): Promise<void> {
  let said = false;
  for (const piece of pieces) {
    if (said) await new Promise((resolve) => setTimeout(resolve, 1));
    await say(socket, piece);
    said = true;
  }
}

const KEPT = 65_536;

/**
 * Several origins at once, each a server of its own on loopback under a name that only `resolve` knows, with a manager that
 * reaches them, for one test. What they were asked is kept in its order, over all of them.
 */
import type { ExecutionContext } from 'ava';

import {
  PoolManager,
  type HTTPResponse,
  type PoolManagerOptions,
  type PoolOptions,
  type RequestHistory,
} from '../../index.ts';
import { rawServer, type Peer, type RawServer, type Script } from '../servers/raw.ts';
import { scripted, type Fixture } from './fixtures.ts';

/** A request as it arrived. */
export class Asked {
  /** The name that the server goes by in the test. */
  readonly origin: string;
  readonly method: string;
  /** The second word of the request line. */
  readonly target: string;
  /** Each header line, its name as spelled. */
  readonly lines: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  readonly peer: Peer;

  constructor(origin: string, bytes: string, peer: Peer) {
    this.origin = origin;
    this.peer = peer;
    const end = bytes.indexOf('\r\n\r\n');
    const [first = '', ...rest] = bytes.slice(0, end).split('\r\n');
    [this.method = '', this.target = ''] = first.split(' ');
    this.lines = rest.map((line): readonly [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    });
    this.body = bytes.slice(end + 4);
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
    return `${this.method} ${this.origin}${this.target}`;
  }
}

/** What an origin says to a request: bytes, in latin1 where they are a string; `null` says nothing and waits. */
export type Answer = (asked: Asked) => string | Uint8Array | null | Promise<string | Uint8Array | null>;

/** What a test works with. */
export interface World {
  readonly manager: PoolManager;
  /** Everything that was asked, of whomever. */
  readonly asked: Asked[];
  readonly servers: ReadonlyMap<string, RawServer>;
  /** For another manager, or a pool. */
  readonly resolve: Readonly<Record<string, string>>;
}

/**
 * Starts a server for each name (`a.example`, or `a.example:8080` for another port of it). The manager's books are compared at
 * the end, as a pool's are.
 */
export async function world(
  t: ExecutionContext,
  origins: Readonly<Record<string, Answer>>,
  options: PoolManagerOptions = {},
): Promise<World> {
  const asked: Asked[] = [];
  const servers = new Map<string, RawServer>();
  for (const [name, answer] of Object.entries(origins)) {
    const server = await rawServer(async (peer) => {
      await peer.bytes(1);
      // TLS: answered as web servers do, in the clear.
      if (peer.received[0] === HANDSHAKE) return peer.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
      for (;;) {
        const one = new Asked(name, await peer.request(), peer);
        asked.push(one);
        const bytes = await answer(one);
        if (bytes !== null) await peer.write(bytes);
      }
    });
    servers.set(name, server);
  }
  const resolve = Object.fromEntries([...servers].map(([name, { port }]) => [name, `127.0.0.1:${port}`]));
  const manager = new PoolManager({ resolve, ...options });
  t.teardown(async () => {
    await manager.close({ timeout: 0 });
    const { opened, closed, idle, leased } = manager.stats();
    for (const server of servers.values()) await server.close();
    if (opened !== closed || idle !== 0 || leased !== 0) {
      throw new Error(`the books do not balance: ${JSON.stringify({ opened, closed, idle, leased })}`);
    }
  });
  return { manager, asked, servers, resolve };
}

/** The first byte of a ClientHello's record. (RFC 8446, 5.1) */
const HANDSHAKE = 22;

/** An answer that leads elsewhere; `more` are further header lines, each with its CRLF. */
export function leads(location: string, status = 302, more = '', body = ''): string {
  return `HTTP/1.1 ${status} Moved\r\nLocation: ${location}\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/** Leads from `/0` to `/1` and on, each by the next of these locations, and then answers. */
export function chain(locations: readonly string[], end = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nend'): Answer {
  let at = 0;
  return () => {
    const location = locations[at];
    at += 1;
    return location === undefined ? end : leads(location);
  };
}

/** A pool over a script that follows where it is led: other fixtures ask for no retries, and no redirects with them. */
export function following(t: ExecutionContext, script: Script, options: PoolOptions = {}): Promise<Fixture<RawServer>> {
  return scripted(t, script, { retries: 3, ...options });
}

/** What happened before a call came to this. */
export function pastOf(end: HTTPResponse | Error): readonly RequestHistory[] {
  return ('retries' in end ? end.retries?.history : (end as { history?: readonly RequestHistory[] }).history) ?? [];
}

/** Values that may be thrown, errors or not. */
export const THROWN: readonly unknown[] = [
  new Error('no'),
  new TypeError('no'),
  'a string',
  '',
  0,
  7n,
  null,
  undefined,
  false,
  Symbol('s'),
  { a: 1 },
  () => 1,
];

/** What a promise rejects with, whatever that is. */
export async function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  const settled = await promise.then(
    () => null,
    (error: unknown) => ({ error }),
  );
  if (settled === null) throw new Error('resolved, where a rejection was due');
  return settled.error;
}

/** The `code` of whatever was thrown. */
export function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null | undefined)?.code;
}

/** One turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

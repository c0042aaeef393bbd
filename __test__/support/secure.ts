/**
 * A pool over TLS and the server it talks to, for one test: the pool trusts the usual authority, the server has the usual
 * leaf, unless they are told otherwise. Both are closed at the test's end, and then the pool's books must balance (THR-1010).
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ExecutionContext } from 'ava';

import { HTTPSConnectionPool, SSLError, type PoolOptions, type TLSOptions } from '../../index.ts';
import { relay, type Pieces, type Relay } from '../servers/relay.ts';
import type { Script } from '../servers/raw.ts';
import {
  httpsServer,
  tlsServer,
  type ScriptedTlsServer,
  type TlsServer,
  type TlsServerOptions,
} from '../servers/tls.ts';
import { rejection } from './fixtures.ts';
import { usual, type Certificate } from './pki.ts';

/** What a pool over TLS may be told. */
export type SecureOptions = PoolOptions & TLSOptions & { readonly host?: string };

/** What a test works with. */
export interface SecureFixture<Server> {
  readonly pool: HTTPSConnectionPool;
  readonly server: Server;
  /** `localhost:port`. */
  readonly host: string;
}

/** Trusts the usual authority, asks for `localhost` at 127.0.0.1, and tries nothing again. */
export const TRUSTING = {
  retries: false,
  resolve: { localhost: '127.0.0.1' },
} as const satisfies SecureOptions;

/** A pool for this port, closed at the test's end. */
export function securePool(t: ExecutionContext, port: number, options: SecureOptions = {}): HTTPSConnectionPool {
  const { host = 'localhost', ...own } = options;
  const trusts = ['caCerts', 'caCertDir', 'caCertData'].some((name) => name in own);
  const authorities = trusts ? {} : { caCertData: usual().ca.pem };
  const pool = new HTTPSConnectionPool(host, { port, ...TRUSTING, ...authorities, ...own });
  t.teardown(async () => {
    await pool.close({ timeout: 0 });
    const { opened, closed, idle, leased } = pool.stats();
    if (opened !== closed || idle !== 0 || leased !== 0) {
      throw new Error(`the books do not balance: ${JSON.stringify({ opened, closed, idle, leased })}`);
    }
  });
  return pool;
}

/** A pool over a script behind TLS. */
export async function secured(
  t: ExecutionContext,
  script: Script,
  server: TlsServerOptions = {},
  options: SecureOptions = {},
): Promise<SecureFixture<ScriptedTlsServer>> {
  const running = await tlsServer(script, server);
  // Teardowns run last first: the pool goes before its server.
  t.teardown(() => running.close());
  return { pool: securePool(t, running.port, options), server: running, host: `localhost:${running.port}` };
}

/** A pool over Node's https. */
export async function servedSecurely(
  t: ExecutionContext,
  handler: Parameters<typeof httpsServer>[0],
  server: TlsServerOptions = {},
  options: SecureOptions = {},
): Promise<SecureFixture<TlsServer>> {
  const running = await httpsServer(handler, server);
  t.teardown(() => running.close());
  return { pool: securePool(t, running.port, options), server: running, host: `localhost:${running.port}` };
}

/** A relay in front of a port, closed at the test's end. */
export async function relayed(t: ExecutionContext, port: number, pieces: Pieces = 'plain'): Promise<Relay> {
  const running = await relay(port, pieces);
  t.teardown(() => running.close());
  return running;
}

/** A server with this certificate that would answer anything, and what a pool meets there. */
export async function meets(
  t: ExecutionContext,
  leaf: Certificate,
  options: SecureOptions = {},
  server: TlsServerOptions = {},
): Promise<{ server: ScriptedTlsServer; outcome: Promise<string> }> {
  const { pool, server: running } = await secured(t, greets, { ...leaf.identity, ...server }, options);
  return { server: running, outcome: reasonOf(pool.request('GET', '/')) };
}

/** `ok`, or the reason of the SSLError; everything else is thrown. */
export async function reasonOf(call: Promise<{ text(): string }>): Promise<string> {
  try {
    return (await call).text();
  } catch (error) {
    if (!(error instanceof SSLError) || error.code !== 'ERR_TLS') throw error;
    return String(error.reason);
  }
}

/** Rejects with an SSLError of this reason; its message. */
export async function refused(t: ExecutionContext, call: Promise<unknown>, reason: string): Promise<SSLError> {
  const error = await rejection(call, SSLError);
  t.like(error, { name: 'SSLError', code: 'ERR_TLS', reason }, error.message);
  return error;
}

/** Throws an SSLError of this reason. */
export function refuses(t: ExecutionContext, make: () => unknown, reason: string, message: RegExp = /./): void {
  const error = t.throws(make, { instanceOf: SSLError, code: 'ERR_TLS', message });
  t.is(error?.reason, reason, error?.message);
}

/** Answers each request with `ok`. */
export const greets: Script = async (peer) => {
  for (;;) {
    await peer.request();
    await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  }
};

/** A folder of these files, removed at the test's end. */
export function folderOf(t: ExecutionContext, files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'ferropool-'));
  for (const [name, content] of Object.entries(files)) writeFileSync(path.join(folder, name), content);
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A file of this content, removed at the test's end. */
export function fileOf(t: ExecutionContext, content: string | Uint8Array): string {
  return path.join(folderOf(t, { file: content }), 'file');
}

/**
 * A pool and the server it talks to, for one test. Both are closed at its end, and then the pool's books must balance:
 * every connection that was opened is closed, idle or held (THR-1010).
 */
import { once } from 'node:events';
import net from 'node:net';

import type { ExecutionContext } from 'ava';

import { HTTPConnectionPool, type PoolOptions } from '../../index.ts';
import { httpServer, type HttpServer } from '../servers/http.ts';
import { nginx, type Nginx, type NginxSetup } from '../servers/nginx.ts';
import { parsers, type Parsers } from '../servers/parsers.ts';
import { rawServer, type RawServer, type Script } from '../servers/raw.ts';

/** What a test works with. */
export interface Fixture<Server> {
  readonly pool: HTTPConnectionPool;
  readonly server: Server;
  /** `127.0.0.1:port`. */
  readonly host: string;
}

/** A pool over a script of raw bytes. */
export async function scripted(
  t: ExecutionContext,
  script: Script,
  options: PoolOptions = {},
): Promise<Fixture<RawServer>> {
  const server = await rawServer(script);
  return joined(t, server, options);
}

/** The same with the default of a pool that says nothing about retries. */
export function retrying(t: ExecutionContext, script: Script, options: PoolOptions = {}): Promise<Fixture<RawServer>> {
  return scripted(t, script, { retries: null, ...options });
}

/** A pool over Node's own server. */
export async function served(
  t: ExecutionContext,
  handler: Parameters<typeof httpServer>[0],
  options: PoolOptions = {},
): Promise<Fixture<HttpServer>> {
  const server = await httpServer(handler);
  return joined(t, server, options);
}

/**
 * A port of 127.0.0.1 on which nobody listens. The client of a connection has it until the test ends: one that was only free
 * a moment ago may be somebody's by now, of a spec that runs beside this one.
 */
export async function closedPort(t: ExecutionContext): Promise<number> {
  const server = await httpServer(() => undefined);
  t.teardown(() => server.close());
  const client = net.connect(server.port, '127.0.0.1').on('error', () => undefined);
  await once(client, 'connect');
  return client.localPort ?? 0;
}

/** A pool over a real nginx. */
export async function overNginx(
  t: ExecutionContext,
  setup: NginxSetup,
  options: PoolOptions = {},
): Promise<Fixture<Nginx>> {
  const server = await nginx(setup);
  return joined(t, server, options);
}

/** A pool over the parsers in Python. */
export async function overParsers(t: ExecutionContext, options: PoolOptions = {}): Promise<Fixture<Parsers>> {
  const server = await parsers();
  return joined(t, server, options);
}

/** Waits for a rejection and gives it; anything else is thrown. */
export async function rejection<T extends Error>(
  promise: Promise<unknown>,
  type: new (...args: never[]) => T,
): Promise<T> {
  const outcome: { error: unknown } | null = await promise.then(
    () => null,
    (error: unknown) => ({ error }),
  );
  if (outcome === null) throw new Error(`resolved, where ${type.name} was due`);
  if (outcome.error instanceof type) return outcome.error;
  throw new Error(`not a ${type.name}`, { cause: outcome.error });
}

/** The path of a request's first line. */
export function target(request: string): string {
  return request.split(' ', 2)[1] ?? '';
}

function joined<Server extends { port: number; close(): Promise<void> }>(
  t: ExecutionContext,
  server: Server,
  options: PoolOptions,
): Fixture<Server> {
  const { port } = server;
  const pool = new HTTPConnectionPool('127.0.0.1', { port, retries: false, ...options });
  t.teardown(async () => {
    await pool.close({ timeout: 0 });
    const { opened, closed, idle, leased } = pool.stats();
    await server.close();
    if (opened !== closed + idle + leased || idle !== 0 || leased !== 0) {
      throw new Error(`the books do not balance: ${JSON.stringify({ opened, closed, idle, leased })}`);
    }
  });
  return { pool, server, host: `127.0.0.1:${port}` };
}

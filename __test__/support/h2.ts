/** A pool that speaks HTTP/2 by prior knowledge and the scripted server it talks to, for one test. */
import type { ExecutionContext } from 'ava';

import { HTTPConnectionPool, type HTTPError, type HTTPResponse, type PoolOptions } from '../../index.ts';
import { answer } from '../servers/h2-frames.ts';
import {
  h2Server,
  type H2Peer,
  type H2Request,
  type H2Script,
  type H2Server,
  type Manners,
} from '../servers/h2-raw.ts';

/** What a test works with. */
export interface H2Fixture {
  readonly pool: HTTPConnectionPool;
  readonly server: H2Server;
  /** `127.0.0.1:port`. */
  readonly host: string;
}

/** Time-outs that only a fault meets: a test that would hang fails instead. */
export const WAIT = { total: 30_000 };

/** A pool over a script of frames. Both are closed at the test's end, and then the pool's books must balance. */
export async function overFrames(
  t: ExecutionContext,
  script: H2Script,
  options: PoolOptions = {},
  manners: Manners = {},
): Promise<H2Fixture> {
  const server = await h2Server(script, manners);
  const { port } = server;
  const own = { port, retries: false, timeout: WAIT, ...options } as const;
  const pool = new HTTPConnectionPool('127.0.0.1', { http2: 'prior-knowledge', ...own });
  t.teardown(async () => {
    await pool.close({ timeout: 0 });
    const { opened, closed, idle, leased, waiting } = pool.stats();
    await server.close();
    if (opened !== closed || idle !== 0 || leased !== 0 || waiting !== 0) {
      throw new Error(`the books do not balance: ${JSON.stringify({ opened, closed, idle, leased, waiting })}`);
    }
  });
  return { pool, server, host: `127.0.0.1:${port}` };
}

/** GET, and nothing else to say. */
export const get = (pool: HTTPConnectionPool, path = '/', options = {}): Promise<HTTPResponse> =>
  pool.request('GET', path, options);

/** Answers a request with its own path: what reaches another request shows. */
export const echo = (request: H2Request, peer: H2Peer): Promise<void> => peer.send(answer(request.id, request.path));

/** Waits for a rejection with one of ours and gives it. */
export async function failure(promise: Promise<unknown>): Promise<HTTPError> {
  const outcome = await promise.then(
    () => null,
    (error: unknown) => ({ error }),
  );
  if (outcome === null) throw new Error('resolved, where an error was due');
  if (outcome.error instanceof Error && 'phase' in outcome.error) return outcome.error as HTTPError;
  throw new Error('not one of our errors', { cause: outcome.error });
}

/** What a read-back of a pool's connections is to be. */
export function counted(pool: HTTPConnectionPool): { opened: number; idle: number; leased: number; waiting: number } {
  const { opened, idle, leased, waiting } = pool.stats();
  return { opened, idle, leased, waiting };
}

/** What a call failed of, below the retries that were spent on it. */
export function root(error: HTTPError): HTTPError {
  return error.name === 'MaxRetryError' ? (error.reason as HTTPError) : error;
}

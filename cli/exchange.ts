/** Makes one request and lets its body pass: counted, perhaps written, never kept. */
import { performance } from 'node:perf_hooks';
import type * as ferropool from 'ferropool';
import type { Charset, HTTPResponse, ManagerRequestOptions, PoolManager } from 'ferropool';
import type { Answer, Result } from './answer.ts';
import { NO_TIMINGS } from './answer.ts';
import { unlessAborted } from './patience.ts';
import type { Settings } from './settings.ts';
import { OutputError, type Sink } from './sink.ts';

/** The package, which is loaded when there is something to request. */
export type Library = typeof ferropool;

/** What every request of a run shares. */
export interface Run {
  readonly library: Library;
  readonly settings: Settings;
  readonly manager: PoolManager;
  readonly signal: AbortSignal;
}

/** A request to be made. */
export interface Job {
  readonly index: number;
  readonly method: string;
  readonly url: string;
  readonly options: ManagerRequestOptions;
  /** Why it cannot be made. */
  readonly refused?: unknown;
}

/** Hears how far a body has come; `total` in bytes on the wire, where it is known. */
export type Watch = (wire: number, total: number | null) => void;

/** Rejects where the output takes no more, and else never. `open` says where the body goes; a body that breaks off, or that nobody wants, leaves nothing there. */
export async function exchange(run: Run, job: Job, open: () => Promise<Sink | null>, watch: Watch): Promise<Result> {
  const { index, method, url, options } = job;
  const { settings, signal } = run;
  const began = performance.now();
  const took = new Taken();
  let response: HTTPResponse | null = null;
  let sink: Sink | null = null;
  let error: unknown = null;
  try {
    if (job.refused !== undefined) throw job.refused;
    // Before anything is sent: a file that cannot be written is no reason to bother a server.
    sink = await unlessAborted(open(), signal);
    response = await run.manager.request(method, url, { ...options, preloadContent: false, signal });
    if (settings.fail && response.status >= 400) {
      await sink?.discard();
      sink = null;
    }
    const announced = response.lengthRemaining;
    for await (const piece of response) {
      took.add(piece);
      if (sink !== null) await unlessAborted(sink.write(piece), signal);
      watch(response.bytesRead, announced);
    }
    insist(settings, response);
    await sink?.commit();
  } catch (failure) {
    if (failure instanceof OutputError) throw failure;
    error = failure ?? new Error('nothing is known about what went wrong');
    await sink?.discard();
  }
  const elapsed = performance.now() - began;
  const saved = error === null || response === null ? (sink?.path ?? null) : null;
  const answer = response === null ? null : answerOf(response, run, took, saved);
  return { index, method, url, answer, error, elapsed };
}

/** Whoever asks for HTTP/2 alone is not content with less. @throws Error ERR_NO_H2 */
export function insist({ http }: Settings, { version, versionString }: HTTPResponse): void {
  if (http !== 'h2' || version === 20) return;
  throw Object.assign(new Error(`the server speaks ${versionString} and no HTTP/2`), { code: 'ERR_NO_H2' });
}

/** How much came, and how it began: that is where a charset may be named. */
class Taken {
  bytes = 0;
  #beginning: Buffer[] = [];

  add(piece: Buffer): void {
    if (this.bytes < LOOKED_AT) this.#beginning.push(Buffer.from(piece.subarray(0, LOOKED_AT - this.bytes)));
    this.bytes += piece.length;
  }

  get beginning(): Buffer {
    return Buffer.concat(this.#beginning);
  }
}

/** As much of a page as is searched for a charset. */
const LOOKED_AT = 1_024;

function answerOf(response: HTTPResponse, { library, settings }: Run, took: Taken, savedTo: string | null): Answer {
  const { headers } = response;
  const coding = headers.get('content-encoding') ?? null;
  const codings = (coding ?? '').split(',').map((one) => one.trim().toLowerCase());
  const isCoded = codings.some((one) => !NO_CODINGS.has(one));
  const decoded = isCoded && !settings.raw && codings.every((one) => NO_CODINGS.has(one) || CODINGS.has(one));
  return {
    status: response.status,
    reason: response.reason,
    version: response.versionString,
    url: response.url,
    headers: [...headers],
    trailers: [...response.trailers],
    defects: response.defects,
    timings: response.timings ?? NO_TIMINGS,
    connection: response.connection,
    attempts: response.attempts,
    history: response.retries?.history ?? [],
    body: {
      wireBytes: response.bytesRead,
      decodedBytes: took.bytes,
      coding,
      decoded,
      charset: isCoded && !decoded ? null : charsetOf(took, headers.get('content-type'), library),
      savedTo,
    },
  };
}

/** What the library undoes; where one of several is not among them, it undoes none. */
const CODINGS: ReadonlySet<string> = new Set(['gzip', 'x-gzip', 'deflate', 'br', 'zstd']);
/** Members of Content-Encoding that mean nothing. */
const NO_CODINGS: ReadonlySet<string> = new Set(['', 'identity', 'none']);

/** Of text alone: what an image's charset would be is nobody's question. */
function charsetOf(took: Taken, type: string | undefined, { HTTPResponse: Response }: Library): Charset | null {
  if (took.bytes === 0) return null;
  const init = type === undefined ? {} : { headers: { 'content-type': type } };
  const { charset } = new Response(took.beginning, init);
  const isText =
    type === undefined || /^\s*text\/|[/+](?:json|xml|javascript|ecmascript|x-www-form-urlencoded)\b/i.test(type);
  return isText || charset.from === 'header' ? charset : null;
}

/**
 * What the engine deals in: memory that completions lie in, responses and errors as they come, calls that are under way.
 */
import { markAsUntransferable } from 'node:worker_threads';

import * as layout from './generated.ts';
import type { Call } from './marshal.ts';
import type { Inflow, Outflow } from './stream.ts';

/** Memory that completions are copied into. */
export interface Slab {
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  readonly floats: Float32Array;
  readonly doubles: Float64Array;
}

/** Facts about a connection, as its `opened` notice has them. */
export interface ConnectionFacts {
  id: number;
  remoteAddress: string;
  remotePort: number;
  localAddress: string;
  localPort: number;
  triedAddresses: { address: string; error: string | null; elapsed: number }[];
  protocol: 'http/1.1' | 'h2';
  tls: TlsFacts | null;
  /** The proxy that it leads through. */
  proxy: ProxyFacts | null;
  /** Whose it is: where the pool leads, and the how manieth of its connections this is. */
  pool: { scheme: 'http' | 'https'; host: string; port: number; number: number };
}

/** The proxy of a connection. */
export interface ProxyFacts {
  /** Without credentials. */
  url: string;
  /** Whether it is given requests to pass on, rather than asked for a tunnel. */
  forwards: boolean;
  /** Of an https proxy: whether its certificate was checked. */
  verified: boolean;
}

/** What a handshake agreed on. */
export interface TlsFacts {
  version: string;
  cipher: string;
  resumed: boolean;
  verified: boolean;
  serverName: string | null;
  /** Certificates as the peer sent them: base64 of their DER. */
  chain: string[];
}

/** An error as the core gives it: plain data. Its classes are the facade's. */
export interface ErrorRecord {
  className: string;
  code: string;
  /** The absolute URL that was asked for last, where redirects led there. */
  url: string | null;
  /** Of a ResponseError: the status of the answer that was one too many. */
  status: number | null;
  /** Of a MaxRetryError: what the last attempt met. */
  below: ErrorRecord | null;
  history: PastRecord[];
  phase: string | null;
  during: string | null;
  message: string;
  host: string | null;
  attempts: number;
  elapsed: number;
  sent: boolean;
  reason: string | null;
  limit: string | null;
  allowed: number | null;
  partial: Buffer | null;
  expected: number | null;
  received: number | null;
  causes: { code: string | null; message: string; address: string | null }[];
  /** Of a ProxyError: the proxy's answer to CONNECT, its body as base64. */
  refusal: { status: number; headers: [string, string][]; body: string } | null;
  /** Of an SSLError: the certificates as the peer sent them, base64 of their DER. */
  chain: string[] | null;
  /** Of an SSLError: the name that the certificate was checked for. */
  asserted: string | null;
}

/** The one that met it: what came of a body is with that one, whatever it is found in. @internal */
export function innermost(record: ErrorRecord): ErrorRecord {
  return record.below === null ? record : innermost(record.below);
}

/** An error as a caller's own `Retry` is told of it: JSON, and so what came of a body is base64. */
export function revived(record: ErrorRecord): ErrorRecord {
  const inner = innermost(record);
  const told: unknown = inner.partial;
  if (typeof told === 'string') inner.partial = Buffer.from(told, 'base64');
  return record;
}

/** An event before an outcome, as the core gives it. */
export interface PastRecord {
  method: string;
  url: string;
  error: ErrorRecord | null;
  status: number | null;
  redirectLocation: string | null;
}

/** What happened before a response, as its notes have it. */
export interface StoryRecord {
  /** Absolute; `null` where no redirect was followed. */
  url: string | null;
  /** What `Retry` has left. */
  retries: Readonly<Record<'total' | 'connect' | 'read' | 'redirect' | 'status' | 'other', number | false | null>>;
  history: PastRecord[];
}

/** A question of the core's, as it comes. */
export interface Question {
  readonly kind: string;
  readonly number: number;
}

/** Who answers a call's questions. */
export interface Answerer {
  /** What goes back, as JSON; never rejects. */
  answer(question: Question, pending: Pending): Promise<string>;
  /** What a function of the caller's threw, once the call has ended of it: it rejects with that. */
  rejection(record: ErrorRecord): { readonly error: unknown } | null;
  /** The call is over. */
  end(): void;
}

/** A response's record where it lies, with what belongs to it. */
export interface Raw {
  slab: Slab;
  /** Where the record begins, in words. */
  base: number;
  /** The body, if it came beside the record. */
  readonly external: Buffer | null;
  /** The body, if it is still to be read. */
  readonly inflow: Inflow | null;
  /** Whether the caller wants it as it is on the wire. */
  readonly undecoded: boolean;
  readonly owner: Owner;
  /** As the first attempt's went out. */
  readonly method: string | null;
  /** As the caller gave it. */
  readonly url: string;
  /** Names and values that went into its query. */
  readonly fields: Call['fields'];
  /** Facts about the connection, as JSON. */
  readonly connection: string | null;
  /** What the call was judged by at first, or what its own `Retry` has left: the facade's to know. */
  readonly retries: object;
}

/** Who makes calls: turns what comes back into what the user sees. */
export interface Owner {
  /** What judges a call that brings nothing of its own. */
  readonly retries: object;
  /** @internal */
  respond(raw: Raw): unknown;
  /** The absolute URL of what was asked. @internal */
  locate(url: string, fields: Call['fields']): string;
  /** @internal */
  refuse(record: ErrorRecord, url: string, method: string | null, cause?: unknown): Error;
  /** What an error calls the pool of this URL. @internal */
  poolOf(url: string): { toString(): string } | null;
  /** A host is paused. @internal */
  paused?(pause: PauseRecord): void;
}

/** A host that is paused. */
export interface PauseRecord {
  readonly host: string;
  /** Milliseconds from now. */
  readonly span: number;
  readonly status: number;
}

/** A call that has not completed. */
export interface Pending {
  resolve: (value: never) => void;
  reject: (reason: unknown) => void;
  /** The response's body, once its head is there. */
  inflow: Inflow | null;
  /** The request's body, if it comes in pieces. */
  outflow: Outflow | null;
  onProgress: Call['onProgress'];
  /** Hears that the request has been sent, or that its response came before. */
  onSent: Call['onSent'];
  /** The call's. */
  flags: number;
  owner: Owner;
  /** The call's; `null` of what is no request. */
  method: string | null;
  url: string;
  fields: Call['fields'];
  /** The call's own, for an error about its URL. */
  proxy: string | null;
  signal: AbortSignal | null;
  /** Who answers what the core asks of the caller; `null` where it asks nothing. */
  asking: Answerer | null;
  retries: object;
  slot: number;
  generation: number;
}

/** @internal */
export function newSlab(size: number): Slab {
  const bytes = Buffer.allocUnsafeSlow(size);
  const { buffer } = bytes;
  // Transferred to another thread with one response's body, it would be gone for all the others in it.
  markAsUntransferable(buffer);
  return { bytes, words: new Uint32Array(buffer), floats: new Float32Array(buffer), doubles: new Float64Array(buffer) };
}

/**
 * Responses whose bodies are open, in the slab that is being filled. A body stays open for as long as its peer likes, and
 * what it came with must not keep its neighbours alive for so long.
 *
 * @internal
 */
export class OpenHeads {
  #raws: WeakRef<Raw>[] = [];

  note(raw: Raw): void {
    this.#raws.push(new WeakRef(raw));
  }

  /** The slab is full: what is open still gets memory of its own. */
  moveOut(): void {
    for (const one of this.#raws) {
      const raw = one.deref();
      if (raw?.inflow?.over !== false) continue;
      const { slab, base } = raw;
      const start = base << 2;
      const length = slab.words[base + layout.RECORD_LENGTH] as number;
      raw.slab = newSlab(length);
      raw.base = 0;
      slab.bytes.copy(raw.slab.bytes, 0, start, start + length);
    }
    this.#raws = [];
  }
}

/** What a call is rejected with. An error names its pool, whose class may be the user's and throw: the call ends anyway. */
export function refusal(pending: Pending, record: ErrorRecord): unknown {
  const { owner, method, url, proxy, outflow, asking } = pending;
  try {
    const thrown = record.reason === ASKED ? (asking?.rejection(record) ?? null) : null;
    if (thrown !== null) return thrown.error;
    // A source that failed beside something else is not what the call ended of.
    // A proxy that the environment named is not known here.
    const about = record.reason === PROXY_URL ? (proxy ?? '') : url;
    const cause = record.reason === BODY_SOURCE ? outflow?.failure?.error : undefined;
    return owner.refuse(record, about, method, cause);
  } catch (error) {
    return error;
  }
}

/** Ends a call, or the body that it has become. */
export function settle({ inflow, reject }: Pending, error: unknown): void {
  if (inflow === null) reject(error);
  else inflow.fail(error);
}

export function nothing(): void {
  // The call has its response; what comes after it comes to its body.
}

export function unsendable(message: string): ErrorRecord {
  return { ...LOST, className: 'InvalidHeader', code: 'ERR_INVALID_HEADER', message, sent: false };
}

/** The reason of an error that is about a proxy's URL, and not about the one that was asked for. @internal */
export const PROXY_URL = 'ERR_PROXY_URL';

/** The reason of a call that ended because a function of the caller's threw. */
const ASKED = 'ERR_ASKED';
/** The reason of the call whose body's source failed. */
const BODY_SOURCE = 'ERR_BODY_SOURCE';

/** What becomes of a call when the I/O thread falls. */
export const LOST: ErrorRecord = {
  className: 'HTTPError',
  code: 'ERR_INTERNAL',
  url: null,
  status: null,
  below: null,
  history: [],
  phase: null,
  during: null,
  message: 'ferropool panicked on its I/O thread and has started it again; this call is lost. Please report it',
  host: null,
  attempts: 0,
  elapsed: 0,
  sent: true,
  reason: null,
  limit: null,
  allowed: null,
  partial: null,
  expected: null,
  received: null,
  causes: [],
  refusal: null,
  chain: null,
  asserted: null,
};

/** Whether an answer of the core's has this member by itself: what a polluted `Object.prototype` holds is no answer. */
export function says<T extends object, K extends string>(
  answer: T,
  name: K,
): answer is Extract<T, { readonly [name in K]: unknown }> {
  return Object.hasOwn(answer, name);
}

/**
 * What the engine deals in: memory that completions lie in, responses and errors as they come, calls that are under way.
 */
import { markAsUntransferable } from 'node:worker_threads';

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
  /** Whose it is: where the pool leads, and the how manieth of its connections this is. */
  pool: { scheme: 'http' | 'https'; host: string; port: number; number: number };
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
  /** Of an SSLError: the certificates as the peer sent them, base64 of their DER. */
  chain: string[] | null;
  /** Of an SSLError: the name that the certificate was checked for. */
  asserted: string | null;
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
  readonly slab: Slab;
  /** Where the record begins, in words. */
  readonly base: number;
  /** The body, if it came beside the record. */
  readonly external: Buffer | null;
  /** The body, if it is still to be read. */
  readonly inflow: Inflow | null;
  /** Whether the caller wants it as it is on the wire. */
  readonly undecoded: boolean;
  /** Its collection tells that nobody can read the body any more. */
  readonly watch: ((reader: object) => void) | null;
  readonly owner: Owner;
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
  refuse(record: ErrorRecord, url: string, cause?: unknown): Error;
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
  /** Nothing of the response's body comes before it is asked for. */
  asks: boolean;
  /** The response's body is wanted as it is on the wire. */
  undecoded: boolean;
  owner: Owner;
  url: string;
  fields: Call['fields'];
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

/** What a call is rejected with. An error names its pool, whose class may be the user's and throw: the call ends anyway. */
export function refusal({ owner, url, outflow, asking }: Pending, record: ErrorRecord): unknown {
  try {
    const thrown = record.reason === ASKED ? (asking?.rejection(record) ?? null) : null;
    if (thrown !== null) return thrown.error;
    // A source that failed beside something else is not what the call ended of.
    return owner.refuse(record, url, record.reason === BODY_SOURCE ? outflow?.failure?.error : undefined);
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
  chain: null,
  asserted: null,
};

/**
 * How long a request may take, as an immutable value. It has no clock: it says how long, the core knows since when, so
 * one `Timeout` serves any number of requests at once.
 */
import { inspect } from 'node:util';

import { argumentError, checkNames, describe, isOptions, own } from './arguments.ts';
import { emitWarning } from './warnings.ts';

/** The spans of a {@link Timeout}, in milliseconds. `null`, `undefined` and `Infinity` mean none. */
export interface TimeoutOptions {
  /**
   * A deadline over the whole call: names, connecting, sending, the body, retries and redirects. Default none. Leads to
   * ConnectTimeoutError (cut while dialling) or ReadTimeoutError (later), both ERR_TOTAL_TIMEOUT. (urllib3's bounds one
   * attempt's connect and first bytes only.)
   */
  total?: number | null | undefined;
  /** Resolving, connecting, the proxy's steps and TLS together. Default none. Leads to ConnectTimeoutError ERR_CONNECT_TIMEOUT. */
  connect?: number | null | undefined;
  /**
   * The longest silence: before the head, between two pieces of the body, or while the peer takes no byte of the request.
   * Default none. Leads to ReadTimeoutError ERR_READ_TIMEOUT or ERR_SEND_TIMEOUT.
   */
  read?: number | null | undefined;
}

/** Everything that is taken for a `timeout` option: a number is `connect` and `read`, in milliseconds; `null` and `undefined` are none. */
export type TimeoutLike =
  | Timeout
  // Names of the class, which the compiler would let pass for names of options.
  | (TimeoutOptions & { connectTimeout?: never; readTimeout?: never; readTimeoutAfter?: never })
  | number
  | null
  | undefined;

/** A {@link Timeout} as plain data; the constructor makes an equal one of it. */
export interface TimeoutJSON {
  /** {@link Timeout.total}. */
  total: number | null;
  /** {@link Timeout.connect}. */
  connect: number | null;
  /** {@link Timeout.read}. */
  read: number | null;
}

/**
 * How long a request may take, in milliseconds. Nothing is limited that is not set: there is no hidden default.
 *
 * Unlike urllib3 it counts milliseconds, keeps no clock (there is no `clone` or `start_connect`), and takes `Infinity`
 * for none.
 *
 * @example
 * const timeout = new Timeout({ connect: 2_000, read: 10_000, total: 60_000 });
 * await pool.request('GET', '/', { timeout });
 */
export class Timeout {
  /** The deadline over the whole call, or `null` for none. */
  readonly total: number | null;
  /** As given; {@link Timeout.connectTimeout} has `total` in it. `null` for none. */
  readonly connect: number | null;
  /** As given; {@link Timeout.readTimeout} has `total` in it. `null` for none. */
  readonly read: number | null;

  /**
   * Turns an option's value into a `Timeout`: a bare number sets `connect` and `read`, not `total`; `null` and
   * `undefined` are no limit at all. urllib3's `Timeout.from_float`.
   *
   * @throws RangeError or TypeError ERR_INVALID_TIMEOUT as the constructor does.
   */
  static from(value: TimeoutLike): Timeout {
    if (value instanceof Timeout) return value;
    if (value === null || value === undefined) return NONE;
    if (typeof value === 'object' && isOptions(value)) return named(value);
    // What is no good, or short enough for a warning, has the name that its caller gave it.
    if (typeof value !== 'number' || !(value >= SUSPICIOUS)) span('timeout', value);
    return new Timeout({ connect: value, read: value });
  }

  /**
   * Takes the spans in milliseconds. A span below 50 ms warns once a process: it was probably meant in seconds.
   *
   * @throws RangeError ERR_INVALID_TIMEOUT for 0, less, NaN, and anything below 1 (no millisecond is a time-out).
   * @throws TypeError ERR_INVALID_TIMEOUT for what is neither a number nor `null`, and for unknown options.
   */
  constructor(options: TimeoutOptions = {}) {
    checkNames(options, NAMES, 'Timeout', CODE);
    this.total = span('total', own(options, 'total'));
    this.connect = span('connect', own(options, 'connect'));
    this.read = span('read', own(options, 'read'));
    Object.freeze(this);
  }

  /** How long connecting may take: the lesser of `connect` and `total`, or `null`. urllib3's `connect_timeout`. */
  get connectTimeout(): number | null {
    return lesser(this.connect, this.total);
  }

  /** How long silence may last at the start: the lesser of `read` and `total`, or `null`. urllib3's `read_timeout`. */
  get readTimeout(): number | null {
    return this.readTimeoutAfter(0);
  }

  /** What {@link Timeout.readTimeout} is when so many milliseconds of `total` are gone; never below 0. */
  readTimeoutAfter(elapsed: number): number | null {
    return lesser(this.read, this.total === null ? null : Math.max(0, this.total - elapsed));
  }

  /** The three spans; the constructor makes an equal `Timeout` of them. */
  toJSON(): TimeoutJSON {
    return { total: this.total, connect: this.connect, read: this.read };
  }

  /** `Timeout(connect=1000, read=2000, total=null)`. */
  toString(): string {
    return `Timeout(connect=${this.connect}, read=${this.read}, total=${this.total})`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }
}

/** What is no good has the name of the option that it was given to. */
function named(options: TimeoutOptions): Timeout {
  try {
    return new Timeout(options);
  } catch (error) {
    checkNames(options, NAMES, 'timeout', CODE);
    for (const name of NAMES) span(`timeout.${name}`, own(options, name));
    throw error;
  }
}

function span(name: string, given: unknown): number | null {
  if (given === null || given === undefined || given === Infinity) return null;
  if (typeof given !== 'number') {
    const taken = name === 'timeout' ? 'milliseconds, { connect, read, total }' : 'milliseconds';
    throw argumentError('type', CODE, `${name} is a number of ${taken} or null, not ${describe(given)}`);
  }
  if (given > 0 && given < 1) {
    const meant = `; ${given} s would be ${given * 1000}`;
    throw argumentError('range', CODE, `${name} is ${given}, but time-outs are in milliseconds${meant}`);
  }
  // Written so that NaN, which compares with nothing, is refused too.
  if (!(given > 0)) {
    throw argumentError('range', CODE, `${name} is ${given}, but a time-out is greater than 0, or null for none`);
  }
  if (given < SUSPICIOUS) warn(name, given);
  return given;
}

function lesser(one: number | null, other: number | null): number | null {
  if (one === null) return other;
  return other === null ? one : Math.min(one, other);
}

function warn(name: string, given: number): void {
  if (warned) return;
  warned = true;
  const message = `a time-out of ${given} ms (${name}) is very short: time-outs are in milliseconds, not seconds`;
  emitWarning('FerropoolWarning', 'FERROPOOL_SHORT_TIMEOUT', message);
}

const CODE = 'ERR_INVALID_TIMEOUT';
const NAMES = ['total', 'connect', 'read'] as const satisfies readonly (keyof TimeoutOptions)[];
/** Milliseconds; below this a span looks like seconds. */
const SUSPICIOUS = 50;
let warned = false;
const NONE: Timeout = new Timeout();

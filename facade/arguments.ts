/**
 * What every public argument is held to: the right type, a known name, and no property that the caller did not write
 * down. The checks stand here so that they say the same thing everywhere; what a value means is decided where it is used.
 */
import { isPromise } from 'node:util/types';

/** A `TypeError` or `RangeError` with one of the product's stable codes. */
export type ArgumentError = (TypeError | RangeError) & { readonly code: string };

/**
 * Makes the error for an argument that cannot be used: `'type'` for a wrong type or combination, `'range'` for a number
 * (or name) out of range.
 *
 * @internal
 */
export function argumentError(kind: 'type' | 'range', code: string, message: string): ArgumentError {
  const error = kind === 'type' ? new TypeError(message) : new RangeError(message);
  return Object.assign(error, { code });
}

/**
 * Reads an option that its object has by itself: a property of a polluted `Object.prototype` is no option.
 *
 * @internal
 */
export function own<T extends object, K extends keyof T>(options: T, name: K): T[K] | undefined {
  return Object.hasOwn(options, name) ? options[name] : undefined;
}

/**
 * Refuses what is no options object, and names that no option has: a misspelt option must not be silently without effect.
 *
 * @throws TypeError with this code, which names the nearest option.
 * @internal
 */
export function checkNames(options: unknown, known: readonly string[], what: string, code: string): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw argumentError('type', code, `${what} takes an object of options, not ${describe(options)}`);
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const elsewhere = ELSEWHERE.get(name);
    const near = elsewhere !== undefined && known.includes(elsewhere) ? elsewhere : nearest(name, known);
    const hint = near === null ? `it has ${known.join(', ')}` : `did you mean '${near}'?`;
    throw argumentError('type', code, `${what} has no option '${name}'; ${hint}`);
  }
}

/**
 * Names a value's type for a message, without the value: it may be a secret.
 *
 * @internal
 */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  // The commonest slip has a name.
  if (isPromise(value)) return 'a Promise, which was not awaited';
  const type = typeof value;
  return type === 'undefined' ? type : `${type === 'object' ? 'an' : 'a'} ${type}`;
}

/** The known name that is closest, if it is close enough to be what was meant. */
function nearest(name: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let least = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    // A name this much longer can only be further away, so an enormous one costs nothing.
    if (Math.abs(candidate.length - name.length) >= least) continue;
    const steps = distance(name.toLowerCase(), candidate.toLowerCase());
    if (steps < least) [best, least] = [candidate, steps];
  }
  return best;
}

/** Levenshtein's distance, a row at a time. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const swap = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

/** What Node.js, undici and requests call an option that has another name here, and no similar one. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ['ALPNProtocols', 'http2'],
  ['allowH2', 'http2'],
  ['bodyTimeout', 'timeout'],
  ['ca', 'caCerts'],
  ['checkServerIdentity', 'assertHostname'],
  ['connections', 'maxsize'],
  ['connectTimeout', 'timeout'],
  ['headersTimeout', 'timeout'],
  ['keepAliveTimeout', 'idleTimeout'],
  ['lookup', 'resolve'],
  ['maxSockets', 'maxsize'],
  ['maxVersion', 'sslMaximumVersion'],
  ['minVersion', 'sslMinimumVersion'],
  ['passphrase', 'keyPassword'],
  ['rejectUnauthorized', 'certReqs'],
  ['servername', 'serverHostname'],
  ['socketPath', 'unixSocket'],
  ['verify', 'certReqs'],
]);

/**
 * What every public argument is held to: the right type, a known name, and no property that the caller did not write
 * down. The checks stand here so that they say the same thing everywhere; what a value means is decided where it is used.
 */
import { isPromise } from 'node:util/types';

import { hintAt } from './hints.ts';

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
 * Refuses what is no options object, and names that no option has: a misspelt option must not be silently without effect. `page` lists them where they are many.
 *
 * @throws TypeError with this code, which names the nearest option.
 * @internal
 */
export function checkNames(
  options: unknown,
  known: readonly string[],
  what: string,
  code: string,
  page: string = 'docs/options.md',
): void {
  checkOptions(options, what, code);
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    throw argumentError('type', code, `${what} has no option '${name}'; ${hintAt(name, known, page)}`);
  }
  checkInherited(options, known, what, code);
}

/**
 * Refuses options that are a class's (its getters and methods) or another object's: only what is the object's own is read, and what
 * is not must not be silently without effect. What any realm's `Object.prototype` says was perhaps put there by somebody else: it
 * is neither read nor refused (THR-522).
 *
 * @throws TypeError with this code, which names the option.
 * @internal
 */
export function checkInherited(options: object, known: readonly string[], what: string, code: string): void {
  let above = Object.getPrototypeOf(options) as object | null;
  while (above !== null && above !== Object.prototype && !isRoot(above)) {
    for (const name of known) {
      if (!Object.hasOwn(above, name) || Object.hasOwn(options, name)) continue;
      const instead = `give it as a property of its own, as in { ${name}: options.${name} } (a spread leaves it out)`;
      throw argumentError('type', code, `${what} takes no option from a prototype: '${name}' is inherited; ${instead}`);
    }
    above = Object.getPrototypeOf(above) as object | null;
  }
}

/** An `Object.prototype`, of whatever realm; an object without a prototype that somebody made another's is none. */
function isRoot(prototype: object): boolean {
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf');
}

/** Refuses what is no options object, whatever their names. @internal */
export function checkOptions(options: unknown, what: string, code: string): asserts options is object {
  if (isOptions(options)) return;
  throw argumentError('type', code, `${what} takes an object of options, not ${describe(options)}`);
}

/**
 * Whether it can have options: a Promise, a Date, a `Map` or a `Headers` has nothing that would be looked at, and would pass
 * for an empty object. Of a class that says what it is, only what has something of its own.
 *
 * @internal
 */
export function isOptions(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.prototype.toString.call(value) === '[object Object]' || Object.keys(value).length > 0;
}

/**
 * Names a value's type for a message, without the value: it may be a secret.
 *
 * @internal
 */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (value === '') return 'an empty string';
  if (Array.isArray(value)) return 'an array';
  // The commonest slip has a name.
  if (isPromise(value)) return 'a Promise, which was not awaited';
  if (value instanceof URL) return 'a URL object';
  const tag = tagOf(value);
  if (TAGGED.has(tag)) return `${/^[AEIO]/.test(tag) ? 'an' : 'a'} ${tag}`;
  const type = typeof value;
  return type === 'undefined' ? type : `${type === 'object' ? 'an' : 'a'} ${type}`;
}

/** What an object calls itself, whichever class or realm it is of. @internal */
export function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/**
 * What was promised where an answer was wanted at once may still fail, and that is told already: it was refused.
 *
 * @internal
 */
export function forgive(given: unknown): void {
  if (isPromise(given)) given.catch(() => undefined);
}

/** Objects of the platform that are given where none of them will do. What others call their own is not repeated. */
const TAGGED: ReadonlySet<string> = new Set([
  'AbortSignal',
  'ArrayBuffer',
  'Date',
  'Error',
  'FormData',
  'Headers',
  'Map',
  'RegExp',
  'Set',
  'URLSearchParams',
]);

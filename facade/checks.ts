/**
 * The checks that options are made of: each takes a value and the option's name, gives what goes on, and refuses what is
 * none. A message names the type of what was given and never the value, which may be a secret.
 */
import { argumentError, checkNames, describe, isOptions } from './arguments.ts';

/** @internal */
export const CODE = 'ERR_INVALID_OPTION';

/** One an option: returns what goes on, `undefined` for nothing. @internal */
export type Check = (value: unknown, name: string) => unknown;

/** @internal */
export function functionOf(value: unknown, name: string): unknown {
  if (typeof value !== 'function') throw wrong(name, 'a function', value);
  return value;
}

/** @internal */
export function record(
  value: unknown,
  name: string,
  known: readonly string[] | null,
  wanted = 'an object',
): Record<string, unknown> {
  if (!isOptions(value)) throw wrong(name, wanted, value);
  if (known !== null) checkNames(value, known, name, CODE);
  return bare(Object.entries(value).filter(([, one]) => one !== undefined));
}

/** Without a prototype: what is read of it and is not there is not found in a polluted one either. @internal */
export function bare(entries: [string, unknown][]): Record<string, unknown> {
  return Object.assign(Object.create(null) as Record<string, unknown>, Object.fromEntries(entries));
}

/** @internal */
export function mapped(
  given: Record<string, unknown>,
  checks: Record<string, Check>,
  name: string,
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).map(([key, one]) => [key, checks[key]?.(one, `${name}.${key}`)]));
}

/** @internal */
export function boolean(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw wrong(name, 'a boolean', value);
  return value;
}

/** @internal */
export function string(value: unknown, name: string): string {
  if (typeof value !== 'string' || value === '') throw wrong(name, 'a string that is not empty', value);
  return value;
}

/** @internal */
export function integer(value: unknown, name: string, least: number, most: number): number {
  if (typeof value !== 'number') throw wrong(name, 'an integer', value);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw argumentError('range', CODE, `${name} is an integer from ${least} to ${most}, not ${value}`);
  }
  return value;
}

/** @internal */
export function size(value: unknown, name: string): number {
  return integer(value, name, 1, MOST);
}

/** @internal */
export function positive(value: unknown, name: string): number {
  if (typeof value !== 'number') throw wrong(name, 'a number', value);
  if (!(value > 0 && value < Infinity)) throw argumentError('range', CODE, `${name} is greater than 0, not ${value}`);
  return value;
}

/** Milliseconds; 0 and `Infinity` are "none". @internal */
export function milliseconds(value: unknown, name: string): number {
  if (typeof value !== 'number') throw wrong(name, 'a number of milliseconds', value);
  if (value === Infinity) return 0;
  if (!(value >= 0)) throw argumentError('range', CODE, `${name} is at least 0, not ${value}`);
  if (value > 0 && value < 1) {
    const hint = `${name} is ${value}, but spans are in milliseconds; ${value} s would be ${value * 1000}`;
    throw argumentError('range', CODE, hint);
  }
  return value;
}

/** @internal */
export function wrong(name: string, wanted: string, given: unknown): Error {
  return argumentError('type', CODE, `${name} is ${wanted}, not ${describe(given)}`);
}

/** @internal */
export const MOST: number = 2 ** 32 - 1;

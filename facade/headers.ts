/**
 * Header fields as users hold them: names compare without case, a name may have several lines, order and spelling stay.
 * What may be sent is not judged here (the core does, before a byte leaves); neither is anything parsed.
 *
 * The lines live in `Lines`, a plain structure. `HTTPHeaderDict` is that structure behind a Proxy, for
 * `headers['content-type']`, `in` and spreading; a response that nobody asks for its headers never makes one.
 */
import { inspect } from 'node:util';
import { isUint8Array } from 'node:util/types';

import { argumentError, checkNames, describe, own } from './arguments.ts';
import { boolean } from './checks.ts';

/**
 * As a header's value: leave out the line that would be sent by default. For `accept-encoding`, `host` and `user-agent`
 * only; a request with it on another name is refused.
 *
 * @example
 * await pool.request('GET', '/', { headers: { 'user-agent': SKIP_HEADER } });
 */
export const SKIP_HEADER: unique symbol = Symbol.for('ferropool.SKIP_HEADER');

/** What a header line can hold: text, or {@link SKIP_HEADER}. */
export type HeaderValue = string | typeof SKIP_HEADER;

/**
 * What becomes a header line: a number is its text; bytes, which may be of any encoding, are kept as the text whose characters have
 * their numbers, and go out as they were.
 */
export type HeaderInput = HeaderValue | number | Uint8Array;

/** A value or, for a name with several lines, the values in order. `null` is {@link SKIP_HEADER}, as `toJSON` writes it. */
export type HeaderValues = HeaderInput | null | readonly (string | number | Uint8Array)[];

/**
 * Everything a header dictionary is made from: another one, pairs (an array, a `Map`, fetch's `Headers`, a generator),
 * a plain object, or anything with `keys()` and either `get(name)` or index access. Only own properties of objects are
 * read; `undefined` in an object is absent.
 */
export type HeaderSource =
  | HeaderDict
  | Iterable<readonly [string, HeaderValues]>
  | { keys(): Iterable<string>; get(name: string): HeaderValues | undefined }
  | { readonly [name: string]: HeaderValues | undefined };

/**
 * What a dictionary is made from, given a `Source`: a {@link HeaderSource} or, of an interface (which has no index signature), an
 * object with a value for each of its names.
 */
export type HeadersFor<Source> = Source extends HeaderSource | Iterable<unknown> | ((...args: never) => unknown)
  ? HeaderSource
  : { readonly [Name in keyof Source]: HeaderValues | undefined };

/** Where an object keeps its lines; a symbol, so that no header's name can ever meet it. */
const LINES: unique symbol = Symbol('lines');

/** The methods of an {@link HTTPHeaderDict}, which adds index access to them; not to be constructed itself. */
export class HeaderDict {
  /** @internal */
  readonly [LINES]: Lines;

  /** @internal */
  constructor(source?: HeaderSource | null, ...more: never[]) {
    refuseMore(more, 'HTTPHeaderDict');
    // A plain assignment: the property has to stay configurable, or the Proxy could not hide it.
    this[LINES] = source instanceof Lines ? source : Lines.from(source ?? {});
    // oxlint-disable-next-line no-constructor-return -- the Proxy is what a user has to hold
    return new Proxy(this, INDEX_ACCESS);
  }

  /** How many names there are (not lines). */
  get size(): number {
    return this[LINES].size;
  }

  /** The values under this name joined by `, `, or the fallback (default `undefined`) when there is none. */
  get(name: string): string | undefined;
  get<F>(name: string, fallback: F): string | F;
  get(name: string, fallback?: unknown): unknown {
    return this[LINES].joined(name) ?? fallback;
  }

  /**
   * Each line under this name by itself, or the fallback (default an empty array) when there is none: the way to read
   * Set-Cookie, whose values hold commas of their own.
   */
  getAll(name: string): string[];
  getAll<F>(name: string, fallback: F): string[] | F;
  getAll(name: string, fallback: unknown = []): unknown {
    const values = this[LINES].values(name);
    return values.length > 0 && values.every(isText) ? [...values] : fallback;
  }

  /** urllib3's name of {@link HeaderDict.getAll}. */
  getlist(name: string): string[];
  getlist<F>(name: string, fallback: F): string[] | F;
  getlist(name: string, fallback: unknown = []): unknown {
    return this.getAll(name, fallback);
  }

  /** Replaces all lines of a name and its spelling by one line; the name keeps its place. The value is never split. */
  set(name: string, value: HeaderInput): this {
    this[LINES].set(name, [checkValue(checkName(name), value)]);
    return this;
  }

  /**
   * Adds a line below those of the same name, which keep their spelling. With `combine` (default false) it is appended to the last of
   * them instead, after `, `. A name that is left out ({@link SKIP_HEADER}) stays so until it is set or removed.
   *
   * @throws TypeError ERR_INVALID_HEADER for a name or value of a wrong type, ERR_INVALID_OPTION for options of one.
   */
  add(name: string, value: HeaderInput, options: { combine?: boolean | undefined } = {}): this {
    checkNames(options, ['combine'], 'add', 'ERR_INVALID_OPTION');
    const combine = boolean(own(options, 'combine') ?? false, 'combine');
    this[LINES].add(name, checkValue(checkName(name), value), combine);
    return this;
  }

  /** Adds every line of the source and overwrites nothing. urllib3's `|=` too. */
  extend<Source extends object>(source?: HeaderSource | HeadersFor<Source>, ...more: never[]): this {
    refuseMore(more, 'extend');
    if (source !== undefined) this[LINES].extend(source as HeaderSource);
    return this;
  }

  /** Replaces each name that the source has; of several pairs with one name the last stays. */
  update<Source extends object>(source: HeaderSource | HeadersFor<Source>): this {
    for (const [name, values] of read(source as HeaderSource)) this[LINES].set(name, values);
    return this;
  }

  /**
   * A new dictionary with the lines of this one, then those of the other; neither is changed. urllib3's `|` operator.
   *
   * @example
   * await pool.request('GET', '/', { headers: pool.headers.union({ accept: 'text/html' }) });
   */
  union<Source extends object>(other: HeaderSource | HeadersFor<Source>): HTTPHeaderDict {
    const both = this.copy();
    both[LINES].extend(other as HeaderSource);
    return both;
  }

  /** Removes a name, if it is there. */
  discard(name: string): void {
    this[LINES].remove(name);
  }

  /** Removes a name and says whether it was there. (urllib3's `del` throws when it was not.) */
  delete(name: string): boolean {
    return this[LINES].remove(name) !== null;
  }

  /**
   * Removes a name and gives its joined values.
   *
   * @throws RangeError ERR_INVALID_HEADER when the name is absent and no fallback was given.
   */
  pop(name: string): string;
  pop<F>(name: string, fallback: F): string | F;
  pop(name: string, ...fallback: [unknown?]): unknown {
    const values = this[LINES].remove(name);
    if (values !== null) return join(values);
    if (fallback.length > 0) return fallback[0];
    throw argumentError('range', CODE, `there is no header ${inspect(name)}`);
  }

  /** The joined values of a name, which is set to this value first (default empty) when it is absent. */
  setDefault(name: string, value = ''): string {
    if (!this[LINES].has(name)) this.set(name, value);
    return this.get(name, '');
  }

  /** Whether a name is there; with a value, whether one of its lines is exactly that. */
  has(name: string, value?: HeaderValue): boolean {
    return value === undefined ? this[LINES].has(name) : this[LINES].values(name).includes(value);
  }

  /** The names, as first spelled, in the order of their first lines. */
  *keys(): IterableIterator<string> {
    for (const { name } of this[LINES].groups()) yield name;
  }

  /** Every line by itself as `[name, value]`, the lines of a name together, spelled as its first. */
  *entries(): IterableIterator<[string, string]> {
    for (const { name, values } of this[LINES].groups()) {
      for (const value of values) if (isText(value)) yield [name, value];
    }
  }

  /** urllib3's name of {@link HeaderDict.entries} (`iteritems` too). */
  items(): IterableIterator<[string, string]> {
    return this.entries();
  }

  /** The same as {@link HeaderDict.entries}. */
  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries();
  }

  /** Every name once as `[name, values joined by ", "]`. urllib3's `itermerged`. */
  *merged(): IterableIterator<[string, string]> {
    for (const { name, values } of this[LINES].groups()) {
      const text = join(values);
      if (text !== undefined) yield [name, text];
    }
  }

  /** An independent dictionary with the same lines. */
  copy(): HTTPHeaderDict {
    return new HTTPHeaderDict(this);
  }

  /**
   * Whether the other has the same names (any case, any order) with the same joined values. The other may be anything
   * that a dictionary can be made from; all else is unequal.
   */
  equals(other: unknown): boolean {
    try {
      return this[LINES].equals(Lines.from(other as HeaderSource));
    } catch (error) {
      if (error instanceof TypeError && 'code' in error && error.code === CODE) return false;
      throw error;
    }
  }

  /**
   * An object without a prototype, from which the constructor makes an equal dictionary: a string for one line, an
   * array for several, `null` for {@link SKIP_HEADER}. Also what to hand to `structuredClone`, which takes no Proxy.
   * It has every name, `{ ...headers }` those that no member is called like. To others the lines are handed one by one, so that
   * each Set-Cookie stays by itself.
   *
   * @example
   * const headers = new HTTPHeaderDict([['Vary', 'Accept'], ['Set-Cookie', 'a=1'], ['Set-Cookie', 'b=2']]);
   * const ofFetch = new Headers([...headers]);
   * console.log(ofFetch.getSetCookie().length); // 2
   * const ofNode = [...headers].flat(); // what writeHead() of a server takes
   * console.log(ofNode.length); // 6
   */
  toJSON(): Record<string, string | string[] | null> {
    const out: Record<string, string | string[] | null> = Object.create(null);
    for (const { name, values } of this[LINES].groups()) {
      const texts = values.filter(isText);
      out[name] = texts.length > 1 ? texts : (texts[0] ?? null);
    }
    return out;
  }

  /** `HTTPHeaderDict({'Cookie': 'foo, bar'})`. It shows every value: headers may hold secrets. */
  toString(): string {
    const quoted = (text: string): string => inspect(text, { breakLength: Infinity, maxStringLength: null });
    const parts = this[LINES].groups().map(({ name, values }) => {
      const text = join(values);
      return `${quoted(name)}: ${text === undefined ? 'SKIP_HEADER' : quoted(text)}`;
    });
    return `HTTPHeaderDict({${parts.join(', ')}})`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }
}

/**
 * A case-insensitive dictionary of header fields that keeps order, spelling and repeats.
 *
 * `headers['content-type']` reads like `headers.get('content-type')`, except for names that are members (`get`, `size`, `items`,
 * `update`, `constructor`): there the member wins, and `get(name)` reads the header. So `{ ...headers }` and `Object.keys` are
 * without such names, and `toJSON()` and `[...headers]` have them all. Index access only reads; `set` writes.
 *
 * @example
 * const headers = new HTTPHeaderDict({ Accept: 'text/html' });
 * headers.add('Cookie', 'a=1').add('cookie', 'b=2');
 * console.log(headers['COOKIE']); // a=1, b=2
 * console.log([...headers]); // [ [ 'Accept', 'text/html' ], [ 'Cookie', 'a=1' ], [ 'Cookie', 'b=2' ] ]
 */
export type HTTPHeaderDict = HeaderDict & { readonly [name: string]: string | undefined };

/** The constructor of {@link HTTPHeaderDict}. */
export interface HTTPHeaderDictConstructor {
  /**
   * Takes every line of the source: repeated names in pairs add up.
   *
   * @throws TypeError ERR_INVALID_HEADER for what is no source, a name that is no string, a value that is no string,
   * number, bytes or {@link SKIP_HEADER}.
   */
  new <Source extends object>(source?: HeaderSource | HeadersFor<Source> | null): HTTPHeaderDict;
  /** What all of them inherit. */
  readonly prototype: HTTPHeaderDict;
}

/** Makes an {@link HTTPHeaderDict}: see {@link HTTPHeaderDictConstructor}. */
export const HTTPHeaderDict: HTTPHeaderDictConstructor = HeaderDict as unknown as HTTPHeaderDictConstructor;
Object.defineProperty(HeaderDict, 'name', { value: 'HTTPHeaderDict' });

/**
 * A dictionary over alternating names (lower case, as every response's are) and values. The array is kept, not copied.
 *
 * @internal
 */
export function headersFromLines(lines: readonly string[]): HTTPHeaderDict {
  return new HTTPHeaderDict(new Lines(lines) as unknown as HeaderSource);
}

/**
 * The lines to send, alternating names and values: one line a value, grouped at the name's first place, spelled as first
 * given. A plain object goes line by line as it is: its names are distinct, and this runs for every request.
 *
 * @throws TypeError ERR_INVALID_HEADER as the constructor does.
 * @internal
 */
export function wireLines(source: HeaderSource): HeaderValue[] {
  const simple = simpleLines(source);
  if (simple !== null) return simple;
  const out: HeaderValue[] = [];
  if (isPlain(source)) {
    for (const [name, values] of read(source)) for (const value of values) out.push(name, value);
    return out;
  }
  for (const { name, values } of (linesOf(source) ?? Lines.from(source)).groups())
    for (const value of values) out.push(name, value);
  return out;
}

/** All lines of one name: texts, or {@link SKIP_HEADER} alone. Never empty. */
interface Group {
  name: string;
  values: HeaderValue[];
}

/** The lines themselves: flat as they came for as long as that will do, then grouped by lower-case name. */
class Lines {
  #flat: readonly string[] | null;
  #grouped: Map<string, Group> = new Map();

  constructor(flat: readonly string[]) {
    this.#flat = flat;
  }

  static from(source: HeaderSource): Lines {
    const lines = new Lines([]);
    lines.extend(source);
    return lines;
  }

  get size(): number {
    return this.#groups().size;
  }

  groups(): Group[] {
    return [...this.#groups().values()];
  }

  has(name: string): boolean {
    return this.values(name).length > 0;
  }

  joined(name: string): string | undefined {
    const key = keyOf(name);
    const flat = this.#scannable();
    if (flat === null) return join(this.#groups().get(key)?.values ?? NONE);
    let text: string | undefined;
    for (let at = 0; at < flat.length; at += 2) {
      if (flat[at] === key) text = text === undefined ? flat[at + 1] : `${text}, ${flat[at + 1]}`;
    }
    return text;
  }

  values(name: string): readonly HeaderValue[] {
    const key = keyOf(name);
    const flat = this.#scannable();
    if (flat === null) return this.#groups().get(key)?.values ?? NONE;
    const found: string[] = [];
    for (let at = 0; at < flat.length; at += 2) if (flat[at] === key) found.push(flat[at + 1] ?? '');
    return found;
  }

  set(name: string, values: readonly HeaderValue[]): void {
    const key = keyOf(name);
    if (values.length === 0) this.#groups().delete(key);
    else this.#groups().set(key, { name, values: [...values] });
  }

  add(name: string, value: HeaderValue, combine: boolean): void {
    const key = keyOf(name);
    const groups = this.#groups();
    const group = groups.get(key);
    if (group === undefined) {
      groups.set(key, { name, values: [value] });
      return;
    }
    const last = group.values.at(-1);
    if (!isText(value) || !isText(last)) group.values = [SKIP_HEADER];
    else if (combine) group.values[group.values.length - 1] = `${last}, ${value}`;
    else group.values.push(value);
  }

  extend(source: HeaderSource): void {
    for (const [name, values] of read(source)) {
      for (const value of values) this.add(name, value, false);
    }
  }

  remove(name: string): HeaderValue[] | null {
    const key = keyOf(name);
    const group = this.#groups().get(key);
    if (group === undefined) return null;
    this.#groups().delete(key);
    return group.values;
  }

  equals(other: Lines): boolean {
    const [ours, theirs] = [this.#groups(), other.#groups()];
    if (ours.size !== theirs.size) return false;
    for (const [key, group] of ours) {
      const their = theirs.get(key);
      if (their === undefined || join(group.values) !== join(their.values)) return false;
    }
    return true;
  }

  /** Most responses are asked for one or two names of a dozen: a look through the lines is cheaper than a Map. */
  #scannable(): readonly string[] | null {
    return this.#flat === null || this.#flat.length > SCANNED ? null : this.#flat;
  }

  #groups(): Map<string, Group> {
    const flat = this.#flat;
    if (flat !== null) {
      this.#flat = null;
      for (let at = 0; at < flat.length; at += 2) this.add(flat[at] ?? '', flat[at + 1] ?? '', false);
    }
    return this.#grouped;
  }
}

/** Serves what the methods' object has not: a header of that name. Symbols are never headers. */
const INDEX_ACCESS: ProxyHandler<HeaderDict> = {
  get(target, key, receiver) {
    // Every method comes by here first, on its way to the lines.
    if (key === LINES) return target[LINES];
    return typeof key === 'symbol' || key in target ? Reflect.get(target, key, receiver) : target[LINES].joined(key);
  },
  has: (target, key) => key in target || (typeof key === 'string' && target[LINES].has(key)),
  set(target, key, value, receiver) {
    if (typeof key === 'string' && !(key in target)) throw readOnly(key, `set('${key}', value)`);
    return Reflect.set(target, key, value, receiver);
  },
  deleteProperty(target, key) {
    if (typeof key === 'string' && !(key in target)) throw readOnly(key, `delete('${key}')`);
    return Reflect.deleteProperty(target, key);
  },
  ownKeys(target) {
    const names = target[LINES].groups().filter(({ name, values }) => !(name in target) && isText(values[0]));
    return [...names.map(({ name }) => name), ...Reflect.ownKeys(target).filter((key) => key !== LINES)];
  },
  getOwnPropertyDescriptor(target, key) {
    if (key === LINES) return undefined;
    if (typeof key === 'symbol' || key in target) return Reflect.getOwnPropertyDescriptor(target, key);
    const value = target[LINES].joined(key);
    return value === undefined ? undefined : { value, writable: false, enumerable: true, configurable: true };
  },
  // A frozen object could not show properties that it does not have, and its lines would change all the same.
  preventExtensions: () => false,
};

/** Reads any source as names with their values; a name may come more than once. */
function* read(source: HeaderSource): Generator<[string, readonly HeaderValue[]]> {
  const lines = linesOf(source);
  if (lines !== undefined) {
    // Copies: whoever reads may be adding to these very lines.
    for (const { name, values } of lines.groups()) yield [name, [...values]];
    return;
  }
  if (typeof source !== 'object' || source === null) {
    throw argumentError('type', CODE, `headers are an object, pairs or an HTTPHeaderDict, not ${describe(source)}`);
  }
  if (hasMethod(source, Symbol.iterator)) {
    for (const pair of source as Iterable<unknown>) {
      if (!Array.isArray(pair) || pair.length !== 2) {
        throw argumentError('type', CODE, 'headers given as a list are pairs of a name and a value');
      }
      yield [checkName(pair[0]), valuesOf(pair[0], pair[1])];
    }
    return;
  }
  const keyed = source as { readonly [name: string]: unknown };
  if (hasMethod(source, 'keys')) {
    const container = source as unknown as { keys(): Iterable<unknown>; get(name: string): unknown };
    const byGet = hasMethod(source, 'get');
    for (const key of container.keys()) {
      const name = checkName(key);
      yield [name, valuesOf(name, byGet ? container.get(name) : keyed[name])];
    }
    return;
  }
  for (const name of Object.keys(keyed)) {
    if (keyed[name] !== undefined) yield [name, valuesOf(name, keyed[name])];
  }
}

/** The lines of a plain object of strings, as nearly every request gives them, without the detour that any source may need. */
function simpleLines(source: HeaderSource): HeaderValue[] | null {
  if (!isPlain(source) || Symbol.iterator in source) return null;
  const out: HeaderValue[] = [];
  for (const name of Object.keys(source)) {
    const value = source[name];
    if (typeof value === 'string') out.push(name, value);
    else if (value !== undefined) return null;
  }
  return out;
}

function linesOf(source: unknown): Lines | undefined {
  return source instanceof HeaderDict ? source[LINES] : undefined;
}

function isPlain(source: unknown): source is Record<string, HeaderValues | undefined> {
  if (typeof source !== 'object' || source === null) return false;
  const prototype: unknown = Object.getPrototypeOf(source);
  return prototype === null || prototype === Object.prototype;
}

/** Whether the source has a method; a plain object only by itself, or a polluted prototype would speak for it. */
function hasMethod(source: object, name: string | symbol): boolean {
  return typeof Reflect.get(source, name) === 'function' && (!isPlain(source) || Object.hasOwn(source, name));
}

function valuesOf(name: string, given: unknown): readonly HeaderValue[] {
  if (!Array.isArray(given)) return [checkValue(name, given === null ? SKIP_HEADER : given)];
  const values = given.map((value: unknown) => checkValue(name, value));
  if (values.every(isText)) return values;
  throw argumentError('type', CODE, `SKIP_HEADER is not one of several values, as for header ${inspect(name)}`);
}

function keyOf(name: string): string {
  return checkName(name).toLowerCase();
}

function checkName(name: unknown): string {
  if (typeof name === 'string') return name;
  throw argumentError('type', CODE, `a header's name is a string, not ${describe(name)}`);
}

function checkValue(name: string, value: unknown): HeaderValue {
  if (typeof value === 'string' || value === SKIP_HEADER) return value;
  if (typeof value === 'number') return String(value);
  if (isUint8Array(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
  const wanted = 'a string, a number or bytes';
  throw argumentError('type', CODE, `the value of header ${inspect(name)} is ${wanted}, not ${describe(value)}`);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

/** One text for all lines of a name; none when there are none, or when the header is left out. */
function join(values: readonly HeaderValue[]): string | undefined {
  return values.length > 0 && values.every(isText) ? values.join(', ') : undefined;
}

function refuseMore(more: readonly unknown[], where: string): void {
  if (more.length > 0) throw argumentError('type', CODE, `${where} takes one source, not ${more.length + 1}`);
}

function readOnly(name: string, instead: string): TypeError {
  return argumentError('type', CODE, `header '${name}' is only read by index; write headers.${instead}`);
}

const CODE = 'ERR_INVALID_HEADER';
/** Up to this many strings (two a line) are looked through. */
const SCANNED = 96;
const NONE: readonly HeaderValue[] = [];

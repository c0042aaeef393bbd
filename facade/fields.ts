/**
 * Form fields as users hold them, and the head that each has as a part of a multipart body (RFC 7578). Parameters are
 * written as WHATWG's HTML writes them, which is what urllib3 and browsers do. Which bytes stand between the parts is
 * the business of `multipart.ts`.
 *
 * A part's headers become lines of the body, so what could end a line is refused when they are rendered: a type that
 * came from elsewhere must not add a header or a part.
 */
import { Readable } from 'node:stream';

import { argumentError, checkNames, describe, own } from './arguments.ts';
import { bytesOf } from './bytes.ts';
import { guessContentType } from './content-types.ts';

/** What a part can hold: text goes out as UTF-8, a number or boolean as its text. */
export type FieldData = string | number | bigint | boolean | ArrayBuffer | ArrayBufferView | Blob;

/**
 * A value of a multipart form's field. A file is `[filename, data]`, whose type is guessed from its name, or
 * `[filename, data, contentType]`, where `null` is "no type" and every other has a `/`: three values of one name are pairs. A `File` is a file under its own name, a `Blob` one that
 * is called `blob`.
 */
export type FormFieldValue =
  | FieldData
  | null
  | readonly [filename: string | Uint8Array | null, data: FieldData]
  | readonly [filename: string | Uint8Array | null, data: FieldData, contentType: string | null | undefined]
  | RequestField;

/** A multipart form's fields: an object, a `Map`, pairs or {@link RequestField}s. Order and repeats are kept. */
export type FormFields =
  | Iterable<readonly [string, FormFieldValue | undefined] | RequestField>
  | { readonly [name: string]: FormFieldValue | undefined };

/** Writes one parameter of Content-Disposition: `name="value"` from the name and the value. urllib3's `header_formatter`. */
export type HeaderFormatter = (name: string, value: string) => string;

/** A part's headers by name; `null`, `undefined` and the empty string are left out. */
export type PartHeaders = Record<string, string | null | undefined>;

/** Options of a {@link RequestField}. */
export interface RequestFieldOptions {
  /** What the file is called; bytes are read as UTF-8. Default none (`null`); an empty one is kept. */
  filename?: string | Uint8Array | null | undefined;
  /** The part's headers at first. Default none. */
  headers?: Iterable<readonly [string, string | null | undefined]> | Readonly<PartHeaders> | null | undefined;
  /** How `name` and `filename` are written. Default: as HTML does, `name="value"` with LF, CR and `"` escaped. */
  headerFormatter?: HeaderFormatter | null | undefined;
}

/** What {@link RequestField.makeMultipart} writes. */
export interface MakeMultipartOptions {
  /** The first word of Content-Disposition. Default (`null`) `form-data`. */
  contentDisposition?: string | null | undefined;
  /** The part's Content-Type. Default none (`null`). */
  contentType?: string | null | undefined;
  /** The part's Content-Location. Default none (`null`). */
  contentLocation?: string | null | undefined;
}

/**
 * One part of a multipart body: for headers that a plain value cannot have. It has only the headers that it was given
 * until {@link RequestField.makeMultipart} writes the usual ones.
 *
 * @example
 * const bytes = Buffer.from('a picture');
 * const field = new RequestField('photo', bytes, { filename: 'a.jpg', headers: { 'X-Taken': '2024' } });
 * field.makeMultipart({ contentType: 'image/jpeg' });
 * await pool.request('POST', '/photos', { fields: [field] });
 */
export class RequestField {
  /** What the server knows the field by. */
  readonly name: string;
  /** What the file is called; `null` for none. */
  readonly filename: string | null;
  /** What the part holds. */
  data: FieldData;
  /** The part's headers, in an object without a prototype. */
  readonly headers: PartHeaders;
  readonly #format: HeaderFormatter;

  /**
   * Makes a part with the headers that it is given, and no other.
   *
   * @param name Bytes are read as UTF-8, here and in a file name.
   * @throws TypeError ERR_INVALID_OPTION for a wrong type or an unknown option, ERR_INVALID_BODY for bytes that are no
   * UTF-8.
   */
  constructor(name: string | Uint8Array, data: FieldData, options: RequestFieldOptions = {}) {
    checkNames(options, FIELD_OPTIONS, 'RequestField', CODE);
    const filename = own(options, 'filename') ?? null;
    this.name = paramText(name, 'name');
    this.filename = filename === null ? null : paramText(filename, 'filename');
    this.data = data;
    this.headers = copied(own(options, 'headers') ?? {});
    const format = own(options, 'headerFormatter') ?? formatMultipartHeaderParam;
    if (typeof format !== 'function') throw wrong('headerFormatter', 'a function', format);
    this.#format = format;
  }

  /**
   * Makes the field that a name and a value of `fields` stand for, and makes it multipart. urllib3's `from_tuples`.
   *
   * @throws TypeError ERR_INVALID_OPTION for what is no value.
   */
  static fromTuples(
    name: string | Uint8Array,
    value: Exclude<FormFieldValue, RequestField>,
    options: { headerFormatter?: HeaderFormatter | null | undefined } = {},
  ): RequestField {
    checkNames(options, ['headerFormatter'], 'fromTuples', CODE);
    const { filename, data, contentType } = taken(value);
    const headerFormatter = own(options, 'headerFormatter') ?? null;
    const field = new RequestField(name, data, { filename, headerFormatter });
    field.makeMultipart({ contentType: contentType === undefined ? guessed(field) : contentType });
    return field;
  }

  /**
   * Writes Content-Disposition with the name and the file name, Content-Type and Content-Location; each replaces what
   * was there.
   *
   * @throws TypeError ERR_INVALID_OPTION for a wrong type or an unknown option.
   */
  makeMultipart(options: MakeMultipartOptions = {}): void {
    checkNames(options, MULTIPART_OPTIONS, 'makeMultipart', CODE);
    const [disposition, type, location] = MULTIPART_OPTIONS.map((option) => {
      const value = own(options, option) ?? null;
      if (value !== null && typeof value !== 'string') throw wrong(option, 'a string', value);
      return value;
    });
    const parts = [
      disposition == null || disposition === '' ? 'form-data' : disposition,
      this.#param('name', this.name),
    ];
    if (this.filename !== null) parts.push(this.#param('filename', this.filename));
    this.headers['Content-Disposition'] = parts.join('; ');
    this.headers['Content-Type'] = type ?? null;
    this.headers['Content-Location'] = location ?? null;
  }

  /**
   * The head of the part, with the empty line that ends it: Content-Disposition, Content-Type, Content-Location, then
   * the others in their order. Names are taken as they are spelled.
   *
   * @throws TypeError ERR_INVALID_BODY for a header that would not be one line: CR, LF or NUL in it, or a name that
   * cannot be one.
   */
  renderHeaders(): string {
    const rest = Object.keys(this.headers).filter((name) => !FIRST.includes(name));
    const lines = [...FIRST, ...rest].map((name) =>
      line(name, Object.hasOwn(this.headers, name) && this.headers[name]),
    );
    return `${lines.join('')}\r\n`;
  }

  #param(name: string, value: string): string {
    const text: unknown = this.#format(name, value);
    if (typeof text !== 'string') throw wrong('what a headerFormatter returns', 'a string', text);
    return text;
  }
}

/**
 * The fields of a source, each as it will be a part; `undefined` values are left out.
 *
 * @throws TypeError ERR_INVALID_OPTION for what is no source, no pair, no value.
 * @internal
 */
export function* requestFields(source: unknown): Generator<RequestField, void, undefined> {
  for (const entry of entriesOf(source)) {
    if (entry instanceof RequestField) {
      yield entry;
      continue;
    }
    if (!Array.isArray(entry) || entry.length !== 2) throw wrong(FIELDS, FIELDS_ARE, entry);
    const [name, value] = entry as [unknown, unknown];
    if (typeof name !== 'string') throw wrong("a field's name", 'a string', name);
    if (value === undefined) continue;
    if (!(value instanceof RequestField)) {
      yield RequestField.fromTuples(name, value as Exclude<FormFieldValue, RequestField>);
    } else if (value.name === name) {
      yield value;
    } else {
      // Its head is written already: one of the two names would be lost without a word.
      throw argumentError('type', CODE, 'a RequestField has another name than the field that it is the value of');
    }
  }
}

/**
 * What a part holds, as bytes or as a `Blob` to be read later.
 *
 * @throws TypeError ERR_INVALID_OPTION for any other type, ERR_INVALID_BODY for memory that was transferred away.
 * @internal
 */
export function dataOf(value: unknown, name: string): Uint8Array | Blob {
  switch (typeof value) {
    case 'string':
      return Buffer.from(value);
    case 'number':
    case 'bigint':
    case 'boolean':
      return Buffer.from(String(value));
    default: {
      if (value instanceof Blob) return value;
      const bytes = bytesOf(value);
      if (bytes === null) {
        const hint = value instanceof Readable ? ' (of a file: openAsBlob of node:fs)' : '';
        throw wrong(`the data of field '${name}'`, `a string, a number, a boolean, bytes or a Blob${hint}`, value);
      }
      return bytes;
    }
  }
}

/**
 * One parameter of a part's header as HTML writes it: UTF-8 as it is, with only LF, CR and `"` escaped.
 *
 * @throws TypeError ERR_INVALID_BODY for bytes that are no UTF-8.
 * @internal
 */
export function formatMultipartHeaderParam(name: string, value: string | Uint8Array): string {
  return `${name}="${paramText(value, name).replace(/[\n\r"]/g, (found) => ESCAPES[found] ?? found)}"`;
}

function entriesOf(source: unknown): Iterable<unknown> {
  if (typeof source !== 'object' || source === null || source instanceof RequestField) {
    throw wrong(FIELDS, FIELDS_ARE, source);
  }
  const pairs = pairsOf(source);
  if (Array.isArray(pairs) && pairs.length === 0 && pairs !== source && !isPlain(source)) {
    // A Promise, a Blob, a stream: an empty form is not what was meant.
    throw argumentError('type', CODE, `${FIELDS} are ${FIELDS_ARE}, not an instance of a class without any`);
  }
  return pairs;
}

/** A plain object iterates only by itself, or a polluted prototype would speak for it. */
function pairsOf(source: object): Iterable<unknown> {
  const iterates = Symbol.iterator in source && (!isPlain(source) || Object.hasOwn(source, Symbol.iterator));
  return iterates ? (source as Iterable<unknown>) : Object.entries(source);
}

function isPlain(source: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(source);
  return prototype === null || prototype === Object.prototype;
}

/** What a value says; `undefined` for a type that is to be guessed. */
function taken(value: unknown): {
  filename: string | Uint8Array | null;
  data: FieldData;
  contentType: string | null | undefined;
} {
  if (Array.isArray(value)) {
    if (value.length !== 2 && value.length !== 3) {
      const tuples = '[filename, data] or [filename, data, contentType]';
      throw argumentError('type', CODE, `a file is ${tuples}, not an array of ${value.length}; ${SEVERAL}`);
    }
    const [first] = value as [unknown];
    if (first != null && typeof first !== 'string' && bytesOf(first) === null) {
      throw argumentError('type', CODE, `a file is [filename, data], and a filename is no ${typeof first}; ${SEVERAL}`);
    }
    const [filename, data, contentType] = value as [string | Uint8Array | null, FieldData, string | null | undefined];
    // Of three texts, the third would become a type without a word; what is no type at all may be left out as ''.
    if (typeof contentType === 'string' && contentType !== '' && !contentType.includes('/')) {
      const message = "a file is [filename, data, contentType], and there is no '/' in this content type";
      throw argumentError('type', CODE, `${message}; ${SEVERAL}`);
    }
    return { filename: filename ?? null, data, contentType };
  }
  if (value instanceof Blob) {
    return { filename: value instanceof File ? value.name : 'blob', data: value, contentType: undefined };
  }
  // As in a query; only a value by itself can be null, data of a file cannot.
  return { filename: null, data: (value === null ? 'null' : value) as FieldData, contentType: null };
}

function guessed(field: RequestField): string {
  const known = field.data instanceof Blob ? field.data.type : '';
  return known === '' ? guessContentType(field.filename) : known;
}

function copied(source: NonNullable<RequestFieldOptions['headers']>): PartHeaders {
  if (typeof source !== 'object') throw wrong('headers', 'an object or pairs', source);
  const headers = Object.create(null) as PartHeaders;
  for (const pair of pairsOf(source)) {
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== 'string') {
      throw wrong('headers', 'an object or pairs', pair);
    }
    headers[pair[0]] = pair[1] as string | null | undefined;
  }
  return headers;
}

function line(name: string, value: unknown): string {
  if (value == null || value === '' || value === false) return '';
  if (typeof value !== 'string') throw wrong("a part's header", 'a string', value);
  // HTML leaves NUL in a name as it is, and a parser finds it between the quotes; anywhere else it has no place.
  const forbidden = name === 'Content-Disposition' ? /[\r\n]/ : /[\r\n\0]/;
  if (forbidden.test(value) || !/^[!-9;-~]+$/.test(name)) {
    throw argumentError('type', BODY, `a part's header has a name without blanks or colons, and no CR, LF or NUL`);
  }
  return `${name}: ${value}\r\n`;
}

function paramText(value: unknown, what: string): string {
  if (typeof value === 'string') return value;
  const bytes = bytesOf(value);
  if (bytes === null) throw wrong(`the ${what} of a field`, 'a string or bytes', value);
  try {
    return UTF8.decode(bytes);
  } catch {
    throw argumentError('type', BODY, `the ${what} of a field is bytes that are no UTF-8`);
  }
}

function wrong(what: string, wanted: string, given: unknown): Error {
  return argumentError('type', CODE, `${what} is ${wanted}, not ${describe(given)}`);
}

/** What somebody means who gives a field a list. @internal */
export const SEVERAL = "for several values of one name give pairs: [['a', 1], ['a', 2]]";
const CODE = 'ERR_INVALID_OPTION';
const BODY = 'ERR_INVALID_BODY';
const FIELDS = "'fields'";
const FIELDS_ARE = 'an object, a Map, pairs of a name and a value, or RequestFields';
const FIELD_OPTIONS: readonly (keyof RequestFieldOptions)[] = ['filename', 'headers', 'headerFormatter'];
const MULTIPART_OPTIONS = ['contentDisposition', 'contentType', 'contentLocation'] as const;
const FIRST: readonly string[] = ['Content-Disposition', 'Content-Type', 'Content-Location'];
const ESCAPES: Readonly<Record<string, string>> = { '\n': '%0A', '\r': '%0D', '"': '%22' };
// A byte order mark is part of a name.
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

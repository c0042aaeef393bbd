/**
 * A request's body: from whatever holds it to bytes that are there as a whole, or to a source that is asked for pieces
 * while the request is being sent (`body-sources.ts`). Nothing is said about framing here but what is known of the length.
 */
import { Readable } from 'node:stream';

import { argumentError, describe, tagOf } from './arguments.ts';
import { InContext, InParts, Made, ofArray, OfIterable, OfReadable, OfWebStream } from './body-sources.ts';
import type { Call } from './boundary/marshal.ts';
import * as layout from './boundary/generated.ts';
import type { Source } from './boundary/stream.ts';
import { bytesOf } from './bytes.ts';
import { requestFields, type FormFields } from './fields.ts';
import { wireLines, type HeaderSource } from './headers.ts';
import { isFormData, multipartParts } from './multipart.ts';
import { encodeFormUrlencoded } from './urlencoded.ts';

/** A piece of a body: a string goes out as UTF-8. */
export type BodyPiece = string | ArrayBuffer | SharedArrayBuffer | ArrayBufferView;

/** What a body can be but a function that makes one. */
export type BodyData =
  | BodyPiece
  | URLSearchParams
  | FormData
  | Blob
  | NodeJS.ReadableStream
  | ReadableStream
  | Iterable<BodyPiece>
  | AsyncIterable<BodyPiece>;

/**
 * A request's body. A function is called when the body is needed, and again if it is needed again; its framing is by
 * chunks unless the headers have a Content-Length.
 */
export type RequestBody = BodyData | (() => BodyData | Promise<BodyData>);

/** What of a request's options becomes its body; `null` for none. @internal */
export interface BodyOptions {
  readonly body: unknown;
  readonly json: unknown;
  /** Fields that go into the body. */
  readonly form: unknown;
  readonly encodeMultipart: boolean;
  readonly boundary: string | null;
}

/** A body as a request takes it: one of `whole` and `source` is there. */
interface Body {
  readonly whole: string | Uint8Array | null;
  readonly source: Source | null;
  /** What the body says of itself, unless the headers do. */
  readonly contentType: string | null;
}

/**
 * Gives a call its body, and the line with its type. Nothing is read of a source yet.
 *
 * @throws TypeError ERR_INVALID_OPTION for two bodies (REQ-06) and for fields that are none; ERR_INVALID_BODY for what is
 * no body, and for a stream of which nothing can come.
 * @internal
 */
export function putBody(call: Call, options: BodyOptions, poolHeaders: HeaderSource): void {
  const { json, form, boundary } = options;
  let body = options.body === null ? null : bodyFrom(options.body, boundary);
  if (json !== null) {
    if (body !== null) {
      const message = "request got values for both 'body' and 'json' parameters which are mutually exclusive";
      throw argumentError('type', OPTION, message);
    }
    body = whole(jsonText(json));
    // The core has this type at hand.
    call.flags |= layout.REQUEST_JSON;
  }
  const fields = form === null ? null : bodyOfFields(form, options);
  if (fields !== null && body !== null) {
    const other = json === null ? 'body' : 'json';
    throw argumentError('type', OPTION, `request got values for both 'fields' and '${other}', can only specify one.`);
  }
  body ??= fields;
  if (body === null) return;
  call.body = body.whole;
  call.source = body.source;
  if (body.contentType !== null) call.lines = typed(call.lines ?? wireLines(poolHeaders), body.contentType);
}

/**
 * Lets go of the stream that a refused request was to be sent from: a body belongs to its request from the call on, and nobody else
 * will close it.
 *
 * @internal
 */
export function discardBody(options: unknown): void {
  if (typeof options !== 'object' || options === null || !Object.hasOwn(options, 'body')) return;
  try {
    const { body } = options as { readonly body?: unknown };
    if (typeof body !== 'object' || body === null || !(isWebStream(body) || isReadable(body))) return;
    bodyFrom(body, null).source?.discard?.();
  } catch {
    // There is nothing that could be let go of: it was read or destroyed before, and that may be why the request was refused.
  }
}

function bodyFrom(value: unknown, boundary: string | null): Body {
  if (typeof value === 'string') return whole(value);
  const bytes = bytesOf(value);
  if (bytes !== null) return whole(bytes);
  if (typeof value === 'function') return asked(new Made(value as () => unknown, ofMade));
  if (typeof value !== 'object' || value === null) throw noBody(value);
  if (value instanceof URLSearchParams)
    return whole(value.toString(), 'application/x-www-form-urlencoded;charset=UTF-8');
  if (isFormData(value)) return multipart(value, boundary);
  if (value instanceof Blob) return ofBlob(value);
  if (isWebStream(value)) return asked(new OfWebStream(value));
  if (isReadable(value)) return asked(new OfReadable(value));
  if (Array.isArray(value)) return sourced(ofArray(value));
  if (PAIRS.has(tagOf(value))) throw noPieces(value);
  if (has(value, Symbol.asyncIterator)) {
    return asked(new OfIterable(() => (value as AsyncIterable<unknown>)[Symbol.asyncIterator](), true));
  }
  if (has(value, Symbol.iterator)) {
    return asked(new OfIterable(() => (value as Iterable<unknown>)[Symbol.iterator](), false));
  }
  throw noBody(value);
}

/** `null` without any field, which is no body (REQ-05). */
function bodyOfFields(fields: unknown, { encodeMultipart, boundary }: BodyOptions): Body | null {
  if (!encodeMultipart) {
    const text = encodeFormUrlencoded(fields as Parameters<typeof encodeFormUrlencoded>[0]);
    return text === '' ? null : whole(text, 'application/x-www-form-urlencoded');
  }
  if (isFormData(fields)) return fields[Symbol.iterator]().next().done === true ? null : multipart(fields, boundary);
  const parts = [...requestFields(fields)];
  return parts.length === 0 ? null : multipart(parts, boundary);
}

/** REQ-07: compact; NaN and infinities are `null`, as JSON.stringify has them. */
function jsonText(value: unknown): string {
  let written: string | undefined;
  try {
    written = JSON.stringify(value) as string | undefined;
  } catch (cause) {
    const unwritable = whyNotWritten(value);
    // What a toJSON or a getter threw is its caller's own.
    if (unwritable === null) throw cause;
    const message = `'json' cannot be written as JSON: ${unwritable}`;
    throw Object.assign(argumentError('type', CODE, message), { cause });
  }
  if (written === undefined) {
    throw argumentError('type', CODE, `'json' is a value that JSON can hold, not ${describe(value)}`);
  }
  return written;
}

/** What JSON has no text for, once writing it has failed; `null` where it failed of something else. */
function whyNotWritten(value: unknown): string | null {
  const above: object[] = [];
  let found: string | null = null;
  try {
    JSON.stringify(value, function look(this: object, _key: string, one: unknown): unknown {
      while (above.length > 0 && above.at(-1) !== this) above.pop();
      if (typeof one === 'bigint') found ??= 'there is a BigInt in it';
      if (typeof one !== 'object' || one === null) return null;
      if (above.includes(one)) found ??= 'it is circular';
      if (found !== null) return null;
      above.push(one);
      return one;
    });
  } catch {
    return null;
  }
  return found;
}

/** The lines with a Content-Type behind them, unless there is one in whatever case. The lines given are not touched. */
function typed(lines: NonNullable<Call['lines']>, type: string): NonNullable<Call['lines']> {
  for (let at = 0; at < lines.length; at += 2) {
    const name = lines[at];
    if (typeof name === 'string' && name.length === 12 && name.toLowerCase() === 'content-type') return lines;
  }
  return [...lines, 'Content-Type', type];
}

function ofMade(value: unknown): Source {
  if (typeof value === 'function') throw argumentError('type', CODE, 'a function makes a body, not another function');
  if (isFormData(value)) {
    const hint = 'pass it as the body itself: it can be sent again as it is';
    throw argumentError(
      'type',
      CODE,
      `a FormData is of no use from a function, since its boundary stands in the head; ${hint}`,
    );
  }
  const { whole: all, source } = bodyFrom(value, null);
  return source ?? ofArray([all]);
}

function ofBlob(blob: Blob): Body {
  const type = blob.type === '' ? null : blob.type;
  return blob.size === 0 ? whole('', type) : sourced(new InParts([blob], blob.size), type);
}

function multipart(fields: FormFields | FormData, boundary: string | null): Body {
  const { contentType, length, parts } = multipartParts(fields, boundary);
  const [first] = parts;
  if (parts.length === 1 && Buffer.isBuffer(first)) return whole(first, contentType);
  return sourced(new InParts(parts, length), contentType);
}

function whole(all: string | Uint8Array, contentType: string | null = null): Body {
  return { whole: all, source: null, contentType };
}

function sourced(source: Source, contentType: string | null = null): Body {
  return { whole: null, source, contentType };
}

/** The caller's code is asked for its pieces. */
function asked(source: Source): Body {
  return sourced(new InContext(source));
}

function isWebStream(value: object): value is ReadableStream {
  return value instanceof ReadableStream || typeof Reflect.get(value, 'getReader') === 'function';
}

/** By what it can do: there are others than Node's own. */
function isReadable(value: object): value is Readable {
  if (value instanceof Readable) return true;
  return ['read', 'on', 'off', 'destroy'].every((name) => typeof Reflect.get(value, name) === 'function');
}

/** Whether it iterates; a plain object only by itself, or a polluted prototype would speak for it. */
function has(value: object, method: symbol): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  const plain = prototype === null || prototype === Object.prototype;
  return typeof Reflect.get(value, method) === 'function' && (!plain || Object.hasOwn(value, method));
}

function noBody(value: unknown): Error {
  const bytes = 'bytes (Buffer, ArrayBuffer or a view)';
  const kinds = `a string, ${bytes}, URLSearchParams, FormData, a Blob, a stream, a function that makes one of them, or iterable`;
  return argumentError('type', CODE, `'body' must be ${kinds}. Instead was ${describe(value)}`);
}

/** Its pairs would be taken for pieces, once the head is out. */
function noPieces(value: object): Error {
  const message = `'body' is ${describe(value)}, which gives pairs and no pieces of a body; pass it as 'fields'`;
  return argumentError('type', CODE, message);
}

/** What iterates over names and values, whosever class it is. */
const PAIRS: ReadonlySet<string> = new Set(['Headers', 'Map', 'URLSearchParams']);
const CODE = 'ERR_INVALID_BODY';
const OPTION = 'ERR_INVALID_OPTION';

/**
 * Form fields as a multipart/form-data body (RFC 7578, RFC 2046 section 5.1): each field's head and data between
 * boundaries. Files may be Blobs, which are left for whoever sends the body to read; all else is copied, so that what
 * the caller does to its memory afterwards changes nothing.
 */
import { randomBytes } from 'node:crypto';

import { argumentError, describe, tagOf } from './arguments.ts';
import { dataOf, formatMultipartHeaderParam, requestFields, RequestField, type FormFields } from './fields.ts';

/** A multipart body as what it is sent from. */
export interface MultipartParts {
  /** With the boundary. */
  readonly contentType: string;
  /** Bytes of the whole body. */
  readonly length: number;
  /** The body in its order; bytes next to each other are one piece. */
  readonly parts: readonly (Buffer | Blob)[];
}

/** A new boundary: 128 random bits as 32 hexadecimal digits, which nobody can guess. urllib3's `choose_boundary`. */
export function chooseBoundary(): string {
  return randomBytes(16).toString('hex');
}

/**
 * Encodes fields as multipart/form-data. urllib3's `encode_multipart_formdata`.
 *
 * @param boundary Default: a new one from {@link chooseBoundary}. One of RFC 2046's, which must not stand in the data.
 * @returns The body and its content type.
 * @throws TypeError ERR_INVALID_OPTION for fields or a boundary that are none; ERR_INVALID_BODY for a boundary that
 * occurs in the data, a part's header that would not be one line, and a Blob: it cannot be read at once.
 * @example
 * const [body, contentType] = encodeMultipartFormdata({ name: 'Ada', photo: ['ada.png', Buffer.from('a picture')] }, 'edge');
 * console.log(body.length > 0, contentType); // true multipart/form-data; boundary=edge
 */
export function encodeMultipartFormdata(fields: FormFields | FormData, boundary?: string | null): [Buffer, string] {
  const { contentType, parts } = multipartParts(fields, boundary);
  const bytes = parts.filter((part): part is Buffer => Buffer.isBuffer(part));
  if (bytes.length < parts.length) {
    const hint = "pass the fields, or a FormData, as a request's 'fields'";
    throw argumentError('type', BODY, `a Blob or File cannot be read at once; ${hint}`);
  }
  return [bytes.length === 1 && bytes[0] !== undefined ? bytes[0] : Buffer.concat(bytes), contentType];
}

/**
 * Encodes fields, or a `FormData` as `fetch` does, into pieces to be sent one after the other. A boundary is looked for
 * in bytes only: what a Blob holds is not known yet, and there 128 random bits have to do.
 *
 * @param choose Where boundaries come from when none is given.
 * @throws TypeError as {@link encodeMultipartFormdata}, except for Blobs.
 * @internal
 */
export function multipartParts(
  fields: FormFields | FormData,
  boundary?: string | null,
  choose: () => string = chooseBoundary,
): MultipartParts {
  const sections = isFormData(fields) ? formDataSections(fields) : fieldSections(fields);
  const chosen = boundary == null ? free(sections, choose) : checked(sections, boundary);
  const delimiter = Buffer.from(`--${chosen}\r\n`);
  const parts: (Buffer | Blob)[] = [];
  let run: Uint8Array[] = [];
  let length = 0;
  for (const { head, data } of sections) {
    run.push(delimiter, head);
    if (data instanceof Blob) {
      length += data.size;
      parts.push(Buffer.concat(run), data);
      run = [CRLF];
    } else {
      run.push(data, CRLF);
    }
  }
  run.push(Buffer.from(`--${chosen}--\r\n`));
  parts.push(Buffer.concat(run));
  for (const part of parts) if (Buffer.isBuffer(part)) length += part.length;
  return { contentType: `multipart/form-data; boundary=${parameter(chosen)}`, length, parts };
}

/**
 * Whether it is a `FormData`: the platform's, or that of another package (undici's own), which is no instance of it and gives
 * the same pairs.
 *
 * @internal
 */
export function isFormData(value: unknown): value is FormData {
  if (value instanceof FormData) return true;
  // A plain object is none: a polluted prototype would speak for it.
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) === Object.prototype) return false;
  return tagOf(value) === 'FormData' && typeof Reflect.get(value, Symbol.iterator) === 'function';
}

/** What stands between two boundaries. */
interface Section {
  readonly head: Buffer;
  readonly data: Uint8Array | Blob;
}

function fieldSections(fields: unknown): Section[] {
  return Array.from(requestFields(fields), (field) => ({
    head: Buffer.from(field.renderHeaders()),
    data: dataOf(field.data, field.name),
  }));
}

/** XHR's and fetch's encoding of a form: line ends of names and texts, but not of file names, become CRLF. */
function formDataSections(form: FormData): Section[] {
  return Array.from(form, ([name, value]) => {
    const disposition = [formatMultipartHeaderParam('name', lines(name))];
    if (typeof value === 'string') return section(disposition, null, Buffer.from(lines(value)));
    // An empty file name is written too: without one, a server takes the file for a text.
    if (!(value instanceof Blob)) {
      const given = describe(value);
      throw argumentError(
        'type',
        CODE,
        `the field '${name}' of a FormData is a string or a File of Node.js, not ${given}`,
      );
    }
    disposition.push(formatMultipartHeaderParam('filename', value.name));
    return section(disposition, value.type === '' ? 'application/octet-stream' : value.type, value);
  });
}

function section(disposition: string[], type: string | null, data: Uint8Array | Blob): Section {
  const headers = { 'Content-Disposition': ['form-data', ...disposition].join('; '), 'Content-Type': type };
  return { head: Buffer.from(new RequestField('', '', { headers }).renderHeaders()), data };
}

function lines(text: string): string {
  return text.replace(/\r\n?|\n/g, '\r\n');
}

function free(sections: readonly Section[], choose: () => string): string {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const boundary = choose();
    if (!occurs(boundary, sections)) return boundary;
  }
  throw argumentError('type', BODY, 'every boundary that was tried occurs in the data');
}

/** RFC 2046 section 5.1.1: 1 to 70 of its characters, the last no space. */
function checked(sections: readonly Section[], boundary: unknown): string {
  if (typeof boundary !== 'string') {
    throw argumentError('type', CODE, `a boundary is a string, not ${describe(boundary)}`);
  }
  if (!/^[\w'()+,\-./:=? ]{0,69}[\w'()+,\-./:=?]$/.test(boundary)) {
    const allowed = "letters, digits, spaces and '()+_,-./:=? and does not end in a space (RFC 2046 section 5.1.1)";
    throw argumentError('type', CODE, `a boundary is 1 to 70 ${allowed}`);
  }
  if (occurs(boundary, sections)) throw argumentError('type', BODY, 'the boundary occurs in the data');
  return boundary;
}

/** Whether a parser could take something in a section for this boundary, wherever it lets a line begin. */
function occurs(boundary: string, sections: readonly Section[]): boolean {
  const delimiter = Buffer.from(`--${boundary}`);
  return sections.some(
    ({ head, data }) => head.includes(delimiter) || (!(data instanceof Blob) && viewOf(data).includes(delimiter)),
  );
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** RFC 2045 section 5.1: what is no token stands in quotes. No boundary has a character that would need an escape. */
function parameter(boundary: string): string {
  return /^[\w'+\-.]+$/.test(boundary) ? boundary : `"${boundary}"`;
}

const CODE = 'ERR_INVALID_OPTION';
const BODY = 'ERR_INVALID_BODY';
const CRLF: Uint8Array = Buffer.from('\r\n');
/** A second one is needed once in 2^128; more than that is a source of boundaries that is broken. */
const ATTEMPTS = 8;

/**
 * What a caller's own types become as options: interfaces as `fields` and `headers`, values that a query has no place for, and
 * functions that pass on options of a type parameter. What follows `@ts-expect-error --` is what the compiler says. Nothing here runs.
 */
import type { ServerResponse } from 'node:http';
import {
  HTTPConnection,
  type HTTPConnectionPool,
  HTTPHeaderDict,
  type HTTPResponse,
  type ManagerRequestOptions,
  type PoolManager,
  request,
  RequestField,
  type RequestOptions,
  type FieldsFor,
  type FieldSource,
  type Fits,
  type FormFields,
  type HeadersFor,
  type IsFlat,
  type Looked,
  type NoSuchField,
} from '../index.ts';

interface Query {
  q: string;
  readonly page?: number;
  all?: boolean | undefined;
}

interface Upload {
  title: string;
  file: readonly [string, Buffer];
  blob?: Blob;
}

interface Trace {
  'x-trace': string;
  accept?: string[];
}

interface Wrong {
  q: string;
  made: Date;
}

interface Retried extends RequestOptions {
  fields: FieldSource;
}

/** An interface has no index signature; its values are looked at one by one. */
export async function interfaces(pool: HTTPConnectionPool, manager: PoolManager, method: string): Promise<void> {
  const [query, upload, trace] = [{ q: 'x' } as Query, { title: 'x' } as Upload, { 'x-trace': '1' } as Trace];
  const wrong = { q: 'x' } as Wrong;
  await pool.request('GET', '/', { fields: query });
  await pool.request('GET', '/', {
    fields: query,
    headers: trace,
    timeout: 5,
    onProgress: ({ bytes }) => void bytes.toFixed(),
  });
  await pool.request('POST', '/', { fields: query, encodeMultipart: false });
  await pool.request('POST', '/', { fields: upload, headers: trace });
  await pool.request(method, '/', { fields: query, json: query });
  await pool.request('POST', '/', { json: query, headers: trace });
  await pool.requestEncodeUrl('POST', '/', { fields: query, body: 'x' });
  await pool.requestEncodeBody('GET', '/', { fields: upload });
  await pool.urlopen('GET', '/', { headers: trace });
  await manager.request('GET', 'http://h', { fields: query, headers: trace, proxy: false });
  await request('PUT', 'http://h', { fields: upload, headers: trace });
  await new HTTPConnection('h').request('PUT', '/', { headers: trace });
  const options = { fields: query, headers: trace };
  await pool.request('GET', '/', options);
  const headers = new HTTPHeaderDict(trace).union(trace);
  headers.extend(trace).update(trace);
  // @ts-expect-error -- Type 'Wrong' is not assignable to type
  await pool.request('GET', '/', { fields: wrong });
  // @ts-expect-error -- Type 'Wrong' is not assignable to type
  await pool.request('POST', '/', { fields: wrong });
  // @ts-expect-error -- Type 'Wrong' is not assignable to type
  await pool.request('POST', '/', { headers: wrong });
  // @ts-expect-error -- Type 'Wrong' is not assignable to type
  await pool.urlopen('POST', '/', { headers: wrong });
  // @ts-expect-error -- Type 'Wrong' is not assignable to type
  await request('GET', 'http://h', { fields: query, headers: wrong });
  // @ts-expect-error -- is not assignable to parameter of type
  void new HTTPHeaderDict(wrong);
  // @ts-expect-error -- is not assignable to parameter of type
  void new HTTPHeaderDict(['accept', 'text/html']);
  // @ts-expect-error -- Type 'string[]' is not assignable to type
  await pool.request('GET', '/', { headers: ['accept', 'text/html'] });
  // @ts-expect-error -- is not assignable to type
  await pool.request('GET', '/', { headers: () => trace });
  new HTTPHeaderDict([['a', 'b']])
    .union(new Map([['a', ['b', 'c']]]))
    .extend(new Headers())
    .update(headers);
  headers.extend({ a: ['b', 'c'], d: undefined, e: null }).update({});
  // @ts-expect-error -- Type 'Wrong' is not assignable to type
  await pool.request('GET', '/', { fields: wrong, onProgress: ({ bytes }) => void bytes.toFixed() });
  // @ts-expect-error -- 'fields' and 'body' exclude one another: give one of them
  await pool.request('POST', '/', { fields: query, body: 'x', accept: (head) => head.status === 200 });
  // @ts-expect-error -- 'fields' and 'body' exclude one another: give one of them
  await pool.request('POST', '/', { fields: query, body: 'x' });
  // @ts-expect-error -- 'timeot' does not exist in type 'Looked<
  await pool.request('GET', '/', { fields: query, timeot: 5 });
  // @ts-expect-error -- 'proxy' does not exist in type
  await pool.request('GET', '/', { fields: query, proxy: 'http://p' });
  // @ts-expect-error -- 'fields' does not exist in type
  await pool.urlopen('GET', '/', { headers: trace, fields: query });
  // @ts-expect-error -- Type 'string' is not assignable to type
  await pool.request('GET', '/', { fields: query, timeout: '5' });
}

/** Headers that came are handed on line by line. */
export function handedOn({ headers, status }: HTTPResponse, to: ServerResponse): Headers {
  to.writeHead(status, [...headers].flat());
  headers.add('a', 'b', { combine: undefined });
  return new Headers([...headers]);
}

/** A query has neither files nor lists, nor has a urlencoded body. */
export async function flat(
  pool: HTTPConnectionPool,
  manager: PoolManager,
  options: RequestOptions,
  forms: FormFields,
  maybe: string | string[] | undefined,
  method: string,
): Promise<void> {
  // @ts-expect-error -- a list or a file is no field here: for several values of one name give pairs
  await pool.request('GET', '/', { fields: { tags: ['red', 'green'] } });
  // @ts-expect-error -- a list or a file is no field here: for several values of one name give pairs
  await pool.request('delete', '/', { fields: { a: 'b', file: new Blob(['x']) } });
  // @ts-expect-error -- a list or a file is no field here: for several values of one name give pairs
  await pool.request('HEAD', '/', { fields: { tags: maybe } });
  // @ts-expect-error -- a list or a file is no field here: for several values of one name give pairs
  await pool.requestEncodeUrl('POST', '/', { fields: { tags: ['red', 'green', 'blue'] } });
  // @ts-expect-error -- a list or a file is no field here: for several values of one name give pairs
  await manager.request('OPTIONS', 'http://h', { fields: { tags: ['red'] }, timeout: 5 });
  // @ts-expect-error -- a list or a file is no field here: for several values of one name give pairs
  await request('GET', 'http://h', { fields: { tags: ['red', 'green'] } });
  // @ts-expect-error -- a list or a file is no field here: for several values of one name give pairs
  await pool.request('POST', '/', { fields: { tags: ['red', 'green'] }, encodeMultipart: false });
  // @ts-expect-error -- a list or a file is no field here: for several values of one name give pairs
  await pool.request('GET', '/', { fields: { tags: ['red'] }, onProgress: ({ bytes }) => void bytes.toFixed() });
  // @ts-expect-error -- is not assignable to type 'FieldValue | undefined'
  await pool.request('GET', '/', { fields: [['tags', ['red', 'green']]] });
  // @ts-expect-error -- is not assignable to type
  await pool.request('GET', '/', { fields: new Map([['tags', ['red', 'green']]]) });
  // @ts-expect-error -- is not assignable to type
  await pool.request('GET', '/', { fields: ['red', 'green'] });
  // @ts-expect-error -- is not assignable to type
  await pool.request('GET', '/', { fields: new FormData() });
  // @ts-expect-error -- is not assignable to type
  await pool.request('GET', '/', { fields: [new RequestField('a', 'b')] });
  // @ts-expect-error -- is not assignable to type
  await pool.request('GET', '/', { fields: forms });
  // @ts-expect-error -- is not assignable to type
  await pool.request('GET', '/', { fields: 'a=b' });
  // @ts-expect-error -- is not assignable to type
  await pool.request('POST', '/', { fields: () => 'a' });
  // @ts-expect-error -- is not assignable to type
  await pool.request('POST', '/', { fields: ['red', 'green'] });
  const pairs: [string, string][] = ['red', 'green'].map((tag) => ['tags', tag]);
  await pool.request('GET', '/', { fields: pairs });
  await pool.request('GET', '/', {
    fields: [
      ['tags', 'red'],
      ['tags', 5],
    ],
  });
  await pool.request('GET', '/', { fields: new Map([['a', 1]]) });
  await pool.request('GET', '/', { fields: new URLSearchParams('a=b') });
  await pool.request('GET', '/', { fields: { a: Buffer.from('x'), b: 1n, c: null, d: undefined, e: true } });
  await pool.request('GET', '/', { fields: null });
  await pool.request('GET', '/', { fields: undefined });
  await pool.request('GET', '/', { fields: {} });
  await pool.request('GET', '/', options);
  await pool.request('GET', '/', { ...options, fields: options.fields });
  await pool.request(method, '/', { fields: forms });
  await pool.request(method, '/', { fields: { tags: ['red', 'green'] } });
  // In a form it is a file by urllib3's rule: its name, and what is in it.
  await pool.request('POST', '/', { fields: { tags: ['red', 'green'] } });
  await pool.request('POST', '/', { fields: new FormData() });
  await pool.request('POST', '/', { fields: [new RequestField('a', 'b')] });
}

/** Whoever wraps requests need not know what is in the options. */
export async function generic(pool: HTTPConnectionPool, manager: PoolManager): Promise<void> {
  const get = <O extends ManagerRequestOptions>(options: O): Promise<HTTPResponse> =>
    manager.request('GET', 'http://h', options);
  const post = <O extends RequestOptions>(options: O): Promise<HTTPResponse> => pool.request('POST', '/', options);
  const perhaps = <O extends RequestOptions>(options?: O): Promise<HTTPResponse> => pool.urlopen('POST', '/', options);
  const spread = <O extends RequestOptions>(options: O): Promise<HTTPResponse> =>
    pool.request('POST', '/', { ...options, timeout: 5 });
  const named = <O extends Retried>(options: O): Promise<HTTPResponse> => pool.request('GET', '/', options);
  const json = <T>(value: T, trace: Trace): Promise<HTTPResponse> =>
    pool.request('POST', '/', { json: value, headers: trace });
  const query = <F extends FieldSource>(fields: F): Promise<HTTPResponse> => pool.request('GET', '/', { fields });
  const form = <F extends FormFields>(fields: F): Promise<HTTPResponse> => pool.request('POST', '/', { fields });
  const simple = <O extends { timeout?: number }>(options: O): Promise<HTTPResponse> =>
    request('GET', 'http://h', options);
  await pool.request('POST', '/', JSON.parse('{}'));
  const method = <M extends string>(name: M, options: RequestOptions): Promise<HTTPResponse> =>
    pool.request(name, '/', options);
  await Promise.all([get({ proxy: false }), post({}), perhaps(), spread({}), named({ fields: {} }), simple({})]);
  await Promise.all([json({}, { 'x-trace': '1' }), query({ a: 'b' }), form({ a: 'b' }), method('GET', {})]);
  // @ts-expect-error -- Argument of type 'O' is not assignable to parameter of type 'RequestOptions | undefined'
  const wrong = <O extends { timeout: string }>(options: O): Promise<HTTPResponse> => pool.request('GET', '/', options);
  void wrong;
}

/** The parts of the rule, as other libraries may want them. */
export function parts(): void {
  const misfit: Fits<{ fields: Query }, 'fields', true> extends { fields: never } ? true : false = true;
  const fit: Fits<{ fields: FormFields }, 'fields', false> extends { fields: true } ? true : false = true;
  const flatly: [IsFlat<{ encodeMultipart: false }, 'body'>, IsFlat<object, 'query' | 'body'>] = [true, false];
  const looked: Looked<{ fields: Query }, RequestOptions, true> = { fields: { q: 'x', page: 5 }, timeout: 5 };
  const fields: FieldsFor<Upload, false> = { title: 'x', file: ['a', 'b'] };
  const headers: HeadersFor<Trace> = { 'x-trace': '1' };
  const said: NoSuchField =
    "a list or a file is no field here: for several values of one name give pairs, [['a', 1], ['a', 2]]";
  void [misfit, fit, flatly, looked, fields, headers, said];
}

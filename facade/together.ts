/**
 * Which options of a request stand together, for the compiler. A program fails to compile only where a wrong combination is
 * certain: both options are there, and neither can be `null` or `undefined`. Everything else compiles (a variable typed
 * {@link RequestOptions} or by a type parameter, a value that may be absent, a spread), and what comes of it is checked when the
 * call is made.
 * Types alone: nothing of this is there at run time.
 *
 * Options of pools that exclude one another (`cert` and `certFile`, `unixSocket` and `localAddress`) are refused when the pool is made:
 * a constructor has no type parameters, and a union in place of an interface could not be extended.
 */

import type { FormFields, FormFieldValue, RequestField } from './fields.ts';
import type { HeadersFor, HeaderSource } from './headers.ts';
import type { FieldSource, FieldValue } from './options.ts';

/** The methods that most requests have, for editors to offer; any other will do. */
export type Method =
  | 'GET'
  | 'HEAD'
  | 'POST'
  | 'PUT'
  | 'PATCH'
  | 'DELETE'
  | 'OPTIONS'
  | 'TRACE'
  | (string & Record<never, never>);

/** The type of an option that excludes another one which is there too: a sentence, for the compiler to say what is wrong. */
export type NotTogether<
  Option extends string,
  Other extends string,
> = `'${Option}' and '${Other}' exclude one another: give one of them`;

/**
 * Where the `fields` of a request go: into the query for GET, HEAD, DELETE and OPTIONS, into the body for every other method.
 * Both, where the method is not known to the compiler.
 */
export type FieldsGo<M extends string> = string extends M
  ? 'query' | 'body'
  : M extends unknown
    ? Uppercase<M> extends 'GET' | 'HEAD' | 'DELETE' | 'OPTIONS'
      ? 'query'
      : 'body'
    : never;

/**
 * What a request takes: `Options`, for what the caller wrote (`Given`). Given a combination that is refused at run time, the option
 * that is one too many has the type {@link NotTogether} in place of its own. Given `fields` or `headers` that do not fit as they
 * are, each of their values is {@link Looked} at. Of a type parameter, what its constraint has is known.
 * `Given` may be any object: were it only `Options`, the compiler would make these of whatever is none, and look no further.
 */
// The last outcome never comes: `Given` is inferred by it, a property each, so that a type parameter gives what its constraint has.
export type Together<Given, Options, Go extends 'query' | 'body'> = [Given] extends [object]
  ? Excluded<Given, Go> extends [infer Option extends string, infer Other extends string]
    ? Omit<Options, Option> & Record<Option, NotTogether<Option, Other>>
    : Fits<Given, 'fields', IsFlat<Given, Go>> extends Record<'fields', never>
      ? Looked<Given, Options, IsFlat<Given, Go>>
      : Fits<Given, 'headers', IsFlat<Given, Go>> extends Record<'headers', never>
        ? Looked<Given, Options, IsFlat<Given, Go>>
        : Options
  : Options & Pick<Given, keyof Given>;

/** Whether fields are certain to become a query, or a urlencoded body, which have neither lists nor files. */
export type IsFlat<Given, Go extends 'query' | 'body'> = [Go] extends ['query']
  ? true
  : [Given] extends [Record<'encodeMultipart', false>]
    ? true
    : false;

/**
 * The option of this name by itself, with `true` for its type, or `never` if that does not fit as it is: because it is an interface,
 * which has no index signature, or has what a flat form has no place for.
 */
// Mapped: of a value whose type is a parameter the compiler then knows that it is not `never`, and leaves it to its constraint.
export type Fits<Given, Option extends 'fields' | 'headers', Flat extends boolean> = {
  [Name in keyof Given & Option]: Name extends 'headers'
    ? [NonNullable<Given[Name]>] extends [HeaderSource]
      ? true
      : never
    : [NonNullable<Given[Name]>] extends [FieldSource | FormFields | FormData]
      ? Flat extends true
        ? [Extract<Given[Name], FieldSource>] extends [never]
          ? never
          : true
        : true
      : never;
};

/** `Options` with the types that are wanted for the single values of `fields` and `headers`. */
export type Looked<Given, Options, Flat extends boolean> = {
  [Name in keyof Options]: Name extends 'fields'
    ? FieldsFor<Name extends keyof Given ? NonNullable<Given[Name]> : never, Flat> | null | undefined
    : Name extends 'headers'
      ? HeadersFor<Name extends keyof Given ? NonNullable<Given[Name]> : never> | null | undefined
      : Options[Name];
};

/** What `fields` of the type `Source` have to be: lists and files only where there are parts for them. */
export type FieldsFor<Source, Flat extends boolean> = Source extends FieldSource
  ? FieldSource
  : Source extends Iterable<unknown> | ((...args: never) => unknown)
    ? Flat extends true
      ? FieldSource
      : FieldSource | FormFields | FormData
    : {
        readonly [Name in keyof Source]: Flat extends true
          ? [Extract<Source[Name], readonly unknown[] | Blob | RequestField>] extends [never]
            ? FieldValue | undefined
            : NoSuchField
          : FormFieldValue | undefined;
      };

/** The type of a list or a file that is a field of a query or a urlencoded body: a sentence, for the compiler to say what is wrong. */
export type NoSuchField =
  "a list or a file is no field here: for several values of one name give pairs, [['a', 1], ['a', 2]]";

/** The two options that exclude one another in what was `Given`, the one that is to blame first; `null` for none. */
export type Excluded<Given, Go extends 'query' | 'body'> =
  Has<Given, 'body' | 'json'> extends true
    ? ['json', 'body']
    : Has<Given, 'fields' | 'body'> extends true
      ? [Go] extends ['body']
        ? ['fields', 'body']
        : null
      : Has<Given, 'fields' | 'json'> extends true
        ? [Go] extends ['body']
          ? ['fields', 'json']
          : null
        : [Given] extends [Record<'releaseConn', true> & Record<'preloadContent', false>]
          ? ['releaseConn', 'preloadContent']
          : null;

/** Whether these are there for certain, and neither `null` nor `undefined`. (In tuples: of a union, in every member.) */
export type Has<Given, Names extends string> = [Given] extends [Record<Names, Present>] ? true : false;

/** Every value but `null` and `undefined`. */
export type Present = object | string | number | boolean | bigint | symbol;

/**
 * Headers for everyday wishes: compression, a browser's name, credentials. Plain text in, plain object out; what a
 * server makes of it is not our concern, and nothing is added that was not asked for.
 */
import { argumentError, checkNames, describe, own } from './arguments.ts';

/** What `acceptEncoding: true` sends: every coding that a response is decoded from. */
export const ACCEPT_ENCODING = 'gzip,deflate,br,zstd';

/** How credentials become bytes. `latin1` is HTTP's tradition; `utf-8` is what RFC 7617, section 2.1, lets a server ask for. */
export type CredentialsEncoding = 'latin1' | 'utf-8';

/** What {@link makeHeaders} can make. Whatever is absent, `null`, `false` or empty adds no header. */
export interface MakeHeadersOptions {
  /** `true` adds `connection: keep-alive`. Default false. */
  keepAlive?: boolean | null | undefined;
  /** `true` adds `accept-encoding` with {@link ACCEPT_ENCODING}; a list is joined by `,`; a string goes as it is. Default false. */
  acceptEncoding?: boolean | string | readonly string[] | null | undefined;
  /** Adds `user-agent`. */
  userAgent?: string | null | undefined;
  /** `user:password`: adds `authorization: Basic …`. */
  basicAuth?: string | null | undefined;
  /** `user:password`: adds `proxy-authorization: Basic …`. */
  proxyBasicAuth?: string | null | undefined;
  /** `true` adds `cache-control: no-cache`. Default false. */
  disableCache?: boolean | null | undefined;
  /** For `basicAuth`. Default `latin1`, which refuses characters that it does not have. */
  basicAuthEncoding?: CredentialsEncoding | undefined;
  /** For `proxyBasicAuth`. Default `latin1`, which refuses characters that it does not have. */
  proxyBasicAuthEncoding?: CredentialsEncoding | undefined;
}

/**
 * Makes a plain object of headers, lower-case names in a fixed order. urllib3's `make_headers`.
 *
 * @throws TypeError ERR_INVALID_OPTION for a wrong type, an unknown option, or credentials that their encoding has not.
 * The message never repeats credentials.
 * @example
 * console.log(makeHeaders({ acceptEncoding: true, basicAuth: 'user:secret' }));
 * // { 'accept-encoding': 'gzip,deflate,br,zstd', authorization: 'Basic dXNlcjpzZWNyZXQ=' }
 */
export function makeHeaders(options: MakeHeadersOptions = {}): Record<string, string> {
  checkNames(options, NAMES, 'makeHeaders', CODE);
  const headers: Record<string, string> = {};
  const coding = accepted(own(options, 'acceptEncoding'));
  if (coding !== '') headers['accept-encoding'] = coding;
  const agent = text(options, 'userAgent');
  if (agent !== '') headers['user-agent'] = agent;
  if (flag(options, 'keepAlive')) headers['connection'] = 'keep-alive';
  const basic = credentials(options, 'basicAuth', 'basicAuthEncoding');
  if (basic !== '') headers['authorization'] = basic;
  const proxy = credentials(options, 'proxyBasicAuth', 'proxyBasicAuthEncoding');
  if (proxy !== '') headers['proxy-authorization'] = proxy;
  if (flag(options, 'disableCache')) headers['cache-control'] = 'no-cache';
  return headers;
}

function accepted(given: MakeHeadersOptions['acceptEncoding']): string {
  if (given == null || given === false) return '';
  if (given === true) return ACCEPT_ENCODING;
  if (typeof given === 'string') return given;
  if (Array.isArray(given) && given.every((coding) => typeof coding === 'string')) return given.join(',');
  throw argumentError(
    'type',
    CODE,
    `acceptEncoding is a boolean, a string or a list of strings, not ${describe(given)}`,
  );
}

function credentials(
  options: MakeHeadersOptions,
  name: 'basicAuth' | 'proxyBasicAuth',
  encodingName: 'basicAuthEncoding' | 'proxyBasicAuthEncoding',
): string {
  const given = text(options, name);
  const encoding = own(options, encodingName) ?? 'latin1';
  if (encoding !== 'latin1' && encoding !== 'utf-8') {
    throw argumentError('type', CODE, `${encodingName} is 'latin1' or 'utf-8'`);
  }
  if (given === '') return '';
  const bytes = Buffer.from(given, encoding);
  // Buffer cuts a character down to its low byte, and puts U+FFFD for half of one: another password, without a word.
  if (bytes.toString(encoding) !== given) {
    const hint = encoding === 'latin1' ? `; ${encodingName}: 'utf-8' has all` : '';
    throw argumentError('type', CODE, `${name} has characters that ${encoding} has not${hint}`);
  }
  return `Basic ${bytes.toString('base64')}`;
}

function text(options: MakeHeadersOptions, name: 'userAgent' | 'basicAuth' | 'proxyBasicAuth'): string {
  const given = own(options, name) ?? '';
  if (typeof given === 'string') return given;
  throw argumentError('type', CODE, `${name} is a string, not ${describe(given)}`);
}

function flag(options: MakeHeadersOptions, name: 'keepAlive' | 'disableCache'): boolean {
  const given = own(options, name) ?? false;
  if (typeof given === 'boolean') return given;
  throw argumentError('type', CODE, `${name} is a boolean, not ${describe(given)}`);
}

const CODE = 'ERR_INVALID_OPTION';
const NAMES: readonly (keyof MakeHeadersOptions)[] = [
  'keepAlive',
  'acceptEncoding',
  'userAgent',
  'basicAuth',
  'proxyBasicAuth',
  'disableCache',
  'basicAuthEncoding',
  'proxyBasicAuthEncoding',
];

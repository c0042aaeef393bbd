/** From settings to what the library takes. */
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type {
  HTTPHeaderDict,
  HeaderValue,
  ManagerRequestOptions,
  PoolManagerOptions,
  RequestBody,
  Retry,
} from 'ferropool';
import type { Library } from './exchange.ts';
import { UsageError, type Settings } from './settings.ts';

/** Nobody waits longer for an address, a connection, a head, the next piece or the next attempt. */
export const PATIENCE = 30_000;

/** What is tried again beside errors: statuses that say of themselves that they pass. */
const PASSING = [408, 429, 500, 502, 503, 504, 522, 524];

/** Of the manager that makes all requests of a run. */
export function managerOptions(settings: Settings, { Retry: Policy }: Library): PoolManagerOptions {
  const { http, proxy, resolve, insecure, cacert, cert, key, pass, unixSocket } = settings;
  return {
    maxsize: settings.concurrency,
    maxTotalConnections: null,
    acceptEncoding: settings.compressed,
    http2: http === 'h1' ? false : http === 'h2-prior-knowledge' ? 'prior-knowledge' : true,
    timeout: timeouts(settings),
    retries: retries(settings, Policy),
    proxy: proxy === '' ? null : proxy,
    resolve:
      resolve.size === 0 ? null : (host, port) => resolve.get(`${host}:${port}`) ?? resolve.get(`*:${port}`) ?? null,
    certReqs: insecure ? 'none' : 'required',
    caCerts: cacert,
    certFile: cert,
    keyFile: key,
    keyPassword: pass,
    unixSocket,
  };
}

function timeouts({ timeout, connectTimeout }: Settings): {
  total: number | null;
  connect: number | null;
  read: number | null;
} {
  const usual = timeout === null ? PATIENCE : null;
  return { total: timeout || null, connect: (connectTimeout ?? usual) || null, read: usual };
}

function retries({ retries: most, location, maxRedirects }: Settings, Policy: typeof Retry): Retry | false {
  if (most === 0 && !location) return false;
  return new Policy({
    total: most + (location ? maxRedirects : 0),
    connect: most,
    read: most,
    status: most,
    other: most,
    redirect: location ? maxRedirects : 0,
    statusForcelist: most === 0 ? [] : PASSING,
    respectRetryAfterHeader: most > 0,
    backoffFactor: 250,
    backoffMin: 250,
    backoffJitter: 100,
    backoffMax: PATIENCE,
    retryAfterMax: PATIENCE,
    // The last answer says more than that there were too many.
    raiseOnStatus: false,
  });
}

/** What is sent: a body, its type, and its length where it is known and the library cannot know it. */
interface Sent {
  readonly body: RequestBody | null;
  readonly type: string | null;
  readonly length: number | null;
}

/** Reads or opens what is to be sent. @throws UsageError for a file that cannot be read */
export async function sent(settings: Settings, stdin: NodeJS.ReadableStream): Promise<Sent> {
  const { data, jsonData, repeat, urls } = settings;
  const many = repeat !== null || urls.length > 1;
  if (jsonData !== null) return source(jsonData, 'application/json', many, stdin);
  if (data.length === 0) return { body: null, type: null, length: null };
  const type = 'application/x-www-form-urlencoded';
  const [only] = data;
  if (data.length === 1 && only !== undefined) return source(only, type, many, stdin);
  const parts = await Promise.all(data.map((word) => bytesOf(word, stdin)));
  const joined = parts.flatMap((part, at) => (at === 0 ? [part] : [Buffer.from('&'), part]));
  return { body: Buffer.concat(joined), type, length: null };
}

/** A file is read while it is sent, unless it is sent often. */
async function source(word: string, type: string, many: boolean, stdin: NodeJS.ReadableStream): Promise<Sent> {
  if (!word.startsWith('@')) return { body: word, type, length: null };
  if (word === '@-' && !many) return { body: stdin, type, length: null };
  const file = word.slice(1);
  const facts = word === '@-' ? null : await stat(file).catch((error: unknown) => unreadable(error));
  // Small ones are not worth it, and some that the system makes up say a size that is not theirs.
  if (!many && facts?.isFile() && facts.size > SMALL)
    return { body: () => createReadStream(file), type, length: facts.size };
  return { body: await bytesOf(word, stdin), type, length: null };
}

const SMALL = 65_536;

async function bytesOf(word: string, stdin: NodeJS.ReadableStream): Promise<Buffer> {
  if (!word.startsWith('@')) return Buffer.from(word);
  if (word !== '@-') return readFile(word.slice(1)).catch((error: unknown) => unreadable(error));
  const pieces: Buffer[] = [];
  for await (const piece of stdin) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

function unreadable(error: unknown): never {
  throw new UsageError(
    `what is to be sent cannot be read: ${error instanceof Error ? error.message : 'no reason is known'}`,
  );
}

/** GET, or what the rest implies. */
export function methodOf({ method, head, data, jsonData }: Settings): string {
  return method ?? (head ? 'HEAD' : data.length > 0 || jsonData !== null ? 'POST' : 'GET');
}

/** Of a request for this URL. */
export function requestOptions(
  settings: Settings,
  url: string,
  { body, type, length }: Sent,
  library: Library,
): ManagerRequestOptions {
  const headers = new library.HTTPHeaderDict({ accept: '*/*' });
  if (type !== null) headers.set('content-type', type);
  if (length !== null) headers.set('content-length', length);
  const user = settings.user ?? library.parseUrl(url).authDecodedJoined;
  if (user !== null && user !== '') {
    headers.extend(library.makeHeaders({ basicAuth: user, basicAuthEncoding: 'utf-8' }));
  }
  const named = new Set<string>();
  for (const { name, value } of settings.headers) {
    const lower = name.toLowerCase();
    if (value === null) leaveOut(headers, lower, library);
    else if (named.has(lower)) headers.add(name, value);
    else headers.set(name, value);
    named.add(lower);
  }
  return { headers, body, decodeContent: !settings.raw, redirect: settings.location };
}

function leaveOut(headers: HTTPHeaderDict, name: string, { SKIP_HEADER }: Library): void {
  if (['accept-encoding', 'host', 'user-agent'].includes(name)) headers.set(name, SKIP_HEADER as HeaderValue);
  else headers.discard(name);
}

/** What `--remote-name` calls the body of a URL: the last part of its path. @throws UsageError where it has none */
export function remoteName(url: string): string {
  const name = path.posix.basename(url.replace(/[?#].*$/s, '').replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, ''));
  if (name === '' || name === '.' || name === '..' || /[\\:\p{Cc}]/u.test(name)) {
    throw new UsageError('--remote-name needs a URL whose path ends in a name');
  }
  return name;
}

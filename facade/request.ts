/** Requests without a manager of one's own: urllib3's module-level `request`. */
import { argumentError, checkNames, describe } from './arguments.ts';
import { CODE } from './checks.ts';
import { PoolManager } from './manager.ts';
import type { RequestOptions } from './options.ts';
import type { HTTPResponse } from './response.ts';

/** Options of {@link request}: those of urllib3's, and a signal. */
export type SimpleOptions = Pick<
  RequestOptions,
  | 'body'
  | 'decodeContent'
  | 'fields'
  | 'headers'
  | 'json'
  | 'preloadContent'
  | 'redirect'
  | 'retries'
  | 'signal'
  | 'timeout'
>;

/**
 * Makes one request on a manager that all callers of this thread share. Its `timeout` is 3 s where none is given (`null` for
 * none); everything else is a request's default. For more than a script make a {@link PoolManager}.
 *
 * @throws (rejects with) what {@link PoolManager.request} does; TypeError ERR_INVALID_OPTION for other options.
 * @example
 * const response = await request('GET', 'http://localhost:8080/');
 */
export function request(method: string, url: string, options: SimpleOptions = {}): Promise<HTTPResponse> {
  try {
    if (typeof options !== 'object' || options === null) {
      throw argumentError('type', CODE, `a request takes an object of options, not ${describe(options)}`);
    }
    checkNames(options, NAMES, 'request', CODE);
    manager ??= new PoolManager();
    return manager.request(method, url, options.timeout === undefined ? { ...options, timeout: USUAL } : options);
  } catch (error) {
    return Promise.reject(error);
  }
}

let manager: PoolManager | null = null;
/** Milliseconds. */
const USUAL = 3_000;
const NAMES: readonly string[] = [
  'body',
  'decodeContent',
  'fields',
  'headers',
  'json',
  'preloadContent',
  'redirect',
  'retries',
  'signal',
  'timeout',
];

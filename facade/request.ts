/** Requests without a manager of one's own: urllib3's module-level `request`. */
import { argumentError, checkNames, describe } from './arguments.ts';
import { discardBody } from './body.ts';
import { CODE } from './checks.ts';
import { PoolManager } from './manager.ts';
import type { ManagerRequestOptions } from './options.ts';
import type { HTTPResponse } from './response.ts';
import type { FieldsGo, Method, Together } from './together.ts';

/** Options of {@link request}: those that urllib3's has, a `signal`, and a `proxy`. */
export interface SimpleOptions extends Pick<
  ManagerRequestOptions,
  | 'body'
  | 'decodeContent'
  | 'fields'
  | 'headers'
  | 'json'
  | 'preloadContent'
  | 'proxy'
  | 'redirect'
  | 'retries'
  | 'signal'
> {
  /** {@link RequestOptions.timeout}. Default 3,000 ms, to connect and between two pieces of an answer; `null` is none. */
  timeout?: ManagerRequestOptions['timeout'];
}

/**
 * Makes one request on a manager that all callers of this thread share. Its `timeout` is 3,000 ms where none is given (`null` is
 * none); everything else is as of {@link RequestMethods.request}. For more than a script make a {@link PoolManager}.
 *
 * @throws (rejects with) what {@link RequestMethods.request} does; TypeError ERR_INVALID_OPTION for other options.
 * @example
 * const response = await request('GET', 'http://localhost:8080/');
 * console.log(response.status); // 200
 */
export function request<M extends Method, Given extends SimpleOptions | object>(
  method: M,
  url: string,
  options?: Together<Given, SimpleOptions, FieldsGo<M>>,
): Promise<HTTPResponse> {
  try {
    const given: SimpleOptions = options === undefined ? {} : options;
    if (typeof given !== 'object' || given === null) {
      throw argumentError('type', CODE, `a request takes an object of options, not ${describe(given)}`);
    }
    checkNames(given, NAMES, 'request', CODE);
    manager ??= new PoolManager();
    const all: ManagerRequestOptions = given.timeout === undefined ? { ...given, timeout: USUAL } : given;
    const name: string = method;
    return manager.request(name, url, all);
  } catch (error) {
    discardBody(options);
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
  'proxy',
  'redirect',
  'retries',
  'signal',
  'timeout',
];

/**
 * What the environment says of proxies. It is read when somebody asks: `proxyFromEnv`, and managers under
 * `NODE_USE_ENV_PROXY=1`. What it means for a URL is the core's to say (`crate/policy/src/environment.rs`).
 */
import { argumentError, describe } from './arguments.ts';
import type { ErrorRecord } from './boundary/engine.ts';
import { addon, guarded } from './boundary/load.ts';
import { says } from './boundary/records.ts';
import { wellFormed } from './call.ts';
import { CODE } from './checks.ts';
import { errorFromRecord } from './error-record.ts';

/** The variables by what they are for, as the core takes them. @internal */
export interface ProxyEnvironment {
  readonly http?: string;
  readonly https?: string;
  readonly all?: string;
  readonly no?: string;
}

interface Environment {
  readonly [name: string]: string | undefined;
}

/**
 * Chosen between the spellings: lower case wins, as with curl, and what is empty is not there. A CGI process has every
 * header of its request as `HTTP_…`, so that `HTTP_PROXY` there is its client's word and not its user's (CVE-2016-5385).
 *
 * @internal
 */
export function environment(env: Environment): ProxyEnvironment {
  const http = variable(env, env['REQUEST_METHOD'] === undefined ? ['http_proxy', 'HTTP_PROXY'] : believable(env));
  const https = variable(env, ['https_proxy', 'HTTPS_PROXY']);
  const all = variable(env, ['all_proxy', 'ALL_PROXY']);
  const no = variable(env, ['no_proxy', 'NO_PROXY']);
  return {
    ...(http === null ? {} : { http }),
    ...(https === null ? {} : { https }),
    ...(all === null ? {} : { all }),
    ...(no === null ? {} : { no }),
  };
}

/** For a manager that is made now; `null` where the process has not asked for it. @internal */
export function environmentInUse(): ProxyEnvironment | null {
  return variable(process.env, ['NODE_USE_ENV_PROXY']) === '1' ? environment(process.env) : null;
}

/**
 * The proxy that the environment names for a URL, to be given as `proxy`; `null` for none. It is what `HTTP_PROXY` or
 * `HTTPS_PROXY` says, by the URL's scheme, or else `ALL_PROXY`, unless `NO_PROXY` names the host. The same in lower case comes
 * first; `HTTP_PROXY` is not believed where `REQUEST_METHOD` is set. A value without a scheme is an http proxy. The result
 * may hold a password.
 *
 * `NO_PROXY` has entries between commas or blanks: `*`; `example.com` for a host and what is below it, `.example.com` or
 * `*.example.com` for what is below it only; addresses in any spelling, networks (`10.0.0.0/8`, `fd00::/8`) and ranges
 * (`192.0.2.1-192.0.2.9`); each host with a port (`example.com:8080`) or for all. `localhost` and the addresses of this machine
 * stand for each other; without an entry they are reached through the proxy. No name is looked up.
 *
 * @param env where the variables are. Default `process.env`, as it is now.
 * @throws LocationParseError, LocationValueError without scheme or host, URLSchemeUnknown for anything but http and https;
 * TypeError for arguments of another type.
 * @example
 * const env = { HTTPS_PROXY: 'proxy.example:3128', NO_PROXY: '.b.example' };
 * console.log(proxyFromEnv('https://a.example/', env)); // http://proxy.example:3128
 * console.log(proxyFromEnv('https://a.b.example/', env)); // null
 */
export function proxyFromEnv(
  url: string | URL,
  env: { readonly [name: string]: string | undefined } = process.env,
): string | null {
  const text = url instanceof URL ? url.href : url;
  if (typeof text !== 'string') {
    throw argumentError('type', 'ERR_INVALID_URL', `a URL is a string or a URL, not ${describe(url)}`);
  }
  if (typeof env !== 'object' || env === null) {
    throw argumentError('type', CODE, `an environment is an object, not ${describe(env)}`);
  }
  const variables = JSON.stringify(environment(env));
  // By code units, as `parseUrl` has it.
  const units = Uint16Array.from({ length: text.length }, (_, at) => text.charCodeAt(at));
  const answer = JSON.parse(guarded(() => addon.proxyFor(units, variables))) as
    | { value: string | null }
    | { error: ErrorRecord };
  if (says(answer, 'error')) throw errorFromRecord(answer.error, { pool: null, url: text });
  return answer.value;
}

/** Windows does not tell `http_proxy` from `HTTP_PROXY`; only a list of the names does, which has them as they were set. */
function believable(env: Environment): readonly string[] {
  return Object.keys(env).filter((name) => name === 'http_proxy');
}

/** The first of these that says something. */
function variable(env: Environment, names: readonly string[]): string | null {
  for (const name of names) {
    const value: unknown = Object.hasOwn(env, name) ? env[name] : undefined;
    if (value === undefined || value === '') continue;
    // Half a surrogate pair would be no text to the core.
    if (typeof value === 'string') return wellFormed(value);
    throw argumentError('type', CODE, `${name} is a string, not ${describe(value)}`);
  }
  return null;
}

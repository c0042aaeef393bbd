/**
 * What a pool or a manager may be told of proxies, and the records that the core takes. Which proxies there are, and which
 * way a request takes through one, is the core's to judge.
 */
import { argumentError, checkNames, describe, own } from './arguments.ts';
import { boolean, CODE, record, wrong } from './checks.ts';
import { LocationParseError } from './errors.ts';
import { HTTPHeaderDict, wireLines, type HeaderSource } from './headers.ts';
import { TLS_NAMES, tlsWire, type TLSOptions, type TLSWire } from './tls-options.ts';
import { parseUrl } from './url.ts';

/** How an https proxy is spoken to. Without effect for any other. */
export interface ProxyConfig {
  /**
   * TLS to the proxy, whole: given, nothing of the pool's own options of TLS reaches it. Default: the pool's authorities
   * (`caCerts`, `caCertDir`, `caCertData`), `certReqs` and bounds on versions hold for the proxy too, and nothing else of them
   * does. urllib3's `proxy_ssl_context`.
   */
  tls?: TLSOptions | null | undefined;
  /**
   * Hand https requests to the proxy as they are, in place of a tunnel: the proxy reads them, and it is the proxy that
   * verifies the server. Default `false`. urllib3's `use_forwarding_for_https`.
   */
  useForwardingForHttps?: boolean | null | undefined;
  /** As {@link TLSOptions.assertHostname}, of the proxy. Default: its host. urllib3's `proxy_assert_hostname`. */
  assertHostname?: string | false | null | undefined;
  /** As {@link TLSOptions.assertFingerprint}, of the proxy. Default none. urllib3's `proxy_assert_fingerprint`. */
  assertFingerprint?: string | null | undefined;
}

/** The options of proxies among a pool's. */
export interface ProxyOptions {
  proxy?: string | URL | null | undefined;
  proxyHeaders?: HeaderSource | null | undefined;
  proxyConfig?: ProxyConfig | null | undefined;
}

/** The record that the core takes. @internal */
export interface ProxyWire {
  readonly url: string;
  readonly expects?: Expects;
  readonly headers?: readonly [string, string][];
  readonly username?: string;
  readonly password?: string;
  readonly useForwardingForHttps?: boolean;
  readonly alwaysTunnels?: boolean;
  readonly tls?: TLSWire;
}

/** Which proxies will do: of a ProxyManager http and https, of a SOCKSProxyManager SOCKS. @internal */
export type Expects = 'any' | 'http' | 'socks';

/**
 * A proxy as our own classes name it to a pool or a manager that they make: with what no option says.
 *
 * @internal
 */
export class NamedProxy {
  readonly url: string;
  readonly more: Omit<ProxyWire, 'url' | 'headers' | 'tls' | 'useForwardingForHttps'>;

  constructor(url: string, more: NamedProxy['more']) {
    this.url = url;
    this.more = more;
  }
}

/** What is called by other names in other places; each message has the caller's own. @internal */
export interface ConfigNames {
  readonly tls: string;
  readonly useForwardingForHttps: string;
  readonly assertHostname: string;
  readonly assertFingerprint: string;
}

/** @internal */
export const PROXY_NAMES = ['proxy', 'proxyHeaders', 'proxyConfig'] as const;

/** The proxy among a pool's options, checked; nulls where there is none. @internal */
export interface ProxySettings {
  readonly wire: ProxyWire | null;
  /** Without credentials. */
  readonly shown: string | null;
  /** Read once: the option may be an iterator. */
  readonly headers: HTTPHeaderDict | null;
}

/**
 * Checks the options of proxies among these. Without a `proxy` the others are checked alone: whether they are of any use
 * then is for the caller to say.
 *
 * @throws TypeError ERR_INVALID_OPTION, ERR_INVALID_HEADER. What the URL is worth is for the core to say.
 * @internal
 */
export function proxySettings(options: ProxyOptions & TLSOptions): ProxySettings {
  const given = ownOf(options, 'proxy');
  const headers = headersOf(options);
  const config = configOf(options);
  const named = given === null ? null : namedProxy(given, 'proxy');
  if (named === null) {
    checkConfig(config, options, OF_POOLS);
    return { wire: null, shown: null, headers };
  }
  const { url, more } = named;
  const shown = withoutCredentials(url);
  const tls = checkConfig(config, options, OF_POOLS);
  const forwards = ownOf(config, 'useForwardingForHttps') === true;
  const wire: ProxyWire = {
    url,
    ...more,
    ...headersWire(headers),
    ...(forwards ? { useForwardingForHttps: true } : {}),
    ...(PLAIN.test(url) ? {} : { tls }),
  };
  return { wire, shown, headers };
}

/**
 * What holds for the proxies that requests or the environment name. What was said of a manager's own proxy (fields, its
 * name, a client's certificate for it) is that one's alone: others get what the manager's options of TLS say.
 *
 * @internal
 */
export function othersWire(options: ProxyOptions & TLSOptions): ProxyWire {
  const hasOwn = ownOf(options, 'proxy') !== null;
  const config = hasOwn ? {} : configOf(options);
  return {
    url: '',
    ...(hasOwn ? {} : headersWire(headersOf(options))),
    ...(ownOf(config, 'useForwardingForHttps') === true ? { useForwardingForHttps: true } : {}),
    tls: checkConfig(config, options, OF_POOLS),
  };
}

/** How connections lead through a proxy. @internal */
export interface ProxyWay {
  /** Whether it is given requests to pass on. */
  readonly forwards: boolean;
  /** Whether nobody gets a connection whose proxy does not pass the checks; never where there are none. */
  readonly verifies: boolean;
}

/** What a connection can say of itself before it is there: what the core will do (`Proxy::way`), in small. @internal */
export function wayThrough({ wire, shown }: ProxySettings, target: 'http' | 'https'): ProxyWay | null {
  if (wire === null) return null;
  const scheme = /^\w+/.exec(shown ?? '')?.[0];
  const isSocks = scheme !== 'http' && scheme !== 'https';
  const passesOn = target === 'http' || (scheme === 'https' && ownOf(wire, 'useForwardingForHttps') === true);
  const tls = ownOf(wire, 'tls') ?? {};
  const isChecked = ownOf(tls, 'certReqs') !== 'none' || ownOf(tls, 'assertFingerprint') !== null;
  return {
    forwards: !isSocks && passesOn && ownOf(wire, 'alwaysTunnels') !== true,
    verifies: scheme === 'https' && isChecked,
  };
}

/**
 * What is said to nobody might be a credential that somebody believes to be sent, or a check that is believed to be made.
 *
 * @throws TypeError ERR_INVALID_OPTION.
 * @internal
 */
export function refuseWithoutProxy(options: ProxyOptions): void {
  for (const name of ['proxyHeaders', 'proxyConfig'] as const) {
    if (ownOf(options, name) === null) continue;
    throw argumentError('type', CODE, `${name} is of no use to a pool without a proxy`);
  }
}

/**
 * Checks what is said of TLS to a proxy, and gives what the core takes.
 *
 * @throws TypeError ERR_INVALID_OPTION.
 * @internal
 */
export function checkConfig(config: ProxyConfig, options: TLSOptions, names: ConfigNames): TLSWire {
  const forwards = ownOf(config, 'useForwardingForHttps');
  if (forwards !== null) boolean(forwards, names.useForwardingForHttps);
  const tls = ownOf(config, 'tls');
  if (tls !== null) {
    checkNames(tls, TLS_NAMES, names.tls, CODE);
    within(names.tls, () => tlsWire(tls));
  }
  const all: TLSOptions = { ...(tls ?? inherited(options)) };
  tlsWire(all);
  for (const name of ['assertHostname', 'assertFingerprint'] as const) {
    const value = ownOf(config, name);
    if (value === null) continue;
    if (ownOf(all, name) !== null) {
      throw argumentError('type', CODE, `${names[name]} and ${names.tls}.${name} say the same thing twice`);
    }
    Object.assign(all, { [name]: value });
    within(names[name], () => tlsWire(all));
  }
  return tlsWire(all);
}

/**
 * A proxy's URL, as text or as a `URL`.
 *
 * @throws TypeError ERR_INVALID_OPTION for anything else.
 * @internal
 */
export function urlOf(value: unknown, name: string): string {
  if (typeof value === 'string') return value;
  if (value instanceof URL) return value.href;
  throw wrong(name, "a proxy's URL", value);
}

/** `scheme://host:port`; of a URL that the core will refuse, what there is. @internal */
export function withoutCredentials(url: string): string {
  const scheme = /^([^:/?#]*):\/\//.exec(url)?.[1]?.toLowerCase() ?? '';
  // Hosts are normalised of http and https alone.
  const { host, port } = parsed(url.replace(/^[^:/?#]*:\/\//, 'http://'));
  return `${scheme}://${host ?? ''}:${port ?? DEFAULT_PORTS[scheme] ?? 1080}`;
}

/** The core is the one to say what is wrong with it: it says that it is the proxy's. */
function parsed(url: string): { host: string | null; port: number | null } {
  try {
    return parseUrl(url);
  } catch (error) {
    if (error instanceof LocationParseError) return { host: null, port: null };
    throw error;
  }
}

function namedProxy(value: unknown, name: string): NamedProxy {
  return value instanceof NamedProxy ? value : new NamedProxy(urlOf(value, name), {});
}

function headersOf(options: ProxyOptions): HTTPHeaderDict | null {
  const source = ownOf(options, 'proxyHeaders');
  if (source === null) return null;
  if (typeof source !== 'object') {
    const wanted = 'an object, pairs, an HTTPHeaderDict or null';
    throw argumentError('type', 'ERR_INVALID_HEADER', `proxyHeaders are headers, ${wanted}, not ${describe(source)}`);
  }
  const headers = new HTTPHeaderDict(source);
  for (const value of wireLines(headers)) {
    if (typeof value === 'string') continue;
    throw argumentError('type', 'ERR_INVALID_HEADER', 'proxyHeaders leave nothing out: they have no SKIP_HEADER');
  }
  return headers;
}

function headersWire(headers: HTTPHeaderDict | null): { headers?: [string, string][] } {
  const lines = headers === null ? [] : (wireLines(headers) as string[]);
  if (lines.length === 0) return {};
  return {
    headers: Array.from({ length: lines.length >> 1 }, (_, at) => lines.slice(2 * at, 2 * at + 2) as [string, string]),
  };
}

function configOf(options: ProxyOptions): ProxyConfig {
  const config = ownOf(options, 'proxyConfig');
  return config === null ? {} : record(config, 'proxyConfig', CONFIG_NAMES);
}

/** PROXY-14: whom to trust is a policy of the caller's; who the origin is, and who we are to it, is no proxy's business. */
function inherited(options: TLSOptions): TLSOptions {
  return Object.fromEntries(INHERITED.map((name) => [name, own(options, name)]));
}

/** Absent and `null` are the same. */
function ownOf<T extends object, K extends keyof T>(options: T, name: K): NonNullable<T[K]> | null {
  return own(options, name) ?? null;
}

/** A message of TLS's options names the option; this one says of which of them it is. */
function within(name: string, check: () => unknown): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw argumentError('type', CODE, `${name}: ${error.message}`);
  }
}

const OF_POOLS: ConfigNames = {
  tls: 'proxyConfig.tls',
  useForwardingForHttps: 'proxyConfig.useForwardingForHttps',
  assertHostname: 'proxyConfig.assertHostname',
  assertFingerprint: 'proxyConfig.assertFingerprint',
};
const CONFIG_NAMES: readonly string[] = Object.keys(OF_POOLS);
const INHERITED = [
  'certReqs',
  'caCerts',
  'caCertDir',
  'caCertData',
  'sslMinimumVersion',
  'sslMaximumVersion',
] as const satisfies readonly (keyof TLSOptions)[];
/** Proxies that are not spoken to over TLS. */
const PLAIN = /^(http|socks\w*):/i;
/** 1080 of the others. (RFC 1928, section 3) */
const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

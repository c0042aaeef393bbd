/**
 * Managers whose every connection leads through one proxy: urllib3's `ProxyManager` and `SOCKSProxyManager`, under its names.
 * Both are a {@link PoolManager} with its `proxy` set.
 */
import { checkNames, own } from './arguments.ts';
import { PROXY_URL } from './boundary/records.ts';
import { CODE, wrong } from './checks.ts';
import { ProxySchemeUnknown } from './errors.ts';
import { MANAGER_NAMES, PoolManager, type PoolManagerOptions } from './manager.ts';
import { checkConfig, NamedProxy, PROXY_NAMES, urlOf, type ConfigNames, type ProxyConfig } from './proxy-options.ts';
import type { TLSOptions } from './tls-options.ts';

/**
 * Options of a {@link ProxyManager}: a manager's, and what the proxy is to be told. `unixSocket` is not among them, since it is the
 * proxy that is connected to, and `denyAddresses` has to be empty: it is the proxy that looks names up.
 */
export interface ProxyManagerOptions extends Omit<PoolManagerOptions, 'proxy' | 'proxyConfig' | 'unixSocket'> {
  /**
   * TLS to an https proxy, whole: given, none of the manager's own options of TLS reaches it. Default: the manager's authorities
   * (`caCerts`, `caCertDir`, `caCertData`), `certReqs` and bounds on versions hold for the proxy too. urllib3's
   * `proxy_ssl_context`.
   */
  proxyTls?: TLSOptions | null | undefined;
  /** {@link ProxyConfig.useForwardingForHttps}. Default `false`; without effect on an http proxy. */
  useForwardingForHttps?: boolean | null | undefined;
  /** {@link ProxyConfig.assertHostname}. Default: the proxy's host. */
  proxyAssertHostname?: string | false | null | undefined;
  /** {@link ProxyConfig.assertFingerprint}. Default none. */
  proxyAssertFingerprint?: string | null | undefined;
}

/**
 * Options of a {@link SOCKSProxyManager}: a manager's, and who we are to the proxy. SOCKS has no fields and no TLS of its own.
 * `denyAddresses` is for `socks5` and `socks4` alone, which leave names to us.
 */
export interface SOCKSProxyManagerOptions extends Omit<
  PoolManagerOptions,
  'proxy' | 'proxyHeaders' | 'proxyConfig' | 'unixSocket'
> {
  /** In place of the URL's; SOCKS5 takes 1 to 255 bytes. SOCKS4 knows it as the user id. Default (`null`): the URL's. */
  username?: string | null | undefined;
  /** In place of the URL's; SOCKS5 takes 255 bytes at most; SOCKS4 has none (TypeError; one in the URL is not sent). Default (`null`): the URL's. */
  password?: string | null | undefined;
}

/**
 * A manager behind an http or https proxy. Requests for http hosts are handed to the proxy, over connections that all hosts
 * share; those for https hosts go through tunnels, which the proxy cannot look into.
 *
 * @example
 * const manager = new ProxyManager('http://user:password@localhost:3128');
 * const response = await manager.request('GET', 'http://localhost:8080/');
 * console.log(response.status, response.connection?.proxy); // 200 http://localhost:3128
 */
export class ProxyManager extends PoolManager {
  /**
   * Makes a manager; nothing is opened until the first request.
   *
   * @throws ProxySchemeUnknown for a URL without a scheme or with any but http and https; LocationParseError,
   * LocationValueError; TypeError or RangeError ERR_INVALID_OPTION; InvalidHeader; SSLError for files that options of TLS to
   * the proxy name.
   */
  constructor(proxyUrl: string | URL, options: ProxyManagerOptions = {}) {
    super(overHttp(proxyUrl, options));
  }

  /** `scheme://host:port` of the proxy, without credentials. */
  override get proxy(): string {
    return super.proxy ?? '';
  }
}

/**
 * A {@link ProxyManager}. urllib3's `proxy_from_url`.
 *
 * @throws as its constructor.
 * @example
 * const manager = proxyFromUrl('http://localhost:3128', { proxyHeaders: { 'X-Team': 'crawl' } });
 * console.log(manager.proxy); // http://localhost:3128
 */
export function proxyFromUrl(url: string | URL, options: ProxyManagerOptions = {}): ProxyManager {
  return new ProxyManager(url, options);
}

/**
 * A manager behind a SOCKS proxy. `socks5` and `socks4` look names up here and send addresses, `socks5h` and `socks4a` send the
 * names; `socks4` knows IPv4 only.
 *
 * @example
 * const manager = new SOCKSProxyManager('socks5h://localhost:1080', { username: 'user', password: 'secret' });
 * console.log(manager.proxy); // socks5h://localhost:1080
 */
export class SOCKSProxyManager extends PoolManager {
  /**
   * Makes a manager; nothing is opened until the first request.
   *
   * @throws ProxySchemeUnknown for any other scheme; otherwise as {@link ProxyManager}'s.
   */
  constructor(proxyUrl: string | URL, options: SOCKSProxyManagerOptions = {}) {
    super(overSocks(proxyUrl, options));
  }

  /** `scheme://host:port` of the proxy, without credentials. */
  override get proxy(): string {
    return super.proxy ?? '';
  }
}

function overHttp(url: unknown, options: ProxyManagerOptions): PoolManagerOptions {
  const text = urlOf(url, 'proxyUrl');
  checkNames(options, HTTP_NAMES, 'a proxy manager', CODE);
  const rest = without(options, Object.values(NAMES));
  const config: ProxyConfig = {};
  for (const [name, called] of Object.entries(NAMES)) {
    const value = own(options, called) ?? null;
    if (value !== null) Object.assign(config, { [name]: value });
  }
  // Once more than the manager does, for the names that were written down.
  checkConfig(config, rest, NAMES);
  const proxyConfig = Object.keys(config).length === 0 ? {} : { proxyConfig: config };
  return { ...rest, ...proxyConfig, ...proxied(text, { expects: 'http' }) };
}

function overSocks(url: unknown, options: SOCKSProxyManagerOptions): PoolManagerOptions {
  const text = urlOf(url, 'proxyUrl');
  checkNames(options, SOCKS_NAMES, 'a SOCKS proxy manager', CODE);
  const who: { username?: string; password?: string } = {};
  for (const name of WHO) {
    const value: unknown = own(options, name) ?? null;
    if (value === null) continue;
    if (typeof value !== 'string') throw wrong(name, 'a string', value);
    who[name] = value;
  }
  return { ...without(options, WHO), ...proxied(text, { expects: 'socks', ...who }) };
}

/** The one place where the option is more than a URL. */
function proxied(url: string, more: NamedProxy['more']): PoolManagerOptions {
  const [, given = ''] = /^(\w+):\/\//.exec(url) ?? [];
  const scheme = given.toLowerCase();
  // The core refuses these too, and knows nothing of the other class.
  const reason = PROXY_URL;
  if (more.expects === 'http' && OF_SOCKS.has(scheme)) {
    const message = `Proxy URL had unsupported scheme ${scheme}, should use http:// or https://; SOCKSProxyManager takes it`;
    throw new ProxySchemeUnknown(message, { scheme, reason });
  }
  if (more.expects === 'socks' && OF_HTTP.has(scheme)) {
    const message = `Unable to determine SOCKS version from scheme ${scheme}; ProxyManager takes it`;
    throw new ProxySchemeUnknown(message, { scheme, reason });
  }
  return { proxy: new NamedProxy(url, more) as never };
}

function without(options: object, names: readonly string[]): PoolManagerOptions {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !names.includes(name)));
}

/** What `proxyConfig` has under these names. */
const NAMES = {
  tls: 'proxyTls',
  useForwardingForHttps: 'useForwardingForHttps',
  assertHostname: 'proxyAssertHostname',
  assertFingerprint: 'proxyAssertFingerprint',
} as const satisfies ConfigNames;
const OF_HTTP: ReadonlySet<string> = new Set(['http', 'https']);
const OF_SOCKS: ReadonlySet<string> = new Set(['socks4', 'socks4a', 'socks5', 'socks5h']);
const WHO = ['username', 'password'] as const;
const HTTP_NAMES: readonly string[] = [
  ...MANAGER_NAMES.filter((name) => name !== 'proxy' && name !== 'proxyConfig'),
  ...Object.values(NAMES),
];
const SOCKS_NAMES: readonly string[] = [
  ...MANAGER_NAMES.filter((name) => !(PROXY_NAMES as readonly string[]).includes(name)),
  ...WHO,
];

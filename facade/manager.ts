/**
 * A manager: pools by scheme, host, port and settings, made when they are needed. Which pool serves which hop of a request
 * is the core's to say; what is held here are the pools that somebody asked for by name.
 */
import { inspect } from 'node:util';

import { argumentError, checkInherited, checkNames, describe, own } from './arguments.ts';
import type { BeforeAttempt, Sources } from './asking.ts';
import type { Engine, ErrorRecord, PauseRecord } from './boundary/engine.ts';
import { nextEngine } from './boundary/engines.ts';
import type { ShelvedPool } from './boundary/handles.ts';
import type { Call } from './boundary/marshal.ts';
import { text } from './call.ts';
import { CODE, functionOf, integer, MOST } from './checks.ts';
import { jarOf, type CookieJar } from './cookies.ts';
import { ClosedPoolError, LocationValueError, type AnyPool } from './errors.ts';
import { HTTPHeaderDict } from './headers.ts';
import { optionsOf } from './hints.ts';
import {
  ANY_POOL_NAMES,
  POOL_NAMES,
  poolSettings,
  type ManagerRequestOptions,
  type PoolOptions,
  type PoolSettings,
} from './options.ts';
import { tellOfPause } from './pause.ts';
import { environmentInUse } from './proxy-environment.ts';
import { othersWire, refuseWithoutProxy, type ProxyConfig } from './proxy-options.ts';
import {
  closeTimeout,
  Held,
  HTTPConnectionPool,
  HTTPSConnectionPool,
  type CloseOptions,
  type CloseReport,
  type PoolStats,
} from './pools.ts';
import { settingsJSON, spokenJSON, type ManagerJSON } from './pool-json.ts';
import { RequestMethods } from './requests.ts';
import { Timeout } from './timeout.ts';
import { TLS_NAMES, type TLSOptions } from './tls-options.ts';
import { hostOf, parseUrl, schemeless } from './url.ts';

/**
 * Options of a {@link PoolManager}: its own, and those of the pools that it makes, with other defaults. Those of TLS are for
 * its https pools; files that they name are read when the first of those is made.
 */
export interface PoolManagerOptions extends Omit<PoolOptions, 'port'>, TLSOptions {
  /** Pools that are kept; the least recently used goes for one more. Default 1,000 (urllib3's: 10); 0 keeps none. */
  numPools?: number | undefined;
  /**
   * Connections over all pools, those being made and those of forgotten pools included. At the limit the connection of
   * another pool that has been idle longest is closed; where none is idle, requests wait in order of arrival, whatever
   * their host. Default 512; 0 or `null`: no bound.
   */
  maxTotalConnections?: number | null | undefined;
  /** Connections kept to one host, and the most that there can be. At least 1. Default 64 (urllib3's: 1). */
  maxsize?: number | undefined;
  /** Wait for a connection where there are `maxsize` to a host already. Default `true` (urllib3's: `false`). */
  block?: boolean | undefined;
  /** Cookies: asked before each attempt, told of each answer, hop by hop. Default none (`null`). */
  jar?: CookieJar | null | undefined;
  /** Waited for before each attempt of each hop; may change its headers. What it throws rejects the request. Default none (`null`). */
  beforeAttempt?: BeforeAttempt | null | undefined;
}

/**
 * Settings of one pool of a manager, over the manager's; `null` removes one. Manners towards hosts (`rate`, `pauseOn`,
 * `onPause`) hold for all pools of a host and are not among them.
 */
export type PoolKwargs = {
  readonly [Name in Exclude<keyof (PoolOptions & TLSOptions), 'port' | 'rate' | 'pauseOn' | 'onPause'>]?:
    | (PoolOptions & TLSOptions)[Name]
    | null
    | undefined;
};

type AnyOptions = PoolOptions & TLSOptions;

/** A manager's pools, the least recently used first. */
export interface PoolCollection extends Iterable<HTTPConnectionPool> {
  /** How many there are. */
  readonly size: number;
}

/** What {@link PoolManager.connectionFromHost} takes besides the host. */
export interface HostOptions {
  /** Default (`null`): the scheme's. */
  port?: number | null | undefined;
  /** `'http'` or `'https'`. Default `'http'`. */
  scheme?: string | undefined;
  /** Settings of this pool over the manager's. Default none (`null`): the manager's. */
  poolKwargs?: PoolKwargs | null | undefined;
}

/** What {@link PoolManager.connectionFromContext} takes, together with {@link PoolKwargs}. */
export interface HostContext {
  /** `'http'` or `'https'`. Default `'http'`. */
  scheme?: string | undefined;
  /** A name or an address. */
  host: string;
  /** Default (`null`): the scheme's. */
  port?: number | null | undefined;
}

/**
 * Many hosts through one object: a pool for each, made when it is first needed. What it sends needs absolute URLs; redirects may lead
 * from host to host. `await using` forgets its pools, {@link PoolManager.close} ends it.
 *
 * @example
 * const manager = new PoolManager({ retries: 5, timeout: { connect: 2_000, read: 10_000 } });
 * const response = await manager.request('GET', 'http://localhost:8080/');
 * console.log(response.status, manager.pools.size); // 200 1
 */
export class PoolManager extends RequestMethods<ManagerRequestOptions> {
  readonly #engine: Engine;
  readonly #handle: number;
  readonly #options: AnyOptions;
  readonly #settings: PoolSettings;
  readonly #bounds: Readonly<Record<'numPools' | 'maxTotalConnections', number>>;
  readonly #sources: Sources;
  readonly #followsEnvironment: boolean;
  /** Pools that somebody may hold, by their number on the shelf. */
  readonly #held: Map<number, WeakRef<HTTPConnectionPool>> = new Map();
  readonly #collected = new FinalizationRegistry<number>((id) => {
    // Another object may stand for the pool by now.
    if (this.#held.get(id)?.deref() === undefined) this.#held.delete(id);
  });
  /** Options of pools that have their own, by their number on the shelf; some may be gone from there. */
  readonly #own: Map<number, AnyOptions> = new Map();
  /** How many of those there may be before it is seen who is gone. */
  #ownMost = 64;
  /** Shared with the pools that are held. */
  readonly #life = { closed: false };

  /**
   * Makes a manager; nothing is opened until the first request.
   *
   * @throws TypeError or RangeError ERR_INVALID_OPTION for options, InvalidHeader for headers that cannot be sent,
   * ProxySchemeUnknown and LocationParseError for a proxy's URL.
   */
  constructor(options: PoolManagerOptions = {}) {
    super();
    checkNames(options, MANAGER_NAMES, 'a manager', CODE);
    // The manager's own, each read once; the others are its pools'.
    const [numPools = NUM_POOLS, maxTotalConnections = MAX_TOTAL_CONNECTIONS, jar, beforeAttempt] = [
      own(options, 'numPools'),
      own(options, 'maxTotalConnections'),
      own(options, 'jar'),
      own(options, 'beforeAttempt'),
    ];
    const given = Object.fromEntries(
      Object.entries(options).filter(([name, value]) => value !== undefined && !OF_MANAGERS.has(name)),
    );
    const all: AnyOptions = { maxsize: 64, block: true, ...given };
    this.#settings = poolSettings(all, 'manager');
    this.#options = readOnce(all, this.#settings);
    this.#sources = {
      jar: jar === undefined || jar === null ? null : jarOf(jar, 'jar'),
      beforeAttempt:
        beforeAttempt === undefined || beforeAttempt === null
          ? null
          : (functionOf(beforeAttempt, 'beforeAttempt') as BeforeAttempt),
      resolve: this.#settings.resolve,
    };
    this.#bounds = {
      numPools: integer(numPools, 'numPools', 0, MOST),
      maxTotalConnections: integer(maxTotalConnections ?? 0, 'maxTotalConnections', 0, MOST),
    };
    this.#engine = nextEngine();
    const { headers, limits, retries, wire } = this.#settings;
    const sources = this.#sources;
    const made = { engine: this.#engine, headers, limits, retries, sources, concurrency: 64, isManager: true };
    // So that a refusal finds them.
    this.ready({ ...made, handle: -1 });
    // A proxy or a socket of its own is what it was told, whatever the environment says.
    const isTold = this.#settings.proxy !== null || wire['unixSocket'] !== undefined;
    const environment = isTold ? null : environmentInUse();
    this.#followsEnvironment = environment !== null;
    this.#handle = this.#engine.handles.manage(this, {
      ...this.#bounds,
      ...(environment === null ? {} : { environment }),
      proxies: othersWire(this.#options),
      pool: wire,
    });
    this.ready({ ...made, handle: this.#handle });
  }

  /** `scheme://host:port` of the proxy, without credentials; `null` without one. */
  get proxy(): string | null {
    return this.#settings.proxy;
  }

  /** The fields that proxies alone are shown; a copy, empty where none were given. */
  get proxyHeaders(): HTTPHeaderDict {
    return new HTTPHeaderDict(this.#settings.proxyHeaders);
  }

  /** How an https proxy is spoken to, as far as it was said; a copy, empty where nothing was. */
  get proxyConfig(): ProxyConfig {
    return { ...own(this.#options, 'proxyConfig') };
  }

  /** The pools that the manager keeps, as they are at each look; none once it is closed. */
  get pools(): PoolCollection {
    const list = (): ShelvedPool[] => (this.#life.closed ? [] : this.#engine.handles.shelf(this.#handle));
    const hold = (shelved: ShelvedPool): HTTPConnectionPool | null => this.#hold(shelved);
    return {
      get size() {
        return list().length;
      },
      *[Symbol.iterator]() {
        for (const shelved of list()) {
          const pool = hold(shelved);
          // Requests go on meanwhile: it may have been forgotten since.
          if (pool !== null) yield pool;
        }
      },
    };
  }

  /**
   * The pool for a host, made if there is none. Equal settings give the same pool; a pool that is held stays usable when
   * the manager has forgotten it.
   *
   * @throws LocationValueError without a host, URLSchemeUnknown, TypeError or RangeError ERR_INVALID_OPTION; SSLError for
   * files of TLS's options that cannot be used.
   */
  connectionFromHost(host: string, options: HostOptions = {}): HTTPConnectionPool {
    checkNames(options, ['port', 'scheme', 'poolKwargs'], 'connectionFromHost', CODE);
    this.refuseClosed(null);
    if (host === '' || host === undefined || host === null) throw new LocationValueError('No host specified.');
    const port = own(options, 'port') ?? null;
    if (port !== null) integer(port, 'port', 0, 65_535);
    const scheme = own(options, 'scheme') ?? 'http';
    const kwargs = own(options, 'poolKwargs') ?? null;
    const merged = kwargs === null ? null : this.#merged(kwargs);
    const settings = merged === null ? null : poolSettings(merged, 'manager');
    if (kwargs !== null && settings?.proxy === null && !this.#followsEnvironment) refuseWithoutProxy(kwargs);
    const origin = { scheme: text(scheme, 'a scheme'), host: text(host, 'a host'), port };
    const shelved = this.#engine.handles.shelve(this, this.#handle, origin, settings?.wire ?? null);
    if (merged !== null && settings !== null) this.#keepOwn(shelved.id, readOnce(merged, settings));
    const pool = this.#hold(shelved);
    if (pool === null) throw new ClosedPoolError(null, 'Pool is closed.', { phase: 'pool' });
    return pool;
  }

  /**
   * The pool for a URL's host.
   *
   * @throws as {@link PoolManager.connectionFromHost}; LocationParseError; LocationValueError without a scheme.
   */
  connectionFromUrl(url: string, poolKwargs: PoolKwargs | null = null): HTTPConnectionPool {
    const { scheme, host, port } = parseUrl(url);
    if (scheme === null) throw schemeless(url);
    return this.connectionFromHost(host ?? '', { scheme, port, poolKwargs });
  }

  /**
   * The pool for `{ scheme, host, port, ...settings }`: {@link PoolManager.connectionFromHost} with everything in one object.
   *
   * @throws as {@link PoolManager.connectionFromHost}.
   */
  connectionFromContext(context: HostContext & PoolKwargs): HTTPConnectionPool {
    if (typeof context !== 'object' || context === null) {
      throw argumentError('type', CODE, `a context is an object, not ${describe(context)}`);
    }
    checkInherited(context, ['scheme', 'host', ...ANY_POOL_NAMES], 'a context', CODE);
    const { scheme: _scheme, host: _host, port: _port, ...poolKwargs } = context;
    const [scheme, host, port] = [own(context, 'scheme'), own(context, 'host') as string, own(context, 'port')];
    return this.connectionFromHost(host, { scheme, port, poolKwargs });
  }

  /** Everything that all pools count together, those that are gone included; a fresh snapshot each time. */
  stats(): PoolStats {
    return JSON.parse(this.#engine.handles.stats(this.#handle)) as PoolStats;
  }

  /** Forgets all pools: idle connections close, requests in flight finish. The manager stays usable. */
  clear(): void {
    this.#engine.clear(this.#handle);
  }

  /**
   * Closes the manager and all its pools, those that are held too: idle connections now, leased ones when their request ends
   * or `timeout` milliseconds (default none) are up. Waiting and later requests reject with ClosedPoolError. A second time does no
   * harm. urllib3 has no such method.
   *
   * @throws (rejects with) TypeError or RangeError ERR_INVALID_OPTION, ERR_INVALID_TIMEOUT.
   */
  close(options: CloseOptions = {}): Promise<CloseReport> {
    try {
      const timeout = closeTimeout(options);
      this.#life.closed = true;
      return this.#engine.close<CloseReport>(this, this.#handle, timeout);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Forgets all pools when a block of `await using` ends, as urllib3's `with` does. */
  [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    return Promise.resolve();
  }

  /** Forgets all pools when a block of `using` ends, as {@link PoolManager.clear} does. */
  [Symbol.dispose](): void {
    if (!this.#life.closed) this.clear();
  }

  /** What it keeps to, as plain data for logs; of its headers the names alone. */
  toJSON(): ManagerJSON {
    const { maxsize, block, timeout } = this.#settings.wire as { maxsize: number; block: boolean; timeout?: Timeout };
    const { retries, headers } = this;
    const kept = { maxsize, block, timeout: timeout ?? Timeout.from(null), retries, headers };
    return {
      type: this.constructor.name,
      ...this.#bounds,
      ...settingsJSON(kept, spokenJSON(this.#options, this.#settings)),
    };
  }

  /** `PoolManager(pools=3)`. */
  override toString(): string {
    return `${this.constructor.name}(pools=${this.pools.size})`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  /** @internal */
  paused({ host, span, status }: PauseRecord): void {
    tellOfPause(this.#settings.onPause, host, span, status);
  }

  /** @internal */
  override poolOf(url: string): AnyPool | null {
    const { scheme, host, port } = parseUrl(url);
    const secure = scheme === 'https';
    return host === null ? null : new PoolName(secure ? 'https' : 'http', host, port ?? (secure ? 443 : 80));
  }

  /** @internal */
  protected override named(record: ErrorRecord, url: string): AnyPool | null {
    const [, host, port] = /^(.*):(\d+)$/.exec(record.host ?? '') ?? [];
    const scheme = /^https:/i.test(url) ? 'https' : 'http';
    return host === undefined ? null : new PoolName(scheme, host, Number(port));
  }

  /** @internal */
  protected override refuseClosed(asked: Pick<Call, 'method' | 'url'> | null): void {
    if (!this.#life.closed) return;
    const { method = null, url = null } = asked ?? {};
    const host = url === null ? null : hostOf(url);
    throw new ClosedPoolError(null, 'The manager is closed.', { phase: 'pool', host, method, url });
  }

  /** MGR-06: a value replaces, `null` removes, what is left as it is. */
  #merged(kwargs: PoolKwargs): AnyOptions {
    if (typeof kwargs !== 'object' || Array.isArray(kwargs)) {
      throw argumentError('type', CODE, `poolKwargs is an object, not ${describe(kwargs)}`);
    }
    checkInherited(kwargs, ANY_POOL_NAMES, 'poolKwargs', CODE);
    for (const name of OF_THE_MANAGER) {
      if (!Object.hasOwn(kwargs, name)) continue;
      const whose = name === 'port' ? 'an argument of its own' : "the manager's: it holds for all pools of a host";
      throw argumentError('type', CODE, `poolKwargs has no option '${name}', which is ${whose}`);
    }
    const merged: { [name: string]: unknown } & AnyOptions = { ...this.#options };
    // What was said of a proxy for it alone does not go to another.
    if ((own(kwargs, 'proxy') ?? null) !== null && this.#settings.proxy !== null) {
      for (const name of ['proxyHeaders', 'proxyConfig'] as const) delete merged[name];
    }
    for (const [name, value] of Object.entries(kwargs)) {
      if (value === null) delete merged[name];
      else if (value !== undefined) merged[name] = value;
    }
    return merged;
  }

  /** Not the record that the core has: functions are in none. */
  #keepOwn(id: number, options: AnyOptions): void {
    this.#own.set(id, options);
    if (this.#own.size <= this.#ownMost) return;
    const here = new Set(this.#engine.handles.shelf(this.#handle).map((shelved) => shelved.id));
    for (const one of this.#own.keys()) if (one !== id && !here.has(one)) this.#own.delete(one);
    this.#ownMost = Math.max(64, this.#own.size * 2);
  }

  /** The object that stands for a pool; `null` if it has gone from the shelf since it was named. */
  #hold(shelved: ShelvedPool): HTTPConnectionPool | null {
    const there = this.#held.get(shelved.id)?.deref();
    if (there !== undefined) return there;
    const handle = this.#engine.handles.holdPool(this.#handle, shelved.id);
    if (handle === null) return null;
    const held = new Held(this.#engine, handle, shelved, this.#sources, this.#life);
    const type = shelved.scheme === 'https' ? HTTPSConnectionPool : HTTPConnectionPool;
    const pool = new type(held as never, this.#own.get(shelved.id) ?? this.#options);
    this.#held.set(shelved.id, new WeakRef(pool));
    this.#collected.register(pool, shelved.id);
    return pool;
  }
}

/** Headers may come from an iterator, and pools are made of the options again. */
function readOnce(options: AnyOptions, { headers, proxyHeaders }: PoolSettings): AnyOptions {
  return {
    ...options,
    ...(options.headers === undefined ? {} : { headers }),
    ...(proxyHeaders === null ? {} : { proxyHeaders }),
  };
}

/** What an error of a manager's calls the pool that it is about: the pool itself may be gone by then. */
class PoolName implements AnyPool {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly port: number;

  constructor(scheme: 'http' | 'https', host: string, port: number) {
    this.scheme = scheme;
    this.host = host;
    this.port = port;
  }

  toString(): string {
    return `${this.scheme === 'https' ? 'HTTPS' : 'HTTP'}ConnectionPool(host='${this.host}', port=${this.port})`;
  }
}

/** What is not one pool's: manners are a host's, over all its pools. */
const OF_THE_MANAGER: readonly Exclude<keyof PoolOptions, keyof PoolKwargs>[] = ['port', 'rate', 'pauseOn', 'onPause'];
/** What its pools hear nothing of. */
const OF_MANAGERS: ReadonlySet<string> = new Set(['numPools', 'maxTotalConnections', 'jar', 'beforeAttempt']);
/** @internal */
export const MANAGER_NAMES: readonly string[] = [
  ...OF_MANAGERS,
  ...POOL_NAMES.filter((name) => name !== 'port'),
  ...TLS_NAMES,
];
optionsOf('a manager', [...OF_MANAGERS]);
/** Pools. */
const NUM_POOLS = 1_000;
/** Connections. */
const MAX_TOTAL_CONNECTIONS = 512;

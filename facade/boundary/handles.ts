/**
 * Pools and managers as this thread knows them: by handles, which are freed when what held them is collected. Making one,
 * and reading what it counts, is answered at once; the I/O thread hears of it.
 */
import type { NativeEngine } from './load.ts';
import { guarded } from './load.ts';
import type { Call } from './marshal.ts';
import { PROXY_URL, says, type ErrorRecord, type Owner, type PauseRecord } from './records.ts';

/** A pool on a manager's shelf. */
export interface ShelvedPool {
  /** Never given twice by a manager. */
  readonly id: number;
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
}

/** The handles of one engine. */
export class Handles {
  readonly #native: NativeEngine;
  readonly #forgotten: FinalizationRegistry<number>;
  /** Those who hear of pauses, by handle. */
  readonly #owners: Map<number, WeakRef<Owner>> = new Map();

  /** `forget` tells the I/O thread, before the handle can be given to another. */
  constructor(native: NativeEngine, forget: (handle: number) => void) {
    this.#native = native;
    this.#forgotten = new FinalizationRegistry((handle) => {
      forget(handle);
      this.#owners.delete(handle);
      guarded(() => this.#native.forget(handle));
    });
  }

  /**
   * Makes a pool. Its handle is freed when the owner is collected.
   *
   * @throws what the settings deserve.
   */
  open(owner: Owner, settings: { readonly [name: string]: unknown }): { handle: number; host: string } {
    const answer = JSON.parse(guarded(() => this.#native.open(JSON.stringify(settings, wellFormed)))) as
      | { value: { handle: number; origin: { host: string } } }
      | { error: ErrorRecord };
    if (says(answer, 'error'))
      throw owner.refuse(answer.error, about(answer.error, settings, String(settings['host'])), null);
    const { handle, origin } = answer.value;
    this.#keep(owner, handle);
    return { handle, host: origin.host };
  }

  /**
   * Makes a manager. Its handle is freed when the owner is collected.
   *
   * @throws what the settings deserve.
   */
  manage(owner: Owner, settings: { readonly [name: string]: unknown }): number {
    const answer = JSON.parse(guarded(() => this.#native.manage(JSON.stringify(settings, wellFormed)))) as
      | { value: { handle: number } }
      | { error: ErrorRecord };
    if (says(answer, 'error')) throw owner.refuse(answer.error, about(answer.error, settings['pool'], ''), null);
    this.#keep(owner, answer.value.handle);
    return answer.value.handle;
  }

  /**
   * The pool of a manager's for an origin, with settings of its own (`null`: the manager's).
   *
   * @throws what the host and the settings deserve.
   */
  shelve(
    owner: Owner,
    manager: number,
    origin: { scheme: string; host: string; port: number | null },
    settings: { readonly [name: string]: unknown } | null,
  ): ShelvedPool {
    const { scheme, host, port } = origin;
    const text = settings === null ? null : JSON.stringify(settings, wellFormed);
    const answer = JSON.parse(guarded(() => this.#native.shelve(manager, scheme, host, port, text))) as
      | { value: ShelvedPool }
      | { error: ErrorRecord };
    if (says(answer, 'error'))
      throw owner.refuse(answer.error, about(answer.error, settings, `${scheme}://${host}`), null);
    return answer.value;
  }

  /** A handle for such a pool, to be freed with its holder ({@link Handles.freeWith}); `null` if it has gone from the shelf. */
  holdPool(manager: number, id: number): number | null {
    return guarded(() => this.#native.holdPool(manager, id));
  }

  /** Frees a handle when its holder is collected. */
  freeWith(holder: object, handle: number): void {
    this.#forgotten.register(holder, handle);
  }

  /** The pools on a manager's shelf, the least recently used first. */
  shelf(manager: number): ShelvedPool[] {
    return JSON.parse(guarded(() => this.#native.shelf(manager))) as ShelvedPool[];
  }

  /** Idle, leased, waiting, sockets ever opened, attempts ever made. */
  figures(handle: number): number[] {
    return guarded(() => this.#native.figures(handle));
  }

  /** Everything that a pool counts, as JSON. */
  stats(handle: number): string {
    return guarded(() => this.#native.stats(handle));
  }

  /** Whether a URL names the pool's own host. */
  isSameHost(handle: number, url: string): boolean {
    return guarded(() => this.#native.isSameHost(handle, url));
  }

  /** The absolute URL of what was asked of a pool. */
  absoluteUrl(handle: number, url: string, fields: Call['fields']): string {
    return guarded(() => this.#native.absoluteUrl(handle, url, fields ?? []));
  }

  /** A manager's pools are off its shelf. */
  clear(handle: number): void {
    guarded(() => this.#native.clear(handle));
  }

  /** A host is paused: told to whoever wants to hear of it. */
  paused(handle: number, json: string): void {
    this.#owners
      .get(handle)
      ?.deref()
      ?.paused?.(JSON.parse(json) as PauseRecord);
  }

  #keep(owner: Owner, handle: number): void {
    this.#forgotten.register(owner, handle);
    if (owner.paused !== undefined) this.#owners.set(handle, new WeakRef(owner));
  }
}

/** The URL that an error is about: where the pool leads, or its proxy's, where that is known here. */
function about({ reason }: ErrorRecord, settings: unknown, usual: string): string {
  if (reason !== PROXY_URL) return usual;
  return (settings as { proxy?: { url: string } } | null)?.proxy?.url ?? '';
}

/** Half a surrogate pair would be no JSON to the core; as U+FFFD it is judged like every other character. */
function wellFormed(_: string, value: unknown): unknown {
  return typeof value === 'string' ? value.replace(/\p{Surrogate}/gu, '\ufffd') : value;
}

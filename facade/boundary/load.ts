/**
 * Finds, checks and loads the binary: the only place that knows there is a file of native code. What a platform is called and
 * what to say when nothing fits is in `host.ts`.
 */
import { createRequire } from 'node:module';
import path from 'node:path';

import { VERSION } from './generated.ts';
import { folderOf, noBinary, notLoaded, platformName, unfit, wantedPackage } from './host.ts';
import type { Platform } from './platforms.ts';

/** What the addon exports; mirrors `crate/binding/lib.rs` and `retry.rs`. */
export interface Addon {
  describe(): string;
  parseUrl(units: Uint16Array): string;
  proxyFor(units: Uint16Array, environment: string): string;
  charsetOf(data: Uint8Array, contentType: string | null): string;
  /** What is wrong with it; `null` for nothing. */
  assertFingerprint(der: Uint8Array, fingerprint: string): string | null;
  /** JSON: `null` for what is no certificate. */
  describeCertificate(der: Uint8Array): string;
  limitDnsThreads(most: number): void;
  decodeText(data: Uint8Array, label: string): string | false | null;
  retryDefaults(): string;
  retryIncrement(settings: string, method: string, event: string): string;
  retryIsExhausted(settings: string): boolean;
  retryIsRetry(settings: string, method: string, status: number, hasRetryAfter: boolean): boolean;
  retryBackoff(settings: string, errorsInARow: number, random: number): number;
  retryAfter(settings: string, value: string, now: number): number | null;
  Engine: new (onWake: () => void) => NativeEngine;
  /** Only in a binary built with the feature `faults`. */
  armFault?(place: string, times: number): void;
}

/** An environment's engine; mirrors `Engine` in `crate/binding/lib.rs`. */
export interface NativeEngine {
  open(settings: string): string;
  manage(settings: string): string;
  shelve(manager: number, scheme: string, host: string, port: number | null, settings: string | null): string;
  holdPool(manager: number, id: number): number | null;
  shelf(manager: number): string;
  clear(manager: number): void;
  forget(handle: number): void;
  submit(batch: Uint8Array, calls: number): void;
  push(slot: number, generation: number, piece: Uint8Array): void;
  budget(most: number): void;
  hold(on: boolean): void;
  drain(slab: Uint8Array, offset: number): number;
  needed(): number;
  ring(): void;
  takeBody(slot: number, generation: number): Buffer;
  revive(): void;
  figures(handle: number): number[];
  stats(handle: number): string;
  isSameHost(handle: number, url: string): boolean;
  absoluteUrl(handle: number, url: string, fields: readonly (string | Uint8Array)[]): string;
}

/** How Rust's targets call the processors that Node knows. Records are little-endian, as all of these are. */
const PROCESSORS: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64', ia32: 'i686', arm: 'arm' };

const require = createRequire(import.meta.url);

/** The loaded binary. */
export const addon: Addon = load();

/**
 * One that was built where it runs comes first, then the one of the platform's package. There is no third place: not the
 * working directory, no variable of the environment (THR-1306).
 */
function load(): Addon {
  const wanted = wantedPackage();
  const file = ownBinary() ?? (wanted && installedBinary(wanted));
  if (!file) throw unfit(noBinary(wanted));
  let loaded: Partial<Addon>;
  try {
    loaded = require(file) as Partial<Addon>;
  } catch (cause) {
    throw unfit(notLoaded(file, wanted, cause), cause);
  }
  const { describe } = loaded;
  if (describe === undefined) throw unfit(`${file} is not the binary of ferropool`);
  const { version, target } = JSON.parse(guarded(() => describe())) as { version: string; target: string };
  const fits = wanted ? target === wanted.target : target.startsWith(PROCESSORS[process.arch] ?? process.arch);
  if (version !== VERSION || !fits) {
    throw unfit(
      `ferropool ${VERSION} on ${platformName()} found a binary of version ${version} for ${target} (${file}); install or build both again`,
    );
  }
  return loaded as Addon;
}

/** The one of a build from source. The name is looked up in our own package.json; in a bundle that is the program's. */
function ownBinary(): string | null {
  try {
    const file = require.resolve('#ferropool-addon');
    return /^ferropool(\.faults)?\.node$/.test(path.basename(file)) ? file : null;
  } catch {
    return null;
  }
}

/** The one of this platform's package, by its own name, whatever the package calls its main file. */
function installedBinary({ name }: Platform): string | null {
  const file = `ferropool.${name.slice(name.indexOf('-') + 1)}.node`;
  const folder = folderOf(name);
  if (folder !== null) return path.join(folder, file);
  // Here packages are in no folder that could be looked into.
  if (!('pnp' in process.versions) && !('deno' in process.versions)) return null;
  try {
    const main = require.resolve(name);
    return path.basename(main) === file ? main : null;
  } catch {
    return null;
  }
}

/**
 * A call of the binary. It throws for nothing but a panic of ours, which it has caught at its edge (THR-1109), and for
 * arguments that it does not take, which are as much a bug of ours.
 *
 * @throws Error ERR_INTERNAL
 */
export function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (cause) {
    // What was not taken stands in such an error's text, whatever secrets are in it.
    const below = isNotTaken(cause) ? {} : { cause };
    throw Object.assign(new Error(panicked(cause), below), { code: 'ERR_INTERNAL' });
  }
}

/** Says what was caught. */
export function panicked(cause: unknown): string {
  if (isNotTaken(cause)) {
    return `ferropool passed to its core what that does not take (${cause.code}); please report it`;
  }
  return `ferropool panicked (${cause instanceof Error ? cause.message : String(cause)}); please report it`;
}

/** Node-API's words for an argument of a wrong type; a panic has `GenericFailure`. */
function isNotTaken(cause: unknown): cause is Error & { readonly code: string } {
  const { code } = (cause ?? {}) as { readonly code?: unknown };
  return typeof code === 'string' && (code === 'InvalidArg' || code.endsWith('Expected'));
}

/**
 * Finds, checks and loads the binary: the only place that knows there is a file of native code.
 */
import { createRequire } from 'node:module';

import { VERSION } from './generated.ts';

/** What the addon exports; mirrors `crate/binding/lib.rs` and `retry.rs`. */
export interface Addon {
  describe(): string;
  parseUrl(units: Uint16Array): string;
  charsetOf(data: Uint8Array, contentType: string | null): string;
  /** What is wrong with it; `null` for nothing. */
  assertFingerprint(der: Uint8Array, fingerprint: string): string | null;
  /** JSON: `null` for what is no certificate. */
  describeCertificate(der: Uint8Array): string;
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

/** The loaded binary. */
export const addon: Addon = load();

function load(): Addon {
  let loaded: Addon;
  try {
    loaded = createRequire(import.meta.url)('#addon') as Addon;
  } catch (cause) {
    const missing = (cause as { code?: string }).code === 'MODULE_NOT_FOUND';
    const what = missing ? 'found no binary' : 'cannot load its binary';
    throw unfit(`ferropool ${what} for ${platform()}. Build it where you are: npm run build`, cause);
  }
  const { version, target } = JSON.parse(guarded(() => loaded.describe())) as { version: string; target: string };
  if (version !== VERSION || !target.startsWith(PROCESSORS[process.arch] ?? process.arch)) {
    throw unfit(
      `ferropool ${VERSION} on ${platform()} found a binary of version ${version} for ${target}; install or build both again`,
    );
  }
  return loaded;
}

function unfit(message: string, cause?: unknown): Error {
  return Object.assign(new Error(message, { cause }), { code: 'ERR_INTERNAL' });
}

/**
 * A call of the binary. It throws for nothing but a panic of ours, which it has caught at its edge (THR-1109).
 *
 * @throws Error ERR_INTERNAL
 */
export function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw Object.assign(new Error(panicked(cause), { cause }), { code: 'ERR_INTERNAL' });
  }
}

/** Says what was caught. */
export function panicked(cause: unknown): string {
  return `ferropool panicked (${cause instanceof Error ? cause.message : String(cause)}); please report it`;
}

/** Platform, processor and, on Linux, the C library: what decides which binary fits. */
function platform(): string {
  const { platform: system, arch } = process;
  if (system !== 'linux') return `${system}-${arch}`;
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
  return `${system}-${arch}-${report?.header?.glibcVersionRuntime === undefined ? 'musl' : 'gnu'}`;
}

/**
 * Finds, checks and loads the binary: the only place that knows there is a file of native code.
 */
import { createRequire } from 'node:module';

import { VERSION } from './generated.ts';

/** What the addon exports; mirrors `crate/binding/lib.rs`. */
export interface Addon {
  describe(): string;
  parseUrl(units: Uint16Array): string;
  Engine: new (onWake: () => void) => NativeEngine;
  /** Only in a binary built with the feature `faults`. */
  armFault?(place: string, times: number): void;
}

/** An environment's engine; mirrors `Engine` in `crate/binding/lib.rs`. */
export interface NativeEngine {
  open(settings: string): string;
  forget(handle: number): void;
  submit(batch: Uint8Array, calls: number): void;
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

/** The loaded binary. */
export const addon: Addon = load();

function load(): Addon {
  let loaded: Addon;
  try {
    loaded = createRequire(import.meta.url)('#addon') as Addon;
  } catch (cause) {
    throw Object.assign(
      new Error(
        `ferropool found no binary for ${platform()}. Install the package again without --no-optional (--omit=optional), ` +
          `or build it where you are: npm run build`,
        { cause },
      ),
      { code: 'ERR_INTERNAL' },
    );
  }
  const { version } = JSON.parse(guarded(() => loaded.describe())) as { version: string };
  if (version !== VERSION) {
    throw Object.assign(
      new Error(
        `ferropool ${VERSION} found a binary of version ${version} for ${platform()}; install or build both again`,
      ),
      { code: 'ERR_INTERNAL' },
    );
  }
  return loaded;
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

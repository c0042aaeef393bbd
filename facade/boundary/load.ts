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
  takeBody(): Buffer;
  revive(): boolean;
  figures(handle: number): number[];
  stats(handle: number): string;
  isSameHost(handle: number, url: string): boolean;
  absoluteUrl(handle: number, url: string): string;
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
  const { version } = JSON.parse(loaded.describe()) as { version: string };
  if (version !== VERSION) {
    throw Object.assign(
      new Error(`ferropool ${VERSION} found a binary of version ${version} for ${platform()}; install or build both again`),
      { code: 'ERR_INTERNAL' },
    );
  }
  return loaded;
}

/** Platform, processor and, on Linux, the C library: what decides which binary fits. */
function platform(): string {
  const { platform: system, arch } = process;
  if (system !== 'linux') return `${system}-${arch}`;
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
  return `${system}-${arch}-${report?.header?.glibcVersionRuntime === undefined ? 'musl' : 'gnu'}`;
}

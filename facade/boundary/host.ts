/**
 * Which platform this is, which package has its binary, and what to tell somebody who has none that can be loaded.
 */
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { type Platform, PLATFORMS } from './platforms.ts';

/** The package that this platform's binary is in; undefined where there is none for it. */
export function wantedPackage(): Platform | undefined {
  const { platform, arch } = process;
  const here = PLATFORMS.filter(({ os, cpu }) => os === platform && cpu === arch);
  // Only where there is a choice does it matter which C library this is.
  return here.length > 1 ? here.find(({ libc }) => libc === libraryOf(process.execPath)) : here[0];
}

/** Platform, processor and, on Linux, the C library: what decides which binary fits. */
export function platformName(): string {
  const { platform, arch } = process;
  return platform === 'linux' ? `${platform}-${arch}-${libraryOf(process.execPath)}` : `${platform}-${arch}`;
}

/**
 * The C library that the running program is linked to. Its own file names the loader that starts it: a few bytes to read,
 * where Node's report costs milliseconds and asking `ldd` another process.
 */
export function libraryOf(program: string): 'gnu' | 'musl' {
  const loader = loaderOf(program);
  if (loader !== null) return path.basename(loader).startsWith('ld-musl') ? 'musl' : 'gnu';
  return process.report !== undefined && glibcVersion() === null ? 'musl' : 'gnu';
}

/** How an ELF file starts, and where its parts say what they are; the 64-bit kind, which is all that we have binaries for. */
const ELF = { magic: 0x7f454c46, wide: 2, parts: 32, partSize: 54, partCount: 56, interpreter: 3 };

/** The path of the loader in an ELF file (its PT_INTERP); null for a file of another kind, or one that cannot be read. */
function loaderOf(program: string): string | null {
  let file: number | undefined;
  try {
    file = openSync(program, 'r');
    const head = Buffer.alloc(4096);
    readSync(file, head, 0, head.length, 0);
    if (head.readUInt32BE(0) !== ELF.magic || head[4] !== ELF.wide) return null;
    const first = Number(head.readBigUInt64LE(ELF.parts));
    for (let index = 0; index < head.readUInt16LE(ELF.partCount); index += 1) {
      const part = first + index * head.readUInt16LE(ELF.partSize);
      if (head.readUInt32LE(part) === ELF.interpreter) {
        const text = Buffer.alloc(Math.min(Number(head.readBigUInt64LE(part + 32)), 4096));
        readSync(file, text, 0, text.length, Number(head.readBigUInt64LE(part + 8)));
        return text.toString('latin1').replace(/\0.*$/s, '');
      }
    }
    return null;
  } catch {
    return null;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** The version of the running glibc; null without one, or where nothing tells. Slow: for messages alone. */
function glibcVersion(): string | null {
  const { report } = process as { report?: { excludeNetwork?: boolean; getReport(): object } };
  if (report === undefined) return null;
  const before = report.excludeNetwork;
  // Otherwise it looks up the name of every peer that there is a socket to.
  if (before !== undefined) report.excludeNetwork = true;
  try {
    const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } };
    return header?.glibcVersionRuntime ?? null;
  } catch {
    return null;
  } finally {
    if (before !== undefined) report.excludeNetwork = before;
  }
}

/** The error of somebody who has no binary that fits. */
export function unfit(message: string, cause?: unknown): Error {
  const error = cause === undefined ? new Error(message) : new Error(message, { cause });
  return Object.assign(error, { code: 'ERR_INTERNAL' });
}

/** What to say when there is no binary. `wanted`: the package that should have it. */
export function noBinary(wanted: Platform | undefined): string {
  if (wanted === undefined) {
    const names = PLATFORMS.map(({ name }) => name.slice(name.indexOf('-') + 1));
    return `ferropool has no binary for ${platformName()}; there are binaries for ${names.join(', ')}. Build it where you are: see "From source" in docs/platforms.md`;
  }
  const start = `ferropool found no binary for ${platformName()}: the package ${wanted.name} is not installed.`;
  const others = PLATFORMS.map(({ name }) => name).filter((name) => name !== wanted.name && isInstalled(name));
  if (others.length > 0) {
    return `${start} ${others.join(' and ')} is: node_modules comes from another platform. Remove node_modules and install where the program runs`;
  }
  return `${start} It is an optional dependency: do not install with --omit=optional (--no-optional). If package-lock.json was made on another platform and does not name the package, remove node_modules and package-lock.json, and install again`;
}

/** What to say when a binary is there and the system does not take it. */
export function notLoaded(file: string, wanted: Platform | undefined, cause: unknown): string {
  const start = `ferropool cannot load its binary for ${platformName()} (${file})`;
  const said = cause instanceof Error ? cause.message : String(cause);
  const version = wanted?.glibc ? glibcVersion() : null;
  if (wanted?.glibc && version !== null && isOlder(version, wanted.glibc)) {
    return `${start}: it needs glibc ${wanted.glibc} and this is ${version}. Take a newer system, or build it where you are. ${said}`;
  }
  return `${start}. The file may be for another platform, or damaged: install it again where the program runs. ${said}`;
}

function isInstalled(name: string): boolean {
  return folderOf(name) !== null;
}

/**
 * Where a package is installed, for us: looked for as Node.js looks for it, from our own file upwards, but not where `NODE_PATH`
 * and the home directory say (THR-1306).
 */
export function folderOf(name: string): string | null {
  let above = path.dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const folder = path.join(above, 'node_modules', name);
    if (existsSync(path.join(folder, 'package.json'))) return folder;
    const next = path.dirname(above);
    if (next === above) return null;
    above = next;
  }
}

function isOlder(version: string, floor: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [floorMajor = 0, floorMinor = 0] = floor.split('.').map(Number);
  return major !== floorMajor ? major < floorMajor : minor < floorMinor;
}

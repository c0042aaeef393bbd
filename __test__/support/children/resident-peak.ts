/** How much memory a process has had at its height. Linux only. */
import { readFileSync, writeFileSync } from 'node:fs';

/** Bytes of a MiB. */
export const MIB = 1024 * 1024;

/** The most that was resident since the start, or since {@link levelled}, in MiB. */
export function peak(): number {
  return field('VmHWM');
}

/** What is resident, in MiB. */
export function resident(): number {
  return field('VmRSS');
}

/** From here on the peak counts (`clear_refs`, see proc(5)); what is resident, in MiB. */
export function levelled(): number {
  writeFileSync('/proc/self/clear_refs', '5');
  return peak();
}

/** Lets what was put off happen: collection, finalisers, and what the allocator gives back when it is asked for more. */
export async function settled(again: () => Promise<unknown>): Promise<void> {
  for (let round = 0; round < 20; round += 1) {
    globalThis.gc?.();
    await again();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function field(name: string): number {
  const kilobytes = new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return Number(kilobytes) / 1024;
}

/** What the system tells about itself and about this process. */
import { readFileSync } from 'node:fs';
import os from 'node:os';

/** The first thread of a Linux process bears the number of the process. */
const mainThread = `/proc/self/task/${process.pid}/schedstat`;

/**
 * CPU spent so far, in microseconds: `main` by the thread that runs JavaScript, `process` by all threads.
 * Linux keeps an account for each thread; elsewhere a newer Node.js knows its own; else `main` is null.
 */
export function cpuTimes() {
  const { user, system } = process.cpuUsage();
  return { main: mainThreadTime(), process: user + system };
}

function mainThreadTime() {
  if (process.platform === 'linux') {
    try {
      return Number(readFileSync(mainThread, 'latin1').split(' ', 1)[0]) / 1000;
    } catch {
      // A kernel without this account, or a /proc that hides it: the next way is as good, the last is to say nothing.
    }
  }
  if (!process.threadCpuUsage) return null;
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

/** The most memory ever resident, in MiB. The kernel's own mark where there is one: getrusage's also counts what stood here before exec. */
export function peakMemory() {
  if (process.platform === 'linux') {
    const mark = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'latin1'));
    if (mark) return Number(mark[1]) / 1024;
  }
  return process.resourceUsage().maxRSS / 1024;
}

/** The load average of the last minute; null where the system has none. */
export function loadNow() {
  return process.platform === 'win32' ? null : os.loadavg()[0];
}

/** What a reader must know before any number. */
export function describeMachine() {
  const cpus = os.cpus();
  return {
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    processor: cpus[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    load: loadNow(),
    node: process.versions.node,
  };
}

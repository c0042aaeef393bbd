/** Starts worker threads that run a script of this folder: on Node 20 a loader does not reach them by itself. */
import { Worker } from 'node:worker_threads';

const loads = `
  const { workerData } = require('node:worker_threads');
  import('tsx/esm/api').then(({ register }) => {
    register();
    return import(workerData.script);
  });
`;

/** A running worker. */
export interface Running {
  readonly thread: Worker;
  /** Resolves when it has ended, with its exit code; its last messages and this may come in one turn. */
  readonly exited: Promise<number>;
}

/** A worker that runs `<name>` of this folder with this data. */
export function worker(name: string, data: object): Running {
  const thread = new Worker(loads, {
    eval: true,
    workerData: { ...data, script: new URL(name, import.meta.url).href },
  });
  const exited = new Promise<number>((resolve, reject) => thread.once('exit', resolve).once('error', reject));
  return { thread, exited };
}

/** Waits for the message that is this; rejects when the worker ends without it. */
export async function message({ thread, exited }: Running, wanted: unknown): Promise<void> {
  const heard = new Promise<true>((resolve) => {
    thread.on('message', (got: unknown) => {
      if (got === wanted) resolve(true);
    });
  });
  if ((await Promise.race([heard, exited])) !== true)
    throw new Error(`a worker ended and never said ${String(wanted)}`);
}

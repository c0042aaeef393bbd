/** What is published on channels of `node:diagnostics_channel` while one test runs, in its order. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ExecutionContext } from 'ava';

import type {
  ConnectionNotice,
  RequestEndNotice,
  RequestErrorNotice,
  RequestHeadersNotice,
  RequestStartNotice,
} from '../../index.ts';

/** Our channels, by the last parts of their names. */
export interface Published {
  'request:start': RequestStartNotice;
  'request:headers': RequestHeadersNotice;
  'request:end': RequestEndNotice;
  'request:error': RequestErrorNotice;
  'connection:open': ConnectionNotice;
  'connection:close': ConnectionNotice;
}

/** The channels of a call. */
export const REQUEST = ['request:start', 'request:headers', 'request:end', 'request:error'] as const;

/** Hears some of our channels. */
export class Notices<Name extends keyof Published> {
  readonly heard: { [N in Name]: { name: N; message: Published[N] } }[Name][] = [];
  #waiting: (() => void)[] = [];

  /** Listens until the test ends; `also` runs inside each publication. */
  constructor(t: ExecutionContext, names: readonly Name[], also?: (message: Published[Name], name: Name) => void) {
    for (const name of names) {
      const hear = (message: unknown): void => {
        this.heard.push({ name, message } as (typeof this.heard)[number]);
        for (const wake of this.#waiting.splice(0)) wake();
        also?.(message as Published[Name], name);
      };
      subscribe(`ferropool:${name}`, hear);
      t.teardown(() => unsubscribe(`ferropool:${name}`, hear));
    }
  }

  /** The names in order, of all calls or of the one with this number. */
  names(id?: number): string[] {
    const about = (message: Published[Name]): number | undefined =>
      'request' in message ? message.request.id : undefined;
    return this.heard.filter(({ message }) => id === undefined || about(message) === id).map(({ name }) => name);
  }

  /** The messages of one channel. */
  of<N extends Name>(name: N): Published[N][] {
    return this.heard.filter((one) => one.name === name).map(({ message }) => message as Published[N]);
  }

  /** Waits for the nth message of a channel. */
  async nth<N extends Name>(name: N, n: number = 1): Promise<Published[N]> {
    for (;;) {
      const message = this.of(name)[n - 1];
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}

/** One turn of the event loop: what would be published too much had its chance. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

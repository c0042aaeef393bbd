/** Hosts that are left alone for a while (`pauseOn`), told to whoever wants to hear of it. */
import type { OnPause } from './options.ts';

/** Calls the listener; what it throws is an uncaught exception, and what it rejects with unhandled, as of any other. @internal */
export function tellOfPause(listener: OnPause | null, host: string, span: number, status: number): void {
  if (listener === null) return;
  const until = new Date(Date.now() + span);
  queueMicrotask(() => listener(host, until, { status, retryAfter: span }));
}

/** What happened to a call before its outcome, from the core's records. */
import type { ErrorRecord, PastRecord } from './boundary/engine.ts';
import type { RequestHistory } from './retry.ts';

/** Whoever knows what class an error has. */
interface Namer {
  refuse(record: ErrorRecord, url: string, method: string): Error;
}

/** @internal */
export function historyOf(past: readonly PastRecord[], owner: Namer): RequestHistory[] {
  return past.map(({ method, url, error, status, redirectLocation }) => ({
    method,
    url,
    error: error === null ? null : owner.refuse(error, url, method),
    status,
    redirectLocation,
  }));
}

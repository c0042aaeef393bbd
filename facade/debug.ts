/**
 * Lines for people on stderr, with `NODE_DEBUG=ferropool`: what urllib3 logs at its debug level, in its words. They hold no
 * query, no user info, no header and no body, since logs outlive secrets.
 */
import { debuglog } from 'node:util';

import type { ConnectionFacts } from './boundary/engine.ts';
import { withoutSecrets } from './secrets.ts';
import type { HTTPResponse } from './response.ts';
import type { RequestHistory } from './retry.ts';
import type { Follower, Seen } from './seen.ts';

const log = debuglog('ferropool');

/** Whether anybody reads them: known once, at the start of the process. @internal */
export const debugging: boolean = log.enabled;

/** A call as one line, when it has its response or has none. @internal */
export class DebugLine implements Follower {
  readonly #seen: Seen;

  constructor(seen: Seen) {
    this.#seen = seen;
  }

  head(response: HTTPResponse): void {
    const history = response.retries?.history ?? [];
    debugHistory(history, response.url);
    const length = response.inflow === null ? response.bytesRead : response.headers.get('content-length');
    const what = this.#last(history, response.url, response.version === 20 ? 'HTTP/2' : 'HTTP/1.1');
    log('%s %d %s', what, response.status, length === undefined ? 'none' : shown(String(length)));
  }

  end(): void {
    // The line has been written.
  }

  error(error: unknown): void {
    const { history = [], url = '' } = (error ?? {}) as { history?: RequestHistory[]; url?: string };
    const past = Array.isArray(history) ? history : [];
    debugHistory(past, url);
    log('%s failed: %s', this.#last(past, url), named(error));
  }

  /** What was asked for last: not what the call was made for, once redirects led elsewhere. */
  #last(history: readonly RequestHistory[], url: string, version: string = 'HTTP/1.1'): string {
    const { method, url: first } = this.#seen;
    const moved = history.findLast((past) => past.redirectLocation !== null);
    return moved === undefined || url === '' ? asked(method, first, version) : asked(moved.method, url, version);
  }
}

function asked(method: string, url: string, version: string): string {
  const [, origin = '', path = ''] = /^([a-z]+:\/\/[^/?#]+)?(.*)$/is.exec(shown(url)) ?? [];
  const port = origin === '' || /:\d+$/.test(origin) ? '' : `:${origin.startsWith('https:') ? 443 : 80}`;
  return `${origin}${port} "${shown(method)} ${path === '' ? '/' : path} ${version}"`;
}

/** `Starting new HTTP connection (1): localhost:8080`: once it is there; a dial that fails stands with its call. @internal */
export function debugOpened({ pool: { scheme, host, port, number }, proxy }: ConnectionFacts): void {
  const through = proxy === null ? '' : ` through ${proxy.url}`;
  log('Starting new %s connection (%d): %s%s', scheme.toUpperCase(), number, place(host, port), through);
}

/** @internal */
export function debugClosed({ pool: { scheme, host, port, number } }: ConnectionFacts, reason: string): void {
  log('Closed %s connection (%d): %s: %s', scheme.toUpperCase(), number, place(host, port), reason);
}

/** What happened to a call before its outcome; told with it, since the core does not stop to tell. */
function debugHistory(history: readonly RequestHistory[], last: string): void {
  for (const [nth, { url, error, redirectLocation }] of history.entries()) {
    if (redirectLocation !== null) log('Redirecting %s -> %s', shown(url), shown(history[nth + 1]?.url ?? last));
    else if (error === null) log('Retry: %s', shown(url));
    else log('Retrying after connection broken by %s: %s', named(error), shown(url));
  }
}

function place(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Its class and code: a message may quote what a log should not hold. */
function named(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? `${error.name} ${code}` : error.name;
}

/** On one line, whatever was asked for: what a URL may not hold reaches here when a call is refused for it. */
function shown(text: string): string {
  return withoutSecrets(text).replaceAll(/[^\x21-\x7e]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

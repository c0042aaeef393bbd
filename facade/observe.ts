/**
 * Calls as others see them: one beginning and one end each, told to whoever listens. Nobody listens to most calls, so all
 * that those pay is {@link isWatched}.
 *
 * A call that is refused before it begins (for its arguments, by a closed pool, by a signal that is aborted already) is not
 * told of.
 */
import { argumentError } from './arguments.ts';
import type { ConnectionFacts, Owner } from './boundary/engine.ts';
import { listenToNotices } from './boundary/notices.ts';
import type { Inflow } from './boundary/stream.ts';
import type { PoolCall } from './call.ts';
import { areChannelsHeard, ChannelEvents, tellClosed, tellOpened } from './channels.ts';
import { debugClosed, debugging, DebugLine, debugOpened } from './debug.ts';
import { withoutUserInfo } from './secrets.ts';
import { HTTPHeaderDict, wireLines, type HeaderValue } from './headers.ts';
import type { HTTPResponse, Timings } from './response.ts';
import { withoutCredentials, type CallEnd, type Follower, type Seen } from './seen.ts';
import { isUndiciHeard, UndiciEvents } from './undici-channels.ts';
import { emitWarning } from './warnings.ts';

/** Whose channels there are. @internal */
export const SUITES = ['ferropool', 'undici'] as const;
export type Suite = (typeof SUITES)[number];

let own = true;
let undici = false;

/** From now on these channels are published on, and no others. @internal */
export function publishOn(suites: readonly Suite[]): void {
  own = suites.includes('ferropool');
  undici = suites.includes('undici');
}

/** Whether anybody wants to hear of a call that begins now. @internal */
export function isWatched(): boolean {
  return debugging || (own && areChannelsHeard()) || (undici && isUndiciHeard());
}

/**
 * Sends a call that somebody watches. `goOn` is what there is to do between its head and its outcome, if anything. Its beginning is told here and now, in the caller's context, before anything of it has
 * been written down; what follows is told in the caller's context too.
 *
 * @internal
 */
export function watch(
  owner: Owner,
  call: PoolCall,
  poolHeaders: HTTPHeaderDict,
  signal: AbortSignal | null,
  send: () => Promise<HTTPResponse>,
  goOn: ((response: HTTPResponse) => Promise<HTTPResponse>) | null,
): Promise<HTTPResponse> {
  const followers = begin(owner, call, poolHeaders);
  let outcome: Promise<HTTPResponse>;
  try {
    // Whoever heard of the beginning may have aborted it.
    if (signal?.aborted === true) {
      call.source?.discard?.();
      throw signal.reason;
    }
    outcome = send();
  } catch (error) {
    for (const one of followers) one.error(error);
    throw error;
  }
  const fail = (error: unknown): never => {
    for (const one of followers) one.error(error);
    throw error;
  };
  const follow = (response: HTTPResponse): HTTPResponse => {
    const { inflow, timings } = response;
    if (inflow !== null) void followBody(followers, inflow, timings);
    else {
      const trailers = [...response.trailers].flat();
      for (const one of followers) one.end({ timings, bytesRead: response.bytesRead, trailers });
    }
    return response;
  };
  return outcome.then((response) => {
    for (const one of followers) one.head(response);
    return goOn === null ? follow(response) : goOn(response).then(follow, fail);
  }, fail);
}

/** Holds the body's queue and never its response, whose collection is how a body that nobody reads is noticed. */
async function followBody(followers: readonly Follower[], inflow: Inflow, timings: Timings | null): Promise<void> {
  await inflow.whenOver();
  const { ending, failure } = inflow;
  if (failure !== null || ending === null) {
    for (const one of followers) one.error(failure?.error);
    return;
  }
  const spans = { body: measured(ending.body), total: measured(ending.total) };
  const end: CallEnd = {
    timings: timings === null ? null : { ...timings, ...spans },
    bytesRead: ending.wire,
    trailers: ending.trailers.split('\n').slice(0, -1),
  };
  for (const one of followers) one.end(end);
}

function begin(owner: Owner, call: PoolCall, poolHeaders: HTTPHeaderDict): Follower[] {
  calls += 1;
  const headers = new HTTPHeaderDict(call.lines === null ? poolHeaders : pairs(call.lines));
  let begun = false;
  const seen: Seen = {
    id: calls,
    method: call.method,
    url: withoutUserInfo(owner.locate(call.url, call.fields)),
    headers: withoutCredentials(headers),
    addHeader(name, value) {
      if (begun) {
        const message = `a header comes too late: they are added while the call's beginning is told`;
        throw argumentError('type', 'ERR_INVALID_HEADER', message);
      }
      const added = wireLines([[name, value]]);
      call.lines = [...(call.lines ?? wireLines(poolHeaders)), ...added];
      const [shown] = [...withoutCredentials(new HTTPHeaderDict(pairs(added)))];
      if (shown !== undefined) seen.headers.add(...shown);
    },
  };
  const followers: Follower[] = [];
  if (own && areChannelsHeard()) followers.push(new ChannelEvents(seen));
  if (undici && isUndiciHeard()) {
    const events = UndiciEvents.of(seen);
    if (events !== null) followers.push(events);
  }
  if (debugging) followers.push(new DebugLine(seen));
  begun = true;
  return followers;
}

function pairs(lines: readonly (string | symbol)[]): [string, HeaderValue][] {
  return Array.from({ length: lines.length >> 1 }, (_, at) => [
    lines[2 * at] as string,
    lines[2 * at + 1] as HeaderValue,
  ]);
}

function measured(milliseconds: number): number | null {
  return Number.isNaN(milliseconds) ? null : milliseconds;
}

listenToNotices({
  opened(json) {
    const facts = (): ConnectionFacts => JSON.parse(json) as ConnectionFacts;
    if (debugging) debugOpened(facts());
    if (own) tellOpened(facts);
  },
  closed(json, reason) {
    const facts = (): ConnectionFacts => JSON.parse(json) as ConnectionFacts;
    if (debugging) debugClosed(facts(), reason);
    if (own) tellClosed(facts, reason);
  },
  warned(code, message) {
    emitWarning(code === 'FERROPOOL_INSECURE_REQUEST' ? 'InsecureRequestWarning' : 'FerropoolWarning', code, message);
  },
});

let calls = 0;

/** `Retry`: what it takes, what it answers, and where it parts from urllib3's. What a request does by it is in other specs. */
import { inspect } from 'node:util';
import test from 'ava';
import { addon, guarded } from '../facade/boundary/load.ts';
import { ERRORS } from '../facade/boundary/generated.ts';
import * as errors from '../facade/errors.ts';
import { errorFromRecord } from '../facade/error-record.ts';
import { HTTPResponse } from '../facade/response.ts';
import { Retry } from '../facade/retry.ts';
import type { RequestHistory, RetryJSON, RetryLike, RetryOptions } from '../facade/retry.ts';
import { vectors } from './support/vectors.ts';
import type { Raised } from './support/vectors.ts';

const { ConnectTimeoutError, MaxRetryError, ProxyError, ReadTimeoutError, ResponseError, SSLError } = errors;
const range = { instanceOf: RangeError, code: 'ERR_INVALID_OPTION' };
const type = { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' };

/** What a call throws; `null` if nothing. */
function thrownBy(call: () => unknown): Error | null {
  try {
    call();
    return null;
  } catch (error) {
    return error as Error;
  }
}

const countsOf = ({ total, connect, read, redirect, status, other }: RetryJSON): unknown[] => [
  total,
  connect,
  read,
  redirect,
  status,
  other,
];

test('RETRY-01 RETRY-02: the defaults are urllib3s, in milliseconds, and the cores', (t) => {
  const retry = new Retry();
  t.deepEqual(retry.toJSON(), {
    total: 10,
    connect: null,
    read: null,
    redirect: null,
    status: null,
    other: null,
    allowedMethods: ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PUT', 'TRACE'],
    statusForcelist: [],
    backoffFactor: 0,
    backoffMin: 0,
    backoffMax: 120_000,
    backoffJitter: 0,
    raiseOnRedirect: true,
    raiseOnStatus: true,
    respectRetryAfterHeader: true,
    removeHeadersOnRedirect: ['authorization', 'cookie', 'proxy-authorization'],
    retryAfterMax: 21_600_000,
  });
  t.deepEqual(retry.history, []);
  t.deepEqual(JSON.parse(addon.retryDefaults()), retry.toJSON());
  t.deepEqual(Retry.DEFAULT, retry.with({ total: 3 }));
  t.is(retry.allowedMethods, Retry.DEFAULT_ALLOWED_METHODS);
  t.is(retry.removeHeadersOnRedirect, Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT);
  t.deepEqual(Retry.RETRY_AFTER_STATUS_CODES, [413, 429, 503]);
  t.deepEqual([Retry.DEFAULT_BACKOFF_MAX, Retry.DEFAULT_RETRY_AFTER_MAX], [120_000, 21_600_000]);
});

interface FromInt {
  retries: boolean | number | null;
  redirect: boolean | number | null;
  default: RetryLike;
  result: Record<'total' | 'connect' | 'read' | 'redirect' | 'status' | 'other' | 'raiseOnRedirect', unknown>;
}

test('RETRY-03 RETRY-08: fromInt takes what urllib3 takes', (t) => {
  for (const row of vectors<FromInt>('retry-from-int.json')) {
    const retry = Retry.fromInt(row.retries, { redirect: row.redirect, default: row.default });
    const { total, connect, read, redirect, status, other, raiseOnRedirect } = retry;
    // Python's True is a number.
    const expected = { ...row.result, total: row.result.total === true ? 1 : row.result.total };
    t.deepEqual(
      { total, connect, read, redirect, status, other, raiseOnRedirect },
      expected as never,
      JSON.stringify(row),
    );
  }
  const own = new Retry({ total: 7 });
  t.is(Retry.fromInt(own, { redirect: false }), own);
  t.is(Retry.fromInt(), Retry.DEFAULT);
  t.is(Retry.fromInt(undefined, { default: own }), own);
  t.is(Retry.fromInt(4).redirect, null);
  for (const wrong of ['3', { total: 3 }, [3], Symbol('3')]) {
    const message = /^retries takes a number, false, null or new Retry\(\{ … \}\), not an? /;
    t.throws(() => Retry.fromInt(wrong as never), { ...type, message });
  }
  t.throws(() => Retry.fromInt(1.5), { ...range, message: 'retries is a whole number, not 1.5' });
  t.throws(() => Retry.fromInt(3, { redirekt: true } as never), { ...type, message: /did you mean 'redirect'/ });
});

test('RETRY-04: it is frozen, and with() copies everything else', (t) => {
  const history: RequestHistory[] = [{ method: 'GET', url: '/', error: null, status: 500, redirectLocation: null }];
  const given: RetryOptions = {
    total: 5,
    connect: 1,
    read: 2,
    redirect: 3,
    status: 4,
    other: false,
    allowedMethods: new Set(['POST']),
    statusForcelist: new Set([500, 503]),
    backoffFactor: 1,
    backoffMin: 2,
    backoffMax: 3,
    backoffJitter: 4,
    raiseOnRedirect: false,
    raiseOnStatus: false,
    respectRetryAfterHeader: false,
    removeHeadersOnRedirect: ['X-Api'],
    retryAfterMax: 6,
    history,
  };
  const retry = new Retry(given);
  const { history: kept, ...settings } = given;
  t.deepEqual({ ...retry.toJSON() }, {
    ...settings,
    allowedMethods: ['POST'],
    statusForcelist: [500, 503],
    removeHeadersOnRedirect: ['x-api'],
  } as never);
  t.deepEqual(retry.history, kept as never);
  const changed = retry.with({ total: 9, connect: undefined });
  t.deepEqual(changed.toJSON(), { ...retry.toJSON(), total: 9 });
  t.is(changed.history[0], history[0]);
  t.deepEqual(retry.new({ total: 9 }), changed);
  t.deepEqual(retry.with(), retry);
  for (const part of [retry, retry.history, retry.allowedMethods, retry.statusForcelist]) t.true(Object.isFrozen(part));
  // What it was made of may change.
  history.pop();
  t.is(retry.history.length, 1);
  t.deepEqual(new Retry(JSON.parse(JSON.stringify(retry)) as RetryOptions).toJSON(), retry.toJSON());
});

interface Increment {
  retry: Record<string, unknown>;
  event: [kind: string, method: string | null, what: string | number | null];
  counts: unknown[][];
  ok?: boolean;
  throws?: string;
  reason?: Raised | null;
  lastHistory: [string | null, string, string | null, number | null, string | null] | null;
}

const made: Record<string, () => Error> = {
  ConnectTimeoutError: () => new ConnectTimeoutError('connect'),
  NewConnectionError: () => new errors.NewConnectionError('refused', { code: 'ECONNREFUSED' }),
  NameResolutionError: () => new errors.NameResolutionError('dns'),
  ReadTimeoutError: () => new ReadTimeoutError(null, '/', 'read'),
  ProtocolError: () => new errors.ProtocolError('Connection aborted.'),
  IncompleteRead: () => new errors.IncompleteRead(Buffer.from('a'), 2),
  SSLError: () => new SSLError('tls'),
  'ProxyError(ConnectTimeoutError)': () => new ProxyError('p', new ConnectTimeoutError('c')),
  'ProxyError(SSLError)': () => new ProxyError('p', new SSLError('s')),
  'ProxyError(ReadTimeoutError)': () => new ProxyError('p', new ReadTimeoutError(null, '/', 'r')),
  DecodeError: () => new errors.DecodeError('d'),
};

test('RETRY-05 RETRY-06 RETRY-07 RETRY-08 RETRY-09 RETRY-12: increment counts as urllib3 does', (t) => {
  let different = 0;
  for (const row of vectors<Increment>('retry-increment.json')) {
    const [kind, method, what] = row.event;
    const shown = JSON.stringify([row.retry, row.event]);
    const error = kind === 'error' ? (made[String(what)] as () => Error)() : null;
    const headers = kind === 'redirect' ? { location: '/next' } : {};
    const response = typeof what === 'number' ? new HTTPResponse(null, { status: what, headers }) : null;
    const next = (retry: Retry): Retry => retry.increment(method, '/u', { error, response });
    const start = new Retry(row.retry);
    const none = start.allowedMethods?.length === 0 && /^(ReadTimeout|Protocol)Error$/.test(String(what));
    if (what === 'DecodeError' || none) {
      // RETRY-20: never retried. RETRY-10 ≠: an empty list is no method.
      different += 1;
      t.is(
        thrownBy(() => next(start)),
        error,
        shown,
      );
      continue;
    }
    let retry = start;
    for (const counts of row.counts) {
      retry = next(retry);
      t.deepEqual(countsOf(retry.toJSON()), counts, shown);
    }
    const last = retry.history.at(-1);
    const entry = last && [
      last.method === '' ? null : last.method,
      last.url,
      last.error?.name ?? null,
      last.status,
      last.redirectLocation,
    ];
    t.deepEqual(entry ?? null, row.lastHistory, shown);
    t.is(retry.history.length, row.counts.length);
    if (row.ok === true) continue;
    const thrown = thrownBy(() => next(retry));
    t.is(thrown?.name, row.throws?.replace(/\(.*/, ''), shown);
    if (!(thrown instanceof MaxRetryError)) {
      t.is(thrown, error, shown);
      continue;
    }
    t.is(thrown.reason?.name, row.reason?.type, shown);
    t.is(thrown.cause, thrown.reason, shown);
    if (error !== null) t.is(thrown.reason, error, shown);
    else t.is(thrown.reason?.message, row.reason?.message, shown);
  }
  t.is(different, 70);
});

test('RETRY-09: MaxRetryError has the pool, the URL and the reason', (t) => {
  const pool = { toString: () => "HTTPConnectionPool(host='h', port=80)" };
  const response = new HTTPResponse(null, { status: 503 });
  const once = new Retry({ total: 0 });
  const error = t.throws(() => once.increment('GET', '/a?secret', { response, pool }), { instanceOf: MaxRetryError });
  t.is(
    error?.message,
    `${String(pool)}: Max retries exceeded with url: /a (Caused by ResponseError: too many 503 error responses)`,
  );
  t.is(error?.pool, pool);
  t.is(error?.code, 'ERR_MAX_RETRY');
  const reason = error?.reason;
  t.is(reason instanceof ResponseError && reason.status, 503);
  t.throws(() => once.increment('GET', '/', { respones: response } as never), type);
});

test('RETRY-06 RETRY-20: every error of the core is counted as the core counts it', (t) => {
  const empty = { message: 'x', phase: null, during: null, host: null, attempts: 0, elapsed: 0, sent: false };
  const rest = {
    url: null,
    below: null,
    history: [],
    reason: null,
    limit: null,
    allowed: null,
    partial: null,
    status: null,
    expected: null,
    received: null,
    causes: [],
    refusal: null,
    chain: null,
    asserted: null,
  };
  let thrown = 0;
  for (const { className, code, retried } of ERRORS) {
    // Of two that differ in it alone.
    const reason = code === 'ERR_PROTOCOL' && retried === 'connect' ? 'ERR_H2_REFUSED' : null;
    const error = errorFromRecord({ ...empty, ...rest, reason, className, code }, { pool: null, url: '/' });
    const next = (): Retry => new Retry({ connect: 5, read: 5, other: 5 }).increment('GET', '/', { error });
    if (retried === null) {
      thrown += 1;
      t.is(thrownBy(next), error, `${className} ${code}`);
    } else t.is(next()[retried], 4, `${className} ${code}`);
  }
  t.true(thrown > 15 && thrown < ERRORS.length);
  // The system's codes, and classes of somebody's own.
  class Own extends ReadTimeoutError {
    override readonly name: string = 'Own';
  }
  t.is(new Retry({ read: 1 }).increment('GET', '/', { error: new Own(null, '/') }).read, 0);
  const reset = new errors.ProtocolError('Connection aborted.', { code: 'ECONNRESET' });
  t.is(new Retry({ read: 1 }).increment('GET', '/', { error: reset }).read, 0);
  t.is(new Retry({ other: 1 }).increment('POST', '/', { error: new Error('x') }).other, 0);
});

test('TLS-19 RETRY-07: increment asks for the method where TLS broke after the request went out, and counts it as `other`', (t) => {
  const retry = new Retry({ other: 5 });
  for (const phase of ['send', 'headers', 'body', null] as const) {
    const error = new SSLError('tls', { phase, sent: true });
    t.is(
      thrownBy(() => retry.increment('POST', '/', { error })),
      error,
    );
    t.is(retry.increment('GET', '/', { error }).other, 4);
    t.is(retry.with({ allowedMethods: null }).increment('POST', '/', { error }).other, 4);
    t.is(retry.increment('POST', '/', { error: new SSLError('tls', { phase }) }).other, 4);
  }
  // A redirect's first hop was sent, and the handshake with the next one failed.
  for (const phase of ['dns', 'connect', 'proxy', 'tls'] as const) {
    t.is(retry.increment('POST', '/', { error: new SSLError('tls', { phase, sent: true }) }).other, 4);
  }
});

interface IsRetry {
  retry: {
    total: number | false | null;
    statusForcelist: (number | string)[] | null;
    allowedMethods: 'default' | string[] | null;
    respectRetryAfterHeader: boolean;
  };
  method: string;
  retried: number[];
  retriedWithRetryAfter: number[];
}

test('RETRY-10 RETRY-14: isRetry says what urllib3 says', (t) => {
  let without = 0;
  let refused = 0;
  for (const { retry: given, method, retried, retriedWithRetryAfter } of vectors<IsRetry>('retry-is-retry.json')) {
    const { allowedMethods, ...others } = given;
    const options = allowedMethods === 'default' ? others : { ...others, allowedMethods };
    if (given.statusForcelist?.some((status) => typeof status === 'string') === true) {
      // urllib3 takes '418' and never matches it.
      refused += 1;
      t.throws(() => new Retry(options as RetryOptions), { ...type, message: /statusForcelist has items.*number/ });
      continue;
    }
    const retry = new Retry(options as RetryOptions);
    const yes = (has?: boolean): number[] =>
      [200, 301, 413, 418, 429, 500, 503].filter((status) => retry.isRetry(method, status, has));
    t.deepEqual(yes(), retried);
    const expected = given.total === null && /^(get|trace)$/i.test(method) ? [413, 429, 503] : retriedWithRetryAfter;
    // WART-02: without a total there are retries left.
    if (expected !== retriedWithRetryAfter) without += 1;
    t.deepEqual(yes(true), expected, JSON.stringify(given));
  }
  t.deepEqual([without, refused], [3, 6]);
  t.false(new Retry({ allowedMethods: [], statusForcelist: [500] }).isRetry('GET', 500));
  t.true(new Retry({ allowedMethods: false, statusForcelist: [500] }).isRetry('X', 500));
  t.true(new Retry({ allowedMethods: ['post'], statusForcelist: [500] }).isRetry('Post', 500));
});

interface Backoff {
  retry: { backoffFactor: number; backoffMax?: number; redirect?: number };
  afterNErrors?: number[];
  sequence?: [event: 'e' | 'r', seconds: number][];
}

test('RETRY-13: back-off grows as urllib3s, in milliseconds', (t) => {
  const { error, response } = {
    error: new ReadTimeoutError(null, '/'),
    response: new HTTPResponse(null, { status: 302, headers: { location: '/' } }),
  };
  for (const { retry: given, afterNErrors, sequence } of vectors<Backoff>('retry-backoff.json')) {
    if (given.backoffFactor < 0) {
      t.throws(() => new Retry({ backoffFactor: given.backoffFactor * 1000 }), range);
      continue;
    }
    let retry = new Retry({
      total: 100,
      redirect: given.redirect ?? null,
      backoffFactor: given.backoffFactor * 1000,
      backoffMax: (given.backoffMax ?? 120) * 1000,
    });
    for (const seconds of afterNErrors ?? []) {
      t.is(Math.round(retry.getBackoffTime()), Math.round(seconds * 1000));
      retry = retry.increment('GET', '/', { error });
    }
    for (const [event, seconds] of sequence ?? []) {
      retry = retry.increment('GET', '/', event === 'r' ? { response } : { error });
      t.is(Math.round(retry.getBackoffTime()), Math.round(seconds * 1000));
    }
  }
});

test('RETRY-13: jitter is added from the second retry on, and backoffMin holds from the first', (t) => {
  const error = new ReadTimeoutError(null, '/');
  const once = new Retry({ backoffFactor: 100, backoffJitter: 50 }).increment('GET', '/', { error });
  const twice = once.increment('GET', '/', { error });
  const waits = Array.from({ length: 200 }, () => twice.getBackoffTime());
  t.true(waits.every((wait) => wait >= 200 && wait < 250));
  t.true(new Set(waits).size > 100);
  t.is(once.getBackoffTime(), 0);
  t.is(once.with({ backoffMin: 30 }).getBackoffTime(), 30);
  t.is(new Retry({ backoffMin: 30 }).getBackoffTime(), 0);
  t.is(twice.with({ backoffMin: 30, backoffMax: 20 }).getBackoffTime(), 20);
});

interface After {
  value: string;
  retryAfterMax: number;
  seconds: { value: number } | { error: Raised };
}

/** `Date.now` is the one clock that Retry looks at. */
test.serial('RETRY-15: a Retry-After is read as urllib3 reads it', (t) => {
  const now = Date.now;
  try {
    Date.now = () => 1_559_559_600_000;
    for (const { value, retryAfterMax, seconds } of vectors<After>('retry-after.json')) {
      const retry = new Retry({ retryAfterMax: retryAfterMax * 1000 });
      // Python carries a 99th of June over into September.
      if ('error' in seconds || value.startsWith('Mon, 99 Jun')) {
        const error = t.throws(() => retry.parseRetryAfter(value), { instanceOf: errors.InvalidHeader });
        t.is(error?.message, `Invalid Retry-After header: ${value}`);
      } else t.is(retry.parseRetryAfter(value), seconds.value * 1000, value);
    }
  } finally {
    Date.now = now;
  }
  t.throws(() => new Retry().parseRetryAfter(5 as never), type);
});

test('RETRY-15 WART-02: a response without a readable Retry-After asks for nothing', (t) => {
  const asked = (headers: Record<string, string>): number | null =>
    new Retry().getRetryAfter(new HTTPResponse(null, { status: 503, headers }));
  t.is(asked({ 'Retry-After': '7' }), 7000);
  t.is(asked({ 'Retry-After': '0' }), 0);
  t.is(asked({ 'Retry-After': '99999999' }), 21_600_000);
  t.is(asked({ 'Retry-After': 'soon' }), null);
  t.is(asked({}), null);
});

const wrong: [options: unknown, expected: { code: string }, message: RegExp][] = [
  [{ totel: 1 }, type, /no option 'totel'; did you mean 'total'/],
  [5, type, /an object of options/],
  [{ total: '3' }, type, /total is a whole number, null or false, not a string/],
  [{ read: 1.5 }, range, /read is a whole number, not 1.5/],
  [{ connect: Infinity }, range, /null does not count/],
  [{ total: Number.NaN }, range, /NaN/],
  [{ backoffFactor: 0.5 }, range, /backoffFactor is 0.5, but times are in milliseconds; 0.5 s would be 500/],
  [{ backoffJitter: 0.1 }, range, /milliseconds/],
  [{ backoffMin: 0.2 }, range, /milliseconds/],
  [{ backoffMax: 0.9 }, range, /milliseconds/],
  [{ retryAfterMax: 0.9 }, range, /milliseconds/],
  [{ backoffMax: -1 }, range, /from 0 on/],
  [{ backoffMax: Infinity }, range, /finite/],
  [{ backoffMax: Number.NaN }, range, /NaN/],
  [{ backoffMax: null }, type, /not null/],
  [{ allowedMethods: 'GET' }, type, /another iterable, not a string/],
  [{ allowedMethods: true }, type, /not a boolean/],
  [{ allowedMethods: [1] }, type, /items of the type string, not a number/],
  [{ statusForcelist: 500 }, type, /not a number/],
  [{ statusForcelist: [99] }, range, /100 to 999, not 99/],
  [{ statusForcelist: [500.5] }, range, /500.5/],
  [{ removeHeadersOnRedirect: null }, type, /not null/],
  [{ raiseOnStatus: 1 }, type, /raiseOnStatus is true or false/],
  [{ raiseOnRedirect: null }, type, /raiseOnRedirect/],
  [{ respectRetryAfterHeader: 'no' }, type, /respectRetryAfterHeader/],
  [{ history: [null] }, type, /history has items of the type object, not null/],
];
for (const [options, expected, message] of wrong) {
  test(`RETRY-01 RETRY-13: refuses ${inspect(options)}`, (t) => {
    t.throws(() => new Retry(options as RetryOptions), { ...expected, message });
  });
}

test('RETRY-01 THR-522: a property of a polluted prototype is no option', (t) => {
  const prototype = Object.prototype as RetryOptions;
  try {
    prototype.total = 0;
    t.is(new Retry({}).total, 10);
  } finally {
    delete prototype.total;
  }
});

test('RETRY-19: as text it shows five counters, and nothing of its history', (t) => {
  const retry = new Retry({ read: false, status: 0 });
  t.is(String(retry), 'Retry(total=10, connect=null, read=false, redirect=null, status=0)');
  t.is(inspect({ retry }), `{\n  retry: ${String(retry)}\n}`);
  class Patient extends Retry {}
  t.regex(String(new Patient()), /^Patient\(total=10,/);
});

test('RETRY-04: a subclass keeps its class, and is asked where it overrides a decision', (t) => {
  class Plain extends Retry {
    readonly label = 'kept';
  }
  class Own extends Retry {
    override isExhausted(): boolean {
      return this.history.length > 1;
    }
    override isRetry(method: string, status: number): boolean {
      return method === 'GET' && status === 418;
    }
  }
  const error = new ConnectTimeoutError('x');
  const plain = new Plain({ total: 1 });
  t.true(Retry.isPlain(plain) && Retry.isPlain(Retry.DEFAULT));
  const left = plain.increment('GET', '/', { error });
  t.true(left instanceof Plain);
  t.is(left.label, 'kept');
  t.throws(() => left.increment('GET', '/', { error }), { instanceOf: MaxRetryError });
  t.true(Plain.fromInt(2) instanceof Plain);
  const own = new Own({ total: 0 });
  t.false(Retry.isPlain(own));
  t.true(own.isRetry('GET', 418));
  const first = own.increment('GET', '/', { error });
  t.is(first.total, -1);
  t.throws(() => first.increment('GET', '/', { error }), { instanceOf: MaxRetryError });
});

test('RETRY-04: what a response comes back with keeps every setting', (t) => {
  const retry = new Retry({ total: 3, backoffFactor: 7 });
  const history = [{ method: 'GET', url: '/', error: null, status: 302, redirectLocation: '/x' }];
  const counts = { total: 2, connect: null, read: null, redirect: null, status: null, other: null };
  const left = retry.left(counts, history);
  t.deepEqual(left.toJSON(), { ...retry.toJSON(), total: 2 });
  t.deepEqual(left.history, history);
  t.deepEqual(JSON.parse(left.wire()), left.toJSON());
  t.is(left.wire(), left.wire());
});

test('RETRY-04 THR-510: what a method is given has the right type, or is refused by its name and never shown', (t) => {
  const retry = new Retry({ total: 0 });
  const secret = { method: 'GET', headers: { authorization: 'Bearer SECRET' } };
  const error = new Error('x');
  for (const [call, message] of [
    [() => retry.increment(secret as never, '/'), 'a method is a string or null, not an object'],
    [() => retry.increment('GET', secret as never), 'a URL is a string, not an object'],
    [() => (retry.increment as () => Retry)(), 'a URL is a string, not undefined'],
    [() => retry.increment('GET', '/', { error: 'Bearer SECRET' as never }), 'error is an Error, not a string'],
    [() => retry.increment('GET', '/', { response: secret as never }), /^response is a response, with a status/],
    [() => retry.isRetry(5 as never, 503), 'a method is a string, not a number'],
    [() => retry.isRetry('GET', '503' as never), 'status is an integer, not a string'],
    [() => (retry.isRetry as () => boolean)(), 'a method is a string, not undefined'],
    [() => retry.isRetry('GET', 503, 'yes' as never), 'hasRetryAfter is a boolean, not a string'],
    [() => retry.getRetryAfter(undefined as never), /^response is a response, with a status.+, not undefined$/],
    [() => retry.getRetryAfter({ status: 503 } as never), /^response is a response, with a status/],
    [() => retry.parseRetryAfter(5 as never), 'the value of a header is a string, not a number'],
    [() => retry.with(null as never), 'Retry takes an object of options, not null'],
    [() => retry.new(7 as never), 'Retry takes an object of options, not a number'],
  ] as const) {
    const thrown = t.throws(call, { ...type, message });
    t.notRegex(inspect(thrown), /SECRET|panick/);
  }
  t.throws(() => retry.isRetry('GET', 503.5), { ...range, message: 'status is an integer from 0 to 999, not 503.5' });
  // As in urllib3 nothing needs to be known of the method, and a subclass's own options are its own to judge.
  t.throws(() => retry.increment(null, '/', { error }), { instanceOf: MaxRetryError });
  t.is(new Retry({ total: 1 }).increment(undefined as never, '/').history[0]?.method, '');
});

test('RETRY-05: true is a total of 1, and nothing else that is counted', (t) => {
  t.is(new Retry({ total: true }).total, 1);
  for (const name of ['connect', 'read', 'redirect', 'status', 'other'] as const) {
    const message = `${name} is a whole number, null or false, not a boolean`;
    t.throws(() => new Retry({ [name]: true }), { ...type, message });
  }
});

test('THR-1109: what the binary does not take is a bug of ours, not a panic, and is not shown', (t) => {
  const refused = () => guarded(() => addon.retryIsRetry({ token: 'SECRET' } as never, 'GET', 503, false));
  const thrown = t.throws(refused, { code: 'ERR_INTERNAL' });
  t.notRegex(inspect(thrown), /SECRET|panick/);
  t.is(thrown.message, 'ferropool passed to its core what that does not take (StringExpected); please report it');
});

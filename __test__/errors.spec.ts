/** The tree of errors, and the way from the core's record to an object of it. */
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import test from 'ava';
import { argumentError } from '../facade/arguments.ts';
import { errorFromRecord } from '../facade/error-record.ts';
import type { ErrorRecord } from '../facade/error-record.ts';
import * as errors from '../facade/errors.ts';
import type { Phase } from '../facade/errors.ts';

const pool = { toString: () => "HTTPConnectionPool(host='localhost', port=null)" };
const url = '/path?token=secret';
const context = { pool, url };

function record(given: Partial<ErrorRecord>): ErrorRecord {
  return {
    className: 'HTTPError',
    code: 'ERR_INTERNAL',
    url: null,
    below: null,
    history: [],
    phase: null,
    during: null,
    message: 'said',
    host: 'localhost:80',
    attempts: 2,
    elapsed: 12.5,
    sent: true,
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
    ...given,
  };
}

/** One of each class, with its parents from the nearest to the root. */
const tree: [error: Error, ...parents: string[]][] = [
  [new errors.HTTPError()],
  [new errors.PoolError(pool), 'HTTPError'],
  [new errors.EmptyPoolError(pool), 'PoolError', 'HTTPError'],
  [new errors.FullPoolError(pool), 'PoolError', 'HTTPError'],
  [new errors.ClosedPoolError(pool), 'PoolError', 'HTTPError'],
  [new errors.RequestError(pool, url), 'PoolError', 'HTTPError'],
  [new errors.MaxRetryError(pool, url, null), 'RequestError', 'PoolError', 'HTTPError'],
  [new errors.HostChangedError(pool, url), 'RequestError', 'PoolError', 'HTTPError'],
  [new errors.ReadTimeoutError(pool, url), 'RequestError', 'PoolError', 'HTTPError', 'TimeoutError'],
  [new errors.TimeoutError(), 'HTTPError'],
  [new errors.ConnectTimeoutError(), 'TimeoutError', 'HTTPError'],
  [new errors.NewConnectionError(), 'ConnectTimeoutError', 'TimeoutError', 'HTTPError'],
  [new errors.NameResolutionError(), 'NewConnectionError', 'ConnectTimeoutError', 'TimeoutError', 'HTTPError'],
  [new errors.SSLError(), 'HTTPError'],
  [new errors.ProxyError(), 'HTTPError'],
  [new errors.DecodeError(), 'HTTPError'],
  [new errors.ProtocolError(), 'HTTPError'],
  [new errors.IncompleteRead(Buffer.from('x'), 1), 'HTTPError'],
  [new errors.InvalidChunkLength('zz', Buffer.from('x')), 'HTTPError'],
  [new errors.ResponseError(), 'HTTPError'],
  [new errors.InvalidHeader(), 'HTTPError'],
  [new errors.HeaderParsingError(), 'HTTPError'],
  [new errors.LocationValueError(), 'HTTPError'],
  [new errors.LocationParseError(), 'LocationValueError', 'HTTPError'],
  [new errors.URLSchemeUnknown(), 'LocationValueError', 'HTTPError'],
  [new errors.ProxySchemeUnknown(), 'URLSchemeUnknown', 'LocationValueError', 'HTTPError'],
  [new errors.ProxySchemeUnsupported()],
  [new errors.UnrewindableBodyError(), 'HTTPError'],
  [new errors.ResponseNotReady(), 'HTTPError'],
  [new errors.ResponseNotRead(), 'HTTPError'],
  [new errors.ResponseTooLarge('', 'wire', 1), 'HTTPError'],
  [new errors.AddressDenied(), 'HTTPError'],
];
const classes = Object.entries(errors.CLASSES);

for (const [error, ...parents] of tree) {
  test(`ERR-01: ${error.name} is below ${parents.join(', ') || 'nothing of ours'}`, (t) => {
    const names = classes.filter(([, type]) => error instanceof type).map(([name]) => name);
    t.deepEqual(names.toSorted(), [error.name, ...parents].toSorted());
    t.true(error instanceof Error);
    t.is(error.constructor, errors.CLASSES[error.name as keyof typeof errors.CLASSES]);
    t.true(String(error).startsWith(error.name));
    t.true(error.stack?.startsWith(error.name));
    t.regex((error as errors.HTTPError).code, /^ERR_[A-Z_]+$/);
    t.false(Object.keys(error).includes('name'));
  });
}

test('ERR-01: the tree has every class, and urllib3’s second name for ProtocolError', (t) => {
  t.deepEqual(
    tree.map(([error]) => error.name),
    classes.map(([name]) => name),
  );
  t.is(errors.ConnectionError, errors.ProtocolError);
  const exported = Object.entries(errors)
    .filter(([, value]) => typeof value === 'function' && value.prototype instanceof Error)
    .map(([name]) => name);
  t.deepEqual(exported.toSorted(), [...classes.map(([name]) => name), 'ConnectionError'].toSorted());
});

test('ERR-01: ReadTimeoutError is a TimeoutError and a RequestError, but no ConnectTimeoutError', (t) => {
  class OwnReadTimeout extends errors.ReadTimeoutError {}
  class OwnTimeout extends errors.TimeoutError {}
  const error = new OwnReadTimeout(pool, url);
  t.true(error instanceof errors.TimeoutError);
  t.true(error instanceof errors.RequestError);
  t.false(error instanceof errors.ConnectTimeoutError);
  t.false(error instanceof OwnTimeout);
  t.true(new OwnTimeout() instanceof errors.TimeoutError);
  t.false({} instanceof errors.TimeoutError);
  t.false((null as unknown) instanceof errors.TimeoutError);
  t.is(error.name, 'ReadTimeoutError');
});

test('ERR-01: the fields of urllib3’s errors are kept', (t) => {
  const reason = new errors.ResponseError('too many redirects');
  const gaveUp = new errors.MaxRetryError(pool, url, reason);
  t.is(gaveUp.pool, pool);
  t.is(gaveUp.url, url);
  t.is(gaveUp.reason, reason);
  t.is(gaveUp.cause, reason);
  const retries = { total: 1 };
  t.is(new errors.HostChangedError(pool, url, retries).retries, retries);
  const original = new Error('refused');
  const refused = new errors.ProxyError('no', original, { status: 407, body: Buffer.from('b') });
  t.is(refused.originalError, original);
  t.is(refused.cause, original);
  t.is(refused.status, 407);
  t.is(new errors.LocationParseError('bad', { location: 'http://u:p@h/?q' }).location, 'http://h/');
  t.is(new errors.URLSchemeUnknown('bad', { scheme: 'ftp' }).scheme, 'ftp');
  const short = new errors.IncompleteRead(Buffer.from('12345'), 3);
  t.is(short.message, 'IncompleteRead(5 bytes read, 3 more expected)');
  t.is(new errors.IncompleteRead(Buffer.from('12345'), null).message, 'IncompleteRead(5 bytes read)');
  t.is(new errors.InvalidChunkLength('zz', short.partial).message, 'InvalidChunkLength(got length zz, 5 bytes read)');
  const large = new errors.ResponseTooLarge('too large', 'decoded', 10);
  t.is(large.limit, 'decoded');
  t.is(large.allowed, 10);
});

test('POOL-04: the message of every PoolError begins with the pool', (t) => {
  const start = "HTTPConnectionPool(host='localhost', port=null): ";
  const below = tree.map(([error]) => error).filter((error) => error instanceof errors.PoolError);
  t.is(below.length, 8);
  for (const { message } of below) t.true(message.startsWith(start), message);
  const made = errorFromRecord(record({ className: 'EmptyPoolError', message: 'Pool is empty.' }), context);
  t.is(made.message, `${start}Pool is empty.`);
  t.is(new errors.EmptyPoolError(null, 'Pool is empty.').message, 'Pool is empty.');
});

/** The core's own table, so that a kind that is new there cannot be forgotten here. */
const kinds = [
  ...readFileSync(new URL('../crate/policy/src/error.rs', import.meta.url), 'utf8').matchAll(
    /((?:Self::\w+(?: \| )?)+) => \("(ERR_\w+)", "(\w+)"\)/g,
  ),
].flatMap(([, arm = '', code = '', className = '']) =>
  [...arm.matchAll(/Self::(\w+)/g)].map(([, kind = '']) => ({ kind, code, className })),
);

for (const { kind, code, className } of kinds) {
  test(`the core's ${kind} becomes ${className} with ${code} and all that the record says`, (t) => {
    const phase: Phase = 'body';
    const given = record({ className, code, phase, during: 'tls', reason: 'ERR_FINER' });
    const error = errorFromRecord(given, context) as errors.HTTPError;
    t.is(error.name, className);
    t.is(error.code, code);
    if (className !== 'HostChangedError') t.regex(error.message, /said/);
    if (['TypeError', 'RangeError', 'Error'].includes(className)) {
      t.false(error instanceof errors.HTTPError);
      t.is(error.reason, 'ERR_FINER');
      return;
    }
    t.is(error.constructor.name, className);
    t.like(error, { phase, during: 'tls', host: 'localhost:80', attempts: 2, elapsed: 12.5, sent: true });
    if (!(error instanceof errors.MaxRetryError)) t.is(error.reason, 'ERR_FINER');
    if (error instanceof errors.PoolError) t.is(error.pool, pool);
    if (error instanceof errors.RequestError) t.is(error.url, url);
  });
}

test('the core’s table was read whole, and a class that is not known is an HTTPError', (t) => {
  const rust = readFileSync(new URL('../crate/policy/src/error.rs', import.meta.url), 'utf8');
  t.is(kinds.length, Number(/const ALL: \[Self; (\d+)\] = \[\s*Self::PoolEmpty/.exec(rust)?.[1]));
  for (const [name] of classes) {
    if (name === 'ProxySchemeUnsupported' || name.startsWith('Inc') || name === 'InvalidChunkLength') continue;
    t.is(errorFromRecord(record({ className: name }), context).name, name);
  }
  for (const name of ['Unheard', 'constructor', '__proto__']) {
    const error = errorFromRecord(record({ className: name, message: 'odd' }), context);
    t.is(error.constructor, errors.HTTPError);
    t.is(error.message, 'odd');
  }
});

test('MaxRetryError holds the last error, and names it', (t) => {
  const below = record({
    className: 'NewConnectionError',
    code: 'ERR_CONNECT',
    message: 'Failed to establish a new connection: refused',
    causes: [{ code: 'ECONNREFUSED', message: 'refused', address: '127.0.0.1:80' }],
  });
  const given = record({ className: 'MaxRetryError', code: 'ERR_MAX_RETRY', message: 'Max retries exceeded', below });
  const error = errorFromRecord(given, context) as errors.MaxRetryError;
  const { reason: last } = error;
  t.true(last instanceof errors.NewConnectionError);
  t.is((last as errors.NewConnectionError).code, 'ECONNREFUSED');
  t.is(error.cause, last);
  t.is(error.code, 'ERR_MAX_RETRY');
  t.is(
    error.message,
    "HTTPConnectionPool(host='localhost', port=null): Max retries exceeded with url: /path " +
      "(Caused by NewConnectionError: HTTPConnection(host='localhost', port=80): Failed to establish a new connection: " +
      'refused (ECONNREFUSED))',
  );
  const answered = errorFromRecord(record({ className: 'MaxRetryError', message: 'too many redirects' }), context);
  const { reason } = answered as errors.MaxRetryError;
  t.true(reason instanceof errors.ResponseError);
  t.is(reason?.message, 'too many redirects');
  t.true(answered.message.endsWith('(Caused by ResponseError: too many redirects)'));
});

const refused = { code: 'ECONNREFUSED', message: 'Connection refused (os error 111)', address: '127.0.0.1:81' };
const unreachable = { code: 'ENETUNREACH', message: 'Network is unreachable', address: '[::1]:81' };
const message = 'Failed to establish a new connection: Connection refused';
const unconnected = "HTTPConnection(host='localhost', port=80): ";

test('ERR-10: NewConnectionError has the system’s code, in its message too, and address and port', (t) => {
  const given = record({ className: 'NewConnectionError', code: 'ERR_CONNECT', message, causes: [refused] });
  const error = errorFromRecord(given, context) as errors.NewConnectionError;
  t.is(error.code, 'ECONNREFUSED');
  t.is(error.message, `${unconnected}${message} (ECONNREFUSED)`);
  t.is(error.address, '127.0.0.1');
  t.is(error.port, 81);
  t.like(error.cause, { name: 'Error', ...refused });
});

test('several addresses: the code is that of the last to fail, which the core tells first; the cause holds all', (t) => {
  const causes = [unreachable, refused];
  const given = record({ className: 'NewConnectionError', code: 'ERR_CONNECT', message: 'x ENETUNREACH', causes });
  const error = errorFromRecord(given, context) as errors.NewConnectionError;
  t.is(error.code, 'ENETUNREACH');
  t.is(error.message, `${unconnected}x ENETUNREACH`);
  t.is(error.address, '::1');
  t.is(error.port, 81);
  const { cause } = error;
  t.true(cause instanceof AggregateError);
  const tried = (cause as AggregateError).errors;
  t.is(tried.length, 2);
  for (const [at, each] of causes.entries()) t.like(tried[at], each);
});

test('without a system code NewConnectionError keeps its own; a name that does not resolve stays ERR_DNS', (t) => {
  const said = { code: null, message: 'said so', address: '/run/x.sock' };
  const plain = record({ className: 'NewConnectionError', code: 'ERR_CONNECT', message, causes: [said] });
  const words = `${unconnected}${message}`;
  t.like(errorFromRecord(plain, context), { code: 'ERR_CONNECT', message: words, address: '/run/x.sock', port: null });
  const none = record({ className: 'NewConnectionError', code: 'ERR_CONNECT', message });
  t.like(errorFromRecord(none, context), { code: 'ERR_CONNECT', cause: undefined, address: null });
  const causes = [{ code: 'ENOENT', message: 'no such name', address: null }];
  const dns = record({ className: 'NameResolutionError', code: 'ERR_DNS', message: "Failed to resolve 'x'", causes });
  t.like(errorFromRecord(dns, context), { code: 'ERR_DNS', message: "Failed to resolve 'x' (ENOENT)", port: null });
});

test('a body that breaks off: code, partial and expected on the ProtocolError and on its cause', (t) => {
  const partial = Buffer.from('12345');
  const causes = [{ code: 'ECONNRESET', message: 'reset', address: null }];
  const given = record({ className: 'ProtocolError', code: 'ERR_INCOMPLETE_READ', partial, expected: 3, causes });
  const error = errorFromRecord(given, context) as errors.ProtocolError;
  const fields = { code: 'ERR_INCOMPLETE_READ', partial, expected: 3 };
  t.like(error, fields);
  t.true(error.cause instanceof errors.IncompleteRead);
  t.like(error.cause, { ...fields, phase: null, host: 'localhost:80' });
  t.like((error.cause as Error).cause, { code: 'ECONNRESET' });

  const chunk = record({ className: 'ProtocolError', code: 'ERR_CHUNK', partial, expected: null });
  const broken = errorFromRecord(chunk, context) as errors.ProtocolError;
  t.like(broken, { code: 'ERR_CHUNK', partial, expected: null });
  t.true(broken.cause instanceof errors.InvalidChunkLength);
  t.like(broken.cause, { code: 'ERR_CHUNK', partial, expected: null, cause: undefined });

  const aborted = record({ className: 'ProtocolError', code: 'ERR_PROTOCOL', causes });
  t.like(errorFromRecord(aborted, context), { partial: null, cause: { code: 'ECONNRESET' } });
});

test('a total deadline is the time-out of the moment that it cut', (t) => {
  const given = { code: 'ERR_TOTAL_TIMEOUT', phase: 'total' };
  const dialling = errorFromRecord(record({ ...given, className: 'ConnectTimeoutError', during: 'tls' }), context);
  t.like(dialling, { name: 'ConnectTimeoutError', phase: 'total', during: 'tls', code: 'ERR_TOTAL_TIMEOUT' });
  const later = errorFromRecord(record({ ...given, className: 'ReadTimeoutError', during: 'body' }), context);
  t.like(later, { name: 'ReadTimeoutError', phase: 'total', during: 'body', code: 'ERR_TOTAL_TIMEOUT' });
  t.true(dialling instanceof errors.TimeoutError && later instanceof errors.TimeoutError);
});

test('ERR-11: plain data survives structuredClone with name, code, message and cause', (t) => {
  const last = errorFromRecord(
    record({ className: 'NewConnectionError', code: 'ERR_CONNECT', message, causes: [unreachable, refused] }),
    context,
  );
  const error = new errors.MaxRetryError(pool, url, last, { attempts: 3, phase: 'connect' });
  const json = structuredClone(error.toJSON());
  t.deepEqual(json, JSON.parse(JSON.stringify(error)));
  t.like(json, { name: 'MaxRetryError', code: 'ERR_MAX_RETRY', message: error.message, attempts: 3, phase: 'connect' });
  t.is(json['url'], '/path');
  t.false('pool' in json);
  t.like(json.cause, { name: 'NewConnectionError', code: 'ENETUNREACH', message: last.message, address: '::1' });
  t.like(json.cause?.cause, { name: 'AggregateError', message: '2 addresses were tried' });
  t.like(json.cause?.cause?.['errors'], [
    { name: 'Error', ...unreachable },
    { name: 'Error', ...refused },
  ]);

  const bytes = new errors.IncompleteRead(Buffer.alloc(1000), 3).toJSON();
  t.is(bytes['partialLength'], 1000);
  t.false('partial' in bytes);
});

test('a ring of causes ends', (t) => {
  const error = new errors.HTTPError('ring');
  (error as { cause?: unknown }).cause = error;
  t.true(JSON.stringify(error).length < 5000);
});

// THR-510 asks for the wire too; here stand the errors.
test('no error shows user info or a query, in its message, its JSON or the inspector', (t) => {
  const secret = /sesame|pa%40ss/;
  const host = 'host/p?key=sesame#sesame';
  const shown = (error: Error): string => `${error.message} ${error.stack} ${JSON.stringify(error)}`;
  for (const start of ['http://user:sesame@', 'HTTP://user:pa%40ss@', '//sesame@', 'http://a@b:sesame@', 'u:sesame@']) {
    for (const className of ['ReadTimeoutError', 'MaxRetryError', 'HostChangedError', 'LocationParseError']) {
      const error = errorFromRecord(record({ className }), { pool, url: start + host });
      t.notRegex(shown(error), secret, `${className} ${start}`);
      if (error instanceof errors.RequestError) t.regex(error.url, /host\/p\?key=sesame#sesame$/);
    }
  }
  const own = new errors.RequestError(pool, 'http://user:letmein@host/path@x', 'said');
  t.is(own.url, 'http://host/path@x');
  t.notRegex(inspect(own), /letmein/);
});

test('a printed error: nested ones are short, causes that others threw are whole, rings and control characters are harmless', (t) => {
  const thrown = new TypeError('mine');
  const error = new errors.ProtocolError('said', {
    code: 'ERR_INVALID_BODY',
    cause: thrown,
    partial: Buffer.from('secret'),
  });
  const text = inspect(error);
  t.regex(text, /^ProtocolError: said\n {4}at [\s\S]* \{\n {2}code: 'ERR_INVALID_BODY', /);
  t.regex(text, /\n {2}\[cause\]: TypeError: mine\n {6}at .*errors\.spec\.ts/);
  t.regex(text, /partialLength: 6\b/);
  t.notRegex(text, /secret|73 65 63/);
  t.is(inspect({ a: { b: { c: { d: error } } } }, { depth: 3 }).includes('[ProtocolError: ERR_INVALID_BODY]'), true);
  t.regex(inspect({ a: { error } }), /\n {8}at .*\n[\s\S]*\n {6}code: 'ERR_INVALID_BODY'/);
  t.regex(inspect(error, { depth: null, colors: true }), /code: \S*'ERR_INVALID_BODY'/);
  // What somebody wrote on it, deep as it is.
  Object.assign(error, { context: { job: { id: 7 } } });
  t.regex(inspect(error), /context: \{ job: \{ id: 7 \} \}/);

  (thrown as { cause?: unknown }).cause = error;
  t.regex(inspect(error, { depth: null }), /\[ProtocolError: ERR_INVALID_BODY\]/);
  const ring = new errors.HTTPError('ring');
  (ring as { cause?: unknown }).cause = ring;
  t.true(inspect(ring, { depth: null }).length < 5000);

  const long = new errors.HTTPError('long');
  const past = { method: 'GET', url: '/a\u001b[2J?token=sesame', error: null, status: 503, redirectLocation: null };
  Object.defineProperty(long, 'history', { value: Array.from({ length: 1000 }, () => past) });
  t.is(inspect(long).match(/^ {4}GET \/a\\x1b\[2J → 503$/gm)?.length, 10);
  t.regex(inspect(long), /\[history\]:\n {4}… 990 before these\n/);
  const bare = new errors.HTTPError('bare');
  (bare as { stack?: unknown }).stack = undefined;
  t.regex(inspect(bare), /^HTTPError: bare \{\n {2}code: 'ERR_INTERNAL'/);
});

test('a printed error of several addresses has a line for each', (t) => {
  const cause = (code: string, address: string) => ({ code, message: `said ${code}`, address });
  const causes = [cause('ECONNREFUSED', '127.0.0.1:80'), cause('ENETUNREACH', '[::1]:80')];
  const error = errorFromRecord(record({ className: 'NewConnectionError', code: 'ERR_CONNECT', causes }), context);
  const lines = inspect(error).split('\n');
  t.deepEqual(lines.slice(-4), [
    '  [cause]: AggregateError: 2 addresses were tried',
    "    Error: said ECONNREFUSED { code: 'ECONNREFUSED', address: '127.0.0.1:80' }",
    "    Error: said ENETUNREACH { code: 'ENETUNREACH', address: '[::1]:80' }",
    '}',
  ]);
});

test('a logged error does not drag its pool along', (t) => {
  const large = { toString: () => 'POOL', big: 'figure' };
  const error = new errors.ReadTimeoutError(large, '/x', 'Read timed out.');
  t.notRegex(inspect(error), /figure/);
  t.regex(inspect(error), /ReadTimeoutError: POOL: Read timed out\.[\s\S]*code: 'ERR_READ_TIMEOUT'/);
});

test('an argument error is Node’s own, with a code', (t) => {
  const type = argumentError('type', 'ERR_INVALID_OPTION', 'no');
  t.true(type instanceof TypeError);
  t.like(type, { name: 'TypeError', code: 'ERR_INVALID_OPTION', message: 'no' });
  t.true(argumentError('range', 'ERR_INVALID_TIMEOUT', 'no') instanceof RangeError);
});

test('a code that is undefined is the default of its class', (t) => {
  t.is(new errors.HTTPError('x', { code: undefined, phase: undefined }).code, 'ERR_INTERNAL');
  t.is(new errors.EmptyPoolError(null, 'x', { code: undefined, attempts: undefined }).code, 'ERR_POOL_EMPTY');
  t.is(new errors.MaxRetryError(null, '/', null, { code: undefined }).code, 'ERR_MAX_RETRY');
  t.is(new errors.NewConnectionError('x', { code: 'EPIPE', address: undefined, port: undefined }).code, 'EPIPE');
});

test('an error’s URL is text, and where the details of errors are listed is said', (t) => {
  const wrong: unknown[] = [5, new URL('http://user:hush@h/'), {}, ['x']];
  for (const given of wrong as string[]) {
    for (const make of [
      () => new errors.HTTPError('x', { url: given }),
      () => new errors.LocationParseError('x', { location: given }),
      () => new errors.RequestError(null, given, 'x'),
      () => new errors.MaxRetryError(null, given),
      () => new errors.HostChangedError(null, given),
      () => new errors.MaxRetryError(null, null as unknown as string),
    ]) {
      const error = t.throws(make, { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' });
      t.regex(error?.message ?? '', /^an error's (url|location) is a string, not /);
      t.notRegex(error?.message ?? '', /hush/);
    }
  }
  t.is(new errors.HTTPError('x', { url: null }).url, null);
  const message = "an error has no option 'bogus'; docs/reference/errors.md lists what it has";
  t.throws(() => new errors.HTTPError('x', { bogus: 1 } as {}), { code: 'ERR_INVALID_OPTION', message });
});

test('an error takes the details that there are, and a MaxRetryError no reason', (t) => {
  const message = /^an error has no option 'bogus'; /;
  t.throws(() => new errors.HTTPError('x', { bogus: 1 } as {}), { code: 'ERR_INVALID_OPTION', message });
  t.throws(() => new errors.ReadTimeoutError(pool, url, 'x', { bogus: 1 } as {}), {
    code: 'ERR_INVALID_OPTION',
    message,
  });
  const gaveUp = new errors.MaxRetryError(null, '/a?secret');
  t.like(gaveUp, { reason: null, cause: undefined });
  t.is(gaveUp.message, 'Max retries exceeded with url: /a (Caused by null)');
  t.like(new errors.HTTPError('x', { method: 'GET', url: 'http://u:p@h/a?q' }), { method: 'GET', url: 'http://h/a' });
});

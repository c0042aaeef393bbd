/** An error as lines: its code, where and when, what lies below, and what to do. Pure. */
import { daysLeft, withoutUser } from './answer.ts';
import { BAD_REDIRECT, remedyFor } from './remedies.ts';
import { line, span, wholeLine, type Line } from './text.ts';

/** What an error of the library may know; of any other error some of it is not there. */
interface Known {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly message?: unknown;
  readonly phase?: unknown;
  readonly during?: unknown;
  readonly elapsed?: unknown;
  readonly reason?: unknown;
  readonly cause?: unknown;
  readonly errors?: unknown;
  readonly chain?: unknown;
  readonly address?: unknown;
  readonly sent?: unknown;
}

/** The lines about a request that failed. `now` is for the dates of certificates. */
export function failureLines(url: string, failure: unknown, now: number): Line[] {
  const error = known(failure);
  const last = error.reason instanceof Error ? known(error.reason) : error;
  const lines = [
    wholeLine(['ferropool: ', 'bad'], `${withoutUser(url)}: `, [headline(error, last), 'strong']),
    ...said(failure).map((sentence) => wholeLine(`  ${sentence}`)),
    ...certificates(last, now),
  ];
  // Where something was sent before, it was a redirect that named the URL.
  const redirected = last.sent === true && last.code === 'ERR_INVALID_URL' ? BAD_REDIRECT : null;
  const remedy = remedyFor([redirected, text(last.reason), ...codes(last), text(last.code), text(error.code)]);
  if (remedy !== null) lines.push(wholeLine('  ', ['try: ', 'strong'], remedy));
  return lines;
}

/** Whether an option, or a file that one names, cannot be used: then nothing was sent. */
export function isOfOptions(failure: unknown): boolean {
  const error = known(failure);
  const last = error.reason instanceof Error ? known(error.reason) : error;
  if (error.sent === true || last.sent === true) return false;
  return OF_OPTIONS.has(text(last.code) ?? '') || OF_FILES.has(text(last.reason) ?? '');
}

const OF_OPTIONS: ReadonlySet<string> = new Set(['ERR_INVALID_METHOD', 'ERR_INVALID_HEADER', 'ERR_INVALID_OPTION']);
const OF_FILES: ReadonlySet<string> = new Set(['ERR_TLS_CA', 'ERR_TLS_CERT', 'ERR_TLS_KEY']);

/** `ERR_MAX_RETRY: ECONNREFUSED in connect after 1.20 ms`, `ERR_MAX_RETRY: too many redirects in headers after 5.00 ms`. */
function headline(error: Known, last: Known): string {
  const code = text(error.code) ?? text(error.name) ?? 'an error';
  const below = last.code === error.code ? text(last.message) : (text(last.code) ?? text(last.name));
  const words = [last === error ? code : `${code}: ${below ?? 'an error'}`];
  const reason = text(last.reason);
  if (reason !== null && reason !== code) words.push(`(${reason})`);
  const phase = text(last.phase) ?? text(error.phase);
  const during = text(last.during) ?? text(error.during);
  if (phase !== null) words.push(`in ${phase}${during === null ? '' : ` (during ${during})`}`);
  const elapsed = typeof error.elapsed === 'number' ? error.elapsed : last.elapsed;
  if (typeof elapsed === 'number' && elapsed > 0) words.push(`after ${span(elapsed)}`);
  return words.join(' ');
}

/** The message, then those below that say something new. */
function said(failure: unknown): string[] {
  const texts: string[] = [];
  let at: unknown = failure;
  for (let depth = 0; depth < DEEPEST && at instanceof Error; depth += 1) {
    const message = inOurWords(text(at.message) ?? '');
    const isNew = message !== '' && !texts.some((before) => before.includes(message));
    if (isNew) texts.push(depth === 0 ? message : `cause: ${message}`);
    if (at instanceof AggregateError) texts.push(...at.errors.map(oneAddress));
    at = at.cause;
  }
  return texts;
}

/** A sentence that names options of the library, with those of the command. */
function inOurWords(sentence: string): string {
  return OUR_WORDS.reduce((words, [theirs, ours]) => words.replaceAll(theirs, ours), sentence);
}

const OUR_WORDS: readonly (readonly [theirs: RegExp, ours: string])[] = [
  [/\bcaCerts: 'system'/g, 'NODE_USE_SYSTEM_CA=1'],
  [/\bpass (it|its CA) with caCerts\b/g, 'name $1 with --cacert'],
  [/\bcaCerts\b/g, '--cacert'],
  [/\bcertFile and keyFile\b/g, '--cert and --key'],
  [/\bkeyPassword\b/g, '--pass'],
];

function oneAddress(failure: unknown): string {
  const error = known(failure);
  const address = text(error.address);
  return `  ${address === null ? '' : `${address}: `}${text(error.message) ?? text(error.code) ?? 'an error'}`;
}

/** Codes of what lies below, the nearest first. */
function codes(error: Known): (string | null)[] {
  const found: (string | null)[] = [];
  let at: unknown = error.cause;
  for (let depth = 0; depth < DEEPEST && at instanceof Error; depth += 1) {
    found.push(text(known(at).code));
    if (at instanceof AggregateError) found.push(...at.errors.map((each) => text(known(each).code)));
    at = at.cause;
  }
  // A code of ours says what happened; what the system said below it may be of an earlier address.
  return text(error.code)?.startsWith('ERR_') === true ? [text(error.code), ...found] : found;
}

interface Certificate {
  readonly subject: string;
  readonly issuer: string;
  readonly validTo: Date;
}

function certificates({ chain }: Known, now: number): Line[] {
  if (!Array.isArray(chain)) return [];
  return (chain as Certificate[]).map(({ subject, issuer, validTo }) => {
    const left = daysLeft(validTo, now);
    const until = left === null ? 'dates cannot be read' : `until ${validTo.toJSON().slice(0, 10)} (${left} days)`;
    return line(`  certificate: ${subject || '(no name)'}, issued by ${issuer || '(no name)'}, ${until}`);
  });
}

function known(failure: unknown): Known {
  return typeof failure === 'object' && failure !== null ? failure : { message: String(failure) };
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

const DEEPEST = 8;

/**
 * Warnings for people, as warnings of the process: each once (a process or a pool, its documentation says which), and none
 * that somebody has silenced.
 */
import { argumentError, describe } from './arguments.ts';

/** What {@link disableWarnings} silences: a type of warnings (`warning.name`), or one of them (`warning.code`). */
export type WarningCategory =
  | 'FerropoolWarning'
  | 'InsecureRequestWarning'
  | 'FERROPOOL_BODY_UNREAD'
  | 'FERROPOOL_EXTRA_CERTS'
  | 'FERROPOOL_INSECURE_REQUEST'
  | 'FERROPOOL_POOL_FULL'
  | 'FERROPOOL_POOL_STARVING'
  | 'FERROPOOL_SHORT_TIMEOUT';

/**
 * Silences warnings of this thread: those of one type, the one with this code, or all. There is no way back, as in urllib3.
 *
 * @throws TypeError ERR_INVALID_OPTION for what is no category.
 * @example
 * disableWarnings('FERROPOOL_POOL_FULL');
 */
export function disableWarnings(category?: WarningCategory): void {
  if (category === undefined) {
    for (const type of TYPES) silenced.add(type);
    return;
  }
  if (!CATEGORIES.includes(category)) {
    const given: unknown = category;
    const named = typeof given === 'string' ? `'${given}'` : describe(given);
    throw argumentError('type', 'ERR_INVALID_OPTION', `${named} is no warning; there are ${CATEGORIES.join(', ')}`);
  }
  silenced.add(category);
}

/** The one place where warnings are made. @internal */
export function emitWarning(type: WarningCategory, code: string, message: string): void {
  if (silenced.has(type) || silenced.has(code)) return;
  process.emitWarning(message, { type, code });
}

const TYPES: readonly WarningCategory[] = ['FerropoolWarning', 'InsecureRequestWarning'];
/** @internal */
export const CODES: readonly WarningCategory[] = [
  'FERROPOOL_BODY_UNREAD',
  'FERROPOOL_EXTRA_CERTS',
  'FERROPOOL_INSECURE_REQUEST',
  'FERROPOOL_POOL_FULL',
  'FERROPOOL_POOL_STARVING',
  'FERROPOOL_SHORT_TIMEOUT',
];
const CATEGORIES: readonly string[] = [...TYPES, ...CODES];
const silenced: Set<string> = new Set();

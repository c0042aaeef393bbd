/**
 * How an error is printed by `console.error` and whatever else inspects: its stack, then in a few lines what it knows, what was
 * tried before, and what lies below. Frames are those of the error alone: ours of the causes would say the same again. No more
 * of a URL than `toJSON` shows, and of bytes their number.
 */
import type { inspect, InspectOptionsStylized } from 'node:util';

import type { RequestHistory } from './retry.ts';
import { withoutSecrets } from './secrets.ts';

/** What the inspector says of how it inspects. @internal */
export type Inspecting = InspectOptionsStylized;

/** Errors that were made here of what the system said: nobody's frames are in them. @internal */
export const OF_SYSTEM: WeakSet<Error> = new WeakSet();

/** @internal */
export function inspected(error: Error, depth: number | null, options: Inspecting, format: typeof inspect): string {
  // A ring of causes ends, as one of objects does.
  if ((depth !== null && depth < 0) || UNDER_WAY.has(error))
    return `[${error.name}: ${codeOf(error) ?? 'ERR_INTERNAL'}]`;
  UNDER_WAY.add(error);
  try {
    const below: Below = { options: { ...options, depth: depth === null ? null : depth - 1 }, format };
    const stack = typeof error.stack === 'string' && error.stack !== '' ? error.stack : headOf(error);
    return [`${stack} {`, ...linesOf(error, below), '}'].join('\n');
  } finally {
    UNDER_WAY.delete(error);
  }
}

/** How what is nested is inspected. */
interface Below {
  readonly options: Inspecting;
  readonly format: typeof inspect;
}

function linesOf(error: Error, below: Below): string[] {
  const { history } = error as { history?: readonly RequestHistory[] };
  return [`  ${fieldsOf(error, null, below)}`, ...historyLines(history ?? []), ...causeLines(error, below)];
}

/** What the error knows, those of its fields left out that are nothing, or the same in the one above it. */
function fieldsOf(error: Error, above: Error | null, { options, format }: Below): string {
  const fields: string[] = [];
  for (const [name, value] of Object.entries(error) as [string, unknown][]) {
    if (value === null || value === undefined) continue;
    if (above !== null && shown(name, (above as unknown as Record<string, unknown>)[name]) === shown(name, value))
      continue;
    if (Buffer.isBuffer(value)) fields.push(`${name}Length: ${format(value.length, options)}`);
    else if (name === 'elapsed' && typeof value === 'number') fields.push(`${name}: ${format(round(value), options)}`);
    else fields.push(`${name}: ${format(shown(name, value), options).replaceAll('\n', '\n  ')}`);
  }
  return fields.join(', ');
}

/** No more of a URL than `toJSON` shows. */
function shown(name: string, value: unknown): unknown {
  return name === 'url' && typeof value === 'string' ? withoutSecrets(value) : value;
}

function historyLines(history: readonly RequestHistory[]): string[] {
  if (history.length === 0) return [];
  const last = history.slice(-MOST_PAST);
  const more = history.length - last.length;
  return [
    '  [history]:',
    ...(more === 0 ? [] : [`    … ${more} before these`]),
    ...last.map((past) => `    ${pastLine(past)}`),
  ];
}

/** `GET http://localhost:8080/ → ECONNREFUSED`, `GET http://localhost:8080/a → 302 → /b`. */
function pastLine({ method, url, error, status, redirectLocation }: RequestHistory): string {
  const outcome = error === null ? status : (codeOf(error) ?? error.name);
  const steps = [`${method} ${withoutSecrets(url)}`, `${outcome ?? 'an answer'}`];
  if (redirectLocation !== null) steps.push(withoutSecrets(redirectLocation));
  return visible(steps.join(' → '));
}

/** One line for each error of ours and the system's; whatever else was thrown as it prints by itself, with its frames. */
function causeLines(error: Error, below: Below): string[] {
  const lines: string[] = [];
  const seen = new Set<unknown>([error]);
  let above = error;
  for (;;) {
    if (!('cause' in above)) return lines;
    const { cause } = above;
    if (cause === undefined || seen.has(cause)) return lines;
    if (!(cause instanceof Error) || !isOurs(cause)) {
      lines.push(`  [cause]: ${below.format(cause, below.options).replaceAll('\n', '\n  ')}`);
      return lines;
    }
    const line = causeLine(cause, above, below);
    // What the system said may stand in the message above, and that is all then.
    if (line !== 'Error') lines.push(`  [cause]: ${line}`);
    if (cause instanceof AggregateError) {
      lines.push(...cause.errors.map((each: Error) => `    ${causeLine(each, cause, below)}`));
    }
    seen.add(cause);
    above = cause;
  }
}

/** The message once: that of the error above may have it. */
function causeLine(cause: Error, above: Error, below: Below): string {
  const head = cause.message !== '' && above.message.includes(cause.message) ? cause.name : headOf(cause);
  const fields = fieldsOf(cause, above, below);
  return `${visible(head)}${fields === '' ? '' : ` { ${fields} }`}`;
}

function headOf({ name, message }: Error): string {
  return message === '' ? name : `${name}: ${message}`;
}

/** By what they know: there may be two copies of the package. */
function isOurs(error: Error): boolean {
  return OF_SYSTEM.has(error) || ['phase', 'attempts', 'elapsed', 'sent'].every((name) => Object.hasOwn(error, name));
}

function codeOf(error: Error): string | null {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : null;
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100;
}

/** What comes from servers must not move a terminal's cursor. */
function visible(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (unit) => `\\x${unit.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** How much of a history is printed. */
const MOST_PAST = 10;
const UNDER_WAY: Set<Error> = new Set();

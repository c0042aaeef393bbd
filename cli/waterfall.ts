/**
 * Where the time went: a line for each phase that happened, each bar beginning where the one before ended, and their sum. The
 * head's wait for JavaScript is no part of it: the body comes meanwhile. Pure.
 */
import type { ConnectionInfo, Timings } from 'ferropool';
import { bar } from './picture.js';
import { line, padded, span, widthOf, type Line, type Style, type View } from './text.ts';

/** The phases of one attempt in the order in which they happen. */
export const PHASES = ['pool', 'dns', 'connect', 'proxy', 'tls', 'send', 'headers', 'body'] as const;

const STYLES: Readonly<Record<string, Style>> = {
  before: 'faint',
  pool: 'faint',
  dns: 'cyan',
  connect: 'yellow',
  proxy: 'blue',
  tls: 'magenta',
  send: 'blue',
  headers: 'green',
  body: 'blue',
};

interface Row {
  readonly name: string;
  readonly from: number;
  readonly took: number;
}

/** Milliseconds before the last attempt: redirects, retries, and the waits between them. */
export function before(timings: Timings, earlier: boolean): number | null {
  if (!earlier || timings.total === null) return null;
  return Math.max(timings.total - PHASES.reduce((sum, phase) => sum + (timings[phase] ?? 0), 0), 0);
}

/** `earlier` says that there were attempts before this one, of which the total knows and the phases do not. */
export function waterfall(
  timings: Timings,
  connection: ConnectionInfo | null,
  earlier: boolean,
  { columns, terminal, unicode }: View,
): Line[] {
  const rows = rowsOf(timings, earlier);
  const end = Math.max(...rows.map(({ from, took }) => from + took), timings.total ?? 0);
  const width = Math.min((terminal ? columns : 80) - BESIDE, WIDEST_BAR);
  const lines: Line[] = [];
  for (const { name, from, took } of rows) {
    const start = end > 0 ? Math.min(Math.floor((from / end) * width), width - 1) : 0;
    const drawn = bar(took, end, width, !unicode).slice(0, width - start);
    lines.push(line('  ', padded(name, NAME), figure(took), ' '.repeat(2 + start), [drawn, STYLES[name] ?? 'plain']));
    if (name === 'connect' && connection !== null) lines.push(...addresses(connection, columns));
  }
  if (timings.total !== null) {
    const other = timings.total - rows.reduce((sum, { took }) => sum + took, 0);
    if (other > timings.total * WORTH_TELLING) lines.push(line('  ', padded('other', NAME), figure(other)));
    lines.push(line('  ', [padded('total', NAME) + figure(timings.total), 'strong']));
  }
  // Without a head nothing lay anywhere.
  if (timings.headers !== null) {
    lines.push(line('  ', [`${padded('deliver', NAME)}${figure(timings.deliver)}  ${BESIDE_THE_SUM}`, 'faint']));
  }
  return lines;
}

function rowsOf(timings: Timings, earlier: boolean): Row[] {
  const rows: Row[] = [];
  let from = 0;
  const add = (name: string, took: number): void => {
    rows.push({ name, from, took });
    from += took;
  };
  const waited = before(timings, earlier);
  if (waited !== null) add('before', waited);
  for (const phase of PHASES) {
    const took = timings[phase];
    if (took !== null) add(phase, took);
  }
  return rows;
}

/** Each address that was tried: they may have been tried side by side, so they have no place of their own in the row. */
function addresses({ triedAddresses }: ConnectionInfo, columns: number): Line[] {
  const widest = Math.min(Math.max(...triedAddresses.map(({ address }) => widthOf(address)), 0), columns - BESIDE - 12);
  return triedAddresses.map(({ address, error, elapsed }) =>
    line(' '.repeat(2 + NAME), figure(elapsed), '  ', [padded(address, widest), 'faint'], '  ', [
      error ?? 'connected',
      error === null ? 'faint' : 'bad',
    ]),
  );
}

function figure(milliseconds: number): string {
  return span(milliseconds).padStart(FIGURE);
}

const NAME = 8;
const FIGURE = 10;
/** What stands beside the bars. */
const BESIDE = 2 + NAME + FIGURE + 2;
const WIDEST_BAR = 80;
/** The share of the whole from which on what lies between the phases is told, so that the lines add up to it. */
const WORTH_TELLING = 0.01;
const BESIDE_THE_SUM = 'beside the body, not added to the total';

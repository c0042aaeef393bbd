/** What many requests came to, as a person reads it. Pure. */
import { withoutUser } from './answer.ts';
import type { Load } from './load.ts';
import { bar, table } from './picture.js';
import { styleOf } from './report.ts';
import type { Distribution } from './samples.ts';
import { bytes, count, line, many, padded, span, wholeLine, type Line, type Span, type View } from './text.ts';

/** The lines about a load. */
export function summaryLines(load: Load, view: View): Line[] {
  const { method, url, requested, answered, failed, interrupted, concurrency, elapsed, perSecond } = load;
  const ended = answered + failed;
  const how = interrupted ? `interrupted after ${count(ended)} of ${count(requested)}` : many(ended, 'request');
  return [
    wholeLine([method, 'strong'], ` ${withoutUser(url)}`),
    line([how, interrupted ? 'warned' : 'strong'], `, ${count(concurrency)} at a time, in ${span(elapsed)}`),
    line([`${rate(perSecond)} requests/s`, 'strong']),
    ...latencyLines(load.latency, view),
    line(),
    ...shares('statuses', load.statuses, ended, view),
    ...shares('errors', load.errors, ended, view),
    line(),
    fact('protocol', Object.keys(load.versions).join(', ') || 'none'),
    fact(
      'connections',
      `${count(load.connections.opened)} opened, ${many(load.connections.reused, 'request')} on one that was there`,
    ),
    fact(
      'bytes',
      `${bytes(load.bytes.wireIn)} in, ${bytes(load.bytes.wireOut)} out, bodies of ${bytes(load.bytes.decoded)}` +
        (elapsed > 0 ? `, ${bytes((load.bytes.wireIn / elapsed) * 1_000)}/s` : ''),
    ),
  ];
}

/** Requests a second, as exactly as it deserves. */
export function rate(perSecond: number): string {
  return perSecond < 100 ? perSecond.toFixed(1) : count(Math.round(perSecond));
}

const COLUMNS: readonly (readonly [string, keyof Distribution])[] = [
  ['min', 'min'],
  ['mean', 'mean'],
  ['p50', 'p50'],
  ['p90', 'p90'],
  ['p95', 'p95'],
  ['p99', 'p99'],
  ['max', 'max'],
];

/** Which of them stay where there is little room. */
const NARROW: readonly (readonly (keyof Distribution)[])[] = [
  ['p50', 'p90', 'p99', 'max'],
  ['p50', 'p99', 'max'],
];

/** The whole first, then what it is made of; phases that only some requests had say how many. */
function latencyLines(latency: Load['latency'], view: View): Line[] {
  const drawn = [COLUMNS, ...NARROW.map((names) => COLUMNS.filter(([, column]) => names.includes(column)))].map(
    (columns) => latencyTable(latency, columns),
  );
  const fitting = drawn.find((texts) => !view.terminal || texts.every((text) => text.length + 2 <= view.columns));
  const texts = fitting ?? drawn.at(-1) ?? [];
  if (texts.length === 0) return [];
  return [line(), ...texts.map((text, at) => line('  ', [text, at === 0 ? 'faint' : at === 1 ? 'strong' : 'plain']))];
}

function latencyTable({ total, ...phases }: Load['latency'], columns: typeof COLUMNS): string[] {
  if (total === undefined) return [];
  const rows = Object.entries({ total, ...phases }).map(([phase, distribution]) => [
    phase,
    ...columns.map(([, column]) => milliseconds(distribution[column] ?? 0)),
    distribution.count === total.count ? '' : `of ${count(distribution.count)}`,
  ]);
  const right = columns.map((_, at) => at + 1);
  return table([['ms', ...columns.map(([name]) => name), ''], ...rows], right);
}

/** Without a unit, which stands in the table's corner. */
function milliseconds(value: number): string {
  return value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : count(Math.round(value));
}

function shares(name: string, counts: Readonly<Record<string, number>>, ended: number, view: View): Line[] {
  const most = 30;
  const rows = Object.entries(counts).toSorted(([, one], [, other]) => other - one);
  const isNarrow = view.terminal && view.columns < ROOM_FOR_BARS;
  // Where there is little room the count is what stays, and next the whole name.
  const figures = isNarrow ? Math.max(...rows.map(([, number]) => count(number).length + 1)) : 10;
  const names = isNarrow ? Math.min(view.columns - BEFORE_SHARES - figures, 22) : 22;
  const hasShares = !isNarrow || view.columns >= BEFORE_SHARES + names + figures + 9;
  return rows.map(([key, number], at) => {
    const style = name === 'errors' ? 'bad' : styleOf(Number(key));
    const share = ended > 0 && hasShares ? `${((number / ended) * 100).toFixed(1)} %`.padStart(9) : '';
    const words = [at === 0 ? name : '', [padded(key, names), style], count(number).padStart(figures), share] as const;
    if (isNarrow) return fact(...words);
    return fact(...words, '  ', [
      bar(number, ended, Math.min(most, Math.max(view.columns - 60, 4)), !view.unicode),
      style,
    ]);
  });
}

/** Columns before the name of a status or an error. */
const BEFORE_SHARES = 15;
/** Columns from which on there is room for a name, a count, a share and a bar. */
const ROOM_FOR_BARS = 64;

function fact(name: string, ...spans: Span[]): Line {
  return line('  ', [padded(name, 11), 'faint'], '  ', ...spans);
}

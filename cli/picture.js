/** Bars, tables and chains in text: blocks of eighths on a terminal, plain characters where the output goes to a file. Pure. */

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** The order in which the phases of one attempt can happen, which is the order a waterfall shows them in. */
const PHASES = ['pool', 'dns', 'connect', 'proxy', 'tls', 'send', 'headers', 'body', 'deliver'];

/** A bar for `value` where `most` fills `width` characters; what is not nothing is never invisible. */
export function bar(value, most, width, plain) {
  if (!(value > 0) || !(most > 0)) return '';
  const length = Math.min(value / most, 1) * width;
  if (plain) return '#'.repeat(Math.max(1, Math.round(length)));
  const eighths = Math.max(1, Math.round(length * 8));
  return '█'.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8];
}

/** A table of strings; the first row is the heading, columns named in `right` are aligned to the right. */
export function table(rows, right = []) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row) =>
    row
      .map((cell, column) => (right.includes(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column])))
      .join('  ')
      .trimEnd();
  return rows.map(line);
}

/** Milliseconds as a person reads them. */
export function milliseconds(value) {
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
}

/** One line for each phase that happened, each bar beginning where the one before ended; then the total. */
export function waterfall(timings, width, plain) {
  const happened = PHASES.filter((phase) => timings[phase] !== null && timings[phase] !== undefined);
  const sum = happened.reduce((total, phase) => total + timings[phase], 0);
  const rows = [];
  let before = 0;
  for (const phase of happened) {
    const start = sum > 0 ? Math.min(Math.round((before / sum) * width), width - 1) : 0;
    rows.push([phase, milliseconds(timings[phase]), ' '.repeat(start) + bar(timings[phase], sum, width, plain)]);
    before += timings[phase];
  }
  if (timings.total !== null && timings.total !== undefined) rows.push(['total', milliseconds(timings.total), 'ms']);
  return rows.length === 0 ? [] : table(rows, [1]);
}

/** A chain of certificates as it was sent, the server's own first, each below those that it vouches for. */
export function certificates(chain) {
  return chain.map(({ subject, issuer, validFrom, validTo }, depth) => {
    const [from, to] = [validFrom, validTo].map((date) => date.toJSON()?.slice(0, 10) ?? '?');
    return `${'  '.repeat(depth)}${subject || '(no name)'}, ${from} to ${to}, issued by ${issuer || '(no name)'}`;
  });
}

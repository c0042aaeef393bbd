/** Bars and tables in text: blocks of eighths on a terminal, plain characters where the output goes to a file. Pure. */

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/**
 * A bar for `value` where `most` fills `width` characters; what is not nothing is never invisible.
 *
 * @param {number} value
 * @param {number} most
 * @param {number} width
 * @param {boolean} plain
 * @returns {string}
 */
export function bar(value, most, width, plain) {
  if (!(value > 0) || !(most > 0)) return '';
  const length = Math.min(value / most, 1) * width;
  if (plain) return '#'.repeat(Math.max(1, Math.round(length)));
  const eighths = Math.max(1, Math.round(length * 8));
  return '█'.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8];
}

/**
 * A table of strings; the first row is the heading, columns named in `right` are aligned to the right.
 *
 * @param {string[][]} rows
 * @param {number[]} right
 * @returns {string[]}
 */
export function table(rows, right = []) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row) =>
    row
      .map((cell, column) => (right.includes(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column])))
      .join('  ')
      .trimEnd();
  return rows.map(line);
}

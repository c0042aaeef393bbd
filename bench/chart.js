/**
 * Horizontal bars as an SVG that is text all through: no script, no font of its own, and colours for light and dark.
 * A viewer without media queries shows the first set, which is readable on both.
 */

const width = 760;
const labelWidth = 110;
const valueWidth = 80;
const rowHeight = 20;
const groupGap = 18;

/** One group under the other; within a group the bars are in the given order, the longest of them fills the width. */
export function barChart({ title, note, groups }) {
  const parts = [];
  let top = 56;
  for (const group of groups.filter(({ bars }) => bars.length > 0)) {
    parts.push(text(0, top, 'group', group.title));
    top += 10;
    const longest = Math.max(...group.bars.map(({ value }) => value));
    for (const bar of group.bars) {
      parts.push(row(top, bar, longest));
      top += rowHeight;
    }
    top += groupGap;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${top}" width="${width}" height="${top}" role="img" aria-label="${escaped(title)}">
<style>
text { font: 13px system-ui, sans-serif; fill: #6b7280; }
.title { font-size: 16px; font-weight: 600; }
.group { font-weight: 600; }
.end { text-anchor: end; }
rect { fill: #9ca3af; }
rect.ferropool { fill: #ea580c; }
rect.ceiling { fill: none; stroke: #9ca3af; stroke-dasharray: 3 2; }
@media (prefers-color-scheme: light) { text { fill: #374151; } }
@media (prefers-color-scheme: dark) { text { fill: #d1d5db; } rect { fill: #6b7280; } rect.ferropool { fill: #fb923c; } rect.ceiling { stroke: #9ca3af; } }
</style>
${text(0, 18, 'title', title)}
${text(0, 36, 'note', note)}
${parts.join('\n')}
</svg>
`;
}

function row(top, { label, value, text: shown }, longest) {
  const length = longest > 0 ? ((width - labelWidth - valueWidth) * value) / longest : 0;
  const kind = label === 'ferropool' || label === 'ceiling' ? ` class="${label}"` : '';
  const middle = top + rowHeight / 2 + 4;
  return [
    text(labelWidth - 8, middle, 'end', label),
    `<rect${kind} x="${labelWidth}" y="${top + 3}" width="${Math.max(length, 1).toFixed(1)}" height="${rowHeight - 6}" rx="2"/>`,
    text(labelWidth + Math.max(length, 1) + 6, middle, 'value', shown),
  ].join('');
}

function text(x, y, kind, content) {
  return `<text class="${kind}" x="${Number(x.toFixed(1))}" y="${y}">${escaped(content)}</text>`;
}

function escaped(content) {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

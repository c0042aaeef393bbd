/**
 * `node scripts/pictures.js`: the pictures of docs/ that are drawn by hand, so to speak. Text all through, no font of their
 * own, colours for light and dark; a viewer without media queries shows the first set, which is readable on both.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { root } from './run.js';

export const pictures = { 'docs/pictures/timeouts.svg': timeouts };

const left = 112;
const lane = 30;

/** The steps of a call that is made twice: name, width, whether a step of an attempt or the wait between two. */
const attempt = [
  ['pool', 50],
  ['dns', 38],
  ['connect', 52],
  ['proxy', 42],
  ['tls', 34],
  ['send', 48],
];
const steps = [
  ...attempt,
  ['headers ✗', 70, 'failed'],
  ['back-off', 66, 'wait'],
  ...attempt,
  ['headers', 58],
  ['body', 112],
];

/** The clocks, and the runs of steps that their spans cover: from a step to another, in so many spans of equal length. */
const clocks = [
  {
    name: 'poolTimeout',
    spans: [
      { first: 0, last: 0 },
      { first: 8, last: 8 },
    ],
  },
  {
    name: 'connect',
    spans: [
      { first: 1, last: 4 },
      { first: 9, last: 12 },
    ],
  },
  {
    name: 'read',
    spans: [
      { first: 5, last: 5, count: 2 },
      { first: 6, last: 6 },
      { first: 13, last: 13, count: 2 },
      { first: 14, last: 14 },
      { first: 15, last: 15, count: 4 },
    ],
  },
  { name: 'total', spans: [{ first: 0, last: 15 }] },
];

/** Which clock runs when, over a call whose first attempt fails and whose second one succeeds. */
function timeouts() {
  const starts = [];
  let at = left;
  for (const [, size] of steps) {
    starts.push(at);
    at += size;
  }
  const end = at;
  const width = end + 8;
  const from = (step) => starts[step];
  const to = (step) => starts[step] + steps[step][1];
  const parts = [
    bracket(from(0), to(6), 'first attempt'),
    bracket(from(8), to(15), 'second attempt, or the next hop of a redirect'),
    ...steps.map(([name, size, kind = 'step'], index) => box(starts[index], size, kind, name)),
  ];
  let top = 92;
  for (const { name, spans } of clocks) {
    parts.push(text(left - 10, top + 15, 'clock', name));
    for (const { first, last, count = 1 } of spans) {
      const each = (to(last) - from(first)) / count;
      for (let nth = 0; nth < count; nth += 1) {
        parts.push(
          `<rect class="${name}" x="${round(from(first) + nth * each + 1.5)}" y="${top + 4}" width="${round(each - 3)}" height="${lane - 14}" rx="3"/>`,
        );
      }
    }
    top += lane;
  }
  parts.push(
    text(
      left,
      top + 14,
      'note',
      'Each bar is one span of its clock, and begins with the whole of it. read: no byte of the request is taken;',
    ),
    text(left, top + 32, 'note', 'then, until the whole head is there; then, between two pieces of the body.'),
  );
  const height = top + 44;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Which clock runs when: poolTimeout over the wait for a connection, connect over name, connection, proxy and TLS, read over each step of sending, the head and each piece of the body, anew with each attempt; total over the whole call, back-off included">
<style>
text { font: 12px system-ui, sans-serif; fill: #6b7280; }
.clock { font-weight: 600; font-size: 13px; text-anchor: end; }
.inside { text-anchor: middle; font-size: 11px; }
rect.step { fill: none; stroke: #9ca3af; }
rect.wait { fill: none; stroke: #9ca3af; stroke-dasharray: 3 2; }
rect.failed { fill: none; stroke: #dc2626; }
path { fill: none; stroke: #9ca3af; }
rect.poolTimeout { fill: #a78bfa; }
rect.connect { fill: #60a5fa; }
rect.read { fill: #34d399; }
rect.total { fill: #ea580c; }
@media (prefers-color-scheme: light) { text { fill: #374151; } }
@media (prefers-color-scheme: dark) { text { fill: #d1d5db; } rect.failed { stroke: #f87171; } rect.total { fill: #fb923c; } }
</style>
${parts.join('\n')}
</svg>
`;

  function box(x, size, kind, name) {
    return [
      `<rect class="${kind}" x="${round(x + 1)}" y="52" width="${size - 2}" height="26" rx="3"/>`,
      text(x + size / 2, 69, 'inside', name),
    ].join('');
  }
  function bracket(x1, x2, name) {
    return [
      `<path d="M${round(x1 + 2)} 44v-8H${round(x2 - 2)}v8"/>`,
      text((x1 + Math.min(x2, end)) / 2, 26, 'inside', name),
    ].join('');
  }
}

function text(x, y, kind, content) {
  return `<text class="${kind}" x="${round(x)}" y="${y}">${content}</text>`;
}

function round(value) {
  return Number(value.toFixed(1));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [file, draw] of Object.entries(pictures)) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), draw());
    console.log(file);
  }
}

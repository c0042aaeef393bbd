/**
 * `node scripts/terminal-picture.js`: runs the command in a real terminal (tmux, 88 columns) against the small site over TLS, and
 * writes what the terminal shows to docs/pictures/cli.svg (one request) and cli-repeat.svg (many). Nothing in them is made up; run
 * again, they have other figures. Needs a built package and tmux.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { startOrigin } from '../cli/start-origin.js';
import { root } from './run.js';

const COLUMNS = 88;
const ROWS = 60;
/** Of one character, in the picture's units. */
const [WIDE, HIGH, FONT, EDGE] = [8.4, 19, 14, 18];
const PATIENCE_MS = 30_000;

const SOCKET = `ferropool-picture-${process.pid}`;

function tmux(...all) {
  const done = spawnSync('tmux', ['-u', '-L', SOCKET, '-f', '/dev/null', ...all], { encoding: 'utf8' });
  if (done.error) throw done.error;
  if (done.status !== 0) throw new Error(`tmux ${all[0]}: ${done.stderr.trim()}`);
  return done.stdout;
}

/** What a terminal shows after these commands, with its colours. */
async function shown(commands) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ferropool-picture-'));
  symlinkSync(path.join(root, 'dist', 'cli.js'), path.join(folder, 'ferropool'));
  const shell = `env -i TERM=tmux-256color LANG=C.UTF-8 PS1='$ ' PATH='${folder}:${process.env.PATH}' bash --norc --noprofile`;
  try {
    tmux('new-session', '-d', '-x', String(COLUMNS), '-y', String(ROWS), '-c', root, shell);
    for (const command of commands) {
      await prompt();
      tmux('send-keys', '-l', command);
      tmux('send-keys', 'Enter');
      await pause(300);
    }
    await prompt();
    return tmux('capture-pane', '-e', '-p');
  } finally {
    spawnSync('tmux', ['-L', SOCKET, 'kill-server']);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Waits until the shell is ready for the next command. */
async function prompt() {
  for (const until = Date.now() + PATIENCE_MS; Date.now() < until; await pause(100)) {
    if (tmux('capture-pane', '-p').trimEnd().endsWith('$')) return;
  }
  throw new Error('the command did not end');
}

/** Characters with their style, line by line; a colour is the number of its escape less 30. */
export function cells(text) {
  let style = { colour: null, bold: false, faint: false };
  const lines = text.split('\n').map((line) => {
    const found = [];
    // oxlint-disable-next-line no-control-regex
    for (const [whole, codes] of line.matchAll(/\u001B\[([\d;]*)m|[^\u001B]/gu)) {
      if (codes === undefined) found.push({ text: whole, ...style });
      else for (const code of codes.split(';')) style = after(style, Number(code));
    }
    return found;
  });
  while (lines.length > 0 && lines.at(-1).every(({ text: one }) => one === ' ')) lines.pop();
  return lines;
}

function after(style, code) {
  if (code === 0) return { colour: null, bold: false, faint: false };
  if (code === 1) return { ...style, bold: true };
  if (code === 2) return { ...style, faint: true };
  if (code === 22) return { ...style, bold: false, faint: false };
  if (code >= 30 && code <= 37) return { ...style, colour: code - 30 };
  return code === 39 ? { ...style, colour: null } : style;
}

const BLOCKS = ' ▏▎▍▌▋▊▉█';

/** The picture of these lines. Blocks are drawn, as no font is certain to join them. */
export function picture(lines) {
  const width = COLUMNS * WIDE + 2 * EDGE;
  const height = lines.length * HIGH + 2 * EDGE;
  const drawn = lines.flatMap((line, row) =>
    runs(line).flatMap((run) => (run.block ? [rectangle(run, row)] : words(run, row))),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${round(width)}" height="${height}" viewBox="0 0 ${round(width)} ${height}" role="img" aria-label="ferropool in a terminal" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT}">
<style>
.b { font-weight: 600; }
${coloured(LIGHT)}
@media (prefers-color-scheme: dark) {
${coloured(DARK)}
}
</style>
<rect x="0.5" y="0.5" width="${round(width - 1)}" height="${height - 1}" rx="8" class="back"/>
${drawn.join('\n')}
</svg>
`;
}

/** Of a light page and of a dark one: the card, its edge, text, faint text, and the colours from red to cyan. */
const LIGHT = [
  '#ffffff',
  '#d1d9e0',
  '#1f2328',
  '#656d76',
  '#cf222e',
  '#1a7f37',
  '#b07b00',
  '#0969da',
  '#8250df',
  '#1b7c83',
];
const DARK = [
  '#0d1117',
  '#3d444d',
  '#e6edf3',
  '#9198a1',
  '#ff7b72',
  '#3fb950',
  '#d29922',
  '#58a6ff',
  '#bc8cff',
  '#39c5cf',
];

function coloured([back, edge, text, faint, ...colours]) {
  const rules = [`.back { fill: ${back}; stroke: ${edge}; }`, `.t { fill: ${text}; }`, `.f { fill: ${faint}; }`];
  return [...rules, ...colours.map((colour, at) => `.c${at + 1} { fill: ${colour}; }`)].join('\n');
}

/** Neighbours of one style together, blocks apart from text, blanks at the ends left out. */
function runs(line) {
  const found = [];
  for (const [column, cell] of line.entries()) {
    const block = cell.text !== ' ' && BLOCKS.includes(cell.text);
    const last = found.at(-1);
    const joins = last && last.block === block && last.name === nameOf(cell, block) && last.to === column;
    if (joins) [last.text, last.to] = [last.text + cell.text, column + 1];
    else found.push({ text: cell.text, from: column, to: column + 1, block, name: nameOf(cell, block) });
  }
  return found.filter(({ text }) => text.trim() !== '');
}

function nameOf({ colour, bold, faint }, block) {
  const fill = colour !== null && colour >= 1 && colour <= 6 ? `c${colour}` : faint ? 'f' : 't';
  return bold && !block ? `${fill} b` : fill;
}

function rectangle({ text, from, name }, row) {
  const eighths = [...text].reduce((sum, block) => sum + BLOCKS.indexOf(block), 0);
  const [x, y] = [EDGE + from * WIDE, EDGE + row * HIGH + 4];
  return `<rect class="${name}" x="${round(x)}" y="${y}" width="${round((eighths / 8) * WIDE)}" height="${HIGH - 7}" rx="1.5"/>`;
}

/** Each word where it stands: not every viewer keeps blanks, nor has a font of the right width. */
function words({ text, from, name }, row) {
  return [...text.matchAll(/\S+(?: \S+)*/g)].map(({ 0: bare, index }) => {
    const escaped = bare.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
    const place = `x="${round(EDGE + (from + index) * WIDE)}" y="${EDGE + row * HIGH + 14}"`;
    const length = `textLength="${round(bare.length * WIDE)}" lengthAdjust="spacingAndGlyphs"`;
    return `<text class="${name}" ${place} ${length}>${escaped}</text>`;
  });
}

function round(value) {
  return Number(value.toFixed(2));
}

if (process.argv[1] === import.meta.filename) {
  const origin = await startOrigin();
  try {
    const url = `https://localhost:${origin.securePort}`;
    const ready = [`export SSL_CERT_FILE=cli/authority.pem; clear`, `ferropool -q ${url}; clear`];
    const pictures = {
      'cli.svg': `ferropool ${url}/gzip`,
      'cli-repeat.svg': `ferropool --repeat 5000 --concurrency 20 ${url}/about`,
    };
    mkdirSync(path.join(root, 'docs', 'pictures'), { recursive: true });
    for (const [name, command] of Object.entries(pictures)) {
      const lines = cells(await shown([...ready, command]));
      // The last prompt waits for nothing.
      lines.pop();
      writeFileSync(path.join(root, 'docs', 'pictures', name), picture(lines));
      console.log(`docs/pictures/${name}: ${lines.length} lines of ${COLUMNS} columns`);
    }
  } finally {
    origin.stop();
  }
}

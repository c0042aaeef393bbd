/** What terminals and files are shown: widths, colours, bars, progress, and pictures of it. */
import test from 'ava';
import { cells, picture } from '../scripts/terminal-picture.js';
import { failureLines } from '../cli/failure.ts';
import { bar, table } from '../cli/picture.js';
import { progressText } from '../cli/progress.ts';
import { bytes, draw, harmless, line, span, viewOf, widthOf, wholeLine, type View } from '../cli/text.ts';

const paper: View = { columns: 80, terminal: false, colour: false, unicode: false };
const screen: View = { columns: 80, terminal: true, colour: true, unicode: true };

test('a bar is as long as its share, and what is not nothing is never invisible', (t) => {
  t.is(bar(50, 100, 10, true), '#####');
  t.is(bar(50, 100, 10, false), '█████');
  t.is(bar(55, 100, 10, false), '█████▌');
  t.is(bar(0.001, 100, 10, true), '#');
  t.is(bar(0.001, 100, 10, false), '▏');
  t.is(bar(0, 100, 10, true), '');
  t.is(bar(500, 100, 10, true), '##########');
  t.is(bar(1, 0, 10, true), '');
});

test('a table aligns its columns and leaves no blank at the end of a line', (t) => {
  const rows = [
    ['client', 'n', ''],
    ['a', '10', '#'],
    ['longer one', '2', ''],
  ];
  t.deepEqual(table(rows, [1]), ['client       n', 'a           10  #', 'longer one   2']);
});

test('spans and sizes are shown as exactly as they deserve', (t) => {
  t.deepEqual([0.1234, 9.994, 12.34, 123.4, 12_345, 150_000].map(span), [
    '0.12 ms',
    '9.99 ms',
    '12.3 ms',
    '123 ms',
    '12.3 s',
    '2 min 30 s',
  ]);
  t.deepEqual([0, 999, 1_000, 12_340, 999_700, 5e9].map(bytes), [
    '0 B',
    '999 B',
    '1.0 kB',
    '12.3 kB',
    '1.0 MB',
    '5.0 GB',
  ]);
});

test('colours are put around text and counted as nothing', (t) => {
  t.is(draw(line(['200', 'good'], ' ok'), screen), '\u001B[32m200\u001B[0m ok');
  t.is(draw(line(['200', 'good'], ' ok'), paper), '200 ok');
  const narrow = { ...screen, columns: 6 };
  t.is(draw(line(['abcd', 'bad'], 'efgh'), narrow), '\u001B[31mabcd\u001B[0me…');
  t.is(draw(line('日本語日本'), { ...narrow, colour: false }), '日本…');
  t.is(draw(wholeLine('abcdefgh'), narrow), 'abcdefgh');
});

test('colours and blocks are for terminals; FORCE_COLOR, NO_COLOR and the option have their say', (t) => {
  const rows: [object, Record<string, string>, boolean, Partial<View>][] = [
    [{ isTTY: true, columns: 100 }, {}, false, { columns: 100, terminal: true, colour: true, unicode: true }],
    [{ isTTY: true, columns: 100 }, {}, true, { colour: false, unicode: true }],
    [{ isTTY: true }, { NO_COLOR: '1' }, false, { columns: 80, colour: false }],
    [{ isTTY: true }, { NO_COLOR: '' }, false, { colour: true }],
    [{ isTTY: true }, { NO_COLOR: '1', FORCE_COLOR: '1' }, false, { colour: true }],
    [{ isTTY: true }, { TERM: 'dumb' }, false, { terminal: true, colour: false, unicode: false }],
    [{ isTTY: true }, { LANG: 'en_US.ISO-8859-1' }, false, { colour: true, unicode: false }],
    [{ isTTY: true }, { LC_ALL: 'C.UTF-8', LANG: 'C' }, false, { unicode: true }],
    [{}, { FORCE_COLOR: '1' }, false, { terminal: false, colour: true, unicode: false }],
    [{}, { FORCE_COLOR: '1' }, true, { colour: false }],
    [{ isTTY: true }, { FORCE_COLOR: '0' }, false, { colour: false }],
    [{}, {}, false, { columns: 80, terminal: false, colour: false, unicode: false }],
    [{ isTTY: true, columns: 10 }, {}, false, { columns: 40 }],
    [{ isTTY: true, columns: 1_000 }, {}, false, { columns: 200 }],
    [{ isTTY: true, columns: 0 }, {}, false, { columns: 80 }],
  ];
  for (const [stream, env, noColour, expected] of rows) {
    t.like(viewOf(stream, env, noColour), expected, JSON.stringify([stream, env, noColour]));
  }
});

test('progress has a bar, a rate and what is left, and never fills a line', (t) => {
  const reached = { done: 250, total: 1_000, elapsed: 1_000, unit: 'requests' as const };
  const drawn = progressText(reached, { ...screen, colour: false });
  t.regex(drawn, /^█+▎?░+ {2}25 % {2}250 of 1,000 {2}250\/s {2}3,000 ms left$/);
  for (const columns of [1, 2, 10, 20, 39, 40, 41, 60, 80, 200]) {
    t.true(
      widthOf(progressText(reached, { ...screen, columns, colour: false })) <= Math.max(columns - 1, 0),
      `${columns}`,
    );
  }
  t.regex(progressText(reached, { ...screen, columns: 18, colour: false }), /^█.*░  25 %$/);
  t.is(progressText(reached, { ...screen, columns: 20, colour: false }), '25 %  250 of 1,000');
  // A report is made for 40 columns at the least, and what does not fit is wrapped; what is drawn again must not be.
  t.is(viewOf({ isTTY: true, columns: 20 }, {}, false, 1).columns, 20);
  t.is(progressText({ done: 5e6, total: null, elapsed: 1_000, unit: 'bytes' }, paper), '5.0 MB  5.0 MB/s');
});

test('a picture of a terminal has its colours, its blocks as shapes, and its words where they stood', (t) => {
  const lines = cells('\u001B[1mGET\u001B[0m  <a>\u001B[34m█▌\u001B[39m \n\u001B[2mfaint\u001B[22m x  \n   \n');
  t.is(lines.length, 2);
  t.like(lines[0]?.[0], { text: 'G', bold: true, colour: null });
  t.like(lines[0]?.[8], { text: '█', colour: 4, bold: false });
  const drawn = picture(lines);
  t.regex(drawn, /<text class="t b" x="18" [^>]*>GET</);
  t.regex(drawn, /<text class="t" x="60" [^>]*>&lt;a&gt;</);
  t.regex(drawn, /<rect class="c4" x="85.2" y="22" width="12.6"/);
  t.regex(drawn, /<text class="f" x="18" [^>]*>faint</);
});

test('THR-510: what shows nothing, or a blank that is none, is shown as an escape', (t) => {
  for (const character of [
    '\u034F',
    '\u115F',
    '\u1160',
    '\u17B4',
    '\u2800',
    '\u3164',
    '\uFE00',
    '\uFFA0',
    '\u{E0100}',
  ]) {
    t.regex(harmless(`a${character}b`), /^a\\u[\da-f{}]+b$/, JSON.stringify(character));
  }
  t.is(harmless('naïve 日本語 e\u0301 😀'), 'naïve 日本語 e\u0301 😀');
});

test('an error names options as the command has them, says no code twice, and blames no URL that a server named', (t) => {
  const drawn = (error: object): string[] =>
    failureLines('http://a.example/', error, 0).map((each) => draw(each, paper));
  const trust = "pass its CA with caCerts (trusted are these; caCerts: 'system' takes the system's)";
  const untrusted = Object.assign(new Error(trust), { code: 'ERR_TLS', reason: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
  t.is(drawn(untrusted)[1], "  name its CA with --cacert (trusted are these; NODE_USE_SYSTEM_CA=1 takes the system's)");
  const last = Object.assign(new Error('too many redirects'), { code: 'ERR_MAX_RETRY' });
  const often = Object.assign(new Error('Max retries'), { code: 'ERR_MAX_RETRY', reason: last, phase: 'headers' });
  t.is(drawn(often)[0], 'ferropool: http://a.example/: ERR_MAX_RETRY: too many redirects in headers');
  const bad = (sent: boolean): string | undefined =>
    drawn(Object.assign(new Error('no host'), { code: 'ERR_INVALID_URL', sent })).at(-1);
  t.is(bad(false), '  try: look at the URL; nothing was sent');
  t.is(bad(true), '  try: the server redirects there; without --location its answer is shown');
});

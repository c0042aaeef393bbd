/**
 * Text for a terminal. What a server sends is shown and never obeyed: whatever could move a cursor, set a title or turn the
 * direction of writing stands there as an escape. Pure.
 */

/** How a span looks. */
export type Style =
  | 'plain'
  | 'strong'
  | 'faint'
  | 'good'
  | 'moved'
  | 'warned'
  | 'bad'
  | 'blue'
  | 'cyan'
  | 'green'
  | 'magenta'
  | 'yellow';

/** Text in one style. */
export type Span = string | readonly [text: string, style: Style];

/** A line; one that is `whole` is never cut, and a terminal wraps it. */
export interface Line {
  readonly spans: readonly Span[];
  readonly whole?: boolean;
}

/** What lines are drawn on. */
export interface View {
  /** Columns, to 200; lines of a report are made for 40 at the least. Without a terminal nothing is cut. */
  readonly columns: number;
  readonly terminal: boolean;
  readonly colour: boolean;
  readonly unicode: boolean;
}

/** Colours that can be read on a light background and on a dark one. */
const CODES: Readonly<Record<Style, string>> = {
  plain: '',
  strong: '1',
  faint: '2',
  good: '32',
  moved: '36',
  warned: '33',
  bad: '31',
  blue: '34',
  cyan: '36',
  green: '32',
  magenta: '35',
  yellow: '33',
};

/** A line of these spans. */
export function line(...spans: Span[]): Line {
  return { spans };
}

/** A line that is shown whole, however long it is. */
export function wholeLine(...spans: Span[]): Line {
  return { spans, whole: true };
}

/** What is written for a line: harmless, without anybody's password, no wider than the view, coloured where it has colours. */
export function draw({ spans, whole = false }: Line, view: View): string {
  const room = whole || !view.terminal ? Infinity : view.columns;
  const texts = spans.map((part) => harmless(withoutUsers(typeof part === 'string' ? part : part[0])));
  const fits = widthOf(texts.join('')) <= room;
  let left = fits ? room : room - 1;
  let drawn = '';
  for (const [index, part] of spans.entries()) {
    const text = fits ? (texts[index] ?? '') : cut(texts[index] ?? '', left);
    left -= widthOf(text);
    drawn += styled(text, typeof part === 'string' ? 'plain' : part[1], view.colour);
  }
  return (fits ? drawn : drawn + (view.unicode ? '…' : '~')).trimEnd();
}

function styled(text: string, style: Style, colour: boolean): string {
  const code = CODES[style];
  return !colour || code === '' || text === '' ? text : `\u001B[${code}m${text}\u001B[0m`;
}

/**
 * Control characters (C0, DEL, C1), line separators, marks of direction, characters that show nothing or look like a blank, and
 * halves of characters as escapes.
 */
export function harmless(text: string): string {
  return text.replaceAll(UNSAFE, escaped);
}

/** The same for a text that has lines and tabs of its own. */
export function harmlessLines(text: string): string {
  return text.replaceAll(UNSAFE, (found) => (found === '\n' || found === '\t' ? found : escaped(found)));
}

/**
 * A text without the users and passwords of the URLs in it, wherever it is from. No step looks at a character twice: `//` ends
 * what the one before it began.
 */
export function withoutUsers(text: string): string {
  return text.replaceAll(/(?<=^|[:\s"'<>(=,;|])\/\/[^\s/?#"<>]*@/g, '//');
}

/**
 * JSON of one line, in which such characters are escapes of JSON's own: it says the same, and a terminal may show it. URLs have
 * no user and no password.
 */
export function harmlessJson(value: object): string {
  const units = (found: string): string =>
    Array.from({ length: found.length }, (_, at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, '0')}`).join(
      '',
    );
  const shown = (_: string, member: unknown): unknown => (typeof member === 'string' ? withoutUsers(member) : member);
  return JSON.stringify(value, shown).replaceAll(UNSAFE, units);
}

function escaped(found: string): string {
  const code = found.codePointAt(0) ?? 0;
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code <= 0xffff ? `\\u${code.toString(16).padStart(4, '0')}` : `\\u{${code.toString(16)}}`;
}

const UNSAFE = /[\p{Cc}\p{Cs}\p{Default_Ignorable_Code_Point}\u2028-\u202E\u2800\uFFF9-\uFFFB]/gu;

/** Columns that a text takes. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += columnsOf(character);
  return width;
}

/** The beginning of a text that takes no more columns than this. */
export function cut(text: string, columns: number): string {
  let width = 0;
  let end = 0;
  for (const character of text) {
    width += columnsOf(character);
    if (width > columns) break;
    end += character.length;
  }
  return text.slice(0, end);
}

/** A text in so many columns, blanks behind it, cut if it has more. */
export function padded(text: string, columns: number): string {
  const shown = cut(harmless(text), columns);
  return shown + ' '.repeat(columns - widthOf(shown));
}

function columnsOf(character: string): number {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x300) return 1;
  if (COMBINING.test(character)) return 0;
  return WIDE.some(([from, to]) => code >= from && code <= to) ? 2 : 1;
}

const COMBINING = /^[\p{Mn}\p{Me}]$/u;
/** Blocks whose characters are two columns wide (Unicode's East Asian width W and F, and emoji). */
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0xa4cf],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f300, 0x1f64f],
  [0x1f680, 0x1f6ff],
  [0x1f900, 0x1f9ff],
  [0x20000, 0x3fffd],
];

/** What a stream can show: a terminal's width, `narrowest` at the least, its colours, its characters. */
export function viewOf(
  stream: { readonly isTTY?: boolean; readonly columns?: number },
  env: NodeJS.ProcessEnv,
  noColour: boolean,
  narrowest: number = NARROWEST,
): View {
  const terminal = stream.isTTY === true;
  const capable = terminal && env['TERM'] !== 'dumb';
  const columns = Math.min(Math.max(stream.columns || 80, narrowest), WIDEST);
  return { columns, terminal, colour: hasColours(capable, env, noColour), unicode: capable && hasUnicode(env) };
}

/** FORCE_COLOR over NO_COLOR, as Node.js has it; the option over both. */
function hasColours(capable: boolean, env: NodeJS.ProcessEnv, noColour: boolean): boolean {
  if (noColour) return false;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined) return forced !== '0' && forced !== 'false';
  return capable && (env['NO_COLOR'] ?? '') === '';
}

/** A locale that is set and has another charset has no blocks. */
function hasUnicode(env: NodeJS.ProcessEnv): boolean {
  const locale = [env['LC_ALL'], env['LC_CTYPE'], env['LANG']].find((value) => value !== undefined && value !== '');
  return locale === undefined || /utf-?8/i.test(locale);
}

const NARROWEST = 40;
const WIDEST = 200;

/** A number with separators: `12,345`. */
export function count(value: number): string {
  return value.toLocaleString('en');
}

/** A number and its noun: `1 byte`, `2 bytes`. */
export function many(value: number, one: string, more = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : more}`;
}

/** Bytes as a person reads them: `999 B`, `1.0 kB`, `12.3 MB`. */
export function bytes(value: number): string {
  let [size, unit] = [value, 0];
  while (size >= 999.5 && unit < UNITS.length - 1) [size, unit] = [size / 1_000, unit + 1];
  return `${unit === 0 || size >= 99.95 ? Math.round(size) : size.toFixed(1)} ${UNITS[unit]}`;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** A span as a person reads it: `4.21 ms`, `310 ms`, `12.4 s`, `3 min 20 s`. */
export function span(milliseconds: number): string {
  if (milliseconds < 9.995) return `${milliseconds.toFixed(2)} ms`;
  if (milliseconds < 99.95) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 9_999.5) return `${count(Math.round(milliseconds))} ms`;
  const seconds = milliseconds / 1_000;
  if (seconds < 99.95) return `${seconds.toFixed(1)} s`;
  return `${count(Math.floor(Math.round(seconds) / 60))} min ${Math.round(seconds) % 60} s`;
}

/** The command line: from words to settings, or to a sentence that says what is wrong with them. Pure. */
import { parseArgs } from 'node:util';
import { distance } from '../facade/hints.ts';

/** What a run is to do. Times are milliseconds; 0 is none. */
export interface Settings {
  readonly urls: readonly string[];
  readonly method: string | null;
  readonly headers: readonly HeaderWord[];
  readonly data: readonly string[];
  readonly jsonData: string | null;
  readonly user: string | null;
  readonly head: boolean;
  readonly location: boolean;
  readonly maxRedirects: number;
  readonly retries: number;
  readonly timeout: number | null;
  readonly connectTimeout: number | null;
  readonly http: 'any' | 'h1' | 'h2' | 'h2-prior-knowledge';
  /** `null`: what the environment says; empty: none. */
  readonly proxy: string | null;
  readonly insecure: boolean;
  readonly cacert: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  readonly pass: string | null;
  readonly resolve: ReadonlyMap<string, readonly string[]>;
  readonly unixSocket: string | null;
  /** A file, `-` for stdout, `null` for nowhere. */
  readonly output: string | null;
  readonly remoteName: boolean;
  readonly compressed: boolean;
  readonly raw: boolean;
  readonly fail: boolean;
  readonly json: boolean;
  readonly verbose: boolean;
  readonly quiet: boolean;
  readonly noColour: boolean;
  readonly repeat: number | null;
  readonly concurrency: number;
}

/** A field to send; without a value the field that would be sent by default is left out. */
export interface HeaderWord {
  readonly name: string;
  readonly value: string | null;
}

/** The words cannot be understood. The message repeats no value but figures: it may be a secret. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** Every option by its long name. */
export const OPTIONS = {
  request: { type: 'string', short: 'X' },
  header: { type: 'string', short: 'H', multiple: true },
  data: { type: 'string', short: 'd', multiple: true },
  'json-data': { type: 'string' },
  user: { type: 'string', short: 'u' },
  head: { type: 'boolean', short: 'I' },
  location: { type: 'boolean', short: 'L' },
  'max-redirects': { type: 'string' },
  retries: { type: 'string' },
  timeout: { type: 'string', short: 'm' },
  'connect-timeout': { type: 'string' },
  h2: { type: 'boolean' },
  http1: { type: 'boolean' },
  'h2-prior-knowledge': { type: 'boolean' },
  proxy: { type: 'string', short: 'x' },
  insecure: { type: 'boolean', short: 'k' },
  cacert: { type: 'string' },
  cert: { type: 'string', short: 'E' },
  key: { type: 'string' },
  pass: { type: 'string' },
  resolve: { type: 'string', multiple: true },
  'unix-socket': { type: 'string' },
  output: { type: 'string', short: 'o' },
  'remote-name': { type: 'boolean', short: 'O' },
  compressed: { type: 'boolean' },
  'no-compressed': { type: 'boolean' },
  raw: { type: 'boolean' },
  fail: { type: 'boolean', short: 'f' },
  json: { type: 'boolean' },
  verbose: { type: 'boolean', short: 'v' },
  quiet: { type: 'boolean', short: 'q' },
  'no-color': { type: 'boolean' },
  repeat: { type: 'string' },
  concurrency: { type: 'string' },
  version: { type: 'boolean', short: 'V' },
  help: { type: 'boolean', short: 'h' },
} as const;

type Name = keyof typeof OPTIONS;

/** Other names of the same: curl's where ours differ, and how the option is often called. */
export const ALIASES: Readonly<Record<string, Name>> = {
  'max-time': 'timeout',
  'max-redirs': 'max-redirects',
  retry: 'retries',
  'http1.1': 'http1',
  http2: 'h2',
  'http2-prior-knowledge': 'h2-prior-knowledge',
  'data-binary': 'data',
  headers: 'verbose',
  silent: 'quiet',
};

/** Options of curl that are not here: what to write. */
const INSTEAD: Readonly<Record<string, string>> = Object.fromEntries(
  (
    [
      ['-A --user-agent', "use -H 'User-Agent: ...'"],
      ['-b --cookie', "use -H 'Cookie: ...'"],
      ['-c --cookie-jar', 'no cookies are kept'],
      ['-C --continue-at', "use -H 'Range: bytes=N-'"],
      ['-D --dump-header', 'use -v, or --json -v'],
      ['-e --referer', "use -H 'Referer: ...'"],
      ['-F --form --form-string', 'forms are sent with -d, without files'],
      ['-G --get --url-query', 'write the query in the URL'],
      ['-i --include --show-headers', 'use -v, which shows every header'],
      ['-n --netrc', 'use -u NAME:PASSWORD'],
      ['-r --range', "use -H 'Range: bytes=0-99'"],
      ['-s', 'use -q'],
      ['-S --show-error', 'leave it out: errors are told with -q too'],
      ['-T --upload-file', 'use -X PUT -d @FILE'],
      ['-U --proxy-user', 'write the user in the URL of --proxy'],
      ['-w --write-out', 'use --json, which has every figure'],
      ['--data-raw', 'use -d; data that begin with @ can come from a file'],
      ['--data-urlencode', 'encode it, and use -d'],
      ['--url', 'write the URL alone'],
    ] as const
  ).flatMap(([names, hint]) => names.split(' ').map((name) => [name, hint])),
);

const ALIAS_OPTIONS = Object.fromEntries(
  Object.entries(ALIASES).map(([alias, name]) => [alias, { type: OPTIONS[name].type, multiple: true }]),
);

/** What the words ask for. @throws UsageError */
export function understand(words: readonly string[]): 'help' | 'version' | Settings {
  const { given, urls } = sorted(words);
  if (given.has('help')) return 'help';
  if (given.has('version')) return 'version';
  const settings = settled(given, urls);
  const objection = contradiction(settings, given);
  if (objection !== null) throw new UsageError(objection);
  return settings;
}

type Given = ReadonlyMap<Name, readonly string[]>;

/** Options by name with the values that they were given, in order; a switch has an empty one. */
function sorted(words: readonly string[]): { given: Given; urls: string[] } {
  const options = { ...OPTIONS, ...ALIAS_OPTIONS };
  const { tokens } = parseArgs({ args: [...words], options, allowPositionals: true, strict: false, tokens: true });
  const given = new Map<Name, string[]>();
  const urls: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') urls.push(token.value);
    if (token.kind !== 'option') continue;
    const name = (ALIASES[token.name] ?? token.name) as Name;
    if (!Object.hasOwn(OPTIONS, name)) throw new UsageError(unknown(token.rawName));
    const values = given.get(name) ?? [];
    given.set(name, [...values, valueOf(token, OPTIONS[name].type === 'string')]);
  }
  return { given, urls };
}

function valueOf(token: { rawName: string; value?: string | undefined }, wanted: boolean): string {
  if (!wanted && token.value !== undefined) throw new UsageError(`${token.rawName} takes no value`);
  if (wanted && token.value === undefined) throw new UsageError(`${token.rawName} needs a value`);
  return token.value ?? '';
}

function unknown(rawName: string): string {
  const known = [...Object.keys(OPTIONS), ...Object.keys(ALIASES)].map((name) => `--${name}`);
  const near = rawName.startsWith('--') ? nearest(rawName, known) : null;
  const hint = Object.hasOwn(INSTEAD, rawName) ? INSTEAD[rawName] : near === null ? null : `did you mean ${near}?`;
  return `there is no option ${rawName}${hint == null ? '' : `; ${hint}`}`;
}

function settled(given: Given, urls: readonly string[]): Settings {
  const has = (name: Name): boolean => given.has(name);
  const last = (name: Name): string | null => given.get(name)?.at(-1) ?? null;
  const number = (name: Name, least: number, most: number): number | null => {
    const text = last(name);
    return text === null ? null : wholeNumber(`--${name}`, text, least, most);
  };
  const time = (name: Name): number | null => {
    const text = last(name);
    return text === null ? null : milliseconds(`--${name}`, text);
  };
  return {
    urls: urls.map(withScheme),
    method: methodWord(last('request')),
    headers: (given.get('header') ?? []).map(headerWord),
    data: given.get('data') ?? [],
    jsonData: last('json-data'),
    user: last('user'),
    head: has('head'),
    location: has('location') || has('max-redirects'),
    maxRedirects: number('max-redirects', 0, 1_000) ?? 10,
    retries: number('retries', 0, 1_000) ?? 0,
    timeout: time('timeout'),
    connectTimeout: time('connect-timeout'),
    http: protocol(has),
    proxy: proxyOf(last('proxy')),
    insecure: has('insecure'),
    cacert: last('cacert'),
    cert: last('cert'),
    key: last('key'),
    pass: last('pass'),
    resolve: new Map((given.get('resolve') ?? []).map(resolution)),
    unixSocket: last('unix-socket'),
    output: last('output'),
    remoteName: has('remote-name'),
    compressed: !has('no-compressed'),
    raw: has('raw'),
    fail: has('fail'),
    json: has('json'),
    verbose: has('verbose'),
    quiet: has('quiet'),
    noColour: has('no-color'),
    repeat: number('repeat', 1, 10_000_000),
    concurrency: number('concurrency', 1, 10_000) ?? 1,
  };
}

function protocol(has: (name: Name) => boolean): Settings['http'] {
  const chosen = (['h2', 'http1', 'h2-prior-knowledge'] as const).filter(has);
  const [first, second] = chosen;
  if (second !== undefined) throw new UsageError(`--${first} and --${second} exclude one another`);
  return first === 'http1' ? 'h1' : (first ?? 'any');
}

/** The pairs that exclude one another, and what makes no sense alone. `null` for nothing. */
function contradiction(settings: Settings, given: Given): string | null {
  const { urls, data, jsonData, head, output, remoteName, json, repeat, quiet } = settings;
  const both = (one: Name, other: Name): string | null =>
    given.has(one) && given.has(other) ? `--${one} and --${other} exclude one another` : null;
  if (urls.length === 0) return 'there is no URL';
  // As curl has it.
  if (json && urls.some((url) => /^http:\/\/[{@]/.test(url))) return '--json takes no data; use --json-data';
  if (head && (data.length > 0 || jsonData !== null)) return '--head sends no data';
  if (output !== null && output !== '-' && urls.length > 1) return '--output is for one URL; --remote-name is for many';
  if (output === '-' && json) return '--output - and --json both write to the standard output';
  if (output === '') return '--output needs the name of a file';
  if (repeat !== null && (output !== null || remoteName)) return '--repeat counts bodies and writes none';
  if (given.has('concurrency') && repeat === null) return '--concurrency is for --repeat';
  if (given.has('key') && !given.has('cert')) return '--key needs --cert';
  if (given.has('pass') && !given.has('cert')) return '--pass needs --cert';
  if (urls.length > 1 && data.includes('@-')) return 'the standard input can be sent to one URL only';
  if (settings.http === 'h2' && urls.some((url) => /^http:/i.test(url))) {
    return '--h2 is for https; over http there is --h2-prior-knowledge';
  }
  return (
    both('data', 'json-data') ??
    both('output', 'remote-name') ??
    both('compressed', 'no-compressed') ??
    both('proxy', 'unix-socket') ??
    both('json', 'quiet') ??
    (quiet && repeat !== null ? '--quiet and --repeat exclude one another' : null)
  );
}

/** As curl has it: what has no scheme is http. @throws UsageError for what would be a host named http */
function withScheme(url: string): string {
  if (url === '') throw new UsageError('a URL is empty');
  if (/^(?:https?|socks[45][ah]?):\/(?!\/(?!\/))/i.test(url))
    throw new UsageError('a URL has two slashes behind its scheme');
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(url) ? url : `http://${url}`;
}

function proxyOf(text: string | null): string | null {
  return text === null || text === '' ? text : withScheme(text);
}

/** A name of RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~\w-]+$/;

function methodWord(text: string | null): string | null {
  if (text === null || TOKEN.test(text)) return text;
  throw new UsageError('--request takes a method, as PUT: letters, digits, and no blanks');
}

/** `Name: value`; `Name;` has an empty value, and `Name:` leaves out what would be sent. */
function headerWord(text: string): HeaderWord {
  const [, name, mark, value = ''] = /^([^:;\s]+)\s*([:;])\s*([\s\S]*)$/.exec(text) ?? [];
  if (name === undefined || (mark === ';' && value !== '')) {
    throw new UsageError("--header takes 'Name: value', 'Name;' for an empty value, 'Name:' for none");
  }
  if (!TOKEN.test(name)) throw new UsageError('--header: a name has letters, digits, hyphens, and no blanks');
  // What would begin a line of its own, or is no text.
  if (/[^\t\P{Cc}]/u.test(value))
    throw new UsageError('--header: a value has no line break and no other control character');
  return { name, value: value === '' && mark === ':' ? null : value };
}

/** `host:port:address[,address]…`, as curl has it; the host may be `*`, IPv6 in brackets. */
function resolution(text: string): [string, string[]] {
  const [, host, port, list] = /^(\*|\[[^\]]+\]|[^:[\]]+):(\d{1,5}):(.+)$/.exec(text) ?? [];
  if (host === undefined || list === undefined || Number(port) > 65_535) {
    throw new UsageError("--resolve takes 'host:port:address', with several addresses between commas");
  }
  const addresses = list.split(',').map((address) => address.replace(/^\[(.*)\]$/, '$1'));
  return [`${host.replace(/^\[(.*)\]$/, '$1').toLowerCase()}:${Number(port)}`, addresses];
}

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new UsageError(`${name} takes a whole number from ${least} to ${most.toLocaleString('en')}${insteadOf(text)}`);
}

/** Seconds as curl has them; `250ms`, `2.5s` and `5m` are taken too. */
function milliseconds(name: string, text: string): number {
  const [, figure, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text) ?? [];
  const value = Number(figure) * { ms: 1, s: 1_000, m: 60_000 }[unit as 'ms' | 's' | 'm'];
  if (value === 0 || (value >= 1 && value <= LONGEST)) return value;
  throw new UsageError(`${name} takes seconds (2.5), or 250ms, 30s, 5m; 0 is none${insteadOf(text)}`);
}

/** What was given, where it looks like a figure: any other word may be a secret that got into the wrong place. */
function insteadOf(text: string): string {
  return /^[-+]?[\d.,_]{1,16}(?:e\d{1,3})?\s?[a-z]{0,3}$/i.test(text) ? `; it was given ${text}` : '';
}

/** A timer cannot be longer. */
const LONGEST = 2_147_483_647;

/** The known name that is close enough to be what was meant. */
function nearest(name: string, known: readonly string[]): string | null {
  const begins = known.filter((candidate) => candidate.startsWith(name));
  if (begins.length === 1) return begins[0] ?? null;
  const least = Math.max(2, Math.floor((name.length - 2) / 3));
  const close = known
    .filter((candidate) => Math.abs(candidate.length - name.length) <= least)
    .map((candidate) => ({ candidate, steps: distance(name.toLowerCase(), candidate) }))
    .filter(({ steps }) => steps <= least)
    .toSorted((one, other) => one.steps - other.steps);
  return close[0]?.candidate ?? null;
}

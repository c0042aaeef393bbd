/** What the command `ferropool` draws and says, apart from all reading and writing. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { NO_TIMINGS, withoutSecrets, withoutUser, type Answer, type Result } from '../cli/answer.ts';
import { loadDocument, requestDocument } from '../cli/document.ts';
import { failureLines } from '../cli/failure.ts';
import { HELP } from '../cli/help.ts';
import { remedyFor } from '../cli/remedies.ts';
import { reportLines } from '../cli/report.ts';
import { Samples } from '../cli/samples.ts';
import { ALIASES, OPTIONS } from '../cli/settings.ts';
import { summaryLines } from '../cli/summary.ts';
import { draw, harmless, harmlessJson, line, widthOf, type View } from '../cli/text.ts';
import { waterfall } from '../cli/waterfall.ts';
import { clocked, within } from './support/clocked.ts';

const NOW = Date.parse('2026-06-01T00:00:00Z');
const paper: View = { columns: 80, terminal: false, colour: false, unicode: false };
const screen: View = { columns: 80, terminal: true, colour: true, unicode: true };

const plainAnswer: Answer = {
  status: 200,
  reason: 'OK',
  version: 'HTTP/1.1',
  url: 'http://a.example/',
  headers: [],
  trailers: [],
  defects: [],
  timings: { ...NO_TIMINGS, pool: 1, headers: 3, body: 1, total: 5 },
  connection: null,
  attempts: 1,
  history: [],
  body: { wireBytes: 5, decodedBytes: 5, coding: null, decoded: false, charset: null, savedTo: null },
};

const resultOf = (answer: Partial<Answer>, url = 'http://a.example/'): Result => ({
  index: 0,
  method: 'GET',
  url,
  answer: { ...plainAnswer, ...answer },
  error: null,
  elapsed: 6,
});

const report = (answer: Partial<Answer>, view = paper, verbose = false): string =>
  reportLines(resultOf(answer), { verbose, now: NOW }, view)
    .map((each) => draw(each, view))
    .join('\n');

const chainOf = (subject: string) => [
  {
    subject,
    issuer: 'CN=b',
    validFrom: new Date('2026-01-01T00:00:00Z'),
    validTo: new Date('2026-06-11T12:00:00Z'),
    subjectAltName: ['DNS:a'],
    sha256: '8A',
    raw: Buffer.alloc(1),
  },
];

const connectionOf = (changes: object = {}) => ({
  id: 1,
  remoteAddress: '::1',
  remotePort: 443,
  localAddress: '::1',
  localPort: 50_000,
  reused: false,
  protocol: 'http/1.1' as const,
  proxy: null,
  triedAddresses: [],
  tls: null,
  ...changes,
});

test('a waterfall shows what happened, in order, each bar where the one before ended', (t) => {
  const timings = { ...NO_TIMINGS, pool: 0, connect: 2, send: 1, headers: 4, deliver: 0.5, body: 1, total: 8 };
  const drawn = waterfall(timings, null, false, { ...paper, columns: 80 }).map((each) => draw(each, paper));
  // 58 columns of bars for 8 ms.
  t.deepEqual(drawn, [
    '  pool       0.00 ms',
    `  connect    2.00 ms  ${'#'.repeat(15)}`,
    `  send       1.00 ms  ${' '.repeat(14)}${'#'.repeat(7)}`,
    `  headers    4.00 ms  ${' '.repeat(21)}${'#'.repeat(29)}`,
    `  body       1.00 ms  ${' '.repeat(50)}${'#'.repeat(7)}`,
    '  total      8.00 ms',
    '  deliver    0.50 ms  beside the body, not added to the total',
  ]);
});

/** The figures of a waterfall's lines by their names, in milliseconds. */
function figures(timings: Answer['timings'], earlier: boolean): Record<string, number> {
  const drawn = waterfall(timings, null, earlier, paper).map((each) => draw(each, paper));
  return Object.fromEntries(drawn.map((each) => [each.slice(2, 10).trim(), Number.parseFloat(each.slice(10))]));
}

test('the lines above the total are the total, and how long the head lay there is none of them', (t) => {
  const spans = {
    ...NO_TIMINGS,
    pool: 0.19,
    dns: 1.62,
    connect: 0.13,
    tls: 1.56,
    send: 0.04,
    headers: 1.61,
    body: 1.6,
  };
  for (const deliver of [0, 0.15, 250]) {
    for (const [total, earlier] of [
      [6.75, false],
      [7.07, false],
      [50, true],
    ] as const) {
      const { total: told, deliver: lay, ...parts } = figures({ ...spans, deliver, total }, earlier);
      const sum = Object.values(parts).reduce((all, part) => all + part, 0);
      t.is(told, total);
      t.is(lay, deliver);
      t.true(Math.abs(sum - total) < 0.1, `${JSON.stringify(parts)} make ${sum} of ${total}`);
      t.is('other' in parts, total === 7.07);
      t.is('before' in parts, earlier);
    }
  }
});

test('a head that lay there for long makes no bar shorter, and without a head none lay there', (t) => {
  const timings = { ...NO_TIMINGS, pool: 1, headers: 2, body: 1, total: 4 };
  const bars = (deliver: number): string[] =>
    waterfall({ ...timings, deliver }, null, false, paper)
      .slice(0, -1)
      .map((each) => draw(each, paper));
  t.deepEqual(bars(10_000), bars(0));
  t.is(figures({ ...NO_TIMINGS, pool: 1, connect: 2 }, false)['deliver'], undefined);
});

test('what came before the last attempt has a bar of its own, and each address that was tried a line', (t) => {
  const timings = { ...NO_TIMINGS, pool: 1, connect: 1, headers: 2, total: 8 };
  const triedAddresses = [
    { address: '[::1]:443', error: 'ECONNREFUSED', elapsed: 0.25 },
    { address: '127.0.0.1:443', error: null, elapsed: 0.75 },
  ];
  const drawn = waterfall(timings, connectionOf({ triedAddresses }), true, paper).map((each) => draw(each, paper));
  t.is(drawn[0], `  before     4.00 ms  ${'#'.repeat(29)}`);
  t.deepEqual(drawn.slice(3, 5), [
    '             0.25 ms  [::1]:443      ECONNREFUSED',
    '             0.75 ms  127.0.0.1:443  connected',
  ]);
});

test('a waterfall of nothing is empty', (t) => {
  t.deepEqual(waterfall(NO_TIMINGS, null, false, paper), []);
});

test('no line of a terminal is longer than the terminal is wide, from 40 columns to 200', (t) => {
  const long = 'x'.repeat(300);
  const answer: Partial<Answer> = {
    headers: [
      ['server', long],
      ['content-type', '日本語'.repeat(60)],
    ],
    connection: connectionOf({ triedAddresses: [{ address: long, error: long, elapsed: 1 }] }),
    timings: { ...plainAnswer.timings, connect: 1 },
    defects: [long],
  };
  for (const columns of [40, 57, 80, 120, 200]) {
    const view = { ...screen, columns, colour: false };
    const lines = reportLines(resultOf(answer), { verbose: false, now: NOW }, view).map((each) => draw(each, view));
    t.deepEqual(
      lines.filter((each) => widthOf(each) > columns),
      [],
      `${columns} columns`,
    );
    t.true(lines.some((each) => each.endsWith('…')));
    t.true(lines.some((each) => widthOf(each) > columns - 3));
  }
  t.true(report(answer).includes(long), 'without a terminal nothing is cut');
});

/** Sets the title, moves the cursor, turns the direction of writing, begins a line of its own, and the like. */
const hostile = '\u001B]0;title\u0007\u001B[2J\u009B31m\r\nforged\u202Eevil\u2028\uFEFF\uD800\u{E0041}\t\u007F';

test('what a server sends moves no cursor, sets no title and begins no line: it is shown as escapes', (t) => {
  t.is(
    harmless(hostile),
    String.raw`\x1b]0;title\x07\x1b[2J\x9b31m\x0d\x0aforged\u202eevil\u2028\ufeff\ud800\u{e0041}\x09\x7f`,
  );
  const answer: Partial<Answer> = {
    reason: hostile,
    url: `http://a.example/${hostile}`,
    headers: [
      ['server', hostile],
      ['set-cookie', `${hostile}=1`],
      ['content-type', hostile],
      [hostile, hostile],
    ],
    trailers: [[hostile, hostile]],
    defects: [hostile],
    connection: connectionOf({
      triedAddresses: [{ address: hostile, error: hostile, elapsed: 1 }],
      proxy: hostile,
      tls: {
        version: hostile,
        cipher: hostile,
        resumed: false,
        verified: true,
        serverName: hostile,
        chain: chainOf(hostile),
      },
    }),
    timings: { ...plainAnswer.timings, connect: 1 },
    history: [{ method: 'GET', url: hostile, error: null, status: 301, redirectLocation: hostile }],
    body: { ...plainAnswer.body, coding: hostile, decoded: true, savedTo: hostile },
  };
  const error = Object.assign(new Error(hostile, { cause: new Error(`b${hostile}`) }), {
    code: 'ERR_TLS',
    reason: hostile,
    chain: chainOf(hostile),
  });
  const load = {
    ...LOAD,
    url: hostile,
    statuses: { [hostile]: 1 },
    errors: { [hostile]: 1 },
    versions: { [hostile]: 1 },
  };
  const view = { ...screen, columns: 200, colour: false };
  for (const lines of [
    reportLines(resultOf(answer, `http://a.example/${hostile}`), { verbose: true, now: NOW }, view),
    reportLines(resultOf(answer), { verbose: false, now: NOW }, view),
    failureLines(hostile, error, NOW),
    summaryLines(load, view),
  ]) {
    const texts = lines.map((each) => draw(each, view));
    t.deepEqual(
      texts.filter((text) => /[\p{Cc}\u202E\u2028\uFEFF]/u.test(text)),
      [],
    );
    t.true(texts.some((text) => text.includes(String.raw`\x1b]0;title`)));
  }
});

test('a report tells of the chain, the days that are left, coding, charset, and where the way led', (t) => {
  const told = report({
    headers: [
      ['server', 'nginx'],
      ['set-cookie', 'session=secret; Path=/'],
      ['x-other', 'unseen'],
    ],
    connection: connectionOf({
      reused: true,
      proxy: 'http://proxy.example:3128',
      tls: {
        version: 'TLSv1.3',
        cipher: 'TLS13_AES_128_GCM_SHA256',
        resumed: true,
        verified: false,
        serverName: 'a',
        chain: chainOf('CN=a'),
      },
    }),
    body: {
      wireBytes: 100,
      decodedBytes: 2_050,
      coding: 'gzip',
      decoded: true,
      charset: { name: 'utf-8', from: 'meta' },
      savedTo: 'page.html',
    },
    history: [
      {
        method: 'GET',
        url: 'http://old.example/',
        error: null,
        status: 301,
        redirectLocation: 'http://u:p@a.example/',
      },
      { method: 'GET', url: 'http://a.example/', error: null, status: 503, redirectLocation: null },
    ],
    trailers: [['x-sum', '1']],
    defects: ['a bare LF'],
  });
  for (const words of [
    'redirect     301 to http://a.example/',
    'final url    http://a.example/',
    'retry        503',
    'connection   reused, [::1]:50000 to [::1]:443',
    'proxy        http://proxy.example:3128',
    'tls          TLSv1.3, TLS13_AES_128_GCM_SHA256, session resumed, not verified',
    'certificate  CN=a',
    'issued by CN=b',
    'valid 2026-01-01 to 2026-06-11, 10 days left',
    'coding       gzip: 100 to 2,050 bytes, 20.5 to 1',
    'charset      utf-8, by an HTML meta element',
    'saved to     page.html',
    'server       nginx',
    'set-cookie   session',
    'trailer      x-sum: 1',
    'defect       a bare LF',
  ]) {
    t.true(told.includes(words), words);
  }
  t.false(told.includes('secret') || told.includes('unseen'));
});

test('a certificate that has expired, and one whose dates cannot be read, are said to be so', (t) => {
  const tls = { version: '', cipher: '', resumed: false, verified: true, serverName: null };
  const of = (validTo: Date): string =>
    report({
      connection: connectionOf({
        tls: {
          ...tls,
          chain: [{ subject: '', issuer: 'CN=b', validFrom: validTo, validTo, subjectAltName: [], sha256: '' }],
        },
      }),
    });
  t.regex(of(new Date('2026-05-31T00:00:00Z')), /valid 2026-05-31 to 2026-05-31, expired/);
  t.regex(of(new Date(Number.NaN)), /certificate {2}\(no name\)[\s\S]*valid \? to \?, its dates cannot be read/);
});

test('JSON hides cookies, queries and user info, and --verbose nothing', (t) => {
  const result = resultOf(
    {
      url: 'http://a.example/?token=1',
      headers: [
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
        ['location', 'http://u:p@b.example/?token=1'],
        ['__proto__', 'x'],
      ],
      history: [
        { method: 'GET', url: 'http://a.example/?q=1', error: null, status: 302, redirectLocation: '/?token=1' },
      ],
    },
    'http://user:pass@a.example/?token=1',
  );
  const hidden = JSON.stringify(requestDocument(result, { verbose: false, now: NOW }));
  for (const secret of ['token', 'pass', 'u:p', 'a=1']) t.false(hidden.includes(secret), secret);
  t.true(hidden.includes('"set-cookie":["<hidden>","<hidden>"]'));
  t.true(hidden.includes('"__proto__":"x"'));
  const whole = JSON.stringify(requestDocument(result, { verbose: true, now: NOW }));
  t.true(whole.includes('"set-cookie":["a=1","b=2"]') && whole.includes('?token=1'));
  t.false(whole.includes('user:pass'));
});

clocked('THR-510: a user and a password in a URL that a server sends are shown nowhere', (t) => {
  const headers: [string, string][] = [
    ['location', 'http://u:hush@b.example/?token=1'],
    ['content-location', '//u:hush@b.example/'],
    ['refresh', '0; url=https://u:hush@b.example/'],
    ['link', '<https://u:hu,sh@b.example/@c>; rel=next'],
    ['x-other', 'see ftp://u:hush@b.example'],
  ];
  const history = [
    {
      method: 'GET',
      url: 'http://u:hush@a.example/',
      error: null,
      status: 302,
      redirectLocation: '//u:hush@b.example/',
    },
  ];
  const answer = {
    headers,
    trailers: headers,
    history,
    reason: 'http://u:hush@b.example/',
    url: 'http://u:hush@b.example/',
  };
  for (const verbose of [true, false]) {
    const text = report(answer, paper, verbose);
    t.false(/hu,?sh/.test(text), text);
    t.true(text.includes('b.example/@c'), 'what is no user stays');
    const json = harmlessJson(requestDocument(resultOf(answer), { verbose, now: NOW }));
    t.false(/hu,?sh/.test(json), json);
  }
  const error = Object.assign(new Error('moved to http://u:hush@b.example/'), { code: 'ERR_X' });
  t.false(
    failureLines('http://a.example/', error, NOW)
      .map((each) => draw(each, paper))
      .join('')
      .includes('hush'),
  );
  t.false(harmlessJson(requestDocument({ ...resultOf({}), error }, { verbose: true, now: NOW })).includes('hush'));
  // In time that grows with the text.
  const began = performance.now();
  report(
    {
      headers: [
        ['x', 'a://'.repeat(20_000)],
        ['y', '//'.repeat(40_000)],
        ['z', 'a'.repeat(80_000)],
      ],
    },
    paper,
    true,
  );
  within(t, performance.now() - began < 2_000);
});

test('user info goes, whatever it looks like, and other @ stay', (t) => {
  t.is(withoutUser('https://u:p@a.example/@b?c@d'), 'https://a.example/@b?c@d');
  t.is(withoutUser('https://a.example/@b'), 'https://a.example/@b');
  t.is(withoutUser('https://u:p@ss@a.example/'), 'https://a.example/');
  t.is(withoutUser('http://user:pass/word@a.example/'), '…@a.example/');
  t.is(withoutUser('http:///u:p@a.example/'), '…@a.example/');
  t.is(withoutUser('http://http://u:p@a.example/'), '…@a.example/');
  t.is(withoutUser('http://a.example:/@b'), 'http://a.example:/@b');
  t.is(withoutUser('//u:p@a.example/b'), '//a.example/b');
  t.is(withoutUser('/b/@c'), '/b/@c');
  t.is(withoutUser('?b=@c'), '?b=@c');
  t.is(withoutSecrets('https://u:p@a.example/b?c#d'), 'https://a.example/b');
});

test('an error says its code, where and when, what lies below, and what to do', (t) => {
  const below = Object.assign(new Error('Connection refused'), { code: 'ECONNREFUSED' });
  const last = Object.assign(new Error('no connection', { cause: below }), { code: 'ECONNREFUSED', phase: 'connect' });
  const error = Object.assign(new Error('Max retries', { cause: last }), {
    code: 'ERR_MAX_RETRY',
    reason: last,
    phase: 'connect',
    elapsed: 1.5,
  });
  t.deepEqual(
    failureLines('http://u:p@a.example/', error, NOW).map((each) => draw(each, paper)),
    [
      'ferropool: http://a.example/: ERR_MAX_RETRY: ECONNREFUSED in connect after 1.50 ms',
      '  Max retries',
      '  cause: no connection',
      '  cause: Connection refused',
      '  try: is the server up, and is it this port?',
    ],
  );
  t.is(draw(failureLines('a', 'a word', NOW)[0] ?? line(), paper), 'ferropool: a: an error');
});

test('an error in a document is plain, its spans to the microsecond, those of its causes too', (t) => {
  const at = new Date(NOW);
  const cause = { elapsed: 3.000_000_4, chain: [{ validTo: at }] };
  const error = Object.assign(new Error('a'), { toJSON: () => ({ name: 'Error', elapsed: 301.259_12, cause }) });
  const told = requestDocument({ ...resultOf({}), answer: null, error }, { verbose: false, now: NOW });
  t.deepEqual((told as { error: object }).error, {
    name: 'Error',
    elapsed: 301.259,
    cause: { elapsed: 3, chain: [{ validTo: at }] },
  });
});

test('there is a remedy for every code in docs/errors.md and every reason in docs/tls.md', (t) => {
  const read = (file: string): string => readFileSync(new URL(`../docs/${file}`, import.meta.url), 'utf8');
  const between = (text: string, from: string, to: string): string => text.split(from)[1]?.split(to)[0] ?? '';
  const codes = [...between(read('errors.md'), '## Codes of a request', '## ').matchAll(/^\| `(ERR_\w+)`/gm)];
  t.true(codes.length > 20);
  t.deepEqual(
    codes.map(([, code]) => code).filter((code) => remedyFor([code]) === null),
    [],
  );
  const known = between(read('tls.md'), '## When it fails', '## HTTP/2');
  const reasons = [...known.matchAll(/`([A-Z][A-Z0-9_]+)`/g)].map(([, reason]) => reason);
  t.true(reasons.length > 20);
  // What no reason has a word for, its code has.
  t.deepEqual(
    reasons.filter((reason) => remedyFor([reason, 'ERR_TLS']) === null),
    [],
  );
});

const LOAD = {
  index: 0,
  method: 'GET',
  url: 'http://a.example/',
  requested: 200,
  concurrency: 4,
  answered: 99,
  failed: 1,
  interrupted: true,
  elapsed: 2_000,
  perSecond: 50,
  latency: {
    total: { count: 99, min: 1, mean: 2, p50: 2, p90: 3, p95: 4, p99: 5, max: 6 },
    connect: { count: 4, min: 0.5, mean: 0.5, p50: 0.5, p90: 0.5, p95: 0.5, p99: 0.5, max: 0.5 },
  },
  statuses: { '200': 98, '500': 1 },
  versions: { 'HTTP/1.1': 99 },
  errors: { ECONNRESET: 1 },
  examples: [],
  connections: { opened: 4, reused: 96 },
  bytes: { wireIn: 4_000, wireOut: 2_000, decoded: 1_000 },
};

test('a summary tells of rates, percentiles, statuses, errors and connections', (t) => {
  t.deepEqual(
    summaryLines(LOAD, paper).map((each) => draw(each, paper)),
    [
      'GET http://a.example/',
      'interrupted after 100 of 200, 4 at a time, in 2,000 ms',
      '50.0 requests/s',
      '',
      '  ms        min  mean   p50   p90   p95   p99   max',
      '  total    1.00  2.00  2.00  3.00  4.00  5.00  6.00',
      '  connect  0.50  0.50  0.50  0.50  0.50  0.50  0.50  of 4',
      '',
      `  statuses     200                           98   98.0 %  ${'#'.repeat(20)}`,
      '               500                            1    1.0 %  #',
      '  errors       ECONNRESET                     1    1.0 %  #',
      '',
      '  protocol     HTTP/1.1',
      '  connections  4 opened, 96 requests on one that was there',
      '  bytes        4.0 kB in, 2.0 kB out, bodies of 1.0 kB, 2.0 kB/s',
    ],
  );
});

test('where there is little room a summary keeps counts, names of errors, and the percentiles that say most', (t) => {
  const errors = { ERR_CONNECT_TIMEOUT: 1_234, ECONNRESET: 1 };
  for (const columns of [40, 50, 60, 80, 120]) {
    const view = { ...screen, columns, colour: false };
    const lines = summaryLines({ ...LOAD, errors }, view).map((each) => draw(each, view));
    const text = lines.join('\n');
    t.regex(text, /statuses +200 .*\b98\b/, `${columns}`);
    t.regex(text, /errors +ERR_CONNECT_TIMEOUT? +1,234\b/, `${columns}`);
    t.regex(text, /ms +.*p50.* p99 +max\n.*2\.00.*5\.00 +6\.00/, `${columns}`);
    t.is(/mean/.test(text), columns >= 60, `${columns}`);
    t.is(/98\.0 %/.test(text), columns >= 50, `${columns}`);
  }
});

test('percentiles are of nearest rank, of any number of figures', (t) => {
  const samples = new Samples();
  t.is(samples.distribution(), null);
  for (let figure = 1_000; figure >= 1; figure -= 1) samples.add(figure);
  t.deepEqual(samples.distribution(), {
    count: 1_000,
    min: 1,
    mean: 500.5,
    p50: 500,
    p90: 900,
    p95: 950,
    p99: 990,
    max: 1_000,
  });
});

/** The names of all members, down to the last; of a list those of its first. */
function membersOf(value: unknown, at = ''): string[] {
  if (Array.isArray(value)) return value.length === 0 ? [] : membersOf(value[0], `${at}[]`);
  if (typeof value !== 'object' || value === null || value instanceof Date) return [];
  return Object.entries(value).flatMap(([name, below]) => [`${at}.${name}`, ...membersOf(below, `${at}.${name}`)]);
}

test('docs/cli.md has the members of a document as they are, and every option', (t) => {
  const docs = readFileSync(new URL('../docs/cli.md', import.meta.url), 'utf8');
  const [, example = ''] = /```json\n([\s\S]*?)```/.exec(docs) ?? [];
  const tls = { version: '', cipher: '', resumed: false, verified: true, serverName: '', chain: chainOf('CN=a') };
  const triedAddresses = [{ address: '', error: null, elapsed: 1 }];
  const result = resultOf({
    connection: connectionOf({ tls, triedAddresses }),
    headers: ['content-type', 'content-length', 'content-encoding'].map((name) => [name, '']),
    body: { ...plainAnswer.body, charset: { name: 'utf-8', from: 'header' } },
  });
  const made: unknown = JSON.parse(JSON.stringify(requestDocument(result, { verbose: false, now: NOW })));
  const raw = membersOf(made).filter((name) => !name.endsWith('.raw') && !name.includes('.raw.'));
  t.deepEqual(membersOf(JSON.parse(example)).toSorted(), raw.toSorted());
  const load: unknown = JSON.parse(JSON.stringify(loadDocument(LOAD, { verbose: false, now: NOW })));
  const ofLoads = docs.split('With `--repeat`:')[1]?.split('## ')[0] ?? '';
  t.deepEqual(
    Object.keys(load as object).filter((name) => !ofLoads.includes(`\`${name}\``)),
    [],
  );
  for (const name of [...Object.keys(OPTIONS), ...Object.keys(ALIASES)]) {
    t.true(docs.includes(`\`--${name}`), name);
  }
  const helped = [...HELP.matchAll(/--([a-z][\w-]+)/g)].map(([, name]) => name ?? '');
  t.deepEqual(
    helped.filter((name) => !Object.hasOwn(OPTIONS, name)),
    [],
  );
  t.deepEqual(
    Object.keys(OPTIONS).filter((name) => name !== 'compressed' && !helped.includes(name)),
    [],
  );
});

test('--help fits a screen of 80 by 24', (t) => {
  const lines = HELP.split('\n');
  t.true(lines.length <= 24, String(lines.length));
  t.deepEqual(
    lines.filter((each) => each.length > 80),
    [],
  );
});

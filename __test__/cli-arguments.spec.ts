/** The words of the command line: what they become, and what is said about those that cannot be understood. */
import test from 'ava';
import { remoteName } from '../cli/requests.ts';
import { understand, UsageError, type Settings } from '../cli/settings.ts';

const U = 'http://a.example/';

function settings(...words: string[]): Settings {
  const understood = understand(words);
  if (typeof understood === 'string') throw new Error(`understood as ${understood}`);
  return understood;
}

function refusal(...words: string[]): string {
  try {
    understand(words);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  return 'nothing';
}

test('without options: one GET, compression, what the server prefers, and no redirect', (t) => {
  t.like(settings(U), {
    urls: [U],
    method: null,
    headers: [],
    location: false,
    maxRedirects: 10,
    retries: 0,
    timeout: null,
    connectTimeout: null,
    http: 'any',
    proxy: null,
    compressed: true,
    output: null,
    repeat: null,
    concurrency: 1,
  });
});

test('each way of writing an option means the same', (t) => {
  const rows: [string[], Partial<Settings>][] = [
    [['-X', 'PUT', U], { method: 'PUT' }],
    [['-XPUT', U], { method: 'PUT' }],
    [['--request=PUT', U], { method: 'PUT' }],
    [[U, '--request', 'PUT'], { method: 'PUT' }],
    [['-X', 'PUT', '-X', 'POST', U], { method: 'POST' }],
    [['-kL', U], { insecure: true, location: true }],
    [['-qo-', U], { quiet: true, output: '-' }],
    [['-o', '-', U], { output: '-' }],
    [['-d', '-1', '-d', '@-', U], { data: ['-1', '@-'] }],
    [['--data-binary', '@f', U], { data: ['@f'] }],
    [['--max-redirs', '3', U], { maxRedirects: 3, location: true }],
    [['--retry', '2', U], { retries: 2 }],
    [['-m', '2.5', U], { timeout: 2_500 }],
    [['--max-time', '250ms', U], { timeout: 250 }],
    [['--timeout', '5m', '--connect-timeout', '0', U], { timeout: 300_000, connectTimeout: 0 }],
    [['--http2', 'https://a.example/'], { http: 'h2' }],
    [['--http1.1', U], { http: 'h1' }],
    [['--http2-prior-knowledge', U], { http: 'h2-prior-knowledge' }],
    [['-x', 'proxy.example:3128', U], { proxy: 'http://proxy.example:3128' }],
    [['--proxy', '', U], { proxy: '' }],
    [['--no-compressed', U], { compressed: false }],
    [['--headers', '--silent', U], { verbose: true, quiet: true }],
    [['--repeat', '100', '--concurrency', '8', U], { repeat: 100, concurrency: 8 }],
    [['a.example:8080/b', 'HTTPS://b.example'], { urls: ['http://a.example:8080/b', 'HTTPS://b.example'] }],
    [['--', '-a.example'], { urls: ['http://-a.example'] }],
  ];
  for (const [words, expected] of rows) t.like(settings(...words), expected, words.join(' '));
});

test('headers: a value, an empty one, and one that is left out', (t) => {
  const headers = ['A: 1', 'B:2', 'C;', 'D:', 'E: a:b;c', 'F :x'].flatMap((word) => ['-H', word]);
  t.deepEqual(settings(...headers, U).headers, [
    { name: 'A', value: '1' },
    { name: 'B', value: '2' },
    { name: 'C', value: '' },
    { name: 'D', value: null },
    { name: 'E', value: 'a:b;c' },
    { name: 'F', value: 'x' },
  ]);
});

test('--resolve is as curl has it', (t) => {
  const words = ['a.example:443:127.0.0.1,[::1]', '*:80:10.0.0.1', '[::2]:81:127.0.0.2'].flatMap((word) => [
    '--resolve',
    word,
  ]);
  t.deepEqual(
    [...settings(...words, U).resolve],
    [
      ['a.example:443', ['127.0.0.1', '::1']],
      ['*:80', ['10.0.0.1']],
      ['::2:81', ['127.0.0.2']],
    ],
  );
});

test('what cannot be understood is refused, and the nearest option named', (t) => {
  const rows: [string[], RegExp][] = [
    [[], /no URL/],
    [['--hedaer', 'a', U], /no option --hedaer; did you mean --header\?/],
    [['--conc', '2', U], /did you mean --concurrency\?/],
    [['--follow', U], /^there is no option --follow$/],
    [['-Z', U], /^there is no option -Z$/],
    [['-X'], /-X needs a value/],
    [['--json=yes', U], /--json takes no value/],
    [['--repeat', '0', U], /--repeat takes a whole number from 1/],
    [['--repeat', '1e3', U], /--repeat takes a whole number/],
    [['--timeout', '-1', U], /--timeout takes seconds/],
    [['--timeout', '1h', U], /--timeout takes seconds/],
    [['--timeout', '0.0001', U], /--timeout takes seconds/],
    [['--timeout', '99999999999', U], /--timeout takes seconds/],
    [['-H', 'no colon', U], /--header takes/],
    [['-H', ': nameless', U], /--header takes/],
    [['--resolve', 'a.example:443', U], /--resolve takes/],
    [['--resolve', 'a.example:99999:127.0.0.1', U], /--resolve takes/],
    [['--h2', '--http1', 'https://a.example/'], /--h2 and --http1 exclude one another/],
    [['--h2', U], /--h2 is for https/],
    [['-I', '-d', 'a', U], /--head sends no data/],
    [['-d', 'a', '--json-data', '{}', U], /--data and --json-data exclude/],
    [['-o', 'f', U, U], /--output is for one URL/],
    [['-o', '', U], /--output needs the name/],
    [['-o', '-', '--json', U], /both write to the standard output/],
    [['-o', 'f', '-O', U], /--output and --remote-name exclude/],
    [['-o', 'f', '--repeat', '2', U], /--repeat counts bodies/],
    [['--concurrency', '2', U], /--concurrency is for --repeat/],
    [['--key', 'f', U], /--key needs --cert/],
    [['--pass', 'f', U], /--pass needs --cert/],
    [['-X', '', U], /^--request takes a method/],
    [['-X', 'GE T', U], /^--request takes a method/],
    [['-H', 'X: a\nb', U], /^--header: a value has no line break/],
    [['-H', 'X: a\u007Fb', U], /^--header: a value has no line break/],
    [['-H', 'X@: a', U], /^--header: a name has/],
    [[''], /^a URL is empty$/],
    [[U, ''], /^a URL is empty$/],
    [['-d', '@-', U, U], /one URL only/],
    [['-q', '--json', U], /--json and --quiet exclude/],
  ];
  for (const [words, expected] of rows) t.regex(refusal(...words), expected, words.join(' '));
});

test('options of curl that are not here say what is', (t) => {
  const rows: [string, RegExp][] = [
    ['-A', /no option -A; use -H 'User-Agent: /],
    ['--user-agent', /use -H 'User-Agent: /],
    ['-b', /use -H 'Cookie: /],
    ['-c', /no cookies/],
    ['-e', /use -H 'Referer: /],
    ['-F', /-d/],
    ['-G', /in the URL/],
    ['-i', /use -v/],
    ['--include', /use -v/],
    ['-s', /use -q/],
    ['-S', /leave it out: errors/],
    ['-sS', /no option -s; use -q/],
    ['-T', /use -X PUT -d @FILE/],
    ['-w', /use --json/],
    ['-U', /in the URL of --proxy/],
    ['-r', /use -H 'Range: /],
  ];
  for (const [word, expected] of rows) t.regex(refusal(word, 'hush', U), expected, word);
  t.regex(refusal('--json', '{"a":1}', 'http://a.example/'), /--json takes no data; use --json-data/);
  t.regex(refusal('--json', '@file', 'http://a.example/'), /--json takes no data/);
});

test('THR-510: one slash too few, or too many, is refused, and shows no password', (t) => {
  for (const url of ['http:/u:hush@a.example', 'HTTPS:/u:hush@a.example/', 'http:///u:hush@a.example/']) {
    for (const words of [[url], ['-x', url, U]]) {
      const said = refusal(...words);
      t.regex(said, /two slashes/, words.join(' '));
      t.false(said.includes('hush'));
    }
  }
  t.regex(refusal('-x', 'socks5:/u:hush@a.example', U), /two slashes/);
  t.like(settings('http:8080/path'), { urls: ['http://http:8080/path'] });
  t.like(settings('http/path'), { urls: ['http://http/path'] });
});

test('a figure that is none for its option is repeated', (t) => {
  t.regex(refusal('--timeout', '1h', U), /0 is none; it was given 1h$/);
  t.regex(refusal('--timeout', '-1', U), /; it was given -1$/);
  t.regex(refusal('--retry', '1.5', U), /^--retries takes a whole number from 0 to 1,000; it was given 1\.5$/);
  t.regex(refusal('--repeat', '1e3', U), /; it was given 1e3$/);
});

test('THR-510: no message repeats a value, which may be a secret', (t) => {
  t.false(refusal('-X', 'hush hush', U).includes('hush'));
  t.false(refusal('-H', 'X: hush\nhush', U).includes('hush'));
  t.false(refusal('--timeout', '5hush', U).includes('hush'));
  t.false(refusal('-H', 'Authorization Bearer hush', U).includes('hush'));
  t.false(refusal('--timeout', 'hush', U).includes('hush'));
  t.false(refusal('--resolve', 'hush', U).includes('hush'));
});

test('--help and --version need nothing else', (t) => {
  t.is(understand(['--help']), 'help');
  t.is(understand(['-h', U]), 'help');
  t.is(understand(['-V']), 'version');
});

test('--remote-name takes the last part of the path, and never leaves the folder', (t) => {
  t.is(remoteName('http://a.example/b/c.html?d=/e#f'), 'c.html');
  t.is(remoteName('http://a.example/b/'), 'b');
  for (const url of [
    'http://a.example/',
    'http://a.example',
    'http://a.example/..',
    'http://a.example/a\\b',
    'http://a.example/\u0007',
  ]) {
    t.throws(() => remoteName(url), { instanceOf: UsageError }, url);
  }
});

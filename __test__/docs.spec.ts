/**
 * The pages against the code: what the product can say or take is written down, and what is written down exists. That the
 * code in the pages runs is a check of its own (`npm run check`).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import test from 'ava';
import { startOrigin } from '../cli/start-origin.js';
import { ERRORS, PHASES } from '../facade/boundary/generated.ts';
import { CLASSES } from '../facade/errors.ts';
import { CODES } from '../facade/warnings.ts';
import { pictures } from '../scripts/pictures.js';
import { root, typescriptLoader } from '../scripts/run.js';
import { firstUnprinted, promisesOf } from '../scripts/snippets.js';

const read = (...parts: string[]): string => readFileSync(path.join(root, ...parts), 'utf8');
const errorPage = read('docs', 'errors.md');

/** The ledgers are data, and link nowhere. */
const pages = [
  ...['.', 'bench'].flatMap((folder) =>
    readdirSync(path.join(root, folder)).map((name) => path.posix.join(folder, name)),
  ),
  ...below('docs').filter((page) => !page.startsWith('docs/ledger/')),
].filter((page) => page.endsWith('.md'));

const rows = rowsOf(errorPage);

test('docs: every code of the core has a line with its class in docs/errors.md', (t) => {
  const missing = ERRORS.filter(
    ({ code, className }) => !rows.some(([codes, classes]) => names(codes, code) && names(classes, className)),
  )
    // No request ends in these yet: they stand with their classes.
    .filter(({ code, className }) => !rows.some(([classes, codes]) => names(classes, className) && names(codes, code)));
  t.deepEqual(missing, []);
});

test('docs: every code, reason and warning that the sources can give has a line, in docs/errors.md or, of TLS, in docs/tls.md', (t) => {
  const given = [
    ...below('facade').filter((file) => file.endsWith('.ts')),
    ...below('crate').filter((file) => file.endsWith('.rs') && !file.split('/').includes('tests')),
  ].flatMap((file) => [...read(file).matchAll(/(["'])(ERR_[A-Z\d_]+)\1/g)].map(([, , code = '']) => code));
  const lines = [...rows, ...rowsOf(read('docs', 'tls.md'))];
  // ERR_ASKED goes from the core to the facade and no further: what the function threw takes its place.
  const missing = [...new Set([...given, ...CODES])].filter(
    (code) =>
      code !== 'ERR_ASKED' &&
      !lines.some(([first, second]) => names(first, code) || names(second, code)) &&
      !isOfNode(code),
  );
  t.true(given.length > 200);
  t.deepEqual(missing, []);
});

test('docs: docs/errors.md says of every code by what it is retried, as the core has it', (t) => {
  const wrong = ERRORS.filter(({ code, className, retried }) => {
    const line = rows.find(([codes, classes]) => names(codes, code) && names(classes, className))?.[4];
    // Codes of arguments have no such column, and are never retried.
    const said = line === undefined || !/never|connect|read|other/.test(line) ? 'never' : line;
    return !said.includes(retried ?? 'never');
  });
  t.deepEqual(wrong, []);
});

test('docs: every class that the facade exports is named in docs/errors.md', (t) => {
  const missing = Object.keys(CLASSES).filter((name) => !names(errorPage, name));
  t.deepEqual(missing, []);
});

test('docs: every phase is named in docs/errors.md', (t) => {
  t.deepEqual(
    PHASES.filter((phase) => !names(errorPage, phase)),
    [],
  );
});

test('docs: every code and warning that the pages name exists', (t) => {
  const sources = [
    ...below('facade').filter((file) => file.endsWith('.ts')),
    ...below('crate').filter((file) => file.endsWith('.rs')),
  ]
    .map((file) => read(file))
    .join('\n');
  // Where other clients' codes stand beside ours, ours stand on the right.
  const ours = (page: string): string =>
    page.startsWith('docs/migrating/') ? read(page).replaceAll(/^\|[^|]*\|/gm, '') : read(page);
  const named = pages.flatMap((page) =>
    [...ours(page).matchAll(/\b(?:ERR|FERROPOOL)_[A-Z][A-Z_]*[A-Z]\b/g)].map(([code]) => code),
  );
  const unknown = [...new Set(named)].filter((code) => !new RegExp(`\\b${code}\\b`).test(sources));
  t.true(named.length > 50);
  t.deepEqual(unknown, []);
});

for (const [types, section] of [
  [['PoolOptions'], 'Of a pool'],
  [['RequestOptions', 'ManagerRequestOptions'], 'Of a request'],
] as const) {
  test(`docs: ${types.join(', ')} and the table of it in docs/options.md name the same options`, (t) => {
    const source = read('facade', 'options.ts');
    const options = types.flatMap((type) => {
      const body = new RegExp(`export interface ${type} (?:extends \\w+ )?\\{\n([\\s\\S]*?)\n\\}`).exec(source)?.[1];
      return [...(body ?? '').matchAll(/^ {2}(\w+)\??:/gm)].map(([, name = '']) => name);
    });
    const table = read('docs', 'options.md').split(`## ${section}\n`)[1]?.split('\n## ')[0];
    const documented = [...(table ?? '').matchAll(/^\| `(\w+)` \|/gm)].map(([, name = '']) => name);
    t.true(options.length > 10);
    t.deepEqual(documented.toSorted(), options.toSorted());
  });
}

for (const [type, section] of [
  ['TLSOptions', 'Of TLS'],
  ['PoolManagerOptions', 'Of a manager'],
  ['ProxyManagerOptions', 'Of a manager behind a proxy'],
  ['SOCKSProxyManagerOptions', 'Of a manager behind a proxy'],
  ['CloseOptions', 'Of methods'],
  ['HostOptions', 'Of methods'],
  ['ManyOptions', 'Of methods'],
  ['TimeoutOptions', 'Of a Timeout'],
  ['RetryOptions', 'Of a Retry'],
  ['Limits', 'Of limits'],
  ['RequestFieldOptions', 'Of forms and headers'],
  ['MakeMultipartOptions', 'Of forms and headers'],
  ['MakeHeadersOptions', 'Of forms and headers'],
  ['Configuration', 'Of a thread'],
] as const) {
  test(`docs: each of ${type} has its default in docs/options.md`, (t) => {
    const own = fieldsOf(type);
    const table = rowsOf(read('docs', 'options.md').split(`## ${section}\n`)[1]?.split('\n## ')[0] ?? '');
    // What a manager only has another default for stands in a sentence above its table.
    const passed = type === 'PoolManagerOptions' ? ['maxsize', 'block'] : [];
    t.true(own.length > 0);
    t.deepEqual(
      own.filter((name) => !passed.includes(name) && !table.some(([first]) => names(first, name))),
      [],
    );
  });
}

for (const [type, section] of [
  ['PoolStats', 'Figures'],
  ['Timings', 'One call'],
] as const) {
  test(`docs: each figure of ${type} is explained in docs/observability.md`, (t) => {
    const own = fieldsOf(type);
    const table = rowsOf(read('docs', 'observability.md').split(`## ${section}\n`)[1]?.split('\n## ')[0] ?? '');
    t.true(own.length > 5);
    t.deepEqual(
      own.filter((name) => !table.some(([first]) => names(first, name))),
      [],
    );
  });
}

test('docs: what configure() takes and its table in docs/options.md name the same settings', (t) => {
  const body = /export interface Configuration \{\n([\s\S]*?)\n\}/.exec(read('facade', 'configure.ts'))?.[1];
  const settings = [...(body ?? '').matchAll(/^ {2}(\w+)\??:/gm)].map(([, name = '']) => name);
  const table = read('docs', 'options.md').split('## Of a thread\n')[1]?.split('\n## ')[0];
  const documented = [...(table ?? '').matchAll(/^\| `(\w+)` \|/gm)].map(([, name = '']) => name);
  t.true(settings.length > 0);
  t.deepEqual(documented.toSorted(), settings.toSorted());
});

test('docs: a Retry that the pages tell users to make says how often, as its total is 10 otherwise and nothing waits', (t) => {
  const made = [...pages, ...below('examples')].flatMap((page) =>
    [...read(page).matchAll(/new Retry\(\{([^{}]*)\}\)/g)].map(([, options = '']) => `${page}: ${options.trim()}`),
  );
  const limiting = made.filter((one) =>
    /\b(connect|read|redirect|status|other|allowedMethods|statusForcelist)\b/.test(one),
  );
  t.true(limiting.length > 5);
  t.deepEqual(
    // With errors off it is redirects alone that are counted.
    limiting.filter((one) => !/\btotal\b|connect: false, read: false, other: 0/.test(one)),
    [],
  );
});

test('docs: every link of the pages leads to a file and a heading that are there', (t) => {
  const links = pages.flatMap((page) =>
    [...withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => ({ page, target })),
  );
  const broken = links
    .filter(({ target }) => !/^https?:/.test(target))
    .filter(({ page, target }) => !leads(page, target))
    .map(({ page, target }) => `${page}: ${target}`);
  t.true(links.length > 100);
  t.deepEqual(broken, []);
});

test('docs: every page is on the map, and every picture is what its script draws', (t) => {
  const map = read('docs', 'README.md');
  const lost = pages
    .filter((page) => page.startsWith('docs/') && !/^docs\/(README\.md|why\/|reference\/)/.test(page))
    .filter((page) => !map.includes(`](${page.slice('docs/'.length)})`));
  t.deepEqual(lost, []);
  for (const [file, draw] of Object.entries(pictures)) t.is(read(file), draw(), `${file}: node scripts/pictures.js`);
});

test('docs: what a comment of the code says is printed is looked for in what was printed', (t) => {
  const code = [
    'console.log(a); // 200',
    "console.log(b); // { a: 1, b: 'x' }",
    'console.log(c); // <Buffer 72 … >: all of it',
    'console.log(d);',
    '// 5 lines',
    'console.log(e); // …, true',
  ].join('\n');
  const promises = promisesOf(code);
  t.is(promises.length, 5);
  t.is(firstUnprinted(promises, "200\n{\n  a: 1,\n  b: 'x'\n}\n<Buffer 72 65 >\n5 lines\n17 true\n"), null);
  t.is(firstUnprinted(promises, '201\n'), '200');
  t.is(firstUnprinted(['1', '2'], '2\n1\n'), '2');
  t.is(firstUnprinted(['20'], '200\n'), '20');
  t.is(firstUnprinted(['00'], '200\n'), '00');
});

test('docs: every file that ARCHITECTURE.md and CONTRIBUTING.md name is there', (t) => {
  const folders = ['.github', '__test__', 'cli', 'crate', 'docs', 'examples', 'facade', 'fuzz', 'scripts'];
  const flat = ['bench', 'proof'].flatMap((folder) =>
    readdirSync(path.join(root, folder)).map((name) => path.posix.join(folder, name)),
  );
  const files = [...readdirSync(root), ...folders.flatMap(below), ...flat];
  const named = ['ARCHITECTURE.md', 'CONTRIBUTING.md'].flatMap((page) =>
    spans(read(page))
      // What is built is not there before.
      .filter((span) => /^(?!dist\/)[\w./-]+\.(rs|ts|js|json|md|toml|lock)$/.test(span))
      .map((span) => `${page}: ${span}`),
  );
  const lost = named.filter((one) => {
    const [, file = ''] = one.split(': ');
    return !files.some((there) => there === file || there.endsWith(`/${file}`));
  });
  t.true(named.length > 40);
  t.deepEqual([...new Set(lost)], []);
});

test('docs: the examples run', async (t) => {
  const origin = await startOrigin();
  t.teardown(() => origin.stop());
  const examples = readdirSync(path.join(root, 'examples')).filter((name) => name.endsWith('.ts'));
  t.true(examples.length >= 3);
  for (const example of examples) {
    const ports = [String(origin.port), String(origin.securePort)];
    const program = [...typescriptLoader, path.join('examples', example), ...ports];
    const { status, stdout, stderr } = spawnSync(process.execPath, program, {
      cwd: root,
      encoding: 'utf8',
      timeout: 120_000,
    });
    t.is(status, 0, `${example}: ${stderr}`);
    t.notRegex(stderr, /FerropoolWarning/, example);
    t.true(stdout.length > 0, example);
  }
});

/** The names of an interface's own fields, as the public types have it. */
function fieldsOf(type: string): string[] {
  const body = new RegExp(`^export interface ${type} (?:extends [^{]+)?\\{\n([\\s\\S]*?)\n\\}`, 'm').exec(
    read('index.d.ts'),
  )?.[1];
  return [...(body ?? '').matchAll(/^ {2}(?:readonly )?(\w+)\??:/gm)].map(([, name = '']) => name);
}

/** The cells of every line of a table. */
function rowsOf(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').slice(1, -1));
}

/** Codes of Node's own, which the page names in a sentence. */
function isOfNode(code: string): boolean {
  return /^ERR_(STRING|STREAM)_/.test(code) && names(errorPage, code);
}

/** Whether a text has this word in a code span, by itself or with others. */
function names(text: string | undefined, word: string): boolean {
  return spans(text ?? '').some((span) => new RegExp(`\\b${word}\\b`).test(span));
}

function spans(text: string): string[] {
  return text.split('\n').flatMap((line) => line.split('`').filter((_, at) => at % 2 === 1));
}

/** Brackets and parentheses of code are no links. */
function withoutCode(text: string): string {
  return text
    .replaceAll(/^ {0,3}```[\s\S]*?^ {0,3}```/gm, '')
    .replaceAll(/`[^`\n]*`/g, (span) => span.replaceAll('(', ' '));
}

function leads(page: string, target: string): boolean {
  const [file = '', heading] = target.split('#');
  const there = file === '' ? page : path.posix.join(path.posix.dirname(page), file);
  if (!existsSync(path.join(root, there))) return false;
  return heading === undefined || headings(read(there)).includes(heading);
}

/** As GitHub makes anchors of them, and those that a page makes itself. */
function headings(text: string): string[] {
  const own = [...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id);
  const titles = [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
  return [...own, ...titles];
}

function below(folder: string): string[] {
  return readdirSync(path.join(root, folder), { recursive: true }).map((name) => path.posix.join(folder, String(name)));
}

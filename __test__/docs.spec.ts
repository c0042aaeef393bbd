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
import { root, typescriptLoader } from '../scripts/run.js';

const read = (...parts: string[]): string => readFileSync(path.join(root, ...parts), 'utf8');
const errorPage = read('docs', 'errors.md');

const pages = ['.', 'docs', 'docs/why', 'bench'].flatMap((folder) =>
  readdirSync(path.join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => path.posix.join(folder, name)),
);

/** The cells of every line of a table. */
const rows = errorPage
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .map((line) => line.split('|').slice(1, -1));

test('docs: every code of the core has a line with its class in docs/errors.md', (t) => {
  const missing = ERRORS.filter(
    ({ code, className }) => !rows.some(([codes, classes]) => names(codes, code) && names(classes, className)),
  )
    // No request ends in these yet: they stand with their classes.
    .filter(({ code, className }) => !rows.some(([classes, codes]) => names(classes, className) && names(codes, code)));
  t.deepEqual(missing, []);
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
  const named = pages.flatMap((page) =>
    [...read(page).matchAll(/\b(?:ERR|FERROPOOL)_[A-Z][A-Z_]*[A-Z]\b/g)].map(([code]) => code),
  );
  const unknown = [...new Set(named)].filter((code) => !new RegExp(`\\b${code}\\b`).test(sources));
  t.true(named.length > 50);
  t.deepEqual(unknown, []);
});

for (const [type, section] of [
  ['PoolOptions', 'Of a pool'],
  ['RequestOptions', 'Of a request'],
] as const) {
  test(`docs: ${type} and its table in docs/options.md name the same options`, (t) => {
    const body = new RegExp(`export interface ${type} \\{\n([\\s\\S]*?)\n\\}`).exec(read('facade', 'options.ts'))?.[1];
    const options = [...(body ?? '').matchAll(/^ {2}(\w+)\??:/gm)].map(([, name = '']) => name);
    const table = read('docs', 'options.md').split(`## ${section}\n`)[1]?.split('\n## ')[0];
    const documented = [...(table ?? '').matchAll(/^\| `(\w+)` \|/gm)].map(([, name = '']) => name);
    t.true(options.length > 10);
    t.deepEqual(documented.toSorted(), options.toSorted());
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

test('docs: every link of the pages leads to a file and a heading that are there', (t) => {
  const broken = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target]) => target ?? '')
      // The figures of a run are made by the run.
      .filter((target) => !/^https?:/.test(target))
      .filter((target) => !leads(page, target))
      .map((target) => `${page}: ${target}`),
  );
  t.deepEqual(broken, []);
});

test('docs: every file that ARCHITECTURE.md and CONTRIBUTING.md name is there', (t) => {
  const folders = ['.github', '__test__', 'cli', 'crate', 'docs', 'examples', 'facade', 'fuzz', 'scripts'];
  const files = [...readdirSync(root), ...folders.flatMap(below), ...readdirSync(path.join(root, 'bench'))];
  const named = ['ARCHITECTURE.md', 'CONTRIBUTING.md'].flatMap((page) =>
    spans(read(page))
      .filter((span) => /^[\w./-]+\.(rs|ts|js|json|md|toml|lock)$/.test(span))
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
      timeout: 30_000,
    });
    t.is(status, 0, `${example}: ${stderr}`);
    t.notRegex(stderr, /FerropoolWarning/, example);
    t.true(stdout.length > 0, example);
  }
});

/** Whether a text has this word in a code span, by itself or with others. */
function names(text: string | undefined, word: string): boolean {
  return spans(text ?? '').some((span) => new RegExp(`\\b${word}\\b`).test(span));
}

function spans(text: string): string[] {
  return text.split('\n').flatMap((line) => line.split('`').filter((_, at) => at % 2 === 1));
}

function leads(page: string, target: string): boolean {
  const [file = '', heading] = target.split('#');
  const there = file === '' ? page : path.posix.join(path.posix.dirname(page), file);
  if (!existsSync(path.join(root, there))) return false;
  return heading === undefined || headings(read(there)).includes(heading);
}

/** As GitHub makes anchors of them. */
function headings(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function below(folder: string): string[] {
  return readdirSync(path.join(root, folder), { recursive: true }).map((name) => path.posix.join(folder, String(name)));
}

/**
 * Runs the fenced `ts`, `js` and `cjs` blocks of Markdown files against a server on this machine, as a reader would paste them.
 * A block runs as it stands, with ports 8080, 8443 (https) and 3128 (a proxy) replaced by those of servers here and `ca.pem` by
 * their authority; one that cannot (it needs a certificate of its own, SOCKS, another server) is fenced as "ts no-run" and is
 * compiled only, and one that is no program (a declaration) as "ts no-compile".
 * What a comment behind `console.log(…);`, or in the lines right below it, says is printed must be printed, in this order:
 * "…" stands for anything, and from a colon, semicolon, comma or bracket on the comment may go on to explain.
 * `node scripts/snippets.js FILE…` checks single pages.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { startOrigin } from '../cli/start-origin.js';
import { root, tool, typescriptLoader } from './run.js';

/** What is run, by the first word on its fence. */
const EXTENSIONS = { ts: 'ts', js: 'mjs', cjs: 'cjs' };

/** What may follow it. */
const EXEMPTIONS = new Set(['no-run', 'no-compile']);

/** What is shown and no program. */
const TEXTS = new Set(['sh', 'text', 'json', 'yaml', 'toml', 'dockerfile', 'rust', 'diff']);

/** Ends an example that hangs: longer than any has a reason to take, on a busy machine too. */
const PATIENCE_MS = 120_000;

/** The fenced blocks of one Markdown text: the line each begins on, the words on its fence, its code, whether it has an end. */
function blocksOf(markdown) {
  const found = [];
  let open = null;
  for (const [index, line] of markdown.split('\n').entries()) {
    const [, indent = '', fence, words = ''] = /^(\s*)(`{3,}|~{3,})\s*(.*?)\s*$/.exec(line) ?? [];
    if (open === null) {
      if (fence === undefined) continue;
      open = { line: index + 1, words, code: [], hasEnd: false, indent, fence };
      found.push(open);
    } else if (fence?.startsWith(open.fence) && words === '') {
      open.hasEnd = true;
      open = null;
    } else open.code.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line);
  }
  return found.map(({ line, words, code, hasEnd }) => ({ line, words, code: code.join('\n'), hasEnd }));
}

/** The programs among them: `extension` says in which language, `runs` and `compiles` what is done with it. */
export function snippetsOf(markdown) {
  return blocksOf(markdown).flatMap(({ line, words, code }) => {
    const [language, exemption] = words.split(' ');
    const extension = EXTENSIONS[language];
    const compiles = extension === 'ts' && exemption !== 'no-compile';
    return extension ? [{ line, extension, code, compiles, runs: exemption === undefined }] : [];
  });
}

/** Blocks that nothing would be done with, for nobody knows what their fences mean. */
export function fenceComplaints(markdown) {
  return blocksOf(markdown).flatMap(({ line, words, hasEnd }) => {
    if (!hasEnd) return [`${line} has a fence without an end`];
    const [language, exemption, ...more] = words.split(' ');
    const isKnown =
      language in EXTENSIONS
        ? (exemption === undefined || EXEMPTIONS.has(exemption)) && more.length === 0
        : TEXTS.has(words);
    if (isKnown) return [];
    const programs = `${Object.keys(EXTENSIONS).join(', ')}, alone or with ${[...EXEMPTIONS].join(' or ')}`;
    return [`${line} has the fence "${words}"; known are ${programs}, and ${[...TEXTS].join(', ')}`];
  });
}

/** The complaints about the fences of these files. */
export function unknownFences(files) {
  return files.flatMap((file) => fenceComplaints(textOf(file)).map((said) => `${file}:${said}`));
}

/** A new folder below target/. */
function folderFor(name) {
  mkdirSync(path.join(root, 'target'), { recursive: true });
  return mkdtempSync(path.join(root, 'target', `${name}-`));
}

function textOf(file) {
  return readFileSync(path.join(root, file), 'utf8');
}

/** Runs every block of these files; gives one complaint for each that fails, and one when there is none to run. */
export async function snippetFailures(files) {
  const snippets = files.flatMap((file) => snippetsOf(textOf(file)).map((one) => ({ file, ...one })));
  if (snippets.length === 0) return [`no code was found in ${files.join(', ')}`];
  // Inside the repository, so that `import … from 'ferropool'` finds the package by its own name.
  const folder = folderFor('snippets');
  const origin = await startOrigin();
  const proxy = await startOrigin('proxy.js');
  const complaints = [];
  try {
    const rest = snippets.filter(({ runs }) => runs);
    const worker = async () => {
      for (let next = rest.shift(); next; next = rest.shift()) {
        const { file, line, extension, code } = next;
        const source = path.join(folder, `${file.replaceAll(/[^\w]/g, '-')}-${line}.${extension}`);
        const ports = [
          ['8080', String(origin.port)],
          ['8443', String(origin.securePort)],
          ['3128', String(proxy.port)],
        ];
        const there = ports
          .reduce((text, [written, real]) => text.replaceAll(written, real), code)
          .replaceAll("'ca.pem'", JSON.stringify(path.join(root, 'cli', 'authority.pem')));
        writeFileSync(source, extension === 'cjs' ? there : `${there}\nexport {};\n`);
        const { failure, printed } = await runQuietly(source);
        if (failure !== null) complaints.push(`${file}:${line} ${failure}`);
        else {
          // A port, not the same digits in the midst of another number.
          const isReal = (real) => new RegExp(`(?<!\\d)${real}(?!\\d)`, 'g');
          const asWritten = ports.reduce((text, [written, real]) => text.replaceAll(isReal(real), written), printed);
          const missing = firstUnprinted(promisesOf(code), asWritten);
          if (missing !== null)
            complaints.push(`${file}:${line} does not print "${missing}", but:\n      ${asWritten}`);
        }
      }
    };
    // Most of a block's time is a process that starts.
    await Promise.all([worker(), worker()]);
  } finally {
    origin.stop();
    proxy.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return complaints;
}

/** What the compiler says of the `ts` blocks of these files, as strictly as of the product, at the lines of the files. */
export function snippetTypeErrors(files) {
  const folder = folderFor('snippet-types');
  try {
    const places = new Map();
    for (const file of files) {
      for (const { line, code, compiles } of snippetsOf(textOf(file))) {
        if (!compiles) continue;
        const name = `${places.size}.ts`;
        places.set(name, { file, line });
        writeFileSync(path.join(folder, name), `${code}\nexport {};\n`);
      }
    }
    // The compiler takes a project without a file for a mistake.
    if (places.size === 0) return [];
    const settings = {
      extends: '../../tsconfig.json',
      compilerOptions: { noUnusedLocals: false },
      include: ['*.ts'],
      exclude: [],
    };
    writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(settings));
    const done = spawnSync(process.execPath, [tool('typescript', 'tsc'), '-p', folder, '--pretty', 'false'], {
      cwd: root,
      encoding: 'utf8',
    });
    const errors = done.stdout.split('\n').filter((said) => said.includes('error TS'));
    // One that did not run, or broke off, has found nothing and is no proof of anything.
    if (errors.length === 0 && done.status !== 0) {
      return [`the compiler ended with ${done.error ?? done.signal ?? done.status}: ${done.stdout}${done.stderr}`];
    }
    return errors.map((said) => {
      const [, name = '', line, rest] = /^(?:.*[/\\])?(\d+\.ts)\((\d+),\d+\): (.*)$/.exec(said) ?? [];
      const place = places.get(name);
      return place ? `${place.file}:${place.line + Number(line)} ${rest}` : said;
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What the comments of a block say that it prints, in order. */
export function promisesOf(code) {
  const found = [];
  let below = false;
  for (const line of code.split('\n')) {
    const [, promised] = /console\.log\(.*\); \/\/ (.+)$/.exec(line) ?? [];
    const [, more] = (below && /^\s*\/\/ (.+)$/.exec(line)) || [];
    below = more !== undefined || /console\.log\(.*\);( \/\/ .+)?$/.test(line);
    if (promised ?? more) found.push((promised ?? more).trim());
  }
  return found;
}

/** The first of these that was not printed behind the one before it; null if all were. */
export function firstUnprinted(promises, printed) {
  let rest = plain(printed);
  for (const promised of promises) {
    const found = endOf(promised, rest);
    if (found === -1) return promised;
    rest = rest.slice(found);
  }
  return null;
}

/** Where a promise's text ends in what was printed, -1 where it is not in it. An explanation is shortened away last. */
function endOf(promised, printed) {
  const cuts = [...promised.matchAll(/(?:[:;,]| \()(?=\s|\w|$)/g)].map(({ index }) => index).toReversed();
  for (const text of [promised, ...cuts.map((at) => promised.slice(0, at))]) {
    const words = plain(text).trim();
    if (words === '…') return 0;
    if (words === '') continue;
    const pattern = words.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    const match = new RegExp(`(?<=^|\\s)${pattern.join('.*?')}(?=\\s|$)`, 's').exec(printed);
    if (match) return match.index + match[0].length;
  }
  return -1;
}

/** `util.inspect` breaks lines by their width, and quotes strings only inside others: neither is said by a comment. */
function plain(text) {
  return text.replaceAll(/['"`]/g, '').replaceAll(/\s+/g, ' ');
}

/** What the program printed, and why it failed: null when it ended well, else the end of what it said. */
function runQuietly(source) {
  return new Promise((resolve) => {
    const loader = source.endsWith('.ts') ? typescriptLoader : [];
    const child = spawn(process.execPath, [...loader, source], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: PATIENCE_MS,
    });
    let printed = '';
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      printed += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said = (said + text).slice(-2000);
    });
    child.on('close', (status, signal) => {
      const failure =
        status === 0 ? null : `ended with ${signal ?? status}: ${said.trim().replaceAll('\n', '\n      ')}`;
      resolve({ failure, printed });
    });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const files = process.argv.slice(2);
  const complaints = [...unknownFences(files), ...snippetTypeErrors(files), ...(await snippetFailures(files))];
  for (const complaint of complaints) console.log(complaint);
  process.exitCode = complaints.length === 0 ? 0 : 1;
}

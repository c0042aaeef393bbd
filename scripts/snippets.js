/**
 * Runs the fenced `ts` and `js` blocks of Markdown files against a server on this machine, as a reader would paste them.
 * A block runs as it stands, with ports 8080 and 8443 (https) replaced by the server's and `ca.pem` by its authority; one
 * that cannot (it needs a certificate of its own, a proxy, another server) is fenced as "ts no-run".
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { spawn } from 'node:child_process';
import { startOrigin } from '../cli/start-origin.js';
import { root, typescriptLoader } from './run.js';

/** Longer than any example has a reason to take. */
const PATIENCE_MS = 20_000;

/** The blocks to run of one Markdown text: the line each begins on, its language, its code. */
export function snippetsOf(markdown) {
  const found = [];
  let open = null;
  for (const [index, line] of markdown.split('\n').entries()) {
    const fence = /^ {0,3}```\s*(.*?)\s*$/.exec(line);
    if (!fence) open?.code.push(line);
    else if (open) {
      if (/^(ts|js|mjs|typescript|javascript)$/.test(open.words)) {
        found.push({
          line: open.line,
          extension: open.words.startsWith('t') ? 'ts' : 'mjs',
          code: open.code.join('\n'),
        });
      }
      open = null;
    } else open = { line: index + 1, words: fence[1], code: [] };
  }
  return found;
}

/** Runs every block of these files; gives one complaint for each that fails, and one when there is none to run. */
export async function snippetFailures(files) {
  const present = files.filter((file) => existsSync(path.join(root, file)));
  const snippets = present.flatMap((file) =>
    snippetsOf(readFileSync(path.join(root, file), 'utf8')).map((one) => ({ file, ...one })),
  );
  if (snippets.length === 0) return [`no code was found in ${files.join(', ')}`];
  // Inside the repository, so that `import … from 'ferropool'` finds the package by its own name.
  const folder = path.join(root, 'target', 'snippets');
  mkdirSync(folder, { recursive: true });
  const origin = await startOrigin();
  const complaints = [];
  try {
    for (const { file, line, extension, code } of snippets) {
      const source = path.join(folder, `${file.replaceAll(/[^\w]/g, '-')}-${line}.${extension}`);
      const there = code
        .replaceAll('8080', String(origin.port))
        .replaceAll('8443', String(origin.securePort))
        .replaceAll("'ca.pem'", JSON.stringify(path.join(root, 'cli', 'authority.pem')));
      writeFileSync(source, `${there}\nexport {};\n`);
      const outcome = await runQuietly(source);
      if (outcome !== null) complaints.push(`${file}:${line} ${outcome}`);
    }
  } finally {
    origin.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return complaints;
}

/** Null when the program ends well, else the end of what it said. */
function runQuietly(source) {
  return new Promise((resolve) => {
    const loader = source.endsWith('.ts') ? typescriptLoader : [];
    const child = spawn(process.execPath, [...loader, source], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: PATIENCE_MS,
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said = (said + text).slice(-2000);
    });
    child.on('close', (status, signal) => {
      resolve(status === 0 ? null : `ended with ${signal ?? status}: ${said.trim().replaceAll('\n', '\n      ')}`);
    });
  });
}

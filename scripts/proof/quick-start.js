/** The quick start as the README's reader sees it, as the two kinds of module that a user may paste it into. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '../run.js';
import { inTools } from './tools.js';

/** `quick-start.mjs` and `quick-start.cjs`: `examples/quick-start.ts` without types, with what older runtimes lack written out. */
export async function quickStarts() {
  const source = readFileSync(path.join(root, 'examples', 'quick-start.ts'), 'utf8');
  const { transform } = await import(pathToFileURL(inTools('esbuild', 'lib', 'main.js')).href);
  const options = { loader: 'ts', target: 'node20' };
  const module = await transform(source, { ...options, format: 'esm' });
  const imports = /^import (\{[^}]*\}) from 'ferropool';$/m;
  assert.match(source, imports);
  const body = source.replace(imports, "const $1 = require('ferropool');");
  const script = await transform(`(async () => {\n${body}\n})();`, { ...options, format: 'cjs' });
  return { 'quick-start.mjs': module.code, 'quick-start.cjs': script.code };
}

/** What the README promises of its output. */
export function quickStartSaid(said) {
  const lines = said.split('\n');
  assert.equal(lines[0], '200', said);
  assert.equal(lines[1], 'text/javascript; charset=utf-8', said);
  for (const word of ['idle: 1', 'leased: 0', 'waiting: 0', 'maxsize: 1']) assert.ok(said.includes(word), said);
  assert.match(said, /^1\n2$/m);
}

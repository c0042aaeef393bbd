/**
 * Builds what is out of date. `node scripts/build.js [--force] STEP …` with the steps
 *
 *   native   native/ferropool.node and native/binding.d.ts, optimised
 *   faults   native/ferropool.faults.node: the development build with the switches that make it fail on purpose
 *   js       dist/, from index.ts, facade/ and cli/
 *   dts      index.d.ts, the public types in one file, from dist/
 *
 * A step is skipped when its outputs are newer than all it is made from, so the second `npm test` is quick.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { follow, root, runTool } from './run.js';

const at = (...parts) => path.join(root, ...parts);

/** What the cargo packages of the addon are made from; their integration tests change no binary. */
const rustSources = () => [
  at('Cargo.toml'),
  at('Cargo.lock'),
  at('build.rs'),
  ...filesBelow(at('crate'), /\.(rs|toml|json|bin|txt)$/, new Set(['tests'])),
];
const facadeSources = () => [
  at('index.ts'),
  at('tsconfig.json'),
  at('tsconfig.build.json'),
  ...filesBelow(at('facade'), /\.ts$/),
];

/**
 * The packages and features of every development build. The faults addon and `cargo test` name the same ones, so that
 * cargo resolves the same features for both and compiles the dependencies once.
 */
export const developmentSelection = [
  '-p',
  'ferropool',
  '-p',
  'ferropool-policy',
  '-p',
  'ferropool-core',
  '--features',
  'ferropool/faults',
];

const steps = {
  native: {
    says: 'the addon, optimised (the first time takes some minutes)',
    inputs: rustSources,
    outputs: [at('native', 'ferropool.node'), at('native', 'binding.d.ts')],
    make: makeNative,
  },
  faults: {
    says: 'the addon with its fault switches',
    inputs: rustSources,
    outputs: [at('native', 'ferropool.faults.node')],
    make: makeFaults,
  },
  js: {
    says: 'dist/',
    inputs: () => [...facadeSources(), ...filesBelow(at('cli'), /\.ts$/), at('cli', 'picture.js')],
    outputs: [
      at('dist', 'index.js'),
      at('dist', 'cli.js'),
      at('dist', 'index.cjs'),
      at('dist', 'load.cjs'),
      at('dist', 'index.d.ts'),
    ],
    make: makeJs,
  },
  dts: {
    says: 'index.d.ts',
    inputs: () => [at('dist', 'index.d.ts')],
    outputs: [at('index.d.ts')],
    make: () => makeDts(at('index.d.ts')),
  },
};

/** Builds the named steps in order; false as soon as one fails. */
export async function build(names, { force = false } = {}) {
  for (const name of names) {
    const step = steps[name];
    if (!step) throw new Error(`There is no step "${name}"; there are: ${Object.keys(steps).join(', ')}.`);
    if (!force && isFresh(step)) continue;
    console.log(`Building ${step.says} …`);
    const began = Date.now();
    if (!(await step.make())) {
      console.error(`Building ${step.says} failed.`);
      return false;
    }
    // cargo and tsc leave an unchanged file alone; its date would make it look old for ever.
    const now = new Date();
    for (const output of step.outputs) if (existsSync(output)) utimesSync(output, now, now);
    console.log(`  done in ${((Date.now() - began) / 1000).toFixed(1)} s`);
  }
  return true;
}

/** Writes the public types of `dist/index.d.ts` as one file to `target`. */
export async function makeDts(target) {
  const options = ['--silent', '--no-banner', '--no-check', '--project', at('tsconfig.build.json')];
  const status = runTool(['dts-bundle-generator'], [...options, '-o', target, at('dist', 'index.d.ts')]);
  if (status !== 0) return false;
  // The reference is for compilers from 6 on, which take no types of Node's unless a project or a package asks for them.
  const heading =
    '// The public types of ferropool, generated from the facade by `npm run build:dts`. Its difference is the review of the API.\n\n/// <reference types="node" />\n\n';
  // It brings a compiler along, which no other step needs.
  const { arranged } = await import('./arrange.js');
  const types = arranged(readFileSync(target, 'utf8'));
  writeFileSync(target, heading + types.replaceAll(/^\t+/gm, (tabs) => '  '.repeat(tabs.length)));
  return true;
}

async function makeNative() {
  mkdirSync(at('native'), { recursive: true });
  // Without --platform the file has this one plain name; --output-dir keeps the tool away from the root's index.d.ts.
  const options = ['--release', '--output-dir', 'native', '--dts', 'binding.d.ts', '--', '--locked'];
  const status = runTool(['@napi-rs/cli', 'napi'], ['build', ...options]);
  if (status !== 0) return false;
  if (!existsSync(at('native', 'binding.d.ts'))) writeFileSync(at('native', 'binding.d.ts'), 'export {};\n');
  return existsSync(at('native', 'ferropool.node'));
}

async function makeFaults() {
  let library = null;
  // Naming the tests too makes cargo resolve the same features as `cargo test` does.
  const args = [
    'build',
    '--locked',
    '--lib',
    '--tests',
    ...developmentSelection,
    '--message-format=json-render-diagnostics',
  ];
  const status = await follow('cargo', args, (line) => {
    const message = line.startsWith('{') ? JSON.parse(line) : {};
    if (message.reason === 'compiler-artifact' && message.target.kind.includes('cdylib')) {
      library = message.filenames.find((file) => /\.(so|dylib|dll)$/.test(file)) ?? library;
    }
  });
  if (status !== 0 || library === null) return false;
  mkdirSync(at('native'), { recursive: true });
  // Renaming, not writing: a process that still has the old file mapped must not see it change.
  const fresh = at('native', `.fresh-${process.pid}`);
  copyFileSync(library, fresh);
  renameSync(fresh, at('native', 'ferropool.faults.node'));
  return true;
}

async function makeJs() {
  rmSync(at('dist'), { recursive: true, force: true });
  if (runTool(['typescript', 'tsc'], ['-p', 'tsconfig.build.json']) !== 0) return false;
  // One file: resolving and opening a dozen modules is most of what importing the package would cost.
  const { build: bundle } = await import('esbuild');
  const outcome = await bundle(LIBRARY);
  // Its names, for the module around it: only a bundle of an ECMAScript module lists them.
  const { metafile } = await bundle({ ...LIBRARY, ...AS_MODULE });
  const names = Object.values(metafile.outputs).flatMap((output) => output.exports);
  writeFileSync(at('dist', 'load.cjs'), LOADS);
  writeFileSync(at('dist', 'index.js'), moduleAround(names));
  const command = await bundle({ ...COMMAND, plugins: [ownPackage] });
  chmodSync(at('dist', 'cli.js'), 0o755);
  return outcome.errors.length === 0 && command.errors.length === 0;
}

/**
 * The library, as CommonJS: whatever loads modules can load it, test runners with a loader of their own too, and `import` and
 * `require` get one set of classes.
 */
const LIBRARY = {
  absWorkingDir: root,
  entryPoints: ['index.ts'],
  outfile: at('dist', 'index.cjs'),
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20.19',
  // A class that names itself in its body would be called `_Timeout`.
  keepNames: true,
  logLevel: 'warning',
  define: { 'import.meta.url': 'here' },
  // A module of the other kind is strict without saying so.
  banner: { js: '"use strict";\nconst here = require("node:url").pathToFileURL(__filename).href;' },
};
const AS_MODULE = { format: 'esm', metafile: true, write: false, define: {}, banner: {} };

/**
 * What `import` gets: the same names of the same module. Node.js 20 ends the process where a CommonJS module throws that was
 * imported by name, though whoever imports might catch it; so ours, which throws where there is no binary, does it here.
 */
function moduleAround(names) {
  const list = names.toSorted().join(',\n  ');
  return `import { error, library } from './load.cjs';\n\nif (error) throw error;\nexport const {\n  ${list},\n} = library;\n`;
}

const LOADS = `"use strict";
exports.library = undefined;
exports.error = undefined;
try {
  exports.library = require('./index.cjs');
} catch (error) {
  exports.error = error;
}
`;

/** The command: a program beside the module, which it loads when it has something to request. */
const COMMAND = {
  absWorkingDir: root,
  entryPoints: ['cli/main.ts'],
  outfile: at('dist', 'cli.js'),
  banner: { js: '#!/usr/bin/env node' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  logLevel: 'warning',
};
/** The package's own module stays one: a copy of it in the command would be a second engine. */
const ownPackage = {
  name: 'own package',
  setup: ({ onResolve }) => onResolve({ filter: /^ferropool$/ }, () => ({ path: './index.js', external: true })),
};

function isFresh({ inputs, outputs }) {
  if (!outputs.every((file) => existsSync(file))) return false;
  const oldest = Math.min(...outputs.map((file) => statSync(file).mtimeMs));
  return inputs().every((file) => !existsSync(file) || statSync(file).mtimeMs <= oldest);
}

function filesBelow(folder, pattern, leftOut = new Set()) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) return leftOut.has(entry.name) ? [] : filesBelow(full, pattern, leftOut);
    return pattern.test(entry.name) ? [full] : [];
  });
}

if (process.argv[1] === import.meta.filename) {
  const names = process.argv.slice(2).filter((word) => word !== '--force');
  const done = await build(names, { force: process.argv.includes('--force') });
  process.exitCode = done ? 0 : 1;
}

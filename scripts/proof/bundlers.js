/** An application that a bundler makes one file of: with ferropool left outside, as the documentation says, and without. */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { copyOf, project, succeed } from './harness.js';
import { command, consumers, inTools, versionOf } from './tools.js';

const node = process.execPath;
const esbuild = (...words) => [
  inTools('esbuild', 'bin', 'esbuild'),
  'app.mjs',
  '--bundle',
  '--platform=node',
  ...words,
];
const rollup = (...words) => [node, command('rollup'), 'app.mjs', '--silent', ...words];
const webpack = (externals, module = true) => [
  node,
  '--input-type=module',
  '-e',
  `import { createRequire } from 'node:module';
  const webpack = createRequire(import.meta.url)(${JSON.stringify(inTools('webpack'))});
  const output = { path: process.cwd(), filename: 'out.${module ? 'mjs' : 'cjs'}', module: ${module} };
  const options = { mode: 'production', target: 'node20', entry: './app.mjs', output, externals: ${JSON.stringify(externals)} };
  webpack({ ...options, experiments: { outputModule: ${module} } }, (error, stats) => {
    if (error || stats.hasErrors()) throw error ?? new Error(stats.toString());
  });`,
];

/** Asked for when the bundlers have been installed, not before. */
const recipes = () => [
  {
    bundler: 'esbuild',
    how: '--external:ferropool, a module',
    out: 'out.mjs',
    make: esbuild('--format=esm', '--external:ferropool', '--outfile=out.mjs'),
  },
  {
    bundler: 'esbuild',
    how: '--packages=external, CommonJS',
    out: 'out.cjs',
    make: esbuild('--format=cjs', '--packages=external', '--outfile=out.cjs'),
  },
  {
    bundler: 'rollup',
    how: 'external, a module',
    out: 'out.mjs',
    make: rollup('--format', 'es', '--external', 'ferropool', '--file', 'out.mjs'),
  },
  {
    bundler: 'webpack',
    how: "externals: { ferropool: 'module ferropool' }",
    out: 'out.mjs',
    make: webpack({ ferropool: 'module ferropool' }),
  },
  {
    bundler: 'webpack',
    how: "externals: { ferropool: 'commonjs ferropool' }",
    out: 'out.cjs',
    make: webpack({ ferropool: 'commonjs ferropool' }, false),
  },
  {
    bundler: 'esbuild',
    how: 'the package taken in, a module',
    out: 'out.mjs',
    make: esbuild('--format=esm', '--outfile=out.mjs', '--log-level=error'),
    known: {
      reason: 'its modules cannot require what CommonJS in them requires; leave the package outside',
      error: /Dynamic require of "node:/,
    },
  },
  {
    bundler: 'esbuild',
    how: 'the package taken in, CommonJS',
    out: 'out.cjs',
    make: esbuild('--format=cjs', '--outfile=out.cjs', '--log-level=error'),
  },
  { bundler: 'webpack', how: 'the package taken in', out: 'out.mjs', make: webpack({}) },
];

export function bundlerChecks(plain, where) {
  return recipes().map(({ bundler, how, out, make, known }, nth) => ({
    name: `${bundler} ${versionOf(bundler)}: ${how}`,
    known,
    run: async () => {
      const folder = copyOf(plain, `bundle-${nth}`);
      cpSync(path.join(consumers, 'app.mjs'), path.join(folder, 'app.mjs'));
      await succeed(make, { cwd: folder });
      const said = await succeed([node, out, JSON.stringify(where)], { cwd: folder });
      assert.equal(said, '200 true\n');
    },
  }));
}

/** A bundle that took the package in and is moved away from its node_modules: it says what it lacks. */
export function movedBundleCheck(plain, where) {
  return {
    name: `esbuild ${versionOf('esbuild')}: a bundle away from node_modules says which package it lacks`,
    known: { reason: 'the binary stays in node_modules', error: /@ferropool\/binding-.* is not installed/ },
    run: async () => {
      const folder = copyOf(plain, 'bundle-moved');
      cpSync(path.join(consumers, 'app.mjs'), path.join(folder, 'app.mjs'));
      const away = project('bundle-away');
      await succeed(esbuild('--format=cjs', `--outfile=${path.join(away, 'out.cjs')}`, '--log-level=error'), {
        cwd: folder,
      });
      await succeed([node, 'out.cjs', JSON.stringify(where)], { cwd: away });
    },
  };
}

/** `npm run lint`: every lint of the house, one after the other; all run, and the status says whether all passed. */
import path from 'node:path';
import process from 'node:process';
import { root, run, runTool } from './run.js';

const lints = {
  oxlint: () => runTool(['oxlint'], ['--type-aware', '--deny-warnings', '--report-unused-disable-directives']),
  oxfmt: () => runTool(['oxfmt'], ['--check']),
  tsc: () => runTool(['typescript', 'tsc'], ['-p', 'tsconfig.json']),
  'import directions': () => run(process.execPath, [path.join(root, 'scripts', 'imports.js')]),
  'cargo fmt': () => run('cargo', ['fmt', '--all', '--check']),
  // Without --all-features: `cfg(loom)` and the fuzzers have their own commands.
  clippy: () =>
    run('cargo', [
      'clippy',
      '--locked',
      '--workspace',
      '--all-targets',
      '--features',
      'ferropool/faults',
      '--',
      '-D',
      'warnings',
    ]),
};

const failed = [];
for (const [name, lint] of Object.entries(lints)) {
  console.log(`\n${name}`);
  if (lint() !== 0) failed.push(name);
}
console.log(failed.length === 0 ? '\nAll lints pass.' : `\nNot clean: ${failed.join(', ')}.`);
process.exitCode = failed.length === 0 ? 0 : 1;

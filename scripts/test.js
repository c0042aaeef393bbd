/**
 * `npm test`: builds what the tests need, runs the Rust tests and the AVA specs, and ends with the line
 * `N passed, N failed`. `node scripts/test.js [rust | js | nginx | models] [-- arguments of cargo test or AVA]` runs one part.
 */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { build, developmentSelection } from './build.js';
import { follow, root, tool } from './run.js';

const [part = 'all', ...rest] = process.argv.slice(2);
const extra = rest[0] === '--' ? rest.slice(1) : rest;
const parts = {
  all: { build: ['native', 'js', 'faults'], run: [rust, specs] },
  rust: { build: [], run: [rust] },
  js: { build: ['native', 'js', 'faults'], run: [specs] },
  nginx: { build: ['native', 'js'], run: [nginx] },
  models: { build: [], run: [models] },
};

const chosen = parts[part];
if (!chosen) {
  console.error(`There is no part "${part}"; there are: ${Object.keys(parts).join(', ')}.`);
  process.exit(2);
}

const sum = { passed: 0, failed: 0 };
/** What failed, by name, and what held in a later attempt only: said again at the end, since thousands of lines stand between. */
const failures = [];
const wavering = [];
if (await build(chosen.build)) {
  for (const suite of chosen.run) {
    const { passed, failed } = await suite();
    sum.passed += passed;
    sum.failed += failed;
  }
} else {
  sum.failed += 1;
}
for (const line of wavering) console.log(line);
for (const name of failures) console.log(`✘ ${name}`);
console.log(`\n${sum.passed} passed, ${sum.failed} failed`);
process.exitCode = sum.failed === 0 && sum.passed > 0 ? 0 : 1;

function rust() {
  console.log('\nRust tests (policy, core)');
  return cargo(['test', '--locked', '--no-fail-fast', ...developmentSelection, ...extra]);
}

/** The queues between the threads, through every interleaving. A build of its own: loom's types take the place of std's. */
function models() {
  console.log('\nModels of the queues (loom)');
  const manifest = path.join('crate', 'core', 'loom', 'Cargo.toml');
  const target = path.join('target', 'loom');
  const env = { ...process.env, RUSTFLAGS: `${process.env.RUSTFLAGS ?? ''} --cfg loom`.trim() };
  return cargo(['test', '--locked', '--release', '--manifest-path', manifest, '--target-dir', target, ...extra], {
    env,
  });
}

async function cargo(args, options = {}) {
  const count = { passed: 0, failed: 0 };
  const show = (line) => {
    console.log(line);
    const failed = /^test (.+) \.\.\. FAILED$/.exec(line);
    if (failed) failures.push(failed[1]);
    const result = /^test result: \w+\. (\d+) passed; (\d+) failed;/.exec(line);
    count.passed += Number(result?.[1] ?? 0);
    count.failed += Number(result?.[2] ?? 0);
  };
  const status = await follow('cargo', args, show, options);
  return settled(count, status);
}

function specs() {
  console.log('\nSpecs of the package (AVA)');
  return ava(extra);
}

/** The specs against a real nginx need one on the machine, so they are a command of their own and never half of a run. */
async function nginx() {
  const folder = path.join(root, '__test__', 'nginx');
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.spec.ts')) : [];
  if (files.length === 0) {
    console.error('There is no spec in __test__/nginx.');
    return { passed: 0, failed: 1 };
  }
  console.log('\nSpecs against nginx (AVA)');
  return ava(['--config', 'ava.nginx.config.mjs', ...extra]);
}

/** AVA's TAP output is the stable one to count; it is shown with a tick or a cross in place of its words. */
async function ava(args) {
  const count = { passed: 0, failed: 0 };
  const show = (line) => {
    const test = /^(not ok|ok) \d+ - (.*)$/.exec(line);
    if (test) {
      const ok = test[1] === 'ok';
      if (!ok) failures.push(test[2]);
      count[ok ? 'passed' : 'failed'] += 1;
      console.log(`${ok ? '✔' : '✘'} ${test[2]}`);
    } else if (!/^(TAP version|1\.\.\d+$|# (tests|pass|fail) \d+$|\s*$)/.test(line)) {
      if (/^#\s+attempt \d+ of .* did not hold/.test(line)) wavering.push(line);
      console.log(line);
    }
  };
  const status = await follow(process.execPath, [tool('ava'), '--tap', ...args], show);
  return settled(count, status);
}

/** A suite that ended badly without a failed test (it did not compile, a worker crashed) counts as one failure. */
function settled(count, status) {
  if (status !== 0 && count.failed === 0) count.failed = 1;
  return count;
}

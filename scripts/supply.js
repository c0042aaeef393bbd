/**
 * `npm run supply [-- CHECK …]`: what guards the supply chain and needs tools of its own, which it installs below
 * target/supply/ at pinned versions. Needs Rust, Python 3 with pip, and Go. The checks, of which the first
 * three run where none is named:
 *
 *   locks      every Cargo.lock is what its manifests ask for
 *   deny       licences, bans and sources of the crates, by cargo-deny
 *   workflows  the workflow files, by actionlint and zizmor
 *   advisories what is known today against what is locked, by cargo-deny and npm; asks the advisory databases
 *   sboms      the bills of materials that a dry run of a release has written, against CycloneDX's schema
 *
 * Ends with the line `N passed, N failed`.
 */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { installed } from './python.js';
import { ask, root, run, runPatiently, trackedFiles } from './run.js';
import { sbomFolder } from './sbom.js';

const at = (...parts) => path.join(root, ...parts);

const DENY = '0.20.2';
const ACTIONLINT = 'v1.7.12';

const tools = at('target', 'supply');
const python = path.join(tools, 'python');
const requirements = at('scripts', 'supply', 'requirements.txt');

const checks = { locks, deny, workflows, advisories, sboms };

/** One asks others, the other needs what a dry run of a release has written. */
const ONLY_BY_NAME = new Set(['advisories', 'sboms']);

/**
 * Lock files whose versions are old on purpose: proof/ has the oldest Node.js, npm and compiler that users may have, and they
 * are given nothing but our own package.
 */
const NOT_AUDITED = new Set(['proof/package-lock.json']);

/** The manifest beside each Cargo.lock: that of the product, and those that tests and fuzzers have to themselves. */
function cargoManifests() {
  return trackedFiles('*Cargo.lock').map((file) => path.posix.join(path.posix.dirname(file), 'Cargo.toml'));
}

function locks() {
  const manifests = cargoManifests();
  const stale = manifests.filter(
    (file) => ask('cargo', ['metadata', '--locked', '--format-version', '1', '--manifest-path', file]) === null,
  );
  for (const file of stale) console.error(`the Cargo.lock beside ${file} is not what its manifests ask for`);
  return manifests.length > 0 && stale.length === 0;
}

/** Licences and bans are those of the product; where crates come from matters for all that is built. */
function deny() {
  return isClean((manifest) => (manifest === 'Cargo.toml' ? ['bans', 'licenses', 'sources'] : ['sources']));
}

function advisories() {
  const crates = isClean(() => ['advisories']);
  const audits = trackedFiles('*package-lock.json')
    .filter((file) => !NOT_AUDITED.has(file))
    .map((file) => {
      console.log(file);
      return run('npm', ['--prefix', path.dirname(file), 'audit', '--package-lock-only'], { shell: onWindows });
    });
  return crates && audits.length > 0 && audits.every((status) => status === 0);
}

/** Whether cargo-deny has nothing to say of any of our folders of crates; all are asked. */
function isClean(checksOf) {
  const cargo = cargoDeny();
  if (cargo === null) return false;
  const statuses = cargoManifests().map((manifest) => {
    console.log(manifest);
    const where = ['--manifest-path', manifest, '--workspace', '--config', 'deny.toml'];
    return run(cargo, ['--locked', ...where, 'check', ...checksOf(manifest)]);
  });
  return statuses.length > 0 && statuses.every((status) => status === 0);
}

function workflows() {
  const actionlint = fromGo('github.com/rhysd/actionlint/cmd/actionlint', ACTIONLINT);
  if (actionlint === null || !fromPython()) return false;
  const linted = run(actionlint, []) === 0;
  // Nothing is asked of the hosting site: a check must not depend on it being there.
  const audited = run(path.join(python, 'bin', 'zizmor'), ['--offline', '--persona', 'pedantic', at('.github')]) === 0;
  return linted && audited;
}

function sboms() {
  const files = existsSync(sbomFolder) ? readdirSync(sbomFolder).filter((name) => name.endsWith('.cdx.json')) : [];
  if (files.length === 0) {
    console.error('There is no bill of materials in release/sbom; `npm run release:dry` writes them.');
    return false;
  }
  if (!fromPython()) return false;
  const env = { ...process.env, PYTHONPATH: python };
  const paths = files.map((name) => path.join(sbomFolder, name));
  return run('python3', [at('scripts', 'supply', 'validate.py'), ...paths], { env }) === 0;
}

const onWindows = process.platform === 'win32';

/** cargo-deny of the pinned version: that of the machine, or one built below target/. Null where it cannot be had. */
function cargoDeny() {
  const own = path.join(tools, 'cargo', 'bin', 'cargo-deny');
  const has = (command) => ask(command, ['--version']) === `cargo-deny ${DENY}`;
  if (has('cargo-deny')) return 'cargo-deny';
  if (has(own)) return own;
  console.log('Building cargo-deny below target/ (some minutes, once) …');
  const args = ['install', '--quiet', '--locked', '--root', path.join(tools, 'cargo'), `cargo-deny@${DENY}`];
  return runPatiently('cargo', args) === 0 ? own : null;
}

function fromGo(module, version) {
  const program = path.join(tools, 'go', path.basename(module));
  if (ask(program, ['-version'])?.includes(version)) return program;
  if (ask('go', ['version']) === null) {
    console.error('Go is needed to install actionlint.');
    return null;
  }
  console.log(`Installing ${path.basename(module)} below target/ …`);
  const env = { ...process.env, GOBIN: path.dirname(program), GOFLAGS: '-mod=mod' };
  return runPatiently('go', ['install', `${module}@${version}`], { env }) === 0 ? program : null;
}

function fromPython() {
  return installed(requirements, python, 'zizmor and the validator of CycloneDX');
}

const named = process.argv.slice(2);
const unknown = named.filter((name) => !(name in checks));
if (unknown.length > 0) {
  console.error(`There is no check "${unknown.join('", "')}"; there are: ${Object.keys(checks).join(', ')}.`);
  process.exit(2);
}
let failed = 0;
const chosen = Object.keys(checks).filter((name) =>
  named.length > 0 ? named.includes(name) : !ONLY_BY_NAME.has(name),
);
for (const name of chosen) {
  const began = Date.now();
  console.log(`\n${name}`);
  const good = checks[name]();
  if (!good) failed += 1;
  console.log(`${good ? '✔' : '✘'} ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
}
console.log(`\n${chosen.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

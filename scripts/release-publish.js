/**
 * `node scripts/release-publish.js`: publishes what release/release.json lists, in its order. For the release workflow
 * alone: it has no password and no token, npm proves by OIDC who it is, and that is possible nowhere else.
 *
 * A version that is there already with the same bytes is passed over, so a run that broke off half way can be repeated;
 * with other bytes it is an error, and nothing after it is published.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { recordComplaints, recordIn } from './release-record.js';
import { root } from './run.js';

/** The first npm that can be a trusted publisher. */
const OLDEST_NPM = '11.5.1';

const release = process.env.FERROPOOL_RELEASE ?? path.join(root, 'release');

function main() {
  if (!process.env.ACTIONS_ID_TOKEN_REQUEST_URL) {
    console.error('This runs in the release workflow, which may ask for an identity; here nothing is published.');
    return 1;
  }
  const npm = spawnSync('npm', ['--version'], { encoding: 'utf8' }).stdout?.trim() ?? '';
  if (npm.localeCompare(OLDEST_NPM, 'en', { numeric: true }) < 0) {
    console.error(`npm ${npm} cannot publish without a token; ${OLDEST_NPM} can.`);
    return 1;
  }
  const changed = recordComplaints(release, process.env.RELEASE_SHA256);
  for (const line of changed) console.error(line);
  if (changed.length > 0) return 1;
  const { version, packages } = recordIn(release);
  for (const { file, name, integrity } of packages) {
    const published = integrityAtRegistry(`${name}@${version}`);
    if (published === integrity) {
      console.log(`${name}@${version} is there already.`);
    } else if (published !== null) {
      console.error(`${name}@${version} is there already, with other bytes.`);
      return 1;
    } else if (!publish(tarball(file), version)) {
      console.error(`${name}@${version} was not published; nothing after it was.`);
      return 1;
    }
  }
  return 0;
}

function tarball(file) {
  return path.join(release, 'tarballs', file);
}

/** The integrity of a published version, or null where there is none. Throws when npm cannot tell. */
function integrityAtRegistry(specification) {
  const done = spawnSync('npm', ['view', specification, 'dist.integrity', '--json'], { encoding: 'utf8' });
  // Of a package that is there but not in this version, npm says nothing, with status 0.
  if (done.status === 0) return done.stdout.trim() === '' ? null : JSON.parse(done.stdout);
  if (/\bE404\b/.test(`${done.stdout}${done.stderr}`)) return null;
  throw new Error(`npm cannot tell whether ${specification} is there: ${done.stderr ?? done.error?.message}`);
}

/** A version with a hyphen must not become the one that everybody gets. */
function publish(file, version) {
  const tag = version.includes('-') ? 'next' : 'latest';
  const args = ['publish', file, '--provenance', '--access', 'public', '--ignore-scripts', '--tag', tag];
  return spawnSync('npm', args, { stdio: 'inherit' }).status === 0;
}

process.exitCode = main();

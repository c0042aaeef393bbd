/**
 * release/release.json: what would be published, as it was when it was tested, with a hash of each file. `node
 * scripts/release-record.js` compares what lies in release/ with it, and it with the SHA-256 in $RELEASE_SHA256, which the job
 * that wrote it has passed on by another way than the files came. For the release workflow, before anything is signed.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { root } from './run.js';
import { integrityOf } from './supply-tarball.js';

/** The record in a folder: `{ version, packages: [{ file, name, integrity, sbom, sbomIntegrity }] }`. */
export function recordIn(folder) {
  return JSON.parse(readFileSync(path.join(folder, 'release.json'), 'utf8'));
}

/** What in a folder is not what was tested, as sentences. `sha256`: that of release.json. */
export function recordComplaints(folder, sha256) {
  const written = readFileSync(path.join(folder, 'release.json'));
  if (createHash('sha256').update(written).digest('hex') !== sha256) {
    return ['release.json is not the one that was written after the tests'];
  }
  const { packages } = JSON.parse(written.toString('utf8'));
  const bills = packages.filter(({ sbom }) => sbom !== undefined);
  return [
    ...changedIn(path.join(folder, 'tarballs'), new Map(packages.map(({ file, integrity }) => [file, integrity]))),
    ...changedIn(path.join(folder, 'sbom'), new Map(bills.map(({ sbom, sbomIntegrity }) => [sbom, sbomIntegrity]))),
  ];
}

/** A signature is given to every file of a folder: so no other may be in it. */
function changedIn(folder, recorded) {
  const there = existsSync(folder) ? readdirSync(folder) : [];
  const bytes = (name) => readFileSync(path.join(folder, name));
  return [
    ...there.filter((name) => !recorded.has(name)).map((name) => `${name} is in no record`),
    ...[...recorded.keys()].filter((name) => !there.includes(name)).map((name) => `${name} is missing`),
    ...there
      .filter((name) => recorded.has(name) && integrityOf(bytes(name)) !== recorded.get(name))
      .map((name) => `${name} has not the bytes that were tested`),
  ];
}

if (process.argv[1] === import.meta.filename) {
  const folder = path.join(root, 'release');
  const complaints = recordComplaints(folder, process.env.RELEASE_SHA256);
  for (const line of complaints) console.error(line);
  if (complaints.length === 0) console.log(`All ${recordIn(folder).packages.length} packages are what was tested.`);
  process.exitCode = complaints.length === 0 ? 0 : 1;
}

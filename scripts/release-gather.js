/**
 * `node scripts/release-gather.js`: takes the binaries out of what the build jobs have left in release/built/, one folder
 * `binary-NAME` for each platform, into release/binaries/. From each it takes the file of that platform, and it fails where
 * there is another: the job of one platform has no say in the binary of another.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { platforms } from './platforms.js';
import { root } from './run.js';

/** Copies them from `built` to `binaries`; gives what is wrong, as sentences, and copies nothing then. */
export function gather(built, binaries) {
  const folders = existsSync(built) ? readdirSync(built) : [];
  const wanted = new Map(platforms.map((one) => [`binary-${one.name}`, one.file]));
  const complaints = [
    ...folders.filter((folder) => !wanted.has(folder)).map((folder) => `${folder} is of no platform`),
    ...[...wanted]
      .filter(([folder, file]) => !folders.includes(folder) || !existsSync(path.join(built, folder, file)))
      .map(([folder, file]) => `${folder} has no ${file}`),
    ...folders
      .filter((folder) => wanted.has(folder))
      .flatMap((folder) => readdirSync(path.join(built, folder)).map((file) => [folder, file]))
      .filter(([folder, file]) => wanted.get(folder) !== file)
      .map(([folder, file]) => `${folder} has ${file}`),
  ];
  if (complaints.length > 0) return complaints;
  mkdirSync(binaries, { recursive: true });
  for (const [folder, file] of wanted) copyFileSync(path.join(built, folder, file), path.join(binaries, file));
  return [];
}

if (process.argv[1] === import.meta.filename) {
  const complaints = gather(path.join(root, 'release', 'built'), path.join(root, 'release', 'binaries'));
  for (const line of complaints) console.error(line);
  process.exitCode = complaints.length === 0 ? 0 : 1;
}

/** Tools that come as Python packages: pinned with their hashes in a requirements file, installed into a folder of their own. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ask, runPatiently } from './run.js';

/** Has `folder` hold what the file asks for, nothing that it does not name with a hash; whether that succeeded. */
export function installed(requirements, folder, what) {
  const stamp = path.join(folder, 'requirements.txt');
  const pinned = readFileSync(requirements, 'utf8');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === pinned) return true;
  if (ask('python3', ['-m', 'pip', '--version']) === null) {
    console.error(`Python 3 with pip is needed to install ${what}; on Debian: apt-get install python3-pip`);
    return false;
  }
  console.log(`Installing ${what} below target/ …`);
  mkdirSync(folder, { recursive: true });
  const quiet = ['--quiet', '--disable-pip-version-check', '--root-user-action', 'ignore'];
  const exact = ['--require-hashes', '--only-binary', ':all:', '--upgrade', '--target', folder, '-r', requirements];
  if (runPatiently('python3', ['-m', 'pip', 'install', ...quiet, ...exact]) !== 0) return false;
  writeFileSync(stamp, pinned);
  return true;
}

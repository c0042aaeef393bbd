/**
 * `npm run proof`: what `npm run pack` has written, installed into empty projects, does what the documentation says, on
 * every runtime, by every package manager, for every compiler. Each thing is one line; it ends with "N passed, N failed".
 *
 *   --all          with what takes longer: musl, arm64 under emulation, every compiler
 *   --require      what cannot run here fails, instead of being left out
 *   --only WORDS   the checks whose name contains them
 *   --list         the names alone
 *   --tarballs F   the folder of the tarballs, in place of release/tarballs
 *   --write        with --all: keeps what came out in docs/installation-proof.md, if nothing failed
 */
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { hostPlatform } from './platforms.js';
import { bundlerChecks, movedBundleCheck } from './proof/bundlers.js';
import { runChecks } from './proof/harness.js';
import { importTimes } from './proof/import-time.js';
import { managerChecks } from './proof/managers.js';
import { muslRuntimes } from './proof/musl.js';
import { managerTools, npmChecks } from './proof/npm.js';
import { writePage } from './proof/page.js';
import { packageChecks } from './proof/packages.js';
import { installed, startServers } from './proof/projects.js';
import { startRegistry } from './proof/registry.js';
import { permissionChecks, runtimeChecks } from './proof/runtimes.js';
import { packedPackages, tarballs } from './proof/tarballs.js';
import { installTools, runtimes } from './proof/tools.js';
import { typescriptChecks } from './proof/typescript.js';

const { values: wanted } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    require: { type: 'boolean', default: false },
    only: { type: 'string' },
    list: { type: 'boolean', default: false },
    tarballs: { type: 'string', default: tarballs },
    write: { type: 'boolean', default: false },
  },
});

const began = Date.now();
process.exitCode = (await prove()) ? 0 : 1;

async function prove() {
  const packages = packedPackages(path.resolve(wanted.tarballs));
  const main = packages.find(({ platform }) => platform === null);
  const host = packages.find(({ platform }) => platform !== null && platform.name === hostPlatform()?.name);
  if (main === undefined || host === undefined) {
    console.error('There are no tarballs for this platform there; run `npm run pack -- --host` first.');
    return false;
  }
  if (!installTools()) return false;

  const registry = await startRegistry(packages);
  const servers = await startServers();
  try {
    const projects = {};
    const names = packages.filter(({ platform }) => platform?.os === 'linux').map(({ platform: { name } }) => name);
    const installing = `npm install --ignore-scripts --offline of the tarballs: ${names.join(', ')}`;
    try {
      for (const one of packages.filter(({ platform }) => names.includes(platform?.name))) {
        projects[one.platform.name] = await installed(main, one, { force: one !== host });
      }
    } catch (error) {
      console.log(`✘ ${installing}\n${error.message}\n0 passed, 1 failed`);
      return false;
    }
    const first = `✔ ${installing}`;
    console.log(first);
    const tools = managerTools(servers.where);
    const plain = projects[host.platform.name];
    const used = wanted.all ? [...runtimes(), ...(await muslRuntimes())] : runtimes().filter(({ slow }) => !slow);
    const checks = [
      ...packageChecks(packages),
      ...runtimeChecks(used, projects, servers.where),
      ...permissionChecks(plain, servers.where),
      ...typescriptChecks(plain, wanted),
      ...npmChecks(registry, servers.where, tools),
      ...managerChecks(registry, tools),
      ...bundlerChecks(plain, servers.where),
      movedBundleCheck(plain, servers.where),
    ].filter(({ name }) => wanted.only === undefined || name.includes(wanted.only));
    if (wanted.list) {
      for (const { name } of checks) console.log(name);
      return true;
    }
    const outcome = await runChecks(checks, { mustRun: wanted.require });
    // Alone, after all else: a time that is measured beside other work says nothing.
    const times = wanted.only === undefined ? await importTimes(used, projects) : [];
    for (const line of times) console.log(line);
    for (const name of outcome.failures) console.log(`failed: ${name}`);
    if (outcome.skipped > 0) console.log(`${outcome.skipped} not run here`);
    // The installation itself counts: nothing runs without it.
    const sum = `${outcome.passed + 1} passed, ${outcome.failed} failed`;
    const seconds = Math.round((Date.now() - began) / 1000);
    if (wanted.write)
      writePage({
        command: 'npm run proof -- --all',
        lines: [first, ...outcome.lines, '', ...times, '', sum],
        seconds,
      });
    console.log(`\n${seconds} s`);
    console.log(sum);
    return outcome.failed === 0;
  } finally {
    registry.stop();
    servers.stop();
  }
}

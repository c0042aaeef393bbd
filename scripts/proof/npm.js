/**
 * The package installed by its name with npm, from a registry that has nothing else: which binary npm takes, that no script
 * runs, and what becomes of an installation that leaves the binary out.
 */
import assert from 'node:assert/strict';
import { cpSync, readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { hostPlatform, platforms } from '../platforms.js';
import { exec, project, succeed } from './harness.js';
import { command, consumers, nodeProgram, versionOf } from './tools.js';

const node = process.execPath;

/** npm without a user's settings, with a cache of its own in the project; without an address it stays offline. */
export function npm(folder, address, word, ...words) {
  const file = (name) => path.join(folder, name);
  const own = ['--userconfig', file('no-user'), '--globalconfig', file('no-global'), '--cache', file('cache')];
  const from = address === null ? ['--offline'] : ['--registry', address];
  return ['npm', word, ...own, ...from, '--no-audit', '--no-fund', '--no-update-notifier', ...words];
}

/** Copies the user's programs into a project. */
export function withItems(folder) {
  for (const file of ['items.mjs', 'worker.mjs']) cpSync(path.join(consumers, file), path.join(folder, file));
  return folder;
}

/** What the checks of all package managers do: an empty project, a look whether the package works, or says what it lacks. */
export function managerTools(where) {
  const item = (name) => ['items.mjs', name, JSON.stringify(where)];
  const manifest = { name: 'empty', version: '1.0.0', private: true };
  let projects = 0;
  return {
    empty: (files = {}) => project(`manager-${(projects += 1)}`, { 'package.json': manifest, ...files }),
    async works(folder, runner = [node], env) {
      withItems(folder);
      for (const name of ['one class identity by import and require', 'https and h2']) {
        const said = await succeed([...runner, ...item(name)], { cwd: folder, env });
        assert.ok(said.endsWith('done\n'), said);
      }
    },
    async saysWhatIsMissing(folder) {
      const { status, stderr } = await exec([node, ...item('import')], { cwd: withItems(folder) });
      assert.equal(status, 1);
      for (const word of [hostPlatform().package, 'optional']) assert.match(stderr, new RegExp(word, 'i'));
    },
  };
}

/** npm as the oldest supported Node.js brings it, and the newest, on a Node.js that it supports. */
export function npmChecks(registry, where, tools) {
  const programs = { 'npm-oldest': node, 'npm-newest': nodeProgram('node-newest') ?? node };
  return Object.entries(programs).flatMap(([name, program]) =>
    checksOf(`npm ${versionOf(name)}`, [program, command(name, 'npm')], registry, where, tools),
  );
}

function checksOf(label, program, { address }, where, { empty, works, saysWhatIsMissing }) {
  const own = (...words) => [...program, ...npm(...words).slice(1)];
  return [
    {
      name: `${label}: by name, with scripts allowed: installs main and host binary alone, and no script runs`,
      run: async () => {
        const folder = empty();
        const { status, stdout, stderr } = await exec(
          own(folder, address, 'install', 'ferropool', '--foreground-scripts', '--loglevel=silly'),
          { cwd: folder },
        );
        assert.equal(status, 0, stderr);
        assert.doesNotMatch(`${stdout}${stderr}`, MET_A_SCRIPT);
        assert.deepEqual(platformPackages(folder), [hostPlatform().package]);
        await works(folder, [node]);
      },
    },
    {
      name: `${label}: the check above sees a script where there is one`,
      run: async () => {
        const folder = empty({
          'canary/package.json': { name: 'canary', version: '1.0.0', scripts: { install: 'node -e 1' } },
        });
        const packed = (await succeed(own(folder, null, 'pack', '--silent', './canary'), { cwd: folder })).trim();
        const words = ['install', `./${packed}`, '--foreground-scripts', '--loglevel=silly'];
        const { stdout, stderr } = await exec(own(folder, null, ...words), { cwd: folder });
        assert.match(`${stdout}${stderr}`, MET_A_SCRIPT);
      },
    },
    {
      name: `${label}: chooses the one platform package of each platform`,
      run: async () => {
        for (const { os, cpu, libc, package: name } of platforms) {
          const folder = empty();
          const target = [`--os=${os}`, `--cpu=${cpu}`, ...(libc === null ? [] : [`--libc=${libc}`])];
          await succeed(own(folder, address, 'install', 'ferropool', ...target), { cwd: folder });
          assert.deepEqual(platformPackages(folder), [name]);
        }
      },
    },
    {
      name: `${label}: \`npx ferropool URL\`, once it is installed`,
      run: async () => {
        const folder = empty();
        await succeed(own(folder, address, 'install', 'ferropool'), { cwd: folder });
        const url = `http://127.0.0.1:${where.port}/plain`;
        const said = await succeed(own(folder, null, 'exec', '--no', '--', 'ferropool', url), { cwd: folder });
        assert.match(said, /200/);
      },
    },
    {
      name: `${label}: \`npm ci\` here with a lock file that was made on another platform`,
      run: async () => {
        const folder = empty();
        const other = platforms.find(({ package: name }) => name !== hostPlatform().package && name.includes('darwin'));
        const words = ['install', 'ferropool', '--package-lock-only', `--os=${other.os}`, `--cpu=${other.cpu}`];
        await succeed(own(folder, address, ...words), { cwd: folder });
        await succeed(own(folder, address, 'ci'), { cwd: folder });
        await works(folder, [node]);
      },
    },
    {
      name: `${label}: without optional dependencies the error names the package that is missing and the cause`,
      run: async () => {
        const folder = empty();
        await succeed(own(folder, address, 'install', 'ferropool', '--omit=optional'), { cwd: folder });
        await saysWhatIsMissing(folder);
      },
    },
  ];
}

/**
 * npm shows a script's package and line when it runs in the foreground, and its log has a line about it. From 12 on it
 * runs none that is not allowed, and says so.
 */
const MET_A_SCRIPT = /^> \S+@\S+ \w+$|info run \S+@\S+ \w+|had install scripts/m;

const platformPackages = (folder) =>
  readdirSync(path.join(folder, 'node_modules', '@ferropool')).map((name) => `@ferropool/${name}`);

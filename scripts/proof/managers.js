/** The package installed by its name with each package manager but npm, from a registry that has nothing else. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { cleanEnvironment, succeed } from './harness.js';
import { npm } from './npm.js';
import { command, inTools, versionOf } from './tools.js';

const node = process.execPath;
export function managerChecks(registry, tools) {
  const { empty, works, saysWhatIsMissing } = tools;
  const { address } = registry;

  return [
    {
      name: `pnpm ${versionOf('pnpm')}: a strict node_modules`,
      run: async () => {
        const folder = empty({ '.npmrc': `registry=${address}\n` });
        const env = homeless(folder);
        await succeed([node, command('pnpm'), 'add', 'ferropool', '--store-dir', path.join(folder, 'store')], {
          cwd: folder,
          env,
        });
        // The user's own folder has no platform package: only ferropool may find it.
        assert.ok(!existsSync(path.join(folder, 'node_modules', '@ferropool')));
        await works(folder, [node]);
      },
    },
    {
      name: `pnpm ${versionOf('pnpm')}: without optional dependencies the error says so`,
      run: async () => {
        const folder = empty({ '.npmrc': `registry=${address}\n` });
        const env = homeless(folder);
        await succeed(
          [node, command('pnpm'), 'add', 'ferropool', '--no-optional', '--store-dir', path.join(folder, 'store')],
          { cwd: folder, env },
        );
        await saysWhatIsMissing(folder);
      },
    },
    {
      name: `yarn ${versionOf('yarn')}`,
      run: async () => {
        const folder = empty();
        const env = homeless(folder);
        const words = [
          'add',
          'ferropool',
          '--registry',
          address,
          '--cache-folder',
          path.join(folder, 'cache'),
          '--non-interactive',
        ];
        await succeed([node, command('yarn'), ...words], { cwd: folder, env });
        await works(folder, [node]);
      },
    },
    ...['node-modules', 'pnpm', 'pnp'].map((linker) => ({
      name: `yarn ${versionOf('@yarnpkg/cli-dist')}: nodeLinker ${linker}`,
      run: async () => {
        const folder = empty({ 'yarn.lock': '' });
        const env = homeless(folder, {
          YARN_NPM_REGISTRY_SERVER: address,
          YARN_UNSAFE_HTTP_WHITELIST: '127.0.0.1',
          YARN_NODE_LINKER: linker,
          YARN_GLOBAL_FOLDER: path.join(folder, 'global'),
          YARN_ENABLE_TELEMETRY: '0',
          YARN_ENABLE_IMMUTABLE_INSTALLS: 'false',
          YARN_IGNORE_PATH: '1',
        });
        const yarn = [node, command('@yarnpkg/cli-dist', 'yarn')];
        await succeed([...yarn, 'add', 'ferropool'], { cwd: folder, env });
        await works(folder, linker === 'pnp' ? [...yarn, 'node'] : [node], env);
      },
    })),
    {
      name: `Bun ${versionOf('bun')}: bun add`,
      run: async () => {
        const folder = empty({ 'bunfig.toml': `[install]\nregistry = "${address}"\n` });
        const bun = inTools('bun', 'bin', 'bun');
        const env = homeless(folder);
        await succeed([bun, 'add', 'ferropool'], { cwd: folder, env });
        await works(folder, [bun, 'run'], env);
      },
    },
    {
      name: `Deno ${versionOf('deno')}: deno add npm:ferropool`,
      run: async () => {
        const folder = empty({ '.npmrc': `registry=${address}\n` });
        const deno = inTools('deno', 'deno');
        const env = homeless(folder, { DENO_DIR: path.join(folder, 'deno'), DENO_NO_UPDATE_CHECK: '1' });
        await succeed([deno, 'add', 'npm:ferropool'], { cwd: folder, env });
        await works(folder, [deno, 'run', '-A', '--quiet'], env);
      },
    },
    {
      name: 'a linked node_modules: the binary is found from where the package really is',
      run: async () => {
        const folder = empty();
        await succeed(npm(folder, address, 'install', 'ferropool'), { cwd: folder });
        const linking = empty();
        mkdirSync(path.join(linking, 'node_modules'));
        symlinkSync(
          path.join(folder, 'node_modules', 'ferropool'),
          path.join(linking, 'node_modules', 'ferropool'),
          'dir',
        );
        await works(linking, [node]);
      },
    },
  ];
}

/** An environment in which a manager finds no settings of the user and writes none. */
function homeless(folder, extra = {}) {
  const home = path.join(realpathSync(folder), 'home');
  rmSync(home, { recursive: true, force: true });
  mkdirSync(home);
  return cleanEnvironment({
    HOME: home,
    XDG_CONFIG_HOME: home,
    XDG_DATA_HOME: home,
    XDG_CACHE_HOME: home,
    CI: 'true',
    ...extra,
  });
}

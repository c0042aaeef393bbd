/** The installed package on every runtime, item by item, each item a process of its own. */
import assert from 'node:assert/strict';
import { exec, failureOf, succeed } from './harness.js';
import { quickStartSaid } from './quick-start.js';
import { DENO, inTools, versionOf } from './tools.js';

/** What `proof/consumers/items.mjs` has. */
const items = [
  'import',
  'require',
  'one class identity by import and require',
  'https and h2',
  'gzip, br, zstd',
  'class and code of an error',
  'streamed bodies',
  'a form with a file',
  'a signal that aborts',
  'names by a function of the caller',
  'diagnostics channels',
  'a manager through a proxy',
  'a worker beside the main thread',
  'loaded in workers alone',
  'requests in workers alone',
  'workers terminated amid a request',
  'the process ends by itself',
];

export function runtimeChecks(runtimes, projects, where) {
  return runtimes.flatMap((runtime) => {
    const folder = projects[runtime.platform] ?? null;
    const needs = runtime.needs ?? (folder === null ? `there is no tarball for ${runtime.platform}` : null);
    const patience = runtime.slow ? 600_000 : 180_000;
    const script = async (file, ...args) => {
      const command = [...runtime.command, file, ...args];
      const done = await exec(command, { cwd: folder, patience });
      if (done.status !== 0) throw failureOf(command, done);
      // A warning is a user's to read each time: there is none.
      if (done.stderr !== '') throw new Error(`it said on standard error: ${done.stderr}`);
      return done.stdout;
    };
    const quickStarts = ['mjs', 'cjs'].map((kind) => ({
      name: `${runtime.name}: the quick start by ${kind === 'mjs' ? 'import' : 'require'}`,
      needs,
      run: async () => quickStartSaid(await script(`quick-start.${kind}`, String(where.site))),
    }));
    const others = items.map((item) => ({
      name: `${runtime.name}: ${item}`,
      needs,
      run: async () => {
        const said = await script('items.mjs', item, JSON.stringify(where));
        if (!said.endsWith('done\n')) throw new Error(`it ended early, and said: ${said}`);
      },
    }));
    return [...quickStarts, ...others];
  });
}

/** With no more rights than the documentation says. The network is native code's, so no right for it is asked for. */
export function permissionChecks(folder, where) {
  const ways = [
    {
      name: `Deno ${versionOf('deno')}: with --allow-ffi, --allow-read and --allow-env alone`,
      command: [inTools('deno', 'deno'), 'run', '--no-prompt', '--allow-ffi', '--allow-read', '--allow-env', ...DENO],
    },
    {
      name: `Node.js ${versionOf('node-newest')}: with --permission, --allow-addons and --allow-fs-read`,
      command: [inTools('node-newest', 'bin', 'node'), '--permission', '--allow-addons', '--allow-fs-read=*'],
    },
  ];
  return ways.map(({ name, command }) => ({
    name,
    run: async () =>
      assert.match(
        await succeed([...command, 'items.mjs', 'import', JSON.stringify(where)], { cwd: folder }),
        /done\n$/,
      ),
  }));
}

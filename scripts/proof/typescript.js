/** A TypeScript user: each compiler, each way of resolving modules, with the libraries' types checked too. */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { copyOf, exec, project } from './harness.js';
import { command, consumers, inTools, versionOf } from './tools.js';

const compilers = ['typescript-oldest', 'typescript-5', 'typescript-6', 'typescript-7'];

/** `module` and `moduleResolution`; what an older compiler does not know yet is left out. */
const resolutions = [
  { module: 'node16', moduleResolution: 'node16', commonjs: true },
  { module: 'nodenext', moduleResolution: 'nodenext', commonjs: true },
  { module: 'preserve', moduleResolution: 'bundler', since: 5.4 },
  { module: 'esnext', moduleResolution: 'bundler' },
];

/** The settings that change what a type means, each way. `lib` without the DOM is what servers have. */
const settings = [
  { exactOptionalPropertyTypes: true, verbatimModuleSyntax: true, lib: ['es2022'] },
  { exactOptionalPropertyTypes: false, verbatimModuleSyntax: false },
];

const basic = { strict: true, noEmit: true, target: 'es2022', skipLibCheck: false };

/** With `all`, each way of resolving with each of the settings; without, the strictest alone, which is where errors show. */
export function typescriptChecks(plain, { all }) {
  const withTypes = () => {
    const folder = copyOf(plain, 'typescript');
    cpSync(inTools('@types', 'node'), path.join(folder, 'node_modules', '@types', 'node'), { recursive: true });
    cpSync(inTools('undici-types'), path.join(folder, 'node_modules', 'undici-types'), { recursive: true });
    cpSync(path.join(consumers, 'typescript'), folder, { recursive: true });
    return folder;
  };
  const typed = withTypes();
  const bare = copyOf(plain, 'typescript-bare');
  cpSync(path.join(consumers, 'typescript', 'light.mts'), path.join(bare, 'light.mts'));
  return compilers.flatMap((compiler) => {
    const version = versionOf(compiler);
    const name = `TypeScript ${version}`;
    const matrix = resolutions
      .filter(({ since }) => since === undefined || Number.parseFloat(version) >= since)
      .flatMap(({ module, moduleResolution, commonjs }) =>
        settings.slice(0, all ? 2 : 1).map((chosen) => ({
          name: `${name}: ${module}, ${moduleResolution}, ${chosen.verbatimModuleSyntax ? 'the strictest settings' : 'plain settings'}`,
          run: async () => {
            const files = ['consumer.mts', ...(commonjs ? ['consumer.cts'] : [])];
            const options = { ...basic, ...chosen, module, moduleResolution, types: ['node'] };
            assert.equal(await compile(compiler, typed, options, files), '');
          },
        })),
      );
    const usual = { ...basic, module: 'nodenext', moduleResolution: 'nodenext' };
    return [
      ...matrix,
      {
        name: `${name}: a configuration without \`types\``,
        run: async () => assert.equal(await compile(compiler, typed, usual, ['light.mts']), ''),
      },
      {
        name: `${name}: without @types/node the compiler says what to install`,
        run: async () => {
          const said = await compile(compiler, bare, usual, ['light.mts']);
          assert.match(said, /ferropool\/index\.d\.c?ts.*Buffer.*@types\/node/);
        },
      },
    ];
  });
}

let projects = 0;

/** Compiles these files of a project with these options; gives what the compiler complains of. */
async function compile(compiler, folder, compilerOptions, files) {
  // A configuration of its own for each call, since two may run at once; its paths are the project's.
  const there = project(`tsconfig-${(projects += 1)}`, {
    'tsconfig.json': {
      compilerOptions: { ...compilerOptions, typeRoots: [path.join(folder, 'node_modules', '@types')] },
      files: files.map((file) => path.join(folder, file)),
    },
  });
  const script = command(compiler, 'tsc');
  const { status, stdout, stderr } = await exec([process.execPath, script, '-p', there, '--pretty', 'false'], {
    cwd: folder,
  });
  assert.ok(status !== null, stderr);
  return status === 0 ? '' : `${stdout}${stderr}`;
}

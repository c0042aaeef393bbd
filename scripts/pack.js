/**
 * `npm run pack`: makes the packages as they are published, in release/tarballs/: ferropool itself, and one for each platform
 * that has a binary in release/binaries/ (`npm run build:all`). `--host` takes native/ferropool.node instead and packs it
 * for the platform it runs on; on a platform that has no package the binary goes into ferropool itself.
 *
 * Each package is laid out in release/stage/ first, file by file, and its manifest is written there. So nothing of the
 * repository gets into one because somebody forgot to leave it out.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { build } from './build.js';
import { documents } from './documents.js';
import { hostPlatform, manifestOf, platforms, readmeOf } from './platforms.js';
import { ask, root } from './run.js';

const at = (...parts) => path.join(root, ...parts);

/** What of the repository's manifest is true at the users' too. All else is for those who work on it. */
const KEPT = [
  'name',
  'version',
  'description',
  'keywords',
  'license',
  'author',
  'homepage',
  'repository',
  'bugs',
  'type',
];

/** The notices of what is linked into the binaries: the file that a platform's package has them in, and where it lies. */
const NOTICES = 'THIRD-PARTY-NOTICES.txt';

/** The manifest of ferropool as it is published, from the repository's. `binary`: the addon is in the package itself. */
export function manifestOfMain(source, { binary = false } = {}) {
  const kept = Object.fromEntries(KEPT.filter((name) => name in source).map((name) => [name, source[name]]));
  const native = binary ? ['/native/ferropool.node'] : [];
  return {
    ...kept,
    engines: { node: source.engines.node },
    main: './dist/index.cjs',
    types: './index.d.ts',
    ...(source.bin ? { bin: source.bin } : {}),
    exports: {
      '.': {
        import: { types: './index.d.ts', default: './dist/index.js' },
        require: { types: './index.d.cts', default: './dist/index.cjs' },
      },
      './package.json': './package.json',
    },
    ...(binary ? { imports: { '#ferropool-addon': './native/ferropool.node' } } : {}),
    sideEffects: false,
    files: [
      '/dist/index.js',
      '/dist/index.cjs',
      '/dist/load.cjs',
      ...Object.values(source.bin ?? {}).map((file) => file.replace(/^\.?\/?/, '/')),
      '/index.d.ts',
      '/index.d.cts',
      ...native,
      '/CHANGELOG.md',
      ...new Set(documents().map((file) => `/${file.includes('/') ? file.slice(0, file.indexOf('/')) : file}`)),
    ],
    optionalDependencies: Object.fromEntries(platforms.map((one) => [one.package, source.version])),
  };
}

/**
 * The types are declared once, in the CommonJS file, and the other passes them on: an ECMAScript module may take from a
 * CommonJS one in each version and mode of the compiler, and not the other way round. Two copies would be two sets of
 * classes, of which neither is assignable to the other.
 */
const TYPES_OF_ESM = `// The types of ferropool are in index.d.cts, once for both kinds of modules.
export * from './index.cjs';
`;

/**
 * Lays ferropool itself out in `folder`, with the addon `binary` in it, if that is given.
 *
 * @param {string} folder
 * @param {string} [binary]
 */
export function stageMain(folder, binary) {
  const source = JSON.parse(readFileSync(at('package.json'), 'utf8'));
  const manifest = manifestOfMain(source, { binary: binary !== undefined });
  startFolder(folder);
  const programs = Object.values(source.bin ?? {}).map((file) => path.normalize(file));
  for (const file of [
    'dist/index.js',
    'dist/index.cjs',
    'dist/load.cjs',
    ...programs,
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
  ]) {
    copy(at(file), path.join(folder, file));
  }
  for (const file of documents()) copy(at(file), path.join(folder, file));
  for (const file of programs) chmodSync(path.join(folder, file), 0o755);
  copy(at('index.d.ts'), path.join(folder, 'index.d.cts'));
  writeFileSync(path.join(folder, 'index.d.ts'), TYPES_OF_ESM);
  if (binary !== undefined) copy(binary, path.join(folder, 'native', 'ferropool.node'));
  writeJson(path.join(folder, 'package.json'), manifest);
}

/** Lays the package of a platform out in `folder`, around the binary at `binary`. */
export function stagePlatform(platform, folder, binary) {
  const source = JSON.parse(readFileSync(at('package.json'), 'utf8'));
  startFolder(folder);
  writeJson(path.join(folder, 'package.json'), manifestOf(platform, source));
  writeFileSync(path.join(folder, 'README.md'), readmeOf(platform));
  copy(at('LICENSE'), path.join(folder, 'LICENSE'));
  const notices = at('npm', NOTICES);
  if (existsSync(notices)) copy(notices, path.join(folder, NOTICES));
  copy(binary, path.join(folder, platform.file));
}

/** Packs what is laid out in `folder`; gives npm's record of it (name, filename, files, sizes, integrity). */
export function packFolder(folder, destination) {
  mkdirSync(destination, { recursive: true });
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', destination];
  const windows = process.platform === 'win32';
  const answer = ask(windows ? 'npm.cmd' : 'npm', args, { cwd: folder, shell: windows });
  if (answer === null) throw new Error(`npm could not pack ${folder}`);
  const [record] = Object.values(JSON.parse(answer));
  return record;
}

/** Which packages there are to be made: where each is laid out, and what lays it out. */
function wanted(host) {
  if (host) {
    const binary = at('native', 'ferropool.node');
    if (!existsSync(binary)) throw new Error('There is no native/ferropool.node; run `npm run build` first.');
    const platform = hostPlatform();
    if (!platform) return [{ name: 'ferropool', stage: (folder) => stageMain(folder, binary) }];
    return [main, { name: platform.name, stage: (folder) => stagePlatform(platform, folder, binary) }];
  }
  const built = platforms.filter(({ file }) => existsSync(at('release', 'binaries', file)));
  if (built.length === 0) throw new Error('There is no binary in release/binaries/; run `npm run build:all` first.');
  return [
    main,
    ...built.map((platform) => ({
      name: platform.name,
      stage: (folder) => stagePlatform(platform, folder, at('release', 'binaries', platform.file)),
    })),
  ];
}

const main = { name: 'ferropool', stage: (folder) => stageMain(folder) };

/** Makes the tarballs; gives npm's records of them. `root` is the folder that stage/ and tarballs/ lie in. */
export function packAll({ host = false, release = at('release') } = {}) {
  const all = wanted(host);
  const tarballs = path.join(release, 'tarballs');
  mkdirSync(tarballs, { recursive: true });
  // What is left of another version, or of a platform that is not made now, would be taken for a part of this one.
  for (const name of readdirSync(tarballs)) if (name.endsWith('.tgz')) rmSync(path.join(tarballs, name));
  return all.map(({ name, stage }) => {
    const folder = path.join(release, 'stage', name);
    stage(folder);
    return packFolder(folder, tarballs);
  });
}

function startFolder(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
}

function copy(from, to) {
  if (!existsSync(from)) throw new Error(`${path.relative(root, from)} is missing`);
  mkdirSync(path.dirname(to), { recursive: true });
  copyFileSync(from, to);
  chmodSync(to, 0o644);
}

function writeJson(file, value) {
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
}

if (process.argv[1] === import.meta.filename) {
  const host = process.argv.includes('--host');
  try {
    if (!(await build(['js', 'dts']))) throw new Error('The package could not be built.');
    for (const { filename, size, unpackedSize, entryCount } of packAll({ host })) {
      const kilobytes = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`.padStart(11);
      const name = filename.padEnd(44);
      console.log(`${name}${kilobytes(size)}, unpacked ${kilobytes(unpackedSize)}, ${entryCount} files`);
    }
    if (!host) {
      const left = platforms.filter(({ file }) => !existsSync(at('release', 'binaries', file)));
      if (left.length > 0)
        console.log(`No binary in release/binaries/ for: ${left.map(({ name }) => name).join(', ')}`);
    }
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}

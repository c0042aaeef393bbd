/**
 * The platforms that have a prebuilt binary: the one list of their names. What builds, packs, loads, publishes and documents
 * them reads it from here. `node scripts/platforms.js --write` writes what is committed and follows from it, the folders of npm/
 * and the table that the loader has, and removes what is there of other platforms.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { root } from './run.js';

/** The scope that the packages of the binaries stand under; it is ours, so that nobody else can take a name of theirs. */
const SCOPE = '@ferropool';

/** What stands in npm/ beside them: scripts/notices.js writes it. */
const NOTICES = 'npm/THIRD-PARTY-NOTICES.txt';

/**
 * `name` is what platform, processor and C library are called together. `glibc` is the oldest version that the binary may
 * ask for. `cross` says whether a Linux machine can build it with zig; the others are built where they run.
 */
const list = [
  {
    name: 'linux-x64-gnu',
    triple: 'x86_64-unknown-linux-gnu',
    os: 'linux',
    cpu: 'x64',
    libc: 'glibc',
    glibc: '2.17',
    cross: true,
  },
  {
    name: 'linux-arm64-gnu',
    triple: 'aarch64-unknown-linux-gnu',
    os: 'linux',
    cpu: 'arm64',
    libc: 'glibc',
    glibc: '2.17',
    cross: true,
  },
  {
    name: 'linux-x64-musl',
    triple: 'x86_64-unknown-linux-musl',
    os: 'linux',
    cpu: 'x64',
    libc: 'musl',
    glibc: null,
    cross: true,
  },
  {
    name: 'linux-arm64-musl',
    triple: 'aarch64-unknown-linux-musl',
    os: 'linux',
    cpu: 'arm64',
    libc: 'musl',
    glibc: null,
    cross: true,
  },
  { name: 'darwin-x64', triple: 'x86_64-apple-darwin', os: 'darwin', cpu: 'x64', libc: null, glibc: null, cross: true },
  {
    name: 'darwin-arm64',
    triple: 'aarch64-apple-darwin',
    os: 'darwin',
    cpu: 'arm64',
    libc: null,
    glibc: null,
    cross: true,
  },
  {
    name: 'win32-x64-msvc',
    triple: 'x86_64-pc-windows-msvc',
    os: 'win32',
    cpu: 'x64',
    libc: null,
    glibc: null,
    cross: false,
  },
  {
    name: 'win32-arm64-msvc',
    triple: 'aarch64-pc-windows-msvc',
    os: 'win32',
    cpu: 'arm64',
    libc: null,
    glibc: null,
    cross: false,
  },
];

/** Each with the name of its package (`@ferropool/binding-linux-x64-gnu`) and of the file in it. */
export const platforms = list.map((one) => ({
  ...one,
  package: `${SCOPE}/binding-${one.name}`,
  file: `ferropool.${one.name}.node`,
}));

/** The platform of the Node.js that asks; undefined where there is none for it. */
export function hostPlatform() {
  const { platform, arch } = process;
  const musl = platform === 'linux' && process.report.getReport().header.glibcVersionRuntime === undefined;
  return platforms.find(
    ({ os, cpu, libc }) => os === platform && cpu === arch && (libc === null || (libc === 'musl') === musl),
  );
}

/** Whether this machine can build for a platform. */
export function isBuiltHere({ os, cross }) {
  return process.platform === 'linux' ? cross : os === process.platform;
}

const SYSTEMS = { linux: 'Linux', darwin: 'macOS', win32: 'Windows' };

/** The platform as a sentence has it: "Linux on x64 with glibc 2.17 or newer". */
function inWords({ os, cpu, libc, glibc }) {
  const system = `${SYSTEMS[os]} on ${cpu}`;
  if (libc === null) return system;
  return `${system} with ${libc === 'glibc' ? `glibc ${glibc} or newer` : libc}`;
}

/** The manifest of a platform's package; `source` is ferropool's own, whose version and terms it has. */
export function manifestOf(platform, source) {
  const { package: name, file, os, cpu, libc } = platform;
  const shared = Object.fromEntries(
    ['license', 'author', 'homepage', 'repository', 'bugs']
      .filter((key) => key in source)
      .map((key) => [key, source[key]]),
  );
  return {
    name,
    version: source.version,
    description: `The binary of ferropool for ${inWords(platform)}`,
    ...shared,
    type: 'commonjs',
    engines: { node: source.engines.node },
    os: [os],
    cpu: [cpu],
    ...(libc === null ? {} : { libc: [libc] }),
    main: `./${file}`,
    files: [`/${file}`, '/THIRD-PARTY-NOTICES.txt'],
  };
}

/** The page of a platform's package. */
export function readmeOf(platform) {
  return `# ${platform.package}

The binary of \`ferropool\` for ${inWords(platform)}.

\`ferropool\` depends on it and loads it; npm installs it where it fits. There is nothing in it to use by itself.
`;
}

/** The table that the loader has: which package fits which platform, and the target that its binary must say it has. */
function loadersTable() {
  const rows = platforms.map(
    ({ package: name, triple, os, cpu, libc, glibc }) =>
      `  ${literal({ name, target: triple, os, cpu, libc: libc === 'glibc' ? 'gnu' : libc, glibc })},\n`,
  );
  return `/**
 * The packages that have a binary, and what each is for. Generated by \`node scripts/platforms.js --write\`; change the list
 * there instead.
 */

/** A package with a binary; \`glibc\` is the oldest version that it can be loaded with. */
export interface Platform {
  readonly name: string;
  readonly target: string;
  readonly os: string;
  readonly cpu: string;
  readonly libc: 'gnu' | 'musl' | null;
  readonly glibc: string | null;
}

export const PLATFORMS: readonly Platform[] = [
${rows.join('')}];
`;
}

function literal(fields) {
  const members = Object.entries(fields).map(([name, value]) => `${name}: ${value === null ? null : `'${value}'`}`);
  return `{ ${members.join(', ')} }`;
}

/** Every committed file that follows from the list, by its path from the root, with the text it has to have. */
export function generatedFiles() {
  const source = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const files = platforms.flatMap((platform) => [
    [`npm/${platform.name}/package.json`, `${JSON.stringify(manifestOf(platform, source), null, 2)}\n`],
    [`npm/${platform.name}/README.md`, readmeOf(platform)],
  ]);
  return new Map([...files, ['facade/boundary/platforms.ts', loadersTable()]]);
}

/** Those of them that are missing or say something else, and what else lies in npm/. `base` is a root. */
export function staleFiles(base = root) {
  const wanted = generatedFiles();
  const isStale = ([file, text]) => {
    const full = path.join(base, file);
    return !existsSync(full) || readFileSync(full, 'utf8') !== text;
  };
  const leftOver = readdirSync(path.join(base, 'npm'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(base, path.join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .filter((file) => !wanted.has(file) && file !== NOTICES);
  return [...[...wanted].filter(isStale).map(([file]) => file), ...leftOver];
}

if (process.argv[1] === import.meta.filename && process.argv.includes('--write')) {
  const wanted = generatedFiles();
  for (const file of staleFiles()) {
    const full = path.join(root, file);
    mkdirSync(path.dirname(full), { recursive: true });
    if (wanted.has(file)) writeFileSync(full, wanted.get(file));
    else rmSync(full);
    console.log(`${file} ${wanted.has(file) ? 'is written' : 'belongs to no platform, and is removed'}`);
  }
}

/**
 * `npm run build:all [-- --only NAME,…]`: builds the binaries of all platforms that this machine can build for, into
 * release/binaries/, checks each (scripts/binaries.js) and writes release/binaries/report.md. Needs Node.js, Rust by rustup
 * and a C compiler (on Windows clang-cl); on Linux Python with pip too, by which it installs zig below target/.
 *
 * These are the binaries that are published. Zig links them against the oldest C library they are for; what `npm run build`
 * makes needs the one of the machine it was made on.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { complaintsAbout, MACOS, reportOf } from './binaries.js';
import { isBuiltHere, platforms } from './platforms.js';
import { installed } from './python.js';
import { ask, root, run, runPatiently } from './run.js';

const at = (...parts) => path.join(root, ...parts);

/** A folder of its own: other flags and another C compiler would have the everyday build start anew each time. */
const TARGETS = at('target', 'cross');
const TOOLS = at('target', 'zig');
const REQUIREMENTS = at('scripts', 'zig', 'requirements.txt');
const BINARIES = at('release', 'binaries');

/** What compiles C for Windows. */
const CLANG_CL = 'clang-cl';

/** Where cargo keeps the sources of the crates. */
const REGISTRY = path.join(process.env.CARGO_HOME ?? path.join(os.homedir(), '.cargo'), 'registry', 'src');

/**
 * Builds the binaries of these platforms, in one call of cargo, which makes what runs at build time once for all. A Linux
 * machine builds with zig; macOS and Windows build for themselves with what they have.
 */
export function buildAll(wanted) {
  const tools = process.platform === 'linux' ? zig() : {};
  if (!tools) return false;
  if (wanted.some(({ os: system }) => system === 'win32') && ask(CLANG_CL, ['--version']) === null) {
    console.error(`There is no ${CLANG_CL}: it is a part of LLVM, and of Visual Studio's build tools.`);
    return false;
  }
  if (!targetsInstalled(wanted.map(({ triple }) => triple))) return false;
  if (runPatiently('cargo', ['fetch', '--locked']) !== 0) return false;
  const floored = ({ triple, glibc }) => (glibc === null ? triple : `${triple}.${glibc}`);
  const targets = wanted.flatMap((one) => ['--target', process.platform === 'linux' ? floored(one) : one.triple]);
  const options = ['--release', '--locked', '-p', 'ferropool', '--target-dir', TARGETS];
  const build = [process.platform === 'linux' ? 'zigbuild' : 'build', ...options, ...targets];
  // With cargo-auditable each binary says which crates are in it.
  const audited = ask('cargo', ['auditable', '--version']) !== null;
  if (!audited) console.log('There is no cargo-auditable, so the binaries will not say which crates are in them.');
  const env = { ...process.env, ...tools, ...flags(wanted) };
  if (run('cargo', audited ? ['auditable', ...build] : build, { env }) !== 0) return false;
  mkdirSync(BINARIES, { recursive: true });
  for (const { triple, os: system, file } of wanted) {
    const fresh = path.join(BINARIES, `.${file}`);
    copyFileSync(path.join(TARGETS, triple, 'release', LIBRARY[system]), fresh);
    renameSync(fresh, path.join(BINARIES, file));
  }
  return true;
}

/** What cargo calls a library there. */
const LIBRARY = { linux: 'libferropool.so', darwin: 'libferropool.dylib', win32: 'ferropool.dll' };

/**
 * What the compilers are told, as variables. No path of this machine may be in a binary: it would say who built it, and two
 * machines would build two different ones. `names` are the folders that must not be in it, each with what stands there instead.
 * musl is linked as Node.js has it, which is not the way that Rust takes by itself; on Windows the C library comes along, since
 * not every machine has it.
 */
export function flags(wanted, names = folders()) {
  const linked = wanted.some(({ os: system }) => system === 'win32') ? '+crt-static' : '-crt-static';
  const rust = ['-C', `target-feature=${linked}`, ...names.map(([from, to]) => `--remap-path-prefix=${from}=${to}`)];
  const c = names.map(([from, to]) => `-ffile-prefix-map=${from}=${to}`);
  const variables = { CARGO_ENCODED_RUSTFLAGS: rust.join('\u001F'), MACOSX_DEPLOYMENT_TARGET: MACOS };
  for (const { os: system, triple } of wanted) {
    const target = triple.replaceAll('-', '_');
    if (system !== 'win32') {
      variables[`CFLAGS_${target}`] = c.join(' ');
      continue;
    }
    // AWS-LC names its files in each error. Microsoft's compiler has no such option; Clang in its place does, behind /clang:
    // alone, and for arm64 AWS-LC takes no other. mimalloc is C++ there.
    for (const [compiler, options] of [
      ['CC', 'CFLAGS'],
      ['CXX', 'CXXFLAGS'],
    ]) {
      variables[`${compiler}_${target}`] = CLANG_CL;
      variables[`${options}_${target}`] = c.map((option) => `/clang:${option}`).join(' ');
    }
  }
  return variables;
}

function folders() {
  const crates = readdirSync(REGISTRY).map((index) => [path.join(REGISTRY, index), 'crates']);
  return [...crates, [TARGETS, 'target'], [root, 'ferropool']];
}

/** Has the pinned zig and cargo-zigbuild installed; gives the environment in which cargo finds them. */
function zig() {
  if (!installed(REQUIREMENTS, TOOLS, 'zig')) return null;
  return {
    PATH: [path.join(TOOLS, 'bin'), process.env.PATH].join(path.delimiter),
    CARGO_ZIGBUILD_ZIG_PATH: path.join(TOOLS, 'ziglang', 'zig'),
  };
}

/** Whether Rust's standard library is there for each target; rustup fetches what is not. */
function targetsInstalled(triples) {
  const sysroot = ask('rustc', ['--print', 'sysroot']);
  const missing = triples.filter((triple) => !existsSync(path.join(sysroot ?? '', 'lib', 'rustlib', triple)));
  return missing.length === 0 || runPatiently('rustup', ['target', 'add', ...missing]) === 0;
}

/** The platforms that `--only` names, or all that can be built on this machine. */
function chosen(words) {
  const place = words.indexOf('--only');
  if (place === -1) return platforms.filter(isBuiltHere);
  return (words[place + 1] ?? '').split(',').map((name) => {
    const platform = platforms.find((one) => one.name === name);
    if (!platform) throw new Error(`There is no platform "${name}"; there are: ${namesOf(platforms)}.`);
    if (!isBuiltHere(platform)) throw new Error(`The binary for ${name} cannot be built on ${process.platform}.`);
    return platform;
  });
}

function namesOf(some) {
  return some.map(({ name }) => name).join(', ');
}

if (process.argv[1] === import.meta.filename) {
  try {
    const wanted = chosen(process.argv.slice(2));
    const began = Date.now();
    if (!buildAll(wanted)) throw new Error('The binaries could not be built.');
    console.log(`${wanted.length} built in ${((Date.now() - began) / 1000).toFixed(0)} s`);
    const report = reportOf(BINARIES);
    writeFileSync(path.join(BINARIES, 'report.md'), report);
    console.log(`\n${report}`);
    const complaints = complaintsAbout(BINARIES, wanted);
    for (const line of complaints) console.error(line);
    process.exitCode = complaints.length === 0 ? 0 : 1;
    const elsewhere = platforms.filter((one) => !isBuiltHere(one));
    if (elsewhere.length > 0) console.log(`Not built here, as they need another system: ${namesOf(elsewhere)}`);
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}

/**
 * Looks into each binary before it is packed: `node scripts/binaries.js [FOLDER]`, by default release/binaries/. A binary is
 * fit when it is for its platform, asks the system for no more than the platform promises, can be loaded as an addon, and
 * tells nothing about the machine that built it. Prints the table that `npm run build:all` keeps as report.md.
 */
import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { byVersion, libraryOf } from './formats.js';
import { platforms } from './platforms.js';
import { root } from './run.js';
import { secretsIn } from './secrets.js';

/** The oldest macOS that the binaries are for; Node.js 20 asks for the same on arm64. */
export const MACOS = '11.0';

const FORMATS = { linux: 'ELF', darwin: 'Mach-O', win32: 'PE' };

/** What a system has, and so a binary may need. Of the C library's own parts, and on musl only the one there is. */
const SYSTEM_LIBRARIES = {
  glibc: /^(lib(c|m|dl|rt|pthread|util)\.so\.\d|libgcc_s\.so\.1|ld-linux-(x86-64|aarch64)\.so\.\d)$/,
  musl: /^libc\.so$/,
  darwin:
    /^\/usr\/lib\/lib(System\.B|iconv\.2|charset\.1|objc\.A)\.dylib$|^\/System\/Library\/Frameworks\/(CoreFoundation|Security|SystemConfiguration)\.framework\//,
  win32:
    /^(kernel32|ntdll|advapi32|bcrypt|bcryptprimitives|crypt32|iphlpapi|ncrypt|secur32|userenv|ws2_32|api-ms-win-core-[a-z0-9-]+)\.dll$/i,
};

/** The most bytes that a binary may have: about a tenth above what it had when it was last looked at. */
const MOST = {
  'linux-x64-gnu': 9_800_000,
  'linux-arm64-gnu': 8_100_000,
  'linux-x64-musl': 9_800_000,
  'linux-arm64-musl': 8_100_000,
  'darwin-x64': 10_400_000,
  'darwin-arm64': 9_100_000,
};
/** For those that have not been built here. */
const MOST_ELSEWHERE = 12_000_000;

/** Where Node.js begins. */
const ENTRY = 'napi_register_module_v1';

/** A name of the switches that make an addon fail on purpose. */
const FAULTS = 'armFault';

/** What is wrong with these bytes as the binary of a platform, as sentences. `private`: what must not be found in them. */
export function complaintsOf(bytes, platform, { secrets = tracesOfThisMachine() } = {}) {
  let library;
  try {
    library = libraryOf(bytes);
  } catch (error) {
    return [`it cannot be read: ${error.message}`];
  }
  if (library.format !== FORMATS[platform.os] || library.cpu !== platform.cpu) {
    return [`it is ${library.format} for ${library.cpu}, not ${FORMATS[platform.os]} for ${platform.cpu}`];
  }
  const usual = SYSTEM_LIBRARIES[platform.libc ?? platform.os];
  const most = MOST[platform.name] ?? MOST_ELSEWHERE;
  return [
    ...library.needs.filter((name) => !usual.test(name)).map((name) => `it needs ${name}`),
    ...(library.needs.length === 0 ? ['it needs no library of the system, and each of ours does'] : []),
    ...(library.paths ?? []).map((place) => `it has libraries looked for in ${place}`),
    ...(library.exports.includes(ENTRY) ? [] : [`it does not export ${ENTRY}`]),
    ...(library.glibc && (!platform.glibc || byVersion(library.glibc, platform.glibc) > 0)
      ? [`it needs glibc ${library.glibc}, above ${platform.glibc ?? 'none'}`]
      : []),
    ...(platform.glibc && library.glibc === null ? ['it does not say which glibc it needs'] : []),
    ...(platform.os === 'darwin' ? machComplaints(library, platform) : []),
    ...(bytes.includes(platform.triple) ? [] : [`it does not say that it is for ${platform.triple}`]),
    ...(bytes.includes(FAULTS) ? ['it has the switches that make it fail on purpose'] : []),
    ...(bytes.length > most ? [`it has ${bytes.length} bytes, more than ${most}`] : []),
    ...(bytes.length > library.end ? [`it has ${bytes.length - library.end} bytes that no header of it knows of`] : []),
    ...secretsIn(bytes.toString('latin1')).map((kind) => `it has ${kind}`),
    ...tracesIn(bytes, secrets).map((trace) => `it has a path of the machine that built it: ${trace}`),
  ];
}

function machComplaints({ name, minimum, signature }, platform) {
  const wanted = `@rpath/${platform.file}`;
  return [
    ...(name === wanted ? [] : [`its install name is ${name}, not ${wanted}`]),
    ...(minimum !== null && byVersion(minimum, MACOS) <= 0 ? [] : [`it asks for macOS ${minimum}, above ${MACOS}`]),
    ...(signature === 'broken' || (signature === 'none' && platform.cpu === 'arm64')
      ? [`its signature is ${signature === 'none' ? 'missing' : signature}`]
      : []),
  ];
}

/** Paths that say where something was built: the folders of this machine. */
function tracesOfThisMachine() {
  const { CARGO_HOME, RUSTUP_HOME } = process.env;
  return [os.homedir(), root, os.tmpdir(), CARGO_HOME, RUSTUP_HOME]
    .filter((folder) => folder && folder.length > 1)
    .map((folder) => `${folder}${path.sep}`);
}

/**
 * Homes, folders of cargo and rustup, and where the runners of GitHub build: on any machine, with either slash. Microsoft's own
 * C library is built in a folder of the kind too.
 */
const BUILT_IN =
  /(?:[\\/]home[\\/]|[\\/]Users[\\/]|\/root\/|[A-Z]:[\\/](?:a|actions-runner|runner)[\\/](?!_work[\\/]\d+[\\/]s[\\/])|\/__w\/|\.cargo[\\/]registry|\.rustup[\\/]toolchains)[\w./\\-]{0,80}/;

/** What is in a binary of these folders, and of such places anywhere. */
function tracesIn(bytes, secrets) {
  const content = bytes.toString('latin1');
  const anywhere = BUILT_IN.exec(content);
  const here = secrets.filter((secret) => content.includes(secret));
  return [...here, ...(anywhere ? [anywhere[0]] : [])];
}

/** What is wrong with the binaries in a folder, each sentence with its platform. `wanted`: those that have to be there. */
export function complaintsAbout(folder, wanted = []) {
  return platforms.flatMap((platform) => {
    const file = path.join(folder, platform.file);
    if (!existsSync(file)) return wanted.includes(platform) ? [`${platform.name}: there is no ${platform.file}`] : [];
    return complaintsOf(readFileSync(file), platform).map((complaint) => `${platform.name}: ${complaint}`);
  });
}

/** The table of the binaries in a folder, as Markdown. */
export function reportOf(folder) {
  const rows = platforms.map((platform) => {
    const file = path.join(folder, platform.file);
    if (!existsSync(file)) return [platform.name, 'not built here', '', '', '', ''];
    const bytes = readFileSync(file);
    const complaints = complaintsOf(bytes, platform);
    if (complaints.some((line) => line.startsWith('it cannot be read'))) {
      return [platform.name, complaints.join('; '), '', '', '', ''];
    }
    const library = libraryOf(bytes);
    return [
      platform.name,
      complaints.length === 0 ? 'fit' : complaints.join('; '),
      `${library.format} ${library.cpu}`,
      floorOf(library),
      library.needs.map((name) => path.posix.basename(name)).join(', '),
      `${(bytes.length / 1e6).toFixed(2)} MB`,
    ];
  });
  const heads = ['platform', 'state', 'file', 'floor', 'needs', 'size'];
  return `${[heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`;
}

function floorOf({ glibc, minimum, name, signature }) {
  if (glibc) return `glibc ${glibc}`;
  if (minimum) return `macOS ${minimum}, ${name}, signature ${signature}`;
  return '';
}

if (process.argv[1] === import.meta.filename) {
  const folder = path.resolve(process.argv[2] ?? path.join(root, 'release', 'binaries'));
  console.log(reportOf(folder));
  const complaints = complaintsAbout(folder);
  for (const line of complaints) console.error(line);
  process.exitCode = complaints.length === 0 ? 0 : 1;
}

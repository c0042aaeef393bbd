/** How the binary is found, what is not looked at, and what somebody is told who has none that fits. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import test from 'ava';

import { libraryOf, wantedPackage } from '../facade/boundary/host.ts';
import { PLATFORMS } from '../facade/boundary/platforms.ts';
import { generatedFiles, platforms, staleFiles } from '../scripts/platforms.js';
import { BINARY, HOST, patched, project } from './support/project.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

test('THR-1309: the list of platforms is the one source of their names', (t) => {
  t.deepEqual(staleFiles(), []);
  t.deepEqual(
    PLATFORMS.map(({ name, target, os, cpu }) => [name, target, os, cpu]),
    platforms.map((one) => [one.package, one.triple, one.os, one.cpu]),
  );
  t.true([...generatedFiles().keys()].length === platforms.length * 2 + 1);
  t.is(new Set(platforms.map((one) => one.package)).size, platforms.length);
  for (const one of platforms) {
    t.regex(one.package, /^@ferropool\/binding-[a-z0-9-]+$/);
    t.is(one.file, `ferropool.${one.package.replace('@ferropool/binding-', '')}.node`);
  }
});

test('THR-1309: a folder of no platform, a file too many and one that is missing in npm/ are found', (t) => {
  const base = mkdtempSync(path.join(tmpdir(), 'ferropool-npm-'));
  t.teardown(() => rmSync(base, { recursive: true, force: true }));
  for (const [file, text] of [...generatedFiles(), ['npm/THIRD-PARTY-NOTICES.txt', '']] as [string, string][]) {
    mkdirSync(path.dirname(path.join(base, file)), { recursive: true });
    writeFileSync(path.join(base, file), text);
  }
  t.deepEqual(staleFiles(base), []);
  mkdirSync(path.join(base, 'npm', 'plan9-x64'));
  for (const file of ['plan9-x64/package.json', 'darwin-x64/index.js']) {
    writeFileSync(path.join(base, 'npm', file), '');
  }
  rmSync(path.join(base, 'npm', 'darwin-x64', 'README.md'));
  t.deepEqual(
    new Set(staleFiles(base)),
    new Set(['npm/darwin-x64/README.md', 'npm/darwin-x64/index.js', 'npm/plan9-x64/package.json']),
  );
});

test('the loader takes this machine for the platform that it is packed for', (t) => {
  t.is(wantedPackage()?.name, HOST.package);
});

test('THR-1118: the package of the platform is found and loaded, and nothing is said', async (t) => {
  const { installBinary, load } = project(t);
  installBinary();
  t.deepEqual(await load(), { works: true, error: null, stderr: '' });
});

test('a binary that was built where it runs comes first', async (t) => {
  const { installBinary, load } = project(t, { own: true });
  installBinary(Buffer.from('no binary'));
  t.deepEqual(await load(), { works: true, error: null, stderr: '' });
});

test('THR-1118: finding the binary starts no process and makes no report', async (t) => {
  const { installBinary, load } = project(t);
  installBinary();
  const before = `
    import processes from 'node:child_process';
    import { syncBuiltinESMExports } from 'node:module';
    for (const name of ['spawn', 'spawnSync', 'exec', 'execSync', 'execFile', 'execFileSync', 'fork']) {
      processes[name] = () => { throw new Error(name + ' was called'); };
    }
    syncBuiltinESMExports();
    process.report.getReport = () => { throw new Error('a report was made'); };
  `;
  t.deepEqual(await load({ before }), { works: true, error: null, stderr: '' });
});

test('THR-1118: it is found where there is no report and the program cannot be read', async (t) => {
  const { installBinary, load } = project(t);
  installBinary();
  const before = `
    Object.defineProperty(process, 'report', { value: undefined });
    process.execPath = '/there/is/no/such/program';
  `;
  const { works } = await load({ before });
  t.is(works, HOST.libc !== 'musl');
});

test('THR-1118: without the package the error names platform, package and remedy', async (t) => {
  const { works, error } = await project(t).load();
  t.false(works);
  t.is(error?.code, 'ERR_INTERNAL');
  const name = HOST.name.replace('-msvc', '');
  t.true(error?.message.startsWith(`ferropool found no binary for ${name}: the package ${HOST.package} is not`));
  t.regex(error?.message ?? '', /--omit=optional.*--no-optional.*package-lock\.json/);
});

test('THR-1118: where only the package of another platform is installed, the error says so', async (t) => {
  const { write, load } = project(t);
  const other = platforms.find((one) => one.cpu !== HOST.cpu && one.os !== HOST.os) ?? HOST;
  write(`node_modules/${other.package}/package.json`, JSON.stringify({ name: other.package, version }));
  const { error } = await load();
  t.true(
    error?.message.includes(`the package ${HOST.package} is not installed. ${other.package} is: node_modules comes`),
  );
});

test('THR-1118: on a platform without a package the error lists those that have one', async (t) => {
  const { installBinary, load } = project(t);
  installBinary();
  const { error } = await load({ before: "Object.defineProperty(process, 'platform', { value: 'freebsd' })" });
  t.is(error?.code, 'ERR_INTERNAL');
  const names = platforms.map(({ name }) => name).join(', ');
  t.true(
    error?.message.startsWith(
      `ferropool has no binary for freebsd-${process.arch}; there are binaries for ${names}. Build`,
    ),
    error?.message,
  );
});

test('THR-1118: a file that is no binary, or for another processor, is the cause of the error', async (t) => {
  const bytes = readFileSync(BINARY);
  // Where an ELF file says its processor; other systems have it elsewhere, and find this damage by themselves.
  bytes.writeUInt16LE(HOST.cpu === 'x64' ? 0xb7 : 0x3e, 18);
  for (const content of [Buffer.from('no binary'), bytes, Buffer.alloc(0)]) {
    const { installBinary, load } = project(t);
    installBinary(content);
    const { error } = await load();
    t.is(error?.code, 'ERR_INTERNAL');
    t.regex(error?.message ?? '', /^ferropool cannot load its binary for .*damaged: install it again/);
    t.true(error?.message.includes(HOST.file));
    t.truthy(error?.cause);
    t.true(error?.message.endsWith(error.cause ?? '?'));
  }
});

test('THR-1118: with a glibc below the floor the error has both versions', async (t) => {
  const { installBinary, load } = project(t);
  installBinary(Buffer.from('no binary'));
  const before = "process.report.getReport = () => ({ header: { glibcVersionRuntime: '2.9' } })";
  const { error } = await load({ before });
  const said = `it needs glibc ${HOST.glibc} and this is 2.9. Take a newer system`;
  // Only a binary for glibc has a floor.
  t.is(error?.message.includes(said), HOST.libc === 'glibc', error?.message);
});

test('THR-1306: a binary of another version is refused, and the error has both versions', async (t) => {
  const { main, installBinary, load } = project(t);
  installBinary();
  const bundle = path.join(main, 'dist', 'index.cjs');
  const text = readFileSync(bundle, 'utf8');
  const newer = text.replace(`VERSION = "${version}"`, 'VERSION = "99.0.1"');
  t.not(newer, text);
  writeFileSync(bundle, newer);
  const { works, error } = await load();
  t.false(works);
  t.is(error?.code, 'ERR_INTERNAL');
  t.regex(error?.message ?? '', /^ferropool 99\.0\.1 on .* found a binary of version /);
  t.true(error?.message.includes(`version ${version} for ${HOST.triple}`));
});

test('THR-1306: a binary for another target is refused, and the error has both', async (t) => {
  const { installBinary, load } = project(t);
  const other = `${HOST.triple.slice(0, -3)}xyz`;
  installBinary(patched(HOST.triple, other));
  const { works, error } = await load();
  t.false(works);
  t.true(error?.message.includes(`found a binary of version ${version} for ${other}`), error?.message);
  t.true(error?.message.includes(process.arch));
});

test('THR-1306: neither the working directory nor the environment has a say', async (t) => {
  const evil = mkdtempSync(path.join(tmpdir(), 'ferropool-evil-'));
  t.teardown(() => rmSync(evil, { recursive: true }));
  const marker = path.join(evil, 'was-here');
  const { write, folder, installBinary, load } = project(t);
  const script = `require('node:fs').writeFileSync(${JSON.stringify(marker)}, '')`;
  for (const place of [
    '.',
    'native',
    'build/Release',
    `node_modules/${HOST.package}`,
    `.node_modules/${HOST.package}`,
  ]) {
    for (const name of ['ferropool.node', HOST.file, 'index.js', 'index.node']) {
      write(path.join('evil', place, name), name.endsWith('.js') ? script : 'no binary');
    }
  }
  const cwd = path.join(folder, 'evil');
  const env = {
    NAPI_RS_NATIVE_LIBRARY_PATH: path.join(cwd, 'ferropool.node'),
    NODE_OPTIONS: '--conditions=ferropool-faults',
    NODE_PATH: path.join(cwd, 'node_modules'),
    HOME: cwd,
    USERPROFILE: cwd,
  };
  const without = await load({ cwd, env });
  t.regex(without.error?.message ?? '', /^ferropool found no binary for .* is not installed/);
  t.false(existsSync(marker));
  installBinary();
  t.deepEqual(await load({ cwd, env }), { works: true, error: null, stderr: '' });
  t.false(existsSync(marker));
});

test('THR-1306: a package that calls a program its main file has it not run', async (t) => {
  const { folder, write, installBinary, load } = project(t);
  installBinary();
  const marker = path.join(folder, 'was-here');
  write(`node_modules/${HOST.package}/evil.js`, `require('node:fs').writeFileSync(${JSON.stringify(marker)}, '')`);
  write(`node_modules/${HOST.package}/package.json`, JSON.stringify({ name: HOST.package, version, main: 'evil.js' }));
  t.deepEqual(await load(), { works: true, error: null, stderr: '' });
  t.false(existsSync(marker));
});

test('THR-1306: in a bundle the addon of the program is not taken for ours', async (t) => {
  const { folder, main, write, installBinary, load } = project(t);
  installBinary();
  write('theirs.cjs', 'module.exports = { describe: () => { throw new Error("not ours") } };');
  const imports = { '#addon': './theirs.cjs', '#ferropool-addon': './theirs.cjs' };
  write('package.json', JSON.stringify({ private: true, imports }));
  write('dist/index.cjs', readFileSync(path.join(main, 'dist', 'index.cjs')));
  write('dist/load.cjs', readFileSync(path.join(main, 'dist', 'load.cjs')));
  write('dist/index.mjs', readFileSync(path.join(main, 'dist', 'index.js')));
  write(
    'program.mjs',
    readFileSync(path.join(folder, 'program.mjs'), 'utf8').replace("'ferropool'", "'./dist/index.mjs'"),
  );
  t.deepEqual(await load(), { works: true, error: null, stderr: '' });
});

test('THR-1306: what lies in the folder of the package itself is not looked at, unless it was packed with it', async (t) => {
  const { write, load } = project(t);
  write('node_modules/ferropool/native/ferropool.node', readFileSync(BINARY));
  write('node_modules/ferropool/native/ferropool.faults.node', readFileSync(BINARY));
  const { error } = await load({ env: { NODE_OPTIONS: '--conditions=ferropool-faults' } });
  t.regex(error?.message ?? '', /^ferropool found no binary/);
});

/** The beginning of an ELF file of 64 bits that names this loader; null for a program that has none, linked statically. */
function program(loader: string | null): Buffer {
  const bytes = Buffer.alloc(256);
  bytes.write('\u007FELF\u0002\u0001\u0001', 'latin1');
  bytes.writeBigUInt64LE(64n, 32);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(2, 56);
  bytes.writeUInt32LE(1, 64);
  const part = 64 + 56;
  bytes.writeUInt32LE(loader === null ? 2 : 3, part);
  bytes.writeBigUInt64LE(184n, part + 8);
  bytes.writeBigUInt64LE(BigInt((loader?.length ?? 0) + 1), part + 32);
  if (loader !== null) bytes.write(loader, 184);
  return bytes;
}

const programs: [name: string, content: Buffer, library: 'gnu' | 'musl' | 'here'][] = [
  ['glibc', program('/lib64/ld-linux-x86-64.so.2'), 'gnu'],
  ['glibc below another folder', program('/nix/store/musl-not/ld-linux-aarch64.so.1'), 'gnu'],
  ['musl', program('/lib/ld-musl-x86_64.so.1'), 'musl'],
  ['musl on arm64', program('/lib/ld-musl-aarch64.so.1'), 'musl'],
  ['nothing, as it is linked statically', program(null), 'here'],
  ['something that cannot be told, as it is a script', Buffer.from('#!/bin/sh\nexec node "$@"\n'), 'here'],
  ['something that cannot be told, as it is cut', program('/lib/ld-musl-x86_64.so.1').subarray(0, 60), 'here'],
  [
    'something that cannot be told, as it points elsewhere',
    Buffer.alloc(256, '\u007FELF\u0002\u00FF', 'latin1'),
    'here',
  ],
];
for (const [name, content, library] of programs) {
  test(`THR-1118: a program that is linked to ${name} is told from its own bytes`, (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'ferropool-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const file = path.join(folder, 'program');
    writeFileSync(file, content);
    // What cannot be told from the file is asked of Node's report.
    const here = HOST.libc === 'glibc' ? 'gnu' : 'musl';
    t.is(libraryOf(file), library === 'here' ? here : library);
  });
}

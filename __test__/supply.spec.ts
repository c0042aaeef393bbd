/**
 * The supply chain: what is packed, from the bytes of real tarballs; what binaries say of themselves.
 * Each rule is shown to find a sample that breaks it.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { deflateSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { libraryOf } from '../scripts/formats.js';
import { choose, complaints, lockedPackages, packageComplaints } from '../scripts/licences.js';
import { notices, noticesFile } from '../scripts/notices.js';
import { packAll } from '../scripts/pack.js';
import { hostPlatform, platforms } from '../scripts/platforms.js';
import { versionComplaints, versionsNamed } from '../scripts/release.js';
import { root } from '../scripts/run.js';
import { auditComplaints, sbomOf } from '../scripts/sbom.js';
import { auditData, auditedCrates } from '../scripts/supply-audit.js';
import { crateFacts, cratesOf, linkedCrates } from '../scripts/supply-crates.js';
import { manifestIn, tarballComplaints } from '../scripts/supply-tarball.js';
import { entriesOf } from '../scripts/tar.js';
import { elf, machO, pe, type Parts } from './support/libraries.ts';
import { tarball, type Entry } from './support/tarballs.ts';

const read = (...parts: string[]): string => readFileSync(path.join(root, ...parts), 'utf8');
const { version } = JSON.parse(read('package.json')) as { version: string };
const tracked = (pattern: string): string[] =>
  execFileSync('git', ['ls-files', pattern], { cwd: root, encoding: 'utf8' }).trim().split('\n');

/** A tarball with something changed. */
function changed(tgz: Buffer, change: (entries: Entry[], manifest: Record<string, unknown>) => void): Buffer {
  const entries = entriesOf(tgz).map(({ name, mode, bytes }) => ({
    name: name.replace('package/', ''),
    mode,
    text: name.endsWith('.node') ? bytes : bytes.toString('utf8'),
  }));
  const manifest = manifestIn(tgz) as Record<string, unknown>;
  change(entries, manifest);
  const at = entries.find(({ name }) => name === 'package.json');
  if (at) at.text = `${JSON.stringify(manifest, null, 2)}\n`;
  return tarball(entries);
}

let release = '';
let tarballs: Map<string, Buffer>;

test.before('pack the packages of this machine', () => {
  release = mkdtempSync(path.join(os.tmpdir(), 'ferropool-supply-'));
  const records = packAll({ host: true, release }) as { filename: string; name: string }[];
  tarballs = new Map(
    records.map(({ filename, name }) => [name, readFileSync(path.join(release, 'tarballs', filename))]),
  );
});
test.after.always('clean up', () => {
  rmSync(release, { recursive: true, force: true });
});

const main = (t: ExecutionContext): Buffer => {
  const tgz = tarballs.get('ferropool');
  if (!tgz) throw new Error(t.title);
  return tgz;
};

test('THR-1304, THR-1309: the packages of this machine are whole', (t) => {
  const host = hostPlatform();
  t.truthy(host, 'this machine has a platform package');
  t.deepEqual([...tarballs.keys()], ['ferropool', host?.package]);
  // The binary is one for those who work on it.
  const binary = () => [];
  for (const tgz of tarballs.values())
    t.deepEqual(tarballComplaints(tgz, { version, traces: [`${root}/`], binary }), []);
  for (const tgz of tarballs.values()) {
    const manifest = manifestIn(tgz) as Record<string, unknown>;
    t.false('scripts' in manifest);
    t.false('dependencies' in manifest);
  }
});

const broken: [title: string, change: (entries: Entry[], manifest: Record<string, unknown>) => void, says: RegExp][] = [
  ['THR-1304: a script', (_, its) => (its['scripts'] = { postinstall: 'x' }), /its manifest has "scripts"/],
  ['THR-1304: a dependency', (_, its) => (its['dependencies'] = { x: '1' }), /its manifest has "dependencies"/],
  [
    'THR-1304: a dependency that is not listed by name',
    (_, its) => (its['bundleDependencies'] = true),
    /has "bundleDep/,
  ],
  [
    'THR-1304: binding.gyp, for which npm starts a compiler',
    (files) => files.push({ name: 'binding.gyp', text: '{}' }),
    /binding\.gyp is packed, and on no list/,
  ],
  [
    'THR-1304: an optional dependency that is not ours',
    (_, its) => (its['optionalDependencies'] = { ...(its['optionalDependencies'] as object), evil: '1.0.0' }),
    /has not the "optionalDependencies" that/,
  ],
  [
    'THR-1306: a platform package of another version',
    (_, its) => {
      const ours = Object.keys(its['optionalDependencies'] as object);
      its['optionalDependencies'] = Object.fromEntries(ours.map((name) => [name, `^${version}`]));
    },
    /has not the "optionalDependencies" that/,
  ],
  ['THR-1306: another version', (_, its) => (its['version'] = '9.9.9'), /has not the "version" that/],
  ['THR-1309: a name beside ours', (_, its) => (its['name'] = 'ferro-pool'), /is a name of no package of ours/],
  [
    'THR-1309: another file to begin with',
    (_, its) => (its['exports'] = { '.': './docs/evil.js' }),
    /has not the "exports" that/,
  ],
  ['THR-1309: another main file', (_, its) => (its['main'] = './evil.cjs'), /has not the "main" that/],
  ['THR-1309: other types', (_, its) => (its['types'] = './evil.d.ts'), /has not the "types" that/],
  ['THR-1309: another program', (_, its) => (its['bin'] = { npm: './dist/cli.js' }), /has not the "bin" that/],
  ['THR-1309: another repository', (_, its) => (its['repository'] = 'x/y'), /has not the "repository" that/],
  ['THR-1309: no list of files', (_, its) => delete its['files'], /has not the "files" that/],
  ['THR-1309: no program', (files) => drop(files, 'dist/cli.js'), /dist\/cli\.js is not packed/],
  ['THR-1309: no types', (files) => drop(files, 'index.d.cts'), /index\.d\.cts is not packed/],
  ['THR-1309: a page that is none of ours', (files) => files.push({ name: 'docs/evil.md', text: 'x' }), /on no list/],
  [
    'THR-1309: a file in other capitals',
    (files) => files.push({ name: 'Index.d.ts', text: 'x' }),
    /Index\.d\.ts is packed twice/,
  ],
  [
    'THR-1309: a source that is hidden in a map',
    (files) => append(files, 'dist/index.cjs', '\n//# sourceMappingURL=data:application/json;base64,e30='),
    /dist\/index\.cjs has a source map/,
  ],
  [
    'THR-1309: a text that turns its direction',
    (files) => append(files, 'dist/index.cjs', "\nconst a = '\u{202E}';"),
    /dist\/index\.cjs has characters that nobody sees/,
  ],
  [
    'THR-1309: a name with a mark of no width',
    (files) => append(files, 'index.d.cts', '\nconst a\u{200B} = 1;'),
    /index\.d\.cts has characters that nobody sees/,
  ],
  ['THR-1309: a file', (files) => files.push({ name: '.env', text: 'A=1' }), /\.env is packed, and on no list/],
  ['THR-1309: no licence', (files) => drop(files, 'LICENSE'), /LICENSE is not/],
  ['THR-1309: a link', (files) => files.push({ name: 'x', text: '', type: '2' }), /package\/x is no plain file/],
  [
    'THR-1309: a way out',
    (files) => files.push({ name: '../../x', text: 'x' }),
    /package\/\.\.\/\.\.\/x is no plain file/,
  ],
  ['THR-1309: a program', (files) => (files[0] = { ...first(files), mode: 0o755 }), /has the mode 755/],
  [
    'THR-1309: a token',
    (files) => (files[0] = { ...first(files), text: `npm_${'a'.repeat(36)}` }),
    /has a token of npm/,
  ],
  [
    'THR-1309: a private key',
    (files) => (files[0] = { ...first(files), text: `-----BEGIN PRIVATE KEY-----\n${'A'.repeat(64)}\n` }),
    /has a private key/,
  ],
  [
    'THR-1309: a path of the machine',
    (files) => (files[0] = { ...first(files), text: '/home/builder/x' }),
    /has \/home/,
  ],
];
for (const [title, change, says] of broken) {
  test(`${title}: found in a tarball`, (t) => {
    const tgz = changed(main(t), change);
    t.regex(tarballComplaints(tgz, { version, traces: ['/home/builder/'] }).join('\n'), says);
  });
}

function first(files: Entry[]): Entry {
  const [entry] = files;
  if (!entry) throw new Error('no entry');
  return entry;
}

function drop(files: Entry[], name: string): void {
  files.splice(0, files.length, ...files.filter((one) => one.name !== name));
}

function append(files: Entry[], name: string, text: string): void {
  const at = files.find((one) => one.name === name);
  if (!at) throw new Error(`there is no ${name}`);
  at.text = `${at.text.toString()}${text}`;
}

test('THR-1309: a manifest that has a key twice is found', (t) => {
  const twice = changed(main(t), () => {});
  const entries = entriesOf(twice).map(({ name, mode, bytes }) => ({
    name: name.replace('package/', ''),
    mode,
    text: bytes.toString('utf8').replace(/^\{\n {2}"name"/, '{\n  "name": "other",\n  "name"'),
  }));
  t.deepEqual(tarballComplaints(tarball(entries), { version }), [
    'ferropool: its manifest is not written as the repository writes it',
  ]);
});

test('THR-1309: a tarball that cannot be read is named', (t) => {
  t.regex(tarballComplaints(Buffer.from('text'), { version }).join(), /^a tarball cannot be read: /);
  t.regex(tarballComplaints(tarball([{ name: 'x', text: 'x' }]), { version }).join(), /without package\.json/);
});

test('THR-1309: a platform package without its notices, or for another processor, is named', (t) => {
  const bad = changed(hostTarball(), (entries, manifest) => {
    drop(entries, 'THIRD-PARTY-NOTICES.txt');
    manifest['cpu'] = ['any'];
  });
  const name = hostPlatform()?.package ?? '';
  t.deepEqual(tarballComplaints(bad, { version, binary: () => [] }), [
    `${name}: its manifest has not the "cpu" that the repository gives it`,
    `${name}: THIRD-PARTY-NOTICES.txt is not packed`,
  ]);
});

test('THR-1306, THR-1309: the binary in the package of a platform is looked into', (t) => {
  const host = hostPlatform();
  if (!host) throw new Error('no platform package');
  const judged = (content: Buffer): string[] =>
    tarballComplaints(
      changed(hostTarball(), (entries) => {
        const at = entries.find(({ name }) => name === host.file);
        if (at) at.text = content;
      }),
      { version },
    );
  const own = `${host.package}: package/${host.file}: `;
  t.regex(judged(Buffer.from('text'.repeat(99))).join('\n'), /: it cannot be read: /);
  const other = platforms.find(({ os: system }) => system !== host.os);
  const elsewhere = (other?.os === 'darwin' ? machO : pe)({ ...parts, cpu: 'x64' });
  t.regex(judged(elsewhere).join('\n'), /: it is (Mach-O|PE) for x64, not /);
  t.true(judged(elsewhere).every((line) => line.startsWith(own)));
});

function hostTarball(): Buffer {
  const tgz = tarballs.get(hostPlatform()?.package ?? '');
  if (!tgz) throw new Error('no platform package');
  return tgz;
}

test('THR-1309: the names of the packages stand in one list, all in our scope', (t) => {
  t.is(platforms.length, 8);
  for (const { package: name } of platforms) t.regex(name, /^@ferropool\/binding-[a-z0-9-]+$/);
  const optional = (manifestIn(main(t)) as { optionalDependencies: Record<string, string> }).optionalDependencies;
  t.deepEqual(
    Object.keys(optional),
    platforms.map((one) => one.package),
  );
});

test('THR-1306: every place that names the version names the same, and one that does not is found', (t) => {
  t.deepEqual(versionComplaints(version), []);
  t.true(versionsNamed().length >= 8 + platforms.length);
  t.deepEqual(
    versionComplaints('1.0.0', [
      ['a', '1.0.0'],
      ['b', '0.9.0'],
      ['c', undefined],
    ] as [string, string][]),
    ['b has 0.9.0, not 1.0.0', 'c has no version, not 1.0.0'],
  );
});

test('THR-1308: everything that builds for others takes the versions that are locked', (t) => {
  const files = ['scripts/build-all.js', 'scripts/build.js', '.github/workflows/release.yml', 'scripts/supply.js'];
  for (const file of files) {
    t.regex(read(file), /--locked/, file);
    t.notRegex(read(file), /cargo (build|install|zigbuild)(?!.*--locked)/, file);
  }
});

/** What cargo-auditable puts into a binary, in a file of each format. */
const audit = { packages: [{ name: 'a', version: '1.0.0', source: 'registry', root: true }] };
const parts: Parts = {
  cpu: 'x64',
  needs: ['a'],
  exports: ['b'],
  text: 'c',
  versions: [],
  name: 'd',
  minimum: [11, 0],
  signature: 'sound',
};
const section = { name: '.dep-v0', content: deflateSync(JSON.stringify(audit)) };

for (const [format, made] of Object.entries({ ELF: elf, 'Mach-O': machO, PE: pe })) {
  test(`THR-1308: the list of crates in a binary is read back, and missed where there is none: ${format}`, (t) => {
    t.deepEqual(auditData(made({ ...parts, section })), audit);
    t.is(auditData(made({ ...parts, section: { ...section, name: '.dep' } })), null);
    t.is(auditData(made(parts)), null);
    t.is(libraryOf(made({ ...parts, section })).format, format);
  });
}

test('THR-1308: a binary that names other crates than it is made from, or none, is found', (t) => {
  const [platform] = platforms;
  if (!platform) throw new Error('no platform');
  const crate = (name: string) => ({ name, version: '1.0.0', key: `${name}@1.0.0`, dependsOn: [] });
  const locked = new Set(['a@1.0.0', 'b@1.0.0']);
  t.deepEqual(auditComplaints(platform, elf({ ...parts, section }), [crate('a')], locked), []);
  t.deepEqual(auditComplaints(platform, elf({ ...parts, section }), [crate('a'), crate('b')], locked), [
    `${platform.file} does not name b@1.0.0`,
  ]);
  t.deepEqual(auditComplaints(platform, elf({ ...parts, section }), [crate('a')], new Set(['b@1.0.0'])), [
    `${platform.file} names a@1.0.0, which is not locked`,
  ]);
  t.deepEqual(auditComplaints(platform, Buffer.alloc(100), [crate('a')], locked, { required: true }), [
    `${platform.file} does not say what it is built from`,
  ]);
  t.deepEqual(auditedCrates({ packages: [{ name: 'a', version: '1.0.0', kind: 'build' }] }), []);
});

test('THR-1308: a bill of materials has all that is linked, with hashes and licences, and is the same each time', (t) => {
  const platform = hostPlatform();
  if (!platform) throw new Error('no platform');
  const crates = linkedCrates(platform.triple);
  const bytes = Buffer.from('a binary');
  const facts = crateFacts();
  const sbom = sbomOf(platform, bytes, crates, facts);
  t.deepEqual(sbomOf(platform, bytes, crates, facts), sbom);
  t.not(sbomOf(platform, Buffer.from('another'), crates, facts).serialNumber, sbom.serialNumber);
  const names = new Set(sbom.components.map(({ name }: { name: string }) => name));
  for (const name of ['hyper', 'h2', 'rustls', 'tokio', 'aws-lc', 'zstd', 'mimalloc']) t.true(names.has(name), name);
  for (const name of ['syn', 'proptest', 'napi-build']) t.false(names.has(name), name);
  const refs = new Set([sbom.metadata.component, ...sbom.components].map((one) => one['bom-ref']));
  for (const { ref, dependsOn } of sbom.dependencies) {
    for (const one of [ref, ...dependsOn]) t.true(refs.has(one), one);
  }
  for (const one of sbom.components) {
    t.true(one.licenses.length === 1, one.name);
    const fromRegistry = one.purl?.startsWith('pkg:cargo/') ?? false;
    if (fromRegistry) t.regex(one.hashes[0].content, /^[0-9a-f]{64}$/, one.name);
  }
});

test('THR-1308: crates are read from what cargo prints, each once, with what it needs', (t) => {
  const said = '0\ta v1.0.0 (/x)\n1\tc v3.0.0\n2\tb v2.0.0\n1\tb v2.0.0\n1\tc v3.0.0 (*)\n';
  t.deepEqual(cratesOf(said), [
    { name: 'a', version: '1.0.0', key: 'a@1.0.0', dependsOn: ['b@2.0.0', 'c@3.0.0'] },
    { name: 'b', version: '2.0.0', key: 'b@2.0.0', dependsOn: [] },
    { name: 'c', version: '3.0.0', key: 'c@3.0.0', dependsOn: ['b@2.0.0'] },
  ]);
});

test('THR-1301: the notices in the packages are what the crates say today', (t) => {
  t.is(readFileSync(noticesFile, 'utf8'), notices(), 'stale; run `node scripts/notices.js`');
  const text = notices();
  for (const name of ['hyper', 'aws-lc', 'zstd', 'mimalloc', 'schannel', 'security-framework']) {
    t.regex(text, new RegExp(`^  ${name} \\d`, 'm'), name);
  }
  t.notRegex(text, /GNU GENERAL PUBLIC/);
});

test('THR-1301: cargo-deny has the licences, bans and advisories that we have', (t) => {
  const deny = read('deny.toml');
  const allowed =
    /^allow = \[([^\]]*)\]/m
      .exec(deny)?.[1]
      ?.match(/"[^"]+"/g)
      ?.map((one) => one.slice(1, -1)) ?? [];
  t.true(allowed.length > 5);
  for (const licence of allowed) t.deepEqual(choose(licence), [licence]);
  for (const word of ['0BSD', 'GPL-3.0', 'OpenSSL', 'MPL-2.0']) {
    t.is(choose(word), null);
    t.false(allowed.includes(word));
  }
  const source = 'registry+x';
  for (const [, name = ''] of deny.matchAll(/\{ crate = "([\w-]+)", reason = "one TLS/g)) {
    t.deepEqual(complaints([{ name, version: '1.0.0', source, license: 'MIT' }]), [`${name} 1.0.0 is banned`]);
  }
  t.regex(deny, /^yanked = "deny"$/m);
  t.regex(deny, /^unknown-git = "deny"$/m);
  t.regex(deny, /^unknown-registry = "deny"$/m);
});

test('THR-1301, THR-1303: every lock file of crates keeps to the floors and the one registry', (t) => {
  const files = tracked('*Cargo.lock');
  t.true(files.length >= 3);
  for (const file of files) t.deepEqual(complaints(lockedPackages(read(file))), [], file);
});

test('THR-1304: development packages have licences and hashes, and no script of theirs is needed', (t) => {
  const installing = ['scripts/setup.js', 'bench/prepare.js'];
  for (const file of installing) t.regex(read(file), /['"]--ignore-scripts['"]/, file);
  const files = tracked('*package-lock.json');
  t.true(files.length >= 2);
  for (const file of files) t.deepEqual(packageComplaints(JSON.parse(read(file))), [], file);
  t.deepEqual(
    packageComplaints({
      packages: {
        '': { name: 'ours' },
        'node_modules/a': { version: '1.0.0', license: 'MIT', integrity: 'sha512-x', hasInstallScript: true },
        'node_modules/b': { version: '1.0.0', license: 'GPL-3.0', integrity: 'sha512-x' },
        'node_modules/c/node_modules/d': { version: '1.0.0', integrity: 'sha1-x' },
      },
    }),
    [
      'a 1.0.0 brings a script for its installation',
      'b 1.0.0 has the licence GPL-3.0',
      'd 1.0.0 names no licence',
      'd 1.0.0 has no SHA-512 in the lock file',
    ],
  );
});

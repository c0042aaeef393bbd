/** The reader of tarballs sees all that npm would install, or refuses the file. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { entriesOf } from '../scripts/tar.js';
import { block, END, packed, tarball } from './support/tarballs.ts';

const first = { name: 'package.json', text: '{ "name": "a", "version": "1.0.0" }' };
const second = { name: 'package.json', text: '{ "scripts": { "postinstall": "false" } }' };
const archive = (...parts: Buffer[]): Buffer => packed(Buffer.concat(parts));

test('THR-1309: what npm packs is read as it is', (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'ferropool-tar-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeFileSync(path.join(folder, 'package.json'), first.text);
  const deep = path.join(...Array.from({ length: 3 }, () => 'd'.repeat(40)));
  const nested = path.join(folder, deep);
  mkdirSync(nested, { recursive: true });
  writeFileSync(path.join(nested, 'index.js'), 'x'.repeat(513));
  const windows = process.platform === 'win32';
  const done = spawnSync(windows ? 'npm.cmd' : 'npm', ['pack', '--ignore-scripts'], { cwd: folder, shell: windows });
  t.is(done.status, 0);
  const entries = entriesOf(readFileSync(path.join(folder, 'a-1.0.0.tgz')));
  t.deepEqual(
    entries.map(({ name, mode, type, bytes }) => [name, mode, type, bytes.length]),
    [
      [`package/${deep.replaceAll(path.sep, '/')}/index.js`, 0o644, '0', 513],
      ['package/package.json', 0o644, '0', first.text.length],
    ],
  );
});

test('THR-1309: what is made by hand as npm does it is read as it is', (t) => {
  t.deepEqual(
    entriesOf(tarball([first, { name: 'x', text: '', mode: 0o755, type: '2' }])).map(({ name, mode, type, bytes }) => [
      name,
      mode,
      type,
      bytes.toString(),
    ]),
    [
      ['package/package.json', 0o644, '0', first.text],
      ['package/x', 0o755, '2', ''],
    ],
  );
});

const written = (at: number, text: string) => (head: Buffer) => void head.write(text, at, 'latin1');
const broken: [title: string, tgz: Buffer, says: RegExp][] = [
  [
    'a second manifest behind a block of zeros',
    archive(block(first), Buffer.alloc(512), block(second), END),
    /behind the end of the archive/,
  ],
  ['a second manifest behind the end', archive(block(first), END, block(second), END), /behind the end of the archive/],
  ['no end', archive(block(first), Buffer.alloc(512)), /has no end/],
  ['half a block', archive(block(first), END, Buffer.alloc(7)), /has no end/],
  ['another member of gzip', Buffer.concat([tarball([first]), tarball([second])]), /behind the packed archive/],
  ['bytes behind the member', Buffer.concat([tarball([first]), Buffer.from('x')]), /behind the packed archive/],
  ['no last byte', tarball([first]).subarray(0, -1), /ends early/],
  [
    'another sum of the archive',
    Buffer.concat([tarball([first]).subarray(0, -8), Buffer.alloc(4), tarball([first]).subarray(-4)]),
    /damaged/,
  ],
  ['a name of gzip', Buffer.from('1f8b0808000000000003', 'hex'), /not packed as npm packs/],
  ['no gzip', Buffer.from('package/package.json'), /not packed as npm packs/],
  ['a header with another sum', archive(Buffer.concat([block(first)]).fill('5', 105, 106), END), /wrong sum/],
  [
    'a size that is no number',
    archive(block(first, written(124, '-0000000001 ')), END),
    /package\.json has a number that is none/,
  ],
  ['a size of nothing', archive(block(first, written(124, '            ')), END), /has a number that is none/],
  ['a size in 256s', archive(block(first, written(124, '\u{80}\0\0\0\0\0\0\0\0\0\0#')), END), /a number that is none/],
  ['a size beyond the end', archive(block(first, written(124, '00000007777 ')), END), /ends behind the archive/],
  ['a header of an old tar', archive(block(first, written(257, '\0\0\0\0\0\0\0\0')), END), /has no header of ustar/],
  ['a header of GNU', archive(block(first, written(257, 'ustar  \0')), END), /has no header of ustar/],
  ['a name behind a name', archive(block(first, written(40, 'x')), END), /behind the end of a name/],
  ['times where a prefix could go on', archive(block(first, written(480, '1')), END), /where nothing should be/],
  [
    'bytes between a file and the next',
    archive(Buffer.concat([block(first)]).fill('x', 1000, 1001), END),
    /behind its end/,
  ],
];
for (const [title, tgz, says] of broken) {
  test(`THR-1309: a tarball with ${title} is refused`, (t) => {
    t.throws(() => entriesOf(tgz), { message: says });
  });
}

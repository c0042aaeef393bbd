/**
 * `node scripts/notices.js` writes `npm/THIRD-PARTY-NOTICES.txt`: whose code stands in the binaries, and under which
 * licence. Most of these licences ask that their text and the names of the holders go with every copy. A spec compares, and so
 * does every release.
 *
 * One file for all platforms: they differ in a handful of crates, and those name their platforms.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { choose } from './licences.js';
import { platforms } from './platforms.js';
import { root } from './run.js';
import { compare, crateFacts, embeddedLibraries, linkedCrates } from './supply-crates.js';

/** Where the notices stand; each platform package has a copy of it. */
export const noticesFile = path.join(root, 'npm', 'THIRD-PARTY-NOTICES.txt');

/** Folders that crates bring along and the binary has nothing of. */
const NOT_LINKED = /(^|\/)(tests?|benches|examples|doc|docs|mimalloc\/v3)\//;

/** How the texts that may be chosen are told apart. A file that holds none of them is kept: who knows what it asks. */
const MARKS = {
  'Apache-2.0': /Apache License\s+Version 2\.0/,
  MIT: /to deal\s+in the Software without restriction/,
  ISC: /Permission to use, copy, modify, and(\/or)? distribute this software for any/,
  Unlicense: /This is free and unencumbered software/,
  'GPL-2.0': /GNU GENERAL PUBLIC LICENSE/,
  'CC0-1.0': /CC0 1\.0 Universal/,
};

/** For crates that have no file: their licence in its usual words. */
const STANDARD = {
  MIT: `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`,
};

/** A crate without a file whose sister, from the same repository, has one. */
const SISTERS = { 'alloc-stdlib': 'alloc-no-stdlib' };

const RULE = '='.repeat(100);

/** The whole text. */
export function notices() {
  const facts = crateFacts();
  const { crates, within } = union();
  const foreign = crates.filter((one) => !facts.get(one.key).ours);
  const texts = new Map([[standardLibrary(), ['the Rust standard library']]]);
  for (const one of foreign) {
    for (const text of new Set(textsOf(one, facts, crates))) texts.set(text, [...(texts.get(text) ?? []), one.key]);
  }
  const lines = foreign.map((one) => line(one, facts.get(one.key), within.get(one.key)));
  const c = embeddedLibraries(foreign, facts).map((one) => `  ${one.name} ${one.version}, in ${one.within}`);
  return [
    'The binaries of ferropool hold code of these projects, each under the licence that is named with it. The texts follow.',
    'Where a project offers several licences, the one that is named is the one that was taken.',
    '',
    ...lines,
    '',
    'Some bring libraries written in C:',
    '',
    ...c,
    '',
    'And the Rust standard library, MIT, https://github.com/rust-lang/rust',
    '',
    ...[...texts].flatMap(([text, keys]) => [RULE, wrapped(keys), RULE, '', text, '']),
  ].join('\n');
}

/** The crates of every platform, and in which they are; the addon's own among them. */
function union() {
  const crates = new Map();
  const within = new Map();
  for (const { name, triple } of platforms) {
    for (const one of linkedCrates(triple)) {
      crates.set(one.key, one);
      within.set(one.key, [...(within.get(one.key) ?? []), name]);
    }
  }
  const sorted = [...crates.values()].toSorted((a, b) => compare(a.name, b.name) || compare(a.version, b.version));
  return { crates: sorted, within };
}

function line({ name, version }, { license, repository }, where) {
  const only = where.length === platforms.length ? '' : ` (${where.join(', ')})`;
  return `  ${name} ${version}, ${chosen(name, license).join(' and ')}${repository ? `, ${repository}` : ''}${only}`;
}

function chosen(name, license) {
  const names = license === null ? null : choose(license);
  if (names === null) throw new Error(`${name}: no licence of "${license}" is on the list`);
  return names;
}

/** What must be said for a crate: its licence files, those of licences that were not taken left out. */
function textsOf({ name, version, key }, facts, crates) {
  const { folder, license, authors } = facts.get(key);
  const taken = new Set(chosen(name, license));
  const texts = filesOf(folder)
    .map((file) => readFileSync(path.join(folder, file), 'utf8'))
    .filter((text) => {
      const holds = Object.keys(MARKS).filter((one) => MARKS[one].test(text));
      return holds.length === 0 || holds.some((one) => taken.has(one));
    })
    .map(tidy);
  if (texts.length > 0) return texts;
  const sister = crates.find((one) => one.name === SISTERS[name]);
  if (sister) return textsOf(sister, facts, crates);
  const only = [...taken].join(' and ');
  if (!(only in STANDARD) || authors.length === 0) throw new Error(`${name} ${version} has no licence file (${only})`);
  return [`Copyright (c) ${authors.join(', ')}\n\n${STANDARD[only]}`];
}

/** The files of a crate that speak of licences, wherever they are in it. */
function filesOf(folder, below = '') {
  return readdirSync(path.join(folder, below), { withFileTypes: true })
    .toSorted((a, b) => compare(a.name, b.name))
    .flatMap((entry) => {
      const file = `${below}${entry.name}`;
      if (entry.isDirectory()) return NOT_LINKED.test(`${file}/`) ? [] : filesOf(folder, `${file}/`);
      return /^(licen[cs]e|copying|copyright|notice|unlicense)/i.test(entry.name) && !/\.(rs|c|h|py)$/.test(entry.name)
        ? [file]
        : [];
    });
}

/** The same words are the same text, whatever the ends of their lines. */
function tidy(text) {
  return text
    .replaceAll('\r', '')
    .split('\n')
    .map((one) => one.trimEnd())
    .join('\n')
    .replaceAll(/\n{3,}/g, '\n\n')
    .replaceAll(/^\n+|\n+$/g, '');
}

function standardLibrary() {
  return `Copyright (c) The Rust Project Contributors\n\n${STANDARD.MIT}`;
}

/** Names, in lines of a readable length. */
function wrapped(names) {
  return names
    .join(', ')
    .replaceAll(/(.{1,99})(?: |$)/g, '$1\n')
    .trimEnd();
}

if (process.argv[1] === import.meta.filename) {
  const text = notices();
  writeFileSync(noticesFile, text);
  console.log(`${path.relative(root, noticesFile)}: ${text.length} characters`);
}

/**
 * Writes facade/boundary/generated.ts from what the addon says about itself: layouts, codes and phases have one source,
 * and it is Rust. `npm run check` compares.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { root } from './run.js';

export const generatedFile = path.join(root, 'facade', 'boundary', 'generated.ts');

/** What differs from machine to machine, and so stays out of a committed file. */
const OF_THE_MACHINE = new Set(['target']);

/** The text generated.ts has to have for this answer of `describe()`, a JSON text. */
export function generatedFrom(answer) {
  const blocks = Object.entries(JSON.parse(answer))
    .filter(([name]) => !OF_THE_MACHINE.has(name))
    .map(([name, value]) => block(name, value));
  const heading = `/**
 * What the binary and the facade share: where the parts of a record lie, the codes, the phases. Generated from the addon's
 * describe() by \`npm run generate\`; change crate/binding/layout.rs instead.
 */
`;
  return [heading, ...blocks].join('\n');
}

/** Whether the committed file is what the built addon says. */
export function generatedIsFresh() {
  return existsSync(generatedFile) && readFileSync(generatedFile, 'utf8') === generatedFrom(answerOfTheAddon());
}

/** A table of numbers becomes a constant a number (`RECORD_LENGTH`), which costs nothing to read; a list stays one. */
function block(name, value) {
  const constant = screaming(name);
  if (Array.isArray(value)) {
    const items = value.map((item) => `  ${literal(item)},\n`).join('');
    return `export const ${constant} = [\n${items}] as const;\n`;
  }
  if (typeof value !== 'object') return `export const ${constant} = ${literal(value)};\n`;
  return Object.entries(value)
    .map(([member, number]) => `export const ${constant}_${screaming(member)} = ${literal(number)};\n`)
    .join('');
}

function literal(value) {
  if (typeof value === 'string') return `'${value.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{ ${Object.entries(value)
    .map(([name, member]) => `${name}: ${literal(member)}`)
    .join(', ')} }`;
}

function screaming(name) {
  return name === name.toUpperCase() ? name : name.replaceAll(/[A-Z]/g, '_$&').toUpperCase();
}

function answerOfTheAddon() {
  return createRequire(import.meta.url)('#ferropool-addon').describe();
}

if (process.argv[1] === import.meta.filename) writeFileSync(generatedFile, generatedFrom(answerOfTheAddon()));

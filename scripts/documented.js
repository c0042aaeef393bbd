/**
 * Whether the public types can be read by themselves: `node scripts/documented.js [FILE]`. Every export of index.ts is declared,
 * nothing else is; each has a doc comment, and so has every member; what a comment links to is there.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { groupsOf } from './arrange.js';
import { aliasesIn, declarationsIn } from './public-types.js';
import { root } from './run.js';

/** One complaint a sentence, each with its line. */
export function undocumented(text, groups = groupsOf()) {
  const declarations = declarationsIn(text);
  const aliases = aliasesIn(text);
  const exported = new Set(groups.flatMap(({ names }) => names));
  const complaints = [];
  const known = new Set(aliases.map(({ name }) => name));
  for (const one of declarations) {
    known.add(one.name);
    for (const member of one.members) known.add(`${one.name}.${member.name}`);
  }
  for (const one of declarations) {
    if (!exported.has(one.name)) complaints.push(`${one.line}: ${one.name} is no export of index.ts: a name leaks`);
    for (const part of [one, ...one.members]) {
      const called = part === one ? one.name : `${one.name}.${part.name}`;
      if (part.doc === null || part.doc.text === '') complaints.push(`${part.line}: ${called} has no doc comment`);
      for (const target of part.doc === null ? [] : linksOf(part.doc)) {
        if (!isKnown(target, declarations, known))
          complaints.push(`${part.line}: ${called} links to ${target}, which is nowhere`);
      }
    }
  }
  for (const name of exported)
    if (!known.has(name)) complaints.push(`1: ${name} is exported by index.ts and not declared`);
  return complaints;
}

/** A member may be one of what its class or interface extends. */
function isKnown(target, declarations, known) {
  if (known.has(target)) return true;
  const [owner, member] = target.split('.');
  const found = declarations.find(({ name }) => name === owner);
  if (found === undefined || member === undefined) return false;
  const parents = declarations.filter(({ name }) =>
    [...found.heritage, found.kind === 'type' ? found.text : ''].some((text) => new RegExp(`\\b${name}\\b`).test(text)),
  );
  return parents.some(({ name }) => name !== owner && isKnown(`${name}.${member}`, declarations, known));
}

/** What `{@link …}` names in a doc comment. */
function linksOf({ text, params, throws, returns }) {
  const all = [text, ...params.map((one) => one.text), ...throws, returns].join('\n');
  return [...all.matchAll(/\{@link\s+([\w.[\]]+)[^}]*\}/g)].map(([, target]) => target);
}

if (process.argv[1] === import.meta.filename) {
  const file = process.argv[2] ?? path.join(root, 'index.d.ts');
  const complaints = undocumented(readFileSync(file, 'utf8'));
  for (const line of complaints) console.log(`${path.basename(file)}:${line}`);
  console.log(`${complaints.length} complaints`);
  process.exitCode = complaints.length === 0 ? 0 : 1;
}

/**
 * The order of the public types. A bundler writes them as they depend on one another; a reader wants them as index.ts groups
 * them: pools first, and each type with those that it belongs to.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { typescript as ts } from './public-types.js';
import { root } from './run.js';

/**
 * The groups of index.ts: a comment before an export begins one, with its name, a colon, and what it has.
 *
 * @returns {{ title: string, about: string, names: string[], types: string[] }[]} `types` are those of the names that have no value
 */
export function groupsOf(text = readFileSync(path.join(root, 'index.ts'), 'utf8')) {
  const source = ts.createSourceFile('index.ts', text, ts.ScriptTarget.Latest, true);
  const groups = [];
  for (const statement of source.statements) {
    const comments = ts.getLeadingCommentRanges(text, statement.getFullStart()) ?? [];
    const last = comments.at(-1);
    const said = last === undefined ? '' : text.slice(last.pos, last.end);
    const heading = /^\/\/ ([^:]+): (.*)$/.exec(said);
    if (heading !== null) groups.push({ title: heading[1], about: heading[2], names: [], types: [] });
    if (groups.length === 0) throw new Error('index.ts begins with a group: a comment "// Name: what it has."');
    const names = statement.exportClause.elements.map((element) => element.name.text);
    groups.at(-1).names.push(...names);
    if (statement.isTypeOnly) groups.at(-1).types.push(...names);
  }
  return groups;
}

/** The types of a bundle by groups, a blank line between two; whatever belongs to none comes last. */
export function arranged(bundle, groups = groupsOf()) {
  const source = ts.createSourceFile('index.d.ts', bundle, ts.ScriptTarget.Latest, true);
  const imports = [];
  const lists = [];
  const declared = new Map();
  for (const statement of source.statements) {
    const text = bundle.slice(statement.getFullStart(), statement.end).trim();
    if (ts.isImportDeclaration(statement)) imports.push(text);
    else if (ts.isExportDeclaration(statement)) lists.push(...statement.exportClause.elements);
    else {
      const name = (statement.name ?? statement.declarationList.declarations[0].name).text;
      // A type and a value of one name (HTTPHeaderDict) stand together.
      declared.set(name, [...(declared.get(name) ?? []), text]);
    }
  }
  const types = new Set(groups.flatMap((group) => group.types));
  const take = (name) => {
    const texts = (declared.get(name) ?? []).flatMap((text) => (types.has(name) ? asType(name, text) : [text]));
    declared.delete(name);
    const alias = lists.find((element) => element.name.text === name);
    return alias === undefined ? texts : [...texts, `export { ${alias.getText(source)} };`];
  };
  const parts = groups.flatMap(({ title, about, names }) => [`// ${title}: ${about}`, ...names.flatMap(take)]);
  const rest = [...declared.values()].flat();
  if (rest.length > 0) parts.push('// Of no group.', ...rest);
  return onSeveralLines(onOneLine(`${[imports.join('\n'), ...parts, 'export {};'].join('\n\n')}\n`));
}

/** The bundler exports a class as one that could be extended, though the package exports its type alone. */
function asType(name, text) {
  const declaration = text.replace(/^export (?=declare (?:abstract )?class )/m, '');
  return declaration === text ? [text] : [declaration, `export type { ${name} };`];
}

/** The bundler writes a tuple, or a short list of parameters, on a line for each member. */
function onOneLine(text) {
  const shorter = text.replaceAll(/\[\n\s*([^[\]{}\n]*(?:,\n[^[\]{}\n]*)*)\n\s*\]/g, (whole, members) => {
    const line = `[${members.replaceAll(/\s*\n\s*/g, ' ')}]`;
    return line.length <= LONGEST_TUPLE ? line : whole;
  });
  return shorter === text ? text : onOneLine(shorter);
}

/** And a long union, or a condition, on one line however long. */
function onSeveralLines(text) {
  return text.replaceAll(/^export type (?:[^\n{]|\$\{)+;$/gm, (line) => {
    if (line.length <= LONGEST_LINE) return line;
    if (line.includes(' ? ')) return line.replaceAll(/ (?=[?:] )/g, '\n  ');
    const [head, members] = line.split(/ = (.*)/s, 2);
    const union = outerUnion(members);
    return union.length === 1 ? line : `${head} =\n  | ${union.join('\n  | ')}`;
  });
}

/** The members of a union, without looking into brackets. */
function outerUnion(text) {
  const members = [''];
  let depth = 0;
  for (const part of text.split(/( \| |=>|[([<{]|[)\]>}])/)) {
    if (/^[([<{]$/.test(part)) depth += 1;
    else if (/^[)\]>}]$/.test(part)) depth -= 1;
    if (part === ' | ' && depth === 0) members.push('');
    else members[members.length - 1] += part;
  }
  return members;
}

const LONGEST_TUPLE = 100;
const LONGEST_LINE = 120;

/**
 * The public types as a list that other scripts read: each exported declaration of `index.d.ts` with its members, their text and
 * their doc comments. Parsed with the TypeScript that dts-bundle-generator brings along: the compiler of the house (7) has no
 * API for JavaScript.
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import { root } from './run.js';

const require = createRequire(path.join(root, 'node_modules', 'dts-bundle-generator', 'package.json'));
export const typescript = require('typescript');
/** Its command, which users of an older compiler have. */
export const olderCompiler = require.resolve('typescript/bin/tsc');
const ts = typescript;

/**
 * @typedef {{ text: string, params: { name: string, text: string }[], throws: string[], returns: string, examples: string[] }} Doc
 * @typedef {{ name: string, kind: string, isStatic: boolean, line: number, signatures: string[], doc: Doc | null, type: string, optional?: boolean }} Member
 * @typedef {{ name: string, kind: string, line: number, text: string, signatures: string[], doc: Doc | null, members: Member[], heritage: string[] }} Declaration
 */

/** The declarations of a text of types. @returns {Declaration[]} */
export function declarationsIn(text) {
  const source = ts.createSourceFile('index.d.ts', text, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS);
  const found = [];
  for (const statement of source.statements) {
    for (const [called, node, kind] of named(statement)) {
      const before = found.find((one) => one.name === called && one.kind === kind && kind === 'function');
      if (before) before.signatures.push(oneLine(node, source));
      else found.push(declaration(called, kind, statement, node, source));
    }
  }
  return found;
}

/** Names that a file of types gives to others by a list (`export { A as B }`), and what each is a name of. */
export function aliasesIn(text) {
  const source = ts.createSourceFile('index.d.ts', text, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS);
  return source.statements
    .filter((statement) => ts.isExportDeclaration(statement) && statement.exportClause !== undefined)
    .flatMap((statement) => statement.exportClause.elements)
    .map((element) => ({ name: element.name.text, of: (element.propertyName ?? element.name).text }));
}

/** What a statement declares: names, nodes, kinds. */
function named(statement) {
  if (ts.isClassDeclaration(statement)) return [[statement.name.text, statement, 'class']];
  if (ts.isInterfaceDeclaration(statement)) return [[statement.name.text, statement, 'interface']];
  if (ts.isTypeAliasDeclaration(statement)) return [[statement.name.text, statement, 'type']];
  if (ts.isFunctionDeclaration(statement)) return [[statement.name.text, statement, 'function']];
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map((one) => [one.name.text, one, 'const']);
  }
  return [];
}

function declaration(name, kind, statement, node, source) {
  const doc = docOf(statement);
  const members = node.members === undefined ? [] : membersOf(node, source);
  return {
    name,
    kind,
    line: source.getLineAndCharacterOfPosition(statement.getStart(source)).line + 1,
    text: statement.getText(source),
    signatures: kind === 'function' ? [oneLine(node, source)] : [],
    doc,
    members,
    heritage: (node.heritageClauses ?? []).map((clause) => clause.getText(source)),
  };
}

/** The members, overloads together; what is private to the class is none. */
function membersOf(node, source) {
  const found = new Map();
  for (const member of node.members) {
    const name = memberName(member, source);
    if (name === null) continue;
    const isStatic = (ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Static) !== 0;
    const key = `${isStatic ? 'static ' : ''}${name}`;
    const before = found.get(key);
    const signature = oneLine(member, source);
    if (before !== undefined) {
      before.signatures.push(signature);
      before.doc ??= docOf(member);
      continue;
    }
    found.set(key, {
      name,
      kind: memberKind(member),
      isStatic,
      line: source.getLineAndCharacterOfPosition(member.getStart(source)).line + 1,
      signatures: [signature],
      doc: docOf(member),
      type: member.type === undefined ? '' : collapsed(member.type.getText(source)),
      optional: member.questionToken !== undefined,
    });
  }
  return [...found.values()];
}

function memberName(member, source) {
  if (ts.isConstructorDeclaration(member) || ts.isConstructSignatureDeclaration(member)) return 'constructor';
  if (ts.isIndexSignatureDeclaration(member)) return collapsed(`[${member.parameters[0].getText(source)}]`);
  if (member.name === undefined || ts.isPrivateIdentifier(member.name)) return null;
  return member.name.getText(source);
}

function memberKind(member) {
  if (ts.isConstructorDeclaration(member) || ts.isConstructSignatureDeclaration(member)) return 'constructor';
  if (ts.isMethodDeclaration(member) || ts.isMethodSignature(member)) return 'method';
  return 'property';
}

/** A declaration without its comments, on one line. */
function oneLine(node, source) {
  return collapsed(node.getText(source));
}

function collapsed(text) {
  return text
    .replaceAll(/\/\*\*.*?\*\//gs, '')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/([([{<]) | (?=[)\]>])/g, '$1')
    .trim();
}

/** A doc comment, taken apart; `null` where there is none. @returns {Doc | null} */
function docOf(node) {
  const comment = (node.jsDoc ?? []).at(-1);
  if (comment === undefined) return null;
  const doc = { text: textOf(comment.comment), params: [], throws: [], returns: '', examples: [] };
  for (const tag of comment.tags ?? []) {
    const said = textOf(tag.comment);
    switch (tag.tagName.text) {
      case 'param':
        doc.params.push({ name: tag.name.getText(), text: said });
        break;
      case 'throws':
        doc.throws.push(said);
        break;
      case 'returns':
        doc.returns = said;
        break;
      case 'example':
        doc.examples.push(said);
        break;
      default:
        throw new Error(`a doc comment has a tag that nobody reads: @${tag.tagName.text}`);
    }
  }
  return doc;
}

function textOf(comment) {
  return (ts.getTextOfJSDocComment(comment) ?? '').trim();
}

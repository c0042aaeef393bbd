/**
 * `npm run reference`: writes docs/reference from the doc comments of index.d.ts, a page a group of index.ts. TypeDoc was tried: it
 * makes a page of every error and repeats on each what all of them inherit (171 files); here a topic is read on one page, and
 * every example becomes a program that `npm run check` compiles and runs with all other code of the documentation.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { groupsOf } from './arrange.js';
import { aliasesIn, declarationsIn } from './public-types.js';
import { root } from './run.js';

const folder = path.join(root, 'docs', 'reference');

/** Where a group is explained at length. */
const GUIDES = {
  Pools: ['options', 'timeouts', 'retries'],
  Managers: ['managers', 'options'],
  Proxies: ['proxies'],
  Requests: ['options', 'retries'],
  Forms: ['options'],
  Responses: ['options', 'observability'],
  Headers: ['options'],
  'Time-outs': ['timeouts'],
  Retries: ['retries'],
  TLS: ['tls'],
  'One connection': ['options', 'proxies'],
  Errors: ['errors'],
  Watching: ['observability', 'options'],
  URLs: ['proxies'],
};

/** What an example may take for granted, by its name: the line that a program of its own begins with. */
const GIVEN = { pool: "const pool = new HTTPConnectionPool('localhost', { port: 8080 });" };

/** The pages by the names of their files. */
export function pagesOf(text, groups = groupsOf()) {
  const library = new Library(text, groups);
  const pages = new Map(groups.map((group) => [fileOf(group), library.page(group)]));
  return pages.set('README.md', library.contents());
}

/** The names of pages that are missing, stale or too many. */
export function stalePages() {
  const pages = pagesOf(readFileSync(path.join(root, 'index.d.ts'), 'utf8'));
  const there = new Set(readdirSync(folder).filter((name) => name.endsWith('.md')));
  const wrong = [...pages].filter(
    ([name, page]) => !there.has(name) || readFileSync(path.join(folder, name), 'utf8') !== page,
  );
  return [...wrong.map(([name]) => name), ...[...there].filter((name) => !pages.has(name))];
}

/** Everything that is exported, and where it is described. */
class Library {
  constructor(text, groups) {
    this.groups = groups;
    this.declarations = declarationsIn(text);
    this.aliases = aliasesIn(text).filter(({ name, of }) => name !== of);
    this.pageOf = new Map(groups.flatMap((group) => group.names.map((name) => [name, fileOf(group)])));
    this.values = new Set(
      this.declarations.filter(({ kind }) => /class|function|const/.test(kind)).map(({ name }) => name),
    );
  }

  contents() {
    const lines = this.groups.map((group) => {
      const names = group.names.map((name) => this.link(name, '')).join(', ');
      return `## [${group.title}](${fileOf(group)})\n\n${capital(group.about)} ${names}.`;
    });
    return [NOTE, '# Reference', INTRODUCTION, ...lines, ''].join('\n\n').trimEnd() + '\n';
  }

  page(group) {
    const page = fileOf(group);
    const guides = GUIDES[group.title].map((name) => `[${titleOf(name)}](../${name}.md)`).join(', ');
    const entries = [...new Set(group.names)].map((name) => this.entry(name, page));
    const index = entries
      .map(({ name, first }) => `- [\`${name}\`](#${slug(name)})${first === '' ? '' : `: ${first}`}`)
      .join('\n');
    const head = [
      NOTE,
      `# ${group.title}`,
      `${capital(group.about)} In the guides: ${guides}. [All groups](README.md).`,
      index,
    ];
    return [...head, ...entries.map(({ text }) => text)].join('\n\n') + '\n';
  }

  entry(name, page) {
    const alias = this.aliases.find((one) => one.name === name);
    if (alias !== undefined) {
      const text = `## ${name}\n\nThe same class as ${this.link(alias.of, page)}.`;
      return { name, text, first: `the same as \`${alias.of}\`` };
    }
    const found = this.declarations.filter((one) => one.name === name);
    const parts = found.flatMap((one, at) => this.parts(one, page, at === 0));
    const first = /^.*?[.:](?=\s|$)/s.exec(found[0].doc.text)?.[0] ?? found[0].doc.text;
    return {
      name,
      text: [`## ${name}`, ...parts].join('\n\n'),
      first: this.said(first.replace(/[.:]$/, ''), page, true),
    };
  }

  parts(one, page) {
    const { doc, kind, members, heritage } = one;
    const isShape = kind === 'class' || kind === 'interface';
    const parts = [isShape ? `\`${headOf(one)}\`` : fenced(shown(one.text)), this.said(doc.text, page)];
    parts.push(...this.details(doc, page));
    const from = heritage.flatMap((text) => text.match(/[A-Z]\w+/g) ?? []).filter((name) => this.pageOf.has(name));
    if (from.length > 0)
      parts.push(`Everything of ${[...new Set(from)].map((name) => this.link(name, page)).join(' and ')}, and:`);
    const properties = members.filter((member) => member.kind === 'property');
    if (properties.length > 0) parts.push(this.table(one, properties, page));
    for (const member of members.filter((each) => each.kind !== 'property'))
      parts.push(...this.method(one, member, page));
    if (from.length > 0 && members.length === 0) parts[parts.length - 1] = parts.at(-1).replace(', and:', '.');
    return parts;
  }

  table(one, properties, page) {
    const rows = properties.map((member) => {
      const { name, doc, optional, isStatic } = member;
      const text = [
        this.said(doc.text, page, true),
        ...doc.throws.map((said) => `Throws ${this.said(said, page, true)}`),
      ].join(' ');
      const called = `${isStatic ? `${one.name}.` : ''}${name}${optional ? '?' : ''}`;
      const anchor = name.includes(' ') ? '' : `<a id="${one.name}.${name}"></a>`;
      return `| ${anchor}\`${called}\` | ${this.typed(member, page)} | ${text} |`;
    });
    return ['| name | type | meaning |', '|---|---|---|', ...rows].join('\n');
  }

  method(one, { name, kind, isStatic, signatures, doc }, page) {
    const called = kind === 'constructor' ? `new ${one.name}` : `${isStatic ? `${one.name}.` : ''}${name}()`;
    const head = `### <a id="${one.name}.${name}"></a>${called}`;
    return [head, fenced(signatures.join('\n')), this.said(doc.text, page), ...this.details(doc, page)];
  }

  /** What follows a description: parameters, errors, examples. */
  details({ params, throws, returns, examples }, page) {
    const list = params.map(({ name, text }) => `- \`${name}\`: ${this.said(text, page, true)}`);
    if (returns !== '') list.push(`- gives: ${this.said(returns, page, true)}`);
    for (const said of throws) {
      const rejects = said.startsWith('(rejects with) ');
      list.push(
        `- ${rejects ? 'rejects with' : 'throws'}: ${this.said(said.replace('(rejects with) ', ''), page, true)}`,
      );
    }
    return [
      ...(list.length > 0 ? [list.join('\n')] : []),
      ...examples.map((code) => `\`\`\`ts\n${this.program(code)}\n\`\`\``),
    ];
  }

  /** A property's type, its names linked; of an accessor the same. */
  typed({ type, signatures }, page) {
    const text = (type === '' ? signatures[0].replace(/;$/, '') : type)
      .replace(/ \| undefined$/, '')
      .replaceAll('"', "'");
    const cell = (code) => (code === '' ? '' : `\`${code.replaceAll('|', '\\|')}\``);
    let out = '';
    let plain = '';
    for (const word of text.split(/(\b[A-Z]\w+\b)/)) {
      if (!this.pageOf.has(word)) plain += word;
      else {
        out += `${cell(plain)}${this.link(word, page)}`;
        plain = '';
      }
    }
    return out + cell(plain);
  }

  /** A comment as Markdown: its links lead to what they name. */
  said(text, page, inline = false) {
    const linked = text.replaceAll(/\{@link\s+([^\s}|]+)[^}]*\}/g, (_, target) => this.link(target, page));
    return inline ? linked.replaceAll(/\s*\n\s*/g, ' ').replaceAll(/(?<!\\)\|/g, '\\|') : linked;
  }

  link(target, page) {
    const [owner, member] = target.split('.');
    const file = this.pageOf.get(owner);
    if (file === undefined) return `\`${target}\``;
    const home = member === undefined ? owner : this.home(owner, member);
    const anchor = member === undefined ? slug(owner) : `${home}.${member}`;
    const at = this.pageOf.get(home) ?? file;
    return `[\`${target}\`](${at === page ? '' : at}#${anchor})`;
  }

  /** Whose comment describes a member: the class's own, or one that it comes from. */
  home(owner, member) {
    const found = this.declarations.filter(({ name }) => name === owner);
    if (found.some(({ members }) => members.some(({ name }) => name === member))) return owner;
    const words = found.flatMap(({ heritage, kind, text }) => (kind === 'type' ? [text] : heritage)).join(' ');
    for (const name of new Set(words.match(/[A-Z]\w+/g))) {
      if (name === owner || !this.pageOf.has(name)) continue;
      const home = this.home(name, member);
      if (home !== null) return home;
    }
    return null;
  }

  /** An example as a program that can be pasted: what it uses is imported, what it takes for granted is made. */
  program(example) {
    const used = (code) => new Set(code.replaceAll(/\/\/.*$/gm, '').match(/(?<![.\w'])[A-Za-z_]\w+/g));
    const makes = (name) => new RegExp(`\\b(const|let|class) ${name}\\b|import \\{[^}]*\\b${name}\\b`).test(example);
    const given = Object.entries(GIVEN).filter(([name]) => used(example).has(name) && !makes(name));
    const code = [...given.map(([, line]) => line), example].join('\n');
    const names = [...used(code)]
      .filter((name) => this.values.has(name) && !makes(name))
      .toSorted((a, b) => (a < b ? -1 : 1));
    const imports = names.length > 0 ? `import { ${names.join(', ')} } from 'ferropool';\n` : '';
    return `${imports}${code.startsWith('import ') ? '' : '\n'}${code.replace(/^((?:import .*\n)+)/, '$1\n')}`.trimStart();
  }
}

/** A class or an interface without its members. */
function headOf({ text }) {
  const head = /^[^{]*/.exec(text)?.[0] ?? text;
  return head.replace(/^export (declare )?/, '').trim();
}

function shown(text) {
  return text
    .replace(/^export (declare )?/, '')
    .replaceAll('"', "'")
    .replaceAll(/^ *\/\*\*.*\*\/\n/gm, '');
}

/** A declaration, which is shown and not run. */
function fenced(code) {
  return `\`\`\`ts no-compile\n${code}\n\`\`\``;
}

function fileOf({ title }) {
  return `${title.toLowerCase().replaceAll(/[^a-z]+/g, '-')}.md`;
}

function titleOf(guide) {
  return /^# (.*)$/m.exec(readFileSync(path.join(root, 'docs', `${guide}.md`), 'utf8'))?.[1] ?? guide;
}

function slug(name) {
  return name.toLowerCase();
}

function capital(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

const NOTE = '<!-- Generated from the doc comments of index.d.ts by `npm run reference`: change those. -->';
const INTRODUCTION =
  'Everything that `ferropool` exports, by topic, as the types say it: an editor shows the same. How it is used stands in the [guides](../README.md).';

if (process.argv[1] === import.meta.filename) {
  const pages = pagesOf(readFileSync(path.join(root, 'index.d.ts'), 'utf8'));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, page] of pages) writeFileSync(path.join(folder, name), page);
  console.log(`${pages.size} pages in docs/reference`);
}

/** What an editor tells about a program: the older compiler's language service, asked as an editor asks it. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { typescript as ts } from '../../scripts/public-types.js';
import { root } from '../../scripts/run.js';

export interface Told {
  /** What is offered at the mark. */
  readonly offered: readonly string[];
  /** The type and the comment shown for what stands before the mark. */
  readonly shown: string;
  readonly comment: string;
}

/** Asks about a program with a mark `^` in it. */
export class Editor {
  // Inside the repository, so that `import … from 'ferropool'` finds the package by its own name.
  readonly #file = path.join(root, 'target', 'editor.ts');
  readonly #service: typeof ts.LanguageService;
  #text = '';
  #version = 0;

  constructor() {
    const file = this.#file;
    const settings = { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2023, strict: true, types: ['node'] };
    const snapshot = (name: string): unknown => {
      if (name === file) return ts.ScriptSnapshot.fromString(this.#text);
      return existsSync(name) ? ts.ScriptSnapshot.fromString(readFileSync(name, 'utf8')) : undefined;
    };
    const { fileExists, readFile, readDirectory, directoryExists, getDirectories } = ts.sys;
    this.#service = ts.createLanguageService({
      getScriptFileNames: () => [file],
      getScriptVersion: (name: string) => (name === file ? String(this.#version) : '0'),
      getScriptSnapshot: snapshot,
      getCurrentDirectory: () => root,
      getCompilationSettings: () => ({ ...settings, lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'] }),
      getDefaultLibFileName: (options: unknown) => ts.getDefaultLibFilePath(options),
      fileExists,
      readFile,
      readDirectory,
      directoryExists,
      getDirectories,
    });
  }

  ask(marked: string): Told {
    const at = marked.indexOf('^');
    this.#text = marked.replace('^', '');
    this.#version += 1;
    const offered = this.#service.getCompletionsAtPosition(this.#file, at, {});
    const info = this.#service.getQuickInfoAtPosition(this.#file, at - 1);
    return {
      offered: (offered?.entries ?? []).map(({ name }: { name: string }) => name),
      shown: ts.displayPartsToString(info?.displayParts),
      comment: ts.displayPartsToString(info?.documentation),
    };
  }
}

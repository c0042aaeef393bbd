/** `node scripts/release-notes.js VERSION`: what CHANGELOG.md says of a version, for the release's page. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { root } from './run.js';

/** The text below the heading `## VERSION (date)`, up to the next one; null where there is no such heading, or no text. */
export function changesOf(version, text) {
  const [, ...sections] = text.split(/^## /m);
  for (const section of sections) {
    const [heading, ...lines] = section.split('\n');
    const [, named] = /^(\S+) \(\d{4}-\d{2}-\d{2}\)$/.exec(heading) ?? [];
    if (named === version) return lines.join('\n').trim() || null;
  }
  return null;
}

if (process.argv[1] === import.meta.filename) {
  const [version = ''] = process.argv.slice(2);
  const changes = changesOf(version, readFileSync(path.join(root, 'CHANGELOG.md'), 'utf8'));
  if (changes === null) console.error(`CHANGELOG.md says nothing below "## ${version} (date)".`);
  else console.log(changes);
  process.exitCode = changes === null ? 1 : 0;
}

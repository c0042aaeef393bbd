/**
 * Reads the vectors: what urllib3 does with an input, as data. The files are shared with the Rust tests; see their `note`.
 */
import { readFileSync } from 'node:fs';

/** What urllib3 raised. */
export interface Raised {
  type: string;
  message: string;
}

/** The cases of one file, e.g. `vectors('timeout.json')`. An empty file is an error: its tests would all pass. */
export function vectors<Case>(file: string): Case[] {
  const text = readFileSync(new URL(`../vectors/${file}`, import.meta.url), 'utf8');
  const { cases } = JSON.parse(text) as { cases: Case[] };
  if (cases.length === 0) throw new Error(`${file} has no cases`);
  return cases;
}

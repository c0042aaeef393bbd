/** Two parsers of multipart bodies that are not ours, in Python, behind a server on a free loopback port: `parsers.py`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A part as a parser found it. */
export interface ParsedPart {
  /** Its lines, as they are. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** What the parser took for the name, by its own rules about escapes. */
  readonly name: string | null;
  /** The same of the file name. */
  readonly filename: string | null;
  readonly size: number;
  readonly sha256: string;
}

/** What the server answers with. */
export interface Parsed {
  /** By python-multipart. */
  readonly streamed: readonly ParsedPart[];
  /** By the standard library's parser of e-mail. */
  readonly mailed: readonly ParsedPart[];
}

/** A running server. */
export interface Parsers {
  readonly port: number;
  close(): Promise<void>;
}

/** Starts it; rejects with what Python says when it does not start. */
export async function parsers(): Promise<Parsers> {
  const script = fileURLToPath(new URL('parsers.py', import.meta.url));
  // `-I`: nobody's environment, and no packages but the distribution's.
  const child = spawn(PYTHON, ['-I', script], { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  let complained = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complained += text));
  const ended = once(child, 'close').catch((error: unknown) => (complained += String(error)));
  const late = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
  while (!said.includes('\n')) {
    const over = await Promise.race([ended.then(() => true), once(child.stdout, 'data').then(() => false)]);
    if (over && !said.includes('\n')) throw new Error(`${MISSING}\n${complained}`);
  }
  clearTimeout(late);
  return {
    port: Number(said),
    async close() {
      child.stdin.end();
      const killed = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
      await ended;
      clearTimeout(killed);
      if (complained !== '') throw new Error(`the parsers complained: ${complained}`);
    },
  };
}

const PYTHON = '/usr/bin/python3';
/** How long it may take to start, or to end. */
const PATIENCE = 60_000;
const MISSING =
  `The specs of __test__/nginx need ${PYTHON} with python-multipart (Debian's python3-multipart); ` +
  '`npm test` does without.';

/** Runs a script of `support/children` in a process of its own: for what is a whole process's, such as its memory. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { typescriptLoader } from '../../scripts/run.js';

const execute = promisify(execFile);

/** The JSON that the script printed last; rejects when it fails or takes longer than two minutes. */
export async function alone<Result>(name: string, args: readonly (string | number)[] = []): Promise<Result> {
  const script = fileURLToPath(new URL(`children/${name}`, import.meta.url));
  const loader: readonly string[] = typescriptLoader;
  const { stdout } = await execute(process.execPath, [...loader, script, ...args.map(String)], { timeout: 120_000 });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Result;
}

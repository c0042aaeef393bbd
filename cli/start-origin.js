/** Starts `cli/origin.js` (or another server of this folder) as a process of its own, so that a server's work is not on the account of the client shown. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/**
 * `file` is a server beside this one. Resolves with its port, with that of https where it has one (`null`), and with
 * `stop()`, which ends it. It ends by itself when this process does.
 */
export async function startOrigin(file = 'origin.js') {
  const program = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const [line] = await Promise.race([
    once(lines, 'line'),
    once(child, 'exit').then(([status]) => {
      throw new Error(`the server ended with status ${status} before it listened`);
    }),
  ]);
  lines.close();
  child.unref();
  const [port, securePort = null] = line.split(' ').map(Number);
  return { port, securePort, stop: () => child.kill() };
}

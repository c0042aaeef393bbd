/**
 * One https request to `localhost` at a port, under whatever environment and options of Node this process was given. Arguments:
 * port, and which trust to set (`default` none, `system`, `ca`: that of the file behind it, or none;
 * `keys`: none, with a key log by the environment; `again`: none, by a second pool, before which the file is removed). Prints
 * what came of it and what was warned about.
 */
import { rmSync } from 'node:fs';

import { HTTPSConnectionPool } from '../../../index.ts';

const [port, trust = 'default', file] = process.argv.slice(2);
const warnings: string[] = [];
process.on('warning', ({ message }) => warnings.push(message));
let outcome: string;
try {
  if (trust === 'again') {
    await new HTTPSConnectionPool('localhost').close();
    rmSync(file as string);
  }
  const pool = new HTTPSConnectionPool('localhost', {
    port: Number(port),
    retries: false,
    resolve: { localhost: '127.0.0.1' },
    ...(trust === 'system' && { caCerts: 'system' }),
    ...(trust === 'keys' && { certReqs: 'none', keyLogFile: true }),
    ...(trust === 'ca' && (file === undefined ? { certReqs: 'none' } : { caCerts: file })),
  });
  outcome = (await pool.request('GET', '/')).text();
  await pool.close();
} catch (error) {
  const { code, reason, message } = error as { code: string; reason: string; message: string };
  outcome = `${code} ${reason}: ${message}`;
}
await new Promise((resolve) => setImmediate(resolve));
console.log(JSON.stringify({ outcome, warnings }));

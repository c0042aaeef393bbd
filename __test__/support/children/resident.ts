/** Bodies of 1 MiB in a loop that never rests, and in bursts; prints how much memory that took at its height. */
import { readFileSync } from 'node:fs';

import { HTTPConnectionPool } from '../../../index.ts';

const [port, loop, bursts] = process.argv.slice(2).map(Number);
const peak = (): number => Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;
const pool = new HTTPConnectionPool('127.0.0.1', { port: port ?? 0, maxsize: 16, block: true });
let bytes = 0;
const ask = async (): Promise<void> => {
  const { data } = await pool.request('GET', '/');
  bytes += data.length;
};
await ask();
const before = peak();
for (let n = 0; n < (loop ?? 0); n += 1) await ask();
const looped = peak() - before;
for (let n = 0; n < (bursts ?? 0); n += 1) await Promise.all(Array.from({ length: 100 }, ask));
const burst = peak() - before;
await pool.close();
console.log(JSON.stringify({ mebibytes: bytes / 1024 / 1024, looped, burst }));

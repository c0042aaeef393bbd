/**
 * Responses in pieces that nobody reads, closes or holds (`--expose-gc`). Arguments: port, how many. Their pool has no
 * further connection until the collector has freed one. Prints the pool's books and warnings, and the memory's growth after
 * the first tenth.
 */
import { HTTPConnectionPool } from '../../../index.ts';
import { levelled, peak } from './resident-peak.ts';

const [port = 0, count = 0] = process.argv.slice(2).map(Number);
const WIDTH = 100;
// One that is there as a whole, one whose rest is drained, one whose connection is given up.
const SIZES = [1_000, 100_000, 400_000];
const warnings: string[] = [];
process.on('warning', (warning: Error & { code?: string }) => warnings.push(warning.code ?? warning.message));
const pool = new HTTPConnectionPool('127.0.0.1', { port, maxsize: WIDTH, block: true });

/** In a function of its own, whose frame holds nothing once it is left. */
async function drop(): Promise<void> {
  const asked = Array.from({ length: WIDTH }, async (_, n) => {
    const path = `/bytes/${n}/${SIZES[n % SIZES.length]}`;
    const response = await pool.request('GET', path, { preloadContent: false, poolTimeout: 10_000 });
    // Some have been begun.
    if (n % 5 === 0) await response.read(10);
    return response.status;
  });
  for (const status of await Promise.all(asked)) if (status !== 200) throw new Error(`the server answered ${status}`);
}

let before = 0;
for (let n = 0; n < count; n += WIDTH) {
  if (n >= count / 10 && before === 0) before = levelled();
  await drop();
  while (pool.stats().leased > 0) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
const grown = peak() - before;
const { opened, closed, idle, leased, waiting, abandoned } = pool.stats();
await pool.close();
console.log(JSON.stringify({ opened, closed, idle, leased, waiting, abandoned, warnings, grown }));

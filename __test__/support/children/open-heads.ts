/**
 * Bodies in pieces that stay open beside other traffic (`--expose-gc`). Arguments: port, how many, bytes of a block that
 * completions lie in. Prints the memory that their heads hold, and what the heads say.
 */
import { HTTPConnectionPool, type HTTPResponse } from '../../../index.ts';

const [port = 0, count = 0, block = 0] = process.argv.slice(2).map(Number);
const pool = new HTTPConnectionPool('127.0.0.1', { port, maxsize: count + 1, block: true });

async function fill(): Promise<void> {
  for (let bytes = 0; bytes < block;) bytes += (await pool.request('GET', '/')).data.length;
}

/** Once no more goes: V8 frees the memory of buffers on a thread of its own, some time after they were collected. */
async function held(): Promise<number> {
  let least = Infinity;
  for (let same = 0; same < 10; same += 1) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 10));
    const { arrayBuffers } = process.memoryUsage();
    if (arrayBuffers < least) [least, same] = [arrayBuffers, 0];
  }
  return least;
}

await fill();
const before = await held();
const open: HTTPResponse[] = [];
while (open.length < count) {
  open.push(await pool.request('GET', `/open/${open.length}`, { preloadContent: false }));
  await fill();
}
const grown = (await held()) - before;
const numbers = open.map((response) => Number(response.headers.get('x-number')));
const right = open.every(({ status, timings }) => status === 201 && (timings?.headers ?? -1) >= 0);
const first = await open[0]?.read1();
console.log(JSON.stringify({ grown, numbers, right, first: String(first) }));
process.exit();

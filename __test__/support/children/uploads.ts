/** Uploads so many MiB by each way that reads its body while it is sent; prints how much memory that took at its height. */
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';

import { HTTPConnectionPool, type RequestBody } from '../../../index.ts';

const [port, mebibytes = 0] = process.argv.slice(2).map(Number);
const peak = (): number => Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;
const pool = new HTTPConnectionPool('127.0.0.1', { port: port ?? 0, timeout: 25_000 });

function* pieces(count: number): Generator<Buffer> {
  for (let nth = 0; nth < count * 16; nth += 1) yield Buffer.alloc(64 * 1024, nth);
}

const kinds: Record<string, (count: number) => RequestBody> = {
  generator: pieces,
  Readable: (count) => Readable.from(pieces(count)),
  ReadableStream: (count) => {
    const iterator = pieces(count);
    return new ReadableStream({
      pull(controller) {
        const { done, value } = iterator.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
    });
  },
};
const grown: Record<string, number> = {};
// What the engine and the collector keep in any case.
for (const make of Object.values(kinds)) await pool.request('POST', '/', { body: make(64) });
for (const [kind, make] of Object.entries(kinds)) {
  const before = peak();
  await pool.request('POST', '/', { body: make(mebibytes) });
  grown[kind] = peak() - before;
}
await pool.close();
console.log(JSON.stringify({ mebibytes, grown }));

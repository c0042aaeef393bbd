/**
 * What a large body costs in memory: down to nowhere, up from a generator, and down and up at once.
 * `node cli/origin.js 8080`, and in another terminal `MIB=1024 node --import=tsx examples/memory.ts 8080`.
 */
import { HTTPConnectionPool } from 'ferropool';

const port = Number(process.argv[2] ?? process.env['PORT'] ?? 8080);
const size = Number(process.env['MIB'] ?? 64) * 1_048_576;
const pool = new HTTPConnectionPool('localhost', { port, maxsize: 2, block: true, timeout: 10_000 });

function* source(): Generator<Buffer> {
  const piece = Buffer.alloc(65_536, 'x');
  for (let left = size; left > 0; left -= piece.length) yield piece;
}

// What the machinery needs at all is not counted: a small one of each goes first.
await (await pool.request('GET', '/download?bytes=4194304', { preloadContent: false })).drainConn();
await pool.request('POST', '/echo', { body: Buffer.alloc(4_194_304) });

await measured('down, piece by piece', async () => {
  const response = await pool.request('GET', `/download?bytes=${size}`, { preloadContent: false });
  let bytes = 0;
  for await (const piece of response) bytes += piece.length;
  return bytes;
});
await measured('up, from a generator', async () => {
  const response = await pool.request('POST', '/echo', { body: source() });
  return response.json<{ bytes: number }>().bytes;
});
await measured('down and up at once', async () => {
  const response = await pool.request('GET', `/download?bytes=${size}`, { preloadContent: false });
  const copied = await pool.request('POST', '/echo', { body: response.toReadable() });
  return copied.json<{ bytes: number }>().bytes;
});
await pool.close();

async function measured(what: string, move: () => Promise<number>): Promise<void> {
  const before = process.memoryUsage.rss();
  let most = before;
  const looking = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss());
  }, 10);
  const bytes = await move();
  clearInterval(looking);
  console.log(
    `${what}: ${bytes / 1_048_576} MiB went by, memory grew by ${((most - before) / 1_048_576).toFixed(0)} MiB`,
  );
}

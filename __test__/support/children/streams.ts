/**
 * A process with a streamed body. Arguments: port, way.
 *
 *   unread   has the head and does nothing more: it ends by itself
 *   part     has read a part, waited for it, and does nothing more: it ends by itself
 *   left     an iteration waits for the first piece and is left: it ends by itself
 *   reading  waits for a body that comes late: it ends once that is there
 *   pieces   the same, piece by piece
 *   small    reads ten bytes of a body that unfolds to gigabytes, and says how much memory that took
 *   whole    iterates over a gigabyte and says how much memory that took
 *   ignored  drops responses without reading them; they are let go once they are collected (`--expose-gc`)
 */
import { HTTPConnectionPool } from '../../../index.ts';

const [port, way] = process.argv.slice(2);
const pool = new HTTPConnectionPool('127.0.0.1', { port: Number(port), maxsize: 4 });
const get = (path: string): ReturnType<typeof pool.request> => pool.request('GET', path, { preloadContent: false });

if (way === 'small' || way === 'whole') {
  await (await get('/begun')).read(5);
  const before = process.memoryUsage().rss;
  let [most, length] = [before, 0];
  const look = (): void => void (most = Math.max(most, process.memoryUsage().rss));
  if (way === 'small') {
    const response = await get('/bomb');
    length = (await response.read(10)).length;
    // Until everything that will be read ahead has been.
    for (let n = 0; n < 20; n += 1) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      look();
    }
    response.close();
  } else {
    for await (const piece of await get('/gigabyte')) {
      length += piece.length;
      look();
    }
  }
  console.log(JSON.stringify({ length, grown: most - before }));
  process.exit(0);
} else if (way === 'ignored') {
  const { gc } = globalThis as unknown as { gc: () => void };
  const ask = async (): Promise<number> => (await get('/gigabyte')).status;
  for (let n = 0; n < 4; n += 1) await ask();
  const held = await get('/gigabyte');
  const until = Date.now() + 30_000;
  while (pool.stats().leased > 1 && Date.now() < until) {
    gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { leased, abandoned } = pool.stats();
  console.log(JSON.stringify({ leased, abandoned, read: (await held.read(5)).length }));
  process.exit(0);
} else {
  const response = await get('/begun');
  console.log('head');
  if (way === 'part') {
    await response.read(5);
    const waited = response.read(1);
    console.log('waits');
    await waited;
  } else if (way === 'left') {
    for await (const piece of response) if (piece.length > 0) break;
  } else if (way === 'reading') {
    void response.read().then((body) => console.log(`read ${body.length}`));
  } else if (way === 'pieces') {
    let length = 0;
    for await (const piece of response) length += piece.length;
    console.log(`read ${length}`);
  }
  console.log('done');
}

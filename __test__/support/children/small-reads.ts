/**
 * Reads ten bytes of a bomb, by each way of asking for few; then drains, releases and forsakes one. It prints how much
 * memory its opening took, with its decoder's window, and then how much reading it did, after one of the same coding had been
 * read so (code and tables are there by then); and how many bytes were decoded.
 */
import { HTTPConnectionPool, type HTTPResponse } from '../../../index.ts';
import { levelled, MIB, peak } from './resident-peak.ts';

const [port, coding] = process.argv.slice(2);
const pool = new HTTPConnectionPool('127.0.0.1', { port: Number(port), maxsize: 4 });
const open = (): Promise<HTTPResponse> =>
  pool.request('GET', `/${coding}`, { preloadContent: false, limits: { ratio: null } });

const ways: Readonly<Record<string, (response: HTTPResponse) => Promise<number>>> = {
  read: async (response) => (await response.read(10)).length,
  read1: async (response) => (await response.read1(10)).length,
  readInto: (response) => response.readInto(new Uint8Array(10)),
  later: async (response) => {
    for (let n = 0; n < 100; n += 1) await response.read(10);
    return (await response.read(10)).length;
  },
};
const ends: Readonly<Record<string, (response: HTTPResponse) => Promise<void> | void>> = {
  drained: (response) => response.drainConn(),
  released: (response) => response.releaseConn(),
  closed: (response) => response.close(),
};

const outcome: Record<string, { opened: number; grown: number; decoded: number; read: number }> = {};
async function measured(name: string, work: (response: HTTPResponse) => Promise<number>): Promise<void> {
  const [before, decodedBefore] = [levelled(), pool.stats().decodedBytes];
  const response = await open();
  // What is decoded before anybody asks, so that the decoder has made its window.
  while (pool.stats().decodedBytes === decodedBefore) await pool.request('GET', '/small');
  const opened = (peak() - before) * MIB;
  const then = levelled();
  const read = await work(response);
  const decoded = pool.stats().decodedBytes - decodedBefore;
  outcome[name] = { opened, grown: (peak() - then) * MIB, decoded, read };
  response.close();
  // Its end, and what it held, are seen to before the next one.
  await pool.request('GET', '/small');
}
for (const [name, way] of Object.entries(ways)) await measured(`warm-up ${name}`, way);
for (const [name, way] of Object.entries(ways)) await measured(name, way);
for (const [name, end] of Object.entries(ends)) {
  await measured(name, async (response) => {
    await end(response);
    await pool.request('GET', '/small');
    return 0;
  });
}
await pool.close();
console.log(JSON.stringify(outcome));

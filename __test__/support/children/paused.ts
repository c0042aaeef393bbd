/**
 * A body of 256 MiB whose reader pauses now and then. Arguments: port, and how it is read. Prints for each pause how much
 * had been read and sent when the server had stopped, and how much had been sent a while later; and the memory's growth.
 */
import { HTTPConnectionPool } from '../../../index.ts';
import { Follower } from '../../servers/pattern.ts';
import { levelled, MIB, peak } from './resident-peak.ts';

const [port, way = 'pieces'] = process.argv.slice(2);
const pool = new HTTPConnectionPool('127.0.0.1', { port: Number(port) });
const other = new HTTPConnectionPool('127.0.0.1', { port: Number(port) });
const size = 256 * MIB;

async function open(seed: number, length: number): Promise<AsyncIterator<Buffer>> {
  const response = await pool.request('GET', `/bytes/${seed}/${length}`, { preloadContent: false });
  if (way === 'readable') return response.toReadable()[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  if (way === 'stream') return response.stream(100_000);
  return response[Symbol.asyncIterator]();
}

const sent = async (): Promise<number> => Number((await other.request('GET', '/quiet')).text());
const warm = await open(3, 16 * MIB);
while ((await warm.next()).done !== true);
const already = await sent();
const follower = new Follower(5);
const before = levelled();
let most = before;
const pieces = await open(5, size);
const pauses: { read: number; sent: number; later: number; grown: number }[] = [];
for (let n = 0; n < 3; n += 1) {
  for (const from = follower.at; follower.at < from + 40 * MIB;) follower.take((await pieces.next()).value as Buffer);
  // While what was asked for comes; and then, when nothing does.
  const first = (await sent()) - already;
  most = Math.max(most, peak());
  const resting = levelled();
  pauses.push({ read: follower.at, sent: first, later: (await sent()) - already, grown: peak() - resting });
}
const grown = most - before;
for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) follower.take(next.value);
await Promise.all([pool.close(), other.close()]);
console.log(JSON.stringify({ pauses, grown, read: follower.at, wrong: follower.wrong }));

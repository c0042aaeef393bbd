/**
 * Large bodies, read in the ways there are. Arguments: port, which. Prints how much memory each took at its height above
 * what was resident before, in MiB, and what was read.
 */
import { HTTPConnectionPool, HTTPError, type HTTPResponse } from '../../../index.ts';
import { BLOCK, blockAt, Follower } from '../../servers/pattern.ts';
import { levelled, MIB, peak, resident, settled } from './resident-peak.ts';

type Reading = (response: HTTPResponse, follower: Follower) => Promise<void>;

const [port, which = ''] = process.argv.slice(2);
const pool = new HTTPConnectionPool('127.0.0.1', { port: Number(port) });
const small = (): Promise<unknown> => pool.request('GET', '/bytes/0/1000');

const readings: Readonly<Record<string, Reading>> = {
  async pieces(response, follower) {
    for await (const piece of response) follower.take(piece);
  },
  async 'read(n)'(response, follower) {
    for (let piece = await response.read(MIB); piece.length > 0; piece = await response.read(MIB)) follower.take(piece);
  },
  async 'stream(n)'(response, follower) {
    for await (const piece of response.stream(300_000)) follower.take(piece);
  },
};

async function download(reading: Reading, seed: number, size: number): Promise<Follower> {
  const response = await pool.request('GET', `/bytes/${seed}/${size}`, { preloadContent: false });
  const follower = new Follower(seed);
  await reading(response, follower);
  if (response.bytesRead !== size || response.lengthRemaining !== 0) follower.wrong += 1;
  return follower;
}

async function growth(work: () => Promise<object>): Promise<object> {
  const before = levelled();
  const what = await work();
  return { ...what, grown: peak() - before };
}

async function failure(work: Promise<unknown>): Promise<object> {
  const outcome: unknown = await work.then(
    () => null,
    (error: unknown) => error,
  );
  return outcome instanceof HTTPError ? outcome.toJSON() : { failed: String(outcome) };
}

/** A GiB each, after 64 MiB by the same way; then what is left of it all once it is over. */
async function gigabytes(): Promise<object> {
  const outcome: Record<string, object> = {};
  // The pattern's blocks are not the downloads'.
  for (let at = 0; at < 256; at += 1) blockAt(0, at * BLOCK);
  await download(readings['pieces'] as Reading, 1, 64 * MIB);
  await settled(small);
  const before = resident();
  for (const [name, reading] of Object.entries(readings)) {
    await download(reading, 1, 64 * MIB);
    outcome[name] = await growth(async () => {
      const { at, wrong } = await download(reading, 2, 1024 * MIB);
      return { at, wrong };
    });
  }
  // The allocator gives pages back as it is used, and later where others use the machine too.
  for (let tries = 0; tries < 40 && resident() - before > 15; tries += 1) await settled(small);
  return { ...outcome, left: resident() - before };
}

/** More than 2 GiB: in parts, and by places beyond what 32 bits can tell. */
async function beyond(): Promise<object> {
  const response = await pool.request('GET', `/bytes/4/${2_200 * MIB}`, { preloadContent: false });
  const follower = new Follower(4);
  const remaining: number[] = [];
  for (const parts of [2_100, 100]) {
    for (let n = 0; n < parts; n += 1) follower.take(await response.read(MIB));
    remaining.push(response.lengthRemaining ?? -1);
  }
  const parts = { at: follower.at, wrong: follower.wrong, remaining, bytesRead: response.bytesRead };
  // 4 GiB are more than one block has; and what is preloaded has its limit.
  const announced = await growth(async () => {
    const one = await pool.request('GET', `/some/6/${5 * 1024 * MIB}`, { preloadContent: false });
    return failure(one.read());
  });
  const preloaded = await growth(() => failure(pool.request('GET', `/some/6/${257 * MIB}`)));
  return { parts, announced, preloaded };
}

/** All at once: of 10 MiB there is one copy. */
async function whole(): Promise<object> {
  const size = 10 * MIB;
  const check = (data: Buffer): object => {
    const follower = new Follower(6);
    follower.take(data);
    return { at: follower.at, wrong: follower.wrong };
  };
  const path = `/bytes/6/${size}`;
  check((await pool.request('GET', `/bytes/6/${20 * MIB}`)).data);
  const outcome: Record<string, object> = {
    preloaded: await growth(async () => check((await pool.request('GET', path)).data)),
  };
  await settled(small);
  outcome['read()'] = await growth(async () => {
    const response = await pool.request('GET', path, { preloadContent: false });
    const data = await response.read();
    if (response.data !== data) throw new Error('a second copy');
    return check(data);
  });
  await settled(small);
  outcome['after a piece'] = await growth(async () => {
    const response = await pool.request('GET', path, { preloadContent: false });
    const first = await response.read(1000);
    const rest = await response.read();
    const follower = new Follower(6);
    follower.take(first);
    follower.take(rest);
    return { at: follower.at, wrong: follower.wrong };
  });
  return outcome;
}

/** Some of 50 MB that come as 25 MB. */
async function decoded(): Promise<object> {
  const read = async (): Promise<object> => {
    const response = await pool.request('GET', `/gzip/0/50000000`, { preloadContent: false });
    let at = 0;
    for (let n = 0; n < 100; n += 1) at += (await response.read(10_000)).length;
    const then = pool.stats().decodedBytes;
    response.close();
    return { at, decoded: then };
  };
  await read();
  const { decodedBytes } = pool.stats();
  return growth(async () => ({ ...(await read()), decodedBefore: decodedBytes }));
}

const modes: Readonly<Record<string, () => Promise<object>>> = { gigabytes, beyond, whole, decoded };
const outcome = await modes[which]?.();
await pool.close();
console.log(JSON.stringify(outcome));

/** Bodies that nobody begins to read: how long they are kept (`unreadTimeout`), and what becomes of them then. */
import zlib from 'node:zlib';
import test, { type ExecutionContext } from 'ava';

import { ProtocolError, type HTTPResponse } from '../index.ts';
import { rejection, scripted, target } from './support/fixtures.ts';
import { until } from './support/street.ts';
import type { Peer } from './servers/raw.ts';

const MIB = 1024 * 1024;

/** Some fifty kilobytes, and fifty megabytes once they are decoded. */
const CODED = zlib.gzipSync(Buffer.alloc(50 * MIB));

/** `/n` is a body of n bytes, `/coded` one that is larger than its wire; of `/stuck/n` only ten come, until the test says `more()`. */
function sizes(): { script: (peer: Peer) => Promise<void>; more: () => void } {
  let more = (): void => undefined;
  const asked = new Promise<void>((resolve) => (more = resolve));
  const script = async (peer: Peer): Promise<void> => {
    for (;;) {
      const [, first = '', second = ''] = target(await peer.request()).split('/');
      if (first === 'coded') {
        await peer.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${CODED.length}\r\n\r\n`);
        await peer.write(CODED);
        continue;
      }
      const size = Number(first === 'stuck' ? second : first);
      const body = Buffer.alloc(size, 'x');
      await peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      if (first === 'stuck') {
        await peer.write(body.subarray(0, 10));
        await Promise.race([asked, peer.gone()]);
        await peer.write(body.subarray(10));
      } else {
        await peer.write(body);
      }
    }
  };
  return { script, more };
}

/** Warnings of this code, as they come. */
function warnings(t: ExecutionContext): string[] {
  const seen: string[] = [];
  const hear = (warning: Error & { code?: string }): void => {
    if (warning.code === 'FERROPOOL_BODY_UNREAD') seen.push(warning.message);
  };
  process.on('warning', hear);
  t.teardown(() => process.off('warning', hear));
  return seen;
}

async function expired(t: ExecutionContext, response: HTTPResponse): Promise<void> {
  for (const read of [
    () => response.read(),
    () => response.read(1),
    () => response.read1(),
    () => response.readInto(new Uint8Array(5)),
  ]) {
    const error = await rejection(read(), ProtocolError);
    t.is(error.code, 'ERR_UNREAD_TIMEOUT');
    t.is(error.phase, 'body');
  }
  await t.throwsAsync(response[Symbol.asyncIterator]().next(), { code: 'ERR_UNREAD_TIMEOUT' });
}

test.serial(
  'THR-1006: an unread body is let go after unreadTimeout: its connection is closed, or a small rest drained',
  async (t) => {
    const seen = warnings(t);
    const { script } = sizes();
    const { pool, server } = await scripted(t, script, { unreadTimeout: 60, maxsize: 2 });
    const large = await pool.request('GET', `/${8 * MIB}`, { preloadContent: false });
    const peer = await server.peer(1);
    await peer.gone();
    await expired(t, large);
    t.like(pool.stats(), { leased: 0, idle: 0, abandoned: 1 });
    // 64 KiB come unasked; what is left of the wire after them is not worth a connection, and is not decoded.
    const small = await pool.request('GET', '/coded', { preloadContent: false });
    for (const end = Date.now() + 30_000; pool.stats().errors['ERR_UNREAD_TIMEOUT'] === 1 && Date.now() < end;) {
      await pool.request('GET', '/1');
    }
    await expired(t, small);
    await until(() => pool.stats().leased === 0, 'its rest is drained');
    t.like(pool.stats(), { leased: 0, abandoned: 1 });
    t.true(pool.stats().decodedBytes < MIB);
    t.is(seen.length, 1);
    t.regex(seen[0] ?? '', /127\.0\.0\.1/);
  },
);

test.serial(
  'THR-1006: whoever waits for a connection of a blocking pool gets that of a body which nobody reads',
  async (t) => {
    const { script } = sizes();
    const { pool, server } = await scripted(t, script, { unreadTimeout: 40, maxsize: 1, block: true });
    const unread = await pool.request('GET', `/${8 * MIB}`, { preloadContent: false });
    const next = await pool.request('GET', '/5');
    t.is(next.data.length, 5);
    t.is(server.peers.length, 2);
    await expired(t, unread);
    // So does whoever waits behind one of which nothing comes, though there is credit for more of it.
    const stuck = await pool.request('GET', '/stuck/100000', { preloadContent: false });
    t.is((await pool.request('GET', '/6')).data.length, 6);
    await expired(t, stuck);
  },
);

test.serial('THR-1006: a body that is being read is not let go, however slow its reader is', async (t) => {
  const { script, more } = sizes();
  // So long that each of them is begun in time, on a busy machine too.
  const unreadTimeout = 1_000;
  const { pool } = await scripted(t, script, { unreadTimeout, maxsize: 3 });
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, unreadTimeout + 200));
  const begun = await pool.request('GET', `/${8 * MIB}`, { preloadContent: false });
  t.is((await begun.read(10)).length, 10);
  const stuck = await pool.request('GET', '/stuck/100000', { preloadContent: false });
  t.is((await stuck.read(10)).length, 10);
  // What is begun without having got anything counts as well.
  const waiting = (await pool.request('GET', '/stuck/50000', { preloadContent: false })).read();
  await pause();
  more();
  t.is((await begun.read()).length, 8 * MIB - 10);
  t.is((await stuck.read()).length, 100_000 - 10);
  t.is((await waiting).length, 50_000);
  t.is(pool.stats().abandoned, 0);
});

test.serial('THR-1006: a body that is there already stays readable, and with 0 every body', async (t) => {
  const seen = warnings(t);
  const { script } = sizes();
  // So long that the whole of it is there by then, on a busy machine too.
  const { pool } = await scripted(t, script, { unreadTimeout: 800 });
  const there = await pool.request('GET', '/50000', { preloadContent: false });
  const { pool: patient } = await scripted(t, sizes().script, { unreadTimeout: 0 });
  const large = await patient.request('GET', `/${8 * MIB}`, { preloadContent: false });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  t.is((await there.read()).length, 50_000);
  t.is((await large.read()).length, 8 * MIB);
  t.deepEqual(seen, []);
});

test.serial('THR-1006: what its owner lets go of is warned about by nobody', async (t) => {
  const seen = warnings(t);
  const { script } = sizes();
  // So long that each of them is let go of in time, on a busy machine too.
  const { pool } = await scripted(t, script, { unreadTimeout: 1_000, maxsize: 4 });
  const open = (): Promise<HTTPResponse> => pool.request('GET', `/${8 * MIB}`, { preloadContent: false });
  (await open()).releaseConn();
  (await open()).close();
  await (await open()).drainConn();
  for await (const _ of await open()) break;
  await pool.request('GET', `/${8 * MIB}`, { accept: () => false });
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  t.is(pool.stats().leased, 0);
  t.deepEqual(seen, []);
});

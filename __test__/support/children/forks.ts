/**
 * A pool in a process, in its fork and in two cluster workers: each has an engine of its own and no socket of another's.
 * Arguments: port, and in the others what they are.
 */
import { fork } from 'node:child_process';
import cluster from 'node:cluster';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';

import { HTTPConnectionPool } from '../../../index.ts';

const [port, role = 'first'] = process.argv.slice(2);

/** The sockets that this process holds, by their inode. */
function sockets(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const link = readlinkSync(`/proc/self/fd/${fd}`);
      return link.startsWith('socket:') ? [link] : [];
    } catch {
      // The descriptor of the listing itself.
      return [];
    }
  });
}

const pool = new HTTPConnectionPool('127.0.0.1', { port: Number(port) });
const ask = async (): Promise<string> => (await pool.request('GET', `/${role}`)).text();

if (role !== 'first') {
  const before = sockets();
  const served = await ask();
  process.send?.({ served, before, pid: process.pid });
  await pool.close();
  process.disconnect?.();
} else {
  const own = new Set(sockets());
  await ask();
  const mine = sockets().filter((socket) => !own.has(socket));
  const heard: { served: string; before: string[] }[] = [];
  const forked = fork(new URL(import.meta.url), [port ?? '', 'forked']);
  heard.push((await once(forked, 'message'))[0] as never);
  await once(forked, 'exit');
  cluster.setupPrimary({ exec: new URL(import.meta.url).pathname, args: [port ?? '', 'clustered'] });
  for (let n = 0; n < 2; n += 1) {
    const one = cluster.fork();
    heard.push((await once(one, 'message'))[0] as never);
    await once(one, 'exit');
  }
  const again = await pool.request('GET', '/first');
  const { opened } = pool.stats();
  await pool.close();
  const shared = heard.filter(({ before }) => before.some((socket) => mine.includes(socket))).length;
  console.log(
    JSON.stringify({
      served: heard.map(({ served }) => served),
      shared,
      mine: mine.length,
      reused: again.connection?.reused,
      opened,
    }),
  );
}

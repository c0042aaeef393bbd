/**
 * A manager where the system has too little of something. Arguments: what, the server's port. `files`: too few descriptors,
 * for connections and then for everything; `ports`: a network of its own with sixteen ports, so that the server is in here.
 */
import { closeSync, openSync } from 'node:fs';
import http from 'node:http';
import { once } from 'node:events';

import { PoolManager } from '../../../index.ts';

const [what, port = '0'] = process.argv.slice(2);

/** How many ended how. */
async function tally(calls: readonly Promise<{ status: number }>[]): Promise<Record<string, number>> {
  const ended: Record<string, number> = {};
  for (const settled of await Promise.allSettled(calls)) {
    const { name, code } = settled.status === 'rejected' ? settled.reason : { name: settled.value.status, code: 'ok' };
    ended[`${name} ${code}`] = (ended[`${name} ${code}`] ?? 0) + 1;
  }
  return ended;
}

/** Milliseconds that this took, and of them on a processor. */
async function timed<T>(work: () => Promise<T>): Promise<{ value: T; took: number; busy: number }> {
  const [began, before] = [performance.now(), process.cpuUsage()];
  const value = await work();
  const { user, system } = process.cpuUsage(before);
  return { value, took: performance.now() - began, busy: (user + system) / 1_000 };
}

async function files(): Promise<object> {
  const url = `http://127.0.0.1:${port}/`;
  const manager = new PoolManager({ maxTotalConnections: 0, maxsize: 500, retries: false });
  const get = (path = ''): Promise<{ status: number }> => manager.request('GET', url + path);
  // So that everything is loaded that a request needs.
  await get();
  const many = await tally(Array.from({ length: 1_000 }, (_, n) => get(String(n))));
  const { opened, closed, idle, leased } = manager.stats();
  const after = await tally(Array.from({ length: 20 }, () => get('after')));
  await manager.close();
  const other = new PoolManager({ retries: false });
  const hoard: number[] = [];
  try {
    for (;;) hoard.push(openSync('/dev/null', 'r'));
  } catch {
    // None is left.
  }
  const none = await timed(() => tally([other.request('GET', url), other.request('GET', `http://localhost:${port}/`)]));
  for (const file of hoard) closeSync(file);
  const again = await tally([other.request('GET', url)]);
  await other.close();
  return { many, lost: opened - closed - idle - leased, after, none, again };
}

async function ports(): Promise<object> {
  const waiting: (() => void)[] = [];
  let hold = false;
  const server = http.createServer({ keepAliveTimeout: 60_000 }, (_, response) => {
    if (hold) waiting.push(() => void response.end('x'));
    else response.end('x');
  });
  server.listen(9_000, '127.0.0.1');
  await once(server, 'listening');
  const url = 'http://127.0.0.1:9000/';
  const manager = new PoolManager({ maxTotalConnections: 0, maxsize: 100, retries: false });
  // More than there are ports for, all at once: who finds none waits for one.
  const many = await tally(Array.from({ length: 200 }, () => manager.request('GET', url)));
  await manager.close();
  hold = true;
  const other = new PoolManager({ maxTotalConnections: 0, maxsize: 100, retries: false });
  const calls = Array.from({ length: 20 }, () => other.request('GET', url));
  const none = await timed(async () => {
    const refused = await Promise.any(
      calls.map((call) =>
        call.then(
          () => Promise.reject(new Error('served')),
          (error) => error,
        ),
      ),
    );
    return [refused.name, refused.code, refused.phase];
  });
  // The others have their ports, and are served.
  while (waiting.length + 1 < 16) await new Promise((resolve) => setTimeout(resolve, 5));
  hold = false;
  for (const answer of waiting.splice(0)) answer();
  const held = await tally(calls);
  const again = await tally([other.request('GET', url)]);
  const { opened, closed, idle, leased } = other.stats();
  await other.close();
  server.closeAllConnections();
  server.close();
  return { many, none, held, again, lost: opened - closed - idle - leased };
}

console.log(JSON.stringify(await (what === 'files' ? files() : ports())));

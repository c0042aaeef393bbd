/**
 * Questions of the core that JavaScript answers late or never, as a whole process sees them: does it end, and is what nobody
 * holds collected? Argument: which.
 */
import { HTTPConnectionPool, PoolManager } from '../../../index.ts';
import { httpServer } from '../../servers/http.ts';
import { message, worker } from './in-workers.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const never = (): Promise<never> => new Promise(() => undefined);
const nameOf = (error: unknown): string => {
  const { code, name } = error as { code?: unknown; name: string };
  return typeof code === 'string' ? code : name;
};
const endOf = (promise: Promise<unknown>): Promise<string> => promise.then(() => 'resolved', nameOf);

async function ended(kind: string): Promise<string> {
  const resolve = { 'a.example': '127.0.0.1:1' };
  const url = 'http://a.example/';
  switch (kind) {
    case 'gate-total':
      return endOf(
        new PoolManager({ resolve, beforeAttempt: never }).request('GET', url, { timeout: { total: 80 } as never }),
      );
    case 'gate-abort': {
      const cut = new AbortController();
      const beforeAttempt = (): Promise<never> => {
        setImmediate(() => cut.abort());
        return never();
      };
      return endOf(new PoolManager({ resolve, beforeAttempt }).request('GET', url, { signal: cut.signal }));
    }
    case 'resolve-connect':
      return endOf(
        new HTTPConnectionPool('a.example', {
          resolve: never,
          retries: false,
          timeout: { connect: 80 } as never,
        }).request('GET', '/'),
      );
    case 'jar-total': {
      const jar = { getCookieString: never, setCookie: never };
      return endOf(new PoolManager({ resolve, jar }).request('GET', url, { timeout: { total: 80 } as never }));
    }
    default: {
      const one = worker('parked-worker.ts', {});
      await message(one, 'asked');
      await one.thread.terminate();
      return 'terminated';
    }
  }
}

/** In a function, whose frame keeps nothing alive once it is left. */
function parked(port: number, releases: (() => void)[]): { calls: Promise<string>[]; ref: WeakRef<PoolManager> } {
  const manager = new PoolManager({
    resolve: () => `127.0.0.1:${port}`,
    jar: { getCookieString: (url) => `j=${new URL(url).pathname.slice(1)}`, setCookie: () => undefined },
    async beforeAttempt({ url, headers }) {
      await new Promise<void>((resolve) => releases.push(resolve));
      headers.set('X-N', new URL(url).pathname.slice(1));
    },
  });
  const calls = Array.from({ length: 8 }, async (_, n) =>
    (await manager.request('GET', `http://a.example/${n}`)).text(),
  );
  return { calls, ref: new WeakRef(manager) };
}

const [, , kind = ''] = process.argv;
if (kind === 'collected') {
  const collect = (globalThis as unknown as { gc: () => void }).gc;
  const server = await httpServer((request, response) => {
    response.setHeader('set-cookie', 'x=1');
    response.end(`${request.url} ${String(request.headers['x-n'])} ${request.headers.cookie}`);
  });
  const releases: (() => void)[] = [];
  const { calls, ref } = parked(server.port, releases);
  while (releases.length < 8) await turn();
  for (let n = 0; n < 5; n += 1) {
    collect();
    await turn();
  }
  for (const release of releases.splice(0)) release();
  const texts = await Promise.all(calls);
  calls.length = 0;
  const open = (): number => server.sockets.filter((socket) => !socket.destroyed).length;
  const until = Date.now() + 30_000;
  // What a WeakRef was asked for stays until the turn ends.
  while ((ref.deref() !== undefined || open() > 0) && Date.now() < until) {
    await turn();
    collect();
    await turn();
  }
  console.log(JSON.stringify({ texts, collected: ref.deref() === undefined, open: open() }));
  await server.close();
} else {
  console.log(JSON.stringify({ ended: await ended(kind) }));
}

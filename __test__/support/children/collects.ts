/**
 * Collection under way (`--expose-gc`): pools, responses and bodies are dropped while requests are in flight, and what is
 * held stays good. Prints what was seen. Arguments: what to show, `stress` or `pools`.
 */
import { HTTPConnectionPool, type HTTPResponse } from '../../../index.ts';
import { httpServer } from '../../servers/http.ts';

const collect = (globalThis as unknown as { gc: () => void }).gc;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const body = (n: number, size: number): string => `${n};`.padEnd(size, String(n % 10));
const server = await httpServer((request, response) => {
  const [, n = '0', size = '0'] = (request.url ?? '').split('/');
  response.end(body(Number(n), Number(size)));
});
const open = (): number => server.sockets.filter((socket) => !socket.destroyed).length;
const settled = async (wanted: number): Promise<boolean> => {
  const until = Date.now() + 30_000;
  while (open() !== wanted && Date.now() < until) {
    collect();
    await turn();
  }
  return open() === wanted;
};

/** How many responses were another's or damaged. In a function, whose frame keeps nothing alive once it is left. */
async function stress(): Promise<number> {
  const held: [number, number, HTTPResponse][] = [];
  let wrong = 0;
  const check = ([n, size, response]: [number, number, HTTPResponse]): void => {
    if (response.text() !== body(n, size)) wrong += 1;
  };
  for (let round = 0; round < 60; round += 1) {
    // A pool that nobody holds once its requests are made.
    const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, maxsize: 3, block: true });
    const flying = Array.from({ length: 12 }, async (_, k) => {
      const [n, size] = [round * 12 + k, [10, 5_000, 40_000, 200_000][k % 4] ?? 0];
      const response = await pool.request('GET', `/${n}/${size}`);
      if (k % 3 === 0) held.push([n, size, response]);
      else if (k % 3 === 1) check([n, size, response]);
    });
    collect();
    await Promise.all(flying);
    collect();
    // The oldest are looked at only now, their pools long gone.
    for (const one of held.splice(0, held.length > 100 ? 4 : 0)) check(one);
  }
  // Until here they held their pools.
  for (const one of held.splice(0)) check(one);
  return wrong;
}

if (process.argv[2] === 'stress') {
  const wrong = await stress();
  console.log(JSON.stringify({ checked: 60 * 8, wrong, closed: await settled(0) }));
} else {
  const pools: HTTPConnectionPool[] = [];
  const make = (): HTTPConnectionPool => new HTTPConnectionPool('127.0.0.1', { port: server.port });
  // Three that nobody holds after this, and one that is held.
  await Promise.all([1, 2, 3].map(async (n) => (await make().request('GET', `/${n}/5`)).status));
  pools.push(make());
  await pools[0]?.request('GET', '/4/5');
  const before = open();
  const only = await settled(1);
  const reused = (await pools[0]?.request('GET', '/5/5'))?.connection?.reused;
  console.log(JSON.stringify({ before, only, reused }));
  await pools[0]?.close();
}
await server.close();

/**
 * Everything that can go wrong with HTTP/2 while nobody looks: calls whose promises are dropped after a `catch`, bodies that
 * nobody reads, pools that are closed or forgotten meanwhile. Prints what was thrown outside a promise, and how it ended.
 */
import { HTTPConnectionPool } from '../../../index.ts';
import {
  answer,
  CODE,
  data,
  frame,
  goaway,
  head,
  pushPromise,
  rstStream,
  settings,
  SETTING,
} from '../../servers/h2-frames.ts';
import { each, h2Server, type H2Peer, type H2Request } from '../../servers/h2-raw.ts';

const outside: string[] = [];
process.on('uncaughtException', (error) => outside.push(`uncaught: ${error.stack}`));
process.on('unhandledRejection', (error) => outside.push(`unhandled: ${String(error)}`));
process.on('warning', (warning) => {
  if (warning.name === 'Error') outside.push(`warning: ${warning.message}`);
});

const faults: ((request: H2Request, peer: H2Peer) => unknown)[] = [
  (request, peer) => peer.send(answer(request.id, 'fine')),
  (request, peer) => peer.send(rstStream(request.id, CODE.INTERNAL_ERROR)),
  (request, peer) => peer.send(rstStream(request.id, CODE.REFUSED_STREAM)),
  (request, peer) => peer.send(head(request.id, 200), data(request.id, 'half'), rstStream(request.id, CODE.NO_ERROR)),
  (request, peer) => peer.send(goaway(request.id)),
  (_, peer) => peer.send(goaway(0, CODE.ENHANCE_YOUR_CALM)),
  (request, peer) =>
    peer.send(head(request.id, 200), data(request.id, 'half'), goaway(request.id, CODE.INTERNAL_ERROR)),
  (_, peer) => peer.send(frame(0, 0, 0, 'x')),
  (_, peer) => peer.send(settings([[SETTING.INITIAL_WINDOW_SIZE, 2 ** 32 - 1]])),
  (request, peer) => peer.send(pushPromise(request.id, 2, [[':path', '/']])),
  (_, peer) => peer.reset(),
  (_, peer) => peer.end(),
  (request, peer) => peer.send(head(request.id, 200), data(request.id, Buffer.alloc(10_000))),
  (request, peer) =>
    peer.send(head(request.id, 200, [['content-encoding', 'gzip']]), data(request.id, 'no', { end: true })),
  () => undefined,
];

let asked = 0;
const server = await h2Server(
  each(async (request, peer) => {
    asked += 1;
    await faults[Number(request.path.slice(1)) % faults.length]?.(request, peer);
  }),
);
const options = { port: server.port, http2: 'prior-knowledge' as const, maxsize: 4, timeout: { read: 100 } };
const counts: Record<string, number> = {};
const note = (how: string): void => void (counts[how] = (counts[how] ?? 0) + 1);
let settled = 0;
let [made, seed] = [0, 7];
for (let round = 0; round < 12; round += 1) {
  const pool = new HTTPConnectionPool('127.0.0.1', { ...options, retries: round % 3 === 0 ? 2 : false });
  const calls: Promise<void>[] = [];
  for (let n = 0; n < 60; n += 1) {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    const signal = AbortSignal.timeout(1 + (seed % 300));
    const streamed = seed % 3 === 0;
    const method = seed % 5 === 0 ? 'POST' : 'GET';
    const body = method === 'POST' ? { body: ['a', Buffer.alloc(seed % 100_000)] } : {};
    made += 1;
    const call = pool
      .request(method, `/${seed % 97}`, { ...body, preloadContent: !streamed, ...(seed % 7 === 0 && { signal }) })
      .then(async (response) => {
        if (streamed && seed % 2 === 0) await response.read();
        return note('response');
      })
      .catch((error: Error) => note(error.name))
      .finally(() => (settled += 1));
    calls.push(call.then(() => undefined));
    if (n % 10 === 9) await new Promise((resolve) => setImmediate(resolve));
  }
  if (round % 4 === 1) void pool.close({ timeout: 20 });
  else if (round % 4 === 2) void pool.close();
  await Promise.all(calls);
  if (round % 4 === 0) await pool.close({ timeout: 0 });
}
await new Promise((resolve) => setTimeout(resolve, 200));
await server.close().catch((error: Error) => outside.push(`server: ${error.message}`));
console.log(JSON.stringify({ made, settled, outside, asked: asked > 0, counts }));
process.exit(0);

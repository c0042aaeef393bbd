/** HTTP/2 as a part of a process: how that ends, workers, and that nothing is ever thrown outside a promise. */
import test, { type ExecutionContext } from 'ava';

import { answer } from './servers/h2-frames.ts';
import { each, h2Server, type H2Server } from './servers/h2-raw.ts';
import { outcome, start } from './support/child.ts';
import { clocked, within } from './support/clocked.ts';

/** Answers `/`, keeps `/slow` waiting for a while and `/never` for ever. */
async function patient(t: ExecutionContext): Promise<H2Server> {
  const server = await h2Server(
    each(async (request, peer) => {
      if (request.path === '/slow') setTimeout(() => void peer.send(answer(request.id, 'slow')), 400);
      else if (request.path !== '/never') await peer.send(answer(request.id, 'ok'));
    }),
  );
  t.teardown(() => server.close());
  return server;
}

clocked('THR-1103: an idle connection does not hold the process, and the exit code stays', async (t) => {
  const { port } = await patient(t);
  const { code, lines, stderr, lingered } = await start('h2-leaves.ts', [port, 'idle']).ended;
  t.deepEqual([code, lines, stderr], [7, ['ready'], '']);
  within(t, lingered < 1_000, `${lingered} ms`);
});

clocked('THR-1103: a stream in flight holds the process until it is answered', async (t) => {
  const { port } = await patient(t);
  const { code, lines, stderr, lingered } = await start('h2-leaves.ts', [port, 'pending']).ended;
  t.deepEqual([code, lines, stderr], [0, ['ready', 'answered 200'], '']);
  within(t, lingered < 1_000, `${lingered} ms`);
});

clocked('THR-1103: process.exit with streams in flight keeps its code', async (t) => {
  const server = await patient(t);
  const { code, signal, stderr, lingered } = await start('h2-leaves.ts', [server.port, 'exit']).ended;
  t.deepEqual([code, signal, stderr], [5, null, '']);
  within(t, lingered < 1_000, `${lingered} ms`);
  await server.peers[0]?.gone();
});

test.serial('THR-1101: workers ended with streams in flight crash nothing and leave no connection', async (t) => {
  const seen = await outcome<{ ended: number; sockets: number; connections: number; failure: string }>(
    'h2-terminate.ts',
    [10],
    { patience: 200_000 },
  );
  t.like(seen, { ended: 40, sockets: 0, failure: 'null' });
  t.true(seen.connections >= 40);
});

test.serial(
  'THR-1010: whatever goes wrong, each call settles once, and nothing is thrown outside a promise',
  async (t) => {
    const seen = await outcome<{ made: number; settled: number; outside: string[]; counts: Record<string, number> }>(
      'h2-throws.ts',
      [],
      { patience: 200_000 },
    );
    t.deepEqual(seen.outside, []);
    t.is(seen.settled, seen.made);
    t.log(seen.counts);
  },
);

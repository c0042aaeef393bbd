/**
 * Peers that are silent for long. These tests wait as long as the product does, together: up to forty seconds to a PING, and
 * twenty for its answer.
 */
import test from 'ava';

import { TYPE } from './servers/h2-frames.ts';
import { each, type H2Request } from './servers/h2-raw.ts';
import { echo, failure, get, overFrames } from './support/h2.ts';

test('THR-426: a peer that is gone without a word is found by PING; its requests fail, and the next goes elsewhere', async (t) => {
  t.timeout(120_000);
  const { pool, server } = await overFrames(
    t,
    async (peer) => {
      if (peer.number > 1) return each(echo)(peer);
      await peer.take(2);
      peer.socket.pause();
    },
    { timeout: null, maxsize: 2 },
  );
  const began = performance.now();
  const errors = await Promise.all([failure(get(pool, '/1')), failure(get(pool, '/2'))]);
  const took = performance.now() - began;
  for (const error of errors)
    t.like(error, { name: 'ProtocolError', code: 'ERR_PROTOCOL', reason: 'ERR_H2_PING', sent: true });
  t.true(took > 45_000 && took < 70_000, String(took));
  t.is((await get(pool, '/next')).text(), '/next');
  t.is(server.peers.length, 2);
});

test('THR-426: a peer that answers its PINGs may be silent for as long as it likes', async (t) => {
  t.timeout(120_000);
  const { pool, server } = await overFrames(
    t,
    each((request, peer) => (request.path === '/held' ? undefined : echo(request, peer))),
    { timeout: null },
  );
  const held = get(pool, '/held');
  const peer = await server.peer(1);
  await peer.until(() => peer.count(TYPE.PING) > 0 && server.requests.length > 0);
  await peer.settled();
  t.is((await get(pool, '/next')).text(), '/next');
  t.is(server.peers.length, 1);
  await echo(server.requests[0] as H2Request, peer);
  t.is((await held).text(), '/held');
});

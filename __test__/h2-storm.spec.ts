/** Many requests over connections that are said goodbye on, refused and reset all the time: one right outcome for each. */
import test from 'ava';

import { answer, CODE, data, goaway, head, rstStream } from './servers/h2-frames.ts';
import { each, type H2Peer, type H2Request } from './servers/h2-raw.ts';
import { counted, overFrames } from './support/h2.ts';

/** The same numbers at each run. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}

const REQUESTS = 20_000;
const GOODBYE_AFTER = 1_000;

for (const maxsize of [1, 3]) {
  test.serial(
    `THR-322 THR-401 THR-402: GOAWAY every thousand streams and one in fifty reset: each POST is served once (maxsize ${maxsize})`,
    async (t) => {
      t.timeout(230_000);
      const chance = numbers(42);
      const served = new Map<string, number>();
      let [refused, reset, goodbyes] = [0, 0, 0];
      const last = new Map<H2Peer, number>();
      const serve = async (request: H2Request, peer: H2Peer): Promise<void> => {
        const token = request.path;
        const body = await peer.body(request);
        // What came after the goodbye is not looked at.
        if (request.id > (last.get(peer) ?? Infinity)) return;
        const luck = chance();
        if (luck < 0.01) {
          refused += 1;
          return peer.send(rstStream(request.id, CODE.REFUSED_STREAM));
        }
        served.set(token, (served.get(token) ?? 0) + 1);
        if (luck < 0.02) {
          reset += 1;
          return peer.send(rstStream(request.id, CODE.INTERNAL_ERROR));
        }
        // Answers overtake one another, and come in one piece or several.
        if (luck < 0.3) await new Promise((resolve) => setImmediate(resolve));
        const text = `${request.method} ${token} ${body.toString()}`;
        if (luck < 0.5) return peer.send(answer(request.id, text));
        await peer.send(head(request.id, 200), data(request.id, text.slice(0, 5)));
        await peer.send(data(request.id, text.slice(5), { end: true }));
      };
      const { pool, server } = await overFrames(
        t,
        async (peer) =>
          each(async (request) => {
            if (request.id > GOODBYE_AFTER * 2 && !last.has(peer)) {
              last.set(peer, request.id);
              goodbyes += 1;
              await peer.send(goaway(request.id));
            }
            await serve(request, peer);
          })(peer),
        { maxsize, block: true, retries: 5, timeout: { total: 120_000 } },
        { settings: [[3, 100]] },
      );
      const planned = Array.from({ length: REQUESTS }, (_, n) =>
        n % 2 === 0 ? { url: `/${n}` } : { url: `/${n}`, method: 'POST', body: `body ${n}` },
      );
      const outcomes: Record<string, number> = {};
      let settledCount = 0;
      for await (const settled of pool.requestMany(planned, { concurrency: 150 })) {
        settledCount += 1;
        const { index: n } = settled;
        const times = served.get(`/${n}`) ?? 0;
        if (settled.ok) {
          const wanted = n % 2 === 0 ? `GET /${n} ` : `POST /${n} body ${n}`;
          if (settled.response.text() !== wanted) t.fail(`${n}: ${settled.response.text()}`);
          if (n % 2 === 1 && times !== 1) t.fail(`POST ${n} was served ${times} times`);
          outcomes['ok'] = (outcomes['ok'] ?? 0) + 1;
        } else {
          const error = settled.error as Error & { reason: Error & { reason?: string } };
          const why = String(error.reason?.reason ?? error.reason);
          outcomes[why] = (outcomes[why] ?? 0) + 1;
          if (n % 2 === 1 && times > 1) t.fail(`POST ${n} was served ${times} times`);
          // A GET is made again; a POST that may have been processed is not.
          if (n % 2 === 0) t.fail(`GET ${n}: ${error.message} ${why}`);
        }
      }
      t.is(settledCount, REQUESTS);
      t.deepEqual(Object.keys(outcomes).toSorted(), ['ERR_H2_RESET', 'ok']);
      t.true(refused > 50 && reset > 50 && goodbyes >= REQUESTS / GOODBYE_AFTER - 3, `${refused} ${reset} ${goodbyes}`);
      t.true(server.peers.length >= goodbyes);
      t.like(counted(pool), { leased: 0, waiting: 0 });
      t.log({ refused, reset, goodbyes, outcomes, connections: server.peers.length });
    },
  );
}

/** Bodies that become gigabytes when they are decoded: each is refused in time, and none of it stays in memory. */
import { HTTPConnectionPool, ResponseTooLarge } from '../../dist/index.js';
import { startServerProcess } from './child.js';
import { books, lanes, Memory, settled, texts } from './common.js';

const codings = ['gzip', 'br', 'zstd'];
const limit = 64;
const width = 2;

/** For each body that is being decoded its limit and four MiB more, and what V8 lets lie outside its heap before it collects. */
const mostGrowth = width * (limit + 4) + 64;

/** No body of these is that much larger than its wire: what is left to refuse it is the limit of its size. */
const anyRatio = { ratio: null };

/** `count` bombs of each coding, preloaded and streamed in turn, every other half dozen without a limit of the ratio. */
export async function bombs(count) {
  const server = await startServerProcess();
  const pool = new HTTPConnectionPool('127.0.0.1', {
    port: server.port,
    maxsize: width,
    block: true,
    limits: { decoded: limit * 1_048_576 },
  });
  const memory = new Memory();
  const seen = { refused: 0, harmless: texts(), other: texts() };
  const by = {};
  const defuse = async (n) => {
    const coding = codings[n % codings.length];
    const streamed = n % 2 === 0;
    const limits = Math.floor(n / 6) % 2 === 0 ? {} : anyRatio;
    try {
      await swallow(pool, `/bomb/${coding}`, { preloadContent: !streamed, limits });
      seen.harmless.push(coding);
    } catch (error) {
      if (!(error instanceof ResponseTooLarge)) {
        seen.other.push(`${coding}: ${error?.message}`);
        return;
      }
      seen.refused += 1;
      const kind = `${coding} ${streamed ? 'streamed' : 'preloaded'}: ${error.limit}`;
      by[kind] = (by[kind] ?? 0) + 1;
    }
  };

  // An ordinary answer first: what the pool itself needs is no bomb's doing.
  await pool.request('GET', '/bytes/1000000/1');
  memory.warm();
  const ended = await lanes(count * codings.length, width, defuse);
  const { status } = await pool.request('GET', '/bytes/1000000/1');
  await settled(pool);

  console.log(`${seen.refused} of ${ended} bombs refused; ${memory.toString()}`);
  for (const [kind, times] of Object.entries(by).toSorted(([one], [other]) => one.localeCompare(other)))
    console.log(`  ${kind}, ${times} times`);
  const complaints = [...books(pool.stats()), ...memory.above(mostGrowth), ...memory.complaints()];
  if (status !== 200) complaints.push(`the pool answered ${status} afterwards`);
  if (seen.harmless.length > 0) complaints.push(`${seen.harmless.length} were taken whole: ${seen.harmless[0]}`);
  if (seen.other.length > 0) complaints.push(`${seen.other.length} ended otherwise: ${seen.other[0]}`);
  await pool.close({ timeout: 5_000 });
  await server.stop();
  return complaints;
}

async function swallow(pool, path, options) {
  const response = await pool.request('GET', path, { retries: false, ...options });
  if (options.preloadContent) return;
  let bytes = 0;
  for await (const piece of response) bytes += piece.length;
  if (bytes > limit * 1_048_576) throw new Error(`${bytes} bytes were handed out`);
}

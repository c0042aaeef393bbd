/**
 * One client of the side-by-side comparison, alone in this process: `node cli/contestant.js NAME PORT SECONDS CONCURRENCY`
 * prints one JSON line. Every body is read whole and its length checked.
 */
import http from 'node:http';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import process from 'node:process';

/** What is asked before the measuring begins: connections are made and the code is warm. */
const WARM_UP_MS = 300;

const [name, portText, secondsText, concurrencyText] = process.argv.slice(2);
const [port, seconds, concurrency] = [portText, secondsText, concurrencyText].map(Number);

/** Each gives its version and a function that gets a path and resolves with the body's length. */
const clients = {
  async ferropool() {
    const { HTTPConnectionPool } = await import('ferropool');
    const pool = new HTTPConnectionPool('127.0.0.1', { port, maxsize: concurrency, block: true });
    return [versionOf('ferropool'), async (path) => (await pool.request('GET', path)).data.length];
  },
  async undici() {
    const { Pool } = await import('undici');
    const pool = new Pool(`http://127.0.0.1:${port}`, { connections: concurrency });
    const get = async (path) => (await (await pool.request({ path, method: 'GET' })).body.arrayBuffer()).byteLength;
    return [versionOf('undici'), get];
  },
  async 'node:http'() {
    const agent = new http.Agent({ keepAlive: true, maxSockets: concurrency });
    const get = (path) =>
      new Promise((resolve, reject) => {
        http
          .get({ host: '127.0.0.1', port, path, agent }, (response) => {
            let length = 0;
            response.on('data', (piece) => {
              length += piece.length;
            });
            response.on('end', () => resolve(length)).on('error', reject);
          })
          .on('error', reject);
      });
    return [process.versions.node, get];
  },
};

const [version, get] = await clients[name]();
const expected = await get('/json');
await load(WARM_UP_MS);
const before = usage();
const requests = await load(seconds * 1000);
const after = usage();
console.log(
  JSON.stringify({
    name,
    version,
    perSecond: (requests / (after.wall - before.wall)) * 1000,
    mainMicros: before.main === null ? null : (after.main - before.main) / requests,
    processMicros: (after.process - before.process) / requests,
  }),
);
process.exit(0);

/** Keeps `concurrency` requests going for so long; how many were answered. */
async function load(forMs) {
  const end = performance.now() + forMs;
  let answered = 0;
  const worker = async () => {
    while (performance.now() < end) {
      const length = await get('/json');
      if (length !== expected) throw new Error(`a body has ${length} bytes in place of ${expected}`);
      answered += 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return answered;
}

function usage() {
  const { user, system } = process.cpuUsage();
  return { wall: performance.now(), process: user + system, main: mainThreadMicros() };
}

/** Only Linux says what one thread has used; its first figure is nanoseconds on a CPU. */
function mainThreadMicros() {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1000;
  } catch {
    return null;
  }
}

function versionOf(packageName) {
  return createRequire(import.meta.url)(`${packageName}/package.json`).version;
}

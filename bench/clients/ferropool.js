/** ferropool: a blocking pool as large as the number of loops; `data` is the whole, decoded body. A streamed one is iterated. */
import { locate, versionOf } from '../packages.js';

const entry = locate('ferropool');

export const version = () => versionOf('ferropool');

export async function open({ host, port }, concurrency) {
  const { HTTPConnectionPool } = await import(entry);
  const pool = new HTTPConnectionPool(host, { port, maxsize: concurrency, block: true });
  const bytes = async (path) => {
    const response = await pool.request('GET', path);
    expectOk(response.status);
    return response.data;
  };
  return {
    bytes,
    decoded: bytes,
    text: async (path) => (await bytes(path)).toString('utf8'),
    down: async (path, take) => {
      const response = await pool.request('GET', path, { preloadContent: false });
      expectOk(response.status);
      for await (const piece of response) take(piece);
    },
    up: async (path, pieces, length) => {
      const headers = { 'content-length': String(length) };
      const response = await pool.request('POST', path, { body: pieces, headers });
      expectOk(response.status);
      return response.text();
    },
    close: () => pool.close(),
  };
}

function expectOk(status) {
  if (status !== 200) throw new Error(`the server answered ${status}`);
}

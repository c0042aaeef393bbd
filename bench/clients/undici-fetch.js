/** undici's fetch with a pool of its own; it decodes by itself. */
import { locate, versionOf } from '../packages.js';

const entry = locate('undici');

export const version = () => versionOf('undici');

export async function open({ origin }, concurrency) {
  const { fetch, Pool } = await import(entry);
  const dispatcher = new Pool(origin, { connections: concurrency });
  const get = async (path, init) => {
    const response = await fetch(origin + path, init ? { ...init, dispatcher } : { dispatcher });
    if (response.status !== 200) throw new Error(`the server answered ${response.status}`);
    return response;
  };
  const bytes = async (path) => new Uint8Array(await (await get(path)).arrayBuffer());
  return {
    bytes,
    decoded: bytes,
    text: async (path) => (await get(path)).text(),
    down: async (path, take) => {
      for await (const piece of (await get(path)).body) take(piece);
    },
    up: async (path, pieces) => (await get(path, upload(pieces))).text(),
    close: () => dispatcher.close(),
  };
}

function upload(pieces) {
  return { method: 'POST', body: ReadableStream.from(pieces), duplex: 'half' };
}

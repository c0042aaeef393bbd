/** impit with its defaults; it decodes by itself. */
import { locate, versionOf } from '../packages.js';

const entry = locate('impit');

export const version = () => versionOf('impit');

export async function open({ origin }) {
  const { Impit } = await import(entry);
  const client = new Impit();
  const get = async (path, init) => {
    const response = await client.fetch(origin + path, init);
    if (response.status !== 200) throw new Error(`the server answered ${response.status}`);
    return response;
  };
  const bytes = async (path) => (await get(path)).bytes();
  return {
    bytes,
    decoded: bytes,
    text: async (path) => (await get(path)).text(),
    down: async (path, take) => {
      for await (const piece of (await get(path)).body) take(piece);
    },
    up: async (path, pieces) => (await get(path, upload(pieces))).text(),
    close: () => undefined,
  };
}

function upload(pieces) {
  return { method: 'POST', body: ReadableStream.from(pieces), duplex: 'half' };
}

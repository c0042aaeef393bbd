/** undici's fetch with a pool of its own; it decodes by itself. */
import { locate, versionOf } from '../packages.js';

const entry = locate('undici');

export const version = () => versionOf('undici');

export async function open({ origin }, concurrency) {
  const { fetch, Pool } = await import(entry);
  const dispatcher = new Pool(origin, { connections: concurrency });
  const get = async (path) => {
    const response = await fetch(origin + path, { dispatcher });
    if (response.status !== 200) throw new Error(`the server answered ${response.status}`);
    return response;
  };
  const bytes = async (path) => new Uint8Array(await (await get(path)).arrayBuffer());
  return {
    bytes,
    decoded: bytes,
    text: async (path) => (await get(path)).text(),
    close: () => dispatcher.close(),
  };
}

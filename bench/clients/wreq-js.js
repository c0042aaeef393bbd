/** wreq-js with one session, which keeps connections; plain `fetch` of it would open one a request. It decodes by itself. */
import { locate, versionOf } from '../packages.js';

const entry = locate('wreq-js');

export const version = () => versionOf('wreq-js');

export async function open({ origin }) {
  const { createSession } = await import(entry);
  const session = await createSession();
  const get = async (path) => {
    const response = await session.fetch(origin + path);
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
    close: () => session.close(),
  };
}

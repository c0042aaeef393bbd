/**
 * wreq-js with one session, which keeps connections; a transport that keeps none where each request shall have its own. It
 * decodes by itself. Of authorities it takes none as an option, but those that OpenSSL's variable names. As a browser it
 * asks for HTTP/2 and takes HTTP/1.1 where the server has nothing else.
 */
import { locate, versionOf } from '../packages.js';

const entry = locate('wreq-js');

export const version = () => versionOf('wreq-js');

export async function open({ origin, transport, ca }) {
  if (transport) process.env.SSL_CERT_FILE = ca;
  const client = await (transport === 'https-new' ? unkept() : kept());
  const get = async (path) => {
    const response = await client.fetch(origin + path);
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
    close: client.close,
  };
}

async function kept() {
  const { createSession } = await import(entry);
  const session = await createSession();
  return { fetch: (url) => session.fetch(url), close: () => session.close() };
}

async function unkept() {
  const { createTransport, fetch } = await import(entry);
  const transport = await createTransport({ poolMaxIdlePerHost: 0 });
  return { fetch: (url) => fetch(url, { transport }), close: () => transport.close() };
}

/**
 * undici's fastest promise interface: `Pool.request`, the body taken by `bytes()` or `text()`; it decodes nothing itself.
 * `pipelining: 0` is its way not to keep a connection; a context made beforehand spares each the reading of the authority.
 * Over HTTP/2 one connection has all the streams. Through a proxy it is `ProxyAgent.request`, with or without tunnels.
 */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { gunzipSync } from 'node:zlib';
import { locate, versionOf } from '../packages.js';

const entry = locate('undici');

/** A thousand connections at once on a busy machine may each take more than its 10 s. */
const connectTimeout = 120_000;

export const version = () => versionOf('undici');

export async function open({ origin, proxy, transport, ca }, concurrency) {
  const { Pool, ProxyAgent } = await import(entry);
  if (proxy) return throughProxy(ProxyAgent, { origin, proxy, transport, ca }, concurrency);
  const pool = new Pool(origin, { connections: concurrency, connectTimeout, ...over(transport, ca, concurrency) });
  const get = async (path) => {
    const { statusCode, body } = await pool.request({ method: 'GET', path });
    if (statusCode !== 200) throw new Error(`the server answered ${statusCode}`);
    return body;
  };
  const bytes = async (path) => (await get(path)).bytes();
  return {
    bytes,
    decoded: async (path) => gunzipSync(await bytes(path)),
    text: async (path) => (await get(path)).text(),
    down: async (path, take) => {
      for await (const piece of await get(path)) take(piece);
    },
    up: async (path, pieces, length) => {
      const headers = { 'content-length': String(length) };
      const { statusCode, body } = await pool.request({ method: 'POST', path, headers, body: pieces });
      if (statusCode !== 200) throw new Error(`the server answered ${statusCode}`);
      return body.text();
    },
    close: () => pool.close(),
  };
}

function throughProxy(ProxyAgent, { origin, proxy, transport, ca }, connections) {
  const how =
    transport === 'forward'
      ? { proxyTunnel: false }
      : {
          connections,
          requestTls: { timeout: connectTimeout, secureContext: createSecureContext({ ca: readFileSync(ca) }) },
        };
  const agent = new ProxyAgent({ uri: proxy, proxyTls: { timeout: connectTimeout }, ...how });
  return {
    bytes: async (path) => {
      const { statusCode, body } = await agent.request({ origin, method: 'GET', path });
      if (statusCode !== 200) throw new Error(`the server answered ${statusCode}`);
      return body.bytes();
    },
    close: () => agent.close(),
  };
}

function over(transport, ca, concurrency) {
  if (!transport) return {};
  const connect = { timeout: connectTimeout, secureContext: createSecureContext({ ca: readFileSync(ca) }) };
  if (transport === 'https-new') return { connect, pipelining: 0 };
  if (transport === 'https') return { connect };
  return { connect, allowH2: true, connections: 1, pipelining: concurrency, maxConcurrentStreams: concurrency };
}

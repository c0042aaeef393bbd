/**
 * ferropool: a blocking pool as large as the number of loops; `data` is the whole, decoded body. A streamed one is iterated.
 * Over TLS it trusts the bench's authority alone; over HTTP/2 all loops share a connection. Through a proxy it is a manager's.
 */
import { locate, versionOf } from '../packages.js';

const entry = locate('ferropool');

export const version = () => versionOf('ferropool');

export async function open({ host, port, origin, proxy, transport, ca }, concurrency) {
  const { HTTPConnectionPool, HTTPSConnectionPool, ProxyManager } = await import(entry);
  if (proxy) return throughProxy(new ProxyManager(proxy, { maxsize: concurrency, block: true, caCerts: ca }), origin);
  const Pool = transport ? HTTPSConnectionPool : HTTPConnectionPool;
  const pool = new Pool(host, { port, maxsize: concurrency, block: true, ...over(transport, ca) });
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

function throughProxy(manager, origin) {
  return {
    bytes: async (path) => {
      const response = await manager.request('GET', origin + path);
      expectOk(response.status);
      return response.data;
    },
    close: () => manager.close(),
  };
}

function over(transport, caCerts) {
  if (transport === 'https') return { caCerts };
  if (transport === 'https-new') return { caCerts, maxRequestsPerConnection: 1 };
  return transport === 'h2' ? { caCerts, http2: true } : {};
}

function expectOk(status) {
  if (status !== 200) throw new Error(`the server answered ${status}`);
}

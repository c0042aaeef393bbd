/** A streamed response that nobody holds, while somebody listens: what is told of it. */
import { subscribe } from 'node:diagnostics_channel';

import { disableWarnings, HTTPConnectionPool } from '../../../index.ts';
import { rawServer } from '../../servers/raw.ts';

disableWarnings();
const server = await rawServer(async (peer) => {
  await peer.request();
  await peer.write(`HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(10)}`);
});
const events: string[] = [];
let bytesRead: unknown = null;
for (const name of ['start', 'headers', 'end', 'error']) {
  subscribe(`ferropool:request:${name}`, (message) => {
    events.push(name);
    if (name === 'end') ({ bytesRead } = message as { bytesRead: number });
  });
}
const closed = new Promise<string | null>((resolve) => {
  subscribe('ferropool:connection:close', (message) => resolve((message as { reason: string | null }).reason));
});
const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port });

/** In a function of its own: its frame would hold the response. */
async function forget(): Promise<void> {
  const response = await pool.request('GET', '/', { preloadContent: false });
  await response.read(10);
}
await forget();
for (let tries = 0; tries < 500 && events.length < 3; tries += 1) {
  globalThis.gc?.();
  // Finalisers run between turns.
  await new Promise((resolve) => setTimeout(resolve, 10));
}
const reason = await closed;
await pool.close();
await server.close();
console.log(JSON.stringify({ events, bytesRead, reason }));

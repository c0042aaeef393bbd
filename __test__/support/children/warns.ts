/**
 * Provokes each warning that can be provoked in a moment, after silencing those it was told to. Prints what came, in order.
 */
import { disableWarnings, HTTPConnectionPool, Timeout, type WarningCategory } from '../../../index.ts';
import { rawServer, reply } from '../../servers/raw.ts';

for (const category of process.argv.slice(2)) {
  disableWarnings(category === 'all' ? undefined : (category as WarningCategory));
}
const seen: { name: string; code: string | undefined }[] = [];
process.on('warning', ({ name, code }: Error & { code?: string }) => seen.push({ name, code }));

Timeout.from({ read: 2 });
const server = await rawServer(async (peer) => {
  for (;;) {
    const asked = await peer.request();
    await peer.write(asked.includes('/stuck') ? 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx' : reply('x'));
  }
});
const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, unreadTimeout: 20 });
for (let n = 0; n < 3; n += 1) await Promise.all([pool.request('GET', '/'), pool.request('GET', '/')]);
const { surplus } = pool.stats();
const response = await pool.request('GET', '/stuck', { preloadContent: false });
while (pool.stats().abandoned === 0) await new Promise((resolve) => setTimeout(resolve, 5));
await response.read().catch(() => null);
// Not ours: nobody silenced it.
process.emitWarning('of the program', 'ProgramWarning');
await pool.close();
await new Promise((resolve) => setImmediate(resolve));
await server.close();
console.log(JSON.stringify({ seen, surplus }));

/** The I/O thread falls with two connections open. Needs `--conditions=ferropool-faults`. Prints what was told of them. */
import { subscribe } from 'node:diagnostics_channel';
import { createRequire } from 'node:module';

import { HTTPConnectionPool } from '../../../index.ts';
import { httpServer } from '../../servers/http.ts';

const addon = createRequire(import.meta.url)('#ferropool-addon') as { armFault(place: string, times: number): void };
const server = await httpServer((request, response) => response.end(request.url));
const pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port: server.port, maxsize: 2 });
const told: string[] = [];
for (const name of ['connection:open', 'connection:close', 'request:end', 'request:error']) {
  subscribe(`ferropool:${name}`, (message) => {
    const { reason } = message as { reason?: string | null };
    told.push(reason == null ? name : `${name} ${reason}`);
  });
}
await Promise.all([pool.request('GET', '/1'), pool.request('GET', '/2')]);
addon.armFault('thread', 1);
const code = await pool.request('GET', '/3').catch((error: unknown) => (error as { code: string }).code);
await pool.request('GET', '/4');
await pool.close();
await server.close();
console.log(JSON.stringify({ code, told: told.toSorted() }));

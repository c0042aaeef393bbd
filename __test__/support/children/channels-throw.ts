/** Subscribers that throw, on every channel. Prints what became of the calls, and what Node.js reported. */
import { subscribe } from 'node:diagnostics_channel';

import { HTTPConnectionPool } from '../../../index.ts';
import { httpServer } from '../../servers/http.ts';

const server = await httpServer((request, response) => response.end(request.url));
const uncaught: string[] = [];
process.on('uncaughtException', (error) => uncaught.push(error.message));
for (const name of ['request:start', 'request:headers', 'request:end', 'connection:open', 'connection:close']) {
  subscribe(`ferropool:${name}`, () => {
    throw new Error(name.split(':')[1]);
  });
}
const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port });
const texts = [(await pool.request('GET', '/1')).text(), (await pool.request('GET', '/2')).text()];
await pool.close();
await new Promise((resolve) => setImmediate(resolve));
await server.close();
console.log(JSON.stringify({ texts, uncaught }));

/**
 * The peer is gone without a word: in a network of its own whose only link is taken down. Prints what became of a request
 * that waited for an answer, and of a connection that was idle.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout } from 'node:timers/promises';

import { HTTPConnectionPool, HTTPError } from '../../../index.ts';

const server = net.createServer((socket) => {
  socket
    .on('error', () => undefined)
    .on('data', (bytes) => {
      if (bytes.includes('/never')) server.emit('asked');
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    });
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as net.AddressInfo;
const pool = new HTTPConnectionPool('127.0.0.1', {
  port,
  maxsize: 2,
  retries: false,
  keepAlive: { idle: 1_000, interval: 1_000, count: 2 },
});
await Promise.all([pool.request('GET', '/'), pool.request('GET', '/')]);
const idle = pool.stats().idle;
const asked = once(server, 'asked');
const waiting = pool.request('GET', '/never', { timeout: { read: 400 } }).catch((error: unknown) => error as HTTPError);
await asked;
execFileSync('ip', ['link', 'set', 'lo', 'down']);
const error = await waiting;
// Probes without an answer end the other one: its driver hears of it, nobody has to ask.
let rounds = 0;
for (; pool.stats().live > 0 && rounds < 200; rounds += 1) await setTimeout(100);
const { live, closed, opened } = pool.stats();
const failed = error instanceof HTTPError ? { code: error.code, phase: error.phase } : null;
console.log(JSON.stringify({ idle, failed, live, closed, opened }));
process.exit(0);

/**
 * The server where there is no nginx: node:http, node:https and node:http2 in a process of its own. The runner starts it
 * with the folder of the bodies as its argument and reads the three ports that it prints; it ends with its standard input,
 * so that it cannot be left behind.
 */
import { constants } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer as createTlsServer } from 'node:https';
import { connect } from 'node:net';
import path from 'node:path';

const folder = process.argv[2];
const routes = new Map();
for (const [url, { type, encoding, file }] of Object.entries(
  JSON.parse(readFileSync(path.join(folder, 'routes.json'), 'utf8')),
)) {
  const body = readFileSync(path.join(folder, file));
  const headers = { 'content-type': type, 'content-length': body.length };
  if (encoding) headers['content-encoding'] = encoding;
  routes.set(url, { headers, body });
}

/** Reads an upload to its end and answers with the number of its bytes. */
function count(request, response) {
  let bytes = 0;
  request.on('data', (piece) => (bytes += piece.length));
  request.on('end', () => response.end(String(bytes)));
}

function answer(request, response) {
  if (request.url === '/sink') return count(request, response);
  // As a proxy it is given the whole URL (RFC 9112 §3.2.2).
  const route = routes.get(request.url.replace(/^http:\/\/[^/]+/, ''));
  if (!route) return response.writeHead(404, { 'content-length': 0 }).end();
  return response.writeHead(200, route.headers).end(route.body);
}

/** A tunnel, for who takes this server for its proxy. */
function connectTo(request, client, early) {
  const [host, port] = request.url.split(':');
  const origin = connect({ host, port: Number(port), noDelay: true }, () => {
    client.write('HTTP/1.1 200 Connection established\r\n\r\n');
    origin.write(early);
    origin.pipe(client).pipe(origin);
  });
  client.on('error', () => origin.destroy());
  origin.on('error', () => client.destroy());
}

const kept = { keepAliveTimeout: 600_000, requestTimeout: 0 };
const certificate = (file) => readFileSync(new URL(`certificates/${file}`, import.meta.url));
// No session is resumed, as with nginx: without tickets the server would have to keep them, and nobody tells it how.
const secure = {
  cert: certificate('server.pem'),
  key: certificate('server.key'),
  minVersion: 'TLSv1.3',
  secureOptions: constants.SSL_OP_NO_TICKET,
};
const servers = [
  createServer(kept, answer).on('connect', connectTo),
  createTlsServer({ ...kept, ...secure }, answer),
  createSecureServer({ ...secure, settings: { maxConcurrentStreams: 1024 } }, answer),
];
const ports = servers.map(
  (server) =>
    new Promise((resolve) => {
      server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => resolve(server.address().port));
    }),
);
console.log((await Promise.all(ports)).join(' '));
process.stdin.resume().on('end', () => process.exit(0));

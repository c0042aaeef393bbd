/**
 * The server where there is no nginx: node:http in a process of its own. The runner starts it with the folder of the
 * bodies as its argument and reads the port it prints; it ends with its standard input, so that it cannot be left behind.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
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

const server = createServer({ keepAliveTimeout: 600_000, requestTimeout: 0 }, (request, response) => {
  if (request.url === '/sink') return count(request, response);
  const route = routes.get(request.url);
  if (!route) return response.writeHead(404, { 'content-length': 0 }).end();
  return response.writeHead(200, route.headers).end(route.body);
});
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => console.log(server.address().port));
process.stdin.resume().on('end', () => process.exit(0));

/**
 * Servers over TLS in a process of their own, as many as its argument says: they end every connection with its answer, and offer
 * sessions to resume.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const certificate = (file) => readFileSync(new URL(`../certificates/${file}`, import.meta.url));
/** One set for all of them: whatever session a client offers is resumed. */
const ticketKeys = randomBytes(48);

function start() {
  const server = createServer(
    { cert: certificate('server.pem'), key: certificate('server.key'), ticketKeys },
    (request, response) => {
      response.writeHead(200, { connection: 'close', 'x-resumed': String(request.socket.isSessionReused()) });
      response.end(request.url);
    },
  );
  // A client that trusts somebody else breaks off.
  server.on('tlsClientError', () => {});
  return server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 });
}

process.on('disconnect', () => process.exit(0));
const servers = Array.from({ length: Number(process.argv[2] ?? 1) }, start);
await Promise.all(servers.map((server) => once(server, 'listening')));
const ports = servers.map((server) => server.address().port);
process.send({ port: ports[0], ports });

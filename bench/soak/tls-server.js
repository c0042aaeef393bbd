/** A server over TLS in a process of its own: it ends every connection with its answer, and offers sessions to resume. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

const certificate = (file) => readFileSync(new URL(`../certificates/${file}`, import.meta.url));
const server = createServer(
  { cert: certificate('server.pem'), key: certificate('server.key') },
  (request, response) => {
    response.writeHead(200, { connection: 'close', 'x-resumed': String(request.socket.isSessionReused()) });
    response.end(request.url);
  },
);
// A client that trusts somebody else breaks off.
server.on('tlsClientError', () => {});
process.on('disconnect', () => process.exit(0));
server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () => process.send({ port: server.address().port }));

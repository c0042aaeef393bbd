/**
 * A server that is killed while it serves. What it has taken of POSTs is written to a file before it answers, so that the
 * count outlives it: a line with the id for each request whose body was whole.
 */
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';

const [port, file] = process.argv.slice(2);
const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  if (request.method !== 'POST') return void response.end('here');
  let id = '';
  request.setEncoding('latin1').on('data', (piece) => (id += piece));
  return void request.on('end', () => {
    appendFileSync(file, `${id}\n`);
    response.end(id);
  });
});
process.on('disconnect', () => process.exit(0));
server.listen({ port: Number(port), host: '127.0.0.1', backlog: 4_096 }, () =>
  process.send({ port: server.address().port }),
);

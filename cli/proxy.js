/**
 * A proxy of HTTP in small, for the pages' code and the examples: it passes requests on and opens tunnels to this machine,
 * whatever the name, so that nothing that is tried with it leaves it. Lives and ends as `origin.js` does, and takes
 * a port as it does.
 */
import { createServer, request } from 'node:http';
import { connect } from 'node:net';
import process from 'node:process';

const here = '127.0.0.1';
const server = createServer((asked, answer) => {
  const { port, pathname, search } = new URL(asked.url, 'http://proxy.invalid');
  const { 'proxy-authorization': _, ...headers } = asked.headers;
  const onward = { host: here, port, method: asked.method, path: pathname + search, headers };
  const passed = request(onward, (got) => {
    answer.writeHead(got.statusCode, got.headers);
    got.pipe(answer);
  });
  passed.on('error', () => answer.writeHead(502).end());
  asked.pipe(passed);
});
server.on('connect', (asked, client) => {
  const origin = connect(Number(asked.url.split(':').at(-1)), here, () => {
    client.write('HTTP/1.1 200 Connection established\r\n\r\n');
    client.pipe(origin).pipe(client);
  });
  origin.on('error', () => client.destroy());
  client.on('error', () => origin.destroy());
});
server.listen(Number(process.argv[2] ?? 0), here, () => console.log(server.address().port));
process.stdin.resume().once('close', () => process.exit(0));

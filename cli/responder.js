/**
 * The server of the side-by-side comparison: it answers every request with the same page of JSON and looks at nothing but
 * where a request ends. Node's own HTTP server would be the slowest part of the race. Lives and ends as `origin.js` does.
 */
import { createServer } from 'node:net';
import process from 'node:process';

const page = JSON.stringify({
  articles: Array.from({ length: 3 }, (_, at) => ({ id: at + 1, title: `Article ${at + 1}`, words: 640 + at })),
});
const answer = Buffer.from(
  `HTTP/1.1 200 OK\r\nServer: responder\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${page.length}\r\nConnection: keep-alive\r\n\r\n${page}`,
);

const server = createServer({ noDelay: true }, (socket) => {
  let rest = '';
  socket.on('error', () => socket.destroy());
  socket.on('data', (piece) => {
    const heads = (rest + piece.toString('latin1')).split('\r\n\r\n');
    rest = heads.pop() ?? '';
    for (let served = 0; served < heads.length; served += 1) socket.write(answer);
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().once('close', () => process.exit(0));

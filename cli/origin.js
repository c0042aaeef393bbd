/**
 * A small web site on this machine: the server that `npm start`, the examples and the README's code talk to. A process of
 * its own (`node cli/origin.js`, or `node cli/origin.js 8080 8443` for ports of your choice): it prints its ports on one line, of http
 * and of https, and ends when its standard input does, so it never outlives who started it.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createSecureServer } from 'node:http2';
import process from 'node:process';
import { gzipSync } from 'node:zlib';

const articles = [
  { id: 1, title: 'Keeping connections', words: 640 },
  { id: 2, title: 'Waiting in line', words: 380 },
  { id: 3, title: 'What a deadline is for', words: 910 },
];

const html = 'text/html; charset=utf-8';
const page = (title, body) => `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>${title}</title></head>
<body>
<header><nav><a href="/">Home</a> <a href="/articles">Articles</a> <a href="/about">About</a></nav></header>
<main><h1>${title}</h1>
${body}
</main>
</body>
</html>
`;

const paragraphs = (count) =>
  Array.from(
    { length: count },
    (_, index) => `<p>Paragraph ${index + 1}: a pool lends a connection and wants it back.</p>`,
  ).join('\n');
const listing = articles.map(({ id, title }) => `<li><a href="/articles/${id}">${title}</a></li>`).join('\n');
const asJson = JSON.stringify({ articles, count: articles.length });
const gzipped = gzipSync(page('Compressed', paragraphs(400)));

/** Path → answer. An answer is a status, a content type, a body and whatever headers it has besides. */
const routes = {
  '/': () => [200, html, page('A small site', '<p>Served from this machine, for as long as you look at it.</p>')],
  '/about': () => [200, html, page('About', paragraphs(3))],
  '/articles': () => [200, html, page('Articles', `<ul>\n${listing}\n</ul>`)],
  '/json': () => [200, 'application/json', asJson],
  '/gzip': () => [200, html, gzipped, { 'content-encoding': 'gzip' }],
  '/moved': () => [301, html, page('Moved', '<p>It is <a href="/about">here</a> now.</p>'), { location: '/about' }],
  '/search': (url) => [
    200,
    'text/javascript; charset=utf-8',
    `results(${JSON.stringify({ q: url.searchParams.get('q'), v: url.searchParams.get('v'), found: articles.length })});\n`,
  ],
};

function answer(method, target) {
  const url = new URL(target, 'http://origin.invalid');
  const article = articles.find(({ id }) => url.pathname === `/articles/${id}`);
  if (article) return [200, html, page(article.title, paragraphs(article.words / 10))];
  return routes[url.pathname]?.(url) ?? [404, html, page('Not found', `<p>No page answers this ${method}.</p>`)];
}

function serve(request, response) {
  // What was sent is read and dropped: an unread body would cost the connection.
  request.resume();
  const [status, type, body, extra] = answer(request.method, request.url);
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  response.writeHead(status, { 'content-type': type, 'content-length': bytes.length, ...extra });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

/**
 * One page at a pace that shows in a timing: the head after 150 ms (`?after=`), then three pieces, 60 ms (`?pause=`) after each
 * of them.
 */
function serveSlowly(request, response, url) {
  request.resume();
  const [after, pause] = [url.searchParams.get('after') ?? 150, url.searchParams.get('pause') ?? 60].map(Number);
  const pieces = ['one\n', 'two\n', 'three\n'];
  const next = () => {
    const piece = pieces.shift();
    if (piece === undefined) response.end();
    else response.write(piece, () => setTimeout(next, pause));
  };
  setTimeout(() => {
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
    next();
  }, after);
}

/** What came: method, headers, how many bytes the body has, and its first 1,000 of them as text. */
async function echo(request, response) {
  let bytes = 0;
  let body = Buffer.alloc(0);
  for await (const piece of request) {
    bytes += piece.length;
    if (body.length < 1_000) body = Buffer.concat([body, piece]).subarray(0, 1_000);
  }
  const { method, headers } = request;
  respond(response, 200, 'application/json', JSON.stringify({ method, bytes, body: body.toString(), headers }));
}

/** `?bytes=` of text in lines of 64 (8 MiB unless told), no faster than they are taken. */
function download(request, response, url) {
  request.resume();
  let left = Number(url.searchParams.get('bytes') ?? 8 * 1_048_576);
  const block = Buffer.from(`${'a line of sixty-four bytes, '.repeat(3).slice(0, 63)}\n`.repeat(1_024));
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'content-length': left });
  const more = () => {
    while (left > 0) {
      const piece = block.subarray(0, Math.min(left, block.length));
      left -= piece.length;
      if (!response.write(piece)) return;
    }
    response.end();
  };
  response.on('drain', more);
  more();
}

/** How often each URL of /busy was asked for: `?times=` times it answers 503 (`?after=` with a Retry-After), then 200. */
const asked = new Map();
function busy(request, response, url) {
  request.resume();
  const count = (asked.get(request.url) ?? 0) + 1;
  asked.set(request.url, count);
  const after = url.searchParams.get('after');
  if (count > Number(url.searchParams.get('times') ?? 1)) respond(response, 200, html, page('At last', paragraphs(1)));
  else respond(response, 503, html, page('Busy', paragraphs(1)), after ? { 'retry-after': after } : {});
}

/** Announces 1,000 bytes and hangs up after ten. */
function cut(request, response) {
  request.resume();
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': 1_000 });
  response.write('ten bytes\n', () => response.destroy());
}

/** To the same page of another origin: "localhost" and "127.0.0.1" are two. */
function away(request, response) {
  request.resume();
  const location = `http://127.0.0.1:${request.socket.localPort}/echo`;
  respond(response, 302, html, page('Away', paragraphs(1)), { location });
}

function respond(response, status, type, text, extra = {}) {
  const body = Buffer.from(text);
  response.writeHead(status, { 'content-type': type, 'content-length': body.length, ...extra }).end(body);
}

/** Path → handler of its own. `/never` never answers. */
const handlers = {
  '/slow': serveSlowly,
  '/echo': echo,
  '/download': download,
  '/busy': busy,
  '/cut': cut,
  '/away': away,
};
handlers['/never'] = (request) => request.resume();

const handler = (request, response) => {
  const url = new URL(request.url, 'http://origin.invalid');
  // A client may go away in the middle; that is its own affair.
  Promise.resolve((handlers[url.pathname] ?? serve)(request, response, url)).catch(() => request.destroy());
};
const options = { keepAliveTimeout: 60_000 };
// Made for this server alone, and good for a hundred years; whoever trusts cli/authority.pem trusts its key, which is no secret.
const identity = readFileSync(new URL('origin.pem', import.meta.url));
const secure = { ...options, allowHTTP1: true, cert: identity, key: identity };
const ports = await Promise.all([
  listening(() => createServer(options, handler), process.argv[2]),
  listening(() => createSecureServer(secure, handler), process.argv[3]),
]);
console.log(ports.join(' '));

/** The port of a server on both of this machine's own addresses. */
function listening(make, wanted = '0') {
  return new Promise((resolve) => {
    const server = make();
    server.listen(Number(wanted), '127.0.0.1', () => {
      const { port } = server.address();
      // "localhost" may mean ::1 first. Where there is no IPv6, clients find the other address by themselves.
      const ready = () => resolve(port);
      make().once('error', ready).listen(port, '::1', ready);
    });
  });
}

process.stdin.resume().once('close', () => process.exit(0));

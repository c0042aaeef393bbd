/**
 * All hosts of the crawl: one port on every address of 127.0.0.0/8, in a process of its own, with no HTTP library between
 * it and what a bad host sends. `/KIND/NUMBER` says how a request is treated. Asked by a message, it reports what it saw.
 */
import { createServer } from 'node:net';
import { gzipSync } from 'node:zlib';
import { Arrivals } from './arrivals.js';

/** Seconds that a busy host asks for. */
const RETRY_AFTER = 1;
/** Milliseconds within which a client has heard of it, and takes for its own clock's error at the end. */
const [HEARD, EARLY] = [300, 50];

const arrivals = new Arrivals();
const hits = {};
const tried = new Set();
const pauses = new Map();
/** Of each connection that has ended: when it was there for certain. */
const spans = [];
const open = new Map();
let inPauses = 0;

const answer = (socket, body, fields = '') =>
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${fields}\r\n${body}`);
const large = 'x'.repeat(50_000);

const kinds = {
  ok: (socket, text) => answer(socket, text),
  large: (socket, text) => answer(socket, text + large),
  gzip(socket, text) {
    const body = gzipSync(text);
    socket.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`);
    socket.write(body);
  },
  reset: (socket) => socket.resetAndDestroy(),
  cut(socket) {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nno more than this', () => socket.resetAndDestroy());
  },
  short: (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nno more than this'),
  garbage: (socket) => socket.end('this is no head\r\n\r\n'),
  never: () => undefined,
  slow(socket) {
    socket.write('HTTP/1.1 200 OK\r\nX-Slow: ');
    const drip = setInterval(() => socket.write('x'), 20);
    socket.on('close', () => clearInterval(drip));
  },
  busy(socket, text, host) {
    if (tried.has(text)) return answer(socket, text);
    tried.add(text);
    const sent = performance.now();
    pauses.set(host, { from: sent + HEARD, to: sent + RETRY_AFTER * 1_000 - EARLY });
    return socket.write(`HTTP/1.1 503 Busy\r\nRetry-After: ${RETRY_AFTER}\r\nContent-Length: 0\r\n\r\n`);
  },
  gone: (socket) => socket.write('HTTP/1.1 503 Gone for good\r\nContent-Length: 4\r\n\r\ngone'),
  loop: (socket, text) => answerMoved(socket, `/loop/${text.split(' ')[1]}`),
  away(socket, text) {
    const [host, number] = text.split(' ');
    answerMoved(
      socket,
      `http://${host.replace(/\d+/, (n) => String((Number(n) + 1) % Number(process.argv[2])))}/ok/${number}`,
    );
  },
  badgzip: (socket) => answer(socket, 'this was never compressed', 'Content-Encoding: gzip\r\n'),
  huge: (socket, text) => answer(socket, text + large),
};

function answerMoved(socket, location) {
  socket.write(`HTTP/1.1 302 Found\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`);
}

function take(socket, head, earliest) {
  const [, kind, number] = /^GET \/(\w+)\/(\d+) HTTP\/1\.1\r\n/.exec(head) ?? [];
  const host = /^host: ([^\r:]+)/im.exec(head)?.[1];
  if (kind === undefined || host === undefined || !Object.hasOwn(kinds, kind))
    throw new Error(`not asked for: ${head}`);
  arrivals.note(host, earliest);
  hits[kind] = (hits[kind] ?? 0) + 1;
  const pause = pauses.get(host);
  const [now, waited] = arrivals.attention.see();
  if (pause !== undefined && Math.min(now - waited, earliest) > pause.from && now < pause.to) inPauses += 1;
  kinds[kind](socket, `${host} ${number}`, host);
}

/**
 * When the connection that is accepted now may have been there already. libuv accepts one in each turn of its loop: what
 * comes in between queues up in the kernel, with its first request, and nobody says for how long. It is known to be empty
 * in a turn in which none was accepted.
 */
const queue = {
  /** When it was last known to be empty, as long as it is not. */
  since: null,
  accepted: 0,
  earliest() {
    this.accepted += 1;
    if (this.since === null) {
      const [now, waited] = arrivals.attention.see();
      this.since = now - waited;
      setImmediate(() => this.look());
    }
    return this.since;
  },
  look() {
    if (this.accepted === 0) {
      this.since = null;
      return;
    }
    this.accepted = 0;
    setImmediate(() => this.look());
  },
};

const server = createServer({ noDelay: true }, (socket) => {
  let earliest = queue.earliest();
  open.set(socket, performance.now());
  const gone = () => {
    const since = open.get(socket);
    if (since === undefined) return;
    open.delete(socket);
    const [now, waited] = arrivals.attention.see();
    spans.push([since, now - waited]);
  };
  socket.on('end', gone).on('close', gone).on('error', gone);
  let text = '';
  socket.setEncoding('latin1').on('data', (piece) => {
    text += piece;
    for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
      const head = text.slice(0, end + 4);
      text = text.slice(end + 4);
      take(socket, head, earliest);
      earliest = Infinity;
    }
  });
});

/** The most connections that were certainly there at one moment. */
function mostAtOnce() {
  const edges = [...spans, ...[...open.values()].map((since) => [since, Infinity])]
    .filter(([from, to]) => to > from)
    .flatMap(([from, to]) => [
      [from, 1],
      [to, -1],
    ])
    .toSorted(([one, up], [other, down]) => one - other || up - down);
  let [now, most] = [0, 0];
  for (const [, step] of edges) {
    now += step;
    most = Math.max(most, now);
  }
  return most;
}

process.on('message', ({ span }) => {
  const rates = arrivals.hosts.map((host) => ({
    host,
    count: arrivals.count(host),
    most: arrivals.most(host, span),
    each: arrivals.perSecond(host),
  }));
  process.send({ hits, rates, connections: spans.length + open.size, mostAtOnce: mostAtOnce(), inPauses });
});
process.on('disconnect', () => process.exit(0));
server.listen({ port: 0, host: '0.0.0.0', backlog: 4_096 }, () => process.send({ port: server.address().port }));

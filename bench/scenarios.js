/**
 * What is measured: the scenarios, the bodies they serve, and how a client's answer is checked.
 * The runner and every measured process read this one table, so they cannot disagree about it.
 */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { mebibyte, wirePieces } from './streams.js';

/** What comes before anything counts: so many seconds, and then so many requests unless they would take longer than `atMost` seconds. */
export const warmup = { seconds: 0.3, requests: 3000, atMost: 1.5 };

/** The smoke run's: it wants no figures, only answers. */
export const shortWarmup = { seconds: 0.1, requests: 0, atMost: 0.1 };

/** How much one streamed body is, and the smoke run's. */
export const streamSize = 256 * mebibyte;
export const shortStreamSize = 4 * mebibyte;

/**
 * `path` is asked for by `concurrency` loops at once; `kind` says what is done with the body. `transport` is what the
 * request goes over, plain HTTP/1.1 unless it is said: `https` (HTTP/1.1 over kept TLS connections), `https-new` (a TLS
 * connection with a full handshake for each request), `h2` (HTTP/2 over TLS), `forward` (a proxy is given the request for a
 * plain origin) or `connect` (kept TLS connections through a proxy's tunnels).
 */
export const scenarios = [
  { name: 'small-1', title: '183-byte body, 1 at a time', path: '/small', concurrency: 1, kind: 'bytes' },
  { name: 'small-10', title: '183-byte body, 10 concurrent', path: '/small', concurrency: 10, kind: 'bytes' },
  { name: 'small-100', title: '183-byte body, 100 concurrent', path: '/small', concurrency: 100, kind: 'bytes' },
  { name: 'small-1000', title: '183-byte body, 1,000 concurrent', path: '/small', concurrency: 1000, kind: 'bytes' },
  { name: 'body-1m-10', title: '1 MiB body, 10 concurrent', path: '/body-1m', concurrency: 10, kind: 'bytes' },
  {
    name: 'json-10k-100',
    title: '10 KiB of JSON as text, 100 concurrent',
    path: '/json-10k',
    concurrency: 100,
    kind: 'text',
  },
  {
    name: 'json-parsed-10k-100',
    title: '10 KiB of JSON, parsed, 100 concurrent',
    path: '/json-10k',
    concurrency: 100,
    kind: 'json',
  },
  {
    name: 'gzip-100k-100',
    title: 'gzip of 100 KiB, decoded, 100 concurrent',
    path: '/gzip-100k',
    concurrency: 100,
    kind: 'gzip',
  },
  {
    name: 'https-small-100',
    title: '183-byte body over TLS, 100 concurrent',
    path: '/small',
    concurrency: 100,
    kind: 'bytes',
    transport: 'https',
  },
  {
    name: 'https-new-10',
    title: '183-byte body, a new TLS connection for each, 10 concurrent',
    path: '/small',
    concurrency: 10,
    kind: 'bytes',
    transport: 'https-new',
  },
  {
    name: 'h2-100',
    title: '183-byte body over HTTP/2, 100 concurrent streams',
    path: '/small',
    concurrency: 100,
    kind: 'bytes',
    transport: 'h2',
  },
  {
    name: 'proxy-forward-100',
    title: '183-byte body through a forward proxy, 100 concurrent',
    path: '/small',
    concurrency: 100,
    kind: 'bytes',
    transport: 'forward',
  },
  {
    name: 'proxy-connect-100',
    title: '183-byte body over TLS through CONNECT, 100 concurrent',
    path: '/small',
    concurrency: 100,
    kind: 'bytes',
    transport: 'connect',
  },
  {
    name: 'stream-down',
    title: 'a large body read piece by piece, 1 at a time',
    path: '/stream',
    concurrency: 1,
    kind: 'stream-down',
  },
  {
    name: 'stream-up',
    title: 'a large body sent piece by piece, 1 at a time',
    path: '/sink',
    concurrency: 1,
    kind: 'stream-up',
  },
  { name: 'cold', title: 'import and first request in a fresh process', path: '/small', concurrency: 1, kind: 'cold' },
  {
    name: 'https-cold',
    title: 'import and first request over TLS in a fresh process',
    path: '/small',
    concurrency: 1,
    kind: 'cold',
    transport: 'https',
  },
];

/** Whether a scenario is about a body that is never in one place, up or down. */
export const isStream = ({ kind }) => kind.startsWith('stream-');

/** Whether a scenario's requests go through a proxy. */
export const isProxied = ({ transport }) => transport === 'forward' || transport === 'connect';

/** Whether a scenario's requests go over TLS. */
export const isSecure = ({ transport }) => transport !== undefined && transport !== 'forward';

/** What a rate counts. */
export const rateUnit = (scenario) => (isStream(scenario) ? 'MiB/s' : 'requests/s');

/**
 * The bodies by path: what a client must end up with, and what goes over the wire where that is something else. Of the
 * streamed one only the block is given that it repeats, and its size; without a size it is not there.
 */
export function makeBodies(token, streamed = 0) {
  const text = (length, fill) => Buffer.from(framed(token, length, fill), 'latin1');
  const gzipped = text(100 * 1024, tableRows);
  const block = binary(token, mebibyte);
  block.write(token, token.length, 'latin1');
  const stream = { type: 'application/octet-stream', body: block, pieces: () => wirePieces(block, streamed) };
  return {
    ...(streamed > 0 && { '/stream': stream }),
    '/small': { type: 'text/plain', body: text(183, (length) => 'small body, '.repeat(length)) },
    '/body-1m': { type: 'application/octet-stream', body: binary(token, 1024 * 1024) },
    '/json-10k': { type: 'application/json', body: Buffer.from(jsonDocument(token, 10 * 1024), 'latin1') },
    '/gzip-100k': { type: 'text/plain', body: gzipped, wire: gzipSync(gzipped, { level: 6 }), encoding: 'gzip' },
  };
}

/**
 * Makes the check of one scenario. Its length and three places are looked at each time, the whole of it while warming
 * up: to compare a whole megabyte each time would be measured as if the client had spent it.
 */
export function makeCheck(scenario, expected) {
  if (scenario.kind === 'json') return checkJson(expected);
  if (scenario.kind === 'text') return checkText(expected);
  const places = [0, expected.length >> 1, expected.length - 8];
  return (body, thorough) => {
    let right = body.length === expected.length;
    if (right && thorough) right = Buffer.compare(body, expected) === 0;
    for (let place = 0; right && place < places.length; place += 1) {
      for (let at = places[place], end = at + 8; at < end; at += 1) right &&= body[at] === expected[at];
    }
    if (!right) throw new Error(`a body of ${body.length} bytes is not the expected one of ${expected.length}`);
  };
}

/** Text is looked at as bytes are. */
function checkText(expected) {
  const text = expected.toString('latin1');
  const pieces = [0, text.length >> 1, text.length - 8].map((at) => [at, text.slice(at, at + 8)]);
  return (body, thorough) => {
    const right = body.length === text.length && pieces.every(([at, piece]) => body.startsWith(piece, at));
    if (!right || (thorough && body !== text)) {
      throw new Error(`a text of ${body.length} characters is not the expected one of ${text.length}`);
    }
  };
}

/** Of a document the text's length is checked, its first, middle and last record, and while warming up all of it. */
function checkJson(expected) {
  const text = expected.toString('latin1');
  const { token, records } = JSON.parse(text);
  const middle = records.length >> 1;
  return (body, thorough) => {
    const document = JSON.parse(body);
    const right =
      body.length === text.length &&
      document.token === token &&
      document.records.length === records.length &&
      document.records[middle].token === token &&
      document.records.at(-1).token === token &&
      (!thorough || body === text);
    if (!right) throw new Error(`a document of ${body.length} characters is not the expected one of ${text.length}`);
  };
}

/** Text with the token at its start, middle and end, where the check looks. */
function framed(token, length, fill) {
  const filling = fill(length);
  const middle = length >> 1;
  const first = filling.slice(0, middle - token.length);
  const second = filling.slice(first.length, first.length + length - middle - 2 * token.length);
  return token + first + token + second + token;
}

/** Rows that differ in a number and a few words: gzip makes a tenth of them, as of a page of a shop or a log. */
function tableRows(length) {
  const random = generator('rows');
  const words = ['blue', 'green', 'small', 'large', 'new', 'used', 'round', 'plain'];
  let text = '';
  for (let row = 0; text.length < length; row += 1) {
    const word = words[random() % words.length];
    const code = (random() % 1e6).toString(36);
    text += `<tr class="row"><td class="id">${1000 + row}</td><td class="code">${code}</td><td class="name">A ${word} item</td><td class="price">${random() % 1000}.00</td></tr>\n`;
  }
  return text;
}

function jsonDocument(token, length) {
  const random = generator('json');
  const records = [];
  const document = () => JSON.stringify({ token, records });
  while (document().length < length - 160) {
    const id = records.length;
    records.push({
      id,
      token,
      name: `record ${id}`,
      price: (random() % 10_000) / 100,
      tags: ['a', 'b', `t${random() % 9}`],
      ok: id % 3 === 0,
    });
  }
  const { length: soFar } = JSON.stringify({ token, records, padding: '' });
  return JSON.stringify({ token, records, padding: 'x'.repeat(length - soFar) });
}

function binary(token, length) {
  const random = generator('binary');
  const body = Buffer.alloc(length);
  for (let at = 0; at < length; at += 4) body.writeUInt32LE(random(), at);
  for (const at of [0, length >> 1, length - token.length]) body.write(token, at, 'latin1');
  return body;
}

/** A xorshift generator: the bodies are the same in every run but for the token. */
function generator(name) {
  let state = createHash('sha256').update(name).digest().readUInt32LE() || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

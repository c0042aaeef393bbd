/**
 * Proxies by the hundred in a process of their own, each on one port of an address of its own, and the two origins behind them.
 * Each speaks HTTP (whole requests, CONNECT) and SOCKS5, as its client does. A message `{ nth, manner }` makes one of them live
 * or die in another manner: whatever goes through it ends at once, and what comes then is treated so. Asked `{ report: true }`,
 * it says how many connections there are.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';

const certificate = (file) => readFileSync(new URL(`../certificates/${file}`, import.meta.url));
const kept = { keepAliveTimeout: 600_000 };
const answer = (request, response) => response.end(`${request.url} over ${request.socket.encrypted ? 'TLS' : 'TCP'}`);
const origins = [
  http.createServer(kept, answer),
  https.createServer({ ...kept, cert: certificate('server.pem'), key: certificate('server.key') }, answer),
];
for (const origin of origins) {
  origin.on('tlsClientError', () => {});
  origin.on('clientError', (_, socket) => socket.destroy());
  origin.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 });
  await once(origin, 'listening');
}
const [plain, secure] = origins.map((origin) => origin.address().port);

const GARBAGE = '\0\x01\x02 this is nothing that a proxy says\r\n\r\n';
const PAGE = 'HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\nConnection: close\r\n\r\nforbidden';
const HALF = 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nno more';
const ESTABLISHED = 'HTTP/1.1 200 Connection established\r\n\r\n';
const [METHOD, GRANTED, BARRED] = [
  Buffer.from([5, 0]),
  Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]),
  Buffer.from([5, 2, 0, 1, 0, 0, 0, 0, 0, 0]),
];

/** Of each proxy the manner, its listener and its connections. */
class Proxy {
  manner = 'fine';
  #address;
  #server = null;
  #open = new Set();

  constructor(address) {
    this.#address = address;
  }

  async listen(port) {
    this.#server = net.createServer({ noDelay: true }, (client) => void this.#take(client));
    this.#server.listen({ port, host: this.#address, backlog: 1_024 });
    await once(this.#server, 'listening');
    return this.#server.address().port;
  }

  get connections() {
    // One that is reset while something is being written may never say that it has closed.
    return [...this.#open].filter(({ destroyed }) => !destroyed).length;
  }

  /** Lives or dies like this from now on. */
  async become(manner, port) {
    this.manner = manner;
    for (const socket of this.#open) socket.resetAndDestroy();
    if (manner === 'refuses' && this.#server !== null) {
      const closed = once(this.#server, 'close');
      this.#server.close();
      this.#server = null;
      await closed;
    } else if (manner !== 'refuses' && this.#server === null) {
      await this.listen(port);
    }
  }

  #hold(socket) {
    this.#open.add(socket);
    return socket.on('error', () => {}).on('close', () => this.#open.delete(socket));
  }

  async #take(client) {
    this.#hold(client);
    const input = new Input(client);
    try {
      if (this.manner === 'stalls') await input.nothing();
      const first = await input.take(1);
      if (first[0] === 5) await this.#socks(client, input);
      else await this.#http(client, input, first);
    } catch {
      client.destroy();
    }
  }

  /** RFC 1928, without a password. */
  async #socks(client, input) {
    const [methods] = await input.take(1);
    await input.take(methods);
    if (this.manner === 'resets') return client.resetAndDestroy();
    if (this.manner === 'garbage') return client.end(GARBAGE);
    client.write(METHOD);
    const [, , , kind] = await input.take(4);
    const [length] = kind === 1 ? [4] : await input.take(1);
    await input.take(length);
    const port = (await input.take(2)).readUInt16BE(0);
    if (this.manner === 'denies') return client.end(BARRED);
    return this.#join(client, input, port, GRANTED);
  }

  async #http(client, input, first) {
    for (let head = first; ; head = Buffer.alloc(0)) {
      const text = Buffer.concat([head, await input.until('\r\n\r\n')]).toString('latin1');
      const isTunnel = text.startsWith('CONNECT ');
      if (this.manner === 'resets') return client.resetAndDestroy();
      if (this.manner === 'garbage') return client.end(GARBAGE);
      if (this.manner === 'denies') return client.end(PAGE);
      if (isTunnel) return this.#join(client, input, Number(/:(\d+) /.exec(text)?.[1]), ESTABLISHED);
      if (this.manner === 'cuts') return client.end(HALF);
      const body = await asked(new URL(/^GET (\S+) /.exec(text)?.[1] ?? ''));
      client.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    }
  }

  async #join(client, input, port, granted) {
    // Its answer and something behind it, before anything was asked.
    if (this.manner === 'early') return client.write(Buffer.concat([Buffer.from(granted), Buffer.from('surprise')]));
    if (this.manner === 'cuts') {
      client.write(granted);
      await input.take(1);
      return client.end();
    }
    const origin = this.#hold(net.connect({ host: '127.0.0.1', port, noDelay: true }));
    client.on('close', () => origin.destroy());
    origin.on('close', () => client.destroy());
    await once(origin, 'connect');
    client.write(granted);
    input.pipe(origin);
    return origin.pipe(client);
  }
}

/** What comes from a client: as much as is asked for, and the rest to somebody else. Rejects when there is no more. */
class Input {
  #socket;
  #there = Buffer.alloc(0);
  #wake = () => {};
  #to = null;

  constructor(socket) {
    this.#socket = socket;
    socket.on('data', (piece) => {
      if (this.#to) return void this.#to.write(piece);
      this.#there = Buffer.concat([this.#there, piece]);
      return this.#wake();
    });
    socket.on('close', () => this.#wake());
  }

  async take(length) {
    while (this.#there.length < length) await this.#more();
    return this.#cut(length);
  }

  async until(mark) {
    for (;;) {
      const at = this.#there.indexOf(mark);
      if (at !== -1) return this.#cut(at + mark.length);
      await this.#more();
    }
  }

  /** Never ends before its socket does. */
  async nothing() {
    for (;;) await this.#more();
  }

  pipe(to) {
    this.#to = to;
    to.write(this.#there);
  }

  #cut(length) {
    const taken = this.#there.subarray(0, length);
    this.#there = this.#there.subarray(length);
    return taken;
  }

  async #more() {
    if (this.#socket.destroyed) throw new Error('it has ended');
    await new Promise((resolve) => (this.#wake = resolve));
    if (this.#socket.destroyed) throw new Error('it has ended');
  }
}

/** What the plain origin answers. */
function asked({ port, pathname }) {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path: pathname, agent }, (response) => {
      let text = '';
      response.setEncoding('latin1').on('data', (piece) => (text += piece));
      response.on('end', () => resolve(text)).on('error', reject);
    });
    request.on('error', reject);
  });
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 200 });
const count = Number(process.argv[2]);
const proxies = Array.from({ length: count }, (_, nth) => new Proxy(`127.2.${(nth + 1) >> 8}.${(nth + 1) & 255}`));
const [first, ...others] = proxies;
const port = await first.listen(0);
await Promise.all(others.map((proxy) => proxy.listen(port)));

process.on('message', async ({ nth, manner, report }) => {
  if (report) return process.send({ connections: proxies.reduce((sum, proxy) => sum + proxy.connections, 0) });
  await proxies[nth].become(manner, port);
  return process.send({ nth });
});
process.on('disconnect', () => process.exit(0));
process.send({ port, plain, secure });

/**
 * node:http with a keep-alive agent; the pieces of a body are joined when it ends, and nothing is decoded by itself. Over TLS
 * node:https in the same way, with a context made beforehand, and without keeping where each request shall have its own
 * connection; over HTTP/2 node:http2 (see node-http2.js).
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { createSecureContext } from 'node:tls';
import { gunzipSync } from 'node:zlib';
import { openSession } from './node-http2.js';

export const version = () => `Node.js ${process.versions.node}`;

export async function open({ host, port, transport, ca }, concurrency) {
  if (transport === 'h2') return openSession({ host, port, ca });
  const { Agent, get, request: ask } = await import(transport ? 'node:https' : 'node:http');
  const trust = transport ? { secureContext: createSecureContext({ ca: readFileSync(ca) }) } : {};
  const agent = new Agent({ keepAlive: transport !== 'https-new', maxSockets: concurrency, ...trust });
  const bytes = (path) =>
    new Promise((resolve, reject) => {
      const request = get({ host, port, path, agent }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`the server answered ${response.statusCode}`));
        const pieces = [];
        response.on('data', (piece) => pieces.push(piece));
        response.on('end', () => resolve(pieces.length === 1 ? pieces[0] : Buffer.concat(pieces)));
        response.on('error', reject);
      });
      request.on('error', reject);
    });
  return {
    bytes,
    decoded: async (path) => gunzipSync(await bytes(path)),
    text: async (path) => (await bytes(path)).toString('utf8'),
    down: async (path, take) => {
      const [response] = await once(get({ host, port, path, agent }), 'response');
      expectOk(response);
      for await (const piece of response) take(piece);
    },
    up: async (path, pieces, length) => {
      const headers = { 'content-length': length };
      const request = ask({ host, port, path, agent, method: 'POST', headers });
      const answered = once(request, 'response');
      await pipeline(Readable.from(pieces), request);
      const [response] = await answered;
      expectOk(response);
      return text(response);
    },
    close: () => agent.destroy(),
  };
}

function expectOk({ statusCode }) {
  if (statusCode !== 200) throw new Error(`the server answered ${statusCode}`);
}

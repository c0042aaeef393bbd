/**
 * got with a keep-alive agent and without retries, for a failed request has to fail the run; it decodes by itself.
 * Bytes are asked for as an option: `.buffer()` on the promise makes a string of the body first.
 */
import { Agent } from 'node:http';
import { Readable } from 'node:stream';
import { locate, versionOf } from '../packages.js';

const entry = locate('got');

export const version = () => versionOf('got');

export async function open({ origin }, concurrency) {
  const { default: got } = await import(entry);
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency });
  const client = got.extend({ agent: { http: agent }, retry: { limit: 0 }, resolveBodyOnly: true });
  const asBytes = { responseType: 'buffer' };
  const bytes = async (path) => client(origin + path, asBytes);
  return {
    bytes,
    decoded: bytes,
    text: async (path) => client(origin + path),
    down: async (path, take) => {
      for await (const piece of client.stream(origin + path)) take(piece);
    },
    up: async (path, pieces, length) => {
      const headers = { 'content-length': String(length) };
      return client.post(origin + path, { body: Readable.from(pieces), headers });
    },
    close: () => agent.destroy(),
  };
}

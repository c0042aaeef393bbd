/** axios with a keep-alive agent; text is asked for as text, so that its own parsing is not added. It decodes by itself. */
import { Agent } from 'node:http';
import { Readable } from 'node:stream';
import { locate, versionOf } from '../packages.js';

const entry = locate('axios');

export const version = () => versionOf('axios');

export async function open({ origin }, concurrency) {
  const { default: axios } = await import(entry);
  const httpAgent = new Agent({ keepAlive: true, maxSockets: concurrency });
  const client = axios.create({ httpAgent, proxy: false, maxRedirects: 0 });
  const get = async (path, responseType) => (await client.get(origin + path, responseType)).data;
  const asBytes = { responseType: 'arraybuffer' };
  const asStream = { responseType: 'stream' };
  const asText = { responseType: 'text', transformResponse: [] };
  const bytes = async (path) => get(path, asBytes);
  return {
    bytes,
    decoded: bytes,
    text: async (path) => get(path, asText),
    down: async (path, take) => {
      for await (const piece of await get(path, asStream)) take(piece);
    },
    up: async (path, pieces, length) => {
      const headers = { 'content-length': String(length), 'content-type': 'application/octet-stream' };
      const { data } = await client.post(origin + path, Readable.from(pieces), { ...asText, headers });
      return data;
    },
    close: () => httpAgent.destroy(),
  };
}

/** axios with a keep-alive agent; text is asked for as text, so that its own parsing is not added. It decodes by itself. */
import { Agent } from 'node:http';
import { locate, versionOf } from '../packages.js';

const entry = locate('axios');

export const version = () => versionOf('axios');

export async function open({ origin }, concurrency) {
  const { default: axios } = await import(entry);
  const httpAgent = new Agent({ keepAlive: true, maxSockets: concurrency });
  const client = axios.create({ httpAgent, proxy: false, maxRedirects: 0 });
  const get = async (path, responseType) => (await client.get(origin + path, responseType)).data;
  const asBytes = { responseType: 'arraybuffer' };
  const asText = { responseType: 'text', transformResponse: [] };
  const bytes = async (path) => get(path, asBytes);
  return {
    bytes,
    decoded: bytes,
    text: async (path) => get(path, asText),
    close: () => httpAgent.destroy(),
  };
}

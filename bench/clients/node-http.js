/** node:http with a keep-alive agent; the pieces of a body are joined when it ends, and nothing is decoded by itself. */
import { gunzipSync } from 'node:zlib';

export const version = () => `Node.js ${process.versions.node}`;

export async function open({ host, port }, concurrency) {
  const { Agent, get } = await import('node:http');
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency });
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
    close: () => agent.destroy(),
  };
}

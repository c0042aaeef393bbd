/** node:http2: one session, a stream for each request. */
import { readFileSync } from 'node:fs';

export async function openSession({ host, port, ca }) {
  const { connect } = await import('node:http2');
  const session = connect(`https://${host}:${port}`, { ca: readFileSync(ca) });
  // Each stream that it breaks says so by itself.
  session.on('error', () => {});
  const bytes = (path) =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':path': path });
      const pieces = [];
      stream.on('response', ({ ':status': status }) => {
        if (status !== 200) reject(new Error(`the server answered ${status}`));
      });
      stream.on('data', (piece) => pieces.push(piece));
      stream.on('end', () => resolve(pieces.length === 1 ? pieces[0] : Buffer.concat(pieces)));
      stream.on('error', reject);
    });
  return { bytes, close: () => session.close() };
}

/** What can go wrong with TLS, each failure handled by its caller: with `--unhandled-rejections=strict` any other promise of ours ends the process. */
import { HTTPSConnectionPool } from '../../../index.ts';
import { rawServer } from '../../servers/raw.ts';
import { cut, tlsServer } from '../../servers/tls.ts';
import { usual } from '../pki.ts';

const { ca, leaf, stranger } = usual();
const secure = await tlsServer(async (peer) => {
  await peer.request();
  await peer.write('HTTP/1.1 200 OK\r\n\r\nto the end');
  cut(peer);
});
const keeps = await tlsServer(async (peer) => {
  for (;;) {
    await peer.request();
    await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  }
});
const plain = await rawServer(async (peer) => {
  await peer.bytes(30);
  await peer.write('HTTP/1.1 400 Bad Request\r\n\r\n');
  peer.end();
});
const ends = await rawServer(async (peer) => {
  await peer.bytes(30);
  peer.end();
});
const silent = await rawServer((peer) => peer.gone());
const reasons = new Set<string>();
let served = 0;
const asked = async (port: number, options: object = {}, request: object = {}): Promise<void> => {
  const pool = new HTTPSConnectionPool('localhost', {
    port,
    retries: false,
    resolve: { localhost: '127.0.0.1' },
    caCertData: ca.pem,
    ...options,
  });
  try {
    await pool.request('GET', '/', request);
    served += 1;
  } catch (error) {
    const { name, code, reason } = error as { name: string; code: string; reason: string | null };
    reasons.add(name === 'AbortError' ? name : (reason ?? code));
  }
  await pool.close({ timeout: 0 });
};
await asked(keeps.port);
await asked(keeps.port, { caCertData: stranger.pem });
await asked(keeps.port, { assertHostname: 'x.test' });
await asked(keeps.port, { assertFingerprint: stranger.fingerprint('md5') });
await asked(keeps.port, { assertFingerprint: leaf.fingerprint('md5') });
await asked(secure.port);
await asked(plain.port);
await asked(ends.port);
await asked(silent.port, {}, { timeout: { connect: 60 } });
const controller = new AbortController();
setTimeout(() => controller.abort(), 60);
await asked(silent.port, {}, { signal: controller.signal });
for (const server of [secure, keeps, plain, ends, silent]) await server.close();
console.log(JSON.stringify({ served, reasons: [...reasons].toSorted() }));

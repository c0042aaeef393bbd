/**
 * Two pools, each with two requests at a time, under one way of trusting. Arguments: port, the way (`none`, `verified`,
 * `fingerprint`, `silenced`, `unused`: a loose pool that makes no connection), a CA as PEM, a fingerprint. Prints what was
 * warned about.
 */
import { disableWarnings, HTTPSConnectionPool } from '../../../index.ts';

const [port, way = 'none', ca = '', fingerprint = ''] = process.argv.slice(2);
const ways: Record<string, object> = {
  none: { certReqs: 'none' },
  verified: { caCertData: ca },
  fingerprint: { certReqs: 'none', assertFingerprint: fingerprint },
  silenced: { certReqs: 'none' },
  unused: { certReqs: 'none' },
};
const seen: { name: string; code: string | undefined; message: string }[] = [];
process.on('warning', ({ name, code, message }: Error & { code?: string }) => seen.push({ name, code, message }));
if (way === 'silenced') disableWarnings('InsecureRequestWarning');
for (let n = 0; n < 2; n += 1) {
  const pool = new HTTPSConnectionPool('localhost', {
    port: Number(port),
    maxsize: 2,
    retries: false,
    resolve: { localhost: '127.0.0.1' },
    ...ways[way],
  });
  if (way !== 'unused') {
    for (let again = 0; again < 2; again += 1) await Promise.all([pool.request('GET', '/'), pool.request('GET', '/')]);
  }
  await pool.close();
}
await new Promise((resolve) => setImmediate(resolve));
console.log(JSON.stringify({ seen }));

/**
 * What this process's environment says about TLS, as the core is told it; then again after the environment has changed.
 * Argument: a path for a key log, or none. Prints one JSON line.
 */
import { tlsWire } from '../../../facade/tls-options.ts';

const warnings: { code: string | undefined; message: string }[] = [];
process.on('warning', (warning) => {
  const { code, message } = warning as Error & { code?: string };
  warnings.push({ code, message });
});
const own = tlsWire({ caCerts: 'own.pem' }).environment ?? null;
const first = tlsWire({}).environment;
process.env['SSL_CERT_FILE'] = 'changed.pem';
const second = tlsWire({}).environment;
const { keyLogFile = null } = tlsWire({ keyLogFile: true });
await new Promise((resolve) => setImmediate(resolve));
console.log(JSON.stringify({ own, first, isSame: first === second, keyLogFile, warnings }));

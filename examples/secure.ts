/**
 * A server with a certificate of a private CA: what an error says, whom to trust instead, many requests on one connection.
 * `node --import=tsx examples/secure.ts - PORT ca.pem`; without a file the authority of `npm start`'s server is trusted.
 */
import { fileURLToPath } from 'node:url';
import { HTTPSConnectionPool, SSLError } from 'ferropool';

const port = Number(process.argv[3] ?? 8443);
const authority = process.argv[4] ?? fileURLToPath(new URL('../cli/authority.pem', import.meta.url));

// Nobody is told whom to trust: Mozilla's roots are, and they know nothing of a private CA.
{
  const pool = new HTTPSConnectionPool('localhost', { port, retries: false });
  try {
    await pool.request('GET', '/');
  } catch (error) {
    if (!(error instanceof SSLError)) throw error;
    console.log(`refused: ${error.reason}`);
    for (const { subject, issuer, validTo } of error.chain) {
      console.log(`  ${subject}, issued by ${issuer}, valid to ${validTo.toISOString()}`);
    }
  }
  await pool.close();
}

// With its authority, and over HTTP/2 where the server speaks it.
const pool = new HTTPSConnectionPool('localhost', { port, caCerts: authority, http2: true });
const responses = await Promise.all(Array.from({ length: 20 }, () => pool.request('GET', '/')));
const connection = responses[0]?.connection;
console.log(`${responses.length} requests, ${pool.numConnections} connection, ${connection?.protocol}`);
console.log(`${connection?.tls?.version} ${connection?.tls?.cipher}, verified: ${connection?.tls?.verified}`);
await pool.close();

/** An application for the bundlers: it asks a server, and knows an error by its class. Without `await` at its top, which CommonJS has not. */
import { HTTPConnectionPool, NewConnectionError } from 'ferropool';

const { port, closed } = JSON.parse(process.argv[2]);

async function main() {
  const pool = new HTTPConnectionPool('127.0.0.1', { port });
  const { status } = await pool.request('GET', '/plain');
  await pool.close();
  const nobody = new HTTPConnectionPool('127.0.0.1', { port: closed, retries: false });
  const error = await nobody.request('GET', '/').catch((caught) => caught);
  await nobody.close();
  console.log(status, error instanceof NewConnectionError);
}

void main();

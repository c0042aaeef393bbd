/**
 * What can go wrong, and how a program tells it apart: by `code` and `phase`, never by a message.
 * `node --import=tsx examples/errors-and-timeouts.ts PORT`, where PORT is a server's on this machine.
 */
import { HTTPConnectionPool, HTTPError, type HTTPResponse } from 'ferropool';

const port = Number(process.argv[2] ?? process.env['PORT'] ?? 8080);

await using pool = new HTTPConnectionPool('localhost', { port, timeout: { connect: 2_000, read: 10_000 } });

await show('a page that is there', () => pool.request('GET', '/about'));
await show('a page that is not', async () => (await pool.request('GET', '/nowhere')).raiseForStatus());
await show('a server that is slow', () => pool.request('GET', '/never', { timeout: { read: 60 } }));
await show('a call that takes too long', () => pool.request('GET', '/never', { timeout: { total: 1_000 } }));
await show('a page that is too large', () => pool.request('GET', '/gzip', { limits: { decoded: 1_000 } }));
await show('a URL of another host', () => pool.request('GET', 'http://example.com/'));
await show('an option that is misspelt', () => pool.request('GET', '/', { tiemout: 1_000 } as object));
await show('a caller who gives up', () => pool.request('GET', '/never', { signal: AbortSignal.timeout(60) }));

async function show(what: string, ask: () => Promise<HTTPResponse>): Promise<void> {
  try {
    const { status, data } = await ask();
    console.log(`${what}: ${status}, ${data.length} bytes`);
  } catch (error) {
    if (error instanceof HTTPError) {
      const { name, code, phase, sent } = error;
      console.log(`${what}: ${name} ${code}, phase ${phase}, ${sent ? 'the server may know' : 'nothing was sent'}`);
    } else if (error instanceof Error) {
      // A wrong argument (TypeError, RangeError), or the reason of the signal.
      console.log(`${what}: ${error.name}: ${error.message}`);
    } else throw error;
  }
}

/** Everything that can go wrong, each failure handled by its caller: with `--unhandled-rejections=strict` any promise of ours that nobody handles ends the process. */
import { HTTPConnectionPool } from '../../../index.ts';
import { rawServer } from '../../servers/raw.ts';

const server = await rawServer(async (peer) => {
  for (;;) {
    const path = (await peer.request()).split(' ', 2)[1];
    if (path === '/reset') return peer.reset();
    if (path === '/short') return peer.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc');
    if (path === '/nonsense') return peer.end('no HTTP at all\r\n\r\n');
    if (path === '/never') return;
    await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    if (path === '/then-reset') return peer.reset();
    if (path === '/then-more') await peer.write('HTTP/1.1 200 OK\r\n\r\nnobody asked');
  }
});
const pool = new HTTPConnectionPool('127.0.0.1', {
  retries: false,
  port: server.port,
  maxsize: 3,
  timeout: { total: 5_000 },
});
const nobody = new HTTPConnectionPool('127.0.0.1', { retries: false, port: 1 });
const codes = new Set<string>();
let served = 0;
const handled = (made: Promise<unknown>): Promise<void> =>
  made.then(
    () => void (served += 1),
    (error: unknown) =>
      void codes.add(
        (error as { code?: unknown; name: string })[error instanceof DOMException ? 'name' : 'code'] as string,
      ),
  );
for (const path of ['/', '/reset', '/short', '/nonsense', '/then-reset', '/', '/then-more', '/'])
  await handled(pool.request('GET', path));
await handled(pool.request('GET', '/never', { timeout: { read: 60 } }));
await handled(pool.request('GET', '/never', { signal: AbortSignal.timeout(50) }));
await handled(pool.request('GET', '/', { signal: AbortSignal.abort() }));
await handled(pool.request('GET', 'http://elsewhere.invalid/'));
await handled(nobody.request('GET', '/'));
await handled(nobody.warm(1));
const last = [pool.request('GET', '/never'), pool.request('GET', '/never')].map(handled);
await new Promise((resolve) => setImmediate(resolve));
await pool.close({ timeout: 20 });
await handled(pool.request('GET', '/'));
await Promise.all(last);
await nobody.close();
{
  using brief = new HTTPConnectionPool('127.0.0.1', { retries: false, port: server.port });
  await handled(brief.request('GET', '/'));
}
await server.close();
console.log(JSON.stringify({ served, codes: [...codes].toSorted() }));

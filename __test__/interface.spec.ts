/** `interface`: sockets bound to a network interface, and what cannot be. */
import { execFileSync } from 'node:child_process';

import test from 'ava';

import {
  HTTPConnection,
  HTTPConnectionPool,
  MaxRetryError,
  NewConnectionError,
  PoolManager,
  ProxyError,
  Retry,
  SOCKSProxyManager,
} from '../index.ts';
import { outcome } from './support/child.ts';
import { rejection, served } from './support/fixtures.ts';
import { pastOf } from './support/origins.ts';
import { origins, proxied, socksed, through, kept } from './support/proxied.ts';

// macOS calls its loopback interface otherwise, and other systems bind to none.
const onLinux = (process.platform === 'linux' ? test : () => undefined) as typeof test;
const NOWHERE = 'nosuchdevice0';

onLinux('interface: requests go by it, over pools, managers, one connection, and with a local address', async (t) => {
  const { pool, server } = await served(t, (request, response) => response.end(request.socket.remoteAddress), {
    interface: 'lo',
    localAddress: '127.0.0.7',
  });
  t.is((await pool.request('GET', '/')).text(), '127.0.0.7');
  const manager = kept(t, new PoolManager({ interface: 'lo', retries: false }));
  t.is((await manager.request('GET', `http://127.0.0.1:${server.port}/`)).status, 200);
  const connection = new HTTPConnection('127.0.0.1', { port: server.port, interface: 'lo' });
  await connection.connect();
  await connection.close();
});

onLinux('ERR-03: an interface that is not there is a NewConnectionError with ENODEV, and is tried again', async (t) => {
  const { server } = await served(t, (_, response) => response.end());
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, interface: NOWHERE, retries: false });
  t.teardown(() => pool.close({ timeout: 0 }));
  const error = await rejection(pool.request('GET', '/'), NewConnectionError);
  t.like(error, { code: 'ENODEV', phase: 'connect', sent: false, address: '127.0.0.1', port: server.port });
  t.regex(error.message, /No such device/);
  await rejection(pool.warm(1), NewConnectionError);
  const again = await rejection(
    pool.request('GET', '/', { retries: new Retry({ total: 2, backoffFactor: 0 }) }),
    MaxRetryError,
  );
  t.deepEqual([again.reason?.name, pastOf(again).length], ['NewConnectionError', 2]);
  const { opened, leased } = pool.stats();
  t.deepEqual([opened, leased], [0, 0]);
});

onLinux('interface: the way to a proxy goes by it, and there is no other', async (t) => {
  const { routes } = await origins(t);
  const proxy = await proxied(t, { routes });
  const socks = await socksed(t, { routes: { ...routes, '127.0.0.3:80': routes['h.test:80'] ?? 0 } });
  const resolve = { 'h.test': '127.0.0.3' };
  const urls = [`http://127.0.0.1:${proxy.port}`, socks.url('socks5'), socks.url('socks5h')];
  for (const url of urls) {
    t.is((await through(t, url, { interface: 'lo', resolve }).request('GET', 'http://h.test/')).status, 200, url);
  }
  const lost = await rejection(
    through(t, urls[0] ?? '', { interface: NOWHERE }).request('GET', 'http://h.test/'),
    ProxyError,
  );
  t.is((lost.originalError as NewConnectionError).code, 'ENODEV');
  const manager = kept(t, new SOCKSProxyManager(urls[2] ?? '', { interface: NOWHERE, retries: false }));
  t.is((await rejection(manager.request('GET', 'http://h.test/'), NewConnectionError)).code, 'ENODEV');
});

onLinux('interface: a server that another interface leads to is not reached by this one', async (t) => {
  const network =
    'ip link set lo up && ip link add near type veth peer name far && ip link set near up && ip link set far up && ' +
    'ip address add 10.9.0.1/24 dev near';
  const within = (then: string): string[] => ['-rn', 'sh', '-c', `${network} && ${then}`];
  try {
    execFileSync('unshare', within('true'), { stdio: 'ignore' });
  } catch {
    t.log('this machine lets nobody make a network of his own');
    t.pass();
    return;
  }
  const seen = await outcome('two-interfaces.ts', [], { under: ['unshare', ...within('exec "$0" "$@"')] });
  const silence = 'ConnectTimeoutError connect';
  // Both addresses are this machine's, each of its own interface.
  t.deepEqual(seen, {
    'any 127.0.0.1': '200',
    'lo 127.0.0.1': '200',
    'near 127.0.0.1': silence,
    'any 10.9.0.1': '200',
    'lo 10.9.0.1': silence,
    'near 10.9.0.1': '200',
  });
});

test('interface: a name that none can have is refused at once, and so is one beside a Unix socket', (t) => {
  for (const name of ['sixteen-letters!', 'a\0b', 'é'.repeat(8)]) {
    const refused = { instanceOf: TypeError, code: 'ERR_INVALID_OPTION', message: /^interface is no name of one/ };
    t.throws(() => new HTTPConnectionPool('h', { interface: name }), refused);
    t.throws(() => new PoolManager({ interface: name }), refused);
  }
  t.throws(() => new HTTPConnectionPool('h', { interface: 'lo', unixSocket: '/x' }), {
    instanceOf: TypeError,
    code: 'ERR_INVALID_OPTION',
    message: /unixSocket.*interface|interface.*unixSocket/,
  });
});

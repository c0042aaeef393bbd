/** `proxyFromEnv`: which variable counts, what NO_PROXY means beside what it means to curl and Go, and what is refused. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';

import {
  HTTPError,
  LocationParseError,
  LocationValueError,
  PoolManager,
  proxyFromEnv,
  ProxySchemeUnknown,
  URLSchemeUnknown,
} from '../index.ts';
import { inEnvironment } from './support/environment.ts';
import { rejection } from './support/fixtures.ts';
import { kept, origins, proxied, toldBy, trusting } from './support/proxied.ts';
import { vectors } from './support/vectors.ts';

interface Row {
  url: string;
  noProxy: string;
  ours: 'proxy' | 'direct';
  curl: 'proxy' | 'direct' | 'refused';
  go: 'proxy' | 'direct' | 'refused';
  why: string | null;
}

const BOTH = { http_proxy: 'http://plain:1', https_proxy: 'http://secure:2' };

test('THR-713: NO_PROXY, row by row; where curl or Go say otherwise there is a reason', (t) => {
  const rows = vectors<Row>('no-proxy.json');
  t.true(rows.length >= 120);
  for (const { url, noProxy, ours, curl, go, why } of rows) {
    const proxy = url.startsWith('https:') ? BOTH.https_proxy : BOTH.http_proxy;
    const found = proxyFromEnv(url, { ...BOTH, no_proxy: noProxy });
    t.is(found, ours === 'proxy' ? proxy : null, `${url} with ${JSON.stringify(noProxy)}`);
    t.is(curl === ours && go === ours, why === null, `${url} with ${JSON.stringify(noProxy)}: ${why}`);
  }
});

test('THR-713: a URL object is the same as its text', (t) => {
  const env = { ALL_PROXY: 'http://p:1', NO_PROXY: '127.0.0.1 xn--bcher-kva.example' };
  for (const url of ['http://0x7f.1:80/a', 'https://bücher.example/', 'http://[::FFFF:7f00:1]/', 'http://a.example/']) {
    t.is(proxyFromEnv(new URL(url), env), proxyFromEnv(url, env), url);
  }
  t.is(proxyFromEnv(new URL('http://a.example/'), env), 'http://p:1');
  t.is(proxyFromEnv(new URL('http://127.1/'), env), null);
});

const http = 'http://a.example/';
const https = 'https://a.example/';
const CHOICES: readonly (readonly [env: NodeJS.ProcessEnv, url: string, chosen: string | null])[] = [
  [{}, http, null],
  [{ HTTP_PROXY: 'http://u' }, http, 'http://u'],
  [{ HTTP_PROXY: 'http://u' }, https, null],
  [{ HTTPS_PROXY: 'http://u' }, https, 'http://u'],
  [{ HTTPS_PROXY: 'http://u' }, http, null],
  [{ ALL_PROXY: 'http://u' }, http, 'http://u'],
  [{ ALL_PROXY: 'http://u' }, https, 'http://u'],
  // Lower case wins, and what is empty is not there.
  [{ http_proxy: 'http://l', HTTP_PROXY: 'http://u' }, http, 'http://l'],
  [{ https_proxy: 'http://l', HTTPS_PROXY: 'http://u' }, https, 'http://l'],
  [{ all_proxy: 'http://l', ALL_PROXY: 'http://u' }, http, 'http://l'],
  [{ http_proxy: '', HTTP_PROXY: 'http://u' }, http, 'http://u'],
  [{ https_proxy: '', HTTPS_PROXY: '', ALL_PROXY: 'http://u' }, https, 'http://u'],
  [{ http_proxy: undefined, HTTP_PROXY: 'http://u' }, http, 'http://u'],
  // The scheme's own before the one for all, in whichever case.
  [{ all_proxy: 'http://l', HTTP_PROXY: 'http://u' }, http, 'http://u'],
  [{ ALL_PROXY: 'http://a', HTTPS_PROXY: 'http://u' }, https, 'http://u'],
  [{ HTTP_PROXY: 'http://u', no_proxy: '*' }, http, null],
  [{ HTTP_PROXY: 'http://u', NO_PROXY: 'a.example' }, http, null],
  [{ HTTP_PROXY: 'http://u', no_proxy: 'b.example', NO_PROXY: '*' }, http, 'http://u'],
  [{ HTTP_PROXY: 'http://u', no_proxy: '', NO_PROXY: '*' }, http, null],
  // THR-712: what a CGI process has as HTTP_PROXY is the header `Proxy` of its request.
  [{ REQUEST_METHOD: 'GET', HTTP_PROXY: 'http://u' }, http, null],
  [{ REQUEST_METHOD: '', HTTP_PROXY: 'http://u' }, http, null],
  [{ REQUEST_METHOD: 'GET', HTTP_PROXY: 'http://u', ALL_PROXY: 'http://a' }, http, 'http://a'],
  [{ REQUEST_METHOD: 'GET', HTTP_PROXY: 'http://u', http_proxy: 'http://l' }, http, 'http://l'],
  [{ REQUEST_METHOD: 'GET', HTTP_PROXY: 'http://u', http_proxy: '' }, http, null],
  [{ REQUEST_METHOD: 'GET', HTTPS_PROXY: 'http://u' }, https, 'http://u'],
  // THR-715: a value without a scheme is an http proxy; it is given as it is, credentials and all.
  [{ ALL_PROXY: 'proxy.example:3128' }, http, 'http://proxy.example:3128'],
  [{ ALL_PROXY: 'u:p%40@proxy.example' }, http, 'http://u:p%40@proxy.example'],
  [{ ALL_PROXY: ' socks5h://proxy.example ' }, https, 'socks5h://proxy.example'],
  [{ ALL_PROXY: 'http://[::1]:3128/' }, https, 'http://[::1]:3128/'],
];

test('PROXY-22 THR-712 THR-715: the variable that counts', (t) => {
  for (const [env, url, chosen] of CHOICES) t.is(proxyFromEnv(url, env), chosen, `${JSON.stringify(env)} ${url}`);
});

test('THR-712: where names have no case, as on Windows, only the spelling that was set is believed', (t) => {
  const windows = (stored: Record<string, string>): NodeJS.ProcessEnv => {
    const nameOf = (name: string | symbol): string | undefined =>
      Object.keys(stored).find((own) => own.toLowerCase() === String(name).toLowerCase());
    return new Proxy(stored, {
      get: (target, name) => target[nameOf(name) ?? ''],
      has: (_, name) => nameOf(name) !== undefined,
      getOwnPropertyDescriptor: (target, name) => Object.getOwnPropertyDescriptor(target, nameOf(name) ?? ''),
    });
  };
  t.is(proxyFromEnv(http, windows({ Http_Proxy: 'http://m' })), 'http://m');
  t.is(proxyFromEnv(http, windows({ HTTP_PROXY: 'http://u', REQUEST_METHOD: 'GET' })), null);
  t.is(proxyFromEnv(http, windows({ Http_Proxy: 'http://m', Request_Method: 'GET' })), null);
  t.is(proxyFromEnv(http, windows({ http_proxy: 'http://l', REQUEST_METHOD: 'GET' })), 'http://l');
});

test('THR-712 THR-522: inherited names are no variables', (t) => {
  for (const name of ['http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY']) {
    t.is(proxyFromEnv(http, Object.create({ [name]: 'http://evil' }) as NodeJS.ProcessEnv), null, name);
  }
  const env = Object.assign(Object.create({ NO_PROXY: '*' }) as NodeJS.ProcessEnv, { HTTP_PROXY: 'http://u' });
  t.is(proxyFromEnv(http, env), 'http://u');
});

test.serial('PROXY-22: the default is the process’s environment, as it is at each call', (t) => {
  const names = ['http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY', 'no_proxy', 'NO_PROXY', 'REQUEST_METHOD'];
  const before = names.map((name) => [name, process.env[name]] as const);
  t.teardown(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
  for (const name of names) delete process.env[name];
  t.is(proxyFromEnv(http), null);
  process.env['HTTP_PROXY'] = 'proxy.example';
  t.is(proxyFromEnv(http), 'http://proxy.example');
  process.env['NO_PROXY'] = '.example';
  t.is(proxyFromEnv(http), null);
});

test('THR-715: a URL that is none is an error, and what it had before its @ is not in it', (t) => {
  const env = { ALL_PROXY: 'http://p' };
  t.throws(() => proxyFromEnv('http://a b/', env), { instanceOf: LocationParseError, code: 'ERR_INVALID_URL' });
  t.throws(() => proxyFromEnv('http://a:99999/', env), { instanceOf: LocationParseError });
  t.throws(() => proxyFromEnv('http://\ud800/', env), { instanceOf: LocationParseError });
  t.throws(() => proxyFromEnv('a.example', env), { instanceOf: LocationValueError });
  t.throws(() => proxyFromEnv('http:///a', env), { instanceOf: LocationValueError });
  t.throws(() => proxyFromEnv('', env), { instanceOf: LocationValueError });
  t.throws(() => proxyFromEnv('ftp://a.example/', env), { instanceOf: URLSchemeUnknown });
  t.throws(() => proxyFromEnv(new URL('ws://a.example/'), env), { instanceOf: URLSchemeUnknown });
  // The environment is not asked first: it is an error without one, too.
  t.throws(() => proxyFromEnv('ftp://a.example/', {}), { instanceOf: URLSchemeUnknown });
  for (const url of ['http://me:secret@a b/', 'ftp://me:secret@a/', 'http://me:secret@[/']) {
    const error = t.throws<HTTPError>(() => proxyFromEnv(url, env), { instanceOf: HTTPError });
    t.false(`${error?.stack} ${JSON.stringify(error)}`.includes('secret'), url);
  }
});

test('PROXY-22: arguments of another type', (t) => {
  for (const url of [null, undefined, 1, {}, ['http://a']]) {
    t.throws(() => proxyFromEnv(url as never, {}), { instanceOf: TypeError, code: 'ERR_INVALID_URL' });
  }
  for (const env of [null, 1, 'HTTP_PROXY=http://p']) {
    t.throws(() => proxyFromEnv(http, env as never), { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' });
  }
  const error = t.throws(() => proxyFromEnv(http, { HTTP_PROXY: ['secret'] } as never), {
    instanceOf: TypeError,
    code: 'ERR_INVALID_OPTION',
    message: /HTTP_PROXY/,
  });
  t.false(error?.message.includes('secret'));
});

test('PROXY-22 THR-509: half a surrogate pair in a variable is escaped, and no error of its own', (t) => {
  const env = { http_proxy: 'http://\ud800:b@p.test', no_proxy: 'a\udfff,b.test' };
  t.is(proxyFromEnv('http://a.test/', env), 'http://%ED%A0%80:b@p.test');
  t.is(proxyFromEnv('http://b.test/', env), null);
});

test('PROXY-22: a manager over a Unix socket has its way, and the environment’s proxy is not on it', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'ferropool-'));
  const unixSocket = path.join(folder, 'socket');
  const server = createServer((_, response) => response.end('here')).listen(unixSocket);
  await once(server, 'listening');
  t.teardown(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });
  const proxy = await proxied(t);
  const manager = kept(t, inEnvironment({ http_proxy: proxy.url }, { unixSocket, retries: false }));
  t.is((await manager.request('GET', 'http://h.test/')).text(), 'here');
  t.is(proxy.sockets.length, 0);
});

test('PROXY-22: what it says is what a manager or a request takes', async (t) => {
  const { routes } = await origins(t);
  const proxy = await proxied(t, { routes, credentials: 'user:p@ss' });
  const env = { ALL_PROXY: `user:p%40ss@127.0.0.1:${proxy.port}`, NO_PROXY: '127.0.0.1' };
  const manager = kept(t, new PoolManager(trusting({})));
  for (const url of ['http://h.test/', 'https://s.test/']) {
    const response = await manager.request('GET', url, { proxy: proxyFromEnv(url, env) });
    t.is(response.connection?.proxy, proxy.url);
    t.is(toldBy(response).method, 'GET');
  }
  // A value that is no proxy is told of where it is used.
  const wrong = proxyFromEnv(http, { ALL_PROXY: 'gopher://user:secret@p' });
  const error = await rejection(manager.request('GET', http, { proxy: wrong }), ProxySchemeUnknown);
  t.false(error.stack?.includes('secret'));
});

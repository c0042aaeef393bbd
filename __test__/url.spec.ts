/**
 * URLs as a user meets them: `parseUrl` over urllib3's cases, the target that a server receives, the host that a pool is
 * made for. One parser serves all of them, so hostile spellings name one host everywhere or none.
 */
import test from 'ava';
import { connectionFromUrl, HTTPConnectionPool, HTTPSConnectionPool, parseUrl, Url } from '../index.ts';
import type { NewConnectionError } from '../index.ts';
import { answers, rawServer, reply } from './servers/raw.ts';
import { vectors } from './support/vectors.ts';
import type { Raised } from './support/vectors.ts';
import { clocked, within } from './support/clocked.ts';

interface Parsed {
  scheme: string | null;
  auth: string | null;
  host: string | null;
  port: number | null;
  path: string | null;
  query: string | null;
  fragment: string | null;
  url: string;
  requestUri: string;
  authority: string | null;
  netloc: string | null;
  authDecoded: [string | null, string | null];
  authDecodedJoined: string | null;
}
type ParseCase = { input: string } & ({ value: Parsed } | { error: Raised });

const parseError = { name: 'LocationParseError', code: 'ERR_INVALID_URL' };

/** Ours escapes what no reader could see: a character that is none yet, the octets of half a character. */
function legible(message: string): string {
  const octets = (half: string): string =>
    [0xe0 | (half.charCodeAt(0) >> 12), 0x80 | ((half.charCodeAt(0) >> 6) & 63), 0x80 | (half.charCodeAt(0) & 63)]
      .map((octet) => `\\x${octet.toString(16)}`)
      .join('');
  return message.replaceAll('\ud7ff', '\\u{d7ff}').replace(/\p{Surrogate}/gu, octets);
}

/** WART-04: urllib3 upper-cases escapes, and encodes every `%` again where one of them begins no escape. Ours beside it. */
const OTHER_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['[::Ff%etH0%Ff]/%ab%Af', '[::ff%etH0%FF]/%ab%Af'],
  ['http://user:pass@[AaAa::Ff%25etH0%Ff]/%ab%Af', 'http://user:pass@[aaaa::ff%etH0%FF]/%ab%Af'],
  [
    'http://google.com/p%5B%5d?parameter%5b%5D=%22hello%22#fragment%23',
    'http://google.com/p%5B%5d?parameter%5b%5D=%22hello%22#fragment%23',
  ],
  ['http://example.com/%7euser/%zz', 'http://example.com/%7euser/%25zz'],
  ['http://example.com/%2f%2F/%', 'http://example.com/%2f%2F/%25'],
  ['http://evil.com%5c@example.com/', 'http://evil.com%5c@example.com/'],
  ['http://h/?%e4%bd%a0', 'http://h/?%e4%bd%a0'],
  ['http://h/%E4%BD%A0#%e4', 'http://h/%E4%BD%A0#%e4'],
]);

const ROWS = 'URL-01, URL-02, URL-03, URL-04, URL-05, URL-06, URL-07, URL-08, URL-09, URL-10, URL-11, URL-12';
test(`${ROWS}, URL-13, URL-14, URL-15, WART-04: parseUrl takes every URL apart as urllib3 does`, (t) => {
  let different = 0;
  for (const given of vectors<ParseCase>('url-parse.json')) {
    const { input } = given;
    const label = JSON.stringify(input);
    if ('error' in given) {
      const error = t.throws(() => parseUrl(input), parseError, label);
      t.is(given.error.type, 'LocationParseError', label);
      t.is(error?.message, legible(given.error.message), label);
      continue;
    }
    const url = parseUrl(input);
    const ours = OTHER_ESCAPES.get(input);
    if (ours !== undefined) {
      different += 1;
      t.not(given.value.url, ours, `${label} is no difference any more`);
      t.deepEqual([url.url, url.host], [ours, given.value.host], label);
      continue;
    }
    const { authDecoded, ...rest } = given.value;
    const { scheme, auth, host, port, path, query, fragment } = url;
    const { requestUri, authority, netloc, authDecodedJoined } = url;
    const found = { scheme, auth, host, port, path, query, fragment, url: url.url };
    t.deepEqual({ ...found, requestUri, authority, netloc, authDecodedJoined }, rest, label);
    t.deepEqual(url.authDecoded, authDecoded[0] === null ? null : authDecoded, label);
    t.deepEqual([String(url), url.hostname], [url.url, host], label);
    t.deepEqual(url.toJSON(), { scheme, auth, host, port, path, query, fragment }, label);
  }
  t.is(different, OTHER_ESCAPES.size);
});

test('URL-01: a URL is a string, and what is made of it does not change', (t) => {
  for (const wrong of [undefined, null, 3, Buffer.from('http://h/'), new URL('http://h/'), ['http://h/']]) {
    t.throws(() => parseUrl(wrong as unknown as string), { instanceOf: TypeError, code: 'ERR_INVALID_URL' });
  }
  const url = parseUrl('HTTP://User@Example.com:80/a b?c');
  t.true(url instanceof Url);
  t.is(String(url), 'http://User@example.com:80/a%20b?c');
  t.true(Object.isFrozen(url));
});

/** WART-04: valid escapes stay as they are, and only a stray `%` is encoded. Ours beside the input. */
const OTHER_TARGETS: ReadonlyMap<string, string> = new Map([
  ['/%2f', '/%2f'],
  ['/%41%', '/%41%25'],
  ['/%%20', '/%25%20'],
  ['/%2F%', '/%2F%25'],
  ['/%2f%2F%zz', '/%2f%2F%25zz'],
  ['/x?%3f#', '/x?%3f'],
  ['/%2f%2F', '/%2f%2F'],
]);

/** THR-518: two slashes name a host (WART-11), which a pool opens only when it is told to. */
const FOREIGN = '//evil.com/x';

test('URL-07: an error shows a name as it was written, and escapes what would turn its own text around', async (t) => {
  for (const [url, message] of [
    ['http://☃☃.test/', "Failed to parse: Name '☃☃' is not a valid IDNA label"],
    ['http://münc hen.test/', "Failed to parse: Host 'münc hen.test' contains invalid character ' '"],
    ['http://a\u202eb\u200b.test/', "Failed to parse: Name 'a\\u{202e}b\\u{200b}' is not a valid IDNA label"],
    ['http://例え:x/', "Failed to parse: '例え:x' is not a valid host or port"],
  ] as const) {
    t.throws(() => parseUrl(url), { ...parseError, message }, url);
    t.throws(() => connectionFromUrl(url), { ...parseError, message }, url);
  }
  const said = { name: 'LocationParseError', message: "Failed to parse: Name '①' is not a valid IDNA label" };
  t.throws(() => new HTTPConnectionPool('①.test'), said);
  await using pool = new HTTPConnectionPool('127.0.0.1');
  await t.throwsAsync(pool.request('GET', 'http://①.test/'), said);
});

test('REQ-11, URL-08, URL-17, WART-04: a server receives the path percent-encoded and otherwise as it was given', async (t) => {
  const server = await rawServer(answers(reply('')));
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port });
  t.teardown(async () => {
    await pool.close();
    await server.close();
  });
  let different = 0;
  let sent = 0;
  for (const { input, value } of vectors<{ input: string; value: string }>('url-target.json')) {
    const label = JSON.stringify(input);
    const ours = OTHER_TARGETS.get(input);
    if (ours !== undefined) {
      different += 1;
      t.not(value, ours, `${label} is no difference any more`);
    }
    const response = await pool.urlopen('GET', input, { assertSameHost: input !== FOREIGN });
    const [line] = received(server).slice(sent).split('\r\n');
    sent = received(server).length;
    t.is(line, `GET ${ours ?? value} HTTP/1.1`, label);
    t.is(response.url, `http://127.0.0.1:${server.port}${ours ?? value}`, label);
  }
  t.is(different, OTHER_TARGETS.size);
  t.is(pool.numConnections, 1);
});

test('REQ-11: any other URL of the pool goes out in absolute form, without user info and fragment', async (t) => {
  const server = await rawServer(answers(reply('')));
  const { port } = server;
  const pool = new HTTPConnectionPool('127.0.0.1', { port });
  t.teardown(async () => {
    await pool.close();
    await server.close();
  });
  let sent = 0;
  for (const [url, target] of [
    [`http://127.0.0.1:${port}/p?q#f`, `http://127.0.0.1:${port}/p?q`],
    [`HTTP://user:pw@127.0.0.1:${port}/a/../b`, `http://127.0.0.1:${port}/b`],
    [`127.0.0.1:${port}/p`, `http://127.0.0.1:${port}/p`],
    // RFC 9110 §4.2.3: an empty path is the same as `/`.
    [`http://0x7f.1:${port}?q`, `http://127.0.0.1:${port}/?q`],
    ['*', '*'],
  ] as const) {
    const response = await pool.request('OPTIONS', url);
    const [line, host] = received(server).slice(sent).split('\r\n');
    sent = received(server).length;
    t.deepEqual([line, host], [`OPTIONS ${target} HTTP/1.1`, `Host: 127.0.0.1:${port}`], url);
    t.false(response.url.includes('pw') || response.url.includes('#'), url);
  }
});

test('THR-501: no byte from 0 to 255 in path, query or fragment reaches the wire unless it is visible', async (t) => {
  const server = await rawServer(answers(reply('')));
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, maxsize: 8, block: true });
  t.teardown(async () => {
    await pool.close();
    await server.close();
  });
  const requests = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).flatMap((c) => [
    `/a${c}b`,
    `/a?b${c}c`,
    `/a#b${c}c`,
  ]);
  for await (const settled of pool.requestMany(requests)) {
    t.true(settled.ok, JSON.stringify(settled.request));
  }
  t.is(pool.numRequests, 256 * 3);
  for (const { received: bytes } of server.peers) {
    for (const head of bytes.toString('latin1').split('\r\n\r\n').slice(0, -1)) {
      t.regex(head, /^GET \/[\x21-\x22\x24-\x7e]* HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\n/);
      t.is(head.split('\r\n').length, 4);
    }
  }
  const { opened, closed, idle, leased } = pool.stats();
  t.is(opened, closed + idle + leased);
});

interface PoolCase {
  host: string;
  scheme: string;
  value?: { host: string; port: number | null; toString: string };
  error?: Raised;
}

/** THR-512 and THR-511: a number is an address in one spelling; a host that holds a delimiter makes no pool. */
const OTHER_HOSTS: ReadonlyMap<string, string | null> = new Map([
  ['0x7F.1', '127.0.0.1'],
  ['a/b', null],
  ['a:80', null],
]);

test('POOL-02, POOL-03, POOL-04, THR-512: a pool shows the host that urllib3 shows', (t) => {
  let different = 0;
  for (const { host, scheme, value, error } of vectors<PoolCase>('pool-host.json')) {
    if (scheme !== 'http') continue;
    const label = JSON.stringify(host);
    const ours = OTHER_HOSTS.get(host);
    if (ours !== undefined) different += 1;
    if (ours === null) {
      t.throws(() => new HTTPConnectionPool(host), parseError, label);
    } else if (error !== undefined) {
      const raised = t.throws(() => new HTTPConnectionPool(host), { name: error.type }, label);
      t.is(raised?.message, legible(error.message), label);
    } else {
      const pool = new HTTPConnectionPool(host);
      const expected = ours ?? value?.host;
      t.deepEqual([pool.host, pool.port], [expected, null], label);
      // ≠: null, where Python has None.
      t.is(String(pool), `HTTPConnectionPool(host='${expected}', port=null)`, label);
    }
  }
  t.is(different, OTHER_HOSTS.size);
});

/** WART-11: `//other/` names another host. */
const OTHER_SAME_HOST: ReadonlySet<string> = new Set(['//evil.com/']);

test('POOL-22, WART-11: isSameHost says what urllib3 says, but of a URL that begins with two slashes', (t) => {
  let different = 0;
  for (const { pool: base, url, value } of vectors<{ pool: string; url: string; value: boolean }>('same-host.json')) {
    const pool = connectionFromUrl(base);
    const other = OTHER_SAME_HOST.has(url);
    if (other) different += 1;
    t.is(pool.isSameHost(url), other ? !value : value, `${base} ${url}`);
  }
  t.is(different, OTHER_SAME_HOST.size);
});

test('THR-518, WART-11, POOL-25: a URL of another host rejects with HostChangedError and opens nothing', async (t) => {
  const server = await rawServer(answers(reply('')));
  const { port } = server;
  const pool = new HTTPConnectionPool('127.0.0.1', { port });
  t.teardown(async () => {
    await pool.close();
    await server.close();
  });
  for (const url of [
    'http://evil.example/',
    'http://127.0.0.1/',
    'http://127.0.0.1:80/',
    `http://localhost:${port}/`,
    `https://127.0.0.1:${port}/`,
    `http://127.0.0.1:${port}@evil.example/`,
    '//evil.example/x',
    '//evil.example',
    `//user@evil.example:${port}/x`,
    'relative',
    '?q',
    '',
  ]) {
    const error = await t.throwsAsync(
      pool.request('GET', url),
      { name: 'HostChangedError', code: 'ERR_HOST_CHANGED' },
      url,
    );
    t.regex(
      error?.message ?? '',
      /^HTTPConnectionPool\(host='127\.0\.0\.1', port=\d+\): Tried to open a foreign host with url: /,
    );
    t.false(pool.isSameHost(url), url);
  }
  for (const [url, said] of [
    ['?q=1', "with url: (a path begins with '/')"],
    ['', "with url: (a path begins with '/')"],
    ['#f', "with url: (a path begins with '/')"],
    ['relative?q=1', "with url: relative (a path begins with '/')"],
    ['*', "with url: * ('*' is for OPTIONS alone)"],
    ['//evil.example/x', 'with url: //evil.example/x'],
    ['http://evil.example/?q=1', 'with url: http://evil.example/'],
  ] as const) {
    const error = await t.throwsAsync(pool.request('GET', url), { name: 'HostChangedError' }, url);
    t.true(error?.message.endsWith(`Tried to open a foreign host ${said}`), error?.message);
  }
  for (const assertSameHost of [true, false]) {
    await t.throwsAsync(pool.request('POST', '*', { assertSameHost }), { name: 'HostChangedError' });
  }
  t.is(pool.numConnections, 0);
  t.is(server.peers.length, 0);
  for (const url of [
    `HTTP://127.0.0.1:${port}/`,
    `//127.0.0.1:${port}/x`,
    '/x',
    '///x',
    '/\\evil.example',
    `127.1:${port}/`,
  ]) {
    t.true(pool.isSameHost(url), url);
    t.is((await pool.request('GET', url)).status, 200, url);
  }
  t.is(server.peers.length, 1);
});

test('POOL-25: assertSameHost: false sends a foreign URL in absolute form, with its host in Host, to the pool’s own peer', async (t) => {
  const server = await rawServer(answers(reply('')));
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, headers: { 'X-Own': '1' } });
  t.teardown(async () => {
    await pool.close();
    await server.close();
  });
  const response = await pool.request('GET', 'http://User:pw@Foreign.example:81/a?b#c', { assertSameHost: false });
  t.is(response.url, 'http://foreign.example:81/a?b');
  await pool.request('GET', '//foreign.example/x', { assertSameHost: false });
  await pool.request('GET', 'http://foreign.example/', { assertSameHost: false, headers: { Host: 'mine.example' } });
  const heads = received(server).split('\r\n\r\n');
  t.regex(
    heads[0] ?? '',
    /^GET http:\/\/foreign\.example:81\/a\?b HTTP\/1\.1\r\nHost: foreign\.example:81\r\n[^]*\r\nX-Own: 1$/,
  );
  // To urllib3 a path is a path; so it is to the pool that was told not to look.
  t.regex(
    heads[1] ?? '',
    new RegExp(`^GET //foreign\\.example/x HTTP/1\\.1\\r\\nHost: 127\\.0\\.0\\.1:${server.port}\\r\\n`),
  );
  t.is(heads[2]?.match(/^host:.*$/gim)?.join(), 'Host: mine.example');
  t.is(server.peers.length, 1);
});

test('POOL-24: connectionFromUrl shows the port, keeps 0, reads a URL without a scheme as http', (t) => {
  const shown = (url: string): [string, number | null] => {
    const { host, port } = connectionFromUrl(url);
    return [host, port];
  };
  t.deepEqual(shown('http://LocalHost/x'), ['localhost', 80]);
  t.deepEqual(shown('http://localhost:0/'), ['localhost', 0]);
  t.deepEqual(shown('127.0.0.1:8080'), ['127.0.0.1', 8080]);
  t.deepEqual(shown('Example.com/x'), ['example.com', 80]);
  t.deepEqual(shown('http://[::1]:81/'), ['::1', 81]);
  t.is(connectionFromUrl('http://h/', { maxsize: 3 }).maxsize, 3);
  t.is(connectionFromUrl('http://h/', { port: 8080 }).port, 8080);
  t.throws(() => connectionFromUrl('http://:80/'), { name: 'LocationValueError', message: 'No host specified.' });
  t.deepEqual(shown('HTTPS://h/'), ['h', 443]);
  t.deepEqual(shown('https://h:0/'), ['h', 0]);
  t.is(connectionFromUrl('https://h/', { port: 8443 }).port, 8443);
  for (const [url, type, scheme] of [
    ['https://h/', HTTPSConnectionPool, 'https'],
    ['http://h/', HTTPConnectionPool, 'http'],
  ] as const) {
    const pool = connectionFromUrl(url);
    t.is(pool.constructor, type);
    t.is(pool.scheme, scheme);
    t.is(String(pool), `${type.name}(host='h', port=${pool.port})`);
  }
});

test('THR-517, POOL-23: schemes other than http and https are unknown, to a pool and to whoever makes one', async (t) => {
  const pool = new HTTPConnectionPool('127.0.0.1', { port: 1 });
  t.teardown(() => pool.close());
  const unknown = { name: 'URLSchemeUnknown', code: 'ERR_INVALID_URL' };
  for (const url of [
    'file:///etc/passwd',
    'file://127.0.0.1/etc/passwd',
    'ftp://127.0.0.1:1/x',
    'unix:/var/run/docker.sock',
    'unix://127.0.0.1/x',
    'javascript://127.0.0.1/%0aalert(1)',
    'data://text/plain,x',
    'http+unix://%2Fvar%2Frun%2Fdocker.sock/x',
    'ws://127.0.0.1:1/',
  ]) {
    await t.throwsAsync(pool.request('GET', url, { assertSameHost: false }), unknown, url);
    await t.throwsAsync(pool.request('GET', url), unknown, url);
    t.throws(() => connectionFromUrl(url), unknown, url);
  }
  t.is(pool.numConnections, 0);
});

test('THR-511: whatever stands around the host, pool, Host and target name the same one', async (t) => {
  const server = await rawServer(answers(reply('')));
  const { port } = server;
  t.teardown(() => server.close());
  const users = ['', 'u@', 'u:p@', 'a@b@', 'evil.example%40@', 'evil.example:80@', '%2Fevil.example@', '\t@', 'é@'];
  const hosts = ['127.0.0.1', '127.1', '0x7F.0.0.1', '2130706433', '127%2E0.0.1'];
  const tails = [
    '',
    '/',
    '/@evil.example',
    '\\@evil.example/',
    '?@evil.example/',
    '#@evil.example',
    '?\r\nHost: evil.example',
  ];
  let sent = 0;
  let count = 0;
  const pool = connectionFromUrl(`http://127.0.0.1:${port}`);
  for (const user of users) {
    for (const host of hosts) {
      for (const tail of tails) {
        const url = `http://${user}${host}:${port}${tail}`;
        const made = connectionFromUrl(url);
        t.deepEqual([made.host, made.port], ['127.0.0.1', port], JSON.stringify(url));
        const response = await pool.request('GET', url);
        const [line = '', field] = received(server).slice(sent).split('\r\n');
        sent = received(server).length;
        t.is(field, `Host: 127.0.0.1:${port}`, JSON.stringify(url));
        t.true(line.startsWith(`GET http://127.0.0.1:${port}`), line);
        // One more reader, of another make: WHATWG's.
        const seen = new URL(response.url);
        t.deepEqual([seen.hostname, seen.port, seen.username], ['127.0.0.1', String(port), ''], response.url);
        count += 1;
      }
    }
  }
  t.true(count > 200);
  t.is(pool.numConnections, 1);
  await pool.close();
});

test('THR-511, THR-512, THR-513: a host that two readers would read differently makes no pool', (t) => {
  for (const host of [
    'a\tb',
    'a\nb',
    'a\0b',
    'a b',
    'a\x7fb',
    'a%00b',
    'a%0Ab',
    'a%',
    'a%zz',
    'a<b',
    'a^b',
    'a|b',
    '[',
    '[]',
    '[a]',
    '[::1',
    '::1]',
    '[::1]x',
    '[1::2::3]',
    '[::1%25]x',
    '[1.2.3.4]',
    'a]b',
    '256.256.256.256',
    '1.2.3.4.5',
    '0x100000000',
    '08.1.1.1',
    'a.1',
    '\u3002',
    'a\uff0eb',
    'a\u00adb',
    'a\u200db',
    'xn--',
    'xn--a',
    'xn--example-',
    'a\u2044b',
    'a\uff0fb',
    '\ufffd',
    '\ud800',
  ]) {
    t.throws(() => connectionFromUrl(`http://${host}/`), parseError, JSON.stringify(host));
    t.throws(() => new HTTPConnectionPool(host), parseError, JSON.stringify(host));
  }
  for (const host of ['a/b', 'a:80', 'a?b', 'a#b', 'a@b', 'a\\b', 'http://a']) {
    t.throws(() => new HTTPConnectionPool(host), parseError, host);
  }
});

test('THR-512: an address has one spelling once it is a pool’s', (t) => {
  for (const [given, host] of [
    ['2130706433', '127.0.0.1'],
    ['0177.0.0.1', '127.0.0.1'],
    ['0x7f000001', '127.0.0.1'],
    ['127.1', '127.0.0.1'],
    ['[0:0:0:0:0:0:0:1]', '::1'],
    ['[::FFFF:127.0.0.1]', '::ffff:127.0.0.1'],
    ['[FE80::1%25En0]', 'fe80::1%En0'],
  ] as const) {
    t.is(new HTTPConnectionPool(given).host, host, given);
  }
  // A URL keeps the spelling; a pool does not.
  t.is(parseUrl('http://0x7F.1/').host, '0x7F.1');
});

clocked('THR-513, URL-07: names are IDNA 2008, strictly, and no name takes long', (t) => {
  t.is(new HTTPConnectionPool('faß.de').host, 'xn--fa-hia.de');
  t.is(parseUrl('http://FAß.de/').host, 'xn--fa-hia.de');
  const began = performance.now();
  for (const label of ['a'.repeat(64), 'é'.repeat(10_000), 'xn--'.repeat(10_000), '\u0300'.repeat(100_000)]) {
    t.throws(() => new HTTPConnectionPool(label), parseError);
  }
  t.is(parseUrl(`http://${'@'.repeat(10_000)}h/`).host, 'h');
  t.throws(() => parseUrl(`http://${'@'.repeat(100_000)}h:x/`), parseError);
  within(t, performance.now() - began < 2_000);
  t.throws(() => new HTTPConnectionPool(`${'a.'.repeat(126)}aa`), parseError);
  t.is(new HTTPConnectionPool('a'.repeat(63)).host.length, 63);
});

test('THR-515: a port is digits up to 65535 or absent; 0 is 0', async (t) => {
  for (const [text, port] of [
    ['', 80],
    [':', 80],
    [':0', 0],
    [':00080', 80],
    [':65535', 65_535],
  ] as const) {
    t.is(connectionFromUrl(`http://h${text}/`).port, port, text);
  }
  for (const text of [
    ':65536',
    ':-1',
    ': 80',
    ':80a',
    ':+80',
    ':0x50',
    ':8 0',
    ':80:80',
    ':²',
    ':８０',
    ':99999999999',
  ]) {
    t.throws(() => connectionFromUrl(`http://h${text}/`), parseError, text);
  }
  const pool = new HTTPConnectionPool('127.0.0.1', { port: 0, retries: false });
  const error = await t.throwsAsync(pool.request('GET', '/'), { name: 'NewConnectionError' });
  t.regex((error as NewConnectionError).code, /^E[A-Z]+$/);
  await pool.close();
});

test('THR-516, URL-09: dot segments go where a URL is parsed, stay in a path given to a pool, and nothing is rewritten twice', (t) => {
  for (const [path, expected] of [
    ['/a/./b/../c', '/a/c'],
    ['/../../x', '/x'],
    ['/a//b', '/a//b'],
    ['/%2e%2e/x', '/%2e%2e/x'],
    ['/..\\x', '/..%5Cx'],
    ['\\..\\x', '/%5C..%5Cx'],
    ['/a/..', '/'],
  ] as const) {
    const once = parseUrl(`http://h${path}`);
    t.is(once.path, expected, path);
    t.deepEqual(parseUrl(once.url).toJSON(), once.toJSON(), path);
  }
});

/** Everything that the first connection has said. */
function received(server: { peers: readonly { received: Buffer }[] }): string {
  return server.peers[0]?.received.toString('latin1') ?? '';
}

test('a Url is made by parseUrl alone, and says so', (t) => {
  const made = Url as unknown as new (...parts: unknown[]) => Url;
  for (const parts of [[], ['http://h/'], [{ scheme: 'http' }]]) {
    t.throws(() => new made(...parts), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_URL',
      message: /parseUrl\(text\)$/,
    });
  }
  t.true(parseUrl('http://h/') instanceof Url);
});

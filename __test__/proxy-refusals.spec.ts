/** What proxies say in place of a tunnel, or around it: refusals, early bytes, pieces, and things that are no answer. */
import test, { type ExecutionContext } from 'ava';

import { HTTPError, ProtocolError, ProxyError, SSLError, type PoolManager, type PoolManagerOptions } from '../index.ts';
import { rawServer, type Peer, type Script } from './servers/raw.ts';
import { saying, type Manner, type Proxy, type ProxyOptions } from './servers/proxy.ts';
import { rejection } from './support/fixtures.ts';
import { origins, proxied, through, toldBy } from './support/proxied.ts';

const SCHEMES = { http: {}, https: { tls: {} } } as const satisfies Record<string, ProxyOptions>;
const WAIT = { timeout: { total: 20_000 } };

/** A proxy that answers CONNECT its own way, and a manager that uses it. */
async function answering(
  t: ExecutionContext,
  manner: Manner,
  options: PoolManagerOptions = {},
  own: ProxyOptions = {},
): Promise<{ manager: PoolManager; proxy: Proxy }> {
  const { routes } = await origins(t);
  const proxy = await proxied(t, { routes, manner, ...own });
  return { proxy, manager: through(t, proxy.url, { ...WAIT, ...options }) };
}

/** A manager over a script in place of a proxy. */
async function scripted(t: ExecutionContext, script: Script, scheme = 'http'): Promise<PoolManager> {
  const server = await rawServer(script);
  t.teardown(() => server.close());
  return through(t, `${scheme}://127.0.0.1:${server.port}`, WAIT);
}

for (const [scheme, own] of Object.entries(SCHEMES)) {
  test(`PROXY-10 THR-704: an ${scheme} proxy that refuses a tunnel: its status, fields and body are on the error, and it is asked no more`, async (t) => {
    const body = JSON.stringify({ error: 'no' });
    let status = 0;
    const { manager, proxy } = await answering(
      t,
      saying(
        () => [
          `HTTP/1.1 ${status} Not Here\r\nX-Why: because\r\nx-why: of that\r\nLocation: http://h.test/\r\nContent-Length: ${body.length}\r\n` +
            // What comes behind is nobody's.
            `\r\n${body}HTTP/1.1 200 EVIL\r\nContent-Length: 0\r\n\r\n`,
        ],
        'mine',
      ),
      {},
      own,
    );
    for (const [nth, one] of [301, 302, 307, 400, 401, 403, 404, 407, 429, 500, 501, 502, 503, 504, 599].entries()) {
      status = one;
      const error = await rejection(manager.request('GET', 'https://s.test/secret'), ProxyError);
      t.like(error, { code: 'ERR_PROXY', phase: 'proxy', host: 's.test:443', status: one, sent: false, attempts: 0 });
      t.regex(
        error.message,
        new RegExp(`^Unable to connect to proxy 127\\.0\\.0\\.1:${proxy.port}: .*Proxy responded with ${one}`),
      );
      t.is(error.originalError?.message, `Tunnel connection failed: ${one} Not Here`);
      t.is(error.cause, error.originalError);
      const headers = error.headers as { get(name: string): string | null; getlist(name: string): string[] };
      t.is(headers.get('location'), 'http://h.test/');
      t.deepEqual(headers.getlist('X-Why'), ['because', 'of that']);
      t.is(error.body?.toString(), body);
      await proxy.gone(nth + 1);
      t.is(proxy.asked.length, nth + 1);
    }
    t.like(manager.stats(), { opened: 0, live: 0 });
  });
}

test('PROXY-10: any 2xx opens a tunnel', async (t) => {
  let status = 0;
  const { manager, proxy } = await answering(
    t,
    saying(() => [`HTTP/1.1 ${status} As You Like\r\n\r\n`], 'join'),
  );
  for (status of [200, 201, 202, 204, 206, 226, 299]) {
    t.is(toldBy(await manager.request('GET', `https://s.test/${status}`)).target, `/${status}`);
    manager.clear();
  }
  t.is(proxy.tunnels.length, 7);
});

test('THR-704: of a refusal’s body 64 KiB are kept, and nobody waits for the rest of it', async (t) => {
  const bodies: Record<string, string> = {
    long: `Content-Length: 1000000\r\n\r\n${'x'.repeat(1_000_000)}`,
    chunked:
      `Transfer-Encoding: chunked\r\n\r\n${'1000\r\n'.padEnd(4096 + 6, 'x')}\r\n`.repeat(1) +
      `${'8000\r\n'.padEnd(32_768 + 6, 'y')}\r\n`.repeat(8),
    endless: `\r\n${'x'.repeat(200_000)}`,
    unfinished: 'Content-Length: 100\r\n\r\npart',
    silent: 'Content-Length: 100\r\n\r\n',
    none: 'Content-Length: 0\r\n\r\n',
  };
  let body = '';
  const { manager } = await answering(
    t,
    saying(() => [`HTTP/1.1 403 No\r\n${body}`], 'mine'),
  );
  const lengths: Record<string, number | undefined> = {};
  for (const [name, said] of Object.entries(bodies)) {
    body = said;
    const began = performance.now();
    const error = await rejection(manager.request('GET', 'https://s.test/'), ProxyError);
    t.true(performance.now() - began < 5_000, name);
    t.is(error.status, 403);
    lengths[name] = error.body?.length;
  }
  t.deepEqual(lengths, { long: 65_536, chunked: 65_536, endless: 65_536, unfinished: 4, silent: 0, none: 0 });
});

test('THR-704: a refusal whose body stalls is that refusal, even where `connect` runs out meanwhile', async (t) => {
  const refuses = saying(() => ['HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\nbusy'], 'mine');
  // Longer than the head needs, and shorter than the body is waited for.
  const { manager, proxy } = await answering(t, refuses, { timeout: { connect: 700 } });
  const error = await rejection(manager.request('GET', 'https://s.test/'), ProxyError);
  t.like(error, { status: 503, phase: 'proxy' });
  t.is(error.body?.toString(), 'busy');
  await proxy.gone(1);
});

test('THR-704: no secret of a refusal is printed', async (t) => {
  const { manager } = await answering(
    t,
    saying(() => ['HTTP/1.1 403 No\r\nSet-Cookie: hidden\r\nContent-Length: 6\r\n\r\nhidden'], 'mine'),
  );
  const error = await rejection(manager.request('GET', 'https://s.test/?hidden'), ProxyError);
  t.false(JSON.stringify(error).includes('hidden'), JSON.stringify(error));
  t.false(error.message.includes('hidden'));
});

test('THR-703: body fields of a 2xx mean nothing: the tunnel begins behind its head', async (t) => {
  const fields = [
    'Content-Length: 10',
    'Content-Length: 0',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nContent-Length: 7',
    'Content-Length: 1, 2',
    'Transfer-Encoding: gzip',
    'Connection: close',
    'Content-Encoding: gzip',
  ];
  let field = '';
  for (const own of Object.values(SCHEMES)) {
    const { manager } = await answering(
      t,
      saying(() => [`HTTP/1.1 200 OK\r\n${field}\r\n\r\n`], 'join'),
      {},
      own,
    );
    for (field of fields) {
      t.is(toldBy(await manager.request('POST', 'https://s.test/', { body: 'whole' })).body, 'whole', field);
      manager.clear();
    }
  }
});

test('THR-703: bytes behind the head of a 2xx, before we said anything, end it: ProxyError ERR_PROXY_EARLY_BYTES', async (t) => {
  const early = [
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly',
    'HTTP/1.1 200 OK\r\n\r\n\u0016\u0003\u0001',
    'HTTP/1.1 200 OK\r\n\r\nx',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 EVIL\r\nContent-Length: 0\r\n\r\n',
  ];
  for (const own of Object.values(SCHEMES)) {
    let bytes = '';
    const { manager, proxy } = await answering(
      t,
      saying(() => [bytes], 'join'),
      {},
      own,
    );
    for (bytes of early) {
      const error = await rejection(manager.request('GET', 'https://s.test/'), ProxyError);
      t.like(
        error,
        { code: 'ERR_PROXY', reason: 'ERR_PROXY_EARLY_BYTES', phase: 'proxy', sent: false, status: null },
        bytes,
      );
      t.regex(error.message, /^Unable to connect to proxy 127\.0\.0\.1:\d+: /);
    }
    t.is(proxy.asked.length, early.length);
    for (const nth of early.keys()) await proxy.gone(nth + 1);
  }
});

test('THR-705: an answer in two pieces, wherever it is cut, and byte by byte; informational ones before it', async (t) => {
  const answers = [
    'HTTP/1.1 200 Connection established\r\n\r\n',
    'HTTP/1.0 200 OK\r\nX: y\r\nVia: 1.1 z\r\n\r\n',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
  ];
  const cuts = answers.flatMap((answer) => [
    ...Array.from(answer, (_, at) => [answer.slice(0, at), answer.slice(at)].filter((piece) => piece !== '')),
    answer.split(''),
  ]);
  let pieces: string[] = [];
  const { manager, proxy } = await answering(
    t,
    saying(() => pieces, 'join'),
  );
  for (pieces of cuts) {
    t.is(toldBy(await manager.request('POST', 'https://s.test/', { body: 'b' })).body, 'b', JSON.stringify(pieces));
    manager.clear();
  }
  t.is(proxy.tunnels.length, cuts.length);
});

test('THR-705: sixteen informational answers pass, and one more does not', async (t) => {
  let count = 0;
  const { manager } = await answering(
    t,
    saying(() => [`${'HTTP/1.1 102 Wait\r\n\r\n'.repeat(count)}HTTP/1.1 200 OK\r\n\r\n`], 'join'),
  );
  count = 16;
  t.is((await manager.request('GET', 'https://s.test/')).status, 200);
  manager.clear();
  for (count of [17, 20_000]) {
    const error = await rejection(manager.request('GET', 'https://s.test/'), ProxyError);
    t.is(error.originalError?.name, 'ProtocolError');
    t.like(error.originalError, { reason: 'ERR_INFORMATIONAL_FLOOD' });
  }
});

test('PROXY-11 THR-705: a head of an answer to CONNECT keeps to the limits of heads, and no more of it is read', async (t) => {
  const line = (length: number): string => `X: ${'y'.repeat(length - 5)}\r\n`;
  const heads: [what: string, head: string, limit: string | null][] = [
    ['a line of 60 KiB', line(60_000), null],
    ['250 KiB', line(50_000).repeat(5), null],
    ['300 KiB', line(60_000).repeat(5), 'headerBytes'],
    ['one line of 300 KiB', line(300_000), 'headerBytes'],
    ['250 lines', line(10).repeat(250), null],
    ['257 lines', line(10).repeat(257), 'headerCount'],
    ['100,000 lines', line(10).repeat(100_000), 'headerCount'],
  ];
  for (const first of ['HTTP/1.1 200 OK\r\n', 'HTTP/1.1 403 No\r\n']) {
    let said = '';
    const { manager } = await answering(
      t,
      saying(() => [said], first.includes('200') ? 'join' : 'mine'),
    );
    for (const [what, head, limit] of heads) {
      said = `${first}${head}\r\n`;
      if (limit === null && first.includes('200')) {
        t.is((await manager.request('GET', 'https://s.test/')).status, 200, what);
        manager.clear();
        continue;
      }
      const error = await rejection(manager.request('GET', 'https://s.test/'), ProxyError);
      t.is(error.status, limit === null ? 403 : null, what);
      if (limit !== null) t.regex(error.originalError?.message ?? '', /head|limit|line|field/i, what);
    }
  }
});

test('PROXY-11 THR-102: a head without end is no loop: it fails at its limit, however slowly it comes', async (t) => {
  let sent = 0;
  const manager = await scripted(t, async (peer) => {
    await peer.request();
    await peer.write('HTTP/1.1 200 OK\r\nX: ');
    while (!peer.ended && sent < 64 * 1024 * 1024) {
      await peer.write('x'.repeat(16_384));
      sent += 16_384;
    }
  });
  await rejection(manager.request('GET', 'https://s.test/'), ProxyError);
  t.true(sent < 16 * 1024 * 1024, `${sent} bytes were taken`);
});

/** How a proxy may be cut off, and how that ends. */
const ENDS: Record<string, (peer: Peer) => void> = { FIN: (peer) => peer.end(), RST: (peer) => peer.reset() };

for (const [how, end] of Object.entries(ENDS)) {
  test(`PROXY-11: a CONNECT answer that ends early, by ${how}, wherever it does, is a ProxyError and no loop`, async (t) => {
    const whole = 'HTTP/1.1 200 OK\r\nX: y\r\n\r\n';
    let length = 0;
    const manager = await scripted(t, async (peer) => {
      await peer.request();
      await peer.write(whole.slice(0, length));
      end(peer);
    });
    for (length = 0; length < whole.length; length += 1) {
      const error = await rejection(manager.request('GET', 'https://s.test/'), ProxyError);
      t.like(error, { phase: 'proxy', sent: false, status: null }, `${length}`);
      t.is(error.originalError?.name, 'ProtocolError', error.message);
    }
    // All of it: the tunnel stands, and TLS meets its end.
    const error = await rejection(manager.request('GET', 'https://s.test/'), HTTPError);
    t.true(error instanceof SSLError || error instanceof ProtocolError, error.name);
    t.is(error.phase, 'tls');
  });
}

const GARBAGE: Record<string, string> = {
  text: 'hello\r\n\r\n',
  zeros: '\0'.repeat(100),
  'HTTP/0.9': '<html></html>',
  'HTTP/2': 'HTTP/2 200\r\n\r\n',
  'no status': 'HTTP/1.1 OK\r\n\r\n',
  'two digits': 'HTTP/1.1 20 OK\r\n\r\n',
  'four digits': 'HTTP/1.1 2000 OK\r\n\r\n',
  TLS: '\u0015\u0003\u0003\0\u0002\u0002\u0028',
  SOCKS: '\u0005\0',
  'another protocol': 'SSH-2.0-OpenSSH_9.2\r\n',
  'a greeting': '220 mail ready\r\n',
  'line feeds': '\n\n\n\n',
};

for (const [what, bytes] of Object.entries(GARBAGE)) {
  test(`PROXY-11: what is no answer to CONNECT is a ProxyError that says so: ${what}`, async (t) => {
    for (const early of [false, true]) {
      const manager = await scripted(t, async (peer) => {
        if (!early) await peer.request();
        await peer.write(bytes);
        peer.end();
      });
      const error = await rejection(manager.request('GET', 'https://s.test/'), ProxyError);
      t.like(error, { code: 'ERR_PROXY', status: null, sent: false });
      t.regex(error.message, /^Unable to connect to proxy 127\.0\.0\.1:\d+: /);
      t.is(error.originalError?.name, 'ProtocolError', error.message);
      t.true((error.originalError?.message.length ?? 999) < 300);
    }
  });
}

test('PROXY-09: an https proxy that speaks plain HTTP: the error says what to change', async (t) => {
  const manager = await scripted(
    t,
    async (peer) => {
      await peer.bytes(1);
      peer.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
    },
    'https',
  );
  for (const url of ['http://h.test/', 'https://s.test/']) {
    const error = await rejection(manager.request('GET', url), ProxyError);
    t.regex(
      error.message,
      /^Unable to connect to proxy.*Your proxy appears to only use HTTP and not HTTPS, try changing your proxy URL to be HTTP/,
    );
    t.true(error.originalError instanceof SSLError);
    t.is(error.phase, 'proxy');
  }
});

test('THR-706 PROXY-12 PROXY-04: a tunnel’s target and fields are what they must be, or nothing is sent', async (t) => {
  const { routes } = await origins(t);
  const proxy = await proxied(t, {
    routes,
    manner: saying(() => ['HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n'], 'mine'),
  });
  const manager = through(t, proxy.url);
  for (const [url, target] of [
    ['https://[2001:4998:c:a06::2:4008]/', '[2001:4998:c:a06::2:4008]:443'],
    ['https://[::1]:8443/', '[::1]:8443'],
    ['https://[::FFFF:127.0.0.1]/', '[::ffff:127.0.0.1]:443'],
    ['https://[fe80::1%25eth0]/', '[fe80::1]:443'],
    ['https://127.1:8443/', '127.0.0.1:8443'],
    ['https://s.test:0/', 's.test:0'],
    ['https://S.TEST/', 's.test:443'],
    ['https://b\u00fccher.test/', 'xn--bcher-kva.test:443'],
  ] as const) {
    const before = proxy.asked.length;
    t.is((await rejection(manager.request('GET', url), ProxyError)).status, 403);
    const asked = proxy.asked[before];
    t.is(asked?.target, target);
    t.deepEqual(asked?.all('host'), [target]);
  }
  const asked = proxy.asked.length;
  for (const url of [
    'https://s.test\r\nX: y/',
    'https://s test/',
    'https://s.test%0d%0aX: y/',
    'https://s.test%00/',
    'https://s.test%zz/',
    'https://s.test%/',
    'https://[::1%25\r\n]/',
    'https://[::1]x/',
    'https://s.test:443x/',
    'https://s.test:99999/',
    'https://s.test\u0000/',
    'https://a..b/',
  ]) {
    await t.throwsAsync(manager.request('GET', url), { code: 'ERR_INVALID_URL' }, JSON.stringify(url));
  }
  for (const proxyHeaders of [
    { 'a b': 'c' },
    { a: 'b\r\nc: d' },
    { a: 'b\0' },
    { 'a\r\nb': 'c' },
    { '': 'a' },
    { 'Content-Length': '5' },
    { 'Transfer-Encoding': 'chunked' },
    { Upgrade: 'x' },
    { TE: 'x' },
  ]) {
    t.throws(
      () => through(t, proxy.url, { proxyHeaders }),
      { code: 'ERR_INVALID_HEADER' },
      JSON.stringify(proxyHeaders),
    );
  }
  t.is(proxy.asked.length, asked);
});

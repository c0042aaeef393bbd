/** Nothing that is told of a request through a proxy tells who we are: to the proxy, to the origin, or by the target's URL. */
import test from 'ava';

import { LocationParseError, PoolManager, type HTTPError } from '../index.ts';
import { basic } from './servers/proxy.ts';
import { say } from './servers/tunnels.ts';
import { start } from './support/child.ts';
import { usual } from './support/pki.ts';
import { closedPort } from './support/fixtures.ts';
import { namesIn, origins, proxied, socksed } from './support/proxied.ts';

/** The secret as it is, in octets as they are printed, and in Base64 wherever it begins. */
const SECRET = new RegExp(
  [
    'sesame',
    Buffer.from('sesame')
      .toString('hex')
      .replaceAll(/(..)(?!$)/g, '$1 ?'),
    ...[0, 1, 2].map((shift) =>
      Buffer.from(`${'x'.repeat(shift)}sesame`)
        .toString('base64')
        .slice(shift === 0 ? 0 : shift + 1, 7),
    ),
  ].join('|'),
  'i',
);

const MOVED = 'HTTP/1.1 302 Found\r\nLocation: https://me:sesame4@s.test/status/500\r\nContent-Length: 0\r\n\r\n';

test('THR-701 THR-715: no secret is in a log, a channel, a warning, an error, a response, or what is printed of them', async (t) => {
  for (const shown of ['sesame', 'xSesame', '<Buffer 73 65 73 61 6d 65>', basic('user:sesame1'), basic('me:sesame')])
    t.regex(shown, SECRET);
  const there = await origins(t);
  const { routes } = there;
  const proxy = await proxied(t, {
    routes,
    credentials: 'user:sesame1',
    manner: async ({ target }, socket) => {
      if (!target.endsWith('/moved')) return 'serve';
      await say(socket, MOVED);
      return 'mine';
    },
  });
  const socks = await socksed(t, { routes, credentials: 'user:sesame1' });
  const work = {
    proxy: proxy.url,
    socks: `socks5h://127.0.0.1:${socks.port}`,
    dead: `http://127.0.0.1:${await closedPort(t)}`,
    authority: usual().ca.pem,
  };
  const child = start('proxy-secrets.ts', [JSON.stringify(work)], {
    env: { NODE_DEBUG: 'ferropool' },
  });
  const { code, lines, stderr } = await child.ended;
  t.is(code, 0, stderr);
  t.is(lines.at(-1), 'all was told');
  t.regex(stderr, /FERROPOOL \d+: /);
  const told = [...lines, ...stderr.split('\n')];
  t.true(told.length > 1_000);
  t.deepEqual(told.filter((line) => SECRET.test(line)).slice(0, 20), []);
  // It was used, though: each proxy let somebody in.
  t.true(proxy.asked.some((one) => one.all('proxy-authorization').join() === basic('user:sesame1')));
  t.true(socks.asked.some(({ credentials }) => credentials?.password === 'sesame1'));
  t.true(
    there.asked.some(({ lines: fields }) =>
      fields.some(([name, value]) => name === 'Authorization' && value === 'sesame5'),
    ),
  );
  // What a proxy that passes a request on makes of fields that it does not know is its own affair.
  for (const one of there.asked) {
    const names = namesIn(one);
    t.false(names.includes('proxy-authorization') || (one.origin === 'https' && names.includes('x-token')));
  }
  t.false(JSON.stringify(there.asked).includes('sesame4'));
});

test('THR-715: where a password was not encoded, an error shows what stands behind the last @', async (t) => {
  for (const [proxy, location] of [
    ['http://user:pass/word@p.test:1/', '…@p.test:1/'],
    ['http://user:pass?word@p.test', '…@p.test'],
    ['http://user:pass#word@p.test', '…@p.test'],
    ['http://user@x:pass/wo@rd@p.test', '…@p.test'],
    // As it always was.
    ['http://user:password@p test/', 'http://p test/'],
    ['http://p test/@path', 'http://p test/@path'],
  ] as const) {
    const error = t.throws<LocationParseError>(() => new PoolManager({ proxy }), { instanceOf: LocationParseError });
    t.is(error?.location, location, proxy);
  }
  const manager = new PoolManager({ retries: false });
  const error = await t.throwsAsync<HTTPError>(manager.request('GET', 'http://user:pass/word@h.test/'));
  t.false(JSON.stringify(error).includes('word'));
  await manager.close();
});

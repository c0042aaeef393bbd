/** A response and its text: what it holds, in which charset, and what hostile bytes may not do to it. */
import { inspect } from 'node:util';
import test, { type ExecutionContext } from 'ava';

import { HTTPResponse, ResponseError, type HTTPResponseInit } from '../index.ts';
import { scripted, served, target } from './support/fixtures.ts';

/** A response over the wire with this body and content type. */
async function received(t: ExecutionContext, body: string | Uint8Array, type?: string): Promise<HTTPResponse> {
  const bytes = Buffer.from(body);
  const { pool } = await scripted(t, async (peer) => {
    await peer.request();
    const header = type === undefined ? '' : `Content-Type: ${type}\r\n`;
    await peer.write(`HTTP/1.1 200 OK\r\n${header}Content-Length: ${bytes.length}\r\n\r\n`);
    await peer.write(bytes);
  });
  return pool.request('GET', '/');
}

const own = (body: string | Uint8Array, type?: string): HTTPResponse =>
  new HTTPResponse(body, type === undefined ? {} : { headers: { 'content-type': type } });

test('RESP-14: data is the whole body, and asking twice gives the same bytes', async (t) => {
  for (const length of [0, 5, 5000, 100_000, 3_000_000]) {
    const body = Buffer.alloc(length, 'body');
    const response = await received(t, body);
    t.true(response.data.equals(body), String(length));
    t.is(response.data, response.data);
    t.is(response.bytesRead, length);
    t.is(response.lengthRemaining, 0);
    t.true(response.closed);
  }
  t.is(new HTTPResponse().data.length, 0);
  t.is(new HTTPResponse(Buffer.from('own')).data.toString(), 'own');
  t.is(new HTTPResponse('ö').data.length, 2);
});

test('RESP-14: data stays what it was when later responses come, and when its connection is gone', async (t) => {
  const { pool } = await served(t, (request, response) => response.end(`body of ${request.url}`));
  const responses = [];
  for (let nth = 0; nth < 2000; nth += 1) responses.push(await pool.request('GET', `/${nth}`));
  await pool.close();
  for (const [nth, response] of responses.entries()) {
    if (response.data.toString() !== `body of /${nth}`) t.fail(`response ${nth} says ${response.data.toString()}`);
    t.is(response.url.endsWith(`/${nth}`), true);
  }
});

test('RESP-15: json() reads UTF-8 and nothing else, whatever the header says', async (t) => {
  const response = await received(t, '{"city":"Köln","n":[1,2.5,null,true]}', 'application/json; charset=iso-8859-1');
  t.deepEqual(response.json(), { city: 'Köln', n: [1, 2.5, null, true] });
  const latin1 = await received(t, Buffer.from('{"city":"Köln"}', 'latin1'), 'application/json; charset=iso-8859-1');
  t.throws(() => latin1.json(), { instanceOf: TypeError, code: 'ERR_INVALID_BODY' });
  for (const broken of ['', '{', 'nonsense', '{"a":1}trailing', '\ufeff{}', "{'a':1}", 'NaN']) {
    t.throws(() => own(broken).json(), { instanceOf: SyntaxError }, JSON.stringify(broken));
  }
  t.is(own('null').json(), null);
  t.is(own(' 1e3\n').json<number>(), 1000);
});

test('text() takes the byte order mark, then the header, then the meta element, then UTF-8', async (t) => {
  const html = 'text/html';
  const cases: [body: string | Buffer, type: string | undefined, name: string, from: string, text: string][] = [
    ['plain', undefined, 'utf-8', 'default', 'plain'],
    ['Köln', 'text/plain', 'utf-8', 'default', 'Köln'],
    ['\ufeffKöln', 'text/plain; charset=latin1', 'utf-8', 'bom', 'Köln'],
    [Buffer.from('\ufeffKöln', 'utf16le'), 'text/plain', 'utf-16le', 'bom', 'Köln'],
    [Buffer.from('\ufeffKöln', 'utf16le').swap16(), 'text/plain; charset=utf-8', 'utf-16be', 'bom', 'Köln'],
    [Buffer.from('Köln', 'latin1'), 'text/plain; charset=ISO-8859-1', 'windows-1252', 'header', 'Köln'],
    [Buffer.from('Köln', 'latin1'), 'text/plain;charset="latin1"', 'windows-1252', 'header', 'Köln'],
    [Buffer.from([0x93, 0xfa]), 'text/plain; charset=Shift_JIS', 'shift_jis', 'header', '日'],
    [Buffer.from('<meta charset=latin1>ö', 'latin1'), html, 'windows-1252', 'meta', '<meta charset=latin1>ö'],
    ['<meta charset=latin1>ö', `${html}; charset=utf-8`, 'utf-8', 'header', '<meta charset=latin1>ö'],
    ['<meta charset=latin1>ö', 'text/plain', 'utf-8', 'default', '<meta charset=latin1>ö'],
    ['<!-- <meta charset=latin1> -->ö', html, 'utf-8', 'default', '<!-- <meta charset=latin1> -->ö'],
    ['<meta charset=utf-16>ö', html, 'utf-8', 'meta', '<meta charset=utf-16>ö'],
    [
      Buffer.from('<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">\xcf', 'latin1'),
      html,
      'windows-1251',
      'meta',
      '<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">П',
    ],
    // Malformed sequences do not throw.
    [Buffer.from([0x61, 0xff, 0x62]), 'text/plain', 'utf-8', 'default', 'a\ufffdb'],
  ];
  for (const [body, type, name, from, text] of cases) {
    const response = await received(t, body, type);
    t.deepEqual(response.charset, { name, from } as never, text);
    t.is(response.text(), text);
  }
  const latin1 = own(Buffer.from('Köln', 'latin1'));
  t.is(latin1.text('latin1'), 'Köln');
  t.is(latin1.text(), 'K\ufffdln');
  t.throws(() => latin1.text('no-such-charset'), { instanceOf: RangeError, code: 'ERR_INVALID_OPTION' });
});

test('THR-233: only labels of the standard count, an unknown one is UTF-8, and UTF-7 is unknown', async (t) => {
  const hidden = '+ADw-script+AD4-alert(1)+ADw-/script+AD4-';
  for (const label of ['utf-7', 'x-unknown', 'replacement', 'a'.repeat(100_000), '"', '']) {
    const response = own(hidden, `text/html; charset=${label}`);
    t.deepEqual(response.charset, { name: 'utf-8', from: 'default' }, label.slice(0, 20));
    t.is(response.text(), hidden);
  }
  t.is((await received(t, hidden, 'text/html; charset=utf-7')).text(), hidden);
});

test('THR-233: a meta element counts within the first 1,024 bytes, and megabytes of them cost no more', (t) => {
  const meta = '<meta charset=latin1>';
  const within = own(`${' '.repeat(1024 - meta.length)}${meta}`, 'text/html');
  t.is(within.charset.from, 'meta');
  t.is(own(`${' '.repeat(1025 - meta.length)}${meta}`, 'text/html').charset.from, 'default');
  const floods = ['<meta '.repeat(1_000_000), '<meta x>'.repeat(1_000_000), '<!--'.repeat(1_000_000)];
  for (const flood of floods) {
    const response = own(flood, 'text/html');
    const began = performance.now();
    for (let round = 0; round < 100; round += 1) t.is(response.charset.from, 'default');
    t.true(performance.now() - began < 1000, flood.slice(0, 8));
  }
});

test('THR-233: deep or treacherous JSON throws or is harmless; nothing crashes, no prototype changes', async (t) => {
  const deep = await received(t, '['.repeat(1_000_000));
  t.throws(() => deep.json(), { any: true });
  const closed = own(`${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`);
  // Where the engine can read it, it is an array; where it cannot, that is an exception like any other.
  t.notThrows(() => {
    try {
      closed.json();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    }
  });
  const poisoned = own('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}').json<object>();
  t.true(Object.hasOwn(poisoned, '__proto__'));
  t.is(({} as { polluted?: boolean }).polluted, undefined);
});

test('THR-112: bytes beyond ASCII in a header value are kept: latin1 by default, UTF-8 where one wants it', async (t) => {
  const utf8 = Buffer.from('Köln', 'utf8').toString('latin1');
  const { pool } = await scripted(t, async (peer) => {
    await peer.request();
    await peer.write(
      `HTTP/1.1 302 Gefunden: Köln\r\nLocation: /K\xf6ln\r\nX-City: ${utf8}\r\nX-All: \x80\xa0\xff\r\nContent-Length: 0\r\n\r\n`,
    );
  });
  const response = await pool.request('GET', '/', { redirect: false });
  t.is(response.headers.get('location'), '/Köln');
  t.is(response.getRedirectLocation(), '/Köln');
  t.is(Buffer.from(response.headers.get('x-city') ?? '', 'latin1').toString('utf8'), 'Köln');
  t.is(response.headers.get('x-all'), '\x80\xa0\xff');
  t.is(response.reason, 'Gefunden: Köln');
});

test('RESP-18: getRedirectLocation: the Location of five statuses, null without one, false for every other', async (t) => {
  for (let status = 100; status < 1000; status += 1) {
    const redirects = [301, 302, 303, 307, 308].includes(status);
    t.is(new HTTPResponse('', { status, headers: { Location: '/x' } }).getRedirectLocation(), redirects ? '/x' : false);
  }
  for (const status of [301, 302, 303, 307, 308]) t.is(new HTTPResponse('', { status }).getRedirectLocation(), null);
  const { pool } = await served(t, (_, response) => response.writeHead(307, { Location: '/next' }).end());
  t.is((await pool.request('GET', '/', { redirect: false })).getRedirectLocation(), '/next');
});

test('RESP-16 RESP-19 WART-06: url is absolute, headers and url take the place of the getters', async (t) => {
  const { pool, host } = await served(t, (_, response) => response.setHeader('X-Twice', ['a', 'b']).end('x'));
  const response = await pool.request('GET', '/path?q=1#fragment');
  // A fragment is not requested (RFC 9110, 7.1).
  t.is(response.url, `http://${host}/path?q=1`);
  t.is(response.url, response.url);
  t.is((await pool.request('GET', `http://${host}/absolute`)).url, `http://${host}/absolute`);
  t.is((await pool.request('GET', `http://user:secret@${host}/absolute`)).url, `http://${host}/absolute`);
  t.is((await pool.request('GET', '/', { fields: { q: 'ö', r: '1' } })).url, `http://${host}/?q=%C3%B6&r=1`);
  t.is((await pool.request('GET', '/?a=b', { fields: [['q', Buffer.from([0xff])]] })).url, `http://${host}/?a=b&q=%FF`);
  const foreign = await pool.request('GET', 'http://user:secret@other.test/x', { assertSameHost: false });
  t.is(foreign.url, 'http://other.test/x');
  t.is(response.headers.get('X-TWICE'), 'a, b');
  t.deepEqual(response.headers.getAll('x-twice'), ['a', 'b']);
  t.is(response.headers.get('absent'), undefined);
  t.is(response.toString(), `HTTPResponse(status=200, url='http://${host}/path?q=1')`);
});

test('raiseForStatus: itself below 400, ResponseError from there, without the query', async (t) => {
  const { pool, host } = await scripted(t, async (peer) => {
    for (;;) {
      const status = target(await peer.request()).slice(1, 4);
      const reason = status === '599' ? '' : 'Said So';
      await peer.write(`HTTP/1.1 ${status} ${reason}\r\nContent-Length: 0\r\n\r\n`);
    }
  });
  for (const status of [200, 204, 301, 399]) {
    const response = await pool.request('GET', `/${status}`);
    t.is(response.raiseForStatus(), response);
  }
  for (const [status, said] of [
    [400, '400 Said So'],
    [404, '404 Said So'],
    [599, '599'],
    [999, '999 Said So'],
  ] as const) {
    const response = await pool.request('GET', `/${status}?token=secret`);
    const error = t.throws(() => response.raiseForStatus(), { instanceOf: ResponseError, code: 'ERR_MAX_RETRY' });
    t.is(error?.message, `${said} for http://${host}/${status}`);
    t.is(error?.status, status);
    t.false(inspect(error).includes('secret'));
  }
  const bare = new HTTPResponse(null, { status: 503 });
  t.throws(() => bare.raiseForStatus(), { instanceOf: ResponseError, message: '503' });
});

test("a response of one's own is like one from a server, and takes nothing that it cannot hold", (t) => {
  const response = new HTTPResponse('{"ok":true}', {
    status: 201,
    reason: 'Made',
    url: 'http://example.test/',
    headers: { 'Content-Type': 'application/json' },
  });
  t.like(response, {
    status: 201,
    reason: 'Made',
    url: 'http://example.test/',
    attempts: 1,
    chunked: false,
    version: 11,
  });
  t.is(response.versionString, 'HTTP/1.1');
  t.is(response.timings, null);
  t.is(response.connection, null);
  t.is(response.bytesRead, 11);
  t.deepEqual(response.defects, []);
  t.is([...response.trailers.items()].length, 0);
  t.is(response.headers.get('content-type'), 'application/json');
  t.deepEqual(response.json(), { ok: true });
  const code = 'ERR_INVALID_OPTION';
  for (const status of [99, 1000, 200.5, Number.NaN]) {
    t.throws(() => new HTTPResponse('', { status }), { instanceOf: RangeError, code });
  }
  t.throws(() => new HTTPResponse('', { stauts: 200 } as HTTPResponseInit), {
    instanceOf: TypeError,
    code,
    message: /status/,
  });
  t.throws(() => new HTTPResponse(5 as unknown as string), { instanceOf: TypeError, code: 'ERR_INVALID_BODY' });
});

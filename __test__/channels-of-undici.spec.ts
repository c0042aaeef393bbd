/** undici's channels: what OpenTelemetry's instrumentation of undici takes from them, of our calls. */
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';

import test, { type ExecutionContext } from 'ava';

import { configure, HTTPConnectionPool, InvalidHeader } from '../index.ts';
import { answers, reply } from './servers/raw.ts';
import { rejection, scripted } from './support/fixtures.ts';
import { Notices, REQUEST, turn } from './support/notices.ts';

interface Request {
  origin: string;
  method: string;
  path: string;
  headers: string[];
  completed: boolean;
  addHeader(name: string, value: string): void;
}

interface Message {
  request: Request;
  response?: { statusCode: number; statusText: string; headers: Buffer[] };
  trailers?: Buffer[];
  headers?: string;
  socket?: { remoteAddress: string; remotePort: number };
  error?: Error;
}

/** A span as a tracer keeps it: made and finished by messages that name the same request. */
interface Span {
  readonly attributes: Record<string, unknown>;
  readonly heard: string[];
}

/** Listens as a tracer does: keeps its spans by the request's identity, and adds its header. */
function tracer(t: ExecutionContext): Span[] {
  const spans: Span[] = [];
  const open = new WeakMap<Request, Span>();
  const steps: Record<string, (message: Message, span: Span) => void> = {
    'undici:request:create': ({ request }, { attributes }) => {
      const url = new URL(request.origin + request.path);
      Object.assign(attributes, {
        url: url.href,
        method: request.method,
        agent: valueOf(request.headers, 'user-agent'),
      });
      request.addHeader('traceparent', `00-${spans.length}`);
      attributes['sent'] = valueOf(request.headers, 'traceparent');
    },
    'undici:client:sendHeaders': ({ headers, socket }, { attributes }) => {
      Object.assign(attributes, { peer: `${socket?.remoteAddress}:${socket?.remotePort}`, raw: headers });
    },
    'undici:request:headers': ({ response }, { attributes }) => {
      const texts = (response?.headers ?? []).map(String);
      Object.assign(attributes, {
        status: response?.statusCode,
        reason: response?.statusText,
        type: valueOf(texts, 'x-type'),
      });
    },
    'undici:request:trailers': ({ request, trailers }, { attributes }) => {
      Object.assign(attributes, { completed: request.completed, trailers: (trailers ?? []).map(String) });
    },
    'undici:request:error': ({ request, error }, { attributes }) => {
      Object.assign(attributes, { completed: request.completed, error });
    },
  };
  for (const [name, step] of Object.entries(steps)) {
    const hear = (message: unknown): void => {
      const { request } = message as Message;
      const span = open.get(request) ?? { attributes: {}, heard: [] };
      if (name.endsWith('create')) {
        open.set(request, span);
        spans.push(span);
      }
      span.heard.push(name.split(':')[2] ?? '');
      step(message as Message, span);
    };
    subscribe(name, hear);
    t.teardown(() => unsubscribe(name, hear));
  }
  t.teardown(() => configure({ diagnostics: ['ferropool'] }));
  return spans;
}

function valueOf(headers: string[], name: string): string | undefined {
  const at = headers.findIndex((text, n) => n % 2 === 0 && text.toLowerCase() === name);
  return at < 0 ? undefined : headers[at + 1];
}

const TRAILERS = 'HTTP/1.1 201 Made\r\nX-Type: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n';

test.serial('WARN-05: with diagnostics undici a tracer written for undici sees a call', async (t) => {
  const { pool, server, host } = await scripted(t, answers(TRAILERS));
  const spans = tracer(t);
  await pool.request('GET', '/unheard');
  t.deepEqual(spans, []);
  configure({ diagnostics: ['ferropool', 'undici'] });
  const ours = new Notices(t, ['request:end']);
  const headers = { 'User-Agent': 'me', Authorization: 's3cret' };
  await pool.request('GET', '/a', { fields: { b: 'c' }, headers });
  const [span] = spans;
  t.deepEqual(span?.heard, ['create', 'sendHeaders', 'headers', 'trailers']);
  t.deepEqual(span?.attributes, {
    url: `http://${host}/a?b=c`,
    method: 'GET',
    agent: 'me',
    sent: '00-1',
    peer: host,
    raw: 'GET /a?b=c HTTP/1.1\r\nUser-Agent: me\r\nAuthorization: <hidden>\r\ntraceparent: 00-1\r\n',
    status: 201,
    reason: 'Made',
    type: 'a',
    completed: true,
    trailers: ['x-sum', '1'],
  });
  t.regex(server.peers[0]?.received.toString() ?? '', /traceparent: 00-1\r\n/);
  t.is(ours.heard.length, 1);

  const streamed = await pool.request('GET', '/b', { preloadContent: false });
  await streamed.read();
  t.deepEqual(spans[1]?.heard, ['create', 'sendHeaders', 'headers', 'trailers']);
  t.deepEqual(spans[1]?.attributes['trailers'], ['x-sum', '1']);
});

test.serial('WARN-05: a tracer written for undici sees a call that fails', async (t) => {
  const { pool } = await scripted(t, answers(reply('x')));
  const spans = tracer(t);
  configure({ diagnostics: ['undici'] });
  const ours = new Notices(t, REQUEST);
  const error = await rejection(pool.request('GET', '/', { headers: { a: '\n' } }), InvalidHeader);
  t.deepEqual(spans[0]?.heard, ['create', 'error']);
  t.like(spans[0]?.attributes, { completed: false, error });
  // Only what was asked for.
  t.is(ours.heard.length, 0);
});

test.serial('WARN-05: a URL that a listener could not parse is kept from undici, not from us', async (t) => {
  const { pool } = await scripted(t, answers(reply('x')));
  const spans = tracer(t);
  configure({ diagnostics: ['ferropool', 'undici'] });
  const ours = new Notices(t, REQUEST);
  await t.throwsAsync(pool.request('GET', 'http://[::1/'));
  await turn();
  t.deepEqual(spans, []);
  t.deepEqual(ours.names(), ['request:start', 'request:error']);
});

test.serial('WARN-05: diagnostics is a list of names that are known, and [] is silence', async (t) => {
  const { pool } = await scripted(t, answers(reply('x')));
  const spans = tracer(t);
  const ours = new Notices(t, [...REQUEST, 'connection:open', 'connection:close']);
  configure({ diagnostics: [] });
  await pool.request('GET', '/');
  t.deepEqual([spans, ours.heard], [[], []]);
  for (const wrong of ['undici', ['Undici'], [1], [null], {}, null, true]) {
    t.throws(() => configure({ memoryBudget: 1, diagnostics: wrong as never }), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_OPTION',
      message: /^diagnostics (is an array of|has) 'ferropool' and 'undici'/,
    });
  }
  t.throws(() => configure({ diagnostics: ['undici'], memoryBudget: 0 }), { code: 'ERR_INVALID_OPTION' });
  configure({ diagnostics: undefined });
  await pool.request('GET', '/');
  t.deepEqual([spans, ours.heard], [[], []]);
  configure({ diagnostics: ['ferropool', 'ferropool'] });
  const again = new HTTPConnectionPool('127.0.0.1', { port: pool.port });
  await again.request('GET', '/');
  await again.close();
  t.deepEqual(ours.names(), ['request:start', 'connection:open', 'request:headers', 'request:end', 'connection:close']);
  t.true(channel('undici:request:create').hasSubscribers);
});

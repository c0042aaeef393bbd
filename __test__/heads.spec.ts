/** The head of a response off a raw socket: what is taken, what is repaired and says so, what ends the connection. */
import test, { type ExecutionContext } from 'ava';

import {
  HTTPConnectionPool,
  ProtocolError,
  ReadTimeoutError,
  ResponseTooLarge,
  Retry,
  type HTTPResponse,
  type PoolOptions,
} from '../index.ts';
import { answers, choices, reply, type Peer } from './servers/raw.ts';
import { rejection, scripted } from './support/fixtures.ts';
import { until } from './support/street.ts';
import { vectors, type Raised } from './support/vectors.ts';
import { clocked, within } from './support/clocked.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const BODY = 'Content-Length: 2\r\n\r\nok';
const EARLY = 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n';
const WAIT = { total: 10_000 };

type Lines = [string, string][];
const lines = (response: HTTPResponse): Lines => [...response.headers] as Lines;

/** Asks for each of these in turn, on a pool of its own, and hands over what came of it. */
async function each(
  t: ExecutionContext,
  wires: readonly string[],
  options: PoolOptions & { end?: boolean; streamed?: boolean },
  judge: (outcome: HTTPResponse | Error, nth: number, idle: number) => void,
): Promise<void> {
  const { end = false, streamed = false, ...rest } = options;
  const { pool } = await scripted(
    t,
    choices(
      wires.map((wire) => Buffer.from(wire, 'latin1')),
      end,
    ),
    { timeout: WAIT, ...rest },
  );
  for (const nth of wires.keys()) {
    const outcome = await pool.request('GET', `/${nth}`, { preloadContent: !streamed }).catch((error: Error) => error);
    const failure =
      streamed && !(outcome instanceof Error) ? await outcome.read().catch((error: Error) => error) : null;
    judge(failure instanceof Error ? failure : outcome, nth, pool.stats().idle);
    // A request that is on its way while its server goes away may fail of that alone.
    if (end) await until(() => pool.stats().live === 0, 'the connection of a server that has ended it is gone');
  }
}

function good(t: ExecutionContext, outcome: HTTPResponse | Error, what: string): HTTPResponse {
  if (outcome instanceof Error) throw new Error(what, { cause: outcome });
  t.is(outcome.data.toString(), 'ok', what);
  return outcome;
}

function refused(t: ExecutionContext, outcome: HTTPResponse | Error, what: string): ProtocolError {
  if (!(outcome instanceof ProtocolError)) throw new Error(`${what} is no ProtocolError`, { cause: outcome });
  t.is(outcome.code, 'ERR_PROTOCOL', what);
  t.true(outcome.message.startsWith('Connection aborted'), what);
  t.is(outcome.phase, 'headers', what);
  return outcome;
}

/** Begins a head in answer to the first request, and adds a little to it for ever. */
async function drip(t: ExecutionContext, peer: Peer, piece: string, every: number): Promise<void> {
  await peer.request();
  if (piece !== EARLY) await peer.write(`${OK}X: `);
  const timer = setInterval(() => {
    if (peer.socket.writable) peer.socket.write(piece);
  }, every);
  t.teardown(() => clearInterval(timer));
}

test('THR-101 RESP-06: 256 field lines pass, one more ends the connection long before the last has come', async (t) => {
  const head = (count: number): string => `${OK}${'X: 1\r\n'.repeat(count - 1)}${BODY}`;
  const { pool } = await scripted(t, choices([255, 256, 257, 100_000].map(head)), { timeout: WAIT });
  for (const [nth, count] of [255, 256].entries()) {
    const response = await pool.request('GET', `/${nth}`);
    t.is(lines(response).length, count);
    t.is(pool.stats().idle, 1);
  }
  for (const nth of [2, 3]) {
    const before = pool.stats().wireBytesIn;
    const error = await rejection(pool.request('GET', `/${nth}`), ResponseTooLarge);
    t.like(error, { limit: 'headerCount', allowed: 256, code: 'ERR_TOO_LARGE', phase: 'headers' });
    t.is(pool.stats().live, 0);
    t.true(pool.stats().wireBytesIn - before < 20_000);
  }
});

test('THR-101: a request may ask for fewer lines than its pool, not for more; what no map can hold is refused', async (t) => {
  const head = `${OK}${'X: 1\r\n'.repeat(299)}${BODY}`;
  const { pool } = await scripted(t, answers(head), { timeout: WAIT });
  const fewer = await rejection(pool.request('GET', '/', { limits: { headerCount: 10 } }), ResponseTooLarge);
  t.is(fewer.allowed, 10);
  const more = await rejection(pool.request('GET', '/', { limits: { headerCount: 1000 } }), ResponseTooLarge);
  t.is(more.allowed, 256);
  const wide = await scripted(t, answers(head), { timeout: WAIT, limits: { headerCount: 1000 } });
  t.is((await wide.pool.request('GET', '/')).headers.getlist('x').length, 299);
  const distinct = Array.from({ length: 23_999 }, (_, nth) => `X${nth}: 1\r\n`).join('');
  const most = await scripted(t, answers(OK + distinct + BODY), {
    limits: { headerCount: 24_000, headerBytes: 1 << 20 },
  });
  t.is((await most.pool.request('GET', '/')).headers.get('x23998'), '1');
  const beyond = { limits: { headerCount: 24_001 } };
  t.throws(() => new HTTPConnectionPool('127.0.0.1', beyond), { instanceOf: RangeError, code: 'ERR_INVALID_OPTION' });
});

test('THR-102: a head of 255 KiB passes, one of 257 KiB and an endless line do not, and little of them is read', async (t) => {
  const one = (size: number): string =>
    `${OK}X: ${'a'.repeat(size - OK.length - 5 - 21)}\r\nContent-Length: 2\r\n\r\nok`;
  const many = `${OK}${`X: ${'a'.repeat(4_000)}\r\n`.repeat(66)}${BODY}`;
  const { pool } = await scripted(
    t,
    choices([one(255 * 1024), one(257 * 1024), many, `${OK}X: ${'a'.repeat(4 << 20)}`]),
    {
      timeout: WAIT,
    },
  );
  t.is((await pool.request('GET', '/0')).data.toString(), 'ok');
  for (const nth of [1, 2, 3]) {
    const before = pool.stats().wireBytesIn;
    const error = await rejection(pool.request('GET', `/${nth}`), ResponseTooLarge);
    t.like(error, { limit: 'headerBytes', allowed: 262_144, phase: 'headers' });
    t.is(pool.stats().live, 0);
    // The limit and one buffer of hyper's, which grows to twice the limit.
    t.true(pool.stats().wireBytesIn - before < 3 * 262_144);
  }
});

for (const [name, timeout, code] of [
  // So long that the head has begun by then, on a busy machine too.
  ['read', { read: 600 }, 'ERR_READ_TIMEOUT'],
  ['total', { total: 600 }, 'ERR_TOTAL_TIMEOUT'],
] as const) {
  clocked(`THR-103: a head that drips for ever ends with ${name}`, async (t) => {
    const { pool, server } = await scripted(t, (peer) => drip(t, peer, 'a', 20));
    const began = performance.now();
    const error = await rejection(pool.request('GET', '/', { timeout }), ReadTimeoutError);
    const took = performance.now() - began;
    t.is(error.code, code);
    t.is(error.during ?? error.phase, 'headers');
    // The head would go on for more than an hour.
    within(t, took > 595 && took < 3_000, `${took} ms`);
    await (await server.peer(1)).gone();
    t.is(pool.stats().live, 0);
  });
}

test('THR-104 RESP-04: a folded value is joined by one blank each, says so, and costs the connection', async (t) => {
  await each(
    t,
    [`${OK}X: a\r\n b\r\n\tc\r\nY: d  \t e\r\n${BODY}`, `${OK} stray\r\nX: a\r\n${BODY}`],
    {},
    (outcome, nth, idle) => {
      const response = good(t, outcome, String(nth));
      const first: Lines = [
        ['x', 'a b c'],
        ['y', 'd  \t e'],
      ];
      t.deepEqual(lines(response).slice(0, -1), nth === 0 ? first : [['x', 'a']]);
      t.deepEqual(
        response.defects,
        nth === 0
          ? ["folded line joined: ' b'", "folded line joined: '\\tc'"]
          : ["fold before the first field dropped: ' stray'"],
      );
      t.is(idle, 0);
    },
  );
});

test('RESP-04: header-unfold.json', async (t) => {
  // A value that is nothing but its fold has no blank left of it (RFC 9112, 5.1: blanks around a value are not of it).
  const trimmed: Record<string, string> = { '\r\n a': 'a', 'a\r\n ': 'a' };
  // urllib3's function is given what its parser would not have let through: bare ends of line, of which no line is made.
  const refuse = new Set(['a\rb']);
  const split: Record<string, string> = { 'a\nb': 'a', 'a\r\nb': 'a' };
  const cases = vectors<{ value: string; result: string }>('header-unfold.json');
  await each(
    t,
    cases.map(({ value }) => `${OK}X: ${value}\r\n${BODY}`),
    {},
    (outcome, nth) => {
      const { value, result } = cases[nth] as (typeof cases)[number];
      if (refuse.has(value)) {
        refused(t, outcome, value);
        return;
      }
      const read = good(t, outcome, value).headers.get('x');
      t.is(read, trimmed[value] ?? split[value] ?? result, JSON.stringify(value));
      t.notRegex(read ?? '', /[\r\n]/);
    },
  );
});

test('THR-106: a blank before the colon is passed over, also in a framing field, and costs the connection', async (t) => {
  const wires = [
    `${OK}X-A : b\r\n${BODY}`,
    `${OK}Content-Length : 2\r\n\r\nok`,
    `${OK}Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
  ];
  await each(t, wires, {}, (outcome, nth, idle) => {
    const response = good(t, outcome, String(nth));
    t.is(response.headers.get('x-a'), nth === 0 ? 'b' : undefined);
    t.is(response.defects.length, 1);
    t.true(response.defects[0]?.startsWith('blank before the colon ignored: '));
    t.is(idle, 0);
  });
});

/** A line, and how its defect reads. */
const UNUSABLE: readonly (readonly [string, string])[] = [
  ['X Y: 1', "line with an unusable name dropped: 'X Y: 1'"],
  ['X@Y: 1', "line with an unusable name dropped: 'X@Y: 1'"],
  ['X(Y: 1', "line with an unusable name dropped: 'X(Y: 1'"],
  ['X\xc3\xa9: 1', "line with an unusable name dropped: 'X\\xc3\\xa9: 1'"],
  [': 1', "line with an unusable name dropped: ': 1'"],
  ['garbage', "line without a colon dropped: 'garbage'"],
  ['Set-Cookie: a=\x01', "line with a control character dropped: 'Set-Cookie'"],
  ['Set-Cookie: a=\x7f', "line with a control character dropped: 'Set-Cookie'"],
  ['X: a\r\n b\x01', "line with a control character dropped: 'X'"],
  ['X: \x01\r\n b', "line with a control character dropped: 'X'"],
];

test('THR-107 RESP-05 WART-17: an unusable line is dropped and named, the lines around it stay, the connection goes', async (t) => {
  const { pool } = await scripted(
    t,
    choices(UNUSABLE.map(([line]) => Buffer.from(`${OK}A: 1\r\n${line}\r\nB: 2\r\n${BODY}`, 'latin1'))),
    { timeout: WAIT },
  );
  for (const [nth, [line, defect]] of UNUSABLE.entries()) {
    const response = await pool.request('GET', `/${nth}`);
    t.deepEqual(
      lines(response),
      [
        ['a', '1'],
        ['b', '2'],
        ['content-length', '2'],
      ],
      line,
    );
    t.deepEqual(response.defects, [defect]);
    t.is(response.data.toString(), 'ok');
    t.like(pool.stats(), { repaired: nth + 1, idle: 0, closed: nth + 1 });
  }
});

test('RESP-05: a multipart or message type and a usual head have no defects', async (t) => {
  const types = ['multipart/mixed; boundary=x', 'message/rfc822', 'text/plain'];
  await each(
    t,
    types.map((type) => `${OK}Content-Type: ${type}\r\n${BODY}`),
    {},
    (outcome, nth, idle) => {
      t.deepEqual(good(t, outcome, types[nth] ?? '').defects, []);
      t.is(idle, 1);
    },
  );
});

test('THR-107: lenient: false refuses what leniency would repair', async (t) => {
  const wires = [...UNUSABLE.map(([line]) => line), 'X: a\r\n b', 'X : a'].map(
    (line) => `${OK}A: 1\r\n${line}\r\nB: 2\r\n${BODY}`,
  );
  await each(t, wires, { lenient: false }, (outcome, nth, idle) => {
    refused(t, outcome, wires[nth] ?? '');
    t.is(idle, 0);
  });
  await each(t, [`${OK}A: 1\r\n${BODY}`], { lenient: false }, (outcome, _, idle) => {
    good(t, outcome, 'a clean head');
    t.is(idle, 1);
  });
});

for (const lenient of [true, false]) {
  test(`THR-110: a bare CR and a NUL are refused with lenient: ${lenient}, and no hidden field is honoured`, async (t) => {
    const wires = [
      `${OK}X: b\rContent-Length: 2\r\n\r\nok`,
      `${OK}X@: b\rContent-Length: 2\r\n\r\nok`,
      `${OK}X\rContent-Length: 2\r\n\r\nok`,
      `${OK}X: a\0b\r\n${BODY}`,
      `${OK}X\0: a\r\n${BODY}`,
      `${OK}X@: a\0b\r\n${BODY}`,
    ];
    await each(t, wires, { lenient }, (outcome, nth, idle) => {
      refused(t, outcome, String(nth));
      t.is(idle, 0);
    });
  });
}

test('THR-111: lines may end in LF alone; heads that mix both ends cost the connection', async (t) => {
  const wires = [`HTTP/1.1 200 OK\nX: 1\nContent-Length: 2\n\nok`, `${OK}X: 1\nContent-Length: 2\r\n\r\nok`];
  await each(t, wires, {}, (outcome, nth, idle) => {
    t.deepEqual(lines(good(t, outcome, String(nth))), [
      ['x', '1'],
      ['content-length', '2'],
    ]);
    t.is(idle, nth === 0 ? 1 : 0);
  });
});

test('THR-112: bytes beyond ASCII are kept: latin1 by default, UTF-8 for whoever reads them as that', async (t) => {
  const { pool } = await scripted(t, answers(Buffer.from(`${OK}X: \xe9\r\nLocation: /\xc3\xa9\r\n${BODY}`, 'latin1')));
  const { headers } = await pool.request('GET', '/');
  t.is(headers.get('x'), '\xe9');
  t.is(headers.get('location'), '/\xc3\xa9');
  t.is(Buffer.from(headers.get('location') ?? '', 'latin1').toString('utf8'), '/é');
});

test('THR-113 RESP-01: odd but usable status lines', async (t) => {
  const odd: readonly (readonly [string, number, string, number])[] = [
    ['HTTP/1.1 200', 200, '', 11],
    ['HTTP/1.1 200 ', 200, '', 11],
    ['HTTP/1.1 200 \xe9t\xe9', 200, '\xe9t\xe9', 11],
    ['HTTP/1.1 200 Fine by me', 200, 'Fine by me', 11],
    ['HTTP/1.1 404 OK', 404, 'OK', 11],
    ['HTTP/1.1 600 X', 600, 'X', 11],
    ['HTTP/1.1 999 Request denied', 999, 'Request denied', 11],
    ['HTTP/1.0 200 OK', 200, 'OK', 10],
  ];
  await each(
    t,
    odd.map(([line]) => `${line}\r\n${BODY}`),
    {},
    (outcome, nth) => {
      const [line, status, reason, version] = odd[nth] as (typeof odd)[number];
      t.like(good(t, outcome, line), { status, reason, version, attempts: 1 });
    },
  );
});

test('THR-114 THR-115 THR-117 RESP-02: other status lines are refused, with the line escaped in the cause', async (t) => {
  const bad = [
    'HTTP/1.1  200 OK',
    'HTTP/1.1 200 O\x01K',
    'HTTP/1.1 000 X',
    'HTTP/1.1 099 X',
    'HTTP/1.1 99 X',
    'HTTP/1.1 1000 X',
    'HTTP/1.1 1012 X',
    'HTTP/1.1 2x0 X',
    'HTTP/1.2 200 OK',
    'HTTP/2.0 200 OK',
    'HTTP/0.5 200 OK',
    'HTTP/1000 200 OK',
    'http/1.1 200 OK',
    'ICY 200 OK',
    '<html><body>hello',
    ' HTTP/1.1 200 OK',
  ];
  await each(
    t,
    bad.map((line) => `${line}\r\n${BODY}`),
    {},
    (outcome, nth, idle) => {
      const line = bad[nth] as string;
      const error = refused(t, outcome, line);
      t.is(error.message, `Connection aborted. (${(error.cause as Error).message})`);
      t.true(
        (error.cause as Error).message.includes(`'${line.replace('\x01', '\\x01')}'`),
        (error.cause as Error).message,
      );
      t.is(idle, 0);
    },
  );
});

test('THR-118: four empty lines may precede the status line, at the cost of the connection; more, or junk, are refused', async (t) => {
  const blank = '\r\n';
  const wires = [blank, blank.repeat(4), blank.repeat(5), 'junk\r\n', blank.repeat(100_000)].map(
    (junk) => junk + OK + BODY,
  );
  const { pool } = await scripted(t, choices(wires), { timeout: WAIT });
  for (const nth of wires.keys()) {
    const before = pool.stats().wireBytesIn;
    const outcome = await pool.request('GET', `/${nth}`).catch((error: Error) => error);
    if (nth < 2) good(t, outcome, String(nth));
    else refused(t, outcome, String(nth));
    t.is(pool.stats().idle, 0);
    t.true(pool.stats().wireBytesIn - before < 20_000);
  }
});

test('RESP-07 WART-18: 100 and 103 are skipped', async (t) => {
  await each(t, [`HTTP/1.1 100 Continue\r\n\r\n${OK}${BODY}`, `${EARLY}${OK}${BODY}`], {}, (outcome, nth, idle) => {
    const response = good(t, outcome, String(nth));
    t.is(response.status, 200);
    t.false(response.headers.has('link'));
    t.is(idle, 1);
  });
});

clocked('THR-119: sixteen interim responses pass; seventeen, or endless ones, are refused at once', async (t) => {
  const wires = [EARLY.repeat(16) + OK + BODY, EARLY.repeat(17) + OK + BODY, EARLY.repeat(20_000)];
  const { pool } = await scripted(t, choices(wires), { timeout: WAIT });
  t.is((await pool.request('GET', '/0')).status, 200);
  t.is(pool.stats().idle, 1);
  for (const nth of [1, 2]) {
    const before = pool.stats().wireBytesIn;
    const cpu = process.cpuUsage();
    const error = refused(t, await pool.request('GET', `/${nth}`).catch((one: Error) => one), String(nth));
    const { user, system } = process.cpuUsage(cpu);
    t.is(error.reason, 'ERR_INFORMATIONAL_FLOOD');
    within(t, user + system < 100_000, `${user + system} µs`);
    t.true(pool.stats().wireBytesIn - before < 20_000);
    t.is(pool.stats().live, 0);
  }
});

clocked('THR-119: an interim response moves no deadline', async (t) => {
  const { pool } = await scripted(t, (peer) => drip(t, peer, EARLY, 100));
  const began = performance.now();
  const error = await rejection(pool.request('GET', '/', { timeout: { read: 300 } }), ReadTimeoutError);
  const took = performance.now() - began;
  t.is(error.phase, 'headers');
  // With a deadline that each of them moves the seventeenth would come first, after 1,600 ms, and be another error.
  within(t, took > 295 && took < 1_500, `${took} ms`);
});

test('THR-120: an interim response with a body, and a 101 that nobody asked for, are refused with all that follows', async (t) => {
  const evil = `${OK}Content-Length: 4\r\n\r\nEVIL`;
  const wires = [
    `HTTP/1.1 102 Processing\r\nContent-Length: ${evil.length}\r\n\r\n${evil}`,
    `HTTP/1.1 102 Processing\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${evil}`,
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n${evil}`,
    reply('ok'),
  ];
  await each(t, wires, {}, (outcome, nth, idle) => {
    if (nth === 3) {
      good(t, outcome, 'the request after them');
      return;
    }
    const error = refused(t, outcome, String(nth));
    t.is(error.reason, nth === 2 ? 'ERR_UNEXPECTED_UPGRADE' : 'ERR_INFORMATIONAL_BODY');
    t.is(idle, 0);
  });
});

test('THR-122 ERR-05: a head that ends anywhere short of its blank line is no response', async (t) => {
  const head = `HTTP/1.1 100 Continue\r\n\r\n${OK}X-Long: some value\r\nContent-Length: 0\r\n\r\n`;
  const cuts = Array.from({ length: head.length }, (_, cut) => head.slice(0, cut));
  await each(t, cuts, { end: true }, (outcome, cut, idle) => {
    const error = refused(t, outcome, `cut at ${cut}`);
    t.is(error.message, `Connection aborted. (${(error.cause as Error).message})`);
    t.is(error.reason, cut === 0 ? null : 'ERR_INCOMPLETE_HEAD');
    t.regex((error.cause as Error).message, /^the peer closed the connection/);
    t.is(idle, 0);
  });
});

test('THR-123 RESP-03: two hundred cookies and one of 64 KiB arrive in order, each readable by itself', async (t) => {
  const cookies = Array.from({ length: 200 }, (_, nth) => `c${nth}=${'v'.repeat(nth === 100 ? 65_536 : 20)}`);
  const { pool } = await scripted(t, answers(`${OK}${cookies.map((one) => `Set-Cookie: ${one}\r\n`).join('')}${BODY}`));
  const { headers } = await pool.request('GET', '/');
  t.deepEqual(headers.getlist('set-cookie'), cookies);
  t.is(headers.get('Set-Cookie'), cookies.join(', '));
});

test('RESP-03: fields keep the order in which their names first came, and repeats read joined', async (t) => {
  const { pool } = await scripted(t, answers(`${OK}Z: 1\r\nA: 2\r\nz: 3\r\n${BODY}`));
  const { headers } = await pool.request('GET', '/');
  t.deepEqual([...headers.keys()], ['z', 'a', 'content-length']);
  t.is(headers.get('z'), '1, 3');
  t.is(headers.get('Z'), '1, 3');
});

clocked(
  'THR-124: hostile names are data; names in two cases are one; ten thousand of one take linear time',
  async (t) => {
    const many = (count: number): string => `${OK}${'x: 1\r\nX: 2\r\n'.repeat(count / 2)}${BODY}`;
    const hostile = `${OK}__proto__: polluted\r\nconstructor: a\r\nprototype: b\r\nX: 1\r\nx: 2\r\n${BODY}`;
    const { pool } = await scripted(t, choices([hostile, many(1_000), many(10_000)]), {
      limits: { headerCount: 11_000, headerBytes: 1 << 20 },
    });
    const { headers } = await pool.request('GET', '/0');
    t.is(headers.get('__proto__'), 'polluted');
    t.is(headers.get('constructor'), 'a');
    t.deepEqual(headers.getlist('X'), ['1', '2']);
    t.is(({} as { polluted?: unknown }).polluted, undefined);
    t.is(Object.prototype.constructor, Object);
    const spans: number[] = [];
    for (const nth of [1, 2]) {
      let best = Infinity;
      for (let round = 0; round < 5; round += 1) {
        const began = performance.now();
        const response = await pool.request('GET', `/${nth}`);
        t.is(response.headers.getlist('x').length, nth === 1 ? 1_000 : 10_000);
        best = Math.min(best, performance.now() - began);
      }
      spans.push(best);
    }
    const [small = 0, large = 0] = spans;
    within(t, large / small < 15, `${small} ms, ${large} ms`);
  },
);

test('THR-126: a head in pieces is the same head, however it is cut', async (t) => {
  const wire = Buffer.from(
    `\r\n${EARLY}${OK}A: 1\r\nB: 2\r\n 3\r\nbad line\r\nSet-Cookie: \xe9\r\nset-cookie: b\r\n${BODY}`,
    'latin1',
  );
  // A small generator of its own, so that a failure can be repeated.
  let seed = 12_345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  const twice = Array.from({ length: wire.length + 1 }, (_, cut) => [cut]);
  const often = Array.from({ length: 40 }, () =>
    Array.from({ length: 2 + random(12) }, () => random(wire.length)).toSorted((one, other) => one - other),
  );
  const splits = [...twice, ...often, Array.from(wire.keys())];
  const { pool } = await scripted(
    t,
    async (peer) => {
      const request = await peer.request();
      let from = 0;
      for (const cut of [...(splits[Number(request.split(' ', 2)[1]?.slice(1))] ?? []), wire.length]) {
        await peer.write(wire.subarray(from, cut));
        await new Promise((resolve) => setImmediate(resolve));
        from = cut;
      }
    },
    { maxsize: 8, timeout: WAIT },
  );
  const responses = await Promise.all(splits.map((_, nth) => pool.request('GET', `/${nth}`)));
  for (const [nth, response] of responses.entries()) {
    const where = JSON.stringify(splits[nth]);
    t.deepEqual(
      lines(response),
      [
        ['a', '1'],
        ['b', '2 3'],
        ['set-cookie', '\xe9'],
        ['set-cookie', 'b'],
        ['content-length', '2'],
      ],
      where,
    );
    t.deepEqual(response.defects, ["folded line joined: ' 3'", "line without a colon dropped: 'bad line'"], where);
    t.is(response.data.toString(), 'ok', where);
  }
});

test('WART-16 RESP-01: the version is the peer’s', async (t) => {
  await each(t, [`HTTP/1.0 200 OK\r\n${BODY}`, `${OK}${BODY}`], {}, (outcome, nth) => {
    const expected =
      nth === 0 ? { version: 10, versionString: 'HTTP/1.0' } : { version: 11, versionString: 'HTTP/1.1' };
    t.like(good(t, outcome, String(nth)), expected);
  });
});

test.serial('WART-16: a read time-out inside a preloaded body knows its pool and its URL', async (t) => {
  const { pool } = await scripted(t, answers(`${OK}Content-Length: 5\r\n\r\nab`));
  const error = await rejection(pool.request('GET', '/slow', { timeout: { read: 800 } }), ReadTimeoutError);
  t.like(error, { phase: 'body', code: 'ERR_READ_TIMEOUT', url: '/slow' });
  t.is(error.pool, pool);
});

interface Exchange {
  name: string;
  answers: (string | null)[];
  value?: { status: number; reason: string; version: number; versionString: string; headers: Lines; data: string };
  error?: Raised;
}
/** Where we differ from urllib3 on purpose, and what comes instead. */
const OURS: Record<string, Partial<NonNullable<Exchange['value']>> | { code: string }> = {
  // WART-16: the peer's version, not the client's.
  'response: HTTP/1.0': { versionString: 'HTTP/1.0' },
  // WART-18: an interim response is not the answer.
  'response: 103 then 200': { status: 200, reason: 'OK', headers: [['content-length', '2']], data: 'ok' },
  // WART-17: the lines after a broken one are kept.
  'response: header without colon': {
    headers: [
      ['content-length', '0'],
      ['another', 'Header'],
    ],
  },
  // RFC 9112, 5.1: the blank is passed over, and the field honoured.
  'response: space before colon': { headers: [['content-length', '2']] },
  // RFC 9112, 6.3: chunks overrule a length, which is not shown then.
  'response: cl and te': { headers: [['transfer-encoding', 'chunked']] },
  // Ambiguous framing is no header of the user's, but a broken answer.
  'response: two cl differ': { code: 'ERR_PROTOCOL' },
  // WART-18: the transfer coding is undone, and `ok` is no gzip.
  'response: te gzip chunked': { code: 'ERR_DECODE' },
};
/** urllib3's own limits of 100 lines and 64 KiB a line; ours are wider. */
const WIDER: Record<string, number> = { 'response: 101 headers': 101, 'response: 65 KiB header line': 2 };

for (const streamed of [false, true]) {
  test(`RESP-01 RESP-02 RESP-06 RESP-07 RESP-09 RESP-11 WART-18: exchanges.json, single responses, ${streamed ? 'streamed' : 'preloaded'}`, async (t) => {
    const cases = vectors<Exchange>('exchanges.json').filter(({ name }) => name.startsWith('response: '));
    t.true(cases.length > 20);
    await each(
      t,
      cases.map((one) => one.answers[0] ?? ''),
      { end: true, streamed },
      (outcome, nth) => {
        const { name, value, error } = cases[nth] as Exchange;
        const ours = OURS[name];
        const many = WIDER[name];
        if (many !== undefined) {
          if (outcome instanceof Error) throw outcome;
          t.is(lines(outcome).length, many, name);
          return;
        }
        if (error !== undefined || (ours !== undefined && 'code' in ours)) {
          if (!(outcome instanceof Error)) throw new Error(`${name} resolved`);
          const code = ours !== undefined && 'code' in ours ? ours.code : null;
          if (code === null) t.is(outcome.name, error?.type ?? '', name);
          else t.is((outcome as Error & { code?: string }).code, code, name);
          return;
        }
        if (outcome instanceof Error) throw new Error(name, { cause: outcome });
        const { status, reason, version, versionString, data } = outcome;
        const lowered = value?.headers.map(([field, one]) => [field.toLowerCase(), one]);
        t.deepEqual(
          {
            status,
            reason,
            version,
            versionString,
            headers: lines(outcome),
            data: data.toString('latin1'),
          },
          { ...value, headers: lowered, ...ours } as never,
          name,
        );
      },
    );
  });
}

test('RESP-05: heads of redirects and of answers that are tried again are counted too', async (t) => {
  const { pool } = await scripted(
    t,
    answers(
      `HTTP/1.1 302 X\r\nA : 1\r\nLocation: /b\r\n${BODY}`,
      `HTTP/1.1 503 X\r\nA : 1\r\n${BODY}`,
      `${OK}A : 1\r\n${BODY}`,
      `${OK}${BODY}`,
    ),
    { timeout: WAIT },
  );
  const response = await pool.request('GET', '/', { retries: new Retry({ total: 3, statusForcelist: [503] }) });
  t.is(response.defects.length, 1);
  t.like(pool.stats(), { repaired: 3, opened: 3, closed: 3 });
  t.is((await pool.request('GET', '/')).defects.length, 0);
  t.like(pool.stats(), { repaired: 3, opened: 4, closed: 3 });
});

/**
 * Our multipart bodies as parsers of others read them: two in Python (python-multipart and the standard library's for
 * e-mail), behind a real socket, and Node's own. What they find is what was given, and what they find in fetch's bytes.
 */
import { createHash, randomBytes } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';

import { encodeMultipartFormdata, RequestField, type FormFields, type RequestOptions } from '../../index.ts';
import type { Parsed, ParsedPart } from '../servers/parsers.ts';
import { overParsers } from '../support/fixtures.ts';

/** A part as it was meant. */
interface Meant {
  readonly name: string;
  readonly filename: string | null;
  readonly type: string | null;
  readonly data: Uint8Array;
}

/** What a parser found, in the same terms. */
interface Found {
  readonly name: string;
  readonly filename: string | null;
  readonly type: string | null;
  readonly sha256: string;
}

const BOUNDARY = 'near-boundary';

/** Names that a parser could trip over. */
const NAMES = [
  'plain',
  '"quoted"',
  'a "quote',
  '"',
  'line\nfeed',
  'carriage\rreturn',
  'both\r\n',
  '\r\nX-Evil: 1\r\n\r\nevil',
  `\r\n--${BOUNDARY.slice(0, -1)}\r\n`,
  'näme',
  '名前',
  '😀',
  'e\u0301\u200b\u2028',
  '\ufeffmark',
  'semi;colon',
  ';',
  'a=b',
  'x"; filename="evil.sh',
  "x'; filename='evil.sh",
  'x; filename=evil.sh',
  'back\\slash',
  'at the end\\',
  'back\\"both',
  '\\\\server\\share',
  'C:\\folder\\file.txt',
  '../../etc/passwd',
  '%22',
  '%0D%0A',
  ' leading and trailing ',
  '\t',
  '',
  "utf-8''x",
  '=?utf-8?q?x?=',
  'a, b',
  '(comment)',
  'n'.repeat(5_000),
];

/** Bytes that look like the form around them. */
const DATA: Uint8Array[] = [
  '',
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  '-',
  '--',
  '\r\n--',
  '\r\n--\r\n',
  '\r\n-',
  `\r\n--${BOUNDARY.slice(0, -1)}`,
  `\r\n--${BOUNDARY.slice(0, -1)}\r\n`,
  `--${BOUNDARY.slice(0, -1)}--\r\n`,
  `\r\n--${BOUNDARY.slice(1)}--\r\n`,
  `\r\n\r\n\r--\r\n--near-near-${BOUNDARY.slice(0, -1)}`,
  'Content-Disposition: form-data; name="evil"\r\n\r\nevil\r\n',
  'ends with a line\r\n',
  'ends with half of one\r',
  '\0',
]
  .map((text): Uint8Array => Buffer.from(text))
  .concat(
    Buffer.from(Array.from({ length: 256 }, (_, nth) => nth)),
    Buffer.from(Array.from({ length: 256 }, (_, nth) => 255 - nth)),
    Buffer.from([13, 10, 45, 45, 255, 13, 10, 0]),
  );

test.serial('BODY-02, BODY-04, THR-508: names and file names of every kind are the ones that were given', async (t) => {
  const { post, send } = await parsing(t);
  const meant = NAMES.flatMap((name, nth): Meant[] => {
    const other = NAMES[(nth + 7) % NAMES.length] ?? '';
    const data = Buffer.from(`data ${nth}`);
    return [
      { name, filename: null, type: null, data },
      { name, filename: other, type: 'x/y', data },
    ];
  });
  const fields: FormFields = meant.map(({ name, filename, type, data }) => [
    name,
    filename === null ? data : [filename, data, type],
  ]);
  await post({ fields }, meant);
  await post({ fields, chunked: true }, meant);
  const asFields = meant.map(({ name, filename, data, type }) =>
    RequestField.fromTuples(Buffer.from(name), [filename, data, type]),
  );
  await post({ fields: asFields }, meant);

  // What each parser takes for the names by itself. Both undo backslashes, which the web writes as they are, and one
  // drops what begins with a blank; the other gives up on what is not ASCII.
  const { streamed, mailed } = await send({ fields });
  let [here, there] = [0, 0];
  for (const [nth, { name, filename }] of meant.entries()) {
    if ([name, filename ?? 'x'].some((text) => /^\s|^$|\\/.test(text))) continue;
    t.like(streamed[nth], { name: escaped(name), filename: filename === null ? null : escaped(filename) });
    here += 1;
    if (/[^ -~]/.test(escaped(name + (filename ?? '')))) continue;
    t.like(mailed[nth], { name: escaped(name), filename: filename === null ? null : escaped(filename) });
    there += 1;
  }
  t.true(here > 35 && there > 20, `${here} and ${there} of ${meant.length}`);
});

test.serial('BODY-02, THR-508: bytes that look like boundaries, heads and ends of lines are data', async (t) => {
  const { post } = await parsing(t);
  const meant = DATA.map((data, nth): Meant => ({ name: `n${nth}`, filename: `f${nth}`, type: 'x/y', data }));
  const fields: FormFields = meant.map(({ name, filename, data, type }) => [name, [filename, data, type]]);
  for (const given of [{ fields, multipartBoundary: BOUNDARY }, { fields }]) {
    await post(given, meant);
    await post(given, meant, 1);
    await post({ ...given, chunked: true }, meant, 7);
  }
  // Data that holds the last boundary of another form, and a form in a form.
  const [inner] = encodeMultipartFormdata(fields);
  const nested: Meant[] = [{ name: 'a', filename: 'form', type: 'x/y', data: inner }];
  await post({ fields: { a: ['form', inner, 'x/y'] } }, nested);
});

test.serial('BODY-02, THR-508: a boundary without the dashes before it is data too', async (t) => {
  const { send } = await parsing(t);
  const data = [`\r\n-${BOUNDARY}\r\n`, `${BOUNDARY}\r\n`, `\r\n${BOUNDARY}--\r\n`, `\r\n--\r\n--near-${BOUNDARY}`];
  const fields: FormFields = data.map((text) => ['a', ['f', text]]);
  // Node's parser looks for the boundary alone.
  for (const parts of Object.values(await send({ fields, multipartBoundary: BOUNDARY }, 3))) {
    t.deepEqual(
      (parts as ParsedPart[]).map((part) => found(part).sha256),
      data.map((text) => sha256(Buffer.from(text))),
    );
  }
});

test.serial('BODY-02, BODY-05: types are the ones that were given or guessed, and texts have none', async (t) => {
  const { post } = await parsing(t);
  const data = Buffer.from('data');
  const file = (filename: string, type: string | null): Meant => ({ name: 'f', filename, type, data });
  await post(
    {
      fields: [
        ['f', ['a.png', data]],
        ['f', ['a', data]],
        ['f', ['', data]],
        ['f', ['a.png', data, null]],
        ['f', ['a.png', data, 'text/plain; charset="utf-8"; a=b']],
        ['f', new File([data], 'a.txt')],
        ['f', new Blob([data], { type: 'x/y' })],
        ['text', 'data'],
      ],
    },
    [
      file('a.png', 'image/png'),
      file('a', 'application/octet-stream'),
      file('', 'application/octet-stream'),
      file('a.png', null),
      file('a.png', 'text/plain; charset="utf-8"; a=b'),
      file('a.txt', 'text/plain'),
      file('blob', 'x/y'),
      { name: 'text', filename: null, type: null, data },
    ],
  );
});

test.serial('BODY-02: 1,000 parts are 1,000 parts, in their order', async (t) => {
  const { post } = await parsing(t);
  const meant = Array.from({ length: 1_000 }, (_, nth): Meant => {
    const data = randomBytes(nth % 50);
    // Node's parser has text for what is no file.
    return nth % 2 === 0
      ? { name: `n${nth % 10}`, filename: null, type: null, data: Buffer.from(data.toString('hex')) }
      : { name: `n${nth % 10}`, filename: `f${nth}.bin`, type: 'x/y', data };
  });
  const fields: FormFields = meant.map(({ name, filename, data, type }) => [
    name,
    filename === null ? data : [filename, data, type],
  ]);
  await post({ fields }, meant);
  await post({ fields, chunked: true }, meant, 999);
});

test.serial('BODY-02: a file of 5 MiB is that file, as bytes and as a Blob that is read as it goes', async (t) => {
  const { post } = await parsing(t);
  const data = Buffer.concat([randomBytes(5 << 20), Buffer.from('\r\n')]);
  const meant: Meant[] = [
    { name: 'before', filename: null, type: null, data: Buffer.from('1') },
    { name: 'large', filename: 'large.bin', type: 'x/y', data },
    { name: 'behind', filename: null, type: null, data: Buffer.from('2') },
  ];
  const fields = (large: Buffer | Blob): FormFields => ({ before: 1, large: ['large.bin', large, 'x/y'], behind: 2 });
  for (const large of [data, new Blob([data])]) {
    await post({ fields: fields(large) }, meant);
    await post({ fields: fields(large), chunked: true }, meant);
  }
});

test.serial(
  'BODY-02, BODY-04, THR-508: a FormData of ours and of fetch parse to the same, in Python and in Node',
  async (t) => {
    const { post, send } = await parsing(t);
    const form = new FormData();
    const meant: Meant[] = [];
    for (const [nth, name] of NAMES.entries()) {
      // Node 20 writes no empty file name, so that such a file arrives as a text; ours does (BODY-05).
      const filename = NAMES[(nth + 5) % NAMES.length] || 'file';
      const data = DATA[nth % DATA.length] ?? Buffer.of();
      form.append(name, `text\n${nth}`);
      form.append(name, new File([data], filename, nth % 2 === 0 ? { type: 'x/y' } : {}));
      const type = nth % 2 === 0 ? 'x/y' : 'application/octet-stream';
      // A form's names and texts have CRLF for every end of a line, its file names do not.
      const named = name.replace(/\r\n?|\n/g, '\r\n');
      meant.push({ name: named, filename: null, type: null, data: Buffer.from(`text\r\n${nth}`) });
      meant.push({ name: named, filename, type, data });
    }
    await post({ body: form }, meant);
    await post({ fields: form, chunked: true }, meant);

    const theirs = new Response(form);
    const contentType = theirs.headers.get('content-type') ?? '';
    const bytes = Buffer.from(await theirs.arrayBuffer());
    await post({ body: bytes, headers: { 'Content-Type': contentType } }, meant);

    const ours = await send({ body: form });
    const sent = await send({ body: bytes, headers: { 'Content-Type': contentType } });
    t.deepEqual(ours, sent, 'each line of each head');
  },
);

test.serial('what the parsers refuse is seen: a body that was cut, and one with another boundary', async (t) => {
  const { pool } = await overParsers(t);
  const [body, contentType] = encodeMultipartFormdata({ a: ['f', 'data'] }, BOUNDARY);
  const post = async (bytes: Buffer, type: string): Promise<number> =>
    (await pool.request('POST', '/', { body: bytes, headers: { 'Content-Type': type } })).status;
  t.is(await post(body, contentType), 200);
  t.is(await post(body.subarray(0, -5), contentType), 422);
  t.is(await post(body, contentType.replace(BOUNDARY, 'other')), 422);
});

/** How a test sends: over the socket to Python, and the same body to Node's parser. */
interface Parsing {
  /** Sends this; every parser must find what was meant. `piece`: bytes that the first is given at a time. */
  readonly post: (options: RequestOptions, meant: readonly Meant[], piece?: number) => Promise<void>;
  /** Sends this and gives what both in Python found. */
  readonly send: (options: RequestOptions, piece?: number) => Promise<Parsed>;
}

async function parsing(t: ExecutionContext): Promise<Parsing> {
  const { pool } = await overParsers(t);
  const send = async (options: RequestOptions, piece = 65_536): Promise<Parsed> => {
    const response = await pool.request('POST', `/?piece=${piece}`, options);
    t.is(response.status, 200, response.text());
    return response.json<Parsed>();
  };
  return {
    send,
    async post(options, meant, piece) {
      const { streamed, mailed } = await send(options, piece);
      const expected = meant.map(({ name, filename, type, data }): Found => ({
        name: escaped(name),
        filename: filename === null ? null : escaped(filename),
        type,
        sha256: sha256(data),
      }));
      t.deepEqual(streamed.map(found), expected);
      t.deepEqual(mailed.map(found), expected);

      const echo = await pool.request('POST', '/echo', options);
      const response = new Response(echo.data, { headers: { 'Content-Type': echo.headers.get('content-type') ?? '' } });
      t.deepEqual((await foundByNode(await response.formData())).map(unmarked), expected.map(asNode).map(unmarked));
    },
  };
}

/** A part's parameters by HTML's rule: nothing in quotes is an escape but `%22`, `%0D` and `%0A`. */
function found({ headers, sha256: digest, size }: ParsedPart): Found {
  const of = (wanted: string): string | null => headers.find(([name]) => name.toLowerCase() === wanted)?.[1] ?? null;
  const disposition = of('content-disposition') ?? '';
  const match = /^form-data; name="([^"\r\n]*)"(?:; filename="([^"\r\n]*)")?$/.exec(disposition);
  if (match === null) throw new Error(`no disposition of a form: ${JSON.stringify(disposition)}, ${size} bytes`);
  const [, name = '', filename = null] = match;
  return { name, filename, type: of('content-type'), sha256: digest };
}

async function foundByNode(form: FormData): Promise<Found[]> {
  return Promise.all(
    [...form].map(async ([name, value]): Promise<Found> => {
      if (typeof value === 'string') return { name, filename: null, type: null, sha256: sha256(Buffer.from(value)) };
      return { name, filename: value.name, type: value.type, sha256: sha256(Buffer.from(await value.arrayBuffer())) };
    }),
  );
}

/** What HTML's parser makes of a part: it undoes the escapes, whoever wrote them, and has a type for every file. */
function asNode({ name, filename, type, sha256: digest }: Found): Found {
  return {
    name: unescaped(name),
    filename: filename === null ? null : unescaped(filename),
    type: filename === null ? null : (type ?? 'text/plain'),
    sha256: digest,
  };
}

/** Some versions of Node take a byte order mark off. */
function unmarked({ name, filename, ...rest }: Found): Found {
  return { name: name.replace(/^\ufeff/, ''), filename: filename?.replace(/^\ufeff/, '') ?? null, ...rest };
}

function escaped(text: string): string {
  return text.replaceAll('"', '%22').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function unescaped(text: string): string {
  return text.replaceAll('%22', '"').replaceAll('%0D', '\r').replaceAll('%0A', '\n');
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

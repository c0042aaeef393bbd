/**
 * Forms as bodies: the bytes that urllib3 makes of each shape, what is refused so that no value can add a header or a
 * part, and that Node's own parser reads back what was written.
 */
import test from 'ava';

import { guessContentType } from '../facade/content-types.ts';
import { formatMultipartHeaderParam, RequestField } from '../facade/fields.ts';
import type { FormFields, FormFieldValue, PartHeaders, RequestFieldOptions } from '../facade/fields.ts';
import { chooseBoundary, encodeMultipartFormdata, multipartParts } from '../facade/multipart.ts';
import type { FieldSource } from '../facade/options.ts';
import { encodeFormUrlencoded } from '../facade/urlencoded.ts';
import { vectors } from './support/vectors.ts';
import type { Raised } from './support/vectors.ts';

const invalidOption = { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' };
const invalidBody = { instanceOf: TypeError, code: 'ERR_INVALID_BODY' };

const BOUNDARY = 'a-boundary-of-the-tests-0123456789';
/** The vectors' boundary has a character that RFC 2046 section 5.1.1 has not, so we refuse it (BODY-06). */
const THEIRS = '!! test boundary !!';

type Datum = string | number | { bytes: string };
type Entry =
  | [name: string, value: Datum | { tuple: [string | null, Datum] | [string | null, Datum, string | null] }]
  | { field: { name: string; filename: string | null; data: Datum; headers: PartHeaders } };

const datum = (given: Datum): string | number | Buffer =>
  typeof given === 'object' ? Buffer.from(given.bytes, 'base64') : given;

function entry(given: Entry): readonly [string, FormFieldValue] | RequestField {
  if (!Array.isArray(given)) {
    const { name, filename, data, headers } = given.field;
    return new RequestField(name, datum(data), { filename, headers });
  }
  const [name, value] = given;
  if (typeof value !== 'object' || !('tuple' in value)) return [name, datum(value)];
  const [filename, data, ...type] = value.tuple;
  return [name, type.length === 0 ? [filename, datum(data)] : [filename, datum(data), type[0] ?? null]];
}

for (const given of vectors<{
  boundary: string;
  fields: Entry[];
  value: { body: string; contentType: string };
}>('multipart.json')) {
  test(`BODY-01, BODY-02, BODY-03, BODY-05: as urllib3: ${JSON.stringify(given.fields)}`, (t) => {
    const fields = given.fields.map(entry);
    t.is(given.boundary, THEIRS);
    t.throws(() => encodeMultipartFormdata(fields, given.boundary), invalidOption);

    // All but the boundary is byte for byte the same.
    const [body, contentType] = encodeMultipartFormdata(fields, BOUNDARY);
    const expected = Buffer.from(given.value.body, 'base64').toString('latin1').replaceAll(THEIRS, BOUNDARY);
    t.is(body.toString('latin1'), expected);
    t.is(contentType, given.value.contentType.replace(THEIRS, BOUNDARY));
  });
}

for (const { value, result } of vectors<{
  value: string | { bytes: string };
  result: { value: string } | { error: Raised };
}>('multipart-param.json')) {
  const input = typeof value === 'string' ? value : Buffer.from(value.bytes, 'base64');
  test(`BODY-04: a parameter as urllib3: ${JSON.stringify(value)}`, (t) => {
    if ('error' in result) {
      t.is(result.error.type, 'UnicodeDecodeError');
      t.throws(() => formatMultipartHeaderParam('filename', input), invalidBody);
      t.throws(() => new RequestField('f', 'x', { filename: input }), invalidBody);
      return;
    }
    t.is(formatMultipartHeaderParam('filename', input), result.value);
    // As one of a part's too, for a name and for a file name.
    const field = RequestField.fromTuples(input, [input, 'data', null]);
    const name = result.value.replace(/^filename/, 'name');
    t.is(field.renderHeaders(), `Content-Disposition: form-data; ${name}; ${result.value}\r\n\r\n`);
  });
}

for (const { filename, result } of vectors<{ filename: string | null; result: string }>('content-type-guess.json')) {
  test(`BODY-05: a type is guessed as urllib3 does: ${JSON.stringify(filename)}`, (t) => {
    t.is(guessContentType(filename), result);
  });
}

for (const given of vectors<{ fields: [string, Datum][]; body: string; headers: [string, string][] }>(
  'urlencoded-body.json',
)) {
  test(`BODY-07: an urlencoded body as urllib3: ${given.body}`, (t) => {
    const pairs = given.fields.map(([name, value]): [string, string | number | Buffer] => [name, datum(value)]);
    t.is(encodeFormUrlencoded(pairs), given.body);
    t.is(encodeFormUrlencoded(new Map(pairs).size === pairs.length ? new Map(pairs) : pairs), given.body);
  });
}

/** The parts of a body whose data holds no boundary: head and data of each. */
function partsOf(fields: FormFields | FormData): [head: string, data: string][] {
  const [body] = encodeMultipartFormdata(fields, BOUNDARY);
  const sections = body.toString().split(`--${BOUNDARY}`);
  return sections.slice(1, -1).map((section) => {
    const end = section.indexOf('\r\n\r\n');
    return [section.slice(2, end), section.slice(end + 4, -2)];
  });
}

test('BODY-01: an object, a Map, pairs and a generator are the same fields, in their order', (t) => {
  const pairs: [string, FormFieldValue][] = [
    ['z', 'text'],
    ['a', Buffer.from('bytes')],
    ['n', 1.5],
    ['big', 12345678901234567890n],
    ['yes', true],
    ['nothing', null],
    ['view', new Uint16Array([0x4141, 0x4242])],
    ['buffer', new Uint8Array([0x43]).buffer],
    ['file', ['a.txt', 'of a file']],
    ['typed', ['a.txt', 7, 'text/x-own']],
    ['field', RequestField.fromTuples('field', 'its own')],
  ];
  const expected = ['text', 'bytes', '1.5', '12345678901234567890', 'true', 'null', 'AABB', 'C', 'of a file', '7'];
  const first = encodeMultipartFormdata(pairs, BOUNDARY)[0].toString();
  const others = [
    Object.fromEntries(pairs),
    new Map(pairs),
    (function* each() {
      yield* pairs;
    })(),
    pairs.map(([name, value]) => (value instanceof RequestField ? value : ([name, value] as const))),
  ].map((source) => encodeMultipartFormdata(source, BOUNDARY)[0].toString());
  t.deepEqual(
    partsOf(pairs).map(([, data]) => data),
    [...expected, 'its own'],
  );
  for (const other of others) t.is(other, first);
});

test('BODY-01: repeats stay, and what is undefined is left out', (t) => {
  const repeats: FormFields = [
    ['a', '1'],
    ['b', undefined],
    ['a', '2'],
    ['a', '1'],
  ];
  const names = partsOf(repeats).map(([head, data]) => [head, data]);
  const head = 'Content-Disposition: form-data; name="a"';
  t.deepEqual(names, [
    [head, '1'],
    [head, '2'],
    [head, '1'],
  ]);
  t.deepEqual(partsOf({ a: undefined }), []);
});

const noFields: [name: string, fields: unknown][] = [
  ['a string', 'a=1'],
  ['null', null],
  ['undefined', undefined],
  ['a number', 3],
  ['a list of strings', ['ab']],
  ['a pair by itself', ['a', 'b']],
  ['bytes', Buffer.from('a=1')],
  ['three in place of a pair', [['a', 'b', 'c']]],
  ['a name that is a number', [[1, 'b']]],
  ['a field that is not in a list', RequestField.fromTuples('a', 'b')],
  ['a Promise', Promise.resolve({ a: 'b' })],
  ['a Blob', new Blob(['x'])],
  ['an object as a value', { a: {} }],
  ['a function as a value', { a: () => 'x' }],
  ['a Promise as a value', { a: Promise.resolve('x') }],
  ['an array of one as a value', { a: ['x'] }],
  ['an array of four as a value', { a: ['x', 'y', 'z', 'w'] }],
  ['null as the data of a file', { a: ['x', null] }],
  ['a file name that is a number', { a: [1, 'x'] }],
  ['a type that is a number', { a: ['f', 'x', 1] }],
  ['a type without a slash', { a: ['f.png', Buffer.from('x'), 'png'] }],
  ['a RequestField under another name', { a: RequestField.fromTuples('b', 'x') }],
];
for (const [name, fields] of noFields) {
  test(`BODY-01: multipart refuses ${name}`, (t) => {
    t.throws(() => encodeMultipartFormdata(fields as FormFields), invalidOption);
  });
}

test('BODY-01: three values of one name do not become a file, and the message says what they are given as', (t) => {
  const list = { tag: ['red', 'green', 'blue'] as const };
  const message =
    /no '\/' in this content type; for several values of one name give pairs: \[\['a', 1\], \['a', 2\]\]$/;
  t.throws(() => encodeMultipartFormdata(list), { ...invalidOption, message });
  t.throws(() => RequestField.fromTuples('tag', list.tag), { ...invalidOption, message });
  const pairs = list.tag.map((value) => ['tag', value] as const);
  t.deepEqual(
    partsOf(pairs).map(([, data]) => data),
    ['red', 'green', 'blue'],
  );
  for (const none of ['', null]) t.notRegex(String(partsOf({ f: ['n', 'x', none] })[0]?.[0]), /Content-Type/);
});

test('BODY-02: memory that was transferred away is refused, and later changes of memory change nothing', (t) => {
  const gone = new Uint8Array([1, 2, 3]);
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  t.throws(() => encodeMultipartFormdata({ gone }), invalidBody);

  const bytes = Buffer.from('before');
  const { parts } = multipartParts({ bytes });
  bytes.fill('x');
  t.true(Buffer.isBuffer(parts[0]) && parts[0].includes('before'));
});

test('BODY-03: headers stand in their order, empty ones are left out, and only its own are there before', (t) => {
  const field = new RequestField('n', 'd', { headers: { 'X-B': '2', 'Content-Location': '/l', 'X-A': '1', E: '' } });
  t.is(field.renderHeaders(), 'Content-Location: /l\r\nX-B: 2\r\nX-A: 1\r\n\r\n');
  t.is(new RequestField('n', 'd').renderHeaders(), '\r\n');

  field.headers['Content-Type'] = 'text/x';
  field.makeMultipart({ contentDisposition: 'attachment', contentType: 'a/b', contentLocation: '/m' });
  const disposition = 'Content-Disposition: attachment; name="n"';
  t.is(
    field.renderHeaders(),
    `${disposition}\r\nContent-Type: a/b\r\nContent-Location: /m\r\nX-B: 2\r\nX-A: 1\r\n\r\n`,
  );

  // Again, it replaces what was there.
  field.makeMultipart({ contentDisposition: '' });
  t.is(field.renderHeaders(), 'Content-Disposition: form-data; name="n"\r\nX-B: 2\r\nX-A: 1\r\n\r\n');
  t.like(field.headers, { 'Content-Type': null, 'X-B': '2' });

  const pairs = new RequestField('n', 'd', { headers: new Map([['X-C', '3']]) });
  t.is(pairs.renderHeaders(), 'X-C: 3\r\n\r\n');
});

test('BODY-03: a field remembers its name and file name, and takes a formatter of its own', (t) => {
  const field = new RequestField(Buffer.from('näme'), 'd', {
    filename: Buffer.from('ä.txt'),
    headerFormatter: (name, value) => `${name}*=${encodeURIComponent(value)}`,
  });
  t.is(field.name, 'näme');
  t.is(field.filename, 'ä.txt');
  field.makeMultipart();
  t.is(field.renderHeaders(), 'Content-Disposition: form-data; name*=n%C3%A4me; filename*=%C3%A4.txt\r\n\r\n');

  const tuple = RequestField.fromTuples('a', ['b', 'c', null], { headerFormatter: (name) => name });
  t.is(tuple.renderHeaders(), 'Content-Disposition: form-data; name; filename\r\n\r\n');
});

const noField: [name: string, make: () => unknown][] = [
  ['a name that is a number', () => new RequestField(1 as unknown as string, 'd')],
  ['a file name that is a number', () => new RequestField('a', 'd', { filename: 1 as unknown as string })],
  ['a misspelt option', () => new RequestField('a', 'd', { fileName: 'x' } as RequestFieldOptions)],
  ['urllib3’s positional file name', () => new RequestField('a', 'd', 'x.txt' as RequestFieldOptions)],
  ['a formatter that is no function', () => new RequestField('a', 'd', { headerFormatter: 'x' as unknown as null })],
  ['headers that are a string', () => new RequestField('a', 'd', { headers: 'X: y' as unknown as PartHeaders })],
  [
    'headers that are no pairs',
    () => new RequestField('a', 'd', { headers: [['a']] as unknown as PartHeaders[] as never }),
  ],
  ['a header that is a number', () => new RequestField('a', 'd', { headers: { X: 1 } as never }).renderHeaders()],
  ['a type that is a number', () => new RequestField('a', 'd').makeMultipart({ contentType: 1 as unknown as string })],
  ['a misspelt part of it', () => new RequestField('a', 'd').makeMultipart({ type: 'a/b' } as object)],
  ['a formatter’s number', () => RequestField.fromTuples('a', 'b', { headerFormatter: () => 1 as unknown as string })],
  ['a guess from a number', () => guessContentType(1 as unknown as string)],
];
for (const [name, make] of noField) {
  test(`BODY-03: RequestField refuses ${name}`, (t) => {
    t.throws(make, invalidOption);
  });
}

test('BODY-04: names with a byte order mark keep it, and half of a surrogate pair is U+FFFD', (t) => {
  t.is(formatMultipartHeaderParam('name', Buffer.from('\ufeffn')), 'name="\ufeffn"');
  const [[head, data] = ['', '']] = partsOf({ 'a\ud800': ['\udc00.txt', '\ud800x'] });
  t.is(head, 'Content-Disposition: form-data; name="a\ufffd"; filename="\ufffd.txt"\r\nContent-Type: text/plain');
  t.is(data, '\ufffdx');
});

const guesses: [filename: string, type: string][] = [
  ['a.svgz', 'image/svg+xml'],
  ['a.TGZ', 'application/x-tar'],
  ['a.txt.Z', 'text/plain'],
  ['a.txt.z', 'application/octet-stream'],
  ['a.tar.GZ', 'application/octet-stream'],
  ['.tar.gz', 'application/octet-stream'],
  ['..txt', 'application/octet-stream'],
  ['/b.d/.txt', 'application/octet-stream'],
  ['/b.d/c.txt', 'text/plain'],
  ['C:\\b\\c.txt', 'text/plain'],
  ['a.', 'application/octet-stream'],
  ['a.txt.', 'application/octet-stream'],
  ['a.constructor', 'application/octet-stream'],
  ['a.__proto__', 'application/octet-stream'],
];
for (const [filename, type] of guesses) {
  test(`BODY-05: ${JSON.stringify(filename)} is ${type}`, (t) => {
    t.is(guessContentType(filename), type);
  });
}

test('BODY-05: a name that looks like a data URL names no type of its own', (t) => {
  t.is(guessContentType('data:text/html\r\nX: y,hello'), 'application/octet-stream');
  t.is(guessContentType('data:text/html,a.png', 'x/y'), 'image/png');
});

test('BODY-05: the fallback is the caller’s; a file without a name or a type has one guessed, a text has none', (t) => {
  t.is(guessContentType('a.unknown', 'x/y'), 'x/y');
  t.is(guessContentType(undefined, 'x/y'), 'x/y');
  t.is(guessContentType(null, ''), '');
  const heads = partsOf([
    ['a', 'a.txt'],
    ['a', ['', 'x']],
    ['a', ['b.PNG', 'x', undefined]],
    ['a', ['b.PNG', 'x', '']],
  ]).map(([head]) => head.split('\r\n').slice(1));
  t.deepEqual(heads, [[], ['Content-Type: application/octet-stream'], ['Content-Type: image/png'], []]);
});

test('BODY-05: a File goes out under its name and type, and a Blob is called blob', (t) => {
  const headOf = (value: FormFieldValue): string => {
    const [head] = multipartParts({ f: value }, BOUNDARY).parts;
    return Buffer.isBuffer(head) ? head.toString() : '';
  };
  const expected = (filename: string, type: string): string =>
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="f"${filename}\r\nContent-Type: ${type}\r\n\r\n`;
  const typed = new Blob(['x'], { type: 'text/x' });
  t.is(headOf(new File(['x'], 'a.png')), expected('; filename="a.png"', 'image/png'));
  t.is(headOf(new File(['x'], 'a.png', { type: 'a/b' })), expected('; filename="a.png"', 'a/b'));
  t.is(headOf(typed), expected('; filename="blob"', 'text/x'));
  t.is(headOf(new Blob(['x'])), expected('; filename="blob"', 'application/octet-stream'));
  t.is(headOf(['c.png', typed]), expected('; filename="c.png"', 'text/x'));
  t.is(headOf(['c.png', typed, 'c/d']), expected('; filename="c.png"', 'c/d'));
  t.is(headOf([null, typed]), expected('', 'text/x'));
});

test('BODY-06: boundaries are 32 random hex digits', (t) => {
  const some = Array.from({ length: 200 }, () => chooseBoundary());
  for (const boundary of some) t.regex(boundary, /^[0-9a-f]{32}$/);
  t.is(new Set(some).size, some.length);
  const [body, contentType] = encodeMultipartFormdata({});
  const boundary = /^multipart\/form-data; boundary=([0-9a-f]{32})$/.exec(contentType)?.[1] ?? '';
  t.is(body.toString(), `--${boundary}--\r\n`);
  t.not(encodeMultipartFormdata({}, null)[1], contentType);
});

test('THR-508, BODY-06: a boundary keeps to RFC 2046, and one that is no token stands in quotes', (t) => {
  const plain = "Az09'+_-.";
  t.is(encodeMultipartFormdata({}, plain)[1], `multipart/form-data; boundary=${plain}`);
  for (const quoted of ['a b', '(a', 'a)', 'a,b', 'a/b', 'a:b', 'a=b', 'a?', ' a']) {
    const [body, contentType] = encodeMultipartFormdata({}, quoted);
    t.is(contentType, `multipart/form-data; boundary="${quoted}"`);
    t.is(body.toString(), `--${quoted}--\r\n`);
  }
  t.notThrows(() => encodeMultipartFormdata({}, 'b'.repeat(70)));
  const refused = [
    '',
    ' ',
    'a ',
    'b'.repeat(71),
    'a\r\nb',
    'a\n',
    'a\0',
    '"',
    'a"b',
    'a;b',
    'a\\',
    'ä',
    '<',
    '@',
    '!',
    'a\tb',
  ];
  for (const boundary of refused) t.throws(() => encodeMultipartFormdata({}, boundary), invalidOption, boundary);
  for (const boundary of [1, {}, Buffer.from('a'), false]) {
    t.throws(() => encodeMultipartFormdata({}, boundary as unknown as string), invalidOption);
  }
});

test('THR-508, BODY-06: a boundary that occurs in the data is refused, or chosen again when it was random', (t) => {
  const field = new RequestField('a', 'x', { headers: { '--bound': '1' } });
  const holders: (FormFields | FormData)[] = [
    { a: '--bound' },
    { a: Buffer.from('x\r\n--bound--\r\n') },
    { a: ['f', new TextEncoder().encode('\n--boundless')] },
    [
      ['a', 'x'],
      ['b', 'in the middle--bound of it'],
    ],
    [field],
    form(['a', '--bound']),
  ];
  for (const fields of holders) {
    t.throws(() => encodeMultipartFormdata(fields, 'bound'), { ...invalidBody, message: /occurs in the data/ });
    const next = ['bound', 'bound', 'other'];
    const { contentType } = multipartParts(fields, null, () => next.shift() ?? '');
    t.is(contentType, 'multipart/form-data; boundary=other');
    t.throws(() => multipartParts(fields, null, () => 'bound'), invalidBody);
  }
  t.notThrows(() => encodeMultipartFormdata({ a: 'bound -bound' }, 'bound'));
});

const LINE_ENDERS = ['\r', '\n', '\r\nX-Evil: 1', '\0', '\r\n\r\nbody'];

test('THR-508: CR, LF and NUL in the type of a file are refused', (t) => {
  for (const evil of LINE_ENDERS) {
    const message = /no CR, LF or NUL/;
    t.throws(() => encodeMultipartFormdata({ a: ['f', 'x', `text/plain${evil}`] }), { ...invalidBody, message });
    // No Blob of Node's has such a type; one of a caller's own class might.
    const blob = Object.defineProperty(new Blob(['x']), 'type', { value: `a/b${evil}` });
    t.throws(() => multipartParts({ a: blob }), { ...invalidBody, message });
    const file = Object.defineProperty(new File(['x'], 'f'), 'type', { value: `a/b${evil}` });
    t.throws(() => multipartParts({ a: file }), { ...invalidBody, message });
  }
});

test('THR-508: no other header of a part is more than one line either, and no name is more than a name', (t) => {
  for (const evil of LINE_ENDERS) {
    const render = (headers: PartHeaders) => () => new RequestField('a', 'x', { headers }).renderHeaders();
    t.throws(render({ 'X-A': `1${evil}` }), invalidBody);
    t.throws(render({ [`X-A${evil}`]: '1' }), invalidBody);
    t.throws(render({ 'Content-Location': evil }), invalidBody);
    if (evil === '\0') continue;
    t.throws(render({ 'Content-Disposition': `form-data${evil}` }), invalidBody);
    const formatted = RequestField.fromTuples('a', 'b', { headerFormatter: () => `name=${evil}` });
    t.throws(() => formatted.renderHeaders(), invalidBody);
    const disposed = new RequestField('a', 'b');
    disposed.makeMultipart({ contentDisposition: `form-data${evil}` });
    t.throws(() => disposed.renderHeaders(), invalidBody);
  }
  for (const name of ['', 'X A', 'X:', 'Ä', '\x7f']) {
    t.throws(() => new RequestField('a', 'x', { headers: { [name]: '1' } }).renderHeaders(), invalidBody, name);
  }
});

test('THR-508: properties of a polluted prototype are no options, headers or fields', (t) => {
  const polluted = Object.prototype as Record<string | symbol, unknown>;
  const names = ['filename', 'contentType', 'contentDisposition', 'Content-Type', 'X-Evil', 'headerFormatter'];
  try {
    for (const name of names) polluted[name] = 'evil';
    polluted[Symbol.iterator] = function* evil() {
      yield ['evil', 'evil'];
    };
    const [body] = encodeMultipartFormdata({ a: 'b' }, BOUNDARY);
    t.is(body.toString(), `--${BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--${BOUNDARY}--\r\n`);
    const field = new RequestField('a', 'b', { headers: JSON.parse('{"__proto__":"kept"}') as PartHeaders });
    t.is(field.renderHeaders(), '__proto__: kept\r\n\r\n');
  } finally {
    for (const name of [...names, Symbol.iterator]) delete polluted[name];
  }
});

test('a Blob cannot be encoded at once, and the message says where it can go', (t) => {
  for (const fields of [
    { a: 'b', f: new File(['x'], 'f') },
    { f: ['f', new Blob([])] as const },
    form(['f', new Blob([])]),
  ]) {
    t.throws(() => encodeMultipartFormdata(fields), { ...invalidBody, message: /a request's 'fields'/ });
  }
});

function form(...entries: (readonly [string, string | Blob] | readonly [string, Blob, string])[]): FormData {
  const made = new FormData();
  for (const [name, value, filename] of entries) {
    if (typeof value === 'string') made.append(name, value);
    else if (filename === undefined) made.append(name, value);
    else made.append(name, value, filename);
  }
  return made;
}

async function joined(parts: readonly (Buffer | Blob)[]): Promise<Buffer> {
  return Buffer.from(await new Blob([...parts]).arrayBuffer());
}

test('BODY-02: pieces in their order are the body, bytes next to each other are one, and the length is known', async (t) => {
  const blob = new Blob(['of a blob']);
  const fields: [string, FormFieldValue][] = [
    ['a', '1'],
    ['b', '2'],
    ['c', ['c.bin', blob]],
    ['d', new Blob([])],
    ['e', '3'],
  ];
  const { contentType, length, parts } = multipartParts(fields, BOUNDARY);
  t.deepEqual(
    parts.map((part) => Buffer.isBuffer(part)),
    [true, false, true, false, true],
  );
  t.is(parts[1], blob);
  const body = await joined(parts);
  t.is(body.length, length);
  const same = fields.map(([name, value]): [string, FormFieldValue] => {
    if (name === 'c') return ['c', ['c.bin', 'of a blob']];
    return name === 'd' ? ['d', ['blob', '']] : [name, value];
  });
  const [expected, type] = encodeMultipartFormdata(same, BOUNDARY);
  t.is(body.toString(), expected.toString());
  t.is(contentType, type);
});

test('BODY-02: a FormData is encoded byte for byte as fetch does', async (t) => {
  const given = form(
    ['a\nb\rc\r\nd"', 'x\ny\r\rz\r\n'],
    ['a', ''],
    ['a', 'ä\ud83d\udd11\ud800'],
    ['f', new File([Buffer.from([0, 255, 13, 10])], 'n"\n\r.txt', { type: 'TEXT/Plain' })],
    ['g', new Blob(['\n'])],
    ['h', new Blob(['x'], { type: 'a/b' }), 'ü.png'],
  );
  const fetched = new Response(given);
  const theirs = /boundary=(.*)$/.exec(fetched.headers.get('content-type') ?? '')?.[1] ?? '';
  t.not(theirs, '');
  const expected = Buffer.from(await fetched.arrayBuffer()).toString('latin1');
  const { parts, length } = multipartParts(given, BOUNDARY);
  const body = await joined(parts);
  t.is(body.toString('latin1'), expected.replaceAll(theirs, BOUNDARY));
  t.is(body.length, length);
});

test('BODY-05: the empty name of a file in a FormData is kept', async (t) => {
  const { parts } = multipartParts(form(['f', new File(['x'], '')]), BOUNDARY);
  t.regex(String(await joined(parts)), /; name="f"; filename=""\r\n/);
});

/** What Node's own parser finds in the body: names, texts or bytes, file names and types. */
async function parsed(fields: FormFields | FormData, boundary?: string): Promise<unknown[]> {
  const { contentType, parts } = multipartParts(fields, boundary);
  const found = await new Response(await joined(parts), { headers: { 'content-type': contentType } }).formData();
  return Promise.all(
    Array.from(found, async ([name, value]) =>
      typeof value === 'string'
        ? [name, value]
        : [name, value.name, value.type, Buffer.from(await value.arrayBuffer())],
    ),
  );
}

const nasty = [
  '"',
  '\r',
  '\n',
  '\r\n',
  '\0',
  '"\r\nX-Evil: 1\r\n\r\n',
  '; filename="x"',
  '\\"',
  "'",
  'ä\u26f7',
  '\x1a\x7f',
];
for (const text of nasty) {
  test(`THR-508: ${JSON.stringify(text)} in a name and a file name is parsed back as one part`, async (t) => {
    const name = `a${text}b`;
    const data = Buffer.from(`${text}--data${text}`);
    t.deepEqual(await parsed({ [name]: 'v', other: [name, data, 'text/x'] }), [
      [name, 'v'],
      ['other', name, 'text/x', data],
    ]);
    t.deepEqual(await parsed(form(['t', 'v'], ['f', new File([data], name, { type: 'text/x' })])), [
      ['t', 'v'],
      ['f', name, 'text/x', data],
    ]);
  });
}

/** Numbers that look random and are the same in every run. */
function sequence(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const LETTERS = [
  'a',
  'Z',
  '0',
  '&',
  '=',
  '+',
  ' ',
  '%',
  ';',
  '#',
  '?',
  '/',
  '"',
  '\\',
  '\0',
  '\r',
  '\n',
  '\x7f',
  'ä',
  '\u20ac',
];
const HALVES = ['\ud800', '\udbff', '\udc00', '\udfff', '\ud83d\udd11'];

function text(next: (below: number) => number, letters: readonly string[]): string {
  return Array.from({ length: next(12) }, () => letters[next(letters.length)] ?? '').join('');
}

/** Two neighbouring halves may make a pair, so what is left over is found here and not letter by letter. */
function wellFormed(given: string): string {
  return Buffer.from(given).toString();
}

test('THR-509: decode(encode(x)) is x for urlencoded fields, half pairs as U+FFFD', (t) => {
  const next = sequence(509);
  const letters = [...LETTERS, ...HALVES];
  for (let round = 0; round < 2000; round += 1) {
    const pairs = Array.from({ length: next(5) }, (): [string, string] => [text(next, letters), text(next, letters)]);
    const body = encodeFormUrlencoded(pairs);
    t.regex(body, /^(?:[\w.~+&=-]|%[0-9A-F]{2})*$/);
    const expected = pairs.map(([name, value]) => [wellFormed(name), wellFormed(value)]);
    t.deepEqual([...new URLSearchParams(body)], expected);
  }
  for (let octet = 0; octet < 256; octet += 1) {
    const body = encodeFormUrlencoded({ x: Buffer.from([octet]) });
    t.is(unescape(body.slice(2).replaceAll('+', ' ')), String.fromCharCode(octet));
  }
});

test('THR-509: decode(encode(x)) is x for multipart fields, half pairs as U+FFFD', async (t) => {
  const next = sequence(508);
  const values = [...LETTERS, ...HALVES];
  // HTML does not escape `%`, so a name that says %22 itself would be read as a quote by everybody.
  const names = values.filter((letter) => letter !== '%');
  for (let round = 0; round < 400; round += 1) {
    const pairs = Array.from({ length: 1 + next(4) }, (): [string, string, string] => [
      text(next, names),
      text(next, values),
      text(next, names),
    ]);
    const fields = pairs.flatMap(([name, value, filename]): [string, FormFieldValue][] => [
      [name, value],
      [name, [filename, Buffer.from(value), 'a/b']],
    ]);
    const expected = pairs.flatMap(([name, value, filename]) => [
      [wellFormed(name), wellFormed(value)],
      [wellFormed(name), wellFormed(filename), 'a/b', Buffer.from(value)],
    ]);
    t.deepEqual(await parsed(fields), expected);
  }
});

const notUrlencoded: [name: string, fields: unknown][] = [
  ['a string', 'a=1'],
  ['a file', { a: ['a.txt', 'x'] }],
  ['a file with a type', { a: ['a.txt', 'x', 'text/plain'] }],
  ['a RequestField', [RequestField.fromTuples('a', 'b')]],
  ['a RequestField as a value', { a: RequestField.fromTuples('a', 'b') }],
  ['a Blob', { a: new Blob(['x']) }],
  ['a FormData with a File', form(['a', new Blob(['x'])])],
];
for (const [name, fields] of notUrlencoded) {
  test(`BODY-07: an urlencoded body cannot have ${name}`, (t) => {
    t.throws(() => encodeFormUrlencoded(fields as FieldSource), invalidOption);
  });
}

test('BODY-07: an urlencoded body takes what a query takes', (t) => {
  const fields = { a: 1, b: 2n, c: true, d: null, e: undefined, 'f g': '~._-*\'"/\u20ac', h: '\ud800' };
  t.is(encodeFormUrlencoded(fields), 'a=1&b=2&c=true&d=null&f+g=~._-%2A%27%22%2F%E2%82%AC&h=%EF%BF%BD');
  t.is(encodeFormUrlencoded({}), '');
});

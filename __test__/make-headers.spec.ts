/** `makeHeaders`: urllib3's outcomes, and what it says when it cannot. */
import test from 'ava';
import { ACCEPT_ENCODING, makeHeaders } from '../facade/make-headers.ts';
import type { MakeHeadersOptions } from '../facade/make-headers.ts';
import { vectors } from './support/vectors.ts';
import type { Raised } from './support/vectors.ts';

type Case = { options: MakeHeadersOptions } & ({ value: [string, string][] } | { error: Raised });

const invalid = { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' };

for (const given of vectors<Case>('make-headers.json')) {
  const title = JSON.stringify(given.options);
  if ('value' in given) {
    test(`UTIL-01: as urllib3, in its order: ${title}`, (t) => {
      t.deepEqual(Object.entries(makeHeaders(given.options)), given.value);
    });
  } else {
    test(`UTIL-01, ERR-12: credentials beyond their encoding are a TypeError: ${title}`, (t) => {
      t.is(given.error.type, 'UnicodeEncodeError');
      const error = t.throws(() => makeHeaders(given.options), invalid);
      t.regex(error?.message ?? '', /'utf-8' has all/);
    });
  }
}

test('UTIL-01: acceptEncoding true names every coding that a response is decoded from', (t) => {
  t.is(ACCEPT_ENCODING, 'gzip,deflate,br,zstd');
  t.deepEqual(makeHeaders({ acceptEncoding: true }), { 'accept-encoding': ACCEPT_ENCODING });
  t.deepEqual(makeHeaders(), {});
});

test('UTIL-01: what is null, undefined or empty adds nothing', (t) => {
  const nothing = {
    keepAlive: null,
    acceptEncoding: null,
    userAgent: '',
    basicAuth: '',
    proxyBasicAuth: null,
    disableCache: null,
  };
  t.deepEqual(makeHeaders(nothing), {});
  t.deepEqual(makeHeaders({ acceptEncoding: '', basicAuth: undefined }), {});
});

test('ERR-12: half of a surrogate pair is no UTF-8, and no message repeats credentials', (t) => {
  for (const options of [
    { basicAuth: 'sesame\ud800', basicAuthEncoding: 'utf-8' },
    { proxyBasicAuth: 'sesame\udc00x', proxyBasicAuthEncoding: 'utf-8' },
    { basicAuth: 'sesame\u0100' },
  ] as MakeHeadersOptions[]) {
    const error = t.throws(() => makeHeaders(options), invalid);
    t.notRegex(error?.message ?? '', /sesame/);
  }
  const paired = makeHeaders({ basicAuth: '\ud83d\udd11:x', basicAuthEncoding: 'utf-8' });
  t.is(paired['authorization'], `Basic ${Buffer.from('🔑:x').toString('base64')}`);
});

const wrong: [name: string, options: unknown][] = [
  ['a number', 3],
  ['null', null],
  ['a list', []],
  ['a user agent that is a number', { userAgent: 1 }],
  ['credentials as a pair', { basicAuth: ['u', 'p'] }],
  ['keepAlive as a word', { keepAlive: 'yes' }],
  ['disableCache as a number', { disableCache: 1 }],
  ['a number among the codings', { acceptEncoding: ['gzip', 1] }],
  ['codings as a number', { acceptEncoding: 1 }],
  ['an encoding that is not offered', { basicAuth: 'a:b', basicAuthEncoding: 'utf-16' }],
  ['an encoding that is not offered, for a proxy', { proxyBasicAuthEncoding: 8 }],
];
for (const [name, options] of wrong) {
  test(`makeHeaders refuses ${name}`, (t) => {
    t.throws(() => makeHeaders(options as MakeHeadersOptions), invalid);
  });
}

test('an unknown option is refused with the nearest name, or with all of them', (t) => {
  const make = (options: object) => () => makeHeaders(options);
  t.throws(make({ keepalive: true }), { ...invalid, message: /no option 'keepalive'; did you mean 'keepAlive'\?/ });
  t.throws(make({ basicAuthEncodng: 'utf-8' }), { ...invalid, message: /did you mean 'basicAuthEncoding'\?/ });
  t.throws(make({ cookies: 'a=b' }), { ...invalid, message: /no option 'cookies'; it has keepAlive, acceptEncoding/ });
});

test('THR-522: a polluted prototype gives makeHeaders no options', (t) => {
  const prototype = Object.prototype as Record<string, unknown>;
  const values = { userAgent: 'evil', basicAuth: 'e:vil', acceptEncoding: true, keepAlive: true, basicAuthEncoding: 1 };
  try {
    Object.assign(prototype, values);
    t.deepEqual(Object.entries(makeHeaders({ disableCache: true })), [['cache-control', 'no-cache']]);
  } finally {
    for (const name of Object.keys(values)) delete prototype[name];
  }
});

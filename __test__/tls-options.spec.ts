/** The options of TLS: what is refused before anything is opened, and what the core is told of the others. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';

import { TLS_NAMES, tlsWire } from '../facade/tls-options.ts';
import {
  connectionFromUrl,
  HTTPConnection,
  HTTPConnectionPool,
  HTTPSConnection,
  HTTPSConnectionPool,
  PoolManager,
  type CertReqs,
  type PoolKwargs,
  type PoolOptions,
  type TLSOptions,
} from '../index.ts';
import { root } from '../scripts/run.js';
import { outcome } from './support/child.ts';
import { fileOf, folderOf } from './support/secure.ts';
import { usual } from './support/pki.ts';

const { ca, leaf } = usual();
const other = ca.issue({ name: 'other.test' });
const REFUSED = { instanceOf: TypeError, code: 'ERR_INVALID_OPTION' } as const;

/** Whatever takes these options refuses them alike, when it is made. */
function refuses(t: ExecutionContext, options: unknown, message: RegExp | string): void {
  const said = JSON.stringify(options);
  const given = options as TLSOptions;
  t.throws(() => new HTTPSConnectionPool('h', given), { ...REFUSED, message }, said);
  t.throws(() => new HTTPSConnection('h', given), { ...REFUSED, message }, said);
  t.throws(() => connectionFromUrl('https://h/', given), { ...REFUSED, message }, said);
  t.throws(() => new PoolManager(given), { ...REFUSED, message }, said);
  if (Object.values(given).includes(null)) return;
  t.throws(() => new PoolManager().connectionFromUrl('https://h/', given), { ...REFUSED, message }, said);
}

test('TLS-01: verification is required unless it is switched off, under either library’s names', (t) => {
  t.is(tlsWire({}).certReqs, undefined);
  const names: [CertReqs, 'required' | 'none'][] = [
    ['required', 'required'],
    ['optional', 'required'],
    ['none', 'none'],
    ['CERT_REQUIRED', 'required'],
    ['CERT_OPTIONAL', 'required'],
    ['CERT_NONE', 'none'],
    ['REQUIRED', 'required'],
    ['OPTIONAL', 'required'],
    ['NONE', 'none'],
  ];
  for (const [given, means] of names) t.is(tlsWire({ certReqs: given }).certReqs, means, given);
  for (const wrong of ['None', 'cert_none', 'off', '', 'constructor', false, true, 0, 2, null, {}]) {
    refuses(t, { certReqs: wrong }, /^certReqs is 'required', 'optional' or 'none', not /);
  }
});

test('TLS-02: authorities are files, directories, texts, bytes or the system’s, each adding', (t) => {
  const pem = ca.pem;
  const der = ca.der.toString('base64');
  const cases: [TLSOptions, readonly unknown[]][] = [
    [{ caCerts: 'ca.pem' }, [{ file: 'ca.pem' }]],
    [{ caCerts: pem }, [{ pem }]],
    [{ caCerts: `A comment.\n${pem}` }, [{ pem: `A comment.\n${pem}` }]],
    [{ caCerts: 'system' }, ['system']],
    [{ caCerts: ['system', './system', pem] }, ['system', { file: './system' }, { pem }]],
    [{ caCertDir: 'certs' }, [{ dir: 'certs' }]],
    [{ caCertData: pem }, [{ pem }]],
    [{ caCertData: Buffer.from(pem) }, [{ pem }]],
    [{ caCertData: ca.der }, [{ der }]],
    [{ caCertData: new Uint8Array(ca.der) }, [{ der }]],
    [{ caCertData: [ca.der, pem] }, [{ der }, { pem }]],
    [{ caCerts: 'a.pem', caCertDir: 'b', caCertData: pem }, [{ file: 'a.pem' }, { pem }, { dir: 'b' }]],
    [{ caCerts: null, caCertDir: null, caCertData: null }, []],
  ];
  for (const [options, authorities] of cases) {
    const wire = tlsWire(options);
    t.deepEqual(wire.authorities ?? [], authorities, JSON.stringify(options));
    // Own authorities replace the defaults, and what the environment says about those is nobody's affair then.
    t.is(wire.environment === undefined, authorities.length > 0, JSON.stringify(options));
  }
});

test('TLS-02 THR-824: no authority at all is not the default ones, and a wrong type is no authority', (t) => {
  refuses(t, { caCerts: [] }, /^caCerts is a path, .* and this one is empty$/);
  refuses(t, { caCertData: [] }, /^caCertData is PEM text, .* and this one is empty$/);
  for (const wrong of ['', 1, true, {}, [''], ['a', 1], [ca.der]]) refuses(t, { caCerts: wrong }, /^caCerts is /);
  for (const bytes of [ca.der, new Uint8Array(1), [ca.pem, Buffer.from(ca.pem)], new ArrayBuffer(1)]) {
    refuses(t, { caCerts: bytes }, 'caCerts is a path or PEM text; bytes go to caCertData');
  }
  for (const wrong of ['', 1, {}, [], new Map()]) refuses(t, { caCertDir: wrong }, /^caCertDir is /);
  for (const wrong of ['', 1, {}, [1], Buffer.alloc(0)]) refuses(t, { caCertData: wrong }, /^caCertData is /);
});

test('TLS-03 TLS-07: certReqs none cannot check a name, and says so; a fingerprint it can', (t) => {
  refuses(t, { certReqs: 'none', assertHostname: 'a.test' }, "assertHostname is not checked with certReqs: 'none'");
  refuses(t, { certReqs: 'NONE', assertHostname: 'a.test' }, "assertHostname is not checked with certReqs: 'none'");
  t.deepEqual(tlsWire({ certReqs: 'none', assertHostname: false, caCerts: 'x' }), {
    certReqs: 'none',
    authorities: [{ file: 'x' }],
    assertHostname: 'off',
  });
  t.like(tlsWire({ certReqs: 'none', assertFingerprint: 'aa' }), { certReqs: 'none', assertFingerprint: 'aa' });
});

test('TLS-07 TLS-08 TLS-09: names and fingerprints', (t) => {
  t.deepEqual(tlsWire({ assertHostname: 'a.test' }).assertHostname, { is: 'a.test' });
  t.is(tlsWire({ assertHostname: false }).assertHostname, 'off');
  t.is(tlsWire({ assertHostname: null }).assertHostname, undefined);
  t.is(tlsWire({ serverHostname: 'a.test' }).serverHostname, 'a.test');
  // An empty fingerprint is a wrong one, which is the core's to say, and never none.
  t.is(tlsWire({ assertFingerprint: '' }).assertFingerprint, '');
  for (const wrong of ['', true, 1, {}])
    refuses(t, { assertHostname: wrong }, /^assertHostname is a name or false, not /);
  for (const wrong of ['', false, 1, {}]) refuses(t, { serverHostname: wrong }, /^serverHostname is /);
  for (const wrong of [false, 1, {}, Buffer.from('aa')])
    refuses(t, { assertFingerprint: wrong }, /^assertFingerprint is /);
});

test('TLS-11: the client’s certificate and key, from files or as text', (t) => {
  const { pem: cert, keyPem: key } = leaf;
  const password = Buffer.from('pässword').toString('base64');
  const cases: [TLSOptions, unknown][] = [
    [{ certFile: 'c.pem' }, { chain: { file: 'c.pem' } }],
    [
      { certFile: 'c.pem', keyFile: 'k.pem' },
      { chain: { file: 'c.pem' }, key: { file: 'k.pem' } },
    ],
    [
      { certFile: cert, keyFile: key },
      { chain: { pem: cert }, key: { pem: key } },
    ],
    [
      { cert, key },
      { chain: { pem: cert }, key: { pem: key } },
    ],
    [
      { cert: Buffer.from(cert), key: new Uint8Array(Buffer.from(key)) },
      { chain: { pem: cert }, key: { pem: key } },
    ],
    [{ cert: cert + key }, { chain: { pem: cert + key } }],
    [
      { certFile: 'c.pem', key, keyPassword: 'pässword' },
      { chain: { file: 'c.pem' }, key: { pem: key }, password },
    ],
    [
      { cert, keyPassword: Buffer.from('pässword') },
      { chain: { pem: cert }, password },
    ],
    [
      { cert, keyPassword: '' },
      { chain: { pem: cert }, password: '' },
    ],
    [{ cert: null, key: null, keyPassword: null }, undefined],
  ];
  for (const [options, identity] of cases) t.deepEqual(tlsWire(options).identity, identity as never);
  refuses(t, { certFile: 'c.pem', cert }, 'certFile and cert say the same thing twice');
  refuses(t, { cert, keyFile: 'k.pem', key }, 'keyFile and key say the same thing twice');
  for (const name of ['key', 'keyFile']) refuses(t, { [name]: key }, `${name} is of no use without certFile or cert`);
  refuses(t, { keyPassword: 'x' }, 'keyPassword is of no use without certFile or cert');
  for (const name of ['cert', 'key']) {
    const path = `${name}File`;
    refuses(t, { cert, [name]: 'c.pem' }, new RegExp(`^${name} is PEM text, .*; a path goes to ${path}$`));
    for (const wrong of [1, {}, [cert], true])
      refuses(t, { cert, [name]: wrong }, new RegExp(`^${name} is PEM text, not `));
    for (const wrong of ['', 1, {}]) refuses(t, { [path]: wrong }, new RegExp(`^${path} is `));
    refuses(t, { [path]: leaf.der }, `${path} is a path or PEM text; bytes go to ${name}`);
  }
  for (const wrong of [1, {}, true, ['x']])
    refuses(t, { cert, keyPassword: wrong }, /^keyPassword is a string or bytes, not /);
});

test('TLS-13: versions below 1.2, and bounds that leave none, are refused in clear words', (t) => {
  for (const name of ['sslMinimumVersion', 'sslMaximumVersion']) {
    for (const old of ['TLSv1', 'TLSv1.0', 'TLSv1.1', 'TLSv1_1', 'SSLv2', 'SSLv3', 'sslv3']) {
      refuses(
        t,
        { [name]: old },
        `${name} is '${old}', which is not spoken any more (RFC 8996): 'TLSv1.2' and 'TLSv1.3' are`,
      );
    }
    for (const wrong of ['TLSv1.4', 'tlsv1.2', '1.2', '', 1.2, 771, {}]) {
      refuses(t, { [name]: wrong }, new RegExp(`^${name} is 'TLSv1.2' or 'TLSv1.3', not `));
    }
  }
  refuses(
    t,
    { sslMinimumVersion: 'TLSv1.3', sslMaximumVersion: 'TLSv1.2' },
    "sslMinimumVersion 'TLSv1.3' is above sslMaximumVersion 'TLSv1.2'",
  );
  t.like(tlsWire({ sslMinimumVersion: 'TLSv1.2', sslMaximumVersion: 'TLSv1.3' }), {
    minimumVersion: 'TLSv1.2',
    maximumVersion: 'TLSv1.3',
  });
});

test('TLS-14: what the facade names as suites are those of the core', (t) => {
  const error = t.throws(() => new HTTPSConnectionPool('h', { ciphers: 'ECDHE+AESGCM:!RC4' }));
  const names = error.message.match(/TLS(?:13)?_\w+/g) ?? [];
  t.is(names.length, 9);
  for (const ciphers of names) t.notThrows(() => new HTTPSConnectionPool('h', { ciphers }), ciphers);
});

test('TLS-14: suites by rustls’ and IANA’s names; a cipher string of OpenSSL’s is refused', (t) => {
  t.deepEqual(tlsWire({ ciphers: 'TLS_AES_128_GCM_SHA256' }).ciphers, ['TLS13_AES_128_GCM_SHA256']);
  const both = ['TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', 'TLS13_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256'];
  t.deepEqual(tlsWire({ ciphers: both }).ciphers, both.slice(0, 2));
  for (const openssl of ['HIGH:!aNULL', 'ECDHE+AESGCM', 'ECDHE-RSA-AES128-GCM-SHA256', 'DEFAULT@SECLEVEL=1', 'a:b']) {
    refuses(t, { ciphers: openssl }, new RegExp(`^ciphers has names of rustls .*TLS13_.* and none of OpenSSL's`));
    refuses(t, { ciphers: [openssl] }, /none of OpenSSL's/);
  }
  for (const wrong of ['AES', ['RC4'], '', [], [1], {}, 1]) refuses(t, { ciphers: wrong }, /^ciphers is /);
});

test('TLS-16 THR-823: a key log goes to a path, or where the variable says if that is asked for', async (t) => {
  t.is(tlsWire({ keyLogFile: 'keys.log' }).keyLogFile, 'keys.log');
  t.is(tlsWire({ keyLogFile: false }).keyLogFile, undefined);
  for (const wrong of ['', 1, {}]) refuses(t, { keyLogFile: wrong }, /^keyLogFile is /);
  const said = (env: Record<string, string>): Promise<{ keyLogFile: string | null }> =>
    outcome('tls-environment.ts', [], { env: { NODE_EXTRA_CA_CERTS: '', ...env } });
  const env = { FERRO_A: '/a', FERRO_B: 'b' };
  for (const [given, means] of [
    ['/x/keys.log', '/x/keys.log'],
    ['', null],
    ['${FERRO_A}/$FERRO_B.log', '/a/b.log'],
    ['$FERRO_A${FERRO_B}/${FERRO_NONE}/$FERRO_NONE/$', '/ab/${FERRO_NONE}/$FERRO_NONE/$'],
  ] as const) {
    t.is((await said({ ...env, SSLKEYLOGFILE: given })).keyLogFile, means, given);
  }
});

test('THR-823: a process with another user’s rights logs no keys, whoever asks', (t) => {
  const { geteuid } = process;
  if (geteuid === undefined) {
    t.pass('there are no such processes here');
    return;
  }
  try {
    process.geteuid = () => (process.getuid?.() ?? 0) + 1;
    refuses(
      t,
      { keyLogFile: '/no/such/keys.log' },
      "keyLogFile is refused in a process that runs with another user's rights",
    );
    refuses(t, { keyLogFile: true }, /another user's rights/);
    t.is(tlsWire({ keyLogFile: false }).keyLogFile, undefined);
  } finally {
    process.geteuid = geteuid;
  }
});

interface Said {
  own: unknown;
  first: Record<string, unknown>;
  isSame: boolean;
  warnings: { code: string; message: string }[];
}

/** What a process says that has this environment, and none of this one's. */
function environment(env: Record<string, string>, node: readonly string[] = []): Promise<Said> {
  const clean = {
    SSL_CERT_FILE: '',
    SSL_CERT_DIR: '',
    NODE_EXTRA_CA_CERTS: '',
    NODE_USE_SYSTEM_CA: '',
    NODE_OPTIONS: '',
  };
  return outcome<Said>('tls-environment.ts', [], { env: { ...clean, ...env }, node });
}

test('TLS-02: the environment is read once, and only for whoever trusts the defaults', async (t) => {
  t.deepEqual(await environment({}), { own: null, first: {}, isSame: true, keyLogFile: null, warnings: [] } as never);
  const extra = fileOf(t, ca.pem + usual().stranger.pem);
  const all = { SSL_CERT_FILE: 'a.pem', SSL_CERT_DIR: 'certs', NODE_EXTRA_CA_CERTS: extra, NODE_USE_SYSTEM_CA: '1' };
  t.deepEqual(await environment(all), {
    own: null,
    first: { certFile: 'a.pem', certDir: 'certs', extraCerts: extra, system: true },
    isSame: true,
    keyLogFile: null,
    warnings: [],
  } as never);
  t.deepEqual((await environment({ NODE_USE_SYSTEM_CA: '0' })).first, {});
});

test('TLS-02 THR-824: NODE_EXTRA_CA_CERTS that cannot be used is told of once, and passed over', async (t) => {
  for (const [file, why] of [
    ['/no/such/file', /ENOENT/],
    [root, /EISDIR/],
    [fileOf(t, 'junk'), /it has no certificate/],
    [fileOf(t, ''), /it has no certificate/],
    [fileOf(t, `${ca.pem}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`), /./],
  ] as const) {
    const { first, warnings } = await environment({ NODE_EXTRA_CA_CERTS: file });
    t.deepEqual(first, {});
    const own = warnings.filter(({ code }) => code === 'FERROPOOL_EXTRA_CERTS');
    t.is(own.length, 1, file);
    t.true(own[0]?.message.startsWith(`the certificates of NODE_EXTRA_CA_CERTS are ignored: ${file}: `));
    t.regex(own[0]?.message ?? '', why);
  }
});

test('THR-323: an option of TLS is refused where it would be without effect, and the message says whose it is', (t) => {
  for (const name of TLS_NAMES) {
    const options = { [name]: 'x' } as PoolOptions;
    const message = `a pool for http has no option '${name}', which is HTTPSConnectionPool's`;
    t.throws(() => new HTTPConnectionPool('h', options), { ...REFUSED, message });
    t.throws(() => connectionFromUrl('http://h/', options), { ...REFUSED, message });
    t.throws(() => new HTTPConnection('h', options), { ...REFUSED, message: new RegExp(`no option '${name}'`) });
  }
});

test('TLS-13 MGR-11: a name that no option has gets the nearest one', (t) => {
  for (const [name, near] of [
    ['ca_certs', 'caCerts'],
    ['cert_reqs', 'certReqs'],
    ['caCert', 'caCerts'],
    ['ssl_minimum_version', 'sslMinimumVersion'],
    ['assert_hostname', 'assertHostname'],
    ['serverHostName', 'serverHostname'],
    ['keylog_file', 'keyLogFile'],
    // Node's, undici's and requests' own.
    ['rejectUnauthorized', 'certReqs'],
    ['ca', 'caCerts'],
    ['servername', 'serverHostname'],
    ['passphrase', 'keyPassword'],
    ['minVersion', 'sslMinimumVersion'],
    ['maxVersion', 'sslMaximumVersion'],
    ['checkServerIdentity', 'assertHostname'],
    ['allowH2', 'http2'],
    ['verify', 'certReqs'],
  ] as const) {
    t.throws(() => new HTTPSConnectionPool('h', { [name]: 'x' }), {
      ...REFUSED,
      message: `a pool has no option '${name}'; did you mean '${near}'?`,
    });
    t.throws(() => new PoolManager({ [name]: 'x' }), { ...REFUSED, message: new RegExp(`did you mean '${near}'`) });
  }
  for (const name of ['sslContext', 'ssl_version', 'pfx', 'hostnameChecksCommonName', 'constructor']) {
    t.throws(() => new HTTPSConnectionPool('h', { [name]: true }), {
      ...REFUSED,
      message: `a pool has no option '${name}'; docs/options.md lists what it has`,
    });
  }
});

test('THR-809: http2 is a switch, and prior knowledge is of http', (t) => {
  for (const wrong of [1, 'true', 'h2', 'priorKnowledge', null, {}]) {
    const message = /^http2 is a boolean or 'prior-knowledge', not /;
    t.throws(() => new HTTPConnectionPool('h', { http2: wrong as never }), { ...REFUSED, message });
    t.throws(() => new HTTPSConnectionPool('h', { http2: wrong as never }), { ...REFUSED, message });
    t.throws(() => new PoolManager({ http2: wrong as never }), { ...REFUSED, message });
  }
  const message = /^http2: 'prior-knowledge' is for http; /;
  t.throws(() => new HTTPSConnectionPool('h', { http2: 'prior-knowledge' }), { ...REFUSED, message });
  t.throws(() => connectionFromUrl('https://h/', { http2: 'prior-knowledge' }), { ...REFUSED, message });
  t.throws(() => new HTTPSConnection('h', { http2: 'prior-knowledge' }), { ...REFUSED, message });
  t.notThrows(() => new HTTPConnectionPool('h', { http2: 'prior-knowledge' }));
  t.notThrows(() => new HTTPConnectionPool('h', { http2: true }));
  const manager = new PoolManager({ http2: 'prior-knowledge' });
  t.is(manager.connectionFromUrl('http://h/').scheme, 'http');
  t.is(manager.connectionFromUrl('https://h/').scheme, 'https');
});

test('THR-821 MGR-08: JSON says what is checked and holds no key, no certificate of ours and no password', (t) => {
  const { pem: cert, keyPem: key } = leaf;
  const options: TLSOptions & PoolOptions = {
    http2: true,
    caCertData: [ca.der, ca.pem],
    cert,
    key,
    keyPassword: 's3cret',
    assertHostname: 'a.test',
    sslMinimumVersion: 'TLSv1.3',
    ciphers: ['TLS13_AES_128_GCM_SHA256'],
  };
  const pool = new HTTPSConnectionPool('h', options);
  const json = JSON.parse(JSON.stringify(pool)) as Record<string, unknown>;
  t.notRegex(JSON.stringify(json), /PRIVATE|s3cret/);
  t.like(json, {
    type: 'HTTPSConnectionPool',
    scheme: 'https',
    port: null,
    http2: true,
    caCertData: [ca.pem, ca.pem],
    assertHostname: 'a.test',
    sslMinimumVersion: 'TLSv1.3',
    ciphers: ['TLS13_AES_128_GCM_SHA256'],
  });
  for (const name of ['cert', 'key', 'keyPassword', 'certReqs']) t.false(name in json, name);
  t.notRegex(JSON.stringify(new HTTPSConnectionPool('h', { certFile: cert, keyFile: key })), /BEGIN/);
  t.notRegex(JSON.stringify(new PoolManager(options)), /PRIVATE|s3cret/);
  const { type, scheme, host, retries, headers, proxyHeaders: _, ...settings } = pool.toJSON();
  const again = new HTTPSConnectionPool(host, settings);
  t.deepEqual(again.toJSON(), pool.toJSON(), `${type} ${scheme} ${JSON.stringify(retries)} ${headers.length}`);
});

test('MGR-06 MGR-08: a manager’s options of TLS reach its https pools; null takes one away', (t) => {
  const manager = new PoolManager({ caCerts: ca.pem, assertHostname: 'a.test' });
  const usually = manager.connectionFromUrl('https://h/');
  t.true(usually instanceof HTTPSConnectionPool);
  t.is(String(usually), "HTTPSConnectionPool(host='h', port=443)");
  t.like(usually.toJSON(), { assertHostname: 'a.test', caCerts: ca.pem });
  t.is(manager.connectionFromHost('h', { scheme: 'https' }), usually);
  t.is(manager.connectionFromContext({ scheme: 'https', host: 'h' }), usually);
  const without = manager.connectionFromUrl('https://h/', { assertHostname: null, caCerts: null } satisfies PoolKwargs);
  t.not(without, usually);
  t.false('caCerts' in without.toJSON());
  t.false(manager.connectionFromUrl('http://h/') instanceof HTTPSConnectionPool);
});

/** Each option with a value, and another; with what they need beside them. */
const flipped = {
  certReqs: ['required', 'none'],
  caCerts: [ca.pem, usual().stranger.pem],
  caCertDir: [folderOf, folderOf],
  caCertData: [ca.der, usual().stranger.der],
  certFile: [leaf.pem + leaf.keyPem, other.pem + other.keyPem],
  cert: [leaf.pem + leaf.keyPem, other.pem + other.keyPem],
  keyFile: [leaf.keyPem, leaf.encryptedKey('x')],
  key: [leaf.keyPem, leaf.encryptedKey('x')],
  keyPassword: ['x', 'y'],
  assertHostname: ['a.test', false],
  assertFingerprint: [ca.fingerprint('sha256'), leaf.fingerprint('sha1')],
  serverHostname: ['a.test', 'b.test'],
  sslMinimumVersion: ['TLSv1.2', 'TLSv1.3'],
  sslMaximumVersion: ['TLSv1.2', 'TLSv1.3'],
  ciphers: ['TLS13_AES_128_GCM_SHA256', ['TLS13_AES_256_GCM_SHA384', 'TLS13_AES_128_GCM_SHA256']],
  keyLogFile: [fileOf, fileOf],
} satisfies Record<keyof TLSOptions, readonly [unknown, unknown]>;
const beside: Partial<Record<keyof TLSOptions, TLSOptions>> = {
  keyFile: { cert: leaf.pem, keyPassword: 'x' },
  key: { cert: leaf.pem, keyPassword: 'x' },
  keyPassword: { cert: leaf.pem + leaf.keyPem },
};

for (const [name, values] of Object.entries(flipped)) {
  test(`MGR-01 THR-323: another ${name} is another pool, an equal one the same`, (t) => {
    const manager = new PoolManager();
    const [one, two] = values.map((value) => {
      if (value === folderOf) return folderOf(t, { 'a.pem': ca.pem });
      return value === fileOf ? fileOf(t, '') : value;
    });
    const pool = (value: unknown): HTTPConnectionPool => {
      const poolKwargs = { ...beside[name as keyof TLSOptions], [name]: value } as PoolKwargs;
      return manager.connectionFromHost('h', { scheme: 'https', poolKwargs });
    };
    const [first, second] = [pool(one), pool(two)];
    t.is(new Set([manager.connectionFromUrl('https://h/'), first, second]).size, 3);
    t.is(pool(one), first);
    t.is(pool(two), second);
    t.is(pool(Array.isArray(two) ? [...(two as unknown[])] : two), second);
  });
}

test('every option of TLS has its row in docs/tls.md, and every row an option', (t) => {
  const page = readFileSync(path.join(root, 'docs', 'tls.md'), 'utf8');
  const table = page.split('## Option by option\n')[1]?.split('\n## ')[0] ?? '';
  const rows = [...table.matchAll(/^\| (.+?) \|/gm)].flatMap(([, cell = '']) => [...cell.matchAll(/`(\w+)`/g)]);
  const named = rows.map(([, name = '']) => name);
  t.deepEqual(named.toSorted(), [...TLS_NAMES, 'http2'].toSorted());
});

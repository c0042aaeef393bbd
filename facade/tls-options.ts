/**
 * What a pool may be told about TLS: one descriptor an option. A wrong type or combination is refused here; whether files
 * can be read, keys fit and names are right is the core's to find out.
 */
import { isAnyArrayBuffer } from 'node:util/types';

import { argumentError } from './arguments.ts';
import { bytesOf } from './bytes.ts';
import { bare, CODE, string, wrong, type Check } from './checks.ts';
import { environmentOf, keyLogFromEnvironment, refuseElevated, type TrustEnvironment } from './tls-environment.ts';

/**
 * Options of TLS, for an {@link HTTPSConnectionPool}, and for a {@link PoolManager} as far as it makes such pools. `null` is
 * the same as not giving an option. Files are read when a pool is made; one that cannot be read, a key that does not fit its
 * certificate and the like are an SSLError then.
 */
export interface TLSOptions {
  // Without null: to some it would mean "none".
  /**
   * Whether the server's certificate is checked; `null` is refused. Default `'required'`: its chain and its name are. `'optional'` means the
   * same to a client. `'none'` checks nothing but a fingerprint, and says so in an InsecureRequestWarning, once a pool.
   * urllib3's names are taken too. urllib3's `cert_reqs`; Node's `rejectUnauthorized`.
   */
  certReqs?: CertReqs | undefined;
  /**
   * Whom to trust: paths of PEM files, PEM texts (told by their `-----BEGIN`), or `'system'` for the system's store. Given,
   * this, `caCertDir` and `caCertData` together are all that is trusted. Default: Mozilla's roots, which are compiled in, and
   * what the environment says (`NODE_EXTRA_CA_CERTS`, `SSL_CERT_FILE`, `SSL_CERT_DIR`, `NODE_USE_SYSTEM_CA`). urllib3's
   * `ca_certs`; Node's `ca`.
   */
  caCerts?: string | readonly string[] | null | undefined;
  /** Whom to trust: a directory, of which every PEM file is read. Default none. urllib3's `ca_cert_dir`. */
  caCertDir?: string | null | undefined;
  /** Whom to trust: PEM text, as a string or as bytes, or one certificate's DER. Default none. urllib3's `ca_cert_data`. */
  caCertData?: CertificateData | readonly CertificateData[] | null | undefined;
  /**
   * The client's certificate: the path of a PEM file with the certificate, the intermediates after it and, if there is no
   * `keyFile`, its key; or that PEM itself. Default none. urllib3's `cert_file`.
   */
  certFile?: string | null | undefined;
  /** The same as PEM text. Not together with `certFile`. */
  cert?: string | Uint8Array | null | undefined;
  /** The path of a PEM file with the client's key. Default: it is with the certificate. urllib3's `key_file`. */
  keyFile?: string | null | undefined;
  /** The same as PEM text. Not together with `keyFile`. */
  key?: string | Uint8Array | null | undefined;
  /** What an encrypted key is opened with; without effect on any other. Default none. urllib3's `key_password`. */
  keyPassword?: string | Uint8Array | null | undefined;
  /**
   * The name that the certificate is checked for, in place of `serverHostname` and the host; `false` checks the chain and no
   * name. Not a name together with `certReqs: 'none'`. urllib3's `assert_hostname`.
   */
  assertHostname?: string | false | null | undefined;
  /**
   * What the server's own certificate hashes to: MD5, SHA-1 or SHA-256 in hexadecimal (colons and either case allowed), by
   * its length. It replaces the check of the name, and is checked under `certReqs: 'none'` too. What is no fingerprint is an
   * SSLError. Default none. urllib3's `assert_fingerprint`.
   */
  assertFingerprint?: string | null | undefined;
  /** The name that is sent (SNI) and checked in place of the host. Default: the host. urllib3's `server_hostname`. */
  serverHostname?: string | null | undefined;
  /** Default `'TLSv1.2'`; nothing older is spoken at all. urllib3's `ssl_minimum_version`. */
  sslMinimumVersion?: TLSVersion | null | undefined;
  /** Default none. Not below `sslMinimumVersion`. urllib3's `ssl_maximum_version`. */
  sslMaximumVersion?: TLSVersion | null | undefined;
  /**
   * Cipher suites by rustls' or IANA's names, in order of preference; nothing else is offered. Default: rustls' choice. An
   * OpenSSL cipher string is refused. urllib3's `ciphers`.
   */
  ciphers?: string | readonly string[] | null | undefined;
  /**
   * A file (made with mode 0600) that the secrets of each connection are appended to, for tools that read captures;
   * `true` takes its path from the variable `SSLKEYLOGFILE`, in which `$NAME` and `${NAME}` are replaced; unset or empty it
   * means none. Default none: the variable alone does nothing. Refused in a setuid process.
   */
  keyLogFile?: string | boolean | null | undefined;
}

/** How a server is verified: see {@link TLSOptions.certReqs}. */
export type CertReqs =
  | 'required'
  | 'optional'
  | 'none'
  | 'CERT_REQUIRED'
  | 'CERT_OPTIONAL'
  | 'CERT_NONE'
  | 'REQUIRED'
  | 'OPTIONAL'
  | 'NONE';

/** The versions of TLS that there are. */
export type TLSVersion = 'TLSv1.2' | 'TLSv1.3';

/** PEM text, as a string or as bytes, or DER. */
export type CertificateData = string | Uint8Array;

/** The record that the core takes. @internal */
export interface TLSWire {
  readonly certReqs?: 'required' | 'none';
  readonly authorities?: readonly Authority[];
  readonly environment?: TrustEnvironment;
  readonly identity?: { chain: Material; key?: Material; password?: string };
  readonly assertHostname?: 'off' | { is: string };
  readonly assertFingerprint?: string;
  readonly serverHostname?: string;
  readonly minimumVersion?: TLSVersion;
  readonly maximumVersion?: TLSVersion;
  readonly ciphers?: readonly string[];
  readonly keyLogFile?: string;
}

type Authority = 'system' | { file: string } | { dir: string } | { pem: string } | { der: string };
type Material = { file: string } | { pem: string };

/** What the descriptors make of the options. */
interface Checked {
  certReqs?: 'required' | 'none';
  caCerts?: Authority[];
  caCertDir?: Authority;
  caCertData?: Authority[];
  certFile?: Material;
  cert?: Material;
  keyFile?: Material;
  key?: Material;
  keyPassword?: string;
  assertHostname?: 'off' | { is: string };
  assertFingerprint?: string;
  serverHostname?: string;
  sslMinimumVersion?: TLSVersion;
  sslMaximumVersion?: TLSVersion;
  ciphers?: string[];
  keyLogFile?: string;
}

/** One an option. `null` has been taken for absence before, but of `certReqs`. */
const TLS = {
  certReqs: (value, name) => {
    const reqs = typeof value === 'string' && Object.hasOwn(CERT_REQS, value) ? CERT_REQS[value] : undefined;
    if (reqs === undefined) throw unknown(name, "'required', 'optional' or 'none'", value);
    return reqs;
  },
  caCerts: (value, name) => {
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    for (const one of list) refuseBytes(one, name, 'caCertData');
    return listed(value, name, 'a path, PEM text or an array of them').map((one) => authority(one));
  },
  caCertDir: (value, name) => ({ dir: string(value, name) }),
  caCertData: (value, name) => {
    return listed(value, name, 'PEM text, DER or an array of them').flatMap((one) => certificate(one, name));
  },
  certFile: (value, name) => material(value, name, 'cert'),
  cert: (value, name) => ({ pem: pemOf(value, name, 'certFile') }),
  keyFile: (value, name) => material(value, name, 'key'),
  key: (value, name) => ({ pem: pemOf(value, name, 'keyFile') }),
  keyPassword: (value, name) => {
    const bytes = typeof value === 'string' ? Buffer.from(value) : bytesOf(value);
    if (bytes === null) throw wrong(name, 'a string or bytes', value);
    return Buffer.from(bytes).toString('base64');
  },
  assertHostname: (value, name) => {
    if (value === false) return 'off';
    if (typeof value !== 'string' || value === '') throw wrong(name, 'a name or false', value);
    return { is: value };
  },
  assertFingerprint: (value, name) => {
    // The empty one is a wrong fingerprint like any other: the core refuses it, and it must not mean "none".
    if (typeof value !== 'string') throw wrong(name, 'a fingerprint in hexadecimal', value);
    return value;
  },
  serverHostname: string,
  sslMinimumVersion: version,
  sslMaximumVersion: version,
  ciphers: (value, name) => {
    const suites = listed(value, name, 'the name of a cipher suite, or an array of them').map((one) =>
      suite(one, name),
    );
    return [...new Set(suites)];
  },
  keyLogFile: (value, name) => {
    if (value === false) return undefined;
    if (value !== true) string(value, name);
    refuseElevated(name);
    return value === true ? keyLogFromEnvironment() : value;
  },
} satisfies Record<keyof TLSOptions, Check>;

/** @internal */
export const TLS_NAMES: readonly string[] = Object.keys(TLS);

/** Pairs that say the same thing in two ways. */
const EITHER: readonly [keyof Checked, keyof Checked][] = [
  ['certFile', 'cert'],
  ['keyFile', 'key'],
];

/**
 * Checks the options of TLS among these.
 *
 * @throws TypeError ERR_INVALID_OPTION.
 * @internal
 */
export function tlsWire(options: TLSOptions): TLSWire {
  const given: Checked = bare([]);
  for (const name of TLS_NAMES) {
    const value: unknown = Object.hasOwn(options, name) ? options[name as keyof TLSOptions] : undefined;
    if (value === undefined || (value === null && name !== 'certReqs')) continue;
    const checked: unknown = TLS[name as keyof typeof TLS](value, name);
    if (checked !== undefined) Object.assign(given, { [name]: checked });
  }
  refuseCombinations(given);
  const authorities = [...(given.caCerts ?? []), ...(given.caCertData ?? [])];
  if (given.caCertDir !== undefined) authorities.push(given.caCertDir);
  const chain = given.certFile ?? given.cert;
  const key = given.keyFile ?? given.key;
  const { keyPassword: password } = given;
  const identity = chain === undefined ? undefined : defined({ chain, key, password });
  return defined({
    certReqs: given.certReqs,
    authorities: authorities.length === 0 ? undefined : authorities,
    // Whoever has authorities of his own hears nothing of the environment's: its defects are no affair of his.
    environment: authorities.length === 0 ? environmentOf() : undefined,
    identity,
    assertHostname: given.assertHostname,
    assertFingerprint: given.assertFingerprint,
    serverHostname: given.serverHostname,
    minimumVersion: given.sslMinimumVersion,
    maximumVersion: given.sslMaximumVersion,
    ciphers: given.ciphers,
    keyLogFile: given.keyLogFile,
  }) as TLSWire;
}

/**
 * The options as plain data: what makes an equal pool of them, but for the client's certificate, key and password, which are
 * nobody's business.
 *
 * @internal
 */
export function tlsJSON(options: TLSOptions): TLSJSON {
  const shown: Record<string, unknown> = {};
  for (const name of TLS_NAMES) {
    const value: unknown = Object.hasOwn(options, name) ? options[name as keyof TLSOptions] : undefined;
    if (value === undefined || value === null || isSecret(name, value)) continue;
    shown[name] = Array.isArray(value) ? value.map(plain) : plain(value);
  }
  return shown;
}

/** Options of TLS as plain data. */
export type TLSJSON = Omit<TLSOptions, 'cert' | 'key' | 'keyPassword'>;

function refuseCombinations(given: Checked): void {
  for (const [one, other] of EITHER) {
    if (given[one] !== undefined && given[other] !== undefined)
      throw apart(`${one} and ${other} say the same thing twice`);
  }
  const { sslMinimumVersion: least, sslMaximumVersion: most } = given;
  if (least === 'TLSv1.3' && most === 'TLSv1.2') {
    throw apart(`sslMinimumVersion '${least}' is above sslMaximumVersion '${most}'`);
  }
  if ((given.certFile ?? given.cert) === undefined) {
    for (const name of ['keyFile', 'key', 'keyPassword'] as const) {
      if (given[name] !== undefined) throw apart(`${name} is of no use without certFile or cert`);
    }
  }
  if (given.certReqs === 'none' && typeof given.assertHostname === 'object') {
    throw apart("assertHostname is not checked with certReqs: 'none'");
  }
}

function apart(message: string): Error {
  return argumentError('type', CODE, message);
}

function listed(value: unknown, name: string, wanted: string): unknown[] {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  // Trust in nobody would become trust in the defaults.
  if (list.length === 0) throw apart(`${name} is ${wanted}, and this one is empty`);
  for (const one of list) {
    const fits = (typeof one === 'string' && one !== '') || (name === 'caCertData' && bytesOf(one) !== null);
    if (!fits) throw wrong(name, wanted, one);
  }
  return list;
}

function authority(value: unknown): Authority {
  const text = value as string;
  if (text === 'system') return 'system';
  return text.includes(BEGIN) ? { pem: text } : { file: text };
}

function certificate(value: unknown, name: string): Authority {
  if (typeof value === 'string') return { pem: value };
  const bytes = Buffer.from(bytesOf(value) as Uint8Array);
  if (bytes.length === 0) throw wrong(name, 'PEM text or DER', 'nothing');
  // Node.js reads PEM files as bytes.
  return bytes.includes(BEGIN) ? { pem: bytes.toString('latin1') } : { der: bytes.toString('base64') };
}

function material(value: unknown, name: string, other: string): Material {
  refuseBytes(value, name, other);
  const text = string(value, name);
  return text.includes(BEGIN) ? { pem: text } : { file: text };
}

/** Node.js takes a Buffer for most of these. */
function refuseBytes(value: unknown, name: string, other: string): void {
  if (!ArrayBuffer.isView(value) && !isAnyArrayBuffer(value)) return;
  throw apart(`${name} is a path or PEM text; bytes go to ${other}`);
}

function pemOf(value: unknown, name: string, other: string): string {
  const bytes = typeof value === 'string' ? null : bytesOf(value);
  if (typeof value !== 'string' && bytes === null) throw wrong(name, 'PEM text', value);
  const text = typeof value === 'string' ? value : Buffer.from(bytes as Uint8Array).toString('latin1');
  if (!text.includes(BEGIN)) throw apart(`${name} is PEM text, which has a line "${BEGIN} …"; a path goes to ${other}`);
  return text;
}

function version(value: unknown, name: string): TLSVersion {
  if (value === 'TLSv1.2' || value === 'TLSv1.3') return value;
  if (typeof value === 'string' && /^(SSLv?[23]|TLSv?1([._][01])?)$/i.test(value)) {
    throw apart(`${name} is '${value}', which is not spoken any more (RFC 8996): 'TLSv1.2' and 'TLSv1.3' are`);
  }
  throw unknown(name, "'TLSv1.2' or 'TLSv1.3'", value);
}

function suite(value: unknown, name: string): string {
  const given = value as string;
  // IANA's names of the suites of TLS 1.3 say nothing of the version.
  const wanted = SUITES_13.has(given) ? given.replace(/^TLS_/, 'TLS13_') : given;
  if (SUITES.includes(wanted)) return wanted;
  if (/[:!+@]/.test(given) || /^[A-Z0-9]+(-[A-Z0-9]+)+$/.test(given)) {
    throw apart(
      `${name} has names of rustls (${SUITES.join(', ')}) and none of OpenSSL's, as '${shortened(given)}' is`,
    );
  }
  throw unknown(name, `an array of ${SUITES.join(', ')}`, value);
}

/** What was given is a word at most, and nobody's secret. */
function unknown(name: string, wanted: string, given: unknown): Error {
  return typeof given === 'string'
    ? apart(`${name} is ${wanted}, not '${shortened(given)}'`)
    : wrong(name, wanted, given);
}

function shortened(word: string): string {
  return word.length > LONGEST_SHOWN ? `${word.slice(0, LONGEST_SHOWN)}…` : word;
}

function defined<T extends object>(record: T): { [K in keyof T]: T[K] } {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as T;
}

/** A file's path is none, but a key may have been given in its place. */
function isSecret(name: string, value: unknown): boolean {
  const isPem = (name === 'certFile' || name === 'keyFile') && String(value).includes(BEGIN);
  return SECRET.has(name) || isPem;
}

/** Certificates of authorities are public. */
function plain(value: unknown): unknown {
  const bytes = typeof value === 'string' ? null : bytesOf(value);
  if (bytes === null) return value;
  const buffer = Buffer.from(bytes);
  if (buffer.includes(BEGIN)) return buffer.toString('latin1');
  const lines = buffer.toString('base64').match(/.{1,64}/g) ?? [];
  return [`${BEGIN} CERTIFICATE-----`, ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

/** How PEM is told from a path. (RFC 7468, section 2) */
const BEGIN = '-----BEGIN';
const CERT_REQS: Readonly<Record<string, 'required' | 'none'>> = {
  required: 'required',
  optional: 'required',
  none: 'none',
  CERT_REQUIRED: 'required',
  CERT_OPTIONAL: 'required',
  CERT_NONE: 'none',
  REQUIRED: 'required',
  OPTIONAL: 'required',
  NONE: 'none',
};
const SECRET: ReadonlySet<string> = new Set(['cert', 'key', 'keyPassword']);
/** rustls' names of the suites that its provider has. */
const SUITES: readonly string[] = [
  'TLS13_AES_256_GCM_SHA384',
  'TLS13_AES_128_GCM_SHA256',
  'TLS13_CHACHA20_POLY1305_SHA256',
  'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
  'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
  'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
  'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256',
];
const SUITES_13: ReadonlySet<string> = new Set(SUITES.slice(0, 3).map((name) => name.replace('TLS13_', 'TLS_')));
/** Characters of a wrong word that a message repeats. */
const LONGEST_SHOWN = 64;

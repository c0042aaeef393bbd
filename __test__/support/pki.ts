/**
 * Certificates made while the tests run, of every kind, with nothing but Node: right ones, and those that no authority
 * would make. Keys of RSA are made once a process, as they take long.
 */
import {
  createHash,
  generateKeyPairSync,
  randomBytes,
  sign,
  type KeyObject,
  type KeyPairKeyObjectResult,
} from 'node:crypto';
import net from 'node:net';

import * as der from './der.ts';

/** What a key is made for. RSA below 2,048 bits is too short on purpose. */
export type KeyKind = 'ec' | 'ec384' | 'ed25519' | 'rsa' | 'rsa1024' | 'rsa3072';

/** What a certificate is to say. */
export interface Wanted {
  /** The common name; without one the subject is empty. */
  readonly name?: string;
  /** Of the subject alternative name: `dns:a.test`, `ip:127.0.0.1`, `ip:::1`, `uri:…`, `email:…`. Latin-1, unchecked. */
  readonly san?: readonly string[];
  /** Default an hour ago. */
  readonly from?: Date;
  /** Default in a day. */
  readonly to?: Date;
  /** May issue others: without bound, or with at most so many intermediates below it. Default: no basic constraints. */
  readonly ca?: boolean | { readonly pathLength: number };
  /** Of the extended key usage. Default none: any purpose. */
  readonly purposes?: readonly (keyof typeof PURPOSES)[];
  /** Subtrees: `dns:a.test`, `ip:10.0.0.0/255.0.0.0`. */
  readonly permitted?: readonly string[];
  readonly excluded?: readonly string[];
  /** Default `ec`: P-256. */
  readonly key?: KeyKind | KeyPairKeyObjectResult;
  /** That its issuer signs with; an Ed25519 issuer has its own. Default sha256. */
  readonly hash?: 'sha1' | 'sha256' | 'sha384' | 'sha512';
  /** Bytes of more extensions. */
  readonly extensions?: readonly Uint8Array[];
  /** The signature's last bit is flipped. */
  readonly forged?: boolean;
}

/** A certificate with its key, and who issued it. */
export class Certificate {
  readonly der: Buffer;
  readonly pair: KeyPairKeyObjectResult;
  /** Itself where it signed itself. */
  readonly issuer: Certificate;
  readonly #name: Buffer;
  #issued: number = 0;

  /** @internal Use {@link root}, {@link selfSigned} or {@link Certificate.issue}. */
  constructor(wanted: Wanted, issuer: Certificate | null) {
    this.issuer = issuer ?? this;
    this.pair = pairOf(wanted.key ?? 'ec', issuer?.pair ?? null);
    this.#name = nameOf(wanted.name);
    const by = issuer?.pair ?? this.pair;
    const algorithm = algorithmOf(by.privateKey, wanted.hash ?? 'sha256');
    const key = this.pair.publicKey.export({ type: 'spki', format: 'der' });
    const to = der.sequence(
      der.tagged(0, der.integer(2)),
      der.integer(Buffer.concat([Buffer.from([0x40]), randomBytes(15)])),
      algorithm,
      this.issuer.#name,
      der.sequence(der.time(wanted.from ?? ago(HOUR)), der.time(wanted.to ?? ago(-DAY))),
      this.#name,
      key,
      der.tagged(3, der.sequence(...extensionsOf(wanted, this.pair, by))),
    );
    const hash = by.privateKey.asymmetricKeyType === 'ed25519' ? null : (wanted.hash ?? 'sha256');
    const signature = sign(hash, to, by.privateKey);
    if (wanted.forged === true) signature[signature.length - 1] = (signature.at(-1) ?? 0) ^ 1;
    this.der = der.sequence(to, algorithm, der.bits(signature));
  }

  get pem(): string {
    return pem('CERTIFICATE', this.der);
  }

  /** Its key, PKCS #8. */
  get keyPem(): string {
    return this.pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  }

  /** Its key behind a password: PKCS #8, or (`legacy`) what OpenSSL wrote before: a PEM with `Proc-Type`. */
  encryptedKey(passphrase: string, legacy: boolean = false): string {
    const type = legacy ? (this.pair.privateKey.asymmetricKeyType === 'rsa' ? 'pkcs1' : 'sec1') : 'pkcs8';
    return this.pair.privateKey.export({ type, format: 'pem', cipher: 'aes-256-cbc', passphrase } as never) as string;
  }

  /** It and those above it, without the one that signed itself: what a server sends. */
  get chain(): string {
    return this === this.issuer
      ? this.pem
      : this.issuer === this.issuer.issuer
        ? this.pem
        : this.pem + this.issuer.chain;
  }

  /** What a server of Node, or a client, takes. */
  get identity(): { cert: string; key: string } {
    return { cert: this.chain, key: this.keyPem };
  }

  /** Hexadecimal, of the DER. */
  fingerprint(hash: string): string {
    return createHash(hash).update(this.der).digest('hex');
  }

  /** Issues one; nothing is checked. */
  issue(wanted: Wanted): Certificate {
    this.#issued += 1;
    return new Certificate(wanted, this);
  }

  /** One that may issue others, with a name of its own. */
  intermediate(wanted: Wanted = {}): Certificate {
    return this.issue({ name: `intermediate ${this.#issued + 1}`, ca: true, ...wanted });
  }
}

/** An authority that signed itself. */
export function root(wanted: Wanted = {}): Certificate {
  return new Certificate({ name: `root ${randomBytes(4).toString('hex')}`, ca: true, ...wanted }, null);
}

/** A certificate of nobody but itself. */
export function selfSigned(wanted: Wanted): Certificate {
  return new Certificate(wanted, null);
}

/** PEM of these bytes. */
export function pem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** An extension by its object identifier. */
export function extension(id: string, critical: boolean, value: Uint8Array): Buffer {
  return der.sequence(der.oid(id), ...(critical ? [der.bool(true)] : []), der.octets(value));
}

/** So long before now; negative: after. */
export function ago(milliseconds: number): Date {
  return new Date(Date.now() - milliseconds);
}

/** What most tests need: an authority, its certificate for this machine, and an authority that nobody should trust. */
export interface Usual {
  readonly ca: Certificate;
  /** For `localhost`, 127.0.0.1 and ::1. */
  readonly leaf: Certificate;
  readonly stranger: Certificate;
}

let made: Usual | null = null;

/** That; the same all through a process. */
export function usual(): Usual {
  if (made === null) {
    const ca = root();
    made = { ca, leaf: ca.issue({ name: 'leaf', san: LOCAL }), stranger: root() };
  }
  return made;
}

/** This machine. */
export const LOCAL: readonly string[] = ['dns:localhost', 'ip:127.0.0.1', 'ip:::1'];
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;

const PURPOSES = {
  server: '1.3.6.1.5.5.7.3.1',
  client: '1.3.6.1.5.5.7.3.2',
  code: '1.3.6.1.5.5.7.3.3',
  email: '1.3.6.1.5.5.7.3.4',
} as const;

const OF_RSA = { sha1: '5', sha256: '11', sha384: '12', sha512: '13' } as const;
const OF_EC = { sha1: '1', sha256: '3.2', sha384: '3.3', sha512: '3.4' } as const;

function algorithmOf(key: KeyObject, hash: keyof typeof OF_RSA): Buffer {
  if (key.asymmetricKeyType === 'ed25519') return der.sequence(der.oid('1.3.101.112'));
  if (key.asymmetricKeyType === 'rsa') return der.sequence(der.oid(`1.2.840.113549.1.1.${OF_RSA[hash]}`), der.NULL);
  return der.sequence(der.oid(`1.2.840.10045.4.${OF_EC[hash]}`));
}

const lengthy = new Map<string, KeyPairKeyObjectResult[]>();

/** A pair of this kind; of RSA one that was there before, if not this one. */
function pairOf(kind: KeyKind | KeyPairKeyObjectResult, not: KeyPairKeyObjectResult | null): KeyPairKeyObjectResult {
  if (typeof kind !== 'string') return kind;
  if (kind === 'ed25519') return generateKeyPairSync('ed25519');
  if (kind === 'ec') return generateKeyPairSync('ec', { namedCurve: 'P-256' });
  if (kind === 'ec384') return generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const known = lengthy.get(kind) ?? [];
  lengthy.set(kind, known);
  let pair = known.find((one) => one !== not);
  if (pair === undefined) {
    pair = generateKeyPairSync('rsa', { modulusLength: Number(kind.slice(3) || 2048) });
    known.push(pair);
  }
  return pair;
}

function nameOf(name: string | undefined): Buffer {
  if (name === undefined) return der.sequence();
  return der.sequence(der.set(der.sequence(der.oid('2.5.4.3'), der.utf8(name))));
}

function extensionsOf(wanted: Wanted, own: KeyPairKeyObjectResult, by: KeyPairKeyObjectResult): Buffer[] {
  const { ca = null, san = [], purposes = [], permitted = [], excluded = [] } = wanted;
  const all = [extension('2.5.29.14', false, der.octets(idOf(own)))];
  all.push(extension('2.5.29.35', false, der.sequence(der.implicit(0, idOf(by)))));
  if (ca !== null) {
    const depth = typeof ca === 'object' ? [der.integer(ca.pathLength)] : [];
    all.push(extension('2.5.29.19', true, ca === false ? der.sequence() : der.sequence(der.bool(true), ...depth)));
    // digitalSignature, keyCertSign, cRLSign.
    if (ca !== false) all.push(extension('2.5.29.15', true, der.bits(Buffer.from([0x86]), 1)));
  }
  if (san.length > 0)
    all.push(extension('2.5.29.17', wanted.name === undefined, der.sequence(...san.map(generalName))));
  if (purposes.length > 0) {
    all.push(extension('2.5.29.37', false, der.sequence(...purposes.map((one) => der.oid(PURPOSES[one])))));
  }
  if (permitted.length + excluded.length > 0) {
    const trees = [permitted, excluded].flatMap((names, at) =>
      names.length === 0 ? [] : [der.tagged(at, ...names.map((one) => der.sequence(generalName(one))))],
    );
    all.push(extension('2.5.29.30', true, der.sequence(...trees)));
  }
  return [...all, ...(wanted.extensions ?? []).map((one) => Buffer.from(one))];
}

function idOf({ publicKey }: KeyPairKeyObjectResult): Buffer {
  return createHash('sha1')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest();
}

function generalName(given: string): Buffer {
  const colon = given.indexOf(':');
  const [kind, value] = [given.slice(0, colon), given.slice(colon + 1)];
  const text = Buffer.from(value, 'latin1');
  switch (kind) {
    case 'email':
      return der.implicit(1, text);
    case 'dns':
      return der.implicit(2, text);
    case 'uri':
      return der.implicit(6, text);
    case 'ip':
      return der.implicit(7, Buffer.concat(value.split('/').map(addressOctets)));
    default:
      throw new TypeError(`no kind of name: ${kind}`);
  }
}

/** 4 or 16. */
function addressOctets(address: string): Buffer {
  if (net.isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (!net.isIPv6(address)) throw new TypeError(`no address: ${address}`);
  const [head = '', tail] = address.split('::');
  const groups = (part: string): number[] => (part === '' ? [] : part.split(':').map((group) => parseInt(group, 16)));
  const [first, last] = [groups(head), groups(tail ?? '')];
  const all = [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

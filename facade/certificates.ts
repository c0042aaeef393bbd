/** Certificates as a peer sent them. They cross as DER; the core reads one when somebody looks at it. */
import { argumentError, describe } from './arguments.ts';
import { addon, guarded } from './boundary/load.ts';
import { bytesOf } from './bytes.ts';
import { CODE } from './checks.ts';
import { SSLError } from './errors.ts';

/** A certificate as the peer sent it. One that cannot be read has empty texts and invalid dates, and its bytes all the same. */
export interface CertificateInfo {
  /** Whose it is, as in RFC 4514: `CN=example.com,O=Example`. */
  readonly subject: string;
  /** Who signed it, as in RFC 4514. */
  readonly issuer: string;
  /** Not valid before. */
  readonly validFrom: Date;
  /** Not valid after. */
  readonly validTo: Date;
  /** The names it is for, as Node.js has them: `DNS:example.com`, `IP Address:127.0.0.1`. */
  readonly subjectAltName: readonly string[];
  /** The hash of its DER as Node.js writes it, `8A:5D:26:…`: an `assertFingerprint`. */
  readonly sha256: string;
  /** Its DER. Not enumerable. */
  readonly raw: Buffer;
}

/**
 * Throws unless a certificate (its DER) has this fingerprint: MD5, SHA-1 or SHA-256 in hexadecimal by its length, colons and either
 * case allowed. urllib3's `assert_fingerprint`; for a pool there is the option of this name.
 *
 * @throws SSLError ERR_TLS (`reason` ERR_FINGERPRINT) if it has not, for what is no fingerprint, and without a certificate;
 * TypeError ERR_INVALID_OPTION.
 * @example
 * const pool = new HTTPSConnectionPool('localhost', { port: 8443, caCerts: 'ca.pem' });
 * const response = await pool.request('GET', '/');
 * const [leaf] = response.connection?.tls?.chain ?? [];
 * if (leaf !== undefined) assertFingerprint(leaf.raw, leaf.sha256);
 */
export function assertFingerprint(certificate: Uint8Array | null | undefined, fingerprint: string): void {
  if (typeof fingerprint !== 'string') {
    throw argumentError('type', CODE, `a fingerprint is a string, not ${describe(fingerprint)}`);
  }
  if (certificate === null || certificate === undefined) throw unequal('No certificate for the peer.');
  const der = bytesOf(certificate);
  if (der === null) throw argumentError('type', CODE, `a certificate is its DER, not ${describe(certificate)}`);
  const wrong = guarded(() => addon.assertFingerprint(der, fingerprint));
  if (wrong !== null) throw unequal(wrong);
}

function unequal(message: string): SSLError {
  return new SSLError(message, { reason: 'ERR_FINGERPRINT' });
}

/** Gives an object the property `chain`, whose certificates are read when it is first touched. @internal */
export function withChain<T extends object>(
  target: T,
  chain: readonly string[],
  enumerable: boolean,
): T & { readonly chain: readonly CertificateInfo[] } {
  let read: readonly CertificateInfo[] | null = null;
  const get = (): readonly CertificateInfo[] => (read ??= chain.map(described));
  return Object.defineProperty(target, 'chain', { get, enumerable, configurable: true }) as never;
}

function described(base64: string): CertificateInfo {
  const raw = Buffer.from(base64, 'base64');
  const told = JSON.parse(guarded(() => addon.describeCertificate(raw))) as Described | null;
  const info: Omit<CertificateInfo, 'raw'> = {
    subject: told?.subject ?? '',
    issuer: told?.issuer ?? '',
    validFrom: new Date(told?.validFrom ?? Number.NaN),
    validTo: new Date(told?.validTo ?? Number.NaN),
    subjectAltName: told?.subjectAltName ?? [],
    sha256: told?.sha256 ?? '',
  };
  // For whoever asks: a log or a JSON of a connection has no use for the bytes.
  return Object.defineProperty(info as CertificateInfo, 'raw', { value: raw, enumerable: false });
}

/** A certificate as the core describes it; dates in milliseconds. */
interface Described {
  subject: string;
  issuer: string;
  validFrom: number;
  validTo: number;
  subjectAltName: string[];
  sha256: string;
}

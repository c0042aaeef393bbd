/** Certificates as a peer sent them. They cross as DER; the core reads one when somebody looks at it. */
import { addon, guarded } from './boundary/load.ts';

/** A certificate. What cannot be read has empty texts and invalid dates, and its bytes all the same. */
export interface CertificateInfo {
  /** As in RFC 4514, `CN=example.com,O=Example`. */
  readonly subject: string;
  readonly issuer: string;
  readonly validFrom: Date;
  readonly validTo: Date;
  /** As Node.js has them: `DNS:example.com`, `IP Address:127.0.0.1`. */
  readonly subjectAltName: readonly string[];
  /** The hash of its DER, in lower-case hexadecimal: an `assertFingerprint`. */
  readonly sha256: string;
  /** Its DER. */
  readonly raw: Buffer;
}

/** Gives an object the property `chain`, whose certificates are read when it is first touched. @internal */
export function withChain<T extends object>(
  target: T,
  chain: readonly string[],
  enumerable: boolean,
): T & { readonly chain: readonly CertificateInfo[] } {
  let read: readonly CertificateInfo[] | null = null;
  const get = (): readonly CertificateInfo[] => (read ??= chain.map(certificate));
  return Object.defineProperty(target, 'chain', { get, enumerable, configurable: true }) as never;
}

function certificate(base64: string): CertificateInfo {
  const raw = Buffer.from(base64, 'base64');
  const told = JSON.parse(guarded(() => addon.describeCertificate(raw))) as Described | null;
  return {
    subject: told?.subject ?? '',
    issuer: told?.issuer ?? '',
    validFrom: new Date(told?.validFrom ?? Number.NaN),
    validTo: new Date(told?.validTo ?? Number.NaN),
    subjectAltName: told?.subjectAltName ?? [],
    sha256: told?.sha256 ?? '',
    raw,
  };
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

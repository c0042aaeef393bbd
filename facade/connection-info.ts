/** What a response tells of the connection that it came on. */
import type { ConnectionFacts } from './boundary/engine.ts';
import { withChain, type CertificateInfo } from './certificates.ts';

/** The connection that a response came on. Stays readable after the connection has gone. */
export interface ConnectionInfo {
  /** The connection's number, unique in its thread. */
  readonly id: number;
  /** The peer's address, or the path of its Unix socket. */
  readonly remoteAddress: string;
  /** The peer's port; 0 of a Unix socket. */
  readonly remotePort: number;
  /** Our own address; empty for a Unix socket. */
  readonly localAddress: string;
  /** Our own port; 0 of a Unix socket. */
  readonly localPort: number;
  /** Whether it had carried an exchange before. */
  readonly reused: boolean;
  /** What was spoken on it. */
  readonly protocol: 'http/1.1' | 'http/1.0' | 'h2';
  /** The proxy that it leads through, without credentials: `http://localhost:3128`. `null` without one. */
  readonly proxy: string | null;
  /** Each address that was tried, in order, the last one successfully. */
  readonly triedAddresses: readonly TriedAddress[];
  /** `null` over plain http. */
  readonly tls: TLSInfo | null;
}

/** An address that was tried when a connection was made. */
export interface TriedAddress {
  /** `address:port`, or the path of a Unix socket. */
  readonly address: string;
  /** What the system said; `null` of the one that took the connection. */
  readonly error: string | null;
  /** Milliseconds that trying it took. */
  readonly elapsed: number;
}

/** What a TLS handshake agreed on, and whom it met. */
export interface TLSInfo {
  /** `'TLSv1.3'` or `'TLSv1.2'`. */
  readonly version: string;
  /** The cipher suite's name. */
  readonly cipher: string;
  /** Whether a session was resumed, in place of a full handshake. */
  readonly resumed: boolean;
  /** Whether the peer was verified: its chain was checked, or its fingerprint. */
  readonly verified: boolean;
  /** The name that was sent (SNI); `null` where none was, as for addresses. */
  readonly serverName: string | null;
  /** The peer's certificates as it sent them, its own first. */
  readonly chain: readonly CertificateInfo[];
}

/** Of a connection's facts, which are JSON, and of what only its response knows. @internal */
export function connectionInfo(json: string, reused: boolean, version: 10 | 11 | 20): ConnectionInfo {
  const { pool: _, proxy, tls, protocol, ...facts } = JSON.parse(json) as ConnectionFacts;
  return {
    ...facts,
    reused,
    protocol: version === 10 ? 'http/1.0' : protocol,
    proxy: proxy?.url ?? null,
    tls: tls === null ? null : told(tls),
  };
}

function told({ chain, ...rest }: NonNullable<ConnectionFacts['tls']>): TLSInfo {
  return withChain(rest, chain, true);
}

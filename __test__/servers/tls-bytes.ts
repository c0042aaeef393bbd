/** Records of TLS, written by hand: for servers that say what no library would (RFC 8446 §5.1, RFC 5246 §6.2.1). */

/** What a record holds. */
export const TYPE = { changeCipherSpec: 20, alert: 21, handshake: 22, data: 23 } as const;

/** Versions, as records and hellos name them. */
export const VERSION = { ssl3: 0x0300, tls10: 0x0301, tls11: 0x0302, tls12: 0x0303 } as const;

/** Alerts (RFC 8446 §6). */
export const ALERT = {
  closeNotify: 0,
  unexpectedMessage: 10,
  handshakeFailure: 40,
  badCertificate: 42,
  unknownCa: 48,
  accessDenied: 49,
  protocolVersion: 70,
  internalError: 80,
  userCanceled: 90,
  unrecognizedName: 112,
  certificateRequired: 116,
  noApplicationProtocol: 120,
} as const;

/** A record. */
export function record(type: number, payload: Uint8Array, version: number = VERSION.tls12): Buffer {
  const head = Buffer.from([type, version >> 8, version & 0xff, payload.length >> 8, payload.length & 0xff]);
  return Buffer.concat([head, payload]);
}

/** An alert in a record of its own; fatal unless it is a warning. */
export function alert(description: number, warning: boolean = false, version: number = VERSION.tls12): Buffer {
  return record(TYPE.alert, Buffer.from([warning ? 1 : 2, description]), version);
}

/** A handshake message. */
export function handshake(type: number, body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([type, body.length >> 16, (body.length >> 8) & 0xff, body.length & 0xff]), body]);
}

/** A ServerHello of an old version, which every library of that time would have sent: AES-128 over RSA, no extensions. */
export function serverHello(version: number): Buffer {
  const body = Buffer.concat([
    Buffer.from([version >> 8, version & 0xff]),
    Buffer.alloc(32, 7),
    // No session; TLS_RSA_WITH_AES_128_CBC_SHA; no compression.
    Buffer.from([0, 0x00, 0x2f, 0]),
  ]);
  return record(TYPE.handshake, handshake(2, body), version);
}

/** A ServerHello of TLS 1.2, for ECDSA and AES-128-GCM, with these extensions by number. */
export function serverHello12(extensions: readonly (readonly [number: number, value: Uint8Array])[] = []): Buffer {
  const listed = extensions.map(([number, value]) => Buffer.concat([two(number), two(value.length), value]));
  const length = listed.reduce((all, one) => all + one.length, 0);
  // No session; TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256; no compression.
  const fixed = Buffer.from([0, 0xc0, 0x2b, 0]);
  const body = Buffer.concat([two(VERSION.tls12), Buffer.alloc(32, 7), fixed, two(length), ...listed]);
  return record(TYPE.handshake, handshake(2, body));
}

/** The extension with which a server chooses a protocol. */
export function chosenProtocol(name: string): [number: number, value: Buffer] {
  return [16, Buffer.concat([two(name.length + 1), Buffer.from([name.length]), Buffer.from(name)])];
}

/** The rest of a server's part of a TLS 1.2 handshake: these certificates, a key nobody has signed, and the end. */
export function serverFlight12(certificates: readonly Uint8Array[]): Buffer {
  const list = certificates.map((one) => Buffer.concat([three(one.length), one]));
  const certificate = handshake(11, Buffer.concat([three(list.reduce((all, one) => all + one.length, 0)), ...list]));
  // X25519, and a signature by ECDSA with SHA-256 of four bytes.
  const exchange = Buffer.concat([
    Buffer.from('03001d20', 'hex'),
    Buffer.alloc(32, 9),
    Buffer.from('0403000400000000', 'hex'),
  ]);
  return record(TYPE.handshake, Buffer.concat([certificate, handshake(12, exchange), handshake(14, Buffer.alloc(0))]));
}

function two(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

function three(value: number): Buffer {
  return Buffer.from([value >> 16, (value >> 8) & 0xff, value & 0xff]);
}

/** HelloRequest: a server that would like to begin again. */
export const HELLO_REQUEST = record(TYPE.handshake, handshake(0, Buffer.alloc(0)));

/** What a record of a capture is: its type and length; the rest of the capture that is no whole record is left out. */
export function recordsOf(bytes: Uint8Array): { type: number; length: number }[] {
  const found: { type: number; length: number }[] = [];
  for (let at = 0; at + 5 <= bytes.length;) {
    const length = ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0);
    found.push({ type: bytes[at] ?? 0, length });
    at += 5 + length;
  }
  return found;
}

/** What a ClientHello offers. */
export interface Hello {
  /** Extension numbers, in order. */
  readonly extensions: readonly number[];
  readonly servername: string | null;
  readonly alpn: readonly string[];
  /** Numbers of cipher suites. */
  readonly ciphers: readonly number[];
  /** Bytes of compression methods. */
  readonly compression: readonly number[];
  /** Of supported_versions. */
  readonly versions: readonly number[];
}

/** Reads the first record that a client sent. */
export function helloOf(bytes: Buffer): Hello {
  if (bytes[0] !== TYPE.handshake || bytes[5] !== 1) throw new Error('no ClientHello');
  let at = 5 + 4 + 2 + 32;
  at += 1 + bytes.readUInt8(at);
  const suites = bytes.readUInt16BE(at);
  const ciphers = Array.from({ length: suites / 2 }, (_, nth) => bytes.readUInt16BE(at + 2 + nth * 2));
  at += 2 + suites;
  const compression = [...bytes.subarray(at + 1, at + 1 + bytes.readUInt8(at))];
  at += 1 + compression.length;
  const end = at + 2 + bytes.readUInt16BE(at);
  const extensions = new Map<number, Buffer>();
  for (at += 2; at < end;) {
    const length = bytes.readUInt16BE(at + 2);
    extensions.set(bytes.readUInt16BE(at), bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  const alpn: string[] = [];
  const offered = extensions.get(16)?.subarray(2) ?? Buffer.alloc(0);
  for (let at = 0; at < offered.length; at += 1 + (offered[at] ?? 0)) {
    alpn.push(offered.toString('latin1', at + 1, at + 1 + (offered[at] ?? 0)));
  }
  const named = extensions.get(0);
  const versions = extensions.get(43)?.subarray(1) ?? Buffer.alloc(0);
  return {
    extensions: [...extensions.keys()],
    servername: named === undefined ? null : named.toString('latin1', 5),
    alpn,
    ciphers,
    compression,
    versions: Array.from({ length: versions.length / 2 }, (_, nth) => versions.readUInt16BE(nth * 2)),
  };
}

/** How long each phase of the last attempt took, in milliseconds; `null`: it did not happen. `total` is the whole call. */
export interface Timings {
  /** Waiting for a connection. */
  readonly pool: number | null;
  /** Resolving the name. */
  readonly dns: number | null;
  /** Connecting. */
  readonly connect: number | null;
  /** What a proxy took: TLS with it, CONNECT, SOCKS. */
  readonly proxy: number | null;
  /** The TLS handshake. */
  readonly tls: number | null;
  /** Until the kernel had the whole request. */
  readonly send: number | null;
  /** From there to the response's head. */
  readonly headers: number | null;
  /**
   * From the end of the core's work (of a body in pieces: from the head) to JavaScript: how long a busy thread let it lie. No
   * part of `total`, and never `null`.
   */
  readonly deliver: number;
  /** From the head to the end of the body. */
  readonly body: number | null;
  /** The whole call, earlier attempts and hops included, to the end of the body; without `deliver`. */
  readonly total: number | null;
}

/** A span that the core has written; NaN is one that did not happen. @internal */
export function measured(milliseconds: number | undefined): number | null {
  return milliseconds === undefined || Number.isNaN(milliseconds) ? null : milliseconds;
}

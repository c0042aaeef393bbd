/** What came of a request, or of many, as JSON: docs/cli.md says what each member means. Pure. */
import type { CertificateInfo, ConnectionInfo } from 'ferropool';
import { daysLeft, isReference, withoutSecrets, withoutUser, type Answer, type Result } from './answer.ts';
import type { Load } from './load.ts';
import { before } from './waterfall.ts';

/** The form of these documents; a member that changes its meaning raises it, one that is new does not. */
const SCHEMA = 1;

/** How much is told: `verbose` hides nothing but users and passwords of URLs. */
export interface Told {
  readonly verbose: boolean;
  readonly now: number;
}

/** The document of one request. */
export function requestDocument({ index, method, url, answer, error, elapsed }: Result, told: Told): object {
  return {
    type: 'request',
    schema: SCHEMA,
    index,
    method,
    url: urlOf(url, told),
    ok: error === null,
    elapsed: exact(elapsed),
    response: answer === null ? null : responseOf(answer, told),
    error: error === null ? null : errorOf(error),
  };
}

/** The document of a load. */
export function loadDocument(
  { index, method, url, elapsed, perSecond, latency, examples, ...load }: Load,
  told: Told,
): object {
  return {
    type: 'load',
    schema: SCHEMA,
    index,
    method,
    url: urlOf(url, told),
    ok: load.failed === 0 && !load.interrupted,
    elapsed: exact(elapsed),
    perSecond: exact(perSecond),
    ...load,
    latency: Object.fromEntries(Object.entries(latency).map(([phase, one]) => [phase, spans({ ...one })])),
    examples: examples.map(errorOf),
  };
}

function spans(figures: Readonly<Record<string, number | null>>): object {
  return Object.fromEntries(
    Object.entries(figures).map(([name, figure]) => [name, figure === null ? null : exact(figure)]),
  );
}

/** To the microsecond: what is behind it is noise. */
function exact(milliseconds: number): number {
  return Math.round(milliseconds * 1_000) / 1_000;
}

function responseOf(answer: Answer, told: Told): object {
  const { status, reason, version, url, headers, trailers, defects, timings, attempts, history, body } = answer;
  const earlier = history.length > 0 || attempts > 1;
  return {
    status,
    reason,
    version,
    url: urlOf(url, told),
    headers: fields(headers, told),
    trailers: fields(trailers, told),
    defects,
    body,
    timings: spans({ before: before(timings, earlier), ...timings }),
    connection: connectionOf(answer.connection, told),
    attempts,
    history: history.map((event) => ({
      method: event.method,
      url: urlOf(event.url, told),
      status: event.status,
      redirectLocation: event.redirectLocation === null ? null : urlOf(event.redirectLocation, told),
      error: event.error === null ? null : errorOf(event.error),
    })),
  };
}

function connectionOf(connection: ConnectionInfo | null, { now }: Told): object | null {
  if (connection === null) return null;
  const { tls, triedAddresses, ...rest } = connection;
  const tried = triedAddresses.map((one) => ({ ...one, elapsed: exact(one.elapsed) }));
  return {
    ...rest,
    triedAddresses: tried,
    tls: tls === null ? null : { ...tls, chain: tls.chain.map((one) => certificateOf(one, now)) },
  };
}

function certificateOf(certificate: CertificateInfo, now: number): object {
  return { ...certificate, daysLeft: daysLeft(certificate.validTo, now) };
}

/** A string for one line under a name, an array for several. */
function fields(lines: Answer['headers'], { verbose }: Told): Record<string, string | string[]> {
  const told = Object.create(null) as Record<string, string | string[]>;
  for (const [name, value] of lines) {
    const shown = hidden(name, value, verbose);
    const there = told[name];
    told[name] = there === undefined ? shown : [there, shown].flat();
  }
  return told;
}

/** Cookies are secrets, and so is what a URL asks; a user and a password are secrets always. */
function hidden(name: string, value: string, verbose: boolean): string {
  if (isReference(name)) return verbose ? withoutUser(value) : withoutSecrets(value);
  return name === 'set-cookie' && !verbose ? '<hidden>' : value;
}

function urlOf(url: string, { verbose }: Told): string {
  return verbose ? withoutUser(url) : withoutSecrets(url);
}

function errorOf(error: unknown): object {
  const own = error as { toJSON?: () => object; name?: string; code?: string; message?: string };
  if (typeof own.toJSON === 'function') return rounded(own.toJSON()) as object;
  return { name: own.name ?? 'Error', code: own.code ?? null, message: own.message ?? String(error), cause: null };
}

/** Plain data, its spans to the microsecond, those of causes too. */
function rounded(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]: [string, unknown]) => [
      name,
      name === 'elapsed' && typeof member === 'number' ? exact(member) : rounded(member),
    ]),
  );
}

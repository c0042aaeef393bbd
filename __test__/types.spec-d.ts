/**
 * What a program may write, held against the types alone: the compiler is the test (`npm run lint`), nothing here runs.
 */
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import {
  configure,
  encodeMultipartFormdata,
  HTTPResponse,
  RequestField,
  Retry,
  type FormFields,
  type Head,
  type HTTPConnectionPool,
  type Progress,
} from '../index.ts';

/** Every way of reading has the type that Node and the web give it. */
export async function reading(pool: HTTPConnectionPool, signal: AbortSignal): Promise<void> {
  const response = await pool.request('GET', '/', { preloadContent: false, signal });
  const web: ReadableStream<Uint8Array> = response.toWeb();
  const fetched: Response = new Response(web);
  const piece: Buffer = await response.read(10);
  const filled: number = await response.readInto(piece);
  await pipeline(response, process.stdout);
  await pipeline(response.toReadable(), process.stdout);
  for await (const line of response.lines()) line.toString();
  HTTPResponse.from(null, { status: filled }).raiseForStatus().json<{ a: 1 }>().a.toFixed();
  response.toResponse().headers.forEach((value) => fetched.headers.append('x', value));
  // @ts-expect-error -- an amount is a number of bytes
  await response.read('10');
}

/** Every kind of body, and an option that may be undefined. */
export async function sending(pool: HTTPConnectionPool, maybe: string | undefined): Promise<void> {
  const bodies = [
    createReadStream('x'),
    new ReadableStream<Uint8Array>(),
    Readable.toWeb(createReadStream('x')),
    (await fetch('http://localhost/')).body,
    new Uint8Array(3).buffer,
    new FormData(),
    new Blob(['x']),
    ['a', Buffer.from('b')],
    () => createReadStream('x'),
    async () => new Blob(['x']),
    await pool.request('GET', '/', { preloadContent: false }),
    maybe,
  ];
  for (const body of bodies) await pool.request('POST', '/', { body });
  // @ts-expect-error -- JSON has an option of its own
  await pool.request('POST', '/', { body: { a: 1 } });
  // @ts-expect-error -- a Promise has to be awaited
  await pool.request('POST', '/', { body: Promise.resolve('x') });
}

/** Every kind of form, and what listens. */
export async function forms(pool: HTTPConnectionPool, maybe: string | undefined): Promise<void> {
  const forms: FormFields[] = [
    { a: maybe, b: ['f', Buffer.from('x'), null], c: new File([], 'x'), d: 5 },
    new Map([['a', 'b']]),
    new URLSearchParams('a=b'),
    [['a', 'b'], new RequestField('x', 'y')],
  ];
  for (const fields of forms) {
    const [body, contentType] = encodeMultipartFormdata(fields, maybe);
    await pool.request('POST', '/', { body, headers: { 'content-type': contentType } });
    await pool.request('POST', '/', { fields, onProgress: ({ bytes, total }: Progress) => void [bytes, total] });
  }
  await pool.request('POST', '/', { accept: (head: Head) => head.headers['content-type'] === maybe });
  // @ts-expect-error -- accept answers at once
  await pool.request('POST', '/', { accept: async () => true });
  configure({ memoryBudget: 1 });
}

/** A policy: every kind of iterable, a subclass that keeps its class, and data that makes an equal one. */
export function retrying(pool: HTTPConnectionPool, maybe: number | undefined): void {
  class Patient extends Retry {
    readonly extra = 1;
    override isRetry(method: string, status: number, hasRetryAfter?: boolean): boolean {
      return status === 202 || super.isRetry(method, status, hasRetryAfter);
    }
  }
  const retry = new Patient({ total: maybe, allowedMethods: new Set(['POST']), statusForcelist: new Set([503]) });
  retry
    .with({ read: false })
    .increment('GET', '/', { error: new Error('x'), pool })
    .extra.toFixed();
  const location: string | null | undefined = new Retry(retry.toJSON()).history.at(-1)?.redirectLocation;
  Retry.fromInt(location === null ? false : 3, { redirect: false, default: retry })
    .getBackoffTime()
    .toFixed();
  // @ts-expect-error -- it never changes
  retry.total = 1;
  // @ts-expect-error -- a status is a number
  void new Retry({ statusForcelist: ['503'] });
}

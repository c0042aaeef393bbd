/**
 * Asks for a body with these options, reads it piece by piece if it is not preloaded (pieces discarded as they come), and
 * says what came of it, and how much memory that took at its height.
 */
import { HTTPConnectionPool, HTTPError, type RequestOptions } from '../../../index.ts';
import { levelled, MIB, peak } from './resident-peak.ts';

const [port, path = '/', options = '{}'] = process.argv.slice(2);
const pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port: Number(port) });
// What everything takes that a first request brings into memory is not the body's.
await pool.request('GET', '/small');
const before = levelled();
let length = 0;
async function read(): Promise<void> {
  const response = await pool.request('GET', path, JSON.parse(options) as RequestOptions);
  if (response.closed) length = response.data.length;
  else for await (const piece of response) length += piece.length;
}
const outcome = await read().then(
  () => ({}),
  (error: unknown) => {
    if (!(error instanceof HTTPError)) throw error;
    return error.toJSON();
  },
);
await pool.close();
console.log(JSON.stringify({ ...outcome, length, grown: (peak() - before) * MIB }));

/** Asks for a body with these options and says what came of it, and how much memory that took at its height. */
import { readFileSync } from 'node:fs';

import { HTTPConnectionPool, HTTPError, type RequestOptions } from '../../../index.ts';

/** The most that was ever resident, in bytes. */
function peak(): number {
  const kilobytes = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return Number(kilobytes) * 1024;
}

const [port, path = '/', options = '{}'] = process.argv.slice(2);
const pool = new HTTPConnectionPool('127.0.0.1', { port: Number(port) });
// What everything takes that a first request brings into memory is not the body's.
await pool.request('GET', '/small');
const before = peak();
const outcome = await pool.request('GET', path, JSON.parse(options) as RequestOptions).then(
  (response) => ({ length: response.data.length }),
  (error: unknown) => {
    if (!(error instanceof HTTPError)) throw error;
    return error.toJSON();
  },
);
await pool.close();
console.log(JSON.stringify({ ...outcome, grown: peak() - before }));

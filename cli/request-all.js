/** `npm start -- URL …`: one GET for each URL, one after the other, with its status, size, protocol and waterfall. */
import process from 'node:process';
import { milliseconds, waterfall } from './picture.js';

/** A person waits in front of this: nobody waits longer. */
const PATIENCE_MS = 30_000;
const WIDTH = 48;

/** Requests each URL; whether all of them answered. Any status is an answer. */
export async function requestAll(urls) {
  const { connectionFromUrl, parseUrl } = await import('ferropool');
  const plain = !process.stdout.isTTY;
  let answered = 0;
  for (const url of urls) {
    console.log(`\n${url}`);
    let pool = null;
    try {
      pool = connectionFromUrl(url);
      // What happened is shown, not what came of it in the end: nothing is followed, and nothing tried again.
      const options = { timeout: PATIENCE_MS, redirect: false, retries: false };
      const response = await pool.request('GET', parseUrl(url).requestUri, options);
      for (const line of described(response, plain)) console.log(`  ${line}`);
      answered += 1;
    } catch (error) {
      for (const line of complained(error)) console.log(`  ${line}`);
    } finally {
      await pool?.close();
    }
  }
  return answered === urls.length;
}

function described(response, plain) {
  const { status, reason, data, connection, timings } = response;
  const lines = [`${status} ${reason ?? ''}  ${data.length.toLocaleString('en')} bytes  ${connection.protocol}`];
  const location = response.getRedirectLocation();
  if (location) lines.push(`leads to ${location}`);
  if (connection.tls) lines.push(`${connection.tls.version} ${connection.tls.cipher}`);
  return [...lines, ...waterfall(timings, WIDTH, plain)];
}

function complained(error) {
  const facts = [error.code ?? error.name];
  if (error.phase) facts.push(`in phase ${error.phase}`);
  if (typeof error.elapsed === 'number') facts.push(`after ${milliseconds(error.elapsed)} ms`);
  const causes =
    error.cause instanceof Error && error.cause.message !== error.message ? [`because: ${error.cause.message}`] : [];
  return [facts.join(' '), error.message, ...causes];
}

/** `npm start -- URL …`: one GET for each URL, one after the other, with its status, size, protocol and waterfall. */
import process from 'node:process';
import { certificates, milliseconds, waterfall } from './picture.js';

/** A person waits in front of this: nobody waits longer. */
const PATIENCE_MS = 30_000;
const WIDTH = 48;

/**
 * Requests each URL; whether all of them answered. Any status is an answer. `authorities` is a file of certificates to trust
 * in place of the usual ones.
 */
export async function requestAll(urls, authorities = null) {
  const { connectionFromUrl, parseUrl } = await import('ferropool');
  const plain = !process.stdout.isTTY;
  let answered = 0;
  for (const url of urls) {
    console.log(`\n${url}`);
    let pool = null;
    try {
      const { scheme, requestUri } = parseUrl(url);
      const trust = scheme === 'https' && authorities !== null ? { caCerts: authorities } : {};
      pool = connectionFromUrl(url, { http2: true, ...trust });
      // What happened is shown, not what came of it in the end: nothing is followed, and nothing tried again.
      const options = { timeout: PATIENCE_MS, redirect: false, retries: false };
      const response = await pool.request('GET', requestUri, options);
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
  const lines = [
    `${[status, reason].join(' ').trimEnd()}  ${data.length.toLocaleString('en')} bytes  ${connection.protocol}`,
  ];
  const location = response.getRedirectLocation();
  if (location) lines.push(`leads to ${location}`);
  const { tls } = connection;
  if (tls)
    lines.push(`${tls.version} ${tls.cipher}${tls.verified ? '' : ', not verified'}`, ...certificates(tls.chain));
  return [...lines, ...waterfall(timings, WIDTH, plain)];
}

function complained(error) {
  const facts = [error.code ?? error.name];
  if (error.phase) facts.push(`in phase ${error.phase}`);
  if (typeof error.elapsed === 'number') facts.push(`after ${milliseconds(error.elapsed)} ms`);
  const causes =
    error.cause instanceof Error && error.cause.message !== error.message ? [`because: ${error.cause.message}`] : [];
  if (typeof error.reason === 'string') facts.push(`(${error.reason})`);
  return [facts.join(' '), error.message, ...causes];
}

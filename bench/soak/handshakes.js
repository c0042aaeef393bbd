/**
 * TLS handshakes, one for each request: two pools ask the same server in turns, one that trusts who signed its certificate
 * and one that trusts a stranger. The server offers sessions to resume; none may ever carry the trust of the one pool over
 * to the other, so each request has the outcome of its pool.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { books, lanes, Memory, settled } from './common.js';

/**
 * So many handshakes with this build of the product, half of them of each pool.
 *
 * @param {{ HTTPSConnectionPool: any, SSLError: any }} product
 * @param {{ requests: number, width?: number }} size
 * @returns {Promise<{ lines: string[], complaints: string[] }>}
 */
export async function handshakes({ HTTPSConnectionPool, SSLError }, { requests, width = 20 }) {
  const script = fileURLToPath(new URL('tls-server.js', import.meta.url));
  const server = fork(script, [], { execArgv: [] });
  const [{ port }] = await once(server, 'message');
  const trusting = (name) =>
    new HTTPSConnectionPool('127.0.0.1', {
      port,
      caCerts: fileURLToPath(new URL(`../certificates/${name}.pem`, import.meta.url)),
      maxsize: width,
      block: true,
      retries: false,
    });
  const [right, wrong] = [trusting('authority'), trusting('stranger')];
  const memory = new Memory();
  const seen = { right: 0, resumed: 0, refused: 0 };
  const odd = [];
  const note = (n, what) => {
    if (odd.length < 5) odd.push(`request ${n}: ${what}`);
  };
  const began = performance.now();
  const count = await lanes(requests, width, async (n) => {
    memory.look();
    try {
      const response = await (n % 2 === 0 ? right : wrong).request('GET', `/${n}`);
      if (n % 2 === 1) return note(n, 'it trusted a stranger');
      if (response.text() !== `/${n}`) return note(n, `another's answer: ${response.text()}`);
      const { resumed } = response.connection.tls;
      if (String(resumed) !== response.headers.get('x-resumed'))
        return note(n, `resumed: ${resumed}, the server says otherwise`);
      seen.right += 1;
      if (resumed) seen.resumed += 1;
    } catch (error) {
      if (n % 2 === 0 || !(error instanceof SSLError) || error.reason !== UNKNOWN) {
        return note(n, `${error.name} ${error.code} ${error.reason}: ${error.message}`);
      }
      seen.refused += 1;
    }
    return undefined;
  });
  const seconds = (performance.now() - began) / 1_000;
  await Promise.all([settled(right), settled(wrong)]);
  const unbalanced = [...books(right.stats()), ...books(wrong.stats())];
  await Promise.all([right.close(), wrong.close()]);
  const gone = once(server, 'exit');
  server.disconnect();
  await gone;

  const lines = [
    `  ${count} handshakes in ${seconds.toFixed(1)} s (${Math.round(count / seconds)} a second), ${seen.resumed} resumed`,
  ];
  const complaints = [];
  const check = (holds, line) => {
    lines.push(`${holds ? '✔' : '✘'} ${line}`);
    if (!holds) complaints.push(line);
  };
  check(
    odd.length === 0 && seen.right + seen.refused === count,
    `${seen.right} succeeded with the right authority, ${seen.refused} were refused with another; ${odd.join('; ') || 'no other outcome'}`,
  );
  check(seen.resumed > 0, `${seen.resumed} sessions were resumed, all of them with the right authority`);
  check(unbalanced.length === 0, unbalanced[0] ?? 'the books of both pools balance');
  const grown = memory.complaints(count >= LONG);
  check(grown.length === 0, grown[0] ?? memory.toString());
  return { lines, complaints };
}

/** From so many on it is a long run. */
const LONG = 10_000;

/** Its issuer is not among those that are trusted. */
const UNKNOWN = 'UNABLE_TO_VERIFY_LEAF_SIGNATURE';

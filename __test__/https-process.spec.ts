/** https as a part of a process: idle pools hold nothing, workers end in the middle of handshakes, and no promise is lost. */
import test from 'ava';

import { httpsServer } from './servers/tls.ts';
import { outcome, start } from './support/child.ts';
import { usual } from './support/pki.ts';
import { clocked, within } from './support/clocked.ts';

const { ca } = usual();

clocked('THR-1103: an idle pool of https does not hold the process, and the exit code stays', async (t) => {
  const server = await httpsServer((_, response) => response.end('ok'));
  t.teardown(() => server.close());
  const { code, lines, stderr, lingered } = await start('secure-leaves.ts', [server.port, 'idle', ca.pem]).ended;
  t.deepEqual([code, lines, stderr], [7, ['ready'], '']);
  within(t, lingered < 1_000, `${lingered} ms`);
});

clocked('THR-1103: process.exit with handshakes under way keeps its code', async (t) => {
  const server = await httpsServer((_, response) => response.end('ok'));
  t.teardown(() => server.close());
  const { code, signal, stderr, lingered } = await start('secure-leaves.ts', [server.port, 'exit', ca.pem]).ended;
  t.deepEqual([code, signal, stderr], [5, null, '']);
  within(t, lingered < 1_000, `${lingered} ms`);
});

clocked('THR-1101: workers ended in the middle of handshakes crash nothing and leave nothing', async (t) => {
  const seen = await outcome<{ ended: number; sockets: number; shaken: boolean; resident: number[] }>(
    'secure-terminate.ts',
    [10],
    { patience: 120_000 },
  );
  t.is(seen.ended, 40);
  t.is(seen.sockets, 0);
  t.true(seen.shaken);
  const [half = 0, last = 0] = [seen.resident[4], seen.resident.at(-1)];
  within(t, last < half * 1.25, seen.resident.map((bytes) => Math.round(bytes / 1_048_576)).join(' '));
});

test.serial('THR-1116: every failure of TLS is its caller’s: no promise rejects unhandled', async (t) => {
  const seen = await outcome<{ reasons: string[]; served: number }>('secure-strict.ts', [], {
    node: ['--unhandled-rejections=strict'],
  });
  t.deepEqual(seen.reasons, [
    'AbortError',
    'ERR_CONNECT_TIMEOUT',
    'ERR_FINGERPRINT',
    'ERR_NOT_TLS',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'ERR_TLS_EOF',
    'TLS_TRUNCATED',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  ]);
  t.is(seen.served, 2);
});

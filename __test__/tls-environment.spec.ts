/** Whom a pool trusts that was told nothing: what is compiled in, and what the environment says instead, or besides. */
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';

import { tlsServer } from './servers/tls.ts';
import { outcome } from './support/child.ts';
import { LOCAL, root, usual } from './support/pki.ts';
import { fileOf, folderOf, greets } from './support/secure.ts';

const { ca, stranger } = usual();
const UNKNOWN = /^ERR_TLS UNABLE_TO_VERIFY_LEAF_SIGNATURE/;

interface Came {
  readonly outcome: string;
  readonly warnings: readonly string[];
}

/** A process under this environment asks a server whose certificate is `ca`'s, or another's. */
async function asked(
  t: ExecutionContext,
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
  by = ca,
): Promise<Came> {
  const server = await tlsServer(greets, by.issue({ san: LOCAL }).identity);
  t.teardown(() => server.close());
  // What this machine's environment says is not what is tested.
  const clean = { SSL_CERT_FILE: '', SSL_CERT_DIR: '', NODE_EXTRA_CA_CERTS: '', NODE_USE_SYSTEM_CA: '' };
  return outcome<Came>('secure-environment.ts', [server.port, ...args], { env: { ...clean, ...env } });
}

test('TLS-02: SSL_CERT_FILE and SSL_CERT_DIR stand in place of the compiled roots', async (t) => {
  t.regex((await asked(t, {})).outcome, UNKNOWN);
  t.is((await asked(t, { SSL_CERT_FILE: fileOf(t, ca.pem) })).outcome, 'ok');
  t.is((await asked(t, { SSL_CERT_DIR: folderOf(t, { 'x.pem': ca.pem }) })).outcome, 'ok');
  const both = { SSL_CERT_FILE: fileOf(t, stranger.pem), SSL_CERT_DIR: folderOf(t, { 'x.pem': ca.pem }) };
  t.is((await asked(t, both)).outcome, 'ok');
  t.is((await asked(t, both, [], stranger)).outcome, 'ok');
});

test('TLS-02: what the environment names is read once, with the first pool', async (t) => {
  const file = fileOf(t, ca.pem);
  t.is((await asked(t, { SSL_CERT_FILE: file }, ['again', file])).outcome, 'ok');
});

test('TLS-02: NODE_EXTRA_CA_CERTS adds', async (t) => {
  const extra = { NODE_EXTRA_CA_CERTS: fileOf(t, ca.pem) };
  t.is((await asked(t, extra)).outcome, 'ok');
  const both = { ...extra, SSL_CERT_FILE: fileOf(t, stranger.pem) };
  t.is((await asked(t, both)).outcome, 'ok');
  t.is((await asked(t, both, [], stranger)).outcome, 'ok');
});

test('TLS-02: a pool’s own authorities stand in place of all that', async (t) => {
  const own = root();
  const env = { NODE_EXTRA_CA_CERTS: fileOf(t, ca.pem), SSL_CERT_FILE: fileOf(t, ca.pem) };
  t.regex((await asked(t, env, ['ca', fileOf(t, own.pem)])).outcome, UNKNOWN);
  t.is((await asked(t, env, ['ca', fileOf(t, own.pem)], own)).outcome, 'ok');
});

test('TLS-02 THR-824: what the environment names and nobody can read: an SSLError, for NODE_EXTRA_CA_CERTS a warning', async (t) => {
  const missing = path.join(folderOf(t, {}), 'missing.pem');
  for (const file of [missing, fileOf(t, 'junk')]) {
    t.regex((await asked(t, { SSL_CERT_FILE: file })).outcome, /^ERR_TLS ERR_TLS_CA: .*(missing|file)/);
  }
  t.regex((await asked(t, { SSL_CERT_DIR: missing })).outcome, /^ERR_TLS ERR_TLS_CA: .*missing/);
  const { outcome, warnings } = await asked(t, { NODE_EXTRA_CA_CERTS: missing, SSL_CERT_FILE: fileOf(t, ca.pem) });
  t.is(outcome, 'ok');
  t.true(
    warnings.some((warning) => warning.includes('missing.pem')),
    warnings.join('; '),
  );
});

test('TLS-02 THR-824: the system’s store: it alone by caCerts, in addition by NODE_USE_SYSTEM_CA; none at all is an error', async (t) => {
  // SSL_CERT_FILE is where a system's store is found first.
  const none = folderOf(t, {});
  const { outcome } = await asked(t, { SSL_CERT_FILE: path.join(none, 'none'), SSL_CERT_DIR: none }, ['system']);
  t.regex(outcome, /^ERR_TLS ERR_TLS_CA/);
  t.regex(
    (await asked(t, { NODE_USE_SYSTEM_CA: '1' })).outcome,
    /^ERR_TLS (UNABLE_TO_VERIFY_LEAF_SIGNATURE|ERR_TLS_CA)/,
  );
});

/**
 * What the environment says about TLS: the variables and flags that Node.js and OpenSSL have for whom to trust, and
 * `SSLKEYLOGFILE`.
 */
import { readFileSync } from 'node:fs';
import type * as Crypto from 'node:crypto';
import { createRequire } from 'node:module';

import { argumentError } from './arguments.ts';
import { CODE } from './checks.ts';
import { emitWarning } from './warnings.ts';

/** Whom to trust where a pool names nobody, as the core takes it. @internal */
export interface TrustEnvironment {
  readonly certFile?: string;
  readonly certDir?: string;
  readonly extraCerts?: string;
  readonly system?: boolean;
}

let read: TrustEnvironment | null = null;

/**
 * Read once, with the first pool that trusts the defaults: as Node.js reads its own variables once, so that all pools of a
 * process trust the same.
 *
 * @internal
 */
export function environmentOf(): TrustEnvironment {
  if (read !== null) return read;
  const certFile = variable('SSL_CERT_FILE');
  const certDir = variable('SSL_CERT_DIR');
  const extraCerts = usable(variable('NODE_EXTRA_CA_CERTS'));
  read = {
    ...(certFile === null ? {} : { certFile }),
    ...(certDir === null ? {} : { certDir }),
    ...(extraCerts === null ? {} : { extraCerts }),
    ...(wantsSystem() ? { system: true } : {}),
  };
  return read;
}

/**
 * The path that `SSLKEYLOGFILE` names; as urllib3 reads it, names of variables in it are replaced and those that are not set
 * stay as they are. `undefined` where it is unset or empty.
 *
 * @internal
 */
export function keyLogFromEnvironment(): string | undefined {
  const path = variable('SSLKEYLOGFILE') ?? '';
  const replaced = path.replaceAll(/\$(?:\{([^}]*)\}|(\w+))/g, (whole, braced?: string, bare?: string) => {
    return process.env[braced ?? bare ?? ''] ?? whole;
  });
  return replaced === '' ? undefined : replaced;
}

/**
 * THR-823: who runs with another's rights must not write where its caller says.
 *
 * @throws TypeError ERR_INVALID_OPTION.
 * @internal
 */
export function refuseElevated(name: string): void {
  const isOther = process.getuid?.() !== process.geteuid?.() || process.getgid?.() !== process.getegid?.();
  if (isOther)
    throw argumentError('type', CODE, `${name} is refused in a process that runs with another user's rights`);
}

/** Node.js takes the flag from its command line and from NODE_OPTIONS. */
function wantsSystem(): boolean {
  if (process.env['NODE_USE_SYSTEM_CA'] === '1') return true;
  const flags = [...process.execArgv, ...(process.env['NODE_OPTIONS'] ?? '').split(/\s+/)];
  return flags.findLast((flag) => /^--(no-)?use-system-ca$/.test(flag)) === '--use-system-ca';
}

/** As Node.js does, one that cannot be used is told of and passed over: a program must not stop for it. */
function usable(path: string | null): string | null {
  if (path === null) return null;
  try {
    const blocks = readFileSync(path, 'latin1').match(CERTIFICATES) ?? [];
    if (blocks.length === 0) throw new Error('it has no certificate');
    // Loaded here, since most programs have no use for it.
    const { X509Certificate } = createRequire(import.meta.url)('node:crypto') as typeof Crypto;
    for (const block of blocks) void new X509Certificate(block);
    return path;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const message = `the certificates of NODE_EXTRA_CA_CERTS are ignored: ${path}: ${why}`;
    emitWarning('FerropoolWarning', 'FERROPOOL_EXTRA_CERTS', message);
    return null;
  }
}

function variable(name: string): string | null {
  const value = process.env[name] ?? '';
  return value === '' ? null : value;
}

const CERTIFICATES =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

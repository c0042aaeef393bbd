/** Certificates by the `openssl` program, which is not ours: what real servers send was made by it as a rule. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A certificate and its key, as PEM. */
export interface Pair {
  readonly certificate: string;
  readonly key: string;
}

/** What a certificate is to be. */
export interface Wish {
  /** Its subject's common name. */
  readonly name: string;
  /** Whoever signs it; itself unless given. */
  readonly issuer?: Pair;
  /** Subject alternative names, as OpenSSL writes them: `DNS:a.test`, `IP:127.0.0.1`. An authority unless given. */
  readonly names?: readonly string[];
  /** What it may be used for: a server unless given. */
  readonly usage?: 'serverAuth' | 'clientAuth';
  /** The key's kind: a P-256 key unless given. */
  readonly algorithm?: 'ec' | 'rsa';
}

/** Makes a certificate with a new key, good for 30 days. */
export function certificate({ name, issuer, names, usage = 'serverAuth', algorithm = 'ec' }: Wish): Pair {
  const folder = mkdtempSync(path.join(tmpdir(), 'ferropool-openssl-'));
  const at = (file: string): string => path.join(folder, file);
  try {
    // The distribution's own configuration would add extensions of its own.
    writeFileSync(at('empty.cnf'), '[req]\ndistinguished_name = name\n[name]\n');
    const extensions =
      names === undefined
        ? ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign']
        : [
            'basicConstraints=critical,CA:FALSE',
            'keyUsage=critical,digitalSignature',
            `extendedKeyUsage=${usage}`,
            ...(names.length === 0 ? [] : [`subjectAltName=${names.join(',')}`]),
          ];
    const key = algorithm === 'rsa' ? ['rsa:2048'] : ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
    const signed: string[] = [];
    if (issuer !== undefined) {
      writeFileSync(at('issuer.pem'), issuer.certificate);
      writeFileSync(at('issuer.key'), issuer.key);
      signed.push('-CA', at('issuer.pem'), '-CAkey', at('issuer.key'));
    }
    const words = ['req', '-x509', '-config', at('empty.cnf'), '-newkey', ...key, '-nodes', '-days', '30', ...signed];
    words.push('-subj', `/CN=${name}`, '-keyout', at('key'), '-out', at('pem'));
    for (const extension of extensions) words.push('-addext', extension);
    execFileSync('openssl', words, { stdio: ['ignore', 'ignore', 'pipe'] });
    return { certificate: readFileSync(at('pem'), 'utf8'), key: readFileSync(at('key'), 'utf8') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The key of a pair again, encrypted with a password (PKCS #8 with PBES2). */
export function encrypted({ key }: Pair, password: string): string {
  return execFileSync('openssl', ['pkcs8', '-topk8', '-v2', 'aes-256-cbc', '-passout', `pass:${password}`], {
    input: key,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

/** A private authority with an intermediate one below it, and a server's certificate of each: what most specs need. */
export interface Hierarchy {
  readonly root: Pair;
  readonly intermediate: Pair;
  /** Signed by the intermediate authority; the chain beside it is not in it. */
  readonly server: Pair;
  /** The same with the intermediate certificate behind it, as a server has to send it. */
  readonly chained: Pair;
}

/** Makes them; the server's names are `localhost`, `ferro.test` and the loopback addresses. */
export function hierarchy(): Hierarchy {
  const root = certificate({ name: 'ferropool test root' });
  const intermediate = certificate({ name: 'ferropool test intermediate', issuer: root });
  const names = ['DNS:localhost', 'DNS:ferro.test', 'IP:127.0.0.1', 'IP:::1'];
  const server = certificate({ name: 'a server', issuer: intermediate, names });
  return {
    root,
    intermediate,
    server,
    chained: { ...server, certificate: server.certificate + intermediate.certificate },
  };
}

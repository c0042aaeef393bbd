/**
 * Proxies that others made, each on a free loopback port, with a folder of its own, as a child of this process: squid,
 * tinyproxy, Dante, microsocks and OpenSSH. None looks up a name outside of this machine: the names that there are, and the
 * users, are those of {@link NAMES} and {@link CREDENTIALS}, put in front of the system's by nss_wrapper.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';

import { Daemon, started } from './daemon.ts';
import type { Pair } from './openssl.ts';

/** Whom the proxies that want to know let through; tinyproxy's configuration has no way to say every character. */
export const CREDENTIALS = { username: 'ferro', password: 'p:w@%20' };
export const PLAIN_CREDENTIALS = { username: 'ferro', password: 'secret' };

/** Names that the proxies know, and that nobody else does. */
export const NAMES = { 'ferro.test': '127.0.0.1', 'forbidden.test': '127.0.0.9', 'six.test': '::1' };
/** A name and its address, to which none lets through that can be told so. */
export const FORBIDDEN = { name: 'forbidden.test', address: '127.0.0.9' };

/** A running proxy. */
export class InstalledProxy {
  readonly port: number;
  /** When it listens. */
  readonly ready: Promise<unknown>;
  readonly #folder: string;
  readonly #daemon: Daemon;
  readonly #last: NodeJS.Signals;
  readonly #leaves: readonly string[];
  #end: InstalledProxy | null = null;

  /** @internal Use one of the functions below. */
  constructor(
    port: number,
    folder: string,
    ready: Promise<unknown>,
    daemon: Daemon,
    { last = 'SIGTERM', leaves = [] }: { last?: NodeJS.Signals; leaves?: readonly string[] } = {},
  ) {
    this.port = port;
    this.ready = ready;
    this.#folder = folder;
    this.#daemon = daemon;
    this.#last = last;
    this.#leaves = leaves;
  }

  /** All that it has said. */
  get log(): string {
    return this.#daemon.log;
  }

  /** What ends with it: the other end of its tunnel. */
  endingAt(other: InstalledProxy): this {
    this.#end = other;
    return this;
  }

  /** Ends it at once, with all that goes through it; its port refuses then. */
  async kill(): Promise<void> {
    await this.#daemon.close('SIGKILL');
    // The last of a family may still be on its way out.
    await refuses(this.port);
  }

  /** Ends it and removes what it wrote. */
  async close(): Promise<void> {
    await this.#daemon.close(this.#last);
    await this.#end?.close();
    for (const left of [this.#folder, ...this.#leaves]) rmSync(left, { recursive: true, force: true });
  }
}

/** squid: Basic authentication; with a certificate it speaks TLS to its clients. */
export function squid(secure?: Pair): Promise<InstalledProxy> {
  return started((port) => {
    const folder = housed({
      hosts: hosts(),
      passwords: `${CREDENTIALS.username}:${hashed('-apr1')}\n`,
      'server.pem': secure?.certificate ?? '',
      'server.key': secure?.key ?? '',
      'squid.conf': (at) => `
${secure === undefined ? `http_port 127.0.0.1:${port}` : `https_port 127.0.0.1:${port} tls-cert=${at('server.pem')} tls-key=${at('server.key')}`}
auth_param basic program /usr/lib/squid/basic_ncsa_auth ${at('passwords')}
auth_param basic children 2 startup=1 idle=1
auth_param basic realm ferropool
acl known proxy_auth REQUIRED
acl forbidden dstdomain ${FORBIDDEN.name}
http_access deny !known
http_access deny forbidden
http_access allow known
cache deny all
cache_mem 0
pid_filename none
cache_log /dev/null
access_log none
coredump_dir none
pinger_enable off
netdb_filename none
hosts_file ${at('hosts')}
dns_nameservers 127.0.0.1
dns_timeout 1 second
dns_retransmit_interval 1 second
max_filedescriptors 4096
`,
    });
    // By default all that run on a machine have the same names for what they share in memory.
    const name = `ferropool${port}`;
    const leaves = ['metadata', 'queues', 'readers'].map((segment) => `/dev/shm/${name}-cf__${segment}.shm`);
    const words = ['-n', name, '-N', '-d', '1', '-f', path.join(folder, 'squid.conf')];
    const daemon = new Daemon('squid', words, MISSING);
    // It says that it accepts connections before it does, and takes two seconds to end in order.
    return new InstalledProxy(port, folder, daemon.listens(port), daemon, { last: 'SIGKILL', leaves });
  });
}

/** tinyproxy: Basic authentication. It ends every connection with its first answer, and often does not say so. */
export function tinyproxy(): Promise<InstalledProxy> {
  return started((port) => {
    const { username, password } = PLAIN_CREDENTIALS;
    const folder = housed({
      hosts: hosts(),
      filter: `^${FORBIDDEN.name.replaceAll('.', String.raw`\.`)}$\n`,
      'tinyproxy.conf': (at) => `
Port ${port}
Listen 127.0.0.1
Timeout 60
MaxClients 400
BasicAuth ${username} ${password}
Filter "${at('filter')}"
LogLevel Info
`,
    });
    const words = ['-d', '-c', path.join(folder, 'tinyproxy.conf')];
    const daemon = new Daemon('tinyproxy', words, MISSING, { env: wrapped(folder) });
    return new InstalledProxy(port, folder, daemon.says(/Accepting connections/), daemon);
  });
}

/** Dante, of versions 4 and 5; with `asks` it lets nobody through without a password, and knows no version 4. */
export function dante(asks: boolean): Promise<InstalledProxy> {
  return started((port) => {
    const isRoot = process.getuid?.() === 0;
    const folder = housed({
      hosts: hosts(),
      ...users(),
      'danted.conf': `
logoutput: stderr
internal: 127.0.0.1 port = ${port}
external: lo
clientmethod: none
socksmethod: ${asks ? 'username' : 'none'}
${isRoot ? 'user.privileged: root\nuser.unprivileged: nobody' : ''}
client pass { from: 0/0 to: 0/0 }
socks block { from: 0/0 to: ${FORBIDDEN.address}/32 }
socks pass { from: 0/0 to: 0/0 }
`,
    });
    const words = ['-f', path.join(folder, 'danted.conf'), '-p', path.join(folder, 'pid')];
    const daemon = new Daemon('danted', words, MISSING, { env: wrapped(folder), isFamily: true });
    return new InstalledProxy(port, folder, daemon.says(/Dante\/server.* running/), daemon);
  });
}

/** microsocks: version 5, with a password. */
export function microsocks(): Promise<InstalledProxy> {
  return started((port) => {
    const folder = housed({ hosts: hosts(), ...users() });
    const { username, password } = CREDENTIALS;
    const words = ['-i', '127.0.0.1', '-p', String(port), '-u', username, '-P', password];
    const daemon = new Daemon('microsocks', words, MISSING, { env: wrapped(folder) });
    return new InstalledProxy(port, folder, daemon.listens(port), daemon);
  });
}

/** `ssh -D`, of all four versions, with dropbear at the other end of its tunnel. It says nothing of why it fails. */
export async function ssh(): Promise<InstalledProxy> {
  const behind = await started((port) => {
    const folder = housed({ hosts: hosts(), ...users() });
    const at = (name: string): string => path.join(folder, name);
    execFileSync('dropbearkey', ['-t', 'ed25519', '-f', at('host')], { stdio: 'ignore' });
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at('id')]);
    writeFileSync(at('known'), '');
    mkdirSync(at('.ssh'), { mode: 0o700 });
    copyFileSync(at('id.pub'), at('.ssh/authorized_keys'));
    const words = ['-F', '-E', '-s', '-r', at('host'), '-p', `127.0.0.1:${port}`, '-P', at('pid')];
    const daemon = new Daemon('dropbear', words, MISSING, { env: wrapped(folder) });
    return Object.assign(new InstalledProxy(port, folder, daemon.says(/Not backgrounding/), daemon), {
      folder,
    });
  });
  const { folder } = behind;
  const proxy = await started((port) => {
    const options = ['BatchMode=yes', 'StrictHostKeyChecking=no', 'ExitOnForwardFailure=yes'];
    options.push(`UserKnownHostsFile=${path.join(folder, 'known')}`);
    const words = ['-F', 'none', '-N', '-v', '-D', `127.0.0.1:${port}`, '-i', path.join(folder, 'id')];
    for (const option of options) words.push('-o', option);
    words.push('-p', String(behind.port), `${ME}@127.0.0.1`);
    const client = new Daemon('ssh', words, MISSING);
    const ready = client.says(/Entering interactive session/);
    return new InstalledProxy(port, housed({}), ready, client);
  });
  return proxy.endingAt(behind);
}

/** Waits until nobody listens on this port. */
async function refuses(port: number): Promise<void> {
  for (;;) {
    const socket = net.connect(port, '127.0.0.1');
    const accepted = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (!accepted) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Who this process is, to programs that ask for its user. */
const ME = 'tester';

type Files = { readonly [name: string]: string | ((at: (name: string) => string) => string) };

/** A folder with these files. A program that is started by root serves as somebody else, who has to be able to read them. */
function housed(files: Files): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'ferropool-proxy-'));
  chmodSync(folder, 0o755);
  const at = (name: string): string => path.join(folder, name);
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(at(name), typeof content === 'string' ? content : content(at), { mode: 0o644 });
  }
  if ('passwd' in files) writeFileSync(at('passwd'), passwd(folder), { mode: 0o644 });
  return folder;
}

function hosts(): string {
  const lines = Object.entries({ localhost: '127.0.0.1', ...NAMES }).map(([name, address]) => `${address} ${name}\n`);
  return lines.join('');
}

/** The users that there are: whom a proxy serves, whom it serves as, and whoever runs this. */
function users(): Files {
  return {
    passwd: '',
    group: 'root:x:0:\nnogroup:x:65534:\n',
    shadow: `${CREDENTIALS.username}:${hashed('-6')}:19000:0:99999:7:::\n`,
  };
}

function passwd(home: string): string {
  const { uid, gid } = userInfo();
  const lines = [
    `${ME}:x:${uid}:${gid}::${home}:/bin/sh`,
    'root:x:0:0::/:/bin/sh',
    'nobody:x:65534:65534::/:/usr/sbin/nologin',
    `${CREDENTIALS.username}:x:60000:65534::/:/bin/sh`,
  ];
  return `${lines.join('\n')}\n`;
}

function hashed(method: string): string {
  return execFileSync('openssl', ['passwd', method, CREDENTIALS.password], { encoding: 'utf8' }).trim();
}

/** The environment in which the C library has the names and users of this folder in front of the system's. */
function wrapped(folder: string): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { LD_PRELOAD: 'libnss_wrapper.so' };
  for (const name of ['hosts', 'passwd', 'group', 'shadow'])
    env[`NSS_WRAPPER_${name.toUpperCase()}`] = path.join(folder, name);
  return env;
}

const MISSING =
  "It is not installed: the specs of __test__/nginx need Debian's squid, tinyproxy, dante-server, microsocks, dropbear-bin, " +
  'openssh-client and libnss-wrapper; `npm test` does without.';

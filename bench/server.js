/**
 * The server side of a run: the bodies in a temporary folder, and nginx (or Node's own server) that serves them from
 * there, in its own process; beside it the sink that uploads go to and the proxy that makes tunnels. Whatever is made here is
 * gone again after `stop()`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const certificates = fileURLToPath(new URL('certificates', import.meta.url));

/** How long a server may take to listen. */
const listensWithin = 60_000;

/** Whom a forward proxy is asked for: nobody, but the proxy itself knows what to answer. */
const forwarded = 'http://origin.test';

/**
 * Starts the wanted server (`nginx`, `node`, or null for nginx where there is one) with the given bodies. nginx answers
 * an upload before it has read it, so uploads go to the ceiling's sink, or to Node's server where there is none; tunnels are
 * made by the ceiling's proxy likewise. As a forward proxy the server answers by itself, so that no other is measured.
 */
export async function startServer(wanted, bodies, { sink, tunnel, ceiling }) {
  const nginx = wanted === 'node' ? null : nginxVersion();
  if (wanted === 'nginx' && !nginx) throw new Error('nginx was not found; --server node needs none');
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ferropool-bench-'));
  try {
    const routes = writeBodies(folder, bodies);
    const started = nginx ? await startNginx(folder, nginx, routes, bodies) : await startNode(folder);
    const children = [started.child];
    const beside = async (role) => {
      const other = await startBeside(role, folder, wanted === 'node' ? null : ceiling, started, nginx);
      if (other.child) children.push(other.child);
      return other;
    };
    const stop = () => Promise.all(children.map(end));
    const [plain, secure, multiplexed] = started.ports;
    try {
      const uploads = sink ? await beside('sink') : null;
      const tunnels = tunnel ? await beside('tunnel') : null;
      const places = {
        http: at('http', plain),
        https: at('https', secure),
        'https-new': at('https', secure),
        h2: at('https', multiplexed),
        forward: { ...whereIs(forwarded), proxy: at('http', plain).origin },
        connect: tunnels && { ...at('https', secure), proxy: at('http', tunnels.ports[0]).origin },
      };
      const names = [
        nginx ?? `node:http of Node.js ${process.versions.node}`,
        ...(uploads ? [`uploads: ${uploads.name}`] : []),
        ...(tunnels ? [`tunnels: ${tunnels.name}`] : []),
      ];
      return {
        name: names.join('; '),
        over: (transport) => places[transport ?? 'http'],
        sink: uploads && at('http', uploads.ports[0]),
        expect: (url) => path.join(folder, routes[url].expect),
        async stop() {
          await stop();
          rmSync(folder, { recursive: true, force: true });
        },
      };
    } catch (error) {
      await stop();
      throw error;
    }
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

function at(scheme, port) {
  return whereIs(`${scheme}://127.0.0.1:${port}`);
}

function whereIs(url) {
  const { hostname, port, origin } = new URL(url);
  return { host: hostname, port: port === '' ? null : Number(port), origin };
}

/** The ceiling in another role; else the Node.js server that is there already, or one of its own beside nginx. */
async function startBeside(role, folder, ceiling, started, nginx) {
  if (ceiling) return { name: `a ${role} in Rust`, ...(await startChild(ceiling, [role])) };
  const name = 'node:http';
  return nginx ? { name, ...(await startNode(folder)) } : { name, ports: started.ports };
}

/** `nginx/1.2.3`, or null when there is none; Debian keeps it where only root's PATH looks. */
function nginxVersion() {
  const { stderr, status } = spawnSync('nginx', ['-v'], { encoding: 'utf8', env: nginxEnvironment });
  return status === 0 ? (/nginx\/[\d.]+/.exec(stderr)?.[0] ?? 'nginx') : null;
}

const nginxEnvironment = {
  ...process.env,
  PATH: [process.env.PATH, '/usr/sbin', '/usr/local/sbin'].join(path.delimiter),
};

/** What goes over the wire and what a client must end up with are two files where they differ. */
function writeBodies(folder, bodies) {
  // nginx started by root serves as somebody else, who has to be able to read this.
  chmodSync(folder, 0o755);
  const routes = {};
  for (const [url, { type, body, wire, encoding, pieces }] of Object.entries(bodies)) {
    const file = `${url.slice(1)}.wire`;
    const expect = `${url.slice(1)}.body`;
    if (pieces) writePieces(path.join(folder, file), pieces());
    else writeFileSync(path.join(folder, file), wire ?? body, { mode: 0o644 });
    writeFileSync(path.join(folder, expect), body, { mode: 0o644 });
    routes[url] = { type, encoding, file, expect };
  }
  writeFileSync(path.join(folder, 'routes.json'), JSON.stringify(routes));
  return routes;
}

function writePieces(file, pieces) {
  const descriptor = openSync(file, 'w', 0o644);
  try {
    for (const piece of pieces) appendFileSync(descriptor, piece);
  } finally {
    closeSync(descriptor);
  }
}

function startNode(folder) {
  return startChild(process.execPath, [fileURLToPath(new URL('node-server.js', import.meta.url)), folder]);
}

/** A server of ours: it prints its ports in a line and ends with its standard input. */
async function startChild(command, words) {
  const child = spawn(command, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ports = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', (line) => resolve(line.split(' ').map(Number)));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
  return { child, ports };
}

/** A free port may be taken by somebody else before nginx has it; then another is tried. */
async function startNginx(folder, version, routes, bodies) {
  for (const place of ['', 'temporary', 'logs']) mkdirSync(path.join(folder, 'nginx', place), { recursive: true });
  for (let attempt = 1; ; attempt += 1) {
    const ports = await freePorts(3);
    const file = path.join(folder, 'nginx.conf');
    writeFileSync(file, nginxConfiguration(folder, ports, version, routes, bodies));
    const log = path.join(folder, 'nginx', 'error.log');
    const child = spawn('nginx', ['-p', path.join(folder, 'nginx'), '-e', log, '-c', file], {
      stdio: 'ignore',
      env: nginxEnvironment,
    });
    if (await listens(child, path.join(folder, 'nginx', 'nginx.pid'))) return { child, ports };
    await end(child);
    if (attempt === 5) throw new Error(`nginx did not start:\n${readFileSync(log, 'utf8')}`);
  }
}

/**
 * One worker, so that the clients have the other core; no log, no end of a connection, no compression at run time. The
 * small body comes from memory, the others from files that stay open. TLS is 1.3 for all, and no session is resumed: a
 * new connection is a full handshake, whoever makes it.
 */
function nginxConfiguration(folder, ports, version, routes, bodies) {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${quoted(path.join(folder, 'nginx', 'temporary', name))};`)
    .join('\n  ');
  const location = ([url, { type, encoding, file }]) => {
    const small = !encoding && bodies[url].body.length < 4096;
    const answer = small
      ? `return 200 ${quoted(bodies[url].body.toString('latin1'))};`
      : `alias ${quoted(path.join(folder, file))};`;
    const header = encoding ? `add_header Content-Encoding ${encoding};` : '';
    return `location = ${url} { default_type ${type}; ${header} ${answer} }`;
  };
  const locations = Object.entries(routes).map(location).join('\n    ');
  const [plain, secure, multiplexed] = ports.map((port) => `127.0.0.1:${port}`);
  // Since 1.25.1 a directive says it, and what a `listen` says is deprecated; before there is no such directive.
  const [, major, minor, patch] = /(\d+)\.(\d+)\.(\d+)/.exec(version)?.map(Number) ?? [];
  const directive = major > 1 || (major === 1 && (minor > 25 || (minor === 25 && patch >= 1)));
  return `daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid ${quoted(path.join(folder, 'nginx', 'nginx.pid'))};
events { worker_connections 4096; }
http {
  ${temporary}
  access_log off;
  etag off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  open_file_cache max=16;
  open_file_cache_valid 1h;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  types { }
  ssl_certificate ${quoted(path.join(certificates, 'server.pem'))};
  ssl_certificate_key ${quoted(path.join(certificates, 'server.key'))};
  ssl_protocols TLSv1.3;
  ssl_session_cache off;
  ssl_session_tickets off;
  http2_max_concurrent_streams 1024;
  server {
    listen ${plain} backlog=4096;
    ${locations}
  }
  server {
    listen ${secure} ssl backlog=4096;
    ${locations}
  }
  server {
    listen ${multiplexed} ssl${directive ? '' : ' http2'} backlog=4096;
    ${directive ? 'http2 on;' : ''}
    ${locations}
  }
}
`;
}

function quoted(text) {
  return `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}

/** So many ports that are free, each another: none is let go before all are known. */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/**
 * Whether nginx listens: it writes its number when it has all its ports. A connection would not tell: it accepts on the one
 * while it waits for another, and somebody else may have the one.
 */
async function listens(child, pidFile) {
  child.once('error', () => {});
  for (const until = Date.now() + listensWithin; Date.now() < until && lives(child); await sleep(20)) {
    if (existsSync(pidFile) && readFileSync(pidFile, 'utf8').trim() === String(child.pid)) return lives(child);
  }
  return false;
}

function lives(child) {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

/** Asks a process of ours to end and waits for it; one that does not listen is killed. */
async function end(child) {
  if (!lives(child)) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const stubborn = setTimeout(() => child.kill('SIGKILL'), 5000);
  await gone;
  clearTimeout(stubborn);
}

/** The empty projects that the tarballs are installed into, one a platform, and the servers that their programs ask. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import { startOrigin } from '../../cli/start-origin.js';
import { root } from '../run.js';
import { project, succeed } from './harness.js';
import { npm, withItems } from './npm.js';
import { quickStarts } from './quick-start.js';

/**
 * Installs the main package and a platform's from their tarballs, offline, with a cache of its own and no script; gives the
 * folder. `--force` is for the platforms that are not this one.
 */
export async function installed(main, binary, { force = false } = {}) {
  const { name } = binary.platform;
  const files = { 'package.json': { name: 'empty', version: '1.0.0', private: true }, ...(await quickStarts()) };
  const folder = withItems(project(`installed-${name}`, files));
  const words = ['install', '--ignore-scripts', main.file, binary.file, ...(force ? ['--force'] : [])];
  await succeed(npm(folder, null, ...words), { cwd: folder });
  assert.ok(existsSync(path.join(folder, 'node_modules', 'ferropool', 'package.json')));
  const binaries = readdirSync(path.join(folder, 'node_modules', '@ferropool'));
  assert.deepEqual(binaries, [`binding-${name}`]);
  return folder;
}

/** The servers' ports, as `proof/consumers/items.mjs` wants them, and `stop()`. */
export async function startServers() {
  const servers = await Promise.all(['origin.js', 'proxy.js', '../proof/server.js'].map((file) => startOrigin(file)));
  const [site, proxy, server] = servers;
  const closed = await closedPort();
  const where = {
    site: site.port,
    tls: site.securePort,
    proxy: proxy.port,
    port: server.port,
    closed: closed.port,
    authority: path.join(root, 'cli', 'authority.pem'),
  };
  return { where, stop: () => [...servers, closed].forEach((one) => one.stop()) };
}

/** A port that nobody listens on, and nobody can until `stop()`: that of our own end of a connection. */
async function closedPort() {
  const server = createServer((socket) => socket.on('error', () => undefined).resume()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect(server.address().port, '127.0.0.1');
  await once(client, 'connect');
  const stop = () => {
    client.destroy();
    server.close();
  };
  return { port: client.localPort, stop };
}

/**
 * `node scripts/release-smoke.js`: installs ferropool from release/tarballs into an empty project, as npm does it for users
 * of this platform, and makes requests with it, from a module, from a script and from a worker thread. What it needs is a
 * Node.js of the platform and these tarballs: no build, no development package.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { hostPlatform } from './platforms.js';
import { root } from './run.js';

const tarballs = path.join(root, 'release', 'tarballs');

/** Talks to a server of its own on the loopback interface. */
const PROBE = `
import assert from 'node:assert';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { Worker, isMainThread } from 'node:worker_threads';
import * as imported from 'ferropool';

const required = createRequire(import.meta.url)('ferropool');
assert.equal(required.HTTPConnectionPool, imported.HTTPConnectionPool);
const server = createServer((request, response) => response.end('heard ' + request.url));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const pool = new imported.HTTPConnectionPool('127.0.0.1', { port: server.address().port });
const response = await pool.request('GET', '/here');
assert.equal(response.status, 200);
assert.equal(response.text(), 'heard /here');
await pool.close();
server.close();
const refused = new imported.HTTPConnectionPool('127.0.0.1', { port: 1, retries: false });
await assert.rejects(refused.request('GET', '/'), imported.NewConnectionError);
await refused.close();
if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url));
  const status = await new Promise((resolve) => worker.on('exit', resolve));
  assert.equal(status, 0);
  console.log('ferropool answers on ' + process.platform + '-' + process.arch + ', Node.js ' + process.versions.node);
}
`;

function main() {
  const platform = hostPlatform();
  if (!platform) throw new Error(`There is no package for ${process.platform} on ${process.arch}.`);
  const wanted = [/^ferropool-\d.*\.tgz$/, new RegExp(`^ferropool-binding-${platform.name}-\\d.*\\.tgz$`)];
  const files = wanted.map((pattern) => readdirSync(tarballs).find((name) => pattern.test(name)));
  if (files.includes(undefined)) throw new Error(`release/tarballs has no packages for ${platform.name}.`);

  const project = mkdtempSync(path.join(os.tmpdir(), 'ferropool-smoke-'));
  try {
    writeFileSync(path.join(project, 'package.json'), '{ "name": "empty", "private": true }\n');
    writeFileSync(path.join(project, 'probe.mjs'), PROBE);
    const windows = process.platform === 'win32';
    const options = [
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--offline',
      '--cache',
      path.join(project, 'cache'),
    ];
    // By relative paths: a shell has no part in what they are called.
    const paths = files.map((name) => path.relative(project, path.join(tarballs, name)));
    const npm = windows ? 'npm.cmd' : 'npm';
    const run = (command, args, shell = false) =>
      spawnSync(command, args, { cwd: project, stdio: 'inherit', timeout: 900_000, shell }).status;
    if (run(npm, ['install', ...options, ...paths], windows) !== 0) throw new Error('npm could not install it.');
    const status = run(process.execPath, ['probe.mjs']);
    if (status !== 0) throw new Error(`The probe ended with status ${status}.`);
  } finally {
    rmSync(project, { recursive: true, force: true, maxRetries: 5 });
  }
}

try {
  main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}

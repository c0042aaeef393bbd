/**
 * Who takes part, and how one of them is measured: always in a process that is started for it, watched, and ended by
 * its number when it does not end by itself.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from '../scripts/run.js';
import { isProxied, isSecure } from './scenarios.js';

/** In the order of the tables. The ceiling is no client of Node.js: hyper alone, in Rust. */
export const clientNames = [
  'ferropool',
  'undici',
  'undici-fetch',
  'wreq-js',
  'impit',
  'node-http',
  'fetch',
  'got',
  'axios',
  'ceiling',
];

/** Who signed the server's certificate; every client verifies it, and trusts nobody else where it can be told so. */
const authority = fileURLToPath(new URL('certificates/authority.pem', import.meta.url));

const script = fileURLToPath(new URL('client.js', import.meta.url));
const running = new Set();

/** The version of a client, or why it cannot take part: `{ version }` or `{ reason }`. */
export async function probe(name, ceiling) {
  if (name === 'ceiling') {
    if (!ceiling) return { reason: 'it could not be built' };
    const lock = readFileSync(path.join(root, 'Cargo.lock'), 'utf8');
    return { version: `hyper ${/name = "hyper"\r?\nversion = "([^"]+)"/.exec(lock)?.[1]}` };
  }
  try {
    return await measured(process.execPath, [script, JSON.stringify({ client: name, probe: true })], 120);
  } catch (error) {
    return { reason: name === 'ferropool' ? `${error.message} (is it built? npm run build)` : error.message };
  }
}

/** The figure of one client in one scenario. Rejects when the client fails, answers wrongly or does not end. */
export async function measure(name, scenario, { server, seconds, warmup, size, ceiling }) {
  const { transport } = scenario;
  const { host, port, origin, proxy } = scenario.kind === 'stream-up' ? server.sink : server.over(transport);
  const expect = scenario.kind === 'stream-up' ? os.devNull : server.expect(scenario.path);
  // Ends what hangs; a busy machine may take several times as long as a quiet one.
  const within = seconds + 400;
  if (name !== 'ceiling') {
    const task = {
      client: name,
      scenario: scenario.name,
      seconds,
      warmup,
      size,
      server: { host, port, origin, proxy, transport, ca: authority },
      expect,
    };
    return measured(process.execPath, [script, JSON.stringify(task)], within);
  }
  const args = {
    address: proxy ? new URL(proxy).host : `${host}:${port}`,
    ...(proxy && { origin: new URL(origin).host }),
    path: scenario.path,
    concurrency: scenario.concurrency,
    seconds,
    warmup: warmup.seconds,
    expect,
    kind: nativeKinds[scenario.kind] ?? 'bytes',
    size,
    transport: transport ?? 'http',
    authority,
  };
  const words = Object.entries(args).flatMap(([option, value]) => [`--${option}`, String(value)]);
  return measured(ceiling, words, within);
}

/** What the ceiling has to know of a scenario; to it all else is bytes. */
const nativeKinds = { gzip: 'gzip', 'stream-down': 'stream-down', 'stream-up': 'stream-up' };

/** Who has figures over TLS: the others sit on node:https or undici as they do on node:http, and would tell nothing new. */
const secureClients = new Set(['ferropool', 'undici', 'wreq-js', 'node-http', 'ceiling']);

/** Who has figures through a proxy: those with a way of their own to one that keeps both kinds of connection. */
const proxiedClients = new Set(['ferropool', 'undici', 'ceiling']);

/**
 * Whether a client has a figure in a scenario at all: without Node.js there is nothing to import, and wreq-js gathers
 * an upload in memory before it sends any of it.
 */
export function takesPart(name, scenario) {
  if (isProxied(scenario) && !proxiedClients.has(name)) return false;
  if (isSecure(scenario) && !secureClients.has(name)) return false;
  if (name === 'ceiling') return scenario.kind !== 'cold';
  return !(name === 'wreq-js' && scenario.kind === 'stream-up');
}

/** Ends whatever is being measured and waits until it is gone; for a run that is interrupted. */
export function endAll() {
  const gone = [...running].map((child) => new Promise((resolve) => child.once('close', resolve)));
  for (const child of running) child.kill('SIGKILL');
  return Promise.all(gone);
}

function measured(command, args, withinSeconds) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    const output = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr']) {
      child[stream].setEncoding('utf8').on('data', (text) => (output[stream] += text));
    }
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, withinSeconds * 1000);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(limit);
      running.delete(child);
      if (code === 0) return resolve(JSON.parse(output.stdout));
      return reject(
        new Error(
          late
            ? `it did not end within ${withinSeconds} s`
            : (cause(output.stderr) ?? `it ended with ${signal ?? code}`),
        ),
      );
    });
  });
}

/** The sentence in what a process said last: Node.js prints a stack, Rust the error; paths of this machine are of no interest. */
function cause(text) {
  const line = /^(?:\w*Error(?: \[\w+\])?|Error): .*$/m.exec(text)?.[0] ?? text.trim().split('\n').at(-1);
  return line === '' ? null : line.replaceAll(root + path.sep, '').replace(/^Error: /, '');
}

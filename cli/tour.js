/**
 * The tour of `npm start`: the README's first example, shown and run, a request over TLS, then clients side by side on the
 * same pages.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { typescriptLoader } from '../scripts/run.js';
import { bar, table } from './picture.js';
import { startOrigin } from './start-origin.js';

/** Of each round. */
const SECONDS = 1;
const ROUNDS = 2;
const CONCURRENCY = 50;
const CONTESTANTS = ['ferropool', 'undici', 'node:http'];

/** Runs the whole tour; whether everything in it went well. */
export async function tour() {
  const origin = await startOrigin();
  try {
    console.log(`A server listens on port ${origin.port} of this machine, in a process of its own.`);
    const example = await runExample(origin.port);
    const secure = example && (await showSecure(origin.securePort));
    const race = secure && (await sideBySide());
    if (race) console.log('\nYour own: npm start -- https://example.com/');
    return race;
  } finally {
    origin.stop();
  }
}

async function runExample(port) {
  const file = fileURLToPath(new URL('../examples/quick-start.ts', import.meta.url));
  const source = readFileSync(file, 'utf8').replace(/^\/\*\*[\s\S]*?\*\/\n/, '');
  console.log(`\nexamples/quick-start.ts\n\n${indented(source)}\n\nprints\n`);
  const { status, output } = await finished([...typescriptLoader, file, String(port)]);
  console.log(indented(output));
  if (status !== 0) console.error(`\nThe example ended with status ${status}.`);
  return status === 0;
}

/** By the command. Its certificate is of an authority of its own, which is trusted for this request alone. */
async function showSecure(port) {
  console.log('\nThe same server over TLS: what a request took, and who answered');
  const [command, authority] = ['../dist/cli.js', 'authority.pem'].map((file) =>
    fileURLToPath(new URL(file, import.meta.url)),
  );
  const words = ['--cacert', authority, `https://localhost:${port}/slow`];
  console.log(`\nferropool --cacert cli/authority.pem ${words[2]}\n`);
  const child = spawn(process.execPath, [command, ...words], { stdio: ['ignore', 'inherit', 'inherit'] });
  const [status] = await once(child, 'close');
  return status === 0;
}

async function sideBySide() {
  console.log(
    `\nSide by side: ${CONCURRENCY} at a time, ${ROUNDS} rounds of ${SECONDS} s in turn, each in a process of its own\n`,
  );
  const responder = await startOrigin('responder.js');
  const rounds = [];
  try {
    for (let round = 1; round <= ROUNDS; round += 1) {
      for (const name of CONTESTANTS) {
        process.stderr.write(`  ${name} (${round} of ${ROUNDS}) …\n`);
        const result = await contest(name, responder.port);
        if (result.error) console.error(`  ${name}: ${result.error}`);
        else rounds.push(result);
      }
    }
  } finally {
    responder.stop();
  }
  const results = CONTESTANTS.flatMap((name) => average(rounds.filter((one) => one.name === name)));
  if (!results.some(({ name }) => name === 'ferropool')) return false;
  const plain = !process.stdout.isTTY;
  const fastest = Math.max(...results.map(({ perSecond }) => perSecond));
  const rows = results.map(({ name, version, perSecond, mainMicros, processMicros }) => [
    `${name} ${version}`,
    Math.round(perSecond).toLocaleString('en'),
    mainMicros === null ? 'n/a' : mainMicros.toFixed(1),
    processMicros.toFixed(1),
    bar(perSecond, fastest, 32, plain),
  ]);
  const lines = table([['client', 'requests/s', 'main µs', 'all µs', ''], ...rows], [1, 2, 3]);
  console.log(indented(`\n${lines.join('\n')}`));
  console.log(
    indented(
      '\nmain: CPU time of the JavaScript thread for one request; all: of the whole process. The server answers each request\n' +
        'with the same page and shares this machine; `npm run bench` measures with care, against nginx where there is one.',
    ),
  );
  return true;
}

/** A client's rounds as one; none if it had none. */
function average(rounds) {
  if (rounds.length === 0) return [];
  const mean = (figure) => rounds.reduce((sum, round) => sum + round[figure], 0) / rounds.length;
  const [{ name, version, mainMicros }] = rounds;
  return [
    {
      name,
      version,
      perSecond: mean('perSecond'),
      mainMicros: mainMicros === null ? null : mean('mainMicros'),
      processMicros: mean('processMicros'),
    },
  ];
}

async function contest(name, port) {
  const program = fileURLToPath(new URL('contestant.js', import.meta.url));
  const { status, output } = await finished([program, name, String(port), String(SECONDS), String(CONCURRENCY)]);
  return status === 0 ? JSON.parse(output) : { name, error: `ended with status ${status}` };
}

/** Runs a program of ours with this Node; what it complains about is shown at once, what it prints is returned. */
async function finished(args) {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
  });
  const [status, signal] = await once(child, 'close');
  return { status: signal ?? status, output: output.trimEnd() };
}

function indented(text) {
  return text.trimEnd().replaceAll(/^(?=.)/gm, '  ');
}

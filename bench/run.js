/**
 * The benchmark: starts a server, measures every client in every scenario in interleaved rounds, and writes what it saw.
 * `node bench/run.js --help` lists the options, README.md says what the figures mean.
 */
import { ask } from '../scripts/run.js';
import { endAll, measure, probe, takesPart } from './contestants.js';
import { compareWithFloors } from './floors.js';
import { describeMachine, loadNow } from './machine.js';
import { parseOptions, usage } from './options.js';
import { buildCeiling, installRivals } from './prepare.js';
import { headline, progressLine, writeReport } from './report.js';
import { makeBodies, isStream } from './scenarios.js';
import { startServer } from './server.js';
import { summary } from './statistics.js';

process.exitCode = await main();

async function main() {
  let options;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    console.error(`${error.message}\n\n${usage}`);
    return 2;
  }
  if (options.help) {
    console.log(usage);
    return 0;
  }

  if (!installRivals()) return complain('The clients to compare with could not be installed; see what npm says above.');
  const kinds = new Set(options.scenarios.map(({ kind }) => kind));
  const uploads = kinds.has('stream-up');
  const tunnels = options.scenarios.some(({ transport }) => transport === 'connect');
  const ceiling = uploads || tunnels || options.clients.includes('ceiling') ? buildCeiling() : null;
  const { versions, skipped } = await rollCall(options.clients, ceiling);
  for (const [name, reason] of Object.entries(skipped)) console.log(`${name} does not take part: ${reason}`);
  if (options.require && Object.keys(skipped).length > 0) return complain('A client that has to take part cannot.');

  const bodies = makeBodies(newToken(), kinds.has('stream-down') ? options.streamSize : 0);
  const server = await startServer(options.server, bodies, { sink: uploads, tunnel: tunnels, ceiling });
  const interruption = stopWhenInterrupted(server);
  try {
    const run = {
      date: new Date().toISOString(),
      revision: revision(),
      machine: describeMachine(),
      server: server.name,
    };
    Object.assign(run, {
      rounds: options.rounds,
      seconds: options.seconds,
      warmup: options.warmup,
      coldStarts: options.coldStarts,
      streamSize: options.scenarios.some(isStream) ? options.streamSize : null,
      clients: versions,
      skipped,
    });
    console.log(headline(run));
    run.scenarios = await measureAll(Object.keys(versions), options, server, ceiling);
    run.machine.loadAfter = loadNow();
    console.log(writeReport(run, options.isWhole));
    return options.check ? check(run, options) : 0;
  } catch (error) {
    return interruption.happened ? 130 : complain(`The run failed. ${error.message}`);
  } finally {
    interruption.forget();
    await server.stop();
  }
}

/** Who can take part, with versions, and who cannot, with the reason. */
async function rollCall(names, ceiling) {
  const [versions, skipped] = [{}, {}];
  for (const name of names) {
    const { version, reason } = await probe(name, ceiling);
    if (version) versions[name] = version;
    else skipped[name] = reason;
  }
  return { versions, skipped };
}

async function measureAll(clients, options, server, ceiling) {
  const results = [];
  for (const scenario of options.scenarios) {
    const taking = clients.filter((name) => takesPart(name, scenario));
    const rounds = await measureRounds(taking, scenario, options, server, ceiling);
    const { name, title, concurrency, kind } = scenario;
    results.push({ name, title, concurrency, kind, clients: summarise(taking, rounds) });
  }
  return results;
}

/** Within a round one after the other, each round beginning with the next: no client always follows the same one. */
async function measureRounds(clients, scenario, options, server, ceiling) {
  const count = scenario.kind === 'cold' ? options.coldStarts : options.rounds;
  const rounds = [];
  for (let round = 0; round < count; round += 1) {
    const turn = round % Math.max(clients.length, 1);
    const figures = {};
    for (const name of [...clients.slice(turn), ...clients.slice(0, turn)]) {
      try {
        figures[name] = await measure(name, scenario, {
          server,
          seconds: options.seconds,
          warmup: options.warmup,
          size: options.streamSize,
          ceiling,
        });
      } catch (error) {
        throw new Error(`${name} in ${scenario.name}: ${error.message}`, { cause: error });
      }
      console.log(progressLine(scenario, round + 1, count, name, figures[name]));
    }
    rounds.push(figures);
  }
  return rounds;
}

/** For each client and measure the median with what lies around it, and the single rounds for whoever wants to look. */
function summarise(clients, rounds) {
  const measures = ['rate', 'main', 'process', 'p50', 'p99', 'wall', 'rss'];
  return Object.fromEntries(
    clients.map((name) => {
      const figures = rounds.map((round) => round[name]);
      const medians = measures.map((measured) => [measured, summary(figures.map((figure) => figure[measured]))]);
      return [name, { ...Object.fromEntries(medians), rounds: figures }];
    }),
  );
}

function check(run, options) {
  const verdicts = compareWithFloors(run.scenarios, options);
  if (verdicts.length === 0) return complain('No floor concerns the chosen scenarios and clients.');
  console.log(verdicts.map(({ line }) => line).join('\n'));
  const missed = verdicts.filter(({ ok }) => !ok).length;
  console.log(`${verdicts.length - missed} floors reached, ${missed} missed`);
  return missed === 0 ? 0 : 1;
}

/** A token of this run, so that no body can come from anywhere else. */
function newToken() {
  return Math.random().toString(36).slice(2, 10).padEnd(8, '0');
}

/** The commit that is measured, marked when files differ from it; null outside a repository. */
function revision() {
  const commit = ask('git', ['rev-parse', '--short', 'HEAD']);
  return commit && ask('git', ['status', '--porcelain', '--untracked-files=no']) ? `${commit} with changes` : commit;
}

function stopWhenInterrupted(server) {
  const interruption = { happened: false, forget: () => process.off('SIGINT', stop).off('SIGTERM', stop) };
  const stop = async () => {
    interruption.happened = true;
    await endAll();
    await server.stop();
    process.exit(130);
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  return interruption;
}

function complain(sentence) {
  console.error(sentence);
  return 1;
}

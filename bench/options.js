/** The command line: what may be asked for, and a plain sentence for what may not. */
import { parseArgs } from 'node:util';
import { clientNames } from './contestants.js';
import { scenarios, shortStreamSize, shortWarmup, streamSize, warmup } from './scenarios.js';

export const usage = `node bench/run.js [options]

  --scenario a,b     only these (${scenarios.map(({ name }) => name).join(', ')})
  --clients a,b      only these (${clientNames.join(', ')})
  --rounds N         rounds per scenario, 5 unless given
  --seconds S        measured seconds per client and round, 2 unless given
  --server NAME      nginx or node; nginx where there is one, unless given
  --smoke            one round of 0.3 s, small streams: shows that all of it works, not how fast anything is
  --check            compare with the floors in floors.json; the status is 1 when one is not reached
  --require          a client that cannot be imported fails the run instead of being skipped (--check implies it)
  --help             this`;

/** Options from arguments; throws an Error whose message is meant for the user. */
export function parseOptions(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      scenario: { type: 'string' },
      clients: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      server: { type: 'string' },
      smoke: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      require: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const names = scenarios.map(({ name }) => name);
  const chosen = listed('scenario', values.scenario, names);
  return {
    scenarios: scenarios.filter(({ name }) => chosen.includes(name)),
    clients: listed('clients', values.clients, clientNames),
    rounds: positive('rounds', values.rounds ?? (values.smoke ? '1' : '5'), Number.isInteger),
    seconds: positive('seconds', values.seconds ?? (values.smoke ? '0.3' : '2'), Number.isFinite),
    warmup: values.smoke ? shortWarmup : warmup,
    streamSize: values.smoke ? shortStreamSize : streamSize,
    coldStarts: values.smoke ? 1 : 10,
    server: values.server === undefined ? null : listed('server', values.server, ['nginx', 'node'])[0],
    smoke: values.smoke,
    check: values.check,
    require: values.require || values.check,
    help: values.help,
    // Only a run of everything may replace the published figures.
    isWhole: !values.smoke && values.scenario === undefined && values.clients === undefined,
  };
}

function listed(option, text, known) {
  if (text === undefined) return known;
  const wanted = text.split(',');
  const unknown = wanted.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`--${option}: there is no "${unknown}"; there are: ${known.join(', ')}`);
  return known.filter((name) => wanted.includes(name));
}

function positive(option, text, isRight) {
  const value = Number(text);
  if (!isRight(value) || value <= 0) throw new Error(`--${option} wants a number above 0, not "${text}"`);
  return value;
}

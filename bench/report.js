/** What a run leaves behind: lines while it goes on, then latest.json, latest.md and the charts. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { barChart } from './chart.js';
import { isStream, rateUnit } from './scenarios.js';

const results = fileURLToPath(new URL('results', import.meta.url));

/** The machine, its load and all versions: before any number. */
export function headline(run) {
  return facts(run)
    .map(([name, value]) => `${`${name}:`.padEnd(12)}${value}`)
    .join('\n');
}

function facts({ date, revision, machine, server, clients, rounds, seconds, warmup, coldStarts, streamSize }) {
  const load =
    machine.loadAfter === undefined
      ? figure(machine.load)
      : `${figure(machine.load)} before, ${figure(machine.loadAfter)} after`;
  const busy = machine.load !== null && machine.load > machine.cores / 2;
  return [
    ['date', date],
    ['revision', revision ?? 'unknown'],
    ['machine', `${machine.processor}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}`],
    ['load', busy ? `${load} (busy: trust ratios at most)` : load],
    ['node', machine.node],
    ['server', server],
    [
      'clients',
      Object.entries(clients)
        .map(([name, version]) => `${name} (${version})`)
        .join(', '),
    ],
    [
      'rounds',
      `${rounds} of ${seconds} s after a warm-up of at least ${warmup.seconds} s (until ${warmup.requests} requests, or ${warmup.atMost} s); cold starts: ${coldStarts}${streamSize ? `; streamed bodies of ${streamSize / 2 ** 20} MiB` : ''}`,
    ],
  ];
}

export function progressLine(scenario, round, rounds, client, { rate, main, wall }) {
  const value =
    wall === undefined ? `${figure(rate)} ${rateUnit(scenario)}, main ${figure(main)} µs` : `${figure(wall)} ms`;
  return `${scenario.name.padEnd(14)} ${`${round}/${rounds}`.padEnd(6)} ${client.padEnd(13)} ${value}`;
}

/** Writes the files (a partial run's where they disturb nothing); gives the tables for the terminal. */
export function writeReport(run, isWhole) {
  const folder = isWhole ? results : path.join(results, 'partial');
  mkdirSync(folder, { recursive: true });
  const write = (name, text) => writeFileSync(path.join(folder, name), text);
  const tables = run.scenarios.map(table).join('\n');
  write('latest.json', `${JSON.stringify(run, null, 2)}\n`);
  write('throughput.svg', throughputChart(run));
  write('main-thread.svg', mainThreadChart(run));
  if (isWhole) write('headline.svg', headlineChart(run));
  write('latest.md', page(run, tables, isWhole ? '../README.md' : '../../README.md'));
  return `\n${tables}\nwritten to bench/results/${isWhole ? '' : 'partial/'}latest.md`;
}

function page(run, tables, readme) {
  const lines = facts(run).map(([name, value]) => `- ${name}: ${value}`);
  const skipped = Object.entries(run.skipped).map(([name, reason]) => `- ${name} did not take part: ${reason}`);
  return `# Latest run

${[...lines, ...skipped].join('\n')}

![Requests per second](throughput.svg)

![CPU of the JavaScript thread](main-thread.svg)

Medians over the rounds, with the least and the greatest in brackets. "main" is CPU of the thread that runs JavaScript and
"process" CPU of all threads, both in µs a request, or a MiB where a body is streamed. What is measured and what is not claimed: [README](${readme}).

${tables}`;
}

function table(scenario) {
  if (scenario.kind === 'cold') return coldTable(scenario);
  return isStream(scenario) ? streamTable(scenario) : loadTable(scenario);
}

function loadTable(scenario) {
  const { clients } = scenario;
  const base = clients.undici?.rate.median;
  const rows = byMedian(clients, 'rate', -1).map(([name, { rate, main, process: all, p50, p99, rss }]) => [
    name,
    spread(rate),
    base ? figure(rate.median / base) : '-',
    spread(main),
    figure(all?.median),
    figure(p50?.median),
    figure(p99?.median),
    figure(rss?.median),
  ]);
  return tableOf(
    scenario,
    ['client', 'requests/s', '× undici', 'main µs', 'process µs', 'p50 ms', 'p99 ms', 'peak MiB'],
    rows,
  );
}

/** A latency of one such body would be its size divided by the rate, so there is none. */
function streamTable(scenario) {
  const { clients } = scenario;
  const base = clients.undici?.rate.median;
  const rows = byMedian(clients, 'rate', -1).map(([name, { rate, main, process: all, rss }]) => [
    name,
    spread(rate),
    base ? figure(rate.median / base) : '-',
    spread(main),
    figure(all?.median),
    figure(rss?.median),
  ]);
  return tableOf(scenario, ['client', 'MiB/s', '× undici', 'main µs/MiB', 'process µs/MiB', 'peak MiB'], rows);
}

function coldTable(scenario) {
  const rows = byMedian(scenario.clients, 'wall', 1).map(([name, { wall, rss }]) => [
    name,
    spread(wall),
    figure(rss?.median),
  ]);
  return tableOf(scenario, ['client', 'wall ms', 'peak MiB'], rows);
}

/** By its name, which is what the pages call it and what `--scenario` takes. */
function tableOf({ name, title }, head, rows) {
  const cells = [head, head.map((_, column) => (column === 0 ? '---' : '--:')), ...rows];
  return `### ${name}: ${title}\n\n${cells.map((row) => `| ${row.join(' | ')} |`).join('\n')}\n`;
}

function byMedian(clients, measure, direction) {
  return Object.entries(clients)
    .filter(([, figures]) => figures[measure])
    .toSorted(([, one], [, other]) => direction * (one[measure].median - other[measure].median));
}

function throughputChart({ scenarios, machine }) {
  return barChart({
    title: 'Requests per second; streams: MiB/s (more is better)',
    note: `Node.js ${machine.node}, ${machine.cores} cores; ceiling: hyper alone, without Node.js`,
    groups: scenarios.filter(({ kind }) => kind !== 'cold').map((scenario) => bars(scenario, 'rate', -1)),
  });
}

function mainThreadChart({ scenarios, machine }) {
  return barChart({
    title: 'CPU of the JavaScript thread, µs a request; streams: µs a MiB; cold start, ms (less is better)',
    note: `Node.js ${machine.node}, ${machine.cores} cores`,
    groups: scenarios.map((scenario) => bars(scenario, scenario.kind === 'cold' ? 'wall' : 'main', 1)),
  });
}

/** What the README shows: one scenario, by what it brings and by what it costs. */
function headlineChart({ scenarios, machine }) {
  const scenario = scenarios.find(({ name }) => name === 'small-100');
  return barChart({
    title: '183 bytes, 100 requests at a time',
    note: `${machine.processor}, ${machine.cores} cores, Node.js ${machine.node}; ceiling: hyper alone, without Node.js`,
    groups: [
      { ...bars(scenario, 'rate', -1), title: 'Requests per second (more is better)' },
      { ...bars(scenario, 'main', 1), title: 'CPU of the JavaScript thread, µs a request (less is better)' },
    ],
  });
}

function bars({ title, clients }, measure, direction) {
  const list = byMedian(clients, measure, direction).map(([label, figures]) => ({
    label,
    value: figures[measure].median,
    text: figure(figures[measure].median),
  }));
  return { title, bars: list };
}

function spread(value) {
  return value ? `${figure(value.median)} (${figure(value.least)}–${figure(value.greatest)})` : '-';
}

/** Three digits that mean something, thousands apart. */
export function figure(value) {
  if (value === null || value === undefined) return '-';
  const rounded = value === 0 ? 0 : Number(value.toPrecision(3));
  return rounded >= 1000 ? rounded.toLocaleString('en-US') : String(rounded);
}

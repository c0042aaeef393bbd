/**
 * One measured process: one client, one scenario, one figure. The runner starts it with a JSON argument and reads the
 * JSON line that it prints. A process of its own, so that no client inherits another's heap, optimised code or sockets.
 *
 *   { client, probe: true }                               can it be imported, and which version is it
 *   { client, scenario: 'cold', server, expect }          the time from its import to its first answer
 *   { client, scenario, server, expect, seconds, warmup } N loops for so many seconds
 *   { client, scenario: 'stream-…', …, size }             bodies of that many bytes, one after the other
 *
 * `server` is { host, port, origin, proxy, transport, ca }: `transport` as in scenarios.js, `proxy` the URL of the one to go
 * through, `ca` the file of the authority to trust with TLS. `expect` is the file of the body that has to come, or of what it repeats.
 */
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuTimes, peakMemory } from './machine.js';
import { isStream, makeCheck, scenarios } from './scenarios.js';
import { percentile } from './statistics.js';
import { measureStream } from './streams.js';

/** A thousand connections on a busy machine may need a while; more milliseconds than this are a fault, not load. */
const endsWithin = 120_000;

const task = JSON.parse(process.argv[2]);
const client = await import(`./clients/${task.client}.js`);
const result = await perform();
// Some clients keep their sockets or threads for a while; the figure is there and nothing is left to wait for.
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));

async function perform() {
  if (task.probe) {
    await client.open({ host: '127.0.0.1', port: 9, origin: 'http://127.0.0.1:9' }, 1);
    return { version: client.version() };
  }
  const scenario = scenarios.find(({ name }) => name === task.scenario);
  if (isStream(scenario)) return stream(scenario);
  const check = makeCheck(scenario, readFileSync(task.expect));
  return scenario.kind === 'cold' ? coldStart(scenario, check) : load(scenario, check);
}

async function coldStart(scenario, check) {
  const began = performance.now();
  const opened = await client.open(task.server, 1);
  check(await opened.bytes(scenario.path), true);
  return { wall: performance.now() - began, rss: peakMemory() };
}

async function stream(scenario) {
  const block = scenario.kind === 'stream-down' ? readFileSync(task.expect) : null;
  const opened = await client.open(task.server, scenario.concurrency);
  const figures = await measureStream(opened, scenario, task, block);
  await opened.close();
  return figures;
}

async function load(scenario, check) {
  const opened = await client.open(task.server, scenario.concurrency);
  const fetchBody = { bytes: opened.bytes, json: opened.text, text: opened.text, gzip: opened.decoded }[scenario.kind];
  const state = { phase: 'warming', cold: scenario.concurrency, done: 0, counted: 0, latencies: roomForLatencies() };
  const step = async () => check(await fetchBody(scenario.path), state.phase === 'warming');

  const loops = Promise.all(Array.from({ length: scenario.concurrency }, () => loop(step, state)));
  const failed = loops.then(() => new Promise(() => {}));
  await Promise.race([warmUp(task.warmup, state), failed]);
  const before = snapshot();
  state.phase = 'measuring';
  await Promise.race([measuredTime(state), failed]);
  const after = snapshot();
  state.phase = 'over';
  const figures = compute(state.counted, state.latencies, before, after);
  await loops;
  await opened.close();
  return figures;
}

/** Room for more than any client reaches; what is not written to costs no memory. */
function roomForLatencies() {
  return new Float64Array(Math.ceil(Math.min(Math.max(task.seconds, 1) * 200_000, 1 << 22)));
}

/** One of the concurrent users: asks, checks, asks again. A latency reaches from one checked body to the next. */
async function loop(step, state) {
  await step();
  state.cold -= 1;
  let began = performance.now();
  while (state.phase !== 'over') {
    await step();
    const now = performance.now();
    state.done += 1;
    if (state.phase === 'measuring') {
      if (state.counted < state.latencies.length) state.latencies[state.counted] = now - began;
      state.counted += 1;
    }
    began = now;
  }
}

/** What ended between the two looks at the clocks is counted; what was still on its way is not. */
function compute(requests, latencies, before, after) {
  const sorted = latencies.slice(0, requests).toSorted();
  const seconds = (after.at - before.at) / 1000;
  const perRequest = (from, to) => (from === null || to === null ? null : (to - from) / Math.max(requests, 1));
  return {
    requests,
    seconds,
    rate: requests / seconds,
    main: perRequest(before.cpu.main, after.cpu.main),
    process: perRequest(before.cpu.process, after.cpu.process),
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    rss: peakMemory(),
  };
}

/**
 * The set time at least, then until every loop has had a checked answer (connecting is not what is measured) and V8 has
 * had enough requests, or enough time, to compile what is hot: on a busy machine the set time alone favours native code.
 */
async function warmUp(warmup, state) {
  const began = performance.now();
  await sleep(warmup.seconds * 1000);
  for (;;) {
    const elapsed = performance.now() - began;
    if (state.cold === 0 && (state.done >= warmup.requests || elapsed >= warmup.atMost * 1000)) return;
    if (elapsed > endsWithin) throw new Error('not every loop had an answer in time');
    await sleep(5);
  }
}

/** The set time, and longer only when nothing at all has ended in it: there is no rate without a request. */
async function measuredTime(state) {
  const began = performance.now();
  await sleep(task.seconds * 1000);
  while (state.counted === 0) {
    if (performance.now() - began > endsWithin) throw new Error('no request ended in the measured time');
    await sleep(5);
  }
}

function snapshot() {
  return { at: performance.now(), cpu: cpuTimes() };
}

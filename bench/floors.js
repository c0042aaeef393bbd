/**
 * What ferropool promises against others, as ratios of two medians of the same run: a figure of one machine says
 * nothing on another, a ratio on the same machine does.
 */
import { readFileSync } from 'node:fs';
import { rateUnit } from './scenarios.js';

const names = { main: 'CPU of the JavaScript thread', p50: 'p50', wall: 'cold start' };

/** Every floor that concerns the chosen scenarios and clients: `[{ ok, line }]`. A floor without a figure is not reached. */
export function compareWithFloors(results, { scenarios, clients }) {
  const floors = JSON.parse(readFileSync(new URL('floors.json', import.meta.url), 'utf8'));
  return floors
    .filter((floor) => scenarios.some(({ name }) => name === floor.scenario))
    .filter((floor) => clients.includes(floor.against) && clients.includes('ferropool'))
    .map((floor) => judge(floor, results));
}

function judge({ scenario, measure, against, atLeast, atMost }, results) {
  const measured = results.find(({ name }) => name === scenario);
  const of = (client) => measured?.clients[client]?.[measure];
  const [ours, theirs] = [of('ferropool'), of(against)];
  const bound = atLeast === undefined ? `at most ${atMost}` : `at least ${atLeast}`;
  const what = `${scenario}: ${names[measure] ?? rateUnit(measured)} against ${against}`;
  if (!ours || !theirs) return { ok: false, line: `✘ ${what}: not measured, ${bound} wanted` };
  const ratio = ours.median / theirs.median;
  const ok = atLeast === undefined ? ratio <= atMost : ratio >= atLeast;
  return { ok, line: `${ok ? '✔' : '✘'} ${what}: ${ratio.toPrecision(3)}, ${bound} wanted` };
}

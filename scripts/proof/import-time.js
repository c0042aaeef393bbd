/** How long a fresh process takes to import the package: told, not judged, since it is the machine's time as much. */
import path from 'node:path';
import { project, succeed } from './harness.js';

const RUNS = 11;

export async function importTimes(runtimes, projects) {
  const lines = ['A fresh process imports the package (median of 11, milliseconds):'];
  const script = 'const began = performance.now(); await import("ferropool"); console.log(performance.now() - began);';
  for (const runtime of runtimes.filter(
    ({ needs, slow, platform }) => !slow && (needs ?? null) === null && projects[platform],
  )) {
    const folder = projects[runtime.platform];
    const file = path.join(
      project(path.relative(path.dirname(folder), folder), { 'import-time.mjs': script }),
      'import-time.mjs',
    );
    const times = [];
    for (let nth = 0; nth < RUNS; nth += 1)
      times.push(Number(await succeed([...runtime.command, file], { cwd: folder })));
    times.sort((a, b) => a - b);
    lines.push(
      `  ${runtime.name}: ${times[(RUNS - 1) / 2].toFixed(1)}, from ${times[0].toFixed(1)} to ${times.at(-1).toFixed(1)}`,
    );
  }
  return lines;
}

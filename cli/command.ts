/** The command, whole: from words to an exit code. What it reads and writes is handed to it. */
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import type { Result } from './answer.ts';
import { loadDocument, requestDocument } from './document.ts';
import { exchange, type Job, type Library, type Run } from './exchange.ts';
import { failureLines, isOfOptions } from './failure.ts';
import { HELP } from './help.ts';
import { load, type Load } from './load.ts';
import { unlessAborted } from './patience.ts';
import { ProgressLine } from './progress.ts';
import { reportLines } from './report.ts';
import { managerOptions, methodOf, remoteName, requestOptions, sent } from './requests.ts';
import { understand, UsageError, type Settings } from './settings.ts';
import { fileSink, streamSink, written, type Sink } from './sink.ts';
import { summaryLines } from './summary.ts';
import { draw, harmlessJson, line, viewOf, wholeLine, type Line } from './text.ts';

/** What the command talks to: a process has all of it. */
export interface Surroundings {
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly env: NodeJS.ProcessEnv;
  /** Aborted when the person has had enough. */
  readonly signal: AbortSignal;
}

/** How it ended. */
export const EXIT = { fine: 0, failed: 1, usage: 2, status: 22, interrupted: 130, pipe: 141 } as const;

/** Runs the command; resolves with its exit code, and rejects with a bug or with what writing met. */
export async function command(words: readonly string[], around: Surroundings): Promise<number> {
  let settings: Settings;
  try {
    const understood = understand(words);
    if (understood === 'help' || understood === 'version') {
      await written(around.stdout, understood === 'help' ? HELP : versionText());
      return EXIT.fine;
    }
    settings = understood;
    if (settings.remoteName) settings.urls.forEach(remoteName);
  } catch (error) {
    return usage(error, around);
  }
  return requestAll(settings, around);
}

async function usage(error: unknown, around: Surroundings): Promise<number> {
  if (!(error instanceof UsageError)) throw error;
  const lines = [wholeLine(['ferropool: ', 'bad'], error.message), line('ferropool --help lists the options')];
  await put(around.stderr, lines, around, false);
  return EXIT.usage;
}

async function requestAll(settings: Settings, around: Surroundings): Promise<number> {
  // As curl: the environment's proxy holds, hop by hop, unless one is named here (or none, by an empty name).
  if (settings.proxy === null) around.env['NODE_USE_ENV_PROXY'] = '1';
  const library = await import('ferropool');
  library.disableWarnings('InsecureRequestWarning');
  library.disableWarnings('FERROPOOL_SHORT_TIMEOUT');
  let run: Run;
  let bodies: Awaited<ReturnType<typeof sent>>;
  try {
    const manager = new library.PoolManager(managerOptions(settings, library));
    run = { library, settings, manager, signal: around.signal };
    bodies = await unlessAborted(sent(settings, around.stdin), around.signal);
  } catch (error) {
    if (error instanceof UsageError) return usage(error, around);
    if (around.signal.aborted) {
      await put(around.stderr, [line('interrupted')], around, settings.noColour);
      return EXIT.interrupted;
    }
    await put(around.stderr, failureLines(settings.proxy ?? 'options', error, Date.now()), around, settings.noColour);
    return EXIT.usage;
  }
  const codes: number[] = [];
  try {
    for (const [index, url] of settings.urls.entries()) {
      if (around.signal.aborted) break;
      const job = jobFor(index, url, settings, bodies, library);
      const one = settings.repeat === null ? single : repeated;
      const code = await one(run, job, around, codes.length > 0);
      if (code === EXIT.usage) return code;
      codes.push(code);
    }
  } finally {
    await run.manager.close({ timeout: 1_000 });
  }
  if (around.signal.aborted) return EXIT.interrupted;
  return [EXIT.failed, EXIT.status].find((code) => codes.includes(code)) ?? EXIT.fine;
}

/** A URL that cannot be parsed is the request's to refuse, so that there is one way of saying it. */
function jobFor(
  index: number,
  url: string,
  settings: Settings,
  body: Awaited<ReturnType<typeof sent>>,
  library: Library,
): Job {
  const method = methodOf(settings);
  try {
    return { index, method, url, options: requestOptions(settings, url, body, library) };
  } catch (error) {
    return { index, method, url, options: {}, refused: error };
  }
}

async function single(run: Run, job: Job, around: Surroundings, again: boolean): Promise<number> {
  const { settings } = run;
  const began = performance.now();
  let reached: { done: number; total: number | null } = { done: 0, total: null };
  // Where the body itself goes to the terminal a line of ours would be in its midst.
  const silent = settings.output === '-' || settings.quiet || settings.json;
  const stream = silent ? { stream: around.stderr, view: () => NO_VIEW } : progressOn(around, settings);
  const progress = new ProgressLine(
    stream.stream,
    stream.view,
    () => ({ ...reached, elapsed: performance.now() - began, unit: 'bytes' }),
    500,
  );
  const result = await exchange(
    run,
    job,
    () => sinkFor(job, around, settings),
    (done, total) => {
      reached = { done, total };
    },
  );
  progress.end();
  // As of words that cannot be understood: a sentence, and no document.
  if (!again && result.answer === null && isOfOptions(result.error)) return unusable(result, around, settings);
  await tellResult(result, settings, around, again);
  if (result.error !== null) return EXIT.failed;
  return settings.fail && (result.answer?.status ?? 0) >= 400 ? EXIT.status : EXIT.fine;
}

/** An option that only a request shows to be wrong, before it sends anything. */
async function unusable(
  { url, error }: Pick<Result, 'url' | 'error'>,
  around: Surroundings,
  settings: Settings,
): Promise<number> {
  await put(around.stderr, failureLines(url, error, Date.now()), around, settings.noColour);
  return EXIT.usage;
}

function sinkFor(
  { url }: Job,
  { stdout }: Surroundings,
  { output, remoteName: named }: Settings,
): Promise<Sink | null> {
  if (output === '-') return Promise.resolve(streamSink(stdout, stdout.isTTY === true));
  const path = named ? remoteName(url) : output;
  return path === null ? Promise.resolve(null) : fileSink(path);
}

/** The report goes where the body does not. */
async function tellResult(result: Result, settings: Settings, around: Surroundings, again: boolean): Promise<void> {
  const { output, json, quiet, verbose, noColour, head } = settings;
  const told = { verbose, now: Date.now() };
  if (json) return written(around.stdout, `${harmlessJson(requestDocument(result, told))}\n`);
  const stream = output === '-' ? around.stderr : around.stdout;
  if (!quiet && result.answer !== null) {
    const shown = { verbose: verbose || head, now: told.now };
    const lines = reportLines(result, shown, viewOf(stream, around.env, noColour));
    await put(stream, again ? [line(), ...lines] : lines, around, noColour);
  }
  if (result.error !== null) {
    const interrupted = around.signal.aborted && result.error === around.signal.reason;
    const lines = interrupted ? [line('interrupted')] : failureLines(result.url, result.error, told.now);
    await put(around.stderr, lines, around, noColour);
  }
}

async function repeated(run: Run, job: Job, around: Surroundings, again: boolean): Promise<number> {
  const { settings } = run;
  const began = performance.now();
  let done = 0;
  const { stream, view } = progressOn(around, settings);
  const progress = new ProgressLine(
    stream,
    view,
    () => ({ done, total: settings.repeat, elapsed: performance.now() - began, unit: 'requests' }),
    200,
  );
  const outcome = await load(run, job, (ended) => {
    done = ended;
  });
  progress.end();
  const [error] = outcome.examples;
  if (!again && outcome.answered === 0 && outcome.examples.length > 0 && outcome.examples.every(isOfOptions)) {
    return unusable({ url: outcome.url, error }, around, settings);
  }
  await tellLoad(outcome, settings, around, again);
  if (outcome.failed > 0) return EXIT.failed;
  const refused = Object.keys(outcome.statuses).some((status) => Number(status) >= 400);
  return settings.fail && refused ? EXIT.status : EXIT.fine;
}

async function tellLoad(outcome: Load, settings: Settings, around: Surroundings, again: boolean): Promise<void> {
  const now = Date.now();
  if (settings.json) {
    return written(around.stdout, `${harmlessJson(loadDocument(outcome, { verbose: settings.verbose, now }))}\n`);
  }
  const lines = summaryLines(outcome, viewOf(around.stdout, around.env, settings.noColour));
  await put(around.stdout, again ? [line(), ...lines] : lines, around, settings.noColour);
  for (const error of outcome.examples) {
    await put(around.stderr, failureLines(outcome.url, error, now), around, settings.noColour);
  }
}

/** Progress goes to stderr, so that what is written to stdout can be kept. */
function progressOn({ stderr, env }: Surroundings, { noColour }: Settings) {
  return { stream: stderr, view: () => viewOf(stderr, env, noColour, 1) };
}

const NO_VIEW = { columns: 80, terminal: false, colour: false, unicode: false };

async function put(
  stream: Surroundings['stdout'],
  lines: readonly Line[],
  { env }: Surroundings,
  noColour: boolean,
): Promise<void> {
  const view = viewOf(stream, env, noColour);
  await written(stream, lines.map((each) => `${draw(each, view)}\n`).join(''));
}

function versionText(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(manifest) as { version: string };
  return `ferropool ${version} (Node.js ${process.version}, ${process.platform} ${process.arch})\n`;
}

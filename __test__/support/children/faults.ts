/**
 * Panics of ours at each edge of the addon, one after the other in one process. Needs `--conditions=ferropool-faults`.
 * Prints what came of each; the process must live through them all, and the last request is an ordinary one.
 */
import { createRequire } from 'node:module';

import { HTTPConnectionPool, HTTPResponse, parseUrl, proxyFromEnv } from '../../../index.ts';
import { httpServer } from '../../servers/http.ts';

const addon = createRequire(import.meta.url)('#ferropool-addon') as {
  armFault(place: string, times: number): void;
  describe(): string;
  Engine: new (onWake: () => void) => { ring(): void; forget(handle: number): void };
};
const large = Buffer.alloc(100_000, 'x');
const server = await httpServer((request, response) => response.end(request.url === '/large' ? large : request.url));
const pool = new HTTPConnectionPool('127.0.0.1', { retries: false, port: server.port, maxsize: 4 });
await pool.request('GET', '/warm');

const report: Record<string, string> = {};
const code = (error: unknown): string => (error as { code?: string }).code ?? String(error);
const ask = (path = '/ok'): Promise<string> =>
  pool
    .request('GET', path)
    .then((response) => (response.data.length > 100 ? `${response.data.length}` : response.text()), code);

/** What this throws once the place is armed, and whether it works again afterwards. */
function thrown(place: string, call: () => unknown): void {
  addon.armFault(place, 1);
  try {
    call();
    report[place] = 'nothing was thrown';
  } catch (error) {
    call();
    report[place] = code(error);
  }
}

thrown('parse-url', () => parseUrl('http://a/'));
thrown('proxy-for', () => proxyFromEnv('http://a/', {}));
thrown('charset-of', () => new HTTPResponse('x').charset);
thrown('decode-text', () => new HTTPResponse('x').text('latin1'));
thrown('open', () => void new HTTPConnectionPool('127.0.0.1', { retries: false, port: 1 }).close());
thrown('figures', () => pool.pool);
thrown('stats', () => pool.stats());
thrown('is-same-host', () => pool.isSameHost('/'));
const response = await pool.request('GET', '/url');
thrown('absolute-url', () => response.url);
// What the facade calls where no test can stand beside it is called directly; the facade's guard is not there.
thrown('describe', () => addon.describe());
thrown('engine', () => new addon.Engine(() => {}));
const engine = new addon.Engine(() => {});
thrown('ring', () => engine.ring());
thrown('forget', () => engine.forget(0));

// The hand-over failed: these calls end, the next ones are served.
addon.armFault('submit', 1);
report['submit'] = (await Promise.all([ask(), ask(), pool.warm(1).catch(code)])).join(' ');
report['after submit'] = await ask();

// What is not delivered now is delivered later.
for (const place of ['drain', 'wake-up', 'needed', 'take-body']) {
  addon.armFault(place, 1);
  report[place] = (await Promise.all([ask(), ask('/large'), ask()])).join(' ');
}
// A drain that fails for good: the calls in flight end.
addon.armFault('drain', 8);
report['drain for good'] = await ask();

// In a task: that call alone. On the thread: every call in flight, and a new thread serves the next.
addon.armFault('task', 1);
report['task'] = await ask();
report['after task'] = await ask();
const busy = ask('/before');
addon.armFault('thread', 1);
report['thread'] = (await Promise.all([busy, ask()])).join(' ');
report['after thread'] = await ask();
addon.armFault('thread', 1);
await ask();
addon.armFault('revive', 1);
report['revive'] = await ask();
report['after revive'] = await ask();

// A wake-up that cannot be made at all is an uncaught exception, not an abort.
const uncaught = new Promise<unknown>((resolve) => process.once('uncaughtException', resolve));
addon.armFault('wake-up', 3);
void ask();
report['wake-up for good'] = code(await uncaught);
await server.close();
console.log(JSON.stringify(report));
process.exit(0);

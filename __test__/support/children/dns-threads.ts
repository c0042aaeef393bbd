/** Eight I/O threads that want a name at once, and one thread for names. Argument: the server's port. */
import { readdirSync, readFileSync } from 'node:fs';

import { configure, PoolManager } from '../../../index.ts';

const port = Number(process.argv[2]);
configure({ ioThreads: 8, dnsThreads: 1 });
const managers = Array.from({ length: 8 }, () => new PoolManager());
// Each engine remembers names for itself.
const served = (await Promise.all(managers.map((one) => one.request('GET', `http://localhost:${port}`)))).filter(
  (response) => response.status === 200,
).length;
// They end after they have been idle for some seconds.
const most = readdirSync('/proc/self/task').filter(
  (task) => readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim() === 'ferropool-dns',
).length;
let refused: unknown = null;
try {
  configure({ dnsThreads: 2 });
} catch (error) {
  refused = (error as { code?: string }).code;
}
// What it is already is no change.
configure({ dnsThreads: 1 });
await Promise.all(managers.map((one) => one.close()));
console.log(JSON.stringify({ served, most, refused }));

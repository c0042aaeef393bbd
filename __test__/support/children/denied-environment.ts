/**
 * A manager with `denyAddresses` in a process whose environment names proxies: for http one that would look names up itself,
 * for https one that leaves that to us, and none for some hosts. Prints what came of each URL, and who was looked up.
 */
import { PoolManager } from '../../../index.ts';

const looked: string[] = [];
const manager = new PoolManager({
  denyAddresses: 'private',
  retries: false,
  resolve: (host) => {
    looked.push(host);
    return '127.0.0.1';
  },
});
const report: Record<string, unknown> = {};
for (const url of ['http://named.test/', 'https://here.test/', 'http://direct.test/']) {
  report[url] = await manager.request('GET', url).then(
    (response) => response.status,
    (error: Error & { code?: string; phase?: string }) => `${error.name} ${error.code} ${error.phase ?? ''}`.trim(),
  );
}
await manager.close();
console.log(JSON.stringify({ ...report, looked }));

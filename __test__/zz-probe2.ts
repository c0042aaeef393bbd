import { rawServer, reply } from './servers/raw.ts';
import { HTTPConnectionPool } from '../index.ts';
const tally: Record<string, number> = {};
for (let i = 0; i < 60; i++) for (const mode of ['reply+rst', 'reply+fin+rst', 'rst', 'fin', 'reply+keep', 'half+rst']) {
  const s = await rawServer(async (p) => { p.socket.pause(); await new Promise((r) => p.socket.once('readable', r)); 
    if (mode.startsWith('reply')) await p.write('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno');
    if (mode.startsWith('half')) await p.write('HTTP/1.1 413 Too Large\r\nContent-Length: 20\r\n\r\nno');
    if (mode === 'fin') p.socket.destroy(); else if (mode.includes('fin')) { p.end(); p.reset(); } else if (mode.includes('rst')) p.reset(); });
  const pool = new HTTPConnectionPool('127.0.0.1', { port: s.port, retries: false, timeout: { total: 3000 } });
  const t0 = performance.now(); let k: string;
  try { const r = await pool.request('POST', '/', { body: Buffer.alloc(16 << 20) }); k = `${mode}: ${r.status} ${r.data}`; }
  catch (e: any) { k = `${mode}: ${e.name} ${e.code} ${e.phase} ${e.reason} ${e.message} / ${e.cause?.message} ${e.cause?.code} sent ${e.sent}`; }
  if (performance.now() - t0 > 500) k += ' SLOW';
  tally[k] = (tally[k] ?? 0) + 1;
  await pool.close({ timeout: 0 }); await s.close().catch(() => {});
}
console.log(tally);
console.log(process.getActiveResourcesInfo());
setTimeout(() => { console.log('after', process.getActiveResourcesInfo()); process.exit(); }, 1000).unref();

/**
 * Sends so many bodies of so many MiB, whose responses go on; prints how much memory is in use in MiB when they all have begun,
 * over what was before. Arguments: port, bodies, MiB of each, `whole` or `pieces`. Needs --expose-gc.
 */
import { HTTPConnectionPool, type HTTPResponse } from '../../../index.ts';
import { MIB, resident, settled } from './resident-peak.ts';

const [port, bodies = 0, each = 0] = process.argv.slice(2, 5).map(Number);
const pool = new HTTPConnectionPool('127.0.0.1', { port: port ?? 0, maxsize: bodies + 1 });
const piece = Buffer.alloc(MIB, 'x');

function* pieces(): Generator<Buffer> {
  for (let nth = 0; nth < each; nth += 1) yield piece;
}

async function begun(): Promise<HTTPResponse> {
  const body = process.argv[5] === 'whole' ? Buffer.alloc(each * MIB, 'x') : pieces();
  const response = await pool.request('POST', '/', { body, preloadContent: false });
  await response.read1();
  return response;
}

const small = (): Promise<HTTPResponse> => pool.request('GET', '/small');
(await begun()).close();
await settled(small);
const before = resident();
const held: HTTPResponse[] = [];
for (let nth = 0; nth < bodies; nth += 1) held.push(await begun());
await settled(small);
const grown = resident() - before;
for (const response of held) response.close();
await pool.close();
console.log(JSON.stringify({ grown }));

/** A loopback port that swallows whoever connects: no answer, no refusal. For what happens while a dial is under way. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';

/** Such a port. */
export interface BlackHole {
  readonly port: number;
  close(): void;
}

/** Fills the queue of a listener that nobody accepts from; Linux drops what comes after. */
export async function blackHole(): Promise<BlackHole> {
  // A process of its own holds the listener: this one's event loop would accept.
  const holder = spawn(process.execPath, ['-e', HOLDER], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(holder.stdout, 'data')) as [Buffer];
  const port = Number(line.toString());
  const fillers: net.Socket[] = [];
  const close = (): void => {
    for (const filler of fillers) filler.destroy();
    holder.kill('SIGKILL');
  };
  for (let nth = 0; nth < 8; nth += 1) {
    const filler = net.connect(port, '127.0.0.1').on('error', () => undefined);
    fillers.push(filler);
    const silence = new Promise<false>((resolve) => setTimeout(() => resolve(false), 300));
    if (await Promise.race([once(filler, 'connect').then(() => true), silence])) continue;
    // Where this process stood still, the time is up before what has happened meanwhile was looked at.
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (filler.connecting) return { port, close };
  }
  close();
  throw new Error('the queue does not fill');
}

const HOLDER = `
  const server = require('node:net').createServer();
  server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
    process.stdout.write(server.address().port + '\\n');
    // From here on nobody looks at the queue.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 120_000);
  });`;

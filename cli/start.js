/**
 * `npm start`: without arguments a tour (the README's first example, a request over TLS, three clients side by side) against
 * a server on this machine; with some, the command `ferropool`, which requests URLs and shows where the time went.
 */
import process from 'node:process';

if (process.argv.length > 2) await import('../dist/cli.js');
else {
  const { tour } = await import('./tour.js');
  process.exitCode = (await tour()) ? 0 : 1;
}

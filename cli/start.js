/**
 * `npm start`: without arguments a tour (the README's first example, a request over TLS, three clients side by side) against
 * a server on this machine; with URLs, requests those and shows where the time went.
 */
import process from 'node:process';

const urls = process.argv.slice(2);
if (urls.some((word) => word === '--help' || word === '-h')) {
  console.log(
    'npm start               a tour against a server on this machine\nnpm start -- URL [URL …]  requests these and shows where the time went',
  );
} else if (urls.length === 0) {
  const { tour } = await import('./tour.js');
  process.exitCode = (await tour()) ? 0 : 1;
} else {
  const { requestAll } = await import('./request-all.js');
  process.exitCode = (await requestAll(urls)) ? 0 : 1;
}

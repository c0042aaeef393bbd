/**
 * Bodies too large for memory, both ways: a download to a file with its progress, a form with that file, and a page that is
 * given up at its head.
 * `node --import=tsx examples/large-bodies.ts PORT`, where PORT is a server's on this machine.
 */
import { createWriteStream, openAsBlob } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { HTTPConnectionPool } from 'ferropool';

const port = Number(process.argv[2] ?? process.env['PORT'] ?? 8080);
await using pool = new HTTPConnectionPool('localhost', { port, maxsize: 2, timeout: { connect: 2_000, read: 10_000 } });
const folder = await mkdtemp(path.join(os.tmpdir(), 'ferropool-'));
const file = path.join(folder, 'download');

const download = await pool.request('GET', '/gzip', {
  preloadContent: false,
  onProgress: ({ bytes, total }) => console.log(`${bytes} of ${total ?? 'nobody knows how many'} bytes`),
});
await pipeline(download.toReadable(), createWriteStream(file));
console.log(`${download.status}, ${download.bytesRead} bytes on the wire`);

// The file is read while it is sent; its length is known, so that the server is told.
const upload = await pool.request('POST', '/', {
  fields: { title: 'what was downloaded', file: new File([await openAsBlob(file)], 'download.html') },
});
console.log(`the form: ${upload.status}`);

const page = await pool.request('GET', '/about', {
  accept: ({ headers }) => headers.get('content-type')?.startsWith('image/') ?? false,
});
console.log(page.accepted ? page.data.length : 'not an image, so it was not read');

await rm(folder, { recursive: true });

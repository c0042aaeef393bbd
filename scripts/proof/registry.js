/**
 * A registry on this machine that has the tarballs and nothing else, so that package managers install the package by its
 * name, choose among all platform packages as they will when it is published, and cannot reach anything more.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { platforms } from '../platforms.js';

/** Published long ago: some managers install nothing that is younger than some days. */
const LONG_AGO = '2020-01-01T00:00:00.000Z';

/** Serves `packages` (of `packedPackages`). A platform that is not among them has a package with nothing but its manifest. */
export async function startRegistry(packages) {
  const tarballs = new Map();
  const documents = new Map();
  const server = createServer((asked, answer) => {
    const wanted = decodeURIComponent(new URL(asked.url, 'http://registry.invalid').pathname.slice(1));
    const tarball = tarballs.get(wanted);
    if (tarball !== undefined) {
      answer.writeHead(200, { 'content-type': 'application/octet-stream' }).end(tarball);
      return;
    }
    const document = documents.get(wanted);
    answer.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' });
    answer.end(JSON.stringify(document ?? { error: 'not found' }));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${server.address().port}/`;

  const add = (manifest, bytes) => {
    const { name, version } = manifest;
    const at = `${name}/-/${path.basename(name)}-${version}.tgz`;
    tarballs.set(at, bytes);
    const digest = (algorithm, encoding) => createHash(algorithm).update(bytes).digest(encoding);
    const dist = {
      tarball: address + at,
      shasum: digest('sha1', 'hex'),
      integrity: `sha512-${digest('sha512', 'base64')}`,
    };
    documents.set(name, {
      name,
      'dist-tags': { latest: version },
      versions: { [version]: { ...manifest, _id: `${name}@${version}`, dist } },
      time: { created: LONG_AGO, modified: LONG_AGO, [version]: LONG_AGO },
    });
  };
  for (const { manifest, file } of packages) add(manifest, readFileSync(file));
  const { version } = packages.find(({ platform }) => platform === null);
  for (const { package: name, os, cpu, libc } of platforms.filter((one) => !documents.has(one.package))) {
    const manifest = { name, version, os: [os], cpu: [cpu], ...(libc === null ? {} : { libc: [libc] }) };
    add(manifest, gzipSync(archive('package/package.json', JSON.stringify(manifest))));
  }
  return { address, stop: () => server.close() };
}

/** A tar archive of one small file, as ustar wants it. */
function archive(name, text) {
  const header = Buffer.alloc(512);
  const put = (at, value) => header.write(value, at, 'latin1');
  put(0, name);
  put(100, '0000644\0');
  put(108, '0000000\0');
  put(116, '0000000\0');
  put(124, `${Buffer.byteLength(text).toString(8).padStart(11, '0')}\0`);
  put(136, '00000000000\0');
  // The sum is taken with spaces where it will stand.
  put(148, '        ');
  put(156, '0');
  put(257, 'ustar\0');
  put(263, '00');
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, '0')}\0 `);
  const body = Buffer.alloc(Math.ceil(Buffer.byteLength(text) / 512) * 512);
  body.write(text);
  return Buffer.concat([header, body, Buffer.alloc(1024)]);
}

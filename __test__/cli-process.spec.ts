/** The command as it is installed: `dist/cli.js` in a process of its own, against real servers. */
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { gzipSync } from 'node:zlib';
import test from 'ava';
import { command } from '../cli/command.ts';
import { widthOf } from '../cli/text.ts';
import { nodeServer } from './servers/h2-node.ts';
import { proxyServer } from './servers/proxy.ts';
import { rawServer, reply } from './servers/raw.ts';
import { clocked, within } from './support/clocked.ts';
import { begin, ferropool, folder, served } from './support/command.ts';
import { usual } from './support/pki.ts';

const { ca, leaf } = usual();

/** What a request looked like. */
const echo: RequestListener = (request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (text: string) => (body += text));
  request.on('end', () =>
    response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body })),
  );
};

test('a request is reported as plain text where there is no terminal, and ends with 0', async (t) => {
  const at = await served(t, (_, response) => response.writeHead(404, { 'content-type': 'text/plain' }).end('none'));
  const { code, stdout, stderr } = await ferropool([`${at}/page`]);
  t.deepEqual([code, stderr], [0, '']);
  t.regex(stdout, /^GET http:\/\/127\.0\.0\.1:\d+\/page\n404 Not Found {2}HTTP\/1\.1 {2}4 bytes of text\/plain\n/);
  t.regex(stdout, /\n {2}headers .* ms {2}.*#/);
  t.regex(stdout, /\n {2}total .* ms\n/);
  t.notRegex(stdout, /(?!\n)\p{Cc}|█/u);
});

test('the phases make the total, to people and to programs, and it is no longer than the call', async (t) => {
  const at = await served(t, (_, response) => {
    response.write('o');
    setTimeout(() => response.end('k'), 60);
  });
  const lines = (await ferropool([at])).stdout.split('\n').filter((each) => / ms(?: |$)/.test(each));
  const told = lines.map(
    (each) => [each.slice(2, 10).trim(), Number.parseFloat(each.slice(10).replace(',', ''))] as const,
  );
  const names = told.map(([name]) => name);
  t.deepEqual(names.slice(-2), ['total', 'deliver']);
  const { total = 0, deliver: _, '': _addresses, ...parts } = Object.fromEntries(told);
  const sum = Object.values(parts).reduce((all, part) => all + part, 0);
  t.true(total >= 55 && Math.abs(total - sum) < total * 0.01 + 0.5, lines.join('\n'));

  const { elapsed, response } = JSON.parse((await ferropool(['--json', at])).stdout);
  const { total: whole, deliver, before, ...phases } = response.timings as Record<string, number | null>;
  t.is(before, null);
  t.true((deliver ?? -1) >= 0);
  const made = Object.values(phases).reduce<number>((all, span) => all + (span ?? 0), 0);
  t.true((whole ?? 0) >= made - 0.01 && (whole ?? 0) <= elapsed + 1, JSON.stringify({ elapsed, ...response.timings }));
});

test('a charset is looked for where a body begins, and not in what is no text', async (t) => {
  const at = await served(t, (request, response) => {
    response.setHeader('content-type', request.url === '/page' ? 'text/html' : 'image/png');
    response.write('<!doctype html>');
    setTimeout(() => response.end('<meta charset="shift_jis">'), 20);
  });
  t.regex((await ferropool([`${at}/page`])).stdout, /charset {6}shift_jis, by an HTML meta element/);
  t.notRegex((await ferropool([`${at}/picture`])).stdout, /charset {6}/);
});

test('colours where they are forced, and not where they are refused', async (t) => {
  const at = await served(t, (_, response) => response.end('ok'));
  t.true((await ferropool([at], { env: { FORCE_COLOR: '1' } })).stdout.includes('\u001B[32m200 OK\u001B[0m'));
  t.false((await ferropool(['--no-color', at], { env: { FORCE_COLOR: '1' } })).stdout.includes('\u001B'));
});

test('h2 over TLS: protocol, chain and coding, to people and to programs', async (t) => {
  const page = gzipSync('much ado '.repeat(1_000));
  const server = await nodeServer(
    'h2',
    (_, response) => {
      response.writeHead(200, {
        'content-encoding': 'gzip',
        'content-type': 'text/plain; charset=latin1',
        'set-cookie': 'a=hush',
      });
      response.end(page);
    },
    { cert: leaf.pem, key: leaf.keyPem },
  );
  t.teardown(() => server.close());
  const file = path.join(folder(t), 'ca.pem');
  writeFileSync(file, ca.pem);
  const url = `https://localhost:${server.port}/?token=hush`;
  const trusted = ['--cacert', file, '--resolve', `localhost:${server.port}:127.0.0.1`];
  const { code, stdout } = await ferropool([...trusted, '--h2', url]);
  t.is(code, 0, stdout);
  for (const words of [
    '200  HTTP/2  9,000 bytes',
    'verified as localhost',
    'days left',
    `gzip: ${page.length} to 9,000`,
    'windows-1252, by Content-Type',
  ]) {
    t.true(stdout.includes(words), `${words}\n${stdout}`);
  }
  const told = await ferropool([...trusted, '--json', url, url]);
  const documents = told.stdout
    .trim()
    .split('\n')
    .map((each) => JSON.parse(each));
  t.is(documents.length, 2);
  t.like(documents[0], {
    type: 'request',
    schema: 1,
    index: 0,
    ok: true,
    error: null,
    url: `https://localhost:${server.port}/`,
  });
  t.like(documents[0].response.body, { wireBytes: page.length, decodedBytes: 9_000, coding: 'gzip', decoded: true });
  t.like(documents[0].response.connection, { reused: false, protocol: 'h2' });
  t.true(documents[0].response.connection.tls.chain[0].daysLeft >= 0);
  t.like(documents[1].response.connection, { reused: true });
  t.false(told.stdout.includes('hush'));
  const distrusted = await ferropool([url]);
  t.is(distrusted.code, 1);
  t.regex(distrusted.stderr, /ERR_TLS \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\) in tls after[\s\S]*try: .*--cacert/);
  t.regex((await ferropool(['-k', '--http1', url])).stdout, /200 OK {2}HTTP\/1\.1[\s\S]*not verified/);
});

test('--h2 insists', async (t) => {
  const server = await nodeServer('https', (_, response) => void response.end('old'), {
    cert: leaf.pem,
    key: leaf.keyPem,
  });
  t.teardown(() => server.close());
  const { code, stderr } = await ferropool(['-k', '--h2', `https://127.0.0.1:${server.port}/`]);
  t.is(code, 1);
  t.regex(stderr, /ERR_NO_H2[\s\S]*HTTP\/1\.1/);
  const many = await ferropool(['-k', '--h2', '--repeat', '3', `https://127.0.0.1:${server.port}/`]);
  t.is(many.code, 1);
  t.regex(many.stdout, /errors {7}ERR_NO_H2 +3/);
});

test('--h2-prior-knowledge speaks it at once', async (t) => {
  const server = await nodeServer('h2c', (_, response) => void response.end('new'), { cert: '', key: '' });
  t.teardown(() => server.close());
  const { stdout } = await ferropool(['--h2-prior-knowledge', `http://127.0.0.1:${server.port}/`]);
  t.regex(stdout, /200 {2}HTTP\/2/);
});

test('what is sent: words, files, the standard input, forms and JSON, headers and credentials', async (t) => {
  const at = await served(t, echo);
  const cwd = folder(t);
  writeFileSync(path.join(cwd, 'data.bin'), 'a\r\nb');
  const form = 'application/x-www-form-urlencoded';
  const rows: [string[], object][] = [
    [[], { method: 'GET', body: '', headers: { accept: '*/*', 'accept-encoding': 'gzip,deflate,br,zstd' } }],
    [['-d', 'a=1', '-d', '@data.bin'], { method: 'POST', body: 'a=1&a\r\nb', headers: { 'content-type': form } }],
    [['-d', '@data.bin', '-X', 'PUT'], { method: 'PUT', body: 'a\r\nb', headers: { 'content-length': '4' } }],
    [['-d', '@-'], { method: 'POST', body: 'typed', headers: { 'transfer-encoding': 'chunked' } }],
    [['--json-data', '{}'], { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }],
    [['--no-compressed'], { headers: { 'accept-encoding': 'identity' } }],
    [['-u', 'me:pässword'], { headers: { authorization: `Basic ${Buffer.from('me:pässword').toString('base64')}` } }],
    [['-H', 'X-A: 1', '-H', 'X-A: 2', '-H', 'Accept: text/html'], { headers: { 'x-a': '1, 2', accept: 'text/html' } }],
  ];
  for (const [words, expected] of rows) {
    const { code, stdout, stderr } = await ferropool(['-q', '-o', '-', ...words, at], { cwd, input: 'typed' });
    t.is(code, 0, stderr);
    t.like(JSON.parse(stdout), expected, words.join(' '));
  }
  const bare = await ferropool(['-qo-', '-H', 'User-Agent:', '-H', 'Accept:', at]);
  t.false(/user-agent|"accept"/.test(bare.stdout));
  const known = await ferropool(['-qo-', at.replace('//', '//u:p%40@')]);
  t.like(JSON.parse(known.stdout), { headers: { authorization: `Basic ${Buffer.from('u:p@').toString('base64')}` } });
  const missing = await ferropool(['-d', '@nowhere', at], { cwd });
  t.is(missing.code, 2);
  t.regex(missing.stderr, /cannot be read: ENOENT/);
});

test('-o: a file that is there whole, or not at all', async (t) => {
  const cwd = folder(t);
  const server = await rawServer(async (peer) => {
    const request = await peer.request();
    if (request.includes('/whole')) await peer.write(reply('whole'));
    else await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf');
    peer.socket.end();
  });
  t.teardown(() => server.close());
  const at = `http://127.0.0.1:${server.port}`;
  t.is((await ferropool(['-o', 'kept', `${at}/whole`], { cwd })).code, 0);
  const failed = await ferropool(['-o', 'kept', `${at}/half`], { cwd });
  t.is(failed.code, 1);
  t.regex(failed.stderr, /ERR_INCOMPLETE_READ in body/);
  t.is(readFileSync(path.join(cwd, 'kept'), 'utf8'), 'whole');
  t.is((await ferropool(['-O', '-q', `${at}/whole?a=b`], { cwd })).code, 0);
  t.deepEqual(readdirSync(cwd).toSorted(), ['kept', 'whole']);
  const nowhere = await ferropool(['-o', 'no/such/folder', `${at}/whole`], { cwd });
  t.is(nowhere.code, 1);
  t.regex(nowhere.stderr, /ENOENT/);
  t.is(server.peers.length, 3, 'what cannot be written is not asked for');
});

test('--fail: a status of 400 or more ends with 22, and writes nothing', async (t) => {
  const at = await served(t, (request, response) => response.writeHead(request.url === '/' ? 200 : 500).end('body'));
  const cwd = folder(t);
  t.is((await ferropool(['-f', at])).code, 0);
  t.is((await ferropool(['-f', '-o', 'file', `${at}/bad`], { cwd })).code, 22);
  t.false(existsSync(path.join(cwd, 'file')));
  t.is((await ferropool(['-f', `${at}/bad`, 'http://127.0.0.1:1/'])).code, 1);
});

test('redirects and retries, when they are asked for', async (t) => {
  let busy = 1;
  const at = await served(t, (request, response) => {
    if (request.url === '/old') response.writeHead(302, { location: '/new?token=1' }).end();
    else if (request.url === '/busy' && busy-- > 0) response.writeHead(503).end();
    else response.end('here');
  });
  const stays = await ferropool([`${at}/old`]);
  t.regex(stays.stdout, /\n302 Found[\s\S]*location {5}\/new\?token=1/);
  const follows = await ferropool(['-L', `${at}/old`]);
  t.regex(follows.stdout, /\n200 OK[\s\S]*before[\s\S]*redirect {5}302 to \/new\?token=1\n {2}final url {4}http/);
  const less = await ferropool(['--max-redirects', '0', `${at}/old`]);
  t.deepEqual([less.code, /ERR_MAX_RETRY/.test(less.stderr)], [1, true]);
  t.regex((await ferropool(['--retries', '1', `${at}/busy`])).stdout, /\n200 OK[\s\S]*retry {8}503/);
});

test('-L to another origin: the three headers of secrets stay behind, and any other goes along', async (t) => {
  const other = await served(t, echo);
  const at = await served(t, (_, response) => response.writeHead(302, { location: other }).end());
  const sent = ['Cookie: a=hush', 'Proxy-Authorization: hush', 'X-Api-Key: key'].flatMap((word) => ['-H', word]);
  const { stdout } = await ferropool(['-Lqo-', '-u', 'me:hush', ...sent, at]);
  const { headers } = JSON.parse(stdout);
  t.is(headers['x-api-key'], 'key');
  for (const name of ['authorization', 'cookie', 'proxy-authorization']) t.is(headers[name], undefined, name);
});

test('a proxy by its option, by the environment, and by neither', async (t) => {
  const at = await served(t, (_, response) => response.end('ok'));
  const proxy = await proxyServer();
  t.teardown(() => proxy.close());
  const url = `http://user:hush@127.0.0.1:${proxy.port}`;
  for (const [words, env, through] of [
    [['-x', url], {}, true],
    [[], { http_proxy: url }, true],
    [[], { http_proxy: url, NO_PROXY: '127.0.0.1' }, false],
    [['-x', ''], { http_proxy: url }, false],
  ] as const) {
    const { code, stdout } = await ferropool([...words, at], { env });
    t.is(code, 0);
    t.is(stdout.includes(`proxy        http://127.0.0.1:${proxy.port}`), through, stdout);
    t.false(stdout.includes('hush'));
  }
});

test('THR-510: passwords in URLs stand in no error', async (t) => {
  const { code, stdout, stderr } = await ferropool([
    'http://user:hush@127.0.0.1:1/?hush',
    'http://user:hu/sh@a/',
    '-x',
    'http://u:hush@127.0.0.1:1',
  ]);
  t.is(code, 1);
  t.false(`${stdout}${stderr}`.replace('?hush', '').includes('hush'), stderr);
});

test('--repeat: percentiles, statuses, connections, as text and as JSON', async (t) => {
  let asked = 0;
  const at = await served(t, (_, response) => {
    asked += 1;
    response.writeHead(asked % 4 === 0 ? 500 : 200).end('ok');
  });
  const { code, stdout, stderr } = await ferropool(['--repeat', '40', '--concurrency', '4', at]);
  t.deepEqual([code, stderr], [0, '']);
  t.regex(
    stdout,
    /40 requests, 4 at a time[\s\S]*p50[\s\S]*p99[\s\S]*statuses {5}200 +30 +75\.0 %[\s\S]*500 +10 +25\.0 %/,
  );
  t.regex(stdout, /connections {2}[1-4] opened/);
  const told = JSON.parse((await ferropool(['--repeat', '20', '--json', at])).stdout);
  t.like(told, { type: 'load', ok: true, requested: 20, answered: 20, failed: 0, statuses: { 200: 15, 500: 5 } });
  t.is(told.latency.total.count, 20);
  t.deepEqual([told.connections.opened, told.connections.reused], [1, 19]);
  t.is((await ferropool(['--repeat', '4', '-f', at])).code, 22);
  const refused = await ferropool(['--repeat', '3', 'http://127.0.0.1:1/']);
  t.is(refused.code, 1);
  t.regex(refused.stdout, /errors {7}ECONNREFUSED +3 +100\.0 %/);
  t.regex(refused.stderr, /ECONNREFUSED in connect/);
});

// Once it has told, the command gives what still keeps it 200 ms, and then ends by the signal in place of the code.
clocked('Ctrl-C tells what there is so far, of one request and of many, and leaves no file', async (t) => {
  let asked = (): void => {};
  const stalled = (): Promise<void> => new Promise((resolve) => (asked = resolve));
  const server = await rawServer(async (peer) => {
    for (let number = 1; ; number += 1) {
      await peer.request();
      if (number <= 5) await peer.write(reply('ok'));
      else {
        await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive.');
        asked();
        return;
      }
    }
  });
  t.teardown(() => server.close());
  const many = stalled();
  const load = begin(['--repeat', '50', `http://127.0.0.1:${server.port}/`]);
  await many;
  load.child.kill('SIGINT');
  const loaded = await load.ended;
  t.regex(loaded.stdout, /interrupted after 5 of 50[\s\S]*p50/);
  within(t, loaded.code === 130, `${loaded.code}`);

  const slow = await rawServer(async (peer) => {
    await peer.request();
    await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive.');
    asked();
  });
  t.teardown(() => slow.close());
  const cwd = folder(t);
  const one = stalled();
  const single = begin(['-o', 'file', `http://127.0.0.1:${slow.port}/`], { cwd });
  await one;
  single.child.kill('SIGINT');
  const { code, stderr } = await single.ended;
  t.is(stderr, 'interrupted\n');
  within(t, code === 130, `${code}`);
  t.deepEqual(readdirSync(cwd), []);
});

test('whoever stops reading ends it quietly', async (t) => {
  const at = await served(t, (_, response) => {
    response.on('error', () => {});
    const more = (): void => {
      while (!response.destroyed && response.write('x'.repeat(65_536)));
    };
    response.on('drain', more);
    more();
  });
  const running = begin(['-q', '-o', '-', at]);
  await once(running.child.stdout as NodeJS.ReadableStream, 'data');
  running.child.stdout?.destroy();
  const [code] = await once(running.child, 'exit');
  t.is(code, 141);
  t.is((await running.ended).stderr, '');
});

test('a large body passes through and stays nowhere', async (t) => {
  const most = 300 * 1_048_576;
  const block = Buffer.alloc(1_048_576, 'x');
  const at = await served(t, (_, response) => {
    let left = most;
    const more = (): void => {
      while (left > 0) {
        left -= block.length;
        if (!response.write(block)) return;
      }
      response.end();
    };
    response.on('drain', more);
    more();
  });
  const cwd = folder(t);
  // A heap and buffers that the body does not fit into.
  const { code, stdout, stderr } = await ferropool(['-o', 'large', '--json', at], {
    cwd,
    env: { NODE_OPTIONS: '--max-old-space-size=64' },
  });
  t.is(code, 0, stderr);
  t.is(JSON.parse(stdout).response.body.decodedBytes, most);
  t.is(statSync(path.join(cwd, 'large')).size, most);
});

/** The command in this process, on what says that it is a terminal. */
async function onTerminal(
  words: readonly string[],
  columns: number,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const terminal = (): PassThrough & { isTTY: boolean; columns: number } =>
    Object.assign(new PassThrough(), { isTTY: true, columns });
  const [stdout, stderr] = [terminal(), terminal()];
  const written = { stdout: '', stderr: '' };
  stdout.setEncoding('utf8').on('data', (text: string) => (written.stdout += text));
  stderr.setEncoding('utf8').on('data', (text: string) => (written.stderr += text));
  const around = {
    stdin: new PassThrough(),
    stdout,
    stderr,
    env: { TERM: 'xterm', LANG: 'C.UTF-8' },
    signal: new AbortController().signal,
  };
  return { code: await command(words, around), ...written };
}

test('a hostile server moves no cursor of a terminal: not by its head, and not by a body that is shown', async (t) => {
  // The library refuses C0 in a head; C1, which terminals obey too, is text that HTTP allows.
  const evil = '\u009B2J\u009D0;owned\u009C';
  const server = await rawServer(async (peer) => {
    for (;;) {
      await peer.request();
      const body = `\u001B[2Jbody\u0007\n\ttext`;
      await peer.write(
        `HTTP/1.1 200 ${evil}\r\nServer: ${evil}\r\nContent-Length: ${body.length}\r\nX: ${evil}\r\n\r\n${body}`,
      );
    }
  });
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${server.port}/`;
  for (const words of [[url], ['-v', url], ['-qo-', url], ['--json', url]]) {
    const { stdout, stderr } = await onTerminal(words, 80);
    const commands = `${stdout}${stderr}`.replaceAll(/\p{Cc}\[\d*m/gu, '');
    t.notRegex(commands, /(?![\n\t])\p{Cc}/u, words.join(' '));
    const shown = [String.raw`\x9b2J\x9d0;owned\x9c`, String.raw`\u009b2J\u009d0;owned\u009c`];
    t.is(
      shown.some((text) => stdout.includes(text)),
      words[0] !== '-qo-',
      stdout,
    );
    if (words[0] === '--json') t.is(JSON.parse(stdout).response.headers.server, evil);
  }
  t.is((await onTerminal(['-qo-', url], 80)).stdout, String.raw`\x1b[2Jbody\x07` + '\n\ttext\n');
});

test('on a terminal: blocks, colours, its width, and progress that is wiped', async (t) => {
  const at = await served(t, (_, response) => setTimeout(() => response.end('ok'), 30));
  const { code, stdout, stderr } = await onTerminal(['--repeat', '20', at], 60);
  t.is(code, 0);
  t.true(stdout.includes('\u001B[1m'));
  t.regex(stderr, /\r.*█.*\d+ % .*of 20.*\/s.*left/u);
  t.true(stderr.endsWith('\r\u001B[K'));
  const report = await onTerminal([at], 60);
  t.is(report.stderr, '');
  t.regex(report.stdout, /█/u);
  const lines = report.stdout
    .replaceAll(/\p{Cc}\[\d*m/gu, '')
    .split('\n')
    .slice(1);
  t.true(
    lines.every((line) => widthOf(line) <= 60),
    report.stdout,
  );
});

test('an option that cannot be used, or a file that one names, ends with 2 before anything is sent, and has no document', async (t) => {
  let asked = 0;
  const at = await served(t, (_, response) => {
    asked += 1;
    response.end('ok');
  });
  const words = [
    ['-X', ''],
    ['-X', 'GE T'],
    ['-H', 'X: a\nb'],
    ['-H', 'TE: x'],
    ['-H', 'Content-Length: 5', '-d', 'abc'],
  ];
  const secure = [
    ['--cacert', '/nowhere/file'],
    ['--cert', '/nowhere/file'],
    ['--cert', 'package.json', '--retries', '2'],
    ['--cacert', '/nowhere/file', '--repeat', '3'],
  ];
  const runs = [...words.map((few) => [...few, at]), ...secure.map((few) => [...few, at.replace('http:', 'https:')])];
  for (const run of runs.flatMap((each) => [each, ['--json', ...each]])) {
    const { code, stdout, stderr } = await ferropool(run);
    t.deepEqual([code, stdout], [2, ''], run.join(' '));
    t.regex(stderr, /^ferropool: ./);
  }
  t.is(asked, 0);
  // Where another had its answer before, it is a request that failed.
  const mixed = await ferropool(['--json', '--cacert', '/nowhere/file', at, 'https://127.0.0.1:1/']);
  t.deepEqual([mixed.code, mixed.stdout.trim().split('\n').length, asked], [1, 2, 1]);
});

test('a coding that nobody undoes is not said to be undone', async (t) => {
  const at = await served(t, (request, response) => {
    response.writeHead(200, { 'content-encoding': request.url?.slice(1), 'content-type': 'text/html' });
    response.end(request.url === '/gzip' ? gzipSync('abc') : 'abc');
  });
  const told = async (...run: string[]): Promise<[boolean, boolean, number]> => {
    const { body } = JSON.parse((await ferropool(['--json', ...run])).stdout).response;
    return [body.decoded, body.charset !== null, body.decodedBytes];
  };
  t.deepEqual(await told(`${at}/gzip`), [true, true, 3]);
  t.false((await told('--raw', `${at}/gzip`))[0]);
  t.deepEqual(await told(`${at}/sdch`), [false, false, 3]);
  t.deepEqual(await told(`${at}/identity`), [false, true, 3]);
});

test('--version and --help go to the standard output; usage to the other, with 2', async (t) => {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  t.true((await ferropool(['--version'])).stdout.startsWith(`ferropool ${version} (Node.js `));
  t.regex((await ferropool(['--help'])).stdout, /^Usage: ferropool /);
  const { code, stdout, stderr } = await ferropool(['--jsno', 'http://a/']);
  t.deepEqual([code, stdout], [2, '']);
  t.regex(stderr, /did you mean --json\?/);
});

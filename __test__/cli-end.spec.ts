/** How the command ends: signals, disks that are full, files that no other can take the place of. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { fileSink } from '../cli/sink.ts';
import { rawServer } from './servers/raw.ts';
import { begin, ferropool, folder, served } from './support/command.ts';

type Body = (t: ExecutionContext) => Promise<unknown>;

/** Windows has neither FIFOs nor these signals. */
function posix(title: string, body: Body): void {
  if (process.platform !== 'win32') test(title, body);
}

/** Others have no /dev/full and no /proc. */
function linux(title: string, body: Body): void {
  if (process.platform === 'linux') test(title, body);
}

const root = process.getuid?.() === 0;

/** Resolves when somebody has opened this FIFO for reading. */
async function openedByReader(fifo: string): Promise<number> {
  for (let tries = 0; tries < 3_000; tries += 1) {
    try {
      return openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch {
      await pause(10);
    }
  }
  throw new Error('nobody reads');
}

/** A byte, if there is one. */
function takenFrom(reader: number): number {
  try {
    return readSync(reader, Buffer.alloc(1));
  } catch {
    return 0;
  }
}

/** A server that answers with half a body, and when it did. */
async function stalling(t: ExecutionContext): Promise<{ url: string; asked: Promise<void> }> {
  let tell = (): void => {};
  const asked = new Promise<void>((resolve) => (tell = resolve));
  const server = await rawServer(async (peer) => {
    await peer.request();
    await peer.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive.');
    tell();
  });
  t.teardown(() => server.close());
  return { url: `http://127.0.0.1:${server.port}/`, asked };
}

posix('Ctrl-C ends it while a FIFO that is to be sent has no writer', async (t) => {
  const cwd = folder(t);
  for (const name of ['read', 'waits']) execFileSync('mkfifo', [path.join(cwd, name)]);
  const { child, ended } = begin(['-d', '@read', '-d', '@waits', 'http://127.0.0.1:1/'], { cwd });
  closeSync(await openedByReader(path.join(cwd, 'read')));
  child.kill('SIGINT');
  const { code, signal, stderr } = await ended;
  t.true(code === 130 || signal === 'SIGINT', String(code ?? signal));
  t.is(stderr, 'interrupted\n');
});

posix('Ctrl-C ends it while a FIFO that is to take the body has no reader', async (t) => {
  const at = await served(t, (_, response) => response.end('ok'));
  const cwd = folder(t);
  execFileSync('mkfifo', [path.join(cwd, 'waits')]);
  const { child, ended } = begin(['-O', `${at}/first`, `${at}/waits`], { cwd });
  // The report of the first is there: the next opens its file.
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  child.kill('SIGINT');
  const { code, signal } = await ended;
  t.true(code === 130 || signal === 'SIGINT', String(code ?? signal));
});

posix('Ctrl-C ends it while a reader of the body takes nothing', async (t) => {
  const at = await served(t, (_, response) => response.end('x'.repeat(4_194_304)));
  const fifo = path.join(folder(t), 'fifo');
  execFileSync('mkfifo', [fifo]);
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  t.teardown(() => closeSync(reader));
  const { child, ended } = begin(['-o', fifo, at]);
  // What comes first fills the pipe, and more is on its way into it.
  for (let tries = 0; takenFrom(reader) === 0 && tries < 3_000; tries += 1) await pause(10);
  child.kill('SIGINT');
  const { code, signal, stderr } = await ended;
  t.true(code === 130 || signal === 'SIGINT', String(code ?? signal));
  t.is(stderr, 'interrupted\n');
});

posix('Ctrl-C ends it while it waits for the standard input', async (t) => {
  const gathers = begin(['--json-data', '@-', '--repeat', '2', 'http://127.0.0.1:1/'], { input: null });
  // More than a pipe holds: whoever took it is reading.
  await new Promise((resolve) => gathers.child.stdin?.write(Buffer.alloc(1_048_576), resolve));
  gathers.child.kill('SIGINT');
  const gathered = await gathers.ended;
  t.true(gathered.code === 130 || gathered.signal === 'SIGINT');

  let tell = (): void => {};
  const asked = new Promise<void>((resolve) => (tell = resolve));
  const server = await rawServer(async (peer) => {
    await once(peer.socket, 'data');
    tell();
  });
  t.teardown(() => server.close());
  const streams = begin(['--json-data', '@-', `http://127.0.0.1:${server.port}/`], { input: null });
  streams.child.stdin?.write('{');
  await asked;
  streams.child.kill('SIGINT');
  const streamed = await streams.ended;
  t.true(streamed.code === 130 || streamed.signal === 'SIGINT');
  t.is(streamed.stderr, 'interrupted\n');
});

posix('SIGTERM ends it with 143, SIGHUP with 129, and nothing is left', async (t) => {
  for (const [signal, expected] of [
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    const { url, asked } = await stalling(t);
    const cwd = folder(t);
    const { child, ended } = begin(['-o', 'file', url], { cwd });
    await asked;
    child.kill(signal);
    t.is((await ended).code, expected);
    t.deepEqual(readdirSync(cwd), []);
  }
});

posix('a second signal ends it at once, and nothing is left', async (t) => {
  const { url, asked } = await stalling(t);
  const cwd = folder(t);
  const { child, ended } = begin(['-o', 'file', url], { cwd });
  await asked;
  child.kill('SIGINT');
  child.kill('SIGTERM');
  const { code, signal } = await ended;
  t.true(signal === 'SIGINT' || signal === 'SIGTERM' || code === 130 || code === 143, String(code));
  t.deepEqual(readdirSync(cwd), []);
});

linux('a full disk under the standard output: one line, and 1', async (t) => {
  const at = await served(t, (_, response) => response.end('ok'));
  const full = openSync('/dev/full', 'w');
  t.teardown(() => closeSync(full));
  for (const words of [[at], ['--json', at], ['-qo-', at], ['-o-', at], ['--repeat', '2', at], ['--help'], ['-V']]) {
    const { code, stderr } = await ferropool(words, { stdout: full });
    t.is(code, 1, words.join(' '));
    t.regex(stderr, /^ferropool: ENOSPC.*\n$/, words.join(' '));
  }
});

linux('a file that does not know its size is sent to its end', async (t) => {
  const at = await served(t, (request, response) => void request.pipe(response));
  const { code, stdout, stderr } = await ferropool(['-qo-', '-d', '@/proc/version', at]);
  t.is(code, 0, stderr);
  t.is(stdout, readFileSync('/proc/version', 'utf8'));
});

linux('THR-510: a password is not in the list of processes for longer than a moment', async (t) => {
  const { url, asked } = await stalling(t);
  const words = ['-u', 'me:hush', url.replace('//', '//user:hush@')];
  const { child, ended } = begin(words);
  await asked;
  const shown = readFileSync(`/proc/${child.pid}/cmdline`, 'utf8');
  child.kill('SIGINT');
  await ended;
  t.false(shown.includes('hush'), shown);
  t.regex(shown, /^ferropool/);
});

test('what cannot be understood is text on the standard error, under --json too', async (t) => {
  for (const words of [
    ['--json', '--nothing', 'http://a.example/'],
    ['--json'],
    ['--json', '-d', '@nowhere', 'a.example'],
  ]) {
    const { code, stdout, stderr } = await ferropool(words, { cwd: folder(t) });
    t.deepEqual([code, stdout], [2, '']);
    t.regex(stderr, /^ferropool: /);
  }
});

/** A body that is written as the command writes it. */
async function put(file: string, ...pieces: string[]): Promise<void> {
  const sink = await fileSink(file);
  for (const piece of pieces) await sink.write(Buffer.from(piece));
  await sink.commit();
}

test('a file that is replaced keeps its mode, and a name may be as long as the system allows', async (t) => {
  const at = folder(t);
  const file = path.join(at, 'file');
  writeFileSync(file, 'what was there before');
  chmodSync(file, 0o640);
  const before = statSync(file).ino;
  await put(file, 'new');
  t.is(readFileSync(file, 'utf8'), 'new');
  if (process.platform !== 'win32') t.is(statSync(file).mode & 0o777, 0o640);
  t.not(statSync(file).ino, before);
  const long = 'n'.repeat(250);
  await put(path.join(at, long), 'long');
  t.is(readFileSync(path.join(at, long), 'utf8'), 'long');
  t.deepEqual(readdirSync(at).toSorted(), ['file', long]);
});

posix('links stay links: what they lead to is written', async (t) => {
  const at = folder(t);
  const file = path.join(at, 'file');
  writeFileSync(file, 'what was there before');
  linkSync(file, path.join(at, 'hard'));
  await put(path.join(at, 'hard'), 'through', ' it');
  t.is(readFileSync(file, 'utf8'), 'through it');
  symlinkSync('file', path.join(at, 'soft'));
  await put(path.join(at, 'soft'), 'again');
  t.true(lstatSync(path.join(at, 'soft')).isSymbolicLink());
  t.is(readFileSync(file, 'utf8'), 'again');
  symlinkSync('made', path.join(at, 'dangling'));
  await put(path.join(at, 'dangling'), 'made');
  t.is(readFileSync(path.join(at, 'made'), 'utf8'), 'made');
  t.deepEqual(readdirSync(at).toSorted(), ['dangling', 'file', 'hard', 'made', 'soft']);
});

posix('what is written directly is not touched before a body comes, and what is new and not whole goes', async (t) => {
  const at = folder(t);
  const file = path.join(at, 'file');
  writeFileSync(file, 'what was there before');
  linkSync(file, path.join(at, 'hard'));
  await (await fileSink(file)).discard();
  t.is(readFileSync(file, 'utf8'), 'what was there before');
  await put(file);
  t.is(readFileSync(file, 'utf8'), '', 'a body without a byte is a body');
  const sink = await fileSink(path.join(at, 'new'));
  await sink.write(Buffer.from('half'));
  await sink.discard();
  t.false(existsSync(path.join(at, 'new')));
});

linux('where no file can be made beside it, it is written directly', async (t) => {
  // As root nothing but such a folder refuses.
  const comm = readFileSync('/proc/self/comm', 'utf8');
  await put('/proc/self/comm', 'ferropool-spec');
  const renamed = readFileSync('/proc/self/comm', 'utf8');
  writeFileSync('/proc/self/comm', comm.trim());
  t.is(renamed, 'ferropool-spec\n');
  if (root) return;
  const at = path.join(folder(t), 'closed');
  mkdirSync(at);
  writeFileSync(path.join(at, 'file'), 'what was there before');
  chmodSync(at, 0o555);
  t.teardown(() => chmodSync(at, 0o755));
  await put(path.join(at, 'file'), 'new');
  t.is(readFileSync(path.join(at, 'file'), 'utf8'), 'new');
  await t.throwsAsync(fileSink(path.join(at, 'other')), { code: 'EACCES' });
});

posix('a file of somebody else stays his', async (t) => {
  if (!root) return t.pass('only root can make one');
  const file = path.join(folder(t), 'file');
  for (const [uid, gid] of [
    [12_345, 0],
    [0, 12_345],
  ] as const) {
    writeFileSync(file, 'what was there before');
    chownSync(file, uid, gid);
    await put(file, 'new');
    t.like(statSync(file), { uid, gid });
    t.is(readFileSync(file, 'utf8'), 'new');
  }
  return undefined;
});

test('what cannot be looked at is told, not written around', async (t) => {
  const file = path.join(folder(t), 'file');
  writeFileSync(file, '');
  await t.throwsAsync(fileSink(path.join(file, 'below')), {
    code: process.platform === 'win32' ? 'ENOENT' : 'ENOTDIR',
  });
  await t.throwsAsync(fileSink(path.join(path.dirname(file), 'no', 'folder')), {
    code: 'ENOENT',
    message: /no.folder'$/,
  });
});

/** Where a body goes: a file that is there whole or not at all, or a stream. */
import { randomBytes } from 'node:crypto';
import { constants, unlinkSync, type Stats } from 'node:fs';
import { access, copyFile, lstat, open, rename, unlink, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { harmlessLines } from './text.ts';

/** Takes a body, no faster than it can. */
export interface Sink {
  /** The file that has it; `null` for a stream. */
  readonly path: string | null;
  write(piece: Buffer): Promise<void>;
  /** The body is whole. */
  commit(): Promise<void>;
  /** It is not. */
  discard(): Promise<void>;
}

/**
 * A file of this name. The body is written to one beside it, which takes its name at the end: until then, and where it fails,
 * what was there stays as it was. What no other file can take the place of is written to as it is: a link, a file with other
 * links or of another owner or group, what is no plain file, and one in a folder that takes no other.
 */
export async function fileSink(name: string): Promise<Sink> {
  const there = await lstat(name).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  const replaceable = there === null || (there.isFile() && there.nlink === 1);
  const beside = replaceable ? await besideSink(name, there) : null;
  return beside ?? directSink(name, there);
}

/** `null` where there can be no such file. */
async function besideSink(name: string, there: Stats | null): Promise<Sink | null> {
  if (/[\\/]$/.test(name)) return null;
  // A folder lets a file be replaced that refuses to be written.
  if (there !== null) await access(name, constants.W_OK);
  // Its length does not depend on the name, which may be as long as the system allows.
  const temporary = path.join(path.dirname(name), `ferropool.${randomBytes(4).toString('hex')}.part`);
  const handle = await open(temporary, 'wx').catch((error: NodeJS.ErrnoException) => {
    // Who has no room here has none there, but what is there would be lost.
    if (error.code === 'ENOSPC' || error.code === 'EDQUOT') throw error;
    return null;
  });
  if (handle === null) return null;
  leftovers.add(temporary);
  const sink = new BesideSink(name, handle, temporary);
  if (there === null || (await likened(handle, there))) return sink;
  await sink.discard();
  return null;
}

/** Gives a file the mode of the one that it is to replace; `false` where its owner or its group are others. */
async function likened(handle: FileHandle, { uid, gid, mode }: Stats): Promise<boolean> {
  try {
    const made = await handle.stat();
    if (made.uid !== uid || made.gid !== gid) return false;
    await handle.chmod(mode & 0o777);
    return true;
  } catch {
    return false;
  }
}

class BesideSink implements Sink {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #temporary: string;

  constructor(name: string, handle: FileHandle, temporary: string) {
    this.path = name;
    this.#handle = handle;
    this.#temporary = temporary;
  }

  write(piece: Buffer): Promise<void> {
    return writeAll(this.#handle, piece);
  }

  async commit(): Promise<void> {
    await this.#handle.close();
    try {
      await rename(this.#temporary, this.path);
    } catch {
      // Somebody has it open (Windows), or it is mounted by itself.
      await copyFile(this.#temporary, this.path);
      await unlink(this.#temporary);
    }
    leftovers.delete(this.#temporary);
  }

  async discard(): Promise<void> {
    await this.#handle.close().catch(() => {});
    await unlink(this.#temporary).catch(() => {});
    leftovers.delete(this.#temporary);
  }
}

async function directSink(name: string, there: Stats | null): Promise<Sink> {
  const makes = there === null || there.isFile() || there.isSymbolicLink();
  const handle = await open(name, constants.O_WRONLY | (makes ? constants.O_CREAT : 0));
  if (there === null) leftovers.add(name);
  return new DirectSink(name, handle, there === null);
}

class DirectSink implements Sink {
  readonly path: string;
  readonly #handle: FileHandle;
  /** Whether it was not there before. */
  readonly #fresh: boolean;
  #begun = false;

  constructor(name: string, handle: FileHandle, fresh: boolean) {
    this.path = name;
    this.#handle = handle;
    this.#fresh = fresh;
  }

  async write(piece: Buffer): Promise<void> {
    await this.#begin();
    await writeAll(this.#handle, piece);
  }

  /** What was there stays until there is something to put in its place. */
  async #begin(): Promise<void> {
    if (this.#begun) return;
    this.#begun = true;
    const facts = await this.#handle.stat();
    if (facts.isFile() && facts.size > 0) await this.#handle.truncate(0);
  }

  async commit(): Promise<void> {
    await this.#begin();
    await this.#handle.close();
    leftovers.delete(this.path);
  }

  async discard(): Promise<void> {
    // Not waited for: a pipe that nobody reads may hold a piece for ever.
    void this.#handle.close().catch(() => {});
    if (!this.#fresh) return;
    await unlink(this.path).catch(() => {});
    leftovers.delete(this.path);
  }
}

async function writeAll(handle: FileHandle, piece: Buffer): Promise<void> {
  for (let at = 0; at < piece.length;) at += (await handle.write(piece, at)).bytesWritten;
}

/** Files that are not whole yet, for a process that ends in their midst. */
const leftovers = new Set<string>();

/** Removes them. */
export function removeLeftovers(): void {
  for (const name of leftovers) {
    try {
      unlinkSync(name);
    } catch {
      // Somebody was quicker.
    }
  }
}
process.on('exit', removeLeftovers);

/** What the command itself writes to takes no more: there is nowhere left to tell of anything else. */
export class OutputError extends Error {
  override name = 'OutputError';
  readonly code: string | undefined;

  constructor(cause: NodeJS.ErrnoException) {
    super(cause.message, { cause });
    this.code = cause.code;
  }
}

/** Whatever can be written to. */
export interface Writable {
  write(data: string | Uint8Array, done: (error?: Error | null) => void): unknown;
}

/** Resolves when it has been taken. @throws OutputError */
export function written(stream: Writable, data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(data, (error) => (error ? reject(new OutputError(error)) : resolve()));
  });
}

/** A stream: bytes as they are, but on a terminal text that commands nothing. */
export function streamSink(stream: Writable, terminal: boolean): Sink {
  const decoder = new TextDecoder();
  let last = '\n';
  const put = (text: string): Promise<void> => {
    last = text.at(-1) ?? last;
    return text === '' ? Promise.resolve() : written(stream, harmlessLines(text));
  };
  // What is written next on this terminal begins a line of its own.
  const endLine = (): Promise<void> => (last === '\n' ? Promise.resolve() : put('\n'));
  return {
    path: null,
    write: (piece) => (terminal ? put(decoder.decode(piece, { stream: true })) : written(stream, piece)),
    commit: () => (terminal ? put(decoder.decode()).then(endLine) : Promise.resolve()),
    discard: () => (terminal ? endLine() : Promise.resolve()),
  };
}

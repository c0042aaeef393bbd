/**
 * Managers and the servers they talk to, for one test. When it ends the manager is closed, and then its books must balance:
 * every connection that was opened is closed, idle or held (THR-1010).
 */
import type { ExecutionContext } from 'ava';

import { PoolManager, type PoolManagerOptions, type PoolStats } from '../../index.ts';
import { rawServer, reply, type RawServer, type Script } from '../servers/raw.ts';

/** A manager that the test's end closes; what is checked then. */
export function managed(t: ExecutionContext, options: PoolManagerOptions = {}): PoolManager {
  return kept(t, new PoolManager(options));
}

/** Any manager, closed at the test's end: its books must balance then. */
export function kept<Manager extends PoolManager>(t: ExecutionContext, manager: Manager): Manager {
  t.teardown(async () => {
    const before = manager.stats();
    await manager.close({ timeout: 0 });
    const after = manager.stats();
    for (const stats of [before, after]) if (!balanced(stats)) throw new Error(`lost: ${JSON.stringify(stats)}`);
    if (after.idle !== 0 || after.leased !== 0 || after.waiting !== 0) {
      throw new Error(`closed, but something is left: ${JSON.stringify(after)}`);
    }
  });
  return manager;
}

/** THR-1010. */
export function balanced({ opened, closed, idle, leased, live }: PoolStats): boolean {
  return opened === closed + idle + leased && live === opened - closed;
}

/** Waits for a condition that no event tells of: figures. */
export async function until(condition: () => boolean, what: string, patience: number = 30_000): Promise<void> {
  const began = performance.now();
  while (!condition()) {
    if (performance.now() - began > patience) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** What the houses of a street do with a request: answer at once, or when the test says so. */
export type Manners = 'at once' | 'held';

/** Several servers, each a host of its own; requests are seen in one order over all of them. */
export class Street {
  readonly houses: RawServer[] = [];
  /** `house/path` of each request, in the order in which they came. */
  readonly seen: string[] = [];
  /**
   * The most connections that there were at one time, over all houses. The kernel has the end of a connection before the
   * beginning of the one in its place; but a server that is busy accepting may be told of the second first, and counts one
   * too many for a moment.
   */
  most = 0;
  readonly #held: { name: string; answer: () => void }[] = [];
  readonly #waiting: (() => void)[] = [];
  #manners: Manners;

  private constructor(manners: Manners) {
    this.#manners = manners;
  }

  /** A street of so many houses, which the test's end pulls down. To be opened before the manager. */
  static async open(t: ExecutionContext, houses: number, manners: Manners = 'held'): Promise<Street> {
    const street = new Street(manners);
    for (let number = 0; number < houses; number += 1) street.houses.push(await rawServer(street.#script(number)));
    t.teardown(async () => {
      for (const house of street.houses) await house.close();
    });
    return street;
  }

  url(house: number, path: string = ''): string {
    return `http://127.0.0.1:${this.port(house)}/${path}`;
  }

  port(house: number): number {
    return this.houses[house]?.port ?? 0;
  }

  /** Connections ever accepted, by house. */
  get accepted(): number[] {
    return this.houses.map((house) => house.peers.length);
  }

  /** Connections whose client has not ended them, by house. */
  get open(): number[] {
    return this.houses.map((house) => house.peers.filter((peer) => !peer.ended).length);
  }

  /** What is held, in the order in which it came. */
  get held(): string[] {
    return this.#held.map(({ name }) => name);
  }

  /** Waits until so many requests are held. */
  async holds(count: number): Promise<void> {
    while (this.#held.length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Waits until so many requests have come. */
  async hasSeen(count: number): Promise<void> {
    while (this.seen.length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Answers one that is held: the oldest, or the one of this name. */
  next(name?: string): void {
    const at = name === undefined ? 0 : this.#held.findIndex((held) => held.name === name);
    this.#held.splice(at, 1)[0]?.answer();
  }

  /** From now on nothing is held. */
  release(): void {
    this.#manners = 'at once';
    for (const { answer } of this.#held.splice(0)) answer();
  }

  #script(house: number): Script {
    return async (peer) => {
      // Once the ends of connections that came with it have been heard too.
      setImmediate(() => (this.most = Math.max(this.most, sum(this.open))));
      for (;;) {
        const request = await peer.request();
        const name = `${house}${request.split(' ', 2)[1] ?? ''}`;
        this.seen.push(name);
        const turn = new Promise<void>((answer) => {
          if (this.#manners === 'at once') answer();
          else this.#held.push({ name, answer });
        });
        for (const wake of this.#waiting.splice(0)) wake();
        await turn;
        await peer.write(reply(name));
      }
    };
  }
}

/** All together. */
export function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, one) => all + one, 0);
}

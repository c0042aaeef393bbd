/**
 * What the core tells that belongs to no call: connections that open and close, and what a person should hear of. Whoever
 * listens stands above this layer and enters itself here; facts stay JSON until somebody wants them.
 */

/** Who hears of it. */
export interface NoticeListener {
  /** A connection opened; its facts are JSON. */
  opened(facts: string): void;
  /** It closed, and why. */
  closed(facts: string, reason: string): void;
  /** A warning, as a stable code and words. */
  warned(code: string, message: string): void;
}

let listener: NoticeListener = { opened() {}, closed() {}, warned() {} };

/** From now on this one hears. */
export function listenToNotices(to: NoticeListener): void {
  listener = to;
}

/** @internal */
export function warned(json: string): void {
  const { code, message } = JSON.parse(json) as { code: string; message: string };
  listener.warned(code, message);
}

/** Facts about the connections that are open: the core tells them once. */
export class Connections {
  readonly #facts: Map<number, string> = new Map();

  get(id: number): string | null {
    return this.#facts.get(id) ?? null;
  }

  opened(id: number, facts: string): void {
    this.#facts.set(id, facts);
    listener.opened(facts);
  }

  /** The reason is JSON. One that did not live to be opened is no news. */
  closed(id: number, reason: string): void {
    this.#close(id, JSON.parse(reason) as string);
  }

  /** The I/O thread fell, and all of them with it. */
  fell(): void {
    for (const id of this.#facts.keys()) this.#close(id, 'failed');
  }

  #close(id: number, reason: string): void {
    const facts = this.#facts.get(id);
    if (facts === undefined) return;
    this.#facts.delete(id);
    listener.closed(facts, reason);
  }
}

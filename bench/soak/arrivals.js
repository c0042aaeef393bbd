/**
 * When requests arrived at a server, and how many in a window for certain. A server that was busy, or had no turn on a
 * busy machine, sees what came meanwhile all at once: so each arrival is noted with the span in which it may have waited
 * to be seen, and counts for a window only if it lies in it all the same.
 */

/** Milliseconds between two signs of life. */
const TICK = 2;

/** The server's own clock, which knows how long something may have waited for the server. */
export class Attention {
  #last = performance.now();
  #before = this.#last;
  #timer = setInterval(() => {
    const now = performance.now();
    this.stalls += Math.max(0, now - this.#last - 5 * TICK);
    this.worst = Math.max(this.worst, now - this.#last - TICK);
    this.#before = this.#last;
    this.#last = now;
  }, TICK);

  /** Milliseconds that the server stood still, all in all. */
  stalls = 0;
  /** The longest time that it did. */
  worst = 0;

  /**
   * Now, and at most how long ago what is seen now came to be.
   *
   * @returns {[number, number]}
   */
  see() {
    const now = performance.now();
    // The last tick may belong to this very turn of the loop; what had come before the one before it was seen then.
    return [now, now - this.#before];
  }

  stop() {
    clearInterval(this.#timer);
  }
}

/** Arrivals by host. */
export class Arrivals {
  /** @type {Map<string, { at: number[], waited: number[] }>} */
  #hosts = new Map();
  attention = new Attention();

  /**
   * A request for this host is here, and was not before `earliest`: the first on a connection has waited with it, for it
   * to be accepted.
   *
   * @param {string} host
   */
  note(host, earliest = Infinity) {
    let known = this.#hosts.get(host);
    if (known === undefined) this.#hosts.set(host, (known = { at: [], waited: [] }));
    const [now, waited] = this.attention.see();
    known.at.push(now);
    known.waited.push(Math.max(waited, now - earliest));
  }

  /** @returns {string[]} */
  get hosts() {
    return [...this.#hosts.keys()];
  }

  /** @param {string} host */
  count(host) {
    return this.#hosts.get(host)?.at.length ?? 0;
  }

  /**
   * The most that certainly arrived within a window of so many milliseconds.
   *
   * @param {string} host
   */
  most(host, span = 1_000) {
    const { at, waited } = this.#hosts.get(host) ?? { at: [], waited: [] };
    let most = 0;
    for (let first = 0; first < at.length; first += 1) {
      const end = at[first] - waited[first] + span;
      let past = first;
      while (past < at.length && at[past] < end) past += 1;
      most = Math.max(most, past - first);
    }
    return most;
  }

  /**
   * How many arrived a second, over the whole time; what the server itself stood still is not counted, nor the
   * milliseconds that are allowed for others.
   *
   * @param {string} host
   */
  perSecond(host, allowed = 0) {
    const { at } = this.#hosts.get(host) ?? { at: [] };
    if (at.length < 2) return 0;
    return ((at.length - 1) * 1_000) / Math.max(1, at[at.length - 1] - at[0] - this.attention.stalls - allowed);
  }

  stop() {
    this.attention.stop();
  }
}

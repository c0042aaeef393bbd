/**
 * The event loop stays alive while somebody waits for a piece of a body. (While a call is in flight the addon sees to that.)
 */

/** Counts those who wait, and tells the addon as seldom as it can. */
export class LoopHold {
  readonly #tell: (on: boolean) => void;
  #waiting = 0;
  #held = false;
  #letting = false;

  constructor(tell: (on: boolean) => void) {
    this.#tell = tell;
  }

  /** One more waits, or one less. */
  change(on: boolean): void {
    this.#waiting += on ? 1 : -1;
    if (on && !this.#held) {
      this.#held = true;
      this.#tell(true);
    } else if (!on && this.#waiting === 0 && !this.#letting) {
      // A reader that has got its piece asks for the next one within this turn, most times.
      this.#letting = true;
      setImmediate(this.#let);
    }
  }

  /** The addon has let go by itself: doing so once more would let go of calls that came after. */
  forget(): void {
    this.#held = false;
  }

  readonly #let = (): void => {
    this.#letting = false;
    if (this.#waiting > 0 || !this.#held) return;
    this.#held = false;
    this.#tell(false);
  };
}

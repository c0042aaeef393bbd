/**
 * Tests whose verdict hangs on the machine as much as on the package: an upper bound on time, on processor time or on
 * resident memory. A machine that stood still for half a second breaks such a bound, and says nothing of the package; a
 * package that breaks it does so each time. So they run one after another, before the others of their file, and the
 * bound has to hold in one of three attempts. Each attempt that did not hold is told of.
 *
 * Not for what counts, compares or orders: that has to hold each time.
 */
import test, { type ExecutionContext } from 'ava';

type Implementation = (t: ExecutionContext) => Promise<void> | void;

const ATTEMPTS = 3;

/** Like `test.serial`. */
export function clocked(title: string, implementation: Implementation): void {
  test.serial(title, async (t) => {
    for (let nth = 1; ; nth += 1) {
      const attempt = await t.try(implementation);
      if (attempt.passed || nth === ATTEMPTS) {
        attempt.commit();
        return;
      }
      t.log(`attempt ${nth} did not hold: ${attempt.errors.map(({ message }) => message).join('; ')}`);
      attempt.discard({ retainLogs: true });
    }
  });
}

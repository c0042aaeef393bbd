/**
 * Tests one of whose verdicts hangs on the machine as much as on the package: an upper bound on time, on processor time or on
 * resident memory, or a count of what fits into a time. A machine that stood still for half a second breaks such a bound, and
 * says nothing of the package; a package that breaks it does so each time. So they run one after another, before the others
 * of their file, and what is said `within` has to hold in one of three attempts. Anything else that fails, fails at once.
 *
 * No call may be left without a handler when `within` fails: its rejection at the test's end would be nobody's.
 */
import { inspect } from 'node:util';

import test, { type ExecutionContext } from 'ava';

const ATTEMPTS = 3;

/** Milliseconds of one attempt, in which nothing is heard of it: above those of any child. */
const LIMIT = 330_000;

/** The attempts in which a bound was broken, and nothing before it. */
const broken = new WeakSet<ExecutionContext>();

/** Asserts a bound of a {@link clocked} test; elsewhere it is `t.true`. */
export function within(t: ExecutionContext, holds: boolean, said?: string): void {
  if (!holds) broken.add(t);
  t.true(holds, said);
}

/** Like `test.serial`. */
export function clocked(title: string, implementation: (t: ExecutionContext) => Promise<void> | void): void {
  test.serial(title, async (t) => {
    for (let nth = 1; ; nth += 1) {
      t.timeout(LIMIT);
      let own: ExecutionContext = t;
      const attempt = await t.try((its) => implementation((own = its)));
      if (attempt.passed || nth === ATTEMPTS || !broken.has(own)) {
        attempt.commit();
        return;
      }
      t.log(`attempt ${nth} of "${title}" did not hold: ${attempt.errors.map((error) => inspect(error)).join('; ')}`);
      attempt.discard({ retainLogs: true });
    }
  });
}

/** Of what is read from /proc: elsewhere there is no such test. */
export const clockedOnLinux: typeof clocked = process.platform === 'linux' ? clocked : () => undefined;

/** `Timeout`: what it takes, what it resolves to, and where milliseconds part from urllib3's seconds. */
import { inspect } from 'node:util';
import test from 'ava';
import { Timeout } from '../facade/timeout.ts';
import type { TimeoutLike, TimeoutOptions } from '../facade/timeout.ts';
import { vectors } from './support/vectors.ts';
import type { Raised } from './support/vectors.ts';

type Given = number | null | 'default';
interface Resolved {
  total: number | null;
  connect: Given;
  read: Given;
  elapsedSinceStart: number | null;
  connectTimeout: Given;
  readTimeout: { value: Given } | { error: Raised };
}
type Invalid = { options: Record<string, unknown> } & ({ value: string } | { error: Raised });

const range = { instanceOf: RangeError, code: 'ERR_INVALID_TIMEOUT' };
const type = { instanceOf: TypeError, code: 'ERR_INVALID_TIMEOUT' };

/** urllib3's "not given" is `socket.getdefaulttimeout()`, none unless a program changes it; ours is none. */
const none = (given: Given): number | null => (given === 'default' ? null : given);

const resolved = vectors<Resolved>('timeout.json');

// The vectors are free of a unit; as milliseconds all are short, and the first one warns.
test.serial('a span below 50 ms warns once a process that milliseconds are meant', async (t) => {
  const warnings: (Error & { code?: string })[] = [];
  const listen = (warning: Error): void => void warnings.push(warning);
  process.on('warning', listen);
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const quiet = new Timeout({ total: 50, connect: 50, read: Infinity });
  await turn();
  t.deepEqual(warnings, []);
  t.is(quiet.total, 50);
  t.is(new Timeout({ read: 3 }).read, 3);
  t.is(Timeout.from(49).connect, 49);
  await turn();
  process.off('warning', listen);
  t.is(warnings.length, 1);
  t.is(warnings[0]?.code, 'FERROPOOL_SHORT_TIMEOUT');
  t.regex(warnings[0]?.message ?? '', /3 ms \(read\).*milliseconds, not seconds/);
});

test('TIME-03: the lesser of connect and total, and of read and what is left of total', (t) => {
  let compared = 0;
  for (const row of resolved) {
    const { total, connect, read, elapsedSinceStart } = row;
    const timeout = new Timeout({ total, connect: none(connect), read: none(read) });
    t.is(timeout.connectTimeout, none(row.connectTimeout), JSON.stringify(row));
    // Where urllib3's clock has not started it either raises TimeoutStateError or gives `read` alone, even past `total`.
    // Ours has no clock to start: before anything has elapsed, all of `total` is left.
    if (elapsedSinceStart === null) {
      const both = [none(read), total].filter((span) => span !== null);
      t.is(timeout.readTimeout, both.length === 0 ? null : Math.min(...both), JSON.stringify(row));
      continue;
    }
    if ('error' in row.readTimeout) throw new Error(`an error where the clock runs: ${JSON.stringify(row)}`);
    t.is(timeout.readTimeoutAfter(elapsedSinceStart), none(row.readTimeout.value), JSON.stringify(row));
    if (elapsedSinceStart === 0) t.is(timeout.readTimeout, none(row.readTimeout.value));
    compared += 1;
  }
  t.is(compared, 144);
});

/** Where we differ from urllib3, by the JSON of the options: what we do, and why. */
const differences: Record<string, [outcome: 'range' | 'type' | 'none', why: string]> = {
  '{"connect":false}': ['type', 'a wrong type is a TypeError'],
  '{"read":true}': ['type', 'a wrong type is a TypeError'],
  '{"read":"foo"}': ['type', 'a wrong type is a TypeError'],
  '{"read":"1.0"}': ['type', 'a wrong type is a TypeError'],
  '{"total":[1]}': ['type', 'a wrong type is a TypeError'],
  '{"total":0.001}': ['range', 'a part of a millisecond was meant as seconds'],
  '{"total":"inf"}': ['none', 'Infinity means none'],
  '{"total":"nan"}': ['range', 'NaN is no span of time'],
};
const floats: Record<string, number> = { inf: Infinity, nan: Number.NaN };

const invalid = vectors<Invalid>('timeout-invalid.json');
for (const row of invalid) {
  const key = JSON.stringify(row.options);
  const [outcome, why] = differences[key] ?? ['range', 'as urllib3, whose ValueError is our RangeError'];
  test(`TIME-01: ${key}: ${why}`, (t) => {
    const options = Object.fromEntries(
      Object.entries(row.options).map(([name, value]) => [name, floats[String(value)] ?? value]),
    ) as TimeoutOptions;
    if (outcome === 'none') {
      t.deepEqual(new Timeout(options).toJSON(), { total: null, connect: null, read: null });
      return;
    }
    const error = t.throws(() => new Timeout(options), outcome === 'range' ? range : type);
    const wrong = Object.keys(options).at(-1) ?? '';
    t.regex(error?.message ?? '', new RegExp(`^${wrong} is `));
    // A difference that is listed is one: urllib3 says something else there.
    t.is('value' in row, key === '{"total":0.001}' || key === '{"total":"nan"}');
  });
}

test('TIME-01: every listed difference is in the vectors', (t) => {
  const keys = new Set(invalid.map(({ options }) => JSON.stringify(options)));
  t.deepEqual(
    Object.keys(differences).filter((key) => !keys.has(key)),
    [],
  );
});

test('TIME-01: absent, undefined, null and Infinity are none; a value below 1 says that milliseconds are wanted', (t) => {
  const nothing = { total: null, connect: null, read: null };
  t.deepEqual(new Timeout().toJSON(), nothing);
  t.deepEqual(new Timeout({ total: undefined, connect: null, read: Infinity }).toJSON(), nothing);
  t.throws(() => new Timeout({ connect: 0.5 }), { ...range, message: /connect is 0\.5.*milliseconds.*would be 500/ });
  t.throws(() => new Timeout({ total: -Infinity }), range);
  t.throws(() => new Timeout({ total: 5n } as unknown as TimeoutOptions), type);
  t.is(new Timeout({ total: 1.5 }).total, 1.5);
});

test('TIME-02: a bare number sets connect and read, not total', (t) => {
  t.deepEqual(Timeout.from(5000).toJSON(), { total: null, connect: 5000, read: 5000 });
  t.throws(() => new Timeout(5000 as unknown as TimeoutOptions), { ...type, message: /takes an object/ });
});

test('anything that a timeout option takes becomes a Timeout, and a Timeout stays the same one', (t) => {
  const timeout = new Timeout({ total: 1000 });
  t.is(Timeout.from(timeout), timeout);
  t.is(Timeout.from(null), Timeout.from(undefined));
  t.is(String(Timeout.from(null)), 'Timeout(connect=null, read=null, total=null)');
  t.deepEqual(Timeout.from({ read: 100 }).toJSON(), { total: null, connect: null, read: 100 });
  t.deepEqual(new Timeout(timeout.toJSON()).toJSON(), timeout.toJSON());
  const message = /^timeout is /;
  for (const value of [0, -1, Number.NaN, 0.2]) t.throws(() => Timeout.from(value), { ...range, message });
  for (const value of ['5', '500', true, Symbol('x')])
    t.throws(() => Timeout.from(value as unknown as TimeoutLike), { ...type, message });
  t.throws(() => Timeout.from([5] as unknown as TimeoutLike), type);
});

test('a Timeout cannot be changed', (t) => {
  const timeout = new Timeout({ total: 1000 }) as { total: number };
  t.throws(() => (timeout.total = 5), { instanceOf: TypeError });
  t.is(timeout.total, 1000);
});

test('an unknown option is refused with the nearest name', (t) => {
  const options = { conect: 1000 } as TimeoutOptions;
  t.throws(() => new Timeout(options), { ...type, message: /no option 'conect'; did you mean 'connect'\?/ });
});

test('THR-522: a polluted prototype gives a Timeout no options', (t) => {
  const prototype = Object.prototype as Record<string, unknown>;
  try {
    prototype['total'] = 1000;
    prototype['connect'] = 'evil';
    t.deepEqual(new Timeout({ read: 100 }).toJSON(), { total: null, connect: null, read: 100 });
  } finally {
    delete prototype['total'];
    delete prototype['connect'];
  }
});

// urllib3 shows what was not given as its own sentinel; ours is `null`, as for none.
test('TIME-13: the string form names connect, read and total', (t) => {
  const timeout = new Timeout({ connect: 1, read: 2, total: 3 });
  t.is(String(timeout), 'Timeout(connect=1, read=2, total=3)');
  t.is(inspect(timeout), 'Timeout(connect=1, read=2, total=3)');
  t.is(String(new Timeout({ total: 3 })), 'Timeout(connect=null, read=null, total=3)');
});

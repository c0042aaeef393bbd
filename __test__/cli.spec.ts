/** The pictures `npm start` draws. */
import test from 'ava';
import { bar, certificates, milliseconds, table, waterfall } from '../cli/picture.js';

test('a bar is as long as its share, and what is not nothing is never invisible', (t) => {
  t.is(bar(50, 100, 10, true), '#####');
  t.is(bar(50, 100, 10, false), '█████');
  t.is(bar(55, 100, 10, false), '█████▌');
  t.is(bar(0.001, 100, 10, true), '#');
  t.is(bar(0.001, 100, 10, false), '▏');
  t.is(bar(0, 100, 10, true), '');
  t.is(bar(500, 100, 10, true), '##########');
  t.is(bar(1, 0, 10, true), '');
});

test('a table aligns its columns and leaves no blank at the end of a line', (t) => {
  const rows = [
    ['client', 'n', ''],
    ['a', '10', '#'],
    ['longer one', '2', ''],
  ];
  t.deepEqual(table(rows, [1]), ['client       n', 'a           10  #', 'longer one   2']);
});

test('milliseconds are shown as exactly as their size deserves', (t) => {
  t.deepEqual([0.1234, 9.994, 12.34, 123.4].map(milliseconds), ['0.12', '9.99', '12.3', '123']);
});

test('a waterfall shows what happened, in order, each bar where the one before ended', (t) => {
  const timings = {
    pool: 0,
    dns: null,
    connect: 2,
    proxy: null,
    tls: null,
    send: 1,
    headers: 4,
    deliver: 0,
    body: 1,
    total: 8.2,
  };
  t.deepEqual(waterfall(timings, 8, true), [
    'pool     0.00',
    'connect  2.00  ##',
    'send     1.00    #',
    'headers  4.00     ####',
    'body     1.00         #',
    'deliver  0.00',
    'total    8.20  ms',
  ]);
});

test('a waterfall of nothing is empty', (t) => {
  t.deepEqual(waterfall({ pool: null, total: null }, 8, true), []);
});

test('a chain shows whose certificates they are, and what cannot be read as such', (t) => {
  const [validFrom, validTo] = [new Date('2026-01-01T00:00:00Z'), new Date('2126-01-01T12:00:00Z')];
  const never = new Date(Number.NaN);
  t.deepEqual(
    certificates([
      { subject: 'CN=a', issuer: 'CN=b', validFrom, validTo },
      { subject: '', issuer: '', validFrom: never, validTo: never },
    ]),
    ['CN=a, 2026-01-01 to 2126-01-01, issued by CN=b', '  (no name), ? to ?, issued by (no name)'],
  );
});

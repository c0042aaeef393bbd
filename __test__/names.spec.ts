/** Names that the system looks up: in a network of the test's own, whose one name server is ours too. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import test from 'ava';

import { outcome } from './support/child.ts';

// Only Linux lets a process make a network, and names servers of its own, for itself.
const onLinux = (process.platform === 'linux' ? test : () => undefined) as typeof test;

/** Makes the network: 10.9.0.1 and 2001:db8:9::1 are this machine, 10.9.0.2 and 2001:db8:9::2 are wires that nobody is at. */
const NETWORK = [
  'mount --bind "$NAME_SERVERS" /etc/resolv.conf',
  'ip link set lo up',
  'ip link add near type veth peer name far',
  'ip link set near up',
  'ip link set far up',
  'ip address add 10.9.0.1/24 dev near',
  'ip -6 address add 2001:db8:9::1/64 dev near nodad',
  'ip neighbour add 10.9.0.2 lladdr 02:00:00:00:00:02 dev near',
  'ip neighbour add 2001:db8:9::2 lladdr 02:00:00:00:00:02 dev near',
].join(' && ');

interface Report {
  readonly took: number;
  readonly newTook: number;
  readonly spans: readonly [number, number];
  readonly questions: readonly [names: number, most: number];
  readonly [other: string]: unknown;
}

onLinux(
  'THR-1012 THR-1208 THR-902 CONN-07 ERR-02: one look-up a name, a dead first address costs a moment, stalls cost their own time',
  async (t) => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'names-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const file = path.join(folder, 'resolv.conf');
    // The system would wait half a minute for a server that does not answer.
    writeFileSync(file, 'nameserver 127.0.0.1\noptions timeout:30 attempts:1\n');
    const env = { NAME_SERVERS: file };
    const within = (then: string): string[] => ['-rnm', 'sh', '-c', `${NETWORK} && ${then}`];
    try {
      execFileSync('unshare', within('true'), { stdio: 'ignore', env: { ...process.env, ...env } });
    } catch {
      t.log('this machine lets nobody make a network of his own');
      t.pass();
      return;
    }
    const under = ['unshare', ...within('exec "$0" "$@"')];
    const report = await outcome<Report>('names-of-a-network.ts', [], { under, env });
    const { took, newTook, spans, questions, ...facts } = report;
    const closed = 'closed: 10.9.0.1 connected first';
    t.deepEqual(facts, {
      storm: { 200: 2_000 },
      dead: { 'NameResolutionError ERR_DNS dns': 64 },
      empty: { 'NameResolutionError ERR_DNS dns': 1 },
      // Each once, for both families.
      asked: [2, 2],
      first: [
        ['[2001:db8:9::2]', closed],
        ['10.9.0.1', null],
      ],
      second: [['10.9.0.1', null]],
      holes: { 'ConnectTimeoutError ERR_CONNECT_TIMEOUT connect': 1 },
      address: ['200', '200'],
      new: '200',
      stalled: { 'ConnectTimeoutError ERR_CONNECT_TIMEOUT dns': 80 },
      left: [0, 0],
    });
    // Ten seconds were given for it, and the system would wait thirty for a server that does not answer.
    t.true(took >= 250 && took < 5_000, `${took} ms to the second address`);
    t.true(spans[0] >= 1_498 && spans[1] < 8_000, `cut after ${spans.join(' to ')} ms where 1,500 were given`);
    // 32 have a thread at once; the others get theirs when nobody may want them any more. Each once, for both families.
    t.true(questions[0] >= 32 && questions[0] <= 40 && questions[1] === 2, questions.join(' names, at most '));
    t.true(newTook < 8_000, `a new name waited ${newTook} ms for stalls of 1,500`);
  },
);

/** A worker whose calls wait for an answer that never comes; it says when they have asked. */
import { parentPort } from 'node:worker_threads';

import { PoolManager } from '../../../index.ts';

let asked = 0;
const manager = new PoolManager({
  resolve: { 'a.example': '127.0.0.1:1' },
  beforeAttempt: () => {
    asked += 1;
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
    if (asked === 10) parentPort?.postMessage('asked');
    return new Promise(() => undefined);
  },
});
for (let n = 0; n < 10; n += 1) manager.request('GET', 'http://a.example/').catch(() => undefined);

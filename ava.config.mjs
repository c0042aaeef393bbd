import { typescriptLoader } from './scripts/run.js';

export default {
  files: ['__test__/*.spec.ts'],
  extensions: { ts: 'module' },
  nodeArguments: typescriptLoader,
  // The loader does not reach worker threads on Node 20; the tests about workers make their own.
  workerThreads: false,
  concurrency: 2,
  timeout: '4m',
};

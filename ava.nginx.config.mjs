import config from './ava.config.mjs';

export default { ...config, files: ['__test__/nginx/*.spec.ts'], concurrency: 1 };

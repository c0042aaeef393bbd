/** A manager that follows the environment, made in a process that others use too. */
import { PoolManager, type PoolManagerOptions } from '../../index.ts';

/** Makes one while these variables are set. Nothing waits in between, so that no other test sees them. */
export function inEnvironment(variables: Readonly<Record<string, string>>, options: PoolManagerOptions): PoolManager {
  const set = { NODE_USE_ENV_PROXY: '1', all_proxy: '', no_proxy: '', ...variables };
  const before = Object.keys(set).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, set);
  try {
    return new PoolManager(options);
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

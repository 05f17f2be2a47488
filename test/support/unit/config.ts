/** Loading a configuration without touching the machine. */
import { loadConfig, type Config, type Environment } from '../../../src/config/config.js';
import { ConfigError } from '../../../src/config/errors.js';

/** A `readFile` over a few named texts; all others do not exist. */
export function files(texts: Readonly<Record<string, string>>): (path: string) => string {
  return (path) => {
    const text = texts[path];
    if (text !== undefined) return text;
    throw Object.assign(new Error(`ENOENT: no such file or directory, open '${path}'`), {
      code: 'ENOENT',
    });
  };
}

/** The configuration of a run; fails when the command line asks for something else. */
export function configOf(
  argv: readonly string[],
  texts: Readonly<Record<string, string>> = {},
  env: Environment = {},
): Config {
  const invocation = loadConfig(argv, env, files(texts), { cores: 2 });
  if (invocation.kind !== 'run') throw new Error(`unexpected ${invocation.kind}`);
  return invocation.config;
}

/** The least a daemon starts with. */
export const minimal = [
  '--config-file=none',
  '--interface=127.0.0.1',
  '--listen-ng=127.0.0.1:2223',
];

/** The ConfigError that `run` throws; fails when it throws none. */
export function configError(run: () => unknown): ConfigError {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('no ConfigError was thrown');
}
